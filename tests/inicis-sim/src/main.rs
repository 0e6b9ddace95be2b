//! The simulator as a program. Invariant: it prints exactly one line on standard output, and only when it is ready.

use std::error::Error;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;
use inicis_sim::{Merchants, Options, Profile, Settings};
use mimalloc::MiMalloc;
use tokio::signal::unix::{SignalKind, signal};

/// The host's: under load the gateway is to cost as little of the machine as it can.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// A strict simulator of KG INICIS.
#[derive(Parser)]
#[command(name = "inicis-sim")]
struct Cli {
    /// Directory of the ledger and of the certificate authority.
    #[arg(long)]
    data: PathBuf,
    /// Address for the buyer's browser, plain HTTP.
    #[arg(long, default_value = "127.0.0.1:0")]
    browser: SocketAddr,
    /// Address for merchants, TLS under the gateway's names.
    #[arg(long, default_value = "127.0.0.1:0")]
    gateway: SocketAddr,
    /// JSON list of merchants in place of the public test merchants.
    #[arg(long)]
    merchants: Option<PathBuf>,
    /// JSON object of settings for what INICIS does not document.
    #[arg(long)]
    settings: Option<PathBuf>,
    /// How requests are judged: as the manual says, or as older clients need it, with warnings. Over the settings file's.
    #[arg(long, value_enum)]
    profile: Option<Profile>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let cli = Cli::parse();
    let mut options = Options::new(cli.data);
    options.browser = cli.browser;
    options.gateway = cli.gateway;
    if let Some(path) = cli.merchants {
        options.merchants = Merchants::from_json(&std::fs::read_to_string(path)?)?;
    }
    if let Some(path) = cli.settings {
        options.settings = serde_json::from_str::<Settings>(&std::fs::read_to_string(path)?)?;
    }
    options.settings.profile = cli.profile.unwrap_or(options.settings.profile);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let running = inicis_sim::start(options).await?;
    let ready = serde_json::json!({
        "browser_origin": running.browser_origin,
        "gateway_address": running.gateway_address,
        "ca_file": running.ca_file,
        "gateway_map": running.gateway_map(),
    });
    writeln!(std::io::stdout(), "{ready}")?;
    std::io::stdout().flush()?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    running.stop().await;
    Ok(())
}
