//! Payments: made, shown, cancelled, and found out about. One file is one use case; `attempt.rs`, `verdict.rs` and
//! `settle.rs` are what every use case that moves money goes through.

pub mod again;
pub mod attempt;
pub mod cancel;
pub mod cancels_seen;
pub mod complete;
pub mod confirm;
pub mod create;
pub mod details;
pub mod expire;
pub mod figures;
pub mod finding;
pub mod give_up;
pub mod inquire;
pub mod late;
pub mod model;
pub mod only_if;
pub mod order;
pub mod read;
pub mod reconcile;
pub mod resolve;
pub mod settle;
pub mod sync;
#[cfg(test)]
mod tests;
pub mod trial;
pub mod undo;
pub mod unpaid;
pub mod verdict;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::host::Host;

/// Routes of this folder.
pub fn routes() -> OpenApiRouter<Host> {
    OpenApiRouter::new()
        .routes(routes!(create::create, read::list))
        .routes(routes!(read::read))
        .routes(routes!(confirm::confirm))
        .routes(routes!(cancel::cancel))
        .routes(routes!(sync::sync))
        .routes(routes!(finding::resolve))
        .routes(routes!(figures::figures))
        .routes(routes!(reconcile::reconcile))
        .routes(routes!(read::timeline))
}
