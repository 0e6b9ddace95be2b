//! `POST /v1/payments` and what a shop reads afterwards.

use serde_json::{Value, json};

use crate::stage::buyer::pay;
use crate::stage::{Stage, order, text};

#[tokio::test(flavor = "multi_thread")]
async fn a_buyer_pays_by_card_and_the_shop_reads_it() {
    let stage = Stage::start().await;
    let created = stage.create("A-1").await;
    assert_eq!((&created["state"], &created["amount"]["total"]), (&json!("created"), &json!(20_900)));
    let window = stage.open(&created).await;
    assert_eq!(stage.payment(&created).await["state"], "pending");
    let outcome = stage.come_back(&stage.choose(&window, pay()).await).await;
    assert_eq!(outcome.result, "paid", "{}", outcome.words);
    let paid = stage.payment(&created).await;
    assert_eq!((text(&paid, "state"), text(&paid, "resolution")), ("paid".into(), "none".into()));
    assert_eq!(paid["amount"]["paid"], 20_900);
    let whole =
        json!({"amount": 20_900, "partial": true, "until": null, "needs_account": false, "tax": null});
    assert_eq!(paid["cancellable"], whole);
    let sales = stage.sales(window.order_ref()).await;
    assert_eq!(sales.len(), 1);
    assert_eq!((&sales[0]["tid"], &sales[0]["remaining"]), (&paid["gateway_ref"], &json!(20_900)));
    assert_eq!(paid["approval_number"], sales[0]["appl_num"]);
    assert_ne!(paid["masked_number"], Value::Null, "{paid}");
    assert!(outcome.words.contains("20,900원"), "{}", outcome.words);
    let names = stage.names(&stage.shop, &created).await;
    for name in ["payment.created", "checkout.opened", "complete succeeded", "approved", "payment.paid"] {
        assert_eq!(names.iter().filter(|known| *known == name).count(), 1, "{name} in {names:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_number_that_arrives_open_is_kept_with_its_middle_hidden() {
    const OPEN: &str = "4518420012341234";
    let stage = Stage::start().await;
    for (device, operation, field) in
        [("pc", "pay_auth", "CARD_Num"), ("mobile", "mobile_approve", "P_CARD_NUM")]
    {
        let created = stage.create_as(&stage.shop, device, json!({"device": device})).await.expect(201);
        let window = stage.open(&created).await;
        stage.fault(operation, "other_value", json!({"field": field, "value": OPEN})).await;
        let outcome = stage.come_back(&stage.choose(&window, pay()).await).await;
        assert_eq!(outcome.result, "paid", "{device}: {}", outcome.words);
        let paid = stage.payment(&created).await;
        assert_eq!(paid["masked_number"], "45184200****1234", "{device}: {paid}");
        let events = stage.get("/v1/events").await.expect(200);
        let timeline = stage.timeline(&stage.shop, &created).await;
        for shown in [paid.to_string(), events.to_string(), json!(timeline).to_string(), outcome.html] {
            assert!(!shown.contains("12341234"), "{device}: {shown}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_amount_that_is_no_whole_number_above_zero_is_refused_and_named() {
    let stage = Stage::start().await;
    let bad = [
        "0",
        "-1",
        "10.5",
        "1000.0",
        "\"1000\"",
        "1000000000001",
        "9223372036854775808",
        "1e30",
        "null",
        "true",
        "[]",
    ];
    for total in bad {
        let body = order("A-1", json!({"amount": {"total": "HERE"}})).to_string().replace("\"HERE\"", total);
        let answer = stage
            .call("POST", "/v1/payments")
            .key(&stage.shop.key)
            .body("application/json", body)
            .send()
            .await;
        let problem = answer.problem(400, answer.json()["code"].as_str().unwrap());
        assert_eq!(problem["field"], "amount.total", "{total}: {problem}");
    }
    let listed = stage.get("/v1/payments").await.expect(200);
    assert_eq!(listed["data"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_wrong_member_is_refused_and_named() {
    let stage = Stage::start().await;
    let long = "긴".repeat(65);
    let cases = [
        (json!({"order_id": long}), "order_id"),
        (json!({"order_id": " "}), "order_id"),
        (json!({"order_id": "a\nb"}), "order_id"),
        (json!({"order_id": 7}), "order_id"),
        (json!({"order_name": "x".repeat(256)}), "order_name"),
        (json!({"order_name": ""}), "order_name"),
        (json!({"order_name": "a\u{0}b"}), "order_name"),
        (json!({"amount": 1000}), "amount"),
        (json!({"amount": {"total": 1000, "extra": 1}}), "amount.extra"),
        (json!({"amount": {"total": 1000, "currency": "won"}}), "amount.currency"),
        (json!({"amount": {"total": 1000, "tax": {"vat": 1001}}}), "amount.tax.vat"),
        (json!({"amount": {"total": 1000, "tax": {"free": -1}}}), "amount.tax.free"),
        (json!({"amount": {"total": 1000, "tax": {"free": 600, "vat": 600}}}), "amount.tax"),
        (json!({"unknown": 1}), "unknown"),
        (json!({"buyer": {"nick": "x"}}), "buyer.nick"),
        (json!({"buyer": {"name": ["x"]}}), "buyer.name"),
        (json!({"return_url": "javascript:alert(1)"}), "return_url"),
        (json!({"return_url": "https://user:pw@shop.example/"}), "return_url"),
        (json!({"return_url": "/orders"}), "return_url"),
        (json!({"language": "fr"}), "language"),
        (json!({"expires_at": "2020-01-01"}), "expires_at"),
        (json!({"expires_at": "soon"}), "expires_at"),
        (json!({"channel_id": "chn_00000000000000000000000000"}), "channel_id"),
        (json!({"channel_id": "x"}), "channel_id"),
        (json!({"metadata": {"x": "y".repeat(9000)}}), "metadata"),
        (json!({"metadata": "text"}), "metadata"),
    ];
    for (more, field) in cases {
        let answer = stage.create_as(&stage.shop, "A-1", more.clone()).await;
        let problem = answer.problem(400, answer.json()["code"].as_str().unwrap());
        assert_eq!(problem["field"], field, "{more}: {problem}");
    }
    for name in ["order_id", "order_name", "amount"] {
        let answer = stage.create_as(&stage.shop, "A-1", json!({name: null})).await;
        assert_eq!(answer.problem(400, "invalid_request")["field"], name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_no_json_is_refused_in_words() {
    let stage = Stage::start().await;
    for (kind, body) in [
        ("application/json", "{"),
        ("application/json", ""),
        ("application/json", "{} {}"),
        ("application/json", "\u{feff}{}"),
    ] {
        let call = stage.call("POST", "/v1/payments").key(&stage.shop.key).body(kind, body);
        call.send().await.problem(400, "invalid_json");
    }
    for (kind, body) in [
        ("application/x-www-form-urlencoded", "order_id=1"),
        ("text/plain", "{}"),
        ("", "{}"),
        ("application/jsonx", "{}"),
    ] {
        let call = stage.call("POST", "/v1/payments").key(&stage.shop.key).body(kind, body);
        call.send().await.problem(415, "unsupported_media_type");
    }
    let huge = format!("{{\"order_id\":\"{}\"}}", "x".repeat(300 * 1024));
    let call = stage.call("POST", "/v1/payments").key(&stage.shop.key).body("application/json", huge);
    call.send().await.problem(413, "payload_too_large");
    stage.call("PUT", "/v1/payments").key(&stage.shop.key).send().await.problem(405, "method_not_allowed");
    stage.get("/v1/nothing").await.problem(404, "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_order_again_gives_the_same_payment() {
    let stage = Stage::start().await;
    let first = stage.create("A-1").await;
    let again = stage.create_as(&stage.shop, "A-1", json!({})).await.expect(200);
    assert_eq!((&again["id"], &again["checkout_url"]), (&first["id"], &first["checkout_url"]));
    let window = stage.open(&first).await;
    stage.come_back(&stage.choose(&window, pay()).await).await;
    let paid = stage.create_as(&stage.shop, "A-1", json!({})).await.expect(200);
    assert_eq!((&paid["id"], &paid["state"]), (&first["id"], &json!("paid")));
    stage.cancel(&stage.shop, &first, "k-1").await.expect(200);
    let new = stage.create_as(&stage.shop, "A-1", json!({"amount": {"total": 1000}})).await.expect(201);
    assert_ne!(new["id"], first["id"]);
    let listed = stage.get("/v1/payments?order_id=A-1").await.expect(200);
    assert_eq!(listed["data"].as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_keeps_the_shops_own_values_and_leads_back_to_its_page() {
    let stage = Stage::start().await;
    let values = json!({"cart": [1, 2], "메모": "선물 \"포장\""});
    let more = json!({"metadata": values, "return_url": "http://127.0.0.1:9/orders?id=7"});
    let created = stage.create_as(&stage.shop, "A-1", more).await.expect(201);
    let window = stage.open(&created).await;
    let outcome = stage.come_back(&stage.choose(&window, pay()).await).await;
    assert_eq!(stage.payment(&created).await["metadata"], values);
    let back = format!("http://127.0.0.1:9/orders?id=7&payment_id={}&result=paid", text(&created, "id"));
    let link = crate::stage::html::attribute(&outcome.html, "id=\"payhost-return\"", "href");
    assert_eq!(link, Some(back));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_return_url_is_kept_as_a_browser_reads_it() {
    let stage = Stage::start().await;
    let typed = json!({"return_url": " HTTP://127.0.0.1:9/or\tders/주문?id=7\n"});
    let created = stage.create_as(&stage.shop, "A-1", typed).await.expect(201);
    let page = stage.call("GET", &text(&created, "checkout_url")).send().await;
    let link = crate::stage::html::attribute(&page.text, "class=\"button plain\"", "href");
    assert_eq!(link.as_deref(), Some("http://127.0.0.1:9/orders/%EC%A3%BC%EB%AC%B8?id=7"));
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_for_one_order_at_the_same_time_make_one_payment() {
    let stage = Stage::start().await;
    let asked = (0..8).map(|_| stage.create_as(&stage.shop, "A-1", json!({})));
    let mut ids = Vec::new();
    let mut made = 0;
    for answer in tokio_join(asked).await {
        assert!(answer.status == 200 || answer.status == 201, "{}", answer.text);
        made += usize::from(answer.status == 201);
        ids.push(text(&answer.json(), "id"));
    }
    ids.dedup();
    assert_eq!((ids.len(), made), (1, 1));
}

async fn tokio_join<T>(futures: impl IntoIterator<Item = impl Future<Output = T>>) -> Vec<T> {
    futures_util::future::join_all(futures).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idempotency_key_gives_the_first_answer_again_and_belongs_to_one_body() {
    let stage = Stage::start().await;
    let send = |key: &'static str, order_id: &'static str| {
        let body = order(order_id, json!({}));
        stage
            .call("POST", "/v1/payments")
            .key(&stage.shop.key)
            .header("idempotency-key", key)
            .json(&body)
            .send()
    };
    let first = send("k-1", "A-1").await.expect(201);
    let again = send("k-1", "A-1").await.expect(201);
    assert_eq!(first, again);
    send("k-1", "A-2").await.problem(422, "idempotency_mismatch");
    assert_eq!(send("k-2", "A-1").await.expect(200)["id"], first["id"]);
    // A refused request does not use its key up.
    let bad = order("A-3", json!({"amount": {"total": 0}}));
    let call = || stage.call("POST", "/v1/payments").key(&stage.shop.key).header("idempotency-key", "k-3");
    call().json(&bad).send().await.problem(400, "invalid_request");
    call().json(&order("A-3", json!({}))).send().await.expect(201);
    for bad in ["", " ", &"x".repeat(257)] {
        let call = stage.call("POST", "/v1/payments").key(&stage.shop.key).header("idempotency-key", bad);
        let problem = call.json(&order("A-4", json!({}))).send().await.problem(400, "invalid_request");
        assert_eq!(problem["field"], "Idempotency-Key");
    }
    // Another shop's key of the same text is another key.
    let other = stage.new_shop("다른 가게", json!({})).await;
    let call = stage.call("POST", "/v1/payments").key(&other.key).header("idempotency-key", "k-1");
    let theirs = call.json(&order("B-1", json!({}))).send().await.expect(201);
    assert_ne!(theirs["id"], first["id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_the_gateway_cannot_hold_are_replaced_with_a_warning() {
    let stage = Stage::start().await;
    let more = json!({
        "order_name": "🍓 딸기 <b>잼</b> \"&\" ".repeat(8), "buyer": {"name": "김👩‍🍳요리", "phone": "+82 (10) 1234-5678", "email": "딸기@example.com"},
    });
    let created = stage.create_as(&stage.shop, "주문 🍓 #1", more).await.expect(201);
    let window = stage.open(&created).await;
    assert!(
        window.field("goodname").len() <= 40 && !window.field("goodname").contains('🍓'),
        "{:?}",
        window.fields
    );
    let outcome = stage.come_back(&stage.choose(&window, pay()).await).await;
    assert_eq!(outcome.result, "paid", "{}", outcome.words);
    assert!(
        outcome.words.contains("🍓 딸기 <b>잼</b> \"&\""),
        "the buyer sees the real name: {}",
        outcome.words
    );
    let timeline = stage.timeline(&stage.shop, &created).await;
    let opened = timeline.iter().find(|item| item["name"] == "checkout.opened").unwrap();
    let warnings = opened["data"]["warnings"].to_string();
    for field in ["goodname", "buyername", "buyertel", "buyeremail"] {
        assert!(warnings.contains(field), "{field}: {warnings}");
    }
}

/// What macOS, spreadsheets, web forms and page titles make of text is mended, not refused and not sent as question marks.
#[tokio::test(flavor = "multi_thread")]
async fn text_as_people_and_spreadsheets_write_it_arrives_at_the_gateway_as_it_was_meant() {
    let stage = Stage::start().await;
    for (device, goods, name) in [("pc", "goodname", "buyername"), ("mobile", "P_GOODS", "P_UNAME")] {
        let more = json!({
            "device": device, "order_name": "\u{feff}봄–가을 \u{1102}\u{1169}\u{11a8}차\u{a0}₩9,900 👩\u{200d}🍳!\r\n",
            "buyer": {"name": "\u{1112}\u{1169}\u{11bc}길동\r\n", "phone": "", "email": " hong@shop.example\t"},
        });
        let created = stage.create_as(&stage.shop, &format!("20261201-{device}_1"), more).await.expect(201);
        assert_eq!(created["order_name"], "봄–가을 녹차\u{a0}₩9,900 👩\u{200d}🍳!");
        let window = stage.open(&created).await;
        assert_eq!(window.field(goods), "봄-가을 녹차 ￦9,900 ?!", "{device}");
        assert_eq!(window.field(name), "홍길동", "{device}");
        let timeline = stage.timeline(&stage.shop, &created).await;
        let opened = timeline.iter().find(|item| item["name"] == "checkout.opened").unwrap();
        let warnings = opened["data"]["warnings"].to_string();
        assert!(warnings.contains("replaced by ?") && warnings.contains("were written with"), "{warnings}");
        // Staff find the sale at the gateway by the shop's own number.
        let oid = window.field(if device == "pc" { "oid" } else { "P_OID" });
        assert_eq!(oid.rsplit_once('-').unwrap().0, format!("20261201-{device}_1"));
        let back = stage.choose(&window, pay()).await;
        assert_eq!(stage.come_back(&back).await.result, "paid", "{device}");
        let reason = json!({"reason": "\u{1103}\u{1161}\u{11ab}순 변심\n"});
        stage.cancel_with(&stage.shop, &created, device, &reason).await.expect(200);
        let cancelled =
            stage.events().await.into_iter().rfind(|event| event["event"] == "cancelled").unwrap();
        assert_eq!(cancelled["msg"], "단순 변심");
    }
    for name in ["두\n줄", "x\u{0}", "\u{7}벨"] {
        let more = json!({"buyer": {"name": name}});
        let problem = stage.create_as(&stage.shop, "A-1", more).await.problem(400, "invalid_request");
        assert_eq!(problem["field"], "buyer.name", "{name:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn any_order_id_of_64_characters_can_be_paid() {
    let stage = Stage::start().await;
    for order_id in
        ["긴".repeat(64), "../../etc/passwd".repeat(4), "<script>&\"'".to_owned(), "-_-".to_owned()]
    {
        let (created, outcome) = stage.pay_as(&stage.shop, &order_id).await;
        assert_eq!(outcome.result, "paid", "{order_id}: {}", outcome.words);
        assert_eq!(created["order_id"], order_id.as_str());
    }
    for sale in stage.sales("").await {
        let oid = text(&sale, "oid");
        assert!(
            oid.len() <= 40 && oid.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)),
            "{oid}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_that_do_not_exist_are_not_found() {
    let stage = Stage::start().await;
    stage.create("A-1").await;
    for id in [
        "pay_00000000000000000000000000",
        "pay_x",
        "x",
        "chk_00000000000000000000000000",
        "..%2f..%2f",
        "%00",
    ] {
        stage.get(&format!("/v1/payments/{id}")).await.problem(404, "not_found");
        stage.get(&format!("/v1/payments/{id}/timeline")).await.problem(404, "not_found");
        let cancel = stage.call("POST", &format!("/v1/payments/{id}/cancel")).key(&stage.shop.key);
        cancel.header("idempotency-key", "k").json(&json!({})).send().await.problem(404, "not_found");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_is_newest_first_in_pages_and_by_order() {
    let stage = Stage::start().await;
    for number in 1..=5 {
        stage.create(&format!("A-{number}")).await;
    }
    let mut seen = Vec::new();
    let mut path = "/v1/payments?limit=2".to_owned();
    loop {
        let page = stage.get(&path).await.expect(200);
        seen.extend(page["data"].as_array().unwrap().iter().map(|payment| text(payment, "order_id")));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/v1/payments?limit=2&after={next}");
    }
    assert_eq!(seen, ["A-5", "A-4", "A-3", "A-2", "A-1"]);
    let found = stage.get("/v1/payments?order_id=A-3&state=created").await.expect(200);
    assert_eq!(found["data"].as_array().unwrap().len(), 1);
    for bad in ["limit=0", "limit=101", "limit=x", "after=x", "state=nope", "colour=red"] {
        let answer = stage.get(&format!("/v1/payments?{bad}")).await;
        answer.problem(400, "invalid_request");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_seen_is_in_no_order_and_what_is_no_text_in_no_query() {
    let stage = Stage::start().await;
    for hidden in ["\u{202e}", "\u{2066}", "\u{200f}", "\u{2028}", "\n"] {
        let order_id = format!("A-1{hidden}2");
        let refused =
            stage.create_as(&stage.shop, &order_id, json!({})).await.problem(400, "invalid_request");
        assert_eq!(refused["field"], "order_id", "{hidden:?}");
        let more = json!({"order_name": format!("금{hidden}1000 원")});
        let refused = stage.create_as(&stage.shop, "A-2", more).await.problem(400, "invalid_request");
        assert_eq!(refused["field"], "order_name", "{hidden:?}");
    }
    // What an address book or an editor leaves there is no reason to refuse an order.
    let more = json!({"order_name": "\u{202a}수제\u{200b} 잼\u{202c}"});
    let created = stage.create_as(&stage.shop, "A-3", more).await.expect(201);
    assert_eq!(created["order_name"], "수제 잼");
    for query in ["order_id=%ff", "order_id=A%ed%95", "text=%c0%80"] {
        let refused = stage.get(&format!("/v1/payments?{query}")).await.problem(400, "invalid_request");
        assert_eq!(refused["field"], query.split('=').next().unwrap(), "{query}");
    }
}
