//! Telling the shop. The promise: an event reaches a receiver at least once, signed so that public libraries verify it, or the
//! shop sees that it did not; and nobody inside is told anything.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use futures_util::stream::{StreamExt as _, iter};
use serde_json::{Value, json};

use crate::stage::browser::ShopSite;
use crate::stage::buyer::pay;
use crate::stage::process::{Process, binary};
use crate::stage::receiver::{Got, Manner, Receiver};
use crate::stage::{Shop, Stage, eventually, payhost, text, try_serve};

const SOON: Duration = Duration::from_secs(20);

impl Stage {
    /// Makes an endpoint of the first shop.
    async fn endpoint(&self, url: Option<&str>, events: &[&str]) -> Value {
        self.endpoint_of(&self.shop, url, events).await
    }

    async fn endpoint_of(&self, shop: &Shop, url: Option<&str>, events: &[&str]) -> Value {
        let body = json!({"url": url, "events": events});
        self.call("POST", "/v1/webhook-endpoints").key(&shop.key).json(&body).send().await.expect(201)
    }

    async fn trigger(&self, name: &str) -> Value {
        self.post("/v1/events/samples", &json!({"type": name})).await.expect(201)
    }

    /// The deliveries of an endpoint.
    async fn deliveries(&self, endpoint: &Value) -> Vec<Value> {
        let path = format!("/v1/webhook-endpoints/{}/deliveries?limit=100", text(endpoint, "id"));
        self.get(&path).await.expect(200)["data"].as_array().unwrap().clone()
    }

