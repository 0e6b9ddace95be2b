//! Money that comes while nobody looks, and payments that do not see each other, on both databases.

use payhost_core::{PaymentState, Resolution};
use payhost_store::rows::attempts::{Attempt, AttemptKind, AttemptState};
use payhost_store::rows::checkouts::Checkout;
use payhost_store::rows::payments::{self, Payment};
use payhost_store::{Error, Sealed};

use super::expire::no_notice;
use super::settle::{Change, Written};
use crate::vbank::facts::{Verified, account_fact};
use crate::vbank::tests::{On, TOTAL, World, account, approval};

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
