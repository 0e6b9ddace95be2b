//! Invariant: what a buyer can pick in a window is an [`Offer`], on PC and on the phone alike; nothing outside of it is
//! ever authenticated.

use serde::Deserialize;

use crate::codes;
use crate::ledger::Means;
use crate::merchant::Merchant;
use crate::method::{EASY_PAY, Method, TELCOS, WALLETS, Wallet, by_name, wallet_by_code};
use crate::refusal::Refusal;
use crate::settings::Settings;

/// What a window offers.
#[derive(Clone, Debug, Default)]
pub struct Offer {
    /// Names of methods in the order of the window; `EasyPay` stands for the wallets.
    pub methods: Vec<&'static str>,
    /// Wallets.
    pub wallets: Vec<&'static Wallet>,
    /// Card companies.
    pub cards: Vec<String>,
    /// Card company preselected.
    pub preselected: Option<String>,
    /// Instalments, two digits each, `00` first.
    pub quotas: Vec<String>,
    /// Card company and months that are free of interest at the merchant's cost.
    pub interest_free: Vec<(String, Vec<u32>)>,
    /// Whether card points may be used.
    pub points: bool,
    /// Whether a cash receipt may be asked for with a transfer.
    pub receipt: bool,
    /// Whether a cash receipt may be asked for with a virtual account (§1.4 va_receipt, §2.3 vbank_receipt).
    pub vbank_receipt: bool,
    /// Telephone companies.
    pub telcos: Vec<&'static str>,
    /// Deposit deadline, YYYYMMDDhhmm.
    pub due: String,
    /// Amount.
    pub price: u64,
    /// `WON` or `USD`.
    pub currency: String,
    /// A public test merchant: no KB card (§8.1).
    pub test: bool,
    /// Cards that are approved by ISP.
    pub isp_cards: Vec<String>,
}

/// What the person picked. What is empty is taken from the offer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Picked {
    /// A name of [`Offer::methods`].
    pub method: String,
    /// Card company (§8.2), or inside a wallet the card or the wallet's own money.
    pub card: String,
    /// Two digits, `00` for a single payment.
    pub quota: String,
    /// Source code (§8.3).
    pub wallet: String,
    /// Card points used, in won.
    pub points: u64,
    /// Discount by the card company, in won.
    pub coupon: u64,
    /// A check card.
    pub check: bool,
    /// Bank (§8.3).
    pub bank: String,
    /// Telephone company.
    pub telco: String,
    /// Number of the phone.
    pub phone: String,
    /// The buyer's name at the voucher or point company.
    pub user: String,
    /// Cash receipt: empty none, `0` income deduction, `1` business proof.
    pub receipt: String,
    /// Name under which the buyer will deposit.
    pub depositor: String,
}

/// What will be authenticated: method of §1.3, card, instalments, and the rest.
#[derive(Clone, Debug)]
pub struct Paying {
    /// Method.
    pub method: &'static Method,
    /// Card company or empty.
    pub card: String,
    /// Two digits, or empty where there is no card.
    pub quota: String,
    /// The rest.
    pub means: Means,
}

fn or<'a>(text: &'a str, fallback: &'a str) -> &'a str {
    if text.is_empty() { fallback } else { text }
}

