//! A real browser and the example shop. Invariant: the browser ends with its value, also after a panic.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use fantoccini::elements::Element;
use fantoccini::wd::WindowHandle;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::process::{Process, binary};
use super::{Stage, axe, eventually, text};

/// How long a page may take to show something.
const PATIENCE: Duration = Duration::from_secs(30);
/// INICIS's PC window refuses phones, so that a narrow window says that it is a PC.
const AGENT: &str =
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 Safari/537.36";

/// What a phone's browser says that it is.
const PHONE_AGENT: &str = "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 \
                           Mobile Safari/537.36";

/// Size of the browser's window in CSS pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Screen {
    /// 1280x900, without the browser's own bars.
    Pc,
    /// 390x844 on a computer.
    Narrow,
    /// 390x844 on a phone.
    Phone,
}

/// A browser at a shop.
pub struct Browser {
    /// The tab.
    pub tab: Client,
    driver_address: String,
    session: String,
    story: String,
    shots: std::cell::Cell<u32>,
    _driver: Process,
    _profile: TempDir,
}

impl Browser {
    /// Starts one. `story` names its pictures.
    pub async fn start(story: &str, screen: Screen) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let log = profile.path().join("chromedriver.log");
        let mut command = Command::new("chromedriver");
        command.arg("--port=0").env("TMPDIR", profile.path());
        let started =
            Process::start(&mut command, &log, |line| line.contains("started successfully on port"));
        let (driver, line) = started.unwrap_or_else(|words| panic!("{words}"));
        let port: String = line.split("port ").nth(1).unwrap().chars().filter(char::is_ascii_digit).collect();
        let driver_address = format!("127.0.0.1:{port}");
        let mut arguments = vec![
            "--headless=new".to_owned(),
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--disable-background-networking".to_owned(),
            "--disable-component-update".to_owned(),
            "--no-first-run".to_owned(),
            "--no-proxy-server".to_owned(),
            "--lang=ko".to_owned(),
            "--window-size=1280,1043".to_owned(),
            format!("--user-data-dir={}", profile.path().join("profile").display()),
        ];
        let mut options = json!({});
        if screen == Screen::Pc {
            arguments.push(format!("--user-agent={AGENT}"));
        } else {
            let phone = screen == Screen::Phone;
            let agent = if phone { PHONE_AGENT } else { AGENT };
            let metrics =
                json!({"width": 390, "height": 844, "pixelRatio": 2.0, "mobile": phone, "touch": phone});
            options["mobileEmulation"] = json!({"deviceMetrics": metrics, "userAgent": agent});
        }
        options["args"] = json!(arguments);
        let capabilities = json!({"goog:chromeOptions": options});
        let mut builder = ClientBuilder::new(HttpConnector::new());
        builder.capabilities(capabilities.as_object().unwrap().clone());
        let tab = builder.connect(&format!("http://{driver_address}")).await.unwrap();
        let session = tab.session_id().await.unwrap().unwrap();
        let shots = std::cell::Cell::new(0);
        Self {
            tab,
            driver_address,
            session,
            story: story.to_owned(),
            shots,
            _driver: driver,
            _profile: profile,
        }
    }

    /// The element of a test id, once it is there.
    pub async fn see(&self, id: &str) -> Element {
        let selector = format!("[data-testid=\"{id}\"]");
        eventually(&format!("{id} is on the page"), PATIENCE, async || {
            self.tab.find(Locator::Css(&selector)).await.ok()
        })
        .await
    }

    /// Presses the element of a test id. A page that is being replaced takes its elements away between the look and the press:
    /// then nothing was pressed, and the new page's element is.
    pub async fn press(&self, id: &str) {
        eventually(&format!("{id} can be pressed"), PATIENCE, async || {
            let pressed = self.see(id).await.click().await;
            if let Err(error) = &pressed {
                assert!(is_of_a_replaced_page(error), "{id}: {error}");
            }
            pressed.ok()
        })
        .await;
    }

    /// Writes into the field of a test id.
    pub async fn write(&self, id: &str, words: &str) {
        self.see(id).await.send_keys(words).await.unwrap();
    }

    /// An attribute of the element of a test id, once it has this value.
    pub async fn becomes(&self, id: &str, attribute: &str, value: &str) {
        let selector = format!("[data-testid=\"{id}\"][{attribute}=\"{value}\"]");
        eventually(&format!("{id} has {attribute}={value}"), PATIENCE, async || {
            self.tab.find(Locator::Css(&selector)).await.ok()
        })
        .await;
    }

    /// Whether the page has an element of a test id now.
    pub async fn has(&self, id: &str) -> bool {
        self.tab.find(Locator::Css(&format!("[data-testid=\"{id}\"]"))).await.is_ok()
    }

    /// Goes into the gateway's window, which is a frame over the page.
    pub async fn enter_window(&self) {
        eventually("the gateway's window is open", PATIENCE, async || {
            let frame = self.tab.find(Locator::Css("iframe.inipay_iframe")).await.ok()?;
            frame.enter_frame().await.ok()
        })
        .await;
        self.see("pay").await;
    }

    /// Back to the page itself, whatever became of the frame.
    pub async fn leave_frame(&self) {
        let window = self.tab.window().await.unwrap();
        self.tab.switch_to_window(window).await.unwrap();
    }

    /// The window that is not one of these, once it is there.
    pub async fn other_window(&self, known: &[WindowHandle]) -> WindowHandle {
        eventually("another window is open", PATIENCE, async || {
            self.tab.windows().await.ok()?.into_iter().find(|window| !known.contains(window))
        })
        .await
    }

    /// Waits until only one window is left, and goes to it.
    pub async fn only_window(&self, window: &WindowHandle) {
        eventually("the popup is closed", PATIENCE, async || {
            (self.tab.windows().await.ok()?.len() == 1).then_some(())
        })
        .await;
        self.tab.switch_to_window(window.clone()).await.unwrap();
    }

    /// Checks the page with axe-core, and keeps a picture for people in the folder `PAYHOST_SCREENSHOTS`, when it is set. A page
    /// that leaves in that moment has none.
    pub async fn shoot(&self, what: &str) {
        let violations = axe::violations(&self.tab).await;
        assert!(violations.is_empty(), "{} {what}: {violations:#?}", self.story);
        let number = self.shots.get() + 1;
        self.shots.set(number);
        let Some(folder) = std::env::var_os("PAYHOST_SCREENSHOTS") else { return };
        std::fs::create_dir_all(&folder).unwrap();
        let file = PathBuf::from(folder).join(format!("{}-{number:02}-{what}.png", self.story));
        if let Ok(picture) = self.tab.screenshot().await {
            std::fs::write(file, picture).unwrap();
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Chromium outlives a driver that is killed: the session is ended first, without an executor.
        let Ok(mut stream) = TcpStream::connect(&self.driver_address) else { return };
        let _ = stream.set_read_timeout(Some(Duration::from_secs(10)));
        let head = format!(
            "DELETE /session/{} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
            self.session
        );
        let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.read(&mut [0; 512]));
    }
}

