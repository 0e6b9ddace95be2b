//! What of an order goes into a form of either device, and what makes it unfit.
//!
//! Invariant: amounts and references are right or refused; everything else is cut, replaced or filled in with a warning
//! (`inicis.md §1.2, §9.23, §9.24`).

use crate::form::{Charset, Field};
use crate::{clock, text};

/// What is to be paid, in the shop's words, and what its window needs besides.
#[derive(Debug, Clone, Default)]
pub struct Wanted<'a, W> {
    /// MID.
    pub mid: &'a str,
    /// Our order number.
    pub order_ref: &'a str,
    /// Minor units.
    pub amount: i64,
    /// ISO 4217.
    pub currency: &'a str,
    /// The moment of the call.
    pub now_ms: i64,
    /// What is sold.
    pub goods: &'a str,
    /// Buyer.
    pub buyer_name: Option<&'a str>,
    /// Buyer.
    pub buyer_phone: Option<&'a str>,
    /// Buyer.
    pub buyer_email: Option<&'a str>,
    /// `ko`, `en` or a tag.
    pub language: &'a str,
    /// Where the result is posted.
    pub return_url: &'a str,
    /// Part free of tax.
    pub tax_free: Option<i64>,
    /// VAT.
    pub vat: Option<i64>,
    /// What only this window needs.
    pub window: W,
}

impl<W> Wanted<'_, W> {
    /// What neither window takes.
    pub fn fit(&self) -> Result<(), Unfit> {
        let no = |why: &str| Err(Unfit(why.to_owned()));
        if !is_order_ref(self.order_ref) {
            return no("the order number must be 1 to 40 ASCII letters, digits, - or _");
        }
        if !clock::is_13_digits(self.now_ms) {
            return no("the time of the call is not a millisecond timestamp of 13 digits");
        }
        tax_fits(self.amount, self.vat, self.tax_free)
    }
}

/// Whether VAT and tax-free part can be sent: a tax of more than a tenth of the price is refused (`inicis.md §1.2`).
pub fn tax_fits(amount: i64, vat: Option<i64>, free: Option<i64>) -> Result<(), Unfit> {
    let no = |why: &str| Err(Unfit(why.to_owned()));
    let (vat, free) = (vat.unwrap_or(0), free.unwrap_or(0));
    if vat < 0 || vat > amount / 10 {
        return no("tax.vat: INICIS refuses a VAT of more than a tenth of the amount");
    }
    if free < 0 || free > amount {
        return no("tax.free: the tax-free part must be at most the amount");
    }
    Ok(())
}

/// An order that INICIS would refuse. English, for the shop's developer; it begins with the member of the contract's `order`
/// that is at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unfit(pub String);

/// Currencies of the window and how it names them (`inicis.md §1.2`: USD in cents, card only).
pub const CURRENCIES: [(&str, &str); 2] = [("KRW", "WON"), ("USD", "USD")];

/// INICIS's name of an ISO 4217 currency.
pub fn currency_name(iso: &str) -> Option<&'static str> {
    CURRENCIES.iter().find(|(code, _)| *code == iso).map(|(_, name)| *name)
}

/// The ISO 4217 currency of INICIS's name.
pub fn currency_of(name: &str) -> Option<&'static str> {
    CURRENCIES.iter().find(|(_, n)| *n == name).map(|(code, _)| *code)
}

/// Sent when the order names no buyer. INICIS demands a name, a telephone number and an e-mail address (`inicis.md §1.2`);
/// the shops of today send a made-up number too (`wordpress.md §1`).
pub const FALLBACK_NAME: &str = "구매자";
/// See [`FALLBACK_NAME`]; nobody's number.
pub const FALLBACK_PHONE: &str = "010-0000-0000";
/// See [`FALLBACK_NAME`]; a domain that is reserved for examples, so that no mail reaches a stranger.
pub const FALLBACK_EMAIL: &str = "buyer@example.com";
/// Sent when the order names no goods.
pub const FALLBACK_GOODS: &str = "상품";

/// Whether the text can be an order number (`inicis.md §9.23`).
pub fn is_order_ref(text: &str) -> bool {
    (1..=40).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

/// A field with a line of at most `max` bytes of the form's charset, or the fallback.
pub fn named(
    charset: Charset,
    field: &'static str,
    value: Option<&str>,
    fallback: &str,
    max: usize,
    warnings: &mut Vec<String>,
) -> Field {
    let line = text::line(charset, field, value.unwrap_or_default(), max, warnings);
    if line.is_empty() {
        warnings.push(format!("{field}: INICIS demands one, {fallback} was sent"));
        return Field::new(field, fallback);
    }
    Field::new(field, line)
}

/// Fields that options add, with text that INICIS can hold.
pub fn further(fields: &[Field], warnings: &mut Vec<String>) -> Vec<Field> {
    let clean = |field: &Field| Field {
        name: field.name.clone(),
        value: text::clean(&field.name, &field.value, warnings),
    };
    fields.iter().map(clean).collect()
}

/// A telephone number: digits and `-`, at most 20 (`inicis.md §1.2`); absent when nothing of that form was typed.
pub fn phone(field: &str, value: Option<&str>, warnings: &mut Vec<String>) -> Option<String> {
    let typed = text::narrow(value.unwrap_or_default());
    let kept: String = typed.chars().filter(|c| c.is_ascii_digit() || *c == '-').collect();
    if !kept.bytes().any(|b| b.is_ascii_digit()) || kept.len() > 20 {
        return None;
    }
    if kept != typed {
        warnings.push(format!("{field}: everything but digits and - was left out"));
    }
    Some(kept)
}

/// An e-mail address of at most 60. Of special characters only `@` and `.` are known to be safe (`inicis.md §1.2`); `-` and
/// `_` are too common to lose and pass with a warning; an address with others would no longer be the buyer's once mended, and
/// so it is absent.
pub fn email(field: &str, value: Option<&str>, warnings: &mut Vec<String>) -> Option<String> {
    let typed = text::narrow(value.unwrap_or_default());
    let known = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'@' | b'.' | b'-' | b'_');
    let halves: Vec<&str> = typed.split('@').collect();
    let whole = matches!(halves.as_slice(), [user, domain] if !user.is_empty() && domain.contains('.'));
    if !whole || typed.len() > 60 || !typed.bytes().all(known) {
        return None;
    }
    if typed.bytes().any(|b| matches!(b, b'-' | b'_')) {
        warnings.push(format!("{field}: INICIS promises to take no special characters but @ and ."));
    }
    Some(typed)
}
