//! `/v1/keys`. Invariant: a key's secret leaves the host once, in the answer that makes it.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use payhost_core::id::{KeyId, ShopId};
use payhost_store::rows::Mode;
use payhost_store::rows::api_keys::{self, ApiKey, OperatorKey};
use payhost_store::{Blob, Error};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::manage;
use crate::host::{Host, hex, random};
use crate::http::auth::Operator;
use crate::http::json::{Body, Params, PathId};
use crate::http::page::Page;
use crate::http::problem::Problem;
use crate::http::text;
use crate::time::rfc3339;

/// A new key.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyIn {
    /// The shop. Absent: an operator's key.
    #[serde(default)]
    pub shop_id: Option<String>,
    /// `test` or `live`, for a shop's key.
    #[serde(default)]
    pub mode: Option<String>,
    /// What it is for.
    #[serde(default, deserialize_with = "text::line")]
    pub name: String,
}

/// A key.
#[derive(Debug, Serialize, ToSchema)]
pub struct KeyOut {
    /// `key_…`.
    pub id: String,
    /// The key itself; only in the answer that makes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// Whose.
    pub shop_id: Option<String>,
    /// `test` or `live`.
    pub mode: Option<String>,
    /// What it is for.
    pub name: String,
    /// Its last four characters.
    pub hint: String,
    /// RFC 3339.
    pub created_at: String,
    /// Since when it is refused.
    pub revoked_at: Option<String>,
}

impl KeyOut {
    fn of_shop(row: &ApiKey) -> Self {
        Self {
            id: row.id.to_string(),
            secret: None,
            shop_id: Some(row.shop_id.to_string()),
            mode: Some(row.mode.as_str().to_owned()),
            name: row.name.clone(),
            hint: row.hint.clone(),
            created_at: rfc3339(row.created_us),
            revoked_at: row.revoked_us.map(rfc3339),
        }
    }

    fn of_operator(row: &OperatorKey) -> Self {
        Self {
            id: row.id.to_string(),
            secret: None,
            shop_id: None,
            mode: None,
            name: row.name.clone(),
            hint: row.hint.clone(),
            created_at: rfc3339(row.created_us),
            revoked_at: row.revoked_us.map(rfc3339),
        }
    }
}

/// What a shop's key begins with.
fn prefix(mode: Mode) -> &'static str {
    match mode {
        Mode::Test => "sk_test_",
        Mode::Live => "sk_live_",
    }
}

/// A new shop's key: it names its shop, in whose rows it is looked up.
fn shop_secret(shop: ShopId, mode: Mode) -> String {
    format!("{}{}{}", prefix(mode), shop.suffix(), hex(&random::<32>()))
}

/// The shop that a key names; nothing if it is not of a shop's form.
pub fn shop_of(secret: &str) -> Option<ShopId> {
    let named = [Mode::Test, Mode::Live].into_iter().find_map(|mode| secret.strip_prefix(prefix(mode)))?;
    format!("{}_{}", ShopId::PREFIX, named.get(..ShopId::SUFFIX_LENGTH)?).parse().ok()
}

fn hint(secret: &str) -> String {
    secret.get(secret.len().saturating_sub(4)..).unwrap_or_default().to_owned()
}

/// Makes a key. Its secret is in this answer only.
#[utoipa::path(
    post, path = "/v1/keys", tag = "set-up", request_body = KeyIn,
    responses((status = 201, body = KeyOut), (status = "default", description = "A problem", body = Problem))
)]
pub async fn create(
    State(host): State<Host>,
    _: Operator,
    body: Body<KeyIn>,
) -> Result<(StatusCode, Json<KeyOut>), Problem> {
    let input = body.value;
    if !input.name.is_empty() {
        manage::name("name", &input.name)?;
    }
    let shop_id = match &input.shop_id {
        None => None,
        Some(text) => Some(text.parse::<ShopId>().map_err(|_| Problem::not_found("shop"))?),
    };
    let shown = match (shop_id, &input.mode) {
        (None, Some(_)) => return Err(Problem::field("mode", "an operator's key has no mode")),
        (None, None) => create_operator(&host, input.name).await?,
        (Some(shop), mode) => {
            let mode = Mode::parse(mode.as_deref().unwrap_or("test"));
            let mode = mode.ok_or_else(|| Problem::field("mode", "test or live"))?;
            create_for(&host, shop, mode, input.name).await?
        }
    };
    Ok((StatusCode::CREATED, Json(shown)))
}

