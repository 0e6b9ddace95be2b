//! Invariant: a net cancel of a phone's sale names its authentication, amount and order and proves them with
//! P_CHKFAKE (`reference/inicis.md` §2.6); it never takes back a sale twice.

use super::{answer, pair, phone_sale, right_idc};
use crate::answer::{Answer, object};
use crate::fault::Operation;
use crate::form::Fields;
use crate::hash;
use crate::ledger::{Event, LedgerError, Sale, SaleState};
use crate::refusal::Refusal;
use crate::sim::Sim;
use crate::stdpay::net_cancel::{in_time, still_held};
use crate::stdpay::request::same_hash;
use crate::stdpay::rules::form_timestamp;

/// Takes an approval back.
///
/// # Errors
/// The outcome could not be booked.
pub async fn net_cancel(
    sim: &Sim,
    fields: &Fields,
    idc: &str,
    forced_decline: Option<&str>,
) -> Result<Answer, LedgerError> {
    let now = sim.clock.now_ms();
    let token = fields.get("P_TID");
    let booked = sim.ledger.book(|book| {
        let sale = phone_sale(book, token);
        let verdict = match forced_decline {
            Some(code) => Err(Refusal::coded(code, "망취소 거절")),
            None => verify(sim, fields, idc, sale, now),
        };
        match verdict {
            Ok(()) => {
                let done = object([
                    ("P_STATUS", "00".to_owned()),
                    ("P_RMESG1", "정상처리되었습니다.".to_owned()),
                    ("P_TID", token.to_owned()),
                ]);
                let event = Event::NetCancelled { at: now, token: token.to_owned() };
                (vec![event], answer(sim, sale, Ok(done)))
            }
            Err(refusal) => {
                let oid = sale.map_or("", |sale| &sale.auth.oid);
                let name = Operation::MobileNetCancel.name();
                let refused = sim.refused(name, fields.get("P_MID"), oid, &refusal);
                let early = refusal.code == "SIM:NOSALE"
                    && sale.is_some_and(|sale| sale.state == SaleState::Authenticated);
                let early = early.then(|| Event::NetCancelledEarly { at: now, token: token.to_owned() });
                (early.into_iter().chain([refused]).collect(), answer(sim, sale, Err(refusal)))
            }
        }
    });
    booked.await
}

fn verify(sim: &Sim, fields: &Fields, idc: &str, sale: Option<&Sale>, now: i64) -> Result<(), Refusal> {
    let sale = pair(sale, fields)?;
    fields.refuse_twins()?;
    fields.require(&["P_AMT", "P_OID"])?;
    right_idc(sim, sale, idc)?;
    if fields.get("P_OID") != sale.auth.oid {
        return Err(Refusal::new("SIM:ORDER", "P_OID 가 인증한 주문과 다릅니다"));
    }
    let (amount, timestamp) = (fields.get("P_AMT"), fields.get("P_TIMESTAMP"));
    if amount != sale.auth.price.to_string() {
        return Err(Refusal::coded("500610", "P_AMT"));
    }
    let signed = sale
        .auth
        .mobile
        .as_ref()
        .is_some_and(|order| order.reserved.split('&').any(|word| word == "amt_hash=Y"));
    if !signed && !fields.has("P_CHKFAKE") {
        // P_CHKFAKE is checked only with amt_hash=Y (§2.2); clients that do not ask for it do not send it here either.
        sim.unless_older(&sale.auth.mid, Refusal::coded("500633", "P_CHKFAKE"))?;
        still_held(sale)?;
        return in_time(sim, sale, now);
    }
    fields.require(&["P_TIMESTAMP"])?;
    form_timestamp(sim, timestamp)?;
    let key = sim.merchants.get(&sale.auth.mid).map_or("", |merchant| &merchant.mobile_hash_key);
    let expected = hash::chkfake(amount, fields.get("P_OID"), timestamp, key);
    same_hash("P_CHKFAKE", fields.get("P_CHKFAKE"), &expected)?;
    still_held(sale)?;
    in_time(sim, sale, now)
}
