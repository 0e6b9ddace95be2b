//! Copies between the backends.

use payhost_core::id::{EventId, KeyId, NoticeId};
use payhost_core::{FactKind, PaymentState};
use payhost_store::copy::{Report, contents, copy};
use payhost_store::rows::api_keys::{self, ApiKey};
use payhost_store::rows::attempts::{self, Attempt, AttemptKind, AttemptState};
use payhost_store::rows::calls::{self, Call};
use payhost_store::rows::channels::{self, ChannelDefault};
use payhost_store::rows::deliveries::{self, Delivery, DeliveryState};
use payhost_store::rows::endpoints;
use payhost_store::rows::events::{self, Event};
use payhost_store::rows::gateway_map::{self, GatewayMap};
use payhost_store::rows::idempotency::{self, Idempotency, IdempotencyState};
use payhost_store::rows::notices::{self, Notice, NoticeState};
use payhost_store::rows::payments::Payment;
use payhost_store::rows::{Mode, facts, host_jobs, jobs, meta, payments, plugins};
use payhost_store::{Blob, Error, Json, MasterKey, Options, Sealed, Store, Tx, Vault};

use crate::database;
use crate::suite::fixture::{DIGEST, NOW_US, World, call_id, endpoint_id, fresh, job, ok, shop_id, world};
use crate::suite::keys::operator_key;
use crate::suite::twins::{plant, rows_of};

fn sqlite() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(Options::sqlite(folder.path().join("payhost.db"))).unwrap();
    (folder, store)
}

/// Rows in every table, with nulls, bytes, Korean, and pointers to rows that sort later.
pub async fn fill(store: &Store) {
    Vault::open(store, MasterKey::from_bytes([7; 32])).await.unwrap();
    for at in 0..3 {
        let world = world(store).await;
        ok(store, move |tx| per_shop(tx, world, at)).await;
        for order in 0..70 {
            let (payment, checkout, _) = world.stored(store, &format!("주문 {order}")).await;
            let attempt = Attempt { state: AttemptState::InDoubt, ..world.complete(payment.id, checkout.id) };
            ok(store, move |tx| per_payment(tx, world, payment, attempt)).await;
        }
    }
    ok(store, |tx| {
        let grant = plugins::PluginGrant {
            plugin_id: "gateway".to_owned(),
            kind: plugins::GrantKind::Browser,
            origin: "https://gateway.example".to_owned(),
            uses: Json::of(&["script"])?,
            granted_us: 1,
            withdrawn_us: None,
        };
        plugins::grant(tx, &grant)?;
        let map = GatewayMap {
            origin: "https://gateway.example".to_owned(),
            connect: "127.0.0.1:1".to_owned(),
            ca_pem: None,
            browser_origin: None,
            created_us: 0,
        };
        gateway_map::put(tx, &map)?;
        api_keys::insert_operator(tx, &operator_key(9))?;
        host_jobs::claim(tx, "tidy", "token", 5, 9).map(|_| ())
    })
    .await;
}

fn per_shop(tx: &mut Tx<'_>, world: World, at: u8) -> Result<(), Error> {
    let (now_ms, random) = fresh();
    let key = ApiKey {
        id: KeyId::new(now_ms, random),
        shop_id: world.shop,
        mode: Mode::Live,
        name: String::new(),
        hash: Blob(vec![at; 32]),
        hint: "abcd".to_owned(),
        created_us: 0,
        expires_us: None,
        binding: Blob(vec![at, 0]),
        revoked_us: None,
    };
    api_keys::insert(tx, &key)?;
    jobs::enqueue(tx, &job(world.shop, "resolve/1", 5), 0)?;
    endpoints::insert(tx, &world.endpoint(endpoint_id()))?;
    let (shop_id, channel_id, mode) = (world.shop, world.channel, Mode::Test);
    channels::set_default(tx, &ChannelDefault { shop_id, mode, purpose: "pay".to_owned(), channel_id })?;
    let sealed = Sealed::from_bytes(vec![0, 255, at]);
    channels::put_secret(tx, (world.shop, world.channel), "sign_key", NOW_US, |_| Ok(sealed)).map(|_| ())
}

