//! The buyer's return. Invariant: a return is completed once per checkout however often the browser brings it, never while
//! another attempt of the payment is open, and its outcome is on disk before the buyer sees it.

use std::time::Duration;

use payhost_core::id::{CheckoutId, PaymentId, ShopId};
use payhost_core::{FactKind, Money, Resolution};
use payhost_engine::Called;
use payhost_engine::contract::general_pay::COMPLETE;
use payhost_engine::contract::types::{Account, Callback, Order, Outcome, PluginError};
use payhost_store::rows::attempts::{self, Attempt, AttemptKind, AttemptState};
use payhost_store::rows::checkouts::{self, Checkout, CheckoutState};
use payhost_store::rows::payments::{self as payment_rows, Payment};
use payhost_store::{Error, Json, Tx};
use serde_json::{Value, json};

use crate::channels::ready::Ready;
use crate::host::Host;
use crate::http::problem::Problem;
use crate::payments::attempt::{JournalOf, Opening, evidence, journal, open, run};
use crate::payments::settle::{self, Change, NewFact, checkout_ended, refusal_json};
use crate::payments::verdict::{NotSent, Verdict, judge_complete};
use crate::sealed::Place;
use crate::{jobs, payments};

/// How long a buyer waits for an outcome in doubt.
const PATIENCE: Duration = Duration::from_secs(10);

/// What T1 decided.
enum Begun {
    /// This request completes the checkout.
    Mine(Box<(Attempt, Payment, Checkout)>),
    /// Another request does, or did.
    Theirs,
    /// It may not be completed; the checkout says why.
    Refused,
}

/// Completes a checkout with what the browser brought, or waits for the one who does. Afterwards the checkout's row says how
/// it ended; `in_doubt` when nobody knows yet.
pub async fn complete(host: &Host, id: CheckoutId, callback: Callback) -> Result<(), Problem> {
    let Some(checkout) = host.store().read(move |tx| checkouts::get_of_any_shop(tx, id)).await? else {
        return Err(Problem::not_found("checkout"));
    };
    let ready =
        Ready::load(host, checkout.shop_id, checkout.channel_id, Some(&checkout.plugin_digest)).await?;
    match begin(host, &ready, id, &callback).await? {
        Begun::Mine(rows) => {
            let (attempt, payment, checkout) = *rows;
            let order: Order = payments::order::open_sealed(&ready.key, &checkout)?;
            let called = run(host, &ready, &attempt, &COMPLETE, |context| (context, order, callback)).await;
            settle(host, &ready, attempt, payment, checkout, called).await?;
        }
        Begun::Theirs | Begun::Refused => {}
    }
    wait(host, id).await
}

/// T1.
async fn begin(host: &Host, ready: &Ready, id: CheckoutId, callback: &Callback) -> Result<Begun, Problem> {
    let callback = Place::Callback(id).seal_json(&ready.key, callback)?;
    let (host_in, digest) = (host.clone(), ready.plugin.digest().to_owned());
    let begun = host.store().transact(move |tx| {
        let host = &host_in;
        let mut checkout = checkouts::get_of_any_shop(tx, id)?.ok_or(Error::NotFound { what: "checkout" })?;
        let payment = locked(tx, checkout.shop_id, checkout.payment_id)?;
        if attempts::complete_of(tx, checkout.shop_id, id)?.is_some() {
            return Ok(Begun::Theirs);
        }
        if let Some(reason) = refusal(tx, host, &payment)? {
            if matches!(checkout.state, CheckoutState::Opened | CheckoutState::AwaitingConfirm) {
                refuse(tx, host, payment, &mut checkout, reason)?;
            }
            return Ok(Begun::Refused);
        }
        let opening = Opening {
            kind: AttemptKind::Complete,
            checkout: Some(id),
            parent: None,
            request: json!({"order_ref": checkout.order_ref}),
            callback: Some(callback),
        };
        let Ok(attempt) = open(tx, host, &payment, &digest, opening)? else { return Ok(Begun::Theirs) };
        let from = checkout.state;
        checkout.state = CheckoutState::Returned;
        checkout.callback = None;
        checkout.updated_us = host.now_us();
        checkouts::advance(tx, &checkout, from)?;
        Ok::<_, Error>(Begun::Mine(Box::new((attempt, payment, checkout))))
    });
    Ok(begun.await?)
}

