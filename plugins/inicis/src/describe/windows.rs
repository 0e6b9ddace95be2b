//! Settings of the windows and of INIAPI's version.
//!
//! Invariant: what `inicis.md` leaves open, or what depends on the contract, is a setting with a default that works.

use super::settings::{choice, field};
use super::text;
use crate::bindings::exports::payhost::plugin::plugin::{SettingField, SettingType};
use crate::channel::{DEPOSIT_DAYS_MAX, key};

/// The fields, in order.
pub fn fields() -> Vec<SettingField> {
    vec![
        phone_goods(),
        mobile_method(),
        mobile_charset(),
        app_scheme(),
        app_base(),
        deposit_days(),
        iniapi_version(),
        notify_url(),
    ]
}

fn phone_goods() -> SettingField {
    let choices = vec![
        choice("physical", text("실물", "Physical goods")),
        choice("digital", text("디지털 콘텐츠", "Digital content")),
    ];
    SettingField {
        default: Some("physical".to_owned()),
        ..field(
            key::PHONE_GOODS,
            SettingType::Choice(choices),
            text("휴대폰 결제의 상품 종류", "Goods sold by phone bill"),
            text(
                "휴대폰 결제 계약의 상품 종류와 같아야 합니다. 결제마다 phone_goods 옵션으로 바꿀 수 있습니다.",
                "Must be what the contract for phone bills says. The option phone_goods of a payment wins.",
            ),
            &[],
        )
    }
}

fn mobile_method() -> SettingField {
    let choices = vec![
        choice("card", text("신용카드(간편결제 포함)", "Card, with easy pay")),
        choice("transfer", text("실시간 계좌이체", "Bank transfer")),
        choice("virtual_account", text("가상계좌", "Virtual account")),
        choice("phone", text("휴대폰 소액결제", "Phone bill")),
    ];
    SettingField {
        default: Some("card".to_owned()),
        ..field(
            key::MOBILE_METHOD,
            SettingType::Choice(choices),
            text("모바일 기본 결제수단", "Method on phones when none was chosen"),
            text(
                "모바일 결제창은 결제수단 하나로 열립니다. 결제에 결제수단이 없을 때 이 수단으로 엽니다.",
                "The mobile window opens one method; this one when the payment names none.",
            ),
            &[],
        )
    }
}

fn mobile_charset() -> SettingField {
    let choices = vec![choice("utf8", text("UTF-8", "UTF-8")), choice("euc-kr", text("EUC-KR", "EUC-KR"))];
    SettingField {
        default: Some("utf8".to_owned()),
        ..field(
            key::MOBILE_CHARSET,
            SettingType::Choice(choices),
            text("모바일 결제 결과 문자셋", "Charset of mobile results"),
            text(
                "모바일 결제 결과의 문자셋(P_CHARSET)입니다. 결제창을 여는 폼은 언제나 EUC-KR입니다. 보통 바꾸지 않습니다.",
                "Of the results (P_CHARSET); the form that opens the window is always EUC-KR. Usually left alone.",
            ),
            &[],
        )
    }
}

fn app_scheme() -> SettingField {
    SettingField {
        pattern: Some("[A-Za-z][A-Za-z0-9+.-]*://[A-Za-z0-9._/-]*".to_owned()),
        ..field(
            key::APP_SCHEME,
            SettingType::Text,
            text("앱 스킴 (app_scheme)", "App scheme (app_scheme)"),
            text(
                "쇼핑몰 앱의 웹뷰에서 결제할 때, 카드 앱이 끝난 뒤 돌아올 앱의 스킴입니다(예: shop://). iOS에 필요합니다.",
                "For payments in a shop's app: the scheme by which card apps return to it (shop://). iOS needs it.",
            ),
            &[],
        )
    }
}

fn app_base() -> SettingField {
    SettingField {
        pattern: Some("[!-~]{1,40}".to_owned()),
        ..field(
            key::APP_BASE,
            SettingType::Text,
            text("P_APP_BASE", "P_APP_BASE"),
            text(
                "KG이니시스가 앱 결제용으로 안내한 P_APP_BASE 값이 있으면 그대로 입력하세요. 보통 비워 둡니다.",
                "The value of P_APP_BASE that KG INICIS told you to send from an app. Usually empty.",
            ),
            &[],
        )
    }
}

fn deposit_days() -> SettingField {
    field(
        key::DEPOSIT_DAYS,
        SettingType::Integer((1, DEPOSIT_DAYS_MAX)),
        text("가상계좌 입금기한(일)", "Days to pay into a virtual account"),
        text(
            "오늘부터 며칠 뒤 23:59까지 입금받을지 정합니다. 결제의 deposit_deadline 옵션이 우선합니다. 비우면 KG이니시스의 기본 기한입니다.",
            "Until 23:59 of that day. The option deposit_deadline of a payment wins. Empty: as INICIS decides.",
        ),
        &[],
    )
}

/// The host fills it in; INICIS's admin is where it goes (`inicis.md §3.1`).
fn notify_url() -> SettingField {
    field(
        "notify_url",
        SettingType::ReadOnly("notify_url".to_owned()),
        text("입금통보 URL", "Notice URL"),
        text(
            "상점관리자 > 상점정보 > 계약정보 > 결제수단정보 > 가상계좌에서 입금통보를 실시간 통보, URL 수신(일반)으로 하고 이 주소를 \
             등록하세요. 모바일 결제는 결제마다 자동으로 보냅니다.",
            "Merchant admin: shop info, contract info, payment methods, virtual account: real-time notice, URL reception \
             (general), this address. Mobile payments carry it by themselves.",
        ),
        &[],
    )
}

fn iniapi_version() -> SettingField {
    let choices = vec![choice("v2", text("v2 (기본)", "v2 (default)")), choice("v1", text("v1", "v1"))];
    SettingField {
        default: Some("v2".to_owned()),
        ..field(
            key::INIAPI_VERSION,
            SettingType::Choice(choices),
            text("INIAPI 취소 버전", "INIAPI version of cancels"),
            text(
                "취소와 환불 요청에 쓰는 INIAPI 버전입니다. v2를 쓸 수 없는 상점만 v1로 바꾸세요. 조회는 v2로 합니다.",
                "The version by which sales are cancelled. v1 only for merchants who cannot use v2. Inquiries use v2.",
            ),
            &[],
        )
    }
}
