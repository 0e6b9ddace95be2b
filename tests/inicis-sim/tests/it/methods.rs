//! Each method on PC and on the phone: what the window offers and what the approval answers.

use serde_json::{Value, json};

use crate::phone::with;
use crate::rig::{MID, Rig, get, set};

/// Pays on PC and returns the approval.
async fn pc(rig: &Rig, method: &str, accept: &str, picked: Value) -> Value {
    let mut form = rig.form(MID, "O-1", "60000");
    set(&mut form, "gopaymethod", method);
    set(&mut form, "acceptmethod", &format!("centerCd(Y):{accept}"));
    let mut choice = json!({"choice": "pay"});
    choice.as_object_mut().unwrap().extend(picked.as_object().unwrap().clone());
    let post = rig.posted(&form, choice).await;
    let answer = rig.form_json(get(&post, "authUrl"), &rig.approval(&post, 3)).await;
    assert_eq!(answer["resultCode"], "0000", "{answer}");
    assert_eq!(answer["TotPrice"], "60000");
    answer
}

#[tokio::test]
async fn each_method_on_pc_answers_its_fields() {
    let rig = Rig::start().await;
    let table = [
        ("Card", "", json!({"card": "04"}), "StdpayCARD", "Card", "CARD_Code", "04"),
        ("Card", "", json!({"card": "11"}), "StdpayISP_", "VCard", "ISP_CardCode", "11"),
        ("DirectBank", "", json!({"bank": "20"}), "StdpayDBNK", "DirectBank", "ACCT_BankCode", "20"),
        ("DirectBank", "", json!({"receipt": "0"}), "StdpayDBNK", "DirectBank", "CSHR_ResultCode", "220000"),
        ("HPP", "HPP(2)", json!({"telco": "KTF"}), "StdpayHPP_", "HPP", "HPP_Corp", "KTF"),
        ("Culture", "", json!({"user": "u1"}), "StdpayCULT", "Culture", "CULT_UserID", "u1"),
        ("DGCL", "", json!({}), "StdpayDGCL", "DGCL", "GAMG_Price1", "60000"),
        ("Bcsh", "", json!({"user": "u1"}), "StdpayBCSH", "Bookcash", "BCSH_UserID", "u1"),
        ("HPMN", "", json!({}), "StdpayHPMN", "HPMN", "payDevice", "PC"),
        ("TeenCash", "", json!({}), "StdpayTEEN", "TEEN", "TEEN_ApplPrice", "60000"),
        ("OCBPoint", "", json!({}), "StdpayOCBP", "OCBPoint", "OCB_PayPrice", "60000"),
        ("GSPT", "", json!({}), "StdpayGSPT", "GSPT", "GSPT_PayPrice", "60000"),
        ("UPNT", "", json!({}), "StdpayUPNT", "UPNT", "UPoint_ApplPrice", "60000"),
        ("onlykakaopay", "", json!({}), "StdpayCARD", "Card", "CARD_SrcCode", "O"),
        ("onlykakaopay", "cardonly", json!({}), "StdpayCARD", "Card", "CARD_SrcCode", "O"),
        ("onlynaverpay", "", json!({"card": "91"}), "StdpayCARD", "Card", "NAVERPOINT_UseFreePoint", "60000"),
        ("EasyPay", "", json!({"wallet": "B"}), "StdpayCARD", "Card", "CARD_SrcCode", "B"),
        ("EasyPay", "onlyeasypaycode(payco)", json!({}), "StdpayCARD", "Card", "CARD_SrcCode", "C"),
    ];
    for (method, accept, picked, prefix, pay_method, field, value) in table {
        let answer = pc(&rig, method, accept, picked).await;
        assert_eq!(&answer["tid"].as_str().unwrap()[..10], prefix, "{method}");
        assert_eq!((&answer["payMethod"], &answer[field]), (&json!(pay_method), &json!(value)), "{method}");
        let has_number =
            matches!(method, "Card" | "OCBPoint" | "GSPT" | "UPNT" | "EasyPay") || method.starts_with("only");
        assert_eq!(answer["applNum"].is_string(), has_number, "{method}");
    }
}

