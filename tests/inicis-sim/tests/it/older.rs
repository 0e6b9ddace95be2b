//! Profiles: what the manual does not allow and public clients send all the same. The field lists of the clients were written
//! anew from what they send: gnuboard5 (5.6, 2026), the official samples for PC (PHP 2.0, JSP 2.2), phones and INIAPI.

use inicis_sim::{Profile, hash};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::phone::{HASH_KEY, text_pairs, with};
use crate::rig::{API_KEY, LOOKUP, MID, Pairs, Rig, SIGN_KEY, get, pairs, pay, set, unset};
use crate::shop::formpay;

const REFUND: &str = "https://iniapi.inicis.com/api/v1/refund";

async fn rig(profile: Profile) -> Rig {
    Rig::with(|options| options.settings.profile = profile).await
}

impl Rig {
    /// Codes of what was warned of since the last look, oldest first.
    async fn warned(&self, seen: &mut usize) -> Vec<String> {
        let body: Value =
            self.http.get(self.url("/_sim/warnings")).send().await.unwrap().json().await.unwrap();
        let all = body["warnings"].as_array().unwrap();
        let codes = all.iter().skip(*seen).map(|warning| warning["code"].as_str().unwrap().to_owned());
        let codes = codes.collect();
        *seen = all.len();
        codes
    }

    /// Posts a phone's form to an entry point and pays.
    async fn enter(&self, entry: &str, form: &Pairs, choice: Value) -> (StatusCode, Value) {
        let mut body = json!({"fields": form, "entry": entry});
        body.as_object_mut().unwrap().extend(choice.as_object().unwrap().clone());
        let answer = self.post_control("/_sim/window", &body).await;
        (answer.status(), answer.json().await.unwrap())
    }

    async fn judged(&self, mid: &str, profile: Value) -> StatusCode {
        let url = self.url(&format!("/_sim/merchants/{mid}"));
        self.http.patch(url).json(&json!({ "profile": profile })).send().await.unwrap().status()
    }
}

/// A v1 refund as the named client signs it.
fn v1(rig: &Rig, kind: &str, client_ip: &str, more: &[(&str, &str)], hashed: usize) -> Pairs {
    let timestamp = rig.kst14();
    let common = [kind, "Card", &timestamp, client_ip, MID];
    let values: Vec<&str> = common.iter().copied().chain(more.iter().take(hashed).map(|(_, v)| *v)).collect();
    let mut form = pairs([("type", kind), ("paymethod", "Card"), ("timestamp", timestamp.as_str())]);
    form.extend(pairs([("clientIp", client_ip), ("mid", MID)]));
    form.extend(pairs(more.iter().copied()));
    set(&mut form, "hashData", &hash::iniapi_v1(API_KEY, &values));
    form
}

/// An approval as clients before 2022 send it: `signature` alone.
fn old_approval(rig: &Rig, post: &Pairs) -> Pairs {
    let mut request = rig.approval(post, 3);
    unset(&mut request, "verification");
    request
}

