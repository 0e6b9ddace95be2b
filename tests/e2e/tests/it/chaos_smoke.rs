//! The smoke part of `cargo xtask chaos`: one run of the cells that guard money most, on both databases.

use payhost_core::kill::{MESSAGE_POINTS, POINTS, Point};

use crate::chaos::checker::{check, operator_calls};
use crate::chaos::dump::{Attempt, Dump, Event, Fact, Payment, Sale};
use crate::chaos::kill_points::{Operation, on};
use crate::chaos::{Asked, Backend, Row, cancel_sequences, clients, messages};

const ONCE: Asked = Asked { runs: Some(1), seed: 1, only: None };

fn nothing_is_wrong(rows: &[Row]) {
    assert!(rows.iter().all(|row| row.runs > 0), "{rows:#?}");
    let violations: Vec<_> = rows.iter().flat_map(|row| &row.violations).collect();
    assert!(violations.is_empty(), "{violations:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_killed_around_an_approval_loses_and_doubles_nothing_on_sqlite() {
    let points = [Point::AfterT1, Point::GatewayAnswers, Point::InT2Commit];
    nothing_is_wrong(&on(Backend::Sqlite, &points, &[Operation::Complete], ONCE).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_killed_around_a_cancel_loses_and_doubles_nothing_on_postgresql() {
    let points = [Point::AfterRequest, Point::BeforeT2, Point::AfterT2];
    nothing_is_wrong(&on(Backend::Postgres, &points, &[Operation::PartialCancel], ONCE).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_repeat_themselves_at_two_hosts_change_nothing_twice() {
    nothing_is_wrong(&clients::on(Backend::Postgres, ONCE).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_killed_around_a_notice_or_a_webhook_loses_and_doubles_nothing() {
    let points = [Point::WebhookSent, Point::NoticeStored, Point::NoticeVerified];
    nothing_is_wrong(&messages::on(Backend::Sqlite, &points, ONCE).await);
}

/// One in a hundred of those of `cargo xtask chaos`.
#[tokio::test(flavor = "multi_thread")]
async fn cancels_of_admin_and_shop_in_any_order_leave_books_that_agree() {
    let hundred = Asked { runs: Some(100), ..ONCE };
    nothing_is_wrong(&cancel_sequences::run(hundred).await);
}

fn payment(state: &str, paid: i64, cancelled: i64) -> Payment {
    Payment {
        id: "pay".into(),
        shop: "shop".into(),
        order_id: "A-1".into(),
        state: state.into(),
        resolution: "none".into(),
        total: 1_000,
        paid,
        cancelled,
        next_event: 1,
    }
}

fn sale(remaining: i64) -> Sale {
    Sale { oid: "ref".into(), price: 1_000, approvals: 1, remaining, ..Sale::default() }
}

/// The checker itself can fail: each invariant has a world that breaks it.
#[test]
fn the_checker_finds_each_violation() {
    let world = |payment: Payment, sales: Vec<Sale>| Dump {
        payments: vec![payment],
        checkouts: [("ref".to_owned(), "pay".to_owned())].into(),
        sales,
        ..Dump::default()
    };
    let found =
        |dump: &Dump| check(dump).into_iter().map(|violation| violation.invariant).collect::<Vec<_>>();
    assert!(found(&world(payment("pending", 0, 0), vec![])).is_empty());
    assert!(found(&world(payment("paid", 1_000, 0), vec![sale(1_000), sale(1_000)])).contains(&"I1"));
    assert!(found(&world(payment("pending", 0, 0), vec![sale(1_000)])).contains(&"I2"));
    assert!(found(&world(payment("paid", 1_000, 0), vec![])).contains(&"I3"));
    assert!(found(&world(payment("partially_cancelled", 1_000, 100), vec![sale(800)])).contains(&"I4"));
    let mut unbooked = world(payment("paid", 1_000, 0), vec![sale(1_000)]);
    let fact = Fact { id: "fact".into(), payment: "pay".into(), kind: "approved".into(), amount: 1_000 };
    unbooked.facts.push(fact);
    assert!(found(&unbooked).contains(&"I5"));
    assert!(found(&unbooked).contains(&"I6"), "paid without an event");
    let mut stray = world(payment("pending", 0, 0), vec![]);
    stray.events.push(Event {
        payment: "other".into(),
        sequence: 1,
        name: "payment.created".into(),
        id: "evt".into(),
    });
    assert_eq!(found(&stray), ["I6"], "an event of no payment");
    let doubtful = Payment { resolution: "in_doubt".into(), ..payment("pending", 0, 0) };
    assert!(found(&world(doubtful, vec![])).contains(&"I10"));
}

#[test]
fn the_checker_lets_a_person_be_called_only_for_what_nobody_can_be_asked_about() {
    let world = |kind: &str, why: &str, asked: bool| {
        let attempt =
            Attempt { id: "att".into(), payment: "pay".into(), kind: kind.into(), state: "in_doubt".into() };
        Dump {
            payments: vec![Payment { resolution: "needs_operator".into(), ..payment("pending", 0, 0) }],
            attempts: vec![attempt],
            calls: [("pay".to_owned(), why.to_owned())].into(),
            asked_by_order: asked.then(|| "shop".to_owned()).into_iter().collect(),
            ..Dump::default()
        }
    };
    let refused = |dump: &Dump| check(dump).iter().any(|violation| violation.invariant == "I10");
    assert!(!refused(&world("complete", "cannot_be_asked", false)));
    assert!(refused(&world("complete", "cannot_be_asked", true)), "the order could be asked about");
    assert!(refused(&world("cancel", "cannot_be_asked", false)), "the sale could be asked about");
    assert!(refused(&world("complete", "asked_in_vain", false)));
    assert!(!refused(&world("cancel", "ambiguous_cancel", false)));
    assert!(refused(&world("complete", "ambiguous_cancel", false)));
    assert!(operator_calls(&world("complete", "cannot_be_asked", false)).contains("1 cannot_be_asked"));
}

#[test]
fn the_documented_kill_points_are_those_of_the_program() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    for (_, number, name, what) in POINTS.iter().chain(MESSAGE_POINTS) {
        let line = format!("| {number} | `{name}` | {what} |");
        assert!(text.contains(&line), "README.md has not: {line}");
    }
}
