//! Every step twice, and a failure at every step (after Omicron's `sagas/test_helpers.rs`): the host runs inside the test, so
//! that its time can be moved and so that it can die at any moment at which it looks at the clock, which it does before, inside
//! and after every transaction. The real plugin and the simulated gateway are behind it. Whatever was done twice or died
//! half-way, the books agree and the payment ends as if nothing had happened.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests: a surprise ends the test with its place"
)]

mod calls;
#[path = "../it/stage/html.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod html;
#[path = "../it/stage/http.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod http;
mod late;
mod notices;
mod rig;
mod taken_over;

use payhost_core::{FactKind, PaymentState, Resolution};
use payhost_store::rows::attempts::AttemptState;
use serde_json::{Value, json};

use rig::{Payment, Rig};

/// What goes wrong at the gateway, by operation.
type Faults = &'static [(&'static str, &'static str)];

/// Where the host dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dies {
    /// In the request.
    Asked,
    /// In the jobs that find out afterwards.
    FindingOut,
}

/// Pays with a death at the `at`th look at the clock; tells whether there was one.
async fn pay_and_die(rig: &Rig, payment: &Payment, faults: Faults, dies: Dies, at: i64) -> bool {
    let back = rig.choose(payment).await;
    for (operation, fault) in faults {
        rig.fault(operation, fault, &back.order_ref).await;
    }
    if dies == Dies::Asked {
        rig.clock.die_at(at);
    }
    rig.come_back(&back).await;
    if dies == Dies::FindingOut {
        rig.clock.die_at(at);
        rig.later(5).await;
        rig.jobs(1).await;
    }
    let died = rig.clock.live_on();
    rig.until_known(payment).await;
    // The browser shows the page again.
    rig.come_back(&back).await;
    rig.until_known(payment).await;
    died
}

/// Dies at the first, the second, the third … look at the clock, until there is none left to die at.
async fn at_every_step(name: &str, least: i64, mut one: impl AsyncFnMut(i64) -> bool) {
    for at in 1.. {
        if !one(at).await {
            assert!(at > least, "{name}: only {at} places to die at");
            eprintln!("{name}: died at {} places", at - 1);
            return;
        }
    }
}

/// The rules that hold for every payment whose outcome is known.
async fn books_agree(rig: &Rig, payment: &Payment, what: &str) {
    let books = rig.books(payment).await;
    assert_eq!(books.row.resolution, Resolution::None, "{what}: {books:?}");
    let open = books.attempts.iter().filter(|attempt| attempt.parent_id.is_none() && attempt.state.is_open());
    assert_eq!(open.count(), 0, "{what}: {books:?}");
    let sum =
        |kind| -> i64 { books.facts.iter().filter(|fact| fact.kind == kind).map(|fact| fact.amount).sum() };
    let (paid, cancelled) = (sum(FactKind::Approved), sum(FactKind::Cancelled));
    assert_eq!((books.row.paid, books.row.cancelled), (paid, cancelled), "{what}: {books:?}");
    assert_eq!(books.ledger, 0, "{what}: {books:?}");
    assert_eq!(books.held, paid - cancelled, "{what}: the gateway holds something else: {books:?}");
    assert!(books.held <= books.row.total, "{what}: paid twice: {books:?}");
}

/// Where the gateway cannot be asked, a person looks at it; tells whether one had to.
async fn a_person_looks(rig: &Rig, payment: &Payment) -> bool {
    let books = rig.books(payment).await;
    if books.row.resolution != Resolution::NeedsOperator {
        return false;
    }
    // The host took back what it could: nothing is left there to be found.
    assert_eq!(books.held, 0, "{books:?}");
    rig.find(payment, json!({"finding": "not_approved", "note": "no sale", "by": "me"})).await;
    true
}