#[tokio::test]
async fn each_thing_that_only_older_clients_send_is_refused_by_strict_and_taken_with_a_warning_by_older_clients()
 {
    let (strict, older, mut seen) = (rig(Profile::Strict).await, rig(Profile::OlderClients).await, 0);
    let forms: [(Sent, &str, usize); 7] = [
        (&[("use_chkfake", ""), ("verification", "")], "SIM:FIELD", 1),
        (&[("use_chkfake", "N")], "SIM:FIELD", 1),
        (&[("gopaymethod", "Card:Directbank:vbank")], "SIM:METHOD", 2),
        (&[("gopaymethod", "Vbank")], "SIM:METHOD", 1),
        (
            &[("acceptmethod", "CARDPOINT:HPP(1):no_receipt:va_receipt:vbanknoreg(0):below1000")],
            "SIM:ACCEPT",
            1,
        ),
        (&[("acceptmethod", "below1000:SLIMQUOTA(11-2:3):vbanknoreg:")], "SIM:ACCEPT", 2),
        (&[("acceptmethod", "HPP(1):Card(0):OCB:receipt:cardpoint:below1000")], "SIM:ACCEPT", 3),
    ];
    for (changes, code, warnings) in forms {
        let mut form = strict.form(MID, "O-1", "1000");
        changes.iter().for_each(|(name, value)| set(&mut form, name, value));
        assert_eq!(strict.refusal(&form).await, code, "{changes:?}");
        let (status, body) = older.window(&form, json!({"choice": "pay"})).await;
        assert_eq!(status, 200, "{changes:?}: {body}");
        assert_eq!(older.warned(&mut seen).await, vec![code; warnings], "{changes:?}");
    }
    for (rig, code) in [(&strict, "500633"), (&older, "0000")] {
        let post = rig.authenticate(MID, "O-2", "1000").await;
        let answer = rig.form_json(get(&post, "authUrl"), &old_approval(rig, &post)).await;
        assert_eq!(answer["resultCode"], code, "{answer}");
        let tid = rig.tid(MID, "O-3", "5000").await;
        let part = [("tid", tid.as_str()), ("price", "1000"), ("confirmPrice", "4000"), ("msg", "m")];
        let answer = rig.form_json(REFUND, &v1(rig, "PartialRefund", "192.0.2.10", &part, 3)).await;
        let taken = if code == "0000" { "00" } else { "01" };
        assert_eq!(answer["resultCode"], taken, "{answer}");
        let tid = rig.tid(MID, "O-4", "5000").await;
        let full = [("tid", tid.as_str()), ("msg", "취소요청")];
        let answer = rig.form_json(REFUND, &v1(rig, "Refund", "111.222.333.889", &full, 1)).await;
        assert_eq!(answer["resultCode"], taken, "{answer}");
        let mut issue = formpay(rig, &[]);
        unset(&mut issue, "currency");
        let answer = rig.form_json("https://iniapi.inicis.com/api/v1/formpay", &issue).await;
        assert_eq!(answer["resultCode"], taken, "{answer}");
    }
    assert_eq!(older.warned(&mut seen).await, ["500633", "SIM:FIELD", "SIM:IP", "SIM:FIELD"]);
    assert!(strict.warned(&mut 0).await.is_empty());
}

#[tokio::test]
async fn entry_points_of_earlier_years_name_the_method() {
    let (strict, older, mut seen) = (rig(Profile::Strict).await, rig(Profile::OlderClients).await, 0);
    for (entry, payment, prefix) in [
        ("wcard", "CARD", "INIMX_CARD"),
        ("bank", "BANK", "INIMX_BANK"),
        ("vbank", "VBANK", "INIMX_VBNK"),
        ("mobile", "MOBILE", "INIMX_HPP_"),
        ("hpmn", "HPMN", "INIMX_HPMN"),
        ("culture", "CULTURE", "INIMX_CULT"),
    ] {
        let mut form = older.phone_form(payment, entry, "1000");
        unset(&mut form, "P_INI_PAYMENT");
        let (_, refused) = strict.enter(entry, &form, json!({"choice": "pay"})).await;
        assert_eq!(refused["refused"]["code"], "SIM:ENTRY");
        let (status, body) = older.enter(entry, &form, json!({"choice": "pay"})).await;
        assert_eq!(status, 200, "{entry}: {body}");
        let post: Pairs = serde_json::from_value(body["fields"].clone()).unwrap();
        assert_eq!(&get(&older.phone_approve(&post).await, "P_TID")[..10], prefix);
        assert_eq!(older.warned(&mut seen).await, ["SIM:ENTRY"]);
        // The browser's own way, with the slash that clients put behind the name and without it.
        for path in [format!("/smart/{entry}"), format!("/smart/{entry}/")] {
            let ascii = with(with(form.clone(), "P_UNAME", "Hong"), "P_GOODS", "tea");
            let page = older.send(&older.url(&path), &ascii).await.unwrap().text().await.unwrap();
            assert!(page.contains("mobile-window"), "{path}: {page}");
        }
        older.warned(&mut seen).await;
    }
    let other = older.phone_form("BANK", "O-1", "1000");
    let (_, refused) = older.enter("wcard", &other, json!({"choice": "pay"})).await;
    assert_eq!(refused["refused"]["code"], "SIM:FIELD", "the path and the field name two methods");
    let nowhere = older.send(&older.url("/smart/nowhere/"), &other).await.unwrap();
    assert_eq!(nowhere.status(), 404);
}

