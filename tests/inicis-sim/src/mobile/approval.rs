//! Invariant: an authentication of a phone is approved at most once, and the first approval request of the right MID
//! uses it up; the sale is in the ledger before the answer exists.

use super::{answer, fields, pair, phone_sale, right_idc};
use crate::answer::Answer;
use crate::booking::Booking;
use crate::fault::Operation;
use crate::form::Fields;
use crate::ledger::{Book, Event, LedgerError, Sale, SaleState};
use crate::notice::build::after_approval;
use crate::refusal::Refusal;
use crate::sim::Sim;

/// Approves an authentication (§2.5). `idc` is the data centre whose name the request was sent to.
///
/// # Errors
/// The outcome could not be booked.
pub async fn approve(
    sim: &Sim,
    fields: &Fields,
    idc: &str,
    forced_decline: Option<&str>,
) -> Result<Answer, LedgerError> {
    let tid = fields.get("P_TID");
    let booked = sim.ledger.book(|book| {
        let sale = phone_sale(book, tid);
        let refuse = |refusal: Refusal| {
            let oid = sale.map_or("", |sale| &sale.auth.oid);
            let event = sim.refused(Operation::MobileApprove.name(), fields.get("P_MID"), oid, &refusal);
            (vec![event], answer(sim, sale, Err(refusal)))
        };
        let admitted = pair(sale, fields).and_then(|sale| {
            fields.refuse_twins()?;
            if sale.state == SaleState::Authenticated {
                return Ok(sale);
            }
            Err(Refusal::new("SIM:REUSE", "이미 승인 요청된 인증입니다"))
        });
        let sale = match admitted {
            Ok(sale) => sale,
            Err(refusal) => return refuse(refusal),
        };
        let verdict = verify(sim, book, sale, idc).and_then(|()| {
            let decline = forced_decline.or(sale.auth.planned_decline.as_deref());
            decline.map_or(Ok(()), |code| Err(Refusal::coded(code, "승인 거절")))
        });
        if let Err(refusal) = verdict {
            let (at, token) = (sim.clock.now_ms(), tid.to_owned());
            let (code, reason) = (refusal.code.clone(), refusal.message.clone());
            let event = Event::Declined { at, token, code, reason };
            return (vec![event], answer(sim, Some(sale), Err(refusal)));
        }
        let (event, approved) = book_it(sim, book, sale, tid, fields.sorted());
        let notice = after_approval(sim, book, sale, &event, false);
        let events = std::iter::once(event).chain(notice).collect();
        (events, answer(sim, Some(sale), Ok(approved)))
    });
    booked.await
}

/// Books an approval and makes its fields; also for the payment in one transaction, where INICIS approves by itself.
pub fn book_it(
    sim: &Sim,
    book: &Book,
    sale: &Sale,
    token: &str,
    map: Vec<(String, String)>,
) -> (Event, serde_json::Map<String, serde_json::Value>) {
    let booking = Booking::new(sim, book, &sale.auth);
    let merchant = sim.merchants.get(&sale.auth.mid);
    let partial = merchant.is_some_and(|merchant| merchant.partial_cancel);
    let fields = fields::approved(&sale.auth, partial, &booking);
    (booking.event(token, &sale.auth.oid, map), fields)
}

fn verify(sim: &Sim, book: &Book, sale: &Sale, idc: &str) -> Result<(), Refusal> {
    right_idc(sim, sale, idc)?;
    if sim.clock.now_ms() - sale.authenticated_at > sim.settings.auth_token_life_ms {
        return Err(Refusal::new("SIM:EXPIRE", "인증 유효시간이 지났습니다"));
    }
    if sale.net_cancelled_early && sim.settings.early_net_cancel_blocks_approval {
        return Err(Refusal::new("SIM:EARLY", "승인 전에 망취소된 인증입니다"));
    }
    let prevents = sim.merchants.get(&sale.auth.mid).is_some_and(|m| m.duplicate_order_prevention);
    if prevents && book.approved_by_oid(&sale.auth.mid, &sale.auth.oid).is_some() {
        return Err(Refusal::coded("500619", &sale.auth.oid));
    }
    Ok(())
}
