//! A connection. Invariant: what is handed in together goes out together and is done in order; after the first that fails
//! nothing of it is done.

#![allow(clippy::wildcard_enum_match_arm, reason = "a foreign, open list of messages")]

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::{CommandCompleteBody, Field, Message};
use postgres_protocol::message::frontend::{self, BindError};
use tokio_postgres::Config;
use tokio_postgres::types::Type;

use super::connect::connect;
use super::failure::Failure;
use super::statement::{Column, Row, Statement, encode, type_of};
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

/// What it answered.
pub(super) struct Answer {
    pub(super) rows: Vec<Row>,
    done: CommandCompleteBody,
}

/// What became of requests: the answers of the first ones, and why there is none for the next.
pub(super) struct Flight {
    pub(super) answers: Vec<Answer>,
    pub(super) failure: Option<Failure>,
}

/// Where a connection stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// No transaction is open.
    Outside,
    /// One is, perhaps one that has failed.
    Inside,
    /// It cannot be used any more.
    Broken,
}

/// A connection with its prepared statements.
pub(super) struct Connection {
    wire: Wire,
    /// A transaction is open, as far as the server told.
    inside: bool,
    /// Something was sent of which not every answer was read. Whoever gives up there leaves a connection behind that would give
    /// these answers to the next.
    talks: bool,
    /// Answers that nobody has read yet.
    unread: u32,
    pub(super) control: Control,
    statements: HashMap<String, Arc<Statement>>,
    /// How many were ever prepared: their names.
    prepared: u64,
}

/// How transactions begin and end.
pub(super) struct Control {
    pub(super) begin_write: Arc<Statement>,
    pub(super) begin_read: Arc<Statement>,
    pub(super) commit: Arc<Statement>,
    pub(super) rollback: Arc<Statement>,
}

impl Control {
    fn prepare(wire: &mut Wire) -> Result<Self, Failure> {
        let mut statement = |name: &str, sql| parse(wire, name.to_owned(), sql, &[]).map(Arc::new);
        Ok(Self {
            begin_write: statement("begin_write", "BEGIN READ WRITE")?,
            begin_read: statement("begin_read", "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")?,
            commit: statement("commit", "COMMIT")?,
            rollback: statement("rollback", "ROLLBACK")?,
        })
    }
}

impl Request<'static> {
    /// Asks for a statement without parameters.
    pub(super) fn of(statement: &Arc<Statement>) -> Self {
        Self { statement: Arc::clone(statement), params: Cow::Borrowed(&[]) }
    }
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

impl Connection {
    /// Connects. Blocks; not on a thread of an async runtime.
    pub(super) fn connect(config: &Config) -> Result<Self, Error> {
        let mut wire = connect(config)?;
        let control = Control::prepare(&mut wire).map_err(|failure| failure.translate())?;
        let statements = HashMap::new();
        Ok(Self { wire, inside: false, talks: false, unread: 0, control, statements, prepared: 0 })
    }

    /// Where it stands, as far as the server told.
    pub(super) fn state(&self) -> State {
        match (self.wire.is_broken() || self.talks, self.inside) {
            (true, _) => State::Broken,
            (false, true) => State::Inside,
            (false, false) => State::Outside,
        }
    }

    /// A statement that is prepared.
    pub(super) fn known(&self, sql: &str) -> Option<Arc<Statement>> {
        self.statements.get(sql).map(Arc::clone)
    }

    /// Prepares a statement for parameters like these.
    pub(super) fn prepare(&mut self, sql: &str, params: &[Value]) -> Result<Arc<Statement>, Error> {
        self.talks = true;
        let parsed = self.parse(sql, params);
        self.talks = false;
        let statement = Arc::new(parsed.map_err(|failure| failure.translate())?);
        self.statements.insert(sql.to_owned(), Arc::clone(&statement));
        Ok(statement)
    }

