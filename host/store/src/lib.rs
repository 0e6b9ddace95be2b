//! Storage. Invariant: whatever [`Store::transact`] answered with `Ok` is on disk; whatever it answered with `Err` left
//! no trace; nothing in between is ever visible.
//!
//! | room | what |
//! |---|---|
//! | [`Store`] | open, `transact`, `read`, `close` |
//! | [`Tx`], [`params!`] | statements in portable SQL, the same on every backend; what nobody waits for, and rows taken [`Later`] |
//! | [`rows`] | one module per table: its struct and the functions that callers use |
//! | [`vault`] | the master key, a data key per shop, sealed values, API-key hashes |
//! | [`check`] | whether what a database holds fits together |
//! | [`copy`] | a whole database from one backend into an empty one of the other |
//! | `sqlite` | one writer with group commit, read-only readers, migrations |
//! | `postgres` | tokio-postgres with a pool, each closure in a transaction of its own, TLS, poolers, settings kept in memory, migrations |
//!
//! Time and randomness come in through parameters (rows are made by callers); the exceptions are the nonces and data keys
//! of the vault.

pub mod check;
pub mod copy;
mod error;
mod postgres;
pub mod rows;
mod sqlite;
mod store;
mod table;
mod task;
mod tx;
mod value;
pub mod vault;

pub use error::Error;
pub use store::{Options, Store};
pub use tx::{Later, Row, TEXT_WITHOUT_NUL, Tx};
pub use value::{Blob, FromValue, Json, ToValue, Value};
pub use vault::{Cell, MasterKey, Sealed, ShopKey, Vault};
