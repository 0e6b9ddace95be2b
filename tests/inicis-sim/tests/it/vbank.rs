//! Virtual accounts: what comes in, what goes out again, what the inquiry says, and the pages of a person.

use inicis_sim::{Options, hash};
use serde_json::{Value, json};

use crate::rig::{API_KEY, LOOKUP, MID, Rig, client, get, pairs, set};
use crate::shop::{Shop, formpay};

const FORMPAY: &str = "https://iniapi.inicis.com/api/v1/formpay";
/// `1234567890123` under the public test key (vectors).
const ACCOUNT: &str = "4ZnQdRX1IONFhi04vBLmbg==";

async fn status(rig: &Rig, tid: &str) -> Value {
    rig.inquire(MID, json!({ "tid": tid })).await["transactionStatus"].clone()
}

async fn v1_status(rig: &Rig, tid: &str) -> Value {
    let timestamp = rig.kst14();
    let values = ["Extra", "Inquiry", &timestamp, "127.0.0.1", MID];
    let hash = hash::iniapi_v1(API_KEY, &values);
    let names = ["type", "paymethod", "timestamp", "clientIp", "mid"];
    let mut form = pairs(names.into_iter().zip(values));
    set(&mut form, "originalTid", tid);
    set(&mut form, "hashData", &hash);
    rig.form_json("https://iniapi.inicis.com/api/v1/extra", &form).await["status"].clone()
}

async fn close(rig: &Rig, tid: &str) -> Value {
    let timestamp = rig.kst14();
    let values = ["Refund", "GVacct", &timestamp, "127.0.0.1", MID, tid];
    let names = ["type", "paymethod", "timestamp", "clientIp", "mid", "tid"];
    let mut form = pairs(names.into_iter().zip(values));
    set(&mut form, "msg", "고객요청");
    set(&mut form, "hashData", &hash::iniapi_v1(API_KEY, &values));
    rig.form_json("https://iniapi.inicis.com/api/v1/refund", &form).await
}

async fn refund(rig: &Rig, tid: &str, part: Option<(&str, &str)>) -> Value {
    let mut data = json!({"tid": tid, "msg": "환불", "refundAcctNum": ACCOUNT, "refundBankCode": "88",
        "refundAcctName": "홍길동"});
    let kind = if part.is_some() { "partialRefund" } else { "refund" };
    if let Some((price, left)) = part {
        let more =
            json!({"price": price, "confirmPrice": left, "currency": "WON", "tax": "0", "taxFree": "0"});
        data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    }
    rig.v2_raw(&format!("{kind}/vacct"), &rig.v2(MID, kind, &data)).await
}

#[tokio::test]
async fn deposits_of_any_amount_add_up_unless_a_switch_forbids_it() {
    let rig = Rig::start().await;
    rig.pc_account("O-1", "30000").await;
    rig.pay_in(json!({"oid": "O-1", "amount": 10_000, "depositor": "이몽룡"})).await;
    rig.pay_in(json!({"oid": "O-1", "amount": 25_000})).await;
    let sale = &rig.sales().await[0];
    assert_eq!((&sale["remaining"], &sale["state"]), (&json!(35_000), &json!("approved")));
    let who = [&sale["deposits"][0]["depositor"], &sale["deposits"][1]["depositor"]];
    assert_eq!(who, ["이몽룡", "김입금"]);
    rig.switch(json!({"accepts_wrong_amount": false})).await;
    rig.pc_account("O-2", "30000").await;
    for amount in [29_999, 30_001] {
        let refused = rig.control_refused("/_sim/deposit", json!({"oid": "O-2", "amount": amount})).await;
        assert!(refused.contains("다른 금액"), "{refused}");
    }
    rig.pay_in(json!({"oid": "O-2"})).await;
    rig.control_refused("/_sim/deposit", json!({"oid": "O-2"})).await;
    for amount in [json!(0), json!(10_000_000_000_000_u64)] {
        rig.control_refused("/_sim/deposit", json!({"oid": "O-1", "amount": amount})).await;
    }
}

#[tokio::test]
async fn a_late_deposit_is_taken_unless_a_switch_forbids_it() {
    let rig = Rig::start().await;
    rig.pc_account("O-1", "30000").await;
    let late = json!({"oid": "O-1", "at_ms": rig.now_ms() + 11 * 24 * 3_600_000});
    rig.switch(json!({"accepts_late_deposit": false})).await;
    assert!(rig.control_refused("/_sim/deposit", late.clone()).await.contains("입금기한"));
    rig.switch(json!({"accepts_late_deposit": true})).await;
    rig.pay_in(late).await;
}

