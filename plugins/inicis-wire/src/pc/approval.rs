//! Taking the money and taking it back (`inicis.md §1.7–1.10`).
//!
//! Invariant: approval and net cancel send the same map to the letter, made of the ticket, the order and one moment; an answer
//! is an approval only when it says `0000` and carries the signature that belongs to that moment, and a no only as a
//! [`KnownRefusal`].

use crate::form::{self, Charset, Field};
use crate::json::Object;
use crate::recipe::{Algorithm, Part, Recipe, secret};
use crate::refusal::{self, Members as _};
use crate::{KnownRefusal, Unclear, clock, methods};

/// The map of an approval, and of the net cancel that takes it back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask<'a> {
    /// MID.
    pub mid: &'a str,
    /// `authToken`.
    pub token: &'a str,
    /// Minor units; INICIS refuses another amount (`inicis.md §1.7`).
    pub amount: i64,
    /// A new moment, not that of the form (`inicis.md §9.3`).
    pub now_ms: i64,
}

impl Ask<'_> {
    /// `signature` (`inicis.md §1.7`).
    pub fn signature(&self) -> Recipe {
        Recipe::of_text(Algorithm::Sha256, format!("authToken={}&timestamp={}", self.token, self.now_ms))
    }

    /// `verification` (`inicis.md §1.7`).
    pub fn verification(&self) -> Recipe {
        Recipe::of(
            Algorithm::Sha256,
            [
                Part::Text(format!("authToken={}&signKey=", self.token)),
                Part::Secret(secret::SIGN_KEY),
                Part::Text(format!("&timestamp={}", self.now_ms)),
            ],
        )
    }

    /// The body, `application/x-www-form-urlencoded`, with the hashes as lower-case hex.
    pub fn body(&self, signature: String, verification: String) -> String {
        let fields = [
            Field::new("mid", self.mid),
            Field::new("authToken", self.token),
            Field::new("timestamp", self.now_ms.to_string()),
            Field::new("signature", signature),
            Field::new("verification", verification),
            Field::new("charset", "UTF-8"),
            Field::new("format", "JSON"),
            Field::new("price", self.amount.to_string()),
        ];
        form::write(Charset::Utf8, &fields)
    }
}

/// Content type of both posts, as the official PHP client sends it (`inicis.md §1.7`).
pub const CONTENT_TYPE: &str = "application/x-www-form-urlencoded";

/// An approval was already given for this token: somebody's sale exists (`inicis.md §1.7, §1.12`).
pub const ALREADY_APPROVED: &str = "R201";

/// What INICIS answered to an approval.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// `0000`; the signature is still to be compared.
    Approved(Box<Approved>),
    /// `R201`.
    AlreadyApproved,
    /// An explicit decline; nothing is paid and nothing is to be undone (`inicis.md §1.10`).
    Declined(KnownRefusal),
}

/// An approval as it was answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Approved {
    /// `tid`: the sale's number.
    pub tid: String,
    /// `mid`.
    pub mid: String,
    /// `MOID`: our order number.
    pub moid: String,
    /// `TotPrice` as it came.
    pub total_text: String,
    /// `TotPrice` in minor units: the only amount that is compared with the order.
    pub total: i64,
    /// `currency` as ISO 4217; absent when INICIS named none.
    pub currency: Option<&'static str>,
    /// `applDate` and `applTime`; absent when they are no moment.
    pub approved_at_ms: Option<i64>,
    /// `payMethod` in the host's words.
    pub method: methods::Method,
    /// `authSignature`.
    pub signature: String,
    /// Everything that was answered.
    pub fields: Object,
}

/// Reads the answer to an approval. Whatever is not clearly yes or no is unclear.
pub fn read(status: u16, body: &[u8]) -> Result<Answer, Unclear> {
    let fields = answered(status, body)?;
    match fields.exact("resultCode")? {
        Some("0000") => approved(fields).map(|a| Answer::Approved(Box::new(a))),
        Some(ALREADY_APPROVED) => Ok(Answer::AlreadyApproved),
        Some(_) | None => KnownRefusal::read(&refusal::PC_APPROVAL, &fields).map(Answer::Declined),
    }
}

fn answered(status: u16, body: &[u8]) -> Result<Object, Unclear> {
    if status != 200 {
        return Err(Unclear(format!("INICIS answered HTTP {status}")));
    }
    Object::parse(body)
}

