//! A function of the contract is known by interface, name and Rust types, and its arguments have one JSON form: an object
//! by parameter name without `context`.

use std::marker::PhantomData;
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value};
use wasmtime::component::{ComponentNamedList, ComponentType, Lift, Lower};

use super::button_generator::{Button, CheckedButton};
use super::general_pay::BuyerEnv;
use super::json::object;
use super::money::{Attempt, CancelRequest, Charge, Query};
use super::plugin::{Descriptor, Finding};
use super::subscription::{BatchItem, Card, ChargeSource, Registration};
use super::types::{Account, Callback, Context, Order, PluginError};
use super::vbank_notice::Notice;

/// What a function may do over the network, by the contract's own words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Network {
    /// `http` is refused.
    Refused,
    /// Only requests with the effect `read`.
    Reads,
    /// Reads, and one write.
    Writes,
}

/// One exported function: `P` are its parameters as a tuple, `R` is its result.
#[derive(Debug)]
pub struct Function<P, R> {
    /// Full name of its interface, with the version.
    pub interface: &'static str,
    /// Its name as in WIT.
    pub name: &'static str,
    /// Names of its parameters without `context`, in snake case.
    pub parameters: &'static [&'static str],
    /// What it may do over the network.
    pub network: Network,
    types: PhantomData<fn(P) -> R>,
}

impl<P, R> Clone for Function<P, R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P, R> Copy for Function<P, R> {}

impl<P, R> Function<P, R> {
    pub(super) const fn new(
        interface: &'static str,
        name: &'static str,
        parameters: &'static [&'static str],
        network: Network,
    ) -> Self {
        Self { interface, name, parameters, network, types: PhantomData }
    }
}

/// Arguments that are not what the function takes.
#[derive(Debug, thiserror::Error)]
pub enum ArgumentsError {
    /// The arguments are not a JSON object.
    #[error("arguments are a JSON object by parameter name; this function takes: {}", list(.0))]
    NotAnObject(&'static [&'static str]),
    /// There is a name that the function does not have.
    #[error("`{name}` is not a parameter of this function; it takes: {}", list(.expected))]
    Unknown {
        /// The name.
        name: String,
        /// What the function takes.
        expected: &'static [&'static str],
    },
    /// An argument has another shape.
    #[error("argument `{name}`: {source}")]
    Shape {
        /// Parameter.
        name: &'static str,
        /// What is wrong.
        source: serde_json::Error,
    },
}

fn list(names: &[&str]) -> String {
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}

/// One argument in JSON.
pub trait Argument: Sized + Send + Sync + 'static {
    /// To JSON.
    fn to_json(&self) -> Value;
    /// From JSON.
    ///
    /// # Errors
    /// When the JSON has another shape.
    fn from_json(value: Value) -> serde_json::Result<Self>;
}

/// Types whose JSON is what serde makes of them.
macro_rules! serde_arguments {
    ($($name:ty),* $(,)?) => { $(
        impl Argument for $name {
            fn to_json(&self) -> Value {
                to_value(self)
            }
            fn from_json(value: Value) -> serde_json::Result<Self> {
                serde_json::from_value(value)
            }
        }
    )* };
}
serde_arguments!(
    Account,
    Attempt,
    Button,
    BuyerEnv,
    Callback,
    CancelRequest,
    Card,
    Charge,
    ChargeSource,
    CheckedButton,
    Notice,
    Order,
    Query,
    String,
    Vec<BatchItem>,
    bool,
    i64,
);

impl Argument for Vec<u8> {
    fn to_json(&self) -> Value {
        Value::String(super::json::to_base64(self))
    }
    fn from_json(value: Value) -> serde_json::Result<Self> {
        super::json::base64_bytes::deserialize(value)
    }
}

