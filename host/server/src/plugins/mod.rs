//! Plugins: installed components, what each may reach, and where gateways lead in test mode. Invariant: only the operator
//! decides; a plugin gets nothing by being installed.

pub mod figures;
pub mod gateway_map;
pub mod grant;
pub mod install;
pub mod known;
pub mod registry;
pub mod remove;
pub mod replay;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::host::Host;

/// Routes of this folder.
pub fn routes() -> OpenApiRouter<Host> {
    OpenApiRouter::new()
        .routes(routes!(install::install, install::list))
        .routes(routes!(remove::remove))
        .routes(routes!(grant::grant, grant::revoke))
        .routes(routes!(replay::replay))
        .routes(routes!(replay::trial))
        .routes(routes!(figures::read))
        .routes(routes!(gateway_map::list, gateway_map::put, gateway_map::remove))
}
