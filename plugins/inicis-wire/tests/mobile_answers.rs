//! What comes back from the mobile window and its servers.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use inicis_wire::form::{Form, FormError};
use inicis_wire::idc::{Idc, IdcError};
use inicis_wire::mobile::approval::{self, Answer, Approved, NetCancel};
use inicis_wire::mobile::details;
use inicis_wire::mobile::reply::{self, Reply, ReplyError};
use inicis_wire::{Unclear, codes};

const AUTH: &str = "INIMX_AUTHINIpayTest20261121224500123456";
const TID: &str = "INIMX_CARDINIpayTest20261121224512654321";

fn read(fields: &str) -> Result<Reply, ReplyError> {
    reply::read(&Form::parse(fields.as_bytes()).unwrap(), "order-1", 1004)
}

fn good() -> String {
    format!(
        "P_STATUS=00&P_RMESG1=&P_TID={AUTH}&P_REQ_URL=https%3A%2F%2Fksmobile.inicis.com%2Fsmart%2FpayReq.ini\
         &P_AMT=1004&P_NOTI=order-1&idc_name=ks"
    )
}

#[test]
fn a_whole_result_gives_a_ticket() {
    let Ok(Reply::Authenticated(ticket)) = read(&good()) else { panic!() };
    assert_eq!((ticket.tid.as_str(), ticket.idc), (AUTH, Idc::Ks));
    assert_eq!(ticket.idc.mobile_approval(), "https://ksmobile.inicis.com/smart/payReq.ini");
    assert_eq!(ticket.idc.mobile_net_cancel(), "https://ksmobile.inicis.com/smart/payNetCancel.ini");
}

#[test]
fn the_address_is_one_of_inicis_before_anything_is_called() {
    for url in [
        "http://ksmobile.inicis.com/smart/payReq.ini",
        "https://ksmobile.inicis.com.evil.example/smart/payReq.ini",
        "https://ksmobile.inicis.com/smart/payReq.ini?x=1",
        "https://drmobile.inicis.com/smart/pay_req_url.php",
        "https://ksmobile.inicis.com:8443/smart/payReq.ini",
        "https://evil@ksmobile.inicis.com/smart/payReq.ini",
        "https://fcmobile.inicis.com/smart/payReq.ini",
    ] {
        let fields = good().replace("https%3A%2F%2Fksmobile.inicis.com%2Fsmart%2FpayReq.ini", url);
        assert_eq!(read(&fields), Err(ReplyError::Address(IdcError::Request)), "{url}");
    }
}

#[test]
fn a_result_of_another_order_or_amount_is_forged() {
    assert_eq!(read(&good().replace("order-1", "order-2")), Err(ReplyError::Order));
    assert_eq!(read(&good().replace("P_AMT=1004", "P_AMT=1")), Err(ReplyError::Amount));
    assert_eq!(read(&good().replace("P_AMT=1004", "P_AMT=1004.0")), Err(ReplyError::Amount));
    assert_eq!(read("P_STATUS=01&P_NOTI=order-2"), Err(ReplyError::Order));
}

#[test]
fn doubled_and_missing_fields_are_not_read() {
    let doubled = |name| Err(ReplyError::Form(FormError::Doubled(name)));
    let missing = |name| Err(ReplyError::Form(FormError::Missing(name)));
    assert_eq!(read(&format!("{}&P_TID=x", good())), doubled("P_TID"));
    assert_eq!(read(&format!("{}&P_STATUS=00", good())), doubled("P_STATUS"));
    assert_eq!(read(&good().replace("P_NOTI=order-1", "")), missing("P_NOTI"));
    assert_eq!(read(&good().replace("P_STATUS=00", "P_STATUS=")), missing("P_STATUS"));
    assert_eq!(read(&good().replace(AUTH, "a b")), Err(ReplyError::Tid));
}

#[test]
fn a_result_without_idc_name_is_of_the_address() {
    assert!(matches!(read(&good().replace("&idc_name=ks", "")), Ok(Reply::Authenticated(_))));
}

