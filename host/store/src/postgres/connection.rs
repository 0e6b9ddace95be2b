//! A connection. Invariant: requests are sent in order and answered in order; after one that could not be sent none is sent.
//!
//! The driver sends a request when its future is first polled, so a whole batch is polled once and then awaited: together it costs
//! one round trip. Each request is answered by itself; what keeps those after a refused one from being executed is the transaction,
//! which a refusal aborts.
//!
//! Each connection has a runtime of its own that runs on the thread which waits for an answer. Sending, waiting and reading then
//! happen on one thread, as with a blocking driver; a shared runtime would cost two thread switches for each round trip.

use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use futures_util::TryStreamExt;
use futures_util::future::{MaybeDone, maybe_done};
use tokio::runtime::{Builder, Runtime};
use tokio::task::yield_now;
use tokio::time::timeout;
use tokio_postgres::{Client, Statement};

use super::failure::Failure;
use super::health::Server;
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

/// A connection with its prepared statements. Its functions block.
pub(super) struct Connection {
    client: Client,
    driver: Driver,
    statements: HashMap<String, Statement>,
    /// A pooler gives each transaction another connection to the server: nothing is prepared.
    pub(super) pooled: bool,
    /// It answered before, so that it may have been cut unnoticed since.
    pub(super) was_used: bool,
    /// It must not be used again.
    pub(super) is_broken: bool,
}

impl Connection {
    /// Connects; waits for a short outage of the server, too.
    pub(super) fn open(server: &Server) -> Result<Self, Error> {
        let driver = Driver::new()?;
        let client = driver.block_on(server.connect())??;
        let pooled = server.is_pooled();
        Ok(Self { client, driver, statements: HashMap::new(), pooled, was_used: false, is_broken: false })
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
    pub(super) fn take_over(&mut self, request: &mut Request) -> Result<(), Error> {
        if let Request::Query(query) = request
            && query.statement.is_some()
        {
            if self.must_prepare(&query.sql) {
                self.prepare(&query.sql, &query.params)?;
            }
            // A type that the server finds out by itself may be another now.
            *query = self.query(&query.sql, std::mem::take(&mut query.params))?;
        }
        Ok(())
    }

    /// Prepares a statement for parameters like these.
    pub(super) fn prepare(&mut self, sql: &str, params: &[Value]) -> Result<(), Error> {
        if self.statements.len() >= STATEMENTS {
            // The driver closes them at the server.
            self.statements.clear();
        }
        let types: Vec<_> = params.iter().map(type_of).collect();
        let prepared = self.driver.block_on(self.client.prepare_typed(sql, &types))?;
        let statement = prepared.map_err(|error| self.note(Failure(error)).translate())?;
        self.statements.insert(sql.to_owned(), statement);
        Ok(())
    }

    /// Sends a batch and reads the answers, up to the first failure.
    pub(super) fn run(&mut self, requests: &[Request]) -> Result<Outcome, Error> {
        let (answers, failure, sent) = self.driver.block_on(run_batch(&self.client, requests))?;
        self.was_used = true;
        let failure = failure.map(|failure| self.note(failure));
        Ok(Outcome { answers, failure, sent })
    }

    /// The same for one request whose answer is waited for no longer than this. Without an answer the connection is broken.
    pub(super) fn run_within(&mut self, patience: Duration, request: &Request) -> Result<Outcome, Error> {
        let batch = async { timeout(patience, run_batch(&self.client, std::slice::from_ref(request))).await };
        let Ok((answers, failure, sent)) = self.driver.block_on(batch)? else {
            self.is_broken = true;
            return Ok(Outcome { answers: Vec::new(), failure: None, sent: 1 });
        };
        self.was_used = true;
        let failure = failure.map(|failure| self.note(failure));
        Ok(Outcome { answers, failure, sent })
    }

    /// Sends a request whose answer decides nothing, and does not wait for it.
    pub(super) fn send(&self, request: &Request) -> Result<(), Error> {
        self.driver.block_on(async {
            let mut answer = pin!(ask(&self.client, request));
            poll_fn(|cx| Poll::Ready(answer.as_mut().poll(cx).is_ready())).await;
            // The driver's task writes it to the socket.
            yield_now().await;
        })
    }

    fn note(&mut self, failure: Failure) -> Failure {
        self.is_broken |= failure.is_loss();
        failure
    }
}

/// Runs the driver's task, which reads and writes the socket, while somebody waits for an answer. Dropped, it closes the socket, and
/// the server rolls an open transaction back.
struct Driver(Option<Runtime>);

impl Driver {
    fn new() -> Result<Self, Error> {
        let runtime = Builder::new_current_thread().enable_all().build();
        runtime.map(|runtime| Self(Some(runtime))).map_err(|error| Error::Io(error.to_string()))
    }

    fn block_on<F: Future>(&self, future: F) -> Result<F::Output, Error> {
        // It is there until the drop.
        self.0.as_ref().map(|runtime| runtime.block_on(future)).ok_or(Error::Closed)
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // Nothing is waited for, so this may happen on a thread that must not block.
        self.0.take().into_iter().for_each(Runtime::shutdown_background);
    }
}

/// The answers of the first requests, why there is none for the next, and how many may have reached the server.
async fn run_batch(client: &Client, requests: &[Request]) -> (Vec<Answer>, Option<Failure>, usize) {
    let mut answers = Vec::with_capacity(requests.len());
    let mut sent = Vec::with_capacity(requests.len());
    for request in requests {
        let mut answer = Box::pin(maybe_done(ask(client, request)));
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
    (answers, failure, count)
}

async fn ask(client: &Client, request: &Request) -> Result<Answer, tokio_postgres::Error> {
    let Query { sql, params, statement } = match request {
        Request::Control(sql) => {
            client.batch_execute(sql).await?;
            return Ok(Answer::default());
        }
        Request::Query(query) => query,
    };
    let params = params.iter();
    let stream = match statement {
        Some(statement) => client.query_raw(statement, params.map(Parameter)).await?,
        None => {
            let typed = params.map(|value| (Parameter(value), type_of(value)));
            client.query_typed_raw(sql, typed).await?
        }
    };
    let (mut stream, mut rows) = (pin!(stream), Vec::new());
    while let Some(row) = stream.as_mut().try_next().await? {
        rows.push(Row(row));
    }
    Ok(Answer { rows, count: stream.rows_affected().unwrap_or(0) })
}
