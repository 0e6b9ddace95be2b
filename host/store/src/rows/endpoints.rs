//! `webhook_endpoint`: where a shop is told of events. Invariant: an endpoint with deliveries that wait has the earliest of
//! their times as its own, unless it is switched off; only the holder of its lease sends to it.
//!
//! An endpoint is claimed as a whole, not each delivery: that bounds what one receiver can hold up, on all nodes together.

use payhost_core::id::{EndpointId, ShopId};

use super::{Mode, scoped};
use crate::table::{Table, table};
use crate::{Error, Json, Sealed, Tx, params};

table! {
    /// An endpoint.
    pub struct Endpoint in "webhook_endpoint" {
        /// Its id.
        id: EndpointId,
        /// Whose.
        shop_id: ShopId,
        /// Test or live.
        mode: Mode,
        /// Where to. Absent: to the address that a payment brought.
        url: Option<String>,
        /// For people.
        name: String,
        /// Which events, a JSON list of names; `*` is all.
        events: Json,
        /// What signs.
        secret: Sealed,
        /// What signed before, and signs still.
        old_secret: Option<Sealed>,
        /// Until when the old one signs.
        old_secret_until_us: Option<i64>,
        /// Whether it is told anything.
        enabled: bool,
        /// Why it was switched off.
        disabled_reason: Option<String>,
        /// Since when nothing arrived; absent while things arrive.
        failing_since_us: Option<i64>,
        /// When its next delivery is due.
        due_us: Option<i64>,
        /// Until when it is somebody's.
        lease_until_us: Option<i64>,
        /// Whose.
        lease_token: Option<String>,
        /// When it was made.
        created_us: i64,
        /// When it was changed.
        updated_us: i64,
        /// Since when it is being removed.
        deleted_us: Option<i64>,
    }
}

/// Adds an endpoint. A second one without address is [`Error::Unique`] `webhook_endpoint_of_payments`.
pub fn insert(tx: &mut Tx<'_>, endpoint: &Endpoint) -> Result<(), Error> {
    Table::insert(endpoint, tx)
}

/// An endpoint of a shop.
pub fn get(tx: &mut Tx<'_>, shop: ShopId, id: EndpointId) -> Result<Option<Endpoint>, Error> {
    Endpoint::select_opt(tx, "WHERE shop_id = $1 AND id = $2 AND deleted_us IS NULL", params![shop, id])
}

/// An endpoint that this transaction is going to change: others wait until it ended.
pub fn lock(tx: &mut Tx<'_>, shop: ShopId, id: EndpointId) -> Result<Option<Endpoint>, Error> {
    let tail = format!("WHERE shop_id = $1 AND id = $2 AND deleted_us IS NULL{}", tx.for_update());
    Endpoint::select_opt(tx, &tail, params![shop, id])
}

/// A shop's endpoints of a mode, oldest first.
pub fn list(tx: &mut Tx<'_>, shop: ShopId, mode: Mode) -> Result<Vec<Endpoint>, Error> {
    let tail = "WHERE shop_id = $1 AND mode = $2 AND deleted_us IS NULL ORDER BY id";
    Endpoint::select(tx, tail, params![shop, mode])
}

/// Switches all endpoints of a shop off, in both modes.
pub fn disable_all(tx: &mut Tx<'_>, shop: ShopId, reason: &str, now_us: i64) -> Result<(), Error> {
    let sql = "UPDATE webhook_endpoint SET enabled = 0, disabled_reason = $1, due_us = NULL, updated_us = $2 \
               WHERE shop_id = $3 AND deleted_us IS NULL";
    tx.execute(sql, params![reason, now_us, shop]).map(|_| ())
}

/// Writes what may change: address, name, events, secrets, enabled with its reason, failing.
pub fn update(tx: &mut Tx<'_>, endpoint: &Endpoint) -> Result<(), Error> {
    let sql = "UPDATE webhook_endpoint SET url = $1, name = $2, events = $3, secret = $4, old_secret = $5, \
               old_secret_until_us = $6, enabled = $7, disabled_reason = $8, failing_since_us = $9, updated_us = $10 \
               WHERE shop_id = $11 AND id = $12";
    let e = endpoint;
    let values = params![
        e.url,
        e.name,
        e.events,
        e.secret,
        e.old_secret,
        e.old_secret_until_us,
        e.enabled,
        e.disabled_reason,
        e.failing_since_us,
        e.updated_us,
        e.shop_id,
        e.id
    ];
    let changed = tx.execute(sql, values)?;
    if changed == 1 { Ok(()) } else { Err(Error::NotFound { what: "endpoint" }) }
}

/// Endpoints that the host switched off, of a shop and mode or of all, in the order of their ids, behind one of them.
pub fn switched_off(
    tx: &mut Tx<'_>,
    scope: Option<(ShopId, Mode)>,
    after: &str,
    limit: i64,
) -> Result<Vec<Endpoint>, Error> {
    let condition = "enabled = 0 AND disabled_reason IS NOT NULL AND deleted_us IS NULL AND \
                     shop_id IN (SELECT id FROM shop WHERE removed_us IS NULL)";
    scoped(tx, scope, condition, after, limit)
}

/// Something is due at this time.
pub fn wake(tx: &mut Tx<'_>, shop: ShopId, id: EndpointId, due_us: i64) -> Result<(), Error> {
    let sql = "UPDATE webhook_endpoint SET due_us = CASE WHEN due_us < $1 THEN due_us ELSE $1 END \
               WHERE shop_id = $2 AND id = $3 AND enabled = 1 AND deleted_us IS NULL";
    tx.execute(sql, params![due_us, shop, id]).map(|_| ())
}

