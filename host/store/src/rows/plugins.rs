//! `component`, `plugin`, `plugin_grant`: what is installed. Invariant: a component's bytes never change (its key is their
//! SHA-256 digest), and nothing removes it.

use payhost_core::id::{ChannelId, ShopId};

use crate::table::{Table, table, word};
use crate::{Blob, Error, Json, Later, Tx, params};

table! {
    /// One version of a plugin.
    pub struct Component in "component" {
        /// SHA-256 of the bytes, in hex.
        digest: String,
        /// Which plugin.
        plugin_id: String,
        /// Its version, as its descriptor says.
        version: String,
        /// The component.
        bytes: Blob,
        /// Its descriptor.
        descriptor: Json,
        /// The interfaces that it exports, a JSON list of text.
        interfaces: Json,
        /// When it was installed.
        installed_us: i64,
    }
}

table! {
    /// A plugin and the version that new channels get.
    pub struct Plugin in "plugin" {
        /// Its id.
        id: String,
        /// The active version.
        active_digest: String,
        /// When it was first installed.
        installed_us: i64,
        /// When its active version changed.
        updated_us: i64,
    }
}

word! {
    /// Who talks to an origin.
    pub enum GrantKind {
        /// The plugin itself, through the host.
        Host = "host",
        /// The buyer's browser, because of the plugin.
        Browser = "browser",
    }
}

table! {
    /// An origin that the operator lets a plugin talk to, or send buyers to.
    pub struct PluginGrant in "plugin_grant" {
        /// The plugin.
        plugin_id: String,
        /// Who talks to it.
        kind: GrantKind,
        /// The origin.
        origin: String,
        /// In the browser: what for, a JSON list of words as the operator saw them. A later version of the plugin gets no
        /// more by declaring more.
        uses: Json,
        /// Since when.
        granted_us: i64,
    }
}

/// Keeps a component; one that is there stays as it is. Tells whether it is new.
pub fn add_component(tx: &mut Tx<'_>, component: &Component) -> Result<bool, Error> {
    component.insert_with(tx, " ON CONFLICT (digest) DO NOTHING").map(|rows| rows > 0)
}

/// A component with its bytes.
pub fn component(tx: &mut Tx<'_>, digest: &str) -> Result<Option<Component>, Error> {
    Component::select_opt(tx, "WHERE digest = $1", params![digest])
}

/// A component without its bytes (they are empty here).
pub fn component_head(tx: &mut Tx<'_>, digest: &str) -> Result<Option<Component>, Error> {
    let sql = format!("SELECT {HEAD} FROM component WHERE digest = $1");
    tx.query_opt(&sql, params![digest], Component::read)
}

/// The versions of a plugin without their bytes, newest first.
pub fn component_heads(tx: &mut Tx<'_>, plugin_id: &str) -> Result<Vec<Component>, Error> {
    let sql = format!("SELECT {HEAD} FROM component WHERE plugin_id = $1 ORDER BY installed_us DESC, digest");
    tx.query(&sql, params![plugin_id], Component::read)
}

/// The columns of a component with an empty blob in place of its bytes.
const HEAD: &str =
    "digest, plugin_id, version, substr(bytes, 1, 0) AS bytes, descriptor, interfaces, installed_us";

/// Makes a version the active one.
pub fn activate(tx: &mut Tx<'_>, plugin_id: &str, digest: &str, now_us: i64) -> Result<(), Error> {
    let plugin = Plugin {
        id: plugin_id.to_owned(),
        active_digest: digest.to_owned(),
        installed_us: now_us,
        updated_us: now_us,
    };
    let tail = " ON CONFLICT (id) DO UPDATE SET active_digest = excluded.active_digest, updated_us = excluded.updated_us";
    plugin.insert_with(tx, tail).map(|_| ())
}

/// A plugin.
pub fn get(tx: &mut Tx<'_>, id: &str) -> Result<Option<Plugin>, Error> {
    Plugin::select_opt(tx, "WHERE id = $1", params![id])
}

/// All plugins by id.
pub fn list(tx: &mut Tx<'_>) -> Result<Vec<Plugin>, Error> {
    Plugin::select(tx, "ORDER BY id", params![])
}

/// Grants an origin; one that is granted already is granted for these uses from now on.
pub fn grant(tx: &mut Tx<'_>, grant: &PluginGrant) -> Result<(), Error> {
    let tail = " ON CONFLICT (plugin_id, kind, origin) DO UPDATE SET uses = excluded.uses, granted_us = excluded.granted_us";
    grant.insert_with(tx, tail).map(|_| ())
}

/// Takes a grant back; tells whether there was one.
pub fn revoke(tx: &mut Tx<'_>, plugin_id: &str, kind: GrantKind, origin: &str) -> Result<bool, Error> {
    let sql = "DELETE FROM plugin_grant WHERE plugin_id = $1 AND kind = $2 AND origin = $3";
    tx.execute(sql, params![plugin_id, kind, origin]).map(|rows| rows > 0)
}

/// A plugin's grants by kind and origin.
pub fn grants(tx: &mut Tx<'_>, plugin_id: &str) -> Result<Vec<PluginGrant>, Error> {
    PluginGrant::select(tx, "WHERE plugin_id = $1 ORDER BY kind, origin", params![plugin_id])
}

/// The grants of a channel's plugin, taken later.
pub fn ask_grants_of(tx: &mut Tx<'_>, shop: ShopId, channel: ChannelId) -> Result<Later<PluginGrant>, Error> {
    let tail = "WHERE plugin_id = (SELECT plugin_id FROM channel WHERE shop_id = $1 AND id = $2) ORDER BY kind, origin";
    PluginGrant::settings_later(tx, tail, params![shop, channel])
}
