//! `webhook_endpoint`: where a shop is told of events. Invariant: an endpoint with deliveries that wait has the earliest of
//! their times as its own, unless it is switched off; only the holder of its lease sends to it.
//!
//! An endpoint is claimed as a whole, not each delivery: that bounds what one receiver can hold up, on all nodes together.
//! They are claimed by shop ([`due`], then [`claim`]). After its turn an endpoint with more to send is due from that moment on:
//! it stands behind all that waited meanwhile.

use payhost_core::id::{EndpointId, ShopId};
use serde::{Deserialize, Serialize};

use super::{After, Mode, scoped};
use crate::table::{Table, table};
use crate::{Error, Json, Later, Sealed, Tx, params};

/// A secret that was replaced and signs still.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OldSecret {
    /// What signs, sealed, in hex.
    sealed: String,
    /// Until when, in microseconds.
    pub until_us: i64,
}

impl OldSecret {
    /// It signs until then.
    pub fn new(sealed: &Sealed, until_us: i64) -> Self {
        Self { sealed: payhost_core::hex(sealed.as_bytes()), until_us }
    }

    /// What signs.
    pub fn sealed(&self) -> Result<Sealed, Error> {
        let bytes = payhost_core::unhex(&self.sealed);
        bytes.map(Sealed::from_bytes).ok_or_else(|| Error::Corrupt("an old secret is no hex".to_owned()))
    }
}

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
        /// What signed before, and signs still: a JSON list of [`OldSecret`].
        old_secrets: Json,
        /// Whether it is told anything.
        enabled: bool,
        /// Why it was switched off.
        disabled_reason: Option<String>,
        /// When it was switched off.
        disabled_us: Option<i64>,
        /// Since when nothing arrived; absent while things arrive.
        failing_since_us: Option<i64>,
        /// Deliveries whose schedule was over since something arrived.
        given_up: i64,
        /// Since when it takes long to answer; absent while it does not.
        slow_since_us: Option<i64>,
        /// Why the last try that failed did.
        last_error: Option<String>,
        /// When that was.
        last_error_us: Option<i64>,
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
    let sql = "UPDATE webhook_endpoint SET enabled = 0, disabled_reason = $1, disabled_us = $2, due_us = NULL, updated_us = $2 \
               WHERE shop_id = $3 AND deleted_us IS NULL";
    tx.execute(sql, params![reason, now_us, shop]).map(|_| ())
}

/// Writes what may change: address, name, events, secrets, enabled with its reason, failing.
pub fn update(tx: &mut Tx<'_>, endpoint: &Endpoint) -> Result<(), Error> {
    let sql = "UPDATE webhook_endpoint SET url = $1, name = $2, events = $3, secret = $4, old_secrets = $5, enabled = $6, \
               disabled_reason = $7, disabled_us = $8, failing_since_us = $9, given_up = $10, slow_since_us = $11, \
               updated_us = $12 WHERE shop_id = $13 AND id = $14";
    let e = endpoint;
    let values = params![
        e.url,
        e.name,
        e.events,
        e.secret,
        e.old_secrets,
        e.enabled,
        e.disabled_reason,
        e.disabled_us,
        e.failing_since_us,
        e.given_up,
        e.slow_since_us,
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
    after: After<'_>,
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

/// Endpoints that a look for due ones goes past, those that wait longest first.
const LOOKED_AT: i64 = 4096;

/// Which endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queue {
    /// Those that take what they are sent, without delay.
    Working,
    /// Those where nothing arrives, or which take long to answer.
    Ailing,
}

impl Queue {
    /// What is claimable in it at `$1`.
    fn claimable(self) -> &'static str {
        match self {
            Self::Working => {
                "due_us <= $1 AND (lease_until_us IS NULL OR lease_until_us <= $1) \
                 AND failing_since_us IS NULL AND slow_since_us IS NULL"
            }
            Self::Ailing => {
                "due_us <= $1 AND (lease_until_us IS NULL OR lease_until_us <= $1) \
                 AND (failing_since_us IS NOT NULL OR slow_since_us IS NOT NULL)"
            }
        }
    }
}

