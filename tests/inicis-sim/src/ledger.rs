//! Invariant: an answer leaves only after the events that it tells of, and all events that it could have seen, are on
//! the disk; after a kill the same file rebuilds the same state.

mod book;
mod event;
mod file;
mod notices;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

pub use book::{Book, Cancel, Sale, SaleState};
pub use event::{Authentication, Deposit, Event, Means, MobileOrder, RefundAccount, VirtualAccount};

/// The ledger cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The file cannot be opened or read.
    #[error("ledger {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line that is not the last is no event.
    #[error("ledger {path}, line {line}: {source}")]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// Why.
        source: serde_json::Error,
    },
    /// An event could not be made durable.
    #[error("the ledger could not be written")]
    Write,
}

/// The simulator's own record of what happened to money.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    book: Mutex<Book>,
    writer: file::Writer,
    queued: Notify,
}

impl Ledger {
    /// Opens or creates the file and rebuilds the state.
    ///
    /// # Errors
    /// The file cannot be opened, or a line that is not the last one is no event.
    pub fn open(path: &Path) -> Result<Self, LedgerError> {
        let (events, writer) = file::open(path)?;
        let mut book = Book::default();
        events.iter().for_each(|event| book.apply(event));
        Ok(Self { path: path.to_owned(), book: Mutex::new(book), writer, queued: Notify::new() })
    }

    /// Decides under the lock, books what was decided, and returns when it is durable.
    ///
    /// # Errors
    /// The events could not be written.
    pub async fn book<R>(&self, decide: impl FnOnce(&Book) -> (Vec<Event>, R)) -> Result<R, LedgerError> {
        let (receiver, result, queued) = {
            let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
            let (events, result) = decide(&book);
            let mut lines = Vec::new();
            for event in &events {
                serde_json::to_writer(&mut lines, event).map_err(|_| LedgerError::Write)?;
                lines.push(b'\n');
                book.apply(event);
            }
            let queued = events.iter().any(|event| matches!(event, Event::NoticeQueued { .. }));
            // Queued under the lock, so that the file has the order of the decisions.
            (self.writer.queue(lines), result, queued)
        };
        match receiver.await {
            Ok(true) => {
                if queued {
                    self.queued.notify_one();
                }
                Ok(result)
            }
            Ok(false) | Err(_) => Err(LedgerError::Write),
        }
    }

    /// Books one event that needs no decision.
    ///
    /// # Errors
    /// The event could not be written.
    pub async fn note(&self, event: Event) -> Result<(), LedgerError> {
        self.book(|_| (vec![event], ())).await
    }

    /// Waits for the next notice that becomes durable.
    pub async fn notice_queued(&self) {
        self.queued.notified().await;
    }

    /// Reads when everything that can be seen is durable.
    ///
    /// # Errors
    /// Earlier events could not be written.
    pub async fn read<R>(&self, look: impl FnOnce(&Book) -> R) -> Result<R, LedgerError> {
        self.book(|book| (Vec::new(), look(book))).await
    }

    /// Looks at once, for what leads to no answer, such as finding the order that a fault waits for.
    pub fn peek<R>(&self, look: impl FnOnce(&Book) -> R) -> R {
        look(&self.book.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// All events of the file, also those before a reset.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn events(&self) -> Result<Vec<Event>, LedgerError> {
        self.read(|_| ()).await?;
        let bytes = std::fs::read(&self.path)
            .map_err(|source| LedgerError::Io { path: self.path.clone(), source })?;
        // A line may be half written at this moment; it belongs to an event that nobody was told of yet.
        let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |last| last + 1);
        file::parse(bytes.get(..whole).unwrap_or_default(), &self.path)
    }
}
