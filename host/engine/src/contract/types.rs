//! Words that every interface shares.
//!
//! Encodings that hold everywhere: text is UTF-8; an amount is a whole number of the currency's minor unit (won have none,
//! so 1,004 won is 1004; 10.04 dollars is 1004); a moment is milliseconds since 1970-01-01T00:00Z; a date without a time
//! is `YYYY-MM-DD` in Asia/Seoul. Sets that will grow are text from a registry that wit/README.md lists, not enums.
//!
//! Mirrors wit/types.wit to the letter; the trial instance at load proves it.

use serde::{Deserialize, Serialize};
use wasmtime::component::{ComponentType, Lift, Lower};

/// An amount of money.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(record)]
#[serde(deny_unknown_fields)]
pub struct Money {
    /// Minor units. Never negative.
    pub minor: i64,
    /// ISO 4217, upper case: `KRW`.
    pub currency: String,
}

/// Whether real money moves. A plugin has no branch on it except to refuse what a gateway refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(enum)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Mode {
    /// No real money.
    #[component(name = "test")]
    Test,
    /// Real money.
    #[component(name = "live")]
    Live,
}

/// A label or sentence in the two languages of the host.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(record)]
#[serde(deny_unknown_fields)]
pub struct Text {
    /// Korean. Never empty.
    pub ko: String,
    /// English. Never empty.
    pub en: String,
}

/// One value of a channel's settings. A list is JSON text; a switch is `true` or `false`.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(record)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// A key of the descriptor's `settings`.
    pub key: String,
    /// What the shop chose, or the default.
    pub value: String,
}

/// What a call may know. A call is a pure function of its arguments and of the answers of its imports: time and
/// randomness come from here, and so a journaled call can be run again.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(record)]
#[serde(deny_unknown_fields)]
pub struct Context {
    /// The moment of the call.
    #[component(name = "now-ms")]
    pub now_ms: i64,
    /// 16 random bytes, as lower-case hex; the same again when the call is replayed.
    pub seed: String,
    /// Test or live.
    pub mode: Mode,
    /// The channel's settings, defaults filled in. Secrets are not among them: they are used by name.
    pub settings: Vec<Setting>,
    /// Names of the secrets that the channel has set.
    pub secrets: Vec<String>,
}

/// The part of a total that is not plainly taxed.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(record)]
#[serde(deny_unknown_fields)]
pub struct Tax {
    /// Minor units free of tax. Absent: the gateway decides.
    pub free: Option<i64>,
    /// Minor units of value-added tax. Absent: the gateway decides; 0: zero-rated.
    pub vat: Option<i64>,
}

/// The person who pays. Every part may be absent; a gateway that needs one gets what the plugin documents.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(record)]
#[serde(deny_unknown_fields)]
pub struct Buyer {
    /// Full name.
    pub name: Option<String>,
    /// E-mail address.
    pub email: Option<String>,
    /// Telephone number as typed.
    pub phone: Option<String>,
}

/// How money is paid. Registry `method`: `card`, `transfer`, `virtual_account`, `phone`, `easy_pay`, `gift_voucher`,
/// `points`.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(record)]
#[serde(deny_unknown_fields)]
pub struct Method {
    /// From the registry.
    pub kind: String,
    /// Which wallet or voucher, for `easy_pay` and `gift_voucher`. Registry `provider`.
    pub provider: Option<String>,
}

/// A named value that only one gateway or one interface knows (options of a payment, extra facts). Registry `option`.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(record)]
#[serde(deny_unknown_fields)]
pub struct Named {
    /// From the registry, or a key that the plugin documents.
    pub name: String,
    /// Text; JSON for anything that is not one line of text.
    pub value: String,
}

/// What is to be paid, the same in every call of one checkout.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(record)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// The gateway's order number for this checkout: at most 40 ASCII letters, digits, `-` and `_`,
    /// the shop's own number first. Never used twice.
    #[component(name = "order-ref")]
    pub order_ref: String,
    /// The whole amount.
    pub amount: Money,
    /// Absent: the gateway decides.
    pub tax: Option<Tax>,
    /// What is sold, in one line. May be longer than the gateway takes: the plugin cuts it.
    pub name: String,
    /// Who pays.
    pub buyer: Buyer,
    /// Absent: the buyer chooses in the gateway's window.
    pub method: Option<Method>,
    /// Options of the payment and of the channel, the payment's first.
    pub options: Vec<Named>,
    /// Language of the window: `ko`, `en` or a BCP 47 tag that the plugin falls back from.
    pub language: String,
    /// Where the gateway sends the buyer's browser back. Same origin as the page that opens the window.
    #[component(name = "return-url")]
    pub return_url: String,
    /// Where the gateway's window goes when the buyer closes it. Same origin as `return-url`.
    #[component(name = "close-url")]
    pub close_url: String,
    /// Where the gateway reports deposits and late approvals.
    #[component(name = "notify-url")]
    pub notify_url: String,
}

/// What came back through the buyer's browser: untrusted, and as raw as it came.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(record)]
#[serde(deny_unknown_fields)]
pub struct Callback {
    /// `GET` or `POST`.
    pub verb: String,
    /// The query without `?`; empty when there was none.
    pub query: String,
    /// The content type as sent; empty when there was none.
    #[component(name = "content-type")]
    pub content_type: String,
    /// The body, byte for byte.
    #[serde(with = "crate::contract::json::base64_bytes")]
    pub body: Vec<u8>,
}

