//! Invariant: what leaves here fits the gateway's bytes and charset, ends on a whole character, and the shop is told what
//! was changed (`inicis.md §9.24`). A name is never a reason to refuse an order.
//!
//! Text is made ready in this order: composed (macOS and some phones write `한` as three letters, none of which the charset
//! has), read as what a person sees as one character each, written with what the charset has where a table knows it
//! ([`WRITTEN`], [`UNSEEN`]), and only what is left becomes one `?` for each such character. All of it is in [`clean`];
//! whoever writes a text that a shop or a buyer typed goes through it.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;
use unicode_segmentation::UnicodeSegmentation;

use crate::form::Charset;

/// Whether EUC-KR, as INICIS means it (code page 949), can hold the character.
pub fn in_cp949(c: char) -> bool {
    // All ASCII and all 11,172 Hangul syllables are in the code page; only the rest needs the tables.
    if c.is_ascii() || is_syllable(c) {
        return true;
    }
    let mut buffer = [0; 4];
    let (_, _, unmappable) = encoding_rs::EUC_KR.encode(c.encode_utf8(&mut buffer));
    !unmappable
}

const fn is_syllable(c: char) -> bool {
    matches!(c, '\u{ac00}'..='\u{d7a3}')
}

/// What is not seen and not sent: soft hyphen, joiners, marks of direction, variation selectors, tags, byte order mark.
/// Titles that were copied from a page or a chat are full of them.
const UNSEEN: &[(char, char)] = &[
    ('\u{ad}', '\u{ad}'),
    ('\u{34f}', '\u{34f}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{180b}', '\u{180f}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{202a}', '\u{202e}'),
    ('\u{2060}', '\u{206f}'),
    ('\u{20e3}', '\u{20e3}'),
    ('\u{fe00}', '\u{fe0f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{e0000}', '\u{e01ef}'),
];

/// What is written otherwise: the charset lacks it, or (quotation marks) has it beside a plainer one. Signs of money have two
/// code points in Unicode, of which the charset has the wide one.
const WRITTEN: &[(char, char, &str)] = &[
    // Blanks of every width; the filler of Hangul, which shops type where a blank is not allowed.
    ('\u{a0}', '\u{a0}', " "),
    ('\u{1680}', '\u{1680}', " "),
    ('\u{2000}', '\u{200a}', " "),
    ('\u{2028}', '\u{2029}', " "),
    ('\u{202f}', '\u{202f}', " "),
    ('\u{205f}', '\u{205f}', " "),
    ('\u{2800}', '\u{2800}', " "),
    ('\u{3164}', '\u{3164}', " "),
    // Dashes and waves.
    ('\u{2010}', '\u{2014}', "-"),
    ('\u{2043}', '\u{2043}', "-"),
    ('\u{2212}', '\u{2212}', "-"),
    ('\u{fe58}', '\u{fe58}', "-"),
    ('\u{fe63}', '\u{fe63}', "-"),
    ('\u{301c}', '\u{301c}', "~"),
    ('\u{ff5e}', '\u{ff5e}', "~"),
    // Quotation marks.
    ('\u{2018}', '\u{201b}', "'"),
    ('\u{2039}', '\u{203a}', "'"),
    ('\u{201c}', '\u{201f}', "\""),
    ('\u{ab}', '\u{ab}', "\""),
    ('\u{bb}', '\u{bb}', "\""),
    // Dots.
    ('\u{2022}', '\u{2022}', "·"),
    ('\u{2027}', '\u{2027}', "·"),
    ('\u{22c5}', '\u{22c5}', "·"),
    ('\u{30fb}', '\u{30fb}', "·"),
    ('\u{ff65}', '\u{ff65}', "·"),
    ('\u{22ef}', '\u{22ef}', "…"),
    // Money.
    ('\u{20a9}', '\u{20a9}', "￦"),
    ('\u{a5}', '\u{a5}', "￥"),
    ('\u{a3}', '\u{a3}', "￡"),
    ('\u{a2}', '\u{a2}', "￠"),
    // The ångström sign is the charset's; composing text makes the letter of it.
    ('\u{c5}', '\u{c5}', "\u{212b}"),
    ('\u{a9}', '\u{a9}', "(c)"),
];

