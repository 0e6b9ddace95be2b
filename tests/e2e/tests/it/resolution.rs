//! How a doubt ends: by asking again when the gateway answers, by a person's finding, and never by a change of the channel. And
//! what the gateway changes by itself.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::stage::buyer::{Window, pay};
use crate::stage::http::Answer;
use crate::stage::process::Ended;
use crate::stage::{LOOKUP, Shop, Stage, eventually, payhost, text};

/// A payment whose approval went wrong.
async fn in_doubt(stage: &Stage, shop: &Shop, name: &str, faults: &[(&str, &str)]) -> (Value, Window) {
    let created = stage.create_as(shop, name, json!({})).await.expect(201);
    let window = stage.open(&created).await;
    for (operation, fault) in faults {
        stage.fault(operation, fault, json!({"oid": window.order_ref(), "times": "always"})).await;
    }
    stage.come_back(&stage.choose(&window, pay()).await).await;
    (created, window)
}

async fn patch(stage: &Stage, shop: &Shop, body: Value) -> Answer {
    let path = format!("/v1/channels/{}", shop.channel);
    stage.call("PATCH", &path).key(&shop.key).json(&body).send().await
}

async fn until(stage: &Stage, shop: &Shop, created: &Value, resolution: &str, within: u64) -> Value {
    let what = format!("{} is {resolution}", text(created, "id"));
    eventually(&what, Duration::from_secs(within), async || {
        let now = stage.payment_as(shop, created).await;
        (now["resolution"] == resolution).then_some(now)
    })
    .await
}

async fn figures(stage: &Stage) -> Value {
    stage.call("GET", "/v1/figures").key(&stage.operator_key()).send().await.expect(200)
}

/// How often the gateway was asked and did not answer.
async fn asked_in_vain(stage: &Stage) -> u64 {
    let url = format!("{}/_sim/faults", stage.gateway.browser_origin);
    let body = stage.call("GET", &url).send().await.expect(200);
    let faults = body["faults"].as_array().unwrap().clone();
    let silent = |fault: &&Value| fault["operation"] == "inquiry" || fault["operation"] == "net_cancel";
    faults.iter().filter(silent).map(|fault| fault["hits"].as_u64().unwrap()).sum()
}

async fn held(stage: &Stage, window: &Window) -> u64 {
    stage.sales(window.order_ref()).await.iter().map(|sale| sale["remaining"].as_u64().unwrap()).sum()
}

async fn find(stage: &Stage, shop: &Shop, created: &Value, key: &str, body: Value) -> Answer {
    let path = format!("/v1/payments/{}/resolve", text(created, "id"));
    let call =
        stage.call("POST", &path).key(&stage.operator_key()).acting(&shop.id).header("idempotency-key", key);
    call.json(&body).send().await
}

async fn sync(stage: &Stage, shop: &Shop, created: &Value) -> Answer {
    stage.call("POST", &format!("/v1/payments/{}/sync", text(created, "id"))).key(&shop.key).send().await
}

