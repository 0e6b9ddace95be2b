//! Values of secrets live here and in the bytes that go to a gateway, nowhere else; they are wiped from memory when the
//! call ends, and `Debug` shows names only.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use payhost_core::hex;

/// Keeps these hashes apart from other uses of the same key.
const HASH_PURPOSE: &[u8] = b"payhost one-time value\0";

/// A value with where it comes from.
#[derive(Clone)]
pub(crate) struct Secret {
    pub(crate) value: Zeroizing<String>,
    /// Version of a channel's secret; `None`: one-time, for this call only.
    pub(crate) version: Option<u32>,
}

/// The secrets that one call may use by name. A clone shares the values; the last one wipes them.
#[derive(Clone, Default)]
pub struct Secrets {
    values: Arc<BTreeMap<String, Secret>>,
    hash_key: Option<Arc<Zeroizing<[u8; 32]>>>,
}

impl Secrets {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a secret of the channel: `name` is the key of its setting. Its uses are those that the descriptor declares.
    #[must_use]
    pub fn with_channel(mut self, name: impl Into<String>, version: u32, value: Zeroizing<String>) -> Self {
        Arc::make_mut(&mut self.values).insert(name.into(), Secret { value, version: Some(version) });
        self
    }

    /// Adds a value for this call only: a card or account number, a billing key. It may be hashed, encrypted, and sent in
    /// a body to any origin that the call may reach; a call that uses one is not replayable.
    #[must_use]
    pub fn with_one_time(mut self, name: impl Into<String>, value: Zeroizing<String>) -> Self {
        Arc::make_mut(&mut self.values).insert(name.into(), Secret { value, version: None });
        self
    }

    /// Adds the key under which one-time values leave a keyed hash in the record: the same card number then has the same
    /// hash in all records of whoever holds the key, and tells nobody else anything. One key per shop. Without it they
    /// leave their names alone.
    #[must_use]
    pub fn with_hash_key(mut self, key: Zeroizing<[u8; 32]>) -> Self {
        self.hash_key = Some(Arc::new(key));
        self
    }

    /// Keyed hash of a value, lower-case hex: HMAC-SHA-256 of `payhost one-time value` and the value, cut to 16 bytes.
    pub(crate) fn keyed_hash(&self, value: &str) -> Option<String> {
        let mac = Hmac::<Sha256>::new_from_slice(self.hash_key.as_ref()?.as_slice()).ok()?;
        let tag = mac.chain_update(HASH_PURPOSE).chain_update(value).finalize().into_bytes();
        tag.get(..16).map(hex)
    }

    /// The key of keyed hashes alone, for values that come into being in the call.
    pub(crate) fn hash_key(&self) -> Self {
        Self { values: Arc::default(), hash_key: self.hash_key.clone() }
    }

    /// Names of the channel's secrets, sorted; one-time secrets are not among them.
    pub fn channel_names(&self) -> Vec<String> {
        self.values
            .iter()
            .filter(|(_, secret)| secret.version.is_some())
            .map(|(name, _)| name.clone())
            .collect()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Secret> {
        self.values.get(name)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Secret)> {
        self.values.iter().map(|(name, secret)| (name.as_str(), secret))
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_names_only() {
        let secrets = Secrets::new()
            .with_channel("sign_key", 1, Zeroizing::new("s3cret".into()))
            .with_one_time("card_number", Zeroizing::new("4111".into()));
        assert_eq!(format!("{secrets:?}"), r#"{"card_number", "sign_key"}"#);
        assert_eq!(secrets.channel_names(), ["sign_key"]);
    }
}
