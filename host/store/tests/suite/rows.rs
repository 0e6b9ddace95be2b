//! The other tables.

use payhost_core::PaymentState;
use payhost_core::id::EventId;
use payhost_store::rows::attempts::{self, Started};
use payhost_store::rows::calls::{self, Call};
use payhost_store::rows::channels::{self, ChannelDefault};
use payhost_store::rows::checkouts::{self, Checkout};
use payhost_store::rows::events::{self, Event};
use payhost_store::rows::gateway_map::{self, GatewayMap};
use payhost_store::rows::idempotency::{self, Begun, Idempotency, IdempotencyState};
use payhost_store::rows::in_use::in_use;
use payhost_store::rows::jobs::{self, NewJob};
use payhost_store::rows::notices::{self, NoticeState};
use payhost_store::rows::payments::{self, Payment};
use payhost_store::rows::plugins::{self, Component, GrantKind, PluginGrant};
use payhost_store::rows::{Mode, shops};
use payhost_store::{Blob, Json, Sealed};
use serde_json::json;

use super::Database;
use super::fixture::{DIGEST, NOW_US, call_id, component, err, fresh, json_of, ok, world};

pub async fn an_idempotency_key_belongs_to_one_request(database: &Database) {
    let store = database.open();
    let (ours, theirs) = (world(&store).await, world(&store).await);
    let row = |shop_id, mode, hash: u8| Idempotency {
        shop_id,
        mode,
        key: "k".to_owned(),
        request_hash: Blob(vec![hash]),
        state: IdempotencyState::Running,
        status: None,
        body: None,
        payment_id: None,
        created_us: NOW_US,
        expires_us: NOW_US + 10,
    };
    ok(&store, move |tx| {
        let first = row(ours.shop, Mode::Test, 1);
        assert_eq!(idempotency::begin(tx, &first)?, Begun::New);
        assert_eq!(idempotency::begin(tx, &first)?, Begun::Known(Box::new(first.clone())));
        assert_eq!(idempotency::begin(tx, &row(ours.shop, Mode::Test, 2))?, Begun::OtherRequest);
        assert_eq!(idempotency::begin(tx, &row(ours.shop, Mode::Live, 2))?, Begun::New);
        assert_eq!(idempotency::begin(tx, &row(theirs.shop, Mode::Test, 2))?, Begun::New);
        for status in [202, 200] {
            let body = Sealed::from_bytes(vec![1, 255]);
            idempotency::finish(tx, (ours.shop, Mode::Test, "k"), status, &body, None)?;
            let known = idempotency::get(tx, ours.shop, Mode::Test, "k")?.unwrap();
            assert_eq!((known.state, known.status), (IdempotencyState::Done, Some(status)));
            assert_eq!(known.body, Some(body));
        }
        idempotency::release(tx, ours.shop, Mode::Test, "k")?;
        assert!(idempotency::get(tx, ours.shop, Mode::Test, "k")?.is_some(), "an answer is not released");
        idempotency::release(tx, ours.shop, Mode::Live, "k")?;
        assert_eq!(idempotency::begin(tx, &row(ours.shop, Mode::Live, 3))?, Begun::New);
        // Not known yet is no answer: whoever then finds that nothing was done frees the key.
        idempotency::finish(tx, (ours.shop, Mode::Live, "k"), 202, &Sealed::from_bytes(vec![1]), None)?;
        idempotency::release(tx, ours.shop, Mode::Live, "k")?;
        assert_eq!(idempotency::get(tx, ours.shop, Mode::Live, "k")?, None);
        Ok(())
    })
    .await;
    let unanswered = "UPDATE idempotency SET state = 'done'";
    let error = err(&store, move |tx| tx.execute(unanswered, &[])).await;
    assert!(error.is_check("idempotency_done_has_answer"), "{error:?}");
}

