//! Payments per second of the store alone, 64 in flight, two commits each, on SQLite and PostgreSQL:
//! `cargo run --release -p payhost-store --example throughput [SECONDS [CONNECTIONS]]`
//!
//! The first commit writes payment, checkout, idempotency key, attempt and job; the second locks the payment and writes
//! outcome, fact, two ledger lines, event, payment and answer: 14 statements. PostgreSQL is one of our own, as it is
//! delivered (fsync on), on a unix socket; client and server share the machine. Both write to the same folder's disk.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a measurement, with the tests' helpers"
)]

#[path = "../tests/suite/fixture.rs"]
mod fixture;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fixture::{NOW_US, World, fresh, job, world};
use own_postgres::{SAFE, Server};
use payhost_core::id::EventId;
use payhost_core::{FactKind, PaymentState};
use payhost_store::rows::attempts::{self, Attempt, AttemptState, Started};
use payhost_store::rows::checkouts;
use payhost_store::rows::events::{self, Event};
use payhost_store::rows::idempotency::{self, Begun, Idempotency, IdempotencyState};
use payhost_store::rows::{Mode, facts, jobs, payments};
use payhost_store::{Blob, Error, Options, Sealed, Store};

const IN_FLIGHT: usize = 64;

fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<u32>().unwrap());
    let seconds = arguments.next().unwrap_or(10);
    let connections: Vec<u32> = arguments.collect();
    let folder = tempfile::tempdir().unwrap();
    let sqlite = Options::sqlite(folder.path().join("payhost.db"));
    measure("SQLite, synchronous=FULL", sqlite, seconds);
    let server = Server::start(SAFE);
    for number in if connections.is_empty() { vec![16] } else { connections } {
        let options = Options::parse(&server.database()).unwrap().connections(number);
        measure(&format!("PostgreSQL, {number} connections"), options, seconds);
    }
}

fn measure(name: &str, options: Options, seconds: u32) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let store = Store::open(options).unwrap();
    let (paid, slowest) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let started = Instant::now();
    runtime.block_on(async {
        let world = world(&store).await;
        let end = started + Duration::from_secs(seconds.into());
        let mut clients = tokio::task::JoinSet::new();
        for client in 0..IN_FLIGHT {
            let (store, paid, slowest) = (store.clone(), paid.clone(), slowest.clone());
            clients.spawn(async move {
                let mut number = 0;
                while Instant::now() < end {
                    let begun = Instant::now();
                    pay(&store, world, format!("{client}/{number}")).await;
                    let took = u64::try_from(begun.elapsed().as_micros()).unwrap();
                    slowest.fetch_max(took, Ordering::Relaxed);
                    paid.fetch_add(1, Ordering::Relaxed);
                    number += 1;
                }
            });
        }
        clients.join_all().await;
        store.close().await;
    });
    let (paid, ms) = (paid.load(Ordering::Relaxed), u64::try_from(started.elapsed().as_millis()).unwrap());
    let in_flight = u64::try_from(IN_FLIGHT).unwrap();
    println!(
        "{name}: {} payments/s, {} ms each on average, {} ms at most ({IN_FLIGHT} in flight, {seconds} s)",
        paid * 1000 / ms,
        ms * in_flight / paid.max(1),
        slowest.load(Ordering::Relaxed) / 1000
    );
}

async fn pay(store: &Store, world: World, order: String) {
    let payment = world.payment(&order);
    let checkout = world.checkout(&payment);
    let attempt = world.complete(payment.id, checkout.id);
    let row = Idempotency {
        shop_id: world.shop,
        mode: Mode::Test,
        key: order.clone(),
        request_hash: Blob(vec![1; 32]),
        state: IdempotencyState::Running,
        status: None,
        body: None,
        payment_id: None,
        created_us: NOW_US,
        expires_us: NOW_US + 10,
    };
    let id = payment.id;
    let first = attempt.clone();
    let t1 = move |tx: &mut payhost_store::Tx<'_>| -> Result<(), Error> {
        payments::insert(tx, &payment)?;
        checkouts::insert(tx, &checkout)?;
        assert_eq!(idempotency::begin(tx, &row)?, Begun::New);
        assert_eq!(attempts::start(tx, &first)?, Started::New);
        jobs::enqueue(tx, &job(world.shop, &format!("resolve/{}", first.id), NOW_US), NOW_US)
    };
    store.transact(t1).await.unwrap();
    let t2 = move |tx: &mut payhost_store::Tx<'_>| -> Result<(), Error> {
        let mut payment = payments::lock(tx, world.shop, id)?.unwrap();
        let outcome = Some(Sealed::from_bytes(vec![1; 300]));
        attempts::settle(tx, &Attempt { state: AttemptState::Succeeded, outcome, ..attempt })?;
        assert!(facts::record(tx, &world.fact(id, FactKind::Approved, 0, 1000))?.is_new());
        let (now_ms, random) = fresh();
        let event = Event {
            id: EventId::new(now_ms, random),
            shop_id: world.shop,
            mode: Mode::Test,
            payment_id: Some(id),
            sequence: Some(1),
            name: "payment.paid".to_owned(),
            payload: Sealed::from_bytes(vec![1; 300]),
            created_us: NOW_US,
        };
        events::insert(tx, &event)?;
        (payment.state, payment.paid, payment.next_event) = (PaymentState::Paid, 1000, 2);
        payments::save(tx, &mut payment, NOW_US)?;
        let body = Sealed::from_bytes(vec![1; 300]);
        idempotency::finish(tx, (world.shop, Mode::Test, &order), 200, &body, Some(id))
    };
    store.transact(t2).await.unwrap();
}
