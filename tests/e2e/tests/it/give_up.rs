//! A shop gives an unpaid payment up: its windows are over, and no money is taken or lost, whoever is faster.

use std::time::Duration;

use serde_json::{Value, json};

use crate::stage::buyer::{Fields, Return, pay};
use crate::stage::deposit::{TOTAL, awaiting, count, in_state, sim, told};
use crate::stage::html::{attribute, visible};
use crate::stage::http::{Answer, Call};
use crate::stage::sale::{DEVICES, cancel, has, method, order_ref, stage};
use crate::stage::{Stage, eventually, text};

const SOON: Duration = Duration::from_secs(20);

/// A payment whose buyer is through the gateway's window and on the way back.
async fn authenticated(stage: &Stage, order_id: &str, more: Value) -> (Value, Return) {
    let created = stage.create_as(&stage.shop, order_id, more).await.expect(201);
    let window = stage.open(&created).await;
    let back = stage.choose(&window, pay()).await;
    (created, back)
}

/// What the payment was told to be cancelled with.
async fn why(stage: &Stage, created: &Value) -> Value {
    let timeline = stage.timeline(&stage.shop, created).await;
    let event = timeline.iter().find(|item| item["name"] == "payment.cancelled");
    event.unwrap_or_else(|| panic!("{timeline:?}"))["data"].clone()
}

