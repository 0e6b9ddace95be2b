//! The job of a notice. Invariant: a look either ends the notice or leaves it to another look; the notice ends only after its
//! facts are written, done twice it writes nothing twice, and killed anywhere it is done again.

use payhost_core::Resolution;
use payhost_core::id::{NoticeId, ShopId};
use payhost_core::kill::{self, Point};
use payhost_engine::contract::vbank_notice::{Notice as Message, NoticeFact, Received};
use payhost_store::rows::checkouts::Checkout;
use payhost_store::rows::notices::{self, ForwardState, Notice, NoticeState};
use payhost_store::{Error, Tx};

use super::claim::{Claimed, Known, Matched, Standing, claimed, matched, standing};
use super::facts::{Trust, Verified, alarm, end, write};
use super::read::{Reader, Reading, read};
use super::told;
use super::verify::{Heard, Word, judge};
use crate::channels::ready::Ready;
use crate::host::Host;
use crate::http::problem::Problem;
use crate::jobs::{self, Done, Task};
use crate::payments::attempt::locked;
use crate::payments::inquire::{Of, ask};
use crate::payments::resolve::next_us;
use crate::payments::sync::cancels_to_come;
use crate::sealed::Place;

/// A gateway that says otherwise for so many days is believed: its own books may lag behind its notices, but not for longer.
const DOUBT_DAYS: i64 = 1;
/// A gateway that is silent is asked for so many days; then a person must help.
const DAYS: i64 = 14;
/// When a running attempt of the payment stands in the way, in microseconds.
const BUSY_US: i64 = 5_000_000;
/// The same for one in doubt, which may last.
const IN_DOUBT_US: i64 = 15_000_000;

/// One look at a notice.
pub async fn work(host: &Host, shop: ShopId, id: NoticeId) -> Result<Done, String> {
    look(host, shop, id).await.map_err(|problem| problem.detail)
}

async fn look(host: &Host, shop: ShopId, id: NoticeId) -> Result<Done, Problem> {
    let get = move |tx: &mut Tx<'_>| notices::get(tx, shop, id);
    let Some(mut notice) = host.store().read(get).await? else { return Ok(Done::Finished) };
    if !notice.state.is_open() {
        return Ok(Done::Finished);
    }
    let ready = Ready::load(host, shop, notice.channel_id, None).await?;
    if notice.state == NoticeState::Received {
        let reading = match &notice.raw {
            Some(raw) => {
                let message: Message = Place::Notice(id).open_json(&ready.key, raw)?;
                read(host, &ready, &notice, &message, Reader::Job).await?
            }
            None => Reading::Failed("the message is gone".to_owned()),
        };
        match reading {
            Reading::Replied { .. } => {}
            Reading::Refused(_) | Reading::TooMany => return Ok(Done::Finished),
            Reading::Failed(words) => {
                let (state, last) = (NoticeState::Received, NoticeState::Unreadable);
                return later(host, notice, state, last, words, None).await;
            }
        }
        let Some(now) = host.store().read(get).await? else { return Ok(Done::Finished) };
        notice = now;
    }
    kill::at(Point::NoticeAnswered, "notice");
    let Some(sealed) = &notice.reading else { return Ok(Done::Finished) };
    let received: Received = Place::Reading(id).open_json(&ready.key, sealed)?;
    take(host, &ready, notice, received).await
}

