//! Options of a payment on a PC: our names, INICIS's fields (`inicis.md §1.2, §1.4`).
//!
//! Invariant: an option does what its row says or is refused; it never touches a field that says who is paid what, and none is
//! dropped in silence.

use serde_json::Value;

use crate::cards;
use crate::form::Field;

/// What options add to the form.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// To `acceptmethod`.
    pub accept: Vec<String>,
    /// Fields of their own.
    pub fields: Vec<Field>,
}

/// An option that cannot be followed. English, for the shop's developer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    /// Not in the table.
    #[error("this version of the plugin does not know the option {0}")]
    Unknown(String),
    /// In the table, but not whole yet.
    #[error("the option {0} is not supported by this version of the plugin")]
    Unsupported(&'static str),
    /// Its value.
    #[error("option {0}: {1}")]
    Value(&'static str, &'static str),
}

type Apply = fn(&str, &mut Options) -> Result<(), &'static str>;

/// One option.
struct Row {
    name: &'static str,
    apply: Apply,
}

/// Every option that is followed on a PC. Values: a switch is `true` or `false`, a list or object is JSON, cards are INICIS's
/// codes (`inicis.md §8.2`).
const TABLE: [Row; 11] = [
    Row { name: "card_quota", apply: card_quota },
    Row { name: "allowed_cards", apply: allowed_cards },
    Row { name: "direct_card", apply: direct_card },
    Row { name: "interest_free", apply: interest_free },
    Row { name: "service_period", apply: service_period },
    Row { name: "card_points", apply: |value, out| switch(value, out, "cardpoint") },
    Row { name: "no_easy_pay", apply: |value, out| switch(value, out, "noeasypay") },
    Row { name: "skin", apply: skin },
    Row { name: "logo_url", apply: |value, out| picture(value, out, "logo_url") },
    Row { name: "logo_2nd", apply: |value, out| picture(value, out, "logo_2nd") },
    Row { name: "bypass_pc", apply: bypass },
];

/// Options of the phone's window; on a PC they mean nothing.
const MOBILE_ONLY: [&str; 2] = ["app_scheme", "bypass_mobile"];

/// Options that will be followed one day and must not be taken for followed.
const NOT_YET: [&str; 1] = ["escrow"];

/// Reads the options, the first of each name first: the payment's come before the channel's.
pub fn read<'a>(options: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Options, OptionError> {
    let mut out = Options::default();
    let mut seen: Vec<&str> = Vec::new();
    for (name, value) in options {
        if seen.contains(&name) || MOBILE_ONLY.contains(&name) {
            continue;
        }
        seen.push(name);
        if let Some(not_yet) = NOT_YET.iter().find(|n| **n == name) {
            if value == "false" {
                continue;
            }
            return Err(OptionError::Unsupported(not_yet));
        }
        let row =
            TABLE.iter().find(|row| row.name == name).ok_or_else(|| OptionError::Unknown(name.into()))?;
        (row.apply)(value, &mut out).map_err(|why| OptionError::Value(row.name, why))?;
    }
    Ok(out)
}

fn switch(value: &str, out: &mut Options, word: &str) -> Result<(), &'static str> {
    match value {
        "true" => out.accept.push(word.to_owned()),
        "false" => {}
        _ => return Err("must be true or false"),
    }
    Ok(())
}

/// Months of instalment, 2 to 36 (the largest of the reference), as text joined by `:`.
fn months(value: &Value) -> Option<String> {
    let list = value.as_array().filter(|list| !list.is_empty() && list.len() <= 36)?;
    let months: Option<Vec<String>> = list
        .iter()
        .map(|month| month.as_u64().filter(|m| (2..=36).contains(m)).map(|m| m.to_string()))
        .collect();
    months.map(|months| months.join(":"))
}

/// `quotabase`: a single payment is always offered; how to offer nothing else is not documented (`inicis.md §1.2`).
fn card_quota(value: &str, out: &mut Options) -> Result<(), &'static str> {
    let json: Value = serde_json::from_str(value).unwrap_or_default();
    let months = months(&json).ok_or("must be a JSON list of at least one number of months from 2 to 36")?;
    out.fields.push(Field::new("quotabase", months));
    Ok(())
}

fn card(code: &str) -> bool {
    cards::by_code(code).is_some()
}

/// `ini_onlycardcode`.
fn allowed_cards(value: &str, out: &mut Options) -> Result<(), &'static str> {
    let codes: Vec<String> = serde_json::from_str(value).unwrap_or_default();
    if codes.is_empty() || !codes.iter().all(|code| card(code)) {
        return Err("must be a JSON list of card codes of INICIS");
    }
    out.fields.push(Field::new("ini_onlycardcode", codes.join(":")));
    Ok(())
}