/// All parameters of a function. The context comes first where there is one; the engine fills in its moment, seed and
/// names of secrets, so that they cannot differ from what the imports see.
pub trait Arguments: Sized + Send + 'static {
    /// The same, each behind an `Arc`: the plugin gets them and the record keeps them without a copy.
    type Shared: ComponentNamedList + Lower + Clone + Send + Sync + 'static;
    /// The context, to be filled in.
    fn context_mut(&mut self) -> Option<&mut Context>;
    /// Shares them.
    fn share(self) -> Self::Shared;
    /// The context of shared parameters.
    fn context(shared: &Self::Shared) -> Option<&Arc<Context>>;
    /// All but the context, by name.
    fn to_json(shared: &Self::Shared, names: &'static [&'static str]) -> Value;
    /// From a context and the rest.
    ///
    /// # Errors
    /// When the JSON has other names or shapes.
    fn from_json(
        context: Context,
        names: &'static [&'static str],
        args: Value,
    ) -> Result<Self, ArgumentsError>;
}

impl Arguments for () {
    type Shared = ();
    fn context_mut(&mut self) -> Option<&mut Context> {
        None
    }
    fn share(self) {}
    fn context((): &()) -> Option<&Arc<Context>> {
        None
    }
    fn to_json((): &(), _: &'static [&'static str]) -> Value {
        Value::Object(Map::new())
    }
    fn from_json(_: Context, names: &'static [&'static str], args: Value) -> Result<Self, ArgumentsError> {
        named(names, args).map(|_| ())
    }
}

/// Tuples that start with the context.
macro_rules! arguments {
    ($(($($letter:ident),*)),* $(,)?) => { $(
        impl<$($letter),*> Arguments for (Context, $($letter,)*)
        where
            (Arc<Context>, $(Arc<$letter>,)*): ComponentNamedList + Lower,
            $($letter: Argument),*
        {
            type Shared = (Arc<Context>, $(Arc<$letter>,)*);
            fn context_mut(&mut self) -> Option<&mut Context> {
                Some(&mut self.0)
            }
            #[allow(non_snake_case, reason = "one letter names a type and its value")]
            fn share(self) -> Self::Shared {
                let (context, $($letter,)*) = self;
                (Arc::new(context), $(Arc::new($letter),)*)
            }
            fn context(shared: &Self::Shared) -> Option<&Arc<Context>> {
                Some(&shared.0)
            }
            #[allow(non_snake_case, reason = "one letter names a type and its value")]
            fn to_json(shared: &Self::Shared, names: &'static [&'static str]) -> Value {
                let (_, $($letter,)*) = shared;
                let values: Vec<Value> = vec![$($letter.to_json()),*];
                Value::Object(names.iter().map(|name| (*name).to_owned()).zip(values).collect())
            }
            #[allow(unused_mut, unused_variables, reason = "a function may take nothing but its context")]
            fn from_json(context: Context, names: &'static [&'static str], args: Value) -> Result<Self, ArgumentsError> {
                let mut values = named(names, args)?.into_iter();
                Ok((context, $(next::<$letter>(&mut values)?,)*))
            }
        }
    )* };
}
arguments!((), (A), (A, B), (A, B, C), (A, B, C, D));

fn next<T: Argument>(values: &mut impl Iterator<Item = (&'static str, Value)>) -> Result<T, ArgumentsError> {
    let (name, value) = values.next().unwrap_or(("", Value::Null));
    T::from_json(value).map_err(|source| ArgumentsError::Shape { name, source })
}

/// The values in the order of `names`; an absent one is `null`.
fn named(names: &'static [&'static str], args: Value) -> Result<Vec<(&'static str, Value)>, ArgumentsError> {
    let Value::Object(mut map) = args else { return Err(ArgumentsError::NotAnObject(names)) };
    let values = names.iter().map(|name| (*name, map.remove(*name).unwrap_or_default())).collect();
    match map.into_iter().next() {
        Some((name, _)) => Err(ArgumentsError::Unknown { name, expected: names }),
        None => Ok(values),
    }
}

/// A function's result.
pub trait Answer: ComponentType + Lift + Send + Sync + 'static {
    /// In JSON.
    fn to_json(&self) -> Value;
    /// Values in it that are secrets and must not be journaled.
    fn secrets(&self) -> Vec<&str> {
        Vec::new()
    }
}

impl Answer for Descriptor {
    fn to_json(&self) -> Value {
        to_value(self)
    }
}

