//! The same order again: nothing that the shop changed is dropped in silence, and no order is paid twice.

use std::time::Duration;

use serde_json::{Value, json};

use crate::stage::buyer::pay;
use crate::stage::deposit::{awaiting, count};
use crate::stage::html::{hidden_fields, visible};
use crate::stage::http::{Answer, Call};
use crate::stage::sale::{has, method};
use crate::stage::{Stage, eventually, order, text};

const SOON: Duration = Duration::from_secs(20);

async fn again(stage: &Stage, order_id: &str, more: Value) -> Answer {
    stage.create_as(&stage.shop, order_id, more).await
}

/// Every member that may differ, with another value and the name that is told.
fn changes(other_channel: &str) -> Vec<(&'static str, Value)> {
    vec![
        ("amount.total", json!({"amount": {"total": 12_000}})),
        ("amount.tax.free", json!({"amount": {"total": 20_900, "tax": {"free": 20_900}}})),
        ("amount.tax.vat", json!({"amount": {"total": 20_900, "tax": {"vat": 0}}})),
        ("order_name", json!({"order_name": "다른 이름"})),
        ("method", json!({"method": method("transfer", "")})),
        ("device", json!({"device": "mobile"})),
        ("language", json!({"language": "en"})),
        (
            "buyer.name",
            json!({"buyer": {"name": "김철수", "email": "hong@example.com", "phone": "010-1234-5678"}}),
        ),
        ("buyer.phone", json!({"buyer": {"name": "홍길동", "email": "hong@example.com"}})),
        ("channel_id", json!({"channel_id": other_channel})),
        ("return_url", json!({"return_url": "http://127.0.0.1:9/orders/2"})),
        ("metadata", json!({"metadata": {"cart": [1, 2]}})),
        ("options", json!({"options": {"card_quota": [2, 3]}})),
        ("expires_at", json!({"expires_at": "2027-01-15T00:00:00Z"})),
        ("confirm", json!({"confirm": "manual"})),
    ]
}

async fn other_channel(stage: &Stage) -> String {
    let body = json!({"plugin": "inicis", "preset": "test_pay", "name": "other"});
    let made = stage.post("/v1/channels", &body).await.expect(201);
    text(&made, "id")
}

