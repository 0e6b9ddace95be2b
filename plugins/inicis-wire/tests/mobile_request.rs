//! The mobile form: what is sent, cut, replaced, refused.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use inicis_wire::form::Charset;
use inicis_wire::mobile::options::{self, Opening, Options};
use inicis_wire::mobile::request::{self, Opened, Phone, Wanted};
use inicis_wire::options::{OptionError, PhoneGoods, Wishes};
use inicis_wire::order::Unfit;
use inicis_wire::recipe::Part;

const RESERVED: &str =
    "centerCd=Y&amt_hash=Y&twotrs_isp=Y&block_isp=Y&twotrs_isp_noti=N&twotrs_bank=Y&apprun_check=Y";

fn wanted() -> Wanted<'static> {
    Wanted {
        mid: "INIpayTest",
        order_ref: "order-1",
        amount: 1004,
        currency: "KRW",
        now_ms: 1_767_193_200_123,
        goods: "녹차 한 통",
        buyer_name: Some("홍길동"),
        buyer_phone: Some("010-1234-5678"),
        buyer_email: Some("hong@shop.example"),
        language: "ko",
        return_url: "https://pay.shop.example/return/1",
        tax_free: None,
        vat: None,
        window: phone(),
    }
}

fn phone() -> Phone<'static> {
    Phone {
        payment: "CARD",
        reserved: "",
        notify_url: "https://pay.shop.example/notify/1",
        results: Charset::Utf8,
        options: Options::default(),
    }
}

