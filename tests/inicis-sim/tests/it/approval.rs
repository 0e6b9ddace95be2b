//! Approval on PC.

use inicis_sim::hash;
use serde_json::{Value, json};

use crate::rig::{LOOKUP, MID, Rig, SIGN_KEY, get, pay, set, unset};

fn resign(form: &mut crate::rig::Pairs, timestamp: &str) {
    let token = get(form, "authToken").to_owned();
    set(form, "timestamp", timestamp);
    set(form, "signature", &hash::approval_signature(&token, timestamp));
    set(form, "verification", &hash::approval_verification(&token, SIGN_KEY, timestamp));
}

#[tokio::test]
async fn the_answer_is_one_flat_object_of_strings_signed_for_each_of_the_ten_digits() {
    let rig = Rig::start().await;
    for digit in 0..10 {
        let oid = format!("O-{digit}");
        let post = rig.authenticate(MID, &oid, "60000").await;
        let request = rig.approval(&post, digit);
        let answer = rig.form_json(get(&post, "authUrl"), &request).await;
        assert!(answer.as_object().unwrap().values().all(Value::is_string), "{answer}");
        let text = |name: &str| answer[name].as_str().unwrap();
        assert_eq!((text("resultCode"), text("MOID"), text("TotPrice")), ("0000", oid.as_str(), "60000"));
        let expected = hash::auth_signature(&oid, MID, "60000", get(&request, "timestamp"));
        assert_eq!(text("authSignature"), expected);
        let tid = text("tid");
        assert_eq!((tid.len(), &tid[..20]), (40, "StdpayCARDINIpayTest"));
        assert_eq!(&tid[20..34], format!("{}{}", text("applDate"), text("applTime")));
    }
}

#[tokio::test]
async fn a_second_approval_is_r201_whatever_the_first_outcome() {
    let rig = Rig::start().await;
    let post = rig.authenticate(MID, "O-1", "1000").await;
    let url = get(&post, "authUrl");
    assert_eq!(rig.form_json(url, &rig.approval(&post, 1)).await["resultCode"], "0000");
    assert_eq!(rig.form_json(url, &rig.approval(&post, 2)).await["resultCode"], "R201");

    let declined = rig.posted(&rig.form(MID, "O-2", "1000"), decline("500644")).await;
    let url = get(&declined, "authUrl");
    let answer = rig.form_json(url, &rig.approval(&declined, 1)).await;
    assert_eq!(answer["resultCode"], "500644");
    assert_eq!(answer.as_object().unwrap().len(), 2);
    assert_eq!(rig.form_json(url, &rig.approval(&declined, 1)).await["resultCode"], "R201");
    assert_eq!(rig.sales().await[1]["approvals"], 0);
}

fn decline(code: &str) -> Value {
    json!({"choice": "decline", "card": "12", "code": code})
}

#[tokio::test]
async fn each_wrong_field_is_refused_and_nothing_is_booked() {
    let rig = Rig::start().await;
    let table = [
        ("signature", "00", "500632"),
        ("signature", "", "500633"),
        ("verification", "00", "500632"),
        ("verification", "", "500633"),
        ("charset", "utf8", "SIM:FIELD"),
        ("price", "999", "500610"),
        ("mid", LOOKUP, "SIM:TOKEN"),
        ("mid", "x", "500613"),
        ("authToken", "AAAA", "SIM:TOKEN"),
    ];
    for (name, value, code) in table {
        let post = rig.authenticate(MID, "O-1", "1000").await;
        let mut request = rig.approval(&post, 1);
        set(&mut request, name, value);
        assert_eq!(
            rig.form_json(get(&post, "authUrl"), &request).await["resultCode"],
            code,
            "{name}={value}"
        );
    }
    assert!(rig.sales().await.iter().all(|sale| sale["approvals"] == 0));
}

#[tokio::test]
async fn the_timestamp_must_be_new_and_near_now() {
    let rig = Rig::start().await;
    let form = rig.form(MID, "O-1", "1000");
    let now = rig.now_ms();
    let old = (now - 3_600_000).to_string();
    for timestamp in [get(&form, "timestamp"), &old, "20260101000000", ""] {
        let post = rig.posted(&form, pay()).await;
        let mut request = rig.approval(&post, 1);
        resign(&mut request, timestamp);
        let code = if timestamp.is_empty() { "SIM:FIELD" } else { "SIM:TIME" };
        assert_eq!(rig.form_json(get(&post, "authUrl"), &request).await["resultCode"], code, "{timestamp}");
    }
}

