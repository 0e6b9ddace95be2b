//! What all pages share: the language, the frame around each page, and how money is written.

use std::borrow::Borrow;

use askama::Template;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};

use crate::Shop;
use crate::error::Error;
use crate::visitor::Visitor;

/// What the visitor reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// 한국어, the default.
    Korean,
    /// English.
    English,
}

impl Language {
    /// From `?lang=` or the cookie.
    pub fn of(code: Option<&str>) -> Self {
        if code == Some("en") { Self::English } else { Self::Korean }
    }

    /// `ko` or `en`.
    pub fn code(&self) -> &'static str {
        self.t("ko", "en")
    }

    /// The words in this language. Templates write both side by side, so that a page reads as one.
    pub fn t(&self, korean: &'static str, english: &'static str) -> &'static str {
        match self {
            Self::Korean => korean,
            Self::English => english,
        }
    }

    /// `20,900원` or `₩20,900`.
    pub fn won(&self, amount: impl Borrow<i64>) -> String {
        let digits = amount.borrow().to_string();
        let mut text = String::new();
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                text.push(',');
            }
            text.push(digit);
        }
        match self {
            Self::Korean => format!("{text}원"),
            Self::English => format!("₩{text}"),
        }
    }
}

/// What stands around every page.
pub struct Frame {
    /// Language of the page.
    pub language: Language,
    /// Address of the page for the language switch (a page that answers a POST names the page to come back to).
    pub path: String,
    /// Pieces in the cart.
    pub cart_count: i64,
    /// Whether payments are only tests.
    pub test: bool,
}

impl Frame {
    /// The frame of a page at `path`.
    pub fn new(shop: &Shop, visitor: &Visitor, path: impl Into<String>) -> Result<Self, Error> {
        let cart_count = shop.store.cart(&visitor.session)?.iter().map(|(_, quantity)| quantity).sum();
        Ok(Self { language: visitor.language, path: path.into(), cart_count, test: shop.payhost.is_test() })
    }
}

/// A filled-in template as an answer.
pub fn page(status: StatusCode, template: &impl Template) -> Result<Response, Error> {
    Ok((status, Html(template.render()?)).into_response())
}

#[cfg(test)]
mod tests {
    use super::Language;

    #[test]
    fn money_is_grouped_by_thousands() {
        for (amount, text) in [(0, "0원"), (999, "999원"), (1_000, "1,000원"), (1_234_567, "1,234,567원")]
        {
            assert_eq!(Language::Korean.won(amount), text);
        }
        assert_eq!(Language::English.won(20_900), "₩20,900");
    }
}
