//! `idempotency`: answers by the caller's key. Invariant: a key within (shop, mode) belongs to one request until it expires, or
//! until another one takes it after a refusal.

use payhost_core::id::{PaymentId, ShopId};

use super::{Mode, ROUNDS};
use crate::table::{Table, table, word};
use crate::{Blob, Error, Sealed, Tx, params};

word! {
    /// How far a request came.
    pub enum IdempotencyState {
        /// Not answered yet.
        Running = "running",
        /// Answered.
        Done = "done",
    }
}

table! {
    /// One key.
    pub struct Idempotency in "idempotency" {
        /// Whose.
        shop_id: ShopId,
        /// Test or live.
        mode: Mode,
        /// The caller's key.
        key: String,
        /// A hash over method, path and body.
        request_hash: Blob,
        /// How far it came.
        state: IdempotencyState,
        /// The answer's HTTP status.
        status: Option<i64>,
        /// The answer's body, sealed.
        body: Option<Sealed>,
        /// The payment that it is about.
        payment_id: Option<PaymentId>,
        /// When it was first used.
        created_us: i64,
        /// When it is forgotten.
        expires_us: i64,
    }
}

impl Idempotency {
    /// Whether its request ended with a refusal: nothing was done.
    pub fn was_refused(&self) -> bool {
        self.state == IdempotencyState::Done && self.status.is_some_and(|status| status >= 400)
    }
}

/// What became of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Begun {
    /// It is new; the row is written.
    New,
    /// The same request was made before: running, or done with its answer.
    Known(Box<Idempotency>),
    /// The key was used for another request.
    OtherRequest,
}

/// Takes a key for a request (state `running`), if it is free, expired, or was another one's that was refused
/// ([`Idempotency::was_refused`]). Of several at once one gets it; the others wait
/// until that one's transaction ended.
pub fn begin(tx: &mut Tx<'_>, row: &Idempotency) -> Result<Begun, Error> {
    // On PostgreSQL the row that stood in the way may be released before it is read; then the key is free again.
    for _ in 0..ROUNDS {
        tx.execute(
            "DELETE FROM idempotency WHERE shop_id = $1 AND mode = $2 AND key = $3 AND (expires_us <= $4 \
             OR (state = 'done' AND status >= 400 AND request_hash <> $5))",
            params![row.shop_id, row.mode, row.key, row.created_us, row.request_hash],
        )?;
        if row.insert_with(tx, " ON CONFLICT (shop_id, mode, key) DO NOTHING")? > 0 {
            return Ok(Begun::New);
        }
        if let Some(known) = get(tx, row.shop_id, row.mode, &row.key)? {
            return Ok(if known.request_hash == row.request_hash {
                Begun::Known(Box::new(known))
            } else {
                Begun::OtherRequest
            });
        }
    }
    Err(Error::Busy)
}

/// What is stored under a key.
pub fn get(tx: &mut Tx<'_>, shop: ShopId, mode: Mode, key: &str) -> Result<Option<Idempotency>, Error> {
    Idempotency::select_opt(tx, "WHERE shop_id = $1 AND mode = $2 AND key = $3", params![shop, mode, key])
}

/// Stores the answer; a later one replaces it (a 202 is not final).
pub fn finish(
    tx: &mut Tx<'_>,
    (shop, mode, key): (ShopId, Mode, &str),
    status: i64,
    body: &Sealed,
    payment: Option<PaymentId>,
) -> Result<(), Error> {
    let sql = "UPDATE idempotency SET state = 'done', status = $1, body = $2, payment_id = COALESCE($3, payment_id) \
               WHERE shop_id = $4 AND mode = $5 AND key = $6";
    let changed = tx.execute(sql, params![status, body, payment, shop, mode, key])?;
    if changed == 1 { Ok(()) } else { Err(Error::NotFound { what: "idempotency" }) }
}

/// Frees a key whose request ended before it did anything, also when its outcome was taken for unknown meanwhile (202).
pub fn release(tx: &mut Tx<'_>, shop: ShopId, mode: Mode, key: &str) -> Result<(), Error> {
    let sql = "DELETE FROM idempotency WHERE shop_id = $1 AND mode = $2 AND key = $3 \
               AND (state = 'running' OR status = 202)";
    tx.execute(sql, params![shop, mode, key]).map(|_| ())
}

/// Forgets up to `limit` expired keys; tells how many.
pub fn purge(tx: &mut Tx<'_>, now_us: i64, limit: i64) -> Result<u64, Error> {
    let sql = "WITH old AS MATERIALIZED (SELECT shop_id, mode, key FROM idempotency WHERE expires_us <= $1 \
               ORDER BY expires_us LIMIT $2) DELETE FROM idempotency WHERE (shop_id, mode, key) IN \
               (SELECT shop_id, mode, key FROM old)";
    tx.execute(sql, params![now_us, limit])
}
