//! Commands as requests. Invariant: a command adds nothing to what its request says.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use payhost_core::id::{CallId, ChannelId, KeyId, NoticeId, PaymentId, ShopId};
use serde_json::{Map, Value, json};

use super::client::{ApiBody, ApiRequest};

/// `payhost shop …`
#[derive(Subcommand)]
pub enum ShopCommand {
    /// Makes a shop.
    Create {
        /// What buyers see.
        #[arg(long)]
        name: String,
        /// Address of the shop's own checkout host, when it has one.
        #[arg(long)]
        public_url: Option<String>,
        /// Origin of the shop's pages that may open payments and hear of them, as `https://shop.example`.
        #[arg(long = "allowed-origin")]
        allowed_origins: Vec<String>,
    },
    /// Lists shops.
    List,
}

impl ShopCommand {
    /// The request.
    pub fn request(&self) -> Result<ApiRequest, String> {
        Ok(match self {
            Self::Create { name, public_url, allowed_origins } => {
                let body =
                    json!({"name": name, "public_url": public_url, "allowed_origins": allowed_origins});
                ApiRequest::json("POST", "/v1/shops", body)
            }
            Self::List => ApiRequest::get("/v1/shops"),
        })
    }
}

/// `payhost key …`
#[derive(Subcommand)]
pub enum KeyCommand {
    /// Makes a key. Its secret is shown once.
    Create {
        /// The shop; absent: an operator's key.
        #[arg(long)]
        shop: Option<ShopId>,
        /// `test` or `live`, for a shop's key.
        #[arg(long, default_value = "test")]
        mode: String,
        /// What it is for.
        #[arg(long, default_value = "")]
        name: String,
    },
    /// Lists keys, without their secrets.
    List {
        /// The shop; absent: the operator's keys.
        #[arg(long)]
        shop: Option<ShopId>,
    },
    /// Ends a key at once.
    Revoke {
        /// The shop; absent: an operator's key.
        #[arg(long)]
        shop: Option<ShopId>,
        /// Its id.
        id: KeyId,
    },
}

impl KeyCommand {
    /// The request.
    pub fn request(&self) -> Result<ApiRequest, String> {
        Ok(match self {
            Self::Create { shop: Some(shop), mode, name } => {
                ApiRequest::json("POST", "/v1/keys", json!({"shop_id": shop, "mode": mode, "name": name}))
            }
            Self::Create { shop: None, name, .. } => {
                ApiRequest::json("POST", "/v1/keys", json!({"name": name}))
            }
            Self::List { shop } => ApiRequest::get(format!("/v1/keys{}", of_shop(*shop))),
            Self::Revoke { shop, id } => {
                ApiRequest { verb: "DELETE", ..ApiRequest::get(format!("/v1/keys/{id}{}", of_shop(*shop))) }
            }
        })
    }
}

fn of_shop(shop: Option<ShopId>) -> String {
    shop.map(|shop| format!("?shop_id={shop}")).unwrap_or_default()
}

/// `payhost plugin …`
#[derive(Subcommand)]
pub enum PluginCommand {
    /// Installs a component, or a new version of one.
    Install {
        /// The component.
        file: PathBuf,
        /// Also where another author's plugin, a newer version, or other contents of its version are installed under its id.
        #[arg(long)]
        replace: bool,
    },
    /// Lists plugins with what they want and what was granted.
    List,
    /// Lets a plugin reach a host that it wants, or use an origin that it wants in the buyer's browser.
    Grant {
        /// Plugin id.
        plugin: String,
        /// `https://host`.
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        origin: Option<String>,
        /// Who goes there: the plugin (`host`) or the buyer's browser (`browser`).
        #[arg(long, default_value = "host", conflicts_with = "all")]
        kind: String,
        /// Everything that the plugin wants, of both kinds; prints what was granted.
        #[arg(long)]
        all: bool,
    },
    /// Takes a grant back.
    Revoke {
        /// Plugin id.
        plugin: String,
        /// `https://host`.
        origin: String,
        /// Who went there: `host` or `browser`.
        #[arg(long, default_value = "host")]
        kind: String,
    },
    /// Runs one function of a component file, without an installation.
    Call(super::plugin_call::CallArguments),
}

