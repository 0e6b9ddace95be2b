//! Telling the shop. Invariant: an event that was written reaches every endpoint that wants it at least once, or its delivery
//! ends as failed where the shop sees it; a receiver that is slow, silent or gone holds up nobody else.
//!
//! An event's way: `rows::events` puts it into the outbox in the transaction that makes it; [`run`] hands it to the shop's
//! endpoints (`expand`), claims an endpoint that has something due and sends (`turn`, `client`, `sign`), and `schedule` says
//! what follows from the answer. The rest are routes: `endpoints`, `events`, `resend`, `sample`.

mod client;
mod endpoints;
mod events;
mod expand;
mod names;
mod resend;
mod run;
mod sample;
mod schedule;
mod sign;
#[cfg(test)]
mod tests;
mod turn;

use std::time::Duration;

use ipnet::IpNet;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::host::Host;

pub use client::{Answer, Client, ClientError, Reach};
pub use endpoints::{payment_url_problem, reach, web_hook_address};
pub use run::run;
pub use sign::Secret;

/// How events are delivered.
#[derive(Debug, Clone)]
pub struct Options {
    /// Networks beside the public net that shops may be told in to which the operator opens them (`private_webhooks`), also over
    /// plain http. Default: none.
    pub allowed_networks: Vec<IpNet>,
    /// How long to wait before each try. The last failure ends the delivery.
    pub schedule: Vec<Duration>,
    /// How long one try may take.
    pub timeout: Duration,
    /// Endpoints of one shop that are sent to at once, of those that work and of those that do not each. Default: 8, so that a
    /// shop with many events, or with receivers that let them wait, delays nobody else.
    pub per_shop: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            allowed_networks: Vec::new(),
            schedule: schedule::DEFAULT.iter().copied().map(Duration::from_secs).collect(),
            timeout: Duration::from_secs(15),
            per_shop: 8,
        }
    }
}

/// Routes of this folder.
pub fn routes() -> OpenApiRouter<Host> {
    OpenApiRouter::new()
        .routes(routes!(endpoints::create, endpoints::list))
        .routes(routes!(endpoints::read, endpoints::change, endpoints::remove))
        .routes(routes!(endpoints::rotate))
        .routes(routes!(endpoints::deliveries))
        .routes(routes!(resend::range))
        .routes(routes!(events::list))
        .routes(routes!(sample::create))
        .routes(routes!(events::read))
        .routes(routes!(resend::one))
}
