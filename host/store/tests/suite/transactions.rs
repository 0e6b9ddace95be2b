//! What a transaction promises.

use std::sync::mpsc;

use payhost_store::rows::meta;
use payhost_store::{Error, Store, Tx, params};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::Database;
use super::fixture::{err, ok};

async fn has(store: &Store, key: &'static str) -> bool {
    store.read(move |tx| meta::get(tx, key)).await.unwrap().is_some()
}

fn put(key: &'static str) -> impl FnOnce(&mut Tx<'_>) -> Result<(), Error> + Send + 'static {
    move |tx| meta::set(tx, key, "1")
}

pub async fn what_was_acknowledged_is_there_after_reopening(database: &Database) {
    let store = database.open();
    ok(&store, put("a")).await;
    store.close().await;
    drop(store);
    assert!(has(&database.open(), "a").await);
}

pub async fn a_failing_closure_does_not_disturb_its_neighbours(database: &Database) {
    let store = database.open();
    let failing = store.transact(|tx| {
        meta::set(tx, "b", "1")?;
        Err::<(), _>(Error::Closed)
    });
    let wrong = store.transact(|tx| tx.execute("NOT SQL", &[]));
    let (a, b, w, c) = tokio::join!(store.transact(put("a")), failing, wrong, store.transact(put("c")));
    assert_eq!((a, b, c), (Ok(()), Err(Error::Closed), Ok(())));
    assert!(matches!(w, Err(Error::Statement(_))));
    assert!(has(&store, "a").await && !has(&store, "b").await && has(&store, "c").await);
}

pub async fn a_panic_rolls_back_its_own_closure_only(database: &Database) {
    let store = database.open();
    let panicking = store.transact(|tx| -> Result<(), Error> {
        meta::set(tx, "b", "1")?;
        panic!("on purpose")
    });
    let (a, b, c) = tokio::join!(store.transact(put("a")), panicking, store.transact(put("c")));
    assert_eq!((a, b, c), (Ok(()), Err(Error::Panicked("on purpose".to_owned())), Ok(())));
    assert!(has(&store, "a").await && !has(&store, "b").await && has(&store, "c").await);
}

pub async fn any_mix_of_closures_keeps_exactly_those_that_succeeded(database: &Database) {
    #[derive(Debug, Clone, Copy, PartialEq)]
    enum End {
        Good,
        Error,
        Statement,
        Panic,
    }
    let store = database.open();
    let runtime = tokio::runtime::Handle::current();
    let end = prop_oneof![Just(End::Good), Just(End::Error), Just(End::Statement), Just(End::Panic)];
    let strategy = prop::collection::vec(end, 1..80);
    let run = move |ends: Vec<End>| {
        runtime.block_on(async {
            ok(&store, |tx| tx.execute("DELETE FROM meta", &[])).await;
            let mut waiting = tokio::task::JoinSet::new();
            for (at, end) in ends.iter().copied().enumerate() {
                let store = store.clone();
                waiting.spawn(async move {
                    let result: Result<(), Error> = store
                        .transact(move |tx| {
                            meta::set(tx, &at.to_string(), "1")?;
                            match end {
                                End::Good => Ok(()),
                                End::Error => Err(Error::Busy),
                                End::Statement => {
                                    tx.execute("INSERT INTO meta (key) VALUES ('x')", &[]).map(|_| ())
                                }
                                End::Panic => std::panic::resume_unwind(Box::new("quietly")),
                            }
                        })
                        .await;
                    assert_eq!(result.is_ok(), end == End::Good);
                });
            }
            while let Some(done) = waiting.join_next().await {
                done.unwrap();
            }
            let mut kept: Vec<usize> = store
                .read(|tx| tx.query("SELECT key FROM meta", &[], |row| row.get::<String>(0)))
                .await
                .unwrap()
                .iter()
                .map(|key| key.parse().unwrap())
                .collect();
            kept.sort_unstable();
            let good: Vec<usize> =
                ends.iter().enumerate().filter(|(_, end)| **end == End::Good).map(|(at, _)| at).collect();
            assert_eq!(kept, good);
        });
        Ok(())
    };
    let config = ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() };
    tokio::task::spawn_blocking(move || TestRunner::new(config).run(&strategy, run).unwrap()).await.unwrap();
}

pub async fn an_error_that_is_swallowed_still_rolls_back(database: &Database) {
    let store = database.open();
    let error = err(&store, |tx| {
        meta::set(tx, "a", "1")?;
        let _ = tx.execute("INSERT INTO meta (key, value) VALUES ('a', '2')", &[]);
        Ok(())
    })
    .await;
    assert_eq!(error, Error::Aborted);
    assert!(!has(&store, "a").await);
}

const TAKEN: &str = "INSERT INTO meta (key, value) VALUES ('a', '2')";
const GIVE: &str = "INSERT INTO meta (key, value) VALUES ($1, '1')";

