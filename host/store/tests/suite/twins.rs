//! Two shops whose rows have the same ids and keys, in every table of shops.

use payhost_core::id::{ChannelId, JobId, ShopId};
use payhost_core::{FactKind, Resolution};
use payhost_store::rows::Mode;
use payhost_store::rows::api_keys::{self, ApiKey};
use payhost_store::rows::attempts::{self, Attempt, AttemptKind, Started};
use payhost_store::rows::calls::{self, Call};
use payhost_store::rows::channels::{self, Channel, ChannelDefault};
use payhost_store::rows::checkouts::{self, Checkout};
use payhost_store::rows::deliveries::{self, Delivery, DeliveryState};
use payhost_store::rows::endpoints::{self, Endpoint};
use payhost_store::rows::events::{self, Event};
use payhost_store::rows::facts::{self, FactRow};
use payhost_store::rows::idempotency::{self, Begun, Idempotency, IdempotencyState};
use payhost_store::rows::jobs::{self, NewJob};
use payhost_store::rows::notices::{self, ForwardState, Notice, NoticeState};
use payhost_store::rows::payments::{self, Payment};
use payhost_store::rows::{plugins, shops};
use payhost_store::{Blob, Error, Sealed, Store, Tx, Value, params};

use super::fixture::{
    DIGEST, NOW_US, World, call_id, channel, component, endpoint_id, event_id, job, job_id, ok, shop, shop_id,
};
use super::keys::api_key;
use super::notices::notice;

/// The key of the job: its kind and the notice's id, as the host names those about notices.
const KIND: &str = "notice";

/// What is planted of a shop.
#[derive(Clone)]
pub struct Rows {
    pub world: World,
    pub channel: Channel,
    pub payment: Payment,
    pub checkout: Checkout,
    /// A complete that runs.
    pub attempt: Attempt,
    /// That is running, too.
    pub undo: Attempt,
    pub fact: FactRow,
    /// Of the payment.
    pub event: Event,
    /// Of no payment.
    pub loose: Event,
    pub endpoint: Endpoint,
    pub delivery: Delivery,
    /// About the payment; it is to be sent on.
    pub notice: Notice,
    /// About none, for a person.
    pub held: Notice,
    /// About none, and over.
    pub strange: Notice,
    pub call: Call,
    pub key: ApiKey,
    pub request: Idempotency,
    pub job: JobId,
    pub job_key: String,
}

/// Two shops with the same rows but for the shop, the one with the smaller id first.
pub async fn plant(store: &Store) -> [Rows; 2] {
    let (first, second) = (shop_id(), shop_id());
    let one = Rows::new(first);
    let two = one.of(second);
    let planted = [one, two];
    let rows = planted.clone();
    ok(store, move |tx| {
        plugins::add_component(tx, &component())?;
        plugins::activate(tx, "gateway", DIGEST, NOW_US)?;
        rows.iter().try_for_each(|rows| rows.insert(tx))
    })
    .await;
    planted
}

fn event(world: World, payment: Option<&Payment>) -> Event {
    Event {
        id: event_id(),
        shop_id: world.shop,
        mode: Mode::Test,
        payment_id: payment.map(|payment| payment.id),
        sequence: payment.map(|_| 1),
        name: "payment.paid".to_owned(),
        payload: Sealed::from_bytes(vec![1]),
        created_us: NOW_US,
    }
}

impl Rows {
    fn new(shop: ShopId) -> Self {
        let channel = channel(shop);
        let world = World { shop, channel: channel.id };
        let payment = Payment {
            resolution: Resolution::InDoubt,
            approved_at_us: Some(NOW_US),
            ..world.payment("order")
        };
        let checkout = world.checkout(&payment);
        let attempt = world.complete(payment.id, checkout.id);
        let undo = Attempt { parent_id: Some(attempt.id), ..world.attempt(payment.id, AttemptKind::Undo) };
        let (event, loose) = (event(world, Some(&payment)), event(world, None));
        let endpoint = Endpoint { due_us: Some(100), ..world.endpoint(endpoint_id()) };
        let about = Notice {
            order_ref: Some(checkout.order_ref.clone()),
            payment_id: Some(payment.id),
            forward: Some(ForwardState::Waiting),
            ..notice(world, "about", NoticeState::Read)
        };
        Self {
            fact: world.fact(payment.id, FactKind::Approved, 0, 1000),
            delivery: delivery(&endpoint, &event),
            call: call(&attempt, world),
            key: api_key(shop, 1),
            request: request(&payment),
            job: job_id(),
            job_key: format!("{KIND}:{}", about.id),
            held: notice(world, "held", NoticeState::Held),
            strange: notice(world, "strange", NoticeState::Refused),
            notice: about,
            world,
            channel,
            payment,
            checkout,
            attempt,
            undo,
            event,
            loose,
            endpoint,
        }
    }

    /// The same rows of another shop.
    fn of(&self, shop_id: ShopId) -> Self {
        let rows = self.clone();
        Self {
            world: World { shop: shop_id, ..rows.world },
            channel: Channel { shop_id, ..rows.channel },
            payment: Payment { shop_id, ..rows.payment },
            checkout: Checkout { shop_id, ..rows.checkout },
            attempt: Attempt { shop_id, ..rows.attempt },
            undo: Attempt { shop_id, ..rows.undo },
            fact: FactRow { shop_id, ..rows.fact },
            event: Event { shop_id, ..rows.event },
            loose: Event { shop_id, ..rows.loose },
            endpoint: Endpoint { shop_id, ..rows.endpoint },
            delivery: Delivery { shop_id, ..rows.delivery },
            notice: Notice { shop_id, ..rows.notice },
            held: Notice { shop_id, ..rows.held },
            strange: Notice { shop_id, ..rows.strange },
            call: Call { shop_id, ..rows.call },
            key: ApiKey { shop_id, ..rows.key },
            request: Idempotency { shop_id, ..rows.request },
            job: rows.job,
            job_key: rows.job_key,
        }
    }

