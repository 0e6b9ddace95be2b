//! Invariant: `/_sim/` exists only on the browser listener; it observes, arms faults and plays the person in the
//! window, the bank and the gateway's admin, and it never books anything that one of them or a merchant could not.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, patch, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::fault::Fault;
use crate::ledger::LedgerError;
use crate::older::Profile;
use crate::sim::Shared;
use crate::stdpay::pages;
use crate::{notice, play, vbank};

/// Kinds of faults that the page offers.
const KINDS: &[&str] = &[
    "drop_before",
    "drop_after",
    "slow",
    "decline",
    "not_found",
    "wrong_amount",
    "wrong_order",
    "wrong_mid",
    "wrong_signature",
    "truncated",
    "cut_off",
    "html",
    "empty",
    "garbage",
    "drip",
    "huge",
    "http_500",
    "wrong_charset",
    "missing_field",
    "doubled_field",
    "other_value",
    "empty_text",
    "wrong_host",
];

/// Most sales on the page.
const ON_PAGE: usize = 50;

struct Row {
    mid: String,
    oid: String,
    tid: String,
    price: String,
    remaining: String,
    state: String,
    cancels: usize,
}

#[derive(Template)]
#[template(path = "control.html")]
struct ControlPage {
    total: usize,
    sales: Vec<Row>,
    faults: Vec<(u64, String, String, String, String, u64)>,
    kinds: &'static [&'static str],
}

/// Page and API for people and tests.
pub fn router(sim: Shared) -> Router {
    Router::new()
        .route("/_sim/", get(page))
        .route("/_sim/ledger", get(ledger))
        .route("/_sim/events", get(events))
        .route("/_sim/reset", post(reset))
        .route("/_sim/clock", post(clock))
        .route("/_sim/faults", get(faults).post(arm).delete(disarm))
        .route("/_sim/merchants", get(merchants))
        .route("/_sim/merchants/{mid}", patch(judge))
        .route("/_sim/warnings", get(warnings))
        .route("/_sim/window", post(play::window))
        .merge(vbank::control::router())
        .merge(vbank::pages::router())
        .merge(notice::control::router())
        .merge(notice::pages::router())
        .route("/_sim/cancel", post(play::cancel))
        .with_state(sim)
}

/// The ledger could not be written or read.
pub fn failed(error: &LedgerError) -> Response {
    (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response()
}

/// The word that serde writes for a value.
fn word(value: impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(text)) => text,
        Ok(other) => other.to_string(),
        Err(_) => String::new(),
    }
}

async fn page(State(sim): State<Shared>) -> Response {
    let (total, sales) = sim.ledger.peek(|book| {
        let row = |sale: &crate::ledger::Sale| Row {
            mid: sale.auth.mid.clone(),
            oid: sale.auth.oid.clone(),
            tid: sale.tid.clone().unwrap_or_default(),
            price: pages::money(sale.auth.price, &sale.auth.currency),
            remaining: pages::money(sale.remaining, &sale.auth.currency),
            state: word(sale.state),
            cancels: sale.cancels.len(),
        };
        (book.sales().len(), book.sales().iter().rev().take(ON_PAGE).map(row).collect())
    });
    let faults = sim.faults.list().into_iter().map(|fault| {
        let kind = serde_json::to_string(&fault.kind).unwrap_or_default();
        let oid = fault.oid.unwrap_or_else(|| "*".to_owned());
        (fault.id, word(fault.operation), kind, oid, word(fault.times), fault.hits)
    });
    pages::html(&ControlPage { total, sales, faults: faults.collect(), kinds: KINDS })
}

#[derive(Deserialize)]
struct LedgerQuery {
    oid: Option<String>,
}

async fn ledger(State(sim): State<Shared>, Query(query): Query<LedgerQuery>) -> Response {
    let sales = sim.ledger.read(|book| {
        let wanted = |sale: &&crate::ledger::Sale| query.oid.as_ref().is_none_or(|oid| *oid == sale.auth.oid);
        json!({"sales": book.sales().iter().filter(wanted).collect::<Vec<_>>()})
    });
    match sales.await {
        Ok(sales) => Json(sales).into_response(),
        Err(error) => failed(&error),
    }
}

async fn events(State(sim): State<Shared>) -> Response {
    match sim.ledger.events().await {
        Ok(events) => Json(json!({ "events": events })).into_response(),
        Err(error) => failed(&error),
    }
}

async fn reset(State(sim): State<Shared>) -> Response {
    match sim.reset().await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => failed(&error),
    }
}

#[derive(Deserialize)]
struct ClockMove {
    advance_ms: i64,
}

async fn clock(State(sim): State<Shared>, Json(step): Json<ClockMove>) -> Json<Value> {
    sim.clock.advance_ms(step.advance_ms);
    Json(json!({"now_ms": sim.clock.now_ms()}))
}

async fn merchants(State(sim): State<Shared>) -> Json<Value> {
    let one = |mid: &str| json!({"mid": mid, "profile": sim.profile(mid)});
    Json(json!({"merchants": sim.merchants.ids().map(one).collect::<Vec<_>>()}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Judged {
    profile: Option<Profile>,
}

async fn judge(State(sim): State<Shared>, Path(mid): Path<String>, Json(judged): Json<Judged>) -> Response {
    if sim.merchants.get(&mid).is_none() {
        return (StatusCode::NOT_FOUND, "there is no such merchant").into_response();
    }
    sim.older.set(&mid, judged.profile);
    Json(json!({"mid": mid, "profile": sim.profile(&mid)})).into_response()
}

#[derive(Deserialize)]
struct WarningsQuery {
    mid: Option<String>,
}

async fn warnings(State(sim): State<Shared>, Query(query): Query<WarningsQuery>) -> Json<Value> {
    Json(json!({"warnings": sim.older.warnings(query.mid.as_deref())}))
}

async fn faults(State(sim): State<Shared>) -> Json<Value> {
    Json(json!({"faults": sim.faults.list()}))
}

async fn arm(State(sim): State<Shared>, Json(fault): Json<Fault>) -> Response {
    match sim.faults.arm(fault) {
        Some(id) => (StatusCode::CREATED, Json(json!({ "id": id }))).into_response(),
        None => (StatusCode::BAD_REQUEST, "this fault does not fit this operation").into_response(),
    }
}

async fn disarm(State(sim): State<Shared>) -> StatusCode {
    sim.faults.clear();
    StatusCode::NO_CONTENT
}
