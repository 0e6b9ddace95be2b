//! What breaks: connections, the server, the answer of a commit.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use payhost_store::rows::meta;
use payhost_store::{Error, Options, Store, params};
use tokio::task::{JoinHandle, JoinSet};

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

/// The thread that is told to close must not wait for one that waits for a message.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_ends_all_threads_however_they_take_turns() {
    let database = database();
    for _ in 0..50 {
        let store = database.open();
        let writes = (0..4).map(|at| {
            let store = store.clone();
            tokio::spawn(async move { store.transact(move |tx| meta::set(tx, &at.to_string(), "1")).await })
        });
        let writes: Vec<_> = writes.collect();
        let closing = tokio::time::timeout(std::time::Duration::from_secs(60), store.close());
        assert!(closing.await.is_ok(), "the threads wait for each other");
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
async fn a_server_that_is_away_is_told_and_found_again() {
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

/// What stands between store and server: passes bytes on, counts how often the store writes, and cuts when somebody commits.
#[derive(Clone, Copy, PartialEq)]
enum Cut {
    BeforeCommit,
    AfterCommit,
    /// The answer to COMMIT comes through, and nothing behind it.
    BehindAnswer,
    /// The answer is no message, and the connection stays.
    Nonsense,
}

/// What it was told to do, and what it saw.
#[derive(Clone)]
struct Way {
    cut: Cut,
    /// Commits that it will cut.
    armed: Arc<AtomicUsize>,
    /// How often the store wrote.
    writes: Arc<AtomicUsize>,
    /// How often it asked for answers (Sync).
    syncs: Arc<AtomicUsize>,
}

impl Way {
    fn new(cut: Cut) -> Self {
        Self { cut, armed: Arc::default(), writes: Arc::default(), syncs: Arc::default() }
    }
}

fn proxy(way: &Way) -> (tempfile::TempDir, String) {
    let way = way.clone();
    let folder = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(folder.path().join(".s.PGSQL.5432")).unwrap();
    let server: PathBuf = shared().socket_folder().join(".s.PGSQL.5432");
    thread::spawn(move || {
        for client in listener.incoming() {
            let (client, way) = (client.unwrap(), way.clone());
            let upstream = UnixStream::connect(&server).unwrap();
            thread::spawn(move || pass(client, upstream, &way));
        }
    });
    let (database, folder_of_it) = (shared().database(), folder.path().display());
    let address = format!("postgres:///{}?user=payhost&host={folder_of_it}", Server::name_of(&database));
    (folder, address)
}

fn pass(mut client: UnixStream, mut server: UnixStream, way: &Way) {
    let (mut down, mut up) = (server.try_clone().unwrap(), client.try_clone().unwrap());
    let (cut, cuts) = (way.cut, Arc::new(AtomicUsize::new(0)));
    let cuts_answer = Arc::clone(&cuts);
    let back = move || {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(read @ 1..) = down.read(&mut buffer) {
            let answer = buffer[..read].windows(7).position(|part| part == b"COMMIT\0");
            let until = match answer {
                Some(at) if cuts_answer.load(Ordering::SeqCst) > 0 => at + 7,
                Some(_) | None => read,
            };
            if up.write_all(&buffer[..until]).is_err() || until < read {
                break;
            }
        }
        let _ = up.shutdown(std::net::Shutdown::Both);
    };
    let (mut back, mut buffer) = (Some(back), vec![0; 1 << 16]);
    // Bound to the unnamed portal: the prepared statement is run.
    let ends = |bytes: &[u8]| bytes.windows(8).any(|part| part == b"\0commit\0");
    let mut started = false;
    while let Ok(read @ 1..) = client.read(&mut buffer) {
        way.writes.fetch_add(1, Ordering::SeqCst);
        let syncs = buffer[..read].windows(5).filter(|part| part == b"S\0\0\0\x04").count();
        way.syncs.fetch_add(syncs, Ordering::SeqCst);
        if ends(&buffer[..read])
            && way.armed.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
        {
            if cut == Cut::BehindAnswer {
                cuts.store(1, Ordering::SeqCst);
                server.write_all(&buffer[..read]).unwrap();
                continue;
            }
            if way.cut == Cut::AfterCommit {
                // The client must not see the answer, so both ways end here first.
                let _ = client.shutdown(std::net::Shutdown::Both);
                let _ = server.write_all(&buffer[..read]);
            }
            if way.cut == Cut::Nonsense {
                client.write_all(b"!\0\0\0\x04").unwrap();
                // Until the store has enough of it.
                let _ = client.read_to_end(&mut Vec::new());
            }
            let _ = client.shutdown(std::net::Shutdown::Both);
            break;
        }
        server.write_all(&buffer[..read]).unwrap();
        if !started {
            started = true;
            thread::spawn(back.take().unwrap());
        }
    }
    // What was sent is worked on by the server though nobody listens any more.
    let _ = server.shutdown(std::net::Shutdown::Write);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_answer_is_lost_is_not_guessed_at() {
    for cut in [Cut::BeforeCommit, Cut::AfterCommit, Cut::Nonsense] {
        let way = Way::new(cut);
        let (_folder, address) = proxy(&way);
        let store = Store::open(Options::parse(&address).unwrap()).unwrap();
        for (key, goes_out_with_it) in [("a", false), ("b", true)] {
            way.armed.store(1, Ordering::SeqCst);
            let error = err(&store, move |tx| {
                meta::get(tx, key)?;
                match goes_out_with_it {
                    false => meta::set(tx, key, "1"),
                    true => tx.execute_later(GIVE, params![key]),
                }
            });
            // At once: nothing that comes over a broken connection is waited for.
            let error = tokio::time::timeout(std::time::Duration::from_secs(20), error).await;
            assert_eq!(error, Ok(Error::Unanswered));
            ok(&store, move |tx| meta::set(tx, &format!("after {key}"), "1")).await;
            if cut != Cut::AfterCommit {
                assert!(!has(&store, key).await);
            } else {
                // The same error, and yet it is kept, as soon as the server came to it.
                while !has(&store, key).await {}
            }
        }
    }
}

/// What was answered is known, whatever becomes of the connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_was_answered_is_kept_though_the_connection_broke_behind_it() {
    let way = Way::new(Cut::BehindAnswer);
    let (_folder, address) = proxy(&way);
    let store = Store::open(Options::parse(&address).unwrap()).unwrap();
    for key in ["a", "b"] {
        way.armed.store(1, Ordering::SeqCst);
        ok(&store, move |tx| meta::set(tx, key, "1")).await;
        assert_eq!(way.armed.load(Ordering::SeqCst), 0, "it was cut");
        assert!(has(&store, key).await);
    }
}

/// The server ends in the middle of COMMIT, with an error of its own: that is no refusal.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_gives_up_in_a_commit_leaves_it_open() {
    let (store, address) = open_one();
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
    let (store, address) = open_one();
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

/// A store with one connection, and its address.
fn open_one() -> (Store, String) {
    let address = shared().database();
    let options = Options::parse(&address).unwrap().connections(1);
    (Store::open(options).unwrap(), address)
}

/// Plans that were made of nothing are not kept for the minutes until the server looks by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_looks_at_a_new_database_after_its_first_commits() {
    let store = database().open();
    let rows = "SELECT reltuples::bigint FROM pg_class WHERE oid = 'meta'::regclass";
    let counted = || store.read(move |tx| tx.query_one(rows, &[], |row| row.get::<i64>(0)));
    for at in 0..399 {
        ok(&store, move |tx| meta::set(tx, &at.to_string(), "1")).await;
    }
    let refused: Result<(), Error> = store.transact(|_| Err(Error::Busy)).await;
    assert_eq!((refused, counted().await), (Err(Error::Busy), Ok(-1)));
    ok(&store, |tx| meta::set(tx, "399", "1")).await;
    // It looks when the last one has its answer.
    let looked = async { while counted().await.unwrap() < 0 {} };
    tokio::time::timeout(std::time::Duration::from_secs(30), looked).await.expect("the server looks");
    assert_eq!(counted().await, Ok(400));
}

/// A second guard: behind a BEGIN that is refused the server passes over everything.
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

/// The store writes as often as it waits, and not once more; the server answers as often, since each answer wakes somebody up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_decides_nothing_is_not_waited_for() {
    let way = Way::new(Cut::BeforeCommit);
    let (_folder, address) = proxy(&way);
    let store = Store::open(Options::parse(&address).unwrap().connections(1)).unwrap();
    let mut writes = Vec::new();
    for round in 0..2 {
        let counts = || [way.writes.load(Ordering::SeqCst), way.syncs.load(Ordering::SeqCst)];
        let before = counts();
        ok(&store, move |tx| {
            for at in 0..3 {
                tx.execute_later(GIVE, params![format!("{round} {at}")])?;
            }
            let read = |row: &payhost_store::Row<'_>| row.get::<String>(0);
            let all = tx.query_later("SELECT key FROM meta WHERE value = $1", params!["1"], read)?;
            let none = tx.query_later("SELECT key FROM meta WHERE key = $1", params!["none"], read)?;
            let (all, none) = (all.all(tx)?, none.first(tx)?);
            assert_eq!((all.len(), none), ((round + 1) * 5 - 2, None));
            for at in 3..5 {
                tx.execute_later(GIVE, params![format!("{round} {at}")])?;
            }
            Ok(())
        })
        .await;
        writes.push([counts()[0] - before[0], counts()[1] - before[1]]);
    }
    assert!(writes[0][0] > 2, "the first time statements are prepared");
    assert_eq!(writes[1], [2, 2], "BEGIN to the rows, and the rest with COMMIT");
    let before = way.writes.load(Ordering::SeqCst);
    let nothing: Result<(), Error> = store.transact(|_| Ok(())).await;
    assert_eq!(
        (nothing, way.writes.load(Ordering::SeqCst) - before),
        (Ok(()), 0),
        "nothing, of which nobody hears"
    );
}

/// The end of a transaction goes out with the beginning of the next if one waits, and by itself if none does: the server keeps
/// nothing open for a store that rests.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_ends_with_the_next_that_waits_or_by_itself() {
    let way = Way::new(Cut::BeforeCommit);
    let (_folder, address) = proxy(&way);
    let store = Store::open(Options::parse(&address).unwrap().connections(1)).unwrap();
    let beside = Store::open(Options::parse(&shared().address(Server::name_of(&address))).unwrap()).unwrap();
    let read = || store.read(|tx| meta::get(tx, "a"));
    read().await.unwrap();
    rests(&beside).await;
    let before = way.writes.load(Ordering::SeqCst);
    let (go, gone) = std::sync::mpsc::channel::<()>();
    let held = store.read(move |tx| {
        gone.recv().unwrap();
        meta::get(tx, "a")
    });
    // Handed in one behind the other.
    let (one, two, three, ()) = tokio::join!(biased; held, read(), read(), async { go.send(()).unwrap() });
    assert_eq!([one, two, three], [Ok(None), Ok(None), Ok(None)]);
    rests(&beside).await;
    assert_eq!(way.writes.load(Ordering::SeqCst) - before, 4, "three reads, and the end of the last");
}
