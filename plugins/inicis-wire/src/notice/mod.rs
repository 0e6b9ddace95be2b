//! What INICIS reports on its own (`inicis.md §3, §2.7`): deposits of accounts that were opened on a PC ([`deposit`]) and on a
//! phone, approvals that arrive nowhere else ([`mobile`]), and escrow ([`escrow`]).
//!
//! Invariant: a notice is not signed, so it is believed in form only: it names our merchant, an order, a transaction, and an
//! amount and moment that can exist, each once. Any bytes give a [`Notice`] or a [`NoticeError`]. An issue is never money.

pub mod deposit;
pub mod escrow;
pub mod mobile;

use crate::details::Institution;
use crate::form::{Form, FormError};
use crate::mobile::approval::Approved;
use crate::mobile::nvp::Nvp;
use crate::refusal::Members as _;
use crate::{Unclear, json, receipt};

/// Most fields of a notice: ours, many times what INICIS sends.
pub const MAX_FIELDS: usize = 200;
/// Most digits of an amount (`inicis.md §3.1`).
const AMOUNT_DIGITS: usize = 13;

/// The answer to a deposit notice: nothing around it (`inicis.md §3.1, §9.19`).
pub const OK: &str = "OK";
/// The answer to an escrow notice (`inicis.md §3.3`).
pub const ESCROW_OK: &str = "cd_rslt=0000";

/// Money paid into an account, or taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deposit {
    /// What tells the deposit from any other: of a PC notice its number, which is not the issue's (`inicis.md §9.18`); of a
    /// mobile one number and moment.
    pub tid: String,
    /// The issue's number, where the message has it.
    pub issue_tid: Option<String>,
    /// Our order number.
    pub oid: String,
    /// Minor units; above 0.
    pub amount: i64,
    /// Account number without blanks; empty when the message has none.
    pub number: String,
    /// Who paid in.
    pub depositor: Option<String>,
    /// When.
    pub at_ms: i64,
    /// The rest, under INICIS's names.
    pub more: Vec<(String, String)>,
}

/// An account that was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// The issue's number.
    pub tid: String,
    /// Our order number.
    pub oid: String,
    /// Minor units.
    pub amount: i64,
    /// Account number without blanks.
    pub number: String,
    /// The bank.
    pub bank: Institution,
    /// The rest, under INICIS's names.
    pub more: Vec<(String, String)>,
}

/// An escrow sale moved on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The sale.
    pub tid: String,
    /// Our order number.
    pub oid: String,
    /// Registry `escrow`.
    pub state: &'static str,
    /// When.
    pub at_ms: i64,
}

/// What a notice says.
#[derive(Debug, Clone, PartialEq)]
pub enum Said {
    /// An account was opened; nothing was paid (`inicis.md §9.17`).
    Issued(Issue),
    /// A sale was approved in one transaction (`inicis.md §2.7`).
    Approved(Box<Approved>),
    /// Money was paid in.
    Deposited(Deposit),
    /// A deposit was taken back.
    DepositCancelled(Deposit),
    /// Escrow.
    Escrow(Change),
    /// Nothing for us; why.
    Ignored(&'static str),
}

/// A notice that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    /// What it says.
    pub said: Said,
    /// What must be answered, to the letter.
    pub reply: &'static str,
}

