//! Commands as requests. Invariant: a command adds nothing to what its request says.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use payhost_core::id::{CallId, ChannelId, KeyId, NoticeId, PaymentId, ShopId};
use serde_json::{Map, Value, json};

use super::client::{ApiBody, ApiRequest};

/// For which shop a command is. A shop's own key (`--key sk_…`) says both.
#[derive(Args, Clone)]
pub struct OfShop {
    /// The shop.
    #[arg(long, env = "PAYHOST_SHOP")]
    pub shop: Option<ShopId>,
    /// `test` or `live`.
    #[arg(long, default_value = "test", env = "PAYHOST_MODE")]
    pub mode: String,
}

/// Which part of a list.
#[derive(Args, Clone, Default)]
pub struct Paging {
    /// At most so many (up to 100; default 20).
    #[arg(long)]
    pub limit: Option<u32>,
    /// From behind this item on: what the page before printed at its end.
    #[arg(long)]
    pub after: Option<String>,
    /// All of it, page by page.
    #[arg(long, conflicts_with_all = ["limit", "after"])]
    pub all: bool,
}

/// A query of what was given.
#[derive(Default)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Adds a value if there is one.
    #[must_use]
    pub fn with(mut self, name: &str, value: Option<impl std::fmt::Display>) -> Self {
        self.0.extend(value.map(|value| (name.to_owned(), value.to_string())));
        self
    }

    /// A page.
    #[must_use]
    pub fn page(self, page: &Paging) -> Self {
        let limit = if page.all { Some(100) } else { page.limit };
        self.with("limit", limit).with("after", page.after.as_ref())
    }

    /// A path with it.
    pub fn on(self, path: &str) -> String {
        if self.0.is_empty() {
            return path.to_owned();
        }
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(self.0).finish();
        format!("{path}?{query}")
    }
}

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
        /// Its webhooks and forwarded notices may go to the networks of `payhost serve --webhook-allow-network`.
        #[arg(long)]
        private_webhooks: bool,
    },
    /// Lists shops.
    List {
        /// Those that were removed.
        #[arg(long)]
        removed: bool,
        /// Which part.
        #[command(flatten)]
        page: Paging,
    },
    /// Shows a shop.
    Show {
        /// Its id.
        id: ShopId,
    },
    /// Changes a shop; what is not named stays.
    Update {
        /// Its id.
        id: ShopId,
        /// A new name.
        #[arg(long)]
        name: Option<String>,
        /// A new address of its checkout host; empty: this host's.
        #[arg(long)]
        public_url: Option<String>,
        /// All origins that may hear of results from now on.
        #[arg(long = "allowed-origin")]
        allowed_origins: Vec<String>,
        /// `true`: its webhooks and forwarded notices may go to the networks of `payhost serve --webhook-allow-network`; `false`:
        /// no more.
        #[arg(long)]
        private_webhooks: Option<bool>,
    },
    /// Lets a shop sell nothing from now on; it still cancels and hears.
    Suspend {
        /// Its id.
        id: ShopId,
    },
    /// Lets a suspended shop sell again.
    Resume {
        /// Its id.
        id: ShopId,
    },
    /// Removes a shop of which nothing is open: its keys end, its rows stay.
    Remove {
        /// Its id.
        id: ShopId,
    },
}

impl ShopCommand {
    /// The request.
    pub fn request(&self) -> Result<ApiRequest, String> {
        Ok(match self {
            Self::Create { name, public_url, allowed_origins, private_webhooks } => {
                let body = json!({
                    "name": name, "public_url": public_url, "allowed_origins": allowed_origins,
                    "private_webhooks": private_webhooks,
                });
                ApiRequest::json("POST", "/v1/shops", body)
            }
            Self::List { removed, page } => {
                let query = Query::default().with("removed", removed.then_some(true)).page(page);
                ApiRequest::get(query.on("/v1/shops")).paged(page)
            }
            Self::Show { id } => ApiRequest::get(format!("/v1/shops/{id}")),
            Self::Update { id, name, public_url, allowed_origins, private_webhooks } => {
                let mut body = Map::new();
                body.extend(private_webhooks.map(|may| ("private_webhooks".to_owned(), json!(may))));
                body.extend(name.clone().map(|name| ("name".to_owned(), json!(name))));
                body.extend(public_url.clone().map(|url| ("public_url".to_owned(), json!(url))));
                if !allowed_origins.is_empty() {
                    body.insert("allowed_origins".to_owned(), json!(allowed_origins));
                }
                ApiRequest::json("PATCH", format!("/v1/shops/{id}"), Value::Object(body))
            }
            Self::Suspend { id } => suspended(*id, true),
            Self::Resume { id } => suspended(*id, false),
            Self::Remove { id } => {
                ApiRequest { verb: "DELETE", ..ApiRequest::get(format!("/v1/shops/{id}")) }
            }
        })
    }
}

