//! What a shop may and may not make of a channel, and channels that share a merchant id.

use serde_json::{Value, json};

use crate::stage::deposit::{
    TOTAL, awaiting, count, deposit, forged, in_state, noticed, notices, sim, stage,
};
use crate::stage::http::Answer;
use crate::stage::{LOOKUP, Shop, Stage, order, text};

/// Keys of the forms that INICIS gives out, and nobody's.
const OWN: [(&str, &str); 4] = [
    ("mid", "SIRown0001"),
    ("sign_key", "QUJDREVGR0hJSktMTU5PUFFSU1RVVldY"),
    ("iniapi_key", "abcdefghijklmnop"),
    ("iniapi_iv", "ponmlkjihgfedcba"),
];

async fn make(stage: &Stage, key: &str, body: &Value) -> Answer {
    stage.call("POST", "/v1/channels").key(key).json(body).send().await
}

async fn change(stage: &Stage, channel: &str, body: &Value) -> Answer {
    stage.call("PATCH", &format!("/v1/channels/{channel}")).key(&stage.shop.key).json(body).send().await
}

fn own(but: &[(&str, &str)]) -> Value {
    let mut settings: serde_json::Map<String, Value> =
        OWN.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
    settings.extend(but.iter().map(|(key, value)| ((*key).to_owned(), json!(value))));
    Value::Object(settings)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_channel_has_nothing_of_a_public_test_merchant() {
    let stage = Stage::start().await;
    let live = stage.new_key(&stage.shop.id, "live").await;
    for preset in ["test_pay", "test_escrow", "test_billing"] {
        let problem = make(&stage, &live, &json!({"plugin": "inicis", "preset": preset}))
            .await
            .problem(400, "invalid_request");
        assert_eq!(problem["field"], "preset", "{problem}");
    }
    let over = json!({"plugin": "inicis", "preset": "test_pay", "settings": own(&[])});
    assert_eq!(make(&stage, &live, &over).await.problem(400, "invalid_request")["field"], "preset");
    for (key, value) in [
        ("mid", "INIpayTest"),
        ("mid", "INIBillTst"),
        ("sign_key", "SU5JTElURV9UUklQTEVERVNfS0VZU1RS"),
        ("iniapi_key", "ItEQKi3rY7uvDS8l"),
    ] {
        let body = json!({"plugin": "inicis", "settings": own(&[(key, value)])});
        let problem = make(&stage, &live, &body).await.problem(400, "invalid_request");
        assert_eq!(problem["field"], format!("settings.{key}"), "{problem}");
    }
    let listed = stage.call("GET", "/v1/channels").key(&live).send().await.expect(200);
    assert_eq!(listed["data"], json!([]), "nothing was made");
    let made = make(&stage, &live, &json!({"plugin": "inicis", "settings": own(&[])})).await.expect(201);
    let path = format!("/v1/channels/{}", text(&made, "id"));
    let back = json!({"settings": {"mid": "INIpayTest"}});
    let problem =
        stage.call("PATCH", &path).key(&live).json(&back).send().await.problem(400, "invalid_request");
    assert_eq!(problem["field"], "settings.mid", "{problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_merchant_without_a_preset_sells_nothing_live() {
    let stage = Stage::start().await;
    let shop = Shop { key: stage.new_key(&stage.shop.id, "live").await, ..stage.shop.clone() };
    // No preset names this one; INICIS's list of test merchants does.
    let body = json!({"plugin": "inicis", "settings": own(&[("mid", "inilitescr")])});
    make(&stage, &shop.key, &body).await.expect(201);
    let problem = stage.create_as(&shop, "A-1", json!({})).await.problem(409, "plugin_misconfigured");
    assert!(text(&problem, "detail").contains("test merchant"), "{problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_for_something_that_the_host_does_not_do_is_not_made() {
    let stage = Stage::start().await;
    for (body, field) in [
        (json!({"plugin": "inicis", "preset": "test_billing"}), "preset"),
        (json!({"plugin": "inicis", "preset": "test_escrow"}), "preset"),
        (json!({"plugin": "inicis", "purposes": ["billing"]}), "purposes"),
        (json!({"plugin": "inicis", "purposes": ["pay", "key_in"]}), "purposes"),
        (json!({"plugin": "inicis", "purposes": ["nonsense"]}), "purposes"),
        (json!({"plugin": "inicis", "purposes": []}), "purposes"),
    ] {
        let problem = make(&stage, &stage.shop.key, &body).await.problem(400, "invalid_request");
        assert_eq!(problem["field"], field, "{body}: {problem}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_keeps_what_its_payments_need() {
    let stage = Stage::start().await;
    let channel = stage.shop.channel.clone();
    for key in ["sign_key", "iniapi_key", "mid"] {
        let body = json!({"name": "다른 이름", "settings": {key: null}});
        let problem = change(&stage, &channel, &body).await.problem(400, "invalid_request");
        assert_eq!(problem["field"], format!("settings.{key}"), "{problem}");
    }
    let shown = stage.get(&format!("/v1/channels/{channel}")).await.expect(200);
    assert_ne!(shown["name"], "다른 이름", "nothing of a refused change is kept");
    assert_eq!(shown["missing"], json!([]));
    // What no purpose needs may go, and comes back.
    let body = json!({"settings": {"mobile_hash_key": null}});
    let shown = change(&stage, &channel, &body).await.expect(200);
    assert!(shown["secrets"].get("mobile_hash_key").is_none(), "{shown}");
    stage.post("/v1/payments", &order("A-1", json!({}))).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_changes_of_a_channel_at_once_both_count() {
    let stage = Stage::on_postgres().await;
    let channel = stage.shop.channel.clone();
    for round in 1..=10 {
        let days = json!({"settings": {"deposit_days": round}});
        let name = json!({"name": format!("가게 {round}")});
        let (one, other) = tokio::join!(change(&stage, &channel, &days), change(&stage, &channel, &name));
        one.expect(200);
        other.expect(200);
        let shown = stage.get(&format!("/v1/channels/{channel}")).await.expect(200);
        assert_eq!(
            (&shown["settings"]["deposit_days"], &shown["name"]),
            (&json!(round.to_string()), &json!(format!("가게 {round}")))
        );
    }
}

/// A second channel of the first shop.
async fn second(stage: &Stage, body: Value) -> String {
    text(&make(stage, &stage.shop.key, &body).await.expect(201), "id")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deposit_told_to_the_shops_other_channel_of_the_same_merchant_pays() {
    let stage = stage().await;
    let other = second(&stage, json!({"plugin": "inicis", "preset": "test_pay", "default": false})).await;
    let url = format!("{}/notify/{}/{other}", stage.url, stage.shop.id);
    sim(&stage, "PATCH", "vbank/settings", json!({"urls": {"INIpayTest": url}})).await.expect(200);
    let (created, oid) = awaiting(&stage, &stage.shop, "A-1", "pc").await;
    deposit(&stage, &oid, json!({})).await;
    let paid = in_state(&stage, &stage.shop, &created, "paid").await;
    assert_eq!(paid["amount"]["paid"], TOTAL);
    let notice = noticed(&stage, "applied").await;
    assert_eq!((&notice["channel_id"], &notice["payment_id"]), (&json!(other), &created["id"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deposit_told_to_another_merchants_channel_is_told_to_the_shop_and_a_person_accepts_it() {
    let stage = stage().await;
    let settings = json!({"mid": LOOKUP});
    let body = json!({"plugin": "inicis", "preset": "test_pay", "default": false, "settings": settings});
    let other = second(&stage, body).await;
    let (created, oid) = awaiting(&stage, &stage.shop, "A-1", "pc").await;
    let number = text(&stage.payment(&created).await["virtual_account"], "number");
    let mut fields = forged(&oid, TOTAL, &number);
    for (name, value) in &mut fields {
        if name == "id_merchant" {
            LOOKUP.clone_into(value);
        }
    }
    let url = format!("{}/notify/{}/{other}", stage.url, stage.shop.id);
    let answer = stage.call("POST", &url).form(&fields).send().await;
    assert_eq!((answer.status, answer.text.as_str()), (200, "OK"));
    let notice = noticed(&stage, "mismatched").await;
    assert!(text(&notice, "reason").contains("another merchant"), "{notice}");
    assert_eq!(notice["payment_id"], created["id"]);
    let names = stage.names(&stage.shop, &created).await;
    assert_eq!(count(&names, "payment.alarm"), 1, "{names:?}");
    assert_eq!(stage.payment(&created).await["state"], "awaiting_deposit");
    let path = format!("/v1/notices/{}/accept", text(&notice, "id"));
    stage.operator_for_shop("POST", &path, json!({"note": "은행 화면", "by": "김운영"})).await.expect(200);
    assert_eq!(in_state(&stage, &stage.shop, &created, "paid").await["amount"]["paid"], TOTAL);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deposit_told_to_the_other_modes_channel_is_nobodys() {
    let stage = stage().await;
    let live = stage.new_key(&stage.shop.id, "live").await;
    let made = make(&stage, &live, &json!({"plugin": "inicis", "settings": own(&[])})).await.expect(201);
    let (created, oid) = awaiting(&stage, &stage.shop, "A-1", "pc").await;
    let mut fields = forged(&oid, TOTAL, "123");
    for (name, value) in &mut fields {
        if name == "id_merchant" {
            OWN[0].1.clone_into(value);
        }
    }
    let url = format!("{}/notify/{}/{}", stage.url, stage.shop.id, text(&made, "id"));
    let answer = stage.call("POST", &url).form(&fields).send().await;
    assert_eq!((answer.status, answer.text.as_str()), (200, "OK"));
    let shop = Shop { key: live, ..stage.shop.clone() };
    let kept = crate::stage::eventually("it is read", std::time::Duration::from_secs(20), async || {
        notices(&stage, &shop, "?state=unknown_order").await.first().cloned()
    })
    .await;
    assert_eq!(kept["payment_id"], Value::Null);
    let names = stage.names(&stage.shop, &created).await;
    assert_eq!(count(&names, "payment.alarm"), 0, "{names:?}");
}
