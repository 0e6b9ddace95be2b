//! Answers to an inquiry of v2 (`inicis.md §6.1`).
//!
//! Invariant: only a whole answer with a state that we know is a sale; only a known refusal whose code says "no such sale" is an
//! absence.

use crate::json::Object;
use crate::refusal::{self, Members as _};
use crate::{KnownRefusal, Unclear, clock, codes, methods};

/// State of a sale at INICIS, in the host's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// An account waits for its deposit.
    AwaitingDeposit,
    /// Money is held.
    Paid,
    /// A part was given back.
    PartiallyCancelled,
    /// Nothing is held.
    Cancelled,
}

/// `transactionStatus` (`inicis.md §6.1`).
pub const STATES: [(&str, State); 7] = [
    ("APPROVAL", State::Paid),
    ("CANCEL", State::Cancelled),
    ("PART_CANCEL", State::PartiallyCancelled),
    ("NON_DEPOSIT", State::AwaitingDeposit),
    ("DEPOSIT_COMPLETED", State::Paid),
    ("DEPOSIT_CANCELED", State::Cancelled),
    ("REFUND_COMPLETED", State::Cancelled),
];

/// A refund to an account that was accepted and is not made yet: of how much is not documented, so that only the amounts beside
/// it tell (`inicis.md §6.1`).
pub const REFUNDING: &str = "WAITING_FOR_REFUND";

/// One cancel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cancel {
    /// Its number.
    pub tid: Option<String>,
    /// How much.
    pub price: i64,
    /// When it was asked for; absent where that is not told.
    pub at_ms: Option<i64>,
}

/// A sale that INICIS knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sale {
    /// TID.
    pub tid: String,
    /// Our order number, as it answered.
    pub oid: String,
    /// State.
    pub state: State,
    /// The whole amount.
    pub price: i64,
    /// What can still be cancelled; only of a sale that was cancelled in part, because what INICIS writes there for a sale
    /// that knows no partial cancel is not documented.
    pub cancellable: Option<i64>,
    /// `paymethod` in the host's words.
    pub method: Option<methods::Method>,
    /// When approved.
    pub approved_at_ms: Option<i64>,
    /// Cancels, oldest first.
    pub cancels: Vec<Cancel>,
}

/// What an inquiry found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inquired {
    /// This.
    Found(Box<Sale>),
    /// Code …623, no such sale (`inicis.md §8.4`).
    NotFound(KnownRefusal),
    /// Another no: INICIS did not say whether the sale exists.
    No(KnownRefusal),
}

/// Reads the answer; `mid` is our merchant.
pub fn read(status: u16, body: &[u8], mid: &str) -> Result<Inquired, Unclear> {
    if status != 200 {
        return Err(Unclear(format!("INIAPI answered HTTP {status}")));
    }
    let fields = Object::parse(body)?;
    if fields.exact("resultCode")? != Some("SUCCESS") {
        let no = KnownRefusal::read(&refusal::INQUIRY, &fields)?;
        let absent = codes::says_no_such_sale(no.code());
        return Ok(if absent { Inquired::NotFound(no) } else { Inquired::No(no) });
    }
    if fields.text("mid")?.is_some_and(|answered| answered != mid) {
        return Err(Unclear("the inquiry was answered for another merchant (mid)".into()));
    }
    sale(&fields).map(|sale| Inquired::Found(Box::new(sale)))
}

fn sale(fields: &Object) -> Result<Sale, Unclear> {
    let status = fields.required("transactionStatus")?;
    let price = fields.amount("price")?.ok_or_else(|| Unclear("the answer has no price".into()))?;
    let state = match STATES.iter().find(|(name, _)| *name == status) {
        Some((_, state)) => *state,
        None if status == REFUNDING => refunding(fields, price)?,
        None => return Err(Unclear("transactionStatus is not a state that is documented".into())),
    };
    let tid = fields.required("tid")?;
    if !crate::receipt::is_tid(&tid) {
        return Err(Unclear("tid is not a transaction number".into()));
    }
    let partly = state == State::PartiallyCancelled;
    Ok(Sale {
        tid,
        oid: fields.required("oid")?,
        state,
        price,
        cancellable: if partly { fields.amount("availablePartCancelPrice")? } else { None },
        method: method(fields, &status),
        approved_at_ms: moment(fields, "approvedDate", "approvedTime"),
        cancels: cancels(fields, state, price)?,
    })
}

/// How it was paid. The states of a deposit tell of an account where `paymethod` does not (`inicis.md §6.1`).
fn method(fields: &Object, status: &str) -> Option<methods::Method> {
    let named = fields.shown("paymethod").and_then(|name| methods::of_pc_answer(&name, None));
    let deposit = !matches!(status, "APPROVAL" | "CANCEL" | "PART_CANCEL");
    named.or_else(|| deposit.then_some(methods::Method { kind: "virtual_account", provider: None }))
}

/// Nothing is held only where the list of refunds says so. (What `availablePartCancelPrice` says of a sale that knows no
/// partial cancel is not documented, so its 0 is no proof.)
fn refunding(fields: &Object, price: i64) -> Result<State, Unclear> {
    let listed: i64 = cancels(fields, State::PartiallyCancelled, price)?.iter().map(|part| part.price).sum();
    if listed == price {
        return Ok(State::Cancelled);
    }
    Err(Unclear("a refund is being made, and INICIS does not say of how much".into()))
}

fn cancels(fields: &Object, state: State, price: i64) -> Result<Vec<Cancel>, Unclear> {
    let parts = fields.objects("partCancelTransInfo")?;
    let mut cancels = parts
        .iter()
        .map(|part| {
            Ok(Cancel {
                tid: part.shown("tid"),
                price: part
                    .amount("requestPrice")?
                    .ok_or_else(|| Unclear("a partial cancel has no requestPrice".into()))?,
                at_ms: moment(part, "requestDate", "requestTime"),
            })
        })
        .collect::<Result<Vec<_>, Unclear>>()?;
    if cancels.is_empty() && state == State::Cancelled {
        // Not `refundDate`: whether an account's refund was asked for at that moment, or the money was sent to the account then,
        // is not documented (`inicis.md §6.1`), and hours may lie between the two.
        cancels.push(Cancel { tid: None, price, at_ms: moment(fields, "cancelDate", "cancelTime") });
    }
    cancels.sort_by_key(|cancel| cancel.at_ms);
    Ok(cancels)
}

fn moment(fields: &Object, date: &str, time: &str) -> Option<i64> {
    let (date, time) = fields.shown(date).zip(fields.shown(time))?;
    clock::from_kst(&date, &time)
}
