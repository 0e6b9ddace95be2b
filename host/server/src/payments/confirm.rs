//! `POST /v1/payments/{id}/confirm`. Invariant: a payment with manual confirmation is approved only here, once; asking again
//! shows what came of it.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use payhost_core::Resolution;
use payhost_core::id::{CheckoutId, PaymentId, ShopId};
use payhost_engine::contract::types::Callback;
use payhost_store::rows::checkouts::{self, Checkout, CheckoutState};
use payhost_store::{Error, Sealed};
use serde_json::{Value, json};

use super::attempt::locked;
use super::complete::{Return, complete};
use super::model::PaymentOut;
use super::read::{find, show};
use super::settle::{Change, checkout_ended, shown_of};
use crate::channels::ready::Ready;
use crate::host::Host;
use crate::http::auth::ShopCaller;
use crate::http::idempotency::{IdempotencyKey, once};
use crate::http::json::PathId;
use crate::http::problem::{GatewayAnswer, Problem};
use crate::jobs::Done;
use crate::sealed::Place;

/// Approves a payment that waits for the shop (`confirm: manual`). Repeating it is safe: it is done once.
#[utoipa::path(
    post, path = "/v1/payments/{id}/confirm", tag = "payments",
    params(
        ("id" = String, Path, description = "`pay_…`"),
        ("Idempotency-Key" = Option<String>, Header, description = "Repeats of the request get the first answer"),
    ),
    responses(
        (status = 200, description = "Paid", body = PaymentOut),
        (status = 202, description = "Not known yet: `resolution` is `in_doubt`", body = PaymentOut),
        (status = "default", description = "A problem", body = Problem),
    )
)]
pub async fn confirm(
    State(host): State<Host>,
    caller: ShopCaller,
    PathId(id): PathId<PaymentId>,
    key: IdempotencyKey,
) -> Result<(StatusCode, Json<Value>), Problem> {
    find(&host, caller, id).await?.ok_or_else(|| Problem::not_found("payment"))?;
    let key = key.of(&host, &caller, &format!("POST /v1/payments/{id}/confirm"), b"")?;
    let host_in = host.clone();
    host.finish(async move { once(&host_in, key, now(&host_in, caller, id)).await }).await
}

async fn now(host: &Host, caller: ShopCaller, id: PaymentId) -> Result<(StatusCode, Value), Problem> {
    let newest = newest(host, caller, id).await?;
    if let Some((checkout, held)) = newest.and_then(|checkout| Some((checkout.clone(), checkout.callback?)))
        && checkout.state == CheckoutState::AwaitingConfirm
    {
        approve(host, checkout, held).await?;
    }
    settled(host, caller, id).await
}

/// The checkout that a confirmation is about: where a buyer waits for it, else the newest that was more than opened, else the
/// newest.
async fn newest(host: &Host, caller: ShopCaller, id: PaymentId) -> Result<Option<Checkout>, Problem> {
    let row = find(host, caller, id).await?.ok_or_else(|| Problem::not_found("payment"))?;
    let opened = host.store().read(move |tx| checkouts::of_payment(tx, row.shop_id, id)).await?;
    let newest =
        |wanted: fn(&CheckoutState) -> bool| opened.iter().rev().find(|checkout| wanted(&checkout.state));
    let waiting = newest(|state| *state == CheckoutState::AwaitingConfirm);
    let used = waiting.or_else(|| newest(|state| *state != CheckoutState::Opened));
    Ok(used.or(opened.last()).cloned())
}

/// Like a return, it reaches its end even when the caller hangs up: [`confirm`] sees to that.
async fn approve(host: &Host, checkout: Checkout, held: Sealed) -> Result<(), Problem> {
    let made_with = (checkout.plugin_digest.as_str(), checkout.revision);
    let ready = Ready::load_as(host, checkout.shop_id, checkout.channel_id, made_with).await?;
    let callback: Callback = Place::Held(checkout.id).open_json(&ready.key, &held)?;
    let order = super::order::open_sealed(&ready.key, &checkout)?;
    let returned = Return { order, callback, read: None };
    complete(host, &ready, &checkout, &[CheckoutState::AwaitingConfirm], returned).await
}

/// The answer, from what is stored.
async fn settled(host: &Host, caller: ShopCaller, id: PaymentId) -> Result<(StatusCode, Value), Problem> {
    let row = find(host, caller, id).await?.ok_or_else(|| Problem::not_found("payment"))?;
    if row.paid > 0 {
        return Ok((StatusCode::OK, json!(show(host, &row).await?)));
    }
    let newest = newest(host, caller, id).await?;
    let running = newest
        .as_ref()
        .is_some_and(|checkout| matches!(checkout.state, CheckoutState::Returned | CheckoutState::InDoubt));
    if row.resolution != Resolution::None || running {
        return Ok((StatusCode::ACCEPTED, json!(show(host, &row).await?)));
    }
    if row.given_up {
        let words = "the payment was given up before it was confirmed; nothing was charged";
        return Err(Problem::new("not_confirmable", words));
    }
    let words = "no buyer has come back from the window, or the time to confirm is over; nothing was charged";
    match newest.filter(|checkout| checkout.state == CheckoutState::Failed) {
        Some(checkout) => Err(refused(&shown_of(&host.shop_key(checkout.shop_id).await?, &checkout)?)),
        None => Err(Problem::new("not_confirmable", words)),
    }
}

/// Why the gateway did not approve.
fn refused(result: &Value) -> Problem {
    let text = |path: &str| result.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    if result.get("refusal").is_none() {
        return Problem::new("not_payable", format!("the payment was not approved: {}", text("/reason")));
    }
    let answer = GatewayAnswer {
        code: text("/refusal/code"),
        message: text("/refusal/message"),
        class: text("/refusal/class"),
        explanation: text("/refusal/explanation/ko"),
    };
    Problem::new("gateway_refused", text("/refusal/explanation/en"))
        .for_buyer(text("/refusal/explanation/ko"))
        .from_gateway(answer)
}

/// The time to confirm is over: nothing was sent, and nothing will be.
pub async fn unconfirmed(host: &Host, shop: ShopId, id: CheckoutId) -> Result<Done, String> {
    let host_in = host.clone();
    let done = host.store().transact(move |tx| {
        let host = &host_in;
        let Some(seen) = checkouts::get(tx, shop, id)? else { return Ok(Done::Finished) };
        let payment = locked(tx, shop, seen.payment_id)?;
        // Read under the lock: the shop may have confirmed while we waited for it.
        let Some(mut checkout) = checkouts::get(tx, shop, id)? else { return Ok(Done::Finished) };
        if checkout.state != CheckoutState::AwaitingConfirm {
            return Ok(Done::Finished);
        }
        checkout.callback = None;
        checkout_ended(tx, host, &mut checkout, CheckoutState::Failed, json!({"reason": "not_confirmed"}))?;
        let mut change = Change::begin(host, payment, None);
        change.event("checkout.failed", json!({"checkout_id": id, "reason": "not_confirmed"}));
        change.write(tx)?;
        Ok(Done::Finished)
    });
    let done: Result<Done, Error> = done.await;
    done.map_err(|error| error.to_string())
}
