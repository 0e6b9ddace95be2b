//! Deposits into virtual accounts, and what the gateway tells of them.

use std::time::Duration;

use serde_json::{Value, json};

use super::buyer::Window;
use super::http::Answer;
use super::{Shop, Stage, eventually};

/// What the usual order costs.
pub const TOTAL: i64 = 20_900;
const SOON: Duration = Duration::from_secs(20);

/// A gateway that knows where the first shop's notices go.
pub async fn stage() -> Stage {
    told(Stage::start().await).await
}

/// Tells a stage's gateway where the first shop's notices go.
pub async fn told(stage: Stage) -> Stage {
    let url = notify_url(&stage, &stage.shop);
    sim(&stage, "PATCH", "vbank/settings", json!({"urls": {"INIpayTest": url}})).await.expect(200);
    stage
}

/// Where a shop's notices go.
pub fn notify_url(stage: &Stage, shop: &Shop) -> String {
    format!("{}/notify/{}/{}", stage.url, shop.id, shop.channel)
}

/// A request to the gateway's own API.
pub async fn sim(stage: &Stage, verb: &str, path: &str, body: Value) -> Answer {
    let call = stage.call(verb, &format!("{}/_sim/{path}", stage.gateway.browser_origin));
    if verb == "GET" { call.send().await } else { call.json(&body).send().await }
}

fn order_ref(window: &Window) -> String {
    let name = if window.field("P_OID").is_empty() { "oid" } else { "P_OID" };
    window.field(name).to_owned()
}

/// A payment with an account that waits, and our order number.
pub async fn awaiting(stage: &Stage, shop: &Shop, order_id: &str, device: &str) -> (Value, String) {
    let more = json!({"device": device, "method": {"kind": "virtual_account"}});
    let created = stage.create_as(shop, order_id, more).await.expect(201);
    let window = stage.open(&created).await;
    let choice = json!({"choice": "pay", "bank": "04", "depositor": "홍길동"});
    let outcome = stage.come_back(&stage.choose(&window, choice).await).await;
    assert_eq!(outcome.result, "awaiting_deposit", "{}", outcome.words);
    (created, order_ref(&window))
}

/// Somebody pays in; gives what the gateway says, once its notices are out.
pub async fn deposit(stage: &Stage, oid: &str, more: Value) -> Value {
    let mut body = json!({"oid": oid});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let made = sim(stage, "POST", "deposit", body).await.expect(200);
    sim(stage, "POST", "notices/settle", json!({})).await.expect(200);
    made
}

/// The payment, once it is in a state.
pub async fn in_state(stage: &Stage, shop: &Shop, created: &Value, state: &str) -> Value {
    eventually(&format!("the payment is {state}"), SOON, async || {
        let now = stage.payment_as(shop, created).await;
        (now["state"] == state).then_some(now)
    })
    .await
}

/// A shop's notices.
pub async fn notices(stage: &Stage, shop: &Shop, query: &str) -> Vec<Value> {
    let path = format!("/v1/notices{query}");
    let list = stage.call("GET", &path).key(&shop.key).send().await.expect(200);
    list["data"].as_array().unwrap().clone()
}

/// The newest notice of the first shop, once it is in a state.
pub async fn noticed(stage: &Stage, state: &str) -> Value {
    eventually(&format!("a notice is {state}"), SOON, async || {
        notices(stage, &stage.shop, "").await.into_iter().next().filter(|notice| notice["state"] == state)
    })
    .await
}

/// How often a name is among names.
pub fn count(names: &[String], name: &str) -> usize {
    names.iter().filter(|known| *known == name).count()
}

/// A PC deposit notice that nobody of the gateway made.
pub fn forged(oid: &str, amount: i64, number: &str) -> Vec<(String, String)> {
    [
        ("no_tid", "ININPGVBNKINIpayTest20261122101500000001"),
        ("no_oid", oid),
        ("id_merchant", "INIpayTest"),
        ("dt_trans", "20261122"),
        ("tm_trans", "101500"),
        ("type_msg", "0200"),
        ("cl_kor", "2"),
        ("no_vacct", number),
        ("amt_input", &amount.to_string()),
        ("nm_input", "hong"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}
