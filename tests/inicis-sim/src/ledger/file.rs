//! Invariant: a line is acknowledged only after it and everything before it are on the disk; many lines share one
//! sync. After a failed write nothing is acknowledged any more.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use super::LedgerError;
use super::event::Event;

/// Most lines that share one sync.
const GROUP: usize = 1024;

struct Job {
    lines: Vec<u8>,
    done: oneshot::Sender<bool>,
}

/// The one thread that writes the ledger file.
#[derive(Debug)]
pub struct Writer {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    fn start(file: File) -> std::io::Result<Self> {
        let (jobs, inbox) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("sim-ledger".to_owned())
            .spawn(move || write_all(file, &inbox))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Queues lines behind everything queued before; the receiver says whether they are on the disk. No lines at all
    /// wait for what was queued before.
    pub fn queue(&self, lines: Vec<u8>) -> oneshot::Receiver<bool> {
        let (done, receiver) = oneshot::channel();
        if let Some(jobs) = &self.jobs {
            // A dead writer drops `done`, which the receiver reports as a failure.
            let _ = jobs.send(Job { lines, done });
        }
        receiver
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn write_all(mut file: File, inbox: &mpsc::Receiver<Job>) {
    let mut healthy = true;
    while let Ok(first) = inbox.recv() {
        let group: Vec<Job> = std::iter::once(first).chain(inbox.try_iter().take(GROUP)).collect();
        let bytes = group.iter().flat_map(|job| job.lines.iter().copied()).collect::<Vec<u8>>();
        if healthy && !bytes.is_empty() {
            let written = file.write_all(&bytes).and_then(|()| file.sync_data());
            if let Err(error) = written {
                tracing::error!(%error, "the ledger cannot be written");
                healthy = false;
            }
        }
        for job in group {
            let _ = job.done.send(healthy);
        }
    }
}

/// Opens the ledger, drops a torn last line, and returns the events and the writer.
pub fn open(path: &Path) -> Result<(Vec<Event>, Writer), LedgerError> {
    let io = |source| LedgerError::Io { path: path.to_owned(), source };
    let mut file =
        OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path).map_err(io)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(io)?;
    let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |last| last + 1);
    let events = parse(bytes.get(..whole).unwrap_or_default(), path)?;
    let end = u64::try_from(whole).unwrap_or(u64::MAX);
    if whole < bytes.len() {
        tracing::warn!(torn = bytes.len() - whole, "a torn last line of the ledger is dropped");
        file.set_len(end).map_err(io)?;
    }
    file.seek(SeekFrom::Start(end)).map_err(io)?;
    Ok((events, Writer::start(file).map_err(io)?))
}

/// All events of a ledger file that is complete up to its last line end.
pub fn parse(bytes: &[u8], path: &Path) -> Result<Vec<Event>, LedgerError> {
    let lines = bytes.split(|b| *b == b'\n').enumerate().filter(|(_, line)| !line.is_empty());
    lines
        .map(|(number, line)| {
            serde_json::from_slice(line).map_err(|source| LedgerError::Line {
                path: PathBuf::from(path),
                line: number + 1,
                source,
            })
        })
        .collect()
}
