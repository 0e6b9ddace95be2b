//! Invariant: a token is approved at most once, and the first approval request of its merchant uses it up whatever
//! comes of it (§1.7); the sale is in the ledger before the answer exists.

use serde_json::{Map, Value};

use super::fields::{Made, approved};
use super::request::{known_merchant, same_hash};
use super::rules;
use crate::answer::{Answer, Format, object};
use crate::booking::Booking;
use crate::fault::Operation;
use crate::form::{Charset, Fields};
use crate::hash;
use crate::ledger::{Book, Event, LedgerError, Sale, SaleState};
use crate::merchant::Merchant;
use crate::refusal::Refusal;
use crate::sim::Sim;

const REQUIRED: &[&str] = &["mid", "authToken", "timestamp"];

/// Approves an authentication. `idc` is the data centre whose name the request was sent to.
///
/// # Errors
/// The outcome could not be booked.
pub async fn approve(
    sim: &Sim,
    fields: &Fields,
    idc: &str,
    forced_decline: Option<&str>,
) -> Result<Answer, LedgerError> {
    let now = sim.clock.now_ms();
    let outcome = sim.ledger.book(|book| {
        let (mid, token) = (fields.get("mid"), fields.get("authToken"));
        let refuse = |refusal: Refusal| {
            let oid = book.by_token(token).map_or("", |sale| &sale.auth.oid);
            (vec![sim.refused(Operation::PayAuth.name(), mid, oid, &refusal)], Err(refusal))
        };
        let (merchant, sale) = match admit(sim, book, fields) {
            Ok(admitted) => admitted,
            Err(refusal) => return refuse(refusal),
        };
        let verdict = verify(sim, book, fields, idc, merchant, sale, now).and_then(|()| {
            let decline = forced_decline.or(sale.auth.planned_decline.as_deref());
            decline.map_or(Ok(()), |code| Err(Refusal::coded(code, "승인 거절")))
        });
        if let Err(refusal) = verdict {
            let (code, reason) = (refusal.code.clone(), refusal.message.clone());
            return (vec![Event::Declined { at: now, token: token.to_owned(), code, reason }], Err(refusal));
        }
        let oid = Some(fields.get("oid")).filter(|oid| !oid.is_empty()).unwrap_or(&sale.auth.oid).to_owned();
        let booking = Booking::new(sim, book, &sale.auth);
        let made = Made {
            tid: &booking.tid,
            oid: &oid,
            appl_num: &booking.appl_num,
            account: booking.account.as_ref(),
            now,
        };
        let answer = approved(&sale.auth, merchant, made);
        (vec![booking.event(token, &oid, fields.sorted())], Ok(answer))
    });
    Ok(dress(sim, fields, outcome.await?))
}

/// What is checked before the token is touched.
fn admit<'a>(sim: &'a Sim, book: &'a Book, fields: &Fields) -> Result<(&'a Merchant, &'a Sale), Refusal> {
    fields.refuse_twins()?;
    fields.require(REQUIRED)?;
    let merchant = known_merchant(sim, fields.get("mid"))?;
    let sale = book
        .by_token(fields.get("authToken"))
        .filter(|sale| sale.auth.mid == merchant.mid && sale.auth.mobile.is_none())
        .ok_or_else(|| Refusal::new("SIM:TOKEN", "발급된 적이 없는 authToken 입니다"))?;
    if sale.state != SaleState::Authenticated {
        return Err(Refusal::new("R201", "이미 승인 요청된 인증입니다"));
    }
    Ok((merchant, sale))
}

/// What is checked while the token is used up.
fn verify(
    sim: &Sim,
    book: &Book,
    fields: &Fields,
    idc: &str,
    merchant: &Merchant,
    sale: &Sale,
    now: i64,
) -> Result<(), Refusal> {
    let (token, timestamp) = (fields.get("authToken"), fields.get("timestamp"));
    if sim.settings.token_bound_to_idc && sale.auth.idc != idc {
        return Err(Refusal::new(
            "SIM:IDC",
            format!("{} 에서 발급된 인증을 {idc} 로 보냈습니다", sale.auth.idc),
        ));
    }
    if now - sale.authenticated_at > sim.settings.auth_token_life_ms {
        return Err(Refusal::new("SIM:EXPIRE", "인증 유효시간이 지났습니다"));
    }
    if sale.net_cancelled_early && sim.settings.early_net_cancel_blocks_approval {
        return Err(Refusal::new("SIM:EARLY", "승인 전에 망취소된 인증입니다"));
    }
    rules::form_timestamp(sim, timestamp)?;
    if timestamp == sale.auth.form_timestamp {
        return Err(Refusal::new("SIM:TIME", "timestamp: 승인 요청에는 새 값이 필요합니다"));
    }
    same_hash("signature", fields.get("signature"), &hash::approval_signature(token, timestamp))?;
    if fields.has("verification") {
        let verification = hash::approval_verification(token, &merchant.sign_key, timestamp);
        same_hash("verification", fields.get("verification"), &verification)?;
    } else {
        // Official samples before 2022 and gnuboard5 (§1.7).
        sim.unless_older(&merchant.mid, Refusal::coded("500633", "verification"))?;
    }
    if Format::parse(fields.get("format")).is_none() || Charset::parse(fields.get("charset")).is_none() {
        return Err(Refusal::new("SIM:FIELD", "format, charset: 알 수 없는 값입니다"));
    }
    if fields.has("price") && fields.get("price") != sale.auth.price.to_string() {
        return Err(Refusal::coded("500610", "price"));
    }
    let oid = Some(fields.get("oid")).filter(|oid| !oid.is_empty()).unwrap_or(&sale.auth.oid);
    if oid.len() > 40 {
        return Err(Refusal::new("SIM:LENGTH", "oid: 최대 40 바이트를 넘었습니다"));
    }
    if merchant.duplicate_order_prevention && book.approved_by_oid(&merchant.mid, oid).is_some() {
        return Err(Refusal::coded("500619", oid));
    }
    Ok(())
}

/// Puts fields or a refusal into the format and charset that the merchant asked for. A decline has only resultCode and
/// resultMsg; where its six digits travel is an assumption (`approval_decline_result_code`).
fn dress(sim: &Sim, fields: &Fields, outcome: Result<Map<String, Value>, Refusal>) -> Answer {
    let signed = outcome.is_ok();
    let fields_out = outcome.unwrap_or_else(|refusal| {
        let own =
            sim.settings.approval_decline_result_code.as_ref().filter(|_| refusal.code.starts_with('5'));
        let (code, text) = match own {
            Some(code) => (code.clone(), format!("{} [{}]", refusal.message, refusal.code)),
            None => (refusal.code, refusal.message),
        };
        object([("resultCode", code), ("resultMsg", text)])
    });
    let mut answer = plain(fields, fields_out);
    answer.tstamp = signed.then(|| fields.get("timestamp").to_owned());
    answer.sign();
    answer
}

/// An answer in the format and charset of the request.
pub fn plain(fields: &Fields, answer: Map<String, Value>) -> Answer {
    Answer {
        fields: answer,
        format: Format::parse(fields.get("format")).unwrap_or(Format::Xml),
        charset: Charset::parse(fields.get("charset")).unwrap_or(Charset::Utf8),
        tstamp: None,
    }
}
