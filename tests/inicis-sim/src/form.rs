//! Invariant: a form is decoded exactly once, keeps the order and the spelling of its names, and never hides a name
//! that came twice.

use axum::http::{HeaderMap, header};
use encoding_rs::EUC_KR;

use crate::refusal::Refusal;

/// The fields of a form in the order in which they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields(Vec<(String, String)>);

impl Fields {
    /// Fields from pairs.
    #[must_use]
    pub fn new(pairs: Vec<(String, String)>) -> Self {
        Self(pairs)
    }

    /// Decodes `application/x-www-form-urlencoded` in UTF-8. The official PHP client sends line ends after the body
    /// (§1.7); they are not part of the last value.
    #[must_use]
    pub fn parse(body: &[u8]) -> Self {
        let end = body.iter().rposition(|b| !matches!(b, b'\r' | b'\n')).map_or(0, |last| last + 1);
        let body = body.get(..end).unwrap_or_default();
        Self(form_urlencoded::parse(body).into_owned().collect())
    }

    /// The value of a field; an absent field is empty.
    #[must_use]
    pub fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value)
    }

    /// Whether the field came at all.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(n, _)| n == name)
    }

    /// Adds a field.
    pub fn push(&mut self, name: &str, value: &str) {
        self.0.push((name.to_owned(), value.to_owned()));
    }

    /// The same map in byte order of the names, to compare two requests whose order does not matter.
    #[must_use]
    pub fn sorted(&self) -> Vec<(String, String)> {
        let mut pairs = self.0.clone();
        pairs.sort();
        pairs
    }

    /// Refuses a form in which a name comes twice: which of the two INICIS would take is unknown.
    ///
    /// # Errors
    /// The name that came twice.
    pub fn refuse_twins(&self) -> Result<(), Refusal> {
        let sorted = self.sorted();
        let twin = sorted.iter().zip(sorted.iter().skip(1)).find(|(a, b)| a.0 == b.0);
        match twin {
            Some(((name, _), _)) => {
                Err(Refusal::new("SIM:TWICE", format!("{name}: 같은 항목이 두 번 왔습니다")))
            }
            None => Ok(()),
        }
    }

    /// Refuses when one of the named fields is absent or empty.
    ///
    /// # Errors
    /// The first field that is missing.
    pub fn require(&self, names: &[&str]) -> Result<(), Refusal> {
        match names.iter().find(|name| self.get(name).is_empty()) {
            Some(name) => Err(Refusal::new("SIM:FIELD", format!("{name}: 필수 항목이 없습니다"))),
            None => Ok(()),
        }
    }
}

/// Whether the request says that its body is a form. The official Java client adds `; text/html; charset=euc-kr`.
#[must_use]
pub fn is_form(headers: &HeaderMap) -> bool {
    media_type(headers).eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// Whether the request says that its body is JSON.
#[must_use]
pub fn is_json(headers: &HeaderMap) -> bool {
    media_type(headers).eq_ignore_ascii_case("application/json")
}

fn media_type(headers: &HeaderMap) -> &str {
    let value = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim()
}

/// The charset that a merchant may choose for what INICIS sends it (§1.2, §1.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charset {
    /// The default.
    Utf8,
    /// EUC-KR, encoded as its superset windows-949.
    EucKr,
}

impl Charset {
    /// Reads the field `charset`; empty is UTF-8.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "" | "UTF-8" => Some(Self::Utf8),
            "EUC-KR" => Some(Self::EucKr),
            _ => None,
        }
    }

    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Utf8 => "UTF-8",
            Self::EucKr => "EUC-KR",
        }
    }

    /// The bytes of a text.
    #[must_use]
    pub fn encode(self, text: &str) -> Vec<u8> {
        match self {
            Self::Utf8 => text.as_bytes().to_vec(),
            Self::EucKr => EUC_KR.encode(text).0.into_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plus_sign_that_was_not_encoded_becomes_a_blank_and_line_ends_after_the_body_do_not_count() {
        let fields = Fields::parse(b"authToken=a%2Bb%2F%3D&bad=a+b\r\n\r\n");
        assert_eq!(fields.get("authToken"), "a+b/=");
        assert_eq!(fields.get("bad"), "a b");
    }
}
