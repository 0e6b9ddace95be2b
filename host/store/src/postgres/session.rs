//! A transaction on a connection. Invariant: what is kept was answered by COMMIT, COMMIT is sent only when every answer that
//! decides about it is known to be good or undoes the transaction by itself, and a connection that broke is never used again.
//!
//! A round trip costs two processes a switch each, so nobody waits for an answer that decides nothing: BEGIN goes out with
//! the first statement, statements whose answer is only "done" with the next one that is waited for or with COMMIT, and ROLLBACK
//! with what the next closure sends first, if one waits. The number of the settings ([`Session::keep_settings`]) may
//! go out before BEGIN.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::connection::{Answer, Connection, Flight, Request, State};
use super::failure::Failure;
use super::health::Server;
use super::row::Row;
use super::settings::{CHANGE, Question};
use super::statement::is_control;
use crate::{Error, FromValue, Value};

/// SQLSTATE of a division by zero.
const DIVISION_BY_ZERO: &str = "22012";

/// A connection, and the transaction that is open on it.
pub(crate) struct Session {
    server: Arc<Server>,
    connection: Connection,
    /// It was used before this transaction, so that it may have been cut unnoticed.
    was_idle: bool,
    waiting: Vec<Waiting<'static>>,
    /// Rows that arrived and were not asked for yet.
    arrived: Vec<(Ticket, Vec<Row>)>,
    /// When the closure was handed in: what was set before that, it must see.
    since: Instant,
    /// When its first statement went out: it sees what was set before that.
    begun: Option<Instant>,
    /// What this transaction knows of the settings that are kept.
    look: Look,
    /// The transaction only reads: what it sees was committed.
    reads: bool,
}

#[derive(Clone, Copy)]
enum Look {
    /// Settings are read like anything else.
    None,
    /// Their number is on its way.
    Asked(Ticket),
    /// This is their number.
    Known {
        number: i64,
        /// It is of another moment than the one that everything else of this transaction is of.
        early: bool,
        /// Something was taken from memory.
        given: bool,
    },
}

/// A request that has not been sent, and what its answer must be.
type Waiting<'a> = (Request<'a>, Wants);

enum Wants {
    /// No error.
    Done,
    /// No error; a division by zero means this one ([`Session::change_one_later`]).
    One(Error),
    /// Rows, for whoever has the ticket.
    Rows(Ticket),
}

/// Stands for rows that will be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket(u64);

impl Ticket {
    /// One of the whole program: rows are never taken for those of another transaction.
    fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

impl Wants {
    /// What a failure means to who wants this.
    fn error_of(&self, failure: &Failure, translate: fn(&Failure) -> Error) -> Error {
        match self {
            Self::One(none) if failure.is(DIVISION_BY_ZERO) => none.clone(),
            Self::One(_) | Self::Done | Self::Rows(_) => translate(failure),
        }
    }
}

impl Session {
    /// Takes a new connection.
    pub(super) fn connect(server: &Arc<Server>) -> Result<Self, Error> {
        Ok(Self {
            connection: server.connect()?,
            server: Arc::clone(server),
            was_idle: false,
            waiting: Vec::new(),
            arrived: Vec::new(),
            since: Instant::now(),
            begun: None,
            look: Look::None,
            reads: false,
        })
    }

    /// Takes it up for another closure.
    pub(super) fn again(self) -> Self {
        Self { was_idle: true, ..self }
    }

    /// Whether it may be used again.
    pub(super) fn is_sound(&self) -> bool {
        self.connection.state() == State::Outside
    }

    /// Begins a transaction that may write, at READ COMMITTED (the settings of a connection say so), for a closure that was
    /// handed in then: this goes out with the first statement.
    pub(super) fn begin_write(&mut self, since: Instant) {
        let begin = Request::of(&self.connection.control.begin_write);
        self.begin(begin, false, since);
    }

    /// Begins one that only reads, on one state of the database.
    pub(super) fn begin_read(&mut self, since: Instant) {
        let begin = Request::of(&self.connection.control.begin_read);
        self.begin(begin, true, since);
    }

    fn begin(&mut self, request: Request<'static>, reads: bool, since: Instant) {
        (self.look, self.reads) = (Look::None, reads);
        (self.since, self.begun) = (since, None);
        self.waiting.push((request, Wants::Done));
    }

    /// Runs a statement that answers no rows; tells how many it changed.
    pub(crate) fn execute(&mut self, sql: &str, params: &[Value]) -> Result<u64, Error> {
        let request = self.request(sql, params.into())?;
        self.land(Some((request, Wants::Done)))
    }

    /// Runs a statement of which only an error is of interest; it comes with a later answer.
    pub(crate) fn execute_later(&mut self, sql: &str, params: Vec<Value>) -> Result<(), Error> {
        self.wait_with(sql, params, Wants::Done)
    }

