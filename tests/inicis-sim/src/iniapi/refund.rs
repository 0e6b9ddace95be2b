//! Invariant: the cancels of a sale never sum to more than was approved, and a partial cancel says correctly what
//! remains or is refused.

use serde_json::{Map, Value, json};

use super::{amount, failure, tid_length};
use crate::answer::{Answer, object};
use crate::clock::kst_date_time;
use crate::fault::Operation;
use crate::ledger::{Book, Cancel, Event, LedgerError, RefundAccount, Sale, SaleState};
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
    /// Where a deposit goes back to.
    pub account: Option<RefundAccount>,
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
        Some(code) => Err(Refusal::coded(code, "취소 거절")),
        None => verify(sim, sale, order, now),
    };
    if let Err(refusal) = verdict {
        let event = sim.refused(operation.name(), &order.mid, &sale.auth.oid, &refusal);
        return Ok((vec![event], refused(operation, &refusal, Some(sale))));
    }
    let (date, time) = kst_date_time(now);
    let (tid, msg) = (order.tid.clone(), order.msg.clone());
    let account = order.account.clone();
    let Some(part) = &order.part else {
        let receipt = if sale.auth.means.receipt.is_empty() { "" } else { &sale.appl_num };
        let answer = [
            ("resultCode", "00"),
            ("resultMsg", "정상처리되었습니다."),
            ("cancelDate", &date),
            ("cancelTime", &time),
            ("receiptInfo", ""),
            ("cshrCancelNum", receipt),
            ("detailResultCode", ""),
        ];
        let answer = object(answer.map(|(name, value)| (name, value.to_owned())));
        return Ok((vec![Event::Cancelled { at: now, tid, msg, account }], answer));
    };
    let price = amount("price", &part.price)?;
    let prefix = tid.get(..10).unwrap_or_default();
    let part_tid = sim.new_tid(book, prefix, &order.mid);
    let (tax, taxfree) = (part.tax.parse().ok(), part.taxfree.parse().ok());
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
    let event = Event::PartiallyCancelled { at: now, tid, part_tid, price, tax, taxfree, msg, account };
    Ok((vec![event], answer))
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

/// A code of the sale's network (§8.4).
fn coded(sale: &Sale, suffix: &str, detail: impl std::fmt::Display) -> Refusal {
    Refusal::coded(&format!("{}{suffix}", sale.network()), detail)
}

fn verify(sim: &Sim, sale: &Sale, order: &Order, now: i64) -> Result<(), Refusal> {
    right_method(sale, order)?;
    match sale.state {
        SaleState::Cancelled | SaleState::NetCancelled => return Err(coded(sale, "626", &order.tid)),
        SaleState::Authenticated | SaleState::Declined => return Err(coded(sale, "623", &order.tid)),
        SaleState::PartiallyCancelled if order.part.is_none() => {
            return Err(coded(sale, "625", &order.tid));
        }
        SaleState::AwaitingDeposit => return unpaid(sim, sale, order),
        SaleState::PartiallyCancelled | SaleState::Approved => {}
    }
    let from = sale.deposited_at.or(sale.approved_at).unwrap_or_default();
    if sim.settings.cancel_period_ms.is_some_and(|period| now.saturating_sub(from) > period) {
        return Err(coded(sale, "667", &order.tid));
    }
    if order.paymethod.as_deref() == Some("GVacct") {
        return Err(coded(sale, "628", "입금된 가상계좌는 Vacct 로 환불합니다"));
    }
    to_account(sim, sale, order)?;
    order.part.as_ref().map_or(Ok(()), |part| verify_part(sim, sale, part))
}

/// v1 names the method of the sale (§1.3); an unpaid account is closed as GVacct.
fn right_method(sale: &Sale, order: &Order) -> Result<(), Refusal> {
    let Some(given) = order.paymethod.as_deref() else { return Ok(()) };
    let own = sale.method().iniapi;
    let fits = !own.is_empty() && (given == own || (own == "Vacct" && given == "GVacct"));
    if fits {
        return Ok(());
    }
    Err(coded(sale, if order.part.is_some() { "699" } else { "606" }, "paymethod"))
}

