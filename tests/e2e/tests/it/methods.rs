//! Every method on a computer and on a phone, with its details and its full cancel, over HTTP.

use serde_json::{Value, json};

use crate::stage::html::visible;
use crate::stage::sale::{DEVICES, buy, cancel, has, korean, method, pay_empty, paying, stage};
use crate::stage::text;

/// Kind, provider, what the buyer picks, and what the payment shows afterwards.
fn methods() -> Vec<(&'static str, &'static str, Value, Value)> {
    vec![
        (
            "card",
            "",
            json!({"card": "04", "coupon": 900}),
            json!({"/issuer/name": "현대", "/issuer/code": "367", "/acquirer/code": "367", "/instalments": 0, "/interest_free": false, "/discount": 900, "/cancellable/partial": true}),
        ),
        // ISP: BC.
        (
            "card",
            "",
            json!({"card": "11"}),
            json!({"/issuer/name": "BC", "/issuer/code": "361", "/wallet": null, "/cancellable/partial": true}),
        ),
        (
            "transfer",
            "",
            json!({"bank": "88", "receipt": "0"}),
            json!({"/issuer/name": "신한은행", "/issuer/code": "088", "/cash_receipt/kind": "income_deduction", "/cancellable/partial": true, "/instalments": null}),
        ),
        (
            "transfer",
            "",
            json!({"bank": "20", "receipt": "1"}),
            json!({"/issuer/name": "우리은행", "/cash_receipt/kind": "business_proof"}),
        ),
        ("transfer", "", json!({"bank": "20"}), json!({"/cash_receipt": null})),
        (
            "phone",
            "",
            json!({"telco": "KTF", "phone": "01098765432"}),
            json!({"/masked_number": "010******32", "/issuer": null, "/cancellable/partial": false}),
        ),
        (
            "easy_pay",
            "kakaopay",
            json!({"card": "04"}),
            json!({"/wallet": "kakaopay", "/issuer/name": "현대"}),
        ),
        (
            "easy_pay",
            "kakaopay",
            json!({"card": "97"}),
            json!({"/wallet": "kakaopay", "/issuer/name": "카카오 머니"}),
        ),
        ("easy_pay", "naverpay", json!({}), json!({"/wallet": "naverpay"})),
        ("easy_pay", "samsungpay", json!({}), json!({"/wallet": "samsungpay"})),
        ("easy_pay", "tosspay", json!({}), json!({"/wallet": "tosspay"})),
        ("easy_pay", "payco", json!({}), json!({"/wallet": "payco"})),
        (
            "gift_voucher",
            "cultureland",
            json!({"user": "jam"}),
            json!({"/issuer": null, "/cancellable/partial": false}),
        ),
        ("gift_voucher", "happymoney", json!({}), json!({"/cancellable/partial": false})),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_method_is_paid_and_cancelled_on_both_devices_with_its_details() {
    let stage = stage().await;
    for device in DEVICES {
        for (at, (kind, provider, choice, details)) in methods().into_iter().enumerate() {
            let what = format!("{device} {kind} {provider} {choice}");
            let more = json!({"device": device, "method": method(kind, provider)});
            let (payment, outcome) = buy(&stage, &format!("{device}-{at}"), more, paying(choice)).await;
            assert_eq!(outcome.result, "paid", "{what}: {}", outcome.words);
            let common = json!({
                "/state": "paid", "/resolution": "none", "/method/kind": kind, "/amount/paid": 20_900,
                "/amount/cancellable": 20_900, "/cancellable/needs_account": false,
            });
            has(&payment, &common, &what);
            has(&payment, &details, &what);
            if !provider.is_empty() {
                assert_eq!(payment["method"]["provider"], provider, "{what}");
            }
            let sold = stage.sales("").await.pop().unwrap();
            assert_eq!(
                (&payment["gateway_ref"], &sold["remaining"]),
                (&sold["tid"], &json!(20_900)),
                "{what}"
            );
            // The approval number of the books and of the page is the gateway's.
            if matches!(kind, "card" | "easy_pay") {
                assert_eq!(payment["approval_number"], sold["appl_num"], "{what}");
                assert!(
                    outcome.words.contains(sold["appl_num"].as_str().unwrap()),
                    "{what}: {}",
                    outcome.words
                );
                assert!(text(&payment, "masked_number").contains("****"), "{what}");
            }
            // A transfer without a cash receipt has no receipt page.
            if matches!(kind, "card" | "easy_pay") || !payment["cash_receipt"].is_null() {
                assert!(text(&payment, "receipt_url").contains(sold["tid"].as_str().unwrap()), "{what}");
            }
            let gone = cancel(&stage, &payment, &format!("{device}-{at}"), json!({})).await.expect(200);
            assert_eq!(
                (&gone["state"], &gone["amount"]["cancelled"]),
                (&json!("cancelled"), &json!(20_900)),
                "{what}"
            );
        }
    }
    assert!(stage.held().await.is_empty());
}

/// Where nobody knows how a window is opened, no other one is opened instead.
#[tokio::test(flavor = "multi_thread")]
async fn a_method_without_a_known_window_is_refused_when_the_payment_is_made() {
    let stage = stage().await;
    for (device, kind, provider) in [
        (Some("pc"), "easy_pay", "chai"),
        (Some("mobile"), "easy_pay", "chai"),
        (Some("pc"), "easy_pay", "applepay"),
        (Some("mobile"), "gift_voucher", "booknlife"),
        (Some("mobile"), "gift_voucher", "smart_culture"),
        (Some("pc"), "card", "nobody"),
        // Whoever may come with a phone must be able to pay there.
        (None, "gift_voucher", "booknlife"),
    ] {
        let what = format!("{device:?}-{provider}");
        let more = json!({"device": device, "method": method(kind, provider)});
        let problem = stage.create_as(&stage.shop, &what, more).await.problem(400, "invalid_request");
        assert_eq!(problem["field"], "method", "{what}: {problem}");
        assert!(text(&problem, "detail").contains(provider), "{what}: {problem}");
        assert_eq!(text(&problem, "detail").contains("device \"pc\""), device.is_none(), "{problem}");
        // Nothing was written: the same order number is free.
        stage.create_as(&stage.shop, &what, json!({})).await.expect(201);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn books_and_smart_vouchers_are_paid_on_a_computer() {
    let stage = stage().await;
    for provider in ["booknlife", "smart_culture"] {
        let more = json!({"device": "pc", "method": method("gift_voucher", provider)});
        let (payment, outcome) = buy(&stage, provider, more, pay_empty()).await;
        assert_eq!(outcome.result, "paid", "{provider}: {}", outcome.words);
        assert_eq!(payment["method"], method("gift_voucher", provider));
        cancel(&stage, &payment, provider, json!({})).await.expect(200);
    }
    assert!(stage.held().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_virtual_account_waits_for_its_deposit_on_both_devices() {
    let stage = stage().await;
    for device in DEVICES {
        let more = json!({"device": device, "method": method("virtual_account", "")});
        let choice = paying(json!({"bank": "04", "depositor": "홍길동"}));
        let (payment, outcome) = buy(&stage, device, more, choice).await;
        assert_eq!(outcome.result, "awaiting_deposit", "{}", outcome.words);
        let expected = json!({
            "/state": "awaiting_deposit", "/resolution": "none", "/method/kind": "virtual_account", "/amount/paid": 0,
            "/amount/cancellable": 0, "/cancellable": null, "/approved_at": null,
        });
        has(&payment, &expected, device);
        // Where to pay in stands in the payment and on the page.
        let opened = stage.sales("").await.pop().unwrap()["account"].clone();
        let account = &payment["virtual_account"];
        let members =
            ["bank_code", "bank", "number", "holder"].map(|name| account[name].as_str().unwrap_or_default());
        assert_eq!(
            members,
            ["004", "국민은행", opened["number"].as_str().unwrap(), opened["holder"].as_str().unwrap()]
        );
        let due = opened["due"].as_str().unwrap();
        let deadline: jiff::Timestamp = text(account, "deadline").parse().unwrap();
        assert_eq!(deadline, korean(&format!("{due}00")).parse().unwrap(), "{account}");
        let shown = format!("{}-{}-{} {}:{}", &due[..4], &due[4..6], &due[6..8], &due[8..10], &due[10..12]);
        assert!(outcome.words.contains(&shown), "{}", outcome.words);
        assert!(
            outcome.words.contains(members[2]) && outcome.words.contains("국민은행"),
            "{}",
            outcome.words
        );
        cancel(&stage, &payment, device, json!({})).await.problem(409, "account_open");
    }
    for sale in stage.sales("").await {
        assert_eq!((&sale["state"], &sale["account"]["bank"]), (&json!("awaiting_deposit"), &json!("04")));
    }
    assert!(stage.held().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_buyers_device_chooses_the_window_unless_the_shop_does() {
    let stage = stage().await;
    let phone = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Mobile/15E148 Safari/604.1";
    let pc = "Mozilla/5.0 (X11; Linux x86_64) Chrome/150";
    for (device, agent, mobile) in
        [(None, phone, true), (None, pc, false), (Some("pc"), phone, false), (Some("mobile"), pc, true)]
    {
        let name = format!("{device:?}-{mobile}");
        let created = stage.create_as(&stage.shop, &name, json!({"device": device})).await.expect(201);
        let call = stage.call("POST", &text(&created, "checkout_url")).header("user-agent", agent);
        let page = call.form(&[]).send().await;
        assert_eq!(page.status, 200, "{}", visible(&page.text));
        assert_eq!(page.text.contains("name=\"P_MID\""), mobile, "{name}");
        assert_eq!(page.text.contains("name=\"mKey\""), !mobile, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn banks_and_cards_are_listed_under_the_codes_that_payments_show() {
    let stage = stage().await;
    let list = stage.get("/v1/institutions").await.expect(200);
    let listed = list["data"].as_array().unwrap();
    for (kind, choice) in [("card", json!({"card": "04"})), ("transfer", json!({"bank": "88"}))] {
        let more = json!({"device": "pc", "method": method(kind, "")});
        let (payment, _) = buy(&stage, kind, more, paying(choice)).await;
        let of = if kind == "card" { "card" } else { "bank" };
        let found = listed.iter().find(|row| row["kind"] == of && row["code"] == payment["issuer"]["code"]);
        let name = &found.unwrap_or_else(|| panic!("{payment}"))["name"];
        assert!(text(name, "ko").contains(payment["issuer"]["name"].as_str().unwrap()), "{name} {payment}");
        assert!(text(name, "en").is_ascii());
    }
}
