//! Attempts, facts and the ledger.

use payhost_core::FactKind;
use payhost_core::id::{EventId, PaymentId};
use payhost_store::rows::Mode;
use payhost_store::rows::attempts::{self, Attempt, AttemptKind, AttemptState, Started};
use payhost_store::rows::events::{self, Event};
use payhost_store::rows::facts::{self, FactRow, Recorded};
use payhost_store::rows::ledger::{self, Of};
use payhost_store::{Error, Sealed, Store, Tx, params};

use super::Database;
use super::fixture::{err, ok, world};

async fn start(store: &Store, attempt: &Attempt) -> Started {
    let attempt = attempt.clone();
    ok(store, move |tx| attempts::start(tx, &attempt)).await
}

async fn settle(store: &Store, attempt: &Attempt, state: AttemptState) {
    let attempt = Attempt { state, outcome: Some(Sealed::from_bytes(vec![1])), ..attempt.clone() };
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

pub async fn what_stands_against_an_unopposed_attempt_ends_its_transaction(database: &Database) {
    let store = database.open();
    let world = world(&store).await;
    let (payment, one, two) = world.stored(&store, "1").await;
    let first = world.complete(payment.id, one.id);
    let row = first.clone();
    ok(&store, move |tx| attempts::start_unopposed(tx, &row)).await;
    let other = world.complete(payment.id, two.id);
    assert!(err(&store, move |tx| attempts::start_unopposed(tx, &other)).await.is_unique("attempt_open"));
    settle(&store, &first, AttemptState::Declined).await;
    let again = world.complete(payment.id, one.id);
    let error = err(&store, move |tx| attempts::start_unopposed(tx, &again)).await;
    assert!(error.is_unique("attempt_complete_once"));
    let found = ok(&store, move |tx| attempts::of_payment(tx, world.shop, payment.id)).await;
    assert_eq!(found.len(), 1);
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

/// Writes a ledger line as a bug or a hand would.
fn line(
    tx: &mut Tx<'_>,
    fact: &FactRow,
    (account, against): (&str, &str),
    (payment, amount, currency): (PaymentId, i64, &str),
) -> Result<u64, Error> {
    let sql = "INSERT INTO ledger_entry (shop_id, fact_id, account, against, payment_id, amount, currency, created_us, \
               fact_kind, fact_amount) VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8, $9)";
    let (shop, id, kind, of_fact) = (fact.shop_id, fact.id, fact.kind, fact.amount);
    tx.execute(sql, params![shop, id, account, against, payment, amount, currency, kind, of_fact])
}

/// A fact without lines, which only a bug or a hand can write.
async fn bare_fact(store: &Store, fact: &FactRow) {
    let f = fact.clone();
    ok(store, move |tx| {
        let sql = "INSERT INTO fact (id, shop_id, channel_id, payment_id, kind, gateway_ref, sequence, amount, currency, \
                   at_us, detail, created_us) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, '{}', 0)";
        let (kind, reference) = (f.kind, f.gateway_ref);
        let values =
            params![f.id, f.shop_id, f.channel_id, f.payment_id, kind, reference, f.sequence, f.amount, f.currency];
        tx.execute(sql, values)
    })
    .await;
}

pub async fn a_line_that_its_fact_does_not_demand_is_refused(database: &Database) {
    let store = database.open();
    let world = world(&store).await;
    let (payment, ..) = world.stored(&store, "1").await;
    let (other, ..) = world.stored(&store, "2").await;
    let approved = world.fact(payment.id, FactKind::Approved, 0, 1000);
    let cancelled = world.fact(payment.id, FactKind::Cancelled, 0, 300);
    let issued = world.fact(payment.id, FactKind::Issued, 0, 1000);
    for fact in [&approved, &cancelled, &issued] {
        bare_fact(&store, fact).await;
    }
    let (id, sale, refund) = (payment.id, ("gateway", "sales"), ("gateway", "refunds"));
    let table = [
        (&approved, sale, (id, 999, "KRW")),
        (&approved, sale, (id, -1000, "KRW")),
        (&approved, ("refunds", "gateway"), (id, -1000, "KRW")),
        (&cancelled, refund, (id, 300, "KRW")),
        (&cancelled, ("sales", "gateway"), (id, 300, "KRW")),
        (&issued, sale, (id, 1000, "KRW")),
    ];
    for (fact, accounts, what) in table {
        let fact = fact.clone();
        let error = err(&store, move |tx| line(tx, &fact, accounts, what)).await;
        assert!(error.is_check("ledger_entry_follows_fact"), "{accounts:?} {what:?}: {error:?}");
    }
    // What a line repeats of its fact is what the fact has.
    let (smaller, undone) = (
        FactRow { amount: 999, ..approved.clone() },
        FactRow { kind: FactKind::Cancelled, ..approved.clone() },
    );
    let elsewhere = FactRow { id: issued.id, ..approved.clone() };
    let table = [
        (&approved, sale, (id, 1000, "USD")),
        (&approved, sale, (other.id, 1000, "KRW")),
        (&smaller, sale, (id, 999, "KRW")),
        (&undone, refund, (id, -1000, "KRW")),
        (&elsewhere, sale, (id, 1000, "KRW")),
    ];
    for (fact, accounts, what) in table {
        let fact = fact.clone();
        let error = err(&store, move |tx| line(tx, &fact, accounts, what)).await;
        assert_eq!(error, Error::ForeignKey, "{accounts:?} {what:?}");
    }
    let itself = approved.clone();
    let error = err(&store, move |tx| line(tx, &itself, ("gateway", "gateway"), (id, 1000, "KRW"))).await;
    assert!(error.is_check("ledger_against_gateway"), "{error:?}");
    ok(&store, move |tx| {
        line(tx, &approved, sale, (id, 1000, "KRW"))?;
        line(tx, &approved, ("sales", "gateway"), (id, -1000, "KRW"))?;
        line(tx, &cancelled, refund, (id, -300, "KRW"))?;
        line(tx, &cancelled, ("refunds", "gateway"), (id, 300, "KRW"))
    })
    .await;
}

pub async fn a_line_without_its_other_does_not_commit(database: &Database) {
    let store = database.open();
    let world = world(&store).await;
    let (payment, ..) = world.stored(&store, "1").await;
    let fact = world.fact(payment.id, FactKind::Approved, 0, 1000);
    bare_fact(&store, &fact).await;
    for (accounts, amount) in [(("gateway", "sales"), 1000), (("sales", "gateway"), -1000)] {
        let fact = fact.clone();
        let error = err(&store, move |tx| line(tx, &fact, accounts, (payment.id, amount, "KRW"))).await;
        assert_eq!(error, Error::ForeignKey);
    }
    // One that was undone is no harm to what goes on.
    let undone = store.transact(move |tx| {
        line(tx, &fact, ("gateway", "sales"), (payment.id, 1000, "KRW"))?;
        Err::<(), _>(Error::Busy)
    });
    let other = store.transact(|tx| payhost_store::rows::meta::set(tx, "a", "1"));
    assert_eq!(tokio::join!(undone, other), (Err(Error::Busy), Ok(())));
    assert!(ok(&store, move |tx| ledger::of_payment(tx, world.shop, payment.id)).await.is_empty());
}

pub async fn what_happened_cannot_be_changed_or_removed(database: &Database) {
    let store = database.open();
    let world = world(&store).await;
    let (payment, ..) = world.stored(&store, "1").await;
    let fact = world.fact(payment.id, FactKind::Approved, 0, 1000);
    let (now_ms, random) = super::fixture::fresh();
    let event = Event {
        id: EventId::new(now_ms, random),
        shop_id: world.shop,
        mode: Mode::Test,
        payment_id: Some(payment.id),
        sequence: Some(1),
        name: "payment.paid".to_owned(),
        payload: Sealed::from_bytes(vec![1]),
        created_us: 0,
    };
    ok(&store, move |tx| {
        events::insert(tx, &event)?;
        assert!(facts::record(tx, &fact)?.is_new());
        Ok(())
    })
    .await;
    for table in ["fact", "ledger_entry", "event"] {
        for sql in [format!("UPDATE {table} SET created_us = 1"), format!("DELETE FROM {table}")] {
            let error = err(&store, move |tx| tx.execute(&sql, &[])).await;
            assert!(error.is_check(&format!("{table}_append_only")), "{error:?}");
        }
    }
}
