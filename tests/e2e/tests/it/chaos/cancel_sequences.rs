//! Generated sequences of cancels: of the gateway's admin and of the shop, in part and in full, lost, refused and repeated, in any
//! order. Invariant: whose a cancel is, is read from the gateway's own ledger, which keeps the reason that a request gave; a key
//! that was answered 200 has one cancel there, and any other key has none.
//!
//! Sequences of one world go forward in step: each takes its next turn, then the clocks of host and gateway are moved, by a second
//! at least: a gateway tells moments in whole seconds. Nobody cancels by hand so soon after a request that came to nothing, and
//! whose answer was lost, that the clocks' difference could be the reason: nothing tells such a cancel from the lost one
//! (`payhost_core::cancels`). In the end the doubts are over; for those that the host gave to a person (`ambiguous_cancel`) the
//! harness plays the person, who reads the ledger.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};

use super::dump::Dump;
use super::kill_points::order_id;
use super::world::{Ready, World};
use super::{Asked, Backend, Counting, Row, checker};
use crate::stage::text;

/// Sequences of one world.
const IN_WORLD: u64 = 250;
/// Turns of the longest sequence.
const TURNS: usize = 6;
/// Sequences at once.
const IN_FLIGHT: usize = 24;
/// Parts that are cancelled. Few, so that those of admin and shop are often the same.
const PARTS: &[i64] = &[1_000, 2_000, 3_000];
/// What becomes of a request to cancel, by weight: nothing special, lost on its way, its answer lost in several ways, refused.
const FAULTS: &[(&str, u32)] = &[
    ("none", 8),
    ("drop_before", 5),
    ("drop_after", 4),
    ("http_500", 1),
    ("truncated", 1),
    ("empty", 1),
    ("slow", 1),
    ("decline", 3),
];
/// How far the clocks are moved between two turns, in seconds.
const GAPS: &[u64] = &[1, 1, 2, 3, 5, 20, 60, 1_000];

/// So soon after a lost request nobody cancels by hand, in seconds: more than clocks may differ and than a moment is rounded by.
const HAND: u64 = 3;

