//! `channel`, `channel_default`, `channel_secret`: a shop's uses of plugins. Invariant: a secret is stored sealed for its
//! own cell; its version rises with every change, so that a journal can say which one was used.

use payhost_core::id::{ChannelId, ShopId};

use super::Mode;
use crate::table::{Table, table};
use crate::{Error, Json, Sealed, Tx, params};

table! {
    /// A shop's configured use of a plugin.
    pub struct Channel in "channel" {
        /// Its id.
        id: ChannelId,
        /// Whose.
        shop_id: ShopId,
        /// Which plugin.
        plugin_id: String,
        /// The pinned version.
        plugin_digest: String,
        /// For people.
        name: String,
        /// Test or live.
        mode: Mode,
        /// What it is used for, a JSON list of text.
        purposes: Json,
        /// The settings that are not secret, a JSON object.
        settings: Json,
        /// Whether new payments may use it.
        enabled: bool,
        /// When it was made.
        created_us: i64,
        /// When it was changed.
        updated_us: i64,
    }
}

table! {
    /// The channel that is used when none is named.
    pub struct ChannelDefault in "channel_default" {
        /// Whose.
        shop_id: ShopId,
        /// Test or live.
        mode: Mode,
        /// For what.
        purpose: String,
        /// Which.
        channel_id: ChannelId,
    }
}

table! {
    /// A secret of a channel.
    pub struct ChannelSecret in "channel_secret" {
        /// Whose.
        shop_id: ShopId,
        /// Of which channel.
        channel_id: ChannelId,
        /// Its name in the settings schema.
        name: String,
        /// 1, then one more with every change.
        version: i64,
        /// Its value, sealed for the cell of [`secret_row`].
        sealed: Sealed,
        /// When it was changed.
        updated_us: i64,
    }
}

/// The row of a secret's [`crate::Cell`] (table `channel_secret`, column `sealed`).
pub fn secret_row(channel: ChannelId, name: &str) -> String {
    format!("{channel}/{name}")
}

/// Adds a channel.
pub fn insert(tx: &mut Tx<'_>, channel: &Channel) -> Result<(), Error> {
    Table::insert(channel, tx)
}

/// A channel of a shop.
pub fn get(tx: &mut Tx<'_>, shop: ShopId, id: ChannelId) -> Result<Option<Channel>, Error> {
    Channel::select_opt(tx, "WHERE shop_id = $1 AND id = $2", params![shop, id])
}

/// A channel by its id alone, for jobs and for notices that gateways send.
pub fn get_of_any_shop(tx: &mut Tx<'_>, id: ChannelId) -> Result<Option<Channel>, Error> {
    Channel::select_opt(tx, "WHERE id = $1", params![id])
}

/// A shop's channels, oldest first.
pub fn list(tx: &mut Tx<'_>, shop: ShopId) -> Result<Vec<Channel>, Error> {
    Channel::select(tx, "WHERE shop_id = $1 ORDER BY id", params![shop])
}

/// Changes what may change: plugin version, name, purposes, settings, enabled.
pub fn update(tx: &mut Tx<'_>, channel: &Channel) -> Result<(), Error> {
    let sql = "UPDATE channel SET plugin_digest = $1, name = $2, purposes = $3, settings = $4, enabled = $5, updated_us = $6 \
               WHERE shop_id = $7 AND id = $8";
    let c = channel;
    let changed = tx.execute(
        sql,
        params![c.plugin_digest, c.name, c.purposes, c.settings, c.enabled, c.updated_us, c.shop_id, c.id],
    )?;
    if changed == 1 { Ok(()) } else { Err(Error::NotFound { what: "channel" }) }
}

/// Makes a channel the default of its shop for a mode and purpose.
pub fn set_default(tx: &mut Tx<'_>, default: &ChannelDefault) -> Result<(), Error> {
    let tail = " ON CONFLICT (shop_id, mode, purpose) DO UPDATE SET channel_id = excluded.channel_id";
    default.insert_with(tx, tail).map(|_| ())
}

/// The default channel of a shop for a mode and purpose.
pub fn default(tx: &mut Tx<'_>, shop: ShopId, mode: Mode, purpose: &str) -> Result<Option<Channel>, Error> {
    let tail = "WHERE shop_id = $1 AND id = (SELECT channel_id FROM channel_default \
                WHERE shop_id = $1 AND mode = $2 AND purpose = $3)";
    Channel::select_opt(tx, tail, params![shop, mode, purpose])
}

/// All defaults of a shop.
pub fn defaults(tx: &mut Tx<'_>, shop: ShopId) -> Result<Vec<ChannelDefault>, Error> {
    ChannelDefault::select(tx, "WHERE shop_id = $1 ORDER BY mode, purpose", params![shop])
}

/// Sets a secret; answers its new version.
pub fn put_secret(
    tx: &mut Tx<'_>,
    (shop, channel): (ShopId, ChannelId),
    name: &str,
    sealed: &Sealed,
    now_us: i64,
) -> Result<i64, Error> {
    let sql = "INSERT INTO channel_secret (shop_id, channel_id, name, version, sealed, updated_us) \
               VALUES ($1, $2, $3, 1, $4, $5) ON CONFLICT (shop_id, channel_id, name) DO UPDATE SET \
               version = channel_secret.version + 1, sealed = excluded.sealed, updated_us = excluded.updated_us \
               RETURNING version";
    tx.query_one(sql, params![shop, channel, name, sealed, now_us], |row| row.get(0))
}

/// A channel's secrets, sealed, by name.
pub fn secrets(tx: &mut Tx<'_>, shop: ShopId, channel: ChannelId) -> Result<Vec<ChannelSecret>, Error> {
    let tail = "WHERE shop_id = $1 AND channel_id = $2 ORDER BY name";
    ChannelSecret::select(tx, tail, params![shop, channel])
}

/// Takes a secret away; tells whether there was one.
pub fn remove_secret(tx: &mut Tx<'_>, shop: ShopId, channel: ChannelId, name: &str) -> Result<bool, Error> {
    let sql = "DELETE FROM channel_secret WHERE shop_id = $1 AND channel_id = $2 AND name = $3";
    tx.execute(sql, params![shop, channel, name]).map(|rows| rows > 0)
}
