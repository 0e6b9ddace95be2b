//! Decodes escapes in a text and maps places in the decoded text back to the original. Invariant: a place that covers part of a
//! decoded escape maps to the whole escape, so that replacing it leaves no half of one. Each direction is one pass.

use memchr::{memchr2, memchr2_iter, memchr3};
use zeroize::Zeroizing;

/// A range of a text, and what replaces it.
#[derive(Debug)]
pub(super) struct Span<'a> {
    pub(super) from: usize,
    /// Exclusive.
    pub(super) to: usize,
    pub(super) blot: &'a str,
    /// Length of the match that the replacement belongs to.
    weight: usize,
}

impl<'a> Span<'a> {
    pub(super) fn new(from: usize, to: usize, blot: &'a str) -> Self {
        Self { from, to, blot, weight: to.saturating_sub(from) }
    }
}

/// Sorts spans and merges those that overlap, keeping the replacement of the longest.
pub(super) fn merged(mut spans: Vec<Span<'_>>) -> Vec<Span<'_>> {
    spans.sort_by_key(|span| span.from);
    let mut apart: Vec<Span<'_>> = Vec::with_capacity(spans.len());
    for span in spans {
        match apart.last_mut().filter(|last| span.from < last.to) {
            None => apart.push(span),
            Some(last) => {
                last.to = last.to.max(span.to);
                if span.weight > last.weight {
                    (last.blot, last.weight) = (span.blot, span.weight);
                }
            }
        }
    }
    apart
}

/// Which kind of encoding is decoded.
#[derive(Clone, Copy)]
pub(super) enum Reading {
    /// Escapes of URLs, JSON, JavaScript and HTML together.
    Escapes,
    /// Line breaks within base64, with the indentation of the next line.
    Lines,
}

/// An escape: its length in the text, and the bytes that it decodes to.
struct Escape {
    length: usize,
    bytes: [u8; 4],
    count: usize,
}

impl Escape {
    fn of_byte(length: usize, byte: u8) -> Self {
        Self { length, bytes: [byte, 0, 0, 0], count: 1 }
    }

    fn of_char(length: usize, c: char) -> Self {
        let mut bytes = [0; 4];
        let count = c.encode_utf8(&mut bytes).len();
        Self { length, bytes, count }
    }
}

impl Reading {
    /// The decoded text; `None` if it has no escapes.
    pub(super) fn of(self, text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        if matches!(self, Self::Lines) && !has_broken_lines(text) {
            return None;
        }
        let mut pieces = Pieces { text, at: 0, reading: self };
        let (plain, Some(first)) = pieces.next()? else { return None };
        // The decoded text is never longer, so the buffer does not grow and leave a copy of a secret in freed memory.
        let mut out = Zeroizing::new(Vec::with_capacity(text.len()));
        let mut put = |plain: (usize, usize), escape: Option<Escape>| {
            out.extend_from_slice(text.get(plain.0..plain.1).unwrap_or_default());
            out.extend_from_slice(escape.as_ref().and_then(|e| e.bytes.get(..e.count)).unwrap_or_default());
        };
        put(plain, Some(first));
        pieces.for_each(|(plain, escape)| put(plain, escape));
        Some(out)
    }

    /// Maps spans of the decoded text to spans of the original. They must be sorted and must not overlap.
    pub(super) fn places<'a>(self, text: &[u8], mut spans: Vec<Span<'a>>) -> Vec<Span<'a>> {
        let edges = spans.iter_mut().flat_map(|span| [(&mut span.from, false), (&mut span.to, true)]);
        let mut edges = edges.peekable();
        let mut read = 0_usize;
        let mut at = 0_usize;
        for ((from, to), escape) in (Pieces { text, at: 0, reading: self }) {
            // A literal piece, then the escape after it. An end is exclusive, so it belongs to the piece of its last byte.
            let plain_end = read.saturating_add(to.saturating_sub(from));
            let within = |end: usize| {
                move |(edge, is_end): &(&mut usize, bool)| **edge < end.saturating_add(usize::from(*is_end))
            };
            while let Some((edge, _)) = edges.next_if(within(plain_end)) {
                *edge = edge.saturating_sub(read).saturating_add(from);
            }
            (read, at) = (plain_end, to);
            let Some(escape) = escape else { continue };
            read = read.saturating_add(escape.count);
            let behind = at.saturating_add(escape.length);
            while let Some((edge, is_end)) = edges.next_if(within(read)) {
                *edge = if is_end { behind } else { at };
            }
            at = behind;
        }
        // Unreachable: every span lies within the decoded text.
        edges.for_each(|(edge, _)| *edge = at);
        spans
    }

    /// The next byte that may begin an escape.
    fn next(self, text: &[u8]) -> Option<usize> {
        match self {
            Self::Escapes => memchr3(b'%', b'\\', b'&', text),
            Self::Lines => memchr2(b'\r', b'\n', text),
        }
    }

    /// The escape at the beginning of a text.
    fn read(self, text: &[u8]) -> Option<Escape> {
        match (self, text) {
            (Self::Escapes, [b'%', b'u', rest @ ..]) => unit(rest, 2),
            (Self::Escapes, [b'%', rest @ ..]) => {
                Some(Escape::of_byte(3, u8::try_from(number(rest.get(..2)?, 16)?).ok()?))
            }
            (Self::Escapes, [b'\\', rest @ ..]) => backslash(rest),
            (Self::Escapes, [b'&', rest @ ..]) => entity(rest),
            (Self::Escapes, _) => None,
            (Self::Lines, _) => {
                let length = text.iter().take_while(|byte| b"\r\n\t ".contains(byte)).count();
                Some(Escape { length, bytes: [0; 4], count: 0 })
            }
        }
    }
}

