//! Which writes tell the nodes that settings changed. Nobody but the store says so (there are no triggers), so each function that
//! sets something is called here.

use std::collections::{BTreeMap, BTreeSet};

use payhost_core::FactKind;
use payhost_store::rows::attempts::{self, Attempt, AttemptState};
use payhost_store::rows::channels::{self, Channel, ChannelDefault};
use payhost_store::rows::gateway_map::{self, GatewayMap};
use payhost_store::rows::plugins::{self, GrantKind, PluginGrant};
use payhost_store::rows::shops::{self, Shop};
use payhost_store::rows::{Mode, api_keys, facts, host_jobs, jobs, payments};
use payhost_store::{Error, Json, Sealed, Store, Tx};

use crate::database;
use crate::suite::fixture::{DIGEST, NOW_US, World, channel, job, ok, shop, shop_id, world};
use crate::suite::keys::{api_key, operator_key};

/// The tables of settings, as postgres/settings.rs has them (`the_tables_here_are_those_of_the_store` compares).
const SETTINGS: [&str; 9] = [
    "api_key",
    "channel",
    "channel_default",
    "channel_revision",
    "channel_secret",
    "gateway_map",
    "operator_key",
    "plugin_grant",
    "shop",
];

/// The other ones. A new table stands in one of both lists, or `every_table_is_of_settings_or_is_not` fails: if rows of it are kept in
/// memory (`settings_later`), it is one of settings, and the functions that write it stand below.
const OTHERS: [&str; 18] = [
    "attempt",
    "call",
    "checkout",
    "component",
    "event",
    "fact",
    "host_job",
    "idempotency",
    "job",
    "ledger_entry",
    "meta",
    "notice",
    "payment",
    "plugin",
    "settings_change",
    "webhook_delivery",
    "webhook_endpoint",
    "webhook_outbox",
];

/// The number that tells of changes.
pub async fn change(store: &Store) -> i64 {
    let sql = "SELECT change FROM settings_change";
    ok(store, move |tx| tx.query_one(sql, &[], |row| row.get(0))).await
}

/// A function of the store, what it is called for, and the tables that it changes rows of.
type Case = (&'static str, fn(&mut Tx<'_>, World) -> Result<(), Error>, &'static [&'static str]);

fn stored_channel(tx: &mut Tx<'_>, world: World) -> Result<Channel, Error> {
    channels::get(tx, world.shop, world.channel).map(Option::unwrap)
}

fn set_secret(tx: &mut Tx<'_>, world: World, now_us: i64) -> Result<(), Error> {
    let seal = |_| Ok(Sealed::from_bytes(vec![1]));
    channels::put_secret(tx, (world.shop, world.channel), "sign_key", now_us, seal).map(|_| ())
}

fn grant(origin: &str) -> PluginGrant {
    PluginGrant {
        plugin_id: "gateway".to_owned(),
        kind: GrantKind::Host,
        origin: origin.to_owned(),
        uses: Json::of(&[""]).unwrap(),
        granted_us: 1,
        withdrawn_us: None,
    }
}

fn map(connect: &str) -> GatewayMap {
    GatewayMap {
        origin: "https://gateway.example".to_owned(),
        connect: connect.to_owned(),
        ca_pem: None,
        browser_origin: None,
        created_us: NOW_US,
    }
}

