//! The buyer's return. Invariant: a return is completed once per checkout however often the browser brings it, never while
//! another attempt of the payment is open, and its outcome is on disk before the buyer sees it.

use std::time::Duration;

use payhost_core::id::{CheckoutId, ShopId};
use payhost_core::kill::{self, Point};
use payhost_core::{Money, Resolution};
use payhost_engine::Called;
use payhost_engine::contract::general_pay::{Authentication, COMPLETE};
use payhost_engine::contract::types::{Account, Callback, Order, Outcome, PluginError};
use payhost_store::rows::attempts::{self, Attempt, AttemptKind, AttemptState};
use payhost_store::rows::checkouts::{self, Checkout, CheckoutState};
use payhost_store::rows::facts;
use payhost_store::rows::payments::{self, Payment};
use payhost_store::{Error, Sealed, Tx};
use serde_json::{Value, json};

use super::attempt::{
    JournalOf, Journaled, Opening, Requested, ended, evidence, journaled, open_unopposed, run, still_mine,
};
use super::give_up::GIVEN_UP;
use super::settle::{self, Change, Written, checkout_ended, refusal_json};
use super::verdict::{Doubt, Verdict, judge_complete, not_sent, word};
use crate::channels::ready::Ready;
use crate::host::Host;
use crate::http::problem::Problem;
use crate::jobs;
use crate::sealed::Place;
use crate::vbank::facts::account_fact;

/// How long a buyer waits for an outcome in doubt.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the buyer's browser brought, with the order that it belongs to.
pub struct Return {
    /// The order, as the plugin got it when the checkout opened.
    pub order: Order,
    /// What was brought.
    pub callback: Callback,
    /// The call that read it, to be journaled with the attempt.
    pub read: Option<(JournalOf, Called<Result<Authentication, PluginError>>)>,
}

/// Approves a return, unless somebody else does, did, or must not. The checkout must be in one of the states `from`.
/// Afterwards its row says how it ended; `in_doubt` when nobody knew for as long as a buyer waits.
pub async fn complete(
    host: &Host,
    ready: &Ready,
    seen: &Checkout,
    from: &'static [CheckoutState],
    returned: Return,
) -> Result<(), Problem> {
    let Return { order, callback, read } = returned;
    let id = seen.id;
    let sealed = Place::Callback(id).seal_json(&ready.key, &callback)?;
    let read = read.map(|(of, read)| journaled(host, ready, of, &read));
    kill::at(Point::BeforeT1, "complete");
    let Some((attempt, payment, checkout)) = begin(host, ready, seen, from, sealed, read).await? else {
        return wait(host, (seen.shop_id, id)).await;
    };
    kill::at(Point::AfterT1, "complete");
    let called = run(host, ready, &attempt, &COMPLETE, |context| (context, order, callback)).await;
    if settle(host, ready, attempt, payment, checkout, called).await? {
        return Ok(());
    }
    wait(host, (seen.shop_id, id)).await
}

/// T1. `None`: this return is not to be approved here; the checkout's row says why, or will.
async fn begin(
    host: &Host,
    ready: &Ready,
    seen: &Checkout,
    from: &'static [CheckoutState],
    callback: Sealed,
    read: Option<Journaled>,
) -> Result<Option<(Attempt, Payment, Checkout)>, Problem> {
    let (host_in, ready_in) = (host.clone(), ready.clone());
    let (shop, payment_id, id) = (seen.shop_id, seen.payment_id, seen.id);
    let begun = host.store().transact(move |tx| {
        let host = &host_in;
        let payment = payments::ask_lock(tx, shop, payment_id)?;
        // Read under the lock: the same return may have come to another host while we waited for it.
        let found = checkouts::ask(tx, shop, id)?;
        let open_attempt = attempts::ask_open_of(tx, shop, payment_id)?;
        let completed = attempts::ask_complete_of(tx, shop, id)?;
        let payment = payment.one(tx, "payment")?;
        let Some(mut checkout) = found.first(tx)?.filter(|checkout| from.contains(&checkout.state)) else {
            return Ok(None);
        };
        if let Some(read) = read {
            read.write(tx)?;
        }
        // A window stays open behind a buyer who gave up, also where the plugin said so only now: the same return came again.
        if completed.first(tx)?.is_some() {
            return Ok(None);
        }
        if let Some(reason) = refusal(host, &ready_in, &payment, open_attempt.first(tx)?.is_some()) {
            refuse(tx, host, payment, &mut checkout, reason)?;
            return Ok(None);
        }
        let opening = Opening {
            kind: AttemptKind::Complete,
            checkout: Some(id),
            parent: None,
            request: Requested::of(&json!({"order_ref": checkout.order_ref}))?,
            callback: Some(callback),
        };
        let attempt = open_unopposed(tx, host, &payment, &ready_in, opening)?;
        let before = checkout.state;
        checkout.state = CheckoutState::Returned;
        checkout.callback = None;
        checkout.updated_us = host.now_us();
        checkouts::advance(tx, &checkout, before)?;
        kill::mark_commit(Point::InT1Commit, "complete");
        Ok::<_, Error>(Some((attempt, payment, checkout)))
    });
    Ok(begun.await?)
}

