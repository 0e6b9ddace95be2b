//! Opening a file. Invariant: a second process, or a program older than the file, gets an error in words and touches
//! nothing; what is made here only its owner can read, whatever the umask.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use payhost_core::kill::{self, Point};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension};

use super::statement::translate;
use crate::Error;

/// How long SQLite waits for a lock before it says busy. Only foreign tools (a backup, a shell) can hold one.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Statements that each connection keeps prepared; all of the store's are fewer.
const STATEMENTS: usize = 256;

/// The schema's history, as refinery keeps it.
const HISTORY: &str = "refinery_schema_history";

mod migrations {
    refinery::embed_migrations!("migrations/sqlite");
}

/// What [`open`] hands over.
pub(crate) struct Opened {
    pub(crate) connection: Connection,
    /// Held as long as anybody may write.
    pub(crate) lock: File,
}

/// Opens the file for writing, makes it when it is missing, and brings its schema up to date.
pub(crate) fn open(path: &Path) -> Result<Opened, Error> {
    let lock = lock(path)?;
    make(path)?;
    let mut connection = Connection::open(path).map_err(|error| translate(&error))?;
    configure(&connection)?;
    refuse_newer(&connection)?;
    kill::soon(Point::Upkeep, "migrate");
    migrations::migrations::runner()
        .run(&mut connection)
        .map_err(|error| Error::Migration(error.to_string()))?;
    Ok(Opened { connection, lock })
}

/// Makes an empty file for its owner only; SQLite gives its write-ahead log the same mode.
fn make(path: &Path) -> Result<(), Error> {
    let made = private(File::options().create(true).append(true)).open(path);
    made.map(|_| ()).map_err(|error| Error::Io(format!("{}: {error}", path.display())))
}

/// A file that is made is for its owner only.
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

/// Opens the file for reading only.
pub(crate) fn open_reader(path: &Path) -> Result<Connection, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(|error| translate(&error))?;
    prepare_once(&connection)?;
    Ok(connection)
}

/// What every connection needs so that a statement is compiled once. SQLite would else look at values while it plans (behind
/// `LIMIT`, beside the condition of a partial index, with statistics beside any index) and compile again for the next ones.
fn prepare_once(connection: &Connection) -> Result<(), Error> {
    connection.busy_timeout(BUSY_TIMEOUT).map_err(|error| translate(&error))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    let set = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true);
    set.map(|_| ()).map_err(|error| translate(&error))
}

/// An advisory lock on a file beside the database: SQLite alone would let two processes write in turns, and each would
/// believe that it is the only one that runs jobs.
fn lock(path: &Path) -> Result<File, Error> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let lock = PathBuf::from(name);
    let in_words = |error: &std::io::Error| Error::Io(format!("{}: {error}", lock.display()));
    let file = private(File::options().create(true).truncate(false).read(true).write(true))
        .open(&lock)
        .map_err(|e| in_words(&e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(Error::Locked { path: path.display().to_string(), lock: lock.display().to_string() })
        }
        Err(TryLockError::Error(error)) => Err(in_words(&error)),
    }
}

fn configure(connection: &Connection) -> Result<(), Error> {
    prepare_once(connection)?;
    let mode: String = connection
        .query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))
        .map_err(|error| translate(&error))?;
    if !mode.eq_ignore_ascii_case("wal") {
        return Err(Error::Io(format!("the database cannot use a write-ahead log here (it offers {mode})")));
    }
    connection
        .execute_batch(
            "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF; \
             PRAGMA cache_size = -16384; PRAGMA journal_size_limit = 67108864;",
        )
        .map_err(|error| translate(&error))
}

/// An older program must not guess at a newer schema.
fn refuse_newer(connection: &Connection) -> Result<(), Error> {
    let known =
        migrations::migrations::runner().get_migrations().iter().map(|m| i64::from(m.version())).max();
    let known = known.unwrap_or(0);
    let has_history = connection
        .query_row("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?1", [HISTORY], |_| Ok(()))
        .optional()
        .map_err(|error| translate(&error))?;
    if has_history.is_none() {
        return Ok(());
    }
    let found: Option<i64> = connection
        .query_row(&format!("SELECT MAX(version) FROM {HISTORY}"), [], |row| row.get(0))
        .map_err(|error| translate(&error))?;
    match found {
        Some(found) if found > known => Err(Error::NewerSchema { found, known }),
        Some(_) | None => Ok(()),
    }
}
