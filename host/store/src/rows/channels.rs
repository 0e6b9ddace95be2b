//! `channel`, `channel_default`, `channel_secret`: a shop's uses of plugins. Invariant: a secret is stored sealed for its
//! own cell; its version rises with every change, so that a journal can say which one was used, and an older one stays while a
//! payment may need it. What a checkout or an attempt was made with is a revision, which never changes.

use std::collections::BTreeMap;

use payhost_core::id::{ChannelId, ShopId};

use super::{After, Mode, scoped};
use crate::table::{Table, table, word};
use crate::{Error, Json, Later, Sealed, Tx, params};

word! {
    /// What is done about an approval in doubt that the gateway, when asked, does not confirm.
    pub enum InDoubt {
        /// It is taken back, while that is possible.
        Undo = "undo",
        /// It is asked about on.
        Ask = "ask",
    }
}

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
        /// Whether what the gateway changes by itself is looked for.
        watch: bool,
        /// What is done about an approval in doubt.
        in_doubt: InDoubt,
        /// Where notices of unknown orders go on to, while a merchant id moves here.
        notice_forward_url: Option<String>,
        /// When it was made.
        created_us: i64,
        /// When it was changed.
        updated_us: i64,
        /// Since when it sells nothing for ever; what it sold can be cancelled, and its notices are heard.
        removed_us: Option<i64>,
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
        /// When it was set.
        updated_us: i64,
        /// When a newer one took its place, or it was taken away; none: it is the one in use.
        retired_us: Option<i64>,
    }
}

table! {
    /// What a channel was set to.
    pub struct ChannelRevision in "channel_revision" {
        /// Whose.
        shop_id: ShopId,
        /// Of which channel.
        channel_id: ChannelId,
        /// 1, then one more with every change.
        number: i64,
        /// The settings that are not secret, a JSON object.
        settings: Json,
        /// Versions of its secrets by name, a JSON object.
        secrets: Json,
        /// When it was set.
        created_us: i64,
    }
}

/// The row of a secret's [`crate::Cell`] (table `channel_secret`, column `sealed`).
pub fn secret_row(channel: ChannelId, name: &str, version: i64) -> String {
    format!("{channel}/{name}/{version}")
}

/// Adds a channel.
pub fn insert(tx: &mut Tx<'_>, channel: &Channel) -> Result<(), Error> {
    Table::insert(channel, tx)
}

/// A channel of a shop.
pub fn get(tx: &mut Tx<'_>, shop: ShopId, id: ChannelId) -> Result<Option<Channel>, Error> {
    ask(tx, shop, id)?.first(tx)
}

/// The same, taken later.
pub fn ask(tx: &mut Tx<'_>, shop: ShopId, id: ChannelId) -> Result<Later<Channel>, Error> {
    Channel::settings_later(tx, "WHERE shop_id = $1 AND id = $2", params![shop, id])
}

/// A channel of a shop, locked until this transaction ends: what is changed is what was read.
pub fn lock(tx: &mut Tx<'_>, shop: ShopId, id: ChannelId) -> Result<Option<Channel>, Error> {
    let tail = format!("WHERE shop_id = $1 AND id = $2{}", tx.for_update());
    Channel::select_opt(tx, &tail, params![shop, id])
}

/// A channel of a shop that is going to be removed, if nothing needs it: what is counted behind it stays so until this transaction
/// ends.
pub fn lock_to_end(tx: &mut Tx<'_>, shop: ShopId, id: ChannelId) -> Result<Option<Channel>, Error> {
    let tail = format!("WHERE shop_id = $1 AND id = $2{}", tx.for_end());
    Channel::select_opt(tx, &tail, params![shop, id])
}

/// The same for all channels of a shop.
pub fn lock_all_to_end(tx: &mut Tx<'_>, shop: ShopId) -> Result<(), Error> {
    let sql = format!("SELECT id FROM channel WHERE shop_id = $1 ORDER BY id{}", tx.for_end());
    tx.query(&sql, params![shop], |row| row.get::<ChannelId>(0)).map(|_| ())
}

/// Holds a channel that a payment is going to be made on until this transaction ends; nothing comes of it when it was switched off
/// or removed. Taken later.
pub fn ask_hold(tx: &mut Tx<'_>, shop: ShopId, id: ChannelId) -> Result<Later<ChannelId>, Error> {
    let lock = tx.for_use();
    let sql = format!(
        "SELECT id FROM channel WHERE shop_id = $1 AND id = $2 AND enabled = 1 AND removed_us IS NULL{lock}"
    );
    tx.query_later(&sql, params![shop, id], |row| row.get(0))
}