async fn create_for(host: &Host, shop_id: ShopId, mode: Mode, name: String) -> Result<KeyOut, Problem> {
    let secret = shop_secret(shop_id, mode);
    let row = ApiKey {
        id: host.new_id(KeyId::new),
        shop_id,
        mode,
        name,
        hash: Blob(host.vault().hash_api_key(&secret)?.to_vec()),
        hint: hint(&secret),
        created_us: host.now_us(),
        expires_us: None,
        revoked_us: None,
        binding: Blob(Vec::new()),
    }
    .bound(host.vault())?;
    let shown = KeyOut { secret: Some(secret), ..KeyOut::of_shop(&row) };
    let made = host.store().transact(move |tx| {
        manage::tenant(tx, row.shop_id)??;
        api_keys::insert(tx, &row)?;
        Ok::<_, Problem>(())
    });
    made.await?;
    Ok(shown)
}

async fn create_operator(host: &Host, name: String) -> Result<KeyOut, Problem> {
    let secret = format!("op_{}", hex(&random::<32>()));
    let row = OperatorKey {
        id: host.new_id(KeyId::new),
        name,
        hash: Blob(host.vault().hash_api_key(&secret)?.to_vec()),
        hint: hint(&secret),
        created_us: host.now_us(),
        expires_us: None,
        revoked_us: None,
        binding: Blob(Vec::new()),
    }
    .bound(host.vault())?;
    let shown = KeyOut { secret: Some(secret), ..KeyOut::of_operator(&row) };
    host.store().transact(move |tx| api_keys::insert_operator(tx, &row)).await?;
    Ok(shown)
}

/// Whose keys.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct KeyParams {
    /// Of this shop. Absent: the operator's.
    pub shop_id: Option<String>,
}

fn owner(text: Option<&str>) -> Result<Option<ShopId>, Problem> {
    text.map(|text| text.parse().map_err(|_| Problem::not_found("shop"))).transpose()
}

/// Lists keys without their secrets.
#[utoipa::path(
    get, path = "/v1/keys", tag = "set-up", params(KeyParams),
    responses((status = 200, body = Page<KeyOut>), (status = "default", description = "A problem", body = Problem))
)]
pub async fn list(
    State(host): State<Host>,
    _: Operator,
    Params(params): Params<KeyParams>,
) -> Result<Json<Page<KeyOut>>, Problem> {
    let shop = owner(params.shop_id.as_deref())?;
    let data = host.store().read(move |tx| match shop {
        Some(shop) => Ok(api_keys::list(tx, shop)?.iter().map(KeyOut::of_shop).collect()),
        None => Ok::<_, Error>(api_keys::list_operators(tx)?.iter().map(KeyOut::of_operator).collect()),
    });
    Ok(Json(Page { data: data.await?, next: None }))
}

/// Ends a key at once.
#[utoipa::path(
    delete, path = "/v1/keys/{id}", tag = "set-up", params(("id" = String, Path, description = "`key_…`"), KeyParams),
    responses((status = 204, description = "Ended"), (status = "default", description = "A problem", body = Problem))
)]
pub async fn revoke(
    State(host): State<Host>,
    _: Operator,
    PathId(id): PathId<KeyId>,
    Params(params): Params<KeyParams>,
) -> Result<StatusCode, Problem> {
    let (shop, now_us) = (owner(params.shop_id.as_deref())?, host.now_us());
    let revoked = host.store().transact(move |tx| api_keys::revoke(tx, shop, id, now_us));
    let revoked: Result<bool, Error> = revoked.await;
    if revoked? { Ok(StatusCode::NO_CONTENT) } else { Err(Problem::not_found("key")) }
}
