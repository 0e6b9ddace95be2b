//! What can be done with each method.
//!
//! Invariant: a limit is here only when `inicis.md` gives it: instalments from 50,000 won, at most 36 months in the quota list
//! (`§1.2`), dollars by card (`§1.2`), eight digits on a phone (`§2.1`, which is no limit of the method). Least and largest
//! amounts depend on the contract. Days for a cancel are not known (`§8.4`: 667 and 714 say that they are over).

use super::{strings, text};
use crate::bindings::exports::payhost::plugin::plugin::MethodSupport;
use crate::bindings::payhost::plugin::types::{Method, Text};

/// What is special about a method.
#[derive(Clone, Copy)]
struct Row {
    kind: &'static str,
    provider: Option<&'static str>,
    ko: &'static str,
    en: &'static str,
    /// INIAPI shows partial refunds of card and deposit sales (`§5.1`); of a transfer it names no exception; of bills,
    /// vouchers and points nothing shows any.
    partial: bool,
    /// Cards, transfers and virtual accounts (`§3.3`).
    escrow: bool,
    /// `CSHR_*` of transfers, `dt_cshr` of deposits (`§1.8, §3.1`).
    cash_receipt: bool,
    /// A card's: alone or in a wallet.
    instalments: bool,
}

const fn row(kind: &'static str, provider: Option<&'static str>, ko: &'static str, en: &'static str) -> Row {
    Row { kind, provider, ko, en, partial: false, escrow: false, cash_receipt: false, instalments: false }
}

const fn wallet(provider: &'static str, ko: &'static str, en: &'static str) -> Row {
    Row { partial: true, instalments: true, ..row("easy_pay", Some(provider), ko, en) }
}

const fn voucher(provider: &'static str, ko: &'static str, en: &'static str) -> Row {
    row("gift_voucher", Some(provider), ko, en)
}

const CASH: Row = Row { partial: true, escrow: true, cash_receipt: true, ..row("", None, "", "") };

/// Methods that can be opened on at least one device (`inicis_wire::methods::REQUESTS`).
const TABLE: [Row; 20] = [
    Row { partial: true, escrow: true, instalments: true, ..row("card", None, "신용카드", "Card") },
    Row { kind: "transfer", ko: "실시간 계좌이체", en: "Bank transfer", ..CASH },
    Row { kind: "virtual_account", ko: "가상계좌", en: "Virtual account", ..CASH },
    row("phone", None, "휴대폰 소액결제", "Phone bill"),
    Row { partial: true, instalments: true, ..row("easy_pay", None, "간편결제", "Easy pay") },
    wallet("kakaopay", "카카오페이", "KakaoPay"),
    wallet("naverpay", "네이버페이", "NaverPay"),
    wallet("samsungpay", "삼성페이", "Samsung Pay"),
    wallet("payco", "페이코", "PAYCO"),
    wallet("tosspay", "토스페이", "Toss Pay"),
    wallet("ssgpay", "SSG페이", "SSGPAY"),
    wallet("lpay", "L페이", "L.pay"),
    voucher("cultureland", "컬쳐랜드 문화상품권", "Cultureland voucher"),
    voucher("smart_culture", "스마트문상", "Smart culture voucher"),
    voucher("happymoney", "해피머니", "Happy Money voucher"),
    voucher("booknlife", "도서문화상품권", "Book voucher"),
    row("points", None, "포인트", "Points"),
    row("points", Some("ok_cashbag"), "OK캐쉬백", "OK Cashbag"),
    row("points", Some("gs"), "GS포인트", "GS Point"),
    row("points", Some("u_point"), "U포인트", "U-Point"),
];

/// The descriptor's table.
pub fn supports() -> Vec<MethodSupport> {
    TABLE.iter().map(|row| support(*row)).collect()
}

fn support(row: Row) -> MethodSupport {
    let title: Text = text(row.ko, row.en);
    MethodSupport {
        method: Method { kind: row.kind.to_owned(), provider: row.provider.map(str::to_owned) },
        title,
        partial_cancel: row.partial,
        cancel_needs_account: row.kind == "virtual_account",
        cancel_within_days: None,
        escrow: row.escrow,
        cash_receipt: row.cash_receipt,
        tax_split: true,
        instalments_max: if row.instalments { 36 } else { 0 },
        instalments_from: row.instalments.then_some(50_000),
        currencies: if row.kind == "card" { strings(&["KRW", "USD"]) } else { strings(&["KRW"]) },
        amount_min: None,
        amount_max: None,
    }
}
