//! Money that comes while nobody looks, and payments that do not see each other, on both databases.

use std::sync::mpsc;

use payhost_core::{FactKind, PaymentState, Resolution};
use payhost_store::rows::attempts::{Attempt, AttemptKind, AttemptState};
use payhost_store::rows::checkouts::Checkout;
use payhost_store::rows::payments::{self, Payment};
use payhost_store::{Error, Sealed};

use super::expire::no_notice;
use super::late::give_back;
use super::settle::{Change, Written};
use crate::jobs::Done;
use crate::vbank::facts::{Verified, account_fact};
use crate::vbank::tests::{On, TOTAL, World, account, approval, deposit};

/// A person is called for a deposit that no notice told of.
async fn call(world: &World, checkout: &Checkout) {
    let (host, checkout) = (world.host.clone(), checkout.clone());
    let called = world.host.store().transact(move |tx| {
        let payment = payments::lock(tx, checkout.shop_id, checkout.payment_id)?.unwrap();
        no_notice(tx, &host, payment).map(|_| ())
    });
    let called: Result<(), Error> = called.await;
    called.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_cannot_ask_ends_no_call() {
    let world = World::make(On::Sqlite).await;
    for has_account in [true, false] {
        let checkout = world.payment(&format!("A-{has_account}")).await;
        if has_account {
            world.issued(&checkout).await;
        }
        let before = world.now(checkout.payment_id).await.state;
        call(&world, &checkout).await;
        world.expire(&checkout).await;
        let now = world.now(checkout.payment_id).await;
        assert_eq!((now.state, now.resolution), (before, Resolution::NeedsOperator), "{has_account}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn that_there_is_an_account_ends_no_call() {
    let world = World::make(On::Sqlite).await;
    let checkout = world.payment("A-1").await;
    call(&world, &checkout).await;
    world.issued(&checkout).await;
    let now = world.now(checkout.payment_id).await;
    assert_eq!((now.state, now.resolution), (PaymentState::AwaitingDeposit, Resolution::NeedsOperator));
    // Its deposit does.
    world.deposited(&checkout, "one", TOTAL).await;
    let now = world.now(checkout.payment_id).await;
    assert_eq!((now.state, now.resolution), (PaymentState::Paid, Resolution::None));
}

fn attempt(payment: &Payment) -> Attempt {
    Attempt {
        id: "att_00000000000000000000000000".parse().unwrap(),
        shop_id: payment.shop_id,
        payment_id: payment.id,
        checkout_id: None,
        parent_id: None,
        kind: AttemptKind::Complete,
        state: AttemptState::Intent,
        call_id: "call_00000000000000000000000000".parse().unwrap(),
        plugin_digest: "d1".into(),
        revision: 1,
        request: Sealed::from_bytes(vec![1]),
        callback: None,
        now_ms: 1,
        seed: String::new(),
        lease_until_us: 1,
        lease_token: String::new(),
        outcome: None,
        created_us: 1,
        updated_us: 1,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_opens_no_account_for_a_payment_that_is_paid() {
    let world = World::make(On::Sqlite).await;
    let checkout = world.payment("A-1").await;
    world.told(&checkout, Verified::Approved(Box::new(approval("sale", "card")))).await;
    let before = world.now(checkout.payment_id).await;
    let (host, payment) = (world.host.clone(), before.clone());
    let written = world.host.store().transact(move |tx| {
        let attempt = attempt(&payment);
        let mut change = Change::begin(&host, payment, None);
        let written = account_fact(tx, &host, &mut change, &account("account", "110-1"), Some(&attempt), 1)?;
        change.write(tx)?;
        Ok::<_, Error>(written)
    });
    assert_eq!(written.await.unwrap(), Written::Contradicts);
    let after = world.now(checkout.payment_id).await;
    assert_eq!((after.gateway_ref, after.details), (before.gateway_ref, before.details));
    assert_eq!(after.deposit_deadline_us, before.deposit_deadline_us);
    assert!(world.events(checkout.payment_id).await.contains(&"payment.alarm".to_owned()));
}

/// Money for a payment whose time is over, written while another payment of the order is being made in a transaction of its own.
async fn unseen(world: &World, order_id: &str, money: Verified) -> Checkout {
    let old = world.payment(order_id).await;
    if matches!(money, Verified::Deposited(_)) {
        world.issued(&old).await;
    }
    world.expire(&old).await;
    assert_eq!(world.now(old.payment_id).await.state, PaymentState::Expired);
    let new = Payment {
        id: world.host.new_id(payhost_core::id::PaymentId::new),
        expired: false,
        ..world.now(old.payment_id).await
    };
    let new = Payment { state: PaymentState::Created, gateway_ref: None, details: None, ..new };
    let ((ready, made), (go, told)) = (mpsc::channel(), mpsc::channel());
    let store = world.host.store().clone();
    let making = tokio::spawn(async move {
        let made = store.transact(move |tx| {
            payments::insert(tx, &new)?;
            // What is asked for here has been sent before.
            payments::get(tx, new.shop_id, new.id)?;
            ready.send(()).unwrap();
            told.recv().unwrap();
            Ok::<_, Error>(())
        });
        made.await.unwrap();
    });
    tokio::task::block_in_place(|| made.recv().unwrap());
    world.told(&old, money).await;
    assert_eq!(world.now(old.payment_id).await.late_us, None, "the new one is not seen");
    go.send(()).unwrap();
    making.await.unwrap();
    old
}

#[tokio::test(flavor = "multi_thread")]
async fn on_postgresql_late_money_and_a_new_payment_that_do_not_see_each_other_call_a_person() {
    let world = World::make(On::Postgres).await;
    let approved = Verified::Approved(Box::new(approval("sale", "card")));
    for (at, money) in [approved, Verified::Deposited(deposit("one", TOTAL))].into_iter().enumerate() {
        let is_deposit = matches!(money, Verified::Deposited(_));
        let old = unseen(&world, &format!("A-{at}"), money).await;
        let (shop, id) = (world.shop, old.payment_id);
        let key = format!("give_back:{id}");
        let job =
            world.host.store().read(move |tx| payhost_store::rows::jobs::get(tx, shop, &key)).await.unwrap();
        assert!(job.is_some(), "somebody looks again");
        // The plugin of this world cannot run, so that nothing goes back yet.
        let done = give_back(&world.host, shop, id).await;
        if is_deposit {
            // Nobody but the buyer knows where it goes back to.
            assert_eq!(done, Ok(Done::Finished));
        }
        let now = world.now(id).await;
        assert_eq!((now.state, now.resolution), (PaymentState::Paid, Resolution::NeedsOperator));
        let told =
            || async { world.events(id).await.iter().filter(|name| *name == "payment.late_money").count() };
        assert_eq!((now.late_us.is_some(), told().await), (true, 1));
        // A person keeps it: nobody asks again.
        let host = world.host.clone();
        let kept = world.host.store().transact(move |tx| {
            let payment = payments::lock(tx, shop, id)?.unwrap();
            let mut change = Change::begin(&host, payment, None);
            super::late::keep(tx, &mut change)?.unwrap();
            change.write(tx).map(|_| ())
        });
        let kept: Result<(), Error> = kept.await;
        kept.unwrap();
        assert_eq!(give_back(&world.host, shop, id).await, Ok(Done::Finished));
        let now = world.now(id).await;
        assert_eq!((now.late_us, now.resolution, told().await), (None, Resolution::None, 1));
        let kinds =
            world.host.store().read(move |tx| payhost_store::rows::facts::of_payment(tx, shop, id)).await;
        assert!(kinds.unwrap().iter().all(|fact| fact.kind != FactKind::Cancelled));
    }
}
