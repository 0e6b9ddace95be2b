//! No writing of a call's secrets passes: neither into what people read (logs, records) nor into a gateway's answer before the
//! plugin reads it.
//!
//! The writings of a value: as it is · base64, standard and URL-safe, wherever it stands in what was encoded (three shifts; a character
//! that it shares with its neighbour goes with it) · hex · percent-encoded and as in a form · in a JSON text (plain, and with `\/`
//! and `\u…`) · in HTML. A host that helps a plugin on purpose can write a value in a way that nobody looks for: what this
//! keeps is that no honest host's echo, and no error page, tells a plugin what it was not to know.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use memchr::memmem;
use payhost_core::hex;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use zeroize::Zeroizing;

use crate::contract::imports::Response;
use crate::secrets::Secrets;

/// Values shorter than this are not looked for: blotting out every `12` would hide the log and protect nothing.
const SHORTEST: usize = 4;
/// In an answer a find that is none changes what the gateway said, so short values are left there: of fewer bytes than this, …
const SHORTEST_IN_ANSWER: usize = 8;
/// … or of fewer digits than this and nothing else, which an amount or a date may have.
const SHORTEST_DIGITS_IN_ANSWER: usize = 10;
const BLOT: &str = "[secret]";

/// What RFC 3986 leaves as it is; `NON_ALPHANUMERIC` leaves less.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Knows all writings of a call's secrets.
#[derive(Default)]
pub(crate) struct Scrubber {
    needles: Vec<Needle>,
}

struct Needle {
    writing: Zeroizing<Vec<u8>>,
    /// Whether the character before (after) it holds some of the value's bits beside its neighbour's.
    shares: (bool, bool),
    /// Whether answers are searched for it.
    in_answers: bool,
    blot: Arc<str>,
}

impl Scrubber {
    pub(crate) fn new(secrets: &Secrets) -> Self {
        let mut scrubber = Self::default();
        for (_, secret) in secrets.iter() {
            let hash = secret.version.is_none().then(|| secrets.keyed_hash(&secret.value)).flatten();
            scrubber.add(&secret.value, hash.as_deref());
        }
        scrubber
    }

    /// Looks for one more value from now on; a keyed hash of it takes its place where there is one.
    pub(crate) fn add(&mut self, value: &str, keyed_hash: Option<&str>) {
        if value.len() < SHORTEST {
            return;
        }
        let digits = value.bytes().all(|byte| byte.is_ascii_digit());
        let least = if digits { SHORTEST_DIGITS_IN_ANSWER } else { SHORTEST_IN_ANSWER };
        let in_answers = value.len() >= least;
        let blot: Arc<str> = keyed_hash.map_or_else(|| BLOT.into(), |hash| format!("[secret {hash}]").into());
        let texts = writings(value).into_iter().map(|text| (text.into_bytes(), (false, false)));
        for (writing, shares) in texts.chain(base64_writings(value.as_bytes())) {
            if !self.needles.iter().any(|known| *known.writing == writing) {
                let writing = Zeroizing::new(writing);
                self.needles.push(Needle { writing, shares, in_answers, blot: blot.clone() });
            }
        }
        // Longest first, so that no piece of a longer writing is left standing.
        self.needles.sort_by_key(|needle| std::cmp::Reverse(needle.writing.len()));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.needles.is_empty()
    }

    /// The text with every secret blotted out; `None` when there was nothing to blot out.
    pub(crate) fn scrub(&self, text: &str) -> Option<String> {
        // A writing is whole characters, so that what is left of a text is one.
        self.scrub_bytes(text.as_bytes()).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The same for a text that may be the base64 of bytes, as `list<u8>` is in JSON.
    pub(crate) fn scrub_text_or_base64(&self, text: &str) -> Option<String> {
        let inside = || self.scrub_bytes(&STANDARD.decode(text).ok()?).map(|bytes| STANDARD.encode(bytes));
        self.scrub(text).or_else(inside)
    }

    /// The same for bytes.
    pub(crate) fn scrub_bytes(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        blotted(self.needles.iter().map(|needle| (needle, &*needle.blot)), bytes)
    }

    /// Blots the secrets out of a gateway's answer, all of them in the same way: a keyed hash would tell the plugin which values
    /// are the same.
    pub(crate) fn scrub_answer(&self, answer: &mut Response) {
        if self.needles.is_empty() {
            return;
        }
        let scrub = |bytes: &[u8]| {
            let needles = self.needles.iter().filter(|needle| needle.in_answers);
            blotted(needles.map(|needle| (needle, BLOT)), bytes)
        };
        if let Some(body) = scrub(&answer.body) {
            answer.body = body;
        }
        for text in answer.headers.iter_mut().flat_map(|(name, value)| [name, value]) {
            if let Some(scrubbed) = scrub(text.as_bytes()) {
                *text = String::from_utf8_lossy(&scrubbed).into_owned();
            } else if !text.is_ascii() {
                // From the network characters up to U+00FF stand for bytes.
                let bytes: Zeroizing<Vec<u8>> =
                    Zeroizing::new(text.chars().map(|c| u8::try_from(c).unwrap_or(b'?')).collect());
                if let Some(scrubbed) = scrub(&bytes) {
                    *text = scrubbed.into_iter().map(char::from).collect();
                }
            }
        }
    }
}

fn blotted<'a>(needles: impl Iterator<Item = (&'a Needle, &'a str)>, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut out: Option<Vec<u8>> = None;
    for (needle, blot) in needles {
        let current = out.as_deref().unwrap_or(bytes);
        if let Some(next) = replace(current, needle, blot.as_bytes()) {
            out = Some(next);
        }
    }
    out
}

