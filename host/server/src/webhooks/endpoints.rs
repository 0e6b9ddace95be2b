//! `/v1/webhook-endpoints`. Invariant: a secret is shown in the answer that makes it and never again; after a rotation the
//! old one signs beside the new one until its own time is over, however often it is rotated meanwhile, so that no delivery is
//! without a signature that the shop knows.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use payhost_core::id::{EndpointId, EventId, ShopId};
use payhost_store::rows::Mode;
use payhost_store::rows::deliveries::{self, Delivery, DeliveryState};
use payhost_store::rows::endpoints::{self as rows, Endpoint, OldSecret};
use payhost_store::rows::shops;
use payhost_store::{Error, Json as Stored, ShopKey, Tx};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::client::Reach;
use super::names::{ALL, is_known};
use super::sign::Secret;
use crate::host::Host;
use crate::http::auth::ShopCaller;
use crate::http::json::{Body, Params, PathId};
use crate::http::page::{Page, PageParams, limit, page};
use crate::http::problem::Problem;
use crate::http::text;
use crate::payments::create::web_address;
use crate::sealed::Place;
use crate::shops::manage::{name, tenant};
use crate::time::rfc3339;

/// Most endpoints of a shop in a mode: each event is written once for every one of them.
const ENDPOINTS_MAX: usize = 16;
/// Longest address, in bytes.
const URL_MAX: usize = 2048;
/// How long the old secret signs when nothing is said, in seconds: a day.
const OLD_SECRET_S: u32 = 24 * 3600;
/// Longest time that it may, in seconds: a week.
const OLD_SECRET_MAX_S: u32 = 7 * OLD_SECRET_S;
/// Most secrets that were replaced and sign still: each is a signature in every delivery.
const OLD_SECRETS_MAX: usize = 4;
/// Rows that are forgotten in one transaction.
const FORGET: i64 = 500;

/// A new endpoint.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EndpointIn {
    /// Where events go: `https://…` (`http://…` to the operator's networks, where he opened them to the shop). Absent: each payment's events go to
    /// the `webhook_url` that the payment was made with, signed with this endpoint's secret; a shop has one such endpoint.
    #[serde(default)]
    pub url: Option<String>,
    /// What the shop calls it.
    #[serde(default, deserialize_with = "text::line")]
    pub name: String,
    /// Names of events; `*` is all of them, also those that are yet to come. Absent: all.
    #[serde(default)]
    pub events: Option<Vec<String>>,
}

/// A change of an endpoint; what is absent stays.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EndpointPatch {
    /// Another address. What waits goes there.
    #[serde(default)]
    pub url: Option<String>,
    /// Another name.
    #[serde(default, deserialize_with = "text::changed")]
    pub name: Option<String>,
    /// Other events.
    #[serde(default)]
    pub events: Option<Vec<String>>,
    /// `true`: sends again, what waits at once. `false`: keeps what waits, and new events are not kept for it.
    #[serde(default)]
    pub enabled: Option<bool>,
}

/// An endpoint.
#[derive(Debug, Serialize, ToSchema)]
pub struct EndpointOut {
    /// `wep_…`.
    pub id: String,
    /// `test` or `live`.
    pub mode: String,
    /// Where events go; absent: where each payment says.
    pub url: Option<String>,
    /// What the shop calls it.
    pub name: String,
    /// Names of events, or `*`.
    pub events: Vec<String>,
    /// What signs, `whsec_…`; only in the answer that makes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// Secrets that were replaced sign beside the new one until these moments, RFC 3339, the first to end first.
    pub old_secrets_until: Vec<String>,
    /// Whether events are sent.
    pub enabled: bool,
    /// `on`; `slow` (it answers late: one event at a time is sent) or `failing` (nothing arrives: likewise); `off` (the shop
    /// switched it off) or `switched_off` (the host did; `disabled_reason` says why).
    pub state: String,
    /// Since when it is so, unless it is `on`; RFC 3339.
    pub state_since: Option<String>,
    /// Why it was switched off, when it was not the shop that did it.
    pub disabled_reason: Option<String>,
    /// Since when nothing arrived there.
    pub failing_since: Option<String>,
    /// Since when it answers late.
    pub slow_since: Option<String>,
    /// Why the last try that failed did.
    pub last_error: Option<String>,
    /// When that was, RFC 3339.
    pub last_error_at: Option<String>,
    /// RFC 3339.
    pub created_at: String,
}

