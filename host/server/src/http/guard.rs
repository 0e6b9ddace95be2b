//! What every request goes through first. Invariant: a request that two readers may read differently (two hosts, none) is
//! answered by nobody; an address that asks too often is told so before anything is looked up for it.

use axum::extract::{Request, State};
use axum::http::{Version, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::problem::Problem;
use super::source;
use crate::host::Host;

/// Addresses that are not counted by where they are asked from: a gateway's notices come from few addresses and have limits of
/// their own; whoever watches the host must be answered.
const NOT_COUNTED: [&str; 2] = ["/notify/", "/healthz"];

/// Looks at a request, and notes where it came from among its extensions.
pub async fn layer(State(host): State<Host>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let from = source::of(&parts, host.trusted_proxies());
    if let Some(from) = from {
        parts.extensions.insert(from);
    }
    let request = Request::from_parts(parts, body);
    if let Err(problem) = one_host(&request) {
        return problem.into_response();
    }
    let counted = !NOT_COUNTED.iter().any(|start| request.uri().path().starts_with(start));
    if let Some(from) = from.filter(|_| counted)
        && let Err(problem) = host.limits().address(from)
    {
        return problem.into_response();
    }
    next.run(request).await
}

/// HTTP/1.1 wants one host (RFC 9112 §3.2). Two are how one server is made to read another address than the one before it. A
/// request that never was on a wire (an embedder's, a command's) has none and needs none.
fn one_host(request: &Request) -> Result<(), Problem> {
    let hosts = request.headers().get_all(header::HOST).iter().count();
    let on_a_wire = request.extensions().get::<source::Source>().is_some();
    let missing = hosts == 0 && on_a_wire && request.version() == Version::HTTP_11;
    if hosts > 1 || missing { Err(Problem::field("Host", "a request has one Host header")) } else { Ok(()) }
}
