//! A person is called because the gateway holds a deposit that no notice told of. Such a call ends only when the gateway, asked
//! now, says that nothing is held; until then the order is not free.

use payhost_core::{PaymentState, Resolution};
use serde_json::json;

use crate::rig::{Payment, Rig, account};

const DAY: i64 = 24 * 3600;
/// What a gateway has its account wait when nobody says otherwise, and a day more.
const OVER: i64 = 12 * DAY;

/// An account that waits for its deposit.
async fn awaiting(rig: &Rig) -> Payment {
    let payment = rig.create().await;
    let back = rig.choose_as(&payment, account()).await;
    rig.come_back(&back).await;
    assert_eq!(rig.books(&payment).await.row.state, PaymentState::AwaitingDeposit);
    payment
}

/// The gateway was asked, holds the deposit, and a person is called.
async fn called(rig: &Rig, payment: &Payment) {
    rig.deposit(&payment.order_ref()).await;
    let synced = rig.sync(payment).await.expect(202);
    assert_eq!(synced["gateway"]["answer"], "paid_there", "{synced}");
    assert_eq!(rig.books(payment).await.row.resolution, Resolution::NeedsOperator);
}

/// State and resolution, as long as it takes until nobody asks any more.
async fn in_the_end(rig: &Rig, payment: &Payment) -> (PaymentState, Resolution) {
    rig.later(OVER).await;
    for _ in 0..12 {
        rig.jobs(1).await;
        rig.later(3600).await;
    }
    let row = rig.books(payment).await.row;
    (row.state, row.resolution)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_says_nothing_ends_no_call() {
    for fault in ["drop_before", "not_found", "wrong_amount", "wrong_order"] {
        let rig = Rig::start(false).await;
        let payment = awaiting(&rig).await;
        called(&rig, &payment).await;
        rig.always("inquiry", fault, &payment.order_ref()).await;
        let kept = (PaymentState::AwaitingDeposit, Resolution::NeedsOperator);
        assert_eq!(in_the_end(&rig, &payment).await, kept, "{fault}");
        // It answers again, and holds it still.
        rig.no_faults().await;
        assert_eq!(rig.sync(&payment).await.expect(202)["gateway"]["answer"], "paid_there", "{fault}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_holds_nothing_any_more_ends_the_call_at_the_deadline() {
    let rig = Rig::start(false).await;
    let payment = awaiting(&rig).await;
    called(&rig, &payment).await;
    rig.take_back(&payment.order_ref()).await;
    assert_eq!(in_the_end(&rig, &payment).await, (PaymentState::Expired, Resolution::None));
}

/// A person said that no account was opened, and was wrong: somebody pays into it. The payment waits in its window.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_for_a_payment_in_its_window_outlasts_its_time() {
    let rig = Rig::start(true).await;
    let payment = rig.create().await;
    let back = rig.choose_as(&payment, account()).await;
    rig.lost(&payment, &back, "not_issued").await;
    called(&rig, &payment).await;
    assert_eq!(in_the_end(&rig, &payment).await, (PaymentState::Pending, Resolution::NeedsOperator));
    let again = rig.create_order(&rig.books(&payment).await.row.order_id).await.expect(200);
    assert_eq!(again["id"], json!(payment.id), "the order is not free");
    // Nor does a gateway that says nothing end it.
    let payment = rig.create().await;
    let back = rig.choose_as(&payment, account()).await;
    rig.lost(&payment, &back, "not_issued").await;
    called(&rig, &payment).await;
    rig.always("inquiry", "drop_before", &back.order_ref).await;
    assert_eq!(in_the_end(&rig, &payment).await, (PaymentState::Pending, Resolution::NeedsOperator));
    // And one that holds nothing any more does.
    let payment = rig.create().await;
    let back = rig.choose_as(&payment, account()).await;
    rig.lost(&payment, &back, "not_issued").await;
    called(&rig, &payment).await;
    rig.take_back(&back.order_ref).await;
    assert_eq!(in_the_end(&rig, &payment).await, (PaymentState::Expired, Resolution::None));
}

/// The deadline was over when a person was called, and the job that ends the wait was done with that. A gateway may say of an
/// account whose deposit the bank took back that it waits, or that it is over.
#[tokio::test(flavor = "multi_thread")]
async fn an_account_whose_call_ended_after_its_deadline_does_not_wait_for_ever() {
    for waits_again in [true, false] {
        let rig = Rig::start(false).await;
        let payment = awaiting(&rig).await;
        rig.deposit(&payment.order_ref()).await;
        let called = (PaymentState::AwaitingDeposit, Resolution::NeedsOperator);
        assert_eq!(in_the_end(&rig, &payment).await, called, "{waits_again}");
        rig.take_back(&payment.order_ref()).await;
        if waits_again {
            rig.says(&payment.order_ref(), "transactionStatus", "NON_DEPOSIT").await;
            assert_eq!(rig.sync(&payment).await.expect(200)["gateway"]["answer"], "same");
        } else {
            rig.sync(&payment).await.problem(409, "gateway_differs");
        }
        assert_eq!(rig.books(&payment).await.row.resolution, Resolution::None, "{waits_again}");
        rig.jobs(1).await;
        let row = rig.books(&payment).await.row;
        assert_eq!((row.state, row.resolution), (PaymentState::Expired, Resolution::None), "{waits_again}");
    }
}
