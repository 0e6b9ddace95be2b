//! The form that opens the window (`inicis.md §1.2`).
//!
//! Invariant: order number, price and timestamp are the same text in the form and in its hashes; anything else that does not
//! fit is cut or replaced with a warning.

use crate::form::{Charset, Field};
use crate::order::{
    self, FALLBACK_EMAIL, FALLBACK_GOODS, FALLBACK_NAME, FALLBACK_PHONE, Unfit, currency_name, named,
};
use crate::recipe::{Algorithm, Part, Recipe, secret};

/// Charset of the form: INICIS's script posts a page in UTF-8 (`inicis.md §1.1, §1.2`). The field `charset` is that of the
/// results.
const CHARSET: Charset = Charset::Utf8;

/// What only this window needs.
#[derive(Debug, Clone, Default)]
pub struct Page<'a> {
    /// `gopaymethod`.
    pub methods: &'a str,
    /// Where a closed window goes.
    pub close_url: &'a str,
    /// Origin of the page that shows the form.
    pub page_origin: &'a str,
    /// What the options add.
    pub options: super::options::Options,
}

/// What is to be paid, on a PC.
pub type Wanted<'a> = order::Wanted<'a, Page<'a>>;

/// An opened form, without its hashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    oid: String,
    price: String,
    timestamp: String,
    before: Vec<Field>,
    after: Vec<Field>,
    /// What was changed.
    pub warnings: Vec<String>,
}

/// Makes the form's fields.
pub fn open(wanted: &Wanted<'_>) -> Result<Opened, Unfit> {
    let currency = fit(wanted)?;
    let mut warnings = wanted.window.options.warnings.clone();
    let price = wanted.amount.to_string();
    let timestamp = wanted.now_ms.to_string();
    let before = vec![
        Field::new("version", "1.0"),
        Field::new("gopaymethod", wanted.window.methods),
        Field::new("mid", wanted.mid),
        Field::new("oid", wanted.order_ref),
        Field::new("price", price.as_str()),
        Field::new("timestamp", timestamp.as_str()),
        Field::new("use_chkfake", "Y"),
    ];
    let mut after = vec![
        Field::new("currency", currency),
        named(CHARSET, "goodname", Some(wanted.goods), FALLBACK_GOODS, 40, &mut warnings),
        named(CHARSET, "buyername", wanted.buyer_name, FALLBACK_NAME, 30, &mut warnings),
        Field::new("buyertel", phone(wanted.buyer_phone, &mut warnings)),
        Field::new("buyeremail", email(wanted.buyer_email, &mut warnings)),
        Field::new("returnUrl", wanted.return_url),
        Field::new("closeUrl", wanted.window.close_url),
        Field::new("charset", "UTF-8"),
        Field::new("languageView", language(wanted.language)),
    ];
    let tax = [("tax", wanted.vat), ("taxfree", wanted.tax_free)];
    after.extend(tax.iter().filter_map(|(name, part)| part.map(|p| Field::new(name, p.to_string()))));
    after.extend(order::further(&wanted.window.options.fields, &mut warnings));
    after.push(Field::new("acceptmethod", accept_method(wanted, currency)));
    Ok(Opened { oid: wanted.order_ref.to_owned(), price, timestamp, before, after, warnings })
}

/// What no cutting can mend; gives INICIS's name of the currency.
fn fit(wanted: &Wanted<'_>) -> Result<&'static str, Unfit> {
    let no = |why: &str| Err(Unfit(why.to_owned()));
    let same_origin = |url: &str| {
        url.strip_prefix(wanted.window.page_origin)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']))
    };
    let Some(currency) = currency_name(wanted.currency) else {
        return no("amount.currency: INICIS takes KRW, and USD by card");
    };
    if currency != "WON" && wanted.window.methods != "Card" {
        return no("amount.currency: INICIS takes USD by card only");
    }
    if wanted.amount <= 0 {
        return no("amount: must be greater than 0");
    }
    if !same_origin(wanted.return_url) || !same_origin(wanted.window.close_url) {
        return no(
            "return and close address must have the origin of the page that opens the window (INICIS: V023)",
        );
    }
    wanted.fit()?;
    Ok(currency)
}

/// `acceptmethod` (`inicis.md §1.4`): `centerCd(Y)` makes INICIS say its data centre; `below1000` is needed under 1,000 won.
fn accept_method(wanted: &Wanted<'_>, currency: &str) -> String {
    let mut options = vec!["centerCd(Y)"];
    if currency == "WON" && wanted.amount < 1000 {
        options.push("below1000");
    }
    options.extend(wanted.window.options.accept.iter().map(String::as_str));
    options.join(":")
}

/// `buyertel`.
fn phone(value: Option<&str>, warnings: &mut Vec<String>) -> String {
    order::phone("buyertel", value, warnings).unwrap_or_else(|| {
        warnings.push(format!("buyertel: INICIS demands a number of at most 20, {FALLBACK_PHONE} was sent"));
        FALLBACK_PHONE.to_owned()
    })
}

/// `buyeremail`.
fn email(value: Option<&str>, warnings: &mut Vec<String>) -> String {
    order::email("buyeremail", value, warnings).unwrap_or_else(|| {
        warnings.push(format!("buyeremail: not an address that INICIS takes, {FALLBACK_EMAIL} was sent"));
        FALLBACK_EMAIL.to_owned()
    })
}

/// `languageView`: `ko` or `en` (`inicis.md §1.2`; `cn` is not certain). Who does not read Korean gets English.
fn language(tag: &str) -> &'static str {
    let primary = tag.split(['-', '_']).next().unwrap_or_default();
    if primary.is_empty() || primary.eq_ignore_ascii_case("ko") { "ko" } else { "en" }
}

/// `mKey` (`inicis.md §1.5`).
pub fn m_key() -> Recipe {
    Recipe::of(Algorithm::Sha256, [Part::Secret(secret::SIGN_KEY)])
}

/// `signature` of the form (`inicis.md §1.5`).
pub fn signature(oid: &str, price: &str, timestamp: &str) -> Recipe {
    Recipe::of_text(Algorithm::Sha256, format!("oid={oid}&price={price}&timestamp={timestamp}"))
}

/// `verification` of the form (`inicis.md §1.5`).
pub fn verification(oid: &str, price: &str, timestamp: &str) -> Recipe {
    Recipe::of(
        Algorithm::Sha256,
        [
            Part::Text(format!("oid={oid}&price={price}&signKey=")),
            Part::Secret(secret::SIGN_KEY),
            Part::Text(format!("&timestamp={timestamp}")),
        ],
    )
}

impl Opened {
    /// Recipe of `signature`.
    pub fn signature(&self) -> Recipe {
        signature(&self.oid, &self.price, &self.timestamp)
    }

    /// Recipe of `verification`.
    pub fn verification(&self) -> Recipe {
        verification(&self.oid, &self.price, &self.timestamp)
    }

    /// The whole form in order, with the three hashes as lower-case hex.
    pub fn into_fields(self, signature: String, verification: String, m_key: String) -> Vec<Field> {
        let mut fields = self.before;
        fields.push(Field::new("signature", signature));
        fields.push(Field::new("verification", verification));
        fields.push(Field::new("mKey", m_key));
        fields.extend(self.after);
        fields
    }
}
