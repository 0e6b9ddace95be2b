//! Attempts: calls that may move money. Invariant: the attempt and the job that will find out about it are on disk before the
//! plugin runs; what the plugin and the network said is on disk, in one transaction, before anybody is told
//! (`design.md` "Money", rules 1–3).

use std::time::{Duration, Instant};

use payhost_core::id::{AttemptId, CallId, PaymentId, ShopId};
use payhost_engine::contract::types::Context;
use payhost_engine::contract::{Answer, Arguments, Function};
use payhost_engine::{Called, Evidence};
use payhost_store::rows::attempts::{self, Attempt, AttemptKind, AttemptState, Started};
use payhost_store::rows::calls;
use payhost_store::rows::payments::{self, Payment};
use payhost_store::{Error, Sealed, ShopKey, Tx};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::channels::ready::Ready;
use crate::host::{Host, hex, random};
use crate::jobs;
use crate::sealed::Place;

/// How long an attempt may take, in microseconds. Nothing is sent so late that its answer could come after it.
pub const LEASE_US: i64 = 30_000_000;
/// The last part of the lease in which nothing is sent any more, in microseconds: the longest answer and room for T2.
const QUIET_US: i64 = 17_000_000;
/// How late an attempt's request may leave, in milliseconds after the attempt was written down.
pub const SENT_WITHIN_MS: i64 = (LEASE_US - QUIET_US) / 1000;
/// The resolving job comes this long after the lease, in microseconds.
const AFTER_LEASE_US: i64 = 1_000_000;

/// What an attempt is made for.
pub struct Opening {
    /// `complete`, `cancel` or `undo`.
    pub kind: AttemptKind,
    /// Of which checkout.
    pub checkout: Option<payhost_core::id::CheckoutId>,
    /// Which attempt is undone.
    pub parent: Option<AttemptId>,
    /// What was asked for.
    pub request: Requested,
    /// What the browser brought, sealed.
    pub callback: Option<Sealed>,
}

/// What an attempt was asked for, as JSON.
pub struct Requested(Value);

impl Requested {
    /// Of a request.
    pub fn of(asked: &impl Serialize) -> Result<Self, Error> {
        serde_json::to_value(asked).map(Self).map_err(|error| Error::Json(error.to_string()))
    }
}

/// What an attempt was asked for, from the sealed column.
pub fn requested<T: DeserializeOwned>(tx: &mut Tx<'_>, host: &Host, attempt: &Attempt) -> Result<T, Error> {
    let key = host.vault().key_of(tx, attempt.shop_id)?;
    Place::Request(attempt.id).open_json(&key, &attempt.request)
}

/// What came of an attempt, from the sealed column; null while it is not known.
pub fn outcome(key: &ShopKey, attempt: &Attempt) -> Result<Value, Error> {
    let outcome = attempt.outcome.as_ref();
    outcome.map_or(Ok(Value::Null), |sealed| Place::Outcome(attempt.id).open_json(key, sealed))
}

/// Ends an attempt in a state, or leaves it in doubt, and writes what came of it.
pub fn ended(
    tx: &mut Tx<'_>,
    host: &Host,
    attempt: &mut Attempt,
    state: AttemptState,
    outcome: &Value,
) -> Result<(), Error> {
    let key = host.vault().key_of(tx, attempt.shop_id)?;
    attempt.state = state;
    attempt.outcome = Some(Place::Outcome(attempt.id).seal_json(&key, outcome)?);
    attempt.updated_us = host.now_us();
    attempts::settle(tx, attempt)
}

/// Writes the attempt and the job that resolves it: T1. `Err` of the inner result: a rule of the database stands against it
/// (the checkout was completed before, or another attempt of the payment is open).
pub fn open(
    tx: &mut Tx<'_>,
    host: &Host,
    payment: &Payment,
    ready: &Ready,
    opening: Opening,
) -> Result<Result<Attempt, Started>, Error> {
    let row = opened(host, payment, ready, opening)?;
    match attempts::start(tx, &row)? {
        Started::New => {}
        refused @ (Started::Repeated(_) | Started::Blocked(_)) => return Ok(Err(refused)),
    }
    enqueue_resolve(tx, host, &row)?;
    Ok(Ok(row))
}

