//! People who pay by deposit, in a real browser: from the shop's checkout over the bank to the order that the webhook turned
//! paid, and back to the buyer's own account.

use serde_json::json;

use crate::stage::browser::{Browser, Screen, ShopSite};
use crate::stage::{Stage, eventually, text};

const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// A gateway that knows where the test merchant's notices go.
async fn stage_with(notify_url: impl AsyncFnOnce(&Stage) -> String) -> Stage {
    let stage = Stage::start().await;
    let urls = json!({"urls": {"INIpayTest": notify_url(&stage).await}});
    let path = format!("{}/_sim/vbank/settings", stage.gateway.browser_origin);
    stage.call("PATCH", &path).json(&urls).send().await.expect(200);
    stage
}

/// No sideways scrolling.
async fn fits(browser: &Browser, page: &str) {
    let script = "return document.documentElement.scrollWidth - window.innerWidth";
    let over = browser.tab.execute(script, vec![]).await.unwrap();
    assert!(over.as_i64().unwrap() <= 0, "{page} is {over} pixels too wide");
}

/// The account as the order's page shows it.
async fn account_on_page(browser: &Browser) -> (String, String) {
    let read = async |id: &str| browser.see(id).await.text().await.unwrap();
    assert!(!read("account-holder").await.is_empty() && !read("account-bank").await.is_empty());
    (read("account-number").await, read("account-deadline").await)
}

/// Pays in at the bank, in a tab of its own.
async fn pay_in(stage: &Stage, browser: &Browser) {
    let order = browser.tab.window().await.unwrap();
    let bank = browser.tab.new_window(true).await.unwrap().handle;
    browser.tab.switch_to_window(bank).await.unwrap();
    browser.tab.goto(&format!("{}/_sim/bank", stage.gateway.browser_origin)).await.unwrap();
    browser.see("deposit").await;
    browser.shoot("bank").await;
    browser.press("deposit").await;
    browser.see("paid").await;
    fits(browser, "the bank").await;
    browser.shoot("bank-paid").await;
    browser.tab.close_window().await.unwrap();
    browser.tab.switch_to_window(order).await.unwrap();
}

/// Types an account into the refund page and sends it.
async fn type_account(browser: &Browser, bank: &str, number: &str, holder: &str) {
    browser.see("bank").await.select_by_value(bank).await.unwrap();
    for (id, words) in [("number", number), ("holder", holder)] {
        browser.see(id).await.clear().await.unwrap();
        browser.write(id, words).await;
    }
    browser.press("send").await;
}

/// The page's message, once it says so.
async fn says(browser: &Browser, words: &str) {
    eventually(&format!("the page says: {words}"), PATIENCE, async || {
        let found = browser.see("message").await.text().await.ok()?;
        found.contains(words).then_some(())
    })
    .await;
}

/// The form for the code says that it was wrong, in the language of the browser: of the payment nothing is known yet.
async fn wrong_code(browser: &Browser) {
    eventually("the page says that the code is wrong", PATIENCE, async || {
        let found = browser.see("message").await.text().await.ok()?;
        let said = found.contains("코드가 올바르지 않습니다") || found.contains("The code is not right");
        (said && browser.has("code").await).then_some(())
    })
    .await;
}

