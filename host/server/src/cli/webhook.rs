//! `payhost webhook …` and `payhost trigger`. Invariant: as in `commands`, a command adds nothing to its request.

use clap::{Args, Subcommand};
use payhost_core::id::{EndpointId, ShopId};
use serde_json::json;

use super::client::ApiRequest;
use super::commands::OfShop;

/// `payhost webhook …`
#[derive(Subcommand)]
pub enum WebhookCommand {
    /// Makes an endpoint and prints its secret, once.
    Create {
        /// Whose.
        #[command(flatten)]
        of: OfShop,
        /// Where events go. Absent: to the `webhook_url` of each payment.
        #[arg(long = "to", value_name = "URL")]
        endpoint: Option<String>,
        /// What it is for.
        #[arg(long, default_value = "")]
        name: String,
        /// Name of an event, several times; `*` is all.
        #[arg(long = "event", default_value = "*")]
        events: Vec<String>,
    },
    /// Lists a shop's endpoints.
    List {
        /// Whose.
        #[command(flatten)]
        of: OfShop,
    },
    /// Shows what was sent to an endpoint.
    Deliveries {
        /// Whose.
        #[command(flatten)]
        of: OfShop,
        /// Its id.
        id: EndpointId,
    },
    /// Makes a new secret and prints it, once; the old one signs beside it for a day.
    Rotate {
        /// Whose.
        #[command(flatten)]
        of: OfShop,
        /// Its id.
        id: EndpointId,
    },
    /// Switches an endpoint on again.
    Enable {
        /// Whose.
        #[command(flatten)]
        of: OfShop,
        /// Its id.
        id: EndpointId,
    },
    /// Removes an endpoint with its deliveries.
    Remove {
        /// Whose.
        #[command(flatten)]
        of: OfShop,
        /// Its id.
        id: EndpointId,
    },
}

impl WebhookCommand {
    /// The request.
    pub fn request(&self) -> Result<ApiRequest, String> {
        const BASE: &str = "/v1/webhook-endpoints";
        Ok(match self {
            Self::Create { of, endpoint, name, events } => {
                let body = json!({"url": endpoint, "name": name, "events": events});
                ApiRequest::json("POST", BASE, body).for_shop(of.shop, &of.mode)
            }
            Self::List { of } => ApiRequest::get(BASE).for_shop(of.shop, &of.mode),
            Self::Deliveries { of, id } => {
                ApiRequest::get(format!("{BASE}/{id}/deliveries")).for_shop(of.shop, &of.mode)
            }
            Self::Rotate { of, id } => {
                ApiRequest::json("POST", format!("{BASE}/{id}/rotate-secret"), json!({}))
                    .for_shop(of.shop, &of.mode)
            }
            Self::Enable { of, id } => {
                ApiRequest::json("PATCH", format!("{BASE}/{id}"), json!({"enabled": true}))
                    .for_shop(of.shop, &of.mode)
            }
            Self::Remove { of, id } => {
                let request = ApiRequest { verb: "DELETE", ..ApiRequest::get(format!("{BASE}/{id}")) };
                request.for_shop(of.shop, &of.mode)
            }
        })
    }
}

/// `payhost trigger …`
#[derive(Args)]
pub struct TriggerArguments {
    /// Name of the event, such as `payment.paid`.
    event: String,
    /// The shop; with a shop's own key it is known.
    #[arg(long, env = "PAYHOST_SHOP")]
    shop: Option<ShopId>,
}

impl TriggerArguments {
    /// The request.
    pub fn request(&self) -> Result<ApiRequest, String> {
        let body = json!({"type": self.event});
        Ok(ApiRequest::json("POST", "/v1/events/samples", body).for_shop(self.shop, "test"))
    }
}
