//! What an endpoint's answers say of it: failing, slow, switched off.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_where_nothing_arrives_is_switched_off_after_the_schedule_and_the_others_are_told() {
    let scene = Scene::start().await;
    let ((dead, dead_url), (alive, alive_url)) = (scene.receiver().await, scene.receiver().await);
    let endpoint = scene.endpoint(&dead_url, &["*"]).await;
    scene.endpoint(&alive_url, &["webhook_endpoint.disabled"]).await;
    dead.answer(500);
    let began_us = scene.clock.now_us();
    let first = scene.happen("payment.paid").await.to_string();
    for _ in 0..2 {
        scene.happen("payment.created").await;
    }
    drain(&scene.host).await;
    // Small steps where the waits are short, so that each try is made about when it is due.
    scene.pass(10 * SECOND_US, 10).await;
    scene.pass(HOUR_US, 120).await;
    scene.pass(95 * HOUR_US, 950).await;
    let tries = dead.got().into_iter().filter(|got| got.id() == first);
    let at_s: Vec<i64> = tries.map(|got| (got.at_us - began_us) / SECOND_US).collect();
    assert_eq!(at_s.len(), 10, "{at_s:?}");
    let mut waits = vec![0_i64];
    waits.extend(at_s.windows(2).map(|pair| pair[1] - pair[0]));
    for (wait, wanted) in waits.iter().zip([0, 5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400])
    {
        // A fifth of jitter, and the step of this test's clock.
        let (least, most) = (wanted * 4 / 5 - 1, wanted * 6 / 5 + 400);
        assert!((least..=most).contains(wait), "{wait} for {wanted} in {waits:?}");
    }
    let shown = scene.shown(&endpoint).await;
    assert_eq!(shown["enabled"], false, "{shown}");
    assert!(shown["disabled_reason"].as_str().unwrap().contains("nothing arrived"), "{shown}");
    assert_eq!((&shown["state"], &shown["last_error"]), (&json!("switched_off"), &json!("answered 500")));
    assert!(shown["state_since"].is_string() && shown["last_error_at"].is_string(), "{shown}");
    let figures = scene.figures().await;
    assert_eq!((&figures["endpoints_switched_off"], &figures["endpoints_failing"]), (&json!(1), &json!(0)));
    let deliveries = scene.deliveries(&endpoint).await;
    let delivery = deliveries.iter().find(|delivery| delivery["event_id"] == first.as_str()).unwrap();
    assert_eq!(
        (&delivery["state"], &delivery["tries"], &delivery["status"]),
        (&json!("failed"), &json!(10), &json!(500))
    );
    let sent = dead.count();
    let told = alive.got();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].json()["type"], "webhook_endpoint.disabled");
    assert_eq!(told[0].json()["data"]["detail"]["endpoint_id"], endpoint["id"]);

    // What happens while it is off is not kept for it, but can be asked for.
    let from = scene.host.now_us();
    let missed = scene.happen("payment.cancelled").await;
    scene.pass(HOUR_US, 4).await;
    assert_eq!(dead.count(), sent);
    dead.answer(200);
    let path = format!("/v1/webhook-endpoints/{}", endpoint["id"].as_str().unwrap());
    let range = json!({"from": crate::time::rfc3339(from - SECOND_US)});
    let (status, problem) = scene.call("POST", &format!("{path}/resend"), range.clone()).await;
    assert_eq!((status, &problem["code"]), (409, &json!("conflict")));
    scene.call("PATCH", &path, json!({"enabled": true})).await;
    let (status, resent) = scene.call("POST", &format!("{path}/resend"), range).await;
    assert_eq!((status, resent), (200, json!({"deliveries": 1})));
    drain(&scene.host).await;
    assert!(dead.got().iter().any(|got| got.id() == missed.to_string()));
    let shown = scene.shown(&endpoint).await;
    assert_eq!((&shown["disabled_reason"], &shown["state"]), (&Value::Null, &json!("on")));
    let figures = scene.figures().await;
    assert_eq!(figures["endpoints_switched_off"], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_event_that_a_receiver_cannot_take_switches_nothing_off() {
    let scene = Scene::start().await;
    let (receiver, url) = scene.receiver().await;
    let endpoint = scene.endpoint(&url, &["*"]).await;
    receiver.answer(500);
    scene.happen("payment.paid").await;
    drain(&scene.host).await;
    scene.pass(10 * SECOND_US, 10).await;
    scene.pass(100 * HOUR_US, 1_000).await;
    assert_eq!(receiver.count(), 10, "the whole schedule");
    assert_eq!(scene.deliveries(&endpoint).await[0]["state"], "failed");
    let shown = scene.shown(&endpoint).await;
    assert_eq!((&shown["enabled"], &shown["state"]), (&json!(true), &json!("failing")), "{shown}");
    assert_eq!(
        (&shown["last_error"], &shown["failing_since"]),
        (&json!("answered 500"), &shown["state_since"])
    );
    let figures = scene.figures().await;
    assert_eq!((&figures["endpoints_failing"], &figures["endpoints_switched_off"]), (&json!(1), &json!(0)));
    // Others are accepted: nothing counts any more, however many are refused one by one.
    for _ in 0..3 {
        receiver.answer(204);
        scene.happen("payment.created").await;
        drain(&scene.host).await;
        assert_eq!(scene.shown(&endpoint).await["state"], "on");
        receiver.answer(500);
        scene.happen("payment.paid").await;
        scene.pass(10 * SECOND_US, 10).await;
        scene.pass(100 * HOUR_US, 1_000).await;
        assert_eq!(scene.shown(&endpoint).await["state"], "failing");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_answers_late_is_shown_and_gets_one_event_at_a_time_until_it_is_quick() {
    let scene = Scene::start().await;
    let (receiver, url) = scene.receiver().await;
    let endpoint = scene.endpoint(&url, &["*"]).await;
    let ten = async || {
        for _ in 0..10 {
            scene.happen("payment.paid").await;
        }
        receiver.most_at_once.store(0, SeqCst);
        drain(&scene.host).await;
        receiver.most_at_once.load(SeqCst)
    };
    receiver.takes_us.store(5 * SECOND_US + 1, SeqCst);
    scene.happen("payment.paid").await;
    drain(&scene.host).await;
    let shown = scene.shown(&endpoint).await;
    assert_eq!((&shown["state"], &shown["enabled"]), (&json!("slow"), &json!(true)), "{shown}");
    assert_eq!((&shown["slow_since"], &shown["failing_since"]), (&shown["state_since"], &Value::Null));
    assert_eq!(ten().await, 1);
    assert_eq!(scene.shown(&endpoint).await["slow_since"], shown["slow_since"], "since the first");
    receiver.takes_us.store(0, SeqCst);
    scene.happen("payment.paid").await;
    drain(&scene.host).await;
    assert_eq!(scene.shown(&endpoint).await["state"], "on");
    let most = ten().await;
    assert!((2..=8).contains(&most), "{most}");
    assert!(scene.deliveries(&endpoint).await.iter().all(|delivery| delivery["state"] == "delivered"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_410_switches_off_at_once_and_a_retry_after_is_kept() {
    let scene = Scene::start().await;
    let (receiver, url) = scene.receiver().await;
    let endpoint = scene.endpoint(&url, &["*"]).await;
    *receiver.reply.lock().unwrap() = (429, &[("retry-after", "120")], "slow down");
    scene.happen("payment.paid").await;
    drain(&scene.host).await;
    scene.pass(119 * SECOND_US, 119).await;
    assert_eq!(receiver.count(), 1, "not before it said");
    let delivery = &scene.deliveries(&endpoint).await[0];
    assert_eq!(
        (&delivery["status"], &delivery["answer"]),
        (&json!(429), &json!("(from a private network; not shown)"))
    );
    receiver.answer(410);
    scene.pass(2 * SECOND_US, 2).await;
    assert_eq!(receiver.count(), 2);
    let shown = scene.shown(&endpoint).await;
    assert_eq!(shown["enabled"], false);
    assert!(shown["disabled_reason"].as_str().unwrap().contains("410"), "{shown}");
    assert_eq!(scene.deliveries(&endpoint).await[0]["state"], "failed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_fails_is_tried_one_by_one_and_one_that_works_by_eight() {
    let scene = Scene::start().await;
    let (receiver, url) = scene.receiver().await;
    scene.endpoint(&url, &["*"]).await;
    for _ in 0..100 {
        scene.happen("payment.paid").await;
    }
    drain(&scene.host).await;
    assert_eq!(receiver.count(), 100);
    let most = receiver.most_at_once.swap(0, SeqCst);
    assert!((2..=8).contains(&most), "{most}");
    receiver.answer(500);
    scene.happen("payment.paid").await;
    drain(&scene.host).await;
    receiver.most_at_once.store(0, SeqCst);
    for _ in 0..30 {
        scene.happen("payment.paid").await;
    }
    drain(&scene.host).await;
    assert_eq!(receiver.most_at_once.load(SeqCst), 1);
}
