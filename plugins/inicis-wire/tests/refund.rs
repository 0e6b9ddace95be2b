//! Refunds of both versions: the very fields, and that they carry the vectors' hashes.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use inicis_wire::clock;
use inicis_wire::iniapi::v1;
use inicis_wire::iniapi::v2::{Account, PartOfSale, Refund};
use inicis_wire::order::Unfit;
use inicis_wire::recipe::{Part, Recipe, hex};
use inicis_wire::{banks, cards, codes, methods, receipt};
use serde_json::Value;
use sha2::{Digest, Sha512};

const TID: &str = "StdpayCARDINIpayTest20241117211120693165";

fn refund<'a>(tid: &'a str, now_ms: i64) -> Refund<'a> {
    Refund { mid: "INIpayTest", tid, reason: "변심 & 교환", client_ip: "192.0.2.10", now_ms }
}

fn part(price: i64, left: i64) -> PartOfSale {
    PartOfSale { price, left, currency: "KRW", vat: Some(0), tax_free: Some(10) }
}

fn value(recipe: &Recipe, key: &str) -> String {
    let text: String = recipe
        .parts
        .iter()
        .map(|part| match part {
            Part::Text(text) => text.as_str(),
            Part::Secret(_) => key,
        })
        .collect();
    hex(&Sha512::digest(text))
}

#[test]
fn every_refund_of_v1_carries_the_vectors_hash() {
    let file: Value = serde_json::from_str(include_str!("vectors/inicis-vectors.json")).unwrap();
    let mut seen = 0;
    for formula in ["refund", "partialRefund", "refund.vacct", "partialRefund.vacct"] {
        for vector in file["formulas"][format!("iniapi.v1.{formula}")]["vectors"].as_array().unwrap() {
            let input = &vector["input"];
            let t = |name: &str| input[name].as_str();
            let stamp = t("timestamp").unwrap();
            let ask = Refund {
                mid: t("mid").unwrap(),
                tid: t("tid").unwrap(),
                reason: "",
                client_ip: t("clientIp").unwrap(),
                now_ms: clock::from_kst14(stamp).unwrap(),
            };
            let part = t("price").map(|price| PartOfSale {
                price: price.parse().unwrap(),
                left: t("confirmPrice").unwrap().parse().unwrap(),
                currency: "KRW",
                vat: None,
                tax_free: None,
            });
            let account =
                t("refundAcctNum").map(|number| Account { number, bank: "88", holder: "홍길동" });
            let made = v1::Request::new(&ask, t("paymethod").unwrap(), part, account.as_ref()).unwrap();
            let output = vector["output"].as_str().unwrap();
            assert_eq!(value(&made.hash(), t("INIAPIKey").unwrap()), output, "{input}");
            assert!(made.body(output).ends_with(&format!("&hashData={output}")));
            seen += 1;
        }
    }
    assert_eq!(seen, 15);
}

#[test]
fn a_refund_of_v1_is_a_form_in_utf_8() {
    let now = clock::from_kst14("20241118120000").unwrap();
    let account = Account { number: "a+b/c==", bank: "88", holder: "홍길동" };
    let made = v1::Request::new(&refund(TID, now), "Vacct", Some(part(400, 600)), Some(&account)).unwrap();
    let expected = format!(
        "type=PartialRefund&paymethod=Vacct&timestamp=20241118120000&clientIp=192.0.2.10&mid=INIpayTest&tid={TID}\
         &msg=%EB%B3%80%EC%8B%AC+%26+%EA%B5%90%ED%99%98&price=400&confirmPrice=600&currency=WON&tax=0&taxFree=10\
         &refundAcctNum=a%2Bb%2Fc%3D%3D&refundBankCode=88&refundAcctName=%ED%99%8D%EA%B8%B8%EB%8F%99&hashData=H"
    );
    assert_eq!(made.body("H"), expected);
}

#[test]
fn a_whole_refund_names_no_amount() {
    let now = clock::from_kst14("20241118120000").unwrap();
    let body = v1::Request::new(&refund(TID, now), v1::UNPAID_ACCOUNT, None, None).unwrap().body("H");
    assert!(body.starts_with("type=Refund&paymethod=GVacct&"), "{body}");
    assert!(!body.contains("price") && !body.contains("refundAcct"), "{body}");
}

