//! Requests of INIAPI v2 (`inicis.md §5.3`): JSON, hash over the compact text of `data` with backslashes deleted.
//!
//! Invariant: `data` is written once and never holds a backslash, so that every reading of the rule gives the same hash.

use crate::clock;
use crate::form::Charset;
use crate::order::Unfit;
use crate::receipt::is_tid;
use crate::recipe::{Algorithm, Part, Recipe, secret};
use crate::text;

/// A service of v2: its path and `type` (`inicis.md §5.3`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// All of a sale back.
    Refund,
    /// A part of a sale back.
    PartialRefund,
    /// All of a deposit back, to an account.
    RefundVacct,
    /// A part of a deposit back, to an account.
    PartialRefundVacct,
    /// State of a sale.
    Inquiry,
}

impl Service {
    /// The address.
    pub const fn url(self) -> &'static str {
        match self {
            Self::Refund => "https://iniapi.inicis.com/v2/pg/refund",
            Self::PartialRefund => "https://iniapi.inicis.com/v2/pg/partialRefund",
            Self::RefundVacct => "https://iniapi.inicis.com/v2/pg/refund/vacct",
            Self::PartialRefundVacct => "https://iniapi.inicis.com/v2/pg/partialRefund/vacct",
            Self::Inquiry => INQUIRY_URL,
        }
    }

    /// `type`; for accounts it stays that of the plain service.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Refund | Self::RefundVacct => "refund",
            Self::PartialRefund | Self::PartialRefundVacct => "partialRefund",
            Self::Inquiry => "inquiry",
        }
    }
}

const INQUIRY_URL: &str = "https://iniapi.inicis.com/v2/pg/inquiry";

/// Path of the inquiry: it only reads.
pub const INQUIRY_PATH: &str = "/v2/pg/inquiry";

/// Content type of every request.
pub const CONTENT_TYPE: &str = "application/json";

/// A request, without its hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Which service.
    pub service: Service,
    mid: String,
    timestamp: String,
    client_ip: String,
    data: String,
}

impl Request {
    /// A request of any data, in the order given.
    pub fn new(
        service: Service,
        mid: &str,
        now_ms: i64,
        client_ip: &str,
        data: &[(&str, &str)],
    ) -> Result<Self, Unfit> {
        let timestamp = clock::kst14(now_ms)
            .ok_or_else(|| Unfit("the time of the call cannot be written as YYYYMMDDhhmmss".into()))?;
        if !super::is_ipv4(client_ip) {
            return Err(Unfit("client_ip must be an IPv4 address".into()));
        }
        Ok(Self { service, mid: mid.into(), timestamp, client_ip: client_ip.into(), data: object(data) })
    }

    /// `hashData`: SHA-512 of key, mid, type, timestamp and the text of `data` without backslashes (`inicis.md §5.3`).
    pub fn hash(&self) -> Recipe {
        let data = self.data.replace('\\', "");
        let text = format!("{}{}{}{data}", self.mid, self.service.kind(), self.timestamp);
        Recipe::of(Algorithm::Sha512, [Part::Secret(secret::INIAPI_KEY), Part::Text(text)])
    }

    /// The body, with the hash as lower-case hex.
    pub fn body(&self, hash: &str) -> String {
        format!(
            r#"{{"mid":{},"type":"{}","timestamp":"{}","clientIp":"{}","data":{},"hashData":"{hash}"}}"#,
            quoted(&self.mid),
            self.service.kind(),
            self.timestamp,
            self.client_ip,
            self.data
        )
    }
}

/// Compact JSON of text values, in the order given, nothing escaped that need not be.
fn object(data: &[(&str, &str)]) -> String {
    let pairs: Vec<String> =
        data.iter().map(|(name, value)| format!("{}:{}", quoted(name), quoted(value))).collect();
    format!("{{{}}}", pairs.join(","))
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// What a part of a sale is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartOfSale {
    /// To be given back now, minor units.
    pub price: i64,
    /// What will be left afterwards (`inicis.md §9.25`).
    pub left: i64,
    /// ISO 4217.
    pub currency: &'static str,
    /// VAT of the part; absent: INICIS decides.
    pub vat: Option<i64>,
    /// Tax-free part; absent: INICIS decides.
    pub tax_free: Option<i64>,
}

