//! `payhost webhook …` and `payhost trigger`. Invariant: as in `commands`, a command adds nothing to its request.

use clap::{Args, Subcommand};
use payhost_core::id::{EndpointId, ShopId};
use serde_json::json;

use super::client::ApiRequest;

/// `payhost webhook …`
#[derive(Subcommand)]
pub enum WebhookCommand {
    /// Makes an endpoint and prints its secret, once.
    Create {
        /// The shop.
        #[arg(long)]
        shop: ShopId,
        /// `test` or `live`.
        #[arg(long, default_value = "test")]
        mode: String,
        /// Where events go. Absent: to the `webhook_url` of each payment.
        #[arg(long)]
        url: Option<String>,
        /// What it is for.
        #[arg(long, default_value = "")]
        name: String,
        /// Name of an event, several times; `*` is all.
        #[arg(long = "event", default_value = "*")]
        events: Vec<String>,
    },
    /// Lists a shop's endpoints.
    List {
        /// The shop.
        #[arg(long)]
        shop: ShopId,
        /// `test` or `live`.
        #[arg(long, default_value = "test")]
        mode: String,
    },
    /// Shows what was sent to an endpoint.
    Deliveries {
        /// The shop.
        #[arg(long)]
        shop: ShopId,
        /// `test` or `live`.
        #[arg(long, default_value = "test")]
        mode: String,
        /// Its id.
        id: EndpointId,
    },
    /// Makes a new secret and prints it, once; the old one signs beside it for a day.
    Rotate {
        /// The shop.
        #[arg(long)]
        shop: ShopId,
        /// `test` or `live`.
        #[arg(long, default_value = "test")]
        mode: String,
        /// Its id.
        id: EndpointId,
    },
    /// Switches an endpoint on again.
    Enable {
        /// The shop.
        #[arg(long)]
        shop: ShopId,
        /// `test` or `live`.
        #[arg(long, default_value = "test")]
        mode: String,
        /// Its id.
        id: EndpointId,
    },
    /// Removes an endpoint with its deliveries.
    Remove {
        /// The shop.
        #[arg(long)]
        shop: ShopId,
        /// `test` or `live`.
        #[arg(long, default_value = "test")]
        mode: String,
        /// Its id.
        id: EndpointId,
    },
}

impl WebhookCommand {
    /// The request.
    pub fn request(&self) -> Result<ApiRequest, String> {
        const BASE: &str = "/v1/webhook-endpoints";
        Ok(match self {
            Self::Create { shop, mode, url, name, events } => {
                let body = json!({"url": url, "name": name, "events": events});
                ApiRequest::json("POST", BASE, body).for_shop(*shop, mode)
            }
            Self::List { shop, mode } => ApiRequest::get(BASE).for_shop(*shop, mode),
            Self::Deliveries { shop, mode, id } => {
                ApiRequest::get(format!("{BASE}/{id}/deliveries")).for_shop(*shop, mode)
            }
            Self::Rotate { shop, mode, id } => {
                ApiRequest::json("POST", format!("{BASE}/{id}/rotate-secret"), json!({}))
                    .for_shop(*shop, mode)
            }
            Self::Enable { shop, mode, id } => {
                ApiRequest::json("PATCH", format!("{BASE}/{id}"), json!({"enabled": true}))
                    .for_shop(*shop, mode)
            }
            Self::Remove { shop, mode, id } => {
                let request = ApiRequest { verb: "DELETE", ..ApiRequest::get(format!("{BASE}/{id}")) };
                request.for_shop(*shop, mode)
            }
        })
    }
}

/// `payhost trigger …`
#[derive(Args)]
pub struct TriggerArguments {
    /// Name of the event, such as `payment.paid`.
    event: String,
    /// The shop.
    #[arg(long)]
    shop: ShopId,
}

impl TriggerArguments {
    /// The request.
    pub fn request(&self) -> Result<ApiRequest, String> {
        let body = json!({"type": self.event});
        Ok(ApiRequest::json("POST", "/v1/events/samples", body).for_shop(self.shop, "test"))
    }
}
