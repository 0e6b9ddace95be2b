//! Which secrets sign.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn during_a_rotation_both_secrets_sign_and_afterwards_the_new_one_alone() {
    let scene = Scene::start().await;
    let (receiver, url) = scene.receiver().await;
    let made = scene.endpoint(&url, &["*"]).await;
    let path = format!("/v1/webhook-endpoints/{}/rotate-secret", made["id"].as_str().unwrap());
    let (_, rotated) = scene.call("POST", &path, json!({"old_secret_seconds": 3_600})).await;
    let (old, new) = (made["secret"].as_str().unwrap(), rotated["secret"].as_str().unwrap());
    assert_ne!(old, new);
    let signers = async || {
        scene.happen("payment.paid").await;
        drain(&scene.host).await;
        let got = receiver.got().pop().unwrap();
        (got.is_signed_with(old), got.is_signed_with(new))
    };
    assert_eq!(signers().await, (true, true));
    scene.pass(HOUR_US - SECOND_US, 1).await;
    assert_eq!(signers().await, (true, true));
    scene.pass(2 * SECOND_US, 1).await;
    assert_eq!(signers().await, (false, true));
    let (_, again) = scene.call("POST", &path, json!({"old_secret_seconds": 0})).await;
    scene.happen("payment.paid").await;
    drain(&scene.host).await;
    let got = receiver.got().pop().unwrap();
    assert!(got.is_signed_with(again["secret"].as_str().unwrap()) && !got.is_signed_with(new));
    let (status, problem) = scene.call("POST", &path, json!({"old_secret_seconds": 604_801})).await;
    assert_eq!((status, &problem["field"]), (400, &json!("old_secret_seconds")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_signs_until_its_own_day_is_over_however_often_it_is_rotated() {
    let scene = Scene::start().await;
    let (receiver, url) = scene.receiver().await;
    let made = scene.endpoint(&url, &["*"]).await;
    let path = format!("/v1/webhook-endpoints/{}/rotate-secret", made["id"].as_str().unwrap());
    let secret = |shown: &Value| shown["secret"].as_str().unwrap().to_owned();
    let mut secrets = vec![secret(&made)];
    let begun_us = scene.clock.now_us();
    for hours in 0..4 {
        scene.clock.0.store(begun_us + hours * HOUR_US, SeqCst);
        let (status, rotated) = scene.call("POST", &path, json!({})).await;
        assert_eq!(status, 200, "{rotated}");
        secrets.push(secret(&rotated));
    }
    let shown = scene.shown(&made).await;
    let ends = |us: &[i64]| {
        json!(us.iter().map(|hours| crate::time::rfc3339(begun_us + hours * HOUR_US)).collect::<Vec<_>>())
    };
    assert_eq!(shown["old_secrets_until"], ends(&[24, 25, 26, 27]));
    let signers = async || {
        scene.happen("payment.paid").await;
        drain(&scene.host).await;
        let got = receiver.got().pop().unwrap();
        secrets.iter().map(|secret| got.is_signed_with(secret)).collect::<Vec<_>>()
    };
    assert_eq!(signers().await, [true; 5], "the deployed one, and all that were rotated too early");
    // A fifth old one is refused with words, and nothing changes; ending the current one at once is possible.
    let (status, problem) = scene.call("POST", &path, json!({})).await;
    assert_eq!((status, &problem["code"]), (409, &json!("conflict")), "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains(ends(&[24])[0].as_str().unwrap()), "{problem}");
    assert_eq!(signers().await, [true; 5]);
    scene.clock.0.store(begun_us + 24 * HOUR_US + SECOND_US, SeqCst);
    assert_eq!(signers().await, [false, true, true, true, true], "each ends for itself");
    let (status, _) = scene.call("POST", &path, json!({"old_secret_seconds": 0})).await;
    assert_eq!(status, 200);
    assert_eq!(signers().await, [false, true, true, true, false], "the one that was replaced, at once");
    scene.clock.0.store(begun_us + 26 * HOUR_US + SECOND_US, SeqCst);
    assert_eq!(signers().await, [false, false, false, true, false]);
    assert_eq!(scene.shown(&made).await["old_secrets_until"], ends(&[27]));
}
