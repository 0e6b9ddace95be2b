//! A connection. Invariant: it commits durably, never waits without end for a lock, and one that broke is never used again.

use std::collections::HashMap;

use postgres::{Client, Config, NoTls, Statement};

use super::statement::{committed, refuse_control, translate, type_of};
use crate::{Error, Value};

/// Statements that a connection keeps prepared; all of the store's are fewer.
const STATEMENTS: usize = 256;

/// `off` and the like would acknowledge what a power cut takes back (`remote_apply` is stricter than `on`, so it stays). A
/// lock is waited for as long as SQLite waits; a node that hangs in a transaction does not hold its locks for ever.
const SETTINGS: &str = "\
    SELECT set_config('synchronous_commit', 'on', false) \
        WHERE current_setting('synchronous_commit') <> 'remote_apply'; \
    SET lock_timeout = '5s'; SET statement_timeout = '60s'; SET idle_in_transaction_session_timeout = '60s'; \
    SET jit = off;";

/// A connection with its prepared statements.
pub(crate) struct Session {
    client: Client,
    statements: HashMap<String, Statement>,
    broken: bool,
}

impl Session {
    /// Connects. Blocks; not on a thread of an async runtime.
    pub(super) fn connect(config: &Config) -> Result<Self, Error> {
        let client = config.connect(NoTls).map_err(|error| translate(&error))?;
        let mut session = Self { client, statements: HashMap::new(), broken: false };
        session.control(SETTINGS)?;
        Ok(session)
    }

    /// Whether it may be used again.
    pub(super) fn is_sound(&self) -> bool {
        !self.broken && !self.client.is_closed()
    }

    /// The driver itself.
    pub(super) fn client(&mut self) -> &mut Client {
        &mut self.client
    }

    /// Runs a statement that answers no rows; tells how many it changed.
    pub(crate) fn execute(&mut self, sql: &str, params: &[Value]) -> Result<u64, Error> {
        let statement = self.prepare(sql, params)?;
        let result = self.client.execute(&statement, &dynamic(params));
        self.check(result)
    }

    /// Runs a statement and answers its rows.
    pub(crate) fn query(&mut self, sql: &str, params: &[Value]) -> Result<Vec<postgres::Row>, Error> {
        let statement = self.prepare(sql, params)?;
        let result = self.client.query(&statement, &dynamic(params));
        self.check(result)
    }

    /// Runs statements of our own without parameters: BEGIN, SAVEPOINT, settings.
    pub(crate) fn control(&mut self, sql: &str) -> Result<(), Error> {
        let result = self.client.batch_execute(sql);
        self.check(result)
    }

    /// Commits. [`Error::Unanswered`]: whether it was kept is not known.
    pub(super) fn commit(&mut self) -> Result<(), Error> {
        self.client.batch_execute("COMMIT").map_err(|error| {
            let error = committed(&error);
            self.broken |= error == Error::Unanswered;
            error
        })
    }

    fn prepare(&mut self, sql: &str, params: &[Value]) -> Result<Statement, Error> {
        let statement = match self.statements.get(sql) {
            Some(known) => known.clone(),
            None => {
                refuse_control(sql)?;
                let types: Vec<_> = params.iter().map(type_of).collect();
                let result = self.client.prepare_typed(sql, &types);
                let statement = self.check(result)?;
                if self.statements.len() >= STATEMENTS {
                    self.statements.clear();
                }
                self.statements.insert(sql.to_owned(), statement.clone());
                statement
            }
        };
        let (has, given) = (statement.params().len(), params.len());
        if has != given {
            return Err(Error::Statement(format!("{has} placeholders, {given} parameters: {sql}")));
        }
        Ok(statement)
    }

    fn check<T>(&mut self, result: Result<T, postgres::Error>) -> Result<T, Error> {
        result.map_err(|error| {
            let error = translate(&error);
            self.broken |= matches!(error, Error::Lost(_));
            error
        })
    }
}

fn dynamic(params: &[Value]) -> Vec<&(dyn postgres::types::ToSql + Sync)> {
    params.iter().map(|value| value as &(dyn postgres::types::ToSql + Sync)).collect()
}
