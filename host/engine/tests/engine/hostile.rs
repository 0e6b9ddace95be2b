//! Whatever file is given to the loader, the answer is a sentence about the file; the host goes on as before.

use payhost_engine::{Engine, LoadError};

use crate::common::{GUESTS, behave, engine_with, plugin};
use crate::load::{patched, refused};
use crate::wat::{COMPONENT_START, component, component_of};

fn uncached() -> Engine {
    engine_with(|options| options.cache = None)
}

async fn still_works(engine: &Engine) {
    let plugin = plugin(engine).await;
    assert!(behave("ok").begin(engine, &plugin).await.result.is_ok());
}

#[tokio::test]
async fn a_hundred_megabytes_are_refused_unread() {
    let engine = uncached();
    let mut bytes = GUESTS.clone();
    bytes.resize(100 << 20, 0);
    let text = refused(&engine, &bytes).await;
    assert!(text.contains("has 104857600 bytes; a plugin may have 33554432"), "{text}");
}

#[tokio::test]
async fn a_file_that_ends_too_early_is_refused_wherever_it_ends() {
    let engine = uncached();
    let ends: Vec<usize> = (0..GUESTS.len()).step_by(1 << 10).chain([GUESTS.len() - 1]).collect();
    assert!(ends.len() > 200);
    let mut whole = 0;
    for end in ends {
        match engine.load(&GUESTS[..end]).await {
            Err(error @ LoadError::NotAComponent(_)) => assert!(error.to_string().contains("wasm32-wasip2")),
            Err(other) => panic!("cut at {end}: {other}"),
            // Cut between two of the sections that name the tools, behind all code.
            Ok(_) => whole += 1,
        }
    }
    assert!(whole <= 2, "{whole}");
    still_works(&engine).await;
}

#[tokio::test]
async fn any_flipped_bit_of_a_small_component_ends_in_words() {
    let engine = uncached();
    let good = component(COMPONENT_START);
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut bytes = good.clone();
            bytes[at] ^= 1 << bit;
            match engine.load(&bytes).await {
                Err(LoadError::Internal(text)) => panic!("byte {at}, bit {bit}: {text}"),
                Err(error) => assert!(!error.to_string().is_empty()),
                Ok(_) => panic!("byte {at}, bit {bit}: it has no descriptor"),
            }
        }
    }
    still_works(&engine).await;
}

#[tokio::test]
async fn flipped_bytes_all_over_a_large_component_end_in_words() {
    let engine = uncached();
    let mut loaded = 0;
    for number in 0..32_usize {
        let mut bytes = GUESTS.clone();
        let at = number * bytes.len() / 32;
        bytes[at] ^= 0x80;
        match engine.load(&bytes).await {
            Err(LoadError::Internal(text)) => panic!("byte {at}: {text}"),
            Err(_) => {}
            // A constant or a text that nothing checks.
            Ok(_) => loaded += 1,
        }
    }
    assert!(loaded < 32);
    still_works(&engine).await;
}

#[tokio::test]
async fn a_core_module_is_not_a_component() {
    let engine = uncached();
    let module = wat::parse_str("(module (func (export \"describe\")))").unwrap();
    let text = refused(&engine, &module).await;
    assert!(text.contains("a core module is not enough"), "{text}");
    // Nor is a text, although the tools would read it.
    let text = refused(&engine, b"(component)").await;
    assert!(text.contains("is not a WebAssembly component"), "{text}");
}

#[tokio::test]
async fn every_interface_of_another_version_is_told_or_left_out() {
    let engine = uncached();
    for import in ["http", "crypto", "log"] {
        let (from, to) = (format!("payhost:plugin/{import}@0.1.0"), format!("payhost:plugin/{import}@1.0.0"));
        let text = refused(&engine, &patched(&from, &to)).await;
        assert!(text.contains(&to), "{text}");
    }
    let text = refused(&engine, &patched("payhost:plugin/plugin@0.1.0", "payhost:plugin/plugin@0.0.9")).await;
    assert!(text.contains("payhost:plugin/plugin@0.0.9"), "{text}");
    // An export that this host does not know is no harm: it is never called.
    let from = "payhost:plugin/vbank-notice@0.1.0";
    let plugin = engine.load(&patched(from, "payhost:plugin/vbank-notice@0.9.0")).await.unwrap();
    assert!(!plugin.supports("vbank-notice") && plugin.supports("general-pay"));
}

