//! A virtual account without a window (`inicis.md §4.6`), by v1: no other way is known.
//!
//! Invariant: what is hashed is what is sent; an answer is an account only when it says `00` and names the transaction, the
//! account and the amount that was asked for. It does not name our order number.

use super::v1::{Hashed, hash};
use crate::details::{Account, Institution, bank};
use crate::form::{self, Charset, Field};
use crate::json::Object;
use crate::order::{self, FALLBACK_GOODS, FALLBACK_NAME, Unfit, is_order_ref, named};
use crate::recipe::Recipe;
use crate::refusal::{self, Members as _};
use crate::{KnownRefusal, Unclear, clock, receipt};

/// Where accounts are opened.
pub const URL: &str = "https://iniapi.inicis.com/api/v1/formpay";
/// Charset of the request (`inicis.md §5.1`: v1 takes UTF-8).
const CHARSET: Charset = Charset::Utf8;
/// Most digits of `price`.
const PRICE_DIGITS: usize = 12;

/// What is to be opened.
#[derive(Debug, Clone)]
pub struct Wanted<'a> {
    /// MID.
    pub mid: &'a str,
    /// IPv4.
    pub client_ip: &'a str,
    /// The moment of the call.
    pub now_ms: i64,
    /// `url`: the shop's address.
    pub url: &'a str,
    /// Our order number.
    pub order_ref: &'a str,
    /// Minor units.
    pub amount: i64,
    /// ISO 4217.
    pub currency: &'a str,
    /// What is sold.
    pub goods: &'a str,
    /// Buyer.
    pub buyer_name: Option<&'a str>,
    /// Buyer.
    pub buyer_phone: Option<&'a str>,
    /// Buyer.
    pub buyer_email: Option<&'a str>,
    /// INICIS's bank code.
    pub bank: &'a str,
    /// Who pays in.
    pub holder: &'a str,
    /// Until when.
    pub deadline_ms: i64,
    /// Part free of tax.
    pub tax_free: Option<i64>,
    /// VAT.
    pub vat: Option<i64>,
}

/// A request, without its hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    fields: Vec<Field>,
    hash: Recipe,
    /// What was changed.
    pub warnings: Vec<String>,
}

impl Request {
    /// Makes the fields.
    pub fn new(wanted: &Wanted<'_>) -> Result<Self, Unfit> {
        let price = fit(wanted)?;
        let no_moment = || Unfit("a time cannot be written as YYYYMMDDhhmmss".into());
        let timestamp = clock::kst14(wanted.now_ms).ok_or_else(no_moment)?;
        let deadline = clock::kst14(wanted.deadline_ms).ok_or_else(no_moment)?;
        let (date, time) = (deadline.get(..8).unwrap_or_default(), deadline.get(8..12).unwrap_or_default());
        let mut warnings = Vec::new();
        let hash = hash(&Hashed {
            kind: "Pay",
            paymethod: "Vacct",
            timestamp: &timestamp,
            client_ip: wanted.client_ip,
            mid: wanted.mid,
            rest: [Some(wanted.order_ref), Some(&price), None, None],
        });
        let mut fields = vec![
            Field::new("type", "Pay"),
            Field::new("paymethod", "Vacct"),
            Field::new("timestamp", timestamp.as_str()),
            Field::new("clientIp", wanted.client_ip),
            Field::new("mid", wanted.mid),
            Field::new("url", wanted.url),
            Field::new("moid", wanted.order_ref),
            named(CHARSET, "goodName", Some(wanted.goods), FALLBACK_GOODS, 80, &mut warnings),
            Field::new("price", price.as_str()),
            Field::new("currency", "WON"),
            named(CHARSET, "buyerName", wanted.buyer_name, FALLBACK_NAME, 80, &mut warnings),
            Field::new("buyerEmail", buyer_email(wanted, &mut warnings)),
            Field::new("buyerTel", buyer_phone(wanted, &mut warnings)),
            Field::new("bankCode", wanted.bank),
            Field::new("dtInput", date),
            Field::new("tmInput", time),
            named(CHARSET, "nmInput", Some(wanted.holder), FALLBACK_NAME, 20, &mut warnings),
            // Without a number for it (cashRegNo) there is no cash receipt to ask for.
            Field::new("flgCash", "0"),
        ];
        fields.extend(wanted.vat.map(|vat| Field::new("tax", vat.to_string())));
        fields.extend(wanted.tax_free.map(|free| Field::new("taxFree", free.to_string())));
        Ok(Self { fields, hash, warnings })
    }

