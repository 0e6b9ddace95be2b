//! A value of the contract becomes JSON when somebody reads it: most calls end before anybody does, and building it costs
//! as much as running the plugin.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// JSON that is made at its first reading; reads, compares and is written like the [`Value`] that it holds.
#[derive(Clone, Default)]
pub struct Lazy {
    value: OnceLock<Value>,
    /// Absent: `null`, unless [`Lazy::make_with`] comes first.
    make: Option<Arc<dyn Fn() -> Value + Send + Sync>>,
}

impl Lazy {
    /// JSON to be.
    pub(crate) fn new(make: impl Fn() -> Value + Send + Sync + 'static) -> Self {
        Self { value: OnceLock::new(), make: Some(Arc::new(make)) }
    }

    /// Makes the JSON, unless it is there.
    pub(crate) fn make_with(&self, make: impl FnOnce() -> Value) {
        self.value.get_or_init(make);
    }

    fn made(&self) -> Value {
        self.make.as_ref().map(|make| make()).unwrap_or_default()
    }

    /// The JSON itself.
    pub fn into_value(mut self) -> Value {
        self.value.take().unwrap_or_else(|| self.made())
    }

    /// Changes the JSON.
    pub(crate) fn change<T>(&mut self, change: impl FnOnce(&mut Value) -> T) -> T {
        let mut value = self.value.take().unwrap_or_else(|| self.made());
        let done = change(&mut value);
        *self = Self::from(value);
        done
    }
}

impl Deref for Lazy {
    type Target = Value;

    fn deref(&self) -> &Value {
        self.value.get_or_init(|| self.made())
    }
}

impl From<Value> for Lazy {
    fn from(value: Value) -> Self {
        Self { value: OnceLock::from(value), make: None }
    }
}

impl fmt::Debug for Lazy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Value::fmt(self, f)
    }
}

impl PartialEq for Lazy {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl PartialEq<Value> for Lazy {
    fn eq(&self, other: &Value) -> bool {
        **self == *other
    }
}

impl Serialize for Lazy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (**self).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Lazy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(Self::from)
    }
}
