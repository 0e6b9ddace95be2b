//! Finding out how an attempt ended. Invariant: an attempt in doubt ends only by the gateway's own word, or by a person's who
//! asked the gateway; "unknown" leaves it as it is and asks again later; a person is called before anything is ever given up
//! (`design.md` "Money", rule 5).
//!
//! `inquire.rs` asks, `undo.rs` takes back, `finding.rs` takes a person's word; this file decides when, and writes what was
//! found.

use payhost_core::cancels::Ours;
use payhost_core::id::{AttemptId, ShopId};
use payhost_core::{FactKind, Resolution};
use payhost_engine::contract::money::{Cancellation, Sale};
use payhost_engine::contract::types::{Approval, Money};
use payhost_store::rows::attempts::{self, Attempt, AttemptKind, AttemptState};
use payhost_store::rows::checkouts::{self, Checkout, CheckoutState};
use payhost_store::rows::facts;
use payhost_store::rows::jobs as job_rows;
use payhost_store::rows::payments::Payment;
use payhost_store::{Error, Tx};
use serde_json::{Value, json};

use super::attempt::{LEASE_US, ended, locked, mine, requested};
use super::cancel::{self, CancelAsked};
use super::cancels_seen;
use super::inquire;
use super::settle::{self, Change, Written, checkout_ended};
use super::undo::{self, UndoDone};
use super::verdict::{NotSent, Verdict};
use crate::channels::ready::Ready;
use crate::host::{Host, hex, random};
use crate::jobs::{Done, Task};
use crate::vbank;

/// When to ask again after each try, in seconds; afterwards daily. Counted from when the doubt began, not by tries: a host
/// that was away, or asked more often, changes nothing.
const SCHEDULE_SECONDS: &[i64] = &[5, 15, 60, 300, 900, 3600, 21_600];
const DAY_SECONDS: i64 = 86_400;
/// After so many days a person must find out.
const DAYS: i64 = 14;
/// The oldest doubt at a silent gateway is asked so often, in microseconds.
const PROBE_US: i64 = 15_000_000;
/// When a gateway answers again, its doubts are asked this far apart, in microseconds: 200 a second.
const WAKE_APART_US: i64 = 5_000;

/// What a step found out.
pub enum Found {
    /// The money was taken.
    Approved(Box<Approval>),
    /// An account was opened, and paid into: its order number and the gateway's number. Its deposit comes by its notice.
    Opened(String, String),
    /// Nothing is held: the gateway says so, or it was undone (before, or by this step).
    Nothing(&'static str),
    /// Of a cancel: the sale as the gateway showed it, asked at this moment (milliseconds).
    Seen(Box<Sale>, i64),
    /// The account is closed at the gateway.
    Closed,
    /// The gateway says for certain that the account was not closed.
    NotClosed,
    /// Nobody knows yet; why.
    Unknown(String),
    /// No asking will tell: a person must find out; why, and in words.
    Unknowable(Why, String),
}

/// Why a person is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The gateway cannot be asked about it, and what can be undone cannot be undone any more.
    CannotBeAsked,
    /// It was asked about for as long as the schedule lasts.
    AskedInVain,
    /// A row of ours is missing.
    Incomplete,
    /// The gateway shows a cancel that may be ours or somebody else's, and nothing tells which.
    AmbiguousCancel,
}

impl Why {
    /// The stable word for the alarm.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CannotBeAsked => "cannot_be_asked",
            Self::AskedInVain => "asked_in_vain",
            Self::Incomplete => "incomplete",
            Self::AmbiguousCancel => "ambiguous_cancel",
        }
    }
}

/// Whether the gateway answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// It was not asked.
    NotAsked,
    /// It answered something.
    Answer,
    /// It did not, or nothing that could be understood.
    Silence,
}

/// What a step came to.
pub struct Step {
    /// What it found out.
    pub found: Found,
    /// The undo that it tried.
    pub undo: Option<Box<UndoDone>>,
    /// Whether the gateway answered.
    pub heard: Heard,
    /// When another look will say more than this one, in milliseconds.
    pub again_ms: Option<i64>,
}

