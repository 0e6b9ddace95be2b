//! Ways of paying, as the order form shows them. Invariant: a buyer chooses the way in the shop, so that a phone, whose payment
//! window opens exactly one method, reaches each of them.

use crate::page::Language;

/// One way of paying.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Method {
    /// Name in forms and in the shop's database.
    pub code: &'static str,
    /// `method.kind` of payhost's API.
    pub kind: &'static str,
    /// `method.provider` of payhost's API.
    pub provider: Option<&'static str>,
    korean: &'static str,
    english: &'static str,
}

impl Method {
    /// What the buyer reads.
    pub fn words(&self, language: &Language) -> &'static str {
        language.t(self.korean, self.english)
    }
}

const fn method(code: &'static str, korean: &'static str, english: &'static str) -> Method {
    Method { code, kind: code, provider: None, korean, english }
}

const fn wallet(code: &'static str, korean: &'static str, english: &'static str) -> Method {
    Method { kind: "easy_pay", provider: Some(code), ..method(code, korean, english) }
}

/// The one that is chosen when nobody chose.
pub const CARD: &Method = &method("card", "신용카드", "Card");

/// All of them, in the order of the page.
pub const METHODS: &[Method] = &[
    *CARD,
    wallet("kakaopay", "카카오페이", "KakaoPay"),
    wallet("naverpay", "네이버페이", "Naver Pay"),
    wallet("tosspay", "토스페이", "Toss Pay"),
    method("transfer", "실시간 계좌이체", "Bank transfer"),
    method("virtual_account", "가상계좌 (무통장입금)", "Virtual account"),
    method("phone", "휴대폰 결제", "Phone bill"),
];

/// The way of this name.
pub fn find_method(code: &str) -> Option<&'static Method> {
    METHODS.iter().find(|method| method.code == code)
}
