//! Every public vector that concerns PC, mobile, refund and inquiry, evaluated natively with the vectors' own keys.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use inicis_wire::iniapi::v2::{Request, Service};
use inicis_wire::pc::{approval, request};
use inicis_wire::recipe::{Algorithm, Part, Recipe, base64, hex, secret};
use inicis_wire::{form, iniapi, mobile};
use serde_json::Value;
use sha2::{Digest, Sha256, Sha512};

fn file() -> Value {
    serde_json::from_str(include_str!("vectors/inicis-vectors.json")).unwrap()
}

/// Evaluates a recipe as the host does; the vector names its keys in INICIS's words.
fn raw(recipe: &Recipe, input: &Value) -> Vec<u8> {
    let plain: String = recipe
        .parts
        .iter()
        .map(|part| match part {
            Part::Text(text) => text.as_str(),
            Part::Secret(secret::SIGN_KEY) => text(input, "signKey"),
            Part::Secret(secret::INIAPI_KEY) => text(input, "INIAPIKey"),
            Part::Secret(secret::MOBILE_HASH_KEY) => text(input, "hashKey"),
            Part::Secret(other) => panic!("no vector has {other}"),
        })
        .collect();
    match recipe.algorithm {
        Algorithm::Sha256 => Sha256::digest(plain).to_vec(),
        Algorithm::Sha512 => Sha512::digest(plain).to_vec(),
    }
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("{name} in {value}"))
}

fn number(value: &Value, name: &str) -> i64 {
    text(value, name).parse().unwrap()
}

/// What a formula of ours makes of a vector's input; absent for a formula that is not ours.
fn made(formula: &str, input: &Value) -> Option<String> {
    let t = |name: &str| text(input, name);
    let recipe = match formula {
        "mKey" | "stdpay.mKey" => request::m_key(),
        "stdpay.signature" => request::signature(t("oid"), t("price"), t("timestamp")),
        "stdpay.verification" => request::verification(t("oid"), t("price"), t("timestamp")),
        "stdpay.approve.signature" | "stdpay.approve.verification" => {
            let ask = approval::Ask {
                mid: "",
                token: t("authToken"),
                amount: 0,
                now_ms: number(input, "timestamp"),
            };
            if formula.ends_with("verification") { ask.verification() } else { ask.signature() }
        }
        "stdpay.authSignature" => {
            approval::auth_signature(t("mid"), t("MOID"), t("TotPrice"), number(input, "tstamp"))
        }
        "mobile.P_CHKFAKE" => {
            return Some(base64(&raw(&mobile::chkfake(t("P_AMT"), t("P_OID"), t("P_TIMESTAMP")), input)));
        }
        "iniapi.v1.refund"
        | "iniapi.v1.partialRefund"
        | "iniapi.v1.refund.vacct"
        | "iniapi.v1.partialRefund.vacct"
        | "iniapi.v1.inquiry" => v1(input),
        "iniapi.v2.refund"
        | "iniapi.v2.partialRefund"
        | "iniapi.v2.refund.vacct"
        | "iniapi.v2.partialRefund.vacct"
        | "iniapi.v2.inquiry" => v2(formula, input).hash(),
        _ => return None,
    };
    Some(hex(&raw(&recipe, input)))
}

fn v1(input: &Value) -> Recipe {
    let t = |name: &str| input[name].as_str();
    iniapi::v1::hash(&iniapi::v1::Hashed {
        kind: text(input, "type"),
        paymethod: text(input, "paymethod"),
        timestamp: text(input, "timestamp"),
        client_ip: text(input, "clientIp"),
        mid: text(input, "mid"),
        rest: [t("tid"), t("price"), t("confirmPrice"), t("refundAcctNum")],
    })
}

fn v2(formula: &str, input: &Value) -> Request {
    let service = match formula {
        "iniapi.v2.refund" => Service::Refund,
        "iniapi.v2.partialRefund" => Service::PartialRefund,
        "iniapi.v2.refund.vacct" => Service::RefundVacct,
        "iniapi.v2.partialRefund.vacct" => Service::PartialRefundVacct,
        _ => Service::Inquiry,
    };
    assert_eq!(service.kind(), text(input, "type"));
    let data: Vec<(&str, &str)> =
        input["data"].as_object().unwrap().iter().map(|(k, v)| (k.as_str(), v.as_str().unwrap())).collect();
    let stamp = text(input, "timestamp");
    let now = inicis_wire::clock::from_kst(&stamp[..8], &stamp[8..]).unwrap();
    Request::new(service, text(input, "mid"), now, text(input, "clientIp"), &data).unwrap()
}

const OURS: [&str; 17] = [
    "stdpay.mKey",
    "stdpay.signature",
    "stdpay.verification",
    "stdpay.approve.signature",
    "stdpay.approve.verification",
    "stdpay.authSignature",
    "mobile.P_CHKFAKE",
    "iniapi.v1.refund",
    "iniapi.v1.partialRefund",
    "iniapi.v1.refund.vacct",
    "iniapi.v1.partialRefund.vacct",
    "iniapi.v1.inquiry",
    "iniapi.v2.refund",
    "iniapi.v2.partialRefund",
    "iniapi.v2.refund.vacct",
    "iniapi.v2.partialRefund.vacct",
    "iniapi.v2.inquiry",
];

