//! `plugin-call`: one call in a fresh instance, beside bare wasmtime and native Rust, in turns.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use payhost_engine::{Engine, Plugin};
use tokio::runtime::Runtime;

use crate::bare::Bare;
use crate::figures::{Figures, Times};
use crate::{fixture, native};

/// Turns, and runs of each kind in a turn.
const TURNS: usize = 20;
const RUNS: usize = 500;
/// How long calls are counted, and how many are under way at once.
const COUNTED: Duration = Duration::from_secs(3);
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
        let ours = rate_of_ours(threads, &engine, &plugin);
        let bare = rate_of_bare(&bare, threads);
        figures.add(&format!("plugin-call.rate.bare.{threads}"), bare, "/s", None, None);
        figures.add(&format!("plugin-call.rate.{threads}"), ours, "/s", Some(ours / bare), must);
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
    let [mut ours, mut theirs, mut natives, mut cpu] = [(); 4].map(|()| Times::default());
    for turn in 0..=TURNS {
        for _ in 0..RUNS {
            let start = Instant::now();
            let called = runtime.block_on(fixture::begin(engine, plugin));
            let took = start.elapsed();
            assert!(called.result.is_ok());
            // The first turn warms up.
            if turn > 0 {
                ours.push(took);
                cpu.push(called.cost.cpu);
            }
        }
        for _ in 0..RUNS {
            let start = Instant::now();
            let answer = runtime.block_on(bare.begin());
            let took = start.elapsed();
            assert!(answer.is_ok());
            if turn > 0 {
                theirs.push(took);
            }
        }
        for _ in 0..RUNS {
            let start = Instant::now();
            let fields = native::begin(&fixture::order(), &fixture::buyer());
            let took = start.elapsed();
            assert!(fields > 0);
            if turn > 0 {
                natives.push(took);
            }
        }
    }
    for (name, share, must) in [("p50", 0.50, 40.0), ("p99", 0.99, 120.0)] {
        let (ours, bare, native) =
            (ours.percentile(share), theirs.percentile(share), natives.percentile(share));
        figures.add(&format!("plugin-call.native.{name}"), native, "us", None, None);
        figures.add(&format!("plugin-call.bare.{name}"), bare, "us", None, None);
        figures.add(&format!("plugin-call.{name}"), ours, "us", Some(ours / bare), Some(must));
        if name == "p50" {
            figures.add("plugin-call.ratio", ours / bare, "x", Some(ours / bare), Some(1.8));
        }
    }
    figures.add("plugin-call.billed.p50", cpu.percentile(0.5), "us", None, None);
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