impl EndpointOut {
    fn of(row: &Endpoint, now_us: i64, secret: Option<String>) -> Self {
        let (state, since_us) = standing(row);
        Self {
            id: row.id.to_string(),
            mode: row.mode.as_str().to_owned(),
            url: row.url.clone(),
            name: row.name.clone(),
            events: row.events.to().unwrap_or_default(),
            secret,
            old_secrets_until: signing(row, now_us).iter().map(|old| rfc3339(old.until_us)).collect(),
            enabled: row.enabled,
            state: state.to_owned(),
            state_since: since_us.map(rfc3339),
            disabled_reason: row.disabled_reason.clone(),
            failing_since: row.failing_since_us.map(rfc3339),
            slow_since: row.slow_since_us.map(rfc3339),
            last_error: row.last_error.clone(),
            last_error_at: row.last_error_us.map(rfc3339),
            created_at: rfc3339(row.created_us),
        }
    }
}

/// How an endpoint stands, and since when.
fn standing(row: &Endpoint) -> (&'static str, Option<i64>) {
    match (row.enabled, &row.disabled_reason, row.failing_since_us, row.slow_since_us) {
        (false, Some(_), ..) => ("switched_off", row.disabled_us),
        (false, None, ..) => ("off", row.disabled_us),
        (true, _, Some(since_us), _) => ("failing", Some(since_us)),
        (true, _, None, Some(since_us)) => ("slow", Some(since_us)),
        (true, _, None, None) => ("on", None),
    }
}

/// Secrets that were replaced and sign still, the first to end first.
fn signing(row: &Endpoint, now_us: i64) -> Vec<OldSecret> {
    let mut old: Vec<OldSecret> = row.old_secrets.to().unwrap_or_default();
    old.retain(|old| old.until_us > now_us);
    old.sort_by_key(|old| old.until_us);
    old
}

/// A new secret.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateIn {
    /// For how many seconds the secret that is replaced signs as well: at most a week, default a day, 0 ends it at once. Those
    /// that were replaced before sign until their own time is over; four of them may.
    #[serde(default)]
    pub old_secret_seconds: Option<u32>,
}

/// An event on its way to an endpoint.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeliveryOut {
    /// The event, which is also the header `webhook-id`.
    pub event_id: String,
    /// Its name.
    #[serde(rename = "type")]
    pub name: String,
    /// Where to: the endpoint's address, or the payment's.
    pub url: Option<String>,
    /// `waiting`, `delivered`, or `failed` when the schedule is over.
    pub state: String,
    /// How often it was tried.
    pub tries: i64,
    /// When it is tried next, while it waits.
    pub next_try_at: Option<String>,
    /// When it was tried last.
    pub tried_at: Option<String>,
    /// How long that took, in milliseconds.
    pub took_ms: Option<i64>,
    /// HTTP status of the last answer.
    pub status: Option<i64>,
    /// Why the last try failed.
    pub error: Option<String>,
    /// The beginning of the last answer.
    pub answer: Option<String>,
    /// When it was made.
    pub created_at: String,
}

