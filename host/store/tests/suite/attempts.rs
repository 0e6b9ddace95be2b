//! Attempts, facts and the ledger.

use payhost_core::FactKind;
use payhost_store::rows::attempts::{self, Attempt, AttemptKind, AttemptState, Started};
use payhost_store::rows::facts::{self, Recorded};
use payhost_store::rows::ledger::{self, Of};
use payhost_store::{Error, Store};
use serde_json::json;

use super::Database;
use super::fixture::{err, json_of, ok, world};

async fn start(store: &Store, attempt: &Attempt) -> Started {
    let attempt = attempt.clone();
    ok(store, move |tx| attempts::start(tx, &attempt)).await
}

async fn settle(store: &Store, attempt: &Attempt, state: AttemptState) {
    let attempt = Attempt { state, outcome: Some(json_of(json!({"at": "end"}))), ..attempt.clone() };
    ok(store, move |tx| attempts::settle(tx, &attempt)).await;
}

pub async fn a_cancel_is_refused_while_a_complete_is_open(database: &Database) {
    let store = database.open();
    let world = world(&store).await;
    let (payment, checkout, _) = world.stored(&store, "1").await;
    let complete = world.complete(payment.id, checkout.id);
    let cancel = world.attempt(payment.id, AttemptKind::Cancel);
    assert_eq!(start(&store, &complete).await, Started::New);
    assert_eq!(start(&store, &cancel).await, Started::Blocked(Box::new(complete.clone())));
    settle(&store, &complete, AttemptState::InDoubt).await;
    assert!(matches!(start(&store, &cancel).await, Started::Blocked(found) if found.id == complete.id));
    settle(&store, &complete, AttemptState::Succeeded).await;
    assert_eq!(start(&store, &cancel).await, Started::New);
    let second = world.attempt(payment.id, AttemptKind::Cancel);
    assert_eq!(start(&store, &second).await, Started::Blocked(Box::new(cancel)));
}

pub async fn two_tabs_cannot_complete_at_once(database: &Database) {
    let store = database.open();
    let world = world(&store).await;
    let (payment, one, two) = world.stored(&store, "1").await;
    let first = world.complete(payment.id, one.id);
    let second = world.complete(payment.id, two.id);
    assert_eq!(start(&store, &first).await, Started::New);
    assert_eq!(start(&store, &second).await, Started::Blocked(Box::new(first.clone())));
    settle(&store, &first, AttemptState::Declined).await;
    assert_eq!(start(&store, &second).await, Started::New);
}

pub async fn a_reload_finds_the_stored_attempt(database: &Database) {
    let store = database.open();
    let world = world(&store).await;
    let (payment, checkout, _) = world.stored(&store, "1").await;
    let first = world.complete(payment.id, checkout.id);
    let reload = world.complete(payment.id, checkout.id);
    assert_eq!(start(&store, &first).await, Started::New);
    assert_eq!(start(&store, &reload).await, Started::Repeated(Box::new(first.clone())));
    for state in [AttemptState::InDoubt, AttemptState::Failed] {
        settle(&store, &first, state).await;
        assert!(
            matches!(start(&store, &reload).await, Started::Repeated(found) if found.id == first.id && found.state == state)
        );
    }
}

pub async fn an_undo_is_possible_while_its_parent_is_in_doubt(database: &Database) {
    let store = database.open();
    let world = world(&store).await;
    let (payment, checkout, _) = world.stored(&store, "1").await;
    let parent = world.complete(payment.id, checkout.id);
    assert_eq!(start(&store, &parent).await, Started::New);
    settle(&store, &parent, AttemptState::InDoubt).await;
    let undo = || Attempt { parent_id: Some(parent.id), ..world.attempt(payment.id, AttemptKind::Undo) };
    let (first, second) = (undo(), undo());
    assert_eq!(start(&store, &first).await, Started::New);
    assert_eq!(start(&store, &second).await, Started::Blocked(Box::new(first.clone())));
    settle(&store, &first, AttemptState::InDoubt).await;
    assert_eq!(start(&store, &second).await, Started::New, "an undo whose answer got lost may be repeated");
    let found = ok(&store, move |tx| attempts::undos_of(tx, world.shop, parent.id)).await;
    assert_eq!(found.iter().map(|undo| undo.id).collect::<Vec<_>>(), [first.id, second.id]);
}

