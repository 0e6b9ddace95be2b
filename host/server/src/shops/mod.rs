//! Shops and keys: who may use this host. Invariant: a shop has a data key of its own from its first moment, and an API key's
//! secret is shown once and stored as a keyed hash.

pub mod keys;
pub mod manage;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::host::Host;

/// Routes of this folder.
pub fn routes() -> OpenApiRouter<Host> {
    OpenApiRouter::new()
        .routes(routes!(manage::create, manage::list))
        .routes(routes!(manage::read, manage::update, manage::remove))
        .routes(routes!(keys::create, keys::list))
        .routes(routes!(keys::revoke))
}
