//! People at the example shop in a real browser: popup and redirect, a PC's width and a phone's.

use fantoccini::Locator;

use crate::stage::Stage;
use crate::stage::browser::{Browser, Screen, ShopSite, only_held};

/// Chooses in the gateway's window, which is open on this page.
async fn choose(browser: &Browser, outcome: Option<&str>, button: &str) {
    browser.enter_window().await;
    if let Some(outcome) = outcome {
        browser.see("outcome").await.select_by_value(outcome).await.unwrap();
    }
    browser.shoot("window").await;
    browser.press(button).await;
    browser.leave_frame().await;
}

/// Presses "pay" on the order's page. The window opens as the browser's kind wants it, or in the place of the page.
async fn press_pay(browser: &Browser, window: Window) {
    if window == Window::InPlace {
        let mut page = browser.tab.current_url().await.unwrap();
        page.set_query(Some("window=redirect"));
        browser.tab.goto(page.as_str()).await.unwrap();
    }
    browser.press("pay").await;
}

/// How the window opens.
#[derive(PartialEq, Eq)]
enum Window {
    /// A popup on a computer.
    Automatic,
    /// In the place of the shop's page.
    InPlace,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_payment_in_a_popup_and_its_cancel() {
    let stage = Stage::start().await;
    let shop = ShopSite::start(&stage).await;
    let browser = Browser::start("popup", Screen::Pc).await;
    shop.order(&browser).await;
    let page = browser.tab.window().await.unwrap();
    press_pay(&browser, Window::Automatic).await;
    let popup = browser.other_window(std::slice::from_ref(&page)).await;
    browser.tab.switch_to_window(popup).await.unwrap();
    choose(&browser, None, "pay").await;
    browser.shoot("result").await;
    browser.only_window(&page).await;
    browser.becomes("order-state", "data-state", "paid").await;
    browser.shoot("paid").await;
    let sale = only_held(&stage).await;
    assert_eq!(
        browser.see("paid-amount").await.text().await.unwrap(),
        format!("{}원", grouped(&sale["price"]))
    );
    browser.press("cancel-order").await;
    browser.see("confirm-cancel").await;
    browser.shoot("cancel").await;
    browser.press("confirm-cancel").await;
    browser.becomes("order-state", "data-state", "cancelled").await;
    browser.shoot("cancelled").await;
    assert!(stage.held().await.is_empty());
}

fn grouped(number: &serde_json::Value) -> String {
    let digits = number.to_string();
    let (head, tail) = digits.split_at(digits.len() - 3);
    format!("{head},{tail}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_payment_by_redirect_with_a_reload_of_the_result() {
    let stage = Stage::start().await;
    let shop = ShopSite::start(&stage).await;
    let browser = Browser::start("redirect", Screen::Pc).await;
    shop.order(&browser).await;
    press_pay(&browser, Window::InPlace).await;
    choose(&browser, None, "pay").await;
    browser.becomes("result", "data-result", "paid").await;
    let result = browser.tab.current_url().await.unwrap();
    browser.shoot("result").await;
    browser.becomes("order-state", "data-state", "paid").await;
    browser.shoot("paid").await;
    // The result's address again, as a reload or the history would open it.
    for _ in 0..2 {
        browser.tab.goto(result.as_str()).await.unwrap();
        browser.becomes("result", "data-result", "paid").await;
    }
    browser.becomes("order-state", "data-state", "paid").await;
    only_held(&stage).await;
    assert_eq!(stage.count("approved").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_buyer_who_cancels_in_the_window_can_pay_afterwards() {
    let stage = Stage::start().await;
    let shop = ShopSite::start(&stage).await;
    let browser = Browser::start("buyer-cancels", Screen::Pc).await;
    shop.order(&browser).await;
    let page = browser.tab.window().await.unwrap();
    press_pay(&browser, Window::Automatic).await;
    let popup = browser.other_window(std::slice::from_ref(&page)).await;
    browser.tab.switch_to_window(popup).await.unwrap();
    choose(&browser, None, "cancel").await;
    browser.shoot("result").await;
    browser.only_window(&page).await;
    browser.see("note").await;
    browser.becomes("order-state", "data-state", "payment_due").await;
    browser.shoot("payment-due").await;
    assert!(stage.sales("").await.is_empty());
    press_pay(&browser, Window::InPlace).await;
    choose(&browser, None, "cancel").await;
    browser.see("note").await;
    browser.becomes("order-state", "data-state", "payment_due").await;
    press_pay(&browser, Window::InPlace).await;
    choose(&browser, None, "pay").await;
    browser.becomes("order-state", "data-state", "paid").await;
    only_held(&stage).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_declined_card_is_explained_and_another_one_pays() {
    let stage = Stage::start().await;
    let shop = ShopSite::start(&stage).await;
    let browser = Browser::start("declined", Screen::Pc).await;
    shop.order(&browser).await;
    press_pay(&browser, Window::InPlace).await;
    choose(&browser, Some("500644"), "pay").await;
    browser.becomes("result", "data-result", "failed").await;
    browser.shoot("declined").await;
    assert!(stage.held().await.is_empty());
    browser.press("again").await;
    choose(&browser, None, "pay").await;
    browser.becomes("order-state", "data-state", "paid").await;
    only_held(&stage).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_declined_card_in_a_popup_leaves_the_order_payable() {
    let stage = Stage::start().await;
    let shop = ShopSite::start(&stage).await;
    let browser = Browser::start("declined-popup", Screen::Pc).await;
    shop.order(&browser).await;
    let page = browser.tab.window().await.unwrap();
    press_pay(&browser, Window::Automatic).await;
    let popup = browser.other_window(std::slice::from_ref(&page)).await;
    browser.tab.switch_to_window(popup).await.unwrap();
    choose(&browser, Some("500644"), "pay").await;
    browser.becomes("result", "data-result", "failed").await;
    browser.shoot("result").await;
    // The popup offers another try, so it stays until its buyer closes it; then the shop's page goes on.
    browser.see("again").await;
    browser.tab.close_window().await.unwrap();
    browser.tab.switch_to_window(page.clone()).await.unwrap();
    let closed = std::time::Instant::now();
    browser.see("note").await;
    assert!(closed.elapsed() < std::time::Duration::from_secs(8), "{:?}", closed.elapsed());
    browser.becomes("order-state", "data-state", "payment_due").await;
    browser.shoot("payment-due").await;
    browser.only_window(&page).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_tabs_of_one_order_pay_once() {
    let stage = Stage::start().await;
    let shop = ShopSite::start(&stage).await;
    let browser = Browser::start("two-tabs", Screen::Pc).await;
    let order = shop.order(&browser).await;
    let first = browser.tab.window().await.unwrap();
    press_pay(&browser, Window::InPlace).await;
    browser.enter_window().await;
    let second = browser.tab.new_window(true).await.unwrap().handle;
    browser.tab.switch_to_window(second).await.unwrap();
    browser.tab.goto(&order).await.unwrap();
    press_pay(&browser, Window::InPlace).await;
    choose(&browser, None, "pay").await;
    browser.becomes("order-state", "data-state", "paid").await;
    // The first tab's window is still open, and its buyer presses "pay" too.
    browser.tab.switch_to_window(first).await.unwrap();
    browser.leave_frame().await;
    choose(&browser, None, "pay").await;
    browser.becomes("result", "data-result", "failed").await;
    browser.shoot("already-paid").await;
    assert!(!browser.has("again").await, "a paid order must not offer to pay again");
    let words = browser.see("result").await.text().await.unwrap();
    assert!(words.contains("이미 결제가 완료된 주문입니다"), "{words}");
    only_held(&stage).await;
    assert_eq!(stage.count("approved").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_way_fits_the_width_of_a_phone() {
    let stage = Stage::start().await;
    let shop = ShopSite::start(&stage).await;
    let browser = Browser::start("narrow", Screen::Narrow).await;
    shop.order(&browser).await;
    fits(&browser, "the order").await;
    press_pay(&browser, Window::InPlace).await;
    browser.enter_window().await;
    browser.leave_frame().await;
    fits(&browser, "the window page").await;
    choose(&browser, Some("500644"), "pay").await;
    browser.becomes("result", "data-result", "failed").await;
    fits(&browser, "the result").await;
    browser.shoot("declined").await;
    browser.press("again").await;
    choose(&browser, None, "pay").await;
    browser.becomes("result", "data-result", "paid").await;
    browser.shoot("result").await;
    browser.becomes("order-state", "data-state", "paid").await;
    fits(&browser, "the paid order").await;
    browser.shoot("paid").await;
    browser.press("cancel-order").await;
    browser.see("confirm-cancel").await;
    fits(&browser, "the cancel").await;
    browser.shoot("cancel").await;
    browser.press("confirm-cancel").await;
    browser.becomes("order-state", "data-state", "cancelled").await;
    assert!(stage.held().await.is_empty());
}

/// Nothing of the page lies beside the screen.
async fn fits(browser: &Browser, what: &str) {
    let widths = "return [document.documentElement.scrollWidth, window.innerWidth]";
    let widths = browser.tab.execute(widths, vec![]).await.unwrap();
    assert_eq!(widths[1], 390, "{what}");
    assert!(widths[0].as_u64() <= widths[1].as_u64(), "{what} is wider than the screen: {widths}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_to_the_payment_page_shows_what_is_paid_and_leads_back() {
    let stage = Stage::start().await;
    let browser = Browser::start("link", Screen::Pc).await;
    let created = stage.create("A-1").await;
    browser.tab.goto(created["checkout_url"].as_str().unwrap()).await.unwrap();
    browser.see("open-window").await;
    browser.shoot("checkout").await;
    browser.press("open-window").await;
    browser.enter_window().await;
    browser.leave_frame().await;
    browser.shoot("window-page").await;
    // A buyer whose window does not open sees the hints and can give up.
    let overlay =
        "document.querySelector('.inipay_overlay').remove(); document.documentElement.style.overflow = ''";
    browser.tab.execute(overlay, vec![]).await.unwrap();
    browser.press("help").await;
    browser.tab.find(Locator::Css("#self-check li")).await.unwrap();
    browser.shoot("help").await;
    browser.press("leave").await;
    browser.becomes("result", "data-result", "cancelled_by_buyer").await;
    let bad = format!(
        "{}/checkout/shop_00000000000000000000000000/pay_00000000000000000000000000?token=x",
        stage.url
    );
    browser.tab.goto(&bad).await.unwrap();
    browser.shoot("bad-link").await;
}
