//! The form that opens the mobile window (`inicis.md §2.1–2.3`).
//!
//! Invariant: the form is EUC-KR, whatever is asked for in `P_CHARSET`, which names the charset of the results
//! (`inicis.md §2.1`); order number, amount and timestamp are the same text in the form and in `P_CHKFAKE`; the order number
//! also stands in `P_NOTI`, because the authentication result has no other place for it (`inicis.md §2.4`).

use crate::form::{Charset, Field};
use crate::order::{self, FALLBACK_GOODS, FALLBACK_NAME, Unfit, named};
use crate::recipe::Recipe;
use crate::text;

/// Where the form is posted (`inicis.md §2.1`).
pub const ACTION: &str = "https://mobile.inicis.com/smart/payment/";

/// Charset of the form, in which its lengths count. The manual ("Accept-charset : EUC-KR") makes no exception.
const CHARSET: Charset = Charset::EucKr;
/// `accept-charset` of the form: [`CHARSET`] as HTML names it.
pub const ACCEPT_CHARSET: &str = "euc-kr";

/// What only this window needs.
#[derive(Debug, Clone)]
pub struct Phone<'a> {
    /// `P_INI_PAYMENT`.
    pub payment: &'a str,
    /// The method's word of `P_RESERVED`; empty: none.
    pub reserved: &'a str,
    /// Where deposits are reported.
    pub notify_url: &'a str,
    /// Charset of the results: the return post and the approval's answer. Never that of the form.
    pub results: Charset,
    /// What the options add.
    pub options: super::options::Options,
}

/// What is to be paid, on a phone.
pub type Wanted<'a> = order::Wanted<'a, Phone<'a>>;

/// An opened form, without its hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    amount: String,
    oid: String,
    timestamp: String,
    before: Vec<Field>,
    after: Vec<Field>,
    /// What was changed.
    pub warnings: Vec<String>,
}

/// `P_AMT` has at most eight digits (`inicis.md §2.1`).
pub const AMOUNT_MAX: i64 = 99_999_999;

/// `P_NEXT_URL` and `P_NOTI_URL` are said to end at 250 bytes, which is not verified (`inicis.md §2.1`): a warning, no error.
const URL_BYTES: usize = 250;

/// Makes the form's fields.
pub fn open(wanted: &Wanted<'_>) -> Result<Opened, Unfit> {
    fit(wanted)?;
    let mut warnings = wanted.window.options.warnings.clone();
    let (amount, timestamp) = (wanted.amount.to_string(), wanted.now_ms.to_string());
    let mut before = vec![
        Field::new("P_INI_PAYMENT", wanted.window.payment),
        Field::new("P_MID", wanted.mid),
        Field::new("P_OID", wanted.order_ref),
        Field::new("P_AMT", amount.as_str()),
        named(CHARSET, "P_GOODS", Some(wanted.goods), FALLBACK_GOODS, 80, &mut warnings),
        name(wanted.buyer_name, &mut warnings),
        Field::new("P_NEXT_URL", wanted.return_url),
    ];
    if wanted.window.payment == "VBANK" {
        before.push(Field::new("P_NOTI_URL", wanted.window.notify_url));
    }
    let phone = order::phone("P_MOBILE", wanted.buyer_phone, &mut warnings);
    before.extend(phone.map(|phone| Field::new("P_MOBILE", phone)));
    let email = order::email("P_EMAIL", wanted.buyer_email, &mut warnings);
    before.extend(email.map(|email| Field::new("P_EMAIL", email)));
    before.extend([
        Field::new("P_CHARSET", charset_name(wanted.window.results)),
        Field::new("P_NOTI", wanted.order_ref),
        Field::new("P_TIMESTAMP", timestamp.as_str()),
    ]);
    let tax = [("P_TAX", wanted.vat), ("P_TAXFREE", wanted.tax_free)];
    let mut after: Vec<Field> =
        tax.iter().filter_map(|(name, part)| part.map(|p| Field::new(name, p.to_string()))).collect();
    after.extend(order::further(&wanted.window.options.fields, &mut warnings).into_iter().map(
        |mut field| {
            if field.name == "P_MNAME" {
                field.value = unbroken("P_MNAME", &field.value, &mut warnings);
            }
            field
        },
    ));
    after.push(Field::new("P_RESERVED", text::clean("P_RESERVED", &reserved(wanted), &mut warnings)));
    told(wanted, &mut warnings);
    let oid = wanted.order_ref.to_owned();
    Ok(Opened { amount, oid, timestamp, before, after, warnings })
}

