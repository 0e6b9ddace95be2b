//! Virtual accounts by API, and what the gateway reports on its own.
//!
//! Mirrors wit/vbank-notice.wit to the letter; the trial instance at load proves it.

use crate::contract::types::{Account, Approval, Context, Money, Named, Order, PluginError};
use crate::contract::{Function, Network};
use serde::{Deserialize, Serialize};
use wasmtime::component::{ComponentType, Lift, Lower};

/// Name of the interface.
pub const INTERFACE: &str = interface!("vbank-notice");

/// A message that the gateway sent, byte for byte.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(record)]
#[serde(deny_unknown_fields)]
pub struct Notice {
    /// `GET` or `POST`.
    pub verb: String,
    /// The query without `?`.
    pub query: String,
    /// As sent; empty when there was none.
    #[component(name = "content-type")]
    pub content_type: String,
    /// Byte for byte.
    #[serde(with = "crate::contract::json::base64_bytes")]
    pub body: Vec<u8>,
    /// Address that it came from, as text.
    pub source: String,
}

/// A deposit, or its cancel.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(record)]
#[serde(deny_unknown_fields)]
pub struct Deposit {
    /// The gateway's number of the deposit; not the issue's.
    #[component(name = "gateway-ref")]
    pub gateway_ref: String,
    /// The issue's number, where the message has it.
    #[component(name = "issue-ref")]
    pub issue_ref: Option<String>,
    /// Our order number.
    #[component(name = "order-ref")]
    pub order_ref: String,
    /// How much was paid in.
    pub amount: Money,
    /// Account number, blanks removed.
    pub number: String,
    /// Who paid in, where the message says.
    pub depositor: Option<String>,
    /// When.
    #[component(name = "at-ms")]
    pub at_ms: i64,
    /// Anything else worth keeping (cash receipt, message number).
    pub more: Vec<Named>,
}

/// An escrow sale moved on. Registry `escrow`: `shipped`, `confirmed`, `denied`, `denial_confirmed`, `cancelled`.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(record)]
#[serde(deny_unknown_fields)]
pub struct EscrowChange {
    /// The gateway's number of the sale.
    #[component(name = "gateway-ref")]
    pub gateway_ref: String,
    /// Our order number.
    #[component(name = "order-ref")]
    pub order_ref: String,
    /// From the registry.
    pub state: String,
    /// When.
    #[component(name = "at-ms")]
    pub at_ms: i64,
}

/// What a notice says.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(variant)]
#[serde(rename_all = "snake_case")]
pub enum NoticeFact {
    /// An account was issued.
    #[component(name = "issued")]
    Issued(Account),
    /// A payment was approved, in a flow that has no other answer.
    #[component(name = "approved")]
    Approved(Approval),
    /// Money was paid in.
    #[component(name = "deposited")]
    Deposited(Deposit),
    /// A deposit was taken back.
    #[component(name = "deposit-cancelled")]
    DepositCancelled(Deposit),
    /// Escrow.
    #[component(name = "escrow-changed")]
    EscrowChanged(EscrowChange),
    /// Nothing for us; says why.
    #[component(name = "ignored")]
    Ignored(String),
}

/// What to do and what to answer.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(record)]
#[serde(deny_unknown_fields)]
pub struct Received {
    /// In the message's order.
    pub facts: Vec<NoticeFact>,
    /// The answer's body, exactly.
    pub reply: String,
    /// The answer's content type.
    #[component(name = "reply-type")]
    pub reply_type: String,
}

/// Reads a notice. `http` is refused; it only reads. A fault makes the host answer 500, and the gateway repeats.
pub const RECEIVE: Function<(Context, Notice), Result<Received, PluginError>> =
    Function::new(INTERFACE, "receive", &["notice"], Network::Refused);

/// Opens an account without a window.
pub const ISSUE: Function<(Context, Order, String, String, i64), Result<Account, PluginError>> =
    Function::new(INTERFACE, "issue", &["order", "bank", "holder", "deadline_ms"], Network::Writes);

/// Closes an account that nobody paid into.
pub const CLOSE: Function<(Context, Account), Result<(), PluginError>> =
    Function::new(INTERFACE, "close", &["account"], Network::Writes);
