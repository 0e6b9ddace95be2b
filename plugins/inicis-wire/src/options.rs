//! Options of a payment, as a shop writes them (`inicis.md §1.2, §1.4, §2.1, §2.3`).
//!
//! Invariant: an option is read once, the same for both devices, and what cannot be read is refused; what it becomes on a
//! device is the business of [`crate::pc::options`] and [`crate::mobile::options`], which tell what a device cannot follow.

use serde_json::Value;

use crate::{cards, clock};

/// An option that cannot be followed. English, for the shop's developer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    /// Not in the table.
    #[error("options.{0}: this version of the plugin does not know this option")]
    Unknown(String),
    /// In the table, but not whole yet.
    #[error("options.{0}: this version of the plugin does not support this yet")]
    Unsupported(&'static str),
    /// Its value.
    #[error("options.{0}: {1}")]
    Value(&'static str, &'static str),
}

/// What is sold by phone (`inicis.md §1.4` HPP, `§2.1` P_HPP_METHOD).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PhoneGoods {
    /// Content: 1.
    Digital,
    /// Goods: 2.
    Physical,
}

impl PhoneGoods {
    /// Reads `digital` or `physical`.
    pub fn of(text: &str) -> Option<Self> {
        match text {
            "digital" => Some(Self::Digital),
            "physical" => Some(Self::Physical),
            _ => None,
        }
    }

    /// INICIS's digit.
    pub const fn digit(self) -> &'static str {
        match self {
            Self::Digital => "1",
            Self::Physical => "2",
        }
    }
}

/// A card that the window opens at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Direct {
    /// INICIS's card code.
    pub card: &'static str,
    /// Months; 0 is a single payment; absent: the buyer chooses.
    pub months: Option<u64>,
}

/// A service period (`inicis.md §1.2` offerPeriod).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Period {
    /// `Y2`, `M2`.
    Length(String),
    /// Two dates, `YYYYMMDD`.
    Range(String, String),
}

/// Until when a deposit is taken, in Korean time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deadline {
    /// `YYYYMMDD`.
    pub date: String,
    /// `hhmm`.
    pub time: String,
}

/// Further fields of one device: names and texts, in the shop's order.
pub type Extra = Vec<(String, Vec<String>)>;

/// Everything that was wished.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wishes {
    /// `card_quota`: months; an empty list is a single payment only.
    pub quota: Option<Vec<u64>>,
    /// `direct_card`.
    pub direct: Option<Direct>,
    /// `allowed_cards`: INICIS's codes; empty: all.
    pub allowed: Vec<&'static str>,
    /// `interest_free`: INICIS's code and months, paid by the merchant.
    pub interest_free: Vec<(&'static str, Vec<u64>)>,
    /// `service_period`.
    pub period: Option<Period>,
    /// `card_points`.
    pub card_points: bool,
    /// `no_easy_pay`.
    pub no_easy_pay: bool,
    /// `phone_goods`.
    pub phone_goods: Option<PhoneGoods>,
    /// `deposit_deadline`.
    pub deadline: Option<Deadline>,
    /// `deposit_cash_receipt`: the form for a cash receipt of a virtual account.
    pub deposit_receipt: bool,
    /// `transfer_cash_receipt` false: no form for a cash receipt of a transfer.
    pub no_transfer_receipt: bool,
    /// `skin`: `#C1272C`.
    pub skin: Option<String>,
    /// `logo_url`.
    pub logo_url: Option<String>,
    /// `logo_2nd`.
    pub logo_2nd: Option<String>,
    /// `app_scheme`: `shop://`.
    pub app_scheme: Option<String>,
    /// `app_base`: the text of `P_APP_BASE`, whose values are not documented.
    pub app_base: Option<String>,
    /// `bypass.pc`.
    pub bypass_pc: Extra,
    /// `bypass.mobile`.
    pub bypass_mobile: Extra,
}

/// Least amount that is paid in instalments, in won (`inicis.md §1.2`).
const INSTALMENTS_FROM: i64 = 50_000;

type Read = fn(&str, &mut Wishes) -> Result<(), &'static str>;

