//! Every order in which the facts of a virtual account can arrive, through the code that writes them.

use std::sync::Arc;

use payhost_core::id::{ChannelId, PaymentId, ShopId};
use payhost_core::{Currency, FactKind, Money, PaymentState, Resolution};
use payhost_store::rows::channels::{self, Channel};
use payhost_store::rows::ledger::{self, Of};
use payhost_store::rows::payments::{self, Confirm, Payment};
use payhost_store::rows::plugins::{self, Component};
use payhost_store::rows::shops::{self, Shop};
use payhost_store::rows::{Mode, events, facts};
use payhost_store::{Blob, Error, Json, Sealed};
use serde_json::json;

use crate::Host;
use crate::payments::expire::expire;
use crate::payments::settle::{Change, NewFact};
use crate::time::Clock;

const NOW_US: i64 = 1_800_000_000_000_000;
/// When the account's time was over.
const DUE_US: i64 = NOW_US - 1;
const TOTAL: i64 = 1000;

struct Standing;

impl Clock for Standing {
    fn now_us(&self) -> i64 {
        NOW_US
    }
}

/// Something that can happen, in any order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Fact(FactKind),
    Expiry,
}

const STEPS: [Step; 5] = [
    Step::Fact(FactKind::Issued),
    Step::Fact(FactKind::Deposited),
    Step::Fact(FactKind::DepositCancelled),
    Step::Fact(FactKind::Closed),
    Step::Expiry,
];

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

struct World {
    host: Host,
    shop: ShopId,
    channel: ChannelId,
    _folder: tempfile::TempDir,
}

