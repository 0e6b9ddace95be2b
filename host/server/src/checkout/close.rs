//! A closed window. Invariant: closing never takes a payment back; it only says that the buyer left, and a return that comes
//! later all the same is still completed.

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use payhost_core::id::CheckoutId;
use payhost_store::Error;
use payhost_store::rows::attempts;
use payhost_store::rows::checkouts::{self, CheckoutState};
use serde_json::json;

use super::page::{ClosePage, render};
use super::result::{ResultToken, bad_link};
use super::token;
use crate::channels::ready::Ready;
use crate::host::{Host, hex, random};
use crate::http::json::PathId;
use crate::http::problem::Problem;
use crate::payments::settle::{Change, checkout_ended};

/// `GET /return/{checkout}/close`: the gateway's overlay shows this page when the buyer closed it. It tells the window page,
/// which is of the same origin, and runs the gateway's script that removes the overlay.
pub async fn page(State(host): State<Host>, PathId(id): PathId<CheckoutId>) -> Result<Response, Problem> {
    let checkout = host.store().read(move |tx| checkouts::get_of_any_shop(tx, id)).await?;
    let Some(checkout) = checkout else { return Ok(bad_link()) };
    let ready = Ready::load_as(
        &host,
        checkout.shop_id,
        checkout.channel_id,
        (&checkout.plugin_digest, checkout.revision),
    )
    .await?;
    let script = checkout.close_script.as_deref().map(|url| ready.browser_url(url));
    let nonce = hex(&random::<16>());
    let page = ClosePage { nonce: &nonce, checkout: &id.to_string(), close_script: script.as_deref() };
    Ok(render(StatusCode::OK, &page, &nonce, &ready.browser_origins()))
}

/// `POST /return/{checkout}/leave?token=…`: the buyer left without paying.
pub async fn leave(
    State(host): State<Host>,
    PathId(id): PathId<CheckoutId>,
    Query(query): Query<ResultToken>,
) -> Result<Response, Problem> {
    if !token::is_result(&host, id, &query.token) {
        return Ok(bad_link());
    }
    let host_in = host.clone();
    let left = host.store().transact(move |tx| {
        let host = &host_in;
        let found = checkouts::get_of_any_shop(tx, id)?;
        let mut checkout = found.ok_or(Error::NotFound { what: "checkout" })?;
        let completed = attempts::complete_of(tx, checkout.shop_id, id)?.is_some();
        if completed || checkout.state != CheckoutState::Opened {
            return Ok(());
        }
        let reason = json!({"reason": "cancelled_by_buyer"});
        checkout_ended(tx, host, &mut checkout, CheckoutState::CancelledByBuyer, reason)?;
        let payment = crate::payments::attempt::locked(tx, checkout.shop_id, checkout.payment_id)?;
        let mut change = Change::begin(host, payment, None);
        change.event("checkout.cancelled_by_buyer", json!({"checkout_id": id}));
        change.write(tx).map(|_| ())
    });
    let left: Result<(), Error> = left.await;
    left?;
    Ok(Redirect::to(&format!("/return/{id}?token={}", query.token)).into_response())
}
