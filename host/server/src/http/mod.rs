//! HTTP in and out. Invariant: every address of the host is in [`router`], every API route is in the OpenAPI document, and
//! every answer carries a request id.

pub mod auth;
pub mod client;
pub mod drain;
pub mod error_page;
pub mod guard;
pub mod home;
pub mod idempotency;
pub mod json;
pub mod limits;
pub mod openapi;
pub mod page;
pub mod problem;
pub mod request_id;
pub mod server;
pub mod source;
pub mod strict;
pub mod text;

use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::{Router, routing::get};
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::set_header::SetResponseHeaderLayer;

use crate::host::Host;
use problem::Problem;

/// Largest body of a request, in bytes; components have a limit of their own.
pub const BODY_MAX: usize = 256 * 1024;
/// Longest request: an attempt's lease, the wait for an outcome in doubt, and room.
const REQUEST: Duration = Duration::from_secs(60);

/// Everything that the host answers.
pub fn router(host: Host) -> Router {
    let (api, _) = openapi::routes().split_for_parts();
    let layers = ServiceBuilder::new()
        .layer(from_fn_with_state(host.clone(), request_id::layer))
        // Outside of everything that makes an answer, so that every answer has them.
        .layer(SetResponseHeaderLayer::if_not_present(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ))
        .layer(SetResponseHeaderLayer::if_not_present(header::STRICT_TRANSPORT_SECURITY, only_tls(&host)))
        .layer(from_fn(error_page::layer))
        .layer(from_fn_with_state(host.clone(), guard::layer))
        .layer(CatchPanicLayer::custom(|_: Box<dyn std::any::Any + Send>| {
            Problem::internal(&"a handler panicked").into_response()
        }))
        .layer(from_fn(|request, next| in_time(REQUEST, request, next)))
        .layer(from_fn(drain::layer))
        .layer(DefaultBodyLimit::max(BODY_MAX));
    Router::new()
        .merge(api)
        .merge(crate::checkout::pages())
        .merge(crate::vbank::pages())
        .route("/", get(home::home))
        .route("/favicon.ico", get(home::favicon))
        .route("/healthz", get(health))
        .fallback(|| async { Problem::not_found("address") })
        .method_not_allowed_fallback(|| async {
            Problem::new("method_not_allowed", "see the API's description")
        })
        .layer(layers)
        .with_state(host)
}

/// Whether browsers are told to come by TLS only, for a year: where the host's own address says so. (Over plain http they do
/// not listen to it.)
fn only_tls(host: &Host) -> Option<HeaderValue> {
    (host.public_url().scheme() == "https").then(|| HeaderValue::from_static("max-age=31536000"))
}

/// Ends a request that takes too long with a problem. What it began goes on where it must ([`Host::finish`]).
async fn in_time(limit: Duration, request: Request, next: Next) -> Response {
    let answer = tokio::time::timeout(limit, next.run(request)).await;
    answer.unwrap_or_else(|_| {
        let words = "the answer took too long; what was begun goes on, and the same request with the same key answers what \
                     came of it";
        Problem::new("timeout", words).into_response()
    })
}

/// Whether the host takes requests.
async fn health() -> impl IntoResponse {
    ([(HeaderName::from_static("cache-control"), "no-store")], "ok\n")
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn a_request_that_takes_too_long_is_answered_with_a_problem() {
        let app: Router = Router::new()
            .route("/", get(std::future::pending::<()>))
            .layer(from_fn(|request, next| in_time(Duration::from_millis(1), request, next)));
        let answer = app.oneshot(Request::get("/").body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(answer.status().as_u16(), 503);
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        let body = to_bytes(answer.into_body(), 9999).await.unwrap();
        let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(problem["code"], "timeout");
    }
}
