//! `/v1/shops`. Invariant: only the operator makes, changes, suspends and removes shops; a suspended shop sells nothing, but
//! cancels and is told; a removed one leaves its rows, which the operator reads and cancels, and nothing more is made for it
//! ([`tenant`]).

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use payhost_core::id::ShopId;
use payhost_core::text::is_hidden;
use payhost_store::rows::in_use::{InUse, in_use};
use payhost_store::rows::shops::{self, Shop};
use payhost_store::rows::{api_keys, channels, endpoints};
use payhost_store::{Error, Json as Stored, Tx};
use serde::{Deserialize, Serialize};
use url::Url;
use utoipa::{IntoParams, ToSchema};

use crate::checkout::source::WebOrigin;
use crate::host::Host;
use crate::http::auth::Operator;
use crate::http::json::{Body, Params, PathId};
use crate::http::page::{Page, limit, page};
use crate::http::problem::Problem;
use crate::http::text;
use crate::payments::create::web_address;
use crate::time::rfc3339;

/// Longest name, in characters.
const NAME_MAX: usize = 100;
/// Most origins of a shop.
const ORIGINS_MAX: usize = 20;

/// A new shop.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ShopIn {
    /// What buyers see.
    #[schema(max_length = 100)]
    #[serde(deserialize_with = "text::line")]
    pub name: String,
    /// Address of the shop's own checkout host. Absent: this host's.
    #[serde(default)]
    pub public_url: Option<String>,
    /// Origins of the shop's pages that may hear of results, as `https://shop.example`.
    #[serde(default)]
    pub allowed_origins: Vec<String>,
    /// Whether its webhooks and forwarded notices may go to the networks of `payhost serve --webhook-allow-network`. What is
    /// answered from there is not shown to the shop.
    #[serde(default)]
    pub private_webhooks: bool,
}

/// A shop.
#[derive(Debug, Serialize, ToSchema)]
#[non_exhaustive]
pub struct ShopOut {
    /// `shop_…`.
    pub id: String,
    /// What buyers see.
    pub name: String,
    /// Address of its own checkout host.
    pub public_url: Option<String>,
    /// Origins that may hear of results.
    pub allowed_origins: Vec<String>,
    /// Whether it is told in the operator's own networks too.
    pub private_webhooks: bool,
    /// `active`, `suspended` (sells nothing, cancels and hears) or `removed`.
    pub state: String,
    /// RFC 3339.
    pub created_at: String,
    /// Since when it sells nothing, RFC 3339.
    pub suspended_at: Option<String>,
    /// Since when it is no tenant any more, RFC 3339.
    pub removed_at: Option<String>,
}

impl From<Shop> for ShopOut {
    fn from(row: Shop) -> Self {
        let state = match (row.removed_us, row.suspended_us) {
            (Some(_), _) => "removed",
            (None, Some(_)) => "suspended",
            (None, None) => "active",
        };
        Self {
            state: state.to_owned(),
            suspended_at: row.suspended_us.map(rfc3339),
            removed_at: row.removed_us.map(rfc3339),
            id: row.id.to_string(),
            name: row.name,
            public_url: row.public_url,
            allowed_origins: row.allowed_origins.to().unwrap_or_default(),
            private_webhooks: row.private_webhooks,
            created_at: rfc3339(row.created_us),
        }
    }
}

/// A name that people read.
pub fn name(field: &str, text: &str) -> Result<(), Problem> {
    let fits = !text.trim().is_empty() && text.chars().count() <= NAME_MAX && !text.contains(is_hidden);
    if fits {
        Ok(())
    } else {
        Err(Problem::field(field, format!("one line of 1 to {NAME_MAX} characters that are seen")))
    }
}

/// The shop for which a transaction makes or changes something, locked: until it ends the shop is not removed. A removed one is
/// refused.
pub fn tenant(tx: &mut Tx<'_>, id: ShopId) -> Result<Result<Shop, Problem>, Error> {
    Ok(match shops::lock(tx, id)? {
        None => Err(Problem::not_found("shop")),
        Some(row) if row.removed_us.is_some() => Err(removed()),
        Some(row) => Ok(row),
    })
}

/// What is said to who wants something made for a shop that is none any more.
pub fn removed() -> Problem {
    let words =
        "this shop was removed: nothing is made for it any more; what it sold can be read and cancelled";
    Problem::new("shop_removed", words)
}

