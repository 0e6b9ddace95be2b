//! Two nodes on one database.

use std::collections::BTreeMap;
use std::sync::mpsc;

use payhost_core::FactKind;
use payhost_store::rows::attempts::{self, Attempt, AttemptKind, AttemptState, Started};
use payhost_store::rows::facts::{self, Recorded};
use payhost_store::rows::idempotency::{self, Begun, Idempotency, IdempotencyState};
use payhost_store::rows::ledger::{self, Of};
use payhost_store::rows::{Mode, jobs, meta, payments};
use payhost_store::{Blob, Error, Options, Store};
use tokio::task::JoinSet;

use crate::suite::fixture::{NOW_US, World, claim_all, err, job, ok, world};
use crate::{database, shared};

async fn two_nodes() -> (Store, Store, World) {
    let database = database();
    let (one, two) = (database.open(), database.open());
    let world = world(&one).await;
    (one, two, world)
}

/// Runs a closure 40 times at once, in turns on both nodes.
async fn at_once<T, F>(one: &Store, two: &Store, make: impl Fn(usize) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: FnOnce(&mut payhost_store::Tx<'_>) -> Result<T, Error> + Send + 'static,
{
    let mut running = JoinSet::new();
    for at in 0..40 {
        let store = if at % 2 == 0 { one.clone() } else { two.clone() };
        let work = make(at);
        running.spawn(async move { store.transact(work).await.unwrap() });
    }
    running.join_all().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_start_together_make_one_schema() {
    let address = shared().database();
    let start = || {
        let options = Options::parse(&address).unwrap();
        tokio::task::spawn_blocking(move || Store::open(options).map(|_| ()))
    };
    let (a, b, c) = tokio::join!(start(), start(), start());
    assert_eq!((a.unwrap(), b.unwrap(), c.unwrap()), (Ok(()), Ok(()), Ok(())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_is_claimed_by_one_node_only() {
    let (one, two, world) = two_nodes().await;
    ok(&one, move |tx| {
        (0..400).try_for_each(|at| jobs::enqueue(tx, &job(world.shop, &at.to_string(), at), 0))
    })
    .await;
    let mut claims = BTreeMap::<String, u32>::new();
    loop {
        let claimed = at_once(&one, &two, |at| {
            move |tx: &mut payhost_store::Tx<'_>| claim_all(tx, 1000, 9000, &format!("token {at}"), 3)
        })
        .await;
        assert!(claimed.iter().all(|jobs| jobs.len() <= 3));
        let before = claims.len();
        for job in claimed.into_iter().flatten() {
            *claims.entry(job.key).or_default() += 1;
        }
        if claims.len() == before {
            break;
        }
    }
    assert_eq!(claims.len(), 400);
    assert!(claims.values().all(|count| *count == 1), "{claims:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_another_node_is_claiming_is_passed_over() {
    let (one, two, world) = two_nodes().await;
    ok(&one, move |tx| (0..2).try_for_each(|at| jobs::enqueue(tx, &job(world.shop, &at.to_string(), at), 0)))
        .await;
    let (claimed, at_work) = mpsc::channel();
    let (go_on, gate) = mpsc::channel::<()>();
    let holding = tokio::spawn(async move {
        one.transact(move |tx| -> Result<_, Error> {
            let jobs = claim_all(tx, 10, 90, "one", 1)?;
            claimed.send(()).unwrap();
            gate.recv().unwrap();
            Ok(jobs)
        })
        .await
    });
    tokio::task::spawn_blocking(move || at_work.recv().unwrap()).await.unwrap();
    let others = ok(&two, |tx| claim_all(tx, 10, 90, "two", 10)).await;
    go_on.send(()).unwrap();
    let first = holding.await.unwrap().unwrap();
    assert_eq!((first.len(), others.len()), (1, 1), "the second node did not wait");
    assert_ne!(first[0].id, others[0].id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idempotency_key_has_one_winner() {
    let (one, two, world) = two_nodes().await;
    // The second round meets an expired row, which all of them remove.
    for round in [0, 100] {
        let begun = at_once(&one, &two, |at| {
            let row = Idempotency {
                shop_id: world.shop,
                mode: Mode::Test,
                key: "k".to_owned(),
                request_hash: Blob(vec![u8::from(at == 7)]),
                state: IdempotencyState::Running,
                status: None,
                body: None,
                payment_id: None,
                created_us: NOW_US + round,
                expires_us: NOW_US + round + 10,
            };
            move |tx: &mut payhost_store::Tx<'_>| idempotency::begin(tx, &row)
        })
        .await;
        assert_eq!(begun.iter().filter(|begun| **begun == Begun::New).count(), 1);
        let known = begun.iter().filter(|begun| matches!(begun, Begun::Known(_))).count();
        assert!(known == 38 || known == 0, "the other request lost, or won against all: {known}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_released_meanwhile_is_free() {
    let (one, two, world) = two_nodes().await;
    let rounds = at_once(&one, &two, |_| {
        let row = Idempotency {
            shop_id: world.shop,
            mode: Mode::Test,
            key: "k".to_owned(),
            request_hash: Blob(vec![1]),
            state: IdempotencyState::Running,
            status: None,
            body: None,
            payment_id: None,
            created_us: NOW_US,
            expires_us: NOW_US + 10,
        };
        move |tx: &mut payhost_store::Tx<'_>| {
            let begun = idempotency::begin(tx, &row)?;
            assert_eq!(begun, Begun::New, "everybody releases it before the commit");
            idempotency::release(tx, row.shop_id, row.mode, &row.key)
        }
    })
    .await;
    assert_eq!(rounds.len(), 40);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_has_one_winner() {
    let (one, two, world) = two_nodes().await;
    let (payment, checkout, _) = world.stored(&one, "1").await;
    let completes = at_once(&one, &two, |_| {
        let attempt = world.complete(payment.id, checkout.id);
        move |tx: &mut payhost_store::Tx<'_>| {
            payments::lock(tx, attempt.shop_id, attempt.payment_id)?;
            attempts::start(tx, &attempt)
        }
    })
    .await;
    let new = completes.iter().filter(|started| **started == Started::New).count();
    let repeated = completes.iter().filter(|started| matches!(started, Started::Repeated(_))).count();
    assert_eq!((new, repeated), (1, 39));
    let open = ok(&one, move |tx| attempts::open_of(tx, world.shop, payment.id)).await.unwrap();
    let settled = Attempt { state: AttemptState::Succeeded, ..open };
    ok(&one, move |tx| attempts::settle(tx, &settled)).await;
    // And without the lock: the indexes suffice.
    let cancels = at_once(&one, &two, |_| {
        let attempt = world.attempt(payment.id, AttemptKind::Cancel);
        move |tx: &mut payhost_store::Tx<'_>| attempts::start(tx, &attempt)
    })
    .await;
    let new = cancels.iter().filter(|started| **started == Started::New).count();
    let blocked = cancels.iter().filter(|started| matches!(started, Started::Blocked(_))).count();
    assert_eq!((new, blocked), (1, 39));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attempts_that_are_settled_at_once_let_the_next_begin() {
    let (one, two, world) = two_nodes().await;
    let (payment, ..) = world.stored(&one, "1").await;
    // Everybody settles in the transaction that starts it, so whoever waited finds the way free and must not be told
    // that it is blocked by nobody.
    let started = at_once(&one, &two, |_| {
        let attempt = world.attempt(payment.id, AttemptKind::Cancel);
        move |tx: &mut payhost_store::Tx<'_>| {
            let started = attempts::start(tx, &attempt)?;
            assert_eq!(started, Started::New);
            attempts::settle(tx, &Attempt { state: AttemptState::Failed, ..attempt })
        }
    })
    .await;
    assert_eq!(started.len(), 40);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fact_told_to_both_nodes_is_one_fact_with_its_lines() {
    let (one, two, world) = two_nodes().await;
    let (payment, ..) = world.stored(&one, "1").await;
    let recorded = at_once(&one, &two, |_| {
        let fact = world.fact(payment.id, FactKind::Approved, 0, 1000);
        move |tx: &mut payhost_store::Tx<'_>| facts::record(tx, &fact)
    })
    .await;
    assert_eq!(recorded.iter().filter(|recorded| recorded.is_new()).count(), 1);
    assert_eq!(recorded.iter().filter(|recorded| matches!(recorded, Recorded::Known(_))).count(), 39);
    let balances = ok(&two, move |tx| ledger::balances(tx, Of::Payment(world.shop, payment.id))).await;
    let amounts: Vec<_> = balances.iter().map(|line| (line.account.as_str(), line.amount)).collect();
    assert_eq!(amounts, [("gateway", 1000), ("sales", -1000)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_is_changed_by_one_after_the_other_under_its_lock() {
    let (one, two, world) = two_nodes().await;
    let (payment, ..) = world.stored(&one, "1").await;
    let before = payment.version;
    at_once(&one, &two, |at| {
        let fact = world.fact(payment.id, FactKind::Deposited, i64::try_from(at).unwrap(), 10);
        move |tx: &mut payhost_store::Tx<'_>| {
            let mut payment = payments::lock(tx, fact.shop_id, fact.payment_id)?.unwrap();
            assert!(facts::record(tx, &fact)?.is_new());
            let facts = facts::of_payment(tx, fact.shop_id, fact.payment_id)?;
            payment.paid = facts.iter().map(|fact| fact.amount).sum();
            payments::save(tx, &mut payment, NOW_US)
        }
    })
    .await;
    let now = ok(&one, move |tx| payments::get(tx, world.shop, payment.id)).await.unwrap();
    assert_eq!((now.paid, now.version), (400, before + 40));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_that_wait_for_each_other_one_is_told_busy() {
    let (one, two, _) = two_nodes().await;
    ok(&one, |tx| ["a", "b"].into_iter().try_for_each(|key| meta::set(tx, key, "0"))).await;
    let (barrier, both) = (std::sync::Arc::new(std::sync::Barrier::new(2)), ["a", "b"]);
    let crossing = |store: &Store, keys: [&'static str; 2]| {
        let (store, barrier) = (store.clone(), barrier.clone());
        tokio::spawn(async move {
            store
                .transact(move |tx| -> Result<(), Error> {
                    meta::set(tx, keys[0], "1")?;
                    barrier.wait();
                    meta::set(tx, keys[1], "1")
                })
                .await
        })
    };
    let (first, second) = (crossing(&one, both), crossing(&two, ["b", "a"]));
    let results = [first.await.unwrap(), second.await.unwrap()];
    assert!(results.contains(&Ok(())) && results.contains(&Err(Error::Busy)), "{results:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_sees_one_state_from_its_first_to_its_last_statement() {
    let (one, two, _) = two_nodes().await;
    let (started, at_work) = mpsc::channel();
    let (go_on, gate) = mpsc::channel::<()>();
    let reading = tokio::spawn(async move {
        one.read(move |tx| -> Result<_, Error> {
            let before = meta::get(tx, "a")?;
            started.send(()).unwrap();
            gate.recv().unwrap();
            Ok((before, meta::get(tx, "a")?))
        })
        .await
    });
    tokio::task::spawn_blocking(move || at_work.recv().unwrap()).await.unwrap();
    ok(&two, |tx| meta::set(tx, "a", "1")).await;
    go_on.send(()).unwrap();
    assert_eq!(reading.await.unwrap(), Ok((None, None)));
}

#[tokio::test]
async fn transactions_are_not_ended_by_statements() {
    let (one, ..) = two_nodes().await;
    for sql in ["COMMIT", " rollback;", "BEGIN", "SAVEPOINT a", "end"] {
        let error = err(&one, move |tx| tx.execute(sql, &[])).await;
        assert!(matches!(error, Error::Statement(_)), "{error:?}");
    }
}
