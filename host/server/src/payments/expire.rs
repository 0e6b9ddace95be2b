//! The end of a payment's time, or of its deposit's. Invariant: a payment expires only while nothing is held, no attempt is
//! open and no notice about it is being verified, because money may turn out to be held; an account only after the gateway was
//! asked, where it can be. Where too little was paid in, or a deposit of which no notice came, a person is called.

use payhost_core::id::{PaymentId, ShopId};
use payhost_core::{PaymentState, Resolution};
use payhost_engine::contract::money::SaleState;
use payhost_engine::contract::plugin::Lookup;
use payhost_store::rows::payments::{self, Payment};
use payhost_store::rows::{attempts, notices};
use payhost_store::{Error, Tx};
use serde_json::json;

use super::inquire::{Of, Silence, ask};
use super::resolve::next_us;
use super::settle::Change;
use crate::channels::ready::Ready;
use crate::host::Host;
use crate::http::problem::Problem;
use crate::jobs::Done;
use crate::vbank::close::issue_of;

/// When an open attempt stands in the way, in microseconds.
const AGAIN_US: i64 = 60_000_000;

/// Ends a payment whose time is over, unless an attempt is open; tells whether it ended.
pub fn end(tx: &mut Tx<'_>, host: &Host, payment: Payment) -> Result<bool, Error> {
    let open = attempts::open_of(tx, payment.shop_id, payment.id)?.is_some();
    if open || payment.resolution != Resolution::None || notices::is_awaited(tx, payment.shop_id, payment.id)?
    {
        return Ok(false);
    }
    let mut change = Change::begin(host, payment, None);
    // Where less than the total was paid in a person is called with it (`settle.rs`).
    change.payment.expired = true;
    change.write(tx)?;
    Ok(true)
}

/// Ends the payment when its time is over. An account is asked about once more before: its deposit's notice may be on its way,
/// or never come.
pub async fn expire(host: &Host, shop: ShopId, id: PaymentId) -> Result<Done, String> {
    let seen = host.store().read(move |tx| {
        let Some(payment) = payments::get(tx, shop, id)? else { return Ok(None) };
        let (order_ref, checkout) = issue_of(tx, shop, id)?;
        Ok::<_, Error>(Some((payment, order_ref, checkout)))
    });
    let Some((payment, order_ref, checkout)) = seen.await.map_err(|error| error.to_string())? else {
        return Ok(Done::Finished);
    };
    let now_us = host.now_us();
    let waits = payment.state == PaymentState::AwaitingDeposit && payment.paid == 0;
    let due_us = payment.deposit_deadline_us.unwrap_or(payment.expires_us);
    let told = if waits && due_us <= now_us {
        let ready = Ready::load_for(host, &payment, checkout).await;
        told(host, ready, &payment, &order_ref).await.map_err(|problem| problem.detail)?
    } else {
        Told::Nothing
    };
    // So long its notice may still come, or the gateway answer.
    let patience_us = next_us(due_us, now_us, 0);
    match (&told, patience_us) {
        (Told::Silent(words), Some(us)) => return Ok(Done::Again(us, words.clone())),
        (Told::Paid, Some(us)) => {
            return Ok(Done::Again(us, "the gateway says that it is paid, and no notice came".to_owned()));
        }
        (Told::Nothing | Told::Silent(_) | Told::Paid, _) => {}
    }
    let (host_in, paid) = (host.clone(), told == Told::Paid);
    let done = host.store().transact(move |tx| ended(tx, &host_in, shop, id, paid));
    let done: Result<Done, Error> = done.await;
    done.map_err(|error| error.to_string())
}

/// What the gateway tells of an account whose time is over.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    /// That it was paid into.
    Paid,
    /// No such thing, or it cannot be asked.
    Nothing,
    /// Nothing this time; why.
    Silent(String),
}

async fn told(
    host: &Host,
    ready: Result<Ready, Problem>,
    payment: &Payment,
    order_ref: &str,
) -> Result<Told, Problem> {
    let ready = match ready {
        Ok(ready) if ready.lookup() != Lookup::None => ready,
        Ok(_) | Err(_) => return Ok(Told::Nothing),
    };
    let of = Of { payment, attempt: None };
    Ok(match ask(host, &ready, of, order_ref, payment.gateway_ref.clone()).await? {
        Ok(Some(sale)) => {
            let same = sale.amount.minor == payment.total && sale.order_ref == order_ref;
            let paid = matches!(sale.state, SaleState::Paid | SaleState::PartiallyCancelled);
            if same && paid { Told::Paid } else { Told::Nothing }
        }
        Ok(None) | Err(Silence::CannotAsk(_)) => Told::Nothing,
        Err(Silence::Failed(words)) => Told::Silent(words),
    })
}

fn ended(tx: &mut Tx<'_>, host: &Host, shop: ShopId, id: PaymentId, paid: bool) -> Result<Done, Error> {
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
    let again = |words: &str| Ok(Done::Again(now_us.saturating_add(AGAIN_US), words.to_owned()));
    if notices::is_awaited(tx, shop, id)? {
        return again("a notice about it is being verified");
    }
    match payment.resolution {
        Resolution::None if paid && payment.paid == 0 => return no_notice(tx, host, payment),
        // Somebody asked before its time was over, and a person was called then.
        Resolution::NeedsOperator if paid && payment.paid == 0 => return Ok(Done::Finished),
        // The gateway holds nothing any more (a bank may take a deposit back), so there is nothing to call for.
        Resolution::NeedsOperator if is_called_for_a_notice(tx, &payment)? => {
            let mut change = Change::begin(host, payment, None);
            change.payment.resolution = Resolution::None;
            change.payment.expired = true;
            change.write(tx)?;
            return Ok(Done::Finished);
        }
        Resolution::None | Resolution::NeedsOperator | Resolution::InDoubt => {}
    }
    if !end(tx, host, payment)? {
        return again("an attempt is open");
    }
    Ok(Done::Finished)
}

/// Whether a person was called because the gateway holds a deposit that no notice told of ([`no_notice`]): of a payment that
/// holds nothing, of which nothing was given back and no attempt is open, there is no other reason.
pub fn is_called_for_a_notice(tx: &mut Tx<'_>, payment: &Payment) -> Result<bool, Error> {
    let empty = payment.paid == 0 && payment.cancelled == 0 && payment.late_us.is_none();
    let called = payment.resolution == Resolution::NeedsOperator;
    Ok(called && empty && attempts::open_of(tx, payment.shop_id, payment.id)?.is_none())
}

/// The gateway has the money, and nobody told how much of it came when: the notice address is wrong, or the host was away for
/// too long. The payment waits for a person, who lets the gateway send its notice again.
pub fn no_notice(tx: &mut Tx<'_>, host: &Host, payment: Payment) -> Result<Done, Error> {
    tracing::error!(payment = %payment.id, "the gateway holds a deposit that no notice told of");
    let mut change = Change::begin(host, payment, None);
    change.event("payment.alarm", json!({"finding": "no_notice"}));
    change.payment.resolution = Resolution::NeedsOperator;
    change.write(tx)?;
    Ok(Done::Finished)
}
