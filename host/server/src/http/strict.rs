//! Values of requests, read strictly. Invariant: what is taken is what was written: one value for each member, objects where the
//! API has objects (never a list in their place), whole numbers that fit, text without control characters, in few levels;
//! what is refused is told with the member at fault, in words of the API, and without what stood there (it may be personal).

use std::cell::RefCell;
use std::fmt;

use payhost_core::text::is_hidden;
use percent_encoding::percent_decode_str;
use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, Error as _, Expected, IntoDeserializer as _,
    MapAccess, SeqAccess, Unexpected, Visitor,
};
use serde::forward_to_deserialize_any;
use serde_json::{Map, Number, Value};

use super::problem::Problem;

/// The `field` of a problem that is about a whole body.
pub const WHOLE: &str = "body";
/// Most levels of objects and lists in each other.
const DEEPEST: usize = 32;

/// Reads a body: JSON, an object.
pub fn body<T: DeserializeOwned>(raw: &[u8]) -> Result<T, Problem> {
    read(&value(raw)?, false)
}

/// Reads the parameters of a query: each at most once.
pub fn query<T: DeserializeOwned>(query: &str) -> Result<T, Problem> {
    let mut members = Map::new();
    // The parser puts U+FFFD in the place of what is no UTF-8.
    for pair in query.split('&') {
        if percent_decode_str(pair).decode_utf8().is_err() {
            let name = percent_decode_str(pair.split('=').next().unwrap_or_default()).decode_utf8_lossy();
            return Err(Problem::field(printable(&name), "this is not UTF-8"));
        }
    }
    for (name, text) in url::form_urlencoded::parse(query.as_bytes()) {
        if name.chars().chain(text.chars()).any(char::is_control) {
            return Err(Problem::field(printable(&name), "no control characters"));
        }
        if members.insert(name.clone().into_owned(), Value::from(text.into_owned())).is_some() {
            return Err(Problem::field(name, "this parameter is given more than once"));
        }
    }
    read(&Value::Object(members), true)
}

fn read<T: DeserializeOwned>(value: &Value, text: bool) -> Result<T, Problem> {
    if !value.is_object() {
        return Err(Problem::field(
            WHOLE,
            format!("an object is expected, not {}", named(&unexpected(value))),
        ));
    }
    T::deserialize(Given { value, text })
        .map_err(|wrong| Problem::field(path(wrong.path.iter().rev()), wrong.words))
}

/// The JSON of a body, with what the type cannot see: members that stand twice, control characters, levels.
fn value(raw: &[u8]) -> Result<Value, Problem> {
    let not_json =
        |words: String| Problem { field: Some(WHOLE.into()), ..Problem::new("invalid_json", words) };
    let text = std::str::from_utf8(raw)
        .map_err(|error| not_json(format!("the body is not UTF-8 (at byte {})", error.valid_up_to())))?;
    if text.trim().is_empty() {
        return Err(not_json("the body is empty; send at least {}".to_owned()));
    }
    let place = Place::default();
    let mut reader = serde_json::Deserializer::from_str(text);
    let read = Strict(&place).deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
    read.map_err(|error| {
        let member = path(place.path.borrow().iter());
        if let Some(words) = place.fault.take() {
            return Problem::field(member, words);
        }
        // serde_json counts it as syntax; it is a value.
        if error.to_string().starts_with("number out of range") {
            return Problem::field(member, "this number is out of range");
        }
        let why = if error.is_eof() { "it ends too early" } else { "this is not JSON" };
        not_json(format!("{why}, at line {}, column {}", error.line(), error.column()))
    })
}

/// A part of the way to a member.
#[derive(Debug, Clone)]
enum Step {
    Member(String),
    Item(usize),
}

/// `buyer.name`, `events[2]`.
fn path<'a>(steps: impl Iterator<Item = &'a Step>) -> String {
    let mut text = String::new();
    for step in steps {
        match step {
            Step::Member(name) if text.is_empty() => text.push_str(&printable(name)),
            Step::Member(name) => {
                text.push('.');
                text.push_str(&printable(name));
            }
            Step::Item(at) => text.push_str(&format!("[{at}]")),
        }
    }
    if text.is_empty() { WHOLE.to_owned() } else { text }
}

