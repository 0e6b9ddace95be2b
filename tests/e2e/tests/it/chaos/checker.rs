//! The invariants of `reference/payments.md` §6, held against a [`Dump`]. Invariant: it judges by the database's rows and the
//! gateway's ledger alone, never by what the host says of itself.

use std::collections::{BTreeMap, BTreeSet};

use standardwebhooks::Webhook;

use super::dump::{Attempt, Dump, Payment, Sale};
use crate::stage::receiver::Got;

/// Something that must never be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// `I1` …
    pub invariant: &'static str,
    /// What is wrong.
    pub what: String,
}

/// Everything that is wrong with a world at rest.
pub fn check(dump: &Dump) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut of_payment: BTreeMap<&str, Vec<&Sale>> = BTreeMap::new();
    for sale in dump.sales.iter().filter(|sale| sale.approvals > 0) {
        match dump.checkouts.get(&sale.oid) {
            Some(payment) => of_payment.entry(payment).or_default().push(sale),
            None => found.push(violation("I2", format!("nobody here knows the sale {sale:?}"))),
        }
    }
    for payment in &dump.payments {
        let sales = of_payment.get(payment.id.as_str()).map(Vec::as_slice).unwrap_or_default();
        money(payment, sales, &mut found);
        amounts(dump, payment, sales, &mut found);
        audit(dump, payment, &mut found);
    }
    let known: BTreeSet<&str> = dump.payments.iter().map(|payment| payment.id.as_str()).collect();
    for event in dump.events.iter().filter(|event| !known.contains(event.payment.as_str())) {
        found.push(violation("I6", format!("an event of no payment: {event:?}")));
    }
    orders(dump, &of_payment, &mut found);
    books(dump, &mut found);
    keys(dump, &mut found);
    doubts(dump, &mut found);
    calls(dump, &mut found);
    found
}

fn violation(invariant: &'static str, what: String) -> Violation {
    Violation { invariant, what }
}

fn called(payment: &Payment) -> bool {
    payment.resolution == "needs_operator"
}

/// I2 and I3: both sides agree on whether money is held.
fn money(payment: &Payment, sales: &[&Sale], found: &mut Vec<Violation>) {
    let held: i64 = sales.iter().map(|sale| sale.remaining).sum();
    let here = payment.paid - payment.cancelled;
    let shown = ["paid", "partially_cancelled"].contains(&payment.state.as_str());
    if held > 0 && !shown && payment.resolution == "none" {
        found.push(violation("I2", format!("the gateway holds {held} for {payment:?}")));
    }
    if shown && held == 0 && payment.resolution == "none" {
        found.push(violation("I3", format!("the gateway holds nothing for {payment:?}")));
    }
    if shown != (here > 0) {
        found.push(violation("I3", format!("the state does not follow from the sums: {payment:?}")));
    }
}

/// I4: no side has more than the other, and nothing more than was asked for.
fn amounts(dump: &Dump, payment: &Payment, sales: &[&Sale], found: &mut Vec<Violation>) {
    let held: i64 = sales.iter().map(|sale| sale.remaining).sum();
    let wrong = payment.paid > payment.total
        || (payment.cancelled > payment.paid && !called(payment))
        || (payment.resolution == "none" && held != payment.paid - payment.cancelled);
    if wrong {
        found.push(violation("I4", format!("the gateway holds {held}: {payment:?} {sales:?}")));
    }
    let sum = |kinds: [&str; 2]| -> i64 {
        let facts = dump.facts.iter().filter(|fact| fact.payment == payment.id);
        facts.filter(|fact| kinds.contains(&fact.kind.as_str())).map(|fact| fact.amount).sum()
    };
    let facts = (sum(["approved", "deposited"]), sum(["cancelled", "deposit_cancelled"]));
    if facts != (payment.paid, payment.cancelled) {
        found.push(violation("I4", format!("the facts say {facts:?}: {payment:?}")));
    }
    // The sale that pays it: each of its cancels is a fact of its own, once.
    let known = dump.facts.iter().filter(|fact| fact.payment == payment.id && fact.kind == "cancelled");
    let mut known: Vec<i64> = known.map(|fact| fact.amount).collect();
    let kept = sales.iter().filter(|sale| !sale.net_cancelled);
    let mut there: Vec<i64> = kept.flat_map(|sale| sale.cancels.iter().copied()).collect();
    known.sort_unstable();
    there.sort_unstable();
    if payment.resolution == "none" && payment.paid > 0 && known != there {
        found.push(violation("I4", format!("cancels here {known:?}, there {there:?}: {payment:?}")));
    }
}

