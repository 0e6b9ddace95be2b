//! `/v1/shops`. Invariant: only the operator makes and lists shops.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use payhost_core::id::ShopId;
use payhost_store::rows::shops::{self, Shop};
use payhost_store::{Error, Json as Stored};
use serde::{Deserialize, Serialize};
use url::Url;
use utoipa::ToSchema;

use crate::checkout::source::WebOrigin;
use crate::host::Host;
use crate::http::auth::Operator;
use crate::http::json::{Body, Params};
use crate::http::page::{Page, PageParams, limit, page};
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
    /// RFC 3339.
    pub created_at: String,
}

impl From<Shop> for ShopOut {
    fn from(row: Shop) -> Self {
        Self {
            id: row.id.to_string(),
            name: row.name,
            public_url: row.public_url,
            allowed_origins: row.allowed_origins.to().unwrap_or_default(),
            created_at: rfc3339(row.created_us),
        }
    }
}

/// A name that people read.
pub fn name(field: &str, text: &str) -> Result<(), Problem> {
    let fits =
        !text.trim().is_empty() && text.chars().count() <= NAME_MAX && !text.chars().any(char::is_control);
    if fits { Ok(()) } else { Err(Problem::field(field, format!("one line of 1 to {NAME_MAX} characters"))) }
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
    if input.allowed_origins.len() > ORIGINS_MAX {
        return Err(Problem::field("allowed_origins", format!("at most {ORIGINS_MAX}")));
    }
    let origins = input.allowed_origins.iter().map(|text| origin("allowed_origins", text));
    let origins = origins.collect::<Result<Vec<_>, _>>()?;
    let id = host.new_id(ShopId::new);
    let row = Shop {
        id,
        name: input.name,
        public_url,
        allowed_origins: Stored::of(&origins)?,
        data_key: host.vault().new_data_key(id)?,
        created_us: host.now_us(),
        disabled_us: None,
    };
    let shown = ShopOut::from(row.clone());
    let made: Result<(), Error> = host.store().transact(move |tx| shops::insert(tx, &row)).await;
    made?;
    Ok((StatusCode::CREATED, Json(shown)))
}

/// Lists shops, in the order in which they were made.
#[utoipa::path(
    get, path = "/v1/shops", tag = "set-up", params(PageParams),
    responses((status = 200, body = Page<ShopOut>), (status = "default", description = "A problem", body = Problem))
)]
pub async fn list(
    State(host): State<Host>,
    _: Operator,
    Params(params): Params<PageParams>,
) -> Result<Json<Page<ShopOut>>, Problem> {
    let limit = limit(params.limit)?;
    let after = match &params.after {
        None => None,
        Some(text) => Some(text.parse().map_err(|_| Problem::field("after", "not a cursor of this list"))?),
    };
    let rows = host.store().read(move |tx| shops::list(tx, after, i64::from(limit) + 1)).await?;
    Ok(Json(page(rows.into_iter().map(ShopOut::from).collect(), limit, |shop| shop.id.clone())))
}
