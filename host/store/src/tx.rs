//! A transaction. Invariant: after a failed statement nothing of the transaction is kept, on every backend alike.
//!
//! SQL is portable: placeholders `$1` … `$n`, first used in that order (a number may be repeated); no booleans, no
//! timestamps, no JSON operators; `ON CONFLICT`, `RETURNING` and `WITH` are fine. Text holds no NUL (PostgreSQL cannot store
//! it), and transactions are not begun or ended by statements.

use crate::postgres::{Session, Ticket};
use crate::{Error, FromValue, Value};
use crate::{postgres, sqlite};

/// A transaction, or the reading half of one (inside [`crate::Store::read`]).
pub struct Tx<'a> {
    backend: Backend<'a>,
    /// A statement failed: PostgreSQL would refuse everything from here on, so do we.
    failed: bool,
}

enum Backend<'a> {
    Sqlite(&'a rusqlite::Connection),
    Postgres(&'a mut Session),
}

/// Rows that were asked for ([`Tx::query_later`]).
pub struct Later<T>(Asked<T>);

enum Asked<T> {
    Here(Vec<T>),
    Sent(Ticket, fn(&Row<'_>) -> Result<T, Error>),
    Kept(Take<T>),
}

/// Takes rows from memory, or asks for them.
type Take<T> = Box<dyn FnOnce(&mut Session) -> Result<Vec<T>, Error>>;

impl<T> Later<T> {
    /// All of them.
    pub fn all(self, tx: &mut Tx<'_>) -> Result<Vec<T>, Error> {
        tx.rows(self)
    }

    /// The first, which must be there: a `what`.
    pub fn one(self, tx: &mut Tx<'_>, what: &'static str) -> Result<T, Error> {
        self.first(tx)?.ok_or(Error::NotFound { what })
    }

    /// The first, if there is one.
    pub fn first(self, tx: &mut Tx<'_>) -> Result<Option<T>, Error> {
        self.all(tx).map(|rows| rows.into_iter().next())
    }
}

/// A row of an answer.
pub struct Row<'a> {
    backend: RowBackend<'a>,
}

enum RowBackend<'a> {
    Sqlite(&'a rusqlite::Row<'a>),
    Postgres(&'a postgres::Row),
}

impl<'a> Tx<'a> {
    pub(crate) fn sqlite(connection: &'a rusqlite::Connection) -> Self {
        Self { backend: Backend::Sqlite(connection), failed: false }
    }

    pub(crate) fn postgres(session: &'a mut Session) -> Self {
        Self { backend: Backend::Postgres(session), failed: false }
    }

    /// Whether a statement failed, so that the transaction must be given up.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed
    }

    /// Runs a statement; tells how many rows it changed.
    pub fn execute(&mut self, sql: &str, params: &[Value]) -> Result<u64, Error> {
        self.guarded(|backend| {
            refuse_nul(params)?;
            match backend {
                Backend::Sqlite(connection) => sqlite::statement::execute(connection, sql, params),
                Backend::Postgres(session) => session.execute(sql, params),
            }
        })
    }

    /// Runs a statement of which only an error is of interest. The error may come with a later statement, at the latest with
    /// the end of the transaction, of which then nothing is kept: nobody waits for the answer of the server.
    pub fn execute_later(&mut self, sql: &str, params: &[Value]) -> Result<(), Error> {
        self.later(sql, params.to_vec())
    }

    /// The same without a copy, for who owns the values.
    pub(crate) fn later(&mut self, sql: &str, params: Vec<Value>) -> Result<(), Error> {
        self.guarded(|backend| {
            refuse_nul(&params)?;
            match backend {
                Backend::Sqlite(connection) => {
                    sqlite::statement::execute(connection, sql, &params).map(|_| ())
                }
                Backend::Postgres(session) => session.execute_later(sql, params),
            }
        })
    }

    /// Like [`Tx::execute_later`] for a statement that changes the row of a key: this is the error if there is none.
    pub fn change_one_later(&mut self, sql: &str, params: &[Value], otherwise: Error) -> Result<(), Error> {
        self.guarded(|backend| {
            refuse_nul(params)?;
            match backend {
                Backend::Sqlite(connection) => match sqlite::statement::execute(connection, sql, params)? {
                    0 => Err(otherwise),
                    _ => Ok(()),
                },
                Backend::Postgres(session) => session.change_one_later(sql, params.to_vec(), otherwise),
            }
        })
    }

    /// Asks for rows that are taken later: what is asked for before the first is taken costs one round trip together.
    pub fn query_later<T>(
        &mut self,
        sql: &str,
        params: &[Value],
        read: fn(&Row<'_>) -> Result<T, Error>,
    ) -> Result<Later<T>, Error> {
        self.guarded(|backend| {
            refuse_nul(params)?;
            match backend {
                Backend::Sqlite(connection) => sqlite::statement::query(connection, sql, params, |row| {
                    read(&Row { backend: RowBackend::Sqlite(row) })
                })
                .map(Asked::Here),
                Backend::Postgres(session) => {
                    session.query_later(sql, params).map(|ticket| Asked::Sent(ticket, read))
                }
            }
            .map(Later)
        })
    }

    fn rows<T>(&mut self, later: Later<T>) -> Result<Vec<T>, Error> {
        self.guarded(|backend| match (later.0, backend) {
            (Asked::Here(rows), _) => Ok(rows),
            (Asked::Sent(ticket, read), Backend::Postgres(session)) => session
                .rows(ticket)?
                .iter()
                .map(|row| read(&Row { backend: RowBackend::Postgres(row) }))
                .collect(),
            (Asked::Kept(take), Backend::Postgres(session)) => take(session),
            (Asked::Sent(..) | Asked::Kept(_), Backend::Sqlite(_)) => Err(Error::Aborted),
        })
    }

    /// From here on this transaction reads settings (what shops and operators set and every payment reads) as they are kept in
    /// memory, if nothing was set since. In a read they are all of one moment after the closure was handed in, which need not be
    /// that of its other rows; in one that writes, what is not in memory is as it is when it is read. It must not set any.
    pub fn keep_settings(&mut self) -> Result<(), Error> {
        self.guarded(|backend| match backend {
            // Reading them is as cheap as knowing that they are the same.
            Backend::Sqlite(_) => Ok(()),
            Backend::Postgres(session) => session.keep_settings(),
        })
    }

    /// Like [`Tx::query_later`] for settings ([`Tx::keep_settings`]).
    pub(crate) fn settings_later<T: Clone + Send + Sync + 'static>(
        &mut self,
        sql: &str,
        params: &[Value],
        read: fn(&Row<'_>) -> Result<T, Error>,
    ) -> Result<Later<T>, Error> {
        match &self.backend {
            Backend::Postgres(session) if session.keeps_settings() => self.guarded(|_| {
                refuse_nul(params)?;
                let question = (sql.to_owned(), params.to_vec());
                let take = move |session: &mut Session| {
                    session.settings(question, |row| read(&Row { backend: RowBackend::Postgres(row) }))
                };
                Ok(Later(Asked::Kept(Box::new(take))))
            }),
            Backend::Postgres(_) | Backend::Sqlite(_) => self.query_later(sql, params, read),
        }
    }

    /// All rows of a query.
    pub fn query<T>(
        &mut self,
        sql: &str,
        params: &[Value],
        mut read: impl FnMut(&Row<'_>) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        self.guarded(|backend| {
            refuse_nul(params)?;
            match backend {
                Backend::Sqlite(connection) => sqlite::statement::query(connection, sql, params, |row| {
                    read(&Row { backend: RowBackend::Sqlite(row) })
                }),
                Backend::Postgres(session) => session
                    .query(sql, params)?
                    .iter()
                    .map(|row| read(&Row { backend: RowBackend::Postgres(row) }))
                    .collect(),
            }
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

    /// What to put behind a `SELECT` that reads rows in order to change them: others that do the same wait until this
    /// transaction ended (nothing on SQLite: there is one writer).
    ///
    /// Not `FOR UPDATE`: no key is ever changed, and the weaker lock lets others add rows that point here (their foreign
    /// keys look at the row) without waiting, or standing in each other's way when both then lock it.
    pub fn for_update(&self) -> &'static str {
        match self.backend {
            Backend::Sqlite(_) => "",
            Backend::Postgres(_) => " FOR NO KEY UPDATE",
        }
    }

    /// Like [`Tx::for_update`], passing over rows that others are working on.
    pub fn for_update_skip_locked(&self) -> &'static str {
        match self.backend {
            Backend::Sqlite(_) => "",
            Backend::Postgres(_) => " FOR NO KEY UPDATE SKIP LOCKED",
        }
    }

    /// Lets rows point to rows that come later in this transaction; the commit looks.
    pub(crate) fn defer_foreign_keys(&mut self) -> Result<(), Error> {
        let sql = match self.backend {
            Backend::Sqlite(_) => "PRAGMA defer_foreign_keys = ON",
            Backend::Postgres(_) => "SET CONSTRAINTS ALL DEFERRED",
        };
        self.execute_later(sql, &[])
    }

    /// What to put behind a `SELECT` of a row that something new is going to stand on: who ends its use ([`Tx::for_end`]) waits until
    /// this transaction ended, and who began to end it earlier is waited for, and what the row then is decides. It costs what the
    /// foreign key of the new row costs anyway, and nobody else waits.
    pub fn for_use(&self) -> &'static str {
        match self.backend {
            Backend::Sqlite(_) => "",
            Backend::Postgres(_) => " FOR KEY SHARE",
        }
    }

    /// Like [`Tx::for_update`] for rows whose use ends, if nothing stands on them: what is counted behind it has everything that was
    /// added to them, and nothing is added until this transaction ended.
    pub fn for_end(&self) -> &'static str {
        match self.backend {
            Backend::Sqlite(_) => "",
            Backend::Postgres(_) => " FOR UPDATE",
        }
    }

    fn guarded<T>(&mut self, work: impl FnOnce(&mut Backend<'a>) -> Result<T, Error>) -> Result<T, Error> {
        if self.failed {
            return Err(Error::Aborted);
        }
        let result = work(&mut self.backend);
        self.failed = result.is_err();
        result
    }
}

impl Row<'_> {
    /// The value of a column by its place, from 0.
    pub fn get<T: FromValue>(&self, index: usize) -> Result<T, Error> {
        let value = match self.backend {
            RowBackend::Sqlite(row) => sqlite::statement::value(row, index)?,
            RowBackend::Postgres(row) => row.value(index)?,
        };
        T::from_value(value).map_err(|wanted| {
            let name = match self.backend {
                RowBackend::Sqlite(row) => sqlite::statement::name(row, index),
                RowBackend::Postgres(row) => row.name(index),
            };
            Error::Corrupt(format!("column {name}: expected {wanted}"))
        })
    }
}

/// The rule ([`Error::Check`]) that PostgreSQL has and SQLite has not: no text holds U+0000.
pub const TEXT_WITHOUT_NUL: &str = "text_without_nul";

/// PostgreSQL cannot store NUL in text, so no backend does.
fn refuse_nul(params: &[Value]) -> Result<(), Error> {
    let has_nul = |value: &Value| matches!(value, Value::Text(text) if text.contains('\0'));
    if params.iter().any(has_nul) {
        return Err(Error::Check { what: TEXT_WITHOUT_NUL.to_owned() });
    }
    Ok(())
}
