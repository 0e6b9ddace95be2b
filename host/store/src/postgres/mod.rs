//! The PostgreSQL backend. Invariant: a closure is one transaction on one connection, answered `Ok` only after the server
//! answered its COMMIT (`synchronous_commit=on`); what became of a COMMIT whose answer was lost is never guessed.
//!
//! Nodes share the database and nothing else; the guards against each other are locks, versions and unique indexes
//! ([`crate::Store::transact`]). A pooler that gives each transaction another connection (pgbouncer's transaction mode)
//! must not stand between, because statements stay prepared.
//!
//! From the outside in: [`pool`] (threads, which of them works on what), [`session`] (a transaction), [`connection`] (what goes
//! out together), [`statement`] and [`row`], [`wire`] (messages), [`connect`] and [`address`].

mod address;
mod connect;
mod connection;
mod failure;
mod health;
mod migrate;
mod pool;
mod row;
mod session;
mod settings;
mod statement;
mod statistics;
mod wire;

pub(crate) use address::parse;
pub(crate) use migrate::migrate;
pub(crate) use pool::Pool;
pub(crate) use row::Row;
pub(crate) use session::{Session, Ticket};
