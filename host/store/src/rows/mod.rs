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
use crate::{Error, ToValue, Tx, Value};

word! {
    /// Test or live money.
    pub enum Mode {
        /// No real money.
        Test = "test",
        /// Real money.
        Live = "live",
    }
}

/// Rows that meet a condition, of a shop and mode or of all shops, in the order of their ids, behind one of them (empty: from the
/// first). For lists over all shops, which only the operator sees.
fn scoped<T: Table>(
    tx: &mut Tx<'_>,
    scope: Option<(ShopId, Mode)>,
    condition: &str,
    after: &str,
    limit: i64,
) -> Result<Vec<T>, Error> {
    let mut values: Vec<Value> = vec![after.to_owned().to_value()];
    let mut of_shop = "";
    if let Some((shop, mode)) = scope {
        values.extend([shop.to_value(), mode.to_value()]);
        of_shop = " AND shop_id = $2 AND mode = $3";
    }
    values.push(limit.to_value());
    let last = values.len();
    T::select(tx, &format!("WHERE {condition} AND id > $1{of_shop} ORDER BY id LIMIT ${last}"), &values)
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
