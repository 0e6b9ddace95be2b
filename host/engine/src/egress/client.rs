//! One request, one answer: no redirect, no retry, no proxy, no cookie, no decompression, a cap on everything; and every
//! failure says whether anything may have left this machine.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use payhost_core::kill::{self, Point};
use reqwest::header::{HOST, HeaderMap, HeaderValue};
use reqwest::{Method, Url};
use rustls::pki_types::{CertificateDer, pem::PemObject};

use super::addresses::{NotPublic, PublicResolver};
use super::{EgressPolicy, Mapping, Origin};

/// Largest body of an answer.
const BODY_BYTES: usize = 1 << 20;
/// Most headers of an answer.
const HEADERS: usize = 64;
/// Largest sum of names and values of an answer's headers.
const HEADER_BYTES: usize = 32 << 10;
/// Idle connections are closed before gateways close them, so that no write races with a close.
const IDLE: Duration = Duration::from_secs(5);
/// Clients for mappings that are kept; test channels only, so a simple bound will do.
const MAPPED_CLIENTS: usize = 64;

/// How long a request may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpTimeouts {
    /// From the first packet of DNS to the last of TLS. 5 s.
    pub connect: Duration,
    /// From the start to the last byte of the answer, so that a dripping one ends as well. 15 s.
    pub total: Duration,
}

impl Default for HttpTimeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), total: Duration::from_secs(15) }
    }
}

/// A request that was checked already.
pub struct Outgoing {
    /// Verb.
    pub method: Method,
    /// Whole URL, `https` with a host name.
    pub url: Url,
    /// Headers; `Host` is set by the client.
    pub headers: HeaderMap,
    /// Body; empty for none.
    pub body: Bytes,
}

/// The body may hold secrets, and headers that do are marked as sensitive.
impl std::fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (origin, path) = (self.url.origin().ascii_serialization(), self.url.path());
        write!(f, "{} {origin}{path}, {} bytes", self.method, self.body.len())
    }
}

/// A whole answer, whatever its status.
#[derive(Debug)]
pub struct Received {
    /// HTTP status.
    pub status: u16,
    /// Names in lower case; values as text, bytes beyond ASCII as Latin-1.
    pub headers: Vec<(String, String)>,
    /// At most 1 MiB.
    pub body: Vec<u8>,
}

/// Why there is no answer, by what may have happened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// Not allowed; nothing was sent.
    #[error("{0}")]
    Refused(String),
    /// No connection came about; nothing was sent.
    #[error("{0}")]
    NotSent(String),
    /// Something may have been sent.
    #[error("{0}")]
    Unknown(String),
}

/// The network cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("the TLS client cannot be set up: {0}")]
pub struct ClientError(String);

/// Sends requests; keeps connections alive for a few seconds. Cheap to share behind an `Arc`.
#[derive(Debug)]
pub struct Client {
    public: reqwest::Client,
    mapped: Mutex<HashMap<Mapping, reqwest::Client>>,
    timeouts: HttpTimeouts,
}