#[tokio::test]
async fn a_net_cancel_without_chkfake_is_for_sales_that_had_no_amt_hash() {
    let (strict, older, mut seen) = (rig(Profile::Strict).await, rig(Profile::OlderClients).await, 0);
    for (rig, reserved, taken) in [
        (&strict, "twotrs_isp=Y", "500633"),
        (&older, "twotrs_isp=Y&amt_hash=Y", "500633"),
        (&older, "twotrs_isp=Y", "00"),
    ] {
        let form = with(rig.phone_form("CARD", "O-1", "1000"), "P_RESERVED", reserved);
        let post = rig.phone_posted(&form, json!({"choice": "pay"})).await;
        rig.phone_approve(&post).await;
        let (url, mut fields) = rig.phone_net_cancel(&post, "O-1");
        unset(&mut fields, "P_CHKFAKE");
        let answer = rig.phone_call(&url, &fields).await;
        let said = if taken == "00" { get(&answer, "P_STATUS") } else { get(&answer, "P_RMESG1") };
        assert!(said.starts_with(taken), "{reserved}: {answer:?}");
    }
    assert_eq!(older.warned(&mut seen).await, ["500633"]);
}

#[tokio::test]
async fn what_came_is_judged_alike_by_both_profiles() {
    let rig = rig(Profile::OlderClients).await;
    let table = [
        ("verification", "00", "500632"),
        ("verification", "", "500633"),
        ("use_chkfake", "X", "SIM:FIELD"),
        ("signature", "00", "500632"),
        ("gopaymethod", "Card:Nobody", "SIM:METHOD"),
        ("acceptmethod", "below1000:nobody(1)", "SIM:ACCEPT"),
        ("currency", "", "SIM:FIELD"),
    ];
    for (name, value, code) in table {
        let mut form = rig.form(MID, "O-1", "1000");
        set(&mut form, name, value);
        assert_eq!(rig.refusal(&form).await, code, "{name}={value}");
    }
    let post = rig.authenticate(MID, "O-1", "1000").await;
    let mut wrong = rig.approval(&post, 3);
    set(&mut wrong, "verification", "00");
    assert_eq!(rig.form_json(get(&post, "authUrl"), &wrong).await["resultCode"], "500632");
    let tid = rig.tid(MID, "O-2", "5000").await;
    for address in ["localhost", "::1", "1.2.3", "1.2.3.4000", ""] {
        let full = [("tid", tid.as_str()), ("msg", "m")];
        assert_eq!(rig.form_json(REFUND, &v1(&rig, "Refund", address, &full, 1)).await["resultCode"], "01");
    }
    let utf8 =
        json!({"fields": rig.phone_form("CARD", "O-3", "1000"), "choice": "pay", "form_charset": "UTF-8"});
    let answer: Value = rig.post_control("/_sim/window", &utf8).await.json().await.unwrap();
    assert_eq!(answer["refused"]["code"], "SIM:CHARS");
    assert!(rig.warned(&mut 0).await.is_empty());
}

#[tokio::test]
async fn a_merchant_gets_a_profile_of_its_own_by_the_control_api() {
    let rig = rig(Profile::Strict).await;
    let form = |mid: &str| {
        let mut form = rig.form(mid, "O-1", "1000");
        unset(&mut form, "use_chkfake");
        form
    };
    assert_eq!(rig.judged(MID, json!("older-clients")).await, 200);
    assert_eq!(rig.window(&form(MID), pay()).await.0, 200);
    assert_eq!(rig.refusal(&form(LOOKUP)).await, "SIM:FIELD");
    let listed: Value = rig.http.get(rig.url("/_sim/merchants")).send().await.unwrap().json().await.unwrap();
    let profile = |mid: &str| {
        let all = listed["merchants"].as_array().unwrap();
        all.iter().find(|merchant| merchant["mid"] == mid).unwrap()["profile"].clone()
    };
    assert_eq!((profile(MID), profile(LOOKUP)), (json!("older-clients"), json!("strict")));
    let url = rig.url(&format!("/_sim/warnings?mid={LOOKUP}"));
    let of_other: Value = rig.http.get(url).send().await.unwrap().json().await.unwrap();
    assert_eq!(of_other["warnings"], json!([]));
    assert_eq!(rig.warned(&mut 0).await, ["SIM:FIELD"]);
    assert_eq!(rig.judged(MID, Value::Null).await, 200);
    assert_eq!(rig.refusal(&form(MID)).await, "SIM:FIELD");
    assert_eq!(rig.judged("nobody0000", json!("strict")).await, 404);
    assert_eq!(rig.judged(MID, json!("lax")).await, 422);
    rig.judged(MID, json!("older-clients")).await;
    rig.post_control("/_sim/reset", &json!({})).await;
    assert_eq!(rig.refusal(&form(MID)).await, "SIM:FIELD", "a reset forgets");
    assert!(rig.warned(&mut 0).await.is_empty());
}

