//! Invariant: an operation is (booking, answer); a fault is applied around that pair in [`exchange`] and nowhere else,
//! so that every fault works for every operation and no operation knows of faults.

use std::convert::Infallible;
use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::answer::Answer;
use crate::ledger::LedgerError;

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
    /// A field comes twice with the same value.
    DoubledField {
        /// Its name.
        field: String,
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
            Inquiry, MobileApprove, MobileNetCancel, NetCancel, PartialRefund, PayAuth, Refund, ReturnPost,
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
            Self::DoubledField { .. } => {
                matches!(operation, MobileApprove | MobileNetCancel | ReturnPost)
            }
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
                PayAuth | NetCancel | Refund | PartialRefund | Inquiry | MobileApprove | MobileNetCancel => {
                    true
                }
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

/// The code of a decline that a fault asks for.
#[must_use]
pub fn forced(fault: Option<&Kind>) -> Option<String> {
    fault.and_then(|kind| if let Kind::Decline { code } = kind { Some(code.clone()) } else { None })
}

/// Runs an operation under a fault. `booking` must do nothing before it is polled.
pub async fn exchange(
    fault: Option<Kind>,
    booking: impl Future<Output = Result<Answer, LedgerError>>,
) -> Response {
    if fault == Some(Kind::DropBefore) {
        return hang_up();
    }
    match booking.await {
        Ok(answer) => match fault {
            Some(kind) => spoil(&kind, answer).await,
            None => whole(&answer),
        },
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("inicis-sim: {error}")).into_response(),
    }
}

fn hang_up() -> Response {
    let mut response = ().into_response();
    response.extensions_mut().insert(Hangup);
    response
}

fn whole(answer: &Answer) -> Response {
    let (kind, body) = answer.render();
    ([(header::CONTENT_TYPE, kind)], body).into_response()
}

const AMOUNTS: &[&str] = &["TotPrice", "CARD_ApplPrice", "prtcPrice", "price", "P_AMT", "P_CARD_APPLPRICE"];

async fn spoil(kind: &Kind, mut answer: Answer) -> Response {
    match kind {
        Kind::DropBefore | Kind::DropAfter => hang_up(),
        Kind::Slow { ms } => {
            tokio::time::sleep(Duration::from_millis(*ms)).await;
            whole(&answer)
        }
        Kind::WrongAmount => altered(answer, AMOUNTS, plus_one),
        Kind::WrongOrder => altered(answer, &["MOID", "moid", "oid", "P_OID"], |old| format!("{old}X")),
        Kind::WrongMid => altered(answer, &["mid", "P_MID"], |_| "WRONGmid00".to_owned()),
        Kind::WrongSignature => {
            let wrong = Value::String(crate::hash::sha256(answer.text("authSignature")));
            answer.fields.insert("authSignature".to_owned(), wrong);
            whole(&answer)
        }
        Kind::Truncated => {
            let (kind, mut body) = answer.render();
            body.truncate(body.len() / 2);
            ([(header::CONTENT_TYPE, kind)], body).into_response()
        }
        Kind::CutOff => cut_off(&answer),
        Kind::Html => page(StatusCode::OK, "시스템 점검 중입니다"),
        Kind::Empty => ().into_response(),
        Kind::Garbage => {
            ([(header::CONTENT_TYPE, "application/json")], vec![0xff_u8, 0x00, 0xfe, 0x80, b'{'])
                .into_response()
        }
        Kind::Drip { ms } => drip(&answer, *ms),
        Kind::Huge => huge(&answer),
        Kind::Http500 => page(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error"),
        Kind::WrongCharset => {
            let (kind, _) = answer.render();
            answer.charset = answer.charset.other();
            ([(header::CONTENT_TYPE, kind)], answer.render().1).into_response()
        }
        Kind::MissingField { field } => {
            answer.fields.shift_remove(field);
            whole(&answer)
        }
        Kind::DoubledField { field } => {
            let (kind, mut body) = answer.render();
            body.extend(answer.charset.encode(&format!("&{field}={}", answer.text(field))));
            ([(header::CONTENT_TYPE, kind)], body).into_response()
        }
        Kind::EmptyText => altered(answer, &["resultMsg", "P_RMESG1"], |_| String::new()),
        // Already said by the operation itself, which was told so, or said by the window.
        Kind::Decline { .. } | Kind::NotFound | Kind::WrongHost => whole(&answer),
    }
}

fn plus_one(old: &str) -> String {
    old.parse::<u64>().map_or_else(|_| old.to_owned(), |n| n.saturating_add(1).to_string())
}

fn altered(mut answer: Answer, names: &[&str], change: impl Fn(&str) -> String) -> Response {
    for name in names {
        if let Some(Value::String(old)) = answer.fields.get_mut(*name) {
            *old = change(old);
        }
    }
    if answer.fields.contains_key("authSignature") {
        answer.sign();
    }
    whole(&answer)
}

fn page(status: StatusCode, text: &str) -> Response {
    let body = format!("<!doctype html><html lang=\"ko\"><body><h1>{text}</h1></body></html>");
    (status, [(header::CONTENT_TYPE, "text/html; charset=UTF-8")], body).into_response()
}

fn streamed(kind: &str, length: usize, body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(kind) {
        headers.insert(header::CONTENT_TYPE, value);
    }
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    response
}

fn cut_off(answer: &Answer) -> Response {
    let (kind, body) = answer.render();
    let length = body.len();
    let half = Bytes::copy_from_slice(body.get(..length / 2).unwrap_or_default());
    // The server writes out what it has when the body makes it wait; an error at once would hide the head as well.
    let cut = stream::once(async {
        tokio::task::yield_now().await;
        Err(std::io::Error::other("cut off on demand"))
    });
    let parts = stream::once(async { Ok(half) }).chain(cut);
    streamed(&kind, length, Body::from_stream(parts))
}

fn drip(answer: &Answer, ms: u64) -> Response {
    let (kind, body) = answer.render();
    let length = body.len();
    let bytes = stream::unfold(body.into_iter(), move |mut rest| async move {
        let byte = rest.next()?;
        tokio::time::sleep(Duration::from_millis(ms)).await;
        Some((Ok::<_, Infallible>(Bytes::copy_from_slice(&[byte])), rest))
    });
    streamed(&kind, length, Body::from_stream(bytes))
}

fn huge(answer: &Answer) -> Response {
    const BLOCKS: usize = 16 * 1024;
    static BLANKS: [u8; 64 * 1024] = [b' '; 64 * 1024];
    let (kind, body) = answer.render();
    let length = body.len() + BLOCKS * BLANKS.len();
    let (head, tail) = body.split_at_checked(1).unwrap_or((&body, &[]));
    let (head, tail) = (Bytes::copy_from_slice(head), Bytes::copy_from_slice(tail));
    let blocks = (0..BLOCKS).map(|_| Bytes::from_static(&BLANKS));
    let parts = std::iter::once(head).chain(blocks).chain(std::iter::once(tail)).map(Ok::<_, Infallible>);
    streamed(&kind, length, Body::from_stream(stream::iter(parts)))
}
