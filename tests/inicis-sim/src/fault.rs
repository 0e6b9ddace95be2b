//! Invariant: an operation is (booking, answer); a fault is applied around that pair in [`exchange`] and nowhere else,
//! so that every fault works for every operation and no operation knows of faults. What the browser posts is no answer
//! and is spoiled in [`crate::choice::spoil`].

mod exchange;

use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use exchange::{exchange, forced};

/// Marks a response that is never written: the server closes the connection instead.
#[derive(Clone, Copy, Debug)]
pub struct Hangup;

/// What a merchant can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// `/api/payAuth`
    PayAuth,
    /// `/api/netCancel`
    NetCancel,
    /// Refund in full, v1 and v2.
    Refund,
    /// Refund of a part, v1 and v2.
    PartialRefund,
    /// Inquiry, v1 and v2.
    Inquiry,
    /// `/smart/payReq.ini`
    MobileApprove,
    /// `/smart/payNetCancel.ini`
    MobileNetCancel,
    /// `/api/v1/formpay`, a virtual account by API
    Issue,
    /// What the buyer's browser posts to returnUrl or P_NEXT_URL.
    ReturnPost,
}

impl Operation {
    /// The name in the control API and in the ledger.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PayAuth => "pay_auth",
            Self::NetCancel => "net_cancel",
            Self::Refund => "refund",
            Self::PartialRefund => "partial_refund",
            Self::Inquiry => "inquiry",
            Self::MobileApprove => "mobile_approve",
            Self::MobileNetCancel => "mobile_net_cancel",
            Self::Issue => "issue",
            Self::ReturnPost => "return_post",
        }
    }
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "snake_case")]
pub enum Kind {
    /// The connection closes and nothing is booked.
    DropBefore,
    /// It is booked, then the connection closes without an answer.
    DropAfter,
    /// It is booked at once and answered late.
    Slow {
        /// Milliseconds.
        ms: u64,
    },
    /// The amount in the answer is one more; an authSignature agrees with the wrong amount.
    WrongAmount,
    /// The order number in the answer is another; an authSignature agrees with it.
    WrongOrder,
    /// The merchant id in the answer is another; an authSignature agrees with it.
    WrongMid,
    /// The authSignature is wrong.
    WrongSignature,
    /// Half of the body as a complete HTTP answer.
    Truncated,
    /// Half of the body, then the connection closes before the announced length.
    CutOff,
    /// A page in place of an answer.
    Html,
    /// An answer without a body.
    Empty,
    /// Bytes that are no text.
    Garbage,
    /// The right answer, byte by byte.
    Drip {
        /// Milliseconds between two bytes.
        #[serde(default = "drip_ms")]
        ms: u64,
    },
    /// An answer without end in practice: 1 GiB of blanks before the closing brace.
    Huge,
    /// Status 500 with a page.
    #[serde(rename = "http_500")]
    Http500,
    /// The operation says no and books nothing.
    Decline {
        /// Six digits of §8.4.
        code: String,
    },
    /// The inquiry does not find the sale.
    NotFound,
    /// The bytes are in the other charset than was asked for and than the header says.
    WrongCharset,
    /// A field is missing.
    MissingField {
        /// Its name.
        field: String,
    },
    /// A field comes twice.
    DoubledField {
        /// Its name.
        field: String,
        /// The second value; absent: the same again.
        #[serde(default)]
        value: Option<Value>,
    },
    /// A field has another value, whatever it was or whether it was there at all; an authSignature agrees.
    OtherValue {
        /// Its name.
        field: String,
        /// Any JSON; a text answer takes only text.
        value: Value,
    },
    /// The text of the result is empty.
    EmptyText,
    /// The addresses in the post lead to a host that is not INICIS's.
    WrongHost,
}

const fn drip_ms() -> u64 {
    50
}