/// Fields of a PC form in the client's order; what is signed or unique stands empty.
type Sent = &'static [(&'static str, &'static str)];

/// gnuboard5: the order form of a shop, with the shop's own fields between INICIS's.
const GNUBOARD5_PC: Sent = &[
    ("od_name", "홍길동"),
    ("od_settle_case", "신용카드"),
    ("good_mny", "12000"),
    ("comm_tax_mny", "10909"),
    ("comm_vat_mny", "1091"),
    ("comm_free_mny", "0"),
    ("version", "1.0"),
    ("mid", MID),
    ("oid", ""),
    ("goodname", "녹차 외 1건"),
    ("price", "12000"),
    ("buyername", "홍길동"),
    ("buyeremail", "hong@example.com"),
    ("parentemail", ""),
    ("buyertel", "010-1234-5678"),
    ("recvname", "홍길동"),
    ("recvtel", "010-1234-5678"),
    ("recvaddr", "서울 중구"),
    ("recvpostnum", "04524"),
    ("currency", "WON"),
    ("gopaymethod", "Card"),
    ("acceptmethod", "HPP(2):no_receipt:vbank(20991231):below1000:cardpoint"),
    ("timestamp", ""),
    ("signature", ""),
    ("returnUrl", "https://shop.example.com/shop/inicis/inistdpay_return.php"),
    ("mKey", ""),
    ("charset", "UTF-8"),
    ("payViewType", "overlay"),
    ("closeUrl", "https://shop.example.com/shop/inicis/close.php"),
    ("popupUrl", "https://shop.example.com/shop/inicis/popup.php"),
    ("nointerest", ""),
    ("quotabase", "2:3:4:5:6:7:8:9:10:11:12"),
    ("tax", "1091"),
    ("taxfree", "0"),
];

/// The official sample for PC, PHP 2.0, as it is shipped.
const SAMPLE_PC_PHP: Sent = &[
    ("version", "1.0"),
    ("mid", MID),
    ("goodname", "테스트"),
    ("oid", ""),
    ("price", "1000"),
    ("currency", "WON"),
    ("buyername", "홍길동"),
    ("buyertel", "010-1234-5678"),
    ("buyeremail", "test@inicis.com"),
    ("timestamp", ""),
    ("signature", ""),
    ("returnUrl", "https://shop.example.com/stdpay/INIStdPaySample/INIStdPayReturn.php"),
    ("mKey", ""),
    ("gopaymethod", ""),
    ("offerPeriod", "2015010120150331"),
    ("acceptmethod", "HPP(1):no_receipt:va_receipt:below1000"),
    ("languageView", ""),
    ("charset", ""),
    ("payViewType", ""),
    ("closeUrl", "https://shop.example.com/stdpay/INIStdPaySample/close.php"),
    ("popupUrl", "https://shop.example.com/stdpay/INIStdPaySample/popup.php"),
    ("nointerest", "11-2:3:,34-5:12,14-6:12:24,12-12:36,06-9:12,01-3:4"),
    ("quotabase", "2:3:4:5:6:11:12:24:36"),
    ("INIregno", ""),
    ("merchantData", ""),
];

