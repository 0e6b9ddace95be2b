//! A transaction. Invariant: after a failed statement nothing of the transaction (or of the [`Tx::nested`] part in which it
//! failed) is kept, on every backend alike.
//!
//! SQL is portable: placeholders `$1` … `$n`, first used in that order (a number may be repeated); no booleans, no
//! timestamps, no JSON operators; `ON CONFLICT` and `RETURNING` are fine.

use crate::sqlite;
use crate::{Error, FromValue, Value};

/// A transaction, or the reading half of one (inside [`crate::Store::read`]).
pub struct Tx<'a> {
    backend: Backend<'a>,
    /// A statement failed: PostgreSQL would refuse everything from here on, so do we.
    failed: bool,
    depth: u32,
}

enum Backend<'a> {
    Sqlite(&'a rusqlite::Connection),
}

/// A row of an answer.
pub struct Row<'a> {
    backend: RowBackend<'a>,
}

enum RowBackend<'a> {
    Sqlite(&'a rusqlite::Row<'a>),
}

impl<'a> Tx<'a> {
    pub(crate) fn sqlite(connection: &'a rusqlite::Connection) -> Self {
        Self { backend: Backend::Sqlite(connection), failed: false, depth: 0 }
    }

    /// Whether a statement failed, so that the transaction must be given up.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed
    }

    /// Runs a statement; tells how many rows it changed.
    pub fn execute(&mut self, sql: &str, params: &[Value]) -> Result<u64, Error> {
        self.guarded(|backend| match backend {
            Backend::Sqlite(connection) => sqlite::statement::execute(connection, sql, params),
        })
    }

    /// All rows of a query.
    pub fn query<T>(
        &mut self,
        sql: &str,
        params: &[Value],
        mut read: impl FnMut(&Row<'_>) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        self.guarded(|backend| match backend {
            Backend::Sqlite(connection) => sqlite::statement::query(connection, sql, params, |row| {
                read(&Row { backend: RowBackend::Sqlite(row) })
            }),
        })
    }

    /// The first row of a query, if there is one.
    pub fn query_opt<T>(
        &mut self,
        sql: &str,
        params: &[Value],
        read: impl FnMut(&Row<'_>) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        self.query(sql, params, read).map(|rows| rows.into_iter().next())
    }

    /// The first row of a query that must have one.
    pub fn query_one<T>(
        &mut self,
        sql: &str,
        params: &[Value],
        read: impl FnMut(&Row<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.query_opt(sql, params, read)?.ok_or(Error::NotFound { what: "row" })
    }

    /// Runs a part whose failure is not the failure of the whole: when it answers `Err`, only its own changes are undone
    /// and the transaction goes on.
    pub fn nested<T, E: From<Error>>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E> {
        let name = format!("nested_{}", self.depth);
        self.execute(&format!("SAVEPOINT {name}"), &[])?;
        self.depth = self.depth.saturating_add(1);
        let result = work(self);
        self.depth = self.depth.saturating_sub(1);
        let result = match result {
            Ok(_) if self.failed => Err(E::from(Error::Aborted)),
            other => other,
        };
        if result.is_err() {
            self.failed = false;
            self.execute(&format!("ROLLBACK TO {name}"), &[])?;
        }
        self.execute(&format!("RELEASE {name}"), &[])?;
        result
    }

    /// What to put behind a `SELECT` that reads rows in order to change them (nothing on SQLite: there is one writer).
    pub fn for_update(&self) -> &'static str {
        match self.backend {
            Backend::Sqlite(_) => "",
        }
    }

    /// Like [`Tx::for_update`], passing over rows that others are working on.
    pub fn for_update_skip_locked(&self) -> &'static str {
        match self.backend {
            Backend::Sqlite(_) => "",
        }
    }

    fn guarded<T>(&mut self, work: impl FnOnce(&Backend<'a>) -> Result<T, Error>) -> Result<T, Error> {
        if self.failed {
            return Err(Error::Aborted);
        }
        let result = work(&self.backend);
        self.failed = result.is_err();
        result
    }
}

impl Row<'_> {
    /// The value of a column by its place, from 0.
    pub fn get<T: FromValue>(&self, index: usize) -> Result<T, Error> {
        let (name, value) = match self.backend {
            RowBackend::Sqlite(row) => sqlite::statement::column(row, index)?,
        };
        T::from_value(value).map_err(|wanted| Error::Corrupt(format!("column {name}: expected {wanted}")))
    }
}
