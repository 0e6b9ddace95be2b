//! Where a measurement happens: the release programs as a person runs them, with a shop. Invariant: everything is this
//! measurement's own (folder, ports, processes, database) and is gone after it; the databases write to disk as they are shipped.

use std::path::{Path, PathBuf};
use std::process::Command;

use own_postgres::{SAFE, Server};
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::http::{client, json_of, text};
use super::program::Program;

/// Which database.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// A file, `synchronous=FULL`.
    Sqlite,
    /// A server of its own, `fsync=on`.
    Postgres,
}

/// What was built.
pub struct Built {
    /// `payhost`.
    pub payhost: PathBuf,
    /// `inicis-sim`.
    pub simulator: PathBuf,
    /// The INICIS component.
    pub plugin: PathBuf,
}

/// Origins of the gateway, whether the plugin calls them, and whether browsers go there.
const GATEWAY: &[(&str, bool)] = &[
    ("https://stdpay.inicis.com", true),
    ("https://stgstdpay.inicis.com", true),
    ("https://fcstdpay.inicis.com", false),
    ("https://ksstdpay.inicis.com", false),
    ("https://iniapi.inicis.com", false),
];

/// A shop.
#[derive(Clone, Default)]
pub struct Shop {
    /// `shop_…`.
    pub id: String,
    /// Its key.
    pub key: String,
    /// Its channel.
    pub channel: String,
}

/// A host, a gateway and a shop.
pub struct Place {
    /// The host's address.
    pub url: String,
    /// The first shop.
    pub shop: Shop,
    /// The simulator's control API.
    pub control: String,
    /// The load generator's client.
    pub client: Client,
    /// The database's address; none for SQLite.
    pub database: Option<String>,
    host: Option<Program>,
    _simulator: Program,
    _server: Option<Server>,
    folder: TempDir,
    _gateways: TempDir,
}

impl Place {
    /// Starts everything on empty folders and makes one shop with the preset `test_pay`.
    pub async fn start(built: &Built, backend: Backend) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let server = (backend == Backend::Postgres).then(|| Server::start(SAFE));
        let database = server.as_ref().map(Server::database);
        let gateways = gateways_folder();
        let mut command = Command::new(&built.simulator);
        command.arg("--data").arg(gateways.path());
        let (simulator, gateway) = Program::start(&mut command, &path.join("gateway.log"));
        let mut command = payhost(&built.payhost, path);
        command.args(["serve", "--listen", "127.0.0.1:0", "--webhook-allow-network", "127.0.0.0/8"]);
        // What is measured is the host, not its limits: all buyers come from one address, for one shop.
        command.args(["--requests-per-key", "0", "--requests-per-shop", "0", "--requests-per-address", "0"]);
        if let Some(database) = &database {
            command.env("PAYHOST_DATABASE", database);
        }
        let (host, ready) = Program::start(&mut command, &path.join("payhost.log"));
        let mut place = Self {
            url: text(&ready, "url"),
            shop: Shop::default(),
            control: format!("{}/_sim", text(&gateway, "browser_origin")),
            client: client(),
            database,
            host: Some(host),
            _simulator: simulator,
            _server: server,
            folder,
            _gateways: gateways,
        };
        place.set_up(&built.plugin, &gateway).await;
        place
    }

    /// What an operator and a shop do once.
    async fn set_up(&mut self, plugin: &Path, gateway: &Value) {
        let operator = self.operator();
        let post = |path: &str| self.client.post(format!("{}{path}", self.url)).bearer_auth(&operator);
        let component = std::fs::read(plugin).unwrap();
        let install = post("/v1/plugins").header("content-type", "application/wasm").body(component);
        json_of(install, 201).await;
        let ca = std::fs::read_to_string(text(gateway, "ca_file")).unwrap();
        json_of(post("/v1/plugins/inicis/grants").json(&json!({"all": true})), 200).await;
        for (origin, browser) in GATEWAY {
            let entry = json!({
                "origin": origin, "connect": gateway["gateway_address"], "ca_pem": ca,
                "browser_origin": browser.then(|| text(gateway, "browser_origin")),
            });
            let put = self.client.put(format!("{}/v1/gateway-map", self.url)).bearer_auth(&operator);
            json_of(put.json(&entry), 200).await;
        }
        self.shop = self.new_shop("가게").await;
    }

    /// The operator's key.
    fn operator(&self) -> String {
        let file = std::fs::read_to_string(self.folder.path().join("payhost/server.json")).unwrap();
        text(&serde_json::from_str(&file).unwrap(), "key")
    }

    /// Another shop with a channel of the preset `test_pay`.
    pub async fn new_shop(&self, name: &str) -> Shop {
        let operator = self.operator();
        let post = |path: &str| self.client.post(format!("{}{path}", self.url)).bearer_auth(&operator);
        let shop =
            json_of(post("/v1/shops").json(&json!({"name": name, "private_webhooks": true})), 201).await;
        let body = json!({"shop_id": shop["id"], "mode": "test", "name": "bench"});
        let key = text(&json_of(post("/v1/keys").json(&body), 201).await, "secret");
        let mut shop = Shop { id: text(&shop, "id"), key, channel: String::new() };
        let body = json!({"plugin": "inicis", "preset": "test_pay"});
        shop.channel = text(&json_of(self.post_as(&shop, "/v1/channels", &body), 201).await, "id");
        shop
    }

    /// A request of the first shop.
    pub fn post(&self, path: &str, body: &Value) -> RequestBuilder {
        self.post_as(&self.shop, path, body)
    }

    /// A request of a shop.
    pub fn post_as(&self, shop: &Shop, path: &str, body: &Value) -> RequestBuilder {
        self.client.post(format!("{}{path}", self.url)).bearer_auth(&shop.key).json(body)
    }

    /// Where the host keeps its master key.
    pub fn master_key_file(&self) -> PathBuf {
        self.folder.path().join("payhost/master.key")
    }

    /// Where it keeps its SQLite file.
    pub fn sqlite_file(&self) -> PathBuf {
        self.folder.path().join("payhost/payhost.sqlite")
    }

    /// Ends the host in good order; gateway and database stay for the check.
    pub fn stop_host(&mut self) {
        self.host.take().expect("the host is stopped once").stop();
    }
}

/// The simulator writes its ledger as durably as the databases write, but a gateway has a disk of its own: in memory, where the
/// system has a folder for that.
fn gateways_folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// The program with nothing from the environment but its search path, so that it logs and writes as shipped.
fn payhost(program: &Path, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().envs(std::env::vars_os().filter(|(name, _)| name == "PATH"));
    command.current_dir(folder).arg("--data").arg(folder.join("payhost"));
    command
}
