//! What an operator does with commands, and a start that cannot be.

use std::path::Path;

use serde_json::{Value, json};

use crate::stage::process::{Ended, component};
use crate::stage::{Bare, data, payhost, serve, text, try_serve};

/// Runs a command where no server is.
fn cli(folder: &Path, words: &[&str]) -> Ended {
    Ended::of(payhost(folder).arg("--json").args(words))
}

/// A command that must fail with these words and no panic.
fn refused(ended: &Ended, words: &str) {
    assert_eq!(ended.code, 1, "{} {}", ended.out, ended.err);
    // With `--json` an error is JSON, too; `serve` says it in words.
    let json = serde_json::from_str::<Value>(&ended.err).is_ok_and(|problem| problem["code"].is_string());
    assert!(
        (json || ended.err.starts_with("payhost: ")) && ended.err.contains(words),
        "expected {words:?}: {}",
        ended.err
    );
    assert!(!ended.err.contains("panicked") && ended.out.is_empty(), "{} {}", ended.out, ended.err);
}

/// What was granted of what a plugin wants.
fn grants(plugin: &Value, kind: &str) -> Vec<String> {
    let wanted = plugin[kind].as_array().unwrap().iter();
    wanted.filter(|one| one["granted"] == true).map(|one| text(one, "origin")).collect()
}

/// Makes a host, as its first start does; commands only use one.
fn make_host(folder: &Path) {
    drop(serve(folder, &[]));
}