#[test]
fn a_closed_window_and_a_failure_look_alike_and_are_declined() {
    let Ok(Reply::Declined(no)) = read("P_STATUS=01&P_RMESG1=&P_NOTI=order-1") else { panic!() };
    assert_eq!((no.code.as_str(), no.message.as_str()), ("01", ""));
    // 사용자 in EUC-KR: words in the wrong charset are still words.
    let Ok(Reply::Declined(no)) = read("P_STATUS=01&P_RMESG1=%BB%E7%BF%EB%C0%DA") else { panic!() };
    assert_eq!(no.message, "사용자");
    let Ok(Reply::Declined(no)) = read("P_STATUS=01&P_RMESG1=[MX2003]+x") else { panic!() };
    assert_eq!(no.code, "MX2003");
    let meaning = codes::meaning(&no.code, codes::Operation::Authenticate);
    assert_eq!(meaning.class, codes::Class::NotContracted);
}

fn card() -> String {
    format!(
        "P_STATUS=00&P_AUTH_DT=20261121224512&P_AUTH_NO=30001234&P_RMESG1=성공적으로 처리&P_RMESG2=03&P_TID={TID}\
         &P_FN_CD1=04&P_AMT=1004&P_TYPE=CARD&P_UNAME=홍길동&P_MID=INIpayTest&P_OID=order-1&P_NOTI=order-1\
         &P_NEXT_URL=https://pay.shop.example/return/1&P_MNAME=&P_NOTEURL=&P_CARD_INTEREST=1&P_CARD_PRTC_CODE=1\
         &P_CARD_NUM=45184200****1234&P_CARD_PURCHASE_CODE=11&P_CARD_PURCHASE_NAME=BC카드&P_COUPON_DISCOUNT=100\
         &P_CARD_USEPOINT=0&P_SRC_CODE=O&P_FN_NM=현대카드"
    )
}

fn approved(body: &[u8]) -> Approved {
    match approval::read(200, body) {
        Ok(Answer::Approved(approved)) => *approved,
        other => panic!("{other:?}"),
    }
}

/// Written anew after captured answers of 2016 to 2026: a name with `&&`, a note in JSON and an address with its query stand
/// among the fields as they came; only `P_MERCHANT_RESERVED` is encoded.
#[test]
fn values_that_stand_there_unescaped_hide_nothing_that_decides() {
    let answer = format!(
        "P_STATUS=00&P_AUTH_DT=20261121224512&P_AUTH_NO=&P_RMESG1=성공적으로 처리 하였습니다.&P_RMESG2=00&P_TID={TID}\
         &P_FN_CD1=91&P_AMT=1004&P_TYPE=CARD&P_UNAME=정가&&희나&&인다&P_MID=INIpayTest&P_OID=order-1\
         &P_NOTI={{\"P_OID\":\"order-1\"}}&P_NEXT_URL=https://shop.example/complete?paymentId=order-1\
         &redirectUrl=https%253A%252F%252Fshop.example%252Fcallback&txId=019d6696&P_MNAME=&P_NOTEURL=&P_CARD_MEMBER_NUM=\
         &P_CARD_NUM=*********&P_CARD_ISSUER_CODE=91&P_CARD_PURCHASE_CODE=91&P_CARD_PRTC_CODE=1&P_CARD_INTEREST=0\
         &P_CARD_CHECKFLAG=&P_CARD_ISSUER_NAME=&P_CARD_PURCHASE_NAME=네이버포인트&P_FN_NM=네이버포인트&CARD_CorpFlag=9\
         &P_SRC_CODE=I&P_MERCHANT_RESERVED=dXNlcG9pbnQ9MTAwMDAm%3D&P_CARD_APPLPRICE=1004&P_CARD_USEPOINT=1004\
         &NAVERPOINT_CSHRApplYN=Y&NAVERPOINT_UseFreePoint=0&NAVERPOINT_CSHRApplAmt=1004&EventCode="
    );
    for body in [answer.clone().into_bytes(), encoding_rs::EUC_KR.encode(&answer).0.into_owned()] {
        let sale = approved(&body);
        assert_eq!((sale.tid.as_str(), sale.oid.as_str(), sale.amount), (TID, "order-1", 1004));
        assert_eq!((sale.method.kind, sale.method.provider), ("easy_pay", Some("naverpay")));
        assert_eq!(
            sale.fields.shown("P_NEXT_URL").as_deref(),
            Some("https://shop.example/complete?paymentId=order-1")
        );
        assert_eq!(sale.fields.shown("P_MERCHANT_RESERVED").as_deref(), Some("dXNlcG9pbnQ9MTAwMDAm="));
        assert_eq!(sale.fields.shown("P_FN_NM").as_deref(), Some("네이버포인트"));
    }
}

