//! A transaction on a connection. Invariant: what is kept was answered by COMMIT, COMMIT is sent only when every answer that
//! decides about it is known to be good or undoes the transaction by itself, and a connection that broke is never used again.
//!
//! A round trip costs two processes a switch each, so nobody waits for an answer that decides nothing: BEGIN goes out with
//! the first statement, statements whose answer is only "done" with the next one that is waited for or with COMMIT, and the
//! answer of ROLLBACK is read by whoever uses the connection next. The number of the settings ([`Session::keep_settings`]) may
//! go out before BEGIN.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio_postgres::Row;
use tokio_postgres::error::SqlState;

use super::connection::{Answer, Answers, Connection, Request};
use super::health::Server;
use super::settings::{CHANGE, Question};
use super::statement::{committed, translate};
use crate::{Error, Value};

/// A connection, and the transaction that is open on it.
pub(crate) struct Session {
    server: Arc<Server>,
    connection: Connection,
    /// It waited for work before this transaction, so that it may have been cut unnoticed.
    was_idle: bool,
    phase: Phase,
    waiting: Vec<Waiting<'static>>,
    /// Rows that arrived and were not asked for yet.
    arrived: Vec<(Ticket, Vec<Row>)>,
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
        /// It was asked for before the transaction began.
        early: bool,
        /// Something was taken from memory.
        given: bool,
    },
}

#[derive(Clone, Copy, PartialEq)]
enum Phase {
    /// No transaction, or one of which the server has not heard.
    Outside,
    /// BEGIN was answered.
    Begun,
    /// Whether there is a transaction is not known.
    Broken,
}

/// A request that has not been sent, and what its answer must be.
struct Waiting<'a> {
    request: Request<'a>,
    wants: Wants,
}

