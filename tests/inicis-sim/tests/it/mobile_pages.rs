//! What the phone's browser gets, and the hop to an app.

use reqwest::header;
use serde_json::json;

use crate::phone::with;
use crate::rig::{Pairs, Rig, pairs};

async fn open(rig: &Rig, form: &Pairs) -> String {
    let encode =
        |text: &str| form_urlencoded::byte_serialize(&encoding_rs::EUC_KR.encode(text).0).collect::<String>();
    let body: Vec<_> = form.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
    let request = rig.http.post(rig.url("/smart/payment/"));
    let request = request.header("content-type", "application/x-www-form-urlencoded").body(body.join("&"));
    request.send().await.unwrap().text().await.unwrap()
}

fn id(page: &str) -> &str {
    page.split("name=\"window\" value=\"").nth(1).unwrap().split('"').next().unwrap()
}

async fn press(rig: &Rig, page: &str, action: &str, more: &[(&str, &str)]) -> reqwest::Response {
    let mut fields = pairs([("window", id(page)), ("action", action)]);
    fields.extend(pairs(more.iter().copied()));
    rig.send(&rig.url("/smart/sim/choose"), &fields).await.unwrap()
}

fn has(page: &str, parts: &[&str]) {
    for part in parts {
        assert!(page.contains(part), "{part}: {page}");
    }
}

#[tokio::test]
async fn the_window_shows_what_the_request_asked_for() {
    let rig = Rig::start().await;
    let mut form = with(rig.phone_form("CARD", "O-1", "60000"), "P_QUOTABASE", "01:03");
    let reserved = "centerCd=Y&cp_yn=Y&merc_noint=Y&noint_quota=04-3";
    form = with(with(form, "P_RESERVED", reserved), "P_MNAME", "<b>가게</b>");
    form = with(with(form, "P_TAXFREE", "1000"), "P_ONLY_CARDCODE", "04:12");
    let page = open(&rig, &form).await;
    has(&page, &["60,000원", "테스트 상품", "data-testid=\"method-Card\"", "data-testid=\"method-EasyPay\""]);
    has(&page, &["3개월", "data-testid=\"points\"", "현대 3개월", "1,000원", "&#60;b&#62;", "카카오페이"]);
    assert!(!page.contains("12개월") && !page.contains(">신한<"), "{page}");
    let wrong = press(&rig, &page, "pay", &[("method", "Card"), ("card", "14")]).await.text().await.unwrap();
    has(&wrong, &["선택할 수 없는 카드사"]);
    let chosen = [("method", "Card"), ("card", "04"), ("quota", "03")];
    let left = press(&rig, &page, "pay", &chosen).await.text().await.unwrap();
    has(&left, &["target=\"_self\"", "accept-charset=\"EUC-KR\"", "name=\"P_TID\"", "name=\"P_REQ_URL\""]);
    assert!(!left.contains("P_OID"), "{left}");
    let again = press(&rig, &page, "pay", &chosen).await.text().await.unwrap();
    has(&again, &["SIM:CLOSED"]);
    assert_eq!(rig.sales().await[0]["means"]["interest_free"], true);
}

#[tokio::test]
async fn the_app_hop_returns_cancels_or_never_comes_back() {
    let rig = Rig::start().await;
    let reserved = "centerCd=Y&twotrs_isp=Y&app_scheme=myshop://";
    let form = with(rig.phone_form("CARD", "O-1", "1000"), "P_RESERVED", reserved);
    for (button, part) in
        [("app-pay", "name=\"P_TID\""), ("app-cancel", "(091)"), ("app-lost", "data-testid=\"lost\"")]
    {
        let page = open(&rig, &form).await;
        let picked = [("method", "EasyPay"), ("wallet", "O"), ("card", "97"), ("quota", "00")];
        let app = press(&rig, &page, "app", &picked).await.text().await.unwrap();
        has(&app, &["data-testid=\"app-page\"", "앱에서 결제", "myshop://", "data-testid=\"app-lost\""]);
        assert_eq!(id(&app), id(&page), "the window is still open");
        let left = press(&rig, &app, button, &picked).await.text().await.unwrap();
        has(&left, &[part]);
    }
    let sales = rig.sales().await;
    assert_eq!(sales.len(), 2, "the lost one was authenticated too");
    assert!(sales.iter().all(|sale| sale["state"] == "authenticated" && sale["means"]["wallet"] == "O"));
}

#[tokio::test]
async fn the_api_plays_the_same_hops() {
    let rig = Rig::start().await;
    let (_, body) = rig.window(&rig.phone_form("CARD", "O-1", "1000"), json!({"choice": "app_lost"})).await;
    assert_eq!(body, json!({"lost": true}));
    let (status, body) =
        rig.window(&rig.form(crate::rig::MID, "O-2", "1000"), json!({"choice": "abnormal"})).await;
    assert_eq!((status.as_u16(), body["refused"]["code"].as_str()), (422, Some("SIM:CHOICE")));
}

#[tokio::test]
async fn a_refused_form_and_one_transaction_in_the_browser() {
    let rig = Rig::start().await;
    let page = open(&rig, &with(rig.phone_form("CARD", "O-1", "1000"), "P_MID", "nobody0000")).await;
    has(&page, &["MX2001", "결제를 진행할 수 없습니다"]);
    let form = with(rig.phone_form("BANK", "O-2", "1000"), "P_RETURN_URL", "https://shop.example.com/wait");
    let page = open(&rig, &with(form, "P_RESERVED", "centerCd=Y")).await;
    let answer = press(&rig, &page, "pay", &[("method", "DirectBank"), ("bank", "88")]).await;
    assert_eq!(answer.status().as_u16(), 303);
    assert_eq!(answer.headers()[header::LOCATION], "https://shop.example.com/wait");
    let events = rig.http.get(rig.url("/_sim/events")).send().await.unwrap().text().await.unwrap();
    assert!(events.contains("mobile_window"), "{events}");
}
