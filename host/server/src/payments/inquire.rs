//! Asking the gateway about an attempt in doubt. Invariant: what the gateway answers is believed only when it is about this
//! order and this amount.
//!
//! A complete: asked by our order number where the gateway can be asked; what it does not know, or cannot be asked, is undone
//! with the approval's own map. A cancel: asked by the gateway's number; a cancel is never undone.

use payhost_core::FactKind;
use payhost_engine::contract::money::{Cancellation, INQUIRE, Inquiry, Query, Sale, SaleState};
use payhost_engine::contract::plugin::Lookup;
use payhost_engine::contract::types::{Approval, Details, Method, Money, PluginError};
use payhost_store::rows::facts;
use payhost_store::rows::payments::Payment;

use super::attempt::{JournalOf, journal};
use super::cancel::CancelAsked;
use super::resolve::{Doubtful, Found};
use super::undo;
use crate::channels::ready::{Moment, Ready};
use crate::host::Host;
use crate::http::problem::Problem;

/// An inquiry that fails is repeated so often before the default, undoing, is done: an approval can be undone for a short
/// time only.
const ASK_TRIES: i64 = 2;
/// How long a request may still be on its way after its attempt, when the plugin does not say: 15 minutes, in milliseconds.
const SETTLES_MS: i64 = 15 * 60 * 1000;

/// Why an inquiry says nothing.
enum Silence {
    /// The gateway cannot be asked so.
    CannotAsk(String),
    /// It could not be reached or understood this time.
    Failed(String),
}

/// Finds out about a complete.
pub async fn complete(host: &Host, ready: &Ready, doubtful: &Doubtful) -> Result<Found, Problem> {
    let Some(checkout) = &doubtful.checkout else {
        return Ok(Found::unknown("the attempt has no checkout"));
    };
    if let Some(found) = undo::earlier(host, &doubtful.attempt).await? {
        return Ok(found);
    }
    let mut reason = "the gateway cannot be asked by our order number".to_owned();
    if ready.lookup() == Lookup::OrderRef {
        match ask(host, ready, doubtful, &checkout.order_ref, None).await? {
            Ok(Some(sale)) => match judge(&doubtful.payment, &checkout.order_ref, sale) {
                Ok(found) => return Ok(found),
                Err(words) => words.clone_into(&mut reason),
            },
            Ok(None) => "the gateway knows no such sale yet".clone_into(&mut reason),
            Err(Silence::CannotAsk(words)) => reason = words,
            Err(Silence::Failed(words)) if doubtful.tries < ASK_TRIES => return Ok(Found::unknown(words)),
            Err(Silence::Failed(words)) => reason = words,
        }
    }
    tracing::info!(attempt = %doubtful.attempt.id, %reason, "undoing");
    undo::undo(host, ready, doubtful, checkout).await
}

/// What a found sale means for a complete; `Err`: it must be undone.
fn judge(payment: &Payment, order_ref: &str, sale: Sale) -> Result<Found, &'static str> {
    let same = sale.amount.minor == payment.total
        && sale.amount.currency == payment.currency.as_str()
        && sale.order_ref == order_ref;
    let second = payment.paid > payment.cancelled && payment.gateway_ref.as_ref() != Some(&sale.gateway_ref);
    match sale.state {
        SaleState::Paid if second => Err("the payment is paid by another sale"),
        SaleState::Paid if same => Ok(approval_of(payment, sale)),
        SaleState::Cancelled => Ok(Found::Nothing("cancelled_at_gateway", None)),
        SaleState::Paid | SaleState::PartiallyCancelled => Err("the sale differs from the order"),
        SaleState::AwaitingDeposit => Ok(Found::unknown("an account was issued")),
    }
}

fn approval_of(payment: &Payment, sale: Sale) -> Found {
    let asked: Option<Method> = payment.method.as_ref().and_then(|method| method.to().ok());
    let Some(method) = sale.method.or(asked) else {
        return Found::unknown("the gateway does not say how it was paid");
    };
    Found::Approved(Box::new(Approval {
        gateway_ref: sale.gateway_ref,
        order_ref: sale.order_ref,
        amount: sale.amount,
        approved_at_ms: sale.approved_at_ms.unwrap_or(payment.updated_us / 1000),
        method,
        details: Details::default(),
    }))
}

