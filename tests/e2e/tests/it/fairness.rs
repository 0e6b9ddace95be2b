//! One shop never delays another (design.md "Money" 10). The promise: whatever is sent to one shop, and however its servers and its
//! gateway behave, another shop's deposit is paid and told while the flood is still there. Nothing here waits for the flood's end.

use std::time::Duration;

use futures_util::stream::{StreamExt as _, iter};
use serde_json::{Value, json};

use crate::stage::deposit::{TOTAL, awaiting, deposit, forged, in_state, notify_url, sim, told};
use crate::stage::receiver::{Manner, Receiver};
use crate::stage::{Stage, eventually, text};

const SOON: Duration = Duration::from_secs(20);
/// Longer than any test: what hangs, hangs.
const FOR_EVER: &str = "600s";

/// Somebody pays in at the first shop, and it is told.
async fn another_shop_is_paid_and_told(stage: &Stage, receiver: &Receiver) {
    let (created, oid) = awaiting(stage, &stage.shop, "victim", "pc").await;
    deposit(stage, &oid, json!({})).await;
    in_state(stage, &stage.shop, &created, "paid").await;
    receiver.hears("payment.paid", SOON).await;
}

async fn receives(stage: &Stage, key: &str, url: &str) {
    let body = json!({"url": url, "events": ["*"]});
    stage.call("POST", "/v1/webhook-endpoints").key(key).json(&body).send().await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn junk_notices_of_one_shop_and_a_cart_that_never_answers_delay_no_other_shop() {
    let stage = told(Stage::serving(&["--webhook-timeout", FOR_EVER]).await).await;
    let receiver = Receiver::start().await;
    receives(&stage, &stage.shop.key, &receiver.url).await;
    let flooded = stage.new_shop("넘치는 가게", json!({})).await;
    let cart = Receiver::with(Manner::Silent).await;
    let path = format!("/v1/channels/{}", flooded.channel);
    let body = json!({"notice_forward_url": cart.url});
    stage.call("PATCH", &path).key(&flooded.key).json(&body).send().await.expect(200);
    let url = notify_url(&stage, &flooded);
    let junk = (0..200).map(|number| {
        stage.call("POST", &url).form(&forged(&format!("older-cart-{number}"), 1_000, "123")).send()
    });
    let answers: Vec<u16> = iter(junk).buffer_unordered(16).map(|answer| answer.status).collect().await;
    assert_eq!(answers, [200; 200]);
    cart.receives(4, SOON).await;
    another_shop_is_paid_and_told(&stage, &receiver).await;
    assert_eq!(cart.got().len(), 4, "the shop's share hangs, and the others of it wait for their turn");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_silent_for_one_shop_delays_no_other_shop() {
    let stage = told(Stage::serving(&["--jobs-per-shop", "2"]).await).await;
    let receiver = Receiver::start().await;
    receives(&stage, &stage.shop.key, &receiver.url).await;
    let hung = stage.new_shop("기다리는 가게", json!({})).await;
    let url = notify_url(&stage, &hung);
    for number in 0..6 {
        let (created, oid) = awaiting(&stage, &hung, &format!("slow-{number}"), "pc").await;
        let account = text(&stage.payment_as(&hung, &created).await["virtual_account"], "number");
        // Longer than the host waits for it.
        let fault = json!({"operation": "inquiry", "fault": "slow", "ms": 60_000, "oid": oid});
        sim(&stage, "POST", "faults", fault).await.expect(201);
        let answer = stage.call("POST", &url).form(&forged(&oid, TOTAL, &account)).send().await;
        assert_eq!(answer.status, 200);
    }
    let asked = async || {
        let faults = sim(&stage, "GET", "faults", Value::Null).await.expect(200);
        faults["faults"].as_array().unwrap().iter().map(|fault| fault["hits"].as_u64().unwrap()).sum::<u64>()
    };
    eventually("its share is asked about", SOON, async || (asked().await >= 2).then_some(())).await;
    another_shop_is_paid_and_told(&stage, &receiver).await;
    // Two at a time; two more, should the host have given the first up meanwhile.
    assert!(asked().await <= 4, "the others of that shop wait for their turn");
}

#[tokio::test(flavor = "multi_thread")]
async fn receivers_of_four_shops_that_never_answer_delay_no_other_shop() {
    let stage = told(Stage::serving(&["--webhook-timeout", FOR_EVER]).await).await;
    let receiver = Receiver::start().await;
    receives(&stage, &stage.shop.key, &receiver.url).await;
    let hang = Receiver::with(Manner::Silent).await;
    for number in 0..4 {
        let shop = stage.new_shop(&format!("느린 가게 {number}"), json!({})).await;
        for _ in 0..16 {
            receives(&stage, &shop.key, &hang.url).await;
        }
        let created = stage.create_as(&shop, "flood", json!({})).await.expect(201);
        assert_eq!(text(&created, "state"), "created");
    }
    // One event went to 16 endpoints in each of four shops; of each shop, eight have their turn.
    hang.receives(32, SOON).await;
    another_shop_is_paid_and_told(&stage, &receiver).await;
    assert_eq!(hang.got().len(), 32);
}
