//! The job of a notice. Invariant: a look either ends the notice or leaves it to another look; the notice ends only after its
//! facts are written, done twice it writes nothing twice, and killed anywhere it is done again.

use payhost_core::id::{NoticeId, ShopId};
use payhost_core::{FactKind, Resolution};
use payhost_engine::contract::types::Money;
use payhost_engine::contract::vbank_notice::{Deposit, NoticeFact, Received};
use payhost_store::rows::attempts;
use payhost_store::rows::checkouts::{self, Checkout};
use payhost_store::rows::facts::{self, FactRow};
use payhost_store::rows::notices::{self, Notice, NoticeState};
use payhost_store::rows::payments::{self, Payment};
use payhost_store::{Error, Tx};

use super::facts::{Trust, Verified, alarm, end, same_number, write};
use super::read::{Reading, read};
use super::verify::{Claim, Word, ask};
use crate::channels::ready::Ready;
use crate::host::Host;
use crate::http::problem::Problem;
use crate::jobs::Done;
use crate::payments::model::{AMOUNT_MAX, AccountOut};
use crate::sealed::Place;

/// When to look again after each look, in seconds; afterwards daily.
const SCHEDULE_SECONDS: [i64; 7] = [5, 15, 60, 300, 900, 3600, 21_600];
const DAY_SECONDS: i64 = 86_400;
/// A gateway that says otherwise so often is believed: its own books may lag behind its notices, but not for a day.
const DOUBTS_MAX: i64 = 8;
/// Looks until a person must help: the schedule and 14 days.
const LOOKS_MAX: i64 = 21;
/// When an open attempt of the payment stands in the way, in microseconds.
const BUSY_US: i64 = 5_000_000;

/// One look at a notice.
pub async fn work(host: &Host, shop: ShopId, id: NoticeId, tries: i64) -> Result<Done, String> {
    look(host, shop, id, tries).await.map_err(|problem| problem.detail)
}

