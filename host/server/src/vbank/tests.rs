//! Every order in which the facts of a virtual account can arrive, through the code that writes them, on both databases.

use std::sync::Arc;

use own_postgres::{FAST, Server};
use payhost_core::id::{ChannelId, CheckoutId, NoticeId, PaymentId, ShopId};
use payhost_core::{Currency, FactKind, Money, PaymentState, Resolution};
use payhost_engine::contract::types::{
    Account, Approval, Details, Institution, Method, Money as Amount, Text,
};
use payhost_engine::contract::vbank_notice::Deposit;
use payhost_store::rows::channels::{self, Channel, InDoubt};
use payhost_store::rows::checkouts::{self, Checkout, CheckoutState};
use payhost_store::rows::facts::{self, FactRow};
use payhost_store::rows::ledger::{self, Of};
use payhost_store::rows::notices::{self, Notice, NoticeState};
use payhost_store::rows::payments::{self, Confirm, Payment};
use payhost_store::rows::plugins::{self, Component};
use payhost_store::rows::shops::{self, Shop};
use payhost_store::rows::{Mode, events};
use payhost_store::{Blob, Error, Json, Sealed};
use serde_json::json;

use crate::Host;
use crate::payments::expire::expire;
use crate::payments::settle::{Change, NewFact};
use crate::sealed::Place;
use crate::time::Clock;
use crate::vbank::facts::{Trust, Verified, end, write};

const NOW_US: i64 = 1_800_000_000_000_000;
/// When the account's time was over.
const DUE_US: i64 = NOW_US - 1;
pub const TOTAL: i64 = 1000;
const ID: &str = "pay_00000000000000000000000000";
const SHOP: &str = "shop_00000000000000000000000000";
const CHANNEL: &str = "chn_00000000000000000000000000";

struct Standing;

impl Clock for Standing {
    fn now_us(&self) -> i64 {
        NOW_US
    }
}

/// Something that can happen, in any order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Issued,
    Deposited,
    TakenBack,
    Closed,
    Expiry,
}

const STEPS: [Step; 5] = [Step::Issued, Step::Deposited, Step::TakenBack, Step::Closed, Step::Expiry];

/// A payment of [`TOTAL`] whose time is over, of no shop yet.
pub fn row(order_id: &str) -> Payment {
    Payment {
        id: ID.parse().unwrap(),
        shop_id: SHOP.parse().unwrap(),
        channel_id: CHANNEL.parse().unwrap(),
        mode: Mode::Test,
        order_id: order_id.to_owned(),
        order_name: "책".into(),
        total: TOTAL,
        currency: Currency::KRW,
        tax_free: None,
        vat: None,
        method: None,
        buyer: Sealed::from_bytes(vec![1]),
        options: Sealed::from_bytes(vec![2]),
        metadata: Sealed::from_bytes(vec![3]),
        language: "ko".into(),
        confirm: Confirm::Automatic,
        return_url: None,
        webhook_url: None,
        state: PaymentState::Pending,
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
        opened: true,
        failed: false,
        expired: false,
        given_up: false,
        late_us: None,
        last_failure: None,
        expires_us: DUE_US,
        deposit_deadline_us: Some(DUE_US),
        next_event: 1,
        created_us: NOW_US,
        updated_us: NOW_US,
    }
}

fn krw(minor: i64) -> Amount {
    Amount { minor, currency: "KRW".to_owned() }
}

/// A deposit in time.
pub fn deposit(number: &str, minor: i64) -> Deposit {
    Deposit {
        gateway_ref: number.to_owned(),
        issue_ref: None,
        order_ref: "order-1".to_owned(),
        amount: krw(minor),
        number: String::new(),
        depositor: None,
        at_ms: DUE_US / 1000 - 1,
        more: Vec::new(),
    }
}

/// An account.
pub fn account(gateway_ref: &str, number: &str) -> Account {
    let name = Text { ko: "신한은행".to_owned(), en: "Shinhan".to_owned() };
    Account {
        gateway_ref: gateway_ref.to_owned(),
        order_ref: "order-1".to_owned(),
        amount: krw(TOTAL),
        bank: Institution { code: "088".to_owned(), gateway_code: "88".to_owned(), name },
        number: number.to_owned(),
        holder: "가게".to_owned(),
        deadline_ms: Some(DUE_US / 1000),
        details: Details::default(),
    }
}