pub async fn an_error_that_comes_late_is_told_and_nothing_is_kept(database: &Database) {
    let store = database.open();
    ok(&store, put("a")).await;
    // At the end, at the next statement, behind others that are right, and by a value that does not fit.
    let at_the_end = err(&store, |tx| {
        meta::set(tx, "b", "1")?;
        tx.execute_later(TAKEN, &[])
    })
    .await;
    let as_the_only_one = err(&store, |tx| tx.execute_later(TAKEN, &[])).await;
    let at_the_next = err(&store, |tx| {
        tx.execute_later(GIVE, params!["b"])?;
        tx.execute_later(TAKEN, &[])?;
        tx.execute_later(GIVE, params!["c"])?;
        meta::get(tx, "a").map(|_| ())
    })
    .await;
    for error in [at_the_end, as_the_only_one, at_the_next] {
        assert!(error.is_unique("meta_pkey"), "{error:?}");
    }
    let swallowed = err(&store, |tx| {
        tx.execute_later(GIVE, params!["b"])?;
        let _ = tx.execute_later(TAKEN, &[]);
        let _ = meta::get(tx, "a");
        Ok(())
    })
    .await;
    assert!(swallowed == Error::Aborted || swallowed.is_unique("meta_pkey"), "{swallowed:?}");
    let misfit = err(&store, |tx| {
        tx.execute_later(GIVE, params!["b"])?;
        tx.execute_later(GIVE, params!["c", "d"])
    })
    .await;
    assert!(matches!(misfit, Error::Statement(_)), "{misfit:?}");
    assert!(!has(&store, "b").await && !has(&store, "c").await);
    ok(&store, |tx| tx.execute_later(GIVE, params!["b"])).await;
    assert!(has(&store, "b").await);
}

pub async fn a_change_that_must_hit_one_row_is_refused_when_it_does_not(database: &Database) {
    let store = database.open();
    let change = "UPDATE meta SET value = '2' WHERE key = $1";
    let stale = || Error::Stale { what: "meta" };
    ok(&store, put("a")).await;
    for last in [true, false] {
        let error = err(&store, move |tx| {
            meta::set(tx, "b", "1")?;
            tx.change_one_later(change, params!["nobody"], stale())?;
            if !last {
                tx.execute_later(GIVE, params!["c"])?;
                meta::get(tx, "a")?;
            }
            Ok(())
        })
        .await;
        assert_eq!(error, stale(), "{last}");
    }
    assert!(!has(&store, "b").await && !has(&store, "c").await);
    ok(&store, move |tx| tx.change_one_later(change, params!["a"], stale())).await;
    assert_eq!(store.read(|tx| meta::get(tx, "a")).await.unwrap().as_deref(), Some("2"));
}

pub async fn rows_that_were_asked_for_come_in_any_order(database: &Database) {
    let store = database.open();
    let found = ok(&store, |tx| {
        let ask = |tx: &mut Tx<'_>, key: &str| {
            tx.query_later("SELECT key FROM meta WHERE key >= $1 ORDER BY key", params![key], |row| {
                row.get::<String>(0)
            })
        };
        let before = ask(tx, "a")?;
        for key in ["a", "b", "c"] {
            tx.execute_later(GIVE, params![key])?;
        }
        let (all, last, none) = (ask(tx, "a")?, ask(tx, "c")?, ask(tx, "d")?);
        let none = none.first(tx)?;
        meta::set(tx, "d", "1")?;
        Ok((last.first(tx)?, all.all(tx)?, none, before.first(tx)?))
    })
    .await;
    let all = ["a", "b", "c"].map(ToOwned::to_owned).to_vec();
    assert_eq!(found, (Some("c".to_owned()), all, None, None));
}

pub async fn a_read_cannot_write(database: &Database) {
    let store = database.open();
    let error = store.read(put("a")).await.unwrap_err();
    assert_eq!(error, Error::ReadOnly);
    // Also one whose answer nobody waits for.
    let error = store.read(|tx| tx.execute_later(GIVE, params!["a"])).await.unwrap_err();
    assert_eq!(error, Error::ReadOnly);
    assert!(!has(&store, "a").await);
}

pub async fn a_panic_in_a_read_is_an_error(database: &Database) {
    let store = database.open();
    let result: Result<(), Error> = store.read(|_| panic!("on purpose")).await;
    assert_eq!(result, Err(Error::Panicked("on purpose".to_owned())));
    assert!(!has(&store, "a").await);
}

pub async fn a_closed_store_says_so(database: &Database) {
    let store = database.open();
    let other = store.clone();
    store.close().await;
    store.close().await;
    assert_eq!(other.transact(put("a")).await, Err(Error::Closed));
    assert_eq!(other.read(put("a")).await, Err(Error::Closed));
}

pub async fn closing_finishes_what_was_handed_in(database: &Database) {
    let store = database.open();
    let (a, b, ()) = tokio::join!(biased; store.transact(put("a")), store.transact(put("b")), store.close());
    assert_eq!((a, b), (Ok(()), Ok(())));
    drop(store);
    let again = database.open();
    assert!(has(&again, "a").await && has(&again, "b").await);
}

pub async fn a_closure_runs_though_its_caller_went_away(database: &Database) {
    let store = database.open();
    let (started, at_work) = mpsc::channel();
    let (go_on, gate) = mpsc::channel();
    let caller = tokio::spawn({
        let store = store.clone();
        async move {
            store
                .transact(move |tx| -> Result<(), Error> {
                    started.send(()).unwrap();
                    gate.recv().unwrap();
                    meta::set(tx, "a", "1")
                })
                .await
        }
    });
    tokio::task::spawn_blocking(move || at_work.recv().unwrap()).await.unwrap();
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    go_on.send(()).unwrap();
    store.close().await;
    assert!(has(&database.open(), "a").await);
}

pub async fn text_holds_no_nul(database: &Database) {
    let store = database.open();
    let error = err(&store, |tx| meta::set(tx, "a", "1\0")).await;
    assert!(error.is_check("text_without_nul"), "{error:?}");
    ok(&store, |tx| meta::set(tx, "a", "한글 \u{1f4d6}")).await;
    assert_eq!(ok(&store, |tx| meta::get(tx, "a")).await.unwrap(), "한글 \u{1f4d6}");
}
