//! Readers. Invariant: a read sees one state of the database from its first to its last statement, and cannot write.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::open::open_reader;
use super::statement;
use crate::store::panic_text;
use crate::{Error, Tx};

/// Read-only connections, opened when they are first needed.
pub(crate) struct Readers {
    path: PathBuf,
    size: u32,
    permits: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<Connection>>>,
}

impl Readers {
    /// A pool of at most `size` connections.
    pub(crate) fn new(path: PathBuf, size: u32) -> Self {
        let permits = Arc::new(Semaphore::new(usize::try_from(size).unwrap_or(1)));
        Self { path, size, permits, idle: Arc::default() }
    }

    /// Runs a closure in a read transaction, on a thread for blocking work.
    pub(crate) async fn read<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let permit = self.permits.clone().acquire_owned().await.map_err(|_| E::from(Error::Closed))?;
        let idle = Arc::clone(&self.idle);
        let path = self.path.clone();
        let task = spawn_blocking(move || {
            let pooled = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let connection = match pooled {
                Some(connection) => connection,
                None => open_reader(&path)?,
            };
            let (result, sound) = read_once(&connection, work);
            if sound {
                idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            }
            drop(permit);
            result
        });
        task.await.unwrap_or_else(|error| Err(E::from(Error::Panicked(error.to_string()))))
    }

    /// Waits for the running reads and closes the connections.
    pub(crate) async fn close(&self) {
        let all = self.permits.acquire_many(self.size).await;
        self.permits.close();
        drop(all);
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// The closure's answer, and whether the connection may be used again.
fn read_once<T, E: From<Error>>(
    connection: &Connection,
    work: impl FnOnce(&mut Tx<'_>) -> Result<T, E>,
) -> (Result<T, E>, bool) {
    if let Err(error) = statement::execute(connection, "BEGIN DEFERRED", &[]) {
        return (Err(E::from(error)), false);
    }
    let mut tx = Tx::sqlite(connection);
    let result = match catch_unwind(AssertUnwindSafe(|| work(&mut tx))) {
        Ok(result) => result,
        Err(panic) => Err(E::from(Error::Panicked(panic_text(panic.as_ref())))),
    };
    let sound = statement::execute(connection, "ROLLBACK", &[]).is_ok();
    (result, sound)
}
