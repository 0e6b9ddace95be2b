//! `/v1/channels`. Invariant: a secret that was given is never shown again; a change names the field that does not fit and
//! then changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use payhost_core::id::{ChannelId, ShopId};
use payhost_engine::contract::plugin::{Descriptor, Lookup, SettingType};
use payhost_store::rows::channels::{self, Channel, ChannelDefault, InDoubt};
use payhost_store::rows::{Mode, plugins};
use payhost_store::{Error, Json as Stored, Tx};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::{IntoParams, ToSchema};

use super::ready::channel_settings;
use super::settings::{self, Checked};
use crate::host::Host;
use crate::http::auth::ShopCaller;
use crate::http::json::{Body, Params, PathId};
use crate::http::page::Page;
use crate::http::problem::Problem;
use crate::http::text;
use crate::jobs;
use crate::sealed::Place;
use crate::shops::manage::{name, tenant};
use crate::time::rfc3339;
use crate::webhooks::web_hook_address;

/// What a channel may be used for. The contract names more (`billing`, `key_in`, `escrow`); a channel for one of those would be
/// one that nothing uses, so it is refused until the host does it.
const PURPOSES: &[&str] = &["pay"];

/// A new channel.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ChannelIn {
    /// Plugin id.
    pub plugin: String,
    /// What the shop calls it. Absent: the preset's title, or the plugin's name.
    #[serde(default, deserialize_with = "text::optional")]
    pub name: Option<String>,
    /// A preset of the plugin, which is a public test merchant: in test mode only. `settings` go over it.
    #[serde(default)]
    pub preset: Option<String>,
    /// `pay`, the only purpose that this version of the host serves. Absent: the preset's, or `pay`.
    #[serde(default)]
    pub purposes: Option<Vec<String>>,
    /// Settings and secrets by key.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub settings: Map<String, Value>,
    /// What is done about an approval in doubt that the gateway, when asked by our order number, does not confirm: `undo` (absent:
    /// this) takes it back while that is possible; `ask` asks on, for up to 14 days. `ask` needs a gateway that can be asked so.
    #[serde(default)]
    pub in_doubt: Option<String>,
    /// See the channel.
    #[serde(default)]
    pub notice_forward_url: Option<String>,
    /// Whether it becomes the default for its purposes. Absent: where there is none yet.
    #[serde(default)]
    pub default: Option<bool>,
}

/// A change of a channel.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChannelPatch {
    /// A new name.
    #[serde(default, deserialize_with = "text::changed")]
    pub name: Option<String>,
    /// Settings and secrets by key; `null` clears one, unless the channel's purposes need it; what is absent stays.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub settings: Map<String, Value>,
    /// Off: no new payments; what is open goes on.
    #[serde(default)]
    pub enabled: Option<bool>,
    /// On: every hour the gateway is asked about the payments of the last three days, and a cancel that was made there (in its
    /// admin, or of a test sale at night) is taken over.
    #[serde(default)]
    pub watch: Option<bool>,
    /// `undo` or `ask`, as at creation.
    #[serde(default)]
    pub in_doubt: Option<String>,
    /// See the channel; an empty text takes it away.
    #[serde(default)]
    pub notice_forward_url: Option<String>,
    /// `true`: the default for its purposes.
    #[serde(default)]
    pub default: Option<bool>,
    /// `true`: pin the plugin's active version.
    #[serde(default)]
    pub upgrade: Option<bool>,
}

/// A channel.
#[derive(Debug, Serialize, ToSchema)]
#[non_exhaustive]
pub struct ChannelOut {
    /// `chn_…`.
    pub id: String,
    /// Plugin id.
    pub plugin: String,
    /// SHA-256 of the pinned component.
    pub plugin_digest: String,
    /// What the shop calls it.
    pub name: String,
    /// `test` or `live`.
    pub mode: String,
    /// What it is used for.
    pub purposes: Vec<String>,
    /// Purposes for which it is the default.
    pub default_for: Vec<String>,
    /// Settings with defaults filled in; never a secret.
    #[schema(value_type = Object)]
    pub settings: Value,
    /// Secrets that are set, with their versions.
    #[schema(value_type = Object)]
    pub secrets: Value,
    /// Settings that are still missing for its purposes; none for one that was removed.
    pub missing: Vec<String>,
    /// Notes of the preset that it was made from.
    pub notes: Vec<String>,
    /// Whether new payments may use it.
    pub enabled: bool,
    /// Whether what the gateway changes by itself is looked for.
    pub watch: bool,
    /// What is done about an approval in doubt: `undo` or `ask`.
    pub in_doubt: String,
    /// Where the gateway must send its notices.
    pub notify_url: String,
    /// Where notices of orders that are not known here are sent on to, as they came: for a merchant id that moves here from an
    /// older cart. https, or a network that the operator allows for webhooks.
    pub notice_forward_url: Option<String>,
    /// RFC 3339.
    pub created_at: String,
    /// Since when it sells nothing for ever, RFC 3339; what it sold can be cancelled.
    pub removed_at: Option<String>,
}

