//! Money that comes for an order that another payment has: it goes back once, as long as the other one is there.

use payhost_core::{PaymentState, Resolution};
use payhost_store::rows::attempts::AttemptKind;

use crate::rig::{Payment, Rig};
use crate::{at_every_step, books_agree};

/// A payment that was given up and whose sale only the gateway knows, and the one in its place.
async fn replaced(rig: &Rig) -> (Payment, Payment) {
    let first = rig.create().await;
    rig.taken_for_none(&first).await;
    let second = rig.replaced(&first).await;
    // What was due before.
    rig.jobs(1).await;
    (first, second)
}

/// Its sale comes to light.
async fn comes(rig: &Rig, payment: &Payment) {
    let synced = rig.sync(payment).await;
    assert_eq!(synced.json()["gateway"]["answer"], "taken_over", "{}", synced.text);
}

/// Time goes by until the host gives nothing back any more.
async fn settle(rig: &Rig) {
    for _ in 0..20 {
        rig.jobs(1).await;
        rig.later(6).await;
    }
}

/// The shop cancels the other payment because it is going to deliver for this one.
#[tokio::test(flavor = "multi_thread")]
async fn late_money_is_kept_when_the_other_payment_ends_before_it_goes_back() {
    let rig = Rig::start(true).await;
    at_every_step("the other one ends", 1, async |at| {
        let (first, second) = replaced(&rig).await;
        comes(&rig, &first).await;
        let mut stopped = rig.clock.stop_at(at);
        let job = async {
            rig.jobs(1).await;
            rig.clock.stop_nobody();
        };
        let shop = async {
            let stood = stopped.stands().await;
            rig.cancel(&second, "k-1", None).await.expect(200);
            drop(stopped);
            stood
        };
        let ((), stood) = tokio::join!(job, shop);
        settle(&rig).await;
        let (kept, ended) = (rig.books(&first).await, rig.books(&second).await);
        let sent = kept.attempts.iter().find(|attempt| attempt.kind == AttemptKind::Cancel);
        assert!(sent.is_none_or(|sent| sent.created_us <= ended.row.updated_us), "stopped at {at}: {kept:?}");
        if sent.is_none() {
            assert_eq!((kept.row.state, kept.held), (PaymentState::Paid, first.total), "stopped at {at}");
            assert_eq!(kept.row.resolution, Resolution::NeedsOperator, "stopped at {at}");
        }
        stood
    })
    .await;
}

/// Both were given up, and both come: one of them pays the order.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_late_payments_of_an_order_the_one_that_came_last_goes_back() {
    let rig = Rig::start(true).await;
    for older_first in [true, false] {
        let (older, younger) = replaced(&rig).await;
        rig.taken_for_none(&younger).await;
        rig.cancel(&younger, "k-1", None).await.expect(200);
        rig.jobs(1).await;
        let (first, last) = if older_first { (&older, &younger) } else { (&younger, &older) };
        comes(&rig, first).await;
        comes(&rig, last).await;
        settle(&rig).await;
        let books = rig.books(first).await;
        assert_eq!(
            (books.row.state, books.held),
            (PaymentState::Paid, first.total),
            "{older_first} {books:?}"
        );
        let books = rig.books(last).await;
        assert_eq!((books.row.state, books.held), (PaymentState::Cancelled, 0), "{older_first} {books:?}");
        books_agree(&rig, last, "it went back").await;
    }
}

/// Of a payment whose time was over: while its approval was written somebody made another payment of the order, and neither saw
/// the other.
#[tokio::test(flavor = "multi_thread")]
async fn an_approval_after_the_time_goes_back_when_another_payment_was_made_at_the_same_moment() {
    let rig = Rig::start(true).await;
    let payment = rig.create().await;
    rig.taken_for_none(&payment).await;
    rig.later(25 * 3600).await;
    rig.jobs(1).await;
    assert_eq!(rig.books(&payment).await.row.state, PaymentState::Expired);
    comes(&rig, &payment).await;
    rig.beside(&payment).await;
    settle(&rig).await;
    let books = rig.books(&payment).await;
    assert_eq!((books.row.state, books.held), (PaymentState::Cancelled, 0), "{books:?}");
    books_agree(&rig, &payment, "it went back").await;
    // Where nobody made one it is the order's.
    let payment = rig.create().await;
    rig.taken_for_none(&payment).await;
    rig.later(25 * 3600).await;
    rig.jobs(1).await;
    comes(&rig, &payment).await;
    settle(&rig).await;
    let books = rig.books(&payment).await;
    assert_eq!((books.row.state, books.row.resolution), (PaymentState::Paid, Resolution::None), "{books:?}");
}

/// The gateway did not make it, and said so only when it was asked.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_given_back_is_given_back_again() {
    let rig = Rig::start(true).await;
    let (first, _second) = replaced(&rig).await;
    comes(&rig, &first).await;
    rig.fault("refund", "drop_before", &first.order_ref()).await;
    rig.jobs(1).await;
    assert_eq!(rig.books(&first).await.row.resolution, Resolution::InDoubt);
    rig.until_known(&first).await;
    for _ in 0..3 {
        rig.later(3600).await;
        rig.jobs(1).await;
    }
    let books = rig.books(&first).await;
    assert_eq!((books.row.state, books.held), (PaymentState::Cancelled, 0), "{books:?}");
    books_agree(&rig, &first, "it went back").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_dies_anywhere_while_it_gives_late_money_back_gives_it_back_once() {
    let rig = Rig::start(true).await;
    at_every_step("giving late money back", 5, async |at| {
        let (first, _second) = replaced(&rig).await;
        comes(&rig, &first).await;
        rig.clock.die_at(at);
        rig.jobs(1).await;
        let died = rig.clock.live_on();
        rig.until_known(&first).await;
        for _ in 0..3 {
            rig.later(3600).await;
            rig.jobs(1).await;
        }
        let books = rig.books(&first).await;
        assert_eq!((books.row.state, books.held), (PaymentState::Cancelled, 0), "died at {at}: {books:?}");
        books_agree(&rig, &first, &format!("died at {at}")).await;
        died
    })
    .await;
}