#[tokio::test]
async fn exports_that_are_missing_or_of_another_type_are_named() {
    let engine = uncached();
    let (plugin, start) = ("payhost:plugin/plugin@0.1.0", COMPONENT_START);
    let text = refused(&engine, &component_of(start, plugin, &["check"])).await;
    assert!(text.contains("`describe`") && text.contains("missing"), "{text}");
    let text = refused(&engine, &component_of(start, plugin, &["describe", "check"])).await;
    assert!(text.contains("`describe`") && text.contains(plugin), "{text}");
    let pay = "payhost:plugin/general-pay@0.1.0";
    let functions = ["begin", "authenticate", "complete"];
    let text = refused(&engine, &component_of(start, pay, &functions)).await;
    assert!(text.contains("does not export `payhost:plugin/plugin@0.1.0`") && text.contains(pay), "{text}");
    let text = refused(&engine, &component_of(start, "somebody:else/plugin@0.1.0", &["describe"])).await;
    assert!(text.contains("is it a payhost plugin?"), "{text}");
    // A function where an interface must be.
    let text = refused(&engine, &wat::parse_str(FUNCTION_IN_PLACE).unwrap()).await;
    assert!(text.contains("`describe`"), "{text}");
}

const FUNCTION_IN_PLACE: &str = r#"(component
    (core module $m (func (export "f")))
    (core instance $i (instantiate $m))
    (func $f (canon lift (core func $i "f")))
    (instance $plugin (export "other" (func $f)))
    (export "payhost:plugin/plugin@0.1.0" (instance $plugin)))"#;

#[tokio::test]
async fn a_component_that_declares_too_much_is_refused_before_it_runs() {
    let engine = uncached();
    for (what, start) in [
        ("a memory larger than a pool slot", "(memory 2000) (func $start)"),
        ("a table larger than a pool slot", "(table 30000 funcref) (func $start)"),
        ("nine tables", &format!("{} (func $start)", "(table 1 funcref)".repeat(9))),
        ("five memories", &format!("{} (func $start)", "(memory 1)".repeat(5))),
        ("a 64-bit memory", "(memory i64 1) (func $start)"),
    ] {
        let error = engine.load(&component(start)).await.expect_err(what);
        assert!(!matches!(error, LoadError::Internal(_)), "{what}: {error}");
        assert!(error.to_string().len() > 20, "{what}: {error}");
    }
    still_works(&engine).await;
}

/// The sections of a cache file, as `cache.rs` describes them, and places in the code behind them.
#[tokio::test]
async fn a_cache_file_that_was_tampered_with_anywhere_is_compiled_again() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("code");
    let cached = || engine_with(|options| options.cache.as_mut().unwrap().dir.clone_from(&folder));
    // The small one: it is compiled anew for every place.
    let bytes = patched("merchantofsomelength", "merchantofsomelength");
    let first = cached().load(&bytes).await.unwrap();
    let file = std::fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    let good = std::fs::read(&file).unwrap();
    let sections = [("magic", 0), ("digest", 16), ("compatibility", 48), ("tag", 56), ("code", 88)];
    let ends = [("middle", good.len() / 2), ("end", good.len() - 1)];
    let engine = cached();
    for (section, at) in sections.into_iter().chain(ends) {
        let mut bad = good.clone();
        bad[at] ^= 1;
        std::fs::write(&file, &bad).unwrap();
        assert_eq!(engine.load(&bytes).await.unwrap().digest(), first.digest(), "{section}");
        assert_ne!(std::fs::read(&file).unwrap(), bad, "{section}: it was written anew");
    }
    // Another component's code under this name, a longer and an empty file.
    for bad in [[&good[..], b"x"].concat(), vec![], good[..88].to_vec()] {
        std::fs::write(&file, &bad).unwrap();
        assert_eq!(engine.load(&bytes).await.unwrap().digest(), first.digest());
    }
    still_works(&engine).await;
}
