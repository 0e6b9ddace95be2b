//! `GET /v1/plugins/figures`: what plugin calls cost. Invariant: numbers only; what a call was about is in its shop's journal.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::host::Host;
use crate::http::auth::Operator;

/// What plugin calls cost since the start of this process.
#[derive(Debug, Serialize, ToSchema)]
#[non_exhaustive]
pub struct FiguresOut {
    /// All calls: `calls`, `in_flight`, `faults`, `limited`, `overloaded`, `pooled`, `memories`, `idle_resident_bytes`.
    #[schema(value_type = Object)]
    pub engine: Value,
    /// By shop: `calls`, `faults`, `cpu_us`, `requests`, `over_quota`. Shops that were long idle may be summed up without a
    /// name.
    pub shops: Vec<ShopFiguresOut>,
}

/// What the calls of one shop cost.
#[derive(Debug, Serialize, ToSchema)]
#[non_exhaustive]
pub struct ShopFiguresOut {
    /// `shop_…`.
    pub shop_id: String,
    /// Calls that ended.
    pub calls: u64,
    /// Of these, those that ended with a fault.
    pub faults: u64,
    /// Time on a processor, microseconds.
    pub cpu_us: u64,
    /// Requests that left, or could have.
    pub requests: u64,
    /// Requests that did not get a connection within the shop's quota.
    pub over_quota: u64,
}

/// Shows what plugin calls cost since the start, in all and by shop. What one call cost is in its payment's timeline.
#[utoipa::path(
    get, path = "/v1/plugins/figures", tag = "set-up",
    responses((status = 200, body = FiguresOut), (status = "default", description = "A problem", body = crate::http::problem::Problem))
)]
pub async fn read(State(host): State<Host>, _: Operator) -> Json<FiguresOut> {
    let shops = host.engine().shops().into_iter().map(|(shop_id, used)| ShopFiguresOut {
        shop_id,
        calls: used.calls,
        faults: used.faults,
        cpu_us: used.cpu_us,
        requests: used.requests,
        over_quota: used.over_quota,
    });
    Json(FiguresOut { engine: json!(host.engine().figures()), shops: shops.collect() })
}
