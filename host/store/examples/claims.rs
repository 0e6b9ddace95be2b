//! How long a look and a claim take beside 100,000 due jobs of one shop, and beside 10,000 shops with jobs that are not due yet:
//! `cargo run --release -p payhost-store --example claims`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a measurement that is surprised stops")]

use std::time::{Duration, Instant};

use own_postgres::{SAFE, Server};
use payhost_core::id::{JobId, ShopId};
use payhost_store::rows::jobs::{self, Claim, Lane, NewJob};
use payhost_store::{Error, Json, Options, Store};

const FLOOD: u64 = 100_000;
const SHOPS: u64 = 10_000;
const ROUNDS: usize = 300;

fn bytes(number: u64) -> [u8; 10] {
    let mut bytes = [0; 10];
    bytes[2..].copy_from_slice(&number.to_be_bytes());
    bytes
}

fn job(number: u64, shop: ShopId, key: &str, due_us: i64) -> NewJob<'_> {
    let payload = Json::from(serde_json::json!({}));
    let id = JobId::new(1, bytes(number));
    NewJob { id, lane: Lane::Work, kind: "notice", key, shop_id: shop, payload, due_us }
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let sqlite = Options::sqlite(folder.path().join("payhost.db"));
    runtime.block_on(measure("SQLite, synchronous=FULL", Store::open(sqlite).unwrap()));
    let server = Server::start(SAFE);
    let postgres = Options::parse(&server.database()).unwrap();
    runtime.block_on(measure("PostgreSQL", Store::open(postgres).unwrap()));
}

async fn measure(name: &str, store: Store) {
    let shop = |number: u64| ShopId::new(1, bytes(number));
    let (flooding, quiet) = (shop(SHOPS / 2), shop(SHOPS * 2));
    for part in 0..(FLOOD / 1000) {
        let written: Result<(), Error> = store
            .transact(move |tx| {
                for number in part * 1000..(part + 1) * 1000 {
                    let due_us = i64::try_from(number).unwrap();
                    jobs::enqueue(tx, &job(number, flooding, &format!("flood {number}"), due_us), 0)?;
                    if number < SHOPS {
                        let key = format!("later {number}");
                        jobs::enqueue(tx, &job(FLOOD + number, shop(number), &key, i64::MAX / 2), 0)?;
                    }
                }
                Ok(())
            })
            .await;
        written.unwrap();
    }
    let now_us = 200_000;
    let (mut looks, mut claims, mut walked) = (Vec::new(), Vec::new(), None);
    for round in 0..ROUNDS as u64 {
        let new: Result<(), Error> = store
            .transact(move |tx| {
                let key = format!("quiet {round}");
                jobs::enqueue(tx, &job(FLOOD * 3 + round, quiet, &key, now_us), 0)
            })
            .await;
        new.unwrap();
        let begun = Instant::now();
        let due = store.read(move |tx| jobs::look(tx, Lane::Work, now_us, walked)).await;
        looks.push(begun.elapsed());
        let due: jobs::Due = due.unwrap();
        assert!(due.shops.iter().any(|(shop, _)| *shop == quiet), "the newest is seen at once");
        walked = due.walked;
        let begun = Instant::now();
        let claimed = store
            .transact(move |tx| {
                let by = Claim { lane: Lane::Work, now_us, lease_until_us: i64::MAX / 2, token: "t" };
                jobs::claim(tx, &by, &[(quiet, 16), (flooding, 16)])
            })
            .await;
        claims.push(begun.elapsed());
        let claimed: Vec<jobs::Job> = claimed.unwrap();
        assert_eq!(claimed.len(), 17);
    }
    println!("{name}: {FLOOD} due jobs of one shop, {SHOPS} shops with jobs that are not due");
    for (what, times) in [("look", &mut looks), ("claim of 17, with its commit", &mut claims)] {
        times.sort_unstable();
        let at = |share: usize| times[times.len() * share / 100].as_secs_f64() * 1000.0;
        println!("    {what:<30} p50 {:>6.2} ms  p99 {:>6.2} ms", at(50), at(99));
        assert!(times[times.len() / 2] < Duration::from_millis(200));
    }
}