    /// `hashData`.
    pub fn hash(&self) -> Recipe {
        self.hash.clone()
    }

    /// The body, with the hash as lower-case hex.
    pub fn body(&self, hash: &str) -> String {
        let mut fields = self.fields.clone();
        fields.push(Field::new("hashData", hash));
        form::write(CHARSET, &fields)
    }
}

fn buyer_email(wanted: &Wanted<'_>, warnings: &mut Vec<String>) -> String {
    let email = order::email("buyerEmail", wanted.buyer_email, warnings);
    email.unwrap_or_else(|| order::FALLBACK_EMAIL.to_owned())
}

fn buyer_phone(wanted: &Wanted<'_>, warnings: &mut Vec<String>) -> String {
    let phone = order::phone("buyerTel", wanted.buyer_phone, warnings);
    phone.unwrap_or_else(|| order::FALLBACK_PHONE.to_owned())
}

/// What no cutting can mend; answers the price as text.
fn fit(wanted: &Wanted<'_>) -> Result<String, Unfit> {
    let no = |why: &str| Err(Unfit(why.to_owned()));
    let price = wanted.amount.to_string();
    if wanted.currency != "KRW" {
        return no("INICIS opens accounts for won only");
    }
    if wanted.amount <= 0 || price.len() > PRICE_DIGITS {
        return no("the amount must be greater than 0 and have at most 12 digits");
    }
    if !is_order_ref(wanted.order_ref) {
        return no("the order number must be 1 to 40 ASCII letters, digits, - or _");
    }
    if !super::is_ipv4(wanted.client_ip) {
        return no("client_ip must be an IPv4 address");
    }
    if wanted.bank.len() != 2 || !wanted.bank.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return no("the bank must be a code of INICIS of 2 characters");
    }
    if wanted.deadline_ms <= wanted.now_ms {
        return no("the deadline has passed");
    }
    order::tax_fits(wanted.amount, wanted.vat, wanted.tax_free)?;
    Ok(price)
}

/// An account that was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// `tid`: the issue's number.
    pub tid: String,
    /// The account.
    pub account: Account,
    /// `price`.
    pub amount: i64,
    /// The rest.
    pub more: Vec<(String, String)>,
}

/// How an issue was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IssueAnswer {
    /// `00`.
    Opened(Box<Opened>),
    /// No.
    No(KnownRefusal),
}

/// Reads the answer.
pub fn read(status: u16, body: &[u8]) -> Result<IssueAnswer, Unclear> {
    if status != 200 {
        return Err(Unclear(format!("INIAPI answered HTTP {status}")));
    }
    let fields = Object::parse(body)?;
    if fields.exact("resultCode")? != Some("00") {
        return KnownRefusal::read(&refusal::ISSUE, &fields).map(IssueAnswer::No);
    }
    let tid = fields.required("tid")?;
    if !receipt::is_tid(&tid) {
        return Err(Unclear("tid is not a transaction number".into()));
    }
    let number = crate::notice::account_number(&fields.required("vacct")?)
        .ok_or_else(|| Unclear("vacct is not an account number".into()))?;
    let amount = fields.amount("price")?.ok_or_else(|| Unclear("price is missing".into()))?;
    let code = fields.shown("vacctBankCode").unwrap_or_default();
    let bank: Institution = bank(code, None);
    Ok(IssueAnswer::Opened(Box::new(Opened {
        tid,
        account: Account {
            bank,
            number,
            holder: fields.shown("vacctName").unwrap_or_default(),
            deadline_ms: deadline(&fields),
        },
        amount,
        more: ["authDate", "authTime"]
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), fields.shown(name)?)))
            .collect(),
    })))
}

/// `validDate` and `validTime`, which has four or six digits.
fn deadline(fields: &Object) -> Option<i64> {
    let (date, time) = fields.shown("validDate").zip(fields.shown("validTime"))?;
    let time = if time.len() == 4 { format!("{time}00") } else { time };
    clock::from_kst(&date, &time)
}
