//! The command line. Invariant: every command but `serve` and `db` is a request to the API, so that nothing can be done here that is
//! not checked there: to the running server of the data folder when there is one, else to a host opened for this command.

mod client;
mod commands;
mod db;
mod doctor;
mod listen;
mod plugin_call;
mod serve;
mod webhook;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use serde_json::{Value, json};

pub use commands::{
    ChannelCommand, GatewayMapCommand, KeyCommand, NoticeCommand, PaymentCommand, PluginCommand,
    ReconcileArguments, ReplayArguments, ResolveArguments, ShopCommand,
};
pub use db::{CopyArguments, DbCommand};
pub use listen::ListenArguments;
pub use serve::ServeArguments;
pub use webhook::{TriggerArguments, WebhookCommand};

/// Payments through sandboxed plugins.
#[derive(Parser)]
#[command(name = "payhost", version, about)]
pub struct Arguments {
    /// Folder of everything that this host keeps.
    #[arg(long, global = true, default_value = "payhost-data", env = "PAYHOST_DATA")]
    pub data: PathBuf,
    /// File with the master key that encrypts secrets: 32 bytes as hex or base64. Default: `master.key` in the data folder,
    /// made at the first start. Without a file, the variable PAYHOST_MASTER_KEY may hold the key itself.
    #[arg(long, global = true, env = "PAYHOST_MASTER_KEY_FILE")]
    pub master_key_file: Option<PathBuf>,
    /// Address of the database: `postgres://USER@HOST/DATABASE` (a socket's folder as `postgres:///DATABASE?host=/FOLDER`).
    /// Default: a SQLite file in the data folder. Hosts that share a PostgreSQL need the same master key and a data folder each.
    #[arg(long, global = true, env = "PAYHOST_DATABASE", hide_env_values = true)]
    pub database: Option<String>,
    /// Print the API's JSON.
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Commands.
#[derive(Subcommand)]
pub enum Command {
    /// Runs the server.
    Serve(ServeArguments),
    /// Shops: the tenants of this host.
    #[command(subcommand)]
    Shop(ShopCommand),
    /// API keys.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Plugins and what they may reach.
    #[command(subcommand)]
    Plugin(PluginCommand),
    /// A shop's configured uses of plugins.
    #[command(subcommand)]
    Channel(ChannelCommand),
    /// Payments.
    #[command(subcommand)]
    Payment(PaymentCommand),
    /// Messages of gateways: deposits.
    #[command(subcommand)]
    Notice(NoticeCommand),
    /// Compares a day's payments of a channel with the gateway, one by one.
    Reconcile(ReconcileArguments),
    /// Where a shop is told of events.
    #[command(subcommand)]
    Webhook(WebhookCommand),
    /// Forwards a shop's events to a program on this machine.
    Listen(ListenArguments),
    /// Sends a sample event to a shop's endpoints, in test mode.
    Trigger(TriggerArguments),
    /// Runs journaled calls again; nothing is sent anywhere.
    Replay(ReplayArguments),
    /// Where a gateway's addresses lead in test mode (a simulator, a staging proxy).
    #[command(subcommand)]
    GatewayMap(GatewayMapCommand),
    /// Databases.
    #[command(subcommand)]
    Db(DbCommand),
    /// Looks every channel over and says what to do.
    Doctor(doctor::DoctorArguments),
    /// Prints the OpenAPI document.
    Openapi,
}

/// Runs the program.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.to_string()),
    };
    match runtime.block_on(run(arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(words) => fail(&words),
    }
}

fn fail(words: &str) -> ExitCode {
    eprintln!("payhost: {words}");
    ExitCode::FAILURE
}

async fn run(arguments: Arguments) -> Result<(), String> {
    let json = arguments.json;
    let request = match &arguments.command {
        Command::Serve(serve) => return serve::run(&arguments, serve).await,
        Command::Listen(listen) => return listen::run(&arguments, listen).await,
        Command::Openapi => {
            println!("{}", crate::http::openapi::document());
            return Ok(());
        }
        Command::Doctor(doctor) => {
            let reports = doctor::run(&arguments, doctor).await?;
            println!("{}", if json { reports.to_string() } else { doctor::readable(&reports) });
            let failed = doctor::has_errors(&reports);
            return if failed { Err("a channel has an error".to_owned()) } else { Ok(()) };
        }
        Command::Db(command) => {
            let report = db::run(command).await?;
            println!("{}", if json { report.to_string() } else { db::readable(&report) });
            return Ok(());
        }
        Command::Plugin(PluginCommand::Call(call)) => {
            println!("{:#}", plugin_call::run(call).await?);
            return Ok(());
        }
        Command::Reconcile(day) => {
            let compared = reconcile(&arguments, day).await?;
            println!("{}", if json { compared.to_string() } else { commands::readable(&compared) });
            return Ok(());
        }
        Command::Shop(command) => command.request(),
        Command::Key(command) => command.request(),
        Command::Plugin(command) => command.request(),
        Command::Channel(command) => command.request(),
        Command::Payment(command) => command.request(),
        Command::Notice(command) => Ok(command.request()),
        Command::Webhook(command) => command.request(),
        Command::Trigger(trigger) => trigger.request(),
        Command::Replay(command) => command.request(),
        Command::GatewayMap(command) => command.request(),
    }?;
    let answer = client::send(&arguments, request).await?;
    println!("{}", if json { answer.to_string() } else { commands::readable(&answer) });
    Ok(())
}

/// All pages of a comparison, with how many payments there are of each verdict.
async fn reconcile(arguments: &Arguments, day: &ReconcileArguments) -> Result<Value, String> {
    let mut data = Vec::new();
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    let mut after: Option<String> = None;
    loop {
        let mut page = client::send(arguments, day.request(after.as_deref())).await?;
        let items = page.get_mut("data").and_then(Value::as_array_mut).map(std::mem::take);
        for item in items.unwrap_or_default() {
            let verdict = item.get("verdict").and_then(Value::as_str).unwrap_or_default().to_owned();
            let count = counts.entry(verdict).or_default();
            *count = count.saturating_add(1);
            data.push(item);
        }
        after = page.get("next").and_then(Value::as_str).map(ToOwned::to_owned);
        if after.is_none() {
            let note = page.get("note").cloned().unwrap_or_default();
            data.push(json!({"counts": counts, "note": note}));
            return Ok(json!({"data": data}));
        }
    }
}
