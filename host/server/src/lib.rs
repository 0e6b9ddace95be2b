//! payhost: payments through sandboxed plugins. A library to embed and the `payhost` program.
//!
//! # Embedding
//!
//! ```no_run
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use payhost::{Host, Mode, PaymentIn};
//!
//! let host = Host::builder("payhost-data").public_url("https://pay.example".parse()?).open().await?;
//! // Beside the routes of your own; the gateway sends buyers back to payhost's.
//! let app = axum::Router::new().fallback_service(host.router());
//! # let _: axum::Router = app;
//! let jobs = tokio::spawn({
//!     let host = host.clone();
//!     async move { host.run_jobs(std::future::pending()).await }
//! });
//! // Without HTTP:
//! let shop = host.shop("shop_…".parse()?, Mode::Test).await?;
//! let created = shop.create_payment(PaymentIn::new("A-1", "수제 잼", 12_000), None).await?;
//! println!("send the buyer to {}", created.checkout_url);
//! # jobs.abort();
//! # Ok(())
//! # }
//! ```
//!
//! `examples/embed` is a whole program. What is public here is kept by semantic versioning (`tests/public_api.rs` names all of
//! it with its types); `axum::Router`, `ipnet::IpNet` and `url::Url` are part of it.
//!
//! # Inside
//!
//! One folder is one capability, with its use cases, routes and pages together: `payments`, `checkout`, `channels`, `plugins`,
//! `shops`, `vbank`, `webhooks`, `attention` (what waits for a person); `jobs` and `http` hold what all of them share, and [`Host`] is what every use case stands on.

mod attention;
mod channels;
mod checkout;
#[doc(hidden)] // The `payhost` program; no part of the API.
pub mod cli;
mod embed;
mod host;
mod http;
mod institutions;
#[doc(hidden)] // For the tests that do every step twice; no part of the API.
pub mod jobs;
mod payments;
mod plugins;
mod sealed;
mod shops;
mod time;
mod vbank;
mod webhooks;

pub use channels::manage::{ChannelIn, ChannelOut};
pub use embed::{Created, Operator, Shop};
pub use host::{Builder, Host, OpenError};
pub use http::limits::RequestLimits;
pub use http::problem::{GatewayAnswer, Problem};
pub use payhost_core::id::{ChannelId, PaymentId, ShopId};
pub use payhost_store::rows::Mode;
pub use payments::cancel::{AccountNumber, CancelIn, RefundAccountIn};
pub use payments::create::PaymentIn;
pub use payments::model::{
    AccountOut, AmountIn, AmountOut, BuyerIo, Cancellable, InstitutionOut, LastFailure, MethodIo, PaymentOut,
    Sentence, TaxIn, TaxLeft,
};
pub use plugins::figures::{FiguresOut, ShopFiguresOut};
pub use plugins::gateway_map::MapEntry;
pub use plugins::install::{BrowserOriginOut, PluginOut, WantedOut};
pub use shops::manage::{ShopIn, ShopOut};
pub use time::{Clock, SystemClock};
pub use vbank::notify::NoticeLimits;
pub use webhooks::Options as WebhookOptions;
