//! Idempotency keys. Invariant: within a shop and mode a key belongs to one request; its answer is stored in the transaction
//! that makes it true, and is given again to whoever asks with the same key and body.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use payhost_core::id::{PaymentId, ShopId};
use payhost_store::rows::Mode;
use payhost_store::rows::idempotency::{self as rows, Begun, Idempotency, IdempotencyState};
use payhost_store::{Blob, Error, Tx};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::auth::ShopCaller;
use super::problem::Problem;
use crate::host::Host;

/// Longest key, in characters.
const KEY_MAX: usize = 256;
/// How long an answer is kept, in microseconds: 15 days.
const KEPT_US: i64 = 15 * 24 * 3600 * 1_000_000;

/// The header, if it was sent.
pub struct IdempotencyKey(Option<String>);

/// The header, which must be sent.
pub struct RequiredKey(String);

/// A key with the request that it belongs to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Key {
    shop: ShopId,
    mode: Mode,
    key: String,
    request_hash: Vec<u8>,
    now_us: i64,
}

/// What is known of a key.
pub enum Known {
    /// Nothing: this request does it.
    New,
    /// The answer.
    Answered(u16, Value),
    /// It is running, or was another request.
    Refused(Box<Problem>),
}

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Some(value) = parts.headers.get("idempotency-key") else { return Ok(Self(None)) };
        let text = value.to_str().ok().filter(|text| !text.trim().is_empty() && text.len() <= KEY_MAX);
        let text = text.ok_or_else(|| {
            Problem::field("Idempotency-Key", format!("from 1 to {KEY_MAX} printable ASCII characters"))
        })?;
        Ok(Self(Some(text.to_owned())))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for RequiredKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let words = "send an Idempotency-Key that is new for each cancel, and the same when you repeat one";
        let key = IdempotencyKey::from_request_parts(parts, state).await?.0;
        key.map(Self).ok_or_else(|| Problem::new("idempotency_key_required", words))
    }
}

impl IdempotencyKey {
    /// The key for a request; absent when none was sent.
    pub fn of(self, host: &Host, caller: &ShopCaller, route: &str, body: &[u8]) -> Option<Key> {
        self.0.map(|key| RequiredKey(key).of(host, caller, route, body))
    }
}

impl RequiredKey {
    /// A key of the host's own, for what a page of it asks for.
    pub fn made(key: String) -> Self {
        Self(key)
    }

    /// The key for a request.
    pub fn of(self, host: &Host, caller: &ShopCaller, route: &str, body: &[u8]) -> Key {
        let hash = Sha256::new().chain_update(route.as_bytes()).chain_update([0]).chain_update(body);
        Key {
            shop: caller.shop_id,
            mode: caller.mode,
            key: self.0,
            request_hash: hash.finalize().to_vec(),
            now_us: host.now_us(),
        }
    }
}

impl Key {
    /// Takes the key for this request, or says what came of it before.
    pub fn begin(&self, tx: &mut Tx<'_>) -> Result<Known, Error> {
        let row = Idempotency {
            shop_id: self.shop,
            mode: self.mode,
            key: self.key.clone(),
            request_hash: Blob(self.request_hash.clone()),
            state: IdempotencyState::Running,
            status: None,
            body: None,
            payment_id: None,
            created_us: self.now_us,
            expires_us: self.now_us.saturating_add(KEPT_US),
        };
        Ok(match rows::begin(tx, &row)? {
            Begun::New => Known::New,
            Begun::OtherRequest => {
                let words = "this Idempotency-Key was used with another request; use a new one";
                Known::Refused(Box::new(Problem::new("idempotency_mismatch", words)))
            }
            Begun::Known(known) => match (known.status, known.body) {
                (Some(status), Some(body)) => {
                    let body = serde_json::from_str(&body).map_err(|error| Error::Json(error.to_string()))?;
                    Known::Answered(u16::try_from(status).unwrap_or(500), body)
                }
                _ => {
                    let words =
                        "the first request with this Idempotency-Key is still running; ask again in a moment";
                    Known::Refused(Box::new(Problem::new("idempotency_running", words)))
                }
            },
        })
    }

    /// Stores the answer; a later one goes over it.
    pub fn answer(
        &self,
        tx: &mut Tx<'_>,
        status: u16,
        body: &Value,
        payment: Option<PaymentId>,
    ) -> Result<(), Error> {
        if rows::get(tx, self.shop, self.mode, &self.key)?.is_none() {
            // Its time was over in the meantime; that must not undo what this transaction is about.
            return Ok(());
        }
        rows::finish(tx, (self.shop, self.mode, &self.key), i64::from(status), &body.to_string(), payment)
    }

    /// Frees the key: the request was refused before it did anything.
    pub fn forget(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        rows::release(tx, self.shop, self.mode, &self.key)
    }
}
