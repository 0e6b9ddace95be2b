//! `POST /v1/payments/{id}/sync`, and what else looks at a sale that stands. Invariant: what the gateway says happened becomes
//! facts only if it goes beyond what is known and agrees with it; anything else is told and changes nothing.
//!
//! Cancels that nobody made here: in the gateway's own admin, or a test sale that is reversed at night.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use payhost_core::id::PaymentId;
use payhost_core::{FactKind, Money, PaymentState, Resolution};
use payhost_engine::contract::money::{Sale, SaleState};
use payhost_engine::contract::plugin::Lookup;
use payhost_store::Error;
use payhost_store::rows::attempts::{self, AttemptState};
use payhost_store::rows::facts::{self, FactRow};
use payhost_store::rows::jobs as job_rows;
use payhost_store::rows::payments::Payment;
use serde_json::{Value, json};

use super::attempt::locked;
use super::cancel::order_ref_of;
use super::inquire::{Of, Silence, ask};
use super::model::PaymentOut;
use super::read::{find, show};
use super::settle::{Change, NewFact, Written};
use crate::channels::ready::Ready;
use crate::host::Host;
use crate::http::auth::ShopCaller;
use crate::http::idempotency::{IdempotencyKey, once};
use crate::http::json::PathId;
use crate::http::problem::Problem;
use crate::jobs;

/// How long a caller waits for a doubt to be asked about.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often somebody who waits looks, when nobody rings.
const LOOK: Duration = Duration::from_millis(250);

/// What the gateway says about a sale that stands here.
#[derive(Debug)]
pub enum Look {
    /// The same.
    Match,
    /// More was given back there; written, if that was wanted.
    Cancelled(Vec<NewCancel>),
    /// Something that cannot be: another amount or order, or less given back than here.
    Differs(String),
    /// It knows no such sale.
    NotThere,
    /// It cannot be asked.
    CannotAsk(String),
    /// It did not answer.
    Silent(String),
}

/// A cancel that is not known here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCancel {
    sequence: i64,
    /// Minor units.
    pub amount: i64,
    gateway_ref: Option<String>,
    at_ms: Option<i64>,
}

/// Asks the gateway about a payment now: a doubt is resolved if it can be, and a cancel that was made in the gateway's admin is
/// taken over.
#[utoipa::path(
    post, path = "/v1/payments/{id}/sync", tag = "payments",
    params(
        ("id" = String, Path, description = "`pay_…`"),
        ("Idempotency-Key" = Option<String>, Header, description = "Repeats of the request get the first answer"),
    ),
    responses(
        (status = 200, description = "As the gateway says", body = PaymentOut),
        (status = 202, description = "Still not known: `resolution` is not `none`", body = PaymentOut),
        (status = "default", description = "A problem", body = Problem),
    )
)]
pub async fn sync(
    State(host): State<Host>,
    caller: ShopCaller,
    PathId(id): PathId<PaymentId>,
    key: IdempotencyKey,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let row = find(&host, caller, id).await?.ok_or_else(|| Problem::not_found("payment"))?;
    let key = key.of(&host, &caller, &format!("POST /v1/payments/{id}/sync"), b"")?;
    let host_in = host.clone();
    host.finish(async move { once(&host_in, key, now(&host_in, caller, row)).await }).await
}

async fn now(host: &Host, caller: ShopCaller, row: Payment) -> Result<(StatusCode, Value), Problem> {
    let id = row.id;
    let doubt = ask_soon(host, &row).await?;
    if !doubt && row.gateway_ref.is_some() && row.paid > 0 {
        match look(host, &row, true).await? {
            Look::Match | Look::Cancelled(_) => {}
            Look::Differs(words) => return Err(Problem::new("gateway_differs", words)),
            Look::NotThere => {
                return Err(Problem::new(
                    "gateway_differs",
                    "the gateway knows no such sale; nothing was changed",
                ));
            }
            Look::CannotAsk(words) => return Err(Problem::new("cannot_ask", words)),
            Look::Silent(words) => return Err(Problem::new("gateway_silent", words)),
        }
    }
    let row = find(host, caller, id).await?.ok_or_else(|| Problem::not_found("payment"))?;
    let known = row.resolution == Resolution::None;
    let status = if known { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, json!(show(host, &row).await)))
}

