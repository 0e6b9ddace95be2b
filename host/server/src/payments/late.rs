//! Money that comes after the end: a deposit into an account that was closed, an approval that is told by a notice after its
//! payment was given up, either of them for an order that has another payment by now. Invariant: it is a fact, and the state
//! follows it; the shop is told by an event of its own, and a person is called for as long as it is held and nobody said that it
//! is kept (`late_us` of the payment, with `resolution: needs_operator`).
//!
//! An approval is given back by the host when another payment of the order is open or paid, as a second approval is; of several
//! that came after their end the first one stays. A deposit waits for a person: nobody but the buyer knows the account that it
//! goes back to.

use axum::http::StatusCode;
use payhost_core::id::{PaymentId, ShopId};
use payhost_core::{FactKind, Resolution};
use payhost_store::rows::attempts::{self, Attempt, AttemptKind};
use payhost_store::rows::events;
use payhost_store::rows::facts::{self, FactRow};
use payhost_store::rows::payments::{self, Payment};
use payhost_store::{Error, Tx};
use serde_json::json;

use super::attempt::locked;
use super::cancel::{self, CancelIn};
use super::only_if::OnlyIf;
use super::resolve::next_us;
use super::settle::Change;
use crate::host::Host;
use crate::http::auth::ShopCaller;
use crate::http::idempotency::RequiredKey;
use crate::http::problem::Problem;
use crate::jobs::{self, Done, Task};

/// What a person says of it (`POST /v1/payments/{id}/resolve`): the shop delivers, and the money is kept.
pub const KEPT: &str = "kept";
/// The event that tells of it.
const LATE_MONEY: &str = "payment.late_money";
/// For so many days the host tries to give it back; a person was called at once.
const DAYS: i64 = 14;
/// When another attempt of the payment stands in the way, in microseconds.
const BUSY_US: i64 = 5_000_000;
/// For so long after late money it is looked whether the order has another payment, in microseconds: longer than a transaction
/// takes that began before the money was written. What is made afterwards is made by who was told of it.
const OTHER_US: i64 = 60_000_000;

/// Money was written that was not known before, of a payment that was over before or not (`over`): marks it when it came after
/// the end.
pub fn came(
    tx: &mut Tx<'_>,
    host: &Host,
    change: &mut Change<'_>,
    money: (FactKind, i64, &str),
    over: bool,
) -> Result<(), Error> {
    let (payment, now_us) = (&change.payment, host.now_us());
    let (shop, id) = (payment.shop_id, payment.id);
    let other = other_of_order(tx, payment, Some(payment.late_us.unwrap_or(now_us)))?;
    let closed = over && was_closed(tx, payment)?;
    let ended = payment.given_up || payment.late_us.is_some() || closed;
    // What only expired is paid late, unless the order has another payment.
    let expired = over || payment.expired;
    if ended || expired && other.is_some() {
        mark(change, money, other, now_us);
    }
    // Also where no other payment is seen yet: one that is being made at this moment is not, and it does not see this money.
    if ended || expired {
        jobs::enqueue(tx, host, &Task::GiveBack { shop, payment: id }, now_us)?;
    }
    Ok(())
}

/// Marks money as late, and tells of it.
fn mark(
    change: &mut Change<'_>,
    (kind, amount, gateway_ref): (FactKind, i64, &str),
    other: Option<PaymentId>,
    now_us: i64,
) {
    let id = change.payment.id;
    tracing::error!(payment = %id, kind = kind.as_str(), amount, other = ?other, "money came after the end of its payment");
    let gives_back = kind == FactKind::Approved && other.is_some();
    let data = json!({
        "kind": kind.as_str(), "amount": amount, "gateway_ref": gateway_ref, "other_payment": other, "given_back": gives_back,
    });
    change.payment.late_us.get_or_insert(now_us);
    change.event(LATE_MONEY, data);
}

fn was_closed(tx: &mut Tx<'_>, payment: &Payment) -> Result<bool, Error> {
    let known = facts::of_payment(tx, payment.shop_id, payment.id)?;
    Ok(known.iter().any(|fact| fact.kind == FactKind::Closed))
}

/// Another payment of its order that is open or paid. Of those whose money came after their end only one that came before this
/// one's (`late_us`) counts: each would give way to the other.
pub fn other_of_order(
    tx: &mut Tx<'_>,
    payment: &Payment,
    late_us: Option<i64>,
) -> Result<Option<PaymentId>, Error> {
    let counts = |other: &Payment| match (other.late_us, late_us) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(theirs), Some(ours)) => (theirs, other.id) < (ours, payment.id),
    };
    let asked = payments::ask_open_of_order(tx, payment.shop_id, payment.mode, &payment.order_id)?;
    let others = asked.all(tx)?.into_iter().filter(|other| other.id != payment.id && counts(other)).collect();
    Ok(payments::holder(others).map(|other| other.id))
}

/// What is looked at before anything is given back.
struct Seen {
    payment: Payment,
    /// The money that came last.
    money: FactRow,
    /// Another payment of the order.
    other: Option<PaymentId>,
    /// How many cancels of the payment have ended.
    cancels: usize,
}

/// Looks at it. `None`: nothing is held, or a person said that it is kept.
fn see(tx: &mut Tx<'_>, shop: ShopId, id: PaymentId) -> Result<Option<Seen>, Error> {
    let payment = payments::get(tx, shop, id)?.filter(|row| row.paid > row.cancelled);
    let Some(payment) = payment else { return Ok(None) };
    if payment.late_us.is_none() && was_told(tx, &payment)? {
        return Ok(None);
    }
    let came = |fact: &FactRow| matches!(fact.kind, FactKind::Approved | FactKind::Deposited);
    let money = facts::of_payment(tx, shop, id)?.into_iter().filter(came).max_by_key(|fact| fact.created_us);
    let other = other_of_order(tx, &payment, payment.late_us)?;
    let cancels = attempts::of_payment(tx, shop, id)?;
    let ended = |attempt: &&Attempt| attempt.kind == AttemptKind::Cancel && !attempt.state.is_open();
    let cancels = cancels.iter().filter(ended).count();
    Ok(money.map(|money| Seen { payment, money, other, cancels }))
}

