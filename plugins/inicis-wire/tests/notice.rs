//! What INICIS reports on its own, and an account by API (`inicis.md §2.7, §3, §4.6`).

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use inicis_wire::clock;
use inicis_wire::form::{Charset, Field, write};
use inicis_wire::iniapi::issue::{self, IssueAnswer, Wanted};
use inicis_wire::notice::{self, Deposit, ESCROW_OK, NoticeError, OK, Said};
use inicis_wire::recipe::{Part, hex};
use serde_json::Value;
use sha2::{Digest, Sha512};

const MID: &str = "INIpayTest";
const ISSUE: &str = "StdpayVBNKINIpayTest20261121224500123456";
const DEPOSIT: &str = "ININPGVBNKINIpayTest20261122101500654321";

/// A PC deposit notice with the blanks and zeros of the captured ones.
const PC: [(&str, &str); 26] = [
    ("len", "0623"),
    ("no_tid", DEPOSIT),
    ("no_req_tid", ISSUE),
    ("no_oid", "order-1"),
    ("id_merchant", MID),
    ("cd_bank", "00000088"),
    ("cd_deal", "00000020"),
    ("dt_trans", "20261122"),
    ("tm_trans", "101500"),
    ("no_msgseq", "0000000001"),
    ("cd_joinorg", "20000050"),
    ("dt_transbase", "20261122"),
    ("no_transeq", "123456"),
    ("type_msg", "0200"),
    ("cl_trans", "1100"),
    ("cl_close", "0"),
    ("cl_kor", "2"),
    ("no_msgmanage", "000000000001"),
    ("no_vacct", "56211102003544      "),
    ("amt_input", "1004"),
    ("amt_check", "0"),
    ("nm_inputbank", "우리은행"),
    ("nm_input", "홍길동"),
    ("dt_inputstd", "20261122"),
    ("dt_calculstd", " "),
    ("flg_close", "0"),
];

const MOBILE: [(&str, &str); 12] = [
    ("P_STATUS", "02"),
    ("P_TID", "INIMX_VBNKINIpayTest20261121224512654321"),
    ("P_TYPE", "VBANK"),
    ("P_AUTH_DT", "20261122101500"),
    ("P_MID", MID),
    ("P_OID", "order-1"),
    ("P_FN_CD1", "88"),
    ("P_FN_NM", "신한은행"),
    ("P_AMT", "1004"),
    ("P_UNAME", "홍길동"),
    ("P_RMESG1", "P_VACCT_NO=56211102003544|P_EXP_DT=20261130"),
    ("P_NOTI", "order-1"),
];

const ESCROW: [(&str, &str); 7] = [
    ("id_merchant", MID),
    ("no_oid", "order-1"),
    ("no_tid", ISSUE),
    ("dt_req", "20261122101500"),
    ("cl_status", "3"),
    ("cl_paymethod", "17"),
    ("price", "1004"),
];

