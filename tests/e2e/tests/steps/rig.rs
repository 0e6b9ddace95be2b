//! A host inside the test, with a clock that can be moved and can kill.

mod clock;
mod gateway;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use inicis_sim::{Options, Running};
use payhost::Host;
use payhost::jobs::{Done, Task, perform};
use payhost_core::id::{ChannelId, PaymentId, ShopId};
use payhost_core::{PaymentState, Resolution};
use payhost_store::Error;
use payhost_store::rows::attempts::{self, Attempt, AttemptState};
use payhost_store::rows::facts::{self, FactRow};
use payhost_store::rows::ledger::{self, Of};
use payhost_store::rows::{checkouts, jobs, payments};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::html;
use crate::http::{self, Answer, Call};

pub use clock::TestClock;
pub use gateway::account;

const GATEWAY: &[(&str, bool)] = &[
    ("https://stdpay.inicis.com", true),
    ("https://fcstdpay.inicis.com", false),
    ("https://ksstdpay.inicis.com", false),
    ("https://iniapi.inicis.com", false),
];
const TOTAL: i64 = 20_900;

/// A payment of a test.
pub struct Payment {
    pub id: PaymentId,
    pub checkout_url: String,
    pub total: i64,
    order_ref: std::sync::Mutex<String>,
}

impl Payment {
    /// The order number of its newest checkout.
    pub fn order_ref(&self) -> String {
        self.order_ref.lock().unwrap().clone()
    }
}

/// What the gateway gave the browser.
pub struct Back {
    payment: PaymentId,
    url: String,
    fields: Vec<(String, String)>,
    pub order_ref: String,
}

/// Everything that is known of a payment, here and at the gateway.
#[derive(Debug)]
pub struct Books {
    pub row: payments::Payment,
    pub attempts: Vec<Attempt>,
    pub facts: Vec<FactRow>,
    pub ledger: i64,
    pub held: i64,
}

impl Books {
    /// What must be the same however often things were done.
    pub fn end(&self) -> Value {
        let facts: Vec<_> =
            self.facts.iter().map(|fact| (fact.kind.as_str(), fact.amount, fact.sequence)).collect();
        let attempts: Vec<_> = self
            .attempts
            .iter()
            .filter(|attempt| attempt.parent_id.is_none())
            .map(|attempt| (attempt.kind.as_str(), attempt.state.as_str()))
            .collect();
        json!({"state": self.row.state.as_str(), "facts": facts, "attempts": attempts, "held": self.held})
    }
}

pub struct Rig {
    pub clock: Arc<TestClock>,
    host: Host,
    url: String,
    client: reqwest::Client,
    gateway: Running,
    shop: ShopId,
    channel: ChannelId,
    key: String,
    orders: AtomicUsize,
    times: AtomicUsize,
    last: std::sync::Mutex<Value>,
    _folder: TempDir,
}

impl Rig {
    /// A host with a shop whose gateway can be asked by order number, or cannot.
    pub async fn start(lookup: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(TestClock::new());
        let gateway = inicis_sim::start(Options::new(folder.path().join("gateway"))).await.unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let host = Host::builder(folder.path().join("host")).clock(clock.clone());
        let host = host.public_url(url.parse().unwrap()).open().await.unwrap();
        let app = host.router();
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        let (shop, channel) = (ShopId::new(0, [0; 10]), ChannelId::new(0, [0; 10]));
        let (orders, times) = (AtomicUsize::new(0), AtomicUsize::new(1));
        let client = http::client();
        let mut rig = Self {
            clock,
            host,
            url,
            client,
            gateway,
            shop,
            channel,
            key: String::new(),
            orders,
            times,
            last: std::sync::Mutex::default(),
            _folder: folder,
        };
        rig.set_up(lookup).await;
        rig
    }