/// An account that nobody paid into is closed, never refunded.
fn unpaid(sim: &Sim, sale: &Sale, order: &Order) -> Result<(), Refusal> {
    let closes = match order.paymethod.as_deref() {
        Some(method) => method == "GVacct",
        None => sim.settings.v2_refund_closes_unpaid_vbank && order.account.is_none(),
    };
    if closes && order.part.is_none() {
        return Ok(());
    }
    Err(coded(sale, "628", "입금되지 않은 가상계좌입니다"))
}

/// A deposit goes back to an account, and only a deposit does; that needs a contract (§5.1).
fn to_account(sim: &Sim, sale: &Sale, order: &Order) -> Result<(), Refusal> {
    match (sale.account.is_some(), order.account.is_some()) {
        (true, true) => {
            let contract = sim.merchants.get(&sale.auth.mid).is_some_and(|merchant| merchant.vacct_refund);
            if contract {
                Ok(())
            } else {
                Err(coded(sale, "622", "가상계좌 환불 계약이 없습니다"))
            }
        }
        (true, false) => Err(coded(sale, "628", "가상계좌는 환불 계좌가 필요합니다")),
        (false, true) => Err(coded(sale, "606", "가상계좌 거래가 아닙니다")),
        (false, false) => Ok(()),
    }
}

fn verify_part(sim: &Sim, sale: &Sale, part: &Part) -> Result<(), Refusal> {
    if !sim.merchants.get(&sale.auth.mid).is_some_and(|merchant| merchant.partial_cancel) {
        return Err(coded(sale, "412", &sale.auth.mid));
    }
    if !sim.settings.partial_cancel_methods.contains(&sale.auth.method) {
        return Err(coded(sale, "699", &sale.auth.method));
    }
    if sim.settings.partial_cancel_most_times.is_some_and(|most| partial_cancels(sale) >= most) {
        return Err(coded(sale, "705", partial_cancels(sale)));
    }
    if part.currency != sale.auth.currency {
        return Err(coded(sale, "611", "currency"));
    }
    let price = amount("price", &part.price)?;
    let left = amount("confirmPrice", &part.confirm_price)?;
    taxes(sale, part, price)?;
    if price == 0 {
        return Err(coded(sale, "701", "price"));
    }
    if price > sale.remaining {
        return Err(coded(sale, "826", format!("남은 금액 {}", sale.remaining)));
    }
    if price == sale.remaining && partial_cancels(sale) == 0 {
        return Err(coded(sale, "749", "price"));
    }
    if left != sale.remaining - price {
        let right = sale.remaining - price;
        return Err(coded(sale, "706", format!("confirmPrice 는 {right} 이어야 합니다")));
    }
    Ok(())
}

/// VAT is at most a tenth, both fit into the part, and together with earlier parts into what the request had (656).
fn taxes(sale: &Sale, part: &Part, price: u64) -> Result<(), Refusal> {
    let read = |name, text: &str| if text.is_empty() { Ok(0) } else { amount(name, text) };
    let (tax, free) = (read("tax", &part.tax)?, read("taxFree", &part.taxfree)?);
    if tax.saturating_mul(10) > price || tax.saturating_add(free) > price {
        return Err(coded(sale, "656", "tax, taxFree"));
    }
    let before = |one: fn(&Cancel) -> Option<u64>| sale.cancels.iter().filter_map(one).sum::<u64>();
    let over = |whole: Option<u64>, earlier: u64, now: u64| whole.is_some_and(|whole| earlier + now > whole);
    if over(sale.auth.tax, before(|cancel| cancel.tax), tax)
        || over(sale.auth.taxfree, before(|cancel| cancel.taxfree), free)
    {
        return Err(coded(sale, "656", "원거래의 부가세, 비과세를 넘었습니다"));
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
