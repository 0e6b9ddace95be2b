//! A transaction on a connection. Invariant: what is kept was answered by COMMIT, COMMIT is sent only when every answer that
//! decides about it is known to be good or undoes the transaction by itself, and a connection that broke is never used again.
//!
//! A round trip costs two processes a switch each, so nobody waits for an answer that decides nothing: BEGIN goes out with
//! the first statement, statements whose answer is only "done" with the next one that is waited for or with COMMIT, and the
//! answer of ROLLBACK is read by whoever uses the connection next.

use std::sync::Arc;

use tokio_postgres::Row;

use super::connection::{Answer, Answers, Connection, Message};
use super::health::Server;
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
    next_ticket: u64,
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

/// A message that has not been sent, and what its answer must be.
struct Waiting<'a> {
    message: Message<'a>,
    wants: Wants,
}

enum Wants {
    /// No error.
    Done,
    /// One row changed, else this error.
    One(Error),
    /// Rows, for whoever has the ticket.
    Rows(Ticket),
    /// The number of rows.
    Count,
}

/// Stands for rows that will be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket(u64);

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
            next_ticket: 0,
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

    /// Begins a transaction: this goes out with the first statement.
    pub(super) fn begin(&mut self, sql: &'static str) {
        self.wait_with(Message::Control(sql.into()), Wants::Done);
    }

    /// Runs a statement that answers no rows; tells how many it changed.
    pub(crate) fn execute(&mut self, sql: &str, params: &[Value]) -> Result<u64, Error> {
        self.prepare(sql, params)?;
        self.land(Some(Waiting { message: Message::Execute(sql.into(), params.into()), wants: Wants::Count }))
    }

    /// Runs a statement of which only an error is of interest; it comes with a later answer. With `one`: the error when it
    /// does not change exactly one row.
    pub(crate) fn execute_later(&mut self, sql: &str, params: &[Value], one: Option<Error>) -> Result<(), Error> {
        self.prepare(sql, params)?;
        let wants = one.map_or(Wants::Done, Wants::One);
        self.wait_with(Message::Execute(sql.to_owned().into(), params.to_vec().into()), wants);
        Ok(())
    }

    /// Runs a statement and answers its rows.
    pub(crate) fn query(&mut self, sql: &str, params: &[Value]) -> Result<Vec<Row>, Error> {
        self.prepare(sql, params)?;
        let ticket = self.ticket();
        self.land(Some(Waiting {
            message: Message::Query(sql.into(), params.into()),
            wants: Wants::Rows(ticket),
        }))?;
        self.rows(ticket)
    }

    /// Runs a statement whose rows are asked for later.
    pub(crate) fn query_later(&mut self, sql: &str, params: &[Value]) -> Result<Ticket, Error> {
        self.prepare(sql, params)?;
        let ticket = self.ticket();
        let message = Message::Query(sql.to_owned().into(), params.to_vec().into());
        self.wait_with(message, Wants::Rows(ticket));
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

    /// Runs a statement of our own without parameters: SAVEPOINT and the like.
    pub(crate) fn control_later(&mut self, sql: String) {
        self.wait_with(Message::Control(sql.into()), Wants::Done);
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
        // On a connection that has answered nothing yet nobody could tell "never arrived" from "no answer"; and a number of
        // rows is compared here, not by the server.
        if self.phase == Phase::Outside || self.waiting.iter().any(|waiting| matches!(waiting.wants, Wants::One(_))) {
            self.settle()?;
        }
        if self.phase == Phase::Outside {
            self.waiting.clear();
            return Ok(());
        }
        let mut messages: Vec<_> = self.waiting.drain(..).map(|waiting| waiting.message).collect();
        messages.push(Message::Control("COMMIT".into()));
        self.phase = Phase::Broken;
        let mut answers = self.connection.fly(&messages)?;
        let commit = answers.pop();
        if let Some(error) = answers.into_iter().find_map(Result::err) {
            // The server answered that one with an error and COMMIT with a rollback. When it answered nothing, nothing is
            // known of the COMMIT behind it either.
            let error = committed(&error);
            if error != Error::Unanswered {
                self.phase = Phase::Outside;
            }
            return Err(error);
        }
        match commit {
            Some(Ok(_)) => {
                self.phase = Phase::Outside;
                Ok(())
            }
            Some(Err(error)) => {
                let error = committed(&error);
                if error != Error::Unanswered {
                    self.phase = Phase::Outside;
                }
                Err(error)
            }
            None => Err(Error::Unanswered),
        }
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
        let prepared = self.connection.prepare(sql, params);
        if matches!(prepared, Err(Error::Lost(_))) {
            self.phase = Phase::Broken;
        }
        prepared.map(|_| ())
    }

    fn wait_with(&mut self, message: Message<'static>, wants: Wants) {
        self.waiting.push(Waiting { message, wants });
    }

    fn ticket(&mut self) -> Ticket {
        self.next_ticket += 1;
        Ticket(self.next_ticket)
    }

    /// Sends what waits, and this, and judges the answers; tells the number of rows of the last one.
    fn land(&mut self, last: Option<Waiting<'_>>) -> Result<u64, Error> {
        let waiting = self.waiting.drain(..).chain(last);
        let (messages, wants): (Vec<Message<'_>>, Vec<_>) =
            waiting.map(|waiting| (waiting.message, waiting.wants)).unzip();
        let answers = loop {
            let answers = self.connection.fly(&messages);
            // Nothing of this transaction was answered, and a transaction without COMMIT leaves nothing: it may begin anew.
            if self.phase == Phase::Outside && self.was_idle && is_lost(&answers) {
                self.connection = self.server.connect()?;
                self.was_idle = false;
                continue;
            }
            break answers.inspect_err(|_| self.phase = Phase::Broken)?;
        };
        self.was_idle = false;
        let begins = self.phase == Phase::Outside;
        self.judge(begins, answers, wants)
    }

    fn judge(&mut self, begins: bool, answers: Answers, wants: Vec<Wants>) -> Result<u64, Error> {
        let mut last = 0;
        for (at, (answer, wants)) in answers.into_iter().zip(wants).enumerate() {
            let answer = answer.map_err(|error| {
                let error = translate(&error);
                // Without its BEGIN what follows was not in a transaction.
                if matches!(error, Error::Lost(_)) || (begins && at == 0) {
                    self.phase = Phase::Broken;
                }
                error
            })?;
            if begins && at == 0 {
                self.phase = Phase::Begun;
            }
            match (wants, answer) {
                (Wants::One(error), Answer::Changed(count)) if count != 1 => return Err(error),
                (Wants::Rows(ticket), Answer::Rows(rows)) => self.arrived.push((ticket, rows)),
                (_, Answer::Changed(count)) => last = count,
                (_, Answer::Done | Answer::Rows(_)) => {}
            }
        }
        Ok(last)
    }
}

fn is_lost(answers: &Result<Answers, Error>) -> bool {
    match answers {
        Ok(answers) => answers.iter().any(|answer| {
            answer.as_ref().is_err_and(|error| matches!(translate(error), Error::Lost(_)))
        }),
        Err(error) => matches!(error, Error::Lost(_)),
    }
}