/// Takes over what a notice says, fact by fact.
async fn take(host: &Host, ready: &Ready, mut notice: Notice, received: Received) -> Result<Done, Problem> {
    let mut last = (NoticeState::Ignored, None);
    for fact in received.facts {
        let state = notice.state;
        match one(host, &notice, fact).await? {
            // What says nothing hides nothing.
            Ended::So(NoticeState::Ignored, words) => {
                if last.0 == NoticeState::Ignored {
                    last.1 = words;
                }
            }
            Ended::So(state, words) => last = (state, words),
            Ended::Done(checkout) => {
                notice.payment_id = Some(checkout.payment_id);
                last = (NoticeState::Applied, None);
            }
            Ended::Doubt(words, checkout) => {
                let (state, last) = (NoticeState::Doubted, NoticeState::Unconfirmed);
                return later(host, notice, state, last, words, Some(*checkout)).await;
            }
            Ended::Again(words, checkout) => {
                return later(host, notice, state, NoticeState::Held, words, Some(*checkout)).await;
            }
            Ended::Busy(in_doubt, checkout) => {
                // Nothing was asked: the time for that begins afterwards.
                let now_us = host.now_us();
                notice.since_us = now_us;
                let due_us = now_us.saturating_add(if in_doubt { IN_DOUBT_US } else { BUSY_US });
                let words = "an attempt of the payment is open".to_owned();
                return again(host, notice, state, words, Some(*checkout), due_us).await;
            }
            Ended::Alarm(state, finding, words, checkout) => {
                return alarmed(host, notice, state, finding, words, *checkout).await;
            }
            Ended::Over => {
                host.settled().notify_waiters();
                return Ok(Done::Finished);
            }
        }
    }
    let (state, words) = last;
    let onward = state == NoticeState::UnknownOrder && ready.channel.notice_forward_url.is_some();
    if onward {
        notice.forward = Some(ForwardState::Waiting);
    }
    let host_in = host.clone();
    let ended = host.store().transact(move |tx| {
        let host = &host_in;
        if end(tx, host, &notice, state, words, None)? && onward {
            let task = Task::Forward { shop: notice.shop_id, notice: notice.id };
            jobs::enqueue(tx, host, &task, host.now_us())?;
        }
        Ok::<_, Error>(())
    });
    ended.await?;
    host.forwards().notify_one();
    host.settled().notify_waiters();
    Ok(Done::Finished)
}

