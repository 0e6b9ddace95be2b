//! Closures and connections. Invariant: a closure runs at most once; only what a stale connection never answered is sent again.
//!
//! A closure waits for a connection of the pool without a thread, and runs on a thread that may block. Connections and timers belong to
//! a runtime of this module, so that a store can be opened and used from anywhere.

use std::io;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use deadpool::managed::{Manager, Metrics, Object, PoolError, QueueMode, RecycleError, RecycleResult};
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

/// How long a closure waits for a connection before it is told that the database is busy: longer than anybody waits for a page.
const WAIT: Duration = Duration::from_secs(30);

/// Threads that closures block: more than all connections of a process.
const THREADS: usize = 2048;

/// Where connections are driven and closures run. It has no end: a store may be dropped anywhere.
static RUNTIME: LazyLock<io::Result<Runtime>> = LazyLock::new(|| {
    let mut builder = Builder::new_multi_thread();
    // Few, so that an answer and who waits for it meet on one.
    let workers =
        std::thread::available_parallelism().map_or(1, |processors| (processors.get() / 2).clamp(1, 4));
    builder
        .thread_name("payhost-pg")
        .worker_threads(workers)
        .max_blocking_threads(THREADS)
        .enable_all()
        .build()
});

/// The runtime of connections.
pub(super) fn runtime() -> Result<&'static Handle, Error> {
    RUNTIME.as_ref().map(Runtime::handle).map_err(|error| Error::Io(error.to_string()))
}

/// Makes connections, and looks at them before they are used again.
pub(super) struct Connections(Arc<Server>);

impl Manager for Connections {
    type Type = Connection;
    type Error = Error;

    async fn create(&self) -> Result<Connection, Error> {
        self.0.connect().await
    }

    async fn recycle(&self, connection: &mut Connection, _: &Metrics) -> RecycleResult<Error> {
        if connection.is_usable() { Ok(()) } else { Err(RecycleError::message("the connection ended")) }
    }
}

/// Runs closures.
pub(crate) struct Pool {
    shared: Arc<Shared>,
    /// Places for closures that wait for a connection.
    places: Arc<Semaphore>,
    /// Closures that were handed in.
    tracker: TaskTracker,
}

struct Shared {
    server: Arc<Server>,
    connections: managed::Pool<Connections>,
    statistics: Statistics,
}

#[derive(Clone, Copy)]
enum Kind {
    Write,
    Read,
}

impl Pool {
    /// A pool of so many connections; each is opened when it is needed.
    pub(crate) fn new(server: Arc<Server>, size: u32) -> Result<Self, Error> {
        let connections = managed::Pool::builder(Connections(Arc::clone(&server)))
            .max_size(usize::try_from(size).unwrap_or(THREADS).min(THREADS / 2))
            // The last used is taken first, so that few connections are open when little happens.
            .queue_mode(QueueMode::Lifo)
            .runtime(PoolRuntime::Tokio1)
            .wait_timeout(Some(WAIT))
            .build()
            .map_err(|error| Error::Io(error.to_string()))?;
        let shared = Arc::new(Shared { server, connections, statistics: Statistics::default() });
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
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| E::from(Error::Closed))?;
        let (task, answer) = Closure::new(work);
        let shared = Arc::clone(&self.shared);
        runtime.spawn(async move {
            shared.run(kind, since, task, place).await;
            drop(counted);
        });
        answer.await.unwrap_or_else(|_| Err(E::from(Error::Unanswered)))
    }

    /// Lets everything that was handed in finish, then ends the connections.
    pub(crate) async fn close(&self) {
        self.tracker.close();
        self.tracker.wait().await;
        self.shared.connections.close();
    }
}

impl Shared {
    async fn run<P>(self: Arc<Self>, kind: Kind, since: Instant, mut task: Box<dyn Task>, place: P) {
        let connection = match self.connections.get().await {
            Ok(connection) => connection,
            Err(error) => {
                task.lost(match error {
                    PoolError::Backend(error) => error,
                    PoolError::Timeout(_) => Error::Busy,
                    PoolError::Closed | PoolError::NoRuntimeSpecified | PoolError::PostCreateHook(_) => {
                        Error::Closed
                    }
                });
                return task.answer();
            }
        };
        drop(place);
        // The closure catches its own panics.
        let _ = tokio::task::spawn_blocking(move || match kind {
            Kind::Write => self.write(connection, since, task),
            Kind::Read => self.read(connection, since, task),
        })
        .await;
    }

    fn write(&self, connection: Object<Connections>, since: Instant, mut task: Box<dyn Task>) {
        let mut session = Session::new(Arc::clone(&self.server), connection, since);
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

    fn read(&self, connection: Object<Connections>, since: Instant, mut task: Box<dyn Task>) {
        let mut session = Session::new(Arc::clone(&self.server), connection, since);
        session.begin_read();
        // A write that nobody waited for is refused like any other.
        if task.run(&mut Tx::postgres(&mut session))
            && let Err(error) = session.settle()
        {
            task.lost(error);
        }
        // What was read is known; nobody needs to wait for the end.
        session.end_read();
        session.release();
        task.answer();
    }
}
