//! `attempt`: calls that may move money, written before they are made. Invariant: a payment has at most one open attempt
//! (intent or in doubt) beside undos, a parent at most one running undo, and a checkout at most one complete, ever.

use payhost_core::id::{AttemptId, CallId, CheckoutId, PaymentId, ShopId};

use super::ROUNDS;
use crate::table::{Table, table, word};
use crate::{Error, Later, Sealed, Tx, params};

word! {
    /// What is attempted.
    pub enum AttemptKind {
        /// Take the money after a checkout.
        Complete = "complete",
        /// Give money back.
        Cancel = "cancel",
        /// Take back an approval whose outcome is not known or not right.
        Undo = "undo",
        /// Open an account without a window.
        Issue = "issue",
        /// Close an account that nobody paid into.
        Close = "close",
    }
}

word! {
    /// How it stands.
    pub enum AttemptState {
        /// Written, perhaps made; after a restart: perhaps made.
        Intent = "intent",
        /// The gateway did it.
        Succeeded = "succeeded",
        /// The gateway said no.
        Declined = "declined",
        /// Nothing left this machine.
        Failed = "failed",
        /// Not known yet.
        InDoubt = "in_doubt",
    }
}

impl AttemptState {
    /// Whether its outcome is still to come.
    pub fn is_open(self) -> bool {
        match self {
            Self::Intent | Self::InDoubt => true,
            Self::Succeeded | Self::Declined | Self::Failed => false,
        }
    }
}

table! {
    /// One attempt.
    pub struct Attempt in "attempt" {
        /// Its id.
        id: AttemptId,
        /// Whose.
        shop_id: ShopId,
        /// Of which payment.
        payment_id: PaymentId,
        /// After which checkout (always for a complete).
        checkout_id: Option<CheckoutId>,
        /// Which attempt it undoes (always for an undo).
        parent_id: Option<AttemptId>,
        /// What is attempted.
        kind: AttemptKind,
        /// How it stands.
        state: AttemptState,
        /// The call that makes it.
        call_id: CallId,
        /// The plugin version that makes it.
        plugin_digest: String,
        /// What the channel is set to for it ([`super::channels::ChannelRevision`]).
        revision: i64,
        /// What was asked for, sealed.
        request: Sealed,
        /// What the browser brought, sealed.
        callback: Option<Sealed>,
        /// The call's time, ms.
        now_ms: i64,
        /// The call's seed.
        seed: String,
        /// Until when its maker may send.
        lease_until_us: i64,
        /// Who may write its outcome.
        lease_token: String,
        /// What came of it, sealed.
        outcome: Option<Sealed>,
        /// When it was written.
        created_us: i64,
        /// When it was changed.
        updated_us: i64,
    }
}

/// What became of a wish to start an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Started {
    /// The row is written; the call may be made after the commit.
    New,
    /// This checkout was completed before (a reload): show what came of it.
    Repeated(Box<Attempt>),
    /// Another attempt is open; nothing may be sent until it is resolved.
    Blocked(Box<Attempt>),
}

/// Writes an attempt, unless a rule of this module stands against it. Of several at once one is written; the others wait
/// until that one's transaction ended.
pub fn start(tx: &mut Tx<'_>, attempt: &Attempt) -> Result<Started, Error> {
    // On PostgreSQL the attempt that stood in the way may be settled before it is read; then the way is free.
    for _ in 0..ROUNDS {
        if attempt.insert_new(tx)? {
            return Ok(Started::New);
        }
        if let Some(known) = repeated(tx, attempt)? {
            return Ok(Started::Repeated(Box::new(known)));
        }
        if let Some(found) = blocking(tx, attempt)? {
            return Ok(Started::Blocked(Box::new(found)));
        }
        if get(tx, attempt.shop_id, attempt.id)?.is_some() {
            break;
        }
    }
    Err(Error::Unique { what: "attempt_pkey".to_owned() })
}

/// The same for who holds the payment's lock and saw that nothing stands against it. If something does after all, that is
/// [`Error::Unique`], at the latest at the end of the transaction.
pub fn start_unopposed(tx: &mut Tx<'_>, attempt: &Attempt) -> Result<(), Error> {
    attempt.insert_later(tx)
}

fn repeated(tx: &mut Tx<'_>, attempt: &Attempt) -> Result<Option<Attempt>, Error> {
    match (attempt.kind, attempt.checkout_id) {
        (AttemptKind::Complete, Some(checkout)) => complete_of(tx, attempt.shop_id, checkout),
        (
            AttemptKind::Complete
            | AttemptKind::Cancel
            | AttemptKind::Undo
            | AttemptKind::Issue
            | AttemptKind::Close,
            _,
        ) => Ok(None),
    }
}