impl Answer for Vec<Finding> {
    fn to_json(&self) -> Value {
        to_value(self)
    }
}

impl<T> Answer for Result<T, PluginError>
where
    T: ComponentType + Lift + Send + Sync + Serialize + Confidential + 'static,
{
    fn to_json(&self) -> Value {
        match self {
            Ok(value) => object("ok", to_value(value)),
            Err(error) => object("err", to_value(error)),
        }
    }
    fn secrets(&self) -> Vec<&str> {
        self.as_ref().map(Confidential::secrets).unwrap_or_default()
    }
}

/// An answer that may carry a secret that the gateway has just made.
pub trait Confidential {
    /// The secrets in it.
    fn secrets(&self) -> Vec<&str> {
        Vec::new()
    }
}

impl Confidential for Registration {
    fn secrets(&self) -> Vec<&str> {
        match self {
            Registration::Registered(key) => vec![key.key.as_str()],
            Registration::Declined(_) | Registration::CancelledByBuyer => Vec::new(),
        }
    }
}

/// Answers without secrets.
macro_rules! plain {
    ($($name:ty),* $(,)?) => { $( impl Confidential for $name {} )* };
}
plain!(
    (),
    Account,
    CheckedButton,
    Vec<super::button_generator::Node>,
    super::general_pay::Authentication,
    super::general_pay::Begun,
    super::money::Cancellation,
    super::money::Inquiry,
    super::money::Undone,
    super::subscription::BatchChunk,
    super::subscription::BatchResults,
    super::types::Outcome,
    super::vbank_notice::Received,
);

/// Our structs have text keys and finite numbers only, so that this cannot fail; `null` would show in the journal.
fn to_value<T: Serialize>(value: &T) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{general_pay, subscription};
    use serde_json::json;

    fn context() -> Context {
        serde_json::from_value(
            json!({"now_ms": 1, "seed": "00", "mode": "test", "settings": [], "secrets": []}),
        )
        .unwrap()
    }

    #[test]
    fn arguments_survive_the_way_through_json() {
        let args = json!({"bytes": "AQI=", "carry": "", "last": true});
        let parsed: (Context, Vec<u8>, Vec<u8>, bool) =
            Arguments::from_json(context(), subscription::DECODE_BATCH.parameters, args.clone()).unwrap();
        assert_eq!(parsed.1, [1, 2]);
        let shared = parsed.share();
        let names = subscription::DECODE_BATCH.parameters;
        assert_eq!(<(Context, Vec<u8>, Vec<u8>, bool) as Arguments>::to_json(&shared, names), args);
    }

    #[test]
    fn an_unknown_argument_is_named_with_what_is_taken() {
        let error = <(Context, String) as Arguments>::from_json(context(), &["key"], json!({"kye": "x"}))
            .unwrap_err();
        assert_eq!(error.to_string(), "`kye` is not a parameter of this function; it takes: key");
        let error = <(Context, String) as Arguments>::from_json(context(), &["key"], json!([])).unwrap_err();
        assert!(error.to_string().contains("takes: key"));
    }

    #[test]
    fn variants_options_and_results_have_the_one_json_form() {
        let begun: Result<general_pay::Begun, PluginError> = Ok(general_pay::Begun {
            step: general_pay::CheckoutStep::Redirect("https://x".into()),
            warnings: vec![],
        });
        assert_eq!(begun.to_json(), json!({"ok": {"step": {"redirect": "https://x"}, "warnings": []}}));
        let none: Result<general_pay::Authentication, PluginError> =
            Ok(general_pay::Authentication::Authenticated(None));
        assert_eq!(none.to_json(), json!({"ok": {"authenticated": null}}));
        let closed: Result<general_pay::Authentication, PluginError> =
            Ok(general_pay::Authentication::CancelledByBuyer);
        assert_eq!(closed.to_json(), json!({"ok": "cancelled_by_buyer"}));
        let error: Result<(), PluginError> = Err(PluginError::Unknown("?".into()));
        assert_eq!(error.to_json(), json!({"err": {"unknown": "?"}}));
    }
}
