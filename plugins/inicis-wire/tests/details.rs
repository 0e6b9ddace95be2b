//! What a PC approval shows of each method.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use inicis_wire::json::Object;
use inicis_wire::pc::approval::{self, Answer, Approved};
use inicis_wire::pc::details;

fn approved(method: &str, extra: &serde_json::Value) -> Approved {
    let mut answer = serde_json::json!({
        "resultCode": "0000", "tid": "StdpayDBNKINIpayTest20241117211120693165", "mid": "INIpayTest",
        "MOID": "order-1", "TotPrice": "2000", "payMethod": method, "applDate": "20241117", "applTime": "211120",
        "authSignature": "abc"
    });
    for (name, value) in extra.as_object().unwrap() {
        answer[name] = value.clone();
    }
    match approval::read(200, answer.to_string().as_bytes()) {
        Ok(Answer::Approved(approved)) => *approved,
        other => panic!("{other:?}"),
    }
}

fn fields(method: &str, extra: &serde_json::Value) -> Object {
    approved(method, extra).fields
}

#[test]
fn each_pay_method_is_one_of_ours() {
    for (answered, kind, provider) in [
        ("Card", "card", None),
        ("VCard", "card", None),
        ("DirectBank", "transfer", None),
        ("iDirectBank", "transfer", None),
        ("VBank", "virtual_account", None),
        ("HPP", "phone", None),
        ("Culture", "gift_voucher", Some("cultureland")),
        ("DGCL", "gift_voucher", Some("smart_culture")),
        ("Bookcash", "gift_voucher", Some("booknlife")),
        ("HPMN", "gift_voucher", Some("happymoney")),
        ("OCBPoint", "points", Some("ok_cashbag")),
    ] {
        let method = approved(answered, &serde_json::json!({})).method;
        assert_eq!((method.kind, method.provider), (kind, provider), "{answered}");
    }
}

#[test]
fn a_transfer_shows_its_bank_and_its_cash_receipt() {
    for result in ["CSHR_ResultCode", "CSHRResultCode"] {
        let mut extra = serde_json::json!({
            "ACCT_BankCode": "88", "CSHR_Type": "0", "CSHR_ApplNum": "123456789", "CSHR_ApplDate": "20241117",
            "CSHR_ApplTime": "211121"
        });
        extra[result] = "220000".into();
        let read = details::of_pc(&fields("DirectBank", &extra));
        assert_eq!(read.issuer.map(|i| (i.kftc, i.ko)), Some(("088", "신한은행".to_owned())));
        let receipt = read.cash_receipt.unwrap();
        assert_eq!((receipt.kind, receipt.number.as_deref()), ("income_deduction", Some("123456789")));
        assert_eq!(receipt.at_ms, Some(1_731_845_481_000));
    }
}

#[test]
fn a_cash_receipt_that_was_not_made_is_not_shown() {
    let extra = serde_json::json!({"CSHR_ResultCode": "220001", "CSHR_Type": "0", "CSHR_ApplNum": ""});
    assert_eq!(details::of_pc(&fields("DirectBank", &extra)).cash_receipt, None);
    let extra = serde_json::json!({"CSHR_ResultCode": "220000", "CSHR_Type": "7"});
    assert_eq!(details::of_pc(&fields("DirectBank", &extra)).cash_receipt, None);
}

#[test]
fn an_account_has_its_bank_number_holder_and_deadline() {
    let extra = serde_json::json!({
        "VACT_Num": "56211102693500 ", "VACT_BankCode": "04", "vactBankName": "국민은행", "VACT_Name": "가게",
        "VACT_InputName": "홍길동", "VACT_Date": "20241130", "VACT_Time": "235959"
    });
    let account = details::account(&fields("VBank", &extra)).unwrap();
    assert_eq!((account.number.as_str(), account.holder.as_str()), ("56211102693500", "가게"));
    assert_eq!((account.bank.kftc, account.bank.ko.as_str()), ("004", "국민은행"));
    assert_eq!(account.deadline_ms, Some(1_732_978_799_000));
    assert_eq!(details::account(&fields("VBank", &serde_json::json!({}))), None);
}

#[test]
fn a_bill_shows_the_ends_of_its_number() {
    let extra = serde_json::json!({"HPP_Num": "010-1234-5678", "HPP_Corp": "SKT"});
    let read = details::of_pc(&fields("HPP", &extra));
    assert_eq!(read.masked_number.as_deref(), Some("010******78"));
    assert!(read.more.contains(&("HPP_Corp".to_owned(), "SKT".to_owned())));
}

#[test]
fn points_and_discounts_change_no_amount() {
    let extra =
        serde_json::json!({"CARD_UsePoint": "300", "CARD_CouponDiscount": "200", "CARD_ApplPrice": "1500"});
    let sale = approved("Card", &extra);
    assert_eq!(sale.total, 2000);
    let read = details::of_pc(&sale.fields);
    assert_eq!((read.points, read.discount), (Some(300), Some(200)));
}
