//! Invariant: every secret says what it may be used for, and every field says where a shop finds its value
//! (forms: `inicis.md §0.1`; places: the channel guide of seed 004, and INICIS's public FAQ on INIAPI, which names "shop info,
//! contract info, additional info").

use inicis_wire::recipe::secret;

use super::{strings, text};
use crate::bindings::exports::payhost::plugin::plugin::{Choice, SecretUse, SettingField, SettingType};
use crate::bindings::payhost::plugin::types::Text;
use crate::channel::key;

/// A field that is always shown and new in this version.
pub(super) fn field(
    key: &str,
    kind: SettingType,
    title: Text,
    help: Text,
    required_for: &[&str],
) -> SettingField {
    SettingField {
        key: key.to_owned(),
        kind,
        pattern: None,
        title,
        help,
        default: None,
        required_for: strings(required_for),
        shown_when: None,
        renamed_from: None,
    }
}

pub(super) fn choice(value: &str, label: Text) -> Choice {
    Choice { value: value.to_owned(), label }
}

/// 32 characters that look like base64, used as text (`inicis.md §0.1`).
const BASE64_32: &str = "[A-Za-z0-9+/=]{32}";
/// 16 characters (`inicis.md §0.1`).
const VISIBLE_16: &str = "[!-~]{16}";
const IPV4: &str =
    r"((25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])\.){3}(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])";

/// The channel form, in order.
pub fn fields() -> Vec<SettingField> {
    let mut fields = vec![merchant()];
    fields.extend(secrets());
    fields.extend([lookup_by(), settles_within(), undo_within(), client_ip(), pc_script_host()]);
    fields.extend(super::windows::fields());
    fields
}

fn merchant() -> SettingField {
    SettingField {
        pattern: Some("[A-Za-z0-9]{10}".to_owned()),
        ..field(
            key::MID,
            SettingType::Text,
            text("상점 아이디 (MID)", "Merchant id (MID)"),
            text(
                "KG이니시스와 계약하고 받은 10자리 아이디입니다. 키는 상점 아이디마다 다릅니다.",
                "The id of 10 characters from your contract with KG INICIS. Keys differ for every merchant id.",
            ),
            &["pay", "billing", "key_in", "escrow"],
        )
    }
}

fn secrets() -> Vec<SettingField> {
    let secret_field =
        |key: &str, uses: Vec<SecretUse>, pattern: &str, title: Text, help: Text, purposes: &[&str]| {
            SettingField {
                pattern: Some(pattern.to_owned()),
                ..field(key, SettingType::Secret(uses), title, help, purposes)
            }
        };
    vec![
        secret_field(
            secret::SIGN_KEY,
            vec![SecretUse::Digest],
            BASE64_32,
            text("웹결제 signkey", "Web payment sign key"),
            text(
                "상점관리자 > 상점정보 > 계약정보 > 부가정보 > 웹결제 signkey 생성 조회에서 확인하세요. PC 결제창의 서명에 씁니다.",
                "Merchant admin: shop info, contract info, additional info, web signkey. Signs payments on a PC.",
            ),
            &["pay", "escrow"],
        ),
        secret_field(
            secret::INIAPI_KEY,
            vec![SecretUse::Digest, SecretUse::AesEncrypt(secret::INIAPI_IV.to_owned())],
            VISIBLE_16,
            text("INIAPI key", "INIAPI key"),
            text(
                "상점관리자 > 상점정보 > 계약정보 > 부가정보 > INIAPI key 생성 조회에서 확인하세요. 취소와 거래 조회에 씁니다.",
                "Merchant admin: shop info, contract info, additional info, INIAPI key. Used for cancels and inquiries.",
            ),
            &["pay", "billing", "key_in", "escrow"],
        ),
        secret_field(
            secret::INIAPI_IV,
            vec![SecretUse::Iv],
            VISIBLE_16,
            text("INIAPI IV", "INIAPI IV"),
            text(
                "INIAPI key 옆에 있는 16자리 값입니다. 가상계좌 환불과 수기결제에서 계좌·카드번호를 암호화할 때 씁니다.",
                "The 16 characters beside the INIAPI key. Encrypts account and card numbers.",
            ),
            &["key_in"],
        ),
        secret_field(
            secret::MOBILE_HASH_KEY,
            vec![SecretUse::Digest],
            "[0-9A-Fa-f]{32}",
            text("모바일 hashkey", "Mobile hash key"),
            text(
                "상점관리자에서 확인하는 32자리 모바일 hashkey입니다. 없으면 모바일 결제창을 열 수 없습니다.",
                "The mobile hash key of 32 characters from the merchant admin. Without it the mobile window cannot be opened.",
            ),
            &[],
        ),
        secret_field(
            secret::INILITE_KEY,
            vec![SecretUse::Digest],
            BASE64_32,
            text("INILite key", "INILite key"),
            text(
                "상점관리자 > 상점정보 > 계약정보 > INILite Key 생성 조회에서 확인하세요. 정기결제 등록 창에만 씁니다.",
                "Merchant admin: shop info, contract info, INILite key. Used only for the billing-key window.",
            ),
            &["billing"],
        ),
    ]
}

