//! Every attack on a limit, a hundred times and more: each run dies of the right cause, and a call beside it is untouched.

use std::sync::Arc;
use std::time::Duration;

use payhost_engine::{Engine, Fault, Limits, LoadError, Plugin, WriteEvidence};

use crate::common::{NOW_MS, behave, engine, engine_with, plugin};
use crate::wat::{COMPONENT_START, component};

/// Runs of each attack.
const RUNS: usize = 100;

/// Limits that are reached in a hurry; their real values are tried in `limits.rs`.
fn hurry(limits: &mut Limits) {
    limits.cpu = Duration::from_millis(20);
    limits.memory_bytes = 8 << 20;
}

async fn still_works(engine: &Engine, plugin: &Arc<Plugin>) {
    let said = behave("ok").begin(engine, plugin).await.result.unwrap();
    assert!(said.starts_with(&format!("ok {NOW_MS}")), "{said}");
}

/// Attacks [`RUNS`] times; after every tenth run another call must work.
async fn attack(behaviour: &str, change: fn(&mut Limits), right: fn(&Fault) -> bool) {
    let engine = engine();
    let plugin = plugin(&engine).await;
    for run in 0..RUNS {
        let called = behave(behaviour).limits(change).begin(&engine, &plugin).await;
        let fault = called.result.unwrap_err();
        assert!(right(&fault), "{behaviour}, run {run}: {fault:?}");
        assert_eq!(called.evidence.writes(), WriteEvidence::None);
        assert_eq!(called.evidence.exchanges(), []);
        if run % 10 == 0 {
            still_works(&engine, &plugin).await;
        }
    }
    let figures = engine.figures();
    assert_eq!((figures.faults, figures.in_flight), (RUNS as u64, 0));
}

#[tokio::test]
async fn a_hundred_traps_are_a_hundred_panics() {
    attack("panic", hurry, |fault| matches!(fault, Fault::Panic { .. })).await;
}

#[tokio::test]
async fn a_hundred_wild_pointers_are_a_hundred_panics() {
    attack("wild", hurry, |fault| matches!(fault, Fault::Panic { .. })).await;
}

#[tokio::test]
async fn a_hundred_endless_loops_end_at_the_cpu_limit() {
    attack("loop", hurry, |fault| matches!(fault, Fault::CpuLimit { .. })).await;
}

#[tokio::test]
async fn a_hundred_deep_recursions_are_stack_overflows() {
    attack("recursion", hurry, |fault| matches!(fault, Fault::StackOverflow { .. })).await;
}

#[tokio::test]
async fn a_hundred_memory_bombs_end_at_the_memory_limit() {
    attack("memory", hurry, |fault| matches!(fault, Fault::MemoryLimit { limit_bytes: 8_388_608, .. })).await;
}

#[tokio::test]
async fn a_hundred_answers_of_200_mb_do_not_fit_into_memory() {
    attack(
        "return 200 MB",
        |_| (),
        |fault| matches!(fault, Fault::MemoryLimit { limit_bytes: 67_108_864, .. }),
    )
    .await;
}

#[tokio::test]
async fn a_hundred_answers_of_200_mb_that_take_one_are_refused_before_they_are_copied() {
    attack("return aliases", |_| (), |fault| matches!(fault, Fault::HostData { limit_bytes: 2_097_152, .. }))
        .await;
}

#[tokio::test]
async fn a_hundred_host_call_storms_end_at_the_cpu_limit() {
    attack("host call storm", hurry, |fault| matches!(fault, Fault::CpuLimit { .. })).await;
}

#[tokio::test]
async fn a_hundred_log_storms_leave_their_lines_and_no_more() {
    let engine = engine();
    let plugin = plugin(&engine).await;
    for run in 0..RUNS {
        let called = behave("log storm").limits(|limits| limits.log_lines = 16).begin(&engine, &plugin).await;
        match called.result {
            Ok(said) => assert_eq!(said, "logged", "run {run}"),
            // Ten thousand lines cost what they cost: on a busy machine that is the limit.
            Err(fault) => assert!(matches!(fault, Fault::CpuLimit { .. }), "run {run}: {fault:?}"),
        }
        assert_eq!(called.log.len(), 17, "sixteen and the host's own");
    }
    still_works(&engine, &plugin).await;
}

/// Four at a time on two workers: nobody yields, and the light calls in between come through.
#[tokio::test]
async fn a_hundred_loops_on_all_workers_hold_up_nobody() {
    let engine = engine();
    let plugin = plugin(&engine).await;
    for _ in 0..RUNS / 4 {
        let runaways: Vec<_> = (0..4)
            .map(|_| {
                let (engine, plugin) = (engine.clone(), plugin.clone());
                tokio::spawn(async move { behave("loop").limits(hurry).begin(&engine, &plugin).await.result })
            })
            .collect();
        still_works(&engine, &plugin).await;
        for runaway in runaways {
            let fault = runaway.await.unwrap().unwrap_err();
            assert!(matches!(fault, Fault::CpuLimit { .. }), "{fault:?}");
        }
    }
}

/// How a component dies when its trial instance starts.
async fn dies_at_start(engine: &Engine, start: &str) -> Fault {
    match engine.load(&component(start)).await.unwrap_err() {
        LoadError::Died { during: "start", fault } => *fault,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_hundred_table_bombs_end_at_the_table_limit() {
    let engine = engine_with(|options| options.cache = None);
    let plugin = plugin(&engine).await;
    for run in 0..RUNS {
        // Another constant each time: another component, compiled anew.
        let bomb = format!(
            "(table $t 1 funcref) (func $start
               (loop $more (drop (table.grow $t (ref.null func) (i32.const {}))) (br $more)))",
            64 + run
        );
        let fault = dies_at_start(&engine, &bomb).await;
        assert!(matches!(fault, Fault::TableLimit { limit_elements: 20_000, .. }), "run {run}: {fault:?}");
    }
    still_works(&engine, &plugin).await;
}

#[tokio::test]
async fn bombs_in_the_start_function_die_like_those_in_calls() {
    let engine = engine_with(|options| options.cache = None);
    let endless = "(func $start (loop $more (br $more)))";
    assert!(matches!(dies_at_start(&engine, endless).await, Fault::CpuLimit { .. }));
    let memory = "(memory 1) (func $start (loop $more (drop (memory.grow (i32.const 16))) (br $more)))";
    assert!(matches!(dies_at_start(&engine, memory).await, Fault::MemoryLimit { .. }));
    let deep = "(func $start (call $start))";
    assert!(matches!(dies_at_start(&engine, deep).await, Fault::StackOverflow { .. }));
    let trap = "(func $start unreachable)";
    assert!(matches!(dies_at_start(&engine, trap).await, Fault::Panic { .. }));
    assert!(component(COMPONENT_START).starts_with(b"\0asm"));
}
