//! Names of what an approval on a PC says (`inicis.md §1.8`).
//!
//! Invariant: see [`crate::details`].

use crate::details::{self, Account, Names};
pub use crate::details::{Details, Institution};
use crate::json::Object;

const NAMES: Names = Names {
    approval: &["applNum", "BCSH_ApplNum", "OCB_PayApplNum"],
    card: &["CARD_Code"],
    card_name: &["CARD_IssuerName", "P_FN_NM"],
    bank: &["ACCT_BankCode"],
    bank_name: &["ACCT_BankName"],
    acquirer: &["CARD_PurchaseCode"],
    acquirer_name: &["CARD_PurchaseName"],
    card_number: &["CARD_Num"],
    phone: &["HPP_Num", "PHNB_Num"],
    months: &["CARD_Quota"],
    interest: &["CARD_Interest"],
    wallet: &["CARD_SrcCode"],
    points: &["CARD_UsePoint", "OCB_PayPrice", "UNPT_PayPrice", "UPNT_PayPrice", "NAVERPOINT_UseFreePoint"],
    discount: &["CARD_CouponDiscount"],
    partial: &["CARD_PRTC_CODE", "CARD_PrtcCode"],
    receipt: [
        &["CSHR_ResultCode", "CSHRResultCode"],
        &["CSHR_Type"],
        &["CSHR_ApplNum"],
        &["CSHR_ApplDate"],
        &["CSHR_ApplTime"],
    ],
    account: [
        &["VACT_Num"],
        &["VACT_BankCode"],
        &["vactBankName"],
        &["VACT_Name"],
        &["VACT_Date"],
        &["VACT_Time"],
    ],
    kept: &[
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
        "CSHR_ResultCode",
        "CSHRResultCode",
        "CSHR_Type",
        "HPP_Corp",
        "GAMG_ApplPrice",
        "GAMG_Cnt",
        "BCSH_ApplPrice",
        "TEEN_ApplPrice",
        "VACT_InputName",
    ],
};

/// Reads the details of a PC approval.
pub fn of_pc(fields: &Object) -> Details {
    details::read(&|name| fields.shown(name), &NAMES)
}

/// Reads the account of an issue.
pub fn account(fields: &Object) -> Option<Account> {
    details::account(&|name| fields.shown(name), &NAMES)
}
