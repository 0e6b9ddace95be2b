//! The phone's request, authentication result, approval and net cancel.

use encoding_rs::EUC_KR;
use inicis_sim::hash;
use serde_json::{Value, json};

use crate::phone::{HASH_KEY, text_pairs, with};
use crate::rig::{LOOKUP, MID, Rig, get, pairs, set, unset};

#[tokio::test]
async fn each_wrong_field_of_a_phone_has_its_code() {
    let rig = Rig::start().await;
    let table = [
        ("P_AMT", "", "MX1003"),
        ("P_AMT", "1,000", "MX3001"),
        ("P_AMT", "1000won", "MX3001"),
        ("P_MID", "nobody0000", "MX2001"),
        ("P_MID", "short", "MX2001"),
        ("P_MID", "", "MX2001"),
        ("P_HPP_METHOD", "3", "MX1006"),
        ("P_HPP_METHOD", "", "MX1006"),
        ("P_TAX", "1e2", "MX3001"),
        ("P_TAX", "101", "500656"),
        ("P_INI_PAYMENT", "PHONE", "SIM:METHOD"),
        ("P_INI_PAYMENT", "ESCROWCONFIRM", "SIM:LATER"),
        ("P_OID", "", "SIM:FIELD"),
        ("P_GOODS", "", "SIM:FIELD"),
        ("P_NEXT_URL", "shop.example.com/return", "SIM:FIELD"),
        ("P_NEXT_URL", "shop://return", "SIM:FIELD"),
        ("P_CHARSET", "UTF-8", "SIM:FIELD"),
        ("P_CHKFAKE", "", "500633"),
        ("P_CHKFAKE", "AAAA", "500632"),
        ("P_TIMESTAMP", "20260101000000", "SIM:TIME"),
        ("P_RESERVED", "centerCd(Y)", "SIM:RESERV"),
        ("P_RESERVED", "useescrow=Y", "SIM:LATER"),
        ("P_RESERVED", "d_card=99&below1000=Y", "SIM:FIELD"),
        ("P_QUOTABASE", "2-3", "SIM:FIELD"),
        ("P_ONLY_CARDCODE", "99", "SIM:FIELD"),
        ("P_CARD_OPTION", "14", "SIM:FIELD"),
        ("P_OFFER_PERIOD", "20260101-20260201", "SIM:FIELD"),
    ];
    for (name, value, code) in table {
        let payment = if name == "P_HPP_METHOD" { "MOBILE" } else { "CARD" };
        let form = with(rig.phone_form(payment, "O-1", "1000"), name, value);
        assert_eq!(rig.refusal(&form).await, code, "{name}={value}");
    }
    let cards_only = with(rig.phone_form("BANK", "O-1", "1000"), "P_MID", "INIcardonl");
    assert_eq!(rig.refusal(&cards_only).await, "MX2002");
    let mut vbank = rig.phone_form("VBANK", "O-1", "1000");
    unset(&mut vbank, "P_NOTI_URL");
    assert_eq!(rig.refusal(&vbank).await, "SIM:FIELD");
    let mut twice = rig.phone_form("CARD", "O-1", "1000");
    twice.push(("P_OID".to_owned(), "O-1".to_owned()));
    assert_eq!(rig.refusal(&twice).await, "SIM:TWICE");
    let small = with(rig.phone_form("CARD", "O-1", "999"), "P_RESERVED", "centerCd=Y");
    assert_eq!(rig.refusal(&small).await, "500608");
}

#[tokio::test]
async fn chkfake_counts_only_with_amt_hash() {
    let rig = Rig::start().await;
    let mut form = rig.phone_form("CARD", "O-1", "1000");
    unset(&mut form, "P_CHKFAKE");
    unset(&mut form, "P_TIMESTAMP");
    set(&mut form, "P_RESERVED", "centerCd=Y");
    let post = rig.phone_posted(&form, json!({"choice": "pay"})).await;
    assert_eq!(get(&post, "P_STATUS"), "00");
}

