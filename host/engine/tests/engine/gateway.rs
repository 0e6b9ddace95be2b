//! A gateway with a real TLS server and its own authority, which keeps every byte that it was sent.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use payhost_engine::{EgressPolicy, Mapping};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::common::SIGN_KEY;

pub const ORIGIN: &str = "https://gateway.test";

/// A running gateway; ends with the test's runtime.
pub struct Gateway {
    pub address: SocketAddr,
    pub ca_pem: String,
    /// Requests as they came, head and body.
    requests: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicUsize>,
}

impl Gateway {
    pub async fn start() -> Self {
        Self::named("gateway.test").await
    }

    /// With a certificate for this name.
    pub async fn named(name: &str) -> Self {
        let (ca_pem, config) = certificates(name);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let seen = requests.clone();
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = connections.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, SeqCst);
                tokio::spawn(serve(acceptor.clone(), stream, seen.clone()));
            }
        });
        Self { address, ca_pem, requests, connections }
    }

    /// Connections that were accepted, whatever came over them.
    pub fn connections(&self) -> usize {
        self.connections.load(SeqCst)
    }

    /// Bytes of all requests.
    pub fn bytes(&self) -> usize {
        self.requests().iter().map(String::len).sum()
    }

    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    /// Granted and mapped to this gateway.
    pub fn egress(&self) -> EgressPolicy {
        self.egress_for(ORIGIN)
    }

    pub fn egress_for(&self, origin: &str) -> EgressPolicy {
        let (origin, ca_pem) = (origin.parse().unwrap(), Some(self.ca_pem.clone()));
        EgressPolicy {
            granted: vec![ORIGIN.parse().unwrap(), "https://gateway.test:8443".parse().unwrap()],
            map: vec![Mapping { origin, connect: self.address, ca_pem }],
        }
    }
}

fn certificates(name: &str) -> (String, ServerConfig) {
    let ca_key = KeyPair::generate().unwrap();
    let mut ca_params = CertificateParams::new(vec![]).unwrap();
    ca_params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = ca_params.self_signed(&ca_key).unwrap();
    let issuer = Issuer::new(ca_params, ca_key);
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    (ca.pem(), config)
}

async fn serve(acceptor: TlsAcceptor, stream: TcpStream, seen: Arc<Mutex<Vec<String>>>) {
    let Ok(mut stream) = acceptor.accept(stream).await else { return };
    while let Some(request) = read_request(&mut stream).await {
        seen.lock().unwrap().push(request.clone());
        let path = request.split(' ').nth(1).unwrap().to_owned();
        let head = match path.as_str() {
            "/close" => return,
            "/drip" => {
                return forever(&mut stream, "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n", "x", DRIP)
                    .await;
            }
            "/continue" => return forever(&mut stream, "", "HTTP/1.1 100 Continue\r\n\r\n", DRIP).await,
            "/flood" => {
                return forever(&mut stream, "HTTP/1.1 200 OK\r\n", "a: 0123456789\r\n", Duration::ZERO)
                    .await;
            }
            "/cut" => "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this".to_owned(),
            "/hang" => std::future::pending().await,
            "/redirect" => {
                "HTTP/1.1 302 Found\r\nlocation: https://other.test/\r\ncontent-length: 0\r\n\r\n".to_owned()
            }
            "/zipped" => {
                "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 3\r\n\r\nabc".to_owned()
            }
            "/cookie" => "HTTP/1.1 200 OK\r\nset-cookie: a=b\r\ncontent-length: 0\r\n\r\n".to_owned(),
            "/big" => answer(&"x".repeat((1 << 20) + 1)),
            "/full" => answer(&"x".repeat(1 << 20)),
            "/headers" => {
                format!("HTTP/1.1 200 OK\r\na: {}\r\ncontent-length: 0\r\n\r\n", "y".repeat(40_000))
            }
            "/many" => format!("HTTP/1.1 200 OK\r\n{}content-length: 0\r\n\r\n", "b: 1\r\n".repeat(100)),
            "/key" => answer("billing=KEY-0123456789;"),
            // What it was sent, and what it knows of the shop, in a writing of its choice.
            echo if echo.starts_with("/echo/") => echoed(echo, &format!("{request}\n{SIGN_KEY}")),
            _ => answer("hello"),
        };
        if stream.write_all(head.as_bytes()).await.is_err() || path == "/cut" {
            return;
        }
    }
}

