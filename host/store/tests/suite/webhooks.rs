//! Endpoints, the outbox and deliveries.

use payhost_core::id::{EndpointId, EventId};
use payhost_store::Store;
use payhost_store::rows::Mode;
use payhost_store::rows::deliveries::{self, Delivery, DeliveryState};
use payhost_store::rows::endpoints::{self, Endpoint};
use payhost_store::rows::events::{self, Event, Outbox};
use serde_json::json;

use super::Database;
use super::fixture::{NOW_US, World, endpoint_id, err, event_id, json_of, ok, world};

const LEASE: i64 = 30;

fn event(world: World, mode: Mode) -> Event {
    Event {
        id: event_id(),
        shop_id: world.shop,
        mode,
        payment_id: None,
        sequence: None,
        name: "payment.paid".to_owned(),
        payload: json_of(json!({})),
        created_us: NOW_US,
    }
}

fn delivery(world: World, endpoint_id: EndpointId, event_id: EventId, due_us: i64) -> Delivery {
    Delivery {
        shop_id: world.shop,
        endpoint_id,
        event_id,
        name: "payment.paid".to_owned(),
        payment_url: None,
        state: DeliveryState::Waiting,
        tries: 0,
        due_us,
        tried_us: None,
        took_us: None,
        status: None,
        error: None,
        answer: None,
        created_us: NOW_US,
    }
}

/// A shop with an endpoint and a delivery that is due.
async fn scene(store: &Store, due_us: i64) -> (World, EndpointId) {
    let (world, id) = (world(store).await, endpoint_id());
    ok(store, move |tx| endpoints::insert(tx, &world.endpoint(id))).await;
    add(store, world, id, due_us).await;
    (world, id)
}

async fn add(store: &Store, world: World, id: EndpointId, due_us: i64) -> EventId {
    ok(store, move |tx| {
        let event = event(world, Mode::Test);
        events::insert(tx, &event)?;
        assert!(deliveries::insert_new(tx, &delivery(world, id, event.id, due_us))?);
        endpoints::wake(tx, world.shop, id, due_us)?;
        Ok(event.id)
    })
    .await
}

async fn claim(store: &Store, failing: bool, now_us: i64, token: &'static str) -> Vec<Endpoint> {
    ok(store, move |tx| endpoints::claim(tx, failing, now_us, now_us + LEASE, token, 10)).await
}

async fn release(store: &Store, world: World, id: EndpointId, token: &'static str) -> bool {
    ok(store, move |tx| endpoints::release(tx, world.shop, id, token)).await
}

async fn get(store: &Store, world: World, id: EndpointId) -> Endpoint {
    ok(store, move |tx| endpoints::get(tx, world.shop, id)).await.unwrap()
}

pub async fn an_event_is_handed_on_once_and_only_where_somebody_listens(database: &Database) {
    let store = database.open();
    let (listens, silent) = (world(&store).await, world(&store).await);
    let wanted = ok(&store, move |tx| {
        endpoints::insert(tx, &listens.endpoint(endpoint_id()))?;
        let off = Endpoint { enabled: false, ..silent.endpoint(endpoint_id()) };
        endpoints::insert(tx, &off)?;
        let first = event(listens, Mode::Test);
        let second = event(listens, Mode::Test);
        for event in [&second, &first, &event(listens, Mode::Live), &event(silent, Mode::Test)] {
            events::insert(tx, event)?;
        }
        assert!(events::any_in_outbox(tx)?);
        Ok([first.id, second.id].map(|event_id| Outbox { shop_id: listens.shop, event_id }))
    })
    .await;
    let taken = ok(&store, |tx| {
        let mut taken = events::take_from_outbox(tx, 1)?;
        taken.extend(events::take_from_outbox(tx, 10)?);
        Ok(taken)
    })
    .await;
    assert_eq!(taken, wanted, "in order of their ids");
    assert!(!ok(&store, events::any_in_outbox).await);
}

