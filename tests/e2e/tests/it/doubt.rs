//! What becomes of a payment when the gateway's answer is lost, late or wrong. The promise of every test: a payment is never
//! called unpaid while the gateway holds its money, and never called paid while it does not.

use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use serde_json::{Value, json};

use crate::stage::buyer::{Outcome, Window, pay};
use crate::stage::http::Answer;
use crate::stage::sale::order_ref;
use crate::stage::{Shop, Stage, eventually, text};

/// A payment that went wrong.
struct Tried {
    created: Value,
    window: Window,
    outcome: Outcome,
}

/// Pays while an operation on just this order goes wrong.
async fn try_to_pay(stage: &Stage, shop: &Shop, name: &str, faults: &[(&str, &str, Value)]) -> Tried {
    let created = stage.create_as(shop, name, json!({})).await.expect(201);
    let window = stage.open(&created).await;
    for (operation, fault, more) in faults {
        let mut more = more.clone();
        more["oid"] = json!(order_ref(&window));
        stage.fault(operation, fault, more).await;
    }
    let outcome = stage.come_back(&stage.choose(&window, pay()).await).await;
    Tried { created, window, outcome }
}

/// What the gateway holds for a checkout.
async fn held(stage: &Stage, window: &Window) -> u64 {
    stage.sales(order_ref(window)).await.iter().map(|sale| sale["remaining"].as_u64().unwrap()).sum()
}

/// The rule of this file, for a payment as it is now.
async fn books_agree(stage: &Stage, shop: &Shop, tried: &Tried, what: &str) {
    let payment = stage.payment_as(shop, &tried.created).await;
    let held = held(stage, &tried.window).await;
    if payment["resolution"] == "none" {
        assert_eq!(payment["amount"]["cancellable"], held, "{what}: {payment}");
        assert_eq!(payment["state"] == "paid", held > 0, "{what}: {payment}");
    }
}

async fn resolved(stage: &Stage, shop: &Shop, created: &Value, within_seconds: u64) -> Value {
    let what = format!("the outcome of {created} is known");
    eventually(&what, Duration::from_secs(within_seconds), async || {
        let now = stage.payment_as(shop, created).await;
        (now["resolution"] == "none").then_some(now)
    })
    .await
}