/// Every option: its name and its reading. A switch is `true` or `false`, a list or object is JSON, cards are INICIS's codes
/// of two digits or KFTC's of three ([`crate::cards`]).
const TABLE: [(&str, Read); 17] = [
    ("card_quota", |value, out| {
        let json = json(value);
        let list = json.as_array().ok_or("must be a JSON list of numbers of months from 2 to 36")?;
        let given = if list.is_empty() { Some(Vec::new()) } else { months(&json) };
        out.quota = Some(given.ok_or("must be a JSON list of numbers of months from 2 to 36")?);
        Ok(())
    }),
    ("allowed_cards", allowed_cards),
    ("direct_card", direct_card),
    ("interest_free", interest_free),
    ("service_period", service_period),
    ("card_points", |value, out| switch(value).map(|on| out.card_points = on)),
    ("no_easy_pay", |value, out| switch(value).map(|on| out.no_easy_pay = on)),
    ("phone_goods", |value, out| {
        out.phone_goods = Some(PhoneGoods::of(value).ok_or("must be digital or physical")?);
        Ok(())
    }),
    ("deposit_deadline", deposit_deadline),
    ("deposit_cash_receipt", |value, out| switch(value).map(|on| out.deposit_receipt = on)),
    ("transfer_cash_receipt", |value, out| switch(value).map(|on| out.no_transfer_receipt = !on)),
    ("skin", skin),
    ("logo_url", |value, out| picture(value).map(|url| out.logo_url = Some(url))),
    ("logo_2nd", |value, out| picture(value).map(|url| out.logo_2nd = Some(url))),
    ("app_scheme", |value, out| app_scheme(value).map(|scheme| out.app_scheme = Some(scheme))),
    ("app_base", |value, out| plain(value, 40).map(|text| out.app_base = Some(text))),
    ("bypass", bypass),
];

/// Options that the host follows itself.
const OF_THE_HOST: [&str; 1] = ["device"];

/// Options that will be followed one day and must not be taken for followed.
const NOT_YET: [&str; 1] = ["escrow"];

impl Wishes {
    /// Reads the options, the first of each name first: the payment's come before the channel's.
    pub fn read<'a>(options: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, OptionError> {
        let mut out = Self::default();
        let mut seen: Vec<&str> = Vec::new();
        for (name, value) in options {
            if seen.contains(&name) || OF_THE_HOST.contains(&name) {
                continue;
            }
            seen.push(name);
            if let Some(not_yet) = NOT_YET.iter().find(|n| **n == name) {
                if value == "false" {
                    continue;
                }
                return Err(OptionError::Unsupported(not_yet));
            }
            let (name, read) =
                TABLE.iter().find(|row| row.0 == name).ok_or_else(|| OptionError::Unknown(name.into()))?;
            read(value, &mut out).map_err(|why| OptionError::Value(name, why))?;
        }
        if out.quota.is_some() && out.direct.is_some_and(|direct| direct.months.is_some()) {
            return Err(OptionError::Value("direct_card", "its quota and card_quota exclude each other"));
        }
        Ok(out)
    }

    /// Whether the options go with the method (absent: the buyer chooses) and the amount in won. INICIS offers instalments from
    /// 50,000 won (`inicis.md §1.2`); a wallet is opened neither without wallets nor at one card company.
    pub fn fit(&self, method: Option<&str>, won: i64) -> Result<(), OptionError> {
        let no = |name, why| Err(OptionError::Value(name, why));
        if won < INSTALMENTS_FROM
            && self.direct.and_then(|direct| direct.months).is_some_and(|months| months > 0)
        {
            return no("direct_card", "its quota is more than 0, but instalments begin at 50,000 won");
        }
        if method == Some("easy_pay") && self.no_easy_pay {
            return no("no_easy_pay", "the method is easy_pay");
        }
        if method == Some("easy_pay") && self.direct.is_some() {
            return no("direct_card", "the method is easy_pay, which is not opened at one card company");
        }
        Ok(())
    }

    /// The deadline, if it has not passed.
    pub fn deadline(&self, now_ms: i64) -> Result<Option<&Deadline>, OptionError> {
        let Some(deadline) = &self.deadline else { return Ok(None) };
        match clock::from_kst(&deadline.date, &format!("{}00", deadline.time)) {
            Some(at) if at > now_ms => Ok(Some(deadline)),
            Some(_) | None => Err(OptionError::Value("deposit_deadline", "has passed")),
        }
    }
}