/// The browser's own checks of a form are a help, no gate: without them the server's are seen.
async fn unchecked(browser: &Browser) {
    browser.see("send").await;
    browser.tab.execute("document.querySelector('form').noValidate = true", vec![]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_computer_pays_by_deposit_and_gets_the_money_back_on_an_account() {
    let mut shop = None;
    let stage = stage_with(async |stage| {
        let site = ShopSite::start(stage).await;
        let url = site.notify_url.clone();
        shop = Some(site);
        url
    })
    .await;
    let shop = shop.unwrap();
    let browser = Browser::start("deposit-pc", Screen::Pc).await;
    shop.order_by(&browser, "method-virtual_account").await;
    let page = browser.tab.window().await.unwrap();
    browser.press("pay").await;
    let popup = browser.other_window(std::slice::from_ref(&page)).await;
    browser.tab.switch_to_window(popup).await.unwrap();
    browser.enter_window().await;
    browser.see("due").await;
    browser.shoot("window").await;
    browser.press("pay").await;
    browser.leave_frame().await;
    browser.becomes("result", "data-result", "awaiting_deposit").await;
    browser.shoot("result").await;
    browser.only_window(&page).await;
    browser.becomes("order-state", "data-state", "awaiting_deposit").await;
    let shown = account_on_page(&browser).await;
    browser.shoot("awaiting").await;
    let accounts = stage.call("GET", &format!("{}/_sim/vbank/accounts", stage.gateway.browser_origin));
    let accounts = accounts.send().await.expect(200);
    assert_eq!(shown.0, text(&accounts["accounts"][0], "number"));
    assert!(!shown.1.is_empty(), "until when");
    // The page turns by itself: the shop was told.
    pay_in(&stage, &browser).await;
    browser.becomes("order-state", "data-state", "paid").await;
    browser.shoot("paid").await;

    browser.press("refund-order").await;
    browser.see("refund").await;
    browser.shoot("refund").await;
    unchecked(&browser).await;
    browser.press("send").await;
    says(&browser, "은행을 선택해 주세요").await;
    browser.shoot("refund-empty").await;
    unchecked(&browser).await;
    type_account(&browser, "088", "12-34<b>", "홍길동").await;
    says(&browser, "계좌번호는 6~20자리 숫자로").await;
    browser.shoot("refund-wrong-number").await;
    unchecked(&browser).await;
    type_account(&browser, "088", "110-123-456789", "").await;
    says(&browser, "예금주 이름을").await;
    type_account(&browser, "088", "110-123-456789", "홍길동").await;
    says(&browser, "환불이 접수되었습니다").await;
    fits(&browser, "the refund").await;
    browser.shoot("refund-done").await;
    assert!(stage.held().await.is_empty());
    // A reload, and the link once more, show what was asked for and send nothing.
    let link = browser.tab.current_url().await.unwrap();
    assert_eq!(link.fragment().map(str::len), Some(19), "{link}");
    browser.tab.refresh().await.unwrap();
    says(&browser, "환불이 접수되었습니다").await;
    assert!(!browser.has("send").await);
    assert_eq!(browser.see("to-bank").await.text().await.unwrap(), "신한은행");
    assert!(browser.see("to-number").await.text().await.unwrap().ends_with("6789"));
    browser.shoot("refund-again").await;
    // Without its code the address tells nothing.
    browser.tab.goto(&format!("{}/cart", shop.url)).await.unwrap();
    browser.tab.goto(link.as_str().split('#').next().unwrap()).await.unwrap();
    browser.see("code").await;
    assert!(!browser.tab.source().await.unwrap().contains("신한"), "nothing is told without the code");
    browser.shoot("refund-code").await;
    browser.tab.goto(link.as_str()).await.unwrap();
    browser.tab.refresh().await.unwrap();
    browser.see("to-bank").await;
    browser.press("back").await;
    browser.see("order-state").await;
    browser.tab.goto(&format!("{}/orders", shop.url)).await.unwrap();
    eventually("the shop was told of the refund", PATIENCE, async || {
        browser.tab.refresh().await.unwrap();
        browser.tab.source().await.unwrap().contains("class=\"state cancelled\"").then_some(())
    })
    .await;
    browser.shoot("orders").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_pays_by_deposit_and_the_order_turns_paid_by_itself() {
    let stage = Stage::start().await;
    let shop = ShopSite::start(&stage).await;
    let browser = Browser::start("deposit-phone", Screen::Phone).await;
    shop.order_by(&browser, "method-virtual_account").await;
    fits(&browser, "the order").await;
    browser.press("pay").await;
    browser.see("mobile-window").await;
    browser.see("due").await;
    browser.shoot("window").await;
    browser.press("pay").await;
    browser.becomes("result", "data-result", "awaiting_deposit").await;
    fits(&browser, "the result").await;
    browser.shoot("result").await;
    browser.becomes("order-state", "data-state", "awaiting_deposit").await;
    account_on_page(&browser).await;
    fits(&browser, "the order that waits").await;
    browser.shoot("awaiting").await;
    pay_in(&stage, &browser).await;
    browser.becomes("order-state", "data-state", "paid").await;
    fits(&browser, "the paid order").await;
    browser.shoot("paid").await;
}

/// A paid deposit of the first shop, whose buyer reads English, with a link that is good for a week or so many seconds.
async fn refundable(stage: &Stage, order: &str, seconds: Option<i64>) -> String {
    let more =
        json!({"method": {"kind": "virtual_account"}, "language": "en", "order_name": "Jam and bread"});
    let created = stage.create_as(&stage.shop, order, more).await.expect(201);
    let window = stage.open(&created).await;
    let choice = json!({"choice": "pay", "bank": "04", "depositor": "Hong"});
    let outcome = stage.come_back(&stage.choose(&window, choice).await).await;
    assert_eq!(outcome.result, "awaiting_deposit", "{}", outcome.words);
    let deposit = json!({"oid": window.order_ref()});
    let path = format!("{}/_sim/deposit", stage.gateway.browser_origin);
    stage.call("POST", &path).json(&deposit).send().await.expect(200);
    eventually("it is paid", PATIENCE, async || {
        (stage.payment(&created).await["state"] == "paid").then_some(())
    })
    .await;
    let path = format!("/v1/payments/{}/refund-link", text(&created, "id"));
    let until = seconds.map(|seconds| jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds));
    let link = json!({"expires_at": until.map(|until| until.to_string())});
    text(&stage.post(&path, &link).await.expect(201), "url")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_english_buyer_on_a_phone_is_told_what_is_wrong_and_when_the_link_is_over() {
    let stage =
        stage_with(async |stage| format!("{}/notify/{}/{}", stage.url, stage.shop.id, stage.shop.channel))
            .await;
    let browser = Browser::start("refund-english", Screen::Narrow).await;
    let url = refundable(&stage, "A-1", None).await;
    browser.tab.goto(&url).await.unwrap();
    browser.see("refund").await;
    fits(&browser, "the refund").await;
    browser.shoot("refund").await;
    unchecked(&browser).await;
    browser.press("send").await;
    says(&browser, "Choose a bank").await;
    unchecked(&browser).await;
    type_account(&browser, "004", "12345", "Hong").await;
    says(&browser, "The account number has 6 to 20 digits").await;
    fits(&browser, "the refund with an error").await;
    browser.shoot("wrong-number").await;
    type_account(&browser, "004", "123-456-789012", "Hong Gildong").await;
    says(&browser, "The refund was accepted").await;
    says(&browser, "The refund was accepted").await;
    fits(&browser, "the summary").await;
    browser.shoot("done").await;
    // The link again, from the message.
    browser.tab.goto(&format!("{}/healthz", stage.url)).await.unwrap();
    browser.tab.goto(&url).await.unwrap();
    says(&browser, "The refund was accepted").await;
    assert!(browser.see("to-number").await.text().await.unwrap().ends_with("9012"));
    assert!(!browser.has("send").await);
    // A wrong code is told, and not handed over again and again.
    let (path, code) = url.split_once('#').unwrap();
    browser.tab.goto(&format!("{}/healthz", stage.url)).await.unwrap();
    browser.tab.goto(&format!("{path}#0000-0000-0000-0000")).await.unwrap();
    wrong_code(&browser).await;
    fits(&browser, "the form for the code").await;
    browser.shoot("wrong-code").await;
    // Typed by hand, as without JavaScript.
    browser.write("code", &code.to_uppercase()).await;
    browser.press("look").await;
    says(&browser, "The refund was accepted").await;
    let url = refundable(&stage, "A-2", Some(2)).await;
    eventually("the link's time is over", PATIENCE, async || {
        browser.tab.goto(&format!("{}/healthz", stage.url)).await.unwrap();
        browser.tab.goto(&url).await.unwrap();
        eventually("the page's script handed the code over", PATIENCE, async || {
            (browser.has("send").await || browser.has("message").await).then_some(())
        })
        .await;
        (!browser.has("send").await).then_some(())
    })
    .await;
    says(&browser, "This link cannot be used any more").await;
    browser.shoot("over").await;
    // Neither is one that somebody made up; nothing of a payment is told.
    browser.tab.goto(&url.replace("20900.", "1.")).await.unwrap();
    wrong_code(&browser).await;
    assert!(!browser.tab.source().await.unwrap().contains("Jam and bread"));
    assert_eq!(stage.held().await.len(), 1, "the second one was not given back");
}
