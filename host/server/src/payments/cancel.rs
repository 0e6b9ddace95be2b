//! `POST /v1/payments/{id}/cancel`. Invariant: money is given back at most once per key and per link, never more than is held,
//! and never while another attempt of the payment is open. All of that is decided under the payment's lock, in the transaction
//! that writes the attempt: what was looked at before it may be true no more. What holds no money is given up instead
//! (`give_up.rs`).

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use payhost_core::id::{AttemptId, CheckoutId, PaymentId, ShopId};
use payhost_core::kill::{self, Point};
use payhost_core::text::is_hidden;
use payhost_core::{FactKind, PaymentState, Resolution};
use payhost_engine::Called;
use payhost_engine::contract::money::{CANCEL, CancelRequest, Cancellation, Charge, RefundAccount};
use payhost_engine::contract::plugin::Lookup;
use payhost_engine::contract::types::{Method, Money, PluginError, Tax};
use payhost_store::rows::attempts::{self, Attempt, AttemptKind, AttemptState};
use payhost_store::rows::payments::Payment;
use payhost_store::rows::{checkouts, facts};
use payhost_store::{Error, Tx};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::attempt::{
    JournalOf, Opening, Requested, ended, evidence, journal, locked, open, run_with, still_mine,
};
use super::give_up::{self, Way};
use super::model::{PaymentOut, Support, TaxIn, TaxLeft};
use super::only_if::{self, ByLink, OnlyIf};
use super::read::find;
use super::settle::{self, Change, refusal_json};
use super::verdict::{NotSent, Verdict, judge, not_sent, word};
use crate::channels::ready::Ready;
use crate::host::Host;
use crate::http::auth::ShopCaller;
use crate::http::idempotency::{Key, Known, RequiredKey};
use crate::http::json::{Body, PathId};
use crate::http::problem::{GatewayAnswer, Problem};
use crate::http::text;
use crate::{jobs, vbank};

/// Longest reason, in characters.
const REASON_MAX: usize = 100;

/// What to cancel.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct CancelIn {
    /// Minor units. Absent: all that is left.
    #[serde(default)]
    pub amount: Option<i64>,
    /// Parts of that amount, for a payment that had parts; at most what `cancellable.tax` of the payment says.
    #[serde(default)]
    pub tax: Option<TaxIn>,
    /// Why, in words for the gateway's records.
    #[serde(default, deserialize_with = "text::optional")]
    #[schema(max_length = 100)]
    pub reason: Option<String>,
    /// The buyer's bank account, for a payment whose `cancellable.needs_account` is true. Used for this request and kept nowhere.
    #[serde(default)]
    pub account: Option<RefundAccountIn>,
    /// Only if nothing was paid: a payment that holds money is answered 409 `already_paid`, and nothing is given back.
    #[serde(default)]
    pub only_unpaid: bool,
    /// A payment whose account waits for its deposit: the account is closed at the gateway, and with that the payment is
    /// cancelled. Without it the answer is 409 `account_open`.
    #[serde(default)]
    pub close_account: bool,
}

/// Where a deposit is paid back to.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RefundAccountIn {
    /// KFTC code of the bank: `088`.
    pub bank: String,
    /// Name of the holder.
    #[serde(deserialize_with = "text::line")]
    pub holder: String,
    /// The account number: digits, with or without `-`.
    pub number: AccountNumber,
}

/// An account number; its debug form shows nothing of it. (It can be written as JSON, because that is the request of an
/// embedder's call; nothing else writes it.)
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct AccountNumber(#[serde(deserialize_with = "text::line")] String);

impl std::fmt::Debug for AccountNumber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AccountNumber")
    }
}