/// Between two drips.
const DRIP: Duration = Duration::from_millis(10);

/// Sends a beginning, and then the same again and again until nobody listens.
async fn forever(
    stream: &mut (impl tokio::io::AsyncWrite + Unpin),
    first: &str,
    again: &str,
    every: Duration,
) {
    let mut bytes = first.as_bytes();
    let mut drips = tokio::time::interval(every.max(Duration::from_nanos(1)));
    while stream.write_all(bytes).await.is_ok() && stream.flush().await.is_ok() {
        bytes = again.as_bytes();
        if !every.is_zero() {
            drips.tick().await;
        }
    }
}

fn echoed(path: &str, text: &str) -> String {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
    const LEFT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    const QUOTE: &AsciiSet = &LEFT.remove(b'/');
    let hex = || text.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
    match path.trim_start_matches("/echo/") {
        "plain" => answer(text),
        "base64" => answer(&STANDARD.encode(text)),
        "base64-1" => answer(&STANDARD.encode(format!("x{text}"))),
        "base64-2" => answer(&STANDARD.encode(format!("xy{text}"))),
        "base64url" => answer(&URL_SAFE.encode(text)),
        "hex" => answer(&hex()),
        "hex-upper" => answer(&hex().to_uppercase()),
        "percent" => answer(&utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()),
        "form" => answer(&form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>()),
        "json" => answer(&serde_json::json!({ "got": text }).to_string()),
        // Python's `quote`, JavaScript's `encodeURIComponent`.
        "quote" => answer(&utf8_percent_encode(text, QUOTE).to_string()),
        "component" => {
            const COMPONENT: &AsciiSet =
                &LEFT.remove(b'!').remove(b'\'').remove(b'(').remove(b')').remove(b'*');
            answer(&utf8_percent_encode(text, COMPONENT).to_string())
        }
        // Java's Gson; PHP; a text of JSON in a text of JSON.
        "gson" => {
            let json = serde_json::json!({ "got": text }).to_string();
            let [equals, and, quote] = ["=", "&", "'"].map(|c| format!("\\u{:04x}", c.as_bytes()[0]));
            answer(&json.replace('=', &equals).replace('&', &and).replace('\'', &quote))
        }
        "php" => answer(&serde_json::json!({ "got": text }).to_string().replace('/', "\\/")),
        "json-twice" => {
            let inner = serde_json::json!({ "got": text }).to_string();
            answer(&serde_json::json!({ "said": inner }).to_string())
        }
        "html-hex" => answer(&entities(text, |c| format!("&#x{c:X};"))),
        "html-decimal" => answer(&entities(text, |c| format!("&#{c};"))),
        "mime" => {
            let whole = STANDARD.encode(text);
            let lines: Vec<&str> =
                whole.as_bytes().chunks(76).map(|line| std::str::from_utf8(line).unwrap()).collect();
            answer(&lines.join("\r\n"))
        }
        "header" => {
            let line = text.replace(['\r', '\n'], " ");
            format!("HTTP/1.1 400 Bad Request\r\nx-got: {line}\r\ncontent-length: 0\r\n\r\n")
        }
        other => panic!("no echo {other}"),
    }
}

/// All but letters and digits by their numbers.
fn entities(text: &str, written: impl Fn(u32) -> String) -> String {
    let escaped = |c: char| if c.is_ascii_alphanumeric() { c.to_string() } else { written(u32::from(c)) };
    text.chars().map(escaped).collect()
}

fn answer(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

async fn read_request(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return Some(text);
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}