/// Lets the job of an open attempt run now and waits until it is settled, or until no turn is near; tells whether there is one.
async fn ask_soon(host: &Host, row: &Payment) -> Result<bool, Problem> {
    let (host_in, shop, id) = (host.clone(), row.shop_id, row.id);
    let asked = host.store().transact(move |tx| {
        let Some(open) = attempts::open_of(tx, shop, id)? else { return Ok(None) };
        let (task, now_us) = (jobs::Task::Resolve { shop, attempt: open.id }, host_in.now_us());
        jobs::enqueue(tx, &host_in, &task, now_us)?;
        Ok::<_, Error>(Some((task.key(), now_us)))
    });
    let Some((key, asked_us)) = asked.await? else { return Ok(false) };
    let near_us = asked_us.saturating_add(i64::try_from(PATIENCE.as_micros()).unwrap_or(i64::MAX));
    let settled = host.settled().notified();
    tokio::pin!(settled);
    settled.as_mut().enable();
    host.jobs().notify_one();
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        // Another host may do the job, and nobody rings here.
        let look = deadline.min(tokio::time::Instant::now() + LOOK);
        let _ = tokio::time::timeout_at(look, settled.as_mut()).await;
        settled.set(host.settled().notified());
        settled.as_mut().enable();
        let key = key.clone();
        let waiting = host.store().read(move |tx| {
            let Some(open) = attempts::open_of(tx, shop, id)? else { return Ok(false) };
            // Its maker may be at work. Otherwise: where nobody knows more than before, the next turn may be far away.
            let at_work = open.state == AttemptState::Intent;
            Ok::<_, Error>(at_work || job_rows::get(tx, &key)?.is_some_and(|job| job.is_pending(near_us)))
        });
        if !waiting.await? || tokio::time::Instant::now() >= deadline {
            return Ok(true);
        }
    }
}

/// Compares a paid payment with the gateway. `apply`: cancels that are known only there become facts.
pub async fn look(host: &Host, row: &Payment, apply: bool) -> Result<Look, Problem> {
    let ready = Ready::load_for_sale(host, row).await?;
    if ready.lookup() == Lookup::None {
        return Ok(Look::CannotAsk("the plugin cannot ask its gateway about a sale".to_owned()));
    }
    let (shop, id, checkout, row_total) = (row.shop_id, row.id, row.approved_checkout_id, row.total);
    let known = host.store().read(move |tx| {
        let order_ref = order_ref_of(tx, shop, checkout)?;
        Ok::<_, Error>((order_ref, Here::of(row_total, &facts::of_payment(tx, shop, id)?)))
    });
    let (order_ref, here) = known.await?;
    let of = Of { payment: row, attempt: None };
    let sale = match ask(host, &ready, of, &order_ref, row.gateway_ref.clone()).await? {
        Ok(Some(sale)) => sale,
        Ok(None) => return Ok(Look::NotThere),
        Err(Silence::CannotAsk(words)) => return Ok(Look::CannotAsk(words)),
        Err(Silence::Failed(words)) => return Ok(Look::Silent(words)),
    };
    let about_it = sale.amount.minor == row.total && (order_ref.is_empty() || sale.order_ref == order_ref);
    if !about_it {
        let words =
            format!("the gateway has {} {} for {}", sale.amount.minor, sale.amount.currency, sale.order_ref);
        return Ok(Look::Differs(words));
    }
    // Both wait for a deposit or for its rest, or the bank took one back: nothing is held that could have been given back there.
    let waits = matches!(row.state, PaymentState::AwaitingDeposit | PaymentState::Cancelled);
    if waits && sale.state == SaleState::AwaitingDeposit {
        return Ok(Look::Match);
    }
    let cancels = match unknown_cancels(row.total, here, &sale) {
        Ok(cancels) if cancels.is_empty() => return Ok(Look::Match),
        Ok(cancels) => cancels,
        Err(words) => return Ok(Look::Differs(words)),
    };
    if apply {
        write(host, &ready, row, cancels.clone()).await?;
    }
    Ok(Look::Cancelled(cancels))
}