impl DeliveryOut {
    fn of(key: &ShopKey, row: Delivery, endpoint: &Endpoint) -> Result<Self, Error> {
        let reply = row.answer.as_ref();
        let reply = reply
            .map(|sealed| Place::Reply(row.endpoint_id, row.event_id).open_words(key, sealed))
            .transpose()?;
        let waits = row.state == DeliveryState::Waiting && endpoint.enabled;
        Ok(Self {
            event_id: row.event_id.to_string(),
            name: row.name,
            url: row.payment_url.or_else(|| endpoint.url.clone()),
            state: row.state.as_str().to_owned(),
            tries: row.tries,
            next_try_at: waits.then(|| rfc3339(row.due_us)),
            tried_at: row.tried_us.map(rfc3339),
            took_ms: row.took_us.map(|us| us / 1000),
            status: row.status,
            error: row.error,
            answer: reply,
            created_at: rfc3339(row.created_us),
        })
    }
}

/// An address that a shop's messages may go to, as far as its text tells; as the URL parser writes it.
pub async fn web_hook_address(host: &Host, shop: ShopId, field: &str, text: &str) -> Result<String, Problem> {
    let url = web_address(field, text)?;
    if url.as_str().len() > URL_MAX {
        return Err(Problem::field(field, format!("at most {URL_MAX} bytes")));
    }
    let reach = host.store().read(move |tx| reach(tx, shop)).await?;
    host.webhooks().check(reach, &url).map_err(|words| Problem::field(field, words))?;
    Ok(url.into())
}

/// How far a shop's messages may go.
pub fn reach(tx: &mut Tx<'_>, shop: ShopId) -> Result<Reach, Error> {
    let row = shops::get(tx, shop)?;
    let opened = row.is_some_and(|row| row.private_webhooks);
    Ok(if opened { Reach::Private } else { Reach::Public })
}

/// Whether a payment may bring an address of its own: nothing would be sent there without an endpoint whose secret signs.
pub fn payment_url_problem(tx: &mut Tx<'_>, shop: ShopId, mode: Mode) -> Result<Option<Problem>, Error> {
    let listens = rows::list(tx, shop, mode)?.iter().any(|endpoint| endpoint.url.is_none());
    let words =
        "the shop has no webhook endpoint without url, whose secret would sign what goes there; make one";
    Ok((!listens).then(|| Problem::field("webhook_url", words)))
}

fn events(chosen: &[String]) -> Result<Stored, Problem> {
    if chosen.is_empty() {
        return Err(Problem::field("events", "at least one name, or *"));
    }
    if let Some(unknown) = chosen.iter().find(|choice| *choice != ALL && !is_known(choice)) {
        return Err(Problem::field("events", format!("there is no event {unknown:?}")));
    }
    let mut names = chosen.to_vec();
    names.sort_unstable();
    names.dedup();
    Ok(Stored::of(&names)?)
}

/// Makes an endpoint. Its secret is in this answer only.
#[utoipa::path(
    post, path = "/v1/webhook-endpoints", tag = "webhooks", request_body = EndpointIn,
    responses((status = 201, body = EndpointOut), (status = "default", description = "A problem", body = Problem))
)]
pub async fn create(
    State(host): State<Host>,
    caller: ShopCaller,
    body: Body<EndpointIn>,
) -> Result<(StatusCode, Json<EndpointOut>), Problem> {
    let mut input = body.value;
    if let Some(url) = &mut input.url {
        *url = web_hook_address(&host, caller.shop_id, "url", url).await?;
    }
    if !input.name.is_empty() {
        name("name", &input.name)?;
    }
    let events = events(&input.events.unwrap_or_else(|| vec![ALL.to_owned()]))?;
    let (secret, id, now_us) = (Secret::new(), host.new_id(EndpointId::new), host.now_us());
    let shown = secret.shown();
    let vault = host.vault().clone();
    let made = host.store().transact(move |tx| {
        if let Err(problem) = tenant(tx, caller.shop_id)? {
            return Ok(Err(problem));
        }
        let known = rows::list(tx, caller.shop_id, caller.mode)?;
        if known.len() >= ENDPOINTS_MAX {
            return Ok(Err(Problem::new(
                "conflict",
                format!("a shop has at most {ENDPOINTS_MAX} endpoints"),
            )));
        }
        if input.url.is_none() && known.iter().any(|endpoint| endpoint.url.is_none()) {
            return Ok(Err(Problem::field("url", "the shop has its one endpoint without url already")));
        }
        let key = vault.shop_key(tx, caller.shop_id)?;
        let row = Endpoint {
            id,
            shop_id: caller.shop_id,
            mode: caller.mode,
            url: input.url,
            name: input.name,
            events,
            secret: Place::WebhookSecret(id).seal(&key, secret.bytes())?,
            old_secrets: Stored::of(&Vec::<OldSecret>::new())?,
            enabled: true,
            disabled_reason: None,
            disabled_us: None,
            failing_since_us: None,
            given_up: 0,
            slow_since_us: None,
            last_error: None,
            last_error_us: None,
            due_us: None,
            lease_until_us: None,
            lease_token: None,
            created_us: now_us,
            updated_us: now_us,
            deleted_us: None,
        };
        rows::insert(tx, &row)?;
        Ok::<_, Error>(Ok(row))
    });
    let row = made.await??;
    Ok((StatusCode::CREATED, Json(EndpointOut::of(&row, now_us, Some(shown)))))
}