fn was_told(tx: &mut Tx<'_>, payment: &Payment) -> Result<bool, Error> {
    let events = events::of_payment(tx, payment.shop_id, payment.id)?;
    Ok(events.iter().any(|event| event.name == LATE_MONEY))
}

/// Looks whether the order of money that came after its payment's end has another payment, and gives an approval back then. Done
/// twice it is one cancel: it has a key of its own, which no shop can send, and another one only when the cancel before it ended
/// without giving the money back.
pub async fn give_back(host: &Host, shop: ShopId, id: PaymentId) -> Result<Done, String> {
    let seen = host.store().read(move |tx| see(tx, shop, id)).await;
    let Some(Seen { payment, money, other, cancels }) = seen.map_err(|error| error.to_string())? else {
        return Ok(Done::Finished);
    };
    let came_us = money.created_us;
    let host_in = host.clone();
    let late = match (payment.late_us, other) {
        (_, None) => false,
        (Some(_), Some(_)) => true,
        (None, Some(_)) => {
            let marked = host.store().transact(move |tx| mark_expired(tx, &host_in, shop, id)).await;
            marked.map_err(|error: Error| error.to_string())?
        }
    };
    if !late {
        return Ok(look_again(host, came_us, "the order has no other payment".to_owned()));
    }
    if money.kind != FactKind::Approved {
        return Ok(Done::Finished);
    }
    let caller = ShopCaller { shop_id: shop, mode: payment.mode, key_id: None };
    let key =
        RequiredKey::made(format!("host\ngive back {id} {cancels}")).of(host, &caller, "give back", b"");
    let input = CancelIn { reason: Some("paid twice".to_owned()), ..CancelIn::default() };
    let made = match key {
        Ok(key) => cancel::make(host, &payment, input, key, Some(OnlyIf::Late)).await,
        Err(problem) => Err(problem),
    };
    match made {
        Ok((StatusCode::OK, _)) => Ok(Done::Finished),
        // Its attempt is asked about like any other; should the gateway say that it was not made, it is made again.
        Ok((StatusCode::ACCEPTED, _)) => {
            Ok(on_schedule(host, came_us, "it is not known yet whether it was given back".to_owned()))
        }
        Ok((status, _)) => Err(format!("status {status}")),
        Err(problem) => Ok(later(host, &payment, came_us, &problem)),
    }
}

/// Marks the money of a payment that only expired: its order has another payment, which did not see this money, nor did this money
/// see it. Tells whether it is late.
fn mark_expired(tx: &mut Tx<'_>, host: &Host, shop: ShopId, id: PaymentId) -> Result<bool, Error> {
    let payment = locked(tx, shop, id)?;
    if payment.late_us.is_some() {
        return Ok(true);
    }
    // Looked at again under the lock.
    let Some(Seen { payment, money, other: Some(other), .. }) = see(tx, shop, id)? else {
        return Ok(false);
    };
    let mut change = Change::begin(host, payment, None);
    mark(&mut change, (money.kind, money.amount, &money.gateway_ref), Some(other), host.now_us());
    change.write(tx)?;
    Ok(true)
}

/// Looks for another payment once more, as long as one may be made that did not see the money that came at that time.
fn look_again(host: &Host, came_us: i64, words: String) -> Done {
    let now_us = host.now_us();
    let again = Done::Again(now_us.saturating_add(BUSY_US), words);
    if now_us < came_us.saturating_add(OTHER_US) { again } else { Done::Finished }
}

/// Tries again as often as a doubt of that age is asked about.
fn on_schedule(host: &Host, came_us: i64, words: String) -> Done {
    next_us(came_us, host.now_us(), DAYS).map_or(Done::Finished, |us| Done::Again(us, words))
}

/// Whether to try again. A person was called when the money came.
fn later(host: &Host, payment: &Payment, came_us: i64, problem: &Problem) -> Done {
    let (id, now_us, words) = (payment.id, host.now_us(), problem.to_string());
    tracing::warn!(payment = %id, %words, "late money is not given back yet");
    match problem.code {
        "payment_busy" | "payment_in_doubt" | "idempotency_running" | "conflict" => {
            Done::Again(now_us.saturating_add(BUSY_US), words)
        }
        // The other payment ended since, or a person decided.
        "not_cancellable" => look_again(host, came_us, words),
        // Nothing was sent, or the gateway did not make it: the next hour may be a better one.
        _ if problem.status >= 500 => on_schedule(host, came_us, words),
        _ => Done::Finished,
    }
}

/// A person says that the money is kept. The caller holds the payment's lock.
pub fn keep(tx: &mut Tx<'_>, change: &mut Change<'_>) -> Result<Result<(), Problem>, Error> {
    let payment = &mut change.payment;
    if payment.late_us.is_none() {
        let words = "no money of this payment came after its end, or it was given back";
        return Ok(Err(Problem::new("not_in_doubt", words)));
    }
    if attempts::open_of(tx, payment.shop_id, payment.id)?.is_some() {
        let words = "a cancel of this payment is running or in doubt; look again afterwards";
        return Ok(Err(Problem::new("payment_busy", words)));
    }
    payment.late_us = None;
    payment.resolution = Resolution::None;
    Ok(Ok(()))
}
