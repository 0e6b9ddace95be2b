//! Who may do what. Every route of the API is asked without a key, with a wrong one, and as a stranger; the first test fails
//! when a route of `openapi.json` is not in the table.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::stage::http::Answer;
use crate::stage::{Shop, Stage, order, text};

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum For {
    /// A shop, and an operator who names one.
    Shop,
    /// The operator.
    Operator,
    /// The operator, who names the shop.
    OperatorForShop,
    /// Both.
    Both,
}

/// Every route. `{payment}`, `{channel}` and `{key}` are things of the first shop.
const ROUTES: &[(&str, &str, For)] = &[
    ("GET", "/v1/payments", For::Shop),
    ("POST", "/v1/payments", For::Shop),
    ("GET", "/v1/payments/{payment}", For::Shop),
    ("POST", "/v1/payments/{payment}/cancel", For::Shop),
    ("POST", "/v1/payments/{payment}/confirm", For::Shop),
    ("GET", "/v1/payments/{payment}/timeline", For::Shop),
    ("POST", "/v1/payments/{payment}/sync", For::Shop),
    ("POST", "/v1/payments/{payment}/resolve", For::OperatorForShop),
    ("POST", "/v1/reconciliations", For::Shop),
    ("GET", "/v1/figures", For::Operator),
    ("GET", "/v1/attention", For::Both),
    ("POST", "/v1/payments/{payment}/virtual-account", For::Shop),
    ("POST", "/v1/payments/{payment}/virtual-account/close", For::Shop),
    ("POST", "/v1/payments/{payment}/refund-link", For::Shop),
    ("GET", "/v1/notices", For::Shop),
    ("GET", "/v1/notices/{notice}", For::Shop),
    ("POST", "/v1/notices/{notice}/accept", For::OperatorForShop),
    ("POST", "/v1/notices/{notice}/dismiss", For::OperatorForShop),
    ("GET", "/v1/channels", For::Shop),
    ("POST", "/v1/channels", For::Shop),
    ("GET", "/v1/channels/{channel}", For::Shop),
    ("PATCH", "/v1/channels/{channel}", For::Shop),
    ("DELETE", "/v1/channels/{channel}", For::Shop),
    ("POST", "/v1/channels/{channel}/check", For::Shop),
    ("GET", "/v1/institutions", For::Both),
    ("GET", "/v1/webhook-endpoints", For::Shop),
    ("POST", "/v1/webhook-endpoints", For::Shop),
    ("GET", "/v1/webhook-endpoints/{endpoint}", For::Shop),
    ("PATCH", "/v1/webhook-endpoints/{endpoint}", For::Shop),
    ("DELETE", "/v1/webhook-endpoints/{endpoint}", For::Shop),
    ("POST", "/v1/webhook-endpoints/{endpoint}/rotate-secret", For::Shop),
    ("GET", "/v1/webhook-endpoints/{endpoint}/deliveries", For::Shop),
    ("POST", "/v1/webhook-endpoints/{endpoint}/resend", For::Shop),
    ("GET", "/v1/events", For::Shop),
    ("POST", "/v1/events/samples", For::Shop),
    ("GET", "/v1/events/{event}", For::Shop),
    ("POST", "/v1/events/{event}/resend", For::Shop),
    ("GET", "/v1/plugins", For::Both),
    ("POST", "/v1/plugins", For::Operator),
    ("DELETE", "/v1/plugins/{plugin}", For::Operator),
    ("POST", "/v1/plugins/{plugin}/grants", For::Operator),
    ("DELETE", "/v1/plugins/{plugin}/grants", For::Operator),
    ("POST", "/v1/calls/{call}/replay", For::OperatorForShop),
    ("POST", "/v1/replays", For::Operator),
    ("GET", "/v1/plugins/figures", For::Operator),
    ("GET", "/v1/gateway-map", For::Operator),
    ("PUT", "/v1/gateway-map", For::Operator),
    ("DELETE", "/v1/gateway-map", For::Operator),
    ("GET", "/v1/shops", For::Operator),
    ("POST", "/v1/shops", For::Operator),
    ("GET", "/v1/shops/{shop}", For::Operator),
    ("PATCH", "/v1/shops/{shop}", For::Operator),
    ("DELETE", "/v1/shops/{shop}", For::Operator),
    ("GET", "/v1/keys", For::Operator),
    ("POST", "/v1/keys", For::Operator),
    ("DELETE", "/v1/keys/{key}", For::Operator),
];

