//! `plugin.check`: the doctor (`inicis.md §0.1, §8.1`).
//!
//! Invariant: it changes nothing; it asks only harmless questions ([`probe`]); what it cannot know it does not say.

mod probe;

use inicis_wire::iniapi::is_ipv4;
use inicis_wire::merchants::{self, MID_PREFIXES, TEST_MIDS, TestMerchant};
use inicis_wire::recipe::{Algorithm, Part, Recipe, secret};

use crate::bindings::exports::payhost::plugin::plugin::{Finding, Severity};
use crate::bindings::payhost::plugin::types::{Context, Mode, Text};
use crate::channel::{self, key};
use crate::host;

fn text(ko: &str, en: &str) -> Text {
    Text { ko: ko.to_owned(), en: en.to_owned() }
}

fn finding(severity: Severity, setting: &str, says: Text, remedy: Option<Text>) -> Finding {
    Finding { severity, setting: Some(setting.to_owned()), text: says, remedy }
}

/// Everything that can be said of the channel.
pub fn findings(context: &Context) -> Vec<Finding> {
    let mut found = Vec::new();
    merchant(context, &mut found);
    secrets(context, &mut found);
    public_keys(context, &mut found);
    inquiry(context, &mut found);
    probe::findings(context, &mut found);
    found
}

fn merchant(context: &Context, found: &mut Vec<Finding>) {
    let mid = channel::setting(context, key::MID);
    if !channel::is_mid(mid) {
        let remedy =
            text("계약할 때 받은 상점 아이디를 입력하세요.", "Enter the merchant id of your contract.");
        let says = text(
            "상점 아이디(MID)는 영문과 숫자 10자입니다.",
            "A merchant id (MID) is 10 letters or digits.",
        );
        found.push(finding(Severity::Error, key::MID, says, Some(remedy)));
        return;
    }
    let test = TEST_MIDS.contains(&mid);
    match (context.mode, test) {
        (Mode::Live, true) => found.push(finding(
            Severity::Error,
            key::MID,
            text("운영 채널에 테스트 상점 아이디가 설정되어 있습니다.", "A live channel has a test merchant."),
            Some(text("계약한 상점 아이디와 그 상점의 키로 바꾸세요.", "Use your own merchant id and its keys.")),
        )),
        (Mode::Test, true) => found.push(finding(
            Severity::Hint,
            key::MID,
            text(
                "테스트 상점은 실제로 출금되고 매일 23:00~23:50에 자동 취소됩니다.",
                "A test merchant charges real money, which is reversed every night between 23:00 and 23:50.",
            ),
            None,
        )),
        (Mode::Test, false) => found.push(finding(
            Severity::Warning,
            key::MID,
            text(
                "테스트 채널에 계약 상점이 설정되어 있습니다. 결제는 실제로 이루어지고 자동 취소되지 않습니다.",
                "A test channel has a contracted merchant: its payments are real and nobody reverses them.",
            ),
            Some(text("테스트에는 INIpayTest를 쓰세요.", "Use INIpayTest for tests.")),
        )),
        (Mode::Live, false) => {}
    }
    if MID_PREFIXES.iter().any(|(prefix, pays)| !pays && mid.starts_with(prefix)) {
        let says = text(
            "이 상점 아이디는 본인인증용으로 보입니다.",
            "This merchant id looks like one for identity checks.",
        );
        let remedy = text("결제용 상점 아이디인지 확인하세요.", "Make sure that it is for payments.");
        found.push(finding(Severity::Hint, key::MID, says, Some(remedy)));
    }
}

/// Secret, how bad it is to lack it, what for, and where it is found.
const WANTED: [(&str, Severity, &str, &str); 4] = [
    (
        secret::SIGN_KEY,
        Severity::Error,
        "웹결제 signkey가 없습니다. 결제창을 열 수 없습니다.",
        "The web payment sign key is missing. The window cannot be opened.",
    ),
    (
        secret::INIAPI_KEY,
        Severity::Error,
        "INIAPI key가 없습니다. 취소와 거래 조회를 할 수 없습니다.",
        "The INIAPI key is missing. Sales can be neither cancelled nor asked about.",
    ),
    (
        secret::MOBILE_HASH_KEY,
        Severity::Warning,
        "모바일 hashkey가 없습니다. 휴대폰에서 결제창을 열 수 없습니다.",
        "The mobile hash key is missing. The window cannot be opened on phones.",
    ),
    (
        secret::INIAPI_IV,
        Severity::Hint,
        "INIAPI IV가 없습니다. 가상계좌 입금을 환불할 수 없습니다.",
        "The INIAPI IV is missing. Deposits to virtual accounts cannot be given back.",
    ),
];