#[tokio::test]
async fn a_deposit_that_was_taken_back_leaves_the_account_open_and_closable() {
    let rig = Rig::start().await;
    let tid = rig.pc_account("O-1", "30000").await["tid"].as_str().unwrap().to_owned();
    assert_eq!((v1_status(&rig, &tid).await, status(&rig, &tid).await), (json!("N"), json!("NON_DEPOSIT")));
    rig.pay_in(json!({"tid": tid})).await;
    assert_eq!(
        (v1_status(&rig, &tid).await, status(&rig, &tid).await),
        (json!("Y"), json!("DEPOSIT_COMPLETED"))
    );
    rig.control("/_sim/deposit-cancel", json!({"tid": tid})).await;
    assert_eq!(
        (v1_status(&rig, &tid).await, status(&rig, &tid).await),
        (json!("C"), json!("DEPOSIT_CANCELED"))
    );
    let asked = rig.inquire(MID, json!({ "tid": tid })).await;
    assert_eq!(
        (&asked["vacctInfo"]["depositDate"], asked["cancelDate"].as_str().unwrap().len()),
        (&json!(""), 8)
    );
    assert_eq!(refund(&rig, &tid, None).await["detailResultCode"], "504628", "nothing is in it");
    rig.control_refused("/_sim/deposit-cancel", json!({"tid": tid})).await;
    rig.switch(json!({"accepts_deposit_after_cancel": false})).await;
    assert!(rig.control_refused("/_sim/deposit", json!({"tid": tid})).await.contains("취소된"));
    rig.switch(json!({"accepts_deposit_after_cancel": true})).await;
    rig.pay_in(json!({"tid": tid})).await;
    assert_eq!(status(&rig, &tid).await, "DEPOSIT_COMPLETED");
    rig.control("/_sim/deposit-cancel", json!({"tid": tid})).await;
    assert_eq!(close(&rig, &tid).await["resultCode"], "00");
    assert_eq!(rig.sales().await[0]["state"], "cancelled");
    assert!(rig.control_refused("/_sim/deposit", json!({"tid": tid})).await.contains("닫힌"));
}

#[tokio::test]
async fn what_was_refunded_cannot_be_taken_back() {
    let rig = Rig::start().await;
    let tid = rig.pc_account("O-1", "30000").await["tid"].as_str().unwrap().to_owned();
    let first = rig.pay_in(json!({"tid": tid})).await["deposit_tid"].clone();
    rig.pay_in(json!({"tid": tid, "amount": 5_000})).await;
    assert_eq!(refund(&rig, &tid, Some(("10000", "25000"))).await["resultCode"], "00");
    let why = rig.control_refused("/_sim/deposit-cancel", json!({ "deposit_tid": first })).await;
    assert!(why.contains("환불된"), "{why}");
    rig.control("/_sim/deposit-cancel", json!({ "tid": tid })).await;
    let sale = &rig.sales().await[0];
    assert_eq!((&sale["remaining"], &sale["state"]), (&json!(20_000), &json!("partially_cancelled")));
    assert_eq!(refund(&rig, &tid, Some(("20000", "0"))).await["resultCode"], "00");
    assert_eq!(status(&rig, &tid).await, "REFUND_COMPLETED");
}

#[tokio::test]
async fn an_account_is_found_by_its_order_and_by_its_number() {
    let rig = Rig::start().await;
    let old = rig.pc_account("O-1", "1000").await;
    let new = rig.pc_account("O-1", "2000").await;
    assert_eq!(rig.pay_in(json!({"oid": "O-1"})).await["tid"], new["tid"], "the newest of the order");
    assert_eq!(rig.pay_in(json!({"account": old["VACT_Num"]})).await["tid"], old["tid"]);
    for nobody in
        [json!({"oid": "O-9"}), json!({"oid": "O-1", "mid": LOOKUP}), json!({}), json!({"tid": "x"})]
    {
        rig.control_refused("/_sim/deposit", nobody).await;
    }
    rig.control_refused("/_sim/deposit", json!({"oid": "O-1", "bank": "99"})).await;
    rig.control_refused("/_sim/deposit", json!({"oid": "O-1", "depositor": "가".repeat(11)})).await;
    rig.control_refused("/_sim/deposit", json!({"oid": "O-1", "notice": {"nothing": 1}})).await;
    let answer = rig.http.get(rig.url("/_sim/vbank/accounts?oid=O-1")).send().await.unwrap();
    let listed: Value = answer.json().await.unwrap();
    let first = &listed["accounts"][0];
    assert_eq!(
        (&first["tid"], &first["issued_by"], &first["open"]),
        (&new["tid"], &json!("pc"), &json!(true))
    );
    assert_eq!((&first["held"], first["deposits"].as_array().unwrap().len()), (&json!(2000), 1));
}

