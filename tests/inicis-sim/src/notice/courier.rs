//! Invariant: a notice that is due is sent as soon as its line is on the disk, by one round at a time; the ledger alone
//! says what is due, so that a restart goes on where a kill ended.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinSet;

use super::{Notice, Record, Try, send};
use crate::ledger::{Event, LedgerError};
use crate::sim::{Shared, Sim};
use crate::vbank;

/// Most notices that travel at once in rounds of the schedule.
const AT_ONCE: usize = 64;

/// How often the clock is looked at: tests move it.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Most characters of an answer that the ledger keeps.
const ANSWER_KEPT: usize = 2000;

/// What is under way.
#[derive(Debug)]
pub struct Courier {
    under_way: Mutex<HashSet<u64>>,
    done: Notify,
    permits: Semaphore,
}

impl Default for Courier {
    fn default() -> Self {
        Self { under_way: Mutex::new(HashSet::new()), done: Notify::new(), permits: Semaphore::new(AT_ONCE) }
    }
}

impl Courier {
    fn with<R>(&self, change: impl FnOnce(&mut HashSet<u64>) -> R) -> R {
        change(&mut self.under_way.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn due(sim: &Sim) -> Result<Vec<u64>, LedgerError> {
    let now = sim.clock.now_ms();
    let ids = |record: &Record| record.notice.id;
    sim.ledger.read(|book| book.notices.due(now, vbank::settings(sim, book).speed).map(ids).collect()).await
}

/// Sends what is due until `stop` says so. What is under way then is cut off and sent again after a restart.
pub async fn run(sim: Shared, mut stop: watch::Receiver<bool>) {
    let mut rounds = JoinSet::new();
    loop {
        match due(&sim).await {
            Ok(ids) => {
                for id in ids {
                    if sim.courier.with(|under_way| under_way.insert(id)) {
                        rounds.spawn(round(sim.clone(), id));
                    }
                }
            }
            Err(error) => tracing::error!(%error, "no notices are sent"),
        }
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            Some(_) = rounds.join_next(), if !rounds.is_empty() => {}
            () = sim.ledger.notice_queued() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

/// One round: as many copies as the dress says, at once. Whether it is due is asked again: another round may have ended
/// since the list was made.
async fn round(sim: Shared, id: u64) {
    let now = sim.clock.now_ms();
    let still = sim.ledger.peek(|book| {
        let speed = vbank::settings(&sim, book).speed;
        let record = book.notices.get(id);
        record.filter(|record| record.next_at(speed).is_some_and(|at| at <= now)).cloned()
    });
    let permit = sim.courier.permits.acquire().await;
    if let (Some(record), Ok(_permit)) = (still, permit) {
        let number = record.rounds() + 1;
        let copies =
            (0..record.notice.dress.copies.max(1)).map(|_| attempt(&sim, &record.notice, Some(number)));
        for tried in futures_util::future::join_all(copies).await {
            if let Err(error) = tried {
                tracing::error!(%error, "a try of a notice is not booked");
            }
        }
    }
    sim.courier.with(|under_way| under_way.remove(&id));
    sim.courier.done.notify_waiters();
}

/// Sends once and books what came back.
///
/// # Errors
/// It could not be booked.
pub async fn attempt(sim: &Sim, notice: &Notice, round: Option<usize>) -> Result<Try, LedgerError> {
    let timeout = Duration::from_millis(sim.ledger.peek(|book| vbank::settings(sim, book).timeout_ms));
    let answered = send::send(notice, timeout).await;
    let at = sim.clock.now_ms();
    let tried = match answered {
        Ok(answered) => Try {
            at,
            round,
            status: Some(answered.status),
            answer: String::from_utf8_lossy(&answered.body).chars().take(ANSWER_KEPT).collect(),
            error: None,
            // Whether INICIS looks at the status is not documented; a 200 is wanted here.
            accepted: answered.status == 200 && answered.body == notice.kind.wanted().as_bytes(),
        },
        Err(error) => {
            Try { at, round, status: None, answer: String::new(), error: Some(error), accepted: false }
        }
    };
    sim.ledger.note(Event::NoticeTried { id: notice.id, tried: Box::new(tried.clone()) }).await?;
    Ok(tried)
}

/// Waits until no notice is due or under way; `false` when the time was not enough.
///
/// # Errors
/// The ledger.
pub async fn settle(sim: &Sim, timeout: Duration) -> Result<bool, LedgerError> {
    let until = tokio::time::Instant::now() + timeout;
    loop {
        let done = sim.courier.done.notified();
        if due(sim).await?.is_empty() && sim.courier.with(|under_way| under_way.is_empty()) {
            return Ok(true);
        }
        if tokio::time::Instant::now() >= until {
            return Ok(false);
        }
        let _ = tokio::time::timeout(LOOK_EVERY, done).await;
    }
}
