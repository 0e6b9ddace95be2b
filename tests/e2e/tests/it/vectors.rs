//! Public vectors of INICIS's hashes through the compiled component, which has its secrets by name only. They are the same
//! vectors that `plugins/inicis-wire` passes without a sandbox.

use std::sync::{Arc, Mutex};

use inicis_sim::hash::sha256;
use jiff::civil::DateTime;
use jiff::tz::{TimeZone, offset};
use payhost_engine::contract::general_pay::{BEGIN, BuyerEnv, COMPLETE, CheckoutStep};
use payhost_engine::contract::imports::{HttpError, Response};
use payhost_engine::contract::money::{CANCEL, CancelRequest, Charge};
use payhost_engine::contract::types::{
    Buyer, Callback, Method, Mode, Money, Order, Outcome, PluginError, Setting,
};
use payhost_engine::egress::Script;
use payhost_engine::{
    CallSetup, EgressPolicy, Engine, HttpRequestRecord, Options, Plugin, Secrets, Transport,
};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::stage::process::component;

const SIGN_KEY: &str = "SU5JTElURV9UUklQTEVERVNfS0VZU1RS";
const TID: &str = "StdpayCARDINIpayTest20260101000000000400";

/// The sandbox with the plugin in it.
struct Bench {
    engine: Engine,
    plugin: Arc<Plugin>,
    vectors: Value,
}

/// One call's settings: merchant, keys, and the gateway's answer.
struct Call<'a> {
    mid: &'a str,
    sign_key: &'a str,
    api_key: &'a str,
    client_ip: &'a str,
    now_ms: i64,
    answer: Value,
}

impl Default for Call<'_> {
    fn default() -> Self {
        Self {
            mid: "INIpayTest",
            sign_key: SIGN_KEY,
            api_key: "ItEQKi3rY7uvDS8l",
            client_ip: "127.0.0.1",
            now_ms: 1_767_193_200_000,
            answer: json!({}),
        }
    }
}

/// Gives one answer to everything and keeps what was asked.
struct Scripted {
    answer: Vec<u8>,
    asked: Mutex<Vec<HttpRequestRecord>>,
}

impl Script for Scripted {
    fn answer(&self, request: &HttpRequestRecord) -> Result<Response, HttpError> {
        self.asked.lock().unwrap().push(request.clone());
        Ok(Response { status: 200, headers: vec![], body: self.answer.clone() })
    }
}

impl Scripted {
    /// The body of the one request, as the plugin gave it.
    fn body(&self) -> String {
        let asked = self.asked.lock().unwrap();
        assert_eq!(asked.len(), 1, "{asked:?}");
        let pieces = serde_json::to_value(&asked[0].body).unwrap();
        let parts = pieces.as_array().unwrap().iter().map(|piece| &piece["part"]);
        parts.map(|part| part["text"].as_str().unwrap_or_else(|| panic!("{pieces}")).to_owned()).collect()
    }
}

impl Bench {
    async fn new() -> Self {
        let engine =
            Engine::new(Options { max_calls: 4, worker_threads: Some(1), ..Options::default() }).unwrap();
        let plugin = engine.load(&std::fs::read(component()).unwrap()).await.unwrap();
        let vectors = include_str!("../../../../plugins/inicis-wire/tests/vectors/inicis-vectors.json");
        Self { engine, plugin, vectors: serde_json::from_str(vectors).unwrap() }
    }

    /// The vectors of a formula: (input, output).
    fn of(&self, formula: &str) -> Vec<(Value, String)> {
        let vectors = self.vectors["formulas"][formula]["vectors"].as_array().unwrap();
        assert!(!vectors.is_empty(), "{formula}");
        vectors.iter().map(|vector| (vector["input"].clone(), text(vector, "output"))).collect()
    }

    fn setup(&self, call: &Call<'_>) -> (CallSetup, Vec<Setting>, Arc<Scripted>) {
        let script =
            Arc::new(Scripted { answer: call.answer.to_string().into_bytes(), asked: Mutex::default() });
        let mut setup = CallSetup::new("call_1", call.now_ms, [7; 16]);
        let secret = |value: &str| Zeroizing::new(value.to_owned());
        setup.secrets = Secrets::new().with_channel("sign_key", 1, secret(call.sign_key)).with_channel(
            "iniapi_key",
            1,
            secret(call.api_key),
        );
        let origins = ["https://fcstdpay.inicis.com", "https://iniapi.inicis.com"];
        let granted = origins.iter().map(|origin| origin.parse().unwrap()).collect();
        setup.egress = Arc::new(EgressPolicy { granted, map: vec![] });
        setup.transport = Transport::Scripted(Arc::clone(&script) as Arc<dyn Script>);
        let settings = [
            ("mid", call.mid),
            ("client_ip", call.client_ip),
            ("lookup_by", "gateway_ref"),
            ("pc_script_host", "stdpay"),
        ];
        let settings = settings.map(|(key, value)| Setting { key: key.into(), value: value.into() }).to_vec();
        (setup, settings, script)
    }

