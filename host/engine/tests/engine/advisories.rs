//! Components built after the security advisories of wasmtime that were fixed in 48.0.3 to 48.0.8 and can be reached with our
//! features (`docs/security.md` has the table). Each is a file that anybody could hand to an operator: it is refused, or it dies
//! alone, as often as it is tried, and a call afterwards is untouched.

use std::sync::Arc;

use payhost_engine::{Engine, Fault, LoadError, Plugin};

use crate::common::{behave, engine_with, plugin};
use crate::wat::component_with;

/// Runs of each attack.
const RUNS: usize = 20;

async fn engine_and_plugin() -> (Engine, Arc<Plugin>) {
    let engine = engine_with(|options| options.cache = None);
    let plugin = plugin(&engine).await;
    (engine, plugin)
}

async fn still_works(engine: &Engine, plugin: &Arc<Plugin>) {
    let called = behave("ok").begin(engine, plugin).await;
    assert!(called.result.unwrap().starts_with("ok"));
    assert_eq!(engine.figures().in_flight, 0);
}

/// Loads a component [`RUNS`] times; each time it dies at its start, in this way.
async fn dies(definitions: &str, right: impl Fn(&Fault) -> bool) {
    let (engine, plugin) = engine_and_plugin().await;
    let bytes = component_with(definitions);
    for run in 0..RUNS {
        match engine.load(&bytes).await.unwrap_err() {
            LoadError::Died { during: "start", fault } => assert!(right(&fault), "run {run}: {fault:?}"),
            other => panic!("run {run}: {other}"),
        }
    }
    still_works(&engine, &plugin).await;
}

/// Loads a component [`RUNS`] times; each time it starts, and is refused for the types of its exports alone.
async fn starts(definitions: &str) {
    let (engine, plugin) = engine_and_plugin().await;
    let bytes = component_with(definitions);
    for run in 0..RUNS {
        let error = engine.load(&bytes).await.unwrap_err();
        assert!(matches!(error, LoadError::Export { .. }), "run {run}: {error}");
    }
    still_works(&engine, &plugin).await;
}

/// A component that makes `count` handles of a resource of its own and drops `dropped` of them.
fn handles(count: u32, kept: bool) -> String {
    let drop = if kept { "drop" } else { "call $drop" };
    format!(
        r#"(type $r (resource (rep i32)))
        (core func $new (canon resource.new $r))
        (core func $drop (canon resource.drop $r))
        (core module $m
          (import "" "new" (func $new (param i32) (result i32)))
          (import "" "drop" (func $drop (param i32)))
          (func $start (local $left i32) (local.set $left (i32.const {count}))
            (loop $more
              (call $new (i32.const 7)) {drop}
              (br_if $more (local.tee $left (i32.sub (local.get $left) (i32.const 1))))))
          (func (export "f")) (start $start))
        (core instance $i (instantiate $m (with "" (instance (export "new" (func $new)) (export "drop" (func $drop))))))"#
    )
}

/// GHSA-q554-3cjc-rx7p: handle tables were capped for each instance only, and charged to no limit.
#[tokio::test]
async fn handles_of_a_component_are_capped_over_all_its_instances() {
    starts(&handles(500, true)).await;
    starts(&handles(5_000, false)).await;
    let at_the_cap = |fault: &Fault| matches!(fault, Fault::Panic { trap, .. } if trap.contains("store handle limit exceeded"));
    dies(&handles(600, true), at_the_cap).await;
    // Three instances with tables of their own, each below the cap.
    let three = r#"(type $r (resource (rep i32)))
        (component $one
          (type $own (resource (rep i32)))
          (core func $new (canon resource.new $own))
          (core module $m (import "" "new" (func $new (param i32) (result i32)))
            (func $start (local $left i32) (local.set $left (i32.const 250))
              (loop $more (drop (call $new (i32.const 7)))
                (br_if $more (local.tee $left (i32.sub (local.get $left) (i32.const 1))))))
            (start $start))
          (core instance (instantiate $m (with "" (instance (export "new" (func $new)))))))
        (instance (instantiate $one)) (instance (instantiate $one)) (instance (instantiate $one))
        (core module $m (func (export "f"))) (core instance $i (instantiate $m))"#;
    dies(three, at_the_cap).await;
}

