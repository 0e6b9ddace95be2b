//! Finding out how an attempt ended. Invariant: an attempt in doubt ends only by the gateway's own word; "unknown" leaves it as
//! it is and asks again later; a person is called before anything is ever given up (`design.md` "Money", rule 5).
//!
//! A complete: ask by our order number where the gateway can be asked; what it does not know, or cannot be asked, is undone
//! with the approval's own map. A cancel: ask by the gateway's number; a cancel is never undone.

use payhost_core::id::{AttemptId, ShopId};
use payhost_core::{FactKind, Resolution};
use payhost_engine::contract::money::{
    self as contract, Cancellation, INQUIRE, Inquiry, Query, Sale, SaleState, UNDO, Undone,
};
use payhost_engine::contract::plugin::Lookup;
use payhost_engine::contract::types::{Approval, Callback, Details, Method, Money, Order};
use payhost_store::rows::attempts::{self, Attempt, AttemptKind, AttemptState};
use payhost_store::rows::checkouts::{self, Checkout, CheckoutState};
use payhost_store::rows::facts;
use payhost_store::rows::payments::{self, Payment};
use payhost_store::{Error, Json, Tx};
use serde_json::{Value, json};

use super::attempt::{JournalOf, Opening, evidence, journal, open, run};
use super::cancel::{self, CancelAsked};
use super::settle::{self, Change, checkout_ended};
use super::verdict::{Verdict, judge};
use crate::channels::ready::{Moment, Ready};
use crate::checkout::complete::{locked, mine};
use crate::host::{Host, hex, random};
use crate::http::problem::Problem;
use crate::jobs::Done;
use crate::sealed::Place;

/// When to ask again after each try, in seconds; afterwards daily.
const SCHEDULE_SECONDS: &[i64] = &[5, 15, 60, 300, 900, 3600, 21_600];
const DAY_SECONDS: i64 = 86_400;
/// After this many days a person must find out.
const DAYS: i64 = 14;
/// How long a resolution holds the attempt, in microseconds.
const HOLD_US: i64 = super::attempt::LEASE_US;