#[tokio::test]
async fn a_token_lives_five_minutes_and_only_at_its_data_centre() {
    let rig = Rig::start().await;
    let post = rig.authenticate(MID, "O-1", "1000").await;
    rig.running.clock.advance_ms(5 * 60_000 + 1_000);
    let answer = rig.form_json(get(&post, "authUrl"), &rig.approval(&post, 1)).await;
    assert_eq!(answer["resultCode"], "SIM:EXPIRE");

    let post = rig.authenticate(MID, "O-2", "1000").await;
    let other = if get(&post, "idc_name") == "fc" { "ks" } else { "fc" };
    let url = format!("https://{other}stdpay.inicis.com/api/payAuth");
    assert_eq!(rig.form_json(&url, &rig.approval(&post, 1)).await["resultCode"], "SIM:IDC");
}

#[tokio::test]
async fn only_forms_are_taken_also_as_the_official_java_client_labels_them() {
    let rig = Rig::start().await;
    let post = rig.authenticate(MID, "O-1", "1000").await;
    let url = get(&post, "authUrl");
    let request = rig.approval(&post, 1);
    let answer: Value = rig.http.post(url).json(&request).send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["resultCode"], "SIM:TYPE");
    let java = "application/x-www-form-urlencoded; text/html; charset=euc-kr";
    let body = crate::rig::encode(&request);
    let sent = rig.http.post(url).header("content-type", java).body(body).send().await.unwrap();
    assert_eq!(sent.json::<Value>().await.unwrap()["resultCode"], "0000");
}

#[tokio::test]
async fn a_token_that_lost_its_plus_signs_is_unknown() {
    let rig = Rig::start().await;
    let post = rig.authenticate(MID, "O-1", "1000").await;
    let mut request = rig.approval(&post, 1);
    let blanks = get(&request, "authToken").replace('+', " ");
    set(&mut request, "authToken", &blanks);
    assert_eq!(rig.form_json(get(&post, "authUrl"), &request).await["resultCode"], "SIM:TOKEN");
}

#[tokio::test]
async fn without_format_the_answer_is_xml_and_charset_is_obeyed() {
    let rig = Rig::start().await;
    let post = rig.authenticate(MID, "O-1", "1000").await;
    let mut request = rig.approval(&post, 1);
    unset(&mut request, "format");
    let text = rig.send(get(&post, "authUrl"), &request).await.unwrap().text().await.unwrap();
    assert!(text.starts_with("<?xml") && text.contains("<applPrice>1000</applPrice>"), "{text}");

    let post = rig.authenticate(MID, "O-2", "1000").await;
    let mut request = rig.approval(&post, 1);
    set(&mut request, "format", "NVP");
    set(&mut request, "charset", "EUC-KR");
    let bytes = rig.send(get(&post, "authUrl"), &request).await.unwrap().bytes().await.unwrap();
    let (text, _, wrong) = encoding_rs::EUC_KR.decode(&bytes);
    assert!(!wrong && text.contains("&applPrice=1000&") && text.contains("goodName=테스트 상품"), "{text}");
}

#[tokio::test]
async fn a_path_answers_only_under_its_host() {
    let rig = Rig::start().await;
    let post = rig.authenticate(MID, "O-1", "1000").await;
    for host in ["stdpay", "mobile", "iniweb"] {
        let url = format!("https://{host}.inicis.com/api/payAuth");
        let status = rig.send(&url, &rig.approval(&post, 1)).await.unwrap().status();
        assert_eq!(status.as_u16(), 404, "{host}");
    }
    assert_eq!(rig.http.post(rig.url("/api/payAuth")).send().await.unwrap().status().as_u16(), 404);
    assert_eq!(rig.sales().await[0]["state"], "authenticated");
}

#[tokio::test]
async fn an_http_1_0_client_with_two_line_ends_after_the_body_is_answered() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let rig = Rig::start().await;
    let post = rig.authenticate(MID, "O-1", "1000").await;
    let host = format!("{}stdpay.inicis.com", get(&post, "idc_name"));
    let body = crate::rig::encode(&rig.approval(&post, 1));
    let connector =
        tokio_rustls::TlsConnector::from(std::sync::Arc::new(crate::rig::tls_config(&rig.running.ca_pem)));
    let tcp = tokio::net::TcpStream::connect(rig.running.gateway_address).await.unwrap();
    let mut stream = connector.connect(host.clone().try_into().unwrap(), tcp).await.unwrap();
    let head = format!(
        "POST /api/payAuth HTTP/1.0\r\nHost: {host}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.0 200") && answer.contains("\"resultCode\":\"0000\""), "{answer}");
}
