//! Refunds of every method: parts, taxes, virtual accounts, and the codes by which they are refused.

use inicis_sim::hash;
use serde_json::{Value, json};

use crate::phone::with;
use crate::rig::{API_KEY, MID, Pairs, Rig, get, pairs, set};

/// `1234567890123` under the public test key (vectors).
const ACCOUNT: &str = "4ZnQdRX1IONFhi04vBLmbg==";

async fn vbank(rig: &Rig, oid: &str, amount: &str) -> String {
    get(&rig.phone_sale("VBANK", oid, amount).await, "P_TID").to_owned()
}

async fn deposit(rig: &Rig, tid: &str) -> u16 {
    rig.post_control("/_sim/deposit", &json!({ "tid": tid })).await.status().as_u16()
}

async fn v1(rig: &Rig, kind: &str, paymethod: &str, more: &[(&str, &str)]) -> Value {
    let timestamp = rig.kst14();
    let value = |name: &str| more.iter().find(|(n, _)| *n == name).map(|(_, value)| *value);
    let hashed = ["tid", "price", "confirmPrice", "refundAcctNum"].iter().filter_map(|name| value(name));
    let values: Vec<&str> =
        [kind, paymethod, &timestamp, "127.0.0.1", MID].into_iter().chain(hashed).collect();
    let mut form: Pairs = pairs([("type", kind), ("paymethod", paymethod), ("timestamp", &timestamp)]);
    form.extend(pairs([("clientIp", "127.0.0.1"), ("mid", MID), ("msg", "고객요청")]));
    form.extend(pairs(more.iter().copied()));
    set(&mut form, "hashData", &hash::iniapi_v1(API_KEY, &values));
    rig.form_json("https://iniapi.inicis.com/api/v1/refund", &form).await
}

fn to_account<'a>(tid: &'a str, number: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![("tid", tid), ("refundAcctNum", number), ("refundBankCode", "88"), ("refundAcctName", "홍길동")]
}

async fn v2_account(rig: &Rig, kind: &str, data: Value) -> Value {
    let call = rig.v2(MID, kind, &data);
    rig.v2_raw(&format!("{kind}/vacct"), &call).await
}

async fn status(rig: &Rig, tid: &str) -> Value {
    rig.inquire(MID, json!({ "tid": tid })).await["transactionStatus"].clone()
}

#[tokio::test]
async fn a_part_may_be_cancelled_several_times_with_its_taxes() {
    let rig = Rig::start().await;
    let form = with(with(rig.phone_form("CARD", "O-1", "11000"), "P_TAX", "500"), "P_TAXFREE", "5500");
    let post = rig.phone_posted(&form, json!({"choice": "pay"})).await;
    let tid = get(&rig.phone_approve(&post).await, "P_TID").to_owned();
    let part = async |price: &str, left: &str, tax: &str, free: &str| {
        let data = json!({"tid": tid, "msg": "부분", "price": price, "confirmPrice": left,
            "currency": "WON", "tax": tax, "taxFree": free});
        rig.v2_call(MID, "partialRefund", data).await
    };
    for (price, left, tax, free) in
        [("1000", "10000", "101", "0"), ("1000", "10000", "100", "901"), ("6000", "5000", "0", "5501")]
    {
        assert_eq!(part(price, left, tax, free).await["detailResultCode"], "500656");
    }
    let first = part("4000", "7000", "300", "1000").await;
    assert_eq!((&first["prtcRemains"], &first["prtcCnt"]), (&json!("7000"), &json!("1")));
    assert_eq!(&first["tid"].as_str().unwrap()[..10], "INIMX_CARD");
    let over = part("3000", "4000", "201", "0").await;
    assert_eq!(over["detailResultCode"], "500656", "more VAT than there was");
    assert_eq!(part("3000", "4000", "200", "1000").await["prtcCnt"], "2");
    assert_eq!(part("4000", "0", "0", "3500").await["prtcCnt"], "3");
    let sale = &rig.sales().await[0];
    assert_eq!((&sale["state"], &sale["remaining"]), (&json!("cancelled"), &json!(0)));
    assert_eq!((&sale["cancels"][1]["tax"], &sale["cancels"][2]["taxfree"]), (&json!(200), &json!(3500)));
    assert_eq!(status(&rig, &tid).await, "CANCEL");
}