fn approved(fields: Object) -> Result<Approved, Unclear> {
    let total_text = fields.required("TotPrice")?;
    let total = fields.amount("TotPrice")?.ok_or_else(|| Unclear("the answer has no TotPrice".into()))?;
    let tid = fields.required("tid")?;
    if !crate::receipt::is_tid(&tid) {
        return Err(Unclear("tid is not a transaction number".into()));
    }
    let pay_method = fields.required("payMethod")?;
    let wallet = fields.shown("CARD_SrcCode");
    let method = methods::of_pc_answer(&pay_method, wallet.as_deref())
        .ok_or_else(|| Unclear("payMethod is not a method that takes money here".into()))?;
    let currency = match fields.text("currency")? {
        None => None,
        Some(name) => Some(
            crate::order::currency_of(&name)
                .ok_or_else(|| Unclear("currency is neither WON nor USD".into()))?,
        ),
    };
    let moment = fields.shown("applDate").zip(fields.shown("applTime"));
    Ok(Approved {
        tid,
        mid: fields.required("mid")?,
        moid: fields.required("MOID")?,
        total_text,
        total,
        currency,
        approved_at_ms: moment.and_then(|(date, time)| clock::from_kst(&date, &time)),
        method,
        signature: fields.required("authSignature")?,
        fields,
    })
}

/// Fields of `authSignature`, in order, by the last digit of the timestamp that we sent (`inicis.md §1.9`).
const AUTH_SIGNATURE_ORDER: [[&str; 3]; 10] = [
    ["TotPrice", "tstamp", "MOID"],
    ["MOID", "mid", "tstamp"],
    ["MOID", "tstamp", "mid"],
    ["mid", "MOID", "tstamp"],
    ["mid", "tstamp", "MOID"],
    ["tstamp", "mid", "MOID"],
    ["tstamp", "MOID", "mid"],
    ["TotPrice", "mid", "tstamp"],
    ["TotPrice", "tstamp", "mid"],
    ["TotPrice", "MOID", "tstamp"],
];

/// `authSignature` (`inicis.md §1.9`). It proves that the answer is consistent, no more: no secret is in it.
pub fn auth_signature(mid: &str, moid: &str, total: &str, sent_ms: i64) -> Recipe {
    let digit = usize::try_from(sent_ms.rem_euclid(10)).unwrap_or_default();
    let order = AUTH_SIGNATURE_ORDER.get(digit).copied().unwrap_or_default();
    let pairs = order.map(|name| match name {
        "TotPrice" => format!("TotPrice={total}"),
        "MOID" => format!("MOID={moid}"),
        "mid" => format!("mid={mid}"),
        _ => format!("tstamp={sent_ms}"),
    });
    Recipe::of_text(Algorithm::Sha256, pairs.join("&"))
}

impl Approved {
    /// What `authSignature` must be for the timestamp that we sent.
    pub fn expected_signature(&self, sent_ms: i64) -> Recipe {
        auth_signature(&self.mid, &self.moid, &self.total_text, sent_ms)
    }

    /// Whether the answer is ours: its signature is `expected` (lower-case hex) and its merchant is `mid`. Order and amount
    /// are compared by the host.
    pub fn verify(&self, expected: &str, mid: &str) -> Result<(), Unclear> {
        if self.signature != expected {
            return Err(Unclear("INICIS approved, but authSignature is wrong".into()));
        }
        if self.mid != mid {
            return Err(Unclear("INICIS approved for another merchant (mid)".into()));
        }
        Ok(())
    }
}

/// What INICIS answered to a net cancel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetCancelled {
    /// `0000`: the sale was there and is gone.
    Reversed,
    /// A known no. Which codes say "there was nothing" is not known (`inicis.md §1.10`).
    Refused(KnownRefusal),
}

/// Reads the answer to a net cancel; `oid` is our order number.
pub fn read_net_cancel(status: u16, body: &[u8], oid: &str) -> Result<NetCancelled, Unclear> {
    let fields = answered(status, body)?;
    if fields.exact("resultCode")? != Some("0000") {
        return KnownRefusal::read(&refusal::PC_NET_CANCEL, &fields).map(NetCancelled::Refused);
    }
    // The captured answers spell it `moid` (inicis.md §1.10); it may be missing, but it may not be another's.
    for name in ["moid", "MOID"] {
        if fields.text(name)?.is_some_and(|answered| answered != oid) {
            return Err(Unclear("INICIS took back another order".into()));
        }
    }
    Ok(NetCancelled::Reversed)
}
