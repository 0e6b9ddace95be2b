//! `fact`: what happened at the gateway. Invariant: facts and their ledger lines are written together, once, and never
//! changed.

use payhost_core::id::{AttemptId, ChannelId, FactId, PaymentId, ShopId};
use payhost_core::{Currency, Fact, FactKind, Money};

use super::ledger;
use crate::table::{Table, table};
use crate::{Error, Json, Later, Tx, params};

table! {
    /// Something that happened at the gateway.
    pub struct FactRow in "fact" {
        /// Its id.
        id: FactId,
        /// Whose.
        shop_id: ShopId,
        /// At which channel's gateway.
        channel_id: ChannelId,
        /// Of which payment.
        payment_id: PaymentId,
        /// Which attempt learned it; none: a notice or an inquiry.
        attempt_id: Option<AttemptId>,
        /// What happened.
        kind: FactKind,
        /// The sale's reference at the gateway.
        gateway_ref: String,
        /// Tells several of one kind apart (partial cancels); from 0.
        sequence: i64,
        /// Minor units; never negative.
        amount: i64,
        /// Of what.
        currency: Currency,
        /// When it happened, as the gateway says.
        at_us: i64,
        /// More of it.
        detail: Json,
        /// When it was written.
        created_us: i64,
    }
}

impl FactRow {
    /// The part that states are computed from.
    pub fn fact(&self) -> Fact {
        Fact { kind: self.kind, amount: Money::new(self.amount, self.currency) }
    }
}

/// Whether a fact was news.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Recorded {
    /// It was, and its ledger lines are written.
    New,
    /// It is known; this is the known one (compare amounts: a gateway may contradict itself).
    Known(Box<FactRow>),
}

impl Recorded {
    /// Whether it was news.
    pub fn is_new(&self) -> bool {
        *self == Self::New
    }
}

/// Writes a fact and its ledger lines, unless it is known by (channel, kind, reference, sequence).
pub fn record(tx: &mut Tx<'_>, fact: &FactRow) -> Result<Recorded, Error> {
    let tail = " ON CONFLICT (shop_id, channel_id, kind, gateway_ref, sequence) DO NOTHING";
    if fact.insert_with(tx, tail)? > 0 {
        ledger::write(tx, fact)?;
        return Ok(Recorded::New);
    }
    let tail = "WHERE shop_id = $1 AND channel_id = $2 AND kind = $3 AND gateway_ref = $4 AND sequence = $5";
    let f = fact;
    let values = params![f.shop_id, f.channel_id, f.kind, f.gateway_ref, f.sequence];
    let known = FactRow::select_opt(tx, tail, values)?;
    known.map(|known| Recorded::Known(Box::new(known))).ok_or(Error::NotFound { what: "fact" })
}

/// A payment's facts, in the order in which they were written.
pub fn of_payment(tx: &mut Tx<'_>, shop: ShopId, payment: PaymentId) -> Result<Vec<FactRow>, Error> {
    ask_of_payment(tx, shop, payment)?.all(tx)
}

/// The same, taken later.
pub fn ask_of_payment(tx: &mut Tx<'_>, shop: ShopId, payment: PaymentId) -> Result<Later<FactRow>, Error> {
    let tail = "WHERE shop_id = $1 AND payment_id = $2 ORDER BY created_us, id";
    FactRow::select_later(tx, tail, params![shop, payment])
}
