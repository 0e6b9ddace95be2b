//! A shop, a host and a gateway for one test. Invariant: a stage shares no port, no folder and no process with another one, and
//! nothing of it outlives the test.

pub mod axe;
pub mod browser;
pub mod buyer;
pub mod deposit;
pub mod gateway;
pub mod html;
pub mod http;
pub mod journal;
pub mod process;
pub mod receiver;
pub mod sale;
pub mod stored;
pub mod tokens;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use inicis_sim::{Options, Running};
use own_postgres::{FAST, Server};
use reqwest::Client;
use serde_json::{Value, json};
use tempfile::TempDir;

use http::{Answer, Call};
use journal::Journal;
use process::{Ended, Process, binary, component};

/// Merchant that can be asked by order id.
pub const LOOKUP: &str = "INIlookup0";

/// Origins of the gateway, and whether browsers go there.
pub const GATEWAY: &[(&str, bool)] = &[
    ("https://stdpay.inicis.com", true),
    ("https://stgstdpay.inicis.com", true),
    ("https://mobile.inicis.com", true),
    ("https://fcstdpay.inicis.com", false),
    ("https://ksstdpay.inicis.com", false),
    ("https://fcmobile.inicis.com", false),
    ("https://ksmobile.inicis.com", false),
    ("https://iniapi.inicis.com", false),
    ("https://mobile.inicis.com", true),
    ("https://fcmobile.inicis.com", false),
    ("https://ksmobile.inicis.com", false),
];

/// A shop of a stage.
#[derive(Clone, Debug)]
pub struct Shop {
    /// `shop_…`.
    pub id: String,
    /// `sk_test_…`.
    pub key: String,
    /// Its default channel.
    pub channel: String,
}

/// A host and a gateway with one shop.
pub struct Stage {
    /// The host.
    pub host: Process,
    /// Address of the host.
    pub url: String,
    /// A client.
    pub client: Client,
    /// The first shop.
    pub shop: Shop,
    /// The gateway.
    pub gateway: Running,
    /// Looks at every journaled call once the host has ended.
    _journal: Journal,
    /// Everything is in here; it goes last, when nobody writes any more.
    pub folder: TempDir,
}

/// A host without anything installed.
pub struct Bare {
    /// Ends with the stage.
    _host: Process,
    /// Its address.
    pub url: String,
    /// A client.
    pub client: Client,
    /// Looks at every journaled call once the host has ended.
    _journal: Journal,
    /// Everything is in here.
    pub folder: TempDir,
}

impl Bare {
    /// Starts a host on an empty folder.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (host, url) = serve(folder.path(), &[]);
        let journal = Journal { folder: folder.path().to_owned() };
        Self { _host: host, url, client: http::client(), _journal: journal, folder }
    }

    /// A command beside the running host.
    pub fn cli(&self, words: &[&str]) -> Ended {
        Ended::of(payhost(self.folder.path()).arg("--json").args(words))
    }

    /// A request as the operator.
    pub async fn operator(&self, verb: &str, path: &str, body: Option<Value>) -> Answer {
        let call = Call::new(&self.client, verb, format!("{}{path}", self.url))
            .key(&operator_key(self.folder.path()));
        match body {
            Some(body) => call.json(&body).send().await,
            None => call.send().await,
        }
    }
}

/// The program with its data in a folder, and nothing from the environment.
pub fn payhost(folder: &Path) -> Command {
    let mut command = Command::new(binary("payhost"));
    command.current_dir(folder).arg("--data").arg(data(folder));
    for name in ["MASTER_KEY", "MASTER_KEY_FILE", "DATA", "DATABASE", "LISTEN", "PUBLIC_URL"] {
        command.env_remove(format!("PAYHOST_{name}"));
    }
    if let Ok(address) = std::fs::read_to_string(folder.join(ADDRESS)) {
        command.env("PAYHOST_DATABASE", address);
    }
    // Receivers of tests are on this machine, and nobody waits for hours.
    command.env("PAYHOST_WEBHOOK_ALLOW_NETWORK", "127.0.0.0/8").env("PAYHOST_WEBHOOK_TIMEOUT", "2s");
    command.env("PAYHOST_WEBHOOK_SCHEDULE", "0s,1s,1s,1s,1s,1s,1s,1s,1s,1s");
    // Tests try many keys that do not exist, all from one address; `front.rs` has the limit's own.
    command.env("PAYHOST_BAD_KEYS_PER_MINUTE", "0");
    command.env("RUST_LOG", "debug,payhost=trace,payhost_engine=trace,payhost_store=trace,hyper=info,hyper_util=info,reqwest=info,cranelift=info,wasmtime=info");
    command
}

/// File of a stage with the address of its database; without it the host uses SQLite.
const ADDRESS: &str = "database";

/// File of a stage with another address of its database, for who looks at it without TLS or a pooler.
const DIRECT: &str = "database-direct";

/// The PostgreSQL of this test.
pub fn postgres() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| Server::start(FAST))
}

/// Lets the host of a folder use a database of its own on [`postgres`].
pub fn use_postgres(folder: &Path) {
    std::fs::write(folder.join(ADDRESS), postgres().database()).unwrap();
}

