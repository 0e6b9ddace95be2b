//! What the host does again and again for itself.

use payhost_store::Store;
use payhost_store::rows::host_jobs::{self, Claimed, HostJob};

use super::Database;
use super::fixture::{job, ok, shop_id};

const LEASE: i64 = 30;

async fn claim(store: &Store, key: &'static str, token: &'static str, now_us: i64) -> Claimed {
    ok(store, move |tx| host_jobs::claim(tx, key, token, now_us, now_us + LEASE)).await
}

async fn end(store: &Store, key: &'static str, token: &'static str, due_us: i64) -> bool {
    ok(store, move |tx| host_jobs::end(tx, key, token, due_us)).await
}

async fn get(store: &Store, key: &'static str) -> Option<HostJob> {
    ok(store, move |tx| host_jobs::get(tx, key)).await
}

pub async fn a_host_job_is_claimed_by_one_host_and_due_again_when_it_ended(database: &Database) {
    let store = database.open();
    assert_eq!(get(&store, "tidy").await, None);
    assert_eq!(claim(&store, "tidy", "one", 100).await, Claimed::Yes, "what was never done is due");
    assert_eq!(claim(&store, "tidy", "two", 101).await, Claimed::NotBefore(100 + LEASE));
    let (key, token) = ("tidy".to_owned(), Some("one".to_owned()));
    assert_eq!(get(&store, "tidy").await, Some(HostJob { key, due_us: 100 + LEASE, token }));
    assert!(!end(&store, "tidy", "two", 1).await, "not whose it is");
    assert!(end(&store, "tidy", "one", 500).await);
    let key = "tidy".to_owned();
    assert_eq!(get(&store, "tidy").await, Some(HostJob { key, due_us: 500, token: None }));
    assert!(!end(&store, "tidy", "one", 1).await, "once");
    assert_eq!(claim(&store, "tidy", "two", 499).await, Claimed::NotBefore(500));
    assert_eq!(claim(&store, "tidy", "two", 500).await, Claimed::Yes);
}

pub async fn a_host_that_died_at_a_job_is_replaced_when_its_time_is_over(database: &Database) {
    let store = database.open();
    assert_eq!(claim(&store, "tidy", "dead", 100).await, Claimed::Yes);
    assert_eq!(claim(&store, "tidy", "two", 100 + LEASE - 1).await, Claimed::NotBefore(100 + LEASE));
    assert_eq!(claim(&store, "tidy", "two", 100 + LEASE).await, Claimed::Yes);
    // It was only slow: what it says now counts for nothing.
    assert!(!end(&store, "tidy", "dead", 9_000).await);
    assert_eq!(claim(&store, "tidy", "three", 101 + LEASE).await, Claimed::NotBefore(100 + 2 * LEASE));
    assert!(end(&store, "tidy", "two", 500).await);
    assert_eq!(get(&store, "tidy").await.unwrap().due_us, 500);
}

pub async fn host_jobs_stand_apart_from_each_other_and_from_those_of_shops(database: &Database) {
    let store = database.open();
    let shop = shop_id();
    ok(&store, move |tx| payhost_store::rows::jobs::enqueue(tx, &job(shop, "tidy", 1), 0)).await;
    assert_eq!(claim(&store, "tidy", "one", 100).await, Claimed::Yes);
    assert_eq!(claim(&store, "statistics", "one", 100).await, Claimed::Yes);
    assert!(end(&store, "statistics", "one", 900).await);
    assert_eq!(get(&store, "tidy").await.unwrap().due_us, 100 + LEASE);
    let claimed = ok(&store, |tx| super::fixture::claim_all(tx, 100, 130, "one", 9)).await;
    assert_eq!(claimed.iter().map(|job| job.shop_id).collect::<Vec<_>>(), [shop]);
}

pub async fn a_host_job_whose_claim_was_rolled_back_is_due(database: &Database) {
    let store = database.open();
    let refused: Result<(), payhost_store::Error> = store
        .transact(|tx| {
            assert_eq!(host_jobs::claim(tx, "tidy", "one", 100, 100 + LEASE)?, Claimed::Yes);
            Err(payhost_store::Error::Busy)
        })
        .await;
    assert!(refused.is_err());
    assert_eq!(get(&store, "tidy").await, None);
    assert_eq!(claim(&store, "tidy", "two", 100).await, Claimed::Yes);
}
