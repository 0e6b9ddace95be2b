//! A message about a payment of which enough is kept that nobody believed. Invariant: it is kept only when the gateway, asked now,
//! says the same, so that nothing that strangers sent before shuts a true one out; of a flood all wait for one question, and how
//! often a gateway is asked about one payment is bounded, whatever is sent.
//!
//! What cannot be about the payment by what is known (another account, another amount) asks nothing. What is not kept is not
//! acknowledged either: the gateway repeats it.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use payhost_core::id::{PaymentId, ShopId};
use payhost_engine::contract::plugin::Lookup;
use payhost_engine::contract::vbank_notice::Received;
use payhost_store::rows::notices::Notice;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until};

use super::claim::{Claimed, Known, Matched, Standing, bare, claimed, matched};
use super::facts::Verified;
use super::verify::{Heard, Word, judge};
use crate::channels::ready::Ready;
use crate::host::Host;
use crate::http::problem::Problem;
use crate::payments::inquire::{Of, ask};

/// Messages about one payment that wait for an answer at once.
const SEATS: usize = 16;
/// From one question about a payment to the next one, at least.
const PACE: Duration = Duration::from_secs(1);
/// Questions about one payment in a row; afterwards one in a minute.
const BURST: NonZeroU32 = NonZeroU32::MIN.saturating_add(59);
/// How long an answer may still prove what it did not prove to anybody before.
const REMEMBERED: Duration = Duration::from_secs(600);
/// A payment that nobody sends anything about is forgotten after so long.
const FORGOTTEN: Duration = Duration::from_secs(900);
/// Payments of which nothing is forgotten before there are so many.
const PAYMENTS: usize = 1024;

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// All that it says is among the facts.
    Known,
    /// The gateway says the same.
    Proven,
    /// Neither.
    NotProven,
}

/// Hears what a message says.
pub async fn hear(host: &Host, notice: &Notice, received: &Received) -> Result<Verdict, Problem> {
    let mut verdict = None;
    for claim in received.facts.iter().filter_map(|fact| claimed(fact.clone()).ok()) {
        match one(host, notice, &claim).await? {
            Verdict::NotProven => return Ok(Verdict::NotProven),
            Verdict::Proven => verdict = Some(Verdict::Proven),
            Verdict::Known => verdict = verdict.or(Some(Verdict::Known)),
        }
    }
    Ok(verdict.unwrap_or(Verdict::NotProven))
}

async fn one(host: &Host, notice: &Notice, claim: &Claimed) -> Result<Verdict, Problem> {
    let came = Instant::now();
    let Ok(Matched { checkout, misdirected: None, known }) = matched(host, notice, &claim.order_ref).await?
    else {
        return Ok(Verdict::NotProven);
    };
    match bare(&known, claim) {
        Standing::Written => return Ok(Verdict::Known),
        Standing::Mismatched(..) => return Ok(Verdict::NotProven),
        // While an attempt is open a proven claim waits on disk.
        Standing::Open | Standing::Busy => {}
    }
    let Known { payment, facts, .. } = &known;
    let ready = Ready::load_for(host, payment, Some(checkout.id)).await?;
    let gateway_ref = number(&ready, &known, claim);
    let question = Question { order_ref: claim.order_ref.clone(), gateway_ref: gateway_ref.clone() };
    let proves = |heard: &Heard| {
        matches!(judge(payment, facts, &claim.order_ref, &claim.verified, heard), Word::Confirmed)
    };
    let of = Of { payment, attempt: None };
    let asks = ask(host, &ready, of, &claim.order_ref, gateway_ref);
    let proven =
        host.hearings().of((payment.shop_id, payment.id)).proves(question, came, proves, asks).await?;
    Ok(if proven { Verdict::Proven } else { Verdict::NotProven })
}

/// By which number the gateway is asked: the payment's own, so that one answer serves all; a claim's only where it must be.
fn number(ready: &Ready, known: &Known, claim: &Claimed) -> Option<String> {
    let claimed = || match &claim.verified {
        Verified::Issued(account) => Some(account.gateway_ref.clone()),
        Verified::Approved(approval) => Some(approval.gateway_ref.clone()),
        Verified::Deposited(deposit) | Verified::DepositCancelled(deposit) => deposit.issue_ref.clone(),
    };
    let by_number = ready.lookup() != Lookup::OrderRef;
    known.payment.gateway_ref.clone().or_else(|| claimed().filter(|_| by_number))
}

/// A payment of a shop.
type PaymentKey = (ShopId, PaymentId);

/// The payments about which more was sent than is kept.
#[derive(Default)]
pub struct Hearings(Mutex<HashMap<PaymentKey, (Arc<Hearing>, Instant)>>);