impl Kind {
    /// Whether the fault makes sense for the operation.
    #[must_use]
    pub fn fits(&self, operation: Operation) -> bool {
        use Operation::{
            Inquiry, Issue, MobileApprove, MobileNetCancel, NetCancel, PartialRefund, PayAuth, Refund,
            ReturnPost,
        };
        match self {
            Self::WrongSignature => operation == PayAuth,
            Self::NotFound => operation == Inquiry,
            Self::WrongHost => operation == ReturnPost,
            Self::Decline { .. } => operation != Inquiry && operation != ReturnPost,
            Self::WrongAmount => !matches!(operation, NetCancel | Refund | MobileNetCancel),
            Self::WrongOrder | Self::WrongMid => {
                matches!(operation, PayAuth | NetCancel | Inquiry | MobileApprove | ReturnPost)
            }
            Self::DoubledField { .. } => true,
            Self::OtherValue { value, .. } => match operation {
                MobileApprove | MobileNetCancel => value.is_string(),
                PayAuth | NetCancel | Refund | PartialRefund | Inquiry | Issue => true,
                ReturnPost => false,
            },
            Self::WrongCharset => {
                matches!(operation, PayAuth | NetCancel | MobileApprove | MobileNetCancel | ReturnPost)
            }
            Self::MissingField { .. } | Self::EmptyText => true,
            Self::DropBefore
            | Self::DropAfter
            | Self::Slow { .. }
            | Self::Truncated
            | Self::CutOff
            | Self::Html
            | Self::Empty
            | Self::Garbage
            | Self::Drip { .. }
            | Self::Huge
            | Self::Http500 => match operation {
                ReturnPost => false,
                PayAuth | NetCancel | Refund | PartialRefund | Inquiry | MobileApprove | MobileNetCancel
                | Issue => true,
            },
        }
    }
}

/// How often a fault strikes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Times {
    /// So often.
    Count(u64),
    /// The word `always`.
    Word(Always),
}

/// The word `always`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Always {
    /// Until it is deleted.
    Always,
}

const fn once() -> Times {
    Times::Count(1)
}

/// A fault that waits for its operation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Fault {
    /// Number, given by the simulator.
    #[serde(default)]
    pub id: u64,
    /// What it waits for.
    pub operation: Operation,
    /// What goes wrong.
    #[serde(flatten)]
    pub kind: Kind,
    /// Only for this order; absent for any.
    #[serde(default)]
    pub oid: Option<String>,
    /// How often it still strikes.
    #[serde(default = "once")]
    pub times: Times,
    /// How often it struck.
    #[serde(default)]
    pub hits: u64,
}

#[derive(Debug, Default)]
struct Inner {
    last_id: u64,
    list: Vec<Fault>,
}

/// The faults that are armed.
#[derive(Debug, Default)]
pub struct Faults(Mutex<Inner>);

impl Faults {
    fn with<R>(&self, change: impl FnOnce(&mut Inner) -> R) -> R {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Arms a fault and returns its number; `None` if it does not fit its operation.
    pub fn arm(&self, mut fault: Fault) -> Option<u64> {
        fault.kind.fits(fault.operation).then(|| {
            self.with(|inner| {
                inner.last_id += 1;
                fault.id = inner.last_id;
                fault.hits = 0;
                inner.list.push(fault);
                inner.last_id
            })
        })
    }

    /// All faults, also those that have struck for the last time.
    pub fn list(&self) -> Vec<Fault> {
        self.with(|inner| inner.list.clone())
    }

    /// Removes all faults.
    pub fn clear(&self) {
        self.with(|inner| inner.list.clear());
    }

    /// The first fault for the operation on this order; it has then struck once more.
    pub fn take(&self, operation: Operation, oid: Option<&str>) -> Option<Kind> {
        self.with(|inner| {
            let fault = inner.list.iter_mut().find(|fault| {
                fault.operation == operation
                    && fault.times != Times::Count(0)
                    && (fault.oid.is_none() || fault.oid.as_deref() == oid)
            })?;
            fault.hits += 1;
            if let Times::Count(left) = &mut fault.times {
                *left = left.saturating_sub(1);
            }
            Some(fault.kind.clone())
        })
    }
}
