//! Channels: a shop's configured uses of plugins. Invariant: a channel's settings fit its plugin's schema, its secrets are
//! sealed, and its plugin version is pinned.

pub mod check;
pub mod manage;
pub mod ready;
pub mod remove;
pub mod settings;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::host::Host;

/// Routes of this folder.
pub fn routes() -> OpenApiRouter<Host> {
    OpenApiRouter::new()
        .routes(routes!(manage::create, manage::list))
        .routes(routes!(manage::read, manage::update, remove::remove))
        .routes(routes!(check::check))
}