/// What a step found out.
enum Found {
    /// The money was taken.
    Approved(Box<Approval>),
    /// Nothing is held: it was undone, or the gateway says so.
    Nothing(&'static str),
    /// A cancel was made.
    Cancelled(Box<Cancellation>),
    /// The gateway says that nothing was cancelled.
    NotCancelled,
    /// Nobody knows; why.
    Unknown(String),
}

/// The rows of an attempt in doubt.
struct Doubtful {
    attempt: Attempt,
    payment: Payment,
    checkout: Option<Checkout>,
}

/// One step of the resolution. Called by the job runner only, so that nobody else resolves beside it.
pub async fn resolve(host: &Host, shop: ShopId, id: AttemptId, tries: i64) -> Result<Done, String> {
    let doubtful = match take(host, shop, id).await.map_err(|error| error.to_string())? {
        Taken::Mine(doubtful) => doubtful,
        Taken::Settled => return Ok(Done::Finished),
        Taken::TooEarly(us) => return Ok(Done::Again(us, "its maker may still be at work".to_owned())),
    };
    let digest = doubtful.attempt.plugin_digest.clone();
    let ready = Ready::load(host, shop, doubtful.payment.channel_id, Some(&digest)).await;
    let ready = ready.map_err(|problem| problem.detail)?;
    let found = match doubtful.attempt.kind {
        AttemptKind::Complete => find_complete(host, &ready, &doubtful).await,
        AttemptKind::Cancel => find_cancel(host, &ready, &doubtful, tries).await,
        AttemptKind::Undo => Ok(Found::Unknown("an undo is resolved with its parent".to_owned())),
    };
    let found = found.unwrap_or_else(|problem| Found::Unknown(problem.detail));
    let done = write(host, &ready, doubtful, found, tries).await.map_err(|error| error.to_string())?;
    host.settled().notify_waiters();
    Ok(done)
}

enum Taken {
    Mine(Box<Doubtful>),
    Settled,
    TooEarly(i64),
}

/// Takes the attempt: an intent whose lease is over becomes a doubt.
async fn take(host: &Host, shop: ShopId, id: AttemptId) -> Result<Taken, Error> {
    let host_in = host.clone();
    let taken = host.store().transact(move |tx| {
        let host = &host_in;
        let now_us = host.now_us();
        let Some(mut attempt) = attempts::get(tx, shop, id)? else { return Ok(Taken::Settled) };
        if !attempt.state.is_open() {
            return Ok(Taken::Settled);
        }
        let payment = locked(tx, shop, attempt.payment_id)?;
        if attempt.state == AttemptState::Intent {
            if attempt.lease_until_us > now_us {
                return Ok(Taken::TooEarly(attempt.lease_until_us));
            }
            let token = hex(&random::<16>());
            if !attempts::take_over(tx, (shop, id), &token, now_us, now_us.saturating_add(HOLD_US))? {
                return Ok(Taken::Settled);
            }
            tracing::warn!(attempt = %id, "an attempt was left behind; its outcome is in doubt");
            attempt.lease_token = token;
            attempt.state = AttemptState::InDoubt;
            attempt.updated_us = now_us;
            attempts::settle(tx, &attempt)?;
        }
        let checkout = match attempt.checkout_id {
            Some(checkout) => checkouts::get(tx, shop, checkout)?,
            None => None,
        };
        let mut change = Change::begin(host, payment, super::model::Support::default());
        if change.payment.resolution == Resolution::None {
            change.payment.resolution = Resolution::InDoubt;
        }
        let payment = change.write(tx)?;
        Ok::<_, Error>(Taken::Mine(Box::new(Doubtful { attempt, payment, checkout })))
    });
    taken.await
}

async fn find_complete(host: &Host, ready: &Ready, doubtful: &Doubtful) -> Result<Found, Problem> {
    let Some(checkout) = &doubtful.checkout else {
        return Ok(Found::Unknown("the attempt has no checkout".to_owned()));
    };
    let mut known = "the gateway cannot be asked by our order number".to_owned();
    if ready.lookup() == Lookup::OrderRef {
        match ask(host, ready, doubtful, &checkout.order_ref, None).await? {
            Ok(Inquiry::Found(sale)) => match judge_sale(&doubtful.payment, &checkout.order_ref, sale) {
                Ok(found) => return Ok(found),
                Err(words) => known = words,
            },
            Ok(Inquiry::NotFound) => known = "the gateway knows no such sale yet".to_owned(),
            Ok(Inquiry::CannotAsk(words)) => known = words,
            // It could be asked and was not understood: undoing now could undo a good sale's only proof.
            Err(words) => return Ok(Found::Unknown(words)),
        }
    }
    tracing::info!(attempt = %doubtful.attempt.id, reason = %known, "undoing");
    undo(host, ready, doubtful, checkout).await
}

/// What a found sale means for a complete; `Err`: it must be undone.
fn judge_sale(payment: &Payment, order_ref: &str, sale: Sale) -> Result<Found, String> {
    let same = sale.amount.minor == payment.total
        && sale.amount.currency == payment.currency.as_str()
        && sale.order_ref == order_ref;
    match sale.state {
        SaleState::Paid if same => Ok(Found::Approved(Box::new(approval_of(payment, sale)))),
        SaleState::Cancelled => Ok(Found::Nothing("cancelled_at_gateway")),
        SaleState::Paid | SaleState::PartiallyCancelled => Err("the sale differs from the order".to_owned()),
        SaleState::AwaitingDeposit => Ok(Found::Unknown("an account was issued".to_owned())),
    }
}

fn approval_of(payment: &Payment, sale: Sale) -> Approval {
    let asked: Option<Method> = payment.method.as_ref().and_then(|method| method.to().ok());
    let method = sale.method.or(asked).unwrap_or(Method { kind: "card".to_owned(), provider: None });
    Approval {
        gateway_ref: sale.gateway_ref,
        order_ref: sale.order_ref,
        amount: sale.amount,
        approved_at_ms: sale.approved_at_ms.unwrap_or(payment.updated_us / 1000),
        method,
        details: Details::default(),
    }
}

/// Asks the gateway. The inner error is why its answer says nothing.
async fn ask(
    host: &Host,
    ready: &Ready,
    doubtful: &Doubtful,
    order_ref: &str,
    gateway_ref: Option<String>,
) -> Result<Result<Inquiry, String>, Problem> {
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
        Ok(Ok(inquiry)) => Ok(inquiry.clone()),
        Ok(Err(error)) => Err(format!("{error:?}")),
        Err(fault) => Err(fault.to_string()),
    };
    let (host_in, ready_in) = (host.clone(), ready.clone());
    let journaled = host.store().transact(move |tx| journal(tx, &host_in, &ready_in, of, &called));
    journaled.await?;
    Ok(answer)
}

