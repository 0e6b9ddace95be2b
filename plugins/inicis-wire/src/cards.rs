//! Invariant: a card company's name is what `inicis.md §8.2` gives for its code; an unknown code stays a code.

use crate::Sentence;

/// A card company as INICIS numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Card {
    /// `CARD_Code` (`inicis.md §8.2`).
    pub code: &'static str,
    /// KFTC's code of three digits; empty where no public table has one.
    ///
    /// Source: PortOne's public table of card codes (`portone-io/developers.portone.io`,
    /// `src/routes/(root)/opi/ko/support/code-info/card-code.mdx`), to which the INICIS guide (seed 002) points for KFTC's codes.
    pub kftc: &'static str,
    /// Name.
    pub name: Sentence,
}

const fn card(code: &'static str, kftc: &'static str, ko: &'static str, en: &'static str) -> Card {
    Card { code, kftc, name: Sentence { ko, en } }
}

/// Every code of `inicis.md §8.2`; 34 is of the request side.
pub const CARDS: [Card; 22] = [
    card("01", "", "외환카드", "KEB Card"),
    card("03", "368", "롯데카드", "Lotte Card"),
    card("04", "367", "현대카드", "Hyundai Card"),
    card("06", "381", "국민카드", "KB Card"),
    card("11", "361", "BC카드", "BC Card"),
    card("12", "365", "삼성카드", "Samsung Card"),
    card("14", "366", "신한카드", "Shinhan Card"),
    card("15", "", "한미카드", "Hanmi Card"),
    card("16", "371", "NH카드", "NH Card"),
    card("17", "374", "하나SK카드", "Hana SK Card"),
    card("21", "", "해외비자카드", "Visa (abroad)"),
    card("22", "", "해외마스터카드", "Mastercard (abroad)"),
    card("23", "", "JCB카드", "JCB"),
    card("24", "", "해외아멕스카드", "American Express (abroad)"),
    card("25", "", "해외다이너스카드", "Diners Club (abroad)"),
    card("34", "", "하나카드", "Hana Card"),
    card("91", "", "네이버포인트", "Naver Point"),
    card("93", "", "토스머니", "Toss Money"),
    card("94", "", "SSG머니", "SSG Money"),
    card("96", "", "엘포인트", "L.point"),
    card("97", "", "카카오머니", "Kakao Money"),
    card("98", "", "페이코포인트", "Payco Point"),
];

/// The card company of a code.
pub fn by_code(code: &str) -> Option<&'static Card> {
    CARDS.iter().find(|card| card.code == code)
}

/// Cards of Korean companies (`inicis.md §8.2`): "every card" of an instalment without interest.
pub const KOREAN: [&str; 9] = ["01", "03", "04", "06", "11", "12", "14", "16", "17"];

/// INICIS's code of a code that a shop wrote: INICIS's own of two digits, or KFTC's of three.
pub fn wished(code: &str) -> Option<&'static str> {
    let same = |card: &&Card| card.code == code || (code.len() == 3 && card.kftc == code);
    CARDS.iter().find(same).map(|card| card.code)
}