#[tokio::test]
async fn lengths_count_in_the_charset_of_the_transmission() {
    let rig = Rig::start().await;
    // 15 syllables are 30 bytes in EUC-KR and 45 in UTF-8.
    let name = "가".repeat(15);
    let form = with(rig.phone_form("CARD", "O-1", "1000"), "P_UNAME", &name);
    rig.phone_posted(&form, json!({"choice": "pay"})).await;
    // P_CHARSET says nothing of the form.
    rig.phone_posted(&with(form, "P_CHARSET", "utf8"), json!({"choice": "pay"})).await;
    let long = with(rig.phone_form("CARD", "O-1", "1000"), "P_UNAME", &"가".repeat(16));
    assert_eq!(rig.refusal(&long).await, "SIM:LENGTH");
    for (field, length) in [("P_OID", 41), ("P_AMT", 9), ("P_GOODS", 81), ("P_NOTI", 801)] {
        let form = with(rig.phone_form("CARD", "O-1", "1000"), field, &"1".repeat(length));
        assert_eq!(rig.refusal(&form).await, "SIM:LENGTH", "{field}");
    }
}

#[tokio::test]
async fn a_phones_form_is_euc_kr_and_p_charset_is_the_charset_of_the_results() {
    let rig = Rig::start().await;
    let form = rig.phone_form("CARD", "O-1", "1000");
    for charset in ["", "euc-kr", "utf8"] {
        let form = with(form.clone(), "P_CHARSET", charset);
        let body = json!({"fields": form, "choice": "pay", "form_charset": "UTF-8"});
        let answer: Value = rig.post_control("/_sim/window", &body).await.json().await.unwrap();
        assert_eq!(answer["refused"]["code"], "SIM:CHARS", "{charset}");
    }

    for (charset, utf8, name) in [("", false, "EUC-KR"), ("utf8", true, "UTF-8")] {
        let form = with(with(form.clone(), "P_CHARSET", charset), "P_UNAME", "똠방각하");
        let (_, body) = rig.window(&form, json!({"choice": "pay"})).await;
        assert_eq!(body["charset"], name);
        let post: crate::rig::Pairs = serde_json::from_value(body["fields"].clone()).unwrap();
        let request = pairs([("P_MID", MID), ("P_TID", get(&post, "P_TID"))]);
        let bytes = rig.send(get(&post, "P_REQ_URL"), &request).await.unwrap().bytes().await.unwrap();
        let text = if utf8 {
            String::from_utf8(bytes.to_vec()).unwrap()
        } else {
            EUC_KR.decode(&bytes).0.into_owned()
        };
        assert_eq!(get(&text_pairs(&text), "P_UNAME"), "똠방각하");
    }
}

#[tokio::test]
async fn the_authentication_result_has_no_order_number_and_the_idc_only_on_request() {
    let rig = Rig::start().await;
    let post = rig.phone_auth("CARD", "O-1", "1000").await;
    let names: Vec<_> = post.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["P_STATUS", "P_RMESG1", "P_TID", "P_REQ_URL", "P_AMT", "P_NOTI", "idc_name"]);
    let tid = get(&post, "P_TID");
    assert_eq!((tid.len(), &tid[..20]), (40, "INIMX_AUTHINIpayTest"));
    let idc = get(&post, "idc_name");
    assert_eq!(get(&post, "P_REQ_URL"), format!("https://{idc}mobile.inicis.com/smart/payReq.ini"));
    assert_eq!((get(&post, "P_NOTI"), get(&post, "P_AMT")), ("checkout=1", "1000"));
    let form = with(rig.phone_form("CARD", "O-2", "1000"), "P_RESERVED", "amt_hash=Y");
    let post = rig.phone_posted(&form, json!({"choice": "pay"})).await;
    assert_eq!(get(&post, "idc_name"), "");
}

#[tokio::test]
async fn each_way_to_fail_is_status_01_with_its_text() {
    let rig = Rig::start().await;
    let form = rig.phone_form("BANK", "O-1", "1000");
    for (choice, part) in [("cancel", "취소"), ("app_cancel", "(091)"), ("auth_fail", "인증")] {
        let post = rig.phone_posted(&form, json!({ "choice": choice })).await;
        assert_eq!((get(&post, "P_STATUS"), get(&post, "P_TID")), ("01", ""), "{choice}");
        assert!(get(&post, "P_RMESG1").contains(part), "{post:?}");
    }
    let post = rig.phone_posted(&form, json!({"choice": "abnormal"})).await;
    assert_eq!((get(&post, "P_STATUS"), get(&post, "P_RMESG1")), ("01", ""));
    assert!(post.iter().any(|(name, _)| name == "P_RMESG1"), "present and empty");
    assert!(rig.sales().await.is_empty());
}