/// What is known here of a sale's money.
#[derive(Debug, Clone, Copy)]
struct Here {
    /// What was taken and not taken back by the bank, at most the total: a deposit may be of less.
    taken: i64,
    /// What was given back.
    given: i64,
    /// In how many cancels.
    cancels: i64,
}

impl Here {
    fn of(total: i64, facts: &[FactRow]) -> Self {
        let of = |kind: FactKind| facts.iter().filter(move |fact| fact.kind == kind);
        let sum = |kind: FactKind| of(kind).map(|fact| fact.amount).fold(0, i64::saturating_add);
        let taken = sum(FactKind::Approved).saturating_add(sum(FactKind::Deposited));
        Self {
            taken: taken.saturating_sub(sum(FactKind::DepositCancelled)).clamp(0, total),
            given: sum(FactKind::Cancelled),
            cancels: i64::try_from(of(FactKind::Cancelled).count()).unwrap_or(i64::MAX),
        }
    }
}

/// Cancels that the gateway knows and we do not. `Err`: what it says does not agree with what we know.
fn unknown_cancels(total: i64, here: Here, sale: &Sale) -> Result<Vec<NewCancel>, String> {
    let Here { taken, given: here, cancels: known } = here;
    let listed = |cancels: &[payhost_engine::contract::money::Cancelled]| -> i64 {
        cancels.iter().map(|cancel| cancel.amount.minor).sum()
    };
    let there = match sale.state {
        SaleState::Paid => 0,
        SaleState::PartiallyCancelled => {
            sale.cancellable.as_ref().map_or(listed(&sale.cancels), |left| total.saturating_sub(left.minor))
        }
        SaleState::Cancelled => taken,
        SaleState::AwaitingDeposit => return Err("the gateway still waits for the deposit".to_owned()),
    };
    if there < here || there > total {
        return Err(format!("{here} was given back here, {there} at the gateway"));
    }
    if there == here {
        return Ok(Vec::new());
    }
    let (ours, theirs) =
        sale.cancels.split_at_checked(usize::try_from(known).unwrap_or(usize::MAX)).unwrap_or_default();
    if !theirs.is_empty() && listed(ours) == here && listed(&sale.cancels) == there {
        let new = theirs.iter().zip(known..).map(|(cancel, sequence)| NewCancel {
            sequence,
            amount: cancel.amount.minor,
            gateway_ref: cancel.gateway_ref.clone(),
            at_ms: cancel.at_ms,
        });
        return Ok(new.collect());
    }
    // No list, or one that is not in our order: the difference is what is certain.
    let last = sale.cancels.last();
    Ok(vec![NewCancel {
        sequence: known,
        amount: there.saturating_sub(here),
        gateway_ref: last.and_then(|cancel| cancel.gateway_ref.clone()),
        at_ms: last.and_then(|cancel| cancel.at_ms),
    }])
}

/// Writes what the gateway did, unless the payment was changed since it was asked.
async fn write(host: &Host, ready: &Ready, row: &Payment, cancels: Vec<NewCancel>) -> Result<(), Problem> {
    let (host_in, ready_in, row) = (host.clone(), ready.clone(), row.clone());
    let written = host.store().transact(move |tx| {
        let host = &host_in;
        let payment = locked(tx, row.shop_id, row.id)?;
        let busy = attempts::open_of(tx, row.shop_id, row.id)?.is_some();
        if busy || payment.version != row.version {
            return Err(Error::Stale { what: "payment" });
        }
        let mut change = Change::begin(host, payment, Some(&ready_in));
        for cancel in cancels {
            let new = NewFact {
                kind: FactKind::Cancelled,
                amount: Money::new(cancel.amount, row.currency),
                gateway_ref: row.gateway_ref.clone().unwrap_or_default(),
                sequence: cancel.sequence,
                at_ms: cancel.at_ms.unwrap_or(host.now_ms()),
                detail: json!({"cancel_ref": cancel.gateway_ref, "reason": "made at the gateway"}),
            };
            if change.fact(tx, None, new)? == Written::New {
                change.event("payment.changed_at_gateway", json!({"cancelled": cancel.amount}));
            }
        }
        change.write(tx).map(|_| ())
    });
    let written: Result<(), Error> = written.await;
    Ok(written?)
}

