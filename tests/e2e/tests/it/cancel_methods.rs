//! Cancels of every method: parts, the rest, and refusals.

use serde_json::json;

use crate::stage::buyer::pay;
use crate::stage::sale::{DEVICES, buy, cancel, has, method, pay_empty, stage};
use crate::stage::text;

#[tokio::test(flavor = "multi_thread")]
async fn two_parts_and_the_rest_are_cancelled_on_both_devices() {
    let stage = stage().await;
    for device in DEVICES {
        for kind in ["card", "transfer"] {
            let what = format!("{device}-{kind}");
            let more = json!({"device": device, "method": method(kind, "")});
            let (payment, _) = buy(&stage, &what, more, pay_empty()).await;
            for (at, (amount, cancelled, state)) in [
                (Some(900), 900, "partially_cancelled"),
                (Some(5_000), 5_900, "partially_cancelled"),
                (None, 20_900, "cancelled"),
            ]
            .into_iter()
            .enumerate()
            {
                let answer =
                    cancel(&stage, &payment, &format!("{what}-{at}"), json!({"amount": amount})).await;
                let now = answer.expect(200);
                let left = 20_900 - cancelled;
                has(
                    &now,
                    &json!({"/state": state, "/amount/cancelled": cancelled, "/amount/cancellable": left, "/resolution": "none"}),
                    &what,
                );
                assert_eq!(stage.sales("").await.pop().unwrap()["remaining"], left, "{what}");
            }
            cancel(&stage, &payment, &format!("{what}-4"), json!({})).await.problem(409, "not_cancellable");
            let sold = stage.sales("").await.pop().unwrap();
            let kinds: Vec<_> = sold["cancels"].as_array().unwrap().iter().map(|c| text(c, "kind")).collect();
            assert_eq!(kinds, ["partial_refund"; 3], "{what}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_is_everything_is_a_full_cancel_and_more_than_left_is_refused() {
    let stage = stage().await;
    let (payment, _) = buy(&stage, "A-1", json!({"device": "mobile"}), pay()).await;
    cancel(&stage, &payment, "k-1", json!({"amount": 20_901})).await.problem(400, "invalid_request");
    let gone = cancel(&stage, &payment, "k-2", json!({"amount": 20_900})).await.expect(200);
    assert_eq!(gone["state"], "cancelled");
    assert_eq!(stage.sales("").await[0]["cancels"][0]["kind"], "refund");
    let (payment, _) = buy(&stage, "A-2", json!({"device": "mobile"}), pay()).await;
    cancel(&stage, &payment, "k-3", json!({"amount": 900})).await.expect(200);
    let more =
        cancel(&stage, &payment, "k-4", json!({"amount": 20_001})).await.problem(400, "invalid_request");
    assert_eq!(more["field"], "amount", "{more}");
    let gone = cancel(&stage, &payment, "k-5", json!({"amount": 20_000})).await.expect(200);
    assert_eq!(gone["state"], "cancelled");
    let methods = json!({"device": "mobile", "method": method("phone", "")});
    let (payment, _) = buy(&stage, "A-3", methods, pay_empty()).await;
    // A telephone bill is only cancelled as a whole, which the payment says before.
    assert_eq!(payment["cancellable"]["partial"], false);
    let part = cancel(&stage, &payment, "k-6", json!({"amount": 900})).await.problem(400, "invalid_request");
    assert_eq!(part["field"], "amount", "{part}");
    assert_eq!(stage.count("cancelled").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_cancel_has_the_gateways_code_a_class_and_a_korean_sentence() {
    let stage = stage().await;
    let (payment, _) = buy(&stage, "A-1", json!({"device": "mobile"}), pay()).await;
    for (code, class) in [
        ("500667", "too_late"),
        ("500714", "too_late"),
        ("500412", "not_contracted"),
        ("500400", ""),
        ("500621", ""),
        ("500622", ""),
        ("500628", ""),
        ("500632", "signature"),
        ("500685", ""),
        ("500707", ""),
        ("500906", ""),
    ] {
        for (operation, body) in [("refund", json!({})), ("partial_refund", json!({"amount": 900}))] {
            stage.fault(operation, "decline", json!({"code": code})).await;
            let key = format!("{operation}-{code}");
            let answer = cancel(&stage, &payment, &key, body).await;
            let problem = answer.problem(402, "gateway_refused");
            assert_eq!(problem["gateway"]["code"], code, "{problem}");
            assert!(class.is_empty() || problem["gateway"]["class"] == class, "{code}: {problem}");
            // What it means and what can be done is for the shop; the buyer is told what concerns him.
            let sentence = text(&problem["gateway"], "explanation");
            assert!(sentence.chars().any(|c| ('가'..='힣').contains(&c)), "{code}: {problem}");
            assert_eq!(problem["buyer_message"], "아직 취소되지 않았습니다. 상점에 문의해 주세요.");
            let now = stage.payment(&payment).await;
            has(&now, &json!({"/state": "paid", "/resolution": "none", "/amount/cancelled": 0}), code);
        }
    }
    cancel(&stage, &payment, "at last", json!({})).await.expect(200);
}
