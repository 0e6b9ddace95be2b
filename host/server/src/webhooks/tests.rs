//! Delivery with a clock that the test moves: what takes days takes none here.

mod fairness;
mod health;
mod secrets;

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Request, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::any;
use payhost_core::id::{EventId, ShopId};
use payhost_store::rows::Mode;
use payhost_store::rows::events::{self, Event};
use payhost_store::rows::shops::{self, Shop};
use payhost_store::{Error, Json as Stored};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tower::ServiceExt as _;

use super::Options;
use super::run::drain;
use super::sign::Secret;
use crate::Host;
use crate::host::random;
use crate::sealed::Place;
use crate::time::{Clock, SystemClock};

const SECOND_US: i64 = 1_000_000;
const HOUR_US: i64 = 3_600 * SECOND_US;

struct Moving(AtomicI64);

impl Clock for Moving {
    fn now_us(&self) -> i64 {
        self.0.load(SeqCst)
    }
}

/// One request as it came.
#[derive(Clone)]
struct Got {
    headers: HeaderMap,
    body: String,
    at_us: i64,
}

impl Got {
    fn id(&self) -> String {
        self.headers["webhook-id"].to_str().unwrap().to_owned()
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// Whether a secret made one of the signatures.
    fn is_signed_with(&self, secret: &str) -> bool {
        use base64::Engine as _;
        let bytes = base64::engine::general_purpose::STANDARD.decode(&secret["whsec_".len()..]).unwrap();
        let timestamp: i64 = self.headers["webhook-timestamp"].to_str().unwrap().parse().unwrap();
        let wanted = Secret::of(zeroize::Zeroizing::new(bytes)).sign(&self.id(), timestamp, &self.body);
        self.headers["webhook-signature"].to_str().unwrap().split(' ').any(|signature| signature == wanted)
    }
}

type Reply = (u16, &'static [(&'static str, &'static str)], &'static str);

/// A shop's server.
#[derive(Clone)]
struct Receiver {
    got: Arc<Mutex<Vec<Got>>>,
    reply: Arc<Mutex<Reply>>,
    clock: Arc<Moving>,
    at_once: Arc<AtomicUsize>,
    most_at_once: Arc<AtomicUsize>,
    /// How long it takes to answer, by the host's clock.
    takes_us: Arc<AtomicI64>,
    /// Requests are answered one for each permit; none: at once.
    held: Option<Arc<Semaphore>>,
    /// A permit for each request that came.
    came: Arc<Semaphore>,
}

impl Receiver {
    fn answer(&self, status: u16) {
        *self.reply.lock().unwrap() = (status, &[], "");
    }

    fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }

    fn count(&self) -> usize {
        self.got.lock().unwrap().len()
    }
}

async fn receive(State(this): State<Receiver>, headers: HeaderMap, body: String) -> impl IntoResponse {
    let now = this.at_once.fetch_add(1, SeqCst) + 1;
    this.most_at_once.fetch_max(now, SeqCst);
    // Others get their chance to be here as well.
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    this.came.add_permits(1);
    if let Some(held) = &this.held {
        held.acquire().await.unwrap().forget();
    }
    this.clock.0.fetch_add(this.takes_us.load(SeqCst), SeqCst);
    this.at_once.fetch_sub(1, SeqCst);
    this.got.lock().unwrap().push(Got { headers, body, at_us: this.clock.now_us() });
    let (status, headers, body) = *this.reply.lock().unwrap();
    let mut answer = (StatusCode::from_u16(status).unwrap(), body).into_response();
    for (name, value) in headers {
        answer.headers_mut().insert(*name, value.parse().unwrap());
    }
    answer
}

async fn new_shop(host: &Host) -> ShopId {
    let shop = host.new_id(ShopId::new);
    let row = Shop {
        id: shop,
        name: "가게".to_owned(),
        public_url: None,
        allowed_origins: Stored::of(&json!([])).unwrap(),
        private_webhooks: true,
        data_key: host.vault().new_data_key(shop).unwrap(),
        created_us: 0,
        suspended_us: None,
        removed_us: None,
    };
    host.store().transact(move |tx| shops::insert(tx, &row)).await.unwrap();
    shop
}

/// A host with a shop.
struct Scene {
    host: Host,
    clock: Arc<Moving>,
    shop: ShopId,
    _folder: tempfile::TempDir,
}

impl Scene {
    async fn start() -> Self {
        Self::with_timeout(Duration::from_secs(5)).await
    }