fn replace(haystack: &[u8], needle: &Needle, blot: &[u8]) -> Option<Vec<u8>> {
    let mut found = memmem::find_iter(haystack, needle.writing.as_slice()).peekable();
    found.peek()?;
    let shared = |at: Option<usize>| {
        let byte = at.and_then(|at| haystack.get(at));
        usize::from(byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || b"+/-_".contains(byte)))
    };
    let (mut out, mut kept) = (Vec::new(), 0_usize);
    for at in found {
        let end = at.saturating_add(needle.writing.len());
        let before = if needle.shares.0 { shared(at.checked_sub(1)) } else { 0 };
        let after = if needle.shares.1 { shared(Some(end)) } else { 0 };
        out.extend_from_slice(haystack.get(kept..at.saturating_sub(before)).unwrap_or_default());
        out.extend_from_slice(blot);
        kept = end.saturating_add(after);
    }
    out.extend_from_slice(haystack.get(kept..).unwrap_or_default());
    Some(out)
}

/// The writings in which a value stands by itself.
fn writings(value: &str) -> Vec<String> {
    let form: String = form_urlencoded::byte_serialize(value.as_bytes()).collect();
    let percent = |set| utf8_percent_encode(value, set).to_string();
    let (all, reserved) = (percent(NON_ALPHANUMERIC), percent(RESERVED));
    let digits = hex(value.as_bytes());
    let html = value.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
    vec![
        value.to_owned(),
        lower_percent(&form),
        lower_percent(&all),
        lower_percent(&reserved),
        form,
        all,
        reserved,
        digits.to_uppercase(),
        digits,
        json(value, false),
        json(value, true),
        html.replace('\'', "&#39;"),
        html.replace('\'', "&#039;"),
        html.replace('\'', "&#x27;"),
        html,
    ]
}

/// `%2F` as `%2f`.
fn lower_percent(text: &str) -> String {
    let mut left = 0_u8;
    let lower = |c: char| {
        let inside = left > 0;
        left = if c == '%' { 2 } else { left.saturating_sub(1) };
        if inside { c.to_ascii_lowercase() } else { c }
    };
    text.chars().map(lower).collect()
}

/// Inside a JSON text; `ascii` as PHP and Python write it: `\/` and `\u…`.
fn json(value: &str, ascii: bool) -> String {
    let quoted = serde_json::Value::from(value).to_string();
    let inside = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default();
    if !ascii {
        return inside.to_owned();
    }
    let mut units = [0; 2];
    let escaped = |c: char| match c {
        '/' => "\\/".to_owned(),
        c if c.is_ascii() => c.to_string(),
        c => c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")).collect(),
    };
    inside.chars().map(escaped).collect()
}

