//! A browser without a window, and a payhost with one payment.

use std::sync::{Arc, Mutex};

use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use example_shop::{Shop, payhost::Payhost, router, store::Store};
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt;

/// A checkout form filled in well.
pub const GOOD_BUYER: &str =
    "name=%ED%99%8D%EA%B8%B8%EB%8F%99&email=gildong%40example.com&phone=010-1234-5678";

/// What signs payhost's webhooks.
pub const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

/// What came back.
pub struct Answer {
    pub status: StatusCode,
    pub location: String,
    pub cookies: Vec<String>,
    pub body: String,
}

/// One session with a shop of its own.
pub struct Browser {
    shop: Router,
    session: String,
    data: Arc<TempDir>,
}

impl Browser {
    pub fn new(payhost: &FakePayhost) -> Self {
        Self::open(payhost, Arc::new(tempfile::tempdir().unwrap()))
    }

    fn open(payhost: &FakePayhost, data: Arc<TempDir>) -> Self {
        let shop = Shop {
            store: Store::open(data.path()).unwrap(),
            payhost: Payhost::new(&payhost.url, "sk_test_shop".to_owned()).unwrap(),
            url: "http://shop.test".to_owned(),
            webhook_secret: Some(SECRET.to_owned()),
        };
        Self { shop: router(shop), session: "0".repeat(32), data }
    }

    /// The same browser after the shop was started anew.
    pub fn restarted(&self, payhost: &FakePayhost) -> Self {
        Self::open(payhost, Arc::clone(&self.data))
    }

    /// Another session with the same shop.
    pub fn stranger(&self) -> Self {
        Self { shop: self.shop.clone(), session: "1".repeat(32), data: Arc::clone(&self.data) }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path), Body::empty()).await
    }

    pub async fn post(&self, path: &str, body: &str) -> Answer {
        self.post_with(path, body, Some(("origin", "http://shop.test"))).await
    }

    pub async fn post_with(&self, path: &str, body: &str, more: Option<(&str, &str)>) -> Answer {
        let mut request =
            Request::post(path).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        if let Some((name, value)) = more {
            request = request.header(name, value);
        }
        self.send(request, Body::from(body.to_owned())).await
    }

    /// Posts JSON as payhost does, without a session.
    pub async fn webhook(&self, headers: &[(&str, String)], body: &str) -> StatusCode {
        let mut request = Request::post("/webhooks").header(header::CONTENT_TYPE, "application/json");
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        self.shop.clone().oneshot(request).await.unwrap().status()
    }

    /// The random value in the checkout form.
    pub async fn checkout_form(&self) -> String {
        let page = self.get("/checkout").await.body;
        page.split_once("name=\"form\" value=\"").unwrap().1.chars().take(32).collect()
    }

    async fn send(&self, request: axum::http::request::Builder, body: Body) -> Answer {
        let cookie = format!("shop_session={}", self.session);
        let request =
            request.header(header::HOST, "shop.test").header(header::COOKIE, cookie).body(body).unwrap();
        let answer = self.shop.clone().oneshot(request).await.unwrap();
        let text = |value: &axum::http::HeaderValue| value.to_str().unwrap().to_owned();
        Answer {
            status: answer.status(),
            location: answer.headers().get(header::LOCATION).map(text).unwrap_or_default(),
            cookies: answer.headers().get_all(header::SET_COOKIE).iter().map(text).collect(),
            body: String::from_utf8(to_bytes(answer.into_body(), usize::MAX).await.unwrap().to_vec())
                .unwrap(),
        }
    }
}

/// An order of one postcard (1,000 won).
pub async fn placed_order(browser: &Browser) -> String {
    browser.post("/cart/add", "product=3").await;
    let form = browser.checkout_form().await;
    let made = browser.post("/orders", &format!("form={form}&{GOOD_BUYER}")).await;
    made.location.strip_prefix("/orders/").unwrap().to_owned()
}

#[derive(Default)]
struct Seen {
    created: Option<(String, Value)>,
    paid: Option<i64>,
    cancelled: bool,
    cancel_status: u16,
    cancel_keys: Vec<String>,
    cancel_bodies: Vec<Value>,
}

