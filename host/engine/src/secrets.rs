//! Values of secrets live here and in the bytes that go to a gateway, nowhere else; they are wiped from memory when the
//! call ends, and `Debug` shows names only.

use std::collections::BTreeMap;
use std::fmt;

use zeroize::Zeroizing;

/// A value with where it comes from.
pub(crate) struct Secret {
    pub(crate) value: Zeroizing<String>,
    /// Version of a channel's secret; `None`: one-time, for this call only.
    pub(crate) version: Option<u32>,
}

/// The secrets that one call may use by name.
#[derive(Default)]
pub struct Secrets {
    values: BTreeMap<String, Secret>,
}

impl Secrets {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a secret of the channel: `name` is the key of its setting. Its uses are those that the descriptor declares.
    #[must_use]
    pub fn with_channel(mut self, name: impl Into<String>, version: u32, value: Zeroizing<String>) -> Self {
        self.values.insert(name.into(), Secret { value, version: Some(version) });
        self
    }

    /// Adds a value for this call only: a card or account number, a billing key. It may be hashed, encrypted, and sent in
    /// a body to any origin that the call may reach; a call that uses one is not replayable.
    #[must_use]
    pub fn with_one_time(mut self, name: impl Into<String>, value: Zeroizing<String>) -> Self {
        self.values.insert(name.into(), Secret { value, version: None });
        self
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
