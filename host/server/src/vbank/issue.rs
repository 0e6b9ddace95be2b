//! `POST /v1/payments/{id}/virtual-account`. Invariant: a payment has one account at a time; its order number is written down
//! before the gateway gets it, so that every deposit finds its payment; an account whose number did not arrive counts as not
//! opened, because nobody can pay into it.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use payhost_core::Resolution;
use payhost_core::id::{CheckoutId, PaymentId};
use payhost_core::text::is_hidden;
use payhost_engine::Called;
use payhost_engine::contract::types::{Account, Order, PluginError};
use payhost_engine::contract::vbank_notice::ISSUE;
use payhost_store::rows::attempts::{self, Attempt, AttemptKind, AttemptState};
use payhost_store::rows::checkouts::{self, Checkout, CheckoutState};
use payhost_store::rows::payments::Payment;
use payhost_store::rows::shops;
use payhost_store::{Error, Tx};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::INTERFACE;
use super::facts::account_fact;
use crate::channels::ready::Ready;
use crate::host::Host;
use crate::http::auth::ShopCaller;
use crate::http::idempotency::{Key, Known, RequiredKey};
use crate::http::json::{Body, PathId};
use crate::http::problem::{GatewayAnswer, Problem};
use crate::http::text;
use crate::payments::again::is_revised;
use crate::payments::attempt::{
    JournalOf, Opening, Requested, ended, evidence, journal, locked, open, run, still_mine,
};
use crate::payments::cancel::not_sent_problem;
use crate::payments::complete::refusal;
use crate::payments::create::EXPIRES_MAX_US;
use crate::payments::model::PaymentOut;
use crate::payments::settle::{Change, Written, answered, checkout_ended, refusal_json};
use crate::payments::verdict::{Verdict, judge, not_sent, word};
use crate::payments::{order, read};
use crate::sealed::Place;
use crate::time::parse_moment;

/// Longest name of a holder, in characters.
const HOLDER_MAX: usize = 40;

/// The account that is wanted.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AccountIn {
    /// KFTC code of the bank: `088`.
    pub bank: String,
    /// Who pays in. Absent: the buyer's name.
    #[serde(default, deserialize_with = "text::optional")]
    pub holder: Option<String>,
    /// Until when: RFC 3339, or a date, which means 23:59 in Seoul. Absent: until the payment expires.
    #[serde(default)]
    pub deadline: Option<String>,
}

/// What an attempt to open or close an account was asked for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Asked {
    /// The caller's key, whose answer is written when the outcome is known.
    pub key: Key,
    /// Our order number of the account.
    pub order_ref: String,
    /// Until when it was to wait, for an account to be opened.
    #[serde(default)]
    pub deadline_ms: Option<i64>,
}

/// Opens an account without a window.
#[utoipa::path(
    post, path = "/v1/payments/{id}/virtual-account", tag = "virtual accounts", request_body = AccountIn,
    params(
        ("id" = String, Path, description = "`pay_…`"),
        ("Idempotency-Key" = String, Header, description = "Repeats of the request get the first answer"),
    ),
    responses(
        (status = 200, description = "Opened: the payment waits for its deposit", body = PaymentOut),
        (status = "default", description = "A problem", body = Problem),
    )
)]
pub async fn issue(
    State(host): State<Host>,
    caller: ShopCaller,
    PathId(id): PathId<PaymentId>,
    key: RequiredKey,
    body: Body<AccountIn>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let row = read::find(&host, caller, id).await?.ok_or_else(|| Problem::not_found("payment"))?;
    let key = key.of(&host, &caller, &format!("POST /v1/payments/{id}/virtual-account"), &body.raw)?;
    if let Some((status, body)) = key.answered(&host).await? {
        return answer(status, body);
    }
    let wanted = Wanted::check(&host, &row, body.value)?;
    let ready = Ready::load(&host, row.shop_id, row.channel_id, None).await?;
    if !ready.plugin.supports(INTERFACE) {
        return Err(Problem::new("plugin_refused", "the channel's plugin opens no virtual accounts"));
    }
    let host_in = host.clone();
    host.finish(async move {
        let host = host_in;
        match begin(&host, &ready, row, key, wanted.deadline_ms).await? {
            Begun::Answered(status, body) => answer(status, body),
            Begun::Mine(rows) => {
                let (attempt, order, asked) = *rows;
                let holder = wanted.holder.or_else(|| order.buyer.name.clone()).unwrap_or_default();
                let (bank, deadline_ms) = (wanted.bank, wanted.deadline_ms);
                let order_in = order.clone();
                let called = run(&host, &ready, &attempt, &ISSUE, |context| {
                    (context, order_in, bank, holder, deadline_ms)
                });
                let called = called.await;
                settle(&host, &ready, attempt, &order, asked, called).await
            }
        }
    })
    .await
}