    /// The same for a statement that finds its row by the key; this is the error if it finds none. The server says so by
    /// itself, by an error: a number would have to be waited for before COMMIT.
    pub(crate) fn change_one_later(
        &mut self,
        sql: &str,
        params: Vec<Value>,
        otherwise: Error,
    ) -> Result<(), Error> {
        let sql = format!("WITH changed AS ({sql} RETURNING 1) SELECT 1 / COUNT(*) FROM changed");
        self.wait_with(&sql, params, Wants::One(otherwise))
    }

    /// Runs a statement and answers its rows.
    pub(crate) fn query(&mut self, sql: &str, params: &[Value]) -> Result<Vec<Row>, Error> {
        let request = self.request(sql, params.into())?;
        let ticket = Ticket::new();
        self.land(Some((request, Wants::Rows(ticket))))?;
        self.rows(ticket)
    }

    /// Runs a statement whose rows are asked for later.
    pub(crate) fn query_later(&mut self, sql: &str, params: &[Value]) -> Result<Ticket, Error> {
        let ticket = Ticket::new();
        self.wait_with(sql, params.to_vec(), Wants::Rows(ticket))?;
        Ok(ticket)
    }

    /// The rows of a statement.
    pub(crate) fn rows(&mut self, ticket: Ticket) -> Result<Vec<Row>, Error> {
        let place = |session: &Self| session.arrived.iter().position(|(of, _)| *of == ticket);
        if place(self).is_none() {
            self.land(None)?;
        }
        match place(self) {
            Some(at) => Ok(self.arrived.swap_remove(at).1),
            None => Err(Error::Aborted),
        }
    }

    /// From here on settings may be taken from memory.
    pub(crate) fn keep_settings(&mut self) -> Result<(), Error> {
        if let Look::None = self.look {
            self.look = match self.server.settings.number_since(self.since) {
                // In a transaction that writes each statement has its own moment anyway.
                Some(number) => Look::Known { number, early: self.reads, given: false },
                None => Look::Asked(self.query_later(CHANGE, &[])?),
            };
        }
        Ok(())
    }

    /// Whether they may.
    pub(crate) fn keeps_settings(&self) -> bool {
        !matches!(self.look, Look::None)
    }

    /// Settings by the statement that reads them: from memory while nothing was set.
    pub(crate) fn settings<T: Clone + Send + Sync + 'static>(
        &mut self,
        question: Question,
        read: impl Fn(&Row) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let (before, early, given) = self.number()?;
        let known = |number, given| Look::Known { number, early, given };
        if let Some(kept) = self.server.settings.get(before, &question) {
            self.look = known(before, true);
            return Ok(kept);
        }
        // Read between two looks at the number: if it stayed, these are its rows, whatever the isolation.
        let rows = self.query_later(&question.0, &question.1)?;
        let after = self.query_later(CHANGE, &[])?;
        let rows: Vec<T> = self.rows(rows)?.iter().map(read).collect::<Result<_, Error>>()?;
        let after = self.looked(after)?;
        if let Some(begun) = self.begun.filter(|_| after == before && self.reads) {
            self.server.settings.keep(begun, before, question, rows.clone());
        }
        if after != before && early && given {
            // What came from memory is of another state than what the transaction sees.
            return Err(Error::Busy);
        }
        self.look = known(after, given);
        Ok(rows)
    }

    /// The number of the settings. Asked for alone it needs no transaction, and many reads need nothing else.
    fn number(&mut self) -> Result<(i64, bool, bool), Error> {
        let ticket = match self.look {
            Look::Known { number, early, given } => return Ok((number, early, given)),
            Look::Asked(ticket) => ticket,
            Look::None => return Err(Error::Aborted),
        };
        let alone = self.connection.state() == State::Outside && self.waiting.len() == 2;
        let begin = if alone { Some(self.waiting.remove(0)) } else { None };
        let number = self.looked(ticket)?;
        self.waiting.extend(begin);
        Ok((number, alone && self.reads, false))
    }

    /// What a look found. It stands for everything that was set before this transaction's first statement.
    fn looked(&mut self, ticket: Ticket) -> Result<i64, Error> {
        let rows = self.rows(ticket)?;
        let row = rows.first().ok_or_else(|| Error::Corrupt("settings_change has no row".to_owned()))?;
        let number = i64::from_value(row.value(0)?).map_err(Error::Corrupt)?;
        if let Some(begun) = self.begun {
            self.server.settings.saw(begun, number);
        }
        Ok(number)
    }

    /// Waits for the answers of everything that was handed in.
    pub(crate) fn settle(&mut self) -> Result<(), Error> {
        match self.waiting.len() {
            0 => Ok(()),
            // BEGIN alone decides nothing.
            1 if self.connection.state() == State::Outside => Ok(()),
            _ => self.land(None).map(|_| ()),
        }
    }

