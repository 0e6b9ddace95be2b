//! Whatever a plugin does, it dies of the right cause, in time, alone.

use std::time::Duration;

use payhost_engine::{Fault, LogSource, WriteEvidence};

use crate::common::{behave, engine, engine_with, plugin};

/// Runs a behaviour several times and hands every fault to a check.
async fn dies(behaviour: &str, check: impl Fn(&Fault) -> bool) {
    let engine = engine();
    let plugin = plugin(&engine).await;
    for _ in 0..5 {
        let called = behave(behaviour).begin(&engine, &plugin).await;
        let fault = called.result.unwrap_err();
        assert!(check(&fault), "{fault:?}");
        assert!(!fault.to_string().is_empty());
        assert_eq!(called.evidence.writes(), WriteEvidence::None);
    }
    let after = behave("ok").begin(&engine, &plugin).await;
    assert!(after.result.unwrap().starts_with("ok"), "the next call is untouched");
}

#[tokio::test]
async fn a_panic_is_told_with_its_message() {
    let engine = engine();
    let plugin = plugin(&engine).await;
    let called = behave("panic").with("text", "these words").begin(&engine, &plugin).await;
    let fault = called.result.unwrap_err();
    assert!(matches!(fault, Fault::Panic { .. }), "{fault:?}");
    assert!(fault.to_string().contains("on purpose, with these words"), "{fault}");
    assert!(!fault.trace().unwrap().frames.is_empty());
    assert!(called.log.iter().any(|line| line.source == LogSource::Stderr));
}

#[tokio::test]
async fn an_endless_loop_is_stopped_by_the_cpu_limit_in_time() {
    let engine = engine();
    let plugin = plugin(&engine).await;
    for _ in 0..5 {
        let called = behave("loop").begin(&engine, &plugin).await;
        assert!(matches!(called.result, Err(Fault::CpuLimit { .. })), "{:?}", called.result);
        assert!(called.cost.cpu >= Duration::from_millis(200), "{:?}", called.cost);
        assert!(called.cost.cpu < Duration::from_millis(240), "{:?}", called.cost);
    }
}

#[tokio::test]
async fn a_deep_recursion_is_a_stack_overflow() {
    dies("recursion", |fault| matches!(fault, Fault::StackOverflow { .. })).await;
}

#[tokio::test]
async fn a_memory_bomb_is_stopped_at_the_limit() {
    dies("memory", |fault| matches!(fault, Fault::MemoryLimit { limit_bytes: 67_108_864, .. })).await;
}

#[tokio::test]
async fn a_wild_pointer_is_a_panic_not_a_stack_overflow() {
    dies("wild", |fault| matches!(fault, Fault::Panic { .. })).await;
}

#[tokio::test]
async fn too_large_an_answer_is_refused_before_it_is_copied() {
    dies("return", |fault| matches!(fault, Fault::HostData { limit_bytes: 2_097_152, .. })).await;
}

#[tokio::test]
async fn an_exit_is_told_with_its_code() {
    dies("exit", |fault| matches!(fault, Fault::Exit { .. })).await;
}

#[tokio::test]
async fn a_host_call_storm_is_stopped_by_the_cpu_limit() {
    dies("host call storm", |fault| matches!(fault, Fault::CpuLimit { .. })).await;
}

#[tokio::test]
async fn work_that_the_host_does_is_billed_to_the_plugin() {
    let engine = engine();
    let plugin = plugin(&engine).await;
    let called = behave("hash storm").begin(&engine, &plugin).await;
    assert!(matches!(called.result, Err(Fault::CpuLimit { .. })), "{:?}", called.result);
    assert!(called.cost.cpu < Duration::from_millis(400), "{:?}", called.cost);
}

#[tokio::test]
async fn long_single_instructions_are_billed_in_full() {
    let engine = engine();
    let plugin = plugin(&engine).await;
    let called = behave("fill storm").begin(&engine, &plugin).await;
    assert!(matches!(called.result, Err(Fault::CpuLimit { .. })), "{:?}", called.result);
    assert!(called.cost.cpu < Duration::from_millis(400), "{:?}", called.cost);
}