/// A component that hands `count` borrows of one resource to another component in one list, which takes a handle for each.
fn borrows(count: u32) -> String {
    let bytes = count * 4;
    format!(
        r#"(component $owner
          (type $own (resource (rep i32)))
          (export $r "r" (type $own))
          (core func $new (canon resource.new $own))
          (func (export "make") (param "rep" u32) (result (own $r)) (canon lift (core func $new))))
        (instance $owner (instantiate $owner))
        (alias export $owner "r" (type $r))
        (alias export $owner "make" (func $make))
        (component $taker
          (import "r" (type $r (sub resource)))
          (core module $m (memory (export "m") 4)
            (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 0)
            (func (export "take") (param i32 i32)))
          (core instance $m (instantiate $m))
          (func (export "take") (param "all" (list (borrow $r)))
            (canon lift (core func $m "take") (memory (core memory $m "m")) (realloc (core func $m "realloc")))))
        (instance $taker (instantiate $taker (with "r" (type $r))))
        (alias export $taker "take" (func $take))
        (component $giver
          (import "r" (type $r (sub resource)))
          (import "make" (func $make (param "rep" u32) (result (own $r))))
          (import "take" (func $take (param "all" (list (borrow $r)))))
          (core module $mem (memory (export "m") 4))
          (core instance $mem (instantiate $mem))
          (core func $make_core (canon lower (func $make)))
          (core func $take_core (canon lower (func $take) (memory (core memory $mem "m"))))
          (core module $m
            (import "" "m" (memory 4))
            (import "" "make" (func $make (param i32) (result i32)))
            (import "" "take" (func $take (param i32 i32)))
            (func $start (local $at i32) (local $handle i32)
              (local.set $handle (call $make (i32.const 7)))
              (loop $more
                (i32.store (local.get $at) (local.get $handle))
                (br_if $more (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 4))) (i32.const {bytes}))))
              (call $take (i32.const 0) (i32.const {count})))
            (start $start))
          (core instance (instantiate $m
            (with "" (instance (export "m" (memory $mem "m")) (export "make" (func $make_core)) (export "take" (func $take_core)))))))
        (instance (instantiate $giver (with "r" (type $r)) (with "make" (func $make)) (with "take" (func $take))))
        (core module $m (func (export "f"))) (core instance $i (instantiate $m))"#
    )
}

/// GHSA-6fr9-xmw9-5352: the memory of borrowed handles that pass between components was not checked.
#[tokio::test]
async fn borrowed_handles_between_components_are_capped_too() {
    // It traps either way, for the taker does not give them back; what counts is at which handle.
    let said = |fault: &Fault| match fault {
        Fault::Panic { trap, .. } => trap.clone(),
        other => panic!("{other:?}"),
    };
    dies(&borrows(100), |fault| said(fault).contains("borrow")).await;
    dies(&borrows(60_000), |fault| said(fault).contains("handle limit exceeded")).await;
}

/// GHSA-7v24-42x9-pxf7: a guest's `realloc`, called by the host that lowers an answer, called the host in turn.
#[tokio::test]
async fn a_realloc_that_calls_the_host_dies_of_it() {
    let calls_back = r#"(import "wasi:random/random@0.2.0" (instance $random
          (export "get-random-bytes" (func (param "len" u64) (result (list u8))))
          (export "get-random-u64" (func (result u64)))))
        (core func $number (canon lower (func $random "get-random-u64")))
        (core module $mem (import "" "number" (func $number (result i64)))
          (memory (export "m") 1)
          (func (export "realloc") (param i32 i32 i32 i32) (result i32) (drop (call $number)) (i32.const 16)))
        (core instance $mem (instantiate $mem (with "" (instance (export "number" (func $number))))))
        (core func $bytes (canon lower (func $random "get-random-bytes") (memory (core memory $mem "m")) (realloc (core func $mem "realloc"))))
        (core module $m (import "" "bytes" (func $bytes (param i64 i32)))
          (func $start (call $bytes (i64.const 64) (i32.const 0)))
          (func (export "f")) (start $start))
        (core instance $i (instantiate $m (with "" (instance (export "bytes" (func $bytes))))))"#;
    dies(calls_back, |fault| matches!(fault, Fault::Panic { trap, .. } if trap.contains("cannot leave")))
        .await;
    // The same component whose realloc minds its own business.
    starts(&calls_back.replace("(drop (call $number)) ", "")).await;
}