#[tokio::test]
async fn approval_takes_a_form_multipart_and_a_query_and_has_another_tid() {
    let rig = Rig::start().await;
    for (way, oid) in [("form", "O-1"), ("multipart", "O-2"), ("query", "O-3")] {
        let post = rig.phone_auth("CARD", oid, "1000").await;
        let (url, tid) = (get(&post, "P_REQ_URL"), get(&post, "P_TID"));
        let fields = pairs([("P_MID", MID), ("P_TID", tid)]);
        let request = match way {
            "form" => rig.send(url, &fields).await,
            "multipart" => {
                let body = format!(
                    "--xyz\r\nContent-Disposition: form-data; name=\"P_MID\"\r\n\r\n{MID}\r\n\
                     --xyz\r\nContent-Disposition: form-data; name=\"P_TID\"\r\n\r\n{tid}\r\n--xyz--\r\n"
                );
                let kind = "multipart/form-data; boundary=xyz";
                rig.http.post(url).header("content-type", kind).body(body).send().await
            }
            _ => rig.http.post(format!("{url}?{}", crate::rig::encode(&fields))).send().await,
        };
        let bytes = request.unwrap().bytes().await.unwrap();
        let answer = text_pairs(&EUC_KR.decode(&bytes).0);
        assert_eq!((get(&answer, "P_STATUS"), get(&answer, "P_OID")), ("00", oid), "{way}");
        assert_eq!(&get(&answer, "P_TID")[..20], "INIMX_CARDINIpayTest");
        assert_eq!(get(&answer, "P_AUTH_DT").len(), 14);
    }
}

