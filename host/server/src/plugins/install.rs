//! `POST /v1/plugins`. Invariant: a component is installed only after it was compiled, linked, described and checked here, and
//! takes the place of another under its id only as `known.rs` allows; a file that fails any of it changes nothing.

use std::sync::Arc;

use axum::Json;
use axum::body::Body as HttpBody;
use axum::extract::State;
use axum::http::StatusCode;
use bytes::Bytes;
use payhost_engine::Plugin;
use payhost_engine::contract::plugin::Descriptor;
use payhost_store::rows::plugins::{self, Component, GrantKind};
use payhost_store::{Blob, Error, Json as Stored, Tx};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::known;
use crate::host::Host;
use crate::http::auth::{Caller, Operator};
use crate::http::json::Params;
use crate::http::page::Page;
use crate::http::problem::Problem;
use crate::time::rfc3339;

/// Largest component, in bytes.
const COMPONENT_MAX: usize = 32 << 20;

/// A plugin.
#[derive(Debug, Serialize, ToSchema)]
#[non_exhaustive]
pub struct PluginOut {
    /// As its descriptor says.
    pub id: String,
    /// Of the active component.
    pub version: String,
    /// SHA-256 of the active component.
    pub digest: String,
    /// Interfaces that it exports.
    pub interfaces: Vec<String>,
    /// Who answers for it, as it says itself.
    pub author: String,
    /// Origins that it wants to reach, each with whether the operator granted it.
    pub hosts: Vec<WantedOut>,
    /// Origins that it wants to use in the buyer's browser, each with what for and whether the operator granted all of that.
    pub browser_origins: Vec<BrowserOriginOut>,
    /// Everything that it says of itself: settings, presets, methods.
    #[schema(value_type = Object)]
    pub descriptor: Value,
    /// RFC 3339.
    pub installed_at: String,
    /// Since when it is not installed any more, RFC 3339.
    pub removed_at: Option<String>,
    /// Origins that it may still reach for what was sold through channels that were removed, though their grants were withdrawn when
    /// it was removed: such a sale can be cancelled. Take one back as any grant.
    pub for_old_sales: Vec<String>,
}

/// An origin that a plugin wants.
#[derive(Debug, Serialize, ToSchema)]
#[non_exhaustive]
pub struct WantedOut {
    /// `https://host`.
    pub origin: String,
    /// What for.
    pub reason: String,
    /// Whether it may go there.
    pub granted: bool,
}

/// An origin that a plugin wants in the buyer's browser.
#[derive(Debug, Serialize, ToSchema)]
#[non_exhaustive]
pub struct BrowserOriginOut {
    /// `https://host`.
    pub origin: String,
    /// `script`, `frame`, `style`, `img`, `connect`, `ancestor`; `form` and `redirect`: where the buyer is sent.
    pub uses: Vec<String>,
    /// Whether it may do all of them there.
    pub granted: bool,
}

/// A plugin as it is installed now.
pub fn shown(tx: &mut Tx<'_>, id: &str) -> Result<Option<PluginOut>, Error> {
    Ok(shown_or_removed(tx, id)?.filter(|plugin| plugin.removed_at.is_none()))
}

/// A plugin as it is or was installed.
pub fn shown_or_removed(tx: &mut Tx<'_>, id: &str) -> Result<Option<PluginOut>, Error> {
    let Some(plugin) = plugins::get_or_removed(tx, id)? else { return Ok(None) };
    let head = plugins::component_head(tx, &plugin.active_digest)?;
    let head = head.ok_or(Error::NotFound { what: "component" })?;
    let grants = plugins::grants(tx, id)?;
    let descriptor: Descriptor = head.descriptor.to()?;
    let hosts = descriptor.hosts.iter().map(|host| WantedOut {
        origin: host.origin.clone(),
        reason: host.reason.en.clone(),
        granted: grants.iter().any(|grant| grant.kind == GrantKind::Host && grant.origin == host.origin),
    });
    let mut browser_origins = Vec::new();
    for wanted in &descriptor.browser_origins {
        let grant =
            grants.iter().find(|grant| grant.kind == GrantKind::Browser && grant.origin == wanted.origin);
        let uses: Option<Vec<String>> = grant.map(|grant| grant.uses.to()).transpose()?;
        browser_origins.push(BrowserOriginOut {
            origin: wanted.origin.clone(),
            uses: wanted.uses.clone(),
            granted: uses.is_some_and(|granted| wanted.uses.iter().all(|used| granted.contains(used))),
        });
    }
    Ok(Some(PluginOut {
        id: plugin.id,
        version: head.version,
        digest: head.digest,
        interfaces: head.interfaces.to()?,
        hosts: hosts.collect(),
        browser_origins,
        author: descriptor.author,
        descriptor: head.descriptor.to()?,
        installed_at: rfc3339(head.installed_us),
        removed_at: plugin.removed_us.map(rfc3339),
        for_old_sales: plugins::withdrawn_grants(tx, id)?.into_iter().map(|grant| grant.origin).collect(),
    }))
}

