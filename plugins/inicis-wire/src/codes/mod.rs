//! Result codes of INICIS: their class and a sentence that a person can act on (`inicis.md §1.12, §8.4`).
//!
//! Invariant: a code that is not in a table says nothing; it gets the class and the sentence of its operation, never a guess.

mod table;

use crate::Sentence;

/// Class of a refusal, from the host's registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The card company, bank or buyer said no.
    Declined,
    /// Too much, too little, too often.
    Limit,
    /// Too old to be taken.
    Expired,
    /// Was asked before.
    Duplicate,
    /// There is no such sale.
    NotFound,
    /// Was cancelled before, all of it: nothing is held any more. What speaks of a part is not of this class.
    AlreadyCancelled,
    /// A cancel came too late.
    TooLate,
    /// Needs a contract.
    NotContracted,
    /// Not with this method.
    UnsupportedMethod,
    /// Keys or hashes.
    Signature,
    /// The gateway or what stands behind it does not work.
    GatewayDown,
    /// Anything else.
    Other,
}

impl Class {
    /// The registry's word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Declined => "declined",
            Self::Limit => "limit",
            Self::Expired => "expired",
            Self::Duplicate => "duplicate",
            Self::NotFound => "not_found",
            Self::AlreadyCancelled => "already_cancelled",
            Self::TooLate => "too_late",
            Self::NotContracted => "not_contracted",
            Self::UnsupportedMethod => "unsupported_method",
            Self::Signature => "signature",
            Self::GatewayDown => "gateway_down",
            Self::Other => "other",
        }
    }
}

/// What was asked when the no came; it gives the sentence of an unknown code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// The buyer in the window.
    Authenticate,
    /// Approval.
    Approve,
    /// Net cancel.
    NetCancel,
    /// Refund.
    Cancel,
    /// Inquiry.
    Inquire,
    /// A virtual account by API.
    Issue,
}

/// A class with its sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meaning {
    /// Class.
    pub class: Class,
    /// Sentence.
    pub sentence: Sentence,
}

struct Row {
    code: &'static str,
    meaning: Meaning,
}

const fn row(code: &'static str, class: Class, ko: &'static str, en: &'static str) -> Row {
    Row { code, meaning: Meaning { class, sentence: Sentence { ko, en } } }
}

/// Networks whose six-digit codes share the suffixes (`inicis.md §8.4`).
const NETWORKS: [&str; 12] =
    ["500", "501", "503", "504", "506", "507", "509", "511", "512", "516", "550", "556"];

/// Codes that are not six digits (`inicis.md §1.12, §8.4`).
const WINDOW: [Row; 9] = [
    row(
        "V023",
        Class::Other,
        "결제창을 연 페이지와 결과를 받을 주소의 도메인이 다릅니다. 상점의 접속 주소(public_url)를 확인해 주세요.",
        "The page and its return address have different domains. Check the shop's public_url.",
    ),
    row("R201", Class::Duplicate, "이미 승인된 결제입니다.", "This payment was approved before."),
    row(
        "MX1002",
        Class::GatewayDown,
        "결제 요청이 일시적으로 실패했습니다. 잠시 후 다시 시도해 주세요.",
        "The request failed for the moment. Try again later.",
    ),
    row("MX1003", Class::Other, "결제 금액이 없습니다.", "The amount is missing."),
    row(
        "MX1006",
        Class::Other,
        "휴대폰 결제의 상품 종류가 계약과 다릅니다. phone_goods(디지털·실물)를 확인해 주세요.",
        "The goods type of phone payment is wrong. Check phone_goods (digital or physical).",
    ),
    row(
        "MX2001",
        Class::NotContracted,
        "상점 아이디가 올바르지 않습니다. 채널의 상점 아이디를 확인해 주세요.",
        "The merchant id is wrong. Check the channel's merchant id.",
    ),
    row(
        "MX2002",
        Class::NotContracted,
        "이 상점 아이디에 모바일 결제가 개통되지 않았습니다. KG이니시스에 문의해 주세요.",
        "Mobile payment is not opened for this merchant. Ask KG INICIS.",
    ),
    row(
        "MX2003",
        Class::NotContracted,
        "이 상점 아이디에 선택한 결제수단이 개통되지 않았습니다. KG이니시스에 문의해 주세요.",
        "The method is not opened for this merchant. Ask KG INICIS.",
    ),
    row("MX3001", Class::Other, "숫자만 쓰는 항목에 문자가 있습니다.", "A numeric field has letters."),
];

/// The three digits that carry the meaning of a six-digit code of a network that we know.
fn suffix(code: &str) -> Option<&str> {
    let known = code.len() == 6 && NETWORKS.iter().any(|network| code.starts_with(network));
    known.then(|| code.get(3..))?
}