pub async fn an_expired_idempotency_key_is_free(database: &Database) {
    let store = database.open();
    let world = world(&store).await;
    let row = move |created_us: i64| Idempotency {
        shop_id: world.shop,
        mode: Mode::Test,
        key: "k".to_owned(),
        request_hash: Blob(created_us.to_be_bytes().to_vec()),
        state: IdempotencyState::Running,
        status: None,
        body: None,
        payment_id: None,
        created_us,
        expires_us: created_us + 10,
    };
    ok(&store, move |tx| {
        assert_eq!(idempotency::begin(tx, &row(0))?, Begun::New);
        assert_eq!(idempotency::begin(tx, &row(9))?, Begun::OtherRequest);
        assert_eq!(idempotency::begin(tx, &row(10))?, Begun::New);
        assert_eq!((idempotency::purge(tx, 19, 9)?, idempotency::purge(tx, 20, 9)?), (0, 1));
        Ok(())
    })
    .await;
}

pub async fn a_component_never_changes_and_a_plugin_moves_between_versions(database: &Database) {
    let store = database.open();
    ok(&store, |tx| {
        assert!(plugins::add_component(tx, &component())?);
        let other = Component { bytes: Blob(vec![9]), ..component() };
        assert!(!plugins::add_component(tx, &other)?);
        assert_eq!(plugins::component(tx, DIGEST)?, Some(component()));
        let head = plugins::component_head(tx, DIGEST)?.unwrap();
        assert_eq!(head, Component { bytes: Blob(Vec::new()), ..component() });
        let newer = Component { digest: "d2".to_owned(), installed_us: NOW_US + 1, ..component() };
        plugins::add_component(tx, &newer)?;
        let versions = plugins::component_heads(tx, "gateway")?;
        assert_eq!(
            versions.iter().map(|version| version.digest.as_str()).collect::<Vec<_>>(),
            ["d2", DIGEST]
        );
        plugins::activate(tx, "gateway", DIGEST, 1)?;
        plugins::activate(tx, "gateway", "d2", 2)?;
        let plugin = plugins::get(tx, "gateway")?.unwrap();
        assert_eq!((plugin.active_digest.as_str(), plugin.installed_us, plugin.updated_us), ("d2", 1, 2));
        assert_eq!(plugins::list(tx, false)?, [plugin]);
        Ok(())
    })
    .await;
}

pub async fn a_grant_is_of_a_kind_and_for_the_uses_that_were_seen(database: &Database) {
    let store = database.open();
    ok(&store, |tx| {
        plugins::add_component(tx, &component())?;
        plugins::activate(tx, "gateway", DIGEST, 1)?;
        let grant = |kind, origin: &str, uses: &[&str], granted_us| PluginGrant {
            plugin_id: "gateway".to_owned(),
            kind,
            origin: origin.to_owned(),
            uses: Json::of(&uses).unwrap(),
            granted_us,
            withdrawn_us: None,
        };
        let (b, a) =
            (grant(GrantKind::Host, "https://b", &[], 1), grant(GrantKind::Host, "https://a", &[], 1));
        let first = grant(GrantKind::Browser, "https://b", &["img"], 1);
        let again = grant(GrantKind::Browser, "https://b", &["img", "script"], 2);
        for row in [&b, &a, &first, &again] {
            plugins::grant(tx, row)?;
        }
        assert_eq!(plugins::grants(tx, "gateway")?, [again.clone(), a, b.clone()]);
        let mut revoke = |kind| plugins::revoke(tx, "gateway", kind, "https://a");
        assert!(!revoke(GrantKind::Browser)? && revoke(GrantKind::Host)? && !revoke(GrantKind::Host)?);
        assert_eq!(plugins::grants(tx, "gateway")?, [again, b]);
        Ok(())
    })
    .await;
}

