//! Invariant: an approval answers the common fields and those of its method, in the spelling of
//! `reference/inicis.md` §1.8; fields whose meaning is not documented are left out.

use serde_json::{Map, Value};

use crate::answer::object;
use crate::clock::kst_date_time;
use crate::codes;
use crate::ledger::{Authentication, VirtualAccount};
use crate::merchant::Merchant;

/// What the approval made.
#[derive(Clone, Copy, Debug)]
pub struct Made<'a> {
    /// Transaction.
    pub tid: &'a str,
    /// Order number.
    pub oid: &'a str,
    /// Approval number.
    pub appl_num: &'a str,
    /// The account that was opened.
    pub account: Option<&'a VirtualAccount>,
    /// When.
    pub now: i64,
}

type Pairs<'a> = Vec<(&'a str, String)>;

/// The fields of an approval.
#[must_use]
pub fn approved(auth: &Authentication, merchant: &Merchant, made: Made<'_>) -> Map<String, Value> {
    let mut fields = common(auth, made);
    fields.extend(match auth.method.as_str() {
        "Card" => card(auth, merchant, made),
        "DirectBank" => transfer(auth, made),
        "VBank" => account(auth, made),
        "HPP" => phone(auth),
        "PhoneBill" => vec![("PHNB_Num", auth.means.phone.clone())],
        _ => voucher_or_points(auth, made),
    });
    object(fields)
}

/// payMethod: ISP cards have a name of their own (§1.3).
#[must_use]
pub fn pay_method(auth: &Authentication) -> &str {
    match crate::method::by_name(&auth.method) {
        Some(_) if auth.means.isp => "VCard",
        Some(method) => method.answer,
        None => &auth.method,
    }
}

fn common<'a>(auth: &Authentication, made: Made<'_>) -> Pairs<'a> {
    let (date, time) = kst_date_time(made.now);
    let mut fields = vec![
        ("resultCode", "0000".to_owned()),
        ("resultMsg", "정상처리되었습니다.".to_owned()),
        ("tid", made.tid.to_owned()),
        ("mid", auth.mid.clone()),
        ("MOID", made.oid.to_owned()),
        ("TotPrice", auth.price.to_string()),
        ("payMethod", pay_method(auth).to_owned()),
        ("payMethodDetail", pay_method(auth).to_owned()),
        ("applDate", date),
        ("applTime", time),
    ];
    // Not every method has one (§1.8); which do is an assumption.
    if matches!(auth.method.as_str(), "Card" | "OCBPoint" | "GSPT" | "UPNT") {
        fields.push(("applNum", made.appl_num.to_owned()));
    }
    fields.extend([
        ("goodName", auth.goodname.clone()),
        ("goodsName", auth.goodname.clone()),
        ("buyerName", auth.buyername.clone()),
        ("buyerTel", auth.buyertel.clone()),
        ("buyerEmail", auth.buyeremail.clone()),
        ("custEmail", auth.buyeremail.clone()),
        ("parentEmail", auth.parentemail.clone()),
        ("EventCode", String::new()),
        ("payDevice", "PC".to_owned()),
        ("currency", auth.currency.clone()),
        ("OrgPrice", String::new()),
    ]);
    fields
}

/// An amount, or empty when it is zero.
fn won(amount: u64) -> String {
    if amount == 0 { String::new() } else { amount.to_string() }
}

fn flag(set: bool) -> String {
    if set { "1" } else { "0" }.to_owned()
}

/// What the card company charges: card points and its discount are taken off; TotPrice stays.
#[must_use]
pub fn charged(auth: &Authentication) -> u64 {
    auth.price.saturating_sub(auth.means.points).saturating_sub(auth.means.coupon)
}

/// A masked number that goes with an approval number.
#[must_use]
pub fn masked(appl_num: &str) -> String {
    format!("553637******{}", appl_num.get(4..).unwrap_or_default())
}

