//! Invariant: the bank's page shows accounts newest first and does only what the control API does.

use askama::Template;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use serde::Deserialize;

use super::control::{open, split};
use super::{Paying, Target, cancel_deposit, deposit, settings};
use crate::clock::kst14;
use crate::codes;
use crate::control::failed;
use crate::form::Fields;
use crate::ledger::{Book, Deposit, LedgerError, Sale};
use crate::refusal::Refusal;
use crate::sim::{Shared, Sim};
use crate::stdpay::pages::{html, money};
use crate::view::readable;

/// Most accounts on the page.
const ON_PAGE: usize = 50;

/// Routes of the page.
pub fn router() -> Router<Shared> {
    Router::new()
        .route("/_sim/bank", get(page))
        .route("/_sim/bank/deposit", post(pay_in))
        .route("/_sim/bank/cancel", post(take_back))
}

struct Paid {
    tid: String,
    amount: String,
    depositor: String,
    at: String,
    cancelled: bool,
}

struct Account {
    tid: String,
    mid: String,
    oid: String,
    bank: &'static str,
    number: String,
    holder: String,
    due: String,
    late: bool,
    price: String,
    amount: u64,
    held: String,
    depositor: String,
    open: bool,
    told: bool,
    deposits: Vec<Paid>,
}

#[derive(Template)]
#[template(path = "bank.html")]
struct BankPage {
    oid: String,
    message: String,
    accounts: Vec<Account>,
    banks: &'static [(&'static str, &'static str)],
}

#[derive(Deserialize)]
struct PageQuery {
    #[serde(default)]
    oid: String,
    #[serde(default)]
    message: String,
}

/// `2026-01-02 23:59` of a time.
pub fn moment(ms: i64) -> String {
    readable(kst14(ms).get(..12).unwrap_or_default())
}

fn account(sim: &Sim, book: &Book, sale: &Sale) -> Option<Account> {
    let account = sale.account.as_ref()?;
    let paid = |deposit: &Deposit| Paid {
        tid: deposit.tid.clone(),
        amount: money(deposit.amount, "WON"),
        depositor: deposit.depositor.clone(),
        at: moment(deposit.at),
        cancelled: deposit.cancelled_at.is_some(),
    };
    let own = &sale.auth.means.depositor;
    let told = sale.auth.mobile.is_some() || settings(sim, book).urls.contains_key(&sale.auth.mid);
    Some(Account {
        tid: sale.tid.clone().unwrap_or_default(),
        mid: sale.auth.mid.clone(),
        oid: sale.auth.oid.clone(),
        bank: codes::bank_name(&account.bank),
        number: account.number.clone(),
        holder: account.holder.clone(),
        due: readable(&account.due),
        late: kst14(sim.clock.now_ms()).get(..12).is_some_and(|now| now > account.due.as_str()),
        price: money(sale.auth.price, "WON"),
        amount: sale.auth.price,
        held: money(sale.remaining, "WON"),
        depositor: if own.is_empty() { sale.auth.buyername.clone() } else { own.clone() },
        open: open(sale),
        told,
        deposits: sale.deposits.iter().map(paid).collect(),
    })
}

async fn page(State(sim): State<Shared>, Query(query): Query<PageQuery>) -> Response {
    let accounts = sim.ledger.peek(|book| {
        let wanted = |sale: &&Sale| query.oid.is_empty() || query.oid == sale.auth.oid;
        let listed = book.sales().iter().rev().filter(wanted);
        listed.filter_map(|sale| account(&sim, book, sale)).take(ON_PAGE).collect()
    });
    html(&BankPage { oid: query.oid, message: query.message, accounts, banks: codes::BANKS })
}

async fn pay_in(State(sim): State<Shared>, body: Bytes) -> Response {
    let fields = Fields::parse(&body);
    let target = Target { tid: fields.get("tid").to_owned(), ..Target::default() };
    let amount = fields.get("amount").replace(',', "");
    let paying = Paying {
        amount: Some(amount.parse().unwrap_or_default()),
        depositor: fields.get("depositor").to_owned(),
        bank: fields.get("bank").to_owned(),
        at: sim.clock.now_ms(),
    };
    let booked = sim.ledger.book(|book| {
        let dress = settings(&sim, book).notice;
        split(deposit(&sim, book, &target, &paying, &dress))
    });
    back(&fields, booked.await.map(|done| done.map(|_| "입금했습니다")))
}

async fn take_back(State(sim): State<Shared>, body: Bytes) -> Response {
    let fields = Fields::parse(&body);
    let at = sim.clock.now_ms();
    let booked = sim.ledger.book(|book| {
        let dress = settings(&sim, book).notice;
        split(cancel_deposit(&sim, book, &Target::default(), fields.get("deposit_tid"), at, &dress))
    });
    back(&fields, booked.await.map(|done| done.map(|_| "입금을 취소했습니다")))
}

/// Back to the page, so that a reload does not pay again.
fn back(fields: &Fields, done: Result<Result<&str, Refusal>, LedgerError>) -> Response {
    let message = match done {
        Ok(Ok(text)) => text.to_owned(),
        Ok(Err(refusal)) => refusal.message,
        Err(error) => return failed(&error),
    };
    let mut query = form_urlencoded::Serializer::new(String::new());
    if !fields.get("oid").is_empty() {
        query.append_pair("oid", fields.get("oid"));
    }
    query.append_pair("message", &message);
    Redirect::to(&format!("/_sim/bank?{}", query.finish())).into_response()
}