#[tokio::test(flavor = "multi_thread")]
async fn other_details_are_taken_over_while_no_window_was_opened() {
    let stage = Stage::start().await;
    let channel = other_channel(&stage).await;
    for (at, (field, more)) in changes(&channel).into_iter().enumerate() {
        let name = format!("A-{at}");
        let first = stage.create(&name).await;
        let taken = again(&stage, &name, more.clone()).await.expect(200);
        assert_eq!((&taken["id"], &taken["checkout_url"]), (&first["id"], &first["checkout_url"]), "{field}");
        let events = stage.timeline(&stage.shop, &first).await;
        let updated = events.iter().find(|item| item["name"] == "payment.updated");
        assert_eq!(
            updated.unwrap_or_else(|| panic!("{field}: {events:?}"))["data"]["fields"],
            json!([field])
        );
        // The same again changes nothing.
        assert_eq!(again(&stage, &name, more).await.expect(200)["id"], first["id"]);
        assert_eq!(count(&stage.names(&stage.shop, &first).await, "payment.updated"), 1, "{field}");
        let members = match field {
            "amount.total" => json!({"/amount/total": 12_000}),
            "amount.tax.free" => json!({"/amount/tax_free": 20_900}),
            "order_name" => json!({"/order_name": "다른 이름"}),
            "method" => json!({"/method/kind": "transfer"}),
            "channel_id" => json!({"/channel_id": channel}),
            "metadata" => json!({"/metadata/cart": [1, 2]}),
            "expires_at" => json!({"/expires_at": "2027-01-15T00:00:00Z"}),
            _ => json!({}),
        };
        has(&stage.payment(&first).await, &members, field);
    }
    // What the window is made of are the new ones.
    let first = stage.create("B-1").await;
    let more = json!({"amount": {"total": 12_000}, "device": "mobile", "buyer": {"name": "김철수"}});
    again(&stage, "B-1", more).await.expect(200);
    let page = stage.open_page(&text(&first, "checkout_url")).await;
    let fields = hidden_fields(&page.text);
    let field = |name: &str| fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    assert_eq!((field("P_AMT"), field("P_UNAME")), (Some("12000"), Some("김철수")), "{fields:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn once_a_window_was_opened_every_member_that_differs_is_named() {
    let stage = Stage::start().await;
    let channel = other_channel(&stage).await;
    let first = stage.create("A-1").await;
    let window = stage.open(&first).await;
    let mut paid = false;
    for _ in 0..2 {
        for (field, more) in changes(&channel) {
            let problem = again(&stage, "A-1", more).await.problem(409, "order_differs");
            assert_eq!(
                (&problem["fields"], &problem["field"]),
                (&json!([field]), &json!(field)),
                "{problem}"
            );
        }
        let two = json!({"amount": {"total": 12_000, "currency": "KRW"}, "language": "en"});
        let problem = again(&stage, "A-1", two).await.problem(409, "order_differs");
        assert_eq!(problem["fields"], json!(["amount.total", "language"]));
        assert_eq!(again(&stage, "A-1", json!({})).await.expect(200)["id"], first["id"]);
        if !paid {
            stage.come_back(&stage.choose(&window, pay()).await).await;
            paid = true;
        }
    }
    has(&stage.payment(&first).await, &json!({"/state": "paid", "/amount/total": 20_900}), "unchanged");
    assert_eq!(count(&stage.names(&stage.shop, &first).await, "payment.updated"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replacement_gives_the_old_payment_up_and_makes_the_new_one() {
    let stage = Stage::start().await;
    let old = again(&stage, "A-1", json!({"amount": {"total": 10_000}})).await.expect(201);
    let window = stage.open(&old).await;
    let back = stage.choose(&window, pay()).await;
    let more = json!({"amount": {"total": 12_000}, "replace": true});
    let new = again(&stage, "A-1", more.clone()).await.expect(201);
    assert_ne!(new["id"], old["id"]);
    assert_eq!(again(&stage, "A-1", more.clone()).await.expect(200)["id"], new["id"], "a repeat");
    let events = stage.timeline(&stage.shop, &old).await;
    let over = events.iter().find(|item| item["name"] == "payment.cancelled").unwrap();
    assert_eq!(over["data"], json!({"given_up": "replaced", "reason": null, "replaced_by": new["id"]}));
    assert_eq!(stage.payment(&old).await["state"], "cancelled");
    assert_eq!(stage.come_back(&back).await.result, "cancelled");
    let window = stage.open(&new).await;
    assert_eq!(stage.come_back(&stage.choose(&window, pay()).await).await.result, "paid");
    let held: u64 = stage.held().await.iter().map(|sale| sale["remaining"].as_u64().unwrap()).sum();
    assert_eq!(held, 12_000);
    // Paid: the same is the same, anything else is refused.
    assert_eq!(again(&stage, "A-1", more).await.expect(200)["state"], "paid");
    let problem = again(&stage, "A-1", json!({"amount": {"total": 1_000}, "replace": true})).await;
    assert_eq!(problem.problem(409, "already_paid")["fields"], json!(["amount.total"]));
    // An order that nobody holds is simply made; one that waits for the shop is replaced.
    let manual = json!({"confirm": "manual", "replace": true});
    let old = again(&stage, "A-2", manual).await.expect(201);
    let window = stage.open(&old).await;
    let outcome = stage.come_back(&stage.choose(&window, pay()).await).await;
    assert_eq!(outcome.result, "awaiting_confirm");
    again(&stage, "A-2", json!({"replace": true})).await.expect(201);
    let confirm = format!("/v1/payments/{}/confirm", text(&old, "id"));
    stage.post(&confirm, &json!({})).await.problem(409, "not_confirmable");
    assert_eq!(stage.count("approved").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_still_be_paid_into_is_not_replaced_and_a_refused_order_replaces_nothing() {
    let stage = Stage::start().await;
    let (waits, _) = awaiting(&stage, &stage.shop, "account", "pc").await;
    let other = json!({"amount": {"total": 1_000}, "replace": true});
    again(&stage, "account", other.clone()).await.problem(409, "account_open");
    assert_eq!(stage.payment(&waits).await["state"], "awaiting_deposit");

    // An order that cannot be paid is refused before the old one is touched.
    let old = stage.create("A-1").await;
    let window = stage.open(&old).await;
    let bad = json!({"options": {"colour": "red"}, "replace": true});
    assert!([400, 422].contains(&again(&stage, "A-1", bad).await.status));
    let bad = json!({"webhook_url": "http://127.0.0.1:9/", "replace": true});
    assert!(again(&stage, "A-1", bad).await.status >= 400);
    let back = stage.choose(&window, pay()).await;
    for operation in ["net_cancel", "inquiry"] {
        stage.fault(operation, "drop_before", json!({"times": "always"})).await;
    }
    stage.fault("pay_auth", "drop_before", json!({})).await;
    let come_back = stage.post_back(&back);
    let refused = async {
        eventually("the attempt is in doubt", SOON, async || {
            (stage.payment(&old).await["resolution"] == "in_doubt").then_some(())
        })
        .await;
        again(&stage, "A-1", other).await.problem(409, "payment_in_doubt");
        stage.no_faults().await;
    };
    tokio::join!(come_back, refused);
    let listed = stage.get("/v1/payments?order_id=A-1").await.expect(200);
    assert_eq!(listed["data"].as_array().unwrap().len(), 1);
}

/// The payments of an order.
async fn of_order(stage: &Stage, order_id: &str) -> Vec<Value> {
    let listed = stage.get(&format!("/v1/payments?order_id={order_id}&limit=100")).await.expect(200);
    listed["data"].as_array().unwrap().clone()
}

/// Eight replacements at once, each with a total of its own: all of them are answered, and one payment is left.
async fn replacements(stage: &Stage, hosts: &[String]) {
    for round in 0..5 {
        let name = format!("R-{round}");
        let old = stage.create(&name).await;
        stage.open(&old).await;
        let calls = (0..8).map(|at| {
            // Two clients each want the same.
            let more = json!({"amount": {"total": 1_000 * (1 + at / 2)}, "replace": true});
            let call = Call::new(&stage.client, "POST", format!("{}/v1/payments", hosts[at % hosts.len()]));
            call.key(&stage.shop.key).json(&order(&name, more)).send()
        });
        let answers = futures_util::future::join_all(calls).await;
        assert!(answers.iter().all(|answer| [200, 201].contains(&answer.status)), "{answers:?}");
        let payments = of_order(stage, &name).await;
        let open: Vec<_> = payments.iter().filter(|payment| payment["state"] != "cancelled").collect();
        assert_eq!(open.len(), 1, "{payments:?}");
        let made = answers.iter().filter(|answer| answer.status == 201).count();
        assert_eq!(made, payments.len() - 1, "every payment was told of once: {answers:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replacements_at_once_leave_one_payment() {
    let stage = Stage::start().await;
    replacements(&stage, std::slice::from_ref(&stage.url)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_postgresql_replacements_at_two_hosts_leave_one_payment() {
    let stage = Stage::on_postgres().await;
    let folder = tempfile::tempdir().unwrap();
    let (_second, url) = crate::postgres::second_host(&stage, folder.path(), true).unwrap();
    replacements(&stage, &[stage.url.clone(), url]).await;
}

/// A replacement, and the buyer's return from the old window: one of them is first, and the order is never paid twice.
async fn replacement_against_return(stage: &Stage, hosts: &[String]) {
    for round in 0..8 {
        let name = format!("R-{round}");
        let old = stage.create(&name).await;
        let window = stage.open(&old).await;
        let back = stage.choose(&window, pay()).await;
        let path = back.url.strip_prefix(&stage.url).unwrap();
        let more = json!({"amount": {"total": 12_000}, "replace": true});
        let replace = Call::new(&stage.client, "POST", format!("{}/v1/payments", hosts[0]));
        let replace = replace.key(&stage.shop.key).json(&order(&name, more)).send();
        let last = hosts.last().unwrap();
        let come_back = Call::new(&stage.client, "POST", format!("{last}{path}")).form(&back.fields).send();
        let (answer, page) = tokio::join!(replace, come_back);
        assert_eq!(page.status, 303, "{}", page.text);
        let approved = stage.sales(window.order_ref()).await;
        let held = approved.iter().any(|sale| sale["remaining"].as_u64().unwrap() > 0);
        let now = stage.payment(&old).await;
        if answer.status == 201 {
            assert_eq!((&now["state"], held), (&json!("cancelled"), false), "{name}: {now}");
        } else {
            let code = text(&answer.json(), "code");
            assert!(["payment_busy", "already_paid"].contains(&code.as_str()), "{}", answer.text);
            assert_eq!((&now["state"], held), (&json!("paid"), true), "{name}: {now}");
            assert_eq!(of_order(stage, &name).await.len(), 1, "nothing was made");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replacement_and_a_return_at_once_never_pay_an_order_twice() {
    let stage = Stage::start().await;
    replacement_against_return(&stage, std::slice::from_ref(&stage.url)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_postgresql_a_replacement_and_a_return_at_two_hosts_never_pay_an_order_twice() {
    let stage = Stage::on_postgres().await;
    let folder = tempfile::tempdir().unwrap();
    let (_second, url) = crate::postgres::second_host(&stage, folder.path(), true).unwrap();
    replacement_against_return(&stage, &[stage.url.clone(), url]).await;
}

/// A window that is being opened while the shop changes the order is made of one or the other, never of what is over.
async fn opening_against_change(stage: &Stage, hosts: &[String]) {
    for round in 0..10 {
        let name = format!("R-{round}");
        let first = stage.create(&name).await;
        let more = json!({"amount": {"total": 12_000}});
        let change = Call::new(&stage.client, "POST", format!("{}/v1/payments", hosts[0]));
        let change = change.key(&stage.shop.key).json(&order(&name, more)).send();
        let path = text(&first, "checkout_url");
        let path = path.strip_prefix(&stage.url).unwrap();
        let open = Call::new(&stage.client, "POST", format!("{}{path}", hosts.last().unwrap()));
        let (changed, page) = tokio::join!(change, open.form(&[]).send());
        let now = stage.payment(&first).await;
        let total = now["amount"]["total"].as_i64().unwrap();
        match changed.status {
            200 => assert_eq!(total, 12_000),
            _ => assert_eq!(changed.problem(409, "order_differs")["fields"], json!(["amount.total"])),
        }
        if page.status == 200 {
            let fields = hidden_fields(&page.text);
            let price = fields.iter().find(|(known, _)| known == "price").unwrap();
            assert_eq!(price.1, total.to_string(), "{name}");
        } else {
            assert_eq!(page.status, 409, "{}", visible(&page.text));
            assert!(visible(&page.text).contains("12,000원"), "{}", visible(&page.text));
            assert_eq!(now["state"], "created");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_is_never_opened_for_details_that_were_changed_meanwhile() {
    let stage = Stage::start().await;
    opening_against_change(&stage, std::slice::from_ref(&stage.url)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_postgresql_a_window_is_never_opened_for_details_that_were_changed_at_another_host() {
    let stage = Stage::on_postgres().await;
    let folder = tempfile::tempdir().unwrap();
    let (_second, url) = crate::postgres::second_host(&stage, folder.path(), true).unwrap();
    opening_against_change(&stage, &[stage.url.clone(), url]).await;
}