enum Wants {
    /// No error.
    Done,
    /// No error; a division by zero means this one ([`Session::change_one_later`]).
    One(Error),
    /// Rows, for whoever has the ticket.
    Rows(Ticket),
    /// The number of rows.
    Count,
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
    /// What an error of the server means to who wants this.
    fn error_of(
        &self,
        error: &tokio_postgres::Error,
        translate: fn(&tokio_postgres::Error) -> Error,
    ) -> Error {
        match self {
            Self::One(none) if error.code() == Some(&SqlState::DIVISION_BY_ZERO) => none.clone(),
            Self::One(_) | Self::Done | Self::Rows(_) | Self::Count => translate(error),
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
            phase: Phase::Outside,
            waiting: Vec::new(),
            arrived: Vec::new(),
            look: Look::None,
            reads: false,
        })
    }

    /// Takes it up again after a pause.
    pub(super) fn resume(self) -> Self {
        Self { was_idle: true, ..self }
    }

    /// Whether it may be used again.
    pub(super) fn is_sound(&self) -> bool {
        self.phase == Phase::Outside && self.connection.is_open()
    }

    /// Begins a transaction that may write, at READ COMMITTED (the settings of a connection say so): this goes out with the first
    /// statement.
    pub(super) fn begin_write(&mut self) {
        self.begin("BEGIN READ WRITE", false);
    }

    /// Begins one that only reads, on one state of the database.
    pub(super) fn begin_read(&mut self) {
        self.begin("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", true);
    }

    fn begin(&mut self, sql: &'static str, reads: bool) {
        (self.look, self.reads) = (Look::None, reads);
        self.wait_with(Request::Control(sql.into()), Wants::Done);
    }

    /// Runs a statement that answers no rows; tells how many it changed.
    pub(crate) fn execute(&mut self, sql: &str, params: &[Value]) -> Result<u64, Error> {
        self.prepare(sql, params)?;
        self.land(Some(Waiting { request: Request::Execute(sql.into(), params.into()), wants: Wants::Count }))
    }

    /// Runs a statement of which only an error is of interest; it comes with a later answer.
    pub(crate) fn execute_later(&mut self, sql: Cow<'static, str>, params: Vec<Value>) -> Result<(), Error> {
        self.prepare(&sql, &params)?;
        self.wait_with(Request::Execute(sql, params.into()), Wants::Done);
        Ok(())
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
        self.prepare(&sql, &params)?;
        self.wait_with(Request::Execute(sql.into(), params.into()), Wants::One(otherwise));
        Ok(())
    }

    /// Runs a statement and answers its rows.
    pub(crate) fn query(&mut self, sql: &str, params: &[Value]) -> Result<Vec<Row>, Error> {
        self.prepare(sql, params)?;
        let ticket = Ticket::new();
        self.land(Some(Waiting {
            request: Request::Query(sql.into(), params.into()),
            wants: Wants::Rows(ticket),
        }))?;
        self.rows(ticket)
    }

    /// Runs a statement whose rows are asked for later.
    pub(crate) fn query_later(&mut self, sql: &str, params: &[Value]) -> Result<Ticket, Error> {
        self.prepare(sql, params)?;
        let ticket = Ticket::new();
        let request = Request::Query(sql.to_owned().into(), params.to_vec().into());
        self.wait_with(request, Wants::Rows(ticket));
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
            self.look = Look::Asked(self.query_later(CHANGE, &[])?);
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
        let after = number(&self.rows(after)?)?;
        if after == before && self.reads {
            self.server.settings.keep(before, question, rows.clone());
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
        let early = self.phase == Phase::Outside && self.waiting.len() == 2;
        let begin = if early { Some(self.waiting.remove(0)) } else { None };
        let rows = self.rows(ticket)?;
        if let Some(begin) = begin {
            self.phase = Phase::Outside;
            self.waiting.push(begin);
        }
        Ok((number(&rows)?, early, false))
    }

    /// Runs a statement of our own without parameters.
    pub(crate) fn control_later(&mut self, sql: String) {
        self.wait_with(Request::Control(sql.into()), Wants::Done);
    }

    /// Waits for the answers of everything that was handed in.
    pub(crate) fn settle(&mut self) -> Result<(), Error> {
        match self.waiting.len() {
            0 => Ok(()),
            // BEGIN alone decides nothing.
            1 if self.phase == Phase::Outside => Ok(()),
            _ => self.land(None).map(|_| ()),
        }
    }

    /// Commits. [`Error::Unanswered`]: whether it was kept is not known.
    pub(super) fn commit(&mut self) -> Result<(), Error> {
        // On a connection that has answered nothing yet nobody could tell "never arrived" from "no answer".
        if self.phase == Phase::Outside {
            self.settle()?;
        }
        if self.phase == Phase::Outside {
            self.waiting.clear();
            return Ok(());
        }
        let (mut requests, wants): (Vec<_>, Vec<_>) =
            self.waiting.drain(..).map(|waiting| (waiting.request, waiting.wants)).unzip();
        requests.push(Request::Control("COMMIT".into()));
        self.phase = Phase::Broken;
        let answers = self.connection.fly(&requests)?;
        // An ERROR of any of them: COMMIT was answered with a rollback. Anything else that is no answer leaves it open.
        let wants = wants.into_iter().chain([Wants::Done]);
        let error = answers
            .into_iter()
            .zip(wants)
            .find_map(|(answer, wants)| answer.err().map(|error| wants.error_of(&error, committed)));
        if error != Some(Error::Unanswered) {
            self.phase = Phase::Outside;
        }
        error.map_or(Ok(()), Err)
    }

    /// Gives the transaction up. Nobody waits for it: a server that cannot be told gives it up by itself.
    pub(super) fn roll_back(&mut self) {
        self.waiting.clear();
        self.arrived.clear();
        if self.phase == Phase::Begun {
            self.connection.send("ROLLBACK");
            self.phase = Phase::Outside;
        }
    }

    /// A statement that is not prepared yet has its error here, in its place: what was handed in before it goes out first.
    fn prepare(&mut self, sql: &str, params: &[Value]) -> Result<(), Error> {
        if !self.connection.knows(sql) && !self.waiting.is_empty() {
            self.land(None)?;
        }
        let phase = self.broken_meanwhile()?;
        let prepared = self.connection.prepare(sql, params);
        if !matches!(prepared, Err(Error::Lost(_))) {
            self.phase = phase;
        }
        prepared.map(|_| ())
    }

    /// Until it is known how it ends, it ends badly.
    fn broken_meanwhile(&mut self) -> Result<Phase, Error> {
        match std::mem::replace(&mut self.phase, Phase::Broken) {
            Phase::Broken => Err(Error::Aborted),
            phase @ (Phase::Outside | Phase::Begun) => Ok(phase),
        }
    }

    fn wait_with(&mut self, request: Request<'static>, wants: Wants) {
        self.waiting.push(Waiting { request, wants });
    }

    /// Sends what waits, and this, and judges the answers; tells the number of rows of the last one.
    fn land(&mut self, last: Option<Waiting<'_>>) -> Result<u64, Error> {
        let begins = self.broken_meanwhile()? == Phase::Outside;
        let waiting = self.waiting.drain(..).chain(last);
        let (requests, wants): (Vec<Request<'_>>, Vec<_>) =
            waiting.map(|waiting| (waiting.request, waiting.wants)).unzip();
        let answers = loop {
            let answers = self.connection.fly(&requests);
            let may_be_stale = begins && std::mem::take(&mut self.was_idle);
            // Not even BEGIN was answered, and a transaction without COMMIT leaves nothing: it may begin anew.
            if may_be_stale && first_is_lost(&answers) {
                self.connection = self.server.connect()?;
                continue;
            }
            break answers?;
        };
        self.was_idle = false;
        self.judge(begins, answers, wants)
    }

    fn judge(&mut self, begins: bool, answers: Answers, wants: Vec<Wants>) -> Result<u64, Error> {
        let mut last = 0;
        for (at, (answer, wants)) in answers.into_iter().zip(wants).enumerate() {
            let answer = match answer.map_err(|error| wants.error_of(&error, translate)) {
                Ok(answer) => answer,
                // Without its BEGIN nothing of what follows was in a transaction (and so nothing was written).
                Err(error) if at == 0 && begins => return Err(error),
                Err(error @ Error::Lost(_)) => return Err(error),
                Err(error) => {
                    self.phase = Phase::Begun;
                    return Err(error);
                }
            };
            match (wants, answer) {
                (Wants::Rows(ticket), Answer::Rows(rows)) => self.arrived.push((ticket, rows)),
                (_, Answer::Changed(count)) => last = count,
                (_, Answer::Done | Answer::Rows(_)) => {}
            }
        }
        self.phase = Phase::Begun;
        Ok(last)
    }
}

fn first_is_lost(answers: &Result<Answers, Error>) -> bool {
    match answers {
        Ok(answers) => match answers.first() {
            Some(Err(error)) => matches!(translate(error), Error::Lost(_)),
            Some(Ok(_)) | None => false,
        },
        Err(error) => matches!(error, Error::Lost(_)),
    }
}

fn number(rows: &[Row]) -> Result<i64, Error> {
    let row = rows.first().ok_or_else(|| Error::Corrupt("settings_change has no row".to_owned()))?;
    row.try_get(0).map_err(|error| translate(&error))
}
