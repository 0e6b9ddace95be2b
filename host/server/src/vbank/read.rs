//! What the plugin reads in a notice. Invariant: the reading and the reply are on disk, with the job that acts on them, before
//! anybody is told; a plugin that fails leaves the notice as it was, to be read again. What names no order of ours leaves little
//! behind: no record of the call, and, refused, not the message itself.

use std::borrow::Cow;

use payhost_core::id::{PaymentId, ShopId};
use payhost_engine::Called;
use payhost_engine::contract::types::PluginError;
use payhost_engine::contract::vbank_notice::{Notice as Message, NoticeFact, RECEIVE, Received};
use payhost_store::rows::notices::{self, Amount, Notice, NoticeState};
use payhost_store::rows::{self, Mode, channels, checkouts, payments};
use payhost_store::{Error, Tx};
use serde_json::{Value, json};

use super::hearing::{Verdict, hear};
use crate::channels::ready::{Moment, Ready};
use crate::host::Host;
use crate::http::problem::Problem;
use crate::jobs::{self, Task};
use crate::payments::attempt::{JournalOf, journaled};
use crate::sealed::Place;

/// Older revisions of a channel that a notice is read with.
const OLDER_MAX: i64 = 3;
/// Most bytes of a reply.
const REPLY_MAX: usize = 4096;
/// Messages about one payment from addresses that the plugin does not list, and their bytes, that are kept: who knows an order
/// number can make up as many as he likes. Beyond, only what the gateway confirms is.
const OF_PAYMENT_MAX: Amount = Amount { messages: 20, bytes: 128 * 1024 };
/// Of those and of what the gateway confirmed beyond, how many may wait for their job at once.
const UNASKED_MAX: i64 = 30;

/// Who reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// The request that brought the notice; the job goes on afterwards.
    Request,
    /// The job.
    Job,
}

/// How a reading ended.
pub enum Reading {
    /// The gateway is answered so.
    Replied {
        /// The answer's body.
        reply: String,
        /// Its content type.
        kind: String,
    },
    /// It is no notice for this channel.
    Refused(String),
    /// The plugin could not read it this time.
    Failed(String),
    /// It is one of too many about one payment, or somebody else is at it: nothing of this reading is kept.
    TooMany,
}

/// What a plugin said, with the revision of the channel that it was asked with.
struct Word<'a> {
    ready: Cow<'a, Ready>,
    of: JournalOf,
    called: Called<Result<Received, PluginError>>,
}

impl Word<'_> {
    fn result(&self) -> Result<&Received, PluginError> {
        match &self.called.result {
            Ok(word) => word.as_ref().map_err(Clone::clone),
            Err(fault) => Err(PluginError::Unknown(fault.to_string())),
        }
    }

    fn is_refusal(&self) -> bool {
        matches!(self.result(), Err(PluginError::Forged(_) | PluginError::InvalidRequest(_)))
    }
}

/// Lets the plugin read a message: with the channel as it is, and, if it refuses, as it was when accounts were opened that still
/// wait. (The merchant of a channel may have changed meanwhile, and its deposits come all the same.)
async fn ask<'a>(host: &Host, ready: &'a Ready, message: &Message) -> Result<Word<'a>, Problem> {
    let mut word = ask_as(host, Cow::Borrowed(ready), message).await;
    if word.is_refusal() {
        let (shop, id) = (ready.channel.shop_id, ready.channel.id);
        let digest = ready.plugin.digest().to_owned();
        let older = move |tx: &mut Tx<'_>| channels::awaited_revisions(tx, shop, id, OLDER_MAX);
        for revision in host.store().read(older).await? {
            let then = Ready::load_as(host, shop, id, (&digest, revision)).await?;
            word = ask_as(host, Cow::Owned(then), message).await;
            if !word.is_refusal() {
                break;
            }
        }
    }
    Ok(word)
}

