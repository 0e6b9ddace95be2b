//! Payments and checkouts.

use payhost_core::{FactKind, PaymentState, Resolution};
use payhost_store::rows::checkouts::{self, CheckoutState};
use payhost_store::rows::facts;
use payhost_store::rows::payments::{self, Filter, OPEN_ORDER, Payment};
use payhost_store::rows::{Mode, Order};
use payhost_store::{Error, Sealed, params};
use serde_json::json;

use super::Database;
use super::fixture::{NOW_US, World, err, json_of, ok, world};

pub async fn a_payment_reads_back_as_it_was_written(database: &Database) {
    let store = database.open();
    let world = world(&store).await;
    let (mut payment, checkout, _) = world.stored(&store, "1").await;
    payment.state = PaymentState::Paid;
    payment.resolution = Resolution::InDoubt;
    (payment.paid, payment.cancelled) = (1000, 400);
    (payment.cancelled_tax_free, payment.cancelled_vat) = (30, 7);
    payment.gateway_ref = Some("tid".to_owned());
    payment.approved_checkout_id = Some(checkout.id);
    payment.approved_at_us = Some(5);
    payment.paid_method = Some(json_of(json!({"card": "11"})));
    payment.details = Some(Sealed::from_bytes(vec![0, 255]));
    payment.last_failure = Some(Sealed::from_bytes(vec![6]));
    (payment.opened, payment.failed, payment.expired) = (true, true, true);
    (payment.expires_us, payment.deposit_deadline_us, payment.next_event) = (7, Some(8), 4);
    let saved = ok(&store, move |tx| payments::save(tx, &mut payment, NOW_US + 9).map(|()| payment)).await;
    assert_eq!((saved.version, saved.updated_us), (2, NOW_US + 9));
    let (shop, id) = (world.shop, saved.id);
    assert_eq!(store.read(move |tx| payments::get(tx, shop, id)).await.unwrap(), Some(saved.clone()));
    assert_eq!(ok(&store, move |tx| payments::lock(tx, shop, id)).await, Some(saved.clone()));
    let of_checkout = ok(&store, move |tx| payments::ask_of_checkout(tx, shop, checkout.id)?.first(tx)).await;
    assert_eq!(of_checkout, Some(saved));
}

pub async fn an_order_has_one_open_payment(database: &Database) {
    let store = database.open();
    let world = world(&store).await;
    for state in PaymentState::TABLE.iter().map(|(state, _)| *state).filter(|state| !state.is_over()) {
        let order = state.as_str();
        let first = Payment { state, ..world.payment(order) };
        let id = first.id;
        ok(&store, move |tx| payments::insert(tx, &first)).await;
        let second = world.payment(order);
        let error = err(&store, move |tx| payments::insert(tx, &second)).await;
        assert!(error.is_unique(OPEN_ORDER), "{error:?}");
        let live = Payment { mode: Mode::Live, ..world.payment(order) };
        ok(&store, move |tx| payments::insert(tx, &live)).await;
        let found = ok(&store, move |tx| payments::open_of_order(tx, world.shop, Mode::Test, order)).await;
        assert_eq!(found.unwrap().id, id);
    }
}

pub async fn an_order_is_free_again_when_its_payment_is_over(database: &Database) {
    let store = database.open();
    let world = world(&store).await;
    for state in PaymentState::TABLE.iter().map(|(state, _)| *state).filter(|state| state.is_over()) {
        let first = Payment { state, ..world.payment(state.as_str()) };
        let second = world.payment(state.as_str());
        ok(&store, move |tx| payments::insert(tx, &first)).await;
        ok(&store, move |tx| payments::insert(tx, &second)).await;
    }
}

