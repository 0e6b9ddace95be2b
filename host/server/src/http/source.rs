//! Where a request came from. Invariant: a header is believed only when a proxy that the operator trusts wrote it; an address is
//! a flag and a measure for limits, and never decides alone.
//!
//! | header | read |
//! |---|---|
//! | `X-Forwarded-For` | addresses with commas, each also as `address:port` or `[v6]:port`; empty parts are passed over |
//! | `Forwarded` (RFC 7239) | the `for` of each part, quoted or not, in the same forms |
//! | both | they must name the same address. A proxy writes one and lets its client's other one through: which of them, nobody knows here |

use std::net::{IpAddr, SocketAddr};

use axum::extract::ConnectInfo;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use ipnet::IpNet;

/// The address of whoever sent a request, among its extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Source(pub IpAddr);

/// Finds it; nothing where the embedder's server does not say who is connected.
pub fn of(parts: &Parts, trusted: &[IpNet]) -> Option<Source> {
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| *peer);
    address(peer, &parts.headers, trusted).map(Source)
}

/// The address of whoever sent a request: the peer's, or, from a trusted proxy, the last one that it names which is no trusted
/// proxy itself.
pub fn address(peer: Option<SocketAddr>, headers: &HeaderMap, trusted: &[IpNet]) -> Option<IpAddr> {
    let peer = peer?.ip().to_canonical();
    if !is_trusted(peer, trusted) {
        return Some(peer);
    }
    let lines = |name: &str| -> Vec<&str> {
        headers.get_all(name).iter().filter_map(|line| line.to_str().ok()).collect()
    };
    let (plain, standard) = (lines("x-forwarded-for"), lines("forwarded"));
    let plain = || nearest(peer, plain.iter().flat_map(|line| line.split(',')).map(node), trusted);
    let standard = || nearest(peer, standard.iter().flat_map(|line| line.split(',')).map(named_for), trusted);
    Some(match (headers.contains_key("x-forwarded-for"), headers.contains_key("forwarded")) {
        (true, false) => plain(),
        (false, true) => standard(),
        (true, true) if plain() == standard() => plain(),
        (true, true) | (false, false) => peer,
    })
}

/// Whether an address is a proxy's that is believed.
pub fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|network| network.contains(&address.to_canonical()))
}

/// A part of such a header.
enum Hop {
    /// A comma too much.
    Empty,
    /// An address.
    Known(IpAddr),
    /// `unknown`, a made-up name, or nonsense: not written by a proxy of ours.
    Odd,
}

/// Back from the last part to the first stranger.
fn nearest(peer: IpAddr, hops: impl DoubleEndedIterator<Item = Hop>, trusted: &[IpNet]) -> IpAddr {
    let mut nearest = peer;
    for hop in hops.rev() {
        match hop {
            Hop::Empty => {}
            // Nothing before it is believed.
            Hop::Odd => return nearest,
            Hop::Known(address) => {
                nearest = address;
                if !is_trusted(nearest, trusted) {
                    return nearest;
                }
            }
        }
    }
    nearest
}

fn node(text: &str) -> Hop {
    let text = text.trim();
    if text.is_empty() {
        return Hop::Empty;
    }
    parse(text).map_or(Hop::Odd, Hop::Known)
}

/// `for=192.0.2.60;proto=http`, `For="[2001:db8::17]:4711"`.
fn named_for(part: &str) -> Hop {
    let mut pairs = part.split(';').map(str::trim).filter(|pair| !pair.is_empty()).peekable();
    if pairs.peek().is_none() {
        return Hop::Empty;
    }
    let named =
        pairs.filter_map(|pair| pair.split_once('=')).find(|(name, _)| name.eq_ignore_ascii_case("for"));
    named.map_or(Hop::Odd, |(_, value)| match node(value.trim().trim_matches('"')) {
        Hop::Known(address) => Hop::Known(address),
        Hop::Empty | Hop::Odd => Hop::Odd,
    })
}