/// Asks the gateway: a sale, or nothing by that number.
async fn ask(
    host: &Host,
    ready: &Ready,
    doubtful: &Doubtful,
    order_ref: &str,
    gateway_ref: Option<String>,
) -> Result<Result<Option<Sale>, Silence>, Problem> {
    let payment = &doubtful.payment;
    let query = Query {
        order_ref: order_ref.to_owned(),
        gateway_ref,
        amount: Money { minor: payment.total, currency: payment.currency.to_string() },
        method: payment.paid_method.as_ref().and_then(|method| method.to().ok()),
    };
    let moment = Moment::now(host);
    let of = JournalOf {
        call: moment.call,
        at_ms: moment.now_ms,
        payment: Some(payment.id),
        attempt: Some(doubtful.attempt.id),
    };
    let called = ready.call(host, &INQUIRE, moment, |context| (context, query)).await;
    let answer = match &called.result {
        Ok(Ok(Inquiry::Found(sale))) => Ok(Some(sale.clone())),
        Ok(Ok(Inquiry::NotFound)) => Ok(None),
        Ok(Ok(Inquiry::CannotAsk(words))) => Err(Silence::CannotAsk(words.clone())),
        Ok(Err(PluginError::Gateway(refusal))) if refusal.class != "gateway_down" => Err(Silence::CannotAsk(
            format!("the gateway refuses the inquiry: {} {}", refusal.code, refusal.message),
        )),
        Ok(Err(error)) => Err(Silence::Failed(format!("{error:?}"))),
        Err(fault) => Err(Silence::Failed(fault.to_string())),
    };
    let (host_in, ready_in) = (host.clone(), ready.clone());
    let journaled = host.store().transact(move |tx| journal(tx, &host_in, &ready_in, of, &called));
    journaled.await?;
    Ok(answer)
}

/// Finds out about a cancel.
pub async fn cancel(host: &Host, ready: &Ready, doubtful: &Doubtful) -> Result<Found, Problem> {
    let asked: CancelAsked = doubtful.attempt.request.to()?;
    let gateway_ref = doubtful.payment.gateway_ref.clone();
    if ready.lookup() == Lookup::None || gateway_ref.is_none() {
        return Ok(Found::unknown("the gateway cannot be asked"));
    }
    let sale = match ask(host, ready, doubtful, &asked.order_ref, gateway_ref).await? {
        Ok(Some(sale)) => sale,
        Ok(None) => return Ok(Found::unknown("the gateway does not know the sale")),
        Err(Silence::CannotAsk(words) | Silence::Failed(words)) => return Ok(Found::unknown(words)),
    };
    if sale.amount.minor != doubtful.payment.total || sale.order_ref != asked.order_ref {
        return Ok(Found::unknown("the gateway answers about another sale"));
    }
    let (shop, payment) = (doubtful.payment.shop_id, doubtful.payment.id);
    let known = host.store().read(move |tx| facts::of_payment(tx, shop, payment)).await?;
    let known = known.iter().filter(|fact| fact.kind == FactKind::Cancelled).count();
    let waited_ms = host.now_ms().saturating_sub(doubtful.attempt.now_ms);
    let settled = waited_ms > ready.plugin.descriptor().settles_within_ms.unwrap_or(SETTLES_MS);
    Ok(judge_cancel(&asked, &sale, known, host.now_ms(), settled))
}

/// What a found sale means for a cancel, with the number of its cancels that we know.
fn judge_cancel(asked: &CancelAsked, sale: &Sale, known: usize, now_ms: i64, settled: bool) -> Found {
    let amount = Money { minor: asked.amount, currency: sale.amount.currency.clone() };
    let made = |gateway_ref, at_ms| {
        let remaining = None;
        Found::Cancelled(Box::new(Cancellation { gateway_ref, amount, remaining, at_ms, more: Vec::new() }))
    };
    if sale.state == SaleState::Cancelled && asked.amount == asked.remaining {
        let last = sale.cancels.last();
        let at_ms = last.and_then(|cancel| cancel.at_ms).unwrap_or(now_ms);
        return made(last.and_then(|cancel| cancel.gateway_ref.clone()), at_ms);
    }
    if let Some(cancel) = sale.cancels.get(known).filter(|cancel| cancel.amount.minor == asked.amount) {
        return made(cancel.gateway_ref.clone(), cancel.at_ms.unwrap_or(now_ms));
    }
    // "Not cancelled" is believed only when the request cannot be on its way any more.
    let untouched = sale.cancels.len() == known && sale.state != SaleState::Cancelled;
    if untouched && settled {
        Found::NotCancelled
    } else {
        Found::unknown("the gateway knows no such cancel yet")
    }
}
