//! `POST /v1/events/samples`. Invariant: a sample exists in test mode only, is marked in its body, belongs to no payment, and
//! takes the same way as a true event; events stay for ever, so that a shop makes only so many.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use payhost_core::id::{ChannelId, EventId, PaymentId};
use payhost_store::rows::Mode;
use payhost_store::rows::endpoints;
use payhost_store::rows::events::{self as rows, Event};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::events::EventOut;
use super::names::{EVENTS, is_known, wants};
use crate::host::Host;
use crate::http::auth::ShopCaller;
use crate::http::json::Body;
use crate::http::problem::Problem;
use crate::payments::model::{AmountOut, MethodIo, PaymentOut};
use crate::sealed::Place;
use crate::shops::manage::tenant;
use crate::time::rfc3339;

/// Won of the sample.
const TOTAL: i64 = 20_900;
/// Samples that a shop makes in an hour.
const HOURLY: i64 = 1_000;

/// A sample event.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SampleIn {
    /// Its name, such as `payment.paid`.
    #[serde(rename = "type")]
    pub name: String,
}

/// Sends a sample event to the shop's endpoints, in test mode only. It is marked with `data.sample: true`.
#[utoipa::path(
    post, path = "/v1/events/samples", tag = "webhooks", request_body = SampleIn,
    responses((status = 201, body = EventOut), (status = "default", description = "A problem", body = Problem))
)]
pub async fn create(
    State(host): State<Host>,
    caller: ShopCaller,
    body: Body<SampleIn>,
) -> Result<(StatusCode, Json<EventOut>), Problem> {
    let name = body.value.name;
    if caller.mode != Mode::Test {
        return Err(Problem::new(
            "forbidden",
            "samples are for test mode; use a key that begins with sk_test_",
        ));
    }
    if !is_known(&name) {
        let names: Vec<&str> = EVENTS.iter().map(|(name, _)| *name).collect();
        return Err(Problem::field("type", format!("one of: {}", names.join(", "))));
    }
    let key = host.shop_key(caller.shop_id).await?;
    let id = host.new_id(EventId::new);
    let payload = json!({"payment": payment(&host, &name), "data": null, "sample": true});
    let event = Event {
        id,
        shop_id: caller.shop_id,
        mode: caller.mode,
        payment_id: None,
        sequence: None,
        payload: Place::Event(id).seal_json(&key, &payload)?,
        name,
        created_us: host.now_us(),
    };
    let shown = EventOut::of(&key, &event)?;
    let hour_ago = EventId::new(host.now_ms().saturating_sub(3600 * 1000), [0; 10]);
    let made = host.store().transact(move |tx| {
        tenant(tx, event.shop_id)??;
        if rows::loose_since(tx, event.shop_id, hour_ago, HOURLY)? >= HOURLY {
            let words = format!("a shop makes at most {HOURLY} samples in an hour");
            return Err(Problem::new("too_many_requests", words));
        }
        let mut listens = false;
        for endpoint in endpoints::list(tx, event.shop_id, event.mode)? {
            let chosen: Vec<String> = endpoint.events.to()?;
            listens |= endpoint.enabled && endpoint.url.is_some() && wants(&chosen, &event.name);
        }
        if listens {
            rows::insert(tx, &event)?;
        }
        Ok::<_, Problem>(listens)
    });
    if !made.await? {
        let words = "the shop has no endpoint with an address that is switched on and chose this event";
        return Err(Problem::new("conflict", words));
    }
    host.settled().notify_waiters();
    Ok((StatusCode::CREATED, Json(shown)))
}

/// A payment as it would look; nothing for an event that is about none.
fn payment(host: &Host, name: &str) -> Option<PaymentOut> {
    let state = match name.split_once('.')? {
        ("payment", "in_doubt" | "needs_operator" | "alarm" | "resolved") | ("checkout", _) => "pending",
        ("payment", "deposit_short") => "awaiting_deposit",
        ("payment", "deposit_over" | "deposit_late" | "cancel_failed" | "doubt_ended") => "paid",
        ("payment", "deposit_cancelled" | "changed_at_gateway") => "cancelled",
        ("payment", state) => state,
        _ => return None,
    };
    let resolution = match name {
        "payment.in_doubt" => "in_doubt",
        "payment.needs_operator" => "needs_operator",
        _ => "none",
    };
    let paid = if matches!(state, "paid" | "partially_cancelled" | "cancelled") { TOTAL } else { 0 };
    let cancelled = match state {
        "partially_cancelled" => 900,
        "cancelled" => TOTAL,
        _ => 0,
    };
    let now_us = host.now_us();
    Some(PaymentOut {
        id: host.new_id(PaymentId::new).to_string(),
        mode: Mode::Test.as_str().to_owned(),
        state: state.to_owned(),
        resolution: resolution.to_owned(),
        order_id: "SAMPLE-1".to_owned(),
        order_name: "견본 주문".to_owned(),
        amount: AmountOut {
            total: TOTAL,
            currency: "KRW".to_owned(),
            tax_free: None,
            vat: None,
            paid,
            cancelled,
            cancellable: paid.saturating_sub(cancelled),
        },
        cancellable: None,
        channel_id: host.new_id(ChannelId::new).to_string(),
        method: Some(MethodIo { kind: "card".to_owned(), provider: None }),
        gateway_ref: None,
        approval_number: None,
        issuer: None,
        acquirer: None,
        masked_number: None,
        instalments: None,
        interest_free: None,
        wallet: None,
        points: None,
        discount: None,
        virtual_account: None,
        receipt_url: None,
        cash_receipt: None,
        metadata: Map::from_iter([("sample".to_owned(), Value::Bool(true))]),
        created_at: rfc3339(now_us),
        expires_at: rfc3339(now_us.saturating_add(24 * 3600 * 1_000_000)),
        approved_at: (paid > 0).then(|| rfc3339(now_us)),
        last_failure: None,
        next_try_at: None,
    })
}
