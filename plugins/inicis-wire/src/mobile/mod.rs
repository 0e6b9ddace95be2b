//! Payment in INICIS's window on a phone (`inicis.md §2`).
//!
//! Invariant: what is hashed is what is sent.

use crate::recipe::{Algorithm, Part, Recipe, secret};

/// `P_CHKFAKE`: base64 of the raw SHA-512 of amount, order number, timestamp and mobile hash key (`inicis.md §2.2`).
pub fn chkfake(amount: &str, oid: &str, timestamp: &str) -> Recipe {
    Recipe::of(
        Algorithm::Sha512,
        [Part::Text(format!("{amount}{oid}{timestamp}")), Part::Secret(secret::MOBILE_HASH_KEY)],
    )
}