impl PluginCommand {
    /// The request.
    pub fn request(&self) -> Result<ApiRequest, String> {
        Ok(match self {
            Self::Install { file, replace } => {
                let bytes = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
                let path = if *replace { "/v1/plugins?replace=true" } else { "/v1/plugins" };
                ApiRequest { verb: "POST", body: ApiBody::Component(bytes), ..ApiRequest::get(path) }
            }
            Self::List => ApiRequest::get("/v1/plugins"),
            Self::Call(_) => return Err("a call runs here, not through the API".to_owned()),
            Self::Grant { plugin, all: true, .. } => {
                ApiRequest::json("POST", format!("/v1/plugins/{plugin}/grants"), json!({"all": true}))
            }
            Self::Grant { plugin, origin, kind, all: false } => {
                let body = json!({"origin": origin, "kind": kind});
                ApiRequest::json("POST", format!("/v1/plugins/{plugin}/grants"), body)
            }
            Self::Revoke { plugin, origin, kind } => {
                let body = json!({"origin": origin, "kind": kind});
                ApiRequest::json("DELETE", format!("/v1/plugins/{plugin}/grants"), body)
            }
        })
    }
}

/// `payhost channel …`
#[derive(Subcommand)]
pub enum ChannelCommand {
    /// Makes a channel.
    Create {
        /// The shop.
        #[arg(long)]
        shop: ShopId,
        /// Plugin id.
        #[arg(long)]
        plugin: String,
        /// `test` or `live`.
        #[arg(long, default_value = "test")]
        mode: String,
        /// What the shop calls it.
        #[arg(long)]
        name: Option<String>,
        /// A preset of the plugin.
        #[arg(long)]
        preset: Option<String>,
        /// `key=value`; a secret is better given as `key=@FILE`, so that it is not in the shell's history.
        #[arg(long = "set")]
        settings: Vec<String>,
    },
    /// Changes settings of a channel.
    Update {
        /// The shop.
        #[arg(long)]
        shop: ShopId,
        /// `test` or `live`.
        #[arg(long, default_value = "test")]
        mode: String,
        /// Its id.
        id: ChannelId,
        /// `key=value`, `key=@FILE`, or `key=` to clear.
        #[arg(long = "set")]
        settings: Vec<String>,
        /// Where notices of unknown orders are sent on to; empty: nowhere.
        #[arg(long)]
        notice_forward_url: Option<String>,
    },
    /// Lists a shop's channels.
    List {
        /// The shop.
        #[arg(long)]
        shop: ShopId,
        /// `test` or `live`.
        #[arg(long, default_value = "test")]
        mode: String,
    },
}

impl ChannelCommand {
    /// The request.
    pub fn request(&self) -> Result<ApiRequest, String> {
        Ok(match self {
            Self::Create { shop, plugin, mode, name, preset, settings } => {
                let settings = read_settings(settings)?;
                let body = json!({"plugin": plugin, "name": name, "preset": preset, "settings": settings});
                ApiRequest::json("POST", "/v1/channels", body).for_shop(*shop, mode)
            }
            Self::Update { shop, mode, id, settings, notice_forward_url } => {
                let settings = read_settings(settings)?;
                let body = json!({"settings": settings, "notice_forward_url": notice_forward_url});
                ApiRequest::json("PATCH", format!("/v1/channels/{id}"), body).for_shop(*shop, mode)
            }
            Self::List { shop, mode } => ApiRequest::get("/v1/channels").for_shop(*shop, mode),
        })
    }
}

fn read_settings(given: &[String]) -> Result<Map<String, Value>, String> {
    let mut settings = Map::new();
    for words in given {
        let (key, value) =
            words.split_once('=').ok_or_else(|| format!("--set {words}: expected key=value"))?;
        let value = match value.strip_prefix('@') {
            Some(file) => {
                let text = std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
                Value::from(text.trim_end())
            }
            None if value.is_empty() => Value::Null,
            None => Value::from(value),
        };
        settings.insert(key.to_owned(), value);
    }
    Ok(settings)
}

