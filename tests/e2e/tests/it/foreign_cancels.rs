//! Cancels that somebody makes in the gateway's own admin, beside those of the shop: none is taken for the other, and nothing
//! waits for ever. The clocks of host and gateway are moved.

use std::time::Duration;

use serde_json::{Value, json};

use crate::chaos::Backend;
use crate::chaos::checker::check;
use crate::chaos::world::{Ready, World};
use crate::stage::http::Answer;
use crate::stage::{eventually, text};

const TOTAL: i64 = 20_900;

async fn paid(world: &World, name: &str) -> Ready {
    world.paid(0, name, TOTAL).await.unwrap()
}

/// Loses the next cancel of a payment, full or in part: on its way (`drop_before`) or its answer (`drop_after`).
async fn lose(world: &World, ready: &Ready, fault: &str) {
    for operation in ["refund", "partial_refund"] {
        world.fault(operation, fault, json!({"oid": ready.order_ref})).await;
    }
}

/// Cancels under a key of this payment.
async fn cancel(world: &World, ready: &Ready, key: &str, amount: Option<i64>) -> Answer {
    let key = format!("{}-{key}", text(&ready.created, "order_id"));
    world.cancel(ready, &key, amount).await.unwrap()
}

/// State, resolution and what was given back.
async fn stands(world: &World, ready: &Ready) -> (String, String, i64) {
    let now = world.payment(ready).await.unwrap();
    (text(&now, "state"), text(&now, "resolution"), now["amount"]["cancelled"].as_i64().unwrap())
}

fn partly(resolution: &str, cancelled: i64) -> (String, String, i64) {
    ("partially_cancelled".to_owned(), resolution.to_owned(), cancelled)
}

async fn at_rest(world: &mut World) {
    world.heal().await;
    world.rest().await.unwrap();
    world.quiet(Duration::from_secs(30)).await.unwrap();
}