/// `/v1/payments/{id}` for `/v1/payments/{payment}`.
fn documented(path: &str) -> String {
    ["{payment}", "{channel}", "{plugin}", "{key}", "{call}", "{endpoint}", "{event}", "{notice}", "{shop}"]
        .iter()
        .fold(path.to_owned(), |path, name| path.replace(name, "{id}"))
}

/// A stage with something of every kind.
struct Scene {
    stage: Stage,
    payment: Value,
    key_id: String,
    endpoint: String,
    event: String,
    other: Shop,
}

impl Scene {
    async fn start() -> Self {
        let stage = Stage::start().await;
        let payment = stage.paid("A-1").await;
        let keys =
            stage.call("GET", &format!("/v1/keys?shop_id={}", stage.shop.id)).key(&stage.operator_key());
        let key_id = text(&keys.send().await.expect(200)["data"][0], "id");
        let other = stage.new_shop("다른 가게", json!({})).await;
        let endpoint = stage.post("/v1/webhook-endpoints", &json!({"url": "http://127.0.0.1:9/"})).await;
        let endpoint = text(&endpoint.expect(201), "id");
        let event = text(&stage.get("/v1/events").await.expect(200)["data"][0], "id");
        Self { stage, payment, key_id, endpoint, event, other }
    }

    fn path(&self, path: &str) -> String {
        let ids = [
            ("{payment}", text(&self.payment, "id")),
            ("{channel}", self.stage.shop.channel.clone()),
            ("{plugin}", "inicis".to_owned()),
            ("{key}", self.key_id.clone()),
            ("{shop}", self.stage.shop.id.clone()),
            ("{endpoint}", self.endpoint.clone()),
            ("{event}", self.event.clone()),
            ("{call}", "call_00000000000000000000000000".to_owned()),
            ("{notice}", "ntc_00000000000000000000000000".to_owned()),
        ];
        ids.iter().fold(path.to_owned(), |path, (name, id)| path.replace(name, id))
    }

    /// A request that would be good with the right key.
    async fn ask(&self, verb: &str, path: &str, key: Option<&str>) -> Answer {
        let mut call = self.stage.call(verb, &self.path(path)).header("idempotency-key", "k-1");
        if let Some(key) = key {
            call = call.key(key);
        }
        let grant = json!({"origin": "https://iniapi.inicis.com"});
        let body = match (verb, path) {
            ("POST", "/v1/payments") => order("B-1", json!({})),
            ("POST", "/v1/channels") => json!({"plugin": "inicis", "preset": "test_pay"}),
            ("PATCH", _) => json!({"name": "stolen"}),
            ("POST", "/v1/shops") => json!({"name": "x"}),
            ("POST", "/v1/keys") => json!({"shop_id": self.stage.shop.id}),
            ("POST", "/v1/webhook-endpoints") => json!({"url": "http://127.0.0.1:9/"}),
            ("POST", "/v1/events/samples") => json!({"type": "payment.paid"}),
            ("POST", "/v1/webhook-endpoints/{endpoint}/resend") => json!({"from": "2026-01-01T00:00:00Z"}),
            ("POST", path) if path.ends_with("/rotate-secret") || path.ends_with("/resend") => json!({}),
            ("POST", path) if path.ends_with("/cancel") => json!({}),
            ("POST", path) if path.ends_with("/refund-link") => json!({}),
            ("POST", path) if path.ends_with("/virtual-account") => json!({"bank": "088"}),
            ("POST", path) if path.ends_with("/resolve") => {
                json!({"finding": "not_approved", "note": "seen", "by": "me"})
            }
            ("POST", "/v1/reconciliations") => {
                json!({"channel_id": self.stage.shop.channel, "date": "2026-11-21"})
            }
            ("POST" | "DELETE", path) if path.ends_with("/grants") => grant,
            ("DELETE", "/v1/gateway-map") => grant,
            ("PUT", _) => json!({"origin": "https://iniapi.inicis.com", "connect": "127.0.0.1:1"}),
            _ => return call.send().await,
        };
        call.json(&body).send().await
    }
}

