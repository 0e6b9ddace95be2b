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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
    use std::time::Duration;

    use payhost_core::id::{CallId, ShopId};
    use payhost_store::Sealed;
    use payhost_store::rows::calls::{self, Call};
    use payhost_store::rows::jobs::get;

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

    async fn call(host: &Host, id: CallId) -> Call {
        let call: Result<_, Error> = host.store().read(move |tx| calls::get_of_any_shop(tx, id)).await;
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
        ensure(&host).await;
        let planned: Result<_, Error> = host.store().read(|tx| get(tx, "tidy")).await;
        assert_eq!(planned.unwrap().unwrap().due_us, now_us, "the job is a row");
        let again = |at_us| Done::Again(at_us, "until the next time".to_owned());
        clock.0.store(now_us + 2 * DAY_US - 1, Relaxed);
        assert_eq!(tidy(&host).await.unwrap(), again(host.now_us() + EVERY_US));
        assert!(call(&host, old).await.record.is_some(), "not a microsecond too early");
        clock.0.store(now_us + 2 * DAY_US, Relaxed);
        tidy(&host).await.unwrap();
        let forgotten = call(&host, old).await;
        assert_eq!((forgotten.record, forgotten.record_digest.as_deref()), (None, Some("kept")));
        assert!(call(&host, new).await.record.is_some());
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
            while call(&looking, id).await.record.is_some() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), host.run_jobs(gone)).await.unwrap();
        host.close().await;
    }
}
