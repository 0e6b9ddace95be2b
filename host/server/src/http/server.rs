//! The server's connections. Invariant: no client holds a connection, a file or a body of this host for longer than a limit
//! says, however little it sends or reads; the number of connections is bounded in all and by address, and below the number of
//! files that the process may open.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use ipnet::IpNet;
use tokio::net::{TcpListener, TcpStream};
use tokio_io_timeout::TimeoutStream;
use tower::ServiceExt as _;
use tower_http::timeout::TimeoutBody;

use super::source::is_trusted;

/// Largest head of a request, in bytes: the address of a notice by GET is the longest.
const HEAD_MAX: usize = 64 * 1024;
/// Files that are kept for the database, gateways, receivers and the log.
const FILES_KEPT: u64 = 256;
/// Most files that are asked for.
const FILES_MAX: u64 = 1 << 18;
/// Rest after the system gave no connection.
const ACCEPT_REST: Duration = Duration::from_millis(100);
/// What a connection too many is told.
const BUSY: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\nx-content-type-options: nosniff\r\n\
                      content-length: 0\r\nconnection: close\r\n\r\n";

/// Limits of connections.
#[derive(Debug, Clone)]
pub struct Connections {
    /// Longest wait for a whole head, and for the next request on a connection.
    pub head: Duration,
    /// Longest wait for the next part of a body.
    pub body: Duration,
    /// Longest wait until a client takes more of its answer.
    pub write: Duration,
    /// Most connections at once.
    pub most: usize,
    /// Most connections at once from one address (an IPv6 address counts with its /64).
    pub per_address: usize,
    /// Proxies: many clients come from their addresses.
    pub proxies: Vec<IpNet>,
}

/// Lets the process open as many files as the system allows; gives that number, if it is known.
pub fn raise_open_files() -> Option<u64> {
    match rlimit::increase_nofile_limit(FILES_MAX) {
        Ok(limit) => Some(limit),
        Err(error) => {
            tracing::warn!(%error, "the limit of open files cannot be raised");
            None
        }
    }
}

impl Connections {
    /// The same with no more connections than the process has files for.
    #[must_use]
    pub fn fitting(mut self, open_files: Option<u64>) -> Self {
        let Some(files) = open_files else { return self };
        let room = usize::try_from(files.saturating_sub(FILES_KEPT).max(files / 2)).unwrap_or(usize::MAX);
        if room < self.most {
            tracing::warn!(
                open_files = files,
                connections = room,
                "fewer connections than set: raise the limit of open files"
            );
            self.most = room;
        }
        self
    }
}

/// Serves until `stop`; then what was accepted is answered.
pub async fn serve(listener: TcpListener, app: Router, limits: Connections, stop: impl Future<Output = ()>) {
    let limits = Arc::new(limits);
    let gate = Arc::new(Gate::default());
    let graceful = GracefulShutdown::new();
    let mut stop = pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => match Gate::enter(&gate, peer.ip(), &limits) {
                Some(pass) => {
                    let connection =
                        connection(stream, peer, app.clone(), Arc::clone(&limits), graceful.watcher());
                    tokio::spawn(async move {
                        connection.await;
                        drop(pass);
                    });
                }
                // As far as it fits into the socket at once; nobody waits for this client.
                None => drop(stream.try_write(BUSY)),
            },
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_REST).await;
            }
        }
    }
    drop(listener);
    graceful.shutdown().await;
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    app: Router,
    limits: Arc<Connections>,
    watcher: Watcher,
) {
    let _ = stream.set_nodelay(true);
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(limits.write));
    let body = limits.body;
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(|incoming| Body::new(TimeoutBody::new(body, incoming)));
        request.extensions_mut().insert(ConnectInfo(peer));
        app.clone().oneshot(request)
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(HEAD_MAX)
        .serve_connection(TokioIo::new(Box::pin(stream)), service);
    if let Err(error) = watcher.watch(served).await {
        tracing::debug!(%peer, %error, "a connection ended");
    }
}

/// Who is connected.
#[derive(Default)]
struct Gate(Mutex<Inside>);

#[derive(Default)]
struct Inside {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
    full: bool,
}

/// A place among the connections; given back when it is dropped.
struct Pass {
    gate: Arc<Gate>,
    /// None: a proxy, which is not counted alone.
    address: Option<IpAddr>,
}

impl Gate {
    fn enter(gate: &Arc<Self>, address: IpAddr, limits: &Connections) -> Option<Pass> {
        let address = subscriber(address);
        let address = (!is_trusted(address, &limits.proxies)).then_some(address);
        let mut inside = gate.0.lock().unwrap_or_else(PoisonError::into_inner);
        if inside.all >= limits.most {
            if !std::mem::replace(&mut inside.full, true) {
                tracing::warn!(connections = inside.all, "no more connections are taken until some end");
            }
            return None;
        }
        inside.full = false;
        if let Some(address) = address {
            let count = inside.by_address.entry(address).or_default();
            if *count >= limits.per_address {
                tracing::debug!(%address, "no more connections are taken from this address");
                return None;
            }
            *count = count.saturating_add(1);
        }
        inside.all = inside.all.saturating_add(1);
        Some(Pass { gate: Arc::clone(gate), address })
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut inside = self.gate.0.lock().unwrap_or_else(PoisonError::into_inner);
        inside.all = inside.all.saturating_sub(1);
        let Some(address) = self.address else { return };
        if let Some(count) = inside.by_address.get_mut(&address) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                inside.by_address.remove(&address);
            }
        }
    }
}

