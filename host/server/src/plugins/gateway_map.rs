//! `/v1/gateway-map`. Invariant: the map is for test channels only and applied beneath the plugin's http: the plugin always
//! sees the gateway's real names.

use std::net::SocketAddr;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use payhost_store::Error;
use payhost_store::rows::gateway_map::{self, GatewayMap};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::host::Host;
use crate::http::auth::Operator;
use crate::http::json::Body;
use crate::http::page::Page;
use crate::http::problem::Problem;
use crate::shops::manage::origin;

/// Where one origin of a gateway leads.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MapEntry {
    /// The gateway's real origin.
    pub origin: String,
    /// Address and port that the host connects to. TLS still asks for the gateway's name.
    pub connect: String,
    /// The only CA that is trusted there (PEM). Absent: the public ones.
    #[serde(default)]
    pub ca_pem: Option<String>,
    /// Origin that browsers use instead. Absent: the real one.
    #[serde(default)]
    pub browser_origin: Option<String>,
}

impl MapEntry {
    fn row(self, created_us: i64) -> Result<GatewayMap, Problem> {
        let real = origin("origin", &self.origin)?;
        if !real.starts_with("https://") {
            return Err(Problem::field("origin", "a gateway's origin begins with https://"));
        }
        if self.connect.parse::<SocketAddr>().is_err() {
            return Err(Problem::field("connect", "an address with a port, such as 127.0.0.1:4103"));
        }
        if self.ca_pem.as_deref().is_some_and(|pem| !pem.contains("BEGIN CERTIFICATE")) {
            return Err(Problem::field("ca_pem", "a certificate in PEM"));
        }
        let browser_origin =
            self.browser_origin.as_deref().map(|text| origin("browser_origin", text)).transpose()?;
        Ok(GatewayMap {
            origin: real,
            connect: self.connect,
            ca_pem: self.ca_pem,
            browser_origin,
            created_us,
        })
    }
}

impl From<GatewayMap> for MapEntry {
    fn from(row: GatewayMap) -> Self {
        Self {
            origin: row.origin,
            connect: row.connect,
            ca_pem: row.ca_pem,
            browser_origin: row.browser_origin,
        }
    }
}

/// An origin of the map.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OriginIn {
    /// The gateway's real origin.
    pub origin: String,
}

/// Lists the map.
#[utoipa::path(
    get, path = "/v1/gateway-map", tag = "set-up",
    responses((status = 200, body = Page<MapEntry>), (status = "default", description = "A problem", body = Problem))
)]
pub async fn list(State(host): State<Host>, _: Operator) -> Result<Json<Page<MapEntry>>, Problem> {
    let rows = host.store().read(gateway_map::list).await?;
    Ok(Json(Page { data: rows.into_iter().map(MapEntry::from).collect(), next: None }))
}

/// Leads an origin elsewhere, for test channels.
#[utoipa::path(
    put, path = "/v1/gateway-map", tag = "set-up", request_body = MapEntry,
    responses((status = 200, body = MapEntry), (status = "default", description = "A problem", body = Problem))
)]
pub async fn put(
    State(host): State<Host>,
    _: Operator,
    body: Body<MapEntry>,
) -> Result<Json<MapEntry>, Problem> {
    let row = body.value.row(host.now_us())?;
    let shown = MapEntry::from(row.clone());
    let stored: Result<(), Error> = host.store().transact(move |tx| gateway_map::put(tx, &row)).await;
    stored?;
    Ok(Json(shown))
}

/// Removes an origin from the map.
#[utoipa::path(
    delete, path = "/v1/gateway-map", tag = "set-up", request_body = OriginIn,
    responses((status = 204, description = "Removed"), (status = "default", description = "A problem", body = Problem))
)]
pub async fn remove(
    State(host): State<Host>,
    _: Operator,
    body: Body<OriginIn>,
) -> Result<StatusCode, Problem> {
    let origin = body.value.origin;
    let removed: Result<bool, Error> =
        host.store().transact(move |tx| gateway_map::remove(tx, &origin)).await;
    if removed? { Ok(StatusCode::NO_CONTENT) } else { Err(Problem::not_found("origin in the map")) }
}