pub async fn a_secrets_version_rises_with_every_change(database: &Database) {
    let store = database.open();
    let (ours, theirs) = (world(&store).await, world(&store).await);
    ok(&store, move |tx| {
        let key = (ours.shop, ours.channel);
        for version in [1, 2] {
            let seal = |_| Ok(Sealed::from_bytes(vec![1]));
            assert_eq!(channels::put_secret(tx, key, "sign_key", NOW_US, seal)?, version);
        }
        let stored = channels::secrets(tx, ours.shop, ours.channel)?;
        assert_eq!((stored.len(), stored[0].version), (1, 2));
        assert!(channels::secrets(tx, theirs.shop, ours.channel)?.is_empty());
        assert!(!channels::remove_secret(tx, (theirs.shop, ours.channel), "sign_key", NOW_US)?);
        assert!(channels::remove_secret(tx, key, "sign_key", NOW_US)?);
        assert!(channels::secrets(tx, ours.shop, ours.channel)?.is_empty());
        let seal = |version| Ok(Sealed::from_bytes(vec![u8::try_from(version).unwrap()]));
        assert_eq!(channels::put_secret(tx, key, "sign_key", NOW_US, seal)?, 3);
        Ok(())
    })
    .await;
}

pub async fn the_default_channel_is_found_by_purpose(database: &Database) {
    let store = database.open();
    let (ours, theirs) = (world(&store).await, world(&store).await);
    ok(&store, move |tx| {
        let default = |channel_id| ChannelDefault {
            shop_id: ours.shop,
            mode: Mode::Test,
            purpose: "pay".to_owned(),
            channel_id,
        };
        let second = super::fixture::channel(ours.shop);
        channels::insert(tx, &second)?;
        channels::set_default(tx, &default(ours.channel))?;
        channels::set_default(tx, &default(second.id))?;
        assert_eq!(channels::default(tx, ours.shop, Mode::Test, "pay")?, Some(second.clone()));
        assert_eq!(channels::default(tx, ours.shop, Mode::Live, "pay")?, None);
        assert_eq!(channels::default(tx, theirs.shop, Mode::Test, "pay")?, None);
        assert_eq!(channels::defaults(tx, ours.shop)?.len(), 1);
        assert_eq!(channels::get(tx, theirs.shop, second.id)?, None);
        assert_eq!(channels::list(tx, ours.shop, false)?.len(), 2);
        let changed = channels::Channel { enabled: false, name: "새 이름".to_owned(), ..second };
        channels::update(tx, &changed)?;
        assert_eq!(channels::get(tx, ours.shop, changed.id)?, Some(changed));
        assert_eq!(shops::list(tx, false, None, 10)?.len(), 2);
        assert_eq!(shops::list(tx, false, Some(ours.shop), 10)?.len(), 1);
        Ok(())
    })
    .await;
}

pub async fn a_journal_record_is_forgotten_after_its_time(database: &Database) {
    let store = database.open();
    let world = world(&store).await;
    let call = Call {
        id: call_id(),
        shop_id: world.shop,
        channel_id: Some(world.channel),
        payment_id: None,
        attempt_id: None,
        plugin_digest: DIGEST.to_owned(),
        interface: "general-pay".to_owned(),
        function: "begin".to_owned(),
        at_us: NOW_US,
        duration_us: 40,
        cpu_us: 40,
        memory_bytes: 65_536,
        fault: None,
        record: Some(Sealed::from_bytes(vec![1])),
        record_digest: Some("d1".into()),
        kept_until_us: NOW_US + 10,
    };
    ok(&store, move |tx| {
        calls::insert(tx, &call)?;
        assert_eq!(calls::get(tx, world.shop, call.id)?, Some(call.clone()));
        assert_eq!((calls::forget(tx, NOW_US + 9, 10)?, calls::forget(tx, NOW_US + 10, 10)?), (0, 1));
        assert_eq!(calls::get(tx, world.shop, call.id)?, Some(Call { record: None, ..call }));
        Ok(())
    })
    .await;
}

