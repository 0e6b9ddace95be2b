//! Jobs.

use std::collections::{BTreeMap, BTreeSet};

use payhost_core::id::ShopId;
use payhost_store::rows::jobs::{self, Claim, Job, JobState, Lane, NewJob};
use payhost_store::{Error, Sealed, Store, Tx};

use super::Database;
use super::fixture::{NOW_US, claim_all, err, job, ok, shop_id};

/// Why a job is tried again.
fn said() -> Sealed {
    Sealed::from_bytes(vec![0, 255])
}

const LEASE: i64 = 30;

/// Whose the jobs are where that does not matter.
fn owner() -> ShopId {
    ShopId::new(1, [7; 10])
}

async fn enqueue(store: &Store, key: &'static str, due_us: i64) {
    ok(store, move |tx| jobs::enqueue(tx, &job(owner(), key, due_us), 0)).await;
}

async fn claim(store: &Store, now_us: i64, token: &'static str) -> Vec<Job> {
    ok(store, move |tx| claim_all(tx, now_us, now_us + LEASE, token, 10)).await
}

async fn finish(store: &Store, job: &Job, token: &'static str) -> bool {
    let row = (job.shop_id, job.id);
    ok(store, move |tx| jobs::finish(tx, row, token, 0)).await
}

async fn get(store: &Store, key: &'static str) -> Job {
    ok(store, move |tx| jobs::get(tx, owner(), key)).await.unwrap()
}

pub async fn a_job_is_claimed_when_due_and_by_one_only(database: &Database) {
    let store = database.open();
    enqueue(&store, "a", 100).await;
    assert!(claim(&store, 99, "t1").await.is_empty());
    let claimed = claim(&store, 100, "t1").await;
    assert_eq!(claimed.len(), 1);
    assert_eq!((claimed[0].key.as_str(), claimed[0].tries), ("a", 1));
    assert!(claim(&store, 100, "t2").await.is_empty());
    assert!(finish(&store, &claimed[0], "t1").await);
    assert_eq!(get(&store, "a").await.state, JobState::Done);
    assert!(claim(&store, i64::MAX - LEASE, "t3").await.is_empty());
}

pub async fn a_lost_lease_lets_another_take_the_job_and_fences_the_first(database: &Database) {
    let store = database.open();
    enqueue(&store, "a", 100).await;
    let first = claim(&store, 100, "t1").await;
    assert!(claim(&store, 100 + LEASE - 1, "t2").await.is_empty());
    let second = claim(&store, 100 + LEASE, "t2").await;
    assert_eq!(second[0].tries, 2);
    let id = first[0].id;
    assert!(!finish(&store, &first[0], "t1").await);
    assert!(!ok(&store, move |tx| jobs::retry_at(tx, (owner(), id, "t1"), 500, None, 0)).await);
    assert!(!ok(&store, move |tx| jobs::give_up(tx, (owner(), id), "t1", &said(), 0)).await);
    assert!(finish(&store, &second[0], "t2").await);
    assert!(!finish(&store, &second[0], "t2").await);
}

pub async fn a_job_enqueued_twice_is_due_at_the_earlier_time(database: &Database) {
    let store = database.open();
    for (due_us, wanted) in [(100, 100), (50, 50), (200, 50)] {
        enqueue(&store, "a", due_us).await;
        let found = get(&store, "a").await;
        assert_eq!(found.due_us, wanted);
        assert_eq!(found.payload.as_str(), format!("{{\"due\":{due_us}}}"), "the newest payload counts");
    }
}

pub async fn a_job_enqueued_while_it_runs_runs_again(database: &Database) {
    let store = database.open();
    enqueue(&store, "a", 100).await;
    let claimed = claim(&store, 100, "t1").await;
    enqueue(&store, "a", 300).await;
    enqueue(&store, "a", 200).await;
    enqueue(&store, "a", 250).await;
    assert!(claim(&store, 101, "t2").await.is_empty(), "its lease stays");
    assert!(finish(&store, &claimed[0], "t1").await);
    let found = get(&store, "a").await;
    assert_eq!((found.state, found.due_us, found.again_us, found.tries), (JobState::Waiting, 200, None, 0));
    let claimed = claim(&store, 200, "t3").await;
    enqueue(&store, "a", 210).await;
    let id = claimed[0].id;
    assert!(ok(&store, move |tx| jobs::retry_at(tx, (owner(), id, "t3"), 900, Some(&said()), 0)).await);
    assert_eq!(get(&store, "a").await.due_us, 210);
}