fn body(
    charset: Charset,
    fields: &[(&'static str, &str)],
    changes: &[(&'static str, Option<&str>)],
) -> Vec<u8> {
    let mut fields: Vec<(&'static str, String)> = fields.iter().map(|(n, v)| (*n, (*v).to_owned())).collect();
    for (name, value) in changes {
        fields.retain(|(known, _)| known != name);
        fields.extend(value.map(|value| (*name, value.to_owned())));
    }
    let fields: Vec<Field> = fields.into_iter().map(|(name, value)| Field::new(name, value)).collect();
    write(charset, &fields).into_bytes()
}

fn read(body: &[u8]) -> Result<Said, NoticeError> {
    notice::read("POST", body, MID).map(|notice| notice.said)
}

fn deposited(body: &[u8]) -> Deposit {
    match read(body) {
        Ok(Said::Deposited(deposit)) => deposit,
        other => panic!("{other:?}"),
    }
}

fn changed(
    of: &[(&'static str, &str)],
    name: &'static str,
    value: Option<&str>,
) -> Result<Said, NoticeError> {
    read(&body(Charset::EucKr, of, &[(name, value)]))
}

#[test]
fn a_pc_deposit_is_read_whole() {
    let notice = notice::read("POST", &body(Charset::EucKr, &PC, &[]), MID).unwrap();
    assert_eq!(notice.reply, OK);
    let Said::Deposited(deposit) = notice.said else { panic!() };
    assert_eq!((deposit.tid.as_str(), deposit.issue_tid.as_deref()), (DEPOSIT, Some(ISSUE)));
    assert_eq!(
        (deposit.oid.as_str(), deposit.amount, deposit.number.as_str()),
        ("order-1", 1004, "56211102003544")
    );
    assert_eq!(deposit.depositor.as_deref(), Some("홍길동"));
    assert_eq!(Some(deposit.at_ms), clock::from_kst("20261122", "101500"));
    assert!(deposit.more.contains(&("nm_inputbank".to_owned(), "우리은행".to_owned())));
    assert!(!deposit.more.iter().any(|(name, _)| name == "dt_calculstd"), "a blank is nothing");
}

#[test]
fn names_are_read_in_either_charset_whatever_the_message_declares() {
    for charset in [Charset::EucKr, Charset::Utf8] {
        for declared in [Some("2"), Some("1"), None] {
            let deposit = deposited(&body(charset, &PC, &[("cl_kor", declared)]));
            assert_eq!(deposit.depositor.as_deref(), Some("홍길동"), "{charset:?} {declared:?}");
        }
        let deposit = deposited(&body(charset, &MOBILE, &[]));
        assert_eq!(deposit.depositor.as_deref(), Some("홍길동"), "{charset:?} mobile");
    }
    // 짤 is C2AB in EUC-KR, which is also « in UTF-8.
    let deposit = deposited(&body(Charset::EucKr, &PC, &[("nm_input", Some("짤"))]));
    assert_eq!(deposit.depositor.as_deref(), Some("짤"));
}

#[test]
fn an_older_message_without_the_issues_number_is_read_too() {
    let deposit = deposited(&body(Charset::EucKr, &PC, &[("no_req_tid", None)]));
    assert_eq!(deposit.issue_tid, None);
    let deposit = deposited(&body(Charset::EucKr, &PC, &[("no_req_tid", Some("a number?"))]));
    assert_eq!(deposit.issue_tid, None);
}

#[test]
fn a_deposit_that_is_taken_back_is_told_apart() {
    let Ok(Said::DepositCancelled(back)) = changed(&PC, "type_msg", Some("0400")) else { panic!() };
    assert_eq!((back.tid.as_str(), back.amount), (DEPOSIT, 1004));
    assert!(matches!(changed(&PC, "type_msg", Some("0300")), Err(NoticeError::Field(_))));
}

#[test]
fn an_issue_that_a_phone_opened_is_not_money() {
    let Ok(Said::Issued(issue)) = changed(&MOBILE, "P_STATUS", Some("00")) else { panic!() };
    assert_eq!((issue.number.as_str(), issue.amount, issue.bank.kftc), ("56211102003544", 1004, "088"));
    assert_eq!(issue.bank.ko, "신한은행");
    let nameless = body(Charset::EucKr, &MOBILE, &[("P_STATUS", Some("00")), ("P_RMESG1", Some(""))]);
    assert!(matches!(read(&nameless), Ok(Said::Ignored(_))));
}

#[test]
fn a_mobile_deposit_is_read_with_either_length_of_moment() {
    for moment in ["20261122101500", "261122101500"] {
        let deposit = deposited(&body(Charset::EucKr, &MOBILE, &[("P_AUTH_DT", Some(moment))]));
        assert_eq!(Some(deposit.at_ms), clock::from_kst("20261122", "101500"), "{moment}");
        assert_eq!((deposit.amount, deposit.number.as_str()), (1004, "56211102003544"));
    }
}

#[test]
fn two_mobile_deposits_that_share_a_number_are_two() {
    let at = |moment: &str| deposited(&body(Charset::EucKr, &MOBILE, &[("P_AUTH_DT", Some(moment))])).tid;
    assert_ne!(at("20261122101500"), at("20261122101501"));
    assert_eq!(at("20261122101500"), at("261122101500"));
}

#[test]
fn the_buyers_name_is_none_of_an_accounts_details() {
    let Ok(Said::Issued(issue)) = changed(&MOBILE, "P_STATUS", Some("00")) else { panic!() };
    assert!(issue.more.iter().all(|(name, _)| name != "P_UNAME"), "{:?}", issue.more);
}

#[test]
fn an_approval_in_one_transaction_is_read_from_its_notice() {
    for (kind, ours) in [("ISP", "card"), ("CARD", "card"), ("BANK", "transfer")] {
        let changes = [("P_STATUS", Some("00")), ("P_TYPE", Some(kind)), ("P_AUTH_NO", Some("12345678"))];
        let Ok(Said::Approved(sale)) = read(&body(Charset::EucKr, &MOBILE, &changes)) else {
            panic!("{kind}")
        };
        assert_eq!((sale.method.kind, sale.amount, sale.oid.as_str()), (ours, 1004, "order-1"));
        assert_eq!(sale.approved_at_ms, clock::from_kst("20261122", "101500"));
    }
    let failed = body(Charset::EucKr, &MOBILE, &[("P_STATUS", Some("01")), ("P_TYPE", Some("ISP"))]);
    assert!(matches!(read(&failed), Ok(Said::Ignored(_))));
    // A deposit status is no approval of a card.
    assert!(matches!(changed(&MOBILE, "P_TYPE", Some("ISP")), Err(NoticeError::Field(_))));
}

#[test]
fn escrow_statuses_become_words_and_have_an_answer_of_their_own() {
    for (status, state) in
        [("2", "shipped"), ("31", "confirmed"), ("4", "denied"), ("10", "denial_confirmed")]
    {
        let notice =
            notice::read("POST", &body(Charset::EucKr, &ESCROW, &[("cl_status", Some(status))]), MID)
                .unwrap();
        assert_eq!(notice.reply, ESCROW_OK);
        let Said::Escrow(change) = notice.said else { panic!() };
        assert_eq!((change.state, change.tid.as_str()), (state, ISSUE));
    }
    assert!(matches!(changed(&ESCROW, "cl_status", Some("99")), Ok(Said::Ignored(_))));
}

#[test]
fn another_merchants_notice_is_refused() {
    for (of, name) in [(&PC[..], "id_merchant"), (&MOBILE[..], "P_MID"), (&ESCROW[..], "id_merchant")] {
        assert_eq!(changed(of, name, Some("INIpayOthr")), Err(NoticeError::Merchant(name)));
        assert!(changed(of, name, None).is_err());
    }
}

#[test]
fn a_field_that_decides_must_be_there_once_and_possible() {
    let bad: [(&str, &[Option<&str>]); 7] = [
        ("no_tid", &[None, Some(""), Some("한글"), Some("a b"), Some("a\0b")]),
        ("no_oid", &[None, Some("12345678901234567890123456789012345678901")]),
        (
            "amt_input",
            &[
                None,
                Some("0"),
                Some("-1004"),
                Some("1,004"),
                Some("1004.0"),
                Some("99999999999999"),
                Some("１"),
            ],
        ),
        ("dt_trans", &[None, Some("20260229"), Some("20261301"), Some("2026112"), Some("00000000")]),
        ("tm_trans", &[None, Some("240000"), Some("101560"), Some("1015")]),
        (
            "no_vacct",
            &[
                None,
                Some(" "),
                Some("562111020035445621110"),
                Some("5621abc"),
                Some("56'11"),
                Some("56\x0011"),
            ],
        ),
        ("type_msg", &[None, Some("200"), Some("0200 0400")]),
    ];
    for (name, values) in bad {
        for value in values {
            assert!(changed(&PC, name, *value).is_err(), "{name} {value:?}");
        }
        let (_, good) = PC.iter().find(|(known, _)| *known == name).unwrap();
        let twice = [body(Charset::EucKr, &PC, &[]), format!("&{name}=1{good}").into_bytes()].concat();
        assert!(read(&twice).is_err(), "{name} twice");
    }
    for (name, value) in
        [("P_AUTH_DT", "20260229101500"), ("P_AUTH_DT", "260229101500"), ("P_AMT", "0"), ("P_STATUS", "03")]
    {
        assert!(changed(&MOBILE, name, Some(value)).is_err(), "{name} {value}");
    }
}

#[test]
fn a_decorative_field_may_be_anything() {
    let odd = "\u{0}".repeat(3000);
    for name in ["nm_input", "nm_inputbank", "len", "cd_bank", "no_msgseq"] {
        let read = changed(&PC, name, Some(&odd));
        assert!(matches!(read, Ok(Said::Deposited(_))), "{name}");
    }
    // Broken EUC-KR in a name is still a deposit.
    let broken = [body(Charset::EucKr, &PC, &[("nm_input", None)]), b"&nm_input=%BF%EC%B8".to_vec()].concat();
    assert!(deposited(&broken).depositor.is_some());
}

#[test]
fn what_is_no_message_of_inicis_is_said_to_be_none() {
    assert_eq!(read(b""), Err(NoticeError::Unknown));
    assert_eq!(read(b"a=1&b=2"), Err(NoticeError::Unknown));
    assert_eq!(read(b"{\"no_tid\":\"x\"}"), Err(NoticeError::Unknown));
    assert_eq!(read(&b"a=1&".repeat(201)), Err(NoticeError::TooManyFields));
    assert!(matches!(read(&vec![b'a'; 70_000]), Err(NoticeError::Form(_))));
    assert_eq!(notice::read("GET", &body(Charset::EucKr, &PC, &[]), MID), Err(NoticeError::NotPosted));
}

fn wanted<'a>(order_ref: &'a str, amount: i64, client_ip: &'a str, now_ms: i64) -> Wanted<'a> {
    Wanted {
        mid: MID,
        client_ip,
        now_ms,
        url: "https://shop.example",
        order_ref,
        amount,
        currency: "KRW",
        goods: "책",
        buyer_name: Some("홍길동"),
        buyer_phone: Some("010-1234-5678"),
        buyer_email: None,
        bank: "88",
        holder: "홍길동",
        deadline_ms: now_ms + 86_400_000,
        tax_free: None,
        vat: None,
    }
}

#[test]
fn an_account_by_api_is_asked_for_with_the_vectors_hash() {
    let file: Value = serde_json::from_str(include_str!("vectors/inicis-vectors.json")).unwrap();
    let formulas = file["formulas"].as_object().unwrap();
    let vectors = formulas.iter().filter(|(name, _)| name.starts_with("iniapi.v1.formpay"));
    let vectors = vectors.flat_map(|(_, formula)| formula["vectors"].as_array().unwrap());
    let mut seen = 0;
    for vector in vectors.filter(|vector| vector["input"]["paymethod"] == "Vacct") {
        let input = &vector["input"];
        let t = |name: &str| input[name].as_str().unwrap();
        let now_ms = clock::from_kst14(t("timestamp")).unwrap();
        let request =
            issue::Request::new(&wanted(t("moid"), t("price").parse().unwrap(), t("clientIp"), now_ms))
                .unwrap();
        let text: String = request
            .hash()
            .parts
            .iter()
            .map(|part| match part {
                Part::Text(text) => text.clone(),
                Part::Secret(_) => t("INIAPIKey").to_owned(),
            })
            .collect();
        let hash = hex(&Sha512::digest(text));
        assert_eq!(hash, vector["output"].as_str().unwrap());
        let body = request.body(&hash);
        for part in
            ["type=Pay", "paymethod=Vacct", "bankCode=88", "flgCash=0", &format!("moid={}", t("moid"))]
        {
            assert!(body.split('&').any(|field| field == part), "{part}: {body}");
        }
        assert!(body.ends_with(&format!("hashData={hash}")));
        seen += 1;
    }
    assert_eq!(seen, 4);
}

#[test]
fn the_deadline_by_api_is_a_date_and_a_minute_in_korea() {
    let now_ms = clock::from_kst("20261231", "235930").unwrap();
    let request = issue::Request::new(&wanted("order-1", 1004, "192.0.2.10", now_ms)).unwrap();
    let body = request.body("h");
    assert!(body.contains("dtInput=20270101&tmInput=2359&"), "{body}");
    let mut late = wanted("order-1", 1004, "192.0.2.10", now_ms);
    late.deadline_ms = now_ms;
    assert!(issue::Request::new(&late).is_err());
    let long = Wanted { holder: "가나다라마바사아", ..wanted("order-1", 1004, "192.0.2.10", now_ms) };
    let request = issue::Request::new(&long).unwrap();
    assert_eq!(request.warnings, ["nmInput: cut to 20 bytes"]);
}

#[test]
fn an_answer_to_an_issue_is_an_account_only_when_it_is_whole() {
    let good = serde_json::json!({
        "resultCode": "00", "resultMsg": "정상처리되었습니다.", "tid": "INIAPIVACCINIpayTest20261121224512654321",
        "authDate": "20261121", "authTime": "224512", "vacct": "56211102003544", "vacctName": "㈜케이지이니시스",
        "vacctBankCode": "88", "validDate": "20261130", "validTime": "2359", "price": "1004",
    });
    let Ok(IssueAnswer::Opened(opened)) = issue::read(200, good.to_string().as_bytes()) else { panic!() };
    assert_eq!(
        (opened.account.number.as_str(), opened.amount, opened.account.bank.kftc),
        ("56211102003544", 1004, "088")
    );
    assert_eq!(opened.account.deadline_ms, clock::from_kst("20261130", "235900"));
    for name in ["resultCode", "tid", "vacct", "price"] {
        let mut lacking = good.clone();
        lacking.as_object_mut().unwrap().remove(name);
        assert!(issue::read(200, lacking.to_string().as_bytes()).is_err(), "{name}");
    }
    assert!(issue::read(500, good.to_string().as_bytes()).is_err());
    let no = br#"{"resultCode":"01","resultMsg":"x","detailResultCode":"504619","tid":null}"#;
    assert!(matches!(issue::read(200, no), Ok(IssueAnswer::No(no)) if no.code() == "504619"));
    // Communication failure: nobody knows.
    assert!(issue::read(200, br#"{"resultCode":"01","resultMsg":"x","detailResultCode":"504055"}"#).is_err());
}
