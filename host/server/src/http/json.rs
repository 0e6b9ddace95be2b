//! Bodies and paths. Invariant: a body that is not what the route expects is a problem that names the member at fault; it
//! is never silently corrected, and unknown members are refused.

use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::problem::Problem;

/// A JSON body, with the bytes as they came (for the request hash of an idempotency key).
pub struct Body<T> {
    /// What was read.
    pub value: T,
    /// The bytes.
    pub raw: bytes::Bytes,
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let json = request
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| value.to_ascii_lowercase().starts_with("application/json"));
        if !json {
            return Err(Problem::new(
                "unsupported_media_type",
                "send the body as JSON, with content-type: application/json",
            ));
        }
        let raw = bytes::Bytes::from_request(request, state).await.map_err(|rejection| {
            let status = rejection.status().as_u16();
            let code = if status == 413 { "payload_too_large" } else { "invalid_json" };
            Problem::new(code, rejection.body_text())
        })?;
        Self::of(raw)
    }
}

impl<T: DeserializeOwned> Body<T> {
    /// A body that came as bytes, whose type was looked at before.
    pub fn of(raw: bytes::Bytes) -> Result<Self, Problem> {
        parse(&raw).map(|value| Self { value, raw })
    }
}

fn parse<T: DeserializeOwned>(raw: &[u8]) -> Result<T, Problem> {
    let mut deserializer = serde_json::Deserializer::from_slice(raw);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        let problem = Problem::new("invalid_json", error.inner().to_string());
        if path == "." { problem } else { Problem { field: Some(path), ..problem } }
    })?;
    deserializer.end().map_err(|error| Problem::new("invalid_json", error.to_string()))?;
    Ok(value)
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
        text.parse().map(Self).map_err(|_| Problem::not_found("thing"))
    }
}

/// Query parameters; unknown ones are refused by the types themselves.
pub struct Params<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Query(value) = Query::<T>::from_request_parts(parts, state)
            .await
            .map_err(|rejection| Problem::new("invalid_request", rejection.body_text()))?;
        Ok(Self(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Amount {
        #[allow(dead_code, reason = "only its reading is tested")]
        total: i64,
    }

    #[derive(Debug, serde::Deserialize)]
    struct Order {
        #[allow(dead_code, reason = "only its reading is tested")]
        amount: Amount,
    }

    #[test]
    fn the_member_at_fault_is_named() {
        for (text, field) in [
            (r#"{"amount":{"total":10.5}}"#, "amount.total"),
            (r#"{"amount":{"total":"10"}}"#, "amount.total"),
            (r#"{"amount":{"total":1,"x":1}}"#, "amount.x"),
        ] {
            assert_eq!(parse::<Order>(text.as_bytes()).unwrap_err().field.as_deref(), Some(field), "{text}");
        }
        assert!(parse::<Order>(b"{").is_err());
        assert!(parse::<Order>(br#"{"amount":{"total":1}} x"#).is_err());
    }
}
