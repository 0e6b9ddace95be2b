//! Channels and plugins end. The promise: nothing new stands on what was removed, nothing that is open is lost by it, and what was
//! sold is read, asked about and cancelled as before.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::stage::buyer::pay;
use crate::stage::deposit::{self, TOTAL, awaiting, in_state, notify_url, sim};
use crate::stage::http::Answer;
use crate::stage::process::{Ended, component};
use crate::stage::{Shop, Stage, payhost, text};

/// A request about a channel of the first shop.
async fn ask(stage: &Stage, verb: &str, channel: &str, key: &str) -> Answer {
    stage.call(verb, &format!("/v1/channels/{channel}")).key(key).send().await
}

async fn remove(stage: &Stage, channel: &str) -> Answer {
    ask(stage, "DELETE", channel, &stage.shop.key).await
}

async fn second(stage: &Stage) -> String {
    let body = json!({"plugin": "inicis", "preset": "test_pay", "default": false});
    text(&stage.post("/v1/channels", &body).await.expect(201), "id")
}

async fn plugin(stage: &Stage, verb: &str) -> Answer {
    stage.call(verb, "/v1/plugins/inicis").key(&stage.operator_key()).send().await
}

async fn install(stage: &Stage) -> Value {
    let call = stage.call("POST", "/v1/plugins").key(&stage.operator_key());
    call.body("application/wasm", std::fs::read(component()).unwrap()).send().await.expect(201)
}

async fn ids(stage: &Stage, path: &str) -> Vec<String> {
    let listed = stage.get(path).await.expect(200);
    listed["data"].as_array().unwrap().iter().map(|one| text(one, "id")).collect()
}

