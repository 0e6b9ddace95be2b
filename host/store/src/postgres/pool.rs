//! Threads and connections. Invariant: a closure runs at most once; what is run again is only the BEGIN before it.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use payhost_core::kill;
use postgres::Config;
use tokio::sync::{mpsc, watch};

use super::Session;
use super::health::{Health, Turn};
use crate::task::{Closure, QUEUE, Task};
use crate::{Error, Tx};

/// What the server may be set to otherwise is said here, so that a closure means the same on every server.
const BEGIN_WRITE: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";
const BEGIN_READ: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// The way to the threads.
pub(crate) struct Pool {
    queue: mpsc::Sender<Message>,
    /// Each thread holds a receiver until it ends.
    ended: watch::Sender<()>,
}

enum Message {
    Work(Kind, Box<dyn Task>),
    Close,
}

enum Kind {
    Write,
    Read,
}

struct Shared {
    config: Config,
    /// The last used is taken first, so that few connections are open when little happens.
    idle: Mutex<Vec<Session>>,
    health: Health,
    waiting: Mutex<mpsc::Receiver<Message>>,
}

impl Pool {
    /// Starts the threads; each works on at most one connection at a time.
    pub(crate) fn start(config: Config, size: u32) -> Result<Self, Error> {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let (ended, alive) = watch::channel(());
        let (idle, health, waiting) = (Mutex::default(), Health::default(), Mutex::new(waiting));
        let shared = Arc::new(Shared { config, idle, health, waiting });
        for number in 1..=size {
            let (shared, alive) = (Arc::clone(&shared), alive.clone());
            thread::Builder::new().name(format!("payhost-pg-{number}")).spawn(move || {
                shared.run();
                drop(shared);
                drop(alive);
            })?;
        }
        Ok(Self { queue, ended })
    }

    /// Runs a closure in a transaction.
    pub(crate) async fn transact<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let (task, answer) = Closure::new(work);
        self.queue.send(Message::Work(Kind::Write, task)).await.map_err(|_| E::from(Error::Closed))?;
        answer.await.unwrap_or_else(|_| Err(E::from(Error::Unanswered)))
    }

    /// Runs a closure that only reads.
    pub(crate) async fn read<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let (task, answer) = Closure::new(work);
        self.queue.send(Message::Work(Kind::Read, task)).await.map_err(|_| E::from(Error::Closed))?;
        answer.await.unwrap_or_else(|_| Err(E::from(Error::Unanswered)))
    }

    /// Lets everything that was handed in finish, then ends threads and connections.
    pub(crate) async fn close(&self) {
        // When it cannot be sent, somebody else is closing it.
        let _ = self.queue.send(Message::Close).await;
        self.ended.closed().await;
    }
}

impl Shared {
    fn run(&self) {
        while let Some((kind, task)) = self.next() {
            match kind {
                Kind::Write => self.write(task),
                Kind::Read => self.read(task),
            }
        }
    }

    /// The thread that waits holds the lock, the others wait for it: one is woken per message. Who is told to close does so
    /// under the same lock, since the next to hold it would wait for a message that never comes.
    fn next(&self) -> Option<(Kind, Box<dyn Task>)> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match waiting.blocking_recv()? {
                Message::Work(kind, task) => return Some((kind, task)),
                Message::Close => waiting.close(),
            }
        }
    }

    fn write(&self, mut task: Box<dyn Task>) {
        match self.begun(BEGIN_WRITE) {
            Err(error) => task.lost(error),
            Ok(mut session) => {
                if task.run(&mut Tx::postgres(&mut session)) {
                    kill::in_commit();
                    if let Err(error) = session.commit() {
                        tracing::error!(%error, "a commit failed, or its answer was lost");
                        task.lost(error);
                    }
                    self.put_back(session);
                } else {
                    self.roll_back(session);
                }
            }
        }
        task.answer();
    }

    fn read(&self, mut task: Box<dyn Task>) {
        match self.begun(BEGIN_READ) {
            Err(error) => {
                task.lost(error);
                task.answer();
            }
            Ok(mut session) => {
                task.run(&mut Tx::postgres(&mut session));
                // What was read is known; nobody needs to wait for the end.
                task.answer();
                self.roll_back(session);
            }
        }
    }

    /// A connection with a transaction. A connection that broke while it was idle (the server was restarted) is replaced:
    /// nothing ran on it yet.
    fn begun(&self, begin: &str) -> Result<Session, Error> {
        loop {
            let (mut session, was_idle) = self.session()?;
            match session.control(begin) {
                Ok(()) => return Ok(session),
                Err(Error::Lost(_)) if was_idle => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// A connection, and whether it was idle before (and may be stale).
    fn session(&self) -> Result<(Session, bool), Error> {
        loop {
            if let Some(session) = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop() {
                return Ok((session, true));
            }
            match self.health.turn(Instant::now()) {
                Turn::Refuse(error) => return Err(error),
                Turn::Wait(pause) => thread::sleep(pause),
                Turn::Try => match Session::connect(&self.config) {
                    Ok(session) => {
                        self.health.up();
                        return Ok((session, false));
                    }
                    Err(error) => self.health.down(Instant::now(), error),
                },
            }
        }
    }

    fn roll_back(&self, mut session: Session) {
        if session.is_sound() && session.control("ROLLBACK").is_ok() {
            self.put_back(session);
        }
    }

    fn put_back(&self, session: Session) {
        if session.is_sound() {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(session);
        }
    }
}
