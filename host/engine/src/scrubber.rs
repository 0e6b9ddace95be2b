//! Replaces a call's secrets wherever they appear: in what people read (logs, records), and in a gateway's answer before the plugin
//! reads it, since a server may echo a request whose secrets the plugin does not know.
//!
//! A text is searched as it is and after its escapes are decoded (`%2F`, `\u003d`, `\/`, `&#x3D;`, `&amp;`), up to [`DEEPEST`]
//! times, because encodings nest: percent-encoding inside a JSON string is two levels. Each decoded text is searched for these
//! encodings of a value:
//! - the value itself, and with `+` for blanks;
//! - its base64, standard and URL-safe, at each of the three offsets that it can have within a longer encoded text (a character that
//!   encodes bits of the value and of its neighbour is replaced too), and wrapped into lines as in mail;
//! - its hex, in both cases.
//!
//! Limit: a server that cooperates with a plugin can use an encoding that is not listed. What is guaranteed is that an honest
//! server's echo or error page does not reveal a secret.
//!
//! The cost is linear in the length of the text; a text without escapes is searched once.

mod reading;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use memchr::memmem;
use payhost_core::hex;
use zeroize::Zeroizing;

use self::reading::{Reading, Span};
use crate::contract::imports::Response;
use crate::secrets::Secrets;

/// Shorter values are not searched for: replacing every `12` would make logs useless and protect nothing.
const SHORTEST: usize = 4;
/// In an answer a false match would change what the gateway said, so short values are not replaced there: those of fewer bytes, …
const SHORTEST_IN_ANSWER: usize = 8;
/// … and those of digits only that are shorter than this, since an amount or a date may equal them.
const SHORTEST_DIGITS_IN_ANSWER: usize = 10;
/// How many nested encodings are decoded.
const DEEPEST: usize = 3;
const BLOT: &str = "[secret]";

/// Searches for every encoding of a call's secrets.
#[derive(Default)]
pub(crate) struct Scrubber {
    needles: Vec<Needle>,
}

struct Needle {
    writing: Zeroizing<Vec<u8>>,
    /// Whether the base64 character before (after) it encodes bits of the value together with bits of its neighbour.
    shares: (bool, bool),
    /// Whether an encoder may wrap it into lines.
    breaks: bool,
    /// Whether it is also replaced in gateway answers.
    in_answers: bool,
    blot: Arc<str>,
}

/// How a text is searched.
#[derive(Clone, Copy)]
struct Search {
    /// The text is a gateway's answer: only long values, and all with the same replacement, since a keyed hash would reveal to the
    /// plugin which values are equal.
    answer: bool,
    /// Ignore case: the names of headers arrive in lower case.
    any_case: bool,
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

    /// Adds a value to search for; it is replaced by its keyed hash if there is one.
    pub(crate) fn add(&mut self, value: &str, keyed_hash: Option<&str>) {
        if value.len() < SHORTEST {
            return;
        }
        let blot: Arc<str> = keyed_hash.map_or_else(|| BLOT.into(), |hash| format!("[secret {hash}]").into());
        let bytes = value.as_bytes();
        let in_answers = is_long(bytes);
        for text in readings(bytes) {
            let in_answers = is_long(&text);
            self.put(Needle {
                writing: text,
                shares: (false, false),
                breaks: false,
                in_answers,
                blot: blot.clone(),
            });
        }
        let digits = hex(bytes);
        let hex = [digits.to_uppercase(), digits].map(|digits| (digits.into_bytes(), (false, false)));
        for (writing, shares) in hex.into_iter().chain(base64_writings(bytes)) {
            let writing = Zeroizing::new(writing);
            self.put(Needle { writing, shares, breaks: true, in_answers, blot: blot.clone() });
        }
    }

