//! Payment in INICIS's window on a phone (`inicis.md §2`), in two transactions: INICIS authenticates, we approve.
//!
//! Invariant: what is hashed is what is sent. Each step is one file: [`request`] opens the window, [`reply`] reads what comes
//! back through the browser, [`approval`] takes the money and takes it back, [`nvp`] reads its text answers, [`details`] says
//! what was paid with; [`options`] maps what a shop may choose.

pub mod approval;
pub mod details;
pub mod nvp;
pub mod options;
pub mod reply;
pub mod request;

use crate::recipe::{Algorithm, Part, Recipe, secret};

/// `P_CHKFAKE`: base64 of the raw SHA-512 of amount, order number, timestamp and mobile hash key (`inicis.md §2.2`).
pub fn chkfake(amount: &str, oid: &str, timestamp: &str) -> Recipe {
    Recipe::of(
        Algorithm::Sha512,
        [Part::Text(format!("{amount}{oid}{timestamp}")), Part::Secret(secret::MOBILE_HASH_KEY)],
    )
}