fn secrets(context: &Context, found: &mut Vec<Finding>) {
    for (name, severity, ko, en) in WANTED {
        if !context.secrets.iter().any(|set| set == name) {
            let remedy = text(
                "상점관리자 > 상점정보 > 계약정보 > 부가정보에서 키를 조회해 입력하세요.",
                "Look it up in the merchant admin: shop info, contract info, additional info.",
            );
            found.push(finding(severity, name, text(ko, en), Some(remedy)));
        }
    }
}

/// Whether a secret has this value: both are hashed, neither is seen.
fn is(name: &'static str, value: &str) -> bool {
    let ours = host::digest(Recipe::of_text(Algorithm::Sha256, value.to_owned()));
    let set = host::digest(Recipe::of(Algorithm::Sha256, [Part::Secret(name)]));
    matches!((ours, set), (Ok(a), Ok(b)) if a == b)
}

fn digestible(merchant: &TestMerchant) -> impl Iterator<Item = (&'static str, &'static str)> {
    let keys = [secret::SIGN_KEY, secret::INIAPI_KEY, secret::MOBILE_HASH_KEY, secret::INILITE_KEY];
    merchant
        .keys
        .iter()
        .filter_map(move |(name, value)| keys.iter().find(|key| *key == name).map(|key| (*key, *value)))
}

/// A test merchant works with its own public keys only, and a contracted merchant never with those.
fn public_keys(context: &Context, found: &mut Vec<Finding>) {
    let mid = channel::setting(context, key::MID);
    let set = |name: &str| context.secrets.iter().any(|secret| secret == name);
    if let Some(merchant) = merchants::test_merchant(mid) {
        for (name, value) in digestible(merchant).filter(|(name, _)| set(name)) {
            if !is(name, value) {
                let says = text(
                    "이 테스트 상점의 공개 키가 아닙니다.",
                    "This is not the public key of this test merchant.",
                );
                let remedy = text(
                    "테스트 채널 프리셋을 다시 적용하세요.",
                    "Apply the preset of the test merchant again.",
                );
                found.push(finding(Severity::Error, name, says, Some(remedy)));
            }
        }
        return;
    }
    let public = merchants::TEST_MERCHANTS.iter().flat_map(digestible);
    let mut named: Vec<&str> = Vec::new();
    for (name, value) in public.filter(|(name, _)| set(name)) {
        if !named.contains(&name) && is(name, value) {
            named.push(name);
            let says = text(
                "테스트 상점의 공개 키입니다. INICIS가 거절합니다.",
                "This is a test merchant's public key; INICIS will refuse it.",
            );
            let remedy = text("계약한 상점의 키로 바꾸세요.", "Use the key of your own merchant.");
            found.push(finding(Severity::Error, name, says, Some(remedy)));
        }
    }
}

fn inquiry(context: &Context, found: &mut Vec<Finding>) {
    if !is_ipv4(channel::setting(context, key::CLIENT_IP)) {
        let says = text("INIAPI에 보낼 주소는 IPv4여야 합니다.", "The address for INIAPI must be IPv4.");
        let remedy =
            text("서버의 공인 IPv4 주소를 입력하세요.", "Enter the public IPv4 address of the server.");
        found.push(finding(Severity::Error, key::CLIENT_IP, says, Some(remedy)));
    }
    if !channel::asks_by_order(context) {
        let says = text(
            "주문번호로 거래를 조회할 수 없는 설정입니다. 승인 응답을 잃으면 망취소로만 정리됩니다.",
            "Sales cannot be asked about by order number. An approval whose answer is lost can only be taken back.",
        );
        let remedy = text(
            "KG이니시스와 주문번호 중복방지 계약을 했다면 조회 방식을 주문번호로 바꾸세요.",
            "With the contract for duplicate-order prevention, set the look-up to the order number.",
        );
        found.push(finding(Severity::Hint, key::LOOKUP_BY, says, Some(remedy)));
    }
}
