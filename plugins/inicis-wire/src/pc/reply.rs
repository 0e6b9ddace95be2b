//! The post that brings the buyer's browser back (`inicis.md §1.6`).
//!
//! Invariant: it comes from a stranger. It is believed only in form: one form-decoding, no doubled field, our merchant, our
//! order, and addresses out of the table. It says nothing about money.

use crate::No;
use crate::form::{Form, FormError};
use crate::idc::{Idc, IdcError};

/// What INICIS lets us ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// `authToken`, decoded once.
    pub token: String,
    /// Where to ask.
    pub idc: Idc,
}

/// What the post says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The buyer proved who he is; nothing is paid yet.
    Authenticated(Ticket),
    /// Not. Whether the buyer closed the window cannot be told: no code of a cancel is certain (`inicis.md §1.12`).
    Declined(No),
}

/// Not a post that INICIS made for this order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// Not a form post.
    #[error("the return is not a form post")]
    NotAForm,
    /// Cannot be read.
    #[error("{0}")]
    Form(#[from] FormError),
    /// Another merchant.
    #[error("the return is for another merchant (mid)")]
    Merchant,
    /// Another order.
    #[error("the return is for another order (orderNumber)")]
    Order,
    /// Addresses that are not INICIS's.
    #[error("{0}")]
    Address(#[from] IdcError),
    /// No token of INICIS.
    #[error("authToken has characters that no token has")]
    Token,
}

/// Reads the post. `verb` and `content_type` are those of the request.
pub fn read(verb: &str, content_type: &str, body: &[u8], mid: &str, oid: &str) -> Result<Reply, ReplyError> {
    let media = content_type.split(';').next().unwrap_or_default().trim();
    if verb != "POST" || !media.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(ReplyError::NotAForm);
    }
    let form = Form::parse(body)?;
    let code = form.required("resultCode")?;
    if code == "0000" {
        return ticket(&form, mid, oid).map(Reply::Authenticated);
    }
    // A failure may lack the other fields; those that came must still be ours.
    if form.optional("mid")?.is_some_and(|m| m != mid) {
        return Err(ReplyError::Merchant);
    }
    if form.optional("orderNumber")?.is_some_and(|o| o != oid) {
        return Err(ReplyError::Order);
    }
    Ok(Reply::Declined(No::new(code, &form.words("resultMsg")?)))
}

fn ticket(form: &Form, mid: &str, oid: &str) -> Result<Ticket, ReplyError> {
    if form.required("mid")? != mid {
        return Err(ReplyError::Merchant);
    }
    if form.required("orderNumber")? != oid {
        return Err(ReplyError::Order);
    }
    let token = form.required("authToken")?;
    if !token.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(ReplyError::Token);
    }
    let idc = Idc::of_pc_return(
        form.required("idc_name")?,
        form.required("authUrl")?,
        form.required("netCancelUrl")?,
    )?;
    Ok(Ticket { token: token.to_owned(), idc })
}