#[cfg(test)]
mod tests {
    use payhost_engine::contract::money::Cancelled;
    use payhost_engine::contract::types::Money as Amount;

    use super::*;

    fn krw(minor: i64) -> Amount {
        Amount { minor, currency: "KRW".to_owned() }
    }

    fn sale(state: SaleState, cancels: &[i64], cancellable: Option<i64>) -> Sale {
        Sale {
            gateway_ref: "tid".to_owned(),
            order_ref: "ref".to_owned(),
            state,
            amount: krw(1000),
            cancellable: cancellable.map(krw),
            method: None,
            approved_at_ms: None,
            cancels: cancels
                .iter()
                .map(|minor| Cancelled { gateway_ref: None, amount: krw(*minor), at_ms: Some(1) })
                .collect(),
        }
    }

    #[test]
    fn only_what_goes_beyond_what_is_known_is_taken_over() {
        use SaleState::{AwaitingDeposit, Cancelled, Paid, PartiallyCancelled};
        // State there, its list, what it says is left, given back here in how many cancels, and what is new.
        type Case = (SaleState, &'static [i64], Option<i64>, i64, i64, Option<&'static [(i64, i64)]>);
        let cases: &[Case] = &[
            (Paid, &[], None, 0, 0, Some(&[])),
            (Cancelled, &[], None, 0, 0, Some(&[(0, 1000)])),
            (Cancelled, &[1000], None, 0, 0, Some(&[(0, 1000)])),
            (Cancelled, &[400, 600], None, 400, 1, Some(&[(1, 600)])),
            (Cancelled, &[1000], None, 400, 1, Some(&[(1, 600)])),
            (Cancelled, &[400, 600], None, 1000, 2, Some(&[])),
            (PartiallyCancelled, &[100, 200], Some(700), 100, 1, Some(&[(1, 200)])),
            (PartiallyCancelled, &[200, 100], Some(700), 100, 1, Some(&[(1, 200)])),
            (PartiallyCancelled, &[100], Some(900), 100, 1, Some(&[])),
            (Paid, &[], None, 100, 1, None),
            (PartiallyCancelled, &[100], Some(900), 200, 1, None),
            (AwaitingDeposit, &[], None, 0, 0, None),
        ];
        for (state, list, left, cancelled, known, expected) in cases {
            let found = unknown_of(*cancelled, &sale(*state, list, *left), *known);
            assert_eq!(found.as_deref(), *expected, "{state:?} {list:?} {left:?}, {cancelled} here");
        }
    }

    #[test]
    fn a_short_deposit_that_was_given_back_here_is_not_found_again_at_the_gateway() {
        let cancelled = sale(SaleState::Cancelled, &[], None);
        let here = Here { taken: 400, given: 400, cancels: 1 };
        assert_eq!(unknown_cancels(1000, here, &cancelled), Ok(Vec::new()));
        // Given back there, it is what was paid in, and not the total.
        let here = Here { taken: 400, given: 0, cancels: 0 };
        let found = unknown_cancels(1000, here, &cancelled).unwrap();
        assert_eq!(found.iter().map(|cancel| cancel.amount).collect::<Vec<_>>(), [400]);
    }

    fn unknown_of(cancelled: i64, sale: &Sale, known: i64) -> Option<Vec<(i64, i64)>> {
        let here = Here { taken: 1000, given: cancelled, cancels: known };
        let found = unknown_cancels(1000, here, sale).ok()?;
        Some(found.iter().map(|cancel| (cancel.sequence, cancel.amount)).collect())
    }
}
