//! The schema. Invariant: one node at a time changes it, a migration is done whole or not at all, and a program older than the schema
//! touches nothing.
//!
//! The lock that nodes take in turns is a transaction's, and a migration is done in that transaction: a pooler that gives each
//! another connection may stand in between. refinery embeds the migrations and knows their checksums; its own runner takes sessions
//! for granted.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use payhost_core::kill::{self, Point};
use refinery::Migration;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, GenericClient, Row, Transaction};

use super::failure::{Failure, in_words};
use super::health::Server;
use super::pool::runtime;
use super::roles;
use crate::Error;

/// The advisory lock that nodes which start together take in turns (the letters `payhost`).
const LOCK: i64 = 0x0070_6179_686f_7374;

/// The oldest server with everything that statements use (`WITH … AS MATERIALIZED`).
const OLDEST: i64 = 12;

/// refinery's table of what was done, as refinery makes it.
const HISTORY: &str = "CREATE TABLE IF NOT EXISTS refinery_schema_history (\
    version int4 PRIMARY KEY, name VARCHAR(255), applied_on VARCHAR(255), checksum VARCHAR(255))";

/// A migration may take long, and whoever waits for its turn waits as long.
const PATIENT: &str = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED READ WRITE; \
    SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0; \
    SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') <> 'remote_apply'";

mod migrations {
    refinery::embed_migrations!("migrations/postgres");
}

/// Looks at the way to the server, and brings the schema up to date. Blocks.
pub(crate) fn migrate(server: &Arc<Server>) -> Result<(), Error> {
    let server = Arc::clone(server);
    block_on(async move {
        let client = run(&server).await?;
        roles::warn_of_one_role(&client).await
    })
}

/// Waits for what this module does, from anywhere.
pub(super) fn block_on(work: impl Future<Output = Result<(), Error>> + Send + 'static) -> Result<(), Error> {
    let (done, ended) = sync_channel(1);
    runtime()?.spawn(async move {
        let _ = done.send(work.await);
    });
    ended
        .recv()
        .unwrap_or_else(|_| Err(Error::Panicked("while the schema was brought up to date".to_owned())))
}

/// Brings the schema up to date; the connection on which that was done.
pub(super) async fn run(server: &Server) -> Result<Client, Error> {
    let mut client = server.connect_once().await?;
    check_server(&client).await?;
    if !server.is_pooled() {
        refuse_shared_sessions(&client, &server.connect_once().await?).await?;
    }
    kill::soon(Point::Upkeep, "migrate");
    while next(&mut client).await? {}
    Ok(client)
}

/// Does the next migration; whether there was one.
async fn next(client: &mut Client) -> Result<bool, Error> {
    let transaction = client.transaction().await.map_err(lost)?;
    batch(&transaction, PATIENT).await?;
    batch(&transaction, &format!("SELECT pg_advisory_xact_lock({LOCK})")).await?;
    if number(&transaction, "SELECT (to_regclass('refinery_schema_history') IS NULL)::int::bigint").await?
        == 1
    {
        let refused = |error: tokio_postgres::Error| Error::Migration(change_refused(&error));
        transaction.batch_execute(HISTORY).await.map_err(refused)?;
    }
    let history = "SELECT version, name, checksum FROM refinery_schema_history ORDER BY version";
    let done = transaction.query_typed(history, &[]).await.map_err(lost)?;
    let mut known = migrations::migrations::runner().get_migrations().clone();
    known.sort();
    let missing = missing(&done, &known)?;
    if let Some(next) = missing.first() {
        apply(&transaction, next).await?;
    }
    transaction.commit().await.map_err(failed)?;
    Ok(!missing.is_empty())
}