async fn cancel_in_admin(stage: &Stage, created: &Value, price: Option<u64>) {
    let payment = stage.payment(created).await;
    let body = json!({"tid": text(&payment, "gateway_ref"), "price": price});
    let url = format!("{}/_sim/cancel", stage.gateway.browser_origin);
    stage.call("POST", &url).json(&body).send().await.expect(204);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_doubt_is_left_a_minute_after_the_gateway_answers_again() {
    let stage = Stage::start().await;
    let settings = json!({"mid": LOOKUP, "lookup_by": "order_ref", "settles_within": 10});
    let shop = stage.new_shop("조회 가게", settings).await;
    // Booked and lost, never arrived, and a cancel that was booked and lost; then the gateway is silent for good.
    let (paid, _) = stage.pay_as(&shop, "A-0").await;
    stage.fault("inquiry", "drop_before", json!({"times": "always"})).await;
    stage.fault("net_cancel", "drop_before", json!({"times": "always"})).await;
    let tries = (0..8).map(|at| {
        let (stage, shop) = (&stage, &shop);
        async move {
            let fault = if at % 2 == 0 { "drop_after" } else { "drop_before" };
            in_doubt(stage, shop, &format!("A-1{at}"), &[("pay_auth", fault)]).await
        }
    });
    let tried = futures_util::future::join_all(tries).await;
    stage.fault("refund", "drop_after", json!({})).await;
    stage.cancel(&shop, &paid, "k-1").await.expect(202);
    assert_eq!(figures(&stage).await["in_doubt"], 9);
    // Then the next try of all but the oldest lies almost a minute ahead.
    eventually("the gateway was asked in vain", Duration::from_secs(60), async || {
        (stage.count("approved").await == 5 && asked_in_vain(&stage).await >= 43).then_some(())
    })
    .await;
    stage.no_faults().await;
    let healed = Instant::now();
    eventually("no payment is in doubt", Duration::from_secs(40), async || {
        (figures(&stage).await["in_doubt"] == 0).then_some(())
    })
    .await;
    eprintln!("in doubt: 9 to 0 in {:?}", healed.elapsed());
    assert_eq!(figures(&stage).await["needs_operator"], 0);
    for (created, window) in &tried {
        let payment = stage.payment_as(&shop, created).await;
        let held = held(&stage, window).await;
        assert_eq!((payment["state"] == "paid", &payment["amount"]["cancellable"]), (held > 0, &json!(held)));
    }
    assert_eq!(stage.payment_as(&shop, &paid).await["state"], "cancelled");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_doubt_is_undone_and_asked_about_as_the_merchant_that_it_began_with() {
    let stage = Stage::start().await;
    let lookup = stage.shop_with_lookup().await;
    let plain = stage.shop.clone();
    let (sold, _) = stage.pay_as(&lookup, "A-0").await;
    let one =
        in_doubt(&stage, &plain, "A-1", &[("pay_auth", "drop_after"), ("net_cancel", "drop_before")]).await;
    let two = in_doubt(
        &stage,
        &lookup,
        "A-1",
        &[("pay_auth", "drop_after"), ("net_cancel", "drop_before"), ("inquiry", "drop_before")],
    )
    .await;
    for shop in [&plain, &lookup] {
        let other = json!({
            "mid": "INIother00", "sign_key": "A".repeat(32), "iniapi_key": "B".repeat(16), "lookup_by": "gateway_ref",
        });
        patch(&stage, shop, json!({"settings": other})).await.expect(200);
    }
    stage.no_faults().await;
    let undone = until(&stage, &plain, &one.0, "none", 30).await;
    assert_eq!((text(&undone, "state"), held(&stage, &one.1).await), ("pending".into(), 0), "{undone}");
    let ended = until(&stage, &lookup, &two.0, "none", 30).await;
    let left = held(&stage, &two.1).await;
    assert_eq!((text(&ended, "state") == "paid", &ended["amount"]["cancellable"]), (left > 0, &json!(left)));
    // What was sold as the old merchant is given back as the old merchant.
    stage.cancel(&lookup, &sold, "k-1").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_is_cancelled_with_the_newest_keys_of_its_merchant() {
    let stage = Stage::start().await;
    let paid = stage.paid("A-1").await;
    patch(&stage, &stage.shop, json!({"settings": {"iniapi_key": "C".repeat(16)}})).await.expect(200);
    // The gateway knows nothing of the new key, so that its use can be seen.
    stage.cancel(&stage.shop, &paid, "k-1").await.problem(402, "gateway_refused");
    patch(&stage, &stage.shop, json!({"settings": {"iniapi_key": "ItEQKi3rY7uvDS8l"}})).await.expect(200);
    stage.cancel(&stage.shop, &paid, "k-2").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_called_when_it_is_too_late_to_undo_and_ends_the_doubt_by_what_was_found() {
    let stage = Stage::start().await;
    let shop = stage.new_shop("늦은 가게", json!({"undo_within": 1})).await;
    let faults = [("pay_auth", "drop_after"), ("net_cancel", "drop_before")];
    let (taken, window) = in_doubt(&stage, &shop, "A-1", &faults).await;
    let (gone, _) = in_doubt(&stage, &shop, "A-2", &[("pay_auth", "drop_before"), faults[1]]).await;
    let (fresh, _) = in_doubt(&stage, &stage.shop, "A-3", &[("pay_auth", "drop_before")]).await;
    let found = |tid: &str| {
        json!({
            "finding": "approved", "gateway_ref": tid, "amount": 20_900, "method": {"kind": "card"},
            "note": "상점관리자에서 확인", "by": "홍길동",
        })
    };
    find(&stage, &stage.shop, &fresh, "f-0", found("tid")).await.problem(409, "payment_in_doubt");
    for created in [&taken, &gone] {
        until(&stage, &shop, created, "needs_operator", 30).await;
        let names = stage.names(&shop, created).await;
        for name in ["payment.needs_operator", "payment.alarm"] {
            assert!(names.contains(&name.to_owned()), "{names:?}");
        }
    }
    assert_eq!(figures(&stage).await["needs_operator"], 2);
    // Who asks is answered after one turn, not only when nobody waits any longer (10 s).
    let asking = tokio::time::timeout(Duration::from_secs(8), sync(&stage, &shop, &taken)).await;
    assert_eq!(asking.expect("asking ends with its turn").expect(202)["resolution"], "needs_operator");
    let tid = text(&stage.sales(window.order_ref()).await[0], "tid");
    // What does not fit is refused, names its member, and uses no key up.
    for (change, field) in [
        (json!({"amount": 20_901}), "amount"),
        (json!({"amount": null}), "amount"),
        (json!({"gateway_ref": null}), "gateway_ref"),
        (json!({"method": null}), "method"),
        (json!({"finding": "cancelled"}), "finding"),
        (json!({"note": " "}), "note"),
        (json!({"by": ""}), "by"),
        (json!({"at": "soon"}), "at"),
    ] {
        let mut body = found(&tid);
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let problem = find(&stage, &shop, &taken, "f-1", body).await.problem(400, "invalid_request");
        assert_eq!(problem["field"], field, "{problem}");
    }
    let paid = find(&stage, &shop, &taken, "f-1", found(&tid)).await.expect(200);
    assert_eq!((text(&paid, "state"), text(&paid, "gateway_ref")), ("paid".into(), tid.clone()));
    assert_eq!(find(&stage, &shop, &taken, "f-1", found(&tid)).await.expect(200), paid);
    find(&stage, &shop, &taken, "f-1", found("other")).await.problem(422, "idempotency_mismatch");
    find(&stage, &shop, &taken, "f-2", found(&tid)).await.problem(409, "not_in_doubt");
    // One sale cannot pay two orders.
    let twice = find(&stage, &shop, &gone, "f-3", found(&tid)).await.problem(400, "invalid_request");
    assert_eq!(twice["field"], "gateway_ref");
    let not = json!({"finding": "not_approved", "note": "거래 없음", "by": "홍길동"});
    let open = find(&stage, &shop, &gone, "f-4", not).await.expect(200);
    assert_eq!((text(&open, "state"), text(&open, "resolution")), ("pending".into(), "none".into()));
    assert_eq!(figures(&stage).await["needs_operator"], 0);
    // What a person found is a sale like any other.
    stage.no_faults().await;
    stage.cancel(&shop, &taken, "k-1").await.expect(200);
    assert_eq!(held(&stage, &window).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_made_at_the_gateway_becomes_known_by_asking() {
    let stage = Stage::start().await;
    let paid = stage.paid("A-1").await;
    let shop = stage.shop.clone();
    assert_eq!(sync(&stage, &shop, &paid).await.expect(200)["state"], "paid");
    stage.cancel_with(&shop, &paid, "k-1", &json!({"amount": 900})).await.expect(200);
    cancel_in_admin(&stage, &paid, Some(5_000)).await;
    for _ in 0..2 {
        let part = sync(&stage, &shop, &paid).await.expect(200);
        assert_eq!(
            (text(&part, "state"), &part["amount"]["cancelled"]),
            ("partially_cancelled".into(), &json!(5_900))
        );
    }
    let rest = stage.cancel(&shop, &paid, "k-2").await.expect(200);
    assert_eq!((text(&rest, "state"), &rest["amount"]["cancelled"]), ("cancelled".into(), &json!(20_900)));
    let names = stage.names(&shop, &paid).await;
    let changed = names.iter().filter(|name| *name == "payment.changed_at_gateway").count();
    assert_eq!(changed, 1, "{names:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn asking_says_why_it_could_not_and_changes_nothing() {
    let stage = Stage::start().await;
    let (paid, shop) = (stage.paid("A-1").await, stage.shop.clone());
    for (fault, status, code) in [
        ("drop_before", 502, "gateway_silent"),
        ("not_found", 409, "gateway_differs"),
        ("wrong_amount", 409, "gateway_differs"),
        ("wrong_order", 409, "gateway_differs"),
    ] {
        stage.fault("inquiry", fault, json!({})).await;
        sync(&stage, &shop, &paid).await.problem(status, code);
        let now = stage.payment(&paid).await;
        assert_eq!(
            (text(&now, "state"), text(&now, "resolution")),
            ("paid".into(), "none".into()),
            "{fault}"
        );
    }
    let unpaid = stage.create("A-2").await;
    assert_eq!(sync(&stage, &shop, &unpaid).await.expect(200)["state"], "created");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_is_compared_with_the_gateway_and_changed_only_when_told() {
    let stage = Stage::start().await;
    let shop = stage.shop.clone();
    let (same, other, all) = (stage.paid("A-1").await, stage.paid("A-2").await, stage.paid("A-3").await);
    cancel_in_admin(&stage, &other, Some(900)).await;
    cancel_in_admin(&stage, &all, None).await;
    let today = jiff::Timestamp::now().in_tz("Asia/Seoul").unwrap().strftime("%Y-%m-%d").to_string();
    let words =
        ["reconcile", "--shop", &shop.id, "--channel", &shop.channel, "--date", today.as_str(), "--apply"];
    let run = |apply: bool| {
        let words = if apply { &words[..] } else { &words[..words.len() - 1] };
        Ended::of(payhost(stage.folder.path()).arg("--json").args(words)).json()["data"]
            .as_array()
            .unwrap()
            .clone()
    };
    let verdict = |data: &[Value], payment: &Value| {
        data.iter().find(|item| item["payment_id"] == payment["id"]).unwrap().clone()
    };
    for apply in [false, true] {
        let told = run(apply);
        assert_eq!(verdict(&told, &same)["verdict"], "match");
        for (payment, amount) in [(&other, 900), (&all, 20_900)] {
            let item = verdict(&told, payment);
            assert_eq!(
                (text(&item, "verdict"), &item["cancelled_there"]),
                ("cancelled_there".into(), &json!(amount))
            );
            assert_eq!(item["applied"], apply);
            let cancelled = stage.payment(payment).await["amount"]["cancelled"].clone();
            assert_eq!(cancelled, if apply { json!(amount) } else { json!(0) });
        }
        assert_eq!(told.last().unwrap()["counts"], json!({"cancelled_there": 2, "match": 1}));
    }
    assert_eq!(run(false).last().unwrap()["counts"], json!({"match": 3}));
    let day = |date: &str| json!({"channel_id": shop.channel, "date": date});
    stage.post("/v1/reconciliations", &day("yesterday")).await.problem(400, "invalid_request");
    assert_eq!(stage.post("/v1/reconciliations", &day("2020-01-01")).await.expect(200)["data"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watched_channel_takes_over_what_the_gateway_changes() {
    let stage = Stage::start().await;
    let paid = stage.paid("A-1").await;
    cancel_in_admin(&stage, &paid, None).await;
    assert_eq!(patch(&stage, &stage.shop, json!({"watch": true})).await.expect(200)["watch"], true);
    eventually("the cancel is known", Duration::from_secs(20), async || {
        (stage.payment(&paid).await["state"] == "cancelled").then_some(())
    })
    .await;
}

/// More payments than one look of the job takes.
#[tokio::test(flavor = "multi_thread")]
async fn a_watched_channel_is_looked_at_to_its_last_payment() {
    let stage = Stage::start().await;
    let names: Vec<String> = (0..51).map(|number| format!("A-{number}")).collect();
    let paid = futures_util::future::join_all(names.iter().map(|name| stage.paid(name))).await;
    let last = paid.iter().max_by_key(|payment| text(payment, "id")).unwrap();
    cancel_in_admin(&stage, last, None).await;
    patch(&stage, &stage.shop, json!({"watch": true})).await.expect(200);
    eventually("the cancel is known", Duration::from_secs(60), async || {
        (stage.payment(last).await["state"] == "cancelled").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn asking_under_a_key_answers_not_known_yet_and_then_the_outcome() {
    let stage = Stage::start().await;
    let shop = stage.shop_with_lookup().await;
    let faults = [("pay_auth", "drop_after"), ("inquiry", "drop_before"), ("net_cancel", "drop_before")];
    let (created, _) = in_doubt(&stage, &shop, "A-1", &faults).await;
    let other = stage.create_as(&shop, "A-2", json!({})).await.expect(201);
    let ask = |payment: &Value| {
        let path = format!("/v1/payments/{}/sync", text(payment, "id"));
        stage.call("POST", &path).key(&shop.key).header("idempotency-key", "s-1").send()
    };
    assert_eq!(ask(&created).await.expect(202)["resolution"], "in_doubt");
    stage.no_faults().await;
    until(&stage, &shop, &created, "none", 30).await;
    let known = ask(&created).await.expect(200);
    assert_eq!(ask(&created).await.expect(200), known);
    // What was answered stays the answer, whatever happened since.
    let window = stage.open(&created).await;
    assert_eq!(stage.come_back(&stage.choose(&window, pay()).await).await.result, "paid");
    assert_eq!(ask(&created).await.expect(200), known);
    ask(&other).await.problem(422, "idempotency_mismatch");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_confirmation_under_a_key_is_answered_again() {
    let stage = Stage::start().await;
    let waiting = async |name: &str| {
        let created = stage.create_as(&stage.shop, name, json!({"confirm": "manual"})).await.expect(201);
        let window = stage.open(&created).await;
        stage.come_back(&stage.choose(&window, pay()).await).await;
        created
    };
    let confirm = |payment: &Value| {
        let path = format!("/v1/payments/{}/confirm", text(payment, "id"));
        stage.call("POST", &path).key(&stage.shop.key).header("idempotency-key", "c-1").send()
    };
    let early = stage.create("A-0").await;
    confirm(&early).await.problem(409, "not_confirmable");
    let (one, two) = (waiting("A-1").await, waiting("A-2").await);
    let paid = confirm(&one).await.expect(200);
    assert_eq!(paid["state"], "paid");
    stage.cancel(&stage.shop, &one, "k-1").await.expect(200);
    // What was answered stays the answer; and the key is no other payment's.
    assert_eq!(confirm(&one).await.expect(200), paid);
    confirm(&two).await.problem(422, "idempotency_mismatch");
    assert_eq!(stage.payment(&two).await["state"], "pending");
}
