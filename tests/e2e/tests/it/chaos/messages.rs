//! kill -9 while the shop is told of something, and while the gateway tells of a deposit. Invariant: a run counts when the
//! process really died at its point; afterwards the gateway repeats what was not answered, as it would, and nobody else helps.

use std::time::Duration;

use payhost_core::kill::{MESSAGE_POINTS, Point};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::json;

use super::kill_points::order_id;
use super::world::{Device, World};
use super::{Asked, BACKENDS, Backend, Counting, Row, checker};
use crate::stage::receiver::Receiver;
use crate::stage::{LOOKUP, order, text};

/// How long an armed host may live after what it should die under began.
const TO_DIE: Duration = Duration::from_secs(10);
/// Longer than the lease of a job or of an endpoint.
const LEASE: Duration = Duration::from_secs(61);
/// When the gateway repeats a notice that was not answered.
const REPEAT: Duration = Duration::from_secs(601);

/// A row per database and point.
pub async fn run(asked: Asked) -> Vec<Row> {
    let mut rows = Vec::new();
    for backend in BACKENDS {
        let points: Vec<Point> = MESSAGE_POINTS.iter().map(|line| line.0).collect();
        rows.extend(on(backend, &points, asked).await);
    }
    rows
}

/// The same on one database, at some of the points.
pub async fn on(backend: Backend, points: &[Point], asked: Asked) -> Vec<Row> {
    let mut world = World::start(backend).await;
    let receiver = Receiver::start().await;
    let secrets = listen(&world, &receiver.url).await;
    let mut random = StdRng::seed_from_u64(asked.seed);
    let mut rows = Vec::new();
    for (point, number, name, _) in MESSAGE_POINTS.iter().filter(|line| points.contains(&line.0)) {
        let mut counting = Counting::new(format!("messages/{}/{name}", backend.name()));
        for run in 0..asked.runs(20) {
            let cell = format!("{} {number} {name} run {run} seed {}", backend.name(), asked.seed);
            counting.run();
            if let Err(words) = one(&mut world, *point, name, run, &mut random).await {
                counting.wrong(&cell, "harness", words);
            }
            world.kill();
            world.advance(LEASE).await;
            if let Err(words) = world.up(None) {
                counting.wrong(&cell, "harness", words);
            } else if let Err(words) = settle(&mut world).await {
                counting.wrong(&cell, "I10", words);
            }
        }
        let (dump, got) = (world.dump(), receiver.got());
        counting.found("at rest", checker::check(&dump));
        counting.found("at rest", checker::told(&dump, &got, &secrets));
        let deposits = dump.facts.iter().filter(|fact| fact.kind == "deposited").count();
        let events = dump.events.len();
        rows.push(counting.end(format!("{deposits} deposits, {events} events in {} requests", got.len())));
    }
    rows
}

/// Gives both shops an endpoint, and tells the gateway where their notices go; gives what signs the events.
async fn listen(world: &World, url: &str) -> Vec<String> {
    let (mut secrets, mut urls) = (Vec::new(), serde_json::Map::new());
    for (shop, mid) in world.shops.iter().zip(["INIpayTest", LOOKUP]) {
        let body = json!({"url": url, "events": ["*"]});
        let call = world.call("POST", "/v1/webhook-endpoints").key(&shop.key).json(&body);
        secrets.push(text(&call.send().await.expect(201), "secret"));
        urls.insert(mid.to_owned(), json!(format!("{}/notify/{}/{}", world.url, shop.id, shop.channel)));
    }
    world.control("PATCH", "vbank/settings", Some(json!({"urls": urls}))).await.expect(200);
    secrets
}

/// One kill.
async fn one(
    world: &mut World,
    point: Point,
    name: &str,
    run: u64,
    random: &mut StdRng,
) -> Result<(), String> {
    let shop = usize::try_from(run % 2).unwrap();
    let total = random.random_range(1_000..100_000);
    let order_id = order_id(random);
    if matches!(point, Point::DeliveryClaimed | Point::WebhookSent) {
        world.kill();
        // Opening, paying and what follows make four events; one turn may send several.
        let most = if point == Point::WebhookSent { 4 } else { 1 };
        world.up(Some(&format!("{name}@webhook:{}", random.random_range(1..=most))))?;
        // It dies under this, sooner or later.
        let _ = world.paid(shop, &order_id, total).await;
    } else {
        let order_ref = awaiting(world, shop, &order_id, total, run).await?;
        settle(world).await?;
        world.kill();
        world.up(Some(&format!("{name}@notice")))?;
        world.control("POST", "deposit", Some(json!({"oid": order_ref}))).await.expect(200);
    }
    if world.dies(TO_DIE).await { Ok(()) } else { Err(format!("it did not die:\n{}", world.log())) }
}

/// A payment that waits for its deposit; gives our order number.
async fn awaiting(
    world: &World,
    shop: usize,
    order_id: &str,
    total: i64,
    run: u64,
) -> Result<String, String> {
    let more = json!({"amount": {"total": total}, "method": {"kind": "virtual_account"}});
    let call = world.call("POST", "/v1/payments").key(&world.shops[shop].key).json(&order(order_id, more));
    let created = call.try_send().await.map_err(|error| error.to_string())?.expect(201);
    let device = if run % 4 < 2 { Device::Pc } else { Device::Phone };
    let window = world.open(&created, device).await?;
    let choice = json!({"choice": "pay", "bank": "04", "depositor": "hong"});
    let back =
        world.decide_with(&window, choice).await?.ok_or("the gateway did not send the browser back")?;
    let order_ref = window.order_ref;
    let call = world.call("POST", &back.url).form(&back.fields);
    let answer = call.try_send().await.map_err(|error| error.to_string())?;
    if answer.status == 303 { Ok(order_ref) } else { Err(answer.text) }
}

/// Moves the clocks until every event is told, every notice is answered, and what it says is among the facts.
async fn settle(world: &mut World) -> Result<(), String> {
    let mut left = String::new();
    for _ in 0..40 {
        world.control("POST", "notices/settle", Some(json!({}))).await.expect(200);
        world.rest().await?;
        let dump = world.dump();
        let waiting = dump.deliveries.iter().filter(|delivery| delivery.state == "waiting").count();
        let open = ["received", "read", "doubted"];
        let open = dump.notices.iter().filter(|notice| open.contains(&notice.state.as_str())).count();
        let sent = world.control("GET", "notices", None).await.expect(200);
        let sent = sent["notices"].as_array().unwrap();
        let unanswered = sent.iter().filter(|notice| notice["accepted"] == false).count();
        if dump.outbox + waiting + open + unanswered == 0 {
            return Ok(());
        }
        left = format!(
            "{} in the outbox, {waiting} deliveries, {open} notices open, {unanswered} unanswered",
            dump.outbox
        );
        if unanswered > 0 {
            world.advance(REPEAT).await;
        } else if open > 0 {
            world.advance(LEASE).await;
        } else {
            // The host sends by itself; only what a dead one holds needs its lease to end.
            tokio::time::sleep(Duration::from_millis(300)).await;
            if world.dump().deliveries.iter().any(|delivery| delivery.state == "waiting") {
                world.advance(LEASE).await;
            }
        }
    }
    Err(left)
}
