//! Commands as people and scripts use them: from another machine with a key, page by page, with errors that a program reads.

use std::process::Command;

use serde_json::{Value, json};

use crate::stage::process::{Ended, binary};
use crate::stage::{Stage, text};

/// A command on a machine that has no data of the host.
fn elsewhere(url: &str, key: &str, words: &[&str]) -> Ended {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(binary("payhost"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("PAYHOST_")) {
        command.env_remove(name);
    }
    command.current_dir(folder.path()).env("PAYHOST_URL", url).env("PAYHOST_KEY", key);
    let ended = Ended::of(command.args(words));
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        0,
        "a command elsewhere makes no data: {words:?}"
    );
    ended
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shops_key_is_enough_for_its_commands_on_any_machine() {
    let stage = Stage::start().await;
    let run = |words: &[&str]| elsewhere(&stage.url, &stage.shop.key, words);
    let words =
        ["--json", "payment", "create", "--order-id", "A-1", "--order-name", "수제 잼", "--total", "12000"];
    let created = run(&words).json();
    assert!(text(&created, "checkout_url").starts_with(&stage.url), "{created}");
    let id = text(&created, "id");
    assert_eq!(run(&["--json", "payment", "show", &id]).json()["order_id"], "A-1");
    let listed = run(&["payment", "list"]);
    assert!(listed.out.lines().count() == 2 && listed.out.contains("A-1"), "{}", listed.out);
    // What the operator does, it cannot.
    let refused = run(&["shop", "list"]);
    assert!(refused.code == 1 && refused.err.contains("operator"), "{}", refused.err);
    // The operator's key names a shop.
    let operator = |words: &[&str]| elsewhere(&stage.url, &stage.operator_key(), words);
    let refused = operator(&["payment", "show", &id]);
    assert!(refused.code == 1 && refused.err.contains("payhost-shop"), "{}", refused.err);
    assert_eq!(
        operator(&["--json", "payment", "show", "--shop", &stage.shop.id, &id]).json()["id"],
        json!(id)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_not_sent_in_the_clear_and_a_stranger_is_told_what_is_wrong() {
    let stage = Stage::start().await;
    for (url, key, words) in [
        ("http://pay.example", "sk_test_x", "in the clear"),
        ("https://127.0.0.1:9", "sk_test_x", "127.0.0.1:9"),
        (stage.url.as_str(), "sk_test_wrong", "not valid"),
    ] {
        let ended = elsewhere(url, key, &["payment", "list"]);
        assert!(ended.code == 1 && ended.err.contains(words), "{url}: {}", ended.err);
        assert!(!ended.err.contains(key), "no key in an error: {}", ended.err);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_is_json_where_json_was_asked_for() {
    let stage = Stage::start().await;
    let run = |words: &[&str]| elsewhere(&stage.url, &stage.shop.key, words);
    let ended = run(&["--json", "payment", "show", "pay_00000000000000000000000000"]);
    let problem: Value = serde_json::from_str(&ended.err).unwrap();
    assert_eq!((ended.code, &problem["code"], &problem["status"]), (1, &json!("not_found"), &json!(404)));
    let ended = run(&["payment", "show", "pay_00000000000000000000000000"]);
    assert!(ended.err.starts_with("payhost: "), "{}", ended.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_says_when_there_is_more_and_gives_all_of_it() {
    let stage = Stage::start().await;
    for n in 0..25 {
        stage.create(&format!("A-{n:02}")).await;
    }
    let run = |words: &[&str]| elsewhere(&stage.url, &stage.shop.key, words);
    let first = run(&["payment", "list"]).out;
    assert!(first.contains("There is more: --after pay_"), "{first}");
    let after = first.split("--after ").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    let rest = run(&["payment", "list", "--after", &after]).out;
    assert!(rest.lines().count() == 6 && !rest.contains("There is more"), "{rest}");
    let all = run(&["--json", "payment", "list", "--all"]).json();
    assert_eq!(all["data"].as_array().unwrap().len(), 25);
    let csv = run(&["payment", "list", "--csv"]).out;
    assert!(csv.lines().count() == 26 && csv.starts_with("id,order_id,"), "{csv}");
    let found = run(&["--json", "payment", "list", "--text", "a-07"]).json();
    assert_eq!(found["data"].as_array().unwrap().len(), 1, "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn payments_are_found_by_what_people_know_of_them() {
    for stage in [Stage::start().await, Stage::on_postgres().await] {
        let paid = stage.paid("주문-100%").await;
        stage.create("A-2").await;
        let find = async |query: &str| {
            let found = stage.get(&format!("/v1/payments?{query}")).await.expect(200);
            found["data"].as_array().unwrap().iter().map(|one| text(one, "order_id")).collect::<Vec<_>>()
        };
        assert_eq!(find("text=%EC%A3%BC%EB%AC%B8").await, ["주문-100%"]);
        assert_eq!(find("text=0%25").await, ["주문-100%"], "a percent sign means itself");
        assert!(find("text=_").await.is_empty(), "so does an underscore");
        assert_eq!(find("method=card").await, ["주문-100%"]);
        assert_eq!(find(&format!("total={}", paid["amount"]["total"])).await.len(), 2);
        assert!(find("total=1").await.is_empty());
        assert_eq!(find("resolution=none").await.len(), 2);
        assert!(find("resolution=in_doubt").await.is_empty());
        assert_eq!(find("from=2020-01-01&until=2099-12-31").await.len(), 2);
        assert!(find("until=2020-01-01").await.is_empty() && find("from=2099-01-01").await.is_empty());
        for (query, field) in [
            ("method=cash", "method"),
            ("resolution=maybe", "resolution"),
            ("text=", "text"),
            ("from=yesterday", "from"),
            ("until=2026-13-01", "until"),
        ] {
            let problem = stage.get(&format!("/v1/payments?{query}")).await.problem(400, "invalid_request");
            assert_eq!(problem["field"], field, "{query}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn money_is_given_back_by_command_and_not_twice() {
    let stage = Stage::start().await;
    let paid = stage.paid("A-1").await;
    let id = text(&paid, "id");
    let run = |words: &[&str]| elsewhere(&stage.url, &stage.shop.key, words);
    let part = ["--json", "payment", "cancel", &id, "--amount", "1000", "--idempotency-key", "first"];
    assert_eq!(
        run(&["payment", "cancel", &id, "--amount", "1000"]).code,
        2,
        "a part needs a name of its own"
    );
    for _ in 0..2 {
        assert_eq!(run(&part).json()["amount"]["cancelled"], 1000);
    }
    for _ in 0..2 {
        assert_eq!(run(&["--json", "payment", "cancel", &id]).json()["state"], "cancelled");
    }
    assert!(run(&["payment", "timeline", &id]).out.contains("payment.cancelled"));
    let events = run(&["--json", "api", "GET", "/v1/events?limit=1"]).json();
    assert_eq!(events["data"][0]["type"], "payment.cancelled", "{events}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_is_run_by_command() {
    let stage = Stage::start().await;
    let run = |words: &[&str]| elsewhere(&stage.url, &stage.shop.key, words);
    let id = stage.shop.channel.clone();
    assert_eq!(run(&["--json", "channel", "disable", &id]).json()["enabled"], false);
    stage.create_as(&stage.shop, "A-1", json!({})).await.problem(409, "no_channel");
    assert_eq!(run(&["--json", "channel", "enable", &id]).json()["enabled"], true);
    assert_eq!(run(&["--json", "channel", "watch", &id]).json()["watch"], true);
    assert_eq!(run(&["--json", "channel", "watch", "--off", &id]).json()["watch"], false);
    assert_eq!(run(&["--json", "channel", "default", &id]).json()["default_for"], json!(["pay"]));
    assert_eq!(run(&["--json", "channel", "upgrade", &id]).code, 0);
    assert!(run(&["--json", "channel", "check", &id]).json()["findings"].is_array());
    let shown = run(&["channel", "show", &id]).out;
    assert!(shown.lines().all(|line| line.chars().count() < 200), "{shown}");
}