fn card<'a>(auth: &Authentication, merchant: &Merchant, made: Made<'_>) -> Pairs<'a> {
    let means = &auth.means;
    let name = codes::card_name(&auth.card).unwrap_or_default().to_owned();
    let coupon_price = if means.coupon == 0 { 0 } else { auth.price.saturating_sub(means.coupon) };
    let mut fields = vec![
        ("CARD_Num", masked(made.appl_num)),
        ("CARD_Code", auth.card.clone()),
        ("CARD_BankCode", "00".to_owned()),
        ("CARD_Quota", auth.quota.clone()),
        ("CARD_Interest", flag(means.interest_free)),
        ("CARD_CorpFlag", "0".to_owned()),
        ("CARD_CheckFlag", flag(means.check)),
        ("CARD_PRTC_CODE", flag(merchant.partial_cancel)),
        ("CARD_PrtcCode", flag(merchant.partial_cancel)),
        ("CARD_SrcCode", means.wallet.clone()),
        ("CARD_Point", flag(means.points > 0).replace('0', "")),
        ("CARD_UsePoint", won(means.points)),
        ("CARD_CouponPrice", won(coupon_price)),
        ("CARD_CouponDiscount", won(means.coupon)),
        ("CARD_ApplPrice", charged(auth).to_string()),
        ("CARD_PurchaseCode", auth.card.clone()),
        ("CARD_PurchaseName", name.clone()),
        ("P_FN_NM", name),
    ];
    if means.wallet == "I" {
        let points = if auth.card == "91" { auth.price } else { 0 };
        fields.push(("NAVERPOINT_UseFreePoint", points.to_string()));
        fields.push(("NAVERPOINT_CSHRApplYN", "N".to_owned()));
        fields.push(("NAVERPOINT_CSHRApplAmt", "0".to_owned()));
    }
    if means.isp {
        fields.push(("ISP_CardCode", auth.card.clone()));
        fields.push(("ISP_RetrievalNum", made.appl_num.to_owned()));
    }
    fields
}

fn transfer<'a>(auth: &Authentication, made: Made<'_>) -> Pairs<'a> {
    let means = &auth.means;
    let asked = !means.receipt.is_empty();
    let when_asked = |text: &str| if asked { text.to_owned() } else { String::new() };
    vec![
        ("ACCT_BankCode", means.bank.clone()),
        ("ACCT_Name", auth.buyername.clone()),
        ("CSHR_ResultCode", when_asked("220000")),
        ("CSHR_Type", means.receipt.clone()),
        ("CSHR_ApplNum", when_asked(made.appl_num)),
    ]
}

fn account<'a>(auth: &Authentication, made: Made<'_>) -> Pairs<'a> {
    let account = made.account.cloned().unwrap_or_default();
    let (date, time) = account.due.split_at_checked(8).unwrap_or_default();
    let depositor = &auth.means.depositor;
    vec![
        ("VACT_Num", account.number.clone()),
        ("VACT_BankCode", account.bank.clone()),
        ("vactBankName", codes::bank_name(&account.bank).to_owned()),
        ("VACT_Name", account.holder.clone()),
        ("VACT_InputName", if depositor.is_empty() { auth.buyername.clone() } else { depositor.clone() }),
        ("VACT_Date", date.to_owned()),
        ("VACT_Time", format!("{time}00")),
    ]
}

fn phone<'a>(auth: &Authentication) -> Pairs<'a> {
    vec![
        ("HPP_Num", auth.means.phone.clone()),
        ("HPP_Corp", auth.means.telco.clone()),
        ("HPP_BillKey", String::new()),
    ]
}

fn voucher_or_points<'a>(auth: &Authentication, made: Made<'_>) -> Pairs<'a> {
    let (user, number) = (auth.means.user.clone(), made.appl_num.to_owned());
    let price = auth.price.to_string();
    let card_number = || masked(made.appl_num);
    match auth.method.as_str() {
        "Culture" => vec![("CULT_UserID", user)],
        "DGCL" => vec![
            ("GAMG_ApplPrice", price.clone()),
            ("GAMG_Cnt", "1".to_owned()),
            ("GAMG_Num1", card_number()),
            ("GAMG_Price1", price),
        ],
        "Bcsh" => vec![("BCSH_ApplNum", number), ("BCSH_UserID", user), ("BCSH_ApplPrice", price)],
        "TeenCash" => vec![("TEEN_ApplNum", number), ("TEEN_UserID", user), ("TEEN_ApplPrice", price)],
        "OCBPoint" => vec![
            ("PayOption", String::new()),
            ("OCB_Num", card_number()),
            ("OCB_SaveApplNum", String::new()),
            ("OCB_PayApplNum", number),
            ("OCB_PayPrice", price),
        ],
        "GSPT" => vec![
            ("PayOption", String::new()),
            ("GSPT_ApplPrice", price.clone()),
            ("GSPT_SavePrice", "0".to_owned()),
            ("GSPT_PayPrice", price),
        ],
        "UPNT" => vec![
            ("UPoint_Num", card_number()),
            ("UPoint_usablePoint", "0".to_owned()),
            ("UPoint_ApplPrice", price),
        ],
        // HPMN has no field of its own (§1.8).
        _ => Vec::new(),
    }
}
