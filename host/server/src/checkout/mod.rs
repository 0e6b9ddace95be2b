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
use payhost_core::id::{CheckoutId, PaymentId, ShopId};

use crate::host::Host;

/// The path of a payment's checkout.
pub fn checkout_path(shop: ShopId, payment: PaymentId) -> String {
    format!("/checkout/{shop}/{payment}")
}

/// The path of the return from a checkout's window, and of its result.
pub fn return_path(shop: ShopId, checkout: CheckoutId) -> String {
    format!("/return/{shop}/{checkout}")
}

/// Pages that browsers open.
pub fn pages() -> Router<Host> {
    Router::new()
        .route("/checkout/{shop}/{id}", get(open::show).post(open::open))
        .route("/return/{shop}/{id}", get(result::show).post(result::come_back))
        .route("/return/{shop}/{id}/close", get(close::page))
        .route("/return/{shop}/{id}/leave", post(close::leave))
        .route("/payhost.js", get(payhost_js))
        .route("/v1/payments/{id}", options(crate::payments::read::preflight))
}

async fn payhost_js() -> impl IntoResponse {
    let headers = [(CONTENT_TYPE, "text/javascript; charset=utf-8"), (CACHE_CONTROL, "public, max-age=300")];
    (headers, page::PAYHOST_JS)
}
