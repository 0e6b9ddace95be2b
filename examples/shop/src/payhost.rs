//! The payment service, as a shop's server calls it. Invariant: the secret key stays in here, every call ends in time, and
//! "it said no" and "nobody knows" are different errors.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::{self, TimeZone};
use reqwest::{Client, RequestBuilder, Url};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::page::Language;
use crate::store::Order;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const READ_TIMEOUT: Duration = Duration::from_secs(5);
/// payhost itself waits for the gateway, up to 25 s.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(40);

/// How a payment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the API's own words")]
pub enum PaymentState {
    Created,
    Pending,
    AwaitingDeposit,
    Paid,
    PartiallyCancelled,
    Cancelled,
    Failed,
    Expired,
    /// A word of a newer payhost.
    #[serde(other)]
    Other,
}

/// Whether payhost knows where the money is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the API's own words")]
pub enum Resolution {
    None,
    InDoubt,
    NeedsOperator,
    /// A word of a newer payhost.
    #[serde(other)]
    Other,
}

/// Amounts in won.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the API's own words")]
pub struct Amount {
    pub total: i64,
    pub currency: String,
    pub paid: i64,
    pub cancelled: i64,
}

/// What can be cancelled.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the API's own words")]
pub struct Cancellable {
    pub amount: i64,
    pub needs_account: bool,
}

/// How it was paid.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the API's own words")]
pub struct Method {
    pub kind: String,
}

/// Where a buyer pays in.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the API's own words")]
pub struct VirtualAccount {
    pub bank: String,
    pub number: String,
    pub holder: String,
    /// RFC 3339.
    pub deadline: Option<String>,
}

impl VirtualAccount {
    /// `2026-11-30 23:59`, in Korea.
    pub fn until(&self) -> Option<String> {
        let deadline: Timestamp = self.deadline.as_deref()?.parse().ok()?;
        Some(deadline.to_zoned(TimeZone::fixed(tz::offset(9))).strftime("%Y-%m-%d %H:%M").to_string())
    }
}

/// A card company or bank.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the API's own words")]
pub struct Institution {
    pub name: String,
}

/// A payment: the parts that this shop shows.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the API's own words")]
pub struct Payment {
    pub id: String,
    pub state: PaymentState,
    pub resolution: Resolution,
    pub order_id: String,
    pub amount: Amount,
    pub cancellable: Option<Cancellable>,
    pub method: Option<Method>,
    pub approval_number: Option<String>,
    pub issuer: Option<Institution>,
    pub masked_number: Option<String>,
    pub instalments: Option<u32>,
    pub receipt_url: Option<String>,
    pub virtual_account: Option<VirtualAccount>,
}

impl Payment {
    /// The receipt page, if it is an address that may be linked.
    pub fn receipt(&self) -> Option<&str> {
        self.receipt_url.as_deref().filter(|url| url.starts_with("https://") || url.starts_with("http://"))
    }

    /// `일시불`, `3개월`; nothing for methods without instalments.
    pub fn instalments_in_words(&self, language: &Language) -> Option<String> {
        self.instalments.map(|months| match months {
            0 | 1 => language.t("일시불", "paid at once").to_owned(),
            months => format!("{months}{}", language.t("개월", " months")),
        })
    }

    /// What the number that was paid with is: a telephone's or a card's.
    pub fn number_in_words(&self, language: &Language) -> &'static str {
        match self.method.as_ref().map(|method| method.kind.as_str()) {
            Some("phone") => language.t("휴대폰 번호", "Phone number"),
            _ => language.t("카드 번호", "Card number"),
        }
    }

    /// The method in words.
    pub fn method_in_words(&self, language: &Language) -> Option<&'static str> {
        Some(match self.method.as_ref()?.kind.as_str() {
            "card" => language.t("신용카드", "Card"),
            "transfer" => language.t("계좌이체", "Bank transfer"),
            "virtual_account" => language.t("가상계좌", "Virtual account"),
            "phone" => language.t("휴대폰", "Phone bill"),
            "easy_pay" => language.t("간편결제", "Easy pay"),
            _ => language.t("그 밖의 수단", "Other"),
        })
    }
}

/// A payment ready to be paid: what `payhost.js` needs.
#[derive(Debug, Deserialize)]
pub struct Opened {
    /// The payment.
    #[serde(flatten)]
    pub payment: Payment,
    /// Where the buyer pays.
    pub checkout_url: String,
    /// Lets the buyer's browser read this payment.
    pub client_token: String,
}

/// payhost's own words for a refusal (`application/problem+json`).
#[derive(Debug, Deserialize)]
pub struct Problem {
    /// Stable; programs branch on it.
    pub code: String,
    /// For the developer.
    #[serde(default)]
    pub detail: String,
    /// For the buyer, in Korean.
    pub buyer_message: Option<String>,
    /// For support.
    pub request_id: Option<String>,
}

/// Why there is no payment.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// payhost answered that it did not do it.
    #[error("payhost refused: {} {} ({:?})", .0.code, .0.detail, .0.request_id)]
    Refused(Problem),
    /// No answer that we understand: it may have been done.
    #[error("no answer from payhost: {0}")]
    Unknown(String),
}

