//! The shop's promises, over its router, with a payhost that the test plays.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failure here is a failed test")]

mod fake;

use axum::http::StatusCode;
use fake::{Browser, FakePayhost, GOOD_BUYER, placed_order};
use serde_json::json;

#[tokio::test]
async fn an_order_is_made_and_opened_with_the_catalogues_prices() {
    let payhost = FakePayhost::start().await;
    let browser = Browser::new(&payhost);
    browser.post("/cart/add", "product=1&price=1").await;
    browser.post("/cart/add", "product=2").await;
    let form = browser.checkout_form().await;
    let made = browser.post("/orders", &format!("form={form}&{GOOD_BUYER}&total=1&price=1")).await;
    assert_eq!(made.status, StatusCode::SEE_OTHER);
    let order = made.location.strip_prefix("/orders/").unwrap().to_owned();
    assert!(browser.get("/cart").await.body.contains("cart-empty"));

    let opened = browser.post(&format!("/orders/{order}/payment"), "amount=1").await;
    let opened: serde_json::Value = serde_json::from_str(&opened.body).unwrap();
    assert_eq!(opened["client_token"], "ct_1");
    let (key, asked) = payhost.created();
    assert_eq!(key, "Bearer sk_test_shop");
    assert_eq!(
        asked,
        json!({
            "order_id": order,
            "order_name": "수제 잼 외 1건",
            "amount": { "total": 20_900, "currency": "KRW" },
            "buyer": { "name": "홍길동", "email": "gildong@example.com", "phone": "010-1234-5678" },
            "return_url": format!("http://shop.test/orders/{order}"),
            "language": "ko",
            "method": { "kind": "card", "provider": null },
            "replace": true,
        })
    );
}

#[tokio::test]
async fn the_method_of_the_form_is_asked_for_and_may_be_changed_before_the_order_is_paid() {
    let payhost = FakePayhost::start().await;
    let browser = Browser::new(&payhost);
    browser.post("/cart/add", "product=1").await;
    let form = browser.checkout_form().await;
    let made = browser.post("/orders", &format!("form={form}&{GOOD_BUYER}&method=transfer")).await;
    let order = made.location.strip_prefix("/orders/").unwrap().to_owned();
    for (chosen, kind, provider) in [
        ("", "transfer", None),
        ("method=kakaopay", "easy_pay", Some("kakaopay")),
        // Nobody but a forger sends this: the order's own stays.
        ("method=gold", "easy_pay", Some("kakaopay")),
    ] {
        browser.post(&format!("/orders/{order}/payment"), chosen).await;
        let (_, asked) = payhost.created();
        assert_eq!(asked["method"], json!({"kind": kind, "provider": provider}), "{chosen}");
    }
}

#[tokio::test]
async fn the_same_form_sent_twice_is_one_order() {
    let payhost = FakePayhost::start().await;
    let browser = Browser::new(&payhost);
    browser.post("/cart/add", "product=3").await;
    let body = format!("form={}&{GOOD_BUYER}", browser.checkout_form().await);
    let first = browser.post("/orders", &body).await;
    let second = browser.post("/orders", &body).await;
    assert_eq!(first.location, second.location);
}

#[tokio::test]
async fn what_was_typed_is_kept_when_it_is_wrong() {
    let payhost = FakePayhost::start().await;
    let browser = Browser::new(&payhost);
    browser.post("/cart/add", "product=1").await;
    let form = browser.checkout_form().await;
    let page = browser.post("/orders", &format!("form={form}&name=&email=gildong%40&phone=%3Cb%3E")).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    for part in
        ["error-name", "error-email", "error-phone", "value=\"gildong@\"", "value=\"&#60;b&#62;\"", &form]
    {
        assert!(page.body.contains(part), "{part}");
    }
    assert!(browser.get("/orders").await.body.contains("orders-empty"));
}

#[tokio::test]
async fn an_order_of_another_session_is_not_found() {
    let payhost = FakePayhost::start().await;
    let browser = Browser::new(&payhost);
    let order = placed_order(&browser).await;
    let stranger = browser.stranger();
    for answer in [
        stranger.get(&format!("/orders/{order}")).await,
        stranger.get(&format!("/orders/{order}/cancel")).await,
        stranger.post(&format!("/orders/{order}/payment"), "").await,
        stranger.post(&format!("/orders/{order}/pay"), "").await,
        stranger.post(&format!("/orders/{order}/cancel"), "").await,
    ] {
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
    }
    assert!(stranger.get("/orders").await.body.contains("orders-empty"));
}