fn granted(plugin: &Value) -> usize {
    let wanted = ["hosts", "browser_origins"].map(|name| plugin[name].as_array().unwrap());
    wanted.into_iter().flatten().filter(|one| one["granted"] == true).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_channel_sells_nothing_and_what_it_sold_is_read_and_cancelled() {
    for stage in [Stage::start().await, Stage::on_postgres().await] {
        let (paid, channel) = (stage.paid("A-1").await, stage.shop.channel.clone());
        let other = second(&stage).await;
        let open = stage.create_as(&stage.shop, "B-1", json!({"channel_id": other})).await;
        let removed = remove(&stage, &channel).await.expect(200);
        assert!(removed["removed_at"].is_string(), "{removed}");
        assert_eq!(
            (&removed["enabled"], &removed["watch"], &removed["default_for"], &removed["missing"]),
            (&json!(false), &json!(false), &json!([]), &json!([]))
        );
        assert_eq!(removed["secrets"], json!({}), "none is in use");
        assert_eq!(ids(&stage, "/v1/channels").await, [other.as_str()]);
        assert_eq!(ids(&stage, "/v1/channels?removed=true").await, [channel.as_str()]);
        assert_eq!(ask(&stage, "GET", &channel, &stage.shop.key).await.expect(200), removed);

        // The other channel is not made the default by guessing.
        stage.create_as(&stage.shop, "A-2", json!({})).await.problem(409, "no_channel");
        let named = json!({"channel_id": channel});
        let problem = stage.create_as(&stage.shop, "A-2", named).await.problem(400, "invalid_request");
        assert_eq!(problem["field"], "channel_id");
        let path = format!("/v1/channels/{channel}");
        for body in [json!({"enabled": true}), json!({"default": true}), json!({"upgrade": true})] {
            stage.call("PATCH", &path).key(&stage.shop.key).json(&body).send().await.problem(409, "conflict");
        }
        stage.post(&format!("{path}/check"), &json!({})).await.problem(409, "conflict");
        let waits = stage.operator("GET", "/v1/attention", Value::Null).await.expect(200);
        assert_eq!(waits["data"], json!([]), "it is no channel that cannot sell");

        assert_eq!(stage.payment(&paid).await["state"], "paid");
        stage.post(&format!("/v1/payments/{}/sync", text(&paid, "id")), &json!({})).await.expect(200);
        let part = stage.cancel_with(&stage.shop, &paid, "k-1", &json!({"amount": 900})).await.expect(200);
        assert_eq!(part["state"], "partially_cancelled");
        assert_eq!(stage.cancel(&stage.shop, &paid, "k-2").await.expect(200)["state"], "cancelled");

        assert_eq!(open.expect(201)["channel_id"], json!(other));
        let body = json!({"default": true});
        let path = format!("/v1/channels/{other}");
        stage.call("PATCH", &path).key(&stage.shop.key).json(&body).send().await.expect(200);
        stage.create_as(&stage.shop, "A-2", json!({})).await.expect(201);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_is_not_removed_while_something_of_it_is_open_and_the_answer_names_it() {
    let stage = deposit::stage().await;
    let (account, _) = awaiting(&stage, &stage.shop, "A-1", "pc").await;
    let open = stage.create("A-2").await;
    let channel = stage.shop.channel.clone();
    let problem = remove(&stage, &channel).await.problem(409, "channel_in_use");
    let words = text(&problem, "detail");
    for named in ["1 accounts wait for a deposit", "1 payments can still be paid"] {
        assert!(words.contains(named), "{words}");
    }
    for payment in [&account, &open] {
        assert!(words.contains(&text(payment, "id")), "{words}");
    }
    let shown = ask(&stage, "GET", &channel, &stage.shop.key).await.expect(200);
    assert_eq!((&shown["enabled"], &shown["default_for"]), (&json!(true), &json!(["pay"])), "it stands");
    stage.cancel(&stage.shop, &open, "k-1").await.expect(200);
    let words = text(&remove(&stage, &channel).await.problem(409, "channel_in_use"), "detail");
    assert!(words.contains("accounts") && !words.contains("can still be paid"), "{words}");
    let close = format!("/v1/payments/{}/virtual-account/close", text(&account, "id"));
    let call = stage.call("POST", &close).key(&stage.shop.key).header("idempotency-key", "k-2");
    call.json(&json!({})).send().await.expect(200);
    remove(&stage, &channel).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_is_not_removed_while_an_approval_of_it_is_in_doubt() {
    let stage = Stage::start().await;
    stage.fault("pay_auth", "drop_after", json!({})).await;
    stage.fault("net_cancel", "drop_before", json!({"times": 100})).await;
    let created = stage.create("A-1").await;
    let back = stage.choose(&stage.open(&created).await, json!({"choice": "pay"})).await;
    assert_eq!(stage.come_back(&back).await.result, "in_doubt");
    let problem = remove(&stage, &stage.shop.channel).await.problem(409, "channel_in_use");
    let words = text(&problem, "detail");
    assert!(words.contains("1 payments are in doubt") && words.contains(&text(&created, "id")), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_is_removed_by_its_shop_in_its_mode_or_the_operator_and_twice_is_once() {
    let stage = Stage::start().await;
    let channel = stage.shop.channel.clone();
    let other = stage.new_shop("다른 가게", json!({})).await;
    let live = stage.new_key(&stage.shop.id, "live").await;
    for key in [&other.key, &live] {
        ask(&stage, "DELETE", &channel, key).await.problem(404, "not_found");
    }
    remove(&stage, "chn_00000000000000000000000000").await.problem(404, "not_found");
    ask(&stage, "DELETE", &channel, &stage.operator_key()).await.problem(403, "forbidden");
    let removed = remove(&stage, &channel).await.expect(200);
    assert_eq!(remove(&stage, &channel).await.expect(200), removed);
    let acting = |channel: &str| {
        let call = stage.call("DELETE", &format!("/v1/channels/{channel}")).key(&stage.operator_key());
        call.header("payhost-shop", &other.id).header("payhost-mode", "test").send()
    };
    acting(&channel).await.problem(404, "not_found");
    assert!(acting(&other.channel).await.expect(200)["removed_at"].is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_is_made_while_its_channel_is_removed_is_there_before_or_refused() {
    for stage in [Stage::start().await, Stage::on_postgres().await] {
        let (mut removed, mut refused) = (0, 0);
        for round in 0..16 {
            let channel = second(&stage).await;
            let create = |at: usize| {
                let more = json!({"channel_id": channel});
                let (stage, order) = (&stage, format!("R-{round}-{at}"));
                async move { stage.create_as(&stage.shop, &order, more).await }
            };
            // Later and later, so that the end meets the creations everywhere.
            let first = round % 4;
            let early = async { join_all((0..first).map(create)).await };
            let ((early, ended), late) = tokio::join!(
                async {
                    let early = early.await;
                    (early, remove(&stage, &channel).await)
                },
                join_all((first..4).map(create))
            );
            let made: Vec<Answer> = early.into_iter().chain(late).collect();
            let there = made.iter().filter(|answer| answer.status == 201).count();
            if ended.status == 200 {
                assert_eq!(there, 0, "a payment on a removed channel, round {round}");
                removed += 1;
            } else {
                ended.problem(409, "channel_in_use");
                refused += 1;
                assert!(there > 0, "round {round}");
            }
            for answer in made.into_iter().filter(|answer| answer.status != 201) {
                assert_eq!(answer.problem(400, "invalid_request")["field"], "channel_id");
            }
            let path = format!("/v1/payments?limit=100&order_id=R-{round}-0");
            let listed = stage.get(&path).await.expect(200);
            assert!(listed["data"].as_array().unwrap().len() <= 1);
        }
        assert!(removed + refused == 16 && refused > 0, "{removed} {refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_channel_still_hears_what_the_gateway_says_of_its_sales() {
    let stage = deposit::stage().await;
    let (account, oid) = awaiting(&stage, &stage.shop, "A-1", "pc").await;
    deposit::deposit(&stage, &oid, json!({})).await;
    in_state(&stage, &stage.shop, &account, "paid").await;
    deposit::noticed(&stage, "applied").await;
    crate::stage::eventually("its jobs are done", std::time::Duration::from_secs(20), async || {
        (remove(&stage, &stage.shop.channel).await.status == 200).then_some(())
    })
    .await;
    // Somebody pays into the same account once more.
    deposit::deposit(&stage, &oid, json!({})).await;
    let url = notify_url(&stage, &stage.shop);
    assert_eq!(stage.call("GET", &url).send().await.status, 200);
    let told = sim(&stage, "GET", "notices", Value::Null).await.expect(200);
    let told = told["notices"].as_array().unwrap().clone();
    assert!(!told.is_empty() && stage.payment(&account).await["amount"]["paid"].as_i64() >= Some(TOTAL));
    let id = told[0]["notice"]["id"].as_u64().or(told[0]["id"].as_u64()).unwrap();
    let sent = sim(&stage, "POST", &format!("notices/{id}/send"), json!({"url": url})).await.expect(200);
    assert_eq!(sent["accepted"], 1, "{sent}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_is_not_removed_while_a_channel_uses_it_and_the_channels_are_named() {
    let stage = Stage::start().await;
    let other = stage.new_shop("다른 가게", json!({})).await;
    let words = text(&plugin(&stage, "DELETE").await.problem(409, "plugin_in_use"), "detail");
    for shop in [&stage.shop, &other] {
        assert!(words.contains(&shop.channel) && words.contains(&shop.id), "{words}");
    }
    assert!(words.contains("2 channels"), "{words}");
    remove(&stage, &stage.shop.channel).await.expect(200);
    // A switched-off channel may be switched on again, so it counts.
    let path = format!("/v1/channels/{}", other.channel);
    stage.call("PATCH", &path).key(&other.key).json(&json!({"enabled": false})).send().await.expect(200);
    let words = text(&plugin(&stage, "DELETE").await.problem(409, "plugin_in_use"), "detail");
    assert!(words.contains("1 channels") && !words.contains(&stage.shop.channel), "{words}");
    stage.call("DELETE", "/v1/plugins/inicis").key(&stage.shop.key).send().await.problem(403, "forbidden");
    let nobody = stage.call("DELETE", "/v1/plugins/nobody").key(&stage.operator_key());
    nobody.send().await.problem(404, "not_found");
    // A removed shop's channels are removed with it.
    stage.operator("DELETE", &format!("/v1/shops/{}", other.id), Value::Null).await.expect(200);
    let removed = plugin(&stage, "DELETE").await.expect(200);
    assert!(removed["removed_at"].is_string(), "{removed}");
    assert_eq!((granted(&removed), &removed["for_old_sales"]), (0, &json!([])), "nothing was sold");
    assert_eq!(plugin(&stage, "DELETE").await.expect(200), removed, "twice is once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_plugin_serves_nothing_but_old_sales_and_asks_for_its_grants_when_it_comes_again() {
    for stage in [Stage::start().await, Stage::on_postgres().await] {
        let paid = stage.paid("A-1").await;
        remove(&stage, &stage.shop.channel).await.expect(200);
        let removed = plugin(&stage, "DELETE").await.expect(200);
        assert_eq!((granted(&removed), removed["for_old_sales"].as_array().unwrap().len()), (0, 7));
        assert_eq!(ids(&stage, "/v1/plugins").await, Vec::<String>::new());
        assert_eq!(ids(&stage, "/v1/plugins?removed=true").await, ["inicis"]);
        let body = json!({"plugin": "inicis", "preset": "test_pay"});
        let problem = stage.post("/v1/channels", &body).await.problem(400, "invalid_request");
        assert_eq!(problem["field"], "plugin");
        let all = json!({"all": true});
        stage.operator("POST", "/v1/plugins/inicis/grants", all.clone()).await.problem(404, "not_found");
        let part = stage.cancel_with(&stage.shop, &paid, "k-1", &json!({"amount": 900})).await.expect(200);
        assert_eq!(part["state"], "partially_cancelled");

        let again = install(&stage).await;
        assert_eq!((granted(&again), &again["removed_at"]), (0, &Value::Null));
        stage.post("/v1/channels", &body).await.expect(201);
        stage.create_as(&stage.shop, "A-2", json!({})).await.problem(409, "plugin_misconfigured");
        // The old sale does not wait for the new grants.
        let part = stage.cancel_with(&stage.shop, &paid, "k-2", &json!({"amount": 900})).await.expect(200);
        assert_eq!(part["amount"]["cancelled"], 1800);
        let all = stage.operator("POST", "/v1/plugins/inicis/grants", all).await.expect(200);
        assert_eq!(all["for_old_sales"], json!([]), "they are grants as any");
        let created = stage.create_as(&stage.shop, "A-2", json!({})).await.expect(201);
        let back = stage.choose(&stage.open(&created).await, pay()).await;
        assert_eq!(stage.come_back(&back).await.result, "paid");
        assert_eq!(stage.cancel(&stage.shop, &paid, "k-3").await.expect(200)["state"], "cancelled");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_that_stayed_for_old_sales_is_taken_back_as_any() {
    let stage = Stage::start().await;
    let paid = stage.paid("A-1").await;
    remove(&stage, &stage.shop.channel).await.expect(200);
    plugin(&stage, "DELETE").await.expect(200);
    let body = json!({"origin": "https://iniapi.inicis.com"});
    let left = stage.operator("DELETE", "/v1/plugins/inicis/grants", body.clone()).await.expect(200);
    assert_eq!(left["for_old_sales"].as_array().unwrap().len(), 6);
    stage.operator("DELETE", "/v1/plugins/inicis/grants", body).await.problem(404, "not_found");
    assert_ne!(stage.cancel(&stage.shop, &paid, "k-1").await.status, 200);
    assert_eq!(stage.payment(&paid).await["state"], "paid");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_and_a_plugin_are_removed_by_command() {
    let stage = Stage::start().await;
    let run = |words: &[&str]| Ended::of(payhost(stage.folder.path()).args(words));
    let Shop { id, channel, .. } = stage.shop.clone();
    let open = stage.create("A-1").await;
    let refused = run(&["channel", "remove", "--shop", &id, &channel]);
    assert!(refused.code == 1 && refused.err.contains("1 payments can still be paid"), "{}", refused.err);
    let refused = run(&["--json", "plugin", "remove", "inicis"]);
    assert!(refused.code == 1 && refused.err.contains("plugin_in_use"), "{}", refused.err);
    stage.cancel(&stage.shop, &open, "k-1").await.expect(200);
    let removed = run(&["channel", "remove", "--shop", &id, &channel]);
    assert!(removed.code == 0 && removed.out.contains("removed_at: "), "{} {}", removed.out, removed.err);
    assert_eq!(run(&["channel", "list", "--shop", &id]).out.trim(), "(none)");
    let listed = run(&["channel", "list", "--removed", "--shop", &id]).out;
    assert!(listed.contains(&channel) && listed.contains("REMOVED_AT"), "{listed}");
    assert_eq!(run(&["--json", "doctor"]).json(), json!([]), "nothing is looked over");
    let removed = run(&["plugin", "remove", "inicis"]);
    assert!(removed.code == 0 && removed.out.contains("removed_at: "), "{} {}", removed.out, removed.err);
    assert_eq!(run(&["plugin", "list"]).out.trim(), "(none)");
    assert!(run(&["plugin", "list", "--removed"]).out.contains("id: inicis"));
}