/// The base64 writings of bytes inside of something longer, by where they begin in it. The first and the last character may hold
/// bits of a neighbour: they are not in the writing and are told beside it.
fn base64_writings(value: &[u8]) -> Vec<(Vec<u8>, (bool, bool))> {
    let mut writings = Vec::new();
    for shift in 0..3_usize {
        let shifted: Zeroizing<Vec<u8>> =
            Zeroizing::new(std::iter::repeat_n(0, shift).chain(value.iter().copied()).collect());
        let (from, bits) = ((shift * 8).div_ceil(6), shifted.len().saturating_mul(8));
        let shares = (shift > 0, !bits.is_multiple_of(6));
        for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
            let text = Zeroizing::new(engine.encode(shifted.as_slice()));
            writings.push((text.as_bytes().get(from..bits / 6).unwrap_or_default().to_vec(), shares));
        }
    }
    writings
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUE: &str = "s3cr3t+/한\"<'&~.x";

    fn secrets() -> Secrets {
        Secrets::new().with_channel("key", 1, Zeroizing::new(VALUE.into()))
    }

    fn answered(secrets: &Secrets, body: &[u8], header: &str) -> Response {
        let headers = vec![("x-echo".to_owned(), header.to_owned())];
        let mut answer = Response { status: 200, headers, body: body.to_vec() };
        Scrubber::new(secrets).scrub_answer(&mut answer);
        answer
    }

    #[test]
    fn an_answer_loses_every_writing_of_a_secret() {
        let value = VALUE;
        let php = "s3cr3t+\\/\\ud55c\\\"<'&~.x";
        let writings = [
            value.to_owned(),
            STANDARD.encode(value),
            URL_SAFE_NO_PAD.encode(value),
            hex(value.as_bytes()),
            hex(value.as_bytes()).to_uppercase(),
            form_urlencoded::byte_serialize(value.as_bytes()).collect(),
            utf8_percent_encode(value, NON_ALPHANUMERIC).to_string(),
            utf8_percent_encode(value, RESERVED).to_string(),
            utf8_percent_encode(value, RESERVED)
                .to_string()
                .replace("%2B%2F", "%2b%2f")
                .replace("%ED%95%9C", "%ed%95%9c")
                .replace("%3C", "%3c"),
            serde_json::to_string(value).unwrap().trim_matches('"').to_owned(),
            php.to_owned(),
            "s3cr3t+/한&quot;&lt;&#039;&amp;~.x".to_owned(),
        ];
        for writing in writings {
            let body = format!("<p>before {writing}; after</p>");
            let answer = answered(&secrets(), body.as_bytes(), &writing);
            let text = String::from_utf8(answer.body).unwrap();
            let padded = text.replace("[secret]==", "[secret]").replace("[secret]=", "[secret]");
            assert_eq!(padded, "<p>before [secret]; after</p>", "{writing}");
            assert!(answer.headers[0].1.starts_with("[secret]"), "{}", answer.headers[0].1);
        }
    }

    #[test]
    fn the_base64_of_a_whole_echo_holds_nothing_of_a_secret_wherever_it_stands() {
        let secret = "ABCDEFGHIJKLM";
        let secrets = Secrets::new().with_channel("key", 1, Zeroizing::new(secret.into()));
        for before in 0..6 {
            for after in 0..4 {
                let echo = format!("{}{secret}{}", "\0".repeat(before), "\0".repeat(after));
                let body = STANDARD.encode(&echo);
                let answer = answered(&secrets, body.as_bytes(), "");
                let text = String::from_utf8(answer.body).unwrap();
                // What is left of zero bytes is `A`, and padding.
                let left = text.replacen("[secret]", "", 1);
                assert!(left.bytes().all(|byte| byte == b'A' || byte == b'='), "{before} {after}: {text}");
            }
        }
    }

    #[test]
    fn short_values_are_left_in_an_answer_and_in_nothing_that_people_read() {
        let value = |text: &str| Zeroizing::new(text.to_owned());
        let secrets = Secrets::new()
            .with_channel("short", 1, value("abcdefg"))
            .with_channel("pin", 1, value("123456789"))
            .with_channel("long", 1, value("abcdEFGH"))
            .with_one_time("account", value("1234509876"));
        let text = "abcdefg 123456789 abcdEFGH 1234509876";
        let answer = answered(&secrets, text.as_bytes(), text);
        let left = "abcdefg 123456789 [secret] [secret]";
        assert_eq!((answer.body.as_slice(), answer.headers[0].1.as_str()), (left.as_bytes(), left));
        assert_eq!(Scrubber::new(&secrets).scrub(text).unwrap(), ["[secret]"; 4].join(" "));
    }

    #[test]
    fn an_answer_without_secrets_stays_as_it_is() {
        let bytes: Vec<u8> = (0..=255).collect();
        let answer = answered(&secrets(), &bytes, "caf\u{e9}");
        assert_eq!((answer.body, answer.headers[0].1.as_str()), (bytes, "caf\u{e9}"));
        assert_eq!(answered(&Secrets::new(), VALUE.as_bytes(), VALUE).body, VALUE.as_bytes());
    }

    #[test]
    fn a_secret_beyond_ascii_is_found_in_a_header() {
        // As the client gives it: a character for a byte.
        let header: String = VALUE.bytes().map(char::from).collect();
        assert_eq!(answered(&secrets(), b"", &header).headers[0].1, "[secret]");
    }
}
