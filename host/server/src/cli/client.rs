//! How a command reaches the API. Invariant: there is one way in, the router; only the road to it differs: a host that `--url`
//! names, the running server of the data folder, or a host opened for this one command.

use axum::body::Body;
use axum::http::{Request, header};
use bytes::Bytes;
use payhost_core::id::ShopId;
use payhost_core::text::{is_hidden, printable};
use serde_json::{Value, json};
use tower::ServiceExt;
use url::Url;

use super::Arguments;
use super::commands::Paging;
use super::server_file::ServerFile;
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

/// Why a command came to nothing.
#[derive(Debug, Clone)]
pub struct Failure {
    /// In words.
    pub words: String,
    /// The API's problem, where it answered with one.
    pub problem: Option<Value>,
    /// Whether nothing went wrong but that nobody reads on.
    reader_left: bool,
}

impl Failure {
    /// Nobody reads what is printed any more.
    pub fn reader_left() -> Self {
        Self { reader_left: true, ..Self::from("nobody reads the answer") }
    }

    /// Whether that is all.
    pub fn is_reader_left(&self) -> bool {
        self.reader_left
    }
}

impl From<String> for Failure {
    fn from(words: String) -> Self {
        Self { words, problem: None, reader_left: false }
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
    match ServerFile::of_running(&arguments.data) {
        Some(server) => match over_http(&server, &request).await {
            // It ended between the two looks.
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
        None => ServerFile::of_running(&arguments.data).ok_or(
            "no server runs on this data folder; start `payhost serve`, or name a host with --url and --key",
        )?,
    };
    ask(&server, &request).await
}

async fn ask(server: &ServerFile, request: &ApiRequest) -> Result<Value, Failure> {
    let (status, body) = over_http(server, request)
        .await
        .map_err(|error| format!("{}: {error}", server.url.as_str().trim_end_matches('/')))?;
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
        (Some(url), Some(_)) if !is_base(url) => {
            Err("--url: scheme, host and port (and a path), without user, `?` and `#`".into())
        }
        (Some(url), Some(key)) => Ok(Some(ServerFile::new(url.clone(), key))),
    }
}

/// Whether an address is one that paths go behind.
fn is_base(url: &Url) -> bool {
    let bare = url.query().is_none() && url.fragment().is_none();
    bare && url.username().is_empty() && url.password().is_none()
}

/// What is said about a path that is none.
pub const NO_PATH: &str = "the path begins with one `/`, as /v1/events?limit=5";

/// Whether a text is a path of the API: behind a host's address it is nothing else, such as the end of another host's name.
pub fn is_path(text: &str) -> bool {
    text.starts_with('/')
        && !text.starts_with("//")
        && !text.contains(['\\', '#'])
        && !text.contains(is_hidden)
}

/// Where a request of a server goes. A key goes to the host that it is for and to no other, whatever the path says.
fn address(base: &Url, path: &str) -> Result<Url, String> {
    let text = format!("{}{path}", base.as_str().trim_end_matches('/'));
    let url = is_path(path).then(|| Url::parse(&text).ok()).flatten();
    let same = |url: &Url| {
        url.origin() == base.origin() && url.username() == base.username() && url.password().is_none()
    };
    url.filter(same).ok_or_else(|| NO_PATH.to_owned())
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
    let url = address(&server.url, &request.path).map_err(Unanswered::Other)?;
    let mut call = client.request(verb, url).bearer_auth(&server.key).body(body);
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
    let shown = |name: &str| printable(of(name), &[]);
    let field = if of("field").is_empty() { String::new() } else { format!("{}: ", shown("field")) };
    let words = format!("{field}{} ({status} {})", shown("detail"), shown("code"));
    Err(Failure { problem: Some(value), ..Failure::from(words) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_goes_to_no_other_host_than_the_one_that_it_is_for() {
        let bases =
            ["https://pay.example", "http://localhost", "http://127.0.0.1:57", "https://pay.example/pay/"];
        for base in bases.map(|text| text.parse::<Url>().unwrap()) {
            for path in [
                ".evil.example/x",
                "98/v1/x",
                "@127.0.0.1:5798/v1/x",
                ":4711/x",
                "v1/events",
                "",
                "?x",
                "#x",
                "//evil.example/x",
                "/\\evil.example/x",
                "\\evil.example",
                "http://evil.example/x",
                "/v1\n/x",
                "\t/v1",
                " /v1",
                "/v1/x#y",
            ] {
                assert!(address(&base, path).is_err(), "{base} {path:?}");
            }
            for path in [
                "/",
                "/v1/events?limit=5&after=a%2F",
                "/v1/payments?order_id=//x",
                "/@evil.example/x",
                "/v1/../x",
            ] {
                let url = address(&base, path).unwrap();
                assert_eq!(url.origin(), base.origin(), "{base} {path}");
            }
        }
        let behind = address(&"https://pay.example/pay/".parse().unwrap(), "/v1/x?y").unwrap();
        assert_eq!(behind.as_str(), "https://pay.example/pay/v1/x?y");
    }

    #[test]
    fn an_address_with_more_than_a_place_is_no_host() {
        for (text, good) in [
            ("https://pay.example", true),
            ("https://pay.example:8443/pay", true),
            ("https://pay.example?x", false),
            ("https://pay.example/#x", false),
            ("https://user@pay.example", false),
            ("https://:word@pay.example", false),
        ] {
            assert_eq!(is_base(&text.parse().unwrap()), good, "{text}");
        }
    }
}
