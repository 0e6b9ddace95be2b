//! Refunds and inquiries of INIAPI.

use inicis_sim::hash;
use serde_json::{Value, json};

use crate::rig::{API_KEY, LOOKUP, MID, Pairs, Rig, get, pairs, set};

#[tokio::test]
async fn window_approve_inquire_refund_inquire() {
    let rig = Rig::start().await;
    let tid = rig.tid(LOOKUP, "O-1", "12000").await;
    for data in [json!({"tid": tid}), json!({"oid": "O-1"})] {
        let asked = rig.inquire(LOOKUP, data).await;
        assert_eq!(asked["resultCode"], "SUCCESS");
        assert_eq!(
            (&asked["tid"], &asked["oid"], &asked["price"]),
            (&json!(tid), &json!("O-1"), &json!("12000"))
        );
        assert_eq!(asked["transactionStatus"], "APPROVAL");
    }
    let answer = rig.refund(LOOKUP, &tid).await;
    assert_eq!((&answer["resultCode"], &answer["detailResultCode"]), (&json!("00"), &json!("")));
    assert_eq!(answer["cancelDate"].as_str().unwrap().len(), 8);
    let asked = rig.inquire(LOOKUP, json!({"oid": "O-1"})).await;
    assert_eq!(asked["transactionStatus"], "CANCEL");
    assert_eq!(asked["cancelDate"], answer["cancelDate"]);
    let again = rig.refund(LOOKUP, &tid).await;
    assert_eq!((&again["resultCode"], &again["detailResultCode"]), (&json!("01"), &json!("500626")));
    assert_eq!(again["cancelDate"], answer["cancelDate"]);
}

#[tokio::test]
async fn partial_refunds_follow_the_remaining_amount() {
    let rig = Rig::start().await;
    let tid = rig.tid(MID, "O-1", "10000").await;
    let table = [
        ("10000", "0", "500749"),
        ("0", "10000", "500701"),
        ("1000", "8000", "500706"),
        ("10001", "0", "500826"),
        ("1,000", "9000", "500609"),
    ];
    for (price, left, code) in table {
        let answer = rig.part(&tid, price, left).await;
        assert_eq!(
            (&answer["resultCode"], &answer["detailResultCode"]),
            (&json!("01"), &json!(code)),
            "{price}"
        );
    }
    let first = rig.part(&tid, "4000", "6000").await;
    assert_eq!(
        (&first["resultCode"], &first["prtcRemains"], &first["prtcCnt"]),
        (&json!("00"), &json!("6000"), &json!("1"))
    );
    assert_eq!(first["prtcTid"], json!(tid));
    let part_tid = first["tid"].as_str().unwrap();
    assert_eq!(rig.refund(MID, &tid).await["detailResultCode"], "500625");
    assert_eq!(rig.part(part_tid, "1000", "5000").await["detailResultCode"], "500700");
    let asked = rig.inquire(MID, json!({"tid": tid})).await;
    assert_eq!(asked["transactionStatus"], "PART_CANCEL");
    assert_eq!(asked["availablePartCancelPrice"], "6000");
    assert_eq!(asked["partCancelTransInfo"][0]["tid"], json!(part_tid));
    assert_eq!(asked["partCancelTransInfo"][0]["requestPrice"], "4000");
    let last = rig.part(&tid, "6000", "0").await;
    assert_eq!((&last["resultCode"], &last["prtcCnt"]), (&json!("00"), &json!("2")));
    assert_eq!(rig.inquire(MID, json!({"tid": tid})).await["transactionStatus"], "CANCEL");
}

