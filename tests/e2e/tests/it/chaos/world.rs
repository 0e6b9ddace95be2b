//! A host, a simulator and a database that can be killed and started again. Invariant: what a client was told is kept beside
//! what it asked for; a request that got no answer is an outcome, not a failure of the harness.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use own_postgres::{SAFE, Server};
use reqwest::Client;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::Backend;
use super::dump::{Dump, Source};
use crate::stage::buyer::Return;
use crate::stage::http::{Answer, Call, client};
use crate::stage::process::{Process, binary, component};
use crate::stage::{GATEWAY, LOOKUP, Shop, html, order, text};

/// How long anything may take that takes a moment.
const PATIENCE: Duration = Duration::from_secs(30);
/// What a program of the harness gets of its environment.
const AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64) Chrome/150";

const PHONE: &str = "Mozilla/5.0 (Linux; Android 15; Pixel 9) Chrome/150 Mobile Safari/537.36";

/// What the buyer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// A computer.
    Pc,
    /// A phone.
    Phone,
}

/// An open window.
#[derive(Clone, Debug)]
pub struct Window {
    /// Our order number of the checkout.
    pub order_ref: String,
    fields: Vec<(String, String)>,
}

/// No answer came; why.
pub type Silence = String;

/// A host with its gateway and its database.
pub struct World {
    /// Its address, the same after every start.
    pub url: String,
    /// One shop whose gateway cannot be asked by order number, one whose can.
    pub shops: Vec<Shop>,
    /// Which database.
    pub backend: Backend,
    /// PostgreSQL, if it is that.
    pub server: Option<Server>,
    client: Client,
    host: Option<Process>,
    database: Option<String>,
    simulator: Process,
    control: String,
    folder: TempDir,
    ahead_ms: i64,
    /// How long a job takes at most, by the machine's clock, with the faults of this experiment.
    pub longest_job: Duration,
}

/// A payment whose buyer has chosen and is about to come back.
#[derive(Clone, Debug)]
pub struct Ready {
    /// The place of its shop.
    pub shop: usize,
    /// The payment as it was made.
    pub created: Value,
    /// Our order number of the checkout.
    pub order_ref: String,
    /// What the browser brings.
    pub back: Return,
}

