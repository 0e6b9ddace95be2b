//! Where a notice came from. Invariant: a header is believed only when a proxy that the operator trusts wrote it; the address
//! is a flag on the notice and never decides alone.

use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderMap;
use ipnet::IpNet;

use crate::host::Host;

/// The address of whoever sent a request: the peer's, or, from a trusted proxy, the last one in `X-Forwarded-For` that is no
/// trusted proxy itself.
pub fn address(peer: Option<SocketAddr>, headers: &HeaderMap, trusted: &[IpNet]) -> Option<IpAddr> {
    let peer = peer?.ip().to_canonical();
    let proxy = |address: &IpAddr| trusted.iter().any(|network| network.contains(address));
    if !proxy(&peer) {
        return Some(peer);
    }
    let lines = headers.get_all("x-forwarded-for").iter().filter_map(|line| line.to_str().ok());
    let named: Vec<&str> = lines.flat_map(|line| line.split(',')).map(str::trim).collect();
    let mut nearest = peer;
    for text in named.into_iter().rev() {
        // What is no address was not written by a proxy of ours: nothing before it is believed.
        let Ok(address) = text.parse::<IpAddr>() else { return Some(nearest) };
        nearest = address.to_canonical();
        if !proxy(&nearest) {
            return Some(nearest);
        }
    }
    Some(nearest)
}

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

    fn of(peer: &str, forwarded: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append("x-forwarded-for", line.parse().unwrap());
        }
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        address(Some(SocketAddr::new(peer.parse().unwrap(), 1)), &headers, &trusted).unwrap().to_string()
    }

    #[test]
    fn a_header_of_a_stranger_is_not_believed() {
        assert_eq!(of("203.0.113.9", &["203.238.37.15"]), "203.0.113.9");
    }

    #[test]
    fn a_trusted_proxy_names_the_last_stranger() {
        assert_eq!(of("10.0.0.1", &["203.238.37.15"]), "203.238.37.15");
        assert_eq!(of("::ffff:10.0.0.1", &["203.238.37.15, 10.0.0.2"]), "203.238.37.15");
        // The sender wrote the first one itself.
        assert_eq!(of("10.0.0.1", &["203.238.37.15, 198.51.100.7"]), "198.51.100.7");
        assert_eq!(of("10.0.0.1", &["203.238.37.15", "198.51.100.7"]), "198.51.100.7");
        assert_eq!(of("10.0.0.1", &["203.238.37.15, unknown"]), "10.0.0.1");
        assert_eq!(of("10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn sources_are_addresses_and_networks() {
        let sources = ["203.238.37.15".to_owned(), "183.109.71.0/24".to_owned()];
        for (text, expected) in [("203.238.37.15", true), ("183.109.71.9", true), ("203.238.37.16", false)] {
            assert_eq!(listed(&sources, text.parse().ok()), expected, "{text}");
        }
        assert!(!listed(&sources, None));
    }
}