pub async fn amounts_are_guarded_by_the_database(database: &Database) {
    type Break = fn(&mut Payment);
    let store = database.open();
    let world = world(&store).await;
    let table: [(&str, Break); 9] = [
        ("payment_total_positive", |p| (p.total, p.tax_free) = (0, None)),
        ("payment_total_positive", |p| (p.total, p.tax_free) = (-1, None)),
        // Marked, so that only one rule is broken: which of several is told differs between the backends.
        ("payment_paid_not_negative", |p| (p.paid, p.resolution) = (-1, Resolution::InDoubt)),
        ("payment_cancelled_not_negative", |p| p.cancelled = -1),
        ("payment_cancelled_within_paid", |p| p.cancelled = 1),
        ("payment_cancelled_tax_free_not_negative", |p| p.cancelled_tax_free = -1),
        ("payment_cancelled_vat_not_negative", |p| p.cancelled_vat = -1),
        ("payment_tax_free_range", |p| p.tax_free = Some(1001)),
        ("payment_vat_range", |p| p.vat = Some(-1)),
    ];
    for (rule, spoil) in table {
        let mut payment = world.payment("1");
        spoil(&mut payment);
        let error = err(&store, move |tx| payments::insert(tx, &payment)).await;
        assert!(error.is_check(rule), "{rule}: {error:?}");
    }
    let (mut payment, ..) = world.stored(&store, "1").await;
    payment.cancelled = 1;
    let error = err(&store, move |tx| payments::save(tx, &mut payment, NOW_US)).await;
    assert!(error.is_check("payment_cancelled_within_paid"), "{error:?}");
}

pub async fn a_refund_may_be_known_before_its_approval_if_the_payment_is_marked(database: &Database) {
    let store = database.open();
    let world = world(&store).await;
    for resolution in [Resolution::InDoubt, Resolution::NeedsOperator] {
        let (payment, ..) = world.stored(&store, resolution.as_str()).await;
        let mut early = Payment { cancelled: 300, resolution, state: PaymentState::Cancelled, ..payment };
        let mut kept = ok(&store, move |tx| payments::save(tx, &mut early, NOW_US).map(|()| early)).await;
        kept.resolution = Resolution::None;
        let mut done = kept.clone();
        let error = err(&store, move |tx| payments::save(tx, &mut done, NOW_US)).await;
        assert!(error.is_check("payment_cancelled_within_paid"), "{error:?}");
        (kept.paid, kept.state) = (1000, PaymentState::PartiallyCancelled);
        ok(&store, move |tx| payments::save(tx, &mut kept, NOW_US)).await;
    }
}

pub async fn words_and_flags_outside_the_tables_are_refused_when_they_are_read(database: &Database) {
    let store = database.open();
    let world = world(&store).await;
    let (payment, checkout, _) = world.stored(&store, "1").await;
    let columns = [
        ("state", "'other'"),
        ("resolution", "'other'"),
        ("mode", "'other'"),
        ("confirm", "'other'"),
        ("opened", "2"),
        ("failed", "2"),
        ("expired", "2"),
    ];
    for (column, wrong) in columns {
        let error = err(&store, move |tx| {
            tx.execute(&format!("UPDATE payment SET {column} = {wrong} WHERE id = $1"), params![payment.id])?;
            payments::get(tx, payment.shop_id, payment.id)
        })
        .await;
        let told = matches!(&error, Error::Corrupt(text) if text.contains(column));
        assert!(told, "{column}: {error:?}");
    }
    let error = err(&store, move |tx| {
        tx.execute("UPDATE checkout SET state = 'other' WHERE id = $1", params![checkout.id])?;
        checkouts::get(tx, checkout.shop_id, checkout.id)
    })
    .await;
    assert!(matches!(&error, Error::Corrupt(text) if text.contains("state")), "{error:?}");
}

pub async fn a_change_to_an_old_version_is_refused(database: &Database) {
    let store = database.open();
    let world = world(&store).await;
    let (payment, ..) = world.stored(&store, "1").await;
    let (mut first, mut second) = (payment.clone(), payment);
    ok(&store, move |tx| payments::save(tx, &mut first, NOW_US)).await;
    let error = err(&store, move |tx| payments::save(tx, &mut second, NOW_US)).await;
    assert_eq!(error, Error::Stale { what: "payment" });
}

pub async fn another_shops_payment_is_not_there(database: &Database) {
    let store = database.open();
    let (ours, theirs) = (world(&store).await, world(&store).await);
    let (payment, checkout, _) = ours.stored(&store, "1").await;
    ok(&store, move |tx| {
        assert_eq!(payments::get(tx, theirs.shop, payment.id)?, None);
        assert_eq!(checkouts::get(tx, theirs.shop, checkout.id)?, None);
        assert_eq!(payments::open_of_order(tx, theirs.shop, Mode::Test, "1")?, None);
        assert!(checkouts::of_payment(tx, theirs.shop, payment.id)?.is_empty());
        Ok(())
    })
    .await;
    let stolen =
        err(&store, move |tx| payments::save(tx, &mut Payment { shop_id: theirs.shop, ..payment }, NOW_US));
    assert_eq!(stolen.await, Error::Stale { what: "payment" });
}

