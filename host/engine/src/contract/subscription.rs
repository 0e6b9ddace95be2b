//! A buyer's card is registered once and charged again and again.
//!
//! Mirrors wit/subscription.wit to the letter; the trial instance at load proves it.

use crate::contract::general_pay::{Begun, BuyerEnv};
use crate::contract::imports::Piece;
use crate::contract::types::{
    Approval, Buyer, Callback, Context, Institution, Method, Money, Order, Outcome, PluginError, Refusal,
};
use crate::contract::{Function, Network};
use serde::{Deserialize, Serialize};
use wasmtime::component::{ComponentType, Lift, Lower};

/// Name of the interface.
pub const INTERFACE: &str = interface!("subscription");

/// A registered card. The one place where a key crosses from the plugin to the host; afterwards it has only a name.
#[derive(Clone, PartialEq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(record)]
#[serde(deny_unknown_fields)]
pub struct BillingKey {
    /// The key, as the gateway gave it. The host encrypts it and never shows it.
    pub key: String,
    /// The gateway's number of the registration, where there is one.
    #[component(name = "gateway-ref")]
    pub gateway_ref: Option<String>,
    /// Who issued the card.
    pub issuer: Option<Institution>,
    /// Number with most digits hidden.
    #[component(name = "masked-number")]
    pub masked_number: Option<String>,
    /// How it will be charged.
    pub method: Method,
    /// The first charge, where the gateway charges at once.
    pub approval: Option<Approval>,
}

/// How a registration ended.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(variant)]
#[serde(rename_all = "snake_case")]
pub enum Registration {
    /// A key.
    #[component(name = "registered")]
    Registered(BillingKey),
    /// The gateway said no.
    #[component(name = "declined")]
    Declined(Refusal),
    /// The buyer closed the window.
    #[component(name = "cancelled-by-buyer")]
    CancelledByBuyer,
}

/// A card that was typed. Every value but the kind is the name of a one-time secret.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(record)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// Number.
    pub number: String,
    /// `YYMM`.
    pub expiry: String,
    /// Birth date `YYMMDD` or business number.
    #[component(name = "holder-number")]
    pub holder_number: Option<String>,
    /// First two digits of the password.
    pub password: Option<String>,
}

/// What is charged.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(variant)]
#[serde(rename_all = "snake_case")]
pub enum ChargeSource {
    /// Name of the one-time secret that is the billing key.
    #[component(name = "billing-key")]
    BillingKey(String),
    /// A typed card.
    #[component(name = "card")]
    Card(Card),
    /// The gateway's number of an earlier sale.
    #[component(name = "earlier")]
    Earlier(String),
}

/// A state kept between chunks of a batch; opaque to the host.
pub type Carry = Vec<u8>;

/// One charge of a batch.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(record)]
#[serde(deny_unknown_fields)]
pub struct BatchItem {
    /// Our order number.
    #[component(name = "order-ref")]
    pub order_ref: String,
    /// How much.
    pub amount: Money,
    /// Name of the one-time secret that is the billing key.
    #[component(name = "billing-key")]
    pub billing_key: String,
    /// What is sold.
    pub name: String,
    /// Who pays.
    pub buyer: Buyer,
}

/// What the gateway's batch says of one charge.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(record)]
#[serde(deny_unknown_fields)]
pub struct BatchResult {
    /// Our order number.
    #[component(name = "order-ref")]
    pub order_ref: String,
    /// How it ended.
    pub outcome: Outcome,
}

/// A chunk of a batch file.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(record)]
#[serde(deny_unknown_fields)]
pub struct BatchChunk {
    /// What to append. A billing key stands in it as the secret of its name: the plugin never sees one.
    pub pieces: Vec<Piece>,
    /// For the next chunk.
    #[serde(with = "crate::contract::json::base64_bytes")]
    pub carry: Carry,
}

/// Results read from a chunk.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(record)]
#[serde(deny_unknown_fields)]
pub struct BatchResults {
    /// Whole results found so far in this chunk.
    pub results: Vec<BatchResult>,
    /// For the next chunk.
    #[serde(with = "crate::contract::json::base64_bytes")]
    pub carry: Carry,
}

/// Opens the gateway's registration window.
pub const BEGIN_REGISTRATION: Function<(Context, Order, BuyerEnv), Result<Begun, PluginError>> =
    Function::new(INTERFACE, "begin-registration", &["order", "buyer"], Network::Reads);

/// Reads what came back from it.
pub const COMPLETE_REGISTRATION: Function<(Context, Order, Callback), Result<Registration, PluginError>> =
    Function::new(INTERFACE, "complete-registration", &["order", "callback"], Network::Writes);

/// Registers a typed card.
pub const REGISTER_CARD: Function<(Context, Order, Card), Result<Registration, PluginError>> =
    Function::new(INTERFACE, "register-card", &["order", "card"], Network::Writes);

/// Takes money without the buyer.
pub const CHARGE: Function<(Context, Order, ChargeSource), Result<Outcome, PluginError>> =
    Function::new(INTERFACE, "charge", &["order", "source"], Network::Writes);

/// Gives a key up. `key` is the name of its one-time secret.
pub const REVOKE: Function<(Context, String), Result<(), PluginError>> =
    Function::new(INTERFACE, "revoke", &["key"], Network::Writes);

/// Writes charges as the gateway's batch file, chunk by chunk; `last` closes it.
pub const ENCODE_BATCH: Function<(Context, Vec<BatchItem>, Carry, bool), Result<BatchChunk, PluginError>> =
    Function::new(INTERFACE, "encode-batch", &["items", "carry", "last"], Network::Refused);

/// Reads the gateway's answer file, chunk by chunk.
pub const DECODE_BATCH: Function<(Context, Vec<u8>, Carry, bool), Result<BatchResults, PluginError>> =
    Function::new(INTERFACE, "decode-batch", &["bytes", "carry", "last"], Network::Refused);

/// The key itself is a secret: `Debug` leaves it out.
impl std::fmt::Debug for BillingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BillingKey")
            .field("gateway_ref", &self.gateway_ref)
            .field("issuer", &self.issuer)
            .field("masked_number", &self.masked_number)
            .field("method", &self.method)
            .field("approval", &self.approval)
            .finish_non_exhaustive()
    }
}