/// One turn.
#[derive(Clone, Copy, Debug)]
enum Turn {
    /// Somebody cancels in the admin: a part, or all that is left.
    Admin(Option<i64>),
    /// The shop cancels, and its request meets this.
    Shop(Option<i64>, &'static str),
    /// The shop sends its last request once more.
    Repeat,
    /// The shop has the gateway asked.
    Sync,
}

/// One payment and what is done to it.
struct Sequence {
    ready: Ready,
    turns: Vec<Turn>,
    /// The shop's requests, by key: body, and the last status.
    asked: BTreeMap<String, (Value, u16)>,
    last: Option<String>,
    /// When its last request came to nothing and the answer was lost, in seconds of the clocks' moves.
    lost_at: Option<u64>,
}

/// All of them.
pub async fn run(asked: Asked) -> Vec<Row> {
    let runs = asked.runs(10_000);
    let mut counting = Counting::new("cancel-sequences");
    let mut random = StdRng::seed_from_u64(asked.seed);
    let (mut ambiguous, mut made, mut left) = (0, 0, runs);
    while left > 0 {
        let of_world = left.min(IN_WORLD);
        left -= of_world;
        let (called, cancels) = world(of_world, &mut random, &mut counting).await;
        ambiguous += called;
        made += cancels;
    }
    vec![counting.end(format!("{made} cancels at the gateway, {ambiguous} ambiguous_cancel"))]
}

fn amount(random: &mut StdRng) -> Option<i64> {
    random.random_bool(0.75).then(|| *PARTS.choose(random).unwrap())
}

fn turn(random: &mut StdRng) -> Turn {
    match random.random_range(0..10) {
        0..4 => Turn::Admin(amount(random)),
        4..8 => {
            let (fault, _) = FAULTS.choose_weighted(random, |(_, weight)| *weight).unwrap();
            Turn::Shop(amount(random), fault)
        }
        8 => Turn::Repeat,
        _ => Turn::Sync,
    }
}

/// Some sequences in a world of their own; gives how many a person was called for, and how many cancels the gateway has.
async fn world(runs: u64, random: &mut StdRng, counting: &mut Counting) -> (usize, usize) {
    let mut world = World::start(Backend::Sqlite).await;
    let seeds: Vec<(usize, String, i64, Vec<Turn>)> = (0..runs)
        .map(|run| {
            let turns = (0..random.random_range(2..=TURNS)).map(|_| turn(random)).collect();
            let total = *[6_000, 10_000].choose(random).unwrap();
            (usize::try_from(run % 2).unwrap(), order_id(random), total, turns)
        })
        .collect();
    let readies = futures_util::stream::iter(seeds)
        .map(|(shop, name, total, turns)| {
            let world = &world;
            async move { (world.paid(shop, &name, total).await, turns) }
        })
        .buffer_unordered(IN_FLIGHT);
    let mut sequences = Vec::new();
    for (ready, turns) in readies.collect::<Vec<_>>().await {
        counting.run();
        match ready {
            Ok(ready) => {
                sequences.push(Sequence { ready, turns, asked: BTreeMap::new(), last: None, lost_at: None })
            }
            Err(words) => counting.wrong("paid", "harness", words),
        }
    }
    let mut now = 0;
    for at in 0..TURNS {
        let gap = *GAPS.choose(random).unwrap();
        now += gap;
        world.advance(Duration::from_secs(gap)).await;
        let shared = &world;
        let taken = futures_util::stream::iter(sequences.iter_mut())
            .map(|sequence| async move {
                let Some(turn) = sequence.turns.get(at).copied() else { return Ok(()) };
                let outcome = take(shared, sequence, turn, now).await;
                outcome.map_err(|words| format!("{turn:?} of {:?}: {words}", sequence.turns))
            })
            .buffer_unordered(IN_FLIGHT);
        for outcome in taken.collect::<Vec<Result<(), String>>>().await {
            if let Err(words) = outcome {
                counting.wrong("turn", "harness", words);
            }
        }
    }
    settle(&mut world, &sequences, counting).await
}

/// One turn of one sequence, when the clocks were moved by `now` seconds.
async fn take(world: &World, sequence: &mut Sequence, turn: Turn, now: u64) -> Result<(), String> {
    let ready = &sequence.ready;
    match turn {
        Turn::Admin(_) if sequence.lost_at.is_some_and(|lost| now < lost + HAND) => Ok(()),
        Turn::Admin(price) => world.cancel_in_admin(ready, price).await,
        Turn::Sync => match world.sync(ready).await?.status {
            200 | 202 => Ok(()),
            // An attempt was at work.
            409 => Ok(()),
            status => Err(format!("sync: {status}")),
        },
        Turn::Repeat => {
            let Some(key) = sequence.last.clone() else { return Ok(()) };
            ask(world, sequence, &key).await
        }
        Turn::Shop(amount, fault) => {
            let stands = world.payment(ready).await?;
            let whole = amount.is_none() && stands["amount"]["cancelled"] == 0;
            let sent = stands["resolution"] == "none"
                && stands["amount"]["cancellable"].as_i64() >= amount
                && stands["amount"]["cancellable"] != 0;
            if sent && fault != "none" {
                let operation = if whole { "refund" } else { "partial_refund" };
                let more = json!({"oid": ready.order_ref, "code": "500400", "ms": 300});
                world.fault(operation, fault, more).await;
            }
            let key = format!("{}-{}", text(&ready.created, "order_id"), sequence.asked.len());
            // The gateway keeps the reason.
            let mut body = json!({"reason": key});
            if let Some(amount) = amount {
                body["amount"] = json!(amount);
            }
            sequence.asked.insert(key.clone(), (body, 0));
            sequence.last = Some(key.clone());
            ask(world, sequence, &key).await?;
            // It never arrived, or it was refused (the shop does not know what was given back by hand) and the answer was lost.
            if fault != "none" && !by_reason(world).await.contains_key(&key) {
                sequence.lost_at = Some(now);
            }
            Ok(())
        }
    }
}

/// Sends a request, for the first time or again.
async fn ask(world: &World, sequence: &mut Sequence, key: &str) -> Result<(), String> {
    let Some((body, status)) = sequence.asked.get_mut(key) else { return Ok(()) };
    let answer = world.cancel_with(&sequence.ready, key, body).await?;
    *status = answer.status;
    let code = if answer.status < 400 { String::new() } else { text(&answer.json(), "code") };
    let fits = match answer.status {
        200 | 202 => true,
        402 => code == "gateway_refused",
        409 => ["payment_in_doubt", "payment_busy", "not_cancellable", "conflict"].contains(&code.as_str()),
        502 => code == "cancel_not_made",
        400 => code == "invalid_request",
        _ => false,
    };
    if fits { Ok(()) } else { Err(format!("cancel: {} {}", answer.status, answer.text)) }
}

/// What the gateway cancelled, by the reason that was given: how often, and the amount of a part.
async fn by_reason(world: &World) -> BTreeMap<String, (usize, Option<i64>)> {
    let events = world.control("GET", "events", None).await.expect(200);
    let mut found = BTreeMap::<String, (usize, Option<i64>)>::new();
    for event in events["events"].as_array().unwrap() {
        if event["event"] == "cancelled" || event["event"] == "partially_cancelled" {
            let (times, part) = found.entry(text(event, "msg")).or_default();
            *times += 1;
            *part = event["price"].as_i64();
        }
    }
    found
}

/// Ends all doubts and compares the books.
async fn settle(world: &mut World, sequences: &[Sequence], counting: &mut Counting) -> (usize, usize) {
    world.heal().await;
    if let Err(words) = world.rest().await {
        counting.wrong("at rest", "I10", words);
    }
    let there = by_reason(world).await;
    let dump = world.dump();
    let called = persons(world, &dump, sequences, &there, counting).await;
    for sequence in sequences {
        let id = text(&sequence.ready.created, "id");
        match world.sync(&sequence.ready).await {
            Ok(answer) if answer.status == 200 => {}
            Ok(answer) => {
                counting.wrong(&id, "I10", format!("{} {} {:?}", answer.status, answer.text, sequence.turns));
            }
            Err(words) => counting.wrong(&id, "harness", words),
        }
    }
    if let Err(words) = world.quiet(Duration::from_secs(60)).await {
        counting.wrong("at rest", "I10", words);
    }
    counting.found("at rest", checker::check(&world.dump()));
    for sequence in sequences {
        for (key, (body, status)) in &sequence.asked {
            // Where nothing was sent the key is free, and asking again would send it.
            let mut status = *status;
            if [200, 202, 402].contains(&status) {
                match world.cancel_with(&sequence.ready, key, body).await {
                    Ok(answer) => status = answer.status,
                    Err(words) => counting.wrong("keys", "harness", words),
                }
            }
            let made = there.get(key).map_or(0, |(times, _)| *times);
            if made != usize::from(status == 200) {
                let words = format!(
                    "key {key} is answered {status}, and the gateway made {made}: {:?}",
                    sequence.turns
                );
                counting.wrong("keys", "I7", words);
            }
        }
    }
    (called, there.values().map(|(times, _)| times).sum())
}

/// The person who was called says what the gateway's ledger says; gives for how many.
async fn persons(
    world: &World,
    dump: &Dump,
    sequences: &[Sequence],
    there: &BTreeMap<String, (usize, Option<i64>)>,
    counting: &mut Counting,
) -> usize {
    let mut called = 0;
    for sequence in sequences {
        let id = text(&sequence.ready.created, "id");
        let waits = dump.payments.iter().any(|row| row.id == id && row.resolution == "needs_operator");
        if !waits {
            continue;
        }
        let why = dump.calls.get(&id).map_or("nothing", String::as_str);
        if why != "ambiguous_cancel" {
            counting.wrong(&id, "I10", format!("a person was called because of {why}: {:?}", sequence.turns));
        }
        called += 1;
        let Some(key) = open_key(world, sequence).await else {
            counting.wrong(&id, "harness", format!("no request is open: {:?}", sequence.turns));
            continue;
        };
        let mut finding = json!({"note": "원장", "by": "harness"});
        match there.get(&key) {
            None => finding["finding"] = json!("not_cancelled"),
            Some((_, part)) => {
                finding["finding"] = json!("cancelled");
                finding["amount"] = json!(part.unwrap_or_else(|| total_of(dump, &id)));
            }
        }
        let answer = world.resolve(&sequence.ready, &format!("{key}-f"), finding).await;
        if answer.status != 200 {
            counting.wrong(&id, "I10", format!("{} {}", answer.status, answer.text));
        }
    }
    called
}

/// The request whose outcome is not known.
async fn open_key(world: &World, sequence: &Sequence) -> Option<String> {
    for (key, (body, status)) in &sequence.asked {
        if *status == 202 {
            let answer = world.cancel_with(&sequence.ready, key, body).await.ok()?;
            if answer.status == 202 {
                return Some(key.clone());
            }
        }
    }
    None
}

fn total_of(dump: &Dump, id: &str) -> i64 {
    dump.payments.iter().find(|row| row.id == id).map_or(0, |row| row.total)
}
