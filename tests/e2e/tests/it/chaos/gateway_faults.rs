//! A gateway that is silent, slow, wrong or says no. Invariant: a run counts when its fault struck; what both sides hold is
//! compared when all doubts are over.

use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};

use super::kill_points::order_id;
use super::world::{Device, Ready, World};
use super::{Asked, Backend, Counting, Row, checker};

/// Payments at once.
const IN_FLIGHT: usize = 48;
/// How soon nothing may be in doubt any more, once the gateway is well again.
const HEALED: Duration = Duration::from_secs(60);

/// What can go wrong at the simulator.
const FAULTS: &[&str] = &[
    "drop_before",
    "drop_after",
    "slow",
    "wrong_amount",
    "wrong_order",
    "wrong_mid",
    "wrong_signature",
    "truncated",
    "cut_off",
    "html",
    "empty",
    "garbage",
    "drip",
    "huge",
    "http_500",
    "decline",
    "not_found",
    "wrong_charset",
    "missing_field",
    "doubled_field",
    "other_value",
    "empty_text",
    "wrong_host",
];
const OPERATIONS: &[&str] = &[
    "pay_auth",
    "net_cancel",
    "refund",
    "partial_refund",
    "inquiry",
    "mobile_approve",
    "mobile_net_cancel",
    "return_post",
];

/// Success in other clothes: of another product, in another case, with blanks, with other zeros, as a number.
const CLOTHES: &[&str] = &["00", "0000", "0", "0000 ", " 00", "SUCCESS", "success", "02", "000", "220000"];

/// A code that is a success of the operation in no spelling of its own.
fn dressed(operation: &str, run: u64) -> Value {
    let own = match operation {
        "pay_auth" | "net_cancel" => "0000",
        "inquiry" => "SUCCESS",
        _ => "00",
    };
    let others: Vec<&&str> = CLOTHES.iter().filter(|code| **code != own).collect();
    let at = usize::try_from(run).unwrap();
    // One in ten is a number, where the answer is JSON.
    if at % 10 == 9 && !operation.starts_with("mobile") { json!(0) } else { json!(others[at % others.len()]) }
}

/// What a fault is told besides.
fn details(operation: &str, fault: &str, run: u64) -> Value {
    let phone = operation.starts_with("mobile");
    match fault {
        "slow" => json!({"ms": 700}),
        "drip" => json!({"ms": 1}),
        // Every other code is in no table.
        "decline" if run % 2 == 1 => json!({"code": "500999"}),
        "decline" => json!({"code": if operation.contains("refund") { "500400" } else { "500644" }}),
        "other_value" if phone => json!({"field": "P_STATUS", "value": dressed(operation, run)}),
        "other_value" => json!({"field": "resultCode", "value": dressed(operation, run)}),
        "doubled_field" if run % 2 == 1 && operation != "return_post" => {
            let field = if phone { "P_STATUS" } else { "resultCode" };
            json!({"field": field, "value": "500644"})
        }
        "missing_field" | "doubled_field" if phone => json!({"field": "P_TID"}),
        "missing_field" if operation.contains("auth") => json!({"field": "tid"}),
        "missing_field" | "doubled_field" => json!({"field": "resultCode"}),
        _ => json!({}),
    }
}

/// Every fault of every operation that it fits.
pub async fn every_fault(asked: Asked) -> Vec<Row> {
    let mut world = World::start(Backend::Sqlite).await;
    let mut random = StdRng::seed_from_u64(asked.seed);
    let mut rows = Vec::new();
    for operation in OPERATIONS {
        let name = format!("faults/{operation}");
        if !asked.wants(&name) {
            continue;
        }
        let mut counting = Counting::new(name);
        let mut cells = Vec::new();
        for fault in FAULTS {
            if !world.fits(operation, fault, &details(operation, fault, 0)).await {
                continue;
            }
            for run in 0..asked.runs(20) {
                cells.push((*fault, run, order_id(&mut random), random.random_range(1_000..100_000)));
            }
        }
        world.heal().await;
        let kinds = cells.len();
        let outcomes = futures_util::stream::iter(cells)
            .map(|(fault, run, name, total)| {
                let world = &world;
                async move {
                    let cell = format!("{operation} {fault} run {run} seed {}", asked.seed);
                    (cell, one(world, operation, fault, run, &name, total).await)
                }
            })
            .buffer_unordered(IN_FLIGHT);
        let outcomes: Vec<(String, Result<(), String>)> = outcomes.collect().await;
        for (cell, outcome) in outcomes {
            counting.run();
            if let Err(words) = outcome {
                counting.wrong(&cell, "harness", words);
            }
        }
        // Undoing and asking may still be under way; a fault that waits for them must get its chance.
        if let Err(words) = world.quiet(Duration::from_secs(60)).await {
            counting.wrong(operation, "I10", words);
        }
        let waiting = world.faults().await.into_iter().filter(|fault| fault["hits"] == 0).count();
        world.heal().await;
        if let Err(words) = world.rest().await {
            counting.wrong("at rest", "I10", words);
        }
        let dump = world.dump();
        counting.found("at rest", checker::check(&dump));
        let note = format!(
            "{} kinds, {waiting} faults did not strike, {} so far",
            kinds / usize::try_from(asked.runs(20)).unwrap().max(1),
            checker::operator_calls(&dump)
        );
        rows.push(counting.end(note));
    }
    rows
}

