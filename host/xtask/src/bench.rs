//! `cargo xtask bench`. Invariant: a figure comes from a release build of this tree and is printed with the value that it must
//! reach. Figures of the engine stand beside the same work without us in the same run; figures of the whole host count only
//! after every answer was checked and the books of both sides were compared.

mod serve;

use std::path::PathBuf;
use std::process::Command;

use clap::{Args, ValueEnum};

use crate::Error;
use crate::plugins;
use crate::run::{cargo, output, step};

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
    /// Payments through all legs on SQLite and on PostgreSQL, and the host's own time when the buyer comes back.
    Payments,
    /// Deposit notices that are on disk and answered.
    Notices,
    /// Webhooks that one endpoint got and verified.
    Webhooks,
    /// What a shop feels of another that floods.
    Fairness,
}

impl Name {
    /// Whether it is measured at the whole host, as a program.
    fn is_load(self) -> bool {
        match self {
            Self::Payments | Self::Notices | Self::Webhooks | Self::Fairness => true,
            Self::PluginCall | Self::Attacks | Self::ColdStart => false,
        }
    }
}

/// Runs it.
pub fn run(arguments: &Arguments) -> Result<(), Error> {
    if let Some(path) = &arguments.json {
        let made = std::fs::File::create(path);
        made.map_err(|cause| Error::File { path: path.display().to_string(), cause })?;
    }
    let wants = |load: bool| arguments.only.is_none_or(|only| only.is_load() == load);
    let starts = arguments.only.is_none_or(|only| only == Name::ColdStart);
    let mut targets = Vec::new();
    targets.extend(wants(false).then_some(["--bench", "engine"]));
    targets.extend((starts || wants(true)).then_some(["--bin", "payhost"]));
    targets
        .extend(wants(true).then_some([["--bin", "inicis-sim"], ["--bench", "load"]]).into_iter().flatten());
    let built = build(targets.as_flattened())?;
    if wants(false) {
        let plugins = plugins::build_packages(&["inicis", "guests"])?;
        let mut bench = Command::new(executable(&built, "engine")?);
        bench.arg("--inicis").arg(plugins.component("inicis"));
        bench.arg("--guests").arg(plugins.component("guests"));
        step(with(&mut bench, arguments)?)?;
    }
    if starts {
        let plugin = plugins::build()?.component("inicis");
        serve::run(&executable(&built, "payhost")?, &plugin, arguments.json.as_ref())?;
    }
    if wants(true) {
        let mut bench = Command::new(executable(&built, "load")?);
        bench.arg("--payhost").arg(executable(&built, "payhost")?);
        bench.arg("--simulator").arg(executable(&built, "inicis-sim")?);
        bench.arg("--inicis").arg(plugins::build()?.component("inicis"));
        step(with(&mut bench, arguments)?)?;
    }
    Ok(())
}

/// Builds them in release, and tells what cargo said. Always with the same packages and a bench: cargo chooses the features of
/// what they share by both, and would build all of it again.
fn build(targets: &[&str]) -> Result<String, Error> {
    let mut build = cargo();
    build.args(["build", "--locked", "--release", "--message-format", "json-render-diagnostics"]);
    build.args(["--package", "payhost", "--package", "inicis-sim", "--package", "xtask"]).args(targets);
    output(&mut build)
}

/// Where cargo put a target of this name.
fn executable(messages: &str, name: &str) -> Result<PathBuf, Error> {
    let of = |line: &str| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let named = message.pointer("/target/name")? == name;
        message.get("executable")?.as_str().filter(|_| named).map(PathBuf::from)
    };
    messages.lines().find_map(of).ok_or_else(|| Error::Other(format!("cargo built no `{name}`")))
}

fn with<'a>(bench: &'a mut Command, arguments: &Arguments) -> Result<&'a mut Command, Error> {
    if let Some(only) = arguments.only.and_then(|only| only.to_possible_value()) {
        bench.args(["--only", only.get_name()]);
    }
    if let Some(file) = &arguments.json {
        let path = std::path::absolute(file)
            .map_err(|cause| Error::File { path: file.display().to_string(), cause })?;
        bench.arg("--json").arg(path);
    }
    Ok(bench)
}