fn blocking(tx: &mut Tx<'_>, attempt: &Attempt) -> Result<Option<Attempt>, Error> {
    match (attempt.kind, attempt.parent_id) {
        (AttemptKind::Undo, Some(parent)) => running_undo_of(tx, attempt.shop_id, parent),
        (
            AttemptKind::Undo
            | AttemptKind::Complete
            | AttemptKind::Cancel
            | AttemptKind::Issue
            | AttemptKind::Close,
            _,
        ) => open_of(tx, attempt.shop_id, attempt.payment_id),
    }
}

/// An attempt of a shop.
pub fn get(tx: &mut Tx<'_>, shop: ShopId, id: AttemptId) -> Result<Option<Attempt>, Error> {
    Attempt::select_opt(tx, "WHERE shop_id = $1 AND id = $2", params![shop, id])
}

/// A payment's attempts, oldest first.
pub fn of_payment(tx: &mut Tx<'_>, shop: ShopId, payment: PaymentId) -> Result<Vec<Attempt>, Error> {
    Attempt::select(tx, "WHERE shop_id = $1 AND payment_id = $2 ORDER BY id", params![shop, payment])
}

/// The open attempt of a payment that is not an undo, if there is one.
pub fn open_of(tx: &mut Tx<'_>, shop: ShopId, payment: PaymentId) -> Result<Option<Attempt>, Error> {
    ask_open_of(tx, shop, payment)?.first(tx)
}

/// The same, taken later.
pub fn ask_open_of(tx: &mut Tx<'_>, shop: ShopId, payment: PaymentId) -> Result<Later<Attempt>, Error> {
    let tail =
        "WHERE shop_id = $1 AND payment_id = $2 AND state IN ('intent', 'in_doubt') AND kind <> 'undo'";
    Attempt::select_later(tx, tail, params![shop, payment])
}

/// The complete of a checkout, if there is one.
pub fn complete_of(tx: &mut Tx<'_>, shop: ShopId, checkout: CheckoutId) -> Result<Option<Attempt>, Error> {
    ask_complete_of(tx, shop, checkout)?.first(tx)
}

/// The same, taken later.
pub fn ask_complete_of(tx: &mut Tx<'_>, shop: ShopId, checkout: CheckoutId) -> Result<Later<Attempt>, Error> {
    let tail = "WHERE shop_id = $1 AND checkout_id = $2 AND kind = 'complete'";
    Attempt::select_later(tx, tail, params![shop, checkout])
}

/// The undos of an attempt, oldest first.
pub fn undos_of(tx: &mut Tx<'_>, shop: ShopId, parent: AttemptId) -> Result<Vec<Attempt>, Error> {
    let tail = "WHERE shop_id = $1 AND parent_id = $2 AND kind = 'undo' ORDER BY id";
    Attempt::select(tx, tail, params![shop, parent])
}

fn running_undo_of(tx: &mut Tx<'_>, shop: ShopId, parent: AttemptId) -> Result<Option<Attempt>, Error> {
    let tail = "WHERE shop_id = $1 AND parent_id = $2 AND state = 'intent' AND kind = 'undo'";
    Attempt::select_opt(tx, tail, params![shop, parent])
}

/// Takes an open attempt over after its lease ended: from now on only `token` may write its outcome. Tells whether it was
/// taken (`false`: its maker may still be at work, or it is settled).
pub fn take_over(
    tx: &mut Tx<'_>,
    (shop, id): (ShopId, AttemptId),
    token: &str,
    now_us: i64,
    lease_until_us: i64,
) -> Result<bool, Error> {
    let sql = "UPDATE attempt SET lease_token = $1, lease_until_us = $2, updated_us = $3 \
               WHERE shop_id = $4 AND id = $5 AND state IN ('intent', 'in_doubt') AND lease_until_us <= $3";
    tx.execute(sql, params![token, lease_until_us, now_us, shop, id]).map(|rows| rows == 1)
}

/// Writes state and outcome of an open attempt, if its lease is still the one in `attempt` ([`Error::Stale`] otherwise, at the
/// latest at the end of the transaction: somebody took it over, or it is settled).
pub fn settle(tx: &mut Tx<'_>, attempt: &Attempt) -> Result<(), Error> {
    let sql = "UPDATE attempt SET state = $1, outcome = $2, updated_us = $3 \
               WHERE shop_id = $4 AND id = $5 AND lease_token = $6 AND state IN ('intent', 'in_doubt')";
    let a = attempt;
    let values = params![a.state, a.outcome, a.updated_us, a.shop_id, a.id, a.lease_token];
    tx.change_one_later(sql, values, Error::Stale { what: "attempt" })
}