#[test]
fn what_cannot_be_a_refund_is_not_written() {
    let now = clock::from_kst14("20241118120000").unwrap();
    let wrong = |ask: &Refund<'_>| matches!(v1::Request::new(ask, "Card", None, None), Err(Unfit(_)));
    assert!(wrong(&refund("no tid", now)));
    assert!(wrong(&refund(TID, -1)));
    assert!(wrong(&Refund { client_ip: "::1", ..refund(TID, now) }));
}

#[test]
fn a_cancel_that_comes_too_late_says_what_to_do() {
    for code in ["500667", "512714", "501667"] {
        let meaning = codes::meaning(code, codes::Operation::Cancel);
        assert_eq!(meaning.class, codes::Class::TooLate);
        assert!(meaning.sentence.ko.contains("상점관리자") && meaning.sentence.en.contains("merchant admin"));
    }
}

#[test]
fn institutions_meet_kftc_both_ways() {
    for (kftc, ours) in banks::KFTC {
        assert_eq!((banks::of_kftc(kftc), banks::kftc(ours)), (Some(ours), kftc));
        assert!(ours == "45" || banks::by_code(ours).is_some(), "{ours}");
    }
    assert_eq!((banks::of_kftc("88"), banks::of_kftc(""), banks::kftc("D1")), (None, None, ""));
    assert_eq!(
        (cards::wished("366"), cards::wished("14"), cards::wished("")),
        (Some("14"), Some("14"), None)
    );
    for card in cards::CARDS {
        let same = cards::CARDS.iter().filter(|other| !other.kftc.is_empty() && other.kftc == card.kftc);
        assert!(same.count() <= 1, "{}", card.kftc);
    }
    assert!(cards::KOREAN.iter().all(|code| cards::by_code(code).is_some()));
}

#[test]
fn a_receipt_is_linked_only_where_a_page_is_documented() {
    for (kind, cash, page) in [
        ("card", false, Some("mCmReceipt_head.jsp")),
        ("easy_pay", false, Some("mCmReceipt_head.jsp")),
        ("virtual_account", false, Some("mCmReceipt_head.jsp")),
        ("transfer", true, Some("Cash_mCmReceipt.jsp")),
        ("transfer", false, None),
        ("phone", false, None),
        ("gift_voucher", false, None),
    ] {
        let url = receipt::url(kind, cash, TID);
        assert_eq!(url.is_some(), page.is_some(), "{kind}");
        assert!(url.is_none_or(|url| url.contains(page.unwrap()) && url.contains(TID)), "{kind}");
        assert_eq!(receipt::url(kind, cash, "a\"b"), None);
    }
}

/// The guide's methods (seed 002), `applepay` of `portone.md §3.1`, and how each is opened here.
#[test]
fn the_guides_sixteen_methods_are_opened_as_the_readme_says() {
    for (kind, provider, pc, mobile) in [
        ("card", None, Some("Card"), Some("CARD")),
        ("easy_pay", Some("samsungpay"), Some("onlyssp"), Some("CARD")),
        ("easy_pay", Some("kakaopay"), Some("onlykakaopay"), Some("CARD")),
        ("easy_pay", Some("ssgpay"), Some("onlyssgcard"), Some("CARD")),
        ("easy_pay", Some("chai"), None, None),
        ("transfer", None, Some("DirectBank"), Some("BANK")),
        ("virtual_account", None, Some("VBank"), Some("VBANK")),
        ("phone", None, Some("HPP"), Some("MOBILE")),
        ("easy_pay", Some("payco"), Some("onlypayco"), Some("CARD")),
        ("easy_pay", Some("tosspay"), Some("onlytosspay"), Some("CARD")),
        ("easy_pay", Some("lpay"), Some("onlylpay"), Some("CARD")),
        ("easy_pay", Some("naverpay"), Some("onlynaverpay"), Some("CARD")),
        ("gift_voucher", Some("cultureland"), Some("Culture"), Some("CULTURE")),
        ("gift_voucher", Some("smart_culture"), Some("DGCL"), None),
        ("gift_voucher", Some("happymoney"), Some("HPMN"), Some("HPMN")),
        ("gift_voucher", Some("booknlife"), Some("Bcsh"), None),
        ("easy_pay", Some("applepay"), None, None),
    ] {
        let row = methods::requested(kind, provider).unwrap();
        assert_eq!(row.pc.map(|(name, _)| name), pc, "{kind} {provider:?}");
        assert_eq!(row.mobile.map(|(name, _)| name), mobile, "{kind} {provider:?}");
    }
    assert_eq!(methods::requested("barter", None), None);
}
