//! Faults on demand: what is booked and what the merchant sees.

use std::time::Instant;

use inicis_sim::hash;
use serde_json::{Value, json};

use crate::rig::{LOOKUP, MID, Rig, get};

/// State of the first sale after an approval under the fault, and what the client got.
async fn under(kind: Value) -> (Rig, String, Result<reqwest::Response, reqwest::Error>) {
    let rig = Rig::start().await;
    let post = rig.authenticate(MID, "O-1", "1000").await;
    let mut fault = json!({"operation": "pay_auth", "oid": "O-1", "times": 1});
    fault.as_object_mut().unwrap().extend(kind.as_object().unwrap().clone());
    rig.arm(fault).await;
    let answer = rig.send(get(&post, "authUrl"), &rig.approval(&post, 8)).await;
    let state = rig.sales().await[0]["state"].as_str().unwrap().to_owned();
    (rig, state, answer)
}

#[tokio::test]
async fn drop_before_books_nothing_and_drop_after_books() {
    for (kind, booked) in [("drop_before", "authenticated"), ("drop_after", "approved")] {
        let (_rig, state, answer) = under(json!({ "fault": kind })).await;
        assert!(answer.is_err(), "{kind}");
        assert_eq!(state, booked, "{kind}");
    }
}

#[tokio::test]
async fn slow_books_at_once_and_answers_late() {
    let began = Instant::now();
    let (_rig, state, answer) = under(json!({"fault": "slow", "ms": 150})).await;
    assert_eq!(answer.unwrap().json::<Value>().await.unwrap()["resultCode"], "0000");
    assert_eq!(state, "approved");
    assert!(began.elapsed().as_millis() >= 150);
}

#[tokio::test]
async fn wrong_values_are_signed_consistently_except_a_wrong_signature() {
    for (kind, consistent) in
        [("wrong_amount", true), ("wrong_order", true), ("wrong_mid", true), ("wrong_signature", false)]
    {
        let (_rig, state, answer) = under(json!({ "fault": kind })).await;
        let answer: Value = answer.unwrap().json().await.unwrap();
        let text = |name: &str| answer[name].as_str().unwrap();
        let right = (text("TotPrice"), text("MOID"), text("mid")) == ("1000", "O-1", MID);
        assert_eq!(right, kind == "wrong_signature", "{kind}");
        assert_eq!(state, "approved");
        // Digit 8 signs TotPrice, tstamp and mid; the timestamp is the one that was sent.
        let signed = (-1_000..200_000_i64).any(|back| {
            let tstamp = (now_ms() - back).to_string();
            tstamp.ends_with('8')
                && hash::auth_signature(text("MOID"), text("mid"), text("TotPrice"), &tstamp)
                    == text("authSignature")
        });
        assert_eq!(signed, consistent, "{kind}");
    }
}

fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

#[tokio::test]
async fn bodies_that_are_no_answer() {
    for kind in ["truncated", "html", "empty", "garbage", "http_500"] {
        let (_rig, state, answer) = under(json!({ "fault": kind })).await;
        let answer = answer.unwrap();
        assert_eq!(answer.status().as_u16(), if kind == "http_500" { 500 } else { 200 });
        assert!(answer.json::<Value>().await.is_err(), "{kind}");
        assert_eq!(state, "approved", "{kind}");
    }
}

#[tokio::test]
async fn a_success_can_come_in_other_clothes_and_a_member_twice() {
    for value in [json!("00"), json!(0), json!("0000 "), json!(null)] {
        let kind = json!({"fault": "other_value", "field": "resultCode", "value": value});
        let (_rig, state, answer) = under(kind).await;
        let answer: Value = answer.unwrap().json().await.unwrap();
        assert_eq!((&answer["resultCode"], &answer["MOID"]), (&value, &json!("O-1")));
        assert_eq!(state, "approved", "{value}");
    }
    for (more, second) in [(json!({}), "\"0000\""), (json!({"value": 7}), "7")] {
        let mut kind = json!({"fault": "doubled_field", "field": "resultCode"});
        kind.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let (_rig, _, answer) = under(kind).await;
        let body = answer.unwrap().text().await.unwrap();
        assert!(body.starts_with("{\"resultCode\":\"0000\""), "{body}");
        assert!(body.ends_with(&format!(",\"resultCode\":{second}}}")), "{body}");
    }
}