/// Lists the shop's endpoints, newest first.
#[utoipa::path(
    get, path = "/v1/webhook-endpoints", tag = "webhooks", params(PageParams),
    responses((status = 200, body = Page<EndpointOut>), (status = "default", description = "A problem", body = Problem))
)]
pub async fn list(
    State(host): State<Host>,
    caller: ShopCaller,
    Params(params): Params<PageParams>,
) -> Result<Json<Page<EndpointOut>>, Problem> {
    let limit = limit(params.limit)?;
    let after: Option<EndpointId> = cursor(params.after.as_deref())?;
    let rows = host.store().read(move |tx| rows::list(tx, caller.shop_id, caller.mode)).await?;
    let behind = rows.iter().rev().filter(|row| after.is_none_or(|after| row.id < after));
    let shown = behind.map(|row| EndpointOut::of(row, host.now_us(), None)).collect();
    Ok(Json(page(shown, limit, |endpoint: &EndpointOut| endpoint.id.clone())))
}

/// A cursor that is an id.
pub fn cursor<T: std::str::FromStr>(text: Option<&str>) -> Result<Option<T>, Problem> {
    text.map(|text| text.parse().map_err(|_| Problem::field("after", "not a cursor of this list")))
        .transpose()
}

/// The caller's endpoint; another shop's or mode's is not there.
pub async fn find(host: &Host, caller: ShopCaller, id: EndpointId) -> Result<Endpoint, Problem> {
    let row = host.store().read(move |tx| rows::get(tx, caller.shop_id, id)).await?;
    row.filter(|row| row.mode == caller.mode).ok_or_else(|| Problem::not_found("endpoint"))
}

/// Shows an endpoint.
#[utoipa::path(
    get, path = "/v1/webhook-endpoints/{id}", tag = "webhooks", params(("id" = String, Path, description = "`wep_…`")),
    responses((status = 200, body = EndpointOut), (status = "default", description = "A problem", body = Problem))
)]
pub async fn read(
    State(host): State<Host>,
    caller: ShopCaller,
    PathId(id): PathId<EndpointId>,
) -> Result<Json<EndpointOut>, Problem> {
    Ok(Json(EndpointOut::of(&find(&host, caller, id).await?, host.now_us(), None)))
}