#[tokio::test]
async fn each_wrong_v2_call_is_refused() {
    let rig = Rig::start().await;
    let tid = rig.tid(MID, "O-1", "1000").await;
    let good = rig.v2(MID, "refund", &json!({"tid": tid, "msg": "고객요청"}));
    let changed = |name: &str, value: Value| {
        let mut call = good.clone();
        call[name] = value;
        call
    };
    let table = [
        (changed("hashData", json!("00")), "500632"),
        (changed("hashData", json!("")), "500633"),
        (changed("mid", json!("nobody0000")), "500400"),
        (changed("type", json!("Refund")), ""),
        (changed("clientIp", json!("::1")), ""),
        (changed("data", json!({"msg": "고객요청", "tid": tid})), "500632"),
        (rig.v2(MID, "refund", &json!({"tid": tid})), ""),
        (rig.v2(MID, "refund", &json!({"tid": "short", "msg": "m"})), "500636"),
        (rig.v2(MID, "refund", &json!({"tid": "x".repeat(40), "msg": "m"})), "500623"),
        (rig.v2(LOOKUP, "refund", &json!({"tid": tid, "msg": "m"})), "500621"),
    ];
    for (call, detail) in table {
        let answer = rig.v2_raw("refund", &call).await;
        assert_eq!(
            (&answer["resultCode"], &answer["detailResultCode"]),
            (&json!("01"), &json!(detail)),
            "{call}"
        );
        assert_eq!(answer["cancelDate"], Value::Null);
    }
    let mut late = good.clone();
    late["timestamp"] = json!("20200101000000");
    late["hashData"] = json!(hash::iniapi_v2(API_KEY, MID, "refund", "20200101000000", &good["data"]));
    assert!(rig.v2_raw("refund", &late).await["resultMsg"].as_str().unwrap().starts_with("SIM:TIME"));
    assert_eq!(rig.v2_raw("refund", &good).await["resultCode"], "00");
}

#[tokio::test]
async fn v2_hash_is_over_data_in_the_order_sent_without_backslashes() {
    let rig = Rig::start().await;
    let tid = rig.tid(MID, "O-1", "1000").await;
    let timestamp = rig.kst14();
    // The client hashes the raw text and its JSON library escapes on the wire (§5.3).
    let hash = hash::iniapi_v2(API_KEY, MID, "refund", &timestamp, &json!({"msg": "취소/요청", "tid": tid}));
    let body = format!(
        "{{\"mid\":\"{MID}\",\"type\":\"refund\",\"timestamp\":\"{timestamp}\",\"clientIp\":\"127.0.0.1\",\
         \"data\":{{\"msg\":\"\\ucde8\\uc18c\\/\\uc694\\uccad\",\"tid\":\"{tid}\"}},\"hashData\":\"{hash}\"}}"
    );
    let url = "https://stginiapi.inicis.com/v2/pg/refund";
    let sent =
        rig.http.post(url).header("content-type", "application/json;charset=utf-8").body(body).send().await;
    assert_eq!(sent.unwrap().json::<Value>().await.unwrap()["resultCode"], "00");
}

#[tokio::test]
async fn a_form_to_v2_and_json_to_v1_are_refused_and_a_wrong_path_answers_its_url() {
    let rig = Rig::start().await;
    let answer = rig.form_json("https://iniapi.inicis.com/v2/pg/refund", &pairs([("mid", MID)])).await;
    assert!(answer["resultMsg"].as_str().unwrap().starts_with("SIM:TYPE"));
    let sent =
        rig.http.post("https://iniapi.inicis.com/api/v1/refund").json(&json!({"mid": MID})).send().await;
    let answer: Value = sent.unwrap().json().await.unwrap();
    assert!(answer["resultMsg"].as_str().unwrap().starts_with("SIM:TYPE"));
    let url = "https://iniapi.inicis.com/v2/pg/cancel";
    assert_eq!(rig.send(url, &Pairs::new()).await.unwrap().text().await.unwrap(), url);
}

