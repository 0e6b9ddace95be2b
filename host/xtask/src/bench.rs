//! `cargo xtask bench`. Invariant: a figure comes from a release build of this tree, stands beside the same work without us
//! in the same run, and is printed with the value that it must reach.

mod serve;

use std::path::PathBuf;
use std::process::Command;

use clap::{Args, ValueEnum};

use crate::Error;
use crate::plugins;
use crate::run::{cargo, step};

/// What to measure.
#[derive(Args)]
pub struct Arguments {
    /// Only this.
    #[arg(long)]
    only: Option<Name>,
    /// Writes one JSON object a line to this file as well: name, value, unit, ratio, must.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What can be measured.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Name {
    /// A call of `begin` of the INICIS plugin, beside bare wasmtime and native Rust.
    PluginCall,
    /// How runaways are stopped, and what others feel of them.
    Attacks,
    /// Compiling a plugin, loading it compiled, and starting the whole program with it.
    ColdStart,
}

/// Runs it.
pub fn run(arguments: &Arguments) -> Result<(), Error> {
    let built = plugins::build_packages(&["inicis", "guests"])?;
    let mut bench = cargo();
    bench.args(["bench", "--locked", "--quiet", "--package", "xtask", "--bench", "engine", "--"]);
    bench.arg("--inicis").arg(built.component("inicis")).arg("--guests").arg(built.component("guests"));
    if let Some(only) = arguments.only.and_then(|only| only.to_possible_value()) {
        bench.args(["--only", only.get_name()]);
    }
    json(&mut bench, arguments)?;
    step(&mut bench)?;
    if arguments.only.is_none_or(|only| only == Name::ColdStart) {
        serve::run(&built.component("inicis"), arguments.json.as_ref())?;
    }
    Ok(())
}

fn json(bench: &mut Command, arguments: &Arguments) -> Result<(), Error> {
    if let Some(file) = &arguments.json {
        let path = std::path::absolute(file)
            .map_err(|cause| Error::File { path: file.display().to_string(), cause })?;
        bench.arg("--json").arg(path);
    }
    Ok(())
}