/// A shop's channels, oldest first; `removed` says whether those that were removed or all others.
pub fn list(tx: &mut Tx<'_>, shop: ShopId, removed: bool) -> Result<Vec<Channel>, Error> {
    let not = if removed { "NOT " } else { "" };
    let tail = format!("WHERE shop_id = $1 AND removed_us IS {not}NULL ORDER BY id");
    Channel::select(tx, &tail, params![shop])
}

/// Channels of a plugin that were not removed, of all shops, in the order of their ids, and how many there are.
pub fn of_plugin_of_any_shop(
    tx: &mut Tx<'_>,
    plugin: &str,
    limit: i64,
) -> Result<(i64, Vec<Channel>), Error> {
    let of_plugin = "WHERE plugin_id = $1 AND removed_us IS NULL";
    let sql = format!("SELECT COUNT(*) FROM channel {of_plugin}");
    let count = tx.query_one(&sql, params![plugin], |row| row.get(0))?;
    let tail = format!("{of_plugin} ORDER BY id, shop_id LIMIT $2");
    Ok((count, Channel::select(tx, &tail, params![plugin, limit])?))
}

/// Channels that are on, of shops that sell, of a shop and mode or of all, in the order of their ids, behind one of them.
pub fn in_use(
    tx: &mut Tx<'_>,
    scope: Option<(ShopId, Mode)>,
    after: After<'_>,
    limit: i64,
) -> Result<Vec<Channel>, Error> {
    let condition =
        "enabled = 1 AND shop_id IN (SELECT id FROM shop WHERE removed_us IS NULL AND suspended_us IS NULL)";
    scoped(tx, scope, condition, after, limit)
}

/// Changes what may change: plugin version, name, purposes, settings, switches.
pub fn update(tx: &mut Tx<'_>, channel: &Channel) -> Result<(), Error> {
    let sql = "UPDATE channel SET plugin_digest = $1, name = $2, purposes = $3, settings = $4, enabled = $5, watch = $6, \
               in_doubt = $7, notice_forward_url = $8, updated_us = $9 WHERE shop_id = $10 AND id = $11";
    let c = channel;
    let changed = tx.execute(
        sql,
        params![
            c.plugin_digest,
            c.name,
            c.purposes,
            c.settings,
            c.enabled,
            c.watch,
            c.in_doubt,
            c.notice_forward_url,
            c.updated_us,
            c.shop_id,
            c.id
        ],
    )?;
    if changed == 1 { Ok(()) } else { Err(Error::NotFound { what: "channel" }) }
}

/// Removes a channel of a shop or, without one, all: off, no default, nothing sent on; its secrets are out of use, and kept while a
/// sale may need them ([`purge_secrets`]). Its rows stay.
pub fn remove(tx: &mut Tx<'_>, shop: ShopId, id: Option<ChannelId>, now_us: i64) -> Result<(), Error> {
    let ids = match id {
        Some(id) => vec![id],
        None => list(tx, shop, false)?.into_iter().map(|channel| channel.id).collect(),
    };
    for id in ids {
        let off = "UPDATE channel SET enabled = 0, watch = 0, notice_forward_url = NULL, removed_us = $1, updated_us = $1 \
                   WHERE shop_id = $2 AND id = $3 AND removed_us IS NULL";
        let secrets = "UPDATE channel_secret SET retired_us = $1 WHERE shop_id = $2 AND channel_id = $3 AND retired_us IS NULL";
        for sql in [off, secrets] {
            tx.execute(sql, params![now_us, shop, id])?;
        }
        tx.execute("DELETE FROM channel_default WHERE shop_id = $1 AND channel_id = $2", params![shop, id])?;
    }
    Ok(())
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
    Channel::settings_later(tx, tail, params![shop, mode, purpose])?.first(tx)
}

/// All defaults of a shop.
pub fn defaults(tx: &mut Tx<'_>, shop: ShopId) -> Result<Vec<ChannelDefault>, Error> {
    ChannelDefault::select(tx, "WHERE shop_id = $1 ORDER BY mode, purpose", params![shop])
}

