//! Secrets at rest. Invariant: a sealed value opens only with the master key it was made under, in the place and for the
//! shop it was made for; keys leave memory when their holders do.
//!
//! The master key wraps one random data key per shop (`shop.data_key`); the data key seals that shop's values. Both use
//! AES-256-GCM in one form: key version (1 byte) ‖ nonce (12) ‖ ciphertext and tag, with the table, column, row, shop and
//! key version as associated data. API keys are kept as HMAC-SHA-256 under a pepper derived from the master key.

mod master_key;
mod seal;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use payhost_core::id::ShopId;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

pub use master_key::MasterKey;
pub use seal::{Cell, Sealed};

use crate::rows::{meta, shops};
use crate::{Error, Store, Tx};

/// The `meta` row that tells whether a master key is this database's.
const CHECK: &str = "master_key_check";

/// Data keys that are kept unwrapped (about 150 bytes each).
const CACHED_KEYS: usize = 65_536;

/// A 32-byte key that is wiped when it is dropped.
type Key = Zeroizing<[u8; 32]>;

/// Opens and seals. Clones are cheap and share their cache.
#[derive(Clone)]
pub struct Vault {
    inner: Arc<Inner>,
}

struct Inner {
    master: MasterKey,
    wrap: Key,
    pepper: Key,
    /// By shop, beside the wrapped form that each was unwrapped from: a row that changed is unwrapped again.
    keys: Mutex<HashMap<ShopId, (Sealed, ShopKey)>>,
}

impl Vault {
    /// Whether the database belongs to a master key already: then another one must not be made for it.
    pub async fn is_bound(store: &Store) -> Result<bool, Error> {
        Ok(store.read(|tx| meta::get(tx, CHECK)).await?.is_some())
    }

    /// Binds a new database to this master key, or checks that it is the database's: [`Error::WrongMasterKey`].
    pub async fn open(store: &Store, master: MasterKey) -> Result<Self, Error> {
        let check = payhost_core::hex(master.derive("payhost master key check", &[])?.as_slice());
        let wanted = check.clone();
        let found = store.transact(move |tx| meta::get_or_set(tx, CHECK, &wanted)).await?;
        if !bool::from(found.as_bytes().ct_eq(check.as_bytes())) {
            return Err(Error::WrongMasterKey);
        }
        Self::unbound(master)
    }

    /// The same without a look at a database: with another one's master key it opens nothing. For who reads one from outside.
    pub fn unbound(master: MasterKey) -> Result<Self, Error> {
        let wrap = master.derive("payhost wrap data keys", &[])?;
        let pepper = master.derive("payhost api keys", &[])?;
        Ok(Self { inner: Arc::new(Inner { master, wrap, pepper, keys: Mutex::default() }) })
    }

    /// A new data key for a shop, wrapped: the value of `shop.data_key`.
    pub fn new_data_key(&self, shop: ShopId) -> Result<Sealed, Error> {
        let mut key = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *key).map_err(|_| Error::Random)?;
        seal::seal(&self.inner.wrap, seal::FIRST_VERSION, &data_key_cell(&shop.to_string()), shop, &*key)
    }

    /// The key of a shop, from its row (or from memory, when the row has not changed).
    pub fn shop_key(&self, tx: &mut Tx<'_>, shop: ShopId) -> Result<ShopKey, Error> {
        let wrapped = shops::data_key(tx, shop)?.ok_or(Error::NotFound { what: "shop" })?;
        self.unwrap(shop, &wrapped)
    }

    /// The key of a shop that is in memory. It is made once, with the shop, so what was unwrapped before is the key.
    pub fn known(&self, shop: ShopId) -> Option<ShopKey> {
        let keys = self.inner.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.get(&shop).map(|(_, key)| key.clone())
    }

    /// The key of a shop, from memory or, the first time, from its row.
    pub fn key_of(&self, tx: &mut Tx<'_>, shop: ShopId) -> Result<ShopKey, Error> {
        self.known(shop).map_or_else(|| self.shop_key(tx, shop), Ok)
    }

    /// The key of a shop, from the wrapped form in its row.
    pub fn unwrap(&self, shop: ShopId, wrapped: &Sealed) -> Result<ShopKey, Error> {
        let mut keys = self.inner.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, key)) = keys.get(&shop)
            && known == wrapped
        {
            return Ok(key.clone());
        }
        let plain = seal::open(&self.inner.wrap, &data_key_cell(&shop.to_string()), shop, wrapped)?;
        let bytes: [u8; 32] = plain.as_slice().try_into().map_err(|_| DATA_KEY_BROKEN)?;
        let key = ShopKey { shop, key: Arc::new(Zeroizing::new(bytes)) };
        if keys.len() >= CACHED_KEYS {
            keys.clear();
        }
        keys.insert(shop, (wrapped.clone(), key.clone()));
        Ok(key)
    }

    /// The stored form of an API key: look rows up by it.
    pub fn hash_api_key(&self, key: &str) -> Result<[u8; 32], Error> {
        Ok(*master_key::mac(&self.inner.pepper, &[key.as_bytes()])?)
    }

    /// A MAC under a key of its own per purpose (browser tokens and the like). Compare with [`same`].
    pub fn mac(&self, purpose: &str, message: &[u8]) -> Result<[u8; 32], Error> {
        let key = self.inner.master.derive("payhost purpose", purpose.as_bytes())?;
        Ok(*master_key::mac(&key, &[message])?)
    }
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Vault")
    }
}

/// Whether two secrets are equal, in a time that does not tell where they differ.
pub fn same(one: &[u8], other: &[u8]) -> bool {
    one.ct_eq(other).into()
}

const DATA_KEY_BROKEN: Error = Error::Sealed { table: "shop", column: "data_key" };

fn data_key_cell(row: &str) -> Cell<'_> {
    Cell { table: "shop", column: "data_key", row }
}

/// A shop's data key. Clones share the bytes, which are wiped with the last one.
#[derive(Clone)]
pub struct ShopKey {
    shop: ShopId,
    key: Arc<Key>,
}

impl ShopKey {
    /// Seals a value for one place.
    pub fn seal(&self, cell: &Cell<'_>, plain: &[u8]) -> Result<Sealed, Error> {
        seal::seal(&self.key, seal::FIRST_VERSION, cell, self.shop, plain)
    }

    /// Opens a value that was sealed for this place; anything else is [`Error::Sealed`].
    pub fn open(&self, cell: &Cell<'_>, sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, Error> {
        seal::open(&self.key, cell, self.shop, sealed)
    }

    /// Whose it is.
    pub fn shop(&self) -> ShopId {
        self.shop
    }
}

impl std::fmt::Debug for ShopKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ShopKey({})", self.shop)
    }
}
