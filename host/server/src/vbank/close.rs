//! `POST /v1/payments/{id}/virtual-account/close`. Invariant: only an account that nobody paid into is closed, and the payment is
//! cancelled only when the gateway says that it is.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use payhost_core::id::{CheckoutId, PaymentId, ShopId};
use payhost_core::{FactKind, Money, PaymentState, Resolution};
use payhost_engine::Called;
use payhost_engine::contract::money::SaleState;
use payhost_engine::contract::plugin::Lookup;
use payhost_engine::contract::types::{Account, Details, Institution, Money as Amount, PluginError, Text};
use payhost_engine::contract::vbank_notice::CLOSE;
use payhost_store::rows::attempts::{self, Attempt, AttemptKind, AttemptState};
use payhost_store::rows::payments::Payment;
use payhost_store::rows::{checkouts, facts};
use payhost_store::{Error, Tx};
use serde_json::{Value, json};

use super::INTERFACE;
use super::issue::{Answer, Asked, answer};
use crate::channels::ready::Ready;
use crate::host::Host;
use crate::http::auth::ShopCaller;
use crate::http::idempotency::{Key, Known, RequiredKey};
use crate::http::json::PathId;
use crate::http::problem::{GatewayAnswer, Problem};
use crate::jobs::{self, Task};
use crate::payments::attempt::{
    JournalOf, Opening, Requested, ended, evidence, journal, locked, open, requested, run, still_mine,
};
use crate::payments::cancel::not_sent_problem;
use crate::payments::inquire::{Of, Silence, ask, is_about};
use crate::payments::model::{AccountOut, PaymentOut};
use crate::payments::read;
use crate::payments::resolve::{Doubtful, Found, Heard, Step, Why};
use crate::payments::settle::{Change, NewFact, answered, refusal_json};
use crate::payments::verdict::{Doubt, Verdict, judge, not_sent, word};
use crate::sealed::Place;

/// Closes an account that nobody paid into; the payment is cancelled.
#[utoipa::path(
    post, path = "/v1/payments/{id}/virtual-account/close", tag = "virtual accounts",
    params(
        ("id" = String, Path, description = "`pay_…`"),
        ("Idempotency-Key" = String, Header, description = "Repeats of the request get the first answer"),
    ),
    responses(
        (status = 200, description = "Closed", body = PaymentOut),
        (status = 202, description = "Not known yet: `resolution` is `in_doubt`", body = PaymentOut),
        (status = "default", description = "A problem", body = Problem),
    )
)]
pub async fn close(
    State(host): State<Host>,
    caller: ShopCaller,
    PathId(id): PathId<PaymentId>,
    key: RequiredKey,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let row = read::find(&host, caller, id).await?.ok_or_else(|| Problem::not_found("payment"))?;
    let key = key.of(&host, &caller, &format!("POST /v1/payments/{id}/virtual-account/close"), b"")?;
    if let Some((status, body)) = key.answered(&host).await? {
        return answer(status, body);
    }
    make(&host, &row, key).await
}

/// Closes the account of a payment under a key.
pub async fn make(host: &Host, row: &Payment, key: Key) -> Result<Answer, Problem> {
    let (shop, id) = (row.shop_id, row.id);
    let (_, checkout) = host.store().read(move |tx| issue_of(tx, shop, id)).await?;
    let ready = Ready::load_for(host, row, checkout).await?;
    if !ready.plugin.supports(INTERFACE) {
        return Err(Problem::new("plugin_refused", "the channel's plugin closes no virtual accounts"));
    }
    let host_in = host.clone();
    host.finish(async move {
        let host = host_in;
        match begin(&host, &ready, id, checkout, key).await? {
            Begun::Answered(status, body) => answer(status, body),
            Begun::Mine(rows) => {
                let (attempt, account, asked) = *rows;
                let called = run(&host, &ready, &attempt, &CLOSE, |context| (context, account)).await;
                settle(&host, &ready, attempt, asked, called).await
            }
        }
    })
    .await
}

enum Begun {
    Mine(Box<(Attempt, Account, Asked)>),
    Answered(u16, Value),
}

/// T1.
async fn begin(
    host: &Host,
    ready: &Ready,
    id: PaymentId,
    seen: Option<CheckoutId>,
    key: Key,
) -> Result<Begun, Problem> {
    let (host_in, ready_in) = (host.clone(), ready.clone());
    let begun = host.store().transact(move |tx| {
        let (host, ready) = (&host_in, &ready_in);
        match key.begin(tx, host)? {
            Known::New => {}
            Known::Answered(status, body) => return Ok(Ok(Begun::Answered(status, body))),
            Known::Refused(problem) => return Ok(Err(*problem)),
        }
        let payment = locked(tx, ready.channel.shop_id, id)?;
        let busy = attempts::open_of(tx, payment.shop_id, id)?.is_some();
        let shown = AccountOut::of_payment(&ready.key, &payment)?;
        let account = match closable(&payment, shown, busy) {
            Ok(account) => account,
            Err(problem) => {
                key.forget(tx)?;
                return Ok(Err(problem));
            }
        };
        let (order_ref, issue) = issue_of(tx, payment.shop_id, id)?;
        if issue != seen {
            // Another account than the one whose merchant was loaded.
            return Err(Error::Stale { what: "payment" });
        }
        let asked = Asked { key, order_ref, deadline_ms: None };
        let opening = Opening {
            kind: AttemptKind::Close,
            checkout: None,
            parent: None,
            request: Requested::of(&asked)?,
            callback: None,
        };
        let Ok(attempt) = open(tx, host, &payment, ready, opening)? else {
            return Err(Error::Stale { what: "payment" });
        };
        Ok::<_, Error>(Ok(Begun::Mine(Box::new((attempt, account, asked)))))
    });
    begun.await?
}

