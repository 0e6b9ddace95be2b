//! `event`: what a shop is told. Invariant: a payment's events are numbered without a repeat, in the order in which they
//! happened.

use payhost_core::id::{EventId, PaymentId, ShopId};

use crate::table::{Table, table};
use crate::{Error, Json, Tx, params};

table! {
    /// One event.
    pub struct Event in "event" {
        /// Its id.
        id: EventId,
        /// Whose.
        shop_id: ShopId,
        /// Of which payment.
        payment_id: PaymentId,
        /// Its number within the payment: take `payment.next_event` and raise that.
        sequence: i64,
        /// Such as `payment.paid`.
        name: String,
        /// What is sent.
        payload: Json,
        /// When it happened.
        created_us: i64,
    }
}

/// Adds an event.
pub fn insert(tx: &mut Tx<'_>, event: &Event) -> Result<(), Error> {
    Table::insert(event, tx)
}

/// A payment's events in order.
pub fn of_payment(tx: &mut Tx<'_>, shop: ShopId, payment: PaymentId) -> Result<Vec<Event>, Error> {
    Event::select(tx, "WHERE shop_id = $1 AND payment_id = $2 ORDER BY sequence", params![shop, payment])
}
