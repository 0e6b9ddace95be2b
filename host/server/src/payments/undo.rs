//! Taking an approval back. Invariant: an undo is an attempt of its own, made with the approval's exact map; its outcome and
//! what follows for its parent are written together, and an undo that succeeded is never forgotten. That nothing is held is never
//! concluded from a refusal, or from "nothing to undo", while the gateway shows that it holds something.

use payhost_engine::Called;
use payhost_engine::contract::money::{Attempt as Approval, UNDO, Undone};
use payhost_engine::contract::types::{Callback, Order, PluginError};
use payhost_store::rows::attempts::{self, Attempt, AttemptKind, AttemptState};
use payhost_store::rows::checkouts::Checkout;
use payhost_store::{Error, Tx};
use serde_json::{Value, json};

use super::attempt::{
    JournalOf, LEASE_US, Opening, Requested, ended, evidence, journal, locked, mine, open, outcome, run,
};
use super::resolve::{Doubtful, Found, Heard, Step, Why};
use super::verdict::{NotSent, Verdict, judge, word};
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

/// What earlier undos of an attempt came to.
#[derive(Debug, Clone, Copy, Default)]
pub struct Earlier {
    /// One took the approval back.
    pub reversed: bool,
    /// One was answered that it did not.
    pub answered: bool,
    /// When the last one was sent whose answer is not known, in milliseconds: it may be on its way.
    pub last_ms: Option<i64>,
}

/// Looks at the earlier undos of an attempt. One whose maker died is in doubt itself.
pub async fn earlier(host: &Host, parent: &Attempt) -> Result<Earlier, Problem> {
    let (shop, id) = (parent.shop_id, parent.id);
    let (now_us, token) = (host.now_us(), hex(&random::<16>()));
    let key = host.shop_key(shop).await?;
    let found = host.store().transact(move |tx| {
        let mut found = Earlier::default();
        for mut undo in attempts::undos_of(tx, shop, id)? {
            let free = undo.state == AttemptState::Intent && undo.lease_until_us <= now_us;
            if free
                && attempts::take_over(tx, (shop, undo.id), &token, now_us, now_us.saturating_add(LEASE_US))?
            {
                undo.lease_token.clone_from(&token);
                undo.state = AttemptState::InDoubt;
                undo.updated_us = now_us;
                attempts::settle(tx, &undo)?;
            }
            let outcome = outcome(&key, &undo)?;
            let reversed = outcome.get("undone") == Some(&json!("reversed"));
            match undo.state {
                AttemptState::Succeeded => {
                    found.reversed |= reversed;
                    found.answered |= !reversed;
                }
                AttemptState::Declined => found.answered = true,
                AttemptState::Failed => {}
                AttemptState::Intent | AttemptState::InDoubt => {
                    found.last_ms = found.last_ms.max(Some(undo.now_ms));
                }
            }
        }
        Ok::<_, Error>(found)
    });
    Ok(found.await?)
}

/// What was known of a sale when its undo was sent.
#[derive(Debug, Clone, Copy, Default)]
pub struct Before {
    /// An earlier undo was sent, and its answer is not known.
    pub unanswered: bool,
    /// The gateway was asked just before, and showed that it holds the sale or a part of it.
    pub held: bool,
}

/// T1 and the plugin; [`store`] is T2, together with the parent's.
pub async fn undo(
    host: &Host,
    ready: &Ready,
    doubtful: &Doubtful,
    checkout: &Checkout,
    before: Before,
) -> Result<Step, Problem> {
    let parent = &doubtful.attempt;
    let order: Order = Place::Order(checkout.id).open_json(&ready.key, &checkout.order_json)?;
    let Some(sealed) = &parent.callback else {
        let found = Found::Unknowable(Why::Incomplete, "the attempt has no callback".to_owned());
        return Ok(Step::new(found, Heard::NotAsked));
    };
    let callback: Callback = Place::Callback(checkout.id).open_json(&ready.key, sealed)?;
    let earlier =
        Approval { now_ms: parent.now_ms, seed: parent.seed.clone(), order_ref: checkout.order_ref.clone() };
    let opening = Opening {
        kind: AttemptKind::Undo,
        checkout: Some(checkout.id),
        parent: Some(parent.id),
        request: Requested::of(&json!({"order_ref": checkout.order_ref}))?,
        callback: None,
    };
    let (host_in, ready_in, payment) = (host.clone(), ready.clone(), doubtful.payment.clone());
    let of = parent.clone();
    let opened = host.store().transact(move |tx| {
        // Its maker or a person may have ended the doubt while the gateway was asked: then nothing may be taken back.
        locked(tx, of.shop_id, of.payment_id)?;
        if mine(tx, &of)?.is_none() {
            return Ok(None);
        }
        open(tx, &host_in, &payment, &ready_in, opening).map(Some)
    });
    let opened: Result<_, Error> = opened.await;
    let Some(Ok(attempt)) = opened? else {
        return Ok(Step::new(
            Found::Unknown("another undo is running, or the doubt is over".to_owned()),
            Heard::NotAsked,
        ));
    };
    let called = run(host, ready, &attempt, &UNDO, |context| (context, order, callback, earlier)).await;
    let settled_ms = parent.now_ms.saturating_add(ready.settles_within_ms());
    let verdict = judge(called.evidence.writes(), word(&called.result), |_| true);
    let (state, result, (found, heard)) = judged(verdict, before, host.now_ms() > settled_ms);
    let undo = Some(Box::new(UndoDone { attempt, called, state, result }));
    Ok(Step { undo, ..Step::new(found, heard) })
}

