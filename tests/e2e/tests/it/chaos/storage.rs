//! Databases that go away, disks that are full, and hosts that are told to stop, all under load. Invariant: what was
//! acknowledged is there afterwards, and what was not is nobody's loss.

use std::process::Command;
use std::time::Duration;

use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::kill_points::{LEASE, order_id};
use super::world::{Ready, World};
use super::{Asked, BACKENDS, Backend, Counting, Row, checker};

/// Buyers at once.
const BUYERS: usize = 12;

/// What a buyer was told.
enum Told {
    Nothing,
    Paid(Ready),
    Cancelled(Ready),
}

/// A row per experiment.
pub async fn run(asked: Asked) -> Vec<Row> {
    let mut rows = Vec::new();
    if asked.wants("storage/database-gone") {
        rows.push(database_gone(asked).await);
    }
    if asked.wants("storage/disk-full") {
        rows.push(disk_full(asked).await);
    }
    for backend in BACKENDS {
        if asked.wants(&format!("storage/told-to-stop/{}", backend.name())) {
            rows.push(told_to_stop(backend, asked).await);
        }
    }
    rows
}

/// One buyer: pays, looks, cancels.
async fn buyer(world: &World, name: &str, shop: usize, cancels: bool) -> Told {
    let told = async {
        let ready = world.ready(shop, name, 3_000).await?;
        world.come_back(&ready).await?;
        if world.payment(&ready).await?["state"] != "paid" {
            return Err("not known".to_owned());
        }
        if cancels && world.cancel(&ready, name, None).await.is_ok_and(|answer| answer.status == 200) {
            return Ok(Told::Cancelled(ready));
        }
        // Whether a cancel without an answer was made is not known.
        Ok(if cancels { Told::Nothing } else { Told::Paid(ready) })
    };
    told.await.unwrap_or_else(|_: String| Told::Nothing)
}

/// Load with something that happens in its middle.
async fn under_load(world: &World, random: &mut StdRng, happens: impl FnOnce() + Send) -> Vec<Told> {
    let buyers: Vec<(String, usize, bool)> =
        (0..BUYERS).map(|number| (order_id(random), number % 2, random.random())).collect();
    let wait = Duration::from_millis(random.random_range(20..400));
    let buyers = buyers.iter().map(|(name, shop, cancels)| buyer(world, name, *shop, *cancels));
    let happens = async {
        tokio::time::sleep(wait).await;
        tokio::task::block_in_place(happens);
    };
    tokio::join!(join_all(buyers), happens).0
}

/// Waits, checks the books, and that everybody was told the truth.
async fn settled(world: &mut World, told: Vec<Told>, cell: &str, counting: &mut Counting) {
    world.advance(LEASE).await;
    if let Err(words) = world.quiet(Duration::from_secs(60)).await {
        counting.wrong(cell, "I10", words);
    }
    for told in told {
        let (ready, wanted) = match told {
            Told::Nothing => continue,
            Told::Paid(ready) => (ready, "paid"),
            Told::Cancelled(ready) => (ready, "cancelled"),
        };
        match world.payment(&ready).await {
            Ok(now) if now["state"] == wanted => {}
            Ok(now) => counting.wrong(cell, "I2", format!("it was told to be {wanted}: {now}")),
            Err(words) => counting.wrong(cell, "harness", words),
        }
    }
}

async fn at_rest(world: &mut World, counting: &mut Counting) {
    if let Err(words) = world.rest().await {
        counting.wrong("at rest", "I10", words);
    }
    counting.found("at rest", checker::check(&world.dump()));
}

/// kill -9 of PostgreSQL, and its start a moment later.
async fn database_gone(asked: Asked) -> Row {
    let mut world = World::start(Backend::Postgres).await;
    let mut random = StdRng::seed_from_u64(asked.seed);
    let mut counting = Counting::new("storage/database-gone");
    for run in 0..asked.runs(20) {
        counting.run();
        let server = world.server.take().expect("a server");
        let told = under_load(&world, &mut random, || {
            server.kill();
            server.go();
        })
        .await;
        world.server = Some(server);
        settled(&mut world, told, &format!("run {run} seed {}", asked.seed), &mut counting).await;
    }
    at_rest(&mut world, &mut counting).await;
    counting.end(format!("{BUYERS} buyers each, {}", checker::operator_calls(&world.dump())))
}

/// No file of the host may grow any more, from some moment on. The signal that comes with it is ignored, as on a full disk.
async fn disk_full(asked: Asked) -> Row {
    let mut world = World::start(Backend::Sqlite).await;
    let mut random = StdRng::seed_from_u64(asked.seed);
    let mut counting = Counting::new("storage/disk-full");
    let (mut full, mut began) = (0, 0);
    for run in 0..asked.runs(20) {
        counting.run();
        let cell = format!("run {run} seed {}", asked.seed);
        world.ask_to_end();
        world.dies(Duration::from_secs(10)).await;
        let listen = world.url.trim_start_matches("http://").to_owned();
        let real = world.command("payhost", &listen);
        let mut command = Command::new("sh");
        // In blocks of 512 bytes: the write-ahead log soon stands there.
        let blocks = random.random_range(300..3_000).to_string();
        command.args(["-c", "trap '' XFSZ; ulimit -f \"$0\"; exec \"$@\"", &blocks]);
        command.arg(real.get_program()).args(real.get_args());
        for (name, value) in real.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        // The log is a file, too.
        command.env("RUST_LOG", "off");
        // It may be full before it can start.
        began += u64::from(world.run(&mut command).is_ok());
        let told = under_load(&world, &mut random, || ()).await;
        full += u64::from(told.iter().any(|told| matches!(told, Told::Nothing)));
        world.kill();
        if let Err(words) = world.up(None) {
            counting.wrong(&cell, "harness", words);
        }
        settled(&mut world, told, &cell, &mut counting).await;
    }
    at_rest(&mut world, &mut counting).await;
    if began == 0 || full == 0 {
        counting.wrong("all", "harness", format!("{began} began, {full} were full"));
    }
    counting.end(format!("{began} began, {full} full, {}", checker::operator_calls(&world.dump())))
}

/// SIGTERM: everything that was accepted is answered, and the end is a good one.
async fn told_to_stop(backend: Backend, asked: Asked) -> Row {
    let mut world = World::start(backend).await;
    let mut random = StdRng::seed_from_u64(asked.seed);
    let mut counting = Counting::new(format!("storage/told-to-stop/{}", backend.name()));
    for run in 0..asked.runs(20) {
        counting.run();
        let cell = format!("run {run} seed {}", asked.seed);
        let told = under_load(&world, &mut random, || world.ask_to_end()).await;
        if !world.dies(Duration::from_secs(40)).await {
            counting.wrong(&cell, "harness", "it did not end");
        }
        if let Err(words) = world.up(None) {
            counting.wrong(&cell, "harness", words);
        }
        let open = world.dump().open_attempts();
        if open > 0 {
            counting.wrong(&cell, "I10", format!("{open} attempts were left open by a graceful end"));
        }
        settled(&mut world, told, &cell, &mut counting).await;
    }
    at_rest(&mut world, &mut counting).await;
    counting.end(checker::operator_calls(&world.dump()))
}