impl From<String> for AccountNumber {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl RefundAccountIn {
    fn check(&self) -> Result<(), Problem> {
        if self.bank.len() != 3 || !self.bank.bytes().all(|b| b.is_ascii_digit()) {
            return Err(Problem::field("account.bank", "a bank's KFTC code of three digits, such as 088"));
        }
        let holder = &self.holder;
        if holder.is_empty() || holder.chars().count() > 40 || holder.contains(is_hidden) {
            return Err(Problem::field("account.holder", "one line of 1 to 40 characters"));
        }
        let number = self.number.0.as_bytes();
        let digits = number.iter().filter(|b| b.is_ascii_digit()).count();
        if !(6..=20).contains(&digits) || !number.iter().all(|b| b.is_ascii_digit() || *b == b'-') {
            return Err(Problem::field("account.number", "6 to 20 digits, with or without -"));
        }
        Ok(())
    }
}

/// Name under which the plugin uses the account number.
const ACCOUNT_SECRET: &str = "refund_account_number";

/// What was asked for, as the attempt keeps it: the call and a resolution read the same.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CancelAsked {
    /// Minor units.
    pub amount: i64,
    /// ISO 4217.
    pub currency: String,
    /// What was left before.
    pub remaining: i64,
    /// Parts.
    pub tax: Option<(Option<i64>, Option<i64>)>,
    /// Why.
    pub reason: String,
    /// How many cancels were made before.
    pub sequence: i64,
    /// Our order number of the sale.
    pub order_ref: String,
    /// The caller's key, whose answer is written when the outcome is known.
    pub key: Key,
    /// The buyer's link, if it came by one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_link: Option<ByLink>,
}

/// Gives a payment back, all of it or a part. One that holds no money yet is given up: its state is `cancelled`, its windows are
/// over, and a buyer who comes back from one is charged nothing. While an attempt is open or in doubt nothing is changed
/// (409 `payment_busy`, `payment_in_doubt`).
#[utoipa::path(
    post, path = "/v1/payments/{id}/cancel", tag = "payments", request_body = CancelIn,
    params(
        ("id" = String, Path, description = "`pay_…`"),
        ("Idempotency-Key" = String, Header, description = "Repeats of the request get the first answer"),
    ),
    responses(
        (status = 200, description = "Cancelled", body = PaymentOut),
        (status = 202, description = "Not known yet: `resolution` is `in_doubt`", body = PaymentOut),
        (status = "default", description = "A problem", body = Problem),
    )
)]
pub async fn cancel(
    State(host): State<Host>,
    caller: ShopCaller,
    PathId(id): PathId<PaymentId>,
    key: RequiredKey,
    body: Body<CancelIn>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    kill::at(Point::Accepted, "cancel");
    let mut row = find(&host, caller, id).await?.ok_or_else(|| Problem::not_found("payment"))?;
    let key = key.of(&host, &caller, &format!("POST /v1/payments/{id}/cancel"), &body.raw)?;
    // Before anything else is looked at: what was answered stays the answer, whatever became of the channel since.
    if let Some((status, body)) = key.answered(&host).await? {
        return answer(status, body);
    }
    check(&body.value)?;
    if give_up::is_asked(&row, &body.value) {
        match give_up::give_up(&host, &row, &body.value, &key).await? {
            Way::Answered(status, body) => return Ok((status, Json(body))),
            Way::Close => return vbank::close::make(&host, &row, key).await,
            // Paid while we looked: its sale is known only now.
            Way::GiveBack => {
                row = find(&host, caller, id).await?.ok_or_else(|| Problem::not_found("payment"))?
            }
        }
    }
    make(&host, &row, body.value, key, None).await
}

/// Whether the request can be understood.
fn check(input: &CancelIn) -> Result<(), Problem> {
    let reason = input.reason.as_deref().unwrap_or_default();
    if reason.chars().count() > REASON_MAX || reason.contains(is_hidden) {
        return Err(Problem::field("reason", format!("one line of at most {REASON_MAX} characters")));
    }
    input.account.as_ref().map_or(Ok(()), RefundAccountIn::check)
}

/// Cancels a payment for whoever may: the shop, or its buyer's refund page.
pub async fn make(
    host: &Host,
    row: &Payment,
    input: CancelIn,
    key: Key,
    only_if: Option<OnlyIf>,
) -> Result<Answer, Problem> {
    check(&input)?;
    let reason = input.reason.clone().unwrap_or_else(|| "shop's request".to_owned());
    let ready = Ready::load_for_sale(host, row).await?;
    let (host_in, id, sale) = (host.clone(), row.id, row.approved_checkout_id);
    let number = input.account.as_ref().map(|account| Zeroizing::new(account.number.0.replace('-', "")));
    let one_time = number.map(|number| (ACCOUNT_SECRET.to_owned(), number)).into_iter().collect();
    host.finish(async move {
        let host = host_in;
        kill::at(Point::BeforeT1, "cancel");
        match begin(&host, &ready, (id, sale), input, reason, (key, only_if)).await? {
            Begun::Answered(status, body) => answer(status, body),
            Begun::Mine(rows) => {
                let (attempt, charge, request, asked) = *rows;
                kill::at(Point::AfterT1, "cancel");
                let called = run_with(&host, &ready, &attempt, &CANCEL, one_time, |context| {
                    (context, charge, request)
                });
                let called = called.await;
                settle(&host, &ready, attempt, asked, called).await
            }
        }
    })
    .await
}