/// An approval.
pub fn approval(gateway_ref: &str, kind: &str) -> Approval {
    Approval {
        gateway_ref: gateway_ref.to_owned(),
        order_ref: "order-1".to_owned(),
        amount: krw(TOTAL),
        approved_at_ms: NOW_US / 1000,
        method: Method { kind: kind.to_owned(), provider: None },
        details: Details::default(),
    }
}

/// A fact as it is kept.
pub fn fact(kind: FactKind, gateway_ref: &str, amount: i64) -> FactRow {
    FactRow {
        id: "fct_00000000000000000000000000".parse().unwrap(),
        shop_id: SHOP.parse().unwrap(),
        channel_id: CHANNEL.parse().unwrap(),
        payment_id: ID.parse().unwrap(),
        attempt_id: None,
        kind,
        gateway_ref: gateway_ref.to_owned(),
        sequence: 0,
        amount,
        currency: Currency::KRW,
        at_us: NOW_US,
        detail: Json::from(json!({})),
        created_us: NOW_US,
    }
}

fn orders(steps: &[Step]) -> Vec<Vec<Step>> {
    if steps.is_empty() {
        return vec![Vec::new()];
    }
    (0..steps.len())
        .flat_map(|at| {
            let mut rest = steps.to_vec();
            let first = rest.remove(at);
            orders(&rest).into_iter().map(move |tail| [vec![first], tail].concat())
        })
        .collect()
}

/// Which database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    Sqlite,
    Postgres,
}

/// A host with a shop whose plugin cannot run.
pub struct World {
    pub host: Host,
    pub shop: ShopId,
    channel: ChannelId,
    _server: Option<Server>,
    _folder: tempfile::TempDir,
}

