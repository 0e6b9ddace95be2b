//! What every request meets before a route does: connections, limits, headers, the addresses that browsers ask for by themselves.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::stage::http::Call;
use crate::stage::{Bare, Stage, operator_key, payhost, serve, text, try_serve};

/// Long enough for a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Says something on a connection of its own and hears everything until the other side closes.
async fn raw(url: &str, said: &str) -> String {
    let mut stream = TcpStream::connect(url.strip_prefix("http://").unwrap()).await.unwrap();
    stream.write_all(said.as_bytes()).await.unwrap();
    let mut heard = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut heard)).await;
    // A reset is a close too.
    let _ = read.expect("the connection is held");
    String::from_utf8_lossy(&heard).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn half_requests_do_not_stop_the_host() {
    let folder = tempfile::tempdir().unwrap();
    let limits = ["--head-timeout", "1s", "--connections", "100", "--connections-per-address", "100"];
    let (_host, url) = serve(folder.path(), &limits);
    let address = url.strip_prefix("http://").unwrap();
    let mut held = Vec::new();
    for _ in 0..1100 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // One that is turned away may be closed already.
        let _ = stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nx-half").await;
        held.push(stream);
        if held.len() > 900 {
            // The test has a limit of open files too.
            held.remove(0);
        }
    }
    let answered = tokio::time::timeout(PATIENCE, async {
        while !raw(&url, "GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            .await
            .contains("200 OK")
        {}
    });
    answered.await.expect("nobody else is answered");
    let said = raw(&url, "POST /v1/payments HTTP/1.1\r\nhost: x\r\n").await;
    assert_eq!(said, "", "half a head is closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_cannot_be_tried_without_end_and_a_right_one_is_never_refused_for_others() {
    let folder = tempfile::tempdir().unwrap();
    let start = || {
        let mut command = payhost(folder.path());
        command.env("PAYHOST_BAD_KEYS_PER_MINUTE", "5");
        try_serve(&mut command, folder.path(), &[]).unwrap()
    };
    let client = crate::stage::http::client();
    let ask = |url: &str, key: &str| Call::new(&client, "GET", format!("{url}/v1/shops")).key(key).send();
    let (host, url) = start();
    let made = Call::new(&client, "POST", format!("{url}/v1/keys")).key(&operator_key(folder.path()));
    let good = text(&made.json(&json!({"name": "in use"})).send().await.expect(201), "secret");
    drop(host);
    // Nothing is known yet of who asks from where.
    let (_host, url) = start();
    let mut tried = 0;
    let refused = loop {
        let answer = ask(&url, &format!("op_{tried:064}")).await;
        if answer.status != 401 {
            break answer;
        }
        assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"payhost\"");
        tried += 1;
        assert!(tried <= 20, "keys are tried without end");
    };
    refused.problem(429, "too_many_requests");
    assert!(tried >= 5 && refused.header("retry-after").parse::<u64>().unwrap() > 0, "{tried}");
    // From the same address, for the first time.
    ask(&url, &good).await.expect(200);
    ask(&url, "op_wrong").await.problem(429, "too_many_requests");
    ask(&url, &good).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_that_asks_too_often_is_told_when_to_come_back_and_others_are_not() {
    let stage = Stage::serving(&["--requests-per-shop", "2", "--requests-per-key", "0"]).await;
    let other = stage.new_shop("다른 가게", json!({})).await;
    let mut limited = None;
    for _ in 0..50 {
        let answer = stage.get("/v1/payments").await;
        if answer.status == 429 {
            limited = Some(answer);
            break;
        }
        answer.expect(200);
    }
    let limited = limited.expect("nobody is limited");
    limited.problem(429, "too_many_requests");
    assert!(limited.header("retry-after").parse::<u64>().unwrap() >= 1);
    stage.call("GET", "/v1/payments").key(&other.key).send().await.expect(200);
    // Another key of the same shop is the same shop.
    let second = stage.new_key(&stage.shop.id, "test").await;
    stage.call("GET", "/v1/payments").key(&second).send().await.problem(429, "too_many_requests");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_asks_too_often_is_told_so_on_every_route_but_those_of_gateways() {
    let folder = tempfile::tempdir().unwrap();
    let (_host, url) =
        serve(folder.path(), &["--requests-per-address", "1", "--trusted-proxy", "127.0.0.1,"]);
    let client = crate::stage::http::client();
    let ask = |path: &str, from: &str| {
        Call::new(&client, "GET", format!("{url}{path}")).header("x-forwarded-for", from).send()
    };
    let mut limited = false;
    for _ in 0..20 {
        limited = limited || ask("/", "203.0.113.1:4711").await.status == 429;
    }
    assert!(limited, "nobody is limited");
    let page = ask(
        "/checkout/shop_00000000000000000000000000/pay_00000000000000000000000000?token=x",
        "203.0.113.1",
    )
    .await;
    assert!(page.status == 429 && page.header("content-type").starts_with("text/html"), "{}", page.text);
    assert!(!page.header("retry-after").is_empty());
    assert_eq!(ask("/healthz", "203.0.113.1").await.status, 200);
    // No such channel, and nobody counted the question.
    assert_eq!(
        ask("/notify/shop_00000000000000000000000000/chn_00000000000000000000000000", "203.0.113.1")
            .await
            .status,
        404
    );
    assert_eq!(ask("/", "[2001:db8::7]:80").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_with_two_hosts_or_none_is_refused() {
    let bare = Bare::start();
    for hosts in ["host: a\r\nhost: b\r\n", "host: a\r\nHost: a\r\n", ""] {
        let said = format!("GET /healthz HTTP/1.1\r\n{hosts}connection: close\r\n\r\n");
        let answer = raw(&bare.url, &said).await;
        assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("Host"), "{hosts:?}: {answer}");
    }
    let old = raw(&bare.url, "GET /healthz HTTP/1.0\r\n\r\n").await;
    assert!(old.contains("200 OK"), "{old}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_what_its_type_says_and_comes_by_tls_only_where_the_host_does() {
    let folder = tempfile::tempdir().unwrap();
    let (_host, url) = serve(folder.path(), &["--public-url", "https://pay.example"]);
    let bare = Bare::start();
    let client = crate::stage::http::client();
    for (verb, path) in [
        ("GET", "/"),
        ("GET", "/nothing"),
        ("GET", "/v1/nothing"),
        ("PUT", "/v1/payments"),
        ("DELETE", "/checkout/shop_00000000000000000000000000/pay_00000000000000000000000000"),
        ("GET", "/checkout/nothing/nothing"),
        ("GET", "/checkout/shop_00000000000000000000000000/pay_00000000000000000000000000?token=x"),
        ("GET", "/v1/payments"),
        ("GET", "/payhost.js"),
        ("GET", "/favicon.ico"),
        ("GET", "/healthz"),
    ] {
        let answer = Call::new(&client, verb, format!("{url}{path}")).send().await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{verb} {path}");
        assert_eq!(answer.header("strict-transport-security"), "max-age=31536000", "{verb} {path}");
        assert!(!answer.header("x-request-id").is_empty(), "{verb} {path}");
        let plain = Call::new(&client, verb, format!("{}{path}", bare.url)).send().await;
        assert_eq!(plain.header("strict-transport-security"), "", "{verb} {path}: the host is not on TLS");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_comes_to_the_root_gets_a_page_and_a_program_json() {
    let bare = Bare::start();
    let ask = |path: &str, accept: &str| {
        Call::new(&bare.client, "GET", format!("{}{path}", bare.url)).header("accept", accept).send()
    };
    let page = ask("/", "text/html,*/*;q=0.8").await;
    assert!(
        page.status == 200 && page.text.contains("결제") && page.text.contains("payment server"),
        "{}",
        page.text
    );
    assert_eq!(ask("/", "*/*").await.expect(200), json!({"name": "payhost", "api": "/v1"}));
    let icon = ask("/favicon.ico", "image/*").await;
    assert_eq!((icon.status, icon.text.as_str()), (204, ""));
}
