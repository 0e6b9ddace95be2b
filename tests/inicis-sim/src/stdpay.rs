//! Invariant: stdpay.inicis.com serves the script and the window, fc/ks/stg serve approval and net cancel; a path
//! answers only under its own host.

pub mod accept;
pub mod approval;
pub mod fields;
pub mod net_cancel;
pub mod pages;
pub mod request;
pub mod rules;
pub mod window;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use crate::answer::object;
use crate::fault::{Operation, exchange};
use crate::form::{Fields, is_form};
use crate::refusal::Refusal;
use crate::sim::{Shared, Sim};

/// Script and window pages.
pub fn pages_router(sim: Shared) -> Router {
    let script = |text: &'static str| {
        get(move || async move { ([(header::CONTENT_TYPE, "text/javascript; charset=UTF-8")], text) })
    };
    Router::new()
        .route("/stdjs/INIStdPay.js", script(include_str!("../assets/INIStdPay.js")))
        .route("/stdjs/INIStdPay_close.js", script(include_str!("../assets/INIStdPay_close.js")))
        .route("/payMain/pay", post(pages::pay))
        .route("/payMain/sim/choose", post(pages::choose))
        .with_state(sim)
}

/// Approval and net cancel of one data centre.
pub fn api_router(sim: Shared, idc: &'static str) -> Router {
    Router::new()
        .route(
            "/api/payAuth",
            post(move |state, headers, body| call(state, headers, body, idc, Operation::PayAuth)),
        )
        .route(
            "/api/netCancel",
            post(move |state, headers, body| call(state, headers, body, idc, Operation::NetCancel)),
        )
        .with_state(sim)
}

async fn call(
    State(sim): State<Shared>,
    headers: HeaderMap,
    body: Bytes,
    idc: &'static str,
    operation: Operation,
) -> Response {
    if !is_form(&headers) {
        return not_a_form(&sim, operation).await;
    }
    let fields = Fields::parse(&body);
    let oid =
        sim.ledger.peek(|book| book.by_token(fields.get("authToken")).map(|sale| sale.auth.oid.clone()));
    let fault = sim.faults.take(operation, oid.as_deref());
    let forced = crate::fault::forced(fault.as_ref());
    if operation == Operation::PayAuth {
        exchange(fault, approval::approve(&sim, &fields, idc, forced.as_deref())).await
    } else {
        exchange(fault, net_cancel::net_cancel(&sim, &fields, idc, forced.as_deref())).await
    }
}

async fn not_a_form(sim: &Sim, operation: Operation) -> Response {
    let refusal = Refusal::new("SIM:TYPE", "application/x-www-form-urlencoded 만 받습니다");
    let answer = object([("resultCode", refusal.code.clone()), ("resultMsg", refusal.message.clone())]);
    let answer = crate::answer::Answer::json(answer);
    let event = sim.refused(operation.name(), "", "", &refusal);
    exchange(None, async { sim.ledger.note(event).await.map(|()| answer) }).await.into_response()
}
