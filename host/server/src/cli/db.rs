//! `payhost db`. Invariant: it works on databases that no host uses; what it says about a copy was read back from both sides.

use std::fmt::Write as _;
use std::path::Path;

use clap::{Args, Subcommand};
use payhost_store::copy::{Report, contents, copy};
use payhost_store::{Options, Store};
use serde_json::{Value, json};

use crate::host::{SQLITE_FILE, open_store};

/// Databases.
#[derive(Subcommand)]
pub enum DbCommand {
    /// Copies a whole database into an empty one: from SQLite to PostgreSQL, or back. Stop the hosts first.
    Copy(CopyArguments),
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

/// Copies, then compares what both hold.
pub async fn run(command: &DbCommand) -> Result<Value, String> {
    let DbCommand::Copy(arguments) = command;
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
