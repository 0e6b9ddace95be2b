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

    /// Decodes a form of a charset. Bytes that are no text of it are refused, and also UTF-8 where EUC-KR belongs,
    /// which would decode into other characters.
    ///
    /// # Errors
    /// The field whose bytes are wrong.
    pub fn parse_in(body: &[u8], charset: Charset) -> Result<Self, Refusal> {
        let refuse = |name: &[u8]| {
            let name = String::from_utf8_lossy(name);
            let text = format!("{name}: {} 로 인코딩되지 않았습니다", charset.name());
            Refusal::new("SIM:CHARS", text)
        };
        let mut fields = Vec::new();
        for (name, value) in raw_pairs(body) {
            let decoded = (charset.decode(&name), charset.decode(&value));
            let (Some(key), Some(text)) = decoded else { return Err(refuse(&name)) };
            fields.push((key, text));
        }
        Ok(Self(fields))
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

    /// The form as a browser sends it in a charset: what the charset does not have becomes `&#NNNN;`.
    #[must_use]
    pub fn to_body(&self, charset: Charset) -> String {
        let encoded = |text: &str| form_urlencoded::byte_serialize(&charset.encode(text)).collect::<String>();
        let pair = |(name, value): &(String, String)| format!("{}={}", encoded(name), encoded(value));
        self.0.iter().map(pair).collect::<Vec<_>>().join("&")
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

/// Names and values of a form as bytes, percent-decoded once.
#[must_use]
pub fn raw_pairs(body: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let end = body.iter().rposition(|b| !matches!(b, b'\r' | b'\n')).map_or(0, |last| last + 1);
    let parts = body.get(..end).unwrap_or_default().split(|b| *b == b'&').filter(|part| !part.is_empty());
    let pair = |part: &[u8]| {
        let at = part.iter().position(|b| *b == b'=').unwrap_or(part.len());
        let (name, value) = part.split_at_checked(at).unwrap_or((part, &[]));
        (percent_decode(name), percent_decode(value.get(1..).unwrap_or_default()))
    };
    parts.map(pair).collect()
}

fn percent_decode(text: &[u8]) -> Vec<u8> {
    let hex = |b: &u8| char::from(*b).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let decoded = match (first, after) {
            (b'%', [high, low, ..]) => hex(high).zip(hex(low)).map(|(high, low)| high * 16 + low),
            _ => None,
        };
        bytes.push(decoded.unwrap_or(if *first == b'+' { b' ' } else { *first }));
        rest = if decoded.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    bytes
}

/// The text fields of `multipart/form-data`; `None` if the request is none. PHP clients send it (§2.5).
#[must_use]
pub fn multipart(headers: &HeaderMap, body: &[u8]) -> Option<Fields> {
    let kind = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    if !media_type(headers).eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let boundary = kind.split("boundary=").nth(1)?.split(';').next()?.trim().trim_matches('"');
    let text = String::from_utf8_lossy(body);
    let mut fields = Fields::default();
    for part in text.split(&format!("--{boundary}")).skip(1) {
        let Some((head, value)) = part.split_once("\r\n\r\n") else { continue };
        let Some(name) = head.split("name=\"").nth(1).and_then(|rest| rest.split('"').next()) else {
            continue;
        };
        fields.push(name, value.strip_suffix("\r\n").unwrap_or(value));
    }
    Some(fields)
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

    /// The text of bytes; `None` if they are not in this charset.
    #[must_use]
    pub fn decode(self, bytes: &[u8]) -> Option<String> {
        let utf8 = std::str::from_utf8(bytes).ok().map(str::to_owned);
        match self {
            Self::Utf8 => utf8,
            // Text of three-byte characters only is hardly ever windows-949.
            Self::EucKr if utf8.is_some_and(|text| text.chars().any(|c| c.len_utf8() == 3)) => None,
            Self::EucKr => EUC_KR
                .decode_without_bom_handling_and_without_replacement(bytes)
                .map(|text| text.into_owned()),
        }
    }

    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Utf8 => Self::EucKr,
            Self::EucKr => Self::Utf8,
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