/// One payment that meets a fault.
async fn one(
    world: &World,
    operation: &str,
    fault: &str,
    run: u64,
    name: &str,
    total: i64,
) -> Result<(), String> {
    let device = if operation.starts_with("mobile") { Device::Phone } else { Device::Pc };
    // What is undone is of the shop that cannot ask; what is asked is of the one that can.
    let shop = match operation {
        "net_cancel" | "mobile_net_cancel" => 0,
        "inquiry" => 1,
        _ => usize::try_from(run % 2).unwrap(),
    };
    let created = world.create(shop, name, total).await?;
    let window = world.open(&created, device).await?;
    let mut more = details(operation, fault, run);
    more["oid"] = json!(window.order_ref);
    let lost = json!({"oid": window.order_ref});
    match operation {
        "net_cancel" | "inquiry" => world.fault("pay_auth", "drop_after", lost).await,
        "mobile_net_cancel" => world.fault("mobile_approve", "drop_after", lost).await,
        _ => {}
    }
    world.fault(operation, fault, more).await;
    let Some(back) = world.decide(&window).await? else { return Ok(()) };
    let ready = Ready { shop, created, order_ref: window.order_ref, back };
    let answer = world.come_back(&ready).await?;
    // A spoiled return is refused; everything else is an outcome.
    let fits = if operation == "return_post" { [303, 400] } else { [303, 303] };
    if !fits.contains(&answer.status) {
        return Err(format!("{} {}", answer.status, answer.text));
    }
    if operation.contains("refund") {
        let amount = (operation == "partial_refund").then_some(total / 3);
        let answer = world.cancel(&ready, name, amount).await?;
        if ![200, 202, 402].contains(&answer.status) {
            return Err(format!("{} {}", answer.status, answer.text));
        }
    }
    Ok(())
}

/// The gateway books and does not answer, and is silent when it is asked; then it is well again.
pub async fn lost_answers(asked: Asked) -> Vec<Row> {
    let mut world = World::start(Backend::Sqlite).await;
    world.longest_job = Duration::from_secs(20);
    let mut random = StdRng::seed_from_u64(asked.seed);
    let mut counting = Counting::new("lost-answers");
    let runs = asked.runs(1_000);
    let mut readies = Vec::new();
    for run in 0..runs {
        let shop = usize::try_from(run % 2).unwrap();
        match world.ready(shop, &order_id(&mut random), random.random_range(1_000..9_000)).await {
            Ok(ready) => readies.push(ready),
            Err(words) => counting.wrong("ready", "harness", words),
        }
    }
    // Some answers come after our patience, the others never.
    world.fault("pay_auth", "slow", json!({"ms": 16_000, "times": runs / 20})).await;
    world.fault("pay_auth", "drop_after", json!({"times": "always"})).await;
    world.fault("inquiry", "drop_before", json!({"times": "always"})).await;
    world.fault("net_cancel", "drop_before", json!({"times": "always"})).await;
    for chunk in readies.chunks(250) {
        for answer in join_all(chunk.iter().map(|ready| world.come_back(ready))).await {
            counting.run();
            match answer {
                Ok(answer) if answer.status == 303 => {}
                Ok(answer) => counting.wrong("answer", "I2", format!("{} {}", answer.status, answer.text)),
                Err(words) => counting.wrong("answer", "harness", words),
            }
        }
    }
    world.heal().await;
    let healed = Instant::now();
    let mut left = world.dump().open_attempts();
    let most = left;
    while left > 0 && healed.elapsed() < HEALED * 2 {
        tokio::time::sleep(Duration::from_millis(250)).await;
        left = world.dump().open_attempts();
    }
    let took = healed.elapsed();
    if took > HEALED {
        counting.wrong("healing", "I10", format!("{left} of {most} are in doubt {took:?} after the healing"));
    }
    if let Err(words) = world.rest().await {
        counting.wrong("at rest", "I10", words);
    }
    let dump = world.dump();
    counting.found("at rest", checker::check(&dump));
    let calls = checker::operator_calls(&dump);
    vec![counting.end(format!("{most} in doubt, none {:.1} s after healing, {calls}", took.as_secs_f64()))]
}