type Answer = (StatusCode, Json<Value>);

/// The answer as it is stored: a payment, or a problem.
fn answer(status: u16, body: Value) -> Result<Answer, Problem> {
    if status >= 400 {
        return Err(Problem::stored(&body));
    }
    Ok((StatusCode::from_u16(status).unwrap_or(StatusCode::OK), Json(body)))
}

enum Begun {
    Mine(Box<(Attempt, Charge, CancelRequest, CancelAsked)>),
    Answered(u16, Value),
}

/// T1.
async fn begin(
    host: &Host,
    ready: &Ready,
    (id, sale): (PaymentId, Option<CheckoutId>),
    input: CancelIn,
    reason: String,
    (key, only_if): (Key, Option<OnlyIf>),
) -> Result<Begun, Problem> {
    let (host_in, shop, ready) = (host.clone(), ready.channel.shop_id, ready.clone());
    let begun = host.store().transact(move |tx| {
        let host = &host_in;
        match key.begin(tx, host)? {
            Known::New => {}
            Known::Answered(status, body) => return Ok(Ok(Begun::Answered(status, body))),
            Known::Refused(problem) => return Ok(Err(*problem)),
        }
        let payment = locked(tx, shop, id)?;
        if payment.approved_checkout_id != sale {
            // It was paid since it was looked at: another merchant may have to be asked.
            return Err(Error::Stale { what: "payment" });
        }
        let open_attempt = attempts::open_of(tx, shop, id)?.map(|attempt| attempt.state);
        let support = ready.support(payment.paid_method.as_ref());
        let facts = facts::of_payment(tx, shop, id)?;
        let made = facts.iter().filter(|fact| fact.kind == FactKind::Cancelled);
        let given: i64 = made.clone().map(|fact| fact.amount).fold(0, i64::saturating_add);
        // What was paid in above the total is no part of the sale: it is settled at the gateway.
        let remaining = payment.paid.saturating_sub(payment.cancelled);
        let remaining = remaining.min(payment.total.saturating_sub(given));
        let made = made.count();
        let in_parts = PaymentOut::of(&ready.key, &payment, support)?.can_be_cancelled_in_parts();
        let allowed = only_if::look(tx, only_if.as_ref(), &payment, made)?
            .and_then(|()| allowed(&payment, open_attempt, &input, (support, in_parts), remaining));
        if let Err(problem) = allowed {
            key.forget(tx)?;
            return Ok(Err(problem));
        }
        let asked = CancelAsked {
            amount: input.amount.unwrap_or(remaining),
            currency: payment.currency.to_string(),
            remaining,
            tax: input.tax.map(|tax| (tax.free, tax.vat)),
            reason,
            sequence: i64::try_from(made).unwrap_or(i64::MAX),
            order_ref: order_ref_of(tx, shop, payment.approved_checkout_id)?,
            key,
            by_link: only_if.and_then(OnlyIf::link),
        };
        let charge = match charge(&payment, &asked) {
            Ok(charge) => charge,
            Err(problem) => {
                asked.key.forget(tx)?;
                return Ok(Err(problem));
            }
        };
        let request = request(&payment, &asked, input.account);
        let opening = Opening {
            kind: AttemptKind::Cancel,
            checkout: None,
            parent: None,
            request: Requested::of(&asked)?,
            callback: None,
        };
        let Ok(attempt) = open(tx, host, &payment, &ready, opening)? else {
            return Err(Error::Stale { what: "payment" });
        };
        kill::mark_commit(Point::InT1Commit, "cancel");
        Ok::<_, Error>(Ok(Begun::Mine(Box::new((attempt, charge, request, asked)))))
    });
    begun.await?
}

/// The order number of a checkout; empty when there is none.
pub fn order_ref_of(tx: &mut Tx<'_>, shop: ShopId, checkout: Option<CheckoutId>) -> Result<String, Error> {
    let Some(id) = checkout else { return Ok(String::new()) };
    Ok(checkouts::get(tx, shop, id)?.map(|checkout| checkout.order_ref).unwrap_or_default())
}