async fn calls(stage: &Stage, created: &Value) -> usize {
    stage.timeline(&stage.shop, created).await.iter().filter(|item| item["kind"] == "call").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unpaid_payment_is_given_up_once_and_says_so_under_its_key() {
    let stage = Stage::start().await;
    let created = stage.create("A-1").await;
    let over = cancel(&stage, &created, "k-1", json!({"reason": "품절"})).await.expect(200);
    has(
        &over,
        &json!({"/state": "cancelled", "/resolution": "none", "/amount/paid": 0, "/cancellable": null}),
        "given up",
    );
    assert_eq!(
        why(&stage, &created).await,
        json!({"given_up": "shop", "reason": "품절", "replaced_by": null})
    );
    assert_eq!(cancel(&stage, &created, "k-1", json!({"reason": "품절"})).await.expect(200), over);
    cancel(&stage, &created, "k-1", json!({})).await.problem(422, "idempotency_mismatch");
    cancel(&stage, &created, "k-2", json!({})).await.problem(409, "not_cancellable");
    assert_eq!(count(&stage.names(&stage.shop, &created).await, "payment.cancelled"), 1);
    // Its page says so, and opens nothing.
    for verb in ["GET", "POST"] {
        let page = stage.call(verb, &text(&created, "checkout_url")).form(&[]).send().await;
        assert!(visible(&page.text).contains("결제된 금액은 없습니다"), "{verb}: {}", visible(&page.text));
        assert!(!page.text.contains("data-testid=\"open-window\""), "{verb}");
    }
    // The order is free, also for another total.
    let new = stage.create_as(&stage.shop, "A-1", json!({"amount": {"total": 12_000}})).await.expect(201);
    assert_ne!(new["id"], created["id"]);
    // An amount means a refund, and there is nothing to refund.
    for body in [json!({"amount": 900}), json!({"tax": {"vat": 0}})] {
        cancel(&stage, &new, "k-3", body).await.problem(409, "not_cancellable");
    }
    assert_eq!(stage.payment(&new).await["state"], "created");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_return_after_giving_up_authenticates_nothing_and_takes_nothing() {
    let stage = stage().await;
    for device in DEVICES {
        for (language, sentence) in [("ko", "결제된 금액은 없습니다"), ("en", "No money was taken")]
        {
            let name = format!("{device}-{language}");
            let more = json!({"device": device, "language": language});
            let (created, back) = authenticated(&stage, &name, more).await;
            cancel(&stage, &created, &name, json!({})).await.expect(200);
            let before = calls(&stage, &created).await;
            for _ in 0..2 {
                let outcome = stage.come_back(&back).await;
                assert_eq!(outcome.result, "cancelled", "{name}: {}", outcome.words);
                assert!(outcome.words.contains(sentence), "{name}: {}", outcome.words);
                let link = attribute(&outcome.html, "id=\"payhost-return\"", "href").unwrap();
                assert!(
                    link.ends_with("&result=cancelled") || link.ends_with("&amp;result=cancelled"),
                    "{link}"
                );
            }
            assert_eq!(calls(&stage, &created).await, before, "{name}: the return is not even read");
            has(&stage.payment(&created).await, &json!({"/state": "cancelled", "/amount/paid": 0}), &name);
        }
    }
    assert_eq!((stage.count("approved").await, stage.held().await.len()), (0, 0));
}

/// A buyer who left the window may still come back from it; a window that waits for the shop is over, too.
#[tokio::test(flavor = "multi_thread")]
async fn windows_that_were_left_or_wait_for_the_shop_are_over_too() {
    let stage = stage().await;
    let created = stage.create("left").await;
    let window = stage.open(&created).await;
    let back = stage.choose(&window, pay()).await;
    assert_eq!(stage.call("POST", &window.leave).form(&[]).send().await.status, 303);
    cancel(&stage, &created, "k-1", json!({})).await.expect(200);
    assert_eq!(stage.come_back(&back).await.result, "cancelled");
    let left = stage.call("POST", &window.leave).form(&[]).send().await;
    assert_eq!(stage.outcome(left.header("location")).await.result, "cancelled");

    let (created, back) = authenticated(&stage, "manual", json!({"confirm": "manual"})).await;
    assert_eq!(stage.come_back(&back).await.result, "awaiting_confirm");
    cancel(&stage, &created, "k-2", json!({})).await.expect(200);
    let path = format!("/v1/payments/{}/confirm", text(&created, "id"));
    let problem = stage.post(&path, &json!({})).await.problem(409, "not_confirmable");
    assert!(text(&problem, "detail").contains("given up"), "{problem}");
    assert_eq!(stage.come_back(&back).await.result, "cancelled");
    assert_eq!(stage.count("approved").await, 0);
}

/// The shop's cart became dearer while the buyer stood in the window: 10,000 and 12,000 were both paid so.
#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_was_given_up_and_made_again_is_paid_once() {
    let stage = Stage::start().await;
    let (old, back) = authenticated(&stage, "A-1", json!({"amount": {"total": 10_000}})).await;
    cancel(&stage, &old, "k-1", json!({})).await.expect(200);
    let (new, newer) = authenticated(&stage, "A-1", json!({"amount": {"total": 12_000}})).await;
    assert_eq!(stage.come_back(&newer).await.result, "paid");
    assert_eq!(stage.come_back(&back).await.result, "cancelled");
    let held: u64 = stage.held().await.iter().map(|sale| sale["remaining"].as_u64().unwrap()).sum();
    assert_eq!(held, 12_000);
    assert_eq!(stage.payment(&old).await["state"], "cancelled");
    assert_eq!(stage.payment(&new).await["amount"]["paid"], 12_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_unpaid_never_gives_money_back() {
    let stage = Stage::start().await;
    let paid = stage.paid("A-1").await;
    let only = json!({"only_unpaid": true});
    cancel(&stage, &paid, "k-1", only.clone()).await.problem(409, "already_paid");
    cancel(&stage, &paid, "k-2", json!({"amount": 900})).await.expect(200);
    cancel(&stage, &paid, "k-1", only.clone()).await.problem(409, "already_paid");
    assert_eq!(stage.held().await[0]["remaining"], TOTAL - 900);
    cancel(&stage, &paid, "k-3", json!({})).await.expect(200);
    cancel(&stage, &paid, "k-1", only.clone()).await.problem(409, "not_cancellable");
    let created = stage.create("A-2").await;
    stage.open(&created).await;
    assert_eq!(cancel(&stage, &created, "k-1b", only).await.expect(200)["state"], "cancelled");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_given_up_while_an_attempt_is_open_or_in_doubt() {
    let stage = Stage::start().await;
    let (created, back) = authenticated(&stage, "A-1", json!({})).await;
    stage.fault("pay_auth", "slow", json!({"ms": 1_500})).await;
    let refused = async {
        eventually("the attempt is open", SOON, async || {
            count(&stage.names(&stage.shop, &created).await, "complete intent").eq(&1).then_some(())
        })
        .await;
        cancel(&stage, &created, "k-1", json!({})).await.problem(409, "payment_busy");
    };
    let (outcome, ()) = tokio::join!(stage.come_back(&back), refused);
    assert_eq!(outcome.result, "paid");

    let (created, back) = authenticated(&stage, "A-2", json!({})).await;
    for operation in ["net_cancel", "inquiry"] {
        stage.fault(operation, "drop_before", json!({"times": "always"})).await;
    }
    stage.fault("pay_auth", "drop_before", json!({})).await;
    let come_back = stage.post_back(&back);
    let refused = async {
        eventually("the attempt is in doubt", SOON, async || {
            (stage.payment(&created).await["resolution"] == "in_doubt").then_some(())
        })
        .await;
        for body in [json!({}), json!({"only_unpaid": true}), json!({"close_account": true})] {
            cancel(&stage, &created, "k-2", body).await.problem(409, "payment_in_doubt");
        }
        stage.no_faults().await;
    };
    tokio::join!(come_back, refused);
    assert_eq!(count(&stage.names(&stage.shop, &created).await, "payment.cancelled"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_account_is_closed_first_or_with_the_cancel() {
    let stage = told(Stage::start().await).await;
    let (created, oid) = awaiting(&stage, &stage.shop, "A-1", "pc").await;
    for (at, body) in [json!({}), json!({"only_unpaid": true})].into_iter().enumerate() {
        let problem = cancel(&stage, &created, &format!("k-{at}"), body).await.problem(409, "account_open");
        let route = format!("/v1/payments/{}/virtual-account/close", text(&created, "id"));
        assert!(text(&problem, "detail").contains(&route), "{problem}");
    }
    assert_eq!(stage.payment(&created).await["state"], "awaiting_deposit");
    let body = json!({"close_account": true, "only_unpaid": true});
    let closed = cancel(&stage, &created, "k-9", body.clone()).await.expect(200);
    has(&closed, &json!({"/state": "cancelled", "/resolution": "none", "/amount/paid": 0}), "closed");
    assert_eq!(cancel(&stage, &created, "k-9", body).await.expect(200), closed);
    assert_ne!(stage.sales(&oid).await[0]["state"], "awaiting_deposit");
    assert_eq!(count(&stage.names(&stage.shop, &created).await, "closed"), 1);

    // Its answer is lost: the gateway is asked, and the key of the cancel answers what it says.
    let (created, oid) = awaiting(&stage, &stage.shop, "A-2", "pc").await;
    stage.fault("refund", "drop_after", json!({"oid": oid})).await;
    let close = || cancel(&stage, &created, "k-10", json!({"close_account": true}));
    let first = close().await;
    assert!([200, 202].contains(&first.status), "{}", first.text);
    in_state(&stage, &stage.shop, &created, "cancelled").await;
    assert_eq!(close().await.expect(200)["state"], "cancelled");
}

/// A phone's transfer in one transaction: the gateway approves without us, and tells by its notice alone. (Our own form asks for
/// two transactions; somebody's app or proxy took that away.)
pub async fn approved_by_notice(stage: &Stage, fields: &Fields) {
    let mut fields: Fields = fields.clone();
    for (name, value) in &mut fields {
        if name == "P_RESERVED" {
            *value = value.replace("twotrs_bank=Y", "twotrs_bank=N");
        }
    }
    fields.retain(|(name, _)| name != "P_NOTI_URL");
    let notify = format!("{}/notify/{}/{}", stage.url, stage.shop.id, stage.shop.channel);
    fields.push(("P_NOTI_URL".to_owned(), notify));
    fields.push(("P_RETURN_URL".to_owned(), "http://127.0.0.1:9/".to_owned()));
    let answer = stage.play(&fields, json!({"choice": "pay", "bank": "88"})).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    sim(stage, "POST", "notices/settle", json!({})).await.expect(200);
}

pub fn transfer() -> Value {
    json!({"device": "mobile", "method": method("transfer", "")})
}

async fn resolve(stage: &Stage, created: &Value, key: &str, finding: &str) -> Answer {
    let path = format!("/v1/payments/{}/resolve", text(created, "id"));
    let call = stage
        .call("POST", &path)
        .key(&stage.operator_key())
        .acting(&stage.shop.id)
        .header("idempotency-key", key);
    call.json(&json!({"finding": finding, "note": "buyer wants it", "by": "김운영"})).send().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_after_giving_up_is_a_fact_and_a_persons() {
    let stage = stage().await;
    for keep in [true, false] {
        let name = format!("A-{keep}");
        let created = stage.create_as(&stage.shop, &name, transfer()).await.expect(201);
        let window = stage.open(&created).await;
        cancel(&stage, &created, &name, json!({})).await.expect(200);
        approved_by_notice(&stage, &window.fields).await;
        let paid = in_state(&stage, &stage.shop, &created, "paid").await;
        has(&paid, &json!({"/resolution": "needs_operator", "/amount/paid": TOTAL}), &name);
        let names = stage.names(&stage.shop, &created).await;
        assert_eq!(count(&names, "payment.late_money"), 1, "{names:?}");
        let path = "/v1/attention?kind=payment_needs_operator";
        let waiting = stage.call("GET", path).key(&stage.operator_key()).send().await.expect(200);
        let found = waiting["data"].as_array().unwrap().iter().find(|item| item["id"] == created["id"]);
        assert_eq!(found.unwrap_or_else(|| panic!("{waiting}"))["reason"], "late_money");
        // The order is paid by it: nobody makes a second payment in the belief that nothing is held.
        let again = stage.create_as(&stage.shop, &name, transfer()).await.expect(200);
        assert_eq!(again["id"], created["id"]);
        cancel(&stage, &created, "k-1", json!({"only_unpaid": true})).await.problem(409, "already_paid");
        if keep {
            let kept = resolve(&stage, &created, &name, "kept").await.expect(200);
            has(&kept, &json!({"/state": "paid", "/resolution": "none"}), "kept");
            resolve(&stage, &created, "again", "kept").await.problem(409, "not_in_doubt");
        } else {
            let back = cancel(&stage, &created, "k-2", json!({})).await.expect(200);
            has(&back, &json!({"/state": "cancelled", "/resolution": "none"}), "given back");
        }
    }
    assert_eq!(stage.held().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_for_an_order_with_another_payment_is_given_back() {
    let stage = stage().await;
    let old = stage.create_as(&stage.shop, "A-1", transfer()).await.expect(201);
    let window = stage.open(&old).await;
    cancel(&stage, &old, "k-1", json!({})).await.expect(200);
    let (new, outcome) = stage.pay_as(&stage.shop, "A-1").await;
    assert_eq!(outcome.result, "paid");
    approved_by_notice(&stage, &window.fields).await;
    let given_back = eventually("the late approval is given back", SOON, async || {
        let now = stage.payment(&old).await;
        (now["amount"]["cancelled"] == TOTAL).then_some(now)
    })
    .await;
    has(&given_back, &json!({"/state": "cancelled", "/resolution": "none", "/amount/paid": TOTAL}), "old");
    assert_eq!(stage.sales(order_ref(&window)).await[0]["remaining"], 0);
    assert_eq!(stage.payment(&new).await["state"], "paid");
    let timeline = stage.timeline(&stage.shop, &old).await;
    let late = timeline.iter().find(|item| item["name"] == "payment.late_money").unwrap();
    has(&late["data"], &json!({"/other_payment": new["id"], "/given_back": true}), "event");
    let held: u64 = stage.held().await.iter().map(|sale| sale["remaining"].as_u64().unwrap()).sum();
    assert_eq!(held, u64::try_from(TOTAL).unwrap());
}

/// Eight clients at once: four cancels and four returns. Whoever is first, host and gateway agree.
async fn cancel_against_return(stage: &Stage, hosts: &[String], rounds: usize) -> (usize, usize) {
    let (mut given_up, mut paid) = (0, 0);
    for round in 0..rounds {
        let name = format!("race-{round}");
        let (created, back) = authenticated(stage, &name, json!({})).await;
        let path = back.url.strip_prefix(&stage.url).unwrap().to_owned();
        let (returns, cancels): (Vec<_>, Vec<_>) = (0..4)
            .map(|at| {
                let base = &hosts[at % hosts.len()];
                let come =
                    Call::new(&stage.client, "POST", format!("{base}{path}")).form(&back.fields).send();
                let url = format!("{base}/v1/payments/{}/cancel", text(&created, "id"));
                let body = json!({"only_unpaid": true});
                let call = Call::new(&stage.client, "POST", url).key(&stage.shop.key);
                (come, call.header("idempotency-key", &format!("{name}-{at}")).json(&body).send())
            })
            .unzip();
        let returns = futures_util::future::join_all(returns);
        let cancels = futures_util::future::join_all(cancels);
        // Now the one, now the other is sent first.
        let (_, cancels) = if round % 2 == 0 {
            tokio::join!(returns, cancels)
        } else {
            flip(tokio::join!(cancels, returns))
        };
        let done = cancels.iter().filter(|answer| answer.status == 200).count();
        let now = eventually("it is known", SOON, async || {
            let now = stage.payment(&created).await;
            ["cancelled", "paid"].contains(&now["state"].as_str().unwrap()).then_some(now)
        })
        .await;
        let held = stage.sales("").await.pop().unwrap()["remaining"].as_i64();
        if now["state"] == "paid" {
            assert_eq!((done, held), (0, Some(TOTAL)), "{name}: {cancels:?}");
            paid += 1;
        } else {
            assert_eq!(done, 1, "{name}: one key gives up, the others are told: {cancels:?}");
            assert!(held.is_none_or(|held| held == 0), "{name}: {held:?}");
            has(&now, &json!({"/amount/paid": 0, "/resolution": "none"}), &name);
            given_up += 1;
        }
        let codes = ["payment_busy", "already_paid", "not_cancellable", "payment_in_doubt"];
        for answer in cancels.iter().filter(|answer| answer.status != 200) {
            let code = text(&answer.json(), "code");
            assert!(answer.status == 409 && codes.contains(&code.as_str()), "{}", answer.text);
        }
    }
    (given_up, paid)
}

fn flip<A, B>((a, b): (A, B)) -> (B, A) {
    (b, a)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_and_a_return_at_once_leave_books_that_agree() {
    let stage = Stage::start().await;
    let seen = cancel_against_return(&stage, std::slice::from_ref(&stage.url), 10).await;
    println!("{seen:?} were given up, and paid");
}

#[tokio::test(flavor = "multi_thread")]
async fn on_postgresql_a_cancel_and_a_return_at_two_hosts_leave_books_that_agree() {
    let stage = Stage::on_postgres().await;
    let folder = tempfile::tempdir().unwrap();
    let (_second, url) = crate::postgres::second_host(&stage, folder.path(), true).unwrap();
    let seen = cancel_against_return(&stage, &[stage.url.clone(), url], 10).await;
    println!("{seen:?} were given up, and paid");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_is_opened_too_often_ends_and_its_order_is_free() {
    let stage = Stage::start().await;
    let created = stage.create("A-1").await;
    let window = stage.open(&created).await;
    let back = stage.choose(&window, pay()).await;
    for _ in 1..100 {
        assert_eq!(stage.open_page(&text(&created, "checkout_url")).await.status, 200);
    }
    let page = stage.open_page(&text(&created, "checkout_url")).await;
    assert_eq!(page.status, 410, "{}", visible(&page.text));
    assert!(visible(&page.text).contains("다시 주문해 주세요"), "{}", visible(&page.text));
    assert_eq!(stage.payment(&created).await["state"], "cancelled");
    assert_eq!(why(&stage, &created).await["given_up"], "too_many_openings");
    assert_eq!(stage.come_back(&back).await.result, "cancelled");
    assert_eq!(stage.count("approved").await, 0);
    let (new, outcome) = stage.pay_as(&stage.shop, "A-1").await;
    assert_eq!((outcome.result.as_str(), new["id"] == created["id"]), ("paid", false));
}