    async fn with_timeout(timeout: Duration) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(Moving(AtomicI64::new(SystemClock.now_us())));
        let options =
            Options { allowed_networks: vec!["127.0.0.0/8".parse().unwrap()], timeout, ..Options::default() };
        let host = Host::builder(folder.path()).clock(clock.clone()).webhooks(options).open().await.unwrap();
        let shop = new_shop(&host).await;
        Self { host, clock, shop, _folder: folder }
    }

    async fn receiver(&self) -> (Receiver, String) {
        self.receiver_that(None).await
    }

    async fn receiver_that(&self, held: Option<Arc<Semaphore>>) -> (Receiver, String) {
        let receiver = Receiver {
            takes_us: Arc::default(),
            came: Arc::new(Semaphore::new(0)),
            held,
            got: Arc::default(),
            reply: Arc::new(Mutex::new((204, &[], ""))),
            clock: self.clock.clone(),
            at_once: Arc::default(),
            most_at_once: Arc::default(),
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hooks", listener.local_addr().unwrap());
        let app = Router::new().route("/hooks", any(receive)).with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        (receiver, url)
    }

    async fn call(&self, verb: &str, path: &str, body: Value) -> (u16, Value) {
        self.call_of(self.shop, verb, path, body).await
    }

    async fn call_of(&self, shop: ShopId, verb: &str, path: &str, body: Value) -> (u16, Value) {
        let request = Request::builder()
            .method(verb)
            .uri(path)
            .header(header::AUTHORIZATION, format!("Bearer {}", self.host.run_key()))
            .header(header::CONTENT_TYPE, "application/json")
            .header("payhost-shop", shop.to_string())
            .header("payhost-mode", "test")
            .body(Body::from(body.to_string()))
            .unwrap();
        let answer = crate::http::router(self.host.clone()).oneshot(request).await.unwrap();
        let status = answer.status().as_u16();
        let body = axum::body::to_bytes(answer.into_body(), usize::MAX).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    /// The operator's figures: no shop is named.
    async fn figures(&self) -> Value {
        let key = format!("Bearer {}", self.host.run_key());
        let request =
            Request::get("/v1/figures").header(header::AUTHORIZATION, key).body(Body::empty()).unwrap();
        let answer = crate::http::router(self.host.clone()).oneshot(request).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        let body = axum::body::to_bytes(answer.into_body(), usize::MAX).await.unwrap();
        serde_json::from_slice(&body).unwrap()
    }

    async fn endpoint(&self, url: &str, chosen: &[&str]) -> Value {
        self.endpoint_of(self.shop, url, chosen).await
    }

    async fn endpoint_of(&self, shop: ShopId, url: &str, chosen: &[&str]) -> Value {
        let body = json!({"url": url, "events": chosen});
        let (status, made) = self.call_of(shop, "POST", "/v1/webhook-endpoints", body).await;
        assert_eq!(status, 201, "{made}");
        made
    }

    async fn shown(&self, endpoint: &Value) -> Value {
        let path = format!("/v1/webhook-endpoints/{}", endpoint["id"].as_str().unwrap());
        self.call("GET", &path, Value::Null).await.1
    }

    async fn deliveries(&self, endpoint: &Value) -> Vec<Value> {
        let path = format!("/v1/webhook-endpoints/{}/deliveries", endpoint["id"].as_str().unwrap());
        self.call("GET", &path, Value::Null).await.1["data"].as_array().unwrap().clone()
    }

    async fn happen(&self, name: &'static str) -> EventId {
        self.happen_in(self.shop, name).await
    }

    async fn happen_in(&self, shop: ShopId, name: &'static str) -> EventId {
        let (id, key) = (EventId::new(self.host.now_ms(), random()), self.host.shop_key(shop).await.unwrap());
        let payload = json!({"payment": null, "data": {"말": "값"}});
        let event = Event {
            id,
            shop_id: shop,
            mode: Mode::Test,
            payment_id: None,
            sequence: None,
            name: name.to_owned(),
            payload: Place::Event(id).seal_json(&key, &payload).unwrap(),
            created_us: self.host.now_us(),
        };
        let written: Result<(), Error> =
            self.host.store().transact(move |tx| events::insert(tx, &event)).await;
        written.unwrap();
        id
    }

    /// Time goes by in steps, and everything that falls due is sent.
    async fn pass(&self, us: i64, steps: i64) {
        for _ in 0..steps {
            self.clock.0.fetch_add(us / steps, SeqCst);
            drain(&self.host).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_is_told_signed_to_those_that_chose_it() {
    let scene = Scene::start().await;
    let ((all, all_url), (paid, paid_url)) = (scene.receiver().await, scene.receiver().await);
    let endpoint = scene.endpoint(&all_url, &["*"]).await;
    scene.endpoint(&paid_url, &["payment.paid", "payment.cancelled"]).await;
    let id = scene.happen("payment.paid").await;
    scene.happen("checkout.failed").await;
    drain(&scene.host).await;
    assert_eq!((all.count(), paid.count()), (2, 1));
    let got = &paid.got()[0];
    let (status, event) = scene.call("GET", &format!("/v1/events/{id}"), Value::Null).await;
    assert_eq!((status, &event), (200, &got.json()), "the body is what the API shows");
    assert_eq!(event["data"]["detail"], json!({"말": "값"}));
    assert!(got.headers["user-agent"].to_str().unwrap().starts_with("payhost/"));
    let secret = endpoint["secret"].as_str().unwrap();
    assert!(all.got().iter().all(|got| got.is_signed_with(secret)) && !got.is_signed_with(secret));
    assert!(scene.shown(&endpoint).await.get("secret").is_none(), "shown once");
    drain(&scene.host).await;
    assert_eq!((all.count(), paid.count()), (2, 1), "once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_is_down_for_a_day_gets_everything_when_it_is_back() {
    let scene = Scene::start().await;
    let (receiver, url) = scene.receiver().await;
    let endpoint = scene.endpoint(&url, &["*"]).await;
    receiver.answer(503);
    let mut ids = Vec::new();
    for _ in 0..24 {
        ids.push(scene.happen("payment.paid").await.to_string());
        scene.pass(HOUR_US, 4).await;
    }
    assert_ne!(scene.shown(&endpoint).await["failing_since"], Value::Null);
    receiver.answer(200);
    receiver.got.lock().unwrap().clear();
    scene.pass(36 * HOUR_US, 36).await;
    let mut told: Vec<String> = receiver.got().iter().map(Got::id).collect();
    told.sort_unstable();
    assert_eq!(told, ids, "each of them, once");
    let shown = scene.shown(&endpoint).await;
    assert_eq!((&shown["failing_since"], &shown["enabled"]), (&Value::Null, &json!(true)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_runners_do_not_send_the_same_delivery() {
    let scene = Scene::start().await;
    let (receiver, url) = scene.receiver().await;
    scene.endpoint(&url, &["*"]).await;
    let mut ids = Vec::new();
    for _ in 0..300 {
        ids.push(scene.happen("payment.paid").await.to_string());
    }
    tokio::join!(drain(&scene.host), drain(&scene.host), drain(&scene.host));
    drain(&scene.host).await;
    let mut told: HashMap<String, usize> = HashMap::new();
    receiver.got().iter().for_each(|got| *told.entry(got.id()).or_default() += 1);
    assert!(ids.iter().all(|id| told.get(id) == Some(&1)), "{} of 300", told.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_event_is_sent_again_under_its_id_when_asked() {
    let scene = Scene::start().await;
    let (receiver, url) = scene.receiver().await;
    let endpoint = scene.endpoint(&url, &["payment.paid"]).await;
    let paid = scene.happen("payment.paid").await;
    let other = scene.happen("payment.cancelled").await;
    drain(&scene.host).await;
    let again =
        async |id: EventId, body: Value| scene.call("POST", &format!("/v1/events/{id}/resend"), body).await;
    assert_eq!(again(paid, json!({})).await, (200, json!({"deliveries": 1})));
    assert_eq!(again(other, json!({})).await, (200, json!({"deliveries": 0})), "nobody chose it");
    assert_eq!(again(other, json!({"endpoint_id": endpoint["id"]})).await, (200, json!({"deliveries": 1})));
    drain(&scene.host).await;
    let ids: Vec<String> = receiver.got().iter().map(Got::id).collect();
    assert_eq!(ids.len(), 3);
    assert_eq!(ids.iter().filter(|id| **id == paid.to_string()).count(), 2);
    let path = format!("/v1/webhook-endpoints/{}/resend", endpoint["id"].as_str().unwrap());
    let from = json!({"from": "2020-01-01T00:00:00Z"});
    assert_eq!(scene.call("POST", &path, from.clone()).await, (200, json!({"deliveries": 0})), "all arrived");
    let all = json!({"from": "2020-01-01T00:00:00Z", "delivered_too": true});
    assert_eq!(scene.call("POST", &path, all).await, (200, json!({"deliveries": 1})));
    for bad in
        [json!({"from": "soon"}), json!({"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"})]
    {
        assert_eq!(scene.call("POST", &path, bad).await.0, 400);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deliveries_are_kept_for_30_days_and_go_with_their_endpoint() {
    let scene = Scene::start().await;
    let (receiver, url) = scene.receiver().await;
    let endpoint = scene.endpoint(&url, &["*"]).await;
    scene.happen("payment.paid").await;
    drain(&scene.host).await;
    scene.pass(29 * 24 * HOUR_US, 1).await;
    scene.happen("payment.paid").await;
    drain(&scene.host).await;
    assert_eq!(scene.deliveries(&endpoint).await.len(), 2);
    scene.pass(2 * 24 * HOUR_US, 1).await;
    scene.happen("payment.paid").await;
    drain(&scene.host).await;
    assert_eq!((scene.deliveries(&endpoint).await.len(), receiver.count()), (2, 3));
    let path = format!("/v1/webhook-endpoints/{}", endpoint["id"].as_str().unwrap());
    assert_eq!(scene.call("DELETE", &path, Value::Null).await.0, 204);
    assert_eq!(scene.call("GET", &path, Value::Null).await.0, 404);
    assert_eq!(scene.call("DELETE", &path, Value::Null).await.0, 404);
    scene.happen("payment.paid").await;
    drain(&scene.host).await;
    assert_eq!(receiver.count(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_wrong_member_of_an_endpoint_is_refused_and_named() {
    let scene = Scene::start().await;
    let good = "http://127.0.0.1:9/hooks";
    for (body, field) in [
        (json!({"url": ""}), "url"),
        (json!({"url": "shop.example"}), "url"),
        (json!({"url": "ftp://127.0.0.1/"}), "url"),
        (json!({"url": "http://1.1.1.1/"}), "url"),
        (json!({"url": "https://10.0.0.1/"}), "url"),
        (json!({"url": "https://user:word@shop.example/"}), "url"),
        (json!({"url": format!("https://shop.example/{}", "x".repeat(2_048))}), "url"),
        (json!({"url": good, "events": []}), "events"),
        (json!({"url": good, "events": ["payment.payed"]}), "events"),
        (json!({"url": good, "name": "a\nb"}), "name"),
        (json!({"url": good, "secret": "mine"}), "secret"),
    ] {
        let (status, problem) = scene.call("POST", "/v1/webhook-endpoints", body.clone()).await;
        assert_eq!((status, problem["field"].as_str()), (400, Some(field)), "{body}: {problem}");
    }
    assert_eq!(scene.call("POST", "/v1/webhook-endpoints", json!({})).await.0, 201);
    let (status, problem) = scene.call("POST", "/v1/webhook-endpoints", json!({})).await;
    assert_eq!((status, &problem["field"]), (400, &json!("url")), "one without url");
    for _ in 0..15 {
        scene.endpoint(good, &["*"]).await;
    }
    let (status, _) = scene.call("POST", "/v1/webhook-endpoints", json!({"url": good})).await;
    assert_eq!(status, 409);
    let (_, first) = scene.call("GET", "/v1/webhook-endpoints?limit=10", Value::Null).await;
    let next = first["next"].as_str().unwrap();
    let path = format!("/v1/webhook-endpoints?limit=10&after={next}");
    let (_, second) = scene.call("GET", &path, Value::Null).await;
    let count = |page: &Value| page["data"].as_array().unwrap().len();
    assert_eq!((count(&first), count(&second), &second["next"]), (10, 6, &Value::Null));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sample_is_marked_and_needs_somebody_who_listens() {
    let scene = Scene::start().await;
    let sample = async |name: &str| scene.call("POST", "/v1/events/samples", json!({"type": name})).await;
    assert_eq!(sample("payment.paid").await.0, 409, "nobody listens");
    let (receiver, url) = scene.receiver().await;
    scene.endpoint(&url, &["*"]).await;
    for (name, _) in super::names::EVENTS {
        assert_eq!(sample(name).await.0, 201, "{name}");
    }
    assert_eq!(sample("payment.payed").await.0, 400);
    drain(&scene.host).await;
    assert_eq!(receiver.count(), super::names::EVENTS.len());
    for got in receiver.got() {
        let event = got.json();
        assert_eq!(event["data"]["sample"], true, "{event}");
        if event["type"] == "payment.paid" {
            assert_eq!(event["data"]["payment"]["state"], "paid");
        }
    }
}
