//! INIAPI: refund and inquiry by server (`inicis.md §5, §6.1`).
//!
//! Invariant: what is hashed is the very text that is sent. [`v2`] writes requests, [`answer`] reads refunds, [`inquiry`] reads
//! states.

pub mod answer;
pub mod inquiry;
pub mod issue;
pub mod v1;
pub mod v2;

/// The host of INIAPI (`inicis.md §0.3`).
pub const ORIGIN: &str = "https://iniapi.inicis.com";

/// Whether the text is an IPv4 address: `clientIp` must be one (`inicis.md §9.27`).
pub fn is_ipv4(text: &str) -> bool {
    text.parse::<std::net::Ipv4Addr>().is_ok()
}