impl Error {
    /// A sentence for the buyer.
    pub fn sentence(&self, language: Language) -> String {
        let (korean, english) = match self {
            Self::Refused(Problem { buyer_message: Some(message), .. }) if language == Language::Korean => {
                return message.clone();
            }
            Self::Refused(problem) => match problem.code.as_str() {
                "payment_in_doubt" | "payment_busy" | "idempotency_running" => (
                    "앞선 요청의 결과를 확인하는 중입니다. 잠시 뒤 다시 봐 주세요.",
                    "The outcome of the last request is being checked. Please look again in a moment.",
                ),
                "already_paid" => (
                    "이미 결제된 주문입니다. 새로고침해 주세요.",
                    "This order is paid already. Please reload the page.",
                ),
                "not_cancellable" => ("취소할 수 없는 결제입니다.", "This payment cannot be cancelled."),
                "gateway_refused" => ("결제대행사(PG)에서 거절했습니다.", "The payment company refused."),
                _ => ("결제 서비스가 요청을 처리하지 못했습니다.", "The payment service could not do this."),
            },
            Self::Unknown(_) => (
                "결제 서비스에 연결할 수 없습니다. 잠시 뒤 다시 시도해 주세요.",
                "The payment service cannot be reached. Please try again in a moment.",
            ),
        };
        language.t(korean, english).to_owned()
    }
}

/// A client of payhost's API.
pub struct Payhost {
    client: Client,
    origin: String,
    key: String,
}

impl Payhost {
    /// For the payhost at this address (`https://pay.example`) and the shop with this secret key.
    pub fn new(address: &str, key: String) -> Result<Self, Box<dyn std::error::Error>> {
        let url = Url::parse(address).map_err(|error| format!("--payhost {address}: {error}"))?;
        if !url.origin().is_tuple() || url.path() != "/" {
            return Err(format!("--payhost {address}: give scheme, host and port only").into());
        }
        // reqwest is built without a TLS provider of its own; an error here only says that one is already set.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(READ_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self { client, origin: url.origin().ascii_serialization(), key })
    }

    /// Where `payhost.js` comes from.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Whether no real money moves.
    pub fn is_test(&self) -> bool {
        self.key.starts_with("sk_test_")
    }

    /// Makes the order's payment, or finds it if it was made before. What the buyer changed since (language, method) replaces a
    /// payment that nobody has paid: without `replace` payhost refuses once its window was opened (`order_differs`).
    pub async fn open(
        &self,
        order: &Order,
        order_name: &str,
        return_url: &str,
        language: Language,
    ) -> Result<Opened, Error> {
        let body = json!({
            "order_id": order.id,
            "order_name": order_name,
            "amount": { "total": order.total, "currency": "KRW" },
            "buyer": { "name": order.buyer.name, "email": order.buyer.email, "phone": order.buyer.phone },
            "return_url": return_url,
            "language": language.code(),
            "method": { "kind": order.method.kind, "provider": order.method.provider },
            "replace": true,
        });
        self.send(self.client.post(format!("{}/v1/payments", self.origin)).json(&body)).await
    }

    /// A payment as it stands now.
    pub async fn payment(&self, id: &str) -> Result<Payment, Error> {
        self.send(self.client.get(self.payment_url(id))).await
    }

    /// Cancels all of it. With the same key, any number of calls is one cancel.
    pub async fn cancel(&self, id: &str, idempotency_key: &str, reason: &str) -> Result<Payment, Error> {
        let request = self
            .client
            .post(format!("{}/cancel", self.payment_url(id)))
            .header("idempotency-key", idempotency_key)
            .timeout(CANCEL_TIMEOUT)
            .json(&json!({ "reason": reason }));
        self.send(request).await
    }

    /// Gives up what was not paid; an account that waits for its deposit is closed. What was paid meanwhile is refused
    /// (`already_paid`), and nothing is given back.
    pub async fn give_up(&self, id: &str, idempotency_key: &str) -> Result<Payment, Error> {
        let body = json!({ "only_unpaid": true, "close_account": true, "reason": "구매자 주문 취소" });
        let request = self.client.post(format!("{}/cancel", self.payment_url(id)));
        let request = request.header("idempotency-key", idempotency_key).timeout(CANCEL_TIMEOUT).json(&body);
        self.send(request).await
    }

    /// A page of payhost on which the buyer names the account that a deposit goes back to.
    pub async fn refund_link(&self, id: &str) -> Result<String, Error> {
        #[derive(Deserialize)]
        struct Link {
            url: String,
        }
        let request = self.client.post(format!("{}/refund-link", self.payment_url(id))).json(&json!({}));
        self.send::<Link>(request).await.map(|link| link.url)
    }

    fn payment_url(&self, id: &str) -> String {
        format!("{}/v1/payments/{id}", self.origin)
    }

    async fn send<T: serde::de::DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, Error> {
        let unknown = |error: reqwest::Error| Error::Unknown(error.to_string());
        let answer = request.bearer_auth(&self.key).send().await.map_err(unknown)?;
        let status = answer.status();
        let body = answer.bytes().await.map_err(unknown)?;
        if status.is_success() {
            return serde_json::from_slice(&body)
                .map_err(|error| Error::Unknown(format!("{status}: {error}")));
        }
        Err(match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) if problem.code != "internal" => Error::Refused(problem),
            Ok(_) | Err(_) => Error::Unknown(format!("status {status}")),
        })
    }
}
