//! Invariant: a preset is a public test merchant with its public keys, and its notes say that it moves real money
//! (`inicis.md §8.1`, channel guide of seed 004).

use inicis_wire::merchants::{TEST_MERCHANTS, TestMerchant};

use super::{strings, text};
use crate::bindings::exports::payhost::plugin::plugin::Preset;
use crate::bindings::payhost::plugin::types::{Named, Text};
use crate::channel::key;

/// One preset per public test merchant.
pub fn presets() -> Vec<Preset> {
    TEST_MERCHANTS.iter().map(preset).collect()
}

fn preset(merchant: &TestMerchant) -> Preset {
    let (id, title) = match merchant.purpose {
        "pay" => {
            ("test_pay", text("테스트 상점: 일반결제 (INIpayTest)", "Test merchant: payments (INIpayTest)"))
        }
        "escrow" => {
            ("test_escrow", text("테스트 상점: 에스크로 (iniescrow0)", "Test merchant: escrow (iniescrow0)"))
        }
        _ => (
            "test_billing",
            text("테스트 상점: 정기결제 (INIBillTst)", "Test merchant: billing (INIBillTst)"),
        ),
    };
    let pair = |name: &str, value: &str| Named { name: name.to_owned(), value: value.to_owned() };
    let mut settings = vec![pair(key::MID, merchant.mid)];
    settings.extend(merchant.keys.iter().map(|(name, value)| pair(name, value)));
    Preset { id: id.to_owned(), title, notes: notes(), purposes: strings(&[merchant.purpose]), settings }
}

fn notes() -> Vec<Text> {
    vec![
        text(
            "테스트 상점이지만 실제로 출금되고, 매일 23:00~23:50 사이에 자동 취소됩니다.",
            "Test merchants charge real money; it is reversed automatically every day between 23:00 and 23:50 (Korean time).",
        ),
        text(
            "국민카드는 테스트할 수 없습니다(카카오뱅크 등 국민카드 계열 포함).",
            "KB cards cannot be tested, nor cards of its family such as KakaoBank.",
        ),
        text(
            "결제창에 카카오페이와 네이버페이가 보이지만, 실제로는 이니시스와 계약할 때 신청한 상점만 쓸 수 있습니다.",
            "The window shows KakaoPay and NaverPay, but only merchants who contracted for them can use them.",
        ),
    ]
}
