//! The host inside somebody's application (`examples/embed`): its own routes beside ours, payments without HTTP.

use serde_json::{Value, json};

use crate::stage::buyer::pay;
use crate::stage::process::{Process, binary, component};
use crate::stage::{Stage, data, eventually, text};

/// The application in place of the host, on the same data folder and address.
async fn embedded() -> Stage {
    let mut stage = Stage::start().await;
    stage.host.ask_to_end();
    let patience = std::time::Duration::from_secs(20);
    eventually("the host ends", patience, async || stage.host.ended()).await;
    let folder = stage.folder.path();
    let mut command = std::process::Command::new(binary("example-embed"));
    command.arg("--data").arg(data(folder)).arg("--plugin").arg(component());
    command.args(["--listen", stage.url.strip_prefix("http://").unwrap()]);
    let log = folder.join("embed.log");
    stage.host = Process::start(&mut command, &log, |line| line.contains("\"url\"")).unwrap().0;
    stage
}

/// Places an order at the application and gives where it sends the buyer.
async fn order(stage: &Stage, number: &str) -> Value {
    let body = json!({"number": number, "what": "수제 잼", "won": 12_000});
    let answer = stage.call("POST", "/orders").json(&body).send().await;
    assert_eq!(answer.status, 303, "{}", answer.text);
    json!({"checkout_url": answer.header("location")})
}

async fn shown(stage: &Stage, number: &str) -> Value {
    stage.call("GET", &format!("/orders/{number}")).send().await.expect(200)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_sells_and_gives_back_without_http_of_its_own() {
    let stage = embedded().await;
    let created = order(&stage, "E-1").await;
    assert_eq!(shown(&stage, "E-1").await["state"], "created");
    let window = stage.open(&created).await;
    assert_eq!(shown(&stage, "E-1").await["state"], "pending");
    let back = stage.choose(&window, pay()).await;
    assert_eq!(stage.come_back(&back).await.result, "paid");
    let paid = shown(&stage, "E-1").await;
    assert_eq!((&paid["state"], &paid["paid"]), (&json!("paid"), &json!(12_000)));
    assert_eq!(stage.held().await.len(), 1);
    // Twice: the key is the order's.
    for _ in 0..2 {
        let given_back = stage.call("POST", "/orders/E-1/cancel").send().await.expect(200);
        assert_eq!((&given_back["state"], &given_back["given_back"]), (&json!("cancelled"), &json!(12_000)));
    }
    assert!(stage.held().await.is_empty());
    assert_eq!(stage.count("cancelled").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_s_routes_stand_beside_the_api_and_its_problems_are_typed() {
    let stage = embedded().await;
    // The API is there for the shop that was made through it before.
    assert_eq!(stage.get("/v1/payments").await.expect(200)["data"], json!([]));
    stage.call("GET", "/payhost.js").send().await;
    assert_eq!(stage.call("GET", "/healthz").send().await.status, 200);
    // Pressed twice, it is one payment; another amount for the same order is refused.
    let first = order(&stage, "E-1").await;
    assert_eq!(order(&stage, "E-1").await, first);
    let body = json!({"number": "E-1", "what": "수제 잼", "won": 1});
    let refused = stage.call("POST", "/orders").json(&body).send().await;
    assert_eq!((refused.status, refused.json()["code"].clone()), (422, json!("idempotency_mismatch")));
    let body = json!({"number": "E-2", "what": "수제 잼", "won": 0});
    let refused = stage.call("POST", "/orders").json(&body).send().await.expect(400);
    assert_eq!(
        (text(&refused, "code"), text(&refused, "field")),
        ("invalid_request".into(), "amount.total".into())
    );
    let answer = stage.call("GET", "/orders/nobody").send().await;
    assert_eq!((answer.status, answer.json()["code"].clone()), (404, json!("not_found")));
    // Another shop's payments are not the application's.
    let theirs = stage.create("A-1").await;
    assert_eq!(stage.call("GET", &format!("/orders/{}", text(&theirs, "id"))).send().await.status, 404);
}
