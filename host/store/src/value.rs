//! Values of columns. Invariant: only NULL, 64-bit integers, text and bytes are stored, so that every backend keeps
//! exactly the same.

use std::fmt;

use payhost_core::id::{
    AttemptId, CallId, ChannelId, CheckoutId, EndpointId, EventId, FactId, JobId, KeyId, NoticeId, PaymentId,
    ShopId,
};
use payhost_core::{Currency, FactKind, PaymentState, Resolution};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Error;

/// One stored value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Value {
    /// NULL.
    Null,
    /// BIGINT: amounts, times in µs, numbers, booleans as 0 and 1.
    Int(i64),
    /// TEXT: ids, words, JSON.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

/// What can be stored.
pub trait ToValue {
    /// Its stored form.
    fn to_value(&self) -> Value;
}

/// What can be read back.
pub trait FromValue: Sized {
    /// Reads the stored form; `Err` says what was expected instead.
    fn from_value(value: Value) -> Result<Self, String>;
}

/// Parameters of a statement, in order of `$1`, `$2` …: `tx.execute(sql, params![id, now_us])`.
#[macro_export]
macro_rules! params {
    ($($value:expr),* $(,)?) => {
        &[$($crate::ToValue::to_value(&$value)),*] as &[$crate::Value]
    };
}

impl ToValue for Value {
    fn to_value(&self) -> Value {
        self.clone()
    }
}

impl FromValue for Value {
    fn from_value(value: Value) -> Result<Self, String> {
        Ok(value)
    }
}

impl<T: ToValue + ?Sized> ToValue for &T {
    fn to_value(&self) -> Value {
        (**self).to_value()
    }
}

impl<T: ToValue> ToValue for Option<T> {
    fn to_value(&self) -> Value {
        self.as_ref().map_or(Value::Null, ToValue::to_value)
    }
}

impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: Value) -> Result<Self, String> {
        match value {
            Value::Null => Ok(None),
            Value::Int(_) | Value::Text(_) | Value::Blob(_) => T::from_value(value).map(Some),
        }
    }
}

impl ToValue for i64 {
    fn to_value(&self) -> Value {
        Value::Int(*self)
    }
}

impl FromValue for i64 {
    fn from_value(value: Value) -> Result<Self, String> {
        if let Value::Int(number) = value { Ok(number) } else { Err("a number".to_owned()) }
    }
}

impl ToValue for bool {
    fn to_value(&self) -> Value {
        Value::Int(i64::from(*self))
    }
}

impl FromValue for bool {
    fn from_value(value: Value) -> Result<Self, String> {
        match value {
            Value::Int(0) => Ok(false),
            Value::Int(1) => Ok(true),
            Value::Null | Value::Int(_) | Value::Text(_) | Value::Blob(_) => Err("0 or 1".to_owned()),
        }
    }
}

impl ToValue for str {
    fn to_value(&self) -> Value {
        Value::Text(self.to_owned())
    }
}

impl ToValue for String {
    fn to_value(&self) -> Value {
        Value::Text(self.clone())
    }
}

impl FromValue for String {
    fn from_value(value: Value) -> Result<Self, String> {
        if let Value::Text(text) = value { Ok(text) } else { Err("text".to_owned()) }
    }
}

/// Bytes that are kept as they are. Its debug form is only its length.
#[derive(Clone, PartialEq, Eq)]
pub struct Blob(pub Vec<u8>);

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blob({} bytes)", self.0.len())
    }
}

impl ToValue for Blob {
    fn to_value(&self) -> Value {
        Value::Blob(self.0.clone())
    }
}

impl FromValue for Blob {
    fn from_value(value: Value) -> Result<Self, String> {
        if let Value::Blob(bytes) = value { Ok(Self(bytes)) } else { Err("bytes".to_owned()) }
    }
}

/// JSON text, kept byte for byte (the text that was written is the text that is read).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Json(String);

impl Json {
    /// The JSON of a value.
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Result<Self, Error> {
        serde_json::to_string(value).map(Self).map_err(|error| Error::Json(error.to_string()))
    }

    /// Reads it as a `T`.
    pub fn to<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_str(&self.0).map_err(|error| Error::Json(error.to_string()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&serde_json::Value> for Json {
    fn from(value: &serde_json::Value) -> Self {
        Self(value.to_string())
    }
}

impl From<serde_json::Value> for Json {
    fn from(value: serde_json::Value) -> Self {
        Self(value.to_string())
    }
}

impl ToValue for Json {
    fn to_value(&self) -> Value {
        Value::Text(self.0.clone())
    }
}

impl FromValue for Json {
    fn from_value(value: Value) -> Result<Self, String> {
        String::from_value(value).map(Self)
    }
}

impl ToValue for Currency {
    fn to_value(&self) -> Value {
        self.as_str().to_value()
    }
}

impl FromValue for Currency {
    fn from_value(value: Value) -> Result<Self, String> {
        Self::parse(&String::from_value(value)?).map_err(|error| error.to_string())
    }
}

macro_rules! ids {
    ($($name:ident),* $(,)?) => {$(
        impl ToValue for $name {
            fn to_value(&self) -> Value {
                Value::Text(self.to_string())
            }
        }

        impl FromValue for $name {
            fn from_value(value: Value) -> Result<Self, String> {
                let text = String::from_value(value)?;
                text.parse().map_err(|error: payhost_core::id::InvalidId| error.to_string())
            }
        }
    )*};
}

ids!(
    AttemptId, CallId, ChannelId, CheckoutId, EndpointId, EventId, FactId, JobId, KeyId, NoticeId, PaymentId,
    ShopId
);

/// Stores types that have `as_str` and `parse` as their text.
macro_rules! words {
    ($($name:ty),* $(,)?) => {$(
        impl $crate::ToValue for $name {
            fn to_value(&self) -> $crate::Value {
                $crate::Value::Text(self.as_str().to_owned())
            }
        }

        impl $crate::FromValue for $name {
            fn from_value(value: $crate::Value) -> Result<Self, String> {
                let text = <String as $crate::FromValue>::from_value(value)?;
                Self::parse(&text).ok_or_else(|| format!("a {}, found {text:?}", stringify!($name)))
            }
        }
    )*};
}
pub(crate) use words;

words!(FactKind, PaymentState, Resolution);