/// The inquiry does not know the sale at first, and then it does: after seconds, or after hours in which no undo is answered
/// either (asked after 0, 5, 20, 80 and 380 s, 21 and 81 minutes; found after 7 hours).
pub async fn found_late(asked: Asked) -> Vec<Row> {
    let mut world = World::start(Backend::Sqlite).await;
    let mut counting = Counting::new("found-late");
    let faults = [("pay_auth", "drop_after", 1), ("inquiry", "not_found", 2)];
    let hours =
        [("pay_auth", "drop_after", 1), ("inquiry", "not_found", 7), ("net_cancel", "drop_before", 50)];
    let cells: [(&str, &[_]); 2] = [("seconds", &faults), ("hours", &hours)];
    batch(&mut world, asked, 100, 1, &cells, &mut counting).await;
    vec![counting.end(checker::operator_calls(&world.dump()))]
}

/// Undoing is not answered, refused, or in a race with a reload.
pub async fn net_cancel(asked: Asked) -> Vec<Row> {
    let mut world = World::start(Backend::Sqlite).await;
    let mut counting = Counting::new("net-cancel");
    let unknown = [("pay_auth", "drop_after", 1), ("net_cancel", "drop_after", 1)];
    let failing = [("pay_auth", "drop_after", 1), ("net_cancel", "http_500", 2)];
    let racing = [("pay_auth", "drop_after", 1), ("net_cancel", "slow", 1)];
    let cells: [(&str, &[_]); 3] = [("unknown", &unknown), ("failing", &failing), ("racing", &racing)];
    batch(&mut world, asked, 100, 0, &cells, &mut counting).await;
    let calls = checker::operator_calls(&world.dump());
    vec![counting.end(calls)]
}

type Faults<'a> = (&'a str, &'a [(&'a str, &'a str, u64)]);

/// Payments of one shop that meet these faults; each is brought back twice at once.
async fn batch(
    world: &mut World,
    asked: Asked,
    planned: u64,
    shop: usize,
    cells: &[Faults<'_>],
    counting: &mut Counting,
) {
    let mut random = StdRng::seed_from_u64(asked.seed);
    let names: Vec<String> = (0..asked.runs(planned)).map(|_| order_id(&mut random)).collect();
    let shared = &*world;
    let outcomes = futures_util::stream::iter(names.iter().enumerate())
        .map(|(number, name)| async move {
            let (cell, faults) = cells[number % cells.len()];
            let run = async {
                let ready = shared.ready(shop, name, 5_000).await?;
                for (operation, fault, times) in faults {
                    let more = json!({"oid": ready.order_ref, "times": times, "ms": 400});
                    shared.fault(operation, fault, more).await;
                }
                let (one, other) = tokio::join!(shared.come_back(&ready), shared.come_back(&ready));
                let statuses = (one?.status, other?.status);
                if statuses == (303, 303) { Ok(()) } else { Err(format!("{statuses:?}")) }
            };
            (cell, run.await)
        })
        .buffer_unordered(IN_FLIGHT);
    let outcomes: Vec<(&str, Result<(), String>)> = outcomes.collect().await;
    for (cell, outcome) in outcomes {
        counting.run();
        if let Err(words) = outcome {
            counting.wrong(cell, "harness", words);
        }
    }
    if let Err(words) = world.rest().await {
        counting.wrong("at rest", "I10", words);
    }
    let silent = world.faults().await.into_iter().filter(|fault| fault["hits"] == 0).count();
    if silent > 0 {
        counting.wrong("faults", "harness", format!("{silent} faults did not strike"));
    }
    counting.found("at rest", checker::check(&world.dump()));
}