/// Whether and how much may be given back now.
fn allowed(
    payment: &Payment,
    open: Option<AttemptState>,
    input: &CancelIn,
    (support, in_parts): (Support, bool),
    remaining: i64,
) -> Result<(), Problem> {
    standing(payment.state, payment.resolution, open, remaining)?;
    match (&input.account, support.needs_account) {
        (None, true) => {
            let words = "this payment is given back to a bank account: give bank, holder and number";
            return Err(Problem::field("account", words));
        }
        (Some(_), false) => {
            return Err(Problem::field(
                "account",
                "this payment goes back the way it came, without an account",
            ));
        }
        (None, false) | (Some(_), true) => {}
    }
    let amount = input.amount.unwrap_or(remaining);
    if amount <= 0 {
        return Err(Problem::field("amount", "a whole number of minor units above 0"));
    }
    if amount > remaining {
        return Err(Problem::field("amount", format!("at most {remaining} minor units are left")));
    }
    if amount < remaining && !in_parts {
        return Err(Problem::field("amount", "this payment can only be cancelled as a whole"));
    }
    parts(payment, input.tax.as_ref(), amount)
}

/// Whether an amount can have these parts. Only what is arithmetic: rates and other rules are each gateway's own.
fn parts(payment: &Payment, tax: Option<&TaxIn>, amount: i64) -> Result<(), Problem> {
    let Some(tax) = tax.filter(|tax| tax.free.is_some() || tax.vat.is_some()) else { return Ok(()) };
    if payment.tax_free.is_none() && payment.vat.is_none() {
        let words = "this payment was made without parts, so that a cancel of it has none: leave `tax` out";
        return Err(Problem::field("tax", words));
    }
    let left = TaxLeft::of(payment);
    for (part, left, field, what) in [
        (tax.free, left.free, "tax.free", "the part free of tax"),
        (tax.vat, left.vat, "tax.vat", "value-added tax"),
    ] {
        let Some(part) = part else { continue };
        if part < 0 || part > amount {
            let words = format!("from 0 to {amount} minor units, the amount of this cancel");
            return Err(Problem::field(field, words));
        }
        if let Some(left) = left.filter(|left| part > *left) {
            let words = format!("of {what} at most {left} minor units are left");
            return Err(Problem::field(field, words));
        }
    }
    let (free, vat) = (tax.free.unwrap_or(0), tax.vat.unwrap_or(0));
    if free.saturating_add(vat) > amount {
        let most = amount.saturating_sub(free);
        let words = format!(
            "{amount} minor units of which {free} are free of tax have at most {most} of value-added tax"
        );
        return Err(Problem::field("tax.vat", words));
    }
    Ok(())
}

/// Whether it is known how the payment stands: nothing of it is running or in doubt.
pub fn known(resolution: Resolution, open: Option<AttemptState>) -> Result<(), Problem> {
    // A person who is called without a doubt (too little was paid in) may well give it back.
    if resolution == Resolution::InDoubt || open == Some(AttemptState::InDoubt) {
        let words = "the last attempt's outcome is still being found out; nothing was sent. Ask again when `resolution` is `none`";
        return Err(Problem::new("payment_in_doubt", words));
    }
    if open.is_some() {
        return Err(Problem::new(
            "payment_busy",
            "another attempt of this payment is running; nothing was sent",
        ));
    }
    Ok(())
}

/// Whether a payment that stands so can be given back at all.
fn standing(
    state: PaymentState,
    resolution: Resolution,
    open: Option<AttemptState>,
    remaining: i64,
) -> Result<(), Problem> {
    known(resolution, open)?;
    // A deposit of less than the total is held while the rest is awaited, and can be given back.
    let held = matches!(
        state,
        PaymentState::Paid | PaymentState::PartiallyCancelled | PaymentState::AwaitingDeposit
    );
    if !held || remaining <= 0 {
        let words = format!("a payment that is {} cannot be cancelled; nothing was sent", state.as_str());
        return Err(Problem::new("not_cancellable", words));
    }
    Ok(())
}

fn charge(payment: &Payment, asked: &CancelAsked) -> Result<Charge, Problem> {
    let method: Option<Method> = payment.paid_method.as_ref().and_then(|method| method.to().ok());
    let gateway_ref = payment.gateway_ref.clone();
    // A sale that was found by asking may have a method that nobody knows: it is given back all the same.
    let method = method.unwrap_or_else(settle::unknown_method);
    let Some(gateway_ref) = gateway_ref else {
        return Err(Problem::internal(&format!("{} is paid without a gateway reference", payment.id)));
    };
    let money = |minor| Money { minor, currency: payment.currency.to_string() };
    Ok(Charge {
        order_ref: asked.order_ref.clone(),
        gateway_ref,
        amount: money(payment.total),
        remaining: money(asked.remaining),
        method,
        approved_at_ms: payment.approved_at_us.unwrap_or(0) / 1000,
    })
}

