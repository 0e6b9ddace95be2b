//! Finding out how an attempt ended. Invariant: an attempt in doubt ends only by the gateway's own word; "unknown" leaves it as
//! it is and asks again later; a person is called before anything is ever given up (`design.md` "Money", rule 5).
//!
//! `inquire.rs` asks, `undo.rs` takes back; this file decides when, and writes what was found.

use payhost_core::Resolution;
use payhost_core::id::{AttemptId, ShopId};
use payhost_engine::contract::money::Cancellation;
use payhost_engine::contract::types::Approval;
use payhost_store::rows::attempts::{self, Attempt, AttemptKind, AttemptState};
use payhost_store::rows::checkouts::{self, Checkout, CheckoutState};
use payhost_store::rows::payments::Payment;
use payhost_store::{Error, Json, Tx};
use serde_json::{Value, json};

use super::attempt::{LEASE_US, locked, mine};
use super::cancel::{self, CancelAsked};
use super::inquire;
use super::settle::{self, Change, checkout_ended};
use super::undo::{self, UndoDone};
use super::verdict::{NotSent, Verdict};
use crate::channels::ready::Ready;
use crate::host::{Host, hex, random};
use crate::jobs::Done;
use crate::vbank;

/// When to ask again after each try, in seconds; afterwards daily.
const SCHEDULE_SECONDS: &[i64] = &[5, 15, 60, 300, 900, 3600, 21_600];
const DAY_SECONDS: i64 = 86_400;
/// After so many days a person must find out.
const DAYS: i64 = 14;

