//! The public vectors through `payhost plugin call`, the program that plugin authors use.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use inicis_sim::hash::sha256;
use serde_json::{Value, json};

use crate::stage::process::component;
use crate::stage::sale::{korean, moment};
use crate::stage::{payhost, text};

/// The public vectors, through the program that people use.
struct Plugin {
    vectors: Value,
    folder: tempfile::TempDir,
}

impl Plugin {
    fn new() -> Self {
        let vectors = include_str!("../../../../plugins/inicis-wire/tests/vectors/inicis-vectors.json");
        Self { vectors: serde_json::from_str(vectors).unwrap(), folder: tempfile::tempdir().unwrap() }
    }

    /// The vectors of a formula: (input, output).
    fn of(&self, formula: &str) -> Vec<(Value, String)> {
        let vectors = self.vectors["formulas"][formula]["vectors"].as_array().unwrap();
        assert!(!vectors.is_empty(), "{formula}");
        let name = formula.strip_prefix("stdpay.mKey").map_or(formula, |_| "mKey");
        let official = self.vectors["official_or_captured"].as_array().unwrap();
        let official = official.iter().filter(|vector| vector["what"] == name);
        vectors
            .iter()
            .chain(official)
            .map(|vector| (vector["input"].clone(), text(vector, "output")))
            .collect()
    }

    /// `payhost plugin call`; the files hold what the members say.
    fn call(&self, function: &str, now: &str, files: Value) -> Value {
        let mut command = payhost(self.folder.path());
        command.args(["--json", "plugin", "call"]).arg(component()).arg(function).args(["--now", now]);
        for (name, value) in files.as_object().unwrap() {
            let path = self.folder.path().join(format!("{name}.json"));
            std::fs::write(&path, value.to_string()).unwrap();
            command.arg(format!("--{name}")).arg(path);
        }
        for origin in ["https://iniapi.inicis.com", "https://fcstdpay.inicis.com"] {
            command.args(["--grant", origin]);
        }
        crate::stage::process::Ended::of(&mut command).json()
    }
}

const SIGN_KEY: &str = "SU5JTElURV9UUklQTEVERVNfS0VZU1RS";

/// Formulas of the file that are of no concern here, and why.
const ELSEWHERE: [(&str, &str); 18] = [
    ("inilite.mobile.hashdata", "billing key windows"),
    ("inilitepay.unified.hashdata", "billing key windows"),
    ("iniapi.v1.billing", "charges by billing key"),
    ("iniapi.v1.billkeyAuth", "billing keys"),
    ("iniapi.v1.formpay.card", "keyed-in cards"),
    ("iniapi.v1.formpay.vacct", "virtual accounts by API; shown by inicis-wire's tests"),
    ("iniapi.v1.inquiry", "the plugin asks by v2, which alone tells what parts were cancelled"),
    ("iniapi.v1.receipt", "cash receipts on their own"),
    ("iniapi.v1.escrow.dlv", "escrow"),
    ("iniapi.v1.escrow.dncf", "escrow"),
    ("iniapi.v2.receipt", "cash receipts on their own"),
    ("iniapi.v2.billing", "charges by billing key"),
    ("sa.authHash", "identity"),
    ("sa.userHash", "identity"),
    ("sa.seed", "identity"),
    ("cbt.hashData", "Japan"),
    ("encoding.euckr", "no hash; shown by inicis-wire's tests"),
    ("stdpay.authSignature", "shown by the answers, below"),
];

/// What the tests of this file show.
const HERE: [&str; 16] = [
    "stdpay.mKey",
    "stdpay.signature",
    "stdpay.verification",
    "stdpay.approve.signature",
    "stdpay.approve.verification",
    "mobile.P_CHKFAKE",
    "iniapi.v1.refund",
    "iniapi.v1.partialRefund",
    "iniapi.v1.refund.vacct",
    "iniapi.v1.partialRefund.vacct",
    "iniapi.v2.refund",
    "iniapi.v2.partialRefund",
    "iniapi.v2.refund.vacct",
    "iniapi.v2.partialRefund.vacct",
    "iniapi.v2.inquiry",
    "iniapi.aes",
];