fn json(value: &str) -> Value {
    serde_json::from_str(value).unwrap_or_default()
}

fn switch(value: &str) -> Result<bool, &'static str> {
    match value {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err("must be true or false"),
    }
}

/// Months of instalment, 2 to 36 (the largest of `inicis.md §1.2`); at least one.
fn months(value: &Value) -> Option<Vec<u64>> {
    let list = value.as_array().filter(|list| !list.is_empty() && list.len() <= 36)?;
    list.iter().map(|month| month.as_u64().filter(|m| (2..=36).contains(m))).collect()
}

fn allowed_cards(value: &str, out: &mut Wishes) -> Result<(), &'static str> {
    let wrong = "must be a JSON list of card codes of INICIS or KFTC";
    let codes: Vec<String> = serde_json::from_str(value).map_err(|_| wrong)?;
    let cards: Option<Vec<&'static str>> = codes.iter().map(|code| cards::wished(code)).collect();
    out.allowed = cards.filter(|cards| !cards.is_empty()).ok_or(wrong)?;
    Ok(())
}

/// A code, or `{"code": "367", "quota": 3}` as in the guide (seed 002).
fn direct_card(value: &str, out: &mut Wishes) -> Result<(), &'static str> {
    let wrong = r#"must be a card code of INICIS or KFTC, or {"code": …, "quota": 0 or months from 2 to 36}"#;
    let json = json(value);
    let (code, quota) = match json.as_object() {
        None => (value, None),
        Some(object) => (object.get("code").and_then(Value::as_str).unwrap_or_default(), object.get("quota")),
    };
    let months = match quota {
        None | Some(Value::Null) => None,
        Some(quota) => Some(quota.as_u64().filter(|m| *m == 0 || (2..=36).contains(m)).ok_or(wrong)?),
    };
    out.direct = Some(Direct { card: cards::wished(code).ok_or(wrong)?, months });
    Ok(())
}

/// `{"11": [2, 3]}`, or a number: every Korean card up to so many months, as in the guide (seed 002).
fn interest_free(value: &str, out: &mut Wishes) -> Result<(), &'static str> {
    let wrong = "must be a JSON object from card codes to lists of months, or the most months for every card";
    let json = json(value);
    if let Some(most) = json.as_u64().filter(|most| (2..=36).contains(most)) {
        out.interest_free = cards::KOREAN.iter().map(|card| (*card, (2..=most).collect())).collect();
        return Ok(());
    }
    let cards = json.as_object().filter(|cards| !cards.is_empty()).ok_or(wrong)?;
    let each: Option<Vec<_>> =
        cards.iter().map(|(code, list)| Some((cards::wished(code)?, months(list)?))).collect();
    out.interest_free = each.ok_or(wrong)?;
    Ok(())
}

/// `Y2`, `M2`, `YYYYMMDD-YYYYMMDD`, or `{"from": …, "to": …}` as in the guide (seed 002).
fn service_period(value: &str, out: &mut Wishes) -> Result<(), &'static str> {
    let wrong = "must be Y and years, M and months, YYYYMMDD-YYYYMMDD or an object of from and to";
    let count = |text: &str| (1..=3).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if value.strip_prefix(['Y', 'M']).is_some_and(count) {
        out.period = Some(Period::Length(value.to_owned()));
        return Ok(());
    }
    let json = json(value);
    let part = |name: &str| json.get(name).and_then(Value::as_str);
    let (from, to) = part("from").zip(part("to")).or_else(|| value.split_once('-')).ok_or(wrong)?;
    let date = |text: &str| clock::from_kst(text, "000000");
    match (date(from), date(to)) {
        (Some(start), Some(end)) if start <= end => {
            out.period = Some(Period::Range(from.to_owned(), to.to_owned()));
            Ok(())
        }
        _ => Err(wrong),
    }
}

