//! The post that brings the buyer's browser back from the mobile window (`inicis.md §2.4`).
//!
//! Invariant: it comes from a stranger. It is believed only in form: no doubled field, our order number in `P_NOTI`, our
//! amount, and an address out of the table. It says nothing about money.

use crate::form::{Form, FormError};
use crate::idc::{Idc, IdcError};
use crate::{No, codes, receipt};

/// What INICIS lets us ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// `P_TID` of the authentication; a refund needs that of the approval (`inicis.md §9.14`).
    pub tid: String,
    /// Where to ask.
    pub idc: Idc,
}

/// What the post says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The buyer proved who he is; nothing is paid yet.
    Authenticated(Ticket),
    /// Not: failed, given up or closed. All of them are `P_STATUS` 01, and the words of a cancel are not documented to the
    /// letter (`inicis.md §2.4, §9.15`), so that none is taken for one.
    Declined(No),
}

/// Not a post that INICIS made for this order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// Cannot be read.
    #[error("{0}")]
    Form(#[from] FormError),
    /// Another order.
    #[error("the return is for another order (P_NOTI)")]
    Order,
    /// Another amount.
    #[error("the return is for another amount (P_AMT)")]
    Amount,
    /// Not a number of INICIS.
    #[error("P_TID is not a transaction number")]
    Tid,
    /// An address that is not INICIS's.
    #[error("{0}")]
    Address(#[from] IdcError),
}

/// Whether the form is of the mobile window.
pub fn is_mobile(form: &Form) -> bool {
    !matches!(form.bytes("P_STATUS"), Ok(None))
}

/// Reads the post.
pub fn read(form: &Form, oid: &str, amount: i64) -> Result<Reply, ReplyError> {
    let status = form.required("P_STATUS")?;
    if status == "00" {
        return ticket(form, oid, amount).map(Reply::Authenticated);
    }
    // A failure may lack the other fields; the order number, when it came, must still be ours.
    if form.optional("P_NOTI")?.is_some_and(|noti| noti != oid) {
        return Err(ReplyError::Order);
    }
    let words = form.words("P_RMESG1")?;
    let code = codes::mobile_code(status, &words);
    Ok(Reply::Declined(No::new(&code, &words)))
}

fn ticket(form: &Form, oid: &str, amount: i64) -> Result<Ticket, ReplyError> {
    if form.required("P_NOTI")? != oid {
        return Err(ReplyError::Order);
    }
    if form.optional("P_AMT")?.is_some_and(|text| crate::json::digits(text) != Some(amount)) {
        return Err(ReplyError::Amount);
    }
    let tid = form.required("P_TID")?;
    if !receipt::is_tid(tid) {
        return Err(ReplyError::Tid);
    }
    let idc = Idc::of_mobile_return(form.optional("idc_name")?, form.required("P_REQ_URL")?)?;
    Ok(Ticket { tid: tid.to_owned(), idc })
}
