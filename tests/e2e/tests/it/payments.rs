//! `POST /v1/payments` and what a shop reads afterwards.

use serde_json::{Value, json};

use crate::stage::buyer::pay;
use crate::stage::{Stage, text};

#[tokio::test(flavor = "multi_thread")]
async fn a_buyer_pays_by_card_and_the_shop_reads_it() {
    let stage = Stage::start().await;
    let created = stage.create("A-1").await;
    assert_eq!((&created["state"], &created["amount"]["total"]), (&json!("created"), &json!(20_900)));
    let window = stage.open(&created).await;
    assert_eq!(stage.payment(&created).await["state"], "pending");
    let outcome = stage.come_back(&stage.choose(&window, pay()).await).await;
    assert_eq!(outcome.result, "paid", "{}", outcome.words);
    let paid = stage.payment(&created).await;
    assert_eq!((text(&paid, "state"), text(&paid, "resolution")), ("paid".into(), "none".into()));
    assert_eq!(paid["amount"]["paid"], 20_900);
    assert_eq!(
        paid["cancellable"],
        json!({"amount": 20_900, "partial": true, "until": null, "needs_account": false})
    );
    let sales = stage.sales(window.order_ref()).await;
    assert_eq!(sales.len(), 1);
    assert_eq!((&sales[0]["tid"], &sales[0]["remaining"]), (&paid["gateway_ref"], &json!(20_900)));
    assert_eq!(paid["approval_number"].as_str().map(str::is_empty), Some(false), "{paid}");
    assert_ne!(paid["masked_number"], Value::Null, "{paid}");
    assert!(outcome.words.contains("20,900원"), "{}", outcome.words);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_amount_that_is_no_whole_number_above_zero_is_refused_and_named() {
    let stage = Stage::start().await;
    let bad = [
        json!(0),
        json!(-1),
        json!(10.5),
        json!("1000"),
        json!(1_000_000_000_001_i64),
        json!(1e30),
        json!(null),
        json!(true),
    ];
    for total in bad {
        let answer = stage.create_as(&stage.shop, "A-1", json!({"amount": {"total": total}})).await;
        let body = answer.json();
        assert_eq!((answer.status, &body["field"]), (400, &json!("amount.total")), "{total}: {body}");
        answer.problem(400, body["code"].as_str().unwrap());
    }
    let listed = stage.get("/v1/payments").await.expect(200);
    assert_eq!(listed["data"], json!([]));
}
