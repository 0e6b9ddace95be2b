//! How often somebody may ask. Invariant: a key, a shop and an address each have a rate that they cannot exceed for longer than
//! a burst; who tries keys that do not exist is not looked up any more after some; what is remembered of strangers has a fixed
//! size, whatever they send.
//!
//! Addresses are counted in slots: as many as [`SLOTS`], by a hash that nobody outside can compute. Two addresses may share one;
//! nobody can choose with whom. An IPv6 address counts with its /64, which is one subscriber's.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use governor::clock::Clock as _;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use payhost_core::id::{KeyId, ShopId};

use super::problem::Problem;
use super::source::Source;

/// Slots for addresses.
const SLOTS: u64 = 1 << 18;
/// A burst is what is allowed in so many seconds.
const BURST_S: u32 = 4;
/// Keys and shops that are remembered before those that did not ask lately are forgotten.
const REMEMBERED: usize = 1 << 16;

/// How many requests are answered, by whom they are from; 0 is without a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestLimits {
    /// In a second, with one API key.
    pub per_key: u32,
    /// In a second, of one shop.
    pub per_shop: u32,
    /// In a second, from one address (`/notify/` and `/healthz` are not counted: notices have rules of their own).
    pub per_address: u32,
    /// Keys that do not exist, in a minute from one address.
    pub bad_keys: u32,
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self { per_key: 1000, per_shop: 1000, per_address: 1000, bad_keys: 30 }
    }
}

/// What was counted so far.
pub struct Limits {
    keys: Rate<KeyId>,
    shops: Rate<ShopId>,
    addresses: Rate<u64>,
    bad_keys: Rate<u64>,
    /// Slots of addresses that tried too many keys, and until when they are not looked up.
    shut: Mutex<HashMap<u64, Instant>>,
    /// Which key was good from which address: others behind the same address may try as they like.
    good: Mutex<HashSet<u64>>,
    hasher: RandomState,
}

impl Limits {
    /// Nothing was counted yet.
    pub fn new(limits: RequestLimits) -> Self {
        let per_second = |rate: u32| {
            let rate = NonZeroU32::new(rate)?;
            Some(Quota::per_second(rate).allow_burst(rate.saturating_mul(NonZeroU32::new(BURST_S)?)))
        };
        Self {
            keys: Rate::new(per_second(limits.per_key)),
            shops: Rate::new(per_second(limits.per_shop)),
            addresses: Rate::new(per_second(limits.per_address)),
            bad_keys: Rate::new(NonZeroU32::new(limits.bad_keys).map(Quota::per_minute)),
            shut: Mutex::default(),
            good: Mutex::default(),
            hasher: RandomState::new(),
        }
    }

    /// Counts a request from an address.
    pub fn address(&self, source: Source) -> Result<(), Problem> {
        let counted = self.addresses.count(&self.slot(source));
        counted.map_err(|wait| Problem::too_many("too many requests from this address; ask less often", wait))
    }

    /// Counts a request with a valid key.
    pub fn key(&self, key: KeyId, shop: Option<ShopId>) -> Result<(), Problem> {
        let counted = self.keys.count(&key);
        counted.map_err(|wait| Problem::too_many("too many requests with this key; ask less often", wait))?;
        let Some(shop) = shop else { return Ok(()) };
        let counted = self.shops.count(&shop);
        counted.map_err(|wait| Problem::too_many("too many requests of this shop; ask less often", wait))
    }