/// The cookie of a visitor without a browser.
const VISITOR: &str = "shop_session=00000000000000000000000000000000";

/// The example shop of a stage.
pub struct ShopSite {
    /// Its address.
    pub url: String,
    /// Where the gateway tells of its deposits.
    pub notify_url: String,
    _process: Process,
}

impl ShopSite {
    /// Starts it with a shop of its own, whose pages may hear of results.
    pub async fn start(stage: &Stage) -> Self {
        // payhost must know the address before the shop runs: the port is taken and given back at once.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let url = format!("http://127.0.0.1:{port}");
        let body = json!({"name": "작은 가게", "allowed_origins": [url], "private_webhooks": true});
        let id = text(&stage.operator("POST", "/v1/shops", body).await.expect(201), "id");
        let key = stage.new_key(&id, "test").await;
        let body = json!({"plugin": "inicis", "preset": "test_pay"});
        let channel = stage.call("POST", "/v1/channels").key(&key).json(&body).send().await.expect(201);
        let body = json!({"url": format!("{url}/webhooks")});
        let endpoint =
            stage.call("POST", "/v1/webhook-endpoints").key(&key).json(&body).send().await.expect(201);
        let folder = stage.folder.path();
        std::fs::write(folder.join("webhook.secret"), text(&endpoint, "secret")).unwrap();
        std::fs::write(folder.join("shop.key"), key).unwrap();
        let mut command = Command::new(binary("example-shop"));
        command.args(["--listen", &format!("127.0.0.1:{port}"), "--payhost", &stage.url]);
        command.arg("--webhook-secret-file").arg(folder.join("webhook.secret"));
        command.arg("--key-file").arg(folder.join("shop.key")).arg("--data").arg(folder.join("shop"));
        let (process, _) =
            Process::start(&mut command, &folder.join("shop.log"), |line| line.contains(&url)).unwrap();
        Self { url, notify_url: text(&channel, "notify_url"), _process: process }
    }

