//! The form of the window: what is cut, replaced, refused.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use inicis_wire::form::{Charset, Field};
use inicis_wire::options::{OptionError, PhoneGoods, Wishes};
use inicis_wire::order::{FALLBACK_EMAIL, FALLBACK_NAME, FALLBACK_PHONE, Unfit};
use inicis_wire::pc::options::{self, Opening, Options};
use inicis_wire::pc::request::{self, Opened, Page, Wanted};
use inicis_wire::text;

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
        window: page(),
    }
}

fn page() -> Page<'static> {
    Page {
        methods: "Card",
        close_url: "https://pay.shop.example/return/1/close",
        page_origin: "https://pay.shop.example",
        options: Options::default(),
    }
}

/// An order with another window.
fn with(window: Page<'_>) -> Wanted<'_> {
    Wanted { window, ..wanted() }
}

fn fields(opened: Opened) -> Vec<Field> {
    opened.into_fields("S".into(), "V".into(), "M".into())
}

fn value(opened: &Opened, name: &str) -> String {
    fields(opened.clone()).iter().find(|f| f.name == name).map(|f| f.value.clone()).unwrap_or_default()
}

fn refused(wanted: &Wanted<'_>) -> bool {
    matches!(request::open(wanted), Err(Unfit(_)))
}

#[test]
fn the_form_has_these_fields_in_this_order() {
    let opened = request::open(&wanted()).unwrap();
    assert!(opened.warnings.is_empty(), "{:?}", opened.warnings);
    let form: Vec<(String, String)> =
        fields(opened).into_iter().map(|f| (f.name.into_owned(), f.value)).collect();
    let expected = [
        ("version", "1.0"),
        ("gopaymethod", "Card"),
        ("mid", "INIpayTest"),
        ("oid", "order-1"),
        ("price", "1004"),
        ("timestamp", "1767193200123"),
        ("use_chkfake", "Y"),
        ("signature", "S"),
        ("verification", "V"),
        ("mKey", "M"),
        ("currency", "WON"),
        ("goodname", "녹차 한 통"),
        ("buyername", "홍길동"),
        ("buyertel", "010-1234-5678"),
        ("buyeremail", "hong@shop.example"),
        ("returnUrl", "https://pay.shop.example/return/1"),
        ("closeUrl", "https://pay.shop.example/return/1/close"),
        ("charset", "UTF-8"),
        ("languageView", "ko"),
        ("acceptmethod", "centerCd(Y)"),
    ];
    assert_eq!(form, expected.map(|(n, v)| (n.to_owned(), v.to_owned())));
}

#[test]
fn a_buyer_who_is_not_named_is_replaced_with_a_warning() {
    let opened =
        request::open(&Wanted { buyer_name: None, buyer_phone: None, buyer_email: None, ..wanted() })
            .unwrap();
    assert_eq!(value(&opened, "buyername"), FALLBACK_NAME);
    assert_eq!(value(&opened, "buyertel"), FALLBACK_PHONE);
    assert_eq!(value(&opened, "buyeremail"), FALLBACK_EMAIL);
    assert_eq!(opened.warnings.len(), 3);
}

#[test]
fn telephone_numbers_keep_digits_and_dashes() {
    for (typed, sent, warned) in [
        ("010-1234-5678", "010-1234-5678", false),
        (" 01012345678 ", "01012345678", false),
        ("+82 10 1234 5678", "821012345678", true),
        ("(02) 123.4567", "021234567", true),
        ("none", FALLBACK_PHONE, true),
        ("---", FALLBACK_PHONE, true),
        ("123456789012345678901", FALLBACK_PHONE, true),
    ] {
        let opened = request::open(&Wanted { buyer_phone: Some(typed), ..wanted() }).unwrap();
        assert_eq!(
            (value(&opened, "buyertel").as_str(), !opened.warnings.is_empty()),
            (sent, warned),
            "{typed}"
        );
    }
}

#[test]
fn an_address_that_inicis_may_not_take_is_never_changed_into_a_strangers() {
    for (typed, sent) in [
        ("hong@shop.example", "hong@shop.example"),
        ("hong-gil_dong@shop.example", "hong-gil_dong@shop.example"),
        ("hong+tag@shop.example", FALLBACK_EMAIL),
        ("홍@shop.example", FALLBACK_EMAIL),
        ("hong", FALLBACK_EMAIL),
        ("@shop.example", FALLBACK_EMAIL),
        ("hong@localhost", FALLBACK_EMAIL),
        ("a@b@c.example", FALLBACK_EMAIL),
        ("a234567890123456789012345678901234567890123456789@shop.example", FALLBACK_EMAIL),
    ] {
        let opened = request::open(&Wanted { buyer_email: Some(typed), ..wanted() }).unwrap();
        assert_eq!(value(&opened, "buyeremail"), sent, "{typed}");
    }
}

#[test]
fn characters_that_euc_kr_cannot_hold_become_question_marks() {
    let opened = request::open(&Wanted {
        goods: "똠방각하 🍵 茶 ①\n둘", buyer_name: Some("🙂"), ..wanted()
    })
    .unwrap();
    assert_eq!(value(&opened, "goodname"), "똠방각하 ? 茶 ① 둘");
    assert_eq!(value(&opened, "buyername"), "?");
    assert_eq!(opened.warnings.len(), 2);
}

#[test]
fn empty_names_are_replaced() {
    let opened = request::open(&Wanted { goods: " \t\n", ..wanted() }).unwrap();
    assert_eq!(value(&opened, "goodname"), "상품");
    assert_eq!(opened.warnings.len(), 1);
}

#[test]
fn korean_is_cut_on_whole_characters_at_every_length_in_the_bytes_of_the_charset() {
    let name = "가나다라a마바사아자차카타파하bc가나다라마바사";
    for (charset, syllable) in [(Charset::Utf8, 3), (Charset::EucKr, 2)] {
        let bytes = |text: &str| text.chars().map(|c| if c.is_ascii() { 1 } else { syllable }).sum::<usize>();
        for max in 0..=bytes(name) + 2 {
            let mut warnings = Vec::new();
            let cut = text::cut(charset, "goodname", name, max, &mut warnings);
            assert!(bytes(&cut) <= max, "{max}: {cut}");
            assert_eq!(warnings.is_empty(), max >= bytes(name));
            let head = cut.trim_end_matches('.');
            assert!(name.starts_with(head), "{max}: {cut}");
            if max >= 3 && max < bytes(name) {
                assert!(cut.ends_with("...") && max - bytes(&cut) < syllable, "{max}: {cut}");
            }
        }
    }
}

#[test]
fn long_names_fit_the_form() {
    let long = "가".repeat(200);
    let opened = request::open(&Wanted { goods: &long, buyer_name: Some(&long), ..wanted() }).unwrap();
    assert_eq!(value(&opened, "goodname"), format!("{}...", "가".repeat(12)));
    assert_eq!(value(&opened, "buyername"), format!("{}...", "가".repeat(9)));
    assert_eq!(opened.warnings.len(), 2);
}

#[test]
fn amounts_and_references_are_errors() {
    for amount in [0, -1, i64::MIN] {
        assert!(refused(&Wanted { amount, ..wanted() }), "{amount}");
    }
    for order_ref in ["", "a b", "주문", "a/b", "12345678901234567890123456789012345678901"] {
        assert!(refused(&Wanted { order_ref, ..wanted() }), "{order_ref}");
    }
    for currency in ["", "JPY", "krw", "WON"] {
        assert!(refused(&Wanted { currency, ..wanted() }), "{currency}");
    }
    for now_ms in [0, 999_999_999_999, 10_000_000_000_000] {
        assert!(refused(&Wanted { now_ms, ..wanted() }), "{now_ms}");
    }
}

#[test]
fn a_return_address_of_another_origin_is_refused_before_inicis_does() {
    for url in [
        "https://www.pay.shop.example/return",
        "http://pay.shop.example/return",
        "https://pay.shop.example.evil.example/return",
        "https://pay.shop.example:8443/return",
        "https://pay.shop.example@evil.example/",
        "/return",
    ] {
        assert!(refused(&Wanted { return_url: url, ..wanted() }), "{url}");
        assert!(refused(&with(Page { close_url: url, ..page() })), "{url}");
    }
}

#[test]
fn tax_parts_are_sent_when_given_and_refused_when_too_large() {
    let opened = request::open(&Wanted { vat: Some(0), tax_free: Some(1004), ..wanted() }).unwrap();
    assert_eq!((value(&opened, "tax"), value(&opened, "taxfree")), ("0".into(), "1004".into()));
    assert!(!refused(&Wanted { vat: Some(100), ..wanted() }));
    for (vat, tax_free) in [(Some(101), None), (Some(-1), None), (None, Some(1005)), (None, Some(-1))] {
        assert!(refused(&Wanted { vat, tax_free, ..wanted() }), "{vat:?} {tax_free:?}");
    }
}

#[test]
fn small_amounts_ask_for_below_1000() {
    let small = request::open(&Wanted { amount: 999, ..wanted() }).unwrap();
    assert_eq!(value(&small, "acceptmethod"), "centerCd(Y):below1000");
    let dollars = request::open(&Wanted { amount: 999, currency: "USD", ..wanted() }).unwrap();
    assert_eq!(
        (value(&dollars, "acceptmethod"), value(&dollars, "currency")),
        ("centerCd(Y)".into(), "USD".into())
    );
}

#[test]
fn who_does_not_read_korean_gets_english() {
    for (tag, view) in [
        ("ko", "ko"),
        ("KO-kr", "ko"),
        ("", "ko"),
        ("en", "en"),
        ("en-US", "en"),
        ("zh-CN", "en"),
        ("ja", "en"),
    ] {
        assert_eq!(
            value(&request::open(&Wanted { language: tag, ..wanted() }).unwrap(), "languageView"),
            view,
            "{tag}"
        );
    }
}

fn option(name: &str, value: &str) -> Result<Options, OptionError> {
    let opening = Opening { methods: "Card", phone_goods: PhoneGoods::Physical, now_ms: 1_767_193_200_123 };
    options::write(&Wishes::read([(name, value)])?, opening)
}

#[test]
fn options_become_inicis_fields() {
    for (name, given, field, sent) in [
        ("card_quota", "[2,3,12]", "quotabase", "2:3:12"),
        ("allowed_cards", "[\"01\",\"04\"]", "ini_onlycardcode", "01:04"),
        ("direct_card", "14", "ini_cardcode", "14"),
        ("interest_free", "{\"11\":[2,3],\"34\":[5,12]}", "nointerest", "11-2:3,34-5:12"),
        ("service_period", "M2", "offerPeriod", "M2"),
        ("service_period", "20260101-20261231", "offerPeriod", "20260101-20261231"),
        ("logo_url", "https://shop.example/logo.png", "logo_url", "https://shop.example/logo.png"),
        ("card_points", "true", "acceptmethod", "centerCd(Y):cardpoint"),
        ("no_easy_pay", "true", "acceptmethod", "centerCd(Y):noeasypay"),
        ("no_easy_pay", "false", "acceptmethod", "centerCd(Y)"),
        ("skin", "#C1272C", "acceptmethod", "centerCd(Y):SKIN(#C1272C)"),
        (
            "bypass",
            r#"{"pc":{"acceptmethod":":cardshowopt(04-6):mallpoint(11:34)"}}"#,
            "acceptmethod",
            "centerCd(Y):cardshowopt(04-6):mallpoint(11:34)",
        ),
        (
            "bypass",
            r#"{"pc":{"acceptmethod":["hidebar","ocb"]},"mobile":{}}"#,
            "acceptmethod",
            "centerCd(Y):hidebar:ocb",
        ),
        ("bypass", r#"{"pc":{"ini_PAYSHOT_KEY":"abc"}}"#, "ini_PAYSHOT_KEY", "abc"),
        ("allowed_cards", r#"["366","367"]"#, "ini_onlycardcode", "14:04"),
        ("direct_card", r#"{"code":"367","quota":3}"#, "ini_cardcode", "04"),
        ("direct_card", r#"{"code":"367","quota":3}"#, "quotabase", "3"),
        (
            "interest_free",
            "3",
            "nointerest",
            "01-2:3,03-2:3,04-2:3,06-2:3,11-2:3,12-2:3,14-2:3,16-2:3,17-2:3",
        ),
        ("service_period", r#"{"from":"20260101","to":"20261231"}"#, "offerPeriod", "20260101-20261231"),
        ("deposit_deadline", "20261231", "acceptmethod", "centerCd(Y):vbank(202612312359)"),
        ("deposit_deadline", "2026-12-31 23:50:00", "acceptmethod", "centerCd(Y):vbank(202612312350)"),
        ("deposit_deadline", "2026-12-31T14:50:00Z", "acceptmethod", "centerCd(Y):vbank(202612312350)"),
        ("deposit_cash_receipt", "true", "acceptmethod", "centerCd(Y):va_receipt"),
        ("transfer_cash_receipt", "false", "acceptmethod", "centerCd(Y):no_receipt"),
        ("device", "pc", "acceptmethod", "centerCd(Y)"),
        ("app_scheme", "shop://", "acceptmethod", "centerCd(Y)"),
        ("escrow", "false", "acceptmethod", "centerCd(Y)"),
    ] {
        let opened = request::open(&with(Page { options: option(name, given).unwrap(), ..page() })).unwrap();
        assert_eq!(value(&opened, field), sent, "{name} {given}");
    }
}

#[test]
fn options_that_do_not_go_with_the_order_are_refused() {
    let three = r#"{"code":"04","quota":3}"#;
    for (name, given, method, won, fits) in [
        ("direct_card", three, Some("card"), 50_000, true),
        ("direct_card", three, None, 49_999, false),
        ("direct_card", r#"{"code":"04","quota":0}"#, Some("card"), 1_000, true),
        ("direct_card", "04", Some("easy_pay"), 50_000, false),
        ("no_easy_pay", "true", Some("card"), 50_000, true),
        ("no_easy_pay", "true", Some("easy_pay"), 50_000, false),
        ("no_easy_pay", "false", Some("easy_pay"), 50_000, true),
    ] {
        let wishes = Wishes::read([(name, given)]).unwrap();
        assert_eq!(wishes.fit(method, won).is_ok(), fits, "{name} {given} {method:?} {won}");
    }
}

#[test]
fn an_option_that_cannot_be_followed_is_refused() {
    for (name, given) in [
        ("card_quota", "[]"),
        ("card_quota", "[1]"),
        ("card_quota", "[37]"),
        ("card_quota", "2"),
        ("allowed_cards", "[]"),
        ("allowed_cards", "[\"99\"]"),
        ("direct_card", "x"),
        ("interest_free", "{}"),
        ("interest_free", "{\"99\":[2]}"),
        ("interest_free", "{\"11\":[]}"),
        ("service_period", "W2"),
        ("service_period", "20261231-20260101"),
        ("service_period", "20260231-20260301"),
        ("card_points", "yes"),
        ("skin", "red"),
        ("direct_card", r#"{"code":"04","quota":1}"#),
        ("interest_free", "1"),
        ("phone_goods", "books"),
        ("deposit_deadline", "20200101"),
        ("deposit_deadline", "20260230"),
        ("deposit_deadline", "tomorrow"),
        ("app_scheme", "shop"),
        ("bypass", r#"{"pc":{"acceptmethod":"HPP(1)"}}"#),
        ("bypass", r#"{"pc":{"goodname":["a","b"]}}"#),
        ("bypass", r#"{"tv":{"x":"1"}}"#),
        ("logo_url", "http://shop.example/logo.png"),
        ("bypass", "[]"),
        ("bypass", r#"{"pc":{"x":1}}"#),
        ("bypass", r#"{"pc":{"PRICE":"1"}}"#),
        ("bypass", r#"{"pc":{"mKey":"1"}}"#),
        ("bypass", r#"{"pc":{"returnUrl":"https://evil.example"}}"#),
        ("bypass", r#"{"pc":{"a b":"1"}}"#),
        ("bypass", r#"{"pc":{"acceptmethod":"BILLAUTH(Card)"}}"#),
        ("bypass", r#"{"pc":{"acceptmethod":"useescrow"}}"#),
    ] {
        assert!(matches!(option(name, given), Err(OptionError::Value(..))), "{name} {given}");
    }
    assert!(matches!(option("escrow", "true"), Err(OptionError::Unsupported("escrow"))));
    assert!(matches!(option("unheard_of", "1"), Err(OptionError::Unknown(_))));
}

#[test]
fn the_payments_option_wins_over_the_channels() {
    let both = Wishes::read([("card_quota", "[2]"), ("card_quota", "[3]")]).unwrap();
    assert_eq!(both.quota, Some(vec![2]));
}

#[test]
fn phone_payment_says_what_is_sold_whenever_it_is_offered() {
    let accept = |methods, option: Option<(&str, &str)>| {
        let opening = Opening { methods, phone_goods: PhoneGoods::Physical, now_ms: 1_767_193_200_123 };
        options::write(&Wishes::read(option).unwrap(), opening).unwrap().accept
    };
    assert_eq!(accept("", None), ["HPP(2)"]);
    assert_eq!(accept("HPP", Some(("phone_goods", "digital"))), ["HPP(1)"]);
    assert!(accept("Card", None).is_empty());
}

#[test]
fn dollars_are_taken_by_card_only() {
    assert!(!refused(&Wanted { currency: "USD", ..wanted() }));
    assert!(refused(&Wanted { currency: "USD", ..with(Page { methods: "", ..page() }) }));
}
