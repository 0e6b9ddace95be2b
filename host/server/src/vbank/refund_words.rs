//! What the refund page says. Invariant: every sentence exists in Korean and in English.

/// Words of the page.
pub struct Words {
    /// Heading.
    pub heading: &'static str,
    /// Heading of what was asked for.
    pub asked: &'static str,
    /// Before the code is known.
    pub ask: &'static str,
    /// Label of the code.
    pub code: &'static str,
    /// Button that hands the code over; it moves nothing.
    pub look: &'static str,
    /// Above the form.
    pub intro: &'static str,
    /// Label of the amount.
    pub amount: &'static str,
    /// Label of the bank.
    pub bank: &'static str,
    /// Nothing chosen yet.
    pub choose: &'static str,
    /// Label of the account's number.
    pub number: &'static str,
    /// Label of its holder.
    pub holder: &'static str,
    /// Button that asks for the refund.
    pub send: &'static str,
    /// It was accepted.
    pub done: &'static str,
    /// When the money comes.
    pub when: &'static str,
    /// The outcome is not known.
    pub known_soon: &'static str,
    /// The link is used up or late.
    pub over: &'static str,
    /// Something else of the payment is going on.
    pub busy: &'static str,
    /// Nothing can be sent now.
    pub unavailable: &'static str,
    /// Not the link's code.
    pub bad_code: &'static str,
    /// No bank.
    pub bad_bank: &'static str,
    /// No account number.
    pub bad_number: &'static str,
    /// No holder.
    pub bad_holder: &'static str,
}

const KO: Words = Words {
    heading: "환불 계좌 입력",
    asked: "환불 요청",
    ask: "환불을 계속하려면 받으신 메시지에 링크와 함께 적힌 확인 코드를 입력해 주세요.",
    code: "확인 코드",
    look: "계속",
    intro: "입금하신 금액을 돌려받을 본인 계좌를 입력해 주세요.",
    amount: "환불 금액",
    bank: "은행",
    choose: "은행을 선택하세요",
    number: "계좌번호",
    holder: "예금주",
    send: "환불 요청",
    done: "환불이 접수되었습니다.",
    when: "입금까지 영업일 기준으로 며칠이 걸릴 수 있습니다. 그 뒤에도 입금되지 않으면 상점에 문의해 주세요.",
    known_soon: "환불 결과를 확인하고 있습니다. 다시 요청하지 마시고, 잠시 후 이 화면을 새로 고치거나 상점에 문의해 주세요.",
    over: "이 링크는 더 이상 사용할 수 없습니다. 이미 환불되었거나 기한이 지났습니다.",
    busy: "이 결제에 대한 다른 처리가 진행되고 있어 환불을 접수하지 못했습니다. 잠시 후 다시 시도해 주세요.",
    unavailable: "지금은 환불을 접수할 수 없습니다. 잠시 후 다시 시도해 주세요.",
    bad_code: "확인 코드가 올바르지 않습니다. 링크 전체를 다시 열거나 메시지에 적힌 코드를 확인해 주세요.",
    bad_bank: "은행을 선택해 주세요.",
    bad_number: "계좌번호는 6~20자리 숫자로 입력해 주세요(‘-’ 가능).",
    bad_holder: "예금주 이름을 입력해 주세요.",
};

const EN: Words = Words {
    heading: "Your refund account",
    asked: "Your refund",
    ask: "To go on, enter the code that stands beside the link in the message that you received.",
    code: "Code",
    look: "Continue",
    intro: "Enter your own account, to which your deposit is paid back.",
    amount: "Refund",
    bank: "Bank",
    choose: "Choose a bank",
    number: "Account number",
    holder: "Account holder",
    send: "Request the refund",
    done: "The refund was accepted.",
    when: "It may take some business days until the money arrives. If it does not, please contact the shop.",
    known_soon: "The outcome is being found out. Do not ask again; reload this page in a moment, or contact the shop.",
    over: "This link cannot be used any more: the refund was made, or its time is over.",
    busy: "Something else of this payment is going on, so the refund was not accepted. Try again in a moment.",
    unavailable: "The refund cannot be accepted now. Try again in a moment.",
    bad_code: "The code is not right. Open the whole link again, or look at the code in the message.",
    bad_bank: "Choose a bank.",
    bad_number: "The account number has 6 to 20 digits (and -).",
    bad_holder: "Enter the account holder's name.",
};

/// The words of a language tag: English for `en…`, else Korean.
pub fn words(language: &str) -> &'static Words {
    if language.to_ascii_lowercase().starts_with("en") { &EN } else { &KO }
}