impl PartOfSale {
    /// INICIS's name of the currency.
    pub(super) fn currency_name(&self) -> Result<&'static str, Unfit> {
        crate::order::currency_name(self.currency)
            .ok_or_else(|| Unfit("INICIS knows only KRW and USD".into()))
    }
}

/// Where a deposit is given back to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account<'a> {
    /// The number as base64 ciphertext (`inicis.md §5.4`).
    pub number: &'a str,
    /// INICIS's bank code.
    pub bank: &'a str,
    /// Holder.
    pub holder: &'a str,
}

impl Account<'_> {
    /// `refundAcctName`: one line that needs no escaping.
    pub(super) fn holder(&self) -> String {
        plain(self.holder)
    }
}

/// Who asks for a refund of what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refund<'a> {
    /// MID.
    pub mid: &'a str,
    /// The approval's TID; of a mobile sale never the authentication's (`inicis.md §9.14`).
    pub tid: &'a str,
    /// Why.
    pub reason: &'a str,
    /// IPv4.
    pub client_ip: &'a str,
    /// The moment of the call.
    pub now_ms: i64,
}

/// Sent as `msg` when no reason was given: it is required in practice (`inicis.md §5.3`).
pub const FALLBACK_REASON: &str = "취소 요청";
/// Most bytes of `msg`. INIAPI's own limit is not known; this is the limit of the one cancel message that has a known one
/// (`inicis.md §2.9`).
pub const REASON_MAX_BYTES: usize = 100;

impl Refund<'_> {
    /// What INICIS would refuse, whatever is asked.
    pub(super) fn fit(&self) -> Result<(), Unfit> {
        if !is_tid(self.tid) {
            return Err(Unfit("the gateway's number is not a TID of INICIS".into()));
        }
        if !super::is_ipv4(self.client_ip) {
            return Err(Unfit("client_ip must be an IPv4 address".into()));
        }
        Ok(())
    }

    /// `msg`.
    pub(super) fn message(&self) -> String {
        reason(self.reason)
    }

    /// All (`part` absent) or a part, to the card or (`account` given) to an account.
    pub fn request(&self, part: Option<PartOfSale>, account: Option<&Account<'_>>) -> Result<Request, Unfit> {
        self.fit()?;
        let service = match (part.is_some(), account.is_some()) {
            (false, false) => Service::Refund,
            (true, false) => Service::PartialRefund,
            (false, true) => Service::RefundVacct,
            (true, true) => Service::PartialRefundVacct,
        };
        let mut data = vec![("tid", self.tid.to_owned()), ("msg", self.message())];
        if let Some(part) = part {
            data.push(("price", part.price.to_string()));
            data.push(("confirmPrice", part.left.to_string()));
            data.push(("currency", part.currency_name()?.to_owned()));
            data.extend(part.vat.map(|vat| ("tax", vat.to_string())));
            data.extend(part.tax_free.map(|free| ("taxfree", free.to_string())));
        }
        if let Some(account) = account {
            data.push(("refundAcctNum", account.number.to_owned()));
            data.push(("refundBankCode", account.bank.to_owned()));
            data.push(("refundAcctName", account.holder()));
        }
        let data: Vec<(&str, &str)> = data.iter().map(|(name, value)| (*name, value.as_str())).collect();
        Request::new(service, self.mid, self.now_ms, self.client_ip, &data)
    }
}

/// By what a sale is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By<'a> {
    /// Our order number; only with the contract for duplicate-order prevention (`inicis.md §6.1`).
    Oid(&'a str),
    /// The approval's TID.
    Tid(&'a str),
}

/// The question for the state of a sale (`inicis.md §6.1`).
pub fn inquiry(mid: &str, by: By<'_>, client_ip: &str, now_ms: i64) -> Result<Request, Unfit> {
    let data = match by {
        By::Oid(oid) => ("oid", oid),
        By::Tid(tid) => ("tid", tid),
    };
    Request::new(Service::Inquiry, mid, now_ms, client_ip, &[data])
}

/// Text that needs no escaping in JSON: quotes and backslashes are replaced.
fn plain(text: &str) -> String {
    text::clean("", text, &mut Vec::new()).replace('"', "'").replace('\\', "/")
}

fn reason(words: &str) -> String {
    let line = text::cut(Charset::Utf8, "", &plain(words), REASON_MAX_BYTES, &mut Vec::new());
    if line.is_empty() { FALLBACK_REASON.to_owned() } else { line }
}