async fn look(host: &Host, shop: ShopId, id: NoticeId, tries: i64) -> Result<Done, Problem> {
    let get = move |tx: &mut Tx<'_>| notices::get(tx, shop, id);
    let Some(mut notice) = host.store().read(get).await? else { return Ok(Done::Finished) };
    if !notice.state.is_open() {
        return Ok(Done::Finished);
    }
    let ready = Ready::load(host, shop, notice.channel_id, None).await?;
    if notice.state == NoticeState::Received {
        match read(host, &ready, &notice).await? {
            Reading::Replied { .. } => {}
            Reading::Refused(_) => return Ok(Done::Finished),
            Reading::Failed(words) => {
                return later(
                    host,
                    notice,
                    tries,
                    NoticeState::Received,
                    NoticeState::Unreadable,
                    words,
                    None,
                )
                .await;
            }
        }
        let Some(now) = host.store().read(get).await? else { return Ok(Done::Finished) };
        notice = now;
    }
    let Some(sealed) = &notice.reading else { return Ok(Done::Finished) };
    let received: Received = Place::Reading(id).open_json(&ready.key, sealed)?;
    let mut last = (NoticeState::Ignored, None);
    for fact in received.facts {
        match one(host, &notice, fact).await? {
            Ended::So(NoticeState::Ignored, words) if last.0 == NoticeState::Ignored => last.1 = words,
            Ended::So(state, words) => last = (state, words),
            Ended::Done(checkout) => {
                notice.payment_id = Some(checkout.payment_id);
                last = (NoticeState::Applied, None);
            }
            Ended::Doubt(words, checkout) => {
                return later(
                    host,
                    notice,
                    tries,
                    NoticeState::Doubted,
                    NoticeState::Unconfirmed,
                    words,
                    Some(*checkout),
                )
                .await;
            }
            Ended::Again(words, checkout) => {
                let state = notice.state;
                return later(host, notice, tries, state, NoticeState::Held, words, Some(*checkout)).await;
            }
            Ended::Busy => {
                let due_us = host.now_us().saturating_add(BUSY_US);
                return Ok(Done::Again(due_us, "an attempt of the payment is open".to_owned()));
            }
            Ended::Alarm(state, finding, words, checkout) => {
                return alarmed(host, notice, state, finding, words, *checkout).await;
            }
        }
    }
    let (state, words) = last;
    let host_in = host.clone();
    let ended = host.store().transact(move |tx| end(tx, &host_in, &notice, state, words, None));
    let ended: Result<bool, Error> = ended.await;
    ended?;
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
    /// The payment is being worked on.
    Busy,
    /// It is not believed, and a person must know: state, finding, words.
    Alarm(NoticeState, &'static str, String, Box<Checkout>),
}

/// Verifies and writes one fact.
async fn one(host: &Host, notice: &Notice, fact: NoticeFact) -> Result<Ended, Problem> {
    let (verified, order_ref, amount, claim) = match fact {
        NoticeFact::Ignored(why) => return Ok(Ended::So(NoticeState::Ignored, Some(why))),
        NoticeFact::EscrowChanged(change) => {
            let words = format!("escrow: {} (kept, nothing is done with it yet)", change.state);
            return Ok(Ended::So(NoticeState::Ignored, Some(words)));
        }
        NoticeFact::Issued(a) => {
            let (order_ref, amount) = (a.order_ref.clone(), a.amount.clone());
            (Verified::Issued(Box::new(a)), order_ref, amount, Claim::Issued)
        }
        NoticeFact::Approved(a) => {
            let (order_ref, amount) = (a.order_ref.clone(), a.amount.clone());
            (Verified::Approved(Box::new(a)), order_ref, amount, Claim::Approved)
        }
        NoticeFact::Deposited(d) => {
            let (order_ref, amount) = (d.order_ref.clone(), d.amount.clone());
            let claim = Claim::Deposited(amount.minor);
            (Verified::Deposited(d), order_ref, amount, claim)
        }
        NoticeFact::DepositCancelled(d) => {
            let (order_ref, amount) = (d.order_ref.clone(), d.amount.clone());
            let claim = Claim::DepositCancelled(amount.minor);
            (Verified::DepositCancelled(d), order_ref, amount, claim)
        }
    };
    let found = match matched(host, notice, &order_ref).await? {
        Ok(found) => found,
        Err(words) => return Ok(Ended::So(NoticeState::UnknownOrder, Some(words))),
    };
    let Matched { checkout, payment, facts, open } = found;
    let checkout = Box::new(checkout);
    if known(&facts, &payment, &verified) {
        return Ok(Ended::Done(checkout));
    }
    if let Err((finding, words)) = fits(&payment, &facts, &verified, &amount) {
        return Ok(Ended::Alarm(NoticeState::Mismatched, finding, words, checkout));
    }
    if open || payment.resolution == Resolution::InDoubt {
        return Ok(Ended::Busy);
    }
    let gateway_ref = match &verified {
        Verified::Issued(a) => Some(a.gateway_ref.clone()),
        Verified::Approved(a) => Some(a.gateway_ref.clone()),
        Verified::Deposited(d) | Verified::DepositCancelled(d) => {
            payment.gateway_ref.clone().or_else(|| d.issue_ref.clone())
        }
    };
    let listed = notice.listed;
    // The merchant that the sale was made with, also when the channel names another one by now.
    let ready = &Ready::load_for(host, &payment, Some(checkout.id)).await?;
    let confirmed = match ask(host, ready, &payment, claim, &order_ref, gateway_ref).await? {
        Word::Confirmed => true,
        Word::Contradicted(words) => return Ok(Ended::Doubt(words, checkout)),
        Word::Failed(words) => return Ok(Ended::Again(words, checkout)),
        Word::CannotAsk(_) if listed => false,
        Word::CannotAsk(words) => {
            return Ok(Ended::Alarm(NoticeState::Held, "unlisted_address", words, checkout));
        }
    };
    let (host_in, ready_in) = (host.clone(), ready.clone());
    let written = host.store().transact(move |tx| {
        let trust = Trust { confirmed, listed };
        let stands = write(tx, &host_in, &ready_in, &checkout, &verified, trust)?;
        Ok((stands, checkout))
    });
    let written: Result<(bool, Box<Checkout>), Error> = written.await;
    let (stands, checkout) = written?;
    // A contradiction has its event already.
    let words = || Some("it contradicts a fact that is known".to_owned());
    Ok(if stands { Ended::Done(checkout) } else { Ended::So(NoticeState::Mismatched, words()) })
}

/// The payment that a notice is about.
struct Matched {
    checkout: Checkout,
    payment: Payment,
    facts: Vec<FactRow>,
    open: bool,
}

/// Finds it; `Err`: there is none in this channel. Of other shops nothing is told.
async fn matched(host: &Host, notice: &Notice, order_ref: &str) -> Result<Result<Matched, String>, Problem> {
    if order_ref.contains('\0') {
        return Ok(Err("its order number is none of ours".to_owned()));
    }
    let (order_ref, shop, channel, id) = (order_ref.to_owned(), notice.shop_id, notice.channel_id, notice.id);
    let found = host.store().read(move |tx| {
        let checkout = checkouts::by_order_ref_of_any_shop(tx, &order_ref)?;
        let Some(checkout) = checkout else { return Ok(Err("no payment has its order number")) };
        if checkout.shop_id != shop {
            tracing::error!(notice = %id, checkout = %checkout.id, "a notice names the order of another shop");
            return Ok(Err("no payment has its order number"));
        }
        if checkout.channel_id != channel {
            return Ok(Err("its order number is of a payment through another channel"));
        }
        let payment = payments::get(tx, shop, checkout.payment_id)?;
        let payment = payment.ok_or(Error::NotFound { what: "payment" })?;
        let facts = facts::of_payment(tx, shop, payment.id)?;
        let open = attempts::open_of(tx, shop, payment.id)?.is_some();
        Ok::<_, Error>(Ok(Matched { checkout, payment, facts, open }))
    });
    Ok(found.await?.map_err(ToOwned::to_owned))
}

/// Whether the very fact is written.
fn known(facts: &[FactRow], payment: &Payment, verified: &Verified) -> bool {
    let (kind, gateway_ref, amount) = match verified {
        Verified::Issued(account) => {
            let known = AccountOut::of_payment(payment);
            return known.is_some_and(|known| same_number(&known.number, &account.number));
        }
        Verified::Approved(a) => (FactKind::Approved, &a.gateway_ref, a.amount.minor),
        Verified::Deposited(d) => (FactKind::Deposited, &d.gateway_ref, d.amount.minor),
        Verified::DepositCancelled(d) => (FactKind::DepositCancelled, &d.gateway_ref, d.amount.minor),
    };
    facts.iter().any(|fact| fact.kind == kind && fact.gateway_ref == *gateway_ref && fact.amount == amount)
}

/// Whether the notice can be about this payment at all: currency, account, issue, and, where the whole amount is claimed, the
/// total. `Err`: the finding and the words.
fn fits(
    payment: &Payment,
    facts: &[FactRow],
    verified: &Verified,
    amount: &Money,
) -> Result<(), (&'static str, String)> {
    if amount.currency != payment.currency.as_str() || amount.minor <= 0 || amount.minor > AMOUNT_MAX {
        return Err(("wrong_amount", "its amount or currency cannot be this payment's".to_owned()));
    }
    match verified {
        Verified::Issued(_) | Verified::Approved(_) if amount.minor != payment.total => {
            Err(("wrong_amount", format!("it is about {}, not {}", amount.minor, payment.total)))
        }
        Verified::Issued(_) | Verified::Approved(_) => Ok(()),
        Verified::Deposited(deposit) | Verified::DepositCancelled(deposit) => {
            account_fits(payment, facts, deposit)
        }
    }
}

fn account_fits(
    payment: &Payment,
    facts: &[FactRow],
    deposit: &Deposit,
) -> Result<(), (&'static str, String)> {
    let account = AccountOut::of_payment(payment);
    let other =
        |known: &AccountOut| !deposit.number.is_empty() && !same_number(&known.number, &deposit.number);
    if account.as_ref().is_some_and(other) {
        return Err(("wrong_account", "it is about another account than the payment's".to_owned()));
    }
    let mut issues = facts.iter().filter(|fact| fact.kind == FactKind::Issued).peekable();
    if let Some(issue) = &deposit.issue_ref
        && issues.peek().is_some()
        && !issues.any(|fact| fact.gateway_ref == *issue)
    {
        return Err(("wrong_account", "it names another issue than the payment's".to_owned()));
    }
    Ok(())
}

/// Leaves the notice in `state` and looks again later; after the last look it ends in `last`.
async fn later(
    host: &Host,
    notice: Notice,
    tries: i64,
    state: NoticeState,
    last: NoticeState,
    words: String,
    checkout: Option<Checkout>,
) -> Result<Done, Problem> {
    let most = if last == NoticeState::Unconfirmed { DOUBTS_MAX } else { LOOKS_MAX };
    if tries >= most {
        return match checkout {
            Some(checkout) => alarmed(host, notice, last, "not_confirmed", words, checkout).await,
            None => finish(host, notice, last, words).await,
        };
    }
    let step = usize::try_from(tries.saturating_sub(1)).unwrap_or(usize::MAX);
    let seconds = SCHEDULE_SECONDS.get(step).copied().unwrap_or(DAY_SECONDS);
    let due_us = host.now_us().saturating_add(seconds.saturating_mul(1_000_000));
    let (host_in, reason) = (host.clone(), words.clone());
    let kept =
        host.store().transact(move |tx| end(tx, &host_in, &notice, state, Some(reason), checkout.as_ref()));
    let kept: Result<bool, Error> = kept.await;
    kept?;
    Ok(Done::Again(due_us, words))
}

async fn finish(host: &Host, notice: Notice, state: NoticeState, words: String) -> Result<Done, Problem> {
    tracing::error!(notice = %notice.id, state = state.as_str(), %words, "a notice is given up; a person must look");
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
