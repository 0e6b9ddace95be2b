//! Invariant: every code here is in `reference/inicis.md` §8.2, §8.3 or §8.4; texts are the simulator's own translation.

/// Cards that the window offers: code (§8.2) and name. Points and money of wallets are no card to choose.
pub const CARDS: &[(&str, &str)] = &[
    ("04", "현대"),
    ("12", "삼성"),
    ("14", "신한"),
    ("11", "BC"),
    ("06", "국민"),
    ("03", "롯데"),
    ("17", "하나SK"),
    ("16", "NH"),
    ("01", "외환"),
    ("15", "한미"),
    ("21", "해외 비자"),
    ("22", "해외 마스터"),
    ("23", "JCB"),
    ("24", "아멕스"),
    ("25", "다이너스"),
];

/// KB cannot be used with a test merchant (§8.1). KakaoBank has no card code of its own in §8.2.
pub const CARD_KB: &str = "06";

/// Suffixes of the declines that a person can choose in the window; the method's network stands before them.
pub const DECLINES: &[&str] = &["644", "645", "601", "606", "607", "638", "055"];

const SUFFIXES: &[(&str, &str)] = &[
    ("050", "수신 실패"),
    ("051", "송신 실패"),
    ("052", "접속 실패"),
    ("055", "통신 장애"),
    ("105", "DB 등록 실패"),
    ("106", "DB 조회 실패"),
    ("108", "DB 갱신 실패"),
    ("127", "부분취소 실패 (중복 요청 가능성)"),
    ("200", "가맹점 키 오류"),
    ("201", "암호화 오류"),
    ("202", "서명 오류"),
    ("263", "취소 거래번호 불일치"),
    ("400", "등록되지 않은 가맹점"),
    ("403", "서비스가 개시되지 않은 가맹점"),
    ("412", "부분취소 계약이 없는 가맹점"),
    ("601", "카드번호 오류"),
    ("606", "결제수단 오류"),
    ("607", "할부개월 오류"),
    ("608", "1,000원 미만 결제 불가"),
    ("609", "금액이 숫자가 아님"),
    ("610", "금액 위변조"),
    ("611", "통화 오류"),
    ("613", "상점아이디 길이 오류"),
    ("619", "중복 주문번호"),
    ("621", "다른 가맹점의 거래"),
    ("622", "취소 권한이 없는 가맹점"),
    ("623", "해당 거래 없음"),
    ("625", "부분취소 후 전체취소 불가"),
    ("626", "기 취소 거래"),
    ("628", "취소할 수 없는 거래"),
    ("630", "중복 거래번호"),
    ("631", "중복 타임스탬프"),
    ("632", "데이터 위변조"),
    ("633", "위변조 검증값 없음"),
    ("634", "가맹점 키 없음"),
    ("636", "거래번호 길이 오류"),
    ("638", "카드 유효기간 오류"),
    ("640", "입금기한 날짜 오류"),
    ("641", "입금기한 시각 오류"),
    ("644", "1회 한도 초과"),
    ("645", "1일 한도 초과"),
    ("652", "은행 점검 중"),
    ("656", "부가세 오류"),
    ("659", "현금영수증 중복 발급"),
    ("667", "취소 가능 기간 경과"),
    ("685", "에스크로 거래는 에스크로로 취소"),
    ("690", "100원 미만 취소 불가"),
    ("699", "부분취소 불가 결제수단"),
    ("700", "원거래 번호가 아님"),
    ("701", "부분취소 금액이 0 이하"),
    ("703", "부분취소 금액 불일치"),
    ("704", "이미 부분취소된 거래"),
    ("705", "부분취소 횟수 초과"),
    ("706", "취소 후 남은 금액 불일치"),
    ("707", "카드사 부분취소 거절"),
    ("708", "주문번호 없음"),
    ("709", "이메일 오류"),
    ("714", "취소 가능 기간 경과"),
    ("749", "전체 금액은 부분취소로 취소할 수 없음"),
    ("772", "취소가 진행 중"),
    ("826", "취소 가능 금액 초과"),
    ("906", "가맹점 취소 한도 소진"),
    ("937", "200원 미만 취소 불가"),
    ("954", "가상계좌 채번 지연"),
];

/// Banks of §8.3 that a window offers.
pub const BANKS: &[(&str, &str)] = &[
    ("88", "신한은행"),
    ("04", "국민은행"),
    ("20", "우리은행"),
    ("11", "농협"),
    ("03", "기업은행"),
    ("81", "하나은행"),
    ("71", "우체국"),
    ("23", "SC제일은행"),
    ("31", "iM뱅크"),
    ("32", "부산은행"),
    ("39", "경남은행"),
    ("34", "광주은행"),
    ("07", "수협"),
];

/// All bank and securities codes of §8.3: an account to refund to may be at any of them.
pub const BANK_CODES: &[&str] = &[
    "02", "03", "04", "05", "06", "07", "11", "12", "16", "20", "21", "23", "25", "26", "27", "31", "32",
    "34", "35", "37", "39", "41", "48", "50", "53", "54", "55", "56", "57", "59", "60", "64", "70", "71",
    "81", "83", "87", "88", "89", "90", "92", "D1", "D2", "D3", "D4", "D5", "D6", "D7", "D8", "D9", "DA",
    "DB", "DC", "DD", "DE", "DF",
];

/// Money and points of wallets as card codes (§8.2).
const MONEY: &[(&str, &str)] = &[
    ("91", "네이버 포인트"),
    ("93", "토스 머니"),
    ("94", "SSG 머니"),
    ("96", "L.POINT"),
    ("97", "카카오 머니"),
    ("98", "페이코 포인트"),
];

/// Korean text of a six-digit code by its suffix.
#[must_use]
pub fn text(code: &str) -> &'static str {
    let suffix = code.get(3..).unwrap_or_default();
    SUFFIXES.iter().find(|(s, _)| *s == suffix).map_or("거절", |(_, text)| text)
}

/// Name of a card company, or of a wallet's money, by its code.
#[must_use]
pub fn card_name(code: &str) -> Option<&'static str> {
    CARDS.iter().chain(MONEY).find(|(c, _)| *c == code).map(|(_, name)| *name)
}

/// Whether a card company can be chosen or restricted in a request. 34 is Hana on the request side only (§8.2).
#[must_use]
pub fn is_card(code: &str) -> bool {
    code == "34" || CARDS.iter().any(|(c, _)| *c == code)
}

/// Name of a bank that a window offers.
#[must_use]
pub fn bank_name(code: &str) -> &'static str {
    BANKS.iter().find(|(c, _)| *c == code).map_or("", |(_, name)| *name)
}
