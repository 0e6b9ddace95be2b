//! One buyer's way through the API: create, open, choose in the gateway's window, come back. Invariant: no leg is taken before
//! the one before it was answered as it should be.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::http::{form, json_of, text, text_of};
use super::place::Place;

/// What a buyer's browser says of itself.
const AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64) Chrome/150";

/// A payment that the load generator made: what must be found in every book afterwards.
pub struct Made {
    /// `pay_…`.
    pub payment: String,
    /// Won.
    pub amount: i64,
    /// How long each leg took: create, open, window (the simulator's), return.
    pub legs: [Duration; 4],
}

/// Counts orders, so that each has a number and an amount of its own.
#[derive(Default)]
pub struct Orders(AtomicI64);

impl Orders {
    fn next(&self) -> (String, i64) {
        let number = self.0.fetch_add(1, Ordering::Relaxed);
        (format!("bench-{number}"), 1_000 + number)
    }
}

/// `POST /v1/payments`; `more` goes over the usual order. The payment and its amount.
pub async fn create(place: &Place, orders: &Orders, more: &[(&str, Value)]) -> (Value, i64) {
    create_as(place, &place.shop.key, orders, more).await
}

/// The same with another shop's key.
pub async fn create_as(place: &Place, key: &str, orders: &Orders, more: &[(&str, Value)]) -> (Value, i64) {
    let (order_id, total) = orders.next();
    let mut body = json!({
        "order_id": order_id, "order_name": "수제 잼 외 1건", "amount": {"total": total},
        "buyer": {"name": "홍길동", "email": "hong@example.com", "phone": "010-1234-5678"},
        "return_url": "http://127.0.0.1:9/orders/1",
    });
    for (name, value) in more {
        body[*name] = value.clone();
    }
    let request = place.client.post(format!("{}/v1/payments", place.url)).bearer_auth(key).json(&body);
    let created = json_of(request, 201).await;
    assert_eq!(created["amount"]["total"], total, "{created}");
    (created, total)
}

/// The buyer presses the button of the checkout page: the fields of the gateway's form.
pub async fn open(place: &Place, created: &Value) -> Vec<(String, String)> {
    let request = place.client.post(text(created, "checkout_url")).header("user-agent", AGENT);
    let page = text_of(form(request, String::new()), 200).await;
    let fields: Vec<(String, String)> = page
        .split("<input type=\"hidden\"")
        .skip(1)
        .map(|input| (attribute(input, "name"), attribute(input, "value")))
        .collect();
    assert!(fields.iter().any(|(name, _)| name == "oid"), "no gateway form: {page}");
    fields
}

fn attribute(input: &str, name: &str) -> String {
    let rest = input.split_once(&format!("{name}=\"")).map_or("", |(_, rest)| rest);
    let value = rest.split_once('"').map_or("", |(value, _)| value);
    let pairs = [("&#34;", "\""), ("&#39;", "'"), ("&#60;", "<"), ("&#62;", ">"), ("&#38;", "&")];
    pairs.iter().fold(value.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// The buyer pays in the gateway's window: where the browser is sent, and with what.
pub async fn choose(place: &Place, fields: &[(String, String)]) -> (String, String) {
    let play = json!({
        "fields": fields, "referer": format!("{}/checkout", place.url), "choice": "pay", "card": "04", "quota": "00",
    });
    let request = place.client.post(format!("{}/window", place.control)).json(&play);
    let back = json_of(request, 200).await;
    let fields: Vec<(String, String)> = serde_json::from_value(back["fields"].clone()).unwrap();
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    (text(&back, "return_url"), body)
}

/// All legs of one payment.
pub async fn whole(place: &Place, orders: &Orders) -> Made {
    let mut times = vec![Instant::now()];
    let (created, amount) = create(place, orders, &[]).await;
    times.push(Instant::now());
    let fields = open(place, &created).await;
    times.push(Instant::now());
    let (url, body) = choose(place, &fields).await;
    times.push(Instant::now());
    // Redirected to the result; whether that is "paid" is looked up in the books.
    text_of(form(place.client.post(url), body), 303).await;
    times.push(Instant::now());
    let leg = |number: usize| times[number + 1] - times[number];
    Made { payment: text(&created, "id"), amount, legs: [leg(0), leg(1), leg(2), leg(3)] }
}