/// The address of a folder's database for who looks at it, if it is not SQLite.
pub fn address(folder: &Path) -> Option<String> {
    std::fs::read_to_string(folder.join(DIRECT))
        .or_else(|_| std::fs::read_to_string(folder.join(ADDRESS)))
        .ok()
}

/// Folder of the host's data.
pub fn data(folder: &Path) -> PathBuf {
    folder.join("payhost")
}

/// Starts the server and gives its address.
pub fn serve(folder: &Path, more: &[&str]) -> (Process, String) {
    try_serve(&mut payhost(folder), folder, more).unwrap_or_else(|words| panic!("{words}"))
}

/// Starts the server, which may refuse to.
pub fn try_serve(command: &mut Command, folder: &Path, more: &[&str]) -> Result<(Process, String), String> {
    command.args(["serve", "--listen", "127.0.0.1:0"]).args(more);
    let url =
        |line: &str| serde_json::from_str::<Value>(line).ok()?.get("url")?.as_str().map(ToOwned::to_owned);
    let (process, line) = Process::start(command, &folder.join("payhost.log"), |line| url(line).is_some())?;
    Ok((process, url(&line).unwrap()))
}

/// The key that a running host leaves for commands beside it.
pub fn operator_key(folder: &Path) -> String {
    let text = std::fs::read_to_string(data(folder).join("server.json")).unwrap();
    let file: Value = serde_json::from_str(&text).unwrap();
    file["key"].as_str().unwrap().to_owned()
}

/// The text of a member.
pub fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_else(|| panic!("no {name} in {value}")).to_owned()
}

/// Looks until a look gives something; panics with `what` after the deadline.
pub async fn eventually<T>(what: &str, within: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + within;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {within:?}: {what}");
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
}

impl Stage {
    /// A host, a gateway, and a shop with the public test merchant.
    pub async fn start() -> Self {
        Self::with(|_| ()).await
    }

    /// The same on PostgreSQL.
    pub async fn on_postgres() -> Self {
        Self::on_database(&postgres().database()).await
    }

