//! Throwing away what is over. Invariant: only what nobody can ask for any more goes, in small transactions, so that a long
//! pile delays nothing: answers of expired keys, finished jobs, records of calls past their time, messages of gateways that
//! were acted on so long ago (what they did stays), notices that named no order of ours, those from unknown addresses that nobody
//! believed and no person decided about, and retired secrets and withdrawn grants that no payment needs.

use std::time::Duration;

use payhost_store::rows::host_jobs::{self, Claimed};
use payhost_store::rows::{calls, channels, idempotency, jobs as rows, notices, plugins};
use payhost_store::{Error, Tx};

use crate::host::{Host, hex, random};

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

/// How long one host may take before another begins, in microseconds.
const LEASE_US: i64 = 10 * 60 * 1_000_000;
/// When it is tried again after an error, in microseconds.
const AGAIN_US: i64 = 60 * 1_000_000;
/// How often the database is asked whether it is due, at most.
const PAUSE: Duration = Duration::from_secs(60);
/// Its row.
const KEY: &str = "tidy";

/// Throws away what is over whenever that is due, on one host of a database at a time.
pub async fn run(host: &Host, stop: impl Future<Output = ()>) {
    tokio::pin!(stop);
    loop {
        let pause = match pass(host).await {
            Ok(due_us) => u64::try_from(due_us.saturating_sub(host.now_us())).unwrap_or(0),
            Err(error) => {
                tracing::error!(%error, "what is over cannot be thrown away; it is tried again");
                u64::MAX
            }
        };
        tokio::select! {
            biased;
            () = &mut stop => return,
            () = tokio::time::sleep(Duration::from_micros(pause).min(PAUSE)) => {}
        }
    }
}

/// Does it if it is due; tells when it is due next.
pub async fn pass(host: &Host) -> Result<i64, String> {
    let (token, now_us) = (hex(&random::<16>()), host.now_us());
    let words = |error: Error| error.to_string();
    let own = token.clone();
    let lease_until_us = now_us.saturating_add(LEASE_US);
    let claimed =
        host.store().transact(move |tx| host_jobs::claim(tx, KEY, &own, now_us, lease_until_us)).await;
    if let Claimed::NotBefore(due_us) = claimed.map_err(words)? {
        return Ok(due_us);
    }
    let tidied = tidy(host).await;
    let next_us = now_us.saturating_add(if tidied.is_ok() { EVERY_US } else { AGAIN_US });
    let ended = host.store().transact(move |tx| host_jobs::end(tx, KEY, &token, next_us)).await;
    if !ended.map_err(words)? {
        tracing::warn!("another host has begun to throw away what is over");
    }
    tidied.map(|()| next_us)
}

