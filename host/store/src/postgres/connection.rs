//! A connection. Invariant: what is handed in together goes out in one write, in order, and is answered in that order.

use std::borrow::Cow;
use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use tokio::runtime::{Builder, Runtime};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Config, NoTls, Row, Statement};

use super::statement::{refuse_control, refuse_misfits, translate, type_of};
use crate::{Error, Value};

/// Statements that a connection keeps prepared; all of the store's are fewer.
const STATEMENTS: usize = 256;

/// `off` and the like would acknowledge what a power cut takes back (`remote_apply` is stricter than `on`, so it stays). A
/// lock is waited for as long as SQLite waits; a node that hangs in a transaction does not hold its locks for ever. Outside of a
/// transaction that says otherwise nothing can be written: statements go out behind their BEGIN without waiting for it.
const SETTINGS: &str = "\
    SELECT set_config('synchronous_commit', 'on', false) \
        WHERE current_setting('synchronous_commit') <> 'remote_apply'; \
    SET lock_timeout = '5s'; SET statement_timeout = '60s'; SET idle_in_transaction_session_timeout = '60s'; \
    SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED READ ONLY; SET jit = off;";

/// What is asked of the server.
pub(super) enum Request<'a> {
    /// A statement of our own without parameters: BEGIN, ANALYZE, COMMIT.
    Control(Cow<'a, str>),
    /// One that changes rows.
    Execute(Cow<'a, str>, Cow<'a, [Value]>),
    /// One that answers rows.
    Query(Cow<'a, str>, Cow<'a, [Value]>),
}

/// The same with what is prepared for it.
enum Ready<'a> {
    Control(&'a str),
    Execute(Statement, &'a [Value]),
    Query(Statement, &'a [Value]),
}

/// What it answered.
pub(super) enum Answer {
    Done,
    Changed(u64),
    Rows(Vec<Row>),
}

/// The driver's answer to each request, in order.
pub(super) type Answers = Vec<Result<Answer, tokio_postgres::Error>>;

/// The socket's half of the driver; it ends with the connection.
type Socket = Pin<Box<dyn Future<Output = Result<(), tokio_postgres::Error>> + Send>>;

/// A connection with its prepared statements.
pub(super) struct Connection {
    /// Its own, driven only while somebody waits for this connection.
    runtime: Runtime,
    client: Client,
    socket: Option<Socket>,
    statements: HashMap<String, Statement>,
}

impl Connection {
    /// Connects. Blocks; not on a thread of an async runtime.
    pub(super) fn connect(config: &Config) -> Result<Self, Error> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (client, socket) = runtime.block_on(config.connect(NoTls)).map_err(|error| translate(&error))?;
        let socket: Option<Socket> = Some(Box::pin(socket));
        let mut connection = Self { runtime, client, socket, statements: HashMap::new() };
        connection.run(SETTINGS)?;
        Ok(connection)
    }

    /// Whether the server may still be there, as far as it told.
    pub(super) fn is_open(&self) -> bool {
        self.socket.is_some() && !self.client.is_closed()
    }

    /// Statements of our own, waited for.
    pub(super) fn run(&mut self, sql: &str) -> Result<(), Error> {
        drive(&self.runtime, &mut self.socket, self.client.batch_execute(sql))
            .map_err(|error| translate(&error))
    }

    /// Something of the driver's own.
    pub(super) fn with<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut Client) -> Result<T, Error>,
    ) -> Result<T, Error> {
        drive(&self.runtime, &mut self.socket, work(&mut self.client))
    }

    /// Whether a statement is prepared.
    pub(super) fn knows(&self, sql: &str) -> bool {
        self.statements.contains_key(sql)
    }

    /// Sends everything at once and waits for every answer. `Err`: nothing was sent.
    pub(super) fn fly(&mut self, requests: &[Request<'_>]) -> Result<Answers, Error> {
        let mut ready = Vec::with_capacity(requests.len());
        for request in requests {
            ready.push(match request {
                Request::Control(sql) => Ready::Control(sql),
                Request::Execute(sql, params) => Ready::Execute(self.prepare(sql, params)?, params),
                Request::Query(sql, params) => Ready::Query(self.prepare(sql, params)?, params),
            });
        }
        let client = &self.client;
        let mut flights: Vec<_> =
            ready.into_iter().map(|request| (Box::pin(ask(client, request)), None)).collect();
        let all = poll_fn(|cx| {
            let mut left = false;
            for (flight, answer) in &mut flights {
                if answer.is_none() {
                    match flight.as_mut().poll(cx) {
                        Poll::Ready(ready) => *answer = Some(ready),
                        Poll::Pending => left = true,
                    }
                }
            }
            if left { Poll::Pending } else { Poll::Ready(()) }
        });
        drive(&self.runtime, &mut self.socket, all);
        flights.into_iter().map(|(_, answer)| answer).collect::<Option<_>>().ok_or(Error::Unanswered)
    }

    /// Sends a statement of our own; nobody waits for its answer.
    pub(super) fn send(&mut self, sql: &'static str) {
        let mut flight = pin!(self.client.batch_execute(sql));
        let socket = &mut self.socket;
        self.runtime.block_on(poll_fn(|cx| {
            // An error ends the connection, which whoever uses it next finds out.
            let _ = flight.as_mut().poll(cx);
            poll_socket(socket, cx);
            Poll::Ready(())
        }));
    }

    /// The prepared statement. Parameters that do not fit are refused here: in the middle of others a request that cannot be
    /// written would leave a hole.
    pub(super) fn prepare(&mut self, sql: &str, params: &[Value]) -> Result<Statement, Error> {
        let statement = match self.statements.get(sql) {
            Some(known) => known.clone(),
            None => {
                refuse_control(sql)?;
                let types: Vec<_> = params.iter().map(type_of).collect();
                let prepared = self.client.prepare_typed(sql, &types);
                let statement =
                    drive(&self.runtime, &mut self.socket, prepared).map_err(|error| translate(&error))?;
                if self.statements.len() >= STATEMENTS {
                    self.statements.clear();
                }
                self.statements.insert(sql.to_owned(), statement.clone());
                statement
            }
        };
        refuse_misfits(sql, statement.params(), params)?;
        Ok(statement)
    }
}

async fn ask(client: &Client, request: Ready<'_>) -> Result<Answer, tokio_postgres::Error> {
    match request {
        Ready::Control(sql) => client.batch_execute(sql).await.map(|()| Answer::Done),
        Ready::Execute(statement, params) => {
            client.execute(&statement, &dynamic(params)).await.map(Answer::Changed)
        }
        Ready::Query(statement, params) => client.query(&statement, &dynamic(params)).await.map(Answer::Rows),
    }
}

/// Waits for a future of the client; the socket is looked after meanwhile, behind it, so that what it sends goes out at once.
fn drive<T>(runtime: &Runtime, socket: &mut Option<Socket>, future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    runtime.block_on(poll_fn(|cx| {
        if let Poll::Ready(answer) = future.as_mut().poll(cx) {
            return Poll::Ready(answer);
        }
        poll_socket(socket, cx);
        future.as_mut().poll(cx)
    }))
}

/// Reads and writes what there is. With the socket's end the client's futures end, too.
fn poll_socket(socket: &mut Option<Socket>, cx: &mut Context<'_>) {
    if let Some(open) = socket.as_mut()
        && open.as_mut().poll(cx).is_ready()
    {
        *socket = None;
    }
}

fn dynamic(params: &[Value]) -> Vec<&(dyn ToSql + Sync)> {
    params.iter().map(|value| value as &(dyn ToSql + Sync)).collect()
}
