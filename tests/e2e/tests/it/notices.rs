//! Messages of gateways, and of those who only say that they are one. The promise: a message counts once however often and
//! wherever it comes, nothing that is sent here breaks or fills anything, and what the host does not believe a person decides.

use std::time::Duration;

use futures_util::future::join_all;
use futures_util::stream::{StreamExt as _, iter};
use serde_json::{Value, json};

use crate::postgres::second_host;
use crate::stage::deposit::{
    TOTAL, awaiting, count, deposit, forged, in_state, noticed, notices, notify_url, sim, stage, told,
};
use crate::stage::receiver::{Manner, Receiver};
use crate::stage::{Stage, data, eventually, text};

const SOON: Duration = Duration::from_secs(20);

/// The gateway's number of the first notice of a deposit.
fn notice_id(made: &Value) -> String {
    let id = &made["notices"][0];
    id.as_str().map_or(id.to_string(), ToOwned::to_owned)
}

/// The same notice from everywhere at once: one fact, one event, and the right answer to all.
async fn counts_once(stage: &Stage, hosts: &[String]) {
    let (created, oid) = awaiting(stage, &stage.shop, "A-1", "pc").await;
    let made = deposit(stage, &oid, json!({"notice": {"hold": true}})).await;
    let path = format!("notices/{}/send", notice_id(&made));
    let times = 1000 / hosts.len();
    let sends = hosts.iter().map(|host| {
        let url = notify_url(stage, &stage.shop).replace(&stage.url, host);
        sim(stage, "POST", &path, json!({"url": url, "parallel": 100, "times": times}))
    });
    let mut accepted = 0;
    for sent in join_all(sends).await {
        let sent = sent.expect(200);
        accepted += sent["accepted"].as_u64().unwrap();
    }
    assert_eq!(accepted, 1000, "every one is answered as the gateway wants");
    let paid = in_state(stage, &stage.shop, &created, "paid").await;
    assert_eq!(paid["amount"]["paid"], TOTAL);
    assert_eq!(noticed(stage, "applied").await["times"], 1000);
    let names = stage.names(&stage.shop, &created).await;
    assert_eq!((count(&names, "payment.paid"), count(&names, "deposited")), (1, 1), "{names:?}");
    assert_eq!(notices(stage, &stage.shop, "").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_notice_a_thousand_times_at_once_is_one_fact_one_event_and_a_thousand_oks() {
    let stage = stage().await;
    counts_once(&stage, std::slice::from_ref(&stage.url)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_postgresql_the_same_notice_a_thousand_times_at_two_hosts_is_one_fact() {
    let stage = told(Stage::on_postgres().await).await;
    let folder = tempfile::tempdir().unwrap();
    let (_second, url) = second_host(&stage, folder.path(), true).unwrap();
    counts_once(&stage, &[stage.url.clone(), url]).await;
}

async fn forwards_to(stage: &Stage, url: &str) -> Value {
    let path = format!("/v1/channels/{}", stage.shop.channel);
    let body = json!({"notice_forward_url": url});
    stage.call("PATCH", &path).key(&stage.shop.key).json(&body).send().await.expect(200)
}

async fn forward_of(stage: &Stage, state: &str) -> Value {
    eventually(&format!("the notice's forwarding is {state}"), SOON, async || {
        notices(stage, &stage.shop, "").await.into_iter().next().filter(|notice| notice["forward"] == state)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_of_an_unknown_order_goes_on_to_the_older_cart_as_it_came() {
    let stage = stage().await;
    let old_cart = Receiver::with(Manner::Silent).await;
    let shown = forwards_to(&stage, &old_cart.url).await;
    assert_eq!(shown["notice_forward_url"], old_cart.url.as_str());
    let url = notify_url(&stage, &stage.shop);
    let fields = forged("older-cart-17", TOTAL, "123");
    // The cart is silent, and the gateway is answered all the same.
    let begun = std::time::Instant::now();
    let answer = stage.call("POST", &format!("{url}?shop=1")).form(&fields).send().await;
    assert_eq!((answer.status, answer.text.as_str()), (200, "OK"));
    assert!(begun.elapsed() < Duration::from_millis(1_500), "{:?}", begun.elapsed());
    let notice = forward_of(&stage, "waiting").await;
    assert_eq!((&notice["state"], &notice["forwarded_at"]), (&json!("unknown_order"), &Value::Null));
    old_cart.receives(1, SOON).await;
    old_cart.be(Manner::Status(500, ""));
    eventually("the cart's refusal is shown", SOON, async || {
        (forward_of(&stage, "waiting").await["forward_status"] == 500).then_some(())
    })
    .await;
    old_cart.be(Manner::Status(200, ""));
    let notice = eventually("it is taken", Duration::from_secs(90), async || {
        let all = notices(&stage, &stage.shop, "").await;
        all.into_iter().next().filter(|notice| notice["forward"] == "forwarded")
    })
    .await;
    assert_eq!(notice["forward_status"], 200);
    assert!(notice["forwarded_at"].is_string());
    let got = old_cart.got();
    let sent = form_urlencoded::Serializer::new(String::new()).extend_pairs(&fields).finish();
    for got in &got {
        assert_eq!(
            (&got.body, got.headers["content-type"].as_str()),
            (&sent, "application/x-www-form-urlencoded")
        );
        assert_eq!(got.headers["x-forwarded-for"], "127.0.0.1");
    }
    // The gateway repeats: nothing goes out again. And a known order stays here.
    let many = got.len();
    stage.call("POST", &format!("{url}?shop=1")).form(&fields).send().await;
    let (created, oid) = awaiting(&stage, &stage.shop, "A-1", "pc").await;
    deposit(&stage, &oid, json!({})).await;
    in_state(&stage, &stage.shop, &created, "paid").await;
    assert_eq!(old_cart.got().len(), many);
    assert_eq!(noticed(&stage, "applied").await["forward"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn notices_are_forwarded_to_no_address_inside_and_to_nobody_when_none_is_set() {
    let stage = stage().await;
    let path = format!("/v1/channels/{}", stage.shop.channel);
    for bad in ["http://10.0.0.1/", "https://169.254.169.254/", "ftp://example.com/", "example.com", "x"] {
        let call = stage.call("PATCH", &path).key(&stage.shop.key).json(&json!({"notice_forward_url": bad}));
        assert_eq!(call.send().await.problem(400, "invalid_request")["field"], "notice_forward_url", "{bad}");
    }
    // A name may be written; where it leads to is seen when it is sent.
    forwards_to(&stage, "https://localhost.localdomain/notify").await;
    assert_eq!(forwards_to(&stage, "").await["notice_forward_url"], Value::Null);
    let url = notify_url(&stage, &stage.shop);
    stage.call("POST", &url).form(&forged("older-cart-17", TOTAL, "123")).send().await;
    assert_eq!(noticed(&stage, "unknown_order").await["forward"], Value::Null);
}

async fn decide(stage: &Stage, notice: &Value, word: &str) -> crate::stage::http::Answer {
    let path = format!("/v1/notices/{}/{word}", text(notice, "id"));
    stage.operator_for_shop("POST", &path, json!({"note": "은행 화면에서 확인", "by": "홍길동"})).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_accepts_a_deposit_that_the_host_did_not_believe_once() {
    let stage = stage().await;
    let (created, oid) = awaiting(&stage, &stage.shop, "A-1", "pc").await;
    let url = notify_url(&stage, &stage.shop);
    stage.call("POST", &url).form(&forged(&oid, TOTAL, "99999999999")).send().await;
    let notice = noticed(&stage, "mismatched").await;
    let path = format!("/v1/notices/{}/accept", text(&notice, "id"));
    for (body, field) in
        [(json!({"note": " ", "by": "홍길동"}), "note"), (json!({"note": "x", "by": ""}), "by")]
    {
        let problem = stage.operator_for_shop("POST", &path, body).await.problem(400, "invalid_request");
        assert_eq!(problem["field"], field);
    }
    stage.post(&path, &json!({"note": "x", "by": "x"})).await.problem(403, "forbidden");
    assert_eq!(stage.payment(&created).await["state"], "awaiting_deposit");
    for _ in 0..2 {
        let accepted = decide(&stage, &notice, "accept").await.expect(200);
        assert_eq!(accepted["state"], "applied", "{accepted}");
        assert!(text(&accepted, "reason").contains("홍길동"), "{accepted}");
    }
    let paid = stage.payment(&created).await;
    assert_eq!((&paid["state"], &paid["amount"]["paid"]), (&json!("paid"), &json!(TOTAL)));
    let names = stage.names(&stage.shop, &created).await;
    let counted = ["payment.paid", "deposited", "payment.resolved"].map(|name| count(&names, name));
    assert_eq!(counted, [1, 1, 1], "{names:?}");
    decide(&stage, &notice, "dismiss").await.problem(409, "conflict");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_person_can_accept_is_dismissed_and_stays_so() {
    let stage = stage().await;
    let (created, oid) = awaiting(&stage, &stage.shop, "A-1", "pc").await;
    let url = notify_url(&stage, &stage.shop);
    let unknown = forged("older-cart-17", TOTAL, "123");
    stage.call("POST", &url).form(&unknown).send().await;
    let notice = noticed(&stage, "unknown_order").await;
    decide(&stage, &notice, "accept").await.problem(409, "conflict");
    for _ in 0..2 {
        assert_eq!(decide(&stage, &notice, "dismiss").await.expect(200)["state"], "dismissed");
    }
    let again = stage.call("POST", &url).form(&unknown).send().await;
    assert_eq!((again.status, again.text.as_str()), (200, "OK"), "the gateway hears the same");
    // A deposit that is being asked about, and one that is among the facts.
    let number = text(&stage.payment(&created).await["virtual_account"], "number");
    stage.call("POST", &url).form(&forged(&oid, TOTAL, &number)).send().await;
    let doubted = noticed(&stage, "doubted").await;
    decide(&stage, &doubted, "accept").await.problem(409, "conflict");
    decide(&stage, &doubted, "dismiss").await.problem(409, "conflict");
    let listed = notices(&stage, &stage.shop, "?state=dismissed").await;
    assert_eq!((listed.len(), &listed[0]["times"]), (1, &json!(2)));
    let missing = json!({"id": "ntc_00000000000000000000000000"});
    decide(&stage, &missing, "accept").await.problem(404, "not_found");
    assert_eq!(stage.payment(&created).await["state"], "awaiting_deposit");
}

/// Sends junk that names no order; how many were refused as one too many.
async fn junk(stage: &Stage, messages: usize, bytes: usize) -> usize {
    let url = notify_url(stage, &stage.shop);
    let garbage = (0..messages).map(|number| {
        let fields = vec![("no_oid".to_owned(), format!("x{number}-{}", "x".repeat(bytes)))];
        stage.call("POST", &url).form(&fields).send()
    });
    let mut refused = 0;
    let mut answers = iter(garbage).buffer_unordered(16);
    while let Some(answer) = answers.next().await {
        assert!([400, 429].contains(&answer.status), "{}", answer.text);
        refused += usize::from(answer.status == 429);
    }
    refused
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_cannot_fill_the_disk_and_a_deposit_is_heard_all_the_same() {
    let stage = stage().await;
    let (created, oid) = awaiting(&stage, &stage.shop, "A-1", "pc").await;
    let url = notify_url(&stage, &stage.shop);
    let known = forged("older-cart-0", TOTAL, "123");
    assert_eq!(stage.call("POST", &url).form(&known).send().await.status, 200);
    let refused = junk(&stage, 1_050, 0).await;
    assert!((20..=60).contains(&refused), "{refused} were not taken");
    // What is known is answered as before, what names no order is not taken, and the deposit is, from the same address.
    assert_eq!(stage.call("POST", &url).form(&known).send().await.text, "OK");
    assert_eq!(stage.call("POST", &url).form(&forged("older-cart-1", TOTAL, "123")).send().await.status, 429);
    deposit(&stage, &oid, json!({})).await;
    in_state(&stage, &stage.shop, &created, "paid").await;
    // The same refused message is not read again, and is one row.
    let first = vec![("no_oid".to_owned(), "x0-".to_owned())];
    assert_eq!(stage.call("POST", &url).form(&first).send().await.status, 400);
    let page = stage.get("/v1/notices?state=refused&limit=100").await.expect(200);
    assert_eq!(page["data"].as_array().unwrap().len(), 100);
}

/// A number that a statement gives.
fn number(stage: &Stage, sql: &str) -> i64 {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let file = data(stage.folder.path()).join("payhost.sqlite");
    let file = rusqlite::Connection::open_with_flags(file, flags).unwrap();
    file.query_row(sql, [], |row| row.get(0)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_what_names_no_order_a_digest_and_a_few_words_stay_and_big_junk_is_stopped_by_its_bytes() {
    let stage = Stage::serving(&["--notice-strange-bytes-per-hour", "200000"]).await;
    let stage = told(stage).await;
    let url = notify_url(&stage, &stage.shop);
    stage.call("POST", &url).form(&forged("older-cart-0", TOTAL, "123")).send().await;
    noticed(&stage, "unknown_order").await;
    let calls = number(&stage, "SELECT COUNT(*) FROM call");
    // Three of 60 KB; another one would be too much, and sixteen at once may overshoot by what is being read.
    let refused = junk(&stage, 40, 60_000).await;
    assert!((40 - 3 - 15..=40 - 3).contains(&refused), "{refused} of 40 were not taken");
    let kept = number(&stage, "SELECT COUNT(*) FROM notice");
    assert_eq!(usize::try_from(kept).unwrap(), 40 - refused + 1);
    assert_eq!(number(&stage, "SELECT COUNT(*) FROM notice WHERE raw IS NOT NULL OR reading IS NOT NULL"), 0);
    assert_eq!(number(&stage, "SELECT COUNT(*) FROM notice WHERE length(digest) = 64 AND size > 100"), kept);
    assert_eq!(number(&stage, "SELECT COUNT(*) FROM call"), calls, "no record of reading them");
    let notice = &notices(&stage, &stage.shop, "?state=unknown_order").await[0];
    assert_eq!((&notice["facts"][0]["order_ref"], &notice["times"]), (&json!("older-cart-0"), &json!(1)));
    // What names an order of ours is kept whole.
    let (created, oid) = awaiting(&stage, &stage.shop, "A-1", "pc").await;
    deposit(&stage, &oid, json!({})).await;
    in_state(&stage, &stage.shop, &created, "paid").await;
    noticed(&stage, "applied").await;
    assert_eq!(number(&stage, "SELECT COUNT(*) FROM notice WHERE state = 'applied' AND raw IS NOT NULL"), 1);
    let records = "SELECT COUNT(*) FROM call WHERE function = 'receive' AND record IS NOT NULL";
    assert_eq!(number(&stage, records), 1);
}

/// Posts messages, sixteen at once; how many were answered so.
async fn flood(stage: &Stage, messages: Vec<Vec<(String, String)>>, status: u16) -> usize {
    let url = notify_url(stage, &stage.shop);
    let answers = iter(messages.into_iter().map(|fields| stage.call("POST", &url).form(&fields).send()));
    let answers: Vec<u16> = answers.buffer_unordered(16).map(|answer| answer.status).collect().await;
    assert!(answers.iter().all(|status| [200, 429].contains(status)), "{answers:?}");
    answers.iter().filter(|found| **found == status).count()
}

async fn waiting(stage: &Stage) -> Vec<Value> {
    let found = stage.operator("GET", "/v1/attention?kind=notice&limit=100", Value::Null).await.expect(200);
    assert_eq!(found["next"], Value::Null);
    found["data"].as_array().unwrap().clone()
}

/// Messages that name an account which is not the payment's.
async fn a_hundred_forged_ones_and_then_the_deposit(stage: &Stage) {
    let (created, oid) = awaiting(stage, &stage.shop, "A-1", "pc").await;
    let junk = (0..100).map(|number| forged(&oid, TOTAL, &format!("999{number}"))).collect();
    let refused = flood(stage, junk, 429).await;
    // Sixteen at once may be kept before each sees the others.
    assert!((80 - 15..=80).contains(&refused), "{refused} were not taken");
    eventually("what was kept is looked at", SOON, async || {
        let mismatched = notices(stage, &stage.shop, "?state=mismatched&limit=100").await;
        (mismatched.len() == 100 - refused).then_some(())
    })
    .await;
    let begun = std::time::Instant::now();
    deposit(stage, &oid, json!({})).await;
    let paid = in_state(stage, &stage.shop, &created, "paid").await;
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert_eq!((&paid["amount"]["paid"], &paid["resolution"]), (&json!(TOTAL), &json!("none")));
    // One entry, with what there is of the kind.
    noticed(stage, "applied").await;
    let entries = waiting(stage).await;
    assert_eq!(entries.len(), 1, "{entries:?}");
    assert_eq!(
        (&entries[0]["payment_id"], &entries[0]["count"]),
        (&created["id"], &json!(100 - refused)),
        "{entries:?}"
    );
    let query = format!("?payment_id={}&state=mismatched&limit=100", text(&created, "id"));
    assert_eq!(notices(stage, &stage.shop, &query).await.len(), 100 - refused);
    let log = std::fs::read_to_string(stage.folder.path().join("payhost.log")).unwrap();
    let told = log.lines().filter(|line| line.contains("WARN") || line.contains("ERROR"));
    let told: Vec<&str> = told.filter(|line| line.contains("notice")).collect();
    assert_eq!(told.len(), 1, "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_forged_notices_about_an_order_shut_out_no_deposit_and_are_one_entry_and_one_warning() {
    let stage = stage().await;
    a_hundred_forged_ones_and_then_the_deposit(&stage).await;
    // Of what cannot be the payment's the message itself is not kept.
    let raw = "SELECT COUNT(*) FROM notice WHERE state = 'mismatched' AND raw IS NOT NULL";
    assert_eq!(number(&stage, raw), 0);
    let jobs = number(&stage, "SELECT COUNT(*) FROM job WHERE kind = 'notice'");
    assert_eq!(jobs, number(&stage, "SELECT COUNT(*) FROM notice"), "what is not kept leaves no job");
    assert_eq!(number(&stage, "SELECT COUNT(*) FROM call WHERE function = 'inquire'"), 2, "the deposit's");
    let entry = waiting(&stage).await.remove(0);
    let decided = decide(&stage, &entry, "dismiss").await.expect(200);
    assert_eq!(decided["state"], "dismissed");
}

#[tokio::test(flavor = "multi_thread")]
async fn on_postgresql_a_hundred_forged_notices_about_an_order_shut_out_no_deposit() {
    let stage = told(Stage::on_postgres().await).await;
    a_hundred_forged_ones_and_then_the_deposit(&stage).await;
}

/// The same of messages that name the right account, and parts of the amount: the gateway can neither confirm nor deny them.
async fn forged_with_the_account_and_then_the_deposit(stage: &Stage) {
    let (created, oid) = awaiting(stage, &stage.shop, "A-1", "pc").await;
    let account = text(&stage.payment(&created).await["virtual_account"], "number");
    let parts = (1..=100).map(|part| forged(&oid, part, &account)).collect();
    let refused = flood(stage, parts, 429).await;
    assert!((80 - 15..=80).contains(&refused), "{refused} were not taken");
    let made = deposit(stage, &oid, json!({"notice": {"hold": true}})).await;
    let path = format!("notices/{}/send", notice_id(&made));
    let sent = sim(stage, "POST", &path, json!({})).await.expect(200);
    assert_eq!(sent["accepted"], 1, "it is taken at once: {sent}");
    let paid = in_state(stage, &stage.shop, &created, "paid").await;
    assert_eq!(paid["amount"]["paid"], TOTAL);
    let entries = waiting(stage).await;
    assert_eq!((entries.len(), &entries[0]["count"]), (1, &json!(100 - refused)), "{entries:?}");
    let names = stage.names(&stage.shop, &created).await;
    assert_eq!((count(&names, "payment.paid"), count(&names, "deposited")), (1, 1), "{names:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_correct_notice_is_taken_after_all_that_is_kept_of_others_was_sent() {
    let stage = stage().await;
    forged_with_the_account_and_then_the_deposit(&stage).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_postgresql_a_correct_notice_is_taken_after_all_that_is_kept_of_others_was_sent() {
    let stage = told(Stage::on_postgres().await).await;
    forged_with_the_account_and_then_the_deposit(&stage).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_knows_an_order_number_makes_up_messages_about_it_and_stops_no_other_order() {
    let stage = stage().await;
    let (_, own) = awaiting(&stage, &stage.shop, "A-1", "pc").await;
    let (created, oid) = awaiting(&stage, &stage.shop, "A-2", "pc").await;
    let url = notify_url(&stage, &stage.shop);
    let mut answers = Vec::new();
    for number in 0..25 {
        let forged = forged(&own, TOTAL, &format!("999{number}"));
        answers.push(stage.call("POST", &url).form(&forged).send().await.status);
    }
    assert_eq!(answers, [vec![200; 20], vec![429; 5]].concat());
    deposit(&stage, &oid, json!({})).await;
    in_state(&stage, &stage.shop, &created, "paid").await;
    // What a person put aside makes room.
    let entry = waiting(&stage).await.remove(0);
    decide(&stage, &entry, "dismiss").await.expect(200);
    assert_eq!(flood(&stage, vec![forged(&own, TOTAL, "8880")], 200).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deposit_told_to_another_channel_of_its_merchant_is_heard_in_a_flood() {
    let stage = told(Stage::serving(&["--notice-strange-per-hour", "0"]).await).await;
    let body = json!({"plugin": "inicis", "preset": "test_pay", "default": false});
    let other = text(&stage.post("/v1/channels", &body).await.expect(201), "id");
    let url = format!("{}/notify/{}/{other}", stage.url, stage.shop.id);
    sim(&stage, "PATCH", "vbank/settings", json!({"urls": {"INIpayTest": url}})).await.expect(200);
    assert_eq!(stage.call("POST", &url).form(&forged("older-cart-1", TOTAL, "1")).send().await.status, 429);
    let (created, oid) = awaiting(&stage, &stage.shop, "A-1", "pc").await;
    deposit(&stage, &oid, json!({})).await;
    in_state(&stage, &stage.shop, &created, "paid").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_is_not_trusted_is_told_to_the_operator_once() {
    let stage = stage().await;
    let url = notify_url(&stage, &stage.shop);
    for number in 0..3 {
        let call = stage.call("POST", &url).header("x-forwarded-for", "203.0.113.7");
        call.form(&forged(&format!("older-cart-{number}"), TOTAL, "123")).send().await;
    }
    let log = std::fs::read_to_string(stage.folder.path().join("payhost.log")).unwrap();
    assert_eq!(log.matches("no proxy is trusted").count(), 1, "{log}");
    let trusting = Stage::serving(&["--trusted-proxy", "127.0.0.1"]).await;
    let url = notify_url(&trusting, &trusting.shop);
    let call = trusting.call("POST", &url).header("x-forwarded-for", "203.0.113.7");
    call.form(&forged("older-cart-0", TOTAL, "123")).send().await;
    assert_eq!(noticed(&trusting, "unknown_order").await["source"], "203.0.113.7");
    let log = std::fs::read_to_string(trusting.folder.path().join("payhost.log")).unwrap();
    assert!(!log.contains("no proxy is trusted"), "{log}");
}

/// A body of `name=value` pairs that is sent as it stands.
fn raw(fields: &[(String, String)], name: &str, value: &str) -> String {
    let pairs: Vec<String> = fields
        .iter()
        .map(|(known, old)| if known == name { format!("{known}={value}") } else { format!("{known}={old}") })
        .collect();
    pairs.join("&")
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_text_dates_that_do_not_exist_and_huge_numbers_change_nothing() {
    let stage = stage().await;
    let (created, oid) = awaiting(&stage, &stage.shop, "A-1", "pc").await;
    let url = notify_url(&stage, &stage.shop);
    let number = text(&stage.payment(&created).await["virtual_account"], "number");
    let good = forged(&oid, TOTAL, &number);
    let bodies = [
        raw(&good, "amt_input", "9223372036854775808"),
        raw(&good, "amt_input", "-9223372036854775808"),
        raw(&good, "amt_input", "%EF%BC%91"),
        raw(&good, "amt_input", "0"),
        raw(&good, "amt_input", ""),
        raw(&good, "dt_trans", "20260229"),
        raw(&good, "dt_trans", "20261301"),
        raw(&good, "dt_trans", "00000000"),
        raw(&good, "tm_trans", "256061"),
        raw(&good, "type_msg", "0201"),
        raw(&good, "no_tid", &"9".repeat(30_000)),
        "%".repeat(1_000),
        "=&=&&&==".repeat(100),
        "\u{0}".to_owned(),
    ];
    for body in bodies {
        let call = stage.call("POST", &url).body("application/x-www-form-urlencoded", body.clone());
        let answer = call.send().await;
        // A name in a charset that is none is no reason to lose a deposit; what is not the gateway's form is refused.
        assert_eq!(answer.status, 400, "{}: {}", &body[..body.len().min(200)], answer.text);
    }
    // A depositor's name that is cut in the middle of a character: the deposit is read, and doubted as any other forged one.
    let cut = raw(&good, "nm_input", "%B1%E8%C0%AF%FF");
    let answer = stage.call("POST", &url).body("application/x-www-form-urlencoded", cut).send().await;
    assert_eq!((answer.status, answer.text.as_str()), (200, "OK"));
    noticed(&stage, "doubted").await;
    let odd = raw(&good, "no_oid", "%FF%FE%00");
    let answer = stage.call("POST", &url).body("application/x-www-form-urlencoded", odd).send().await;
    assert_eq!(answer.status, 200);
    assert_eq!(noticed(&stage, "unknown_order").await["payment_id"], Value::Null);
    for kind in ["text/html", "multipart/form-data; boundary=x", "application/json", ""] {
        let answer = stage.call("POST", &url).body(kind, "{\"no_oid\": \"x\"}").send().await;
        assert_eq!(answer.status, 400, "{kind}");
    }
    let payment = stage.payment(&created).await;
    assert_eq!((&payment["state"], &payment["amount"]["paid"]), (&json!("awaiting_deposit"), &json!(0)));
    assert_eq!(stage.call("GET", "/healthz").send().await.status, 200);
}
