//! What a shop feels of another that floods. Invariant: both halves are the same deposits of the same shop at the same pace on the
//! same host, first alone, then beside the flood; each is paid once and told once; the flood is bounded, stands until the last
//! deposit is told, and goes to servers of its own on loopback.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::StatusCode;
use axum::routing::post;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::books::rows;
use super::buyer::{Orders, create_as};
use super::figures::{Figures, Times};
use super::http::{form, json_of, text_of};
use super::notices::{Message, deposited};
use super::place::{Backend, Built, Place, Shop};

/// Deposits of the quiet shop in each half, and the time between two of them.
const DEPOSITS: usize = 300;
const BETWEEN: Duration = Duration::from_millis(40);
/// Deposits before the clock runs.
const WARM_UP: usize = 40;
/// The flood: junk notices that are sent on to a cart that never answers, notices whose gateway never answers when it is asked,
/// and receivers that take events and never answer, with payments that make some.
const JUNK: usize = 500;
const SILENT: usize = 64;
const RECEIVERS: usize = 16;
const PAYMENTS: usize = 200;
/// What goes on meanwhile, each: one every so often.
const TRICKLE: Duration = Duration::from_millis(50);
/// How long the last deposit may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// `fairness.deposit-p99` (from the notice on disk until its fact) and `fairness.webhook-p99` (from the event until its receiver took
/// it): beside the flood ÷ alone.
pub async fn run(built: &Built, figures: &mut Figures) {
    let mut place = Arc::new(Place::start(built, Backend::Sqlite).await);
    let settings =
        json!({"urls": {"INIpayTest": format!("{}/notify/x", place.url)}, "notice": {"hold": true}});
    json_of(place.client.patch(format!("{}/vbank/settings", place.control)).json(&settings), 200).await;
    let (quiet, flooding) = (place.new_shop("조용한 가게").await, place.new_shop("넘치는 가게").await);
    let orders = Arc::new(Orders::default());
    let of =
        |shop: &Shop, count: usize| deposited(Arc::clone(&place), shop.clone(), Arc::clone(&orders), count);
    let (made, mut messages) = of(&quiet, WARM_UP + 2 * DEPOSITS).await;
    let (_, silent) = of(&flooding, SILENT).await;
    let told = receives(&place, &quiet, taking().await, 1).await;
    pay_in(&place, &messages.split_off(messages.len() - WARM_UP), WARM_UP).await;
    let beside = messages.split_off(DEPOSITS);
    pay_in(&place, &messages, WARM_UP + DEPOSITS).await;
    let flood = Flood::begin(&place, &flooding, &orders, silent).await;
    pay_in(&place, &beside, WARM_UP + 2 * DEPOSITS).await;
    let (hanging, trickled) = flood.end(&place, &flooding).await;
    Arc::get_mut(&mut place).expect("all requests are answered").stop_host();
    told.abort();
    let orders_of =
        |messages: &[Message]| messages.iter().map(|message| message.order_ref.clone()).collect::<Vec<_>>();
    let halves = [orders_of(&messages), orders_of(&beside)];
    let times = |what: &str| took(&place, &quiet, what, &halves, made.len());
    for (name, what) in [("fairness.deposit-p99", DEPOSIT), ("fairness.webhook-p99", WEBHOOK)] {
        let mut halves = times(what);
        let [alone, beside] = halves.each_mut().map(|times| times.percentile(0.99) / 1000.0);
        let [alone_50, beside_50] = halves.each_mut().map(|times| times.percentile(0.5) / 1000.0);
        figures.add(name, beside / alone, "x", None, Some(1.2));
        println!(
            "    alone p50 {alone_50:.1} p99 {alone:.1} ms, beside the flood p50 {beside_50:.1} p99 {beside:.1} ms"
        );
    }
    println!(
        "    {} deposits in each half, {} checked: each paid once and told once; the flood: {JUNK} notices, {SILENT} deposits and \
         {PAYMENTS} payments, and {trickled} of each more meanwhile; {hanging} deliveries were still waiting at its end",
        DEPOSITS,
        made.len()
    );
}

/// From a deposit's notice until its fact, microseconds, by its order.
const DEPOSIT: &str = "SELECT n.order_ref, CAST(f.created_us - n.created_us AS TEXT) FROM notice n \
    JOIN fact f ON f.shop_id = n.shop_id AND f.payment_id = n.payment_id AND f.kind = 'deposited' WHERE n.state = 'applied'";
/// From the event until its receiver took it.
const WEBHOOK: &str = "SELECT n.order_ref, CAST(d.tried_us + d.took_us - e.created_us AS TEXT) FROM notice n \
    JOIN event e ON e.shop_id = n.shop_id AND e.payment_id = n.payment_id AND e.name = 'payment.paid' \
    JOIN webhook_delivery d ON d.shop_id = e.shop_id AND d.event_id = e.id AND d.state = 'delivered' WHERE n.state = 'applied'";

/// The times of both halves; every deposit of the shop must have exactly one.
fn took(place: &Place, shop: &Shop, what: &str, halves: &[Vec<String>; 2], all: usize) -> [Times; 2] {
    let found = rows(place, &format!("{what} AND n.shop_id = '{}'", shop.id));
    assert_eq!(found.len(), all, "each deposit once: {what}");
    let by_order: HashMap<&str, u64> =
        found.iter().map(|row| (row[0].as_str(), row[1].parse().expect("a time"))).collect();
    halves.each_ref().map(|orders| {
        let mut times = Times::default();
        orders.iter().for_each(|order| times.push(Duration::from_micros(by_order[order.as_str()])));
        times
    })
}

