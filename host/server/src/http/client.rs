//! The client of the command line. Invariant: a key travels in the clear only on this machine; no proxy from the environment is
//! taken, and redirects are not followed.

use std::sync::Arc;
use std::time::Duration;

use rustls_platform_verifier::BuilderVerifierExt as _;
use url::{Host, Url};

/// Longest wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(120);

/// A client for a host of payhost: over plain HTTP on this machine, over TLS (certificates as the system trusts them) elsewhere.
pub fn for_commands() -> Result<reqwest::Client, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_platform_verifier()
        .map_err(|error| error.to_string())?
        .with_no_client_auth();
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(TIMEOUT)
        .tls_backend_preconfigured(tls)
        .build()
        .map_err(|error| error.to_string())
}

/// Whether a key may be sent to an address: `https` anywhere, `http` on this machine only.
pub fn may_carry_a_key(url: &Url) -> bool {
    let local = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    url.scheme() == "https" || url.scheme() == "http" && local
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_sent_in_the_clear_on_this_machine_only() {
        for (url, may) in [
            ("https://pay.example", true),
            ("http://127.0.0.1:8080", true),
            ("http://[::1]:8080", true),
            ("http://localhost:8080", true),
            ("http://pay.example", false),
            ("http://10.0.0.1", false),
            ("http://localhost.evil.example", false),
            ("ftp://127.0.0.1", false),
        ] {
            assert_eq!(may_carry_a_key(&url.parse().unwrap()), may, "{url}");
        }
    }
}