    /// Sends everything and waits for every answer.
    pub(super) fn fly(&mut self, requests: &[Request<'_>]) -> Flight {
        let mut answers = Vec::with_capacity(requests.len());
        if requests.is_empty() {
            return Flight { answers, failure: None };
        }
        let mut rest = requests;
        self.talks = true;
        let mut result = self.catch_up();
        while result.is_ok() && !rest.is_empty() {
            result = self.fly_part(&mut rest, &mut answers);
        }
        if !rest.is_empty() {
            // Given up in the middle: the server passes over everything until it reads this.
            frontend::sync(&mut self.wire.out);
            let _ = self.wire.send();
        }
        let end = self.ready();
        self.talks = false;
        Flight { answers, failure: result.and(end).err() }
    }

    /// Gives the transaction up; nobody waits for the answer. A server that cannot be told gives it up by itself.
    pub(super) fn roll_back(&mut self) {
        let rollback = Request::of(&self.control.rollback);
        if self.write(&rollback).is_ok() {
            frontend::sync(&mut self.wire.out);
            self.unread += 1;
            // An error breaks the connection, which its state tells.
            let _ = self.wire.send();
        }
        self.inside = false;
    }

    fn parse(&mut self, sql: &str, params: &[Value]) -> Result<Statement, Failure> {
        self.catch_up()?;
        if self.statements.len() >= STATEMENTS {
            let out = &mut self.wire.out;
            // Those that nobody is about to run.
            self.statements.retain(|_, known| {
                Arc::strong_count(known) > 1 || frontend::close(b'S', &known.name, out).is_err()
            });
        }
        self.prepared += 1;
        let types: Vec<_> = params.iter().map(type_of).collect();
        parse(&mut self.wire, format!("s{}", self.prepared), sql, &types)
    }

    /// As many of the first requests as go out at once, and their answers.
    fn fly_part(&mut self, rest: &mut &[Request<'_>], answers: &mut Vec<Answer>) -> Result<(), Failure> {
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
        let (part, next) = rest.split_at(count);
        *rest = next;
        if next.is_empty() {
            frontend::sync(&mut self.wire.out)
        } else {
            frontend::flush(&mut self.wire.out)
        }
        self.wire.send()?;
        for request in part {
            answers.push(self.answer(&request.statement)?);
        }
        Ok(())
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

    fn answer(&mut self, statement: &Statement) -> Result<Answer, Failure> {
        let mut rows = Vec::new();
        loop {
            match self.wire.next()? {
                Message::BindComplete => {}
                Message::DataRow(body) => {
                    rows.push(Row::read(statement, body).map_err(|error| self.wire.break_off(error))?);
                }
                Message::CommandComplete(done) => return Ok(Answer { rows, done }),
                _ => return Err(self.wire.break_off("an answer to something else")),
            }
        }
    }

    /// Reads what nobody waited for.
    fn catch_up(&mut self) -> Result<(), Failure> {
        while self.unread > 0 {
            self.unread -= 1;
            self.ready()?;
        }
        Ok(())
    }

    /// Reads until the server waits.
    fn ready(&mut self) -> Result<(), Failure> {
        ready(&mut self.wire).map(|inside| self.inside = inside)
    }
}

fn parse(wire: &mut Wire, name: String, sql: &str, types: &[Type]) -> Result<Statement, Failure> {
    let written = frontend::parse(&name, sql, types.iter().map(Type::oid), &mut wire.out)
        .and_then(|()| frontend::describe(b'S', &name, &mut wire.out));
    written.map_err(|error| wire.break_off(error))?;
    frontend::sync(&mut wire.out);
    wire.send()?;
    let described = describe(wire);
    ready(wire)?;
    let (types, columns) = described?;
    Ok(Statement { sql: sql.to_owned(), name, types, columns: columns.into() })
}

fn describe(wire: &mut Wire) -> Result<(Vec<Type>, Vec<Column>), Failure> {
    let mut types = Vec::new();
    loop {
        match wire.next()? {
            Message::ParameterDescription(body) => {
                let oids = body.parameters().collect::<Vec<_>>().map_err(|error| wire.break_off(error))?;
                types = oids.into_iter().map(|oid| Type::from_oid(oid).unwrap_or(Type::ANY)).collect();
            }
            Message::RowDescription(body) => {
                let column = |field: Field<'_>| {
                    Ok(Column { name: field.name().to_owned(), ty: Type::from_oid(field.type_oid()) })
                };
                let columns = body.fields().map(column).collect().map_err(|error| wire.break_off(error))?;
                return Ok((types, columns));
            }
            Message::NoData => return Ok((types, Vec::new())),
            _ => {}
        }
    }
}

/// Reads until the server waits; whether a transaction is open.
fn ready(wire: &mut Wire) -> Result<bool, Failure> {
    loop {
        match wire.next() {
            Ok(Message::ReadyForQuery(body)) => return Ok(body.status() != b'I'),
            Ok(_) => {}
            Err(failure) if failure.is_loss() => return Err(failure),
            Err(failure) => return Err(wire.break_off(failure.translate())),
        }
    }
}
