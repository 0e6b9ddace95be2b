//! Invariant: each rule of the request form is one function that reads fields and changes nothing.

use super::accept::Accept;
use crate::clock::{kst14, parse_kst14};
use crate::form::Fields;
use crate::merchant::Merchant;
use crate::method::{self, EASY_PAY};
use crate::offer::{self, Offer};
use crate::refusal::Refusal;
use crate::sim::Sim;

/// Methods of §1.3 that have no known answer and are not simulated.
const NOT_SIMULATED: &[&str] = &["POINT", "Paypin", "GiftCard"];

/// Names of §1.3 that open the wallets.
const WALLET_METHODS: &[&str] = &[EASY_PAY, "Kpay", "EWallet", "Swallet"];

/// From this amount on a card can be paid in instalments (§1.2).
const INSTALMENTS_FROM_WON: u64 = 50_000;

fn wrong(name: &str, what: &str) -> Refusal {
    Refusal::new("SIM:FIELD", format!("{name}: {what}"))
}

/// Whether a text is digits only and not empty.
#[must_use]
pub fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// An amount: digits only (609), above zero.
///
/// # Errors
/// Not digits, zero, or beyond what the simulator can count.
pub fn amount(text: &str) -> Result<u64, Refusal> {
    if !digits(text) {
        return Err(Refusal::coded("500609", "price"));
    }
    match text.parse::<u64>() {
        Ok(0) => Err(wrong("price", "0 보다 커야 합니다")),
        Ok(price) if price.to_string() == text => Ok(price),
        Ok(_) => Err(wrong("price", "0 으로 시작합니다")),
        Err(_) => Err(wrong("price", "너무 큽니다")),
    }
}

/// A field has one of the allowed values.
///
/// # Errors
/// Another value.
pub fn one_of(fields: &Fields, name: &str, allowed: &[&str]) -> Result<(), Refusal> {
    if allowed.contains(&fields.get(name)) {
        return Ok(());
    }
    Err(wrong(name, &format!("{} 중 하나여야 합니다", allowed.join(" "))))
}

/// 13 digits in the window around now.
///
/// # Errors
/// Another form, or outside of the window.
pub fn form_timestamp(sim: &Sim, text: &str) -> Result<(), Refusal> {
    if text.len() != 13 || !digits(text) {
        return Err(Refusal::new("SIM:TIME", "timestamp: 밀리초 13자리여야 합니다"));
    }
    let at = text.parse::<i64>().unwrap_or_default();
    if sim.settings.in_window(at, sim.clock.now_ms()) {
        return Ok(());
    }
    Err(Refusal::new("SIM:TIME", "timestamp: 현재 시각과 차이가 너무 큽니다"))
}

/// Which methods the window offers, as names of [`Offer::methods`] or `only…`, and the phone rule of §1.4.
///
/// # Errors
/// An unknown method (also the spelling `Vbank`, unless the client is an older one), none that is contracted (403), a phone
/// offered without its option, or USD with something other than a card.
pub fn methods<'a>(
    sim: &Sim,
    fields: &'a Fields,
    merchant: &'a Merchant,
    accept: &Accept,
) -> Result<Vec<&'a str>, Refusal> {
    let mut asked: Vec<&str> = fields.get("gopaymethod").split(':').filter(|m| !m.is_empty()).collect();
    let known = |name: &&str| {
        method::by_name(name).is_some() || WALLET_METHODS.contains(name) || name.starts_with("only")
    };
    if let Some(later) = asked.iter().find(|name| NOT_SIMULATED.contains(name)) {
        return Err(Refusal::new("SIM:LATER", format!("{later} 결제는 시뮬레이터가 지원하지 않습니다")));
    }
    for name in asked.iter_mut().filter(|name| !known(name)) {
        let mut names =
            method::METHODS.iter().map(|method| method.name).chain(WALLET_METHODS.iter().copied());
        let meant = names.find(|right| right.eq_ignore_ascii_case(name));
        let hint = meant.map(|right| format!(" ({right} 로 써야 합니다)")).unwrap_or_default();
        let refusal = Refusal::new("SIM:METHOD", format!("gopaymethod: 알 수 없는 결제수단 {name}{hint}"));
        // Official samples write `Card:Directbank:vbank`.
        let Some(right) = meant else { return Err(refusal) };
        sim.unless_older(&merchant.mid, refusal)?;
        *name = right;
    }
    let contracted = merchant.methods.iter().map(String::as_str);
    let offered: Vec<&str> = if asked.is_empty() { contracted.collect() } else { asked };
    let billing_phone = accept.get("BILLAUTH") == Some("HPP");
    let phone_kind = accept.get("HPP");
    let phone_fits = if billing_phone {
        matches!(phone_kind, Some("4" | "5"))
    } else {
        matches!(phone_kind, Some("1" | "2"))
    };
    if offered.contains(&"HPP") && !phone_fits {
        return Err(Refusal::new("SIM:HPP", "휴대폰 결제에는 acceptmethod HPP(1) 또는 HPP(2) 가 필요합니다"));
    }
    if accept.get("BILLAUTH").is_some() || accept.get("useescrow").is_some() {
        return Err(Refusal::new("SIM:LATER", "빌링과 에스크로는 시뮬레이터가 아직 지원하지 않습니다"));
    }
    if fields.get("currency") == "USD" && offered != ["Card"] {
        return Err(Refusal::coded("500611", "USD 는 카드 결제만 가능합니다"));
    }
    Ok(offered)
}

