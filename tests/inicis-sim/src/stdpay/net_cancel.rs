//! Invariant: a net cancel takes back an approval only when it repeats the approval's request field by field, and it
//! never takes back a sale twice.

use super::approval::plain;
use super::fields::pay_method;
use super::request::known_merchant;
use crate::answer::{Answer, object};
use crate::fault::Operation;
use crate::form::Fields;
use crate::ledger::{Event, LedgerError, Sale, SaleState};
use crate::refusal::Refusal;
use crate::sim::Sim;

/// Takes an approval back (§1.10).
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
    let token = fields.get("authToken");
    let outcome = sim.ledger.book(|book| {
        let sale = book
            .by_token(token)
            .filter(|sale| sale.auth.mid == fields.get("mid") && sale.auth.mobile.is_none());
        let verdict = match forced_decline {
            Some(code) => Err(Refusal::coded(code, "망취소 거절")),
            None => verify(sim, fields, idc, sale, now),
        };
        match verdict {
            Ok(sale) => {
                let answer = [
                    ("resultCode", "0000"),
                    ("resultMsg", "정상처리되었습니다."),
                    ("tid", sale.tid.as_deref().unwrap_or_default()),
                    ("moid", &sale.auth.oid),
                    ("mid", &sale.auth.mid),
                    ("timestamp", fields.get("timestamp")),
                    ("selectPayMethod", pay_method(&sale.auth)),
                ];
                let answer = object(answer.map(|(name, value)| (name, value.to_owned())));
                (vec![Event::NetCancelled { at: now, token: token.to_owned() }], answer)
            }
            Err(refusal) => {
                let oid = sale.map_or("", |sale| &sale.auth.oid);
                let refused = sim.refused(Operation::NetCancel.name(), fields.get("mid"), oid, &refusal);
                let early =
                    sale.filter(|sale| sale.state == SaleState::Authenticated && forced_decline.is_none());
                let early = early.map(|_| Event::NetCancelledEarly { at: now, token: token.to_owned() });
                let answer = object([("resultCode", refusal.code), ("resultMsg", refusal.message)]);
                (early.into_iter().chain([refused]).collect(), answer)
            }
        }
    });
    Ok(plain(fields, outcome.await?))
}

fn verify<'a>(
    sim: &Sim,
    fields: &Fields,
    idc: &str,
    sale: Option<&'a Sale>,
    now: i64,
) -> Result<&'a Sale, Refusal> {
    fields.refuse_twins()?;
    fields.require(&["mid", "authToken"])?;
    known_merchant(sim, fields.get("mid"))?;
    let sale = sale.ok_or_else(|| Refusal::new("SIM:TOKEN", "발급된 적이 없는 authToken 입니다"))?;
    if sim.settings.token_bound_to_idc && sale.auth.idc != idc {
        return Err(Refusal::new(
            "SIM:IDC",
            format!("{} 에서 발급된 인증을 {idc} 로 보냈습니다", sale.auth.idc),
        ));
    }
    still_held(sale)?;
    let sent = fields.sorted();
    let differs =
        |(name, value): &&(String, String)| !sale.approval_map.iter().any(|(n, v)| n == name && v == value);
    let missing = sale.approval_map.iter().find(|pair| !sent.contains(pair)).map(|(name, _)| name);
    if let Some(name) = sent.iter().find(differs).map(|(name, _)| name).or(missing) {
        return Err(Refusal::new("SIM:MAP", format!("승인 요청과 다른 항목이 있습니다: {name}")));
    }
    in_time(sim, sale, now)?;
    Ok(sale)
}

/// Whether a sale is in a state that a net cancel takes back.
///
/// # Errors
/// Never approved, or cancelled already; of which a part was cancelled (625: assumed to be said of a net cancel too).
pub fn still_held(sale: &Sale) -> Result<(), Refusal> {
    match sale.state {
        SaleState::Authenticated | SaleState::Declined => {
            Err(Refusal::new("SIM:NOSALE", "취소할 승인이 없습니다"))
        }
        SaleState::NetCancelled | SaleState::Cancelled => {
            Err(Refusal::new("SIM:TWICE", "이미 취소된 거래입니다"))
        }
        SaleState::PartiallyCancelled => {
            let code = format!("{}625", sale.network());
            Err(Refusal::coded(&code, "부분취소된 거래는 망취소할 수 없습니다"))
        }
        SaleState::Approved | SaleState::AwaitingDeposit => Ok(()),
    }
}

/// Whether a net cancel is still in time.
///
/// # Errors
/// The window is over.
pub fn in_time(sim: &Sim, sale: &Sale, now: i64) -> Result<(), Refusal> {
    if now - sale.approved_at.unwrap_or_default() > sim.settings.net_cancel_window_ms {
        return Err(Refusal::new("SIM:LATE", "망취소 가능 시간이 지났습니다"));
    }
    Ok(())
}
