//! A request goes where it may, once, and whatever becomes of it, the evidence is right.

use std::time::{Duration, Instant};

use payhost_engine::contract::general_pay;
use payhost_engine::{EgressPolicy, Engine, Fault, Mapping, Phase, WriteEvidence};

use crate::common::{API_TOKEN, PASSWORD, Try, assert_no_secret, behave, callback, engine, order, plugin};
use crate::gateway::{Gateway, ORIGIN};

fn fetch(gateway: &Gateway, path: &str) -> Try {
    behave("fetch").with("url", &format!("{ORIGIN}{path}")).egress(gateway.egress())
}

/// Sends; the plugin's words, the evidence of writes, and the phases.
async fn send(engine: &Engine, call: Try) -> (String, WriteEvidence, Vec<Phase>) {
    let plugin = plugin(engine).await;
    let called = call.complete(engine, &plugin).await;
    assert_no_secret(&format!("{:?} {:?}", called.log, called.evidence));
    assert_no_secret(&serde_json::to_string(called.record()).unwrap());
    let phases = called.evidence.exchanges().iter().map(|exchange| exchange.phase).collect();
    (called.result.unwrap(), called.evidence.writes(), phases)
}

/// Sends something that must be refused for a reason, and proves that nothing came to the gateway.
async fn refused(engine: &Engine, gateway: &Gateway, call: Try, reason: &str) {
    let (said, writes, phases) = send(engine, call).await;
    assert!(said.starts_with("refused: ") && said.contains(reason), "wanted `{reason}`, got: {said}");
    assert_eq!((writes, phases.as_slice()), (WriteEvidence::None, &[Phase::Refused][..]));
    assert_eq!(gateway.requests(), [""; 0]);
}

#[tokio::test]
async fn a_write_that_was_answered_is_answered() {
    let (engine, gateway) = (engine(), Gateway::start().await);
    let call = fetch(&gateway, "/pay?a=1").with("body", "x=1").with("header", "content-type=text/plain");
    let (said, writes, _) = send(&engine, call).await;
    assert_eq!((said.as_str(), writes), ("200 hello", WriteEvidence::Answered));
    let request = gateway.requests().remove(0).to_lowercase();
    assert!(request.starts_with("post /pay?a=1 http/1.1\r\n"), "{request}");
    assert!(request.ends_with("\r\n\r\nx=1"), "{request}");
    assert!(
        request.contains("\r\nhost: gateway.test\r\n")
            && request.contains("\r\ncontent-type: text/plain\r\n")
    );
    for absent in ["cookie", "referer", "user-agent", "proxy"] {
        assert!(!request.contains(absent), "{absent}: {request}");
    }
}

#[tokio::test]
async fn the_plugin_sees_the_real_name_and_port_of_a_mapped_gateway() {
    let (engine, gateway) = (engine(), Gateway::start().await);
    let origin = "https://gateway.test:8443";
    let call = behave("fetch").with("url", &format!("{origin}/pay")).egress(gateway.egress_for(origin));
    let (said, writes, _) = send(&engine, call).await;
    assert_eq!((said.as_str(), writes), ("200 hello", WriteEvidence::Answered));
    assert!(gateway.requests()[0].to_lowercase().contains("\r\nhost: gateway.test:8443\r\n"));
}

#[tokio::test]
async fn answers_are_asked_for_uncompressed_and_a_compressed_one_is_unknown() {
    let (engine, gateway) = (engine(), Gateway::start().await);
    let (said, writes, phases) = send(&engine, fetch(&gateway, "/zipped")).await;
    assert!(said.starts_with("unknown: status 200, but its body is compressed"), "{said}");
    assert_eq!((writes, phases), (WriteEvidence::Unknown, vec![Phase::Unknown]));
    let asked = gateway.requests().iter().all(|request| request.contains("accept-encoding: identity\r\n"));
    assert!(asked, "{:?}", gateway.requests());
}

#[tokio::test]
async fn any_status_is_an_answer_and_redirects_and_cookies_are_left_alone() {
    let (engine, gateway) = (engine(), Gateway::start().await);
    for (path, status, body) in [("/redirect", 302, ""), ("/cookie", 200, "")] {
        let (said, writes, phases) = send(&engine, fetch(&gateway, path)).await;
        assert_eq!(said, format!("{status} {body}"));
        assert_eq!((writes, phases), (WriteEvidence::Answered, vec![Phase::Answered { status }]));
    }
    assert_eq!(gateway.requests().len(), 2, "no redirect was followed");
    assert!(gateway.requests().iter().all(|request| !request.to_lowercase().contains("cookie:")));
}