/// What a step found out.
pub enum Found {
    /// The money was taken.
    Approved(Box<Approval>),
    /// Nothing is held: the gateway says so, or it was undone (before, or by this step).
    Nothing(&'static str, Option<Box<UndoDone>>),
    /// A cancel was made.
    Cancelled(Box<Cancellation>),
    /// The gateway says for certain that nothing was cancelled.
    NotCancelled,
    /// The account is closed at the gateway.
    Closed,
    /// Nobody knows; why. An undo may have been tried.
    Unknown(String, Option<Box<UndoDone>>),
}

impl Found {
    /// Nobody knows, and nothing was tried.
    pub fn unknown(words: impl Into<String>) -> Self {
        Self::Unknown(words.into(), None)
    }
}

/// The rows of an attempt in doubt.
pub struct Doubtful {
    /// The attempt.
    pub attempt: Attempt,
    /// Its payment.
    pub payment: Payment,
    /// Its checkout, for a complete.
    pub checkout: Option<Checkout>,
    /// Which try of finding out this is, from 1.
    pub tries: i64,
}

/// One step of the resolution. Called by the job runner only, so that nobody else resolves beside it.
pub async fn resolve(host: &Host, shop: ShopId, id: AttemptId, tries: i64) -> Result<Done, String> {
    let doubtful = match take(host, shop, id, tries).await.map_err(|error| error.to_string())? {
        Taken::Mine(doubtful) => doubtful,
        Taken::Settled => return Ok(Done::Finished),
        Taken::TooEarly(us) => return Ok(Done::Again(us, "its maker may still be at work".to_owned())),
    };
    let digest = doubtful.attempt.plugin_digest.clone();
    let ready = Ready::load(host, shop, doubtful.payment.channel_id, Some(&digest)).await;
    let (ready, found) = match ready {
        Ok(ready) => {
            let found = match doubtful.attempt.kind {
                AttemptKind::Complete => inquire::complete(host, &ready, &doubtful).await,
                AttemptKind::Cancel => inquire::cancel(host, &ready, &doubtful).await,
                AttemptKind::Undo => Ok(Found::unknown("an undo is resolved with its parent")),
                // An account whose number nobody got can receive nothing: it is as if it had not been opened.
                AttemptKind::Issue => Ok(Found::Nothing("account_unknown", None)),
                AttemptKind::Close => vbank::close::find_out(host, &ready, &doubtful).await,
            };
            (Some(ready), found)
        }
        Err(problem) => (None, Err(problem)),
    };
    let found = found.unwrap_or_else(|problem| Found::unknown(problem.detail));
    let done = write(host, ready, *doubtful, found).await.map_err(|error| error.to_string())?;
    host.settled().notify_waiters();
    Ok(done)
}

enum Taken {
    Mine(Box<Doubtful>),
    Settled,
    TooEarly(i64),
}

/// Takes the attempt: an intent whose lease is over becomes a doubt, and whoever waits under a key is told so.
async fn take(host: &Host, shop: ShopId, id: AttemptId, tries: i64) -> Result<Taken, Error> {
    let host_in = host.clone();
    let taken = host.store().transact(move |tx| {
        let host = &host_in;
        let now_us = host.now_us();
        let Some(mut attempt) = attempts::get(tx, shop, id)? else { return Ok(Taken::Settled) };
        if !attempt.state.is_open() {
            return Ok(Taken::Settled);
        }
        let mut payment = locked(tx, shop, attempt.payment_id)?;
        if attempt.state == AttemptState::Intent {
            if attempt.lease_until_us > now_us {
                return Ok(Taken::TooEarly(attempt.lease_until_us));
            }
            let token = hex(&random::<16>());
            if !attempts::take_over(tx, (shop, id), &token, now_us, now_us.saturating_add(LEASE_US))? {
                return Ok(Taken::Settled);
            }
            attempt.lease_token = token;
            payment = left_behind(tx, host, &mut attempt, payment)?;
        }
        let checkout = match attempt.checkout_id {
            Some(checkout) => checkouts::get(tx, shop, checkout)?,
            None => None,
        };
        Ok::<_, Error>(Taken::Mine(Box::new(Doubtful { attempt, payment, checkout, tries })))
    });
    taken.await
}

/// An attempt whose maker died: its outcome is in doubt from now on.
fn left_behind(
    tx: &mut Tx<'_>,
    host: &Host,
    attempt: &mut Attempt,
    payment: Payment,
) -> Result<Payment, Error> {
    tracing::warn!(attempt = %attempt.id, "an attempt was left behind; its outcome is in doubt");
    attempt.state = AttemptState::InDoubt;
    attempt.updated_us = host.now_us();
    attempts::settle(tx, attempt)?;
    let mut change = Change::begin(host, payment, None);
    change.payment.resolution = Resolution::InDoubt;
    if matches!(attempt.kind, AttemptKind::Issue | AttemptKind::Close) {
        let asked: vbank::issue::Asked = attempt.request.to()?;
        asked.key.forget(tx)?;
    }
    if attempt.kind == AttemptKind::Cancel {
        let asked: CancelAsked = attempt.request.to()?;
        asked.key.answer(tx, 202, &json!(change.shown()), Some(attempt.payment_id))?;
    }
    change.write(tx)
}

/// Writes what was found, with the undo that was tried, in one transaction.
async fn write(host: &Host, ready: Option<Ready>, doubtful: Doubtful, found: Found) -> Result<Done, Error> {
    let host_in = host.clone();
    let written = host.store().transact(move |tx| {
        let host = &host_in;
        let tries = doubtful.tries;
        if let (Found::Nothing(_, Some(done)) | Found::Unknown(_, Some(done)), Some(ready)) = (&found, &ready)
        {
            undo::store(tx, host, ready, done)?;
        }
        let Some(attempt) = mine(tx, &doubtful.attempt)? else { return Ok(Done::Finished) };
        let payment = locked(tx, attempt.shop_id, attempt.payment_id)?;
        let change = Change::begin(host, payment, ready.as_ref());
        match (found, &ready) {
            (Found::Cancelled(done), Some(ready)) => {
                cancel_found(tx, host, ready, attempt, Verdict::Done(*done))
            }
            (Found::NotCancelled, Some(ready)) => {
                cancel_found(tx, host, ready, attempt, Verdict::NotSent(NotSent::NotMade))
            }
            (Found::Closed, _) => vbank::close::found_closed(tx, host, change, attempt),
            (Found::Approved(approval), _) => approved(tx, host, change, attempt, &approval, tries),
            (Found::Nothing(reason, _), _) => nothing(tx, host, change, attempt, reason, tries),
            (Found::Unknown(words, _), _) => unknown(tx, host, change, &attempt, words, tries),
            (Found::Cancelled(_) | Found::NotCancelled, None) => {
                unknown(tx, host, change, &attempt, "the channel cannot be used".to_owned(), tries)
            }
        }
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

fn approved(
    tx: &mut Tx<'_>,
    host: &Host,
    mut change: Change<'_>,
    attempt: Attempt,
    approval: &Approval,
    tries: i64,
) -> Result<Done, Error> {
    if !settle::approved(tx, &mut change, &attempt, approval)? {
        return unknown(tx, host, change, &attempt, "the approval must not stand".to_owned(), tries);
    }
    end(tx, host, change, attempt, AttemptState::Succeeded, json!({}), tries)
}

fn nothing(
    tx: &mut Tx<'_>,
    host: &Host,
    mut change: Change<'_>,
    attempt: Attempt,
    reason: &str,
    tries: i64,
) -> Result<Done, Error> {
    change.event("checkout.failed", json!({"checkout_id": attempt.checkout_id, "reason": reason}));
    end(tx, host, change, attempt, AttemptState::Failed, json!({"reason": reason}), tries)
}

/// Ends the attempt of a complete, its checkout and the payment's doubt.
fn end(
    tx: &mut Tx<'_>,
    host: &Host,
    mut change: Change<'_>,
    mut attempt: Attempt,
    state: AttemptState,
    result: Value,
    tries: i64,
) -> Result<Done, Error> {
    change.payment.resolution = Resolution::None;
    attempt.state = state;
    attempt.outcome = Some(Json::from(json!({"result": result, "resolved_after_tries": tries})));
    attempt.updated_us = host.now_us();
    attempts::settle(tx, &attempt)?;
    if let Some(id) = attempt.checkout_id
        && let Some(mut checkout) = checkouts::get(tx, attempt.shop_id, id)?
    {
        let ended =
            if state == AttemptState::Succeeded { CheckoutState::Approved } else { CheckoutState::Undone };
        checkout_ended(tx, host, &mut checkout, ended, result)?;
    }
    change.write(tx)?;
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
    Ok(Done::Again(host.now_us().saturating_add(seconds.saturating_mul(1_000_000)), words))
}
