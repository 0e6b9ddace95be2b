//! Each rule of the request form by name, and what the window posts.

use serde_json::json;

use crate::rig::{LOOKUP, MID, PAGE, Rig, get, pay, set, unset};

#[tokio::test]
async fn every_required_field_is_required() {
    let rig = Rig::start().await;
    let required =
        ["version", "mid", "oid", "price", "timestamp", "signature", "mKey", "currency", "goodname"];
    for name in required.iter().chain(&["buyername", "buyertel", "buyeremail", "returnUrl", "use_chkfake"]) {
        let mut form = rig.form(MID, "O-1", "1000");
        unset(&mut form, name);
        assert_eq!(rig.refusal(&form).await, "SIM:FIELD", "{name}");
    }
    let mut form = rig.form(MID, "O-1", "1000");
    unset(&mut form, "verification");
    assert_eq!(rig.refusal(&form).await, "500633");
}

#[tokio::test]
async fn fields_that_are_wrong_are_refused() {
    let rig = Rig::start().await;
    let table = [
        ("requestByJs", "false", "SIM:BYJS"),
        ("version", "2.0", "SIM:FIELD"),
        ("mid", "nobody0000", "500400"),
        ("mid", "short", "500613"),
        ("currency", "KRW", "SIM:FIELD"),
        ("buyertel", "+82 10", "SIM:FIELD"),
        ("buyertel", "010-1234-5678-910-11-1", "SIM:LENGTH"),
        ("charset", "utf-8", "SIM:FIELD"),
        ("languageView", "jp", "SIM:FIELD"),
        ("payViewType", "popup", "SIM:POPUP"),
        ("gopaymethod", "card", "SIM:METHOD"),
        ("gopaymethod", "Vbank", "SIM:METHOD"),
        ("gopaymethod", "POINT", "SIM:LATER"),
        ("gopaymethod", "Card:HPP", "SIM:HPP"),
        ("acceptmethod", "centerCd", "SIM:ACCEPT"),
        ("offerPeriod", "soon", "SIM:FIELD"),
        ("nointerest", "all", "SIM:FIELD"),
        ("quotabase", "2,3", "SIM:FIELD"),
        ("tax", "101", "500656"),
        ("tax", "1.0", "SIM:FIELD"),
        ("ini_onlycardcode", "99", "SIM:FIELD"),
        ("mKey", "00", "500632"),
        ("signature", "00", "500632"),
        ("verification", "00", "500632"),
        ("returnUrl", "/return/1", "SIM:FIELD"),
    ];
    for (name, value, code) in table {
        let mut form = rig.form(MID, "O-1", "1000");
        set(&mut form, name, value);
        assert_eq!(rig.refusal(&form).await, code, "{name}={value}");
    }
}

#[tokio::test]
async fn the_amount_is_digits_in_the_form_and_in_the_hash() {
    let rig = Rig::start().await;
    let table = [
        ("1,000", "500609"),
        ("1000.0", "500609"),
        ("-1", "500609"),
        ("0", "SIM:FIELD"),
        ("01", "SIM:FIELD"),
    ];
    for (price, code) in table {
        assert_eq!(rig.refusal(&rig.form(MID, "O-1", price)).await, code, "{price}");
    }
    let mut form = rig.form(MID, "O-1", "999");
    set(&mut form, "acceptmethod", "centerCd(Y)");
    assert_eq!(rig.refusal(&form).await, "500608");
    let mut tampered = rig.form(MID, "O-1", "1000");
    set(&mut tampered, "price", "2000");
    assert_eq!(rig.refusal(&tampered).await, "500632");
}

#[tokio::test]
async fn the_timestamp_is_13_digits_near_now() {
    let rig = Rig::start().await;
    let now = rig.now_ms();
    for timestamp in [(now - 3_600_000).to_string(), (now + 60_000).to_string(), (now / 1000).to_string()] {
        let mut form = rig.form(MID, "O-1", "1000");
        rig.sign(&mut form, &timestamp);
        assert_eq!(rig.refusal(&form).await, "SIM:TIME", "{timestamp}");
    }
    let mut ahead = rig.form(MID, "O-1", "1000");
    rig.sign(&mut ahead, &(now + 500).to_string());
    assert_eq!(get(&rig.posted(&ahead, pay()).await, "resultCode"), "0000");
}

