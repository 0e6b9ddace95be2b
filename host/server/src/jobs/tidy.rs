//! What is kept for a time only. Invariant: a call's record is gone within an hour of its time, and its digest stays; nothing
//! that money depends on is forgotten here.

use payhost_store::Error;
use payhost_store::rows::{calls, idempotency, jobs as rows};

use super::{Done, Task, enqueue};
use crate::host::Host;

/// From one time to the next, in microseconds.
const EVERY_US: i64 = 3600 * 1_000_000;
/// Most records that are forgotten in one transaction: nobody waits for the writer long.
const BATCH: i64 = 500;
/// How long jobs that were done are kept for whoever looks, in microseconds: a week.
const DONE_KEPT_US: i64 = 7 * 24 * 3600 * 1_000_000;

/// Writes the task down, in case this is the first start.
pub async fn ensure(host: &Host) {
    let host_in = host.clone();
    let now_us = host.now_us();
    let made = host.store().transact(move |tx| enqueue(tx, &host_in, &Task::Tidy, now_us));
    let made: Result<(), Error> = made.await;
    if let Err(error) = made {
        tracing::error!(%error, "the tidying cannot be planned; it is at the next start");
    }
}

/// Forgets what is over.
pub async fn tidy(host: &Host) -> Result<Done, String> {
    let now_us = host.now_us();
    let done = host.store().transact(move |tx| {
        let forgotten = calls::forget(tx, now_us, BATCH)?;
        let more = i64::try_from(forgotten).is_ok_and(|forgotten| forgotten >= BATCH);
        if !more {
            idempotency::purge(tx, now_us)?;
            rows::purge_done(tx, now_us.saturating_sub(DONE_KEPT_US))?;
        }
        let due_us = if more { now_us } else { now_us.saturating_add(EVERY_US) };
        Ok(Done::Again(due_us, "until the next time".to_owned()))
    });
    let done: Result<Done, Error> = done.await;
    done.map_err(|error| error.to_string())
}