/// Reads a component that was sent.
pub async fn read_body(body: HttpBody) -> Result<Bytes, Problem> {
    let words = format!("a component has at most {COMPONENT_MAX} bytes");
    let bytes = axum::body::to_bytes(body, COMPONENT_MAX).await;
    bytes.map_err(|_| Problem::new("payload_too_large", words))
}

/// Compiles and checks a component.
pub async fn load(host: &Host, bytes: &[u8]) -> Result<Arc<Plugin>, Problem> {
    let plugin = host.engine().load(bytes).await;
    plugin.map_err(|error| Problem::new("plugin_invalid", error.to_string()))
}

/// How.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct InstallParams {
    /// Whether it may take the place of another author's plugin, of a newer version, or of other contents of its version.
    #[serde(default)]
    pub replace: bool,
}

/// Installs a component, or a new version of one. The body is the component.
#[utoipa::path(
    post, path = "/v1/plugins", tag = "set-up", params(InstallParams), request_body(content = Vec<u8>, content_type = "application/wasm"),
    responses((status = 201, body = PluginOut), (status = "default", description = "A problem", body = Problem))
)]
pub async fn install(
    State(host): State<Host>,
    _: Operator,
    Params(InstallParams { replace }): Params<InstallParams>,
    body: HttpBody,
) -> Result<(StatusCode, Json<PluginOut>), Problem> {
    let bytes = read_body(body).await?;
    let plugin = load(&host, &bytes).await?;
    let component = component(&host, &plugin, bytes.to_vec())?;
    let now_us = host.now_us();
    let installed = host.store().transact(move |tx| {
        let objection = if replace { None } else { known::objection(tx, &component)? };
        if let Some(words) = objection {
            return Ok(Err(Problem::new("plugin_differs", words)));
        }
        plugins::add_component(tx, &component)?;
        plugins::activate(tx, &component.plugin_id, &component.digest, now_us)?;
        shown(tx, &component.plugin_id)?.ok_or(Error::NotFound { what: "plugin" }).map(Ok)
    });
    let installed = installed.await??;
    tracing::info!(plugin = %installed.id, version = %installed.version, digest = %installed.digest, "plugin installed");
    host.plugins().put(plugin);
    Ok((StatusCode::CREATED, Json(installed)))
}

fn component(host: &Host, plugin: &Plugin, bytes: Vec<u8>) -> Result<Component, Error> {
    let descriptor = plugin.descriptor();
    Ok(Component {
        digest: plugin.digest().to_owned(),
        plugin_id: descriptor.id.clone(),
        version: descriptor.version.clone(),
        bytes: Blob(bytes),
        descriptor: Stored::of(descriptor)?,
        interfaces: Stored::of(plugin.interfaces())?,
        installed_us: host.now_us(),
    })
}

/// Which plugins.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PluginParams {
    /// `true`: only removed plugins. Absent: those that are installed.
    pub removed: Option<bool>,
}

/// Lists plugins. Shops see them too: their channel forms come from here.
#[utoipa::path(
    get, path = "/v1/plugins", tag = "set-up", params(PluginParams),
    responses((status = 200, body = Page<PluginOut>), (status = "default", description = "A problem", body = Problem))
)]
pub async fn list(
    State(host): State<Host>,
    _: Caller,
    Params(params): Params<PluginParams>,
) -> Result<Json<Page<PluginOut>>, Problem> {
    let removed = params.removed.unwrap_or(false);
    let listed = host.store().read(move |tx| {
        let mut listed = Vec::new();
        for plugin in plugins::list(tx, removed)? {
            listed.extend(shown_or_removed(tx, &plugin.id)?);
        }
        Ok::<_, Error>(listed)
    });
    Ok(Json(Page { data: listed.await?, next: None }))
}
