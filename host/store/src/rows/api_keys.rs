//! `api_key`: who may call. Invariant: only a keyed hash of a key is stored, so the table lets nobody in; and a row that was
//! edited in the database lets nobody in either, because shop, scope, mode and end are bound to the key by a MAC.

use payhost_core::id::{KeyId, ShopId};

use super::Mode;
use crate::table::{Table, table, word};
use crate::{Blob, Error, Tx, Vault, params, vault};

word! {
    /// What a key is for.
    pub enum Scope {
        /// One shop, in one mode.
        Shop = "shop",
        /// The whole host.
        Operator = "operator",
    }
}

table! {
    /// An API key without its secret.
    pub struct ApiKey in "api_key" {
        /// Its id.
        id: KeyId,
        /// Whose it is; none for the operator.
        shop_id: Option<ShopId>,
        /// What it is for.
        scope: Scope,
        /// Test or live; none for the operator.
        mode: Option<Mode>,
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
        /// [`ApiKey::binding`] of all of the above but what is for people, and `revoked_us`.
        binding: Blob,
    }
}

/// Keeps this MAC apart from others of the vault.
const PURPOSE: &str = "api key row";

impl ApiKey {
    /// What the row is bound by: id, hash, scope, shop, mode and end. (Taking a revocation back, and putting an older row back
    /// whole, is not seen: who writes to the database can do both.)
    pub fn binding(&self, vault: &Vault) -> Result<[u8; 32], Error> {
        let text = |id: Option<String>| id.unwrap_or_default();
        let fields = [
            self.id.to_string().into_bytes(),
            self.hash.0.clone(),
            self.scope.as_str().into(),
            text(self.shop_id.map(|id| id.to_string())).into(),
            text(self.mode.map(|mode| mode.as_str().to_owned())).into(),
            text(self.expires_us.map(|end| end.to_string())).into(),
        ];
        let mut message = Vec::new();
        for field in fields {
            // With its length: no two rows have one message.
            message.extend_from_slice(&u64::try_from(field.len()).unwrap_or(u64::MAX).to_be_bytes());
            message.extend_from_slice(&field);
        }
        vault.mac(PURPOSE, &message)
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
        self.revoked_us.is_none() && self.expires_us.is_none_or(|end| now_us < end)
    }
}

/// Adds a key.
pub fn insert(tx: &mut Tx<'_>, key: &ApiKey) -> Result<(), Error> {
    Table::insert(key, tx)
}

/// The key with this hash, valid or not.
pub fn find(tx: &mut Tx<'_>, hash: &[u8; 32]) -> Result<Option<ApiKey>, Error> {
    let found = ApiKey::settings_later(tx, "WHERE hash = $1", params![Blob(hash.to_vec())])?.first(tx)?;
    // The index finds by a keyed hash that a stranger cannot compute; the comparison is for certainty.
    Ok(found.filter(|key| vault::same(&key.hash.0, hash)))
}

/// The keys of a shop (or, without one, the operator's), oldest first.
pub fn list(tx: &mut Tx<'_>, shop: Option<ShopId>) -> Result<Vec<ApiKey>, Error> {
    match shop {
        Some(shop) => ApiKey::select(tx, "WHERE shop_id = $1 ORDER BY id", params![shop]),
        None => ApiKey::select(tx, "WHERE shop_id IS NULL ORDER BY id", params![]),
    }
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
            "UPDATE api_key SET revoked_us = COALESCE(revoked_us, $1) WHERE id = $2 AND shop_id = $3",
            params![now_us, id, shop],
        )?,
        None => tx.execute(
            "UPDATE api_key SET revoked_us = COALESCE(revoked_us, $1) WHERE id = $2 AND shop_id IS NULL",
            params![now_us, id],
        )?,
    };
    Ok(changed == 1)
}
