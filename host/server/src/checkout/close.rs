//! A closed window. Invariant: closing never takes a payment back; it only says that the buyer left, and a return that comes
//! later all the same is still completed.

use axum::extract::{Query, RawQuery, State};
use axum::response::{IntoResponse, Redirect, Response};
use payhost_core::id::CheckoutId;
use payhost_store::Error;
use payhost_store::rows::attempts;
use payhost_store::rows::checkouts::{self, CheckoutState};
use serde_json::json;

use super::page::{ClosePage, render_window};
use super::result::{ResultToken, bad_link, gone};
use super::return_path;
use super::token::{self, Way};
use super::words::words;
use crate::channels::ready::Ready;
use crate::host::{Host, hex, random};
use crate::http::json::PathOfShop;
use crate::http::problem::Problem;
use crate::payments::attempt::locked;
use crate::payments::settle::{Change, checkout_ended};

/// `GET /return/{shop}/{checkout}/close?proof=…`: the gateway's overlay shows this page when the buyer closed it. It tells the window page,
/// which is of the same origin, and runs the gateway's script that removes the overlay.
pub async fn page(
    State(host): State<Host>,
    PathOfShop(shop, id): PathOfShop<CheckoutId>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    if Way::Close.proven(&host, (shop, id), query.as_deref().unwrap_or_default()).is_none() {
        return Ok(bad_link());
    }
    let checkout = host.store().read(move |tx| checkouts::get(tx, shop, id)).await?;
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
    Ok(render_window(&page, &nonce, &ready.browser_sources()))
}

/// `POST /return/{shop}/{checkout}/leave?token=…`: the buyer left without paying.
pub async fn leave(
    State(host): State<Host>,
    PathOfShop(shop, id): PathOfShop<CheckoutId>,
    Query(query): Query<ResultToken>,
) -> Result<Response, Problem> {
    match token::read_result(&host, (shop, id), &query.token) {
        Some(until_us) if until_us > host.now_us() => {}
        Some(_) => return Ok(gone(words("ko"))),
        None => return Ok(bad_link()),
    }
    let host_in = host.clone();
    let left = host.store().transact(move |tx| {
        let host = &host_in;
        let missing = Error::NotFound { what: "checkout" };
        let Some(seen) = checkouts::get(tx, shop, id)? else { return Err(missing) };
        let payment = locked(tx, shop, seen.payment_id)?;
        // Read under the lock: the buyer may have paid in this window while we waited for it.
        let mut checkout = checkouts::get(tx, shop, id)?.ok_or(missing)?;
        let completed = attempts::complete_of(tx, shop, id)?.is_some();
        if completed || checkout.state != CheckoutState::Opened {
            return Ok(());
        }
        let reason = json!({"reason": "cancelled_by_buyer"});
        checkout_ended(tx, host, &mut checkout, CheckoutState::CancelledByBuyer, reason)?;
        let mut change = Change::begin(host, payment, None);
        change.event("checkout.cancelled_by_buyer", json!({"checkout_id": id}));
        change.write(tx).map(|_| ())
    });
    let left: Result<(), Error> = left.await;
    left?;
    let token = token::result(&host, (shop, id), 0)?;
    Ok(Redirect::to(&format!("{}?token={token}", return_path(shop, id))).into_response())
}