fn filter(order: Order) -> Filter<'static> {
    Filter {
        mode: Mode::Test,
        order_id: None,
        state: None,
        resolution: None,
        method: None,
        total: None,
        text: None,
        from_us: None,
        until_us: None,
        order,
        after: None,
        limit: 2,
    }
}

async fn five(world: World, store: &payhost_store::Store) -> Vec<Payment> {
    let rows: Vec<Payment> = (0..5).map(|at| world.payment(&at.to_string())).collect();
    let copy = rows.clone();
    ok(store, move |tx| rows.iter().try_for_each(|row| payments::insert(tx, row))).await;
    copy
}

pub async fn lists_page_by_cursor_in_both_directions(database: &Database) {
    let store = database.open();
    let (ours, theirs) = (world(&store).await, world(&store).await);
    let mut wanted: Vec<_> = five(ours, &store).await.iter().map(|row| row.id).collect();
    five(theirs, &store).await;
    for order in [Order::OldestFirst, Order::NewestFirst] {
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let filter = Filter { after, ..filter(order) };
            let page = ok(&store, move |tx| payments::list(tx, ours.shop, &filter)).await;
            let Some(last) = page.last() else { break };
            assert!(page.len() <= 2);
            after = Some(last.id);
            seen.extend(page.iter().map(|row| row.id));
        }
        assert_eq!(seen, wanted);
        wanted.reverse();
    }
}

pub async fn lists_filter_by_order_and_state(database: &Database) {
    let store = database.open();
    let world = world(&store).await;
    let rows = five(world, &store).await;
    let expired = Payment { state: PaymentState::Expired, ..world.payment("3") };
    let wanted = (rows[3].id, expired.id);
    ok(&store, move |tx| {
        payments::insert(tx, &expired)?;
        let of_order = Filter { order_id: Some("3"), ..filter(Order::OldestFirst) };
        let ids = |rows: Vec<Payment>| rows.iter().map(|row| row.id).collect::<Vec<_>>();
        assert_eq!(ids(payments::list(tx, world.shop, &of_order)?), [wanted.0, wanted.1]);
        let behind = Filter { after: Some(wanted.0), ..of_order };
        assert_eq!(ids(payments::list(tx, world.shop, &behind)?), [wanted.1]);
        let both = Filter { state: Some(PaymentState::Expired), ..of_order };
        assert_eq!(ids(payments::list(tx, world.shop, &both)?), [wanted.1]);
        let live = Filter { mode: Mode::Live, ..of_order };
        assert!(payments::list(tx, world.shop, &live)?.is_empty());
        Ok(())
    })
    .await;
}

pub async fn an_order_ref_is_used_once(database: &Database) {
    let store = database.open();
    let world = world(&store).await;
    let (payment, first, _) = world.stored(&store, "1").await;
    let mut again = world.checkout(&payment);
    again.order_ref = first.order_ref;
    let error = err(&store, move |tx| checkouts::insert(tx, &again)).await;
    assert!(error.is_unique("checkout_order_ref"), "{error:?}");
    let mut long = world.checkout(&payment);
    long.order_ref = "x".repeat(41);
    let error = err(&store, move |tx| checkouts::insert(tx, &long)).await;
    assert!(error.is_check("checkout_order_ref_length"), "{error:?}");
}

pub async fn a_checkout_advances_only_from_the_expected_state(database: &Database) {
    let store = database.open();
    let world = world(&store).await;
    let (_, mut checkout, _) = world.stored(&store, "1").await;
    checkout.state = CheckoutState::Returned;
    let copy = checkout.clone();
    ok(&store, move |tx| checkouts::advance(tx, &copy, CheckoutState::Opened)).await;
    let error = err(&store, move |tx| checkouts::advance(tx, &checkout, CheckoutState::Opened)).await;
    assert_eq!(error, Error::Stale { what: "checkout" });
}

