//! `payhost db`. Invariant: it works on databases that no host uses; what it says about a copy was read back from both sides.

use std::fmt::Write as _;
use std::path::Path;

use clap::{Args, Subcommand};
use payhost_store::check::check;
use payhost_store::copy::{Report, contents, copy};
use payhost_store::{Options, Store};
use serde_json::{Value, json};

use crate::host::{SQLITE_FILE, open_store};

/// Databases.
#[derive(Subcommand)]
pub enum DbCommand {
    /// Copies a whole database into an empty one: from SQLite to PostgreSQL, or back. Stop the hosts first.
    Copy(CopyArguments),
    /// Brings a PostgreSQL database's schema up to date as the role that owns it, and lets another role serve: one that can add facts,
    /// ledger lines and events, and never change or remove one.
    Migrate(MigrateArguments),
    /// Checks that payments, facts, ledger and events of a database fit together. On PostgreSQL hosts may go on working.
    Check(CheckArguments),
}

/// As whom, for whom.
#[derive(Args)]
pub struct MigrateArguments {
    /// Address with the role that owns the tables: `postgres://OWNER@HOST/DATABASE`.
    #[arg(long, env = "PAYHOST_DATABASE_OWNER", hide_env_values = true)]
    pub owner: String,
    /// The role that hosts connect with.
    #[arg(long)]
    pub role: String,
}

/// Which database.
#[derive(Args)]
pub struct CheckArguments {
    /// A data folder with a SQLite database, or a database's address.
    #[arg(long)]
    pub of: String,
}

/// From where, to where.
#[derive(Args)]
pub struct CopyArguments {
    /// A data folder with a SQLite database, or a database's address.
    #[arg(long)]
    pub from: String,
    /// Address of an empty database: `postgres://USER@HOST/DATABASE` or `sqlite:PATH`.
    #[arg(long)]
    pub to: String,
}

/// Does it; `Err` with the report where a check found something.
pub async fn run(command: &DbCommand) -> Result<Value, String> {
    match command {
        DbCommand::Copy(arguments) => copy_all(arguments).await,
        DbCommand::Migrate(arguments) => migrate(arguments),
        DbCommand::Check(arguments) => check_all(arguments).await,
    }
}

fn migrate(arguments: &MigrateArguments) -> Result<Value, String> {
    let words = |error: payhost_store::Error| error.to_string();
    let owner = Options::parse(&arguments.owner).map_err(words)?;
    Store::prepare(owner, &arguments.role).map_err(words)?;
    Ok(json!({"migrated": true, "role": arguments.role}))
}

async fn check_all(arguments: &CheckArguments) -> Result<Value, String> {
    let store = source(&arguments.of)?;
    let checked = check(&store).await.map_err(|error| error.to_string());
    store.close().await;
    let checked = checked?;
    let found = checked.contradictions.iter().map(|found| {
        json!({"shop_id": found.shop, "payment_id": found.payment, "rule": found.rule, "detail": found.detail})
    });
    let found: Vec<Value> = found.collect();
    Ok(json!({
        "fits": found.is_empty(), "shops": checked.shops, "payments": checked.payments, "facts": checked.facts,
        "contradictions": found,
    }))
}

/// Whether a report is bad news.
pub fn is_bad(report: &Value) -> bool {
    report.get("fits") == Some(&Value::Bool(false))
}

/// Copies, then compares what both hold.
async fn copy_all(arguments: &CopyArguments) -> Result<Value, String> {
    let words = |error: payhost_store::Error| error.to_string();
    let from = source(&arguments.from)?;
    let to = Store::open(Options::parse(&arguments.to).map_err(words)?).map_err(words)?;
    let copied = copy(&from, &to).await.map_err(words);
    let both = match copied {
        Ok(_) => compare(&from, &to).await,
        Err(words) => Err(words),
    };
    from.close().await;
    to.close().await;
    Ok(shown(&both?))
}

/// Opens the source; one that is not there is not made.
fn source(from: &str) -> Result<Store, String> {
    let words = |error: payhost_store::Error| error.to_string();
    if from.starts_with("postgres:") || from.starts_with("postgresql:") {
        return open_store(Path::new("."), Some(from)).map_err(words);
    }
    let path = Path::new(from.strip_prefix("sqlite:").unwrap_or(from));
    let file = if path.is_dir() { path.join(SQLITE_FILE) } else { path.to_path_buf() };
    if !file.exists() {
        return Err(format!("there is no database {}", file.display()));
    }
    Store::open(Options::sqlite(file)).map_err(words)
}

async fn compare(from: &Store, to: &Store) -> Result<Report, String> {
    let words = |error: payhost_store::Error| error.to_string();
    let (old, new) = (contents(from).await.map_err(words)?, contents(to).await.map_err(words)?);
    if old == new { Ok(new) } else { Err("the copy differs from its source: do not use it".to_owned()) }
}

fn shown(report: &Report) -> Value {
    let tables = report.tables.iter().map(|table| {
        // As text: a sum may be larger than what every reader of JSON takes as a number.
        let sums = table.sums.iter().map(|(name, sum)| ((*name).to_owned(), json!(sum.to_string())));
        let sums: serde_json::Map<String, Value> = sums.collect();
        json!({"table": table.table, "rows": table.rows, "sums": sums, "sha256": table.sha256})
    });
    json!({"equal": true, "tables": tables.collect::<Vec<_>>()})
}

/// For people.
pub fn readable(report: &Value) -> String {
    if let Some(role) = report.get("role").and_then(Value::as_str) {
        return format!(
            "The schema is up to date, and {role} may serve: payhost serve --database postgres://{role}@…"
        );
    }
    if report.get("fits").is_some() {
        return readable_check(report);
    }
    let mut text = String::from("Both databases hold the same:\n\n");
    for table in report.get("tables").and_then(Value::as_array).into_iter().flatten() {
        let of = |name: &str| table.get(name).cloned().unwrap_or_default();
        let (name, hash) = (of("table"), of("sha256"));
        let _ = write!(
            text,
            "{:<16}{:>10} rows  sha256 {}",
            name.as_str().unwrap_or_default(),
            of("rows"),
            hash.as_str().unwrap_or_default()
        );
        for (column, sum) in of("sums").as_object().into_iter().flatten() {
            let _ = write!(text, "  {column} {}", sum.as_str().unwrap_or_default());
        }
        text.push('\n');
    }
    text.push_str("\nStart the hosts with --database and the same master key.");
    text
}

fn readable_check(report: &Value) -> String {
    let of =
        |value: &Value, name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let count = |name: &str| report.get(name).and_then(Value::as_u64).unwrap_or(0);
    let mut text = format!(
        "{} shops, {} payments and {} facts were read.",
        count("shops"),
        count("payments"),
        count("facts")
    );
    let found = report.get("contradictions").and_then(Value::as_array).cloned().unwrap_or_default();
    if found.is_empty() {
        text.push_str(" Everything fits together.");
    } else {
        text.push_str("\n\nThese do not fit together; something was changed beside the program:\n");
    }
    for one in &found {
        let [shop, payment, rule, detail] =
            ["shop_id", "payment_id", "rule", "detail"].map(|name| of(one, name));
        let _ = write!(text, "\n{rule:<28}{payment}  of {shop}  ({detail})");
    }
    text
}