/// An origin: scheme, host and port to the letter, nothing behind.
pub fn origin(field: &str, text: &str) -> Result<String, Problem> {
    let url: Url = web_address(field, text)?;
    let origin = url.origin().ascii_serialization();
    if origin != text.trim_end_matches('/') {
        return Err(Problem::field(field, format!("an origin without path, such as {origin}")));
    }
    // A URL may carry `*` and `;` in its host; no host has such a name, and pages and policies are written with it.
    if WebOrigin::parse(&origin).is_none() {
        return Err(Problem::field(field, "a host name is letters, digits and `-`, without a wildcard"));
    }
    Ok(origin)
}

fn origins(given: &[String]) -> Result<Vec<String>, Problem> {
    if given.len() > ORIGINS_MAX {
        return Err(Problem::field("allowed_origins", format!("at most {ORIGINS_MAX}")));
    }
    given.iter().map(|text| origin("allowed_origins", text)).collect()
}

/// Makes a shop.
#[utoipa::path(
    post, path = "/v1/shops", tag = "set-up", request_body = ShopIn,
    responses((status = 201, body = ShopOut), (status = "default", description = "A problem", body = Problem))
)]
pub async fn create(
    State(host): State<Host>,
    _: Operator,
    body: Body<ShopIn>,
) -> Result<(StatusCode, Json<ShopOut>), Problem> {
    let input = body.value;
    name("name", &input.name)?;
    let public_url = input.public_url.as_deref().map(|url| origin("public_url", url)).transpose()?;
    let origins = origins(&input.allowed_origins)?;
    let id = host.new_id(ShopId::new);
    let row = Shop {
        id,
        name: input.name,
        public_url,
        allowed_origins: Stored::of(&origins)?,
        private_webhooks: input.private_webhooks,
        data_key: host.vault().new_data_key(id)?,
        created_us: host.now_us(),
        suspended_us: None,
        removed_us: None,
    };
    let shown = ShopOut::from(row.clone());
    let made: Result<(), Error> = host.store().transact(move |tx| shops::insert(tx, &row)).await;
    made?;
    Ok((StatusCode::CREATED, Json(shown)))
}

/// A change of a shop.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ShopPatch {
    /// A new name.
    #[serde(default)]
    #[schema(max_length = 100)]
    pub name: Option<String>,
    /// A new address of its checkout host; an empty text: this host's.
    #[serde(default)]
    pub public_url: Option<String>,
    /// All origins that may hear of results from now on.
    #[serde(default)]
    pub allowed_origins: Option<Vec<String>>,
    /// `true`: it sells nothing from now on (no new payments, no windows, no approvals), and still cancels, reads, and hears of
    /// deposits and events. `false`: it sells again.
    #[serde(default)]
    pub suspended: Option<bool>,
    /// Whether its webhooks and forwarded notices may go to the networks of `payhost serve --webhook-allow-network`.
    #[serde(default)]
    pub private_webhooks: Option<bool>,
}

/// Shows a shop.
#[utoipa::path(
    get, path = "/v1/shops/{id}", tag = "set-up", params(("id" = String, Path, description = "`shop_…`")),
    responses((status = 200, body = ShopOut), (status = "default", description = "A problem", body = Problem))
)]
pub async fn read(
    State(host): State<Host>,
    _: Operator,
    PathId(id): PathId<ShopId>,
) -> Result<Json<ShopOut>, Problem> {
    let row = host.store().read(move |tx| shops::get(tx, id)).await?;
    Ok(Json(row.ok_or_else(|| Problem::not_found("shop"))?.into()))
}

/// Changes a shop; what is absent stays.
#[utoipa::path(
    patch, path = "/v1/shops/{id}", tag = "set-up", request_body = ShopPatch,
    params(("id" = String, Path, description = "`shop_…`")),
    responses((status = 200, body = ShopOut), (status = "default", description = "A problem", body = Problem))
)]
pub async fn update(
    State(host): State<Host>,
    _: Operator,
    PathId(id): PathId<ShopId>,
    body: Body<ShopPatch>,
) -> Result<Json<ShopOut>, Problem> {
    let patch = body.value;
    if let Some(text) = &patch.name {
        name("name", text)?;
    }
    let address = patch.public_url.as_deref().filter(|url| !url.is_empty());
    let address = address.map(|url| origin("public_url", url)).transpose()?;
    let origins = patch.allowed_origins.as_deref().map(origins).transpose()?;
    let now_us = host.now_us();
    let changed = host.store().transact(move |tx| {
        let mut row = match tenant(tx, id)? {
            Ok(row) => row,
            Err(problem) => return Ok(Err(problem)),
        };
        row.name = patch.name.unwrap_or(row.name);
        if patch.public_url.is_some() {
            row.public_url = address;
        }
        if let Some(origins) = origins {
            row.allowed_origins = Stored::of(&origins)?;
        }
        row.private_webhooks = patch.private_webhooks.unwrap_or(row.private_webhooks);
        row.suspended_us = match patch.suspended {
            Some(true) => row.suspended_us.or(Some(now_us)),
            Some(false) => None,
            None => row.suspended_us,
        };
        shops::update(tx, &row)?;
        Ok::<_, Error>(Ok(row))
    });
    Ok(Json(changed.await??.into()))
}

