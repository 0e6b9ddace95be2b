//! Sealed values. Invariant: what is sealed for one place opens in no other, and every place has its name here once.

use payhost_core::id::{
    AttemptId, CallId, ChannelId, CheckoutId, EndpointId, EventId, JobId, NoticeId, PaymentId,
};
use payhost_store::rows::Mode;
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
    /// What a shop gave the plugin beside the order.
    Options(PaymentId),
    /// A shop's own values.
    Metadata(PaymentId),
    /// What a plugin tells of a sale: approval, account, masked number.
    Details(PaymentId),
    /// Why a payment's last window came to nothing.
    LastFailure(PaymentId),
    /// The order that a plugin was given.
    Order(CheckoutId),
    /// What a browser brought back, in the attempt that reads it.
    Callback(CheckoutId),
    /// What a browser brought back, while the shop must say yes.
    Held(CheckoutId),
    /// What a buyer is shown of a checkout's end.
    Result(CheckoutId),
    /// What an attempt was asked for.
    Request(AttemptId),
    /// What came of it.
    Outcome(AttemptId),
    /// What a shop is told.
    Event(EventId),
    /// What a receiver answered to an event.
    Reply(EndpointId, EventId),
    /// The answer of an idempotency key.
    Answer(Mode, &'a str),
    /// The record of a call.
    Record(CallId),
    /// How a call died, with the plugin's last words.
    Fault(CallId),
    /// A message of a gateway.
    Notice(NoticeId),
    /// What a plugin read in a message of a gateway.
    Reading(NoticeId),
    /// What a notice is about, for a list.
    Summary(NoticeId),
    /// Why a notice is where it is: words of plugins and people.
    Reason(NoticeId),
    /// Why a job is tried again: words of plugins and gateways.
    JobError(JobId),
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
            Self::Options(id) => ("payment", "options", id.to_string()),
            Self::Metadata(id) => ("payment", "metadata", id.to_string()),
            Self::Details(id) => ("payment", "details", id.to_string()),
            Self::LastFailure(id) => ("payment", "last_failure", id.to_string()),
            Self::Order(id) => ("checkout", "order_json", id.to_string()),
            Self::Callback(id) => ("attempt", "callback", id.to_string()),
            Self::Held(id) => ("checkout", "callback", id.to_string()),
            Self::Result(id) => ("checkout", "result", id.to_string()),
            Self::Request(id) => ("attempt", "request", id.to_string()),
            Self::Outcome(id) => ("attempt", "outcome", id.to_string()),
            Self::Event(id) => ("event", "payload", id.to_string()),
            Self::Reply(endpoint, event) => ("webhook_delivery", "answer", format!("{endpoint}/{event}")),
            // No mode has a `/`.
            Self::Answer(mode, key) => ("idempotency", "body", format!("{}/{key}", mode.as_str())),
            Self::Record(id) => ("call", "record", id.to_string()),
            Self::Fault(id) => ("call", "fault", id.to_string()),
            Self::Notice(id) => ("notice", "raw", id.to_string()),
            Self::Reading(id) => ("notice", "reading", id.to_string()),
            Self::Summary(id) => ("notice", "summary", id.to_string()),
            Self::Reason(id) => ("notice", "reason", id.to_string()),
            Self::JobError(id) => ("job", "last_error", id.to_string()),
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

    /// Opens words.
    pub fn open_words(&self, key: &ShopKey, sealed: &Sealed) -> Result<String, Error> {
        Ok(String::from_utf8_lossy(&self.open(key, sealed)?).into_owned())
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

#[cfg(test)]
mod tests {
    use payhost_core::id::{EndpointId, ShopId};
    use payhost_store::{MasterKey, Vault};

    use super::*;

    /// One of each place, in the row of this number.
    fn places(row: i64) -> Vec<Place<'static>> {
        let of = [0; 10];
        let (payment, checkout) = (PaymentId::new(row, of), CheckoutId::new(row, of));
        let (attempt, event) = (AttemptId::new(row, of), EventId::new(row, of));
        let (endpoint, notice) = (EndpointId::new(row, of), NoticeId::new(row, of));
        let (call, channel) = (CallId::new(row, of), ChannelId::new(row, of));
        vec![
            Place::Buyer(payment),
            Place::Options(payment),
            Place::Metadata(payment),
            Place::Details(payment),
            Place::LastFailure(payment),
            Place::Order(checkout),
            Place::Callback(checkout),
            Place::Held(checkout),
            Place::Result(checkout),
            Place::Request(attempt),
            Place::Outcome(attempt),
            Place::Event(event),
            Place::Reply(endpoint, EventId::new(1, of)),
            Place::Reply(EndpointId::new(1, of), EventId::new(row + 1, of)),
            Place::Answer(if row == 1 { Mode::Test } else { Mode::Live }, "k"),
            Place::Answer(Mode::Test, if row == 1 { "k-1" } else { "live/k" }),
            Place::Record(call),
            Place::Fault(call),
            Place::Notice(notice),
            Place::Reading(notice),
            Place::Summary(notice),
            Place::Reason(notice),
            Place::JobError(JobId::new(row, of)),
            Place::Secret(channel, "sign_key", 1),
            Place::WebhookSecret(endpoint),
            Place::OldWebhookSecret(endpoint),
        ]
    }

    #[test]
    fn what_is_sealed_for_one_place_and_row_opens_in_no_other_and_for_no_other_shop() {
        let vault = Vault::unbound(MasterKey::from_bytes([7; 32])).unwrap();
        let key = |number| {
            let shop = ShopId::new(number, [0; 10]);
            vault.unwrap(shop, &vault.new_data_key(shop).unwrap()).unwrap()
        };
        let (ours, theirs) = (key(1), key(2));
        let all: Vec<Place<'_>> = [places(1), places(2)].concat();
        for (at, place) in all.iter().enumerate() {
            let sealed = place.seal(&ours, b"whoever").unwrap();
            assert!(!sealed.as_bytes().windows(7).any(|window| window == b"whoever"), "{place:?}");
            assert!(place.open(&theirs, &sealed).is_err(), "{place:?} for another shop");
            for (other, there) in all.iter().enumerate() {
                assert_eq!(there.open(&ours, &sealed).is_ok(), at == other, "{place:?} in {there:?}");
            }
        }
    }
}
