//! How often somebody may ask. Invariant: a key, a shop and an address each have a rate that they cannot exceed for longer than
//! a burst; who tries keys that do not exist is told after some to wait, and nobody with a right key waits for that, from whatever
//! address the others come; what is remembered of strangers has a fixed size, whatever they send.
//!
//! Addresses are counted in slots: as many as [`SLOTS`], by a hash that nobody outside can compute. Two addresses may share one;
//! nobody can choose with whom. An IPv6 address counts with its /64, which is one subscriber's.

use std::hash::{BuildHasher as _, Hash, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::Duration;

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
    /// Keys that do not exist, in a minute from one address, before they are answered 429.
    pub bad_keys: u32,
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self { per_key: 1000, per_shop: 1000, per_address: 1000, bad_keys: 30 }
    }
}

/// What was counted so far.
pub struct Limits {
    keys: Rate<(Option<ShopId>, KeyId)>,
    shops: Rate<ShopId>,
    addresses: Rate<u64>,
    bad_keys: Rate<u64>,
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
        let counted = self.keys.count(&(shop, key));
        counted.map_err(|wait| Problem::too_many("too many requests with this key; ask less often", wait))?;
        let Some(shop) = shop else { return Ok(()) };
        let counted = self.shops.count(&shop);
        counted.map_err(|wait| Problem::too_many("too many requests of this shop; ask less often", wait))
    }

    /// Counts a key that does not exist, or not any more, and gives the answer. Keys are looked up before they are counted: a
    /// look-up is one row by its hash, and a right key is not to be told by its address.
    pub fn bad_key(&self, source: Option<Source>) -> Problem {
        let counted = source.map_or(Ok(()), |source| self.bad_keys.count(&self.slot(source)));
        match counted {
            Ok(()) => Problem::new("unauthorized", "this key is not valid: it is wrong, expired or revoked"),
            Err(wait) => {
                let words = "this key is not valid, and too many such came from this address; wait, and look at the key";
                Problem::too_many(words, wait)
            }
        }
    }

    fn slot(&self, Source(address): Source) -> u64 {
        let network = match address.to_canonical() {
            IpAddr::V4(address) => u128::from(address.to_bits()),
            IpAddr::V6(address) => Ipv6Addr::to_bits(address) >> 64 << 64,
        };
        self.hasher.hash_one(network) % SLOTS
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
    fn keys_cannot_be_tried_without_end() {
        let limits = limits(0, 5);
        let mut told = 0;
        for at in 0..100 {
            // Another address of the same subscriber.
            let problem = limits.bad_key(Some(source(&format!("2001:db8::{at:x}"))));
            match problem.status {
                401 => told += 1,
                _ => assert_eq!((problem.status, problem.retry_after_s.is_some()), (429, true)),
            }
        }
        assert!((5..=7).contains(&told), "{told}");
        assert_eq!(limits.bad_key(Some(source("203.0.113.2"))).status, 401);
        assert_eq!(limits.bad_key(None).status, 401);
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
            assert_eq!(limits.bad_key(Some(from)).status, 401);
        }
    }
}
