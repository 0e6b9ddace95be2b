//! Endpoints, the outbox and deliveries.

use std::collections::BTreeMap;

use payhost_core::id::{EndpointId, EventId};
use payhost_store::rows::deliveries::{self, Delivery, DeliveryState};
use payhost_store::rows::endpoints::{self, Claim, Endpoint, Health, Queue, Standing};
use payhost_store::rows::events::{self, Event, Outbox};
use payhost_store::rows::{After, Mode};
use payhost_store::{Sealed, Store, Tx};

use super::Database;
use super::fixture::{NOW_US, World, endpoint_id, err, event_id, ok, world};

const LEASE: i64 = 30;

fn event(world: World, mode: Mode) -> Event {
    Event {
        id: event_id(),
        shop_id: world.shop,
        mode,
        payment_id: None,
        sequence: None,
        name: "payment.paid".to_owned(),
        payload: Sealed::from_bytes(vec![1]),
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

/// Claims all that is due in a queue.
fn claim_in(
    tx: &mut Tx<'_>,
    queue: Queue,
    now_us: i64,
    token: &str,
) -> Result<Vec<Endpoint>, payhost_store::Error> {
    let due = endpoints::due(tx, queue, now_us)?;
    endpoints::claim(tx, &Claim { queue, now_us, lease_until_us: now_us + LEASE, token }, &due)
}

async fn claim(store: &Store, now_us: i64, token: &'static str) -> Vec<Endpoint> {
    ok(store, move |tx| claim_in(tx, Queue::Working, now_us, token)).await
}

async fn release(store: &Store, world: World, id: EndpointId, token: &'static str, now_us: i64) -> bool {
    ok(store, move |tx| endpoints::release(tx, world.shop, id, token, now_us)).await
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
        Ok([first.id, second.id].map(|event_id| Outbox { shop_id: listens.shop, event_id }))
    })
    .await;
    let taken = ok(&store, move |tx| {
        assert_eq!(events::shops_in_outbox(tx, None, 9)?, [listens.shop]);
        let mut taken = events::take_from_outbox(tx, listens.shop, 1)?;
        taken.extend(events::take_from_outbox(tx, listens.shop, 10)?);
        Ok(taken)
    })
    .await;
    assert_eq!(taken, wanted, "in order of their ids");
    assert_eq!(ok(&store, |tx| events::shops_in_outbox(tx, None, 9)).await, []);
}

pub async fn an_endpoint_is_claimed_when_due_and_by_one_only(database: &Database) {
    let store = database.open();
    let (world, id) = scene(&store, 100).await;
    assert_eq!(ok(&store, |tx| endpoints::next_due_after(tx, 99)).await, Some(100));
    assert!(claim(&store, 99, "t1").await.is_empty());
    let due = |tx: &mut Tx<'_>| endpoints::due(tx, Queue::Working, 100);
    assert_eq!(ok(&store, due).await, [(world.shop, 1)]);
    assert_eq!(claim(&store, 100, "t1").await.len(), 1);
    assert_eq!(ok(&store, due).await, []);
    assert!(claim(&store, 100, "t2").await.is_empty());
    assert!(release(&store, world, id, "t1", 100).await);
    assert_eq!(claim(&store, 100, "t3").await.len(), 1, "its delivery still waits");
}

pub async fn a_lost_lease_lets_another_take_the_endpoint_and_fences_the_first(database: &Database) {
    let store = database.open();
    let (world, id) = scene(&store, 100).await;
    assert_eq!(claim(&store, 100, "t1").await.len(), 1);
    assert!(claim(&store, 100 + LEASE - 1, "t2").await.is_empty());
    assert_eq!(claim(&store, 100 + LEASE, "t2").await.len(), 1);
    assert!(!release(&store, world, id, "t1", 130).await);
    assert_eq!(get(&store, world, id).await.lease_token.as_deref(), Some("t2"));
    assert!(release(&store, world, id, "t2", 130).await);
}

