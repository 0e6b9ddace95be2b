//! Threads and connections. Invariant: a closure runs at most once; only what a stale connection never answered is sent again.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use payhost_core::kill;
use tokio::sync::{mpsc, watch};
use tokio_postgres::Config;

use super::Session;
use super::health::Server;
use super::statistics::{self, Statistics};
use crate::task::{Closure, QUEUE, Task};
use crate::{Error, Tx};

/// The way to the threads.
pub(crate) struct Pool {
    queue: mpsc::Sender<Message>,
    /// Each thread holds a receiver until it ends.
    ended: watch::Sender<()>,
}

enum Message {
    Work(Work),
    Close,
}

/// A closure, and when it was handed in.
struct Work {
    kind: Kind,
    since: Instant,
    task: Box<dyn Task>,
}

enum Kind {
    Write,
    Read,
}

struct Shared {
    server: Arc<Server>,
    /// The last used is taken first, so that few connections are open when little happens.
    idle: Mutex<Vec<Session>>,
    waiting: Mutex<mpsc::Receiver<Message>>,
    statistics: Statistics,
}

impl Pool {
    /// Starts the threads; each works on at most one connection at a time.
    pub(crate) fn start(config: Config, size: u32) -> Result<Self, Error> {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let (ended, alive) = watch::channel(());
        let (idle, waiting) = (Mutex::default(), Mutex::new(waiting));
        let (server, statistics) = (Arc::new(Server::new(config)), Statistics::default());
        let shared = Arc::new(Shared { server, idle, waiting, statistics });
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
        self.hand_in(Kind::Write, work).await
    }

    /// Runs a closure that only reads.
    pub(crate) async fn read<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        self.hand_in(Kind::Read, work).await
    }

    async fn hand_in<T, E, F>(&self, kind: Kind, work: F) -> Result<T, E>
    where
        F: FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let (task, answer) = Closure::new(work);
        let work = Work { kind, since: Instant::now(), task };
        self.queue.send(Message::Work(work)).await.map_err(|_| E::from(Error::Closed))?;
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
        let mut held = None;
        while let Some(Work { kind, since, mut task }) = self.next(&mut held) {
            let session = held.take().map_or_else(|| self.session(), Ok);
            held = match (session, kind) {
                (Ok(session), Kind::Write) => self.write(session, since, task),
                (Ok(session), Kind::Read) => Self::read(session, since, task),
                (Err(error), _) => {
                    task.lost(error);
                    task.answer();
                    None
                }
            };
        }
    }

    /// What to do next. Who has a connection goes on with it if there is work, so that the end of one transaction and the
    /// beginning of the next go out together.
    fn next(&self, held: &mut Option<Session>) -> Option<Work> {
        if let Some(session) = held.take() {
            // Somebody who holds the lock for long waits for work himself.
            match self.waiting.try_lock().ok().map(|mut waiting| (waiting.try_recv(), waiting)) {
                Some((Ok(Message::Work(work)), _)) => {
                    *held = Some(session.again());
                    return Some(work);
                }
                Some((Ok(Message::Close), mut waiting)) => waiting.close(),
                Some((Err(_), _)) | None => {}
            }
            self.put_back(session);
        }
        self.wait()
    }

    /// The thread that waits holds the lock, the others wait for it: one is woken per message. Who is told to close does so
    /// under the same lock, since the next to hold it would wait for a message that never comes.
    fn wait(&self) -> Option<Work> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match waiting.blocking_recv()? {
                Message::Work(work) => return Some(work),
                Message::Close => waiting.close(),
            }
        }
    }

    fn write(&self, mut session: Session, since: Instant, mut task: Box<dyn Task>) -> Option<Session> {
        session.begin_write(since);
        let mut kept = task.run(&mut Tx::postgres(&mut session));
        if kept {
            kill::in_commit();
            if let Err(error) = session.commit() {
                if matches!(error, Error::Unanswered | Error::Lost(_) | Error::Full | Error::Io(_)) {
                    tracing::error!(%error, "a commit failed, or its answer was lost");
                }
                task.lost(error);
                kept = false;
            }
        }
        session.roll_back();
        if !kept {
            // Who is told that it failed finds nothing locked.
            session.pause();
        }
        task.answer();
        if kept
            && session.is_sound()
            && self.statistics.are_due()
            && let Err(error) = statistics::gather(&mut session)
        {
            tracing::warn!(%error, "the database's statistics could not be gathered; the server does it later");
        }
        session.roll_back();
        session.is_sound().then_some(session)
    }

    fn read(mut session: Session, since: Instant, mut task: Box<dyn Task>) -> Option<Session> {
        session.begin_read(since);
        // A write that nobody waited for is refused like any other.
        if task.run(&mut Tx::postgres(&mut session))
            && let Err(error) = session.settle()
        {
            task.lost(error);
        }
        // What was read is known; nobody needs to wait for the end.
        task.answer();
        session.roll_back();
        session.is_sound().then_some(session)
    }

    fn session(&self) -> Result<Session, Error> {
        if let Some(session) = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop() {
            return Ok(session.again());
        }
        Session::connect(&self.server)
    }

    /// The connection waits for the next closure.
    fn put_back(&self, mut session: Session) {
        session.pause();
        if session.is_sound() {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(session);
        }
    }
}
