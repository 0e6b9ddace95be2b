//! Taking an approval back. Invariant: an undo is an attempt of its own, made with the approval's exact map; its outcome and
//! what follows for its parent are written together, and an undo that succeeded is never forgotten.

use payhost_engine::Called;
use payhost_engine::contract::money::{Attempt as Earlier, UNDO, Undone};
use payhost_engine::contract::types::{Callback, Order, PluginError};
use payhost_store::rows::attempts::{self, Attempt, AttemptKind, AttemptState};
use payhost_store::rows::checkouts::Checkout;
use payhost_store::{Error, Json, Tx};
use serde_json::{Value, json};

use super::attempt::{JournalOf, LEASE_US, Opening, evidence, journal, mine, open, run};
use super::resolve::{Doubtful, Found};
use super::verdict::{Verdict, judge};
use crate::channels::ready::Ready;
use crate::host::{Host, hex, random};
use crate::http::problem::Problem;
use crate::sealed::Place;

/// An undo that was made, to be written with what follows from it.
pub struct UndoDone {
    attempt: Attempt,
    called: Called<Result<Undone, PluginError>>,
    state: AttemptState,
    result: Value,
}

/// What earlier undos of an attempt came to: one that succeeded ends the doubt; one whose maker died is in doubt itself.
pub async fn earlier(host: &Host, parent: &Attempt) -> Result<Option<Found>, Problem> {
    let (shop, id) = (parent.shop_id, parent.id);
    let (now_us, token) = (host.now_us(), hex(&random::<16>()));
    let found = host.store().transact(move |tx| {
        for mut undo in attempts::undos_of(tx, shop, id)? {
            let outcome: Value = undo.outcome.as_ref().map(Json::to).transpose()?.unwrap_or_default();
            if undo.state == AttemptState::Succeeded && outcome.get("undone") == Some(&json!("reversed")) {
                return Ok(Some(Found::Nothing("undone", None)));
            }
            let free = undo.state == AttemptState::Intent && undo.lease_until_us <= now_us;
            if free
                && attempts::take_over(tx, (shop, undo.id), &token, now_us, now_us.saturating_add(LEASE_US))?
            {
                undo.lease_token.clone_from(&token);
                undo.state = AttemptState::InDoubt;
                undo.updated_us = now_us;
                attempts::settle(tx, &undo)?;
            }
        }
        Ok::<_, Error>(None)
    });
    Ok(found.await?)
}

/// T1 and the plugin; [`store`] is T2, together with the parent's.
pub async fn undo(
    host: &Host,
    ready: &Ready,
    doubtful: &Doubtful,
    checkout: &Checkout,
) -> Result<Found, Problem> {
    let parent = &doubtful.attempt;
    let order: Order = Place::Order(checkout.id).open_json(&ready.key, &checkout.order_json)?;
    let Some(sealed) = &parent.callback else {
        return Ok(Found::unknown("the attempt has no callback"));
    };
    let callback: Callback = Place::Callback(checkout.id).open_json(&ready.key, sealed)?;
    let earlier =
        Earlier { now_ms: parent.now_ms, seed: parent.seed.clone(), order_ref: checkout.order_ref.clone() };
    let opening = Opening {
        kind: AttemptKind::Undo,
        checkout: Some(checkout.id),
        parent: Some(parent.id),
        request: json!({"order_ref": checkout.order_ref}),
        callback: None,
    };
    let (host_in, payment, digest) = (host.clone(), doubtful.payment.clone(), parent.plugin_digest.clone());
    let opened = host.store().transact(move |tx| open(tx, &host_in, &payment, &digest, opening)).await?;
    let Ok(attempt) = opened else {
        return Ok(Found::unknown("another undo is running"));
    };
    let called = run(host, ready, &attempt, &UNDO, |context| (context, order, callback, earlier)).await;
    Ok(judged(attempt, called))
}

fn judged(attempt: Attempt, called: Called<Result<Undone, PluginError>>) -> Found {
    let word = match &called.result {
        Ok(word) => Ok(word.clone()),
        Err(fault) => Err(fault.to_string()),
    };
    use AttemptState as A;
    let (state, result, words) = match judge(called.evidence.writes(), word, |_| true) {
        Verdict::Done(Undone::Reversed) => (A::Succeeded, json!("reversed"), None),
        Verdict::Done(Undone::NothingToUndo) => {
            let words = "the gateway says that there is nothing to undo";
            (A::Succeeded, json!("nothing_to_undo"), Some(words.to_owned()))
        }
        Verdict::Declined(refusal) => {
            (A::Declined, Value::Null, Some(format!("undo refused: {} {}", refusal.code, refusal.message)))
        }
        Verdict::NotSent(why) => (A::Failed, Value::Null, Some(format!("undo not sent: {why:?}"))),
        Verdict::InDoubt(doubt) => (A::InDoubt, Value::Null, Some(format!("undo: {}", doubt.as_str()))),
    };
    let done = Some(Box::new(UndoDone { attempt, called, state, result }));
    match words {
        None => Found::Nothing("undone", done),
        Some(words) => Found::Unknown(words, done),
    }
}

/// T2.
pub fn store(tx: &mut Tx<'_>, host: &Host, ready: &Ready, done: &UndoDone) -> Result<(), Error> {
    journal(tx, host, ready, JournalOf::attempt(&done.attempt), &done.called)?;
    let Some(mut attempt) = mine(tx, &done.attempt)? else { return Ok(()) };
    attempt.state = done.state;
    attempt.outcome = Some(Json::from(json!({
        "undone": done.result, "network": evidence(&done.called.evidence),
    })));
    attempt.updated_us = host.now_us();
    attempts::settle(tx, &attempt)
}