fn suspended(id: ShopId, suspended: bool) -> ApiRequest {
    ApiRequest::json("PATCH", format!("/v1/shops/{id}"), json!({"suspended": suspended}))
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
    List {
        /// Those that were removed.
        #[arg(long)]
        removed: bool,
    },
    /// Removes a plugin that no channel uses: its grants are withdrawn; what was sold through it can still be cancelled.
    Remove {
        /// Plugin id.
        plugin: String,
    },
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
    /// What plugin calls cost, in all and by shop.
    Figures,
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
            Self::List { removed } => {
                let query = Query::default().with("removed", removed.then_some(true));
                ApiRequest::get(query.on("/v1/plugins"))
            }
            Self::Remove { plugin } => {
                ApiRequest { verb: "DELETE", ..ApiRequest::get(format!("/v1/plugins/{plugin}")) }
            }
            Self::Figures => ApiRequest::get("/v1/plugins/figures"),
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
        /// Whose.
        #[command(flatten)]
        of: OfShop,
        /// Plugin id.
        #[arg(long)]
        plugin: String,
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
        /// Whose.
        #[command(flatten)]
        of: OfShop,
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
        /// Whose.
        #[command(flatten)]
        of: OfShop,
        /// Those that were removed.
        #[arg(long)]
        removed: bool,
    },
    /// Shows a channel.
    Show(OneChannel),
    /// Looks a channel over and says what to do.
    Check(OneChannel),
    /// Lets new payments use it.
    Enable(OneChannel),
    /// Lets no new payment use it; what is open goes on.
    Disable(OneChannel),
    /// Makes it the default for its purposes.
    Default(OneChannel),
    /// Goes over to the plugin's active version.
    Upgrade(OneChannel),
    /// Removes a channel of which nothing is open; what it sold can still be cancelled.
    Remove(OneChannel),
    /// Looks every hour for what the gateway changed by itself.
    Watch {
        /// Which.
        #[command(flatten)]
        one: OneChannel,
        /// No more.
        #[arg(long)]
        off: bool,
    },
}

/// A channel of a shop.
#[derive(Args)]
pub struct OneChannel {
    /// Whose.
    #[command(flatten)]
    of: OfShop,
    /// Its id.
    id: ChannelId,
}

impl OneChannel {
    fn request(&self, verb: &'static str, tail: &str, body: Option<Value>) -> ApiRequest {
        let path = format!("/v1/channels/{}{tail}", self.id);
        let request = match body {
            Some(body) => ApiRequest::json(verb, path, body),
            None => ApiRequest { verb, ..ApiRequest::get(path) },
        };
        request.for_shop(self.of.shop, &self.of.mode)
    }

    fn change(&self, body: Value) -> ApiRequest {
        self.request("PATCH", "", Some(body))
    }
}

