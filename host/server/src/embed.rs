//! The use cases without HTTP. Invariant: each goes through the handler of its route, so that nothing can be done here that is
//! not checked there, and both give the same answer.

use axum::Json;
use axum::body::Body as HttpBody;
use axum::extract::State;
use payhost_core::id::{PaymentId, ShopId};
use payhost_store::rows::{Mode, shops};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::channels::manage::{self as channels, ChannelIn, ChannelOut};
use crate::host::Host;
use crate::http::auth::{Operator as OperatorKey, ShopCaller};
use crate::http::idempotency::{IdempotencyKey, RequiredKey};
use crate::http::json::{Body, Params, PathId, PathText};
use crate::http::problem::Problem;
use crate::payments::cancel::CancelIn;
use crate::payments::create::PaymentIn;
use crate::payments::model::PaymentOut;
use crate::payments::{cancel, confirm, create, read};
use crate::plugins::figures::{self, FiguresOut};
use crate::plugins::gateway_map::{self, MapEntry};
use crate::plugins::grant::{self, GrantIn, GrantKind};
use crate::plugins::install::{self, InstallParams, PluginOut};
use crate::shops::manage::{self as shop_routes, ShopIn, ShopOut};

/// What the operator does: `host.operator()`.
#[derive(Clone)]
pub struct Operator(Host);

/// What a shop does in a mode: `host.shop(id, mode)`. Another shop's ids are not found here, as in the API.
#[derive(Clone)]
pub struct Shop {
    host: Host,
    caller: ShopCaller,
}

/// A payment that a shop made, with where the buyer pays.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Created {
    /// Whether it is new; `false`: the open payment of the same order.
    pub new: bool,
    /// The payment as it is now.
    pub payment: PaymentOut,
    /// Where the buyer pays. Send the browser there, or give it to `payhost.js`.
    pub checkout_url: String,
    /// For the browser: reads this payment until it expires.
    pub client_token: String,
}

impl Host {
    /// The operator's side.
    pub fn operator(&self) -> Operator {
        Operator(self.clone())
    }

    /// A shop's side, in a mode.
    ///
    /// # Errors
    /// `not_found`, also when the shop was removed. A suspended shop reads and cancels, and sells nothing.
    pub async fn shop(&self, id: ShopId, mode: Mode) -> Result<Shop, Problem> {
        let row = self.store().read(move |tx| shops::get(tx, id)).await?;
        row.filter(|row| row.removed_us.is_none()).ok_or_else(|| Problem::not_found("shop"))?;
        Ok(Shop { host: self.clone(), caller: ShopCaller { shop_id: id, mode, key_id: None } })
    }
}

/// A value as the body of a request.
fn body<T: Serialize + DeserializeOwned>(value: &T) -> Result<Body<T>, Problem> {
    let raw = serde_json::to_vec(value).map_err(|error| Problem::internal(&error))?;
    // Read again: an embedder's text is mended at the same edge as anybody's.
    Body::of(raw.into())
}

impl Operator {
    /// Installs a component, or a new version of one. It may reach nothing until [`Operator::grant`].
    ///
    /// # Errors
    /// `plugin_invalid`, with what is wrong; `plugin_differs` where another author's plugin, a newer version, or other contents
    /// of the same version are installed under its id ([`Operator::replace_plugin`]).
    pub async fn install_plugin(&self, component: impl Into<Vec<u8>>) -> Result<PluginOut, Problem> {
        self.install(component.into(), false).await
    }

    /// The same, whatever is installed under its id.
    ///
    /// # Errors
    /// `plugin_invalid`, with what is wrong.
    pub async fn replace_plugin(&self, component: impl Into<Vec<u8>>) -> Result<PluginOut, Problem> {
        self.install(component.into(), true).await
    }

    async fn install(&self, component: Vec<u8>, replace: bool) -> Result<PluginOut, Problem> {
        let (host, how) = (State(self.0.clone()), Params(InstallParams { replace }));
        Ok(install::install(host, OperatorKey, how, HttpBody::from(component)).await?.1.0)
    }

    /// Lets a plugin reach a host that it wants.
    ///
    /// # Errors
    /// `invalid_request` with what it wants.
    pub async fn grant(&self, plugin: &str, origin: &str) -> Result<PluginOut, Problem> {
        self.granted(plugin, GrantIn { origin: Some(origin.to_owned()), ..GrantIn::default() }).await
    }

    /// Lets a plugin send buyers' browsers to an origin that it wants, for what it wants there.
    ///
    /// # Errors
    /// `invalid_request` with what it wants.
    pub async fn grant_browser(&self, plugin: &str, origin: &str) -> Result<PluginOut, Problem> {
        let kind = GrantKind::Browser;
        self.granted(plugin, GrantIn { origin: Some(origin.to_owned()), kind, all: false }).await
    }

