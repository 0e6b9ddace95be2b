//! Return posts that are not what the gateway gave. Invariant of the host: nothing of them reaches the gateway, nothing is
//! approved, and the payment can still be paid.

use serde_json::{Value, json};

use crate::stage::buyer::{Fields, Outcome, Return, pay};
use crate::stage::{Stage, text};

/// The promise of every test here.
async fn is_forged_and_harmless(stage: &Stage, created: &Value, what: &str, outcome: &Outcome) {
    assert_eq!(outcome.result, "failed", "{what}: {}", outcome.words);
    assert!(outcome.words.contains("결제가 완료되지 않았습니다"), "{what}: {}", outcome.words);
    assert!(outcome.html.contains("data-testid=\"again\""), "{what}: {}", outcome.words);
    let payment = stage.payment(created).await;
    assert_eq!(
        (text(&payment, "state"), text(&payment, "resolution")),
        ("pending".into(), "none".into()),
        "{what}"
    );
    assert_eq!(
        stage.count("approved").await + stage.count("declined").await + stage.count("refused").await,
        0,
        "{what}"
    );
    let timeline = stage.timeline(&stage.shop, created).await;
    let failed = timeline.iter().rfind(|item| item["name"] == "checkout.failed").unwrap();
    assert_eq!(failed["data"]["reason"], "forged", "{what}: {failed}");
}

async fn can_still_be_paid(stage: &Stage, created: &Value) {
    let window = stage.open(created).await;
    let outcome = stage.come_back(&stage.choose(&window, pay()).await).await;
    assert_eq!(outcome.result, "paid", "{}", outcome.words);
    assert_eq!(stage.held().await.len(), 1);
}

/// Brings back a changed post of a fresh checkout each, and pays in the end.
async fn forged(stage: &Stage, changes: Vec<(&str, Box<dyn Fn(&Return) -> Return>)>) {
    let created = stage.create("A-1").await;
    for (what, change) in changes {
        let window = stage.open(&created).await;
        let back = stage.choose(&window, pay()).await;
        let outcome = stage.come_back(&change(&back)).await;
        is_forged_and_harmless(stage, &created, what, &outcome).await;
        // The true post that comes afterwards changes nothing either: a return is completed once.
        assert_eq!(stage.come_back(&back).await.result, "failed", "{what}");
        assert_eq!(stage.count("approved").await, 0, "{what}");
    }
    can_still_be_paid(stage, &created).await;
}