fn request(payment: &Payment, asked: &CancelAsked, account: Option<RefundAccountIn>) -> CancelRequest {
    CancelRequest {
        amount: Money { minor: asked.amount, currency: payment.currency.to_string() },
        tax: asked.tax.map(|(free, vat)| Tax { free, vat }),
        reason: asked.reason.clone(),
        account: account.map(|account| RefundAccount {
            bank: account.bank,
            holder: account.holder,
            number: ACCOUNT_SECRET.to_owned(),
        }),
        sequence: u32::try_from(asked.sequence).unwrap_or(u32::MAX),
    }
}

/// T2.
async fn settle(
    host: &Host,
    ready: &Ready,
    attempt: Attempt,
    asked: CancelAsked,
    called: Called<Result<Cancellation, PluginError>>,
) -> Result<Answer, Problem> {
    let verdict = judge(called.evidence.writes(), word(&called.result), |done| {
        done.amount.minor == asked.amount && done.amount.currency == asked.currency
    });
    let looks = ready.lookup() != Lookup::None && differs(&asked, &verdict);
    let (host_in, ready_in) = (host.clone(), ready.clone());
    let asked_of = (attempt.shop_id, attempt.payment_id);
    kill::at(Point::BeforeT2, "cancel");
    let done = host.store().transact(move |tx| {
        let host = &host_in;
        kill::mark_commit(Point::InT2Commit, "cancel");
        journal(tx, host, &ready_in, JournalOf::attempt(&attempt), &called)?;
        let payment = locked(tx, asked_of.0, asked_of.1)?;
        let change = Change::begin(host, payment, Some(&ready_in));
        let Some(attempt) = still_mine(tx, &attempt)? else { return Ok((202, json!(change.shown(tx)?))) };
        if looks {
            let look = jobs::Task::Look { shop: attempt.shop_id, payment: attempt.payment_id };
            jobs::enqueue(tx, host, &look, host.now_us())?;
        }
        apply(tx, host, change, attempt, &asked, verdict, evidence(&called.evidence))
    });
    let done: Result<(u16, Value), Error> = done.await;
    kill::at(Point::AfterT2, "cancel");
    host.settled().notify_waiters();
    host.jobs().notify_one();
    let (status, body) = done?;
    answer(status, body)
}

/// Whether an answer hints at cancels that are not known here, so that the sale is looked at. A refusal is a no, whatever it
/// says ("already cancelled" too: this request was sent once, and others cancel as well), but what others did may be its reason;
/// and where another amount is left than this cancel leaves, they did something.
fn differs(asked: &CancelAsked, verdict: &Verdict<Cancellation>) -> bool {
    match verdict {
        Verdict::Declined(_) => true,
        Verdict::Done(done) => {
            let left = asked.remaining.saturating_sub(asked.amount);
            done.remaining.as_ref().is_some_and(|remaining| remaining.minor != left)
        }
        // Asked about as a doubt; or nothing was sent.
        Verdict::InDoubt(_) | Verdict::NotSent(_) => false,
    }
}