#[tokio::test]
async fn card_points_and_a_discount_change_other_fields_than_the_total() {
    let rig = Rig::start().await;
    let picked = json!({"card": "04", "points": 1000, "coupon": 500, "check": true});
    let answer = pc(&rig, "Card", "cardpoint", picked.clone()).await;
    let fields = ["CARD_UsePoint", "CARD_CouponDiscount", "CARD_ApplPrice", "CARD_CheckFlag"];
    assert_eq!(fields.map(|name| answer[name].as_str().unwrap()), ["1000", "500", "58500", "1"]);
    let mut form = rig.form(MID, "O-2", "60000");
    let mut choice = json!({"choice": "pay"});
    choice.as_object_mut().unwrap().extend(picked.as_object().unwrap().clone());
    let (_, body) = rig.window(&form, choice).await;
    assert_eq!(body["refused"]["code"], "SIM:POINT");

    set(&mut form, "nointerest", "04-3:6");
    let choice = json!({"choice": "pay", "card": "04", "quota": "03"});
    let post = rig.posted(&form, choice).await;
    let answer = rig.form_json(get(&post, "authUrl"), &rig.approval(&post, 1)).await;
    assert_eq!((&answer["CARD_Quota"], &answer["CARD_Interest"]), (&json!("03"), &json!("1")));
}

#[tokio::test]
async fn options_restrict_the_window_on_pc() {
    let rig = Rig::start().await;
    let table = [
        ("Card", "noeasypay", json!({"method": "EasyPay"}), "SIM:METHOD"),
        ("Card:DirectBank", "cardonly", json!({"method": "DirectBank"}), "SIM:METHOD"),
        ("EasyPay", "onlyeasypaycode(nobody)", json!({}), "SIM:WALLET"),
        ("onlykakaopay", "", json!({"wallet": "I"}), "SIM:WALLET"),
        ("Card", "cardonly", json!({"method": "EasyPay"}), "SIM:METHOD"),
        ("onlykakaopay", "noeasypay", json!({}), "500403"),
        ("HPP", "HPP(1):hppablecorp(SKT)", json!({"telco": "LGT"}), "SIM:TELCO"),
        ("DirectBank", "no_receipt", json!({"receipt": "0"}), "SIM:RECPT"),
        ("DirectBank", "", json!({"bank": "99"}), "SIM:BANK"),
        ("VBank", "vbank(20200101)", json!({}), "504640"),
        ("VBank", "vbank(2026)", json!({}), "504640"),
        ("Card", "BILLAUTH(Card)", json!({}), "SIM:LATER"),
        ("Card", "useescrow", json!({}), "SIM:LATER"),
    ];
    for (method, accept, picked, code) in table {
        let mut form = rig.form(MID, "O-1", "60000");
        set(&mut form, "gopaymethod", method);
        set(&mut form, "acceptmethod", accept);
        let mut choice = json!({"choice": "pay"});
        choice.as_object_mut().unwrap().extend(picked.as_object().unwrap().clone());
        let (status, body) = rig.window(&form, choice).await;
        assert_eq!((status.as_u16(), &body["refused"]["code"]), (422, &json!(code)), "{method} {accept}");
    }
    let mut form = rig.form("INIcardonl", "O-1", "60000");
    set(&mut form, "gopaymethod", "VBank");
    assert_eq!(rig.refusal(&form).await, "500403");
    set(&mut form, "gopaymethod", "");
    let (_, body) = rig.window(&form, json!({"choice": "pay", "method": "EasyPay"})).await;
    assert_eq!(body["refused"]["code"], "SIM:METHOD", "wallets need a contract");
}

#[tokio::test]
async fn each_method_on_the_phone_answers_its_fields() {
    let rig = Rig::start().await;
    let table = [
        ("CARD", json!({"card": "04", "quota": "03"}), "INIMX_CARD", "P_RMESG2", "03"),
        ("CARD", json!({"card": "11"}), "INIMX_CARD", "P_ISP_CARDCODE", "11"),
        ("CARD", json!({"method": "EasyPay", "wallet": "H"}), "INIMX_CARD", "P_SRC_CODE", "H"),
        ("EWALLET", json!({"wallet": "O", "card": "97"}), "INIMX_CARD", "P_FN_CD1", "97"),
        ("BANK", json!({"bank": "88"}), "INIMX_BANK", "P_FN_CD1", "88"),
        ("BANK", json!({"receipt": "1"}), "INIMX_BANK", "P_CSHR_CODE", "220000"),
        ("BANK", json!({"receipt": "1"}), "INIMX_BANK", "P_CSHR_TAX", "5454"),
        ("MOBILE", json!({"telco": "SKT"}), "INIMX_HPP_", "P_HPP_CORP", "SKT"),
        ("VBANK", json!({"bank": "20"}), "INIMX_VBNK", "P_VACT_BANK_CODE", "20"),
        ("CULTURE", json!({}), "INIMX_CULT", "P_NOTEURL", "https://shop.example.com/notify/1"),
        ("HPMN", json!({}), "INIMX_HPMN", "P_MID", MID),
        ("BCSH", json!({}), "INIMX_BCSH", "P_MID", MID),
    ];
    for (payment, picked, prefix, field, value) in table {
        let form = rig.phone_form(payment, "O-1", "60000");
        let mut choice = json!({"choice": "pay"});
        choice.as_object_mut().unwrap().extend(picked.as_object().unwrap().clone());
        let answer = rig.phone_approve(&rig.phone_posted(&form, choice).await).await;
        assert_eq!(get(&answer, "P_STATUS"), "00", "{answer:?}");
        assert_eq!(&get(&answer, "P_TID")[..10], prefix, "{payment}");
        assert_eq!((get(&answer, field), get(&answer, "P_AMT")), (value, "60000"), "{payment}");
        let kind = if payment == "EWALLET" { "CARD" } else { payment };
        assert_eq!(get(&answer, "P_TYPE"), kind);
    }
}