fn change(name: &'static str, value: &'static str) -> (&'static str, Box<dyn Fn(&Return) -> Return>) {
    (value, Box::new(move |back| back.with(name, value)))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_not_the_gateway_s_own_is_never_called() {
    let stage = Stage::start().await;
    let path = "/api/payAuth";
    let hosts = [
        "https://evil.example",
        "https://fcstdpay.inicis.com@evil.example",
        "https://evil.example/fcstdpay.inicis.com",
        "https://fcstdpay.inicis.com.evil.example",
        "https://fcstdpay.inicis.com:8443",
        "http://fcstdpay.inicis.com",
        "https://user@fcstdpay.inicis.com",
        "https://127.0.0.1",
        "https://fcstdpay.inicis.com\\@evil.example",
        "",
        "//fcstdpay.inicis.com",
        "https://iniapi.inicis.com",
        "file:///etc/passwd",
        "https://fcstdpay.inicis.com/..",
    ];
    let mut changes: Vec<(&str, Box<dyn Fn(&Return) -> Return>)> = Vec::new();
    for host in hosts {
        changes.push((host, Box::new(move |back| back.with("authUrl", &format!("{host}{path}")))));
        changes
            .push((host, Box::new(move |back| back.with("netCancelUrl", &format!("{host}/api/netCancel")))));
    }
    changes.push(change("authUrl", "https://fcstdpay.inicis.com/api/other"));
    changes.push(change("authUrl", "https://fcstdpay.inicis.com/api/payAuth?x=1"));
    forged(&stage, changes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_data_centre_merchant_or_order_is_refused() {
    let stage = Stage::start().await;
    let changes = vec![
        change("idc_name", "xx"),
        change("idc_name", ""),
        change("mid", "INIlookup0"),
        change("mid", ""),
        change("orderNumber", "A-1-00000000000000000000000000"),
        change("orderNumber", ""),
        change("authToken", ""),
        change("resultCode", ""),
    ];
    forged(&stage, changes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_that_are_missing_doubled_or_no_form_are_refused() {
    let stage = Stage::start().await;
    let mut changes: Vec<(&str, Box<dyn Fn(&Return) -> Return>)> = Vec::new();
    for name in ["mid", "orderNumber", "authToken", "authUrl", "netCancelUrl", "idc_name"] {
        let without = move |back: &Return| {
            let fields = back.fields.iter().filter(|(known, _)| known != name).cloned().collect();
            Return { fields, ..back.clone() }
        };
        let doubled = move |back: &Return| {
            let mut fields = back.fields.clone();
            fields.push((name.to_owned(), back.field(name).to_owned() + "x"));
            Return { fields, ..back.clone() }
        };
        changes.push((name, Box::new(without)));
        changes.push((name, Box::new(doubled)));
    }
    let only = |fields: Fields| move |back: &Return| Return { fields: fields.clone(), ..back.clone() };
    changes.push(("nothing", Box::new(only(Vec::new()))));
    changes.push(("noise", Box::new(only(vec![("a".to_owned(), "b".to_owned())]))));
    changes.push(("only a success", Box::new(only(vec![("resultCode".to_owned(), "0000".to_owned())]))));
    forged(&stage, changes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_no_form_is_refused() {
    let stage = Stage::start().await;
    let created = stage.create("A-1").await;
    let form = "application/x-www-form-urlencoded";
    let bodies: [(&str, Vec<u8>); 7] = [
        (form, b"%%%".to_vec()),
        (form, vec![0xff, 0xfe, 0, 1, 2]),
        (form, Vec::new()),
        ("application/json", b"{\"resultCode\":\"0000\"}".to_vec()),
        ("multipart/form-data; boundary=x", b"--x--".to_vec()),
        ("", b"resultCode=0000".to_vec()),
        (form, [b"a=".to_vec(), vec![b'x'; 200 * 1024]].concat()),
    ];
    for (kind, body) in bodies {
        let window = stage.open(&created).await;
        let back = stage.choose(&window, pay()).await;
        let answer = stage.call("POST", &back.url).body(kind, body).send().await;
        assert_eq!(answer.status, 303, "{kind}: {}", answer.text);
        let outcome = stage.outcome(answer.header("location")).await;
        is_forged_and_harmless(&stage, &created, kind, &outcome).await;
    }
    can_still_be_paid(&stage, &created).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_return_of_another_checkout_is_refused() {
    let stage = Stage::start().await;
    let created = stage.create("A-1").await;
    let (mine, other) = (stage.open(&created).await, stage.open(&created).await);
    let back = stage.choose(&mine, pay()).await;
    let replayed = Return { url: other.field("returnUrl").to_owned(), ..back.clone() };
    let outcome = stage.come_back(&replayed).await;
    is_forged_and_harmless(&stage, &created, "another checkout of the same payment", &outcome).await;
    let elsewhere = stage.create("A-2").await;
    let window = stage.open(&elsewhere).await;
    let replayed = Return { url: window.field("returnUrl").to_owned(), ..back.clone() };
    let outcome = stage.come_back(&replayed).await;
    is_forged_and_harmless(&stage, &elsewhere, "another payment", &outcome).await;
    // Where it belongs, the same post is good.
    assert_eq!(stage.come_back(&back).await.result, "paid");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_return_by_get_is_refused() {
    let stage = Stage::start().await;
    let created = stage.create("A-1").await;
    let window = stage.open(&created).await;
    let back = stage.choose(&window, pay()).await;
    let url = format!("{}?resultCode=0000&authToken=x", back.url);
    let answer = stage.call("GET", &url).send().await;
    assert_eq!(answer.status, 303, "{}", answer.text);
    let outcome = stage.outcome(answer.header("location")).await;
    is_forged_and_harmless(&stage, &created, "GET", &outcome).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_return_of_a_checkout_that_does_not_exist_shows_a_bad_link() {
    let stage = Stage::start().await;
    for id in ["chk_00000000000000000000000000", "chk_x", "pay_00000000000000000000000000"] {
        let answer = stage.call("POST", &format!("/return/{id}")).form(&[]).send().await;
        assert_eq!(answer.status, 404, "{}", answer.text);
    }
    let (_, paid) = stage.pay_as(&stage.shop, "A-1").await;
    assert_eq!(paid.result, "paid");
    assert_eq!(stage.count("approved").await, 1);
    let _ = json!({});
}
