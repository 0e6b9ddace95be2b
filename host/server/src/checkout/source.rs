//! What a content security policy may list. Invariant: a source is made of a parsed scheme, host and port alone, so that nothing
//! that anybody wrote (a descriptor, the gateway map) can end a directive and begin another.

use std::collections::BTreeSet;

use payhost_engine::{BrowserAccess, Origin};
use url::Url;

/// An origin of the web to the letter: `https://host[:port]` or, where the operator maps a gateway to a simulator, `http://…`
/// and addresses too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebOrigin(String);

impl WebOrigin {
    /// Reads an origin; anything more, a wildcard, or a host that is neither name nor address is none.
    pub fn parse(text: &str) -> Option<Self> {
        let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
        let origin = url.origin().ascii_serialization();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-.:/[]".contains(&byte);
        (origin == text && origin.bytes().all(plain)).then_some(Self(origin))
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&Origin> for WebOrigin {
    fn from(origin: &Origin) -> Self {
        Self(origin.to_string())
    }
}

/// An origin with what a page may do with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Where.
    pub origin: WebOrigin,
    /// What for: words of the registry `browser-use`.
    pub uses: BTreeSet<String>,
}

impl Source {
    /// Of what was granted, as the buyer's browser must reach it: at another origin where the gateway map says so.
    pub fn of(access: &BrowserAccess, instead: Option<&WebOrigin>) -> Self {
        let origin = instead.map_or_else(|| WebOrigin::from(&access.origin), WebOrigin::clone);
        Self { origin, uses: access.uses.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_of_a_page_is_written_to_the_letter() {
        for text in
            ["https://pay.example", "https://pay.example:8443", "http://127.0.0.1:4102", "http://[::1]:4102"]
        {
            assert_eq!(WebOrigin::parse(text).unwrap().as_str(), text);
        }
        for text in [
            "https://*",
            "https://*.example",
            "https://pay.example;script-src",
            "https://pay.example; script-src *",
            "https://pay.example,https://evil.example",
            "https://'unsafe-inline'",
            "https://pay.example/",
            "https://pay.example/path",
            "https://user@pay.example",
            "data:text/html,x",
            "blob:https://pay.example/1",
            "ftp://pay.example",
            "'self'",
            "*",
            "",
        ] {
            assert_eq!(WebOrigin::parse(text), None, "{text}");
        }
    }
}
