//! One sale of any method on any device: what tests ask for, and what they look at afterwards.

use serde_json::{Value, json};

use super::Stage;
use super::buyer::{Outcome, Window};
use super::http::Answer;

/// Both devices.
pub const DEVICES: [&str; 2] = ["pc", "mobile"];

/// The gateway as it is, which takes every window that our plugin opens.
pub async fn stage() -> Stage {
    Stage::start().await
}

/// `pay` with a choice of one's own.
pub fn paying(mut choice: Value) -> Value {
    choice["choice"] = json!("pay");
    choice
}

/// One buyer's whole way: the payment afterwards, and the result page.
pub async fn buy(stage: &Stage, order_id: &str, more: Value, choice: Value) -> (Value, Outcome) {
    let created = stage.create_as(&stage.shop, order_id, more).await.expect(201);
    let window = stage.open(&created).await;
    let outcome = stage.come_back(&stage.choose(&window, choice).await).await;
    (stage.payment(&created).await, outcome)
}

/// Members of the payment that the test names.
pub fn has(payment: &Value, members: &Value, what: &str) {
    for (name, value) in members.as_object().unwrap() {
        assert_eq!(payment.pointer(name).unwrap_or(&Value::Null), value, "{what}: {name} of {payment}");
    }
}

/// A method as the API takes it.
pub fn method(kind: &str, provider: &str) -> Value {
    json!({"kind": kind, "provider": (!provider.is_empty()).then_some(provider)})
}

/// The one sale of a window.
pub async fn sale(stage: &Stage, window: &Window) -> Value {
    let sales = stage.sales(order_ref(window)).await;
    assert_eq!(sales.len(), 1, "{sales:?}");
    sales[0].clone()
}

/// Our order number in the form of either device.
pub fn order_ref(window: &Window) -> &str {
    let name = if window.field("P_OID").is_empty() { "oid" } else { "P_OID" };
    window.field(name)
}

/// Asks for a cancel with a body of one's own.
pub async fn cancel(stage: &Stage, payment: &Value, key: &str, body: Value) -> Answer {
    stage.cancel_with(&stage.shop, payment, key, &body).await
}

/// A buyer who takes what the window offers first.
pub fn pay_empty() -> Value {
    paying(json!({}))
}

/// `yyyyMMddHHmmss` in Korea as RFC 3339.
pub fn korean(stamp: &str) -> String {
    let part = |from: usize, to: usize| &stamp[from..to];
    format!(
        "{}-{}-{}T{}:{}:{}+09:00",
        part(0, 4),
        part(4, 6),
        part(6, 8),
        part(8, 10),
        part(10, 12),
        part(12, 14)
    )
}

/// Milliseconds as RFC 3339.
pub fn moment(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).unwrap().to_string()
}
