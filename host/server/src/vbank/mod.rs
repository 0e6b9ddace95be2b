//! Virtual accounts, and what gateways report on their own. One file is one step of a notice: [`notify`] stores and answers,
//! [`read`] asks the plugin, [`hearing`] is for what there is no room to keep, [`apply`] is the job: it matches ([`claim`]), asks the gateway, decides ([`verify`]) and writes
//! ([`facts`]); [`notices`] shows them. [`decide`] is what a person says to one, [`forward`] sends those of unknown orders on.
//! [`issue`] and [`close`] are the API's account, [`refund`] makes the buyer's link to [`refund_page`].

pub mod apply;
pub mod claim;
pub mod close;
pub mod decide;
pub mod facts;
pub mod forward;
pub mod hearing;
pub mod issue;
pub mod notices;
pub mod notify;
pub mod read;
pub mod refund;
pub mod refund_page;
pub mod refund_words;
pub mod source;
#[cfg(test)]
pub(crate) mod tests;
pub mod told;
pub mod verify;

use axum::Router;
use axum::routing::get;
use payhost_core::id::{ChannelId, ShopId};
use payhost_engine::contract::types::Method;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::host::Host;

/// Interface of the contract.
pub const INTERFACE: &str = "vbank-notice";

/// Registry `method`.
pub const METHOD: &str = "virtual_account";

/// Whether a method is an account that somebody pays into.
pub fn is_account(method: &Method) -> bool {
    method.kind == METHOD
}

/// The path of a channel's notices.
pub fn notify_path(shop: ShopId, channel: ChannelId) -> String {
    format!("/notify/{shop}/{channel}")
}

/// Routes of this folder.
pub fn routes() -> OpenApiRouter<Host> {
    OpenApiRouter::new()
        .routes(routes!(notices::list))
        .routes(routes!(notices::read))
        .routes(routes!(decide::accept))
        .routes(routes!(decide::dismiss))
        .routes(routes!(issue::issue))
        .routes(routes!(close::close))
        .routes(routes!(refund::link))
}

/// Where gateways send their notices, and where buyers name an account.
pub fn pages() -> Router<Host> {
    Router::new()
        .route("/notify/{shop}/{id}", get(notify::receive).post(notify::receive))
        .route("/refund/{link}", get(refund_page::page).post(refund_page::send))
}
