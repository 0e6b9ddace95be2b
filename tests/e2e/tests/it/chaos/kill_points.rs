//! kill -9 at every named point of a complete, a cancel and a partial cancel. Invariant: a run counts when the process really
//! died there; every request that got no answer is asked again after the restart, with the same key.

use std::time::{Duration, Instant};

use payhost_core::kill::{POINTS, Point};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::world::{Ready, World};
use super::{Asked, BACKENDS, Backend, Counting, Row, checker};

/// What is under way at the kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// The buyer comes back.
    Complete,
    /// The shop cancels all of it.
    Cancel,
    /// The shop cancels a part.
    PartialCancel,
}

impl Operation {
    /// All.
    pub const ALL: [Self; 3] = [Self::Complete, Self::Cancel, Self::PartialCancel];

    fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Cancel => "cancel",
            Self::PartialCancel => "partial-cancel",
        }
    }

    /// Its name in `PAYHOST_KILL`.
    fn armed(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Cancel | Self::PartialCancel => "cancel",
        }
    }
}

/// Longer than an attempt's lease and the start of its job.
pub const LEASE: Duration = Duration::from_secs(32);
/// How long an armed host may live after its operation was asked for.
const TO_DIE: Duration = Duration::from_secs(5);
/// A page that waits for nothing comes within this time; a buyer whose outcome is looked for waits 10 s.
const AT_ONCE: Duration = Duration::from_secs(5);

/// A payment that was hit, with what was asked for.
struct Hit {
    cell: String,
    ready: Ready,
    /// Key and amount of the cancel that was asked for.
    cancel: Option<(String, Option<i64>)>,
}

/// A row per database and operation.
pub async fn run(asked: Asked) -> Vec<Row> {
    let mut rows = Vec::new();
    for backend in
        BACKENDS.into_iter().filter(|backend| asked.wants(&format!("kill-points/{}", backend.name())))
    {
        let points: Vec<Point> = POINTS.iter().map(|line| line.0).collect();
        rows.extend(on(backend, &points, &Operation::ALL, asked).await);
    }
    rows
}

/// The same on one database, at some of the points.
pub async fn on(backend: Backend, points: &[Point], operations: &[Operation], asked: Asked) -> Vec<Row> {
    let mut world = World::start(backend).await;
    let mut random = StdRng::seed_from_u64(asked.seed);
    let mut rows = Vec::new();
    for operation in operations {
        let name = format!("kill-points/{}/{}", backend.name(), operation.name());
        if !asked.wants(&name) {
            continue;
        }
        let mut counting = Counting::new(name);
        let mut hits = Vec::new();
        for (point, number, name, _) in POINTS.iter().filter(|line| points.contains(&line.0)) {
            for run in 0..asked.runs(10) {
                let cell = format!(
                    "{} {} {number} {name} run {run} seed {}",
                    backend.name(),
                    operation.name(),
                    asked.seed
                );
                counting.run();
                match one(&mut world, *point, *operation, &cell, run, &mut random).await {
                    Ok(hit) => hits.extend(hit),
                    Err(words) => {
                        counting.wrong(&cell, "harness", words);
                        world.kill();
                    }
                }
            }
            // While the tokens of the windows are good: an undo must be in time.
            world.kill();
            world.advance(LEASE).await;
            if let Err(words) = world.up(None) {
                counting.wrong(name, "harness", words);
            }
            if let Err(words) = world.quiet(Duration::from_secs(60)).await {
                counting.wrong(name, "I10", words);
            }
        }
        match world.rest().await {
            Ok(_) => {}
            Err(words) => counting.wrong("at rest", "I10", words),
        }
        counting.found("at rest", checker::check(&world.dump()));
        again(&world, &hits, &mut counting).await;
        let dump = world.dump();
        counting.found("after asking again", checker::check(&dump));
        rows.push(counting.end(format!("{} so far", checker::operator_calls(&dump))));
    }
    rows
}

/// One kill.
async fn one(
    world: &mut World,
    point: Point,
    operation: Operation,
    cell: &str,
    run: u64,
    random: &mut StdRng,
) -> Result<Vec<Hit>, String> {
    if point == Point::Upkeep {
        return upkeep(world, operation, cell, run, random).await;
    }
    let name = POINTS.iter().find(|line| line.0 == point).map_or("", |line| line.2);
    world.kill();
    world.up(Some(&format!("{name}@{}", operation.armed())))?;
    let shop = usize::try_from(run % 2).unwrap();
    let total = random.random_range(1_000..100_000);
    let mut hits = Vec::new();
    match operation {
        Operation::Complete => {
            // Two buyers at once: the process dies under one of them, and somewhere else under the other.
            let (one, other) = (order_id(random), order_id(random));
            let both = tokio::join!(world.ready(shop, &one, total), world.ready(1 - shop, &other, total + 1));
            let (one, other) = (both.0?, both.1?);
            let _ = tokio::join!(world.come_back(&one), world.come_back(&other));
            for ready in [one, other] {
                hits.push(Hit { cell: cell.to_owned(), ready, cancel: None });
            }
        }
        Operation::Cancel | Operation::PartialCancel => {
            let amount = (operation == Operation::PartialCancel).then(|| random.random_range(1..total));
            let ready = world.paid(shop, &order_id(random), total).await?;
            let key = order_id(random);
            let _ = world.cancel(&ready, &key, amount).await;
            hits.push(Hit { cell: cell.to_owned(), ready, cancel: Some((key, amount)) });
        }
    }
    if world.dies(TO_DIE).await { Ok(hits) } else { Err(format!("it did not die:\n{}", world.log())) }
}

