//! Invariant: what a person does in the window and what `POST /_sim/window` does are the same function, [`decide`].

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::request::PayRequest;
use crate::codes;
use crate::form::Charset;
use crate::ledger::{Authentication, Event, LedgerError};
use crate::refusal::Refusal;
use crate::sim::Sim;

/// What the person does.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "choice", rename_all = "snake_case")]
pub enum Choice {
    /// Authenticates; the approval will succeed.
    Pay {
        /// Card company (§8.2).
        card: String,
        /// Two digits, `00` for a single payment.
        #[serde(default = "single")]
        quota: String,
    },
    /// Authenticates; the approval will be declined.
    Decline {
        /// Card company.
        card: String,
        /// Instalments.
        #[serde(default = "single")]
        quota: String,
        /// Six digits of §8.4.
        code: String,
    },
    /// The authentication at the card company fails.
    AuthFail,
    /// Closes the window.
    Cancel,
}

fn single() -> String {
    "00".to_owned()
}

/// The post that the browser sends to the merchant.
#[derive(Clone, Debug)]
pub struct ReturnPost {
    /// returnUrl.
    pub url: String,
    /// Charset of the post.
    pub charset: Charset,
    /// Whether it stays in the frame (`poptargetself`).
    pub in_frame: bool,
    /// Fields in order.
    pub fields: Vec<(String, String)>,
}

/// Where the window leads.
#[derive(Clone, Debug)]
pub enum Leaving {
    /// A post to returnUrl.
    Post(ReturnPost),
    /// The frame goes to closeUrl; nothing is posted (§1.1).
    Close(String),
}

/// The window's decision could not be made.
#[derive(Debug, thiserror::Error)]
pub enum WindowError {
    /// The choice is not possible.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Not booked.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// Windows that are open, by id. They do not survive a restart: the buyer opens a new one.
#[derive(Debug, Default)]
pub struct Windows(Mutex<HashMap<String, (i64, PayRequest)>>);

/// Most open windows; the oldest goes first.
const OPEN_WINDOWS: usize = 4096;

impl Windows {
    /// Opens a window and returns its id.
    pub fn open(&self, now_ms: i64, request: PayRequest) -> String {
        let id = format!("{:032x}", rand::random::<u128>());
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if open.len() >= OPEN_WINDOWS {
            let oldest = open.iter().min_by_key(|(_, (at, _))| *at).map(|(id, _)| id.clone());
            oldest.and_then(|id| open.remove(&id));
        }
        open.insert(id.clone(), (now_ms, request));
        id
    }

    /// The request of an open window.
    pub fn get(&self, id: &str) -> Option<PayRequest> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(id).map(|(_, request)| request.clone())
    }

    /// Closes a window; `None` if it is not open (any more).
    pub fn close(&self, id: &str) -> Option<PayRequest> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(id).map(|(_, request)| request)
    }

    /// Closes all.
    pub fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// Checks a choice before the window closes, so that a wrong one can be corrected in it.
///
/// # Errors
/// A card or an instalment that the window does not offer, or a code that is not six digits.
pub fn check(sim: &Sim, request: &PayRequest, choice: &Choice) -> Result<(), Refusal> {
    let (card, quota) = match choice {
        Choice::Pay { card, quota } | Choice::Decline { card, quota, .. } => (card, quota),
        Choice::AuthFail | Choice::Cancel => return Ok(()),
    };
    if !request.cards.contains(card) {
        return Err(Refusal::new("SIM:CARD", "선택할 수 없는 카드사입니다"));
    }
    let test = sim.merchants.get(&request.mid).is_some_and(|merchant| merchant.test);
    if test && card == codes::CARD_KB {
        return Err(Refusal::new("SIM:CARD", "테스트 상점에서는 국민카드를 사용할 수 없습니다"));
    }
    if !request.quotas.contains(quota) {
        return Err(Refusal::coded("500607", quota));
    }
    match choice {
        Choice::Decline { code, .. } if code.len() != 6 || !super::rules::digits(code) => {
            Err(Refusal::new("SIM:CODE", "거절 코드는 여섯 자리 숫자입니다"))
        }
        Choice::Decline { .. } | Choice::Pay { .. } | Choice::AuthFail | Choice::Cancel => Ok(()),
    }
}

/// Books what the person chose and says where the browser goes.
///
/// # Errors
/// The choice is not possible, or it could not be booked.
pub async fn decide(sim: &Sim, request: &PayRequest, choice: Choice) -> Result<Leaving, WindowError> {
    check(sim, request, &choice)?;
    match choice {
        Choice::Pay { card, quota } => authenticate(sim, request, card, quota, None).await,
        Choice::Decline { card, quota, code } => authenticate(sim, request, card, quota, Some(code)).await,
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
    card: String,
    quota: String,
    planned_decline: Option<String>,
) -> Result<Leaving, WindowError> {
    let token = new_token();
    let idc = sim.next_idc();
    let auth = Authentication {
        mid: request.mid.clone(),
        oid: request.oid.clone(),
        price: request.price,
        currency: request.currency.clone(),
        method: "Card".to_owned(),
        goodname: request.goodname.clone(),
        buyername: request.buyername.clone(),
        buyertel: request.buyertel.clone(),
        buyeremail: request.buyeremail.clone(),
        parentemail: request.parentemail.clone(),
        card,
        quota,
        idc: idc.clone(),
        form_timestamp: request.timestamp.clone(),
        planned_decline,
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
    Ok(Leaving::Post(post(request, fields)))
}

fn post(request: &PayRequest, fields: Vec<(&str, String)>) -> ReturnPost {
    ReturnPost {
        url: request.return_url.clone(),
        charset: request.charset,
        in_frame: request.accept.get("poptargetself").is_some(),
        fields: fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
    }
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