impl World {
    /// Everything, installed, with two shops.
    pub async fn start(backend: Backend) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = (backend == Backend::Postgres).then(|| Server::start(SAFE));
        let database = server.as_ref().map(Server::database);
        let mut command = Command::new(binary("inicis-sim"));
        command.arg("--data").arg(folder.path().join("gateway"));
        let log = folder.path().join("gateway.log");
        let (simulator, line) =
            Process::start(&mut command, &log, |line| line.contains("browser_origin")).unwrap();
        let gateway: Value = serde_json::from_str(&line).unwrap();
        let mut world = Self {
            url: String::new(),
            shops: Vec::new(),
            backend,
            server,
            client: client(),
            host: None,
            database,
            simulator,
            control: format!("{}/_sim/", text(&gateway, "browser_origin")),
            folder,
            ahead_ms: 0,
            longest_job: Duration::from_secs(2),
        };
        world.up(None).unwrap();
        world.install(&gateway).await;
        world
    }

    async fn install(&mut self, gateway: &Value) {
        let component = std::fs::read(component()).unwrap();
        let call = self.call("POST", "/v1/plugins").key(&self.operator_key());
        call.body("application/wasm", component).send().await.expect(201);
        self.operator("POST", "/v1/plugins/inicis/grants", json!({"all": true})).await.expect(200);
        let ca = std::fs::read_to_string(text(gateway, "ca_file")).unwrap();
        for (origin, browser) in GATEWAY {
            let entry = json!({
                "origin": origin, "connect": gateway["gateway_address"], "ca_pem": ca,
                "browser_origin": browser.then(|| text(gateway, "browser_origin")),
            });
            self.operator("PUT", "/v1/gateway-map", entry).await.expect(200);
        }
        self.add_shop(json!({})).await;
        self.add_shop(json!({"mid": LOOKUP, "lookup_by": "order_ref"})).await;
    }

    async fn add_shop(&mut self, settings: Value) {
        let id = text(
            &self
                .operator("POST", "/v1/shops", json!({"name": "가게", "private_webhooks": true}))
                .await
                .expect(201),
            "id",
        );
        let body = json!({"shop_id": id, "mode": "test", "name": "test"});
        let key = text(&self.operator("POST", "/v1/keys", body).await.expect(201), "secret");
        let body = json!({"plugin": "inicis", "preset": "test_pay", "settings": settings});
        let made = self.call("POST", "/v1/channels").key(&key).json(&body).send().await.expect(201);
        self.shops.push(Shop { id, key, channel: text(&made, "id") });
    }

    fn operator_key(&self) -> String {
        let file = std::fs::read_to_string(self.folder.path().join("payhost/server.json")).unwrap();
        text(&serde_json::from_str(&file).unwrap(), "key")
    }

    async fn operator(&self, verb: &str, path: &str, body: Value) -> Answer {
        self.call(verb, path).key(&self.operator_key()).json(&body).send().await
    }

    /// Begins a request to the host.
    pub fn call(&self, verb: &str, path: &str) -> Call {
        let url = if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.url) };
        Call::new(&self.client, verb, url)
    }

    fn clock_file(&self) -> PathBuf {
        self.folder.path().join("clock")
    }

    /// The command of a host on this database, with a data folder of this name.
    pub fn command(&self, folder: &str, listen: &str) -> Command {
        let mut command = Command::new(binary("payhost-chaos"));
        command.current_dir(self.folder.path()).arg("--data").arg(self.folder.path().join(folder));
        for name in ["MASTER_KEY", "MASTER_KEY_FILE", "DATA", "DATABASE", "LISTEN", "PUBLIC_URL", "KILL"] {
            command.env_remove(format!("PAYHOST_{name}"));
        }
        command.arg("--master-key-file").arg(self.folder.path().join("payhost/master.key"));
        if let Some(database) = &self.database {
            command.env("PAYHOST_DATABASE", database);
        }
        command.env("RUST_LOG", "warn").env("PAYHOST_CLOCK_FILE", self.clock_file());
        command.args(["serve", "--listen", listen]);
        command
    }

    /// Starts the host, with a kill point armed or none. `Err`: it did not come up.
    pub fn up(&mut self, kill: Option<&str>) -> Result<(), String> {
        let first = self.url.is_empty();
        let listen = if first { "127.0.0.1:0" } else { self.url.trim_start_matches("http://") };
        let mut command = self.command("payhost", listen);
        if first {
            // The key is made by the first start.
            let data = self.folder.path().join("payhost");
            command = Command::new(binary("payhost-chaos"));
            command.arg("--data").arg(data).args(["serve", "--listen", listen]);
            command.env("RUST_LOG", "warn").env("PAYHOST_CLOCK_FILE", self.clock_file());
            if let Some(database) = &self.database {
                command.env("PAYHOST_DATABASE", database);
            }
        }
        // Receivers are on this machine.
        command.env("PAYHOST_WEBHOOK_ALLOW_NETWORK", "127.0.0.0/8").env("PAYHOST_WEBHOOK_TIMEOUT", "2s");
        if let Some(kill) = kill {
            command.env("PAYHOST_KILL", kill);
        }
        self.run(&mut command)
    }

    /// Starts the host by a command of one's own.
    pub fn run(&mut self, command: &mut Command) -> Result<(), String> {
        let log = self.folder.path().join("payhost.log");
        let (host, line) = Process::start(command, &log, |line| line.contains("\"url\""))?;
        self.host = Some(host);
        if self.url.is_empty() {
            self.url = text(&serde_json::from_str(&line).unwrap(), "url");
        }
        Ok(())
    }

    /// Another host on the same database, with a data folder of its own.
    pub fn second(&self) -> (Process, String) {
        let mut command = self.command("second", "127.0.0.1:0");
        command.args(["--public-url", &self.url]);
        let log = self.folder.path().join("second.log");
        let (host, line) = Process::start(&mut command, &log, |line| line.contains("\"url\"")).unwrap();
        (host, text(&serde_json::from_str(&line).unwrap(), "url"))
    }

    /// kill -9.
    pub fn kill(&mut self) {
        if let Some(mut host) = self.host.take() {
            host.kill();
        }
    }

    /// SIGTERM.
    pub fn ask_to_end(&self) {
        self.signal("-TERM");
    }

    /// Sends the host a signal.
    pub fn signal(&self, name: &str) {
        if let Some(host) = &self.host {
            host.signal(name);
        }
    }

    /// Waits until the host has died; `false`: it lives.
    pub async fn dies(&mut self, within: Duration) -> bool {
        let deadline = Instant::now() + within;
        while let Some(host) = &mut self.host {
            if host.ended().is_some() {
                self.host = None;
                return true;
            }
            if Instant::now() > deadline {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
        true
    }

    /// How the host ended, if it did.
    pub fn ended(&mut self) -> Option<std::process::ExitStatus> {
        self.host.as_mut().and_then(Process::ended)
    }

    /// Moves the clocks of host and gateway.
    pub async fn advance(&mut self, by: Duration) {
        let by_ms = i64::try_from(by.as_millis()).unwrap();
        self.ahead_ms += by_ms;
        let next = self.folder.path().join("clock.next");
        std::fs::write(&next, self.ahead_ms.to_string()).unwrap();
        std::fs::rename(next, self.clock_file()).unwrap();
        self.control("POST", "clock", Some(json!({"advance_ms": by_ms}))).await;
    }

    /// Now, by the moved clock, in microseconds.
    pub fn now_us(&self) -> i64 {
        jiff::Timestamp::now().as_microsecond() + self.ahead_ms * 1000
    }

    /// A request to the gateway's own API.
    pub async fn control(&self, verb: &str, path: &str, body: Option<Value>) -> Answer {
        let call = Call::new(&self.client, verb, format!("{}{path}", self.control));
        match body {
            Some(body) => call.json(&body).send().await,
            None => call.send().await,
        }
    }

    /// Lets an operation go wrong.
    pub async fn fault(&self, operation: &str, fault: &str, more: Value) {
        let mut body = json!({"operation": operation, "fault": fault, "times": 1});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.control("POST", "faults", Some(body)).await.expect(201);
    }

    /// Ends all faults.
    pub async fn heal(&self) {
        self.control("DELETE", "faults", None).await.expect(204);
    }

    /// The faults with how often they struck.
    pub async fn faults(&self) -> Vec<Value> {
        self.control("GET", "faults", None).await.expect(200)["faults"].as_array().unwrap().clone()
    }

    /// Asks for a payment.
    pub async fn create(&self, shop: usize, order_id: &str, total: i64) -> Result<Value, Silence> {
        let body = order(order_id, json!({"amount": {"total": total}}));
        let answer = self.call("POST", "/v1/payments").key(&self.shops[shop].key).json(&body);
        let answer = answer.try_send().await.map_err(|error| error.to_string())?;
        if answer.status == 201 || answer.status == 200 { Ok(answer.json()) } else { Err(answer.text) }
    }

    /// Opens a payment's window.
    pub async fn open(&self, created: &Value, device: Device) -> Result<Window, Silence> {
        let agent = if device == Device::Phone { PHONE } else { AGENT };
        let url = text(created, "checkout_url");
        let page = self.call("POST", &url).header("user-agent", agent).form(&[]).try_send().await;
        let page = page.map_err(|error| error.to_string())?;
        let fields = html::hidden_fields(&page.text);
        let Some((_, order_ref)) = fields.iter().find(|(name, _)| name == "oid" || name == "P_OID") else {
            return Err(format!("{} {}", page.status, html::visible(&page.text)));
        };
        Ok(Window { order_ref: order_ref.clone(), fields })
    }

    /// Pays in a window: what the browser brings back, if the gateway lets it.
    pub async fn decide(&self, window: &Window) -> Result<Option<Return>, Silence> {
        self.decide_with(window, json!({"choice": "pay", "card": "04", "quota": "00"})).await
    }

    /// Chooses something else in a window.
    pub async fn decide_with(&self, window: &Window, choice: Value) -> Result<Option<Return>, Silence> {
        let mut play = json!({"fields": window.fields, "referer": format!("{}/checkout", self.url)});
        play.as_object_mut().unwrap().extend(choice.as_object().unwrap().clone());
        let answer = self.control("POST", "window", Some(play)).await;
        if answer.status != 200 {
            return Err(answer.text);
        }
        let answer = answer.json();
        let Some(url) = answer["return_url"].as_str() else { return Ok(None) };
        let fields = serde_json::from_value(answer["fields"].clone()).map_err(|error| error.to_string())?;
        Ok(Some(Return { url: url.to_owned(), fields }))
    }

    /// Opens a payment's window and pays in it.
    pub async fn choose(&self, shop: usize, created: &Value) -> Result<Ready, Silence> {
        let window = self.open(created, Device::Pc).await?;
        let back = self.decide(&window).await?.ok_or("the gateway did not send the browser back")?;
        Ok(Ready { shop, created: created.clone(), order_ref: window.order_ref, back })
    }

    /// Whether the gateway can be told to fail so.
    pub async fn fits(&self, operation: &str, fault: &str, more: &Value) -> bool {
        let mut body = json!({"operation": operation, "fault": fault, "times": 0});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.control("POST", "faults", Some(body)).await.status == 201
    }

    /// A payment whose buyer is about to come back.
    pub async fn ready(&self, shop: usize, order_id: &str, total: i64) -> Result<Ready, Silence> {
        let created = self.create(shop, order_id, total).await?;
        self.choose(shop, &created).await
    }

    /// The buyer comes back; the answer leads to the result.
    pub async fn come_back(&self, ready: &Ready) -> Result<Answer, Silence> {
        let call = self.call("POST", &ready.back.url).form(&ready.back.fields);
        call.try_send().await.map_err(|error| error.to_string())
    }

    /// A payment that is paid.
    pub async fn paid(&self, shop: usize, order_id: &str, total: i64) -> Result<Ready, Silence> {
        let ready = self.ready(shop, order_id, total).await?;
        let answer = self.come_back(&ready).await?;
        if answer.status == 303 { Ok(ready) } else { Err(answer.text) }
    }

    /// Cancels.
    pub async fn cancel(&self, ready: &Ready, key: &str, amount: Option<i64>) -> Result<Answer, Silence> {
        let body = amount.map_or_else(|| json!({}), |amount| json!({"amount": amount}));
        let path = format!("/v1/payments/{}/cancel", text(&ready.created, "id"));
        let call = self.call("POST", &path).key(&self.shops[ready.shop].key);
        let call = call.header("idempotency-key", key).json(&body);
        call.try_send().await.map_err(|error| error.to_string())
    }

    /// Cancels with a body of one's own.
    pub async fn cancel_with(&self, ready: &Ready, key: &str, body: &Value) -> Result<Answer, Silence> {
        let path = format!("/v1/payments/{}/cancel", text(&ready.created, "id"));
        let call = self.call("POST", &path).key(&self.shops[ready.shop].key);
        let call = call.header("idempotency-key", key).json(body);
        call.try_send().await.map_err(|error| error.to_string())
    }

    /// Somebody cancels in the gateway's own admin; absent: all that is left there. What cannot be cancelled is not.
    pub async fn cancel_in_admin(&self, ready: &Ready, price: Option<i64>) -> Result<(), Silence> {
        let tid = text(&self.payment(ready).await?, "gateway_ref");
        let answer = self.control("POST", "cancel", Some(json!({"tid": tid, "price": price}))).await;
        if answer.status == 204 { Ok(()) } else { Err(answer.text) }
    }

    /// Has the gateway asked about a payment.
    pub async fn sync(&self, ready: &Ready) -> Result<Answer, Silence> {
        let path = format!("/v1/payments/{}/sync", text(&ready.created, "id"));
        let answer = self.call("POST", &path).key(&self.shops[ready.shop].key).try_send().await;
        answer.map_err(|error| error.to_string())
    }

    /// A person ends a doubt.
    pub async fn resolve(&self, ready: &Ready, key: &str, finding: Value) -> Answer {
        let path = format!("/v1/payments/{}/resolve", text(&ready.created, "id"));
        let call = self.call("POST", &path).key(&self.operator_key()).acting(&self.shops[ready.shop].id);
        call.header("idempotency-key", key).json(&finding).send().await
    }

    /// The payment as the API shows it.
    pub async fn payment(&self, ready: &Ready) -> Result<Value, Silence> {
        let path = format!("/v1/payments/{}", text(&ready.created, "id"));
        let answer = self.call("GET", &path).key(&self.shops[ready.shop].key).try_send().await;
        answer.map(|answer| answer.json()).map_err(|error| error.to_string())
    }

    /// Everything that the database and the gateway's ledger hold now.
    pub fn dump(&self) -> Dump {
        let source = match &self.database {
            None => Source::Sqlite(self.folder.path().join("payhost/payhost.sqlite")),
            Some(address) => Source::Postgres(address.clone()),
        };
        let folder = self.folder.path();
        Dump::read(&source, &folder.join("payhost/master.key"), &folder.join("gateway/ledger.jsonl"))
    }

    /// Waits until no job is due or at work; `Err` with what is left when that takes too long. A job that a dead host had
    /// taken stays with it until its lease ends: the clocks are moved there.
    pub async fn quiet(&mut self, within: Duration) -> Result<(), String> {
        let deadline = Instant::now() + within;
        let mut all_taken_since = None;
        loop {
            let now_us = self.now_us();
            let jobs = self.dump().jobs;
            let due = jobs.iter().filter(|job| job.due_us <= now_us).count();
            let at_work = jobs.iter().filter(|job| job.at_work).map(|job| job.due_us).max();
            let Some(lease_us) = at_work.filter(|_| due == 0) else {
                if due == 0 {
                    return Ok(());
                }
                if Instant::now() > deadline {
                    return Err(format!("{due} jobs are due and are not done"));
                }
                all_taken_since = None;
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            // Longer than any call can take: nobody lives who could end it.
            let since = *all_taken_since.get_or_insert_with(Instant::now);
            if since.elapsed() > self.longest_job {
                let ahead = u64::try_from(lease_us - now_us).unwrap_or(0) + 50_000;
                self.advance(Duration::from_micros(ahead)).await;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Moves the clocks from job to job until nothing is in doubt; gives how long that took by those clocks.
    pub async fn rest(&mut self) -> Result<Duration, String> {
        let from_us = self.now_us();
        // The schedule has 21 steps; more would mean that it does not end.
        for _ in 0..60 {
            self.quiet(PATIENCE).await?;
            let dump = self.dump();
            let took = Duration::from_micros(u64::try_from(self.now_us() - from_us).unwrap());
            if dump.open_attempts() == 0 {
                return Ok(took);
            }
            let next = dump.jobs.iter().filter(|job| job.kind == "resolve").map(|job| job.due_us).max();
            let Some(next) = next else {
                return if dump.only_operator_is_left() {
                    Ok(took)
                } else {
                    Err("an attempt is open and no job is left that would resolve it".to_owned())
                };
            };
            let ahead = u64::try_from(next - self.now_us()).unwrap_or(0) + 50_000;
            self.advance(Duration::from_micros(ahead)).await;
        }
        Err("in doubt without end".to_owned())
    }

    /// The last lines of the host's log.
    pub fn log(&self) -> String {
        let text = std::fs::read_to_string(self.folder.path().join("payhost.log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }

    /// Whether the gateway lives.
    pub fn gateway_lives(&mut self) -> bool {
        self.simulator.ended().is_none()
    }
}
