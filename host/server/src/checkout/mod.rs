//! The buyer's way: the checkout page, the gateway's window, the return, the result. One file is one step.

pub mod authenticate;
pub mod close;
pub mod open;
pub mod page;
pub mod result;
pub mod source;
pub mod step;
pub mod token;
pub mod words;

use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::IntoResponse;
use axum::routing::{get, options, post};

use crate::host::Host;

/// Pages that browsers open.
pub fn pages() -> Router<Host> {
    Router::new()
        .route("/checkout/{id}", get(open::show).post(open::open))
        .route("/return/{id}", get(result::show).post(result::come_back))
        .route("/return/{id}/close", get(close::page))
        .route("/return/{id}/leave", post(close::leave))
        .route("/payhost.js", get(payhost_js))
        .route("/v1/payments/{id}", options(crate::payments::read::preflight))
}

async fn payhost_js() -> impl IntoResponse {
    let headers = [(CONTENT_TYPE, "text/javascript; charset=utf-8"), (CACHE_CONTROL, "public, max-age=300")];
    (headers, page::PAYHOST_JS)
}