/// Each function that writes a table of settings, in an order in which each has something to change.
const CASES: &[Case] = &[
    ("shops::insert", |tx, _| shops::insert(tx, &shop(shop_id())), &["shop"]),
    (
        "shops::update",
        |tx, world| {
            let row = shops::get(tx, world.shop)?.unwrap();
            shops::update(tx, &Shop { suspended_us: Some(1), ..row })
        },
        &["shop"],
    ),
    ("api_keys::insert", |tx, world| api_keys::insert(tx, &api_key(world.shop, 1)), &["api_key"]),
    (
        "api_keys::revoke",
        |tx, world| {
            let id = api_keys::list(tx, world.shop)?[0].id;
            api_keys::revoke(tx, Some(world.shop), id, 1).map(|was| assert!(was))
        },
        &["api_key"],
    ),
    (
        "api_keys::revoke_all",
        |tx, world| {
            api_keys::insert(tx, &api_key(world.shop, 2))?;
            api_keys::revoke_all(tx, world.shop, 1)
        },
        &["api_key"],
    ),
    ("api_keys::insert_operator", |tx, _| api_keys::insert_operator(tx, &operator_key(1)), &["operator_key"]),
    (
        "api_keys::revoke, an operator's",
        |tx, _| {
            let id = api_keys::list_operators(tx)?[0].id;
            api_keys::revoke(tx, None, id, 1).map(|was| assert!(was))
        },
        &["operator_key"],
    ),
    ("plugins::grant", |tx, _| plugins::grant(tx, &grant("https://a")), &["plugin_grant"]),
    (
        "plugins::grant, again",
        |tx, _| plugins::grant(tx, &PluginGrant { granted_us: 2, ..grant("https://a") }),
        &["plugin_grant"],
    ),
    (
        "plugins::revoke",
        |tx, _| plugins::revoke(tx, "gateway", GrantKind::Host, "https://a").map(|was| assert!(was)),
        &["plugin_grant"],
    ),
    ("gateway_map::put", |tx, _| gateway_map::put(tx, &map("127.0.0.1:1")), &["gateway_map"]),
    ("gateway_map::put, again", |tx, _| gateway_map::put(tx, &map("127.0.0.1:2")), &["gateway_map"]),
    (
        "gateway_map::remove",
        |tx, _| gateway_map::remove(tx, "https://gateway.example").map(|was| assert!(was)),
        &["gateway_map"],
    ),
    ("channels::insert", |tx, world| channels::insert(tx, &channel(world.shop)), &["channel"]),
    (
        "channels::update",
        |tx, world| {
            let row = stored_channel(tx, world)?;
            channels::update(tx, &Channel { name: "new".to_owned(), ..row })
        },
        &["channel"],
    ),
    (
        "channels::set_default",
        |tx, World { shop, channel }| {
            let purpose = "pay".to_owned();
            let default = ChannelDefault { shop_id: shop, mode: Mode::Test, purpose, channel_id: channel };
            channels::set_default(tx, &default)
        },
        &["channel_default"],
    ),
    ("channels::put_secret", |tx, world| set_secret(tx, world, 1), &["channel_secret"]),
    ("channels::put_secret, again", |tx, world| set_secret(tx, world, 2), &["channel_secret"]),
    (
        "channels::revise",
        |tx, world| {
            let row = stored_channel(tx, world)?;
            channels::revise(tx, &row, 3).map(|number| assert_eq!(number, 2))
        },
        &["channel_revision"],
    ),
    (
        "channels::remove_secret",
        |tx, world| {
            let key = (world.shop, world.channel);
            channels::remove_secret(tx, key, "sign_key", 4).map(|was| assert!(was))
        },
        &["channel_secret"],
    ),
    (
        "channels::purge_secrets",
        |tx, world| {
            channels::purge_secrets(tx, (world.shop, world.channel), 9).map(|gone| assert_eq!(gone, 2))
        },
        &["channel_secret"],
    ),
    (
        "channels::remove",
        |tx, world| {
            set_secret(tx, world, 5)?;
            channels::remove(tx, world.shop, Some(world.channel), 6)
        },
        &["channel", "channel_default", "channel_secret"],
    ),
    ("channels::remove, all", |tx, world| channels::remove(tx, world.shop, None, 7), &["channel"]),
    (
        "plugins::remove",
        |tx, _| {
            plugins::grant(tx, &grant("https://b"))?;
            plugins::remove(tx, "gateway", 8)
        },
        &["plugin", "plugin_grant"],
    ),
];