#[tokio::test]
async fn return_and_close_must_be_on_the_host_of_the_page() {
    let rig = Rig::start().await;
    for (name, url) in [
        ("returnUrl", "https://www.shop.example.com/return/1"),
        ("returnUrl", "http://shop.example.com/return/1"),
        ("closeUrl", "https://other.example.com/close"),
    ] {
        let mut form = rig.form(MID, "O-1", "1000");
        set(&mut form, name, url);
        assert_eq!(rig.refusal(&form).await, "V023", "{url}");
    }
    let form = rig.form(MID, "O-1", "1000");
    let body = json!({"fields": form, "choice": "cancel"});
    let answer: serde_json::Value = rig.post_control("/_sim/window", &body).await.json().await.unwrap();
    assert_eq!(answer["refused"]["code"], "SIM:PAGE");
}

#[tokio::test]
async fn oid_has_at_most_40_bytes_and_no_field_comes_twice() {
    let rig = Rig::start().await;
    assert_eq!(rig.refusal(&rig.form(MID, &"x".repeat(41), "1000")).await, "SIM:LENGTH");
    let mut twice = rig.form(MID, "O-1", "1000");
    twice.push(("oid".to_owned(), "O-1".to_owned()));
    assert_eq!(rig.refusal(&twice).await, "SIM:TWICE");
}

#[tokio::test]
async fn a_merchant_with_duplicate_prevention_cannot_reuse_an_approved_order_and_others_can() {
    let rig = Rig::start().await;
    rig.sale(LOOKUP, "O-1", "1000").await;
    assert_eq!(rig.refusal(&rig.form(LOOKUP, "O-1", "1000")).await, "500619");
    rig.sale(MID, "O-1", "1000").await;
    rig.sale(MID, "O-1", "1000").await;
}

#[tokio::test]
async fn the_window_offers_no_kb_card_and_no_foreign_instalment() {
    let rig = Rig::start().await;
    let mut form = rig.form(MID, "O-1", "60000");
    set(&mut form, "quotabase", "2:3");
    let table = [
        (json!({"choice": "pay", "card": "06"}), "SIM:CARD"),
        (json!({"choice": "pay", "card": "91"}), "SIM:CARD"),
        (json!({"choice": "pay", "card": "04", "quota": "04"}), "500607"),
        (json!({"choice": "decline", "card": "04", "code": "x"}), "SIM:CODE"),
    ];
    for (choice, code) in table {
        let (status, body) = rig.window(&form, choice).await;
        assert_eq!((status.as_u16(), body["refused"]["code"].as_str().unwrap()), (422, code));
    }
    let post = rig.posted(&form, json!({"choice": "pay", "card": "04", "quota": "03"})).await;
    let answer = rig.form_json(get(&post, "authUrl"), &rig.approval(&post, 1)).await;
    assert_eq!(answer["CARD_Quota"], "03");
}

#[tokio::test]
async fn the_return_post_has_a_token_that_must_be_decoded_once_and_the_idc_only_on_request() {
    let rig = Rig::start().await;
    let post = rig.authenticate(MID, "O-1", "1000").await;
    let token = get(&post, "authToken");
    assert!(token.len() > 200 && ["+", "/", "="].iter().all(|c| token.contains(c)), "{token}");
    let idc = get(&post, "idc_name");
    assert!(["fc", "ks"].contains(&idc));
    assert_eq!(get(&post, "authUrl"), format!("https://{idc}stdpay.inicis.com/api/payAuth"));
    assert_eq!(get(&post, "netCancelUrl"), format!("https://{idc}stdpay.inicis.com/api/netCancel"));
    assert_eq!(get(&post, "orderNumber"), "O-1");
    assert_eq!(get(&post, "merchantData"), "checkout=1");
    let mut form = rig.form(MID, "O-2", "1000");
    unset(&mut form, "acceptmethod");
    assert_eq!(get(&rig.posted(&form, pay()).await, "idc_name"), "");
}

#[tokio::test]
async fn a_cancel_calls_close_url_or_without_one_posts_a_failure_without_token() {
    let rig = Rig::start().await;
    let mut form = rig.form(MID, "O-1", "1000");
    let (_, body) = rig.window(&form, json!({"choice": "cancel"})).await;
    assert_eq!(body, json!({"close_url": "https://shop.example.com/return/1/close"}));
    unset(&mut form, "closeUrl");
    for choice in ["cancel", "auth_fail"] {
        let post = rig.posted(&form, json!({ "choice": choice })).await;
        assert_ne!(get(&post, "resultCode"), "0000");
        assert_eq!((get(&post, "authToken"), get(&post, "merchantData")), ("", ""));
        assert_eq!(get(&post, "orderNumber"), "O-1");
    }
    assert!(rig.sales().await.is_empty());
    assert!(PAGE.starts_with("https://shop.example.com/"));
}
