//! An origin is parsed once, into a type that can only be `https` with a host **name**; an empty list allows nothing.
//!
//! | text | meaning |
//! |---|---|
//! | `https://host` | this host, port 443 |
//! | `https://host:8443` | this host, this port |
//! | `https://한국.example` | the same as `https://xn--3e0b707e.example` |
//! | `http://…`, no scheme, `*` | refused: nothing but TLS, nothing but whole names |
//! | `https://10.0.0.1`, `https://[::1]`, `https://0x7f.1` | refused: an address is not a name that a certificate is checked against |
//! | `https://user@host`, a path, a query, a fragment | refused: not an origin |
//! | `https://host.` | refused: another writing of `https://host` |
//! | `https://*`, `https://a;b`, `https://'self'`, `https://a_b` | refused: a URL may carry these, a host name is letters, digits and `-` |

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use url::{Host, Url};

/// `https://host[:port]`: a host name in lower-case ASCII (IDN as punycode) and a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin {
    host: String,
    port: u16,
}

/// Why a text is not an origin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// Not a URL.
    #[error("`{0}` is not an origin: write `https://host` or `https://host:port`")]
    NotAUrl(String),
    /// Another scheme than `https`.
    #[error("`{0}` does not begin with `https://`: gateways are reached over TLS only")]
    NotHttps(String),
    /// An IP address where a name must be.
    #[error(
        "`{0}` has an address in place of a host name; names only, so that the certificate can be checked"
    )]
    Address(String),
    /// User info, path, query, fragment or a dot at the end of the name.
    #[error(
        "`{0}` has more than `https://host:port`: leave out user info, path, query, fragment and a final dot"
    )]
    NotAnOrigin(String),
    /// A character that no host name has.
    #[error(
        "`{0}` has no host name that could be looked up: labels of letters, digits and `-`, joined by dots, no wildcard"
    )]
    Name(String),
}

/// Longest host name, and longest label of one (RFC 1035, section 2.3.4).
const NAME_BYTES: usize = 253;
const LABEL_BYTES: usize = 63;

/// Whether a name (lower-case ASCII) is one that a host may have: RFC 1123, section 2.1. Everything that an origin is written
/// into (a policy of a page, a `Host` header, a grant) relies on these characters alone.
fn is_host_name(name: &str) -> bool {
    let label = |label: &str| {
        (1..=LABEL_BYTES).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= NAME_BYTES && name.split('.').all(label)
}

impl Origin {
    /// The host name, lower-case ASCII.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port; 443 when none was written.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `host` or `host:port`, as in a `Host` header.
    pub fn authority(&self) -> String {
        if self.port == 443 { self.host.clone() } else { format!("{}:{}", self.host, self.port) }
    }

    /// The origin of a URL.
    ///
    /// # Errors
    /// When the URL is not `https` to a host name, or has user info.
    pub fn of(url: &Url) -> Result<Self, OriginError> {
        if url.scheme() != "https" {
            return Err(OriginError::NotHttps(shown(url)));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(OriginError::NotAnOrigin(shown(url)));
        }
        match url.host() {
            Some(Host::Domain(host)) if host.is_empty() || host.ends_with('.') => {
                Err(OriginError::NotAnOrigin(shown(url)))
            }
            Some(Host::Domain(host)) if !is_host_name(host) => Err(OriginError::Name(shown(url))),
            Some(Host::Domain(host)) => Ok(Self { host: host.to_owned(), port: url.port().unwrap_or(443) }),
            None => Err(OriginError::NotAnOrigin(shown(url))),
            Some(Host::Ipv4(_) | Host::Ipv6(_)) => Err(OriginError::Address(shown(url))),
        }
    }
}

/// A URL for a message: without user info and query.
fn shown(url: &Url) -> String {
    format!("{}://{}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path())
}

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        let url = Url::parse(text).map_err(|_| OriginError::NotAUrl(text.to_owned()))?;
        let origin = Self::of(&url)?;
        // What is left after the authority may be nothing or the `/` that the parser adds.
        let rest = text.get("https://".len()..).unwrap_or_default();
        let bare = !rest.contains(['/', '?', '#', '@', '\\', ' ', '\t', '\n', '\r']);
        if bare { Ok(origin) } else { Err(OriginError::NotAnOrigin(text.to_owned())) }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}", self.authority())
    }
}

impl Serialize for Origin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Origin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar_is_the_table() {
        for (text, shown) in [
            ("https://stdpay.example.com", "https://stdpay.example.com"),
            ("https://STDPAY.example.com", "https://stdpay.example.com"),
            ("https://x.example:443", "https://x.example"),
            ("https://x.example:8443", "https://x.example:8443"),
            ("https://한국.example", "https://xn--3e0b707e.example"),
        ] {
            assert_eq!(text.parse::<Origin>().unwrap().to_string(), shown, "{text}");
        }
        for text in
            ["", "*", "x.example", "https://", "https:// x", "https://a b.example", "https://x.example:99999"]
        {
            assert!(matches!(text.parse::<Origin>(), Err(OriginError::NotAUrl(_))), "{text}");
        }
        for text in ["http://x.example", "ftp://x.example", "file:///etc/passwd", "data:x"] {
            assert!(matches!(text.parse::<Origin>(), Err(OriginError::NotHttps(_))), "{text}");
        }
        for text in [
            "https://10.0.0.1",
            "https://[::1]",
            "https://0x7f.1",
            "https://2130706433",
            "https://127.1:8443",
        ] {
            assert!(matches!(text.parse::<Origin>(), Err(OriginError::Address(_))), "{text}");
        }
        for text in [
            "https://user@x.example",
            "https://x.example/",
            "https://x.example/path",
            "https://x.example?q",
            "https://x.example#f",
            "https://x.example.",
            "https://x.example\\@evil.example",
        ] {
            assert!(matches!(text.parse::<Origin>(), Err(OriginError::NotAnOrigin(_))), "{text}");
        }
    }

    #[test]
    fn a_host_name_is_written_to_the_letter() {
        let long = format!("https://{}.example", "x".repeat(64));
        let longer = format!("https://{}", vec!["x".repeat(60); 5].join("."));
        for text in [
            "https://*",
            "https://*.example",
            "https://x.*",
            "https://x.example;script-src",
            "https://x.example,y.example",
            "https://'self'",
            "https://'unsafe-inline'",
            "https://x!.example",
            "https://x$.example",
            "https://x~.example",
            "https://x_y.example",
            "https://(x).example",
            "https://-x.example",
            "https://x-.example",
            "https://x..example",
            "https://.example",
            &long,
            &longer,
        ] {
            assert!(text.parse::<Origin>().is_err(), "{text}");
        }
        for text in ["https://x--y.example", "https://9.x9.example", "https://localhost"] {
            assert_eq!(text.parse::<Origin>().unwrap().to_string(), text);
        }
    }
}