/// A name that came from outside, as it may be shown.
fn printable(name: &str) -> String {
    name.chars().take(64).map(|c| if is_hidden(c) { '\u{fffd}' } else { c }).collect()
}

/// Where a reader is, and what it found wrong there.
#[derive(Default)]
struct Place {
    path: RefCell<Vec<Step>>,
    fault: RefCell<Option<String>>,
}

impl Place {
    fn refuse<T, E: de::Error>(&self, words: &str) -> Result<T, E> {
        *self.fault.borrow_mut() = Some(words.to_owned());
        Err(E::custom(words))
    }

    fn text<E: de::Error>(&self, text: &str) -> Result<(), E> {
        let bad = |c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\r');
        if text.chars().any(bad) { self.refuse("no control characters") } else { Ok(()) }
    }

    /// Reads what is one step below; the step stays where it failed.
    fn below<T, E: de::Error>(&self, step: Step, read: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        self.path.borrow_mut().push(step);
        if self.path.borrow().len() > DEEPEST {
            return self.refuse(&format!("at most {DEEPEST} levels"));
        }
        let read = read()?;
        self.path.borrow_mut().pop();
        Ok(read)
    }
}

/// Builds a value at a place.
struct Strict<'a>(&'a Place);

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        match Number::from_f64(value) {
            Some(number) => Ok(Value::Number(number)),
            None => self.0.refuse("this number is out of range"),
        }
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Value, E> {
        self.0.text(text)?;
        Ok(Value::from(text))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) =
            self.0.below(Step::Item(list.len()), || items.next_element_seed(Strict(self.0)))?
        {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let value = self.0.below(Step::Member(name.clone()), || {
                self.0.text(&name)?;
                if object.contains_key(&name) {
                    return self.0.refuse("this member stands twice");
                }
                members.next_value_seed(Strict(self.0))
            })?;
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

/// What a type has against a value, and the way to it, innermost first.
#[derive(Debug)]
struct Wrong {
    words: String,
    path: Vec<Step>,
}

impl Wrong {
    fn new(words: impl Into<String>) -> Self {
        Self { words: words.into(), path: Vec::new() }
    }

    fn below(mut self, step: Step) -> Self {
        self.path.push(step);
        self
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl std::error::Error for Wrong {}

impl de::Error for Wrong {
    fn custom<T: fmt::Display>(words: T) -> Self {
        Self::new(words.to_string())
    }

    fn invalid_type(found: Unexpected<'_>, wanted: &dyn Expected) -> Self {
        let wanted = wanted_in_words(wanted);
        if wanted == WHOLE_NUMBER
            && let Unexpected::Float(number) = found
            && !fits_64_bits(number)
        {
            return Self::new("this number is out of range");
        }
        Self::new(format!("{wanted} is expected, not {}", named(&found)))
    }

    fn invalid_value(found: Unexpected<'_>, wanted: &dyn Expected) -> Self {
        if matches!(found, Unexpected::Unsigned(_) | Unexpected::Signed(_) | Unexpected::Float(_)) {
            return Self::new("this number is out of range");
        }
        Self::invalid_type(found, wanted)
    }

    fn invalid_length(_: usize, wanted: &dyn Expected) -> Self {
        Self::new(format!("{} is expected", wanted_in_words(wanted)))
    }

    fn unknown_variant(_: &str, known: &'static [&'static str]) -> Self {
        Self::new(format!("one of: {}", known.join(", ")))
    }

    fn unknown_field(_: &str, known: &'static [&'static str]) -> Self {
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        Self::new(format!("there is no such member here; known: {known}"))
    }

    fn missing_field(name: &'static str) -> Self {
        Self::new("this must be there").below(Step::Member(name.to_owned()))
    }

    fn duplicate_field(name: &'static str) -> Self {
        Self::new("this member stands twice").below(Step::Member(name.to_owned()))
    }
}

const WHOLE_NUMBER: &str = "a whole number";

/// Whether a number is among those that any whole number of the API is. JSON's reader has larger ones with a fraction.
fn fits_64_bits(number: f64) -> bool {
    const FIRST_BEYOND: f64 = 18_446_744_073_709_551_616.0;
    number.abs() < FIRST_BEYOND
}

/// What serde's types say that they want, in words of the API.
fn wanted_in_words(wanted: &dyn Expected) -> &'static str {
    match wanted.to_string().as_str() {
        "i8" | "i16" | "i32" | "i64" | "u8" | "u16" | "u32" | "u64" | "usize" => WHOLE_NUMBER,
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a string" | "a borrowed string" | "variant identifier" => "text",
        "a sequence" => "a list",
        text if text.starts_with("enum ") => "text",
        text if text.starts_with("struct ") || text.contains("map") => "an object",
        _ => "another value",
    }
}