/// Changes the caller's endpoint under its lock; `work` has the shop's key.
async fn under_lock(
    host: &Host,
    caller: ShopCaller,
    id: EndpointId,
    work: impl FnOnce(&mut Endpoint, &ShopKey) -> Result<(), Problem> + Send + 'static,
) -> Result<Endpoint, Problem> {
    let (vault, now_us) = (host.vault().clone(), host.now_us());
    let changed = host.store().transact(move |tx| {
        tenant(tx, caller.shop_id)??;
        let row = rows::lock(tx, caller.shop_id, id)?.filter(|row| row.mode == caller.mode);
        let Some(mut row) = row else { return Ok(None) };
        let key = vault.shop_key(tx, caller.shop_id)?;
        let before = row.enabled;
        work(&mut row, &key)?;
        row.updated_us = now_us;
        rows::update(tx, &row)?;
        if row.enabled != before {
            rows::settle_due(tx, &row)?;
        }
        Ok::<_, Problem>(Some(row))
    });
    let row = changed.await?.ok_or_else(|| Problem::not_found("endpoint"))?;
    host.settled().notify_waiters();
    Ok(row)
}

/// Changes an endpoint. Switched on again it sends what waited; events from the time in between are sent with `…/resend`.
#[utoipa::path(
    patch, path = "/v1/webhook-endpoints/{id}", tag = "webhooks", request_body = EndpointPatch,
    params(("id" = String, Path, description = "`wep_…`")),
    responses((status = 200, body = EndpointOut), (status = "default", description = "A problem", body = Problem))
)]
pub async fn change(
    State(host): State<Host>,
    caller: ShopCaller,
    PathId(id): PathId<EndpointId>,
    body: Body<EndpointPatch>,
) -> Result<Json<EndpointOut>, Problem> {
    find(&host, caller, id).await?;
    let mut patch = body.value;
    if let Some(url) = &mut patch.url {
        *url = web_hook_address(&host, caller.shop_id, "url", url).await?;
    }
    if let Some(text) = patch.name.as_ref().filter(|text| !text.is_empty()) {
        name("name", text)?;
    }
    let events = patch.events.as_deref().map(events).transpose()?;
    let now_us = host.now_us();
    let row = under_lock(&host, caller, id, move |row, _| {
        row.url = patch.url.or(row.url.take());
        row.name = patch.name.unwrap_or(std::mem::take(&mut row.name));
        row.events = events.unwrap_or(row.events.clone());
        if let Some(enabled) = patch.enabled {
            row.disabled_us =
                if enabled { None } else { row.disabled_us.filter(|_| !row.enabled).or(Some(now_us)) };
            row.enabled = enabled;
            row.disabled_reason = None;
            row.failing_since_us = None;
            row.given_up = 0;
            row.slow_since_us = None;
        }
        Ok(())
    });
    Ok(Json(EndpointOut::of(&row.await?, host.now_us(), None)))
}

/// Removes an endpoint with its deliveries.
#[utoipa::path(
    delete, path = "/v1/webhook-endpoints/{id}", tag = "webhooks", params(("id" = String, Path, description = "`wep_…`")),
    responses((status = 204, description = "Removed"), (status = "default", description = "A problem", body = Problem))
)]
pub async fn remove(
    State(host): State<Host>,
    caller: ShopCaller,
    PathId(id): PathId<EndpointId>,
) -> Result<StatusCode, Problem> {
    find(&host, caller, id).await?;
    let (shop, now_us) = (caller.shop_id, host.now_us());
    let retired: Result<bool, Error> =
        host.store().transact(move |tx| rows::retire(tx, shop, id, now_us)).await;
    if !retired? {
        return Err(Problem::not_found("endpoint"));
    }
    // In parts, so that payments are not kept waiting. Were the host to die here, rows that nobody sees would stay.
    loop {
        let left = host.store().transact(move |tx| {
            let forgotten = deliveries::forget_all(tx, shop, id, FORGET)?;
            if forgotten == 0 {
                rows::remove(tx, shop, id)?;
            }
            Ok::<_, Error>(forgotten)
        });
        if left.await? == 0 {
            return Ok(StatusCode::NO_CONTENT);
        }
    }
}

