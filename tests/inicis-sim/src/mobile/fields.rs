//! Invariant: an approval of a phone answers the common fields and those of its method, in the spelling of
//! `reference/inicis.md` §2.5.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use crate::answer::object;
use crate::booking::Booking;
use crate::clock::kst14;
use crate::codes;
use crate::ledger::Authentication;
use crate::method;
use crate::stdpay::fields::{charged, masked};

/// P_RMESG1 of an approval, as captured answers have it from 2016 to 2026.
const SUCCESS: &str = "성공적으로 처리 하였습니다.";

type Pairs<'a> = Vec<(&'a str, String)>;

/// The fields of an approval.
#[must_use]
pub fn approved(auth: &Authentication, partial_cancel: bool, booking: &Booking) -> Map<String, Value> {
    let mut fields = common(auth, booking);
    fields.extend(match auth.method.as_str() {
        "Card" => card(auth, partial_cancel, booking),
        "DirectBank" => transfer(auth, booking),
        "VBank" => account(booking),
        "HPP" => {
            vec![("P_HPP_CORP", auth.means.telco.clone()), ("P_HPP_NUM", auth.means.phone.clone())]
        }
        // The reference names no field of vouchers on the phone.
        _ => Vec::new(),
    });
    object(fields)
}

/// What every method answers, in the order of captured answers. The code of the company comes with the method.
fn common<'a>(auth: &Authentication, booking: &Booking) -> Pairs<'a> {
    let order = auth.mobile.clone().unwrap_or_default();
    let kind = method::by_name(&auth.method).and_then(|method| method.mobile.as_ref());
    let is_card = auth.method == "Card";
    let quota = if is_card { auth.quota.clone() } else { String::new() };
    vec![
        ("P_STATUS", "00".to_owned()),
        ("P_AUTH_DT", kst14(booking.now)),
        ("P_AUTH_NO", if is_card { booking.appl_num.clone() } else { String::new() }),
        ("P_RMESG1", SUCCESS.to_owned()),
        ("P_RMESG2", quota),
        ("P_TID", booking.tid.clone()),
        ("P_AMT", auth.price.to_string()),
        ("P_TYPE", kind.map_or("", |mobile| mobile.name).to_owned()),
        ("P_UNAME", auth.buyername.clone()),
        ("P_MID", auth.mid.clone()),
        ("P_OID", auth.oid.clone()),
        ("P_NOTI", order.noti),
        ("P_NEXT_URL", order.next_url),
        ("P_MNAME", order.mname),
        ("P_NOTEURL", order.noti_url),
    ]
}

fn card<'a>(auth: &Authentication, partial_cancel: bool, booking: &Booking) -> Pairs<'a> {
    let means = &auth.means;
    let name = codes::card_name(&auth.card).unwrap_or_default().to_owned();
    let flag = |set: bool| if set { "1" } else { "0" }.to_owned();
    let mut fields = vec![
        ("P_FN_CD1", auth.card.clone()),
        ("P_CARD_MEMBER_NUM", String::new()),
        ("P_CARD_NUM", masked(&booking.appl_num)),
        ("P_CARD_ISSUER_CODE", auth.card.clone()),
        ("P_CARD_PURCHASE_CODE", auth.card.clone()),
        ("P_CARD_PRTC_CODE", flag(partial_cancel)),
        ("P_CARD_INTEREST", flag(means.interest_free)),
        ("P_CARD_CHECKFLAG", flag(means.check)),
        ("P_CARD_ISSUER_NAME", name.clone()),
        ("P_CARD_PURCHASE_NAME", name.clone()),
        ("P_FN_NM", name),
        ("CARD_CorpFlag", "0".to_owned()),
        ("P_ISP_CARDCODE", if means.isp { auth.card.clone() } else { String::new() }),
        ("P_SRC_CODE", means.wallet.clone()),
        ("P_COUPONFLG", flag(means.coupon > 0)),
        ("P_COUPON_DISCOUNT", means.coupon.to_string()),
        // Captured: base64 of `usepoint=0&`, and of `usepoint=10000&` beside P_CARD_USEPOINT=10000.
        ("P_MERCHANT_RESERVED", STANDARD.encode(format!("usepoint={}&", means.points))),
        ("P_CARD_APPLPRICE", charged(auth).to_string()),
        ("P_CARD_USEPOINT", means.points.to_string()),
        ("EventCode", String::new()),
    ];
    if means.wallet == "I" {
        let points = if auth.card == "91" { auth.price } else { 0 };
        fields.push(("NAVERPOINT_UseFreePoint", points.to_string()));
        fields.push(("NAVERPOINT_CSHRApplYN", "N".to_owned()));
        fields.push(("NAVERPOINT_CSHRApplAmt", "0".to_owned()));
    }
    fields
}

fn transfer<'a>(auth: &Authentication, booking: &Booking) -> Pairs<'a> {
    let mut fields = vec![
        ("P_FN_CD1", auth.means.bank.clone()),
        ("P_FN_NM", codes::bank_name(&auth.means.bank).to_owned()),
    ];
    if auth.means.receipt.is_empty() {
        return fields;
    }
    // VAT as the merchant set it, else a tenth of what is taxed.
    let taxed = auth.price.saturating_sub(auth.taxfree.unwrap_or_default());
    let tax = auth.tax.unwrap_or(taxed / 11);
    fields.extend([
        ("P_CSHR_CODE", "220000".to_owned()),
        ("P_CSHR_MSG", "정상처리되었습니다.".to_owned()),
        ("P_CSHR_AMT", auth.price.to_string()),
        ("P_CSHR_SUP_AMT", auth.price.saturating_sub(tax).to_string()),
        ("P_CSHR_TAX", tax.to_string()),
        ("P_CSHR_SRVC_AMT", "0".to_owned()),
        ("P_CSHR_TYPE", auth.means.receipt.clone()),
        ("P_CSHR_DT", kst14(booking.now)),
        ("P_CSHR_AUTH_NO", booking.appl_num.clone()),
    ]);
    fields
}

fn account<'a>(booking: &Booking) -> Pairs<'a> {
    let account = booking.account.clone().unwrap_or_default();
    let (date, time) = account.due.split_at_checked(8).unwrap_or_default();
    vec![
        ("P_VACT_NUM", account.number.clone()),
        ("P_VACT_DATE", date.to_owned()),
        ("P_VACT_TIME", format!("{time}00")),
        ("P_VACT_NAME", account.holder.clone()),
        ("P_VACT_BANK_CODE", account.bank.clone()),
        ("P_FN_NM", codes::bank_name(&account.bank).to_owned()),
    ]
}
