//! What breaks: connections, the server, the answer of a commit.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use payhost_store::rows::meta;
use payhost_store::{Error, Options, Store, params};
use tokio::task::{JoinHandle, JoinSet};

use crate::proxy::{At, Cut, Proxy};
use crate::suite::fixture::{err, ok};
use crate::{database, database_of, rests, shared};
use own_postgres::{SAFE, Server};

async fn has(store: &Store, key: &str) -> bool {
    let key = key.to_owned();
    store.read(move |tx| meta::get(tx, &key)).await.unwrap().is_some()
}

const CUT_ALL: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                       WHERE datname = current_database() AND pid <> pg_backend_pid()";

fn name_of(tx: &mut payhost_store::Tx<'_>) -> Result<String, Error> {
    tx.query_one("SELECT current_database()::text", &[], |row| row.get(0))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_were_cut_while_idle_are_replaced_unnoticed() {
    let store = database().open();
    let name = ok(&store, name_of).await;
    for round in 0..3 {
        shared().sql(&name, CUT_ALL);
        let key = round.to_string();
        ok(&store, move |tx| meta::set(tx, &key, "1")).await;
        shared().sql(&name, CUT_ALL);
        assert!(has(&store, &round.to_string()).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_cut_in_a_transaction_leaves_nothing_and_says_so() {
    let store = database().open();
    let error = err(&store, |tx| {
        let name = name_of(tx)?;
        meta::set(tx, "a", "1")?;
        shared().sql(&name, CUT_ALL);
        meta::set(tx, "b", "1")
    })
    .await;
    assert!(matches!(error, Error::Lost(_)), "{error:?}");
    let swallowed = err(&store, |tx| {
        let name = name_of(tx)?;
        shared().sql(&name, CUT_ALL);
        let _ = meta::set(tx, "a", "1");
        let _ = meta::set(tx, "b", "1");
        Ok(())
    })
    .await;
    assert_eq!(swallowed, Error::Aborted);
    assert!(!has(&store, "a").await && !has(&store, "b").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_ends_however_closures_take_turns() {
    let database = database();
    for _ in 0..50 {
        let store = database.open();
        let writes = (0..4).map(|at| {
            let store = store.clone();
            tokio::spawn(async move { store.transact(move |tx| meta::set(tx, &at.to_string(), "1")).await })
        });
        let writes: Vec<_> = writes.collect();
        let closing = tokio::time::timeout(std::time::Duration::from_secs(60), store.close());
        assert!(closing.await.is_ok(), "it waits for something else");
        for write in writes {
            assert!(matches!(write.await.unwrap(), Ok(()) | Err(Error::Closed)));
        }
    }
}

/// Writes keys until told to stop; answers those that were acknowledged, refused, and left open.
async fn write(
    store: Store,
    writer: usize,
    acked: Arc<AtomicUsize>,
    enough: Arc<AtomicBool>,
) -> Vec<(String, Result<(), Error>)> {
    let mut results = Vec::new();
    for at in 0.. {
        let key = format!("{writer}/{at}");
        let row = key.clone();
        let result: Result<(), Error> = store.transact(move |tx| meta::set(tx, &row, "1")).await;
        if result.is_ok() {
            acked.fetch_add(1, Ordering::Relaxed);
        }
        results.push((key, result));
        if enough.load(Ordering::Relaxed) {
            break;
        }
    }
    results
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_never_makes_an_acknowledgement_false() {
    const KILLS: usize = 3;
    let server = Server::start(SAFE);
    let store = database_of(&server).open();
    let (acked, enough) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let mut writers = JoinSet::new();
    for writer in 0..16 {
        writers.spawn(write(store.clone(), writer, acked.clone(), enough.clone()));
    }
    let (counted, held_in) = (acked.clone(), store.clone());
    let runtime = tokio::runtime::Handle::current();
    tokio::task::spawn_blocking(move || {
        // The store has found the server (again) when so many more were acknowledged.
        let wait_for_more = || {
            let then = counted.load(Ordering::Relaxed) + 200;
            while counted.load(Ordering::Relaxed) < then {
                thread::yield_now();
            }
        };
        for _ in 0..KILLS {
            wait_for_more();
            // The others' transactions may all lie between the kills; this one does not.
            let (begun, has_begun) = mpsc::channel();
            let (killed, is_killed) = mpsc::channel();
            let store = held_in.clone();
            let held: JoinHandle<Result<(), Error>> = runtime.spawn(async move {
                let work = move |tx: &mut payhost_store::Tx<'_>| {
                    meta::set(tx, "held", "1")?;
                    begun.send(()).unwrap();
                    is_killed.recv().unwrap();
                    meta::set(tx, "held too", "1")
                };
                store.transact(work).await
            });
            has_begun.recv().unwrap();
            server.kill();
            killed.send(()).unwrap();
            let held = runtime.block_on(held).unwrap();
            assert!(matches!(held, Err(Error::Lost(_))), "{held:?}");
            server.go();
        }
        wait_for_more();
        enough.store(true, Ordering::Relaxed);
        server
    })
    .await
    .map(|server| Box::leak(Box::new(server)))
    .unwrap();
    let results: Vec<_> = writers.join_all().await.into_iter().flatten().collect();
    let kept: std::collections::HashSet<String> = store
        .read(|tx| tx.query("SELECT key FROM meta", &[], |row| row.get(0)))
        .await
        .unwrap()
        .into_iter()
        .collect();
    assert!(!kept.contains("held") && !kept.contains("held too"));
    for (key, result) in &results {
        match result {
            Ok(()) => assert!(kept.contains(key), "{key} was acknowledged and is gone"),
            Err(Error::Unanswered) => {}
            Err(Error::Lost(_)) => assert!(!kept.contains(key), "{key} was refused and is there"),
            Err(other) => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_away_is_refused_in_words_and_found_again() {
    let server = Server::start(SAFE);
    let store = database_of(&server).open();
    ok(&store, |tx| meta::set(tx, "a", "1")).await;
    server.stop();
    let error = err(&store, |tx| meta::set(tx, "b", "1")).await;
    assert!(matches!(error, Error::Lost(_)), "{error:?}");
    server.go();
    // After a refusal the next try may be a pause away; each answer is prompt.
    while store.transact(|tx| meta::set(tx, "c", "1")).await.is_err() {}
    assert!(has(&store, "a").await && !has(&store, "b").await && has(&store, "c").await);
    store.close().await;
}

fn open(address: &str) -> Store {
    Store::open(Options::parse(address).unwrap().connections(1)).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_answer_is_lost_is_not_guessed_at() {
    for cut in [Cut::Before, Cut::After, Cut::Nonsense, Cut::Pooler] {
        let proxy = Proxy::start();
        let store = open(&proxy.address());
        for (key, goes_out_with_it) in [("a", false), ("b", true)] {
            proxy.cut(At::Commit, cut);
            let error = err(&store, move |tx| {
                meta::get(tx, key)?;
                match goes_out_with_it {
                    false => meta::set(tx, key, "1"),
                    true => tx.execute_later(GIVE, params![key]),
                }
            });
            // At once: nothing that comes over a broken connection is waited for.
            let error = tokio::time::timeout(std::time::Duration::from_secs(20), error).await;
            assert_eq!(error, Ok(Error::Unanswered), "{cut:?}");
            ok(&store, move |tx| meta::set(tx, &format!("after {key}"), "1")).await;
            if cut != Cut::After {
                assert!(!has(&store, key).await);
            } else {
                // The same error, and yet it is kept, as soon as the server came to it.
                while !has(&store, key).await {}
            }
        }
    }
}

/// Whatever is said of a transaction is true, wherever its connection breaks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_cut_at_any_step_makes_no_answer_false() {
    for cut in [Cut::Before, Cut::After, Cut::BehindAnswer, Cut::Nonsense, Cut::Pooler] {
        let proxy = Proxy::start();
        let (store, beside) = (open(&proxy.address()), open(&proxy.database));
        let mut kinds = [0; 3];
        for step in 0.. {
            let keys = ["awaited", "later", "last"].map(|name| format!("{name} {step}"));
            let written = keys.clone();
            proxy.cut(At::Request(step), cut);
            let result: Result<(), Error> = store
                .transact(move |tx| {
                    tx.execute(GIVE, params![written[0]])?;
                    tx.execute_later(GIVE, params![written[1]])?;
                    meta::get(tx, &written[1])?;
                    tx.execute_later(GIVE, params![written[2]])
                })
                .await;
            let is_over = proxy.disarm();
            // What the server still does it does before it counts here.
            rests(&beside).await;
            let mut kept = 0;
            for key in &keys {
                kept += usize::from(has(&beside, key).await);
            }
            match &result {
                Ok(()) => assert_eq!(kept, 3, "{cut:?} at {step}: acknowledged"),
                Err(Error::Lost(_)) => assert_eq!(kept, 0, "{cut:?} at {step}: refused"),
                Err(Error::Unanswered) => assert!([0, 3].contains(&kept), "{cut:?} at {step}: {kept} of 3"),
                Err(other) => panic!("{cut:?} at {step}: {other:?}"),
            }
            kinds[match result {
                Ok(()) => 0,
                Err(Error::Lost(_)) => 1,
                Err(_) => 2,
            }] += 1;
            if is_over {
                break;
            }
        }
        assert!(kinds[0] > 0 && kinds[1] + kinds[2] > 0, "{cut:?}: {kinds:?}");
    }
}

/// The server ends in the middle of COMMIT, with an error of its own: that is no refusal.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_gives_up_in_a_commit_leaves_it_open() {
    let address = shared().database();
    let store = open(&address);
    let sql = "CREATE FUNCTION give_up() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                   PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$;
               CREATE CONSTRAINT TRIGGER give_up AFTER INSERT ON meta DEFERRABLE INITIALLY DEFERRED
                   FOR EACH ROW WHEN (NEW.key = 'deadly') EXECUTE FUNCTION give_up()";
    shared().sql(Server::name_of(&address), sql);
    for waits in [true, false] {
        let error = err(&store, move |tx| {
            meta::get(tx, "deadly")?;
            if waits { meta::set(tx, "deadly", "1") } else { tx.execute_later(GIVE, params!["deadly"]) }
        })
        .await;
        assert_eq!(error, Error::Unanswered);
        assert!(!has(&store, "deadly").await);
    }
}

/// Everything that went out with BEGIN goes out again, once, on the new connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stale_connection_is_replaced_with_all_that_waits() {
    let address = shared().database();
    let store = open(&address);
    let give = |round: i64| {
        ok(&store, move |tx| {
            for at in 0..3 {
                tx.execute_later(GIVE, params![format!("{round} {at}")])?;
            }
            let keys = "SELECT key FROM meta WHERE value = $1 ORDER BY key";
            tx.query(keys, params!["1"], |row| row.get::<String>(0))
        })
    };
    assert_eq!(give(0).await, ["0 0", "0 1", "0 2"]);
    shared().sql(Server::name_of(&address), CUT_ALL);
    assert_eq!(give(1).await, ["0 0", "0 1", "0 2", "1 0", "1 1", "1 2"]);
    let error = err(&store, |tx| tx.execute("BEGIN READ WRITE", &[])).await;
    assert!(matches!(error, Error::Statement(_)), "{error:?}");
    let prepared = "SELECT COUNT(*), COUNT(DISTINCT statement) FROM pg_prepared_statements";
    let twice =
        ok(&store, |tx| tx.query_one(prepared, &[], |row| Ok(row.get::<i64>(0)? - row.get::<i64>(1)?)));
    assert_eq!(twice.await, 0);
}

/// Plans that were made of nothing are not kept for the minutes until the server gathers them by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_gathers_statistics_of_a_new_database_after_its_first_commits() {
    let store = database().open();
    let rows = "SELECT reltuples::bigint FROM pg_class WHERE oid = 'meta'::regclass";
    let counted = || store.read(move |tx| tx.query_one(rows, &[], |row| row.get::<i64>(0)));
    for at in 0..399 {
        ok(&store, move |tx| meta::set(tx, &at.to_string(), "1")).await;
    }
    let refused: Result<(), Error> = store.transact(|_| Err(Error::Busy)).await;
    assert_eq!((refused, counted().await), (Err(Error::Busy), Ok(-1)));
    ok(&store, |tx| meta::set(tx, "399", "1")).await;
    // When the last one has its answer.
    let gathered = async { while counted().await.unwrap() < 0 {} };
    tokio::time::timeout(std::time::Duration::from_secs(30), gathered).await.expect("statistics");
    assert_eq!(counted().await, Ok(400));
}

/// Statements go out behind a BEGIN that may be refused: then they must do nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outside_of_a_transaction_nothing_can_be_written() {
    let store = database().open();
    let settings = ok(&store, |tx| {
        let sql = "SELECT current_setting('default_transaction_read_only'), current_setting('transaction_read_only')";
        tx.query_one(sql, &[], |row| Ok((row.get::<String>(0)?, row.get::<String>(1)?)))
    });
    assert_eq!(settings.await, ("on".to_owned(), "off".to_owned()));
}

const GIVE: &str = "INSERT INTO meta (key, value) VALUES ($1, '1')";

/// The server's answers are held until everything came that is not waited for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_decides_nothing_is_not_waited_for() {
    let proxy = Arc::new(Proxy::start());
    let store = open(&proxy.address());
    for round in 0..2 {
        let way = Arc::clone(&proxy);
        let holds = move |requests| {
            // The first time statements are prepared, which is waited for.
            if round > 0 {
                way.hold(requests);
            }
        };
        let paid = ok(&store, move |tx| {
            // BEGIN, three that are written, two that are read.
            holds(6);
            for at in 0..3 {
                tx.execute_later(GIVE, params![format!("{round} {at}")])?;
            }
            let read = |row: &payhost_store::Row<'_>| row.get::<String>(0);
            let all = tx.query_later("SELECT key FROM meta WHERE value = $1", params!["1"], read)?;
            let none = tx.query_later("SELECT key FROM meta WHERE key = $1", params!["none"], read)?;
            let (all, none) = (all.all(tx)?, none.first(tx)?);
            assert_eq!((all.len(), none), ((round + 1) * 5 - 2, None));
            // Two, and COMMIT.
            holds(3);
            for at in 3..5 {
                tx.execute_later(GIVE, params![format!("{round} {at}")])?;
            }
            Ok(())
        });
        tokio::time::timeout(std::time::Duration::from_secs(60), paid).await.expect("one is waited for");
    }
    // Its ROLLBACK is not answered.
    let way = Arc::clone(&proxy);
    let read = store.read(move |tx| {
        let read = meta::get(tx, "0 0")?;
        way.hold(2);
        Ok(read)
    });
    let read: Result<Result<_, Error>, _> =
        tokio::time::timeout(std::time::Duration::from_secs(60), read).await;
    assert_eq!(read.expect("the end of a read is waited for").unwrap().as_deref(), Some("1"));
    proxy.hold(0);
    let nothing: Result<(), Error> = store.transact(|_| Ok(())).await;
    assert_eq!(nothing, Ok(()));
    rests(&open(&proxy.database)).await;
}
