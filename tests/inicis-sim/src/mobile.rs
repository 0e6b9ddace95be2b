//! Invariant: mobile.inicis.com serves the window, fc/ks/stgmobile serve approval and net cancel
//! (`reference/inicis.md` §2); a path answers only under its own host.

mod approval;
mod fields;
mod net_cancel;
pub mod pages;
pub mod request;
mod reserved;
pub mod window;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::post;

use crate::answer::{Answer, Format, object};
use crate::fault::{Operation, exchange, forced};
use crate::form::{Charset, Fields, multipart};
use crate::ledger::Sale;
use crate::refusal::Refusal;
use crate::sim::{Shared, Sim};

/// The window of a phone.
pub fn pages_router(sim: Shared) -> Router {
    Router::new()
        .route("/smart/payment/", post(pages::pay))
        .route("/smart/{entry}", post(pages::older))
        .route("/smart/{entry}/", post(pages::older))
        .route("/smart/sim/choose", post(pages::choose))
        .with_state(sim)
}

/// Approval and net cancel of one data centre.
pub fn api_router(sim: Shared, idc: &'static str) -> Router {
    Router::new()
        .route(
            "/smart/payReq.ini",
            post(move |state, query, headers, body| {
                call(state, query, headers, body, idc, Operation::MobileApprove)
            }),
        )
        .route(
            "/smart/payNetCancel.ini",
            post(move |state, query, headers, body| {
                call(state, query, headers, body, idc, Operation::MobileNetCancel)
            }),
        )
        .with_state(sim)
}

async fn call(
    State(sim): State<Shared>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
    idc: &'static str,
    operation: Operation,
) -> Response {
    let fields = tolerant(query.as_deref(), &headers, &body);
    let tid = fields.get("P_TID");
    let oid = sim.ledger.peek(|book| book.by_token(tid).map(|sale| sale.auth.oid.clone()));
    let fault = sim.faults.take(operation, oid.as_deref());
    let decline = forced(fault.as_ref());
    if operation == Operation::MobileApprove {
        exchange(fault, approval::approve(&sim, &fields, idc, decline.as_deref())).await
    } else {
        exchange(fault, net_cancel::net_cancel(&sim, &fields, idc, decline.as_deref())).await
    }
}

/// A form, multipart (GB5's PHP client), or values in the query (§2.5). All values of these calls are ASCII.
fn tolerant(query: Option<&str>, headers: &HeaderMap, body: &[u8]) -> Fields {
    let mut fields = multipart(headers, body).unwrap_or_else(|| Fields::parse(body));
    for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        fields.push(&name, &value);
    }
    fields
}

/// The sale of a phone by its authentication id.
fn phone_sale<'a>(book: &'a crate::ledger::Book, tid: &str) -> Option<&'a Sale> {
    book.by_token(tid).filter(|sale| sale.auth.mobile.is_some())
}

/// P_TID and P_MID are there and belong together; the texts are documented (§2.5).
fn pair<'a>(sale: Option<&'a Sale>, fields: &Fields) -> Result<&'a Sale, Refusal> {
    if fields.get("P_TID").is_empty() || fields.get("P_MID").is_empty() {
        return Err(Refusal::new("01", "필수값이 누락되었습니다 (P_TID, P_MID)"));
    }
    sale.filter(|sale| sale.auth.mid == fields.get("P_MID"))
        .ok_or_else(|| Refusal::new("01", "MID 와 TID 가 일치하지 않습니다"))
}

fn right_idc(sim: &Sim, sale: &Sale, idc: &str) -> Result<(), Refusal> {
    if sim.settings.token_bound_to_idc && sale.auth.idc != idc {
        let text = format!("{} 에서 인증한 거래를 {idc} 로 보냈습니다", sale.auth.idc);
        return Err(Refusal::new("SIM:IDC", text));
    }
    Ok(())
}

/// A text answer (§2.5). What was refused has P_STATUS 01, and its code, if it has one, in the text.
fn answer(
    sim: &Sim,
    sale: Option<&Sale>,
    outcome: Result<serde_json::Map<String, serde_json::Value>, Refusal>,
) -> Answer {
    let utf8 = sale.and_then(|sale| sale.auth.mobile.as_ref()).is_some_and(|order| order.utf8);
    let fields = outcome.unwrap_or_else(|refusal| {
        let text = if refusal.code == "01" { refusal.message } else { refusal.to_string() };
        object([("P_STATUS", "01".to_owned()), ("P_RMESG1", text)])
    });
    let charset = if utf8 { Charset::Utf8 } else { Charset::EucKr };
    let format = if sim.settings.mobile_answer_url_encoded { Format::EncodedText } else { Format::Text };
    Answer { fields, format, charset, tstamp: None }
}
