//! Characters that are not seen but change what is: invariant: what a stranger wrote is shown to a person without any of them, so
//! that nobody's text moves a cursor, hides what stands beside it, begins a line, or is read in another order than it is written.

/// Whether a character is of that kind: control (line ends and tabs too), line and paragraph separators, marks of direction, and
/// characters without width but for those that join letters (U+200C, U+200D) or choose their look.
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'
                | '\u{200e}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// A text with such characters as `\u001b` (in UTF-16 units, as in JSON), but for those that `kept` names.
pub fn printable(text: &str, kept: &[char]) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut units = [0; 2];
    for c in text.chars() {
        if !is_hidden(c) || kept.contains(&c) {
            shown.push(c);
            continue;
        }
        match c {
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            c => c.encode_utf16(&mut units).iter().for_each(|unit| shown.push_str(&format!("\\u{unit:04x}"))),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_seen_is_written_out_and_all_else_stays() {
        let text = "a\u{1b}[8m\u{9b}1m\u{202e}\u{2066}\u{feff}\n\t\u{e0041}b";
        let shown = r"a\u001b[8m\u009b1m\u202e\u2066\ufeff\n\t\udb40\udc41b";
        assert_eq!(printable(text, &[]), shown);
        assert_eq!(printable("a\nb\u{7f}", &['\n']), "a\nb\\u007f");
        // Letters that are joined, Hangul in parts, and what was written out already.
        for plain in ["수제 잼", "👩\u{200d}🍳", "\u{1112}\u{1161}\u{11ab}", "é ع ב", r"\u001b"] {
            assert_eq!(printable(plain, &[]), plain);
        }
    }
}
