//! Invariant: a notice reaches only this machine or a private network, with exactly the bytes, the version and the client
//! address that were asked for; nothing is followed and nothing is sent twice.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{Request, Version, header};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpSocket, TcpStream};
use url::{Host, Url};

use super::Notice;

/// Most bytes of an answer that are read.
const ANSWER_MAX: usize = 64 * 1024;

/// What came back.
#[derive(Clone, Debug)]
pub struct Answered {
    /// HTTP status.
    pub status: u16,
    /// Body.
    pub body: Vec<u8>,
}

/// Sends a notice once and waits so long for the whole answer.
///
/// # Errors
/// Why there is no answer.
pub async fn send(notice: &Notice, timeout: Duration) -> Result<Answered, String> {
    match tokio::time::timeout(timeout, exchange(notice)).await {
        Ok(answered) => answered,
        Err(_) => Err(format!("no answer in {} ms", timeout.as_millis())),
    }
}

async fn exchange(notice: &Notice) -> Result<Answered, String> {
    let url = Url::parse(&notice.url).map_err(|error| error.to_string())?;
    if url.scheme() != "http" {
        return Err(format!("{} is not simulated for notices, only http", url.scheme()));
    }
    let stream = connect(address(&url).await?, notice.dress.source).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(text)?;
    let request = request(notice, &url)?;
    let answer = async {
        let answer = sender.send_request(request).await.map_err(text)?;
        let status = answer.status().as_u16();
        let body = to_bytes(Body::new(answer.into_body()), ANSWER_MAX).await.map_err(text)?;
        Ok(Answered { status, body: body.to_vec() })
    };
    // The connection is driven here, so that it ends with this sending.
    tokio::pin!(answer);
    tokio::select! {
        answered = &mut answer => answered,
        ended = connection => {
            ended.map_err(text)?;
            answer.await
        }
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn request(notice: &Notice, url: &Url) -> Result<Request<Body>, String> {
    let body = notice.body();
    let target = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
    let host = match url.port() {
        Some(port) => format!("{}:{port}", url.host_str().unwrap_or_default()),
        None => url.host_str().unwrap_or_default().to_owned(),
    };
    let version = if notice.dress.http10 { Version::HTTP_10 } else { Version::HTTP_11 };
    let mut request = Request::builder()
        .method(notice.method.as_str())
        .uri(target)
        .version(version)
        .header(header::HOST, host)
        .header(header::CONNECTION, "close");
    if let Some(kind) = notice.dress.content_type.as_ref().filter(|_| notice.method != "GET") {
        request = request.header(header::CONTENT_TYPE, kind);
    }
    for (name, value) in &notice.dress.headers {
        request = request.header(name, value);
    }
    request.body(Body::from(body)).map_err(text)
}

/// Where a URL leads. Names under `localhost` are loopback without asking a name server.
async fn address(url: &Url) -> Result<SocketAddr, String> {
    let port = url.port_or_known_default().unwrap_or(80);
    let ip = match url.host() {
        Some(Host::Ipv4(ip)) => IpAddr::V4(ip),
        Some(Host::Ipv6(ip)) => IpAddr::V6(ip),
        Some(Host::Domain(name)) if name == "localhost" || name.ends_with(".localhost") => {
            IpAddr::V4(Ipv4Addr::LOCALHOST)
        }
        Some(Host::Domain(name)) => {
            let mut found = tokio::net::lookup_host((name, port)).await.map_err(text)?;
            found.next().ok_or_else(|| format!("{name} has no address"))?.ip()
        }
        None => return Err("the address has no host".to_owned()),
    };
    let near = match ip {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local(),
    };
    if near { Ok(SocketAddr::new(ip, port)) } else { Err(format!("{ip} is neither loopback nor private")) }
}

async fn connect(to: SocketAddr, source: Option<IpAddr>) -> Result<TcpStream, String> {
    let socket = if to.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.map_err(text)?;
    if let Some(source) = source {
        socket.bind(SocketAddr::new(source, 0)).map_err(|error| format!("bind {source}: {error}"))?;
    }
    let stream = socket.connect(to).await.map_err(|error| format!("connect {to}: {error}"))?;
    stream.set_nodelay(true).map_err(text)?;
    Ok(stream)
}
