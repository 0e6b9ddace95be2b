//! The handle. Invariant: callers see closures and [`Tx`], never a backend.

use std::any::Any;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::sqlite::{self, Readers, Writer};
use crate::{Error, Tx};

/// Which database, and how.
#[derive(Debug, Clone)]
pub struct Options {
    database: Database,
    readers: u32,
}

#[derive(Debug, Clone)]
enum Database {
    Sqlite(PathBuf),
}

impl Options {
    /// A SQLite file; it is made when it is missing.
    pub fn sqlite(path: impl Into<PathBuf>) -> Self {
        Self { database: Database::Sqlite(path.into()), readers: 4 }
    }

    /// A database by its address: `sqlite:PATH`, or a path alone.
    pub fn parse(address: &str) -> Result<Self, Error> {
        let path = address.strip_prefix("sqlite:").unwrap_or(address);
        if address.starts_with("postgres:") || address.starts_with("postgresql:") {
            return Err(Error::Address(
                "this payhost cannot use PostgreSQL yet; give sqlite:PATH".to_owned(),
            ));
        }
        if path.is_empty() || path.contains("://") {
            return Err(Error::Address(format!("{address:?} is not a database: give sqlite:PATH")));
        }
        Ok(Self::sqlite(Path::new(path)))
    }

    /// How many reads may run at once (at least 1; 4 unless told).
    #[must_use]
    pub fn readers(self, readers: u32) -> Self {
        Self { readers: readers.max(1), ..self }
    }
}

/// An open database. Clones are cheap and are the same store.
#[derive(Clone)]
pub struct Store {
    backend: Arc<Backend>,
}

enum Backend {
    Sqlite { writer: Writer, readers: Readers },
}

impl Store {
    /// Opens the database, makes it when it is missing, and brings its schema up to date. Blocks; call it at the start.
    pub fn open(options: Options) -> Result<Self, Error> {
        match options.database {
            Database::Sqlite(path) => {
                let writer = Writer::start(sqlite::open(&path)?)?;
                let readers = Readers::new(path, options.readers);
                Ok(Self { backend: Arc::new(Backend::Sqlite { writer, readers }) })
            }
        }
    }

    /// Runs a closure in a transaction. `Ok` is answered only after the changes are durable; `Err` and a panic
    /// ([`Error::Panicked`]) leave nothing behind. The closure runs even when the caller stops waiting; it must not block
    /// or wait for anything but this database.
    pub async fn transact<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        match self.backend.as_ref() {
            Backend::Sqlite { writer, .. } => writer.transact(work).await,
        }
    }

    /// Runs a closure that only reads, on one state of the database, beside the writer. Needs a Tokio runtime.
    pub async fn read<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        match self.backend.as_ref() {
            Backend::Sqlite { readers, .. } => readers.read(work).await,
        }
    }

    /// Lets everything that was handed in finish, closes the database and frees its lock. Later calls answer
    /// [`Error::Closed`].
    pub async fn close(&self) {
        match self.backend.as_ref() {
            Backend::Sqlite { writer, readers } => {
                readers.close().await;
                writer.close().await;
            }
        }
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Store")
    }
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}
