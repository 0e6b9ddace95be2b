//! `attacks`: how late a runaway is stopped, and what other calls feel of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use payhost_engine::contract::general_pay;
use payhost_engine::contract::types::{Mode, Setting};
use payhost_engine::{CallSetup, Called, Engine, Fault, Limits, Plugin};

use crate::figures::{Figures, Times};
use crate::fixture::{self, Answer};

/// Runaways that are stopped one by one.
const STOPPED: usize = 100;
/// Runaways beside the light calls, and rounds with and without.
const RUNAWAYS: usize = 2;
const ROUNDS: usize = 6;
const LIGHT_CALLS: usize = 2_000;

pub fn run(guests: &[u8], inicis: &[u8], figures: &mut Figures) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let engine = fixture::engine(2, 100, None);
        let guests = engine.load(guests).await.expect("the plugin loads");
        let inicis = engine.load(inicis).await.expect("the plugin loads");
        stopped(&engine, &guests, figures).await;
        neighbours(&engine, &guests, &inicis, figures).await;
    });
}

async fn behave(engine: &Engine, plugin: &Arc<Plugin>, behaviour: &str, limits: Limits) -> Called<Answer> {
    let setup = CallSetup { limits, ..CallSetup::new("call", fixture::NOW_MS, fixture::SEED) };
    let settings = vec![Setting { key: "behaviour".to_owned(), value: behaviour.to_owned() }];
    let params = (setup.context(Mode::Test, settings), fixture::order(), fixture::buyer());
    engine.call(plugin, &general_pay::BEGIN, params, setup).await
}

/// The latest stop over all runs, past the deadline.
async fn stopped(engine: &Engine, guests: &Arc<Plugin>, figures: &mut Figures) {
    let deadline = Duration::from_millis(100);
    let by_cpu = Limits { cpu: deadline, ..Limits::default() };
    let by_clock = Limits { cpu: Duration::from_secs(10), wall: deadline, ..Limits::default() };
    let [mut cpu, mut wall, mut sleep, mut host] = [Duration::ZERO; 4];
    for _ in 0..STOPPED {
        let called = behave(engine, guests, "loop", by_cpu.clone()).await;
        assert!(matches!(called.result, Err(Fault::CpuLimit { .. })), "{:?}", called.result);
        cpu = cpu.max(called.cost.cpu.saturating_sub(deadline));
        let called = behave(engine, guests, "host call storm", by_cpu.clone()).await;
        assert!(matches!(called.result, Err(Fault::CpuLimit { .. })), "{:?}", called.result);
        host = host.max(called.cost.cpu.saturating_sub(deadline));
        let called = behave(engine, guests, "loop", by_clock.clone()).await;
        assert!(matches!(called.result, Err(Fault::WallTime { .. })), "{:?}", called.result);
        wall = wall.max(called.cost.wall.saturating_sub(deadline));
        let called = behave(engine, guests, "sleep", by_clock.clone()).await;
        assert!(matches!(called.result, Err(Fault::WallTime { .. })), "{:?}", called.result);
        sleep = sleep.max(called.cost.wall.saturating_sub(deadline));
    }
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    for (name, late) in [("loop.cpu", cpu), ("storm.cpu", host), ("loop.wall", wall), ("sleep.wall", sleep)] {
        figures.add(&format!("attacks.late.{name}"), ms(late), "ms", None, Some(20.0));
    }
}

/// Light calls one after the other, alone and beside runaways on all workers, in turns.
async fn neighbours(engine: &Engine, guests: &Arc<Plugin>, inicis: &Arc<Plugin>, figures: &mut Figures) {
    let [mut alone, mut beside] = [(); 2].map(|()| Times::default());
    light(engine, inicis, &mut Times::default()).await;
    for _ in 0..ROUNDS {
        light(engine, inicis, &mut alone).await;
        let over = Arc::new(AtomicBool::new(false));
        let runaways: Vec<_> = (0..RUNAWAYS)
            .map(|_| {
                let (engine, guests, over) = (engine.clone(), guests.clone(), over.clone());
                tokio::spawn(async move {
                    while !over.load(Relaxed) {
                        let called = behave(&engine, &guests, "loop", Limits::default()).await;
                        assert!(matches!(called.result, Err(Fault::CpuLimit { .. })));
                    }
                })
            })
            .collect();
        light(engine, inicis, &mut beside).await;
        over.store(true, Relaxed);
        for runaway in runaways {
            runaway.await.expect("no panic");
        }
    }
    for (name, share) in [("p50", 0.50), ("p99", 0.99)] {
        let (alone, beside) = (alone.percentile(share), beside.percentile(share));
        figures.add(&format!("attacks.others.alone.{name}"), alone, "us", None, None);
        figures.add(&format!("attacks.others.beside.{name}"), beside, "us", None, None);
        let must = (name == "p99").then_some(1.2);
        figures.add(&format!("attacks.others.{name}.change"), beside / alone, "x", None, must);
    }
}

async fn light(engine: &Engine, inicis: &Arc<Plugin>, times: &mut Times) {
    for _ in 0..LIGHT_CALLS {
        let start = Instant::now();
        assert!(fixture::begin(engine, inicis).await.result.is_ok());
        times.push(start.elapsed());
    }
}
