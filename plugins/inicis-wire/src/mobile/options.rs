//! What options become on a phone (`inicis.md §2.1, §2.3`).
//!
//! Invariant: as on a PC ([`crate::pc::options`]): followed, refused, or told in a warning.

use crate::form::Field;
use crate::options::{OptionError, Period, PhoneGoods, Wishes};

/// What options add to the form.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// To `P_RESERVED`, as `name=value`.
    pub reserved: Vec<String>,
    /// Fields of their own.
    pub fields: Vec<Field>,
    /// What a phone cannot follow.
    pub warnings: Vec<String>,
}

/// What a payment is opened with, beside its options.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opening<'a> {
    /// `P_INI_PAYMENT`.
    pub payment: &'a str,
    /// What is sold by phone, unless an option says otherwise.
    pub phone_goods: PhoneGoods,
    /// The channel's app, unless an option says otherwise; empty: none.
    pub app_scheme: &'a str,
    /// The channel's `P_APP_BASE`, unless an option says otherwise; empty: none.
    pub app_base: &'a str,
    /// The moment of the call.
    pub now_ms: i64,
}

/// Months as `02:03`.
fn padded(months: &[u64]) -> Vec<String> {
    months.iter().map(|month| format!("{month:02}")).collect()
}

/// Turns wishes into fields.
pub fn write(wishes: &Wishes, opening: Opening<'_>) -> Result<Options, OptionError> {
    let mut out = Options::default();
    card(wishes, &mut out);
    let mut word = |on: bool, word: &str| {
        if on {
            out.reserved.push(word.to_owned());
        }
    };
    word(wishes.card_points, "cp_yn=Y");
    word(wishes.no_easy_pay, "noeasypay=Y");
    word(wishes.deposit_receipt, "vbank_receipt=Y");
    word(wishes.no_transfer_receipt, "bank_receipt=N");
    if opening.payment == "MOBILE" {
        let goods = wishes.phone_goods.unwrap_or(opening.phone_goods);
        out.fields.push(Field::new("P_HPP_METHOD", goods.digit()));
    }
    if let Some(deadline) = wishes.deadline(opening.now_ms)? {
        out.fields.push(Field::new("P_VBANK_DT", deadline.date.as_str()));
        out.fields.push(Field::new("P_VBANK_TM", deadline.time.as_str()));
    }
    let or = |wish: &Option<String>, setting: &str| {
        wish.clone().or_else(|| Some(setting.to_owned()).filter(|text| !text.is_empty()))
    };
    if let Some(scheme) = or(&wishes.app_scheme, opening.app_scheme) {
        let scheme =
            crate::options::app_scheme(&scheme).map_err(|why| OptionError::Value("app_scheme", why))?;
        out.reserved.push(format!("app_scheme={scheme}"));
    }
    out.fields.extend(or(&wishes.app_base, opening.app_base).map(|base| Field::new("P_APP_BASE", base)));
    out.fields.extend(wishes.logo_url.iter().map(|url| Field::new("P_MLOGO_IMAGE", url.as_str())));
    for (name, wished) in [("skin", &wishes.skin), ("logo_2nd", &wishes.logo_2nd)] {
        if wished.is_some() {
            out.warnings
                .push(format!("option {name}: INICIS's mobile window has no such field; it was left out"));
        }
    }
    bypass(wishes, &mut out)?;
    Ok(out)
}

fn card(wishes: &Wishes, out: &mut Options) {
    if let Some(quota) = &wishes.quota {
        // 01 is the single payment, which a PC always offers (inicis.md §2.1).
        let mut months = vec!["01".to_owned()];
        months.extend(padded(quota));
        out.fields.push(Field::new("P_QUOTABASE", months.join(":")));
    }
    if !wishes.allowed.is_empty() {
        out.fields.push(Field::new("P_ONLY_CARDCODE", wishes.allowed.join(":")));
    }
    match wishes.direct {
        None => {}
        // A direct call needs its months; without them the card is only chosen beforehand (inicis.md §2.1, §2.3).
        Some(direct) => match direct.months {
            None => out.fields.push(Field::new("P_CARD_OPTION", format!("selcode={}", direct.card))),
            Some(months) => {
                if months > 0 {
                    // The months of the direct call must be among those that the window offers.
                    out.fields.push(Field::new("P_QUOTABASE", format!("01:{months:02}")));
                }
                out.reserved.push(format!("d_card={}", direct.card));
                out.reserved.push(format!("d_quota={months}"));
            }
        },
    }
    if !wishes.interest_free.is_empty() {
        let each: Vec<String> = wishes
            .interest_free
            .iter()
            .map(|(card, months)| {
                let months: Vec<String> = months.iter().map(u64::to_string).collect();
                format!("{card}-{}", months.join(":"))
            })
            .collect();
        out.reserved.push("merc_noint=Y".to_owned());
        out.reserved.push(format!("noint_quota={}", each.join("^")));
    }
    match &wishes.period {
        None => {}
        Some(Period::Length(length)) => out.fields.push(Field::new("P_OFFER_PERIOD", length.as_str())),
        Some(Period::Range(from, to)) => out.fields.push(Field::new("P_OFFER_PERIOD", format!("{from}{to}"))),
    }
}

/// Fields that an option must never set: they say who is paid what, and where the result goes. `P_RETURN_URL` belongs to the
/// one-transaction flow, in which INICIS approves by itself.
const OURS: [&str; 18] = [
    "P_INI_PAYMENT",
    "P_MID",
    "P_OID",
    "P_AMT",
    "P_GOODS",
    "P_UNAME",
    "P_MOBILE",
    "P_EMAIL",
    "P_NEXT_URL",
    "P_NOTI_URL",
    "P_RETURN_URL",
    "P_CHARSET",
    "P_TIMESTAMP",
    "P_CHKFAKE",
    "P_NOTI",
    "P_TAX",
    "P_TAXFREE",
    "P_HPP_METHOD",
];

/// Words of `P_RESERVED` that are ours, or that make another kind of sale.
const WORDS: [&str; 7] =
    ["centercd", "amt_hash", "twotrs_isp", "block_isp", "twotrs_isp_noti", "twotrs_bank", "useescrow"];

/// Any further field of the mobile form; `P_RESERVED` is added to ours.
fn bypass(wishes: &Wishes, out: &mut Options) -> Result<(), OptionError> {
    let no = |why| Err(OptionError::Value("bypass", why));
    for (name, texts) in &wishes.bypass_mobile {
        if name.eq_ignore_ascii_case("P_RESERVED") {
            for word in texts.iter().flat_map(|text| text.split('&')).filter(|word| !word.is_empty()) {
                let name = |word: &str| word.split('=').next().unwrap_or_default().to_ascii_lowercase();
                if WORDS.contains(&name(word).as_str()) {
                    return no(
                        "P_RESERVED must not set how the result is signed and approved, nor make an escrow sale",
                    );
                }
                if out.reserved.iter().any(|ours| name(ours) == name(word)) {
                    return no("P_RESERVED has a word that another option sets");
                }
                out.reserved.push(word.to_owned());
            }
            continue;
        }
        let taken = out.fields.iter().any(|field| field.name.eq_ignore_ascii_case(name));
        if OURS.iter().any(|ours| ours.eq_ignore_ascii_case(name)) || taken {
            return no("sets a field that the plugin sets itself");
        }
        let [text] = texts.as_slice() else { return no("only P_RESERVED takes a list") };
        out.fields.push(Field { name: name.clone().into(), value: text.clone() });
    }
    Ok(())
}
