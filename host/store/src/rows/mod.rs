//! The tables. Invariant: every function for a tenant's rows takes the shop, and another shop's row is "not there"; the
//! few that look a row up by id alone say so in their name (`…_of_any_shop`).

pub mod api_keys;
pub mod attempts;
pub mod calls;
pub mod channels;
pub mod checkouts;
pub mod deliveries;
pub mod endpoints;
pub mod events;
pub mod facts;
pub mod gateway_map;
pub mod idempotency;
pub mod jobs;
pub mod ledger;
pub mod meta;
pub mod notices;
pub mod payments;
pub mod plugins;
pub mod shops;

use crate::table::word;

word! {
    /// Test or live money.
    pub enum Mode {
        /// No real money.
        Test = "test",
        /// Real money.
        Live = "live",
    }
}

/// How often an insert that met a row which was gone when it was read is tried. Each round needs another transaction to end
/// in just that moment, so that two are seldom and eight are a sign of something else.
const ROUNDS: u32 = 8;

/// Which way a list goes. Ids sort by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The newest first.
    NewestFirst,
    /// The oldest first.
    OldestFirst,
}
