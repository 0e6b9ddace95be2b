//! `call`: the journal. Invariant: a record is readable only with its shop's key, and only until its time is over.

use payhost_core::id::{AttemptId, CallId, ChannelId, PaymentId, ShopId};

use crate::table::{Table, table};
use crate::{Error, Sealed, Tx, params};

table! {
    /// One journaled run of a plugin function.
    pub struct Call in "call" {
        /// Its id.
        id: CallId,
        /// Whose.
        shop_id: ShopId,
        /// Through which channel.
        channel_id: Option<ChannelId>,
        /// About which payment.
        payment_id: Option<PaymentId>,
        /// For which attempt.
        attempt_id: Option<AttemptId>,
        /// The plugin version.
        plugin_digest: String,
        /// Such as `general-pay`.
        interface: String,
        /// Such as `complete`.
        function: String,
        /// When it was made.
        at_us: i64,
        /// How long it took.
        duration_us: i64,
        /// Its time on a processor.
        cpu_us: i64,
        /// Most linear memory that it had at once.
        memory_bytes: i64,
        /// How it died, if it did, sealed: with the plugin's last words.
        fault: Option<Sealed>,
        /// Arguments, answers and result, sealed; none once forgotten.
        record: Option<Sealed>,
        /// Keyed hash of the record, lower-case hex: it stays, and tells whether a copy is the record that was here.
        record_digest: Option<String>,
        /// Until when the record is kept.
        kept_until_us: i64,
    }
}

/// Adds a call.
pub fn insert(tx: &mut Tx<'_>, call: &Call) -> Result<(), Error> {
    call.insert_later(tx)
}

/// A call of a shop.
pub fn get(tx: &mut Tx<'_>, shop: ShopId, id: CallId) -> Result<Option<Call>, Error> {
    Call::select_opt(tx, "WHERE shop_id = $1 AND id = $2", params![shop, id])
}

/// A payment's calls, oldest first.
pub fn of_payment(tx: &mut Tx<'_>, shop: ShopId, payment: PaymentId) -> Result<Vec<Call>, Error> {
    Call::select(tx, "WHERE shop_id = $1 AND payment_id = $2 ORDER BY id", params![shop, payment])
}

/// Forgets up to `limit` records whose time is over; their digests stay. Tells how many.
pub fn forget(tx: &mut Tx<'_>, now_us: i64, limit: i64) -> Result<u64, Error> {
    let sql = "WITH old AS MATERIALIZED (SELECT shop_id, id FROM call WHERE record IS NOT NULL AND kept_until_us <= $1 \
               ORDER BY kept_until_us LIMIT $2) UPDATE call SET record = NULL WHERE (shop_id, id) IN (SELECT shop_id, id FROM old)";
    tx.execute(sql, params![now_us, limit])
}

/// The newest calls that still have their record, of all shops, for the operator; of these plugin versions
/// only, where they are given.
pub fn last_of_all_shops(
    tx: &mut Tx<'_>,
    plugin_digests: Option<&[String]>,
    limit: i64,
) -> Result<Vec<Call>, Error> {
    let newest = "ORDER BY at_us DESC, id DESC, shop_id LIMIT";
    let Some(plugin_digests) = plugin_digests else {
        return Call::select(tx, &format!("WHERE record IS NOT NULL {newest} $1"), params![limit]);
    };
    let mut calls = Vec::new();
    for digest in plugin_digests {
        let tail = format!("WHERE record IS NOT NULL AND plugin_digest = $1 {newest} $2");
        calls.extend(Call::select(tx, &tail, params![digest, limit])?);
    }
    calls.sort_by_key(|call| std::cmp::Reverse((call.at_us, call.id)));
    calls.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(calls)
}
