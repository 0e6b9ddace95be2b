//! What every gateway that moves money can do with a sale that exists.
//!
//! Mirrors wit/money.wit to the letter; the trial instance at load proves it.

use crate::contract::types::{Callback, Context, Method, Money, Named, Order, PluginError, Tax};
use crate::contract::{Function, Network};
use serde::{Deserialize, Serialize};
use wasmtime::component::{ComponentType, Lift, Lower};

/// Name of the interface.
pub const INTERFACE: &str = interface!("money");

/// What is asked for. The plugin uses what its gateway takes.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(record)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// Our order number.
    #[component(name = "order-ref")]
    pub order_ref: String,
    /// The gateway's number, where the host holds it.
    #[component(name = "gateway-ref")]
    pub gateway_ref: Option<String>,
    /// What was charged or should have been.
    pub amount: Money,
    /// How, where it is known.
    pub method: Option<Method>,
}

/// State of a sale at the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(enum)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum SaleState {
    /// An account waits for its deposit.
    #[component(name = "awaiting-deposit")]
    AwaitingDeposit,
    /// The money is held.
    #[component(name = "paid")]
    Paid,
    /// A part was given back.
    #[component(name = "partially-cancelled")]
    PartiallyCancelled,
    /// All was given back, or the account was closed.
    #[component(name = "cancelled")]
    Cancelled,
}

/// One cancel that the gateway knows.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(record)]
#[serde(deny_unknown_fields)]
pub struct Cancelled {
    /// The gateway's number of it, where there is one.
    #[component(name = "gateway-ref")]
    pub gateway_ref: Option<String>,
    /// How much.
    pub amount: Money,
    /// When, where the gateway says.
    #[component(name = "at-ms")]
    pub at_ms: Option<i64>,
}

/// A sale that the gateway knows.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(record)]
#[serde(deny_unknown_fields)]
pub struct Sale {
    /// Its number.
    #[component(name = "gateway-ref")]
    pub gateway_ref: String,
    /// The order number that the gateway answered. The host compares it.
    #[component(name = "order-ref")]
    pub order_ref: String,
    /// Its state.
    pub state: SaleState,
    /// The whole amount. The host compares it.
    pub amount: Money,
    /// What can still be cancelled, where the gateway says.
    pub cancellable: Option<Money>,
    /// How, where the gateway says.
    pub method: Option<Method>,
    /// When approved, where the gateway says.
    #[component(name = "approved-at-ms")]
    pub approved_at_ms: Option<i64>,
    /// Cancels, oldest first.
    pub cancels: Vec<Cancelled>,
}

/// What the gateway knows.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(variant)]
#[serde(rename_all = "snake_case")]
pub enum Inquiry {
    /// This.
    #[component(name = "found")]
    Found(Sale),
    /// Nothing by that number.
    #[component(name = "not-found")]
    NotFound,
    /// The gateway cannot be asked by what the host holds, or this merchant may not ask. Says why.
    #[component(name = "cannot-ask")]
    CannotAsk(String),
}

/// A sale of ours.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(record)]
#[serde(deny_unknown_fields)]
pub struct Charge {
    /// Our order number.
    #[component(name = "order-ref")]
    pub order_ref: String,
    /// The gateway's number.
    #[component(name = "gateway-ref")]
    pub gateway_ref: String,
    /// The whole amount.
    pub amount: Money,
    /// What has not been cancelled yet.
    pub remaining: Money,
    /// How it was paid.
    pub method: Method,
    /// When.
    #[component(name = "approved-at-ms")]
    pub approved_at_ms: i64,
}

/// Where a deposit is paid back to.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(record)]
#[serde(deny_unknown_fields)]
pub struct RefundAccount {
    /// KFTC code of the bank.
    pub bank: String,
    /// Name of the holder.
    pub holder: String,
    /// Name of the one-time secret that is the number.
    pub number: String,
}

/// What to cancel.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(record)]
#[serde(deny_unknown_fields)]
pub struct CancelRequest {
    /// How much. All that remains: a full cancel.
    pub amount: Money,
    /// Its parts, where the payment had parts.
    pub tax: Option<Tax>,
    /// Why, in words for the gateway.
    pub reason: String,
    /// For methods that need one.
    pub account: Option<RefundAccount>,
    /// How many cancels were made before.
    pub sequence: u32,
}

/// A cancel that was made.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(record)]
#[serde(deny_unknown_fields)]
pub struct Cancellation {
    /// The gateway's number of it, where there is one.
    #[component(name = "gateway-ref")]
    pub gateway_ref: Option<String>,
    /// How much.
    pub amount: Money,
    /// What remains, where the gateway says. The host compares it.
    pub remaining: Option<Money>,
    /// When.
    #[component(name = "at-ms")]
    pub at_ms: i64,
    /// Anything else worth keeping.
    pub more: Vec<Named>,
}

/// An earlier call of `complete`, so that its map can be made again to the letter.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(record)]
#[serde(deny_unknown_fields)]
pub struct Attempt {
    /// Its moment.
    #[component(name = "now-ms")]
    pub now_ms: i64,
    /// Its seed.
    pub seed: String,
    /// Its order number.
    #[component(name = "order-ref")]
    pub order_ref: String,
}

/// How undoing ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(enum)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Undone {
    /// The sale was there and is gone.
    #[component(name = "reversed")]
    Reversed,
    /// The gateway says that there is nothing to undo.
    #[component(name = "nothing-to-undo")]
    NothingToUndo,
}

/// Asks about a sale. Reads only.
pub const INQUIRE: Function<(Context, Query), Result<Inquiry, PluginError>> =
    Function::new(INTERFACE, "inquire", &["query"], Network::Reads);

/// Gives money back.
pub const CANCEL: Function<(Context, Charge, CancelRequest), Result<Cancellation, PluginError>> =
    Function::new(INTERFACE, "cancel", &["charge", "request"], Network::Writes);

/// Takes back an approval whose answer was lost or wrong (net cancel). `callback` and `attempt` are those of the call
/// of `complete`.
pub const UNDO: Function<(Context, Order, Callback, Attempt), Result<Undone, PluginError>> =
    Function::new(INTERFACE, "undo", &["order", "callback", "attempt"], Network::Writes);
