//! The suite over PostgreSQL, and what only it has: several nodes, connections that break, a server that is killed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's helpers may fail the test"
)]

mod breaks;
mod copying;
mod flights;
mod nodes;
mod schema;
mod settings;
#[path = "../suite/mod.rs"]
mod suite;
mod ways;

use std::sync::OnceLock;

use own_postgres::{FAST, Server};
use payhost_store::Options;
use suite::Database;

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

cases!(database);