pub async fn a_done_job_starts_anew_when_enqueued(database: &Database) {
    let store = database.open();
    enqueue(&store, "a", 100).await;
    let claimed = claim(&store, 100, "t1").await;
    assert!(finish(&store, &claimed[0], "t1").await);
    enqueue(&store, "a", 400).await;
    let found = get(&store, "a").await;
    assert_eq!((found.state, found.due_us, found.tries), (JobState::Waiting, 400, 0));
    assert_eq!(claim(&store, 400, "t2").await.len(), 1);
}

pub async fn a_job_put_off_keeps_its_error_and_its_tries(database: &Database) {
    let store = database.open();
    enqueue(&store, "a", 100).await;
    let id = claim(&store, 100, "t1").await[0].id;
    assert!(ok(&store, move |tx| jobs::retry_at(tx, (owner(), id, "t1"), 500, Some(&said()), 0)).await);
    let found = get(&store, "a").await;
    assert_eq!((found.due_us, found.tries, found.lease_token), (500, 1, None));
    assert_eq!(found.last_error, Some(said()));
    assert_eq!(claim(&store, 500, "t2").await[0].tries, 2);
}

pub async fn a_job_given_up_is_not_claimed(database: &Database) {
    let store = database.open();
    enqueue(&store, "a", 100).await;
    let id = claim(&store, 100, "t1").await[0].id;
    assert!(ok(&store, move |tx| jobs::give_up(tx, (owner(), id), "t1", &said(), 0)).await);
    assert_eq!(get(&store, "a").await.state, JobState::Dead);
    assert!(claim(&store, 10_000, "t2").await.is_empty());
}

const fn by(token: &str) -> Claim<'_> {
    Claim { lane: Lane::Work, now_us: 100, lease_until_us: 100 + LEASE, token }
}

pub async fn a_claim_takes_of_each_shop_so_many_of_its_earliest_jobs_and_of_its_own_lane(
    database: &Database,
) {
    let store = database.open();
    let [one, two, three, none] = [shop_id(), shop_id(), shop_id(), shop_id()];
    ok(&store, move |tx| {
        for (at, key) in ["a", "b", "c", "d"].into_iter().enumerate() {
            jobs::enqueue(tx, &job(one, key, 100 - i64::try_from(at).unwrap()), 0)?;
        }
        jobs::enqueue(tx, &job(two, "e", 1), 0)?;
        jobs::enqueue(tx, &job(two, "early", 101), 0)?;
        jobs::enqueue(tx, &NewJob { lane: Lane::Forward, ..job(two, "sent on", 1) }, 0)?;
        jobs::enqueue(tx, &job(three, "third", 1), 0)
    })
    .await;
    let keys = |found: Vec<Job>| found.into_iter().map(|job| job.key).collect::<Vec<_>>();
    let shops = move |lane| move |tx: &mut Tx<'_>| Ok(jobs::look(tx, lane, 100, None)?.shops);
    let due: BTreeMap<_, _> = ok(&store, shops(Lane::Work)).await.into_iter().collect();
    assert_eq!(due, BTreeMap::from([(one, 4), (two, 1), (three, 1)]), "all of them, counted");
    assert_eq!(ok(&store, shops(Lane::Forward)).await, [(two, 1)]);
    let wanted = [(one, 2), (two, 9), (none, 9)];
    let claimed = ok(&store, move |tx| jobs::claim(tx, &by("t1"), &wanted)).await;
    assert_eq!(keys(claimed), ["c", "d", "e"], "the earliest two of one shop, all of the other");
    assert_eq!(keys(ok(&store, move |tx| jobs::claim(tx, &by("t2"), &[(three, 9)])).await), ["third"]);
    assert_eq!(keys(claim(&store, 100, "t3").await), ["a", "b"]);
    let sent_on = Claim { lane: Lane::Forward, ..by("t4") };
    let sent_on = ok(&store, move |tx| jobs::claim(tx, &sent_on, &[(two, 9)])).await;
    assert_eq!(keys(sent_on), ["sent on"]);
}