/// Sets a secret, sealed for its new version, which is answered. The caller holds the channel's row ([`update`]).
pub fn put_secret(
    tx: &mut Tx<'_>,
    (shop_id, channel_id): (ShopId, ChannelId),
    name: &str,
    now_us: i64,
    seal: impl FnOnce(i64) -> Result<Sealed, Error>,
) -> Result<i64, Error> {
    let sql = "SELECT COALESCE(MAX(version), 0) + 1 FROM channel_secret \
               WHERE shop_id = $1 AND channel_id = $2 AND name = $3";
    let version = tx.query_one(sql, params![shop_id, channel_id, name], |row| row.get(0))?;
    remove_secret(tx, (shop_id, channel_id), name, now_us)?;
    let sealed = seal(version)?;
    let name = name.to_owned();
    ChannelSecret { shop_id, channel_id, name, version, sealed, updated_us: now_us, retired_us: None }
        .insert(tx)?;
    Ok(version)
}

/// A channel's secrets in use, sealed, by name.
pub fn secrets(tx: &mut Tx<'_>, shop: ShopId, channel: ChannelId) -> Result<Vec<ChannelSecret>, Error> {
    let tail = "WHERE shop_id = $1 AND channel_id = $2 AND retired_us IS NULL ORDER BY name";
    ChannelSecret::settings_later(tx, tail, params![shop, channel])?.all(tx)
}

/// All of a channel's secrets, in use or retired, sealed, by name; taken later ([`secrets_of`]).
pub fn ask_secrets(tx: &mut Tx<'_>, shop: ShopId, channel: ChannelId) -> Result<Later<ChannelSecret>, Error> {
    let tail = "WHERE shop_id = $1 AND channel_id = $2 ORDER BY name, version";
    ChannelSecret::settings_later(tx, tail, params![shop, channel])
}

/// Those of a revision.
pub fn secrets_of(
    revision: &ChannelRevision,
    mut all: Vec<ChannelSecret>,
) -> Result<Vec<ChannelSecret>, Error> {
    let versions: BTreeMap<String, i64> = revision.secrets.to()?;
    all.retain(|secret| versions.get(&secret.name) == Some(&secret.version));
    Ok(all)
}

/// Takes a secret out of use; tells whether there was one.
pub fn remove_secret(
    tx: &mut Tx<'_>,
    (shop, channel): (ShopId, ChannelId),
    name: &str,
    now_us: i64,
) -> Result<bool, Error> {
    let sql = "UPDATE channel_secret SET retired_us = $1 \
               WHERE shop_id = $2 AND channel_id = $3 AND name = $4 AND retired_us IS NULL";
    tx.execute(sql, params![now_us, shop, channel, name]).map(|rows| rows > 0)
}

/// Writes what the channel is set to now as its newest revision, unless it is the newest already; answers its number. The
/// caller holds the channel's row ([`update`]).
pub fn revise(tx: &mut Tx<'_>, channel: &Channel, now_us: i64) -> Result<i64, Error> {
    let used = secrets(tx, channel.shop_id, channel.id)?;
    let versions: BTreeMap<String, i64> =
        used.into_iter().map(|secret| (secret.name, secret.version)).collect();
    let newest = revision(tx, channel.shop_id, channel.id, None)?;
    let secrets = Json::of(&versions)?;
    let mut number = 1;
    if let Some(newest) = newest {
        if newest.settings == channel.settings && newest.secrets == secrets {
            return Ok(newest.number);
        }
        number = newest.number.saturating_add(1);
    }
    let (shop_id, channel_id, settings) = (channel.shop_id, channel.id, channel.settings.clone());
    ChannelRevision { shop_id, channel_id, number, settings, secrets, created_us: now_us }.insert(tx)?;
    Ok(number)
}

/// A revision of a channel; without a number the newest.
pub fn revision(
    tx: &mut Tx<'_>,
    shop: ShopId,
    channel: ChannelId,
    number: Option<i64>,
) -> Result<Option<ChannelRevision>, Error> {
    ask_revision(tx, shop, channel, number)?.first(tx)
}

