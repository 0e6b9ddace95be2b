//! The command line. Invariant: every command but `serve` and `db` is a request to the API, so that nothing can be done here that is
//! not checked there: to the running server of the data folder when there is one, else to a host opened for this command.

mod client;
mod commands;
mod db;
mod doctor;
mod limits;
mod listen;
mod log;
mod output;
mod payment;
mod plugin_call;
mod serve;
mod server_file;
mod webhook;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use serde_json::{Value, json};
use url::Url;

use self::client::{ApiRequest, Failure};
use self::commands::{OfShop, Paging, Query};

pub use commands::{
    ChannelCommand, GatewayMapCommand, KeyCommand, NoticeCommand, PluginCommand, ReconcileArguments,
    ReplayArguments, ShopCommand,
};
pub use db::{CopyArguments, DbCommand};
pub use listen::ListenArguments;
pub use payment::PaymentCommand;
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
    /// Address of a host elsewhere, `https://pay.example`, instead of the one of the data folder; needs a key.
    #[arg(long, global = true, env = "PAYHOST_URL")]
    pub url: Option<Url>,
    /// Key for that host: an operator's (`op_…`), or a shop's own (`sk_…`), which says for which shop and mode a command is.
    #[arg(long, global = true, env = "PAYHOST_KEY", hide_env_values = true)]
    pub key: Option<String>,
    /// Print the API's JSON, of an error too.
    #[arg(long, global = true)]
    pub json: bool,
    /// Print only this member of the answer, for scripts: `id`, `amount.paid`.
    #[arg(long, global = true, conflicts_with = "json")]
    pub print: Option<String>,
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
    /// What waits for a person: payments in doubt, notices that were not believed, endpoints and channels that do not work.
    Attention(AttentionArguments),
    /// How the host stands, in numbers.
    Figures,
    /// Any request of the API.
    Api(ApiArguments),
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
    let json = arguments.json;
    match runtime.block_on(run(arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        // What was asked for was done; nobody wanted to read more of it.
        Err(failure) if failure.is_reader_left() => ExitCode::SUCCESS,
        Err(Failure { words, problem, .. }) if json => {
            let problem = problem.unwrap_or_else(|| json!({"code": "command_failed", "detail": words}));
            output::complain(&problem.to_string());
            ExitCode::FAILURE
        }
        Err(Failure { words, .. }) => fail(&words),
    }
}

fn fail(words: &str) -> ExitCode {
    output::complain(&format!("payhost: {words}"));
    ExitCode::FAILURE
}

async fn run(arguments: Arguments) -> Result<(), Failure> {
    let json = arguments.json;
    let print = arguments.print.clone();
    let show = |answer: &Value| match &print {
        Some(path) => match output::unknown_member(answer, path) {
            Some(words) => Err(words.into()),
            None => output::say_value(&output::cell(answer, path)),
        },
        None if json => output::say(&answer.to_string()),
        None => output::say(&output::readable(answer)),
    };
    let request = match &arguments.command {
        Command::Serve(serve) => return Ok(serve::run(&arguments, serve).await?),
        Command::Listen(listen) => return listen::run(&arguments, listen).await,
        Command::Openapi => {
            return output::say(&crate::http::openapi::document());
        }
        Command::Doctor(doctor) => {
            let reports = doctor::run(&arguments, doctor).await?;
            let language = output::Language::of_terminal();
            output::say(&if json { reports.to_string() } else { doctor::readable(&reports, language) })?;
            let failed = doctor::has_errors(&reports);
            return if failed { Err("a channel has an error".into()) } else { Ok(()) };
        }
        Command::Db(command) => {
            let report = db::run(command).await?;
            output::say(&if json { report.to_string() } else { db::readable(&report) })?;
            return if db::is_bad(&report) {
                Err("the database does not fit together".into())
            } else {
                Ok(())
            };
        }
        Command::Plugin(PluginCommand::Call(call)) => {
            return output::say(&format!("{:#}", plugin_call::run(call).await?));
        }
        Command::Reconcile(day) => {
            let compared = reconcile(&arguments, day).await?;
            return show(&compared);
        }
        Command::GatewayMap(GatewayMapCommand::Import { file }) => {
            let requests = commands::import_gateway_map(file)?;
            let mut data = Vec::new();
            for request in requests {
                data.push(client::send(&arguments, request).await?);
            }
            return show(&json!({"data": data, "next": null}));
        }
        Command::Payment(PaymentCommand::List(list)) if list.csv => {
            let answer = client::send_all(&arguments, list.request()).await?;
            let items = answer.get("data").and_then(Value::as_array).cloned().unwrap_or_default();
            return output::say_file(&output::csv(&items, payment::CSV)?);
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
        Command::Attention(waits) => Ok(waits.request()),
        Command::Figures => Ok(ApiRequest::get("/v1/figures")),
        Command::Api(any) => any.request(),
    }?;
    let answer = client::send_all(&arguments, request).await?;
    show(&answer)
}

/// `payhost attention …`
#[derive(Args)]
pub struct AttentionArguments {
    /// Only this shop's. Absent: all shops'.
    #[command(flatten)]
    of: OfShop,
    /// Only `payment_needs_operator`, `payment_in_doubt`, `notice`, `endpoint_off` or `channel_cannot_sell`.
    #[arg(long)]
    kind: Option<String>,
    /// Which part.
    #[command(flatten)]
    page: Paging,
}

impl AttentionArguments {
    fn request(&self) -> ApiRequest {
        let query = Query::default().with("kind", self.kind.as_ref()).page(&self.page);
        let request = ApiRequest::get(query.on("/v1/attention")).paged(&self.page);
        request.for_shop(self.of.shop, &self.of.mode)
    }
}

/// `payhost api …`
#[derive(Args)]
pub struct ApiArguments {
    /// `GET`, `POST`, `PUT`, `PATCH` or `DELETE`.
    #[arg(value_parser = ["GET", "POST", "PUT", "PATCH", "DELETE"])]
    verb: String,
    /// Path with query, as `/v1/events?limit=5`.
    path: String,
    /// JSON, or `@FILE`.
    #[arg(long)]
    body: Option<String>,
    /// Name of the request, where the route takes one.
    #[arg(long)]
    idempotency_key: Option<String>,
    /// For which shop.
    #[command(flatten)]
    of: OfShop,
}

impl ApiArguments {
    fn request(&self) -> Result<ApiRequest, String> {
        const VERBS: &[&str] = &["GET", "POST", "PUT", "PATCH", "DELETE"];
        let verb = VERBS.iter().find(|verb| **verb == self.verb).ok_or("no such verb")?;
        if !client::is_path(&self.path) {
            return Err(client::NO_PATH.to_owned());
        }
        let text = match self.body.as_deref().map(|text| (text, text.strip_prefix('@'))) {
            None => None,
            Some((_, Some(file))) => {
                Some(std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?)
            }
            Some((text, None)) => Some(text.to_owned()),
        };
        let request = match text {
            None => ApiRequest { verb, ..ApiRequest::get(&self.path) },
            Some(text) => {
                let body = serde_json::from_str(&text).map_err(|error| format!("--body: {error}"))?;
                ApiRequest::json(verb, &self.path, body)
            }
        };
        let request = request.for_shop(self.of.shop, &self.of.mode);
        Ok(ApiRequest { idempotency_key: self.idempotency_key.clone(), ..request })
    }
}

/// All pages of a comparison, with how many payments there are of each verdict.
async fn reconcile(arguments: &Arguments, day: &ReconcileArguments) -> Result<Value, Failure> {
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