pub async fn a_delivery_that_comes_during_a_turn_is_not_forgotten_at_its_end(database: &Database) {
    let store = database.open();
    let (world, id) = scene(&store, 100).await;
    let claimed = claim(&store, 100, "t1").await;
    assert_eq!(claimed[0].due_us, Some(100));
    let first = ok(&store, move |tx| deliveries::due(tx, (world.shop, id), 100, 10)).await;
    ok(&store, move |tx| {
        let done = Delivery { state: DeliveryState::Delivered, tries: 1, ..first[0].clone() };
        deliveries::record(tx, &done, 0)
    })
    .await;
    add(&store, world, id, 110).await;
    assert!(claim(&store, 111, "t2").await.is_empty(), "the lease still holds");
    assert!(release(&store, world, id, "t1", 105).await);
    assert_eq!(get(&store, world, id).await.due_us, Some(110));
    assert_eq!(claim(&store, 111, "t2").await.len(), 1);
}

pub async fn endpoints_that_fail_or_are_slow_stand_in_a_queue_of_their_own(database: &Database) {
    let store = database.open();
    let (world, id) = scene(&store, 100).await;
    let note = |health: Health, now_us: i64| {
        ok(&store, move |tx| {
            endpoints::note(tx, world.shop, id, &health, now_us)?;
            Ok(endpoints::get(tx, world.shop, id)?.unwrap())
        })
    };
    let refused = |error: &str, failing| Health::Refused { error: error.to_owned(), failing };
    let now = note(refused("no", false), 40).await;
    assert_eq!(
        (now.failing_since_us, now.last_error.as_deref(), now.last_error_us),
        (None, Some("no"), Some(40))
    );
    note(refused("500", true), 50).await;
    let now = note(refused("503", true), 70).await;
    assert_eq!((now.failing_since_us, now.last_error_us), (Some(50), Some(70)), "since the first failure");
    assert!(claim(&store, 100, "t1").await.is_empty());
    let ailing = |token| ok(&store, move |tx| claim_in(tx, Queue::Ailing, 100, token));
    assert_eq!(ailing("t1").await.len(), 1);
    assert!(release(&store, world, id, "t1", 100).await);
    let gave_up = ok(&store, move |tx| endpoints::gave_up(tx, world.shop, id)).await.unwrap();
    assert_eq!(gave_up.given_up, 1);
    note(Health::Took { slow: true }, 80).await;
    let now = note(Health::Took { slow: true }, 90).await;
    assert_eq!((now.failing_since_us, now.given_up, now.slow_since_us), (None, 0, Some(80)));
    assert!(claim(&store, 100, "t2").await.is_empty());
    assert_eq!(ailing("t2").await.len(), 1);
    assert!(release(&store, world, id, "t2", 100).await);
    assert_eq!(note(Health::Took { slow: false }, 95).await.slow_since_us, None);
    assert_eq!(claim(&store, 100, "t3").await.len(), 1);
}

pub async fn endpoints_are_claimed_by_shop_and_one_with_more_to_send_goes_to_the_end(database: &Database) {
    let store = database.open();
    let ((one, first), (two, other)) = (scene(&store, 10).await, scene(&store, 30).await);
    let second = endpoint_id();
    ok(&store, move |tx| endpoints::insert(tx, &one.endpoint(second))).await;
    add(&store, one, second, 20).await;
    let due = ok(&store, |tx| endpoints::due(tx, Queue::Working, 100)).await;
    assert_eq!(BTreeMap::from_iter(due), BTreeMap::from([(one.shop, 2), (two.shop, 1)]));
    let ids = |claimed: Vec<Endpoint>| claimed.into_iter().map(|endpoint| endpoint.id).collect::<Vec<_>>();
    let claim_one = |token: &'static str| {
        ok(&store, move |tx| {
            let by = Claim { queue: Queue::Working, now_us: 100, lease_until_us: 130, token };
            endpoints::claim(tx, &by, &[(one.shop, 1), (two.shop, 1)])
        })
    };
    assert_eq!(ids(claim_one("t1").await), [first, other], "of each shop the one that waits longest");
    assert!(release(&store, one, first, "t1", 100).await);
    assert_eq!(get(&store, one, first).await.due_us, Some(100));
    assert_eq!(ids(claim_one("t2").await), [second], "not the one that had its turn");
}

