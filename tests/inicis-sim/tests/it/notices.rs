//! Notices: what they say, how often they come, and what ends them.

use inicis_sim::Options;
use serde_json::{Value, json};

use crate::rig::{MID, Rig, client, get, set};
use crate::shop::{Reply, Shop, names, phone_vbank};

const MINUTE_MS: i64 = 60_000;

#[tokio::test]
async fn a_deposit_is_told_to_the_one_address_of_the_merchant_in_euc_kr() {
    let shop = Shop::open("OK").await;
    let rig = Rig::telling(&shop).await;
    let issued = rig.pc_account("O-1", "30000").await;
    let tid = issued["tid"].as_str().unwrap();
    let at_ms = 1_767_193_200_000_i64;
    let booked = rig.pay_in(json!({"tid": tid, "at_ms": at_ms, "bank": "20"})).await;
    rig.settled().await;
    let seen = shop.seen().remove(0);
    assert!(seen.head.starts_with("POST /notify/1 HTTP/1.1"), "{}", seen.head);
    assert!(seen.head.contains("content-type: application/x-www-form-urlencoded"), "{}", seen.head);
    assert!(seen.body.contains("nm_input=%B1%E8%C0%D4%B1%DD"), "{}", seen.body);
    let form = seen.form();
    assert_eq!(
        names(&form),
        [
            "len",
            "no_tid",
            "no_req_tid",
            "no_oid",
            "id_merchant",
            "cd_bank",
            "cd_deal",
            "dt_trans",
            "tm_trans",
            "no_msgseq",
            "cd_joinorg",
            "dt_transbase",
            "no_transseq",
            "type_msg",
            "cl_trans",
            "cl_close",
            "cl_kor",
            "no_msgmanage",
            "msg_id",
            "no_vacct",
            "amt_input",
            "amt_check",
            "nm_inputbank",
            "nm_input",
            "dt_inputstd",
            "dt_calculstd",
            "flg_close",
        ]
    );
    let deposit_tid = booked["deposit_tid"].as_str().unwrap();
    assert_eq!((&deposit_tid[..10], deposit_tid.len()), ("ININPGVBNK", 40));
    let number = format!("{:<20}", issued["VACT_Num"].as_str().unwrap());
    for (name, value) in [
        ("no_tid", deposit_tid),
        ("no_req_tid", tid),
        ("no_oid", "O-1"),
        ("id_merchant", MID),
        ("cd_bank", "00000088"),
        ("cd_deal", "00000020"),
        ("dt_trans", "20260101"),
        ("tm_trans", "000000"),
        ("type_msg", "0200"),
        ("cl_trans", "1100"),
        ("cl_kor", "2"),
        ("no_vacct", &number),
        ("amt_input", "30000"),
        ("nm_inputbank", "__테스트__"),
        ("nm_input", "김입금"),
        ("dt_calculstd", " "),
    ] {
        assert_eq!(get(&form, name), value, "{name}");
    }
    let notice = &rig.notices("?oid=O-1").await[0];
    assert_eq!((&notice["kind"], &notice["accepted"]), (&json!("pc_deposit"), &json!(true)));
    assert_eq!((&notice["next_at"], shop.count()), (&Value::Null, 1));
}

#[tokio::test]
async fn an_older_message_has_no_tid_of_the_issue_and_no_blanks() {
    let shop = Shop::open("OK").await;
    let rig = Rig::telling(&shop).await;
    rig.pc_account("O-1", "30000").await;
    let look = json!({"no_req_tid": false, "blanks": false});
    rig.pay_in(json!({"oid": "O-1", "notice": look})).await;
    rig.settled().await;
    let form = shop.seen()[0].form();
    assert!(!names(&form).contains(&"no_req_tid"));
    assert_eq!((get(&form, "no_vacct").len(), get(&form, "dt_calculstd").len()), (14, 8));
}

#[tokio::test]
async fn a_deposit_that_was_taken_back_is_told_as_0400() {
    let shop = Shop::open("OK").await;
    let rig = Rig::telling(&shop).await;
    rig.pc_account("O-1", "30000").await;
    for own in [false, true] {
        let paid = rig.pay_in(json!({"oid": "O-1", "notice": {"hold": true}})).await;
        let body = json!({"deposit_tid": paid["deposit_tid"], "notice": {"cancel_own_tid": own}});
        rig.control("/_sim/deposit-cancel", body).await;
        rig.settled().await;
        let form = shop.seen().last().unwrap().form();
        assert_eq!((get(&form, "type_msg"), get(&form, "amt_input")), ("0400", "30000"));
        assert_eq!(get(&form, "no_tid") == paid["deposit_tid"], !own);
    }
}

