//! Invariant: every code here is in `reference/inicis.md` §8.2 or §8.4; texts are the simulator's own translation.

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

/// Declines that a person can choose in the window, all of the card network (500).
pub const DECLINES: &[&str] = &["500644", "500645", "500601", "500606", "500607", "500638", "500055"];

const SUFFIXES: &[(&str, &str)] = &[
    ("050", "수신 실패"),
    ("051", "송신 실패"),
    ("052", "접속 실패"),
    ("055", "통신 장애"),
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
    ("623", "해당 거래 없음"),
    ("625", "부분취소 후 전체취소 불가"),
    ("626", "기 취소 거래"),
    ("631", "중복 타임스탬프"),
    ("632", "데이터 위변조"),
    ("633", "위변조 검증값 없음"),
    ("636", "거래번호 길이 오류"),
    ("638", "카드 유효기간 오류"),
    ("644", "1회 한도 초과"),
    ("645", "1일 한도 초과"),
    ("656", "부가세 오류"),
    ("699", "부분취소 불가 결제수단"),
    ("700", "원거래 번호가 아님"),
    ("701", "부분취소 금액이 0 이하"),
    ("706", "취소 후 남은 금액 불일치"),
    ("749", "전체 금액은 부분취소로 취소할 수 없음"),
    ("826", "취소 가능 금액 초과"),
];

/// Korean text of a six-digit code by its suffix.
#[must_use]
pub fn text(code: &str) -> &'static str {
    let suffix = code.get(3..).unwrap_or_default();
    SUFFIXES.iter().find(|(s, _)| *s == suffix).map_or("거절", |(_, text)| text)
}

/// Name of a card company by its code.
#[must_use]
pub fn card_name(code: &str) -> Option<&'static str> {
    CARDS.iter().find(|(c, _)| *c == code).map(|(_, name)| *name)
}
