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
pub mod host_jobs;
pub mod idempotency;
pub mod in_use;
pub mod jobs;
pub mod ledger;
pub mod meta;
pub mod notices;
pub mod payments;
pub mod plugins;
pub mod shops;

use payhost_core::id::ShopId;

use crate::table::{Table, word};
use crate::{Error, ToValue, Tx, Value, params};

word! {
    /// Test or live money.
    pub enum Mode {
        /// No real money.
        Test = "test",
        /// Real money.
        Live = "live",
    }
}

/// The row of a list over shops that the next page begins after. Such a list is ordered by id and shop, since an id is unique within
/// its shop only. Empty: before the first.
#[derive(Debug, Clone, Copy, Default)]
pub struct After<'a> {
    /// The row's id.
    pub id: &'a str,
    /// Its shop's id.
    pub shop: &'a str,
}

/// A page of the rows that meet a condition, of a shop and mode or of all shops. Only operators see lists over all shops.
fn scoped<T: Table>(
    tx: &mut Tx<'_>,
    scope: Option<(ShopId, Mode)>,
    condition: &str,
    after: After<'_>,
    limit: i64,
) -> Result<Vec<T>, Error> {
    let mut values: Vec<Value> = params![after.id, after.shop].to_vec();
    let mut of_shop = "";
    if let Some((shop, mode)) = scope {
        values.extend([shop.to_value(), mode.to_value()]);
        of_shop = " AND shop_id = $3 AND mode = $4";
    }
    values.push(limit.to_value());
    let last = values.len();
    let tail =
        format!("WHERE {condition} AND (id, shop_id) > ($1, $2){of_shop} ORDER BY id, shop_id LIMIT ${last}");
    T::select(tx, &tail, &values)
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