    /// The same on a database of one's own.
    pub async fn on_database(address: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(ADDRESS), address).unwrap();
        Self::in_folder(folder, &[], |_| ()).await
    }

    /// The same by an address that only the host can use; tests look at the database by the other.
    pub async fn on_database_through(address: &str, direct: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(ADDRESS), address).unwrap();
        std::fs::write(folder.path().join(DIRECT), direct).unwrap();
        Self::in_folder(folder, &[], |_| ()).await
    }

    /// The same with more words for `payhost serve`.
    pub async fn serving(more: &[&str]) -> Self {
        Self::in_folder(tempfile::tempdir().unwrap(), more, |_| ()).await
    }

    /// The same with another gateway. `PAYHOST_TEST_POSTGRES=1` puts every stage on PostgreSQL.
    pub async fn with(change: impl FnOnce(&mut Options)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        if std::env::var_os("PAYHOST_TEST_POSTGRES").is_some() {
            use_postgres(folder.path());
        }
        Self::in_folder(folder, &[], change).await
    }

    async fn in_folder(folder: TempDir, more: &[&str], change: impl FnOnce(&mut Options)) -> Self {
        let mut options = Options::new(folder.path().join("gateway"));
        change(&mut options);
        let gateway = inicis_sim::start(options).await.unwrap();
        let (host, url) = serve(folder.path(), more);
        let mut stage = Self {
            _journal: Journal { folder: folder.path().to_owned() },
            folder,
            gateway,
            host,
            url,
            client: http::client(),
            shop: Shop { id: String::new(), key: String::new(), channel: String::new() },
        };
        stage.install().await;
        stage.shop = stage.new_shop("작은 가게", json!({})).await;
        stage
    }

    /// What an operator does once, through the API; `set_up.rs` does the same with commands.
    async fn install(&self) {
        let component = std::fs::read(component()).unwrap();
        let call =
            self.call("POST", "/v1/plugins").key(&self.operator_key()).body("application/wasm", component);
        call.send().await.expect(201);
        self.operator("POST", "/v1/plugins/inicis/grants", json!({"all": true})).await.expect(200);
        for (origin, browser) in GATEWAY {
            let entry = json!({
                "origin": origin, "connect": self.gateway.gateway_address.to_string(), "ca_pem": self.gateway.ca_pem,
                "browser_origin": browser.then_some(&self.gateway.browser_origin),
            });
            self.operator("PUT", "/v1/gateway-map", entry).await.expect(200);
        }
    }

    /// Another shop with a channel of the preset `test_pay`; `settings` go over it.
    pub async fn new_shop(&self, name: &str, settings: Value) -> Shop {
        let body = json!({"name": name, "allowed_origins": ["http://127.0.0.1:9"], "private_webhooks": true});
        let id = text(&self.operator("POST", "/v1/shops", body).await.expect(201), "id");
        let key = self.new_key(&id, "test").await;
        let body = json!({"plugin": "inicis", "preset": "test_pay", "settings": settings});
        let made = self.call("POST", "/v1/channels").key(&key).json(&body).send().await.expect(201);
        Shop { id, key, channel: text(&made, "id") }
    }

    /// A shop whose gateway can be asked by order number.
    pub async fn shop_with_lookup(&self) -> Shop {
        self.new_shop("조회 가게", json!({"mid": LOOKUP, "lookup_by": "order_ref"})).await
    }

    /// A key of a shop.
    pub async fn new_key(&self, shop: &str, mode: &str) -> String {
        let body = json!({"shop_id": shop, "mode": mode, "name": "test"});
        text(&self.operator("POST", "/v1/keys", body).await.expect(201), "secret")
    }

    /// The operator's key of this run of the host.
    pub fn operator_key(&self) -> String {
        operator_key(self.folder.path())
    }

    /// Begins a request to the host.
    pub fn call(&self, verb: &str, path: &str) -> Call {
        let url = if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.url) };
        Call::new(&self.client, verb, url)
    }

    /// A request with JSON as the operator.
    pub async fn operator(&self, verb: &str, path: &str, body: Value) -> Answer {
        self.call(verb, path).key(&self.operator_key()).json(&body).send().await
    }

    /// The same, for the first shop.
    pub async fn operator_for_shop(&self, verb: &str, path: &str, body: Value) -> Answer {
        let call = self.call(verb, path).key(&self.operator_key()).acting(&self.shop.id);
        call.json(&body).send().await
    }

    /// A `GET` as the first shop.
    pub async fn get(&self, path: &str) -> Answer {
        self.call("GET", path).key(&self.shop.key).send().await
    }

    /// A `POST` with JSON as the first shop.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.call("POST", path).key(&self.shop.key).json(body).send().await
    }

    /// Asks for a payment as a shop would; `more` goes over the usual order.
    pub async fn create_as(&self, shop: &Shop, order_id: &str, more: Value) -> Answer {
        let body = order(order_id, more);
        self.call("POST", "/v1/payments").key(&shop.key).json(&body).send().await
    }

    /// A new payment of 20,900 won.
    pub async fn create(&self, order_id: &str) -> Value {
        self.create_as(&self.shop, order_id, json!({})).await.expect(201)
    }

    /// A payment as it is now.
    pub async fn payment(&self, created: &Value) -> Value {
        self.payment_as(&self.shop, created).await
    }

    /// A shop's payment as it is now.
    pub async fn payment_as(&self, shop: &Shop, created: &Value) -> Value {
        self.call("GET", &format!("/v1/payments/{}", text(created, "id")))
            .key(&shop.key)
            .send()
            .await
            .expect(200)
    }

    /// Everything that happened to a payment.
    pub async fn timeline(&self, shop: &Shop, created: &Value) -> Vec<Value> {
        let path = format!("/v1/payments/{}/timeline", text(created, "id"));
        let body = self.call("GET", &path).key(&shop.key).send().await.expect(200);
        body["data"].as_array().unwrap().clone()
    }

    /// Names on a payment's timeline, oldest first.
    pub async fn names(&self, shop: &Shop, created: &Value) -> Vec<String> {
        self.timeline(shop, created).await.iter().map(|item| text(item, "name")).collect()
    }

    /// Cancels a payment in full.
    pub async fn cancel(&self, shop: &Shop, created: &Value, key: &str) -> Answer {
        self.cancel_with(shop, created, key, &json!({"reason": "고객 변심"})).await
    }

    /// Cancels a payment with a body of one's own.
    pub async fn cancel_with(&self, shop: &Shop, created: &Value, key: &str, body: &Value) -> Answer {
        let path = format!("/v1/payments/{}/cancel", text(created, "id"));
        self.call("POST", &path).key(&shop.key).header("idempotency-key", key).json(body).send().await
    }

    /// Starts the host again on the same folder.
    pub fn restart(&mut self) {
        self.restart_with(&[]);
    }

    /// The same with other options.
    pub fn restart_with(&mut self, more: &[&str]) {
        self.host.kill();
        // Windows that are open carry the address, as they would behind a real domain.
        let listen = self.url.strip_prefix("http://").unwrap().to_owned();
        let mut command = payhost(self.folder.path());
        command.args(["serve", "--listen", &listen]).args(more);
        let log = self.folder.path().join("payhost.log");
        let (host, _) = Process::start(&mut command, &log, |line| line.contains("\"url\"")).unwrap();
        self.host = host;
    }
}

/// The usual order with changes; a change of `null` takes a member away.
pub fn order(order_id: &str, more: Value) -> Value {
    let mut body = json!({
        "order_id": order_id, "order_name": "수제 잼 외 1건", "amount": {"total": 20_900},
        "buyer": {"name": "홍길동", "email": "hong@example.com", "phone": "010-1234-5678"},
        "return_url": "http://127.0.0.1:9/orders/1",
    });
    for (name, value) in more.as_object().unwrap() {
        if value.is_null() {
            body.as_object_mut().unwrap().remove(name);
        } else {
            body[name] = value.clone();
        }
    }
    body
}