/// How many rows were added, changed or removed, by table. (The server counts on until it tells its statistics.)
fn counted(tx: &mut Tx<'_>) -> Result<BTreeMap<String, i64>, Error> {
    let sql = "SELECT relname::text, n_tup_ins + n_tup_upd + n_tup_del FROM pg_stat_xact_user_tables \
               WHERE schemaname = 'public'";
    Ok(tx.query(sql, &[], |row| Ok((row.get(0)?, row.get(1)?)))?.into_iter().collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_function_that_sets_something_raises_the_number() {
    let store = database().open();
    let world = world(&store).await;
    let mut seen = BTreeSet::new();
    for (name, set, tables) in CASES {
        let before = change(&store).await;
        let set_in = ok(&store, move |tx| {
            let before = counted(tx)?;
            set(tx, world)?;
            let changed = |(table, count): &(String, i64)| before.get(table) != Some(count) && *count > 0;
            Ok(counted(tx)?.into_iter().filter(changed).map(|(table, _)| table).collect::<BTreeSet<_>>())
        })
        .await;
        assert_eq!(set_in, tables.iter().map(|table| (*table).to_owned()).collect(), "{name}");
        assert!(change(&store).await > before, "{name}");
        seen.extend(set_in.into_iter().filter(|table| table != "plugin"));
    }
    assert_eq!(seen, SETTINGS.map(str::to_owned).into(), "every table of settings was set");
}

/// A grant that nobody needs any more is thrown away by the host.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn withdrawn_grants_that_are_forgotten_raise_the_number() {
    let store = database().open();
    let world = world(&store).await;
    let (payment, ..) = world.stored(&store, "1").await;
    ok(&store, |tx| {
        plugins::grant(tx, &grant("https://a"))?;
        plugins::remove(tx, "gateway", 1)?;
        assert_eq!(plugins::forget_grants(tx)?, 0);
        Ok(())
    })
    .await;
    ok(&store, move |tx| {
        let state = payhost_core::PaymentState::Expired;
        payments::save(tx, &mut payments::Payment { state, expired: true, ..payment }, NOW_US)
    })
    .await;
    let before = change(&store).await;
    ok(&store, |tx| plugins::forget_grants(tx).map(|gone| assert_eq!(gone, 1))).await;
    assert!(change(&store).await > before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_raises_no_number() {
    let store = database().open();
    let world = world(&store).await;
    let before = change(&store).await;
    let (payment, checkout, _) = world.stored(&store, "1").await;
    let attempt = world.complete(payment.id, checkout.id);
    ok(&store, move |tx| {
        assert_eq!(attempts::start(tx, &attempt)?, attempts::Started::New);
        jobs::enqueue(tx, &job(world.shop, "resolve/1", 1), 0)?;
        let mut payment = payments::lock(tx, world.shop, payment.id)?.unwrap();
        attempts::settle(tx, &Attempt { state: AttemptState::Succeeded, ..attempt })?;
        assert!(facts::record(tx, &world.fact(payment.id, FactKind::Approved, 0, 1000))?.is_new());
        payment.paid = 1000;
        payments::save(tx, &mut payment, NOW_US)?;
        // It reads settings, and holds the channel.
        assert!(channels::ask_hold(tx, world.shop, world.channel)?.first(tx)?.is_some());
        assert!(channels::lock(tx, world.shop, world.channel)?.is_some());
        assert!(shops::lock(tx, world.shop)?.is_some());
        Ok(())
    })
    .await;
    assert_eq!(change(&store).await, before);
    ok(&store, |tx| host_jobs::claim(tx, "tidy", "token", 1, 9).map(|_| ())).await;
    ok(&store, |tx| plugins::activate(tx, "gateway", DIGEST, 9)).await;
    assert_eq!(change(&store).await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_set_and_not_kept_raises_no_number() {
    let store = database().open();
    let world = world(&store).await;
    let before = change(&store).await;
    for (_, set, _) in CASES.iter().filter(|(name, ..)| ["shops::update", "gateway_map::put"].contains(name))
    {
        let refused: Result<(), Error> = store
            .transact(move |tx| {
                set(tx, world)?;
                Err(Error::Busy)
            })
            .await;
        assert_eq!(refused, Err(Error::Busy));
    }
    assert_eq!(change(&store).await, before);
}

/// Two that set something at once: none waits for the other until its commit, and each makes a number of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_at_once_have_numbers_of_their_own() {
    let store = database().open();
    let (both, before) = (std::sync::Arc::new(std::sync::Barrier::new(2)), change(&store).await);
    let set = |origin: &'static str| {
        let (store, both) = (store.clone(), both.clone());
        tokio::spawn(async move {
            let number: Result<i64, Error> = store
                .transact(move |tx| {
                    gateway_map::put(tx, &GatewayMap { origin: origin.to_owned(), ..map("127.0.0.1:1") })?;
                    let own = tx.query_one("SELECT txid_current()", &[], |row| row.get(0))?;
                    both.wait();
                    Ok(own)
                })
                .await;
            number.unwrap()
        })
    };
    let (one, two) = tokio::join!(set("https://a"), set("https://b"));
    let (one, two) = (one.unwrap(), two.unwrap());
    let last = change(&store).await;
    assert!(one != two && one > before && two > before);
    assert!([one, two].contains(&last), "of {one} and {two} one was the last: {last}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_table_is_of_settings_or_is_not() {
    let store = database().open();
    let sql = "SELECT relname::text FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace \
               AND relname NOT LIKE 'refinery%'";
    let tables = ok(&store, move |tx| tx.query(sql, &[], |row| row.get::<String>(0))).await;
    let mut listed = BTreeMap::<&str, u32>::new();
    SETTINGS.iter().chain(&OTHERS).for_each(|table| *listed.entry(table).or_default() += 1);
    assert!(listed.values().all(|times| *times == 1), "{listed:?}");
    let listed: BTreeSet<String> = listed.into_keys().map(str::to_owned).collect();
    assert_eq!(tables.into_iter().collect::<BTreeSet<_>>(), listed);
}

/// The store's list is its own; its text is compared.
#[test]
fn the_tables_here_are_those_of_the_store() {
    let text = include_str!("../../src/postgres/settings.rs");
    let (_, list) = text.split_once("const TABLES: &[&str] = &[").unwrap();
    let (list, _) = list.split_once("];").unwrap();
    let listed: BTreeSet<&str> = list.split('"').skip(1).step_by(2).collect();
    assert_eq!(listed, SETTINGS.into());
}