#[tokio::test]
async fn each_method_is_refunded_by_its_name_and_refused_by_its_network() {
    let rig = Rig::start().await;
    let table = [
        ("BANK", "Acct", "506", true),
        ("MOBILE", "HPP", "512", false),
        ("CULTURE", "Voucher", "503", false),
        ("BCSH", "Voucher", "516", false),
        ("CARD", "Card", "500", true),
    ];
    for (payment, paymethod, network, parts) in table {
        let tid = get(&rig.phone_sale(payment, payment, "5000").await, "P_TID").to_owned();
        let other = if paymethod == "HPP" { "Acct" } else { "HPP" };
        let wrong = v1(&rig, "Refund", other, &[("tid", &tid)]).await;
        assert_eq!(wrong["detailResultCode"], json!(format!("{network}606")));
        let amounts =
            [("tid", tid.as_str()), ("price", "1000"), ("confirmPrice", "4000"), ("currency", "WON")];
        let part = v1(&rig, "PartialRefund", paymethod, &amounts).await;
        if parts {
            assert_eq!(part["resultCode"], "00", "{payment}");
            let full = v1(&rig, "Refund", paymethod, &[("tid", &tid)]).await;
            assert_eq!(full["detailResultCode"], json!(format!("{network}625")));
            continue;
        }
        assert_eq!(part["detailResultCode"], json!(format!("{network}699")));
        assert_eq!(v1(&rig, "Refund", paymethod, &[("tid", &tid)]).await["resultCode"], "00", "{payment}");
        let again = v1(&rig, "Refund", paymethod, &[("tid", &tid)]).await;
        assert_eq!(again["detailResultCode"], json!(format!("{network}626")));
        assert!(again["cancelDate"].is_string());
    }
}

#[tokio::test]
async fn a_virtual_account_is_no_payment_until_the_deposit() {
    let rig = Rig::start().await;
    let mut form = rig.form(MID, "O-1", "30000");
    set(&mut form, "gopaymethod", "VBank");
    set(&mut form, "acceptmethod", "centerCd(Y):vbank(209912312200)");
    let post = rig.posted(&form, json!({"choice": "pay", "bank": "20", "depositor": "김입금"})).await;
    let answer = rig.form_json(get(&post, "authUrl"), &rig.approval(&post, 1)).await;
    let fields = ["payMethod", "VACT_BankCode", "VACT_Date", "VACT_Time", "VACT_InputName", "vactBankName"];
    let got = fields.map(|name| answer[name].as_str().unwrap());
    assert_eq!(got, ["VBank", "20", "20991231", "220000", "김입금", "우리은행"]);
    assert!(answer["VACT_Num"].as_str().unwrap().len() <= 20);
    let tid = answer["tid"].as_str().unwrap();
    let sale = &rig.sales().await[0];
    assert_eq!((&sale["state"], &sale["remaining"]), (&json!("awaiting_deposit"), &json!(0)));
    assert_eq!(status(&rig, tid).await, "NON_DEPOSIT");
    assert_eq!(deposit(&rig, tid).await, 200);
    let asked = rig.inquire(MID, json!({ "tid": tid })).await;
    assert_eq!(
        (&asked["transactionStatus"], &asked["paymethod"]),
        (&json!("DEPOSIT_COMPLETED"), &json!("VBank"))
    );
    assert_eq!(asked["vacctInfo"]["depositDate"].as_str().unwrap().len(), 8);
    assert_eq!(asked["cardInfo"], Value::Null);
}

#[tokio::test]
async fn an_unpaid_account_is_closed_as_gvacct_and_takes_no_deposit_afterwards() {
    let rig = Rig::start().await;
    let tid = vbank(&rig, "O-1", "30000").await;
    let refused = v1(&rig, "Refund", "Vacct", &to_account(&tid, ACCOUNT)).await;
    assert_eq!(refused["detailResultCode"], "504628");
    assert_eq!(rig.refund(MID, &tid).await["detailResultCode"], "504628", "v2 names no method");
    assert_eq!(v1(&rig, "Refund", "GVacct", &[("tid", &tid)]).await["resultCode"], "00");
    assert_eq!(deposit(&rig, &tid).await, 422);
    assert_eq!(status(&rig, &tid).await, "DEPOSIT_CANCELED");
    assert_eq!(rig.sales().await[0]["cancels"][0]["kind"], "close");
}

