//! A no that is known, and when it is.
//!
//! Invariant: a [`KnownRefusal`] is made in one place, of a whole answer: it has the shape that its product documents (`inicis.md
//! §0.2, §1.8, §2.5, §5.2, §8.4`), its code is the success of no product in any spelling, no member of it came twice, and it
//! carries nothing that only a thing done has. A code that is in no table is a refusal like any other. Everything else that is
//! not plainly a yes is [`Unclear`]: a "no" that hides an approval lets the buyer pay twice, while an unclear answer is only
//! asked about. A reader that returns a `KnownRefusal` therefore cannot pass on a no that nobody gave.

use crate::{No, Unclear, codes};

/// A no that is known: nothing moved. Only [`KnownRefusal::read`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownRefusal(No);

/// What an answer must give to be read for a no.
pub(crate) trait Members {
    /// The text of a member to the letter; absent when it is not there or null. An error when it is there twice or is no text.
    fn exact(&self, name: &str) -> Result<Option<&str>, Unclear>;
    /// Whether a member of this name is there, with whatever value.
    fn is_there(&self, name: &str) -> bool;
    /// Whether a member says anything: it is there, and neither null nor blank.
    fn is_filled(&self, name: &str) -> bool;
    /// A name that is there twice, whatever its case.
    fn twin(&self) -> Option<&str>;
}

/// Where a product says what kind of no it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coded {
    /// In the code itself.
    Itself,
    /// In six digits of another member, where they are there (`inicis.md §5.2`).
    Detail(&'static str),
    /// In the words; the code is one value for every no (`inicis.md §2.4`).
    Words(&'static str),
}

/// The documented shape of a product's no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    /// The member that is the code. Most characters: [`CODE_MAX`].
    pub code: &'static str,
    /// The member that is the message. It is always there; it may be empty or null.
    pub message: &'static str,
    /// Where the kind of no stands.
    pub coded: Coded,
    /// Members that say something only when it was done.
    pub only_when_done: &'static [&'static str],
    /// Whether codes that leave open whether money moved are no refusals here (`inicis.md §8.4`).
    pub may_have_moved: bool,
}

/// An approval on a PC. A refusal has "only resultCode, resultMsg and whatever exists; other fields missing or empty" (`inicis.md
/// §1.8`). What the request or the window knew already (order, amount, method, buyer, even `tid`) may exist; the numbers and the
/// moment of an approval, its signature, an account or a key may not.
pub(crate) const PC_APPROVAL: Shape = Shape {
    code: "resultCode",
    message: "resultMsg",
    coded: Coded::Itself,
    only_when_done: &[
        "authSignature",
        "applNum",
        "applDate",
        "applTime",
        "VACT_Num",
        "CARD_BillKey",
        "HPP_BillKey",
        "HPP_Billkey",
        "BCSH_ApplNum",
        "TEEN_ApplNum",
        "OCB_PayApplNum",
        "OCB_SaveApplNum",
        "CSHR_ApplNum",
    ],
    may_have_moved: false,
};

/// A net cancel on a PC (`inicis.md §1.10`). Of its members only the code tells a yes from a no.
pub(crate) const PC_NET_CANCEL: Shape = PC_APPROVAL;

/// An approval on a phone (`inicis.md §2.5`): every no is `01`. Whether a refusal has its moment in `P_AUTH_DT` is not documented,
/// so that the moment alone is no sign of an approval; its numbers are.
pub(crate) const MOBILE_APPROVAL: Shape = Shape {
    code: "P_STATUS",
    message: "P_RMESG1",
    coded: Coded::Words("01"),
    only_when_done: &["P_AUTH_NO", "P_APPL_NUM", "P_VACT_NUM", "P_CSHR_AUTH_NO"],
    may_have_moved: false,
};

/// A net cancel on a phone (`inicis.md §2.6`).
pub(crate) const MOBILE_NET_CANCEL: Shape = MOBILE_APPROVAL;

/// A refund of either version (`inicis.md §5.2`). Two captured refusals have `cancelDate` and `cancelTime`, so these are no sign of
/// a refund; what was given back and what is left are.
pub(crate) const REFUND: Shape = Shape {
    code: "resultCode",
    message: "resultMsg",
    coded: Coded::Detail("detailResultCode"),
    only_when_done: &["prtcPrice", "prtcRemains", "cshrCancelNum"],
    may_have_moved: true,
};

/// A virtual account by API (`inicis.md §4.6`).
pub(crate) const ISSUE: Shape = Shape { only_when_done: &["vacct"], ..REFUND };

/// An inquiry of v2 (`inicis.md §6.1`): it only reads, and its no tells nothing of a sale.
pub(crate) const INQUIRY: Shape =
    Shape { only_when_done: &["transactionStatus"], may_have_moved: false, ..REFUND };

/// Most characters of a code (`inicis.md §1.8`).
const CODE_MAX: usize = 10;

impl KnownRefusal {
    /// Reads an answer that is not a yes.
    pub(crate) fn read(shape: &Shape, answer: &impl Members) -> Result<Self, Unclear> {
        let code = refusing(answer, shape.code)?
            .ok_or_else(|| Unclear(format!("the answer has no {}", shape.code)))?;
        let message = shape.message;
        if !answer.is_there(message) {
            return Err(Unclear(format!("the answer is no success, and has no {message} as a refusal has")));
        }
        let words = answer.exact(message)?.unwrap_or_default();
        if let Some(name) = answer.twin() {
            return Err(Unclear(format!("the answer is no success, and {name} is there twice")));
        }
        if let Some(name) = shape.only_when_done.iter().find(|name| answer.is_filled(name)) {
            return Err(Unclear(format!("the answer is no success, and yet it has {name}")));
        }
        let code = match shape.coded {
            Coded::Itself => code.to_owned(),
            Coded::Detail(name) => refusing(answer, name)?.unwrap_or(code).to_owned(),
            Coded::Words(only) if code == only => codes::mobile_code(code, words),
            Coded::Words(_) => return Err(Unclear(format!("{} is none that is documented", shape.code))),
        };
        if shape.may_have_moved && codes::leaves_open(&code) {
            return Err(Unclear(format!("INICIS answered {code}, which leaves open what was done")));
        }
        Ok(Self(No::new(&code, words)))
    }

    /// The gateway's code.
    pub fn code(&self) -> &str {
        &self.0.code
    }

    /// The gateway's words.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The no as it is passed on.
    pub fn into_no(self) -> No {
        self.0
    }
}

/// A member that is a code which refuses: absent when it is not there or empty.
fn refusing<'a>(answer: &'a impl Members, name: &str) -> Result<Option<&'a str>, Unclear> {
    let Some(code) = answer.exact(name)?.filter(|code| !code.is_empty()) else { return Ok(None) };
    if code.len() > CODE_MAX || !code.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(Unclear(format!("{name} has not the form of a code")));
    }
    if codes::reads_as_success(code) {
        return Err(Unclear(format!("{name} is a success of another spelling or product")));
    }
    Ok(Some(code))
}
