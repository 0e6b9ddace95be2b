//! A simulator in this process and a strict client of it.

use std::sync::Arc;

use inicis_sim::{Options, Running, hash};
use reqwest::{Client, Response, StatusCode};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};

pub const MID: &str = "INIpayTest";
pub const LOOKUP: &str = "INIlookup0";
pub const SIGN_KEY: &str = "SU5JTElURV9UUklQTEVERVNfS0VZU1RS";
pub const API_KEY: &str = "ItEQKi3rY7uvDS8l";
pub const PAGE: &str = "https://shop.example.com/checkout/1";

pub type Pairs = Vec<(String, String)>;

pub fn pairs<'a>(list: impl IntoIterator<Item = (&'a str, &'a str)>) -> Pairs {
    list.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

pub fn get<'a>(fields: &'a Pairs, name: &str) -> &'a str {
    fields.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v)
}

pub fn set(fields: &mut Pairs, name: &str, value: &str) {
    fields.retain(|(n, _)| n != name);
    fields.push((name.to_owned(), value.to_owned()));
}

pub fn unset(fields: &mut Pairs, name: &str) {
    fields.retain(|(n, _)| n != name);
}

pub fn encode(fields: &Pairs) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

pub struct Rig {
    pub running: Running,
    pub http: Client,
    pub data: tempfile::TempDir,
}

pub fn tls_config(ca_pem: &str) -> rustls::ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca_pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

pub fn client(running: &Running) -> Client {
    let mut builder = Client::builder().tls_backend_preconfigured(tls_config(&running.ca_pem)).no_proxy();
    builder = builder.redirect(reqwest::redirect::Policy::none());
    for host in inicis_sim::HOSTS {
        builder = builder.resolve(host, running.gateway_address);
    }
    builder.build().unwrap()
}