/// Far more than a look reads are due of one shop, and were before all others.
async fn flood(store: &Store, shop: ShopId) {
    ok(store, move |tx| {
        (0..400).try_for_each(|at| jobs::enqueue(tx, &job(shop, &format!("flood {at}"), at % 50), 0))
    })
    .await;
}

fn shops_of(due: &jobs::Due) -> BTreeSet<ShopId> {
    let shops: BTreeSet<_> = due.shops.iter().map(|(shop, _)| *shop).collect();
    assert_eq!(shops.len(), due.shops.len(), "each shop once");
    shops
}

pub async fn a_job_that_fell_due_just_now_is_seen_behind_a_flood(database: &Database) {
    let store = database.open();
    // The last of its kind in the walk's order, so that only its time speaks for it.
    let mut shops: Vec<ShopId> = (0..600).map(|_| shop_id()).collect();
    let (last, flooding) = (shops.pop().unwrap(), shops.remove(0));
    flood(&store, flooding).await;
    ok(&store, move |tx| {
        for (at, shop) in shops.iter().enumerate() {
            jobs::enqueue(tx, &job(*shop, &format!("later {at}"), 1_000_000), 0)?;
        }
        jobs::enqueue(tx, &job(last, "new", 100), 0)
    })
    .await;
    let due = ok(&store, |tx| jobs::look(tx, Lane::Work, 100, None)).await;
    assert_eq!(shops_of(&due), BTreeSet::from([flooding, last]));
}

pub async fn a_few_looks_see_every_shop_whatever_floods(database: &Database) {
    let store = database.open();
    let shops: Vec<ShopId> = (0..600).map(|_| shop_id()).collect();
    let (flooding, waiting) = (shops[300], shops.clone());
    ok(&store, move |tx| {
        // Older than nothing and younger than nothing of the flood: neither end of what is due shows them.
        for (at, shop) in waiting.iter().enumerate() {
            jobs::enqueue(tx, &job(*shop, &format!("waits {at}"), 25), 0)?;
        }
        Ok(())
    })
    .await;
    flood(&store, flooding).await;
    let (mut seen, mut walked) = (BTreeSet::new(), None);
    for looks in 1.. {
        let due = ok(&store, move |tx| jobs::look(tx, Lane::Work, 100, walked)).await;
        seen.extend(shops_of(&due));
        walked = due.walked;
        if walked.is_none() {
            assert_eq!(looks, 3, "600 shops by 256");
            break;
        }
    }
    assert_eq!(seen, shops.into_iter().collect());
}

pub async fn the_next_due_time_is_known(database: &Database) {
    let store = database.open();
    assert_eq!(ok(&store, jobs::next_due).await, None);
    enqueue(&store, "a", 100).await;
    enqueue(&store, "b", 400).await;
    assert_eq!(ok(&store, jobs::next_due).await, Some(100));
    let claimed = claim(&store, 100, "t1").await;
    assert_eq!(ok(&store, jobs::next_due).await, Some(100 + LEASE), "an abandoned job falls due by itself");
    assert!(finish(&store, &claimed[0], "t1").await);
    assert_eq!(ok(&store, jobs::next_due).await, Some(400));
}

pub async fn a_rolled_back_enqueue_leaves_no_job(database: &Database) {
    let store = database.open();
    let error = err(&store, |tx| {
        jobs::enqueue(tx, &job(owner(), "a", 1), 0)?;
        Err::<(), _>(Error::Busy)
    })
    .await;
    assert_eq!(error, Error::Busy);
    assert_eq!(ok(&store, |tx| jobs::get(tx, owner(), "a")).await, None);
}