/// How one fact of a notice ended.
enum Ended {
    /// It is among the facts.
    Done(Box<Checkout>),
    /// There is nothing to do.
    So(NoticeState, Option<String>),
    /// The gateway says otherwise.
    Doubt(String, Box<Checkout>),
    /// The gateway was not reached.
    Again(String, Box<Checkout>),
    /// The payment is being worked on; whether it is in doubt.
    Busy(bool, Box<Checkout>),
    /// It is not believed, and a person must know: state, finding, words.
    Alarm(NoticeState, &'static str, String, Box<Checkout>),
    /// The notice was ended together with what it said.
    Over,
}

/// Verifies and writes one fact.
async fn one(host: &Host, notice: &Notice, fact: NoticeFact) -> Result<Ended, Problem> {
    let claimed = match claimed(fact) {
        Ok(claimed) => claimed,
        Err(why) => return Ok(Ended::So(NoticeState::Ignored, Some(why))),
    };
    let Matched { checkout, known, misdirected } = match matched(host, notice, &claimed.order_ref).await? {
        Ok(found) => found,
        Err(words) => return Ok(Ended::So(NoticeState::UnknownOrder, Some(words))),
    };
    let checkout = Box::new(checkout);
    if let Some(words) = misdirected {
        return Ok(Ended::Alarm(NoticeState::Mismatched, "other_channel", words, checkout));
    }
    if let Some(ended) = without_asking(&known, &claimed, &checkout) {
        return Ok(ended);
    }
    let payment = &known.payment;
    let gateway_ref = match &claimed.verified {
        Verified::Issued(a) => Some(a.gateway_ref.clone()),
        Verified::Approved(a) => Some(a.gateway_ref.clone()),
        Verified::Deposited(d) | Verified::DepositCancelled(d) => {
            payment.gateway_ref.clone().or_else(|| d.issue_ref.clone())
        }
    };
    // The merchant that the sale was made with, also when the channel names another one by now.
    let ready = Ready::load_for(host, payment, Some(checkout.id)).await?;
    let of = Of { payment, attempt: None };
    let heard = ask(host, &ready, of, &claimed.order_ref, gateway_ref).await?;
    kill::at(Point::NoticeVerified, "notice");
    let (host_in, notice) = (host.clone(), notice.clone());
    let ended =
        host.store().transact(move |tx| decided(tx, &host_in, &ready, &notice, checkout, claimed, &heard));
    let ended: Result<Ended, Error> = ended.await;
    Ok(ended?)
}

/// What is known of the payment may decide alone.
fn without_asking(known: &Known, claimed: &Claimed, checkout: &Checkout) -> Option<Ended> {
    let checkout = Box::new(checkout.clone());
    match standing(known, claimed) {
        Standing::Written => Some(Ended::Done(checkout)),
        Standing::Busy => Some(Ended::Busy(known.payment.resolution != Resolution::None, checkout)),
        Standing::Mismatched(finding, words) => {
            Some(Ended::Alarm(NoticeState::Mismatched, finding, words, checkout))
        }
        Standing::Open => None,
    }
}

/// Decides and writes, under the payment's lock: what was known when the gateway was asked may be true no more.
fn decided(
    tx: &mut Tx<'_>,
    host: &Host,
    ready: &Ready,
    notice: &Notice,
    checkout: Box<Checkout>,
    mut claimed: Claimed,
    heard: &Heard,
) -> Result<Ended, Error> {
    let payment = locked(tx, checkout.shop_id, checkout.payment_id)?;
    let known = Known::of(tx, host, payment)?;
    if let Some(ended) = without_asking(&known, &claimed, &checkout) {
        return Ok(ended);
    }
    let confirmed = match judge(&known.payment, &known.facts, &claimed.order_ref, &claimed.verified, heard) {
        Word::Confirmed => true,
        Word::CannotTell(_) if notice.listed => false,
        Word::CannotTell(words) => {
            return Ok(Ended::Alarm(NoticeState::Held, "unlisted_address", words, checkout));
        }
        Word::Person(finding, words) => return Ok(Ended::Alarm(NoticeState::Held, finding, words, checkout)),
        Word::Contradicted(words) => return Ok(Ended::Doubt(words, checkout)),
        Word::Failed(words) => return Ok(Ended::Again(words, checkout)),
    };
    if let (Verified::Deposited(deposit), Ok(Some(sale))) = (&mut claimed.verified, heard) {
        // By which number the money is given back, where the account was not known before.
        deposit.issue_ref.get_or_insert_with(|| sale.gateway_ref.clone());
    }
    let trust = Trust { confirmed, listed: notice.listed, accepted: false };
    if write(tx, host, Some(ready), &checkout, &claimed.verified, trust)? {
        if let Ok(Some(sale)) = heard {
            cancels_to_come(tx, host, &known.payment, sale)?;
        }
        return Ok(Ended::Done(checkout));
    }
    // The contradiction's alarm is written; with it the notice ends, so that it is told once.
    let words = "it contradicts a fact that is known".to_owned();
    let _ended = end(tx, host, notice, NoticeState::Mismatched, Some(words), Some(&checkout))?;
    Ok(Ended::Over)
}

/// Leaves the notice in `state` and looks again later; when that has gone on for long enough it ends in `last`.
async fn later(
    host: &Host,
    mut notice: Notice,
    state: NoticeState,
    last: NoticeState,
    words: String,
    checkout: Option<Checkout>,
) -> Result<Done, Problem> {
    let now_us = host.now_us();
    if state != notice.state {
        notice.since_us = now_us;
    }
    let days = if last == NoticeState::Unconfirmed { DOUBT_DAYS } else { DAYS };
    let Some(due_us) = next_us(notice.since_us, now_us, days) else {
        return match checkout {
            Some(checkout) => alarmed(host, notice, last, "not_confirmed", words, checkout).await,
            None => finish(host, notice, last, words).await,
        };
    };
    again(host, notice, state, words, checkout, due_us).await
}

/// Leaves the notice to another look.
async fn again(
    host: &Host,
    notice: Notice,
    state: NoticeState,
    words: String,
    checkout: Option<Checkout>,
    due_us: i64,
) -> Result<Done, Problem> {
    let (host_in, reason) = (host.clone(), words.clone());
    let kept =
        host.store().transact(move |tx| end(tx, &host_in, &notice, state, Some(reason), checkout.as_ref()));
    let kept: Result<bool, Error> = kept.await;
    kept?;
    Ok(Done::Again(due_us, words))
}

async fn finish(host: &Host, notice: Notice, state: NoticeState, words: String) -> Result<Done, Problem> {
    if notice.listed || host.told().first(told::Of::Unread(notice.shop_id, notice.channel_id)) {
        tracing::error!(notice = %notice.id, state = state.as_str(), %words, "a notice is given up; a person must look");
    }
    let host_in = host.clone();
    let ended = host.store().transact(move |tx| end(tx, &host_in, &notice, state, Some(words), None));
    let ended: Result<bool, Error> = ended.await;
    ended?;
    Ok(Done::Finished)
}

/// Ends a notice that is not believed, with its alarm.
async fn alarmed(
    host: &Host,
    notice: Notice,
    state: NoticeState,
    finding: &'static str,
    words: String,
    checkout: Checkout,
) -> Result<Done, Problem> {
    let host_in = host.clone();
    let ended = host.store().transact(move |tx| {
        let host = &host_in;
        if end(tx, host, &notice, state, Some(words.clone()), Some(&checkout))? {
            alarm(tx, host, &checkout, &notice, finding, &words)?;
        }
        Ok::<_, Error>(())
    });
    ended.await?;
    Ok(Done::Finished)
}
