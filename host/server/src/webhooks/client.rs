//! How a receiver is told. Invariant: a connection goes only to an address that is on the public net, or in a network that the
//! operator allowed if he opened those to the shop ([`Reach`]); the address that was checked is the one that is used, and no
//! connection of one reach is used for the other; plain http goes to allowed networks only. No redirect, no proxy, no retry;
//! whatever the receiver does, one try ends in time and keeps little of it.
//!
//! What a shop reads of it tells nothing about the operator's networks: whether a name leads inside or nowhere is the same
//! words, and what a receiver inside answered is its status only.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderMap, Method};
use ipnet::IpNet;
use payhost_engine::egress::addresses::is_public;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use rustls_platform_verifier::BuilderVerifierExt as _;
use url::{Host as UrlHost, Url};

use super::Options;

/// From the first packet of DNS to the last of TLS.
const CONNECT: Duration = Duration::from_secs(5);
/// Idle connections are closed before receivers close them, so that no request races with a close.
const IDLE: Duration = Duration::from_secs(4);
/// Most headers of an answer.
const HEADERS: usize = 64;
/// How much of an answer is kept, in bytes; the rest is not read.
const BODY_KEPT: usize = 2048;

/// What stands for the answer of a receiver inside.
const NOT_SHOWN: &str = "(from a private network; not shown)";

/// The network cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("the client for webhooks cannot be set up: {0}")]
pub struct ClientError(String);

/// What came of one try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The receiver answered.
    Status {
        /// HTTP status.
        status: u16,
        /// `Retry-After`, if it sent one.
        retry_after: Option<String>,
        /// The beginning of its body.
        body: String,
    },
    /// There was no answer, or nothing was sent.
    Failed(String),
}

/// How far a shop's messages may go: the operator's setting of the shop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// To the public net.
    Public,
    /// Also to the networks that the operator allowed.
    Private,
}

/// Sends events.
#[derive(Debug, Clone)]
pub struct Client {
    public: Way,
    private: Way,
    /// Only where networks are allowed.
    plain: reqwest::Client,
}

/// Connections of one reach.
#[derive(Debug, Clone)]
struct Way {
    https: reqwest::Client,
    rule: Rule,
}

/// Where connections may go.
#[derive(Debug, Clone)]
struct Rule {
    allowed: Arc<[IpNet]>,
}

impl Rule {
    fn permits(&self, address: IpAddr, tls: bool) -> bool {
        (tls && is_public(address)) || self.allowed.iter().any(|network| network.contains(&address))
    }

    /// What is wrong with an address, as far as its text tells.
    fn refuse(&self, url: &Url) -> Result<(), String> {
        let tls = match url.scheme() {
            "https" => true,
            "http" if self.allowed.is_empty() => {
                return Err("an address that begins with https://".to_owned());
            }
            "http" => false,
            _ => return Err("an address that begins with https://".to_owned()),
        };
        let literal = match url.host() {
            Some(UrlHost::Ipv4(address)) => IpAddr::V4(address),
            Some(UrlHost::Ipv6(address)) => IpAddr::V6(address),
            Some(UrlHost::Domain(_)) => return Ok(()),
            None => return Err("an address with a host".to_owned()),
        };
        if self.permits(literal, tls) { Ok(()) } else { Err(NotPublic.to_string()) }
    }
}

/// Why nothing was sent. The same for a name that leads inside and for one that leads nowhere: a shop could else find out which
/// names the operator's own network knows.
#[derive(Debug, thiserror::Error)]
#[error("the address is not on the public net")]
struct NotPublic;

/// Passes on the addresses that may be used: resolution and check are one step of the connection.
struct Resolver {
    rule: Rule,
    tls: bool,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (rule, tls) = (self.rule.clone(), self.tls);
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await.map_err(|_| NotPublic)?;
            let passed: Vec<SocketAddr> = found.filter(|address| rule.permits(address.ip(), tls)).collect();
            if passed.is_empty() {
                return Err(NotPublic.into());
            }
            Ok(Box::new(passed.into_iter()) as Addrs)
        })
    }
}

impl Client {
    /// A client by the operator's options.
    pub fn new(options: &Options) -> Result<Self, ClientError> {
        let way = |allowed: Vec<IpNet>| {
            let rule = Rule { allowed: allowed.into() };
            build(options, Resolver { rule: rule.clone(), tls: true }).map(|https| Way { https, rule })
        };
        let private = way(options.allowed_networks.clone())?;
        let plain = build(options, Resolver { rule: private.rule.clone(), tls: false })?;
        Ok(Self { public: way(Vec::new())?, private, plain })
    }

    fn way(&self, reach: Reach) -> &Way {
        match reach {
            Reach::Public => &self.public,
            Reach::Private => &self.private,
        }
    }

    /// Whether messages may go to an address, as far as its text tells; what a name resolves to is checked at each try.
    pub fn check(&self, reach: Reach, url: &Url) -> Result<(), String> {
        self.way(reach).rule.refuse(url)
    }