    fn put(&mut self, needle: Needle) {
        if !self.needles.iter().any(|known| known.writing == needle.writing) {
            self.needles.push(needle);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.needles.is_empty()
    }

    /// The text with every secret replaced; `None` if it has none.
    pub(crate) fn scrub(&self, text: &str) -> Option<String> {
        // Matches begin and end at character boundaries, so the rest stays valid UTF-8.
        self.scrub_bytes(text.as_bytes()).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The same for a text that may be the base64 of bytes, as `list<u8>` is in JSON.
    pub(crate) fn scrub_text_or_base64(&self, text: &str) -> Option<String> {
        let inside = || self.scrub_bytes(&STANDARD.decode(text).ok()?).map(|bytes| STANDARD.encode(bytes));
        self.scrub(text).or_else(inside)
    }

    /// The same for bytes.
    pub(crate) fn scrub_bytes(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        self.blotted(bytes, Search { answer: false, any_case: false })
    }

    /// Replaces the secrets in a gateway's answer.
    pub(crate) fn scrub_answer(&self, answer: &mut Response) {
        if self.needles.is_empty() {
            return;
        }
        let (name, text) =
            (Search { answer: true, any_case: true }, Search { answer: true, any_case: false });
        if let Some(body) = self.blotted(&answer.body, text) {
            answer.body = body;
        }
        let headers = answer.headers.iter_mut().flat_map(|(named, value)| [(named, name), (value, text)]);
        for (text, search) in headers {
            if let Some(scrubbed) = self.blotted(text.as_bytes(), search) {
                *text = String::from_utf8_lossy(&scrubbed).into_owned();
            } else if !text.is_ascii() {
                // Header values from the network are bytes, held as the characters U+0000 to U+00FF.
                let bytes: Zeroizing<Vec<u8>> =
                    Zeroizing::new(text.chars().map(|c| u8::try_from(c).unwrap_or(b'?')).collect());
                if let Some(scrubbed) = self.blotted(&bytes, search) {
                    *text = scrubbed.into_iter().map(char::from).collect();
                }
            }
        }
    }

    fn blotted(&self, text: &[u8], search: Search) -> Option<Vec<u8>> {
        let spans = self.find(text, search, 0);
        if spans.is_empty() {
            return None;
        }
        let (mut out, mut kept) = (Vec::with_capacity(text.len()), 0_usize);
        for span in spans {
            out.extend_from_slice(text.get(kept..span.from).unwrap_or_default());
            out.extend_from_slice(span.blot.as_bytes());
            kept = span.to;
        }
        out.extend_from_slice(text.get(kept..).unwrap_or_default());
        Some(out)
    }

    /// The places of the secrets in a text that was decoded `undone` times, sorted and merged.
    fn find(&self, text: &[u8], search: Search, undone: usize) -> Vec<Span<'_>> {
        let mut found = self.search(text, search, |_| true);
        if let Some(joined) = Reading::Lines.of(text) {
            let inside = reading::merged(self.search(&joined, search, |needle| needle.breaks));
            found.extend(Reading::Lines.places(text, inside));
        }
        if undone < DEEPEST
            && let Some(plain) = Reading::Escapes.of(text)
        {
            let inside = self.find(&plain, search, undone.saturating_add(1));
            found.extend(Reading::Escapes.places(text, inside));
        }
        reading::merged(found)
    }

    fn search(&self, text: &[u8], search: Search, meant: impl Fn(&Needle) -> bool) -> Vec<Span<'_>> {
        let mut found = Vec::new();
        let needles = self.needles.iter().filter(|needle| needle.in_answers || !search.answer);
        for needle in needles.filter(|needle| needle.writing.len() <= text.len() && meant(needle)) {
            let blot = if search.answer { BLOT } else { &*needle.blot };
            let length = needle.writing.len();
            let mut at = |at: usize| found.push(needle.span(text, at, blot));
            if search.any_case {
                let windows = text.windows(length).enumerate();
                windows
                    .filter(|(_, seen)| seen.eq_ignore_ascii_case(&needle.writing))
                    .for_each(|(n, _)| at(n));
            } else {
                memmem::find_iter(text, needle.writing.as_slice()).for_each(at);
            }
        }
        found
    }
}

impl Needle {
    /// Its place in a text, with the neighbouring characters that encode some of its bits.
    fn span<'a>(&self, text: &[u8], at: usize, blot: &'a str) -> Span<'a> {
        let shared = |at: Option<usize>| {
            let byte = at.and_then(|at| text.get(at));
            usize::from(byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || b"+/-_".contains(byte)))
        };
        let end = at.saturating_add(self.writing.len());
        let before = if self.shares.0 { shared(at.checked_sub(1)) } else { 0 };
        let after = if self.shares.1 { shared(Some(end)) } else { 0 };
        Span::new(at.saturating_sub(before), end.saturating_add(after), blot)
    }
}

