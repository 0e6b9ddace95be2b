//! Invariant: each rule of the request form is one function that reads fields and changes nothing.

use super::accept::Accept;
use crate::codes;
use crate::form::Fields;
use crate::merchant::Merchant;
use crate::refusal::Refusal;
use crate::sim::Sim;

/// Methods of §1.3 and the names of §1.4 that open one wallet only.
const METHODS: &[&str] = &[
    "Card",
    "DirectBank",
    "VBank",
    "HPP",
    "PhoneBill",
    "Culture",
    "DGCL",
    "Bcsh",
    "HPMN",
    "TeenCash",
    "OCBPoint",
    "POINT",
    "GSPT",
    "UPNT",
    "Kpay",
    "Paypin",
    "EWallet",
    "Swallet",
    "EasyPay",
    "GiftCard",
    "onlykakaopay",
    "onlylpay",
    "onlynaverpay",
    "onlyssgcard",
];

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

/// Which methods are asked for, whether the simulator has one of them, and the phone rule of §1.4.
///
/// # Errors
/// An unknown method (also the spelling `Vbank`), no card among them, a phone offered without its option, or USD with
/// something other than a card.
pub fn methods(fields: &Fields, merchant: &Merchant, accept: &Accept) -> Result<(), Refusal> {
    let asked: Vec<&str> = fields.get("gopaymethod").split(':').filter(|m| !m.is_empty()).collect();
    if let Some(unknown) = asked.iter().find(|m| !METHODS.contains(m)) {
        let hint = if unknown.eq_ignore_ascii_case("VBank") { " (VBank 로 써야 합니다)" } else { "" };
        return Err(Refusal::new("SIM:METHOD", format!("gopaymethod: 알 수 없는 결제수단 {unknown}{hint}")));
    }
    let contracted = merchant.methods.iter().map(String::as_str);
    let offered: Vec<&str> = if asked.is_empty() { contracted.collect() } else { asked.clone() };
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
    if !offered.contains(&"Card") {
        return Err(Refusal::new("SIM:LATER", "시뮬레이터는 아직 카드 결제만 지원합니다"));
    }
    Ok(())
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
    let interest = fields.get("nointerest");
    if !interest.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'-' | b':' | b',')) {
        return Err(wrong("nointerest", "11-2:3:,34-5:12 형식이어야 합니다"));
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

/// Card codes joined by `:`.
///
/// # Errors
/// A code that §8.2 does not have.
pub fn card_codes(fields: &Fields, name: &str) -> Result<Vec<String>, Refusal> {
    let codes: Vec<String> =
        fields.get(name).split(':').filter(|code| !code.is_empty()).map(str::to_owned).collect();
    match codes.iter().find(|code| codes::card_name(code).is_none()) {
        Some(code) => Err(wrong(name, &format!("알 수 없는 카드사 코드 {code}"))),
        None => Ok(codes),
    }
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
    let months: Vec<u32> = if parts.is_empty() {
        (2..=12).collect()
    } else {
        parts.iter().filter_map(|part| part.parse().ok()).filter(|n| *n >= 2).collect()
    };
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
