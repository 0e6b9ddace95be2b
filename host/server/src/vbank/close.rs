//! `POST /v1/payments/{id}/virtual-account/close`. Invariant: only an account that nobody paid into is closed, and the payment is
//! cancelled only when the gateway says that it is.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use payhost_core::id::PaymentId;
use payhost_core::{FactKind, Money, PaymentState, Resolution};
use payhost_engine::Called;
use payhost_engine::contract::money::{INQUIRE, Inquiry, Query, SaleState};
use payhost_engine::contract::types::{Account, Details, Institution, Money as Amount, PluginError, Text};
use payhost_engine::contract::vbank_notice::CLOSE;
use payhost_store::rows::attempts::{self, Attempt, AttemptKind, AttemptState};
use payhost_store::rows::facts;
use payhost_store::rows::payments::Payment;
use payhost_store::{Error, Json as Stored, Tx};
use serde_json::{Value, json};

use super::INTERFACE;
use super::issue::{Answer, Asked, answer};
use crate::channels::ready::{Moment, Ready};
use crate::host::Host;
use crate::http::auth::ShopCaller;
use crate::http::idempotency::{Key, Known, RequiredKey};
use crate::http::json::PathId;
use crate::http::problem::{GatewayAnswer, Problem};
use crate::jobs::{self, Done, Task};
use crate::payments::attempt::{JournalOf, Opening, evidence, journal, locked, mine, open, run};
use crate::payments::model::{AccountOut, PaymentOut};
use crate::payments::read;
use crate::payments::resolve::{Doubtful, Found};
use crate::payments::settle::{Change, NewFact, refusal_json};
use crate::payments::verdict::{Verdict, judge, not_sent};

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
    let key = key.of(&host, &caller, &format!("POST /v1/payments/{id}/virtual-account/close"), b"");
    let ready = Ready::load(&host, row.shop_id, row.channel_id, None).await?;
    if !ready.plugin.supports(INTERFACE) {
        return Err(Problem::new("plugin_refused", "the channel's plugin closes no virtual accounts"));
    }
    let host_in = host.clone();
    host.finish(async move {
        let host = host_in;
        match begin(&host, &ready, row.id, key).await? {
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
async fn begin(host: &Host, ready: &Ready, id: PaymentId, key: Key) -> Result<Begun, Problem> {
    let (host_in, ready_in) = (host.clone(), ready.clone());
    let begun = host.store().transact(move |tx| {
        let (host, ready) = (&host_in, &ready_in);
        match key.begin(tx)? {
            Known::New => {}
            Known::Answered(status, body) => return Ok(Ok(Begun::Answered(status, body))),
            Known::Refused(problem) => return Ok(Err(*problem)),
        }
        let payment = locked(tx, ready.channel.shop_id, id)?;
        let busy = attempts::open_of(tx, payment.shop_id, id)?.is_some();
        let account = match closable(&payment, busy) {
            Ok(account) => account,
            Err(problem) => {
                key.forget(tx)?;
                return Ok(Err(problem));
            }
        };
        let issued = facts::of_payment(tx, payment.shop_id, id)?;
        let issued = issued.iter().rev().find(|fact| fact.kind == FactKind::Issued);
        let detail: Value = issued.map(|fact| fact.detail.to()).transpose()?.unwrap_or_default();
        let order_ref = detail.get("order_ref").and_then(Value::as_str).unwrap_or_default().to_owned();
        let asked = Asked { key, order_ref };
        let opening = Opening {
            kind: AttemptKind::Close,
            checkout: None,
            parent: None,
            request: serde_json::to_value(&asked).map_err(|error| Error::Json(error.to_string()))?,
            callback: None,
        };
        let Ok(attempt) = open(tx, host, &payment, ready.plugin.digest(), opening)? else {
            return Err(Error::Stale { what: "payment" });
        };
        Ok::<_, Error>(Ok(Begun::Mine(Box::new((attempt, account, asked)))))
    });
    begun.await?
}

/// The account, if it waits and nothing was paid into it.
fn closable(payment: &Payment, busy: bool) -> Result<Account, Problem> {
    if busy || payment.resolution != Resolution::None {
        let words = "another attempt of this payment is running or in doubt; nothing was sent";
        return Err(Problem::new("payment_busy", words));
    }
    let waits = payment.state == PaymentState::AwaitingDeposit && payment.paid <= payment.cancelled;
    let known = AccountOut::of_payment(payment).zip(payment.gateway_ref.clone()).filter(|_| waits);
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
    let word = match &called.result {
        Ok(word) => Ok(word.clone()),
        Err(fault) => Err(fault.to_string()),
    };
    let verdict = judge(called.evidence.writes(), word, |()| true);
    let (host_in, ready_in) = (host.clone(), ready.clone());
    let done = host.store().transact(move |tx| {
        let host = &host_in;
        journal(tx, host, &ready_in, JournalOf::attempt(&attempt), &called)?;
        let Some(attempt) = mine(tx, &attempt)? else { return Err(Error::Stale { what: "attempt" }) };
        apply(tx, host, &ready_in, attempt, &asked, verdict, evidence(&called.evidence))
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
    ready: &Ready,
    mut attempt: Attempt,
    asked: &Asked,
    verdict: Verdict<()>,
    seen: Value,
) -> Result<(u16, Value), Error> {
    use AttemptState as A;
    let payment = locked(tx, attempt.shop_id, attempt.payment_id)?;
    let mut change = Change::begin(host, payment, Some(ready));
    change.payment.resolution = Resolution::None;
    let (state, result, problem) = match verdict {
        Verdict::Done(()) => {
            closed(tx, host, &mut change, &attempt)?;
            (A::Succeeded, json!({}), None)
        }
        Verdict::Declined(refusal) => {
            let refused = Problem::new("gateway_refused", refusal.explanation.en.clone())
                .for_buyer(refusal.explanation.ko.clone())
                .from_gateway(GatewayAnswer {
                    code: refusal.code.clone(),
                    message: refusal.message.clone(),
                    class: refusal.class.clone(),
                });
            (A::Declined, json!({"refusal": refusal_json(&refusal)}), Some(refused))
        }
        Verdict::NotSent(why) => {
            let problem = Problem::new("plugin_refused", format!("{why:?}; nothing was sent"));
            (A::Failed, json!({"reason": not_sent(&why)}), Some(problem))
        }
        Verdict::InDoubt(doubt) => {
            change.payment.resolution = Resolution::InDoubt;
            let task = Task::Resolve { shop: attempt.shop_id, attempt: attempt.id };
            jobs::enqueue(tx, host, &task, host.now_us())?;
            (A::InDoubt, json!({"doubt": doubt.as_str()}), None)
        }
    };
    attempt.state = state;
    attempt.outcome = Some(Stored::from(json!({"result": result, "network": seen})));
    attempt.updated_us = host.now_us();
    attempts::settle(tx, &attempt)?;
    let row = change.write(tx)?;
    let (status, body) = match &problem {
        Some(problem) => (problem.status, json!(problem)),
        None => {
            let shown = json!(PaymentOut::of(&row, ready.support(row.paid_method.as_ref())));
            (if state == A::InDoubt { 202 } else { 200 }, shown)
        }
    };
    if state == A::Failed {
        asked.key.forget(tx)?;
    } else {
        asked.key.answer(tx, status, &body, Some(row.id))?;
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

/// Finds out about a close: the gateway is asked by its number of the account.
pub async fn find_out(host: &Host, ready: &Ready, doubtful: &Doubtful) -> Result<Found, Problem> {
    let payment = &doubtful.payment;
    let asked: Asked = doubtful.attempt.request.to()?;
    let query = Query {
        order_ref: asked.order_ref,
        gateway_ref: payment.gateway_ref.clone(),
        amount: Amount { minor: payment.total, currency: payment.currency.to_string() },
        method: None,
    };
    let moment = Moment::now(host);
    let of = JournalOf {
        call: moment.call,
        at_ms: moment.now_ms,
        payment: Some(payment.id),
        attempt: Some(doubtful.attempt.id),
    };
    let called = ready.call(host, &INQUIRE, moment, |context| (context, query)).await;
    let found = match &called.result {
        Ok(Ok(Inquiry::Found(sale))) if sale.state == SaleState::Cancelled => Found::Closed,
        Ok(Ok(Inquiry::Found(sale))) if sale.state == SaleState::AwaitingDeposit => {
            // The request may still be on its way the first time.
            if doubtful.tries > 1 {
                Found::Nothing("not_closed", None)
            } else {
                Found::unknown("not closed yet")
            }
        }
        Ok(Ok(Inquiry::Found(_))) => Found::Nothing("not_closed", None),
        Ok(Ok(Inquiry::NotFound)) => Found::unknown("the gateway does not know the account"),
        Ok(Ok(Inquiry::CannotAsk(words))) => Found::unknown(words.clone()),
        Ok(Err(error)) => Found::unknown(format!("{error:?}")),
        Err(fault) => Found::unknown(fault.to_string()),
    };
    let (host_in, ready_in) = (host.clone(), ready.clone());
    let journaled = host.store().transact(move |tx| journal(tx, &host_in, &ready_in, of, &called));
    journaled.await?;
    Ok(found)
}

/// Writes a close that was found to be done.
pub fn found_closed(
    tx: &mut Tx<'_>,
    host: &Host,
    mut change: Change<'_>,
    mut attempt: Attempt,
) -> Result<Done, Error> {
    let asked: Asked = attempt.request.to()?;
    closed(tx, host, &mut change, &attempt)?;
    change.payment.resolution = Resolution::None;
    attempt.state = AttemptState::Succeeded;
    attempt.outcome = Some(Stored::from(json!({"result": {}})));
    attempt.updated_us = host.now_us();
    attempts::settle(tx, &attempt)?;
    let row = change.write(tx)?;
    let body = json!(PaymentOut::of(&row, Default::default()));
    asked.key.answer(tx, 200, &body, Some(row.id))?;
    Ok(Done::Finished)
}
