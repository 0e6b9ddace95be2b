//! Invariant: what a person does in the window and what `POST /_sim/window` does are the same function, [`decide`].

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::request::PayRequest;
use crate::choice::{Choice, Leaving, ReturnPost, WindowError, spoil};
use crate::ledger::{Authentication, Event, LedgerError};
use crate::offer::Picked;
use crate::refusal::Refusal;
use crate::sim::Sim;

/// Checks a choice before the window closes, so that a wrong one can be corrected in it.
///
/// # Errors
/// Something that the window does not offer, or a code that is not six digits.
pub fn check(request: &PayRequest, choice: &Choice) -> Result<(), Refusal> {
    choice.picked().map_or(Ok(()), |(picked, _)| request.offer.pick(picked).map(|_| ()))?;
    choice.check_code()
}

/// Books what the person chose and says where the browser goes.
///
/// # Errors
/// The choice is not possible, or it could not be booked.
pub async fn decide(sim: &Sim, request: &PayRequest, choice: Choice) -> Result<Leaving, WindowError> {
    check(request, &choice)?;
    match choice {
        Choice::Pay { picked } => authenticate(sim, request, &picked, None).await,
        Choice::Decline { picked, code } => authenticate(sim, request, &picked, Some(code)).await,
        Choice::AppCancel | Choice::Abnormal | Choice::AppLost { .. } => {
            Err(Refusal::new("SIM:CHOICE", "휴대폰 결제창에서만 할 수 있는 선택입니다").into())
        }
        Choice::AuthFail => {
            let code = &sim.settings.authentication_failure_result_code;
            not_authenticated(sim, request, code, "카드사 인증에 실패하였습니다").await
        }
        Choice::Cancel => match &request.close_url {
            Some(url) => {
                note_failure(sim, request, "closeUrl").await?;
                Ok(Leaving::Close(url.clone()))
            }
            None => {
                let code = &sim.settings.buyer_cancel_result_code;
                not_authenticated(sim, request, code, "사용자가 결제를 취소하였습니다").await
            }
        },
    }
}

async fn note_failure(sim: &Sim, request: &PayRequest, code: &str) -> Result<(), LedgerError> {
    let (mid, oid) = (request.mid.clone(), request.oid.clone());
    let event = Event::NotAuthenticated { at: sim.clock.now_ms(), mid, oid, code: code.to_owned() };
    sim.ledger.note(event).await
}

/// A failed post has no token fields and no merchantData, which is returned on success only (§1.2, §1.6).
async fn not_authenticated(
    sim: &Sim,
    request: &PayRequest,
    code: &str,
    message: &str,
) -> Result<Leaving, WindowError> {
    note_failure(sim, request, code).await?;
    Ok(Leaving::Post(post(
        sim,
        request,
        vec![
            ("resultCode", code.to_owned()),
            ("resultMsg", message.to_owned()),
            ("mid", request.mid.clone()),
            ("orderNumber", request.oid.clone()),
            ("charset", request.charset.name().to_owned()),
        ],
    )))
}

async fn authenticate(
    sim: &Sim,
    request: &PayRequest,
    picked: &Picked,
    planned_decline: Option<String>,
) -> Result<Leaving, WindowError> {
    let paying = request.offer.pick(picked)?;
    let token = new_token();
    let idc = sim.next_idc();
    let auth = Authentication {
        mid: request.mid.clone(),
        oid: request.oid.clone(),
        price: request.price,
        currency: request.currency.clone(),
        method: paying.method.name.to_owned(),
        goodname: request.goodname.clone(),
        buyername: request.buyername.clone(),
        buyertel: request.buyertel.clone(),
        buyeremail: request.buyeremail.clone(),
        parentemail: request.parentemail.clone(),
        card: paying.card,
        quota: paying.quota,
        idc: idc.clone(),
        form_timestamp: request.timestamp.clone(),
        planned_decline,
        means: paying.means,
        tax: request.tax,
        taxfree: request.taxfree,
        mobile: None,
        by_api: false,
    };
    let event = Event::Authenticated { at: sim.clock.now_ms(), token: token.clone(), auth: Box::new(auth) };
    sim.ledger.note(event).await?;
    let at_idc = |path: &str| format!("https://{idc}stdpay.inicis.com/api/{path}");
    let mut fields = vec![
        ("resultCode", "0000".to_owned()),
        ("resultMsg", "정상처리되었습니다.".to_owned()),
        ("mid", request.mid.clone()),
        ("orderNumber", request.oid.clone()),
        ("authToken", token),
        ("authUrl", at_idc("payAuth")),
        ("netCancelUrl", at_idc("netCancel")),
        ("checkAckUrl", at_idc("checkAck")),
        ("charset", request.charset.name().to_owned()),
        ("merchantData", request.merchant_data.clone()),
        ("returnUrl", request.return_url.clone()),
    ];
    if request.accept.get("centerCd").is_some() {
        fields.push(("idc_name", idc.clone()));
    }
    Ok(Leaving::Post(post(sim, request, fields)))
}

fn post(sim: &Sim, request: &PayRequest, fields: Vec<(&str, String)>) -> ReturnPost {
    let post = ReturnPost {
        url: request.return_url.clone(),
        charset: request.charset,
        in_frame: request.accept.get("poptargetself").is_some(),
        fields: fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
    };
    spoil(sim, &request.oid, post)
}

/// Long base64 with `+`, `/` and `=` (§1.6): a merchant that decodes it twice or not at all is found at once.
fn new_token() -> String {
    loop {
        let mut bytes = [0_u8; 190];
        rand::fill(&mut bytes);
        let token = STANDARD.encode(bytes);
        if ['+', '/', '='].iter().all(|c| token.contains(*c)) {
            return token;
        }
    }
}