    /// Fields of the form that opens the window.
    async fn form(&self, call: &Call<'_>, order: Order) -> Vec<(String, String)> {
        let (setup, settings, _) = self.setup(call);
        let context = setup.context(Mode::Test, settings);
        let buyer = BuyerEnv {
            user_agent: "Chrome".into(),
            device: "pc".into(),
            page_origin: "https://pay.shop.example".into(),
            address: None,
        };
        let called = self.engine.call(&self.plugin, &BEGIN, (context, order, buyer), setup).await;
        let CheckoutStep::Script(script) = called.result.unwrap().unwrap().step else { panic!("no script") };
        script.form.unwrap().into_iter().map(|field| (field.name, field.value)).collect()
    }

    /// Completes a return with this token; gives the outcome and the body of the approval.
    async fn approve(
        &self,
        call: &Call<'_>,
        order: Order,
        token: &str,
    ) -> (Result<Outcome, PluginError>, String) {
        let (setup, settings, script) = self.setup(call);
        let context = setup.context(Mode::Test, settings);
        let fields = [
            ("resultCode", "0000"),
            ("resultMsg", "OK"),
            ("mid", call.mid),
            ("orderNumber", &order.order_ref),
            ("authToken", token),
            ("idc_name", "fc"),
            ("authUrl", "https://fcstdpay.inicis.com/api/payAuth"),
            ("netCancelUrl", "https://fcstdpay.inicis.com/api/netCancel"),
            ("charset", "UTF-8"),
        ];
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let callback = Callback {
            verb: "POST".into(),
            query: String::new(),
            content_type: "application/x-www-form-urlencoded".into(),
            body: body.into_bytes(),
        };
        let called = self.engine.call(&self.plugin, &COMPLETE, (context, order, callback), setup).await;
        (called.result.unwrap(), script.body())
    }
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_else(|| panic!("no {name} in {value}")).to_owned()
}

fn number(value: &Value, name: &str) -> i64 {
    text(value, name).parse().unwrap()
}

fn order(order_ref: &str, minor: i64) -> Order {
    let address = "https://pay.shop.example/return/1";
    Order {
        order_ref: order_ref.into(),
        amount: Money { minor, currency: "KRW".into() },
        tax: None,
        name: "수제 잼".into(),
        buyer: Buyer { name: None, email: None, phone: None },
        method: None,
        options: vec![],
        language: "ko".into(),
        return_url: address.into(),
        close_url: format!("{address}/close"),
        notify_url: "https://pay.shop.example/notify/1".into(),
    }
}

fn field<'a>(fields: &'a [(String, String)], name: &str) -> &'a str {
    fields.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
}

/// Fields of a form body.
fn fields(body: &str) -> Vec<(String, String)> {
    form_urlencoded::parse(body.as_bytes()).into_owned().collect()
}

