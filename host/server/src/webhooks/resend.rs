//! Sending again. Invariant: what is sent again keeps its `webhook-id`, so that a receiver that had it knows it.

use axum::Json;
use axum::extract::State;
use payhost_core::id::{EndpointId, EventId};
use payhost_store::Error;
use payhost_store::rows::deliveries::{self, DeliveryState};
use payhost_store::rows::{endpoints, events};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::endpoints::find as find_endpoint;
use super::events::find as find_event;
use super::expand::delivery;
use super::names::wants;
use crate::host::Host;
use crate::http::auth::ShopCaller;
use crate::http::json::{Body, PathId};
use crate::http::problem::Problem;
use crate::time::parse_moment;

/// Events that are looked at in one transaction.
const PART: i64 = 200;
/// Most events of a range: one request must not fill the disk.
const RANGE_MAX: usize = 20_000;

/// Where to.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResendIn {
    /// Only to this endpoint, also when it did not choose the event. Absent: to all that chose it.
    #[serde(default)]
    pub endpoint_id: Option<String>,
}

/// A range of events.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RangeIn {
    /// From this moment: RFC 3339.
    pub from: String,
    /// Until this moment: RFC 3339. Absent: now.
    #[serde(default)]
    pub to: Option<String>,
    /// Also what was delivered before. Default: only what was not.
    #[serde(default)]
    pub delivered_too: bool,
}

/// What was asked for.
#[derive(Debug, Serialize, ToSchema)]
pub struct Resent {
    /// How many deliveries will be made.
    pub deliveries: u32,
}

/// Sends one event again, now.
#[utoipa::path(
    post, path = "/v1/events/{id}/resend", tag = "webhooks", request_body = ResendIn,
    params(("id" = String, Path, description = "`evt_…`")),
    responses((status = 200, body = Resent), (status = "default", description = "A problem", body = Problem))
)]
pub async fn one(
    State(host): State<Host>,
    caller: ShopCaller,
    PathId(id): PathId<EventId>,
    body: Body<ResendIn>,
) -> Result<Json<Resent>, Problem> {
    let event = find_event(&host, caller, id).await?;
    let named = match body.value.endpoint_id.as_deref() {
        None => None,
        Some(text) => {
            let id = text.parse::<EndpointId>().map_err(|_| Problem::not_found("endpoint"))?;
            let endpoint = find_endpoint(&host, caller, id).await?;
            if !endpoint.enabled {
                return Err(Problem::field("endpoint_id", "this endpoint is switched off"));
            }
            Some(id)
        }
    };
    let now_us = host.now_us();
    let sent = host.store().transact(move |tx| {
        let mut sent = 0_u32;
        for endpoint in endpoints::list(tx, caller.shop_id, caller.mode)? {
            let chosen: Vec<String> = endpoint.events.to()?;
            let meant = named.map_or_else(|| wants(&chosen, &event.name), |named| named == endpoint.id);
            if !meant || !endpoint.enabled {
                continue;
            }
            if let Some(delivery) = delivery(tx, &endpoint, &event, now_us)?
                && deliveries::again(tx, &delivery, None)?
            {
                endpoints::wake(tx, caller.shop_id, endpoint.id, now_us)?;
                sent = sent.saturating_add(1);
            }
        }
        Ok::<_, Error>(sent)
    });
    let deliveries = sent.await?;
    host.settled().notify_waiters();
    Ok(Json(Resent { deliveries }))
}

/// Sends the events of a time again that the endpoint chose.
#[utoipa::path(
    post, path = "/v1/webhook-endpoints/{id}/resend", tag = "webhooks", request_body = RangeIn,
    params(("id" = String, Path, description = "`wep_…`")),
    responses((status = 200, body = Resent), (status = "default", description = "A problem", body = Problem))
)]
pub async fn range(
    State(host): State<Host>,
    caller: ShopCaller,
    PathId(id): PathId<EndpointId>,
    body: Body<RangeIn>,
) -> Result<Json<Resent>, Problem> {
    let endpoint = find_endpoint(&host, caller, id).await?;
    let input = body.value;
    if !endpoint.enabled {
        return Err(Problem::new("conflict", "this endpoint is switched off; switch it on first"));
    }
    let moment = |field: &str, text: &str| {
        parse_moment(text).ok_or_else(|| Problem::field(field, "RFC 3339, such as 2026-11-21T10:00:00+09:00"))
    };
    let from_us = moment("from", &input.from)?;
    let to_us = input.to.as_deref().map(|text| moment("to", text)).transpose()?.unwrap_or(host.now_us());
    if to_us < from_us {
        return Err(Problem::field("to", "not before from"));
    }
    let chosen: Vec<String> = endpoint.events.to()?;
    let unless = (!input.delivered_too).then_some(DeliveryState::Delivered);
    // Ids carry their milliseconds: a range of time is a range of ids.
    let edge = |us: i64| EventId::new(us / 1000, [0; 10]);
    let (mut from, to) = (edge(from_us), edge(to_us.saturating_add(1000)));
    let (mut deliveries, mut looked_at) = (0_u32, 0_usize);
    loop {
        let (id, chosen, now_us) = (endpoint.id, chosen.clone(), host.now_us());
        let part = host.store().transact(move |tx| {
            // It may have been switched off or removed since the part before.
            let endpoint = endpoints::get(tx, caller.shop_id, id)?.filter(|endpoint| endpoint.enabled);
            let Some(endpoint) = endpoint else { return Err(Error::Stale { what: "endpoint" }) };
            let found = events::range(tx, (caller.shop_id, caller.mode), (from, to), PART)?;
            let mut sent = 0_u32;
            for event in found.iter().filter(|event| wants(&chosen, &event.name)) {
                if let Some(delivery) = delivery(tx, &endpoint, event, now_us)?
                    && deliveries::again(tx, &delivery, unless)?
                {
                    sent = sent.saturating_add(1);
                }
            }
            endpoints::wake(tx, caller.shop_id, endpoint.id, now_us)?;
            Ok::<_, Error>((found.len(), found.last().map(|event| event.id), sent))
        });
        let (found, last, sent) = part.await?;
        deliveries = deliveries.saturating_add(sent);
        looked_at = looked_at.saturating_add(found);
        host.settled().notify_waiters();
        match last {
            Some(_) if looked_at >= RANGE_MAX => {
                let words = format!(
                    "at most {RANGE_MAX} events at once; those from `from` on were sent, ask for the rest"
                );
                return Err(Problem::field("to", words));
            }
            Some(last) => from = last,
            None => return Ok(Json(Resent { deliveries })),
        }
    }
}
