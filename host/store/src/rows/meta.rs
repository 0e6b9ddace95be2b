//! `meta`: what is true of the whole database. Invariant: one value per key.

use crate::{Error, Tx, params};

/// A value.
pub fn get(tx: &mut Tx<'_>, key: &str) -> Result<Option<String>, Error> {
    tx.query_opt("SELECT value FROM meta WHERE key = $1", params![key], |row| row.get(0))
}

/// Sets a value.
pub fn set(tx: &mut Tx<'_>, key: &str, value: &str) -> Result<(), Error> {
    let sql = "INSERT INTO meta (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    tx.execute(sql, params![key, value]).map(|_| ())
}

/// The value that is there, or this one, which then stays.
pub fn get_or_set(tx: &mut Tx<'_>, key: &str, value: &str) -> Result<String, Error> {
    tx.execute("INSERT INTO meta (key, value) VALUES ($1, $2) ON CONFLICT DO NOTHING", params![key, value])?;
    get(tx, key)?.ok_or(Error::NotFound { what: "meta" })
}