fn per_payment(tx: &mut Tx<'_>, world: World, payment: Payment, attempt: Attempt) -> Result<(), Error> {
    let mut payment = payment;
    assert_eq!(attempts::start(tx, &attempt)?, attempts::Started::New);
    let undo = Attempt { parent_id: Some(attempt.id), ..world.attempt(payment.id, AttemptKind::Undo) };
    assert_eq!(attempts::start(tx, &undo)?, attempts::Started::New);
    for fact in [
        world.fact(payment.id, FactKind::Approved, 0, 1000),
        world.fact(payment.id, FactKind::Cancelled, 1, 300),
        world.fact(payment.id, FactKind::Issued, 0, 1),
    ] {
        assert!(facts::record(tx, &fact)?.is_new());
    }
    (payment.paid, payment.cancelled, payment.state) = (1000, 300, PaymentState::PartiallyCancelled);
    (payment.cancelled_tax_free, payment.cancelled_vat) = (20, 10);
    payment.approved_checkout_id = attempt.checkout_id;
    payments::save(tx, &mut payment, NOW_US)?;
    let (now_ms, random) = fresh();
    let event = Event {
        id: EventId::new(now_ms, random),
        shop_id: world.shop,
        mode: Mode::Test,
        payment_id: Some(payment.id),
        sequence: Some(1),
        name: "payment.paid".to_owned(),
        payload: Sealed::from_bytes(vec![0, 255]),
        created_us: NOW_US,
    };
    events::insert(tx, &event)?;
    let (now_ms, random) = fresh();
    let notice = Notice {
        id: NoticeId::new(now_ms, random),
        shop_id: world.shop,
        channel_id: world.channel,
        mode: Mode::Test,
        digest: payment.id.to_string(),
        source: "203.0.113.9".to_owned(),
        listed: false,
        size: 1,
        order_ref: None,
        raw: Some(Sealed::from_bytes(vec![0, 255])),
        times: 1,
        state: NoticeState::Applied,
        reading: None,
        reply: Some("OK".to_owned()),
        reply_type: None,
        summary: Sealed::from_bytes(vec![1]),
        payment_id: Some(payment.id),
        reason: None,
        forward: None,
        forward_status: None,
        forwarded_us: None,
        since_us: 1,
        created_us: NOW_US,
        updated_us: NOW_US,
    };
    assert!(notices::keep(tx, &notice)?.is_none());
    for endpoint in endpoints::list(tx, world.shop, Mode::Test)? {
        let delivery = Delivery {
            shop_id: world.shop,
            endpoint_id: endpoint.id,
            event_id: event.id,
            name: event.name.clone(),
            payment_url: None,
            state: DeliveryState::Failed,
            tries: 10,
            due_us: NOW_US,
            tried_us: None,
            took_us: Some(1),
            status: Some(500),
            error: Some("답".to_owned()),
            answer: Some(Sealed::from_bytes(vec![0])),
            created_us: NOW_US,
        };
        assert!(deliveries::insert_new(tx, &delivery)?);
    }
    let row = Idempotency {
        shop_id: world.shop,
        mode: Mode::Test,
        key: payment.id.to_string(),
        request_hash: Blob(vec![]),
        state: IdempotencyState::Running,
        status: None,
        body: None,
        payment_id: Some(payment.id),
        created_us: NOW_US,
        expires_us: i64::MAX,
    };
    assert_eq!(idempotency::begin(tx, &row)?, idempotency::Begun::New);
    let call = Call {
        id: call_id(),
        shop_id: world.shop,
        channel_id: Some(world.channel),
        payment_id: Some(payment.id),
        attempt_id: Some(attempt.id),
        plugin_digest: DIGEST.to_owned(),
        interface: "general-pay".to_owned(),
        function: "complete".to_owned(),
        at_us: NOW_US,
        duration_us: 40,
        cpu_us: 40,
        memory_bytes: 65_536,
        fault: None,
        record: Some(Sealed::from_bytes(vec![1; 300])),
        record_digest: Some("d1".into()),
        kept_until_us: NOW_US,
    };
    calls::insert(tx, &call)
}

