//! Invariant: acceptmethod is a list of `name` or `name(value)` joined by `:`, where a `:` inside brackets belongs to
//! the value; every name is one of `reference/inicis.md` §1.4.

use crate::refusal::Refusal;

/// Whether an option carries a value.
#[derive(Clone, Copy)]
enum Value {
    No,
    Yes,
    OneOf(&'static [&'static str]),
}

const OPTIONS: &[(&str, Value)] = &[
    ("centerCd", Value::OneOf(&["Y"])),
    ("HPP", Value::OneOf(&["1", "2", "4", "5"])),
    ("hppablecorp", Value::Yes),
    ("hppdefaultcorp", Value::Yes),
    ("hppnofix", Value::OneOf(&["Y"])),
    ("hppauthtype", Value::Yes),
    ("vbank", Value::Yes),
    ("va_receipt", Value::No),
    ("va_ckprice", Value::No),
    ("no_receipt", Value::No),
    ("below1000", Value::No),
    ("cardonly", Value::No),
    ("noeasypay", Value::No),
    ("onlyeasypaycode", Value::Yes),
    ("cardpoint", Value::No),
    ("CARDPOINT", Value::No),
    ("ocb", Value::No),
    ("mallpoint", Value::Yes),
    ("disablepoint", Value::No),
    ("slimquota", Value::Yes),
    ("cardshowopt", Value::Yes),
    ("useescrow", Value::No),
    ("BILLAUTH", Value::OneOf(&["Card", "HPP"])),
    ("FULLVERIFY", Value::No),
    ("SKIN", Value::Yes),
    ("FONT", Value::Yes),
    ("hidebar", Value::No),
    ("paypopup", Value::No),
    ("poptargetself", Value::No),
    ("cd_ps", Value::Yes),
    ("usespcp", Value::No),
    ("CREDITCARD", Value::OneOf(&["Y"])),
    ("KWPY_TYPE", Value::Yes),
    ("KWPY_VAT", Value::Yes),
];

/// Options of earlier years: official samples of 2015 to 2018 and the plug-in's before them, which clients still send. What
/// they did is not documented here, so they do nothing.
const OLDER: &[&str] = &["vbanknoreg", "SLIMQUOTA", "Card", "OCB", "receipt"];

/// The options of a request form.
#[derive(Clone, Debug, Default)]
pub struct Accept(Vec<(String, String)>);

impl Accept {
    /// Reads the field `acceptmethod`; also gives the refusals of options that only older clients send.
    ///
    /// # Errors
    /// Unbalanced brackets, an unknown option, or a value where none belongs or that is not allowed.
    pub fn parse(text: &str) -> Result<(Self, Vec<Refusal>), Refusal> {
        let refuse = |what: &str| Refusal::new("SIM:ACCEPT", format!("acceptmethod: {what}"));
        let parts = split(text).ok_or_else(|| refuse("괄호가 맞지 않습니다"))?;
        let (mut options, mut older) = (Vec::new(), Vec::new());
        for part in parts {
            let (name, value) = match part.split_once('(') {
                Some((name, rest)) => (name, Some(rest.strip_suffix(')').unwrap_or(rest))),
                None => (part, None),
            };
            let known = OPTIONS.iter().find(|(n, _)| *n == name).map(|(_, value)| *value);
            let fits = match (known, value) {
                (None, _) if OLDER.contains(&name) => {
                    older.push(refuse(&format!("알 수 없는 옵션 {name}")));
                    continue;
                }
                (None, _) => return Err(refuse(&format!("알 수 없는 옵션 {name}"))),
                (Some(Value::No), value) => value.is_none_or(str::is_empty),
                (Some(Value::Yes), value) => value.is_some(),
                (Some(Value::OneOf(allowed)), value) => value.is_some_and(|v| allowed.contains(&v)),
            };
            if !fits {
                return Err(refuse(&format!("{name} 옵션의 값이 잘못되었습니다")));
            }
            options.push((name.to_owned(), value.unwrap_or_default().to_owned()));
        }
        Ok((Self(options), older))
    }

    /// The value of an option, if it was given.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

/// Splits at `:` outside brackets; a trailing `:` is harmless.
fn split(text: &str) -> Option<Vec<&str>> {
    let mut parts = Vec::new();
    let (mut start, mut depth) = (0_usize, 0_usize);
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.checked_sub(1)?,
            ':' if depth == 0 => {
                parts.push(text.get(start..at)?);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text.get(start..)?);
    (depth == 0).then(|| parts.into_iter().filter(|part| !part.is_empty()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colon_inside_brackets_belongs_to_the_value() {
        let accept = Accept::parse("HPP(2):hppablecorp(SKT:KTF):centerCd(Y):below1000").unwrap().0;
        assert_eq!(accept.get("hppablecorp"), Some("SKT:KTF"));
        assert_eq!(accept.get("centerCd"), Some("Y"));
        assert!(accept.get("useescrow").is_none());
    }

    #[test]
    fn unknown_options_wrong_values_and_open_brackets_are_refused() {
        for bad in ["centercd(Y)", "centerCd(N)", "centerCd", "HPP(3)", "vbank(20260101", "x)"] {
            assert_eq!(Accept::parse(bad).unwrap_err().code, "SIM:ACCEPT", "{bad}");
        }
    }
}