#[test]
fn the_table_has_every_route_of_the_api() {
    let document: Value = serde_json::from_str(include_str!("../../../../host/server/openapi.json")).unwrap();
    let mut routes = BTreeSet::new();
    for (path, verbs) in document["paths"].as_object().unwrap() {
        for verb in verbs.as_object().unwrap().keys().filter(|verb| *verb != "parameters") {
            routes.insert((verb.to_ascii_uppercase(), path.clone()));
        }
    }
    let table: BTreeSet<_> =
        ROUTES.iter().map(|(verb, path, _)| ((*verb).to_owned(), documented(path))).collect();
    assert_eq!(
        routes, table,
        "a route without a line in the table of tests/e2e/tests/it/tenancy.rs, or the other way round"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_refuses_a_caller_without_a_valid_key() {
    let scene = Scene::start().await;
    let token = text(&scene.payment, "client_token");
    let almost = scene.stage.shop.key.replace("sk_test_", "sk_live_");
    let wrong = [
        "",
        "x",
        "sk_test_0000000000000000000000000000000000000000000000000000000000000000",
        "op_x",
        &almost,
        "\" or 1=1",
    ];
    for (verb, path, _) in ROUTES {
        scene.ask(verb, path, None).await.problem(401, "unauthorized");
        for key in wrong {
            scene.ask(verb, path, Some(key)).await.problem(401, "unauthorized");
        }
        let basic = scene.stage.call(verb, &scene.path(path)).header("authorization", "Basic c2s6");
        basic.send().await.problem(401, "unauthorized");
        // The browser's token reads its payment and does nothing else.
        if (*verb, *path) != ("GET", "/v1/payments/{payment}") {
            scene.ask(verb, path, Some(&token)).await.problem(401, "unauthorized");
        }
    }
    assert_eq!(scene.stage.payment(&scene.payment).await["state"], "paid");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_cannot_do_what_the_operator_does() {
    let scene = Scene::start().await;
    for (verb, path, whose) in ROUTES {
        if *whose == For::Operator {
            scene.ask(verb, path, Some(&scene.stage.shop.key)).await.problem(403, "forbidden");
        }
    }
    // Nor by naming a shop, as the operator may.
    let call = scene.stage.call("GET", "/v1/payments").key(&scene.other.key);
    let call = call.header("payhost-shop", &scene.stage.shop.id).header("payhost-mode", "test");
    assert_eq!(call.send().await.expect(200)["data"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_finds_nothing_of_a_shop() {
    let scene = Scene::start().await;
    let live = scene.stage.new_key(&scene.stage.shop.id, "live").await;
    for key in [&scene.other.key, &live] {
        for (verb, path, whose) in ROUTES {
            if *whose != For::Shop {
                continue;
            }
            let answer = scene.ask(verb, path, Some(key)).await;
            if path.contains('{') {
                answer.problem(404, "not_found");
            } else if *verb == "GET" {
                let listed = answer.expect(200).to_string();
                for mine in [text(&scene.payment, "id"), scene.stage.shop.channel.clone()] {
                    assert!(!listed.contains(&mine), "{verb} {path}: {listed}");
                }
            } else {
                // Their own; or they named a channel that is not theirs. Samples are for test mode: the live key is refused.
                let own: &[u16] =
                    if path.ends_with("/samples") { &[201, 403, 409] } else { &[201, 400, 409] };
                assert!(own.contains(&answer.status), "{}", answer.text);
                // Nor has a live channel a preset.
                let fields = ["channel_id", "preset"];
                let field = answer.json()["field"].as_str().unwrap_or_default().to_owned();
                assert!(answer.status != 400 || fields.contains(&field.as_str()), "{}", answer.text);
            }
        }
    }
    // The channel of one shop is no channel of another.
    let more = json!({"channel_id": scene.stage.shop.channel});
    let answer = scene.stage.create_as(&scene.other, "B-9", more).await.problem(400, "invalid_request");
    assert_eq!(answer["field"], "channel_id");
    // A cursor and an order id of another shop lead nowhere.
    let path = format!("/v1/payments?after={}", text(&scene.payment, "id"));
    let list = scene.stage.call("GET", &path).key(&scene.other.key).send().await;
    assert!(!list.text.contains(&text(&scene.payment, "id")), "{}", list.text);
    let mine = scene.stage.payment(&scene.payment).await;
    assert_eq!(text(&mine, "state"), "paid");
    let channel = scene.stage.get(&format!("/v1/channels/{}", scene.stage.shop.channel)).await.expect(200);
    assert_ne!(channel["name"], "stolen");
}

#[tokio::test(flavor = "multi_thread")]
async fn live_and_test_do_not_see_each_other() {
    let scene = Scene::start().await;
    let stage = &scene.stage;
    let live = Shop { key: stage.new_key(&stage.shop.id, "live").await, ..stage.shop.clone() };
    stage.create_as(&live, "A-1", json!({})).await.problem(409, "no_channel");
    let more = json!({"channel_id": stage.shop.channel});
    stage.create_as(&live, "A-1", more).await.problem(400, "invalid_request");
    let settings = json!({"mid": "SIRown0001", "sign_key": "QUJDREVGR0hJSktMTU5PUFFSU1RVVldY", "iniapi_key": "abcdefghijklmnop"});
    let body = json!({"plugin": "inicis", "settings": settings});
    stage.call("POST", "/v1/channels").key(&live.key).json(&body).send().await.expect(201);
    let created = stage.create_as(&live, "A-1", json!({})).await.expect(201);
    assert_eq!(created["mode"], "live");
    stage.get(&format!("/v1/payments/{}", text(&created, "id"))).await.problem(404, "not_found");
    // The gateway map is for test channels: a live window has the gateway's real addresses.
    let page = stage.open_page(&text(&created, "checkout_url")).await;
    assert_eq!(page.status, 200, "{}", page.text);
    assert!(
        page.text.contains("https://stdpay.inicis.com") && !page.text.contains(&stage.gateway.browser_origin)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_must_name_the_shop_for_which_it_acts() {
    let scene = Scene::start().await;
    let operator = scene.stage.operator_key();
    for (verb, path, whose) in ROUTES {
        if matches!(whose, For::Shop | For::OperatorForShop) {
            scene.ask(verb, path, Some(&operator)).await.problem(403, "forbidden");
        }
    }
    let named = |shop: &str, mode: &str| {
        let call = scene.stage.call("GET", "/v1/payments").key(&operator);
        call.header("payhost-shop", shop).header("payhost-mode", mode).send()
    };
    assert_eq!(named(&scene.stage.shop.id, "test").await.expect(200)["data"].as_array().unwrap().len(), 1);
    named(&scene.stage.shop.id, "").await.problem(400, "invalid_request");
    named(&scene.stage.shop.id, "prod").await.problem(400, "invalid_request");
    named("shop_x", "test").await.problem(404, "not_found");
    let nobody = "shop_00000000000000000000000000";
    let call = scene.stage.call("POST", "/v1/payments").key(&operator).header("payhost-shop", nobody);
    call.header("payhost-mode", "test").json(&order("A", json!({}))).send().await.problem(404, "not_found");
    let call = scene.stage.call("POST", "/v1/channels").key(&operator).header("payhost-shop", nobody);
    let body = json!({"plugin": "inicis", "preset": "test_pay"});
    call.header("payhost-mode", "test").json(&body).send().await.problem(404, "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_token_opens_its_own_payment_and_nothing_else() {
    let scene = Scene::start().await;
    let other = scene.stage.create("A-2").await;
    let read = |payment: &Value, token: &Value| {
        let path = format!("/v1/payments/{}", text(payment, "id"));
        scene.stage.call("GET", &path).key(&text(token, "client_token")).send()
    };
    let mine = read(&other, &other).await;
    assert_eq!(mine.header("access-control-allow-origin"), "*");
    assert_eq!(mine.expect(200)["id"], other["id"]);
    read(&scene.payment, &other).await.problem(401, "unauthorized");
    read(&other, &scene.payment).await.problem(401, "unauthorized");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_ends_at_once_and_is_shown_once() {
    let scene = Scene::start().await;
    let (stage, operator) = (&scene.stage, scene.stage.operator_key());
    let path = format!("/v1/keys?shop_id={}", stage.shop.id);
    let listed = stage.call("GET", &path).key(&operator).send().await;
    assert!(!listed.text.contains(&stage.shop.key) && !listed.text.contains("secret"), "{}", listed.text);
    let path = format!("/v1/keys/{}?shop_id={}", scene.key_id, stage.shop.id);
    let elsewhere = format!("/v1/keys/{}?shop_id={}", scene.key_id, scene.other.id);
    stage.call("DELETE", &elsewhere).key(&operator).send().await.problem(404, "not_found");
    stage.get("/v1/payments").await.expect(200);
    stage.call("DELETE", &path).key(&operator).send().await.expect(204);
    stage.get("/v1/payments").await.problem(401, "unauthorized");
    for (body, status) in [
        (json!({"shop_id": "shop_00000000000000000000000000"}), 404),
        (json!({"shop_id": "x"}), 404),
        (json!({"shop_id": stage.shop.id, "mode": "prod"}), 400),
        (json!({"mode": "test"}), 400),
        (json!({"name": "x".repeat(101)}), 400),
    ] {
        let answer = stage.operator("POST", "/v1/keys", body.clone()).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.text);
    }
}
