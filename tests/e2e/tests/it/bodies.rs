//! Bodies that are wrong. Every route of `openapi.json` that takes JSON is sent every kind of wrong body: a route that is added is
//! tried with the next run.

use serde_json::{Map, Value, json};

use crate::stage::http::{Answer, Call};
use crate::stage::{Bare, operator_key, text};

/// A route with a JSON body, and the schema of that body.
struct Route {
    verb: String,
    path: String,
    schema: Value,
}

fn document() -> Value {
    serde_json::from_str(include_str!("../../../../host/server/openapi.json")).unwrap()
}

/// A schema behind its `$ref`, also inside `oneOf` and `allOf`.
fn resolved(document: &Value, schema: &Value) -> Value {
    if let Some(place) = schema["$ref"].as_str() {
        return resolved(document, document.pointer(place.strip_prefix('#').unwrap()).unwrap());
    }
    for several in ["oneOf", "allOf"] {
        let parts = schema[several].as_array().into_iter().flatten();
        if let Some(part) = parts.into_iter().find(|part| part["type"] != "null") {
            return resolved(document, part);
        }
    }
    schema.clone()
}

fn routes() -> Vec<Route> {
    let document = document();
    let mut found = Vec::new();
    for (path, verbs) in document["paths"].as_object().unwrap() {
        for (verb, operation) in verbs.as_object().unwrap() {
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            if schema.is_null() {
                continue;
            }
            found.push(Route {
                verb: verb.to_ascii_uppercase(),
                path: path.clone(),
                schema: resolved(&document, schema),
            });
        }
    }
    found
}

/// An id of the right kind for each path; that there is no such thing is found out after the body was read.
fn address(path: &str) -> String {
    let kinds = [
        ("/v1/payments/", "pay"),
        ("/v1/channels/", "chn"),
        ("/v1/webhook-endpoints/", "wep"),
        ("/v1/events/", "evt"),
        ("/v1/notices/", "ntc"),
        ("/v1/shops/", "shop"),
        ("/v1/keys/", "key"),
        ("/v1/calls/", "call"),
    ];
    let kind = kinds.iter().find(|(start, _)| path.starts_with(start)).map_or("x", |(_, kind)| kind);
    path.replace("{id}", &format!("{kind}_00000000000000000000000000"))
}

/// A value that no member of this type takes.
fn wrong(member: &Value) -> Value {
    let types = member["type"].as_array().cloned().unwrap_or_else(|| vec![member["type"].clone()]);
    let types: Vec<&str> = types.iter().filter_map(Value::as_str).collect();
    if types.contains(&"object") || types.contains(&"array") { json!("text") } else { json!({"x": [1]}) }
}

/// Whether only the operator may use a route.
fn is_operators(path: &str) -> bool {
    const STARTS: &[&str] =
        &["/v1/plugins", "/v1/shops", "/v1/keys", "/v1/gateway-map", "/v1/calls", "/v1/replays"];
    STARTS.iter().any(|start| path.starts_with(start)) || is_operators_for_shop(path)
}

/// Whether the operator who uses it names a shop.
fn is_operators_for_shop(path: &str) -> bool {
    ["/resolve", "/accept", "/dismiss", "/replay"].iter().any(|end| path.ends_with(end))
}

struct Scene {
    bare: Bare,
    shop: String,
    /// The shop's key.
    key: String,
    operator: String,
}

impl Scene {
    async fn start() -> Self {
        let bare = Bare::start();
        let operator = operator_key(bare.folder.path());
        let shop = bare.operator("POST", "/v1/shops", Some(json!({"name": "가게"}))).await.expect(201);
        let shop = text(&shop, "id");
        let body = json!({"shop_id": shop, "mode": "test"});
        let key = text(&bare.operator("POST", "/v1/keys", Some(body)).await.expect(201), "secret");
        Self { bare, shop, key, operator }
    }

    /// Sends a body as the shop, or as the operator where a shop may not.
    async fn send(&self, route: &Route, kind: &str, body: &[u8]) -> Answer {
        let url = format!("{}{}", self.bare.url, address(&route.path));
        let call = |key: &str| {
            let call = Call::new(&self.bare.client, &route.verb, url.clone()).key(key);
            let call = if is_operators_for_shop(&route.path) { call.acting(&self.shop) } else { call };
            call.header("idempotency-key", "k-1").body(kind, body).send()
        };
        // (A refused caller is answered before a large body is read, and its client may see nothing but a closed connection.)
        if is_operators(&route.path) { call(&self.operator).await } else { call(&self.key).await }
    }

