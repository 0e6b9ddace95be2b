//! Invariant: every formula of `reference/inicis.md` that the simulator checks or answers with is written here once,
//! over raw values, and nowhere else. SHA-256 and SHA-512 are printed in lower-case hex.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sha2::{Digest, Sha256, Sha512};

use crate::aes;

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// SHA-256 in lower-case hex.
#[must_use]
pub fn sha256(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

fn sha512(parts: &[&str]) -> String {
    hex(&Sha512::digest(parts.concat().as_bytes()))
}

fn joined(pairs: &[(&str, &str)]) -> String {
    let parts: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
    sha256(&parts.join("&"))
}

/// mKey (§1.5).
#[must_use]
pub fn m_key(sign_key: &str) -> String {
    sha256(sign_key)
}

/// `signature` of the request form (§1.5).
#[must_use]
pub fn form_signature(oid: &str, price: &str, timestamp: &str) -> String {
    joined(&[("oid", oid), ("price", price), ("timestamp", timestamp)])
}

/// `verification` of the request form (§1.5).
#[must_use]
pub fn form_verification(oid: &str, price: &str, sign_key: &str, timestamp: &str) -> String {
    joined(&[("oid", oid), ("price", price), ("signKey", sign_key), ("timestamp", timestamp)])
}

/// `signature` of the approval request (§1.7).
#[must_use]
pub fn approval_signature(auth_token: &str, timestamp: &str) -> String {
    joined(&[("authToken", auth_token), ("timestamp", timestamp)])
}

/// `verification` of the approval request (§1.7).
#[must_use]
pub fn approval_verification(auth_token: &str, sign_key: &str, timestamp: &str) -> String {
    joined(&[("authToken", auth_token), ("signKey", sign_key), ("timestamp", timestamp)])
}

/// `authSignature` of the approval answer (§1.9): the last digit of the merchant's timestamp chooses the fields and
/// their order. A timestamp that does not end in a digit gets an empty signature.
#[must_use]
pub fn auth_signature(moid: &str, mid: &str, tot_price: &str, tstamp: &str) -> String {
    let (o, m, p, t) = (("MOID", moid), ("mid", mid), ("TotPrice", tot_price), ("tstamp", tstamp));
    let order = match tstamp.bytes().last() {
        Some(b'1') => [o, m, t],
        Some(b'2') => [o, t, m],
        Some(b'3') => [m, o, t],
        Some(b'4') => [m, t, o],
        Some(b'5') => [t, m, o],
        Some(b'6') => [t, o, m],
        Some(b'7') => [p, m, t],
        Some(b'8') => [p, t, m],
        Some(b'9') => [p, o, t],
        Some(b'0') => [p, t, o],
        _ => return String::new(),
    };
    joined(&order)
}

/// INIAPI v1 (§5.1, §6.1): the key and then the values in the order of the table.
#[must_use]
pub fn iniapi_v1(key: &str, values: &[&str]) -> String {
    sha512(&[&[key], values].concat())
}

/// INIAPI v2 (§5.3): `data` is serialised compactly in the order in which it came and loses every backslash.
#[must_use]
pub fn iniapi_v2(key: &str, mid: &str, kind: &str, timestamp: &str, data: &Value) -> String {
    let data = data.to_string().replace('\\', "");
    sha512(&[key, mid, kind, timestamp, &data])
}

/// P_CHKFAKE (§2.2): base64 of the raw hash.
#[must_use]
pub fn chkfake(amount: &str, oid: &str, timestamp: &str, hash_key: &str) -> String {
    STANDARD.encode(Sha512::digest([amount, oid, timestamp, hash_key].concat().as_bytes()))
}

/// Decrypts a field that INIAPI takes encrypted (§5.4); `None` if it is not base64, or key or padding is wrong.
#[must_use]
pub fn iniapi_decrypt(key: &str, iv: &str, text: &str) -> Option<String> {
    let plain = aes::decrypt(key, iv, &STANDARD.decode(text).ok()?)?;
    String::from_utf8(plain).ok()
}
