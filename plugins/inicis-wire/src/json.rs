//! Invariant: an answer is one JSON object; a name that came twice is never believed, wherever in the answer it stands.
//!
//! The official sample reads the approval as one flat object of strings (`inicis.md §1.7`); INIAPI sends numbers as strings
//! and null values in failures (`inicis.md §5.1, §5.2`). Numbers, null and text are therefore all read as text, except where
//! the letter counts ([`Object::exact`]): a number is no code.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::Unclear;
use crate::refusal::Members;

/// Most bytes of an answer that we read.
pub const MAX_ANSWER_BYTES: usize = 1024 * 1024;

/// A JSON object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Object {
    values: BTreeMap<String, Node>,
    doubled: BTreeSet<String>,
}

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    Null,
    Text(String),
    /// A number or a truth value, as text.
    Other(String),
    List(Vec<Node>),
    Object(Object),
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

    fn once(&self, name: &str) -> Result<Option<&Node>, Unclear> {
        if self.doubled.contains(name) {
            return Err(Unclear(format!("{name} is there twice")));
        }
        Ok(self.values.get(name))
    }

    /// Text of a field: absent when it is missing, null or empty; an error when it came twice or is not a plain value.
    pub fn text(&self, name: &str) -> Result<Option<String>, Unclear> {
        match self.once(name)? {
            None | Some(Node::Null) => Ok(None),
            Some(Node::Text(text) | Node::Other(text)) => Ok(Some(text.clone()).filter(|t| !t.is_empty())),
            Some(Node::List(_) | Node::Object(_)) => Err(Unclear(format!("{name} is not a plain value"))),
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
    pub fn objects(&self, name: &str) -> Result<Vec<&Self>, Unclear> {
        match self.once(name)? {
            None | Some(Node::Null) => Ok(Vec::new()),
            Some(Node::List(items)) => items
                .iter()
                .map(|item| match item {
                    Node::Object(object) => Ok(object),
                    Node::Null | Node::Text(_) | Node::Other(_) | Node::List(_) => {
                        Err(Unclear(format!("{name} is not a list of objects")))
                    }
                })
                .collect(),
            Some(Node::Text(text)) if text.is_empty() => Ok(Vec::new()),
            Some(Node::Text(_) | Node::Other(_) | Node::Object(_)) => {
                Err(Unclear(format!("{name} is not a list")))
            }
        }
    }
}

impl Members for Object {
    fn exact(&self, name: &str) -> Result<Option<&str>, Unclear> {
        match self.once(name)? {
            None | Some(Node::Null) => Ok(None),
            Some(Node::Text(text)) => Ok(Some(text)),
            Some(Node::Other(_) | Node::List(_) | Node::Object(_)) => {
                Err(Unclear(format!("{name} is not text")))
            }
        }
    }

    fn is_there(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    fn is_filled(&self, name: &str) -> bool {
        match self.values.get(name) {
            None | Some(Node::Null) => self.doubled.contains(name),
            Some(Node::Text(text)) => !text.trim().is_empty() || self.doubled.contains(name),
            Some(Node::Other(_) | Node::List(_) | Node::Object(_)) => true,
        }
    }

    fn twin(&self) -> Option<&str> {
        let mut names: Vec<&String> = self.values.keys().collect();
        names.sort_by_key(|name| name.to_ascii_lowercase());
        let alike = names.windows(2).find_map(|pair| match pair {
            [one, other] if one.eq_ignore_ascii_case(other) => Some(*one),
            _ => None,
        });
        self.doubled.first().or(alike).map(String::as_str)
    }
}

/// A whole number of nothing but digits.
pub fn digits(text: &str) -> Option<i64> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| text.parse().ok())?
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Node::deserialize(deserializer)? {
            Node::Object(object) => Ok(object),
            Node::Null | Node::Text(_) | Node::Other(_) | Node::List(_) => {
                Err(D::Error::custom("not an object"))
            }
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Other(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Other(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Other(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        // Never digits alone: 1e3 was not written as an amount.
        Ok(Node::Other(format!("{value:?}")))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Node, E> {
        Ok(Node::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Node::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut object = Object::default();
        while let Some((name, value)) = map.next_entry::<String, Node>()? {
            match object.values.entry(name) {
                Entry::Occupied(known) => {
                    object.doubled.insert(known.key().clone());
                }
                Entry::Vacant(free) => {
                    free.insert(value);
                }
            }
        }
        Ok(Node::Object(object))
    }
}