#[test]
fn an_approval_is_read_in_utf_8_in_euc_kr_and_encoded() {
    let euc_kr = encoding_rs::EUC_KR.encode(&card()).0.into_owned();
    let encoded = card().replace("현대카드", "%ED%98%84%EB%8C%80%EC%B9%B4%EB%93%9C");
    for body in [card().into_bytes(), euc_kr, encoded.into_bytes()] {
        let sale = approved(&body);
        assert_eq!((sale.tid.as_str(), sale.oid.as_str(), sale.amount), (TID, "order-1", 1004));
        assert_eq!((sale.method.kind, sale.method.provider), ("easy_pay", Some("kakaopay")));
        assert_eq!(sale.approved_at_ms, Some(1_795_268_712_000));
        let read = details::of_mobile(&sale.fields);
        let issuer = read.issuer.unwrap();
        assert_eq!((issuer.code.as_str(), issuer.kftc, issuer.ko.as_str()), ("04", "367", "현대카드"));
        assert_eq!(read.acquirer.map(|a| (a.kftc, a.en)), Some(("361", "BC Card".to_owned())));
        assert_eq!(
            (read.instalments, read.interest_free, read.partial_cancel),
            (Some(3), Some(true), Some(true))
        );
        assert_eq!((read.points, read.discount, read.wallet), (None, Some(100), Some("kakaopay")));
        assert_eq!(read.approval_number.as_deref(), Some("30001234"));
    }
}

#[test]
fn an_approval_of_another_merchant_is_unclear() {
    assert!(approved(card().as_bytes()).verify("INIpayTest").is_ok());
    assert!(approved(card().as_bytes()).verify("OTHERMID00").is_err());
}

#[test]
fn what_is_not_clearly_yes_or_no_is_unclear() {
    let cut = card().find("P_OID").unwrap();
    for body in [
        String::new(),
        " \r\n".to_owned(),
        "<html><body>error</body></html>".to_owned(),
        "https://ksmobile.inicis.com/smart/payReq.ini".to_owned(),
        r#"{"P_STATUS":"00"}"#.to_owned(),
        card()[..cut].to_owned(),
        card().replace("P_STATUS=00", "P_STATUS=02"),
        card().replace("P_AMT=1004", "P_AMT=1004.0"),
        card().replace("P_TYPE=CARD", "P_TYPE=NEW"),
        format!("{}&P_AMT=1", card()),
        format!("{}&P_STATUS=01", card()),
    ] {
        assert!(matches!(approval::read(200, body.as_bytes()), Err(Unclear(_))), "{body}");
    }
    assert!(approval::read(500, card().as_bytes()).is_err());
}

#[test]
fn an_explicit_no_is_a_no() {
    for words in ["MID와 TID가 일치하지 않습니다", "필수값 누락", ""] {
        let body = format!("P_STATUS=01&P_RMESG1={words}");
        let Ok(Answer::Declined(no)) = approval::read(200, body.as_bytes()) else { panic!() };
        assert_eq!((no.code(), no.message()), ("01", words));
    }
}