/// What the window offers. The window of a card also offers wallets unless noeasypay, cardonly or USD forbid it; a wallet
/// that is called directly stays with cardonly, which shops send beside it. A method that is not contracted is left out,
/// and if nothing remains the form is refused (403).
///
/// # Errors
/// Options that contradict the reference or each other.
pub fn offer(
    sim: &Sim,
    fields: &Fields,
    merchant: &Merchant,
    accept: &Accept,
    asked: Vec<&str>,
    price: u64,
) -> Result<Offer, Refusal> {
    let currency = fields.get("currency");
    let has = |name: &str| accept.get(name).is_some();
    let mut only: Vec<&str> = asked.iter().filter_map(|name| name.strip_prefix("only")).collect();
    if asked.contains(&"Kpay") {
        only.push("kpay");
    }
    only.extend(accept.get("onlyeasypaycode").unwrap_or_default().split(':').filter(|name| !name.is_empty()));
    let called = asked.iter().any(|name| name.starts_with("only"));
    let no_wallets = has("noeasypay") || (has("cardonly") && !called) || currency == "USD";
    let wallets = offer::wallets(&sim.settings, merchant, &only, offer::wallet_on_pc)?;
    let wallets = if no_wallets { Vec::new() } else { wallets };
    let opens = |name: &str| WALLET_METHODS.contains(&name) || name.starts_with("only");
    let contract = |name: &str| merchant.methods.iter().any(|own| own == name);
    let plain = asked.iter().filter_map(|name| method::by_name(name)).map(|method| method.name);
    let mut methods: Vec<&'static str> = plain.filter(|name| contract(name)).collect();
    if has("cardonly") {
        methods.retain(|name| *name == "Card");
    }
    let wanted = asked.contains(&"Card") || asked.iter().any(|name| opens(name));
    if wanted && !wallets.is_empty() {
        let after_card = methods.iter().position(|name| *name == "Card").map_or(0, |at| at + 1);
        methods.insert(after_card, EASY_PAY);
    }
    if methods.is_empty() {
        return Err(Refusal::coded("500403", fields.get("gopaymethod")));
    }
    let only_cards = offer::card_codes("ini_onlycardcode", fields.get("ini_onlycardcode"))?;
    let selected = offer::card_codes("ini_cardcode", fields.get("ini_cardcode"))?;
    let first_telco = accept.get("hppdefaultcorp").unwrap_or_default();
    Ok(Offer {
        methods,
        wallets,
        cards: offer::cards(&only_cards),
        preselected: selected.into_iter().next(),
        quotas: quotas(fields.get("quotabase"), currency, price)?,
        interest_free: offer::interest_free("nointerest", fields.get("nointerest"), ',')?,
        points: has("cardpoint") || has("CARDPOINT"),
        receipt: !has("no_receipt"),
        vbank_receipt: has("va_receipt"),
        telcos: offer::telcos(accept.get("hppablecorp").unwrap_or_default(), first_telco)?,
        due: deadline(sim, accept.get("vbank").unwrap_or_default())?,
        price,
        currency: currency.to_owned(),
        test: merchant.test,
        isp_cards: sim.settings.isp_cards.clone(),
    })
}

