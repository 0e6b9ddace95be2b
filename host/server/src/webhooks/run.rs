//! The runner. Invariant: what is to be sent is in rows, and rows alone say who sends it; a node that dies leaves nothing but a
//! lease that ends.
//!
//! Endpoints where nothing arrives stand in a queue of their own: however many there are, those that answer have their turns.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use payhost_store::Error;
use payhost_store::rows::{endpoints, events};
use tokio::task::JoinSet;

use super::expand::expand;
use super::turn::{Turn, lease_us};
use crate::host::{Host, hex, random};

/// Endpoints that have their turn at once, in each of the two queues.
const TURNS: i64 = 64;
/// Events that are handed on in one transaction.
const PART: usize = 128;
/// Longest rest between two looks: events that nobody rings for wait so long.
const REST: Duration = Duration::from_millis(250);
/// Shortest rest.
const SHORTEST: Duration = Duration::from_millis(5);

/// What there is to do.
struct Look {
    outbox: bool,
    claimable: [bool; 2],
    next_us: Option<i64>,
}

/// Sends until `stop` rings; tries that run then are ended first.
pub async fn run(host: Host, stop: impl Future<Output = ()>) {
    tokio::pin!(stop);
    let stopping = Arc::new(AtomicBool::new(false));
    // Turns by queue: those of endpoints that work, those of endpoints that fail.
    let mut turns = [JoinSet::new(), JoinSet::new()];
    loop {
        let woken = host.settled().notified();
        let pause = match pass(&host, &mut turns, &stopping).await {
            Ok(pause) => pause,
            Err(error) => {
                tracing::error!(%error, "webhooks cannot be read");
                REST
            }
        };
        let [working, failing] = &mut turns;
        tokio::select! {
            biased;
            () = &mut stop => break,
            () = woken => {}
            Some(ended) = working.join_next() => ended_badly(ended),
            Some(ended) = failing.join_next() => ended_badly(ended),
            () = tokio::time::sleep(pause) => {}
        }
        // Every payment rings several times: what rang meanwhile is seen in one look.
        tokio::select! {
            biased;
            () = &mut stop => break,
            () = tokio::time::sleep(SHORTEST) => {}
        }
        for queue in &mut turns {
            while let Some(ended) = queue.try_join_next() {
                ended_badly(ended);
            }
        }
    }
    stopping.store(true, Relaxed);
    for queue in &mut turns {
        while let Some(ended) = queue.join_next().await {
            ended_badly(ended);
        }
    }
}

/// A turn that panicked still holds its endpoint, which is free when the lease ends.
fn ended_badly(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a webhook turn panicked; it is taken again");
    }
}

/// Hands events on and begins turns; how long to rest then.
async fn pass(
    host: &Host,
    turns: &mut [JoinSet<()>; 2],
    stopping: &Arc<AtomicBool>,
) -> Result<Duration, Error> {
    let mut seen = look(host).await?;
    if seen.outbox {
        hand_on(host).await?;
        seen = look(host).await?;
    }
    for ((queue, claimable), failing) in turns.iter_mut().zip(seen.claimable).zip([false, true]) {
        let free = TURNS.saturating_sub(i64::try_from(queue.len()).unwrap_or(TURNS));
        if !claimable || free <= 0 {
            continue;
        }
        for turn in claim(host, failing, free).await? {
            let stopping = Arc::clone(stopping);
            queue.spawn(async move { turn.take(&stopping).await });
        }
    }
    let left = seen.next_us.map(|due_us| due_us.saturating_sub(host.now_us()).max(0));
    let left = left.and_then(|us| u64::try_from(us).ok()).map_or(REST, Duration::from_micros);
    Ok(left.clamp(SHORTEST, REST))
}

async fn look(host: &Host) -> Result<Look, Error> {
    let now_us = host.now_us();
    let read = host.store().read(move |tx| {
        Ok(Look {
            outbox: events::any_in_outbox(tx)?,
            claimable: [
                endpoints::any_claimable(tx, false, now_us)?,
                endpoints::any_claimable(tx, true, now_us)?,
            ],
            next_us: endpoints::next_due_after(tx, now_us)?,
        })
    });
    read.await
}

async fn hand_on(host: &Host) -> Result<(), Error> {
    let limit = i64::try_from(PART).unwrap_or(i64::MAX);
    loop {
        let now_us = host.now_us();
        let handed: Result<usize, Error> = host.store().transact(move |tx| expand(tx, now_us, limit)).await;
        if handed? < PART {
            return Ok(());
        }
    }
}

async fn claim(host: &Host, failing: bool, limit: i64) -> Result<Vec<Turn>, Error> {
    let (now_us, token) = (host.now_us(), hex(&random::<16>()));
    let (until_us, mine) = (now_us.saturating_add(lease_us(host)), token.clone());
    let claimed: Result<Vec<_>, Error> =
        host.store().transact(move |tx| endpoints::claim(tx, failing, now_us, until_us, &mine, limit)).await;
    Ok(claimed?.into_iter().map(|endpoint| Turn::new(host.clone(), endpoint, token.clone())).collect())
}

/// Sends everything that is due, for tests.
#[cfg(test)]
pub async fn drain(host: &Host) {
    let mut turns = [JoinSet::new(), JoinSet::new()];
    loop {
        pass(host, &mut turns, &Arc::new(AtomicBool::new(false))).await.unwrap();
        let mut taken = 0;
        for queue in &mut turns {
            while let Some(ended) = queue.join_next().await {
                ended.unwrap();
                taken += 1;
            }
        }
        if taken == 0 {
            return;
        }
    }
}
