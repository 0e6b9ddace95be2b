//! A transaction on a connection. Invariant: what is kept was answered by COMMIT; COMMIT is sent only when every answer that
//! decides about it is known to be good or is an error that undoes the transaction by itself; and a connection that broke is never
//! used again.
//!
//! A round trip costs two processes a switch each, so nobody waits for an answer that decides nothing: BEGIN goes out with
//! the first statement, statements whose answer is only "done" with the next one that is waited for or with COMMIT, and nobody waits
//! for the end of a read. The number of the settings ([`Session::keep_settings`]) may go out before BEGIN.
//!
//! Behind a pooler BEGIN is waited for: a session that remembers that it may not write ([`super::connect`]) is what makes it harmless to
//! send statements behind a BEGIN that may be refused, and there is none.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use deadpool::managed::Object;

use super::connect::{BEGIN_READ, BEGIN_WRITE, POOLED_BEGIN_READ, POOLED_BEGIN_WRITE};
use super::connection::{Connection, Outcome, Request};
use super::failure::Failure;
use super::health::Server;
use super::pool::Slots;
use super::row::{Row, is_control};
use super::settings::{self, CHANGE, Question};
use crate::{Error, FromValue, Value};

/// How long a pooler may take until it has a connection to the server.
pub(super) const POOLER: Duration = Duration::from_secs(10);

const COMMIT: &str = "COMMIT";
const ROLLBACK: &str = "ROLLBACK";

/// A connection, and the transaction that is open on it.
pub(crate) struct Session {
    server: Arc<Server>,
    /// Back in the pool when this is dropped.
    slot: Object<Slots>,
    /// A transaction is open, perhaps one that has failed.
    is_inside: bool,
    pending: Vec<Pending>,
    /// Rows that arrived and were not asked for yet.
    arrived: Vec<(Ticket, Vec<Row>)>,
    /// When the closure was handed in: what was set before that, it must see.
    since: Instant,
    /// When its first statement went out: it sees what was set before that.
    begun: Option<Instant>,
    /// What this transaction knows of the settings that are kept.
    snapshot: Snapshot,
    /// The transaction only reads: what it sees was committed.
    reads: bool,
    /// It wrote to a table whose rows are kept in memory.
    changes_settings: bool,
}

#[derive(Clone, Copy)]
enum Snapshot {
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
type Pending = (Request, Wants);

enum Wants {
    /// No error.
    Done,
    /// No error, and a row that was changed, or else this.
    Change(Error),
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

impl Session {
    /// Takes a connection for a closure that was handed in at `since`; connects if there is none. Blocks, as all of this does.
    pub(super) fn new(server: Arc<Server>, mut slot: Object<Slots>, since: Instant) -> Result<Self, Error> {
        if slot.is_none() {
            *slot = Some(Connection::open(&server)?);
        }
        Ok(Self {
            server,
            slot,
            is_inside: false,
            pending: Vec::new(),
            arrived: Vec::new(),
            since,
            begun: None,
            snapshot: Snapshot::None,
            reads: false,
            changes_settings: false,
        })
    }

    /// Begins a transaction that may write, at READ COMMITTED: this goes out with the first statement.
    pub(super) fn begin_write(&mut self) {
        let begin = if self.server.is_pooled() { POOLED_BEGIN_WRITE } else { BEGIN_WRITE };
        self.begin(begin, false);
    }

    /// Begins one that only reads, on one state of the database.
    pub(super) fn begin_read(&mut self) {
        let begin = if self.server.is_pooled() { POOLED_BEGIN_READ } else { BEGIN_READ };
        self.begin(begin, true);
    }

    fn begin(&mut self, begin: &'static str, reads: bool) {
        (self.snapshot, self.reads, self.begun) = (Snapshot::None, reads, None);
        self.changes_settings = false;
        self.pending.push((Request::Control(begin), Wants::Done));
    }

    /// Runs a statement that answers no rows; tells how many it changed.
    pub(crate) fn execute(&mut self, sql: &str, params: &[Value]) -> Result<u64, Error> {
        let request = self.request(sql, params.to_vec())?;
        self.run(Some((request, Wants::Done)))
    }

    /// Runs a statement of which only an error is of interest; it comes with a later answer.
    pub(crate) fn execute_later(&mut self, sql: &str, params: Vec<Value>) -> Result<(), Error> {
        self.wait_with(sql, params, Wants::Done)
    }

    /// The same for a statement that finds its row by the key; this is the error if it finds none.
    pub(crate) fn change_one_later(
        &mut self,
        sql: &str,
        params: Vec<Value>,
        otherwise: Error,
    ) -> Result<(), Error> {
        self.wait_with(sql, params, Wants::Change(otherwise))
    }

    /// Runs a statement and answers its rows.
    pub(crate) fn query(&mut self, sql: &str, params: &[Value]) -> Result<Vec<Row>, Error> {
        let request = self.request(sql, params.to_vec())?;
        let ticket = Ticket::new();
        self.run(Some((request, Wants::Rows(ticket))))?;
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
            self.run(None)?;
        }
        match place(self) {
            Some(at) => Ok(self.arrived.swap_remove(at).1),
            None => Err(Error::Aborted),
        }
    }