/// What cannot be followed but need not be refused.
fn told(wanted: &Wanted<'_>, warnings: &mut Vec<String>) {
    let primary = wanted.language.split(['-', '_']).next().unwrap_or_default();
    if !primary.is_empty() && !primary.eq_ignore_ascii_case("ko") {
        warnings.push("language: INICIS's mobile window is Korean only, as far as is documented".to_owned());
    }
    if wanted.return_url.len() > URL_BYTES || wanted.window.notify_url.len() > URL_BYTES {
        warnings
            .push(format!("P_NEXT_URL, P_NOTI_URL: INICIS may cut addresses of more than {URL_BYTES} bytes"));
    }
}

/// What no cutting can mend.
fn fit(wanted: &Wanted<'_>) -> Result<(), Unfit> {
    let no = |why: &str| Err(Unfit(why.to_owned()));
    let web = |url: &str| {
        let absolute = url.starts_with("https://") || url.starts_with("http://");
        absolute && url.bytes().all(|b| b.is_ascii_graphic())
    };
    if wanted.currency != "KRW" {
        return no("amount.currency: INICIS takes other currencies than KRW on a PC only");
    }
    if !(1..=AMOUNT_MAX).contains(&wanted.amount) {
        return no("amount: must be greater than 0 and have at most 8 digits");
    }
    if !web(wanted.return_url) || !web(wanted.window.notify_url) {
        return no("return and notify address must be whole http(s) addresses");
    }
    wanted.fit()
}

/// `P_UNAME`.
fn name(value: Option<&str>, warnings: &mut Vec<String>) -> Field {
    let safe = unbroken("P_UNAME", value.unwrap_or_default(), warnings);
    named(CHARSET, "P_UNAME", Some(&safe), FALLBACK_NAME, 30, warnings)
}

/// Text that the approval echoes among values that are not encoded (`inicis.md §2.5`; a captured answer has a name with `&&`
/// as it was typed): what would end the field there is a blank.
fn unbroken(field: &str, typed: &str, warnings: &mut Vec<String>) -> String {
    let safe = typed.replace(['&', '=', '%', '+'], " ");
    if safe != typed {
        warnings.push(format!("{field}: & = % + were replaced by blanks"));
    }
    safe
}

/// `P_CHARSET` (`inicis.md §2.1`).
const fn charset_name(charset: Charset) -> &'static str {
    match charset {
        Charset::Utf8 => "utf8",
        Charset::EucKr => "euc-kr",
    }
}

/// `P_RESERVED` that every payment has: the data centre's name, the hash, two transactions for ISP and transfers, and the
/// check whether the payment app is there (`inicis.md §2.3, §2.7`).
const RESERVED: [&str; 7] = [
    "centerCd=Y",
    "amt_hash=Y",
    "twotrs_isp=Y",
    "block_isp=Y",
    "twotrs_isp_noti=N",
    "twotrs_bank=Y",
    "apprun_check=Y",
];

fn reserved(wanted: &Wanted<'_>) -> String {
    let mut words = RESERVED.to_vec();
    if wanted.amount < 1000 {
        words.push("below1000=Y");
    }
    if !wanted.window.reserved.is_empty() {
        words.push(wanted.window.reserved);
    }
    words.extend(wanted.window.options.reserved.iter().map(String::as_str));
    words.join("&")
}

impl Opened {
    /// Recipe of `P_CHKFAKE`.
    pub fn chkfake(&self) -> Recipe {
        super::chkfake(&self.amount, &self.oid, &self.timestamp)
    }

    /// The whole form in order, with the hash as base64.
    pub fn into_fields(self, chkfake: String) -> Vec<Field> {
        let mut fields = self.before;
        fields.push(Field::new("P_CHKFAKE", chkfake));
        fields.extend(self.after);
        fields
    }
}
