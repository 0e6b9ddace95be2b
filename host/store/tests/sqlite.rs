//! The suite over SQLite, and what only SQLite has: one file, one process, one writer.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's helpers may fail the test"
)]

mod suite;

use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc;

use payhost_store::rows::meta;
use payhost_store::{Error, Options, Store, params};
use suite::Database;
use suite::fixture::{err, ok};

fn database() -> Database {
    let (database, _) = database_at();
    database
}

fn database_at() -> (Database, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("payhost.db");
    (Database { options: Options::sqlite(&path), keep: Box::new(folder) }, path)
}

cases!(database);

/// PostgreSQL has a role for this.
#[tokio::test]
async fn what_happened_cannot_be_changed_or_removed() {
    suite::attempts::what_happened_cannot_be_changed_or_removed(&database()).await;
}

/// Points to a shop that is not there, which SQLite is told to notice only at COMMIT.
fn break_the_commit(tx: &mut payhost_store::Tx<'_>) -> Result<(), Error> {
    tx.execute("PRAGMA defer_foreign_keys = ON", &[])?;
    let sql = "INSERT INTO idempotency (shop_id, mode, key, request_hash, state, created_us, expires_us) \
               VALUES ('nobody', 'test', 'k', $1, 'running', 0, 0)";
    tx.execute(sql, params![payhost_store::Blob(vec![])]).map(|_| ())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_acknowledged_before_the_commit_and_a_failed_one_fails_the_group() {
    let store = database().open();
    let (started, at_work) = mpsc::channel();
    let (go_on, gate) = mpsc::channel::<()>();
    let busy = tokio::spawn({
        let store = store.clone();
        async move {
            store
                .transact(move |tx| -> Result<(), Error> {
                    started.send(()).unwrap();
                    gate.recv().unwrap();
                    meta::set(tx, "earlier", "1")
                })
                .await
        }
    });
    tokio::task::spawn_blocking(move || at_work.recv().unwrap()).await.unwrap();
    // The writer is at work, so these three wait in the queue and go into one commit.
    let open = async move { go_on.send(()).unwrap() };
    let own_error = store.transact(|_| Err::<(), _>(Error::Busy));
    let (a, b, c, d, ()) = tokio::join!(
        biased;
        store.transact(|tx| meta::set(tx, "a", "1")),
        store.transact(break_the_commit),
        own_error,
        store.transact(|tx| meta::set(tx, "d", "1")),
        open,
    );
    assert_eq!(
        (a, b, c, d),
        (Err(Error::ForeignKey), Err(Error::ForeignKey), Err(Error::Busy), Err(Error::ForeignKey))
    );
    assert_eq!(busy.await.unwrap(), Ok(()));
    ok(&store, |tx| meta::set(tx, "later", "1")).await;
    let keys =
        ok(&store, |tx| tx.query("SELECT key FROM meta ORDER BY key", &[], |row| row.get::<String>(0))).await;
    assert_eq!(keys, ["earlier", "later"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closure_that_ends_the_transaction_fails_the_group_and_the_writer_goes_on() {
    let store = database().open();
    let error = err(&store, |tx| {
        meta::set(tx, "a", "1")?;
        tx.execute("ROLLBACK", &[])
    })
    .await;
    assert!(matches!(error, Error::Io(_)), "{error:?}");
    ok(&store, |tx| meta::set(tx, "b", "1")).await;
    assert_eq!(ok(&store, |tx| meta::get(tx, "a")).await, None);
}

#[tokio::test]
async fn a_full_disk_is_told_and_the_writer_goes_on() {
    let store = database().open();
    let pages = |limit: i64| {
        let sql = format!("PRAGMA max_page_count = {limit}");
        move |tx: &mut payhost_store::Tx<'_>| tx.query_one(&sql, &[], |row| row.get::<i64>(0))
    };
    ok(&store, pages(1)).await;
    let error = err(&store, |tx| meta::set(tx, "a", &"x".repeat(1 << 20))).await;
    assert_eq!(error, Error::Full);
    ok(&store, pages(1 << 20)).await;
    ok(&store, |tx| meta::set(tx, "b", "1")).await;
    assert_eq!(ok(&store, |tx| meta::get(tx, "a")).await, None);
}

#[tokio::test]
async fn a_second_opening_is_refused_in_words_until_the_first_is_closed() {
    let (database, path) = database_at();
    let store = database.open();
    let error = Store::open(database.options.clone()).unwrap_err();
    assert!(matches!(error, Error::Locked { .. }), "{error:?}");
    assert!(error.to_string().contains(path.to_str().unwrap()));
    store.close().await;
    database.open();
}

/// Runs itself as the second process.
#[tokio::test]
async fn a_second_process_is_refused() {
    const FILE: &str = "PAYHOST_STORE_TEST_FILE";
    if let Some(path) = std::env::var_os(FILE) {
        let error = Store::open(Options::sqlite(path)).unwrap_err();
        assert!(matches!(error, Error::Locked { .. }), "{error:?}");
        return;
    }
    let (database, path) = database_at();
    let _store = database.open();
    let mut second = Command::new(std::env::current_exe().unwrap());
    let output = second.args(["--exact", "a_second_process_is_refused"]).env(FILE, path).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let (database, path) = database_at();
    database.open().close().await;
    let file = rusqlite::Connection::open(path).unwrap();
    let sql = "INSERT INTO refinery_schema_history (version, name, applied_on, checksum) VALUES (9999, 'later', '', '')";
    file.execute(sql, []).unwrap();
    drop(file);
    let error = Store::open(database.options.clone()).unwrap_err();
    assert!(matches!(error, Error::NewerSchema { found: 9999, .. }), "{error:?}");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_told() {
    let (database, path) = database_at();
    std::fs::write(path, "this is a text file, and a rather long one at that".repeat(100)).unwrap();
    let error = Store::open(database.options.clone()).unwrap_err();
    assert!(matches!(error, Error::Corrupt(_)), "{error:?}");
}

#[tokio::test]
async fn placeholders_out_of_order_are_refused() {
    let store = database().open();
    let table: [(&str, &[payhost_store::Value]); 4] = [
        ("SELECT value FROM meta WHERE key = $2 AND value = $1", params!["a", "b"]),
        ("SELECT value FROM meta WHERE key = $1", params![]),
        ("SELECT value FROM meta WHERE key = $1", params!["a", "b"]),
        ("SELECT value FROM meta WHERE key = ?1", params!["a"]),
    ];
    for (sql, values) in table {
        let values = values.to_vec();
        let error = err(&store, move |tx| tx.query(sql, &values, |_| Ok(()))).await;
        assert!(matches!(error, Error::Statement(_)), "{error:?}");
    }
}

#[tokio::test]
async fn the_settings_that_durability_stands_on_hold() {
    let store = database().open();
    for (pragma, wanted) in [("synchronous", 2), ("foreign_keys", 1)] {
        let sql = format!("PRAGMA {pragma}");
        assert_eq!(ok(&store, move |tx| tx.query_one(&sql, &[], |row| row.get::<i64>(0))).await, wanted);
    }
    let mode = ok(&store, |tx| tx.query_one("PRAGMA journal_mode", &[], |row| row.get::<String>(0))).await;
    assert_eq!(mode, "wal");
}

#[test]
fn addresses_are_understood_or_refused_in_words() {
    for good in [
        "sqlite:data/payhost.db",
        "payhost.db",
        "/var/lib/payhost.db",
        "postgres:///payhost?host=/run/postgresql",
        "postgres://db.internal/payhost",
    ] {
        assert!(Options::parse(good).is_ok(), "{good}");
    }
    for bad in ["", "sqlite:", "postgres://", "postgres://db/payhost?sslmode=require", "mysql://localhost"] {
        assert!(matches!(Options::parse(bad), Err(Error::Address(_))), "{bad}");
    }
}