#[test]
fn every_public_formula_is_shown_here_or_said_to_be_of_no_concern() {
    let plugin = Plugin::new();
    let formulas: BTreeSet<_> =
        plugin.vectors["formulas"].as_object().unwrap().keys().map(String::as_str).collect();
    let listed: BTreeSet<_> = HERE.into_iter().chain(ELSEWHERE.map(|(formula, _)| formula)).collect();
    assert_eq!(formulas, listed);
}

fn won(minor: i64) -> Value {
    json!({"minor": minor, "currency": "KRW"})
}

fn order(order_ref: &Value, total: i64) -> Value {
    let address = "https://pay.shop.example/return/1";
    json!({
        "order_ref": order_ref, "amount": won(total), "tax": null, "name": "수제 잼",
        "buyer": {"name": null, "email": null, "phone": null}, "method": {"kind": "card", "provider": null},
        "options": [], "language": "ko", "return_url": address, "close_url": address, "notify_url": address,
    })
}

fn number(value: &Value, name: &str) -> i64 {
    value[name].as_str().map_or(0, |digits| digits.parse().unwrap())
}

impl Plugin {
    /// Opens a window; gives the fields of its form.
    fn window(&self, device: &str, now_ms: i64, order: Value, settings: Value, secrets: Value) -> Vec<Value> {
        let buyer = json!({"user_agent": "", "device": device, "page_origin": "https://pay.shop.example", "address": null});
        let files =
            json!({"args": {"order": order, "buyer": buyer}, "settings": settings, "secrets": secrets});
        let out = self.call("general-pay.begin", &moment(now_ms), files);
        let step = out.pointer("/result/ok/step").unwrap_or_else(|| panic!("{out}"));
        let fields = step.pointer("/form/fields").or_else(|| step.pointer("/script/form"));
        fields.and_then(Value::as_array).unwrap_or_else(|| panic!("{out}")).clone()
    }

    /// Completes a PC's return with an answer of INICIS; gives what came of it.
    fn approve(&self, mid: &str, token: &str, now_ms: i64, order: &Value, answer: &Value) -> Value {
        let fields = [
            ("resultCode", "0000"),
            ("mid", mid),
            ("orderNumber", order["order_ref"].as_str().unwrap()),
            ("authToken", token),
            ("idc_name", "fc"),
            ("authUrl", "https://fcstdpay.inicis.com/api/payAuth"),
            ("netCancelUrl", "https://fcstdpay.inicis.com/api/netCancel"),
        ];
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let callback = json!({
            "verb": "POST", "query": "", "content_type": "application/x-www-form-urlencoded",
            "body": STANDARD.encode(body),
        });
        let url = "https://fcstdpay.inicis.com/api/payAuth";
        self.call(
            "general-pay.complete",
            &moment(now_ms),
            json!({
                "args": {"order": order, "callback": callback}, "settings": {"mid": mid},
                "secrets": {"sign_key": SIGN_KEY},
                "http": [{"request": {"method": "POST", "url": url}, "response": {"text": answer.to_string()}}],
            }),
        )
    }
}

fn value<'a>(fields: &'a [Value], name: &str) -> &'a str {
    let found = fields.iter().find(|field| field["name"] == name);
    found.and_then(|field| field["value"].as_str()).unwrap_or_else(|| panic!("no {name} in {fields:?}"))
}

/// The form that was sent.
fn sent(out: &Value) -> BTreeMap<String, String> {
    let body = out.pointer("/requests/0/body").and_then(Value::as_array).unwrap_or_else(|| panic!("{out}"));
    let parts = body.iter().map(|piece| piece["part"]["text"].as_str().unwrap());
    form_urlencoded::parse(parts.collect::<String>().as_bytes()).into_owned().collect()
}

#[test]
fn the_program_signs_the_phones_form_as_the_public_vectors_do() {
    let plugin = Plugin::new();
    for (input, output) in plugin.of("mobile.P_CHKFAKE") {
        let mid = input["mid"].as_str().unwrap_or("INIpayTest");
        let form = plugin.window(
            "mobile",
            number(&input, "P_TIMESTAMP"),
            order(&input["P_OID"], number(&input, "P_AMT")),
            json!({"mid": mid}),
            json!({"mobile_hash_key": input["hashKey"]}),
        );
        assert_eq!(value(&form, "P_CHKFAKE"), output, "{input}");
        assert_eq!(value(&form, "P_TIMESTAMP"), text(&input, "P_TIMESTAMP"));
    }
}

