//! What waits for a person is in one list, for the operator over all shops.

use serde_json::{Value, json};

use crate::stage::deposit::{self, TOTAL, awaiting, forged, noticed, notify_url};
use crate::stage::{Stage, text};

async fn listed(stage: &Stage, query: &str) -> Vec<Value> {
    let found = stage.operator("GET", &format!("/v1/attention{query}"), Value::Null).await.expect(200);
    found["data"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_in_doubt_is_listed_with_its_next_try_and_the_ids_of_the_log() {
    let stage = Stage::start().await;
    stage.fault("pay_auth", "drop_after", json!({})).await;
    stage.fault("net_cancel", "drop_before", json!({"times": 100})).await;
    let created = stage.create("A-1").await;
    let window = stage.open(&created).await;
    let back = stage.choose(&window, json!({"choice": "pay"})).await;
    let outcome = stage.come_back(&back).await;
    assert_eq!(outcome.result, "in_doubt", "{}", outcome.words);
    let items = listed(&stage, "?kind=payment_in_doubt").await;
    let item = items.iter().find(|item| item["id"] == created["id"]).unwrap();
    assert_eq!((&item["shop_id"], &item["order_id"]), (&json!(stage.shop.id), &json!("A-1")));
    assert!(item["next_try_at"].is_string() && item["since"].is_string(), "{item}");
    let attempt = text(item, "attempt_id");
    let log = std::fs::read_to_string(stage.folder.path().join("payhost.log")).unwrap();
    assert!(log.contains(&attempt), "the log names {attempt}");
    // The shop sees its own, another shop nothing.
    assert_eq!(stage.get("/v1/attention").await.expect(200)["data"][0]["id"], created["id"]);
    let other = stage.new_shop("다른 가게", json!({})).await;
    let theirs = stage.call("GET", "/v1/attention").key(&other.key).send().await.expect(200);
    assert_eq!(theirs["data"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn notices_endpoints_and_channels_that_wait_are_listed_page_by_page() {
    let stage = deposit::stage().await;
    let (created, oid) = awaiting(&stage, &stage.shop, "A-1", "pc").await;
    let call = stage.call("POST", &notify_url(&stage, &stage.shop));
    call.form(&forged(&oid, TOTAL, "99999999999")).send().await;
    noticed(&stage, "mismatched").await;
    let body = json!({"plugin": "inicis", "settings": {"mid": "SIRown0001"}, "default": false});
    let incomplete = stage.post("/v1/channels", &body).await.expect(201);

    let all = listed(&stage, "").await;
    let kinds: Vec<String> = all.iter().map(|item| text(item, "kind")).collect();
    assert_eq!(kinds, ["notice", "channel_cannot_sell"], "{all:?}");
    assert_eq!((&all[0]["payment_id"], &all[0]["reason"]), (&created["id"], &json!("mismatched")));
    assert_eq!((&all[1]["id"], &all[1]["reason"]), (&incomplete["id"], &json!("settings_missing")));
    assert!(text(&all[1], "detail").contains("sign_key"), "{:?}", all[1]);

    let mut seen = Vec::new();
    let mut after = String::new();
    loop {
        let page =
            stage.operator("GET", &format!("/v1/attention?limit=1{after}"), Value::Null).await.expect(200);
        seen.extend(page["data"].as_array().unwrap().iter().map(|item| text(item, "kind")));
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert_eq!(seen, kinds);
    for (query, field) in [("kind=x", "kind"), ("after=x", "after"), ("limit=0", "limit")] {
        let path = format!("/v1/attention?{query}");
        let problem = stage.operator("GET", &path, Value::Null).await.problem(400, "invalid_request");
        assert_eq!(problem["field"], field);
    }
    let path = format!("/v1/notices/{}/dismiss", text(&all[0], "id"));
    stage.operator_for_shop("POST", &path, json!({"note": "가짜", "by": "김운영"})).await.expect(200);
    assert_eq!(listed(&stage, "?kind=notice").await, Vec::<Value>::new(), "what is ended waits no more");
}

#[tokio::test(flavor = "multi_thread")]
async fn notices_about_one_payment_are_one_entry_with_a_count() {
    let stage = deposit::stage().await;
    let url = notify_url(&stage, &stage.shop);
    let mut created = Vec::new();
    for (order, many) in [("A-1", 3), ("A-2", 1)] {
        let (payment, oid) = awaiting(&stage, &stage.shop, order, "pc").await;
        for number in 0..many {
            let forged = forged(&oid, TOTAL, &format!("9999{number}"));
            stage.call("POST", &url).form(&forged).send().await;
            noticed(&stage, "mismatched").await;
        }
        created.push(payment);
    }
    let entries = async || -> Vec<(Value, Value)> {
        let found = listed(&stage, "?kind=notice&limit=100").await;
        found.iter().map(|item| (item["payment_id"].clone(), item["count"].clone())).collect()
    };
    let of = |at: usize, many: i64| (created[at]["id"].clone(), json!(many));
    assert_eq!(entries().await, [of(0, 3), of(1, 1)]);
    let oldest = text(&listed(&stage, "?kind=notice").await[0], "id");
    let path = format!("/v1/notices/{oldest}/dismiss");
    stage.operator_for_shop("POST", &path, json!({"note": "가짜", "by": "김운영"})).await.expect(200);
    assert_eq!(entries().await, [of(0, 2), of(1, 1)], "the next one stands for the rest");
}
