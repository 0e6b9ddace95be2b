//! One lane's runner. Invariant: what is due is claimed by shop in turn, with a share for each ([`super::turns`]), so that a
//! shop with any number of due jobs, or with jobs that wait for a silent server, delays no other.
//!
//! The share is of this process; several on one database have one each.

use std::time::Duration;

use payhost_core::id::ShopId;
use payhost_store::Error;
use payhost_store::rows::jobs::{self as rows, Claim, Due, Job, Lane};
use tokio::sync::Notify;

use super::crowd::Crowd;
use super::turns::Room;
use super::{LEASE_US, one};
use crate::host::{Host, hex, random};

/// Longest rest between two looks, in case a wake-up was lost.
const REST: Duration = Duration::from_secs(1);
/// The same while jobs are due that have no slot: other processes ring no bell here.
const CROWDED: Duration = Duration::from_millis(100);
/// Shortest rest, so that jobs which cannot be claimed do not keep a processor busy.
const SHORTEST: Duration = Duration::from_millis(5);

/// How many jobs are done at once.
fn room(host: &Host, lane: Lane) -> Room {
    match lane {
        Lane::Work => Room { at_work: 64, in_all: 512, per_shop: host.jobs_per_shop() },
        Lane::Forward => Room { at_work: 16, in_all: 128, per_shop: 4 },
    }
}

fn bell(host: &Host, lane: Lane) -> &Notify {
    match lane {
        Lane::Work => host.jobs(),
        Lane::Forward => host.forwards(),
    }
}

/// Jobs that are being done; no shop: the host's own.
type Jobs = Crowd<ShopId>;

/// Does jobs of a lane until `stop` rings; what is running then is finished first. A job that is slow, or panics, delays no other.
pub async fn run(host: &Host, lane: Lane, stop: impl Future<Output = ()>) {
    tokio::pin!(stop);
    let mut running = Jobs::new(room(host, lane));
    let mut walked = None;
    loop {
        let woken = bell(host, lane).notified();
        let pause = match pass(host, lane, &mut running, &mut walked).await {
            Ok(pause) => pause,
            Err(error) => {
                tracing::error!(%error, "jobs cannot be read");
                REST
            }
        };
        tokio::select! {
            biased;
            () = &mut stop => break,
            () = woken => {}
            Some(()) = running.one_ended() => {}
            () = tokio::time::sleep(pause) => {}
        }
        // Every payment rings several times, and jobs end in crowds: one look and one claim for all of them.
        tokio::select! {
            biased;
            () = &mut stop => break,
            () = tokio::time::sleep(SHORTEST) => {}
        }
        running.all_ended();
    }
    while running.one_ended().await.is_some() {}
}

/// Begins what has its turn; how long to rest then.
async fn pass(
    host: &Host,
    lane: Lane,
    running: &mut Jobs,
    walked: &mut Option<ShopId>,
) -> Result<Duration, Error> {
    let free = running.free();
    if free == 0 {
        return Ok(CROWDED);
    }
    let (now_us, from) = (host.now_us(), *walked);
    let due: Due = host.store().read(move |tx| rows::look(tx, lane, now_us, from)).await?;
    *walked = due.walked;
    if due.shops.is_empty() {
        let left = due.next_us.map(|due_us| due_us.saturating_sub(host.now_us()).max(0));
        let left = left.and_then(|us| u64::try_from(us).ok()).map_or(REST, Duration::from_micros);
        return Ok(left.clamp(SHORTEST, REST));
    }
    let count = |jobs: i64| usize::try_from(jobs).unwrap_or(usize::MAX);
    let wanting: Vec<_> = due.shops.into_iter().map(|(shop, jobs)| (shop, count(jobs))).collect();
    let given = running.deal(free, &wanting);
    if given.is_empty() {
        // The next look may see other shops.
        return Ok(if walked.is_some() { SHORTEST } else { CROWDED });
    }
    let token = hex(&random::<16>());
    for job in claim(host, lane, given, now_us, token.clone()).await? {
        running.begin(job.shop_id, one(host.clone(), job, token.clone()));
    }
    Ok(SHORTEST)
}

async fn claim(
    host: &Host,
    lane: Lane,
    given: Vec<(ShopId, usize)>,
    now_us: i64,
    token: String,
) -> Result<Vec<Job>, Error> {
    let shops: Vec<_> =
        given.into_iter().map(|(shop, slots)| (shop, i64::try_from(slots).unwrap_or(i64::MAX))).collect();
    let lease_until_us = now_us.saturating_add(LEASE_US);
    let claimed = host
        .store()
        .transact(move |tx| rows::claim(tx, &Claim { lane, now_us, lease_until_us, token: &token }, &shops));
    claimed.await
}