    async fn set_up(&mut self, lookup: bool) {
        let operator = self.host.run_key().to_owned();
        let component = std::fs::read(plugin()).unwrap();
        let call = self.call("POST", "/v1/plugins").key(&operator).body("application/wasm", component);
        call.send().await.expect(201);
        let call = self.call("POST", "/v1/plugins/inicis/grants").key(&operator);
        call.json(&json!({"all": true})).send().await.expect(200);
        for (origin, browser) in GATEWAY {
            let entry = json!({
                "origin": origin, "connect": self.gateway.gateway_address.to_string(), "ca_pem": self.gateway.ca_pem,
                "browser_origin": browser.then_some(&self.gateway.browser_origin),
            });
            self.call("PUT", "/v1/gateway-map").key(&operator).json(&entry).send().await.expect(200);
        }
        let body = json!({"name": "가게", "allowed_origins": [], "private_webhooks": true});
        let shop = self.call("POST", "/v1/shops").key(&operator).json(&body).send().await.expect(201);
        self.shop = shop["id"].as_str().unwrap().parse().unwrap();
        let body = json!({"shop_id": self.shop, "mode": "test", "name": "test"});
        let key = self.call("POST", "/v1/keys").key(&operator).json(&body).send().await.expect(201);
        self.key = key["secret"].as_str().unwrap().to_owned();
        let mut settings = json!({"settles_within": 60, "undo_within": 600});
        if lookup {
            settings["mid"] = json!("INIlookup0");
            settings["lookup_by"] = json!("order_ref");
        }
        let body = json!({"plugin": "inicis", "preset": "test_pay", "settings": settings});
        let made = self.call("POST", "/v1/channels").key(&self.key).json(&body).send().await.expect(201);
        self.channel = made["id"].as_str().unwrap().parse().unwrap();
    }

