//! Rows to test with.

use std::sync::atomic::{AtomicU64, Ordering};

use payhost_core::id::{
    AttemptId, CallId, ChannelId, CheckoutId, EndpointId, EventId, FactId, JobId, PaymentId, ShopId,
};
use payhost_core::order_ref::order_ref;
use payhost_core::{Currency, FactKind, PaymentState, Resolution};
use payhost_store::rows::Mode;
use payhost_store::rows::attempts::{Attempt, AttemptKind, AttemptState};
use payhost_store::rows::channels::{self, Channel, InDoubt};
use payhost_store::rows::checkouts::{self, Checkout, CheckoutState};
use payhost_store::rows::endpoints::Endpoint;
use payhost_store::rows::facts::FactRow;
use payhost_store::rows::jobs::{self, Claim, Job, Lane, NewJob};
use payhost_store::rows::payments::{self, Confirm, Payment};
use payhost_store::rows::plugins::{self, Component};
use payhost_store::rows::shops::{self, Shop};
use payhost_store::{Blob, Error, Json, Sealed, Store};
use serde_json::json;

pub const NOW_US: i64 = 1_700_000_000_000_000;
pub const DIGEST: &str = "d1";

/// A moment and bytes for an id; later calls give later ids.
pub fn fresh() -> (i64, [u8; 10]) {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    let mut random = [0; 10];
    random[2..].copy_from_slice(&next.to_be_bytes());
    (1_700_000_000_000 + i64::try_from(next).unwrap(), random)
}

macro_rules! makers {
    ($($name:ident: $type:ident),* $(,)?) => {$(
        pub fn $name() -> $type {
            let (now_ms, random) = fresh();
            $type::new(now_ms, random)
        }
    )*};
}
makers!(
    shop_id: ShopId, channel_id: ChannelId, payment_id: PaymentId, checkout_id: CheckoutId, attempt_id: AttemptId,
    call_id: CallId, fact_id: FactId, job_id: JobId, endpoint_id: EndpointId, event_id: EventId,
);

pub fn json_of(value: serde_json::Value) -> Json {
    Json::from(value)
}

pub fn shop(id: ShopId) -> Shop {
    Shop {
        id,
        name: "책방".to_owned(),
        public_url: None,
        allowed_origins: json_of(json!([])),
        private_webhooks: false,
        data_key: Sealed::from_bytes(vec![1]),
        created_us: NOW_US,
        suspended_us: None,
        removed_us: None,
    }
}

pub fn channel(shop_id: ShopId) -> Channel {
    Channel {
        id: channel_id(),
        shop_id,
        plugin_id: "gateway".to_owned(),
        plugin_digest: DIGEST.to_owned(),
        name: "cards".to_owned(),
        mode: Mode::Test,
        purposes: json_of(json!(["pay"])),
        settings: json_of(json!({})),
        enabled: true,
        watch: false,
        in_doubt: InDoubt::Undo,
        notice_forward_url: None,
        created_us: NOW_US,
        updated_us: NOW_US,
        removed_us: None,
    }
}

pub fn component() -> Component {
    Component {
        digest: DIGEST.to_owned(),
        plugin_id: "gateway".to_owned(),
        version: "1.0.0".to_owned(),
        bytes: Blob(vec![0, 1, 2]),
        descriptor: json_of(json!({})),
        interfaces: json_of(json!(["general-pay"])),
        installed_us: NOW_US,
    }
}

/// A shop with a channel; the plugin is installed when it is not there yet.
#[derive(Clone, Copy)]
pub struct World {
    pub shop: ShopId,
    pub channel: ChannelId,
}

pub async fn world(store: &Store) -> World {
    let shop_row = shop(shop_id());
    let channel_row = channel(shop_row.id);
    let world = World { shop: shop_row.id, channel: channel_row.id };
    store
        .transact(move |tx| {
            plugins::add_component(tx, &component())?;
            plugins::activate(tx, "gateway", DIGEST, NOW_US)?;
            shops::insert(tx, &shop_row)?;
            channels::insert(tx, &channel_row)?;
            channels::revise(tx, &channel_row, NOW_US).map(|_| ())
        })
        .await
        .unwrap();
    world
}

impl World {
    pub fn payment(&self, order_id: &str) -> Payment {
        Payment {
            id: payment_id(),
            shop_id: self.shop,
            channel_id: self.channel,
            mode: Mode::Test,
            order_id: order_id.to_owned(),
            order_name: "책 두 권".to_owned(),
            total: 1000,
            currency: Currency::KRW,
            tax_free: Some(0),
            vat: None,
            method: Some(json_of(json!("card"))),
            buyer: Sealed::from_bytes(vec![1, 2, 3]),
            options: Sealed::from_bytes(vec![4]),
            metadata: Sealed::from_bytes(vec![0, 255]),
            language: "ko".to_owned(),
            confirm: Confirm::Automatic,
            return_url: None,
            webhook_url: None,
            state: PaymentState::Created,
            resolution: Resolution::None,
            version: 1,
            paid: 0,
            cancelled: 0,
            cancelled_tax_free: 0,
            cancelled_vat: 0,
            gateway_ref: None,
            approved_checkout_id: None,
            approved_at_us: None,
            paid_method: None,
            details: None,
            opened: false,
            failed: false,
            expired: false,
            given_up: false,
            late_us: None,
            last_failure: None,
            expires_us: NOW_US + 1,
            deposit_deadline_us: None,
            next_event: 1,
            created_us: NOW_US,
            updated_us: NOW_US,
        }
    }

