//! A host that stands still in the middle of an approval until its lease is over and another host has found out. Invariant: what
//! it brings when it wakes changes nothing that was found out meanwhile (the lease's token fences it off).

use std::time::Duration;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::json;

use super::kill_points::{LEASE, order_id};
use super::world::World;
use super::{Asked, Backend, Counting, Row, checker};

/// How long the gateway takes to answer the host that stands still.
const SLOW_MS: u64 = 1_500;

/// Two hosts on one PostgreSQL.
pub async fn run(asked: Asked) -> Vec<Row> {
    let mut world = World::start(Backend::Postgres).await;
    let second = world.second();
    let mut random = StdRng::seed_from_u64(asked.seed);
    let mut counting = Counting::new("paused");
    for run in 0..asked.runs(20) {
        counting.run();
        if let Err(words) = one(&mut world, run, &mut random).await {
            counting.wrong(&format!("run {run} seed {}", asked.seed), "harness", words);
        }
    }
    if let Err(words) = world.rest().await {
        counting.wrong("at rest", "I10", words);
    }
    let dump = world.dump();
    counting.found("at rest", checker::check(&dump));
    drop(second);
    vec![counting.end(checker::operator_calls(&dump))]
}

async fn one(world: &mut World, run: u64, random: &mut StdRng) -> Result<(), String> {
    let shop = usize::try_from(run % 2).unwrap();
    let ready = world.ready(shop, &order_id(random), 5_000).await?;
    world.fault("pay_auth", "slow", json!({"oid": ready.order_ref, "ms": SLOW_MS})).await;
    let call = world.call("POST", &ready.back.url).form(&ready.back.fields);
    let buyer = tokio::spawn(call.try_send());
    // The request is at the gateway by then, and its answer is not here.
    tokio::time::sleep(Duration::from_millis(SLOW_MS / 2)).await;
    world.signal("-STOP");
    let found_out = async {
        tokio::time::sleep(Duration::from_millis(SLOW_MS)).await;
        world.advance(LEASE).await;
        world.quiet(Duration::from_secs(20)).await
    };
    let found_out = found_out.await;
    let left = world.dump().open_attempts();
    world.signal("-CONT");
    found_out?;
    let told = buyer.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
    // A sale that was found is paid; where the gateway cannot be asked, it was undone.
    let state = world.payment(&ready).await?["state"].clone();
    let expected = if shop == 0 { "pending" } else { "paid" };
    if (left, told.status) == (0, 303) && state == expected {
        Ok(())
    } else {
        Err(format!("{left} open, {}, {state} instead of {expected}", told.status))
    }
}
