//! What the options of a payment do, and what is said of those that cannot be followed.

use serde_json::json;

use crate::stage::buyer::pay;
use crate::stage::sale::{DEVICES, buy, cancel, has, method, pay_empty, paying, stage};

#[tokio::test(flavor = "multi_thread")]
async fn instalments_are_those_that_the_shop_allows() {
    let stage = stage().await;
    for device in DEVICES {
        let more = json!({
            "device": device, "method": method("card", ""), "amount": {"total": 60_000},
            "options": {"card_quota": [2, 3], "interest_free": {"04": [3]}},
        });
        let created = stage.create_as(&stage.shop, device, more).await.expect(201);
        let window = stage.open(&created).await;
        let refused = stage.play(&window.fields, paying(json!({"card": "04", "quota": "06"}))).await;
        assert_eq!(refused.expect(422)["refused"]["code"], "500607", "{device}");
        let back = stage.choose(&window, paying(json!({"card": "04", "quota": "03"}))).await;
        assert_eq!(stage.come_back(&back).await.result, "paid", "{device}");
        let payment = stage.payment(&created).await;
        has(&payment, &json!({"/instalments": 3, "/interest_free": true}), device);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cards_and_wallets_are_those_that_the_shop_allows() {
    let stage = stage().await;
    for (name, options, choice, code) in [
        ("allowed", json!({"allowed_cards": ["04"]}), json!({"card": "12"}), "SIM:CARD"),
        ("kftc", json!({"allowed_cards": ["367"]}), json!({"card": "12"}), "SIM:CARD"),
        ("easy", json!({"no_easy_pay": true}), json!({"method": "EasyPay"}), "SIM:METHOD"),
        ("points", json!({}), json!({"card": "04", "points": 1000}), "SIM:POINT"),
    ] {
        for device in DEVICES {
            let what = format!("{device}-{name}");
            let more = json!({"device": device, "method": method("card", ""), "options": options});
            let created = stage.create_as(&stage.shop, &what, more).await.expect(201);
            let window = stage.open(&created).await;
            let refused = stage.play(&window.fields, paying(choice.clone())).await;
            assert_eq!(refused.expect(422)["refused"]["code"], code, "{what}");
            let back = stage.choose(&window, paying(json!({"card": "04"}))).await;
            assert_eq!(stage.come_back(&back).await.result, "paid", "{what}");
        }
    }
    for device in DEVICES {
        let more = json!({"device": device, "method": method("card", ""), "options": {"card_points": true}});
        let choice = paying(json!({"card": "04", "points": 1000}));
        let (payment, outcome) = buy(&stage, &format!("{device}-with-points"), more, choice).await;
        assert_eq!(outcome.result, "paid", "{}", outcome.words);
        // Points change other fields than the total.
        has(&payment, &json!({"/points": 1000, "/amount/paid": 20_900}), device);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tax_parts_reach_the_gateway_and_their_parts_are_cancelled() {
    let stage = stage().await;
    for device in DEVICES {
        let amount = json!({"total": 20_900, "tax": {"free": 9_900, "vat": 1_000}});
        let more = json!({"device": device, "method": method("card", ""), "amount": amount});
        let (payment, outcome) = buy(&stage, device, more, pay()).await;
        assert_eq!(outcome.result, "paid", "{}", outcome.words);
        has(&payment, &json!({"/amount/tax_free": 9_900, "/amount/vat": 1_000}), device);
        let sold = stage.sales("").await.pop().unwrap();
        assert_eq!((&sold["taxfree"], &sold["tax"]), (&json!(9_900), &json!(1_000)), "{device}");
        let body = json!({"amount": 5_500, "tax": {"free": 0, "vat": 500}});
        let part = cancel(&stage, &payment, &format!("{device}-1"), body).await.expect(200);
        has(&part, &json!({"/state": "partially_cancelled", "/amount/cancelled": 5_500}), device);
        let body = json!({"amount": 9_900, "tax": {"free": 9_900, "vat": 0}});
        cancel(&stage, &payment, &format!("{device}-2"), body).await.expect(200);
        let sold = stage.sales("").await.pop().unwrap();
        let parts: Vec<_> = sold["cancels"]
            .as_array()
            .unwrap()
            .iter()
            .map(|c| (&c["price"], &c["taxfree"], &c["tax"]))
            .collect();
        assert_eq!(
            parts,
            [(&json!(5_500), &json!(0), &json!(500)), (&json!(9_900), &json!(9_900), &json!(0))],
            "{device}"
        );
        cancel(&stage, &payment, &format!("{device}-3"), json!({})).await.expect(200);
    }
    assert!(stage.held().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn small_amounts_can_be_paid() {
    let stage = stage().await;
    for device in DEVICES {
        for total in [500, 999, 1000] {
            let more = json!({"device": device, "method": method("card", ""), "amount": {"total": total}});
            let (payment, outcome) = buy(&stage, &format!("{device}-{total}"), more, pay()).await;
            assert_eq!(outcome.result, "paid", "{device} {total}: {}", outcome.words);
            assert_eq!(payment["amount"]["paid"], total);
        }
    }
}

/// Options that only show in the form.
#[tokio::test(flavor = "multi_thread")]
async fn options_reach_the_form_of_their_device() {
    let stage = stage().await;
    let cases = [
        ("pc", "card", json!({"service_period": "M2"}), "offerPeriod", "M2"),
        ("mobile", "card", json!({"service_period": "M2"}), "P_OFFER_PERIOD", "M2"),
        (
            "pc",
            "card",
            json!({"service_period": {"from": "20270101", "to": "20271231"}}),
            "offerPeriod",
            "20270101-20271231",
        ),
        (
            "mobile",
            "card",
            json!({"service_period": "20270101-20271231"}),
            "P_OFFER_PERIOD",
            "2027010120271231",
        ),
        ("pc", "phone", json!({"phone_goods": "digital"}), "acceptmethod", "HPP(1)"),
        ("mobile", "phone", json!({"phone_goods": "digital"}), "P_HPP_METHOD", "1"),
        ("pc", "card", json!({"bypass": {"pc": {"acceptmethod": ["hidebar"]}}}), "acceptmethod", "hidebar"),
        (
            "pc",
            "card",
            json!({"bypass": {"pc": {"parentemail": "a@example.com"}}}),
            "parentemail",
            "a@example.com",
        ),
        ("mobile", "card", json!({"bypass": {"mobile": {"P_MNAME": "작은 가게"}}}), "P_MNAME", "작은 가게"),
        ("pc", "card", json!({"skin": "#C1272C"}), "acceptmethod", "SKIN(#C1272C)"),
        ("mobile", "card", json!({"app_scheme": "shop://"}), "P_RESERVED", "app_scheme=shop://"),
    ];
    for (at, (device, kind, options, field, part)) in cases.into_iter().enumerate() {
        let what = format!("{device}-{field}-{part}");
        let more = json!({"device": device, "method": method(kind, ""), "options": options});
        // An order's number is not sealed, and one of these values is somebody's address.
        let name: String = format!("{device}-{at}-{field}").chars().take(64).collect();
        let created = stage.create_as(&stage.shop, &name, more).await.expect(201);
        let window = stage.open(&created).await;
        assert!(window.field(field).contains(part), "{what}: {:?}", window.fields);
        let outcome = stage.come_back(&stage.choose(&window, pay_empty()).await).await;
        assert_eq!(outcome.result, "paid", "{what}: {}", outcome.words);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn options_that_cannot_be_followed_are_refused_when_the_payment_is_made() {
    let stage = stage().await;
    for (name, options) in [
        ("escrow", json!({"escrow": true})),
        ("colour", json!({"colour": "red"})),
        ("card_quota", json!({"card_quota": "three"})),
        ("allowed_cards", json!({"allowed_cards": ["999"]})),
        ("deposit_deadline", json!({"deposit_deadline": "20200101"})),
        ("direct_card", json!({"direct_card": {"code": "04", "quota": 3}})),
        ("bypass", json!({"bypass": {"pc": {"price": "1"}, "mobile": {"P_AMT": "1"}}})),
    ] {
        for device in [Some("pc"), Some("mobile"), None] {
            let what = format!("{device:?}-{name}");
            let more = json!({"device": device, "options": options});
            let problem = stage.create_as(&stage.shop, &what, more).await.problem(400, "invalid_request");
            assert_eq!(problem["field"], format!("options.{name}"), "{what}: {problem}");
        }
    }
    for (field, amount) in [
        ("amount.tax.vat", json!({"total": 20_900, "tax": {"vat": 2_091}})),
        ("amount.total", json!({"total": 100_000_000})),
        ("amount.currency", json!({"total": 2_000, "currency": "USD"})),
    ] {
        let more = json!({"device": "mobile", "amount": amount});
        let problem = stage.create_as(&stage.shop, field, more).await.problem(400, "invalid_request");
        assert_eq!(problem["field"], field, "{problem}");
    }
    assert!(stage.sales("").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_cannot_be_in_a_cancel_is_refused_before_the_call_with_what_is_left() {
    let stage = stage().await;
    let amount = json!({"total": 20_900, "tax": {"free": 9_900, "vat": 1_000}});
    let more = json!({"method": method("card", ""), "amount": amount});
    let (payment, _) = buy(&stage, "A-1", more, pay()).await;
    has(&payment, &json!({"/cancellable/tax/free": 9_900, "/cancellable/tax/vat": 1_000}), "all");
    let body = json!({"amount": 5_500, "tax": {"free": 0, "vat": 500}});
    let part = cancel(&stage, &payment, "k-1", body).await.expect(200);
    has(&part, &json!({"/cancellable/tax/free": 9_900, "/cancellable/tax/vat": 500}), "a part");
    let requests = stage.events().await.len();
    for (body, field, said) in [
        (json!({"amount": 5_500, "tax": {"vat": 501}}), "tax.vat", "at most 500 minor units are left"),
        (json!({"amount": 10_900, "tax": {"free": 9_901}}), "tax.free", "at most 9900 minor units are left"),
        (json!({"amount": 400, "tax": {"vat": 401}}), "tax.vat", "from 0 to 400"),
        (json!({"amount": 400, "tax": {"free": 401}}), "tax.free", "from 0 to 400"),
        (json!({"amount": 400, "tax": {"free": -1}}), "tax.free", "from 0 to 400"),
        (json!({"amount": 9_900, "tax": {"free": 9_800, "vat": 200}}), "tax.vat", "at most 100"),
        (json!({"tax": {"free": 0, "vat": 501}}), "tax.vat", "at most 500 minor units are left"),
    ] {
        let problem = cancel(&stage, &payment, "k-2", body.clone()).await.problem(400, "invalid_request");
        assert_eq!(problem["field"], field, "{body}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains(said), "{body}: {problem}");
    }
    // Nothing was sent, and the key is free.
    assert_eq!(stage.events().await.len(), requests);
    cancel(&stage, &payment, "k-2", json!({"amount": 9_900, "tax": {"free": 9_900, "vat": 0}}))
        .await
        .expect(200);
    let (plain, _) = buy(&stage, "A-2", json!({"method": method("card", "")}), pay()).await;
    assert_eq!(plain["cancellable"]["tax"], json!(null));
    let body = json!({"amount": 5_500, "tax": {"vat": 500}});
    let problem = cancel(&stage, &plain, "k-3", body).await.problem(400, "invalid_request");
    assert_eq!(problem["field"], "tax", "{problem}");
    cancel(&stage, &plain, "k-3", json!({"amount": 5_500, "tax": {}})).await.expect(200);
}