fn named(found: &Unexpected<'_>) -> &'static str {
    match found {
        Unexpected::Bool(_) => "true or false",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) => "a number",
        Unexpected::Float(number) if *number == 0.0 && number.is_sign_negative() => "-0",
        Unexpected::Float(_) => "a number with a fraction or an exponent",
        Unexpected::Char(_) | Unexpected::Str(_) => "text",
        Unexpected::Unit | Unexpected::Option => "null",
        Unexpected::Seq => "a list",
        Unexpected::Map => "an object",
        Unexpected::Bytes(_)
        | Unexpected::NewtypeStruct
        | Unexpected::Enum
        | Unexpected::UnitVariant
        | Unexpected::NewtypeVariant
        | Unexpected::TupleVariant
        | Unexpected::StructVariant
        | Unexpected::Other(_) => "something else",
    }
}

fn unexpected(value: &Value) -> Unexpected<'_> {
    match value {
        Value::Null => Unexpected::Unit,
        Value::Bool(value) => Unexpected::Bool(*value),
        Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => Unexpected::Unsigned(number),
            (None, Some(number)) => Unexpected::Signed(number),
            (None, None) => Unexpected::Float(number.as_f64().unwrap_or_default()),
        },
        Value::String(text) => Unexpected::Str(text),
        Value::Array(_) => Unexpected::Seq,
        Value::Object(_) => Unexpected::Map,
    }
}

/// A value that a type is read from. In a query everything is `text`.
#[derive(Clone, Copy)]
struct Given<'a> {
    value: &'a Value,
    text: bool,
}

impl Given<'_> {
    fn parsed<T: std::str::FromStr>(&self, wanted: &str) -> Result<Option<T>, Wrong> {
        match self.value {
            Value::String(text) if self.text => {
                text.parse().map(Some).map_err(|_| Wrong::new(format!("{wanted} is expected")))
            }
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_)
            | Value::Object(_) => Ok(None),
        }
    }
}

macro_rules! parsed_from_text {
    ($($method:ident $visit:ident $wanted:literal)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
            match self.parsed($wanted)? {
                Some(value) => visitor.$visit(value),
                None => self.deserialize_any(visitor),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Given<'_> {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Number(number) => match (number.as_u64(), number.as_i64()) {
                (Some(number), _) => visitor.visit_u64(number),
                (None, Some(number)) => visitor.visit_i64(number),
                (None, None) => visitor.visit_f64(number.as_f64().unwrap_or_default()),
            },
            Value::String(text) => visitor.visit_str(text),
            Value::Array(items) => {
                visitor.visit_seq(Items { items: items.iter().enumerate(), text: self.text })
            }
            Value::Object(members) => {
                visitor.visit_map(Members { members: members.iter(), value: None, text: self.text })
            }
        }
    }

    parsed_from_text! {
        deserialize_bool visit_bool "true or false"
        deserialize_i32 visit_i32 "a whole number"
        deserialize_i64 visit_i64 "a whole number"
        deserialize_u16 visit_u16 "a whole number"
        deserialize_u32 visit_u32 "a whole number"
        deserialize_u64 visit_u64 "a whole number"
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        if self.value.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        visitor.visit_newtype_struct(self)
    }

    /// serde's derived structs take lists as well; the API does not: `[]` is not "everything as it is when nothing is said".
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        if self.value.is_object() {
            self.deserialize_any(visitor)
        } else {
            Err(Wrong::invalid_type(unexpected(self.value), &"struct "))
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        let Value::String(text) = self.value else {
            return Err(Wrong::invalid_type(unexpected(self.value), &"a string"));
        };
        visitor.visit_enum(text.as_str().into_deserializer())
    }

    forward_to_deserialize_any! {
        i8 i16 i128 u8 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map identifier
        ignored_any
    }
}