/// The migrations that are to be done. An older program must not guess at a newer schema, and nobody at another one.
fn missing<'a>(done: &[Row], known: &'a [Migration]) -> Result<Vec<&'a Migration>, Error> {
    let newest = known.iter().map(|migration| i64::from(migration.version())).max().unwrap_or(0);
    let mut missing: Vec<&Migration> = known.iter().collect();
    for row in done {
        let version: i32 = row.try_get(0).map_err(failed)?;
        let (name, checksum): (String, String) =
            (row.try_get(1).map_err(failed)?, row.try_get(2).map_err(failed)?);
        let Some(migration) =
            known.iter().find(|migration| i64::from(migration.version()) == i64::from(version))
        else {
            return Err(Error::NewerSchema { found: version.into(), known: newest });
        };
        if migration.name() != name || migration.checksum().to_string() != checksum {
            return Err(Error::Migration(format!(
                "this database was made by another state of payhost, whose schema {version} ({name}) is not this one's: \
                 use that payhost, or copy the data into a new database (payhost db copy)"
            )));
        }
        missing.retain(|migration| i64::from(migration.version()) > i64::from(version));
    }
    Ok(missing)
}

async fn apply(transaction: &Transaction<'_>, migration: &Migration) -> Result<(), Error> {
    let (version, name) = (migration.version(), migration.name());
    let failed = |error: tokio_postgres::Error| {
        Error::Migration(format!("V{version}__{name}: {}", change_refused(&error)))
    };
    transaction.batch_execute(migration.sql().unwrap_or_default()).await.map_err(failed)?;
    // What a migration left for the end stands in the way of the next one.
    transaction
        .batch_execute("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")
        .await
        .map_err(failed)?;
    let insert = "INSERT INTO refinery_schema_history (version, name, applied_on, checksum) \
                  VALUES ($1, $2, to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), $3)";
    let checksum = migration.checksum().to_string();
    let values: [(&(dyn ToSql + Sync), Type); 3] =
        [(&version, Type::INT4), (&name, Type::TEXT), (&checksum, Type::TEXT)];
    transaction.query_typed(insert, &values).await.map_err(failed).map(|_| ())
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

/// A pooler that gives each transaction another connection would lose what a connection is set to (what it acknowledges would not be
/// durable), and find prepared statements where they are not. Nothing says that it is there, so two connections are asked whether
/// they share what is set.
async fn refuse_shared_sessions(one: &Client, two: &Client) -> Result<(), Error> {
    let read = "SELECT (COALESCE(current_setting('payhost.connection', true), '') = 'one')::int::bigint";
    batch(one, "SET payhost.connection = 'one'").await?;
    // Held, so that a pooler gives the other another one.
    batch(two, "BEGIN").await?;
    let is_shared = number(two, read).await? == 1 || number(one, read).await? == 0;
    batch(two, "ROLLBACK").await?;
    batch(one, "RESET payhost.connection").await?;
    if is_shared {
        return Err(Error::Address(
            "a pooler in between gives each transaction another connection (pgbouncer with pool_mode = transaction): say so in the address \
             with pgbouncer=true, or give the server's own address"
                .to_owned(),
        ));
    }
    Ok(())
}

async fn batch(client: &impl GenericClient, sql: &str) -> Result<(), Error> {
    client.batch_execute(sql).await.map_err(lost)
}

async fn number(client: &impl GenericClient, sql: &str) -> Result<i64, Error> {
    let rows = client.query_typed(sql, &[]).await.map_err(lost)?;
    let row = rows.first().ok_or_else(|| Error::Lost("an answer without rows".to_owned()))?;
    row.try_get(0).map_err(lost)
}

/// Why the schema could not be changed: a role that serves and owns no table cannot.
fn change_refused(error: &tokio_postgres::Error) -> String {
    let words = in_words(error);
    if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) {
        return format!(
            "{words}; the schema is changed by the role that it belongs to: payhost db migrate --owner postgres://OWNER@HOST/DATABASE --role ROLE"
        );
    }
    words
}

fn lost(error: tokio_postgres::Error) -> Error {
    let failure = Failure(error);
    if failure.is_loss() { failure.translate() } else { failed(failure.0) }
}

fn failed(error: tokio_postgres::Error) -> Error {
    Error::Migration(in_words(&error))
}
