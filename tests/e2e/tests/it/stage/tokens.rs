//! No log has a token. Invariant: the logs of every stage's programs are looked through when the stage ends, for the form of
//! every token that the host gives out, and for queries, in which they stand; so that a new log line cannot tell one.
//!
//! A new kind of token is added here, and to `docs/links.md`, with the code that makes it.

use std::path::Path;

/// A kind of token by its form.
enum Form {
    /// Behind this prefix so many characters of this kind, or more.
    Prefixed(&'static str, usize, fn(char) -> bool),
    /// Four groups of four characters of the alphabet of ids, with hyphens between: what a buyer types.
    Code,
}

fn hex(c: char) -> bool {
    c.is_ascii_digit() || ('a'..='f').contains(&c)
}

fn base64(c: char) -> bool {
    c.is_ascii_alphanumeric() || "+/=".contains(c)
}

fn word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Every kind.
const FORMS: [(&str, Form); 13] = [
    ("a shop's key", Form::Prefixed("sk_test_", 16, hex)),
    ("a shop's key", Form::Prefixed("sk_live_", 16, hex)),
    ("an operator's key", Form::Prefixed("op_", 16, hex)),
    ("the key of a run", Form::Prefixed("op_run_", 16, hex)),
    ("a client token", Form::Prefixed("ct_", 16, hex)),
    ("a result token", Form::Prefixed("rt_", 16, hex)),
    ("the secret of a return", Form::Prefixed("rs_", 16, hex)),
    ("the secret of a close", Form::Prefixed("cs_", 16, hex)),
    ("a webhook's secret", Form::Prefixed("whsec_", 16, base64)),
    ("a bearer", Form::Prefixed("Bearer ", 16, word)),
    ("a query with a token", Form::Prefixed("?token=", 1, word)),
    ("a query with a proof", Form::Prefixed("proof=", 1, word)),
    ("the code of a link", Form::Code),
];

/// The token of this form that begins at the beginning of the text.
fn begins<'a>(form: &Form, text: &'a str) -> Option<&'a str> {
    match form {
        Form::Prefixed(prefix, least, fits) => {
            let rest = text.strip_prefix(*prefix)?;
            let length: usize = rest.chars().take_while(|c| fits(*c)).map(char::len_utf8).sum();
            (length >= *least).then(|| &text[..prefix.len() + length])
        }
        Form::Code => {
            let length: usize = text.chars().take_while(|c| word(*c) || *c == '-').map(char::len_utf8).sum();
            let code = &text[..length];
            let fits = |c: char| c.is_ascii_digit() || (c.is_ascii_lowercase() && !"ilou".contains(c));
            let groups: Vec<&str> = code.split('-').collect();
            let four = groups.len() == 4 && groups.iter().all(|g| g.len() == 4 && g.chars().all(fits));
            (four && code.contains(|c: char| c.is_ascii_digit())).then_some(code)
        }
    }
}

/// The first token in a text, with its kind.
pub fn find(text: &str) -> Option<(&'static str, &str)> {
    let mut before = ' ';
    for (at, character) in text.char_indices() {
        let begin = !(word(before) || before == '-') || !word(character);
        before = character;
        if !begin {
            continue;
        }
        let found = FORMS.iter().find_map(|(kind, form)| Some((*kind, begins(form, &text[at..])?)));
        if found.is_some() {
            return found;
        }
    }
    None
}

/// Looks through every log in a stage's folder.
pub fn none_in_logs(folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|end| end != "log") {
            continue;
        }
        let log = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
        for line in log.lines() {
            if let Some((kind, token)) = find(line) {
                panic!("{kind} is in {}: {token}\n{line}", path.display());
            }
        }
    }
}

#[test]
fn the_scan_knows_every_token_and_nothing_else() {
    let hex = "0123456789abcdef0123456789abcdef";
    for token in [
        format!("sk_test_{hex}"),
        format!("sk_live_{hex}"),
        format!("op_{hex}"),
        format!("op_run_{hex}"),
        format!("ct_{hex}"),
        format!("rt_{hex}1800000000"),
        format!("rs_{hex}"),
        format!("cs_{hex}"),
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned(),
        "k7mp-3qxt-9ab2-cdef".to_owned(),
    ] {
        for line in [
            format!("{{\"path\":\"/checkout/pay_x/{token}\"}}"),
            format!("GET /return/chk_x?token={token}"),
            format!("key={token}"),
            token.clone(),
        ] {
            assert!(find(&line).is_some(), "{line}");
        }
    }
    for line in [
        "{\"timestamp\":\"2026-11-21T10:00:00.123456Z\",\"span\":{\"id\":\"req_01kaqv2v3w4x5y6z7a8b9cdefg\"}}",
        "pay_01kaqv2v3w4x5y6z7a8b9cdefg.3000.0.1800000000",
        "0f8fad5b-d9cb-469f-a165-70867728950e",
        "op_ex sk_test_ whsec_ ct_x this-that-with-more",
        "SELECT * FROM x WHERE a=1",
    ] {
        assert_eq!(find(line), None, "{line}");
    }
}
