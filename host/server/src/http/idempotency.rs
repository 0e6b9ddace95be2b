//! Idempotency keys. Invariant: within a shop, a mode and a kind of asker a key belongs to one request; its answer is stored in
//! the transaction that makes it true, and is given again to whoever asks with the same key and body.
//!
//! A request that was refused did nothing: its key is free for another body, as when a shop adds the account that a refund lacked
//! (the same body again is answered as before). The key of a request that did something, or may have, never is.
//!
//! A shop, an operator who acts for it and the host's own pages each have keys of their own ([`Asker`]): none can take the key that
//! another is going to use.
//!
//! Answers are sealed: they have tokens, buyers' names and accounts. Requests about payments take a key. Those that set up (shops, keys, channels, plugins, endpoints) do not: some of their answers
//! are secrets that leave the host once and must not be stored, and the operator's belong to no shop. What a repeat of theirs
//! makes twice moves no money, is seen in the list, and can be switched off.

use axum::Json;
use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use payhost_core::id::{PaymentId, ShopId};
use payhost_store::rows::Mode;
use payhost_store::rows::idempotency::{self as rows, Begun, Idempotency, IdempotencyState};
use payhost_store::rows::payments::Payment;
use payhost_store::{Blob, Error, ShopKey, Tx};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::auth::ShopCaller;
use super::problem::Problem;
use crate::host::Host;
use crate::sealed::Place;

/// Longest key, in characters.
const KEY_MAX: usize = 256;
/// How long an answer is kept, in microseconds: 15 days.
const KEPT_US: i64 = 15 * 24 * 3600 * 1_000_000;

/// The header, if it was sent.
pub struct IdempotencyKey(Option<String>);

/// The header, which must be sent.
pub struct RequiredKey {
    text: String,
    /// The host made it, for a page of its own.
    made: bool,
}

/// Whose key it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asker {
    Shop,
    /// Or an application that the host is embedded in.
    Operator,
    Host,
}

impl Asker {
    /// How his keys begin where they are stored.
    fn prefix(self) -> &'static str {
        match self {
            Self::Shop => "shop:",
            Self::Operator => "operator:",
            Self::Host => "host:",
        }
    }
}

/// A key with the request that it belongs to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Key {
    shop: ShopId,
    mode: Mode,
    key: String,
    request_hash: Vec<u8>,
    now_us: i64,
}

/// How long a request that is safe to repeat may stand in the way of its repeat, in microseconds: its process may have died.
const RUNNING_US: i64 = 90 * 1_000_000;

/// Runs a request that is safe to repeat under its key. An outcome (done, or refused by the gateway) is stored; anything else
/// frees the key, so that the same request asks again: after "not known yet" it answers the outcome.
pub async fn once(
    host: &Host,
    key: Option<Key>,
    work: impl Future<Output = Result<(StatusCode, Value), Problem>>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let Some(key) = key else { return work.await.map(|(status, body)| (status, Json(body))) };
    let mine = key.clone();
    let host_in = host.clone();
    match host.store().transact(move |tx| mine.begin_again(tx, &host_in)).await? {
        Known::New => {}
        Known::Answered(status, body) if status >= 400 => return Err(Problem::stored(&body)),
        Known::Answered(status, body) => {
            return Ok((StatusCode::from_u16(status).unwrap_or(StatusCode::OK), Json(body)));
        }
        Known::Refused(problem) => return Err(*problem),
    }
    let done = work.await;
    let outcome = match &done {
        Ok((StatusCode::OK, body)) => Some((200, body.clone())),
        Err(problem) if problem.status == 402 => Some((402, json!(problem))),
        Ok(_) | Err(_) => None,
    };
    let host_in = host.clone();
    let stored = host.store().transact(move |tx| match outcome {
        Some((status, body)) => key.answer(tx, &host_in, status, &body, None),
        None => key.forget(tx),
    });
    stored.await?;
    done.map(|(status, body)| (status, Json(body)))
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
        Self::given(Some(value.to_str().unwrap_or_default()))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for RequiredKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let words = "send an Idempotency-Key that is new for each cancel, and the same when you repeat one";
        let key = IdempotencyKey::from_request_parts(parts, state).await?.0;
        let key = key.map(|text| Self { text, made: false });
        key.ok_or_else(|| Problem::new("idempotency_key_required", words))
    }
}

impl RequiredKey {
    /// A caller's text, checked.
    pub fn given(text: &str) -> Result<Self, Problem> {
        IdempotencyKey::given(Some(text))?;
        Ok(Self { text: text.to_owned(), made: false })
    }
}

impl IdempotencyKey {
    /// A caller's text, checked; absent: no key.
    pub fn given(text: Option<&str>) -> Result<Self, Problem> {
        let fits = |text: &str| {
            let printable = text.bytes().all(|byte| (b' '..=b'~').contains(&byte) || byte == b'\t');
            printable && !text.trim().is_empty() && text.len() <= KEY_MAX
        };
        if text.is_none_or(fits) {
            return Ok(Self(text.map(ToOwned::to_owned)));
        }
        Err(Problem::field("Idempotency-Key", format!("from 1 to {KEY_MAX} printable ASCII characters")))
    }

