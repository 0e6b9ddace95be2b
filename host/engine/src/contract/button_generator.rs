//! Pay buttons. The plugin says what a button shows; the host writes the markup.
//!
//! Mirrors wit/button-generator.wit to the letter; the trial instance at load proves it.

use crate::contract::types::{Context, Method, Money, Named, PluginError, Text};
use crate::contract::{Function, Network};
use serde::{Deserialize, Serialize};
use wasmtime::component::{ComponentType, Lift, Lower};

/// Name of the interface.
pub const INTERFACE: &str = interface!("button-generator");

/// A button as the shop typed it.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(record)]
#[serde(deny_unknown_fields)]
pub struct Button {
    /// What is sold.
    pub name: String,
    /// Fixed price; absent: the buyer types it.
    pub amount: Option<Money>,
    /// Methods offered; empty: all.
    pub methods: Vec<Method>,
    /// Options of the payment.
    pub options: Vec<Named>,
    /// `ko` or `en`.
    pub language: String,
}

/// A field that the buyer must fill.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(record)]
#[serde(deny_unknown_fields)]
pub struct BuyerField {
    /// Registry `buyer-field`: `name`, `email`, `phone`.
    pub key: String,
    /// Whether it must be filled.
    pub required: bool,
}

/// A button that can be sold with.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(record)]
#[serde(deny_unknown_fields)]
pub struct CheckedButton {
    /// With defaults filled in.
    pub button: Button,
    /// What the buyer must fill.
    pub fields: Vec<BuyerField>,
    /// Short labels (`test`, `instalments`).
    pub badges: Vec<Text>,
    /// What was changed or will not work.
    pub warnings: Vec<String>,
}

/// A piece of a button.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(variant)]
#[serde(rename_all = "snake_case")]
pub enum Node {
    /// Words.
    #[component(name = "text")]
    Text(String),
    /// A link: label and `https` address.
    #[component(name = "link")]
    Link((String, String)),
    /// A picture from a declared origin: address and what it shows.
    #[component(name = "image")]
    Image((String, String)),
}

/// Checks a button.
pub const PREPARE: Function<(Context, Button), Result<CheckedButton, PluginError>> =
    Function::new(INTERFACE, "prepare", &["button"], Network::Refused);

/// What to show. The host writes it as HTML.
pub const RENDER: Function<(Context, CheckedButton), Result<Vec<Node>, PluginError>> =
    Function::new(INTERFACE, "render", &["button"], Network::Refused);
