//! `cargo xtask chaos`. Invariant: what is killed is built from this tree with kill points, as a program of its own; the last
//! line counts runs and violations, and a violation is an error.

use clap::Args;

use crate::Error;
use crate::plugins;
use crate::run::{binaries, cargo, step, target_dir};

/// What to break.
#[derive(Args)]
pub struct Arguments {
    /// Only the rows whose name begins so (`faults/refund`); the experiments are kill-points, faults, lost-answers, found-late, net-cancel, cancel-sequences, clients, paused, storage.
    #[arg(long)]
    only: Option<String>,
    /// Repeats of every cell. Default: those of the plan.
    #[arg(long)]
    runs: Option<u64>,
    /// Another number gives other amounts and another order.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Builds the host with kill points, beside the real one.
pub fn host() -> Result<(), Error> {
    let chaos = ["build", "--locked", "--workspace", "--bin", "payhost-chaos", "--features", "payhost/chaos"];
    step(cargo().args(chaos))
}

/// Runs it.
pub fn run(arguments: &Arguments) -> Result<(), Error> {
    let built = plugins::build()?;
    binaries()?;
    host()?;
    step(cargo().args(["build", "--locked", "--workspace", "--example", "chaos"]))?;
    let folder = target_dir().join("debug");
    let mut chaos = std::process::Command::new(folder.join("examples").join("chaos"));
    chaos.env("PAYHOST_TEST_PLUGIN", built.component("inicis")).env("PAYHOST_TEST_BINARIES", folder);
    chaos.args(["--seed", &arguments.seed.to_string()]);
    if let Some(only) = &arguments.only {
        chaos.args(["--only", only]);
    }
    if let Some(runs) = arguments.runs {
        chaos.args(["--runs", &runs.to_string()]);
    }
    step(&mut chaos)
}
