//! Settings that a node keeps in memory.

use std::sync::mpsc;

use payhost_core::id::ShopId;
use payhost_store::rows::{channels, meta, shops};
use payhost_store::{Error, Store, Tx, params};
use tokio::task::JoinHandle;

use crate::raises::change;
use crate::suite::fixture::{World, ok, shop, shop_id, world};
use crate::{database, rests, shared};

/// The first with so many connections: a new one makes a node forget what it keeps.
async fn two_nodes(connections: u32) -> (Store, Store, World) {
    let database = database();
    let one = Store::open(database.options.clone().connections(connections)).unwrap();
    let two = database.open();
    let world = world(&one).await;
    (one, two, world)
}

/// The shop's name as a read with kept settings has it.
async fn kept_name(store: &Store, id: ShopId) -> String {
    let read = store.read(move |tx| {
        tx.keep_settings()?;
        shops::get(tx, id)
    });
    let shop: Result<_, Error> = read.await;
    shop.unwrap().unwrap().name
}

async fn read_name(store: &Store, id: ShopId) -> String {
    let shop: Result<_, Error> = store.read(move |tx| shops::get(tx, id)).await;
    shop.unwrap().unwrap().name
}

async fn rename(store: &Store, id: ShopId, name: &'static str) {
    ok(store, move |tx| {
        let shop = shops::get(tx, id)?.unwrap();
        shops::update(tx, &shops::Shop { name: name.to_owned(), ..shop })
    })
    .await;
}

async fn rename_channel(store: &Store, world: World) {
    ok(store, move |tx| {
        let row = channels::get(tx, world.shop, world.channel)?.unwrap();
        channels::update(tx, &channels::Channel { name: "new".to_owned(), ..row })
    })
    .await;
}

/// By hand, past the store, and without a word to the nodes.
async fn by_hand(store: &Store, sql: &str) {
    let name = ok(store, |tx| tx.query_one("SELECT current_database()::text", &[], |row| row.get(0)));
    let name: String = name.await;
    shared().sql(&name, sql);
}

