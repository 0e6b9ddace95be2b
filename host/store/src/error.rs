//! What can go wrong. Invariant: a caller can tell "try again", "somebody was faster", "this is a bug or damage" and
//! "a person must act" apart without reading text.

/// An error of the store. It is `Clone`, because a failed commit is answered to everybody in the group.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The database did not become free in time, or two transactions stood in each other's way and this one was given up
    /// (a deadlock); nothing was changed, trying again is safe. The store does not try again by itself: a closure runs once.
    #[error("the database is busy; nothing was changed")]
    Busy,
    /// The database cannot be reached, or the connection broke before the commit was sent; nothing was changed, trying
    /// again is safe.
    #[error("the database cannot be reached; nothing was changed: {0}")]
    Lost(String),
    /// Another process holds the database.
    #[error(
        "the database {path} is in use by another payhost process; stop that one, or use its API (the lock file is {lock})"
    )]
    Locked {
        /// The database.
        path: String,
        /// The lock file beside it.
        lock: String,
    },
    /// A row with this key exists.
    #[error("already there: {what}")]
    Unique {
        /// The index's name (see the migrations), `<table>_pkey` for a primary key, else the columns.
        what: String,
    },
    /// A CHECK or NOT NULL refused a value.
    #[error("refused by the rule {what}")]
    Check {
        /// The rule's name, or the column that may not be null.
        what: String,
    },
    /// A row points to one that does not exist (in this shop).
    #[error("a row points to one that does not exist")]
    ForeignKey,
    /// There is no such row.
    #[error("no such {what}")]
    NotFound {
        /// The table.
        what: &'static str,
    },
    /// The row was changed by somebody else since it was read: read again and decide again.
    #[error("the {what} was changed in the meantime")]
    Stale {
        /// The table.
        what: &'static str,
    },
    /// A write inside [`crate::Store::read`].
    #[error("this transaction may only read")]
    ReadOnly,
    /// A statement of this transaction failed before, so that nothing of it can be kept.
    #[error("the transaction was given up after an earlier error")]
    Aborted,
    /// What is stored is not what was written.
    #[error("the database is damaged or was changed by hand: {0}")]
    Corrupt(String),
    /// The database was used by a newer payhost.
    #[error(
        "the database has schema {found}, this payhost knows schemas up to {known}: use the newer payhost"
    )]
    NewerSchema {
        /// The database's schema.
        found: i64,
        /// The newest one that this program knows.
        known: i64,
    },
    /// A migration failed; the database is as it was before that migration.
    #[error("the database's schema could not be brought up to date: {0}")]
    Migration(String),
    /// No space is left.
    #[error("the disk is full")]
    Full,
    /// The file system failed.
    #[error("{0}")]
    Io(String),
    /// A statement is wrong: a bug of ours.
    #[error("wrong statement: {0}")]
    Statement(String),
    /// A value cannot be written as JSON, or read from it.
    #[error("JSON: {0}")]
    Json(String),
    /// The closure panicked; its changes were rolled back.
    #[error("a transaction panicked and was rolled back: {0}")]
    Panicked(String),
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
    /// The writer, or the connection after the commit was sent, ended before it answered: whether the transaction was kept
    /// is not known. It is kept whole or not at all; read before trying again.
    #[error("the database did not answer the commit; whether the change was kept is not known")]
    Unanswered,
    /// The database that was to be filled is not empty.
    #[error("the target is not empty (there are rows in {what}); nothing was copied")]
    NotEmpty {
        /// A table that has rows.
        what: &'static str,
    },
    /// The address of a database is not one that this program can open.
    #[error("{0}")]
    Address(String),
    /// No master key was given.
    #[error("no master key was given")]
    MissingMasterKey,
    /// The master key cannot be read.
    #[error("the master key from {source_name} cannot be used: {why}")]
    BadMasterKey {
        /// The file, or the environment variable.
        source_name: String,
        /// What is wrong.
        why: String,
    },
    /// The master key is not the one that this database was made with.
    #[error(
        "this database was made with another master key; start with that key (without it the secrets in the database cannot be read)"
    )]
    WrongMasterKey,
    /// A sealed value does not open: changed bytes, a moved row, or another shop's.
    #[error("the sealed value {table}.{column} does not open: it was changed or moved")]
    Sealed {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
    },
    /// The operating system gave no randomness.
    #[error("the operating system gave no random bytes")]
    Random,
}

impl Error {
    /// Whether a unique rule of this name refused a row, such as `payment_open_order` (names: the migrations).
    pub fn is_unique(&self, name: &str) -> bool {
        matches!(self, Self::Unique { what } if what == name)
    }

    /// Whether a CHECK of this name refused a value.
    pub fn is_check(&self, name: &str) -> bool {
        matches!(self, Self::Check { what } if what == name)
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::StorageFull { Self::Full } else { Self::Io(error.to_string()) }
    }
}