/// The official sample for PC of 2022 and later (JSP), with the spelling of its methods.
const SAMPLE_PC_2022: Sent = &[
    ("version", "1.0"),
    ("gopaymethod", "Card:Directbank:vbank"),
    ("mid", MID),
    ("oid", ""),
    ("price", "1000"),
    ("timestamp", ""),
    ("use_chkfake", "Y"),
    ("signature", ""),
    ("verification", ""),
    ("mKey", ""),
    ("currency", "WON"),
    ("goodname", "테스트상품"),
    ("buyername", "테스터"),
    ("buyertel", "01012345678"),
    ("buyeremail", "test@test.com"),
    ("returnUrl", "https://shop.example.com/INIstdpay_pc_return.jsp"),
    ("closeUrl", "https://shop.example.com/close.jsp"),
    ("acceptmethod", "HPP(1):below1000:centerCd(Y)"),
];

/// The official sample of 2015, whose options name what the manual no longer has.
const SAMPLE_PC_2015: Sent = &[
    ("version", "1.0"),
    ("mid", MID),
    ("goodname", "테스트"),
    ("oid", ""),
    ("price", "1000"),
    ("currency", "WON"),
    ("buyername", "홍길동"),
    ("buyertel", "010-1234-5678"),
    ("buyeremail", "test@inicis.com"),
    ("timestamp", ""),
    ("signature", ""),
    ("returnUrl", "https://shop.example.com/INIStdPayReturn.jsp"),
    ("mKey", ""),
    ("gopaymethod", "Card"),
    ("offerPeriod", "20151001-20151231"),
    ("acceptmethod", "CARDPOINT:HPP(1):no_receipt:va_receipt:vbanknoreg(0):below1000"),
    ("languageView", ""),
    ("charset", ""),
    ("payViewType", "overlay"),
    ("closeUrl", "https://shop.example.com/close.jsp"),
    ("popupUrl", "https://shop.example.com/popup.jsp"),
    ("quotabase", "2:3:4:5:6:11:12:24:36"),
];

/// The client's form with its number, its time and the hashes that it has fields for.
fn signed(rig: &Rig, sent: Sent, oid: &str) -> Pairs {
    let timestamp = rig.now_ms().to_string();
    let price = sent.iter().find(|(name, _)| *name == "price").unwrap().1;
    let fill = |name: &str, value: &str| match name {
        "oid" => oid.to_owned(),
        "timestamp" => timestamp.clone(),
        "mKey" => hash::m_key(SIGN_KEY),
        "signature" => hash::form_signature(oid, price, &timestamp),
        "verification" => hash::form_verification(oid, price, SIGN_KEY, &timestamp),
        _ => value.to_owned(),
    };
    sent.iter().map(|(name, value)| ((*name).to_owned(), fill(name, value))).collect()
}

#[tokio::test]
async fn pc_forms_of_gnuboard5_and_the_official_samples_pay_with_a_warning_for_each_old_thing() {
    let (strict, older, mut seen) = (rig(Profile::Strict).await, rig(Profile::OlderClients).await, 0);
    for (name, sent, form_warnings, approval_warnings) in [
        ("gnuboard5", GNUBOARD5_PC, vec!["SIM:FIELD"], vec!["500633"]),
        ("php", SAMPLE_PC_PHP, vec!["SIM:FIELD"], vec!["500633"]),
        ("jsp-2022", SAMPLE_PC_2022, vec!["SIM:METHOD", "SIM:METHOD"], vec![]),
        ("2015", SAMPLE_PC_2015, vec!["SIM:FIELD", "SIM:ACCEPT"], vec!["500633"]),
    ] {
        assert_eq!(strict.refusal(&signed(&strict, sent, name)).await, form_warnings[0], "{name}");
        let form = signed(&older, sent, name);
        let post = older.posted(&form, json!({"choice": "pay", "method": "Card", "card": "04"})).await;
        assert_eq!(older.warned(&mut seen).await, form_warnings, "{name}");
        let whole = approval_warnings.is_empty();
        let request = if whole { older.approval(&post, 3) } else { old_approval(&older, &post) };
        let answer = older.form_json(get(&post, "authUrl"), &request).await;
        assert_eq!((&answer["resultCode"], &answer["MOID"]), (&json!("0000"), &json!(name)), "{answer}");
        assert_eq!(older.warned(&mut seen).await, approval_warnings, "{name}");
    }
    // The wallets of gnuboard5's order form: `cardonly` beside them.
    for (method, wallet) in [("onlykakaopay", "O"), ("onlylpay", "L"), ("onlynaverpay", "I"), ("Kpay", "A")] {
        let mut form = signed(&older, GNUBOARD5_PC, method);
        set(&mut form, "gopaymethod", method);
        if method != "Kpay" {
            set(&mut form, "acceptmethod", "HPP(2):no_receipt:vbank(20991231):below1000:cardonly");
        }
        let post = older.posted(&form, json!({"choice": "pay"})).await;
        let answer = older.form_json(get(&post, "authUrl"), &old_approval(&older, &post)).await;
        assert_eq!((&answer["resultCode"], &answer["CARD_SrcCode"]), (&json!("0000"), &json!(wallet)));
    }
}