/// A "no" of the gateway.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(record)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    /// The gateway's own code, as it came; empty when it gave none.
    pub code: String,
    /// The gateway's own words, as they came.
    pub message: String,
    /// Registry `refusal`: `declined`, `limit`, `expired`, `duplicate`, `not_found`, `already_cancelled`, `too_late`,
    /// `not_contracted`, `unsupported_method`, `signature`, `gateway_down`, `other`.
    pub class: String,
    /// A sentence that a buyer or a shop can act on.
    pub explanation: Text,
}

/// Everything that can go wrong, classed by what the host must do.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(variant)]
#[serde(rename_all = "snake_case")]
pub enum PluginError {
    /// The order or request cannot be sent as it is. Nothing was sent. English, for the shop's developer.
    #[component(name = "invalid-request")]
    InvalidRequest(String),
    /// A setting or secret is missing or wrong. Nothing was sent.
    #[component(name = "misconfigured")]
    Misconfigured(String),
    /// A callback or notice that the gateway did not make, or made for something else. Nothing was sent.
    #[component(name = "forged")]
    Forged(String),
    /// The gateway answered no.
    #[component(name = "gateway")]
    Gateway(Refusal),
    /// Money may have moved and the plugin cannot tell. The host finds out.
    #[component(name = "unknown")]
    Unknown(String),
    /// This gateway cannot do that.
    #[component(name = "unsupported")]
    Unsupported(String),
}

/// A bank or card company.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(record)]
#[serde(deny_unknown_fields)]
pub struct Institution {
    /// KFTC code where one exists; else empty.
    pub code: String,
    /// The gateway's own code.
    #[component(name = "gateway-code")]
    pub gateway_code: String,
    /// Its name.
    pub name: Text,
}

/// What a paid payment shows. Everything may be absent.
#[derive(Clone, Debug, Default, PartialEq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(record)]
#[serde(deny_unknown_fields)]
pub struct Details {
    /// The card company's or bank's approval number.
    #[component(name = "approval-number")]
    pub approval_number: Option<String>,
    /// Who issued the card, or the bank.
    pub issuer: Option<Institution>,
    /// Who acquired the card sale.
    pub acquirer: Option<Institution>,
    /// Number with most digits hidden, as the gateway gave it.
    #[component(name = "masked-number")]
    pub masked_number: Option<String>,
    /// Months; 0 is a single payment.
    pub instalments: Option<u32>,
    /// Whether the buyer pays no interest on instalments.
    #[component(name = "interest-free")]
    pub interest_free: Option<bool>,
    /// The wallet used. Registry `provider`.
    pub wallet: Option<String>,
    /// Minor units paid with points.
    pub points: Option<i64>,
    /// Minor units of a discount given by the card company or wallet.
    pub discount: Option<i64>,
    /// A page that shows the receipt to the buyer.
    #[component(name = "receipt-url")]
    pub receipt_url: Option<String>,
    /// A cash receipt that the gateway made.
    #[component(name = "cash-receipt")]
    pub cash_receipt: Option<CashReceipt>,
    /// Whether parts of this sale can be cancelled.
    #[component(name = "partial-cancel")]
    pub partial_cancel: Option<bool>,
    /// Anything else worth keeping.
    pub more: Vec<Named>,
}

/// A cash receipt that the gateway issued with the payment.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(record)]
#[serde(deny_unknown_fields)]
pub struct CashReceipt {
    /// Registry `cash-receipt`: `income_deduction`, `business_proof`.
    pub kind: String,
    /// The tax office's approval number.
    pub number: Option<String>,
    /// When it was issued.
    #[component(name = "issued-at-ms")]
    pub issued_at_ms: Option<i64>,
}

/// The gateway took the money.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(record)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// The gateway's number of the sale; the one that a cancel needs.
    #[component(name = "gateway-ref")]
    pub gateway_ref: String,
    /// The order number that the gateway answered. The host compares it.
    #[component(name = "order-ref")]
    pub order_ref: String,
    /// The amount that the gateway answered. The host compares it.
    pub amount: Money,
    /// When the gateway says it approved.
    #[component(name = "approved-at-ms")]
    pub approved_at_ms: i64,
    /// What the buyer used in the end.
    pub method: Method,
    /// What to show.
    pub details: Details,
}

/// An account that waits for a deposit.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(record)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// The gateway's number of the issue.
    #[component(name = "gateway-ref")]
    pub gateway_ref: String,
    /// The order number that the gateway answered. The host compares it.
    #[component(name = "order-ref")]
    pub order_ref: String,
    /// What must be paid in.
    pub amount: Money,
    /// The bank.
    pub bank: Institution,
    /// The account number.
    pub number: String,
    /// The name that the buyer sees when paying in.
    pub holder: String,
    /// Until when; absent when the gateway did not say.
    #[component(name = "deadline-ms")]
    pub deadline_ms: Option<i64>,
    /// What to show.
    pub details: Details,
}

/// How an attempt to take money ended.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(variant)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Paid.
    #[component(name = "approved")]
    Approved(Approval),
    /// An account was issued; nothing is paid yet.
    #[component(name = "awaiting-deposit")]
    AwaitingDeposit(Account),
    /// The gateway said no; nothing is paid.
    #[component(name = "declined")]
    Declined(Refusal),
    /// The buyer closed the window; nothing is paid.
    #[component(name = "cancelled-by-buyer")]
    CancelledByBuyer,
}
