//! payhost: payments through sandboxed plugins. A library to embed and the `payhost` program.
//!
//! One folder is one capability, with its use cases, routes and pages together: [`payments`], [`checkout`], [`channels`],
//! [`plugins`], [`shops`], [`vbank`]; [`jobs`] and [`http`] hold what all of them share, and [`host::Host`] is what every use case stands
//! on.

pub mod channels;
pub mod checkout;
pub mod cli;
pub mod host;
pub mod http;
pub mod jobs;
pub mod payments;
pub mod plugins;
pub mod sealed;
pub mod shops;
pub mod time;
pub mod vbank;

pub use host::{Builder, Host, OpenError};
