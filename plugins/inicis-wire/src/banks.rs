//! Invariant: a bank's name is what `inicis.md §8.3` gives for its code; an unknown code stays a code.

use crate::Sentence;

/// A bank or securities house as INICIS numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bank {
    /// INICIS's code of two characters (`inicis.md §8.3`).
    pub code: &'static str,
    /// Name.
    pub name: Sentence,
}

const fn bank(code: &'static str, ko: &'static str, en: &'static str) -> Bank {
    Bank { code, name: Sentence { ko, en } }
}

/// Every code of `inicis.md §8.3`.
pub const BANKS: [Bank; 56] = [
    bank("02", "산업은행", "KDB"),
    bank("03", "기업은행", "IBK"),
    bank("04", "국민은행", "KB Kookmin Bank"),
    bank("05", "하나은행(구 외환)", "Hana Bank (former KEB)"),
    bank("06", "국민은행(구 주택)", "KB (former Housing)"),
    bank("07", "수협", "Suhyup"),
    bank("11", "농협", "NH"),
    bank("12", "단위농협", "Local NH"),
    bank("16", "축협", "Chukhyup"),
    bank("20", "우리은행", "Woori Bank"),
    bank("21", "조흥은행", "Chohung Bank"),
    bank("23", "SC제일은행", "SC Bank Korea"),
    bank("25", "서울은행", "Seoul Bank"),
    bank("26", "구 신한은행", "Former Shinhan Bank"),
    bank("27", "한국씨티은행(구 한미)", "Citibank Korea (former Hanmi)"),
    bank("31", "iM뱅크(대구)", "iM Bank (Daegu)"),
    bank("32", "부산은행", "Busan Bank"),
    bank("34", "광주은행", "Gwangju Bank"),
    bank("35", "제주은행", "Jeju Bank"),
    bank("37", "전북은행", "Jeonbuk Bank"),
    bank("39", "경남은행", "Kyongnam Bank"),
    bank("41", "BC카드", "BC Card"),
    bank("48", "신협", "Credit Union"),
    bank("50", "상호저축은행", "Mutual Savings Bank"),
    bank("53", "한국씨티은행", "Citibank Korea"),
    bank("54", "HSBC", "HSBC"),
    bank("55", "도이치은행", "Deutsche Bank"),
    bank("56", "ABN암로", "ABN AMRO"),
    bank("57", "JP모건", "JPMorgan"),
    bank("59", "MUFG은행", "MUFG"),
    bank("60", "BOA", "Bank of America"),
    bank("64", "산림조합", "Forestry Cooperative"),
    bank("70", "신안상호저축은행", "Shinan Savings Bank"),
    bank("71", "우체국", "Korea Post"),
    bank("81", "하나은행", "Hana Bank"),
    bank("83", "평화은행", "Peace Bank"),
    bank("87", "신세계", "Shinsegae"),
    bank("88", "신한은행", "Shinhan Bank"),
    bank("89", "케이뱅크", "K bank"),
    bank("90", "카카오뱅크", "KakaoBank"),
    bank("92", "토스뱅크", "Toss Bank"),
    bank("D1", "유안타증권(동양)", "Yuanta Securities (Tongyang)"),
    bank("D2", "현대증권", "Hyundai Securities"),
    bank("D3", "미래에셋증권", "Mirae Asset Securities"),
    bank("D4", "한국투자증권", "Korea Investment & Securities"),
    bank("D5", "우리투자증권", "Woori Investment & Securities"),
    bank("D6", "하이투자증권", "HI Investment & Securities"),
    bank("D7", "HMC투자증권", "HMC Investment Securities"),
    bank("D8", "SK증권", "SK Securities"),
    bank("D9", "대신증권", "Daishin Securities"),
    bank("DA", "하나대투증권", "Hana Daetoo Securities"),
    bank("DB", "굿모닝신한증권", "Good Morning Shinhan Securities"),
    bank("DC", "동부증권", "Dongbu Securities"),
    bank("DD", "유진투자증권", "Eugene Investment & Securities"),
    bank("DE", "메리츠증권", "Meritz Securities"),
    bank("DF", "신영증권", "Shinyoung Securities"),
];

/// The bank of a code. Deposit notices pad it with zeros to eight characters (`inicis.md §3.1`).
pub fn by_code(code: &str) -> Option<&'static Bank> {
    let tail = code.get(code.len().saturating_sub(2)..).unwrap_or(code);
    let padded =
        code.len() > 2 && code.get(..code.len() - 2).is_some_and(|head| head.bytes().all(|b| b == b'0'));
    BANKS.iter().find(|bank| bank.code == if padded { tail } else { code })
}

/// KFTC's codes of banks and INICIS's.
///
/// Source: PortOne's public table of bank codes per gateway (`portone-io/developers.portone.io`,
/// `src/routes/(root)/opi/ko/support/code-info/pg-1.mdx`): its INICIS column beside that of the gateways that use KFTC's
/// three digits. Every code but 45 is also in `inicis.md §8.3`. Banks that it lacks have no code here.
pub const KFTC: [(&str, &str); 22] = [
    ("002", "02"),
    ("003", "03"),
    ("004", "04"),
    ("007", "07"),
    ("011", "11"),
    ("012", "12"),
    ("020", "20"),
    ("023", "23"),
    ("027", "27"),
    ("031", "31"),
    ("032", "32"),
    ("034", "34"),
    ("037", "37"),
    ("039", "39"),
    ("045", "45"),
    ("048", "48"),
    ("071", "71"),
    ("081", "81"),
    ("088", "88"),
    ("089", "89"),
    ("090", "90"),
    ("092", "92"),
];

/// INICIS's code of a KFTC code.
pub fn of_kftc(kftc: &str) -> Option<&'static str> {
    KFTC.iter().find(|(code, _)| *code == kftc).map(|(_, ours)| *ours)
}

/// The KFTC code of a code of INICIS; empty where no public table has one.
pub fn kftc(code: &str) -> &'static str {
    KFTC.iter().find(|(_, ours)| *ours == code).map_or("", |(kftc, _)| *kftc)
}
