//! Any bytes give an outcome or an error.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use inicis_wire::form::{Charset, Field, Form};
use inicis_wire::iniapi::{answer, inquiry};
use inicis_wire::mobile;
use inicis_wire::options::{PhoneGoods, Wishes};
use inicis_wire::pc::request::{self, Wanted};
use inicis_wire::pc::{approval, details, reply};
use inicis_wire::{banks, cards, codes, form, json, notice, text};
use proptest::prelude::*;

/// Bytes that look like an answer, so that the parsers are entered deeply.
fn answers() -> impl Strategy<Value = Vec<u8>> {
    let name = prop_oneof![
        Just("resultCode"),
        Just("tid"),
        Just("mid"),
        Just("MOID"),
        Just("TotPrice"),
        Just("payMethod"),
        Just("applDate"),
        Just("applTime"),
        Just("authSignature"),
        Just("CARD_Quota"),
        Just("CARD_UsePoint"),
        Just("transactionStatus"),
        Just("price"),
        Just("partCancelTransInfo"),
        Just("detailResultCode"),
        Just("oid"),
        Just("prtcRemains"),
        Just("moid"),
    ];
    let value = prop_oneof![
        Just("\"0000\"".to_owned()),
        Just("\"00\"".to_owned()),
        Just("\"SUCCESS\"".to_owned()),
        Just("\"Card\"".to_owned()),
        Just("\"APPROVAL\"".to_owned()),
        Just("null".to_owned()),
        Just("[{}]".to_owned()),
        Just("[[1]]".to_owned()),
        any::<i64>().prop_map(|n| n.to_string()),
        any::<f64>().prop_map(|n| n.to_string()),
        "\\PC{0,20}".prop_map(|t| serde_json::Value::from(t).to_string()),
        "[0-9]{0,24}".prop_map(|t| format!("\"{t}\"")),
    ];
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..300),
        proptest::collection::vec((name, value), 0..20).prop_map(|pairs| {
            let pairs: Vec<String> = pairs.into_iter().map(|(n, v)| format!("\"{n}\":{v}")).collect();
            format!("{{{}}}", pairs.join(",")).into_bytes()
        }),
    ]
}

/// Bytes that look like a text answer or return of the mobile servers.
fn text_answers() -> impl Strategy<Value = Vec<u8>> {
    let name = prop_oneof![
        Just("P_STATUS"),
        Just("P_TID"),
        Just("P_MID"),
        Just("P_OID"),
        Just("P_AMT"),
        Just("P_TYPE"),
        Just("P_AUTH_DT"),
        Just("P_NOTI"),
        Just("P_REQ_URL"),
        Just("idc_name"),
        Just("P_RMESG1"),
        Just("P_RMESG2"),
        Just("P_HPP_NUM"),
        Just("P_VACT_NUM"),
        Just("P_VACT_DATE"),
        Just("P_VACT_TIME"),
        Just("P_CSHR_CODE"),
        Just("P_CSHR_DT"),
        Just("P_SRC_CODE"),
    ];
    let value = prop_oneof![
        Just("00".to_owned()),
        Just("01".to_owned()),
        Just("220000".to_owned()),
        Just("CARD".to_owned()),
        Just("VBANK".to_owned()),
        Just("MOBILE".to_owned()),
        Just("order-1".to_owned()),
        Just("1004".to_owned()),
        Just("fc".to_owned()),
        Just("https://fcmobile.inicis.com/smart/payReq.ini".to_owned()),
        "\\PC{0,20}",
        "[0-9]{0,24}",
        "%[0-9A-F]{2}%[0-9A-Z]{0,3}",
    ];
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..300),
        proptest::collection::vec((name, value), 0..20).prop_map(|pairs| {
            let pairs: Vec<String> = pairs.into_iter().map(|(n, v)| format!("{n}={v}")).collect();
            pairs.join("&").into_bytes()
        }),
    ]
}

/// Bytes that look like a notice: the fields that decide, mostly right.
fn notices() -> impl Strategy<Value = Vec<u8>> {
    let field = |name: &'static str, values: &'static str| (Just(name), values);
    let pair = prop_oneof![
        field("P_STATUS", "00|01|02|[0-9]{0,3}"),
        field("P_TYPE", "VBANK|ISP|BANK|[A-Z]{0,6}"),
        field("type_msg", "0200|0400|[0-9]{0,4}"),
        field("cl_status", "2|3|31|32|4|8|10|[0-9]{0,3}"),
        field("id_merchant", "INIpayTest|[A-Za-z]{10}"),
        field("P_MID", "INIpayTest|[A-Za-z]{10}"),
        field("no_tid", "[A-Za-z0-9_]{1,41}"),
        field("P_TID", "[A-Za-z0-9_]{1,41}"),
        field("no_oid", "order-1|\\PC{0,20}"),
        field("P_OID", "order-1|\\PC{0,20}"),
        field("amt_input", "1004|-?[0-9]{0,20}"),
        field("P_AMT", "1004|-?[0-9]{0,20}"),
        field("no_vacct", "[0-9 -]{0,22}"),
        field("P_RMESG1", "P_VACCT_NO=[0-9]{1,22}\\|P_EXP_DT=[0-9]{0,8}|\\PC{0,20}"),
        field("dt_trans", "202611[0-3][0-9]"),
        field("tm_trans", "[0-2][0-9]{5}"),
        field("P_AUTH_DT", "(20)?2611[0-3][0-9]{7}"),
        field("dt_req", "202611[0-3][0-9]{7}"),
        field("cl_kor", "1|2"),
        field("nm_input", "(%[0-9A-F]{2}){0,10}"),
    ];
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..300),
        proptest::collection::vec(pair, 0..24).prop_map(|pairs| {
            let pairs: Vec<String> = pairs.into_iter().map(|(n, v)| format!("{n}={v}")).collect();
            pairs.join("&").into_bytes()
        }),
    ]
}

