//! The cancels that a gateway shows of a sale, held against the facts and attempts of its payment. Invariant: what others
//! gave back is taken over cancel by cancel, each once and with its own event, and it is decided under the payment's lock,
//! from the facts of that moment (`design.md` "Money", rule 9). The rules are [`payhost_core::cancels`].

use payhost_core::cancels::{Explained, Known, Less, Sale as Seen, Shown, Tried, explain};
use payhost_core::{FactKind, Money};
use payhost_engine::contract::money::{Sale, SaleState};
use payhost_store::rows::attempts::{self, Attempt, AttemptKind, AttemptState};
use payhost_store::rows::facts::FactRow;
use payhost_store::rows::payments::Payment;
use payhost_store::{Error, Tx};
use serde_json::{Value, json};

use super::attempt::{LEASE_US, outcome, requested};
use super::cancel::CancelAsked;
use super::settle::{Change, NewFact, Written, next_sequence};
use crate::channels::ready::Ready;
use crate::host::Host;

/// A cancel that was asked for, as its moments are compared; `settles_after_ms`: so long its request may be on its way.
pub fn tried(attempt: &Attempt, asked: &CancelAsked, settles_after_ms: i64) -> Tried {
    moments(asked.amount, attempt.now_ms, attempt.updated_us / 1000, settles_after_ms)
}

/// The moments of a cancel that was written down at `began_ms` and changed at `changed_ms`.
fn moments(amount: i64, began_ms: i64, changed_ms: i64, settles_after_ms: i64) -> Tried {
    // Nobody waits for an answer after the lease, whoever wrote the row since; and until then it may be sent and answered, however
    // fast the gateway is said to be.
    let longest_ms = began_ms.saturating_add(LEASE_US / 1000);
    Tried {
        amount,
        began_ms,
        ended_ms: changed_ms.clamp(began_ms, longest_ms),
        settles_ms: began_ms.saturating_add(settles_after_ms).max(longest_ms),
    }
}

/// What explains the gateway's answer to an inquiry that was made at `asked_ms`. `Err`: it does not agree with what is known.
pub fn explained(
    total: i64,
    facts: &[FactRow],
    tried: Option<&Tried>,
    sale: &Sale,
    asked_ms: i64,
) -> Result<Explained, String> {
    let known: Vec<Known> = facts.iter().filter(|fact| fact.kind == FactKind::Cancelled).map(known).collect();
    let listed: Vec<Shown> = sale
        .cancels
        .iter()
        .map(|cancel| Shown {
            number: cancel.gateway_ref.clone(),
            amount: cancel.amount.minor,
            at_ms: cancel.at_ms,
        })
        .collect();
    let given_back = given_back(total, facts, sale)?;
    let seen = Seen { given_back, listed: &listed };
    explain(&known, tried, seen, asked_ms).map_err(|less: Less| less.to_string())
}

fn known(fact: &FactRow) -> Known {
    let detail: Value = fact.detail.to().unwrap_or_default();
    let number = detail.get("cancel_ref").and_then(Value::as_str).map(ToOwned::to_owned);
    Known { number, amount: fact.amount, at_ms: fact.at_us / 1000 }
}

/// Whether a cancel is known by the gateway's number.
pub fn is_known(facts: &[FactRow], number: &str) -> bool {
    let cancels = facts.iter().filter(|fact| fact.kind == FactKind::Cancelled);
    cancels.map(known).any(|known| known.number.as_deref() == Some(number))
}

/// All that was given back at the gateway. What was taken is at most the total: what was paid in above it is no part of the
/// sale; and a deposit may be of less.
fn given_back(total: i64, facts: &[FactRow], sale: &Sale) -> Result<i64, String> {
    let sum = |kind: FactKind| -> i64 {
        let amounts = facts.iter().filter(|fact| fact.kind == kind).map(|fact| fact.amount);
        amounts.fold(0, i64::saturating_add)
    };
    let taken = sum(FactKind::Approved).saturating_add(sum(FactKind::Deposited));
    let taken = taken.saturating_sub(sum(FactKind::DepositCancelled)).clamp(0, total);
    let listed = sale
        .cancels
        .iter()
        .map(|cancel| cancel.amount.minor)
        .fold(0, |sum: i64, minor| sum.saturating_add(minor));
    let there = match sale.state {
        SaleState::Paid => 0,
        SaleState::PartiallyCancelled => {
            sale.cancellable.as_ref().map_or(listed, |left| taken.saturating_sub(left.minor))
        }
        SaleState::Cancelled => taken,
        // Of less than the total was paid in, or the bank took it back: the list alone says what the shop gave back.
        SaleState::AwaitingDeposit => listed.max(sum(FactKind::Cancelled)),
    };
    if (0..=total).contains(&there) {
        return Ok(there);
    }
    let left = sale.cancellable.as_ref().map_or(0, |left| left.minor);
    Err(format!("{taken} was taken as far as is known, and the gateway says that {left} is left"))
}