impl ChannelCommand {
    /// The request.
    pub fn request(&self) -> Result<ApiRequest, String> {
        Ok(match self {
            Self::Create { of, plugin, name, preset, settings } => {
                let settings = read_settings(settings)?;
                let body = json!({"plugin": plugin, "name": name, "preset": preset, "settings": settings});
                ApiRequest::json("POST", "/v1/channels", body).for_shop(of.shop, &of.mode)
            }
            Self::Update { of, id, settings, notice_forward_url } => {
                let settings = read_settings(settings)?;
                let body = json!({"settings": settings, "notice_forward_url": notice_forward_url});
                ApiRequest::json("PATCH", format!("/v1/channels/{id}"), body).for_shop(of.shop, &of.mode)
            }
            Self::List { of, removed } => {
                let query = Query::default().with("removed", removed.then_some(true));
                ApiRequest::get(query.on("/v1/channels")).for_shop(of.shop, &of.mode)
            }
            Self::Show(one) => one.request("GET", "", None),
            Self::Check(one) => one.request("POST", "/check", None),
            Self::Enable(one) => one.change(json!({"enabled": true})),
            Self::Disable(one) => one.change(json!({"enabled": false})),
            Self::Default(one) => one.change(json!({"default": true})),
            Self::Upgrade(one) => one.change(json!({"upgrade": true})),
            Self::Remove(one) => one.request("DELETE", "", None),
            Self::Watch { one, off } => one.change(json!({"watch": !off})),
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
        /// Whose.
        #[command(flatten)]
        of: OfShop,
        /// Only those in a state, as `held`.
        #[arg(long)]
        state: Option<String>,
        /// Only those about a payment.
        #[arg(long)]
        payment: Option<PaymentId>,
        /// Which part.
        #[command(flatten)]
        page: Paging,
    },
    /// Shows a notice.
    Show {
        /// Whose.
        #[command(flatten)]
        of: OfShop,
        /// Its id.
        id: NoticeId,
    },
    /// Believes a notice that the host did not believe: its deposit becomes a fact.
    Accept(DecisionArguments),
    /// Ends a notice with which nothing is to be done.
    Dismiss(DecisionArguments),
}

/// What a person says to a notice.
#[derive(Args)]
pub struct DecisionArguments {
    /// Whose.
    #[command(flatten)]
    of: OfShop,
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
            let path = format!("/v1/notices/{}/{word}", given.id);
            ApiRequest::json("POST", path, body).for_shop(given.of.shop, &given.of.mode)
        };
        match self {
            Self::List { of, state, payment, page } => {
                let query = Query::default().with("state", state.as_ref());
                let query = query.with("payment_id", payment.as_ref()).page(page);
                ApiRequest::get(query.on("/v1/notices")).for_shop(of.shop, &of.mode).paged(page)
            }
            Self::Show { of, id } => ApiRequest::get(format!("/v1/notices/{id}")).for_shop(of.shop, &of.mode),
            Self::Accept(given) => decide("accept", given),
            Self::Dismiss(given) => decide("dismiss", given),
        }
    }
}

/// `payhost reconcile …`
#[derive(Args)]
pub struct ReconcileArguments {
    /// Whose.
    #[command(flatten)]
    of: OfShop,
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
        ApiRequest::json("POST", "/v1/reconciliations", body).for_shop(self.of.shop, &self.of.mode)
    }
}

/// `payhost replay …`
#[derive(Args)]
pub struct ReplayArguments {
    /// Whose, for a call.
    #[command(flatten)]
    of: OfShop,
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
        let request = ApiRequest { verb: "POST", body, ..ApiRequest::get(path) };
        Ok(if self.call.is_some() { request.for_shop(self.of.shop, &self.of.mode) } else { request })
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
    /// Sets all entries of a file: what a simulator prints when it is ready, or `{"gateway_map": [{"origin", "connect", "ca_file"?,
    /// "browser_origin"?}]}`.
    Import {
        /// The file.
        file: PathBuf,
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
            Self::Import { .. } => return Err("an import is several requests".to_owned()),
            Self::List => ApiRequest::get("/v1/gateway-map"),
            Self::Remove { origin } => {
                ApiRequest::json("DELETE", "/v1/gateway-map", json!({"origin": origin}))
            }
        })
    }
}

/// The requests of `gateway-map import`.
pub fn import_gateway_map(file: &Path) -> Result<Vec<ApiRequest>, String> {
    let named = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    let text = std::fs::read_to_string(file).map_err(|error| named(&error))?;
    let map: Value = serde_json::from_str(&text).map_err(|error| named(&error))?;
    let entries = map.get("gateway_map").and_then(Value::as_array);
    let entries = entries.ok_or_else(|| named(&"it has no list `gateway_map`"))?;
    entries
        .iter()
        .map(|entry| {
            let of = |name: &str| entry.get(name).and_then(Value::as_str);
            let ca_pem = of("ca_file")
                .map(|ca| std::fs::read_to_string(ca).map_err(|error| format!("{ca}: {error}")))
                .transpose()?;
            let body = json!({
                "origin": of("origin"), "connect": of("connect"), "ca_pem": ca_pem,
                "browser_origin": of("browser_origin"),
            });
            Ok(ApiRequest::json("PUT", "/v1/gateway-map", body))
        })
        .collect()
}
