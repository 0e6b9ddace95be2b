//! What the plugin reads in a notice. Invariant: the reading and the reply are on disk, with the job that acts on them, before
//! anybody is told; a plugin that fails leaves the notice as it was, to be read again.

use payhost_engine::contract::types::PluginError;
use payhost_engine::contract::vbank_notice::{Notice as Message, NoticeFact, RECEIVE, Received};
use payhost_store::rows::channels;
use payhost_store::rows::notices::{self, Notice, NoticeState};
use payhost_store::{Error, Json, Tx};
use serde_json::{Value, json};

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
}

/// Lets the plugin read a notice that was not read yet: with the channel as it is, and, if it refuses, as it was when accounts
/// were opened that still wait. (The merchant of a channel may have changed meanwhile, and its deposits come all the same.)
pub async fn read(host: &Host, ready: &Ready, row: &Notice, by: Reader) -> Result<Reading, Problem> {
    let mut reading = read_as(host, ready, row, by).await?;
    if matches!(reading, Reading::Refused(_)) {
        let (shop, id, digest) = (row.shop_id, row.channel_id, ready.plugin.digest().to_owned());
        let older = move |tx: &mut Tx<'_>| channels::awaited_revisions(tx, shop, id, OLDER_MAX);
        let notice = row.id;
        for revision in host.store().read(older).await? {
            let then = Ready::load_as(host, shop, id, (&digest, revision)).await?;
            let now = host.store().read(move |tx| notices::get(tx, shop, notice)).await?;
            let Some(now) = now else { break };
            reading = read_as(host, &then, &now, by).await?;
            if !matches!(reading, Reading::Refused(_)) {
                break;
            }
        }
    }
    Ok(reading)
}

async fn read_as(host: &Host, ready: &Ready, row: &Notice, by: Reader) -> Result<Reading, Problem> {
    let Some(raw) = &row.raw else { return Ok(Reading::Failed("the message is gone".to_owned())) };
    let message: Message = Place::Notice(row.id).open_json(&ready.key, raw)?;
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
        // What the database cannot hold would stop the job for ever.
        Ok(received) if has_nul(&serde_json::to_value(&received).unwrap_or_default()) => {
            Reading::Failed("the plugin's reading has a NUL character".to_owned())
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
        if next.state != from {
            next.since_us = next.updated_us;
        }
        if notices::advance(tx, &next, from)? {
            // The job knows by itself when it looks again.
            if next.state.is_open() && by == Reader::Request {
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
