//! `payhost serve --database postgres://…`, `payhost db copy`, and databases that cannot be used. The promise: on PostgreSQL
//! everything is as on SQLite, also with several hosts on one database, and no database is used by a host that does not fit it.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use own_postgres::{FAST, Server};
use serde_json::{Value, json};

use crate::stage::buyer::pay;
use crate::stage::http::Call;
use crate::stage::process::{Ended, Process};
use crate::stage::{
    Stage, address, data, eventually, operator_key, payhost, postgres, text, try_serve, use_postgres,
};

#[tokio::test(flavor = "multi_thread")]
async fn on_postgresql_a_payment_is_paid_survives_a_kill_and_is_cancelled() {
    let mut stage = Stage::on_postgres().await;
    let paid = stage.paid("A-1").await;
    let open = stage.create("A-2").await;
    let window = stage.open(&open).await;
    let back = stage.choose(&window, pay()).await;
    stage.host.kill();
    stage.restart();
    assert_eq!(stage.payment(&paid).await["state"], "paid");
    assert_eq!(stage.come_back(&back).await.result, "paid");
    let part = stage.cancel_with(&stage.shop, &paid, "k-1", &json!({"amount": 900})).await.expect(200);
    assert_eq!(part["state"], "partially_cancelled");
    assert_eq!(stage.cancel(&stage.shop, &paid, "k-2").await.expect(200)["state"], "cancelled");
    assert!(!data(stage.folder.path()).join("payhost.sqlite").exists(), "everything is in PostgreSQL");
    assert_eq!(stage.held().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn on_postgresql_an_approval_that_was_under_way_at_a_kill_is_found_out() {
    let mut stage = Stage::on_postgres().await;
    let shop = stage.shop_with_lookup().await;
    let created = stage.create_as(&shop, "A-1", json!({})).await.expect(201);
    let back = stage.choose(&stage.open(&created).await, pay()).await;
    stage.fault("pay_auth", "slow", json!({"ms": 8_000})).await;
    let request = stage.call("POST", &back.url).form(&back.fields);
    let request = tokio::spawn(async move { request.try_send().await });
    eventually("the gateway has booked it", Duration::from_secs(8), async || {
        (stage.count("approved").await == 1).then_some(())
    })
    .await;
    stage.host.kill();
    assert!(request.await.unwrap().is_err());
    stage.restart();
    let after = eventually("the outcome is known", Duration::from_secs(60), async || {
        let now = stage.payment_as(&shop, &created).await;
        (now["state"] == "paid" && now["resolution"] == "none").then_some(now)
    })
    .await;
    assert_eq!(after["amount"]["paid"], 20_900);
    assert_eq!(stage.held().await.len(), 1);
}

/// Another host on the stage's database, with a data folder of its own.
pub fn second_host(stage: &Stage, folder: &Path, with_key: bool) -> Result<(Process, String), String> {
    let mut command = payhost(folder);
    command.env("PAYHOST_DATABASE", address(stage.folder.path()).unwrap());
    if with_key {
        command.arg("--master-key-file").arg(data(stage.folder.path()).join("master.key"));
    }
    try_serve(&mut command, folder, &["--public-url", &stage.url])
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hosts_on_one_database_act_as_one() {
    let stage = Stage::on_postgres().await;
    let folder = tempfile::tempdir().unwrap();
    let (_second, url) = second_host(&stage, folder.path(), true).unwrap();
    // Opened at the first, come back to both at once, several times.
    let created = stage.create("A-1").await;
    let back = stage.choose(&stage.open(&created).await, pay()).await;
    let there = back.url.replace(&stage.url, &url);
    let all = [&back.url, &there].repeat(4).into_iter();
    let all = all.map(|url| stage.call("POST", url).form(&back.fields).send());
    for answer in futures_util::future::join_all(all).await {
        assert_eq!(answer.status, 303, "{}", answer.text);
    }
    assert_eq!(stage.count("approved").await, 1);
    // The same order and the same cancel, from many clients at both hosts.
    let calls = (0..10).map(|number| {
        let base = if number % 2 == 0 { &stage.url } else { &url };
        let path = format!("{base}/v1/payments/{}/cancel", text(&created, "id"));
        let call = Call::new(&stage.client, "POST", path).key(&stage.shop.key);
        call.header("idempotency-key", "k-1").json(&json!({})).send()
    });
    let answers = futures_util::future::join_all(calls).await;
    assert!(answers.iter().any(|answer| answer.status == 200), "{answers:?}");
    for answer in &answers {
        let running = answer.status == 409 && answer.json()["code"] == "idempotency_running";
        assert!(answer.status == 200 || running, "{} {}", answer.status, answer.text);
    }
    assert_eq!((stage.count("cancelled").await, stage.held().await.len()), (1, 0));
    let seen = Call::new(&stage.client, "GET", format!("{url}/v1/payments/{}", text(&created, "id")));
    assert_eq!(seen.key(&stage.shop.key).send().await.expect(200)["state"], "cancelled");
}

/// Hosts keep settings in memory.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_set_at_one_host_counts_at_the_other_at_once() {
    let stage = Stage::on_postgres().await;
    let folder = tempfile::tempdir().unwrap();
    let (_second, url) = second_host(&stage, folder.path(), true).unwrap();
    let there = |verb: &str, path: String| Call::new(&stage.client, verb, format!("{url}{path}"));
    let operator = operator_key(folder.path());
    let create = |order_id: &'static str| stage.create_as(&stage.shop, order_id, json!({}));
    // Twice, so that the first host has all of it in memory.
    create("A-1").await.expect(201);
    create("A-2").await.expect(201);
    for (enabled, status) in [(false, 409), (true, 201)] {
        let channel = there("PATCH", format!("/v1/channels/{}", stage.shop.channel));
        channel.key(&stage.shop.key).json(&json!({"enabled": enabled})).send().await.expect(200);
        let answer = create("A-3").await;
        assert_eq!(answer.status, status, "{}", answer.text);
    }
    let keys = there("GET", format!("/v1/keys?shop_id={}", stage.shop.id));
    let keys = keys.key(&operator).send().await.expect(200);
    let key = text(&keys["data"][0], "id");
    let revoke = there("DELETE", format!("/v1/keys/{key}?shop_id={}", stage.shop.id));
    assert_eq!(revoke.key(&operator).send().await.status, 204);
    create("A-4").await.expect(401);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_order_from_many_clients_at_two_hosts_is_one_payment() {
    let stage = Stage::on_postgres().await;
    let folder = tempfile::tempdir().unwrap();
    let (_second, url) = second_host(&stage, folder.path(), true).unwrap();
    for order_id in ["A-1", "A-2", "A-3"] {
        let body = crate::stage::order(order_id, json!({}));
        let calls = (0..12).map(|number| {
            let base = if number % 2 == 0 { &stage.url } else { &url };
            let call = Call::new(&stage.client, "POST", format!("{base}/v1/payments"));
            call.key(&stage.shop.key).json(&body).send()
        });
        let answers = futures_util::future::join_all(calls).await;
        assert!(answers.iter().all(|answer| [200, 201].contains(&answer.status)), "{answers:?}");
        assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
        let id = text(&answers[0].json(), "id");
        assert!(answers.iter().all(|answer| answer.json()["id"] == *id), "{answers:?}");
    }
}

/// A return that begins in the last moment holds the order against a request that comes in the next.
#[tokio::test(flavor = "multi_thread")]
async fn a_payment_whose_time_is_over_keeps_its_order_while_an_attempt_begins() {
    let stage = Stage::on_postgres().await;
    let first = text(&stage.create("A-1").await, "id");
    let (database, id) = (address(stage.folder.path()).unwrap(), first.clone());
    let (beginning, begun) = tokio::sync::oneshot::channel();
    // What T1 does, with time between the lock and the commit.
    let attempt = tokio::task::spawn_blocking(move || {
        let mut client = postgres::Client::connect(&database, postgres::NoTls).unwrap();
        client.execute("UPDATE payment SET expires_us = 1 WHERE id = $1", &[&id]).unwrap();
        let mut tx = client.transaction().unwrap();
        tx.execute("SELECT 1 FROM payment WHERE id = $1 FOR NO KEY UPDATE", &[&id]).unwrap();
        let attempt = "INSERT INTO attempt (id, shop_id, payment_id, kind, state, call_id, plugin_digest, revision, request, \
                       now_ms, seed, lease_until_us, lease_token, created_us, updated_us) \
                       SELECT 'att_' || substr(id, 5), shop_id, id, 'cancel', 'intent', 'call_' || substr(id, 5), '', 1, \
                       '{}'::bytea, 1, '', 1, '', 1, 1 FROM payment WHERE id = $1";
        assert_eq!(tx.execute(attempt, &[&id]).unwrap(), 1);
        beginning.send(()).unwrap();
        let waiting =
            "SELECT COUNT(*) FROM pg_stat_activity WHERE pg_backend_pid() = ANY(pg_blocking_pids(pid))";
        let begun = Instant::now();
        while tx.query_one(waiting, &[]).unwrap().get::<_, i64>(0) == 0 {
            assert!(begun.elapsed() < Duration::from_secs(30), "the other request waits for the lock");
            tx.execute("SELECT pg_stat_clear_snapshot()", &[]).unwrap();
        }
        tx.commit().unwrap();
    });
    begun.await.unwrap();
    let answer = stage.post("/v1/payments", &crate::stage::order("A-1", json!({}))).await;
    assert_eq!(answer.expect(200)["id"], *first, "no second payment while the first may take money");
    attempt.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_host_without_the_master_key_is_refused_and_makes_none() {
    let stage = Stage::on_postgres().await;
    let folder = tempfile::tempdir().unwrap();
    let words = second_host(&stage, folder.path(), false).err().unwrap();
    assert!(words.contains("master key"), "{words}");
    assert!(!data(folder.path()).join("master.key").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn while_postgresql_is_away_nothing_is_acknowledged_and_afterwards_all_goes_on() {
    let server = Server::start(FAST);
    let stage = Stage::on_database(&server.database()).await;
    let paid = stage.paid("A-1").await;
    server.kill();
    let body = json!({"order_id": "A-2", "order_name": "잼", "amount": {"total": 100}});
    let answer = stage.post("/v1/payments", &body).await;
    assert_eq!(answer.problem(503, "unavailable")["status"], 503);
    let cancel = stage.cancel(&stage.shop, &paid, "k-1").await;
    assert_eq!(cancel.status, 503, "{}", cancel.text);
    server.go();
    let after = eventually("the host is back", Duration::from_secs(15), async || {
        let answer = stage.cancel(&stage.shop, &paid, "k-1").await;
        (answer.status == 200).then(|| answer.json())
    })
    .await;
    assert_eq!(after["state"], "cancelled");
    assert_eq!(stage.count("cancelled").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copied_database_serves_on_postgresql_and_its_payment_can_be_cancelled() {
    let mut stage = Stage::start().await;
    let paid = stage.paid("A-1").await;
    let from = data(stage.folder.path());
    let to = postgres().database();
    let copy = |from: &Path, to: &str| {
        let words = ["--json", "db", "copy", "--from", from.to_str().unwrap(), "--to", to];
        Ended::of(payhost(stage.folder.path()).args(words))
    };
    let running = copy(&from, &to);
    assert!(running.code != 0 && running.err.contains("in use by another payhost"), "{}", running.err);
    stage.host.ask_to_end();
    eventually("the host ends", Duration::from_secs(10), async || stage.host.ended()).await;
    let report: Value = copy(&from, &to).json();
    assert_eq!(report["equal"], true);
    let payments = report["tables"].as_array().unwrap().iter().find(|table| table["table"] == "payment");
    let payments = payments.unwrap();
    assert_eq!((&payments["rows"], &payments["sums"]["paid"]), (&json!(1), &json!("20900")), "{payments}");
    let again = copy(&from, &to);
    assert!(again.code != 0 && again.err.contains("not empty"), "{}", again.err);
    let nowhere = copy(&stage.folder.path().join("nowhere"), &to);
    assert!(nowhere.code != 0 && nowhere.err.contains("there is no database"), "{}", nowhere.err);
    std::fs::write(stage.folder.path().join("database"), &to).unwrap();
    stage.restart();
    assert_eq!(stage.payment(&paid).await["state"], "paid");
    assert_eq!(stage.cancel(&stage.shop, &paid, "k-1").await.expect(200)["state"], "cancelled");
    assert_eq!(stage.held().await.len(), 0);
}

#[test]
fn a_host_that_is_older_than_its_database_refuses_it() {
    let (sqlite, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    use_postgres(other.path());
    let later = "INSERT INTO refinery_schema_history (version, name, applied_on, checksum) VALUES (9999, 'later', '', '0')";
    for folder in [&sqlite, &other] {
        let folder = folder.path();
        drop(try_serve(&mut payhost(folder), folder, &[]).unwrap());
        match address(folder) {
            None => {
                let file = rusqlite::Connection::open(data(folder).join("payhost.sqlite")).unwrap();
                file.execute_batch(later).unwrap();
            }
            Some(address) => {
                let name = Server::name_of(&address).to_owned();
                postgres().sql(&name, later);
            }
        }
        let mut command: Command = payhost(folder);
        let words = try_serve(&mut command, folder, &[]).err().unwrap();
        assert!(words.contains("use the newer payhost"), "{words}");
    }
}
