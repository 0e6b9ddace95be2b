//! Sentences that buyers read. Invariant: every sentence exists in Korean and in English; Korean is the default.

/// The words of the checkout pages in one language.
pub struct Words {
    /// Language tag of the page.
    pub language: &'static str,
    /// Heading of the checkout.
    pub pay: &'static str,
    /// Label of the shop's name.
    pub shop: &'static str,
    /// Label of the order.
    pub order: &'static str,
    /// Label of the amount that was paid.
    pub total: &'static str,
    /// Label of the amount while nothing is paid.
    pub order_total: &'static str,
    /// Label of the amount that is to be paid into an account.
    pub to_pay_in: &'static str,
    /// Button that opens the window.
    pub open: &'static str,
    /// Heading while the gateway's window opens.
    pub opening: &'static str,
    /// Badge of test payments.
    pub test_mode: &'static str,
    /// Link back.
    pub back_to_shop: &'static str,
    /// Button that gives up.
    pub cancel_and_back: &'static str,
    /// Button that opens another window.
    pub again: &'static str,
    /// Summary of the help.
    pub help_title: &'static str,
    /// Popup blocked.
    pub help_popup: &'static str,
    /// Browser inside an app.
    pub help_in_app: &'static str,
    /// Script blocked.
    pub help_blocked: &'static str,
    /// Clock wrong.
    pub help_clock: &'static str,
    /// Self-check: cookies.
    pub check_cookies: &'static str,
    /// Self-check: clock.
    pub check_clock: &'static str,
    /// Self-check: in-app browser.
    pub check_in_app: &'static str,
    /// Shown when the gateway's script did not load.
    pub blocked: &'static str,
    /// Result headings and sentences: paid.
    pub paid: (&'static str, &'static str),
    /// Awaiting a deposit.
    pub awaiting_deposit: (&'static str, &'static str),
    /// Waiting for the shop to confirm.
    pub awaiting_confirm: (&'static str, &'static str),
    /// Closed by the buyer.
    pub cancelled_by_buyer: (&'static str, &'static str),
    /// Refused; the sentence stands behind the reason, where there is one.
    pub failed: (&'static str, &'static str),
    /// Given up before it was paid.
    pub given_up: (&'static str, &'static str),
    /// Given up, and paid all the same: the money went back.
    pub given_back: &'static str,
    /// Not known yet.
    pub in_doubt: (&'static str, &'static str),
    /// The link is wrong.
    pub bad_link: (&'static str, &'static str),
    /// The link was good once.
    pub gone: (&'static str, &'static str),
    /// A request that no page of ours makes.
    pub bad_request: (&'static str, &'static str),
    /// Something broke, and what became of the money is not known here.
    pub broken: (&'static str, &'static str),
    /// Label: the request's id.
    pub reference: &'static str,
    /// Already paid.
    pub already_paid: &'static str,
    /// Over.
    pub not_payable: &'static str,
    /// The shop takes no payments now.
    pub shop_suspended: &'static str,
    /// The shop changed the order while its window was being opened.
    pub changed: &'static str,
    /// Running elsewhere.
    pub busy: &'static str,
    /// A return that the gateway did not make.
    pub bad_return: &'static str,
    /// What stands in place of the order on that page.
    pub bad_return_order: &'static str,
    /// Paid, and there is no shop page to go back to.
    pub close_this: &'static str,
    /// The shop did not confirm in time.
    pub not_confirmed: &'static str,
    /// The host or plugin failed before anything was sent.
    pub unavailable: &'static str,
    /// Label: approval number.
    pub approval_number: &'static str,
    /// Label: card or bank.
    pub issuer: &'static str,
    /// Label: the bank to pay into.
    pub bank: &'static str,
    /// Label: the account number.
    pub account: &'static str,
    /// Button: the account number to the clipboard, and what it says afterwards.
    pub copy: (&'static str, &'static str),
    /// Label: the account's holder.
    pub holder: &'static str,
    /// Label: until when.
    pub deadline: &'static str,
    /// When the gateway is asked again.
    pub next_try: &'static str,
}

