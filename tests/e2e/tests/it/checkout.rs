//! The buyer's way through checkout, window and return.

use std::time::Duration;

use serde_json::json;

use crate::stage::buyer::pay;
use crate::stage::html::visible;
use crate::stage::{Stage, eventually, text};

#[tokio::test(flavor = "multi_thread")]
async fn two_tabs_that_pay_the_same_order_pay_once() {
    let stage = Stage::start().await;
    let created = stage.create("A-1").await;
    let (first, second) = (stage.open(&created).await, stage.open(&created).await);
    assert_ne!(first.order_ref(), second.order_ref());
    let (one, two) = (stage.choose(&first, pay()).await, stage.choose(&second, pay()).await);
    // The first approval takes long enough for the second return to come in the middle of it.
    stage.fault("pay_auth", "slow", json!({"ms": 400})).await;
    let (one, two) = tokio::join!(stage.come_back(&one), stage.come_back(&two));
    let mut results = [one.result.as_str(), two.result.as_str()];
    results.sort_unstable();
    assert_eq!(results, ["failed", "paid"]);
    let loser = if one.result == "failed" { &one } else { &two };
    let told = loser.words.contains("다른 창에서") || loser.words.contains("이미 결제가 완료된");
    assert!(told, "{}", loser.words);
    assert_eq!(stage.count("approved").await, 1);
    assert_eq!(stage.payment(&created).await["amount"]["paid"], 20_900);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_tab_that_comes_back_after_the_payment_approves_nothing() {
    let stage = Stage::start().await;
    let created = stage.create("A-1").await;
    let (first, second) = (stage.open(&created).await, stage.open(&created).await);
    let (one, two) = (stage.choose(&first, pay()).await, stage.choose(&second, pay()).await);
    assert_eq!(stage.come_back(&one).await.result, "paid");
    let late = stage.come_back(&two).await;
    assert_eq!(late.result, "failed");
    assert!(late.words.contains("이미 결제가 완료된 주문입니다"), "{}", late.words);
    assert!(!late.html.contains("data-testid=\"again\""), "a paid order must not offer to pay again");
    assert_eq!(stage.count("approved").await, 1);
    let page = stage.open_page(&text(&created, "checkout_url")).await;
    assert_eq!(page.status, 409, "{}", page.text);
    assert!(visible(&page.text).contains("이미 결제가 완료된 주문입니다"), "{}", visible(&page.text));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_declined_card_is_explained_and_another_card_can_pay() {
    let stage = Stage::start().await;
    let created = stage.create("A-1").await;
    let window = stage.open(&created).await;
    let declined = stage.choose(&window, json!({"choice": "decline", "card": "04", "code": "500644"})).await;
    let outcome = stage.come_back(&declined).await;
    assert_eq!(outcome.result, "failed");
    assert!(outcome.html.contains("data-testid=\"again\""), "{}", outcome.words);
    assert!(!outcome.words.contains("결제가 완료되었습니다"), "{}", outcome.words);
    assert_eq!(created["last_failure"], serde_json::Value::Null);
    let payment = stage.payment(&created).await;
    assert_eq!((text(&payment, "state"), text(&payment, "resolution")), ("pending".into(), "none".into()));
    let timeline = stage.timeline(&stage.shop, &created).await;
    let failed = timeline.iter().find(|item| item["name"] == "checkout.failed").unwrap();
    assert!(failed["data"]["refusal"]["code"].as_str().unwrap().contains("500644"), "{failed}");
    let explained = failed["data"]["refusal"]["explanation"]["ko"].as_str().unwrap();
    assert!(!explained.is_empty() && outcome.words.contains(explained), "{}", outcome.words);
    // The payment itself says it, too, and goes on saying it when another card has paid.
    let failure = &payment["last_failure"];
    assert_eq!(
        (&failure["reason"], &failure["class"]),
        (&json!("declined"), &failed["data"]["refusal"]["class"])
    );
    assert_eq!(
        (&failure["explanation"]["ko"], failure["at"].is_string()),
        (&json!(explained), true),
        "{failure}"
    );
    let window = stage.open(&created).await;
    assert_eq!(stage.come_back(&stage.choose(&window, pay()).await).await.result, "paid");
    assert_eq!(stage.payment(&created).await["last_failure"], *failure);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_authentication_takes_nothing() {
    let stage = Stage::start().await;
    let created = stage.create("A-1").await;
    let window = stage.open(&created).await;
    let outcome = stage.come_back(&stage.choose(&window, json!({"choice": "auth_fail"})).await).await;
    assert_eq!(outcome.result, "failed", "{}", outcome.words);
    assert_eq!(stage.payment(&created).await["state"], "pending");
    assert!(stage.sales("").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_buyer_who_closes_the_window_can_pay_later() {
    let stage = Stage::start().await;
    let created = stage.create("A-1").await;
    let window = stage.open(&created).await;
    let closed = stage.play(&window.fields, json!({"choice": "cancel"})).await.expect(200);
    let close_page = stage.call("GET", closed["close_url"].as_str().unwrap()).send().await;
    assert_eq!(close_page.status, 200);
    assert!(close_page.text.contains("payhost.closed"), "{}", close_page.text);
    // The page tells the window page, which posts this.
    let left = stage.call("POST", &window.leave).form(&[]).send().await;
    assert_eq!(left.status, 303);
    let outcome = stage.outcome(left.header("location")).await;
    assert_eq!(outcome.result, "cancelled_by_buyer");
    assert!(stage.names(&stage.shop, &created).await.contains(&"checkout.cancelled_by_buyer".to_owned()));
    let window = stage.open(&created).await;
    assert_eq!(stage.come_back(&stage.choose(&window, pay()).await).await.result, "paid");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_return_after_leaving_is_still_paid() {
    let stage = Stage::start().await;
    let created = stage.create("A-1").await;
    let window = stage.open(&created).await;
    let back = stage.choose(&window, pay()).await;
    assert_eq!(stage.call("POST", &window.leave).form(&[]).send().await.status, 303);
    assert_eq!(stage.come_back(&back).await.result, "paid");
    // And leaving after the payment takes nothing back.
    let left = stage.call("POST", &window.leave).form(&[]).send().await;
    assert_eq!(stage.outcome(left.header("location")).await.result, "paid");
    assert_eq!(stage.payment(&created).await["state"], "paid");
}

#[tokio::test(flavor = "multi_thread")]
async fn reloading_the_return_shows_the_same_and_approves_once() {
    let stage = Stage::start().await;
    let created = stage.create("A-1").await;
    let window = stage.open(&created).await;
    let back = stage.choose(&window, pay()).await;
    let first = stage.come_back(&back).await;
    for _ in 0..2 {
        let again = stage.come_back(&back).await;
        assert_eq!((&again.result, &again.words), (&first.result, &first.words));
        assert_eq!(stage.outcome(&first.url).await.words, first.words);
    }
    let both = tokio::join!(stage.come_back(&back), stage.come_back(&back));
    assert_eq!((both.0.result.as_str(), both.1.result.as_str()), ("paid", "paid"));
    assert_eq!(stage.count("approved").await, 1);
    assert_eq!(stage.count("refused").await, 0, "{:?}", stage.events().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_return_that_is_posted_twice_at_once_approves_once() {
    let stage = Stage::start().await;
    let created = stage.create("A-1").await;
    let window = stage.open(&created).await;
    let back = stage.choose(&window, pay()).await;
    stage.fault("pay_auth", "slow", json!({"ms": 300})).await;
    let all = futures_util::future::join_all((0..5).map(|_| stage.come_back(&back))).await;
    assert!(all.iter().all(|outcome| outcome.result == "paid"), "{all:?}");
    assert_eq!(stage.count("approved").await, 1);
    assert_eq!(stage.count("refused").await, 0, "{:?}", stage.events().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn looking_at_a_checkout_opens_nothing() {
    let stage = Stage::start().await;
    let created = stage.create("A-1").await;
    let url = text(&created, "checkout_url");
    let page = stage.call("GET", &url).send().await;
    assert_eq!(page.status, 200);
    assert!(visible(&page.text).contains("20,900원") && page.text.contains("data-testid=\"open-window\""));
    assert_eq!(page.header("cache-control"), "no-store");
    assert!(page.header("content-security-policy").contains("default-src 'none'"));
    assert_eq!(stage.payment(&created).await["state"], "created");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_alone_opens_nothing_and_tells_nothing() {
    let stage = Stage::start().await;
    let created = stage.create("A-1").await;
    let other = stage.create("A-2").await;
    let (id, shop) = (text(&created, "id"), &stage.shop.id);
    let other_shop = stage.new_shop("다른 가게", json!({})).await;
    let window = stage.open(&created).await;
    let back = window.field("returnUrl").split('?').next().unwrap();
    let checkout = back.rsplit('/').next().unwrap().to_owned();
    let unknown = stage
        .call("GET", "/checkout/shop_00000000000000000000000000/pay_00000000000000000000000000?token=x")
        .send()
        .await;
    let others = text(&other, "client_token");
    let others_result = stage.open(&other).await.leave.split_once("token=").unwrap().1.to_owned();
    for path in [
        format!("/checkout/{shop}/{id}"),
        format!("/checkout/{shop}/{id}?token="),
        format!("/checkout/{shop}/{id}?token={others}"),
        format!("/checkout/{shop}/{id}?token={others}&token={others}x"),
        // In another shop.
        format!("/checkout/{}/{id}?token={}", other_shop.id, text(&created, "client_token")),
        format!("/return/{shop}/{checkout}"),
        format!("/return/{shop}/{checkout}?token={others_result}"),
        format!("/return/{shop}/{checkout}?token={}", text(&created, "client_token")),
    ] {
        let page = stage.call("GET", &path).send().await;
        assert!(page.status == 404 || page.status == 400, "{path}: {} {}", page.status, page.text);
        assert!(!page.text.contains("수제 잼") && !page.text.contains("20,900"), "{path}: {}", page.text);
        if page.status == 404 {
            assert_eq!(visible(&page.text), visible(&unknown.text), "{path}");
        }
    }
    let posted = stage.open_page(&format!("{}/checkout/{shop}/{id}?token={others}", stage.url)).await;
    assert_eq!(posted.status, 404);
    let leave = stage
        .call("POST", &format!("/return/{shop}/{checkout}/leave?token={others_result}"))
        .form(&[])
        .send()
        .await;
    assert_eq!(leave.status, 404);
    assert_eq!(stage.payment(&created).await["state"], "pending");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_whose_time_is_over_takes_no_money() {
    let stage = Stage::start().await;
    // The window opens in time, and the buyer comes back too late.
    let created = stage.create_as(&stage.shop, "A-1", json!({"expires_at": in_seconds(2)})).await.expect(201);
    let window = stage.open(&created).await;
    let back = stage.choose(&window, pay()).await;
    eventually("the payment expires", Duration::from_secs(10), async || {
        (stage.payment(&created).await["state"] == "expired").then_some(())
    })
    .await;
    let outcome = stage.come_back(&back).await;
    assert_eq!(outcome.result, "failed");
    assert!(outcome.words.contains("더 이상 결제할 수 없는 주문입니다"), "{}", outcome.words);
    assert_eq!(stage.count("approved").await, 0);
    assert_eq!(stage.open_page(&text(&created, "checkout_url")).await.status, 410);
    // The client token ends with the payment's time; the order can be made anew.
    let again = stage.create_as(&stage.shop, "A-1", json!({"amount": {"total": 500}})).await.expect(201);
    assert_ne!(again["id"], created["id"]);
}

/// RFC 3339, some seconds from now.
fn in_seconds(seconds: i64) -> String {
    (jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds)).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_does_not_get_the_window_of_a_computer() {
    let stage = Stage::start().await;
    let created = stage.create("A-1").await;
    let url = text(&created, "checkout_url");
    let agent = "Mozilla/5.0 (Linux; Android 15; Pixel) Chrome/150 Mobile";
    let page = stage.call("POST", &url).header("user-agent", agent).form(&[]).send().await;
    assert_eq!(page.status, 200, "{}", page.text);
    assert!(!page.text.contains("INIStdPay") && page.text.contains("payhost-form"), "{}", page.text);
    // The same order can still be paid on a computer.
    let window = stage.open(&created).await;
    assert_eq!(stage.come_back(&stage.choose(&window, pay()).await).await.result, "paid");
}

/// Where a browser navigates, an error is a page; where a program asks, it is JSON.
#[tokio::test(flavor = "multi_thread")]
async fn errors_on_a_buyers_way_are_pages_in_the_buyers_language() {
    let stage = Stage::start().await;
    let created = stage.create("A-1").await;
    let window = stage.open(&created).await;
    let back = window.field("returnUrl").to_owned();
    // More than the sockets hold: an answer that does not read it is lost with the connection.
    let huge = vec![b'x'; 2 * 1024 * 1024];
    for (verb, url, body, status) in [
        ("GET", "/checkout/shop_x/pay_x", None, 404),
        ("POST", "/checkout/shop_x/x", None, 404),
        ("DELETE", "/checkout/shop_x/pay_x", None, 405),
        ("GET", "/return/shop_x/chk_x/close", None, 404),
        ("PUT", back.as_str(), None, 405),
        ("POST", back.as_str(), Some(huge), 413),
        ("GET", "/return/shop_x/chk_x?token=%ff&token=2", None, 404),
    ] {
        for (language, page) in [("ko-KR,ko;q=0.9", "<html lang=\"ko\""), ("en-GB,en", "<html lang=\"en\"")] {
            let mut call = stage.call(verb, url).header("accept-language", language);
            if let Some(body) = &body {
                call = call.body("application/x-www-form-urlencoded", body.clone());
            }
            let answer = call.send().await;
            assert_eq!(answer.status, status, "{verb} {url}: {}", answer.text);
            assert!(answer.header("content-type").starts_with("text/html"), "{verb} {url}: {}", answer.text);
            let shown = crate::stage::html::visible(&answer.text);
            assert!(answer.text.contains(page), "{verb} {url}: {}", answer.text);
            assert!(shown.contains(answer.header("x-request-id")), "{verb} {url}: {shown}");
        }
    }
    stage.call("GET", "/v1/payments").send().await.problem(401, "unauthorized");
    stage.get("/v1/payments/pay_x").await.problem(404, "not_found");
    stage.call("GET", "/nowhere").send().await.problem(404, "not_found");
}
