//! Which deposits are believed. The promise: nothing that a stranger sends to the notify address changes money or the account
//! that a buyer sees, also when it looks like the truth; what the gateway's answer cannot decide is decided by the address that
//! it came from or shown to a person, and never lost.

use std::time::Duration;

use serde_json::{Value, json};

use crate::stage::deposit::{
    TOTAL, awaiting, count, deposit, forged, in_state, notices, notify_url, sim, stage, told,
};
use crate::stage::{Stage, eventually, text};

const SOON: Duration = Duration::from_secs(30);
/// An address of the gateway (`inicis.md §3.1`).
const LISTED: &str = "203.238.37.15";

type Fields = Vec<(String, String)>;

/// A stage whose messages come through a proxy, which names the sender.
async fn proxied() -> Stage {
    let mut stage = stage().await;
    stage.restart_with(&["--trusted-proxy", "127.0.0.1/32"]);
    stage
}

fn with(mut fields: Fields, changes: &[(&str, &str)]) -> Fields {
    for (name, value) in changes {
        fields.retain(|(known, _)| known != name);
        fields.push(((*name).to_owned(), (*value).to_owned()));
    }
    fields
}

/// A number of a deposit that nobody else uses.
fn numbered(fields: Fields, number: u32) -> Fields {
    with(fields, &[("no_tid", &format!("ININPGVBNKINIpayTest20261122101500{number:06}"))])
}

/// Posts a message as somebody; gives its notice once it is in a state.
async fn post(stage: &Stage, fields: &Fields, from: Option<&str>, state: &str) -> Value {
    let before = newest(stage, state).await;
    let url = notify_url(stage, &stage.shop);
    let call = stage.call("POST", &url);
    let call = match from {
        Some(address) => call.header("x-forwarded-for", address),
        None => call,
    };
    let answer = call.form(fields).send().await;
    assert_eq!((answer.status, answer.text.as_str()), (200, "OK"));
    eventually(&format!("it is {state}"), SOON, async || {
        newest(stage, state).await.filter(|now| Some(&now["id"]) != before.as_ref().map(|known| &known["id"]))
    })
    .await
}

async fn newest(stage: &Stage, state: &str) -> Option<Value> {
    notices(stage, &stage.shop, &format!("?state={state}")).await.into_iter().next()
}

/// Somebody pays in something that the host holds for a person; gives its notice.
async fn held(stage: &Stage, oid: &str, more: Value) -> Value {
    let before = newest(stage, "held").await;
    deposit(stage, oid, more).await;
    eventually("it is held", SOON, async || {
        newest(stage, "held")
            .await
            .filter(|now| Some(&now["id"]) != before.as_ref().map(|known| &known["id"]))
    })
    .await
}

async fn account_number(stage: &Stage, created: &Value) -> String {
    text(&stage.payment(created).await["virtual_account"], "number")
}

/// State, money that came in, and how often facts of a kind are on the timeline.
async fn stands(stage: &Stage, created: &Value, fact: &str) -> (String, i64, usize) {
    let now = stage.payment(created).await;
    let names = stage.names(&stage.shop, created).await;
    (text(&now, "state"), now["amount"]["paid"].as_i64().unwrap(), count(&names, fact))
}

