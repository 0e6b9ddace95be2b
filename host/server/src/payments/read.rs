//! `GET /v1/payments…`. Invariant: a shop sees its own payments of the key's mode, a client token sees its one payment, and
//! everything else is a 404.

use axum::Json;
use axum::extract::State;
use axum::http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL};
use axum::response::IntoResponse;
use payhost_core::id::{PaymentId, ShopId};
use payhost_core::{PaymentState, Resolution};
use payhost_store::rows::jobs::{self, JobState};
use payhost_store::rows::payments::{self, Filter, Payment};
use payhost_store::rows::{Order, attempts, calls, channels, events, facts};
use payhost_store::{Error, Tx};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::attempt::outcome;
use super::create::METHODS;
use super::model::{PaymentOut, Support};
use crate::checkout::token;
use crate::host::Host;
use crate::http::auth::{Bearer, Caller, ShopCaller, identify};
use crate::http::json::{Params, PathId};
use crate::http::page::{Page, limit, page};
use crate::http::problem::Problem;
use crate::jobs::Task;
use crate::sealed::Place;
use crate::time::{bound, rfc3339};

/// Shows a payment. A browser may ask with the payment's client token.
#[utoipa::path(
    get, path = "/v1/payments/{id}", tag = "payments", params(("id" = String, Path, description = "`pay_…`")),
    responses((status = 200, body = PaymentOut), (status = "default", description = "A problem", body = Problem))
)]
pub async fn read(
    State(host): State<Host>,
    PathId(id): PathId<PaymentId>,
    bearer: Bearer,
) -> Result<impl IntoResponse, Problem> {
    let shop =
        token::shop_of_client(&bearer.0).filter(|shop| token::is_client(&host, (*shop, id), &bearer.0));
    let row = if let Some(shop) = shop {
        let row = host.store().read(move |tx| payments::get(tx, shop, id)).await?;
        row.filter(|row| row.expires_us > host.now_us())
    } else {
        let caller = identify(&host, &bearer).await?.shop()?;
        find(&host, caller, id).await?
    };
    let row = row.ok_or_else(|| Problem::not_found("payment"))?;
    let mut shown = show(&host, &row).await?;
    if shop.is_some() {
        // The shop's own values are not the buyer's.
        shown.metadata.clear();
    }
    // A client token is in the hands of the page that asks; the origin adds nothing to it.
    Ok(([(ACCESS_CONTROL_ALLOW_ORIGIN, "*"), (CACHE_CONTROL, "no-store")], Json(shown)))
}

/// Answers a browser that asks whether it may read a payment from the shop's page.
pub async fn preflight() -> impl IntoResponse {
    [
        ("access-control-allow-origin", "*"),
        ("access-control-allow-methods", "GET"),
        ("access-control-allow-headers", "authorization"),
        ("access-control-max-age", "600"),
    ]
}

/// The payment of a caller's shop and mode.
pub async fn find(host: &Host, caller: ShopCaller, id: PaymentId) -> Result<Option<Payment>, Problem> {
    let row = host.store().read(move |tx| payments::get(tx, caller.shop_id, id)).await?;
    Ok(row.filter(|row| row.mode == caller.mode))
}

/// The payment as the API shows it.
pub async fn show(host: &Host, row: &Payment) -> Result<PaymentOut, Error> {
    let key = host.shop_key(row.shop_id).await?;
    let mut shown = PaymentOut::of(&key, row, support(host, row).await)?;
    if row.resolution == Resolution::InDoubt {
        let (shop, id) = (row.shop_id, row.id);
        let next_us = host.store().read(move |tx| next_try_us(tx, shop, id)).await;
        let next_us =
            next_us.inspect_err(|error: &Error| tracing::error!(%error, payment = %id, "no next try"));
        shown.next_try_at = next_us.ok().flatten().map(rfc3339);
    }
    Ok(shown)
}