#[tokio::test]
async fn cut_off_ends_before_the_announced_length_and_huge_announces_a_gibibyte() {
    let (_rig, _, answer) = under(json!({"fault": "cut_off"})).await;
    let answer = answer.unwrap();
    assert!(answer.content_length().is_some());
    assert!(answer.bytes().await.is_err());
    let (_rig, _, answer) = under(json!({"fault": "huge"})).await;
    assert!(answer.unwrap().content_length().unwrap() > 1 << 30);
}

#[tokio::test]
async fn drip_is_the_right_answer_byte_by_byte() {
    let (_rig, _, answer) = under(json!({"fault": "drip", "ms": 0})).await;
    assert_eq!(answer.unwrap().json::<Value>().await.unwrap()["resultCode"], "0000");
}

#[tokio::test]
async fn a_decline_on_demand_books_no_money() {
    let (rig, state, answer) = under(json!({"fault": "decline", "code": "500645"})).await;
    assert_eq!(answer.unwrap().json::<Value>().await.unwrap()["resultCode"], "500645");
    assert_eq!(state, "declined");
    let tid = rig.tid(MID, "O-2", "1000").await;
    rig.arm(json!({"operation": "refund", "fault": "decline", "code": "500628"})).await;
    assert_eq!(rig.refund(MID, &tid).await["detailResultCode"], "500628");
    assert_eq!(rig.refund(MID, &tid).await["resultCode"], "00");
}

#[tokio::test]
async fn a_refund_dropped_after_booking_is_seen_by_inquiry_unless_that_is_blind() {
    let rig = Rig::start().await;
    let tid = rig.tid(LOOKUP, "O-1", "1000").await;
    rig.arm(json!({"operation": "refund", "fault": "drop_after"})).await;
    let call = rig.v2(LOOKUP, "refund", &json!({"tid": tid, "msg": "m"}));
    assert!(rig.http.post("https://iniapi.inicis.com/v2/pg/refund").json(&call).send().await.is_err());
    rig.arm(json!({"operation": "inquiry", "fault": "not_found", "oid": "O-1", "times": 2})).await;
    for by in [json!({"tid": tid}), json!({"oid": "O-1"})] {
        assert_eq!(rig.inquire(LOOKUP, by).await["detailResultCode"], "500623");
    }
    assert_eq!(rig.inquire(LOOKUP, json!({"oid": "O-1"})).await["transactionStatus"], "CANCEL");
}

#[tokio::test]
async fn a_fault_strikes_its_order_so_often_and_can_be_listed_and_removed() {
    let rig = Rig::start().await;
    let tid = rig.tid(MID, "O-1", "1000").await;
    rig.arm(json!({"operation": "inquiry", "fault": "not_found", "oid": "O-9", "times": "always"})).await;
    assert_eq!(rig.inquire(MID, json!({"tid": tid})).await["resultCode"], "SUCCESS");
    rig.arm(json!({"operation": "inquiry", "fault": "not_found", "times": "always"})).await;
    for _ in 0..3 {
        assert_eq!(rig.inquire(MID, json!({"tid": tid})).await["resultCode"], "01");
    }
    let list: Value = rig.http.get(rig.url("/_sim/faults")).send().await.unwrap().json().await.unwrap();
    assert_eq!((&list["faults"][0]["hits"], &list["faults"][1]["hits"]), (&json!(0), &json!(3)));
    rig.http.delete(rig.url("/_sim/faults")).send().await.unwrap();
    assert_eq!(rig.inquire(MID, json!({"tid": tid})).await["resultCode"], "SUCCESS");
    let misfit = json!({"operation": "refund", "fault": "wrong_signature"});
    assert_eq!(rig.post_control("/_sim/faults", &misfit).await.status().as_u16(), 400);
}
