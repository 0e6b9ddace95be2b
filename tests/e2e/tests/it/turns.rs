//! No shop takes the host from the others.

use std::time::Duration;

use serde_json::json;

use crate::stage::buyer::{Return, pay};
use crate::stage::{Stage, eventually, text};

/// A buyer of the first shop who has paid in the window and not come back yet; with the payment.
async fn at_the_gate(stage: &Stage, order_id: &str) -> (serde_json::Value, Return, String) {
    let created = stage.create(order_id).await;
    let window = stage.open(&created).await;
    let back = stage.choose(&window, pay()).await;
    (created, back, window.order_ref().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_whose_gateway_is_silent_fills_its_own_turns_only() {
    let stage = Stage::serving(&["--calls-per-shop", "2"]).await;
    let other = stage.new_shop("다른 가게", json!({})).await;
    let sold = stage.paid("A-0").await;
    let [(_, first, first_ref), (_, second, second_ref), (third, third_back, _)] = [
        at_the_gate(&stage, "A-1").await,
        at_the_gate(&stage, "A-2").await,
        at_the_gate(&stage, "A-3").await,
    ];
    for oid in [first_ref, second_ref] {
        // Booked at once; the answer comes a second before the host gives up.
        stage.fault("pay_auth", "slow", json!({"ms": 14_000, "oid": oid})).await;
    }
    let silent = async { tokio::join!(stage.post_back(&first), stage.post_back(&second)) };
    let meanwhile = async {
        eventually("the gateway was asked twice", Duration::from_secs(10), async || {
            (stage.held().await.len() == 3).then_some(())
        })
        .await;
        // The shop's third buyer: nothing is sent, nothing is lost, the payment can be paid again.
        let answer = stage.post_back(&third_back).await;
        assert_eq!(answer.status, 503, "{}", answer.text);
        assert_eq!(text(&stage.payment(&third).await, "state"), "pending");
        assert_eq!(stage.held().await.len(), 3, "the gateway was not asked a third time");
        // Its cancel is told to come again, with the same key.
        let refused = stage.cancel(&stage.shop, &sold, "key").await.expect(503);
        assert_eq!(text(&refused, "code"), "unavailable", "{refused}");
        assert_eq!(text(&stage.payment(&sold).await, "state"), "paid");
        // Another shop sells and gives back.
        let (theirs, outcome) = stage.pay_as(&other, "B-1").await;
        assert_eq!(outcome.result, "paid", "{}", outcome.words);
        stage.cancel(&other, &theirs, "key").await.expect(200);
    };
    tokio::select! {
        biased;
        _ = silent => panic!("the gateway was not silent long enough"),
        () = meanwhile => {}
    }
}
