//! Invariant: an answer is one JSON object; a name that came twice with different values is never believed.
//!
//! The official sample reads the approval as one flat object of strings (`inicis.md §1.7`); INIAPI sends numbers as strings
//! and null values in failures (`inicis.md §5.1, §5.2`). Numbers, null and text are therefore all read as text.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use crate::Unclear;

/// Most bytes of an answer that we read.
pub const MAX_ANSWER_BYTES: usize = 1024 * 1024;

/// A JSON object.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Object {
    values: BTreeMap<String, Value>,
    contradictory: Vec<String>,
}

impl Object {
    /// Reads an answer.
    pub fn parse(body: &[u8]) -> Result<Self, Unclear> {
        if body.iter().all(u8::is_ascii_whitespace) {
            return Err(Unclear("the answer is empty".into()));
        }
        if body.len() > MAX_ANSWER_BYTES {
            return Err(Unclear("the answer is too large".into()));
        }
        let text = std::str::from_utf8(body).map_err(|_| Unclear("the answer is not UTF-8".into()))?;
        serde_json::from_str(text).map_err(|e| {
            Unclear(format!("the answer is not a JSON object (line {}, column {})", e.line(), e.column()))
        })
    }

    /// Text of a field: absent when it is missing, null or empty; an error when it is contradictory or not a plain value.
    pub fn text(&self, name: &str) -> Result<Option<String>, Unclear> {
        if self.contradictory.iter().any(|n| n == name) {
            return Err(Unclear(format!("the answer has two different values of {name}")));
        }
        match self.values.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone()).filter(|t| !t.is_empty())),
            Some(Value::Number(number)) => Ok(Some(number.to_string())),
            Some(Value::Bool(value)) => Ok(Some(value.to_string())),
            Some(Value::Array(_) | Value::Object(_)) => Err(Unclear(format!("{name} is not a plain value"))),
        }
    }

    /// Text of a field that must be there.
    pub fn required(&self, name: &str) -> Result<String, Unclear> {
        self.text(name)?.ok_or_else(|| Unclear(format!("the answer has no {name}")))
    }

    /// Text of a field that decides nothing, at most 500 characters: what cannot be read is absent.
    pub fn shown(&self, name: &str) -> Option<String> {
        let text = self.text(name).ok().flatten()?;
        let line: String = text.trim().chars().take(500).collect();
        Some(line).filter(|line| !line.is_empty())
    }

    /// The first of the fields that is there and decides nothing.
    pub fn shown_any(&self, names: &[&str]) -> Option<String> {
        names.iter().find_map(|name| self.shown(name))
    }

    /// An amount: digits alone (`inicis.md §1.8`).
    pub fn amount(&self, name: &str) -> Result<Option<i64>, Unclear> {
        match self.text(name)? {
            None => Ok(None),
            Some(text) => digits(&text).map(Some).ok_or_else(|| Unclear(format!("{name} is not an amount"))),
        }
    }

    /// A list of objects; missing and null are an empty list.
    pub fn objects(&self, name: &str) -> Result<Vec<Self>, Unclear> {
        match self.values.get(name) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(items)) => items
                .iter()
                .map(|item| serde_json::from_value(item.clone()))
                .collect::<Result<_, _>>()
                .map_err(|_| Unclear(format!("{name} is not a list of objects"))),
            Some(Value::String(text)) if text.is_empty() => Ok(Vec::new()),
            Some(_) => Err(Unclear(format!("{name} is not a list"))),
        }
    }
}

/// A whole number of nothing but digits.
pub fn digits(text: &str) -> Option<i64> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| text.parse().ok())?
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut object = Object::default();
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    match object.values.get(&name) {
                        Some(first) if *first != value => object.contradictory.push(name),
                        Some(_) => {}
                        None => {
                            object.values.insert(name, value);
                        }
                    }
                }
                Ok(object)
            }
        }

        deserializer.deserialize_map(Fields)
    }
}
