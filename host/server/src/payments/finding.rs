//! `POST /v1/payments/{id}/resolve`. Invariant: a person's finding ends a doubt only while nothing of the host can still change
//! it: no call of it runs, and asking has gone on for long enough or was given up. It becomes the same facts, ledger lines and
//! events as the gateway's own word, with the person's name beside it.

use axum::Json;
use axum::extract::State;
use payhost_core::Resolution;
use payhost_core::id::PaymentId;
use payhost_engine::contract::money::Cancellation;
use payhost_engine::contract::types::{Approval, Details, Method, Money};
use payhost_store::rows::attempts::{self, Attempt, AttemptKind, AttemptState};
use payhost_store::rows::facts;
use payhost_store::rows::payments::{self, Payment};
use payhost_store::{Error, Tx};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::attempt::{locked, requested};
use super::cancel::{self, CancelAsked};
use super::cancels_seen;
use super::late;
use super::model::{MethodIo, PaymentOut};
use super::resolve::end;
use super::settle::{self, Change, Written};
use super::verdict::{NotSent, Verdict};
use crate::channels::ready::Ready;
use crate::host::Host;
use crate::http::auth::OperatorForShop;
use crate::http::idempotency::{Key, Known, RequiredKey};
use crate::http::json::{Body, PathId};
use crate::http::problem::Problem;
use crate::http::text;
use crate::jobs::{self, Task};
use crate::time::parse_moment;
use crate::vbank::{self, close};

/// How long a doubt must last before a person may end it, in microseconds: 10 minutes. Until then its own asking is faster,
/// and what is on its way may still arrive.
const OLD_US: i64 = 10 * 60 * 1_000_000;
/// Longest note, in characters.
const NOTE_MAX: usize = 1000;
/// Longest name, in characters.
const NAME_MAX: usize = 100;

/// What a person found out at the gateway.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FindingIn {
    /// Of an approval in doubt: `approved`, `not_approved`, or `not_issued` where it was to open an account. Of a cancel in
    /// doubt: `cancelled` or `not_cancelled`. Of an account: `closed` or `not_closed`; `not_issued` when its opening is in
    /// doubt. Of money that came after the payment's end (`payment.late_money`): `kept`, which needs nothing else; to give it
    /// back is a cancel.
    pub finding: String,
    /// The gateway's number: of the sale for `approved`, of the cancel (where there is one) for `cancelled`.
    #[serde(default)]
    pub gateway_ref: Option<String>,
    /// Minor units, as the gateway shows them, for `approved` and `cancelled`. A sale of another amount than the payment's must
    /// be cancelled at the gateway; it is `not_approved` then.
    #[serde(default)]
    pub amount: Option<i64>,
    /// How it was paid, for `approved`, unless the payment says.
    #[serde(default)]
    pub method: Option<MethodIo>,
    /// When the gateway did it, RFC 3339. Absent: when it was asked to.
    #[serde(default)]
    pub at: Option<String>,
    /// What was seen where.
    #[schema(max_length = 1000)]
    #[serde(deserialize_with = "text::line")]
    pub note: String,
    /// Who looked.
    #[schema(max_length = 100)]
    #[serde(deserialize_with = "text::line")]
    pub by: String,
}

/// Whether a person says why and who.
pub fn signed(note: &str, by: &str) -> Result<(), Problem> {
    for (field, text, longest) in [("note", note, NOTE_MAX), ("by", by, NAME_MAX)] {
        if text.trim().is_empty() || text.chars().count() > longest || text.contains('\0') {
            return Err(Problem::field(field, format!("from 1 to {longest} characters")));
        }
    }
    Ok(())
}

impl FindingIn {
    fn amount(&self, expected: i64) -> Result<i64, Problem> {
        let amount = self.amount.ok_or_else(|| Problem::field("amount", "what the gateway shows"))?;
        if amount != expected {
            let words = format!(
                "{expected} minor units were asked for; another amount must be settled at the gateway"
            );
            return Err(Problem::field("amount", words));
        }
        Ok(amount)
    }

    fn at_ms(&self, attempt: &Attempt) -> Result<i64, Problem> {
        let Some(text) = &self.at else { return Ok(attempt.now_ms) };
        let us = parse_moment(text).ok_or_else(|| Problem::field("at", "RFC 3339"))?;
        Ok(us / 1000)
    }
}