/// An address as people and proxies write it: alone, in brackets, or with a port.
fn parse(text: &str) -> Option<IpAddr> {
    let bare = || text.parse::<IpAddr>().ok();
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    bare().or_else(with_port).or_else(bracketed).map(|address| address.to_canonical())
}

/// Networks that an operator writes with commas: `10.0.0.1, [2001:db8::1], 10.1.0.0/16`. A port says nothing about a proxy's
/// connections and is left out; an empty part is passed over.
pub fn networks(text: &str) -> Result<Vec<IpNet>, String> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let network = parse(part).map(IpNet::from).or_else(|| part.parse().ok());
            network.ok_or_else(|| format!("{part} is neither an address nor a network"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(peer: &str, forwarded: &[(&'static str, &str)]) -> String {
        let mut headers = HeaderMap::new();
        for (name, line) in forwarded {
            headers.append(*name, line.parse().unwrap());
        }
        let trusted = networks("10.0.0.0/8, 2001:db8:f::/48").unwrap();
        address(Some(SocketAddr::new(peer.parse().unwrap(), 1)), &headers, &trusted).unwrap().to_string()
    }

    fn of(peer: &str, lines: &[&str]) -> String {
        told(peer, &lines.iter().map(|line| ("x-forwarded-for", *line)).collect::<Vec<_>>())
    }

    #[test]
    fn a_header_of_a_stranger_is_not_believed() {
        assert_eq!(of("203.0.113.9", &["203.238.37.15"]), "203.0.113.9");
        assert_eq!(told("203.0.113.9", &[("forwarded", "for=203.238.37.15")]), "203.0.113.9");
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
    fn addresses_are_read_as_proxies_write_them() {
        for (line, expected) in [
            ("203.0.113.7:51234", "203.0.113.7"),
            ("[2001:db8::17]:4711", "2001:db8::17"),
            ("[2001:db8::17]", "2001:db8::17"),
            ("2001:db8::17", "2001:db8::17"),
            ("203.0.113.7,", "203.0.113.7"),
            (" 203.0.113.7 , , 10.0.0.2,", "203.0.113.7"),
            ("::ffff:203.0.113.7", "203.0.113.7"),
            (",", "10.0.0.1"),
        ] {
            assert_eq!(of("10.0.0.1", &[line]), expected, "{line}");
        }
    }

    #[test]
    fn the_standard_header_is_read_too() {
        for (line, expected) in [
            ("for=203.0.113.7", "203.0.113.7"),
            ("for=192.0.2.43, for=203.0.113.7;proto=https;by=10.0.0.9", "203.0.113.7"),
            ("proto=https; For=\"[2001:db8::17]:4711\"", "2001:db8::17"),
            ("for=\"203.0.113.7:80\",", "203.0.113.7"),
            ("for=203.0.113.7, for=10.0.0.2", "203.0.113.7"),
            ("for=203.0.113.7, for=_hidden", "10.0.0.1"),
            ("for=203.0.113.7, proto=https", "10.0.0.1"),
        ] {
            assert_eq!(told("10.0.0.1", &[("forwarded", line)]), expected, "{line}");
        }
    }

    #[test]
    fn a_header_that_the_proxy_lets_through_cannot_speak_for_it() {
        let both = |plain, standard| told("10.0.0.1", &[("x-forwarded-for", plain), ("forwarded", standard)]);
        assert_eq!(both("203.0.113.7", "for=203.0.113.7"), "203.0.113.7");
        assert_eq!(both("203.0.113.7", "for=203.238.37.15"), "10.0.0.1");
    }

    #[test]
    fn an_operator_writes_networks_as_they_are_known() {
        let shown = |text: &str| {
            networks(text).map(|list| list.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(
            shown("10.0.0.1, [2001:db8::1],10.1.0.0/16,").unwrap(),
            "10.0.0.1/32 2001:db8::1/128 10.1.0.0/16"
        );
        assert_eq!(shown("10.0.0.1:8080").unwrap(), "10.0.0.1/32");
        assert_eq!(shown(" , ").unwrap(), "");
        assert!(shown("proxy.example").unwrap_err().contains("proxy.example"));
    }
}
