//! One sealed value. Invariant: what was sealed for one cell opens in no other.

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use payhost_core::id::ShopId;
use zeroize::Zeroizing;

use super::Key;
use crate::{Error, FromValue, ToValue, Value};

/// The version that keys have until one is replaced.
pub(super) const FIRST_VERSION: u8 = 1;

const NONCE: usize = 12;

/// Where a sealed value stands: a table, a column and a row.
#[derive(Debug, Clone, Copy)]
pub struct Cell<'a> {
    /// The table.
    pub table: &'static str,
    /// The column.
    pub column: &'static str,
    /// The row's key as text; several columns joined by `/`.
    pub row: &'a str,
}

/// A sealed value: key version ‖ nonce ‖ ciphertext and tag.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(Vec<u8>);

impl Sealed {
    /// The stored bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// From stored bytes; whether they open shows when they are opened.
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sealed({} bytes)", self.0.len())
    }
}

impl ToValue for Sealed {
    fn to_value(&self) -> Value {
        Value::Blob(self.0.clone())
    }
}

impl FromValue for Sealed {
    fn from_value(value: Value) -> Result<Self, String> {
        if let Value::Blob(bytes) = value { Ok(Self(bytes)) } else { Err("sealed bytes".to_owned()) }
    }
}

/// Each part with its length in front, so that no two different places give the same bytes.
fn associated_data(cell: &Cell<'_>, shop: ShopId, version: u8) -> Vec<u8> {
    let shop = shop.to_string();
    let mut data = Vec::new();
    for part in [cell.table, cell.column, cell.row, shop.as_str()] {
        data.extend_from_slice(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        data.extend_from_slice(part.as_bytes());
    }
    data.push(version);
    data
}

pub(super) fn seal(
    key: &Key,
    version: u8,
    cell: &Cell<'_>,
    shop: ShopId,
    plain: &[u8],
) -> Result<Sealed, Error> {
    let broken = Error::Sealed { table: cell.table, column: cell.column };
    let mut nonce = [0; NONCE];
    getrandom::fill(&mut nonce).map_err(|_| Error::Random)?;
    let data = associated_data(cell, shop, version);
    let cipher = Aes256Gcm::new((&**key).into());
    let payload = Payload { msg: plain, aad: &data };
    let hidden = cipher.encrypt(&Nonce::from(nonce), payload).map_err(|_| broken)?;
    let mut sealed = Vec::with_capacity(1 + NONCE + hidden.len());
    sealed.push(version);
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(&hidden);
    Ok(Sealed(sealed))
}

pub(super) fn open(
    key: &Key,
    cell: &Cell<'_>,
    shop: ShopId,
    sealed: &Sealed,
) -> Result<Zeroizing<Vec<u8>>, Error> {
    let broken = || Error::Sealed { table: cell.table, column: cell.column };
    let (version, rest) = sealed.0.split_first().ok_or_else(broken)?;
    let (nonce, hidden) = rest.split_first_chunk::<NONCE>().ok_or_else(broken)?;
    if *version != FIRST_VERSION {
        return Err(broken());
    }
    let data = associated_data(cell, shop, *version);
    let cipher = Aes256Gcm::new((&**key).into());
    let payload = Payload { msg: hidden, aad: &data };
    cipher.decrypt(&Nonce::from(*nonce), payload).map(Zeroizing::new).map_err(|_| broken())
}
