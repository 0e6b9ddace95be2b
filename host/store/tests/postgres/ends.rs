//! A channel or a plugin ends at one node while something new is made on it at another. The end waits for what holds it, and what
//! comes later finds it ended.

use std::sync::mpsc;
use std::time::Duration;

use payhost_store::rows::in_use::in_use;
use payhost_store::rows::{channels, payments, plugins};
use payhost_store::{Error, Store, Tx};
use tokio::task::JoinHandle;

use crate::database;
use crate::suite::fixture::{NOW_US, World, channel, ok, world};

async fn nodes() -> (Store, Store, Store, World) {
    let database = database();
    let (one, two, three) = (database.open(), database.open(), database.open());
    let world = world(&one).await;
    (one, two, three, world)
}

/// A transaction that did this and ends when it is told to.
async fn held<T: Send + 'static>(
    store: &Store,
    work: impl FnOnce(&mut Tx<'_>) -> Result<T, Error> + Send + 'static,
) -> (mpsc::Sender<()>, JoinHandle<T>) {
    let (did, done) = mpsc::channel();
    let (go, gone) = mpsc::channel();
    let store = store.clone();
    let running = tokio::spawn(async move {
        let kept = store.transact(move |tx| {
            let answer = work(tx)?;
            did.send(()).unwrap();
            gone.recv().unwrap();
            Ok::<_, Error>(answer)
        });
        kept.await.unwrap()
    });
    tokio::task::spawn_blocking(move || done.recv().unwrap()).await.unwrap();
    (go, running)
}

/// Begins this at a second node, and lets the first go on when the second waits for it.
async fn behind<T: Send + 'static>(
    (two, looking): (&Store, &Store),
    go: mpsc::Sender<()>,
    work: impl FnOnce(&mut Tx<'_>) -> Result<T, Error> + Send + 'static,
) -> T {
    let two = two.clone();
    let second = tokio::spawn(async move { two.transact(work).await.unwrap() });
    let waiting = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let seen = async {
        while ok(looking, move |tx| tx.query_one(waiting, &[], |row| row.get::<i64>(0))).await == 0 {}
    };
    tokio::time::timeout(Duration::from_secs(30), seen).await.expect("the second waits for the first");
    go.send(()).unwrap();
    second.await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_that_a_payment_is_being_made_on_ends_only_behind_it_and_counts_it() {
    let (one, two, three, world) = nodes().await;
    let payment = world.payment("1");
    let (go, made) = held(&one, move |tx| {
        assert!(channels::ask_hold(tx, world.shop, world.channel)?.first(tx)?.is_some());
        payments::insert(tx, &payment)?;
        // Sent, though its answer decides nothing.
        payments::get(tx, world.shop, payment.id).map(|_| ())
    })
    .await;
    let found = behind((&two, &three), go, move |tx| {
        channels::lock_to_end(tx, world.shop, world.channel)?;
        in_use(tx, world.shop, Some(world.channel))
    })
    .await;
    made.await.unwrap();
    assert_eq!((found.payable, found.payments.len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_behind_the_end_of_its_channel_finds_it_ended() {
    for whole_shop in [false, true] {
        let (one, two, three, world) = nodes().await;
        let (go, ended) = held(&one, move |tx| {
            if whole_shop {
                channels::lock_all_to_end(tx, world.shop)?;
                return channels::remove(tx, world.shop, None, NOW_US);
            }
            channels::lock_to_end(tx, world.shop, world.channel)?;
            channels::remove(tx, world.shop, Some(world.channel), NOW_US)
        })
        .await;
        let hold = move |tx: &mut Tx<'_>| channels::ask_hold(tx, world.shop, world.channel)?.first(tx);
        assert_eq!(behind((&two, &three), go, hold).await, None);
        ended.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_that_a_channel_is_being_made_of_ends_only_behind_it_and_the_other_way_round() {
    let (one, two, three, world) = nodes().await;
    let (go, made) = held(&one, move |tx| {
        assert!(plugins::hold(tx, "gateway")?);
        channels::insert(tx, &channel(world.shop))
    })
    .await;
    let count = behind((&two, &three), go, |tx| {
        plugins::lock_to_end(tx, "gateway")?;
        channels::of_plugin_of_any_shop(tx, "gateway", 1).map(|(count, _)| count)
    })
    .await;
    made.await.unwrap();
    assert_eq!(count, 2);
    let (go, ended) = held(&one, |tx| {
        plugins::lock_to_end(tx, "gateway")?;
        plugins::remove(tx, "gateway", NOW_US)
    })
    .await;
    assert!(!behind((&two, &three), go, |tx| plugins::hold(tx, "gateway")).await);
    ended.await.unwrap();
}