    /// Both, for everything that a plugin wants: [`PluginOut::hosts`] and [`PluginOut::browser_origins`].
    ///
    /// # Errors
    /// `not_found`.
    pub async fn grant_all(&self, plugin: &str) -> Result<PluginOut, Problem> {
        self.granted(plugin, GrantIn { all: true, ..GrantIn::default() }).await
    }

    async fn granted(&self, plugin: &str, input: GrantIn) -> Result<PluginOut, Problem> {
        let (host, id) = (State(self.0.clone()), PathText(plugin.to_owned()));
        Ok(grant::grant(host, OperatorKey, id, body(&input)?).await?.0)
    }

    /// Leads a gateway's origin elsewhere, for test channels: a simulator, a staging proxy.
    ///
    /// # Errors
    /// `invalid_request` with the member at fault.
    pub async fn map_gateway(&self, entry: MapEntry) -> Result<MapEntry, Problem> {
        Ok(gateway_map::put(State(self.0.clone()), OperatorKey, body(&entry)?).await?.0)
    }

    /// Makes a shop.
    ///
    /// # Errors
    /// `invalid_request` with the member at fault.
    pub async fn create_shop(&self, shop: ShopIn) -> Result<ShopOut, Problem> {
        Ok(shop_routes::create(State(self.0.clone()), OperatorKey, body(&shop)?).await?.1.0)
    }

    /// What plugin calls cost since the start, in all and by shop.
    pub async fn figures(&self) -> FiguresOut {
        figures::read(State(self.0.clone()), OperatorKey).await.0
    }
}

impl Shop {
    /// Makes a channel: the shop's configured use of a plugin.
    ///
    /// # Errors
    /// `invalid_request` with the member at fault.
    pub async fn create_channel(&self, channel: ChannelIn) -> Result<ChannelOut, Problem> {
        Ok(channels::create(State(self.host.clone()), self.caller, body(&channel)?).await?.1.0)
    }

    /// Makes a payment, or gives the open one of the same order, which takes other details over while no window was opened and is
    /// replaced where `replace` says so. With an idempotency key a repeat of the same input gets the
    /// first answer.
    ///
    /// # Errors
    /// As `POST /v1/payments`.
    pub async fn create_payment(
        &self,
        payment: PaymentIn,
        idempotency_key: Option<&str>,
    ) -> Result<Created, Problem> {
        let key = IdempotencyKey::given(idempotency_key)?;
        let made = create::create(State(self.host.clone()), self.caller, key, body(&payment)?).await;
        let (status, Json(answer)) = made?;
        let text = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let id = text("id").parse().map_err(|_| Problem::internal(&"an answer without an id"))?;
        Ok(Created {
            new: status.as_u16() == 201,
            payment: self.payment(id).await?,
            checkout_url: text("checkout_url"),
            client_token: text("client_token"),
        })
    }

    /// A payment as it is now.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn payment(&self, id: PaymentId) -> Result<PaymentOut, Problem> {
        let row = read::find(&self.host, self.caller, id).await?;
        let row = row.ok_or_else(|| Problem::not_found("payment"))?;
        Ok(read::show(&self.host, &row).await?)
    }

    /// Approves a payment that waits for the shop (`confirm: manual`). Where its `resolution` is `in_doubt` afterwards, it is not
    /// known yet, and the host finds out.
    ///
    /// # Errors
    /// As `POST /v1/payments/{id}/confirm`.
    pub async fn confirm(&self, id: PaymentId) -> Result<PaymentOut, Problem> {
        let key = IdempotencyKey::given(None)?;
        let _shown = confirm::confirm(State(self.host.clone()), self.caller, PathId(id), key).await?;
        self.payment(id).await
    }

    /// Gives a payment back, all of it or a part; one that holds nothing yet is given up. The key is new for each cancel, and the same when one is repeated. Where the
    /// payment's `resolution` is `in_doubt` afterwards, it is not known yet, and the host finds out.
    ///
    /// # Errors
    /// As `POST /v1/payments/{id}/cancel`.
    pub async fn cancel(
        &self,
        id: PaymentId,
        cancel: CancelIn,
        idempotency_key: &str,
    ) -> Result<PaymentOut, Problem> {
        let key = RequiredKey::given(idempotency_key)?;
        let (host, input) = (State(self.host.clone()), body(&cancel)?);
        let _stored = cancel::cancel(host, self.caller, PathId(id), key, input).await?;
        self.payment(id).await
    }
}
