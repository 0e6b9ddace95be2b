//! What the plugin reads in a notice. Invariant: the reading and the reply are on disk, with the job that acts on them, before
//! anybody is told; a plugin that fails leaves the notice as it was, to be read again.

use payhost_engine::contract::types::PluginError;
use payhost_engine::contract::vbank_notice::{Notice as Message, NoticeFact, RECEIVE, Received};
use payhost_store::rows::notices::{self, Notice, NoticeState};
use payhost_store::{Error, Json};
use serde_json::{Value, json};

use crate::channels::ready::{Moment, Ready};
use crate::host::Host;
use crate::http::problem::Problem;
use crate::jobs::{self, Task};
use crate::payments::attempt::{JournalOf, journaled};
use crate::sealed::Place;

/// Most bytes of a reply.
const REPLY_MAX: usize = 4096;

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
}

/// Lets the plugin read a notice that was not read yet.
pub async fn read(host: &Host, ready: &Ready, row: &Notice) -> Result<Reading, Problem> {
    let message: Message = Place::Notice(row.id).open_json(&ready.key, &row.raw)?;
    let moment = Moment::now(host);
    let of = JournalOf { call: moment.call, at_ms: moment.now_ms, payment: None, attempt: None };
    let called = ready.call(host, &RECEIVE, moment, |context| (context, message)).await;
    let word = match &called.result {
        Ok(word) => word.clone(),
        Err(fault) => Err(PluginError::Unknown(fault.to_string())),
    };
    let mut next = row.clone();
    let reading = match word {
        Ok(received) if received.reply.len() > REPLY_MAX => {
            Reading::Failed(format!("the plugin's reply is larger than {REPLY_MAX} bytes"))
        }
        Ok(received) => {
            next.state = NoticeState::Read;
            next.reason = None;
            next.reading = Some(Place::Reading(row.id).seal_json(&ready.key, &received)?);
            next.summary = Json::from(summary(&received));
            next.reply = Some(received.reply.clone());
            next.reply_type = Some(received.reply_type.clone());
            Reading::Replied { reply: received.reply, kind: received.reply_type }
        }
        Err(PluginError::Forged(words) | PluginError::InvalidRequest(words)) => {
            next.state = NoticeState::Refused;
            next.reason = Some(storable(&words));
            Reading::Refused(words)
        }
        Err(
            PluginError::Misconfigured(words) | PluginError::Unknown(words) | PluginError::Unsupported(words),
        ) => Reading::Failed(words),
        Err(PluginError::Gateway(refusal)) => Reading::Failed(refusal.message),
    };
    if let Reading::Failed(words) = &reading {
        next.state = NoticeState::Received;
        next.reason = Some(storable(words));
    }
    let (host_in, from) = (host.clone(), row.state);
    let journaled = journaled(host, ready, of, &called);
    let stored = host.store().transact(move |tx| {
        let host = &host_in;
        journaled.write(tx)?;
        next.updated_us = host.now_us();
        if notices::advance(tx, &next, from)? {
            if next.state.is_open() {
                let due_us =
                    if next.state == NoticeState::Read { next.updated_us } else { again(next.updated_us) };
                jobs::enqueue(tx, host, &Task::Notice { shop: next.shop_id, notice: next.id }, due_us)?;
            }
            return Ok(None);
        }
        notices::get(tx, next.shop_id, next.id)
    });
    let stored: Result<Option<Notice>, Error> = stored.await;
    host.jobs().notify_one();
    // Somebody else read the same message at the same moment: its answer counts.
    let other = stored?.and_then(|known| Some((known.reply?, known.reply_type?)));
    Ok(other.map_or(reading, |(reply, kind)| Reading::Replied { reply, kind }))
}

/// A plugin's words as the database takes them.
fn storable(words: &str) -> String {
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
