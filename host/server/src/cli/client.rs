//! How a command reaches the API. Invariant: there is one way in, the router; only the road to it differs: a host that `--url`
//! names, the running server of the data folder, or a host opened for this one command.

use axum::body::Body;
use axum::http::{Request, header};
use bytes::Bytes;
use payhost_core::id::ShopId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::Arguments;
use super::commands::Paging;
use crate::host::Host;
use crate::http::client::{for_commands, may_carry_a_key};

/// A request of a command.
pub struct ApiRequest {
    /// `GET`, `POST`, …
    pub verb: &'static str,
    /// Path with query, from `/v1`.
    pub path: String,
    /// Body.
    pub body: ApiBody,
    /// The shop and mode on whose behalf the operator asks. (A shop's own key needs neither.)
    pub shop: Option<(ShopId, String)>,
    /// For requests that must have one.
    pub idempotency_key: Option<String>,
    /// Whether all pages are wanted, not the first.
    pub all: bool,
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
        let (body, path) = (ApiBody::Empty, path.into());
        Self { verb: "GET", path, body, shop: None, idempotency_key: None, all: false }
    }

    /// A request with JSON.
    pub fn json(verb: &'static str, path: impl Into<String>, body: Value) -> Self {
        Self { verb, body: ApiBody::Json(body), ..Self::get(path) }
    }

    /// On behalf of a shop, where one is named.
    #[must_use]
    pub fn for_shop(mut self, shop: Option<ShopId>, mode: &str) -> Self {
        self.shop = shop.map(|shop| (shop, mode.to_owned()));
        self
    }

    /// A list, of which perhaps all is wanted.
    #[must_use]
    pub fn paged(mut self, page: &Paging) -> Self {
        self.all = page.all;
        self
    }

    /// The page behind a cursor of this list.
    fn behind(&self, after: &str) -> Self {
        let (path, query) = self.path.split_once('?').unwrap_or((&self.path, ""));
        let mut pairs = url::form_urlencoded::Serializer::new(String::new());
        let kept = url::form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name != "after");
        pairs.extend_pairs(kept).append_pair("after", after);
        Self {
            path: format!("{path}?{}", pairs.finish()),
            shop: self.shop.clone(),
            verb: self.verb,
            ..Self::get(String::new())
        }
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

/// Why a command came to nothing.
#[derive(Debug, Clone)]
pub struct Failure {
    /// In words.
    pub words: String,
    /// The API's problem, where it answered with one.
    pub problem: Option<Value>,
}

impl From<String> for Failure {
    fn from(words: String) -> Self {
        Self { words, problem: None }
    }
}

impl From<&str> for Failure {
    fn from(words: &str) -> Self {
        words.to_owned().into()
    }
}

/// Sends a request and gives the answer, all pages of it where that is wanted.
pub async fn send_all(arguments: &Arguments, request: ApiRequest) -> Result<Value, Failure> {
    if !request.all {
        return send(arguments, request).await;
    }
    let first = request.behind("");
    let mut page = send(arguments, request).await?;
    let mut data = Vec::new();
    loop {
        data.extend(
            page.get_mut("data").and_then(Value::as_array_mut).map(std::mem::take).unwrap_or_default(),
        );
        let Some(next) = page.get("next").and_then(Value::as_str).map(ToOwned::to_owned) else {
            return Ok(json!({"data": data, "next": null}));
        };
        page = send(arguments, first.behind(&next)).await?;
    }
}

/// Sends a request and gives the answer, or the problem.
pub async fn send(arguments: &Arguments, request: ApiRequest) -> Result<Value, Failure> {
    if let Some(host) = named_host(arguments)? {
        return ask(&host, &request).await;
    }
    match running_server(arguments) {
        Some(server) => match over_http(&server, &request).await {
            // Its process ended without taking its file away.
            Err(Unanswered::NoConnection(_)) => here(arguments, request).await,
            Err(error @ Unanswered::Other(_)) => Err(error.to_string().into()),
            Ok((status, body)) => read(status, &body),
        },
        None => here(arguments, request).await,
    }
}

/// The same, to a running server only: for a command that asks again and again.
pub async fn send_to_server(arguments: &Arguments, request: ApiRequest) -> Result<Value, Failure> {
    let server = match named_host(arguments)? {
        Some(host) => host,
        None => running_server(arguments).ok_or(
            "no server runs on this data folder; start `payhost serve`, or name a host with --url and --key",
        )?,
    };
    ask(&server, &request).await
}

async fn ask(server: &ServerFile, request: &ApiRequest) -> Result<Value, Failure> {
    let (status, body) =
        over_http(server, request).await.map_err(|error| format!("{}: {error}", server.url))?;
    read(status, &body)
}

/// The host that `--url` and `--key` name.
fn named_host(arguments: &Arguments) -> Result<Option<ServerFile>, Failure> {
    match (&arguments.url, &arguments.key) {
        (None, _) => Ok(None),
        (Some(_), None) => Err("--url needs a key: --key or PAYHOST_KEY".into()),
        (Some(url), Some(_)) if !may_carry_a_key(url) => {
            Err("--url: https://, or http:// to this machine: a key does not travel in the clear".into())
        }
        (Some(url), Some(key)) => {
            Ok(Some(ServerFile { url: url.as_str().trim_end_matches('/').to_owned(), key: key.clone() }))
        }
    }
}

fn running_server(arguments: &Arguments) -> Option<ServerFile> {
    let text = std::fs::read_to_string(arguments.data.join(SERVER_FILE)).ok()?;
    serde_json::from_str(&text).ok()
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
enum Unanswered {
    #[error("no connection: {0}")]
    NoConnection(String),
    #[error("{0}")]
    Other(String),
}

impl From<reqwest::Error> for Unanswered {
    fn from(error: reqwest::Error) -> Self {
        // The innermost cause is what a person can do something about.
        let mut cause: &dyn std::error::Error = &error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        let words = cause.to_string();
        if error.is_connect() { Self::NoConnection(words) } else { Self::Other(words) }
    }
}

async fn over_http(server: &ServerFile, request: &ApiRequest) -> Result<(u16, Bytes), Unanswered> {
    let verb = reqwest::Method::from_bytes(request.verb.as_bytes()).unwrap_or(reqwest::Method::GET);
    let client = for_commands().map_err(Unanswered::Other)?;
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
async fn here(arguments: &Arguments, request: ApiRequest) -> Result<Value, Failure> {
    let host = Host::builder(&arguments.data)
        .existing()
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

fn read(status: u16, body: &[u8]) -> Result<Value, Failure> {
    let value: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    if (200..300).contains(&status) {
        return Ok(value);
    }
    let of = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
    if of("code").is_empty() {
        return Err(format!("this is no payhost: it answered {status}").into());
    }
    let field = if of("field").is_empty() { String::new() } else { format!("{}: ", of("field")) };
    let words = format!("{field}{} ({status} {})", of("detail"), of("code"));
    Err(Failure { words, problem: Some(value) })
}
