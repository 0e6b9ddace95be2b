//! A connection. Invariant: requests are done in order, in as few writes as they fit in, and after the first that fails none
//! that follows is done.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use postgres_protocol::message::backend::{CommandCompleteBody, Message};
use postgres_protocol::message::frontend::{self, BindError};
use tokio_postgres::Config;

use super::connect::connect;
use super::failure::Failure;
use super::row::Row;
use super::statement::{Statement, encode, is_control};
use super::wire::Wire;
use crate::{Error, Value};

/// Statements that a connection keeps prepared; all of the store's are fewer.
const STATEMENTS: usize = 256;

/// Bytes that go out before answers are read, unless one request has more. Less than the sockets between hold: two that both
/// write and do not read would wait for each other.
const PART: usize = 32 * 1024;

/// Values in the binary form, as parameters and in rows.
const BINARY: [i16; 1] = [1];

/// What is asked of the server.
pub(super) struct Request<'a> {
    pub(super) statement: Arc<Statement>,
    pub(super) params: Cow<'a, [Value]>,
}

impl Request<'static> {
    /// Asks for a statement without parameters.
    pub(super) fn of(statement: &Arc<Statement>) -> Self {
        Self { statement: Arc::clone(statement), params: Cow::Borrowed(&[]) }
    }
}

/// What it answered.
pub(super) struct Answer {
    pub(super) rows: Vec<Row>,
    done: CommandCompleteBody,
}

impl Answer {
    /// What was done: the command, for some with the number of rows.
    pub(super) fn tag(&self) -> &str {
        self.done.tag().unwrap_or_default()
    }

    /// How many rows were changed.
    pub(super) fn changed(&self) -> u64 {
        self.tag().rsplit(' ').next().and_then(|count| count.parse().ok()).unwrap_or(0)
    }
}

/// What became of requests: the answers of the first ones, and why there is none for the next.
pub(super) struct Flight {
    pub(super) answers: Vec<Answer>,
    pub(super) failure: Option<Failure>,
}

/// Where a connection stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// No transaction is open, or ROLLBACK goes out before anything else.
    Outside,
    /// One is, perhaps one that has failed.
    Inside,
    /// It cannot be used: it broke, or answers are under way that would be taken for those of what is asked next.
    Broken,
}

/// A connection with its prepared statements.
pub(super) struct Connection {
    wire: Wire,
    state: State,
    /// The answer to ROLLBACK has not been read.
    unread: bool,
    /// How transactions begin and end.
    pub(super) control: Control,
    statements: HashMap<String, Arc<Statement>>,
    /// How many were ever prepared: their names.
    prepared: u64,
}

/// Statements that begin and end transactions. They have the same names on every connection.
pub(super) struct Control {
    pub(super) begin_write: Arc<Statement>,
    pub(super) begin_read: Arc<Statement>,
    pub(super) commit: Arc<Statement>,
    rollback: Arc<Statement>,
}

impl Control {
    fn prepare(wire: &mut Wire) -> Result<Self, Failure> {
        let mut statement =
            |name: &str, sql| Statement::prepare(wire, name.to_owned(), sql, &[]).map(Arc::new);
        Ok(Self {
            begin_write: statement("begin_write", "BEGIN READ WRITE")?,
            begin_read: statement("begin_read", "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")?,
            commit: statement("commit", "COMMIT")?,
            rollback: statement("rollback", "ROLLBACK")?,
        })
    }
}

impl Connection {
    /// Connects. Blocks; not on a thread of an async runtime.
    pub(super) fn connect(config: &Config) -> Result<Self, Error> {
        let mut wire = connect(config)?;
        let control = Control::prepare(&mut wire).and_then(|control| {
            // From here on the server's own limits count (the settings of a connection).
            wire.limit(None)?;
            Ok(control)
        });
        let control = control.map_err(|failure| failure.translate())?;
        let statements = HashMap::new();
        Ok(Self { wire, state: State::Outside, unread: false, control, statements, prepared: 0 })
    }

    /// Where it stands, as far as the server told.
    pub(super) fn state(&self) -> State {
        self.state
    }

    /// A statement that is prepared.
    pub(super) fn known(&self, sql: &str) -> Option<Arc<Statement>> {
        self.statements.get(sql).map(Arc::clone)
    }

    /// Prepares a statement for parameters like these. Another one may be given back for it, so none may wait to be sent.
    pub(super) fn prepare(&mut self, sql: &str, params: &[Value]) -> Result<Arc<Statement>, Error> {
        if is_control(sql) {
            return Err(Error::Statement(format!("transactions are begun and ended by the store: {sql}")));
        }
        let state = std::mem::replace(&mut self.state, State::Broken);
        match self.parse(sql, params) {
            Ok(statement) => {
                self.state = state;
                let statement = Arc::new(statement);
                self.statements.insert(sql.to_owned(), Arc::clone(&statement));
                Ok(statement)
            }
            Err(failure) => {
                if !failure.is_loss() {
                    self.state = state;
                }
                Err(failure.translate())
            }
        }
    }