/// The payment, locked until this transaction ends.
pub fn locked(tx: &mut Tx<'_>, shop: ShopId, id: PaymentId) -> Result<Payment, Error> {
    payment_rows::lock(tx, shop, id)?.ok_or(Error::NotFound { what: "payment" })
}

/// Why a return may not be completed: rule 6, and time.
pub fn refusal(tx: &mut Tx<'_>, host: &Host, payment: &Payment) -> Result<Option<&'static str>, Error> {
    if payment.paid > payment.cancelled {
        return Ok(Some("already_paid"));
    }
    if !payment.state.is_payable() || payment.expires_us <= host.now_us() {
        return Ok(Some("not_payable"));
    }
    let open = attempts::open_of(tx, payment.shop_id, payment.id)?;
    Ok(open.map(|_| "busy"))
}

/// Ends a checkout that may not be completed.
pub fn refuse(
    tx: &mut Tx<'_>,
    host: &Host,
    payment: Payment,
    checkout: &mut Checkout,
    reason: &str,
) -> Result<(), Error> {
    checkout_ended(tx, host, checkout, CheckoutState::Failed, json!({"reason": reason}))?;
    let mut change = Change::begin(host, payment, payments::model::Support::default());
    change.event("checkout.failed", json!({"checkout_id": checkout.id, "reason": reason}));
    change.write(tx).map(|_| ())
}

/// T2.
async fn settle(
    host: &Host,
    ready: &Ready,
    attempt: Attempt,
    payment: Payment,
    checkout: Checkout,
    called: Called<Result<Outcome, PluginError>>,
) -> Result<(), Problem> {
    let word = match &called.result {
        Ok(word) => Ok(word.clone()),
        Err(fault) => Err(fault.to_string()),
    };
    let amount = Money::new(payment.total, payment.currency);
    let verdict = judge_complete(called.evidence.writes(), word, amount, &checkout.order_ref);
    let (host_in, ready_in, id) = (host.clone(), ready.clone(), attempt.id);
    let done = host.store().transact(move |tx| {
        let host = &host_in;
        journal(tx, host, &ready_in, JournalOf::attempt(&attempt), &called)?;
        let Some(mut attempt) = mine(tx, &attempt)? else { return Ok(()) };
        let payment = locked(tx, payment.shop_id, payment.id)?;
        let support = ready_in.support(payment.paid_method.as_ref());
        let mut change = Change::begin(host, payment, support);
        let found = checkouts::get(tx, checkout.shop_id, checkout.id)?;
        let mut checkout = found.ok_or(Error::NotFound { what: "checkout" })?;
        let seen = evidence(&called.evidence);
        apply(tx, host, &mut change, &mut attempt, &mut checkout, verdict, seen)?;
        change.write(tx).map(|_| ())
    });
    let done: Result<(), Error> = done.await;
    if let Err(error) = &done {
        // The attempt stays an intent, and its job finds out: nothing is lost.
        tracing::error!(attempt = %id, %error, "an outcome could not be stored; the attempt will be resolved");
    }
    host.settled().notify_waiters();
    host.jobs().notify_one();
    Ok(done?)
}

/// The attempt as it is now, if it is still ours to settle.
pub fn mine(tx: &mut Tx<'_>, attempt: &Attempt) -> Result<Option<Attempt>, Error> {
    let now = attempts::get(tx, attempt.shop_id, attempt.id)?;
    let ours = now.filter(|now| now.state.is_open() && now.lease_token == attempt.lease_token);
    if ours.is_none() {
        tracing::warn!(attempt = %attempt.id, "an outcome came after its attempt was taken over");
    }
    Ok(ours)
}

/// Writes a verdict.
fn apply(
    tx: &mut Tx<'_>,
    host: &Host,
    change: &mut Change<'_>,
    attempt: &mut Attempt,
    checkout: &mut Checkout,
    verdict: Verdict<Outcome>,
    seen: Value,
) -> Result<(), Error> {
    use AttemptState as A;
    use CheckoutState as C;
    let checkout_id = json!(checkout.id);
    let (attempt_state, checkout_state, result) = match verdict {
        Verdict::Done(Outcome::Approved(approval)) => {
            settle::approved(tx, change, attempt, &approval)?;
            (A::Succeeded, C::Approved, json!({}))
        }
        Verdict::Done(Outcome::AwaitingDeposit(account)) => {
            issued(tx, change, attempt, &account)?;
            (A::Succeeded, C::AwaitingDeposit, json!({}))
        }
        Verdict::Done(Outcome::CancelledByBuyer) => {
            change.event("checkout.cancelled_by_buyer", json!({"checkout_id": checkout_id}));
            (A::Declined, C::CancelledByBuyer, json!({"reason": "cancelled_by_buyer"}))
        }
        Verdict::Done(Outcome::Declined(refusal)) | Verdict::Declined(refusal) => {
            let refusal = refusal_json(&refusal);
            change.event("checkout.failed", json!({"checkout_id": checkout_id, "refusal": refusal}));
            (A::Declined, C::Failed, json!({"reason": "declined", "refusal": refusal}))
        }
        Verdict::NotSent(why) => {
            let reason = not_sent(&why);
            tracing::warn!(attempt = %attempt.id, ?why, "nothing was sent to the gateway");
            change.event("checkout.failed", json!({"checkout_id": checkout_id, "reason": reason}));
            (A::Failed, C::Failed, json!({"reason": reason, "detail": format!("{why:?}")}))
        }
        Verdict::InDoubt(doubt) => {
            if doubt.alarms() {
                tracing::error!(attempt = %attempt.id, doubt = doubt.as_str(), "an approval must not stand");
                change.event("payment.alarm", json!({"checkout_id": checkout_id, "doubt": doubt.as_str()}));
            }
            change.payment.resolution = Resolution::InDoubt;
            jobs::enqueue(
                tx,
                host,
                &jobs::Task::Resolve { shop: attempt.shop_id, attempt: attempt.id },
                host.now_us(),
            )?;
            (A::InDoubt, C::InDoubt, json!({"doubt": doubt.as_str()}))
        }
    };
    attempt.state = attempt_state;
    attempt.outcome = Some(Json::from(json!({"result": result, "network": seen})));
    attempt.updated_us = host.now_us();
    attempts::settle(tx, attempt)?;
    checkout_ended(tx, host, checkout, checkout_state, result)
}

/// The stable word for why nothing was sent.
pub fn not_sent(why: &NotSent) -> &'static str {
    match why {
        NotSent::Refused(PluginError::Forged(_)) => "forged",
        NotSent::Refused(PluginError::Misconfigured(_)) => "misconfigured",
        NotSent::Refused(PluginError::InvalidRequest(_)) => "invalid_request",
        NotSent::Refused(PluginError::Unsupported(_)) => "unsupported",
        NotSent::Refused(PluginError::Gateway(_) | PluginError::Unknown(_)) => "not_sent",
        NotSent::Unreachable => "gateway_unreachable",
        NotSent::Fault(_) => "plugin_failed",
    }
}