pub async fn rows_cannot_point_into_another_shop(database: &Database) {
    let store = database.open();
    let (ours, theirs) = (world(&store).await, world(&store).await);
    let payment = Payment { channel_id: theirs.channel, ..ours.payment("1") };
    assert_eq!(err(&store, move |tx| payments::insert(tx, &payment)).await, Error::ForeignKey);
    let (payment, ..) = theirs.stored(&store, "1").await;
    let checkout = ours.checkout(&payment);
    assert_eq!(err(&store, move |tx| checkouts::insert(tx, &checkout)).await, Error::ForeignKey);
}

pub async fn money_that_comes_late_is_kept_beside_a_new_payment_of_the_order(database: &Database) {
    let store = database.open();
    let world = world(&store).await;
    let late = world.payment("1");
    let row = late.clone();
    ok(&store, move |tx| payments::insert(tx, &row)).await;
    // Given up is the same: another payment may hold the order.
    let mut over = Payment { state: PaymentState::Cancelled, given_up: true, ..world.payment("2") };
    let row = Payment { state: PaymentState::Created, given_up: false, ..over.clone() };
    ok(&store, move |tx| payments::insert(tx, &row)).await;
    let over = ok(&store, move |tx| payments::save(tx, &mut over, NOW_US).map(|()| over)).await;
    let second = world.payment("2");
    ok(&store, move |tx| payments::insert(tx, &second)).await;
    let mut paid = Payment { state: PaymentState::Paid, paid: 1000, late_us: Some(NOW_US), ..over };
    ok(&store, move |tx| payments::save(tx, &mut paid, NOW_US)).await;

    let mut over = Payment { state: PaymentState::Expired, expired: true, ..late };
    let over = ok(&store, move |tx| payments::save(tx, &mut over, NOW_US).map(|()| over)).await;
    let second = world.payment("1");
    ok(&store, move |tx| payments::insert(tx, &second)).await;
    // The approval of the first comes now: it is kept, and both stand.
    let fact = world.fact(over.id, FactKind::Approved, 0, 1000);
    let mut paid = Payment { state: PaymentState::Paid, paid: 1000, ..over };
    ok(&store, move |tx| {
        assert!(facts::record(tx, &fact)?.is_new());
        payments::save(tx, &mut paid, NOW_US)
    })
    .await;
    let third = world.payment("1");
    let error = err(&store, move |tx| payments::insert(tx, &third)).await;
    assert!(error.is_unique(OPEN_ORDER), "{error:?}");
}

pub async fn an_order_is_revised_only_while_nothing_was_opened(database: &Database) {
    let store = database.open();
    let world = world(&store).await;
    let made = world.payment("1");
    let row = made.clone();
    ok(&store, move |tx| payments::insert(tx, &row)).await;
    let mut other = Payment { total: 2_000, language: "en".into(), order_name: "other".into(), ..made };
    let kept = ok(&store, move |tx| {
        payments::revise(tx, &other)?;
        payments::save(tx, &mut other, NOW_US)?;
        Ok(other)
    })
    .await;
    let (shop, id, wanted) = (kept.shop_id, kept.id, kept.clone());
    let now = ok(&store, move |tx| payments::get(tx, shop, id)).await.unwrap();
    assert_eq!(now, wanted);
    let mut opened = Payment { opened: true, ..kept };
    let opened = ok(&store, move |tx| payments::save(tx, &mut opened, NOW_US).map(|()| opened)).await;
    let other = Payment { total: 3_000, ..opened };
    assert_eq!(err(&store, move |tx| payments::revise(tx, &other)).await, Error::Stale { what: "payment" });
}

pub async fn unresolved_payments_are_counted(database: &Database) {
    let store = database.open();
    let world = world(&store).await;
    ok(&store, move |tx| {
        assert!(payments::unresolved(tx)?.is_empty());
        for (order, resolution, at_us) in [
            ("1", Resolution::None, 1),
            ("2", Resolution::InDoubt, 7),
            ("3", Resolution::InDoubt, 5),
            ("4", Resolution::NeedsOperator, 9),
        ] {
            payments::insert(tx, &Payment { resolution, updated_us: at_us, ..world.payment(order) })?;
        }
        assert_eq!(
            payments::unresolved(tx)?,
            [(Resolution::InDoubt, 2, 5), (Resolution::NeedsOperator, 1, 9)]
        );
        Ok(())
    })
    .await;
}
