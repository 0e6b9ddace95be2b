//! Names of what a mobile approval says (`inicis.md §2.5`).
//!
//! Invariant: see [`crate::details`]. `P_FN_CD1` is a card company's code in a card sale and a bank's in a transfer;
//! `P_CARD_ISSUER_CODE`, whose table is not documented, is only kept.

use super::nvp::Nvp;
use crate::details::{self, Account, Details, Names};

const NAMES: Names = Names {
    approval: &["P_AUTH_NO"],
    card: &["P_FN_CD1"],
    card_name: &["P_FN_NM"],
    bank: &[],
    bank_name: &[],
    acquirer: &["P_CARD_PURCHASE_CODE"],
    acquirer_name: &["P_CARD_PURCHASE_NAME"],
    card_number: &["P_CARD_NUM"],
    phone: &[],
    months: &["P_RMESG2"],
    interest: &["P_CARD_INTEREST"],
    wallet: &["P_SRC_CODE"],
    points: &["P_CARD_USEPOINT", "NAVERPOINT_UseFreePoint"],
    discount: &["P_COUPON_DISCOUNT"],
    partial: &["P_CARD_PRTC_CODE"],
    receipt: [&["P_CSHR_CODE"], &["P_CSHR_TYPE"], &["P_CSHR_AUTH_NO"], &["P_CSHR_DT"], &[]],
    account: [
        &["P_VACT_NUM"],
        &["P_VACT_BANK_CODE"],
        &["P_FN_NM"],
        &["P_VACT_NAME"],
        &["P_VACT_DATE"],
        &["P_VACT_TIME"],
    ],
    kept: &[
        "P_TYPE",
        "P_FN_CD1",
        "EventCode",
        "CARD_CorpFlag",
        "P_CARD_CHECKFLAG",
        "P_CARD_ISSUER_CODE",
        "P_CARD_ISSUER_NAME",
        "P_CARD_APPLPRICE",
        "P_ISP_CARDCODE",
        "P_COUPONFLG",
        "P_SRC_CODE",
        "P_HPP_CORP",
        "P_CSHR_CODE",
        "P_CSHR_AMT",
        "P_CSHR_SUP_AMT",
        "P_CSHR_TAX",
        "P_CSHR_SRVC_AMT",
        "P_CSHR_TYPE",
        "NAVERPOINT_UseFreePoint",
        "NAVERPOINT_CSHRApplYN",
        "NAVERPOINT_CSHRApplAmt",
    ],
};

/// A transfer: a bank instead of a card, no months.
const BANK: Names =
    Names { card: &[], card_name: &[], bank: &["P_FN_CD1"], bank_name: &["P_FN_NM"], months: &[], ..NAMES };

/// A phone bill.
const PHONE: Names = Names {
    card: &[],
    card_name: &[],
    months: &[],
    approval: &["P_APPL_NUM", "P_AUTH_NO"],
    phone: &["P_HPP_NUM"],
    ..NAMES
};

/// Anything else without a card.
const OTHER: Names = Names { card: &[], card_name: &[], months: &[], ..NAMES };

/// Reads the details of a mobile approval.
pub fn of_mobile(fields: &Nvp) -> Details {
    let names = match fields.shown("P_TYPE").as_deref() {
        Some("CARD" | "ISP") => &NAMES,
        Some("BANK") => &BANK,
        Some("MOBILE") => &PHONE,
        Some(_) | None => &OTHER,
    };
    details::read(&|name| fields.shown(name), names)
}

/// Reads the account of an issue.
pub fn account(fields: &Nvp) -> Option<Account> {
    details::account(&|name| fields.shown(name), &NAMES)
}
