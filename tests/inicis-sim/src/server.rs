//! Invariant: a path answers only on its listener and under its host; a response marked [`Hangup`] is never written,
//! not even in part.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use crate::fault::Hangup;
use crate::sim::Shared;
use crate::{control, iniapi, mobile, stdpay};

/// How long connections may finish after a stop, and how long a closed one is drained.
const GRACE: Duration = Duration::from_secs(2);

/// The connection is closed without an answer, on demand.
#[derive(Debug, thiserror::Error)]
#[error("closed on demand")]
struct Closed;

/// Which router answers: by host on the gateway listener, one for all on the browser listener.
#[derive(Clone)]
pub enum Site {
    /// Plain HTTP for the buyer's browser.
    Browser(Router),
    /// The gateway's hosts.
    Gateway(Arc<HashMap<&'static str, Router>>),
}

/// The real host names that are served, and whether browsers go there.
pub const NAMES: &[(&str, bool)] = &[
    ("stdpay.inicis.com", true),
    ("stgstdpay.inicis.com", true),
    ("mobile.inicis.com", true),
    ("stgmobile.inicis.com", true),
    ("fcstdpay.inicis.com", false),
    ("ksstdpay.inicis.com", false),
    ("fcmobile.inicis.com", false),
    ("ksmobile.inicis.com", false),
    ("iniapi.inicis.com", false),
    ("stginiapi.inicis.com", false),
];

impl Site {
    /// Script, window and `/_sim/`.
    pub fn browser(sim: &Shared) -> Self {
        let pages = stdpay::pages_router(sim.clone()).merge(mobile::pages_router(sim.clone()));
        Self::Browser(pages.merge(control::router(sim.clone())))
    }

    /// The real host names of §0.3 that the simulator serves so far.
    pub fn gateway(sim: &Shared) -> Self {
        let pages = || stdpay::pages_router(sim.clone());
        let api = |idc| stdpay::api_router(sim.clone(), idc);
        let phone = || mobile::pages_router(sim.clone());
        let phone_api = |idc| mobile::api_router(sim.clone(), idc);
        let hosts: [(&str, Router); NAMES.len()] = [
            ("mobile.inicis.com", phone()),
            ("stgmobile.inicis.com", phone().merge(phone_api("stg"))),
            ("fcmobile.inicis.com", phone_api("fc")),
            ("ksmobile.inicis.com", phone_api("ks")),
            ("stdpay.inicis.com", pages()),
            ("stgstdpay.inicis.com", pages().merge(api("stg"))),
            ("fcstdpay.inicis.com", api("fc")),
            ("ksstdpay.inicis.com", api("ks")),
            ("iniapi.inicis.com", iniapi::router(sim.clone(), "iniapi.inicis.com")),
            ("stginiapi.inicis.com", iniapi::router(sim.clone(), "stginiapi.inicis.com")),
        ];
        Self::Gateway(Arc::new(hosts.into_iter().collect()))
    }

    async fn answer(&self, request: Request) -> Response {
        let router = match self {
            Self::Browser(router) => Some(router),
            Self::Gateway(hosts) => {
                let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
                let name = host.unwrap_or_default().split(':').next().unwrap_or_default();
                hosts.get(name.to_ascii_lowercase().as_str())
            }
        };
        match router {
            Some(router) => match router.clone().oneshot(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            },
            None => (StatusCode::NOT_FOUND, "inicis-sim: this host is not simulated").into_response(),
        }
    }
}

/// Accepts until `stop` says so, then lets connections finish for a moment.
pub async fn run(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    site: Site,
    mut stop: watch::Receiver<bool>,
) {
    let mut open = JoinSet::new();
    let for_connections = stop.clone();
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            Some(_) = open.join_next(), if !open.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    open.spawn(connection(stream, tls.clone(), site.clone(), for_connections.clone()));
                }
                Err(error) => tracing::warn!(%error, "accept failed"),
            },
        }
    }
    drop(listener);
    let finished = tokio::time::timeout(GRACE, async { while open.join_next().await.is_some() {} }).await;
    if finished.is_err() {
        open.shutdown().await;
    }
}

async fn connection(stream: TcpStream, tls: Option<TlsAcceptor>, site: Site, stop: watch::Receiver<bool>) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no nodelay");
    }
    match tls {
        None => serve(stream, site, stop).await,
        Some(acceptor) => {
            match tokio::time::timeout(Duration::from_secs(10), acceptor.accept(stream)).await {
                Ok(Ok(stream)) => serve(stream, site, stop).await,
                Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
                Err(_) => tracing::debug!("TLS handshake took too long"),
            }
        }
    }
}

async fn serve<S>(stream: S, site: Site, mut stop: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let site = site.clone();
        Box::pin(async move {
            let response = site.answer(request.map(Body::new)).await;
            if response.extensions().get::<Hangup>().is_some() { Err(Closed) } else { Ok(response) }
        })
    });
    let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let mut stopping = false;
    let ended = loop {
        tokio::select! {
            ended = poll_fn(|context| connection.poll_without_shutdown(context)) => break ended,
            _ = stop.wait_for(|stop| *stop), if !stopping => {
                stopping = true;
                std::pin::Pin::new(&mut connection).graceful_shutdown();
            }
        }
    };
    match ended {
        Ok(()) => drain(connection.into_parts().io.into_inner()).await,
        Err(error) => tracing::debug!(%error, "connection closed"),
    }
}

/// Reads what the client still sends, such as the two line ends that the official PHP client puts after the body (§1.7):
/// a socket closed with unread bytes may reset the connection before the client has read its answer.
async fn drain<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) {
    let _: Result<Result<(), Infallible>, _> = tokio::time::timeout(GRACE, async {
        let _ = stream.shutdown().await;
        let mut rest = [0_u8; 1024];
        while matches!(stream.read(&mut rest).await, Ok(n) if n > 0) {}
        Ok(())
    })
    .await;
}