    /// From here on settings may be taken from memory.
    pub(crate) fn keep_settings(&mut self) -> Result<(), Error> {
        if let Snapshot::None = self.snapshot {
            self.snapshot = match self.server.settings.number_since(self.since) {
                // In a transaction that writes each statement has its own moment anyway.
                Some(number) => Snapshot::Known { number, early: self.reads, given: false },
                None => Snapshot::Asked(self.query_later(CHANGE, &[])?),
            };
        }
        Ok(())
    }

    /// Whether they may.
    pub(crate) fn keeps_settings(&self) -> bool {
        !matches!(self.snapshot, Snapshot::None)
    }

    /// Settings by the statement that reads them: from memory while nothing was set.
    pub(crate) fn settings<T: Clone + Send + Sync + 'static>(
        &mut self,
        question: Question,
        read: impl Fn(&Row) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let (before, early, given) = self.number()?;
        let known = |number, given| Snapshot::Known { number, early, given };
        if let Some(kept) = self.server.settings.get(before, &question) {
            self.snapshot = known(before, true);
            return Ok(kept);
        }
        // Read between two readings of the number: if it stayed, these are its rows, whatever the isolation.
        let rows = self.query_later(&question.0, &question.1)?;
        let after = self.query_later(CHANGE, &[])?;
        let rows: Vec<T> = self.rows(rows)?.iter().map(read).collect::<Result<_, Error>>()?;
        let after = self.number_of(after)?;
        if let Some(begun) = self.begun.filter(|_| after == before && self.reads) {
            self.server.settings.keep(begun, before, question, rows.clone());
        }
        if after != before && early && given {
            // What came from memory is of another state than what the transaction sees.
            return Err(Error::Busy);
        }
        self.snapshot = known(after, given);
        Ok(rows)
    }

    /// The number of the settings. Asked for alone it needs no transaction, and many reads need nothing else.
    fn number(&mut self) -> Result<(i64, bool, bool), Error> {
        let ticket = match self.snapshot {
            Snapshot::Known { number, early, given } => return Ok((number, early, given)),
            Snapshot::Asked(ticket) => ticket,
            Snapshot::None => return Err(Error::Aborted),
        };
        let alone = !self.is_inside && self.pending.len() == 2;
        let begin = if alone { Some(self.pending.remove(0)) } else { None };
        let number = self.number_of(ticket)?;
        self.pending.extend(begin);
        Ok((number, alone && self.reads, false))
    }

    /// The number that was asked for. It stands for everything that was set before this transaction's first statement.
    fn number_of(&mut self, ticket: Ticket) -> Result<i64, Error> {
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
        match self.pending.len() {
            0 => Ok(()),
            // BEGIN alone decides nothing.
            1 if !self.is_inside => Ok(()),
            _ => self.run(None).map(|_| ()),
        }
    }

    /// Commits. [`Error::Unanswered`]: whether it was kept is not known.
    pub(super) fn commit(&mut self) -> Result<(), Error> {
        if std::mem::take(&mut self.changes_settings) {
            // The last statement, so that the row is locked briefly.
            self.execute_later(settings::RAISE, Vec::new())?;
        }
        // On a connection that has answered nothing yet nobody could tell "never arrived" from "no answer"; and a change of no row
        // is no error to the server.
        let decides = |(_, wants): &Pending| matches!(wants, Wants::Change(_));
        if !self.is_inside || self.pending.iter().any(decides) {
            self.settle()?;
        }
        if !self.is_inside {
            self.pending.clear();
            return Ok(());
        }
        if !self.is_usable() {
            return Err(Error::Lost("the connection ended before the commit".to_owned()));
        }
        let commit = (Request::Control(COMMIT), Wants::Done);
        let requests: Vec<_> = self.pending.drain(..).chain([commit]).map(|(request, _)| request).collect();
        let count = requests.len();
        let outcome = self.send(&requests).map_err(|_| Error::Unanswered)?;
        let was_sent = outcome.sent == count;
        self.is_inside = !was_sent;
        match outcome.failure {
            // Every statement was answered well, so COMMIT found a transaction to keep, and says that it is.
            None if outcome.answers.len() == count => Ok(()),
            None => Err(Error::Unanswered),
            Some(failure) if was_sent => {
                let error = failure.committed();
                if error == Error::Unanswered {
                    self.give_up();
                } else {
                    // The server answers an error before it lets go of its locks; the answer to ROLLBACK comes after that.
                    self.is_inside = true;
                }
                Err(error)
            }
            Some(failure) => Err(failure.translate()),
        }
    }

    /// Gives up what was not committed, and waits until the server has.
    pub(super) fn roll_back(&mut self) {
        self.pending.clear();
        self.arrived.clear();
        // A connection that broke answers nothing; its end is the transaction's.
        if std::mem::take(&mut self.is_inside) && self.is_usable() {
            let outcome = self.send(&[Request::Control(ROLLBACK)]);
            if !matches!(outcome, Ok(Outcome { failure: None, .. })) {
                self.give_up();
            }
        }
    }

