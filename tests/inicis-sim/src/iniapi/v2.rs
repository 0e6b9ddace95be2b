//! Invariant: a v2 call is JSON; its hash covers `data` re-serialised in the order in which the keys came
//! (`reference/inicis.md` §5.3).

use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::Value;

use super::account;
use super::inquiry::{self, Question, Version};
use super::refund::{self, Order, Part};
use super::{envelope, tid_length};
use crate::fault::{Kind, Operation, exchange, forced};
use crate::form::is_json;
use crate::hash;
use crate::refusal::Refusal;
use crate::sim::{Shared, Sim};
use crate::stdpay::request::{known_merchant, same_hash};

/// `/v2/pg/refund` and `/v2/pg/partialRefund`, and the same with `/vacct`, where a deposit goes back to an account.
pub async fn cancel(
    State(sim): State<Shared>,
    headers: HeaderMap,
    body: Bytes,
    operation: Operation,
    to_account: bool,
) -> Response {
    let sim = &sim;
    let call = read(&headers, &body);
    let (mid, tid) = subject(&call, "tid");
    let order = call.and_then(|call| order(sim, &call, operation, to_account));
    let oid = sim.ledger.peek(|book| book.by_tid(&tid).map(|sale| sale.auth.oid.clone()));
    let fault = sim.faults.take(operation, oid.as_deref());
    let decline = forced(fault.as_ref());
    exchange(fault, refund::refund(sim, operation, &mid, order, decline.as_deref())).await
}

/// `/v2/pg/inquiry`
pub async fn inquiry(State(sim): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    let call = read(&headers, &body);
    let (mid, tid) = subject(&call, "tid");
    let (_, asked) = subject(&call, "oid");
    let question = call.and_then(|call| question(&sim, &call));
    let oid = sim.ledger.peek(|book| book.by_tid(&tid).map(|sale| sale.auth.oid.clone())).unwrap_or(asked);
    let fault = sim.faults.take(Operation::Inquiry, Some(&oid));
    let blind = fault == Some(Kind::NotFound);
    exchange(fault, inquiry::inquire(&sim, Version::V2, &mid, question, blind)).await
}

/// Inquiry by order id needs the contract (§6.1). INICIS's answer without it is not documented.
pub fn oid_contract(sim: &Sim, mid: &str) -> Result<(), Refusal> {
    if sim.merchants.get(mid).is_some_and(|merchant| merchant.inquiry_by_oid) {
        return Ok(());
    }
    Err(Refusal::new("SIM:OID", "주문번호 조회 계약이 없는 가맹점입니다"))
}

struct Call {
    mid: String,
    kind: String,
    timestamp: String,
    client_ip: String,
    hash_data: String,
    data: Value,
}

impl Call {
    /// A text of `data`; INICIS's numbers are strings and so must the merchant's be.
    fn text(&self, name: &str) -> Result<&str, Refusal> {
        match self.data.get(name) {
            None => Ok(""),
            Some(Value::String(text)) => Ok(text),
            Some(_) => Err(Refusal::new("SIM:FIELD", format!("data.{name}: 문자열이어야 합니다"))),
        }
    }
}

fn subject(call: &Result<Call, Refusal>, name: &str) -> (String, String) {
    call.as_ref().map_or_else(
        |_| (String::new(), String::new()),
        |call| (call.mid.clone(), call.text(name).unwrap_or_default().to_owned()),
    )
}

fn read(headers: &HeaderMap, body: &[u8]) -> Result<Call, Refusal> {
    if !is_json(headers) {
        return Err(Refusal::new("SIM:TYPE", "v2 는 application/json 만 받습니다"));
    }
    let json: Value = serde_json::from_slice(body)
        .map_err(|error| Refusal::new("SIM:JSON", format!("JSON 오류: {error}")))?;
    let text = |name: &str| match json.get(name) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
        _ => Err(Refusal::new("SIM:FIELD", format!("{name}: 필수 문자열이 없습니다"))),
    };
    let data = json.get("data").filter(|data| data.is_object()).cloned();
    Ok(Call {
        mid: text("mid")?,
        kind: text("type")?,
        timestamp: text("timestamp")?,
        client_ip: text("clientIp")?,
        // An empty hash has a code of its own (633).
        hash_data: json.get("hashData").and_then(Value::as_str).unwrap_or_default().to_owned(),
        data: data.ok_or_else(|| Refusal::new("SIM:FIELD", "data: 객체여야 합니다"))?,
    })
}

fn verify(sim: &Sim, call: &Call, kind: &str) -> Result<(), Refusal> {
    if call.kind != kind {
        return Err(Refusal::new("SIM:FIELD", format!("type: {kind} 이어야 합니다")));
    }
    let merchant = known_merchant(sim, &call.mid)?;
    let expected = hash::iniapi_v2(&merchant.iniapi_key, &call.mid, kind, &call.timestamp, &call.data);
    same_hash("hashData", &call.hash_data, &expected)?;
    envelope(sim, &call.mid, kind, &call.timestamp, &call.client_ip)
}

fn order(sim: &Sim, call: &Call, operation: Operation, to_account: bool) -> Result<Order, Refusal> {
    let partial = operation == Operation::PartialRefund;
    verify(sim, call, if partial { "partialRefund" } else { "refund" })?;
    let text = |name: &str| call.text(name).map(str::to_owned);
    let part = if partial {
        let (lower, upper) = (text("taxfree")?, text("taxFree")?);
        Some(Part {
            price: text("price")?,
            confirm_price: text("confirmPrice")?,
            currency: text("currency")?,
            tax: text("tax")?,
            taxfree: if lower.is_empty() { upper } else { lower },
        })
    } else {
        None
    };
    let account = if to_account {
        let merchant = known_merchant(sim, &call.mid)?;
        let (bank, holder) = (text("refundBankCode")?, text("refundAcctName")?);
        Some(account::read(merchant, &text("refundAcctNum")?, &bank, &holder)?)
    } else {
        None
    };
    Ok(Order { mid: call.mid.clone(), tid: text("tid")?, msg: text("msg")?, paymethod: None, part, account })
}

fn question(sim: &Sim, call: &Call) -> Result<Question, Refusal> {
    verify(sim, call, "inquiry")?;
    let (tid, oid) = (call.text("tid")?.to_owned(), call.text("oid")?.to_owned());
    match (tid.is_empty(), oid.is_empty()) {
        (false, true) => tid_length(&tid)?,
        (true, false) => oid_contract(sim, &call.mid)?,
        (true, true) | (false, false) => {
            return Err(Refusal::new("SIM:FIELD", "data: tid 또는 oid 중 하나여야 합니다"));
        }
    }
    Ok(Question { mid: call.mid.clone(), tid, oid })
}
