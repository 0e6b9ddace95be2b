//! `/v1/events`. Invariant: the body that a receiver gets is what `GET /v1/events/{id}` answers, to the byte, at every try.

use axum::Json;
use axum::extract::State;
use payhost_core::id::{EventId, PaymentId};
use payhost_store::rows::events::{self as rows, Event};
use payhost_store::{Error, ShopKey};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::endpoints::cursor;
use super::names::is_known;
use crate::host::Host;
use crate::http::auth::ShopCaller;
use crate::http::json::{Params, PathId};
use crate::http::page::{Page, limit, page};
use crate::http::problem::Problem;
use crate::sealed::Place;
use crate::time::rfc3339;

/// Something that happened.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventOut {
    /// `evt_…`: also the header `webhook-id`, the same at every try.
    pub id: String,
    /// Its name, such as `payment.paid`.
    #[serde(rename = "type")]
    pub name: String,
    /// When it happened, RFC 3339.
    pub timestamp: String,
    /// What it is about.
    pub data: EventData,
}

/// What an event is about.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventData {
    /// The event's number within its payment, from 1 without gaps. A lower one than the last is old news.
    pub sequence: Option<i64>,
    /// The payment as `GET /v1/payments/{id}` showed it at that moment.
    #[schema(value_type = Option<crate::payments::model::PaymentOut>)]
    pub payment: Value,
    /// More about the event, by its name.
    #[schema(value_type = Option<Object>)]
    pub detail: Value,
    /// `true`: made by `payhost trigger`; nothing of it happened.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub sample: bool,
}

impl EventOut {
    /// From the stored row.
    pub fn of(key: &ShopKey, row: &Event) -> Result<Self, Error> {
        let mut payload: Value = Place::Event(row.id).open_json(key, &row.payload)?;
        let mut take = |name: &str| payload.get_mut(name).map(Value::take).unwrap_or_default();
        let (payment, detail, sample) = (take("payment"), take("data"), take("sample"));
        Ok(Self {
            id: row.id.to_string(),
            name: row.name.clone(),
            timestamp: rfc3339(row.created_us),
            data: EventData { sequence: row.sequence, payment, detail, sample: sample == Value::Bool(true) },
        })
    }

    /// The body of a webhook.
    pub fn body(key: &ShopKey, row: &Event) -> Result<String, Error> {
        serde_json::to_string(&Self::of(key, row)?).map_err(|error| Error::Json(error.to_string()))
    }
}

/// Which events.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EventParams {
    /// Only those of a payment.
    pub payment_id: Option<String>,
    /// Only those of a name.
    #[serde(rename = "type")]
    #[param(rename = "type")]
    pub name: Option<String>,
    /// At most 100; default 20.
    pub limit: Option<u32>,
    /// The cursor of the page before.
    pub after: Option<String>,
}

/// Lists events, newest first.
#[utoipa::path(
    get, path = "/v1/events", tag = "webhooks", params(EventParams),
    responses((status = 200, body = Page<EventOut>), (status = "default", description = "A problem", body = Problem))
)]
pub async fn list(
    State(host): State<Host>,
    caller: ShopCaller,
    Params(params): Params<EventParams>,
) -> Result<Json<Page<EventOut>>, Problem> {
    let limit = limit(params.limit)?;
    let before: Option<EventId> = cursor(params.after.as_deref())?;
    let payment: Option<PaymentId> = match &params.payment_id {
        None => None,
        Some(text) => {
            Some(text.parse().map_err(|_| Problem::field("payment_id", "not the id of a payment"))?)
        }
    };
    if params.name.as_deref().is_some_and(|name| !is_known(name)) {
        return Err(Problem::field("type", "there is no such event"));
    }
    let rows = host.store().read(move |tx| {
        let name = params.name.as_deref();
        let filter = rows::Filter { mode: caller.mode, payment, name, before, limit: i64::from(limit) + 1 };
        rows::list(tx, caller.shop_id, &filter)
    });
    let (rows, key) = (rows.await?, host.shop_key(caller.shop_id).await?);
    let shown = rows.iter().map(|row| EventOut::of(&key, row)).collect::<Result<Vec<_>, Error>>()?;
    Ok(Json(page(shown, limit, |event: &EventOut| event.id.clone())))
}

/// The caller's event; another shop's or mode's is not there.
pub async fn find(host: &Host, caller: ShopCaller, id: EventId) -> Result<Event, Problem> {
    let row = host.store().read(move |tx| rows::get(tx, caller.shop_id, id)).await?;
    row.filter(|row| row.mode == caller.mode).ok_or_else(|| Problem::not_found("event"))
}

/// Shows an event, as receivers get it.
#[utoipa::path(
    get, path = "/v1/events/{id}", tag = "webhooks", params(("id" = String, Path, description = "`evt_…`")),
    responses((status = 200, body = EventOut), (status = "default", description = "A problem", body = Problem))
)]
pub async fn read(
    State(host): State<Host>,
    caller: ShopCaller,
    PathId(id): PathId<EventId>,
) -> Result<Json<EventOut>, Problem> {
    let row = find(&host, caller, id).await?;
    Ok(Json(EventOut::of(&host.shop_key(row.shop_id).await?, &row)?))
}