/// The same, taken later.
pub fn ask_revision(
    tx: &mut Tx<'_>,
    shop: ShopId,
    channel: ChannelId,
    number: Option<i64>,
) -> Result<Later<ChannelRevision>, Error> {
    match number {
        Some(number) => {
            let tail = "WHERE shop_id = $1 AND channel_id = $2 AND number = $3";
            ChannelRevision::settings_later(tx, tail, params![shop, channel, number])
        }
        None => {
            let tail = "WHERE shop_id = $1 AND channel_id = $2 ORDER BY number DESC LIMIT 1";
            ChannelRevision::settings_later(tx, tail, params![shop, channel])
        }
    }
}

/// Revisions of a channel, but for its newest, with which accounts were opened that wait for their deposit: of those with
/// other settings than the newest, up to `limit`, the newest first.
pub fn awaited_revisions(
    tx: &mut Tx<'_>,
    shop: ShopId,
    channel: ChannelId,
    limit: i64,
) -> Result<Vec<i64>, Error> {
    let sql = "SELECT r.number FROM channel_revision r WHERE r.shop_id = $1 AND r.channel_id = $2 \
               AND r.settings <> (SELECT settings FROM channel_revision WHERE shop_id = $1 AND channel_id = $2 \
               ORDER BY number DESC LIMIT 1) AND EXISTS (SELECT 1 FROM checkout c JOIN payment p ON p.shop_id = c.shop_id \
               AND p.id = c.payment_id WHERE c.shop_id = $1 AND c.channel_id = $2 AND c.revision = r.number \
               AND p.stage IN ('awaiting', 'late')) ORDER BY r.number DESC LIMIT $3";
    tx.query(sql, params![shop, channel, limit], |row| row.get(0))
}

/// Channels of all shops with secrets that were retired before a time, in the order of shop and id, behind one of them.
pub fn with_retired_secrets(
    tx: &mut Tx<'_>,
    before_us: i64,
    after: Option<(ShopId, ChannelId)>,
    limit: i64,
) -> Result<Vec<(ShopId, ChannelId)>, Error> {
    let sql = "SELECT DISTINCT shop_id, channel_id FROM channel_secret WHERE retired_us < $1 \
               AND (shop_id, channel_id) > ($2, $3) ORDER BY shop_id, channel_id LIMIT $4";
    let (shop, channel) = after.map(|(shop, id)| (shop.to_string(), id.to_string())).unwrap_or_default();
    tx.query(sql, params![before_us, shop, channel, limit], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// Destroys the secrets of a channel that were retired before a time and that no payment needs any more: none that holds
/// money, can still be paid or is in doubt was made with them, or may be cancelled with them, as with those of the newest revision
/// (all that a removed channel has is retired). Tells how many.
pub fn purge_secrets(
    tx: &mut Tx<'_>,
    (shop, channel): (ShopId, ChannelId),
    before_us: i64,
) -> Result<u64, Error> {
    let open = "payment.shop_id = $1 AND payment.channel_id = $2 \
                AND (payment.resolution <> 'none' OR payment.state NOT IN ('cancelled', 'failed', 'expired'))";
    let newest =
        "SELECT COALESCE(MAX(number), 0) FROM channel_revision WHERE shop_id = $1 AND channel_id = $2";
    let sql = format!(
        "SELECT ({newest}) AS revision FROM payment WHERE {open} \
         UNION SELECT revision FROM checkout JOIN payment ON payment.shop_id = checkout.shop_id \
         AND payment.id = checkout.payment_id WHERE {open} \
         UNION SELECT revision FROM attempt JOIN payment ON payment.shop_id = attempt.shop_id \
         AND payment.id = attempt.payment_id WHERE {open}"
    );
    let mut needed: Vec<(String, i64)> = Vec::new();
    for number in tx.query(&sql, params![shop, channel], |row| row.get::<i64>(0))? {
        let versions = revision(tx, shop, channel, Some(number))?.map(|row| row.secrets.to()).transpose()?;
        needed.extend(versions.unwrap_or_else(BTreeMap::new));
    }
    let tail = "WHERE shop_id = $1 AND channel_id = $2 AND retired_us < $3";
    let mut gone = 0_u64;
    for secret in ChannelSecret::select(tx, tail, params![shop, channel, before_us])? {
        if !needed.contains(&(secret.name.clone(), secret.version)) {
            let sql = "DELETE FROM channel_secret WHERE shop_id = $1 AND channel_id = $2 AND name = $3 AND version = $4";
            gone = gone.saturating_add(tx.execute(sql, params![shop, channel, secret.name, secret.version])?);
        }
    }
    Ok(gone)
}