pub async fn the_oldest_job_of_a_silent_gateway_is_known_and_all_wake_when_it_answers(database: &Database) {
    let store = database.open();
    ok(&store, |tx| {
        for (at, key) in ["a", "b", "c", "d"].into_iter().enumerate() {
            jobs::enqueue(tx, &job(owner(), key, NOW_US + 1_000_000), NOW_US + i64::try_from(at).unwrap())?;
        }
        assert!(jobs::silence(tx, (owner(), "a"), Some("gw/test"), NOW_US)?);
        assert!(!jobs::silence(tx, (owner(), "b"), Some("gw/test"), NOW_US + 1)?);
        assert!(jobs::silence(tx, (owner(), "c"), Some("other/test"), NOW_US + 2)?);
        // Silent for longer stays the oldest, also when it asks again later.
        assert!(jobs::silence(tx, (owner(), "a"), Some("gw/test"), NOW_US + 3)?);
        assert!(!jobs::silence(tx, (owner(), "a"), None, NOW_US + 3)?);
        assert!(jobs::silence(tx, (owner(), "b"), Some("gw/test"), NOW_US + 4)?);
        assert!(!jobs::silence(tx, (owner(), "a"), Some("gw/test"), NOW_US + 5)?);
        // They come one after the other, the oldest first.
        assert_eq!(jobs::wake(tx, "gw/test", NOW_US + 20, 5, 0)?, 2);
        let due = |tx: &mut payhost_store::Tx<'_>, key| {
            jobs::get(tx, owner(), key).map(|job| job.unwrap().due_us - NOW_US)
        };
        assert_eq!((due(tx, "b")?, due(tx, "a")?), (20, 25));
        assert_eq!((due(tx, "c")?, due(tx, "d")?), (1_000_000, 1_000_000));
        assert_eq!(jobs::wake(tx, "gw/test", NOW_US, 5, 0)?, 0);
        // One that asked just now has its rest first.
        jobs::silence(tx, (owner(), "d"), Some("gw/test"), NOW_US + 3)?;
        assert_eq!(jobs::wake(tx, "gw/test", NOW_US, 5, 900)?, 1);
        assert_eq!(due(tx, "d")?, 903);
        // One that is being done is not touched.
        jobs::silence(tx, (owner(), "c"), Some("other/test"), NOW_US)?;
        let taken = claim_all(tx, NOW_US + 1_000_000, NOW_US + 2_000_000, "t", 9)?;
        assert_eq!(taken.len(), 4);
        assert_eq!(jobs::wake(tx, "other/test", NOW_US, 5, 0)?, 0);
        Ok(())
    })
    .await;
}

pub async fn a_job_is_taken_back_unless_it_runs_or_is_over(database: &Database) {
    let store = database.open();
    ok(&store, |tx| {
        for key in ["done", "runs", "waits"] {
            jobs::enqueue(tx, &job(owner(), key, NOW_US), NOW_US)?;
            if key != "waits" {
                let taken = claim_all(tx, NOW_US, NOW_US + 9, key, 1)?;
                assert!(key != "done" || jobs::finish(tx, (owner(), taken[0].id), key, NOW_US)?);
            }
        }
        let there = |tx: &mut Tx<'_>, key: &str| jobs::get(tx, owner(), key).unwrap().is_some();
        for key in ["done", "runs", "waits", "never was"] {
            jobs::take_back(tx, owner(), key)?;
        }
        assert_eq!(["done", "runs", "waits"].map(|key| there(tx, key)), [true, true, false]);
        Ok(())
    })
    .await;
}

pub async fn finished_jobs_are_thrown_away_in_batches(database: &Database) {
    let store = database.open();
    ok(&store, |tx| {
        for key in ["a", "b", "c"] {
            jobs::enqueue(tx, &job(owner(), key, NOW_US), NOW_US)?;
        }
        let taken = claim_all(tx, NOW_US, NOW_US + 9, "t", 2)?;
        for job in &taken {
            assert!(jobs::finish(tx, (owner(), job.id), "t", NOW_US + 1)?);
        }
        assert_eq!(jobs::purge_done(tx, NOW_US + 1, 9)?, 0);
        assert_eq!((jobs::purge_done(tx, NOW_US + 2, 1)?, jobs::purge_done(tx, NOW_US + 2, 1)?), (1, 1));
        assert_eq!(jobs::purge_done(tx, NOW_US + 2, 1)?, 0);
        assert_eq!(claim_all(tx, NOW_US, NOW_US + 9, "u", 9)?.len(), 1);
        Ok(())
    })
    .await;
}
