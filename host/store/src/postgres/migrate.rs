//! The schema. Invariant: one node at a time changes it, and a program older than the schema touches nothing.

use std::thread;

use payhost_core::kill::{self, Point};
use tokio::runtime::Builder;
use tokio_postgres::{Config, NoTls};

use super::connection::{Connection, Request};
use super::failure::in_words;
use crate::store::panic_text;
use crate::{Error, Value};

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
    let mut connection = Connection::connect(config)?;
    check_server(&mut connection)?;
    // refinery brings the driver that it knows, and a connection with it.
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let lost = |error| Error::Lost(in_words(&error));
        let (mut client, socket) = config.connect(NoTls).await.map_err(lost)?;
        tokio::spawn(socket);
        // A migration may take long, and whoever waits for its turn waits as long.
        let settings = "SET statement_timeout = 0; SET lock_timeout = 0; SET synchronous_commit = on";
        client.batch_execute(settings).await.map_err(lost)?;
        client.batch_execute(&format!("SELECT pg_advisory_lock({LOCK})")).await.map_err(lost)?;
        refuse_newer(&mut connection)?;
        kill::soon(Point::Upkeep, "migrate");
        let report = migrations::migrations::runner().run_async(&mut client).await;
        report.map_err(|error| Error::Migration(error.to_string())).map(|_| ())
    })
}

fn check_server(connection: &mut Connection) -> Result<(), Error> {
    let version = number(connection, "SELECT current_setting('server_version_num')::bigint / 10000")?;
    if version < OLDEST {
        return Err(Error::Migration(format!(
            "PostgreSQL {version} is too old; {OLDEST} is the oldest that works"
        )));
    }
    if number(connection, "SELECT (current_setting('server_encoding') = 'UTF8')::int::bigint")? == 0 {
        return Err(Error::Migration("the database's encoding must be UTF8".to_owned()));
    }
    if number(connection, "SELECT (current_setting('fsync') = 'off')::int::bigint")? == 1 {
        tracing::error!("this PostgreSQL runs with fsync=off: a power cut will lose acknowledged payments");
    }
    Ok(())
}

/// An older program must not guess at a newer schema.
fn refuse_newer(connection: &mut Connection) -> Result<(), Error> {
    let known =
        migrations::migrations::runner().get_migrations().iter().map(|m| i64::from(m.version())).max();
    let known = known.unwrap_or(0);
    let table = "SELECT (to_regclass('refinery_schema_history') IS NOT NULL)::int::bigint";
    if number(connection, table)? == 0 {
        return Ok(());
    }
    let newest = "SELECT COALESCE(MAX(version), 0)::bigint FROM refinery_schema_history";
    match number(connection, newest)? {
        found if found > known => Err(Error::NewerSchema { found, known }),
        _ => Ok(()),
    }
}

fn number(connection: &mut Connection, sql: &str) -> Result<i64, Error> {
    let request = Request::of(&connection.prepare(sql, &[])?);
    let flight = connection.fly(&[request]);
    if let Some(failure) = flight.failure {
        return Err(failure.translate());
    }
    let row = flight.answers.first().and_then(|answer| answer.rows.first());
    match row.map(|row| row.value(0)).transpose()? {
        Some(Value::Int(number)) => Ok(number),
        _ => Err(Error::Corrupt(format!("no number: {sql}"))),
    }
}
