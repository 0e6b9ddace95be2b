//! What is loaded fits; what does not fit is told with what is wrong and what to do.

use payhost_engine::contract::{general_pay, money, plugin as plugin_interface};
use payhost_engine::{Engine, Fault, LoadError};

use crate::common::{GUESTS, behave, engine, engine_with, plugin};

/// The component with a text replaced by another one of the same length, wherever it stands.
pub fn patched(from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let (mut bytes, from, to) = (GUESTS.clone(), from.as_bytes(), to.as_bytes());
    let mut found = 0;
    for at in 0..bytes.len() - from.len() {
        if &bytes[at..at + from.len()] == from {
            bytes[at..at + from.len()].copy_from_slice(to);
            found += 1;
        }
    }
    assert!(found > 0, "the component has no such text");
    bytes
}

pub async fn refused(engine: &Engine, bytes: &[u8]) -> String {
    let error = engine.load(bytes).await.expect_err("it must not load");
    assert!(!matches!(error, LoadError::Internal(_)), "{error}");
    error.to_string()
}

#[tokio::test]
async fn a_plugin_says_who_it_is_and_what_it_can() {
    let engine = engine();
    let plugin = plugin(&engine).await;
    assert_eq!(plugin.descriptor().id, "guests");
    assert_eq!(plugin.digest().len(), 64);
    assert_eq!(plugin.interfaces().len(), 6);
    assert!(
        plugin.supports("general-pay") && plugin.supports(money::INTERFACE) && !plugin.supports("plugins")
    );
}

#[tokio::test]
async fn describe_runs_without_any_grant() {
    let engine = engine();
    let plugin = plugin(&engine).await;
    let author = &plugin.descriptor().author;
    assert!(author.contains("Refused(\"this function may not use the network\")"), "{author}");
    assert!(author.contains("`describe` runs without any grant"), "{author}");
}

#[tokio::test]
async fn a_file_that_is_no_component_is_told() {
    let engine = engine();
    let text = refused(&engine, b"\0asm\x01\0\0\0").await;
    assert!(text.contains("is not a WebAssembly component") && text.contains("wasm32-wasip2"), "{text}");
    for bytes in [&b""[..], b"hello", b"\0asm", &GUESTS[..GUESTS.len() / 2], &GUESTS[..GUESTS.len() - 1]] {
        assert!(refused(&engine, bytes).await.contains("is not a WebAssembly component"));
    }
    let text = refused(&engine, b"\0asm\x0d\0\x01\0").await;
    assert!(text.contains("does not export") && text.contains("is it a payhost plugin?"), "{text}");
}

#[tokio::test]
async fn changed_bytes_never_harm_the_host() {
    let engine = engine_with(|options| options.cache = None);
    for number in 0..40_usize {
        let mut bytes = GUESTS.clone();
        let at = number.wrapping_mul(2_654_435_761) % bytes.len();
        bytes[at] ^= 0x41;
        let _ = engine.load(&bytes).await;
    }
    assert!(engine.load(&GUESTS).await.is_ok());
}

#[tokio::test]
async fn too_large_a_file_is_refused_unread() {
    let engine = engine_with(|options| options.component_bytes = 1_000);
    let text = refused(&engine, &GUESTS).await;
    assert!(text.contains("a plugin may have 1000"), "{text}");
}

#[tokio::test]
async fn an_import_that_is_not_offered_is_named() {
    let engine = engine();
    for (from, to) in [
        ("payhost:plugin/http@0.1.0", "payhost:plugin/htxp@0.1.0"),
        ("payhost:plugin/http@0.1.0", "payhost:plugin/http@0.2.0"),
        ("wasi:cli/stderr@", "wasi:cxi/stderr@"),
    ] {
        let text = refused(&engine, &patched(from, to)).await;
        assert!(text.contains(to) && text.contains("which this host does not offer"), "{text}");
    }
}