async fn rename_unheard(store: &Store, id: ShopId, name: &'static str) {
    by_hand(store, &format!("UPDATE shop SET name = '{name}' WHERE id = '{id}'")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_come_from_memory_until_any_node_sets_something() {
    let (one, two, world) = two_nodes(1).await;
    assert_eq!(kept_name(&one, world.shop).await, "책방");
    rename_unheard(&two, world.shop, "unheard").await;
    assert_eq!(kept_name(&one, world.shop).await, "책방", "from memory");
    assert_eq!(read_name(&one, world.shop).await, "unheard", "who did not ask for it reads the row");
    rename(&two, world.shop, "서점").await;
    let other: Result<_, Error> = one
        .read(move |tx| tx.keep_settings().and_then(|()| channels::get(tx, world.shop, world.channel)))
        .await;
    assert!(other.unwrap().is_some(), "another row is kept under the new number");
    assert_eq!(kept_name(&one, world.shop).await, "서점");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_reads_nothing_but_kept_settings_costs_the_server_one_statement() {
    let (one, two, world) = two_nodes(1).await;
    for _ in 0..2 {
        kept_name(&one, world.shop).await;
    }
    let last =
        "SELECT query FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    let last = ok(&two, move |tx| tx.query(last, &[], |row| row.get::<String>(0))).await;
    assert!(last.iter().any(|query| query == "SELECT change FROM settings_change"), "{last:?}");
    // What it then reads beside them is in a transaction as ever.
    let both = one.read(move |tx| {
        tx.keep_settings()?;
        let shop = shops::get(tx, world.shop)?.unwrap();
        let isolation = "SELECT current_setting('transaction_isolation')";
        Ok((shop.name, tx.query_one(isolation, &[], |row| row.get::<String>(0))?))
    });
    let both: Result<_, Error> = both.await;
    assert_eq!(both.unwrap(), ("책방".to_owned(), "repeatable read".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_connection_may_lead_to_another_server_so_nothing_is_kept() {
    let (one, two, world) = two_nodes(1).await;
    assert_eq!(kept_name(&one, world.shop).await, "책방");
    rename_unheard(&two, world.shop, "unheard").await;
    let cut = "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity \
               WHERE datname = current_database() AND pid <> pg_backend_pid()";
    assert!(ok(&two, move |tx| tx.query_one(cut, &[], |row| row.get::<i64>(0))).await > 0);
    assert_eq!(kept_name(&one, world.shop).await, "unheard");
}

/// A read that does the first, and the second only when it is told to.
async fn held<T: Send + 'static>(
    store: &Store,
    first: impl FnOnce(&mut Tx<'_>) -> Result<(), Error> + Send + 'static,
    second: impl FnOnce(&mut Tx<'_>) -> Result<T, Error> + Send + 'static,
) -> (mpsc::Sender<()>, JoinHandle<Result<T, Error>>) {
    let (begun, has_begun) = mpsc::channel();
    let (go, gone) = mpsc::channel();
    let store = store.clone();
    let reading = tokio::spawn(async move {
        let read = store.read(move |tx| {
            first(tx)?;
            begun.send(()).unwrap();
            gone.recv().unwrap();
            second(tx)
        });
        read.await
    });
    tokio::task::spawn_blocking(move || has_begun.recv().unwrap()).await.unwrap();
    (go, reading)
}

/// A read that has taken the shop and takes the channel, whose name it answers, only when it is told to.
async fn held_read(store: &Store, world: World) -> (mpsc::Sender<()>, JoinHandle<Result<String, Error>>) {
    let takes =
        move |tx: &mut Tx<'_>| tx.keep_settings().and_then(|()| shops::get(tx, world.shop)).map(|_| ());
    held(store, takes, move |tx| channel_name(tx, world)).await
}

fn channel_name(tx: &mut Tx<'_>, world: World) -> Result<String, Error> {
    channels::get(tx, world.shop, world.channel).map(|row| row.unwrap().name)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_has_the_settings_of_its_own_moment_and_leaves_them_to_nobody_later() {
    let (one, two, world) = two_nodes(2).await;
    let (go, early) = held_read(&one, world).await;
    rename_channel(&two, world).await;
    let now = || one.read(move |tx| tx.keep_settings().and_then(|()| channel_name(tx, world)));
    assert_eq!(now().await, Ok("new".to_owned()));
    go.send(()).unwrap();
    assert_eq!(early.await.unwrap(), Ok("cards".to_owned()));
    assert_eq!(now().await, Ok("new".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_never_mixes_settings_from_memory_with_later_ones() {
    let (one, two, world) = two_nodes(1).await;
    kept_name(&one, world.shop).await;
    let (go, mixed) = held_read(&one, world).await;
    rename(&two, world.shop, "서점").await;
    go.send(()).unwrap();
    assert_eq!(mixed.await.unwrap(), Err(Error::Busy));
    assert_eq!(kept_name(&one, world.shop).await, "서점");
}

/// Whoever waited for the connection while another looked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_that_waited_takes_what_another_saw_meanwhile() {
    let (one, two, world) = two_nodes(1).await;
    kept_name(&one, world.shop).await;
    let looks = move |tx: &mut Tx<'_>| {
        tx.keep_settings()?;
        shops::get(tx, world.shop)?;
        tx.query_one("SELECT pg_backend_pid()::bigint", &[], |row| row.get::<i64>(0))
    };
    let (go, looking) = held(&one, |_| Ok(()), looks).await;
    let (name, ()) = tokio::join!(biased; kept_name(&one, world.shop), async { go.send(()).unwrap() });
    assert_eq!(name, "책방");
    let connection = looking.await.unwrap().unwrap();
    rests(&two).await;
    let last = "SELECT query FROM pg_stat_activity WHERE pid::bigint = $1";
    let last = ok(&two, move |tx| tx.query_one(last, params![connection], |row| row.get::<String>(0))).await;
    assert_eq!(last, "ROLLBACK", "it did not look by itself");
}

/// Its look tells of the moment that it sees, not of the one when it looks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_old_transaction_sees_is_taken_by_nobody_who_came_after() {
    let (one, two, world) = two_nodes(1).await;
    kept_name(&one, world.shop).await;
    let looks = move |tx: &mut Tx<'_>| {
        tx.keep_settings()?;
        shops::get(tx, world.shop)
    };
    let (go, old) = held(&one, |tx| meta::get(tx, "x").map(|_| ()), looks).await;
    rename(&two, world.shop, "서점").await;
    let (name, ()) = tokio::join!(biased; kept_name(&one, world.shop), async { go.send(()).unwrap() });
    assert_eq!(old.await.unwrap().unwrap().unwrap().name, "책방");
    assert_eq!(name, "서점");
}

/// The shop's name and the channel's, by a closure that takes the shop from what another saw; the channel is renamed between.
async fn renamed_meanwhile(reads: bool) -> Result<(String, String), Error> {
    let (one, two, world) = two_nodes(1).await;
    kept_name(&one, world.shop).await;
    let looks = move |tx: &mut Tx<'_>| tx.keep_settings().and_then(|()| shops::get(tx, world.shop));
    let (go, looking) = held(&one, |_| Ok(()), looks).await;
    let (begun, has_begun) = mpsc::channel();
    let (on, gone) = mpsc::channel::<()>();
    let work = move |tx: &mut Tx<'_>| {
        tx.keep_settings()?;
        let shop = shops::get(tx, world.shop)?.unwrap();
        begun.send(()).unwrap();
        gone.recv().unwrap();
        Ok((shop.name, channel_name(tx, world)?))
    };
    let taken = async { if reads { one.read(work).await } else { one.transact(work).await } };
    let others = async {
        go.send(()).unwrap();
        tokio::task::spawn_blocking(move || has_begun.recv().unwrap()).await.unwrap();
        rename_channel(&two, world).await;
        on.send(()).unwrap();
    };
    let (taken, ()) = tokio::join!(biased; taken, others);
    assert!(looking.await.unwrap().is_ok());
    taken
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_took_what_another_saw_reads_what_was_set_since() {
    assert_eq!(renamed_meanwhile(false).await, Ok(("책방".to_owned(), "new".to_owned())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_that_took_what_another_saw_is_not_mixed() {
    assert_eq!(renamed_meanwhile(true).await, Err(Error::Busy));
}

/// It began with them and finds the rest.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_settings_before_the_last_change_are_kept_for_who_began_with_them() {
    let (one, two, world) = two_nodes(2).await;
    let now = || one.read(move |tx| tx.keep_settings().and_then(|()| channel_name(tx, world)));
    // Both connections, then both rows.
    let (go, opened) = held_read(&one, world).await;
    assert!(now().await.is_ok());
    go.send(()).unwrap();
    assert!(opened.await.unwrap().is_ok());
    assert_eq!(kept_name(&one, world.shop).await, "책방");
    let (go, early) = held_read(&one, world).await;
    rename_channel(&two, world).await;
    assert_eq!(now().await, Ok("new".to_owned()));
    go.send(()).unwrap();
    assert_eq!(early.await.unwrap(), Ok("cards".to_owned()));
}

/// Strangers may ask for anything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_kept_of_what_is_not_there() {
    let (one, two, _) = two_nodes(1).await;
    let row = shop(shop_id());
    let id = row.id;
    let found = || async {
        let found: Result<_, Error> =
            one.read(move |tx| tx.keep_settings().and_then(|()| shops::get(tx, id))).await;
        found.unwrap().is_some()
    };
    assert!(!found().await);
    let number = change(&two).await;
    ok(&two, move |tx| shops::insert(tx, &row)).await;
    by_hand(&two, &format!("UPDATE settings_change SET change = {number}")).await;
    assert!(found().await);
}

/// A transaction that sets something sees what nobody else may see yet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_kept_of_a_transaction_that_may_write() {
    let (one, _, world) = two_nodes(1).await;
    let rolled_back: Result<(), Error> = one
        .transact(move |tx| {
            let shop = shops::get(tx, world.shop)?.unwrap();
            shops::update(tx, &shops::Shop { name: "never".to_owned(), ..shop })?;
            tx.keep_settings()?;
            assert_eq!(shops::get(tx, world.shop)?.unwrap().name, "never");
            Err(Error::Busy)
        })
        .await;
    assert_eq!(rolled_back, Err(Error::Busy));
    assert_eq!(kept_name(&one, world.shop).await, "책방");
}
