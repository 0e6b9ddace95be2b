//! Text answers of the mobile servers: `key=value&key=value`, values often not encoded (`inicis.md §2.5`).
//!
//! Invariant: any bytes give fields or an error; a field that came twice is never believed. (Values stand there unencoded, so
//! that a buyer's own words with `&` in them could make a second one.)

use crate::Unclear;
use crate::form::{self, Form};
use crate::json::{MAX_ANSWER_BYTES, digits};
use crate::refusal::Members;

/// Fields of an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Nvp {
    /// Names, and values with the blanks that stand around them.
    pairs: Vec<(String, String)>,
}

impl Nvp {
    /// Reads an answer; values in UTF-8 or CP949, encoded or not.
    pub fn parse(body: &[u8]) -> Result<Self, Unclear> {
        if body.iter().all(u8::is_ascii_whitespace) {
            return Err(Unclear("the answer is empty".into()));
        }
        if body.len() > MAX_ANSWER_BYTES {
            return Err(Unclear("the answer is too large".into()));
        }
        let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii();
        let pairs = body
            .split(|b| *b == b'&')
            .filter_map(|pair| {
                let at = pair.iter().position(|b| *b == b'=')?;
                let (name, value) = pair.split_at_checked(at)?;
                let name = std::str::from_utf8(name.trim_ascii()).ok()?;
                Some((name.to_owned(), text(value.get(1..).unwrap_or_default())))
            })
            .collect();
        Ok(Self { pairs })
    }

    /// Fields that were decoded elsewhere.
    pub(crate) fn of(pairs: Vec<(String, String)>) -> Self {
        Self { pairs }
    }

    /// Text of a field without the blanks around it: absent when it is missing or empty; an error when it is there twice.
    pub fn text(&self, name: &str) -> Result<Option<&str>, Unclear> {
        Ok(self.exact(name)?.map(str::trim).filter(|value| !value.is_empty()))
    }

    /// Text of a field that must be there.
    pub fn required(&self, name: &str) -> Result<&str, Unclear> {
        self.text(name)?.ok_or_else(|| Unclear(format!("{name} is missing")))
    }

    /// Text of a field that decides nothing: what cannot be read is absent.
    pub fn shown(&self, name: &str) -> Option<String> {
        self.text(name).ok().flatten().map(str::to_owned)
    }

    /// An amount that must be there: digits alone.
    pub fn amount(&self, name: &str) -> Result<i64, Unclear> {
        digits(self.required(name)?).ok_or_else(|| Unclear(format!("{name} is not an amount")))
    }
}

impl Members for Nvp {
    fn exact(&self, name: &str) -> Result<Option<&str>, Unclear> {
        let mut found = self.pairs.iter().filter(|(n, _)| n == name).map(|(_, value)| value.as_str());
        let first = found.next();
        if found.next().is_some() {
            return Err(Unclear(format!("{name} is there twice")));
        }
        Ok(first)
    }

    fn is_there(&self, name: &str) -> bool {
        self.pairs.iter().any(|(n, _)| n == name)
    }

    fn is_filled(&self, name: &str) -> bool {
        self.pairs.iter().any(|(n, value)| n == name && !value.trim().is_empty())
    }

    fn twin(&self) -> Option<&str> {
        let mut names: Vec<&str> = self.pairs.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_by_key(|name| name.to_ascii_lowercase());
        names.windows(2).find_map(|pair| match pair {
            [one, other] if one.eq_ignore_ascii_case(other) => Some(*one),
            _ => None,
        })
    }
}

/// A value that is ASCII and has a percent sign with two hex digits was encoded; any other stands as it came.
fn text(value: &[u8]) -> String {
    let encoded = value.is_ascii()
        && value
            .windows(3)
            .any(|w| matches!(w, [b'%', a, b] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit()));
    if encoded {
        let mut pair = b"v=".to_vec();
        pair.extend_from_slice(value);
        if let Ok(Some(decoded)) =
            Form::parse(&pair).map(|form| form.bytes("v").ok().flatten().map(form::letters))
        {
            return decoded;
        }
    }
    form::letters(value)
}
