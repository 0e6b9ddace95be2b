//! A sale that only the gateway knows of is taken over as it is there, when the gateway is asked; and beside nothing else.

use payhost_core::{FactKind, PaymentState, Resolution};
use serde_json::json;

use crate::books_agree;
use crate::rig::{Rig, account};

/// A person said that there is no sale, and was wrong; then another window was declined. Asked about every window, the gateway
/// shows the money, and it is this payment's.
#[tokio::test(flavor = "multi_thread")]
async fn a_sale_that_was_taken_for_none_is_taken_over_when_the_gateway_is_asked() {
    let rig = Rig::start(true).await;
    let payment = rig.create().await;
    rig.taken_for_none(&payment).await;
    let back = rig.choose(&payment).await;
    rig.decline(&back.order_ref).await;
    rig.come_back_and_wait(&back).await;
    let books = rig.books(&payment).await;
    assert_eq!((books.row.state, books.row.paid, books.held), (PaymentState::Pending, 0, payment.total));
    let synced = rig.sync(&payment).await.expect(200);
    assert_eq!(
        (&synced["gateway"]["answer"], &synced["state"]),
        (&json!("taken_over"), &json!("paid")),
        "{synced}"
    );
    books_agree(&rig, &payment, "taken over").await;
    let books = rig.books(&payment).await;
    assert_eq!((books.row.resolution, books.row.paid), (Resolution::None, payment.total));
    // A repeat says what stands here, and writes nothing.
    assert_eq!(rig.sync(&payment).await.expect(200)["gateway"]["answer"], "same");
    rig.cancel(&payment, "k-1", None).await.expect(200);
    books_agree(&rig, &payment, "given back").await;
}

/// The same after the shop gave the payment up and made another one, which is paid: the late sale goes back by itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_sale_of_a_payment_that_was_given_up_is_taken_over_and_given_back_beside_another_one() {
    let rig = Rig::start(true).await;
    let first = rig.create().await;
    rig.taken_for_none(&first).await;
    let second = rig.replaced(&first).await;
    let back = rig.choose(&second).await;
    rig.come_back_and_wait(&back).await;
    assert_eq!(rig.sync(&first).await.expect(202)["gateway"]["answer"], "taken_over");
    rig.jobs(1).await;
    let books = rig.books(&first).await;
    assert_eq!((books.row.state, books.held), (PaymentState::Cancelled, 0), "{books:?}");
    books_agree(&rig, &first, "the first").await;
    let books = rig.books(&second).await;
    assert_eq!((books.row.state, books.held), (PaymentState::Paid, second.total), "{books:?}");
}

/// While the gateway is asked about one window the buyer returns from another, in which an account was opened.
#[tokio::test(flavor = "multi_thread")]
async fn no_sale_is_taken_over_while_another_window_is_being_approved() {
    let rig = Rig::start(true).await;
    let payment = rig.create().await;
    let lost = rig.taken_for_none(&payment).await;
    let back = rig.choose_as(&payment, account()).await;
    rig.slow("inquiry", 1500, &lost.order_ref).await;
    rig.slow("pay_auth", 3000, &back.order_ref).await;
    let returns = async {
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        rig.come_back_and_wait(&back).await;
    };
    let (synced, ()) = tokio::join!(rig.sync(&payment), returns);
    synced.problem(409, "conflict");
    let books = rig.books(&payment).await;
    let kinds: Vec<FactKind> = books.facts.iter().map(|fact| fact.kind).collect();
    assert_eq!((kinds.as_slice(), books.row.paid), ([FactKind::Issued].as_slice(), 0), "{books:?}");
    assert_eq!(books.row.state, PaymentState::AwaitingDeposit, "{books:?}");
}

/// A part of it was given back in the gateway's admin before anybody here knew of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_sale_is_taken_over_with_what_was_given_back_of_it() {
    let rig = Rig::start(true).await;
    let payment = rig.create().await;
    let lost = rig.taken_for_none(&payment).await;
    rig.cancel_there(&lost.order_ref, 900).await;
    assert_eq!(rig.sync(&payment).await.expect(200)["gateway"]["answer"], "taken_over");
    rig.jobs(1).await;
    let books = rig.books(&payment).await;
    assert_eq!((books.row.state, books.row.cancelled), (PaymentState::PartiallyCancelled, 900), "{books:?}");
    books_agree(&rig, &payment, "a part was given back there").await;
}

/// What the gateway says of a newer window cannot be, or it says nothing: an older one is asked about all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_window_that_cannot_be_understood_hides_no_sale_of_an_older_one() {
    let rig = Rig::start(true).await;
    for fault in ["wrong_amount", "drop_before"] {
        let payment = rig.create().await;
        rig.taken_for_none(&payment).await;
        let newer = rig.taken_for_none(&payment).await;
        rig.always("inquiry", fault, &newer.order_ref).await;
        assert_eq!(rig.sync(&payment).await.expect(200)["gateway"]["answer"], "taken_over", "{fault}");
        let books = rig.books(&payment).await;
        assert_eq!((books.row.state, books.row.paid), (PaymentState::Paid, payment.total), "{fault}");
        // Without a sale anywhere the problem is told.
        let payment = rig.create().await;
        for _ in 0..2 {
            let back = rig.choose(&payment).await;
            rig.decline(&back.order_ref).await;
            rig.come_back_and_wait(&back).await;
            rig.fault("inquiry", "drop_before", &back.order_ref).await;
        }
        rig.sync(&payment).await.problem(502, "gateway_silent");
    }
}