/// Why a return may not be completed: rule 6, time, and a shop that sells nothing now. `busy`: an attempt of the payment is open.
pub fn refusal(host: &Host, ready: &Ready, payment: &Payment, busy: bool) -> Option<&'static str> {
    if payment.paid > payment.cancelled {
        Some("already_paid")
    } else if payment.given_up {
        Some(GIVEN_UP)
    } else if !ready.selling {
        Some("shop_suspended")
    } else if !payment.state.is_payable() || payment.expires_us <= host.now_us() {
        Some("not_payable")
    } else {
        // While a person is called the gateway may hold money that is not known here.
        (busy || payment.resolution != Resolution::None).then_some("busy")
    }
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
    let mut change = Change::begin(host, payment, None);
    change.event("checkout.failed", json!({"checkout_id": checkout.id, "reason": reason}));
    change.write(tx).map(|_| ())
}

/// T2. Tells whether the outcome is known now.
async fn settle(
    host: &Host,
    ready: &Ready,
    attempt: Attempt,
    payment: Payment,
    checkout: Checkout,
    called: Called<Result<Outcome, PluginError>>,
) -> Result<bool, Problem> {
    let amount = Money::new(payment.total, payment.currency);
    let verdict = judge_complete(called.evidence.writes(), word(&called.result), amount, &checkout.order_ref);
    let (host_in, ready_in, id) = (host.clone(), ready.clone(), attempt.id);
    let journaled = journaled(host, ready, JournalOf::attempt(&attempt), &called);
    kill::at(Point::BeforeT2, "complete");
    let done = host.store().transact(move |tx| {
        let host = &host_in;
        journaled.write(tx)?;
        let payment = payments::ask_lock(tx, payment.shop_id, payment.id)?;
        let checkout = checkouts::ask(tx, checkout.shop_id, checkout.id)?;
        let facts = facts::ask_of_payment(tx, attempt.shop_id, attempt.payment_id)?;
        let Some(mut attempt) = still_mine(tx, &attempt)? else { return Ok(false) };
        let payment = payment.one(tx, "payment")?;
        let mut change = Change::begin(host, payment, Some(&ready_in)).with_facts(facts);
        let mut checkout = checkout.one(tx, "checkout")?;
        let seen = evidence(&called.evidence);
        apply(tx, host, &mut change, &mut attempt, &mut checkout, verdict, seen)?;
        kill::mark_commit(Point::InT2Commit, "complete");
        change.write(tx)?;
        Ok(attempt.state != AttemptState::InDoubt)
    });
    let done: Result<bool, Error> = done.await;
    kill::at(Point::AfterT2, "complete");
    if let Err(error) = &done {
        // The attempt stays an intent, and its job finds out: nothing is lost.
        tracing::error!(attempt = %id, %error, "an outcome could not be stored; the attempt will be resolved");
    }
    host.settled().notify_waiters();
    host.jobs().notify_one();
    Ok(done?)
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
    // An outcome that comes late ends the doubt that was there meanwhile.
    change.payment.resolution = Resolution::None;
    let stands = match &verdict {
        Verdict::Done(Outcome::Approved(approval)) => {
            let written = settle::approved(tx, change, Some(attempt), attempt.checkout_id, approval)?;
            written != Written::Contradicts
        }
        Verdict::Done(Outcome::AwaitingDeposit(account)) => issued(tx, host, change, attempt, account)?,
        Verdict::Done(_) | Verdict::Declined(_) | Verdict::NotSent(_) | Verdict::InDoubt(_) => true,
    };
    let verdict = if stands { verdict } else { Verdict::InDoubt(Doubt::Second) };
    let (attempt_state, checkout_state, result) = match verdict {
        Verdict::Done(Outcome::Approved(_)) => (A::Succeeded, C::Approved, json!({})),
        Verdict::Done(Outcome::AwaitingDeposit(_)) => (A::Succeeded, C::AwaitingDeposit, json!({})),
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
    ended(tx, host, attempt, attempt_state, &json!({"result": result, "network": seen}))?;
    checkout_ended(tx, host, checkout, checkout_state, result)
}

fn issued(
    tx: &mut Tx<'_>,
    host: &Host,
    change: &mut Change<'_>,
    attempt: &Attempt,
    account: &Account,
) -> Result<bool, Error> {
    let written = account_fact(tx, host, change, account, Some(attempt), attempt.now_ms)?;
    Ok(written != Written::Contradicts)
}

/// Waits until the checkout's outcome is known, for as long as a buyer waits.
pub async fn wait(host: &Host, (shop, id): (ShopId, CheckoutId)) -> Result<(), Problem> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let settled = host.settled().notified();
        tokio::pin!(settled);
        settled.as_mut().enable();
        let open = host.store().read(move |tx| {
            let Some(checkout) = checkouts::get(tx, shop, id)? else { return Ok(false) };
            let open = matches!(checkout.state, CheckoutState::Returned | CheckoutState::InDoubt);
            // Nobody asks any more once a person was called.
            let payment = payments::get(tx, shop, checkout.payment_id)?;
            Ok::<_, Error>(open && payment.is_some_and(|row| row.resolution != Resolution::NeedsOperator))
        });
        let open = open.await?;
        if !open || tokio::time::timeout_at(deadline, settled).await.is_err() {
            return Ok(());
        }
    }
}