/// A deposit deadline of 8 or 12 digits that is not over; absent it is some days ahead, at 23:59.
///
/// # Errors
/// Not such a date (640) or time (641), or in the past.
pub fn deadline(sim: &Sim, text: &str) -> Result<String, Refusal> {
    let now = sim.clock.now_ms();
    if text.is_empty() {
        let at = now.saturating_add(sim.settings.vbank_default_days.saturating_mul(24 * 3_600_000));
        return Ok(format!("{}2359", kst14(at).get(..8).unwrap_or_default()));
    }
    let due = if text.len() == 8 { format!("{text}2359") } else { text.to_owned() };
    let date = due.get(..8).unwrap_or_default();
    if due.len() != 12 || parse_kst14(&format!("{date}000000")).is_none() {
        return Err(Refusal::coded("504640", text));
    }
    match parse_kst14(&format!("{due}00")) {
        None => Err(Refusal::coded("504641", text)),
        Some(at) if at <= now => Err(Refusal::coded("504640", text)),
        Some(_) => Ok(due),
    }
}

/// The forms of the optional fields.
///
/// # Errors
/// The first field that has another form.
pub fn optional_fields(fields: &Fields, price: u64) -> Result<(), Refusal> {
    if !fields.get("buyertel").bytes().all(|b| b.is_ascii_digit() || b == b'-') {
        return Err(wrong("buyertel", "숫자와 - 만 쓸 수 있습니다"));
    }
    let period = fields.get("offerPeriod");
    let days = period.len() == 17 && period.split('-').all(|day| day.len() == 8 && digits(day));
    let span = period.len() == 16 && digits(period);
    let count = period.strip_prefix(['Y', 'M']).is_some_and(digits);
    if !(period.is_empty() || days || span || count) {
        return Err(wrong("offerPeriod", "Y2, M2, YYYYMMDD-YYYYMMDD 형식이어야 합니다"));
    }
    for name in ["tax", "taxfree"] {
        let text = fields.get(name);
        if !text.is_empty() && !digits(text) {
            return Err(wrong(name, "숫자여야 합니다"));
        }
    }
    let tax: u64 = fields.get("tax").parse().unwrap_or_default();
    let free: u64 = fields.get("taxfree").parse().unwrap_or_default();
    if tax.saturating_mul(10) > price || free > price {
        return Err(Refusal::coded("500656", "tax, taxfree"));
    }
    for name in ["INIregno", "vbankRegNo"] {
        let text = fields.get(name);
        let fits = digits(text) && matches!(text.len(), 10 | 13);
        if !(text.is_empty() || fits) {
            return Err(wrong(name, "10 또는 13 자리 숫자여야 합니다"));
        }
    }
    Ok(())
}

/// Instalments that the window offers: always the single payment, more from 50,000 won on (§1.2). Without quotabase the
/// window offers 2 to 12 months, which is an assumption.
///
/// # Errors
/// quotabase is not numbers joined by `:`.
pub fn quotas(quotabase: &str, currency: &str, price: u64) -> Result<Vec<String>, Refusal> {
    let parts: Vec<&str> = quotabase.split(':').filter(|part| !part.is_empty()).collect();
    if parts.iter().any(|part| !digits(part) || part.len() > 2) {
        return Err(wrong("quotabase", "2:3:4 형식이어야 합니다"));
    }
    let listed = parts.iter().filter_map(|part| part.parse().ok()).filter(|n| *n >= 2);
    let months: Vec<u32> = if parts.is_empty() { (2..=12).collect() } else { listed.collect() };
    let allowed = currency == "WON" && price >= INSTALMENTS_FROM_WON;
    let more = months.into_iter().filter(|_| allowed).map(|n| format!("{n:02}"));
    Ok(std::iter::once("00".to_owned()).chain(more).collect())
}

/// Cuts a text that has too many bytes to three bytes less and adds `...` (§1.2). A character is never cut in half.
#[must_use]
pub fn cut(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let end = (0..=most.saturating_sub(3)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    format!("{}...", text.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_is_cut_to_37_bytes_and_three_dots_and_never_inside_a_character() {
        assert_eq!(cut("짧다", 40), "짧다");
        assert_eq!(cut(&"a".repeat(41), 40), format!("{}...", "a".repeat(37)));
        assert_eq!(cut(&"가".repeat(14), 40), format!("{}...", "가".repeat(12)));
    }

    #[test]
    fn instalments_begin_at_50000_won_and_are_filtered_by_quotabase() {
        assert_eq!(quotas("2:3", "WON", 49_999).unwrap(), ["00"]);
        assert_eq!(quotas("2:3:11", "WON", 50_000).unwrap(), ["00", "02", "03", "11"]);
        assert_eq!(quotas("", "WON", 50_000).unwrap().len(), 12);
        assert_eq!(quotas("2:3", "USD", 50_000).unwrap(), ["00"]);
        assert!(quotas("2,3", "WON", 50_000).is_err());
    }
}