/// `YYYYMMDD` (then 23:59), `YYYYMMDDhhmm` or `YYYYMMDDhhmmss` in Korean time, with or without dashes, blanks and colons (as
/// in the guide, `portone.md §3.1`), or RFC 3339 with its zone. INICIS takes no seconds: they are dropped.
fn deposit_deadline(value: &str, out: &mut Wishes) -> Result<(), &'static str> {
    let wrong = "must be YYYYMMDD, YYYYMMDDhhmm or a moment as 2026-12-31T23:59:00+09:00";
    let text = match clock::from_rfc3339(value) {
        Some(at) => clock::kst14(at).ok_or(wrong)?,
        None => value.chars().filter(|c| !matches!(c, '-' | ' ' | ':')).collect(),
    };
    let (date, time) = text.split_at_checked(8).ok_or(wrong)?;
    let time = match time.len() {
        0 => "2359",
        4 | 6 => time.get(..4).ok_or(wrong)?,
        _ => return Err(wrong),
    };
    clock::from_kst(date, &format!("{time}00")).ok_or(wrong)?;
    out.deadline = Some(Deadline { date: date.to_owned(), time: time.to_owned() });
    Ok(())
}

fn skin(value: &str, out: &mut Wishes) -> Result<(), &'static str> {
    let hex = value.strip_prefix('#').filter(|h| h.len() == 6 && h.bytes().all(|b| b.is_ascii_hexdigit()));
    hex.ok_or("must be a colour like #C1272C")?;
    out.skin = Some(value.to_owned());
    Ok(())
}

fn picture(value: &str) -> Result<String, &'static str> {
    if !value.starts_with("https://") || !value.bytes().all(|b| b.is_ascii_graphic()) || value.len() > 1000 {
        return Err("must be an https address");
    }
    Ok(value.to_owned())
}

/// A scheme as `shop://`, or `daumapps://open` (`inicis.md §2.8`). It stands inside `P_RESERVED`, and so has no `&` and `=`.
pub fn app_scheme(value: &str) -> Result<String, &'static str> {
    let wrong = "must be the scheme of an app, as shop://";
    let (scheme, rest) = value.split_once("://").ok_or(wrong)?;
    let starts = scheme.starts_with(|c: char| c.is_ascii_alphabetic());
    let known = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'.' | b'-');
    if !starts || value.len() > 100 || !scheme.bytes().all(known) {
        return Err(wrong);
    }
    if !rest.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'/')) {
        return Err(wrong);
    }
    Ok(value.to_owned())
}

fn plain(value: &str, max: usize) -> Result<String, &'static str> {
    let fits = (1..=max).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_graphic());
    if fits { Ok(value.to_owned()) } else { Err("must be a word") }
}

/// Further fields of the gateway: `{"pc": {…}, "mobile": {…}}`, each from a field's name to its text (or a list of words for
/// `acceptmethod` and `P_RESERVED`).
fn bypass(value: &str, out: &mut Wishes) -> Result<(), &'static str> {
    let wrong = r#"must be a JSON object {"pc": {…}, "mobile": {…}} of texts"#;
    let json = json(value);
    for (device, fields) in json.as_object().ok_or(wrong)? {
        let fields = fields.as_object().ok_or(wrong)?;
        let read: Option<Extra> =
            fields.iter().map(|(name, value)| Some((name.clone(), texts(value)?))).collect();
        let read = read.ok_or(wrong)?;
        if !read.iter().all(|(name, texts)| fit(name, texts)) {
            return Err("names must be words, values one line of at most 2,000 bytes");
        }
        match device.as_str() {
            "pc" => out.bypass_pc = read,
            "mobile" => out.bypass_mobile = read,
            _ => return Err(wrong),
        }
    }
    Ok(())
}

fn texts(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(text) => Some(vec![text.clone()]),
        Value::Array(list) => list.iter().map(|text| text.as_str().map(str::to_owned)).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    }
}

fn fit(name: &str, texts: &[String]) -> bool {
    let word = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let line = |text: &String| !text.chars().any(char::is_control) && text.len() <= 2000;
    word && texts.len() <= 40 && texts.iter().all(line)
}