impl Rig {
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Options)) -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut options = Options::new(data.path());
        change(&mut options);
        let running = inicis_sim::start(options).await.unwrap();
        let http = client(&running);
        Self { running, http, data }
    }

    pub fn now_ms(&self) -> i64 {
        self.running.clock.now_ms()
    }

    pub fn kst14(&self) -> String {
        let at = jiff::Timestamp::from_millisecond(self.now_ms()).unwrap();
        at.to_zoned(jiff::tz::TimeZone::fixed(jiff::tz::offset(9))).strftime("%Y%m%d%H%M%S").to_string()
    }

    /// A form that INICIS accepts.
    pub fn form(&self, mid: &str, oid: &str, price: &str) -> Pairs {
        let mut form = pairs([
            ("version", "1.0"),
            ("gopaymethod", "Card"),
            ("mid", mid),
            ("oid", oid),
            ("price", price),
            ("use_chkfake", "Y"),
            ("currency", "WON"),
            ("goodname", "테스트 상품"),
            ("buyername", "홍길동"),
            ("buyertel", "010-1234-5678"),
            ("buyeremail", "buyer@example.com"),
            ("returnUrl", "https://shop.example.com/return/1"),
            ("closeUrl", "https://shop.example.com/return/1/close"),
            ("acceptmethod", "centerCd(Y):below1000"),
            ("merchantData", "checkout=1"),
        ]);
        self.sign(&mut form, &self.now_ms().to_string());
        form
    }

    /// Signs a form anew, as after a change of oid, price or timestamp.
    pub fn sign(&self, form: &mut Pairs, timestamp: &str) {
        let (oid, price) = (get(form, "oid").to_owned(), get(form, "price").to_owned());
        set(form, "timestamp", timestamp);
        set(form, "mKey", &hash::m_key(SIGN_KEY));
        set(form, "signature", &hash::form_signature(&oid, &price, timestamp));
        set(form, "verification", &hash::form_verification(&oid, &price, SIGN_KEY, timestamp));
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.running.browser_origin)
    }

    pub async fn post_control(&self, path: &str, body: &Value) -> Response {
        self.http.post(self.url(path)).json(body).send().await.unwrap()
    }

    /// Plays the person in the window.
    pub async fn window(&self, form: &Pairs, choice: Value) -> (StatusCode, Value) {
        let mut body = json!({"fields": form, "referer": PAGE});
        body.as_object_mut().unwrap().extend(choice.as_object().unwrap().clone());
        let answer = self.post_control("/_sim/window", &body).await;
        (answer.status(), answer.json().await.unwrap())
    }

    /// The code with which a form is refused.
    pub async fn refusal(&self, form: &Pairs) -> String {
        let (status, body) = self.window(form, pay()).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        body["refused"]["code"].as_str().unwrap().to_owned()
    }

    /// The fields of a return post.
    pub async fn posted(&self, form: &Pairs, choice: Value) -> Pairs {
        let (status, body) = self.window(form, choice).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        serde_json::from_value(body["fields"].clone()).unwrap()
    }

    pub async fn authenticate(&self, mid: &str, oid: &str, price: &str) -> Pairs {
        self.posted(&self.form(mid, oid, price), pay()).await
    }

    /// A correct approval request for a return post, with a timestamp that ends in `digit`.
    pub fn approval(&self, post: &Pairs, digit: u8) -> Pairs {
        // Ahead, as far as INIStdPayUtil runs ahead too (§1.5): an earlier time could be that of the form.
        let base = self.now_ms() / 10 * 10 + 300;
        let timestamp = (base + i64::from(digit)).to_string();
        let token = get(post, "authToken");
        pairs([
            ("mid", get(post, "mid")),
            ("authToken", token),
            ("timestamp", &timestamp),
            ("signature", &hash::approval_signature(token, &timestamp)),
            ("verification", &hash::approval_verification(token, SIGN_KEY, &timestamp)),
            ("charset", "UTF-8"),
            ("format", "JSON"),
        ])
    }

    pub async fn send(&self, url: &str, form: &Pairs) -> Result<Response, reqwest::Error> {
        let kind = "application/x-www-form-urlencoded";
        self.http.post(url).header("content-type", kind).body(encode(form)).send().await
    }

    pub async fn form_json(&self, url: &str, form: &Pairs) -> Value {
        self.send(url, form).await.unwrap().json().await.unwrap()
    }

    /// Authenticates and approves; returns the approval's answer.
    pub async fn sale(&self, mid: &str, oid: &str, price: &str) -> Value {
        let post = self.authenticate(mid, oid, price).await;
        let answer = self.form_json(get(&post, "authUrl"), &self.approval(&post, 3)).await;
        assert_eq!(answer["resultCode"], "0000", "{answer}");
        answer
    }

    pub async fn tid(&self, mid: &str, oid: &str, price: &str) -> String {
        self.sale(mid, oid, price).await["tid"].as_str().unwrap().to_owned()
    }

    /// A v2 call with a correct hash.
    pub fn v2(&self, mid: &str, kind: &str, data: &Value) -> Value {
        let timestamp = self.kst14();
        let hash_data = hash::iniapi_v2(API_KEY, mid, kind, &timestamp, data);
        json!({"mid": mid, "type": kind, "timestamp": timestamp, "clientIp": "127.0.0.1", "data": data,
            "hashData": hash_data})
    }

    pub async fn v2_raw(&self, kind: &str, call: &Value) -> Value {
        let url = format!("https://iniapi.inicis.com/v2/pg/{kind}");
        self.http.post(url).json(call).send().await.unwrap().json().await.unwrap()
    }

    pub async fn v2_call(&self, mid: &str, kind: &str, data: Value) -> Value {
        self.v2_raw(kind, &self.v2(mid, kind, &data)).await
    }

    pub async fn refund(&self, mid: &str, tid: &str) -> Value {
        self.v2_call(mid, "refund", json!({"tid": tid, "msg": "고객요청"})).await
    }

    pub async fn part(&self, tid: &str, price: &str, left: &str) -> Value {
        let data = json!({"tid": tid, "msg": "부분", "price": price, "confirmPrice": left, "currency": "WON",
            "tax": "0", "taxfree": "0"});
        self.v2_call(MID, "partialRefund", data).await
    }

    pub async fn inquire(&self, mid: &str, data: Value) -> Value {
        self.v2_call(mid, "inquiry", data).await
    }

    pub async fn sales(&self) -> Vec<Value> {
        let body: Value = self.http.get(self.url("/_sim/ledger")).send().await.unwrap().json().await.unwrap();
        body["sales"].as_array().unwrap().clone()
    }

    pub async fn arm(&self, fault: Value) {
        assert_eq!(self.post_control("/_sim/faults", &fault).await.status(), StatusCode::CREATED);
    }
}

pub fn pay() -> Value {
    json!({"choice": "pay", "card": "04", "quota": "00"})
}
