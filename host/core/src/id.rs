//! Ids. Invariant: an id of one kind cannot be used as another, and its text is a prefix, `_`, and a UUIDv7 as 26
//! lower-case characters of Crockford base32 (so ids sort by time and are safe in URLs and order numbers).
//!
//! An id is not a secret: 74 of its bits are random, but it is logged and shown. Nothing is authorised by an id alone.

use std::fmt;
use std::str::FromStr;

use data_encoding::{Encoding, Specification};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Text that is not an id of the wanted kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an id: {prefix}_ and 26 characters (mistyped?)")]
pub struct InvalidId {
    prefix: &'static str,
}

/// Crockford's alphabet in lower case; 128 bits become 26 characters, the last of which holds 3 bits.
fn base32() -> &'static Encoding {
    static ENCODING: std::sync::OnceLock<Encoding> = std::sync::OnceLock::new();
    ENCODING.get_or_init(|| {
        let mut specification = Specification::new();
        specification.symbols.push_str("0123456789abcdefghjkmnpqrstvwxyz");
        // The specification is a constant of 32 different characters; it is tested below.
        specification.encoding().unwrap_or(data_encoding::BASE32_NOPAD)
    })
}

/// Bytes in the alphabet of ids: lower case, and no two characters that people take for each other.
pub fn crockford(bytes: &[u8]) -> String {
    base32().encode(bytes)
}

/// A fresh UUIDv7 made of a time in ms and random bytes that the caller brings (time and randomness come in through
/// parameters).
fn fresh(now_ms: i64, random: [u8; 10]) -> Uuid {
    let ms = u64::try_from(now_ms).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(ms, &random).into_uuid()
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
            #[serde(try_from = "String", into = "String")]
            pub struct $name(Uuid);

            impl $name {
                /// What its text begins with.
                pub const PREFIX: &'static str = $prefix;

                /// Characters behind the prefix and its `_`.
                pub const SUFFIX_LENGTH: usize = 26;

                /// A new id, from the moment and ten random bytes.
                pub fn new(now_ms: i64, random: [u8; 10]) -> Self {
                    Self(fresh(now_ms, random))
                }

                /// The 26 characters behind the prefix.
                pub fn suffix(&self) -> String {
                    base32().encode(self.0.as_bytes())
                }

                /// The 16 bytes.
                pub fn as_bytes(&self) -> &[u8; 16] {
                    self.0.as_bytes()
                }
            }

            impl fmt::Display for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    write!(f, "{}_{}", Self::PREFIX, self.suffix())
                }
            }

            impl fmt::Debug for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    fmt::Display::fmt(self, f)
                }
            }

            impl FromStr for $name {
                type Err = InvalidId;

                fn from_str(text: &str) -> Result<Self, InvalidId> {
                    let wrong = InvalidId { prefix: $prefix };
                    let suffix = text.strip_prefix(concat!($prefix, "_")).ok_or(wrong)?;
                    let bytes = base32().decode(suffix.as_bytes()).map_err(|_| wrong)?;
                    Uuid::from_slice(&bytes).map(Self).map_err(|_| wrong)
                }
            }

            impl TryFrom<String> for $name {
                type Error = InvalidId;

                fn try_from(text: String) -> Result<Self, InvalidId> {
                    text.parse()
                }
            }

            impl From<$name> for String {
                fn from(id: $name) -> String {
                    id.to_string()
                }
            }
        )*

        #[cfg(test)]
        const PREFIXES: &[&str] = &[$($prefix),*];
    };
}

ids! {
    /// A shop.
    ShopId = "shop";
    /// An API key (not its secret).
    KeyId = "key";
    /// A channel.
    ChannelId = "chn";
    /// A payment.
    PaymentId = "pay";
    /// A checkout.
    CheckoutId = "chk";
    /// An attempt.
    AttemptId = "att";
    /// A journaled run of a plugin function.
    CallId = "call";
    /// A fact.
    FactId = "fct";
    /// A gateway's notice.
    NoticeId = "ntc";
    /// An event.
    EventId = "evt";
    /// An endpoint: where a shop is told of events.
    EndpointId = "wep";
    /// A job.
    JobId = "job";
    /// An HTTP request.
    RequestId = "req";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_from_its_text() {
        let id = PaymentId::new(1_700_000_000_000, [7; 10]);
        let text = id.to_string();
        assert_eq!(text.len(), "pay_".len() + 26);
        assert_eq!(text.parse::<PaymentId>().unwrap(), id);
        assert!(text.parse::<CheckoutId>().is_err());
    }

    #[test]
    fn ids_sort_by_time() {
        let early = PaymentId::new(1_700_000_000_000, [255; 10]).to_string();
        let late = PaymentId::new(1_700_000_000_001, [0; 10]).to_string();
        assert!(early < late);
    }

    #[test]
    fn other_text_is_refused() {
        let good = PaymentId::new(1, [1; 10]).to_string();
        for bad in [
            "",
            "pay_",
            "pay_ABC",
            &good.to_uppercase(),
            &good[1..],
            &format!("{good}0"),
            "pay_../../etc/passwd",
        ] {
            assert!(bad.parse::<PaymentId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn prefixes_are_unique() {
        let mut seen = PREFIXES.to_vec();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), PREFIXES.len());
    }
}
