//! What options become on a PC (`inicis.md §1.2, §1.4`).
//!
//! Invariant: an option does what its row says or is refused; it never touches a field that says who is paid what, and none is
//! dropped in silence.

use crate::form::Field;
pub use crate::options::OptionError;
use crate::options::{Period, PhoneGoods, Wishes};

/// What options add to the form.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// To `acceptmethod`.
    pub accept: Vec<String>,
    /// Fields of their own.
    pub fields: Vec<Field>,
    /// What a PC cannot follow.
    pub warnings: Vec<String>,
}

/// What a payment is opened with, beside its options.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opening<'a> {
    /// `gopaymethod`; empty: everything that is contracted.
    pub methods: &'a str,
    /// What is sold by phone, unless an option says otherwise.
    pub phone_goods: PhoneGoods,
    /// The moment of the call.
    pub now_ms: i64,
}

/// Months as `2:3:6`.
fn joined(months: &[u64]) -> String {
    months.iter().map(u64::to_string).collect::<Vec<_>>().join(":")
}

/// Turns wishes into fields.
pub fn write(wishes: &Wishes, opening: Opening<'_>) -> Result<Options, OptionError> {
    let mut out = Options::default();
    card(wishes, &mut out)?;
    let mut word = |on: bool, word: &str| {
        if on {
            out.accept.push(word.to_owned());
        }
    };
    word(wishes.card_points, "cardpoint");
    word(wishes.no_easy_pay, "noeasypay");
    word(wishes.deposit_receipt, "va_receipt");
    word(wishes.no_transfer_receipt, "no_receipt");
    if opening.methods.is_empty() || opening.methods == "HPP" {
        // Required when phone payment is offered, else the window refuses (inicis.md §1.4).
        let goods = wishes.phone_goods.unwrap_or(opening.phone_goods);
        out.accept.push(format!("HPP({})", goods.digit()));
    }
    if let Some(deadline) = wishes.deadline(opening.now_ms)? {
        out.accept.push(format!("vbank({}{})", deadline.date, deadline.time));
    }
    out.accept.extend(wishes.skin.iter().map(|skin| format!("SKIN({skin})")));
    out.fields.extend(wishes.logo_url.iter().map(|url| Field::new("logo_url", url.as_str())));
    out.fields.extend(wishes.logo_2nd.iter().map(|url| Field::new("logo_2nd", url.as_str())));
    bypass(wishes, &mut out)?;
    Ok(out)
}

fn card(wishes: &Wishes, out: &mut Options) -> Result<(), OptionError> {
    let mut field = |name, value: String| out.fields.push(Field::new(name, value));
    match wishes.quota.as_deref() {
        None => {}
        // A single payment is always offered; how to offer nothing else is not documented (inicis.md §1.2).
        Some([]) => {
            return Err(OptionError::Value(
                "card_quota",
                "how INICIS's PC window offers a single payment only is not known; leave the option out",
            ));
        }
        Some(months) => field("quotabase", joined(months)),
    }
    if !wishes.allowed.is_empty() {
        field("ini_onlycardcode", wishes.allowed.join(":"));
    }
    if let Some(direct) = wishes.direct {
        field("ini_cardcode", direct.card.to_owned());
        if let Some(months) = direct.months.filter(|months| *months > 0) {
            field("quotabase", months.to_string());
        }
    }
    if !wishes.interest_free.is_empty() {
        let each: Vec<String> =
            wishes.interest_free.iter().map(|(card, months)| format!("{card}-{}", joined(months))).collect();
        field("nointerest", each.join(","));
    }
    match &wishes.period {
        None => {}
        Some(Period::Length(length)) => field("offerPeriod", length.clone()),
        Some(Period::Range(from, to)) => field("offerPeriod", format!("{from}-{to}")),
    }
    Ok(())
}

/// Fields that an option must never set: they say who is paid what, and where the result goes.
const OURS: [&str; 22] = [
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
    "languageview",
    "requestbyjs",
];

/// Words of `acceptmethod` that are ours, or that make another kind of sale: escrow, billing key.
const WORDS: [&str; 4] = ["centercd", "hpp", "useescrow", "billauth"];

/// Any further field of the PC form; `acceptmethod` is added to ours.
fn bypass(wishes: &Wishes, out: &mut Options) -> Result<(), OptionError> {
    let no = |why| Err(OptionError::Value("bypass", why));
    for (name, texts) in &wishes.bypass_pc {
        let lower = name.to_ascii_lowercase();
        if lower == "acceptmethod" {
            for word in texts.iter().flat_map(|text| words(text)) {
                let name = |word: &str| word.split('(').next().unwrap_or_default().to_ascii_lowercase();
                if WORDS.contains(&name(word).as_str()) {
                    return no(
                        "acceptmethod must not set centerCd and HPP, nor make an escrow sale or a billing key",
                    );
                }
                if out.accept.iter().any(|ours| name(ours) == name(word)) {
                    return no("acceptmethod has a word that another option sets");
                }
                out.accept.push(word.to_owned());
            }
            continue;
        }
        let taken = out.fields.iter().any(|field| field.name.eq_ignore_ascii_case(name));
        if OURS.contains(&lower.as_str()) || taken {
            return no("sets a field that the plugin sets itself");
        }
        let [text] = texts.as_slice() else { return no("only acceptmethod takes a list") };
        out.fields.push(Field { name: name.clone().into(), value: text.clone() });
    }
    Ok(())
}

/// Splits `a:b(c:d):e` at the colons outside parentheses.
fn words(text: &str) -> Vec<&str> {
    let mut depth = 0_u32;
    text.split(|c| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ':' && depth == 0
    })
    .map(str::trim)
    .filter(|word| !word.is_empty())
    .collect()
}