    /// The key for a request; absent when none was sent.
    pub fn of(
        self,
        host: &Host,
        caller: &ShopCaller,
        route: &str,
        body: &[u8],
    ) -> Result<Option<Key>, Problem> {
        self.0.map(|text| RequiredKey { text, made: false }.of(host, caller, route, body)).transpose()
    }
}

fn mismatch() -> Problem {
    let words = "this Idempotency-Key was used with another request; use a new one";
    Problem::new("idempotency_mismatch", words)
}

fn known_answer(shop_key: &ShopKey, known: &Idempotency) -> Result<Known, Error> {
    let (Some(status), Some(body)) = (known.status, &known.body) else {
        let words = "the first request with this Idempotency-Key is still running; ask again in a moment";
        return Ok(Known::Refused(Box::new(Problem::new("idempotency_running", words))));
    };
    let body = Place::Answer(known.mode, &known.key).open_json(shop_key, body)?;
    Ok(Known::Answered(u16::try_from(status).unwrap_or(500), body))
}

impl RequiredKey {
    /// A key of the host's own, for what a page of it asks for.
    pub fn made(text: String) -> Self {
        Self { text, made: true }
    }

    /// The key for an operator's request about a shop's payment.
    pub fn of_operator(
        self,
        host: &Host,
        payment: &Payment,
        route: &str,
        body: &[u8],
    ) -> Result<Key, Problem> {
        let caller = ShopCaller { shop_id: payment.shop_id, mode: payment.mode, key_id: None };
        self.of(host, &caller, route, body)
    }

    /// The key for a request. What is kept of the body is a hash under a key of the host: a body may hold an account number,
    /// and a plain hash of one is as good as the number itself.
    pub fn of(self, host: &Host, caller: &ShopCaller, route: &str, body: &[u8]) -> Result<Key, Problem> {
        let request = [route.as_bytes(), &[0], body].concat();
        let request_hash = host.vault().mac("idempotency request", &request)?.to_vec();
        let asker = match (self.made, caller.key_id) {
            (true, _) => Asker::Host,
            (false, Some(_)) => Asker::Shop,
            (false, None) => Asker::Operator,
        };
        let key = format!("{}{}", asker.prefix(), self.text);
        Ok(Key { shop: caller.shop_id, mode: caller.mode, key, request_hash, now_us: host.now_us() })
    }
}

impl Key {
    /// Takes the key for this request, or says what came of it before.
    pub fn begin(&self, tx: &mut Tx<'_>, host: &Host) -> Result<Known, Error> {
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
            Begun::OtherRequest => Known::Refused(Box::new(mismatch())),
            Begun::Known(known) => known_answer(&host.vault().key_of(tx, self.shop)?, &known)?,
        })
    }

    /// The same for a request that is safe to repeat: one that died on its way does not stand in the way for ever.
    fn begin_again(&self, tx: &mut Tx<'_>, host: &Host) -> Result<Known, Error> {
        let running = rows::get(tx, self.shop, self.mode, &self.key)?.filter(|known| {
            known.state == IdempotencyState::Running
                && known.request_hash.0 == self.request_hash
                && known.created_us < self.now_us.saturating_sub(RUNNING_US)
        });
        if running.is_some() {
            self.forget(tx)?;
        }
        self.begin(tx, host)
    }

    /// What was answered before under this key, or why it may not be used.
    pub async fn answered(&self, host: &Host) -> Result<Option<(u16, Value)>, Problem> {
        let (shop, mode, key, now_us) = (self.shop, self.mode, self.key.clone(), self.now_us);
        let known = host.store().read(move |tx| rows::get(tx, shop, mode, &key)).await?;
        let Some(known) = known.filter(|known| known.expires_us > now_us) else { return Ok(None) };
        if known.request_hash.0 != self.request_hash {
            return if known.was_refused() { Ok(None) } else { Err(mismatch()) };
        }
        match known_answer(&host.shop_key(shop).await?, &known)? {
            Known::Answered(status, body) => Ok(Some((status, body))),
            Known::New => Ok(None),
            Known::Refused(problem) => Err(*problem),
        }
    }

    /// Stores the answer; a later one goes over it.
    pub fn answer(
        &self,
        tx: &mut Tx<'_>,
        host: &Host,
        status: u16,
        body: &Value,
        payment: Option<PaymentId>,
    ) -> Result<(), Error> {
        if rows::get(tx, self.shop, self.mode, &self.key)?.is_none() {
            // Its time was over in the meantime; that must not undo what this transaction is about.
            return Ok(());
        }
        let shop_key = host.vault().key_of(tx, self.shop)?;
        let sealed = Place::Answer(self.mode, &self.key).seal_json(&shop_key, body)?;
        rows::finish(tx, (self.shop, self.mode, &self.key), i64::from(status), &sealed, payment)
    }

    /// Frees the key: the request was refused before it did anything.
    pub fn forget(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        rows::release(tx, self.shop, self.mode, &self.key)
    }
}
