//! What PostgreSQL knows of a new database. Invariant: it is gathered once, early, and never in anybody's way.
//!
//! Statements are planned when a connection first runs them and are planned anew when there are statistics. Without any, all
//! indexes of a small table cost the same, and a plan that reads the whole shop is as likely as one that reads a row. By
//! itself the server looks at a new table after a minute or more, which a busy first minute feels.

use std::sync::atomic::{AtomicU32, Ordering};

use super::Session;
use crate::{Error, Value, copy};

/// Commits after which there is something to know.
const COMMITS: u32 = 400;

/// Counts what this host committed.
#[derive(Default)]
pub(super) struct Statistics {
    commits: AtomicU32,
}

impl Statistics {
    /// One more commit; true for the one after which the server should look.
    pub(super) fn are_due(&self) -> bool {
        self.commits.load(Ordering::Relaxed) < COMMITS
            && self.commits.fetch_add(1, Ordering::Relaxed) + 1 == COMMITS
    }
}

/// Lets the server look at its tables, if it never has.
pub(super) fn gather(session: &mut Session) -> Result<(), Error> {
    // 0 before PostgreSQL 14, -1 since.
    let known = "SELECT (reltuples > 0)::int::bigint FROM pg_class WHERE oid = 'payment'::regclass";
    session.begin_write();
    if let Some(Ok(Value::Int(0))) = session.query(known, &[])?.first().map(|row| row.value(0)) {
        // Ours alone: the server warns of each that is not.
        let tables: Vec<_> = copy::columns().map(|(table, _)| table).collect();
        session.execute_later(&format!("ANALYZE {}", tables.join(", ")), Vec::new())?;
    }
    session.commit()
}
