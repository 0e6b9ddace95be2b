//! The client of the command line. Invariant: it only talks to a server of ours on this machine, and takes no proxy.

use std::time::Duration;

/// A client for the running server.
pub fn loopback() -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(120))
        .tls_backend_preconfigured(plain())
        .build()
}

/// TLS that trusts nobody: the server of the data folder listens on plain HTTP.
fn plain() -> rustls::ClientConfig {
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider);
    match builder.with_safe_default_protocol_versions() {
        Ok(versions) => versions.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth(),
        // The provider supports the default versions; rustls has no infallible constructor.
        Err(error) => unreachable!("{error}"),
    }
}
