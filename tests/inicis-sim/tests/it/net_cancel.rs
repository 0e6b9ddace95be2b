//! Net cancel on PC.

use serde_json::{Value, json};

use crate::rig::{MID, Rig, get, set, unset};

async fn cancel(rig: &Rig, post: &crate::rig::Pairs, request: &crate::rig::Pairs) -> Value {
    rig.form_json(get(post, "netCancelUrl"), request).await
}

#[tokio::test]
async fn the_identical_map_takes_the_approval_back_once() {
    let rig = Rig::start().await;
    let post = rig.authenticate(MID, "O-1", "1000").await;
    let request = rig.approval(&post, 1);
    let approved = rig.form_json(get(&post, "authUrl"), &request).await;
    let answer = cancel(&rig, &post, &request).await;
    assert_eq!(answer["resultCode"], "0000");
    assert_eq!(
        (&answer["tid"], &answer["moid"], &answer["mid"]),
        (&approved["tid"], &json!("O-1"), &json!(MID))
    );
    assert_eq!(cancel(&rig, &post, &request).await["resultCode"], "SIM:TWICE");
    let sale = rig.sales().await.remove(0);
    assert_eq!((&sale["state"], &sale["remaining"]), (&json!("net_cancelled"), &json!(0)));
    let asked = rig.inquire(MID, json!({"tid": approved["tid"]})).await;
    assert_eq!(asked["transactionStatus"], "CANCEL");
}

#[tokio::test]
async fn another_map_is_refused_and_names_the_field() {
    let rig = Rig::start().await;
    let post = rig.authenticate(MID, "O-1", "1000").await;
    let request = rig.approval(&post, 1);
    rig.form_json(get(&post, "authUrl"), &request).await;
    for name in ["timestamp", "signature", "verification", "charset"] {
        let mut other = request.clone();
        unset(&mut other, name);
        let answer = cancel(&rig, &post, &other).await;
        assert_eq!(answer["resultCode"], "SIM:MAP", "{name}");
        assert!(answer["resultMsg"].as_str().unwrap().contains(name));
        set(&mut other, name, "1");
        assert_eq!(cancel(&rig, &post, &other).await["resultCode"], "SIM:MAP", "{name}");
    }
    let mut more = request.clone();
    set(&mut more, "price", "1000");
    assert_eq!(cancel(&rig, &post, &more).await["resultCode"], "SIM:MAP");
    assert_eq!(rig.sales().await[0]["state"], "approved");
}

#[tokio::test]
async fn without_an_approval_there_is_nothing_to_cancel_and_a_late_approval_still_books() {
    let rig = Rig::start().await;
    let post = rig.authenticate(MID, "O-1", "1000").await;
    let request = rig.approval(&post, 1);
    assert_eq!(cancel(&rig, &post, &request).await["resultCode"], "SIM:NOSALE");
    assert_eq!(rig.sales().await[0]["net_cancelled_early"], true);
    assert_eq!(rig.form_json(get(&post, "authUrl"), &request).await["resultCode"], "0000");
}

#[tokio::test]
async fn by_setting_an_early_net_cancel_blocks_the_approval() {
    let rig = Rig::with(|options| options.settings.early_net_cancel_blocks_approval = true).await;
    let post = rig.authenticate(MID, "O-1", "1000").await;
    let request = rig.approval(&post, 1);
    cancel(&rig, &post, &request).await;
    assert_eq!(rig.form_json(get(&post, "authUrl"), &request).await["resultCode"], "SIM:EARLY");
}

#[tokio::test]
async fn a_declined_an_old_and_a_refunded_sale_are_not_net_cancelled() {
    let rig = Rig::start().await;
    let choice = json!({"choice": "decline", "card": "04", "code": "500645"});
    let post = rig.posted(&rig.form(MID, "O-1", "1000"), choice).await;
    let request = rig.approval(&post, 1);
    rig.form_json(get(&post, "authUrl"), &request).await;
    assert_eq!(cancel(&rig, &post, &request).await["resultCode"], "SIM:NOSALE");

    let post = rig.authenticate(MID, "O-2", "1000").await;
    let request = rig.approval(&post, 1);
    let tid = rig.form_json(get(&post, "authUrl"), &request).await["tid"].as_str().unwrap().to_owned();
    rig.running.clock.advance_ms(11 * 60_000);
    assert_eq!(cancel(&rig, &post, &request).await["resultCode"], "SIM:LATE");
    assert_eq!(rig.refund(MID, &tid).await["resultCode"], "00");
    assert_eq!(cancel(&rig, &post, &request).await["resultCode"], "SIM:TWICE");

    let post = rig.authenticate(MID, "O-3", "1000").await;
    let request = rig.approval(&post, 1);
    let tid = rig.form_json(get(&post, "authUrl"), &request).await["tid"].as_str().unwrap().to_owned();
    assert_eq!(rig.part(&tid, "400", "600").await["resultCode"], "00");
    assert_eq!(cancel(&rig, &post, &request).await["resultCode"], "500625");
}