#[tokio::test]
async fn a_deposit_goes_back_to_the_decrypted_account_in_parts_by_v1_and_v2() {
    let rig = Rig::start().await;
    let tid = vbank(&rig, "O-1", "30000").await;
    deposit(&rig, &tid).await;
    assert_eq!(rig.refund(MID, &tid).await["detailResultCode"], "504628", "no account");
    assert_eq!(v1(&rig, "Refund", "GVacct", &[("tid", &tid)]).await["detailResultCode"], "504628");
    let text = |answer: &Value| answer["resultMsg"].as_str().unwrap().to_owned();
    let plain = v1(&rig, "Refund", "Vacct", &to_account(&tid, "1234567890123")).await;
    assert_eq!(plain["detailResultCode"], "504201");
    let mut unknown_bank = to_account(&tid, ACCOUNT);
    unknown_bank[2] = ("refundBankCode", "99");
    assert!(text(&v1(&rig, "Refund", "Vacct", &unknown_bank).await).contains("refundBankCode"));

    let mut part = to_account(&tid, ACCOUNT);
    part.extend([("price", "10000"), ("confirmPrice", "20000"), ("currency", "WON")]);
    assert_eq!(v1(&rig, "PartialRefund", "Vacct", &part).await["prtcRemains"], "20000");
    let data = json!({"tid": tid, "msg": "나머지", "price": "20000", "confirmPrice": "0", "currency": "WON",
        "tax": "0", "taxFree": "0", "refundAcctNum": ACCOUNT, "refundBankCode": "88", "refundAcctName": "홍길동"});
    assert_eq!(v2_account(&rig, "partialRefund", data).await["prtcCnt"], "2");
    let sale = &rig.sales().await[0];
    assert_eq!(sale["cancels"][0]["account"]["number"], "1234567890123");
    assert_eq!(sale["cancels"][1]["account"]["holder"], "홍길동");
    assert_eq!(status(&rig, &tid).await, "REFUND_COMPLETED");

    let whole = vbank(&rig, "O-2", "30000").await;
    deposit(&rig, &whole).await;
    let data = json!({"tid": whole, "msg": "전체", "refundAcctNum": ACCOUNT, "refundBankCode": "88",
        "refundAcctName": "홍길동"});
    assert_eq!(v2_account(&rig, "refund", data.clone()).await["resultCode"], "00");
    let card = get(&rig.phone_sale("CARD", "O-3", "1000").await, "P_TID").to_owned();
    let mut wrong = data;
    wrong["tid"] = json!(card);
    assert_eq!(v2_account(&rig, "refund", wrong).await["detailResultCode"], "500606");
}

#[tokio::test]
async fn codes_that_depend_on_settings_and_contracts() {
    let rig = Rig::with(|options| {
        options.settings.cancel_period_ms = Some(60_000);
        options.settings.partial_cancel_most_times = Some(1);
        options.settings.vbank_refund_wait_ms = 60_000;
    })
    .await;
    let tid = rig.tid(MID, "O-1", "10000").await;
    assert_eq!(rig.part(&tid, "1000", "9000").await["resultCode"], "00");
    assert_eq!(rig.part(&tid, "1000", "8000").await["detailResultCode"], "500705");
    let account = vbank(&rig, "O-2", "30000").await;
    deposit(&rig, &account).await;
    assert_eq!(v1(&rig, "Refund", "Vacct", &to_account(&account, ACCOUNT)).await["resultCode"], "00");
    assert_eq!(status(&rig, &account).await, "WAITING_FOR_REFUND");
    rig.running.clock.advance_ms(61_000);
    assert_eq!(status(&rig, &account).await, "REFUND_COMPLETED");
    assert_eq!(rig.part(&tid, "9000", "0").await["detailResultCode"], "500667");
    for code in ["500127", "500714", "500772", "500906", "500685"] {
        rig.arm(json!({"operation": "partial_refund", "fault": "decline", "code": code})).await;
        let answer = rig.part(&tid, "1000", "8000").await;
        assert_eq!(answer["detailResultCode"], code);
        assert!(!answer["resultMsg"].as_str().unwrap().starts_with("거절"), "{code} has a text");
    }
}

#[tokio::test]
async fn v1_inquiry_tells_the_states_of_a_virtual_account() {
    let rig = Rig::start().await;
    let tid = vbank(&rig, "O-1", "30000").await;
    let ask = async || {
        let timestamp = rig.kst14();
        let values = ["Extra", "Inquiry", &timestamp, "127.0.0.1", MID];
        let form = pairs([
            ("type", "Extra"),
            ("paymethod", "Inquiry"),
            ("timestamp", &timestamp),
            ("clientIp", "127.0.0.1"),
            ("mid", MID),
            ("originalTid", &tid),
            ("hashData", &hash::iniapi_v1(API_KEY, &values)),
        ]);
        rig.form_json("https://iniapi.inicis.com/api/v1/extra", &form).await["status"].clone()
    };
    assert_eq!(ask().await, "N");
    deposit(&rig, &tid).await;
    assert_eq!(ask().await, "Y");
    v1(&rig, "Refund", "Vacct", &to_account(&tid, ACCOUNT)).await;
    assert_eq!(ask().await, "C");
}