#[tokio::test]
async fn only_payhosts_answer_makes_an_order_paid() {
    let payhost = FakePayhost::start().await;
    let browser = Browser::new(&payhost);
    let order = placed_order(&browser).await;
    browser.post(&format!("/orders/{order}/payment"), "").await;
    let page = format!("/orders/{order}?payment_id=pay_1&result=paid");
    assert!(browser.get(&page).await.body.contains("data-state=\"payment_due\""));

    payhost.pay(1_000);
    let page = browser.get(&page).await.body;
    for part in ["data-state=\"paid\"", "30012345", "신한카드", "일시불", "cancel-order"] {
        assert!(page.contains(part), "{part}");
    }
}

#[tokio::test]
async fn a_payment_of_another_amount_does_not_settle_the_order() {
    let payhost = FakePayhost::start().await;
    let browser = Browser::new(&payhost);
    let order = placed_order(&browser).await;
    browser.post(&format!("/orders/{order}/payment"), "").await;
    payhost.pay(10);
    assert!(browser.get(&format!("/orders/{order}")).await.body.contains("data-state=\"checking\""));
}

#[tokio::test]
async fn a_closed_window_and_a_decline_are_told_and_the_order_stays_payable() {
    let payhost = FakePayhost::start().await;
    let browser = Browser::new(&payhost);
    let order = placed_order(&browser).await;
    for (result, words) in
        [("cancelled_by_buyer", "결제창을 닫으셨습니다"), ("failed", "결제가 완료되지 않았습니다")]
    {
        let page = browser.get(&format!("/orders/{order}?result={result}")).await.body;
        assert!(page.contains(words) && page.contains("data-testid=\"pay\""), "{result}");
    }
}

#[tokio::test]
async fn when_payhost_is_down_it_is_said_and_nothing_is_lost() {
    let payhost = FakePayhost::start().await;
    let browser = Browser::new(&payhost);
    let order = placed_order(&browser).await;
    browser.post(&format!("/orders/{order}/payment"), "").await;
    payhost.pay(1_000);
    browser.get(&format!("/orders/{order}")).await;

    payhost.stop();
    let page = browser.get(&format!("/orders/{order}")).await.body;
    assert!(
        page.contains("data-testid=\"stale\"")
            && page.contains("data-state=\"paid\"")
            && page.contains("30012345")
    );

    let second = placed_order(&browser).await;
    let answer = browser.post(&format!("/orders/{second}/payment"), "").await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
    assert!(answer.body.contains("결제 서비스에 연결할 수 없습니다"));
    let answer = browser.post(&format!("/orders/{second}/pay"), "").await;
    assert!(
        answer.body.contains("결제 서비스에 연결할 수 없습니다")
            && answer.body.contains("data-testid=\"pay\"")
    );
}

#[tokio::test]
async fn a_repeated_cancel_has_the_same_key_until_it_is_refused() {
    let payhost = FakePayhost::start().await;
    let browser = Browser::new(&payhost);
    let order = placed_order(&browser).await;
    browser.post(&format!("/orders/{order}/payment"), "").await;
    payhost.pay(1_000);
    browser.get(&format!("/orders/{order}")).await;
    let cancel = format!("/orders/{order}/cancel");
    assert!(browser.get(&cancel).await.body.contains("confirm-cancel"));

    payhost.answer_cancel(500);
    assert!(browser.post(&cancel, "").await.body.contains("두 번 취소되지 않습니다"));
    payhost.answer_cancel(402);
    assert!(browser.post(&cancel, "").await.body.contains("정산 잔액이 부족합니다"));
    payhost.answer_cancel(200);
    assert_eq!(browser.post(&cancel, "").await.status, StatusCode::SEE_OTHER);
    assert!(browser.get(&format!("/orders/{order}")).await.body.contains("data-state=\"cancelled\""));
    assert_eq!(payhost.cancel_keys(), ["cancel-pay_1-1", "cancel-pay_1-1", "cancel-pay_1-2"]);

    browser.post(&cancel, "").await;
    assert_eq!(payhost.cancel_keys().len(), 3, "a cancelled order is not cancelled again");
}

#[tokio::test]
async fn an_unpaid_order_that_is_cancelled_gives_its_payment_up() {
    let payhost = FakePayhost::start().await;
    let browser = Browser::new(&payhost);
    let order = placed_order(&browser).await;
    let (page, cancel) = (format!("/orders/{order}"), format!("/orders/{order}/cancel"));
    assert!(!browser.get(&page).await.body.contains("cancel-order"), "nothing was opened yet");
    browser.post(&format!("/orders/{order}/pay"), "").await;
    assert!(browser.get(&page).await.body.contains("cancel-order"));
    let asked = browser.get(&cancel).await.body;
    assert!(asked.contains("아직 결제된 금액이 없습니다") && asked.contains("confirm-cancel"), "{asked}");
    payhost.answer_cancel(200);
    assert_eq!(browser.post(&cancel, "").await.status, StatusCode::SEE_OTHER);
    assert!(browser.get(&page).await.body.contains("data-state=\"cancelled\""));
    let body = &payhost.cancel_bodies()[0];
    assert_eq!((&body["only_unpaid"], &body["close_account"]), (&json!(true), &json!(true)));
    assert_eq!(payhost.cancel_keys(), ["give-up-pay_1-1"]);
}

