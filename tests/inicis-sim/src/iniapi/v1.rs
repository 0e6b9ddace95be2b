//! Invariant: a v1 call is a form; its hash covers the values in the order of the table in `reference/inicis.md` §5.1.

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;

use super::account;
use super::inquiry::{self, Question, Version};
use super::refund::{self, Order, Part};
use super::{currency, envelope, tid_length};
use crate::fault::{Kind, Operation, exchange, forced};
use crate::form::{Fields, is_form};
use crate::hash;
use crate::refusal::Refusal;
use crate::sim::{Shared, Sim};
use crate::stdpay::request::{known_merchant, same_hash};

/// `/api/v1/refund`, full and partial.
pub async fn refund(State(sim): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    let fields = Fields::parse(&body);
    let operation = match fields.get("type") {
        "PartialRefund" => Operation::PartialRefund,
        _ => Operation::Refund,
    };
    let order = form_only(&headers).and_then(|()| read_refund(&sim, &fields));
    let oid = sim.ledger.peek(|book| book.by_tid(fields.get("tid")).map(|sale| sale.auth.oid.clone()));
    let fault = sim.faults.take(operation, oid.as_deref());
    let decline = forced(fault.as_ref());
    exchange(fault, refund::refund(&sim, operation, fields.get("mid"), order, decline.as_deref())).await
}

/// `/api/v1/extra`, the inquiry. Clients that send the fields in the query of the POST exist (§6.1).
pub async fn extra(
    State(sim): State<Shared>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let in_query = body.is_empty();
    let fields =
        if in_query { Fields::parse(query.unwrap_or_default().as_bytes()) } else { Fields::parse(&body) };
    let form = if in_query { Ok(()) } else { form_only(&headers) };
    let question = form.and_then(|()| read_inquiry(&sim, &fields));
    let oid =
        sim.ledger.peek(|book| book.by_tid(fields.get("originalTid")).map(|sale| sale.auth.oid.clone()));
    let oid = oid.unwrap_or_else(|| fields.get("oid").to_owned());
    let fault = sim.faults.take(Operation::Inquiry, Some(&oid));
    let blind = fault == Some(Kind::NotFound);
    exchange(fault, inquiry::inquire(&sim, Version::V1, fields.get("mid"), question, blind)).await
}

/// v1 takes forms only (§5.1).
pub fn form_only(headers: &HeaderMap) -> Result<(), Refusal> {
    if is_form(headers) {
        return Ok(());
    }
    Err(Refusal::new("SIM:TYPE", "v1 은 application/x-www-form-urlencoded 만 받습니다"))
}

const COMMON: &[&str] = &["type", "paymethod", "timestamp", "clientIp", "mid"];

/// The fields that every v1 call has.
pub fn common(sim: &Sim, fields: &Fields) -> Result<(), Refusal> {
    fields.refuse_twins()?;
    fields.require(COMMON)?;
    let (mid, kind) = (fields.get("mid"), fields.get("type"));
    envelope(sim, mid, kind, fields.get("timestamp"), fields.get("clientIp"))
}

/// The hash over the common values and the named ones.
pub fn hashed(sim: &Sim, fields: &Fields, more: &[&str]) -> Result<(), Refusal> {
    let merchant = known_merchant(sim, fields.get("mid"))?;
    let values: Vec<&str> = COMMON.iter().chain(more).map(|name| fields.get(name)).collect();
    same_hash("hashData", fields.get("hashData"), &hash::iniapi_v1(&merchant.iniapi_key, &values))
}

/// The amounts and the account of a refund, hashed as the table of §5.1 says.
fn read_refund(sim: &Sim, fields: &Fields) -> Result<Order, Refusal> {
    common(sim, fields)?;
    let partial = match fields.get("type") {
        "Refund" => false,
        "PartialRefund" => true,
        _ => return Err(Refusal::new("SIM:FIELD", "type: Refund 또는 PartialRefund 여야 합니다")),
    };
    if fields.get("paymethod") == "Receipt" {
        return Err(Refusal::new("SIM:LATER", "현금영수증 취소는 시뮬레이터가 아직 지원하지 않습니다"));
    }
    let to_account = fields.get("paymethod") == "Vacct";
    let mut names = vec!["tid"];
    names.extend(partial.then_some(["price", "confirmPrice"]).into_iter().flatten());
    names.extend(to_account.then_some("refundAcctNum"));
    hashed(sim, fields, &names)?;
    let text = |name: &str| fields.get(name).to_owned();
    let part = if partial {
        fields.require(&["price", "confirmPrice"])?;
        Some(Part {
            price: text("price"),
            confirm_price: text("confirmPrice"),
            currency: currency(sim, fields.get("mid"), fields)?,
            tax: text("tax"),
            taxfree: text("taxFree"),
        })
    } else {
        None
    };
    let account = if to_account {
        let merchant = known_merchant(sim, fields.get("mid"))?;
        let (bank, holder) = (fields.get("refundBankCode"), fields.get("refundAcctName"));
        Some(account::read(merchant, fields.get("refundAcctNum"), bank, holder)?)
    } else {
        None
    };
    Ok(Order {
        mid: text("mid"),
        tid: text("tid"),
        msg: text("msg"),
        paymethod: Some(text("paymethod")),
        part,
        account,
    })
}

fn read_inquiry(sim: &Sim, fields: &Fields) -> Result<Question, Refusal> {
    common(sim, fields)?;
    hashed(sim, fields, &[])?;
    if fields.get("type") != "Extra" || fields.get("paymethod") != "Inquiry" {
        return Err(Refusal::new("SIM:FIELD", "type=Extra, paymethod=Inquiry 여야 합니다"));
    }
    let question = Question {
        mid: fields.get("mid").to_owned(),
        tid: fields.get("originalTid").to_owned(),
        oid: fields.get("oid").to_owned(),
    };
    if !question.tid.is_empty() {
        tid_length(&question.tid)?;
        return Ok(question);
    }
    if question.oid.is_empty() {
        return Err(Refusal::new("SIM:FIELD", "originalTid 또는 oid 가 필요합니다"));
    }
    if sim.settings.v1_inquiry_by_oid_needs_contract {
        super::v2::oid_contract(sim, &question.mid)?;
    }
    Ok(question)
}