#[tokio::test]
async fn nothing_is_sent_where_no_connection_comes_about() {
    let (engine, gateway) = (engine(), Gateway::start().await);
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let (stranger, other_name) = (Gateway::start().await, Gateway::named("elsewhere.test").await);
    let through = |connect, ca: &str| {
        let map = vec![Mapping { origin: ORIGIN.parse().unwrap(), connect, ca_pem: Some(ca.to_owned()) }];
        EgressPolicy { map, ..gateway.egress() }
    };
    for (what, egress) in [
        ("a closed port", through(closed, &gateway.ca_pem)),
        ("another authority", through(gateway.address, &stranger.ca_pem)),
        ("a certificate for another name", through(other_name.address, &other_name.ca_pem)),
    ] {
        let (said, writes, phases) = send(&engine, fetch(&gateway, "/pay").egress(egress)).await;
        assert!(said.starts_with("not sent: "), "{what}: {said}");
        assert_eq!((writes, phases), (WriteEvidence::NotSent, vec![Phase::NotSent]), "{what}");
    }
    for gateway in [&gateway, &stranger, &other_name] {
        assert_eq!(gateway.requests(), [""; 0]);
    }
}

#[tokio::test]
async fn whatever_goes_wrong_after_sending_is_unknown() {
    let (engine, gateway) = (engine(), Gateway::start().await);
    for (path, reason) in [
        ("/close", ""),
        ("/cut", ""),
        ("/big", "larger than 1 MiB"),
        ("/headers", "larger than 32 KiB"),
        ("/many", ""),
    ] {
        let (said, writes, phases) = send(&engine, fetch(&gateway, path)).await;
        assert!(said.starts_with("unknown: ") && said.contains(reason), "{path}: {said}");
        assert_eq!((writes, phases), (WriteEvidence::Unknown, vec![Phase::Unknown]), "{path}");
    }
    assert_eq!(gateway.requests().len(), 5, "nothing was sent twice");
    let (said, ..) = send(&engine, fetch(&gateway, "/full")).await;
    assert_eq!(said.len(), "200 ".len() + (1 << 20), "exactly the cap is an answer");
}

#[tokio::test]
async fn a_kill_by_the_clock_keeps_what_was_seen() {
    let (engine, gateway) = (engine(), Gateway::start().await);
    let plugin = plugin(&engine).await;
    let call = fetch(&gateway, "/hang").limits(|limits| limits.wall = Duration::from_millis(1_500));
    let called = call.complete(&engine, &plugin).await;
    assert!(matches!(called.result, Err(Fault::WallTime { .. })), "{:?}", called.result);
    assert_eq!(called.evidence.writes(), WriteEvidence::Unknown);
    assert!(called.cost.cpu < Duration::from_millis(100), "waiting is not billed: {:?}", called.cost);
    assert!(!called.record().replayable);
    assert_eq!(gateway.requests().len(), 1);
}

#[tokio::test]
async fn a_caller_that_goes_away_does_not_stop_a_write() {
    let (engine, gateway) = (engine(), Gateway::start().await);
    let plugin = plugin(&engine).await;
    let call = fetch(&gateway, "/pay");
    let call = call.complete(&engine, &plugin);
    // Polled once: the call is on its way; then its caller goes.
    tokio::select! {
        biased;
        _ = call => panic!("it cannot be done at once"),
        () = std::future::ready(()) => {}
    }
    engine.drain().await;
    assert_eq!(gateway.requests().len(), 1);
    assert_eq!(engine.figures().in_flight, 0);
}

#[tokio::test]
async fn a_panic_after_a_write_keeps_the_evidence() {
    let (engine, gateway) = (engine(), Gateway::start().await);
    let plugin = plugin(&engine).await;
    let call = behave("fetch, then panic").with("url", &format!("{ORIGIN}/pay")).egress(gateway.egress());
    let called = call.complete(&engine, &plugin).await;
    assert!(matches!(called.result, Err(Fault::Panic { .. })));
    assert_eq!(called.evidence.writes(), WriteEvidence::Answered);
    assert_eq!(called.record().imports.len(), 1);
}