/// gnuboard5's form of a phone (its 5.5 and, with `amt_hash`, 5.6); what is unique stands empty.
const GNUBOARD5_PHONE: Sent = &[
    ("P_OID", ""),
    ("P_GOODS", "녹차 외 1건"),
    ("P_AMT", "12000"),
    ("P_UNAME", "홍길동"),
    ("P_MOBILE", "010-1234-5678"),
    ("P_EMAIL", "hong@example.com"),
    ("P_MID", MID),
    ("P_NEXT_URL", "https://shop.example.com/return/1"),
    ("P_NOTI_URL", "https://shop.example.com/mobile/shop/inicis/settle_common.php"),
    ("P_RETURN_URL", "https://shop.example.com/mobile/shop/inicis/pay_return.php?oid=1"),
    ("P_HPP_METHOD", "2"),
    ("P_RESERVED", "bank_receipt=N&twotrs_isp=Y&block_isp=Y"),
    ("DEF_RESERVED", "bank_receipt=N&twotrs_isp=Y&block_isp=Y"),
    ("P_NOTI", ""),
    ("P_QUOTABASE", "01:02:03:04:05:06:07:08:09:10:11:12"),
    ("P_SKIP_TERMS", ""),
    ("good_mny", "12000"),
    ("P_TAX", ""),
    ("P_TAXFREE", ""),
];

fn on_phone(sent: Sent, oid: &str) -> Pairs {
    let fill = |name: &str, value: &str| match name {
        "P_OID" | "P_NOTI" => oid.to_owned(),
        _ => value.to_owned(),
    };
    sent.iter().map(|(name, value)| ((*name).to_owned(), fill(name, value))).collect()
}