struct Items<'a> {
    items: std::iter::Enumerate<std::slice::Iter<'a, Value>>,
    text: bool,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Wrong;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Wrong> {
        let Some((at, value)) = self.items.next() else { return Ok(None) };
        let read = seed.deserialize(Given { value, text: self.text });
        read.map(Some).map_err(|wrong| wrong.below(Step::Item(at)))
    }
}

struct Members<'a> {
    members: serde_json::map::Iter<'a>,
    value: Option<(&'a String, &'a Value)>,
    text: bool,
}

impl<'de> MapAccess<'de> for Members<'_> {
    type Error = Wrong;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Wrong> {
        self.value = self.members.next();
        let Some((name, _)) = self.value else { return Ok(None) };
        let key: StrDeserializer<'_, Wrong> = name.as_str().into_deserializer();
        seed.deserialize(key).map(Some).map_err(|wrong| wrong.below(Step::Member(name.clone())))
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Wrong> {
        let Some((name, value)) = self.value.take() else { return Err(Wrong::new("this must be there")) };
        let read = seed.deserialize(Given { value, text: self.text });
        read.map_err(|wrong| wrong.below(Step::Member(name.clone())))
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Amount {
        total: i64,
        #[serde(default)]
        parts: Vec<u32>,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Order {
        #[serde(default)]
        amount: Option<Amount>,
        #[serde(default)]
        name: String,
        #[serde(default)]
        free: Map<String, Value>,
        #[serde(default)]
        open: Option<bool>,
    }

    #[test]
    fn what_is_right_is_taken_as_it_stands() {
        let text = r#"{"amount":{"total":9007199254740993,"parts":[1,2]},"name":"a\nb","free":{"x":[1.5,null]},"open":null}"#;
        let order: Order = body(text.as_bytes()).unwrap();
        assert_eq!(order.amount, Some(Amount { total: 9_007_199_254_740_993, parts: vec![1, 2] }));
        assert_eq!((order.name.as_str(), order.open), ("a\nb", None));
        assert_eq!(Value::Object(order.free), serde_json::json!({"x": [1.5, null]}));
        assert_eq!(body::<Order>(b" {} ").unwrap(), Order::default());
    }

    #[test]
    fn what_is_wrong_is_told_with_its_member_and_without_its_value() {
        let deep = format!("{{\"free\":{{\"x\":{}1{}}}}}", "[".repeat(40), "]".repeat(40));
        for (text, code, field) in [
            ("", "invalid_json", "body"),
            ("{", "invalid_json", "body"),
            ("{} {}", "invalid_json", "body"),
            ("\u{feff}{}", "invalid_json", "body"),
            (r#"{"name":"\ud800"}"#, "invalid_json", "body"),
            ("[]", "invalid_request", "body"),
            ("null", "invalid_request", "body"),
            ("7", "invalid_request", "body"),
            ("\"secret\"", "invalid_request", "body"),
            (r#"{"amount":[1004]}"#, "invalid_request", "amount"),
            (r#"{"amount":"secret"}"#, "invalid_request", "amount"),
            (r#"{"amount":{}}"#, "invalid_request", "amount.total"),
            (r#"{"amount":{"total":10.5}}"#, "invalid_request", "amount.total"),
            (r#"{"amount":{"total":"10"}}"#, "invalid_request", "amount.total"),
            (r#"{"amount":{"total":null}}"#, "invalid_request", "amount.total"),
            (r#"{"amount":{"total":1e2}}"#, "invalid_request", "amount.total"),
            (r#"{"amount":{"total":99999999999999999999}}"#, "invalid_request", "amount.total"),
            (r#"{"amount":{"total":9223372036854775808}}"#, "invalid_request", "amount.total"),
            (r#"{"amount":{"total":1e999}}"#, "invalid_request", "amount.total"),
            (r#"{"amount":{"total":99999999999999999999999}}"#, "invalid_request", "amount.total"),
            (r#"{"amount":{"total":-0}}"#, "invalid_request", "amount.total"),
            (r#"{"amount":{"total":1,"secret":1}}"#, "invalid_request", "amount.secret"),
            (r#"{"amount":{"total":1,"total":2}}"#, "invalid_request", "amount.total"),
            (r#"{"amount":{"total":1,"parts":[1,-1]}}"#, "invalid_request", "amount.parts[1]"),
            (r#"{"free":{"x":1,"x":1}}"#, "invalid_request", "free.x"),
            (r#"{"free":{"x":["a\u0000b"]}}"#, "invalid_request", "free.x[0]"),
            (r#"{"free":{"a\u0000":1}}"#, "invalid_request", "free.a\u{fffd}"),
            (r#"{"name":"a\u001bb"}"#, "invalid_request", "name"),
            (r#"{"open":"yes"}"#, "invalid_request", "open"),
        ] {
            let problem = body::<Order>(text.as_bytes()).unwrap_err();
            assert_eq!((problem.code, problem.field.as_deref()), (code, Some(field)), "{text}: {problem:?}");
            assert!(!problem.detail.contains("secret") && !problem.detail.contains("i64"), "{problem:?}");
        }
        assert_eq!(body::<Order>(b"{\"name\":\"\xff\"}").unwrap_err().code, "invalid_json");
        let problem = body::<Order>(deep.as_bytes()).unwrap_err();
        assert!(problem.field.unwrap().starts_with("free.x[0][0]"));
    }

    #[test]
    fn what_is_wrong_with_a_number_is_said_as_it_is() {
        for (total, words) in [
            ("99999999999999999999999", "out of range"),
            ("-99999999999999999999999", "out of range"),
            ("18446744073709551616", "out of range"),
            ("9223372036854775808", "out of range"),
            ("1e300", "out of range"),
            ("1e999", "out of range"),
            ("-0", "not -0"),
            ("10.5", "a fraction or an exponent"),
            ("1e2", "a fraction or an exponent"),
            ("\"1\"", "not text"),
        ] {
            let problem =
                body::<Order>(format!("{{\"amount\":{{\"total\":{total}}}}}").as_bytes()).unwrap_err();
            assert!(problem.detail.contains(words), "{total}: {}", problem.detail);
        }
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct List {
        limit: Option<u32>,
        after: Option<String>,
        open: Option<bool>,
    }

    #[test]
    fn a_query_is_read_as_strictly() {
        let list: List = query("limit=7&after=a%20b&open=true").unwrap();
        assert_eq!(list, List { limit: Some(7), after: Some("a b".into()), open: Some(true) });
        for (text, field) in [
            ("limit=x", "limit"),
            ("limit=-1", "limit"),
            ("limit=99999999999", "limit"),
            ("limit=1&limit=2", "limit"),
            ("after=%00", "after"),
            ("after=a%0ab", "after"),
            ("after=%ff", "after"),
            ("limit=7&after=%ed%95", "after"),
            ("%ff=1", "\u{fffd}"),
            ("open=yes", "open"),
            ("color=red", "color"),
        ] {
            let problem = query::<List>(text).unwrap_err();
            assert_eq!((problem.code, problem.field.as_deref()), ("invalid_request", Some(field)), "{text}");
        }
    }
}
