//! Sudden ends of the host. The promise: whatever was under way is known again after the next start, and the books agree.

use std::time::Duration;

use serde_json::json;

use crate::stage::buyer::pay;
use crate::stage::{Stage, eventually, text};

/// An attempt's lease is 30 s: nobody else may touch it before.
const LEASE_AND_RESOLUTION: Duration = Duration::from_secs(50);

#[tokio::test(flavor = "multi_thread")]
async fn a_host_killed_in_the_middle_of_approvals_and_cancels_finds_out_about_all_of_them() {
    let mut stage = Stage::start().await;
    let lookup = stage.shop_with_lookup().await;
    let plain = stage.shop.clone();
    let paid = stage.paid("A-0").await;
    let mut created = Vec::new();
    for shop in [&plain, &lookup] {
        let payment = stage.create_as(shop, "A-1", json!({})).await.expect(201);
        let window = stage.open(&payment).await;
        created.push((payment, stage.choose(&window, pay()).await));
    }
    stage.fault("pay_auth", "slow", json!({"ms": 8_000, "times": 2})).await;
    stage.fault("refund", "slow", json!({"ms": 8_000})).await;
    // Three requests whose answers nobody will read.
    let mut requests = Vec::new();
    for (_, back) in &created {
        let request = stage.call("POST", &back.url).form(&back.fields);
        requests.push(tokio::spawn(async move { request.try_send().await }));
    }
    let path = format!("/v1/payments/{}/cancel", text(&paid, "id"));
    let request = stage.call("POST", &path).key(&plain.key).header("idempotency-key", "k-1").json(&json!({}));
    requests.push(tokio::spawn(async move { request.try_send().await }));
    eventually("the gateway has booked everything", Duration::from_secs(8), async || {
        (stage.count("approved").await == 3 && stage.count("cancelled").await == 1).then_some(())
    })
    .await;
    stage.host.kill();
    for request in requests {
        assert!(request.await.unwrap().is_err(), "the host was killed before it could answer");
    }
    stage.restart();
    // Before the lease is over nobody may pay or cancel beside it.
    let busy = stage.open_page(&text(&created[0].0, "checkout_url")).await;
    assert!(!busy.text.contains("payhost-form"), "{}", busy.text);
    assert_eq!(stage.cancel(&plain, &paid, "k-2").await.status, 409);
    let known = |shop, payment| {
        let stage = &stage;
        eventually("the outcome is known", LEASE_AND_RESOLUTION, async move || {
            let now = stage.payment_as(shop, payment).await;
            let names = stage.names(shop, payment).await;
            let settled = !names.iter().any(|name| name.ends_with(" intent") || name.ends_with(" in_doubt"));
            (now["resolution"] == "none" && settled).then_some(now)
        })
    };
    let (one, two, three) =
        tokio::join!(known(&plain, &created[0].0), known(&lookup, &created[1].0), known(&plain, &paid),);
    assert_eq!(one["state"], "pending", "without an inquiry it is undone: {one}");
    assert_eq!(two["state"], "paid", "by asking it is found: {two}");
    assert_eq!(three["state"], "cancelled", "{three}");
    let held: Vec<_> = stage.held().await.iter().map(|sale| text(sale, "tid")).collect();
    assert_eq!(held, [text(&two, "gateway_ref")]);
    // The first cancel's key answers what came of it, and the buyer's reload shows the outcome.
    stage.no_faults().await;
    let again = stage.cancel_with(&plain, &paid, "k-1", &json!({})).await.expect(200);
    assert_eq!(again["state"], "cancelled");
    assert_eq!(stage.come_back(&created[0].1).await.result, "failed");
    assert_eq!(stage.come_back(&created[1].1).await.result, "paid");
    assert_eq!(stage.count("approved").await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_before_a_kill_is_there_afterwards() {
    let mut stage = Stage::start().await;
    let paid = stage.paid("A-1").await;
    let open = stage.create("A-2").await;
    let window = stage.open(&open).await;
    let back = stage.choose(&window, pay()).await;
    stage.host.kill();
    stage.restart();
    assert_eq!(stage.payment(&paid).await["state"], "paid");
    // A window that was open before is still good, and so are keys and tokens.
    assert_eq!(stage.come_back(&back).await.result, "paid");
    stage.cancel(&stage.shop, &paid, "k-1").await.expect(200);
}