    pub fn shop(&self) -> ShopId {
        self.world.shop
    }

    /// Shop and channel.
    pub fn place(&self) -> (ShopId, ChannelId) {
        (self.world.shop, self.world.channel)
    }

    pub fn job(&self, due_us: i64) -> NewJob<'_> {
        NewJob { id: self.job, kind: KIND, ..job(self.shop(), &self.job_key, due_us) }
    }

    pub fn set_secret(&self, tx: &mut Tx<'_>, now_us: i64) -> Result<i64, Error> {
        let seal = |_| Ok(Sealed::from_bytes(vec![1]));
        channels::put_secret(tx, self.place(), "sign_key", now_us, seal)
    }

    pub fn default(&self) -> ChannelDefault {
        let (shop_id, channel_id) = self.place();
        ChannelDefault { shop_id, mode: Mode::Test, purpose: "pay".to_owned(), channel_id }
    }

    fn insert(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        shops::insert(tx, &shop(self.shop()))?;
        channels::insert(tx, &self.channel)?;
        channels::revise(tx, &self.channel, NOW_US)?;
        // The first is retired, and no revision has it.
        assert_eq!((self.set_secret(tx, 1)?, self.set_secret(tx, 2)?), (1, 2));
        assert_eq!(channels::revise(tx, &self.channel, NOW_US)?, 2);
        channels::set_default(tx, &self.default())?;
        payments::insert(tx, &self.payment)?;
        checkouts::insert(tx, &self.checkout)?;
        for attempt in [&self.attempt, &self.undo] {
            assert_eq!(attempts::start(tx, attempt)?, Started::New);
        }
        assert!(facts::record(tx, &self.fact)?.is_new());
        endpoints::insert(tx, &self.endpoint)?;
        events::insert_all(tx, &[self.event.clone(), self.loose.clone()])?;
        assert!(deliveries::insert_new(tx, &self.delivery)?);
        for notice in [&self.notice, &self.held, &self.strange] {
            assert_eq!(notices::keep(tx, notice)?, None);
        }
        calls::insert(tx, &self.call)?;
        api_keys::insert(tx, &self.key)?;
        assert_eq!(idempotency::begin(tx, &self.request)?, Begun::New);
        jobs::enqueue(tx, &self.job(100), NOW_US)
    }
}

fn delivery(endpoint: &Endpoint, event: &Event) -> Delivery {
    Delivery {
        shop_id: endpoint.shop_id,
        endpoint_id: endpoint.id,
        event_id: event.id,
        name: event.name.clone(),
        payment_url: None,
        state: DeliveryState::Waiting,
        tries: 0,
        due_us: 100,
        tried_us: None,
        took_us: None,
        status: None,
        error: None,
        answer: None,
        created_us: NOW_US,
    }
}

fn call(attempt: &Attempt, world: World) -> Call {
    Call {
        id: call_id(),
        shop_id: world.shop,
        channel_id: Some(world.channel),
        payment_id: Some(attempt.payment_id),
        attempt_id: Some(attempt.id),
        plugin_digest: DIGEST.to_owned(),
        interface: "general-pay".to_owned(),
        function: "complete".to_owned(),
        at_us: NOW_US,
        duration_us: 40,
        cpu_us: 40,
        memory_bytes: 65_536,
        fault: None,
        record: Some(Sealed::from_bytes(vec![1])),
        record_digest: Some("d1".into()),
        kept_until_us: NOW_US,
    }
}

fn request(payment: &Payment) -> Idempotency {
    Idempotency {
        shop_id: payment.shop_id,
        mode: Mode::Test,
        key: "key".to_owned(),
        request_hash: Blob(vec![1]),
        state: IdempotencyState::Running,
        status: None,
        body: None,
        payment_id: None,
        created_us: NOW_US,
        expires_us: NOW_US + 10,
    }
}

/// A table, and its rows of a shop.
pub type TableRows = (&'static str, Vec<Vec<Value>>);

/// All rows of a shop in every table that has a shop.
pub fn rows_of(tx: &mut Tx<'_>, shop: ShopId) -> Result<Vec<TableRows>, Error> {
    let of_shops = payhost_store::copy::columns()
        .filter(|(_, columns)| columns.split(", ").any(|column| column == "shop_id"));
    let rows_in = |(table, columns): (&'static str, &'static str)| {
        let (sql, count) = (
            format!("SELECT {columns} FROM {table} WHERE shop_id = $1 ORDER BY {columns}"),
            columns.split(", ").count(),
        );
        let read = |row: &payhost_store::Row<'_>| (0..count).map(|at| row.get(at)).collect();
        Ok((table, tx.query(&sql, params![shop], read)?))
    };
    of_shops.map(rows_in).collect()
}

/// The rows of a shop with another shop's id in place of its own: those of two shops can be compared.
pub fn as_of(rows: Vec<TableRows>, shop: ShopId, other: ShopId) -> Vec<TableRows> {
    let (shop, other) = (shop.to_string(), Value::Text(other.to_string()));
    let renamed = |value: Value| if value == Value::Text(shop.clone()) { other.clone() } else { value };
    let row = |row: Vec<Value>| row.into_iter().map(renamed).collect();
    rows.into_iter().map(|(table, rows)| (table, rows.into_iter().map(row).collect())).collect()
}