/// `ini_cardcode`.
fn direct_card(value: &str, out: &mut Options) -> Result<(), &'static str> {
    if !card(value) {
        return Err("must be a card code of INICIS");
    }
    out.fields.push(Field::new("ini_cardcode", value));
    Ok(())
}

/// `nointerest`: `11-2:3,34-5:12`.
fn interest_free(value: &str, out: &mut Options) -> Result<(), &'static str> {
    let wrong = "must be a JSON object from card codes of INICIS to lists of months";
    let json: Value = serde_json::from_str(value).map_err(|_| wrong)?;
    let cards = json.as_object().filter(|cards| !cards.is_empty()).ok_or(wrong)?;
    let each: Option<Vec<String>> = cards
        .iter()
        .map(|(code, list)| Some(format!("{code}-{}", months(list).filter(|_| card(code))?)))
        .collect();
    out.fields.push(Field::new("nointerest", each.ok_or(wrong)?.join(",")));
    Ok(())
}

/// `offerPeriod`: `Y2`, `M2` or `YYYYMMDD-YYYYMMDD`; only shown (`inicis.md §1.2`).
fn service_period(value: &str, out: &mut Options) -> Result<(), &'static str> {
    let digits = |text: &str, most: usize| {
        (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
    };
    let length = value.strip_prefix(['Y', 'M']).is_some_and(|count| digits(count, 3));
    let range = value.split_once('-').is_some_and(|(from, to)| {
        let date = |text: &str| crate::clock::from_kst(text, "000000");
        matches!((date(from), date(to)), (Some(from), Some(to)) if from <= to)
    });
    if !length && !range {
        return Err("must be Y and years, M and months, or YYYYMMDD-YYYYMMDD");
    }
    out.fields.push(Field::new("offerPeriod", value));
    Ok(())
}

/// `SKIN(#C1272C)`.
fn skin(value: &str, out: &mut Options) -> Result<(), &'static str> {
    let hex = value.strip_prefix('#').filter(|h| h.len() == 6 && h.bytes().all(|b| b.is_ascii_hexdigit()));
    hex.ok_or("must be a colour like #C1272C")?;
    out.accept.push(format!("SKIN({value})"));
    Ok(())
}

fn picture(value: &str, out: &mut Options, field: &'static str) -> Result<(), &'static str> {
    if !value.starts_with("https://") || !value.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("must be an https address");
    }
    out.fields.push(Field::new(field, value));
    Ok(())
}

/// Fields that an option must never set: they say who is paid what, and where the result goes.
const OURS: [&str; 20] = [
    "version",
    "gopaymethod",
    "mid",
    "oid",
    "price",
    "timestamp",
    "use_chkfake",
    "signature",
    "verification",
    "mkey",
    "currency",
    "goodname",
    "buyername",
    "buyertel",
    "buyeremail",
    "returnurl",
    "closeurl",
    "charset",
    "tax",
    "taxfree",
];

/// Words of `acceptmethod` that make another kind of sale: escrow, billing key.
const OTHER_KINDS: [&str; 2] = ["useescrow", "billauth"];

/// Any further field of the PC form, as a JSON object of texts; `acceptmethod` is added to ours.
fn bypass(value: &str, out: &mut Options) -> Result<(), &'static str> {
    let json: Value = serde_json::from_str(value).unwrap_or_default();
    let fields = json.as_object().ok_or("must be a JSON object of texts")?;
    for (name, value) in fields {
        let value = value.as_str().ok_or("must be a JSON object of texts")?;
        let lower = name.to_ascii_lowercase();
        let word = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !word || value.chars().any(char::is_control) || value.len() > 2000 {
            return Err("names must be words, values one line of at most 2,000 bytes");
        }
        let taken = out.fields.iter().any(|field| field.name.eq_ignore_ascii_case(name));
        if OURS.contains(&lower.as_str()) || taken || lower == "languageview" {
            return Err("sets a field that the plugin sets itself");
        }
        if lower == "acceptmethod" {
            let words = value.to_ascii_lowercase();
            if OTHER_KINDS.iter().any(|kind| words.contains(kind)) {
                return Err("acceptmethod must not make an escrow sale or a billing key");
            }
            out.accept.push(value.trim_matches(':').to_owned());
        } else {
            out.fields.push(Field { name: name.clone().into(), value: value.to_owned() });
        }
    }
    Ok(())
}
