//! `api_key`, `operator_key`: who may call. Invariant: only a keyed hash of a key is stored, so the tables let nobody in; and a row
//! that was edited in the database lets nobody in either, because shop, mode and end are bound to the key by a MAC.

use payhost_core::id::{KeyId, ShopId};

use super::Mode;
use crate::table::{Table, table};
use crate::{Blob, Error, Tx, Vault, params, vault};

table! {
    /// A shop's key without its secret.
    pub struct ApiKey in "api_key" {
        /// Its id.
        id: KeyId,
        /// Whose it is.
        shop_id: ShopId,
        /// Test or live.
        mode: Mode,
        /// For people.
        name: String,
        /// [`crate::Vault::hash_api_key`].
        hash: Blob,
        /// Its last 4 characters, for people.
        hint: String,
        /// When it was made.
        created_us: i64,
        /// When it ends.
        expires_us: Option<i64>,
        /// Since when it is refused.
        revoked_us: Option<i64>,
        /// A MAC of id, hash, shop, mode and end.
        binding: Blob,
    }
}

table! {
    /// An operator's key, for the whole host, without its secret.
    pub struct OperatorKey in "operator_key" {
        /// Its id.
        id: KeyId,
        /// For people.
        name: String,
        /// [`crate::Vault::hash_api_key`].
        hash: Blob,
        /// Its last 4 characters, for people.
        hint: String,
        /// When it was made.
        created_us: i64,
        /// When it ends.
        expires_us: Option<i64>,
        /// Since when it is refused.
        revoked_us: Option<i64>,
        /// A MAC of id, hash and end.
        binding: Blob,
    }
}

/// Keeps this MAC apart from others of the vault.
const PURPOSE: &str = "api key row";

/// A MAC of fields. Each goes in with its length, so that no two rows have the same message. (Undoing a revocation, and restoring an
/// older row as a whole, is not detected: who can write to the database can do both.)
fn bind(vault: &Vault, fields: &[&[u8]]) -> Result<[u8; 32], Error> {
    let mut message = Vec::new();
    for field in fields {
        message.extend_from_slice(&u64::try_from(field.len()).unwrap_or(u64::MAX).to_be_bytes());
        message.extend_from_slice(field);
    }
    vault.mac(PURPOSE, &message)
}

fn end_text(expires_us: Option<i64>) -> String {
    expires_us.map(|end| end.to_string()).unwrap_or_default()
}

fn is_valid(revoked_us: Option<i64>, expires_us: Option<i64>, now_us: i64) -> bool {
    revoked_us.is_none() && expires_us.is_none_or(|end| now_us < end)
}

impl ApiKey {
    fn binding(&self, vault: &Vault) -> Result<[u8; 32], Error> {
        let (id, shop, end) = (self.id.to_string(), self.shop_id.to_string(), end_text(self.expires_us));
        let mode = self.mode.as_str();
        bind(vault, &[id.as_bytes(), &self.hash.0, b"shop", shop.as_bytes(), mode.as_bytes(), end.as_bytes()])
    }

    /// The row with its binding, to be stored.
    pub fn bound(mut self, vault: &Vault) -> Result<Self, Error> {
        self.binding = Blob(self.binding(vault)?.to_vec());
        Ok(self)
    }

    /// Whether the row is as it was made.
    pub fn is_bound(&self, vault: &Vault) -> Result<bool, Error> {
        Ok(vault::same(&self.binding.0, &self.binding(vault)?))
    }

    /// Whether it lets anybody in at this moment.
    pub fn is_valid(&self, now_us: i64) -> bool {
        is_valid(self.revoked_us, self.expires_us, now_us)
    }
}

impl OperatorKey {
    fn binding(&self, vault: &Vault) -> Result<[u8; 32], Error> {
        let (id, end) = (self.id.to_string(), end_text(self.expires_us));
        bind(vault, &[id.as_bytes(), &self.hash.0, b"operator", end.as_bytes()])
    }

    /// The row with its binding, to be stored.
    pub fn bound(mut self, vault: &Vault) -> Result<Self, Error> {
        self.binding = Blob(self.binding(vault)?.to_vec());
        Ok(self)
    }

    /// Whether the row is as it was made.
    pub fn is_bound(&self, vault: &Vault) -> Result<bool, Error> {
        Ok(vault::same(&self.binding.0, &self.binding(vault)?))
    }

    /// Whether it lets anybody in at this moment.
    pub fn is_valid(&self, now_us: i64) -> bool {
        is_valid(self.revoked_us, self.expires_us, now_us)
    }
}

/// Adds a shop's key.
pub fn insert(tx: &mut Tx<'_>, key: &ApiKey) -> Result<(), Error> {
    Table::insert(key, tx)
}

/// Adds an operator's key.
pub fn insert_operator(tx: &mut Tx<'_>, key: &OperatorKey) -> Result<(), Error> {
    Table::insert(key, tx)
}

/// The key of a shop with this hash, valid or not.
pub fn find(tx: &mut Tx<'_>, shop: ShopId, hash: &[u8; 32]) -> Result<Option<ApiKey>, Error> {
    let tail = "WHERE shop_id = $1 AND hash = $2";
    let found = ApiKey::settings_later(tx, tail, params![shop, Blob(hash.to_vec())])?.first(tx)?;
    // The index finds by a keyed hash that a stranger cannot compute; the comparison is for certainty.
    Ok(found.filter(|key| vault::same(&key.hash.0, hash)))
}

/// The operator's key with this hash, valid or not.
pub fn find_operator(tx: &mut Tx<'_>, hash: &[u8; 32]) -> Result<Option<OperatorKey>, Error> {
    let found =
        OperatorKey::settings_later(tx, "WHERE hash = $1", params![Blob(hash.to_vec())])?.first(tx)?;
    Ok(found.filter(|key| vault::same(&key.hash.0, hash)))
}

/// The keys of a shop, oldest first.
pub fn list(tx: &mut Tx<'_>, shop: ShopId) -> Result<Vec<ApiKey>, Error> {
    ApiKey::select(tx, "WHERE shop_id = $1 ORDER BY id", params![shop])
}

/// The operators' keys, oldest first.
pub fn list_operators(tx: &mut Tx<'_>) -> Result<Vec<OperatorKey>, Error> {
    OperatorKey::select(tx, "ORDER BY id", params![])
}

/// Refuses all keys of a shop from now on.
pub fn revoke_all(tx: &mut Tx<'_>, shop: ShopId, now_us: i64) -> Result<(), Error> {
    let sql = "UPDATE api_key SET revoked_us = $1 WHERE shop_id = $2 AND revoked_us IS NULL";
    tx.execute(sql, params![now_us, shop]).map(|_| ())
}

/// Refuses a key of this shop (or of the operator) from now on; tells whether there was one.
pub fn revoke(tx: &mut Tx<'_>, shop: Option<ShopId>, id: KeyId, now_us: i64) -> Result<bool, Error> {
    let changed = match shop {
        Some(shop) => tx.execute(
            "UPDATE api_key SET revoked_us = COALESCE(revoked_us, $1) WHERE shop_id = $2 AND id = $3",
            params![now_us, shop, id],
        )?,
        None => tx.execute(
            "UPDATE operator_key SET revoked_us = COALESCE(revoked_us, $1) WHERE id = $2",
            params![now_us, id],
        )?,
    };
    Ok(changed == 1)
}
