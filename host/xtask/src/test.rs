//! `cargo xtask test`. Invariant: a green run means that formats, lints, licences and every test are green; nothing is
//! skipped, and the last lines are the test runner's own summary and what became of the journaled calls.

use clap::Args;

use crate::run::{cargo, root, step, target_dir};
use crate::{Error, plugins, tools};

/// What to test.
#[derive(Args)]
pub struct Arguments {
    /// Only tests whose name contains this (formats, lints and licences are left out then).
    filter: Option<String>,
    /// Tells afterwards how many journaled calls of the black-box tests ran again to the same end. (Each stage fails on a
    /// difference, with or without this.)
    #[arg(long)]
    replays: bool,
}

/// Runs it.
pub fn run(arguments: &Arguments) -> Result<(), Error> {
    tools::wasm_target()?;
    tools::cargo_tool("nextest", "cargo-nextest")?;
    tools::chromium()?;
    tools::languages()?;
    tools::pooler()?;
    if arguments.filter.is_none() {
        tools::cargo_tool("deny", "cargo-deny")?;
        checks()?;
    }
    let built = plugins::build_packages(&["inicis", "guests"])?;
    crate::run::binaries()?;
    crate::chaos::host()?;
    let mut tests = cargo();
    tests.args(["nextest", "run", "--locked", "--workspace", "--no-fail-fast"]);
    tests.env("PAYHOST_TEST_PLUGIN", built.component("inicis"));
    tests.env("PAYHOST_GUESTS_WASM", built.component("guests"));
    tests.env("PAYHOST_TEST_BINARIES", target_dir().join("debug"));
    if let Some(filter) = &arguments.filter {
        tests.arg(filter);
    }
    let replays = target_dir().join("replays.jsonl");
    let _ = std::fs::remove_file(&replays);
    tests.env("PAYHOST_TEST_REPLAYS", &replays);
    let tested = step(&mut tests);
    if arguments.replays {
        print_replays(&replays);
    }
    tested
}

/// What became of the calls that the black-box tests journaled: each stage runs its own again when it ends.
fn print_replays(file: &std::path::Path) {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let stages: Vec<serde_json::Value> =
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let sum = |path: &str| -> u64 {
        stages.iter().filter_map(|stage| stage.pointer(path).and_then(serde_json::Value::as_u64)).sum()
    };
    eprintln!(
        "xtask: journals of {} hosts: {} calls ran again to the same end, {} to another; not run: {} with one-time secrets, \
         {} stopped by a limit",
        stages.len(),
        sum("/same"),
        sum("/different"),
        sum("/not_replayable/one_time"),
        sum("/not_replayable/limit"),
    );
}

fn checks() -> Result<(), Error> {
    step(cargo().args(["fmt", "--all", "--check"]))?;
    step(cargo().args(["deny", "--log-level", "error", "check", "licenses", "bans", "sources"]))?;
    step(cargo().args(["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    let wasm = [
        "clippy",
        "--locked",
        "-p",
        "inicis",
        "-p",
        "guests",
        "--target",
        tools::WASM,
        "--",
        "-D",
        "warnings",
    ];
    step(cargo().args(wasm))?;
    debug_assert!(root().join("README.md").exists(), "the workspace moved");
    Ok(())
}
