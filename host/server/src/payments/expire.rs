//! The end of a payment's time, or of its deposit's. Invariant: a payment expires only while nothing is held, no attempt is
//! open and no notice about it is being verified, because money may turn out to be held; an account only after the gateway was
//! asked, where it can be. Where too little was paid in, or a deposit of which no notice came, a person is called; who was called
//! for a deposit is needed until the gateway, asked again, says that it holds nothing.

use payhost_core::id::{CheckoutId, PaymentId, ShopId};
use payhost_core::{PaymentState, Resolution};
use payhost_engine::contract::money::SaleState;
use payhost_store::rows::payments::{self, Payment};
use payhost_store::rows::{attempts, notices};
use payhost_store::{Error, Tx};
use serde_json::json;

use super::inquire::{Of, Silence, ask, is_about};
use super::resolve::next_us;
use super::settle::Change;
use super::unpaid::{can_be_asked, known_as};
use crate::channels::ready::Ready;
use crate::host::Host;
use crate::http::problem::Problem;
use crate::jobs::Done;

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
/// or never come. So is whatever a person was called for.
pub async fn expire(host: &Host, shop: ShopId, id: PaymentId) -> Result<Done, String> {
    let seen = host.store().read(move |tx| {
        let Some(payment) = payments::get(tx, shop, id)? else { return Ok(None) };
        let known = known_as(tx, &payment)?;
        let called = is_called_for_a_notice(tx, &payment)?;
        Ok::<_, Error>(Some((payment, known, called)))
    });
    let Some((payment, known, called)) = seen.await.map_err(|error| error.to_string())? else {
        return Ok(Done::Finished);
    };
    let Some(due_us) = due_us(&payment) else { return Ok(Done::Finished) };
    let now_us = host.now_us();
    let waits = payment.state == PaymentState::AwaitingDeposit && payment.paid == 0;
    let told = if due_us <= now_us && (waits || called) {
        told(host, &payment, known).await.map_err(|problem| problem.detail)?
    } else {
        Told::CannotTell
    };
    // So long its notice may still come, or the gateway answer.
    let patience_us = next_us(due_us, now_us, 0);
    match (&told, patience_us) {
        (Told::Silent(words), Some(us)) => return Ok(Done::Again(us, words.clone())),
        (Told::Paid, Some(us)) => {
            return Ok(Done::Again(us, "the gateway says that it is paid, and no notice came".to_owned()));
        }
        (Told::NotPaid | Told::CannotTell | Told::Silent(_) | Told::Paid, _) => {}
    }
    let host_in = host.clone();
    let done = host.store().transact(move |tx| ended(tx, &host_in, &payment, &told));
    let done: Result<Done, Error> = done.await;
    done.map_err(|error| error.to_string())
}

/// When the time of a payment is over that is not paid; none for others.
pub fn due_us(payment: &Payment) -> Option<i64> {
    match payment.state {
        PaymentState::Created | PaymentState::Pending => Some(payment.expires_us),
        PaymentState::AwaitingDeposit => Some(payment.deposit_deadline_us.unwrap_or(payment.expires_us)),
        PaymentState::Paid
        | PaymentState::PartiallyCancelled
        | PaymentState::Cancelled
        | PaymentState::Failed
        | PaymentState::Expired => None,
    }
}

/// What the gateway tells of a payment whose time is over.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    /// That it was paid into.
    Paid,
    /// That it holds nothing.
    NotPaid,
    /// It was not asked, cannot be, or its answer does not say.
    CannotTell,
    /// Nothing this time; why.
    Silent(String),
}

/// What it tells of all that it may know the payment by: a deposit is one anywhere, and "nothing" must be said of each.
async fn told(
    host: &Host,
    payment: &Payment,
    known: Vec<(String, Option<CheckoutId>)>,
) -> Result<Told, Problem> {
    let mut all = if known.is_empty() { Told::CannotTell } else { Told::NotPaid };
    for (order_ref, checkout) in known {
        match told_of(host, payment, &order_ref, checkout).await? {
            Told::Paid => return Ok(Told::Paid),
            Told::NotPaid => {}
            Told::CannotTell if all == Told::NotPaid => all = Told::CannotTell,
            Told::CannotTell => {}
            // All is asked again, and a job is short.
            silent @ Told::Silent(_) => return Ok(silent),
        }
    }
    Ok(all)
}

async fn told_of(
    host: &Host,
    payment: &Payment,
    order_ref: &str,
    checkout: Option<CheckoutId>,
) -> Result<Told, Problem> {
    let ready = match Ready::load_for(host, payment, checkout).await {
        Ok(ready) if can_be_asked(&ready, payment) => ready,
        Ok(_) | Err(_) => return Ok(Told::CannotTell),
    };
    let of = Of { payment, attempt: None };
    Ok(match ask(host, &ready, of, order_ref, payment.gateway_ref.clone()).await? {
        Ok(Some(sale)) if is_about(payment, order_ref, &sale) => match sale.state {
            SaleState::Paid | SaleState::PartiallyCancelled => Told::Paid,
            SaleState::AwaitingDeposit | SaleState::Cancelled => Told::NotPaid,
        },
        // That it knows no sale by our number is an answer; that it does not know the account that it opened is none.
        Ok(None) if payment.gateway_ref.is_none() => Told::NotPaid,
        Ok(Some(_) | None) | Err(Silence::CannotAsk(_)) => Told::CannotTell,
        Err(Silence::Failed(words)) => Told::Silent(words),
    })
}

/// Ends the payment that was `seen` before the gateway was asked.
fn ended(tx: &mut Tx<'_>, host: &Host, seen: &Payment, told: &Told) -> Result<Done, Error> {
    let (shop, id, now_us) = (seen.shop_id, seen.id, host.now_us());
    let Some(payment) = payments::lock(tx, shop, id)? else { return Ok(Done::Finished) };
    let Some(due_us) = due_us(&payment) else { return Ok(Done::Finished) };
    if due_us > now_us {
        return Ok(Done::Again(due_us, "not yet".to_owned()));
    }
    let again = |words: &str| Ok(Done::Again(now_us.saturating_add(AGAIN_US), words.to_owned()));
    if notices::is_awaited(tx, shop, id)? {
        return again("a notice about it is being verified");
    }
    if payment.version != seen.version {
        return again("it was changed while the gateway was asked");
    }
    match payment.resolution {
        Resolution::None if *told == Told::Paid && payment.paid == 0 => return no_notice(tx, host, payment),
        Resolution::NeedsOperator if is_called_for_a_notice(tx, &payment)? => {
            // The gateway holds nothing any more (a bank may take a deposit back), so there is nothing to call for. Otherwise
            // the person goes on; a `sync` that ends the call brings this job back.
            if *told == Told::NotPaid {
                let mut change = Change::begin(host, payment, None);
                change.payment.resolution = Resolution::None;
                change.payment.expired = true;
                change.write(tx)?;
            }
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
