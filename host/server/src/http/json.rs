//! Bodies, paths and queries. Invariant: what is not what the route expects is a problem that names the member at fault; it is
//! never silently corrected, and unknown members are refused. How values are read: [`super::strict`].

use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use payhost_core::id::ShopId;
use payhost_core::text::is_hidden;
use serde::de::DeserializeOwned;

use super::BODY_MAX;
use super::problem::Problem;
use super::{request_id, strict};

/// A JSON body, with the bytes as they came (for the request hash of an idempotency key). It is always an object.
pub struct Body<T> {
    /// What was read.
    pub value: T,
    /// The bytes.
    pub raw: bytes::Bytes,
}

/// Whether a content type is JSON in UTF-8, to the letter: `application/jsonx` is another type.
fn is_json(kind: &str) -> bool {
    let mut parts = kind.split(';').map(str::trim);
    let json = parts.next().is_some_and(|essence| essence.eq_ignore_ascii_case("application/json"));
    json && parts.all(|parameter| match parameter.split_once('=') {
        Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => {
            value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
        }
        Some(_) | None => true,
    })
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let kind = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        if !kind.is_some_and(is_json) {
            let words = "send the body as JSON in UTF-8, with content-type: application/json";
            return Err(Problem::new("unsupported_media_type", words));
        }
        let raw = bytes::Bytes::from_request(request, state).await.map_err(|rejection| {
            if rejection.status().as_u16() == 413 {
                Problem::new("payload_too_large", format!("a body has at most {BODY_MAX} bytes"))
            } else {
                let words = "the body did not arrive whole";
                Problem { field: Some(strict::WHOLE.into()), ..Problem::new("invalid_json", words) }
            }
        })?;
        Self::of(raw)
    }
}

impl<T: DeserializeOwned> Body<T> {
    /// A body that came as bytes, whose type was looked at before.
    pub fn of(raw: bytes::Bytes) -> Result<Self, Problem> {
        strict::body(&raw).map(|value| Self { value, raw })
    }
}

/// An id in the path. Text that is no id of that kind is the same 404 as an id that does not exist.
pub struct PathId<T>(pub T);

impl<T, S> FromRequestParts<S> for PathId<T>
where
    T: std::str::FromStr + Send,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(text) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|_| Problem::not_found("thing"))?;
        let id = text.parse().map(Self).map_err(|_| Problem::not_found("thing"))?;
        request_id::about(&text);
        Ok(id)
    }
}

/// A shop's id and an id of it in the path: addresses that browsers and gateways use carry both, since an id is unique within its shop
/// only. What is no such id is the same 404 as an id that does not exist.
pub struct PathOfShop<T>(pub ShopId, pub T);

impl<T, S> FromRequestParts<S> for PathOfShop<T>
where
    T: std::str::FromStr + Send,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path((shop, text)) = Path::<(String, String)>::from_request_parts(parts, state)
            .await
            .map_err(|_| Problem::not_found("thing"))?;
        let ids = shop.parse().ok().zip(text.parse().ok());
        let (shop_id, id) = ids.ok_or_else(|| Problem::not_found("thing"))?;
        request_id::about(&shop);
        request_id::about(&text);
        Ok(Self(shop_id, id))
    }
}

/// Text in the path that names something. What is no such text is the same 404 as a name that does not exist.
pub struct PathText(pub String);

impl<S: Send + Sync> FromRequestParts<S> for PathText {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let found = Path::<String>::from_request_parts(parts, state).await;
        let text = found.ok().filter(|Path(text)| !text.contains(is_hidden));
        text.map(|Path(text)| Self(text)).ok_or_else(|| Problem::not_found("thing"))
    }
}

/// Query parameters; unknown ones are refused by the types themselves.
pub struct Params<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        strict::query(parts.uri.query().unwrap_or_default()).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_one_type_in_one_charset() {
        for good in [
            "application/json",
            "Application/JSON ; charset=UTF-8",
            "application/json;charset=\"utf-8\"; v=1",
        ] {
            assert!(is_json(good), "{good}");
        }
        for bad in
            ["", "application/jsonx", "application/json-seq", "text/json", "application/json; charset=euc-kr"]
        {
            assert!(!is_json(bad), "{bad}");
        }
    }
}
