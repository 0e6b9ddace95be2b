//! `shop`: the tenants. Invariant: a shop's data key never changes without re-sealing what it sealed; a shop's row stays for
//! ever, for its sales do.

use payhost_core::id::ShopId;

use crate::table::{Table, table};
use crate::{Error, Json, Later, Sealed, Tx, params};

table! {
    /// A tenant.
    pub struct Shop in "shop" {
        /// Its id.
        id: ShopId,
        /// For people.
        name: String,
        /// Where the shop's checkout host is seen from outside, when it has its own.
        public_url: Option<String>,
        /// Origins that may receive results, as a JSON list of text.
        allowed_origins: Json,
        /// Whether it may be told in the networks that the operator allowed.
        private_webhooks: bool,
        /// Its data key, wrapped ([`crate::Vault::new_data_key`]).
        data_key: Sealed,
        /// When it was made.
        created_us: i64,
        /// Since when it sells nothing; what it sold can be cancelled, and its notices are heard.
        suspended_us: Option<i64>,
        /// Since when it is no tenant any more: nobody but the operator reads and cancels what it sold.
        removed_us: Option<i64>,
    }
}

impl Shop {
    /// Whether it may take new payments.
    pub fn is_selling(&self) -> bool {
        self.suspended_us.is_none() && self.removed_us.is_none()
    }
}

/// Adds a shop.
pub fn insert(tx: &mut Tx<'_>, shop: &Shop) -> Result<(), Error> {
    Table::insert(shop, tx)
}

/// A shop.
pub fn get(tx: &mut Tx<'_>, id: ShopId) -> Result<Option<Shop>, Error> {
    ask(tx, id)?.first(tx)
}

/// A shop whose rows this transaction is going to count and add to: others that do the same wait until it ended.
pub fn lock(tx: &mut Tx<'_>, id: ShopId) -> Result<Option<Shop>, Error> {
    let tail = format!("WHERE id = $1{}", tx.for_update());
    Shop::select_opt(tx, &tail, params![id])
}

/// The same as [`get`], taken later.
pub fn ask(tx: &mut Tx<'_>, id: ShopId) -> Result<Later<Shop>, Error> {
    Shop::settings_later(tx, "WHERE id = $1", params![id])
}

/// Shops after an id, in order of their ids; `removed` says whether those that are none any more or all others.
pub fn list(tx: &mut Tx<'_>, removed: bool, after: Option<ShopId>, limit: i64) -> Result<Vec<Shop>, Error> {
    let not = if removed { "NOT " } else { "" };
    let tail = format!("WHERE removed_us IS {not}NULL AND id > $1 ORDER BY id LIMIT $2");
    let after = after.map(|id| id.to_string()).unwrap_or_default();
    Shop::select(tx, &tail, params![after, limit])
}

/// Changes what a person may change: name, address, origins, suspended, removed.
pub fn update(tx: &mut Tx<'_>, shop: &Shop) -> Result<(), Error> {
    let sql = "UPDATE shop SET name = $1, public_url = $2, allowed_origins = $3, suspended_us = $4, removed_us = $5, \
               private_webhooks = $6 WHERE id = $7";
    let s = shop;
    let (ended, private) = ((s.suspended_us, s.removed_us), s.private_webhooks);
    let values = params![s.name, s.public_url, s.allowed_origins, ended.0, ended.1, private, s.id];
    let changed = tx.execute(sql, values)?;
    if changed == 1 { Ok(()) } else { Err(Error::NotFound { what: "shop" }) }
}

/// Its wrapped data key.
pub(crate) fn data_key(tx: &mut Tx<'_>, id: ShopId) -> Result<Option<Sealed>, Error> {
    tx.query_opt("SELECT data_key FROM shop WHERE id = $1", params![id], |row| row.get(0))
}