#[tokio::test]
async fn accounts_and_switches_survive_a_restart_and_a_reset_forgets_them() {
    let rig = Rig::start().await;
    rig.pc_account("O-1", "30000").await;
    rig.pay_in(json!({"oid": "O-1", "amount": 10_000})).await;
    rig.pay_in(json!({"oid": "O-1", "amount": 20_000})).await;
    rig.control("/_sim/deposit-cancel", json!({"oid": "O-1"})).await;
    let changed = rig.switch(json!({"speed": 600, "notice": {"source": "127.0.0.2"}})).await;
    assert_eq!((&changed["notice"]["charset"], &changed["timeout_ms"]), (&json!("EUC-KR"), &json!(10_000)));
    let before = rig.sales().await;
    let Rig { running, data, .. } = rig;
    running.stop().await;
    let running = inicis_sim::start(Options::new(data.path())).await.unwrap();
    let rig = Rig { http: client(&running), running, data };
    assert_eq!(rig.sales().await, before);
    assert_eq!(before[0]["remaining"], 10_000);
    let read = async || -> Value {
        rig.http.get(rig.url("/_sim/vbank/settings")).send().await.unwrap().json().await.unwrap()
    };
    assert_eq!(read().await, changed);
    rig.post_control("/_sim/reset", &json!({})).await;
    assert_eq!(read().await["speed"], 1);
    let wrong =
        rig.http.patch(rig.url("/_sim/vbank/settings")).json(&json!({"sped": 2})).send().await.unwrap();
    assert_eq!(wrong.status().as_u16(), 422);
}

#[tokio::test]
async fn a_cash_receipt_that_was_asked_for_comes_with_the_deposit() {
    let shop = Shop::open("OK").await;
    let rig = Rig::telling(&shop).await;
    let asked = json!({"choice": "pay", "receipt": "0"});
    let mut form = rig.form(MID, "O-1", "33000");
    set(&mut form, "gopaymethod", "VBank");
    let (_, refused) = rig.window(&form, asked.clone()).await;
    assert_eq!(refused["refused"]["code"], "SIM:RECPT", "only with va_receipt");
    set(&mut form, "acceptmethod", "centerCd(Y):va_receipt");
    let post = rig.posted(&form, asked.clone()).await;
    let tid = rig.form_json(get(&post, "authUrl"), &rig.approval(&post, 3)).await["tid"].clone();
    assert_eq!(rig.inquire(MID, json!({ "tid": tid })).await["cashReceiptInfo"], Value::Null);
    rig.pay_in(json!({"oid": "O-1"})).await;
    rig.settled().await;
    let told = shop.seen()[0].form();
    let lengths = ["dt_cshr", "tm_cshr", "no_cshr_appl", "no_cshr_tid"].map(|name| get(&told, name).len());
    assert_eq!(lengths, [8, 6, 9, 40]);
    let info = &rig.inquire(MID, json!({ "tid": tid })).await["cashReceiptInfo"];
    assert_eq!(info["approvedNumber"], get(&told, "no_cshr_appl"));

    let mut form = crate::shop::phone_vbank(&rig, &shop, "O-2", "33000");
    set(&mut form, "P_RESERVED", "centerCd=Y&vbank_receipt=Y");
    rig.phone_approve(&rig.phone_posted(&form, asked).await).await;
    rig.pay_in(json!({"oid": "O-2"})).await;
    rig.settled().await;
    // The two notices of it may come in any order.
    let seen: Vec<_> = shop.seen().iter().skip(1).map(|message| message.form()).collect();
    let of = |status: &str| seen.iter().find(|form| get(form, "P_STATUS") == status).unwrap();
    let (issued, paid) = (of("00"), of("02"));
    assert_eq!((seen.len(), get(issued, "P_CSHR_AMT")), (2, ""));
    let amounts = ["P_CSHR_AMT", "P_CSHR_SUP_AMT", "P_CSHR_TAX", "P_CSHR_SRVC_AMT", "P_CSHR_TYPE"];
    assert_eq!(amounts.map(|name| get(paid, name)), ["33000", "30000", "3000", "0", "0"]);
}