fn is(state: &str, paid: i64, facts: usize) -> (String, i64, usize) {
    (state.to_owned(), paid, facts)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_made_up_deposit_beside_a_real_one_never_doubles_the_money() {
    let stage = stage().await;
    let (created, oid) = awaiting(&stage, &stage.shop, "A-1", "pc").await;
    let number = account_number(&stage, &created).await;
    // One waits as doubted while the real one comes, one comes afterwards, one claims any sum.
    let early = post(&stage, &numbered(forged(&oid, TOTAL, &number), 1), None, "doubted").await;
    deposit(&stage, &oid, json!({})).await;
    in_state(&stage, &stage.shop, &created, "paid").await;
    post(&stage, &numbered(forged(&oid, TOTAL, &number), 2), None, "held").await;
    post(&stage, &numbered(forged(&oid, 1, &number), 3), None, "held").await;
    let early = eventually("the early one is decided", SOON, async || {
        let path = format!("/v1/notices/{}", text(&early, "id"));
        let now = stage.get(&path).await.expect(200);
        (now["state"] != "doubted").then_some(now)
    })
    .await;
    assert_eq!((&early["state"], &early["payment_id"]), (&json!("held"), &created["id"]), "{early}");
    assert_eq!(stands(&stage, &created, "deposited").await, is("paid", TOTAL, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_and_a_made_up_deposit_that_are_asked_about_at_once_count_once() {
    let stage = stage().await;
    let (created, oid) = awaiting(&stage, &stage.shop, "A-1", "pc").await;
    let number = account_number(&stage, &created).await;
    // Both are answered "paid" before either is written.
    stage.fault("inquiry", "slow", json!({"ms": 1_500, "times": 2})).await;
    let url = notify_url(&stage, &stage.shop);
    let made_up = numbered(forged(&oid, TOTAL, &number), 1);
    let real = deposit(&stage, &oid, json!({"notice": {"hold": true}})).await;
    let id = &real["notices"][0];
    let path = format!("notices/{id}/send");
    let (answer, sent) =
        tokio::join!(stage.call("POST", &url).form(&made_up).send(), sim(&stage, "POST", &path, json!({})));
    assert_eq!(answer.text, "OK");
    sent.expect(200);
    in_state(&stage, &stage.shop, &created, "paid").await;
    let states = eventually("both are decided", SOON, async || {
        let list = notices(&stage, &stage.shop, "").await;
        let mut states: Vec<String> = list.iter().map(|notice| text(notice, "state")).collect();
        states.sort();
        (list.len() == 2 && !states.contains(&"read".to_owned())).then_some(states)
    })
    .await;
    assert_eq!(states, ["applied", "held"]);
    assert_eq!(stands(&stage, &created, "deposited").await, is("paid", TOTAL, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_deposit_is_no_proof_of_a_made_up_rest() {
    let stage = stage().await;
    let (created, oid) = awaiting(&stage, &stage.shop, "A-1", "pc").await;
    let number = account_number(&stage, &created).await;
    let short = held(&stage, &oid, json!({"amount": 1})).await;
    // The gateway says "paid" to the short one: whole or rest, a made-up notice is not believed for that.
    post(&stage, &numbered(forged(&oid, TOTAL - 1, &number), 1), None, "held").await;
    assert_eq!(stands(&stage, &created, "deposited").await, is("awaiting_deposit", 0, 0));
    // A person takes the real one over.
    let path = format!("/v1/notices/{}/accept", text(&short, "id"));
    stage.operator_for_shop("POST", &path, json!({"note": "은행 화면", "by": "김운영"})).await.expect(200);
    assert_eq!(stands(&stage, &created, "deposited").await, is("awaiting_deposit", 1, 1));
    let names = stage.names(&stage.shop, &created).await;
    assert_eq!(count(&names, "payment.deposit_short"), 1, "{names:?}");
    // And gives it back, though less than the total is there.
    let body = json!({"account": {"bank": "088", "holder": "홍길동", "number": "110-123-456789"}});
    let back = stage.cancel_with(&stage.shop, &created, "k-1", &body).await.expect(200);
    assert_eq!((&back["state"], &back["amount"]["cancelled"]), (&json!("cancelled"), &json!(1)), "{back}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateways_address_decides_about_parts_and_a_person_about_more_than_the_total() {
    let stage = proxied().await;
    let (created, oid) = awaiting(&stage, &stage.shop, "A-1", "pc").await;
    let number = account_number(&stage, &created).await;
    let part = |amount: i64, at: u32| numbered(forged(&oid, amount, &number), at);
    // A stranger behind the same proxy, and one who writes the header.
    post(&stage, &part(400, 1), Some("198.51.100.7"), "held").await;
    post(&stage, &part(400, 2), Some(&format!("{LISTED}, 198.51.100.7")), "held").await;
    assert_eq!(stands(&stage, &created, "deposited").await, is("awaiting_deposit", 0, 0));
    let first = post(&stage, &part(400, 3), Some(LISTED), "applied").await;
    assert_eq!(first["source_listed"], true);
    assert_eq!(stands(&stage, &created, "deposited").await, is("awaiting_deposit", 400, 1));
    post(&stage, &part(TOTAL - 400, 4), Some(LISTED), "applied").await;
    assert_eq!(stands(&stage, &created, "deposited").await, is("paid", TOTAL, 2));
    let over = post(&stage, &part(100, 5), Some(LISTED), "held").await;
    assert_eq!(stands(&stage, &created, "deposited").await, is("paid", TOTAL, 2));
    let path = format!("/v1/notices/{}/accept", text(&over, "id"));
    stage.operator_for_shop("POST", &path, json!({"note": "은행 화면", "by": "김운영"})).await.expect(200);
    assert_eq!(stands(&stage, &created, "deposited").await, is("paid", TOTAL + 100, 3));
    let names = stage.names(&stage.shop, &created).await;
    let told = ["payment.deposit_short", "payment.paid", "payment.deposit_over", "payment.alarm"];
    assert_eq!(told.map(|name| count(&names, name)), [1, 1, 1, 3], "{names:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_halves_of_a_deposit_into_a_phones_account_are_two() {
    let stage = stage().await;
    let (created, oid) = awaiting(&stage, &stage.shop, "A-1", "mobile").await;
    for (half, at_ms) in [(400, 1_790_000_000_000_i64), (TOTAL - 400, 1_790_000_060_000)] {
        let notice = held(&stage, &oid, json!({"amount": half, "at_ms": at_ms})).await;
        let path = format!("/v1/notices/{}/accept", text(&notice, "id"));
        stage
            .operator_for_shop("POST", &path, json!({"note": "은행 화면", "by": "김운영"}))
            .await
            .expect(200);
    }
    assert_eq!(stands(&stage, &created, "deposited").await, is("paid", TOTAL, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deposit_notice_changes_no_card_payment_and_an_approval_no_account() {
    let stage = proxied().await;
    let created = stage.create("card").await;
    let window = stage.open(&created).await;
    let back = stage.choose(&window, crate::stage::buyer::pay()).await;
    assert_eq!(stage.come_back(&back).await.result, "paid");
    for from in [None, Some(LISTED)] {
        let at = if from.is_some() { 1 } else { 2 };
        let notice =
            post(&stage, &numbered(forged(window.order_ref(), TOTAL, "123"), at), from, "mismatched").await;
        assert!(text(&notice, "reason").contains("paid another way"), "{notice}");
    }
    assert_eq!(stands(&stage, &created, "deposited").await, is("paid", TOTAL, 0));

    let (created, oid) = awaiting(&stage, &stage.shop, "account", "pc").await;
    let issue = text(&stage.payment(&created).await, "gateway_ref");
    deposit(&stage, &oid, json!({"notice": {"hold": true}})).await;
    let approval: Fields = [
        ("P_STATUS", "00"),
        ("P_TYPE", "BANK"),
        ("P_TID", issue.as_str()),
        ("P_MID", "INIpayTest"),
        ("P_OID", oid.as_str()),
        ("P_AMT", &TOTAL.to_string()),
        ("P_AUTH_DT", "20261122101500"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec();
    post(&stage, &approval, None, "mismatched").await;
    assert_eq!(stands(&stage, &created, "approved").await, is("awaiting_deposit", 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_made_up_cancel_of_a_deposit_takes_nothing_back() {
    let stage = stage().await;
    let (created, oid) = awaiting(&stage, &stage.shop, "A-1", "pc").await;
    let number = account_number(&stage, &created).await;
    let back = |at: u32| with(numbered(forged(&oid, TOTAL, &number), at), &[("type_msg", "0400")]);
    post(&stage, &back(1), None, "held").await;
    let awaits = stage.payment(&created).await;
    assert_eq!(
        (&awaits["state"], &awaits["resolution"], &awaits["amount"]["cancelled"]),
        (&json!("awaiting_deposit"), &json!("none"), &json!(0))
    );
    deposit(&stage, &oid, json!({})).await;
    in_state(&stage, &stage.shop, &created, "paid").await;
    post(&stage, &back(2), None, "doubted").await;
    // After a refund the gateway says that nothing is held, which is no proof of another one.
    let account = json!({"account": {"bank": "088", "holder": "홍길동", "number": "110-123-456789"}});
    stage.cancel_with(&stage.shop, &created, "k-1", &account).await.expect(200);
    post(&stage, &back(3), None, "held").await;
    let now = stage.payment(&created).await;
    assert_eq!(
        (&now["state"], &now["amount"]["cancelled"], &now["resolution"]),
        (&json!("cancelled"), &json!(TOTAL), &json!("none"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_made_up_account_never_reaches_the_buyer() {
    let mut stage = stage().await;
    stage.shop = stage.shop_with_lookup().await;
    let stage = told(stage).await;
    let issue = |oid: &str| -> Fields {
        [
            ("P_STATUS", "00"),
            ("P_TYPE", "VBANK"),
            ("P_TID", "INIMX_VBNKINIlookup020261122224512654321"),
            ("P_MID", crate::stage::LOOKUP),
            ("P_OID", oid),
            ("P_AMT", &TOTAL.to_string()),
            ("P_AUTH_DT", "20261122101500"),
            ("P_FN_CD1", "88"),
            ("P_RMESG1", "P_VACCT_NO=99999999999|P_EXP_DT=20301130"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
    };
    let more = json!({"device": "mobile", "method": {"kind": "virtual_account"}});
    let created = stage.create_as(&stage.shop, "A-1", more).await.expect(201);
    let window = stage.open(&created).await;
    let oid = window.field("P_OID").to_owned();
    // Before the buyer comes back, and after the account is known.
    post(&stage, &issue(&oid), None, "doubted").await;
    let choice = json!({"choice": "pay", "bank": "04", "depositor": "홍길동"});
    let outcome = stage.come_back(&stage.choose(&window, choice).await).await;
    assert_eq!(outcome.result, "awaiting_deposit", "{}", outcome.words);
    let before = stage.payment(&created).await;
    let again = with(issue(&oid), &[("P_UNAME", "x")]);
    post(&stage, &again, None, "mismatched").await;
    let after = stage.payment(&created).await;
    assert_eq!(
        (&after["virtual_account"], &after["gateway_ref"]),
        (&before["virtual_account"], &before["gateway_ref"])
    );
    assert!(!stage.outcome(&outcome.url).await.words.contains("99999999999"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_of_an_account_tells_when_it_is_paid() {
    let stage = stage().await;
    let more = json!({"device": "pc", "method": {"kind": "virtual_account"}});
    let created = stage.create_as(&stage.shop, "A-1", more).await.expect(201);
    let window = stage.open(&created).await;
    let choice = json!({"choice": "pay", "bank": "04", "depositor": "홍길동"});
    let outcome = stage.come_back(&stage.choose(&window, choice).await).await;
    assert_eq!(outcome.result, "awaiting_deposit", "{}", outcome.words);
    let number = account_number(&stage, &created).await;
    assert!(outcome.words.contains(&number), "{}", outcome.words);
    deposit(&stage, window.order_ref(), json!({})).await;
    in_state(&stage, &stage.shop, &created, "paid").await;
    let paid = stage.outcome(&outcome.url).await;
    assert_eq!(paid.result, "paid");
    assert!(!paid.words.contains(&number), "nobody pays in twice: {}", paid.words);
    let account = json!({"account": {"bank": "088", "holder": "홍길동", "number": "110-123-456789"}});
    stage.cancel_with(&stage.shop, &created, "k-1", &account).await.expect(200);
    let over = stage.outcome(&outcome.url).await;
    assert_eq!(over.result, "failed");
    assert!(!over.words.contains(&number), "{}", over.words);
}
