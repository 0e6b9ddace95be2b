//! Money that comes while nobody looks, and payments that do not see each other, on both databases.

use payhost_core::{PaymentState, Resolution};
use payhost_store::Error;
use payhost_store::rows::checkouts::Checkout;
use payhost_store::rows::payments;

use super::expire::no_notice;
use crate::vbank::tests::{On, TOTAL, World};

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
