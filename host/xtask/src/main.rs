//! `cargo xtask`: the commands of this repository. Invariant: each does everything that it needs on a fresh machine with
//! rustup and a C compiler, or fails with the command that would help; nothing is skipped.

mod bench;
mod chaos;
mod demo;
mod fuzz;
mod plugins;
mod run;
mod test;
mod tools;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What went wrong, in words for the person at the terminal.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A command that was started ended badly.
    #[error("`{command}` failed ({status})")]
    Failed {
        /// As it could be typed.
        command: String,
        /// Its status.
        status: String,
    },
    /// A command could not be started.
    #[error("`{command}` could not be started: {cause}")]
    NotStarted {
        /// As it could be typed.
        command: String,
        /// The system's words.
        cause: std::io::Error,
    },
    /// Something is missing that this program cannot get.
    #[error("{what} is missing. Get it with: {remedy}")]
    Missing {
        /// What.
        what: &'static str,
        /// A command.
        remedy: String,
    },
    /// A file or folder could not be used.
    #[error("{path}: {cause}")]
    File {
        /// Which.
        path: String,
        /// The system's words.
        cause: std::io::Error,
    },
    /// A program that was started did not answer as it should.
    #[error("{0}")]
    Other(String),
}

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Commands of the payhost repository")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Starts a host, a simulated gateway and a small shop, and prints the shop's address.
    Demo(demo::Arguments),
    /// Measures a release build.
    Bench(bench::Arguments),
    /// Kills, breaks and repeats until something gives way.
    Chaos(chaos::Arguments),
    /// Feeds the loader of components with mutants.
    Fuzz(fuzz::Arguments),
    /// Formats, lints, licences and every test.
    Test(test::Arguments),
    /// Builds the plugins as WebAssembly components.
    BuildPlugins,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Chaos(arguments) => chaos::run(&arguments),
        Command::Fuzz(arguments) => fuzz::run(&arguments),
        Command::Test(arguments) => test::run(&arguments),
        Command::BuildPlugins => plugins::build().map(|built| {
            for file in built.files() {
                println!("{}", file.display());
            }
        }),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}
