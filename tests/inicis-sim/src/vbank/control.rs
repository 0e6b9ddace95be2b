//! Invariant: a deposit that a test makes here runs the same code as the page: [`super::deposit`] and
//! [`super::cancel_deposit`].

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::settings::{VbankSettings, overlaid};
use super::{Booked, Paying, Target, cancel_deposit, deposit, settings};
use crate::control::failed;
use crate::ledger::{Book, Event, LedgerError, Sale, SaleState};
use crate::notice::Dress;
use crate::play::refused;
use crate::refusal::Refusal;
use crate::sim::{Shared, Sim};

/// Routes of accounts and their switches.
pub fn router() -> Router<Shared> {
    Router::new()
        .route("/_sim/vbank/settings", get(read_settings).patch(change_settings))
        .route("/_sim/vbank/accounts", get(accounts))
        .route("/_sim/deposit", post(pay_in))
        .route("/_sim/deposit-cancel", post(take_back))
}

/// Members of a call that change the look of its notice, laid over the switches.
///
/// # Errors
/// A member that no notice has.
pub fn dress(sim: &Sim, book: &Book, patch: &Value) -> Result<Dress, Refusal> {
    overlaid(&settings(sim, book).notice, patch)
        .map_err(|error| Refusal::new("SIM:NOTICE", format!("notice: {error}")))
}

async fn read_settings(State(sim): State<Shared>) -> Response {
    match sim.ledger.read(|book| settings(&sim, book)).await {
        Ok(settings) => Json(settings).into_response(),
        Err(error) => failed(&error),
    }
}

async fn change_settings(State(sim): State<Shared>, Json(patch): Json<Value>) -> Response {
    let at = sim.clock.now_ms();
    let booked = sim.ledger.book(|book| {
        let changed: Result<VbankSettings, _> = overlaid(&settings(&sim, book), &patch);
        match changed {
            Ok(changed) => {
                let event = Event::VbankSettings { at, settings: Box::new(changed.clone()) };
                (vec![event], Ok(changed))
            }
            Err(error) => (Vec::new(), Err(Refusal::new("SIM:FIELD", error.to_string()))),
        }
    });
    match booked.await {
        Ok(Ok(changed)) => Json(changed).into_response(),
        Ok(Err(refusal)) => refused(&refusal),
        Err(error) => failed(&error),
    }
}

#[derive(Deserialize)]
struct AccountsQuery {
    oid: Option<String>,
}

/// Whether an account may still take money.
#[must_use]
pub fn open(sale: &Sale) -> bool {
    match sale.state {
        SaleState::AwaitingDeposit | SaleState::Approved | SaleState::PartiallyCancelled => {
            sale.account.is_some()
        }
        SaleState::Authenticated | SaleState::Declined | SaleState::Cancelled | SaleState::NetCancelled => {
            false
        }
    }
}

async fn accounts(State(sim): State<Shared>, Query(query): Query<AccountsQuery>) -> Response {
    let listed = sim.ledger.read(|book| {
        let wanted = |sale: &&Sale| query.oid.as_ref().is_none_or(|oid| *oid == sale.auth.oid);
        book.sales().iter().rev().filter(wanted).filter_map(account).collect::<Vec<_>>()
    });
    match listed.await {
        Ok(accounts) => Json(json!({ "accounts": accounts })).into_response(),
        Err(error) => failed(&error),
    }
}

fn account(sale: &Sale) -> Option<Value> {
    let account = sale.account.as_ref()?;
    let by = match (&sale.auth.mobile, sale.auth.by_api) {
        (Some(_), _) => "mobile",
        (None, true) => "api",
        (None, false) => "pc",
    };
    Some(json!({
        "tid": sale.tid, "mid": sale.auth.mid, "oid": sale.auth.oid, "issued_by": by,
        "bank": account.bank, "number": account.number, "holder": account.holder, "due": account.due,
        "price": sale.auth.price, "held": sale.remaining, "state": sale.state, "open": open(sale),
        "deposits": sale.deposits,
    }))
}

#[derive(Deserialize)]
struct Deposit {
    #[serde(flatten)]
    target: Target,
    amount: Option<u64>,
    #[serde(default)]
    depositor: String,
    #[serde(default)]
    bank: String,
    at_ms: Option<i64>,
    #[serde(default)]
    notice: Value,
}

async fn pay_in(State(sim): State<Shared>, Json(call): Json<Deposit>) -> Response {
    let Deposit { target, amount, depositor, bank, at_ms, notice } = call;
    let at = at_ms.unwrap_or_else(|| sim.clock.now_ms());
    let paying = Paying { amount, depositor, bank, at };
    let booked = sim.ledger.book(|book| {
        let dress = dress(&sim, book, &notice);
        split(dress.and_then(|dress| deposit(&sim, book, &target, &paying, &dress)))
    });
    answer(booked.await)
}

#[derive(Deserialize)]
struct TakeBack {
    #[serde(flatten)]
    target: Target,
    #[serde(default)]
    deposit_tid: String,
    at_ms: Option<i64>,
    #[serde(default)]
    notice: Value,
}

async fn take_back(State(sim): State<Shared>, Json(call): Json<TakeBack>) -> Response {
    let at = call.at_ms.unwrap_or_else(|| sim.clock.now_ms());
    let booked = sim.ledger.book(|book| {
        let dress = dress(&sim, book, &call.notice);
        split(dress.and_then(|dress| cancel_deposit(&sim, book, &call.target, &call.deposit_tid, at, &dress)))
    });
    answer(booked.await)
}

/// Events apart from what is answered.
pub fn split<T>(decided: Result<(Vec<Event>, T), Refusal>) -> (Vec<Event>, Result<T, Refusal>) {
    match decided {
        Ok((events, done)) => (events, Ok(done)),
        Err(refusal) => (Vec::new(), Err(refusal)),
    }
}

fn answer(booked: Result<Result<Booked, Refusal>, LedgerError>) -> Response {
    match booked {
        Ok(Ok(booked)) => Json(json!({
            "price": booked.amount, "tid": booked.tid, "deposit_tid": booked.deposit_tid,
            "notices": booked.notices,
        }))
        .into_response(),
        Ok(Err(refusal)) => refused(&refusal),
        Err(error) => failed(&error),
    }
}