/// Iterates over a text: a literal range, then the escape after it, which the last range does not have.
struct Pieces<'a> {
    text: &'a [u8],
    at: usize,
    reading: Reading,
}

impl Iterator for Pieces<'_> {
    type Item = ((usize, usize), Option<Escape>);

    fn next(&mut self) -> Option<Self::Item> {
        let from = self.at;
        if from >= self.text.len() {
            return None;
        }
        let mut seen = from;
        loop {
            let rest = self.text.get(seen..).unwrap_or_default();
            let Some(next) = self.reading.next(rest) else {
                self.at = self.text.len();
                return Some(((from, self.at), None));
            };
            if let Some(escape) = self.reading.read(rest.get(next..).unwrap_or_default()) {
                let to = seen.saturating_add(next);
                self.at = to.saturating_add(escape.length);
                return Some(((from, to), Some(escape)));
            }
            seen = seen.saturating_add(next).saturating_add(1);
        }
    }
}

/// Whether the text has a long line of base64 alone: encoders wrap after 64 or 76 characters.
fn has_broken_lines(text: &[u8]) -> bool {
    const LETTERS: usize = 32;
    let letters =
        |line: &[u8]| line.iter().rev().all(|byte| byte.is_ascii_alphanumeric() || b"+/-_".contains(byte));
    memchr2_iter(b'\r', b'\n', text)
        .any(|at| at.checked_sub(LETTERS).and_then(|from| text.get(from..at)).is_some_and(letters))
}

fn number(digits: &[u8], base: u32) -> Option<u32> {
    let good = !digits.is_empty() && digits.iter().all(u8::is_ascii_alphanumeric);
    let text = std::str::from_utf8(digits).ok().filter(|_| good)?;
    u32::from_str_radix(text, base).ok()
}

/// Decodes one or two UTF-16 code units, such as `003d`, after a prefix of `lead` bytes (`\u`, `%u`).
fn unit(rest: &[u8], lead: usize) -> Option<Escape> {
    let first = number(rest.get(..4)?, 16)?;
    if let Some(c) = char::from_u32(first) {
        return Some(Escape::of_char(lead.saturating_add(4), c));
    }
    let second = match rest.get(4..10)? {
        [b'\\' | b'%', b'u', low @ ..] => u16::try_from(number(low, 16)?).ok()?,
        _ => return None,
    };
    let c = char::decode_utf16([u16::try_from(first).ok()?, second]).next()?.ok()?;
    Some(Escape::of_char(lead.saturating_mul(2).saturating_add(8), c))
}

/// Decodes what follows a backslash.
fn backslash(rest: &[u8]) -> Option<Escape> {
    let byte = match rest {
        [b'u', rest @ ..] => return unit(rest, 2),
        [b'x', rest @ ..] => return Some(Escape::of_char(4, char::from_u32(number(rest.get(..2)?, 16)?)?)),
        [byte @ (b'"' | b'\'' | b'\\' | b'/'), ..] => *byte,
        [b'b', ..] => 0x08,
        [b'f', ..] => 0x0c,
        [b'n', ..] => b'\n',
        [b'r', ..] => b'\r',
        [b't', ..] => b'\t',
        _ => return None,
    };
    Some(Escape::of_byte(2, byte))
}