/// GHSA-5hhx-4wrr-3j9g: a yield in a start function. Ours yield at every tick: this one computes for many, beside others like it.
#[tokio::test]
async fn start_functions_that_are_made_to_yield_come_to_their_end() {
    let (engine, plugin) = engine_and_plugin().await;
    let busy = "(core module $m
          (func $start (local $left i32) (local.set $left (i32.const 8000000))
            (loop $more (br_if $more (local.tee $left (i32.sub (local.get $left) (i32.const 1))))))
          (func (export \"f\")) (start $start))
        (core instance $i (instantiate $m))";
    let bytes = Arc::new(component_with(busy));
    for _ in 0..RUNS / 4 {
        let started: Vec<_> = (0..4)
            .map(|_| {
                let (engine, bytes) = (engine.clone(), bytes.clone());
                tokio::spawn(async move { engine.load(&bytes).await.unwrap_err() })
            })
            .collect();
        for one in started {
            let error = one.await.unwrap();
            assert!(matches!(error, LoadError::Export { .. }), "{error}");
        }
    }
    still_works(&engine, &plugin).await;
}

/// GHSA-wjc8-633q-pwxr: a long chain of types, each made of the one before, was dropped by recursion.
#[tokio::test]
async fn a_long_chain_of_types_is_dropped_or_refused_without_harm() {
    let (engine, plugin) = engine_and_plugin().await;
    let of_core: String =
        (1..10_000).map(|at| format!("(type $t{at} (func (param (ref null $t{}))))", at - 1)).collect();
    let core = format!(
        "(core module $m (type $t0 (func)) {of_core} (func (export \"f\")))
        (core instance $i (instantiate $m))"
    );
    // Of components: a list of a list of …
    let lists: String = (1..10_000).map(|at| format!("(type $l{at} (list $l{}))", at - 1)).collect();
    let lists = format!(
        "(type $l0 (list u8)) {lists}
        (core module $m (func (export \"f\"))) (core instance $i (instantiate $m))"
    );
    for definitions in [core, lists] {
        let bytes = component_with(&definitions);
        for run in 0..RUNS {
            let error = engine.load(&bytes).await.unwrap_err();
            let told = matches!(error, LoadError::Export { .. } | LoadError::NotAComponent(_));
            assert!(told, "run {run}: {error}");
        }
    }
    still_works(&engine, &plugin).await;
}

/// GHSA-gqmc-89g8-p25r: output that nobody listens to was kept. Ours is cut as it comes, whoever listens.
#[tokio::test]
async fn a_storm_on_standard_output_is_cut_and_kept_nowhere() {
    let (engine, plugin) = engine_and_plugin().await;
    for run in 0..RUNS {
        let called =
            behave("output storm").limits(|limits| limits.log_lines = 16).begin(&engine, &plugin).await;
        if let Err(fault) = &called.result {
            assert!(matches!(fault, Fault::CpuLimit { .. }), "run {run}: {fault:?}");
        }
        let bytes: usize = called.log.iter().map(|line| line.message.len()).sum();
        assert!(
            called.log.len() <= 17 && bytes < 80 << 10,
            "run {run}: {} lines, {bytes} bytes",
            called.log.len()
        );
    }
    still_works(&engine, &plugin).await;
}