#[tokio::test]
async fn gnuboard5_pays_on_a_phone_by_the_entry_of_each_method() {
    let (rig, mut seen) = (rig(Profile::OlderClients).await, 0);
    for (entry, more, field, value) in [
        ("wcard", "", "P_TYPE", "CARD"),
        ("wcard", "&d_kpay=Y&d_kpay_app=Y", "P_SRC_CODE", "A"),
        ("wcard", "&d_samsungpay=Y", "P_SRC_CODE", "B"),
        ("wcard", "&d_kakaopay=Y", "P_SRC_CODE", "O"),
        ("wcard", "&d_npay=Y", "P_SRC_CODE", "I"),
        ("wcard", "&d_lpay=Y", "P_SRC_CODE", "L"),
        ("vbank", "", "P_TYPE", "VBANK"),
        ("mobile", "", "P_TYPE", "MOBILE"),
    ] {
        let mut form = on_phone(GNUBOARD5_PHONE, &format!("20261201{}", more.len()));
        let reserved = format!("{}{more}", get(&form, "P_RESERVED"));
        set(&mut form, "P_RESERVED", &reserved);
        let (status, body) = rig.enter(entry, &form, json!({"choice": "pay"})).await;
        assert_eq!(status, 200, "{entry}{more}: {body}");
        let post: Pairs = serde_json::from_value(body["fields"].clone()).unwrap();
        // gnuboard5 approves with PHP's curl and an array, which is multipart.
        let part = |name: &str, value: &str| {
            format!("--g5\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
        };
        let body = format!("{}{}--g5--\r\n", part("P_MID", MID), part("P_TID", get(&post, "P_TID")));
        let request = rig.http.post(get(&post, "P_REQ_URL")).body(body);
        let sent = request.header("content-type", "multipart/form-data; boundary=g5").send().await.unwrap();
        let bytes = sent.bytes().await.unwrap();
        let answer = text_pairs(&encoding_rs::EUC_KR.decode(&bytes).0);
        assert_eq!(get(&answer, "P_STATUS"), "00", "{entry}{more}: {answer:?}");
        assert_eq!(get(&answer, field), value, "{entry}{more}");
        let kpay =
            if more.contains("d_kpay_app") { vec!["SIM:ENTRY", "SIM:RESERV"] } else { vec!["SIM:ENTRY"] };
        assert_eq!(rig.warned(&mut seen).await, kpay, "{entry}{more}");
    }
    // A transfer is approved at once and told to P_NOTI_URL; the browser goes to P_RETURN_URL.
    let (_, body) = rig.enter("bank", &on_phone(GNUBOARD5_PHONE, "B-1"), json!({"choice": "pay"})).await;
    assert_eq!(body["go_url"], "https://shop.example.com/mobile/shop/inicis/pay_return.php?oid=1");
}

#[tokio::test]
async fn a_phones_form_with_the_charset_of_the_results_is_what_the_official_sample_sends() {
    let rig = rig(Profile::Strict).await;
    let timestamp = rig.now_ms().to_string();
    // The official mobile sample: accept-charset="euc-kr" and P_CHARSET=utf8 in one form.
    let form = pairs([
        ("P_INI_PAYMENT", "CARD"),
        ("P_MID", MID),
        ("P_OID", "mobile_test1234"),
        ("P_AMT", "1000"),
        ("P_GOODS", "테스트상품"),
        ("P_UNAME", "테스터"),
        ("P_MOBILE", "01012345678"),
        ("P_EMAIL", "test@test.com"),
        ("P_NEXT_URL", "https://shop.example.com/return/1"),
        ("P_CHARSET", "utf8"),
        ("P_TIMESTAMP", &timestamp),
        ("P_CHKFAKE", &hash::chkfake("1000", "mobile_test1234", &timestamp, HASH_KEY)),
        ("P_RESERVED", "below1000=Y&vbank_receipt=Y&centerCd=Y&amt_hash=Y"),
    ]);
    let post = rig.phone_posted(&form, json!({"choice": "pay", "card": "04"})).await;
    let request = pairs([("P_MID", MID), ("P_TID", get(&post, "P_TID"))]);
    let bytes = rig.send(get(&post, "P_REQ_URL"), &request).await.unwrap().bytes().await.unwrap();
    let answer = text_pairs(std::str::from_utf8(&bytes).unwrap());
    assert_eq!((get(&answer, "P_STATUS"), get(&answer, "P_UNAME")), ("00", "테스터"));
}

#[tokio::test]
async fn refunds_of_gnuboard5_and_the_official_samples_are_taken() {
    let (rig, mut seen) = (rig(Profile::OlderClients).await, 0);
    let tid = rig.tid(MID, "O-1", "12000").await;
    // gnuboard5: a part without currency, then the rest in the same way.
    for (price, left) in [("2000", "10000"), ("10000", "0")] {
        let part = [("tid", tid.as_str()), ("price", price), ("confirmPrice", left), ("msg", "부분취소")];
        let answer = rig.form_json(REFUND, &v1(&rig, "PartialRefund", "10.0.0.5", &part, 3)).await;
        assert_eq!((&answer["resultCode"], &answer["prtcRemains"]), (&json!("00"), &json!(left)), "{answer}");
    }
    assert_eq!(rig.warned(&mut seen).await, ["SIM:FIELD", "SIM:FIELD"]);
    // The official samples of v1 and v2, with the address that they are shipped with.
    let tid = rig.tid(MID, "O-2", "1000").await;
    let full = [("tid", tid.as_str()), ("msg", "취소요청")];
    let answer = rig.form_json(REFUND, &v1(&rig, "Refund", "111.222.333.889", &full, 1)).await;
    assert_eq!(answer["resultCode"], "00", "{answer}");
    let tid = rig.tid(MID, "O-3", "1000").await;
    let mut call = rig.v2(MID, "refund", &json!({"tid": tid, "msg": "전체취소 테스트"}));
    call["clientIp"] = json!("111.222.333.889");
    assert_eq!(rig.v2_raw("refund", &call).await["resultCode"], "00");
    assert_eq!(rig.warned(&mut seen).await, ["SIM:IP", "SIM:IP"]);
}