fn set_up(run: impl Fn(&[&str]) -> Ended) -> (String, String) {
    let plugin = run(&["plugin", "install", component().to_str().unwrap()]).json();
    assert_eq!((text(&plugin, "id"), plugin["hosts"][0]["granted"].clone()), ("inicis".into(), json!(false)));
    run(&["plugin", "grant", "inicis", "https://iniapi.inicis.com"]).json();
    let granted =
        run(&["plugin", "grant", "inicis", "https://mobile.inicis.com", "--kind", "browser"]).json();
    assert_eq!(grants(&granted, "hosts"), ["https://iniapi.inicis.com"]);
    assert_eq!(grants(&granted, "browser_origins"), ["https://mobile.inicis.com"]);
    let all = run(&["plugin", "grant", "inicis", "--all"]).json();
    assert_eq!((grants(&all, "hosts").len(), grants(&all, "browser_origins").len()), (7, 3));
    let words = ["gateway-map", "set", "https://iniapi.inicis.com", "--connect", "127.0.0.1:9"];
    run(&words).json();
    let shop = text(
        &run(&["shop", "create", "--name", "가게", "--allowed-origin", "https://shop.example"]).json(),
        "id",
    );
    let made =
        run(&["channel", "create", "--shop", &shop, "--plugin", "inicis", "--preset", "test_pay"]).json();
    assert_eq!((made["missing"].clone(), made["default_for"].clone()), (json!([]), json!(["pay"])));
    assert_eq!(made["settings"]["mid"], "INIpayTest");
    assert!(made["notes"][0].as_str().unwrap().contains("자동 취소"), "{made}");
    let key = text(&run(&["key", "create", "--shop", &shop, "--name", "server"]).json(), "secret");
    (shop, key)
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_beside_a_running_host_set_up_a_shop() {
    let bare = Bare::start();
    let (shop, key) = set_up(|words| bare.cli(words));
    let body = crate::stage::order("A-1", json!({}));
    let call = crate::stage::http::Call::new(&bare.client, "POST", format!("{}/v1/payments", bare.url));
    let created = call.key(&key).json(&body).send().await.expect(201);
    assert_eq!(
        bare.cli(&["payment", "show", "--shop", &shop, &text(&created, "id")]).json()["id"],
        created["id"]
    );
    assert_eq!(bare.operator("GET", "/v1/shops", None).await.expect(200)["data"][0]["id"], json!(shop));
}

#[test]
fn commands_without_a_running_host_do_the_same() {
    let folder = tempfile::tempdir().unwrap();
    make_host(folder.path());
    let (shop, key) = set_up(|words| cli(folder.path(), words));
    let listed = cli(folder.path(), &["channel", "list", "--shop", &shop]).json();
    assert_eq!(listed["data"].as_array().unwrap().len(), 1);
    let keys = cli(folder.path(), &["key", "list", "--shop", &shop]);
    assert!(!keys.out.contains(&key), "a key is shown once: {}", keys.out);
    let id = text(&keys.json()["data"][0], "id");
    let ended = cli(folder.path(), &["key", "revoke", "--shop", &shop, &id]);
    assert_eq!(ended.code, 0, "{}", ended.err);
    // For people there is another form.
    let shown = Ended::of(payhost(folder.path()).args(["shop", "list"]));
    assert!(shown.code == 0 && shown.out.starts_with("ID ") && shown.out.contains("가게"), "{}", shown.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistake_in_a_command_is_told_and_changes_nothing() {
    let bare = Bare::start();
    let (shop, _) = set_up(|words| bare.cli(words));
    let file = bare.folder.path().join("not-a-plugin.wasm");
    std::fs::write(&file, b"\0asm\x01\0\0\0").unwrap();
    refused(&bare.cli(&["plugin", "install", file.to_str().unwrap()]), "plugin_invalid");
    std::fs::write(&file, b"<html>").unwrap();
    refused(&bare.cli(&["plugin", "install", file.to_str().unwrap()]), "plugin_invalid");
    refused(&bare.cli(&["plugin", "install", "nowhere.wasm"]), "nowhere.wasm");
    refused(&bare.cli(&["plugin", "grant", "inicis", "https://evil.example"]), "it wants:");
    refused(&bare.cli(&["plugin", "grant", "other", "https://iniapi.inicis.com"]), "not_found");
    refused(
        &bare.cli(&["gateway-map", "set", "http://iniapi.inicis.com", "--connect", "127.0.0.1:1"]),
        "https://",
    );
    refused(
        &bare.cli(&["gateway-map", "set", "https://iniapi.inicis.com", "--connect", "localhost"]),
        "connect",
    );
    refused(&bare.cli(&["shop", "create", "--name", " "]), "name");
    refused(
        &bare.cli(&["shop", "create", "--name", "x", "--allowed-origin", "https://a.example/path"]),
        "allowed_origins",
    );
    let create = |more: &[&str]| {
        let words = [&["channel", "create", "--shop", &shop, "--plugin", "inicis"], more].concat();
        bare.cli(&words)
    };
    refused(&create(&["--preset", "nope"]), "test_pay");
    refused(&create(&["--set", "mid=short"]), "settings.mid");
    refused(&create(&["--set", "sign_key=x"]), "settings.sign_key");
    refused(&create(&["--set", "colour=red"]), "settings.colour");
    refused(&create(&["--set", "noequals"]), "key=value");
    refused(&create(&["--set", "sign_key=@nowhere"]), "nowhere");
    refused(&create(&["--mode", "prod"]), "payhost-mode");
    let listed = bare.cli(&["channel", "list", "--shop", &shop]).json();
    assert_eq!(listed["data"].as_array().unwrap().len(), 1);
    let nobody = ["payment", "list", "--shop", "shop_00000000000000000000000000"];
    assert!(bare.cli(&nobody).code == 1 || bare.cli(&nobody).json()["data"] == json!([]));
    assert_eq!(bare.cli(&["payment", "show", "--shop", "x", "y"]).code, 2, "clap's own refusal");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_without_its_keys_says_what_is_missing() {
    let bare = Bare::start();
    set_up(|words| bare.cli(words));
    let shop = text(&bare.cli(&["shop", "create", "--name", "새 가게"]).json(), "id");
    let made = bare
        .cli(&["channel", "create", "--shop", &shop, "--plugin", "inicis", "--set", "mid=INIpayTest"])
        .json();
    assert_eq!(made["missing"], json!(["sign_key", "iniapi_key"]));
    let key = text(&bare.cli(&["key", "create", "--shop", &shop]).json(), "secret");
    let call = || crate::stage::http::Call::new(&bare.client, "POST", format!("{}/v1/payments", bare.url));
    let body = crate::stage::order("A-1", json!({}));
    let answer = call().key(&key).json(&body).send().await;
    answer.problem(409, "channel_incomplete");
    let secret = bare.folder.path().join("secret");
    std::fs::write(&secret, "SU5JTElURV9UUklQTEVERVNfS0VZU1RS\n").unwrap();
    let id = text(&made, "id");
    let given = format!("sign_key=@{}", secret.display());
    let words =
        ["channel", "update", "--shop", &shop, &id, "--set", &given, "--set", "iniapi_key=ItEQKi3rY7uvDS8l"];
    let updated = bare.cli(&words);
    assert!(!updated.out.contains("SU5JTElURV9UUklQTEVERVNfS0VZU1RS"), "{}", updated.out);
    assert_eq!(updated.json()["missing"], json!([]));
    call().key(&key).json(&body).send().await.expect(201);
}

/// A file for its owner only: the host takes no other.
fn write_private(file: &Path, bytes: &[u8]) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(file, bytes).unwrap();
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// Ends a server's data with a start that must fail, in words.
fn does_not_start(folder: &Path, change: impl FnOnce(&mut std::process::Command), words: &[&str]) {
    let mut command = payhost(folder);
    change(&mut command);
    let refused = try_serve(&mut command, folder, &[]).err().expect("the host must not start");
    assert!(refused.contains("payhost: ") && !refused.contains("panicked"), "{refused}");
    for word in words {
        assert!(refused.contains(word), "expected {word:?}: {refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_or_wrong_master_key_is_told_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    make_host(folder.path());
    let (shop, key) = set_up(|words| cli(folder.path(), words));
    let file = data(folder.path()).join("master.key");
    let good = std::fs::read(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    let restore = format!("restore {}", file.display());
    does_not_start(folder.path(), |_| (), &["master key", &restore]);
    refused(&cli(folder.path(), &["shop", "list"]), &restore);
    assert!(!file.exists(), "no new key is made for an old database");
    for bad in ["", "x", &"00".repeat(31), &"zz".repeat(32)] {
        write_private(&file, bad.as_bytes());
        does_not_start(folder.path(), |_| (), &["master key", &restore]);
    }
    write_private(&file, "11".repeat(32).as_bytes());
    does_not_start(folder.path(), |_| (), &["master key"]);
    write_private(&file, &good);
    let wrong = |command: &mut std::process::Command| {
        command.env("PAYHOST_MASTER_KEY", "11".repeat(32));
    };
    does_not_start(folder.path(), wrong, &["master key"]);
    let elsewhere = |command: &mut std::process::Command| {
        command.env("PAYHOST_MASTER_KEY_FILE", "nowhere.key");
    };
    does_not_start(folder.path(), elsewhere, &["nowhere.key"]);
    std::fs::remove_file(&file).unwrap();
    let right = |command: &mut std::process::Command| {
        command.env("PAYHOST_MASTER_KEY", String::from_utf8(good.clone()).unwrap().trim());
    };
    let mut command = payhost(folder.path());
    right(&mut command);
    let (_host, url) = try_serve(&mut command, folder.path(), &[]).unwrap();
    let client = crate::stage::http::client();
    let call = crate::stage::http::Call::new(&client, "GET", format!("{url}/v1/channels"));
    let listed: Value = call.key(&key).send().await.expect(200);
    assert_eq!(listed["data"].as_array().unwrap().len(), 1);
    assert!(shop.starts_with("shop_"));
}

#[test]
fn an_address_that_is_taken_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut command = payhost(folder.path());
    let ended = Ended::of(command.args(["serve", "--listen", &taken.local_addr().unwrap().to_string()]));
    refused(&ended, "cannot be listened on");
}

#[test]
fn files_of_the_host_are_for_its_user_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let (host, _) = serve(folder.path(), &[]);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data(folder.path())), 0o700);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(data(folder.path())).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path) & 0o077, 0, "{}: {:o}", path.display(), mode(&path));
        names.push(path.file_name().unwrap().to_str().unwrap().to_owned());
    }
    for name in ["master.key", "server.json", "payhost.sqlite", "payhost.sqlite-wal", "payhost.sqlite.lock"] {
        assert!(names.iter().any(|known| known == name), "{name}: {names:?}");
    }
    drop(host);
    // Somebody copied it back from a backup, for everybody.
    std::fs::set_permissions(
        data(folder.path()).join("payhost.sqlite"),
        std::fs::Permissions::from_mode(0o644),
    )
    .unwrap();
    let run = format!("chmod -R go= {}", data(folder.path()).display());
    does_not_start(folder.path(), |_| (), &["can be read by others", &run]);
}