const KO: Words = Words {
    language: "ko",
    pay: "결제",
    shop: "상점",
    order: "주문",
    total: "결제 금액",
    order_total: "주문 금액",
    to_pay_in: "입금할 금액",
    open: "결제창 열기",
    opening: "결제창을 여는 중입니다",
    test_mode: "테스트 결제",
    back_to_shop: "상점으로 돌아가기",
    cancel_and_back: "결제하지 않고 돌아가기",
    again: "다시 결제하기",
    help_title: "결제창이 열리지 않나요?",
    help_popup: "팝업이 차단되어 있다면 주소창 옆의 차단 표시를 눌러 이 사이트의 팝업을 허용해 주세요.",
    help_in_app: "카카오톡이나 인스타그램 같은 앱 안의 브라우저라면 메뉴에서 '다른 브라우저로 열기'를 선택해 주세요.",
    help_blocked: "광고 차단 프로그램이나 보안 프로그램을 잠시 끄고 다시 시도해 주세요.",
    help_clock: "기기의 날짜와 시각이 맞는지 확인해 주세요. 시각이 크게 다르면 결제창이 열리지 않습니다.",
    check_cookies: "쿠키를 사용할 수 있습니다",
    check_clock: "기기 시간이 맞습니다",
    check_in_app: "앱 안의 브라우저가 아닙니다",
    blocked: "결제창을 불러오지 못했습니다. 아래 안내를 확인하고 다시 시도해 주세요.",
    paid: ("결제가 완료되었습니다", "잠시 후 상점으로 돌아갑니다."),
    awaiting_deposit: ("입금을 기다리고 있습니다", "안내된 계좌로 기한 안에 입금해 주세요."),
    awaiting_confirm: ("결제 승인을 기다리고 있습니다", "상점이 주문을 확인하면 결제가 완료됩니다."),
    cancelled_by_buyer: ("결제를 취소하셨습니다", "결제된 금액은 없습니다."),
    failed: ("결제가 완료되지 않았습니다", "결제된 금액은 없습니다."),
    given_up: ("취소된 결제입니다", "결제된 금액은 없습니다. 구매를 원하시면 상점에서 다시 주문해 주세요."),
    given_back: "취소된 주문이라 결제하신 금액을 돌려드렸습니다. 자세한 내용은 상점에 문의해 주세요.",
    in_doubt: (
        "결제 결과를 확인하고 있습니다",
        "결제대행사(PG)의 응답을 확인하는 중입니다. 다시 결제하지 말고 잠시만 기다려 주세요. 이 창을 닫아도 결과는 상점에 전달됩니다.",
    ),
    bad_link: ("결제 링크가 올바르지 않습니다", "상점으로 돌아가 다시 시도해 주세요."),
    gone: ("이 링크는 더 이상 열 수 없습니다", "결제 결과는 상점의 주문 내역에서 확인해 주세요."),
    bad_request: ("요청을 처리할 수 없습니다", "상점으로 돌아가 다시 시도해 주세요."),
    broken: (
        "일시적인 문제가 생겼습니다",
        "잠시 후 다시 시도해 주세요. 결제 중이었다면 다시 결제하지 말고 상점에서 주문 상태를 먼저 확인해 주세요.",
    ),
    reference: "문의 번호",
    already_paid: "이미 결제가 완료된 주문입니다.",
    shop_suspended: "지금은 이 상점에서 결제할 수 없습니다. 상점에 문의해 주세요.",
    not_payable: "더 이상 결제할 수 없는 주문입니다. 상점으로 돌아가 다시 주문해 주세요.",
    changed: "주문 내용이 방금 바뀌었습니다. 금액을 확인하고 다시 눌러 주세요.",
    busy: "다른 창에서 이 주문의 결제가 진행되고 있습니다. 이 창에서는 결제되지 않았습니다.",
    close_this: "이 창을 닫으셔도 됩니다.",
    bad_return: "결제대행사(PG)에서 보낸 응답이 아니어서 처리하지 않았습니다. 결제된 금액은 없습니다.",
    bad_return_order: "확인할 수 없음",
    not_confirmed: "상점이 제때 주문을 확인하지 못해 결제되지 않았습니다. 결제된 금액은 없습니다.",
    unavailable: "지금은 결제창을 열 수 없습니다. 결제된 금액은 없습니다. 잠시 후 다시 시도해 주세요.",
    approval_number: "승인번호",
    issuer: "카드사·은행",
    bank: "입금 은행",
    account: "계좌번호",
    copy: ("계좌번호 복사", "복사했습니다"),
    holder: "예금주",
    deadline: "입금 기한",
    next_try: "다음 확인",
};