/// `payhost notice …`
#[derive(Subcommand)]
pub enum NoticeCommand {
    /// Lists what gateways sent to a shop's channels, newest first.
    List {
        /// The shop.
        #[arg(long)]
        shop: ShopId,
        /// `test` or `live`.
        #[arg(long, default_value = "test")]
        mode: String,
        /// Only those in a state, as `held`.
        #[arg(long)]
        state: Option<String>,
    },
    /// Believes a notice that the host did not believe: its deposit becomes a fact.
    Accept(DecisionArguments),
    /// Ends a notice with which nothing is to be done.
    Dismiss(DecisionArguments),
}

/// What a person says to a notice.
#[derive(Args)]
pub struct DecisionArguments {
    /// The notice.
    id: NoticeId,
    /// What was seen where.
    #[arg(long)]
    note: String,
    /// Who looked.
    #[arg(long)]
    by: String,
}

impl NoticeCommand {
    /// The request.
    pub fn request(&self) -> ApiRequest {
        let decide = |word: &str, given: &DecisionArguments| {
            let body = json!({"note": given.note, "by": given.by});
            ApiRequest::json("POST", format!("/v1/notices/{}/{word}", given.id), body)
        };
        match self {
            Self::List { shop, mode, state } => {
                let query = state.as_ref().map(|state| format!("?state={state}")).unwrap_or_default();
                ApiRequest::get(format!("/v1/notices{query}")).for_shop(*shop, mode)
            }
            Self::Accept(given) => decide("accept", given),
            Self::Dismiss(given) => decide("dismiss", given),
        }
    }
}

/// `payhost payment …`
#[derive(Subcommand)]
pub enum PaymentCommand {
    /// Shows a payment.
    Show {
        /// The shop.
        #[arg(long)]
        shop: ShopId,
        /// `test` or `live`.
        #[arg(long, default_value = "test")]
        mode: String,
        /// Its id.
        id: PaymentId,
    },
    /// Lists a shop's payments, newest first.
    List {
        /// The shop.
        #[arg(long)]
        shop: ShopId,
        /// `test` or `live`.
        #[arg(long, default_value = "test")]
        mode: String,
    },
    /// Ends a doubt by what you found out at the gateway.
    Resolve(ResolveArguments),
}

/// `payhost payment resolve …`
#[derive(Args)]
pub struct ResolveArguments {
    /// The payment.
    id: PaymentId,
    /// `approved`, `not_approved`, `cancelled` or `not_cancelled`.
    finding: String,
    /// The gateway's number of the sale or the cancel.
    #[arg(long)]
    gateway_ref: Option<String>,
    /// Minor units, as the gateway shows them.
    #[arg(long)]
    amount: Option<i64>,
    /// How it was paid, as `card`.
    #[arg(long)]
    method: Option<String>,
    /// When, RFC 3339.
    #[arg(long)]
    at: Option<String>,
    /// What was seen where.
    #[arg(long)]
    note: String,
    /// Who looked.
    #[arg(long)]
    by: String,
}

impl PaymentCommand {
    /// The request.
    pub fn request(&self) -> Result<ApiRequest, String> {
        Ok(match self {
            Self::Show { shop, mode, id } => {
                ApiRequest::get(format!("/v1/payments/{id}")).for_shop(*shop, mode)
            }
            Self::List { shop, mode } => ApiRequest::get("/v1/payments").for_shop(*shop, mode),
            Self::Resolve(found) => {
                let method = found.method.as_ref().map(|kind| json!({"kind": kind}));
                let body = json!({
                    "finding": found.finding, "gateway_ref": found.gateway_ref, "amount": found.amount,
                    "method": method, "at": found.at, "note": found.note, "by": found.by,
                });
                // The same finding again is the same request.
                let key = format!("resolve {} {}", found.id, found.finding);
                let path = format!("/v1/payments/{}/resolve", found.id);
                ApiRequest { idempotency_key: Some(key), ..ApiRequest::json("POST", path, body) }
            }
        })
    }
}

