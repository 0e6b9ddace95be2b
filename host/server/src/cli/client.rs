//! How a command reaches the API. Invariant: there is one way in, the router; only the road to it differs.

use axum::body::Body;
use axum::http::{Request, header};
use bytes::Bytes;
use payhost_core::id::ShopId;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tower::ServiceExt;

use super::Arguments;
use crate::host::Host;

/// A request of a command.
pub struct ApiRequest {
    /// `GET`, `POST`, …
    pub verb: &'static str,
    /// Path with query, from `/v1`.
    pub path: String,
    /// Body.
    pub body: ApiBody,
    /// The shop and mode on whose behalf the operator asks.
    pub shop: Option<(ShopId, String)>,
    /// For requests that must have one.
    pub idempotency_key: Option<String>,
}

/// Its body.
pub enum ApiBody {
    /// None.
    Empty,
    /// JSON.
    Json(Value),
    /// A component.
    Component(Vec<u8>),
}

impl ApiRequest {
    /// A request without a body.
    pub fn get(path: impl Into<String>) -> Self {
        Self { verb: "GET", path: path.into(), body: ApiBody::Empty, shop: None, idempotency_key: None }
    }

    /// A request with JSON.
    pub fn json(verb: &'static str, path: impl Into<String>, body: Value) -> Self {
        Self { verb, path: path.into(), body: ApiBody::Json(body), shop: None, idempotency_key: None }
    }

    /// On behalf of a shop.
    #[must_use]
    pub fn for_shop(mut self, shop: ShopId, mode: &str) -> Self {
        self.shop = Some((shop, mode.to_owned()));
        self
    }

    fn content(&self) -> (Option<&'static str>, Bytes) {
        match &self.body {
            ApiBody::Empty => (None, Bytes::new()),
            ApiBody::Json(value) => (Some("application/json"), Bytes::from(value.to_string())),
            ApiBody::Component(bytes) => (Some("application/wasm"), Bytes::from(bytes.clone())),
        }
    }
}

/// What a running server leaves in its data folder, readable by its user only.
#[derive(Serialize, Deserialize)]
pub struct ServerFile {
    /// Base address.
    pub url: String,
    /// An operator's key that ends with the process.
    pub key: String,
}

/// Name of that file.
pub const SERVER_FILE: &str = "server.json";

/// Sends a request and gives the answer, or the problem in words.
pub async fn send(arguments: &Arguments, request: ApiRequest) -> Result<Value, String> {
    match running_server(arguments) {
        Some(server) => match over_http(&server, &request).await {
            Err(error) if error.is_connect() => here(arguments, request).await,
            Err(error) => Err(error.to_string()),
            Ok((status, body)) => read(status, &body),
        },
        None => here(arguments, request).await,
    }
}

/// The same, to a running server only: for a command that asks again and again.
pub async fn send_to_server(arguments: &Arguments, request: ApiRequest) -> Result<Value, String> {
    let server =
        running_server(arguments).ok_or("no server runs on this data folder; start `payhost serve`")?;
    let (status, body) = over_http(&server, &request).await.map_err(|error| error.to_string())?;
    read(status, &body)
}

fn running_server(arguments: &Arguments) -> Option<ServerFile> {
    let text = std::fs::read_to_string(arguments.data.join(SERVER_FILE)).ok()?;
    serde_json::from_str(&text).ok()
}

async fn over_http(server: &ServerFile, request: &ApiRequest) -> Result<(u16, Bytes), reqwest::Error> {
    let verb = reqwest::Method::from_bytes(request.verb.as_bytes()).unwrap_or(reqwest::Method::GET);
    let client = crate::http::client::loopback()?;
    let (kind, body) = request.content();
    let mut call =
        client.request(verb, format!("{}{}", server.url, request.path)).bearer_auth(&server.key).body(body);
    if let Some(kind) = kind {
        call = call.header("content-type", kind);
    }
    if let Some((shop, mode)) = &request.shop {
        call = call.header("payhost-shop", shop.to_string()).header("payhost-mode", mode);
    }
    if let Some(key) = &request.idempotency_key {
        call = call.header("idempotency-key", key);
    }
    let answer = call.send().await?;
    Ok((answer.status().as_u16(), answer.bytes().await?))
}

/// Opens the host for this one command.
async fn here(arguments: &Arguments, request: ApiRequest) -> Result<Value, String> {
    let host = Host::builder(&arguments.data)
        .master_key_file(arguments.master_key_file.clone())
        .database(arguments.database.clone())
        .open()
        .await
        .map_err(|error| error.to_string())?;
    let (kind, body) = request.content();
    let mut call = Request::builder()
        .method(request.verb)
        .uri(&request.path)
        .header(header::AUTHORIZATION, format!("Bearer {}", host.run_key()));
    if let Some(kind) = kind {
        call = call.header(header::CONTENT_TYPE, kind);
    }
    if let Some((shop, mode)) = &request.shop {
        call = call.header("payhost-shop", shop.to_string()).header("payhost-mode", mode);
    }
    if let Some(key) = &request.idempotency_key {
        call = call.header("idempotency-key", key);
    }
    let call = call.body(Body::from(body)).map_err(|error| error.to_string())?;
    let answer = crate::http::router(host.clone()).oneshot(call).await.map_err(|error| error.to_string())?;
    let status = answer.status().as_u16();
    let body =
        axum::body::to_bytes(answer.into_body(), usize::MAX).await.map_err(|error| error.to_string())?;
    host.close().await;
    read(status, &body)
}

fn read(status: u16, body: &[u8]) -> Result<Value, String> {
    let value: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    if (200..300).contains(&status) {
        return Ok(value);
    }
    let of = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
    let field = if of("field").is_empty() { String::new() } else { format!("{}: ", of("field")) };
    Err(format!("{field}{} ({status} {})", of("detail"), of("code")))
}