#[tokio::test]
async fn options_restrict_the_window_on_the_phone() {
    let rig = Rig::start().await;
    let table = [
        ("noeasypay=Y", json!({"method": "EasyPay"}), "SIM:METHOD"),
        ("disable_kpay=Y", json!({"method": "EasyPay", "wallet": "A"}), "SIM:WALLET"),
        ("d_kakaopay=Y", json!({"method": "Card"}), "SIM:METHOD"),
        ("d_card=04", json!({"card": "14"}), "SIM:CARD"),
        ("d_card=04&d_quota=3", json!({"quota": "00"}), "500607"),
        ("below1000=Y", json!({"points": 10}), "SIM:POINT"),
        ("bank_receipt=N", json!({"receipt": "0"}), "SIM:RECPT"),
    ];
    for (reserved, picked, code) in table {
        let form = with(rig.phone_form("CARD", "O-1", "60000"), "P_RESERVED", reserved);
        let mut choice = json!({"choice": "pay"});
        choice.as_object_mut().unwrap().extend(picked.as_object().unwrap().clone());
        let (_, body) = rig.window(&form, choice).await;
        assert_eq!(body["refused"]["code"], code, "{reserved}");
    }
    let direct = with(rig.phone_form("CARD", "O-1", "60000"), "P_RESERVED", "d_card=04&d_quota=3");
    let post = rig.phone_posted(&direct, json!({"choice": "pay"})).await;
    assert_eq!(get(&rig.phone_approve(&post).await, "P_RMESG2"), "03");
    let no_contract = with(direct, "P_MID", "INIcardonl");
    assert_eq!(rig.refusal(&no_contract).await, "MX2002");
}

#[tokio::test]
async fn every_wallet_that_public_clients_open_is_known_by_its_name_on_each_device() {
    let rig = Rig::start().await;
    for (on_pc, on_phone, code) in [
        ("kakaopay", "kakaopay", "O"),
        ("naverpay", "npay", "I"),
        ("ssp", "samsungpay", "B"),
        ("payco", "payco", "C"),
        ("tosspay", "tosspay", "H"),
        ("ssgcard", "ssgpay", "G"),
        ("lpay", "lpay", "L"),
    ] {
        let answer = pc(&rig, &format!("only{on_pc}"), "cardonly", json!({})).await;
        assert_eq!(answer["CARD_SrcCode"], code, "{on_pc}");
        let form = with(rig.phone_form("CARD", "O-1", "60000"), "P_RESERVED", &format!("d_{on_phone}=Y"));
        let answer = rig.phone_approve(&rig.phone_posted(&form, json!({"choice": "pay"})).await).await;
        assert_eq!(get(&answer, "P_SRC_CODE"), code, "{on_phone}");
    }
    for (field, value) in [("gopaymethod", "onlynpay"), ("gopaymethod", "onlysamsungpay")] {
        let mut form = rig.form(MID, "O-1", "60000");
        set(&mut form, field, value);
        assert_eq!(rig.refusal(&form).await, "SIM:WALLET", "{value}");
    }
    let form = with(rig.phone_form("CARD", "O-1", "60000"), "P_RESERVED", "d_naverpay=Y");
    assert_eq!(rig.refusal(&form).await, "SIM:RESERV");
}

#[tokio::test]
async fn by_setting_more_wallets_have_names() {
    let rig = Rig::with(|options| {
        options.settings.wallet_names.insert("newpay".to_owned(), "U".to_owned());
    })
    .await;
    assert_eq!(pc(&rig, "onlynewpay", "", json!({})).await["CARD_SrcCode"], "U");
}