/// I1: one order is charged once.
fn orders(dump: &Dump, of_payment: &BTreeMap<&str, Vec<&Sale>>, found: &mut Vec<Violation>) {
    let mut by_order: BTreeMap<(&str, &str), (i64, i64)> = BTreeMap::new();
    for payment in &dump.payments {
        let held: i64 = of_payment.get(payment.id.as_str()).into_iter().flatten().map(|s| s.remaining).sum();
        let order = by_order.entry((&payment.shop, &payment.order_id)).or_insert((0, payment.total));
        order.0 += held;
    }
    for ((shop, order), (held, total)) in by_order {
        if held > total {
            found.push(violation("I1", format!("{held} is held for order {order} of {shop}, over {total}")));
        }
    }
    for sale in dump.sales.iter().filter(|sale| sale.approvals > 1) {
        found.push(violation("I1", format!("approved twice: {sale:?}")));
    }
}

/// I5: the books sum to zero, per payment, shop and in all, and say what the payment says.
fn books(dump: &Dump, found: &mut Vec<Violation>) {
    let (mut payments, mut shops) = (BTreeMap::<&str, i64>::new(), BTreeMap::<&str, i64>::new());
    let (mut facts, mut gateway) = (BTreeMap::<&str, i64>::new(), BTreeMap::<&str, i64>::new());
    for entry in &dump.entries {
        *payments.entry(&entry.payment).or_default() += entry.amount;
        *shops.entry(&entry.shop).or_default() += entry.amount;
        *facts.entry(&entry.fact).or_default() += entry.amount;
        if entry.account == "gateway" {
            *gateway.entry(&entry.payment).or_default() += entry.amount;
        }
    }
    for (what, sums) in [("payment", payments), ("shop", shops), ("fact", facts)] {
        for (id, sum) in sums.into_iter().filter(|(_, sum)| *sum != 0) {
            found.push(violation("I5", format!("the ledger of {what} {id} sums to {sum}")));
        }
    }
    for payment in &dump.payments {
        let sum = gateway.get(payment.id.as_str()).copied().unwrap_or(0);
        if sum != payment.paid - payment.cancelled {
            found.push(violation("I5", format!("the ledger holds {sum}: {payment:?}")));
        }
    }
    let entered: BTreeSet<&str> = dump.entries.iter().map(|entry| entry.fact.as_str()).collect();
    let moves = ["approved", "deposited", "cancelled", "deposit_cancelled"];
    for fact in dump.facts.iter().filter(|fact| moves.contains(&fact.kind.as_str()) && fact.amount > 0) {
        if !entered.contains(fact.id.as_str()) {
            found.push(violation("I5", format!("not in the ledger: {fact:?}")));
        }
    }
}

/// I6: every change has its event, without a gap.
fn audit(dump: &Dump, payment: &Payment, found: &mut Vec<Violation>) {
    let events: Vec<_> = dump.events.iter().filter(|event| event.payment == payment.id).collect();
    let gap = events.iter().zip(1..).any(|(event, at)| event.sequence != at);
    if gap || i64::try_from(events.len()).unwrap() != payment.next_event - 1 {
        found.push(violation("I6", format!("{} events: {payment:?}", events.len())));
    }
    let count = |name: &str| events.iter().filter(|event| event.name == name).count();
    let facts =
        |kind: &str| dump.facts.iter().filter(|fact| fact.payment == payment.id && fact.kind == kind).count();
    if count("payment.paid") != facts("approved") + facts("deposited") {
        found.push(violation("I6", format!("{} paid events: {payment:?}", count("payment.paid"))));
    }
    let given_back = count("payment.partially_cancelled") + count("payment.cancelled");
    if given_back != facts("cancelled") {
        found.push(violation("I6", format!("{given_back} cancel events: {payment:?}")));
    }
    let doubted = count("payment.in_doubt") + count("payment.needs_operator");
    if payment.resolution != "none" && doubted == 0 {
        found.push(violation("I6", format!("no event says that it is in doubt: {payment:?}")));
    }
}

/// I7: a key has one effect, and no key waits for ever. The answers are compared by those who asked.
fn keys(dump: &Dump, found: &mut Vec<Violation>) {
    let open: BTreeSet<&str> = dump
        .payments
        .iter()
        .filter(|payment| payment.resolution != "none")
        .map(|payment| payment.id.as_str())
        .collect();
    for key in &dump.keys {
        let of_open = key.payment.as_deref().is_some_and(|payment| open.contains(payment));
        if (key.state == "running" || key.status == Some(202)) && !of_open {
            found.push(violation("I7", format!("a key that is never answered: {key:?}")));
        }
    }
}

