//! The graceful end: what was accepted is answered.

use std::time::Duration;

use serde_json::json;

use crate::stage::buyer::pay;
use crate::stage::{Stage, data, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_told_to_stop_answers_the_open_return_first() {
    let mut stage = Stage::start().await;
    let created = stage.create("A-1").await;
    let window = stage.open(&created).await;
    let back = stage.choose(&window, pay()).await;
    stage.fault("pay_auth", "slow", json!({"ms": 2_000})).await;
    let request = stage.call("POST", &back.url).form(&back.fields);
    let open = tokio::spawn(async move { request.try_send().await });
    eventually("the gateway has the request", Duration::from_secs(5), async || {
        (stage.count("approved").await == 1).then_some(())
    })
    .await;
    stage.host.ask_to_end();
    let answer = open.await.unwrap().unwrap();
    assert_eq!(answer.status, 303, "{}", answer.text);
    let ended = eventually("the host ends", Duration::from_secs(10), async || stage.host.ended()).await;
    assert_eq!(ended.code(), Some(0), "{}", stage.host.logged());
    assert!(!data(stage.folder.path()).join("server.json").exists(), "the run's key goes with the run");
    stage.restart();
    assert_eq!(stage.payment(&created).await["state"], "paid");
    assert_eq!(stage.outcome(answer.header("location")).await.result, "paid");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_host_stops_at_once() {
    let mut stage = Stage::start().await;
    stage.host.ask_to_end();
    let ended = eventually("the host ends", Duration::from_secs(5), async || stage.host.ended()).await;
    assert_eq!(ended.code(), Some(0), "{}", stage.host.logged());
}
