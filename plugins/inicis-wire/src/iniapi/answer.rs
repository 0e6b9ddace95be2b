//! Answers to a refund (`inicis.md §5.2`).
//!
//! Invariant: only `resultCode` `00` is a yes, and only a [`KnownRefusal`] is a no: not one whose code leaves open whether money moved.

use crate::json::Object;
use crate::refusal::{self, Members as _};
use crate::{KnownRefusal, Unclear, clock};

/// A refund that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refunded {
    /// What was given back, where INICIS says (`prtcPrice`).
    pub price: Option<i64>,
    /// What is left, where INICIS says (`prtcRemains`).
    pub left: Option<i64>,
    /// When, where INICIS says.
    pub at_ms: Option<i64>,
    /// The rest. Which of `tid` and `prtcTid` is the cancel's number is contradictory: both are kept, neither is a key
    /// (`inicis.md §5.2`).
    pub more: Vec<(String, String)>,
}

/// How a refund was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefundAnswer {
    /// `00`.
    Done(Refunded),
    /// No, and nothing moved.
    No(KnownRefusal),
}

const KEPT: [&str; 11] = [
    "tid",
    "prtcTid",
    "prtcCnt",
    "prtcType",
    "pointAmount",
    "discountAmount",
    "creditAmount",
    "cashReceiptAmount",
    "cshrCancelNum",
    "receiptInfo",
    "detailResultCode",
];

/// Reads the answer.
pub fn read(status: u16, body: &[u8]) -> Result<RefundAnswer, Unclear> {
    if status != 200 {
        return Err(Unclear(format!("INIAPI answered HTTP {status}")));
    }
    let fields = Object::parse(body)?;
    if fields.exact("resultCode")? == Some("00") {
        return Ok(RefundAnswer::Done(done(&fields)));
    }
    KnownRefusal::read(&refusal::REFUND, &fields).map(RefundAnswer::No)
}

fn done(fields: &Object) -> Refunded {
    let moment = |date: &str, time: &str| {
        let (date, time) = fields.shown(date).zip(fields.shown(time))?;
        clock::from_kst(&date, &time)
    };
    Refunded {
        price: fields.amount("prtcPrice").ok().flatten(),
        left: fields.amount("prtcRemains").ok().flatten(),
        at_ms: moment("prtcDate", "prtcTime").or_else(|| moment("cancelDate", "cancelTime")),
        more: KEPT.iter().filter_map(|name| Some(((*name).to_owned(), fields.shown(name)?))).collect(),
    }
}
