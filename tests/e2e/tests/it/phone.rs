//! A phone's way that goes wrong: declines, apps that swallow the browser, answers and returns that are not what they should be.

use std::time::Duration;

use serde_json::{Value, json};

use crate::stage::buyer::{Outcome, Return, Window, pay};
use crate::stage::html::visible;
use crate::stage::sale::{buy, has, order_ref, sale, stage};
use crate::stage::{Stage, eventually};

/// A phone's way that does not end with money.
#[tokio::test(flavor = "multi_thread")]
async fn a_phone_that_does_not_pay_says_why_and_can_pay_afterwards() {
    let stage = stage().await;
    for (name, choice, result) in [
        ("decline", json!({"choice": "decline", "card": "04", "code": "500644"}), "failed"),
        // INICIS says "failed" of a buyer who cancels too.
        ("cancel", json!({"choice": "cancel"}), "failed"),
        ("app_cancel", json!({"choice": "app_cancel"}), "failed"),
        ("auth_fail", json!({"choice": "auth_fail"}), "failed"),
        ("abnormal", json!({"choice": "abnormal"}), "failed"),
    ] {
        let (payment, outcome) = buy(&stage, name, json!({"device": "mobile"}), choice).await;
        assert_eq!(outcome.result, result, "{name}: {}", outcome.words);
        if name != "decline" {
            // Whether he gave up or was refused INICIS does not say: neither do we.
            let neutral = outcome.words.contains("결제가 완료되지 않았습니다");
            assert!(neutral && !outcome.words.contains("인증되지"), "{name}: {}", outcome.words);
        }
        let timeline = stage.timeline(&stage.shop, &payment).await;
        let ended = timeline.iter().rev().find(|item| item["name"] == "checkout.failed").unwrap();
        let code = ended["data"]["refusal"]["code"].as_str().unwrap();
        assert_eq!(
            code == "01",
            name != "decline",
            "the shop tells a refused card from a window that was left: {ended}"
        );
        assert!(outcome.html.contains("data-testid=\"again\""), "{name}: {}", outcome.words);
        has(&payment, &json!({"/state": "pending", "/resolution": "none", "/amount/paid": 0}), name);
        assert!(stage.held().await.is_empty(), "{name}");
        let window = stage.open_again(&payment, &outcome).await;
        let paid = stage.come_back(&stage.choose(&window, pay()).await).await;
        assert_eq!(paid.result, "paid", "{name}: {}", paid.words);
        stage.cancel(&stage.shop, &payment, name).await.expect(200);
    }
}

impl Stage {
    /// Presses "again" on a result page.
    async fn open_again(&self, payment: &Value, outcome: &Outcome) -> Window {
        let again = crate::stage::html::attribute(&outcome.html, "data-testid=\"again\"", "href")
            .or_else(|| crate::stage::html::attribute(&outcome.html, "<form method=\"post\"", "action"));
        let again = again.unwrap_or_else(|| panic!("no address to pay {payment} again: {}", outcome.html));
        let mut again_of = payment.clone();
        again_of["checkout_url"] = json!(again);
        self.open(&again_of).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_whose_browser_never_comes_back_takes_no_money() {
    let stage = stage().await;
    let created = stage.create_as(&stage.shop, "A-1", json!({"device": "mobile"})).await.expect(201);
    let window = stage.open(&created).await;
    let answer = stage.play(&window.fields, json!({"choice": "app_lost", "card": "04"})).await.expect(200);
    assert_eq!(answer["lost"], true);
    assert_eq!(sale(&stage, &window).await["state"], "authenticated");
    let again = stage.open(&created).await;
    assert_eq!(stage.come_back(&stage.choose(&again, pay()).await).await.result, "paid");
    assert_eq!(stage.held().await.len(), 1);
}

/// What the gateway did is what the payment says, whatever became of the answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_phones_approval_without_a_good_answer_is_undone_or_found() {
    const FAULTS: &[&str] = &[
        "drop_before",
        "drop_after",
        "cut_off",
        "truncated",
        "html",
        "empty",
        "garbage",
        "http_500",
        "huge",
        "wrong_amount",
        "wrong_order",
        "wrong_mid",
    ];
    let stage = stage().await;
    let lookup = stage.shop_with_lookup().await;
    let (stage, lookup) = (&stage, &lookup);
    let all = FAULTS.iter().flat_map(|&fault| [(fault, false), (fault, true)]);
    let all = all.map(|(fault, can_ask)| async move {
        let shop = if can_ask { lookup } else { &stage.shop };
        let what = format!("{fault}-{can_ask}");
        let created = stage.create_as(shop, &what, json!({"device": "mobile"})).await.expect(201);
        let window = stage.open(&created).await;
        stage.fault("mobile_approve", fault, json!({"oid": order_ref(&window)})).await;
        let outcome = stage.come_back(&stage.choose(&window, pay()).await).await;
        let payment = eventually(&what, Duration::from_secs(30), async || {
            let now = stage.payment_as(shop, &created).await;
            (now["resolution"] == "none" || fault == "drop_before").then_some(now)
        })
        .await;
        let sale = sale(stage, &window).await;
        if payment["resolution"] == "none" {
            assert_eq!(payment["amount"]["cancellable"], sale["remaining"], "{what}: {payment}");
            assert_eq!(payment["state"] == "paid", sale["remaining"] != 0, "{what}: {payment}");
        } else {
            assert_ne!(payment["state"], "paid", "{what}");
        }
        // Text that is cut after everything that was paid for is still an answer.
        if fault != "drop_before" {
            let known = can_ask || (fault == "truncated" && sale["state"] == "approved");
            let expected = if known { ("paid", "approved") } else { ("failed", "net_cancelled") };
            assert_eq!((outcome.result.as_str(), sale["state"].as_str().unwrap()), expected, "{what}");
        }
    });
    futures_util::future::join_all(all).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phones_changed_return_changes_nothing() {
    let stage = stage().await;
    let created = stage.create_as(&stage.shop, "A-1", json!({"device": "mobile"})).await.expect(201);
    let window = stage.open(&created).await;
    let back = stage.choose(&window, pay()).await;
    let without = |name: &str| {
        let fields = back.fields.iter().filter(|(known, _)| known != name).cloned().collect();
        Return { fields, ..back.clone() }
    };
    let doubled = |name: &str| {
        let mut twice = back.clone();
        twice.fields.push((name.to_owned(), back.field(name).to_owned()));
        twice
    };
    for (what, forged) in [
        ("amount", back.with("P_AMT", "209000")),
        ("less", back.with("P_AMT", "100")),
        ("host", back.with("P_REQ_URL", "https://fcmobile.inicis.com.example/smart/payReq.ini")),
        ("path", back.with("P_REQ_URL", "https://fcmobile.inicis.com/smart/other.ini")),
        ("order", back.with("P_NOTI", "another")),
        ("no tid", without("P_TID")),
        ("no status", without("P_STATUS")),
        ("two tids", doubled("P_TID")),
        ("two addresses", doubled("P_REQ_URL")),
    ] {
        let answer = stage.post_back(&forged).await;
        assert_eq!(answer.status, 400, "{what}: {} {}", answer.status, visible(&answer.text));
        assert_eq!(stage.payment(&created).await["state"], "pending", "{what}");
        assert_eq!(stage.count("approved").await + stage.count("refused").await, 0, "{what}");
    }
    assert_eq!(stage.come_back(&back).await.result, "paid");
}