    /// Commits. [`Error::Unanswered`]: whether it was kept is not known.
    pub(super) fn commit(&mut self) -> Result<(), Error> {
        // On a connection that has answered nothing yet nobody could tell "never arrived" from "no answer".
        if self.connection.state() == State::Outside {
            self.settle()?;
        }
        match self.connection.state() {
            State::Inside => {}
            State::Outside => {
                self.waiting.clear();
                return Ok(());
            }
            State::Broken => return Err(Error::Aborted),
        }
        let commit = (Request::of(&self.connection.control.commit), Wants::Done);
        let (requests, wants): (Vec<_>, Vec<_>) = self.waiting.drain(..).chain([commit]).unzip();
        let flight = self.connection.fly(&requests);
        // After an ERROR the server passes over everything, COMMIT too. Any other failure leaves it open (or COMMIT was not even
        // sent, which is told no better).
        if let (Some(failure), Some(wants)) = (&flight.failure, wants.get(flight.answers.len())) {
            return Err(wants.error_of(failure, Failure::committed));
        }
        // COMMIT was answered; what comes behind it decides nothing.
        match flight.answers.last().map(Answer::tag) {
            Some("COMMIT") => Ok(()),
            Some("ROLLBACK") => Err(Error::Aborted),
            _ => Err(Error::Unanswered),
        }
    }

    /// Gives up what was not committed. The server is told with the next closure's first statement, or by
    /// [`Session::pause`].
    pub(super) fn roll_back(&mut self) {
        self.waiting.clear();
        self.arrived.clear();
        if self.connection.state() == State::Inside {
            self.connection.roll_back();
        } else if self.begun.is_none() {
            // This closure sent nothing, so the end of the one before has waited long enough.
            self.pause();
        }
    }

    /// There is no next closure yet.
    pub(super) fn pause(&mut self) {
        self.connection.flush();
    }

    /// A statement that is not prepared yet has its error here, in its place: what was handed in before it goes out first.
    fn request<'a>(&mut self, sql: &str, params: Cow<'a, [Value]>) -> Result<Request<'a>, Error> {
        let statement = match self.connection.known(sql) {
            Some(known) => known,
            None => {
                if !self.waiting.is_empty() {
                    self.land(None)?;
                }
                self.connection.prepare(sql, &params)?
            }
        };
        statement.refuse_misfits(&params)?;
        Ok(Request { statement, params })
    }

    fn wait_with(&mut self, sql: &str, params: Vec<Value>, wants: Wants) -> Result<(), Error> {
        let request = self.request(sql, params.into())?;
        self.waiting.push((request, wants));
        Ok(())
    }

    /// Sends what waits, and this, and judges the answers; tells the number of rows of the last one.
    fn land(&mut self, last: Option<Waiting<'_>>) -> Result<u64, Error> {
        let begins = self.connection.state() == State::Outside;
        self.begun.get_or_insert_with(Instant::now);
        let (mut requests, wants): (Vec<_>, Vec<_>) = self.waiting.drain(..).chain(last).unzip();
        let mut flight = self.connection.fly(&requests);
        // Nothing was answered, and a transaction without COMMIT leaves nothing: it may begin anew.
        if begins && std::mem::take(&mut self.was_idle) && was_never_heard(&flight) {
            self.connection = self.server.connect()?;
            if let Look::Known { given: true, .. } = self.look {
                // What came from memory may be another server's.
                return Err(Error::Busy);
            }
            for request in requests.iter_mut().filter(|request| !is_control(&request.statement.sql)) {
                let sql = &request.statement.sql;
                // They fitted on the old connection; a type that the server finds out by itself may be another now.
                request.statement = match self.connection.known(sql) {
                    Some(known) => known,
                    None => self.connection.prepare(sql, &request.params)?,
                };
                request.statement.refuse_misfits(&request.params)?;
            }
            flight = self.connection.fly(&requests);
        }
        self.was_idle = false;
        let failed = wants.get(flight.answers.len());
        let changed = flight.answers.last().map_or(0, Answer::changed);
        for (answer, wants) in flight.answers.into_iter().zip(&wants) {
            if let Wants::Rows(ticket) = wants {
                self.arrived.push((*ticket, answer.rows));
            }
        }
        match (flight.failure, failed) {
            (None, _) => Ok(changed),
            (Some(failure), Some(wants)) => Err(wants.error_of(&failure, Failure::translate)),
            (Some(failure), None) => Err(failure.translate()),
        }
    }
}

fn was_never_heard(flight: &Flight) -> bool {
    flight.answers.is_empty() && flight.failure.as_ref().is_some_and(Failure::is_loss)
}