#[tokio::test]
async fn a_plugin_that_sleeps_is_stopped_by_the_clock_and_not_billed() {
    let engine = engine();
    let plugin = plugin(&engine).await;
    let limit = Duration::from_millis(300);
    let called = behave("sleep").limits(|limits| limits.wall = limit).begin(&engine, &plugin).await;
    assert!(
        matches!(called.result, Err(Fault::WallTime { limit: l, .. }) if l == limit),
        "{:?}",
        called.result
    );
    assert!(called.cost.cpu < Duration::from_millis(100), "{:?}", called.cost);
    assert!(
        called.cost.wall >= limit && called.cost.wall < limit + Duration::from_secs(1),
        "{:?}",
        called.cost
    );
}

#[tokio::test]
async fn a_log_storm_costs_only_the_plugin_its_lines() {
    let engine = engine();
    let plugin = plugin(&engine).await;
    let called = behave("log storm").begin(&engine, &plugin).await;
    assert_eq!(called.result.unwrap(), "logged");
    assert_eq!(called.log.len(), 257);
    assert!(called.log[256].message.contains("9744 more lines were dropped"), "{}", called.log[256].message);
    let called = behave("log flood").begin(&engine, &plugin).await;
    assert!(called.log[0].message.len() <= 4 << 10 | 3, "{}", called.log[0].message.len());
}

#[tokio::test]
async fn runaways_on_all_workers_do_not_hold_up_the_others() {
    let engine = engine();
    let plugin = plugin(&engine).await;
    let runaways: Vec<_> = (0..8)
        .map(|_| {
            let (engine, plugin) = (engine.clone(), plugin.clone());
            tokio::spawn(async move { behave("loop").begin(&engine, &plugin).await.result })
        })
        .collect();
    for _ in 0..20 {
        assert!(behave("ok").begin(&engine, &plugin).await.result.is_ok());
    }
    // Eight runaways need 800 ms on two threads; twenty light calls, one after the other, came in between.
    assert!(runaways.iter().any(|runaway| !runaway.is_finished()));
    for runaway in runaways {
        assert!(matches!(runaway.await.unwrap(), Err(Fault::CpuLimit { .. })));
    }
}

#[tokio::test]
async fn more_calls_than_the_pool_has_wait_and_then_are_told() {
    let engine = engine_with(|options| {
        options.max_calls = 2;
        options.queue_wait = Duration::from_millis(100);
    });
    let plugin = plugin(&engine).await;
    let long = |_| {
        let (engine, plugin) = (engine.clone(), plugin.clone());
        let wall = Duration::from_millis(600);
        tokio::spawn(async move {
            behave("sleep").limits(|limits| limits.wall = wall).begin(&engine, &plugin).await
        })
    };
    let calls: Vec<_> = (0..4).map(long).collect();
    let mut overloaded = 0;
    for call in calls {
        match call.await.unwrap().result.unwrap_err() {
            Fault::Overloaded { waited } => {
                assert!(waited >= Duration::from_millis(100));
                overloaded += 1;
            }
            Fault::WallTime { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(overloaded, 2);
    assert_eq!(engine.figures().overloaded, 2);
    assert!(behave("ok").begin(&engine, &plugin).await.result.is_ok(), "the pool is whole again");
}

#[tokio::test]
async fn every_limit_is_the_calls_own() {
    let engine = engine();
    let plugin = plugin(&engine).await;
    let called = behave("ok").limits(|limits| limits.memory_bytes = 1 << 20).begin(&engine, &plugin).await;
    assert!(
        matches!(called.result, Err(Fault::MemoryLimit { limit_bytes: 1_048_576, .. })),
        "{:?}",
        called.result
    );
    let called = behave("ok").limits(|limits| limits.table_elements = 1).begin(&engine, &plugin).await;
    assert!(matches!(called.result, Err(Fault::TableLimit { limit_elements: 1, .. })), "{:?}", called.result);
    let cpu = Duration::from_millis(20);
    let called = behave("loop").limits(|limits| limits.cpu = cpu).begin(&engine, &plugin).await;
    assert!(
        matches!(called.result, Err(Fault::CpuLimit { limit, .. }) if limit == cpu),
        "{:?}",
        called.result
    );
    assert!(called.cost.cpu < cpu * 3, "{:?}", called.cost);
}