#[tokio::test]
async fn an_import_with_another_type_is_named() {
    let engine = engine();
    let text = refused(&engine, &patched("missing-secret", "missing-sacred")).await;
    assert!(text.contains("has another type than this host's") && text.contains("missing-sacred"), "{text}");
}

#[tokio::test]
async fn a_missing_function_is_named_with_its_interface() {
    let engine = engine();
    let text = refused(&engine, &patched("authenticate", "authenticade")).await;
    assert!(
        text.contains("`authenticate`") && text.contains(general_pay::INTERFACE) && text.contains("missing"),
        "{text}"
    );
}

#[tokio::test]
async fn a_function_with_other_types_is_named_with_what_was_expected() {
    let engine = engine();
    let text = refused(&engine, &patched("page-origin", "page-orphan")).await;
    assert!(text.contains("`begin`") && text.contains(general_pay::INTERFACE), "{text}");
    assert!(text.contains("page-origin") && text.contains("page-orphan"), "{text}");
}

#[tokio::test]
async fn another_version_of_the_contract_is_told() {
    let engine = engine();
    let text = refused(&engine, &patched("payhost:plugin/plugin@0.1.0", "payhost:plugin/plugin@0.7.0")).await;
    assert!(
        text.contains(plugin_interface::INTERFACE) && text.contains("payhost:plugin/plugin@0.7.0"),
        "{text}"
    );
}

#[tokio::test]
async fn a_missing_optional_interface_is_no_error_and_its_call_is_a_fault() {
    let engine = engine();
    let bytes = patched("payhost:plugin/general-pay@0.1.0", "payhost:plugin/general-pad@0.1.0");
    let plugin = engine.load(&bytes).await.unwrap();
    assert!(!plugin.supports("general-pay") && plugin.supports("subscription"));
    let called = behave("ok").begin(&engine, &plugin).await;
    assert!(matches!(called.result, Err(Fault::MissingExport { .. })), "{:?}", called.result);
}

#[tokio::test]
async fn a_wrong_descriptor_is_told_with_the_place() {
    let engine = engine();
    for (from, to, reason) in [
        ("[a-z]{1,20}", "[a-z{1,20}(", "the pattern of setting `merchant` is not a regular expression"),
        ("https://other.test", "http://other.testt", "does not begin with `https://`"),
        ("https://other.test", "https://other/test", "leave out user info, path"),
        ("192.0.2.0/24", "192.0.2.0/99", "notice source `192.0.2.0/99`"),
        (
            "merchantofsomelength",
            "merchant of a length",
            "preset `public_test` gives setting `merchant` the value `merchant of a length`",
        ),
    ] {
        let text = refused(&engine, &patched(from, to)).await;
        assert!(text.contains(reason), "{text}");
    }
}

#[tokio::test]
async fn compiled_code_is_kept_and_a_tampered_file_is_compiled_again() {
    let dir = tempfile::tempdir().unwrap();
    let with_cache = || {
        engine_with(|options| {
            let cache = options.cache.as_mut().unwrap();
            cache.dir = dir.path().join("code");
        })
    };
    let first = plugin(&with_cache()).await;
    let file = std::fs::read_dir(dir.path().join("code")).unwrap().next().unwrap().unwrap().path();
    let good = std::fs::read(&file).unwrap();
    let written = std::fs::metadata(&file).unwrap().len();
    assert_eq!(plugin(&with_cache()).await.digest(), first.digest());
    let mut bad = good.clone();
    let middle = bad.len() / 2;
    bad[middle] ^= 0xff;
    std::fs::write(&file, &bad).unwrap();
    let engine = with_cache();
    let plugin = plugin(&engine).await;
    assert!(behave("ok").begin(&engine, &plugin).await.result.is_ok());
    assert_eq!(std::fs::metadata(&file).unwrap().len(), written);
    assert_ne!(std::fs::read(&file).unwrap(), bad, "it was written anew");
}