/// Whether a value is long enough not to equal other parts of an answer by chance.
fn is_long(value: &[u8]) -> bool {
    let digits = value.iter().all(u8::is_ascii_digit);
    value.len() >= if digits { SHORTEST_DIGITS_IN_ANSWER } else { SHORTEST_IN_ANSWER }
}

/// A value as it is, and as decoding changes it when some of its own characters look like escapes; each also as in a form, with `+`
/// for blanks.
fn readings(value: &[u8]) -> Vec<Zeroizing<Vec<u8>>> {
    let mut all = vec![Zeroizing::new(value.to_vec())];
    for _ in 0..DEEPEST {
        match all.last().and_then(|text| Reading::Escapes.of(text)).filter(|text| text.len() >= SHORTEST) {
            Some(plain) => all.push(plain),
            None => break,
        }
    }
    let in_a_form = |text: &Zeroizing<Vec<u8>>| {
        let plus = |byte: &u8| if *byte == b' ' { b'+' } else { *byte };
        text.contains(&b' ').then(|| Zeroizing::new(text.iter().map(plus).collect::<Vec<u8>>()))
    };
    let forms: Vec<_> = all.iter().filter_map(in_a_form).collect();
    all.extend(forms);
    all
}

/// The base64 of a value within a longer encoded text, at each of the three offsets. A first or last character that also encodes
/// bits of a neighbour is left out and reported by the flags.
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
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

    use super::*;

    /// What RFC 3986 leaves as it is; `NON_ALPHANUMERIC` leaves less.
    const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

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

    /// As mail has it: lines of 76 letters.
    fn mime(text: &str, end: &str) -> String {
        let whole = STANDARD.encode(text);
        let lines: Vec<&str> =
            whole.as_bytes().chunks(76).map(|line| std::str::from_utf8(line).unwrap()).collect();
        lines.join(end)
    }

    #[test]
    fn an_answer_loses_every_writing_of_a_secret() {
        let value = VALUE;
        let percent = |set| utf8_percent_encode(value, set).to_string();
        // What JavaScript's `encodeURIComponent` and Python's `quote` leave.
        const COMPONENT: &AsciiSet =
            &RESERVED.remove(b'!').remove(b'\'').remove(b'(').remove(b')').remove(b'*');
        const QUOTE: &AsciiSet = &RESERVED.remove(b'/');
        let json = serde_json::to_string(value).unwrap();
        let json = json.get(1..json.len() - 1).unwrap();
        let html: String = value.chars().map(|c| format!("&#x{:X};", u32::from(c))).collect();
        let decimal: String = value.chars().map(|c| format!("&#{};", u32::from(c))).collect();
        let units: String = value.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect();
        let writings = [
            value.to_owned(),
            STANDARD.encode(value),
            URL_SAFE_NO_PAD.encode(value),
            hex(value.as_bytes()),
            hex(value.as_bytes()).to_uppercase(),
            form_urlencoded::byte_serialize(value.as_bytes()).collect(),
            percent(NON_ALPHANUMERIC),
            percent(RESERVED),
            percent(COMPONENT),
            percent(QUOTE),
            percent(RESERVED).replace("%2B%2F", "%2b%2f").replace("%ED%95%9C", "%ed%95%9c"),
            json.to_owned(),
            // PHP; Python, which leaves the `/`; Java's Gson.
            "s3cr3t+\\/\\ud55c\\\"<'&~.x".to_owned(),
            "s3cr3t+/\\ud55c\\\"<'&~.x".to_owned(),
            "s3cr3t+/한\\\"\\u003c\\u0027\\u0026~.x".to_owned(),
            "s3cr3t\\u002B/한\\u0022\\u003C'&~.x".to_owned(),
            units,
            "s3cr3t+/한&quot;&lt;&#039;&amp;~.x".to_owned(),
            "s3cr3t&plus;&#x2F;한&quot;&lt;&apos;&amp;~.x".to_owned(),
            "s3cr3t&#43;&#47;한&#34;&#60;&#39;&#38;~.x".to_owned(),
            html,
            decimal,
            // One inside of another: an address in a JSON text, a JSON text in a page, a JSON text in one.
            percent(RESERVED).replace('%', "\\u0025"),
            json.replace('"', "&quot;").replace('/', "\\/"),
            serde_json::to_string(json).unwrap().trim_matches('"').to_owned(),
            percent(NON_ALPHANUMERIC).replace('%', "%25"),
            STANDARD.encode(value).replace('+', "%2B").replace('/', "\\/"),
        ];
        for writing in writings {
            let body = format!("<p>before {writing}; after</p>");
            let answer = answered(&secrets(), body.as_bytes(), &writing);
            let text = String::from_utf8(answer.body).unwrap();
            let padded = text.replace("[secret]==", "[secret]").replace("[secret]=", "[secret]");
            assert_eq!(padded, "<p>before [secret]; after</p>", "{writing}");
            assert!(answer.headers[0].1.starts_with("[secret]"), "{}", answer.headers[0].1);
            // What people read is searched in the same way.
            assert!(Scrubber::new(&secrets()).scrub(&body).unwrap().contains("before [secret"), "{writing}");
        }
    }

    #[test]
    fn a_secret_that_looks_like_an_escape_is_found_however_it_is_written() {
        let value = "ab%41cd\\u003def &lt;gh==";
        let secrets = Secrets::new().with_channel("key", 1, Zeroizing::new(value.into()));
        let json = serde_json::to_string(value).unwrap();
        for writing in [
            value.to_owned(),
            utf8_percent_encode(value, NON_ALPHANUMERIC).to_string(),
            form_urlencoded::byte_serialize(value.as_bytes()).collect(),
            json.trim_matches('"').to_owned(),
            json.trim_matches('"').replace('=', "\\u003d"),
            value.replace('&', "&amp;"),
            value.replace('=', "&#x3D;"),
            value.replace('=', "%3D").replace(' ', "+"),
        ] {
            let answer = answered(&secrets, format!("<{writing}>").as_bytes(), "");
            assert_eq!(String::from_utf8(answer.body).unwrap(), "<[secret]>", "{writing}");
        }
    }

    #[test]
    fn base64_that_is_broken_into_lines_holds_nothing_of_a_secret() {
        for end in ["\r\n", "\n", "\r\n\t", "\\r\\n", "%0D%0A", "&#10;"] {
            for before in 40..100 {
                let echo = format!("{}{VALUE}{}", "\0".repeat(before), "\0".repeat(90));
                let answer = answered(&secrets(), mime(&echo, end).as_bytes(), "");
                let text = String::from_utf8(answer.body).unwrap().replace(end, "");
                assert_eq!(text.matches("[secret]").count(), 1, "{before}: {text}");
                let left = text.replacen("[secret]", "", 1);
                assert!(left.bytes().all(|byte| byte == b'A' || byte == b'='), "{before}: {text}");
            }
        }
    }

    #[test]
    fn a_headers_name_is_searched_in_lower_case() {
        let value = "HYb3yQ4f65QL89==";
        let secrets = Secrets::new().with_channel("key", 1, Zeroizing::new(value.into()));
        let headers =
            [format!("x-{value}-y"), format!("x-{}", hex(value.as_bytes())), "content-type".to_owned()];
        let headers = headers.map(|name| (name.to_lowercase(), String::new())).to_vec();
        let mut answer = Response { status: 200, headers, body: Vec::new() };
        Scrubber::new(&secrets).scrub_answer(&mut answer);
        let names: Vec<&str> = answer.headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["x-[secret]-y", "x-[secret]", "content-type"]);
    }

    #[test]
    fn an_answer_of_nothing_but_escapes_is_searched_in_bounded_time() {
        let many: Secrets = (0..10).fold(Secrets::new(), |secrets, n| {
            secrets.with_channel(format!("k{n}"), 1, Zeroizing::new(format!("{n:02}/a secret+ {n:016}")))
        });
        let scrubber = Scrubber::new(&many);
        for unit in [
            "%25",
            "%252525",
            "\\\\",
            "&amp;",
            "&",
            "%",
            "\\u005c",
            "&#x26;#x26;",
            "00/a secret+ 0",
            "AAAA\n",
        ] {
            let body = unit.repeat((1 << 18) / unit.len()).into_bytes();
            let mut answer = Response { status: 200, headers: vec![], body };
            let began = std::time::Instant::now();
            scrubber.scrub_answer(&mut answer);
            assert!(began.elapsed().as_secs() < 20, "{unit}: {:?}", began.elapsed());
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
