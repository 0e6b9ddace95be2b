//! The life of a shop: changed, suspended, removed.

use serde_json::{Value, json};

use crate::stage::deposit::{self, TOTAL, awaiting, in_state};
use crate::stage::{Shop, Stage, text};

async fn change(stage: &Stage, shop: &Shop, body: Value) -> Value {
    stage.operator("PATCH", &format!("/v1/shops/{}", shop.id), body).await.expect(200)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_is_shown_and_changed() {
    let stage = Stage::start().await;
    let path = format!("/v1/shops/{}", stage.shop.id);
    let before = stage.operator("GET", &path, Value::Null).await.expect(200);
    assert_eq!(before["state"], "active");
    let body = json!({"name": "새 이름", "allowed_origins": ["https://new.example"], "public_url": "https://pay.new.example"});
    let after = change(&stage, &stage.shop, body).await;
    assert_eq!(
        (&after["name"], &after["allowed_origins"], &after["public_url"]),
        (&json!("새 이름"), &json!(["https://new.example"]), &json!("https://pay.new.example"))
    );
    let after = change(&stage, &stage.shop, json!({"public_url": ""})).await;
    assert_eq!((&after["name"], &after["public_url"]), (&json!("새 이름"), &Value::Null));
    for (body, field) in [
        (json!({"name": " "}), "name"),
        (json!({"public_url": "https://a.example/path"}), "public_url"),
        (json!({"allowed_origins": ["ftp://a.example"]}), "allowed_origins"),
    ] {
        let problem = stage.operator("PATCH", &path, body).await.problem(400, "invalid_request");
        assert_eq!(problem["field"], field);
    }
    let nobody = "/v1/shops/shop_00000000000000000000000000";
    stage.operator("GET", nobody, Value::Null).await.problem(404, "not_found");
    stage.operator("PATCH", nobody, json!({})).await.problem(404, "not_found");
    stage.operator("DELETE", nobody, Value::Null).await.problem(404, "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_shop_sells_nothing_and_still_cancels_and_hears() {
    let stage = deposit::stage().await;
    let paid = stage.paid("paid").await;
    let (account, oid) = awaiting(&stage, &stage.shop, "account", "pc").await;
    let unopened = stage.create("unopened").await;
    let opened = stage.create("opened").await;
    let window = stage.open(&opened).await;
    let shown = change(&stage, &stage.shop, json!({"suspended": true})).await;
    assert_eq!(shown["state"], "suspended");

    stage.create_as(&stage.shop, "new", json!({})).await.problem(403, "shop_suspended");
    let page = stage.open_page(&text(&unopened, "checkout_url")).await;
    assert!(page.text.contains("지금은 이 상점에서 결제할 수 없습니다"), "{}", page.text);
    let path = format!("/v1/payments/{}/virtual-account", text(&unopened, "id"));
    let call = stage.call("POST", &path).key(&stage.shop.key).header("idempotency-key", "k");
    call.json(&json!({"bank": "088"})).send().await.problem(403, "shop_suspended");
    // A window that is open already takes no money any more.
    let outcome = stage.come_back(&stage.choose(&window, json!({"choice": "pay"})).await).await;
    assert_eq!(outcome.result, "failed", "{}", outcome.words);
    assert_eq!(stage.payment(&opened).await["amount"]["paid"], 0);

    deposit::deposit(&stage, &oid, json!({})).await;
    assert_eq!(in_state(&stage, &stage.shop, &account, "paid").await["amount"]["paid"], TOTAL);
    stage.cancel(&stage.shop, &paid, "k-1").await.expect(200);

    assert_eq!(change(&stage, &stage.shop, json!({"suspended": false})).await["state"], "active");
    stage.create_as(&stage.shop, "new", json!({})).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_is_removed_when_nothing_of_it_is_open_and_the_operator_still_cancels_its_sales() {
    let stage = Stage::start().await;
    let paid = stage.paid("paid").await;
    let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(3);
    let open =
        stage.create_as(&stage.shop, "open", json!({"expires_at": soon.to_string()})).await.expect(201);
    let body = json!({"url": "http://127.0.0.1:9/"});
    stage.post("/v1/webhook-endpoints", &body).await.expect(201);
    let path = format!("/v1/shops/{}", stage.shop.id);
    let problem = stage.operator("DELETE", &path, Value::Null).await.problem(409, "shop_in_use");
    assert!(text(&problem, "detail").contains("1 payments can still be paid"), "{problem}");
    assert_eq!(stage.payment(&open).await["state"], "created", "nothing of a refused removal is done");
    in_state(&stage, &stage.shop, &open, "expired").await;
    let removed = stage.operator("DELETE", &path, Value::Null).await.expect(200);
    assert_eq!(removed["state"], "removed");
    assert_eq!(
        stage.operator("DELETE", &path, Value::Null).await.expect(200)["removed_at"],
        removed["removed_at"]
    );

    stage.get("/v1/payments").await.problem(401, "unauthorized");
    let listed = stage.operator("GET", "/v1/shops", Value::Null).await.expect(200);
    assert_eq!(listed["data"], json!([]));
    let listed = stage.operator("GET", "/v1/shops?removed=true", Value::Null).await.expect(200);
    assert_eq!(listed["data"][0]["id"], json!(stage.shop.id));
    stage.operator("PATCH", &path, json!({"suspended": false})).await.problem(409, "shop_removed");

    let acting = |verb: &str, path: &str| {
        let call = stage.call(verb, path).key(&stage.operator_key());
        call.header("payhost-shop", &stage.shop.id).header("payhost-mode", "test")
    };
    let id = text(&paid, "id");
    assert_eq!(acting("GET", &format!("/v1/payments/{id}")).send().await.expect(200)["state"], "paid");
    let endpoints = acting("GET", "/v1/webhook-endpoints").send().await.expect(200);
    assert_eq!(endpoints["data"][0]["enabled"], false, "{endpoints}");
    let call = acting("POST", &format!("/v1/payments/{id}/cancel")).header("idempotency-key", "k");
    assert_eq!(call.json(&json!({})).send().await.expect(200)["state"], "cancelled");
    let call = acting("POST", "/v1/payments").json(&crate::stage::order("new", json!({})));
    call.send().await.problem(409, "shop_removed");
}

/// Whatever makes or changes something for a shop.
async fn nothing_for_a_removed_one(stage: Stage) {
    let endpoint =
        stage.post("/v1/webhook-endpoints", &json!({"url": "http://127.0.0.1:9/"})).await.expect(201);
    let path = format!("/v1/shops/{}", stage.shop.id);
    stage.operator("DELETE", &path, Value::Null).await.expect(200);
    for mode in ["test", "live"] {
        let key = json!({"shop_id": stage.shop.id, "mode": mode});
        stage.operator("POST", "/v1/keys", key).await.problem(409, "shop_removed");
    }
    let (endpoint, channel) = (text(&endpoint, "id"), &stage.shop.channel);
    for (verb, path, body) in [
        ("POST", "/v1/channels".to_owned(), json!({"plugin": "inicis", "preset": "test_pay"})),
        ("PATCH", format!("/v1/channels/{channel}"), json!({"enabled": true, "watch": true})),
        ("POST", "/v1/webhook-endpoints".to_owned(), json!({"url": "http://127.0.0.1:9/"})),
        ("PATCH", format!("/v1/webhook-endpoints/{endpoint}"), json!({"enabled": true})),
        ("POST", format!("/v1/webhook-endpoints/{endpoint}/rotate-secret"), json!({})),
        ("POST", "/v1/events/samples".to_owned(), json!({"type": "payment.paid"})),
        ("POST", "/v1/payments".to_owned(), crate::stage::order("new", json!({}))),
    ] {
        let call = stage.call(verb, &path).key(&stage.operator_key());
        let call = call.header("payhost-shop", &stage.shop.id).header("payhost-mode", "test");
        let answer = call.json(&body).send().await;
        assert_eq!(
            (answer.status, answer.problem(409, "shop_removed")["code"].as_str()),
            (409, Some("shop_removed")),
            "{verb} {path}"
        );
    }
    let acting = |path: &str| {
        let call = stage.call("GET", path).key(&stage.operator_key());
        call.header("payhost-shop", &stage.shop.id).header("payhost-mode", "test").send()
    };
    let channels = acting("/v1/channels").await.expect(200);
    assert!(channels["data"].as_array().unwrap().iter().all(|one| one["enabled"] == false), "{channels}");
    assert_eq!(acting("/v1/webhook-endpoints").await.expect(200)["data"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_made_for_a_shop_that_was_removed() {
    nothing_for_a_removed_one(Stage::start().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_made_for_a_shop_that_was_removed_on_postgres() {
    nothing_for_a_removed_one(Stage::on_postgres().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_made_while_its_shop_is_removed_is_ended_with_it_or_not_made() {
    for stage in [Stage::start().await, Stage::on_postgres().await] {
        let path = format!("/v1/shops/{}", stage.shop.id);
        let make = async || {
            for _ in 0..5 {
                let answer = stage.operator("POST", "/v1/keys", json!({"shop_id": stage.shop.id})).await;
                assert!([201, 409].contains(&answer.status), "{}", answer.text);
            }
        };
        let remove = async || {
            stage.operator("DELETE", &path, Value::Null).await.expect(200);
        };
        tokio::join!(make(), make(), make(), remove(), make(), make());
        let keys = stage.operator("GET", &format!("/v1/keys?shop_id={}", stage.shop.id), Value::Null).await;
        let keys = keys.expect(200);
        assert!(keys["data"].as_array().unwrap().iter().all(|key| !key["revoked_at"].is_null()), "{keys}");
    }
}
