//! Webhooks to one endpoint. Invariant: the receiver verifies every signature with the public library, and at the end has every
//! event of the database, with no gap in any payment's sequence.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde_json::{Value, json};
use standardwebhooks::Webhook;

use super::books::rows;
use super::buyer::{Orders, create, open};
use super::figures::Figures;
use super::http::{json_of, text};
use super::place::{Backend, Built, Place};

/// Buyers in flight, and payments that each begins.
const BUYERS: usize = 64;
const EACH: usize = 24;
/// How long the last events may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// What came, by the event's id.
#[derive(Default)]
struct Got {
    /// The payment, its place in the payment's sequence, and how often it came.
    events: HashMap<String, (String, i64, u64)>,
    /// When the last new one came.
    last: Option<Instant>,
}

struct Receiver {
    webhook: std::sync::OnceLock<Webhook>,
    got: Mutex<Got>,
}

/// `webhooks.delivered`: from the first request that makes an event until the last event has come. The events are true ones
/// (payments are created and opened meanwhile by 64 buyers), and making them is part of the time.
pub async fn run(built: &Built, figures: &mut Figures) {
    let mut place = Arc::new(Place::start(built, Backend::Sqlite).await);
    let receiver = Arc::new(Receiver { webhook: std::sync::OnceLock::new(), got: Mutex::default() });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hooks", listener.local_addr().unwrap());
    let router = Router::new().route("/hooks", post(receive)).with_state(Arc::clone(&receiver));
    let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let body = json!({"url": url, "events": ["*"]});
    let endpoint = json_of(place.post("/v1/webhook-endpoints", &body), 201).await;
    let webhook = Webhook::new(&text(&endpoint, "secret")).unwrap();
    assert!(receiver.webhook.set(webhook).is_ok());

    let begun = Instant::now();
    make_events(&place).await;
    let made = begun.elapsed();
    let count = || receiver.got.lock().unwrap().events.len();
    let all =
        rows(&place, "SELECT id, payment_id, CAST(sequence AS TEXT) FROM event WHERE payment_id IS NOT NULL");
    while count() < all.len() {
        assert!(begun.elapsed() < made + PATIENCE, "{} of {} events came", count(), all.len());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Arc::get_mut(&mut place).expect("all buyers are back").stop_host();
    serving.abort();
    let got = receiver.got.lock().unwrap();
    let took = got.last.unwrap() - begun;
    figures.add("webhooks.delivered", all.len() as f64 / took.as_secs_f64(), "/s", None, Some(400.0));
    for row in &all {
        let (payment, sequence, _) = &got.events[&row[0]];
        assert_eq!((payment, sequence.to_string()), (&row[1], row[2].clone()), "{row:?}");
    }
    complete(&got);
    assert_eq!(all.len(), got.events.len(), "an event came that is not in the database");
    println!(
        "    {0} events made in {made:.1?}, {0} checked: each signature good, each sequence complete, {1} came again",
        all.len(),
        got.events.values().filter(|(_, _, times)| *times > 1).count(),
    );
}

/// Every payment's events are numbered 1 to n.
fn complete(got: &Got) {
    let mut sequences: HashMap<&str, Vec<i64>> = HashMap::new();
    for (payment, sequence, _) in got.events.values() {
        sequences.entry(payment).or_default().push(*sequence);
    }
    assert_eq!(sequences.len(), BUYERS * EACH, "payments with events");
    for (payment, mut sequence) in sequences {
        sequence.sort_unstable();
        let wanted: Vec<i64> = (1..).take(sequence.len()).collect();
        assert_eq!(sequence, wanted, "{payment}");
    }
}

async fn make_events(place: &Arc<Place>) {
    let orders = Arc::new(Orders::default());
    let buyers = (0..BUYERS).map(|_| {
        let (place, orders) = (Arc::clone(place), Arc::clone(&orders));
        tokio::spawn(async move {
            for _ in 0..EACH {
                let (created, _) = create(&place, &orders, &[]).await;
                open(&place, &created).await;
            }
        })
    });
    for buyer in buyers.collect::<Vec<_>>() {
        buyer.await.expect("a buyer was answered as it should be");
    }
}

async fn receive(State(receiver): State<Arc<Receiver>>, headers: HeaderMap, body: String) -> StatusCode {
    let webhook = receiver.webhook.get().expect("nothing is sent before the endpoint is made");
    webhook.verify(body.as_bytes(), &headers).expect("the signature is good");
    let event: Value = serde_json::from_str(&body).expect("an event is JSON");
    let (payment, sequence) =
        (text(&event["data"]["payment"], "id"), event["data"]["sequence"].as_i64().unwrap());
    let mut got = receiver.got.lock().unwrap();
    let entry = got.events.entry(text(&event, "id")).or_insert((payment, sequence, 0));
    entry.2 += 1;
    if entry.2 == 1 {
        got.last = Some(Instant::now());
    }
    StatusCode::OK
}
