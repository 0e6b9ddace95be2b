//! `cargo xtask chaos`: the experiments, one row each. Invariant: the last line is the count of all runs and violations, and the
//! exit code says whether there was one.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests: a surprise ends the run with its place; the stage has more than the harness needs"
)]

#[path = "../tests/it/chaos/mod.rs"]
mod chaos;
#[path = "../tests/it/stage/mod.rs"]
mod stage;

use std::process::ExitCode;

use chaos::{Asked, Row, cancel_sequences, clients, gateway_faults, kill_points, messages, paused, storage};
use clap::Parser;

/// Kills, breaks and repeats until something gives way.
#[derive(Parser)]
#[command(name = "cargo xtask chaos")]
struct Arguments {
    /// Only the rows whose name begins so.
    #[arg(long)]
    only: Option<String>,
    /// Repeats of every cell; absent: those of the plan.
    #[arg(long)]
    runs: Option<u64>,
    /// Another number gives other amounts and another order.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Prints the kill points.
    #[arg(long)]
    points: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.points {
        use payhost_core::kill::{MESSAGE_POINTS, POINTS};
        for (_, number, name, what) in POINTS.iter().chain(MESSAGE_POINTS) {
            println!("| {number} | `{name}` | {what} |");
        }
        return ExitCode::SUCCESS;
    }
    // For as long as the program runs.
    let only = arguments.only.map(|only| &*only.leak());
    let asked = Asked { runs: arguments.runs, seed: arguments.seed, only };
    let wanted = |name: &str| asked.wants(name);
    let (mut runs, mut violations, mut known) = (0, 0, false);
    let mut count = |rows: Vec<Row>| {
        for row in rows {
            runs += row.runs;
            violations += row.violations.len();
        }
    };
    if wanted("kill-points") {
        count(kill_points::run(asked).await);
        known = true;
    }
    if wanted("messages") {
        count(messages::run(asked).await);
        known = true;
    }
    if wanted("faults") {
        count(gateway_faults::every_fault(asked).await);
        known = true;
    }
    if wanted("lost-answers") {
        count(gateway_faults::lost_answers(asked).await);
        known = true;
    }
    if wanted("found-late") {
        count(gateway_faults::found_late(asked).await);
        known = true;
    }
    if wanted("net-cancel") {
        count(gateway_faults::net_cancel(asked).await);
        known = true;
    }
    if wanted("cancel-sequences") {
        count(cancel_sequences::run(asked).await);
        known = true;
    }
    if wanted("clients") {
        count(clients::run(asked).await);
        known = true;
    }
    if wanted("paused") {
        count(paused::run(asked).await);
        known = true;
    }
    if wanted("storage") {
        count(storage::run(asked).await);
        known = true;
    }
    if !known {
        eprintln!("no such experiment");
        return ExitCode::FAILURE;
    }
    println!("chaos: {runs} runs, {violations} violations");
    if violations == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
