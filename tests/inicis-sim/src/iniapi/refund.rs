//! Invariant: the cancels of a sale never sum to more than was approved, and a partial cancel says correctly what
//! remains or is refused.

use serde_json::{Map, Value, json};

use super::{amount, failure, tid_length};
use crate::answer::{Answer, object};
use crate::clock::kst_date_time;
use crate::fault::Operation;
use crate::ledger::{Book, Event, LedgerError, Sale, SaleState};
use crate::refusal::Refusal;
use crate::sim::Sim;

/// A refund that passed the checks of its envelope.
#[derive(Clone, Debug)]
pub struct Order {
    /// Merchant.
    pub mid: String,
    /// Transaction to cancel.
    pub tid: String,
    /// Reason.
    pub msg: String,
    /// v1 names the method; it must be the sale's.
    pub paymethod: Option<String>,
    /// Present for a part.
    pub part: Option<Part>,
}

/// The amounts of a partial refund, as text.
#[derive(Clone, Debug)]
pub struct Part {
    /// Amount to cancel now.
    pub price: String,
    /// Amount that is left afterwards.
    pub confirm_price: String,
    /// `WON` or `USD`.
    pub currency: String,
    /// Tax in the amount; may be empty.
    pub tax: String,
    /// Tax-free part; may be empty.
    pub taxfree: String,
}

/// Refunds in full or in part.
///
/// # Errors
/// The outcome could not be booked.
pub async fn refund(
    sim: &Sim,
    operation: Operation,
    mid: &str,
    order: Result<Order, Refusal>,
    forced_decline: Option<&str>,
) -> Result<Answer, LedgerError> {
    let now = sim.clock.now_ms();
    let booked = sim.ledger.book(|book| {
        let decided = order.and_then(|order| decide(sim, book, &order, forced_decline, now));
        decided.unwrap_or_else(|refusal| {
            (vec![sim.refused(operation.name(), mid, "", &refusal)], refused(operation, &refusal, None))
        })
    });
    Ok(Answer::json(booked.await?))
}

type Decided = (Vec<Event>, Map<String, Value>);

fn decide(
    sim: &Sim,
    book: &Book,
    order: &Order,
    forced_decline: Option<&str>,
    now: i64,
) -> Result<Decided, Refusal> {
    let operation = if order.part.is_some() { Operation::PartialRefund } else { Operation::Refund };
    let sale = find(sim, book, order)?;
    let verdict = match forced_decline {
        Some(code) => Err(Refusal::coded(code, "카드사 거절")),
        None => verify(sim, sale, order),
    };
    if let Err(refusal) = verdict {
        let event = sim.refused(operation.name(), &order.mid, &sale.auth.oid, &refusal);
        return Ok((vec![event], refused(operation, &refusal, Some(sale))));
    }
    let (date, time) = kst_date_time(now);
    let (tid, msg) = (order.tid.clone(), order.msg.clone());
    let Some(part) = &order.part else {
        let answer = [
            ("resultCode", "00"),
            ("resultMsg", "정상처리되었습니다."),
            ("cancelDate", &date),
            ("cancelTime", &time),
            ("receiptInfo", ""),
            ("cshrCancelNum", ""),
            ("detailResultCode", ""),
        ];
        let answer = object(answer.map(|(name, value)| (name, value.to_owned())));
        return Ok((vec![Event::Cancelled { at: now, tid, msg }], answer));
    };
    let price = amount("price", &part.price)?;
    let part_tid = sim.new_tid(book, "StdpayCARD", &order.mid);
    let answer = object([
        ("resultCode", "00".to_owned()),
        ("resultMsg", "정상처리되었습니다.".to_owned()),
        ("prtcDate", date),
        ("prtcTime", time),
        ("tid", part_tid.clone()),
        ("prtcTid", tid.clone()),
        ("prtcPrice", part.price.clone()),
        ("prtcRemains", part.confirm_price.clone()),
        ("prtcCnt", (partial_cancels(sale) + 1).to_string()),
        ("prtcType", "1".to_owned()),
        ("pointAmount", String::new()),
        ("discountAmount", String::new()),
        ("creditAmount", String::new()),
        ("cashReceiptAmount", String::new()),
        ("detailResultCode", String::new()),
    ]);
    Ok((vec![Event::PartiallyCancelled { at: now, tid, part_tid, price, msg }], answer))
}