#[tokio::test]
async fn a_host_needs_both_keys() {
    let (engine, gateway) = (engine(), Gateway::start().await);
    let call = behave("fetch").with("url", "https://other.test/pay").egress(gateway.egress());
    refused(&engine, &gateway, call, "payhost plugin grant guests https://other.test").await;
    let call = fetch(&gateway, "/pay").egress(EgressPolicy { granted: vec![], ..gateway.egress() });
    refused(&engine, &gateway, call, "payhost plugin grant guests https://gateway.test").await;
    let mut egress = gateway.egress();
    egress.granted.push("https://unwanted.test".parse().unwrap());
    let call = behave("fetch").with("url", "https://unwanted.test/").egress(egress);
    refused(&engine, &gateway, call, "not among the hosts of the plugin's descriptor").await;
    let call = behave("fetch").with("url", "https://gateway.test:444/").egress(gateway.egress());
    refused(&engine, &gateway, call, "https://gateway.test:444 is not among the hosts").await;
}

#[tokio::test]
async fn a_private_address_is_refused_after_resolution() {
    let (engine, gateway) = (engine(), Gateway::start().await);
    let granted = vec!["https://localhost".parse().unwrap()];
    let call =
        behave("fetch").with("url", "https://localhost/").egress(EgressPolicy { granted, map: vec![] });
    refused(&engine, &gateway, call, "not on the public net").await;
}

#[tokio::test]
async fn odd_urls_are_refused() {
    let (engine, gateway) = (engine(), Gateway::start().await);
    let port = gateway.address.port();
    for (url, reason) in [
        (format!("https://127.0.0.1:{port}/"), "an address in place of a host name"),
        (format!("https://[::1]:{port}/"), "an address in place of a host name"),
        (format!("https://2130706433:{port}/"), "an address in place of a host name"),
        (format!("http://gateway.test:{port}/"), "does not begin with `https://`"),
        ("file:///etc/passwd".into(), "does not begin with `https://`"),
        ("https://user:pw@gateway.test/".into(), "leave out user info"),
        ("https://gateway.test@evil.test/".into(), "leave out user info"),
        ("https://gateway.test/#fragment".into(), "fragment"),
        ("https://gateway.test./pay".into(), "a final dot"),
        ("https://gateway.test\\@evil.test/".into(), "percent-encoded"),
        ("https://gateway.test/a b".into(), "percent-encoded"),
        ("https://gateway.test/\r\nx: y".into(), "percent-encoded"),
        ("gateway.test/pay".into(), "is not a URL"),
        (format!("https://gateway.test/{}", "a".repeat(9_000)), "longer than 8 KiB"),
    ] {
        let call = behave("fetch").with("url", &url).egress(gateway.egress());
        refused(&engine, &gateway, call, reason).await;
    }
}

#[tokio::test]
async fn headers_cannot_smuggle_a_request() {
    let (engine, gateway) = (engine(), Gateway::start().await);
    for (header, reason) in [
        ("host=evil.test", "is the host's"),
        ("content-length=0", "is the host's"),
        ("transfer-encoding=chunked", "is the host's"),
        ("connection=upgrade", "is the host's"),
        ("proxy-authorization=x", "is the host's"),
        ("x-forwarded-for=1.1.1.1", "is the host's"),
        ("cookie=a", "is the host's"),
        ("Host=evil.test", "lower case"),
        ("x y=1", "letters, digits and `-`"),
        ("x:y=1", "letters, digits and `-`"),
        ("=1", "letters, digits and `-`"),
        ("x=a\r\ny: b", "line break"),
        ("x=a\nb", "line break"),
        ("x=a\0b", "NUL"),
        ("x=a\u{7f}b", "control characters"),
    ] {
        refused(&engine, &gateway, fetch(&gateway, "/pay").with("header", header), reason).await;
    }
    let many: Vec<String> = (0..33).map(|number| format!("x-{number}=1")).collect();
    refused(&engine, &gateway, fetch(&gateway, "/pay").with("header", &many.join("|")), "32 headers").await;
    for verb in ["PUT", "CONNECT", "get", "GET /x HTTP/1.1\r\n"] {
        refused(&engine, &gateway, fetch(&gateway, "/pay").with("verb", verb), "`GET` or `POST`").await;
    }
    refused(&engine, &gateway, fetch(&gateway, "/pay").with("verb", "GET").with("body", "x"), "no body")
        .await;
}

#[tokio::test]
async fn one_call_writes_once() {
    let (engine, gateway) = (engine(), Gateway::start().await);
    let (said, writes, phases) = send(&engine, fetch(&gateway, "/pay").with("times", "3")).await;
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[0], "200 hello");
    assert!(lines[1].contains("refused: this call has written once already"), "{said}");
    assert_eq!((writes, phases.len(), gateway.requests().len()), (WriteEvidence::Answered, 3, 1));
}

