//! Requests of the load generator. Invariant: no answer goes unlooked at; one that is not the wanted one ends the measurement.

use std::sync::Arc;
use std::time::Duration;

use reqwest::RequestBuilder;
use serde_json::Value;

/// How long an answer may take before the measurement has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// A client that keeps its connections and follows nothing.
pub fn client() -> reqwest::Client {
    let tls = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        // Everything is plain HTTP on loopback.
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let builder = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
    builder.timeout(PATIENCE).tls_backend_preconfigured(tls).build().unwrap()
}

/// The text of an answer with this status.
pub async fn text_of(request: RequestBuilder, status: u16) -> String {
    let answer = request.send().await.unwrap_or_else(|error| panic!("no answer: {error:?}"));
    let (url, got) = (answer.url().clone(), answer.status().as_u16());
    let text = answer.text().await.unwrap_or_else(|error| panic!("{url}: {error:?}"));
    assert_eq!(got, status, "{url}: {text}");
    text
}

/// The JSON of an answer with this status.
pub async fn json_of(request: RequestBuilder, status: u16) -> Value {
    let text = text_of(request, status).await;
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// A form's body.
pub fn form(request: RequestBuilder, body: String) -> RequestBuilder {
    request.header("content-type", "application/x-www-form-urlencoded").body(body)
}

/// The text of a member.
pub fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_else(|| panic!("no {name} in {value}")).to_owned()
}
