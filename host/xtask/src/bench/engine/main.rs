//! The engine measured against bare wasmtime and native Rust in one run. Invariant: the three do the same work on the same
//! arguments in turns, so that a busy machine is busy for all of them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a measurement that is surprised stops; figures are rounded"
)]

mod attacks;
mod bare;
mod cold_start;
#[path = "../figures.rs"]
mod figures;
mod fixture;
mod memory;
mod native;
mod plugin_call;

use std::path::PathBuf;

use clap::Parser;

#[derive(Parser)]
struct Arguments {
    /// The INICIS component.
    #[arg(long)]
    inicis: PathBuf,
    /// The component of the engine's tests.
    #[arg(long)]
    guests: PathBuf,
    /// Only this.
    #[arg(long)]
    only: Option<String>,
    /// Where the figures go besides.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Given by `cargo bench`.
    #[arg(long)]
    bench: bool,
}

fn main() {
    let arguments = Arguments::parse();
    let inicis = std::fs::read(&arguments.inicis).expect("the INICIS component can be read");
    let guests = std::fs::read(&arguments.guests).expect("the test component can be read");
    let mut figures = figures::Figures::new(arguments.json.as_deref());
    let wanted = |name| arguments.only.as_deref().is_none_or(|only| only == name);
    if wanted("plugin-call") {
        plugin_call::run(&inicis, &mut figures);
        memory::run(&guests, &mut figures);
    }
    if wanted("attacks") {
        attacks::run(&guests, &inicis, &mut figures);
    }
    if wanted("cold-start") {
        cold_start::run(&inicis, &mut figures);
    }
}