fn check(report: &Report) {
    assert!(report.tables.iter().all(|table| table.rows > 0), "every table is tested: {report:#?}");
    let of = |name: &str| report.tables.iter().find(|table| table.table == name).unwrap();
    assert_eq!((of("payment").rows, of("fact").rows, of("ledger_entry").rows), (210, 630, 840));
    assert_eq!(
        of("payment").sums,
        [
            ("total", 210_000),
            ("paid", 210_000),
            ("cancelled", 63_000),
            ("cancelled_tax_free", 4_200),
            ("cancelled_vat", 2_100)
        ]
    );
    assert_eq!(of("ledger_entry").sums, [("amount", 0)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_there_and_back_is_the_same() {
    let (_folder, first) = sqlite();
    fill(&first).await;
    let postgres = database().open();
    let (_folder, second) = sqlite();
    let there = copy(&first, &postgres).await.unwrap();
    check(&there);
    let back = copy(&postgres, &second).await.unwrap();
    assert_eq!(there, back);
    for store in [&first, &postgres, &second] {
        assert_eq!(contents(store).await.unwrap(), there);
    }
    Vault::open(&postgres, MasterKey::from_bytes([7; 32])).await.unwrap();
    let wrong = Vault::open(&postgres, MasterKey::from_bytes([8; 32])).await.unwrap_err();
    assert_eq!(wrong, Error::WrongMasterKey);
}

/// In every table of shops.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_with_the_same_ids_in_two_shops_are_both_copied() {
    let (_folder, first) = sqlite();
    let planted = plant(&first).await;
    let (postgres, (_other, second)) = (database().open(), sqlite());
    let there = copy(&first, &postgres).await.unwrap();
    assert_eq!(copy(&postgres, &second).await.unwrap(), there);
    for rows in planted {
        let shop = rows.shop();
        let in_all = [&first, &postgres, &second].map(|store| ok(store, move |tx| rows_of(tx, shop)));
        let [ours, theirs, back] = in_all;
        let (ours, theirs, back) = tokio::join!(ours, theirs, back);
        assert!(ours.iter().all(|(_, rows)| !rows.is_empty()), "{ours:?}");
        assert!(ours == theirs && ours == back, "{shop}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_table_and_column_is_copied() {
    let (_folder, store) = sqlite();
    let tables = ok(&store, |tx| {
        let sql =
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'refinery%' ORDER BY name";
        tx.query(sql, &[], |row| row.get::<String>(0))
    })
    .await;
    let mut copied: Vec<_> =
        contents(&store).await.unwrap().tables.into_iter().map(|table| table.table).collect();
    copied.sort_unstable();
    assert_eq!(tables, copied);
    let columns = payhost_store::copy::columns();
    for (table, listed) in columns {
        let sql = format!(
            "SELECT group_concat(name, ', ') FROM (SELECT name FROM pragma_table_info('{table}') ORDER BY name)"
        );
        let all = ok(&store, move |tx| tx.query_one(&sql, &[], |row| row.get::<String>(0))).await;
        let mut listed: Vec<&str> = listed.split(", ").collect();
        listed.sort_unstable();
        assert_eq!(listed.join(", "), all, "{table}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_is_not_empty_is_refused_and_stays_as_it_is() {
    let (_folder, from) = sqlite();
    fill(&from).await;
    let to = database().open();
    ok(&to, |tx| jobs::enqueue(tx, &job(shop_id(), "a", 1), 0)).await;
    let before = contents(&to).await.unwrap();
    assert_eq!(copy(&from, &to).await.unwrap_err(), Error::NotEmpty { what: "job" });
    assert_eq!(contents(&to).await.unwrap(), before);
    assert!(matches!(copy(&from, &from).await.unwrap_err(), Error::Address(_)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_fails_in_the_middle_leaves_the_target_empty() {
    let from = database().open();
    fill(&from).await;
    let (_folder, to) = sqlite();
    let empty = contents(&to).await.unwrap();
    // Something that only the commit can find: the source was changed by a hand past its foreign keys.
    ok(&from, |tx| {
        tx.execute("ALTER TABLE attempt DROP CONSTRAINT attempt_shop_id_parent_id_fkey", &[])?;
        tx.execute("UPDATE attempt SET parent_id = 'nobody' || id WHERE kind = 'undo'", &[])
    })
    .await;
    assert_eq!(copy(&from, &to).await.unwrap_err(), Error::ForeignKey);
    assert_eq!(contents(&to).await.unwrap(), empty);
    from.close().await;
    assert_eq!(copy(&from, &to).await.unwrap_err(), Error::Closed);
    ok(&to, |tx| meta::set(tx, "a", "1")).await;
}