/// Removes a shop of which nothing is open: its keys end, its endpoints are switched off, its channels removed. Its rows stay, and
/// the operator still reads and cancels what it sold.
#[utoipa::path(
    delete, path = "/v1/shops/{id}", tag = "set-up", params(("id" = String, Path, description = "`shop_…`")),
    responses((status = 200, body = ShopOut), (status = "default", description = "A problem", body = Problem))
)]
pub async fn remove(
    State(host): State<Host>,
    _: Operator,
    PathId(id): PathId<ShopId>,
) -> Result<Json<ShopOut>, Problem> {
    let now_us = host.now_us();
    let removed = host.store().transact(move |tx| {
        let Some(mut row) = shops::lock(tx, id)? else { return Ok(Err(Problem::not_found("shop"))) };
        if row.removed_us.is_some() {
            return Ok(Ok(row));
        }
        channels::lock_all_to_end(tx, id)?;
        let in_use = in_use(tx, id, None)?;
        if in_use.any() {
            let wait = "suspend the shop and wait until they expire";
            return Ok(Err(still_open("shop_in_use", wait, &in_use)));
        }
        row.removed_us = Some(now_us);
        shops::update(tx, &row)?;
        api_keys::revoke_all(tx, id, now_us)?;
        endpoints::disable_all(tx, id, "shop_removed", now_us)?;
        channels::remove(tx, id, None, now_us)?;
        Ok::<_, Error>(Ok(row))
    });
    Ok(Json(removed.await??.into()))
}

/// What is in the way of an end: how much of it, what to do about it, and the first few payments by name. `wait` is how a payment
/// ends by itself.
pub fn still_open(code: &'static str, wait: &str, in_use: &InUse) -> Problem {
    let payable = format!("payments can still be paid (cancel them, or {wait})");
    let counts = [
        (in_use.payable, payable.as_str()),
        (in_use.awaiting_deposit, "accounts wait for a deposit (close them)"),
        (in_use.unresolved, "payments are in doubt or wait for a person"),
        (in_use.attempts, "attempts are running or in doubt"),
        (in_use.notices, "notices are to be verified or sent on"),
    ];
    let mut open: Vec<String> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, words)| format!("{count} {words}"))
        .collect();
    if !in_use.payments.is_empty() {
        let ids: Vec<String> = in_use.payments.iter().map(ToString::to_string).collect();
        open.push(format!("the first of these payments: {}", ids.join(", ")));
    }
    Problem::new(code, format!("nothing was removed: {}", open.join("; ")))
}

/// Which shops.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ShopParams {
    /// `true`: only removed shops. Absent: all others.
    pub removed: Option<bool>,
    /// At most so many (1 to 100, default 20).
    pub limit: Option<u32>,
    /// The cursor `next` of the page before.
    pub after: Option<String>,
}

/// Lists shops, in the order in which they were made.
#[utoipa::path(
    get, path = "/v1/shops", tag = "set-up", params(ShopParams),
    responses((status = 200, body = Page<ShopOut>), (status = "default", description = "A problem", body = Problem))
)]
pub async fn list(
    State(host): State<Host>,
    _: Operator,
    Params(params): Params<ShopParams>,
) -> Result<Json<Page<ShopOut>>, Problem> {
    let limit = limit(params.limit)?;
    let after = match &params.after {
        None => None,
        Some(text) => Some(text.parse().map_err(|_| Problem::field("after", "not a cursor of this list"))?),
    };
    let removed = params.removed.unwrap_or(false);
    let rows = host.store().read(move |tx| shops::list(tx, removed, after, i64::from(limit) + 1)).await?;
    Ok(Json(page(rows.into_iter().map(ShopOut::from).collect(), limit, |shop| shop.id.clone())))
}