/// Sends notices at their pace, and waits until all that were ever sent are told.
async fn pay_in(place: &Arc<Place>, messages: &[Message], in_all: usize) {
    let begun = tokio::time::Instant::now();
    let mut sent = Vec::new();
    for (number, message) in (0_u32..).zip(messages) {
        tokio::time::sleep_until(begun + BETWEEN * number).await;
        let (place, message) = (Arc::clone(place), message.clone());
        sent.push(tokio::spawn(async move { message.send(&place).await }));
    }
    for sent in sent {
        sent.await.expect("a notice was answered as it should be");
    }
    let told = "SELECT CAST(COUNT(*) AS TEXT) FROM webhook_delivery WHERE name = 'payment.paid' AND state = 'delivered'";
    let patience = Instant::now() + PATIENCE;
    while rows(place, told)[0][0].parse::<usize>().expect("a number") < in_all {
        assert!(Instant::now() < patience, "not all of {in_all} deposits were told");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A server that takes what it is sent.
async fn taking() -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("its address"));
    let router = Router::new().route("/", post(|| async { StatusCode::NO_CONTENT }));
    (url, tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves") }))
}

/// A server that accepts and never answers.
async fn hanging() -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("its address"));
    let hold = async move {
        let mut held: Vec<TcpStream> = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            held.push(stream);
        }
    };
    (url, tokio::spawn(hold))
}

/// Makes endpoints of a shop.
async fn receives(
    place: &Place,
    shop: &Shop,
    (url, server): (String, JoinHandle<()>),
    endpoints: usize,
) -> JoinHandle<()> {
    for _ in 0..endpoints {
        let body = json!({"url": url, "events": ["*"]});
        json_of(place.post_as(shop, "/v1/webhook-endpoints", &body), 201).await;
    }
    server
}

/// A flood that stands.
struct Flood {
    servers: Vec<JoinHandle<()>>,
    trickle: JoinHandle<usize>,
    stop: tokio::sync::watch::Sender<bool>,
}

impl Flood {
    async fn begin(place: &Arc<Place>, shop: &Shop, orders: &Arc<Orders>, silent: Vec<Message>) -> Self {
        let (cart, holding) = hanging().await;
        let path = format!("{}/v1/channels/{}", place.url, shop.channel);
        let patch =
            place.client.patch(path).bearer_auth(&shop.key).json(&json!({"notice_forward_url": cart}));
        json_of(patch, 200).await;
        let servers = vec![holding, receives(place, shop, hanging().await, RECEIVERS).await];
        for message in &silent {
            let fault = json!({
                "operation": "inquiry", "fault": "slow", "ms": 600_000, "oid": message.order_ref, "times": "always",
            });
            json_of(place.client.post(format!("{}/faults", place.control)).json(&fault), 201).await;
            message.send(place).await;
        }
        for number in 0..JUNK.max(PAYMENTS) {
            if number < JUNK {
                junk(place, shop, number).await;
            }
            if number < PAYMENTS {
                create_as(place, &shop.key, orders, &[]).await;
            }
        }
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let (place, shop, orders) = (Arc::clone(place), shop.clone(), Arc::clone(orders));
        let trickle = tokio::spawn(async move {
            let mut number = 0;
            while !*stopped.borrow() {
                junk(&place, &shop, JUNK + number).await;
                create_as(&place, &shop.key, &orders, &[]).await;
                number += 1;
                tokio::time::sleep(TRICKLE).await;
            }
            number
        });
        Self { servers, trickle, stop }
    }

    /// Ends it; how much was still there, and how much came in the meantime.
    async fn end(self, place: &Place, shop: &Shop) -> (usize, usize) {
        let waiting = format!(
            "SELECT CAST(COUNT(*) AS TEXT) FROM webhook_delivery WHERE shop_id = '{}' AND state = 'waiting'",
            shop.id
        );
        let waiting = rows(place, &waiting)[0][0].parse().expect("a number");
        assert!(waiting > PAYMENTS, "the flood is gone");
        let _ = self.stop.send(true);
        let trickled = self.trickle.await.expect("the flood was answered as it should be");
        self.servers.iter().for_each(JoinHandle::abort);
        (waiting, trickled)
    }
}

/// A notice of an order that nobody knows.
async fn junk(place: &Place, shop: &Shop, number: usize) {
    let fields = [
        ("no_tid", "ININPGVBNKINIpayTest20261122101500000001".to_owned()),
        ("no_oid", format!("older-cart-{number}")),
        ("id_merchant", "INIpayTest".to_owned()),
        ("dt_trans", "20261122".to_owned()),
        ("tm_trans", "101500".to_owned()),
        ("type_msg", "0200".to_owned()),
        ("cl_kor", "2".to_owned()),
        ("no_vacct", "123".to_owned()),
        ("amt_input", "1000".to_owned()),
        ("nm_input", "hong".to_owned()),
    ];
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let url = format!("{}/notify/{}", place.url, shop.channel);
    assert_eq!(text_of(form(place.client.post(url), body), 200).await, "OK");
}