fn issued(
    tx: &mut Tx<'_>,
    change: &mut Change<'_>,
    attempt: &Attempt,
    account: &Account,
) -> Result<(), Error> {
    let new = NewFact {
        kind: FactKind::Issued,
        amount: Money::new(account.amount.minor, change.payment.currency),
        gateway_ref: account.gateway_ref.clone(),
        sequence: 0,
        at_ms: attempt.now_ms,
        detail: json!({"bank": account.bank, "holder": account.holder, "order_ref": account.order_ref}),
    };
    change.fact(tx, Some(attempt), new)?;
    change.payment.gateway_ref = Some(account.gateway_ref.clone());
    change.payment.deposit_deadline_us = account.deadline_ms.map(|ms| ms.saturating_mul(1000));
    change.payment.details = Some(Json::of(&account.details)?);
    Ok(())
}

/// Waits until the checkout's outcome is known, for as long as a buyer waits.
async fn wait(host: &Host, id: CheckoutId) -> Result<(), Problem> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let settled = host.settled().notified();
        tokio::pin!(settled);
        settled.as_mut().enable();
        let checkout = host.store().read(move |tx| checkouts::get_of_any_shop(tx, id)).await?;
        let open = checkout.is_some_and(|checkout| {
            matches!(checkout.state, CheckoutState::Returned | CheckoutState::InDoubt)
        });
        if !open || tokio::time::timeout_at(deadline, settled).await.is_err() {
            return Ok(());
        }
    }
}