pub async fn events_of_a_payment_are_numbered_once(database: &Database) {
    let store = database.open();
    let world = world(&store).await;
    let (payment, ..) = world.stored(&store, "1").await;
    let event = move |sequence| {
        let (now_ms, random) = fresh();
        Event {
            id: EventId::new(now_ms, random),
            shop_id: world.shop,
            mode: Mode::Test,
            payment_id: Some(payment.id),
            sequence: Some(sequence),
            name: "payment.paid".to_owned(),
            payload: Sealed::from_bytes(vec![1]),
            created_us: NOW_US,
        }
    };
    let numbers = ok(&store, move |tx| {
        events::insert(tx, &event(2))?;
        events::insert(tx, &event(1))?;
        events::of_payment(tx, world.shop, payment.id)
    })
    .await;
    assert_eq!(numbers.iter().map(|event| event.sequence).collect::<Vec<_>>(), [Some(1), Some(2)]);
    let error = err(&store, move |tx| events::insert(tx, &event(2))).await;
    assert!(error.is_unique("event_sequence"), "{error:?}");
}

pub async fn the_gateway_map_is_replaced_and_removed(database: &Database) {
    let store = database.open();
    let map = |connect: &str| GatewayMap {
        origin: "https://gateway.example".to_owned(),
        connect: connect.to_owned(),
        ca_pem: None,
        browser_origin: Some("https://127.0.0.1:1".to_owned()),
        created_us: NOW_US,
    };
    ok(&store, move |tx| {
        gateway_map::put(tx, &map("127.0.0.1:1"))?;
        gateway_map::put(tx, &map("127.0.0.1:2"))?;
        assert_eq!(gateway_map::list(tx)?, [map("127.0.0.1:2")]);
        assert!(gateway_map::remove(tx, "https://gateway.example")?);
        assert!(!gateway_map::remove(tx, "https://gateway.example")?);
        Ok(())
    })
    .await;
}

pub async fn a_revision_keeps_what_a_channel_was_set_to(database: &Database) {
    let store = database.open();
    let world = world(&store).await;
    ok(&store, move |tx| {
        let key = (world.shop, world.channel);
        let mut row = channels::get(tx, key.0, key.1)?.unwrap();
        assert_eq!(channels::revise(tx, &row, NOW_US)?, 1);
        channels::put_secret(tx, key, "sign_key", NOW_US, |_| Ok(Sealed::from_bytes(vec![1])))?;
        assert_eq!((channels::revise(tx, &row, NOW_US)?, channels::revise(tx, &row, NOW_US)?), (2, 2));
        row.settings = json_of(json!({"mid": "b"}));
        channels::put_secret(tx, key, "sign_key", NOW_US, |_| Ok(Sealed::from_bytes(vec![2])))?;
        assert_eq!(channels::revise(tx, &row, NOW_US)?, 3);
        for (number, settings, sealed) in
            [(1, json!({}), None), (2, json!({}), Some(1)), (3, json!({"mid": "b"}), Some(2))]
        {
            let revision = channels::revision(tx, key.0, key.1, Some(number))?.unwrap();
            assert_eq!(revision.settings, json_of(settings));
            let all = channels::ask_secrets(tx, key.0, key.1)?.all(tx)?;
            let secrets = channels::secrets_of(&revision, all)?;
            let expected: Vec<_> = sealed.into_iter().map(|byte| Sealed::from_bytes(vec![byte])).collect();
            assert_eq!(secrets.into_iter().map(|secret| secret.sealed).collect::<Vec<_>>(), expected);
        }
        assert_eq!(channels::revision(tx, key.0, key.1, None)?.unwrap().number, 3);
        assert_eq!(channels::revision(tx, key.0, key.1, Some(4))?, None);
        Ok(())
    })
    .await;
}