#[tokio::test]
async fn requests_are_counted() {
    let (engine, gateway) = (engine(), Gateway::start().await);
    let call = fetch(&gateway, "/read").with("effect", "read").with("times", "10");
    let (said, writes, _) = send(&engine, call).await;
    assert_eq!(said.matches("200 hello").count(), 8, "{said}");
    assert!(said.contains("a call may make 8 requests"));
    assert_eq!((writes, gateway.requests().len()), (WriteEvidence::None, 8));
}

#[tokio::test]
async fn reads_go_to_read_paths_only() {
    let (engine, gateway) = (engine(), Gateway::start().await);
    let (said, writes, _) = send(&engine, fetch(&gateway, "/read?x=1").with("effect", "read")).await;
    assert_eq!((said.as_str(), writes), ("200 hello", WriteEvidence::None));
    let gateway = Gateway::start().await;
    for path in ["/pay", "/read/", "/read/../pay", "/READ", "/%72ead"] {
        refused(&engine, &gateway, fetch(&gateway, path).with("effect", "read"), "is not a read path").await;
    }
}

#[tokio::test]
async fn a_function_that_only_reads_cannot_write_and_one_without_network_cannot_send() {
    let (engine, gateway) = (engine(), Gateway::start().await);
    let plugin = plugin(&engine).await;
    let said = fetch(&gateway, "/pay").begin(&engine, &plugin).await.result.unwrap();
    assert!(said.contains("refused: this function only reads"), "{said}");
    let call = fetch(&gateway, "/read").with("effect", "read");
    let params = (call.context(), order(), callback());
    let called = engine.call(&plugin, &general_pay::AUTHENTICATE, params, call.setup).await;
    let said = format!("{:?}", called.result.unwrap());
    assert!(said.contains("refused: this function may not use the network"), "{said}");
    let mut call = fetch(&gateway, "/pay");
    call.setup.http_allowed = false;
    refused(&engine, &gateway, call, "may not use the network").await;
}

#[tokio::test]
async fn an_attempt_whose_lease_has_run_out_cannot_send() {
    let (engine, gateway) = (engine(), Gateway::start().await);
    for left in [Duration::ZERO, Duration::from_secs(4)] {
        let mut call = fetch(&gateway, "/pay");
        call.setup.send_deadline = Some(Instant::now() + left);
        refused(&engine, &gateway, call, "the lease of this attempt has run out").await;
    }
    let mut call = fetch(&gateway, "/pay");
    call.setup.send_deadline = Some(Instant::now() + Duration::from_secs(30));
    assert_eq!(send(&engine, call).await.1, WriteEvidence::Answered);
}

#[tokio::test]
async fn a_secret_goes_only_where_it_is_declared_and_is_seen_only_there() {
    let (engine, gateway) = (engine(), Gateway::start().await);
    let with =
        |secret: &str, place: &str| fetch(&gateway, "/pay").with("secret", secret).with("place", place);
    for (secret, place) in [
        ("sign_key", "header"),
        ("sign_key", "body"),
        ("api_token", "body"),
        ("password", "header"),
        ("card_number", "header"),
    ] {
        refused(&engine, &gateway, with(secret, place), &format!("may not go into a {place} to")).await;
    }
    refused(
        &engine,
        &gateway,
        with("other_shops_key", "body"),
        "this channel has no secret `other_shops_key`",
    )
    .await;
    let elsewhere = "https://gateway.test:8443";
    let call = with("password", "body").egress(gateway.egress_for(elsewhere));
    let mut call = call;
    call.settings.retain(|setting| setting.key != "url");
    refused(&engine, &gateway, call.with("url", &format!("{elsewhere}/pay")), "may not go into a body to")
        .await;

    send(&engine, with("api_token", "header")).await;
    send(&engine, with("password", "body").with("encoding", "form")).await;
    send(&engine, with("password", "body").with("encoding", "base64")).await;
    send(&engine, with("card_number", "body")).await;
    let requests = gateway.requests();
    assert!(requests[0].contains(&format!("Bearer {API_TOKEN}\r\n")), "{}", requests[0]);
    assert!(requests[1].ends_with("\r\n\r\np4ss+w0rd%26value"), "{}", requests[1]);
    use base64::Engine as _;
    let base64 = base64::engine::general_purpose::STANDARD.encode(PASSWORD);
    assert!(requests[2].ends_with(&base64), "{}", requests[2]);
    assert!(requests[3].ends_with("4111111111111111"), "{}", requests[3]);
}
