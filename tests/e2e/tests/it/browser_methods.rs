//! Every method in a real browser, on a computer and on a phone, from the checkout page to the result.

use fantoccini::Locator;
use serde_json::{Value, json};

use crate::stage::browser::{Browser, Screen, ShopSite};
use crate::stage::{Stage, text};

/// Name of the story, method, provider, and the field of the window that shows that the right one is open.
const METHODS: [(&str, &str, &str, &str); 5] = [
    ("card", "card", "", "card"),
    ("transfer", "transfer", "", "bank"),
    ("phone", "phone", "", "telco"),
    ("easy-pay", "easy_pay", "kakaopay", "wallet"),
    ("voucher", "gift_voucher", "cultureland", "user"),
];

/// A payment that stays on the result page, because its shop has no page to go back to.
async fn create(stage: &Stage, name: &str, kind: &str, provider: &str, more: Value) -> Value {
    let provider = (!provider.is_empty()).then_some(provider);
    let mut body = json!({"method": {"kind": kind, "provider": provider}, "return_url": null});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    stage.create_as(&stage.shop, name, body).await.expect(201)
}

/// From the checkout page to the gateway's window.
async fn open(browser: &Browser, created: &Value, name: &str) {
    browser.tab.goto(&text(created, "checkout_url")).await.unwrap();
    browser.see("open-window").await;
    fits(browser, "the checkout page").await;
    browser.shoot(&format!("{name}-checkout")).await;
    browser.press("open-window").await;
}

/// No sideways scrolling.
async fn fits(browser: &Browser, page: &str) {
    let script = "return document.documentElement.scrollWidth - window.innerWidth";
    let over = browser.tab.execute(script, vec![]).await.unwrap();
    assert!(over.as_i64().unwrap() <= 0, "{page} is {over} pixels too wide");
}

