//! Faults on the phone's side and on what the browser posts.

use encoding_rs::EUC_KR;
use serde_json::{Value, json};

use crate::phone::text_pairs;
use crate::rig::{MID, Rig, get, pairs};

async fn under(kind: Value) -> (Rig, String, Result<Vec<u8>, reqwest::Error>) {
    let rig = Rig::start().await;
    let post = rig.phone_auth("CARD", "O-1", "1000").await;
    let mut fault = json!({"operation": "mobile_approve", "oid": "O-1"});
    fault.as_object_mut().unwrap().extend(kind.as_object().unwrap().clone());
    rig.arm(fault).await;
    let request = pairs([("P_MID", MID), ("P_TID", get(&post, "P_TID"))]);
    let answer = match rig.send(get(&post, "P_REQ_URL"), &request).await {
        Ok(answer) => answer.bytes().await.map(|bytes| bytes.to_vec()),
        Err(error) => Err(error),
    };
    let state = rig.sales().await[0]["state"].as_str().unwrap().to_owned();
    (rig, state, answer)
}

#[tokio::test]
async fn the_approval_of_a_phone_can_be_lost_before_and_after_it_is_booked() {
    for (kind, booked) in
        [("drop_before", "authenticated"), ("drop_after", "approved"), ("cut_off", "approved")]
    {
        let (_rig, state, answer) = under(json!({ "fault": kind })).await;
        assert!(answer.is_err(), "{kind}");
        assert_eq!(state, booked, "{kind}");
    }
}

#[tokio::test]
async fn wrong_values_and_bodies_of_a_phone() {
    let table = [
        (json!({"fault": "wrong_amount"}), "P_AMT", "1001"),
        (json!({"fault": "wrong_order"}), "P_OID", "O-1X"),
        (json!({"fault": "wrong_mid"}), "P_MID", "WRONGmid00"),
        (json!({"fault": "missing_field", "field": "P_AMT"}), "P_AMT", ""),
        (json!({"fault": "other_value", "field": "P_STATUS", "value": "0"}), "P_STATUS", "0"),
        (json!({"fault": "empty_text"}), "P_RMESG1", ""),
        (json!({"fault": "html"}), "P_STATUS", ""),
        (json!({"fault": "empty"}), "P_STATUS", ""),
        (json!({"fault": "truncated"}), "P_MNAME", ""),
    ];
    for (kind, name, value) in table {
        let (_rig, state, answer) = under(kind.clone()).await;
        let answer = text_pairs(&EUC_KR.decode(&answer.unwrap()).0);
        assert_eq!(get(&answer, name), value, "{kind}");
        assert_eq!(state, "approved", "{kind}");
    }
    let (_rig, _, answer) = under(json!({"fault": "doubled_field", "field": "P_AMT"})).await;
    let answer = text_pairs(&EUC_KR.decode(&answer.unwrap()).0);
    assert_eq!(answer.iter().filter(|(name, _)| name == "P_AMT").count(), 2);
    let (_rig, _, answer) = under(json!({"fault": "wrong_charset"})).await;
    assert!(String::from_utf8(answer.unwrap()).unwrap().contains("홍길동"), "EUC-KR was asked for");
    let (_rig, state, answer) = under(json!({"fault": "decline", "code": "500645"})).await;
    assert!(EUC_KR.decode(&answer.unwrap()).0.contains("P_STATUS=01&P_RMESG1=500645"));
    assert_eq!(state, "declined");
}

#[tokio::test]
async fn a_net_cancel_of_a_phone_can_be_lost_after_it_is_booked() {
    let rig = Rig::start().await;
    let post = rig.phone_auth("CARD", "O-1", "1000").await;
    rig.phone_approve(&post).await;
    rig.arm(json!({"operation": "mobile_net_cancel", "fault": "drop_after"})).await;
    let (url, fields) = rig.phone_net_cancel(&post, "O-1");
    assert!(rig.send(&url, &fields).await.is_err());
    assert_eq!(rig.sales().await[0]["state"], "net_cancelled");
}

#[tokio::test]
async fn the_return_post_can_be_spoiled_on_both_sides() {
    let rig = Rig::start().await;
    let arm = async |kind: Value| {
        let mut fault = json!({"operation": "return_post"});
        fault.as_object_mut().unwrap().extend(kind.as_object().unwrap().clone());
        rig.arm(fault).await;
    };
    arm(json!({"fault": "missing_field", "field": "P_TID"})).await;
    let post = rig.phone_auth("CARD", "O-1", "1000").await;
    assert_eq!(get(&post, "P_TID"), "");
    arm(json!({"fault": "doubled_field", "field": "P_AMT"})).await;
    let post = rig.phone_auth("CARD", "O-1", "1000").await;
    assert_eq!(post.iter().filter(|(name, _)| name == "P_AMT").count(), 2);
    arm(json!({"fault": "wrong_host"})).await;
    let post = rig.phone_auth("CARD", "O-1", "1000").await;
    assert!(get(&post, "P_REQ_URL").contains("mobile.inicis.com.example/"), "{post:?}");
    arm(json!({"fault": "wrong_charset"})).await;
    let form = rig.phone_form("CARD", "O-1", "1000");
    assert_eq!(rig.window(&form, json!({"choice": "pay"})).await.1["charset"], "UTF-8");
    arm(json!({"fault": "missing_field", "field": "authToken"})).await;
    let post = rig.authenticate(MID, "O-2", "1000").await;
    assert_eq!((get(&post, "resultCode"), get(&post, "authToken")), ("0000", ""));
    let misfit = json!({"operation": "return_post", "fault": "drop_after"});
    assert_eq!(rig.post_control("/_sim/faults", &misfit).await.status().as_u16(), 400);
}
