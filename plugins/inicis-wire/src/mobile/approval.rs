//! Taking the money of a mobile payment and taking it back (`inicis.md §2.5, §2.6`).
//!
//! Invariant: an answer is an approval only when it says `00` and names sale, merchant, order, amount and method; it is a no only as
//! a [`KnownRefusal`]. It carries no signature: merchant, order and amount are compared.

use super::nvp::Nvp;
use crate::form::{self, Charset, Field};
use crate::recipe::Recipe;
use crate::refusal::{self, Members as _, Shape};
use crate::{KnownRefusal, Unclear, clock, methods, receipt};

/// Content type of both posts.
pub const CONTENT_TYPE: &str = "application/x-www-form-urlencoded";

/// The body of an approval (`inicis.md §2.5`).
pub fn body(mid: &str, tid: &str) -> String {
    form::write(Charset::Utf8, &[Field::new("P_MID", mid), Field::new("P_TID", tid)])
}

/// What INICIS answered to an approval.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// `00`.
    Approved(Box<Approved>),
    /// `01`: an explicit no; nothing is paid.
    Declined(KnownRefusal),
}

/// An approval as it was answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Approved {
    /// `P_TID`: the sale's number, not that of the authentication.
    pub tid: String,
    /// `P_MID`.
    pub mid: String,
    /// `P_OID`: our order number.
    pub oid: String,
    /// `P_AMT`: the only amount that is compared with the order.
    pub amount: i64,
    /// `P_AUTH_DT`; absent when it is no moment.
    pub approved_at_ms: Option<i64>,
    /// `P_TYPE` in the host's words.
    pub method: methods::Method,
    /// Everything that was answered.
    pub fields: Nvp,
}

/// Reads the answer to an approval. Whatever is not clearly yes or no is unclear.
pub fn read(status: u16, body: &[u8]) -> Result<Answer, Unclear> {
    let (fields, no) = answered(status, body, &refusal::MOBILE_APPROVAL)?;
    match no {
        Some(no) => Ok(Answer::Declined(no)),
        None => approved(fields).map(|approved| Answer::Approved(Box::new(approved))),
    }
}

/// Fields of a yes, or the no. Only `00` and `01` are documented (`inicis.md §0.2`), and they count to the letter.
fn answered(status: u16, body: &[u8], shape: &Shape) -> Result<(Nvp, Option<KnownRefusal>), Unclear> {
    if status != 200 {
        return Err(Unclear(format!("INICIS answered HTTP {status}")));
    }
    let fields = Nvp::parse(body)?;
    let no = match fields.exact("P_STATUS")? {
        Some("00") => None,
        Some(_) | None => Some(KnownRefusal::read(shape, &fields)?),
    };
    Ok((fields, no))
}

/// Reads the fields of an approval, of an answer or of a notice (`inicis.md §2.5, §2.7`).
pub(crate) fn approved(fields: Nvp) -> Result<Approved, Unclear> {
    let tid = fields.required("P_TID")?.to_owned();
    if !receipt::is_tid(&tid) {
        return Err(Unclear("P_TID is not a transaction number".into()));
    }
    let wallet = fields.shown("P_SRC_CODE");
    let method = methods::of_mobile_answer(fields.required("P_TYPE")?, wallet.as_deref())
        .ok_or_else(|| Unclear("P_TYPE is not a method that takes money here".into()))?;
    let moment = fields.shown("P_AUTH_DT");
    Ok(Approved {
        mid: fields.required("P_MID")?.to_owned(),
        oid: fields.required("P_OID")?.to_owned(),
        amount: fields.amount("P_AMT")?,
        approved_at_ms: moment.as_deref().and_then(clock::from_kst14),
        tid,
        method,
        fields,
    })
}

impl Approved {
    /// Whether the answer is for our merchant. Order and amount are compared by the host.
    pub fn verify(&self, mid: &str) -> Result<(), Unclear> {
        if self.mid != mid {
            return Err(Unclear("INICIS approved for another merchant (P_MID)".into()));
        }
        Ok(())
    }
}

/// A net cancel (`inicis.md §2.6`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetCancel<'a> {
    /// MID.
    pub mid: &'a str,
    /// `P_TID` of the authentication.
    pub tid: &'a str,
    /// Our order number.
    pub oid: &'a str,
    /// Minor units.
    pub amount: i64,
    /// The moment of this call.
    pub now_ms: i64,
}

impl NetCancel<'_> {
    /// Recipe of `P_CHKFAKE`.
    pub fn chkfake(&self) -> Recipe {
        super::chkfake(&self.amount.to_string(), self.oid, &self.now_ms.to_string())
    }

    /// The body, with the hash as base64.
    pub fn body(&self, chkfake: String) -> String {
        let fields = [
            Field::new("P_TID", self.tid),
            Field::new("P_MID", self.mid),
            Field::new("P_AMT", self.amount.to_string()),
            Field::new("P_OID", self.oid),
            Field::new("P_TIMESTAMP", self.now_ms.to_string()),
            Field::new("P_CHKFAKE", chkfake),
        ];
        form::write(Charset::Utf8, &fields)
    }
}

/// Reads the answer to a net cancel: the no, or nothing when the sale was there and is gone. Which words say "there was
/// nothing" is not known.
pub fn read_net_cancel(status: u16, body: &[u8]) -> Result<Option<KnownRefusal>, Unclear> {
    answered(status, body, &refusal::MOBILE_NET_CANCEL).map(|(_, no)| no)
}