/// An attempt of its own: T1, the plugin, T2.
async fn undo(
    host: &Host,
    ready: &Ready,
    doubtful: &Doubtful,
    checkout: &Checkout,
) -> Result<Found, Problem> {
    let parent = &doubtful.attempt;
    let order: Order = Place::Order(checkout.id).open_json(&ready.key, &checkout.order_json)?;
    let Some(sealed) = &parent.callback else {
        return Ok(Found::Unknown("the attempt has no callback".to_owned()));
    };
    let callback: Callback = Place::Callback(checkout.id).open_json(&ready.key, sealed)?;
    let earlier = contract::Attempt {
        now_ms: parent.now_ms,
        seed: parent.seed.clone(),
        order_ref: checkout.order_ref.clone(),
    };
    let opening = Opening {
        kind: AttemptKind::Undo,
        checkout: Some(checkout.id),
        parent: Some(parent.id),
        request: json!({"order_ref": checkout.order_ref}),
        callback: None,
    };
    let (host_in, payment, digest) = (host.clone(), doubtful.payment.clone(), parent.plugin_digest.clone());
    let opened = host.store().transact(move |tx| open(tx, &host_in, &payment, &digest, opening)).await?;
    let Ok(attempt) = opened else {
        return Ok(Found::Unknown("another undo is running".to_owned()));
    };
    let called = run(host, ready, &attempt, &UNDO, |context| (context, order, callback, earlier)).await;
    let word = match &called.result {
        Ok(word) => Ok(word.clone()),
        Err(fault) => Err(fault.to_string()),
    };
    let verdict = judge(called.evidence.writes(), word, |_| true);
    let (state, found) = match &verdict {
        Verdict::Done(Undone::Reversed) => (AttemptState::Succeeded, Found::Nothing("undone")),
        Verdict::Done(Undone::NothingToUndo) => (
            AttemptState::Succeeded,
            Found::Unknown("the gateway says that there is nothing to undo".to_owned()),
        ),
        Verdict::Declined(refusal) => (
            AttemptState::Declined,
            Found::Unknown(format!("undo refused: {} {}", refusal.code, refusal.message)),
        ),
        Verdict::NotSent(why) => (AttemptState::Failed, Found::Unknown(format!("undo not sent: {why:?}"))),
        Verdict::InDoubt(doubt) => {
            (AttemptState::InDoubt, Found::Unknown(format!("undo: {}", doubt.as_str())))
        }
    };
    let (host_in, ready_in) = (host.clone(), ready.clone());
    let stored = host.store().transact(move |tx| {
        journal(tx, &host_in, &ready_in, JournalOf::attempt(&attempt), &called)?;
        let Some(mut attempt) = mine(tx, &attempt)? else { return Ok(()) };
        attempt.state = state;
        attempt.outcome = Some(Json::from(json!({"network": evidence(&called.evidence)})));
        attempt.updated_us = host_in.now_us();
        attempts::settle(tx, &attempt)
    });
    let stored: Result<(), Error> = stored.await;
    stored?;
    Ok(found)
}

async fn find_cancel(host: &Host, ready: &Ready, doubtful: &Doubtful, tries: i64) -> Result<Found, Problem> {
    let asked: CancelAsked = doubtful.attempt.request.to()?;
    let gateway_ref = doubtful.payment.gateway_ref.clone();
    if ready.lookup() == Lookup::None || gateway_ref.is_none() {
        return Ok(Found::Unknown("the gateway cannot be asked".to_owned()));
    }
    let answer = ask(host, ready, doubtful, &asked.order_ref, gateway_ref).await?;
    let sale = match answer {
        Ok(Inquiry::Found(sale)) => sale,
        Ok(Inquiry::NotFound) => return Ok(Found::Unknown("the gateway does not know the sale".to_owned())),
        Ok(Inquiry::CannotAsk(words)) | Err(words) => return Ok(Found::Unknown(words)),
    };
    let at_ms = host.now_ms();
    let amount = Money { minor: asked.amount, currency: sale.amount.currency.clone() };
    let made = |gateway_ref, at_ms| {
        let (amount, remaining) = (amount.clone(), None);
        Found::Cancelled(Box::new(Cancellation { gateway_ref, amount, remaining, at_ms, more: Vec::new() }))
    };
    let (shop, payment) = (doubtful.payment.shop_id, doubtful.payment.id);
    let known = host.store().read(move |tx| facts::of_payment(tx, shop, payment)).await?;
    let known = known.iter().filter(|fact| fact.kind == FactKind::Cancelled).count();
    if sale.state == SaleState::Cancelled && asked.amount == asked.remaining {
        let last = sale.cancels.last();
        let found_at = last.and_then(|cancel| cancel.at_ms).unwrap_or(at_ms);
        return Ok(made(last.and_then(|cancel| cancel.gateway_ref.clone()), found_at));
    }
    let new = sale.cancels.get(known).filter(|cancel| cancel.amount.minor == asked.amount);
    if let Some(cancel) = new {
        return Ok(made(cancel.gateway_ref.clone(), cancel.at_ms.unwrap_or(at_ms)));
    }
    // The gateway answers, and it answers "not cancelled": believed on the second time, seconds later, because the request
    // may still have been on its way at the first.
    let untouched = sale.cancels.len() == known && sale.state != SaleState::Cancelled;
    Ok(if untouched && tries >= 2 {
        Found::NotCancelled
    } else {
        Found::Unknown("no such cancel yet".to_owned())
    })
}

