//! `POST /v1/payments/{id}/cancel`.

use std::time::Duration;

use serde_json::{Value, json};

use crate::stage::http::Answer;
use crate::stage::{Stage, eventually, text};

async fn cancel(stage: &Stage, payment: &Value, key: &str, body: Value) -> Answer {
    stage.cancel_with(&stage.shop, payment, key, &body).await
}

async fn remaining(stage: &Stage) -> u64 {
    stage.sales("").await.iter().map(|sale| sale["remaining"].as_u64().unwrap()).sum()
}

/// The payment once its outcome is known.
async fn known(stage: &Stage, payment: &Value) -> Value {
    eventually("the cancel is known", Duration::from_secs(25), async || {
        let now = stage.payment(payment).await;
        (now["resolution"] == "none").then_some(now)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_is_cancelled_in_full_once() {
    let stage = Stage::start().await;
    let paid = stage.paid("A-1").await;
    let first = cancel(&stage, &paid, "k-1", json!({"reason": "고객 변심"})).await.expect(200);
    assert_eq!((text(&first, "state"), &first["amount"]["cancelled"]), ("cancelled".into(), &json!(20_900)));
    assert_eq!(first["cancellable"], Value::Null);
    let again = cancel(&stage, &paid, "k-1", json!({"reason": "고객 변심"})).await.expect(200);
    assert_eq!(first, again);
    cancel(&stage, &paid, "k-1", json!({"reason": "다른 이유"})).await.problem(422, "idempotency_mismatch");
    cancel(&stage, &paid, "k-2", json!({})).await.problem(409, "not_cancellable");
    assert_eq!(remaining(&stage).await, 0);
    assert_eq!(stage.count("cancelled").await, 1);
    assert_eq!(stage.payment(&paid).await["state"], "cancelled");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_without_a_key_is_refused() {
    let stage = Stage::start().await;
    let paid = stage.paid("A-1").await;
    let path = format!("/v1/payments/{}/cancel", text(&paid, "id"));
    stage.post(&path, &json!({})).await.problem(400, "idempotency_key_required");
    assert_eq!(remaining(&stage).await, 20_900);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_amount_or_reason_is_refused_and_named() {
    let stage = Stage::start().await;
    let paid = stage.paid("A-1").await;
    for (body, field) in [
        (json!({"amount": 0}), "amount"),
        (json!({"amount": -1}), "amount"),
        (json!({"amount": 20_901}), "amount"),
        (json!({"amount": 1.5}), "amount"),
        (json!({"amount": "1000"}), "amount"),
        (json!({"reason": "긴".repeat(101)}), "reason"),
        (json!({"reason": "a\nb"}), "reason"),
        (json!({"all": true}), "all"),
    ] {
        let answer = cancel(&stage, &paid, "k-1", body.clone()).await;
        let problem = answer.problem(400, answer.json()["code"].as_str().unwrap());
        assert_eq!(problem["field"], field, "{body}: {problem}");
    }
    // A refused request does not use its key up.
    cancel(&stage, &paid, "k-1", json!({})).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_paid_cannot_be_given_back() {
    let stage = Stage::start().await;
    let created = stage.create("A-1").await;
    let part = json!({"amount": 900});
    cancel(&stage, &created, "k-1", part.clone()).await.problem(409, "not_cancellable");
    let window = stage.open(&created).await;
    cancel(&stage, &created, "k-1", part.clone()).await.problem(409, "not_cancellable");
    let outcome = stage.come_back(&stage.choose(&window, json!({"choice": "auth_fail"})).await).await;
    assert_eq!(outcome.result, "failed");
    let problem = cancel(&stage, &created, "k-1", part).await.problem(409, "not_cancellable");
    assert!(text(&problem, "detail").contains("nothing was paid"), "{problem}");
    // As a whole it is given up (`give_up.rs`).
    assert_eq!(cancel(&stage, &created, "k-1", json!({})).await.expect(200)["state"], "cancelled");
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_are_cancelled_until_nothing_is_left() {
    let stage = Stage::start().await;
    let paid = stage.paid("A-1").await;
    let part = cancel(&stage, &paid, "k-1", json!({"amount": 900})).await.expect(200);
    assert_eq!(
        (text(&part, "state"), &part["amount"]["cancellable"]),
        ("partially_cancelled".into(), &json!(20_000))
    );
    cancel(&stage, &paid, "k-2", json!({"amount": 20_001})).await.problem(400, "invalid_request");
    let rest = cancel(&stage, &paid, "k-3", json!({})).await.expect(200);
    assert_eq!((text(&rest, "state"), &rest["amount"]["cancelled"]), ("cancelled".into(), &json!(20_900)));
    assert_eq!(remaining(&stage).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn cancels_at_the_same_time_give_the_money_back_once() {
    let stage = Stage::start().await;
    let paid = stage.paid("A-1").await;
    stage.fault("refund", "slow", json!({"ms": 300})).await;
    let keys = ["k-1", "k-2", "k-3", "k-1"];
    let answers = futures_util::future::join_all(keys.map(|key| cancel(&stage, &paid, key, json!({})))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1, "{answers:?}");
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        let code = answer.json()["code"].clone();
        let expected = ["payment_busy", "idempotency_running", "not_cancellable"];
        assert!(answer.status == 409 && expected.contains(&code.as_str().unwrap()), "{}", answer.text);
    }
    assert_eq!((remaining(&stage).await, stage.count("cancelled").await), (0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_cancel_says_why_and_a_new_key_tries_again() {
    let stage = Stage::start().await;
    let paid = stage.paid("A-1").await;
    stage.fault("refund", "decline", json!({"code": "500400"})).await;
    let problem = cancel(&stage, &paid, "k-1", json!({})).await.problem(402, "gateway_refused");
    assert_eq!(problem["gateway"]["code"], "500400", "{problem}");
    assert!(!problem["buyer_message"].as_str().unwrap().is_empty(), "{problem}");
    let again = cancel(&stage, &paid, "k-1", json!({})).await.problem(402, "gateway_refused");
    assert_eq!(again["gateway"], problem["gateway"]);
    let payment = stage.payment(&paid).await;
    assert_eq!((text(&payment, "state"), text(&payment, "resolution")), ("paid".into(), "none".into()));
    let names = stage.names(&stage.shop, &paid).await;
    assert_eq!(names.iter().filter(|name| *name == "payment.cancel_failed").count(), 1, "{names:?}");
    cancel(&stage, &paid, "k-2", json!({})).await.expect(200);
    assert_eq!(remaining(&stage).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_of_a_refused_cancel_takes_a_corrected_one_and_that_of_a_made_one_takes_none() {
    let stage = Stage::start().await;
    let paid = stage.paid("A-1").await;
    stage.fault("refund", "decline", json!({"code": "500400"})).await;
    cancel(&stage, &paid, "k-1", json!({"reason": "하나"})).await.problem(402, "gateway_refused");
    stage.no_faults().await;
    let made = cancel(&stage, &paid, "k-1", json!({"reason": "둘"})).await.expect(200);
    assert_eq!(cancel(&stage, &paid, "k-1", json!({"reason": "둘"})).await.expect(200), made);
    cancel(&stage, &paid, "k-1", json!({"reason": "하나"})).await.problem(422, "idempotency_mismatch");
    assert_eq!((remaining(&stage).await, stage.count("cancelled").await), (0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shops_key_does_not_stand_in_the_way_of_the_operators() {
    let stage = Stage::start().await;
    let paid = stage.paid("A-1").await;
    // The shop takes every name that the operator's request might be stored under.
    for key in ["k-1", "operator k-1", "operator:k-1", "host:k-1"] {
        let body = crate::stage::order(&format!("B-{key}"), json!({}));
        let call = stage.call("POST", "/v1/payments").key(&stage.shop.key).header("idempotency-key", key);
        call.json(&body).send().await.expect(201);
    }
    let path = format!("/v1/payments/{}/cancel", text(&paid, "id"));
    let call = stage.call("POST", &path).key(&stage.operator_key()).header("payhost-shop", &stage.shop.id);
    let call = call.header("payhost-mode", "test").header("idempotency-key", "k-1");
    assert_eq!(call.json(&json!({"reason": "운영자"})).send().await.expect(200)["state"], "cancelled");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_whose_answer_is_lost_becomes_known_by_asking() {
    let stage = Stage::start().await;
    for fault in ["drop_after", "html", "empty", "truncated", "http_500", "garbage", "cut_off"] {
        let paid = stage.paid(&format!("A-{fault}")).await;
        stage.fault("refund", fault, json!({})).await;
        // The gateway is also silent for a moment when it is asked, so that the doubt can be seen.
        stage.fault("inquiry", "drop_before", json!({})).await;
        let doubt = cancel(&stage, &paid, fault, json!({})).await.expect(202);
        assert_eq!(
            (text(&doubt, "state"), text(&doubt, "resolution")),
            ("paid".into(), "in_doubt".into()),
            "{fault}"
        );
        cancel(&stage, &paid, "another", json!({})).await.problem(409, "payment_in_doubt");
        stage.no_faults().await;
        let after = known(&stage, &paid).await;
        assert_eq!(after["state"], "cancelled", "{fault}: {after}");
        let again = cancel(&stage, &paid, fault, json!({})).await.expect(200);
        assert_eq!(again["state"], "cancelled", "{fault}");
    }
    assert_eq!(remaining(&stage).await, 0);
    assert_eq!(stage.count("cancelled").await, 7);
}

/// The request may still be on its way for as long as the gateway takes to settle, which INICIS does not document.
#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_that_may_not_have_arrived_stays_in_doubt_and_blocks_another_one() {
    let stage = Stage::start().await;
    let paid = stage.paid("A-1").await;
    stage.fault("refund", "drop_before", json!({})).await;
    cancel(&stage, &paid, "A-1", json!({})).await.expect(202);
    let payment = stage.payment(&paid).await;
    assert_eq!((text(&payment, "state"), text(&payment, "resolution")), ("paid".into(), "in_doubt".into()));
    cancel(&stage, &paid, "k-2", json!({})).await.problem(409, "payment_in_doubt");
    let again = cancel(&stage, &paid, "A-1", json!({})).await.expect(202);
    assert_eq!((text(&again, "id"), text(&again, "resolution")), (text(&paid, "id"), "in_doubt".into()));
    assert_eq!((remaining(&stage).await, stage.count("cancelled").await), (20_900, 0));
}

/// Whatever the no says: "already cancelled" is about somebody else's cancel, and the gateway is asked about that.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_that_says_already_cancelled_is_a_no() {
    let stage = Stage::start().await;
    let paid = stage.paid("A-1").await;
    stage.fault("refund", "decline", json!({"code": "500626"})).await;
    let problem = cancel(&stage, &paid, "k-1", json!({})).await.problem(402, "gateway_refused");
    assert_eq!(problem["gateway"]["class"], "already_cancelled", "{problem}");
    cancel(&stage, &paid, "k-1", json!({})).await.problem(402, "gateway_refused");
    let payment = stage.payment(&paid).await;
    assert_eq!((text(&payment, "state"), text(&payment, "resolution")), ("paid".into(), "none".into()));
    cancel(&stage, &paid, "k-2", json!({})).await.expect(200);
    assert_eq!((remaining(&stage).await, stage.count("cancelled").await), (0, 1));
}