fn out(tx: &mut Tx<'_>, host: &Host, row: &Channel, descriptor: &Descriptor) -> Result<ChannelOut, Error> {
    let secrets = channels::secrets(tx, row.shop_id, row.id)?;
    let shop = payhost_store::rows::shops::get(tx, row.shop_id)?.ok_or(Error::NotFound { what: "shop" })?;
    let defaults = channels::defaults(tx, row.shop_id)?;
    let purposes: Vec<String> = row.purposes.to()?;
    let chosen = channel_settings(row);
    let set: BTreeSet<String> = secrets.iter().map(|secret| secret.name.clone()).collect();
    let versions: Map<String, Value> =
        secrets.iter().map(|secret| (secret.name.clone(), json!({"version": secret.version}))).collect();
    Ok(ChannelOut {
        id: row.id.to_string(),
        plugin: row.plugin_id.clone(),
        plugin_digest: row.plugin_digest.clone(),
        name: row.name.clone(),
        mode: row.mode.as_str().to_owned(),
        default_for: defaults
            .into_iter()
            .filter(|default| default.channel_id == row.id)
            .map(|default| default.purpose)
            .collect(),
        settings: json!(settings::with_defaults(descriptor, &chosen)),
        secrets: Value::Object(versions),
        missing: match row.removed_us {
            Some(_) => Vec::new(),
            None => settings::missing(descriptor, &purposes, &chosen, &set),
        },
        notes: notes(descriptor, &chosen),
        purposes,
        enabled: row.enabled,
        watch: row.watch,
        in_doubt: row.in_doubt.as_str().to_owned(),
        notify_url: format!(
            "{}{}",
            crate::payments::order::base_url(host, &shop),
            crate::vbank::notify_path(row.shop_id, row.id)
        ),
        notice_forward_url: row.notice_forward_url.clone(),
        created_at: rfc3339(row.created_us),
        removed_at: row.removed_us.map(rfc3339),
    })
}

/// An address for notices, checked; none where it is empty.
async fn forward_url(host: &Host, shop: ShopId, given: Option<&str>) -> Result<Option<String>, Problem> {
    let Some(text) = given.filter(|text| !text.is_empty()) else { return Ok(None) };
    web_hook_address(host, shop, "notice_forward_url", text).await.map(Some)
}

/// The notes of the preset whose plain settings this channel has.
fn notes(descriptor: &Descriptor, chosen: &BTreeMap<String, String>) -> Vec<String> {
    let secret = |key: &str| {
        let field = descriptor.settings.iter().find(|field| field.key == key);
        field.is_some_and(|field| matches!(field.kind, SettingType::Secret(_)))
    };
    let preset = descriptor.presets.iter().find(|preset| {
        let mut plain = preset.settings.iter().filter(|named| !secret(&named.name)).peekable();
        plain.peek().is_some() && plain.all(|named| chosen.get(&named.name) == Some(&named.value))
    });
    preset.map(|preset| preset.notes.iter().map(|note| note.ko.clone()).collect()).unwrap_or_default()
}