/// The same under the payment's lock, where the caller saw that no attempt is open and this checkout was not completed: nobody
/// waits for the answer. A rule that stands against it all the same ends the transaction.
pub fn open_unopposed(
    tx: &mut Tx<'_>,
    host: &Host,
    payment: &Payment,
    ready: &Ready,
    opening: Opening,
) -> Result<Attempt, Error> {
    let row = opened(host, payment, ready, opening)?;
    attempts::start_unopposed(tx, &row)?;
    enqueue_resolve(tx, host, &row)?;
    Ok(row)
}

fn opened(host: &Host, payment: &Payment, ready: &Ready, opening: Opening) -> Result<Attempt, Error> {
    let now_us = host.now_us();
    let id = host.new_id(AttemptId::new);
    Ok(Attempt {
        id,
        shop_id: payment.shop_id,
        payment_id: payment.id,
        checkout_id: opening.checkout,
        parent_id: opening.parent,
        kind: opening.kind,
        state: AttemptState::Intent,
        call_id: host.new_id(CallId::new),
        plugin_digest: ready.plugin.digest().to_owned(),
        revision: ready.revision,
        request: Place::Request(id).seal_json(&ready.key, &opening.request.0)?,
        callback: opening.callback,
        now_ms: now_us / 1000,
        seed: hex(&random::<16>()),
        lease_until_us: now_us.saturating_add(LEASE_US),
        lease_token: hex(&random::<16>()),
        outcome: None,
        created_us: now_us,
        updated_us: now_us,
    })
}

/// The job that finds out what became of it, should nobody else; an undo is its parent's.
fn enqueue_resolve(tx: &mut Tx<'_>, host: &Host, row: &Attempt) -> Result<(), Error> {
    if row.parent_id.is_some() {
        return Ok(());
    }
    let due_us = row.lease_until_us.saturating_add(AFTER_LEASE_US);
    jobs::enqueue(tx, host, &jobs::Task::Resolve { shop: row.shop_id, attempt: row.id }, due_us)
}

/// Runs the plugin for an attempt, outside any transaction, within its lease.
pub async fn run<P, R>(
    host: &Host,
    ready: &Ready,
    attempt: &Attempt,
    function: &'static Function<P, R>,
    arguments: impl FnOnce(Context) -> P,
) -> Called<R>
where
    P: Arguments,
    R: Answer,
{
    run_with(host, ready, attempt, function, Vec::new(), arguments).await
}

/// The same with values for this call only, by name.
pub async fn run_with<P, R>(
    host: &Host,
    ready: &Ready,
    attempt: &Attempt,
    function: &'static Function<P, R>,
    one_time: Vec<(String, Zeroizing<String>)>,
    arguments: impl FnOnce(Context) -> P,
) -> Called<R>
where
    P: Arguments,
    R: Answer,
{
    let left_us = u64::try_from(attempt.lease_until_us.saturating_sub(host.now_us())).unwrap_or(0);
    let quiet = Duration::from_micros(QUIET_US.unsigned_abs());
    let quiet_from = Instant::now() + Duration::from_micros(left_us).saturating_sub(quiet);
    let mut moment = crate::channels::ready::Moment::of(attempt);
    moment.send_deadline = Some(quiet_from);
    moment.one_time = one_time;
    ready.call(host, function, moment, arguments).await
}

/// A call as the journal keeps it.
#[must_use = "a call that ran is journaled"]
pub struct Journaled(Result<calls::Call, Error>);

impl Journaled {
    /// Writes it down: part of T2. A call that could not be packed or sealed fails the transaction.
    pub fn write(self, tx: &mut Tx<'_>) -> Result<(), Error> {
        calls::insert(tx, &self.0?)
    }
}

/// Packs and seals a call for the journal: before the transaction, in which others would wait for it.
pub fn journaled<R>(host: &Host, ready: &Ready, of: JournalOf, called: &Called<R>) -> Journaled {
    Journaled(row(host, ready, of, called))
}