#[tokio::test]
async fn an_account_by_api_is_issued_deposited_told_and_refunded() {
    let shop = Shop::open("OK").await;
    let rig = Rig::telling(&shop).await;
    let answer = rig.form_json(FORMPAY, &formpay(&rig, &[])).await;
    let names: Vec<_> = answer.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "resultCode",
            "resultMsg",
            "tid",
            "authDate",
            "authTime",
            "vacct",
            "vacctName",
            "vacctBankCode",
            "validDate",
            "validTime",
            "price",
        ]
    );
    let got =
        ["resultCode", "vacctBankCode", "validDate", "validTime", "price"].map(|name| answer[name].clone());
    assert_eq!(got, ["00", "88", "20991231", "235900", "30000"]);
    let tid = answer["tid"].as_str().unwrap();
    assert_eq!((tid.len(), status(&rig, tid).await), (40, json!("NON_DEPOSIT")));
    rig.pay_in(json!({"account": answer["vacct"]})).await;
    rig.settled().await;
    let told = shop.seen()[0].form();
    assert_eq!((get(&told, "no_req_tid"), get(&told, "nm_input")), (tid, "김입금"));
    assert_eq!(refund(&rig, tid, None).await["resultCode"], "00");
    assert_eq!(rig.sales().await[0]["by_api"], true);
}

#[tokio::test]
async fn each_wrong_field_of_an_issue_by_api_is_refused() {
    let rig = Rig::start().await;
    let long = "가".repeat(27);
    let table = [
        ("hashData", "", "500633"),
        ("hashData", "0000", "500632"),
        ("mid", "INInobody0", "500400"),
        ("mid", "short", "500613"),
        ("mid", "INIcardonl", "504403"),
        ("type", "Issue", "type"),
        ("paymethod", "Card", "SIM:LATER"),
        ("timestamp", "1761900000000", "SIM:TIME"),
        ("clientIp", "::1", "SIM:IP"),
        ("url", "", "url"),
        ("moid", "", "moid"),
        ("moid", &"x".repeat(41), "SIM:LENGTH"),
        ("goodName", &long, "SIM:LENGTH"),
        ("buyerName", &long, "SIM:LENGTH"),
        ("buyerTel", "", "buyerTel"),
        ("nmInput", "가가가가가가가", "SIM:LENGTH"),
        ("price", "1,000", "500609"),
        ("price", "0", "price"),
        ("price", "0100", "price"),
        ("price", "1234567890123", "SIM:LENGTH"),
        ("currency", "USD", "504611"),
        ("bankCode", "99", "bankCode"),
        ("dtInput", "20260230", "504640"),
        ("dtInput", "20200101", "504640"),
        ("dtInput", "202601", "504640"),
        ("tmInput", "2460", "504641"),
        ("tmInput", "23", "504641"),
        ("flgCash", "3", "flgCash"),
        ("flgCash", "1", "cashRegNo"),
        ("tax", "3001", "504656"),
        ("tax", "x", "500609"),
    ];
    for (name, value, code) in table {
        let answer = rig.form_json(FORMPAY, &formpay(&rig, &[(name, value)])).await;
        let told = format!("{} {}", answer["detailResultCode"], answer["resultMsg"]);
        assert_eq!(answer["resultCode"], "01", "{name}={value}: {answer}");
        assert!(told.contains(code), "{name}={value}: {answer}");
    }
    assert!(rig.sales().await.is_empty());
    let receipt = [("flgCash", "1"), ("cashRegNo", ACCOUNT)];
    assert_eq!(rig.form_json(FORMPAY, &formpay(&rig, &receipt)).await["resultCode"], "00");
    let plain = [("flgCash", "2"), ("cashRegNo", "01012345678")];
    assert_eq!(rig.form_json(FORMPAY, &formpay(&rig, &plain)).await["detailResultCode"], "504201");
}

#[tokio::test]
async fn an_issue_by_api_whose_answer_is_lost_is_found_by_its_order() {
    let rig = Rig::start().await;
    rig.arm(json!({"operation": "issue", "fault": "drop_after", "oid": "O-1"})).await;
    assert!(rig.send(FORMPAY, &formpay(&rig, &[("mid", LOOKUP)])).await.is_err());
    let asked = rig.inquire(LOOKUP, json!({"oid": "O-1"})).await;
    assert_eq!(asked["transactionStatus"], "NON_DEPOSIT", "{asked}");
    let again = rig.form_json(FORMPAY, &formpay(&rig, &[("mid", LOOKUP)])).await;
    assert_eq!(again["detailResultCode"], "504619");
    rig.arm(json!({"operation": "issue", "fault": "decline", "code": "504954"})).await;
    let late = rig.form_json(FORMPAY, &formpay(&rig, &[("moid", "O-2")])).await;
    assert_eq!((&late["resultCode"], &late["detailResultCode"]), (&json!("01"), &json!("504954")));
}

async fn page(rig: &Rig, path: &str) -> String {
    rig.http.get(rig.url(path)).send().await.unwrap().text().await.unwrap()
}