#[tokio::test]
async fn only_the_exact_answer_with_status_200_is_taken() {
    let shop = Shop::open("OK").await;
    let rig = Rig::telling(&shop).await;
    rig.pc_account("O-1", "30000").await;
    let id = rig.pay_in(json!({"oid": "O-1", "notice": {"hold": true}})).await["notices"][0].clone();
    let table: [(u16, &[u8], bool); 9] = [
        (200, b"OK\n", false),
        (200, b" OK", false),
        (200, b"\xef\xbb\xbfOK", false),
        (200, b"ok", false),
        (200, b"\"OK\"", false),
        (200, b"<html>OK</html>", false),
        (200, b"", false),
        (500, b"OK", false),
        (200, b"OK", true),
    ];
    for (status, body, taken) in table {
        shop.next(Reply::Body(status, body.to_vec()));
        let sent = rig.control(&format!("/_sim/notices/{id}/send"), json!({})).await;
        assert_eq!(sent["tries"][0]["accepted"], taken, "{body:?}");
        assert_eq!(sent["tries"][0]["answer"], String::from_utf8_lossy(body).into_owned());
    }
    let answer = rig.http.get(rig.url(&format!("/_sim/notices/{id}"))).send().await.unwrap();
    let shown: Value = answer.json().await.unwrap();
    assert_eq!((shown["tries"].as_array().unwrap().len(), &shown["accepted"]), (9, &json!(true)));
}

#[tokio::test]
async fn a_pc_notice_comes_once_and_ten_times_more_on_the_schedule() {
    let shop = Shop::open("FAIL").await;
    let rig = Rig::telling(&shop).await;
    rig.pc_account("O-1", "30000").await;
    rig.pay_in(json!({"oid": "O-1"})).await;
    rig.settled().await;
    assert_eq!(shop.count(), 1);
    for (repeat, minutes) in [10, 10, 10, 10, 60, 60, 60, 60, 60, 60].into_iter().enumerate() {
        rig.running.clock.advance_ms(minutes * MINUTE_MS - 30_000);
        rig.settled().await;
        assert_eq!(shop.count(), repeat + 1, "not before its time");
        rig.running.clock.advance_ms(30_000);
        rig.settled().await;
        assert_eq!(shop.count(), repeat + 2);
    }
    rig.running.clock.advance_ms(24 * 60 * MINUTE_MS);
    rig.settled().await;
    assert_eq!(shop.count(), 11);
    let seen = shop.seen();
    assert!(seen.iter().all(|one| one.body == seen[0].body), "a repeat is the same message");
}