/// How a character is written; absent: as it is.
fn written(c: char) -> Option<&'static str> {
    if c.is_control() {
        return Some(" ");
    }
    if UNSEEN.iter().any(|(first, last)| (*first..=*last).contains(&c)) {
        return Some("");
    }
    WRITTEN.iter().find(|(first, last, _)| (*first..=*last).contains(&c)).map(|(_, _, text)| *text)
}

/// Composes a text (NFC): the same word in one writing. Text that has nothing to compose stays as it is.
pub fn composed(text: &str) -> Cow<'_, str> {
    if text.chars().all(|c| c.is_ascii() || is_syllable(c)) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.nfc().collect())
}

/// A number or an address as it was meant: full-width digits and letters are ordinary ones, what is not seen is gone, ends
/// are trimmed.
pub fn narrow(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.nfkc() {
        match written(c) {
            None => out.push(c),
            Some(otherwise) => out.push_str(otherwise),
        }
    }
    out.trim().to_owned()
}

/// One line that INICIS can hold: composed, control characters are blanks, what the table knows is written with what the
/// charset has, anything else that EUC-KR cannot hold is one `?` for each character that a person sees; ends are trimmed.
/// `field` names it in the warnings.
pub fn clean(field: &str, text: &str, warnings: &mut Vec<String>) -> String {
    let text = composed(text);
    if text.chars().all(|c| c == ' ' || c.is_ascii_graphic() || is_syllable(c)) {
        return text.trim().to_owned();
    }
    let (mut line, mut lost, mut rewritten) = (String::with_capacity(text.len()), false, false);
    for seen in text.graphemes(true) {
        let mut now = String::new();
        for c in seen.chars() {
            match written(c) {
                None => now.push(c),
                Some(otherwise) => {
                    rewritten |= !(otherwise.is_empty() || otherwise == " ");
                    // A line end of two characters is one blank.
                    if !(otherwise == " " && now == " ") {
                        now.push_str(otherwise);
                    }
                }
            }
        }
        if now.chars().all(in_cp949) {
            line.push_str(&now);
        } else {
            lost = true;
            line.push('?');
        }
    }
    if lost {
        warnings.push(format!("{field}: characters that EUC-KR cannot hold were replaced by ?"));
    }
    if rewritten {
        warnings.push(format!("{field}: characters were written with those that EUC-KR has"));
    }
    line.trim().to_owned()
}

/// How many bytes the text has in the charset of the transmission, in which lengths count (`inicis.md §9.24`).
pub fn bytes(charset: Charset, text: &str) -> usize {
    match charset {
        Charset::Utf8 => text.len(),
        // Whatever is not ASCII has two bytes in code page 949.
        Charset::EucKr => text.chars().map(|c| if c.is_ascii() { 1 } else { 2 }).sum(),
    }
}

/// At most `max` bytes of a charset. A longer text is cut on a character boundary and ends in `...`, as INICIS itself does
/// (`inicis.md §1.2`: 40 bytes become 37 and three dots).
pub fn cut(charset: Charset, field: &str, text: &str, max: usize, warnings: &mut Vec<String>) -> String {
    if bytes(charset, text) <= max {
        return text.to_owned();
    }
    warnings.push(format!("{field}: cut to {max} bytes"));
    let dots = "...";
    let mut room = max.saturating_sub(dots.len());
    let head: String = text
        .chars()
        .take_while(|c| {
            let size = bytes(charset, c.encode_utf8(&mut [0; 4]));
            let fits = size <= room;
            room = room.saturating_sub(size);
            fits
        })
        .collect();
    dots.get(..max.min(dots.len())).map_or_else(String::new, |dots| format!("{head}{dots}"))
}

/// Cleaned and cut.
pub fn line(charset: Charset, field: &str, text: &str, max: usize, warnings: &mut Vec<String>) -> String {
    let clean = clean(field, text, warnings);
    cut(charset, field, &clean, max, warnings)
}
