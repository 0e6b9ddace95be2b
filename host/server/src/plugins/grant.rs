//! `/v1/plugins/{id}/grants`. Invariant: a grant is for an origin that the plugin's descriptor wants, in the way it wants it: a
//! typing mistake cannot open another host, and a later version gets no more by declaring more.

use axum::Json;
use axum::extract::State;
use payhost_store::rows::plugins::{self, GrantKind as Kind, PluginGrant};
use payhost_store::{Error, Json as Stored};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::install::{PluginOut, shown, shown_or_removed};
use crate::host::Host;
use crate::http::auth::Operator;
use crate::http::json::{Body, PathText};
use crate::http::problem::Problem;

/// Who talks to an origin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum GrantKind {
    /// The plugin, through the host's `http`.
    #[default]
    Host,
    /// The buyer's browser: scripts, frames, forms and redirects of the payment window.
    Browser,
}

impl From<GrantKind> for Kind {
    fn from(kind: GrantKind) -> Self {
        match kind {
            GrantKind::Host => Self::Host,
            GrantKind::Browser => Self::Browser,
        }
    }
}

/// What is granted.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GrantIn {
    /// `https://host`, as the plugin wants it. Absent with `all`.
    #[serde(default)]
    pub origin: Option<String>,
    /// Who talks to it. Default: `host`.
    #[serde(default)]
    pub kind: GrantKind,
    /// Everything that the plugin wants: all of `hosts` and `browser_origins`.
    #[serde(default)]
    pub all: bool,
}

/// What is taken back.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeIn {
    /// `https://host`, as it was granted.
    pub origin: String,
    /// Who talks to it. Default: `host`.
    #[serde(default)]
    pub kind: GrantKind,
}

/// Lets a plugin reach a host that it wants, or send buyers' browsers to an origin that it wants; or all of them.
#[utoipa::path(
    post, path = "/v1/plugins/{id}/grants", tag = "set-up", request_body = GrantIn,
    params(("id" = String, Path, description = "Plugin id")),
    responses((status = 200, body = PluginOut), (status = "default", description = "A problem", body = Problem))
)]
pub async fn grant(
    State(host): State<Host>,
    _: Operator,
    PathText(id): PathText,
    body: Body<GrantIn>,
) -> Result<Json<PluginOut>, Problem> {
    let (input, now_us) = (body.value, host.now_us());
    let granted = host.store().transact(move |tx| {
        let Some(plugin) = shown(tx, &id)? else { return Ok(Err(Problem::not_found("plugin"))) };
        let chosen = match chosen(&plugin, &input) {
            Ok(chosen) => chosen,
            Err(problem) => return Ok(Err(problem)),
        };
        for Wanted { kind, origin, uses } in chosen {
            let (plugin_id, uses) = (id.clone(), Stored::of(uses)?);
            let row = PluginGrant {
                plugin_id,
                kind: kind.into(),
                origin: origin.to_owned(),
                uses,
                granted_us: now_us,
                withdrawn_us: None,
            };
            plugins::grant(tx, &row)?;
        }
        Ok::<_, Error>(shown(tx, &id)?.ok_or_else(|| Problem::not_found("plugin")))
    });
    Ok(Json(granted.await??))
}

/// Something that a plugin wants.
struct Wanted<'a> {
    kind: GrantKind,
    origin: &'a str,
    uses: &'a [String],
}

/// Everything that it wants.
fn wanted(plugin: &PluginOut) -> Vec<Wanted<'_>> {
    let hosts = plugin.hosts.iter();
    let hosts = hosts.map(|host| Wanted { kind: GrantKind::Host, origin: &host.origin, uses: &[] });
    let pages = plugin.browser_origins.iter();
    let pages = pages.map(|page| Wanted { kind: GrantKind::Browser, origin: &page.origin, uses: &page.uses });
    hosts.chain(pages).collect()
}

/// What of it is to be granted.
fn chosen<'a>(plugin: &'a PluginOut, input: &GrantIn) -> Result<Vec<Wanted<'a>>, Problem> {
    let mut wanted = wanted(plugin);
    match (&input.origin, input.all) {
        (Some(_), true) => Err(Problem::field("origin", "leave it out, or leave out `all`")),
        (None, false) => Err(Problem::field("origin", "an origin that the plugin wants, or `all`: true")),
        (None, true) => Ok(wanted),
        (Some(origin), false) => {
            let of = |kind: GrantKind| {
                let origins: Vec<_> =
                    wanted.iter().filter(|one| one.kind == kind).map(|one| one.origin).collect();
                if origins.is_empty() { "none".to_owned() } else { origins.join(", ") }
            };
            let words = format!(
                "the plugin does not want this; it wants: of kind host {}; of kind browser {}",
                of(GrantKind::Host),
                of(GrantKind::Browser)
            );
            wanted.retain(|one| one.kind == input.kind && one.origin == origin);
            if wanted.is_empty() { Err(Problem::field("origin", words)) } else { Ok(wanted) }
        }
    }
}

/// Takes a grant back; the next call, and the next page, goes without it. Also one that stayed for old sales when the plugin was
/// removed.
#[utoipa::path(
    delete, path = "/v1/plugins/{id}/grants", tag = "set-up", request_body = RevokeIn,
    params(("id" = String, Path, description = "Plugin id")),
    responses((status = 200, body = PluginOut), (status = "default", description = "A problem", body = Problem))
)]
pub async fn revoke(
    State(host): State<Host>,
    _: Operator,
    PathText(id): PathText,
    body: Body<RevokeIn>,
) -> Result<Json<PluginOut>, Problem> {
    let RevokeIn { origin, kind } = body.value;
    let revoked = host.store().transact(move |tx| {
        let there = plugins::revoke(tx, &id, kind.into(), &origin)?;
        let plugin = shown_or_removed(tx, &id)?;
        Ok::<_, Error>(plugin.filter(|_| there).ok_or_else(|| Problem::not_found("grant")))
    });
    Ok(Json(revoked.await??))
}