/// Our order number of the payment's last account, and the checkout that it was opened by.
pub fn issue_of(tx: &mut Tx<'_>, shop: ShopId, id: PaymentId) -> Result<(String, Option<CheckoutId>), Error> {
    let known = facts::of_payment(tx, shop, id)?;
    let issued = known.iter().rev().find(|fact| fact.kind == FactKind::Issued);
    let detail: Value = issued.map(|fact| fact.detail.to()).transpose()?.unwrap_or_default();
    let order_ref = detail.get("order_ref").and_then(Value::as_str).unwrap_or_default().to_owned();
    let checkout = checkouts::by_order_ref(tx, shop, &order_ref)?;
    let checkout = checkout.filter(|checkout| checkout.payment_id == id).map(|checkout| checkout.id);
    Ok((order_ref, checkout))
}

/// The account, if it waits and nothing was paid into it.
fn closable(payment: &Payment, shown: Option<AccountOut>, busy: bool) -> Result<Account, Problem> {
    if busy || payment.resolution != Resolution::None {
        let words = "another attempt of this payment is running or in doubt; nothing was sent";
        return Err(Problem::new("payment_busy", words));
    }
    if payment.paid > payment.cancelled {
        let words = "the account was paid into; nothing was sent. A cancel gives the money back";
        return Err(Problem::new("already_paid", words));
    }
    let waits = payment.state == PaymentState::AwaitingDeposit;
    let known = shown.zip(payment.gateway_ref.clone()).filter(|_| waits);
    let Some((shown, gateway_ref)) = known else {
        let words = "this payment has no account that waits for its deposit; nothing was sent";
        return Err(Problem::new("not_cancellable", words));
    };
    let name = Text { ko: shown.bank.clone(), en: shown.bank };
    Ok(Account {
        gateway_ref,
        order_ref: String::new(),
        amount: Amount { minor: payment.total, currency: payment.currency.to_string() },
        bank: Institution { code: shown.bank_code, gateway_code: String::new(), name },
        number: shown.number,
        holder: shown.holder,
        deadline_ms: payment.deposit_deadline_us.map(|us| us / 1000),
        details: Details::default(),
    })
}