impl World {
    async fn make() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let host = Host::builder(folder.path()).clock(Arc::new(Standing)).open().await.unwrap();
        let (shop, channel) = (host.new_id(ShopId::new), host.new_id(ChannelId::new));
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
                data_key: Sealed::from_bytes(vec![1]),
                created_us: NOW_US,
                disabled_us: None,
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
                created_us: NOW_US,
                updated_us: NOW_US,
            };
            channels::insert(tx, &row)?;
            channels::revise(tx, &row, NOW_US).map(|_| ())
        });
        made.await.unwrap();
        Self { host, shop, channel, _folder: folder }
    }

    async fn payment(&self, order_id: &str) -> PaymentId {
        let row = Payment {
            id: self.host.new_id(PaymentId::new),
            shop_id: self.shop,
            channel_id: self.channel,
            mode: Mode::Test,
            order_id: order_id.to_owned(),
            order_name: "책".into(),
            total: TOTAL,
            currency: Currency::KRW,
            tax_free: None,
            vat: None,
            method: None,
            buyer: Sealed::from_bytes(vec![1]),
            options: Json::from(json!([])),
            metadata: Json::from(json!({})),
            language: "ko".into(),
            confirm: Confirm::Automatic,
            return_url: None,
            webhook_url: None,
            state: PaymentState::Pending,
            resolution: Resolution::None,
            version: 1,
            paid: 0,
            cancelled: 0,
            gateway_ref: None,
            approved_checkout_id: None,
            approved_at_us: None,
            paid_method: None,
            details: None,
            opened: true,
            failed: false,
            expired: false,
            expires_us: DUE_US,
            deposit_deadline_us: Some(DUE_US),
            next_event: 1,
            created_us: NOW_US,
            updated_us: NOW_US,
        };
        let id = row.id;
        self.host.store().transact(move |tx| payments::insert(tx, &row)).await.unwrap();
        id
    }

    /// Writes a fact of a payment; twice is once.
    async fn fact(&self, id: PaymentId, kind: FactKind, amount: i64, gateway_ref: &str) {
        let (host, shop, gateway_ref) = (self.host.clone(), self.shop, gateway_ref.to_owned());
        let written = self.host.store().transact(move |tx| {
            for _ in 0..2 {
                let payment = payments::lock(tx, shop, id)?.unwrap();
                let mut change = Change::begin(&host, payment, None);
                let new = NewFact {
                    kind,
                    amount: Money::new(amount, Currency::KRW),
                    gateway_ref: gateway_ref.clone(),
                    sequence: 0,
                    at_ms: NOW_US / 1000,
                    detail: json!({}),
                };
                let _written = change.fact(tx, None, new)?;
                change.write(tx)?;
            }
            Ok::<_, Error>(())
        });
        written.await.unwrap();
    }

    async fn run(&self, name: &str, order: &[Step]) -> Payment {
        let id = self.payment(name).await;
        for step in order {
            match step {
                Step::Fact(kind) => self.fact(id, *kind, TOTAL, &format!("tid-{name}")).await,
                Step::Expiry => {
                    let _done = expire(&self.host, self.shop, id).await.unwrap();
                }
            }
        }
        self.now(id).await
    }

    async fn now(&self, id: PaymentId) -> Payment {
        let shop = self.shop;
        self.host.store().read(move |tx| payments::get(tx, shop, id)).await.unwrap().unwrap()
    }

    async fn events(&self, id: PaymentId) -> Vec<String> {
        let shop = self.shop;
        let rows = self.host.store().read(move |tx| events::of_payment(tx, shop, id)).await.unwrap();
        rows.into_iter().map(|event| event.name).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_120_orders_of_an_accounts_facts_end_in_cancelled() {
    let world = World::make().await;
    let orders = orders(&STEPS);
    assert_eq!(orders.len(), 120);
    for (at, order) in orders.iter().enumerate() {
        let payment = world.run(&format!("all-{at}"), order).await;
        assert_eq!(payment.state, PaymentState::Cancelled, "{order:?}");
        assert_eq!((payment.paid, payment.cancelled), (TOTAL, TOTAL), "{order:?}");
        let (shop, id) = (world.shop, payment.id);
        let known = world.host.store().read(move |tx| facts::of_payment(tx, shop, id)).await.unwrap();
        assert_eq!(known.len(), 4, "{order:?}");
        let held =
            world.host.store().read(move |tx| ledger::balances(tx, Of::Payment(shop, id))).await.unwrap();
        assert_eq!(held.iter().map(|line| line.amount).sum::<i64>(), 0);
        assert!(held.iter().any(|line| line.account == "gateway" && line.amount == 0), "{held:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_deposit_cancel_the_money_decides_in_every_order() {
    let world = World::make().await;
    let without = |gone: &[Step]| STEPS.into_iter().filter(|step| !gone.contains(step)).collect::<Vec<_>>();
    let back = Step::Fact(FactKind::DepositCancelled);
    let deposit = Step::Fact(FactKind::Deposited);
    let closed = Step::Fact(FactKind::Closed);
    let table = [
        (without(&[back]), PaymentState::Paid),
        (without(&[back, Step::Expiry]), PaymentState::Paid),
        (without(&[back, closed]), PaymentState::Paid),
        (without(&[back, deposit]), PaymentState::Cancelled),
        (without(&[back, deposit, closed]), PaymentState::Expired),
    ];
    for (row, (steps, expected)) in table.iter().enumerate() {
        for (at, order) in orders(steps).iter().enumerate() {
            let payment = world.run(&format!("some-{row}-{at}"), order).await;
            assert_eq!(payment.state, *expected, "{order:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_deposit_is_awaited_until_its_time_and_then_a_persons() {
    let world = World::make().await;
    let id = world.payment("short").await;
    world.fact(id, FactKind::Issued, TOTAL, "tid").await;
    world.fact(id, FactKind::Deposited, 400, "one").await;
    let payment = world.now(id).await;
    assert_eq!((payment.state, payment.paid), (PaymentState::AwaitingDeposit, 400));
    assert_eq!(payment.resolution, Resolution::None);
    let _done = expire(&world.host, world.shop, id).await.unwrap();
    let payment = world.now(id).await;
    assert_eq!(
        (payment.state, payment.resolution),
        (PaymentState::AwaitingDeposit, Resolution::NeedsOperator)
    );
    assert!(world.events(id).await.contains(&"payment.needs_operator".to_owned()));
    // The rest comes late: it is paid all the same.
    world.fact(id, FactKind::Deposited, 600, "two").await;
    assert_eq!(world.now(id).await.state, PaymentState::Paid);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deposit_after_the_end_is_kept_and_pays() {
    let world = World::make().await;
    let id = world.payment("late").await;
    world.fact(id, FactKind::Issued, TOTAL, "tid").await;
    let _done = expire(&world.host, world.shop, id).await.unwrap();
    assert_eq!(world.now(id).await.state, PaymentState::Expired);
    world.fact(id, FactKind::Deposited, TOTAL, "one").await;
    assert_eq!(world.now(id).await.state, PaymentState::Paid);
    let names = world.events(id).await;
    assert_eq!(names, ["payment.awaiting_deposit", "payment.expired", "payment.paid"]);
}