/// Writes a verdict, and the answer of the caller's key.
pub fn apply(
    tx: &mut Tx<'_>,
    host: &Host,
    mut change: Change<'_>,
    mut attempt: Attempt,
    asked: &CancelAsked,
    verdict: Verdict<Cancellation>,
    seen: Value,
) -> Result<(u16, Value), Error> {
    use AttemptState as A;
    change.payment.resolution = Resolution::None;
    let mut problem = None;
    let (state, result) = match verdict {
        Verdict::Done(cancellation) => {
            let _written = settle::cancelled(tx, &mut change, &attempt, asked, &cancellation)?;
            (A::Succeeded, json!({"cancellation": cancellation}))
        }
        Verdict::Declined(refusal) => {
            let answer = GatewayAnswer {
                code: refusal.code.clone(),
                message: refusal.message.clone(),
                class: refusal.class.clone(),
                explanation: refusal.explanation.ko.clone(),
            };
            problem = Some(
                Problem::new("gateway_refused", refusal.explanation.en.clone())
                    .for_buyer(NOT_CANCELLED)
                    .from_gateway(answer),
            );
            let result = json!({"refusal": refusal_json(&refusal)});
            change.event("payment.cancel_failed", not_made(attempt.id, asked, &result));
            (A::Declined, result)
        }
        Verdict::NotSent(why) => {
            problem = Some(not_sent_problem(&why));
            let reason = json!({"reason": not_sent(&why)});
            change.event("payment.cancel_failed", not_made(attempt.id, asked, &reason));
            (A::Failed, json!({"reason": not_sent(&why), "detail": format!("{why:?}")}))
        }
        Verdict::InDoubt(doubt) => {
            if doubt.alarms() {
                tracing::error!(attempt = %attempt.id, doubt = doubt.as_str(), "a cancel's answer must not stand");
                change.event("payment.alarm", json!({"attempt": attempt.id, "doubt": doubt.as_str()}));
            }
            change.payment.resolution = Resolution::InDoubt;
            jobs::enqueue(
                tx,
                host,
                &jobs::Task::Resolve { shop: attempt.shop_id, attempt: attempt.id },
                host.now_us(),
            )?;
            (A::InDoubt, json!({"doubt": doubt.as_str()}))
        }
    };
    ended(tx, host, &mut attempt, state, &json!({"result": result, "network": seen}))?;
    let support = change.support();
    let row = change.write(tx)?;
    let (status, body) = match &problem {
        Some(problem) => (problem.status, json!(problem)),
        None => (if state == A::InDoubt { 202 } else { 200 }, settle::answered(tx, host, &row, support)?),
    };
    if problem.as_ref().is_some_and(|problem| problem.code != "cancel_not_made" && state == A::Failed) {
        // Nothing left this machine, so the same key may do it.
        asked.key.forget(tx)?;
    } else {
        // A stored 202 is not final: the resolution writes the outcome over it.
        asked.key.answer(tx, host, status, &body, Some(row.id))?;
    }
    Ok((status, body))
}

/// What an event says of a cancel that was not made.
fn not_made(attempt: AttemptId, asked: &CancelAsked, why: &Value) -> Value {
    json!({"attempt": attempt, "amount": asked.amount, "refusal": why.get("refusal"), "reason": why.get("reason")})
}

/// What a buyer can do about a cancel that the gateway refused: its reason and remedy (keys, contracts, deadlines) are the shop's.
const NOT_CANCELLED: &str = "아직 취소되지 않았습니다. 상점에 문의해 주세요.";

/// Why nothing was sent, for the caller.
pub fn not_sent_problem(why: &NotSent) -> Problem {
    match why {
        NotSent::Refused(PluginError::Misconfigured(words)) => {
            Problem::new("plugin_misconfigured", words.clone())
        }
        NotSent::Refused(
            PluginError::InvalidRequest(words)
            | PluginError::Forged(words)
            | PluginError::Unknown(words)
            | PluginError::Unsupported(words),
        ) => Problem::new("plugin_refused", words.clone()),
        NotSent::Refused(PluginError::Gateway(refusal)) => {
            Problem::new("plugin_refused", refusal.message.clone())
        }
        NotSent::Unreachable => {
            Problem::new("gateway_unreachable", "no connection to the gateway came about; nothing was sent")
        }
        NotSent::Fault(words) => Problem::new("plugin_failed", words.clone()),
        NotSent::Overloaded(words) => {
            Problem::new("unavailable", format!("{words} Nothing was cancelled; ask again."))
        }
        NotSent::NotMade => Problem::new(
            "cancel_not_made",
            "the gateway says that it did not make this cancel; nothing was given back",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_payment_that_holds_money_and_is_known_can_be_cancelled() {
        let holds = [PaymentState::Paid, PaymentState::PartiallyCancelled, PaymentState::AwaitingDeposit];
        for (state, word) in PaymentState::TABLE {
            let expected = if holds.contains(state) { Ok(()) } else { Err("not_cancellable") };
            for resolution in [Resolution::None, Resolution::NeedsOperator] {
                let code =
                    |open, left| standing(*state, resolution, open, left).map_err(|problem| problem.code);
                assert_eq!(code(None, 1_000), expected, "{word}");
                assert!(code(None, 0).is_err(), "{word} without money");
                assert_eq!(code(Some(AttemptState::InDoubt), 1_000), Err("payment_in_doubt"), "{word}");
                assert_eq!(code(Some(AttemptState::Intent), 1_000), Err("payment_busy"), "{word}");
            }
            let problem = standing(*state, Resolution::InDoubt, None, 1_000).unwrap_err();
            assert_eq!(problem.code, "payment_in_doubt", "{word}");
        }
    }
}