impl Client {
    /// A client whose public side trusts the system's authorities.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(timeouts: HttpTimeouts) -> Result<Self, ClientError> {
        Self::resolving(timeouts, PublicResolver::system())
    }

    fn resolving(timeouts: HttpTimeouts, resolver: PublicResolver) -> Result<Self, ClientError> {
        let public = build(public_tls()?, timeouts, |builder| builder.dns_resolver(resolver))?;
        Ok(Self { public, mapped: Mutex::new(HashMap::new()), timeouts })
    }

    /// How long its requests may take.
    pub fn timeouts(&self) -> HttpTimeouts {
        self.timeouts
    }

    /// Sends one request to the public net, or to where the policy's map says. Grants are the caller's to check.
    ///
    /// # Errors
    /// See [`SendError`].
    pub async fn send(&self, policy: &EgressPolicy, mut outgoing: Outgoing) -> Result<Received, SendError> {
        let refused = |error: &dyn std::fmt::Display| SendError::Refused(error.to_string());
        let origin = Origin::of(&outgoing.url).map_err(|error| refused(&error))?;
        let host = HeaderValue::from_str(&origin.authority()).map_err(|error| refused(&error))?;
        outgoing.headers.insert(HOST, host);
        if kill::armed(Point::AfterRequest) {
            // A watched body does not know its length.
            outgoing.headers.insert(reqwest::header::CONTENT_LENGTH, HeaderValue::from(outgoing.body.len()));
        }
        let client = match policy.mapping(&origin) {
            Some(mapping) => {
                // The connector takes the mapped port only where the URL names none; `Host` keeps the real one.
                let _ = outgoing.url.set_port(None);
                self.mapped(mapping).map_err(|error| refused(&error))?
            }
            None => self.public.clone(),
        };
        let request = client
            .request(outgoing.method, outgoing.url)
            .headers(outgoing.headers)
            .body(watched(outgoing.body))
            .build()
            .map_err(|error| refused(&error.without_url()))?;
        kill::followed(Point::BeforeConnect);
        let response = client.execute(request).await.map_err(classify)?;
        kill::followed(Point::GatewayAnswers);
        receive(response).await
    }

    /// The client for one line of the gateway map.
    fn mapped(&self, mapping: &Mapping) -> Result<reqwest::Client, ClientError> {
        let mut clients = self.mapped.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(mapping) {
            return Ok(client.clone());
        }
        let tls = match &mapping.ca_pem {
            Some(pem) => private_tls(pem)?,
            None => public_tls()?,
        };
        let client =
            build(tls, self.timeouts, |builder| builder.resolve(mapping.origin.host(), mapping.connect))?;
        if clients.len() >= MAPPED_CLIENTS {
            clients.clear();
        }
        clients.insert(mapping.clone(), client.clone());
        Ok(client)
    }
}

fn build(
    tls: rustls::ClientConfig,
    timeouts: HttpTimeouts,
    route: impl FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
) -> Result<reqwest::Client, ClientError> {
    let builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .https_only(true)
        .http1_only()
        .http1_max_headers(HEADERS)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .referer(false)
        .connect_timeout(timeouts.connect)
        .timeout(timeouts.total)
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(32);
    #[cfg(feature = "chaos")]
    let builder = builder.connector_layer(tower::util::MapResponseLayer::new(connected));
    route(builder).build().map_err(|error| ClientError(chain(&error)))
}

/// Outside a chaos build the body as it is. Inside one that is to die after the request, a body that tells when it is
/// taken.
fn watched(body: Bytes) -> reqwest::Body {
    if !kill::armed(Point::AfterRequest) {
        return body.into();
    }
    reqwest::Body::wrap_stream(futures_util::stream::once(async {
        kill::followed(Point::AfterRequest);
        Ok::<_, std::io::Error>(body)
    }))
}

#[cfg(feature = "chaos")]
fn connected<T>(connection: T) -> T {
    kill::followed(Point::AfterConnect);
    connection
}

fn tls_builder() -> Result<rustls::ConfigBuilder<rustls::ClientConfig, rustls::WantsVerifier>, ClientError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| ClientError(error.to_string()))
}

fn public_tls() -> Result<rustls::ClientConfig, ClientError> {
    use rustls_platform_verifier::BuilderVerifierExt;
    let builder = tls_builder()?.with_platform_verifier().map_err(|error| ClientError(error.to_string()))?;
    Ok(builder.with_no_client_auth())
}

fn private_tls(pem: &str) -> Result<rustls::ClientConfig, ClientError> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate =
            certificate.map_err(|error| ClientError(format!("the mapped CA is not PEM: {error}")))?;
        roots
            .add(certificate)
            .map_err(|error| ClientError(format!("the mapped CA is not usable: {error}")))?;
    }
    if roots.is_empty() {
        return Err(ClientError("the mapped CA holds no certificate".to_owned()));
    }
    Ok(tls_builder()?.with_root_certificates(roots).with_no_client_auth())
}

