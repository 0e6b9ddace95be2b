//! `GET /v1/figures`. Invariant: the numbers that an operator watches are counted in the database, so that every node says the
//! same.

use axum::Json;
use axum::extract::State;
use payhost_core::Resolution;
use payhost_store::Error;
use payhost_store::rows::{endpoints, jobs, payments};
use serde::Serialize;
use utoipa::ToSchema;

use crate::host::Host;
use crate::http::auth::Operator;
use crate::http::problem::Problem;
use crate::time::rfc3339;

/// How the host stands, over all shops.
#[derive(Debug, Serialize, ToSchema)]
pub struct Figures {
    /// Payments whose last attempt's outcome is being asked about. Above 0 for long: a gateway is silent.
    pub in_doubt: i64,
    /// Payments that wait for a person. Above 0: look at each, and tell what was found (`…/resolve`).
    pub needs_operator: i64,
    /// The longest that one of both was not changed, RFC 3339.
    pub unresolved_since: Option<String>,
    /// When the next job falls due, RFC 3339. Long in the past: jobs are not being done.
    pub next_job_at: Option<String>,
    /// Webhook endpoints where nothing arrives now; their shops are told late.
    pub endpoints_failing: i64,
    /// Webhook endpoints that this host switched off because nothing arrived: their shops are told nothing any more, and may not
    /// know it.
    pub endpoints_switched_off: i64,
}

/// Shows how the host stands.
#[utoipa::path(
    get, path = "/v1/figures", tag = "set-up",
    responses((status = 200, body = Figures), (status = "default", description = "A problem", body = Problem))
)]
pub async fn figures(State(host): State<Host>, _: Operator) -> Result<Json<Figures>, Problem> {
    let read = host.store().read(|tx| {
        Ok::<_, Error>((payments::unresolved(tx)?, jobs::next_due(tx)?, endpoints::standing(tx)?))
    });
    let (unresolved, next_us, receivers) = read.await?;
    let count = |wanted: Resolution| {
        unresolved.iter().find(|(resolution, ..)| *resolution == wanted).map_or(0, |(_, count, _)| *count)
    };
    Ok(Json(Figures {
        in_doubt: count(Resolution::InDoubt),
        needs_operator: count(Resolution::NeedsOperator),
        unresolved_since: unresolved.iter().map(|(.., since_us)| *since_us).min().map(rfc3339),
        next_job_at: next_us.map(rfc3339),
        endpoints_failing: receivers.failing,
        endpoints_switched_off: receivers.switched_off,
    }))
}