/// Dies in a migration at the start, or in the checkpoint of a graceful end.
async fn upkeep(
    world: &mut World,
    operation: Operation,
    cell: &str,
    run: u64,
    random: &mut StdRng,
) -> Result<Vec<Hit>, String> {
    world.kill();
    let at_start = run.is_multiple_of(2) || world.backend == Backend::Postgres;
    if at_start {
        // It may come up before it dies.
        let _ = world.up(Some("upkeep@migrate"));
        if !world.dies(TO_DIE).await {
            return Err("it did not die".to_owned());
        }
        world.up(None)?;
    } else {
        world.up(Some("upkeep@checkpoint"))?;
    }
    let shop = usize::try_from(run % 2).unwrap();
    let total = random.random_range(1_000..100_000);
    let ready = world.paid(shop, &order_id(random), total).await?;
    let cancel = match operation {
        Operation::Complete => None,
        Operation::Cancel => Some((order_id(random), None)),
        Operation::PartialCancel => Some((order_id(random), Some(random.random_range(1..total)))),
    };
    if let Some((key, amount)) = &cancel {
        world.cancel(&ready, key, *amount).await?;
    }
    if !at_start {
        world.ask_to_end();
        // The checkpoint may be over before the moment of death: then this was a graceful end.
        if !world.dies(TO_DIE).await {
            return Err("it did not end".to_owned());
        }
    }
    Ok(vec![Hit { cell: cell.to_owned(), ready, cancel }])
}

/// Everybody who got no answer asks again: twice, and hears the same, which is what the books say.
async fn again(world: &World, hits: &[Hit], counting: &mut Counting) {
    for hit in hits {
        let outcome = match &hit.cancel {
            Some((key, amount)) => cancelled_again(world, &hit.ready, key, *amount).await,
            None => came_back_again(world, &hit.ready).await,
        };
        if let Err(words) = outcome {
            counting.wrong(&hit.cell, "I7", words);
        }
    }
}

async fn cancelled_again(world: &World, ready: &Ready, key: &str, amount: Option<i64>) -> Result<(), String> {
    let before = world.payment(ready).await?;
    let first = world.cancel(ready, key, amount).await?;
    let second = world.cancel(ready, key, amount).await?;
    let same = first.status == second.status && without_id(&first.json()) == without_id(&second.json());
    if !same {
        return Err(format!("{} {} and then {} {}", first.status, first.text, second.status, second.text));
    }
    let after = world.payment(ready).await?;
    let total = after["amount"]["total"].as_i64().unwrap();
    let wanted = if first.status == 200 { amount.unwrap_or(total) } else { 0 };
    // 502: the gateway says that it was never made. Anything but these two is no answer to a repeated key.
    let fits = [200, 502].contains(&first.status) && after["amount"]["cancelled"] == wanted;
    if fits { Ok(()) } else { Err(format!("{} {}: {before} then {after}", first.status, first.text)) }
}

fn without_id(body: &serde_json::Value) -> serde_json::Value {
    let mut body = body.clone();
    if let Some(body) = body.as_object_mut() {
        body.remove("request_id");
    }
    body
}

/// The browser is reloaded; what was not paid is paid now, with a new window.
async fn came_back_again(world: &World, ready: &Ready) -> Result<(), String> {
    if world.payment(ready).await?["resolution"] != "none" {
        // A person was called: there is nothing to wait for.
        let asked = Instant::now();
        let reload = world.come_back(ready).await?;
        let fits = reload.status == 303 && asked.elapsed() < AT_ONCE;
        return if fits { Ok(()) } else { Err(format!("{} after {:?}", reload.status, asked.elapsed())) };
    }
    let reload = world.come_back(ready).await?;
    // 410: by the moved clocks the result is known for more than a day.
    if ![303, 400, 410].contains(&reload.status) {
        return Err(format!("the reload: {} {}", reload.status, reload.text));
    }
    let now = world.payment(ready).await?;
    if now["state"] == "paid" {
        return Ok(());
    }
    // By the moved clocks its time may be over: then the same order gets a new payment.
    let total = now["amount"]["total"].as_i64().unwrap();
    let created = world.create(ready.shop, now["order_id"].as_str().unwrap(), total).await?;
    let once_more = world.choose(ready.shop, &created).await.map_err(|words| format!("{now}: {words}"))?;
    world.come_back(&once_more).await?;
    let after = world.payment(&once_more).await?;
    if after["state"] == "paid" { Ok(()) } else { Err(format!("cannot be paid any more: {after}")) }
}

/// An order number, or a key.
pub fn order_id(random: &mut StdRng) -> String {
    format!("C-{:016x}", random.random::<u64>())
}
