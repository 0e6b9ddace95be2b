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
        /// Since when it is not installed any more; its components run for what was sold through them.
        removed_us: Option<i64>,
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
        /// Since when it is for calls about old sales alone, of channels that were removed: the plugin was removed, too.
        withdrawn_us: Option<i64>,
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

/// Makes a version the active one; a plugin that was removed is installed again.
pub fn activate(tx: &mut Tx<'_>, plugin_id: &str, digest: &str, now_us: i64) -> Result<(), Error> {
    let plugin = Plugin {
        id: plugin_id.to_owned(),
        active_digest: digest.to_owned(),
        installed_us: now_us,
        updated_us: now_us,
        removed_us: None,
    };
    let tail = " ON CONFLICT (id) DO UPDATE SET active_digest = excluded.active_digest, updated_us = excluded.updated_us, \
                removed_us = NULL";
    plugin.insert_with(tx, tail).map(|_| ())
}

/// A plugin that is installed.
pub fn get(tx: &mut Tx<'_>, id: &str) -> Result<Option<Plugin>, Error> {
    get_or_removed(tx, id).map(|plugin| plugin.filter(|plugin| plugin.removed_us.is_none()))
}

/// A plugin that is or was installed.
pub fn get_or_removed(tx: &mut Tx<'_>, id: &str) -> Result<Option<Plugin>, Error> {
    Plugin::select_opt(tx, "WHERE id = $1", params![id])
}

/// The same, when it is going to be removed if no channel uses it: none is made until this transaction ends.
pub fn lock_to_end(tx: &mut Tx<'_>, id: &str) -> Result<Option<Plugin>, Error> {
    let tail = format!("WHERE id = $1{}", tx.for_end());
    Plugin::select_opt(tx, &tail, params![id])
}

/// Holds a plugin that a channel is going to be made of until this transaction ends; tells whether it is installed.
pub fn hold(tx: &mut Tx<'_>, id: &str) -> Result<bool, Error> {
    let sql = format!("SELECT id FROM plugin WHERE id = $1 AND removed_us IS NULL{}", tx.for_use());
    tx.query_opt(&sql, params![id], |row| row.get::<String>(0)).map(|found| found.is_some())
}

/// All plugins by id: those that are installed, or those that were.
pub fn list(tx: &mut Tx<'_>, removed: bool) -> Result<Vec<Plugin>, Error> {
    let not = if removed { "NOT " } else { "" };
    Plugin::select(tx, &format!("WHERE removed_us IS {not}NULL ORDER BY id"), params![])
}

/// Removes a plugin: its grants are withdrawn, and those to its hosts stay for what was sold through it while that may need them
/// ([`forget_grants`]).
pub fn remove(tx: &mut Tx<'_>, id: &str, now_us: i64) -> Result<(), Error> {
    tx.execute("UPDATE plugin SET removed_us = $1 WHERE id = $2", params![now_us, id])?;
    tx.execute("DELETE FROM plugin_grant WHERE plugin_id = $1 AND kind = 'browser'", params![id])?;
    let withdraw = "UPDATE plugin_grant SET withdrawn_us = $1 WHERE plugin_id = $2 AND withdrawn_us IS NULL";
    tx.execute(withdraw, params![now_us, id])?;
    forget_grants(tx).map(|_| ())
}

/// Throws withdrawn grants away that no sale needs any more: none through the plugin holds money or is in doubt. Tells how many.
pub fn forget_grants(tx: &mut Tx<'_>) -> Result<u64, Error> {
    let sql = "DELETE FROM plugin_grant WHERE withdrawn_us IS NOT NULL AND NOT EXISTS (SELECT 1 FROM channel c \
               JOIN payment p ON p.shop_id = c.shop_id AND p.channel_id = c.id WHERE c.plugin_id = plugin_grant.plugin_id \
               AND (p.resolution <> 'none' OR p.state NOT IN ('cancelled', 'failed', 'expired')))";
    tx.execute(sql, params![])
}

/// Grants an origin; one that is granted already is granted for these uses from now on.
pub fn grant(tx: &mut Tx<'_>, grant: &PluginGrant) -> Result<(), Error> {
    let tail = " ON CONFLICT (plugin_id, kind, origin) DO UPDATE SET uses = excluded.uses, granted_us = excluded.granted_us, \
                withdrawn_us = excluded.withdrawn_us";
    grant.insert_with(tx, tail).map(|_| ())
}

/// Takes a grant back; tells whether there was one.
pub fn revoke(tx: &mut Tx<'_>, plugin_id: &str, kind: GrantKind, origin: &str) -> Result<bool, Error> {
    let sql = "DELETE FROM plugin_grant WHERE plugin_id = $1 AND kind = $2 AND origin = $3";
    tx.execute(sql, params![plugin_id, kind, origin]).map(|rows| rows > 0)
}

/// A plugin's grants by kind and origin.
pub fn grants(tx: &mut Tx<'_>, plugin_id: &str) -> Result<Vec<PluginGrant>, Error> {
    let tail = "WHERE plugin_id = $1 AND withdrawn_us IS NULL ORDER BY kind, origin";
    PluginGrant::select(tx, tail, params![plugin_id])
}

/// Those that were withdrawn, and stay for old sales.
pub fn withdrawn_grants(tx: &mut Tx<'_>, plugin_id: &str) -> Result<Vec<PluginGrant>, Error> {
    let tail = "WHERE plugin_id = $1 AND withdrawn_us IS NOT NULL ORDER BY kind, origin";
    PluginGrant::select(tx, tail, params![plugin_id])
}

/// The grants of a channel's plugin, taken later: withdrawn ones only for a channel that was removed, which sells nothing.
pub fn ask_grants_of(tx: &mut Tx<'_>, shop: ShopId, channel: ChannelId) -> Result<Later<PluginGrant>, Error> {
    let tail = "WHERE plugin_id = (SELECT plugin_id FROM channel WHERE shop_id = $1 AND id = $2) AND (withdrawn_us IS NULL \
                OR (SELECT removed_us FROM channel WHERE shop_id = $1 AND id = $2) IS NOT NULL) ORDER BY kind, origin";
    PluginGrant::settings_later(tx, tail, params![shop, channel])
}
