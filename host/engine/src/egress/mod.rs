//! A request leaves only to an origin that was granted, over TLS that proves its name, to an address that is public or that
//! the operator mapped by hand.

pub mod addresses;
mod client;
mod origins;
mod script;

use std::collections::BTreeSet;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

pub use client::{Client, ClientError, HttpTimeouts, Outgoing, Received, SendError};
pub use origins::{Origin, OriginError};
pub use script::{Difference, Pause, Recorded, Script, Transport};

/// Where one channel's calls may go. Empty: nowhere.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EgressPolicy {
    /// What the operator granted to this plugin. A request needs the descriptor's word besides.
    pub granted: Vec<Origin>,
    /// The gateway map; test channels only.
    pub map: Vec<Mapping>,
}

impl EgressPolicy {
    /// The mapping of an origin.
    pub fn mapping(&self, origin: &Origin) -> Option<&Mapping> {
        self.map.iter().find(|mapping| mapping.origin == *origin)
    }
}

/// What one origin may do on the pages of the buyer's browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrowserAccess {
    /// The origin, to the letter.
    pub origin: Origin,
    /// Words of the registry `browser-use`.
    pub uses: BTreeSet<String>,
}

/// One line of the gateway map: requests to `origin` go to `connect`, with the origin's own name in TLS and in `Host`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Mapping {
    /// The gateway's real origin, as plugins name it.
    pub origin: Origin,
    /// Where to connect instead; may be a private address.
    pub connect: SocketAddr,
    /// The only authority that is trusted there, PEM. Absent: the public ones.
    pub ca_pem: Option<String>,
}