pub async fn an_endpoint_is_claimed_when_due_and_by_one_only(database: &Database) {
    let store = database.open();
    let (world, id) = scene(&store, 100).await;
    assert_eq!(ok(&store, |tx| endpoints::next_due_after(tx, 99)).await, Some(100));
    assert!(claim(&store, false, 99, "t1").await.is_empty());
    assert!(ok(&store, |tx| endpoints::any_claimable(tx, false, 100)).await);
    assert_eq!(claim(&store, false, 100, "t1").await.len(), 1);
    assert!(!ok(&store, |tx| endpoints::any_claimable(tx, false, 100)).await);
    assert!(claim(&store, false, 100, "t2").await.is_empty());
    assert!(release(&store, world, id, "t1").await);
    assert_eq!(claim(&store, false, 100, "t3").await.len(), 1, "its delivery still waits");
}

pub async fn a_lost_lease_lets_another_take_the_endpoint_and_fences_the_first(database: &Database) {
    let store = database.open();
    let (world, id) = scene(&store, 100).await;
    assert_eq!(claim(&store, false, 100, "t1").await.len(), 1);
    assert!(claim(&store, false, 100 + LEASE - 1, "t2").await.is_empty());
    assert_eq!(claim(&store, false, 100 + LEASE, "t2").await.len(), 1);
    assert!(!release(&store, world, id, "t1").await);
    assert_eq!(get(&store, world, id).await.lease_token.as_deref(), Some("t2"));
    assert!(release(&store, world, id, "t2").await);
}

pub async fn a_delivery_that_comes_during_a_turn_is_not_forgotten_at_its_end(database: &Database) {
    let store = database.open();
    let (world, id) = scene(&store, 100).await;
    let claimed = claim(&store, false, 100, "t1").await;
    assert_eq!(claimed[0].due_us, Some(100));
    let first = ok(&store, move |tx| deliveries::due(tx, (world.shop, id), 100, 10)).await;
    ok(&store, move |tx| {
        let done = Delivery { state: DeliveryState::Delivered, tries: 1, ..first[0].clone() };
        deliveries::record(tx, &done, 0)
    })
    .await;
    add(&store, world, id, 110).await;
    assert!(claim(&store, false, 111, "t2").await.is_empty(), "the lease still holds");
    assert!(release(&store, world, id, "t1").await);
    assert_eq!(get(&store, world, id).await.due_us, Some(110));
    assert_eq!(claim(&store, false, 111, "t2").await.len(), 1);
}

pub async fn failing_endpoints_stand_in_a_queue_of_their_own(database: &Database) {
    let store = database.open();
    let (world, id) = scene(&store, 100).await;
    ok(&store, move |tx| {
        endpoints::set_failing(tx, world.shop, id, Some(50))?;
        endpoints::set_failing(tx, world.shop, id, Some(70))
    })
    .await;
    assert_eq!(get(&store, world, id).await.failing_since_us, Some(50), "since the first failure");
    assert!(claim(&store, false, 100, "t1").await.is_empty());
    assert_eq!(claim(&store, true, 100, "t1").await.len(), 1);
    ok(&store, move |tx| endpoints::set_failing(tx, world.shop, id, None)).await;
    assert_eq!(get(&store, world, id).await.failing_since_us, None);
}

pub async fn an_endpoint_that_is_switched_off_is_never_due(database: &Database) {
    let store = database.open();
    let (world, id) = scene(&store, 100).await;
    let switch = |enabled: bool| {
        ok(&store, move |tx| {
            let endpoint = endpoints::lock(tx, world.shop, id)?.unwrap();
            let endpoint = Endpoint { enabled, ..endpoint };
            endpoints::update(tx, &endpoint)?;
            endpoints::settle_due(tx, &endpoint)
        })
    };
    assert_eq!(claim(&store, false, 100, "t1").await.len(), 1);
    switch(false).await;
    add(&store, world, id, 90).await;
    assert!(release(&store, world, id, "t1").await);
    assert!(claim(&store, false, i64::MAX - LEASE, "t2").await.is_empty());
    switch(true).await;
    assert_eq!(get(&store, world, id).await.due_us, Some(90));
}

