//! Requests of tests. Invariant: no redirect is followed and no proxy is used; what a test sees is what the server sent.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::Value;

/// A client for servers on this machine.
pub fn client() -> Client {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let builder = Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
    builder.timeout(Duration::from_secs(90)).tls_backend_preconfigured(tls).build().unwrap()
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub text: String,
}

impl Answer {
    /// Sends a request.
    pub async fn of(request: RequestBuilder) -> Result<Self, reqwest::Error> {
        let answer = request.send().await?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Ok(Self { status, headers, text: answer.text().await? })
    }

    /// A header, or nothing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text)
            .unwrap_or_else(|error| panic!("{error}: {} {}", self.status, self.text))
    }

    /// The body as JSON, after a look at the status.
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        if self.text.is_empty() { Value::Null } else { self.json() }
    }

    /// A problem: its status, its form, and its code.
    pub fn problem(&self, status: u16, code: &str) -> Value {
        let body = self.expect(status);
        assert_eq!(self.header("content-type"), "application/problem+json", "{body}");
        assert_eq!(body["code"], code, "{body}");
        assert_eq!(body["status"], status, "{body}");
        assert_eq!(body["request_id"], self.header("x-request-id"), "{body}");
        assert!(!body["detail"].as_str().unwrap().is_empty(), "{body}");
        body
    }
}

/// A request that is being made.
pub struct Call {
    client: Client,
    verb: Method,
    url: String,
    headers: HeaderMap,
    body: Option<Vec<u8>>,
}

impl Call {
    /// Begins one.
    pub fn new(client: &Client, verb: &str, url: String) -> Self {
        let verb = Method::from_bytes(verb.as_bytes()).unwrap();
        Self { client: client.clone(), verb, url, headers: HeaderMap::new(), body: None }
    }

    /// With a header.
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(name, value.parse().unwrap());
        self
    }

    /// With a key.
    pub fn key(self, key: &str) -> Self {
        self.header("authorization", &format!("Bearer {key}"))
    }

    /// For a shop's test mode, as the operator names it.
    pub fn acting(self, shop: &str) -> Self {
        self.header("payhost-shop", shop).header("payhost-mode", "test")
    }

    /// With JSON.
    pub fn json(self, body: &Value) -> Self {
        self.body("application/json", body.to_string())
    }

    /// With a body.
    pub fn body(mut self, kind: &str, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self.header("content-type", kind)
    }

    /// With a form.
    pub fn form(self, fields: &[(String, String)]) -> Self {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.body("application/x-www-form-urlencoded", body)
    }

    /// Sends it; it must be answered.
    pub async fn send(self) -> Answer {
        let what = format!("{} {}", self.verb, self.url);
        self.try_send().await.unwrap_or_else(|error| panic!("{what}: {error:?}"))
    }

    /// Sends it to a server that may go away.
    pub async fn try_send(self) -> Result<Answer, reqwest::Error> {
        let request = self.client.request(self.verb, self.url).headers(self.headers);
        Answer::of(match self.body {
            Some(body) => request.body(body),
            None => request,
        })
        .await
    }
}