impl Hearings {
    /// That of a payment.
    fn of(&self, payment: PaymentKey) -> Arc<Hearing> {
        let now = Instant::now();
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if open.len() >= PAYMENTS {
            open.retain(|_, (_, used)| now.duration_since(*used) < FORGOTTEN);
        }
        let (hearing, used) = open.entry(payment).or_insert_with(|| (Arc::new(Hearing::new(PACE)), now));
        *used = now;
        Arc::clone(hearing)
    }
}

/// What a gateway is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Question {
    order_ref: String,
    gateway_ref: Option<String>,
}

/// What it said.
struct Said {
    question: Question,
    began: Instant,
    heard: Heard,
}

struct Hearing {
    pace: Duration,
    seats: Semaphore,
    turns: DefaultDirectRateLimiter,
    said: tokio::sync::Mutex<Option<Said>>,
}

impl Hearing {
    fn new(pace: Duration) -> Self {
        Self {
            pace,
            seats: Semaphore::new(SEATS),
            turns: RateLimiter::direct(Quota::per_minute(NonZeroU32::MIN).allow_burst(BURST)),
            said: tokio::sync::Mutex::default(),
        }
    }

    /// Whether the gateway says the same as a message that came at that moment; asks it, unless that was done since.
    async fn proves(
        &self,
        question: Question,
        came: Instant,
        proves: impl Fn(&Heard) -> bool,
        asks: impl Future<Output = Result<Heard, Problem>>,
    ) -> Result<bool, Problem> {
        let Ok(_seat) = self.seats.try_acquire() else { return Ok(false) };
        let mut said = self.said.lock().await;
        if let Some(last) = said.as_ref().filter(|last| last.question == question) {
            if last.began >= came {
                return Ok(proves(&last.heard));
            }
            if last.began.elapsed() < REMEMBERED && proves(&last.heard) {
                // Once: what is kept for it is asked about again, and the answer may be another by then.
                *said = None;
                return Ok(true);
            }
        }
        if self.turns.check().is_err() {
            return Ok(false);
        }
        if let Some(last) = said.as_ref() {
            sleep_until(last.began + self.pace).await;
        }
        let began = Instant::now();
        let heard = asks.await?;
        let proven = proves(&heard);
        *said = Some(Said { question, began, heard });
        Ok(proven)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use futures_util::future::join_all;

    use super::*;
    use crate::payments::inquire::Silence;

    fn question(order: &str) -> Question {
        Question { order_ref: order.to_owned(), gateway_ref: None }
    }

    /// A gateway that is silent, and counts.
    async fn silent(asked: &AtomicUsize) -> Result<Heard, Problem> {
        tokio::task::yield_now().await;
        asked.fetch_add(1, Relaxed);
        Ok(Err(Silence::Failed("?".to_owned())))
    }

    #[tokio::test]
    async fn a_flood_about_one_payment_waits_for_one_question() {
        let (hearing, asked) = (Hearing::new(PACE), AtomicUsize::new(0));
        let came = Instant::now();
        let flood = (0..100).map(|_| hearing.proves(question("a"), came, |_| true, silent(&asked)));
        let proven = join_all(flood).await.into_iter().filter(|found| *found.as_ref().unwrap()).count();
        assert_eq!((proven, asked.load(Relaxed)), (SEATS, 1));
    }

    #[tokio::test]
    async fn what_was_answered_before_a_message_came_does_not_speak_against_it() {
        let (hearing, asked) = (Hearing::new(Duration::ZERO), AtomicUsize::new(0));
        let said =
            |proves: bool| hearing.proves(question("a"), Instant::now(), move |_| proves, silent(&asked));
        for times in 1..=2 {
            assert!(!said(false).await.unwrap());
            assert_eq!(asked.load(Relaxed), times, "it is asked again");
        }
        assert!(said(true).await.unwrap());
        assert_eq!(asked.load(Relaxed), 2, "what was answered before may speak for it");
        assert!(said(true).await.unwrap());
        assert_eq!(asked.load(Relaxed), 3, "for one");
    }

    #[tokio::test]
    async fn a_gateway_is_asked_about_one_payment_only_so_often() {
        let (hearing, asked) = (Hearing::new(Duration::from_millis(2)), AtomicUsize::new(0));
        let begun = Instant::now();
        for _ in 0..500 {
            let proven = hearing.proves(question("a"), Instant::now(), |_| false, silent(&asked)).await;
            assert!(!proven.unwrap());
        }
        assert_eq!(asked.load(Relaxed), usize::try_from(BURST.get()).unwrap());
        assert!(begun.elapsed() >= hearing.pace * (BURST.get() - 1));
    }
}
