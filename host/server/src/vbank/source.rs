//! Where a notice came from. Invariant: the address is a flag on the notice and never decides alone.

use std::net::IpAddr;

use axum::http::HeaderMap;
use ipnet::IpNet;

use crate::host::Host;

/// Says once, where no proxy is trusted, that one seems to stand in front: every notice then seems to come from it.
pub fn warn_of_a_proxy(host: &Host, address: Option<IpAddr>, headers: &HeaderMap) {
    let named = headers.contains_key("x-forwarded-for") || headers.contains_key("forwarded");
    if named && host.trusted_proxies().is_empty() && host.proxy_seen_first() {
        tracing::warn!(
            peer = address.map(|address| address.to_string()),
            "a notice came with X-Forwarded-For or Forwarded, and no proxy is trusted: if a proxy of yours stands in front of this \
             host, name its address with --trusted-proxy; until then every notice seems to come from it"
        );
    }
}

/// Whether a plugin's descriptor lists the address, alone or in a network.
pub fn listed(sources: &[String], address: Option<IpAddr>) -> bool {
    let Some(address) = address else { return false };
    sources.iter().any(|source| match source.parse::<IpAddr>() {
        Ok(one) => one == address,
        Err(_) => source.parse::<IpNet>().is_ok_and(|network| network.contains(&address)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_addresses_and_networks() {
        let sources = ["203.238.37.15".to_owned(), "183.109.71.0/24".to_owned()];
        for (text, expected) in [("203.238.37.15", true), ("183.109.71.9", true), ("203.238.37.16", false)] {
            assert_eq!(listed(&sources, text.parse().ok()), expected, "{text}");
        }
        assert!(!listed(&sources, None));
    }
}
