//! The PostgreSQL backend. Invariant: a closure is one transaction on one connection, answered `Ok` only after the server
//! answered its COMMIT (`synchronous_commit=on`); what became of a COMMIT whose answer was lost is never guessed.
//!
//! Nodes share the database and nothing else; the guards against each other are locks, versions and unique indexes
//! ([`crate::Store::transact`]). A pooler that gives each transaction another connection (pgbouncer's transaction mode) may
//! stand between if the address says so: then nothing outlives a transaction, neither settings nor prepared statements.
//!
//! From the outside in: [`pool`] (closures, connections, threads), [`session`] (a transaction: what goes out together),
//! [`connection`] (tokio-postgres, prepared statements), [`row`]; [`health`] (outages), [`connect`], [`tls`] and [`address`].

mod address;
mod connect;
mod connection;
mod failure;
mod health;
mod migrate;
mod pool;
mod roles;
mod row;
mod session;
mod settings;
mod statistics;
mod tls;

pub(crate) use address::{Address, parse};
pub(crate) use health::Server;
pub(crate) use migrate::migrate;
pub(crate) use pool::Pool;
pub(crate) use roles::prepare;
pub(crate) use row::Row;
pub(crate) use session::{Session, Ticket};
