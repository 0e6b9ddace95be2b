//! `gateway_map`: where a test gateway really is. Invariant: one target per origin.

use crate::table::{Table, table};
use crate::{Error, Later, Tx, params};

table! {
    /// One mapped origin.
    pub struct GatewayMap in "gateway_map" {
        /// The gateway's real origin, as plugins name it.
        origin: String,
        /// Where to connect instead, `address:port`.
        connect: String,
        /// The certificate authority of that address, PEM.
        ca_pem: Option<String>,
        /// The origin that a browser uses instead.
        browser_origin: Option<String>,
        /// When it was made.
        created_us: i64,
    }
}

/// Maps an origin, in place of what it was mapped to.
pub fn put(tx: &mut Tx<'_>, map: &GatewayMap) -> Result<(), Error> {
    let tail = " ON CONFLICT (origin) DO UPDATE SET connect = excluded.connect, ca_pem = excluded.ca_pem, \
                browser_origin = excluded.browser_origin, created_us = excluded.created_us";
    map.insert_with(tx, tail).map(|_| ())
}

/// All mapped origins.
pub fn list(tx: &mut Tx<'_>) -> Result<Vec<GatewayMap>, Error> {
    ask(tx)?.all(tx)
}

/// The same, taken later.
pub fn ask(tx: &mut Tx<'_>) -> Result<Later<GatewayMap>, Error> {
    GatewayMap::settings_later(tx, "ORDER BY origin", params![])
}

/// Takes a mapping away; tells whether there was one.
pub fn remove(tx: &mut Tx<'_>, origin: &str) -> Result<bool, Error> {
    tx.execute("DELETE FROM gateway_map WHERE origin = $1", params![origin]).map(|rows| rows > 0)
}