#[tokio::test]
async fn an_answer_in_time_ends_the_repeats() {
    let shop = Shop::open("OK").await;
    shop.next(Reply::Body(500, b"busy".to_vec()));
    let rig = Rig::telling(&shop).await;
    rig.pc_account("O-1", "30000").await;
    rig.pay_in(json!({"oid": "O-1"})).await;
    rig.settled().await;
    for _ in 0..3 {
        rig.running.clock.advance_ms(10 * MINUTE_MS);
        rig.settled().await;
    }
    let rounds: Vec<_> = rig.notices("").await[0]["tries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["round"].clone(), one["status"].clone(), one["accepted"].clone()))
        .collect();
    assert_eq!(rounds, [(json!(1), json!(500), json!(false)), (json!(2), json!(200), json!(true))]);
}

#[tokio::test]
async fn speed_divides_the_waiting_times() {
    let shop = Shop::open("FAIL").await;
    let rig = Rig::telling(&shop).await;
    rig.switch(json!({"speed": 6})).await;
    rig.pc_account("O-1", "30000").await;
    rig.pay_in(json!({"oid": "O-1"})).await;
    rig.settled().await;
    let notice = &rig.notices("").await[0];
    let last = notice["tries"][0]["at"].as_i64().unwrap();
    assert_eq!(notice["next_at"].as_i64().unwrap() - last, 100_000);
}

#[tokio::test]
async fn a_sending_by_hand_ends_the_repeats_and_may_be_many_at_once() {
    let shop = Shop::open("FAIL").await;
    let rig = Rig::telling(&shop).await;
    rig.pc_account("O-1", "30000").await;
    let id = rig.pay_in(json!({"oid": "O-1"})).await["notices"][0].clone();
    rig.settled().await;
    let body =
        json!({"times": 40, "parallel": 8, "set": {"amt_input": "1", "extra": "x"}, "unset": ["cl_kor"]});
    let sent = rig.control(&format!("/_sim/notices/{id}/send"), body).await;
    assert_eq!((&sent["sent"], &sent["accepted"]), (&json!(40), &json!(0)));
    rig.running.clock.advance_ms(24 * 60 * MINUTE_MS);
    rig.settled().await;
    assert_eq!(shop.count(), 41);
    let form = shop.seen()[40].form();
    assert_eq!((get(&form, "amt_input"), get(&form, "extra"), get(&form, "cl_kor")), ("1", "x", ""));
    assert_eq!(get(&shop.seen()[0].form(), "amt_input"), "30000");
}

#[tokio::test]
async fn source_version_type_headers_charset_and_copies_are_chosen() {
    let shop = Shop::open("OK").await;
    let rig = Rig::telling(&shop).await;
    rig.pc_account("O-1", "30000").await;
    let look = json!({"source": "127.0.0.2", "http10": true, "content_type": "text/plain; charset=euc-kr",
        "headers": [["X-Forwarded-For", "203.238.37.15"]], "charset": "UTF-8", "copies": 3});
    rig.pay_in(json!({"oid": "O-1", "depositor": "이몽룡", "notice": look})).await;
    rig.settled().await;
    let seen = shop.seen();
    assert_eq!(seen.len(), 3);
    for one in seen {
        assert_eq!(one.from.to_string(), "127.0.0.2");
        let head = one.head.to_ascii_lowercase();
        assert!(head.starts_with("post /notify/1 http/1.0\r\n"), "{head}");
        assert!(head.contains("content-type: text/plain; charset=euc-kr"), "{head}");
        assert!(head.contains("x-forwarded-for: 203.238.37.15"), "{head}");
        assert!(one.body.contains("nm_input=%EC%9D%B4%EB%AA%BD%EB%A3%A1"), "{}", one.body);
    }
    let id = rig.notices("").await[0]["id"].clone();
    let bare = json!({"notice": {"content_type": null}});
    rig.control(&format!("/_sim/notices/{id}/send"), bare).await;
    assert!(!shop.seen()[3].head.to_ascii_lowercase().contains("content-type"));
}

#[tokio::test]
async fn held_notices_are_sent_by_hand_in_any_order() {
    let shop = Shop::open("OK").await;
    let rig = Rig::telling(&shop).await;
    rig.switch(json!({"notice": {"hold": true}})).await;
    rig.pc_account("O-1", "30000").await;
    let paid = rig.pay_in(json!({"oid": "O-1"})).await["notices"][0].clone();
    let back = rig.control("/_sim/deposit-cancel", json!({"oid": "O-1"})).await["notices"][0].clone();
    rig.settled().await;
    assert_eq!(shop.count(), 0);
    for id in [back, paid] {
        let sent = rig.control(&format!("/_sim/notices/{id}/send"), json!({})).await;
        assert_eq!(sent["accepted"], 1);
    }
    let types: Vec<_> = shop.seen().iter().map(|one| get(&one.form(), "type_msg").to_owned()).collect();
    assert_eq!(types, ["0400", "0200"]);
}

#[tokio::test]
async fn a_phone_is_told_of_the_issue_and_of_the_deposit_at_its_own_address() {
    let (shop, other) = (Shop::open("OK").await, Shop::open("OK").await);
    let rig = Rig::telling(&other).await;
    let form = phone_vbank(&rig, &shop, "O-1", "30000");
    let post = rig.phone_posted(&form, json!({"choice": "pay", "bank": "20"})).await;
    let issued = rig.phone_approve(&post).await;
    rig.settled().await;
    let look = json!({"short_auth_dt": true});
    rig.pay_in(json!({"oid": "O-1", "amount": 29000, "at_ms": 1_767_193_200_000_i64, "notice": look})).await;
    rig.settled().await;
    assert_eq!((shop.count(), other.count()), (2, 0));
    let forms: Vec<_> = shop.seen().iter().map(crate::shop::Seen::form).collect();
    let number =
        format!("P_VACCT_NO={}|P_EXP_DT={}", get(&issued, "P_VACT_NUM"), get(&issued, "P_VACT_DATE"));
    for (form, status, amount) in [(&forms[0], "00", "30000"), (&forms[1], "02", "29000")] {
        let got =
            ["P_STATUS", "P_AMT", "P_TYPE", "P_OID", "P_MID", "P_NOTI", "P_FN_CD1", "P_FN_NM", "P_UNAME"]
                .map(|name| get(form, name));
        assert_eq!(got, [status, amount, "VBANK", "O-1", MID, "checkout=1", "20", "우리은행", "홍길동"]);
        assert_eq!(get(form, "P_RMESG1"), number);
        assert_eq!(get(form, "P_TID"), get(&issued, "P_TID"));
        assert!(
            ["P_FN_CD2", "P_AUTH_NO", "P_RMESG2", "P_RMESG3"].map(|name| get(form, name)).concat().is_empty()
        );
    }
    assert_eq!((get(&forms[0], "P_AUTH_DT").len(), get(&forms[1], "P_AUTH_DT")), (14, "260101000000"));
    let own = json!({"oid": "O-1", "notice": {"mobile_own_tid": true}});
    let more = rig.pay_in(own).await;
    rig.settled().await;
    assert_eq!(get(&shop.seen()[2].form(), "P_TID"), more["deposit_tid"]);
    rig.control("/_sim/deposit-cancel", json!({"oid": "O-1"})).await;
    rig.settled().await;
    assert_eq!(shop.count(), 3, "no notice of a phone's deposit cancel is documented");
}

#[tokio::test]
async fn a_phone_notice_is_repeated_for_a_day() {
    let shop = Shop::open("NO").await;
    let rig = Rig::start().await;
    let post = rig.phone_posted(&phone_vbank(&rig, &shop, "O-1", "30000"), json!({"choice": "pay"})).await;
    rig.phone_approve(&post).await;
    rig.settled().await;
    for _ in 0..146 {
        rig.running.clock.advance_ms(10 * MINUTE_MS);
        rig.settled().await;
    }
    assert_eq!(shop.count(), 145);
}

#[tokio::test]
async fn an_approval_in_one_transaction_is_told_by_its_notice_alone() {
    let shop = Shop::open("OK").await;
    let rig = Rig::start().await;
    for (payment, picked, kind, code) in
        [("CARD", json!({"card": "11"}), "ISP", "11"), ("BANK", json!({"bank": "20"}), "BANK", "20")]
    {
        let mut form = rig.phone_form(payment, payment, "30000");
        set(&mut form, "P_NOTI_URL", &shop.url);
        set(&mut form, "P_RETURN_URL", "https://shop.example.com/done");
        set(&mut form, "P_RESERVED", "below1000=Y");
        let choice = |mut choice: Value| {
            choice.as_object_mut().unwrap().extend(picked.as_object().unwrap().clone());
            choice
        };
        let (_, left) = rig.window(&form, choice(json!({"choice": "pay"}))).await;
        assert_eq!(left, json!({"go_url": "https://shop.example.com/done"}));
        rig.settled().await;
        let told = shop.seen().last().unwrap().form();
        assert_eq!(
            names(&told),
            [
                "P_STATUS",
                "P_TYPE",
                "P_TID",
                "P_MID",
                "P_OID",
                "P_AMT",
                "P_AUTH_DT",
                "P_AUTH_NO",
                "P_FN_CD1",
                "P_FN_NM",
                "P_UNAME",
                "P_RMESG1",
                "P_NOTI",
                "P_SRC_CODE",
            ]
        );
        let got = ["P_STATUS", "P_TYPE", "P_OID", "P_AMT", "P_FN_CD1", "P_NOTI"].map(|name| get(&told, name));
        assert_eq!(got, ["00", kind, payment, "30000", code, "checkout=1"]);
        let asked = rig.inquire(MID, json!({"tid": get(&told, "P_TID")})).await;
        assert_eq!(asked["transactionStatus"], "APPROVAL");
        let (_, left) = rig.window(&form, choice(json!({"choice": "decline", "code": "500644"}))).await;
        assert_eq!(left["go_url"], "https://shop.example.com/done", "{left}");
        let (_, lost) = rig.window(&form, choice(json!({"choice": "app_lost"}))).await;
        assert_eq!(lost["lost"], true, "{lost}");
        rig.settled().await;
    }
    assert_eq!(shop.count(), 4, "no decline, but also what the browser never came back from");
}

#[tokio::test]
async fn a_payment_in_two_transactions_sends_no_notice() {
    let shop = Shop::open("OK").await;
    let rig = Rig::telling(&shop).await;
    let mut form = rig.phone_form("CARD", "O-1", "30000");
    set(&mut form, "P_NOTI_URL", &shop.url);
    let post = rig.phone_posted(&form, json!({"choice": "pay", "card": "11"})).await;
    assert_eq!(get(&rig.phone_approve(&post).await, "P_STATUS"), "00");
    rig.sale(MID, "O-2", "1000").await;
    rig.settled().await;
    assert!(rig.notices("").await.is_empty());
}

#[tokio::test]
async fn an_escrow_notice_wants_an_answer_of_its_own() {
    let shop = Shop::open("cd_rslt=0000").await;
    shop.next(Reply::Body(200, b"OK".to_vec()));
    let rig = Rig::start().await;
    let tid = rig.tid(MID, "O-1", "1000").await;
    let none = rig.control_refused("/_sim/escrow-notice", json!({"tid": tid, "cl_status": "3"})).await;
    assert!(none.contains("escrow_urls"), "{none}");
    rig.switch(json!({"escrow_urls": {MID: shop.url}})).await;
    rig.control_refused("/_sim/escrow-notice", json!({"tid": tid, "cl_status": "5"})).await;
    rig.control("/_sim/escrow-notice", json!({"tid": tid, "cl_status": "4", "msg_deny": "파손"})).await;
    rig.settled().await;
    let form = shop.seen()[0].form();
    let names_wanted =
        ["id_merchant", "no_oid", "no_tid", "dt_req", "cl_status", "cl_paymethod", "price", "msg_deny"];
    assert_eq!(names(&form), names_wanted);
    let got =
        ["no_oid", "no_tid", "cl_status", "cl_paymethod", "price", "msg_deny"].map(|name| get(&form, name));
    assert_eq!(got, ["O-1", &tid, "4", "0", "1000", "파손"]);
    assert_eq!(rig.notices("?kind=escrow").await[0]["accepted"], false, "OK is not its answer");
    rig.running.clock.advance_ms(10 * MINUTE_MS);
    rig.settled().await;
    assert_eq!(rig.notices("?kind=escrow").await[0]["accepted"], true);
}

#[tokio::test]
async fn notices_survive_a_restart_also_one_that_was_cut_off() {
    let shop = Shop::open("OK").await;
    let rig = Rig::telling(&shop).await;
    rig.pc_account("O-1", "30000").await;
    shop.next(Reply::Body(200, b"later".to_vec()));
    rig.pay_in(json!({"oid": "O-1"})).await;
    rig.settled().await;
    shop.next(Reply::Hang);
    rig.pay_in(json!({"oid": "O-1"})).await;
    while shop.count() < 2 {
        tokio::task::yield_now().await;
    }
    let before = rig.notices("").await;
    assert_eq!((before[0]["tries"].as_array().unwrap().len(), &before[1]["tries"]), (1, &json!([])));
    let Rig { running, data, .. } = rig;
    running.stop().await;

    let running = inicis_sim::start(Options::new(data.path())).await.unwrap();
    let rig = Rig { http: client(&running), running, data };
    rig.settled().await;
    assert_eq!(shop.count(), 3, "the one that was cut off goes at once");
    rig.running.clock.advance_ms(10 * MINUTE_MS);
    rig.settled().await;
    let after = rig.notices("").await;
    assert!(after.iter().all(|notice| notice["accepted"] == true), "{after:?}");
    assert_eq!(shop.count(), 4);
    let answer = rig.http.get(rig.url("/_sim/vbank/settings")).send().await.unwrap();
    let switches: Value = answer.json().await.unwrap();
    assert_eq!(switches["urls"][MID], shop.url);
}

#[tokio::test]
async fn a_notice_is_in_the_ledger_file_before_it_is_sent() {
    let shop = Shop::open("OK").await;
    let rig = Rig::telling(&shop).await;
    rig.pc_account("O-1", "30000").await;
    shop.next(Reply::Hang);
    rig.pay_in(json!({"oid": "O-1"})).await;
    while shop.count() < 1 {
        tokio::task::yield_now().await;
    }
    let text = std::fs::read_to_string(rig.data.path().join("ledger.jsonl")).unwrap();
    assert!(
        text.contains("\"event\":\"deposited\"") && text.contains("\"event\":\"notice_queued\""),
        "{text}"
    );
}

#[tokio::test]
async fn an_answer_after_a_reset_is_not_taken_for_another_notice() {
    let shop = Shop::open("OK").await;
    let rig = Rig::telling(&shop).await;
    rig.pc_account("O-1", "30000").await;
    let first = rig.pay_in(json!({"oid": "O-1", "notice": {"hold": true}})).await["notices"][0].clone();
    rig.post_control("/_sim/reset", &json!({})).await;
    rig.switch(json!({"urls": {MID: shop.url}})).await;
    rig.pc_account("O-1", "30000").await;
    let second = rig.pay_in(json!({"oid": "O-1", "notice": {"hold": true}})).await["notices"][0].clone();
    assert_eq!((first, second), (json!(1), json!(2)));
    rig.control_refused("/_sim/notices/1/send", json!({})).await;
    assert_eq!(rig.control("/_sim/notices/2/send", json!({})).await["accepted"], 1);
}

#[tokio::test]
async fn an_answer_that_does_not_come_in_time_is_a_failed_try() {
    let shop = Shop::open("OK").await;
    let rig = Rig::telling(&shop).await;
    rig.switch(json!({"timeout_ms": 50})).await;
    rig.pc_account("O-1", "30000").await;
    shop.next(Reply::Hang);
    rig.pay_in(json!({"oid": "O-1"})).await;
    rig.settled().await;
    let notice = &rig.notices("").await[0];
    assert_eq!(notice["tries"][0]["error"], "no answer in 50 ms");
    assert!(notice["next_at"].is_i64());
}

#[tokio::test]
async fn a_raw_request_has_any_bytes_and_a_get_is_the_probe() {
    let shop = Shop::open("OK").await;
    let rig = Rig::telling(&shop).await;
    let twice = json!({"mid": MID, "fields": [["a", "1"], ["a", "2"]]});
    assert_eq!(rig.control("/_sim/notices/raw", twice).await["accepted"], 1);
    let bytes = json!({"url": shop.url, "body": "no_oid=%B1%E8%ZZ&x", "notice": {"source": "127.0.0.3"}});
    rig.control("/_sim/notices/raw", bytes).await;
    let long = json!({"url": shop.url, "fields": [["no_oid", "x".repeat(1 << 20)]]});
    rig.control("/_sim/notices/raw", long).await;
    rig.control("/_sim/notices/raw", json!({"mid": MID, "method": "GET"})).await;
    let seen = shop.seen();
    assert_eq!((seen[0].body.as_str(), seen[1].body.as_str()), ("a=1&a=2", "no_oid=%B1%E8%ZZ&x"));
    assert_eq!((seen[1].from.to_string().as_str(), seen[2].body.len()), ("127.0.0.3", (1 << 20) + 7));
    assert!(seen[3].head.starts_with("GET /notify/1 HTTP/1.1") && seen[3].body.is_empty());
    rig.settled().await;
    rig.running.clock.advance_ms(10 * MINUTE_MS);
    rig.settled().await;
    assert_eq!(shop.count(), 4, "what was sent by hand is not repeated");
}

#[tokio::test]
async fn nothing_leaves_for_a_public_address_and_nobody_without_an_address_is_told() {
    let rig = Rig::start().await;
    rig.pc_account("O-1", "30000").await;
    assert_eq!(rig.pay_in(json!({"oid": "O-1"})).await["notices"], json!([]));
    for (url, why) in
        [("http://8.8.8.8/x", "neither loopback nor private"), ("https://127.0.0.1/", "only http")]
    {
        let sent = rig.control("/_sim/notices/raw", json!({ "url": url })).await;
        assert!(sent["tries"][0]["error"].as_str().unwrap().contains(why), "{sent}");
    }
    let shop = Shop::open("OK").await;
    let named = shop.url.replace("127.0.0.1", "shop.localhost");
    assert_eq!(rig.control("/_sim/notices/raw", json!({ "url": named })).await["accepted"], 1);
}

#[tokio::test]
async fn korean_text_travels_as_the_bytes_of_the_vectors() {
    let shop = Shop::open("OK").await;
    let rig = Rig::telling(&shop).await;
    let all: Value = serde_json::from_str(include_str!("../vectors/inicis-vectors.json")).unwrap();
    let vectors = all["formulas"]["encoding.euckr"]["vectors"].as_array().unwrap();
    for vector in vectors {
        for (charset, bytes) in [("EUC-KR", "cp949_percent"), ("UTF-8", "utf8_percent")] {
            let fields = json!([["nm_input", vector["input"]["text"]]]);
            let call = json!({"mid": MID, "fields": fields, "notice": {"charset": charset}});
            rig.control("/_sim/notices/raw", call).await;
            let wanted = format!("nm_input={}", vector[bytes].as_str().unwrap());
            assert_eq!(shop.seen().last().unwrap().body, wanted);
        }
    }
    assert_eq!(shop.count(), 8);
}
