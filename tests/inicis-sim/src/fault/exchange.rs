//! Invariant: a fault changes what the merchant sees, and only `drop_before` and `decline` change what is booked.

use std::convert::Infallible;
use std::future::Future;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use serde_json::Value;

use super::{Hangup, Kind};
use crate::answer::{Answer, Format};
use crate::ledger::LedgerError;

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
        Kind::DoubledField { field, value } => doubled(&answer, field, value.as_ref()),
        Kind::OtherValue { field, value } => {
            answer.fields.insert(field.clone(), value.clone());
            if field != "authSignature" && answer.fields.contains_key("authSignature") {
                answer.sign();
            }
            whole(&answer)
        }
        Kind::EmptyText => altered(answer, &["resultMsg", "P_RMESG1"], |_| String::new()),
        // Already said by the operation itself, which was told so, or said by the window.
        Kind::Decline { .. } | Kind::NotFound | Kind::WrongHost => whole(&answer),
    }
}

/// The field once more, at the end of the answer.
fn doubled(answer: &Answer, field: &str, value: Option<&Value>) -> Response {
    let (kind, mut body) = answer.render();
    let again = value.cloned().unwrap_or_else(|| Value::from(answer.text(field)));
    let more = match answer.format {
        Format::Json => {
            body.truncate(body.len().saturating_sub(1));
            format!(",{}:{again}}}", Value::from(field))
        }
        // What comes behind an XML document's end makes it none.
        Format::Xml | Format::Nvp | Format::Text | Format::EncodedText => {
            format!("&{field}={}", again.as_str().unwrap_or_default())
        }
    };
    body.extend(answer.charset.encode(&more));
    ([(header::CONTENT_TYPE, kind)], body).into_response()
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