/// Everything after which INICIS has the money and we have no answer that we understand.
const TAKEN: &[&str] = &[
    "drop_after",
    "cut_off",
    "truncated",
    "html",
    "empty",
    "garbage",
    "http_500",
    "huge",
    "wrong_amount",
    "wrong_order",
    "wrong_mid",
    "wrong_signature",
];

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_without_a_good_answer_is_undone_where_the_gateway_cannot_be_asked() {
    let stage = Stage::start().await;
    let shop = stage.shop.clone();
    let all = TAKEN.iter().map(|&fault| {
        let (stage, shop) = (&stage, &shop);
        async move {
            let tried = try_to_pay(stage, shop, fault, &[("pay_auth", fault, json!({}))]).await;
            assert_eq!(tried.outcome.result, "failed", "{fault}: {}", tried.outcome.words);
            let payment = stage.payment_as(shop, &tried.created).await;
            assert_eq!(
                (text(&payment, "state"), text(&payment, "resolution")),
                ("pending".into(), "none".into()),
                "{fault}"
            );
            assert_eq!(stage.sales(order_ref(&tried.window)).await[0]["state"], "net_cancelled", "{fault}");
            books_agree(stage, shop, &tried, fault).await;
            // Nothing is held, so that the buyer may try again.
            let window = stage.open(&tried.created).await;
            let again = stage.come_back(&stage.choose(&window, pay()).await).await;
            assert_eq!(again.result, "paid", "{fault}: {}", again.words);
        }
    });
    futures_util::future::join_all(all).await;
    assert_eq!(stage.held().await.len(), TAKEN.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_without_a_good_answer_is_found_where_the_gateway_can_be_asked() {
    let stage = Stage::start().await;
    let shop = stage.shop_with_lookup().await;
    let all = TAKEN.iter().map(|&fault| {
        let (stage, shop) = (&stage, &shop);
        async move {
            let tried = try_to_pay(stage, shop, fault, &[("pay_auth", fault, json!({}))]).await;
            assert_eq!(tried.outcome.result, "paid", "{fault}: {}", tried.outcome.words);
            books_agree(stage, shop, &tried, fault).await;
            let paid = stage.payment_as(shop, &tried.created).await;
            assert_eq!(paid["gateway_ref"], stage.sales(order_ref(&tried.window)).await[0]["tid"], "{fault}");
            // What was found by asking can be cancelled like any other payment.
            let cancelled = stage.cancel(shop, &tried.created, fault).await.expect(200);
            assert_eq!(cancelled["state"], "cancelled", "{fault}");
            books_agree(stage, shop, &tried, fault).await;
        }
    });
    futures_util::future::join_all(all).await;
    assert!(stage.held().await.is_empty());
}

/// Success as another product writes it, or as nobody should; everything else of the answer is whole and rightly signed.
fn clothes() -> Vec<Value> {
    vec![
        json!("00"),
        json!("0"),
        json!(0),
        json!("0000 "),
        json!(" 0000"),
        json!("SUCCESS"),
        json!("success"),
        json!("02"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_success_in_other_clothes_is_undone_or_found_and_never_a_decline() {
    let stage = Stage::start().await;
    let lookup = stage.shop_with_lookup().await;
    let cells = clothes().into_iter().flat_map(|code| [(code.clone(), false), (code, true)]);
    let all = cells.enumerate().map(|(number, (code, can_ask))| {
        let (stage, shop) = (&stage, if can_ask { &lookup } else { &stage.shop });
        async move {
            let what = format!("{code} {can_ask}");
            let fault = [("pay_auth", "other_value", json!({"field": "resultCode", "value": code}))];
            let tried = try_to_pay(stage, shop, &format!("A-{number}"), &fault).await;
            let names = stage.names(shop, &tried.created).await;
            assert!(!names.contains(&"complete declined".to_owned()), "{what}: {names:?}");
            let (result, sale) = if can_ask { ("paid", "approved") } else { ("failed", "net_cancelled") };
            assert_eq!(tried.outcome.result, result, "{what}: {}", tried.outcome.words);
            assert_eq!(stage.sales(order_ref(&tried.window)).await[0]["state"], sale, "{what}");
            books_agree(stage, shop, &tried, &what).await;
            if !can_ask {
                // The buyer pays again, once.
                let window = stage.open(&tried.created).await;
                assert_eq!(
                    stage.come_back(&stage.choose(&window, pay()).await).await.result,
                    "paid",
                    "{what}"
                );
            }
            let paid = stage.payment_as(shop, &tried.created).await;
            assert_eq!(
                paid["amount"]["paid"].as_i64().unwrap() - paid["amount"]["cancelled"].as_i64().unwrap(),
                20_900
            );
        }
    });
    futures_util::future::join_all(all).await;
    let held: u64 = stage.held().await.iter().map(|sale| sale["remaining"].as_u64().unwrap()).sum();
    assert_eq!(held, 20_900 * 2 * u64::try_from(clothes().len()).unwrap(), "each payment once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phones_success_in_other_clothes_is_undone_or_found_and_never_a_decline() {
    let stage = Stage::start().await;
    let lookup = stage.shop_with_lookup().await;
    let codes =
        ["0", "0000", "00 ", "SUCCESS", "01"].into_iter().flat_map(|code| [(code, false), (code, true)]);
    let all = codes.enumerate().map(|(number, (code, can_ask))| {
        let (stage, shop) = (&stage, if can_ask { &lookup } else { &stage.shop });
        async move {
            let what = format!("{code} {can_ask}");
            let more = json!({"device": "mobile"});
            let created = stage.create_as(shop, &format!("A-{number}"), more).await.expect(201);
            let window = stage.open(&created).await;
            // `01` with everything that only an approval has.
            let fault = json!({"oid": order_ref(&window), "field": "P_STATUS", "value": code});
            stage.fault("mobile_approve", "other_value", fault).await;
            let outcome = stage.come_back(&stage.choose(&window, pay()).await).await;
            let (result, sale) = if can_ask { ("paid", "approved") } else { ("failed", "net_cancelled") };
            assert_eq!(outcome.result, result, "{what}: {}", outcome.words);
            assert_eq!(stage.sales(order_ref(&window)).await[0]["state"], sale, "{what}");
            books_agree(stage, shop, &Tried { created, window, outcome }, &what).await;
        }
    });
    futures_util::future::join_all(all).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_s_success_in_other_clothes_is_found_and_never_a_refusal() {
    let stage = Stage::start().await;
    let all = [json!("0000"), json!(0), json!("00 "), json!("SUCCESS")].map(|code| {
        let stage = &stage;
        async move {
            let what = code.to_string();
            let tried = try_to_pay(stage, &stage.shop, &what, &[]).await;
            let fault = json!({"oid": order_ref(&tried.window), "field": "resultCode", "value": code});
            stage.fault("refund", "other_value", fault).await;
            stage.cancel(&stage.shop, &tried.created, &what).await.expect(202);
            let after = resolved(stage, &stage.shop, &tried.created, 30).await;
            assert_eq!(after["state"], "cancelled", "{what}: {after}");
            let again = stage.cancel(&stage.shop, &tried.created, &what).await.expect(200);
            assert_eq!(again["state"], "cancelled", "{what}");
            assert_eq!(held(stage, &tried.window).await, 0, "{what}");
        }
    });
    futures_util::future::join_all(all).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_declines_of_no_table_leave_no_doubt() {
    let stage = Stage::start().await;
    let codes = (0..200_u32).map(|number| {
        let stage = &stage;
        async move {
            // Neither the suffix nor, of every other one, the network is in a table.
            let code = format!("{}{}", if number % 2 == 0 { "500" } else { "987" }, 300 + number / 2);
            let decline = [("pay_auth", "decline", json!({"code": code}))];
            let tried = try_to_pay(stage, &stage.shop, &format!("A-{number}"), &decline).await;
            assert_eq!(tried.outcome.result, "failed", "{code}: {}", tried.outcome.words);
            let names = stage.names(&stage.shop, &tried.created).await;
            assert!(names.contains(&"complete declined".to_owned()), "{code}: {names:?}");
            assert!(!names.contains(&"payment.in_doubt".to_owned()), "{code}: {names:?}");
        }
    });
    futures_util::stream::iter(codes).buffer_unordered(16).collect::<Vec<()>>().await;
    assert_eq!(stage.count("declined").await, 200);
    assert_eq!(stage.count("net_cancelled").await + stage.count("net_cancelled_early").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_that_is_found_without_a_method_is_believed_and_can_be_cancelled() {
    let stage = Stage::start().await;
    let shop = stage.shop_with_lookup().await;
    let nameless = json!({"field": "paymethod", "value": "", "times": "always"});
    let faults = [("pay_auth", "drop_after", json!({})), ("inquiry", "other_value", nameless)];
    let tried = try_to_pay(&stage, &shop, "A-1", &faults).await;
    assert_eq!(tried.outcome.result, "paid", "{}", tried.outcome.words);
    let paid = stage.payment_as(&shop, &tried.created).await;
    assert_eq!((text(&paid, "state"), text(&paid, "resolution")), ("paid".into(), "none".into()));
    assert_eq!(paid["method"], Value::Null, "{paid}");
    books_agree(&stage, &shop, &tried, "found without a method").await;
    assert_eq!(stage.cancel(&shop, &tried.created, "k-1").await.expect(200)["state"], "cancelled");
    assert_eq!(held(&stage, &tried.window).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_about_another_amount_or_order_raises_an_alarm() {
    let stage = Stage::start().await;
    for fault in ["wrong_amount", "wrong_order"] {
        let tried = try_to_pay(&stage, &stage.shop, fault, &[("pay_auth", fault, json!({}))]).await;
        let names = stage.names(&stage.shop, &tried.created).await;
        assert!(names.contains(&"payment.alarm".to_owned()), "{fault}: {names:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_approval_is_final_and_takes_nothing() {
    let stage = Stage::start().await;
    for code in ["500644", "500601", "500055"] {
        let tried =
            try_to_pay(&stage, &stage.shop, code, &[("pay_auth", "decline", json!({"code": code}))]).await;
        assert_eq!(tried.outcome.result, "failed", "{code}");
        let payment = stage.payment(&tried.created).await;
        assert_eq!(
            (text(&payment, "state"), text(&payment, "resolution")),
            ("pending".into(), "none".into()),
            "{code}"
        );
        assert_eq!(held(&stage, &tried.window).await, 0, "{code}");
        let names = stage.names(&stage.shop, &tried.created).await;
        assert!(names.contains(&"complete declined".to_owned()), "{code}: {names:?}");
    }
    assert_eq!(stage.count("net_cancelled").await + stage.count("net_cancelled_early").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_may_not_have_arrived_stays_in_doubt_and_blocks_another_payment() {
    let stage = Stage::start().await;
    let lookup = stage.shop_with_lookup().await;
    let both = [&stage.shop, &lookup].map(|shop| async {
        let tried = try_to_pay(&stage, shop, "A-1", &[("pay_auth", "drop_before", json!({}))]).await;
        assert_eq!(tried.outcome.result, "in_doubt");
        assert!(tried.outcome.words.contains("다시 결제하지 말고"), "{}", tried.outcome.words);
        let payment = stage.payment_as(shop, &tried.created).await;
        assert_eq!(
            (text(&payment, "state"), text(&payment, "resolution")),
            ("pending".into(), "in_doubt".into())
        );
        let again = stage.create_as(shop, "A-1", json!({})).await.expect(200);
        assert_eq!(again["resolution"], "in_doubt");
        stage.cancel(shop, &tried.created, "k-1").await.problem(409, "payment_in_doubt");
        let page = stage.open_page(&text(&tried.created, "checkout_url")).await;
        assert!(page.status >= 400 && !page.text.contains("payhost-form"), "{}", page.text);
        assert_eq!(held(&stage, &tried.window).await, 0);
    });
    futures_util::future::join_all(both).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_takes_longer_than_we_wait_is_undone_or_found() {
    let stage = Stage::start().await;
    let lookup = stage.shop_with_lookup().await;
    let tries = [
        (&stage.shop, "slow", json!({"ms": 20_000}), "failed"),
        (&lookup, "slow", json!({"ms": 20_000}), "paid"),
        (&stage.shop, "drip", json!({"ms": 500}), "failed"),
        (&lookup, "drip", json!({"ms": 500}), "paid"),
        (&stage.shop, "slow", json!({"ms": 1_500}), "paid"),
    ];
    let all = tries.into_iter().enumerate().map(|(number, (shop, fault, more, expected))| {
        let stage = &stage;
        async move {
            let name = format!("A-{number}");
            let tried = try_to_pay(stage, shop, &name, &[("pay_auth", fault, more)]).await;
            assert_eq!(tried.outcome.result, expected, "{number} {fault}: {}", tried.outcome.words);
            books_agree(stage, shop, &tried, fault).await;
        }
    });
    futures_util::future::join_all(all).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undo_that_never_arrived_is_tried_again_until_nothing_is_held() {
    let stage = Stage::start().await;
    let faults = [("pay_auth", "drop_after", json!({})), ("net_cancel", "drop_before", json!({}))];
    let tried = try_to_pay(&stage, &stage.shop, "A-1", &faults).await;
    assert!(["failed", "in_doubt"].contains(&tried.outcome.result.as_str()), "{}", tried.outcome.result);
    let after = resolved(&stage, &stage.shop, &tried.created, 30).await;
    assert_eq!(after["state"], "pending", "{after}");
    books_agree(&stage, &stage.shop, &tried, "after the undo").await;
    let names = stage.names(&stage.shop, &tried.created).await;
    let at = |name: &str| names.iter().position(|known| known == name);
    assert!(
        at("payment.in_doubt").is_some() && at("payment.in_doubt") < at("payment.doubt_ended"),
        "{names:?}"
    );
    assert_eq!(held(&stage, &tried.window).await, 0);
}

/// INICIS documents no code that says "there is nothing to undo": a refusal of the second net cancel proves nothing. Shop and buyer
/// are told when the gateway is asked next.
#[tokio::test(flavor = "multi_thread")]
async fn an_undo_whose_answer_was_lost_stays_in_doubt() {
    let stage = Stage::start().await;
    let all = ["drop_after", "html", "http_500", "empty"].map(|fault| {
        let stage = &stage;
        async move {
            let faults = [("pay_auth", "drop_after", json!({})), ("net_cancel", fault, json!({}))];
            let tried = try_to_pay(stage, &stage.shop, fault, &faults).await;
            assert_eq!(tried.outcome.result, "in_doubt", "{fault}");
            eventually("the undo is repeated", Duration::from_secs(20), async || {
                let names = stage.names(&stage.shop, &tried.created).await;
                (names.iter().filter(|name| name.starts_with("undo ")).count() >= 2).then_some(())
            })
            .await;
            let payment = stage.payment(&tried.created).await;
            assert_eq!(payment["resolution"], "in_doubt", "{fault}: {payment}");
            assert_eq!(held(stage, &tried.window).await, 0, "{fault}");
            let next: jiff::Timestamp = text(&payment, "next_try_at").parse().unwrap();
            let from_now = next.as_second() - jiff::Timestamp::now().as_second();
            assert!((-60..=86_400).contains(&from_now), "{fault}: {payment}");
            let reloaded = stage.outcome(&tried.outcome.url).await;
            assert!(reloaded.words.contains("다음 확인20"), "{fault}: {}", reloaded.words);
        }
    });
    futures_util::future::join_all(all).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undo_whose_answer_was_lost_ends_when_the_gateway_says_that_the_sale_is_gone() {
    let stage = Stage::start().await;
    let lookup = stage.shop_with_lookup().await;
    let lost = ("pay_auth", "drop_after", json!({}));
    let undone = ("net_cancel", "drop_after", json!({}));
    // Where it can be asked: it does not find the sale at first, which is therefore undone, and shows it cancelled then.
    let unfound = ("inquiry", "not_found", json!({}));
    let asked = try_to_pay(&stage, &lookup, "A-1", &[lost.clone(), undone.clone(), unfound]).await;
    // Where it cannot: the next undo is answered "already cancelled", by a code that INICIS documents.
    let gone = ("net_cancel", "decline", json!({"code": "500626", "times": "always"}));
    let refused = try_to_pay(&stage, &stage.shop, "A-2", &[lost.clone(), undone, gone.clone()]).await;
    // Without an undo of ours before it somebody else cancelled it.
    let elsewhere = try_to_pay(&stage, &stage.shop, "A-3", &[lost, gone]).await;
    for (shop, tried, reason) in [
        (&lookup, &asked, "undone"),
        (&stage.shop, &refused, "undone"),
        (&stage.shop, &elsewhere, "cancelled_at_gateway"),
    ] {
        let after = resolved(&stage, shop, &tried.created, 30).await;
        assert_eq!(text(&after, "state"), "pending", "{reason}: {after}");
        assert_eq!(after["next_try_at"], Value::Null, "{after}");
        let timeline = stage.timeline(shop, &tried.created).await;
        let failed = timeline.iter().find(|item| item["name"] == "checkout.failed").unwrap();
        assert_eq!(failed["data"]["reason"], reason, "{timeline:#?}");
    }
    for tried in [&asked, &refused] {
        assert_eq!(held(&stage, &tried.window).await, 0);
    }
}

/// Somebody gave a part back in the gateway's admin meanwhile: no undo takes such a sale back, and the rest is held.
#[tokio::test(flavor = "multi_thread")]
async fn a_sale_that_was_cancelled_in_part_is_not_called_unpaid() {
    let stage = Stage::start().await;
    let lookup = stage.shop_with_lookup().await;
    for shop in [&lookup, &stage.shop] {
        let silent = |operation| (operation, "drop_before", json!({"times": "always"}));
        let faults = [("pay_auth", "drop_after", json!({})), silent("net_cancel"), silent("inquiry")];
        let tried = try_to_pay(&stage, shop, "A-1", &faults).await;
        assert_eq!(tried.outcome.result, "in_doubt");
        let tid = text(&stage.sales(order_ref(&tried.window)).await[0], "tid");
        let url = format!("{}/_sim/cancel", stage.gateway.browser_origin);
        let part = json!({"tid": tid, "price": 5_000});
        stage.call("POST", &url).json(&part).send().await.expect(204);
        stage.no_faults().await;
        eventually("an undo is refused", Duration::from_secs(40), async || {
            let names = stage.names(shop, &tried.created).await;
            names.iter().any(|name| name.starts_with("undo declined")).then_some(())
        })
        .await;
        let payment = stage.payment_as(shop, &tried.created).await;
        assert_eq!(payment["resolution"], "in_doubt", "{payment}");
        assert_eq!(held(&stage, &tried.window).await, 15_900);
        books_agree(&stage, shop, &tried, "after the undo").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inquiry_that_goes_wrong_is_repeated_before_anything_is_undone() {
    let stage = Stage::start().await;
    let shop = stage.shop_with_lookup().await;
    let all = ["drop_before", "html", "http_500", "wrong_mid"].map(|fault| {
        let (stage, shop) = (&stage, &shop);
        async move {
            let faults = [("pay_auth", "drop_after", json!({})), ("inquiry", fault, json!({}))];
            let tried = try_to_pay(stage, shop, fault, &faults).await;
            let after = resolved(stage, shop, &tried.created, 30).await;
            assert_eq!(after["state"], "paid", "{fault}: {after}");
            books_agree(stage, shop, &tried, fault).await;
        }
    });
    futures_util::future::join_all(all).await;
    assert_eq!(stage.count("net_cancelled").await, 0);
}

async fn patch(stage: &Stage, shop: &Shop, body: Value) -> Answer {
    let path = format!("/v1/channels/{}", shop.channel);
    stage.call("PATCH", &path).key(&shop.key).json(&body).send().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_that_is_not_found_at_first_is_undone_or_asked_about_on_as_the_channel_says() {
    let stage = Stage::start().await;
    for (word, state, undone) in [("undo", "pending", 1), ("ask", "paid", 0)] {
        let shop = stage.shop_with_lookup().await;
        assert_eq!(patch(&stage, &shop, json!({"in_doubt": word})).await.expect(200)["in_doubt"], word);
        let faults = [("pay_auth", "drop_after", json!({})), ("inquiry", "not_found", json!({}))];
        let before = stage.count("net_cancelled").await;
        let tried = try_to_pay(&stage, &shop, word, &faults).await;
        let after = resolved(&stage, &shop, &tried.created, 30).await;
        assert_eq!(after["state"], state, "{word}: {after}");
        assert_eq!(stage.count("net_cancelled").await - before, undone, "{word}");
        books_agree(&stage, &shop, &tried, word).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_about_a_doubt_is_undo_or_ask_and_ask_needs_a_gateway_that_can_be_asked() {
    let stage = Stage::start().await;
    let (plain, lookup) = (stage.shop.clone(), stage.shop_with_lookup().await);
    let path = format!("/v1/channels/{}", plain.channel);
    assert_eq!(stage.get(&path).await.expect(200)["in_doubt"], "undo");
    patch(&stage, &lookup, json!({"in_doubt": "ask"})).await.expect(200);
    for (shop, body) in [
        (&plain, json!({"in_doubt": "ask"})),
        (&plain, json!({"in_doubt": "perhaps"})),
        (&lookup, json!({"settings": {"lookup_by": "gateway_ref"}})),
    ] {
        let problem = patch(&stage, shop, body.clone()).await.problem(400, "invalid_request");
        assert_eq!(problem["field"], "in_doubt", "{body}: {problem}");
    }
    let both = json!({"settings": {"lookup_by": "gateway_ref"}, "in_doubt": "undo"});
    assert_eq!(patch(&stage, &lookup, both).await.expect(200)["in_doubt"], "undo");
    let new = |settings: Value| json!({"plugin": "inicis", "preset": "test_pay", "settings": settings, "in_doubt": "ask"});
    let problem = stage.post("/v1/channels", &new(json!({}))).await.problem(400, "invalid_request");
    assert_eq!(problem["field"], "in_doubt");
    let made = stage.post("/v1/channels", &new(json!({"lookup_by": "order_ref"}))).await.expect(201);
    assert_eq!(made["in_doubt"], "ask");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_is_answered_at_once_when_a_person_was_called() {
    let stage = Stage::start().await;
    let shop = stage.new_shop("늦은 가게", json!({"undo_within": 1})).await;
    let created = stage.create_as(&shop, "A-1", json!({})).await.expect(201);
    let window = stage.open(&created).await;
    for (operation, fault) in [("pay_auth", "drop_after"), ("net_cancel", "drop_before")] {
        stage.fault(operation, fault, json!({"oid": order_ref(&window), "times": "always"})).await;
    }
    let back = stage.choose(&window, pay()).await;
    stage.come_back(&back).await;
    eventually("a person is called", Duration::from_secs(30), async || {
        (stage.payment_as(&shop, &created).await["resolution"] == "needs_operator").then_some(())
    })
    .await;
    let reloaded = Instant::now();
    assert_eq!(stage.come_back(&back).await.result, "in_doubt");
    assert!(reloaded.elapsed() < Duration::from_secs(5), "{:?}", reloaded.elapsed());
}
