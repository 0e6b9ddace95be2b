//! One shop never delays another.

use super::*;
use crate::webhooks::run::{once, run};

/// A shop whose 16 receivers take what is sent and never answer.
async fn hanging(scene: &Scene, held: &Arc<Semaphore>) -> (ShopId, Vec<Receiver>) {
    let shop = new_shop(&scene.host).await;
    let mut receivers = Vec::new();
    for _ in 0..16 {
        let (receiver, url) = scene.receiver_that(Some(held.clone())).await;
        scene.endpoint_of(shop, &url, &["*"]).await;
        receivers.push(receiver);
    }
    (shop, receivers)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receivers_that_never_answer_delay_no_other_shop_and_one_shop_has_only_its_share() {
    let scene = Scene::with_timeout(Duration::from_secs(600)).await;
    let (receiver, url) = scene.receiver().await;
    scene.endpoint(&url, &["*"]).await;
    let held = Arc::new(Semaphore::new(0));
    let mut floods = Vec::new();
    for _ in 0..4 {
        let (shop, receivers) = hanging(&scene, &held).await;
        for _ in 0..20 {
            scene.happen_in(shop, "payment.paid").await;
        }
        floods.push(receivers);
    }
    let stop = Arc::new(Semaphore::new(0));
    let (host, stopped) = (scene.host.clone(), stop.clone());
    let runner = tokio::spawn(run(host, async move { stopped.acquire().await.unwrap().forget() }));
    let came = |receivers: &[Receiver]| {
        receivers.iter().map(|receiver| receiver.came.available_permits()).sum::<usize>()
    };
    let all_hang = async {
        // Eight tries at each of eight endpoints of each shop.
        while floods.iter().any(|receivers| came(receivers) < 64) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), all_hang).await.expect("the flood is on its way");
    let victim = async {
        for number in 1..=3 {
            scene.happen("payment.paid").await;
            receiver.came.acquire_many(number).await.unwrap().forget();
            receiver.came.add_permits(usize::try_from(number).unwrap());
        }
    };
    tokio::time::timeout(Duration::from_secs(60), victim).await.expect("another shop is told meanwhile");
    let counts: Vec<usize> = floods.iter().map(|receivers| came(receivers)).collect();
    assert_eq!(counts, [64; 4], "nothing of the flood was answered, and no shop has more than its share");
    held.add_permits(Semaphore::MAX_PERMITS / 2);
    stop.add_permits(1);
    runner.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_with_much_to_send_lets_others_have_their_turn() {
    let scene = Scene::start().await;
    let (receiver, url) = scene.receiver().await;
    let endpoint = scene.endpoint(&url, &["*"]).await;
    // Each answer takes a fifth of a turn: the claim ends long before the events do.
    receiver.takes_us.store(200_000, SeqCst);
    for _ in 0..40 {
        scene.happen("payment.paid").await;
    }
    let before_us = scene.clock.now_us();
    once(&scene.host).await;
    let took_us = scene.clock.now_us() - before_us;
    assert!(receiver.count() < 40 && took_us < 4 * SECOND_US, "{} in {took_us} us", receiver.count());
    drain(&scene.host).await;
    assert_eq!(receiver.count(), 40);
    assert_eq!(scene.shown(&endpoint).await["state"], "on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn samples_of_a_shop_are_counted() {
    let scene = Scene::start().await;
    let (_receiver, url) = scene.receiver().await;
    scene.endpoint(&url, &["*"]).await;
    let sample = async || scene.call("POST", "/v1/events/samples", json!({"type": "payment.paid"})).await;
    for _ in 0..999 {
        scene.happen("payment.paid").await;
    }
    assert_eq!(sample().await.0, 201, "the thousandth event of no payment");
    let (status, problem) = sample().await;
    assert_eq!((status, &problem["code"]), (429, &json!("too_many_requests")), "{problem}");
    let other = new_shop(&scene.host).await;
    scene.endpoint_of(other, &url, &["*"]).await;
    let body = json!({"type": "payment.paid"});
    assert_eq!(
        scene.call_of(other, "POST", "/v1/events/samples", body).await.0,
        201,
        "another shop's are its own"
    );
    scene.clock.0.fetch_add(HOUR_US + SECOND_US, SeqCst);
    assert_eq!(sample().await.0, 201);
}