/// Makes a channel.
#[utoipa::path(
    post, path = "/v1/channels", tag = "set-up", request_body = ChannelIn,
    responses((status = 201, body = ChannelOut), (status = "default", description = "A problem", body = Problem))
)]
pub async fn create(
    State(host): State<Host>,
    caller: ShopCaller,
    body: Body<ChannelIn>,
) -> Result<(StatusCode, Json<ChannelOut>), Problem> {
    let input = body.value;
    let wanted = input.plugin.clone();
    let plugin = host.store().read(move |tx| plugins::get(tx, &wanted)).await?;
    let plugin = plugin.ok_or_else(not_installed)?;
    let loaded = host.plugins().get(&host, &plugin.active_digest).await?;
    let descriptor = loaded.descriptor().clone();
    let preset = input.preset.as_deref().map(|id| settings::preset(&descriptor, id)).transpose()?;
    if caller.mode == Mode::Live && preset.is_some() {
        return Err(Problem::field("preset", settings::NO_PRESET_LIVE));
    }
    let purposes = match (input.purposes, &preset) {
        (None, Some((preset, _))) => served("preset", preset.purposes.clone())?,
        (given, _) => served("purposes", given.unwrap_or_else(|| vec!["pay".to_owned()]))?,
    };
    let mut given = preset.as_ref().map(|(_, values)| values.clone()).unwrap_or_default();
    given.extend(input.settings);
    let checked = settings::read(&descriptor, &given)?;
    if caller.mode == Mode::Live {
        settings::refuse_public(&descriptor, &checked)?;
    }
    let title = preset.as_ref().map_or(&descriptor.name.ko, |(preset, _)| &preset.title.ko);
    let label = input.name.unwrap_or_else(|| title.clone());
    name("name", &label)?;
    let in_doubt = in_doubt(input.in_doubt.as_deref(), InDoubt::Undo, &descriptor, &checked.settings)?;
    let now_us = host.now_us();
    let row = Channel {
        id: host.new_id(ChannelId::new),
        shop_id: caller.shop_id,
        plugin_id: plugin.id,
        plugin_digest: plugin.active_digest,
        name: label,
        mode: caller.mode,
        purposes: Stored::of(&purposes)?,
        settings: Stored::of(&checked.settings)?,
        enabled: true,
        watch: false,
        in_doubt,
        notice_forward_url: forward_url(&host, caller.shop_id, input.notice_forward_url.as_deref()).await?,
        created_us: now_us,
        updated_us: now_us,
        removed_us: None,
    };
    let (host_in, default) = (host.clone(), input.default);
    let made = host.store().transact(move |tx| {
        tenant(tx, row.shop_id)??;
        // The operator may have removed it since we looked.
        if !plugins::hold(tx, &row.plugin_id)? {
            return Err(not_installed());
        }
        channels::insert(tx, &row)?;
        store_secrets(tx, &host_in, &row, &checked)?;
        set_defaults(tx, &row, &purposes, default)?;
        Ok::<_, Problem>(out(tx, &host_in, &row, &descriptor)?)
    });
    Ok((StatusCode::CREATED, Json(made.await?)))
}

fn not_installed() -> Problem {
    Problem::field("plugin", "no such plugin is installed")
}

/// Nothing of it changes, and nothing is to be mended.
pub fn was_removed() -> Problem {
    Problem::new("conflict", "this channel was removed; nothing of it changes any more")
}

/// Purposes that the host serves; `field` is where they came from.
fn served(field: &str, purposes: Vec<String>) -> Result<Vec<String>, Problem> {
    if let Some(other) = purposes.iter().find(|purpose| !PURPOSES.contains(&purpose.as_str())) {
        let known = PURPOSES.join(", ");
        let words = format!("nothing uses a channel for {other:?} in this version; the host serves: {known}");
        return Err(Problem::field(field, words));
    }
    if purposes.is_empty() {
        return Err(Problem::field(field, format!("at least one of: {}", PURPOSES.join(", "))));
    }
    Ok(purposes)
}

/// What was chosen, or what stands; `ask` only where the gateway can be asked.
fn in_doubt(
    given: Option<&str>,
    stands: InDoubt,
    descriptor: &Descriptor,
    chosen: &BTreeMap<String, String>,
) -> Result<InDoubt, Problem> {
    let wanted = match given {
        None => stands,
        Some(word) => InDoubt::parse(word).ok_or_else(|| Problem::field("in_doubt", "undo or ask"))?,
    };
    let settings = settings::with_defaults(descriptor, chosen);
    if wanted == InDoubt::Ask && settings::lookup(descriptor, &settings) != Lookup::OrderRef {
        let words = "with these settings the gateway cannot be asked by our order number: only undo";
        return Err(Problem::field("in_doubt", words));
    }
    Ok(wanted)
}