/// Writes what was found.
async fn write(
    host: &Host,
    ready: &Ready,
    doubtful: Box<Doubtful>,
    found: Found,
    tries: i64,
) -> Result<Done, Error> {
    let (host_in, ready_in) = (host.clone(), ready.clone());
    let written = host.store().transact(move |tx| {
        let host = &host_in;
        let Some(mut attempt) = mine(tx, &doubtful.attempt)? else { return Ok(Done::Finished) };
        let payment = payments::get(tx, attempt.shop_id, attempt.payment_id)?;
        let payment = payment.ok_or(Error::NotFound { what: "payment" })?;
        let support = ready_in.support(payment.paid_method.as_ref());
        let mut change = Change::begin(host, payment, support);
        let (state, result) = match found {
            Found::Unknown(words) => return unknown(tx, host, change, &attempt, words, tries),
            Found::Cancelled(done) => {
                return cancel_found(tx, host, &ready_in, attempt, Verdict::Done(*done));
            }
            Found::NotCancelled => {
                let why = super::verdict::NotSent::Unreachable;
                return cancel_found(tx, host, &ready_in, attempt, Verdict::NotSent(why));
            }
            Found::Approved(approval) => {
                settle::approved(tx, &mut change, &attempt, &approval)?;
                (AttemptState::Succeeded, json!({}))
            }
            Found::Nothing(reason) => {
                change
                    .event("checkout.failed", json!({"checkout_id": attempt.checkout_id, "reason": reason}));
                (AttemptState::Failed, json!({"reason": reason}))
            }
        };
        if change.payment.resolution == Resolution::InDoubt {
            change.payment.resolution = Resolution::None;
        }
        attempt.state = state;
        attempt.outcome = Some(Json::from(json!({"result": result, "resolved_after_tries": tries})));
        attempt.updated_us = host.now_us();
        attempts::settle(tx, &attempt)?;
        if let Some(id) = attempt.checkout_id
            && let Some(mut checkout) = checkouts::get(tx, attempt.shop_id, id)?
        {
            let ended = if state == AttemptState::Succeeded {
                CheckoutState::Approved
            } else {
                CheckoutState::Undone
            };
            checkout_ended(tx, host, &mut checkout, ended, result)?;
        }
        change.write(tx)?;
        Ok(Done::Finished)
    });
    written.await
}

fn cancel_found(
    tx: &mut Tx<'_>,
    host: &Host,
    ready: &Ready,
    attempt: Attempt,
    verdict: Verdict<Cancellation>,
) -> Result<Done, Error> {
    let asked: CancelAsked = attempt.request.to()?;
    cancel::apply(tx, host, ready, attempt, &asked, verdict, Value::Null)?;
    Ok(Done::Finished)
}

/// Leaves everything as it is and asks again later; after the last time a person must.
fn unknown(
    tx: &mut Tx<'_>,
    host: &Host,
    mut change: Change<'_>,
    attempt: &Attempt,
    words: String,
    tries: i64,
) -> Result<Done, Error> {
    let now_us = host.now_us();
    let step = usize::try_from(tries.saturating_sub(1)).unwrap_or(usize::MAX);
    let days = tries.saturating_sub(i64::try_from(SCHEDULE_SECONDS.len()).unwrap_or(i64::MAX));
    tracing::warn!(attempt = %attempt.id, tries, reason = %words, "still in doubt");
    if days > DAYS {
        change.payment.resolution = Resolution::NeedsOperator;
        change.write(tx)?;
        tracing::error!(attempt = %attempt.id, "a person must find out how this attempt ended");
        return Ok(Done::Finished);
    }
    let seconds = SCHEDULE_SECONDS.get(step).copied().unwrap_or(DAY_SECONDS);
    Ok(Done::Again(now_us.saturating_add(seconds.saturating_mul(1_000_000)), words))
}
