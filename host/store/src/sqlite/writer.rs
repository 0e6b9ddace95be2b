//! The one writer. Invariant: an answer is sent only after the COMMIT that holds its changes; a closure that fails or
//! panics takes nothing but its own savepoint with it; when a COMMIT fails, everybody whose changes were in it is told.

use std::collections::VecDeque;
use std::fs::File;
use std::thread;

use payhost_core::kill::{self, Point};
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::{Opened, statement};
use crate::task::{Closure, QUEUE, Task};
use crate::{Error, Tx};

/// Closures in one commit. At 64 the two fsyncs of a group cost each closure about 0.1 ms.
const GROUP: usize = 64;

/// The way to the writer's thread.
pub(crate) struct Writer {
    queue: mpsc::Sender<Message>,
}

enum Message {
    Work(Box<dyn Task>),
    Close(oneshot::Sender<()>),
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
        let (task, answer) = Closure::new(work);
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
    kill::soon(Point::Upkeep, "checkpoint");
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
    kill::in_commit();
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