pub async fn a_shop_has_one_endpoint_without_address_in_a_mode(database: &Database) {
    let store = database.open();
    let world = world(&store).await;
    let open = move |mode| Endpoint { url: None, mode, ..world.endpoint(endpoint_id()) };
    let first = open(Mode::Test);
    let id = first.id;
    ok(&store, move |tx| {
        endpoints::insert(tx, &first)?;
        endpoints::insert(tx, &open(Mode::Live))
    })
    .await;
    let error = err(&store, move |tx| endpoints::insert(tx, &open(Mode::Test))).await;
    assert!(error.is_unique("webhook_endpoint_of_payments"), "{error:?}");
    ok(&store, move |tx| {
        assert!(endpoints::retire(tx, world.shop, id, 1)?);
        endpoints::insert(tx, &open(Mode::Test))
    })
    .await;
}

pub async fn a_try_is_written_once_and_over_the_one_before(database: &Database) {
    let store = database.open();
    let (world, id) = scene(&store, 100).await;
    let other = super::fixture::world(&store).await;
    ok(&store, move |tx| {
        let place = (world.shop, id);
        assert!(deliveries::due(tx, place, 99, 10)?.is_empty());
        assert!(deliveries::due(tx, (other.shop, id), 100, 10)?.is_empty(), "another shop's");
        let row = deliveries::due(tx, place, 100, 10)?.remove(0);
        let failed = Delivery { tries: 1, due_us: 200, status: Some(500), ..row.clone() };
        assert!(deliveries::record(tx, &failed, 0)?);
        assert!(!deliveries::record(tx, &failed, 0)?, "the same try again");
        let done = Delivery { tries: 2, state: DeliveryState::Delivered, ..failed };
        assert!(deliveries::record(tx, &done, 1)?);
        assert!(!deliveries::record(tx, &done, 2)?, "it does not wait any more");
        assert!(!deliveries::insert_new(tx, &row)?, "one per event and endpoint");
        assert!(!deliveries::again(tx, &row, Some(DeliveryState::Delivered))?);
        assert!(deliveries::again(tx, &row, None)?);
        assert_eq!(deliveries::due(tx, place, 100, 10)?[0].tries, 0);
        assert_eq!(deliveries::list(tx, place, Some(DeliveryState::Delivered), None, 10)?, []);
        assert_eq!(deliveries::list(tx, place, None, None, 10)?.len(), 1);
        assert_eq!(deliveries::list(tx, place, None, Some(row.event_id), 10)?, []);
        Ok(())
    })
    .await;
}

pub async fn a_removed_endpoint_is_not_there_and_leaves_nothing(database: &Database) {
    let store = database.open();
    let (world, id) = scene(&store, 100).await;
    let newest = add(&store, world, id, 100).await;
    ok(&store, move |tx| {
        let place = (world.shop, id);
        assert_eq!(deliveries::forget(tx, place, newest, 10)?, 0, "what waits is kept");
        assert!(endpoints::retire(tx, world.shop, id, 1)?);
        assert!(!endpoints::retire(tx, world.shop, id, 1)?);
        assert_eq!(endpoints::get(tx, world.shop, id)?, None);
        assert_eq!(endpoints::list(tx, world.shop, Mode::Test)?, []);
        assert!(endpoints::claim(tx, false, 1000, 2000, "t", 10)?.is_empty());
        assert_eq!(
            (deliveries::forget_all(tx, world.shop, id, 1)?, deliveries::forget_all(tx, world.shop, id, 9)?),
            (1, 1)
        );
        endpoints::remove(tx, world.shop, id)
    })
    .await;
}