struct Wanted {
    bank: String,
    holder: Option<String>,
    deadline_ms: i64,
}

impl Wanted {
    fn check(host: &Host, row: &Payment, input: AccountIn) -> Result<Self, Problem> {
        if input.bank.len() != 3 || !input.bank.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(Problem::field("bank", "a bank's KFTC code of three characters, such as 088"));
        }
        let holder = input.holder;
        let odd = |text: &String| text.chars().count() > HOLDER_MAX || text.contains(is_hidden);
        if holder.as_ref().is_some_and(odd) {
            return Err(Problem::field("holder", format!("one line of at most {HOLDER_MAX} characters")));
        }
        let deadline_us = match &input.deadline {
            None => row.expires_us,
            Some(text) => parse_moment(text)
                .filter(|us| *us > host.now_us() && *us <= host.now_us().saturating_add(EXPIRES_MAX_US))
                .ok_or_else(|| Problem::field("deadline", "RFC 3339 or a date, within the next 90 days"))?,
        };
        Ok(Self { bank: input.bank, holder, deadline_ms: deadline_us / 1000 })
    }
}

/// The answer of a route that opens or closes an account.
pub type Answer = (StatusCode, Json<Value>);

/// The answer as it is stored.
pub(super) fn answer(status: u16, body: Value) -> Result<Answer, Problem> {
    if status >= 400 {
        return Err(Problem::stored(&body));
    }
    Ok((StatusCode::from_u16(status).unwrap_or(StatusCode::OK), Json(body)))
}

enum Begun {
    Mine(Box<(Attempt, Order, Asked)>),
    Answered(u16, Value),
}

/// T1: the key, the order number, the attempt.
async fn begin(
    host: &Host,
    ready: &Ready,
    seen: Payment,
    key: Key,
    deadline_ms: i64,
) -> Result<Begun, Problem> {
    let (host_in, ready_in) = (host.clone(), ready.clone());
    let begun = host.store().transact(move |tx| {
        let (host, ready) = (&host_in, &ready_in);
        match key.begin(tx, host)? {
            Known::New => {}
            Known::Answered(status, body) => return Ok(Ok(Begun::Answered(status, body))),
            Known::Refused(problem) => return Ok(Err(*problem)),
        }
        let payment = locked(tx, ready.channel.shop_id, seen.id)?;
        if is_revised(&seen, &payment) {
            return Err(Error::Stale { what: "payment" });
        }
        let busy = attempts::open_of(tx, payment.shop_id, payment.id)?.is_some();
        if let Some(reason) = refusal(host, ready, &payment, busy) {
            key.forget(tx)?;
            let words = format!("no account can be opened for this payment: {reason}; nothing was sent");
            let code = match reason {
                "busy" => "payment_busy",
                "shop_suspended" => reason,
                _ => "not_payable",
            };
            return Ok(Err(Problem::new(code, words)));
        }
        let shop = shops::get(tx, payment.shop_id)?.ok_or(Error::NotFound { what: "shop" })?;
        let buyer = Place::Buyer(payment.id).open_json(&ready.key, &payment.buyer)?;
        let checkout_id: CheckoutId = host.new_id(CheckoutId::new);
        let order = order::make(host, &ready.key, &shop, &payment, buyer, checkout_id)?;
        checkouts::insert(tx, &checkout(host, ready, &payment, checkout_id, &order)?)?;
        let asked = Asked { key, order_ref: order.order_ref.clone(), deadline_ms: Some(deadline_ms) };
        let opening = Opening {
            kind: AttemptKind::Issue,
            checkout: Some(checkout_id),
            parent: None,
            request: Requested::of(&asked)?,
            callback: None,
        };
        let Ok(attempt) = open(tx, host, &payment, ready, opening)? else {
            return Err(Error::Stale { what: "payment" });
        };
        let mut change = Change::begin(host, payment, Some(ready));
        change.payment.opened = true;
        change.write(tx)?;
        Ok::<_, Error>(Ok(Begun::Mine(Box::new((attempt, order, asked)))))
    });
    begun.await?
}

fn checkout(
    host: &Host,
    ready: &Ready,
    payment: &Payment,
    id: CheckoutId,
    order: &Order,
) -> Result<Checkout, Error> {
    Ok(Checkout {
        id,
        shop_id: payment.shop_id,
        payment_id: payment.id,
        channel_id: payment.channel_id,
        plugin_digest: ready.plugin.digest().to_owned(),
        revision: ready.revision,
        order_ref: order.order_ref.clone(),
        device: "api".to_owned(),
        state: CheckoutState::Returned,
        order_json: Place::Order(id).seal_json(&ready.key, order)?,
        callback: None,
        close_script: None,
        result: None,
        opened_us: host.now_us(),
        updated_us: host.now_us(),
    })
}

