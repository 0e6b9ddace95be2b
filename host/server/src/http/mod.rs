//! HTTP in and out. Invariant: every address of the host is in [`router`], every API route is in the OpenAPI document, and
//! every answer carries a request id.

pub mod auth;
pub mod client;
pub mod idempotency;
pub mod json;
pub mod openapi;
pub mod page;
pub mod problem;
pub mod request_id;

use std::time::Duration;

use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::IntoResponse;
use axum::{Router, routing::get};
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::timeout::TimeoutLayer;

use crate::host::Host;
use problem::Problem;

/// Largest body of a request, in bytes; components have a limit of their own.
pub const BODY_MAX: usize = 256 * 1024;
/// Longest request, in seconds: an attempt's lease, the wait for an outcome in doubt, and room.
const REQUEST_SECONDS: u64 = 60;

/// Everything that the host answers.
pub fn router(host: Host) -> Router {
    let (api, _) = openapi::routes().split_for_parts();
    let layers = ServiceBuilder::new()
        .layer(from_fn_with_state(host.clone(), request_id::layer))
        .layer(SetResponseHeaderLayer::if_not_present(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ))
        .layer(CatchPanicLayer::custom(|_: Box<dyn std::any::Any + Send>| {
            Problem::internal(&"a handler panicked").into_response()
        }))
        .layer(TimeoutLayer::with_status_code(
            StatusCode::SERVICE_UNAVAILABLE,
            Duration::from_secs(REQUEST_SECONDS),
        ))
        .layer(DefaultBodyLimit::max(BODY_MAX));
    Router::new()
        .merge(api)
        .merge(crate::checkout::pages())
        .merge(crate::vbank::pages())
        .route("/healthz", get(health))
        .fallback(|| async { Problem::not_found("address") })
        .method_not_allowed_fallback(|| async {
            Problem::new("method_not_allowed", "see the API's description")
        })
        .layer(layers)
        .with_state(host)
}

/// Whether the host takes requests.
async fn health() -> impl IntoResponse {
    ([(HeaderName::from_static("cache-control"), "no-store")], "ok\n")
}