    fn give_up(&mut self) {
        if let Some(connection) = (*self.slot).as_mut() {
            connection.is_broken = true;
        }
    }

    /// Ends a transaction that only read, and does not wait.
    pub(super) fn end_read(&mut self) {
        if std::mem::take(&mut self.is_inside)
            && let Some(connection) = (*self.slot).as_ref().filter(|connection| connection.is_usable())
            && connection.send(&Request::Control(ROLLBACK)).is_err()
        {
            self.give_up();
        }
    }

    /// Gives the connection back, or ends it if it must not be used again: the server lets go of what it holds.
    pub(super) fn release(mut self) {
        if !self.is_usable() {
            *self.slot = None;
        }
    }

    fn is_usable(&self) -> bool {
        (*self.slot).as_ref().is_some_and(Connection::is_usable)
    }

    fn connection(&mut self) -> Result<&mut Connection, Error> {
        (*self.slot).as_mut().ok_or(Error::Aborted)
    }

    /// A statement that is not prepared yet has its error here, in its place: what was handed in before it goes out first.
    fn request(&mut self, sql: &str, params: Vec<Value>) -> Result<Request, Error> {
        if is_control(sql) {
            return Err(Error::Statement(format!("transactions are begun and ended by the store: {sql}")));
        }
        self.changes_settings |= !self.reads && settings::writes(sql);
        if self.connection()?.must_prepare(sql) {
            if !self.pending.is_empty() {
                self.run(None)?;
            }
            self.connection()?.prepare(sql, &params)?;
        }
        self.connection()?.query(sql, params).map(Request::Query)
    }

    fn wait_with(&mut self, sql: &str, params: Vec<Value>, wants: Wants) -> Result<(), Error> {
        let request = self.request(sql, params)?;
        self.pending.push((request, wants));
        Ok(())
    }

    /// Sends what is pending, and this, and judges the answers; tells the number of rows of the last one.
    fn run(&mut self, last: Option<Pending>) -> Result<u64, Error> {
        let (requests, wants): (Vec<_>, Vec<_>) = self.pending.drain(..).chain(last).unzip();
        self.begun.get_or_insert_with(Instant::now);
        let begins = !self.is_inside && matches!(requests.first(), Some(Request::Control(_)));
        let was_used = self.connection()?.was_used;
        let mut requests = requests;
        let mut outcome = self.send(&requests)?;
        // Nothing was answered, and a transaction without COMMIT leaves nothing: it may begin anew.
        if !self.is_inside && was_used && outcome.is_unheard() {
            *self.slot = None;
            *self.slot = Some(Connection::open(&self.server)?);
            if let Snapshot::Known { given: true, .. } = self.snapshot {
                // What came from memory may be another server's.
                return Err(Error::Busy);
            }
            for request in &mut requests {
                self.connection()?.take_over(request)?;
            }
            outcome = self.send(&requests)?;
        }
        if begins {
            self.is_inside = !outcome.answers.is_empty();
            // What became of a transaction whose BEGIN was refused is not asked.
            self.connection()?.is_broken |= !self.is_inside;
        }
        self.judge(outcome, wants)
    }

    /// Sends a batch and reads its answers. Behind a pooler what begins a transaction, or stands alone, goes first and is waited for as long
    /// as the pooler may take to find a connection; the rest goes once that was answered.
    fn send(&mut self, requests: &[Request]) -> Result<Outcome, Error> {
        let is_outside = !self.is_inside;
        let connection = self.connection()?;
        let (Some(first), true) = (requests.first(), is_outside && connection.pooled) else {
            return connection.run(requests);
        };
        let mut outcome = connection.run_within(POOLER, first)?;
        let rest = requests.get(1..).unwrap_or_default();
        if outcome.failure.is_none() && !outcome.answers.is_empty() && !rest.is_empty() {
            let next = connection.run(rest)?;
            outcome.answers.extend(next.answers);
            (outcome.failure, outcome.sent) = (next.failure, outcome.sent.saturating_add(next.sent));
        }
        Ok(outcome)
    }

    fn judge(&mut self, outcome: Outcome, wants: Vec<Wants>) -> Result<u64, Error> {
        let (answered, asked) = (outcome.answers.len(), wants.len());
        let mut count = 0;
        for (answer, wants) in outcome.answers.into_iter().zip(wants) {
            count = answer.count;
            match wants {
                Wants::Done => {}
                Wants::Change(otherwise) if count == 0 => return Err(otherwise),
                Wants::Change(_) => {}
                Wants::Rows(ticket) => self.arrived.push((ticket, answer.rows)),
            }
        }
        match outcome.failure {
            Some(failure) => Err(Failure::translate(&failure)),
            // The pooler had no connection in time.
            None if answered < asked => Err(Error::Busy),
            None => Ok(count),
        }
    }
}
