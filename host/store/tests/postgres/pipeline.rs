//! What goes out together.

use payhost_store::rows::meta;
use payhost_store::{Error, Options, Row, Store, params};

use crate::suite::fixture::{err, ok};
use crate::{database, shared};

fn first(row: &Row<'_>) -> Result<String, Error> {
    row.get(0)
}

const GIVE: &str = "INSERT INTO meta (key, value) VALUES ($1, $2)";

/// Both sides would write and neither read, if everything went out before the first answer is read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_than_the_sockets_hold_goes_both_ways() {
    const MUCH: u32 = 3_000_000;
    let store = database().open();
    let lengths = ok(&store, |tx| {
        let mut answers = Vec::new();
        for at in 0..3 {
            for _ in 0..3 {
                let sql = "SELECT repeat('a', $1::bigint::int)";
                answers.push(tx.query_later(sql, params![i64::from(MUCH)], first)?);
            }
            tx.execute_later(GIVE, params![at.to_string(), "b".repeat(MUCH as usize)])?;
        }
        answers
            .into_iter()
            .map(|answer| Ok(answer.one(tx, "answer")?.len()))
            .collect::<Result<Vec<_>, Error>>()
    });
    let lengths = tokio::time::timeout(std::time::Duration::from_secs(60), lengths).await;
    assert_eq!(lengths.expect("both sides wait"), vec![MUCH as usize; 9]);
    let kept = store.read(|tx| tx.query("SELECT value FROM meta WHERE key < '3'", &[], first)).await.unwrap();
    assert_eq!(kept.iter().map(String::len).collect::<Vec<_>>(), vec![MUCH as usize; 3]);
}

/// With COMMIT or before it; the connection stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_the_first_error_nothing_of_what_goes_out_together_is_done() {
    let store = open_one();
    let before = connection_of(&store).await;
    for length in [1, 20_000] {
        for waits in [false, true] {
            let error = err(&store, move |tx| {
                // The answer to BEGIN is there, so that the rest goes out with COMMIT.
                meta::get(tx, "0")?;
                for at in [0, 1, 2, 3, 3, 4, 5, 6, 7] {
                    tx.execute_later(GIVE, params![at.to_string(), "c".repeat(length)])?;
                }
                if waits { meta::get(tx, "0").map(|_| ()) } else { Ok(()) }
            });
            let error = tokio::time::timeout(std::time::Duration::from_secs(60), error).await;
            assert!(error.as_ref().unwrap().is_unique("meta_pkey"), "{error:?}");
            let kept = store.read(|tx| tx.query("SELECT key FROM meta WHERE key < '8'", &[], first)).await;
            assert_eq!(kept, Ok(Vec::new()));
        }
    }
    assert_eq!(connection_of(&store).await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_out_with_its_commit_is_kept() {
    let store = open_one();
    ok(&store, |tx| {
        (0..9).try_for_each(|at| tx.execute_later(GIVE, params![at.to_string(), "d".repeat(20_000)]))
    })
    .await;
    let kept =
        store.read(|tx| tx.query("SELECT key FROM meta WHERE key < '9' ORDER BY key", &[], first)).await;
    assert_eq!(kept, Ok((0..9).map(|at| at.to_string()).collect()));
}

/// Those that are not kept are given back to the server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_keeps_so_many_statements_and_no_more() {
    let store = open_one();
    let texts = ok(&store, |tx| {
        let asked: Result<Vec<_>, _> = (0..700_i64)
            .map(|at| tx.query_later(&format!("SELECT '{at}', $1"), params!["a"], first))
            .collect();
        asked?.into_iter().map(|answer| answer.one(tx, "answer")).collect::<Result<Vec<_>, _>>()
    });
    assert_eq!(texts.await, (0..700).map(|at| at.to_string()).collect::<Vec<_>>());
    let kept = ok(&store, |tx| {
        tx.query_one("SELECT COUNT(*) FROM pg_prepared_statements", &[], |row| row.get::<i64>(0))
    });
    // 700 of them, and this one.
    assert_eq!(kept.await, 700 % 256 + 1);
}

fn open_one() -> Store {
    Store::open(Options::parse(&shared().database()).unwrap().connections(1)).unwrap()
}

async fn connection_of(store: &Store) -> i64 {
    ok(store, |tx| tx.query_one("SELECT pg_backend_pid()::bigint", &[], |row| row.get(0))).await
}