/// Not a notice that INICIS made for this merchant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoticeError {
    /// Not posted, and so nothing that INICIS sends (`inicis.md §3.1`).
    #[error("a notice is posted")]
    NotPosted,
    /// Cannot be split.
    #[error("{0}")]
    Form(#[from] FormError),
    /// More fields than any message of INICIS.
    #[error("the notice has more than {MAX_FIELDS} fields")]
    TooManyFields,
    /// None of the messages that are documented.
    #[error("the notice has the fields of none of INICIS's messages")]
    Unknown,
    /// Another merchant's.
    #[error("the notice is for another merchant ({0})")]
    Merchant(&'static str),
    /// A field that decides is missing, doubled or not what it must be.
    #[error("{0}")]
    Field(String),
}

impl From<Unclear> for NoticeError {
    fn from(unclear: Unclear) -> Self {
        Self::Field(unclear.0)
    }
}

/// Reads a notice. The content type is not looked at: only the fields tell what it is.
pub fn read(verb: &str, body: &[u8], mid: &str) -> Result<Notice, NoticeError> {
    if verb != "POST" {
        return Err(NoticeError::NotPosted);
    }
    let form = Form::parse(body)?;
    if form.pairs().len() > MAX_FIELDS {
        return Err(NoticeError::TooManyFields);
    }
    let fields = Fields::of(&form);
    if fields.has("P_STATUS") {
        return mobile::read(fields, mid);
    }
    if fields.has("cl_status") {
        return escrow::read(&fields, mid);
    }
    if fields.has("type_msg") || fields.has("no_vacct") {
        return deposit::read(&fields, mid);
    }
    Err(NoticeError::Unknown)
}

/// Fields of a notice as text, blanks around them removed.
pub(crate) struct Fields(Nvp);

impl Fields {
    fn of(form: &Form) -> Self {
        let declared = form.bytes("cl_kor").ok().flatten().is_some_and(|kind| kind == b"2");
        let pairs = form.pairs().iter();
        let text = |bytes: &[u8]| korean(bytes, declared);
        Self(Nvp::of(pairs.map(|(name, value)| (text(name), text(value))).collect()))
    }

    fn has(&self, name: &str) -> bool {
        !matches!(self.0.text(name), Ok(None))
    }

    fn shown(&self, name: &str) -> Option<String> {
        self.0.shown(name)
    }

    /// Whether any of these says something.
    fn is_filled_any(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.0.is_filled(name))
    }

    fn required(&self, name: &str) -> Result<&str, NoticeError> {
        Ok(self.0.required(name)?)
    }

    /// The merchant, which must be ours.
    fn merchant(&self, name: &'static str, mid: &str) -> Result<(), NoticeError> {
        if self.required(name)? == mid { Ok(()) } else { Err(NoticeError::Merchant(name)) }
    }

    fn tid(&self, name: &str) -> Result<String, NoticeError> {
        let tid = self.required(name)?;
        if receipt::is_tid(tid) {
            return Ok(tid.to_owned());
        }
        Err(NoticeError::Field(format!("{name} is not a transaction number")))
    }

    /// An order number. Of an order of ours it has our form; of an older cart's it may have any, so it is not looked into.
    fn oid(&self, name: &str) -> Result<String, NoticeError> {
        let oid = self.required(name)?;
        if oid.len() <= 40 && !oid.chars().any(char::is_control) {
            return Ok(oid.to_owned());
        }
        Err(NoticeError::Field(format!("{name} is not an order number")))
    }

    /// An amount above 0 of at most 13 digits.
    fn amount(&self, name: &str) -> Result<i64, NoticeError> {
        let text = self.required(name)?;
        let amount = json::digits(text).filter(|amount| *amount > 0 && text.len() <= AMOUNT_DIGITS);
        amount.ok_or_else(|| NoticeError::Field(format!("{name} is not an amount above 0")))
    }

    /// An account number: digits and dashes, which banks write with and without; at most 20 (`inicis.md §3.1`).
    fn account(&self, name: &str) -> Result<String, NoticeError> {
        account_number(self.required(name)?)
            .ok_or_else(|| NoticeError::Field(format!("{name} is not an account number")))
    }

    /// What is there of these, under its own name.
    fn kept(&self, names: &[&str]) -> Vec<(String, String)> {
        names.iter().filter_map(|name| Some(((*name).to_owned(), self.shown(name)?))).collect()
    }
}

/// An account number without the blanks that notices carry (`inicis.md §3.1`).
pub(crate) fn account_number(text: &str) -> Option<String> {
    let number: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let plain = (1..=20).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    plain.then_some(number)
}

/// Text in EUC-KR or UTF-8. A message that says which it is (`cl_kor=2`) is believed while its bytes allow it; of the others
/// only UTF-8 has Hangul as three bytes each, while two bytes that could be either are EUC-KR (`inicis.md §3.1, §3.2`). Control
/// characters are shown as what cannot be read, never left out: `a\0b` is not `ab`.
fn korean(bytes: &[u8], declared: bool) -> String {
    let (euc_kr, broken) = encoding_rs::EUC_KR.decode_without_bom_handling(bytes);
    let text = match std::str::from_utf8(bytes) {
        Ok(text) if text.is_ascii() => text,
        Ok(text) if broken || (!declared && text.chars().any(|c| c >= '\u{800}')) => text,
        Ok(_) | Err(_) => &euc_kr,
    };
    text.trim()
        .chars()
        .map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c })
        .take(500)
        .collect()
}
