//! `host_job`: what the host does again and again for itself, for no shop. Invariant: of several hosts on a database one at a time does
//! it; one that dies at it is replaced when its time is over.

use crate::table::{Table, table};
use crate::{Error, Tx, params};

table! {
    /// One of them.
    pub struct HostJob in "host_job" {
        /// Which.
        key: String,
        /// When it is due; while it is running: when another host may begin it.
        due_us: i64,
        /// Whose it is while it is running.
        token: Option<String>,
    }
}

/// Whether a job was claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claimed {
    /// It was.
    Yes,
    /// It is not due before this time.
    NotBefore(i64),
}

/// Claims a job that is due, until `lease_until_us`. One that was never done is due.
pub fn claim(
    tx: &mut Tx<'_>,
    key: &str,
    token: &str,
    now_us: i64,
    lease_until_us: i64,
) -> Result<Claimed, Error> {
    let new = HostJob { key: key.to_owned(), due_us: now_us, token: None };
    let _ = new.insert_with(tx, " ON CONFLICT (key) DO NOTHING")?;
    let sql = "UPDATE host_job SET due_us = $1, token = $2 WHERE key = $3 AND due_us <= $4";
    if tx.execute(sql, params![lease_until_us, token, key, now_us])? == 1 {
        return Ok(Claimed::Yes);
    }
    let due = "SELECT due_us FROM host_job WHERE key = $1";
    tx.query_one(due, params![key], |row| row.get(0)).map(Claimed::NotBefore)
}

/// Ends a run; the next is due at `due_us`. `false`: another host has begun it meanwhile.
#[must_use = "false means that the lease was over"]
pub fn end(tx: &mut Tx<'_>, key: &str, token: &str, due_us: i64) -> Result<bool, Error> {
    let sql = "UPDATE host_job SET due_us = $1, token = NULL WHERE key = $2 AND token = $3";
    tx.execute(sql, params![due_us, key, token]).map(|rows| rows == 1)
}

/// A job, if it was ever claimed.
pub fn get(tx: &mut Tx<'_>, key: &str) -> Result<Option<HostJob>, Error> {
    HostJob::select_opt(tx, "WHERE key = $1", params![key])
}