async fn press(rig: &Rig, path: &str, fields: &[(&str, &str)]) -> String {
    let left = rig.send(&rig.url(path), &pairs(fields.iter().copied())).await.unwrap();
    assert_eq!(left.status().as_u16(), 303);
    let to = left.headers()["location"].to_str().unwrap().to_owned();
    page(rig, &to).await
}

#[tokio::test]
async fn a_person_deposits_and_takes_back_on_the_bank_page() {
    let rig = Rig::start().await;
    assert!(page(&rig, "/_sim/bank").await.contains("data-testid=\"empty\""));
    rig.pc_account("O-old", "1000").await;
    let mut form = rig.form(MID, "O-new", "30000");
    set(&mut form, "gopaymethod", "VBank");
    set(&mut form, "buyername", "<b>홍</b>");
    let post = rig.posted(&form, json!({"choice": "pay"})).await;
    let tid = rig.form_json(get(&post, "authUrl"), &rig.approval(&post, 3)).await["tid"].clone();
    let tid = tid.as_str().unwrap();
    let bank = page(&rig, "/_sim/bank").await;
    assert!(bank.find("O-new").unwrap() < bank.find("O-old").unwrap(), "newest first");
    for part in ["30,000원", "&#60;b&#62;홍", "data-testid=\"no-url\"", "width=device-width"] {
        assert!(bank.contains(part), "{part}");
    }
    assert!(!page(&rig, "/_sim/bank?oid=O-new").await.contains("O-old"));
    let paid =
        press(&rig, "/_sim/bank/deposit", &[("tid", tid), ("amount", "20,000"), ("depositor", "이몽룡")])
            .await;
    assert!(paid.contains("입금했습니다") && paid.contains("이몽룡 · 20,000원"), "{paid}");
    let wrong = press(&rig, "/_sim/bank/deposit", &[("tid", tid), ("amount", "many")]).await;
    assert!(wrong.contains("입금액은"), "{wrong}");
    let sale = rig.sales().await.pop().unwrap();
    let deposit_tid = sale["deposits"][0]["tid"].as_str().unwrap();
    let back = press(&rig, "/_sim/bank/cancel", &[("deposit_tid", deposit_tid), ("oid", "O-new")]).await;
    assert!(back.contains("입금을 취소했습니다") && back.contains("취소됨"), "{back}");
    assert!(page(&rig, "/_sim/").await.contains("href=\"/_sim/bank\""));
}

#[tokio::test]
async fn the_window_of_an_account_leads_to_the_bank_page() {
    let rig = Rig::start().await;
    let form = rig.phone_form("VBANK", "O-1", "30000");
    let encode =
        |text: &str| form_urlencoded::byte_serialize(&encoding_rs::EUC_KR.encode(text).0).collect::<String>();
    let body: Vec<_> = form.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
    let request = rig.http.post(rig.url("/smart/payment/"));
    let request = request.header("content-type", "application/x-www-form-urlencoded").body(body.join("&"));
    let window = request.send().await.unwrap().text().await.unwrap();
    assert!(window.contains("href=\"/_sim/bank?oid=O-1\""), "{window}");
}

#[tokio::test]
async fn a_person_sets_the_address_probes_it_and_resends_on_the_admin_page() {
    let shop = Shop::open("pong").await;
    let rig = Rig::start().await;
    assert!(press(&rig, "/_sim/admin/probe", &[("mid", MID)]).await.contains("통보 주소가 없습니다"));
    let saved = press(&rig, "/_sim/admin/url", &[("mid", MID), ("url", &shop.url)]).await;
    assert!(saved.contains("저장했습니다") && saved.contains(&shop.url), "{saved}");
    assert!(press(&rig, "/_sim/admin/probe", &[("mid", MID)]).await.contains("HTTP 200 · &#34;pong&#34;"));
    assert!(shop.seen()[0].head.starts_with("GET /notify/1"));
    rig.pc_account("O-1", "30000").await;
    rig.pay_in(json!({"oid": "O-1"})).await;
    rig.settled().await;
    let history = page(&rig, "/_sim/admin").await;
    assert!(history.contains("1회 · HTTP 200 · &#34;pong&#34;"), "the raw answer is shown: {history}");
    let id = rig.notices("?oid=O-1").await[0]["id"].to_string();
    press(&rig, "/_sim/admin/resend", &[("id", &id)]).await;
    assert_eq!(shop.count(), 3);
    let emptied = press(&rig, "/_sim/admin/url", &[("mid", MID), ("url", "")]).await;
    assert!(!emptied.contains("data-testid=\"probe\""), "{emptied}");
}
