//! Limits of `payhost serve`. Invariant: every one has a default under which strangers cannot stop the host, and a sentence that
//! says what it limits.

use std::time::Duration;

use clap::Args;
use ipnet::IpNet;
use jiff::SignedDuration;

use crate::http::limits::RequestLimits;
use crate::http::server::Connections;

/// What a client may hold, and how often somebody may ask.
#[derive(Args)]
#[command(next_help_heading = "Limits")]
pub struct LimitArguments {
    /// Longest wait for the whole head of a request, and for the next request on a connection.
    #[arg(long, default_value = "30s", env = "PAYHOST_HEAD_TIMEOUT", value_parser = positive)]
    pub head_timeout: Duration,
    /// Longest wait for the next part of a body.
    #[arg(long, default_value = "15s", env = "PAYHOST_BODY_TIMEOUT", value_parser = positive)]
    pub body_timeout: Duration,
    /// Longest wait until a client takes more of its answer.
    #[arg(long, default_value = "30s", env = "PAYHOST_ANSWER_TIMEOUT", value_parser = positive)]
    pub answer_timeout: Duration,
    /// Connections at once; one more is answered 503. Fewer where the system lets the process open fewer files (`ulimit -n`).
    #[arg(long, default_value_t = 4096, env = "PAYHOST_CONNECTIONS", value_parser = clap::value_parser!(u32).range(1..))]
    pub connections: u32,
    /// Connections at once from one address (an IPv6 address counts with its /64). A proxy that --trusted-proxy names is not
    /// counted.
    #[arg(long, default_value_t = 256, env = "PAYHOST_CONNECTIONS_PER_ADDRESS", value_parser = clap::value_parser!(u32).range(1..))]
    pub connections_per_address: u32,
    /// Requests a second with one API key, with a burst of four seconds' worth; more is answered 429. 0: no limit.
    #[arg(long, default_value_t = RequestLimits::default().per_key, env = "PAYHOST_REQUESTS_PER_KEY")]
    pub requests_per_key: u32,
    /// The same for all keys of one shop together.
    #[arg(long, default_value_t = RequestLimits::default().per_shop, env = "PAYHOST_REQUESTS_PER_SHOP")]
    pub requests_per_shop: u32,
    /// The same for one address, keys or not. Gateways' notices have a limit of their own and are not counted. Behind a proxy
    /// that --trusted-proxy does not name, everybody comes from one address.
    #[arg(long, default_value_t = RequestLimits::default().per_address, env = "PAYHOST_REQUESTS_PER_ADDRESS")]
    pub requests_per_address: u32,
    /// API keys that do not exist which one address may try in a minute; more are answered 429. A right key is never refused for
    /// them. 0: no limit.
    #[arg(long, default_value_t = RequestLimits::default().bad_keys, env = "PAYHOST_BAD_KEYS_PER_MINUTE")]
    pub bad_keys_per_minute: u32,
}

fn positive(text: &str) -> Result<Duration, String> {
    let given: SignedDuration = text.parse().map_err(|error| format!("{error}"))?;
    Duration::try_from(given)
        .ok()
        .filter(|given| !given.is_zero())
        .ok_or_else(|| "a time above 0, as 30s".to_owned())
}

impl LimitArguments {
    /// Limits of connections.
    pub fn connections(&self, proxies: &[IpNet]) -> Connections {
        let count = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        Connections {
            head: self.head_timeout,
            body: self.body_timeout,
            write: self.answer_timeout,
            most: count(self.connections),
            per_address: count(self.connections_per_address),
            proxies: proxies.to_vec(),
        }
    }

    /// Limits of requests.
    pub fn requests(&self) -> RequestLimits {
        RequestLimits {
            per_key: self.requests_per_key,
            per_shop: self.requests_per_shop,
            per_address: self.requests_per_address,
            bad_keys: self.bad_keys_per_minute,
        }
    }
}
