//! Invariant: a recipe says *how* a hash is made and never holds the value of a secret.
//!
//! The component hands a recipe to the host's `crypto.digest`; the native tests evaluate it with the vectors' public keys.

/// Keys of the channel settings that hold secrets (`inicis.md §0.1`).
pub mod secret {
    /// Web payment sign key.
    pub const SIGN_KEY: &str = "sign_key";
    /// Mobile hash key.
    pub const MOBILE_HASH_KEY: &str = "mobile_hash_key";
    /// INIAPI key.
    pub const INIAPI_KEY: &str = "iniapi_key";
    /// INIAPI IV.
    pub const INIAPI_IV: &str = "iniapi_iv";
    /// INILite key.
    pub const INILITE_KEY: &str = "inilite_key";
}

/// Hash function of a recipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// PC web standard (`inicis.md §1.5`).
    Sha256,
    /// INIAPI and mobile (`inicis.md §2.2, §5`).
    Sha512,
}

impl Algorithm {
    /// The name in the host's registry of digests.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha-256",
            Self::Sha512 => "sha-512",
        }
    }
}

/// A piece of what is hashed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// UTF-8.
    Text(String),
    /// The value of this secret, used as text, never decoded (`inicis.md §0.1, §8.1`).
    Secret(&'static str),
}

/// What to hash: the parts joined without a separator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    /// With what.
    pub algorithm: Algorithm,
    /// In order.
    pub parts: Vec<Part>,
}

impl Recipe {
    /// A recipe of text alone.
    pub fn of_text(algorithm: Algorithm, text: String) -> Self {
        Self { algorithm, parts: vec![Part::Text(text)] }
    }

    /// A recipe of parts.
    pub fn of(algorithm: Algorithm, parts: impl Into<Vec<Part>>) -> Self {
        Self { algorithm, parts: parts.into() }
    }
}

const HEX: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];

/// Lower-case hex, as every INICIS hash but `P_CHKFAKE` is written (`inicis.md §1.5`).
pub fn hex(bytes: &[u8]) -> String {
    let nibble = |n: u8| HEX.get(usize::from(n)).copied().unwrap_or('0');
    bytes.iter().flat_map(|b| [nibble(b >> 4), nibble(b & 15)]).collect()
}

const B64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Standard base64 with padding, for `P_CHKFAKE` and ciphertexts (`inicis.md §2.2, §5.4`).
pub fn base64(bytes: &[u8]) -> String {
    let letter = |n: u32| B64.get(usize::from(n.to_le_bytes()[0] & 63)).copied().map_or('A', char::from);
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
        let word = byte(0) << 16 | byte(1) << 8 | byte(2);
        out.push(letter(word >> 18));
        out.push(letter(word >> 12));
        out.push(if chunk.len() > 1 { letter(word >> 6) } else { '=' });
        out.push(if chunk.len() > 2 { letter(word) } else { '=' });
    }
    out
}