#[tokio::test]
async fn inquiry_by_order_needs_the_contract_and_an_unknown_sale_is_no_success() {
    let rig = Rig::start().await;
    rig.sale(MID, "O-1", "1000").await;
    let refused = rig.inquire(MID, json!({"oid": "O-1"})).await;
    assert!(refused["resultMsg"].as_str().unwrap().starts_with("SIM:OID"));
    for data in [json!({"oid": "O-9"}), json!({"tid": "x".repeat(40)})] {
        let answer = rig.inquire(LOOKUP, data).await;
        assert_eq!((&answer["resultCode"], &answer["detailResultCode"]), (&json!("01"), &json!("500623")));
    }
    rig.authenticate(LOOKUP, "O-2", "1000").await;
    assert_eq!(rig.inquire(LOOKUP, json!({"oid": "O-2"})).await["detailResultCode"], "500623");
}

fn v1(rig: &Rig, kind: &str, paymethod: &str, more: &[(&str, &str)], hashed: usize) -> Pairs {
    let timestamp = rig.kst14();
    let common = [kind, paymethod, &timestamp, "127.0.0.1", LOOKUP];
    let values: Vec<&str> = common.iter().copied().chain(more.iter().take(hashed).map(|(_, v)| *v)).collect();
    let mut form = pairs([("type", kind), ("paymethod", paymethod), ("timestamp", &timestamp)]);
    form.extend(pairs([("clientIp", "127.0.0.1"), ("mid", LOOKUP)]));
    form.extend(pairs(more.iter().copied()));
    set(&mut form, "hashData", &hash::iniapi_v1(API_KEY, &values));
    form
}

#[tokio::test]
async fn v1_refunds_and_inquires_by_forms() {
    let rig = Rig::start().await;
    let (refund, extra) =
        ("https://iniapi.inicis.com/api/v1/refund", "https://iniapi.inicis.com/api/v1/extra");
    let tid = rig.tid(LOOKUP, "O-1", "5000").await;
    let ask = v1(&rig, "Extra", "Inquiry", &[("originalTid", &tid)], 0);
    assert_eq!(rig.form_json(extra, &ask).await["status"], "0");
    let amounts = [
        ("tid", tid.as_str()),
        ("price", "1000"),
        ("confirmPrice", "4000"),
        ("currency", "WON"),
        ("msg", "m"),
    ];
    let answer = rig.form_json(refund, &v1(&rig, "PartialRefund", "Card", &amounts, 3)).await;
    assert_eq!((&answer["resultCode"], &answer["prtcPrice"]), (&json!("00"), &json!("1000")));
    let wrong_method = v1(&rig, "Refund", "Acct", &[("tid", &tid), ("msg", "m")], 1);
    assert_eq!(rig.form_json(refund, &wrong_method).await["detailResultCode"], "500606");

    let other = rig.tid(LOOKUP, "O-2", "5000").await;
    let mut full = v1(&rig, "Refund", "Card", &[("tid", &other), ("msg", "고객요청")], 1);
    assert_eq!(rig.form_json(refund, &full).await["resultCode"], "00");
    set(&mut full, "hashData", "00");
    assert_eq!(rig.form_json(refund, &full).await["detailResultCode"], "500632");
    let by_oid = v1(&rig, "Extra", "Inquiry", &[("oid", "O-2")], 0);
    assert_eq!(rig.form_json(extra, &by_oid).await["status"], "1");
    let none = v1(&rig, "Extra", "Inquiry", &[("oid", "O-9")], 0);
    assert_eq!(rig.form_json(extra, &none).await["status"], "9");
    let in_query = format!("{extra}?{}", crate::rig::encode(&by_oid));
    let sent: Value = rig.http.post(in_query).send().await.unwrap().json().await.unwrap();
    assert_eq!((sent["status"].as_str().unwrap(), get(&by_oid, "oid")), ("1", "O-2"));
}

#[tokio::test]
async fn by_setting_a_timestamp_serves_once() {
    let rig = Rig::with(|options| options.settings.refuse_duplicate_timestamp = true).await;
    let call = rig.v2(MID, "inquiry", &json!({"tid": "x".repeat(40)}));
    assert_eq!(rig.v2_raw("inquiry", &call).await["detailResultCode"], "500623");
    assert_eq!(rig.v2_raw("inquiry", &call).await["detailResultCode"], "500631");
}