#[test]
fn a_folder_that_is_mistyped_makes_no_host() {
    let folder = tempfile::tempdir().unwrap();
    for words in
        [&["shop", "list"][..], &["shop", "create", "--name", "x"], &["doctor"], &["replay", "--last", "1"]]
    {
        refused(
            &cli(folder.path(), words),
            &format!("there is no host in {}", data(folder.path()).display()),
        );
    }
    assert!(!data(folder.path()).exists());
}

#[test]
fn the_first_start_says_that_it_made_a_master_key_and_what_losing_it_means() {
    let folder = tempfile::tempdir().unwrap();
    let (host, _) = serve(folder.path(), &[]);
    let key = data(folder.path()).join("master.key").display().to_string();
    let told = |text: &str| {
        text.lines().any(|line| {
            line.contains("a master key was made") && line.contains(&key) && line.contains("Keep a copy")
        })
    };
    assert!(told(&host.logged()), "{}", host.logged());
    drop(host);
    std::fs::remove_file(folder.path().join("payhost.log")).unwrap();
    let (host, _) = serve(folder.path(), &[]);
    assert!(!told(&host.logged()), "only the first");
}

#[test]
fn a_public_url_that_leads_elsewhere_is_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    for url in [
        "https://pay.example/pay",
        "https://pay.example/?x=1",
        "https://pay.example/#x",
        "https://u:p@pay.example",
    ] {
        let mut command = payhost(folder.path());
        let refused = try_serve(&mut command, folder.path(), &["--public-url", url]).err().expect(url);
        assert!(refused.contains("the public URL") && refused.contains("cannot be used"), "{refused}");
    }
    assert!(!data(folder.path()).exists(), "nothing was made");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_of_the_log_is_flat_and_names_what_it_is_about() {
    let stage = crate::stage::Stage::start().await;
    let created = stage.create("A-1").await;
    let answer = stage.get(&format!("/v1/payments/{}", text(&created, "id"))).await;
    let request = answer.header("x-request-id").to_owned();
    let log = stage.host.logged();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for line in &lines {
        let members = line.as_object().unwrap();
        assert!(members.values().all(|value| !value.is_object() && !value.is_array()), "{line}");
        assert!(members.contains_key("timestamp") && members.contains_key("level"), "{line}");
    }
    let answered =
        lines.iter().find(|line| line["request"] == json!(request) && line["message"] == "answered");
    let answered = answered.unwrap_or_else(|| panic!("no line of {request}"));
    assert_eq!((&answered["shop"], &answered["payment"]), (&json!(stage.shop.id), &created["id"]));
    assert!(text(answered, "key").starts_with("key_"), "{answered}");
    for word in ["/.cargo/", "/registry/src/", "/rustc/", env!("CARGO_MANIFEST_DIR")] {
        assert!(!log.contains(word), "a path of the builder's machine: {word}");
    }
}
