//! A buyer pays once, in the gateway's window.
//!
//! Mirrors wit/general-pay.wit to the letter; the trial instance at load proves it.

use crate::contract::types::{Callback, Context, Method, Order, Outcome, PluginError, Refusal};
use crate::contract::{Function, Network};
use serde::{Deserialize, Serialize};
use wasmtime::component::{ComponentType, Lift, Lower};

/// Name of the interface.
pub const INTERFACE: &str = interface!("general-pay");

/// What the host knows of the buyer's browser.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(record)]
#[serde(deny_unknown_fields)]
pub struct BuyerEnv {
    /// As sent.
    #[component(name = "user-agent")]
    pub user_agent: String,
    /// `pc` or `mobile`: the host's reading of the user agent, or what the shop chose.
    pub device: String,
    /// Origin of the page that opens the window, as `https://pay.shop.example`.
    #[component(name = "page-origin")]
    pub page_origin: String,
    /// Address of the browser as text; absent when the host does not know.
    pub address: Option<String>,
}

/// A field of a form.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(record)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// Name.
    pub name: String,
    /// Value.
    pub value: String,
}

/// A form that the browser posts.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(record)]
#[serde(deny_unknown_fields)]
pub struct Form {
    /// Where to.
    pub action: String,
    /// `accept-charset`: `utf-8` or `euc-kr`.
    pub charset: String,
    /// In order.
    pub fields: Vec<Field>,
}

/// One call in the gateway's script: `member` of the result of the call before, first of `window`. Plain identifiers
/// joined by `.`. Each is awaited.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(record)]
#[serde(deny_unknown_fields)]
pub struct ScriptStep {
    /// As `INIStdPay.pay`.
    pub member: String,
    /// JSON values; the text `"$form"` stands for the id of the form.
    pub args: Vec<String>,
}

/// A window that the gateway's script opens over our page.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(record)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// The script, from a declared origin.
    pub url: String,
    /// `charset` of the script tag.
    pub charset: String,
    /// What to call.
    pub steps: Vec<ScriptStep>,
    /// Fields of the form that the script reads.
    pub form: Option<Vec<Field>>,
    /// A script for the page at the close URL.
    #[component(name = "close-script")]
    pub close_script: Option<String>,
}

/// What the buyer's browser does next.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(variant)]
#[serde(rename_all = "snake_case")]
pub enum CheckoutStep {
    /// Post this.
    #[component(name = "form")]
    Form(Form),
    /// Go there.
    #[component(name = "redirect")]
    Redirect(String),
    /// Run this.
    #[component(name = "script")]
    Script(Script),
    /// Nothing: it is over.
    #[component(name = "done")]
    Done(Outcome),
}

/// What `begin` made.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(record)]
#[serde(deny_unknown_fields)]
pub struct Begun {
    /// Next step.
    pub step: CheckoutStep,
    /// What was changed to fit the gateway, for the shop's developer: a name cut, a character replaced.
    pub warnings: Vec<String>,
}

/// Whether the buyer may be charged.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(variant)]
#[serde(rename_all = "snake_case")]
pub enum Authentication {
    /// Yes, with this method where it is known.
    #[component(name = "authenticated")]
    Authenticated(Option<Method>),
    /// No.
    #[component(name = "declined")]
    Declined(Refusal),
    /// The buyer closed the window.
    #[component(name = "cancelled-by-buyer")]
    CancelledByBuyer,
}

/// Opens a checkout. Sends nothing that moves money.
pub const BEGIN: Function<(Context, Order, BuyerEnv), Result<Begun, PluginError>> =
    Function::new(INTERFACE, "begin", &["order", "buyer"], Network::Reads);

/// Reads a callback without approving. `http` is refused.
pub const AUTHENTICATE: Function<(Context, Order, Callback), Result<Authentication, PluginError>> =
    Function::new(INTERFACE, "authenticate", &["order", "callback"], Network::Refused);

/// Reads a callback and takes the money. Never undoes: what it cannot tell is `unknown`.
pub const COMPLETE: Function<(Context, Order, Callback), Result<Outcome, PluginError>> =
    Function::new(INTERFACE, "complete", &["order", "callback"], Network::Writes);
