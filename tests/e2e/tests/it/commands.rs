//! Commands as people and scripts use them: from another machine with a key, page by page, with errors that a program reads.

use std::process::Command;

use serde_json::{Value, json};

use crate::stage::process::{Ended, binary};
use crate::stage::{Stage, data, operator_key, payhost, serve, text};

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

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_sent_to_no_other_host_whatever_the_path_says() {
    let stage = Stage::start().await;
    let stranger = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    stranger.set_nonblocking(true).unwrap();
    let port = stranger.local_addr().unwrap().port().to_string();
    let (first, rest) = port.split_at(port.len() - 2);
    let at_stranger = format!("@127.0.0.1:{port}/v1/x");
    for (url, path) in [
        (format!("http://127.0.0.1:{first}"), format!("{rest}/v1/x")),
        ("http://127.0.0.1".to_owned(), format!(":{port}/v1/x")),
        (stage.url.clone(), at_stranger.clone()),
        (stage.url.clone(), format!("//127.0.0.1:{port}/v1/x")),
        (stage.url.clone(), format!("http://127.0.0.1:{port}/v1/x")),
        (format!("http://user@127.0.0.1:{port}"), "/v1/x".to_owned()),
        (format!("http://127.0.0.1:{port}/?x="), "/v1/x".to_owned()),
        (format!("http://127.0.0.1:{port}/#"), "/v1/x".to_owned()),
    ] {
        let ended = elsewhere(&url, "op_SECRETKEY", &["api", "GET", &path]);
        assert!(ended.code == 1 && !ended.err.contains("SECRETKEY"), "{url} {path}: {}", ended.err);
        assert!(ended.err.contains("path") || ended.err.contains("--url"), "{url} {path}: {}", ended.err);
        assert!(stranger.accept().is_err(), "{url} {path}: somebody else was asked");
    }
    let found = elsewhere(&stage.url, &stage.shop.key, &["--json", "api", "GET", "/v1/events?limit=1"]);
    assert!(found.json()["data"].is_array());
}

/// Whether somebody came.
fn came(stranger: &std::net::TcpListener) -> bool {
    stranger.set_nonblocking(true).unwrap();
    stranger.accept().is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_tells_nothing_to_who_took_a_dead_servers_port() {
    let folder = tempfile::tempdir().unwrap();
    let (mut host, url) = serve(folder.path(), &[]);
    let run = |words: &[&str]| Ended::of(payhost(folder.path()).args(words));
    run(&["--json", "shop", "create", "--name", "가게"]).json();
    assert!(data(folder.path()).join("server.json").exists());
    // As a loss of power does; its file stays.
    host.kill();
    let stranger = std::net::TcpListener::bind(url.strip_prefix("http://").unwrap()).unwrap();
    assert!(data(folder.path()).join("server.json").exists());
    let listed = run(&["--json", "shop", "list"]).json();
    assert_eq!(
        listed["data"].as_array().unwrap().len(),
        1,
        "the command opened the host by itself: {listed}"
    );
    assert!(!came(&stranger), "the run's key went to a stranger");
    drop(stranger);
    let (_host, url) = serve(folder.path(), &[]);
    run(&["--json", "shop", "create", "--name", "가게"]).json();
    let key = operator_key(folder.path());
    let both = elsewhere(&url, &key, &["--json", "shop", "list"]).json();
    assert_eq!(both["data"].as_array().unwrap().len(), 2, "{both}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_strangers_wrote_is_shown_as_text_and_moves_nothing() {
    let stage = Stage::start().await;
    let note = "x\nstate: paid\n";
    let more = json!({"metadata": {"note": note, "right": "\u{202e}dlog", "clear": "\u{9b}2J"}});
    let created = stage.create_as(&stage.shop, "A-1", more).await;
    // Characters of control are refused, but for line ends and tabs.
    created.problem(400, "invalid_request");
    let more = json!({"metadata": {"note": note, "right": "\u{202e}dlog"}});
    let id = text(&stage.create_as(&stage.shop, "A-1", more).await.expect(201), "id");
    let run = |words: &[&str]| elsewhere(&stage.url, &stage.shop.key, words);
    let shown = run(&["payment", "show", &id]).out;
    assert!(shown.contains("note: x\\nstate: paid\\n") && shown.contains("right: \\u202edlog"), "{shown}");
    assert_eq!(
        shown.lines().filter(|line| line.contains("state: paid") && !line.contains("note")).count(),
        0,
        "{shown}"
    );
    let json = run(&["--json", "payment", "show", &id]);
    assert!(
        !json.out.contains('\u{202e}') && json.json()["metadata"]["right"] == "\u{202e}dlog",
        "{}",
        json.out
    );
    // A script gets the value to the letter.
    assert_eq!(run(&["--print", "metadata.note", "payment", "show", &id]).out, format!("{note}\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_leaves_is_no_failure() {
    let stage = Stage::start().await;
    for words in [
        &["openapi"][..],
        &["payment", "list"],
        &["--json", "payment", "list"],
        &["payment", "list", "--csv"],
    ] {
        let mut command = Command::new(binary("payhost"));
        command.args(words).env("PAYHOST_URL", &stage.url).env("PAYHOST_KEY", &stage.shop.key);
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = command.stdout(writer).stderr(std::process::Stdio::piped()).output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(
            output.status.code() == Some(0) && errors.is_empty(),
            "{words:?}: {:?} {errors}",
            output.status
        );
    }
}