    /// The one delivery of an endpoint, once it stands so.
    async fn stands(&self, endpoint: &Value, member: &str, value: Value) -> Value {
        eventually(&format!("{member} is {value}"), SOON, async || {
            self.deliveries(endpoint).await.into_iter().next().filter(|delivery| delivery[member] == value)
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_of_a_payment_is_told_in_numbered_events_that_two_public_libraries_verify() {
    let stage = Stage::start().await;
    let receiver = Receiver::start().await;
    let endpoint = stage.endpoint(Some(&receiver.url), &["*"]).await;
    let payment = stage.paid("주문 1").await;
    stage.cancel(&stage.shop, &payment, "k-1").await.expect(200);
    receiver.hears("payment.cancelled", SOON).await;
    let names =
        ["payment.created", "payment.pending", "checkout.opened", "payment.paid", "payment.cancelled"];
    let got = receiver.receives(names.len(), SOON).await;
    let mut numbered: Vec<(i64, String)> =
        got.iter().map(|got| (got.event()["data"]["sequence"].as_i64().unwrap(), got.name())).collect();
    numbered.sort_unstable();
    assert_eq!(
        numbered.iter().map(|(number, _)| *number).collect::<Vec<_>>(),
        [1, 2, 3, 4, 5],
        "{numbered:?}"
    );
    for name in names {
        assert!(numbered.iter().any(|(_, known)| known == name), "{name} in {numbered:?}");
    }
    let paid = got.iter().find(|got| got.name() == "payment.paid").unwrap().event();
    assert_eq!(
        (&paid["data"]["payment"]["state"], &paid["data"]["payment"]["order_id"]),
        (&json!("paid"), &json!("주문 1"))
    );
    let path = format!("/v1/events/{}", text(&paid, "id"));
    assert_eq!(stage.get(&path).await.expect(200), paid);
    let path = format!("/v1/events?payment_id={}&type=payment.paid", text(&payment, "id"));
    assert_eq!(stage.get(&path).await.expect(200)["data"], json!([paid]));

    let mut more = iter((0..1000).map(|_| stage.trigger("checkout.failed"))).buffer_unordered(16);
    while more.next().await.is_some() {}
    let got = receiver.receives(names.len() + 1000, Duration::from_secs(60)).await;
    verified(&text(&endpoint, "secret"), &got);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_secrets_change_under_load_every_event_verifies_with_each_secret_of_the_last_day() {
    let stage = Stage::start().await;
    let receiver = Receiver::start().await;
    let endpoint = stage.endpoint(Some(&receiver.url), &["*"]).await;
    let path = format!("/v1/webhook-endpoints/{}/rotate-secret", text(&endpoint, "id"));
    let mut secrets = vec![text(&endpoint, "secret")];
    for round in 0..4 {
        let events = futures_util::future::join_all((0..50).map(|_| stage.trigger("payment.paid")));
        let body = json!({});
        let (_, rotated) = tokio::join!(events, stage.post(&path, &body));
        let got = receiver.receives((round + 1) * 50, SOON).await;
        let known: Vec<_> =
            secrets.iter().map(|secret| standardwebhooks::Webhook::new(secret).unwrap()).collect();
        for got in &got[round * 50..] {
            let names =
                got.headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
            let names = names.collect();
            assert!(known.iter().all(|known| known.verify(got.body.as_bytes(), &names).is_ok()), "{got:?}");
        }
        secrets.push(text(&rotated.expect(200), "secret"));
    }
    stage.post(&path, &json!({})).await.problem(409, "conflict");
}

/// Shows what came to the libraries of npm, PyPI and crates.io, together with forgeries.
fn verified(secret: &str, got: &[Got]) {
    let message = |got: &Got| json!({"headers": got.headers, "body": got.body});
    let good: Vec<Value> = got.iter().map(message).collect();
    let mut forged = vec![got[0].clone(); 5];
    forged[0].body = forged[0].body.replace("evt_", "evt-");
    forged[1].headers.insert("webhook-id".to_owned(), "evt_x".to_owned());
    forged[2].headers.insert("webhook-timestamp".to_owned(), "1".to_owned());
    forged[3].headers.insert("webhook-signature".to_owned(), "v1,".to_owned());
    forged[4].headers.insert("webhook-signature".to_owned(), got[1].headers["webhook-signature"].clone());
    let input =
        json!({"secret": secret, "good": good, "forged": forged.iter().map(message).collect::<Vec<_>>()});
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/verifiers");
    let libraries = libraries();
    let mut node = Command::new("node");
    node.arg(here.join("verify.cjs")).env("NODE_PATH", libraries.join("node/node_modules"));
    let mut python = Command::new("python3");
    python.arg(here.join("verify.py")).env("PYTHONPATH", libraries.join("python"));
    for command in [&mut node, &mut python] {
        assert_eq!(with_input(command, &input.to_string()), good.len().to_string());
    }
    let webhook = standardwebhooks::Webhook::new(secret).unwrap();
    let passes = |got: &Got| {
        let names = got.headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        webhook.verify(got.body.as_bytes(), &names.collect()).is_ok()
    };
    assert!(got.iter().all(passes) && !forged.iter().any(passes));
}

/// Where the libraries are; they are installed beside the programs when they are missing.
fn libraries() -> PathBuf {
    let folder = binary("payhost").parent().unwrap().parent().unwrap().join("webhook-libraries");
    let (node, python) = (folder.join("node"), folder.join("python"));
    if !node.join("node_modules/standardwebhooks").exists() {
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-audit", "--no-fund", "--silent", "--prefix"]).arg(&node);
        installed(npm.arg("standardwebhooks@1.1.1"), "Node with npm (Debian: apt-get install nodejs npm)");
    }
    if !python.join("standardwebhooks").exists() {
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--root-user-action=ignore", "--target"]).arg(&python);
        installed(
            pip.arg("standardwebhooks==1.1.0"),
            "Python 3 with pip (Debian: apt-get install python3 python3-pip)",
        );
    }
    folder
}

fn installed(command: &mut Command, needed: &str) {
    let outcome = command.stdin(Stdio::null()).output();
    let output = outcome.unwrap_or_else(|error| panic!("{needed} is needed to verify webhooks: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{needed} is needed to verify webhooks; {command:?} said: {errors}");
}

fn with_input(command: &mut Command, input: &str) -> String {
    use std::io::Write as _;
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_behaves_badly_is_told_again_until_it_takes_the_event() {
    let stage = Stage::start().await;
    let elsewhere = Receiver::start().await;
    let elsewhere_header: &'static str = format!("location: {}\r\n", elsewhere.url).leak();
    for (manner, error) in [
        (Manner::Closes, "closed"),
        (Manner::Silent, "no answer in time"),
        (Manner::Status(500, ""), "answered 500"),
        (Manner::Status(404, ""), "answered 404"),
        (Manner::Status(301, elsewhere_header), "redirects are not followed"),
        (Manner::Status(308, elsewhere_header), "redirects are not followed"),
        (Manner::Status(429, "retry-after: 1\r\n"), "answered 429"),
    ] {
        let receiver = Receiver::with(manner.clone()).await;
        let endpoint = stage.endpoint(Some(&receiver.url), &["payment.paid"]).await;
        let event = stage.trigger("payment.paid").await;
        let delivery = stage.stands(&endpoint, "tries", json!(1)).await;
        assert_eq!(delivery["state"], "waiting", "{manner:?}");
        assert!(delivery["error"].as_str().unwrap().contains(error), "{manner:?}: {delivery}");
        receiver.be(Manner::Status(200, ""));
        let delivery = stage.stands(&endpoint, "state", json!("delivered")).await;
        assert_eq!((&delivery["status"], &delivery["error"]), (&json!(200), &Value::Null));
        let got = receiver.got();
        assert!(got.len() >= 2 && got.iter().all(|got| got.id() == text(&event, "id")), "{manner:?}");
        assert!(got.iter().all(|again| again.body == got[0].body), "{manner:?}");
        stage
            .call("DELETE", &format!("/v1/webhook-endpoints/{}", text(&endpoint, "id")))
            .key(&stage.shop.key)
            .send()
            .await
            .expect(204);
    }
    assert!(elsewhere.got().is_empty(), "a redirect was followed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_gone_for_good_is_switched_off_and_one_that_was_down_gets_everything() {
    let stage = Stage::start().await;
    let (gone, down) = (Receiver::with(Manner::Status(410, "")).await, Receiver::with(Manner::Closes).await);
    let gone_endpoint = stage.endpoint(Some(&gone.url), &["payment.paid"]).await;
    let down_endpoint = stage.endpoint(Some(&down.url), &["payment.paid"]).await;
    for _ in 0..50 {
        stage.trigger("payment.paid").await;
    }
    let path = format!("/v1/webhook-endpoints/{}", text(&gone_endpoint, "id"));
    let off = eventually("it is switched off", SOON, async || {
        let now = stage.get(&path).await.expect(200);
        (now["enabled"] == false).then_some(now)
    })
    .await;
    assert!(text(&off, "disabled_reason").contains("410"), "{off}");
    assert!(gone.got().len() <= 8, "{} were sent after the first 410", gone.got().len());
    down.be(Manner::Status(204, ""));
    eventually("all of it came", Duration::from_secs(60), async || {
        let ids: std::collections::BTreeSet<_> = down.got().iter().map(|got| got.id().to_owned()).collect();
        (ids.len() == 50).then_some(())
    })
    .await;
    eventually("all of it is written down", SOON, async || {
        let all = stage.deliveries(&down_endpoint).await;
        all.iter().all(|delivery| delivery["state"] == "delivered").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_alone_decides_whatever_the_body_does() {
    let stage = Stage::start().await;
    for manner in [Manner::ResetAfter200, Manner::Huge] {
        let receiver = Receiver::with(manner.clone()).await;
        let endpoint = stage.endpoint(Some(&receiver.url), &["payment.paid"]).await;
        stage.trigger("payment.paid").await;
        let delivery = stage.stands(&endpoint, "state", json!("delivered")).await;
        assert_eq!((&delivery["tries"], &delivery["status"]), (&json!(1), &json!(200)), "{manner:?}");
        let kept = delivery["answer"].as_str().unwrap().len();
        assert!(kept <= 2048, "{kept}");
        stage
            .call("DELETE", &format!("/v1/webhook-endpoints/{}", text(&endpoint, "id")))
            .key(&stage.shop.key)
            .send()
            .await
            .expect(204);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_never_answers_delays_no_other_shop() {
    let stage = Stage::start().await;
    let other = stage.new_shop("다른 가게", json!({})).await;
    let (hole, receiver) = (Receiver::with(Manner::Silent).await, Receiver::start().await);
    stage.endpoint(Some(&hole.url), &["*"]).await;
    stage.endpoint_of(&other, Some(&receiver.url), &["*"]).await;
    for _ in 0..40 {
        stage.trigger("payment.paid").await;
    }
    hole.receives(8, SOON).await;
    for number in 0..10 {
        let begun = std::time::Instant::now();
        let sample = json!({"type": "payment.paid"});
        stage.call("POST", "/v1/events/samples").key(&other.key).json(&sample).send().await.expect(201);
        receiver.receives(number + 1, SOON).await;
        // A try at the hole takes two seconds.
        assert!(begun.elapsed() < Duration::from_millis(1_500), "{:?}", begun.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_killed_while_it_sends_sends_again() {
    let mut stage = Stage::start().await;
    let (hole, receiver) = (Receiver::with(Manner::Silent).await, Receiver::start().await);
    stage.endpoint(Some(&hole.url), &["payment.paid"]).await;
    stage.endpoint(Some(&receiver.url), &["*"]).await;
    let paid = stage.paid("A-1").await;
    // Sent, and its end not stored; others may be claimed, handed on or in the outbox.
    let sent = hole.hears("payment.paid", SOON).await;
    let last = stage.create("A-2").await;
    stage.host.kill();
    hole.be(Manner::Status(200, ""));
    stage.restart();
    let within = Duration::from_secs(45);
    let again = eventually("the event is sent again", within, async || {
        let got = hole.got();
        got.iter().filter(|got| got.id() == sent.id()).nth(1).cloned()
    });
    assert_eq!(again.await.body, sent.body, "to the byte");
    let path = |payment: &Value| format!("/v1/events?limit=100&payment_id={}", text(payment, "id"));
    for payment in [&paid, &last] {
        for event in stage.get(&path(payment)).await.expect(200)["data"].as_array().unwrap() {
            let id = text(event, "id");
            eventually(&format!("{id} came"), within, async || {
                receiver.got().iter().any(|got| got.id() == id).then_some(())
            })
            .await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_s_own_address_is_told_as_well_and_only_of_that_payment() {
    let stage = Stage::start().await;
    let (all, own) = (Receiver::start().await, Receiver::start().await);
    stage.endpoint(Some(&all.url), &["payment.created"]).await;
    let more = json!({"webhook_url": own.url});
    let problem = stage.create_as(&stage.shop, "A-1", more.clone()).await.problem(400, "invalid_request");
    assert_eq!(problem["field"], "webhook_url", "nothing would sign it");
    let signer = stage.endpoint(None, &["payment.created"]).await;
    let payment = stage.create_as(&stage.shop, "A-1", more).await.expect(201);
    stage.create("A-2").await;
    all.receives(2, SOON).await;
    let got = own.receives(1, SOON).await;
    assert_eq!(got.len(), 1);
    assert_eq!(got[0].event()["data"]["payment"]["id"], payment["id"]);
    let webhook = standardwebhooks::Webhook::new(&text(&signer, "secret")).unwrap();
    let names = got[0].headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
    webhook.verify(got[0].body.as_bytes(), &names.collect()).unwrap();
    assert_eq!(stage.deliveries(&signer).await[0]["url"], json!(own.url));
}

/// What a shop could write to reach the machine, its neighbours or its cloud (payments.md H4).
const INWARD: &[&str] = &[
    "http://127.0.0.1:PORT/",
    "https://127.0.0.1:PORT/",
    "https://127.0.0.2:PORT/",
    "https://127.1:PORT/",
    "https://127.255.255.254:PORT/",
    "https://2130706433:PORT/",
    "https://017700000001:PORT/",
    "https://0x7f000001:PORT/",
    "https://0x7f.0.0.1:PORT/",
    "https://0x7f.1:PORT/",
    "https://0177.0.0.1:PORT/",
    "https://0:PORT/",
    "https://0.0.0.0:PORT/",
    "https://[::]:PORT/",
    "https://[::1]:PORT/",
    "https://[0:0:0:0:0:0:0:1]:PORT/",
    "https://[::ffff:127.0.0.1]:PORT/",
    "https://[::ffff:7f00:1]:PORT/",
    "https://[::ffff:10.0.0.1]:PORT/",
    "https://[::127.0.0.1]:PORT/",
    "https://[64:ff9b::7f00:1]:PORT/",
    "https://[2002:7f00:1::]:PORT/",
    "https://[fc00::1]:PORT/",
    "https://[fd12:3456:789a::1]:PORT/",
    "https://[fe80::1]:PORT/",
    "https://[ff02::1]:PORT/",
    "https://[2001:db8::1]:PORT/",
    "https://10.0.0.1/",
    "https://10.255.255.255:PORT/",
    "https://172.16.0.1:PORT/",
    "https://172.31.255.255:PORT/",
    "https://192.168.0.1:PORT/",
    "https://100.64.0.1:PORT/",
    "https://169.254.169.254/latest/meta-data/",
    "http://169.254.169.254/latest/meta-data/",
    "https://198.18.0.1:PORT/",
    "https://192.0.2.1:PORT/",
    "https://224.0.0.1:PORT/",
    "https://255.255.255.255:PORT/",
    "https://①②⑦.⓪.⓪.①:PORT/",
    "https://１２７.０.０.１:PORT/",
    "https://127。0。0。1:PORT/",
    "http://localhost:PORT/",
    "https://user@localhost:PORT/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:PORT/",
    "ftp://127.0.0.1:PORT/",
    "data:text/plain,x",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_host_without_allowed_networks_tells_nobody_inside() {
    let mut stage = Stage::start().await;
    let receiver = Receiver::start().await;
    let port = receiver.url.split(':').nth(2).unwrap().split('/').next().unwrap().to_owned();
    stage.host.kill();
    let mut command = payhost(stage.folder.path());
    command.env_remove("PAYHOST_WEBHOOK_ALLOW_NETWORK");
    (stage.host, stage.url) = try_serve(&mut command, stage.folder.path(), &[]).unwrap();
    stage.endpoint(None, &["*"]).await;
    assert!(INWARD.len() >= 40);
    for url in INWARD {
        let url = url.replace("PORT", &port);
        let problem =
            stage.post("/v1/webhook-endpoints", &json!({"url": url})).await.problem(400, "invalid_request");
        assert_eq!(problem["field"], "url", "{url}");
        let answer = stage.create_as(&stage.shop, "A-1", json!({"webhook_url": url})).await;
        assert_eq!(answer.problem(400, "invalid_request")["field"], "webhook_url", "{url}");
        let path = format!("/v1/channels/{}", stage.shop.channel);
        let body = json!({"notice_forward_url": url});
        let answer = stage.call("PATCH", &path).key(&stage.shop.key).json(&body).send().await;
        assert_eq!(answer.problem(400, "invalid_request")["field"], "notice_forward_url", "{url}");
    }
    // A name may be written; where it leads to is seen at each try.
    let endpoint = stage.endpoint(Some(&format!("https://localhost:{port}/")), &["payment.paid"]).await;
    stage.trigger("payment.paid").await;
    let delivery = eventually("it was tried", SOON, async || {
        stage.deliveries(&endpoint).await.into_iter().find(|delivery| delivery["tries"] != 0)
    });
    let delivery = delivery.await;
    assert!(delivery["error"].as_str().unwrap().contains("not on the public net"), "{delivery}");
    assert!(receiver.got().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_developer_listens_and_triggers_on_the_command_line() {
    let stage = Stage::start().await;
    let (local, remote) = (Receiver::start().await, Receiver::start().await);
    let folder = stage.folder.path();
    let shop = stage.shop.id.as_str();
    stage.create("A-0").await;
    let mut command = payhost(folder);
    command.args(["listen", "--shop", shop, "--forward-to", &local.url]);
    let (_listening, line) =
        Process::start(&mut command, &folder.join("listen.log"), |line| line.contains("whsec_")).unwrap();
    let secret = line.rsplit(' ').next().unwrap();
    let run = |words: &[&str]| {
        let output = payhost(folder).arg("--json").args(words).output().unwrap();
        (
            output.status.success(),
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (good, made, errors) = run(&["webhook", "create", "--shop", shop, "--to", &remote.url]);
    assert!(good && made.contains("whsec_"), "{errors}");
    stage.create("A-1").await;
    let (good, _, errors) = run(&["trigger", "payment.paid", "--shop", shop]);
    assert!(good, "{errors}");
    let got = local.receives(2, SOON).await;
    assert_eq!(
        got.iter().map(Got::name).collect::<Vec<_>>(),
        ["payment.created", "payment.paid"],
        "from now on only"
    );
    assert_eq!(got[1].event()["data"]["sample"], true);
    let webhook = standardwebhooks::Webhook::new(secret).unwrap();
    for got in &got {
        let names = got.headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        webhook.verify(got.body.as_bytes(), &names.collect()).unwrap();
    }
    remote.receives(2, SOON).await;
    let (good, _, errors) = run(&["trigger", "payment.payed", "--shop", shop]);
    assert!(!good && errors.contains("payment.paid"), "{errors}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_shop_s_order_is_paid_by_webhook_when_the_buyer_does_not_come_back() {
    let stage = Stage::start().await;
    let shop = ShopSite::start(&stage).await;
    let (order, opened) = shop.order_without_browser(&stage).await;
    let window = stage.open(&opened).await;
    assert_eq!(stage.come_back(&stage.choose(&window, pay()).await).await.result, "paid");
    // The list of orders shows what the shop knows; it asks nobody.
    eventually("the order is paid", SOON, async || {
        let page = shop.page(&stage, "/orders").await;
        assert!(page.contains(&order), "{page}");
        page.contains("class=\"state paid\"").then_some(())
    })
    .await;
}
