//! Return posts that are not what the gateway gave. Invariant of the host: nothing of them reaches the gateway, nothing is
//! approved, and the payment can still be paid.

use serde_json::{Value, json};

use crate::stage::buyer::{Fields, Return, pay};
use crate::stage::html::visible;
use crate::stage::http::Answer;
use crate::stage::{Stage, text};

/// What somebody made of a return, with a name for it.
type Forgery = (&'static str, Box<dyn Fn(&Return) -> Return>);

/// The promise of every test here: it is told, and nothing has changed.
async fn is_refused(stage: &Stage, created: &Value, what: &str, answer: &Answer) {
    assert_eq!(answer.status, 400, "{what}: {}", answer.text);
    let words = visible(&answer.text);
    assert!(words.contains("결제가 완료되지 않았습니다"), "{what}: {words}");
    // Whoever posts it is a stranger: the page tells nothing about the order.
    assert!(!answer.text.contains("수제 잼") && !answer.text.contains("token="), "{what}: {}", answer.text);
    let payment = stage.payment(created).await;
    assert_eq!(
        (text(&payment, "state"), text(&payment, "resolution")),
        ("pending".into(), "none".into()),
        "{what}"
    );
    let arrived =
        stage.count("approved").await + stage.count("declined").await + stage.count("refused").await;
    assert_eq!(arrived, 0, "{what}: the gateway was called");
    let names = stage.names(&stage.shop, created).await;
    assert!(!names.iter().any(|name| name.starts_with("complete")), "{what}: {names:?}");
}

/// Brings back changed posts of one checkout; the true one pays it in the end.
async fn forged(stage: &Stage, changes: Vec<Forgery>) {
    let created = stage.create("A-1").await;
    let window = stage.open(&created).await;
    let back = stage.choose(&window, pay()).await;
    for (what, change) in changes {
        let answer = stage.post_back(&change(&back)).await;
        is_refused(stage, &created, what, &answer).await;
    }
    assert_eq!(stage.come_back(&back).await.result, "paid");
    assert_eq!(stage.held().await.len(), 1);
}

fn change(name: &'static str, value: &'static str) -> Forgery {
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
    let mut changes: Vec<Forgery> = Vec::new();
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
    let mut changes: Vec<Forgery> = Vec::new();
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
    let window = stage.open(&created).await;
    let back = stage.choose(&window, pay()).await;
    for (kind, body) in bodies {
        let answer = stage.call("POST", &back.url).body(kind, body).send().await;
        is_refused(&stage, &created, kind, &answer).await;
    }
    assert_eq!(stage.come_back(&back).await.result, "paid");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_return_of_another_checkout_is_refused() {
    let stage = Stage::start().await;
    let created = stage.create("A-1").await;
    let (mine, other) = (stage.open(&created).await, stage.open(&created).await);
    let back = stage.choose(&mine, pay()).await;
    let replayed = Return { url: other.field("returnUrl").to_owned(), ..back.clone() };
    let answer = stage.post_back(&replayed).await;
    is_refused(&stage, &created, "another checkout of the same payment", &answer).await;
    let elsewhere = stage.create("A-2").await;
    let window = stage.open(&elsewhere).await;
    let replayed = Return { url: window.field("returnUrl").to_owned(), ..back.clone() };
    let answer = stage.post_back(&replayed).await;
    is_refused(&stage, &elsewhere, "another payment", &answer).await;
    // Where it belongs, the same post is good.
    assert_eq!(stage.come_back(&back).await.result, "paid");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_return_by_get_is_refused() {
    let stage = Stage::start().await;
    let created = stage.create("A-1").await;
    let window = stage.open(&created).await;
    let back = stage.choose(&window, pay()).await;
    let url = format!("{}&resultCode=0000&authToken=x", back.url);
    let answer = stage.call("GET", &url).send().await;
    is_refused(&stage, &created, "GET", &answer).await;
    assert_eq!(stage.come_back(&back).await.result, "paid");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_return_of_a_checkout_that_does_not_exist_shows_a_bad_link() {
    let stage = Stage::start().await;
    for id in ["chk_00000000000000000000000000", "chk_x", "pay_00000000000000000000000000"] {
        let answer = stage.call("POST", &format!("/return/{}/{id}", stage.shop.id)).form(&[]).send().await;
        assert_eq!(answer.status, 404, "{}", answer.text);
    }
    let (_, paid) = stage.pay_as(&stage.shop, "A-1").await;
    assert_eq!(paid.result, "paid");
    assert_eq!(stage.count("approved").await, 1);
}

/// Words in another charset than was asked for are still words; what decides is ASCII.
#[tokio::test(flavor = "multi_thread")]
async fn a_return_whose_words_are_in_the_wrong_charset_is_still_read() {
    let stage = Stage::start().await;
    // "정상" in EUC-KR.
    let words = "%C1%A4%BB%F3";
    for (device, field) in [("pc", "resultMsg"), ("mobile", "P_RMESG1")] {
        let created = stage.create_as(&stage.shop, device, json!({"device": device})).await.expect(201);
        let window = stage.open(&created).await;
        let back = stage.choose(&window, pay()).await;
        let pair = |(name, value): &(String, String)| {
            let value: String = form_urlencoded::byte_serialize(value.as_bytes()).collect();
            format!("{name}={}", if name == field { words } else { &value })
        };
        let body = back.fields.iter().map(pair).collect::<Vec<_>>().join("&");
        assert!(body.contains(words), "{body}");
        let form = "application/x-www-form-urlencoded";
        let answer = stage.call("POST", &back.url).body(form, body.into_bytes()).send().await;
        assert_eq!(answer.status, 303, "{}", answer.text);
        assert_eq!(stage.payment(&created).await["state"], "paid", "{device}");
    }
}
