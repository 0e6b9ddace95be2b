//! The API's description. Invariant: it is generated from the code, committed as `host/server/openapi.json`, and a test
//! fails when they differ.

use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;

use crate::host::Host;
use crate::{attention, channels, institutions, payments, plugins, shops, vbank, webhooks};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "payhost",
        description = "Payments through sandboxed plugins. Amounts are whole minor units, moments are RFC 3339, errors are \
                       application/problem+json with a stable `code`."
    ),
    modifiers(&Keys),
    security(("key" = []))
)]
struct Document;

struct Keys;

impl Modify for Keys {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("`sk_test_…` or `sk_live_…` of a shop, or `op_…` of the operator"))
            .build();
        if let Some(components) = document.components.as_mut() {
            components.add_security_scheme("key", SecurityScheme::Http(scheme));
        }
    }
}

/// The API's routes with their description.
pub fn routes() -> OpenApiRouter<Host> {
    OpenApiRouter::with_openapi(Document::openapi())
        .merge(attention::routes())
        .merge(payments::routes())
        .merge(vbank::routes())
        .merge(channels::routes())
        .merge(plugins::routes())
        .merge(shops::routes())
        .merge(institutions::routes())
        .merge(webhooks::routes())
}

/// The document, as it is committed.
pub fn document() -> String {
    let (_, document) = routes().split_for_parts();
    document.to_pretty_json().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_committed_document_is_the_code_s() {
        let committed = include_str!("../../openapi.json");
        assert!(
            committed.trim() == super::document().trim(),
            "run: cargo run -p payhost -- openapi > host/server/openapi.json"
        );
    }
}