/// Throws away what is over.
pub async fn tidy(host: &Host) -> Result<(), String> {
    let now_us = host.now_us();
    let mut gone = [0; 8];
    let before_us = now_us.saturating_sub(host.journal_kept_us());
    gone[0] = rounds(host, move |tx| idempotency::purge(tx, now_us, BATCH)).await?;
    gone[1] = rounds(host, move |tx| rows::purge_done(tx, now_us.saturating_sub(JOBS_US), BATCH)).await?;
    gone[2] = rounds(host, move |tx| calls::forget(tx, now_us, BATCH)).await?;
    gone[3] = secrets(host, now_us.saturating_sub(SECRETS_US)).await?;
    gone[4] = rounds(host, move |tx| notices::forget(tx, before_us, BATCH)).await?;
    let kept_us = i64::try_from(host.notice_limits().strange_kept.as_micros()).unwrap_or(i64::MAX);
    let strange_us = now_us.saturating_sub(kept_us);
    gone[5] = rounds(host, move |tx| notices::forget_strange(tx, strange_us, BATCH)).await?;
    let grants = host.store().transact(plugins::forget_grants).await;
    gone[6] = grants.map_err(|error: Error| error.to_string())?;
    gone[7] = rounds(host, move |tx| notices::forget_unbelieved(tx, before_us, BATCH)).await?;
    let [keys, jobs, records, secrets, messages, strange, grants, unbelieved] = gone;
    tracing::debug!(keys, jobs, records, secrets, messages, strange, grants, unbelieved, "tidied");
    Ok(())
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
        let Some(last) = found.last().copied() else { break };
        after = Some(last);
        for channel in found {
            let purged = host.store().transact(move |tx| channels::purge_secrets(tx, channel, before_us));
            gone = gone.saturating_add(purged.await.map_err(|error: Error| error.to_string())?);
        }
    }
    Ok(gone)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
    use std::time::Duration;

    use payhost_core::id::{CallId, ShopId};
    use payhost_store::Sealed;
    use payhost_store::rows::calls::{self, Call};

    use super::*;
    use crate::time::Clock;

    /// A clock that a test turns.
    struct Turned(AtomicI64);

    impl Clock for Turned {
        fn now_us(&self) -> i64 {
            self.0.load(Relaxed)
        }
    }

    const DAY_US: i64 = 24 * 3600 * 1_000_000;

    async fn shop(host: &Host) -> ShopId {
        let input = crate::ShopIn { name: "x".to_owned(), ..crate::ShopIn::default() };
        host.operator().create_shop(input).await.unwrap().id.parse().unwrap()
    }

    async fn journaled(host: &Host, shop: ShopId, kept_until_us: i64) -> CallId {
        let id = host.new_id(CallId::new);
        let call = Call {
            id,
            shop_id: shop,
            channel_id: None,
            payment_id: None,
            attempt_id: None,
            plugin_digest: "d".to_owned(),
            interface: "general-pay".to_owned(),
            function: "begin".to_owned(),
            at_us: host.now_us(),
            duration_us: 1,
            cpu_us: 1,
            memory_bytes: 1,
            fault: None,
            record: Some(Sealed::from_bytes(vec![1])),
            record_digest: Some("kept".to_owned()),
            kept_until_us,
        };
        let stored: Result<(), Error> = host.store().transact(move |tx| calls::insert(tx, &call)).await;
        stored.unwrap();
        id
    }

    async fn call(host: &Host, (shop, id): (ShopId, CallId)) -> Call {
        let call: Result<_, Error> = host.store().read(move |tx| calls::get(tx, shop, id)).await;
        call.unwrap().unwrap()
    }

    #[tokio::test]
    async fn a_records_time_is_a_setting_and_only_its_digest_outlives_it() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(Turned(AtomicI64::new(1_790_000_000_000_000)));
        let builder = Host::builder(folder.path()).clock(clock.clone());
        let host = builder.journal_kept(Duration::from_secs(2 * 24 * 3600)).open().await.unwrap();
        assert_eq!(host.journal_kept_us(), 2 * DAY_US);
        let shop = shop(&host).await;
        let now_us = host.now_us();
        let old = journaled(&host, shop, now_us + host.journal_kept_us()).await;
        let new = journaled(&host, shop, now_us + 2 * host.journal_kept_us()).await;
        clock.0.store(now_us + 2 * DAY_US - 1, Relaxed);
        let next_us = pass(&host).await.unwrap();
        assert_eq!(next_us, host.now_us() + EVERY_US);
        let planned: Result<_, Error> = host.store().read(|tx| host_jobs::get(tx, KEY)).await;
        assert_eq!(planned.unwrap().unwrap().due_us, next_us, "other hosts know when it is due");
        assert_eq!(pass(&host).await.unwrap(), next_us, "not before it is due");
        assert!(call(&host, (shop, old)).await.record.is_some(), "not a microsecond too early");
        clock.0.store(now_us + 2 * DAY_US, Relaxed);
        tidy(&host).await.unwrap();
        let forgotten = call(&host, (shop, old)).await;
        assert_eq!((forgotten.record, forgotten.record_digest.as_deref()), (None, Some("kept")));
        assert!(call(&host, (shop, new)).await.record.is_some());
        host.close().await;
    }

    #[tokio::test]
    async fn the_jobs_of_a_host_forget_by_themselves() {
        let folder = tempfile::tempdir().unwrap();
        let host = Host::builder(folder.path()).open().await.unwrap();
        let shop = shop(&host).await;
        let id = journaled(&host, shop, host.now_us()).await;
        let looking = host.clone();
        let gone = async move {
            while call(&looking, (shop, id)).await.record.is_some() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), host.run_jobs(gone)).await.unwrap();
        host.close().await;
    }
}