/// When the gateway is asked next how a payment's open attempt ended, in microseconds; what is being asked was due before.
pub fn next_try_us(tx: &mut Tx<'_>, shop: ShopId, payment: PaymentId) -> Result<Option<i64>, Error> {
    let Some(attempt) = attempts::open_of(tx, shop, payment)? else { return Ok(None) };
    let job = jobs::get(tx, shop, &Task::Resolve { shop, attempt: attempt.id }.key())?;
    let waiting = job.filter(|job| job.state == JobState::Waiting);
    // While it is at work its due time is the end of its lease.
    Ok(waiting.map(|job| if job.lease_token.is_some() { job.updated_us } else { job.due_us }))
}

/// What the payment's plugin says of the method that it was paid with; nothing while it is not paid.
pub async fn support(host: &Host, row: &Payment) -> Support {
    if row.paid <= row.cancelled {
        return Support::default();
    }
    let (shop, id) = (row.shop_id, row.channel_id);
    let channel = host.store().read(move |tx| channels::get(tx, shop, id)).await;
    let Ok(Some(channel)) =
        channel.inspect_err(|error: &payhost_store::Error| tracing::error!(%error, "no channel"))
    else {
        return Support::default();
    };
    let plugin = host.plugins().get(host, &channel.plugin_digest).await;
    plugin.map_or_else(
        |_| Support::default(),
        |plugin| Support::of(plugin.descriptor(), row.paid_method.as_ref()),
    )
}

/// Longest text that is looked for, in characters.
const TEXT_MAX: usize = 100;

/// Which payments.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListParams {
    /// Only those of an order.
    pub order_id: Option<String>,
    /// Only those in a state.
    pub state: Option<String>,
    /// Only those whose `resolution` is this: `in_doubt`, `needs_operator` or `none`.
    pub resolution: Option<String>,
    /// Only those paid so, or to be paid so: the `kind` of a method, as `card`.
    pub method: Option<String>,
    /// Only those of this total, in minor units.
    pub total: Option<i64>,
    /// Only those with this text in their order id or order name.
    #[param(max_length = 100)]
    pub text: Option<String>,
    /// Only those made at or after this moment: RFC 3339, or a date, which means 00:00 in Seoul.
    pub from: Option<String>,
    /// Only those made until this moment: RFC 3339, or a date, which means the whole day in Seoul.
    pub until: Option<String>,
    /// At most 100; default 20.
    pub limit: Option<u32>,
    /// The cursor of the page before.
    pub after: Option<String>,
}

/// Lists payments, newest first.
#[utoipa::path(
    get, path = "/v1/payments", tag = "payments", params(ListParams),
    responses((status = 200, body = Page<PaymentOut>), (status = "default", description = "A problem", body = Problem))
)]
pub async fn list(
    State(host): State<Host>,
    caller: ShopCaller,
    Params(params): Params<ListParams>,
) -> Result<Json<Page<PaymentOut>>, Problem> {
    let limit = limit(params.limit)?;
    let after = match &params.after {
        None => None,
        Some(text) => Some(text.parse().map_err(|_| Problem::field("after", "not a cursor of this list"))?),
    };
    let state = match &params.state {
        None => None,
        Some(text) => Some(PaymentState::parse(text).ok_or_else(|| {
            let known: Vec<&str> = PaymentState::TABLE.iter().map(|(_, word)| *word).collect();
            Problem::field("state", format!("one of: {}", known.join(", ")))
        })?),
    };
    let resolution = match &params.resolution {
        None => None,
        Some(text) => Some(
            Resolution::parse(text)
                .ok_or_else(|| Problem::field("resolution", "none, in_doubt or needs_operator"))?,
        ),
    };
    if params.method.as_ref().is_some_and(|kind| !METHODS.contains(&kind.as_str())) {
        return Err(Problem::field("method", format!("one of: {}", METHODS.join(", "))));
    }
    if params.text.as_ref().is_some_and(|text| text.is_empty() || text.chars().count() > TEXT_MAX) {
        return Err(Problem::field("text", format!("1 to {TEXT_MAX} characters")));
    }
    let moment = |field: &str, text: &Option<String>, end: bool| match text {
        None => Ok(None),
        Some(text) => bound(text, end).map(Some).ok_or_else(|| Problem::field(field, "RFC 3339 or a date")),
    };
    let from_us = moment("from", &params.from, false)?;
    let until_us = moment("until", &params.until, true)?;
    let rows = host.store().read(move |tx| {
        let filter = Filter {
            mode: caller.mode,
            order_id: params.order_id.as_deref(),
            state,
            resolution,
            method: params.method.as_deref(),
            total: params.total,
            text: params.text.as_deref(),
            from_us,
            until_us,
            order: Order::NewestFirst,
            after,
            limit: i64::from(limit) + 1,
        };
        payments::list(tx, caller.shop_id, &filter)
    });
    let rows = rows.await?;
    let mut shown = Vec::with_capacity(rows.len());
    for row in &rows {
        shown.push(show(&host, row).await?);
    }
    Ok(Json(page(shown, limit, |payment| payment.id.clone())))
}