/// T2.
async fn settle(
    host: &Host,
    ready: &Ready,
    attempt: Attempt,
    order: &Order,
    asked: Asked,
    called: Called<Result<Account, PluginError>>,
) -> Result<Answer, Problem> {
    let verdict = judge(called.evidence.writes(), word(&called.result), |account| {
        account.amount == order.amount && account.order_ref == order.order_ref
    });
    let (host_in, ready_in) = (host.clone(), ready.clone());
    let done = host.store().transact(move |tx| {
        let host = &host_in;
        journal(tx, host, &ready_in, JournalOf::attempt(&attempt), &called)?;
        let payment = locked(tx, attempt.shop_id, attempt.payment_id)?;
        let Some(attempt) = still_mine(tx, &attempt)? else {
            // It counts as not opened already; nobody will see this account's number.
            let problem = not_opened();
            return Ok((problem.status, json!(problem)));
        };
        let change = Change::begin(host, payment, Some(&ready_in));
        apply(tx, host, change, attempt, &asked, verdict, evidence(&called.evidence))
    });
    let done: Result<(u16, Value), Error> = done.await;
    host.settled().notify_waiters();
    host.jobs().notify_one();
    let (status, body) = done?;
    answer(status, body)
}

fn apply(
    tx: &mut Tx<'_>,
    host: &Host,
    mut change: Change<'_>,
    mut attempt: Attempt,
    asked: &Asked,
    verdict: Verdict<Account>,
    seen: Value,
) -> Result<(u16, Value), Error> {
    use AttemptState as A;
    change.payment.resolution = Resolution::None;
    let (state, result, problem) = match verdict {
        Verdict::Done(mut account) => {
            // What was asked for holds where the gateway does not repeat it.
            account.deadline_ms = account.deadline_ms.or(asked.deadline_ms);
            match account_fact(tx, host, &mut change, &account, Some(&attempt), attempt.now_ms)? {
                Written::New | Written::Known => (A::Succeeded, json!({}), None),
                Written::Contradicts => (A::Failed, json!({"reason": "contradicts"}), Some(not_opened())),
            }
        }
        Verdict::Declined(refusal) => {
            let refused =
                Problem::new("gateway_refused", refusal.explanation.en.clone()).from_gateway(GatewayAnswer {
                    code: refusal.code.clone(),
                    message: refusal.message.clone(),
                    class: refusal.class.clone(),
                    explanation: refusal.explanation.ko.clone(),
                });
            (A::Declined, json!({"reason": "declined", "refusal": refusal_json(&refusal)}), Some(refused))
        }
        Verdict::NotSent(why) => (A::Failed, json!({"reason": not_sent(&why)}), Some(not_sent_problem(&why))),
        Verdict::InDoubt(doubt) => {
            if doubt.alarms() {
                tracing::error!(attempt = %attempt.id, doubt = doubt.as_str(), "an account's answer must not stand");
                change.event("payment.alarm", json!({"attempt": attempt.id, "doubt": doubt.as_str()}));
            }
            (A::Failed, json!({"reason": doubt.as_str()}), Some(not_opened()))
        }
    };
    ended(tx, host, &mut attempt, state, &json!({"result": result, "network": seen}))?;
    end_checkout(tx, host, &attempt, state, result)?;
    // Of the method that it is paid by now.
    let support = change.support();
    let row = change.write(tx)?;
    let (status, body) = match &problem {
        Some(problem) => (problem.status, json!(problem)),
        None => (200, answered(tx, host, &row, support)?),
    };
    if state == A::Failed {
        // Nothing that anybody could use came of it, so the same key may do it.
        asked.key.forget(tx)?;
    } else {
        asked.key.answer(tx, host, status, &body, Some(row.id))?;
    }
    Ok((status, body))
}

fn end_checkout(
    tx: &mut Tx<'_>,
    host: &Host,
    attempt: &Attempt,
    state: AttemptState,
    result: Value,
) -> Result<(), Error> {
    let Some(id) = attempt.checkout_id else { return Ok(()) };
    let Some(mut checkout) = checkouts::get(tx, attempt.shop_id, id)? else { return Ok(()) };
    let opened = state == AttemptState::Succeeded;
    let ended = if opened { CheckoutState::AwaitingDeposit } else { CheckoutState::Failed };
    checkout_ended(tx, host, &mut checkout, ended, result)
}

fn not_opened() -> Problem {
    let words = "the gateway's answer was lost or is not about this order; no account is known, so nobody can pay into one. \
                 Ask again";
    Problem::new("account_not_opened", words)
}