async fn ask_as<'a>(host: &Host, ready: Cow<'a, Ready>, message: &Message) -> Word<'a> {
    let moment = Moment::now(host);
    let of = JournalOf { call: moment.call, at_ms: moment.now_ms, payment: None, attempt: None };
    let message = message.clone();
    let called = ready.call(host, &RECEIVE, moment, |context| (context, message)).await;
    Word { ready, of, called }
}

/// Whether a message names an order of its shop, as the plugin reads it. Nothing is written.
pub async fn is_ours(host: &Host, ready: &Ready, message: &Message) -> Result<bool, Problem> {
    let word = ask(host, ready, message).await?;
    let Ok(received) = word.result() else { return Ok(false) };
    let (received, of) = (received.clone(), (ready.channel.shop_id, ready.channel.mode));
    let order = host.store().read(move |tx| order_of(tx, of, &received)).await?;
    Ok(order.is_some())
}

/// The first order number in a reading that is of this shop and mode, and its payment. Through which channel it was made says
/// nothing: a gateway knows one address for a merchant id that several channels may have.
fn order_of(
    tx: &mut Tx<'_>,
    (shop, mode): (ShopId, Mode),
    received: &Received,
) -> Result<Option<(String, PaymentId)>, Error> {
    for fact in &received.facts {
        let Some(order_ref) = order_ref(fact).filter(|order_ref| !order_ref.contains('\0')) else { continue };
        let Some(checkout) = checkouts::by_order_ref(tx, shop, order_ref)? else { continue };
        let payment = payments::get(tx, shop, checkout.payment_id)?;
        if payment.is_some_and(|found| found.mode == mode) {
            return Ok(Some((order_ref.to_owned(), checkout.payment_id)));
        }
    }
    Ok(None)
}

fn order_ref(fact: &NoticeFact) -> Option<&str> {
    match fact {
        NoticeFact::Issued(a) => Some(&a.order_ref),
        NoticeFact::Approved(a) => Some(&a.order_ref),
        NoticeFact::Deposited(d) | NoticeFact::DepositCancelled(d) => Some(&d.order_ref),
        NoticeFact::EscrowChanged(c) => Some(&c.order_ref),
        NoticeFact::Ignored(_) => None,
    }
}

/// Reads a notice that was not read yet, or was refused and may be read now.
pub async fn read(
    host: &Host,
    ready: &Ready,
    row: &Notice,
    message: &Message,
    by: Reader,
) -> Result<Reading, Problem> {
    let word = ask(host, ready, message).await?;
    let mut next = row.clone();
    let said = |words: &str| Place::Reason(row.id).seal(&ready.key, storable(words).as_bytes());
    let reading = match word.result() {
        Ok(received) if received.reply.len() > REPLY_MAX => {
            Reading::Failed(format!("the plugin's reply is larger than {REPLY_MAX} bytes"))
        }
        // What the database cannot hold would stop the job for ever.
        Ok(received) if has_nul(&serde_json::to_value(received).unwrap_or_default()) => {
            Reading::Failed("the plugin's reading has a NUL character".to_owned())
        }
        Ok(received) => {
            next.state = NoticeState::Read;
            next.reason = None;
            next.reading = Some(Place::Reading(row.id).seal_json(&ready.key, received)?);
            next.summary = Place::Summary(row.id).seal_json(&ready.key, &summary(received))?;
            next.reply = Some(received.reply.clone());
            next.reply_type = Some(received.reply_type.clone());
            Reading::Replied { reply: received.reply.clone(), kind: received.reply_type.clone() }
        }
        Err(PluginError::Forged(words) | PluginError::InvalidRequest(words)) => {
            next.state = NoticeState::Refused;
            next.reason = Some(said(&words)?);
            Reading::Refused(words)
        }
        Err(
            PluginError::Misconfigured(words) | PluginError::Unknown(words) | PluginError::Unsupported(words),
        ) => Reading::Failed(words),
        Err(PluginError::Gateway(refusal)) => Reading::Failed(refusal.message),
    };
    if let Reading::Failed(words) = &reading {
        next.state = NoticeState::Received;
        next.reason = Some(said(words)?);
    }
    if row.raw.is_none() && next.state != NoticeState::Refused {
        // It was refused before, and comes again.
        next.raw = Some(Place::Notice(row.id).seal_json(&ready.key, message)?);
    }
    let mut stored = store(host, &word, (row, &next), (&reading, by), Room::OfPayment).await?;
    if let (Stored::TooMany, Reader::Request, Ok(received)) = (&stored, by, word.result()) {
        stored = match hear(host, &next, received).await? {
            // The facts are on disk, and it says nothing else.
            Verdict::Known => return Ok(reading),
            Verdict::Proven => store(host, &word, (row, &next), (&reading, by), Room::Proven).await?,
            Verdict::NotProven => Stored::TooMany,
        };
    }
    Ok(match stored {
        Stored::Written => reading,
        Stored::TooMany => Reading::TooMany,
        Stored::Known(known) => as_known(*known, reading),
    })
}

