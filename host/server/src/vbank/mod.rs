//! Virtual accounts, and what gateways report on their own. One file is one step of a notice: [`notify`] stores and answers,
//! [`read`] asks the plugin, [`apply`] is the job that verifies ([`verify`]) and writes ([`facts`]); [`notices`] shows them.
//! [`issue`] and [`close`] are the API's account, [`refund`] is the buyer's page.

pub mod apply;
pub mod close;
pub mod facts;
pub mod issue;
pub mod notices;
pub mod notify;
pub mod read;
pub mod refund;
pub mod source;
#[cfg(test)]
mod tests;
pub mod verify;

use axum::Router;
use axum::routing::get;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::host::Host;

/// Interface of the contract.
pub const INTERFACE: &str = "vbank-notice";

/// Routes of this folder.
pub fn routes() -> OpenApiRouter<Host> {
    OpenApiRouter::new()
        .routes(routes!(notices::list))
        .routes(routes!(notices::read))
        .routes(routes!(issue::issue))
        .routes(routes!(close::close))
        .routes(routes!(refund::link))
}

/// Where gateways send their notices, and where buyers name an account.
pub fn pages() -> Router<Host> {
    Router::new()
        .route("/notify/{id}", get(notify::receive).post(notify::receive))
        .route("/refund/{link}", get(refund::page).post(refund::send))
}
