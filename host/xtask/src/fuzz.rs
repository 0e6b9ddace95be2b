//! `cargo xtask fuzz`. Invariant: the files that start it are built from this tree, and a finding is an error.

use std::process::Command;

use clap::Args;

use crate::Error;
use crate::plugins;
use crate::run::{cargo, step, target_dir};

/// How long.
#[derive(Args)]
pub struct Arguments {
    /// How long the loader of components is fed with mutants.
    #[arg(long, default_value_t = 600)]
    seconds: u64,
    /// Another number gives other mutants.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Runs it.
pub fn run(arguments: &Arguments) -> Result<(), Error> {
    let built = plugins::build_packages(&["inicis", "guests"])?;
    // Of the whole workspace, as the tests: a package alone has other features, and wasmtime would be built again.
    step(cargo().args(["build", "--locked", "--workspace", "--example", "fuzz-loader"]))?;
    let mut fuzz = Command::new(target_dir().join("debug/examples/fuzz-loader"));
    fuzz.args(["--seconds", &arguments.seconds.to_string(), "--seed", &arguments.seed.to_string()]);
    fuzz.arg("--findings").arg(target_dir().join("fuzz-findings"));
    fuzz.arg(built.component("guests")).arg(built.component("inicis"));
    step(&mut fuzz)
}