#[tokio::test]
async fn another_sites_page_cannot_post_in_the_buyers_name() {
    let payhost = FakePayhost::start().await;
    let browser = Browser::new(&payhost);
    for (header, value, status) in [
        ("origin", "https://evil.example", StatusCode::FORBIDDEN),
        ("origin", "null", StatusCode::FORBIDDEN),
        ("sec-fetch-site", "cross-site", StatusCode::FORBIDDEN),
        ("sec-fetch-site", "same-site", StatusCode::FORBIDDEN),
        ("sec-fetch-site", "same-origin", StatusCode::SEE_OTHER),
        ("origin", "http://shop.test", StatusCode::SEE_OTHER),
    ] {
        let answer = browser.post_with("/cart/add", "product=1", Some((header, value))).await;
        assert_eq!(answer.status, status, "{header}: {value}");
    }
}

#[tokio::test]
async fn the_cart_takes_only_sensible_amounts() {
    let payhost = FakePayhost::start().await;
    let browser = Browser::new(&payhost);
    browser.post("/cart/add", "product=1").await;
    for wrong in ["-1", "100", "many", "1.5", "99999999999999999999"] {
        let answer = browser.post("/cart/set", &format!("product=1&quantity={wrong}")).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{wrong}");
    }
    browser.post("/cart/set", "product=1&quantity=3").await;
    assert!(browser.get("/cart").await.body.contains("data-amount=\"26700\""));
    browser.post("/cart/set", "product=1&quantity=0").await;
    assert!(browser.get("/cart").await.body.contains("cart-empty"));
    assert_eq!(browser.post("/cart/add", "product=99").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn english_is_remembered() {
    let payhost = FakePayhost::start().await;
    let browser = Browser::new(&payhost);
    let answer = browser.get("/?lang=en").await;
    assert!(answer.body.contains("Handmade jam") && answer.body.contains("lang=\"en\""));
    assert!(
        answer.cookies.iter().any(|cookie| cookie.starts_with("shop_lang=en") && cookie.contains("HttpOnly"))
    );
}

#[tokio::test]
async fn carts_and_orders_survive_a_restart() {
    let payhost = FakePayhost::start().await;
    let browser = Browser::new(&payhost);
    let order = placed_order(&browser).await;
    browser.post("/cart/add", "product=2").await;
    let again = browser.restarted(&payhost);
    assert!(again.get("/orders").await.body.contains(&order));
    assert!(again.get("/cart").await.body.contains("data-amount=\"12000\""));
}

/// `webhook-id`, `webhook-timestamp` and `webhook-signature` of a body.
fn signed(secret: &str, body: &str) -> Vec<(&'static str, String)> {
    let now = jiff::Timestamp::now().as_second();
    let signature =
        standardwebhooks::Webhook::new(secret).unwrap().sign("evt_1", now, body.as_bytes()).unwrap();
    vec![
        ("webhook-id", "evt_1".to_owned()),
        ("webhook-timestamp", now.to_string()),
        ("webhook-signature", signature),
    ]
}

#[tokio::test]
async fn a_signed_webhook_brings_the_order_up_to_date_and_any_other_does_nothing() {
    let payhost = FakePayhost::start().await;
    let browser = Browser::new(&payhost);
    let order = placed_order(&browser).await;
    browser.post(&format!("/orders/{order}/payment"), "").await;
    payhost.pay(1_000);
    let body =
        json!({"id": "evt_1", "type": "payment.paid", "data": {"sequence": 4, "payment": {"id": "pay_1"}}});
    let body = body.to_string();
    let paid = async || browser.get("/orders").await.body.contains("state paid");
    for headers in [vec![], signed("whsec_AAAA", &body), signed(fake::SECRET, "{}")] {
        assert_eq!(browser.webhook(&headers, &body).await, StatusCode::UNAUTHORIZED);
        assert!(!paid().await);
    }
    let sample = r#"{"id":"evt_1","type":"payment.paid","data":{"payment":{"id":"pay_1"},"sample":true}}"#;
    assert_eq!(browser.webhook(&signed(fake::SECRET, sample), sample).await, StatusCode::NO_CONTENT);
    assert!(!paid().await, "a sample is not news");
    assert_eq!(browser.webhook(&signed(fake::SECRET, "no"), "no").await, StatusCode::BAD_REQUEST);
    assert_eq!(browser.webhook(&signed(fake::SECRET, &body), &body).await, StatusCode::NO_CONTENT);
    assert!(paid().await);
    payhost.stop();
    let answer = browser.webhook(&signed(fake::SECRET, &body), &body).await;
    assert_eq!(answer, StatusCode::SERVICE_UNAVAILABLE, "payhost tells again");
}
