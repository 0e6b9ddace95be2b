//! Throwing away what is over. Invariant: only what nobody can ask for any more goes, in small transactions, so that a long
//! pile delays nothing: answers of expired keys, finished jobs, records of calls past their time, and retired secrets that no
//! payment needs.

use payhost_store::rows::{calls, channels, idempotency, jobs as rows};
use payhost_store::{Error, Tx};

use super::Done;
use crate::host::Host;

/// Rows of one transaction.
const BATCH: i64 = 500;
/// Transactions of one kind in one run; the next run goes on.
const ROUNDS: usize = 200;
/// Finished jobs are kept so long, in microseconds: a week, for whoever looks what happened.
const JOBS_US: i64 = 7 * 24 * 3600 * 1_000_000;
/// Retired secrets are kept at least so long, in microseconds: a day, for what had read them and was not written yet.
const SECRETS_US: i64 = 24 * 3600 * 1_000_000;
/// How often to look, in microseconds: every hour.
const EVERY_US: i64 = 3600 * 1_000_000;

/// Throws away what is over, and comes again in an hour.
pub async fn tidy(host: &Host) -> Result<Done, String> {
    let now_us = host.now_us();
    let mut gone = [0; 4];
    gone[0] = rounds(host, move |tx| idempotency::purge(tx, now_us, BATCH)).await?;
    gone[1] = rounds(host, move |tx| rows::purge_done(tx, now_us.saturating_sub(JOBS_US), BATCH)).await?;
    gone[2] = rounds(host, move |tx| calls::forget(tx, now_us, BATCH)).await?;
    gone[3] = secrets(host, now_us.saturating_sub(SECRETS_US)).await?;
    let [keys, jobs, records, secrets] = gone;
    tracing::debug!(keys, jobs, records, secrets, "tidied");
    Ok(Done::Again(now_us.saturating_add(EVERY_US), "it comes again".to_owned()))
}

/// Repeats a bounded deletion until it finds less than a batch.
async fn rounds(
    host: &Host,
    work: impl Fn(&mut Tx<'_>) -> Result<u64, Error> + Copy + Send + 'static,
) -> Result<u64, String> {
    let mut gone = 0_u64;
    for _ in 0..ROUNDS {
        let now = host.store().transact(work).await.map_err(|error| error.to_string())?;
        gone = gone.saturating_add(now);
        if now < u64::try_from(BATCH).unwrap_or(0) {
            break;
        }
    }
    Ok(gone)
}

async fn secrets(host: &Host, before_us: i64) -> Result<u64, String> {
    let (mut gone, mut after) = (0_u64, None);
    for _ in 0..ROUNDS {
        let found = host.store().read(move |tx| channels::with_retired_secrets(tx, before_us, after, BATCH));
        let found = found.await.map_err(|error: Error| error.to_string())?;
        let Some((_, last)) = found.last().copied() else { break };
        after = Some(last);
        for channel in found {
            let purged = host.store().transact(move |tx| channels::purge_secrets(tx, channel, before_us));
            gone = gone.saturating_add(purged.await.map_err(|error: Error| error.to_string())?);
        }
    }
    Ok(gone)
}