#[test]
fn every_vector_of_our_formulas_matches() {
    let file = file();
    let mut seen = 0;
    for formula in OURS {
        for vector in file["formulas"][formula]["vectors"].as_array().unwrap() {
            let made = made(formula, &vector["input"]).unwrap();
            assert_eq!(made, text(vector, "output"), "{formula}: {}", vector["input"]);
            seen += 1;
        }
    }
    assert!(seen >= 70, "only {seen} vectors were looked at");
}

#[test]
fn every_official_or_captured_value_of_our_formulas_matches() {
    let file = file();
    let mut seen = 0;
    for vector in file["official_or_captured"].as_array().unwrap() {
        let what = text(vector, "what");
        if let Some(made) = made(what, &vector["input"]) {
            assert_eq!(made, text(vector, "output"), "{what}");
            seen += 1;
        } else {
            assert!(["iniapi.aes", "sa.authHash"].contains(&what), "{what} is not looked at");
        }
    }
    assert_eq!(seen, 7);
}

#[test]
fn auth_signature_has_the_public_order_for_all_ten_digits() {
    let file = file();
    for (digit, order) in file["authSignature_order_by_last_digit"].as_object().unwrap() {
        let sent = 1_767_193_200_000 + digit.parse::<i64>().unwrap();
        let Recipe { parts, .. } = approval::auth_signature("M", "O", "1", sent);
        let expected: Vec<String> = order
            .as_array()
            .unwrap()
            .iter()
            .map(|name| match name.as_str().unwrap() {
                "mid" => "mid=M".to_owned(),
                "MOID" => "MOID=O".to_owned(),
                "TotPrice" => "TotPrice=1".to_owned(),
                _ => format!("tstamp={sent}"),
            })
            .collect();
        assert_eq!(parts, vec![Part::Text(expected.join("&"))], "digit {digit}");
    }
}

#[test]
fn no_formula_gives_a_negative_example() {
    let file = file();
    let wrong: Vec<String> = file["negative_examples"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|example| example["wrong"].as_str().map(str::to_owned))
        .collect();
    assert!(wrong.len() >= 11);
    for formula in OURS {
        for vector in file["formulas"][formula]["vectors"].as_array().unwrap() {
            assert!(!wrong.contains(&made(formula, &vector["input"]).unwrap()), "{formula}");
        }
    }
    for vector in file["official_or_captured"].as_array().unwrap() {
        if let Some(made) = made(text(vector, "what"), &vector["input"]) {
            assert!(!wrong.contains(&made));
        }
    }
}

#[test]
fn data_is_hashed_as_the_vector_writes_it() {
    let file = file();
    for formula in OURS.iter().filter(|formula| formula.contains(".v2.")) {
        for vector in file["formulas"][formula]["vectors"].as_array().unwrap() {
            let input = &vector["input"];
            let body = v2(formula, input).body("HASH");
            let data = text(input, "data_json_for_hash");
            let whole = format!(
                r#"{{"mid":"{}","type":"{}","timestamp":"{}","clientIp":"{}","data":{data},"hashData":"HASH"}}"#,
                text(input, "mid"),
                text(input, "type"),
                text(input, "timestamp"),
                text(input, "clientIp"),
            );
            assert_eq!(body.replace('\\', ""), whole, "{formula}");
        }
    }
}

#[test]
fn ciphertexts_are_the_public_ones() {
    // The plugin hands encryption to the host; here the vectors say what the host must give, and that base64 of it is ours.
    use aes::cipher::{BlockModeEncrypt, KeyIvInit, block_padding::Pkcs7};
    let file = file();
    let official =
        file["official_or_captured"].as_array().unwrap().iter().filter(|v| v["what"] == "iniapi.aes");
    let vectors = file["formulas"]["iniapi.aes"]["vectors"].as_array().unwrap();
    let mut seen = 0;
    for vector in vectors.iter().chain(official) {
        let input = &vector["input"];
        let cipher = cbc::Encryptor::<aes::Aes128>::new_from_slices(
            text(input, "key").as_bytes(),
            text(input, "iv").as_bytes(),
        )
        .unwrap();
        let bytes = cipher.encrypt_padded_vec::<Pkcs7>(text(input, "plaintext").as_bytes());
        assert_eq!(base64(&bytes), text(vector, "output"));
        seen += 1;
    }
    assert_eq!(seen, 6);
}

#[test]
fn forms_are_written_and_read_in_both_charsets() {
    let file = file();
    for vector in file["formulas"]["encoding.euckr"]["vectors"].as_array().unwrap() {
        let value = text(&vector["input"], "text");
        let field = || [form::Field::new("x", value)];
        assert_eq!(
            form::write(form::Charset::EucKr, &field()),
            format!("x={}", text(vector, "cp949_percent"))
        );
        assert_eq!(form::write(form::Charset::Utf8, &field()), format!("x={}", text(vector, "utf8_percent")));
        for name in ["cp949_percent", "utf8_percent"] {
            let read = form::Form::parse(format!("x={}", text(vector, name)).as_bytes()).unwrap();
            assert_eq!(read.words("x").unwrap(), value);
        }
    }
}

#[test]
fn base64_is_standard_for_every_length() {
    use ::base64::Engine;
    for length in 0..80_u8 {
        let bytes: Vec<u8> = (0..length).map(|i| i.wrapping_mul(37)).collect();
        assert_eq!(base64(&bytes), ::base64::engine::general_purpose::STANDARD.encode(&bytes));
    }
}
