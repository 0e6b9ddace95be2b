//! The runner. Invariant: what is to be sent is in rows, and rows alone say who sends it; a node that dies leaves nothing but a
//! lease that ends. Shops have their turns one after the other, each with a share ([`crate::jobs::turns`]): whatever one is sent,
//! and however its receivers behave, no other is told later.
//!
//! Endpoints where nothing arrives, and those that take long to answer, stand in a queue of their own: however many there are,
//! those that answer have their turns.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use payhost_core::id::ShopId;
use payhost_store::Error;
use payhost_store::rows::endpoints::{self, Claim, Queue};
use payhost_store::rows::events;

use super::expand::expand;
use super::turn::{Turn, lease_us};
use crate::host::{Host, hex, random};
use crate::jobs::crowd::Crowd;
use crate::jobs::turns::Room;

/// Endpoints that have their turn at once, in each queue; with those whose receiver lets a try wait.
const TURNS: usize = 64;
const TURNS_IN_ALL: usize = 512;
/// Deliveries that are written in one transaction, and of how many shops: a few milliseconds, for which other writes wait.
const PART: usize = 128;
const PART_SHOPS: usize = 32;
/// Longest rest between two looks: events that nobody rings for wait so long.
const REST: Duration = Duration::from_millis(250);
/// Shortest rest.
const SHORTEST: Duration = Duration::from_millis(5);

/// What is being done.
struct Runner {
    host: Host,
    stopping: Arc<AtomicBool>,
    /// Turns that are being taken.
    turns: [(Queue, Crowd<ShopId>); 2],
    /// The shop whose events were handed on last.
    handed: Option<ShopId>,
}

/// What there is to do.
struct Look {
    outbox: Vec<ShopId>,
    due: [Vec<(ShopId, i64)>; 2],
    next_us: Option<i64>,
}

/// Sends until `stop` rings; tries that run then are ended first.
pub async fn run(host: Host, stop: impl Future<Output = ()>) {
    tokio::pin!(stop);
    let mut runner = Runner::new(host.clone());
    loop {
        let woken = host.settled().notified();
        let pause = match runner.pass().await {
            Ok(pause) => pause,
            Err(error) => {
                tracing::error!(%error, "webhooks cannot be read");
                REST
            }
        };
        let [(_, working), (_, ailing)] = &mut runner.turns;
        tokio::select! {
            biased;
            () = &mut stop => break,
            () = woken => {}
            Some(()) = working.one_ended() => {}
            Some(()) = ailing.one_ended() => {}
            () = tokio::time::sleep(pause) => {}
        }
        // Every payment rings several times: what rang meanwhile is seen in one look.
        tokio::select! {
            biased;
            () = &mut stop => break,
            () = tokio::time::sleep(SHORTEST) => {}
        }
        for (_, turns) in &mut runner.turns {
            turns.all_ended();
        }
    }
    runner.stopping.store(true, Relaxed);
    for (_, turns) in &mut runner.turns {
        while turns.one_ended().await.is_some() {}
    }
}

impl Runner {
    fn new(host: Host) -> Self {
        let per_shop = host.webhook_options().per_shop.max(1);
        let room = Room { at_work: TURNS, in_all: TURNS_IN_ALL, per_shop };
        let turns = [Queue::Working, Queue::Ailing].map(|queue| (queue, Crowd::new(room)));
        Self { host, stopping: Arc::default(), turns, handed: None }
    }

    /// Hands events on and begins turns; how long to rest then.
    async fn pass(&mut self) -> Result<Duration, Error> {
        let mut seen = self.look().await?;
        let mut more = false;
        if !seen.outbox.is_empty() {
            more = self.hand_on(seen.outbox).await?;
            seen = self.look().await?;
        }
        let mut begun = false;
        for ((queue, turns), due) in self.turns.iter_mut().zip(seen.due) {
            let count = |endpoints: i64| usize::try_from(endpoints).unwrap_or(usize::MAX);
            let wanting: Vec<_> = due.into_iter().map(|(shop, endpoints)| (shop, count(endpoints))).collect();
            let given = turns.deal(turns.free(), &wanting);
            if given.is_empty() {
                continue;
            }
            for turn in claim(&self.host, *queue, given).await? {
                begun = true;
                let stopping = Arc::clone(&self.stopping);
                turns.begin(turn.shop(), async move { turn.take(&stopping).await });
            }
        }
        if more || begun {
            return Ok(SHORTEST);
        }
        let left = seen.next_us.map(|due_us| due_us.saturating_sub(self.host.now_us()).max(0));
        let left = left.and_then(|us| u64::try_from(us).ok()).map_or(REST, Duration::from_micros);
        Ok(left.clamp(SHORTEST, REST))
    }

    async fn look(&self) -> Result<Look, Error> {
        let (now_us, after) = (self.host.now_us(), self.handed);
        let limit = i64::try_from(PART_SHOPS).unwrap_or(i64::MAX);
        let read = self.host.store().read(move |tx| {
            let mut outbox = events::shops_in_outbox(tx, after, limit)?;
            if outbox.is_empty() && after.is_some() {
                outbox = events::shops_in_outbox(tx, None, limit)?;
            }
            Ok(Look {
                outbox,
                due: [
                    endpoints::due(tx, Queue::Working, now_us)?,
                    endpoints::due(tx, Queue::Ailing, now_us)?,
                ],
                next_us: endpoints::next_due_after(tx, now_us)?,
            })
        });
        read.await
    }

    /// Hands events of these shops on, of each as many; whether there may be more.
    async fn hand_on(&mut self, shops: Vec<ShopId>) -> Result<bool, Error> {
        let now_us = self.host.now_us();
        let each = (PART / shops.len().max(1)).max(1);
        self.handed = shops.last().copied();
        let more = shops.len() >= PART_SHOPS;
        let handed: Result<bool, Error> = self
            .host
            .store()
            .transact(move |tx| {
                let mut is_full = false;
                for shop in shops {
                    is_full |= expand(tx, shop, now_us, each)?;
                }
                Ok(is_full)
            })
            .await;
        Ok(more || handed?)
    }
}

async fn claim(host: &Host, queue: Queue, given: Vec<(ShopId, usize)>) -> Result<Vec<Turn>, Error> {
    let (now_us, token) = (host.now_us(), hex(&random::<16>()));
    let (lease_until_us, mine) = (now_us.saturating_add(lease_us(host)), token.clone());
    let shops: Vec<_> =
        given.into_iter().map(|(shop, turns)| (shop, i64::try_from(turns).unwrap_or(i64::MAX))).collect();
    let claimed: Result<Vec<_>, Error> = host
        .store()
        .transact(move |tx| {
            endpoints::claim(tx, &Claim { queue, now_us, lease_until_us, token: &mine }, &shops)
        })
        .await;
    Ok(claimed?.into_iter().map(|endpoint| Turn::new(host.clone(), endpoint, token.clone())).collect())
}

/// Sends everything that is due, for tests.
#[cfg(test)]
pub async fn drain(host: &Host) {
    while once(host).await > 0 {}
}

/// One turn of each that has something due, for tests; how many that were.
#[cfg(test)]
pub async fn once(host: &Host) -> usize {
    let mut runner = Runner::new(host.clone());
    runner.pass().await.unwrap();
    let mut taken = 0;
    for (_, turns) in &mut runner.turns {
        while turns.one_ended().await.is_some() {
            taken += 1;
        }
    }
    taken
}