/// A change never takes from a channel what its purposes need: every payment would be refused from then on, and sales that were
/// made could not be cancelled.
fn keeps_what_it_needs(
    tx: &mut Tx<'_>,
    descriptor: &Descriptor,
    now: &Channel,
    settings: &BTreeMap<String, String>,
    checked: &Checked,
) -> Result<Result<(), Problem>, Error> {
    let purposes: Vec<String> = now.purposes.to()?;
    let secrets = channels::secrets(tx, now.shop_id, now.id)?;
    let set: BTreeSet<String> = secrets.into_iter().map(|secret| secret.name).collect();
    let before = settings::missing(descriptor, &purposes, &channel_settings(now), &set);
    let kept = set.into_iter().filter(|name| !checked.cleared.contains(name));
    let set = kept.chain(checked.secrets.keys().cloned()).collect();
    let after = settings::missing(descriptor, &purposes, settings, &set);
    let lost = after.into_iter().find(|key| !before.contains(key));
    Ok(lost.map_or(Ok(()), |key| {
        let words = format!(
            "a channel for {} needs this: give another value instead of clearing it; nothing was changed",
            purposes.join(", ")
        );
        Err(Problem::field(format!("settings.{key}"), words))
    }))
}

fn store_secrets(tx: &mut Tx<'_>, host: &Host, row: &Channel, checked: &Checked) -> Result<(), Error> {
    let key = host.vault().shop_key(tx, row.shop_id)?;
    for (name, value) in &checked.secrets {
        let seal = |version| Place::Secret(row.id, name, version).seal(&key, value.as_bytes());
        channels::put_secret(tx, (row.shop_id, row.id), name, host.now_us(), seal)?;
    }
    for name in &checked.cleared {
        channels::remove_secret(tx, (row.shop_id, row.id), name, host.now_us())?;
    }
    channels::revise(tx, row, host.now_us()).map(|_| ())
}

/// `Some(true)`: for all purposes; absent: where there is no default yet; `Some(false)`: for none.
fn set_defaults(
    tx: &mut Tx<'_>,
    row: &Channel,
    purposes: &[String],
    wanted: Option<bool>,
) -> Result<(), Error> {
    for purpose in purposes {
        let free = channels::default(tx, row.shop_id, row.mode, purpose)?.is_none();
        if wanted.unwrap_or(free) {
            let (shop_id, mode, channel_id) = (row.shop_id, row.mode, row.id);
            channels::set_default(
                tx,
                &ChannelDefault { shop_id, mode, purpose: purpose.clone(), channel_id },
            )?;
        }
    }
    Ok(())
}

pub(super) fn own(
    tx: &mut Tx<'_>,
    shop: ShopId,
    mode: Mode,
    id: ChannelId,
) -> Result<Option<Channel>, Error> {
    Ok(channels::get(tx, shop, id)?.filter(|row| row.mode == mode))
}

/// Shows a channel.
#[utoipa::path(
    get, path = "/v1/channels/{id}", tag = "set-up", params(("id" = String, Path, description = "`chn_…`")),
    responses((status = 200, body = ChannelOut), (status = "default", description = "A problem", body = Problem))
)]
pub async fn read(
    State(host): State<Host>,
    caller: ShopCaller,
    PathId(id): PathId<ChannelId>,
) -> Result<Json<ChannelOut>, Problem> {
    let row = host.store().read(move |tx| own(tx, caller.shop_id, caller.mode, id)).await?;
    let row = row.ok_or_else(|| Problem::not_found("channel"))?;
    Ok(Json(show(&host, row).await?))
}

pub(super) async fn show(host: &Host, row: Channel) -> Result<ChannelOut, Problem> {
    let plugin = host.plugins().get(host, &row.plugin_digest).await?;
    let host_in = host.clone();
    let shown = host.store().read(move |tx| out(tx, &host_in, &row, plugin.descriptor()));
    Ok(shown.await?)
}

/// Which channels.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ChannelParams {
    /// `true`: only removed channels. Absent: all others.
    pub removed: Option<bool>,
}

/// Lists the channels of the shop and mode.
#[utoipa::path(
    get, path = "/v1/channels", tag = "set-up", params(ChannelParams),
    responses((status = 200, body = Page<ChannelOut>), (status = "default", description = "A problem", body = Problem))
)]
pub async fn list(
    State(host): State<Host>,
    caller: ShopCaller,
    Params(params): Params<ChannelParams>,
) -> Result<Json<Page<ChannelOut>>, Problem> {
    let removed = params.removed.unwrap_or(false);
    let rows = host.store().read(move |tx| channels::list(tx, caller.shop_id, removed)).await?;
    let mut shown = Vec::new();
    for row in rows.into_iter().filter(|row| row.mode == caller.mode) {
        shown.push(show(&host, row).await?);
    }
    Ok(Json(Page { data: shown, next: None }))
}