impl Offer {
    /// Checks what was picked.
    ///
    /// # Errors
    /// Something that the window does not offer.
    pub fn pick(&self, picked: &Picked) -> Result<Paying, Refusal> {
        let name = or(&picked.method, self.methods.first().copied().unwrap_or_default());
        if !self.methods.contains(&name) {
            return Err(Refusal::new("SIM:METHOD", format!("이 결제창에 없는 결제수단입니다 ({name})")));
        }
        let known = by_name(if name == EASY_PAY { "Card" } else { name });
        let method = known.ok_or_else(|| Refusal::new("SIM:METHOD", name))?;
        let mut means = Means {
            points: picked.points,
            coupon: picked.coupon,
            check: picked.check,
            user: or(&picked.user, "hong01").to_owned(),
            receipt: self.receipt_of(method, &picked.receipt)?,
            ..Means::default()
        };
        let (mut card, mut quota) = (String::new(), String::new());
        match method.name {
            "Card" => {
                let wallet = (name == EASY_PAY).then(|| self.wallet(&picked.wallet)).transpose()?;
                (card, quota) = self.card(picked, wallet)?;
                means.wallet = wallet.map_or("", |wallet| wallet.code).to_owned();
                means.check |= means.wallet == "D";
                means.isp = wallet.is_none() && self.isp_cards.contains(&card);
                means.interest_free = self.is_free(&card, &quota);
                self.deductions(&means)?;
            }
            "DirectBank" | "VBank" => {
                means.bank = or(&picked.bank, "88").to_owned();
                if codes::bank_name(&means.bank).is_empty() {
                    return Err(Refusal::new("SIM:BANK", "선택할 수 없는 은행입니다"));
                }
                means.depositor.clone_from(&picked.depositor);
                if method.name == "VBank" {
                    means.due.clone_from(&self.due);
                }
            }
            "HPP" | "PhoneBill" => {
                means.telco = or(&picked.telco, self.telcos.first().copied().unwrap_or("SKT")).to_owned();
                means.phone = or(&picked.phone, "01012345678").to_owned();
                if !self.telcos.contains(&means.telco.as_str()) {
                    return Err(Refusal::new("SIM:TELCO", "선택할 수 없는 통신사입니다"));
                }
            }
            _ => {}
        }
        Ok(Paying { method, card, quota, means })
    }

    fn wallet(&self, code: &str) -> Result<&'static Wallet, Refusal> {
        let first = self.wallets.first().map_or("", |wallet| wallet.code);
        let wanted = or(code, first);
        self.wallets
            .iter()
            .find(|wallet| wallet.code == wanted)
            .copied()
            .ok_or_else(|| Refusal::new("SIM:WALLET", "이 결제창에 없는 간편결제입니다"))
    }

    fn card(&self, picked: &Picked, wallet: Option<&Wallet>) -> Result<(String, String), Refusal> {
        let first = || self.cards.iter().find(|card| !(self.test && *card == codes::CARD_KB));
        let preset = self.preselected.as_ref().filter(|card| self.cards.contains(card)).or_else(first);
        let card = or(&picked.card, preset.map_or("", String::as_str)).to_owned();
        let money = wallet.and_then(|wallet| wallet.money) == Some(card.as_str());
        if !money && !self.cards.contains(&card) {
            return Err(Refusal::new("SIM:CARD", "선택할 수 없는 카드사입니다"));
        }
        if self.test && card == codes::CARD_KB {
            return Err(Refusal::new("SIM:CARD", "테스트 상점에서는 국민카드를 사용할 수 없습니다"));
        }
        if self.currency == "USD" && self.isp_cards.contains(&card) {
            return Err(Refusal::new("SIM:CARD", "USD 는 ISP 카드로 결제할 수 없습니다"));
        }
        let fallback = self.quotas.first().map_or("00", String::as_str);
        let quota = or(&picked.quota, fallback).to_owned();
        if !self.quotas.contains(&quota) || (money && quota != "00") {
            return Err(Refusal::coded("500607", quota));
        }
        Ok((card, quota))
    }

    fn is_free(&self, card: &str, quota: &str) -> bool {
        let months: u32 = quota.parse().unwrap_or_default();
        months >= 2 && self.interest_free.iter().any(|(code, list)| code == card && list.contains(&months))
    }

    fn deductions(&self, means: &Means) -> Result<(), Refusal> {
        if means.points > 0 && !self.points {
            return Err(Refusal::new("SIM:POINT", "포인트를 사용할 수 없는 결제창입니다"));
        }
        if means.points.saturating_add(means.coupon) > self.price {
            return Err(Refusal::new("SIM:POINT", "포인트와 할인이 결제금액보다 큽니다"));
        }
        Ok(())
    }

    fn receipt_of(&self, method: &Method, asked: &str) -> Result<String, Refusal> {
        match asked {
            "" => Ok(String::new()),
            "0" | "1" if self.receipt && method.name == "DirectBank" => Ok(asked.to_owned()),
            "0" | "1" if self.vbank_receipt && method.name == "VBank" => Ok(asked.to_owned()),
            _ => Err(Refusal::new("SIM:RECPT", "이 결제창에서는 현금영수증을 신청할 수 없습니다")),
        }
    }
}

