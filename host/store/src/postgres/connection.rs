//! A connection. Invariant: requests go out in order and are answered in order; behind one that could not be sent none is sent.
//!
//! The driver sends a request when its future is first polled, so a whole batch is polled once and then awaited: it costs one round
//! trip together. Each request is answered by itself; what keeps those behind a refused one from being done is the transaction,
//! which a refusal ends.

use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use futures_util::TryStreamExt;
use futures_util::future::{MaybeDone, maybe_done};
use tokio::task::AbortHandle;
use tokio_postgres::{Client, Statement};

use super::failure::Failure;
use super::row::{Parameter, Row, refuse_misfits, type_of};
use crate::{Error, Value};

/// Statements that a connection keeps prepared; all of the store's are fewer.
const STATEMENTS: usize = 256;

/// What is asked of the server.
pub(super) enum Request {
    /// Begins or ends a transaction.
    Control(&'static str),
    Query(Query),
}

/// A statement with its parameters.
pub(super) struct Query {
    sql: String,
    params: Vec<Value>,
    /// Prepared on this connection; else the server parses it as it comes.
    statement: Option<Statement>,
}

/// What it answered.
#[derive(Default)]
pub(super) struct Answer {
    pub(super) rows: Vec<Row>,
    /// How many rows were changed, or read.
    pub(super) count: u64,
}

/// What became of a batch: the answers of the first requests, and why there is none for the next.
pub(super) struct Outcome {
    pub(super) answers: Vec<Answer>,
    pub(super) failure: Option<Failure>,
    /// So many requests may have reached the server.
    pub(super) sent: usize,
}

impl Outcome {
    /// Whether the server did nothing of it, as far as anybody can tell by its answers.
    pub(super) fn is_unheard(&self) -> bool {
        self.answers.is_empty() && self.failure.as_ref().is_some_and(Failure::is_loss)
    }
}

/// A connection with its prepared statements.
pub(super) struct Connection {
    client: Client,
    /// The task that reads and writes the socket.
    driver: AbortHandle,
    statements: HashMap<String, Statement>,
    /// A pooler gives each transaction another connection to the server: nothing is prepared.
    pub(super) pooled: bool,
    /// It answered before, so that it may have been cut unnoticed since.
    pub(super) was_used: bool,
    /// It must not be used again.
    pub(super) is_broken: bool,
}

/// A connection that is given up does not wait for answers; the driver ends any other in good order.
impl Drop for Connection {
    fn drop(&mut self) {
        if self.is_broken {
            self.driver.abort();
        }
    }
}

impl Connection {
    /// A connection that is set up.
    pub(super) fn new(client: Client, driver: AbortHandle, pooled: bool) -> Self {
        Self { client, driver, statements: HashMap::new(), pooled, was_used: false, is_broken: false }
    }

    /// Whether it may be used, as far as this side knows.
    pub(super) fn is_usable(&self) -> bool {
        !self.is_broken && !self.client.is_closed()
    }

    /// Whether a statement needs to be prepared first, which is waited for.
    pub(super) fn must_prepare(&self, sql: &str) -> bool {
        !self.pooled && !self.statements.contains_key(sql)
    }

    /// A statement with its parameters; it is prepared, if this connection does that.
    pub(super) fn query(&self, sql: &str, params: Vec<Value>) -> Result<Query, Error> {
        let statement = if self.pooled { None } else { self.statements.get(sql).cloned() };
        refuse_misfits(sql, statement.as_ref().map(Statement::params), &params)?;
        Ok(Query { sql: sql.to_owned(), params, statement })
    }

    /// Prepares what was prepared on another connection.
    pub(super) async fn take_over(&mut self, request: &mut Request) -> Result<(), Error> {
        if let Request::Query(query) = request
            && query.statement.is_some()
        {
            if self.must_prepare(&query.sql) {
                self.prepare(&query.sql, &query.params).await?;
            }
            // A type that the server finds out by itself may be another now.
            *query = self.query(&query.sql, std::mem::take(&mut query.params))?;
        }
        Ok(())
    }

    /// Prepares a statement for parameters like these.
    pub(super) async fn prepare(&mut self, sql: &str, params: &[Value]) -> Result<(), Error> {
        if self.statements.len() >= STATEMENTS {
            // The driver closes them at the server.
            self.statements.clear();
        }
        let types: Vec<_> = params.iter().map(type_of).collect();
        let prepared = self.client.prepare_typed(sql, &types).await;
        let statement = prepared.map_err(|error| self.note(Failure(error)).translate())?;
        self.statements.insert(sql.to_owned(), statement);
        Ok(())
    }

    /// Sends a batch and reads the answers, up to the first failure.
    pub(super) async fn run(&mut self, requests: &[Request]) -> Outcome {
        let mut answers = Vec::with_capacity(requests.len());
        let mut sent = Vec::with_capacity(requests.len());
        for request in requests {
            let mut answer = Box::pin(maybe_done(self.ask(request)));
            poll_fn(|cx| Poll::Ready(answer.as_mut().poll(cx).is_ready())).await;
            let is_refused = matches!(*answer, MaybeDone::Done(Err(_)));
            sent.push(answer);
            if is_refused {
                break;
            }
        }
        let (count, mut failure) = (sent.len(), None);
        for mut answer in sent {
            answer.as_mut().await;
            match answer.as_mut().take_output() {
                Some(Ok(answer)) => answers.push(answer),
                Some(Err(error)) => {
                    failure = Some(Failure(error));
                    break;
                }
                None => break,
            }
        }
        self.was_used = true;
        let failure = failure.map(|failure| self.note(failure));
        Outcome { answers, failure, sent: count }
    }

    /// Sends a request whose answer decides nothing.
    pub(super) async fn send(&self, request: &Request) {
        let mut answer = pin!(self.ask(request));
        poll_fn(|cx| Poll::Ready(answer.as_mut().poll(cx).is_ready())).await;
    }

    async fn ask(&self, request: &Request) -> Result<Answer, tokio_postgres::Error> {
        let Query { sql, params, statement } = match request {
            Request::Control(sql) => {
                self.client.batch_execute(sql).await?;
                return Ok(Answer::default());
            }
            Request::Query(query) => query,
        };
        let params = params.iter();
        let stream = match statement {
            Some(statement) => self.client.query_raw(statement, params.map(Parameter)).await?,
            None => {
                let typed = params.map(|value| (Parameter(value), type_of(value)));
                self.client.query_typed_raw(sql, typed).await?
            }
        };
        let (mut stream, mut rows) = (pin!(stream), Vec::new());
        while let Some(row) = stream.as_mut().try_next().await? {
            rows.push(Row(row));
        }
        Ok(Answer { rows, count: stream.rows_affected().unwrap_or(0) })
    }

    fn note(&mut self, failure: Failure) -> Failure {
        self.is_broken |= failure.is_loss();
        failure
    }
}
