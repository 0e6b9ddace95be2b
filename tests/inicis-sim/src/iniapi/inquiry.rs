//! Invariant: an inquiry tells what is durable in the ledger and changes nothing.

use serde_json::{Map, Value, json};

use super::failure;
use crate::answer::{Answer, object};
use crate::clock::kst_date_time;
use crate::fault::Operation;
use crate::ledger::{Book, LedgerError, Sale, SaleState};
use crate::refusal::Refusal;
use crate::sim::Sim;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Question {
    /// Merchant.
    pub mid: String,
    /// Transaction, or empty.
    pub tid: String,
    /// Order number, or empty.
    pub oid: String,
}

/// The two shapes of §6.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// `/api/v1/extra`
    V1,
    /// `/v2/pg/inquiry`
    V2,
}

/// Answers an inquiry.
///
/// # Errors
/// What it would tell of could not be written.
pub async fn inquire(
    sim: &Sim,
    version: Version,
    mid: &str,
    question: Result<Question, Refusal>,
    blind: bool,
) -> Result<Answer, LedgerError> {
    let answer = sim.ledger.book(|book| match &question {
        Ok(question) => match find(book, question).filter(|_| !blind) {
            Some(sale) if version == Version::V1 => (Vec::new(), v1(sale)),
            Some(sale) => (Vec::new(), v2(sim, sale)),
            None => (Vec::new(), not_found(version, question)),
        },
        Err(refusal) => (vec![sim.refused(Operation::Inquiry.name(), mid, "", refusal)], failure(refusal)),
    });
    Ok(Answer::json(answer.await?))
}

/// A transaction of the merchant that was approved. With both given they must be of one sale.
fn find<'a>(book: &'a Book, question: &Question) -> Option<&'a Sale> {
    let sale = if question.tid.is_empty() {
        book.approved_by_oid(&question.mid, &question.oid)
    } else {
        book.by_tid(&question.tid)
    };
    sale.filter(|sale| sale.auth.mid == question.mid)
        .filter(|sale| question.oid.is_empty() || sale.auth.oid == question.oid)
}

/// v1 has a status for "none" (9). What v2 answers is not documented: assumed is a resultCode other than SUCCESS with
/// "no such sale" of §8.4 in detailResultCode.
fn not_found(version: Version, question: &Question) -> Map<String, Value> {
    match version {
        Version::V1 => object([
            ("resultCode", "00".to_owned()),
            ("resultMsg", "거래내역 없음".to_owned()),
            ("tid", question.tid.clone()),
            ("price", "0".to_owned()),
            ("status", "9".to_owned()),
        ]),
        Version::V2 => failure(&Refusal::new("500623", "해당 거래 없음")),
    }
}

fn v1(sale: &Sale) -> Map<String, Value> {
    let status = match sale.state {
        SaleState::Approved | SaleState::PartiallyCancelled => "0",
        SaleState::Cancelled | SaleState::NetCancelled => "1",
        SaleState::Authenticated | SaleState::Declined => "9",
    };
    object([
        ("resultCode", "00".to_owned()),
        ("resultMsg", "정상처리되었습니다.".to_owned()),
        ("tid", sale.tid.clone().unwrap_or_default()),
        ("price", sale.auth.price.to_string()),
        ("status", status.to_owned()),
    ])
}

fn v2(sim: &Sim, sale: &Sale) -> Map<String, Value> {
    let status = match sale.state {
        SaleState::Cancelled | SaleState::NetCancelled => "CANCEL",
        SaleState::PartiallyCancelled => "PART_CANCEL",
        SaleState::Authenticated | SaleState::Declined | SaleState::Approved => "APPROVAL",
    };
    let (approved_date, approved_time) = kst_date_time(sale.approved_at.unwrap_or_default());
    let end = sale.cancels.last().filter(|_| sale.remaining == 0);
    let (cancel_date, cancel_time) = end.map(|cancel| kst_date_time(cancel.at)).unwrap_or_default();
    let may_part = sim.merchants.get(&sale.auth.mid).is_some_and(|merchant| merchant.partial_cancel);
    let part = if may_part { sale.remaining } else { 0 };
    let mut answer = object([
        ("resultCode", "SUCCESS".to_owned()),
        ("resultMsg", "정상처리되었습니다.".to_owned()),
        ("mid", sale.auth.mid.clone()),
        ("oid", sale.auth.oid.clone()),
        ("tid", sale.tid.clone().unwrap_or_default()),
        ("price", sale.auth.price.to_string()),
        ("paymethod", "Card".to_owned()),
        ("transactionStatus", status.to_owned()),
        ("approvedDate", approved_date),
        ("approvedTime", approved_time),
        ("cancelDate", cancel_date),
        ("cancelTime", cancel_time),
        ("refundDate", String::new()),
        ("refundTime", String::new()),
        ("availablePartCancelPrice", part.to_string()),
    ]);
    let parts: Vec<Value> = sale
        .cancels
        .iter()
        .filter_map(|cancel| {
            let (date, time) = kst_date_time(cancel.at);
            let tid = cancel.tid.as_ref()?;
            let price = cancel.price.to_string();
            Some(json!({"tid": tid, "requestDate": date, "requestTime": time, "requestPrice": price}))
        })
        .collect();
    let card = json!({"currencyCode": sale.auth.currency, "approvedNumber": sale.appl_num});
    answer.insert("partCancelTransInfo".to_owned(), Value::Array(parts));
    answer.insert("cardInfo".to_owned(), card);
    answer.insert("vacctInfo".to_owned(), Value::Null);
    answer.insert("cashReceiptInfo".to_owned(), Value::Null);
    answer
}