impl Step {
    /// Something was found out, or not.
    pub fn new(found: Found, heard: Heard) -> Self {
        Self { found, undo: None, heard, again_ms: None }
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
    let attempt = &doubtful.attempt;
    // The very plugin, settings and keys that it was made with: a shop may have changed them meanwhile.
    let made_with = (attempt.plugin_digest.as_str(), attempt.revision);
    let (ready, step) = match Ready::load_as(host, shop, doubtful.payment.channel_id, made_with).await {
        Ok(ready) => {
            let step = match attempt.kind {
                AttemptKind::Complete => inquire::complete(host, &ready, &doubtful).await,
                AttemptKind::Cancel => inquire::cancel(host, &ready, &doubtful).await,
                AttemptKind::Undo => {
                    let words = "an undo is resolved with its parent".to_owned();
                    Ok(Step::new(Found::Unknown(words), Heard::NotAsked))
                }
                // An account whose number nobody got can receive nothing: it is as if it had not been opened.
                AttemptKind::Issue => Ok(Step::new(Found::Nothing("account_unknown"), Heard::NotAsked)),
                AttemptKind::Close => vbank::close::find_out(host, &ready, &doubtful).await,
            };
            (Some(ready), step)
        }
        Err(problem) => (None, Err(problem)),
    };
    let step = step.unwrap_or_else(|problem| Step::new(Found::Unknown(problem.detail), Heard::NotAsked));
    let done = write(host, ready, *doubtful, step).await.map_err(|error| error.to_string())?;
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
        let Some(seen) = attempts::get(tx, shop, id)? else { return Ok(Taken::Settled) };
        if !seen.state.is_open() {
            return Ok(Taken::Settled);
        }
        let mut payment = locked(tx, shop, seen.payment_id)?;
        // Read under the lock: its maker may have settled it while we waited for it.
        let found = attempts::get(tx, shop, id)?.filter(|attempt| attempt.state.is_open());
        let Some(mut attempt) = found else { return Ok(Taken::Settled) };
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
    let not_known = json!(change.shown(tx)?);
    match attempt.kind {
        AttemptKind::Cancel => {
            let asked: CancelAsked = requested(tx, host, attempt)?;
            asked.key.answer(tx, host, 202, &not_known, Some(attempt.payment_id))?;
        }
        AttemptKind::Close => {
            let asked: vbank::issue::Asked = requested(tx, host, attempt)?;
            asked.key.answer(tx, host, 202, &not_known, Some(attempt.payment_id))?;
        }
        // Its account is as good as not opened, so the same key may do it.
        AttemptKind::Issue => {
            let asked: vbank::issue::Asked = requested(tx, host, attempt)?;
            asked.key.forget(tx)?;
        }
        AttemptKind::Complete | AttemptKind::Undo => {}
    }
    change.write(tx)
}

/// Writes what was found, with the undo that was tried, in one transaction.
async fn write(host: &Host, ready: Option<Ready>, doubtful: Doubtful, step: Step) -> Result<Done, Error> {
    let host_in = host.clone();
    let written = host.store().transact(move |tx| {
        let host = &host_in;
        let payment = locked(tx, doubtful.attempt.shop_id, doubtful.attempt.payment_id)?;
        if let (Some(done), Some(ready)) = (&step.undo, &ready) {
            undo::store(tx, host, ready, done)?;
        }
        let Some(attempt) = mine(tx, &doubtful.attempt)? else { return Ok(Done::Finished) };
        let oldest = hear(tx, host, ready.as_ref(), &attempt, step.heard)?;
        let mut again_us = step.again_ms.map(|ms| ms.saturating_mul(1000));
        if oldest {
            let probe_us = host.now_us().saturating_add(PROBE_US);
            again_us = Some(again_us.map_or(probe_us, |us| us.min(probe_us)));
        }
        let mut change = Change::begin(host, payment, ready.as_ref());
        match step.found {
            Found::Unknown(words) => return unknown(tx, host, change, &attempt, words, again_us),
            Found::Unknowable(why, words) => return call_a_person(tx, change, &attempt, why, words),
            Found::Approved(approval) => {
                let checkout = attempt.checkout_id;
                let written = settle::approved(tx, &mut change, Some(&attempt), checkout, &approval)?;
                if written == Written::Contradicts {
                    let words = "the approval must not stand".to_owned();
                    return unknown(tx, host, change, &attempt, words, again_us);
                }
                end(tx, host, change, attempt, AttemptState::Succeeded, json!({}))?;
            }
            Found::Opened(order_ref, gateway_ref) => {
                let unnamed = vbank::facts::unnamed;
                if unnamed(tx, &mut change, &attempt, &order_ref, gateway_ref)? == Written::Contradicts {
                    let words = "the account is another payment's".to_owned();
                    return unknown(tx, host, change, &attempt, words, again_us);
                }
                end(tx, host, change, attempt, AttemptState::Succeeded, json!({}))?;
            }
            Found::Nothing(reason) => {
                change
                    .event("checkout.failed", json!({"checkout_id": attempt.checkout_id, "reason": reason}));
                end(tx, host, change, attempt, AttemptState::Failed, json!({"reason": reason}))?;
            }
            Found::Seen(sale, asked_ms) => {
                return seen(tx, host, ready.as_ref(), change.payment, attempt, (&sale, asked_ms), again_us);
            }
            Found::Closed => vbank::close::found(tx, host, change, attempt, true)?,
            Found::NotClosed => vbank::close::found(tx, host, change, attempt, false)?,
        }
        Ok(Done::Finished)
    });
    written.await
}

/// Notes whether the gateway answered; an answer lets all that wait for it fall due. Tells whether this is its oldest doubt
/// that was not answered.
fn hear(
    tx: &mut Tx<'_>,
    host: &Host,
    ready: Option<&Ready>,
    attempt: &Attempt,
    heard: Heard,
) -> Result<bool, Error> {
    let Some(ready) = ready else { return Ok(false) };
    let key = Task::Resolve { shop: attempt.shop_id, attempt: attempt.id }.key();
    let job = (attempt.shop_id, key.as_str());
    let (gateway, now_us) = (ready.gateway(), host.now_us());
    match heard {
        Heard::NotAsked => Ok(false),
        Heard::Silence => job_rows::silence(tx, job, Some(&gateway), now_us),
        Heard::Answer => {
            job_rows::silence(tx, job, None, now_us)?;
            let woken = job_rows::wake(tx, &gateway, now_us, WAKE_APART_US, PROBE_US)?;
            if woken > 0 {
                tracing::info!(%gateway, woken, "the gateway answers again");
            }
            Ok(false)
        }
    }
}

/// What the gateway showed decides about a cancel, with the facts of this moment. What others gave back is taken over, also while
/// it is not known yet whether ours was made.
fn seen(
    tx: &mut Tx<'_>,
    host: &Host,
    ready: Option<&Ready>,
    payment: Payment,
    attempt: Attempt,
    (sale, asked_ms): (&Sale, i64),
    again_us: Option<i64>,
) -> Result<Done, Error> {
    let known = facts::of_payment(tx, attempt.shop_id, attempt.payment_id)?;
    let asked: CancelAsked = requested(tx, host, &attempt)?;
    let tried = cancels_seen::tried(&attempt, &asked, ready.map_or(i64::MAX, Ready::settles_within_ms));
    let (ours, payment) = match cancels_seen::explained(payment.total, &known, Some(&tried), sale, asked_ms) {
        Ok(found) => (found.ours, cancels_seen::take_over(tx, host, ready, payment, &found.others)?),
        Err(words) => {
            return unknown(tx, host, Change::begin(host, payment, ready), &attempt, words, again_us);
        }
    };
    let change = Change::begin(host, payment, ready);
    let verdict = match ours {
        Some(Ours::Made(shown)) => Verdict::Done(Cancellation {
            gateway_ref: shown.number,
            amount: Money { minor: tried.amount, currency: sale.amount.currency.clone() },
            remaining: None,
            at_ms: shown.at_ms.unwrap_or(asked_ms),
            more: Vec::new(),
        }),
        Some(Ours::NotMade) => Verdict::NotSent(NotSent::NotMade),
        Some(Ours::Ambiguous) => {
            let words = "the gateway shows a cancel of this amount that may be this one or somebody else's";
            return call_a_person(tx, change, &attempt, Why::AmbiguousCancel, words.to_owned());
        }
        Some(Ours::NotYet(words)) => return unknown(tx, host, change, &attempt, words.to_owned(), again_us),
        None => return unknown(tx, host, change, &attempt, "nothing was compared".to_owned(), again_us),
    };
    cancel_found(tx, host, change, attempt, verdict)?;
    Ok(Done::Finished)
}

/// Ends the attempt of a cancel, and writes the answer of its key.
fn cancel_found(
    tx: &mut Tx<'_>,
    host: &Host,
    change: Change<'_>,
    attempt: Attempt,
    verdict: Verdict<Cancellation>,
) -> Result<(), Error> {
    let asked: CancelAsked = requested(tx, host, &attempt)?;
    cancel::apply(tx, host, change, attempt, &asked, verdict, Value::Null).map(|_| ())
}

/// Ends the attempt of a complete, its checkout and the payment's doubt.
pub fn end(
    tx: &mut Tx<'_>,
    host: &Host,
    mut change: Change<'_>,
    mut attempt: Attempt,
    state: AttemptState,
    result: Value,
) -> Result<Payment, Error> {
    change.payment.resolution = Resolution::None;
    ended(tx, host, &mut attempt, state, &json!({"result": result, "resolved": true}))?;
    if let Some(id) = attempt.checkout_id
        && let Some(mut checkout) = checkouts::get(tx, attempt.shop_id, id)?
    {
        let awaits = facts::of_payment(tx, attempt.shop_id, attempt.payment_id)?;
        let awaits = awaits.iter().any(|fact| fact.kind == FactKind::Issued);
        let ended = match state {
            AttemptState::Succeeded if awaits => CheckoutState::AwaitingDeposit,
            AttemptState::Succeeded => CheckoutState::Approved,
            AttemptState::Intent | AttemptState::Declined | AttemptState::Failed | AttemptState::InDoubt => {
                CheckoutState::Undone
            }
        };
        checkout_ended(tx, host, &mut checkout, ended, result)?;
    }
    change.write(tx)
}

/// Leaves everything as it is and asks again later; after the last time a person must.
fn unknown(
    tx: &mut Tx<'_>,
    host: &Host,
    change: Change<'_>,
    attempt: &Attempt,
    words: String,
    again_us: Option<i64>,
) -> Result<Done, Error> {
    tracing::warn!(attempt = %attempt.id, reason = %words, "still in doubt");
    let now_us = host.now_us();
    let Some(due_us) = next_us(attempt.updated_us, now_us, DAYS) else {
        return call_a_person(tx, change, attempt, Why::AskedInVain, words);
    };
    // A moment that is over says nothing more.
    let again_us = again_us.filter(|us| *us > now_us);
    Ok(Done::Again(again_us.map_or(due_us, |us| us.min(due_us)), words))
}

/// Nothing is given up: the payment stays as it is until a person says what the gateway knows.
fn call_a_person(
    tx: &mut Tx<'_>,
    mut change: Change<'_>,
    attempt: &Attempt,
    why: Why,
    words: String,
) -> Result<Done, Error> {
    let reason = why.as_str();
    tracing::error!(attempt = %attempt.id, reason, detail = %words, "a person must find out how this attempt ended");
    if change.payment.resolution != Resolution::NeedsOperator {
        let data = json!({"attempt": attempt.id, "needs_operator": reason, "detail": words});
        change.event("payment.alarm", data);
    }
    change.payment.resolution = Resolution::NeedsOperator;
    change.write(tx)?;
    Ok(Done::Finished)
}

/// How long to wait after so many tries of something that is not worth days, in microseconds; none when it is over.
pub fn delay_us(tries: i64) -> Option<i64> {
    let step = usize::try_from(tries.saturating_sub(1)).ok()?;
    SCHEDULE_SECONDS.get(step).map(|seconds| seconds.saturating_mul(1_000_000))
}

/// The next time of the schedule of a doubt that began at `since_us` and is daily for `days` in the end; none when it is over.
pub fn next_us(since_us: i64, now_us: i64, days: i64) -> Option<i64> {
    let daily = (0..days).map(|_| DAY_SECONDS);
    let steps = SCHEDULE_SECONDS.iter().copied().chain(daily);
    steps
        .scan(since_us, |due_us, seconds| {
            *due_us = due_us.saturating_add(seconds.saturating_mul(1_000_000));
            Some(*due_us)
        })
        .find(|due_us| *due_us > now_us)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_doubt_is_asked_about_for_14_days_and_then_given_to_a_person() {
        let mut now_us = 0;
        let mut times = Vec::new();
        while let Some(due_us) = next_us(0, now_us, DAYS) {
            times.push(due_us / 1_000_000);
            now_us = due_us;
        }
        assert_eq!(times.get(..7).unwrap(), [5, 20, 80, 380, 1280, 4880, 26_480]);
        assert_eq!(times.len(), 7 + 14);
        assert!(times.last().unwrap() / DAY_SECONDS >= DAYS);
    }

    #[test]
    fn asking_more_often_or_not_at_all_does_not_shorten_the_schedule() {
        assert_eq!(next_us(0, 0, DAYS), Some(5_000_000));
        assert_eq!(next_us(0, 19_999_999, DAYS), Some(20_000_000));
        assert_eq!(
            next_us(0, 3 * DAY_SECONDS * 1_000_000, DAYS),
            Some((26_480 + 3 * DAY_SECONDS) * 1_000_000)
        );
    }
}