/// An address without what its subscriber can choose.
fn subscriber(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use axum::extract::rejection::StringRejection;
    use axum::routing::{get, post};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::sync::oneshot;
    use tokio::task::JoinHandle;

    use super::*;

    /// Long enough for a busy machine; what is measured ends much earlier.
    const PATIENCE: Duration = Duration::from_secs(20);
    const SHORT: Duration = Duration::from_millis(200);

    fn limits() -> Connections {
        Connections { head: SHORT, body: SHORT, write: SHORT, most: 64, per_address: 64, proxies: Vec::new() }
    }

    struct Served {
        address: SocketAddr,
        stop: oneshot::Sender<()>,
        ended: JoinHandle<()>,
    }

    impl Served {
        async fn start(limits: Connections) -> Self {
            let large = || async { vec![b'x'; 32 << 20] };
            let app = Router::new()
                .route("/", get(|| async { "ok" }))
                // Work that lasts: a gateway that answers late.
                .route(
                    "/slow",
                    get(|| async { drop(tokio::time::timeout(SHORT * 4, pending::<()>()).await) }),
                )
                .route("/large", get(large))
                .route(
                    "/take",
                    post(|body: Result<String, StringRejection>| async move { format!("{body:?}") }),
                );
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let (stop, stopped) = oneshot::channel::<()>();
            let ended = tokio::spawn(serve(listener, app, limits, async move {
                let _ = stopped.await;
            }));
            Self { address, stop, ended }
        }

        async fn connect(&self, text: &str) -> TcpStream {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            stream.write_all(text.as_bytes()).await.unwrap();
            stream
        }

        /// Stops, and waits until every connection has ended.
        async fn end(self) {
            self.stop.send(()).unwrap();
            tokio::time::timeout(PATIENCE, self.ended).await.expect("a connection is held").unwrap();
        }
    }

    /// Everything that comes until the other side closes.
    async fn rest(mut stream: TcpStream) -> String {
        let mut bytes = Vec::new();
        let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await;
        // A reset is a close too.
        let _ = read.expect("the connection is held");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    const GET: &str = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";

    #[tokio::test(flavor = "multi_thread")]
    async fn half_a_head_no_head_and_an_idle_connection_are_closed_in_time() {
        let served = Served::start(limits()).await;
        for half in ["", "GET / HTTP/1.1\r\nhost: x\r\nx-long", GET] {
            let said = rest(served.connect(half).await).await;
            assert_eq!(said.contains("200 OK"), half == GET, "{half:?}: {said}");
        }
        served.end().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_body_that_does_not_come_is_not_waited_for() {
        let served = Served::start(limits()).await;
        let said =
            rest(served.connect("POST /take HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nhalf").await)
                .await;
        assert!(said.contains("200 OK") && said.contains("Err("), "{said}");
        served.end().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_answer_that_nobody_reads_does_not_hold_its_connection() {
        let served = Served::start(limits()).await;
        let unread = served.connect("GET /large HTTP/1.1\r\nhost: x\r\n\r\n").await;
        // Its head: the answer is on its way.
        unread.readable().await.unwrap();
        served.end().await;
        drop(unread);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn work_that_takes_longer_than_every_limit_is_answered() {
        let served = Served::start(limits()).await;
        let said = rest(served.connect("GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await).await;
        assert!(said.starts_with("HTTP/1.1 200"), "{said}");
        served.end().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn eleven_hundred_half_requests_do_not_stop_the_others() {
        raise_open_files();
        let served = Served::start(limits()).await;
        let mut held = Vec::new();
        for _ in 0..1100 {
            held.push(served.connect("GET / HTTP/1.1\r\nhost: x\r\n").await);
        }
        let answered = tokio::time::timeout(PATIENCE, async {
            while !rest(served.connect("GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await)
                .await
                .contains("200 OK")
            {}
        });
        answered.await.expect("nobody else is answered");
        assert_eq!(held.len(), 1100);
        served.end().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_address_has_its_share_of_the_connections_and_a_proxy_does_not_count() {
        let long = Connections { head: PATIENCE, per_address: 2, ..limits() };
        let served = Served::start(long.clone()).await;
        let (one, two) = (served.connect("").await, served.connect("").await);
        let said = rest(served.connect("").await).await;
        assert!(said.starts_with("HTTP/1.1 503") && said.contains("retry-after"), "{said}");
        drop((one, two));
        served.end().await;

        let gate = Arc::new(Gate::default());
        let behind = Connections { proxies: vec!["10.0.0.0/8".parse().unwrap()], most: 3, ..long };
        let enter = |address: &str| Gate::enter(&gate, address.parse().unwrap(), &behind);
        let mut held: Vec<_> =
            ["10.0.0.1", "10.0.0.1", "10.0.0.1"].iter().map(|address| enter(address)).collect();
        assert!(held.iter().all(Option::is_some), "a proxy is counted only in all");
        assert!(enter("10.0.0.1").is_none() && enter("203.0.113.1").is_none(), "no more in all");
        held.clear();
        let subscriber = ["2001:db8::1", "2001:db8::2", "2001:db8::3"].map(enter);
        assert_eq!(subscriber.map(|pass| pass.is_some()), [true, true, false]);
        assert_eq!(gate.0.lock().unwrap().by_address.len(), 0, "what ended is not kept");
    }
}