/// What counts when somebody else read the same message at the same moment: the reply that he stored. As long as there is none
/// this reading acknowledges nothing, because it is not on disk.
fn as_known(known: Notice, reading: Reading) -> Reading {
    match (known.reply, known.reply_type) {
        (Some(reply), Some(kind)) => Reading::Replied { reply, kind },
        (None, _) | (_, None) => match reading {
            Reading::Replied { .. } => Reading::TooMany,
            reading @ (Reading::Refused(_) | Reading::Failed(_) | Reading::TooMany) => reading,
        },
    }
}

/// By what a message about a payment has room, if its address is not listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Room {
    /// By how much is kept about the payment. Where there is none the row of the message goes.
    OfPayment,
    /// The gateway confirms it. Its row was gone.
    Proven,
}

impl Room {
    fn is_there(self, tx: &mut Tx<'_>, notice: &Notice, payment: PaymentId) -> Result<bool, Error> {
        let (shop, most) = (notice.shop_id, OF_PAYMENT_MAX);
        Ok(match self {
            Self::OfPayment => {
                !notices::of_payment(tx, shop, payment, most.messages)?.is_full(most, notice.size)
            }
            Self::Proven => {
                notices::unasked_of_payment(tx, shop, payment, UNASKED_MAX)?.messages < UNASKED_MAX
            }
        })
    }
}

/// What became of the writing.
enum Stored {
    Written,
    /// Somebody else read the same message at the same moment: its answer counts.
    Known(Box<Notice>),
    /// There is no room for it, or somebody else took it away because there was none.
    TooMany,
}