/// Ends a doubt by what a person found out at the gateway, when asking did not.
#[utoipa::path(
    post, path = "/v1/payments/{id}/resolve", tag = "payments", request_body = FindingIn,
    params(
        ("id" = String, Path, description = "`pay_…`"),
        ("Idempotency-Key" = String, Header, description = "Repeats of the request get the first answer"),
    ),
    responses((status = 200, body = PaymentOut), (status = "default", description = "A problem", body = Problem))
)]
pub async fn resolve(
    State(host): State<Host>,
    caller: OperatorForShop,
    PathId(id): PathId<PaymentId>,
    key: RequiredKey,
    body: Body<FindingIn>,
) -> Result<Json<Value>, Problem> {
    let found = host.store().read(move |tx| {
        let row = payments::get(tx, caller.shop_id, id)?.filter(|row| row.mode == caller.mode);
        let Some(row) = row else { return Ok(None) };
        let open = attempts::open_of(tx, row.shop_id, id)?;
        Ok::<_, Error>(Some((row, open)))
    });
    let (row, open) = found.await?.ok_or_else(|| Problem::not_found("payment"))?;
    let key = key.of_operator(&host, &row, &format!("POST /v1/payments/{id}/resolve"), &body.raw)?;
    // Without its plugin a payment can be resolved too: only what can be cancelled in parts is not known then.
    let made_with = open.map(|attempt| (attempt.plugin_digest, attempt.revision));
    let ready = match &made_with {
        Some((digest, revision)) => {
            Ready::load_as(&host, row.shop_id, row.channel_id, (digest, *revision)).await.ok()
        }
        None => None,
    };
    let host_in = host.clone();
    let written = host.store().transact(move |tx| {
        let host = &host_in;
        match key.begin(tx, host)? {
            Known::New => {}
            Known::Answered(_, body) => return Ok(Ok(body)),
            Known::Refused(problem) => return Ok(Err(*problem)),
        }
        let payment = locked(tx, row.shop_id, id)?;
        if body.value.finding == late::KEPT {
            return kept(tx, host, Change::begin(host, payment, ready.as_ref()), &body.value, &key);
        }
        let attempt = match resolvable(tx, host, &payment, &body.value)? {
            Ok(attempt) => attempt,
            Err(problem) => {
                key.forget(tx)?;
                return Ok(Err(problem));
            }
        };
        let mut change = Change::begin(host, payment, ready.as_ref());
        change.event("payment.resolved", json!({"attempt": attempt.id, "finding": body.value}));
        tracing::warn!(attempt = %attempt.id, finding = %body.value.finding, by = %body.value.by, "a person ended a doubt");
        if let Err(problem) = write(tx, host, change, attempt, &body.value)? {
            key.forget(tx)?;
            return Ok(Err(problem));
        }
        let row = locked(tx, row.shop_id, id)?;
        let shown = json!(Change::begin(host, row, ready.as_ref()).shown(tx)?);
        key.answer(tx, host, 200, &shown, Some(id))?;
        Ok::<_, Error>(Ok(shown))
    });
    let shown = written.await??;
    host.settled().notify_waiters();
    host.jobs().notify_one();
    Ok(Json(shown))
}

/// Money that came after the end stays with the shop.
fn kept(
    tx: &mut Tx<'_>,
    host: &Host,
    mut change: Change<'_>,
    finding: &FindingIn,
    key: &Key,
) -> Result<Result<Value, Problem>, Error> {
    let allowed = match signed(&finding.note, &finding.by) {
        Ok(()) => late::keep(tx, &mut change)?,
        Err(problem) => Err(problem),
    };
    if let Err(problem) = allowed {
        key.forget(tx)?;
        return Ok(Err(problem));
    }
    tracing::warn!(payment = %change.payment.id, by = %finding.by, "a person keeps late money");
    change.event("payment.resolved", json!({"finding": finding}));
    let support = change.support();
    let row = change.write(tx)?;
    let shown = settle::answered(tx, host, &row, support)?;
    key.answer(tx, host, 200, &shown, Some(row.id))?;
    Ok(Ok(shown))
}

/// The attempt in doubt, if a person may end it now.
fn resolvable(
    tx: &mut Tx<'_>,
    host: &Host,
    payment: &Payment,
    finding: &FindingIn,
) -> Result<Result<Attempt, Problem>, Error> {
    if let Err(problem) = signed(&finding.note, &finding.by) {
        return Ok(Err(problem));
    }
    let open = attempts::open_of(tx, payment.shop_id, payment.id)?;
    let Some(attempt) = open.filter(|attempt| attempt.state == AttemptState::InDoubt) else {
        return Ok(Err(Problem::new("not_in_doubt", "no attempt of this payment is in doubt")));
    };
    let old = host.now_us().saturating_sub(attempt.updated_us) >= OLD_US;
    if payment.resolution != Resolution::NeedsOperator && !old {
        let words = "the gateway is still being asked; a person may end this 10 minutes after it began";
        return Ok(Err(Problem::new("payment_in_doubt", words)));
    }
    let undos = attempts::undos_of(tx, payment.shop_id, attempt.id)?;
    if undos.iter().any(|undo| undo.state == AttemptState::Intent) {
        return Ok(Err(Problem::new(
            "payment_busy",
            "an undo of this payment is running; look again afterwards",
        )));
    }
    Ok(Ok(attempt))
}