/// HTML entities for characters that a secret may contain or that encoders replace by name.
const ENTITIES: &[(&str, char)] = &[
    ("amp", '&'),
    ("lt", '<'),
    ("gt", '>'),
    ("quot", '"'),
    ("apos", '\''),
    ("equals", '='),
    ("plus", '+'),
    ("sol", '/'),
    ("bsol", '\\'),
    ("percnt", '%'),
    ("num", '#'),
    ("dollar", '$'),
    ("excl", '!'),
    ("quest", '?'),
    ("commat", '@'),
    ("ast", '*'),
    ("lpar", '('),
    ("rpar", ')'),
    ("lsqb", '['),
    ("lbrack", '['),
    ("rsqb", ']'),
    ("rbrack", ']'),
    ("lcub", '{'),
    ("lbrace", '{'),
    ("rcub", '}'),
    ("rbrace", '}'),
    ("verbar", '|'),
    ("vert", '|'),
    ("Hat", '^'),
    ("lowbar", '_'),
    ("grave", '`'),
    ("comma", ','),
    ("period", '.'),
    ("colon", ':'),
    ("semi", ';'),
    ("nbsp", '\u{a0}'),
];

/// Decodes what follows an ampersand: `#61;`, `#x3d;`, `equals;`.
fn entity(rest: &[u8]) -> Option<Escape> {
    const LONGEST: usize = 10;
    let end = rest.iter().take(LONGEST).position(|byte| *byte == b';')?;
    let c = match rest.get(..end)? {
        [b'#', b'x' | b'X', digits @ ..] => char::from_u32(number(digits, 16)?)?,
        [b'#', digits @ ..] => char::from_u32(number(digits, 10)?)?,
        name => ENTITIES.iter().find(|(known, _)| known.as_bytes() == name)?.1,
    };
    Some(Escape::of_char(end.saturating_add(2), c))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<String> {
        Reading::Escapes.of(text.as_bytes()).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    #[test]
    fn every_encoders_escape_is_undone() {
        for (written, meant) in [
            ("%3d%3D%ED%95%9C", "==한"),
            ("%u003d%uD55C", "=한"),
            (r"\u003d\u003D\ud55c\ud83d\ude00", "==한😀"),
            (r#"\/\"\'\\\n\t\x3d"#, "/\"'\\\n\t="),
            ("&#61;&#x3D;&#X3d;&#061;&#x0003d;&equals;&sol;&amp;&lt;&quot;&#54620;", "======/&<\"한"),
            (
                "a%zz%4%41&x;&#;&#x;&#xd800;&unknown;\\q\\ud800x\\",
                "a%zz%4A&x;&#;&#x;&#xd800;&unknown;\\q\\ud800x\\",
            ),
        ] {
            assert_eq!(read(written).as_deref(), Some(meant), "{written}");
        }
        for plain in ["", "a=b&c=d", "100%", "&", "\\", "%", "%+1", "%u+123", "&#+61;", "no escape"] {
            assert_eq!(read(plain), None, "{plain}");
        }
    }

    #[test]
    fn a_place_in_a_reading_is_the_whole_of_what_was_written_for_it() {
        let text = r"x%41b\u003d&#54620;&lt;y";
        let plain = read(text).unwrap();
        assert_eq!(plain, "xAb=한<y");
        for from in 0..plain.len() {
            for to in from + 1..=plain.len() {
                let place = Reading::Escapes.places(text.as_bytes(), vec![Span::new(from, to, "")]);
                let found = &text[place[0].from..place[0].to];
                let reread = read(found).unwrap_or_else(|| found.to_owned());
                let lossy = String::from_utf8_lossy(&plain.as_bytes()[from..to]).into_owned();
                assert!(reread.contains(lossy.trim_matches('\u{fffd}')), "{from}..{to}: {found}");
            }
        }
        let two = Reading::Escapes.places(text.as_bytes(), vec![Span::new(1, 2, ""), Span::new(7, 9, "")]);
        let found: Vec<&str> = two.iter().map(|span| &text[span.from..span.to]).collect();
        assert_eq!(found, ["%41", "&lt;y"]);
    }

    #[test]
    fn places_that_lie_over_each_other_are_one_with_the_blot_of_the_longest() {
        let spans =
            vec![Span::new(4, 9, "b"), Span::new(0, 2, "a"), Span::new(2, 6, "c"), Span::new(20, 21, "d")];
        let merged: Vec<_> = merged(spans).into_iter().map(|span| (span.from, span.to, span.blot)).collect();
        assert_eq!(merged, [(0, 2, "a"), (2, 9, "b"), (20, 21, "d")]);
    }
}