/// `payhost reconcile …`
#[derive(Args)]
pub struct ReconcileArguments {
    /// The shop.
    #[arg(long)]
    shop: ShopId,
    /// `test` or `live`.
    #[arg(long, default_value = "test")]
    mode: String,
    /// The channel.
    #[arg(long)]
    channel: ChannelId,
    /// The day of the approvals in Seoul, as 2026-11-21.
    #[arg(long)]
    date: String,
    /// Take over cancels that are known only to the gateway. Without it nothing is changed.
    #[arg(long)]
    apply: bool,
}

impl ReconcileArguments {
    /// The request of the page behind a cursor.
    pub fn request(&self, after: Option<&str>) -> ApiRequest {
        let body =
            json!({"channel_id": self.channel, "date": self.date, "apply": self.apply, "after": after});
        ApiRequest::json("POST", "/v1/reconciliations", body).for_shop(self.shop, &self.mode)
    }
}

/// `payhost replay …`
#[derive(Args)]
pub struct ReplayArguments {
    /// A call, with the plugin that made it.
    call: Option<CallId>,
    /// The newest so many calls, each with the plugin that made it.
    #[arg(long, conflicts_with = "call")]
    last: Option<u32>,
    /// A component that is tried on those calls before it is installed, instead of the plugins that made them.
    #[arg(long, requires = "last")]
    plugin: Option<PathBuf>,
}

impl ReplayArguments {
    /// The request.
    pub fn request(&self) -> Result<ApiRequest, String> {
        let path = match (&self.call, self.last) {
            (Some(call), _) => format!("/v1/calls/{call}/replay"),
            (None, Some(last)) => format!("/v1/replays?last={last}"),
            (None, None) => return Err("give a call, or --last N [--plugin FILE]".to_owned()),
        };
        let body = match &self.plugin {
            None => ApiBody::Empty,
            Some(file) => ApiBody::Component(
                std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?,
            ),
        };
        Ok(ApiRequest { verb: "POST", body, ..ApiRequest::get(path) })
    }
}

/// `payhost gateway-map …`
#[derive(Subcommand)]
pub enum GatewayMapCommand {
    /// Leads a gateway's origin elsewhere, for test channels only.
    Set {
        /// The gateway's origin, as `https://pay.gateway.example`.
        origin: String,
        /// Address and port that the host connects to; TLS still asks for the gateway's name.
        #[arg(long)]
        connect: String,
        /// File with the CA certificate (PEM) that is trusted there instead of the public ones.
        #[arg(long)]
        ca: Option<PathBuf>,
        /// Origin that browsers use instead.
        #[arg(long)]
        browser_origin: Option<String>,
    },
    /// Lists the map.
    List,
    /// Removes an origin from the map.
    Remove {
        /// The gateway's origin.
        origin: String,
    },
}

impl GatewayMapCommand {
    /// The request.
    pub fn request(&self) -> Result<ApiRequest, String> {
        Ok(match self {
            Self::Set { origin, connect, ca, browser_origin } => {
                let read = |file: &PathBuf| {
                    std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))
                };
                let ca_pem = ca.as_ref().map(read).transpose()?;
                let body = json!({
                    "origin": origin, "connect": connect, "ca_pem": ca_pem, "browser_origin": browser_origin,
                });
                ApiRequest::json("PUT", "/v1/gateway-map", body)
            }
            Self::List => ApiRequest::get("/v1/gateway-map"),
            Self::Remove { origin } => {
                ApiRequest::json("DELETE", "/v1/gateway-map", json!({"origin": origin}))
            }
        })
    }
}

/// An answer for a person: members line by line, lists item by item.
pub fn readable(answer: &Value) -> String {
    match answer {
        Value::Object(members) => match members.get("data").and_then(Value::as_array) {
            Some(items) if items.is_empty() => "(none)".to_owned(),
            Some(items) => items.iter().map(readable).collect::<Vec<_>>().join("\n\n"),
            None => members.iter().filter_map(line).collect::<Vec<_>>().join("\n"),
        },
        Value::Null => "done".to_owned(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => answer.to_string(),
    }
}

fn line((name, value): (&String, &Value)) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(format!("{name}: {text}")),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            Some(format!("{name}: {value}"))
        }
    }
}