/// Writes what was read.
async fn store(
    host: &Host,
    word: &Word<'_>,
    (row, next): (&Notice, &Notice),
    (reading, by): (&Reading, Reader),
    room: Room,
) -> Result<Stored, Problem> {
    let (host_in, from, had_raw, mut next) = (host.clone(), row.state, row.raw.is_some(), next.clone());
    // A refusal says all that there is to know, and a plugin that fails again says nothing new.
    let worth = match reading {
        Reading::Replied { .. } => true,
        Reading::Failed(_) => by == Reader::Request,
        Reading::Refused(_) | Reading::TooMany => false,
    };
    let journaled = worth.then(|| journaled(host, &word.ready, word.of, &word.called));
    let received = word.result().ok().filter(|_| next.state == NoticeState::Read).cloned();
    let stored = host.store().transact(move |tx| {
        let host = &host_in;
        if let Some(received) = &received
            && let Some((order_ref, payment)) = order_of(tx, (next.shop_id, next.mode), received)?
        {
            next.order_ref = Some(order_ref);
            next.payment_id = Some(payment);
        }
        let is_full = match next.payment_id.filter(|_| !next.listed) {
            Some(payment) => !room.is_there(tx, &next, payment)?,
            None => false,
        };
        match room {
            Room::OfPayment if is_full => {
                if !notices::remove(tx, next.shop_id, next.id, from)? {
                    return as_it_is(tx, &next);
                }
                let task = Task::Notice { shop: next.shop_id, notice: next.id };
                rows::jobs::take_back(tx, next.shop_id, &task.key())?;
                return Ok(Stored::TooMany);
            }
            Room::OfPayment => {}
            Room::Proven if is_full => return Ok(Stored::TooMany),
            Room::Proven => {
                if let Some(known) = notices::keep(tx, &Notice { state: from, ..next.clone() })? {
                    return Ok(Stored::Known(Box::new(known)));
                }
            }
        }
        if let Some(journaled) = journaled
            && (next.order_ref.is_some() || received.is_none())
        {
            journaled.write(tx)?;
        }
        next.updated_us = host.now_us();
        if next.state != from {
            next.since_us = next.updated_us;
        }
        if notices::advance(tx, &next, from)? {
            if next.state == NoticeState::Refused || !had_raw {
                let raw = next.raw.as_ref().filter(|_| next.state != NoticeState::Refused);
                notices::set_raw(tx, next.shop_id, next.id, raw)?;
            }
            // The job knows by itself when it looks again.
            if next.state.is_open() && by == Reader::Request {
                let due_us =
                    if next.state == NoticeState::Read { next.updated_us } else { again(next.updated_us) };
                jobs::enqueue(tx, host, &Task::Notice { shop: next.shop_id, notice: next.id }, due_us)?;
            }
            return Ok(Stored::Written);
        }
        as_it_is(tx, &next)
    });
    let stored: Result<Stored, Error> = stored.await;
    host.jobs().notify_one();
    Ok(stored?)
}

/// The row with which somebody else went on, if it is still there.
fn as_it_is(tx: &mut Tx<'_>, notice: &Notice) -> Result<Stored, Error> {
    let known = notices::get(tx, notice.shop_id, notice.id)?;
    Ok(known.map_or(Stored::TooMany, |known| Stored::Known(Box::new(known))))
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(members) => members.iter().any(|(name, value)| name.contains('\0') || has_nul(value)),
    }
}

/// A plugin's words as the database takes them.
pub fn storable(words: &str) -> String {
    words.chars().filter(|c| !c.is_control()).take(500).collect()
}

/// When a notice that the plugin failed at is read again, unless the gateway repeats it before, in microseconds.
fn again(now_us: i64) -> i64 {
    now_us.saturating_add(60_000_000)
}

/// What a list of notices shows: what happened to which order; no account and no name.
fn summary(received: &Received) -> Value {
    received.facts.iter().map(line).collect()
}

fn line(fact: &NoticeFact) -> Value {
    let (kind, order_ref, gateway_ref, amount) = match fact {
        NoticeFact::Issued(a) => ("issued", &a.order_ref, &a.gateway_ref, Some(&a.amount)),
        NoticeFact::Approved(a) => ("approved", &a.order_ref, &a.gateway_ref, Some(&a.amount)),
        NoticeFact::Deposited(d) => ("deposited", &d.order_ref, &d.gateway_ref, Some(&d.amount)),
        NoticeFact::DepositCancelled(d) => {
            ("deposit_cancelled", &d.order_ref, &d.gateway_ref, Some(&d.amount))
        }
        NoticeFact::EscrowChanged(c) => ("escrow_changed", &c.order_ref, &c.gateway_ref, None),
        NoticeFact::Ignored(why) => return json!({"kind": "ignored", "reason": why}),
    };
    json!({
        "kind": kind, "order_ref": order_ref, "gateway_ref": gateway_ref,
        "amount": amount.map(|amount| amount.minor), "currency": amount.map(|amount| amount.currency.clone()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nul_anywhere_in_a_reading_is_found_before_the_database_refuses_it() {
        let reading = |text: &str| json!({"facts": [{"deposited": {"more": [{"name": "a", "value": text}]}}], "reply": "OK"});
        assert!(has_nul(&reading("a\0b")));
        assert!(!has_nul(&reading("a\\u0000b")));
        assert!(has_nul(&json!({"reply_type": "text/plain\0"})));
    }
}