impl World {
    pub async fn make(on: On) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = (on == On::Postgres).then(|| Server::start(FAST));
        let database = server.as_ref().map(Server::database);
        let builder = Host::builder(folder.path()).database(database).clock(Arc::new(Standing));
        let host = builder.open().await.unwrap();
        let (shop, channel) = (host.new_id(ShopId::new), host.new_id(ChannelId::new));
        let data_key = host.vault().new_data_key(shop).unwrap();
        let made = host.store().transact(move |tx| {
            let component = Component {
                digest: "d1".into(),
                plugin_id: "gateway".into(),
                version: "1.0.0".into(),
                bytes: Blob(vec![0]),
                descriptor: Json::from(json!({})),
                interfaces: Json::from(json!([])),
                installed_us: NOW_US,
            };
            plugins::add_component(tx, &component)?;
            plugins::activate(tx, "gateway", "d1", NOW_US)?;
            let row = Shop {
                id: shop,
                name: "가게".into(),
                public_url: None,
                allowed_origins: Json::from(json!([])),
                private_webhooks: false,
                data_key,
                created_us: NOW_US,
                suspended_us: None,
                removed_us: None,
            };
            shops::insert(tx, &row)?;
            let row = Channel {
                id: channel,
                shop_id: shop,
                plugin_id: "gateway".into(),
                plugin_digest: "d1".into(),
                name: "accounts".into(),
                mode: Mode::Test,
                purposes: Json::from(json!(["pay"])),
                settings: Json::from(json!({})),
                enabled: true,
                watch: false,
                in_doubt: InDoubt::Undo,
                notice_forward_url: None,
                created_us: NOW_US,
                updated_us: NOW_US,
                removed_us: None,
            };
            channels::insert(tx, &row)?;
            channels::revise(tx, &row, NOW_US).map(|_| ())
        });
        made.await.unwrap();
        Self { host, shop, channel, _server: server, _folder: folder }
    }

    /// A payment that waits, with the checkout of its order number.
    pub async fn payment(&self, order_id: &str) -> Checkout {
        let (id, key) = (self.host.new_id(PaymentId::new), self.host.shop_key(self.shop).await.unwrap());
        let row = Payment {
            id,
            options: Place::Options(id).seal_json(&key, &json!([])).unwrap(),
            metadata: Place::Metadata(id).seal_json(&key, &json!({})).unwrap(),
            ..self.of(row(order_id))
        };
        let checkout = Checkout {
            id: self.host.new_id(CheckoutId::new),
            shop_id: self.shop,
            payment_id: row.id,
            channel_id: self.channel,
            plugin_digest: "d1".into(),
            revision: 1,
            order_ref: row.id.to_string(),
            device: "pc".into(),
            state: CheckoutState::Opened,
            order_json: Sealed::from_bytes(vec![1]),
            callback: None,
            close_script: None,
            result: None,
            opened_us: NOW_US,
            updated_us: NOW_US,
        };
        let kept = checkout.clone();
        let made = self.host.store().transact(move |tx| {
            payments::insert(tx, &row)?;
            checkouts::insert(tx, &kept)
        });
        made.await.unwrap();
        checkout
    }

    fn of(&self, row: Payment) -> Payment {
        Payment { shop_id: self.shop, channel_id: self.channel, ..row }
    }

    /// Writes what a notice says, as its job does; twice is once.
    pub async fn told(&self, checkout: &Checkout, verified: Verified) {
        for _ in 0..2 {
            let (host, checkout, verified) = (self.host.clone(), checkout.clone(), verified.clone());
            let trust = Trust { confirmed: true, listed: false, accepted: false };
            let written =
                self.host.store().transact(move |tx| write(tx, &host, None, &checkout, &verified, trust));
            assert!(written.await.unwrap());
        }
    }

    pub async fn deposited(&self, checkout: &Checkout, number: &str, minor: i64) {
        self.told(checkout, Verified::Deposited(deposit(number, minor))).await;
    }

    /// The account is closed through the API.
    async fn closed(&self, checkout: &Checkout) {
        let (host, checkout) = (self.host.clone(), checkout.clone());
        let written = self.host.store().transact(move |tx| {
            let payment = payments::lock(tx, checkout.shop_id, checkout.payment_id)?.unwrap();
            let mut change = Change::begin(&host, payment, None);
            let new = NewFact {
                kind: FactKind::Closed,
                amount: Money::new(TOTAL, Currency::KRW),
                gateway_ref: format!("issue-{}", checkout.payment_id),
                sequence: 0,
                at_ms: NOW_US / 1000,
                detail: json!({}),
            };
            let _written = change.fact(tx, None, new)?;
            change.write(tx).map(|_| ())
        });
        let written: Result<(), Error> = written.await;
        written.unwrap();
    }

    pub async fn expire(&self, checkout: &Checkout) {
        let _done = expire(&self.host, self.shop, checkout.payment_id).await.unwrap();
    }

    pub async fn issued(&self, checkout: &Checkout) {
        let number = format!("issue-{}", checkout.payment_id);
        self.told(checkout, Verified::Issued(Box::new(account(&number, "110-123")))).await;
    }

    async fn step(&self, checkout: &Checkout, step: Step) {
        let number = format!("deposit-{}", checkout.payment_id);
        match step {
            Step::Issued => self.issued(checkout).await,
            Step::Deposited => self.deposited(checkout, &number, TOTAL).await,
            Step::TakenBack => {
                self.told(checkout, Verified::DepositCancelled(deposit(&number, TOTAL))).await;
            }
            Step::Closed => self.closed(checkout).await,
            Step::Expiry => self.expire(checkout).await,
        }
    }

    async fn run(&self, name: &str, order: &[Step]) -> Payment {
        let checkout = self.payment(name).await;
        for step in order {
            self.step(&checkout, *step).await;
        }
        self.now(checkout.payment_id).await
    }

    pub async fn now(&self, id: PaymentId) -> Payment {
        let shop = self.shop;
        self.host.store().read(move |tx| payments::get(tx, shop, id)).await.unwrap().unwrap()
    }

    pub async fn events(&self, id: PaymentId) -> Vec<String> {
        let shop = self.shop;
        let rows = self.host.store().read(move |tx| events::of_payment(tx, shop, id)).await.unwrap();
        rows.into_iter().map(|event| event.name).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_120_orders_of_an_accounts_facts_end_in_cancelled_on_sqlite() {
    all_orders_end_in_cancelled(On::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_120_orders_of_an_accounts_facts_end_in_cancelled_on_postgresql() {
    all_orders_end_in_cancelled(On::Postgres).await;
}

async fn all_orders_end_in_cancelled(on: On) {
    let world = World::make(on).await;
    let orders = orders(&STEPS);
    assert_eq!(orders.len(), 120);
    for (at, order) in orders.iter().enumerate() {
        let payment = world.run(&format!("all-{at}"), order).await;
        // Nobody is called for what is settled.
        assert_eq!(
            (payment.state, payment.resolution),
            (PaymentState::Cancelled, Resolution::None),
            "{order:?}"
        );
        assert_eq!((payment.paid, payment.cancelled), (TOTAL, TOTAL), "{order:?}");
        let (shop, id) = (world.shop, payment.id);
        let known = world.host.store().read(move |tx| facts::of_payment(tx, shop, id)).await.unwrap();
        assert_eq!(known.len(), 4, "{order:?}");
        let held =
            world.host.store().read(move |tx| ledger::balances(tx, Of::Payment(shop, id))).await.unwrap();
        assert!(held.iter().any(|line| line.account == "gateway" && line.amount == 0), "{held:?}");
        let names = world.events(id).await;
        let told = |name: &str| names.iter().filter(|known| *known == name).count();
        assert_eq!(told("payment.deposit_cancelled"), 1, "{order:?}: {names:?}");
        assert_eq!(told("payment.deposit_late"), 0, "it was paid in in time: {order:?}: {names:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_deposit_cancel_the_money_decides_in_every_order_on_sqlite() {
    the_money_decides(On::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_deposit_cancel_the_money_decides_in_every_order_on_postgresql() {
    the_money_decides(On::Postgres).await;
}

async fn the_money_decides(on: On) {
    let world = World::make(on).await;
    let without = |gone: &[Step]| STEPS.into_iter().filter(|step| !gone.contains(step)).collect::<Vec<_>>();
    let table = [
        (without(&[Step::TakenBack]), PaymentState::Paid),
        (without(&[Step::TakenBack, Step::Expiry]), PaymentState::Paid),
        (without(&[Step::TakenBack, Step::Closed]), PaymentState::Paid),
        (without(&[Step::TakenBack, Step::Deposited]), PaymentState::Cancelled),
        (without(&[Step::TakenBack, Step::Deposited, Step::Closed]), PaymentState::Expired),
    ];
    for (row, (steps, expected)) in table.iter().enumerate() {
        for (at, order) in orders(steps).iter().enumerate() {
            let payment = world.run(&format!("some-{row}-{at}"), order).await;
            // Money that comes after the close is a person's, too.
            let place = |step: Step| order.iter().position(|known| *known == step);
            let late =
                place(Step::Closed).zip(place(Step::Deposited)).is_some_and(|(closed, paid)| closed < paid);
            let resolution = if late { Resolution::NeedsOperator } else { Resolution::None };
            assert_eq!((payment.state, payment.resolution), (*expected, resolution), "{order:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_deposit_is_awaited_until_its_time_and_then_a_persons() {
    let world = World::make(On::Sqlite).await;
    let checkout = world.payment("short").await;
    let id = checkout.payment_id;
    world.issued(&checkout).await;
    world.deposited(&checkout, "one", 400).await;
    let payment = world.now(id).await;
    assert_eq!((payment.state, payment.paid), (PaymentState::AwaitingDeposit, 400));
    assert_eq!(payment.resolution, Resolution::None);
    world.expire(&checkout).await;
    let payment = world.now(id).await;
    assert_eq!(
        (payment.state, payment.resolution),
        (PaymentState::AwaitingDeposit, Resolution::NeedsOperator)
    );
    assert!(world.events(id).await.contains(&"payment.needs_operator".to_owned()));
    // A part of the rest: still a person's.
    world.deposited(&checkout, "two", 100).await;
    assert_eq!(world.now(id).await.resolution, Resolution::NeedsOperator);
    // All of it is there: it is paid, and nobody need look any more.
    world.deposited(&checkout, "three", 500).await;
    let payment = world.now(id).await;
    assert_eq!((payment.state, payment.resolution), (PaymentState::Paid, Resolution::None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deposit_after_the_end_is_kept_and_pays() {
    let world = World::make(On::Sqlite).await;
    let checkout = world.payment("late").await;
    world.issued(&checkout).await;
    world.expire(&checkout).await;
    assert_eq!(world.now(checkout.payment_id).await.state, PaymentState::Expired);
    // Paid in in time, and told late.
    world.deposited(&checkout, "one", TOTAL).await;
    assert_eq!(world.now(checkout.payment_id).await.state, PaymentState::Paid);
    let names = world.events(checkout.payment_id).await;
    assert_eq!(names, ["payment.awaiting_deposit", "payment.expired", "payment.paid"]);
    // Paid in late.
    let checkout = world.payment("later").await;
    world.issued(&checkout).await;
    let late = Deposit { at_ms: NOW_US / 1000, ..deposit("two", TOTAL) };
    world.told(&checkout, Verified::Deposited(late)).await;
    let names = world.events(checkout.payment_id).await;
    assert_eq!(names, ["payment.awaiting_deposit", "payment.paid", "payment.deposit_late"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deposit_is_kept_beside_the_orders_new_payment_on_sqlite() {
    kept_beside(On::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deposit_is_kept_beside_the_orders_new_payment_on_postgresql() {
    kept_beside(On::Postgres).await;
}

async fn kept_beside(on: On) {
    let world = World::make(on).await;
    let old = world.payment("A-1").await;
    world.issued(&old).await;
    world.closed(&old).await;
    assert_eq!(world.now(old.payment_id).await.state, PaymentState::Cancelled);
    let new = world.payment("A-1").await;
    world.deposited(&old, "one", TOTAL).await;
    let now = world.now(old.payment_id).await;
    assert_eq!((now.state, now.paid), (PaymentState::Paid, TOTAL));
    // Nobody but the buyer knows where it goes back to: a person is called.
    assert_eq!((now.resolution, now.late_us.is_some()), (Resolution::NeedsOperator, true));
    let told = world.events(old.payment_id).await;
    assert_eq!(told.iter().filter(|name| *name == "payment.late_money").count(), 1, "{told:?}");
    assert_eq!(world.now(new.payment_id).await.state, PaymentState::Pending);
    // The bank takes it back: nobody need look any more.
    world.told(&old, Verified::DepositCancelled(deposit("one", TOTAL))).await;
    let now = world.now(old.payment_id).await;
    assert_eq!((now.state, now.resolution, now.late_us), (PaymentState::Cancelled, Resolution::None, None));
    // An order that only expired, and was paid by another payment since.
    let expired = world.payment("A-3").await;
    world.issued(&expired).await;
    world.expire(&expired).await;
    world.payment("A-3").await;
    world.deposited(&expired, "three", TOTAL).await;
    assert_eq!(world.now(expired.payment_id).await.resolution, Resolution::NeedsOperator);
    // Too little, for an order that somebody else is paying: nobody waits for the rest.
    let third = world.payment("A-2").await;
    world.issued(&third).await;
    world.closed(&third).await;
    world.payment("A-2").await;
    world.deposited(&third, "two", 1).await;
    assert_eq!(world.now(third.payment_id).await.resolution, Resolution::NeedsOperator);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_account_never_takes_the_place_of_the_one_that_is_known() {
    let world = World::make(On::Sqlite).await;
    let checkout = world.payment("A-1").await;
    world.issued(&checkout).await;
    let before = world.now(checkout.payment_id).await;
    let (host, kept) = (world.host.clone(), checkout.clone());
    let other = Verified::Issued(Box::new(account("random", "999-999")));
    let trust = Trust { confirmed: true, listed: true, accepted: false };
    let written = world.host.store().transact(move |tx| write(tx, &host, None, &kept, &other, trust));
    assert!(!written.await.unwrap());
    let after = world.now(checkout.payment_id).await;
    assert_eq!((after.gateway_ref, after.details), (before.gateway_ref, before.details));
    assert!(world.events(checkout.payment_id).await.contains(&"payment.alarm".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deposit_into_an_account_that_was_not_known_can_be_given_back_by_its_number() {
    let world = World::make(On::Sqlite).await;
    let checkout = world.payment("A-1").await;
    let named = Deposit { issue_ref: Some("issue".to_owned()), ..deposit("one", TOTAL) };
    world.told(&checkout, Verified::Deposited(named)).await;
    assert_eq!(world.now(checkout.payment_id).await.gateway_ref.as_deref(), Some("issue"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_does_not_expire_while_a_notice_about_it_is_verified() {
    let world = World::make(On::Sqlite).await;
    let checkout = world.payment("A-1").await;
    world.issued(&checkout).await;
    let notice = Notice {
        id: world.host.new_id(NoticeId::new),
        shop_id: world.shop,
        channel_id: world.channel,
        mode: Mode::Test,
        digest: "d".into(),
        source: String::new(),
        listed: false,
        size: 1,
        order_ref: None,
        raw: None,
        times: 1,
        state: NoticeState::Read,
        reading: None,
        reply: None,
        reply_type: None,
        summary: Sealed::from_bytes(vec![1]),
        payment_id: Some(checkout.payment_id),
        reason: None,
        forward: None,
        forward_status: None,
        forwarded_us: None,
        since_us: NOW_US,
        created_us: NOW_US,
        updated_us: NOW_US,
    };
    let (host, kept) = (world.host.clone(), notice.clone());
    world.host.store().transact(move |tx| notices::keep(tx, &kept)).await.unwrap();
    world.expire(&checkout).await;
    assert_eq!(world.now(checkout.payment_id).await.state, PaymentState::AwaitingDeposit);
    // What the gateway does not confirm keeps nothing open.
    let doubted =
        world.host.store().transact(move |tx| end(tx, &host, &notice, NoticeState::Doubted, None, None));
    assert!(doubted.await.unwrap());
    world.expire(&checkout).await;
    assert_eq!(world.now(checkout.payment_id).await.state, PaymentState::Expired);
}
