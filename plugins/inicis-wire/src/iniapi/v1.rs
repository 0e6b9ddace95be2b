//! Hashes of INIAPI v1 (`inicis.md §5.1, §6.1`).
//!
//! Invariant: the plaintext is the values alone, in the order of the manual; a value that a service does not have is not there.

use crate::recipe::{Algorithm, Part, Recipe, secret};

/// What v1 hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hashed<'a> {
    /// `type`: `Refund`, `PartialRefund`, `Extra`.
    pub kind: &'a str,
    /// `paymethod`.
    pub paymethod: &'a str,
    /// `YYYYMMDDhhmmss`.
    pub timestamp: &'a str,
    /// IPv4.
    pub client_ip: &'a str,
    /// MID.
    pub mid: &'a str,
    /// `tid`, `price`, `confirmPrice` and `refundAcctNum` (as base64 ciphertext), where the service has them.
    pub rest: [Option<&'a str>; 4],
}

/// `hashData` of v1: SHA-512 of key and values (`inicis.md §5.1`; of the inquiry, without `tid`, §6.1).
pub fn hash(of: &Hashed<'_>) -> Recipe {
    let rest: String = of.rest.iter().copied().flatten().collect();
    let text = format!("{}{}{}{}{}{rest}", of.kind, of.paymethod, of.timestamp, of.client_ip, of.mid);
    Recipe::of(Algorithm::Sha512, [Part::Secret(secret::INIAPI_KEY), Part::Text(text)])
}