const EN: Words = Words {
    language: "en",
    pay: "Payment",
    shop: "Shop",
    order: "Order",
    total: "Paid",
    order_total: "Total",
    to_pay_in: "Amount to pay in",
    open: "Open the payment window",
    opening: "Opening the payment window",
    test_mode: "Test payment",
    back_to_shop: "Back to the shop",
    cancel_and_back: "Go back without paying",
    again: "Pay again",
    help_title: "The payment window does not open?",
    help_popup: "If popups are blocked, allow them for this site with the sign beside the address.",
    help_in_app: "In a browser inside an app such as KakaoTalk or Instagram, choose \"open in another browser\" in its menu.",
    help_blocked: "Switch an ad blocker or security program off for a moment and try again.",
    help_clock: "Check the date and time of your device: with a wrong clock the window does not open.",
    check_cookies: "Cookies are allowed",
    check_clock: "The clock of this device is right",
    check_in_app: "This is not a browser inside an app",
    blocked: "The payment window could not be loaded. Please follow the hints below and try again.",
    paid: ("Payment complete", "You are taken back to the shop in a moment."),
    awaiting_deposit: ("Waiting for your deposit", "Please pay into the account before the deadline."),
    awaiting_confirm: ("Waiting for the shop", "The payment completes when the shop confirms your order."),
    cancelled_by_buyer: ("You cancelled the payment", "No money was taken."),
    failed: ("The payment was not completed", "No money was taken."),
    given_up: (
        "This payment was cancelled",
        "No money was taken. If you still want to buy, please order again in the shop.",
    ),
    given_back: "This order was cancelled, so your money was given back. Please ask the shop if you have questions.",
    in_doubt: (
        "We are checking your payment",
        "The payment company's answer is being checked. Please do not pay again. You may close this window; the shop will be told.",
    ),
    bad_link: ("This payment link is not right", "Please go back to the shop and try again."),
    gone: (
        "This link cannot be opened any more",
        "Please look at your order in the shop to see how it ended.",
    ),
    bad_request: ("This request cannot be handled", "Please go back to the shop and try again."),
    broken: (
        "Something went wrong for the moment",
        "Please try again later. If you were paying, look at your order in the shop first and do not pay again.",
    ),
    reference: "Reference",
    already_paid: "This order is already paid.",
    shop_suspended: "This shop takes no payments at the moment. Please ask the shop.",
    not_payable: "This order can no longer be paid. Please go back to the shop and order again.",
    changed: "The order has just been changed. Please check the amount and press again.",
    busy: "This order is being paid in another window. Nothing was charged here.",
    close_this: "You may close this window.",
    bad_return: "This did not come from the payment company and was not acted on. No money was taken.",
    bad_return_order: "Unknown",
    not_confirmed: "The shop did not confirm in time, so nothing was charged.",
    unavailable: "The payment window cannot be opened now. No money was taken. Please try again in a moment.",
    approval_number: "Approval number",
    issuer: "Card or bank",
    bank: "Bank",
    account: "Account number",
    copy: ("Copy account number", "Copied"),
    holder: "Account holder",
    deadline: "Pay in before",
    next_try: "Next check",
};

/// The words of a language tag: English for `en…`, else Korean.
pub fn words(language: &str) -> &'static Words {
    if language.to_ascii_lowercase().starts_with("en") { &EN } else { &KO }
}

/// An amount as people write it: `1,004원`, `$10.04`, `1,004 JPY`.
pub fn amount(minor: i64, currency: &str, language: &str) -> String {
    match currency {
        "KRW" if words(language).language == "ko" => format!("{}원", grouped(minor)),
        "KRW" => format!("₩{}", grouped(minor)),
        "USD" => format!("${}.{:02}", grouped(minor / 100), minor % 100),
        other => format!("{} {other}", grouped(minor)),
    }
}

fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if number < 0 { format!("-{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_read_as_people_write_them() {
        assert_eq!(amount(1_004, "KRW", "ko"), "1,004원");
        assert_eq!(amount(1_234_567, "KRW", "en"), "₩1,234,567");
        assert_eq!(amount(100_405, "USD", "en"), "$1,004.05");
        assert_eq!(amount(0, "KRW", "ko"), "0원");
    }
}