/// After the death the buyer tries again, and the order is paid once.
async fn is_paid_at_last(rig: &Rig, payment: &Payment, what: &str) {
    a_person_looks(rig, payment).await;
    books_agree(rig, payment, what).await;
    if rig.books(payment).await.row.state != PaymentState::Paid {
        let back = rig.choose(payment).await;
        rig.come_back(&back).await;
        rig.until_known(payment).await;
        books_agree(rig, payment, what).await;
    }
    let books = rig.books(payment).await;
    assert_eq!((books.row.state, books.held), (PaymentState::Paid, books.row.total), "{what}: {books:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_dies_anywhere_in_an_approval_charges_once() {
    for lookup in [false, true] {
        let rig = Rig::start(lookup).await;
        at_every_step(&format!("approval, asked by order: {lookup}"), 10, async |at| {
            let payment = rig.create().await;
            let died = pay_and_die(&rig, &payment, &[], Dies::Asked, at).await;
            is_paid_at_last(&rig, &payment, &format!("died at {at}, {lookup}")).await;
            died
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_dies_anywhere_while_it_finds_out_about_an_approval_charges_once() {
    let rig = Rig::start(true).await;
    let faults: Faults = &[("pay_auth", "drop_after")];
    at_every_step("finding out by asking", 5, async |at| {
        let payment = rig.create().await;
        let died = pay_and_die(&rig, &payment, faults, Dies::FindingOut, at).await;
        is_paid_at_last(&rig, &payment, &format!("died at {at}")).await;
        died
    })
    .await;
}

/// Where the gateway cannot be asked and the answer of an undo was lost with the host, a person says how it stands.
#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_dies_anywhere_in_an_undo_ends_with_nothing_held() {
    let rig = Rig::start(false).await;
    let faults: Faults = &[("pay_auth", "drop_after")];
    let mut persons = 0;
    at_every_step("finding out by undoing", 8, async |at| {
        let payment = rig.create().await;
        let died = pay_and_die(&rig, &payment, faults, Dies::FindingOut, at).await;
        persons += u32::from(a_person_looks(&rig, &payment).await);
        let books = rig.books(&payment).await;
        assert_eq!((books.held, books.row.paid), (0, 0), "died at {at}: {books:?}");
        is_paid_at_last(&rig, &payment, &format!("died at {at}")).await;
        died
    })
    .await;
    assert!(persons > 0, "an undo that succeeded while its host died must be among them");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_dies_anywhere_in_a_cancel_gives_back_once() {
    let rig = Rig::start(false).await;
    for (amount, fault) in [(None, None), (Some(900), None), (Some(900), Some("drop_after"))] {
        at_every_step(&format!("cancel of {amount:?} with {fault:?}"), 6, async |at| {
            let payment = rig.paid().await;
            if let Some(fault) = fault {
                rig.fault("partial_refund", fault, &payment.order_ref()).await;
            }
            rig.clock.die_at(at);
            let first = rig.cancel(&payment, "k-1", amount).await;
            let died = rig.clock.live_on();
            // The same key meanwhile: running, not known yet, or what came of it; never a second cancel.
            let again = rig.cancel(&payment, "k-1", amount).await;
            assert!([200, 202, 409].contains(&again.status), "died at {at}: {} {}", first.text, again.text);
            rig.until_known(&payment).await;
            let mut last = rig.cancel(&payment, "k-1", amount).await;
            if last.status == 502 {
                // It died before anything was sent, which the gateway confirmed: only a new key may try again.
                last.problem(502, "cancel_not_made");
                last = rig.cancel(&payment, "k-2", amount).await;
                rig.until_known(&payment).await;
                last = if last.status == 202 { rig.cancel(&payment, "k-2", amount).await } else { last };
            }
            let wanted = amount.unwrap_or(payment.total);
            assert_eq!(last.expect(200)["amount"]["cancelled"], wanted, "died at {at}");
            books_agree(&rig, &payment, &format!("died at {at}")).await;
            assert_eq!(rig.books(&payment).await.held, payment.total - wanted, "died at {at}");
            died
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_dies_anywhere_in_giving_up_ends_the_windows_or_leaves_the_payment_as_it_was() {
    let rig = Rig::start(false).await;
    at_every_step("giving up", 3, async |at| {
        let payment = rig.create().await;
        let back = rig.choose(&payment).await;
        rig.clock.die_at(at);
        rig.cancel(&payment, "k-1", None).await;
        let died = rig.clock.live_on();
        // The same key: what came of it, or it is done now.
        let again = rig.cancel(&payment, "k-1", None).await.expect(200);
        assert_eq!(again["state"], "cancelled", "died at {at}");
        assert_eq!(rig.cancel(&payment, "k-1", None).await.expect(200), again, "died at {at}");
        rig.come_back_and_wait(&back).await;
        let books = rig.books(&payment).await;
        assert_eq!((books.row.state, books.held), (PaymentState::Cancelled, 0), "died at {at}: {books:?}");
        books_agree(&rig, &payment, &format!("died at {at}")).await;
        died
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_dies_anywhere_in_a_replacement_leaves_one_payment_of_the_order() {
    let rig = Rig::start(false).await;
    at_every_step("replacing", 3, async |at| {
        let old = rig.create().await;
        let back = rig.choose(&old).await;
        rig.clock.die_at(at);
        rig.replace(&old, "k-1").await;
        let died = rig.clock.live_on();
        let new = rig.replace(&old, "k-1").await.expect(201);
        assert_eq!(rig.replace(&old, "k-1").await.expect(201), new, "died at {at}");
        rig.come_back_and_wait(&back).await;
        let books = rig.books(&old).await;
        assert_eq!((books.row.state, books.held), (PaymentState::Cancelled, 0), "died at {at}: {books:?}");
        assert_eq!(rig.states_of_order(&old).await, ["created", "cancelled"], "died at {at}");
        died
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_that_was_left_behind_answers_not_known_yet_and_then_its_outcome() {
    let rig = Rig::start(false).await;
    // Dies after the gateway booked it and before its answer is written, wherever that is.
    let mut at = 1;
    let payment = loop {
        let payment = rig.paid().await;
        rig.clock.die_at(at);
        rig.cancel(&payment, "k-1", None).await;
        assert!(rig.clock.live_on(), "no such place");
        let books = rig.books(&payment).await;
        if books.held == 0 && books.attempts.last().unwrap().state == AttemptState::Intent {
            break payment;
        }
        at += 1;
    };
    rig.fault("inquiry", "drop_before", &payment.order_ref()).await;
    rig.cancel(&payment, "k-1", None).await.problem(409, "idempotency_running");
    rig.later(32).await;
    rig.jobs(1).await;
    let doubt = rig.cancel(&payment, "k-1", None).await.expect(202);
    assert_eq!(doubt["resolution"], "in_doubt");
    rig.until_known(&payment).await;
    assert_eq!(rig.cancel(&payment, "k-1", None).await.expect(200)["state"], "cancelled");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_job_done_twice_ends_as_if_done_once() {
    let cases: &[(bool, Faults, bool)] = &[
        (false, &[("pay_auth", "drop_after"), ("net_cancel", "drop_before")], false),
        (true, &[("pay_auth", "drop_after"), ("inquiry", "drop_before")], false),
        (true, &[("pay_auth", "drop_before"), ("inquiry", "drop_before")], false),
        (false, &[("inquiry", "drop_before"), ("refund", "drop_after")], true),
    ];
    for (lookup, faults, cancelled) in cases {
        let mut ends: Vec<Value> = Vec::new();
        for times in [1, 2] {
            let rig = Rig::start(*lookup).await;
            rig.every_job_so_often(times);
            let payment = rig.create().await;
            let back = rig.choose(&payment).await;
            if !cancelled {
                for (operation, fault) in *faults {
                    rig.fault(operation, fault, &back.order_ref).await;
                }
            }
            rig.come_back(&back).await;
            if *cancelled {
                for (operation, fault) in *faults {
                    rig.fault(operation, fault, &back.order_ref).await;
                }
                rig.cancel(&payment, "k-1", None).await.expect(202);
            }
            rig.until_known(&payment).await;
            // Every other job: the payment's end of time, a watch of its channel, and what is thrown away.
            rig.watch().await;
            rig.later(26 * 3600).await;
            rig.tidy().await;
            rig.jobs(3).await;
            books_agree(&rig, &payment, &format!("{faults:?}, {times} times")).await;
            ends.push(rig.books(&payment).await.end());
        }
        assert_eq!(ends[0], ends[1], "{faults:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_panics_is_done_again_and_delays_no_other() {
    let rig = Rig::start(true).await;
    let payments = [rig.create().await, rig.create().await];
    for payment in &payments {
        let back = rig.choose(payment).await;
        // The first look finds it, whether the job panics before it asked or after: a try that died counts as one.
        rig.fault("pay_auth", "drop_after", &back.order_ref).await;
        rig.come_back(&back).await;
    }
    rig.later(5).await;
    let panics = rig.run_jobs_with_a_panic().await;
    assert_eq!(panics, 1);
    for payment in &payments {
        rig.until_known(payment).await;
        let books = rig.books(payment).await;
        assert_eq!(books.row.state, PaymentState::Paid, "{books:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_during_an_approval_charges_once() {
    for lookup in [false, true] {
        let rig = Rig::start(lookup).await;
        for jump_s in [3600, -3600, 24 * 3600] {
            let payment = rig.create().await;
            let back = rig.choose(&payment).await;
            rig.slow("pay_auth", 1500, &back.order_ref).await;
            let jump = async {
                rig.until_attempted(&payment).await;
                rig.clock.jump(jump_s);
                rig.jobs(2).await;
            };
            tokio::join!(rig.come_back_and_wait(&back), jump);
            rig.clock.jump(-jump_s);
            rig.until_known(&payment).await;
            is_paid_at_last(&rig, &payment, &format!("{jump_s} s, asked by order: {lookup}")).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_created_payment_is_answered_again_when_its_time_is_over() {
    let rig = Rig::start(false).await;
    let first = rig.create_until(60, "k-1").await.expect(201);
    rig.later(3600).await;
    rig.jobs(1).await;
    assert_eq!(rig.create_again("k-1").await.expect(201), first);
    rig.create_again("k-2").await.problem(400, "invalid_request");
}

/// The deadline that it names is over by now, and no such order could be made any more.
#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_of_an_order_that_could_not_be_made_today_still_gives_its_payment() {
    let rig = Rig::start(false).await;
    let first = rig.create_with_deadline("B-1", 90, "k-1").await.expect(201);
    rig.later(3600).await;
    let again = rig.create_again("k-2").await.expect(200);
    assert_eq!(again["id"], first["id"]);
    rig.create_of_order("B-2", "k-3").await.problem(400, "invalid_request");
}
