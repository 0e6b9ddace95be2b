//! What an operator decides about plugins: where buyers are sent, whose component runs, and what changed under the host's feet.

use std::path::Path;

use fantoccini::Locator;
use serde_json::{Value, json};

use crate::stage::browser::{Browser, Screen};
use crate::stage::html::visible;
use crate::stage::http::{Call, client};
use crate::stage::process::{Ended, component};
use crate::stage::{Stage, data, eventually, payhost, serve, text};

/// The component with a text replaced by another of the same length, wherever it stands.
fn patched(from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = std::fs::read(component()).unwrap();
    let mut found = 0;
    for at in 0..bytes.len() - from.len() {
        if &bytes[at..at + from.len()] == from.as_bytes() {
            bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
            found += 1;
        }
    }
    assert!(found > 0, "the component has no {from:?}");
    bytes
}

/// The same version with other contents.
fn other_contents() -> Vec<u8> {
    patched("through KG INICIS's payment window", "through KG INICIS's payment Window")
}

fn browser_origins(plugin: &Value) -> Vec<(String, bool)> {
    let origins = plugin["browser_origins"].as_array().unwrap().iter();
    origins.map(|one| (text(one, "origin"), one["granted"].as_bool().unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_buyer_is_sent_nowhere_that_was_not_granted() {
    let stage = Stage::start().await;
    let created = stage.create("A-1").await;
    let listed = stage.operator("GET", "/v1/plugins", json!({})).await.expect(200);
    let granted = browser_origins(&listed["data"][0]);
    assert!(granted.len() == 3 && granted.iter().all(|(_, granted)| *granted), "{granted:?}");
    let uses = &listed["data"][0]["browser_origins"][0]["uses"];
    assert_eq!(uses, &json!(["script", "frame", "style", "img", "connect"]));
    for (origin, _) in &granted {
        let body = json!({"origin": origin, "kind": "browser"});
        stage.operator("DELETE", "/v1/plugins/inicis/grants", body).await.expect(200);
    }
    let page = stage.open_page(&text(&created, "checkout_url")).await;
    assert_eq!(page.status, 503, "{}", page.text);
    assert!(
        !page.header("content-security-policy").contains("https://"),
        "{:?}",
        page.header("content-security-policy")
    );
    assert!(!page.text.contains("INIStdPay") && visible(&page.text).contains("수제 잼"), "{}", page.text);
    let timeline = stage.timeline(&stage.shop, &created).await;
    let failed = timeline.iter().find(|item| item["name"] == "checkout.failed").unwrap();
    assert_eq!(failed["data"]["reason"], "not_granted");
    let command = "payhost plugin grant inicis https://";
    assert!(text(&failed["data"], "detail").contains(command), "{failed}");
    assert!(
        timeline.iter().any(|item| item["kind"] == "call" || item["name"] == "general-pay.begin"),
        "{timeline:?}"
    );
    // A new payment is told at once, before any buyer comes.
    let refused = stage.create_as(&stage.shop, "A-2", json!({})).await.problem(409, "plugin_misconfigured");
    assert!(text(&refused, "detail").contains(command), "{refused}");
    // The phone's form goes to an origin of its own.
    let body = json!({"origin": "https://mobile.inicis.com", "kind": "browser"});
    stage.operator("POST", "/v1/plugins/inicis/grants", body).await.expect(200);
    stage.create_as(&stage.shop, "A-3", json!({"device": "mobile"})).await.expect(201);
    stage.create_as(&stage.shop, "A-4", json!({"device": "pc"})).await.problem(409, "plugin_misconfigured");
    let all = stage.operator("POST", "/v1/plugins/inicis/grants", json!({"all": true})).await.expect(200);
    assert!(browser_origins(&all).iter().all(|(_, granted)| *granted), "{all}");
    let page = stage.open_page(&text(&created, "checkout_url")).await;
    assert_eq!(page.status, 200, "{}", visible(&page.text));
    let policy = page.header("content-security-policy");
    assert!(policy.contains(&format!("frame-src 'self' {};", stage.gateway.browser_origin)), "{policy}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_is_of_a_kind_and_all_of_them_are_granted_at_once() {
    let stage = Stage::start().await;
    let grant = |body: Value| stage.operator("POST", "/v1/plugins/inicis/grants", body);
    for (body, words) in [
        (json!({"origin": "https://evil.example"}), "it wants: of kind host https://fcstdpay.inicis.com"),
        (
            json!({"origin": "https://evil.example", "kind": "browser"}),
            "of kind browser https://stdpay.inicis.com",
        ),
        (json!({"origin": "https://stdpay.inicis.com"}), "does not want this"),
        (json!({"origin": "https://iniapi.inicis.com", "kind": "browser"}), "does not want this"),
        (json!({"origin": "https://iniapi.inicis.com", "all": true}), "leave it out"),
        (json!({}), "an origin that the plugin wants"),
    ] {
        let problem = grant(body).await.problem(400, "invalid_request");
        assert_eq!(problem["field"], "origin");
        assert!(text(&problem, "detail").contains(words), "{problem}");
    }
    grant(json!({"origin": "https://iniapi.inicis.com", "kind": "script"}))
        .await
        .problem(400, "invalid_request");
    let none = json!({"origin": "https://iniapi.inicis.com", "kind": "browser"});
    stage.operator("DELETE", "/v1/plugins/inicis/grants", none).await.problem(404, "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_step_calls_nothing_that_the_browser_brought_along() {
    let stage = Stage::start().await;
    let call = stage.call("POST", "/v1/plugins?replace=true").key(&stage.operator_key());
    call.body("application/wasm", patched("INIStdPay.pay", "document.open")).send().await.expect(201);
    let shop = stage.new_shop("다른 가게", json!({})).await;
    let created = stage.create_as(&shop, "A-1", json!({})).await.expect(201);
    let browser = Browser::start("built-in", Screen::Pc).await;
    browser.tab.goto(&text(&created, "checkout_url")).await.unwrap();
    browser.press("open-window").await;
    let shown = Locator::Css("#trouble:not([hidden])");
    eventually(
        "the page says that the window did not open",
        std::time::Duration::from_secs(20),
        async || browser.tab.find(shown).await.ok(),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugins_place_is_taken_only_when_that_is_asked_for() {
    let stage = Stage::start().await;
    let install = |path: &str, bytes: Vec<u8>| {
        stage.call("POST", path).key(&stage.operator_key()).body("application/wasm", bytes)
    };
    let first = std::fs::read(component()).unwrap();
    let known = install("/v1/plugins", first.clone()).send().await.expect(201);
    let problem = install("/v1/plugins", other_contents()).send().await.problem(409, "plugin_differs");
    let words = text(&problem, "detail");
    assert!(words.contains("the same version with other contents") && words.contains("--replace"), "{words}");
    assert!(words.contains(&text(&known, "digest")), "{words}");
    let listed = stage.operator("GET", "/v1/plugins", json!({})).await.expect(200);
    assert_eq!(listed["data"][0]["digest"], known["digest"], "nothing changed");
    let file = stage.folder.path().join("other.wasm");
    std::fs::write(&file, other_contents()).unwrap();
    let cli = |more: &[&str]| {
        let words = [&["--json", "plugin", "install", file.to_str().unwrap()], more].concat();
        Ended::of(payhost(stage.folder.path()).args(words))
    };
    let refused = cli(&[]);
    assert!(refused.code == 1 && refused.err.contains("plugin_differs"), "{} {}", refused.out, refused.err);
    let replaced = cli(&["--replace"]).json();
    assert_ne!(replaced["digest"], known["digest"]);
    // And back again: that is a change of contents, too.
    install("/v1/plugins", first.clone()).send().await.problem(409, "plugin_differs");
    let back = install("/v1/plugins?replace=true", first).send().await.expect(201);
    assert_eq!(back["digest"], known["digest"]);
}

/// A host's data with a plugin, a shop, a channel and a key, made with commands, and what is to be known of them.
struct Folder {
    folder: tempfile::TempDir,
    channel: String,
    key: String,
}

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // A host is made by its first start.
        drop(serve(folder.path(), &[]));
        let cli = |words: &[&str]| Ended::of(payhost(folder.path()).arg("--json").args(words)).json();
        cli(&["plugin", "install", component().to_str().unwrap()]);
        let shop = text(&cli(&["shop", "create", "--name", "가게"]), "id");
        let words = ["channel", "create", "--shop", &shop, "--plugin", "inicis", "--preset", "test_pay"];
        let channel = text(&cli(&words), "id");
        let key = text(&cli(&["key", "create", "--shop", &shop]), "secret");
        Self { folder, channel, key }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Edits the database while no host runs.
    fn edit(&self, sql: &str, value: &dyn rusqlite::ToSql) {
        let file = rusqlite::Connection::open(data(self.path()).join("payhost.sqlite")).unwrap();
        assert_eq!(file.execute(sql, [value]).unwrap(), 1, "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn component_bytes_that_were_changed_in_the_database_are_not_run() {
    let place = Folder::new();
    place.edit("UPDATE component SET bytes = ?1", &other_contents());
    let (host, url) = serve(place.path(), &[]);
    let check = format!("{url}/v1/channels/{}/check", place.channel);
    Call::new(&client(), "POST", check).key(&place.key).send().await.problem(500, "internal");
    let logged = host.logged();
    assert!(logged.contains("were changed where they are kept, and were not run"), "{logged}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_whose_row_was_edited_in_the_database_lets_nobody_in() {
    let place = Folder::new();
    let url = |base: &str| format!("{base}/v1/channels");
    {
        let (_host, base) = serve(place.path(), &[]);
        Call::new(&client(), "GET", url(&base)).key(&place.key).send().await.expect(200);
    }
    place.edit("UPDATE api_key SET mode = 'live' WHERE ?1 <> ''", &"x");
    let (host, base) = serve(place.path(), &[]);
    for path in ["/v1/shops", "/v1/channels"] {
        let call = Call::new(&client(), "GET", format!("{base}{path}")).key(&place.key);
        call.send().await.problem(401, "unauthorized");
    }
    assert!(host.logged().contains("row was changed in the database"), "{}", host.logged());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_whose_text_would_hide_what_it_wants_is_not_installed() {
    let folder = tempfile::tempdir().unwrap();
    let (_host, _) = serve(folder.path(), &[]);
    let file = folder.path().join("evil.wasm");
    for hidden in ["\u{1b}[8m", "\u{202e}", "\r\n"] {
        let from = "through KG INICIS's payment window";
        let to = format!("through KG INICIS's payment{hidden}{}", "x".repeat(from.len() - 27 - hidden.len()));
        std::fs::write(&file, patched(from, &to)).unwrap();
        let refused = Ended::of(payhost(folder.path()).args(["plugin", "install", file.to_str().unwrap()]));
        assert!(refused.code == 1 && refused.err.contains("not seen"), "{hidden:?}: {}", refused.err);
        assert!(!refused.err.trim_end().contains(hidden), "{:?}", refused.err);
    }
}