    pub fn checkout(&self, payment: &Payment) -> Checkout {
        let id = checkout_id();
        Checkout {
            id,
            shop_id: self.shop,
            payment_id: payment.id,
            channel_id: self.channel,
            plugin_digest: DIGEST.to_owned(),
            revision: 1,
            order_ref: order_ref(&payment.order_id, id),
            device: "pc".to_owned(),
            state: CheckoutState::Opened,
            order_json: Sealed::from_bytes(vec![9]),
            callback: None,
            close_script: None,
            result: None,
            opened_us: NOW_US,
            updated_us: NOW_US,
        }
    }

    pub fn attempt(&self, payment: PaymentId, kind: AttemptKind) -> Attempt {
        Attempt {
            id: attempt_id(),
            shop_id: self.shop,
            payment_id: payment,
            checkout_id: None,
            parent_id: None,
            kind,
            state: AttemptState::Intent,
            call_id: call_id(),
            plugin_digest: DIGEST.to_owned(),
            revision: 1,
            request: Sealed::from_bytes(vec![5]),
            callback: None,
            now_ms: NOW_US / 1000,
            seed: "00".to_owned(),
            lease_until_us: NOW_US + 30,
            lease_token: "maker".to_owned(),
            outcome: None,
            created_us: NOW_US,
            updated_us: NOW_US,
        }
    }

    pub fn complete(&self, payment: PaymentId, checkout: CheckoutId) -> Attempt {
        Attempt { checkout_id: Some(checkout), ..self.attempt(payment, AttemptKind::Complete) }
    }

    pub fn fact(&self, payment: PaymentId, kind: FactKind, sequence: i64, amount: i64) -> FactRow {
        FactRow {
            id: fact_id(),
            shop_id: self.shop,
            channel_id: self.channel,
            payment_id: payment,
            attempt_id: None,
            kind,
            gateway_ref: format!("ref-{payment}"),
            sequence,
            amount,
            currency: Currency::KRW,
            at_us: NOW_US,
            detail: json_of(json!({})),
            created_us: NOW_US,
        }
    }

    pub fn endpoint(&self, id: EndpointId) -> Endpoint {
        Endpoint {
            id,
            shop_id: self.shop,
            mode: Mode::Test,
            url: Some("https://shop.example/hooks".to_owned()),
            name: "주문".to_owned(),
            events: json_of(json!(["*"])),
            secret: Sealed::from_bytes(vec![1]),
            old_secrets: json_of(json!([])),
            enabled: true,
            disabled_reason: None,
            disabled_us: None,
            failing_since_us: None,
            given_up: 0,
            slow_since_us: None,
            last_error: None,
            last_error_us: None,
            due_us: None,
            lease_until_us: None,
            lease_token: None,
            created_us: NOW_US,
            updated_us: NOW_US,
            deleted_us: None,
        }
    }

    /// A stored payment with two stored checkouts.
    pub async fn stored(&self, store: &Store, order_id: &str) -> (Payment, Checkout, Checkout) {
        let payment = self.payment(order_id);
        let (first, second) = (self.checkout(&payment), self.checkout(&payment));
        let rows = (payment.clone(), first.clone(), second.clone());
        store
            .transact(move |tx| {
                payments::insert(tx, &payment)?;
                checkouts::insert(tx, &first)?;
                checkouts::insert(tx, &second)
            })
            .await
            .unwrap();
        rows
    }
}

pub fn job(shop_id: ShopId, key: &str, due_us: i64) -> NewJob<'_> {
    NewJob {
        id: job_id(),
        lane: Lane::Work,
        kind: "resolve",
        key,
        shop_id,
        payload: json_of(json!({"due": due_us})),
        due_us,
    }
}

/// Runs a closure in a transaction that must succeed.
pub async fn ok<T: Send + 'static>(
    store: &Store,
    work: impl FnOnce(&mut payhost_store::Tx<'_>) -> Result<T, Error> + Send + 'static,
) -> T {
    store.transact(work).await.unwrap()
}

/// Runs a closure in a transaction that must fail.
pub async fn err<T: Send + std::fmt::Debug + 'static>(
    store: &Store,
    work: impl FnOnce(&mut payhost_store::Tx<'_>) -> Result<T, Error> + Send + 'static,
) -> Error {
    store.transact(work).await.unwrap_err()
}

/// Claims what is due in the lane that money waits for, up to so many jobs of each shop.
pub fn claim_all(
    tx: &mut payhost_store::Tx<'_>,
    now_us: i64,
    lease_until_us: i64,
    token: &str,
    limit: i64,
) -> Result<Vec<Job>, Error> {
    let due = jobs::look(tx, Lane::Work, now_us, None)?;
    let shops: Vec<_> = due.shops.into_iter().map(|(shop, _)| (shop, limit)).collect();
    jobs::claim(tx, &Claim { lane: Lane::Work, now_us, lease_until_us, token }, &shops)
}