    /// Sends the requests and reads the answers, up to the first failure.
    pub(super) fn fly(&mut self, requests: &[Request<'_>]) -> Flight {
        let mut answers = Vec::with_capacity(requests.len());
        let mut rest = requests;
        while !rest.is_empty() {
            if let Err(failure) = self.fly_part(&mut rest, &mut answers) {
                return Flight { answers, failure: Some(failure) };
            }
        }
        Flight { answers, failure: None }
    }

    /// Gives the transaction up; nobody waits for the answer. It goes out with what is asked next, or by
    /// [`Connection::flush`]. A server that cannot be told gives it up by itself.
    pub(super) fn roll_back(&mut self) {
        let rollback = Request::of(&self.control.rollback);
        self.state = State::Broken;
        if self.write(&rollback).is_ok() {
            frontend::sync(&mut self.wire.out);
            (self.state, self.unread) = (State::Outside, true);
        }
    }

    /// Sends what nothing came after.
    pub(super) fn flush(&mut self) {
        if self.wire.send().is_err() {
            self.state = State::Broken;
        }
    }

    fn parse(&mut self, sql: &str, params: &[Value]) -> Result<Statement, Failure> {
        self.wire.send()?;
        self.catch_up()?;
        if self.statements.len() >= STATEMENTS {
            for (_, forgotten) in self.statements.drain() {
                let written = frontend::close(b'S', &forgotten.name, &mut self.wire.out);
                written.map_err(|error| self.wire.break_off(error))?;
            }
        }
        self.prepared += 1;
        Statement::prepare(&mut self.wire, format!("s{}", self.prepared), sql, params)
    }

    /// As many of the first requests as go out at once, and their answers. Behind each part the server counts how long it waits
    /// for the next.
    fn fly_part(&mut self, rest: &mut &[Request<'_>], answers: &mut Vec<Answer>) -> Result<(), Failure> {
        self.state = State::Broken;
        let mut count = 0;
        for request in *rest {
            let start = self.wire.out.len();
            self.write(request)?;
            if count > 0 && self.wire.out.len() > PART {
                self.wire.out.truncate(start);
                break;
            }
            count += 1;
        }
        frontend::sync(&mut self.wire.out);
        self.wire.send()?;
        self.catch_up()?;
        let (part, next) = rest.split_at(count);
        *rest = next;
        let answered = self.read_answers(part, answers);
        // After an error the server passes over everything up to here.
        let ready = self.wire.ready();
        if let Ok(inside) = ready {
            self.state = if inside { State::Inside } else { State::Outside };
        }
        answered.and(ready.map(|_| ()))
    }

    fn write(&mut self, request: &Request<'_>) -> Result<(), Failure> {
        let (name, out) = (&request.statement.name, &mut self.wire.out);
        let values = request.params.iter();
        let bound = frontend::bind("", name, BINARY, values, |v, out| Ok(encode(v, out)), BINARY, out);
        let written = match bound {
            Ok(()) => frontend::execute("", 0, out).map_err(|error| error.to_string()),
            Err(BindError::Conversion(error)) => Err(error.to_string()),
            Err(BindError::Serialization(error)) => Err(error.to_string()),
        };
        // Half a message is in there.
        written.map_err(|error| self.wire.break_off(error))
    }

    fn read_answers(&mut self, part: &[Request<'_>], answers: &mut Vec<Answer>) -> Result<(), Failure> {
        for request in part {
            answers.push(self.read_answer(&request.statement)?);
        }
        Ok(())
    }

    #[allow(clippy::wildcard_enum_match_arm, reason = "a foreign, open list")]
    fn read_answer(&mut self, statement: &Statement) -> Result<Answer, Failure> {
        let mut rows = Vec::new();
        loop {
            match self.wire.next()? {
                Message::BindComplete => {}
                Message::DataRow(body) => {
                    let row = Row::read(&statement.columns, body);
                    rows.push(row.map_err(|error| self.wire.break_off(error))?);
                }
                Message::CommandComplete(done) => return Ok(Answer { rows, done }),
                _ => return Err(self.wire.break_off("an answer to something else")),
            }
        }
    }

    /// Reads what nobody waited for.
    fn catch_up(&mut self) -> Result<(), Failure> {
        if std::mem::take(&mut self.unread) {
            let inside = self.wire.ready()?;
            if inside {
                return Err(self.wire.break_off("a transaction that was given up is still open"));
            }
        }
        Ok(())
    }
}
