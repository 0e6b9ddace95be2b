//! Answers of INICIS: yes, no, or unclear.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use inicis_wire::codes::{self, Class, Operation};
use inicis_wire::iniapi::answer::{self, RefundAnswer};
use inicis_wire::iniapi::inquiry::{self, Inquired, State};
use inicis_wire::iniapi::v2::{self, Account, By, PartOfSale, Refund, Service};
use inicis_wire::pc::approval::{self, Answer, Ask, NetCancelled};
use inicis_wire::pc::details;

const TID: &str = "StdpayCARDINIpayTest20241117211120693165";

fn approval() -> serde_json::Value {
    serde_json::json!({
        "resultCode": "0000", "resultMsg": "정상처리되었습니다.", "tid": TID, "mid": "INIpayTest", "MOID": "order-1",
        "TotPrice": "2000", "payMethod": "Card", "payMethodDetail": "Card", "applDate": "20241117", "applTime": "211120",
        "applNum": "12345678", "currency": "WON", "OrgPrice": "", "authSignature": "abc", "CARD_Code": "04",
        "CARD_Num": "*********", "CARD_Quota": "03", "CARD_Interest": "1", "CARD_PRTC_CODE": "1", "CARD_SrcCode": "",
        "CARD_UsePoint": "", "CARD_CouponDiscount": "100", "CARD_PurchaseCode": "99", "CARD_PurchaseName": "새카드"
    })
}

fn read(value: &serde_json::Value) -> Result<Answer, inicis_wire::Unclear> {
    approval::read(200, value.to_string().as_bytes())
}

fn changed(name: &str, value: serde_json::Value) -> serde_json::Value {
    let mut answer = approval();
    answer[name] = value;
    answer
}

#[test]
fn an_approval_is_read_whole() {
    let Ok(Answer::Approved(sale)) = read(&approval()) else { panic!() };
    assert_eq!(
        (sale.tid.as_str(), sale.moid.as_str(), sale.total, sale.currency),
        (TID, "order-1", 2000, Some("KRW"))
    );
    assert_eq!(sale.approved_at_ms, Some(1_731_845_480_000));
    assert_eq!((sale.method.kind, sale.method.provider), ("card", None));
    let read = details::of_pc(&sale.fields);
    assert_eq!(read.issuer.as_ref().map(|i| (i.code.as_str(), i.ko.as_str())), Some(("04", "현대카드")));
    assert_eq!(read.acquirer.as_ref().map(|i| (i.ko.as_str(), i.en.as_str())), Some(("새카드", "새카드")));
    assert_eq!(
        (read.instalments, read.interest_free, read.partial_cancel),
        (Some(3), Some(true), Some(true))
    );
    assert_eq!((read.points, read.discount, read.wallet), (None, Some(100), None));
}

#[test]
fn the_answer_of_the_real_staging_sale_is_ours() {
    let mut answer = changed("MOID", "INIpayTest_1731845419536".into());
    answer["authSignature"] = "35e157d083a19aa0616f734586a7132275088e102292577dd0b60e2431ff37ff".into();
    let Ok(Answer::Approved(sale)) = read(&answer) else { panic!() };
    let recipe = sale.expected_signature(1_731_845_481_326);
    let inicis_wire::recipe::Part::Text(text) = &recipe.parts[0] else { panic!() };
    let expected = inicis_wire::recipe::hex(&<sha2::Sha256 as sha2::Digest>::digest(text));
    assert_eq!(sale.verify(&expected, "INIpayTest"), Ok(()));
    assert!(sale.verify(&expected, "OTHERMID00").is_err());
    assert!(sale.verify("abc", "INIpayTest").is_err());
}

