//! Who is asking. Invariant: a shop's key reaches its own shop in its own mode and nothing else; an operator may act for a shop
//! by naming it; a wrong key and no key are the same 401 (after many wrong ones from an address these are 429, and a right one from
//! there still is let in). A suspended shop is still let in: it reads and cancels what it sold
//! (what sells looks at `Shop::is_selling`).

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use payhost_core::id::{KeyId, ShopId};
use payhost_store::rows::{
    Mode,
    api_keys::{self, OperatorKey},
    shops,
};
use payhost_store::vault;

use super::problem::Problem;
use super::request_id;
use super::source::Source;
use crate::host::Host;
use crate::shops::keys;

/// What stood behind `Authorization: Bearer`, with the shop that an operator named and where it came from.
pub struct Bearer(pub String, Option<Acting>, Option<Source>);

#[derive(Debug, Clone)]
struct Acting {
    shop: String,
    mode: String,
}

/// Who is asking.
#[derive(Debug, Clone, Copy)]
pub enum Caller {
    /// A shop, in a mode.
    Shop(ShopCaller),
    /// The operator, for no shop.
    Operator,
}

/// A shop in a mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShopCaller {
    /// Which.
    pub shop_id: ShopId,
    /// Test or live.
    pub mode: Mode,
    /// The key; absent when the operator acts for the shop.
    pub key_id: Option<KeyId>,
}

/// The operator.
#[derive(Debug, Clone, Copy)]
pub struct Operator;

impl Caller {
    /// The shop; an operator must have named one.
    pub fn shop(self) -> Result<ShopCaller, Problem> {
        match self {
            Self::Shop(shop) => Ok(shop),
            Self::Operator => {
                let words = "name the shop that this is for: the headers payhost-shop (shop_…) and payhost-mode (test or live), \
                             in a command --shop and --mode (payhost shop list)";
                Err(Problem::new("forbidden", words))
            }
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Bearer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let header =
            |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok()).map(ToOwned::to_owned);
        let given = header(AUTHORIZATION.as_str());
        let token = given
            .as_deref()
            .and_then(|text| text.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let Some((_, token)) = token else {
            return Err(Problem::new("unauthorized", "send a key: Authorization: Bearer sk_test_…"));
        };
        let acting = header("payhost-shop")
            .map(|shop| Acting { shop, mode: header("payhost-mode").unwrap_or_default() });
        Ok(Self(token.trim().to_owned(), acting, parts.extensions.get::<Source>().copied()))
    }
}

/// Finds out who a bearer is.
pub async fn identify(host: &Host, bearer: &Bearer) -> Result<Caller, Problem> {
    let unauthorized = || host.limits().bad_key(bearer.2);
    if vault::same(bearer.0.as_bytes(), host.run_key().as_bytes()) {
        return operator(host, bearer).await;
    }
    let hash = host.vault().hash_api_key(&bearer.0)?;
    match keys::shop_of(&bearer.0) {
        Some(shop) => shop_key(host, shop, hash).await?.ok_or_else(unauthorized).map(Caller::Shop),
        None => {
            let key = host.store().read(move |tx| {
                tx.keep_settings()?;
                api_keys::find_operator(tx, &hash)
            });
            let key = key.await?.filter(|key: &OperatorKey| key.is_valid(host.now_us()));
            let key = key.ok_or_else(unauthorized)?;
            if !key.is_bound(host.vault())? {
                refuse_changed(key.id);
                return Err(unauthorized());
            }
            request_id::about(&key.id.to_string());
            host.limits().key(key.id, None)?;
            operator(host, bearer).await
        }
    }
}

/// Whose a shop's key is; nothing if it lets nobody in.
async fn shop_key(host: &Host, shop_id: ShopId, hash: [u8; 32]) -> Result<Option<ShopCaller>, Problem> {
    // Key and shop are read together: every request begins with them.
    let found = host.store().read(move |tx| {
        tx.keep_settings()?;
        let shop = shops::ask(tx, shop_id)?;
        let Some(key) = api_keys::find(tx, shop_id, &hash)? else { return Ok(None) };
        Ok::<_, payhost_store::Error>(shop.first(tx)?.map(|shop| (key, shop)))
    });
    let found = found.await?.filter(|(key, _)| key.is_valid(host.now_us()));
    let Some((key, shop)) = found else { return Ok(None) };
    if !key.is_bound(host.vault())? {
        refuse_changed(key.id);
        return Ok(None);
    }
    request_id::about(&key.id.to_string());
    host.limits().key(key.id, Some(shop_id))?;
    // A removed shop's keys were revoked; this is for certainty.
    if shop.removed_us.is_some() {
        return Ok(None);
    }
    request_id::about(&shop_id.to_string());
    Ok(Some(ShopCaller { shop_id, mode: key.mode, key_id: Some(key.id) }))
}

fn refuse_changed(key: KeyId) {
    tracing::error!(%key, "this key's row was changed in the database; the key is refused. Revoke it and make a new one");
}

async fn operator(host: &Host, bearer: &Bearer) -> Result<Caller, Problem> {
    let Some(acting) = &bearer.1 else { return Ok(Caller::Operator) };
    let shop_id: ShopId = acting.shop.parse().map_err(|_| Problem::not_found("shop"))?;
    let mode = Mode::parse(&acting.mode).ok_or_else(|| Problem::field("payhost-mode", "test or live"))?;
    let shop = host.store().read(move |tx| shops::get(tx, shop_id)).await?;
    shop.ok_or_else(|| Problem::not_found("shop"))?;
    request_id::about(&acting.shop);
    Ok(Caller::Shop(ShopCaller { shop_id, mode, key_id: None }))
}

impl FromRequestParts<Host> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, host: &Host) -> Result<Self, Problem> {
        let bearer = Bearer::from_request_parts(parts, host).await?;
        identify(host, &bearer).await
    }
}

impl FromRequestParts<Host> for ShopCaller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, host: &Host) -> Result<Self, Problem> {
        Caller::from_request_parts(parts, host).await?.shop()
    }
}

/// An operator who acts for a shop, which the request names: what is one shop's is looked up in that shop.
#[derive(Debug, Clone, Copy)]
pub struct OperatorForShop {
    /// Which.
    pub shop_id: ShopId,
    /// Test or live.
    pub mode: Mode,
}

impl FromRequestParts<Host> for OperatorForShop {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, host: &Host) -> Result<Self, Problem> {
        let caller = Caller::from_request_parts(parts, host).await?;
        match caller.shop()? {
            ShopCaller { shop_id, mode, key_id: None } => Ok(Self { shop_id, mode }),
            ShopCaller { key_id: Some(_), .. } => {
                Err(Problem::new("forbidden", "this needs an operator's key"))
            }
        }
    }
}

impl FromRequestParts<Host> for Operator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, host: &Host) -> Result<Self, Problem> {
        match Caller::from_request_parts(parts, host).await? {
            Caller::Operator => Ok(Self),
            Caller::Shop(_) => Err(Problem::new("forbidden", "this needs an operator's key")),
        }
    }
}
