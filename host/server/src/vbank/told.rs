//! What the log says of messages from addresses that no plugin lists. Invariant: of one thing a line a day, whatever is sent.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use payhost_core::id::{ChannelId, PaymentId, ShopId};

/// How long nothing more is said of it.
const QUIET: Duration = Duration::from_secs(24 * 3600);
/// Things that are remembered.
const REMEMBERED: usize = 1 << 16;

/// Of what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Of {
    /// Notices about a payment are not believed.
    Payment(ShopId, PaymentId),
    /// Messages to a channel are refused.
    Refused(ShopId, ChannelId),
    /// Messages to a channel cannot be read.
    Unread(ShopId, ChannelId),
}

/// What was said.
#[derive(Default)]
pub struct Told(Mutex<HashMap<Of, Instant>>);

impl Told {
    /// Whether it is to be said now.
    pub fn first(&self, of: Of) -> bool {
        let now = Instant::now();
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = |at: &Instant| now.duration_since(*at) < QUIET;
        if told.get(&of).is_some_and(fresh) {
            return false;
        }
        if told.len() >= REMEMBERED {
            told.retain(|_, at| fresh(at));
            if told.len() >= REMEMBERED {
                told.clear();
            }
        }
        told.insert(of, now);
        true
    }
}