    /// Whether a key may be looked up.
    pub fn may_try(&self, source: Option<Source>, key: &str) -> Result<(), Problem> {
        let Some(source) = source else { return Ok(()) };
        let now = Instant::now();
        let until = self.shut().get(&self.slot(source)).copied().filter(|until| *until > now);
        match until {
            Some(until) if !self.good().contains(&self.pair(source, key)) => {
                let words =
                    "too many keys that are not valid came from this address; wait, and look at the key";
                Err(Problem::too_many(words, until.duration_since(now)))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// A key does not exist, or not any more.
    pub fn was_bad(&self, source: Option<Source>, key: &str) {
        let Some(source) = source else { return };
        self.good().remove(&self.pair(source, key));
        let slot = self.slot(source);
        if let Err(wait) = self.bad_keys.count(&slot) {
            let now = Instant::now();
            let mut shut = self.shut();
            shut.retain(|_, until| *until > now);
            shut.insert(slot, now + wait);
        }
    }

    /// A key is valid.
    pub fn was_good(&self, source: Option<Source>, key: &str) {
        let Some(source) = source else { return };
        let mut good = self.good();
        if good.len() >= REMEMBERED {
            good.clear();
        }
        good.insert(self.pair(source, key));
    }

    fn slot(&self, Source(address): Source) -> u64 {
        let network = match address.to_canonical() {
            IpAddr::V4(address) => u128::from(address.to_bits()),
            IpAddr::V6(address) => Ipv6Addr::to_bits(address) >> 64 << 64,
        };
        self.hasher.hash_one(network) % SLOTS
    }

    fn pair(&self, source: Source, key: &str) -> u64 {
        self.hasher.hash_one((source, key))
    }

    fn shut(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Instant>> {
        self.shut.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn good(&self) -> std::sync::MutexGuard<'_, HashSet<u64>> {
        self.good.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A rate for each of many, or none.
struct Rate<K: Hash + Eq + Clone>(Option<DefaultKeyedRateLimiter<K>>);

impl<K: Hash + Eq + Clone> Rate<K> {
    fn new(quota: Option<Quota>) -> Self {
        Self(quota.map(RateLimiter::keyed))
    }

    /// Counts one, or says how long to wait for the next.
    fn count(&self, who: &K) -> Result<(), Duration> {
        let Some(limiter) = &self.0 else { return Ok(()) };
        if limiter.len() > REMEMBERED {
            limiter.retain_recent();
        }
        limiter.check_key(who).map_err(|until| until.wait_time_from(limiter.clock().now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source(text.parse().unwrap())
    }

    fn limits(per_address: u32, bad_keys: u32) -> Limits {
        Limits::new(RequestLimits { per_key: 2, per_shop: 3, per_address, bad_keys })
    }

    #[test]
    fn a_burst_is_answered_and_then_the_rate_counts_for_each_alone() {
        let limits = limits(1, 0);
        let (one, other) = (source("203.0.113.1"), source("203.0.113.2"));
        let answered = (0..50).filter(|_| limits.address(one).is_ok()).count();
        assert!((4..=6).contains(&answered), "{answered}");
        let problem = limits.address(one).unwrap_err();
        assert_eq!((problem.status, problem.code), (429, "too_many_requests"));
        assert!(problem.retry_after_s.is_some_and(|seconds| (1..=2).contains(&seconds)));
        limits.address(other).unwrap();
        // The keys of one shop are counted together as well.
        let shop = ShopId::new(1, [1; 10]);
        let keys: Vec<KeyId> = (0..3).map(|at| KeyId::new(1, [at; 10])).collect();
        let answered = (0..60).filter(|at| limits.key(keys[at % 3], Some(shop)).is_ok()).count();
        assert!((12..=16).contains(&answered), "{answered}");
        limits.key(KeyId::new(1, [9; 10]), Some(ShopId::new(1, [2; 10]))).unwrap();
    }

    #[test]
    fn keys_cannot_be_tried_without_end_and_a_good_one_behind_the_same_address_goes_on() {
        let limits = limits(0, 5);
        let nat = Some(source("2001:db8::1"));
        limits.was_good(nat, "sk_good");
        let mut looked_up = 0;
        for at in 0..100 {
            let key = format!("sk_{at}");
            // Another address of the same subscriber.
            let from = Some(source(&format!("2001:db8::{at:x}")));
            if limits.may_try(from, &key).is_ok() {
                looked_up += 1;
                limits.was_bad(from, &key);
            }
        }
        assert!((5..=7).contains(&looked_up), "{looked_up}");
        limits.may_try(nat, "sk_good").unwrap();
        limits.may_try(Some(source("203.0.113.2")), "sk_other").unwrap();
        // Revoked: from now on one of those that do not exist.
        limits.was_bad(nat, "sk_good");
        assert_eq!(limits.may_try(nat, "sk_good").unwrap_err().status, 429);
    }

    #[test]
    fn what_is_remembered_of_strangers_has_a_fixed_size() {
        let limits = limits(1, 1);
        for at in 0..400_000_u32 {
            let stranger = Source(IpAddr::from(at.to_be_bytes()));
            let _ = limits.address(stranger);
        }
        let slots = limits.addresses.0.as_ref().unwrap().len();
        assert!(slots <= usize::try_from(SLOTS).unwrap(), "{slots}");
    }

    #[test]
    fn nothing_is_counted_where_there_is_no_limit() {
        let limits = Limits::new(RequestLimits { per_key: 0, per_shop: 0, per_address: 0, bad_keys: 0 });
        let from = source("203.0.113.1");
        for _ in 0..10_000 {
            limits.address(from).unwrap();
            limits.was_bad(Some(from), "x");
            limits.may_try(Some(from), "x").unwrap();
        }
    }
}
