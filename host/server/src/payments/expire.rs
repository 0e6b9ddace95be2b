//! The end of a payment's time, or of its deposit's. Invariant: a payment expires only while nothing is held and no attempt is
//! open; an attempt that is open keeps it, because money may turn out to be held. Where too little was paid in, a person is
//! called.

use payhost_core::id::{PaymentId, ShopId};
use payhost_core::{PaymentState, Resolution};
use payhost_store::rows::attempts;
use payhost_store::rows::payments::{self, Payment};
use payhost_store::{Error, Tx};

use super::settle::Change;
use crate::host::Host;
use crate::jobs::Done;

/// When an open attempt stands in the way, in microseconds.
const AGAIN_US: i64 = 60_000_000;

/// Ends a payment whose time is over, unless an attempt is open; tells whether it ended.
pub fn end(tx: &mut Tx<'_>, host: &Host, payment: Payment) -> Result<bool, Error> {
    let open = attempts::open_of(tx, payment.shop_id, payment.id)?.is_some();
    if open || payment.resolution != Resolution::None {
        return Ok(false);
    }
    let mut change = Change::begin(host, payment, None);
    change.payment.expired = true;
    if change.payment.paid > change.payment.cancelled {
        // Less than the total was paid in: the money is held, and a person must say what becomes of it.
        change.payment.resolution = Resolution::NeedsOperator;
    }
    change.write(tx)?;
    Ok(true)
}

/// Ends the payment when its time is over.
pub async fn expire(host: &Host, shop: ShopId, id: PaymentId) -> Result<Done, String> {
    let host_in = host.clone();
    let done = host.store().transact(move |tx| {
        let host = &host_in;
        let now_us = host.now_us();
        let Some(payment) = payments::lock(tx, shop, id)? else { return Ok(Done::Finished) };
        let due_us = match payment.state {
            PaymentState::Created | PaymentState::Pending => payment.expires_us,
            PaymentState::AwaitingDeposit => payment.deposit_deadline_us.unwrap_or(payment.expires_us),
            PaymentState::Paid
            | PaymentState::PartiallyCancelled
            | PaymentState::Cancelled
            | PaymentState::Failed
            | PaymentState::Expired => return Ok(Done::Finished),
        };
        if due_us > now_us {
            return Ok(Done::Again(due_us, "not yet".to_owned()));
        }
        if !end(tx, host, payment)? {
            return Ok(Done::Again(now_us.saturating_add(AGAIN_US), "an attempt is open".to_owned()));
        }
        Ok(Done::Finished)
    });
    let done: Result<Done, Error> = done.await;
    done.map_err(|error| error.to_string())
}
