//! The schema. Invariant: one node at a time changes it, and a program older than the schema touches nothing.

use std::thread;

use payhost_core::kill::{self, Point};
use postgres::Config;

use super::Session;
use super::statement::translate;
use crate::store::panic_text;
use crate::{Error, Value};

/// The advisory lock that nodes which start together take in turns (the letters `payhost`).
const LOCK: i64 = 0x0070_6179_686f_7374;

/// The oldest server with everything that statements use (`WITH … AS MATERIALIZED`).
const OLDEST: i64 = 12;

mod migrations {
    refinery::embed_migrations!("migrations/postgres");
}

/// Brings the schema up to date. The driver blocks, so this has a thread of its own.
pub(crate) fn migrate(config: &Config) -> Result<(), Error> {
    let config = config.clone();
    let thread = thread::Builder::new()
        .name("payhost-pg-migrate".to_owned())
        .spawn(move || run(&mut Session::connect(&config)?))?;
    thread.join().unwrap_or_else(|panic| Err(Error::Panicked(panic_text(panic.as_ref()))))
}

fn run(session: &mut Session) -> Result<(), Error> {
    check_server(session)?;
    // A migration may take long, and whoever waits for its turn waits as long.
    session.control("SET statement_timeout = 0; SET lock_timeout = 0")?;
    session.control(&format!("SELECT pg_advisory_lock({LOCK})"))?;
    refuse_newer(session)?;
    kill::soon(Point::Upkeep, "migrate");
    migrations::migrations::runner()
        .run(session.client())
        .map_err(|error| Error::Migration(error.to_string()))
        .map(|_| ())
}

fn check_server(session: &mut Session) -> Result<(), Error> {
    let version = number(session, "SELECT current_setting('server_version_num')::bigint / 10000")?;
    if version < OLDEST {
        return Err(Error::Migration(format!(
            "PostgreSQL {version} is too old; {OLDEST} is the oldest that works"
        )));
    }
    if number(session, "SELECT (current_setting('server_encoding') = 'UTF8')::int::bigint")? == 0 {
        return Err(Error::Migration("the database's encoding must be UTF8".to_owned()));
    }
    if number(session, "SELECT (current_setting('fsync') = 'off')::int::bigint")? == 1 {
        tracing::error!("this PostgreSQL runs with fsync=off: a power cut will lose acknowledged payments");
    }
    Ok(())
}

/// An older program must not guess at a newer schema.
fn refuse_newer(session: &mut Session) -> Result<(), Error> {
    let known =
        migrations::migrations::runner().get_migrations().iter().map(|m| i64::from(m.version())).max();
    let known = known.unwrap_or(0);
    let table = "SELECT (to_regclass('refinery_schema_history') IS NOT NULL)::int::bigint";
    if number(session, table)? == 0 {
        return Ok(());
    }
    let newest = "SELECT COALESCE(MAX(version), 0)::bigint FROM refinery_schema_history";
    match number(session, newest)? {
        found if found > known => Err(Error::NewerSchema { found, known }),
        _ => Ok(()),
    }
}

fn number(session: &mut Session, sql: &str) -> Result<i64, Error> {
    let row = session.client().query_one(sql, &[]).map_err(|error| translate(&error))?;
    match super::statement::column(&row, 0)? {
        (_, Value::Int(number)) => Ok(number),
        (name, _) => Err(Error::Corrupt(format!("{name}: expected a number"))),
    }
}
