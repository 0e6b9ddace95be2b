//! The one writer. Invariant: an answer is sent only after the COMMIT that holds its changes; a closure that fails or
//! panics takes nothing but its own savepoint with it; when a COMMIT fails, everybody whose changes were in it is told.

use std::collections::VecDeque;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::{Opened, statement};
use crate::store::panic_text;
use crate::{Error, Tx};

/// Closures in one commit. At 64 the two fsyncs of a group cost each closure about 0.1 ms.
const GROUP: usize = 64;

/// Closures that may wait; after that callers wait to hand theirs in.
const QUEUE: usize = 1024;

/// The way to the writer's thread.
pub(crate) struct Writer {
    queue: mpsc::Sender<Message>,
}

enum Message {
    Work(Box<dyn Task>),
    Close(oneshot::Sender<()>),
}

/// One closure with its waiting caller.
trait Task: Send {
    /// Runs it; `true` when its changes are to be kept.
    fn run(&mut self, tx: &mut Tx<'_>) -> bool;

    /// Nothing of it was kept.
    fn lost(&mut self, error: Error);

    /// Tells the caller.
    fn answer(self: Box<Self>);
}

struct Closure<F, T, E> {
    work: Option<F>,
    result: Option<Result<T, E>>,
    caller: oneshot::Sender<Result<T, E>>,
}

impl<F, T, E> Task for Closure<F, T, E>
where
    F: FnOnce(&mut Tx<'_>) -> Result<T, E> + Send,
    T: Send,
    E: From<Error> + Send,
{
    fn run(&mut self, tx: &mut Tx<'_>) -> bool {
        let Some(work) = self.work.take() else { return false };
        let result = match catch_unwind(AssertUnwindSafe(|| work(tx))) {
            Ok(Ok(_)) if tx.has_failed() => Err(E::from(Error::Aborted)),
            Ok(result) => result,
            Err(panic) => Err(E::from(Error::Panicked(panic_text(panic.as_ref())))),
        };
        let keep = result.is_ok();
        self.result = Some(result);
        keep
    }

    fn lost(&mut self, error: Error) {
        // A closure that failed by itself keeps its own error: that is the reason its caller wants.
        if !matches!(self.result, Some(Err(_))) {
            self.result = Some(Err(E::from(error)));
        }
    }

    fn answer(self: Box<Self>) {
        let result = self.result.unwrap_or_else(|| Err(E::from(Error::Unanswered)));
        // A caller that went away (its request was dropped) is not told; its changes stay, as it asked.
        let _ = self.caller.send(result);
    }
}

impl Writer {
    /// Starts the thread.
    pub(crate) fn start(opened: Opened) -> Result<Self, Error> {
        let (queue, waiting) = mpsc::channel(QUEUE);
        thread::Builder::new()
            .name("payhost-writer".to_owned())
            .spawn(move || run(opened.connection, opened.lock, waiting))?;
        Ok(Self { queue })
    }

    /// Runs a closure in a transaction.
    pub(crate) async fn transact<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let (caller, answer) = oneshot::channel();
        let task = Box::new(Closure { work: Some(work), result: None, caller });
        self.queue.send(Message::Work(task)).await.map_err(|_| E::from(Error::Closed))?;
        answer.await.unwrap_or_else(|_| Err(E::from(Error::Unanswered)))
    }

    /// Lets everything that was handed in finish, then ends the thread.
    pub(crate) async fn close(&self) {
        let (done, ended) = oneshot::channel();
        if self.queue.send(Message::Close(done)).await.is_ok() {
            let _ = ended.await;
        } else {
            // Somebody else closes it; the queue's other end is gone when that is done.
            self.queue.closed().await;
        }
    }
}

fn run(connection: Connection, lock: File, mut waiting: mpsc::Receiver<Message>) {
    let mut closing = Vec::new();
    let mut group = VecDeque::with_capacity(GROUP);
    while let Some(message) = waiting.blocking_recv() {
        sort(message, &mut group, &mut closing);
        while group.len() < GROUP {
            let Ok(message) = waiting.try_recv() else { break };
            sort(message, &mut group, &mut closing);
        }
        if !closing.is_empty() {
            waiting.close();
        }
        while !group.is_empty() {
            commit_together(&connection, &mut group);
        }
    }
    if let Err(error) = connection.execute_batch("PRAGMA optimize; PRAGMA wal_checkpoint(TRUNCATE);") {
        tracing::warn!(%error, "the write-ahead log was not folded in; the next start does it");
    }
    drop(connection);
    drop(lock);
    for done in closing {
        let _ = done.send(());
    }
}

fn sort(message: Message, group: &mut VecDeque<Box<dyn Task>>, closing: &mut Vec<oneshot::Sender<()>>) {
    match message {
        Message::Work(task) => group.push_back(task),
        Message::Close(done) => closing.push(done),
    }
}

/// Takes closures from the group, commits them and answers. When SQLite gave up the whole transaction in the middle, those
/// that did not run yet stay in the group for the next one.
fn commit_together(connection: &Connection, group: &mut VecDeque<Box<dyn Task>>) {
    let mut ran = Vec::with_capacity(group.len());
    let mut end = control(connection, "BEGIN IMMEDIATE");
    if end.is_err() {
        ran.extend(group.drain(..));
    }
    while end.is_ok() {
        let Some(mut task) = group.pop_front() else { break };
        end = run_in_savepoint(connection, task.as_mut());
        ran.push(task);
    }
    let end = end.and_then(|()| control(connection, "COMMIT"));
    if let Err(error) = &end {
        tracing::error!(%error, closures = ran.len(), "a group of transactions was not kept");
        if !connection.is_autocommit()
            && let Err(error) = control(connection, "ROLLBACK")
        {
            tracing::error!(%error, "the rollback failed");
        }
        ran.iter_mut().for_each(|task| task.lost(error.clone()));
    }
    ran.into_iter().for_each(Task::answer);
}

/// Runs one closure. An error here is one of the whole group.
fn run_in_savepoint(connection: &Connection, task: &mut dyn Task) -> Result<(), Error> {
    control(connection, "SAVEPOINT closure")?;
    let keep = task.run(&mut Tx::sqlite(connection));
    // Some failures (disk full, I/O) make SQLite roll the whole transaction back on its own.
    if connection.is_autocommit() {
        return Err(Error::Io("the database gave the transaction up (disk full or I/O error)".to_owned()));
    }
    if !keep {
        control(connection, "ROLLBACK TO closure")?;
    }
    control(connection, "RELEASE closure")
}

fn control(connection: &Connection, sql: &str) -> Result<(), Error> {
    statement::execute(connection, sql, &[]).map(|_| ())
}