    /// Posts JSON.
    pub async fn post(&self, reach: Reach, url: &Url, headers: HeaderMap, body: String) -> Answer {
        self.send(reach, Method::POST, url, headers, body.into()).await
    }

    /// Sends any request.
    pub async fn send(
        &self,
        reach: Reach,
        verb: Method,
        url: &Url,
        headers: HeaderMap,
        body: Vec<u8>,
    ) -> Answer {
        let way = self.way(reach);
        // A literal address never comes to the resolver.
        if let Err(words) = way.rule.refuse(url) {
            return Answer::Failed(format!("not sent: {words}"));
        }
        let client = if url.scheme() == "https" { &way.https } else { &self.plain };
        match client.request(verb, url.clone()).headers(headers).body(body).send().await {
            Ok(response) => read(response).await,
            Err(error) => Answer::Failed(in_words(error)),
        }
    }
}

/// The status decides; what the body does after it changes nothing.
async fn read(mut response: reqwest::Response) -> Answer {
    let status = response.status().as_u16();
    let retry_after = response.headers().get(RETRY_AFTER);
    let retry_after = retry_after.and_then(|value| value.to_str().ok()).map(ToOwned::to_owned);
    if !response.remote_addr().is_some_and(|address| is_public(address.ip())) {
        return Answer::Status { status, retry_after, body: NOT_SHOWN.to_owned() };
    }
    let mut kept = Vec::new();
    while kept.len() < BODY_KEPT
        && let Ok(Some(chunk)) = response.chunk().await
    {
        kept.extend_from_slice(&chunk);
    }
    kept.truncate(BODY_KEPT);
    // The database keeps no NUL.
    let body = String::from_utf8_lossy(&kept).replace('\0', "\u{fffd}");
    Answer::Status { status, retry_after, body }
}

