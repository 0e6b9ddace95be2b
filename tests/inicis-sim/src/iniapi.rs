//! Invariant: v1 takes forms and v2 takes JSON, never the other way round; both lead to the same refund and inquiry,
//! so that a rule about money exists once (`reference/inicis.md` §5, §6.1).

mod account;
mod formpay;
mod inquiry;
pub mod refund;
mod v1;
mod v2;

use std::net::Ipv4Addr;

use axum::Router;
use axum::http::Uri;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Map, Value, json};

use crate::clock::parse_kst14;
use crate::fault::Operation;
use crate::form::Fields;
use crate::refusal::Refusal;
use crate::sim::{Shared, Sim};
use crate::stdpay::rules::digits;

/// The paths of iniapi and stginiapi.
pub fn router(sim: Shared, host: &'static str) -> Router {
    let cancel = |operation, to_account| {
        post(move |sim, headers, body| v2::cancel(sim, headers, body, operation, to_account))
    };
    Router::new()
        .route("/api/v1/refund", post(v1::refund))
        .route("/api/v1/extra", post(v1::extra))
        .route("/api/v1/formpay", post(formpay::formpay))
        .route("/v2/pg/refund", cancel(Operation::Refund, false))
        .route("/v2/pg/refund/vacct", cancel(Operation::Refund, true))
        .route("/v2/pg/partialRefund", cancel(Operation::PartialRefund, false))
        .route("/v2/pg/partialRefund/vacct", cancel(Operation::PartialRefund, true))
        .route("/v2/pg/inquiry", post(v2::inquiry))
        .fallback(move |uri: Uri| async move { wrong_path(host, &uri) })
        .method_not_allowed_fallback(move |uri: Uri| async move { wrong_path(host, &uri) })
        .with_state(sim)
}

/// A wrong path answers with the URL text in place of a result (§5.1, §9.26).
fn wrong_path(host: &str, uri: &Uri) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; charset=UTF-8")], format!("https://{host}{}", uri.path()))
        .into_response()
}

/// 14 digits in Korea in the window, and an IPv4 address (§9.27).
fn envelope(sim: &Sim, mid: &str, kind: &str, timestamp: &str, client_ip: &str) -> Result<(), Refusal> {
    let at = parse_kst14(timestamp)
        .ok_or_else(|| Refusal::new("SIM:TIME", "timestamp: YYYYMMDDhhmmss 14자리여야 합니다"))?;
    if !sim.settings.in_window(at, sim.clock.now_ms()) {
        return Err(Refusal::new("SIM:TIME", "timestamp: 현재 한국 시각과 차이가 너무 큽니다"));
    }
    if client_ip.parse::<Ipv4Addr>().is_err() {
        let refusal = Refusal::new("SIM:IP", "clientIp: IPv4 주소여야 합니다");
        // The official samples send 111.222.333.889.
        let parts: Vec<&str> = client_ip.split('.').collect();
        if parts.len() != 4 || !parts.iter().all(|part| digits(part) && part.len() <= 3) {
            return Err(refusal);
        }
        sim.unless_older(mid, refusal)?;
    }
    if sim.settings.refuse_duplicate_timestamp && !sim.first_use(mid, kind, timestamp) {
        return Err(Refusal::coded("500631", "timestamp"));
    }
    Ok(())
}

/// The currency of a v1 call. Older clients leave it out and mean won (gnuboard5, official samples).
fn currency(sim: &Sim, mid: &str, fields: &Fields) -> Result<String, Refusal> {
    match fields.require(&["currency"]) {
        Ok(()) => Ok(fields.get("currency").to_owned()),
        Err(missing) => sim.unless_older(mid, missing).map(|()| "WON".to_owned()),
    }
}

/// 40 characters (636).
fn tid_length(tid: &str) -> Result<(), Refusal> {
    if tid.len() == 40 { Ok(()) } else { Err(Refusal::coded("500636", "tid")) }
}

/// A failure: resultCode `01`, the six digits in detailResultCode (§5.2, captured for the v1 refund; assumed for v2 and
/// for inquiries). Labels of the simulator's stand in the text, because INICIS's parameter codes are unknown (§11).
fn failure(refusal: &Refusal) -> Map<String, Value> {
    let (detail, text) = if refusal.is_label() {
        (String::new(), refusal.to_string())
    } else {
        (refusal.code.clone(), refusal.message.clone())
    };
    let mut answer = Map::new();
    answer.insert("resultCode".to_owned(), json!("01"));
    answer.insert("resultMsg".to_owned(), json!(text));
    answer.insert("detailResultCode".to_owned(), json!(detail));
    answer
}

/// An amount in a refund: digits (609).
fn amount(name: &str, text: &str) -> Result<u64, Refusal> {
    if !digits(text) {
        return Err(Refusal::coded("500609", name));
    }
    text.parse().map_err(|_| Refusal::coded("500826", name))
}
