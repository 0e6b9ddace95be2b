//! The suite over PostgreSQL (directly, over TLS, through a pooler), and what only it has: several nodes, connections that break, a
//! server that is killed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's helpers may fail the test"
)]

mod breaks;
mod copying;
mod distribution;
mod ends;
mod nodes;
mod pipeline;
mod plans;
mod pooled;
mod proxy;
mod raises;
mod schema;
mod settings;
#[path = "../suite/mod.rs"]
mod suite;
mod tls;
mod ways;

use std::sync::OnceLock;

use own_postgres::{FAST, Server};
use payhost_store::{Options, Store};
use suite::Database;
use suite::fixture::ok;

/// One server for all tests of this program, a database for each.
pub fn shared() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| Server::start(FAST))
}

fn database() -> Database {
    database_of(shared())
}

fn database_of(server: &Server) -> Database {
    Database { options: Options::parse(&server.database()).unwrap(), keep: Box::new(()) }
}

/// Until nobody but this store has a transaction open in its database.
async fn rests(store: &Store) {
    let open = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() \
                AND backend_type = 'client backend' AND state <> 'idle'";
    let ended =
        async { while ok(store, move |tx| tx.query_one(open, &[], |row| row.get::<i64>(0))).await > 0 {} };
    tokio::time::timeout(std::time::Duration::from_secs(30), ended).await.expect("no transaction stays open");
}

cases!(database);
