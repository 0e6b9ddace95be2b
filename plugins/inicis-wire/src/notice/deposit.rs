//! The deposit notice of an account that was opened on a PC or by API (`inicis.md §3.1`).
//!
//! Invariant: only `0200` is money and only `0400` takes it back; whatever `type_msg` else says is not guessed at. Nothing
//! depends on the fields that some senders spell differently (`no_transseq`) or leave blank (`dt_calculstd`).

use super::{Deposit, Fields, Notice, NoticeError, OK, Said};
use crate::{clock, receipt};

/// Kept under INICIS's own names when they are not empty.
const KEPT: [&str; 20] = [
    "len",
    "cd_bank",
    "cd_deal",
    "no_msgseq",
    "cd_joinorg",
    "dt_transbase",
    "no_transseq",
    "cl_trans",
    "cl_close",
    "flg_close",
    "no_msgmanage",
    "msg_id",
    "amt_check",
    "nm_inputbank",
    "dt_inputstd",
    "dt_calculstd",
    "dt_cshr",
    "tm_cshr",
    "no_cshr_appl",
    "no_cshr_tid",
];

pub(super) fn read(fields: &Fields, mid: &str) -> Result<Notice, NoticeError> {
    fields.merchant("id_merchant", mid)?;
    let said = match fields.required("type_msg")? {
        "0200" => Said::Deposited(deposit(fields)?),
        "0400" => Said::DepositCancelled(deposit(fields)?),
        _ => return Err(NoticeError::Field("type_msg is neither 0200 nor 0400".to_owned())),
    };
    Ok(Notice { said, reply: OK })
}

fn deposit(fields: &Fields) -> Result<Deposit, NoticeError> {
    let (date, time) = (fields.required("dt_trans")?, fields.required("tm_trans")?);
    let at_ms = clock::from_kst(date, time)
        .ok_or_else(|| NoticeError::Field("dt_trans and tm_trans are no moment that exists".to_owned()))?;
    Ok(Deposit {
        tid: fields.tid("no_tid")?,
        // Newer messages only; what is there and is no number of INICIS is not one.
        issue_tid: fields.shown("no_req_tid").filter(|tid| receipt::is_tid(tid)),
        oid: fields.oid("no_oid")?,
        amount: fields.amount("amt_input")?,
        number: fields.account("no_vacct")?,
        depositor: fields.shown("nm_input"),
        at_ms,
        more: fields.kept(&KEPT),
    })
}