/// An order with another window.
fn with(window: Phone<'static>) -> Wanted<'static> {
    Wanted { window, ..wanted() }
}

fn form(opened: Opened) -> Vec<(String, String)> {
    opened.into_fields("HASH".into()).into_iter().map(|f| (f.name.into_owned(), f.value)).collect()
}

fn value(opened: &Opened, name: &str) -> Option<String> {
    form(opened.clone()).into_iter().find(|(n, _)| n == name).map(|(_, value)| value)
}

fn refused(wanted: &Wanted<'_>) -> bool {
    matches!(request::open(wanted), Err(Unfit(_)))
}

fn opening(payment: &'static str) -> Opening<'static> {
    Opening {
        payment,
        phone_goods: PhoneGoods::Physical,
        app_scheme: "",
        app_base: "",
        now_ms: 1_767_193_200_123,
    }
}

fn option(name: &str, value: &str) -> Result<Options, OptionError> {
    options::write(&Wishes::read([(name, value)])?, opening("CARD"))
}

#[test]
fn the_mobile_form_has_these_fields_in_this_order() {
    let opened = request::open(&wanted()).unwrap();
    assert!(opened.warnings.is_empty(), "{:?}", opened.warnings);
    let expected = [
        ("P_INI_PAYMENT", "CARD"),
        ("P_MID", "INIpayTest"),
        ("P_OID", "order-1"),
        ("P_AMT", "1004"),
        ("P_GOODS", "녹차 한 통"),
        ("P_UNAME", "홍길동"),
        ("P_NEXT_URL", "https://pay.shop.example/return/1"),
        ("P_MOBILE", "010-1234-5678"),
        ("P_EMAIL", "hong@shop.example"),
        ("P_CHARSET", "utf8"),
        ("P_NOTI", "order-1"),
        ("P_TIMESTAMP", "1767193200123"),
        ("P_CHKFAKE", "HASH"),
        ("P_RESERVED", RESERVED),
    ];
    assert_eq!(form(opened), expected.map(|(n, v)| (n.to_owned(), v.to_owned())));
}

#[test]
fn the_hash_is_over_the_very_fields_of_the_form() {
    let opened = request::open(&wanted()).unwrap();
    let recipe = opened.chkfake();
    assert_eq!(recipe.parts[0], Part::Text("1004order-11767193200123".into()));
    assert_eq!(recipe.parts[1], Part::Secret("mobile_hash_key"));
}

#[test]
fn a_virtual_account_says_where_its_deposit_is_reported() {
    let account = request::open(&with(Phone { payment: "VBANK", ..phone() })).unwrap();
    assert_eq!(value(&account, "P_NOTI_URL").as_deref(), Some("https://pay.shop.example/notify/1"));
    assert_eq!(value(&request::open(&wanted()).unwrap(), "P_NOTI_URL"), None);
}

#[test]
fn a_wallet_is_called_in_p_reserved() {
    let opened =
        request::open(&Wanted { amount: 900, ..with(Phone { reserved: "d_kakaopay=Y", ..phone() }) })
            .unwrap();
    assert_eq!(value(&opened, "P_RESERVED"), Some(format!("{RESERVED}&below1000=Y&d_kakaopay=Y")));
}

#[test]
fn p_charset_names_the_charset_of_the_results_and_the_form_is_euc_kr_with_either() {
    for (results, name) in [(Charset::Utf8, "utf8"), (Charset::EucKr, "euc-kr")] {
        // 15 syllables are 30 bytes in EUC-KR and 45 in UTF-8; 40 fit into the goods.
        let (buyer, goods) = ("가".repeat(15), "나".repeat(40));
        let wanted = Wanted { buyer_name: Some(&buyer), goods: &goods, ..with(Phone { results, ..phone() }) };
        let opened = request::open(&wanted).unwrap();
        assert_eq!(value(&opened, "P_CHARSET").as_deref(), Some(name));
        assert_eq!(value(&opened, "P_UNAME").as_deref(), Some(buyer.as_str()));
        assert_eq!(value(&opened, "P_GOODS").as_deref(), Some(goods.as_str()));
        assert!(opened.warnings.is_empty(), "{:?}", opened.warnings);
    }
    assert_eq!(request::ACCEPT_CHARSET, "euc-kr");
    let long = request::open(&Wanted { buyer_name: Some(&"가".repeat(16)), ..wanted() }).unwrap();
    assert_eq!(value(&long, "P_UNAME"), Some(format!("{}...", "가".repeat(13))));
}

#[test]
fn a_field_that_the_shop_adds_holds_only_what_the_form_can_carry() {
    let given = r#"{"mobile":{"P_MNAME":"작은 가게\u00a0🛒&P_AMT=1"}}"#;
    let options = option("bypass", given).unwrap();
    let opened = request::open(&with(Phone { options, ..phone() })).unwrap();
    assert_eq!(value(&opened, "P_MNAME").as_deref(), Some("작은 가게 ? P_AMT 1"));
    assert_eq!(opened.warnings.len(), 2, "{:?}", opened.warnings);
}

#[test]
fn a_name_cannot_end_its_field_in_the_text_answer() {
    let opened = request::open(&Wanted { buyer_name: Some("a&P_AMT=1"), ..wanted() }).unwrap();
    assert_eq!(value(&opened, "P_UNAME").as_deref(), Some("a P_AMT 1"));
    assert_eq!(opened.warnings.len(), 1);
}

#[test]
fn a_buyer_without_telephone_and_mail_is_no_reason_to_make_one_up() {
    let opened = request::open(&Wanted { buyer_phone: None, buyer_email: Some("x"), ..wanted() }).unwrap();
    assert_eq!((value(&opened, "P_MOBILE"), value(&opened, "P_EMAIL")), (None, None));
}

#[test]
fn what_inicis_refuses_on_a_phone_is_refused_before() {
    for amount in [0, -1, 100_000_000] {
        assert!(refused(&Wanted { amount, ..wanted() }), "{amount}");
    }
    assert!(refused(&Wanted { currency: "USD", ..wanted() }));
    assert!(refused(&Wanted { order_ref: "a b", ..wanted() }));
    assert!(refused(&Wanted { now_ms: 1, ..wanted() }));
    assert!(refused(&Wanted { return_url: "/return", ..wanted() }));
    assert!(refused(&Wanted { vat: Some(101), ..wanted() }));
}

#[test]
fn tax_parts_and_a_zero_rate_are_sent_as_given() {
    let opened = request::open(&Wanted { vat: Some(0), tax_free: Some(0), ..wanted() }).unwrap();
    assert_eq!(value(&opened, "P_TAX").as_deref(), Some("0"));
    assert_eq!(value(&opened, "P_TAXFREE").as_deref(), Some("0"));
}

#[test]
fn options_become_mobile_fields() {
    let reserved = |word: &str| format!("{RESERVED}&{word}");
    for (name, given, field, sent) in [
        ("card_quota", "[2,3,12]", "P_QUOTABASE", "01:02:03:12".to_owned()),
        ("card_quota", "[]", "P_QUOTABASE", "01".to_owned()),
        ("allowed_cards", r#"["366","04"]"#, "P_ONLY_CARDCODE", "14:04".to_owned()),
        ("direct_card", "14", "P_CARD_OPTION", "selcode=14".to_owned()),
        ("direct_card", r#"{"code":"367","quota":0}"#, "P_RESERVED", reserved("d_card=04&d_quota=0")),
        (
            "interest_free",
            r#"{"11":[2,3],"06":[3,6]}"#,
            "P_RESERVED",
            reserved("merc_noint=Y&noint_quota=11-2:3^06-3:6"),
        ),
        ("service_period", "M2", "P_OFFER_PERIOD", "M2".to_owned()),
        ("service_period", "20260101-20261231", "P_OFFER_PERIOD", "2026010120261231".to_owned()),
        ("card_points", "true", "P_RESERVED", reserved("cp_yn=Y")),
        ("no_easy_pay", "true", "P_RESERVED", reserved("noeasypay=Y")),
        ("deposit_deadline", "202612312350", "P_VBANK_DT", "20261231".to_owned()),
        ("deposit_deadline", "202612312350", "P_VBANK_TM", "2350".to_owned()),
        ("deposit_cash_receipt", "true", "P_RESERVED", reserved("vbank_receipt=Y")),
        ("transfer_cash_receipt", "false", "P_RESERVED", reserved("bank_receipt=N")),
        ("app_scheme", "shop://", "P_RESERVED", reserved("app_scheme=shop://")),
        ("app_base", "ON", "P_APP_BASE", "ON".to_owned()),
        ("logo_url", "https://shop.example/l.png", "P_MLOGO_IMAGE", "https://shop.example/l.png".to_owned()),
        (
            "bypass",
            r#"{"mobile":{"P_RESERVED":"iosapp=Y&cardshowopt=04:6"}}"#,
            "P_RESERVED",
            reserved("iosapp=Y&cardshowopt=04:6"),
        ),
        ("bypass", r#"{"mobile":{"P_MNAME":"가게"}}"#, "P_MNAME", "가게".to_owned()),
    ] {
        let opened =
            request::open(&with(Phone { options: option(name, given).unwrap(), ..phone() })).unwrap();
        assert_eq!(value(&opened, field), Some(sent), "{name} {given}");
    }
}

#[test]
fn what_a_phone_cannot_follow_is_told() {
    for (name, given) in [("skin", "#C1272C"), ("logo_2nd", "https://shop.example/l.png")] {
        assert_eq!(option(name, given).unwrap().warnings.len(), 1, "{name}");
    }
    let english = request::open(&Wanted { language: "en", ..wanted() }).unwrap();
    assert_eq!(english.warnings.len(), 1);
}

#[test]
fn a_bypass_never_sets_what_says_who_is_paid_what() {
    for fields in [
        r#"{"P_AMT":"1"}"#,
        r#"{"p_amt":"1"}"#,
        r#"{"P_NEXT_URL":"https://evil.example"}"#,
        r#"{"P_RETURN_URL":"https://evil.example"}"#,
        r#"{"P_CHKFAKE":"x"}"#,
        r#"{"P_NOTI":"x"}"#,
        r#"{"P_RESERVED":"amt_hash=N"}"#,
        r#"{"P_RESERVED":"a=b&useescrow=Y"}"#,
        r#"{"P_RESERVED":"twotrs_isp=N"}"#,
        r#"{"P_RESERVED":"iosapp=Y&iosapp=N"}"#,
    ] {
        let given = format!(r#"{{"mobile":{fields}}}"#);
        assert!(matches!(option("bypass", &given), Err(OptionError::Value("bypass", _))), "{fields}");
    }
}

#[test]
fn phone_payment_says_what_is_sold() {
    for (given, digit) in [(None, "2"), (Some(("phone_goods", "digital")), "1")] {
        let options = options::write(&Wishes::read(given).unwrap(), opening("MOBILE")).unwrap();
        let opened = request::open(&with(Phone { payment: "MOBILE", options, ..phone() })).unwrap();
        assert_eq!(value(&opened, "P_HPP_METHOD").as_deref(), Some(digit));
    }
}

#[test]
fn the_payments_app_wins_over_the_channels() {
    let channel = Opening { app_scheme: "channel://", app_base: "ON", ..opening("CARD") };
    let of = |given| options::write(&Wishes::read(given).unwrap(), channel).unwrap();
    assert_eq!(of(None).reserved, ["app_scheme=channel://"]);
    assert_eq!(of(Some(("app_scheme", "shop://"))).reserved, ["app_scheme=shop://"]);
    assert_eq!(of(None).fields[0].name, "P_APP_BASE");
}