/// Shops with endpoints of a queue that could be claimed now, and how many each has.
pub fn due(tx: &mut Tx<'_>, queue: Queue, now_us: i64) -> Result<Vec<(ShopId, i64)>, Error> {
    let sql = format!(
        "SELECT shop_id, COUNT(*) FROM (SELECT shop_id FROM webhook_endpoint WHERE {} ORDER BY due_us LIMIT $2) AS waiting \
         GROUP BY shop_id",
        queue.claimable()
    );
    tx.query(&sql, params![now_us, LOOKED_AT], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// Who claims, and until when; see [`super::jobs::Claim`].
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// From which queue.
    pub queue: Queue,
    /// Now.
    pub now_us: i64,
    /// They are the claimer's until then.
    pub lease_until_us: i64,
    /// Random and new for each claim.
    pub token: &'a str,
}

/// Claims due endpoints of shops, of each up to so many, those that wait longest first.
pub fn claim(tx: &mut Tx<'_>, by: &Claim<'_>, shops: &[(ShopId, i64)]) -> Result<Vec<Endpoint>, Error> {
    let sql = format!(
        "WITH due AS MATERIALIZED (SELECT shop_id, id FROM webhook_endpoint WHERE {} AND shop_id = $2 \
         ORDER BY due_us, id LIMIT $3{}) UPDATE webhook_endpoint SET lease_until_us = $4, lease_token = $5 \
         WHERE (shop_id, id) IN (SELECT shop_id, id FROM due) RETURNING {}",
        by.queue.claimable(),
        tx.for_update_skip_locked(),
        Endpoint::COLUMNS,
    );
    let mut asked: Vec<Later<Endpoint>> = Vec::with_capacity(shops.len());
    for (shop, limit) in shops {
        let values = params![by.now_us, *shop, *limit, by.lease_until_us, by.token];
        asked.push(tx.query_later(&sql, values, Endpoint::read)?);
    }
    let mut claimed = Vec::new();
    for endpoints in asked {
        claimed.extend(endpoints.all(tx)?);
    }
    Ok(claimed)
}

/// Gives a claim back; the endpoint is due when its next delivery is, but not before `now_us`. `false`: somebody else has it
/// now.
pub fn release(
    tx: &mut Tx<'_>,
    shop: ShopId,
    id: EndpointId,
    token: &str,
    now_us: i64,
) -> Result<bool, Error> {
    // Locked first: a delivery that another transaction is adding is then seen by the next statement, or wakes the endpoint
    // after this transaction.
    let sql =
        format!("SELECT enabled FROM webhook_endpoint WHERE shop_id = $1 AND id = $2{}", tx.for_update());
    let enabled = tx.query_opt(&sql, params![shop, id], |row| row.get::<bool>(0))?;
    let next_us: Option<i64> = if enabled == Some(true) { next_due(tx, shop, id)? } else { None };
    let due_us = next_us.map(|due_us| due_us.max(now_us));
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

/// What a try said of its receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It took what was sent; whether it was slow.
    Took {
        /// Its answer took long.
        slow: bool,
    },
    /// It did not, and why; whether that counts against the endpoint (which may stand for many receivers).
    Refused {
        /// In words.
        error: String,
        /// Nothing arrives there.
        failing: bool,
    },
}

/// Notes what a try said of its receiver. Since when it is so stays as it was.
pub fn note(
    tx: &mut Tx<'_>,
    shop: ShopId,
    id: EndpointId,
    health: &Health,
    now_us: i64,
) -> Result<(), Error> {
    match health {
        Health::Took { slow } => {
            let sql = "UPDATE webhook_endpoint SET failing_since_us = NULL, given_up = 0, \
                       slow_since_us = CASE WHEN $1 = 0 THEN NULL ELSE COALESCE(slow_since_us, $2) END \
                       WHERE shop_id = $3 AND id = $4";
            tx.execute(sql, params![slow, now_us, shop, id]).map(|_| ())
        }
        Health::Refused { error, failing } => {
            let sql = "UPDATE webhook_endpoint SET last_error = $1, last_error_us = $2, \
                       failing_since_us = CASE WHEN $3 = 0 THEN failing_since_us ELSE COALESCE(failing_since_us, $2) END \
                       WHERE shop_id = $4 AND id = $5";
            tx.execute(sql, params![error, now_us, failing, shop, id]).map(|_| ())
        }
    }
}

/// A delivery's schedule is over; gives the endpoint with how many that were since something arrived.
pub fn gave_up(tx: &mut Tx<'_>, shop: ShopId, id: EndpointId) -> Result<Option<Endpoint>, Error> {
    let sql = format!(
        "UPDATE webhook_endpoint SET given_up = given_up + 1 WHERE shop_id = $1 AND id = $2 AND deleted_us IS NULL RETURNING {}",
        Endpoint::COLUMNS
    );
    tx.query_opt(&sql, params![shop, id], Endpoint::read)
}

/// How many endpoints stand how, over all shops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Nothing arrives there.
    pub failing: i64,
    /// Switched off by the host.
    pub switched_off: i64,
}

/// Counts them, those of shops that were removed left out.
pub fn standing(tx: &mut Tx<'_>) -> Result<Standing, Error> {
    let mut count = |what: &str| {
        let sql = format!(
            "SELECT COUNT(*) FROM webhook_endpoint WHERE {what} AND deleted_us IS NULL \
             AND shop_id IN (SELECT id FROM shop WHERE removed_us IS NULL)"
        );
        tx.query_one(&sql, &[], |row| row.get(0))
    };
    Ok(Standing {
        failing: count("failing_since_us IS NOT NULL AND enabled = 1")?,
        switched_off: count("disabled_reason IS NOT NULL AND enabled = 0")?,
    })
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