fn build(options: &Options, resolver: Resolver) -> Result<reqwest::Client, ClientError> {
    let words = |error: &dyn std::fmt::Display| ClientError(error.to_string());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| words(&error))?
        .with_platform_verifier()
        .map_err(|error| words(&error))?
        .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .http1_only()
        .http1_max_headers(HEADERS)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .referer(false)
        .user_agent(concat!("payhost/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT.min(options.timeout))
        .timeout(options.timeout)
        .pool_idle_timeout(IDLE)
        .dns_resolver(resolver)
        .build()
        .map_err(|error| words(&error))
}

/// An error in words. A failed connection is told with nothing but its kind (and TLS's words, which are about the receiver's
/// certificate); everything with no address: its query may hold a secret.
fn in_words(error: reqwest::Error) -> String {
    let error = error.without_url();
    let causes: Vec<&(dyn std::error::Error + 'static)> =
        std::iter::successors(std::error::Error::source(&error), |error| error.source()).collect();
    if let Some(refused) = causes.iter().find_map(|cause| cause.downcast_ref::<NotPublic>()) {
        return format!("not sent: {refused}");
    }
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let tls = causes.iter().find_map(|cause| tls_error(*cause));
    if let Some(tls) = tls {
        return format!("no connection: {tls}");
    }
    if error.is_connect() {
        return "no connection".to_owned();
    }
    let mut text = error.to_string();
    for words in causes.iter().map(ToString::to_string) {
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
    }
    text
}

/// What TLS says, where an error is its own or wraps it.
fn tls_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a rustls::Error> {
    let wrapped = || error.downcast_ref::<std::io::Error>()?.get_ref()?.downcast_ref::<rustls::Error>();
    error.downcast_ref::<rustls::Error>().or_else(wrapped)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(allowed: &[&str]) -> Client {
        let allowed_networks = allowed.iter().map(|text| text.parse().unwrap()).collect();
        let timeout = Duration::from_secs(2);
        Client::new(&Options { allowed_networks, timeout, ..Options::default() }).unwrap()
    }

    async fn words(client: &Client, url: &str) -> String {
        match client.post(Reach::Private, &url.parse().unwrap(), HeaderMap::new(), "{}".to_owned()).await {
            Answer::Failed(words) => words,
            answer @ Answer::Status { .. } => panic!("{url} was told: {answer:?}"),
        }
    }

    /// What a shop could write to reach the machine, its neighbours or its cloud (payments.md H4). `PORT` is a port on which
    /// somebody listens.
    const INWARD: &[&str] = &[
        "http://127.0.0.1:PORT/",
        "https://127.0.0.1:PORT/",
        "https://127.0.0.2:PORT/",
        "https://127.1:PORT/",
        "https://127.255.255.254:PORT/",
        "https://2130706433:PORT/",
        "https://017700000001:PORT/",
        "https://0x7f000001:PORT/",
        "https://0x7f.0.0.1:PORT/",
        "https://0177.0.0.1:PORT/",
        "https://0:PORT/",
        "https://0.0.0.0:PORT/",
        "https://[::]:PORT/",
        "https://[::1]:PORT/",
        "https://[0:0:0:0:0:0:0:1]:PORT/",
        "https://[::ffff:127.0.0.1]:PORT/",
        "https://[::ffff:7f00:1]:PORT/",
        "https://[::ffff:10.0.0.1]:PORT/",
        "https://[::127.0.0.1]:PORT/",
        "https://[64:ff9b::7f00:1]:PORT/",
        "https://[2002:7f00:1::]:PORT/",
        "https://[fc00::1]:PORT/",
        "https://[fd12:3456:789a::1]:PORT/",
        "https://[fe80::1]:PORT/",
        "https://[ff02::1]:PORT/",
        "https://[2001:db8::1]:PORT/",
        "https://10.0.0.1:PORT/",
        "https://10.255.255.255:PORT/",
        "https://172.16.0.1:PORT/",
        "https://172.31.255.255:PORT/",
        "https://192.168.0.1:PORT/",
        "https://100.64.0.1:PORT/",
        "https://169.254.169.254/latest/meta-data/",
        "http://169.254.169.254/latest/meta-data/",
        "https://169.254.1.1:PORT/",
        "https://198.18.0.1:PORT/",
        "https://192.0.2.1:PORT/",
        "https://224.0.0.1:PORT/",
        "https://255.255.255.255:PORT/",
        "https://①②⑦.⓪.⓪.①:PORT/",
        "https://１２７.０.０.１:PORT/",
        "https://127。0。0。1:PORT/",
        "http://localhost:PORT/",
        "https://localhost:PORT/",
        "https://LOCALHOST:PORT/",
        "https://localhost.:PORT/",
        "http://one.one.one.one:PORT/",
        "file:///etc/passwd",
        "gopher://127.0.0.1:PORT/_GET",
        "ftp://127.0.0.1:PORT/",
        "data:text/plain,x",
        "dict://127.0.0.1:PORT/",
    ];

    #[tokio::test]
    async fn no_address_inside_gets_a_single_connection() {
        let listener = tokio::net::TcpListener::bind("0.0.0.0:0").await.unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        let client = client(&[]);
        for url in INWARD {
            let url = url.replace("PORT", &port);
            let words = words(&client, &url).await;
            assert!(words.starts_with("not sent") || words == "no connection", "{url}: {words}");
        }
        let accepted =
            tokio::select! { biased; _ = listener.accept() => true, () = std::future::ready(()) => false };
        assert!(!accepted, "somebody came");
        assert!(INWARD.len() >= 40);
    }

    #[tokio::test]
    async fn a_name_that_leads_inside_and_one_that_leads_nowhere_are_told_in_the_same_words() {
        let client = client(&[]);
        let inside = words(&client, "https://localhost:9/").await;
        assert_eq!(inside, "not sent: the address is not on the public net");
        for other in ["https://no-such-name.invalid/", "https://10.0.0.1/", "https://[::1]/"] {
            assert_eq!(words(&client, other).await, inside, "{other}");
        }
        client.check(Reach::Public, &"https://localhost:9/".parse().unwrap()).expect("a name may be written");
    }

    #[tokio::test]
    async fn an_allowed_network_is_told_also_without_tls_and_its_neighbours_are_not() {
        let client = client(&["127.0.0.1/32"]);
        let rule = |url: &str| client.check(Reach::Private, &url.parse().unwrap());
        for good in
            ["http://127.0.0.1:9/", "https://127.0.0.1/", "http://localhost/", "https://shop.example/"]
        {
            assert_eq!(rule(good), Ok(()), "{good}");
        }
        for bad in ["http://127.0.0.2/", "http://1.1.1.1/", "https://10.0.0.1/", "http://[::ffff:127.0.0.1]/"]
        {
            assert!(rule(bad).is_err(), "{bad}");
        }
        // Plain http to a public address, by name: nothing is sent though the name may be written.
        let rule = &client.private.rule;
        assert!(
            !rule.permits("1.1.1.1".parse().unwrap(), false)
                && rule.permits("1.1.1.1".parse().unwrap(), true)
        );
    }

    #[tokio::test]
    async fn a_network_is_open_only_to_shops_that_it_was_opened_to_and_its_answers_are_not_shown() {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url: Url =
            format!("http://localhost:{}/", listener.local_addr().unwrap().port()).parse().unwrap();
        let inside = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut some = [0; 1024];
            let _ = stream.read(&mut some).await.unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nSECRET").await.unwrap();
            (stream, listener)
        });
        let client = client(&["127.0.0.0/8", "::1/128"]);
        let send = |reach| client.post(reach, &url, HeaderMap::new(), "{}".to_owned());
        let told = send(Reach::Private).await;
        assert_eq!(told, Answer::Status { status: 200, retry_after: None, body: NOT_SHOWN.to_owned() });
        // The connection is there and kept; it is no way for another shop.
        let _kept = inside.await.unwrap();
        assert!(client.check(Reach::Public, &url).is_err());
        assert!(matches!(send(Reach::Public).await, Answer::Failed(words) if words.starts_with("not sent")));
    }
}