#[test]
fn the_program_signs_the_pcs_form_as_the_public_vectors_do() {
    let plugin = Plugin::new();
    for (formula, field) in
        [("stdpay.mKey", "mKey"), ("stdpay.signature", "signature"), ("stdpay.verification", "verification")]
    {
        for (input, output) in plugin.of(formula) {
            let sign_key = input["signKey"].as_str().unwrap_or(SIGN_KEY);
            let (now_ms, total) = match formula {
                "stdpay.mKey" => (1_767_193_200_000, 1_000),
                _ => (number(&input, "timestamp"), number(&input, "price")),
            };
            let oid = input["oid"].as_str().unwrap_or("A-1");
            // An order for nothing is none (the window of a billing key signs 0), and no order number of ours has a dot.
            if total == 0 || oid.contains('.') {
                continue;
            }
            let settings = json!({"mid": "INIpayTest"});
            let form = plugin.window(
                "pc",
                now_ms,
                order(&json!(oid), total),
                settings,
                json!({"sign_key": sign_key}),
            );
            assert_eq!(value(&form, field), output, "{formula} {input}");
        }
    }
}

#[test]
fn the_program_signs_approvals_as_the_public_vectors_do() {
    let plugin = Plugin::new();
    for (formula, field) in
        [("stdpay.approve.signature", "signature"), ("stdpay.approve.verification", "verification")]
    {
        for (input, output) in plugin.of(formula) {
            let (now_ms, token) = (number(&input, "timestamp"), text(&input, "authToken"));
            let no = json!({"resultCode": "500644", "resultMsg": "한도 초과"});
            let out = plugin.approve("INIpayTest", &token, now_ms, &order(&json!("A-1"), 1_000), &no);
            let form = sent(&out);
            assert_eq!((&form[field], &form["authToken"]), (&output, &token), "{input}");
            assert_eq!(out.pointer("/result/ok/declined/code"), Some(&json!("500644")), "{out}");
        }
    }
}

#[test]
fn the_program_checks_the_answers_signature_for_all_ten_digits() {
    let plugin = Plugin::new();
    let mut vectors = plugin.of("stdpay.authSignature");
    // The public vectors have even digits only; the public table has all ten.
    for (digit, names) in plugin.vectors["authSignature_order_by_last_digit"].as_object().unwrap() {
        let input = json!({"mid": "INIpayTest", "MOID": "A-1", "TotPrice": "1004", "tstamp": format!("176719320012{digit}")});
        let names = names.as_array().unwrap().iter().map(|name| name.as_str().unwrap());
        let parts: Vec<_> = names.map(|name| format!("{name}={}", text(&input, name))).collect();
        vectors.push((input, sha256(&parts.join("&"))));
    }
    let mut digits = BTreeSet::new();
    for (input, output) in vectors {
        let (mid, total) = (text(&input, "mid"), number(&input, "TotPrice"));
        let order = order(&input["MOID"], total);
        // Every vector passes; a wrong signature is tried once for each digit.
        let new = digits.insert(text(&input, "tstamp").pop().unwrap());
        for (signature, good) in [(output.clone(), true), (sha256(&output), false)] {
            if !good && !new {
                continue;
            }
            let answer = json!({
                "resultCode": "0000", "tid": "StdpayCARDINIpayTest20260101000000000400", "mid": mid, "MOID": input["MOID"],
                "TotPrice": input["TotPrice"], "payMethod": "Card", "applDate": "20260101", "applTime": "000000",
                "applNum": "12345678", "currency": "WON", "authSignature": signature, "CARD_Code": "04",
            });
            let out = plugin.approve(&mid, "AAAA", number(&input, "tstamp"), &order, &answer);
            let word = if good { "/result/ok/approved" } else { "/result/err/unknown" };
            assert!(out.pointer(word).is_some(), "{input}: {out}");
        }
    }
    assert_eq!(digits.len(), 10);
}

