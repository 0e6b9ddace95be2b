//! Sealed values. Invariant: what is sealed for one place opens in no other, and every place has its name here once.

use payhost_core::id::{CallId, ChannelId, CheckoutId, EndpointId, NoticeId, PaymentId};
use payhost_store::rows::channels::secret_row;
use payhost_store::{Cell, Error, Sealed, ShopKey};
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

/// Where a sealed value stands.
#[derive(Debug, Clone, Copy)]
pub enum Place<'a> {
    /// Who pays.
    Buyer(PaymentId),
    /// The order that a plugin was given.
    Order(CheckoutId),
    /// What a browser brought back, in the attempt that reads it.
    Callback(CheckoutId),
    /// What a browser brought back, while the shop must say yes.
    Held(CheckoutId),
    /// The record of a call.
    Record(CallId),
    /// A message of a gateway.
    Notice(NoticeId),
    /// What a plugin read in a message of a gateway.
    Reading(NoticeId),
    /// A version of a channel's secret.
    Secret(ChannelId, &'a str, i64),
    /// What signs an endpoint's events.
    WebhookSecret(EndpointId),
    /// What signed them before.
    OldWebhookSecret(EndpointId),
}

impl Place<'_> {
    fn cell<T>(&self, work: impl FnOnce(&Cell<'_>) -> T) -> T {
        let (table, column, row) = match self {
            Self::Buyer(id) => ("payment", "buyer", id.to_string()),
            Self::Order(id) => ("checkout", "order_json", id.to_string()),
            Self::Callback(id) => ("attempt", "callback", id.to_string()),
            Self::Held(id) => ("checkout", "callback", id.to_string()),
            Self::Record(id) => ("call", "record", id.to_string()),
            Self::Notice(id) => ("notice", "raw", id.to_string()),
            Self::Reading(id) => ("notice", "reading", id.to_string()),
            Self::Secret(id, name, version) => ("channel_secret", "sealed", secret_row(*id, name, *version)),
            Self::WebhookSecret(id) => ("webhook_endpoint", "secret", id.to_string()),
            Self::OldWebhookSecret(id) => ("webhook_endpoint", "old_secrets", id.to_string()),
        };
        work(&Cell { table, column, row: &row })
    }

    /// Seals bytes.
    pub fn seal(&self, key: &ShopKey, bytes: &[u8]) -> Result<Sealed, Error> {
        self.cell(|cell| key.seal(cell, bytes))
    }

    /// Opens bytes.
    pub fn open(&self, key: &ShopKey, sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, Error> {
        self.cell(|cell| key.open(cell, sealed))
    }

    /// Seals a value as JSON.
    pub fn seal_json(&self, key: &ShopKey, value: &impl Serialize) -> Result<Sealed, Error> {
        let bytes = serde_json::to_vec(value).map_err(|error| Error::Json(error.to_string()))?;
        self.seal(key, &bytes)
    }

    /// Opens a value that was sealed as JSON.
    pub fn open_json<T: DeserializeOwned>(&self, key: &ShopKey, sealed: &Sealed) -> Result<T, Error> {
        let bytes = self.open(key, sealed)?;
        serde_json::from_slice(&bytes).map_err(|error| Error::Json(error.to_string()))
    }
}
