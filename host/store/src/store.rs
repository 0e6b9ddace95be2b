//! The handle. Invariant: callers see closures and [`Tx`], never a backend.

use std::any::Any;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::postgres::{self, Pool};
use crate::sqlite::{self, Readers, Writer};
use crate::{Error, Tx};

/// Which database, and how.
#[derive(Debug, Clone)]
pub struct Options {
    database: Database,
    readers: u32,
    connections: u32,
}

#[derive(Debug, Clone)]
enum Database {
    Sqlite(PathBuf),
    Postgres(Box<postgres::Address>),
}

/// Connections to PostgreSQL unless told: several nodes stay below the server's usual limit of 100. Not tuned yet; measure
/// with examples/throughput.rs on a machine that does nothing else.
const CONNECTIONS: u32 = 16;

impl Options {
    /// A SQLite file; it is made when it is missing.
    pub fn sqlite(path: impl Into<PathBuf>) -> Self {
        Self { database: Database::Sqlite(path.into()), readers: 4, connections: CONNECTIONS }
    }

    /// A database by its address: `sqlite:PATH`, a path alone, or `postgres://USER@HOST/DATABASE` (libpq's form; a socket's
    /// folder as `postgres:///DATABASE?host=/run/postgresql`).
    ///
    /// The connection to PostgreSQL is encrypted, and the server proves its name (`sslmode=verify-full`), unless the address is a
    /// socket or loopback or says otherwise: `verify-ca`, or `disable` where the network is trusted. `sslrootcert=FILE` names the CAs
    /// that are trusted instead of the operating system's. `pgbouncer=true` says that a pooler gives each transaction another
    /// connection.
    pub fn parse(address: &str) -> Result<Self, Error> {
        if address.starts_with("postgres:") || address.starts_with("postgresql:") {
            let address = Box::new(postgres::parse(address)?);
            return Ok(Self { database: Database::Postgres(address), readers: 4, connections: CONNECTIONS });
        }
        let path = address.strip_prefix("sqlite:").unwrap_or(address);
        if path.is_empty() || path.contains("://") {
            return Err(Error::Address(format!(
                "{address:?} is not a database: give sqlite:PATH or postgres://USER@HOST/DATABASE"
            )));
        }
        Ok(Self::sqlite(Path::new(path)))
    }

    /// How many reads may run at once on SQLite (at least 1; 4 unless told).
    #[must_use]
    pub fn readers(self, readers: u32) -> Self {
        Self { readers: readers.max(1), ..self }
    }

    /// How many connections to PostgreSQL there may be, for reads and writes together (at least 1; 16 unless told). They are
    /// opened when they are needed.
    #[must_use]
    pub fn connections(self, connections: u32) -> Self {
        Self { connections: connections.max(1), ..self }
    }
}

/// An open database. Clones are cheap and are the same store.
#[derive(Clone)]
pub struct Store {
    backend: Arc<Backend>,
}

enum Backend {
    Sqlite { writer: Writer, readers: Readers },
    Postgres(Pool),
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
            Database::Postgres(address) => {
                let server = Arc::new(postgres::Server::new(*address)?);
                postgres::migrate(&server)?;
                let pool = Pool::new(server, options.connections)?;
                Ok(Self { backend: Arc::new(Backend::Postgres(pool)) })
            }
        }
    }

    /// Brings a PostgreSQL database's schema up to date as the role of these options, to whom the tables belong, and lets another role
    /// serve, which can add to what is append-only and not change it. Blocks.
    pub fn prepare(owner: Options, serving_role: &str) -> Result<(), Error> {
        match owner.database {
            Database::Postgres(address) => postgres::prepare(*address, serving_role),
            Database::Sqlite(_) => Err(Error::Address("only PostgreSQL has roles".to_owned())),
        }
    }

    /// Runs a closure in a transaction. `Ok` is answered only after the changes are durable; `Err` and a panic
    /// ([`Error::Panicked`]) leave nothing behind. The closure runs even when the caller stops waiting; it must not block
    /// or wait for anything but this database.
    ///
    /// On SQLite closures run one after the other. On PostgreSQL they run beside each other and on several nodes, at READ
    /// COMMITTED: a statement sees what was committed before it began, so a closure that decides by what it read locks
    /// that first ([`crate::rows::payments::lock`]) or changes it only if it is still so (compare and set, `ON CONFLICT`,
    /// a unique index); every function of [`crate::rows`] does one of them. That suffices because each rule about several
    /// rows is one payment's (held by its lock and version) or a unique index; stricter levels would refuse innocent
    /// closures at commit, and a closure runs only once. Two closures that wait for each other: one gets [`Error::Busy`].
    pub async fn transact<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let work = in_span(work);
        match self.backend.as_ref() {
            Backend::Sqlite { writer, .. } => writer.transact(work).await,
            Backend::Postgres(pool) => pool.transact(work).await,
        }
    }

    /// Runs a closure that only reads, on one state of the database (but see [`Tx::keep_settings`]), beside those that write.
    /// Needs a Tokio runtime.
    pub async fn read<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let work = in_span(work);
        match self.backend.as_ref() {
            Backend::Sqlite { readers, .. } => readers.read(work).await,
            Backend::Postgres(pool) => pool.read(work).await,
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
            Backend::Postgres(pool) => pool.close().await,
        }
    }
}

/// A closure runs on another thread; its log lines belong to the request or the job that handed it in.
fn in_span<T, F>(work: F) -> impl FnOnce(&mut Tx<'_>) -> T + Send + 'static
where
    F: FnOnce(&mut Tx<'_>) -> T + Send + 'static,
{
    let span = tracing::Span::current();
    move |tx| span.in_scope(|| work(tx))
}

impl Store {
    /// Whether both handles are of one store.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.backend, &other.backend)
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
