//! What a buyer paid with (`inicis.md §1.8, §2.5`), read the same way from both devices' answers.
//!
//! Invariant: details decide nothing. What is missing or cannot be read is absent, and nothing is guessed.

use crate::json::digits;
use crate::{banks, cards, clock, methods};

/// A card company or bank as it was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Institution {
    /// INICIS's code.
    pub code: String,
    /// KFTC's code; empty where no public table has one ([`cards`], [`banks`]).
    pub kftc: &'static str,
    /// Korean name.
    pub ko: String,
    /// English name.
    pub en: String,
}

/// A cash receipt that INICIS made with the sale (`CSHR_*`, `P_CSHR_*`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CashReceipt {
    /// Registry `cash-receipt`.
    pub kind: &'static str,
    /// The tax office's number.
    pub number: Option<String>,
    /// When.
    pub at_ms: Option<i64>,
}

/// An account that waits for a deposit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The bank.
    pub bank: Institution,
    /// Number, without blanks.
    pub number: String,
    /// The name that the buyer sees when paying in; empty when INICIS gave none.
    pub holder: String,
    /// Until when.
    pub deadline_ms: Option<i64>,
}

/// Details of a sale.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Details {
    /// Of the card company or bank.
    pub approval_number: Option<String>,
    /// The card company, or the bank of a transfer.
    pub issuer: Option<Institution>,
    /// Who acquired the card sale.
    pub acquirer: Option<Institution>,
    /// Of a card as INICIS masked it; of a telephone its first three and last two digits.
    pub masked_number: Option<String>,
    /// 0 is a single payment.
    pub instalments: Option<u32>,
    /// Whether the buyer pays no interest.
    pub interest_free: Option<bool>,
    /// The wallet.
    pub wallet: Option<&'static str>,
    /// Minor units.
    pub points: Option<i64>,
    /// Minor units.
    pub discount: Option<i64>,
    /// A cash receipt.
    pub cash_receipt: Option<CashReceipt>,
    /// Whether parts can be cancelled.
    pub partial_cancel: Option<bool>,
    /// The rest, under INICIS's names.
    pub more: Vec<(String, String)>,
}

/// Names of one device's fields; where several are given the first that came counts.
pub(crate) struct Names {
    pub approval: &'static [&'static str],
    pub card: &'static [&'static str],
    pub card_name: &'static [&'static str],
    pub bank: &'static [&'static str],
    pub bank_name: &'static [&'static str],
    pub acquirer: &'static [&'static str],
    pub acquirer_name: &'static [&'static str],
    pub card_number: &'static [&'static str],
    pub phone: &'static [&'static str],
    pub months: &'static [&'static str],
    pub interest: &'static [&'static str],
    pub wallet: &'static [&'static str],
    pub points: &'static [&'static str],
    pub discount: &'static [&'static str],
    pub partial: &'static [&'static str],
    /// Result, kind, number, date, time.
    pub receipt: [&'static [&'static str]; 5],
    /// Number, bank, bank's name, holder, date, time.
    pub account: [&'static [&'static str]; 6],
    /// Kept under INICIS's own names when they are not empty.
    pub kept: &'static [&'static str],
}

/// Looks a field up.
pub(crate) type Shown<'a> = &'a dyn Fn(&str) -> Option<String>;

fn any(shown: Shown<'_>, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| shown(name))
}

/// Reads everything.
pub(crate) fn read(shown: Shown<'_>, names: &Names) -> Details {
    let any = |names: &[&str]| any(shown, names);
    let flag = |names: &[&str]| any(names).map(|value| value == "1");
    let sum = |names: &[&str]| names.iter().find_map(|n| digits(&shown(n)?).filter(|sum| *sum > 0));
    let company = |code: &[&str], name: &[&str]| any(code).map(|code| card(code, any(name)));
    let bank = || any(names.bank).map(|code| bank(code, any(names.bank_name)));
    Details {
        approval_number: any(names.approval),
        issuer: company(names.card, names.card_name).or_else(bank),
        acquirer: company(names.acquirer, names.acquirer_name),
        masked_number: any(names.card_number).or_else(|| any(names.phone).map(|number| masked(&number))),
        instalments: any(names.months).and_then(|months| months.parse().ok()),
        interest_free: flag(names.interest),
        wallet: any(names.wallet).as_deref().and_then(methods::wallet),
        points: sum(names.points),
        discount: sum(names.discount),
        cash_receipt: receipt(shown, names),
        partial_cancel: flag(names.partial),
        more: names.kept.iter().filter_map(|name| Some(((*name).to_owned(), shown(name)?))).collect(),
    }
}

/// Reads the account of an issue; absent when it has no number.
pub(crate) fn account(shown: Shown<'_>, names: &Names) -> Option<Account> {
    let [number, code, name, holder, date, time] = names.account;
    let number: String = any(shown, number)?.chars().filter(|c| !c.is_whitespace()).collect();
    let moment = any(shown, date).zip(any(shown, time));
    Some(Account {
        bank: bank(any(shown, code).unwrap_or_default(), any(shown, name)),
        number,
        holder: any(shown, holder).unwrap_or_default(),
        deadline_ms: moment.and_then(|(date, time)| {
            let time = if time.len() == 4 { format!("{time}00") } else { time };
            clock::from_kst(&date, &time)
        }),
    })
}

/// A receipt was made when its result is `220000` (`inicis.md §0.2`).
fn receipt(shown: Shown<'_>, names: &Names) -> Option<CashReceipt> {
    let [result, kind, number, date, time] = names.receipt;
    if any(shown, result)? != "220000" {
        return None;
    }
    // 0 income deduction, 1 business proof (inicis.md §1.8).
    let kind = match any(shown, kind)?.as_str() {
        "0" => "income_deduction",
        "1" => "business_proof",
        _ => return None,
    };
    let date = any(shown, date);
    let at_ms = date.and_then(|date| match any(shown, time) {
        Some(time) => clock::from_kst(&date, &time),
        None => clock::from_kst14(&date),
    });
    Some(CashReceipt { kind, number: any(shown, number), at_ms })
}

fn card(code: String, answered: Option<String>) -> Institution {
    let known = cards::by_code(&code);
    institution(code, answered, known.map(|card| card.name), known.map_or("", |card| card.kftc))
}

/// A bank by INICIS's code, with the name that INICIS gave.
pub(crate) fn bank(code: String, answered: Option<String>) -> Institution {
    let known = banks::by_code(&code).map(|bank| bank.name);
    let kftc = banks::kftc(&code);
    institution(code, answered, known, kftc)
}

fn institution(
    code: String,
    answered: Option<String>,
    known: Option<crate::Sentence>,
    kftc: &'static str,
) -> Institution {
    let name = |known: Option<&str>| answered.as_deref().or(known).unwrap_or(&code).to_owned();
    let ko = name(known.map(|k| k.ko));
    let en = known.map_or_else(|| name(None), |k| k.en.to_owned());
    Institution { ko, en, kftc, code }
}

/// A telephone number is a person's: only its ends are kept.
fn masked(number: &str) -> String {
    let digits: Vec<char> = number.chars().filter(char::is_ascii_digit).collect();
    let last = digits.len().saturating_sub(2);
    digits.iter().enumerate().map(|(i, c)| if i < 3 || i >= last { *c } else { '*' }).collect()
}
