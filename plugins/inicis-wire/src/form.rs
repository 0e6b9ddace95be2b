//! Invariant: a form is decoded exactly once, byte for byte, and a field that came twice is never read
//! (`inicis.md §1.6, §9.5`).

use std::borrow::Cow;

/// A field to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Name, case-sensitive (`inicis.md §1.2`).
    pub name: Cow<'static, str>,
    /// Value, not yet encoded.
    pub value: String,
}

impl Field {
    /// A field of a name that we know.
    pub fn new(name: &'static str, value: impl Into<String>) -> Self {
        Self { name: Cow::Borrowed(name), value: value.into() }
    }
}

/// Encoding of a form's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charset {
    /// UTF-8.
    Utf8,
    /// EUC-KR as INICIS means it: Windows code page 949.
    EucKr,
}

/// Writes `application/x-www-form-urlencoded`. What EUC-KR cannot hold becomes `?`; clean the text before ([`crate::text`]).
pub fn write(charset: Charset, fields: &[Field]) -> String {
    let mut out = String::new();
    for field in fields {
        if !out.is_empty() {
            out.push('&');
        }
        encode_into(&mut out, charset, &field.name);
        out.push('=');
        encode_into(&mut out, charset, &field.value);
    }
    out
}

fn encode_into(out: &mut String, charset: Charset, text: &str) {
    match charset {
        Charset::Utf8 => out.extend(form_urlencoded::byte_serialize(text.as_bytes())),
        Charset::EucKr => {
            let clean: Cow<'_, str> = if text.chars().all(crate::text::in_cp949) {
                Cow::Borrowed(text)
            } else {
                text.chars().map(|c| if crate::text::in_cp949(c) { c } else { '?' }).collect()
            };
            let (bytes, _, _) = encoding_rs::EUC_KR.encode(&clean);
            out.extend(form_urlencoded::byte_serialize(&bytes));
        }
    }
}

/// Why a form cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// Larger than any message of INICIS.
    #[error("the form is larger than {0} bytes")]
    TooLarge(usize),
    /// Twice in the form.
    #[error("the field {0} is there twice")]
    Doubled(&'static str),
    /// Not in the form, or empty.
    #[error("the field {0} is missing")]
    Missing(&'static str),
    /// Not text in the charset that was asked for.
    #[error("the field {0} is not in the charset that was asked for")]
    Charset(&'static str),
}

/// Most bytes of a form that we read: ours, many times what INICIS sends.
pub const MAX_FORM_BYTES: usize = 64 * 1024;

/// A form that came in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Form {
    pairs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Form {
    /// Splits and decodes, once.
    pub fn parse(body: &[u8]) -> Result<Self, FormError> {
        if body.len() > MAX_FORM_BYTES {
            return Err(FormError::TooLarge(MAX_FORM_BYTES));
        }
        let pairs = body
            .split(|b| *b == b'&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| {
                let mut halves = pair.splitn(2, |b| *b == b'=');
                let name = halves.next().unwrap_or_default();
                (decode(name), decode(halves.next().unwrap_or_default()))
            })
            .collect();
        Ok(Self { pairs })
    }

    /// Names and values as bytes, in the order in which they came.
    pub(crate) fn pairs(&self) -> &[(Vec<u8>, Vec<u8>)] {
        &self.pairs
    }

    /// The bytes of a field, if it is there; an error when it is there twice.
    pub fn bytes(&self, name: &'static str) -> Result<Option<&[u8]>, FormError> {
        let mut found = self.pairs.iter().filter(|(n, _)| n == name.as_bytes()).map(|(_, v)| v.as_slice());
        let first = found.next();
        if found.next().is_some() { Err(FormError::Doubled(name)) } else { Ok(first) }
    }

    /// The text of a field in UTF-8, if it is there and not empty.
    pub fn optional(&self, name: &'static str) -> Result<Option<&str>, FormError> {
        match self.bytes(name)? {
            None | Some([]) => Ok(None),
            Some(bytes) => std::str::from_utf8(bytes).map(Some).map_err(|_| FormError::Charset(name)),
        }
    }

    /// The text of a field in UTF-8 that must be there.
    pub fn required(&self, name: &'static str) -> Result<&str, FormError> {
        self.optional(name)?.ok_or(FormError::Missing(name))
    }

    /// Words meant for a person: read in UTF-8, else in CP949, because a message in the wrong charset is still a message.
    pub fn words(&self, name: &'static str) -> Result<String, FormError> {
        Ok(words(self.bytes(name)?.unwrap_or_default()))
    }
}

/// Text of unknown charset for a person: UTF-8, else CP949 with replacement characters; at most 500 characters.
pub fn words(bytes: &[u8]) -> String {
    korean(bytes).chars().filter(|c| !c.is_control()).take(500).collect()
}

/// The same where the letter counts: a control character is shown as a blank or as what cannot be read, never left out, so that
/// `00` with a tab behind it is not `00`.
pub(crate) fn letters(bytes: &[u8]) -> String {
    let shown = |c: char| match (c.is_control(), c.is_whitespace()) {
        (false, _) => c,
        (true, true) => ' ',
        (true, false) => char::REPLACEMENT_CHARACTER,
    };
    korean(bytes).chars().map(shown).take(500).collect()
}

fn korean(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => encoding_rs::EUC_KR.decode_without_bom_handling(bytes).0,
    }
}

fn decode(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        match (first, tail) {
            (b'+', _) => out.push(b' '),
            (b'%', [high, low, after @ ..]) => match (nibble(*high), nibble(*low)) {
                (Some(high), Some(low)) => {
                    out.push(high << 4 | low);
                    rest = after;
                }
                _ => out.push(b'%'),
            },
            _ => out.push(*first),
        }
    }
    out
}

const fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}