pub async fn a_retired_secret_is_kept_while_a_payment_may_need_it(database: &Database) {
    let store = database.open();
    let world = world(&store).await;
    let (payment, ..) = world.stored(&store, "1").await;
    ok(&store, move |tx| {
        let key = (world.shop, world.channel);
        let row = channels::get(tx, key.0, key.1)?.unwrap();
        let seal = |_| Ok(Sealed::from_bytes(vec![1]));
        channels::put_secret(tx, key, "sign_key", NOW_US, seal)?;
        let number = channels::revise(tx, &row, NOW_US)?;
        let checkout = Checkout { revision: number, ..world.checkout(&payment) };
        checkouts::insert(tx, &checkout)?;
        for now_us in [NOW_US + 1, NOW_US + 2] {
            channels::put_secret(tx, key, "sign_key", now_us, seal)?;
            channels::revise(tx, &row, now_us)?;
        }
        // Version 1 is the checkout's, 2 is nobody's, 3 is in use.
        assert_eq!(channels::with_retired_secrets(tx, NOW_US + 9, None, 9)?, [key]);
        assert!(channels::with_retired_secrets(tx, NOW_US + 9, Some(key), 9)?.is_empty());
        assert_eq!(
            (channels::purge_secrets(tx, key, NOW_US + 2)?, channels::purge_secrets(tx, key, NOW_US + 3)?),
            (0, 1)
        );
        let revision = channels::revision(tx, key.0, key.1, Some(number))?.unwrap();
        let all = channels::ask_secrets(tx, key.0, key.1)?.all(tx)?;
        assert_eq!(channels::secrets_of(&revision, all)?.len(), 1);
        let mut over = Payment { state: PaymentState::Expired, expired: true, ..payment };
        payments::save(tx, &mut over, NOW_US)?;
        assert_eq!(channels::purge_secrets(tx, key, NOW_US + 9)?, 1);
        assert_eq!(channels::secrets(tx, key.0, key.1)?.len(), 1);
        Ok(())
    })
    .await;
}

pub async fn a_removed_channel_is_no_default_and_keeps_its_secrets_while_a_sale_needs_them(
    database: &Database,
) {
    let store = database.open();
    let world = world(&store).await;
    let (payment, ..) = world.stored(&store, "1").await;
    ok(&store, move |tx| {
        let key = (world.shop, world.channel);
        let row = channels::get(tx, key.0, key.1)?.unwrap();
        let (shop_id, mode, purpose) = (key.0, Mode::Test, "pay".to_owned());
        channels::set_default(tx, &ChannelDefault { shop_id, mode, purpose, channel_id: key.1 })?;
        // The checkout was opened with version 1 of the secret; a cancel is made with the newest.
        for (now_us, byte) in [(NOW_US, 1), (NOW_US + 1, 2)] {
            channels::put_secret(tx, key, "sign_key", now_us, |_| Ok(Sealed::from_bytes(vec![byte])))?;
            let revision = channels::revise(tx, &row, now_us)?;
            if byte == 1 {
                checkouts::insert(tx, &Checkout { revision, ..world.checkout(&payment) })?;
            }
        }
        assert!(channels::ask_hold(tx, key.0, key.1)?.first(tx)?.is_some());
        channels::remove(tx, key.0, Some(key.1), NOW_US + 2)?;
        let removed = channels::get(tx, key.0, key.1)?.unwrap();
        assert_eq!((removed.enabled, removed.removed_us), (false, Some(NOW_US + 2)));
        channels::remove(tx, key.0, None, NOW_US + 3)?;
        assert_eq!(channels::get(tx, key.0, key.1)?, Some(removed), "once");
        assert_eq!(channels::default(tx, key.0, Mode::Test, "pay")?, None);
        assert_eq!(channels::ask_hold(tx, key.0, key.1)?.first(tx)?, None);
        assert!(channels::list(tx, key.0, false)?.is_empty());
        assert_eq!(channels::list(tx, key.0, true)?.len(), 1);
        assert!(channels::secrets(tx, key.0, key.1)?.is_empty(), "none is in use");
        assert_eq!(channels::purge_secrets(tx, key, NOW_US + 9)?, 0, "the sale needs both");
        let mut over = Payment { state: PaymentState::Expired, expired: true, ..payment };
        payments::save(tx, &mut over, NOW_US)?;
        assert_eq!(channels::purge_secrets(tx, key, NOW_US + 9)?, 2);
        Ok(())
    })
    .await;
}