async fn is_paid(stage: &Stage, browser: &Browser, created: &Value, name: &str) {
    browser.becomes("result", "data-result", "paid").await;
    fits(browser, "the result").await;
    browser.shoot(&format!("{name}-result")).await;
    let payment = stage.payment(created).await;
    assert_eq!(payment["state"], "paid", "{name}: {payment}");
    assert_eq!(payment["method"]["kind"], created["method"]["kind"], "{name}");
    let sale = stage.sales("").await.pop().unwrap();
    assert_eq!((&sale["tid"], &sale["remaining"]), (&payment["gateway_ref"], &json!(20_900)), "{name}");
    assert_eq!(sale["mobile"].is_object(), name.starts_with("mobile"), "{name}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_pays_with_every_method() {
    let stage = Stage::start().await;
    let browser = Browser::start("phone", Screen::Phone).await;
    for (story, kind, provider, field) in METHODS {
        let name = format!("mobile-{story}");
        let created = create(&stage, &name, kind, provider, json!({})).await;
        open(&browser, &created, story).await;
        browser.see("mobile-window").await;
        browser.see(field).await;
        browser.shoot(&format!("{story}-window")).await;
        // A card's, a bank's or a wallet's app opens and leads back to the browser; the others have none.
        if browser.has("app").await {
            browser.press("app").await;
            browser.see("app-page").await;
            browser.shoot(&format!("{story}-app")).await;
            browser.press("app-pay").await;
        } else {
            browser.press("pay").await;
        }
        is_paid(&stage, &browser, &created, &name).await;
    }
    assert_eq!(stage.count("approved").await, METHODS.len());
}

/// The gateway's window as a buyer meets it: the button is seen without scrolling, and the keyboard stays in the window.
#[tokio::test(flavor = "multi_thread")]
async fn the_pay_button_is_in_sight_and_what_lies_under_the_window_is_out_of_reach() {
    let stage = Stage::start().await;
    for (screen, name, width, height) in [
        (Screen::Pc, "pc", 1280, 720),
        (Screen::Narrow, "narrow", 390, 844),
        (Screen::Phone, "phone", 390, 844),
    ] {
        let browser = Browser::start(&format!("sight-{name}"), screen).await;
        if screen == Screen::Pc {
            // The browser's own bars are 143 pixels high.
            browser.tab.set_window_rect(0, 0, width, height + 143).await.unwrap();
        }
        for (kind, order) in [("card", "A"), ("virtual_account", "B"), ("phone", "C")] {
            let created = create(&stage, &format!("{name}-{order}"), kind, "", json!({})).await;
            open(&browser, &created, order).await;
            if screen == Screen::Phone {
                browser.see("mobile-window").await;
            } else {
                browser.enter_window().await;
            }
            let script = "const at = document.querySelector('[data-testid=pay]').getBoundingClientRect(); \
                          return at.top >= 0 && at.bottom <= window.innerHeight && at.right <= window.innerWidth";
            let seen = browser.tab.execute(script, vec![]).await.unwrap();
            browser.shoot(&format!("{kind}-window")).await;
            assert_eq!(seen, json!(true), "{name} {kind}");
        }
        if screen == Screen::Phone {
            continue;
        }
        for _ in 0..40 {
            browser.tab.active_element().await.unwrap().send_keys("\u{e004}").await.unwrap();
        }
        browser.tab.enter_parent_frame().await.unwrap();
        let script = "return [document.activeElement.tagName, document.querySelector('[data-testid=leave]').closest('[inert]') !== null, \
                      window.innerHeight]";
        let under = browser.tab.execute(script, vec![]).await.unwrap();
        assert!(["IFRAME", "BODY"].contains(&under[0].as_str().unwrap()), "{under}");
        assert_eq!((&under[1], &under[2]), (&json!(true), &json!(height)), "{name}");
        // Whoever takes the window away gives the page back.
        let away = "document.querySelector('.inipay_overlay').remove()";
        browser.tab.execute(away, vec![]).await.unwrap();
        browser.press("help").await;
    }
}

/// The browser sends the form in EUC-KR, as the gateway reads it, whatever the channel wants of the results.
#[tokio::test(flavor = "multi_thread")]
async fn names_arrive_at_the_gateway_from_a_phone_and_from_a_computer_as_they_were_written() {
    let stage = Stage::start().await;
    let old = stage.new_shop("옛날 가게", json!({"mobile_charset": "euc-kr"})).await;
    let (goods, buyer) = ("똠방각하 녹차 ‘첫물’ – 한 통", "한\u{1100}\u{1173}\u{11af}\u{a0}나라");
    for (screen, shop, name) in [
        (Screen::Phone, &stage.shop, "utf8"),
        (Screen::Phone, &old, "euc-kr"),
        (Screen::Pc, &stage.shop, "pc"),
    ] {
        let browser = Browser::start(&format!("names-{name}"), screen).await;
        let body = json!({"order_name": goods, "buyer": {"name": buyer}, "return_url": null});
        let created = stage.create_as(shop, name, body).await.expect(201);
        open(&browser, &created, name).await;
        if screen == Screen::Pc {
            browser.enter_window().await;
        }
        let shown = browser.see("goodname").await.text().await.unwrap();
        assert_eq!(shown, "똠방각하 녹차 '첫물' - 한 통", "{name}");
        browser.press("pay").await;
        browser.leave_frame().await;
        browser.becomes("result", "data-result", "paid").await;
        let sale = stage.sales("").await.pop().unwrap();
        assert_eq!((&sale["goodname"], &sale["buyername"]), (&json!(shown), &json!("한글 나라")), "{name}");
    }
    assert_eq!(stage.held().await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_computer_pays_with_every_method() {
    let stage = Stage::start().await;
    let browser = Browser::start("pc", Screen::Pc).await;
    for (story, kind, provider, field) in METHODS {
        let name = format!("pc-{story}");
        let created = create(&stage, &name, kind, provider, json!({})).await;
        open(&browser, &created, story).await;
        browser.enter_window().await;
        browser.see(field).await;
        browser.shoot(&format!("{story}-window")).await;
        browser.press("pay").await;
        browser.leave_frame().await;
        is_paid(&stage, &browser, &created, &name).await;
    }
    assert_eq!(stage.count("approved").await, METHODS.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_that_cancels_in_the_app_or_loses_the_browser_can_pay_afterwards() {
    let stage = Stage::start().await;
    let browser = Browser::start("app", Screen::Phone).await;
    let created = create(&stage, "mobile-A-1", "card", "", json!({})).await;
    open(&browser, &created, "cancel").await;
    browser.press("app").await;
    browser.press("app-cancel").await;
    browser.see("again").await;
    fits(&browser, "the result").await;
    browser.shoot("cancelled").await;
    browser.press("again").await;
    browser.press("app").await;
    browser.press("app-lost").await;
    browser.see("lost").await;
    browser.shoot("lost").await;
    assert!(stage.held().await.is_empty());
    // The buyer comes back by the shop's link.
    open(&browser, &created, "again").await;
    browser.press("app").await;
    browser.press("app-pay").await;
    is_paid(&stage, &browser, &created, "mobile-again").await;
    assert_eq!(stage.count("approved").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_declined_phone_reads_why_and_pays_with_another_card() {
    let stage = Stage::start().await;
    let browser = Browser::start("phone-declined", Screen::Phone).await;
    let created = create(&stage, "mobile-A-1", "card", "", json!({})).await;
    open(&browser, &created, "declined").await;
    browser.see("outcome").await.select_by_value("500644").await.unwrap();
    browser.press("pay").await;
    browser.becomes("result", "data-result", "failed").await;
    fits(&browser, "the result").await;
    browser.shoot("declined-result").await;
    browser.press("again").await;
    browser.press("pay").await;
    is_paid(&stage, &browser, &created, "mobile-again").await;
}

/// The buyer waits for the shop, and the same page shows the end.
#[tokio::test(flavor = "multi_thread")]
async fn a_phone_waits_for_the_shops_confirmation() {
    let stage = Stage::start().await;
    let browser = Browser::start("phone-confirm", Screen::Phone).await;
    let created = create(&stage, "mobile-A-1", "card", "", json!({"confirm": "manual"})).await;
    open(&browser, &created, "confirm").await;
    browser.press("pay").await;
    browser.becomes("result", "data-result", "awaiting_confirm").await;
    fits(&browser, "the result").await;
    browser.shoot("awaiting-confirm").await;
    assert!(stage.held().await.is_empty());
    let path = format!("/v1/payments/{}/confirm", text(&created, "id"));
    stage.post(&path, &json!({})).await.expect(200);
    browser.tab.refresh().await.unwrap();
    is_paid(&stage, &browser, &created, "mobile-confirmed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_virtual_account_is_opened_on_both_devices() {
    let stage = Stage::start().await;
    for (screen, story) in [(Screen::Phone, "account-phone"), (Screen::Pc, "account-pc")] {
        let browser = Browser::start(story, screen).await;
        let created = create(&stage, story, "virtual_account", "", json!({})).await;
        open(&browser, &created, "account").await;
        if screen == Screen::Pc {
            browser.enter_window().await;
        }
        browser.see("due").await;
        browser.shoot("window").await;
        browser.press("pay").await;
        browser.leave_frame().await;
        browser.becomes("result", "data-result", "awaiting_deposit").await;
        fits(&browser, "the result").await;
        browser.shoot("result").await;
        let number = stage.sales("").await.pop().unwrap()["account"]["number"].as_str().unwrap().to_owned();
        let page = browser.tab.find(Locator::Css("main")).await.unwrap().text().await.unwrap();
        assert!(page.contains(&number), "the buyer must read where to pay in ({number}): {page}");
    }
}

/// On a phone the window opens one method, so the shop lets its buyer choose it.
#[tokio::test(flavor = "multi_thread")]
async fn a_phone_reaches_every_method_of_the_shop_and_may_choose_another() {
    let stage = Stage::start().await;
    let shop = ShopSite::start(&stage).await;
    let browser = Browser::start("phone-shop", Screen::Phone).await;
    for (method, field) in [
        ("card", "card"),
        ("kakaopay", "wallet"),
        ("naverpay", "wallet"),
        ("tosspay", "wallet"),
        ("transfer", "bank"),
        ("virtual_account", "due"),
        ("phone", "telco"),
    ] {
        shop.order_by(&browser, &format!("method-{method}")).await;
        fits(&browser, "the order").await;
        browser.press("pay").await;
        browser.see("mobile-window").await;
        browser.see(field).await;
    }
    let order = shop.order_by(&browser, "method-card").await;
    browser.press("pay").await;
    browser.see("mobile-window").await;
    browser.tab.goto(&order).await.unwrap();
    browser.press("method-transfer").await;
    browser.press("pay").await;
    browser.see("bank").await;
    if browser.has("app").await {
        browser.press("app").await;
        browser.press("app-pay").await;
    } else {
        browser.press("pay").await;
    }
    browser.becomes("order-state", "data-state", "paid").await;
    assert_eq!(stage.held().await.len(), 1);
}