/// Changes a channel.
#[utoipa::path(
    patch, path = "/v1/channels/{id}", tag = "set-up", request_body = ChannelPatch,
    params(("id" = String, Path, description = "`chn_…`")),
    responses((status = 200, body = ChannelOut), (status = "default", description = "A problem", body = Problem))
)]
pub async fn update(
    State(host): State<Host>,
    caller: ShopCaller,
    PathId(id): PathId<ChannelId>,
    body: Body<ChannelPatch>,
) -> Result<Json<ChannelOut>, Problem> {
    let patch = body.value;
    if let Some(text) = &patch.name {
        name("name", text)?;
    }
    let forward = forward_url(&host, caller.shop_id, patch.notice_forward_url.as_deref()).await?;
    let found = host.store().read(move |tx| {
        let Some(row) = own(tx, caller.shop_id, caller.mode, id)? else { return Ok(None) };
        let active = plugins::get(tx, &row.plugin_id)?.map(|plugin| plugin.active_digest);
        Ok::<_, Error>(Some((row, active)))
    });
    let (mut row, active) = found.await?.ok_or_else(|| Problem::not_found("channel"))?;
    if patch.upgrade == Some(true) {
        row.plugin_digest = active.unwrap_or(row.plugin_digest);
    }
    let plugin = host.plugins().get(&host, &row.plugin_digest).await?;
    let checked = settings::read(plugin.descriptor(), &patch.settings)?;
    if row.mode == Mode::Live {
        settings::refuse_public(plugin.descriptor(), &checked)?;
    }
    let host_in = host.clone();
    let seen_digest = row.plugin_digest.clone();
    let changed = host.store().transact(move |tx| {
        if let Err(problem) = tenant(tx, caller.shop_id)? {
            return Ok(Err(problem));
        }
        let now = channels::lock(tx, caller.shop_id, id)?.filter(|now| now.mode == caller.mode);
        let now = now.ok_or(Error::NotFound { what: "channel" })?;
        if now.removed_us.is_some() {
            return Ok(Err(was_removed()));
        }
        if patch.upgrade != Some(true) && now.plugin_digest != seen_digest {
            let words = "the channel went over to another version of its plugin meanwhile; nothing was changed, ask again";
            return Ok(Err(Problem::new("conflict", words)));
        }
        let mut settings = channel_settings(&now);
        settings.retain(|key, _| !checked.cleared.contains(key));
        settings.extend(checked.settings.clone());
        row.in_doubt = match in_doubt(patch.in_doubt.as_deref(), now.in_doubt, plugin.descriptor(), &settings)
        {
            Ok(in_doubt) => in_doubt,
            Err(problem) => return Ok(Err(problem)),
        };
        if let Err(problem) = keeps_what_it_needs(tx, plugin.descriptor(), &now, &settings, &checked)? {
            return Ok(Err(problem));
        }
        row.settings = Stored::of(&settings)?;
        row.name = patch.name.unwrap_or(now.name);
        row.enabled = patch.enabled.unwrap_or(now.enabled);
        row.watch = patch.watch.unwrap_or(now.watch);
        row.notice_forward_url =
            if patch.notice_forward_url.is_some() { forward } else { now.notice_forward_url };
        row.updated_us = host_in.now_us();
        channels::update(tx, &row)?;
        store_secrets(tx, &host_in, &row, &checked)?;
        if row.watch && !now.watch {
            let task = jobs::Task::Watch { shop: row.shop_id, channel: row.id, after: None };
            jobs::enqueue(tx, &host_in, &task, host_in.now_us())?;
        }
        if patch.default == Some(true) {
            let purposes: Vec<String> = row.purposes.to()?;
            set_defaults(tx, &row, &purposes, Some(true))?;
        }
        out(tx, &host_in, &row, plugin.descriptor()).map(Ok)
    });
    let changed: Result<Result<ChannelOut, Problem>, Error> = changed.await;
    Ok(Json(changed??))
}
