//! `DELETE /v1/plugins/{id}`. Invariant: a plugin ends only when no channel sells through it, and from then on none is made of it; its
//! components stay, and reach what they could reach for one thing alone: what was sold through them.

use axum::Json;
use axum::extract::State;
use payhost_store::Error;
use payhost_store::rows::channels::{self, Channel};
use payhost_store::rows::plugins;

use super::install::{PluginOut, shown_or_removed};
use crate::host::Host;
use crate::http::auth::Operator;
use crate::http::json::PathText;
use crate::http::problem::Problem;

/// Channels that a refusal names.
const NAMED: i64 = 10;

/// Removes a plugin that no channel uses, but for channels that were removed: it is not listed, no channel is made of it, and its
/// grants are withdrawn. Where something was sold through it, grants to its hosts stay for that alone (`for_old_sales`): it can be
/// cancelled. Installed again, it asks for its grants again. Removed again, it is answered as it is.
#[utoipa::path(
    delete, path = "/v1/plugins/{id}", tag = "set-up", params(("id" = String, Path, description = "Plugin id")),
    responses((status = 200, body = PluginOut), (status = "default", description = "A problem", body = Problem))
)]
pub async fn remove(
    State(host): State<Host>,
    _: Operator,
    PathText(id): PathText,
) -> Result<Json<PluginOut>, Problem> {
    let now_us = host.now_us();
    let removed = host.store().transact(move |tx| {
        let Some(plugin) = plugins::lock_to_end(tx, &id)? else {
            return Ok(Err(Problem::not_found("plugin")));
        };
        if plugin.removed_us.is_none() {
            let (count, some) = channels::of_plugin_of_any_shop(tx, &id, NAMED)?;
            if count > 0 {
                return Ok(Err(in_use(count, &some)));
            }
            plugins::remove(tx, &id, now_us)?;
            tracing::info!(plugin = %id, "plugin removed");
        }
        Ok::<_, Error>(shown_or_removed(tx, &id)?.ok_or_else(|| Problem::not_found("plugin")))
    });
    Ok(Json(removed.await??))
}

fn in_use(count: i64, some: &[Channel]) -> Problem {
    let named = some.iter().map(|row| format!("{} ({}, {})", row.id, row.shop_id, row.mode.as_str()));
    let mut named: Vec<String> = named.collect();
    if count > NAMED {
        named.push("…".to_owned());
    }
    let words =
        format!("nothing was removed: {count} channels use this plugin (remove them): {}", named.join(", "));
    Problem::new("plugin_in_use", words)
}