    async fn refused(&self, route: &Route, body: &[u8], code: &str, field: &str) {
        let answer = self.send(route, "application/json", body).await;
        let shown = String::from_utf8_lossy(body).chars().take(200).collect::<String>();
        let what = format!("{} {}: {shown}: {}", route.verb, route.path, answer.text);
        assert_eq!(answer.status, 400, "{what}");
        let problem = answer.problem(400, code);
        assert_eq!(problem["field"], field, "{what}");
        let detail = problem["detail"].as_str().unwrap();
        // The JSON reader's own words ("invalid type: …, expected i64") are none of ours ("text is expected, not a list").
        for word in [
            "i64",
            "u32",
            "u64",
            "struct ",
            ", expected ",
            "invalid type",
            "variant",
            "integer `",
            "EOF",
            "serde",
            "SECRET",
        ] {
            assert!(!detail.contains(word), "{word}: {what}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_refuses_every_kind_of_wrong_body_in_words_of_its_own() {
    let scene = Scene::start().await;
    let routes = routes();
    assert!(routes.len() >= 20, "{}", routes.len());
    for route in &routes {
        for body in ["", "{", "SECRET", "{} {}", "\u{feff}{}", "{\"a\":1,}", "{'a':1}", "{\"x\":\"\\ud800\"}"]
        {
            scene.refused(route, body.as_bytes(), "invalid_json", "body").await;
        }
        scene.refused(route, b"{\"x\":\"\xff\"}", "invalid_json", "body").await;
        // A list is no object, though it could be read as one without members.
        for body in ["[]", "[1,2]", "null", "7", "\"SECRET\"", "true"] {
            scene.refused(route, body.as_bytes(), "invalid_request", "body").await;
        }
        scene.refused(route, b"{\"x\":1,\"x\":2}", "invalid_request", "x").await;
        scene.refused(route, b"{\"x\":1e999}", "invalid_request", "x").await;
        scene.refused(route, b"{\"x\":\"SECRET\\u0000\"}", "invalid_request", "x").await;
        let deep = format!("{{\"x\":{}{}}}", "[".repeat(100), "]".repeat(100));
        let field = format!("x{}", "[0]".repeat(32));
        scene.refused(route, deep.as_bytes(), "invalid_request", &field).await;
        for kind in [
            "application/jsonx",
            "text/plain",
            "application/x-www-form-urlencoded",
            "application/json; charset=euc-kr",
        ] {
            scene.send(route, kind, b"{}").await.problem(415, "unsupported_media_type");
        }
        let large = format!("{{\"x\":\"{}\"}}", "y".repeat(300 * 1024));
        let answer = scene.send(route, "application/json", large.as_bytes()).await;
        let problem = answer.problem(413, "payload_too_large");
        assert!(problem["detail"].as_str().unwrap().contains("262144"), "{problem}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_member_of_every_route_is_named_when_it_is_wrong_or_missing() {
    let scene = Scene::start().await;
    let document = document();
    let (mut members, mut missing) = (0, 0);
    for route in &routes() {
        let properties = route.schema["properties"].as_object().cloned().unwrap_or_default();
        let required: Vec<String> = route.schema["required"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|name| name.as_str().unwrap().to_owned())
            .collect();
        for (name, member) in &properties {
            let body = json!({name: wrong(&resolved(&document, member))}).to_string();
            scene.refused(route, body.as_bytes(), "invalid_request", name).await;
            members += 1;
        }
        if !required.is_empty() {
            // Which of several is told first is not promised.
            let answer = scene.send(route, "application/json", b"{}").await;
            let field = text(&answer.problem(400, "invalid_request"), "field");
            assert!(required.contains(&field), "{} {}: {field}", route.verb, route.path);
            missing += 1;
        }
        let unknown: Map<String, Value> = [("colour".to_owned(), json!("red"))].into_iter().collect();
        scene
            .refused(route, Value::Object(unknown).to_string().as_bytes(), "invalid_request", "colour")
            .await;
    }
    assert!(members >= 60 && missing >= 8, "{members} {missing}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_query_or_a_path_holds_never_breaks_the_host() {
    let scene = Scene::start().await;
    let document = document();
    let mut asked = 0;
    for (path, verbs) in document["paths"].as_object().unwrap() {
        let Some(operation) = verbs.get("get") else { continue };
        let names = operation["parameters"].as_array().into_iter().flatten();
        let names =
            names.filter(|parameter| parameter["in"] == "query").map(|parameter| text(parameter, "name"));
        let mut names: Vec<String> = names.collect();
        // Where a query is read at all, an unknown name in it is refused.
        if !names.is_empty() {
            names.push("colour".to_owned());
        }
        for name in names {
            for value in ["%00", "a%00b", "%ff", "%0a", "-1", "99999999999999999999", "%F0%9F%98%80"] {
                let url = format!("{}{}?{name}={value}", scene.bare.url, address(path));
                for key in [&scene.key, &scene.operator] {
                    let answer = Call::new(&scene.bare.client, "GET", url.clone()).key(key).send().await;
                    assert!(answer.status < 500, "{url}: {}", answer.text);
                    if value == "%00" && ![401, 403].contains(&answer.status) && answer.status != 404 {
                        assert_eq!(answer.problem(400, "invalid_request")["field"], name, "{url}");
                    }
                    asked += 1;
                }
            }
        }
    }
    assert!(asked > 200, "{asked}");
    for path in
        ["/v1/plugins/%00/grants", "/v1/plugins/%ff/grants", "/v1/payments/%00/cancel", "/v1/keys/%00"]
    {
        let call =
            Call::new(&scene.bare.client, "POST", format!("{}{path}", scene.bare.url)).key(&scene.operator);
        let answer = call.header("idempotency-key", "k").json(&json!({"origin": "https://x"})).send().await;
        assert!((400..500).contains(&answer.status), "{path}: {}", answer.text);
    }
    let call = Call::new(&scene.bare.client, "GET", format!("{}/v1/payments?order_id=%00", scene.bare.url));
    call.key(&scene.key).send().await.problem(400, "invalid_request");
}