#[test]
fn an_answer_without_what_decides_is_unclear() {
    for name in ["resultCode", "tid", "mid", "MOID", "TotPrice", "payMethod", "authSignature"] {
        assert!(read(&changed(name, serde_json::Value::Null)).is_err(), "{name} null");
        assert!(read(&changed(name, "".into())).is_err(), "{name} empty");
        assert!(read(&changed(name, serde_json::json!({}))).is_err(), "{name} an object");
        let mut answer = approval();
        answer.as_object_mut().unwrap().remove(name);
        assert!(read(&answer).is_err(), "{name} missing");
        let doubled = approval().to_string().replacen('{', &format!("{{\"{name}\":\"other\","), 1);
        assert!(approval::read(200, doubled.as_bytes()).is_err(), "{name} contradictory");
    }
    for (name, value) in [
        ("TotPrice", "2,000"),
        ("TotPrice", "2000.0"),
        ("TotPrice", "-1"),
        ("TotPrice", "99999999999999999999"),
        ("tid", "a\"b"),
        ("currency", "KRW"),
        ("payMethod", "Auth"),
        ("payMethod", "Bill"),
    ] {
        assert!(read(&changed(name, value.into())).is_err(), "{name} {value}");
    }
}

#[test]
fn what_is_not_an_answer_is_unclear() {
    for body in [
        &b""[..],
        b" \r\n",
        b"<html>error</html>",
        b"[]",
        b"null",
        b"\"0000\"",
        b"{",
        b"{\"resultCode\":\"0000\"",
        b"resultCode=0000&tid=x",
        b"\xff\xfe",
        b"<?xml version=\"1.0\"?><r/>",
    ] {
        assert!(approval::read(200, body).is_err());
        assert!(approval::read_net_cancel(200, body, "order-1").is_err());
        assert!(answer::read(200, body).is_err());
        assert!(inquiry::read(200, body, "INIpayTest").is_err());
    }
    for status in [201, 302, 400, 404, 500, 502] {
        assert!(approval::read(status, approval().to_string().as_bytes()).is_err());
        assert!(answer::read(status, br#"{"resultCode":"00"}"#).is_err());
    }
    let deep = "{\"a\":".repeat(100_000);
    assert!(approval::read(200, deep.as_bytes()).is_err());
}

#[test]
fn an_unreadable_time_does_not_lose_a_sale() {
    for value in ["", "20241341", "x"] {
        let Ok(Answer::Approved(sale)) = read(&changed("applDate", value.into())) else { panic!() };
        assert_eq!(sale.approved_at_ms, None);
    }
}

#[test]
fn a_decline_is_a_decline_and_r201_is_not() {
    let Ok(Answer::Declined(no)) =
        approval::read(200, r#"{"resultCode":"500645","resultMsg":"한도초과"}"#.as_bytes())
    else {
        panic!()
    };
    assert_eq!((no.code(), no.message()), ("500645", "한도초과"));
    assert_eq!(codes::meaning(no.code(), Operation::Approve).class, Class::Limit);
    assert_eq!(approval::read(200, br#"{"resultCode":"R201"}"#), Ok(Answer::AlreadyApproved));
    assert_eq!(codes::meaning("V801", Operation::Authenticate).class, Class::Declined);
    assert_eq!(
        codes::meaning("999623", Operation::Approve).class,
        Class::Other,
        "not a network that we know"
    );
}

#[test]
fn wallets_are_easy_pay() {
    for (code, wallet) in
        [("O", "kakaopay"), ("I", "naverpay"), ("B", "samsungpay"), ("H", "tosspay"), ("R", "chai")]
    {
        let Ok(Answer::Approved(sale)) = read(&changed("CARD_SrcCode", code.into())) else { panic!() };
        assert_eq!((sale.method.kind, sale.method.provider), ("easy_pay", Some(wallet)));
        assert_eq!(details::of_pc(&sale.fields).wallet, Some(wallet));
    }
}

#[test]
fn a_net_cancel_sends_the_approvals_map_to_the_letter() {
    let ask = |now_ms| Ask { mid: "INIpayTest", token: "a+b/c==", amount: 1004, now_ms };
    let body = ask(1_767_193_200_000).body("S".into(), "V".into());
    assert_eq!(
        body,
        "mid=INIpayTest&authToken=a%2Bb%2Fc%3D%3D&timestamp=1767193200000&signature=S&verification=V&charset=UTF-8&format=JSON&price=1004"
    );
    assert_eq!(body, ask(1_767_193_200_000).body("S".into(), "V".into()));
}

#[test]
fn a_net_cancel_is_reversed_only_by_0000_for_our_order() {
    let read = |body: &str| approval::read_net_cancel(200, body.as_bytes(), "order-1");
    assert_eq!(read(r#"{"resultCode":"0000","tid":"x","moid":"order-1"}"#), Ok(NetCancelled::Reversed));
    assert_eq!(read(r#"{"resultCode":"0000"}"#), Ok(NetCancelled::Reversed));
    assert!(read(r#"{"resultCode":"0000","moid":"order-2"}"#).is_err());
    assert!(matches!(read(r#"{"resultCode":"500623","resultMsg":""}"#), Ok(NetCancelled::Refused(_))));
}

#[test]
fn the_captured_refund_answers_are_read() {
    let done = r#"{"resultCode":"00","resultMsg":"정상처리되었습니다.","cancelDate":"20220210","cancelTime":"004139","receiptInfo":"","cshrCancelNum":"","detailResultCode":""}"#;
    let Ok(RefundAnswer::Done(refunded)) = answer::read(200, done.as_bytes()) else { panic!() };
    assert_eq!((refunded.at_ms, refunded.left, refunded.more.len()), (Some(1_644_421_299_000), None, 0));
    let refused = r#"{"resultCode":"01","resultMsg":"기 취소 거래","cancelDate":"20220210","cancelTime":"004139","detailResultCode":"512626"}"#;
    let Ok(RefundAnswer::No(no)) = answer::read(200, refused.as_bytes()) else { panic!() };
    assert_eq!((no.code(), no.message()), ("512626", "기 취소 거래"));
    assert_eq!(codes::meaning(no.code(), Operation::Cancel).class, Class::AlreadyCancelled);
    let bare = answer::read(200, br#"{"resultCode":"01","resultMsg":null,"detailResultCode":null}"#);
    assert!(matches!(bare, Ok(RefundAnswer::No(no)) if no.code() == "01"));
}

#[test]
fn a_partial_refund_answer_says_what_is_left() {
    let body = format!(
        r#"{{"resultCode":"00","prtcDate":"20260101","prtcTime":"120000","tid":"{TID}","prtcTid":"x","prtcPrice":"500","prtcRemains":"1500","prtcCnt":"1","prtcType":"1"}}"#
    );
    let Ok(RefundAnswer::Done(refunded)) = answer::read(200, body.as_bytes()) else { panic!() };
    assert_eq!((refunded.price, refunded.left), (Some(500), Some(1500)));
    assert!(refunded.more.contains(&("prtcTid".into(), "x".into())), "both numbers are kept");
}

#[test]
fn a_refund_that_may_have_moved_money_is_unclear() {
    for suffix in ["050", "051", "052", "055", "105", "106", "108", "127", "772"] {
        let body = format!(r#"{{"resultCode":"01","resultMsg":"","detailResultCode":"500{suffix}"}}"#);
        assert!(answer::read(200, body.as_bytes()).is_err(), "{suffix}");
    }
    for suffix in ["667", "714"] {
        let body = format!(r#"{{"resultCode":"01","resultMsg":"","detailResultCode":"500{suffix}"}}"#);
        let Ok(RefundAnswer::No(no)) = answer::read(200, body.as_bytes()) else { panic!() };
        assert_eq!(codes::meaning(no.code(), Operation::Cancel).class, Class::TooLate);
    }
}

#[test]
fn inquiries_read_every_documented_state_and_no_other() {
    let body = |status: &str| {
        format!(
            r#"{{"resultCode":"SUCCESS","mid":"INIpayTest","oid":"order-1","tid":"{TID}","price":"2000","paymethod":"VCard","transactionStatus":"{status}","approvedDate":"20241117","approvedTime":"211120","cancelDate":"20241118","cancelTime":"000000","availablePartCancelPrice":"500","partCancelTransInfo":[{{"tid":"b","requestDate":"20241119","requestTime":"000000","requestPrice":1000}},{{"tid":"a","requestDate":"20241118","requestTime":"000000","requestPrice":"500"}}]}}"#
        )
    };
    for (status, state) in inquiry::STATES {
        let Ok(Inquired::Found(sale)) = inquiry::read(200, body(status).as_bytes(), "INIpayTest") else {
            panic!()
        };
        assert_eq!((sale.state, sale.price, sale.oid.as_str()), (state, 2000, "order-1"));
        assert_eq!(sale.cancellable, (state == State::PartiallyCancelled).then_some(500));
        assert_eq!(sale.cancels.iter().map(|c| c.price).collect::<Vec<_>>(), [500, 1000], "oldest first");
    }
    assert!(inquiry::read(200, body("SOMETHING").as_bytes(), "INIpayTest").is_err());
    assert!(inquiry::read(200, body("CANCEL").as_bytes(), "OTHERMID00").is_err());
    let whole = body("CANCEL").replace("partCancelTransInfo", "other");
    let Ok(Inquired::Found(sale)) = inquiry::read(200, whole.as_bytes(), "INIpayTest") else { panic!() };
    let cancel = |price: i64, at_ms: Option<i64>| inquiry::Cancel { tid: None, price, at_ms };
    assert_eq!(sale.cancels, [cancel(2000, Some(1_731_855_600_000))]);
    // What the moment of an account's refund means is not documented.
    let refunded = body("REFUND_COMPLETED").replace("partCancelTransInfo", "other");
    let refunded = refunded.replace("cancelDate", "refundDate").replace("cancelTime", "refundTime");
    let Ok(Inquired::Found(sale)) = inquiry::read(200, refunded.as_bytes(), "INIpayTest") else { panic!() };
    assert_eq!(sale.cancels, [cancel(2000, None)]);
}

#[test]
fn only_a_sale_of_which_nothing_is_held_is_called_already_cancelled() {
    // A net cancel's refusal of that class ends a doubt. 625 and 704 speak of a part: the rest is held.
    for (suffix, class) in
        [("625", Class::Other), ("626", Class::AlreadyCancelled), ("704", Class::Duplicate)]
    {
        for operation in [Operation::NetCancel, Operation::Cancel] {
            for network in ["500", "512", "516"] {
                let code = format!("{network}{suffix}");
                assert_eq!(codes::meaning(&code, operation).class, class, "{code}");
            }
        }
    }
    let cancelled = |suffix: &u32| {
        codes::meaning(&format!("500{suffix:03}"), Operation::NetCancel).class == Class::AlreadyCancelled
    };
    assert_eq!((0..1000).filter(cancelled).collect::<Vec<u32>>(), [626]);
}

#[test]
fn a_refund_on_its_way_is_the_end_of_the_sale_only_if_its_list_says_so() {
    let read = |parts: &str| {
        let body = format!(
            r#"{{"resultCode":"SUCCESS","mid":"INIpayTest","oid":"order-1","tid":"{TID}","price":"2000","paymethod":"VBank","transactionStatus":"WAITING_FOR_REFUND","availablePartCancelPrice":"0","partCancelTransInfo":[{parts}]}}"#
        );
        inquiry::read(200, body.as_bytes(), "INIpayTest")
    };
    let part = |price: i64| {
        format!(r#"{{"tid":"a","requestDate":"20241118","requestTime":"000000","requestPrice":"{price}"}}"#)
    };
    assert!(read("").is_err() && read(&part(500)).is_err());
    let Ok(Inquired::Found(sale)) = read(&format!("{},{}", part(500), part(1500))) else { panic!() };
    assert_eq!(sale.state, State::Cancelled);
}

#[test]
fn a_paid_deposit_is_an_account_though_its_method_is_missing() {
    for (status, kind) in [
        ("DEPOSIT_COMPLETED", Some("virtual_account")),
        ("NON_DEPOSIT", Some("virtual_account")),
        ("APPROVAL", None),
    ] {
        let body = format!(
            r#"{{"resultCode":"SUCCESS","oid":"order-1","tid":"{TID}","price":"2000","transactionStatus":"{status}"}}"#
        );
        let Ok(Inquired::Found(sale)) = inquiry::read(200, body.as_bytes(), "INIpayTest") else { panic!() };
        assert_eq!(sale.method.map(|method| method.kind), kind, "{status}");
    }
}

#[test]
fn only_no_such_sale_is_an_absence() {
    let read = |code: &str| {
        let body = format!(r#"{{"resultCode":"{code}","resultMsg":null}}"#);
        inquiry::read(200, body.as_bytes(), "INIpayTest")
    };
    assert!(matches!(read("500623"), Ok(Inquired::NotFound(_))));
    for code in ["500632", "01", "623", "FAIL"] {
        assert!(matches!(read(code), Ok(Inquired::No(_))), "{code}");
    }
    assert!(read("00").is_err(), "the success of another product");
}

#[test]
fn a_refund_never_holds_a_backslash() {
    let refund = Refund {
        mid: "INIpayTest",
        tid: TID,
        reason: "\"변심\" \\ 교환\n🍵",
        client_ip: "127.0.0.1",
        now_ms: 1_767_193_200_000,
    };
    let body = refund.request(None, None).unwrap().body("H");
    assert_eq!(
        body,
        format!(
            r#"{{"mid":"INIpayTest","type":"refund","timestamp":"20260101000000","clientIp":"127.0.0.1","data":{{"tid":"{TID}","msg":"'변심' / 교환 ?"}},"hashData":"H"}}"#
        )
    );
    let empty = Refund { reason: " ", ..refund };
    assert!(empty.request(None, None).unwrap().body("H").contains(v2::FALLBACK_REASON));
}

#[test]
fn a_part_names_what_is_left_and_an_account_its_service() {
    let refund = Refund {
        mid: "INIpayTest",
        tid: TID,
        reason: "r",
        client_ip: "127.0.0.1",
        now_ms: 1_767_193_200_000,
    };
    let part = PartOfSale { price: 500, left: 0, currency: "KRW", vat: Some(0), tax_free: None };
    let request = refund.request(Some(part), None).unwrap();
    assert_eq!(request.service, Service::PartialRefund);
    assert!(request.body("H").contains(r#""price":"500","confirmPrice":"0","currency":"WON","tax":"0"}"#));
    let account = Account { number: "qwMHVJqsmXKoR+d8wQTS4g==", bank: "88", holder: "홍길동" };
    let request = refund.request(Some(part), Some(&account)).unwrap();
    assert_eq!((request.service, request.service.kind()), (Service::PartialRefundVacct, "partialRefund"));
    assert!(request.service.url().ends_with("/v2/pg/partialRefund/vacct"));
    for tid in ["", "a\"b", "12345678901234567890123456789012345678901"] {
        assert!(Refund { tid, ..refund }.request(None, None).is_err());
    }
    assert!(Refund { client_ip: "::1", ..refund }.request(None, None).is_err());
    assert!(v2::inquiry("INIpayTest", By::Oid("order-1"), "127.0.0.1", -1).is_err());
}

#[test]
fn the_suffix_table_has_each_code_of_the_reference_once() {
    let listed = "050 051 052 055 105 106 108 127 200 201 202 251 252 254 255 257 260 263 400 403 412 431 432 601 606 607 608 \
        609 610 611 613 619 621 622 623 625 626 628 630 631 632 633 634 636 638 640 641 644 645 652 656 659 667 714 685 690 937 \
        699 700 701 703 704 705 706 707 708 709 749 772 826 906 929 963 954";
    for suffix in listed.split_whitespace() {
        let meaning = codes::meaning(&format!("500{suffix}"), Operation::Cancel);
        assert_ne!(meaning, codes::meaning("", Operation::Cancel), "{suffix}");
        assert!(!meaning.sentence.ko.is_empty() && !meaning.sentence.en.is_empty());
    }
    assert_eq!(codes::meaning("500999", Operation::Cancel), codes::meaning("", Operation::Cancel));
}

#[test]
fn the_words_of_a_no_have_a_limit() {
    let body = format!(r#"{{"resultCode":"9999","resultMsg":"{}"}}"#, "가".repeat(9000));
    let Ok(Answer::Declined(no)) = approval::read(200, body.as_bytes()) else { panic!() };
    assert_eq!((no.code(), no.message().chars().count()), ("9999", 500));
}
