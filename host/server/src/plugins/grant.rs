//! `/v1/plugins/{id}/grants`. Invariant: a grant is for an origin that the plugin's descriptor wants: a typing mistake cannot
//! open another host.

use axum::Json;
use axum::extract::{Path, State};
use payhost_store::Error;
use payhost_store::rows::plugins;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::install::{PluginOut, shown};
use crate::host::Host;
use crate::http::auth::Operator;
use crate::http::json::Body;
use crate::http::problem::Problem;

/// An origin.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GrantIn {
    /// `https://host`, as the plugin wants it.
    pub origin: String,
}

/// Lets a plugin reach a host that it wants.
#[utoipa::path(
    post, path = "/v1/plugins/{id}/grants", tag = "set-up", request_body = GrantIn,
    params(("id" = String, Path, description = "Plugin id")),
    responses((status = 200, body = PluginOut), (status = "default", description = "A problem", body = Problem))
)]
pub async fn grant(
    State(host): State<Host>,
    _: Operator,
    Path(id): Path<String>,
    body: Body<GrantIn>,
) -> Result<Json<PluginOut>, Problem> {
    let (origin, now_us) = (body.value.origin, host.now_us());
    let granted = host.store().transact(move |tx| {
        let Some(plugin) = shown(tx, &id)? else { return Ok(Err(Problem::not_found("plugin"))) };
        if !plugin.hosts.iter().any(|host| host.origin == origin) {
            let wanted: Vec<_> = plugin.hosts.iter().map(|host| host.origin.as_str()).collect();
            let words = format!("the plugin does not want this host; it wants: {}", wanted.join(", "));
            return Ok(Err(Problem::field("origin", words)));
        }
        plugins::grant(tx, &id, &origin, now_us)?;
        Ok::<_, Error>(shown(tx, &id)?.ok_or_else(|| Problem::not_found("plugin")))
    });
    Ok(Json(granted.await??))
}

/// Takes a grant back; the next call is refused.
#[utoipa::path(
    delete, path = "/v1/plugins/{id}/grants", tag = "set-up", request_body = GrantIn,
    params(("id" = String, Path, description = "Plugin id")),
    responses((status = 200, body = PluginOut), (status = "default", description = "A problem", body = Problem))
)]
pub async fn revoke(
    State(host): State<Host>,
    _: Operator,
    Path(id): Path<String>,
    body: Body<GrantIn>,
) -> Result<Json<PluginOut>, Problem> {
    let origin = body.value.origin;
    let revoked = host.store().transact(move |tx| {
        let there = plugins::revoke(tx, &id, &origin)?;
        let plugin = shown(tx, &id)?;
        Ok::<_, Error>(plugin.filter(|_| there).ok_or_else(|| Problem::not_found("grant")))
    });
    Ok(Json(revoked.await??))
}
