//! Virtual accounts: deposits that the gateway reports, whatever is wrong with them, and accounts by API.

use std::time::Duration;

use serde_json::{Value, json};

use crate::stage::deposit::{
    TOTAL, awaiting, count, deposit, forged, in_state, noticed, notices, notify_url, sim, stage, told,
};
use crate::stage::{Stage, eventually, text};

const SOON: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn a_deposit_pays_the_payment_on_both_devices() {
    let stage = stage().await;
    for device in ["pc", "mobile"] {
        let (created, oid) = awaiting(&stage, &stage.shop, device, device).await;
        deposit(&stage, &oid, json!({})).await;
        let paid = in_state(&stage, &stage.shop, &created, "paid").await;
        assert_eq!(
            (&paid["amount"]["paid"], &paid["resolution"]),
            (&json!(TOTAL), &json!("none")),
            "{device}"
        );
        assert_eq!(paid["method"]["kind"], "virtual_account");
        assert_eq!(paid["cancellable"]["needs_account"], true);
        let names = stage.names(&stage.shop, &created).await;
        assert_eq!((count(&names, "payment.paid"), count(&names, "deposited")), (1, 1), "{names:?}");
        // The gateway got its word, and nothing around it, the first time.
        let sent = sim(&stage, "GET", &format!("notices?oid={oid}"), json!({})).await.expect(200);
        for notice in sent["notices"].as_array().unwrap() {
            assert_eq!(
                (&notice["accepted"], notice["tries"].as_array().unwrap().len()),
                (&json!(true), 1),
                "{notice}"
            );
            assert_eq!(notice["tries"][0]["answer"], "OK", "{notice}");
        }
        let notice = noticed(&stage, "applied").await;
        assert_eq!(notice["payment_id"], created["id"]);
        // The simulator's address is none of the gateway's: a flag, no gate.
        assert_eq!(notice["source_listed"], false, "{notice}");
    }
    let held = stage.held().await.len();
    assert_eq!(held, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_that_the_gateway_does_not_confirm_changes_nothing() {
    let stage = stage().await;
    let (created, oid) = awaiting(&stage, &stage.shop, "A-1", "pc").await;
    let number = text(&stage.payment(&created).await["virtual_account"], "number");
    let url = notify_url(&stage, &stage.shop);
    let answer = stage.call("POST", &url).form(&forged(&oid, TOTAL, &number)).send().await;
    assert_eq!((answer.status, answer.text.as_str()), (200, "OK"));
    assert_eq!(answer.header("content-type"), "text/plain");
    let notice = noticed(&stage, "doubted").await;
    assert_eq!(notice["reason"], "the gateway says that nothing was paid in");
    let payment = stage.payment(&created).await;
    assert_eq!((&payment["state"], &payment["amount"]["paid"]), (&json!("awaiting_deposit"), &json!(0)));
    // Money that comes in afterwards is believed.
    deposit(&stage, &oid, json!({})).await;
    let paid = in_state(&stage, &stage.shop, &created, "paid").await;
    assert_eq!(paid["amount"]["paid"], TOTAL);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_about_another_account_order_or_shop_is_kept_and_shown() {
    let stage = stage().await;
    let (created, oid) = awaiting(&stage, &stage.shop, "A-1", "pc").await;
    let url = notify_url(&stage, &stage.shop);
    let post = async |fields: Vec<(String, String)>| {
        let answer = stage.call("POST", &url).form(&fields).send().await;
        assert_eq!((answer.status, answer.text.as_str()), (200, "OK"));
    };
    post(forged(&oid, TOTAL, "99999999999")).await;
    let notice = noticed(&stage, "mismatched").await;
    assert!(text(&notice, "reason").contains("another account"), "{notice}");
    let names = stage.names(&stage.shop, &created).await;
    assert_eq!(count(&names, "payment.alarm"), 1, "{names:?}");

    post(forged("older-cart-17", TOTAL, "123")).await;
    assert_eq!(noticed(&stage, "unknown_order").await["payment_id"], Value::Null);

    let other = stage.new_shop("다른 가게", json!({})).await;
    let (theirs, their_oid) = awaiting(&stage, &other, "B-1", "pc").await;
    post(forged(&their_oid, TOTAL, "123")).await;
    let last = eventually("it is read", SOON, async || {
        let list = notices(&stage, &stage.shop, "?state=unknown_order").await;
        (list.len() == 2).then(|| list[0].clone())
    })
    .await;
    assert_eq!(last["reason"], "no payment has its order number", "nothing is told of another shop");
    assert_eq!(stage.payment_as(&other, &theirs).await["state"], "awaiting_deposit");
    assert!(notices(&stage, &other, "").await.is_empty());
    // The list pages, and a stranger finds nothing.
    let page = stage.get("/v1/notices?limit=2").await.expect(200);
    let next = stage.get(&format!("/v1/notices?limit=2&after={}", text(&page, "next"))).await.expect(200);
    assert_eq!((page["data"].as_array().unwrap().len(), next["data"].as_array().unwrap().len()), (2, 1));
    let path = format!("/v1/notices/{}", text(&last, "id"));
    stage.get(&path).await.expect(200);
    stage.call("GET", &path).key(&other.key).send().await.problem(404, "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deposit_that_the_bank_takes_back_follows_the_money() {
    let stage = stage().await;
    let (back, oid) = awaiting(&stage, &stage.shop, "back", "pc").await;
    deposit(&stage, &oid, json!({})).await;
    in_state(&stage, &stage.shop, &back, "paid").await;
    sim(&stage, "POST", "deposit-cancel", json!({"oid": oid})).await.expect(200);
    let cancelled = in_state(&stage, &stage.shop, &back, "cancelled").await;
    assert_eq!((&cancelled["amount"]["cancellable"], &cancelled["resolution"]), (&json!(0), &json!("none")));
    let names = stage.names(&stage.shop, &back).await;
    assert_eq!(
        (count(&names, "payment.cancelled"), count(&names, "payment.deposit_cancelled")),
        (1, 1),
        "{names:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_killed_after_its_answer_writes_what_it_promised() {
    let mut stage = stage().await;
    let (created, oid) = awaiting(&stage, &stage.shop, "A-1", "pc").await;
    // While the gateway cannot be asked, the notice is answered and waits.
    stage.fault("inquiry", "slow", json!({"ms": 5_000, "times": 100})).await;
    deposit(&stage, &oid, json!({})).await;
    assert_eq!(notices(&stage, &stage.shop, "").await[0]["state"], "read");
    stage.host.kill();
    stage.no_faults().await;
    stage.restart();
    // The job's lease was the dead process's.
    let paid = eventually("the payment is paid", Duration::from_secs(80), async || {
        let now = stage.payment(&created).await;
        (now["state"] == "paid").then_some(now)
    })
    .await;
    assert_eq!(paid["amount"]["paid"], TOTAL);
    assert_eq!(count(&stage.names(&stage.shop, &created).await, "deposited"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_notice_is_refused_and_changes_nothing() {
    let stage = stage().await;
    let (created, oid) = awaiting(&stage, &stage.shop, "A-1", "pc").await;
    let url = notify_url(&stage, &stage.shop);
    let good = forged(&oid, TOTAL, "123");
    let with = |name: &str, value: &str| {
        let mut fields = good.clone();
        fields.retain(|(known, _)| known != name);
        fields.push((name.to_owned(), value.to_owned()));
        fields
    };
    let bad = [
        with("amt_input", "-20900"),
        with("amt_input", "99999999999999"),
        with("amt_input", "20900.0"),
        with("dt_trans", "20260230"),
        with("no_tid", "a\u{0}b"),
        with("no_vacct", "1\u{0}2"),
        with("id_merchant", "INIpayOthr"),
        [good.clone(), vec![("no_oid".to_owned(), "x".to_owned())]].concat(),
        vec![],
    ];
    for fields in &bad {
        let answer = stage.call("POST", &url).form(fields).send().await;
        assert_eq!(answer.status, 400, "{fields:?}: {}", answer.text);
    }
    let huge = with("nm_input", &"x".repeat(1 << 20));
    assert_eq!(stage.call("POST", &url).form(&huge).send().await.status, 413);
    let many: Vec<(String, String)> = (0..10_000).map(|at| (format!("p{at}"), "1".to_owned())).collect();
    assert_eq!(stage.call("POST", &url).form(&many).send().await.status, 413);
    for path in ["/notify/shop_00000000000000000000000000/chn_00000000000000000000000000", "/notify/x/x"] {
        assert_eq!(stage.call("POST", path).form(&good).send().await.status, 404);
    }
    // The probe.
    assert_eq!(stage.call("GET", &url).send().await.status, 200);
    let payment = stage.payment(&created).await;
    assert_eq!((&payment["state"], &payment["amount"]["paid"]), (&json!("awaiting_deposit"), &json!(0)));
    for notice in notices(&stage, &stage.shop, "").await {
        assert_eq!(notice["state"], "refused", "{notice}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_by_api_is_opened_once_paid_into_and_closed() {
    let stage = stage().await;
    let open = async |created: &Value, key: &str, body: Value| {
        let path = format!("/v1/payments/{}/virtual-account", text(created, "id"));
        stage.call("POST", &path).key(&stage.shop.key).header("idempotency-key", key).json(&body).send().await
    };
    let created =
        stage.create_as(&stage.shop, "A-1", json!({"method": {"kind": "virtual_account"}})).await.expect(201);
    open(&created, "k-0", json!({"bank": "999"})).await.problem(422, "plugin_refused");
    let problem = open(&created, "k-0", json!({"bank": "8"})).await.problem(400, "invalid_request");
    assert_eq!(problem["field"], "bank");
    let body = json!({"bank": "088", "holder": "홍길동"});
    let opened = open(&created, "k-1", body.clone()).await.expect(200);
    assert_eq!(opened["state"], "awaiting_deposit", "{opened}");
    assert_eq!(opened["virtual_account"]["bank_code"], "088");
    assert!(
        !text(&opened["virtual_account"], "number").is_empty()
            && !opened["virtual_account"]["deadline"].is_null()
    );
    assert_eq!(
        open(&created, "k-1", body.clone()).await.expect(200),
        opened,
        "a repeat gets the first answer"
    );
    open(&created, "k-2", body.clone()).await.problem(409, "not_payable");
    let accounts = sim(&stage, "GET", "vbank/accounts", json!({})).await.expect(200);
    assert_eq!(accounts["accounts"].as_array().unwrap().len(), 1);
    deposit(&stage, &text(&accounts["accounts"][0], "oid"), json!({})).await;
    in_state(&stage, &stage.shop, &created, "paid").await;

    // Another one is closed before anybody pays in.
    let created = stage.create("A-2").await;
    open(&created, "k-3", body).await.expect(200);
    let path = format!("/v1/payments/{}/virtual-account/close", text(&created, "id"));
    let close = async |key: &str| {
        stage.call("POST", &path).key(&stage.shop.key).header("idempotency-key", key).send().await
    };
    let closed = close("c-1").await.expect(200);
    assert_eq!((&closed["state"], &closed["resolution"]), (&json!("cancelled"), &json!("none")), "{closed}");
    assert_eq!(close("c-1").await.expect(200), closed);
    close("c-2").await.problem(409, "not_cancellable");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deposit_is_given_back_once_to_the_account_that_the_buyer_names() {
    let stage = stage().await;
    let (created, oid) = awaiting(&stage, &stage.shop, "A-1", "pc").await;
    deposit(&stage, &oid, json!({})).await;
    in_state(&stage, &stage.shop, &created, "paid").await;
    // Without an account nothing is sent.
    let problem = stage.cancel(&stage.shop, &created, "k-1").await.problem(400, "invalid_request");
    assert_eq!(problem["field"], "account");
    let link = stage
        .post(&format!("/v1/payments/{}/refund-link", text(&created, "id")), &json!({}))
        .await
        .expect(201);
    assert_eq!(link["amount"], TOTAL);
    let (url, code) = (text(&link, "url"), text(&link, "code"));
    let typed = |bank: &str, number: &str, holder: &str| {
        [("code", code.as_str()), ("bank", bank), ("number", number), ("holder", holder)]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec()
    };
    let page = stage.call("POST", &url).form(&[("code".to_owned(), code.clone())]).send().await;
    assert_eq!(page.status, 200);
    assert!(
        page.text.contains("환불 계좌 입력")
            && page.text.contains("신한은행")
            && page.text.contains("20,900원")
    );
    for bad in [
        typed("999", "110123456789", "홍길동"),
        typed("088", "12345", "홍길동"),
        typed("088", "<script>", "홍길동"),
        typed("088", "110123456789", " "),
        typed("", "", ""),
    ] {
        let page = stage.call("POST", &url).form(&bad).send().await;
        assert_eq!(page.status, 422, "{bad:?}");
        assert!(!page.text.contains("<script>"), "{}", page.text);
    }
    assert_eq!(stage.payment(&created).await["state"], "paid");
    let done = stage.call("POST", &url).form(&typed("088", "110-123-456789", "홍길동")).send().await;
    assert_eq!(done.status, 200, "{}", done.text);
    assert!(done.text.contains("환불이 접수되었습니다"), "{}", done.text);
    let now = stage.payment(&created).await;
    assert_eq!((&now["state"], &now["amount"]["cancelled"]), (&json!("cancelled"), &json!(TOTAL)), "{now}");
    assert!(stage.held().await.is_empty());
    // The number stands nowhere in the host's files.
    let log = stage.host.logged();
    assert!(!log.contains("110123456789") && !log.contains("110-123-456789"));
}

/// Opens an account by API and gives payment and order number.
async fn opened(stage: &Stage, order_id: &str) -> (Value, String) {
    let more = json!({"method": {"kind": "virtual_account"}});
    let created = stage.create_as(&stage.shop, order_id, more).await.expect(201);
    let path = format!("/v1/payments/{}/virtual-account", text(&created, "id"));
    let call = stage.call("POST", &path).key(&stage.shop.key).header("idempotency-key", order_id);
    call.json(&json!({"bank": "088", "holder": "홍길동"})).send().await.expect(200);
    let accounts = sim(stage, "GET", "vbank/accounts", json!({})).await.expect(200);
    (created, text(&accounts["accounts"][0], "oid"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_close_whose_answer_is_lost_is_found_out_and_its_key_answers_that() {
    let stage = stage().await;
    let (created, oid) = opened(&stage, "A-1").await;
    stage.fault("refund", "drop_after", json!({"oid": oid})).await;
    let path = format!("/v1/payments/{}/virtual-account/close", text(&created, "id"));
    let close = || stage.call("POST", &path).key(&stage.shop.key).header("idempotency-key", "c-1").send();
    let first = close().await;
    assert!([200, 202].contains(&first.status), "{}", first.text);
    let closed = in_state(&stage, &stage.shop, &created, "cancelled").await;
    assert_eq!((&closed["resolution"], &closed["amount"]["paid"]), (&json!("none"), &json!(0)), "{closed}");
    assert_eq!(close().await.expect(200)["state"], "cancelled");
    assert_eq!(count(&stage.names(&stage.shop, &created).await, "closed"), 1);
}

/// The gateway tells when the money was sent to the buyer's account, which is long after that was asked for.
#[tokio::test(flavor = "multi_thread")]
async fn a_refund_whose_answer_is_lost_is_found_when_its_transfer_is_made() {
    let stage = told(Stage::with(|options| options.settings.vbank_refund_wait_ms = 4_000).await).await;
    let (created, oid) = awaiting(&stage, &stage.shop, "A-1", "pc").await;
    deposit(&stage, &oid, json!({})).await;
    in_state(&stage, &stage.shop, &created, "paid").await;
    stage.fault("refund", "drop_after", json!({"oid": oid})).await;
    let account = json!({"account": {"bank": "088", "holder": "홍길동", "number": "110-123-456789"}});
    let refund = || stage.cancel_with(&stage.shop, &created, "k-1", &account);
    assert_eq!(refund().await.expect(202)["resolution"], "in_doubt");
    in_state(&stage, &stage.shop, &created, "cancelled").await;
    let given_back = refund().await.expect(200);
    assert_eq!(
        (&given_back["resolution"], &given_back["amount"]["cancelled"]),
        (&json!("none"), &json!(TOTAL))
    );
    let names = stage.names(&stage.shop, &created).await;
    assert_eq!(count(&names, "payment.changed_at_gateway"), 0, "{names:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deposit_that_came_before_the_close_is_kept_and_the_account_counts_as_not_closed() {
    let stage = stage().await;
    let (created, oid) = opened(&stage, "A-1").await;
    deposit(&stage, &oid, json!({"notice": {"hold": true}})).await;
    let path = format!("/v1/payments/{}/virtual-account/close", text(&created, "id"));
    let answer = stage.call("POST", &path).key(&stage.shop.key).header("idempotency-key", "c-1").send().await;
    assert!(answer.status == 402 || answer.status == 502, "{} {}", answer.status, answer.text);
    let now = stage.payment(&created).await;
    assert_eq!((&now["state"], &now["resolution"]), (&json!("awaiting_deposit"), &json!("none")), "{now}");
    assert_eq!(stage.held().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deposit_is_compared_with_the_gateway_before_and_after_it_is_taken_back() {
    let stage = stage().await;
    let (created, oid) = awaiting(&stage, &stage.shop, "A-1", "pc").await;
    let sync = async |state: &str| {
        let path = format!("/v1/payments/{}/sync", text(&created, "id"));
        let answer = stage.call("POST", &path).key(&stage.shop.key).send().await.expect(200);
        assert_eq!((&answer["state"], &answer["resolution"]), (&json!(state), &json!("none")), "{answer}");
    };
    sync("awaiting_deposit").await;
    deposit(&stage, &oid, json!({})).await;
    in_state(&stage, &stage.shop, &created, "paid").await;
    sync("paid").await;
    sim(&stage, "POST", "deposit-cancel", json!({"oid": oid})).await.expect(200);
    in_state(&stage, &stage.shop, &created, "cancelled").await;
    sync("cancelled").await;
    let names = stage.names(&stage.shop, &created).await;
    assert_eq!(count(&names, "payment.changed_at_gateway"), 0, "{names:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deposit_counts_with_the_merchant_of_its_account_also_after_the_channel_has_another() {
    let stage = stage().await;
    let (created, oid) = awaiting(&stage, &stage.shop, "A-1", "pc").await;
    let path = format!("/v1/channels/{}", stage.shop.channel);
    let body = json!({"settings": {"mid": crate::stage::LOOKUP, "lookup_by": "order_ref"}});
    stage.call("PATCH", &path).key(&stage.shop.key).json(&body).send().await.expect(200);
    deposit(&stage, &oid, json!({})).await;
    let paid = in_state(&stage, &stage.shop, &created, "paid").await;
    assert_eq!(paid["amount"]["paid"], TOTAL);
    // What is of neither merchant is refused as before.
    let mut other = forged(&oid, TOTAL, "123");
    other
        .iter_mut()
        .filter(|(name, _)| name == "id_merchant")
        .for_each(|(_, mid)| "INIpayOthr".clone_into(mid));
    let url = notify_url(&stage, &stage.shop);
    assert_eq!(stage.call("POST", &url).form(&other).send().await.status, 400);
}