/// Wallets that a merchant may offer; `only` restricts them by their names, which `by_name` knows.
///
/// # Errors
/// A name that nobody knows.
pub fn wallets(
    settings: &Settings,
    merchant: &Merchant,
    only: &[&str],
    by_name: fn(&Settings, &str) -> Option<&'static Wallet>,
) -> Result<Vec<&'static Wallet>, Refusal> {
    let mut named = Vec::new();
    for name in only {
        let wallet = by_name(settings, name)
            .ok_or_else(|| Refusal::new("SIM:WALLET", format!("알 수 없는 간편결제 이름 {name}")))?;
        named.push(wallet.code);
    }
    if !merchant.methods.iter().any(|method| method == EASY_PAY) {
        return Ok(Vec::new());
    }
    Ok(WALLETS.iter().filter(|wallet| named.is_empty() || named.contains(&wallet.code)).collect())
}

/// A wallet by the name in `only…` or `onlyeasypaycode(…)`.
#[must_use]
pub fn wallet_on_pc(settings: &Settings, name: &str) -> Option<&'static Wallet> {
    WALLETS.iter().find(|wallet| wallet.pc == Some(name)).or_else(|| wallet_of_settings(settings, name))
}

/// A wallet by the name in `d_…`.
#[must_use]
pub fn wallet_on_phone(settings: &Settings, name: &str) -> Option<&'static Wallet> {
    WALLETS.iter().find(|wallet| wallet.phone == Some(name)).or_else(|| wallet_of_settings(settings, name))
}

fn wallet_of_settings(settings: &Settings, name: &str) -> Option<&'static Wallet> {
    settings.wallet_names.get(name).and_then(|code| wallet_by_code(code))
}

/// Card companies offered: all, or those of a list of codes.
///
/// # Errors
/// A code that §8.2 does not have.
pub fn card_codes(name: &str, text: &str) -> Result<Vec<String>, Refusal> {
    let codes: Vec<String> = text.split(':').filter(|code| !code.is_empty()).map(str::to_owned).collect();
    match codes.iter().find(|code| !codes::is_card(code)) {
        Some(code) => Err(Refusal::new("SIM:FIELD", format!("{name}: 알 수 없는 카드사 코드 {code}"))),
        None => Ok(codes),
    }
}

/// All card companies, or those that a request allows.
#[must_use]
pub fn cards(only: &[String]) -> Vec<String> {
    let all = codes::CARDS.iter().map(|(code, _)| (*code).to_owned());
    all.filter(|code| only.is_empty() || only.contains(code)).collect()
}

/// Interest-free months by card: `11-2:3` joined by a separator (§1.2, §2.3).
///
/// # Errors
/// Another form.
pub fn interest_free(name: &str, text: &str, separator: char) -> Result<Vec<(String, Vec<u32>)>, Refusal> {
    let mut list = Vec::new();
    for part in text.split(separator).filter(|part| !part.is_empty()) {
        let months =
            part.split_once('-').filter(|(card, _)| codes::is_card(card)).and_then(|(card, months)| {
                let months: Result<Vec<u32>, _> =
                    months.split(':').filter(|month| !month.is_empty()).map(str::parse).collect();
                Some((card.to_owned(), months.ok()?))
            });
        let example = format!("{name}: 11-2:3{separator}34-5:12 형식이어야 합니다");
        list.push(months.ok_or_else(|| Refusal::new("SIM:FIELD", example))?);
    }
    Ok(list)
}

/// Telephone companies of a list joined by `:`; empty is all.
///
/// # Errors
/// One that §1.4 does not have.
pub fn telcos(list: &str, first: &str) -> Result<Vec<&'static str>, Refusal> {
    let asked: Vec<&str> = list.split(':').filter(|name| !name.is_empty()).collect();
    if let Some(unknown) = asked.iter().chain(Some(&first)).find(|n| !n.is_empty() && !TELCOS.contains(n)) {
        return Err(Refusal::new("SIM:TELCO", format!("알 수 없는 통신사 {unknown}")));
    }
    let mut telcos: Vec<&'static str> =
        TELCOS.iter().copied().filter(|name| asked.is_empty() || asked.contains(name)).collect();
    telcos.sort_by_key(|name| *name != first);
    Ok(telcos)
}
