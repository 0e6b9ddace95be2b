//! Invariant: what a person does in the phone's window and what `POST /_sim/window` does are the same function,
//! [`decide`]; the authentication result never carries P_OID (`reference/inicis.md` §2.4).

use super::approval::book_it;
use super::request::MobileRequest;
use crate::choice::{Choice, Leaving, ReturnPost, WindowError, spoil};
use crate::ledger::{Authentication, Event};
use crate::notice::build::after_approval;
use crate::offer::Paying;
use crate::refusal::Refusal;
use crate::sim::Sim;

/// Checks a choice before the window closes, so that a wrong one can be corrected in it.
///
/// # Errors
/// Something that the window does not offer, or a code that is not six digits.
pub fn check(request: &MobileRequest, choice: &Choice) -> Result<(), Refusal> {
    if let Some((picked, _)) = choice.picked() {
        let paying = request.offer.pick(picked)?;
        let addresses = !request.return_url.is_empty() && !request.order.noti_url.is_empty();
        if one_transaction(request, &paying) && !addresses {
            let text = "P_NOTI_URL, P_RETURN_URL: 인증과 승인이 한 번에 되는 결제에 필요합니다 (twotrs_isp, twotrs_bank)";
            return Err(Refusal::new("SIM:FIELD", text));
        }
    }
    choice.check_code()
}

/// ISP and transfers are approved by INICIS itself unless the merchant asks for two transactions (§2.7).
fn one_transaction(request: &MobileRequest, paying: &Paying) -> bool {
    let bank = paying.method.name == "DirectBank" && !request.reserved.yes("twotrs_bank");
    bank || (paying.means.isp && !request.reserved.yes("twotrs_isp"))
}

/// Books what the person chose and says where the browser goes.
///
/// # Errors
/// The choice is not possible, or it could not be booked.
pub async fn decide(sim: &Sim, request: &MobileRequest, choice: Choice) -> Result<Leaving, WindowError> {
    check(request, &choice)?;
    let text = match &choice {
        Choice::Pay { .. } | Choice::Decline { .. } | Choice::AppLost { .. } => {
            return pay(sim, request, &choice).await;
        }
        Choice::AuthFail => "카드사 인증에 실패하였습니다",
        Choice::Cancel => "사용자가 결제를 취소하였습니다",
        Choice::AppCancel => "사용자가 결제를 취소하였습니다 (091)",
        Choice::Abnormal => "",
    };
    let event = Event::NotAuthenticated {
        at: sim.clock.now_ms(),
        mid: request.mid.clone(),
        oid: request.oid.clone(),
        code: "01".to_owned(),
    };
    sim.ledger.note(event).await?;
    let mut fields = vec![("P_STATUS", "01".to_owned()), ("P_RMESG1", text.to_owned())];
    if sim.settings.mobile_failure_echoes_noti {
        fields.push(("P_NOTI", request.order.noti.clone()));
    }
    Ok(Leaving::Post(post(sim, request, fields)))
}

async fn pay(sim: &Sim, request: &MobileRequest, choice: &Choice) -> Result<Leaving, WindowError> {
    let Some((picked, decline)) = choice.picked() else { return Ok(Leaving::Lost) };
    let paying = request.offer.pick(picked)?;
    let at_once = one_transaction(request, &paying);
    let idc = sim.next_idc();
    let auth = authentication(request, paying, &idc, decline);
    let at = sim.clock.now_ms();
    let booked = sim.ledger.book(|book| {
        let token = sim.new_tid(book, "INIMX_AUTH", &request.mid);
        let event = |token: &str| Event::Authenticated { at, token: token.to_owned(), auth: Box::new(auth) };
        (vec![event(&token)], token)
    });
    let tid = booked.await?;
    if at_once {
        approve_at_once(sim, &tid, decline).await?;
        let url = request.return_url.clone();
        return Ok(if matches!(choice, Choice::AppLost { .. }) { Leaving::Lost } else { Leaving::Go(url) });
    }
    if matches!(choice, Choice::AppLost { .. }) {
        return Ok(Leaving::Lost);
    }
    let mut fields = vec![
        ("P_STATUS", "00".to_owned()),
        ("P_RMESG1", "정상 처리 되었습니다.".to_owned()),
        ("P_TID", tid),
        ("P_REQ_URL", format!("https://{idc}mobile.inicis.com/smart/payReq.ini")),
        ("P_AMT", request.amount.to_string()),
        ("P_NOTI", request.order.noti.clone()),
    ];
    if request.reserved.yes("centerCd") {
        fields.push(("idc_name", idc));
    }
    Ok(Leaving::Post(post(sim, request, fields)))
}

/// One transaction: INICIS approves without the merchant, who learns of it from the notice to P_NOTI_URL alone. Whether
/// a decline is told there is not documented, so it is not.
async fn approve_at_once(sim: &Sim, token: &str, decline: Option<&str>) -> Result<(), WindowError> {
    let at = sim.clock.now_ms();
    let booked = sim.ledger.book(|book| {
        let Some(sale) = book.by_token(token) else { return (Vec::new(), ()) };
        let events = match decline {
            None => {
                let approved = book_it(sim, book, sale, token, Vec::new()).0;
                let notice = after_approval(sim, book, sale, &approved, true);
                std::iter::once(approved).chain(notice).collect()
            }
            Some(code) => {
                let reason = crate::codes::text(code).to_owned();
                vec![Event::Declined { at, token: token.to_owned(), code: code.to_owned(), reason }]
            }
        };
        (events, ())
    });
    Ok(booked.await?)
}

fn authentication(
    request: &MobileRequest,
    paying: Paying,
    idc: &str,
    decline: Option<&str>,
) -> Authentication {
    Authentication {
        mid: request.mid.clone(),
        oid: request.oid.clone(),
        price: request.amount,
        currency: "WON".to_owned(),
        method: paying.method.name.to_owned(),
        goodname: request.goods.clone(),
        buyername: request.uname.clone(),
        buyertel: request.phone.clone(),
        buyeremail: request.email.clone(),
        parentemail: String::new(),
        card: paying.card,
        quota: paying.quota,
        idc: idc.to_owned(),
        form_timestamp: request.timestamp.clone(),
        planned_decline: decline.map(str::to_owned),
        means: paying.means,
        tax: request.tax,
        taxfree: request.taxfree,
        mobile: Some(request.order.clone()),
        by_api: false,
    }
}

fn post(sim: &Sim, request: &MobileRequest, fields: Vec<(&str, String)>) -> ReturnPost {
    let post = ReturnPost {
        url: request.order.next_url.clone(),
        charset: request.results,
        in_frame: true,
        fields: fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
    };
    spoil(sim, &request.oid, post)
}