#[tokio::test]
async fn an_approval_is_written_as_captured_answers_are() {
    let rig = Rig::start().await;
    let mut form = with(rig.phone_form("CARD", "O-1", "60000"), "P_UNAME", "정가&&희나");
    form = with(form, "P_NEXT_URL", "https://shop.example.com/return/1?a=b&c=%2525");
    form = with(form, "P_RESERVED", "centerCd=Y&cp_yn=Y");
    let (_, body) = rig.window(&form, json!({"choice": "pay", "card": "04", "points": 1000})).await;
    let post: crate::rig::Pairs = serde_json::from_value(body["fields"].clone()).unwrap();
    assert_eq!(get(&post, "P_RMESG1"), "정상 처리 되었습니다.");
    let request = pairs([("P_MID", MID), ("P_TID", get(&post, "P_TID"))]);
    let bytes = rig.send(get(&post, "P_REQ_URL"), &request).await.unwrap().bytes().await.unwrap();
    let text = EUC_KR.decode(&bytes).0.into_owned();
    assert!(text.starts_with("P_STATUS=00&P_AUTH_DT="), "{text}");
    for part in [
        "&P_RMESG1=성공적으로 처리 하였습니다.&P_RMESG2=00&P_TID=INIMX_CARD",
        "&P_AMT=60000&P_TYPE=CARD&P_UNAME=정가&&희나&P_MID=INIpayTest&P_OID=O-1&P_NOTI=checkout=1",
        "&P_NEXT_URL=https://shop.example.com/return/1?a=b&c=%2525&P_MNAME=",
        // base64 of `usepoint=1000&`.
        "&P_MERCHANT_RESERVED=dXNlcG9pbnQ9MTAwMCY%3D&P_CARD_APPLPRICE=59000&P_CARD_USEPOINT=1000&EventCode=",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[tokio::test]
async fn a_missing_or_foreign_tid_a_reuse_and_a_wrong_place_are_told_in_words() {
    let rig = Rig::start().await;
    let post = rig.phone_auth("CARD", "O-1", "1000").await;
    let (url, tid) = (get(&post, "P_REQ_URL"), get(&post, "P_TID"));
    let say = async |fields: crate::rig::Pairs| {
        let answer = rig.phone_call(url, &fields).await;
        assert_eq!(get(&answer, "P_STATUS"), "01");
        get(&answer, "P_RMESG1").to_owned()
    };
    assert!(say(pairs([("P_MID", MID)])).await.contains("누락"));
    assert!(say(pairs([("P_TID", tid)])).await.contains("누락"));
    assert!(say(pairs([("P_MID", LOOKUP), ("P_TID", tid)])).await.contains("일치하지 않습니다"));
    assert!(say(pairs([("P_MID", MID), ("P_TID", "x")])).await.contains("일치하지 않습니다"));
    assert_eq!(rig.sales().await[0]["state"], "authenticated");
    rig.phone_approve(&post).await;
    assert!(say(pairs([("P_MID", MID), ("P_TID", tid)])).await.starts_with("SIM:REUSE"));

    let post = rig.phone_auth("CARD", "O-2", "1000").await;
    let other = if get(&post, "idc_name") == "fc" { "ks" } else { "fc" };
    let url = format!("https://{other}mobile.inicis.com/smart/payReq.ini");
    let answer = rig.phone_call(&url, &pairs([("P_MID", MID), ("P_TID", get(&post, "P_TID"))])).await;
    assert!(get(&answer, "P_RMESG1").starts_with("SIM:IDC"));
    // The two sides do not know each other's tokens.
    let pc = rig.authenticate(MID, "O-3", "1000").await;
    let mut crossed = rig.approval(&pc, 1);
    set(&mut crossed, "authToken", tid);
    assert_eq!(rig.form_json(get(&pc, "authUrl"), &crossed).await["resultCode"], "SIM:TOKEN");
}

#[tokio::test]
async fn a_planned_decline_uses_the_authentication_up() {
    let rig = Rig::start().await;
    let form = rig.phone_form("CARD", "O-1", "1000");
    let post = rig.phone_posted(&form, json!({"choice": "decline", "card": "12", "code": "500644"})).await;
    let answer = rig.phone_approve(&post).await;
    assert_eq!(get(&answer, "P_STATUS"), "01");
    assert!(get(&answer, "P_RMESG1").starts_with("500644"), "{answer:?}");
    assert!(get(&rig.phone_approve(&post).await, "P_RMESG1").starts_with("SIM:REUSE"));
}

#[tokio::test]
async fn a_net_cancel_is_proved_by_chkfake_and_strikes_once() {
    let rig = Rig::start().await;
    let post = rig.phone_auth("CARD", "O-1", "1000").await;
    let (url, fields) = rig.phone_net_cancel(&post, "O-1");
    let early = rig.phone_call(&url, &fields).await;
    assert!(get(&early, "P_RMESG1").starts_with("SIM:NOSALE"));
    rig.phone_approve(&post).await;
    let table = [
        ("P_OID", "O-2", "SIM:ORDER"),
        ("P_AMT", "999", "500610"),
        ("P_CHKFAKE", "", "500633"),
        ("P_CHKFAKE", "x", "500632"),
        ("P_TIMESTAMP", "1", "SIM:TIME"),
        ("P_MID", LOOKUP, "MID"),
    ];
    for (name, value, code) in table {
        let answer = rig.phone_call(&url, &with(fields.clone(), name, value)).await;
        assert!(get(&answer, "P_RMESG1").starts_with(code), "{name}: {answer:?}");
    }
    let hex_key = hash::chkfake("1000", "O-1", get(&fields, "P_TIMESTAMP"), &HASH_KEY.to_lowercase());
    let wrong = rig.phone_call(&url, &with(fields.clone(), "P_CHKFAKE", &hex_key)).await;
    assert!(get(&wrong, "P_RMESG1").starts_with("500632"));
    let done = rig.phone_call(&url, &fields).await;
    assert_eq!((get(&done, "P_STATUS"), get(&done, "P_TID")), ("00", get(&post, "P_TID")));
    assert_eq!(rig.sales().await[0]["state"], "net_cancelled");
    let again = rig.phone_call(&url, &fields).await;
    assert!(get(&again, "P_RMESG1").starts_with("SIM:TWICE"));
}

#[tokio::test]
async fn one_transaction_books_at_once_and_the_browser_goes_to_return_url_without_data() {
    let rig = Rig::start().await;
    for (payment, card, oid) in [("CARD", "11", "O-1"), ("BANK", "", "O-2")] {
        let mut form = with(rig.phone_form(payment, oid, "1000"), "P_RESERVED", "amt_hash=Y");
        let (_, body) = rig.window(&form, json!({"choice": "pay", "card": card})).await;
        assert_eq!(body["refused"]["code"], "SIM:FIELD", "P_RETURN_URL is missing");
        set(&mut form, "P_RETURN_URL", "https://shop.example.com/wait");
        let (_, body) = rig.window(&form, json!({"choice": "pay", "card": card})).await;
        assert_eq!(body, json!({"go_url": "https://shop.example.com/wait"}));
    }
    assert!(rig.sales().await.iter().all(|sale| sale["state"] == "approved"));
}
