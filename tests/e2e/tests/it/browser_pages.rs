//! `payhost.js` in pages of other shops, with what such pages forbid.

use std::net::Ipv4Addr;
use std::time::Duration;

use axum::Router;
use axum::response::Html;
use axum::routing::{get, post};
use serde_json::{Value, json};

use crate::stage::browser::{Browser, Screen};
use crate::stage::{Stage, axe, eventually};

/// How long a browser may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A page of a shop with one button.
struct Page {
    url: String,
    _server: tokio::task::JoinHandle<()>,
}

impl Page {
    /// Serves it with one more header. Its button opens what `answer` says, in this mode.
    async fn start(stage: &Stage, header: (&'static str, &'static str), mode: &str, answer: Value) -> Self {
        let html = format!(
            "<!doctype html><html lang=ko><title>가게</title><script src=\"{}/payhost.js\"></script>\
             <button data-testid=buy>결제</button><p data-testid=outcome></p><script>\
             var out = document.querySelector('p');\
             document.querySelector('button').onclick = function () {{\
               Payhost.pay({{payment: function () {{ return fetch('/payment', {{method: 'POST'}}).then(function (r) {{ return r.json(); }}); }},\
                 mode: '{mode}'}}).then(\
                 function (outcome) {{ out.dataset.result = outcome.result; }},\
                 function (error) {{ out.dataset.result = 'error'; out.textContent = error.message; }});\
             }};</script>",
            stage.url
        );
        let app = Router::new()
            .route("/", get(async move || ([header], Html(html))))
            .route("/payment", post(async move || answer.to_string()));
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        let shop = format!("/v1/shops/{}", stage.shop.id);
        stage.operator("PATCH", &shop, json!({"allowed_origins": [url]})).await.expect(200);
        Self { url, _server: server }
    }
}

/// Pays in the gateway's window, which is open on this page.
async fn pay_in_window(browser: &Browser) {
    browser.enter_window().await;
    browser.press("pay").await;
    browser.leave_frame().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_whose_policy_forbids_forms_to_others_still_pays_in_a_popup() {
    let stage = Stage::start().await;
    let created = stage.create_as(&stage.shop, "A-1", json!({"return_url": null})).await.expect(201);
    let page = Page::start(&stage, ("content-security-policy", "form-action 'self'"), "popup", created).await;
    let browser = Browser::start("form-action", Screen::Pc).await;
    browser.tab.goto(&page.url).await.unwrap();
    let window = browser.tab.window().await.unwrap();
    browser.press("buy").await;
    let popup = browser.other_window(std::slice::from_ref(&window)).await;
    browser.tab.switch_to_window(popup).await.unwrap();
    browser.press("open-window").await;
    pay_in_window(&browser).await;
    browser.only_window(&window).await;
    browser.becomes("outcome", "data-result", "paid").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_cannot_see_its_popup_hears_of_the_payment_all_the_same() {
    let stage = Stage::start().await;
    let created = stage.create_as(&stage.shop, "A-1", json!({"return_url": null})).await.expect(201);
    let page = Page::start(&stage, ("cross-origin-opener-policy", "same-origin"), "popup", created).await;
    let browser = Browser::start("opener-policy", Screen::Pc).await;
    browser.tab.goto(&page.url).await.unwrap();
    let window = browser.tab.window().await.unwrap();
    browser.press("buy").await;
    let popup = browser.other_window(std::slice::from_ref(&window)).await;
    browser.tab.switch_to_window(popup).await.unwrap();
    pay_in_window(&browser).await;
    browser.becomes("result", "data-result", "paid").await;
    browser.tab.switch_to_window(window).await.unwrap();
    browser.becomes("outcome", "data-result", "paid").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_without_a_checkout_closes_the_popup_and_says_so() {
    let stage = Stage::start().await;
    let page = Page::start(&stage, ("x-nothing", "1"), "popup", json!({"error": "sold out"})).await;
    let browser = Browser::start("no-checkout", Screen::Pc).await;
    browser.tab.goto(&page.url).await.unwrap();
    let window = browser.tab.window().await.unwrap();
    browser.press("buy").await;
    browser.becomes("outcome", "data-result", "error").await;
    let words = browser.see("outcome").await.text().await.unwrap();
    assert!(words.contains("checkout_url"), "{words}");
    browser.only_window(&window).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_back_button_leads_to_a_page_whose_button_pays() {
    let stage = Stage::start().await;
    let created = stage.create_as(&stage.shop, "A-1", json!({"return_url": null})).await.expect(201);
    let page = Page::start(&stage, ("x-nothing", "1"), "redirect", created.clone()).await;
    let browser = Browser::start("back", Screen::Pc).await;
    browser.tab.goto(&page.url).await.unwrap();
    browser.press("buy").await;
    browser.enter_window().await;
    browser.leave_frame().await;
    // Once is enough: no page on the way sends the buyer forward again.
    browser.tab.back().await.unwrap();
    eventually("the shop's page is there", PATIENCE, async || {
        browser.tab.current_url().await.ok().filter(|url| url.as_str().starts_with(&page.url))
    })
    .await;
    browser.press("buy").await;
    pay_in_window(&browser).await;
    browser.becomes("result", "data-result", "paid").await;
    assert_eq!(stage.payment(&created).await["state"], "paid");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_with_faults_does_not_pass_the_accessibility_check() {
    let browser = Browser::start("faults", Screen::Pc).await;
    let page = "data:text/html,<title>t</title><p style='color:%23ccc;background:%23fff'>pale</p><input>";
    browser.tab.goto(page).await.unwrap();
    let found = axe::violations(&browser.tab).await.join("\n");
    for rule in ["html-has-lang", "color-contrast", "label"] {
        assert!(found.contains(&format!("{rule}:")), "{rule}: {found}");
    }
    let page = "data:text/html,<html lang=ko><title>t</title><p>text</p></html>";
    browser.tab.goto(page).await.unwrap();
    assert_eq!(axe::violations(&browser.tab).await, Vec::<String>::new());
}