proptest! {
    #[test]
    fn any_answer_gives_an_outcome_or_an_error(status in prop_oneof![Just(200_u16), any::<u16>()], body in answers()) {
        let _ = approval::read(status, &body);
        let _ = approval::read_net_cancel(status, &body, "order-1");
        let _ = answer::read(status, &body);
        let _ = inquiry::read(status, &body, "INIpayTest");
        if let Ok(object) = json::Object::parse(&body) {
            let _ = details::of_pc(&object);
        }
    }

    #[test]
    fn any_return_gives_an_outcome_or_an_error(body in proptest::collection::vec(any::<u8>(), 0..300), media in "\\PC{0,40}") {
        let _ = reply::read("POST", "application/x-www-form-urlencoded", &body, "INIpayTest", "order-1");
        let _ = reply::read("POST", &media, &body, "INIpayTest", "order-1");
        let _ = form::words(&body);
    }

    #[test]
    fn returns_that_look_real_hold(code in "0000|V801|\\PC{0,9}", token in "\\PC{0,30}", idc in "fc|ks|x", noise in "[ -~]{0,40}") {
        let fields = [
            Field::new("resultCode", code), Field::new("mid", "INIpayTest"), Field::new("orderNumber", "order-1"),
            Field::new("authToken", token.as_str()), Field::new("authUrl", format!("https://{idc}stdpay.inicis.com/api/payAuth")),
            Field::new("netCancelUrl", format!("https://{idc}stdpay.inicis.com/api/netCancel")), Field::new("idc_name", idc),
        ];
        let body = form::write(Charset::Utf8, &fields);
        let read = reply::read("POST", "application/x-www-form-urlencoded", body.as_bytes(), "INIpayTest", "order-1");
        if let Ok(reply::Reply::Authenticated(ticket)) = read {
            prop_assert_eq!(ticket.token, token);
        }
        let _ = reply::read("POST", "application/x-www-form-urlencoded", format!("{body}&{noise}").as_bytes(), "INIpayTest", "order-1");
    }

    #[test]
    fn a_form_reads_what_it_wrote(value in "\\PC{0,40}") {
        let body = form::write(Charset::Utf8, &[Field::new("x", value.as_str())]);
        let read = Form::parse(body.as_bytes()).unwrap();
        prop_assert_eq!(read.optional("x").unwrap().unwrap_or_default(), value);
    }

    #[test]
    fn what_was_cleaned_survives_euc_kr(value in "\\PC{0,40}") {
        let clean = text::clean("x", &value, &mut Vec::new());
        let body = form::write(Charset::EucKr, &[Field::new("x", clean.as_str())]);
        let read = Form::parse(body.as_bytes()).unwrap();
        let bytes = read.bytes("x").unwrap().unwrap_or_default().to_vec();
        let (back, _, errors) = encoding_rs::EUC_KR.decode(&bytes);
        prop_assert!(!errors);
        prop_assert_eq!(back, clean);
    }

    #[test]
    fn every_order_with_a_good_amount_and_number_fits_the_form(
        goods in "\\PC{0,120}", name in proptest::option::of("\\PC{0,60}"), phone in proptest::option::of("\\PC{0,40}"),
        email in proptest::option::of("\\PC{0,80}"), language in "\\PC{0,8}", amount in 1..=99_999_999_i64,
        order_ref in "[A-Za-z0-9-]{1,40}", now_ms in 1_000_000_000_000..=9_999_999_999_999_i64,
    ) {
        let opened = request::open(&Wanted {
            mid: "INIpayTest", order_ref: &order_ref, amount, currency: "KRW", now_ms, goods: &goods,
            buyer_name: name.as_deref(), buyer_phone: phone.as_deref(), buyer_email: email.as_deref(),
            language: &language, return_url: "https://a.example/r", tax_free: None, vat: None,
            window: request::Page {
                methods: "Card", close_url: "https://a.example/c", page_origin: "https://a.example", options: Default::default(),
            },
        }).unwrap();
        let fields = opened.into_fields(String::new(), String::new(), String::new());
        let max = [("oid", 40), ("goodname", 40), ("buyername", 30), ("buyertel", 20), ("buyeremail", 60), ("timestamp", 20)];
        for (field, max) in max {
            let value = &fields.iter().find(|f| f.name == field).unwrap().value;
            prop_assert!((1..=max).contains(&value.len()), "{field}: {value}");
            prop_assert!(value.chars().all(|c| text::in_cp949(c) && !c.is_control()), "{field}: {value}");
        }
    }

    #[test]
    fn tables_take_any_text(value in "\\PC{0,12}") {
        let _ = (cards::by_code(&value), banks::by_code(&value));
        for operation in [codes::Operation::Approve, codes::Operation::Cancel] {
            let meaning = codes::meaning(&value, operation);
            prop_assert!(!meaning.sentence.ko.is_empty());
        }
        let _ = codes::leaves_open(&value);
    }

    #[test]
    fn any_option_is_followed_or_refused(name in "card_quota|allowed_cards|interest_free|service_period|skin|bypass|deposit_deadline|direct_card|app_scheme", value in "\\PC{0,40}") {
        let _ = inicis_wire::options::Wishes::read([(name.as_str(), value.as_str())]);
    }

    #[test]
    fn any_text_answer_gives_an_outcome_or_an_error(status in prop_oneof![Just(200_u16), any::<u16>()], body in text_answers()) {
        if let Ok(mobile::approval::Answer::Approved(sale)) = mobile::approval::read(status, &body) {
            prop_assert!(sale.amount >= 0 && inicis_wire::receipt::is_tid(&sale.tid));
        }
        let _ = mobile::approval::read_net_cancel(status, &body);
        if let Ok(nvp) = mobile::nvp::Nvp::parse(&body) {
            let _ = (mobile::details::of_mobile(&nvp), mobile::details::account(&nvp));
        }
    }

    #[test]
    fn any_mobile_return_gives_an_outcome_or_an_error(body in text_answers()) {
        if let Ok(form) = Form::parse(&body) {
            let _ = mobile::reply::is_mobile(&form);
            if let Ok(mobile::reply::Reply::Authenticated(ticket)) = mobile::reply::read(&form, "order-1", 1004) {
                prop_assert!(ticket.idc.mobile_approval().starts_with("https://"));
            }
        }
    }

    #[test]
    fn every_order_fits_the_mobile_form(
        goods in "\\PC{0,120}", name in proptest::option::of("\\PC{0,60}"), phone in proptest::option::of("\\PC{0,40}"),
        email in proptest::option::of("\\PC{0,80}"), language in "\\PC{0,8}", amount in 1..=99_999_999_i64,
        order_ref in "[A-Za-z0-9-]{1,40}", now_ms in 1_000_000_000_000..=9_999_999_999_999_i64,
        payment in "CARD|BANK|VBANK|MOBILE|CULTURE", quota in proptest::collection::vec(2_u64..=36, 0..6),
    ) {
        let quota = format!("{quota:?}");
        let wishes = Wishes::read([("card_quota", quota.as_str()), ("card_points", "true")]).unwrap();
        let opening = mobile::options::Opening {
            payment: &payment, phone_goods: PhoneGoods::Digital, app_scheme: "shop://", app_base: "", now_ms,
        };
        let opened = mobile::request::open(&mobile::request::Wanted {
            mid: "INIpayTest", order_ref: &order_ref, amount, currency: "KRW", now_ms, goods: &goods,
            buyer_name: name.as_deref(), buyer_phone: phone.as_deref(), buyer_email: email.as_deref(),
            language: &language, return_url: "https://a.example/r", tax_free: None, vat: None,
            window: mobile::request::Phone {
                payment: &payment, reserved: "", notify_url: "https://a.example/n", results: Charset::EucKr,
                options: mobile::options::write(&wishes, opening).unwrap(),
            },
        }).unwrap();
        let fields = opened.into_fields("h".repeat(88));
        let max = [("P_OID", 40), ("P_AMT", 8), ("P_GOODS", 80), ("P_UNAME", 30), ("P_NOTI", 600), ("P_TIMESTAMP", 13)];
        for (field, max) in max {
            let value = &fields.iter().find(|f| f.name == field).unwrap().value;
            prop_assert!((1..=max).contains(&text::bytes(Charset::EucKr, value)), "{field}: {value}");
            prop_assert!(value.chars().all(|c| text::in_cp949(c) && !c.is_control()), "{field}: {value}");
        }
        let mut names: Vec<_> = fields.iter().map(|f| f.name.clone()).collect();
        names.sort();
        names.dedup();
        prop_assert_eq!(names.len(), fields.len(), "a field is there twice");
    }

    #[test]
    fn any_notice_is_read_or_refused(body in notices()) {
        if let Ok(read) = notice::read("POST", &body, "INIpayTest")
            && let notice::Said::Deposited(deposit) | notice::Said::DepositCancelled(deposit) = read.said
        {
            prop_assert!(deposit.amount > 0 && inicis_wire::receipt::is_tid(&deposit.tid) && !deposit.oid.is_empty());
        }
        let _ = inicis_wire::iniapi::issue::read(200, &body);
    }

    #[test]
    fn any_moment_is_read_or_not(value in "\\PC{0,40}") {
        let _ = (inicis_wire::clock::from_rfc3339(&value), inicis_wire::clock::from_http_date(&value));
        let _ = inicis_wire::clock::from_kst14(&value);
    }
}
