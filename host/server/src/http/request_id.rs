//! Request ids. Invariant: every answer carries `x-request-id`, every log line of the request carries it, and a problem has
//! it in its body. A line also carries what the request is about, as soon as that is known ([`about`]).

use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use payhost_core::id::RequestId;
use tracing::field::Empty;
use tracing::{Instrument, Span};

use super::problem::Problem;
use crate::host::Host;

static HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// The id of a request, among its extensions.
#[derive(Debug, Clone)]
pub struct Id(pub String);

/// Gives the request an id and a span, and the answer the id. Query strings are not logged: they carry tokens.
pub async fn layer(State(host): State<Host>, mut request: Request, next: Next) -> Response {
    let id: RequestId = host.new_id(RequestId::new);
    let text = id.to_string();
    request.extensions_mut().insert(Id(text.clone()));
    let span = tracing::info_span!(
        "request", request = %text, verb = %request.method(), path = %request.uri().path(), key = Empty, shop = Empty,
        mode = Empty, payment = Empty, checkout = Empty, attempt = Empty, channel = Empty, notice = Empty, endpoint = Empty,
        event = Empty, call = Empty
    );
    let started = std::time::Instant::now();
    async move {
        let mut response = next.run(request).await;
        if let Some(problem) = response.extensions_mut().remove::<Problem>() {
            response = with_id(response, problem, &text);
        }
        if let Ok(value) = HeaderValue::from_str(&text) {
            response.headers_mut().insert(HEADER.clone(), value);
        }
        tracing::info!(status = response.status().as_u16(), ms = started.elapsed().as_millis(), "answered");
        response
    }
    .instrument(span)
    .await
}

/// Lets the log lines of this request (or job) carry an id, under the name of what it is an id of.
pub fn about(id: &str) {
    let field = match id.split_once('_').map(|(prefix, _)| prefix) {
        Some("key") => "key",
        Some("shop") => "shop",
        Some("pay") => "payment",
        Some("chk") => "checkout",
        Some("att") => "attempt",
        Some("chn") => "channel",
        Some("ntc") => "notice",
        Some("wep") => "endpoint",
        Some("evt") => "event",
        Some("call") => "call",
        Some(_) | None => return,
    };
    Span::current().record(field, id);
}

fn with_id(mut response: Response, mut problem: Problem, id: &str) -> Response {
    problem.request_id = Some(id.to_owned());
    let (parts, body) = Json(&problem).into_response().into_parts();
    *response.body_mut() = Body::new(body);
    response.headers_mut().remove(header::CONTENT_LENGTH);
    if let Some(length) = parts.headers.get(header::CONTENT_LENGTH) {
        response.headers_mut().insert(header::CONTENT_LENGTH, length.clone());
    }
    response
}