/// Both in one, where it is rare.
pub fn journal<R>(
    tx: &mut Tx<'_>,
    host: &Host,
    ready: &Ready,
    of: JournalOf,
    called: &Called<R>,
) -> Result<(), Error> {
    journaled(host, ready, of, called).write(tx)
}

fn row<R>(host: &Host, ready: &Ready, of: JournalOf, called: &Called<R>) -> Result<calls::Call, Error> {
    let packed = called.record().pack().map_err(|error| Error::Json(error.to_string()))?;
    let fault = called.result.as_ref().err().map(ToString::to_string);
    let fault = fault.map(|words| Place::Fault(of.call).seal(&ready.key, words.as_bytes()));
    Ok(calls::Call {
        id: of.call,
        shop_id: ready.channel.shop_id,
        channel_id: Some(ready.channel.id),
        payment_id: of.payment,
        attempt_id: of.attempt,
        plugin_digest: called.record().plugin_digest.clone(),
        interface: called.record().interface.clone(),
        function: called.record().function.clone(),
        at_us: of.at_ms.saturating_mul(1000),
        duration_us: i64::try_from(called.cost.wall.as_micros()).unwrap_or(i64::MAX),
        cpu_us: i64::try_from(called.cost.cpu.as_micros()).unwrap_or(i64::MAX),
        memory_bytes: i64::try_from(called.cost.peak_memory_bytes).unwrap_or(i64::MAX),
        fault: fault.transpose()?,
        record: Some(Place::Record(of.call).seal(&ready.key, &packed)?),
        record_digest: Some(hex(&host.vault().mac("call record", &packed)?)),
        kept_until_us: host.now_us().saturating_add(host.journal_kept_us()),
    })
}

/// Which call is journaled.
#[derive(Debug, Clone, Copy)]
pub struct JournalOf {
    /// Its id.
    pub call: CallId,
    /// Its moment.
    pub at_ms: i64,
    /// Of which payment.
    pub payment: Option<PaymentId>,
    /// Of which attempt.
    pub attempt: Option<AttemptId>,
}

impl JournalOf {
    /// The call of an attempt.
    pub fn attempt(attempt: &Attempt) -> Self {
        Self {
            call: attempt.call_id,
            at_ms: attempt.now_ms,
            payment: Some(attempt.payment_id),
            attempt: Some(attempt.id),
        }
    }
}

/// What the network saw, for the attempt's row.
pub fn evidence(evidence: &Evidence) -> Value {
    json!({"writes": evidence.writes(), "exchanges": evidence.exchanges()})
}

/// The payment, locked until this transaction ends.
pub fn locked(tx: &mut Tx<'_>, shop: ShopId, id: PaymentId) -> Result<Payment, Error> {
    payments::lock(tx, shop, id)?.ok_or(Error::NotFound { what: "payment" })
}

/// The attempt as it is now, if it is still ours to settle.
pub fn mine(tx: &mut Tx<'_>, attempt: &Attempt) -> Result<Option<Attempt>, Error> {
    let now = attempts::get(tx, attempt.shop_id, attempt.id)?;
    let ours = now.filter(|now| now.state.is_open() && now.lease_token == attempt.lease_token);
    if ours.is_none() {
        tracing::warn!(attempt = %attempt.id, "an outcome came after its attempt was taken over");
    }
    Ok(ours)
}

/// The attempt for its maker, who knows the outcome: also when it came late and the attempt was taken over (a clock jumped, the
/// machine slept), as long as nobody began to undo it. What the gateway said ends the doubt.
pub fn still_mine(tx: &mut Tx<'_>, attempt: &Attempt) -> Result<Option<Attempt>, Error> {
    if let Some(ours) = mine(tx, attempt)? {
        return Ok(Some(ours));
    }
    let now = attempts::get(tx, attempt.shop_id, attempt.id)?;
    let Some(now) = now.filter(|now| now.state == AttemptState::InDoubt) else { return Ok(None) };
    let undone = !attempts::undos_of(tx, attempt.shop_id, attempt.id)?.is_empty();
    Ok(Some(now).filter(|_| !undone))
}
