//! Invariant: what leaves here fits the gateway's bytes and charset, ends on a whole character, and the shop is told what
//! was changed (`inicis.md §9.24`). A name is never a reason to refuse an order.

/// Whether EUC-KR, as INICIS means it (code page 949), can hold the character.
pub fn in_cp949(c: char) -> bool {
    // All ASCII and all 11,172 Hangul syllables are in the code page; only the rest needs the tables.
    if c.is_ascii() || ('\u{ac00}'..='\u{d7a3}').contains(&c) {
        return true;
    }
    let mut buffer = [0; 4];
    let (_, _, unmappable) = encoding_rs::EUC_KR.encode(c.encode_utf8(&mut buffer));
    !unmappable
}

/// One line that INICIS can hold: control characters become blanks, what EUC-KR cannot hold becomes `?`, ends are trimmed.
/// `field` names it in the warnings.
pub fn clean(field: &str, text: &str, warnings: &mut Vec<String>) -> String {
    let mut replaced = false;
    let line: String = text
        .trim()
        .chars()
        .map(|c| match c {
            c if c.is_control() => ' ',
            c if in_cp949(c) => c,
            _ => {
                replaced = true;
                '?'
            }
        })
        .collect();
    if replaced {
        warnings.push(format!("{field}: characters that EUC-KR cannot hold were replaced by ?"));
    }
    line
}

/// At most `max` bytes of UTF-8. A longer text is cut on a character boundary and ends in `...`, as INICIS itself does
/// (`inicis.md §1.2`: 40 bytes become 37 and three dots).
pub fn cut(field: &str, text: &str, max: usize, warnings: &mut Vec<String>) -> String {
    if text.len() <= max {
        return text.to_owned();
    }
    warnings.push(format!("{field}: cut to {max} bytes"));
    let dots = "...";
    let mut room = max.saturating_sub(dots.len());
    while !text.is_char_boundary(room) {
        room -= 1;
    }
    let head = text.get(..room).unwrap_or_default();
    dots.get(..max.min(dots.len())).map_or_else(String::new, |dots| format!("{head}{dots}"))
}

/// Cleaned and cut.
pub fn line(field: &str, text: &str, max: usize, warnings: &mut Vec<String>) -> String {
    let clean = clean(field, text, warnings);
    cut(field, &clean, max, warnings)
}