/// An approval as INICIS answers it.
fn approved(mid: &str, order_ref: &str, total: &str, signature: &str) -> Value {
    json!({
        "resultCode": "0000", "resultMsg": "정상처리되었습니다.", "tid": TID, "mid": mid, "MOID": order_ref,
        "TotPrice": total, "payMethod": "Card", "payMethodDetail": "Card", "applDate": "20260101",
        "applTime": "000000", "applNum": "12345678", "currency": "WON", "authSignature": signature, "CARD_Code": "04",
        "CARD_Num": "404825******1234", "CARD_Quota": "00", "CARD_Interest": "0",
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_form_has_the_public_m_key_signature_and_verification() {
    let bench = Bench::new().await;
    for (input, output) in bench.of("stdpay.mKey") {
        let sign_key = text(&input, "signKey");
        let form = bench.form(&Call { sign_key: &sign_key, ..Call::default() }, order("A-1", 1000)).await;
        assert_eq!(field(&form, "mKey"), output, "{input}");
    }
    for (name, formula) in [("signature", "stdpay.signature"), ("verification", "stdpay.verification")] {
        for (input, output) in bench.of(formula) {
            let (now_ms, price) = (number(&input, "timestamp"), number(&input, "price"));
            let oid = text(&input, "oid");
            // An order for nothing is none (the window of a billing key signs 0), and no order number of ours has a dot.
            if price == 0 || oid.contains('.') {
                continue;
            }
            let order = order(&oid, price);
            let form = bench.form(&Call { now_ms, ..Call::default() }, order).await;
            assert_eq!(field(&form, name), output, "{input}");
            assert_eq!(field(&form, "timestamp"), text(&input, "timestamp"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_approval_has_the_public_signature_and_verification() {
    let bench = Bench::new().await;
    let formulas =
        [("signature", "stdpay.approve.signature"), ("verification", "stdpay.approve.verification")];
    for (name, formula) in formulas {
        for (input, output) in bench.of(formula) {
            let (now_ms, token) = (number(&input, "timestamp"), text(&input, "authToken"));
            let call = Call { now_ms, answer: json!({"resultCode": "500644"}), ..Call::default() };
            let (_, body) = bench.approve(&call, order("A-1", 1000), &token).await;
            let sent = fields(&body);
            assert_eq!(field(&sent, name), output, "{input}");
            assert_eq!(field(&sent, "authToken"), token);
        }
    }
}

/// Approves with an answer that has this authSignature.
async fn with_signature(bench: &Bench, input: &Value, signature: &str) -> Result<Outcome, PluginError> {
    let (mid, order_ref, total) = (text(input, "mid"), text(input, "MOID"), text(input, "TotPrice"));
    let answer = approved(&mid, &order_ref, &total, signature);
    let call = Call { mid: &mid, now_ms: number(input, "tstamp"), answer, ..Call::default() };
    bench.approve(&call, order(&order_ref, number(input, "TotPrice")), "AAAA").await.0
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_s_signature_is_checked_for_all_ten_digits() {
    let bench = Bench::new().await;
    let mut vectors = bench.of("stdpay.authSignature");
    for captured in bench.vectors["official_or_captured"].as_array().unwrap() {
        if captured["what"] == "stdpay.authSignature" {
            vectors.push((captured["input"].clone(), text(captured, "output")));
        }
    }
    // The public vectors have even digits only; the public table has all ten.
    for (digit, names) in bench.vectors["authSignature_order_by_last_digit"].as_object().unwrap() {
        let input = json!({"mid": "INIpayTest", "MOID": "A-1", "TotPrice": "1004", "tstamp": format!("176719320012{digit}")});
        let names = names.as_array().unwrap().iter().map(|name| name.as_str().unwrap());
        let parts: Vec<_> = names.map(|name| format!("{name}={}", text(&input, name))).collect();
        vectors.push((input, sha256(&parts.join("&"))));
    }
    let mut digits = std::collections::BTreeSet::new();
    for (input, output) in vectors {
        let good = with_signature(&bench, &input, &output).await;
        assert!(matches!(good, Ok(Outcome::Approved(_))), "{input}: {good:?}");
        let bad = with_signature(&bench, &input, &sha256(&output)).await;
        assert!(matches!(bad, Err(PluginError::Unknown(_))), "{input}: {bad:?}");
        digits.insert(text(&input, "tstamp").pop().unwrap());
    }
    assert_eq!(digits.len(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn refunds_have_the_public_hash() {
    let bench = Bench::new().await;
    for formula in ["iniapi.v2.refund", "iniapi.v2.partialRefund"] {
        for (input, output) in bench.of(formula) {
            let data = &input["data"];
            let amount = |name: &str| data.get(name).map_or(0, |_| number(data, name));
            let (price, left) = (amount("price").max(1), amount("confirmPrice"));
            let total = price + left;
            let (api_key, mid, client_ip) =
                (text(&input, "INIAPIKey"), text(&input, "mid"), text(&input, "clientIp"));
            let answer = json!({"resultCode": "01", "resultMsg": "no", "detailResultCode": "500626"});
            let now_ms = kst(&text(&input, "timestamp"));
            let call = Call {
                mid: &mid,
                api_key: &api_key,
                client_ip: &client_ip,
                now_ms,
                answer,
                ..Call::default()
            };
            let (setup, settings, script) = bench.setup(&call);
            let context = setup.context(Mode::Test, settings);
            let money = |minor| Money { minor, currency: "KRW".into() };
            let charge = Charge {
                order_ref: "A-1".into(),
                gateway_ref: text(data, "tid"),
                amount: money(total),
                remaining: money(total),
                method: Method { kind: "card".into(), provider: None },
                approved_at_ms: 0,
            };
            let request = CancelRequest {
                amount: money(price),
                tax: data
                    .get("tax")
                    .map(|_| payhost_engine::contract::types::Tax { free: Some(0), vat: Some(0) }),
                reason: text(data, "msg"),
                account: None,
                sequence: 0,
            };
            let called = bench.engine.call(&bench.plugin, &CANCEL, (context, charge, request), setup).await;
            assert!(matches!(called.result.unwrap(), Err(PluginError::Gateway(_))), "{input}");
            let sent: Value = serde_json::from_str(&script.body()).unwrap();
            assert_eq!(sent["data"], *data);
            assert_eq!(
                (text(&sent, "timestamp"), text(&sent, "hashData")),
                (text(&input, "timestamp"), output),
                "{input}"
            );
        }
    }
}

/// Milliseconds of `yyyyMMddHHmmss` in Korea.
fn kst(text: &str) -> i64 {
    let at = DateTime::strptime("%Y%m%d%H%M%S", text).unwrap();
    at.to_zoned(TimeZone::fixed(offset(9))).unwrap().timestamp().as_millisecond()
}