#[test]
fn the_program_signs_inquiries_as_the_public_vectors_do() {
    let plugin = Plugin::new();
    for (input, output) in plugin.of("iniapi.v2.inquiry") {
        let (oid, tid) = (&input["data"]["oid"], &input["data"]["tid"]);
        let by = if oid.is_null() { "gateway_ref" } else { "order_ref" };
        let query = json!({
            "order_ref": oid.as_str().unwrap_or("A-1"), "gateway_ref": tid, "amount": won(1_000), "method": null,
        });
        let url = "https://iniapi.inicis.com/v2/pg/inquiry";
        let answer = json!({"resultCode": "01", "resultMsg": "no", "detailResultCode": "500400"}).to_string();
        let out = plugin.call(
            "money.inquire",
            &korean(&text(&input, "timestamp")),
            json!({
                "args": {"query": query}, "secrets": {"iniapi_key": input["INIAPIKey"]},
                "settings": {"mid": input["mid"], "client_ip": input["clientIp"], "lookup_by": by},
                "http": [{"request": {"method": "POST", "url": url}, "response": {"text": answer}}],
            }),
        );
        let body = out.pointer("/requests/0/body/0/part/text").and_then(Value::as_str);
        let asked: Value = serde_json::from_str(body.unwrap_or_else(|| panic!("{input}: {out}"))).unwrap();
        assert_eq!((&asked["data"], &asked["hashData"]), (&input["data"], &json!(output)), "{out}");
    }
}

/// A refund through the program; gives its output.
fn refund(plugin: &Plugin, of: Refund) -> Value {
    let (price, left) = of.price.unwrap_or((1, 0));
    let mut secrets = json!({"iniapi_key": of.input["INIAPIKey"], "iniapi_iv": "HYb3yQ4f65QL89=="});
    if let Some(iv) = of.input["INIAPIIV"].as_str() {
        secrets["iniapi_iv"] = json!(iv);
    }
    if let Some((_, account)) = &of.account {
        secrets["refund_account"] = json!(account);
    }
    let account = of
        .account
        .as_ref()
        .map(|(bank, _)| json!({"bank": bank, "holder": of.holder, "number": "refund_account"}));
    let answer = json!({"resultCode": "01", "resultMsg": "no", "detailResultCode": "500400"}).to_string();
    let out = plugin.call(
        "money.cancel",
        &korean(&text(&of.input, "timestamp")),
        json!({
            "args": {
                "charge": {
                    "order_ref": "A-1", "gateway_ref": of.tid, "amount": won(price + left),
                    "remaining": won(price + left), "method": {"kind": of.kind, "provider": null}, "approved_at_ms": 0,
                },
                "request": {"amount": won(price), "tax": of.tax, "reason": of.reason, "account": account, "sequence": 0},
            },
            "settings": {"mid": of.input["mid"], "client_ip": of.input["clientIp"], "iniapi_version": of.version},
            "secrets": secrets,
            "http": [{"request": {"method": "POST", "url": of.url}, "response": {"text": answer}}],
        }),
    );
    assert_eq!(out.pointer("/result/err/gateway/code"), Some(&json!("500400")), "{out}");
    assert!(!out.to_string().contains(of.input["INIAPIKey"].as_str().unwrap()), "the key is in the output");
    out
}

/// What a refund is made of.
struct Refund {
    input: Value,
    version: &'static str,
    url: String,
    kind: &'static str,
    tid: Value,
    reason: Value,
    /// Price and what is left.
    price: Option<(i64, i64)>,
    tax: Value,
    /// KFTC's code of the bank, and the number.
    account: Option<(String, String)>,
    holder: Value,
}

#[test]
fn the_program_signs_refunds_of_v2_as_the_public_vectors_do() {
    let plugin = Plugin::new();
    let known: BTreeMap<String, String> =
        plugin.accounts().into_iter().map(|(plain, cipher)| (cipher, plain)).collect();
    for formula in
        HERE.into_iter().filter(|formula| formula.starts_with("iniapi.v2.") && !formula.ends_with("inquiry"))
    {
        for (input, output) in plugin.of(formula) {
            let data = input["data"].clone();
            let deposit = formula.ends_with("vacct");
            let path = if deposit { "/vacct" } else { "" };
            // KFTC's code of these banks is INICIS's with a nought.
            let account = data["refundAcctNum"]
                .as_str()
                .map(|cipher| (format!("0{}", text(&data, "refundBankCode")), known[cipher].clone()));
            let out = refund(
                &plugin,
                Refund {
                    version: "v2",
                    url: format!("https://iniapi.inicis.com/v2/pg/{}{path}", text(&input, "type")),
                    kind: if deposit { "virtual_account" } else { "card" },
                    tid: data["tid"].clone(),
                    reason: data["msg"].clone(),
                    price: data["price"]
                        .is_string()
                        .then(|| (number(&data, "price"), number(&data, "confirmPrice"))),
                    tax: if data["tax"].is_null() {
                        Value::Null
                    } else {
                        json!({"free": number(&data, "taxfree"), "vat": number(&data, "tax")})
                    },
                    account,
                    holder: data["refundAcctName"].clone(),
                    input: input.clone(),
                },
            );
            let body = out.pointer("/requests/0/body/0/part/text").and_then(Value::as_str);
            let asked: Value =
                serde_json::from_str(body.unwrap_or_else(|| panic!("{input}: {out}"))).unwrap();
            assert_eq!((&asked["data"], &asked["hashData"]), (&data, &json!(output)), "{out}");
        }
    }
}

