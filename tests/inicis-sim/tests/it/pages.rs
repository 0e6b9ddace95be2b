//! What the buyer's browser gets.

use reqwest::header;

use crate::rig::{MID, PAGE, Pairs, Rig, encode, pairs, set, unset};

async fn open(rig: &Rig, form: &Pairs) -> String {
    let mut form = form.clone();
    set(&mut form, "requestByJs", "true");
    let kind = "application/x-www-form-urlencoded";
    let request =
        rig.http.post(rig.url("/payMain/pay")).header("content-type", kind).header(header::REFERER, PAGE);
    request.body(encode(&form)).send().await.unwrap().text().await.unwrap()
}

async fn choose(rig: &Rig, page: &str, more: &[(&str, &str)]) -> reqwest::Response {
    let id = page.split("name=\"window\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    let mut fields = pairs([("window", id)]);
    fields.extend(pairs(more.iter().copied()));
    rig.send(&rig.url("/payMain/sim/choose"), &fields).await.unwrap()
}

#[tokio::test]
async fn the_window_shows_the_order_and_posts_to_the_top_window() {
    let rig = Rig::start().await;
    let mut form = rig.form(MID, "O-1", "60000");
    set(&mut form, "goodname", "<b>따옴표\"</b>");
    set(&mut form, "charset", "EUC-KR");
    let page = open(&rig, &form).await;
    for part in
        ["60,000원", "data-testid=\"pay\"", "data-testid=\"cancel\"", "12개월", "&#60;b&#62;", "시뮬레이터"]
    {
        assert!(page.contains(part), "{part}: {page}");
    }
    let chosen = [("action", "pay"), ("outcome", "pay"), ("card", "14"), ("quota", "00")];
    let wrong = choose(&rig, &page, &[("action", "pay"), ("card", "06"), ("quota", "00")])
        .await
        .text()
        .await
        .unwrap();
    assert!(wrong.contains("국민카드를 사용할 수 없습니다"), "{wrong}");
    let left = choose(&rig, &page, &chosen).await.text().await.unwrap();
    for part in ["target=\"_top\"", "accept-charset=\"EUC-KR\"", "name=\"authToken\"", "name=\"idc_name\""] {
        assert!(left.contains(part), "{part}: {left}");
    }
    let again = choose(&rig, &page, &chosen).await.text().await.unwrap();
    assert!(again.contains("SIM:CLOSED"), "{again}");
    assert_eq!(rig.sales().await.len(), 1);
}

#[tokio::test]
async fn a_cancel_sends_the_frame_to_close_url_or_posts_a_failure() {
    let rig = Rig::start().await;
    let mut form = rig.form(MID, "O-1", "1000");
    let page = open(&rig, &form).await;
    let answer = choose(&rig, &page, &[("action", "cancel")]).await;
    assert_eq!(answer.status().as_u16(), 303);
    assert_eq!(answer.headers()[header::LOCATION], "https://shop.example.com/return/1/close");
    unset(&mut form, "closeUrl");
    let page = open(&rig, &form).await;
    let left = choose(&rig, &page, &[("action", "cancel")]).await.text().await.unwrap();
    assert!(left.contains("SIM:CANCEL") && !left.contains("authToken"), "{left}");
}

#[tokio::test]
async fn a_refused_form_gets_a_korean_page_with_the_code() {
    let rig = Rig::start().await;
    let mut form = rig.form(MID, "O-1", "1000");
    set(&mut form, "returnUrl", "https://www.shop.example.com/return/1");
    let page = open(&rig, &form).await;
    assert!(page.contains("V023") && page.contains("결제를 진행할 수 없습니다"), "{page}");
}

#[tokio::test]
async fn scripts_and_the_control_page_are_served() {
    let rig = Rig::start().await;
    rig.sale(MID, "O-1", "1000").await;
    for (path, part) in [
        ("/stdjs/INIStdPay.js", "inipay_iframe"),
        ("/stdjs/INIStdPay_close.js", "inipay_overlay"),
        ("/_sim/", "거래 장부"),
    ] {
        let answer = rig.http.get(rig.url(path)).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 200, "{path}");
        assert!(answer.text().await.unwrap().contains(part), "{path}");
    }
    let gateway = rig.http.get("https://stdpay.inicis.com/stdjs/INIStdPay.js").send().await.unwrap();
    assert_eq!(gateway.status().as_u16(), 200);
    assert_eq!(rig.http.get("https://stdpay.inicis.com/_sim/").send().await.unwrap().status().as_u16(), 404);
}

#[tokio::test]
async fn the_window_shows_language_skin_logo_and_taxes() {
    let rig = Rig::start().await;
    let mut form = rig.form(MID, "O-1", "60000");
    for (name, value) in [
        ("languageView", "en"),
        ("acceptmethod", "centerCd(Y):SKIN(#2255AA):HPP(2)"),
        ("gopaymethod", "Card:DirectBank:HPP"),
        ("logo_url", "https://shop.example.com/logo.png"),
        ("tax", "5000"),
        ("taxfree", "5000"),
        ("offerPeriod", "M2"),
    ] {
        set(&mut form, name, value);
    }
    let page = open(&rig, &form).await;
    for part in
        ["lang=\"en\"", "Bank transfer", "Single payment", "background:#2255AA", "logo.png", "5,000원", "M2"]
    {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(!page.contains("method-VBank"), "{page}");
    set(&mut form, "acceptmethod", "SKIN(red;x:y)");
    set(&mut form, "gopaymethod", "Card");
    assert!(!open(&rig, &form).await.contains("background:red"));
}
