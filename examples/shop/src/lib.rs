//! A small shop that sells through payhost. Invariant: what an order costs comes from the shop's own catalogue, and whether
//! it is paid comes from payhost's API, asked with the secret key; the browser is believed in neither.

pub mod catalogue;
mod checkout;
mod error;
pub mod methods;
mod orders;
mod page;
mod pay;
pub mod payhost;
mod shelf;
pub mod store;
mod visitor;
mod webhook;

use std::sync::Arc;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::IntoResponse;
use axum::routing::{get, post};

/// What the handlers share.
pub struct Shop {
    /// Carts and orders.
    pub store: store::Store,
    /// The payment service.
    pub payhost: payhost::Payhost,
    /// The shop's own address, without a slash at the end: where the buyer returns to.
    pub url: String,
    /// What signs payhost's webhooks (`whsec_…`); without it none is taken.
    pub webhook_secret: Option<String>,
}

/// All pages of the shop.
pub fn router(shop: Shop) -> Router {
    let shop = Arc::new(shop);
    Router::new()
        .route("/", get(shelf::products))
        .route("/cart", get(shelf::cart))
        .route("/cart/add", post(shelf::add))
        .route("/cart/set", post(shelf::set))
        .route("/checkout", get(checkout::form))
        .route("/orders", get(orders::list).post(checkout::place))
        .route("/orders/{id}", get(orders::show))
        .route("/orders/{id}/refund", post(orders::refund))
        .route("/orders/{id}/state", get(orders::state))
        .route("/orders/{id}/payment", post(pay::payment))
        .route("/orders/{id}/pay", post(pay::without_script))
        .route("/orders/{id}/cancel", get(orders::ask_cancel).post(orders::cancel))
        .route("/static/shop.css", get(|| file("text/css", include_str!("../static/shop.css"))))
        .route("/static/shop.js", get(|| file("text/javascript", include_str!("../static/shop.js"))))
        .route("/static/icon.svg", get(|| file("image/svg+xml", include_str!("../static/icon.svg"))))
        .fallback(|| async { error::Error::NotFound })
        .layer(from_fn_with_state(Arc::clone(&shop), visitor::recognise))
        .layer(from_fn(visitor::refuse_other_sites))
        // Not a visitor: no session, no language.
        .route("/webhooks", post(webhook::receive))
        .with_state(shop)
}

async fn file(kind: &'static str, text: &'static str) -> impl IntoResponse {
    ([(CONTENT_TYPE, kind)], text)
}