    /// A page of the shop, for the one visitor of [`ShopSite::order_without_browser`].
    pub async fn page(&self, stage: &Stage, path: &str) -> String {
        let call = stage.call("GET", &format!("{}{path}", self.url)).header("cookie", VISITOR);
        let answer = call.send().await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.text
    }

    /// Orders by posting the forms; gives the order's number and what the pay button gets.
    pub async fn order_without_browser(&self, stage: &Stage) -> (String, Value) {
        let post = async |path: &str, fields: &[(&str, &str)]| {
            let fields: Vec<_> = fields.iter().map(|(name, text)| ((*name).into(), (*text).into())).collect();
            let call = stage.call("POST", &format!("{}{path}", self.url)).header("cookie", VISITOR);
            call.form(&fields).send().await
        };
        post("/cart/add", &[("product", "1")]).await;
        let page = self.page(stage, "/checkout").await;
        let form: String = page.split_once("name=\"form\" value=\"").unwrap().1.chars().take(32).collect();
        let buyer =
            [("name", "홍길동"), ("email", "hong@example.com"), ("phone", "010-1234-5678"), ("form", &form)];
        let placed = post("/orders", &buyer).await;
        let order = placed.header("location").strip_prefix("/orders/").unwrap().to_owned();
        let opened = post(&format!("/orders/{order}/payment"), &[]).await.expect(200);
        (order, opened)
    }

    /// Puts two things into the cart and orders them; ends at the order's page and gives its address.
    pub async fn order(&self, browser: &Browser) -> String {
        self.order_by(browser, "method-card").await
    }

    /// The same by the method of a test id.
    pub async fn order_by(&self, browser: &Browser, method: &str) -> String {
        browser.tab.goto(&self.url).await.unwrap();
        browser.see("add-1").await;
        browser.shoot("products").await;
        browser.press("add-1").await;
        browser.see("added").await;
        browser.press("add-2").await;
        browser.see("added").await;
        browser.press("cart").await;
        browser.see("to-checkout").await;
        browser.shoot("cart").await;
        browser.press("to-checkout").await;
        browser.write("name", "홍길동").await;
        browser.write("email", "hong@example.com").await;
        browser.write("phone", "010-1234-5678").await;
        browser.press(method).await;
        browser.shoot("checkout").await;
        browser.press("place-order").await;
        browser.see("pay").await;
        browser.shoot("order").await;
        browser.tab.current_url().await.unwrap().to_string()
    }
}

/// The one sale that the gateway holds.
pub async fn only_held(stage: &Stage) -> Value {
    let held = stage.held().await;
    assert_eq!(held.len(), 1, "{held:?}");
    held[0].clone()
}

/// Whether the page was replaced between the look and the press. The driver has two ways of saying so: the standard's, and the
/// browser's own words when the page goes in the very middle.
fn is_of_a_replaced_page(error: &fantoccini::error::CmdError) -> bool {
    error.is_stale_element_reference() || error.to_string().contains("does not belong to the document")
}