fn books_agree(world: &World) {
    let found = check(&world.dump());
    assert!(found.is_empty(), "{found:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_made_in_the_admin_before_a_lost_one_is_not_taken_for_it() {
    let mut world = World::start(Backend::Sqlite).await;
    let ready = paid(&world, "A-1").await;
    world.cancel_in_admin(&ready, Some(5_000)).await.unwrap();
    world.advance(Duration::from_secs(3)).await;
    lose(&world, &ready, "drop_before").await;
    cancel(&world, &ready, "k-1", Some(5_000)).await.expect(202);
    world.advance(Duration::from_secs(5)).await;
    world.quiet(Duration::from_secs(30)).await.unwrap();
    // The other's is known, and ours is still asked about.
    assert_eq!(stands(&world, &ready).await, partly("in_doubt", 5_000));
    cancel(&world, &ready, "k-1", Some(5_000)).await.expect(202);
    cancel(&world, &ready, "k-2", Some(5_000)).await.problem(409, "payment_in_doubt");
    at_rest(&mut world).await;
    let problem = cancel(&world, &ready, "k-1", Some(5_000)).await;
    assert_eq!(problem.json()["code"], "cancel_not_made", "{}", problem.text);
    assert_eq!(stands(&world, &ready).await, partly("none", 5_000));
    cancel(&world, &ready, "k-3", Some(5_000)).await.expect(200);
    assert_eq!(stands(&world, &ready).await, partly("none", 10_000));
    books_agree(&world);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_cancel_after_a_part_was_cancelled_in_the_admin_is_a_no_and_the_part_is_taken_over() {
    let mut world = World::start(Backend::Sqlite).await;
    let (part, all) = (paid(&world, "A-1").await, paid(&world, "A-2").await);
    world.cancel_in_admin(&part, Some(5_000)).await.unwrap();
    world.cancel_in_admin(&all, None).await.unwrap();
    for ready in [&part, &all] {
        let refused = cancel(&world, ready, "k-1", None).await;
        refused.problem(402, "gateway_refused");
    }
    world.quiet(Duration::from_secs(30)).await.unwrap();
    assert_eq!(stands(&world, &part).await, partly("none", 5_000));
    assert_eq!(stands(&world, &all).await, ("cancelled".to_owned(), "none".to_owned(), TOTAL));
    // What is left can be given back.
    cancel(&world, &part, "k-2", None).await.expect(200);
    assert_eq!(stands(&world, &part).await, ("cancelled".to_owned(), "none".to_owned(), TOTAL));
    at_rest(&mut world).await;
    books_agree(&world);
}

/// A cancel of the admin and one of the shop, of a payment of its own.
#[derive(Debug)]
struct Case {
    admin: Option<i64>,
    shop: Option<i64>,
    fault: &'static str,
    admin_first: bool,
}

fn every_order() -> Vec<Case> {
    let mut cases = Vec::new();
    for admin in [Some(5_000), Some(3_000), None] {
        for shop in [Some(5_000), None] {
            for fault in ["none", "drop_before", "drop_after"] {
                cases.extend([true, false].map(|admin_first| Case { admin, shop, fault, admin_first }));
            }
        }
    }
    cases
}

#[tokio::test(flavor = "multi_thread")]
async fn every_order_of_cancels_of_admin_and_shop_ends_with_books_that_agree() {
    let mut world = World::start(Backend::Sqlite).await;
    let mut cases = Vec::new();
    for (number, case) in every_order().into_iter().enumerate() {
        cases.push((paid(&world, &format!("A-{number}")).await, case));
    }
    for first in [true, false] {
        for (ready, case) in &cases {
            if case.admin_first == first {
                world.cancel_in_admin(ready, case.admin).await.unwrap();
                continue;
            }
            if case.fault != "none" {
                lose(&world, ready, case.fault).await;
            }
            let answer = cancel(&world, ready, "k-1", case.shop).await;
            assert!(
                [200, 202, 402, 409].contains(&answer.status),
                "{case:?} {} {}",
                answer.status,
                answer.text
            );
        }
        world.advance(Duration::from_secs(60)).await;
    }
    at_rest(&mut world).await;
    for (ready, case) in &cases {
        if stands(&world, ready).await.1 == "needs_operator" {
            // The same amount, and nobody can tell whose: ours was lost, and the admin's came while it could still arrive.
            assert_eq!(
                (case.admin, case.fault, case.admin_first),
                (case.shop, "drop_before", false),
                "{case:?}"
            );
            let finding = json!({"finding": "not_cancelled", "note": "상점관리자에서 확인", "by": "홍길동"});
            world.resolve(ready, &text(&ready.created, "id"), finding).await.expect(200);
        }
        world.quiet(Duration::from_secs(30)).await.unwrap();
        world.sync(ready).await.unwrap().expect(200);
        assert_eq!(stands(&world, ready).await.1, "none", "{case:?}");
    }
    books_agree(&world);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_that_is_equally_ours_and_another_s_is_claimed_by_a_person_only() {
    let mut world = World::start(Backend::Sqlite).await;
    // Lost on its way, and somebody cancels as much by hand; or made, its answer lost, and then by hand as well.
    let (one, two) = (paid(&world, "A-1").await, paid(&world, "A-2").await);
    lose(&world, &one, "drop_before").await;
    lose(&world, &two, "drop_after").await;
    for ready in [&one, &two] {
        world.fault("inquiry", "drop_before", json!({"oid": ready.order_ref})).await;
        cancel(&world, ready, "k-1", Some(5_000)).await.expect(202);
    }
    world.advance(Duration::from_secs(4)).await;
    for ready in [&one, &two] {
        world.cancel_in_admin(ready, Some(5_000)).await.unwrap();
    }
    world.advance(Duration::from_secs(2)).await;
    // Of two, the one that was made while ours was under way is ours. (It falls due anew when the gateway answers about the other.)
    eventually("the doubt about two is over", Duration::from_secs(30), async || {
        (stands(&world, &two).await == partly("none", 10_000)).then_some(())
    })
    .await;
    world.quiet(Duration::from_secs(30)).await.unwrap();
    cancel(&world, &two, "k-1", Some(5_000)).await.expect(200);
    // Of one, nobody knows.
    assert_eq!(stands(&world, &one).await, ("paid".to_owned(), "in_doubt".to_owned(), 0));
    at_rest(&mut world).await;
    assert_eq!(stands(&world, &one).await, ("paid".to_owned(), "needs_operator".to_owned(), 0));
    cancel(&world, &one, "k-2", Some(5_000)).await.problem(409, "payment_in_doubt");
    assert_eq!(world.sync(&one).await.unwrap().expect(202)["resolution"], "needs_operator");
    let why = world.dump().calls[&text(&one.created, "id")].clone();
    assert_eq!(why, "ambiguous_cancel");
    let finding = |word: &str, number: Value| {
        json!({
            "finding": word, "amount": 5_000, "gateway_ref": number, "note": "상점관리자에서 확인", "by": "홍길동",
        })
    };
    world.resolve(&one, "f-1", finding("not_cancelled", Value::Null)).await.expect(200);
    world.quiet(Duration::from_secs(30)).await.unwrap();
    assert_eq!(stands(&world, &one).await, partly("none", 5_000));
    books_agree(&world);
}