/// Claims up to `limit` endpoints with something due, those that fail or those that do not; `token` fences as in
/// [`super::jobs::claim`].
pub fn claim(
    tx: &mut Tx<'_>,
    failing: bool,
    now_us: i64,
    lease_until_us: i64,
    token: &str,
    limit: i64,
) -> Result<Vec<Endpoint>, Error> {
    let sql = format!(
        "WITH due AS MATERIALIZED (SELECT id FROM webhook_endpoint {} ORDER BY due_us, id LIMIT $2{}) \
         UPDATE webhook_endpoint SET lease_until_us = $3, lease_token = $4 WHERE id IN (SELECT id FROM due) RETURNING {}",
        claimable(failing),
        tx.for_update_skip_locked(),
        Endpoint::COLUMNS,
    );
    tx.query(&sql, params![now_us, limit, lease_until_us, token], Endpoint::read)
}

/// Whether [`claim`] would find one.
pub fn any_claimable(tx: &mut Tx<'_>, failing: bool, now_us: i64) -> Result<bool, Error> {
    let sql = format!("SELECT 1 FROM webhook_endpoint {} LIMIT 1", claimable(failing));
    tx.query_opt(&sql, params![now_us], |_| Ok(())).map(|found| found.is_some())
}

fn claimable(failing: bool) -> String {
    let not = if failing { "NOT " } else { "" };
    format!(
        "WHERE due_us <= $1 AND (lease_until_us IS NULL OR lease_until_us <= $1) AND failing_since_us IS {not}NULL"
    )
}

/// Gives a claim back; the endpoint is due when its next delivery is. `false`: somebody else has it now.
pub fn release(tx: &mut Tx<'_>, shop: ShopId, id: EndpointId, token: &str) -> Result<bool, Error> {
    // Locked first: a delivery that another transaction is adding is then seen by the next statement, or wakes the endpoint
    // after this transaction.
    let sql =
        format!("SELECT enabled FROM webhook_endpoint WHERE shop_id = $1 AND id = $2{}", tx.for_update());
    let enabled = tx.query_opt(&sql, params![shop, id], |row| row.get::<bool>(0))?;
    let due_us: Option<i64> = if enabled == Some(true) { next_due(tx, shop, id)? } else { None };
    let sql = "UPDATE webhook_endpoint SET due_us = $1, lease_until_us = NULL, lease_token = NULL \
               WHERE shop_id = $2 AND id = $3 AND lease_token = $4";
    tx.execute(sql, params![due_us, shop, id, token]).map(|rows| rows == 1)
}

fn next_due(tx: &mut Tx<'_>, shop: ShopId, id: EndpointId) -> Result<Option<i64>, Error> {
    let sql = "SELECT due_us FROM webhook_delivery WHERE shop_id = $1 AND endpoint_id = $2 AND state = 'waiting' \
               ORDER BY due_us LIMIT 1";
    tx.query_opt(sql, params![shop, id], |row| row.get(0))
}

/// When an endpoint falls due that is not due yet.
pub fn next_due_after(tx: &mut Tx<'_>, now_us: i64) -> Result<Option<i64>, Error> {
    let sql = "SELECT due_us FROM webhook_endpoint WHERE due_us > $1 ORDER BY due_us LIMIT 1";
    tx.query_opt(sql, params![now_us], |row| row.get(0))
}

/// Switched off: nothing of it is due. Switched on: what waits is.
pub fn settle_due(tx: &mut Tx<'_>, endpoint: &Endpoint) -> Result<(), Error> {
    let due_us = if endpoint.enabled { next_due(tx, endpoint.shop_id, endpoint.id)? } else { None };
    let sql = "UPDATE webhook_endpoint SET due_us = $1 WHERE shop_id = $2 AND id = $3";
    tx.execute(sql, params![due_us, endpoint.shop_id, endpoint.id]).map(|_| ())
}

/// Nothing arrived since then, or (`None`) something did.
pub fn set_failing(
    tx: &mut Tx<'_>,
    shop: ShopId,
    id: EndpointId,
    since_us: Option<i64>,
) -> Result<(), Error> {
    let sql = match since_us {
        Some(_) => {
            "UPDATE webhook_endpoint SET failing_since_us = COALESCE(failing_since_us, $1) WHERE shop_id = $2 AND id = $3"
        }
        None => "UPDATE webhook_endpoint SET failing_since_us = $1 WHERE shop_id = $2 AND id = $3",
    };
    tx.execute(sql, params![since_us, shop, id]).map(|_| ())
}

/// Begins to remove an endpoint: from now on nobody sees it and nothing is sent. Tells whether there was one.
pub fn retire(tx: &mut Tx<'_>, shop: ShopId, id: EndpointId, now_us: i64) -> Result<bool, Error> {
    let sql = "UPDATE webhook_endpoint SET deleted_us = $1, enabled = 0, due_us = NULL \
               WHERE shop_id = $2 AND id = $3 AND deleted_us IS NULL";
    tx.execute(sql, params![now_us, shop, id]).map(|rows| rows == 1)
}

/// Takes a retired endpoint away that has no deliveries left.
pub fn remove(tx: &mut Tx<'_>, shop: ShopId, id: EndpointId) -> Result<(), Error> {
    let sql = "DELETE FROM webhook_endpoint WHERE shop_id = $1 AND id = $2 AND deleted_us IS NOT NULL";
    tx.execute(sql, params![shop, id]).map(|_| ())
}