/// Makes a new secret, which is in this answer only. The one that it replaces signs beside it for a while, as do those that were
/// replaced before.
#[utoipa::path(
    post, path = "/v1/webhook-endpoints/{id}/rotate-secret", tag = "webhooks", request_body = RotateIn,
    params(("id" = String, Path, description = "`wep_…`")),
    responses((status = 200, body = EndpointOut), (status = "default", description = "A problem", body = Problem))
)]
pub async fn rotate(
    State(host): State<Host>,
    caller: ShopCaller,
    PathId(id): PathId<EndpointId>,
    body: Body<RotateIn>,
) -> Result<Json<EndpointOut>, Problem> {
    find(&host, caller, id).await?;
    let seconds = body.value.old_secret_seconds.unwrap_or(OLD_SECRET_S);
    if seconds > OLD_SECRET_MAX_S {
        return Err(Problem::field("old_secret_seconds", format!("at most {OLD_SECRET_MAX_S}")));
    }
    let now_us = host.now_us();
    let until_us = now_us.saturating_add(i64::from(seconds).saturating_mul(1_000_000));
    let secret = Secret::new();
    let shown = secret.shown();
    let row = under_lock(&host, caller, id, move |row, key| {
        let mut old = signing(row, now_us);
        if seconds > 0 {
            if let (true, Some(first)) = (old.len() >= OLD_SECRETS_MAX, old.first()) {
                let words = format!(
                    "{OLD_SECRETS_MAX} secrets that were replaced still sign; rotate again after {}, or with old_secret_seconds: 0",
                    rfc3339(first.until_us)
                );
                return Err(Problem::new("conflict", words));
            }
            let replaced = Place::WebhookSecret(id).open(key, &row.secret)?;
            old.push(OldSecret::new(&Place::OldWebhookSecret(id).seal(key, &replaced)?, until_us));
        }
        row.old_secrets = Stored::of(&old)?;
        row.secret = Place::WebhookSecret(id).seal(key, secret.bytes())?;
        Ok(())
    });
    Ok(Json(EndpointOut::of(&row.await?, now_us, Some(shown))))
}

/// Which deliveries.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DeliveryParams {
    /// `waiting`, `delivered` or `failed`.
    pub state: Option<String>,
    /// At most 100; default 20.
    pub limit: Option<u32>,
    /// The cursor of the page before.
    pub after: Option<String>,
}

/// What was sent to an endpoint and what came of it, newest events first. Kept for 30 days.
#[utoipa::path(
    get, path = "/v1/webhook-endpoints/{id}/deliveries", tag = "webhooks",
    params(("id" = String, Path, description = "`wep_…`"), DeliveryParams),
    responses((status = 200, body = Page<DeliveryOut>), (status = "default", description = "A problem", body = Problem))
)]
pub async fn deliveries(
    State(host): State<Host>,
    caller: ShopCaller,
    PathId(id): PathId<EndpointId>,
    Params(params): Params<DeliveryParams>,
) -> Result<Json<Page<DeliveryOut>>, Problem> {
    let endpoint = find(&host, caller, id).await?;
    let limit = limit(params.limit)?;
    let after: Option<EventId> = cursor(params.after.as_deref())?;
    let state = params.state.as_deref().map(|text| {
        DeliveryState::parse(text).ok_or_else(|| Problem::field("state", "waiting, delivered or failed"))
    });
    let state = state.transpose()?;
    let rows = host
        .store()
        .read(move |tx| deliveries::list(tx, (caller.shop_id, id), state, after, i64::from(limit) + 1));
    let (rows, key) = (rows.await?, host.shop_key(caller.shop_id).await?);
    let shown = rows.into_iter().map(|row| DeliveryOut::of(&key, row, &endpoint));
    let shown = shown.collect::<Result<Vec<_>, Error>>()?;
    Ok(Json(page(shown, limit, |delivery: &DeliveryOut| delivery.event_id.clone())))
}