/// Something that happened to a payment.
#[derive(Debug, Serialize, ToSchema)]
pub struct TimelineItem {
    /// `event`, `attempt`, `fact` or `call`.
    pub kind: &'static str,
    /// When, RFC 3339.
    pub at: String,
    /// Its name: of the event, or the attempt's kind and state, or the fact's kind, or the function that was called.
    pub name: String,
    /// More of it.
    #[schema(value_type = Object)]
    pub data: Value,
    #[serde(skip)]
    at_us: i64,
}

/// Everything that happened to a payment.
#[derive(Debug, Serialize, ToSchema)]
pub struct Timeline {
    /// Oldest first.
    pub data: Vec<TimelineItem>,
}

/// Shows what happened to a payment: attempts, facts, events and the plugin's calls, oldest first.
#[utoipa::path(
    get, path = "/v1/payments/{id}/timeline", tag = "payments", params(("id" = String, Path, description = "`pay_…`")),
    responses((status = 200, body = Timeline), (status = "default", description = "A problem", body = Problem))
)]
pub async fn timeline(
    State(host): State<Host>,
    caller: Caller,
    PathId(id): PathId<PaymentId>,
) -> Result<Json<Timeline>, Problem> {
    let row = find(&host, caller.shop()?, id).await?.ok_or_else(|| Problem::not_found("payment"))?;
    let shop = row.shop_id;
    let key = host.shop_key(shop).await?;
    let items = host.store().read(move |tx| {
        let mut items = Vec::new();
        for event in events::of_payment(tx, shop, id)? {
            let payload: Value = Place::Event(event.id).open_json(&key, &event.payload)?;
            let data = payload.get("data").cloned().unwrap_or_default();
            items.push(item("event", event.created_us, event.name, data));
        }
        for attempt in attempts::of_payment(tx, shop, id)? {
            let name = format!("{} {}", attempt.kind.as_str(), attempt.state.as_str());
            items.push(item("attempt", attempt.created_us, name, outcome(&key, &attempt)?));
        }
        for fact in facts::of_payment(tx, shop, id)? {
            let data = serde_json::json!({"amount": fact.amount, "gateway_ref": fact.gateway_ref});
            items.push(item("fact", fact.created_us, fact.kind.as_str().to_owned(), data));
        }
        for call in calls::of_payment(tx, shop, id)? {
            let fault =
                call.fault.map(|sealed| Place::Fault(call.id).open_words(&key, &sealed)).transpose()?;
            let data = serde_json::json!({
                "id": call.id, "duration_us": call.duration_us, "cpu_us": call.cpu_us,
                "memory_bytes": call.memory_bytes, "fault": fault,
            });
            items.push(item("call", call.at_us, call.function, data));
        }
        items.sort_by_key(|item| item.at_us);
        Ok::<_, payhost_store::Error>(items)
    });
    Ok(Json(Timeline { data: items.await? }))
}

fn item(kind: &'static str, at_us: i64, name: String, data: Value) -> TimelineItem {
    TimelineItem { kind, at: rfc3339(at_us), name, data, at_us }
}