pub async fn a_complete_needs_a_checkout_and_an_undo_a_parent(database: &Database) {
    let store = database.open();
    let world = world(&store).await;
    let (payment, ..) = world.stored(&store, "1").await;
    let table = [
        (AttemptKind::Complete, "attempt_complete_has_checkout"),
        (AttemptKind::Undo, "attempt_undo_has_parent"),
    ];
    for (kind, rule) in table {
        let attempt = world.attempt(payment.id, kind);
        let error = err(&store, move |tx| attempts::start(tx, &attempt)).await;
        assert!(error.is_check(rule), "{error:?}");
    }
}

pub async fn an_attempt_that_was_taken_over_cannot_be_settled_by_its_maker(database: &Database) {
    let store = database.open();
    let world = world(&store).await;
    let (payment, checkout, _) = world.stored(&store, "1").await;
    let made = world.complete(payment.id, checkout.id);
    assert_eq!(start(&store, &made).await, Started::New);
    let key = (world.shop, made.id);
    let until = made.lease_until_us;
    assert!(!ok(&store, move |tx| attempts::take_over(tx, key, "job", until - 1, until + 30)).await);
    assert!(ok(&store, move |tx| attempts::take_over(tx, key, "job", until, until + 30)).await);
    assert!(!ok(&store, move |tx| attempts::take_over(tx, key, "job 2", until, until + 30)).await);
    let late = Attempt { state: AttemptState::Succeeded, ..made.clone() };
    let error = err(&store, move |tx| attempts::settle(tx, &late)).await;
    assert_eq!(error, Error::Stale { what: "attempt" });
    let taken = Attempt { lease_token: "job".to_owned(), ..made };
    settle(&store, &taken, AttemptState::Failed).await;
    let again = Attempt { state: AttemptState::Succeeded, ..taken };
    let error = err(&store, move |tx| attempts::settle(tx, &again)).await;
    assert_eq!(error, Error::Stale { what: "attempt" });
}

pub async fn a_fact_is_recorded_once_with_its_ledger_lines(database: &Database) {
    let store = database.open();
    let world = world(&store).await;
    let (payment, ..) = world.stored(&store, "1").await;
    let fact = world.fact(payment.id, FactKind::Approved, 0, 1000);
    let told_again = world.fact(payment.id, FactKind::Approved, 0, 999);
    ok(&store, move |tx| {
        assert!(facts::record(tx, &fact)?.is_new());
        assert_eq!(facts::record(tx, &told_again)?, Recorded::Known(Box::new(fact.clone())));
        assert!(facts::record(tx, &world.fact(payment.id, FactKind::Issued, 0, 1000))?.is_new());
        assert_eq!(facts::of_payment(tx, world.shop, payment.id)?.len(), 2);
        let lines = ledger::of_payment(tx, world.shop, payment.id)?;
        let lines: Vec<_> = lines.iter().map(|line| (line.account.as_str(), line.amount)).collect();
        assert_eq!(lines, [("gateway", 1000), ("sales", -1000)]);
        Ok(())
    })
    .await;
    let negative = world.fact(payment.id, FactKind::Cancelled, 0, -1);
    let error = err(&store, move |tx| facts::record(tx, &negative)).await;
    assert!(error.is_check("fact_amount_not_negative"), "{error:?}");
}

pub async fn the_ledger_sums_to_zero_everywhere(database: &Database) {
    let store = database.open();
    let (ours, theirs) = (world(&store).await, world(&store).await);
    let (one, ..) = ours.stored(&store, "1").await;
    let (two, ..) = ours.stored(&store, "2").await;
    let (other, ..) = theirs.stored(&store, "1").await;
    ok(&store, move |tx| {
        let told = [
            ours.fact(one.id, FactKind::Approved, 0, 1000),
            ours.fact(one.id, FactKind::Cancelled, 0, 300),
            ours.fact(one.id, FactKind::Cancelled, 1, 200),
            ours.fact(two.id, FactKind::Deposited, 0, 50),
            theirs.fact(other.id, FactKind::Approved, 0, 7),
        ];
        for fact in &told {
            assert!(facts::record(tx, fact)?.is_new());
        }
        let table = [
            (Of::Payment(ours.shop, one.id), 500),
            (Of::Payment(theirs.shop, one.id), 0),
            (Of::Shop(ours.shop), 550),
            (Of::Shop(theirs.shop), 7),
            (Of::All, 557),
        ];
        for (of, held) in table {
            let balances = ledger::balances(tx, of)?;
            assert_eq!(balances.iter().map(|balance| balance.amount).sum::<i64>(), 0, "{of:?}");
            let gateway = balances.iter().find(|balance| balance.account == "gateway");
            assert_eq!(gateway.map_or(0, |balance| balance.amount), held, "{of:?}");
        }
        Ok(())
    })
    .await;
}