fn partial_cancels(sale: &Sale) -> usize {
    sale.cancels.iter().filter(|cancel| cancel.kind == "partial_refund").count()
}

fn find<'a>(sim: &Sim, book: &'a Book, order: &Order) -> Result<&'a Sale, Refusal> {
    if sim.settings.require_refund_msg && order.msg.is_empty() {
        return Err(Refusal::new("SIM:FIELD", "msg: 필수 항목이 없습니다"));
    }
    tid_length(&order.tid)?;
    if book.is_part_tid(&order.tid) {
        return Err(Refusal::coded("500700", &order.tid));
    }
    let sale = book.by_tid(&order.tid).ok_or_else(|| Refusal::coded("500623", &order.tid))?;
    if sale.auth.mid != order.mid {
        return Err(Refusal::coded("500621", &order.tid));
    }
    Ok(sale)
}

fn verify(sim: &Sim, sale: &Sale, order: &Order) -> Result<(), Refusal> {
    if order.paymethod.as_deref().is_some_and(|method| method != "Card") {
        let code = if order.part.is_some() { "500699" } else { "500606" };
        return Err(Refusal::coded(code, "paymethod"));
    }
    match sale.state {
        SaleState::Cancelled | SaleState::NetCancelled => return Err(Refusal::coded("500626", &order.tid)),
        SaleState::Authenticated | SaleState::Declined => return Err(Refusal::coded("500623", &order.tid)),
        SaleState::PartiallyCancelled if order.part.is_none() => {
            return Err(Refusal::coded("500625", &order.tid));
        }
        SaleState::PartiallyCancelled | SaleState::Approved => {}
    }
    order.part.as_ref().map_or(Ok(()), |part| verify_part(sim, sale, part))
}

fn verify_part(sim: &Sim, sale: &Sale, part: &Part) -> Result<(), Refusal> {
    if !sim.merchants.get(&sale.auth.mid).is_some_and(|merchant| merchant.partial_cancel) {
        return Err(Refusal::coded("500412", &sale.auth.mid));
    }
    if part.currency != sale.auth.currency {
        return Err(Refusal::coded("500611", "currency"));
    }
    let price = amount("price", &part.price)?;
    let left = amount("confirmPrice", &part.confirm_price)?;
    for (name, text) in [("tax", &part.tax), ("taxfree", &part.taxfree)] {
        if !text.is_empty() && amount(name, text)? > price {
            return Err(Refusal::coded("500656", name));
        }
    }
    if price == 0 {
        return Err(Refusal::coded("500701", "price"));
    }
    if price > sale.remaining {
        return Err(Refusal::coded("500826", format!("남은 금액 {}", sale.remaining)));
    }
    if price == sale.auth.price && partial_cancels(sale) == 0 {
        return Err(Refusal::coded("500749", "price"));
    }
    if left != sale.remaining - price {
        return Err(Refusal::coded(
            "500706",
            format!("confirmPrice 는 {} 이어야 합니다", sale.remaining - price),
        ));
    }
    Ok(())
}

/// Failure of a refund; dates are null except where a cancel exists already (§5.2, captured).
fn refused(operation: Operation, refusal: &Refusal, sale: Option<&Sale>) -> Map<String, Value> {
    let mut answer = failure(refusal);
    let (date, time) = if operation == Operation::PartialRefund {
        ("prtcDate", "prtcTime")
    } else {
        ("cancelDate", "cancelTime")
    };
    let last = sale.and_then(|sale| sale.cancels.last()).filter(|_| refusal.code.ends_with("626"));
    let (on, at) = last.map(|cancel| kst_date_time(cancel.at)).unzip();
    answer.insert(date.to_owned(), json!(on));
    answer.insert(time.to_owned(), json!(at));
    answer
}
