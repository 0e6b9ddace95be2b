//! Links and tokens: who has one opens one thing, once; who has none sees nothing and changes nothing.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::stage::buyer::{Fields, Return, Window, pay};
use crate::stage::deposit::{TOTAL, awaiting, deposit, in_state, told};
use crate::stage::html::visible;
use crate::stage::{Stage, eventually, text};

const SOON: Duration = Duration::from_secs(20);

/// A deposit of the first shop that is held.
async fn deposited(stage: &Stage, order_id: &str) -> Value {
    let (created, oid) = awaiting(stage, &stage.shop, order_id, "pc").await;
    deposit(stage, &oid, json!({})).await;
    in_state(stage, &stage.shop, &created, "paid").await
}

async fn refund_link(stage: &Stage, payment: &Value, body: Value) -> (String, String) {
    let path = format!("/v1/payments/{}/refund-link", text(payment, "id"));
    let link = stage.post(&path, &body).await.expect(201);
    (text(&link, "url"), text(&link, "code"))
}

fn fields(pairs: &[(&str, &str)]) -> Fields {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// The form with the button.
fn account(code: &str) -> Fields {
    fields(&[("code", code), ("bank", "088"), ("number", "110-123-456789"), ("holder", "홍길동")])
}

/// A link is good for one refund, however many press at once and however the presses lie.
async fn pressed_at_once(stage: Stage) {
    for round in 0..4 {
        let payment = deposited(&stage, &format!("A-{round}")).await;
        let (url, code) = refund_link(&stage, &payment, json!({"amount": 3_000})).await;
        // Some while the first one runs, some just after it.
        let press = async || {
            for _ in 0..5 {
                let answer = stage.call("POST", &url).form(&account(&code)).send().await;
                assert!([200, 202, 409, 429].contains(&answer.status), "{} {}", answer.status, answer.text);
            }
        };
        join_all((0..12).map(|_| press())).await;
        let done = eventually("it is given back", SOON, async || {
            let now = stage.payment(&payment).await;
            (now["resolution"] == "none" && now["state"] == "partially_cancelled").then_some(now)
        })
        .await;
        assert_eq!(done["amount"]["cancelled"], 3_000, "{done}");
        let names = stage.names(&stage.shop, &payment).await;
        assert_eq!(names.iter().filter(|name| *name == "cancelled").count(), 1, "{names:?}");
    }
    let left: i64 = stage.held().await.iter().map(|sale| sale["remaining"].as_i64().unwrap()).sum();
    assert_eq!(left, 4 * (TOTAL - 3_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_link_pressed_by_many_at_once_refunds_once() {
    pressed_at_once(told(Stage::start().await).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_link_pressed_by_many_at_once_refunds_once_on_postgres() {
    pressed_at_once(told(Stage::on_postgres().await).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_link_shows_nothing_without_its_code_and_a_get_moves_nothing() {
    let stage = told(Stage::start().await).await;
    let payment = deposited(&stage, "A-1").await;
    let (url, code) = refund_link(&stage, &payment, json!({})).await;
    assert!(url.ends_with(&format!("#{code}")), "{url}");
    let path = url.split('#').next().unwrap();
    let tells = |page: &str| page.contains("수제 잼") || page.contains("20,900") || page.contains("신한은행");
    // What a mail server that looks at links sees, and what a stranger does who has the path out of a log.
    for call in [stage.call("GET", path), stage.call("HEAD", path)] {
        let page = call.send().await;
        assert!(page.status == 200 && !tells(&page.text), "{}", page.text);
    }
    let (_, other) = refund_link(&stage, &payment, json!({"amount": 100})).await;
    for wrong in ["", "0000-0000-0000-0000", &other, &text(&payment, "id")] {
        for form in [fields(&[("code", wrong)]), account(wrong)] {
            let page = stage.call("POST", path).form(&form).send().await;
            assert!(page.status == 403 && !tells(&page.text), "{wrong}: {} {}", page.status, page.text);
        }
    }
    let forged = path.replace(&format!(".{TOTAL}."), ".100.");
    assert_eq!(stage.call("POST", &forged).form(&account(&code)).send().await.status, 403);
    // With the code it is shown, as often as wanted; still nothing moved.
    for typed in [code.clone(), code.to_uppercase(), code.replace('-', " ")] {
        let page = stage.call("POST", path).form(&fields(&[("code", &typed)])).send().await;
        assert!(page.status == 200 && tells(&page.text), "{} {}", page.status, page.text);
    }
    assert_eq!(stage.payment(&payment).await["state"], "paid");
    assert_eq!(stage.held().await.len(), 1);
    // The button spends it; a reload of what it answered shows the same.
    let done = stage.call("POST", path).form(&account(&code)).send().await;
    assert_eq!(done.status, 200, "{}", done.text);
    let words = visible(&done.text);
    for part in ["환불이 접수되었습니다", "영업일", "신한은행", "6789", "20,900원", "상점으로 돌아가기"]
    {
        assert!(words.contains(part), "{part}: {words}");
    }
    assert!(!done.text.contains("110-123") && !done.text.contains("110123"), "{}", done.text);
    for form in [account(&code), fields(&[("code", &code)])] {
        let again = stage.call("POST", path).form(&form).send().await;
        assert_eq!((again.status, visible(&again.text)), (200, words.clone()));
    }
    let now = stage.payment(&payment).await;
    assert_eq!((&now["state"], &now["amount"]["cancelled"]), (&json!("cancelled"), &json!(TOTAL)), "{now}");
    let log = stage.host.logged();
    assert!(log.contains("/refund/shop_") && !log.contains(&code) && !log.contains("110-123"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_link_ends_with_any_other_refund_of_its_payment() {
    let stage = told(Stage::start().await).await;
    let payment = deposited(&stage, "A-1").await;
    let (first, first_code) = refund_link(&stage, &payment, json!({"amount": 3_000})).await;
    let (second, second_code) = refund_link(&stage, &payment, json!({"amount": 4_000})).await;
    assert_eq!(stage.call("POST", &first).form(&account(&first_code)).send().await.status, 200);
    for form in [account(&second_code), fields(&[("code", &second_code)])] {
        let over = stage.call("POST", &second).form(&form).send().await;
        assert_eq!(over.status, 410, "{}", over.text);
        assert!(visible(&over.text).contains("더 이상 사용할 수 없습니다"), "{}", over.text);
    }
    assert_eq!(stage.payment(&payment).await["amount"]["cancelled"], 3_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_that_the_gateway_refuses_can_be_asked_for_with_another_account() {
    let stage = told(Stage::start().await).await;
    let payment = deposited(&stage, "A-1").await;
    let (url, code) = refund_link(&stage, &payment, json!({})).await;
    stage.fault("refund", "decline", json!({"code": "500055"})).await;
    let refused = stage.call("POST", &url).form(&account(&code)).send().await;
    assert!(refused.status == 422 || refused.status == 202, "{} {}", refused.status, refused.text);
    if refused.status == 422 {
        assert!(refused.text.contains("data-testid=\"send\"") && refused.text.contains("110-123-456789"));
        let done = stage.call("POST", &url).form(&account(&code)).send().await;
        assert_eq!(done.status, 200, "{}", done.text);
    }
}

/// Bodies that say "it failed", as a stranger makes them who knows the order number.
fn failed(window: &Window, device: &str) -> Fields {
    if device == "pc" {
        fields(&[("resultCode", "V801"), ("resultMsg", "x"), ("orderNumber", window.order_ref())])
    } else {
        fields(&[("P_STATUS", "01"), ("P_RMESG1", "x"), ("P_NOTI", window.field("P_OID"))])
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_return_without_the_secret_of_its_window_changes_and_shows_nothing() {
    let stage = Stage::start().await;
    for device in ["pc", "mobile"] {
        let created = stage.create_as(&stage.shop, device, json!({"device": device})).await.expect(201);
        let (window, other) = (stage.open(&created).await, stage.open(&created).await);
        let back = stage.choose(&window, pay()).await;
        let (path, proof) = back.url.split_once('?').unwrap();
        // The order number ends with a part of the checkout's id, and tells nothing of the secret.
        let order_ref = if device == "pc" { window.order_ref() } else { window.field("P_OID") };
        let id = path.rsplit("chk_").next().unwrap();
        let tail = &id[id.len() - 16..];
        assert!(
            order_ref.ends_with(tail) && !proof.contains(tail) && proof.len() <= 41,
            "{order_ref} {proof}"
        );
        assert!(back.url.len() <= 250, "P_NEXT_URL is cut there");
        let name = if device == "pc" { "returnUrl" } else { "P_NEXT_URL" };
        let others = other.field(name).split_once('?').unwrap().1.to_owned();
        let close =
            window.field("closeUrl").split_once('?').map_or(others.clone(), |(_, proof)| proof.to_owned());
        let half: String = proof.chars().take(proof.len() - 1).collect();
        for query in
            ["", "proof=", &others, &close, &half, &format!("{proof}&{proof}"), &format!("proof={id}")]
        {
            for body in [failed(&window, device), back.fields.clone(), Vec::new()] {
                let forged = Return { url: format!("{path}?{query}"), fields: body };
                let answer = stage.post_back(&forged).await;
                assert_eq!(answer.status, 404, "{device} {query}: {}", answer.text);
                assert!(
                    !answer.text.contains("수제 잼") && !answer.text.contains("token="),
                    "{}",
                    answer.text
                );
            }
            let looked = stage.call("GET", &format!("{path}?{query}")).send().await;
            assert_eq!(looked.status, 404, "{device} {query}: {}", looked.text);
            let closed = stage.call("GET", &format!("{path}/close?{query}")).send().await;
            assert!(closed.status == 404 || query == close, "{device} {query}: {}", closed.text);
        }
        let names = stage.names(&stage.shop, &created).await;
        assert!(
            !names.iter().any(|name| name.starts_with("checkout.") && name != "checkout.opened"),
            "{names:?}"
        );
        // The true buyer's authentication is taken all the same.
        assert_eq!(stage.come_back(&back).await.result, "paid", "{device}");
    }
    assert_eq!(stage.count("approved").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_knows_an_order_number_does_not_see_its_account() {
    let stage = Stage::start().await;
    let more = json!({"method": {"kind": "virtual_account"}});
    let created = stage.create_as(&stage.shop, "A-1", more).await.expect(201);
    let window = stage.open(&created).await;
    let back = stage.choose(&window, json!({"choice": "pay", "bank": "04", "depositor": "홍길동"})).await;
    let outcome = stage.come_back(&back).await;
    let number = text(&stage.payment(&created).await["virtual_account"], "number");
    assert!(outcome.html.contains(&number), "{}", outcome.words);
    let bare = back.url.split('?').next().unwrap().to_owned();
    let answer = stage.post_back(&Return { url: bare, fields: failed(&window, "pc") }).await;
    assert!(answer.status == 404 && !answer.text.contains(&number), "{} {}", answer.status, answer.text);
    // A browser that posts twice is led to its result by the same secret.
    assert_eq!(stage.come_back(&back).await.result, "awaiting_deposit");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_buyers_page_says_by_its_status_whether_it_is_busy_over_or_wrong() {
    let stage = Stage::start().await;
    let busy = stage.create("busy").await;
    let back = stage.choose(&stage.open(&busy).await, pay()).await;
    stage.fault("pay_auth", "slow", json!({"ms": 1500})).await;
    let open = async || {
        eventually("an attempt runs", SOON, async || {
            let page = stage.open_page(&text(&busy, "checkout_url")).await;
            (page.status != 200).then_some(page)
        })
        .await
    };
    let (paid, page) = tokio::join!(stage.come_back(&back), open());
    assert_eq!((paid.result.as_str(), page.status), ("paid", 409), "{}", page.text);
    assert!(visible(&page.text).contains("다른 창에서"), "{}", visible(&page.text));
    let looked = stage.call("GET", &text(&busy, "checkout_url")).send().await;
    assert!(looked.status == 200 && visible(&looked.text).contains("이미 결제가 완료된"), "{}", looked.text);
    assert_eq!(stage.open_page(&text(&busy, "checkout_url")).await.status, 409);

    let soon = (jiff::Timestamp::now() + jiff::SignedDuration::from_secs(2)).to_string();
    let late = stage.create_as(&stage.shop, "late", json!({"expires_at": soon})).await.expect(201);
    eventually("its time is over", SOON, async || {
        (stage.payment(&late).await["state"] == "expired").then_some(())
    })
    .await;
    let url = text(&late, "checkout_url");
    for page in [stage.call("GET", &url).send().await, stage.open_page(&url).await] {
        assert_eq!(page.status, 410, "{}", page.text);
        assert!(visible(&page.text).contains("더 이상 결제할 수 없는"), "{}", visible(&page.text));
    }
}

/// Tokens stand in addresses of pages: nobody behind the page hears of the address, and nothing of it is kept.
#[tokio::test(flavor = "multi_thread")]
async fn no_page_of_a_buyer_tells_its_address_sets_a_cookie_or_is_guessed_at() {
    let stage = told(Stage::start().await).await;
    let created = stage.create("A-1").await;
    let url = text(&created, "checkout_url");
    let window = stage.open(&created).await;
    let back = stage.choose(&window, pay()).await;
    let returned = stage.post_back(&back).await;
    let result = returned.header("location").to_owned();
    let payment = deposited(&stage, "A-2").await;
    let (refund, code) = refund_link(&stage, &payment, json!({})).await;
    let opened = stage.open_page(&text(&stage.create("A-3").await, "checkout_url")).await;
    assert_eq!(opened.header("referrer-policy"), "strict-origin", "the gateway compares domains");
    for (what, page) in [
        ("window", opened),
        ("checkout", stage.call("GET", &url).send().await),
        ("paid", stage.open_page(&url).await),
        ("result", stage.call("GET", &result).send().await),
        ("refund", stage.call("GET", &refund).send().await),
        ("refund form", stage.call("POST", &refund).form(&fields(&[("code", &code)])).send().await),
        ("404", stage.call("GET", "/checkout/shop_x/pay_x").send().await),
        ("404 of a result", stage.call("GET", "/return/shop_x/chk_x?token=x").send().await),
        ("405", stage.call("DELETE", &url).send().await),
        ("404 of the API", stage.call("GET", "/v1/nothing").send().await),
        ("405 of the API", stage.call("DELETE", "/v1/payments").send().await),
    ] {
        assert_eq!(page.header("x-content-type-options"), "nosniff", "{what}");
        assert_eq!(page.header("set-cookie"), "", "{what}");
        if page.header("content-type").starts_with("text/html") {
            assert_eq!(page.header("cache-control"), "no-store", "{what}");
            let policy = page.header("referrer-policy");
            assert!(policy == "no-referrer" || what == "window", "{what}: {policy}");
            assert!(!page.text.contains("name=\"referrer\""), "{what}: one place says it");
        }
    }
}

/// Every way of a buyer and a shop, good and bad, with the log as verbose as it gets: the scan of every stage looks at it
/// when this one ends (`stage/tokens.rs`), and here it is looked at for the very tokens that were given out.
async fn every_way(stage: Stage) -> Stage {
    let stage = told(stage).await;
    let mut tokens = vec![stage.shop.key.clone(), stage.operator_key()];
    let created = stage.create("A-1").await;
    let window = stage.open(&created).await;
    tokens.push(text(&created, "client_token"));
    tokens.push(window.leave.split_once("token=").unwrap().1.to_owned());
    for name in ["returnUrl", "closeUrl"] {
        tokens.push(window.field(name).split_once("proof=").unwrap().1.to_owned());
    }
    let back = stage.choose(&window, pay()).await;
    let bare = back.url.split('?').next().unwrap();
    stage.post_back(&Return { url: bare.to_owned(), ..back.clone() }).await;
    stage.post_back(&back.with("authUrl", "https://evil.example/")).await;
    stage.call("GET", &format!("{}&resultCode=0000", back.url)).send().await;
    stage.call("PUT", &back.url).send().await;
    let huge = vec![b'x'; 400 * 1024];
    stage.call("POST", &back.url).body("application/x-www-form-urlencoded", huge).send().await;
    let outcome = stage.come_back(&back).await;
    tokens.push(outcome.url.split_once("token=").unwrap().1.to_owned());
    stage.call("POST", &window.leave).form(&[]).send().await;
    let client = stage.call("GET", &format!("/v1/payments/{}", text(&created, "id")));
    client.key(&text(&created, "client_token")).send().await.expect(200);

    // Keys and secrets: made, changed, wrong, in the wrong place.
    let key = json!({"shop_id": stage.shop.id, "mode": "test", "name": "x"});
    let made = stage.operator("POST", "/v1/keys", key).await.expect(201);
    let wrong = format!("{}0", text(&made, "secret"));
    stage.call("GET", "/v1/payments").key(&wrong).send().await.problem(401, "unauthorized");
    stage.call("GET", &format!("/v1/payments?api_key={wrong}")).send().await;
    let path = format!("/v1/keys/{}?shop_id={}", text(&made, "id"), stage.shop.id);
    stage.call("DELETE", &path).key(&stage.operator_key()).send().await.expect(204);
    tokens.extend([text(&made, "secret"), wrong]);
    let endpoint = json!({"url": "http://127.0.0.1:9/hook?secret=hook-secret-of-the-shop"});
    let endpoint = stage.post("/v1/webhook-endpoints", &endpoint).await.expect(201);
    let rotate = format!("/v1/webhook-endpoints/{}/rotate-secret", text(&endpoint, "id"));
    let rotated = stage.post(&rotate, &json!({})).await.expect(200);
    tokens.extend([
        text(&endpoint, "secret"),
        text(&rotated, "secret"),
        "hook-secret-of-the-shop".to_owned(),
    ]);

    let payment = deposited(&stage, "A-2").await;
    let (url, code) = refund_link(&stage, &payment, json!({})).await;
    stage.call("GET", &url).send().await;
    stage.call("POST", &url).form(&fields(&[("code", &format!("{code}x"))])).send().await;
    assert_eq!(stage.call("POST", &url).form(&account(&code)).send().await.status, 200);
    tokens.push(code);
    // The events of all this are on their way to an address that does not answer.
    eventually("a webhook was tried", SOON, async || {
        stage.host.logged().contains("\"webhook\"").then_some(())
    })
    .await;
    let log = stage.host.logged();
    assert!(log.contains("\"answered\"") && log.contains("/return/shop_") && log.contains("DEBUG"), "{log}");
    for token in tokens {
        assert!(!log.contains(&token), "{token} is in the log");
    }
    stage
}

#[tokio::test(flavor = "multi_thread")]
async fn no_token_of_any_kind_is_in_a_log() {
    every_way(Stage::start().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_token_of_any_kind_is_in_a_log_on_postgres() {
    every_way(Stage::on_postgres().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_no_text_opens_nothing_on_any_page() {
    let stage = Stage::start().await;
    for path in
        ["/checkout/%ff", "/return/%ff", "/refund/%ff", "/refund/%00", "/refund/a%e2%80%ae", "/refund/x"]
    {
        let page = stage.call("GET", path).send().await;
        assert_eq!(page.status, 404, "{path}: {}", page.text);
        assert!(page.header("content-type").starts_with("text/html"), "{path}");
    }
    let page = stage.call("POST", "/refund/%ff").form(&account("0000-0000-0000-0000")).send().await;
    assert_eq!(page.status, 404, "{}", page.text);
}
