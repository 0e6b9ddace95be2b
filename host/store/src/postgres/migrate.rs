//! The schema. Invariant: one node at a time changes it, and a program older than the schema touches nothing.

use std::thread;

use payhost_core::kill::{self, Point};
use tokio::runtime::Builder;
use tokio_postgres::{Client, Config, NoTls};

use super::connect::{DURABLE, connect};
use super::failure::in_words;
use crate::Error;
use crate::store::panic_text;

/// The advisory lock that nodes which start together take in turns (the letters `payhost`).
const LOCK: i64 = 0x0070_6179_686f_7374;

/// The oldest server with everything that statements use (`WITH … AS MATERIALIZED`).
const OLDEST: i64 = 12;

mod migrations {
    refinery::embed_migrations!("migrations/postgres");
}

/// Brings the schema up to date. It blocks, which a thread of an async runtime must not, so this has a thread of its own.
pub(crate) fn migrate(config: &Config) -> Result<(), Error> {
    let config = config.clone();
    let thread = thread::Builder::new().name("payhost-pg-migrate".to_owned()).spawn(move || run(&config))?;
    thread.join().unwrap_or_else(|panic| Err(Error::Panicked(panic_text(panic.as_ref()))))
}

fn run(config: &Config) -> Result<(), Error> {
    // First as the pool will connect, which waits for nobody for ever.
    connect(config)?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    // refinery brings the driver that it knows.
    runtime.block_on(async {
        let (mut client, socket) = config.connect(NoTls).await.map_err(|error| lost(&error))?;
        tokio::spawn(socket);
        check_server(&client).await?;
        // A migration may take long, and whoever waits for its turn waits as long.
        run_all(&client, &format!("SET statement_timeout = 0; SET lock_timeout = 0; {DURABLE}")).await?;
        run_all(&client, &format!("SELECT pg_advisory_lock({LOCK})")).await?;
        refuse_newer(&client).await?;
        kill::soon(Point::Upkeep, "migrate");
        let report = migrations::migrations::runner().run_async(&mut client).await;
        report.map_err(|error| Error::Migration(error.to_string())).map(|_| ())
    })
}

async fn check_server(client: &Client) -> Result<(), Error> {
    let version = number(client, "SELECT current_setting('server_version_num')::bigint / 10000").await?;
    if version < OLDEST {
        return Err(Error::Migration(format!(
            "PostgreSQL {version} is too old; {OLDEST} is the oldest that works"
        )));
    }
    if number(client, "SELECT (current_setting('server_encoding') = 'UTF8')::int::bigint").await? == 0 {
        return Err(Error::Migration("the database's encoding must be UTF8".to_owned()));
    }
    if number(client, "SELECT (current_setting('fsync') = 'off')::int::bigint").await? == 1 {
        tracing::error!("this PostgreSQL runs with fsync=off: a power cut will lose acknowledged payments");
    }
    Ok(())
}

/// An older program must not guess at a newer schema.
async fn refuse_newer(client: &Client) -> Result<(), Error> {
    let known =
        migrations::migrations::runner().get_migrations().iter().map(|m| i64::from(m.version())).max();
    let known = known.unwrap_or(0);
    let table = "SELECT (to_regclass('refinery_schema_history') IS NOT NULL)::int::bigint";
    if number(client, table).await? == 0 {
        return Ok(());
    }
    let newest = "SELECT COALESCE(MAX(version), 0)::bigint FROM refinery_schema_history";
    match number(client, newest).await? {
        found if found > known => Err(Error::NewerSchema { found, known }),
        _ => Ok(()),
    }
}

async fn run_all(client: &Client, sql: &str) -> Result<(), Error> {
    client.batch_execute(sql).await.map_err(|error| lost(&error))
}

async fn number(client: &Client, sql: &str) -> Result<i64, Error> {
    let row = client.query_one(sql, &[]).await.map_err(|error| lost(&error))?;
    row.try_get(0).map_err(|error| lost(&error))
}

fn lost(error: &tokio_postgres::Error) -> Error {
    Error::Lost(in_words(error))
}
