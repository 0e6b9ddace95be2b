//! What a plugin may do is what its descriptor declared when it was loaded: parsed once, never widened by a call.

use std::collections::BTreeMap;

use crate::egress::{BrowserAccess, Origin};

/// The declared rights of one plugin.
#[derive(Debug, Default)]
pub(crate) struct Policy {
    /// The plugin's id; empty while it describes itself.
    pub(crate) plugin: String,
    /// Declared uses by key of the secret.
    pub(crate) secrets: BTreeMap<String, Uses>,
    /// Hosts that the plugin wants.
    pub(crate) hosts: Vec<Host>,
    /// Origins that its pages want in the buyer's browser.
    pub(crate) browser: Vec<BrowserAccess>,
}

/// Declared uses of one secret.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Uses {
    pub(crate) digest: bool,
    pub(crate) hmac_key: bool,
    /// Encrypts; with this IV.
    pub(crate) encrypt_iv: Option<String>,
    /// Decrypts; with this IV.
    pub(crate) decrypt_iv: Option<String>,
    pub(crate) iv: bool,
    pub(crate) header: Vec<Origin>,
    pub(crate) body: Vec<Origin>,
}

/// A host that the plugin wants.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Host {
    pub(crate) origin: Origin,
    /// Paths that never move money, to the letter.
    pub(crate) read_paths: Vec<String>,
}

impl Policy {
    pub(crate) fn host(&self, origin: &Origin) -> Option<&Host> {
        self.hosts.iter().find(|host| host.origin == *origin)
    }
}