/// I10: nothing is in doubt, but for what a person was called for.
fn doubts(dump: &Dump, found: &mut Vec<Violation>) {
    for payment in dump.payments.iter().filter(|payment| payment.resolution == "in_doubt") {
        found.push(violation("I10", format!("still in doubt: {payment:?}")));
    }
    for attempt in &dump.attempts {
        let open = ["intent", "in_doubt"].contains(&attempt.state.as_str()) && attempt.kind != "undo";
        let payment = dump.payments.iter().find(|payment| payment.id == attempt.payment);
        if open && !payment.is_some_and(called) {
            found.push(violation("I10", format!("still open: {attempt:?}")));
        }
    }
}

/// I6, from the receiver's side: every event came to it at least once, signed so that the public library makes the same
/// signature, or its delivery is over as failed, which the shop is told of; a repeat is the same to the byte, and nothing comes
/// that nobody wrote. (The library's own `verify` also looks at the clock, which the harness moves.)
pub fn told(dump: &Dump, got: &[Got], secrets: &[String]) -> Vec<Violation> {
    let mut found = Vec::new();
    let signers: Vec<Webhook> = secrets.iter().map(|secret| Webhook::new(secret).unwrap()).collect();
    let mut bodies: BTreeMap<&str, &str> = BTreeMap::new();
    let written: BTreeSet<&str> = dump.events.iter().map(|event| event.id.as_str()).collect();
    for got in got {
        let at: i64 = got.headers["webhook-timestamp"].parse().unwrap();
        let signed = |signer: &Webhook| signer.sign(got.id(), at, got.body.as_bytes()).unwrap();
        let given = &got.headers["webhook-signature"];
        if !signers.iter().any(|signer| given.split(' ').any(|one| one == signed(signer))) {
            found.push(violation("I6", format!("a wrong signature: {got:?}")));
        }
        if !written.contains(got.id()) {
            found.push(violation("I6", format!("nobody wrote this event: {got:?}")));
        }
        if *bodies.entry(got.id()).or_insert(&got.body) != got.body {
            found.push(violation("I6", format!("a repeat differs: {got:?}")));
        }
    }
    let failed: BTreeSet<&str> = dump
        .deliveries
        .iter()
        .filter(|delivery| delivery.state == "failed")
        .map(|delivery| delivery.event.as_str())
        .collect();
    for event in &dump.events {
        if !bodies.contains_key(event.id.as_str()) && !failed.contains(event.id.as_str()) {
            found.push(violation("I6", format!("nobody was told: {event:?}")));
        }
    }
    found
}

/// I10: a person is called only for what nobody can be asked about (`design.md` "Money", rule 5): an approval at a gateway that
/// does not look up our order numbers, once it cannot be undone any more; or a cancel that the gateway shows once, and which may
/// be the admin's or ours (rule 9). A cancel can always be asked about by the sale's number.
fn calls(dump: &Dump, found: &mut Vec<Violation>) {
    for payment in dump.payments.iter().filter(|payment| called(payment)) {
        let open = |attempt: &&Attempt| {
            attempt.payment == payment.id && ["intent", "in_doubt"].contains(&attempt.state.as_str())
        };
        let kinds: Vec<&str> =
            dump.attempts.iter().filter(open).map(|attempt| attempt.kind.as_str()).collect();
        let approval = kinds.contains(&"complete") && !dump.asked_by_order.contains(&payment.shop);
        let why = dump.calls.get(&payment.id).map_or("nothing", String::as_str);
        let unclear = kinds == ["cancel"] && why == "ambiguous_cancel";
        let unasked = approval && why == "cannot_be_asked";
        if !unclear && !unasked {
            let words = format!("a person was called because of {why}, for {kinds:?}: {payment:?}");
            found.push(violation("I10", words));
        }
    }
}

/// How many payments a person was called for, by reason.
pub fn operator_calls(dump: &Dump) -> String {
    let mut reasons = BTreeMap::<&str, usize>::new();
    for payment in dump.payments.iter().filter(|payment| called(payment)) {
        *reasons.entry(dump.calls.get(&payment.id).map_or("nothing", String::as_str)).or_default() += 1;
    }
    let all: usize = reasons.values().sum();
    let list: Vec<String> = reasons.iter().map(|(why, count)| format!("{count} {why}")).collect();
    if all == 0 { "0 called for".to_owned() } else { format!("{all} called for ({})", list.join(", ")) }
}
