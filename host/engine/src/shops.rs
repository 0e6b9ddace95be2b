//! No shop takes the network or the turns from the others, and what each one used is known; the memory for it is bounded.
//!
//! At most [`crate::Options::calls_per_shop`] calls of a shop hold one of the engine's turns; the others of that shop wait for
//! each other, not in front of anybody else.
//! A plugin call has one connection at a time, because an instance has one thread; a shop has at most
//! [`crate::Options::requests_per_shop`] of them under way, whatever the number of its calls.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use tokio::sync::Semaphore;

use crate::called::Cost;
use crate::fault::Fault;

/// What the calls of one shop used since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ShopFigures {
    /// Calls that ended.
    pub calls: u64,
    /// Of these, those that ended with a fault.
    pub faults: u64,
    /// Time on a processor, microseconds.
    pub cpu_us: u64,
    /// Requests that left, or could have.
    pub requests: u64,
    /// Requests that did not get a connection within the shop's quota.
    pub over_quota: u64,
}

impl ShopFigures {
    fn add(&mut self, other: Self) {
        let Self { calls, faults, cpu_us, requests, over_quota } = self;
        *calls = calls.saturating_add(other.calls);
        *faults = faults.saturating_add(other.faults);
        *cpu_us = cpu_us.saturating_add(other.cpu_us);
        *requests = requests.saturating_add(other.requests);
        *over_quota = over_quota.saturating_add(other.over_quota);
    }
}

/// One shop, while it has calls and for as long as there is room.
#[derive(Debug)]
pub(crate) struct Shop {
    /// Its calls that may hold a turn.
    pub(crate) turns: Semaphore,
    /// Its requests that may be under way.
    pub(crate) connections: Semaphore,
    calls: AtomicU64,
    faults: AtomicU64,
    cpu_us: AtomicU64,
    requests: AtomicU64,
    over_quota: AtomicU64,
}

impl Shop {
    fn new(turns: usize, connections: usize) -> Self {
        Self {
            turns: Semaphore::new(turns.min(Semaphore::MAX_PERMITS)),
            connections: Semaphore::new(connections.min(Semaphore::MAX_PERMITS)),
            calls: AtomicU64::new(0),
            faults: AtomicU64::new(0),
            cpu_us: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            over_quota: AtomicU64::new(0),
        }
    }

    pub(crate) fn ended(&self, fault: Option<&Fault>, cost: &Cost) {
        self.calls.fetch_add(1, Relaxed);
        if fault.is_some() {
            self.faults.fetch_add(1, Relaxed);
        }
        self.cpu_us.fetch_add(u64::try_from(cost.cpu.as_micros()).unwrap_or(u64::MAX), Relaxed);
    }

    pub(crate) fn requested(&self, within_quota: bool) {
        let counter = if within_quota { &self.requests } else { &self.over_quota };
        counter.fetch_add(1, Relaxed);
    }

    fn figures(&self) -> ShopFigures {
        ShopFigures {
            calls: self.calls.load(Relaxed),
            faults: self.faults.load(Relaxed),
            cpu_us: self.cpu_us.load(Relaxed),
            requests: self.requests.load(Relaxed),
            over_quota: self.over_quota.load(Relaxed),
        }
    }
}

/// Shops that are kept apart; beyond that, idle ones are summed up as the shop without a name.
const KEPT: usize = 20_000;

/// All shops that were seen.
#[derive(Debug)]
pub(crate) struct Shops {
    turns: usize,
    connections: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    shops: HashMap<String, Arc<Shop>>,
    others: ShopFigures,
}

impl Shops {
    pub(crate) fn new(turns: usize, connections: usize) -> Self {
        Self { turns, connections, state: Mutex::default() }
    }

    /// The shop of this id; held as long as a call of it runs.
    pub(crate) fn of(&self, id: &str) -> Arc<Shop> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shop) = state.shops.get(id) {
            return shop.clone();
        }
        if state.shops.len() >= KEPT {
            state.forget_idle();
        }
        let shop = Arc::new(Shop::new(self.turns, self.connections));
        state.shops.insert(id.to_owned(), shop.clone());
        shop
    }

    pub(crate) fn figures(&self) -> Vec<(String, ShopFigures)> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut figures: Vec<_> = state.shops.iter().map(|(id, shop)| (id.clone(), shop.figures())).collect();
        if state.others != ShopFigures::default() {
            figures.push((String::new(), state.others));
        }
        figures.sort_by(|(one, _), (other, _)| one.cmp(other));
        figures
    }
}

impl State {
    fn forget_idle(&mut self) {
        let others = &mut self.others;
        self.shops.retain(|_, shop| {
            let busy = Arc::strong_count(shop) > 1;
            if !busy {
                others.add(shop.figures());
            }
            busy
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_shops_are_summed_up_when_there_are_too_many_and_busy_ones_stay() {
        let shops = Shops::new(1, 1);
        let busy = shops.of("busy");
        for number in 0..KEPT {
            shops.of(&number.to_string()).ended(None, &Cost::default());
        }
        busy.ended(None, &Cost::default());
        let figures = shops.figures();
        assert!(figures.len() <= 3, "{}", figures.len());
        assert_eq!(figures.iter().map(|(_, figures)| figures.calls).sum::<u64>(), KEPT as u64 + 1);
        assert!(Arc::ptr_eq(&busy, &shops.of("busy")));
    }
}