#[test]
fn a_no_has_the_code_that_its_words_name_and_no_other() {
    for (words, code) in [
        ("[500644] 1회 한도 초과", "500644"),
        ("한도 초과(512644)", "512644"),
        ("MX1002: 일시 오류", "MX1002"),
        // Neither a network nor a suffix that the table has, nor a part of a longer number.
        ("999644", "01"),
        ("500999", "01"),
        ("15006441", "01"),
        ("주문 20261122", "01"),
        ("", "01"),
    ] {
        let body = format!("P_STATUS=01&P_RMESG1={words}");
        let Ok(Answer::Declined(no)) = approval::read(200, body.as_bytes()) else { panic!() };
        assert_eq!((no.code(), no.message()), (code, words));
    }
}

#[test]
fn a_virtual_account_is_issued_with_its_deadline() {
    let body = format!(
        "P_STATUS=00&P_TID={}&P_TYPE=VBANK&P_MID=INIpayTest&P_OID=order-1&P_AMT=1004&P_AUTH_DT=20261121224512\
         &P_VACT_NUM=56211102693500 &P_VACT_DATE=20261231&P_VACT_TIME=235900&P_VACT_NAME=(주)케이지&P_VACT_BANK_CODE=88\
         &P_FN_NM=신한은행",
        TID.replace("CARD", "VBNK")
    );
    let sale = approved(body.as_bytes());
    assert_eq!(sale.method.kind, "virtual_account");
    let account = details::account(&sale.fields).unwrap();
    assert_eq!((account.number.as_str(), account.holder.as_str()), ("56211102693500", "(주)케이지"));
    assert_eq!((account.bank.code.as_str(), account.bank.kftc), ("88", "088"));
    assert_eq!(account.deadline_ms, Some(1_798_729_140_000));
}

#[test]
fn a_transfer_shows_its_bank_and_cash_receipt() {
    let body = format!(
        "P_STATUS=00&P_TID={}&P_TYPE=BANK&P_MID=INIpayTest&P_OID=order-1&P_AMT=1004&P_FN_CD1=04&P_FN_NM=국민은행\
         &P_CSHR_CODE=220000&P_CSHR_TYPE=1&P_CSHR_AUTH_NO=123456789&P_CSHR_DT=20261121224512",
        TID.replace("CARD", "BANK")
    );
    let read = details::of_mobile(&approved(body.as_bytes()).fields);
    assert_eq!(read.issuer.map(|i| (i.kftc, i.ko)), Some(("004", "국민은행".to_owned())), "a bank, no card");
    let receipt = read.cash_receipt.unwrap();
    assert_eq!((receipt.kind, receipt.number.as_deref()), ("business_proof", Some("123456789")));
    assert_eq!(receipt.at_ms, Some(1_795_268_712_000));
}

#[test]
fn a_telephone_number_is_shown_by_its_ends() {
    let body = format!(
        "P_STATUS=00&P_TID={TID}&P_TYPE=MOBILE&P_MID=INIpayTest&P_OID=order-1&P_AMT=1004&P_HPP_NUM=01012345678\
         &P_HPP_CORP=SKT"
    );
    let sale = approved(body.as_bytes());
    assert_eq!(sale.method.kind, "phone");
    let read = details::of_mobile(&sale.fields);
    assert_eq!(read.masked_number.as_deref(), Some("010******78"));
    assert_eq!(read.issuer, None);
}

#[test]
fn a_net_cancel_names_the_authentication_and_is_signed_anew() {
    let ask =
        NetCancel { mid: "INIpayTest", tid: AUTH, oid: "order-1", amount: 1004, now_ms: 1_767_193_200_123 };
    let expected = format!(
        "P_TID={AUTH}&P_MID=INIpayTest&P_AMT=1004&P_OID=order-1&P_TIMESTAMP=1767193200123&P_CHKFAKE=a%2Bb%3D"
    );
    assert_eq!(ask.body("a+b=".into()), expected);
    assert_eq!(approval::read_net_cancel(200, b"P_STATUS=00&P_RMESG1=&P_TID=x"), Ok(None));
    assert_eq!(approval::read_net_cancel(200, b"P_STATUS=01&P_RMESG1=no").unwrap().unwrap().message(), "no");
    assert!(approval::read_net_cancel(200, b"<html>").is_err());
    assert!(approval::read_net_cancel(504, b"P_STATUS=00").is_err());
}
