//! What a buyer paid with, out of an approval (`inicis.md §1.8`).
//!
//! Invariant: details decide nothing. What is missing or cannot be read is absent, and nothing is guessed.

use crate::json::{Object, digits};
use crate::{cards, methods};

/// A card company or bank as it was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Institution {
    /// INICIS's code.
    pub code: String,
    /// Korean name.
    pub ko: String,
    /// English name.
    pub en: String,
}

/// Details of a sale.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Details {
    /// `applNum`.
    pub approval_number: Option<String>,
    /// `CARD_Code`.
    pub issuer: Option<Institution>,
    /// `CARD_PurchaseCode`, `CARD_PurchaseName`.
    pub acquirer: Option<Institution>,
    /// `CARD_Num`.
    pub masked_number: Option<String>,
    /// `CARD_Quota`; 0 is a single payment.
    pub instalments: Option<u32>,
    /// `CARD_Interest` 1.
    pub interest_free: Option<bool>,
    /// `CARD_SrcCode`.
    pub wallet: Option<&'static str>,
    /// `CARD_UsePoint`: minor units.
    pub points: Option<i64>,
    /// `CARD_CouponDiscount`: minor units.
    pub discount: Option<i64>,
    /// `CARD_PRTC_CODE` or `CARD_PrtcCode` 1.
    pub partial_cancel: Option<bool>,
    /// The rest, under INICIS's names.
    pub more: Vec<(String, String)>,
}

/// Fields that are kept under INICIS's own names when they are not empty.
const KEPT: [&str; 20] = [
    "payMethod",
    "payMethodDetail",
    "EventCode",
    "CARD_BankCode",
    "CARD_CheckFlag",
    "CARD_CorpFlag",
    "CARD_SrcCode",
    "CARD_Point",
    "CARD_CouponPrice",
    "CARD_ApplPrice",
    "CARD_GWCode",
    "CARD_ClEvent",
    "ISP_CardCode",
    "OCB_PayPrice",
    "GSPT_ApplPrice",
    "UNPT_PayPrice",
    "NAVERPOINT_UseFreePoint",
    "NAVERPOINT_CSHRApplYN",
    "NAVERPOINT_CSHRApplAmt",
    "OrgPrice",
];

/// Reads the details of a PC approval.
pub fn of_pc(fields: &Object) -> Details {
    let flag = |names: &[&str]| fields.shown_any(names).map(|value| value == "1");
    let sum = |name: &str| fields.shown(name).as_deref().and_then(digits).filter(|sum| *sum > 0);
    let company = |code: &str, names: &[&str]| {
        let code = fields.shown(code)?;
        let answered = fields.shown_any(names);
        let known = cards::by_code(&code).map(|card| card.name);
        let name = |known: Option<&str>| answered.as_deref().or(known).unwrap_or(&code).to_owned();
        Some(Institution {
            ko: name(known.map(|k| k.ko)),
            en: known.map_or_else(|| name(None), |k| k.en.to_owned()),
            code,
        })
    };
    Details {
        approval_number: fields.shown("applNum"),
        issuer: company("CARD_Code", &["CARD_IssuerName", "P_FN_NM"]),
        acquirer: company("CARD_PurchaseCode", &["CARD_PurchaseName"]),
        masked_number: fields.shown("CARD_Num"),
        instalments: fields.shown("CARD_Quota").and_then(|months| months.parse().ok()),
        interest_free: flag(&["CARD_Interest"]),
        wallet: fields.shown("CARD_SrcCode").as_deref().and_then(methods::wallet),
        points: sum("CARD_UsePoint"),
        discount: sum("CARD_CouponDiscount"),
        partial_cancel: flag(&["CARD_PRTC_CODE", "CARD_PrtcCode"]),
        more: KEPT.iter().filter_map(|name| Some(((*name).to_owned(), fields.shown(name)?))).collect(),
    }
}