fn lookup_by() -> SettingField {
    let choices = vec![
        choice("gateway_ref", text("거래번호(TID)로만", "By the gateway's number (TID) only")),
        choice("order_ref", text("주문번호로", "By order number")),
    ];
    SettingField {
        default: Some("gateway_ref".to_owned()),
        ..field(
            key::LOOKUP_BY,
            SettingType::Choice(choices),
            text("거래 조회 방식", "How sales are looked up"),
            text(
                "주문번호 중복방지 계약이 있으면 '주문번호로'를 선택하세요. 승인 응답을 잃었을 때 결제 여부를 바로 확인할 수 있습니다.",
                "Choose the order number if you have the contract for duplicate-order prevention: a payment whose answer was \
                 lost can then be looked up at once.",
            ),
            &[],
        )
    }
}

/// INICIS documents neither this nor the next (`inicis.md §1.10, §11`): whoever has asked INICIS can fill them in.
fn settles_within() -> SettingField {
    field(
        key::SETTLES_WITHIN,
        SettingType::Integer((1, 86_400)),
        text("승인 확정까지 걸리는 시간(초)", "Seconds until a sale is settled"),
        text(
            "응답을 잃은 승인·취소 요청이 이 시간 뒤에는 더 이상 처리되지 않습니다. KG이니시스에 확인한 경우에만 입력하세요. 비우면 15분으로 봅니다.",
            "After this long a request whose answer was lost is not carried out any more. Fill it in only if KG INICIS told \
             you; empty: 15 minutes.",
        ),
        &[],
    )
}

fn undo_within() -> SettingField {
    field(
        key::UNDO_WITHIN,
        SettingType::Integer((1, 86_400)),
        text("망취소 가능 시간(초)", "Seconds while an approval can be undone"),
        text(
            "승인 뒤 망취소를 받아 주는 시간입니다. KG이니시스에 확인한 경우에만 입력하세요. 비우면 10분으로 봅니다.",
            "How long after an approval a net cancel is taken. Fill it in only if KG INICIS told you; empty: 10 minutes.",
        ),
        &[],
    )
}

fn client_ip() -> SettingField {
    SettingField {
        pattern: Some(IPV4.to_owned()),
        default: Some("127.0.0.1".to_owned()),
        ..field(
            key::CLIENT_IP,
            SettingType::Text,
            text("INIAPI 요청 IP", "Client address for INIAPI"),
            text(
                "취소와 조회 요청에 넣어 보내는 서버의 IPv4 주소(clientIp)입니다.",
                "The server's IPv4 address that cancels and inquiries name (clientIp).",
            ),
            &[],
        )
    }
}

fn pc_script_host() -> SettingField {
    let choices = vec![
        choice("stdpay", text("stdpay.inicis.com (기본)", "stdpay.inicis.com (default)")),
        choice("stgstdpay", text("stgstdpay.inicis.com (테스트 서버)", "stgstdpay.inicis.com (staging)")),
    ];
    SettingField {
        default: Some("stdpay".to_owned()),
        ..field(
            key::PC_SCRIPT_HOST,
            SettingType::Choice(choices),
            text("PC 결제창 서버", "Server of the PC window"),
            text(
                "보통 바꾸지 않습니다. 테스트 상점은 두 서버 모두에서 쓰인 예가 있습니다.",
                "Usually left alone. Test merchants have been used with both.",
            ),
            &[],
        )
    }
}
