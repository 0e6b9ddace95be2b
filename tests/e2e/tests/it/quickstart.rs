//! `docs/quickstart.md` and its Korean twin, followed to the letter in an empty folder: program, host, plugin, shop, channel, key,
//! the first payment, and its webhook received and verified by Node, PHP and Python.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::stage::buyer::{Fields, pay};
use crate::stage::http::{self, Call};
use crate::stage::process::{binary, component};
use crate::stage::{html, text};

const ENGLISH: &str = include_str!("../../../../docs/quickstart.md");
const KOREAN: &str = include_str!("../../../../docs/quickstart.ko.md");
/// The page's ports; each run has its own.
const PORTS: std::ops::RangeInclusive<u16> = 8101..=8106;

/// A block of a page: what stands behind its three marks, and its text.
fn blocks(page: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in page.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(kind), None) => open = Some((kind.to_owned(), String::new())),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some((_, text))) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is not closed");
    blocks
}

#[test]
fn both_languages_say_the_same_commands() {
    assert_eq!(blocks(ENGLISH), blocks(KOREAN));
    assert!(blocks(ENGLISH).len() > 10);
}

/// What a reader types and saves, as one script; where the page tells to use the browser, it says so and waits.
fn script(page: &str, folder: &Path) -> String {
    let mut script = "set -eu\n".to_owned();
    for (kind, text) in blocks(page) {
        if let Some((_, name)) = kind.split_once(" file=") {
            std::fs::write(folder.join(name), with_ports(&text)).unwrap();
        } else if kind == "sh build" {
            // The tests' own build stands for this block: it says where program and plugin are.
            assert!(
                text.contains("cargo build --workspace --bins") && text.contains("cargo xtask build-plugins")
            );
        } else {
            if let Some((_, file)) = kind.split_once(" browser=") {
                // What was printed before may not have ended its line.
                script.push_str(&format!("printf '\\n@@browser {file}\\n'; read -r _\n"));
            }
            script.push_str(&with_ports(&text));
        }
    }
    script.push_str("echo @@done\n");
    script
}

/// The text with this run's ports.
fn with_ports(text: &str) -> String {
    static OURS: std::sync::OnceLock<Vec<(String, String)>> = std::sync::OnceLock::new();
    let ours = OURS.get_or_init(|| {
        let held: Vec<_> =
            PORTS.map(|port| (port, std::net::TcpListener::bind("127.0.0.1:0").unwrap())).collect();
        let own = |listener: &std::net::TcpListener| listener.local_addr().unwrap().port().to_string();
        held.iter().map(|(port, listener)| (port.to_string(), own(listener))).collect()
    });
    // In two steps, so that no port of ours is taken for one of the page's.
    let marked =
        ours.iter().fold(text.to_owned(), |text, (page, _)| text.replace(page, &format!("@{page}@")));
    ours.iter().fold(marked, |text, (page, own)| text.replace(&format!("@{page}@"), own))
}

/// A shell with everything that it started.
struct Shell(Child);

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-KILL", "--", &format!("-{}", self.0.id())]).status();
        let _ = self.0.wait();
    }
}

/// Does what a person does in the browser, from the checkout's address on.
async fn pay_at(checkout_url: &str, gateway: &str) {
    let client = http::client();
    let agent = "Mozilla/5.0 (X11; Linux x86_64) Chrome/150";
    let call = Call::new(&client, "POST", checkout_url.to_owned()).header("user-agent", agent);
    let page = call.form(&[]).send().await;
    assert_eq!(page.status, 200, "{}", html::visible(&page.text));
    let mut body = pay();
    body["fields"] = json!(html::hidden_fields(&page.text));
    body["referer"] = json!(checkout_url);
    let answer =
        Call::new(&client, "POST", format!("{gateway}/_sim/window")).json(&body).send().await.expect(200);
    let fields: Fields = serde_json::from_value(answer["fields"].clone()).unwrap();
    let back = Call::new(&client, "POST", text(&answer, "return_url")).form(&fields).send().await;
    assert_eq!(back.status, 303, "{}", back.text);
}

/// The address of a checkout in a file that the page made.
fn checkout_url(file: &Path) -> String {
    let text = std::fs::read_to_string(file).unwrap();
    let from = text.find("http").unwrap_or_else(|| panic!("no address in {text}"));
    text[from..].split(['"', '\n', ' ']).next().unwrap().to_owned()
}

async fn follow(page: &str) {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let script = script(page, folder);
    std::fs::write(folder.join("page.sh"), &script).unwrap();
    let programs = binary("payhost").parent().unwrap().to_owned();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new("bash");
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("PAYHOST_")) {
        command.env_remove(name);
    }
    command
        .arg("page.sh")
        .current_dir(folder)
        .env("PATH", path)
        .env("INICIS_WASM", component())
        .process_group(0);
    let errors = std::fs::File::create(folder.join("errors.log")).unwrap();
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(errors).spawn().unwrap();
    let mut shell = Shell(child);
    let mut input = shell.0.stdin.take().unwrap();
    let lines = BufReader::new(shell.0.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut said = Vec::new();
    for line in lines {
        if line == "@@done" {
            break;
        }
        if let Some(file) = line.strip_prefix("@@browser ") {
            let gateway: Value =
                serde_json::from_str(&std::fs::read_to_string(folder.join("gateway.json")).unwrap()).unwrap();
            pay_at(&checkout_url(&folder.join(file)), &text(&gateway, "browser_origin")).await;
            input.write_all(b"\n").unwrap();
        }
        said.push(line);
    }
    let errors = std::fs::read_to_string(folder.join("errors.log")).unwrap_or_default();
    for word in ["paid", "cancelled"] {
        assert!(said.iter().any(|line| line == word), "the page promises {word:?}: {said:#?}\n{errors}");
    }
    assert_eq!(said.iter().filter(|line| line.starts_with("@@browser")).count(), 4, "{said:#?}\n{errors}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_follows_the_page_to_a_verified_webhook() {
    follow(ENGLISH).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_korean_newcomer_does_as_well() {
    follow(KOREAN).await;
}
