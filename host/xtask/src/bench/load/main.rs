//! The whole host under load: release programs, loopback, true disks for the host. Invariant: a figure is printed only after every answer was
//! checked, and stands only if afterwards the database and the gateway's ledger agree on every payment; otherwise the program
//! ends in the middle. The load generator, the gateway and the host share the machine.
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

mod books;
mod buyer;
mod fairness;
#[path = "../figures.rs"]
mod figures;
mod http;
mod notices;
mod payments;
mod place;
mod program;
mod webhooks;

use std::path::PathBuf;

use clap::Parser;
use mimalloc::MiMalloc;

use place::{Backend, Built};

/// The host's: buyers are to cost as little of the machine as they can.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

#[derive(Parser)]
struct Arguments {
    /// The host.
    #[arg(long)]
    payhost: PathBuf,
    /// The gateway.
    #[arg(long)]
    simulator: PathBuf,
    /// The INICIS component.
    #[arg(long)]
    inicis: PathBuf,
    /// Only this: `payments`, `notices`, `webhooks` or `fairness`.
    #[arg(long)]
    only: Option<String>,
    /// Where the figures go besides.
    #[arg(long)]
    json: Option<PathBuf>,
}

#[tokio::main]
async fn main() {
    let arguments = Arguments::parse();
    let built =
        Built { payhost: arguments.payhost, simulator: arguments.simulator, plugin: arguments.inicis };
    let mut figures = figures::Figures::new(arguments.json.as_deref());
    let wanted = |name| arguments.only.as_deref().is_none_or(|only| only == name);
    if wanted("payments") {
        payments::rate(&built, Backend::Sqlite, &mut figures).await;
        payments::rate(&built, Backend::Postgres, &mut figures).await;
        payments::return_leg(&built, &mut figures).await;
    }
    if wanted("notices") {
        notices::run(&built, &mut figures).await;
    }
    if wanted("webhooks") {
        webhooks::run(&built, &mut figures).await;
    }
    if wanted("fairness") {
        fairness::run(&built, &mut figures).await;
    }
}
