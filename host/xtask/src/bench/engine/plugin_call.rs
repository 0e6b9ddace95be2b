//! `plugin-call`: one call in a fresh instance, beside bare wasmtime and native Rust, in turns. Invariant: what somebody else
//! does on the machine can only make a turn slower. So a time or a rate is the one that the quietest quarter of the turns
//! reached, and a ratio, whose both sides suffer, is the middle one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use payhost_engine::{Engine, Plugin};
use tokio::runtime::Runtime;

use crate::bare::Bare;
use crate::figures::{Figures, Times};
use crate::{fixture, native};

/// Turns, and runs of each kind in a turn.
const TURNS: usize = 40;
const RUNS: usize = 500;
/// Turns of counting, how long calls are counted in one, and how many are under way at once.
const ROUNDS: usize = 8;
const COUNTED: Duration = Duration::from_millis(750);
const IN_FLIGHT: usize = 32;

pub fn run(inicis: &[u8], figures: &mut Figures) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let bare = Arc::new(Bare::new(inicis));
    let engine = fixture::engine(2, 100, None);
    let plugin = runtime.block_on(engine.load(inicis)).expect("the plugin loads");
    same_answers(&runtime, &engine, &plugin, &bare);
    latency(&runtime, &engine, &plugin, &bare, figures);
    for (threads, must) in [(1, None), (2, Some(45_000.0))] {
        let engine = fixture::engine(threads, 100, None);
        let plugin = runtime.block_on(engine.load(inicis)).expect("the plugin loads");
        let [mut ours, mut theirs, mut ratios] = [(); 3].map(|()| Turns::default());
        for _ in 0..ROUNDS {
            let (our, their) = (rate_of_ours(threads, &engine, &plugin), rate_of_bare(&bare, threads));
            ours.0.push(our);
            theirs.0.push(their);
            ratios.0.push(our / their);
        }
        figures.add(&format!("plugin-call.rate.bare.{threads}"), theirs.at(0.75), "/s", None, None);
        let ratio = Some(ratios.at(0.5));
        figures.add(&format!("plugin-call.rate.{threads}"), ours.at(0.75), "/s", ratio, must);
    }
}

/// What is measured must be the same work.
fn same_answers(runtime: &Runtime, engine: &Engine, plugin: &Arc<Plugin>, bare: &Bare) {
    let ours = runtime.block_on(fixture::begin(engine, plugin)).result.expect("no fault").expect("no error");
    let theirs = runtime.block_on(bare.begin()).expect("no error");
    assert_eq!(ours, theirs);
    let payhost_engine::contract::general_pay::CheckoutStep::Script(script) = ours.step else {
        panic!("another step")
    };
    let fields = script.form.expect("a form").len();
    assert_eq!(fields, native::begin(&fixture::order(), &fixture::buyer()));
}

fn latency(runtime: &Runtime, engine: &Engine, plugin: &Arc<Plugin>, bare: &Bare, figures: &mut Figures) {
    let shares = [("p50", 0.50, 40.0), ("p99", 0.99, 120.0)];
    let mut seen = shares.map(|_| [(); 4].map(|()| Turns::default()));
    let mut billed = Turns::default();
    for turn in 0..=TURNS {
        let mut cpu = Times::default();
        let mut ours = times(|| {
            let called = runtime.block_on(fixture::begin(engine, plugin));
            assert!(called.result.is_ok());
            cpu.push(called.cost.cpu);
        });
        let mut theirs = times(|| assert!(runtime.block_on(bare.begin()).is_ok()));
        let mut natives = times(|| assert!(native::begin(&fixture::order(), &fixture::buyer()) > 0));
        // The first turn warms up.
        if turn == 0 {
            continue;
        }
        billed.0.push(cpu.percentile(0.5));
        for ((_, share, _), [our, their, native, ratio]) in shares.iter().zip(&mut seen) {
            let (ours, theirs) = (ours.percentile(*share), theirs.percentile(*share));
            our.0.push(ours);
            their.0.push(theirs);
            native.0.push(natives.percentile(*share));
            ratio.0.push(ours / theirs);
        }
    }
    for ((name, _, must), [mut ours, mut theirs, mut natives, mut ratios]) in shares.into_iter().zip(seen) {
        let ratio = ratios.at(0.5);
        figures.add(&format!("plugin-call.native.{name}"), natives.at(0.25), "us", None, None);
        figures.add(&format!("plugin-call.bare.{name}"), theirs.at(0.25), "us", None, None);
        figures.add(&format!("plugin-call.{name}"), ours.at(0.25), "us", Some(ratio), Some(must));
        if name == "p50" {
            figures.add("plugin-call.ratio", ratio, "x", Some(ratio), Some(1.8));
        }
    }
    figures.add("plugin-call.billed.p50", billed.at(0.25), "us", None, None);
}

fn times(mut work: impl FnMut()) -> Times {
    let mut times = Times::default();
    for _ in 0..RUNS {
        let start = Instant::now();
        work();
        times.push(start.elapsed());
    }
    times
}

/// One figure of each turn.
#[derive(Default)]
struct Turns(Vec<f64>);

impl Turns {
    /// What this share of the turns does not pass.
    fn at(&mut self, share: f64) -> f64 {
        self.0.sort_unstable_by(f64::total_cmp);
        self.0[((self.0.len() - 1) as f64 * share).round() as usize]
    }
}

fn rate_of_ours(threads: usize, engine: &Engine, plugin: &Arc<Plugin>) -> f64 {
    let mut callers = tokio::runtime::Builder::new_multi_thread();
    let callers = callers.worker_threads(threads).enable_all().build().expect("a runtime");
    callers.block_on(async {
        let (start, mut tasks) = (Instant::now(), tokio::task::JoinSet::new());
        for _ in 0..IN_FLIGHT {
            let (engine, plugin) = (engine.clone(), plugin.clone());
            tasks.spawn(async move {
                let mut calls = 0_u64;
                while start.elapsed() < COUNTED {
                    assert!(fixture::begin(&engine, &plugin).await.result.is_ok());
                    calls += 1;
                }
                calls
            });
        }
        let calls: u64 = tasks.join_all().await.into_iter().sum();
        calls as f64 / start.elapsed().as_secs_f64()
    })
}

fn rate_of_bare(bare: &Arc<Bare>, threads: usize) -> f64 {
    let (calls, over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let start = Instant::now();
    let workers: Vec<_> = (0..threads)
        .map(|_| {
            let (bare, calls, over) = (bare.clone(), calls.clone(), over.clone());
            std::thread::spawn(move || {
                let runtime =
                    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
                while !over.load(Relaxed) {
                    assert!(runtime.block_on(bare.begin()).is_ok());
                    calls.fetch_add(1, Relaxed);
                }
            })
        })
        .collect();
    std::thread::sleep(COUNTED);
    over.store(true, Relaxed);
    workers.into_iter().for_each(|worker| worker.join().expect("no panic"));
    calls.load(Relaxed) as f64 / start.elapsed().as_secs_f64()
}
