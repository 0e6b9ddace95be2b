//! The simulator's formulas against the vectors of the reference.

use inicis_sim::hash;
use serde_json::Value;

fn all() -> Value {
    serde_json::from_str(include_str!("../vectors/inicis-vectors.json")).unwrap()
}

/// Runs a formula over all its vectors, official ones too.
fn check(name: &str, formula: impl Fn(&dyn Fn(&str) -> String) -> String) {
    let all = all();
    let generated = all["formulas"][name]["vectors"].as_array().cloned().unwrap_or_default();
    let official = all["official_or_captured"].as_array().unwrap().iter();
    let official = official.filter(|vector| vector["what"].as_str().is_some_and(|what| name.ends_with(what)));
    let mut count = 0;
    for vector in generated.iter().chain(official) {
        let input = |key: &str| vector["input"][key].as_str().unwrap_or_default().to_owned();
        assert_eq!(formula(&input), vector["output"].as_str().unwrap(), "{name}: {vector}");
        count += 1;
    }
    assert!(count >= 3, "{name} has {count} vectors");
}

#[test]
fn m_key() {
    check("stdpay.mKey", |v| hash::m_key(&v("signKey")));
}

#[test]
fn form_signature() {
    check("stdpay.signature", |v| hash::form_signature(&v("oid"), &v("price"), &v("timestamp")));
}

#[test]
fn form_verification() {
    check("stdpay.verification", |v| {
        hash::form_verification(&v("oid"), &v("price"), &v("signKey"), &v("timestamp"))
    });
}

#[test]
fn approval_signature() {
    check("stdpay.approve.signature", |v| hash::approval_signature(&v("authToken"), &v("timestamp")));
}

#[test]
fn approval_verification() {
    check("stdpay.approve.verification", |v| {
        hash::approval_verification(&v("authToken"), &v("signKey"), &v("timestamp"))
    });
}

#[test]
fn auth_signature_of_generated_and_captured_answers() {
    check("stdpay.authSignature", |v| {
        hash::auth_signature(&v("MOID"), &v("mid"), &v("TotPrice"), &v("tstamp"))
    });
}

#[test]
fn auth_signature_takes_the_fields_of_the_table_for_every_digit() {
    for (digit, names) in all()["authSignature_order_by_last_digit"].as_object().unwrap() {
        let tstamp = format!("176719320012{digit}");
        let plain: Vec<String> = names
            .as_array()
            .unwrap()
            .iter()
            .map(|name| match name.as_str().unwrap() {
                "MOID" => "MOID=O-1".to_owned(),
                "mid" => "mid=INIpayTest".to_owned(),
                "TotPrice" => "TotPrice=1000".to_owned(),
                "tstamp" => format!("tstamp={tstamp}"),
                other => panic!("{other}"),
            })
            .collect();
        let expected = hash::sha256(&plain.join("&"));
        assert_eq!(hash::auth_signature("O-1", "INIpayTest", "1000", &tstamp), expected, "digit {digit}");
    }
}

fn v1(name: &str, values: &[&str]) {
    check(name, |v| {
        let values: Vec<String> = values.iter().map(|value| v(value)).collect();
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        hash::iniapi_v1(&v("INIAPIKey"), &values)
    });
}

#[test]
fn iniapi_v1() {
    let common = ["type", "paymethod", "timestamp", "clientIp", "mid"];
    v1("iniapi.v1.refund", &[&common[..], &["tid"]].concat());
    v1("iniapi.v1.partialRefund", &[&common[..], &["tid", "price", "confirmPrice"]].concat());
    v1("iniapi.v1.inquiry", &common);
    v1("iniapi.v1.formpay.vacct", &[&common[..], &["moid", "price"]].concat());
    v1("iniapi.v1.refund.vacct", &[&common[..], &["tid", "refundAcctNum"]].concat());
    let partial = ["tid", "price", "confirmPrice", "refundAcctNum"];
    v1("iniapi.v1.partialRefund.vacct", &[&common[..], &partial].concat());
}

#[test]
fn chkfake_and_its_two_common_mistakes() {
    check("mobile.P_CHKFAKE", |v| hash::chkfake(&v("P_AMT"), &v("P_OID"), &v("P_TIMESTAMP"), &v("hashKey")));
    let all = all();
    let right = hash::chkfake("1000", "url_99120", "1640061760611", "3CB8183A4BE283555ACC8363C0360223");
    let wrong = all["negative_examples"].as_array().unwrap().iter();
    let wrong = wrong.filter(|example| example["name"].as_str().unwrap().starts_with("P_CHKFAKE"));
    assert_eq!(wrong.filter(|example| example["wrong"] != *right).count(), 2);
}

#[test]
fn encrypted_accounts_are_decrypted() {
    let all = all();
    let generated = all["formulas"]["iniapi.aes"]["vectors"].as_array().unwrap();
    let official = all["official_or_captured"].as_array().unwrap().iter();
    let official = official.filter(|vector| vector["what"] == "iniapi.aes");
    let mut count = 0;
    for vector in generated.iter().chain(official) {
        let input = |key: &str| vector["input"][key].as_str().unwrap();
        let plain = hash::iniapi_decrypt(input("key"), input("iv"), vector["output"].as_str().unwrap());
        assert_eq!(plain.as_deref(), Some(input("plaintext")));
        count += 1;
    }
    assert_eq!(count, 6);
    let (key, iv) = ("ItEQKi3rY7uvDS8l", "HYb3yQ4f65QL89==");
    for bad in ["", "AAAA", "no base64", "AAAAAAAAAAAAAAAAAAAAAA=="] {
        assert_eq!(hash::iniapi_decrypt(key, iv, bad), None, "{bad}");
    }
}

#[test]
fn iniapi_v2_hashes_data_as_it_came() {
    for name in [
        "iniapi.v2.refund",
        "iniapi.v2.partialRefund",
        "iniapi.v2.inquiry",
        "iniapi.v2.billing",
        "iniapi.v2.refund.vacct",
        "iniapi.v2.partialRefund.vacct",
    ] {
        let all = all();
        let vectors = all["formulas"][name]["vectors"].as_array().unwrap();
        assert!(vectors.len() >= 3, "{name}");
        for vector in vectors {
            let input = &vector["input"];
            let text = |key: &str| input[key].as_str().unwrap();
            let key = text("INIAPIKey");
            let got = hash::iniapi_v2(key, text("mid"), text("type"), text("timestamp"), &input["data"]);
            assert_eq!(got, vector["output"].as_str().unwrap(), "{name}: {vector}");
        }
    }
}

#[test]
fn common_mistakes_of_merchants_give_other_hashes() {
    for example in all()["negative_examples"].as_array().unwrap() {
        let Some(wrong) = example["wrong"].as_str() else { continue };
        let name = example["name"].as_str().unwrap();
        let right = match name {
            _ if name.starts_with("mKey") => hash::m_key("SU5JTElURV9UUklQTEVERVNfS0VZU1RS"),
            _ if name.starts_with("verification") => {
                let key = "SU5JTElURV9UUklQTEVERVNfS0VZU1RS";
                hash::form_verification("INIpayTest_1361252896871", "1004", key, "1361252896871")
            }
            _ => hash::form_signature("INIpayTest_1361252896871", "1004", "1361252896871"),
        };
        assert_ne!(right, wrong, "{name}");
    }
}