impl Seen {
    fn payment(&self) -> Value {
        let order = self.created.as_ref().map(|(_, body)| body.clone()).unwrap_or_default();
        let total = self.paid.map_or_else(|| order["amount"]["total"].clone(), Value::from);
        let paid = self.paid.is_some();
        json!({
            "id": "pay_1", "mode": "test", "resolution": "none", "order_id": order["order_id"],
            "state": match (paid, self.cancelled) { (_, true) => "cancelled", (true, _) => "paid", _ => "created" },
            "amount": { "total": total, "currency": "KRW", "tax_free": null, "vat": null,
                "paid": self.paid.unwrap_or(0), "cancelled": 0, "cancellable": self.paid.unwrap_or(0) },
            "cancellable": paid.then(|| json!({ "amount": total, "partial": true, "until": null, "needs_account": false })),
            "method": { "kind": "card", "provider": null },
            "approval_number": paid.then_some("30012345"),
            "issuer": paid.then(|| json!({ "code": "366", "name": "신한카드" })),
            "masked_number": paid.then_some("4518-42**-****-1234"), "instalments": paid.then_some(0), "receipt_url": null,
            "checkout_url": "http://pay.test/checkout/pay_1?token=ct_1", "client_token": "ct_1",
        })
    }
}

/// A payhost that the test plays.
pub struct FakePayhost {
    pub url: String,
    seen: Arc<Mutex<Seen>>,
    server: tokio::task::JoinHandle<()>,
}

impl FakePayhost {
    pub async fn start() -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let app = Router::new()
            .route("/v1/payments", post(create))
            .route("/v1/payments/pay_1", get(read))
            .route("/v1/payments/pay_1/cancel", post(cancel))
            .with_state(Arc::clone(&seen));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        // One request per connection, so that `stop` leaves no open connection behind.
        let app = app.layer(axum::middleware::map_response(|mut answer: Response| async move {
            answer.headers_mut().insert(header::CONNECTION, "close".parse().unwrap());
            answer
        }));
        let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url, seen, server }
    }

    pub fn stop(&self) {
        self.server.abort();
    }

    /// The buyer pays so much.
    pub fn pay(&self, total: i64) {
        self.seen.lock().unwrap().paid = Some(total);
    }

    pub fn answer_cancel(&self, status: u16) {
        self.seen.lock().unwrap().cancel_status = status;
    }

    /// Key and body of the last `POST /v1/payments`.
    pub fn created(&self) -> (String, Value) {
        self.seen.lock().unwrap().created.clone().unwrap()
    }

    pub fn cancel_keys(&self) -> Vec<String> {
        self.seen.lock().unwrap().cancel_keys.clone()
    }
}

impl FakePayhost {
    /// Bodies of the cancels.
    pub fn cancel_bodies(&self) -> Vec<Value> {
        self.seen.lock().unwrap().cancel_bodies.clone()
    }
}

type Shared = State<Arc<Mutex<Seen>>>;

fn text(headers: &HeaderMap, name: &str) -> String {
    headers[name].to_str().unwrap().to_owned()
}

async fn create(State(seen): Shared, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    let mut seen = seen.lock().unwrap();
    seen.created = Some((text(&headers, "authorization"), body));
    (StatusCode::CREATED, Json(seen.payment())).into_response()
}

async fn read(State(seen): Shared) -> Json<Value> {
    Json(seen.lock().unwrap().payment())
}

async fn cancel(State(seen): Shared, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    let mut seen = seen.lock().unwrap();
    seen.cancel_bodies.push(body);
    seen.cancel_keys.push(text(&headers, "idempotency-key"));
    match seen.cancel_status {
        200 => {
            seen.cancelled = true;
            Json(seen.payment()).into_response()
        }
        402 => {
            let problem = json!({ "code": "gateway_refused", "detail": "", "buyer_message": "정산 잔액이 부족합니다." });
            (StatusCode::PAYMENT_REQUIRED, Json(problem)).into_response()
        }
        _ => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