/// Writes a finding, unless it does not fit the attempt; then nothing is written.
fn write(
    tx: &mut Tx<'_>,
    host: &Host,
    mut change: Change<'_>,
    attempt: Attempt,
    finding: &FindingIn,
) -> Result<Result<(), Problem>, Error> {
    match (attempt.kind, finding.finding.as_str()) {
        (AttemptKind::Complete, "approved") => {
            let approval = match approval(tx, &change.payment, &attempt, finding)? {
                Ok(approval) => approval,
                Err(problem) => return Ok(Err(problem)),
            };
            let written = settle::approved(tx, &mut change, Some(&attempt), attempt.checkout_id, &approval)?;
            if written == Written::Contradicts {
                let words = "this sale is known as another payment's, or the payment is paid by another one";
                return Ok(Err(Problem::field("gateway_ref", words)));
            }
            end(tx, host, change, attempt, AttemptState::Succeeded, json!({}))?;
        }
        // An account that nobody knows the number of is closed at the gateway; a deposit into it still comes by its notice.
        (AttemptKind::Complete, "not_approved" | "not_issued") => {
            let reason = "not_made";
            change.event("checkout.failed", json!({"checkout_id": attempt.checkout_id, "reason": reason}));
            end(tx, host, change, attempt, AttemptState::Failed, json!({"reason": reason}))?;
        }
        (AttemptKind::Cancel, "cancelled") => {
            let asked: CancelAsked = requested(tx, host, &attempt)?;
            let (minor, at_ms) =
                match finding.amount(asked.amount).and_then(|minor| Ok((minor, finding.at_ms(&attempt)?))) {
                    Ok(known) => known,
                    Err(problem) => return Ok(Err(problem)),
                };
            let amount = Money { minor, currency: asked.currency.clone() };
            let gateway_ref = finding.gateway_ref.clone();
            let known = facts::of_payment(tx, attempt.shop_id, attempt.payment_id)?;
            if gateway_ref.as_ref().is_some_and(|number| cancels_seen::is_known(&known, number)) {
                let words = "this cancel is known already, as one that was not made here";
                return Ok(Err(Problem::field("gateway_ref", words)));
            }
            look_after(tx, host, &attempt)?;
            let done = Cancellation { gateway_ref, amount, remaining: None, at_ms, more: Vec::new() };
            cancel::apply(tx, host, change, attempt, &asked, Verdict::Done(done), json!({"by": finding.by}))?;
        }
        (AttemptKind::Cancel, "not_cancelled") => {
            let asked: CancelAsked = requested(tx, host, &attempt)?;
            let verdict = Verdict::NotSent(NotSent::NotMade);
            look_after(tx, host, &attempt)?;
            cancel::apply(tx, host, change, attempt, &asked, verdict, json!({"by": finding.by}))?;
        }
        (AttemptKind::Close, "closed") => close::found(tx, host, change, attempt, true)?,
        (AttemptKind::Close, "not_closed") => close::found(tx, host, change, attempt, false)?,
        (AttemptKind::Issue, "not_issued") => {
            let reason = "account_unknown";
            change.event("checkout.failed", json!({"checkout_id": attempt.checkout_id, "reason": reason}));
            end(tx, host, change, attempt, AttemptState::Failed, json!({"reason": reason}))?;
        }
        (AttemptKind::Complete, _) => {
            return Ok(Err(Problem::field("finding", "an approval is in doubt: approved or not_approved")));
        }
        (AttemptKind::Close, _) => {
            return Ok(Err(Problem::field("finding", "an account's end is in doubt: closed or not_closed")));
        }
        (AttemptKind::Issue, _) => {
            return Ok(Err(Problem::field("finding", "an account's opening is in doubt: not_issued")));
        }
        (AttemptKind::Cancel | AttemptKind::Undo, _) => {
            return Ok(Err(Problem::field("finding", "a cancel is in doubt: cancelled or not_cancelled")));
        }
    }
    Ok(Ok(()))
}

/// What others cancelled is taken over once it is known which cancel was ours.
fn look_after(tx: &mut Tx<'_>, host: &Host, attempt: &Attempt) -> Result<(), Error> {
    let task = Task::Look { shop: attempt.shop_id, payment: attempt.payment_id };
    jobs::enqueue(tx, host, &task, host.now_us())
}

/// The approval that a person saw.
fn approval(
    tx: &mut Tx<'_>,
    payment: &Payment,
    attempt: &Attempt,
    finding: &FindingIn,
) -> Result<Result<Approval, Problem>, Error> {
    let order_ref = cancel::order_ref_of(tx, payment.shop_id, attempt.checkout_id)?;
    let read = || {
        let gateway_ref = finding.gateway_ref.clone().filter(|text| !text.trim().is_empty());
        let gateway_ref =
            gateway_ref.ok_or_else(|| Problem::field("gateway_ref", "the gateway's number of the sale"))?;
        let asked: Option<Method> = payment.method.as_ref().and_then(|method| method.to().ok());
        let method = finding.method.clone().map(Method::from).or(asked);
        let minor = finding.amount(payment.total)?;
        if method.as_ref().is_some_and(vbank::is_account) {
            let words = "an account is paid by its deposits, and their notices tell of them: not_issued ends this doubt";
            return Err(Problem::field("finding", words));
        }
        Ok(Approval {
            gateway_ref,
            order_ref,
            amount: Money { minor, currency: payment.currency.to_string() },
            approved_at_ms: finding.at_ms(attempt)?,
            method: method
                .ok_or_else(|| Problem::field("method", "how it was paid, as the gateway shows it"))?,
            details: Details::default(),
        })
    };
    Ok(read())
}