pub async fn events_are_handed_on_by_shop_whatever_one_has(database: &Database) {
    let store = database.open();
    let mut worlds = [world(&store).await, world(&store).await, world(&store).await];
    worlds.sort_by_key(|world| world.shop);
    let shops: Vec<_> = worlds.iter().map(|world| world.shop).collect();
    let wanted = shops.clone();
    ok(&store, move |tx| {
        for (world, events) in worlds.iter().zip([200, 1, 2]) {
            endpoints::insert(tx, &world.endpoint(endpoint_id()))?;
            for _ in 0..events {
                events::insert(tx, &event(*world, Mode::Test))?;
            }
        }
        assert_eq!(events::shops_in_outbox(tx, None, 9)?, wanted);
        assert_eq!(events::shops_in_outbox(tx, None, 2)?, wanted[..2]);
        assert_eq!(events::shops_in_outbox(tx, Some(wanted[0]), 9)?, wanted[1..]);
        let counts = [40, 40, 40]
            .iter()
            .zip(&wanted)
            .map(|(limit, shop)| events::take_from_outbox(tx, *shop, *limit).map(|taken| taken.len()));
        assert_eq!(counts.collect::<Result<Vec<_>, _>>()?, [40, 1, 2]);
        assert_eq!(events::shops_in_outbox(tx, None, 9)?, wanted[..1]);
        Ok(())
    })
    .await;
    ok(&store, move |tx| {
        let all = events::loose_since(tx, shops[0], EventId::new(0, [0; 10]), 500)?;
        assert_eq!((all, events::loose_since(tx, shops[0], EventId::new(0, [0; 10]), 9)?), (200, 9));
        assert_eq!(events::loose_since(tx, shops[0], EventId::new(i64::MAX >> 16, [0; 10]), 9)?, 0);
        Ok(())
    })
    .await;
}

pub async fn endpoints_that_were_switched_off_are_counted_and_listed_until_somebody_acts(
    database: &Database,
) {
    let store = database.open();
    let (one, two) = (world(&store).await, world(&store).await);
    ok(&store, move |tx| {
        let mut made = Vec::new();
        for (world, off_us, reason) in [
            (one, Some(5), Some("410")),
            (one, Some(6), None),
            (two, Some(7), Some("in vain")),
            (two, None, None),
        ] {
            let endpoint = Endpoint {
                enabled: off_us.is_none(),
                disabled_us: off_us,
                disabled_reason: reason.map(str::to_owned),
                ..world.endpoint(endpoint_id())
            };
            endpoints::insert(tx, &endpoint)?;
            made.push(endpoint);
        }
        let failing = Health::Refused { error: "500".to_owned(), failing: true };
        endpoints::note(tx, two.shop, made[3].id, &failing, 9)?;
        assert_eq!(endpoints::standing(tx)?, Standing { failing: 1, switched_off: 2 });
        let (first, third) = (made[0].id, made[2].id);
        let listed = |tx: &mut Tx<'_>, scope| {
            let rows = endpoints::switched_off(tx, scope, After::default(), 9)?;
            Ok::<_, payhost_store::Error>(rows.into_iter().map(|row| row.id).collect::<Vec<_>>())
        };
        assert_eq!(listed(tx, None)?, [first, third]);
        assert_eq!(listed(tx, Some((one.shop, Mode::Test)))?, [first]);
        endpoints::update(tx, &Endpoint { enabled: true, disabled_reason: None, ..made.remove(0) })?;
        assert!(endpoints::retire(tx, two.shop, third, 8)?);
        assert_eq!(endpoints::standing(tx)?, Standing { failing: 1, switched_off: 0 });
        Ok(())
    })
    .await;
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
    assert_eq!(claim(&store, 100, "t1").await.len(), 1);
    switch(false).await;
    add(&store, world, id, 90).await;
    assert!(release(&store, world, id, "t1", 100).await);
    assert!(claim(&store, i64::MAX - LEASE, "t2").await.is_empty());
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
        assert!(claim_in(tx, Queue::Working, 1000, "t")?.is_empty());
        assert_eq!(
            (deliveries::forget_all(tx, world.shop, id, 1)?, deliveries::forget_all(tx, world.shop, id, 9)?),
            (1, 1)
        );
        endpoints::remove(tx, world.shop, id)
    })
    .await;
}