/// Writes cancels that others made; each is a change of its own, so that each has its event.
pub fn take_over(
    tx: &mut Tx<'_>,
    host: &Host,
    ready: Option<&Ready>,
    mut payment: Payment,
    others: &[Shown],
) -> Result<Payment, Error> {
    if others.is_empty() {
        return Ok(payment);
    }
    let unmade = unmade(tx, host, &payment, ready)?;
    for other in others {
        let mut change = Change::begin(host, payment, ready);
        let new = NewFact {
            kind: FactKind::Cancelled,
            amount: Money::new(other.amount, change.payment.currency),
            gateway_ref: change.payment.gateway_ref.clone().unwrap_or_default(),
            sequence: next_sequence(tx, &change.payment, FactKind::Cancelled)?,
            at_ms: other.at_ms.unwrap_or(host.now_ms()),
            detail: json!({"cancel_ref": other.number, "reason": "made at the gateway"}),
        };
        if change.fact(tx, None, new)? == Written::New {
            change.event("payment.changed_at_gateway", json!({"cancelled": other.amount}));
        }
        if let Some((attempt, _)) = unmade.iter().find(|(_, tried)| tried.made_after_all(other)) {
            tracing::error!(%attempt, payment = %change.payment.id, "a cancel was made that was told to be not made");
            change.event("payment.alarm", json!({"attempt": attempt, "finding": "made_after_all"}));
        }
        payment = change.write(tx)?;
    }
    Ok(payment)
}

/// Cancels that were in doubt and of which was told that they were not made.
fn unmade(
    tx: &mut Tx<'_>,
    host: &Host,
    payment: &Payment,
    ready: Option<&Ready>,
) -> Result<Vec<(payhost_core::id::AttemptId, Tried)>, Error> {
    let settles_after_ms = ready.map_or(0, Ready::settles_within_ms);
    let rows = attempts::of_payment(tx, payment.shop_id, payment.id)?;
    let failed =
        |attempt: &&Attempt| attempt.kind == AttemptKind::Cancel && attempt.state == AttemptState::Failed;
    let key = host.vault().key_of(tx, payment.shop_id)?;
    let mut unmade = Vec::new();
    for attempt in rows.iter().filter(failed) {
        if outcome(&key, attempt)?.pointer("/result/reason") == Some(&json!("not_made")) {
            let asked: CancelAsked = requested(tx, host, attempt)?;
            unmade.push((attempt.id, tried(attempt, &asked, settles_after_ms)));
        }
    }
    Ok(unmade)
}

#[cfg(test)]
mod tests {
    use payhost_core::cancels::Ours;

    use super::*;

    const BEGAN_MS: i64 = 1_000_000_000;

    /// What a cancel of 500 comes to whose answer was lost after `lost_ms`, at a gateway that is said to be done after ten seconds,
    /// when it is asked after `asked_ms` and shows one that it made after `made_ms`.
    fn ours(lost_ms: i64, made_ms: Option<i64>, asked_ms: i64) -> Option<Ours> {
        let tried = moments(500, BEGAN_MS, BEGAN_MS + lost_ms, 10_000);
        let shown = |ms: i64| Shown { number: None, amount: 500, at_ms: Some(BEGAN_MS + ms) };
        let listed: Vec<Shown> = made_ms.map(shown).into_iter().collect();
        let given_back = listed.iter().map(|shown| shown.amount).sum();
        let found = explain(&[], Some(&tried), Seen { given_back, listed: &listed }, BEGAN_MS + asked_ms);
        let found = found.unwrap();
        assert_eq!(found.others, []);
        found.ours
    }

    #[test]
    fn a_cancel_is_never_not_made_or_another_s_while_it_may_be_sent_or_answered() {
        assert!(matches!(ours(14_000, Some(14_000), 16_000), Some(Ours::Made(_))));
        assert!(matches!(ours(28_000, Some(27_000), 60_000), Some(Ours::Made(_))));
        for asked_ms in [11_000, 30_000] {
            assert!(matches!(ours(50, None, asked_ms), Some(Ours::NotYet(_))), "{asked_ms}");
        }
        assert_eq!(ours(50, None, 30_001), Some(Ours::NotMade));
    }
}
