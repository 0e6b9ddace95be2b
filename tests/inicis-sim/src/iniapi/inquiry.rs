//! Invariant: an inquiry tells what is durable in the ledger and changes nothing.

use serde_json::{Map, Value, json};

use super::failure;
use crate::answer::{Answer, object};
use crate::clock::kst_date_time;
use crate::fault::Operation;
use crate::ledger::{Book, LedgerError, Sale, SaleState};
use crate::refusal::Refusal;
use crate::sim::Sim;
use crate::stdpay::fields::pay_method;

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

/// 0 approved, 1 cancelled, 9 none; a virtual account N not paid, Y paid, C cancelled (§6.1).
fn v1(sale: &Sale) -> Map<String, Value> {
    let vbank = sale.account.is_some();
    let status = match sale.state {
        SaleState::AwaitingDeposit if !sale.deposits.is_empty() => "C",
        SaleState::AwaitingDeposit => "N",
        SaleState::Approved | SaleState::PartiallyCancelled if vbank => "Y",
        SaleState::Cancelled | SaleState::NetCancelled if vbank => "C",
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

/// transactionStatus. For a virtual account, which of the five values a closed one, a partly refunded one and one whose
/// deposit the bank took back have is assumed.
fn status(sim: &Sim, sale: &Sale) -> &'static str {
    let vbank = sale.account.is_some();
    match sale.state {
        SaleState::AwaitingDeposit if !sale.deposits.is_empty() => "DEPOSIT_CANCELED",
        SaleState::AwaitingDeposit => "NON_DEPOSIT",
        SaleState::Cancelled | SaleState::NetCancelled if vbank && sale.deposited_at.is_none() => {
            "DEPOSIT_CANCELED"
        }
        SaleState::Cancelled if vbank => {
            let since = sale.cancels.last().map_or(0, |cancel| cancel.at);
            let waits = sim.clock.now_ms() - since < sim.settings.vbank_refund_wait_ms;
            if waits { "WAITING_FOR_REFUND" } else { "REFUND_COMPLETED" }
        }
        SaleState::Approved if vbank => "DEPOSIT_COMPLETED",
        SaleState::Cancelled | SaleState::NetCancelled => "CANCEL",
        SaleState::PartiallyCancelled => "PART_CANCEL",
        SaleState::Authenticated | SaleState::Declined | SaleState::Approved => "APPROVAL",
    }
}

fn v2(sim: &Sim, sale: &Sale) -> Map<String, Value> {
    let (approved_date, approved_time) = kst_date_time(sale.approved_at.unwrap_or_default());
    let ended = !matches!(sale.state, SaleState::AwaitingDeposit) && sale.remaining == 0;
    let taken_back = sale.deposits.last().and_then(|deposit| deposit.cancelled_at);
    let end = sale.cancels.last().filter(|_| ended).map(|cancel| cancel.at);
    let end = end.or(taken_back.filter(|_| sale.remaining == 0));
    let refunded = sale.deposited_at.is_some();
    // Assumed: the moment at which the money was sent to the account, not the one at which that was asked for.
    let sent = end.map(|at| at.saturating_add(sim.settings.vbank_refund_wait_ms));
    let sent = sent.filter(|at| *at <= sim.clock.now_ms());
    let (refund, cancel) = if refunded { (sent, None) } else { (None, end) };
    let (refund, cancel) = (refund.map(kst_date_time), cancel.map(kst_date_time));
    let ((refund_date, refund_time), (cancel_date, cancel_time)) =
        (refund.unwrap_or_default(), cancel.unwrap_or_default());
    let may_part = sim.merchants.get(&sale.auth.mid).is_some_and(|merchant| merchant.partial_cancel)
        && sim.settings.partial_cancel_methods.contains(&sale.auth.method);
    let part = if may_part { sale.remaining } else { 0 };
    let mut answer = object([
        ("resultCode", "SUCCESS".to_owned()),
        ("resultMsg", "정상처리되었습니다.".to_owned()),
        ("mid", sale.auth.mid.clone()),
        ("oid", sale.auth.oid.clone()),
        ("tid", sale.tid.clone().unwrap_or_default()),
        ("price", sale.auth.price.to_string()),
        ("paymethod", pay_method(&sale.auth).to_owned()),
        ("transactionStatus", status(sim, sale).to_owned()),
        ("approvedDate", approved_date),
        ("approvedTime", approved_time),
        ("cancelDate", cancel_date),
        ("cancelTime", cancel_time),
        ("refundDate", refund_date),
        ("refundTime", refund_time),
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
    answer.insert("partCancelTransInfo".to_owned(), Value::Array(parts));
    answer.insert("cardInfo".to_owned(), card_info(sale));
    answer.insert("vacctInfo".to_owned(), vacct_info(sale));
    answer.insert("cashReceiptInfo".to_owned(), receipt_info(sale));
    answer
}

fn card_info(sale: &Sale) -> Value {
    if sale.auth.method != "Card" {
        return Value::Null;
    }
    json!({"currencyCode": sale.auth.currency, "approvedNumber": sale.appl_num})
}

fn vacct_info(sale: &Sale) -> Value {
    if sale.account.is_none() {
        return Value::Null;
    }
    let (date, time) = sale.deposited_at.map(kst_date_time).unwrap_or_default();
    json!({"depositDate": date, "depositTime": time})
}

/// issueStatus has no documented values and stays empty. The receipt of a virtual account comes with the deposit.
fn receipt_info(sale: &Sale) -> Value {
    let at = if sale.account.is_some() { sale.deposited_at } else { sale.approved_at };
    let Some(at) = at.filter(|_| !sale.auth.means.receipt.is_empty()) else { return Value::Null };
    let (date, time) = kst_date_time(at);
    json!({"issueStatus": "", "approvedResultCode": "220000", "approvedNumber": sale.receipt_number(),
        "approvedDate": date, "approvedTime": time})
}
