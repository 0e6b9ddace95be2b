//! Text that people write in requests. Invariant: a member that people read (a name, a reason) has one writing from here on:
//! composed (macOS sends `한` as three letters, which no gateway's charset has), without blanks, line ends or marks of direction
//! at its ends, which spreadsheets and address books leave there, and without characters that have no width. What can be mended
//! so is no reason to refuse an order; characters of control and of direction between others still are.
//!
//! Every free text of a request's type is read through this module (`#[serde(deserialize_with = "text::line")]`). Not the
//! shop's own identifiers (`order_id`, `metadata`, options): they come back to the letter.

use payhost_core::text::is_hidden;
use serde::{Deserialize, Deserializer};
use unicode_normalization::UnicodeNormalization;

/// The one writing of a text.
pub fn tidy(text: &str) -> String {
    let at_an_end = |c: char| c.is_whitespace() || is_hidden(c);
    let no_width = |c: &char| matches!(c, '\u{ad}' | '\u{200b}' | '\u{2060}' | '\u{feff}');
    text.trim_matches(at_an_end).chars().filter(|c| !no_width(c)).nfc().collect()
}

/// Reads a text that must be there.
pub fn line<'de, D: Deserializer<'de>>(input: D) -> Result<String, D::Error> {
    String::deserialize(input).map(|text| tidy(&text))
}

/// Reads a text that may be left out: an empty one is absent, as forms send it.
pub fn optional<'de, D: Deserializer<'de>>(input: D) -> Result<Option<String>, D::Error> {
    let text = Option::<String>::deserialize(input)?;
    Ok(text.map(|text| tidy(&text)).filter(|text| !text.is_empty()))
}

/// Reads a text that a change may leave out. An empty one stays, for the route to refuse: it would take a name away.
pub fn changed<'de, D: Deserializer<'de>>(input: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(input)?.map(|text| tidy(&text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Named {
        #[serde(deserialize_with = "line")]
        name: String,
        #[serde(default, deserialize_with = "optional")]
        phone: Option<String>,
    }

    fn read(json: &str) -> (String, Option<String>) {
        let named: Named = serde_json::from_str(json).unwrap();
        (named.name, named.phone)
    }

    #[test]
    fn a_text_is_composed_and_its_ends_are_trimmed() {
        let decomposed = r#"{"name": "\ufeff \u1112\u1161\u11ab\u1100\u1173\u11af 차\u00a0\r\n", "phone": "010-1234-5678\n"}"#;
        assert_eq!(read(decomposed), ("한글 차".to_owned(), Some("010-1234-5678".to_owned())));
        let copied = r#"{"name": "수제\u200b 잼\ufeff", "phone": "\u202a010-1234-5678\u202c"}"#;
        assert_eq!(read(copied), ("수제 잼".to_owned(), Some("010-1234-5678".to_owned())));
        assert_eq!(read(r#"{"name": "두\n줄"}"#).0, "두\n줄", "what stands between is not for us to mend");
    }

    #[test]
    fn an_empty_text_that_may_be_left_out_is_absent() {
        for phone in [r#""""#, r#"" \n""#, "null"] {
            assert_eq!(read(&format!(r#"{{"name": "x", "phone": {phone}}}"#)).1, None, "{phone}");
        }
        assert_eq!(read(r#"{"name": "x"}"#).1, None);
        assert!(serde_json::from_str::<Named>(r#"{"name": null}"#).is_err());
    }
}
