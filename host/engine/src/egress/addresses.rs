//! A connection to the public net goes to a public address, and the address that was checked is the address that is used:
//! resolution, check and connect are one step. What is not known to be public is refused.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Networks that are not the public net, with the RFC that says so.
const BLOCKED_V4: &[(&str, &str)] = &[
    ("0.0.0.0/8", "this network, RFC 791"),
    ("10.0.0.0/8", "private, RFC 1918"),
    ("100.64.0.0/10", "shared (carrier NAT), RFC 6598"),
    ("127.0.0.0/8", "loopback, RFC 1122"),
    ("169.254.0.0/16", "link-local and cloud metadata, RFC 3927"),
    ("172.16.0.0/12", "private, RFC 1918"),
    ("192.0.0.0/24", "protocol assignments, RFC 6890"),
    ("192.0.2.0/24", "documentation, RFC 5737"),
    ("192.31.196.0/24", "AS112, RFC 7535"),
    ("192.52.193.0/24", "AMT, RFC 7450"),
    ("192.88.99.0/24", "6to4 relays, RFC 7526"),
    ("192.168.0.0/16", "private, RFC 1918"),
    ("192.175.48.0/24", "AS112, RFC 7534"),
    ("198.18.0.0/15", "benchmarks, RFC 2544"),
    ("198.51.100.0/24", "documentation, RFC 5737"),
    ("203.0.113.0/24", "documentation, RFC 5737"),
    ("224.0.0.0/4", "multicast, RFC 5771"),
    ("240.0.0.0/4", "reserved and broadcast, RFC 1112"),
];

/// The public net in IPv6 is `2000::/3` without these; everything outside of it is blocked as well (loopback, mapped,
/// NAT64, unique local, link-local, site-local, multicast, discard).
const BLOCKED_V6: &[(&str, &str)] = &[
    ("2001::/23", "protocol assignments and Teredo, RFC 2928"),
    ("2001:db8::/32", "documentation, RFC 3849"),
    ("2002::/16", "6to4: an IPv4 address inside, RFC 3056"),
    ("2620:4f:8000::/48", "AS112, RFC 7534"),
    ("3fff::/20", "documentation, RFC 9637"),
];

/// Whether an address belongs to the public net.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    !inside(IpAddr::V4(address), BLOCKED_V4)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, ..] = address.segments();
    first & 0xe000 == 0x2000 && !inside(IpAddr::V6(address), BLOCKED_V6)
}

/// A network that does not parse blocks everything; the test proves that all parse.
fn inside(address: IpAddr, networks: &[(&str, &str)]) -> bool {
    networks
        .iter()
        .any(|(network, _)| network.parse::<ipnet::IpNet>().map_or(true, |net| net.contains(&address)))
}

/// A name that resolves to no public address.
#[derive(Debug, thiserror::Error)]
#[error(
    "{host} resolves to {found}, which is not on the public net; a gateway on a private network needs a gateway map"
)]
pub(crate) struct NotPublic {
    host: String,
    found: String,
}

/// Resolves a name and passes on public addresses only.
#[derive(Clone)]
pub(crate) struct PublicResolver {
    /// Names by hand, for tests; absent: the system.
    by_hand: Option<Arc<ByHand>>,
}

type ByHand = dyn Fn(&str) -> Vec<IpAddr> + Send + Sync;

impl PublicResolver {
    /// By the system.
    pub(crate) fn system() -> Self {
        Self { by_hand: None }
    }

    #[cfg(test)]
    pub(crate) fn by(by_hand: impl Fn(&str) -> Vec<IpAddr> + Send + Sync + 'static) -> Self {
        Self { by_hand: Some(Arc::new(by_hand)) }
    }

    /// The public addresses of a name; an error when there is none.
    pub(crate) async fn addresses(
        &self,
        host: &str,
    ) -> Result<Vec<SocketAddr>, Box<dyn std::error::Error + Send + Sync>> {
        let found: Vec<SocketAddr> = match &self.by_hand {
            Some(by_hand) => by_hand(host).into_iter().map(|address| SocketAddr::new(address, 0)).collect(),
            None => tokio::net::lookup_host((host, 0)).await?.collect(),
        };
        let public: Vec<SocketAddr> = found.iter().copied().filter(|addr| is_public(addr.ip())).collect();
        if public.is_empty() {
            let found: Vec<String> = found.iter().map(|addr| addr.ip().to_string()).collect();
            return Err(NotPublic { host: host.to_owned(), found: found.join(", ") }.into());
        }
        Ok(public)
    }
}

impl Resolve for PublicResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = self.clone();
        Box::pin(async move {
            let public = resolver.addresses(name.as_str()).await?;
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_network_of_the_tables_parses() {
        for (network, _) in BLOCKED_V4.iter().chain(BLOCKED_V6) {
            network.parse::<ipnet::IpNet>().unwrap();
        }
    }

    #[test]
    fn only_public_addresses_pass() {
        let cases = [
            ("1.1.1.1", true),
            ("203.252.1.1", true),
            ("172.15.255.255", true),
            ("172.32.0.0", true),
            ("100.63.255.255", true),
            ("0.0.0.0", false),
            ("10.1.2.3", false),
            ("100.64.0.1", false),
            ("100.127.255.255", false),
            ("127.0.0.1", false),
            ("127.255.0.1", false),
            ("169.254.169.254", false),
            ("172.16.0.1", false),
            ("172.31.255.255", false),
            ("192.0.0.8", false),
            ("192.168.1.1", false),
            ("198.18.0.1", false),
            ("203.0.113.9", false),
            ("224.0.0.1", false),
            ("240.0.0.1", false),
            ("255.255.255.255", false),
            ("2606:4700:4700::1111", true),
            ("2404:6800:4004::1", true),
            ("::", false),
            ("::1", false),
            ("::ffff:127.0.0.1", false),
            ("::ffff:1.1.1.1", false),
            ("::127.0.0.1", false),
            ("64:ff9b::7f00:1", false),
            ("100::1", false),
            ("2001::1", false),
            ("2001:db8::1", false),
            ("2002:7f00:1::", false),
            ("3fff::1", false),
            ("fc00::1", false),
            ("fd12:3456::1", false),
            ("fe80::1", false),
            ("fec0::1", false),
            ("ff02::1", false),
        ];
        for (address, public) in cases {
            assert_eq!(is_public(address.parse().unwrap()), public, "{address}");
        }
    }

    #[tokio::test]
    async fn a_name_with_private_addresses_only_is_refused_with_what_it_resolved_to() {
        let error = PublicResolver::system().resolve("localhost".parse().unwrap()).await.err().unwrap();
        assert!(error.to_string().contains("is not on the public net"), "{error}");
        assert!(error.is::<NotPublic>());
    }

    #[tokio::test]
    async fn of_mixed_addresses_only_the_public_ones_are_passed_on() {
        let mixed = ["10.0.0.1", "1.1.1.1", "::1", "169.254.169.254"].map(|ip| ip.parse().unwrap());
        let resolver = PublicResolver::by(move |_| mixed.to_vec());
        let passed = resolver.addresses("mixed.test").await.unwrap();
        assert_eq!(passed, [SocketAddr::new("1.1.1.1".parse().unwrap(), 0)]);
        let none = PublicResolver::by(|_| vec![]);
        assert!(none.addresses("none.test").await.unwrap_err().is::<NotPublic>());
    }
}