/// T2.
async fn settle(
    host: &Host,
    ready: &Ready,
    attempt: Attempt,
    asked: Asked,
    called: Called<Result<(), PluginError>>,
) -> Result<Answer, Problem> {
    let verdict = judge(called.evidence.writes(), word(&called.result), |()| true);
    // "Already cancelled" may be this very close, or one in the gateway's admin: the gateway is asked which.
    let already = matches!(&verdict, Verdict::Declined(refusal) if refusal.class == "already_cancelled");
    let verdict = if already { Verdict::InDoubt(Doubt::NotUnderstood) } else { verdict };
    let (host_in, ready_in) = (host.clone(), ready.clone());
    let asked_of = (attempt.shop_id, attempt.payment_id);
    let done = host.store().transact(move |tx| {
        let host = &host_in;
        journal(tx, host, &ready_in, JournalOf::attempt(&attempt), &called)?;
        let payment = locked(tx, asked_of.0, asked_of.1)?;
        let change = Change::begin(host, payment, Some(&ready_in));
        let Some(attempt) = still_mine(tx, &attempt)? else { return Ok((202, json!(change.shown(tx)?))) };
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
    verdict: Verdict<()>,
    seen: Value,
) -> Result<(u16, Value), Error> {
    use AttemptState as A;
    change.payment.resolution = Resolution::None;
    let (state, result, problem) = match verdict {
        Verdict::Done(()) => {
            closed(tx, host, &mut change, &attempt)?;
            (A::Succeeded, json!({}), None)
        }
        Verdict::Declined(refusal) => {
            let refused =
                Problem::new("gateway_refused", refusal.explanation.en.clone()).from_gateway(GatewayAnswer {
                    code: refusal.code.clone(),
                    message: refusal.message.clone(),
                    class: refusal.class.clone(),
                    explanation: refusal.explanation.ko.clone(),
                });
            (A::Declined, json!({"refusal": refusal_json(&refusal)}), Some(refused))
        }
        Verdict::NotSent(why) => (A::Failed, json!({"reason": not_sent(&why)}), Some(not_sent_problem(&why))),
        Verdict::InDoubt(doubt) => {
            if doubt.alarms() {
                tracing::error!(attempt = %attempt.id, doubt = doubt.as_str(), "a close's answer must not stand");
                change.event("payment.alarm", json!({"attempt": attempt.id, "doubt": doubt.as_str()}));
            }
            change.payment.resolution = Resolution::InDoubt;
            let task = Task::Resolve { shop: attempt.shop_id, attempt: attempt.id };
            jobs::enqueue(tx, host, &task, host.now_us())?;
            (A::InDoubt, json!({"doubt": doubt.as_str()}), None)
        }
    };
    ended(tx, host, &mut attempt, state, &json!({"result": result, "network": seen}))?;
    let support = change.support();
    let row = change.write(tx)?;
    let (status, body) = match &problem {
        Some(problem) => (problem.status, json!(problem)),
        None => {
            let shown = answered(tx, host, &row, support)?;
            (if state == A::InDoubt { 202 } else { 200 }, shown)
        }
    };
    if state == A::Failed {
        asked.key.forget(tx)?;
    } else {
        asked.key.answer(tx, host, status, &body, Some(row.id))?;
    }
    Ok((status, body))
}

fn closed(tx: &mut Tx<'_>, host: &Host, change: &mut Change<'_>, attempt: &Attempt) -> Result<(), Error> {
    let new = NewFact {
        kind: FactKind::Closed,
        amount: Money::new(change.payment.total, change.payment.currency),
        gateway_ref: change.payment.gateway_ref.clone().unwrap_or_default(),
        sequence: 0,
        at_ms: host.now_ms(),
        detail: json!({}),
    };
    let _written = change.fact(tx, Some(attempt), new)?;
    Ok(())
}

/// Finds out about a close: the gateway is asked by its number of the account. It is never sent again.
pub async fn find_out(host: &Host, ready: &Ready, doubtful: &Doubtful) -> Result<Step, Problem> {
    let (attempt, payment) = (&doubtful.attempt, &doubtful.payment);
    let asked: Asked = Place::Request(attempt.id).open_json(&ready.key, &attempt.request)?;
    if ready.lookup() == Lookup::None || payment.gateway_ref.is_none() {
        let words = "the gateway cannot be asked about an account".to_owned();
        return Ok(Step::new(Found::Unknowable(Why::CannotBeAsked, words), Heard::NotAsked));
    }
    let unknown = |words: &str| Ok(Step::new(Found::Unknown(words.to_owned()), Heard::Answer));
    let of = Of { payment, attempt: Some(attempt.id) };
    let sale = match ask(host, ready, of, &asked.order_ref, payment.gateway_ref.clone()).await? {
        Ok(Some(sale)) => sale,
        Ok(None) => return unknown("the gateway does not know the account"),
        Err(Silence::CannotAsk(words)) => return unknown(&words),
        Err(Silence::Failed(words)) => return Ok(Step::new(Found::Unknown(words), Heard::Silence)),
    };
    if !is_about(payment, &asked.order_ref, &sale) {
        return unknown("the gateway answers about another sale");
    }
    let settled_ms = attempt.now_ms.saturating_add(ready.settles_within_ms());
    let found = match sale.state {
        SaleState::Cancelled => Found::Closed,
        SaleState::Paid | SaleState::PartiallyCancelled => Found::NotClosed,
        // Believed only when the request cannot be on its way any more.
        SaleState::AwaitingDeposit if host.now_ms() > settled_ms => Found::NotClosed,
        SaleState::AwaitingDeposit => Found::Unknown("the account is not closed yet".to_owned()),
    };
    Ok(Step { again_ms: Some(settled_ms.saturating_add(1000)), ..Step::new(found, Heard::Answer) })
}

/// Ends a close whose outcome was found out, and writes the answer of its key.
pub fn found(
    tx: &mut Tx<'_>,
    host: &Host,
    mut change: Change<'_>,
    mut attempt: Attempt,
    done: bool,
) -> Result<(), Error> {
    let asked: Asked = requested(tx, host, &attempt)?;
    change.payment.resolution = Resolution::None;
    let (state, result) = if done {
        closed(tx, host, &mut change, &attempt)?;
        (AttemptState::Succeeded, json!({}))
    } else {
        (AttemptState::Failed, json!({"reason": "not_closed"}))
    };
    ended(tx, host, &mut attempt, state, &json!({"result": result, "resolved": true}))?;
    let support = change.support();
    let row = change.write(tx)?;
    let (status, body) = if done {
        (200, answered(tx, host, &row, support)?)
    } else {
        let words = "the gateway says that it did not close the account; it still takes a deposit";
        let problem = Problem::new("cancel_not_made", words);
        (problem.status, json!(problem))
    };
    asked.key.answer(tx, host, status, &body, Some(row.id))
}