/// What became of the undo, in a word for its row, and what follows for the approval. `settled`: that cannot be on its way any
/// more, so that "nothing to undo" is final.
fn judged(verdict: Verdict<Undone>, before: Before, settled: bool) -> (AttemptState, Value, (Found, Heard)) {
    use AttemptState as A;
    let unknown = |words: String, heard| (Found::Unknown(words), heard);
    match verdict {
        Verdict::Done(Undone::Reversed) => {
            (A::Succeeded, json!("reversed"), (Found::Nothing("undone"), Heard::Answer))
        }
        Verdict::Done(Undone::NothingToUndo) if settled && !before.held => {
            (A::Succeeded, json!("nothing_to_undo"), (Found::Nothing("not_made"), Heard::Answer))
        }
        Verdict::Done(Undone::NothingToUndo) => {
            let words = "the gateway says that there is nothing to undo yet".to_owned();
            (A::Succeeded, json!("nothing_to_undo"), unknown(words, Heard::Answer))
        }
        // A sale that was cancelled before holds nothing and cannot come back: by the undo whose answer was lost, where there was
        // one, else by somebody at the gateway. Where the gateway showed something else a moment ago, it is asked again: a plugin
        // may have the class from a code that speaks of a part.
        Verdict::Declined(refusal) if refusal.class == "already_cancelled" && !before.held => {
            let reason = if before.unanswered { "undone" } else { "cancelled_at_gateway" };
            (A::Declined, json!("already_cancelled"), (Found::Nothing(reason), Heard::Answer))
        }
        Verdict::Declined(refusal) => {
            let words = format!("undo refused: {} {}", refusal.code, refusal.message);
            (A::Declined, Value::Null, unknown(words, Heard::Answer))
        }
        Verdict::NotSent(why) => {
            let heard = if why == NotSent::Unreachable { Heard::Silence } else { Heard::NotAsked };
            (A::Failed, Value::Null, unknown(format!("undo not sent: {why:?}"), heard))
        }
        Verdict::InDoubt(doubt) => {
            (A::InDoubt, Value::Null, unknown(format!("undo: {}", doubt.as_str()), Heard::Silence))
        }
    }
}

/// T2.
pub fn store(tx: &mut Tx<'_>, host: &Host, ready: &Ready, done: &UndoDone) -> Result<(), Error> {
    journal(tx, host, ready, JournalOf::attempt(&done.attempt), &done.called)?;
    let Some(mut attempt) = mine(tx, &done.attempt)? else { return Ok(()) };
    let outcome = json!({"undone": done.result, "network": evidence(&done.called.evidence)});
    ended(tx, host, &mut attempt, done.state, &outcome)
}

#[cfg(test)]
mod tests {
    use payhost_engine::WriteEvidence;
    use payhost_engine::contract::types::{Refusal, Text};

    use super::*;

    type Said = Result<Undone, PluginError>;

    fn refused(class: &str) -> Said {
        let explanation = Text { ko: "거절".into(), en: "no".into() };
        let (code, message) = ("500626".to_owned(), "no".to_owned());
        Err(PluginError::Gateway(Refusal { code, message, class: class.to_owned(), explanation }))
    }

    /// Why nothing is held; none: that is not known.
    fn ended(said: Said, before: Before, settled: bool) -> Option<&'static str> {
        let verdict = judge(WriteEvidence::Answered, Ok(said), |_| true);
        let (_, _, (found, heard)) = judged(verdict, before, settled);
        assert_eq!(heard, Heard::Answer);
        let Found::Nothing(reason) = found else { return None };
        Some(reason)
    }

    #[test]
    fn an_undo_ends_a_doubt_only_where_the_gateway_shows_nothing_else() {
        // What was said, whether the approval is settled; without an inquiry, after an unanswered undo, and while it shows money.
        let table = [
            (Ok(Undone::Reversed), false, [Some("undone"), Some("undone"), Some("undone")]),
            (Ok(Undone::NothingToUndo), false, [None; 3]),
            (Ok(Undone::NothingToUndo), true, [Some("not_made"), Some("not_made"), None]),
            (refused("already_cancelled"), false, [Some("cancelled_at_gateway"), Some("undone"), None]),
            (refused("already_cancelled"), true, [Some("cancelled_at_gateway"), Some("undone"), None]),
            (refused("duplicate"), true, [None; 3]),
            (refused("other"), true, [None; 3]),
        ];
        for (said, settled, expected) in table {
            let cases = [(false, false), (true, false), (true, true)];
            for ((unanswered, held), expected) in cases.into_iter().zip(expected) {
                let before = Before { unanswered, held };
                assert_eq!(ended(said.clone(), before, settled), expected, "{said:?} {before:?} {settled}");
            }
            if expected[0].is_some_and(|reason| reason != "undone") {
                assert_eq!(ended(said, Before { unanswered: false, held: true }, settled), None);
            }
        }
    }
}