pub async fn a_removed_plugin_keeps_its_hosts_for_old_sales_alone(database: &Database) {
    let store = database.open();
    let (sold, idle) = (world(&store).await, world(&store).await);
    let (payment, ..) = sold.stored(&store, "1").await;
    ok(&store, move |tx| {
        let grant = |kind, origin: &str| PluginGrant {
            plugin_id: "gateway".to_owned(),
            kind,
            origin: origin.to_owned(),
            uses: Json::of(&[""]).unwrap(),
            granted_us: 1,
            withdrawn_us: None,
        };
        let host = grant(GrantKind::Host, "https://a");
        plugins::grant(tx, &host)?;
        plugins::grant(tx, &grant(GrantKind::Browser, "https://b"))?;
        let (count, named) = channels::of_plugin_of_any_shop(tx, "gateway", 1)?;
        assert_eq!((count, named.len()), (2, 1));
        channels::remove(tx, sold.shop, Some(sold.channel), NOW_US)?;
        plugins::remove(tx, "gateway", 7)?;
        assert_eq!((plugins::get(tx, "gateway")?, plugins::hold(tx, "gateway")?), (None, false));
        assert_eq!((plugins::list(tx, false)?.len(), plugins::list(tx, true)?.len()), (0, 1));
        assert!(plugins::grants(tx, "gateway")?.is_empty());
        let withdrawn = PluginGrant { withdrawn_us: Some(7), ..host.clone() };
        assert_eq!(plugins::withdrawn_grants(tx, "gateway")?, std::slice::from_ref(&withdrawn));
        let mut of =
            |world: super::fixture::World| plugins::ask_grants_of(tx, world.shop, world.channel)?.all(tx);
        assert_eq!((of(sold)?, of(idle)?), (vec![withdrawn], vec![]), "a channel that sells has none");
        plugins::activate(tx, "gateway", DIGEST, 8)?;
        assert!(plugins::hold(tx, "gateway")? && plugins::grants(tx, "gateway")?.is_empty());
        plugins::grant(tx, &host)?;
        assert_eq!(plugins::grants(tx, "gateway")?, [host]);
        plugins::remove(tx, "gateway", 9)?;
        assert_eq!(plugins::forget_grants(tx)?, 0);
        let mut over = Payment { state: PaymentState::Expired, expired: true, ..payment };
        payments::save(tx, &mut over, NOW_US)?;
        assert_eq!((plugins::forget_grants(tx)?, plugins::forget_grants(tx)?), (1, 0));
        Ok(())
    })
    .await;
}

pub async fn what_needs_a_channel_is_counted_apart_from_the_shops_other_channels(database: &Database) {
    let store = database.open();
    let world = world(&store).await;
    let (open, first, _) = world.stored(&store, "1").await;
    let (account, ..) = world.stored(&store, "2").await;
    ok(&store, move |tx| {
        let other = super::fixture::channel(world.shop);
        channels::insert(tx, &other)?;
        let of = |tx: &mut payhost_store::Tx<'_>, channel| in_use(tx, world.shop, channel);
        let mut waits = Payment { state: PaymentState::AwaitingDeposit, ..account };
        payments::save(tx, &mut waits, NOW_US)?;
        assert_eq!(attempts::start(tx, &world.complete(open.id, first.id))?, Started::New);
        let notice = super::notices::notice(world, "a", NoticeState::Read);
        notices::keep(tx, &notice)?;
        let key = format!("notice:{}", notice.id);
        let waiting = NewJob { kind: "notice", ..super::fixture::job(world.shop, &key, 1) };
        jobs::enqueue(tx, &waiting, NOW_US)?;
        let found = of(tx, Some(world.channel))?;
        assert_eq!(
            (found.payable, found.awaiting_deposit, found.unresolved, found.attempts, found.notices),
            (1, 1, 0, 1, 1)
        );
        assert_eq!(found.payments, [open.id, waits.id]);
        assert_eq!(of(tx, None)?, found);
        assert!(!of(tx, Some(other.id))?.any());
        Ok(())
    })
    .await;
}