#[test]
fn the_program_signs_refunds_of_v1_as_the_public_vectors_do() {
    let plugin = Plugin::new();
    for formula in HERE.into_iter().filter(|formula| formula.starts_with("iniapi.v1.")) {
        for (input, output) in plugin.of(formula) {
            let kind = match text(&input, "paymethod").as_str() {
                "Card" => "card",
                "Acct" => "transfer",
                "HPP" => "phone",
                "Vacct" => "virtual_account",
                other => panic!("{other}"),
            };
            let account = input["refundAcctNum_plain"].as_str();
            let out = refund(
                &plugin,
                Refund {
                    version: "v1",
                    url: "https://iniapi.inicis.com/api/v1/refund".to_owned(),
                    kind,
                    tid: input["tid"].clone(),
                    reason: json!("고객 변심"),
                    price: input["price"]
                        .is_string()
                        .then(|| (number(&input, "price"), number(&input, "confirmPrice"))),
                    tax: Value::Null,
                    account: account.map(|number| ("088".to_owned(), number.to_owned())),
                    holder: json!("홍길동"),
                    input: input.clone(),
                },
            );
            let form = sent(&out);
            assert_eq!(form["hashData"], output, "{formula} {input}");
            for name in [
                "type",
                "paymethod",
                "timestamp",
                "clientIp",
                "mid",
                "tid",
                "price",
                "confirmPrice",
                "refundAcctNum",
            ] {
                assert_eq!(form.get(name).map(String::as_str), input[name].as_str(), "{formula} {name}");
            }
        }
    }
}

impl Plugin {
    /// Accounts of the vectors: the number and its ciphertext.
    fn accounts(&self) -> Vec<(String, String)> {
        let v1 = ["iniapi.v1.refund.vacct", "iniapi.v1.partialRefund.vacct"];
        let of_v1 = v1.iter().flat_map(|formula| self.of(formula));
        let of_v1 =
            of_v1.map(|(input, _)| (text(&input, "refundAcctNum_plain"), text(&input, "refundAcctNum")));
        let aes = self.of("iniapi.aes").into_iter().filter(|(input, _)| input["key"] == "ItEQKi3rY7uvDS8l");
        let more =
            [("43210987654321", "rfoxFdx71N+RQVULsJYayA==")].map(|(a, b)| (a.to_owned(), b.to_owned()));
        of_v1.chain(aes.map(|(input, output)| (text(&input, "plaintext"), output))).chain(more).collect()
    }
}

#[test]
fn the_program_encrypts_accounts_as_the_public_vectors_do() {
    let plugin = Plugin::new();
    for (input, output) in plugin.of("iniapi.aes") {
        let keys = json!({
            "INIAPIKey": input["key"], "INIAPIIV": input["iv"], "timestamp": "20260101000000", "clientIp": "127.0.0.1",
            "mid": input["mid"].as_str().unwrap_or("INIpayTest"),
        });
        let out = refund(
            &plugin,
            Refund {
                version: "v1",
                url: "https://iniapi.inicis.com/api/v1/refund".to_owned(),
                kind: "virtual_account",
                tid: json!("StdpayVBNKINIpayTest20260101130711000201"),
                reason: json!("고객 변심"),
                price: None,
                tax: Value::Null,
                account: Some(("088".to_owned(), text(&input, "plaintext"))),
                holder: json!("홍길동"),
                input: keys,
            },
        );
        assert_eq!(sent(&out)["refundAcctNum"], output, "{input}");
    }
}