/// Sorts a failure by what may have left this machine: before the connection stood, nothing had.
fn classify(error: reqwest::Error) -> SendError {
    let error = error.without_url();
    if let Some(refused) = find::<NotPublic>(&error) {
        return SendError::Refused(refused.to_string());
    }
    if error.is_connect() { SendError::NotSent(chain(&error)) } else { SendError::Unknown(chain(&error)) }
}

fn find<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut current = Some(error);
    while let Some(error) = current {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        current = error.source();
    }
    None
}

/// An error with its causes, each said once.
fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut current = error.source();
    while let Some(error) = current {
        let cause = error.to_string();
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
        current = error.source();
    }
    text
}

/// Reads the answer up to the caps. Whatever is wrong with it, the request had been sent.
async fn receive(mut response: reqwest::Response) -> Result<Received, SendError> {
    let status = response.status().as_u16();
    let mut headers = Vec::with_capacity(response.headers().len());
    let mut header_bytes = 0_usize;
    for (name, value) in response.headers() {
        header_bytes = header_bytes.saturating_add(name.as_str().len()).saturating_add(value.len());
        headers.push((
            name.as_str().to_owned(),
            value.as_bytes().iter().map(|byte| char::from(*byte)).collect(),
        ));
    }
    if header_bytes > HEADER_BYTES {
        let text = format!("status {status}, but its headers are larger than {} KiB", HEADER_BYTES >> 10);
        return Err(SendError::Unknown(text));
    }
    let mut body = Vec::new();
    while let Some(chunk) =
        response.chunk().await.map_err(|error| SendError::Unknown(chain(&error.without_url())))?
    {
        if body.len().saturating_add(chunk.len()) > BODY_BYTES {
            let text = format!("status {status}, but its body is larger than {} MiB", BODY_BYTES >> 20);
            return Err(SendError::Unknown(text));
        }
        body.extend_from_slice(&chunk);
        kill::followed(Point::MidResponse);
    }
    kill::followed(Point::AfterResponse);
    Ok(Received { status, headers, body })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{IpAddr, Ipv4Addr};
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    /// A name server that says "public" first and "here" from then on.
    #[tokio::test]
    async fn a_name_that_moves_to_a_private_address_gets_not_one_connection() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = asked.clone();
        let resolver = PublicResolver::by(move |_| {
            let first = counted.fetch_add(1, SeqCst) == 0;
            let public = IpAddr::V4(Ipv4Addr::new(8, 8, 8, 8));
            vec![if first { public } else { IpAddr::V4(Ipv4Addr::LOCALHOST) }]
        });
        // The check of whoever looks before connecting: it sees the public address.
        assert_eq!(resolver.addresses("rebind.test").await.unwrap().len(), 1);
        let timeouts = HttpTimeouts { connect: Duration::from_secs(1), total: Duration::from_secs(1) };
        let client = Client::resolving(timeouts, resolver).unwrap();
        for run in 0..20 {
            let outgoing = Outgoing {
                method: Method::POST,
                url: format!("https://rebind.test:{port}/").parse().unwrap(),
                headers: HeaderMap::new(),
                body: Bytes::from_static(b"loot"),
            };
            let error = client.send(&EgressPolicy::default(), outgoing).await.unwrap_err();
            let refused = matches!(&error, SendError::Refused(text) if text.contains("127.0.0.1"));
            assert!(refused, "run {run}: {error:?}");
        }
        assert_eq!(asked.load(SeqCst), 21, "every connection resolves anew");
        let accepted =
            tokio::select! { biased; _ = listener.accept() => true, () = std::future::ready(()) => false };
        assert!(!accepted, "nobody came");
    }
}
