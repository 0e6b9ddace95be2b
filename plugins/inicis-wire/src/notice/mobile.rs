//! What is posted to `P_NOTI_URL` (`inicis.md §3.2`; approvals in one transaction `§2.7`).
//!
//! Invariant: for a virtual account `00` means that it was opened and `02` that money was paid in; for the methods of one
//! transaction `00` is the approval itself. `01` is a failure and moves nothing, unless it carries what only an approval has: that
//! is kept for a person.

use super::{Deposit, Fields, Issue, Notice, NoticeError, OK, Said, account_number};
use crate::details;
use crate::mobile::approval;
use crate::{clock, receipt, refusal};

/// Kept under INICIS's own names when they are not empty.
const KEPT: [&str; 14] = [
    "P_AUTH_DT",
    "P_UNAME",
    "P_FN_CD1",
    "P_FN_NM",
    "P_RMESG1",
    "P_RMESG2",
    "P_RMESG3",
    "P_CSHR_AMT",
    "P_CSHR_SUP_AMT",
    "P_CSHR_TAX",
    "P_CSHR_SRVC_AMT",
    "P_CSHR_TYPE",
    "P_CSHR_DT",
    "P_CSHR_AUTH_NO",
];

pub(super) fn read(fields: Fields, mid: &str) -> Result<Notice, NoticeError> {
    fields.merchant("P_MID", mid)?;
    let account = fields.required("P_TYPE")? == "VBANK";
    let said = match (fields.required("P_STATUS")?, account) {
        ("00", true) => issue(&fields)?,
        ("02", true) => Said::Deposited(deposit(&fields)?),
        ("00", false) => approved(fields)?,
        ("01", _) if !fields.is_filled_any(refusal::MOBILE_APPROVAL.only_when_done) => {
            Said::Ignored("a payment that failed (P_STATUS 01)")
        }
        ("01", _) => {
            return Err(NoticeError::Field("P_STATUS says failed, and yet there is an approval".to_owned()));
        }
        _ => return Err(NoticeError::Field("P_STATUS is none that is documented for P_TYPE".to_owned())),
    };
    Ok(Notice { said, reply: OK })
}

/// An issue is also told to the browser; without an account number there is nothing to add to that.
fn issue(fields: &Fields) -> Result<Said, NoticeError> {
    let (tid, oid, amount) = (fields.tid("P_TID")?, fields.oid("P_OID")?, fields.amount("P_AMT")?);
    let Some(number) = number(fields) else {
        return Ok(Said::Ignored("an account was opened, and the notice does not name it"));
    };
    let code = fields.shown("P_FN_CD1").unwrap_or_default();
    let bank = details::bank(code, fields.shown("P_FN_NM"));
    // The buyer's name is none of an account's details.
    let kept = KEPT.iter().copied().filter(|name| *name != "P_UNAME").collect::<Vec<_>>();
    Ok(Said::Issued(Issue { tid, oid, amount, number, bank, more: fields.kept(&kept) }))
}

/// Whether `P_TID` of `02` is the deposit's number or the issue's is not documented (`inicis.md §3.2`): two deposits into one
/// account may share it. So the moment is part of what makes a deposit one, and the issue's number counts as not told.
fn deposit(fields: &Fields) -> Result<Deposit, NoticeError> {
    let at_ms = moment(fields)?;
    Ok(Deposit {
        tid: format!("{}@{at_ms}", fields.tid("P_TID")?),
        issue_tid: None,
        oid: fields.oid("P_OID")?,
        amount: fields.amount("P_AMT")?,
        number: number(fields).unwrap_or_default(),
        depositor: fields.shown("P_UNAME"),
        at_ms,
        more: fields.kept(&KEPT),
    })
}

fn approved(fields: Fields) -> Result<Said, NoticeError> {
    fields.oid("P_OID")?;
    fields.amount("P_AMT")?;
    let at_ms = moment(&fields)?;
    let mut sale = approval::approved(fields.0)?;
    if sale.method.kind == "virtual_account" || !receipt::is_tid(&sale.tid) {
        return Err(NoticeError::Field("P_TYPE is no method of one transaction".to_owned()));
    }
    sale.approved_at_ms = Some(at_ms);
    Ok(Said::Approved(Box::new(sale)))
}

/// `P_VACCT_NO` of `P_RMESG1`: `P_VACCT_NO=number|P_EXP_DT=date`.
fn number(fields: &Fields) -> Option<String> {
    let words = fields.shown("P_RMESG1")?;
    words.split('|').find_map(|part| account_number(part.trim().strip_prefix("P_VACCT_NO=")?))
}

/// `P_AUTH_DT`: 14 digits, or 12 without the century (`inicis.md §3.2`).
fn moment(fields: &Fields) -> Result<i64, NoticeError> {
    let text = fields.required("P_AUTH_DT")?;
    let read =
        if text.len() == 12 { clock::from_kst14(&format!("20{text}")) } else { clock::from_kst14(text) };
    read.ok_or_else(|| NoticeError::Field("P_AUTH_DT is no moment that exists".to_owned()))
}