    fn call(&self, verb: &str, path: &str) -> Call {
        let url = if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.url) };
        Call::new(&self.client, verb, url)
    }

    /// A new payment.
    pub async fn create(&self) -> Payment {
        let number = self.orders.fetch_add(1, Ordering::SeqCst);
        let made = self.create_order(&format!("A-{number}")).await.expect(201);
        Payment {
            id: made["id"].as_str().unwrap().parse().unwrap(),
            checkout_url: made["checkout_url"].as_str().unwrap().to_owned(),
            total: TOTAL,
            order_ref: std::sync::Mutex::default(),
        }
    }

    /// A payment of so many seconds, under a key.
    pub async fn create_until(&self, seconds: i64, key: &str) -> Answer {
        let until = jiff::Timestamp::from_microsecond(self.host.now_us() + seconds * 1_000_000).unwrap();
        let body = json!({
            "order_id": "B-1", "order_name": "잼", "amount": {"total": TOTAL}, "expires_at": until.to_string(),
        });
        *self.last.lock().unwrap() = body;
        self.create_again(key).await
    }

    /// A payment by an account that waits for so many seconds, under a key.
    pub async fn create_with_deadline(&self, order_id: &str, seconds: i64, key: &str) -> Answer {
        let until = jiff::Timestamp::from_microsecond(self.host.now_us() + seconds * 1_000_000).unwrap();
        let body = json!({
            "order_id": order_id, "order_name": "잼", "amount": {"total": TOTAL},
            "options": {"deposit_deadline": until.to_string()},
        });
        *self.last.lock().unwrap() = body;
        self.create_again(key).await
    }

    /// The usual payment of an order.
    pub async fn create_order(&self, order_id: &str) -> Answer {
        let body = json!({
            "order_id": order_id, "order_name": "잼", "amount": {"total": TOTAL},
            "buyer": {"name": "홍길동", "email": "hong@example.com", "phone": "010-1234-5678"},
        });
        self.call("POST", "/v1/payments").key(&self.key).json(&body).send().await
    }

    /// Another payment of the same order, made without a look at this one.
    pub async fn beside(&self, payment: &Payment) {
        let first = self.books(payment).await.row;
        let row = payments::Payment {
            id: PaymentId::new(self.clock.time_us() / 1000, [7; 10]),
            state: PaymentState::Created,
            resolution: Resolution::None,
            paid: 0,
            gateway_ref: None,
            approved_checkout_id: None,
            approved_at_us: None,
            opened: false,
            expired: false,
            late_us: None,
            expires_us: self.clock.time_us() + 24 * 3600 * 1_000_000,
            ..first
        };
        let made: Result<(), Error> = self.host.store().transact(move |tx| payments::insert(tx, &row)).await;
        made.unwrap();
    }

    /// The same request for another order.
    pub async fn create_of_order(&self, order_id: &str, key: &str) -> Answer {
        self.last.lock().unwrap()["order_id"] = json!(order_id);
        self.create_again(key).await
    }

    /// The same request again.
    pub async fn create_again(&self, key: &str) -> Answer {
        let body = self.last.lock().unwrap().clone();
        let call = self.call("POST", "/v1/payments").key(&self.key).header("idempotency-key", key);
        call.json(&body).send().await
    }

    /// Waits until the gateway holds the money while the host does not know it yet.
    pub async fn until_attempted(&self, payment: &Payment) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.books(payment).await.held == 0 {
            assert!(Instant::now() < deadline, "nothing was attempted");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// A payment that is paid.
    pub async fn paid(&self) -> Payment {
        let payment = self.create().await;
        let back = self.choose(&payment).await;
        self.come_back(&back).await;
        assert_eq!(self.books(&payment).await.held, TOTAL);
        payment
    }

    /// The buyer opens the window and chooses a card.
    pub async fn choose(&self, payment: &Payment) -> Back {
        self.choose_as(payment, json!({"choice": "pay", "card": "04", "quota": "00"})).await
    }

    /// The buyer opens the window and chooses.
    pub async fn choose_as(&self, payment: &Payment, choice: Value) -> Back {
        let page = self.call("POST", &payment.checkout_url).form(&[]).send().await;
        assert_eq!(page.status, 200, "{}", html::visible(&page.text));
        let fields = html::hidden_fields(&page.text);
        let order_ref = fields.iter().find(|(name, _)| name == "oid").unwrap().1.clone();
        payment.order_ref.lock().unwrap().clone_from(&order_ref);
        let mut body = choice;
        body["fields"] = json!(fields);
        body["referer"] = json!(format!("{}/checkout", self.url));
        let answer = self.sim("window", body).await;
        let fields = serde_json::from_value(answer["fields"].clone()).unwrap();
        let payment = payment.id;
        Back { payment, url: answer["return_url"].as_str().unwrap().to_owned(), fields, order_ref }
    }

    /// The browser posts what the gateway gave it, and goes away once nobody knows how it ended.
    pub async fn come_back(&self, back: &Back) {
        let doubt = async {
            loop {
                let (shop, id) = (self.shop, back.payment);
                let open = self.host.store().read(move |tx| attempts::open_of(tx, shop, id)).await;
                let open: Option<Attempt> = open.unwrap();
                if open.is_some_and(|attempt| attempt.state == AttemptState::InDoubt) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::select! {
            _ = self.call("POST", &back.url).form(&back.fields).try_send() => {}
            () = doubt => {}
        }
    }

    /// The browser posts what the gateway gave it, and waits for the answer.
    pub async fn come_back_and_wait(&self, back: &Back) {
        self.call("POST", &back.url).form(&back.fields).send().await;
    }

    pub async fn cancel(&self, payment: &Payment, key: &str, amount: Option<i64>) -> Answer {
        let path = format!("/v1/payments/{}/cancel", payment.id);
        let key = format!("{key} of {}", payment.id);
        let call = self.call("POST", &path).key(&self.key).header("idempotency-key", &key);
        let gone = || Answer { status: 0, headers: Default::default(), text: String::new() };
        call.json(&json!({"amount": amount})).try_send().await.unwrap_or_else(|_| gone())
    }

    /// Asks for a payment of another total in place of one.
    pub async fn replace(&self, payment: &Payment, key: &str) -> Answer {
        let order_id = self.books(payment).await.row.order_id;
        let body = json!({
            "order_id": order_id, "order_name": "잼", "amount": {"total": TOTAL + 1000}, "replace": true,
        });
        let key = format!("{key} of {}", payment.id);
        let call = self.call("POST", "/v1/payments").key(&self.key).header("idempotency-key", &key);
        let gone = || Answer { status: 0, headers: Default::default(), text: String::new() };
        call.json(&body).try_send().await.unwrap_or_else(|_| gone())
    }

    /// The payment that takes the place of one.
    pub async fn replaced(&self, payment: &Payment) -> Payment {
        let made = self.replace(payment, "k-replace").await.expect(201);
        Payment {
            id: made["id"].as_str().unwrap().parse().unwrap(),
            checkout_url: made["checkout_url"].as_str().unwrap().to_owned(),
            total: TOTAL + 1000,
            order_ref: std::sync::Mutex::default(),
        }
    }

    /// States of the payments of an order, the newest first.
    pub async fn states_of_order(&self, payment: &Payment) -> Vec<String> {
        let order_id = self.books(payment).await.row.order_id;
        let path = format!("/v1/payments?order_id={order_id}");
        let list = self.call("GET", &path).key(&self.key).send().await.expect(200);
        let state = |payment: &Value| payment["state"].as_str().unwrap().to_owned();
        list["data"].as_array().unwrap().iter().map(state).collect()
    }

    /// A person's finding.
    pub async fn find(&self, payment: &Payment, finding: Value) -> Value {
        let path = format!("/v1/payments/{}/resolve", payment.id);
        let call = self
            .call("POST", &path)
            .key(self.host.run_key())
            .header("payhost-shop", &self.shop.to_string())
            .header("payhost-mode", "test")
            .header("idempotency-key", &format!("{} {}", payment.id, payment.order_ref()));
        call.json(&finding).send().await.expect(200)
    }

    /// The gateway is asked about a payment.
    pub async fn sync(&self, payment: &Payment) -> Answer {
        self.call("POST", &format!("/v1/payments/{}/sync", payment.id)).key(&self.key).send().await
    }

    /// Time goes by, here and at the gateway.
    pub async fn later(&self, seconds: i64) {
        self.clock.jump(seconds);
        self.gateway.clock.advance_ms(seconds * 1000);
    }

    /// Every job is done so often each time.
    pub fn every_job_so_often(&self, times: usize) {
        self.times.store(times, Ordering::SeqCst);
    }

    /// Looks for due jobs so often, and does them. One that dies stays claimed, as after the death of its process.
    pub async fn jobs(&self, looks: usize) {
        for _ in 0..looks {
            let now_us = self.clock.time_us();
            let claim = self.host.store().transact(move |tx| {
                let mut claimed = Vec::new();
                for (lane, _) in jobs::Lane::TABLE {
                    let due = jobs::look(tx, *lane, now_us, None)?;
                    let shops: Vec<_> = due.shops.into_iter().map(|(shop, _)| (shop, 50)).collect();
                    let lease_until_us = now_us + 60_000_000;
                    let by = jobs::Claim { lane: *lane, now_us, lease_until_us, token: "t" };
                    claimed.extend(jobs::claim(tx, &by, &shops)?);
                }
                Ok::<_, Error>(claimed)
            });
            for job in claim.await.unwrap() {
                let task: Task = job.payload.to().unwrap();
                let mut done = None;
                for _ in 0..self.times.load(Ordering::SeqCst) {
                    let (host, task) = (self.host.clone(), task.clone());
                    done = tokio::spawn(async move { perform(&host, task, job.tries).await }).await.ok();
                }
                let done = match done {
                    None => continue,
                    Some(Err(_)) if self.clock.has_died() => continue,
                    Some(done) => done.unwrap(),
                };
                let (shop, id) = (job.shop_id, job.id);
                let stored = self.host.store().transact(move |tx| match done {
                    Done::Finished => jobs::finish(tx, (shop, id), "t", now_us),
                    Done::Again(due_us, _) => jobs::retry_at(tx, (shop, id, "t"), due_us, None, now_us),
                });
                let stored: Result<bool, Error> = stored.await;
                stored.unwrap();
            }
        }
    }

    /// Time goes by until a payment's outcome is known or a person must find out.
    pub async fn until_known(&self, payment: &Payment) {
        for _ in 0..100 {
            let books = self.books(payment).await;
            let open =
                books.attempts.iter().any(|attempt| attempt.parent_id.is_none() && attempt.state.is_open());
            if !open || books.row.resolution == Resolution::NeedsOperator {
                return;
            }
            self.later(16).await;
            self.jobs(1).await;
        }
        panic!("still not known: {:?}", self.books(payment).await);
    }

    pub async fn books(&self, payment: &Payment) -> Books {
        let (shop, id) = (self.shop, payment.id);
        let read = self.host.store().read(move |tx| {
            let row = payments::get(tx, shop, id)?.unwrap();
            let lines = ledger::balances(tx, Of::Payment(shop, id))?;
            let opened = checkouts::of_payment(tx, shop, id)?;
            let refs: Vec<String> = opened.into_iter().map(|checkout| checkout.order_ref).collect();
            let ledger = lines.iter().map(|balance| balance.amount).sum::<i64>();
            Ok::<_, Error>((
                row,
                attempts::of_payment(tx, shop, id)?,
                facts::of_payment(tx, shop, id)?,
                ledger,
                refs,
            ))
        });
        let (row, attempts, facts, ledger, refs) = read.await.unwrap();
        let mut held = 0;
        for order_ref in refs {
            let url = format!("{}/_sim/ledger?oid={order_ref}", self.gateway.browser_origin);
            let sales = self.call("GET", &url).send().await.expect(200);
            let remaining =
                sales["sales"].as_array().unwrap().iter().map(|sale| sale["remaining"].as_i64().unwrap());
            held += remaining.sum::<i64>();
        }
        Books { row, attempts, facts, ledger, held }
    }

    /// The channel is watched.
    pub async fn watch(&self) {
        let path = format!("/v1/channels/{}", self.channel);
        self.call("PATCH", &path).key(&self.key).json(&json!({"watch": true})).send().await.expect(200);
    }

    /// What is over is to be thrown away.
    pub async fn tidy(&self) {
        payhost::jobs::tidy::pass(&self.host).await.unwrap();
    }

    /// The host's own runner, in which one job panics. Runs until nothing that is due is left; tells how many panicked.
    pub async fn run_jobs_with_a_panic(&self) -> usize {
        let stop = Arc::new(tokio::sync::Notify::new());
        let (host, stopped) = (self.host.clone(), Arc::clone(&stop));
        let clock = Arc::clone(&self.clock);
        let runner = tokio::spawn(async move {
            clock.kill_a_job();
            payhost::jobs::run(host, async move { stopped.notified().await }).await;
        });
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let due = self.host.store().read(jobs::next_due).await.unwrap();
            let now_us = self.clock.time_us();
            let panics = self.clock.panics();
            if panics > 0 && due.is_none_or(|due_us| due_us > now_us) {
                break;
            }
            assert!(Instant::now() < deadline, "jobs are left undone");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        stop.notify_one();
        runner.await.unwrap();
        self.clock.panics()
    }
}

/// The compiled plugin, where the other tests find it.
fn plugin() -> std::path::PathBuf {
    let target = match std::env::var_os("PAYHOST_TEST_PLUGIN") {
        Some(path) => return path.into(),
        None => std::env::current_exe().unwrap(),
    };
    target.ancestors().nth(3).unwrap().join("wasm32-wasip2/plugin/inicis.wasm")
}
