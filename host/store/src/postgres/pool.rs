//! Closures and connections. Invariant: a closure runs at most once; only what a stale connection never answered is sent again.
//!
//! A closure waits for a place in the pool without a thread, and then runs on a thread that may block, with its connection. The threads
//! belong to a runtime of this module, so that a store can be opened and used from anywhere.

use std::convert::Infallible;
use std::io;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use deadpool::managed::{Manager, Metrics, Object, PoolError, QueueMode, RecycleResult, Timeouts};
use deadpool::{Runtime as PoolRuntime, managed};
use payhost_core::kill;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use super::Session;
use super::connection::Connection;
use super::health::Server;
use super::statistics::{self, Statistics};
use crate::task::{Closure, QUEUE, Task};
use crate::{Error, Tx};

/// How long a closure waits for a place before it is told that the database is busy: longer than anybody waits for a page.
const WAIT: Duration = Duration::from_secs(30);

/// Takes a place only if one is free.
const NO_WAIT: Timeouts = Timeouts { wait: Some(Duration::ZERO), create: None, recycle: None };

/// Threads that closures block: more than all connections of a process.
const THREADS: usize = 2048;

/// Where closures wait for a place and run. It has no end: a store may be dropped anywhere.
static RUNTIME: LazyLock<io::Result<Runtime>> = LazyLock::new(|| {
    let mut builder = Builder::new_multi_thread();
    builder.thread_name("payhost-pg").worker_threads(1).max_blocking_threads(THREADS).enable_all().build()
});

/// The runtime of this module.
pub(super) fn runtime() -> Result<&'static Handle, Error> {
    RUNTIME.as_ref().map(Runtime::handle).map_err(|error| Error::Io(error.to_string()))
}

/// Places for connections. Each is filled by the first closure that takes it, and again after its connection broke.
pub(super) struct Slots;

impl Manager for Slots {
    type Type = Option<Connection>;
    type Error = Infallible;

    async fn create(&self) -> Result<Option<Connection>, Infallible> {
        Ok(None)
    }

    async fn recycle(&self, slot: &mut Option<Connection>, _: &Metrics) -> RecycleResult<Infallible> {
        // The thread that takes it connects.
        if slot.as_ref().is_some_and(|connection| !connection.is_usable()) {
            *slot = None;
        }
        Ok(())
    }
}

/// Runs closures.
pub(crate) struct Pool {
    shared: Arc<Shared>,
    /// Permits for closures that wait for a place.
    places: Arc<Semaphore>,
    /// Closures that were handed in.
    tracker: TaskTracker,
}

struct Shared {
    server: Arc<Server>,
    slots: managed::Pool<Slots>,
    statistics: Statistics,
}

#[derive(Clone, Copy)]
enum Kind {
    Write,
    Read,
}

impl Pool {
    /// A pool of so many places; a connection is opened when one is needed.
    pub(crate) fn new(server: Arc<Server>, size: u32) -> Result<Self, Error> {
        let slots = managed::Pool::builder(Slots)
            .max_size(usize::try_from(size).unwrap_or(THREADS).min(THREADS / 2))
            // The last used is taken first, so that few connections are open when little happens.
            .queue_mode(QueueMode::Lifo)
            .runtime(PoolRuntime::Tokio1)
            .wait_timeout(Some(WAIT))
            .build()
            .map_err(|error| Error::Io(error.to_string()))?;
        let shared = Arc::new(Shared { server, slots, statistics: Statistics::default() });
        Ok(Self { shared, places: Arc::new(Semaphore::new(QUEUE)), tracker: TaskTracker::new() })
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
        // Counted before the look, so that who closes waits for it or it is refused.
        let counted = self.tracker.token();
        if self.tracker.is_closed() {
            return Err(E::from(Error::Closed));
        }
        let runtime = runtime()?;
        let since = Instant::now();
        let (task, answer) = Closure::new(work);
        let shared = Arc::clone(&self.shared);
        if let Ok(slot) = self.shared.slots.timeout_get(&NO_WAIT).await {
            runtime.spawn_blocking(move || {
                shared.run(kind, slot, since, task);
                drop(counted);
            });
        } else {
            let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| E::from(Error::Closed))?;
            // A caller that goes away meanwhile takes nothing back.
            runtime.spawn(async move {
                shared.wait_and_run(kind, since, task, (place, counted)).await;
            });
        }
        answer.await.unwrap_or_else(|_| Err(E::from(Error::Unanswered)))
    }

    /// Lets everything that was handed in finish, then ends the connections.
    pub(crate) async fn close(&self) {
        self.tracker.close();
        self.tracker.wait().await;
        self.shared.slots.close();
    }
}

impl Shared {
    async fn wait_and_run<P, C: Send + 'static>(
        self: Arc<Self>,
        kind: Kind,
        since: Instant,
        mut task: Box<dyn Task>,
        (place, counted): (P, C),
    ) {
        match self.slots.get().await {
            Ok(slot) => {
                drop(place);
                tokio::task::spawn_blocking(move || {
                    self.run(kind, slot, since, task);
                    drop(counted);
                });
            }
            Err(error) => {
                task.lost(match error {
                    PoolError::Timeout(_) => Error::Busy,
                    PoolError::Backend(_)
                    | PoolError::Closed
                    | PoolError::NoRuntimeSpecified
                    | PoolError::PostCreateHook(_) => Error::Closed,
                });
                task.answer();
            }
        }
    }

    fn run(&self, kind: Kind, slot: Object<Slots>, since: Instant, mut task: Box<dyn Task>) {
        match (Session::new(Arc::clone(&self.server), slot, since), kind) {
            (Ok(session), Kind::Write) => self.write(session, task),
            (Ok(session), Kind::Read) => read(session, task),
            (Err(error), _) => {
                task.lost(error);
                task.answer();
            }
        }
    }

    fn write(&self, mut session: Session, mut task: Box<dyn Task>) {
        session.begin_write();
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
        // Who is told that it failed finds nothing locked.
        session.roll_back();
        let gathers = kept && self.statistics.are_due();
        if !gathers {
            session.release();
            return task.answer();
        }
        task.answer();
        if let Err(error) = statistics::gather(&mut session) {
            tracing::warn!(%error, "the database's statistics could not be gathered; the server does it later");
        }
        session.roll_back();
        session.release();
    }
}

fn read(mut session: Session, mut task: Box<dyn Task>) {
    session.begin_read();
    // A write that nobody waited for is refused like any other.
    if task.run(&mut Tx::postgres(&mut session))
        && let Err(error) = session.settle()
    {
        task.lost(error);
    }
    // What was read is known; nobody needs to wait for the end.
    task.answer();
    session.end_read();
    session.release();
}