/// What a code means. One that is in no table is of the class `other`; the bare failure of the phone and of INIAPI (`01`, `inicis.md
/// §0.2, §5.2`) is its operation's own.
pub fn meaning(code: &str, operation: Operation) -> Meaning {
    let listed = match suffix(code) {
        Some(suffix) => table::SUFFIXES.iter().find(|row| row.code == suffix),
        None => WINDOW.iter().find(|row| row.code == code),
    };
    let unlisted = || {
        let meaning = unknown(operation);
        // At the window nothing was asked for yet: every no there is the buyer's or the bank's.
        let bare = code == "01" || operation == Operation::Authenticate;
        if bare { meaning } else { Meaning { class: Class::Other, ..meaning } }
    };
    listed.map_or_else(unlisted, |row| row.meaning)
}

/// The code of a mobile "no", which has no field for one: `MX1002` … or six digits of the table where the words name them as a
/// word of their own (codes stand in the words, `inicis.md §2.4`; the lists are those of §8.4), else `P_STATUS`.
pub fn mobile_code(status: &str, words: &str) -> String {
    let listed = |word: &&str| match suffix(word) {
        Some(suffix) => table::SUFFIXES.iter().any(|row| row.code == suffix),
        None => word.starts_with("MX") && WINDOW.iter().any(|row| row.code == *word),
    };
    words.split(|c: char| !c.is_ascii_alphanumeric()).find(listed).unwrap_or(status).to_owned()
}

/// The mobile window was left without words: an abnormal end at the card's page (`inicis.md §2.4`).
pub const LEFT: Meaning = Meaning {
    class: Class::Declined,
    sentence: Sentence {
        ko: "결제가 완료되지 않았습니다. 카드사 화면이 중간에 닫혔을 수 있으니 다시 시도해 주세요.",
        en: "The payment was not finished; the card company's page may have been closed. Try again.",
    },
};

const fn unknown(operation: Operation) -> Meaning {
    let (class, ko, en) = match operation {
        Operation::Authenticate => (
            Class::Declined,
            // A phone's buyer who gave up is told like any failure (`inicis.md §9.15`): neither may be called the other.
            "결제가 완료되지 않았습니다. 결제된 금액은 없습니다. 다시 시도하거나 다른 결제수단을 선택해 주세요.",
            "The payment was not completed, and nothing was charged. Try again or choose another method.",
        ),
        Operation::Approve => (
            Class::Declined,
            "결제가 승인되지 않았습니다. 다른 카드나 결제수단으로 다시 시도해 주세요.",
            "The payment was not approved. Try another card or method.",
        ),
        Operation::NetCancel => (
            Class::Other,
            "결제대행사(PG)가 망취소를 받아들이지 않았습니다.",
            "The gateway did not take the approval back.",
        ),
        Operation::Cancel => (
            Class::Other,
            "취소되지 않았습니다. 결제대행사(PG)의 사유를 확인해 주세요.",
            "The sale was not cancelled. Look at the gateway's reason.",
        ),
        Operation::Inquire => (
            Class::Other,
            "거래를 조회하지 못했습니다. 결제대행사(PG)의 사유를 확인해 주세요.",
            "The sale could not be asked about. Look at the gateway's reason.",
        ),
        Operation::Issue => (
            Class::Declined,
            "가상계좌가 발급되지 않았습니다. 다른 은행을 선택하거나 잠시 후 다시 시도해 주세요.",
            "The virtual account was not opened. Choose another bank or try again later.",
        ),
    };
    Meaning { class, sentence: Sentence { ko, en } }
}

/// The gateway was not reached, and nothing left this machine.
pub const NOT_REACHED: Meaning = Meaning {
    class: Class::GatewayDown,
    sentence: Sentence {
        ko: "KG이니시스에 연결되지 않았습니다. 아무것도 결제되거나 취소되지 않았으니 잠시 후 다시 시도해 주세요.",
        en: "KG INICIS could not be reached. Nothing was paid or cancelled; try again later.",
    },
};

/// What success is called by INICIS's products, beside nothing but zeros (`0000`, `00`): `SUCCESS`, `02` of a deposit, and the codes
/// of a cash receipt and of the telcos (`inicis.md §0.2, §8.4`).
const SUCCESSES: [&str; 4] = ["SUCCESS", "2", "220000", "110000"];

/// Whether a code is the success of any product in any spelling: other zeros, case, signs or blanks. Such a code is never read as
/// a refusal; whether it is a yes, its own product's reader says.
pub fn reads_as_success(code: &str) -> bool {
    let plain: String =
        code.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).collect();
    let plain = plain.trim_start_matches('0');
    plain.is_empty() || SUCCESSES.contains(&plain)
}

/// Suffixes of a refused refund after which money may have moved all the same: lost connections and database errors between
/// INICIS and the card company, a partial cancel that is "possibly a duplicate", a cancel that is running (`inicis.md §8.4`).
const OPEN: [&str; 9] = ["050", "051", "052", "055", "105", "106", "108", "127", "772"];

/// Whether a refused refund leaves open whether money moved.
pub fn leaves_open(code: &str) -> bool {
    suffix(code).is_some_and(|suffix| OPEN.contains(&suffix))
}

/// Whether an inquiry was answered with "no such sale" (…623).
pub fn says_no_such_sale(code: &str) -> bool {
    suffix(code) == Some("623")
}
