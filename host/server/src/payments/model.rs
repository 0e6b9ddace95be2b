//! A payment as the API shows it. Invariant: everything here is safe to show to the shop: no secret, no raw answer of a
//! gateway, no personal data beyond what the shop sent.

use payhost_core::{Currency, Money, PaymentState};
use payhost_engine::contract::plugin::Descriptor;
use payhost_engine::contract::types::{Account, Details, Institution, Method, Named};
use payhost_store::rows::payments::Payment;
use payhost_store::{Error, Json, ShopKey};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::http::problem::Problem;
use crate::http::text;
use crate::sealed::Place;
use crate::time::rfc3339;

/// Largest amount that the API takes, in minor units. Above any gateway's limit, and small enough that sums cannot wrap.
pub const AMOUNT_MAX: i64 = 1_000_000_000_000;
/// Longest order id, in characters.
pub const ORDER_ID_MAX: usize = 64;
/// Longest order name, in characters; gateways take less, and the plugin cuts it with a warning.
pub const ORDER_NAME_MAX: usize = 255;

/// The parts of a total.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TaxIn {
    /// Minor units free of tax. Absent: the gateway decides.
    pub free: Option<i64>,
    /// Minor units of value-added tax. Absent: the gateway decides; 0: zero-rated.
    pub vat: Option<i64>,
}

/// What is to be paid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AmountIn {
    /// Minor units (won have none): 1,004 won is 1004.
    #[schema(minimum = 1, maximum = 1_000_000_000_000_i64)]
    pub total: i64,
    /// ISO 4217. Default KRW.
    pub currency: Option<String>,
    /// Absent: the gateway decides.
    pub tax: Option<TaxIn>,
}

impl AmountIn {
    /// The amount, checked.
    pub fn check(&self) -> Result<Money, Problem> {
        if self.total <= 0 {
            return Err(Problem::field("amount.total", "the total is a whole number of minor units above 0"));
        }
        if self.total > AMOUNT_MAX {
            return Err(Problem::field(
                "amount.total",
                format!("the total is at most {AMOUNT_MAX} minor units"),
            ));
        }
        let currency = match &self.currency {
            None => Currency::KRW,
            Some(text) => {
                Currency::parse(text).map_err(|error| Problem::field("amount.currency", error.to_string()))?
            }
        };
        let parts = self.tax.as_ref().map_or([None, None], |tax| [tax.free, tax.vat]);
        for (part, field) in parts.iter().zip(["amount.tax.free", "amount.tax.vat"]) {
            if part.is_some_and(|part| part < 0 || part > self.total) {
                return Err(Problem::field(field, "a part is at least 0 and at most the total"));
            }
        }
        if parts.iter().flatten().sum::<i64>() > self.total {
            return Err(Problem::field("amount.tax", "the parts add up to more than the total"));
        }
        Ok(Money::new(self.total, currency))
    }
}

/// Amounts of a payment, in minor units.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[non_exhaustive]
pub struct AmountOut {
    /// The order's total.
    pub total: i64,
    /// ISO 4217.
    pub currency: String,
    /// Part free of tax, where the shop gave one.
    pub tax_free: Option<i64>,
    /// Value-added tax, where the shop gave one.
    pub vat: Option<i64>,
    /// Taken so far.
    pub paid: i64,
    /// Given back so far.
    pub cancelled: i64,
    /// What can still be given back.
    pub cancellable: i64,
}

/// What is left of the parts that a payment was made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[non_exhaustive]
pub struct TaxLeft {
    /// Minor units free of tax, at most; absent where the shop gave no such part.
    pub free: Option<i64>,
    /// Minor units of value-added tax, at most; absent where the shop gave no such part.
    pub vat: Option<i64>,
}

impl TaxLeft {
    /// The payment's parts less those that cancels named. A cancel without `tax`, or one that was made at the gateway, says nothing of
    /// its parts, so that less may be left.
    pub fn of(row: &Payment) -> Self {
        let held = row.paid.saturating_sub(row.cancelled).clamp(0, row.total);
        let left = |part: Option<i64>, given: i64| part.map(|part| part.saturating_sub(given).clamp(0, held));
        Self { free: left(row.tax_free, row.cancelled_tax_free), vat: left(row.vat, row.cancelled_vat) }
    }
}

/// Whether and how the payment can be cancelled now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[non_exhaustive]
pub struct Cancellable {
    /// Minor units.
    pub amount: i64,
    /// Whether a part can be.
    pub partial: bool,
    /// Until when, where the gateway says.
    pub until: Option<String>,
    /// Whether the buyer's bank account is needed.
    pub needs_account: bool,
    /// What a partial cancel may name in `tax` at most; absent for a payment that was made without parts.
    pub tax: Option<TaxLeft>,
}

/// How it is paid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MethodIo {
    /// `card`, `transfer`, `virtual_account`, `phone`, `easy_pay`, `gift_voucher` or `points`.
    pub kind: String,
    /// Which wallet or voucher, for `easy_pay` and `gift_voucher`.
    #[serde(default)]
    pub provider: Option<String>,
}

impl From<Method> for MethodIo {
    fn from(method: Method) -> Self {
        Self { kind: method.kind, provider: method.provider }
    }
}

impl From<MethodIo> for Method {
    fn from(method: MethodIo) -> Self {
        Self { kind: method.kind, provider: method.provider }
    }
}

/// The person who pays. Kept encrypted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BuyerIo {
    /// Full name. An empty text is as good as none, here and in the two below.
    #[serde(default, deserialize_with = "text::optional")]
    pub name: Option<String>,
    /// E-mail address.
    #[serde(default, deserialize_with = "text::optional")]
    pub email: Option<String>,
    /// Telephone number.
    #[serde(default, deserialize_with = "text::optional")]
    pub phone: Option<String>,
}

/// A bank or card company.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[non_exhaustive]
pub struct InstitutionOut {
    /// KFTC code; empty where there is none.
    pub code: String,
    /// Korean name.
    pub name: String,
}

impl From<Institution> for InstitutionOut {
    fn from(institution: Institution) -> Self {
        Self { code: institution.code, name: institution.name.ko }
    }
}

/// An account that waits for a deposit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[non_exhaustive]
pub struct AccountOut {
    /// The bank's KFTC code; empty where there is none.
    pub bank_code: String,
    /// The bank's Korean name.
    pub bank: String,
    /// The account number.
    pub number: String,
    /// The name that the buyer sees when paying in.
    pub holder: String,
    /// Until when, where the gateway said.
    pub deadline: Option<String>,
}

/// Under which name an account stands among a payment's details.
const ACCOUNT: &str = "virtual_account";

impl AccountOut {
    fn of(details: &Details) -> Option<Self> {
        let kept = details.more.iter().find(|named| named.name == ACCOUNT)?;
        serde_json::from_str(&kept.value).ok()
    }

    /// The account of a payment, where it has one.
    pub fn of_payment(key: &ShopKey, row: &Payment) -> Result<Option<Self>, Error> {
        Ok(details(key, row)?.as_ref().and_then(Self::of))
    }

    /// The details of an issue, with the account among them.
    pub fn kept(account: &Account) -> Result<Details, Error> {
        let shown = Self {
            bank_code: account.bank.code.clone(),
            bank: account.bank.name.ko.clone(),
            number: account.number.clone(),
            holder: account.holder.clone(),
            deadline: account.deadline_ms.map(|ms| rfc3339(ms.saturating_mul(1000))),
        };
        let value = Json::of(&shown)?.as_str().to_owned();
        let mut details = account.details.clone();
        details.more.push(Named { name: ACCOUNT.to_owned(), value });
        Ok(details)
    }
}

/// Why a payment's last window came to nothing. It stays when a later one is paid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[non_exhaustive]
pub struct LastFailure {
    /// A stable word: `declined` (the gateway said no), `gateway_unreachable`, `not_confirmed`, `plugin_failed`, …
    pub reason: String,
    /// The gateway's own code, where it said no.
    pub code: Option<String>,
    /// Our class of that code: `declined`, `limit`, `too_late`, …
    pub class: Option<String>,
    /// A sentence for the buyer about that code.
    pub explanation: Option<Sentence>,
    /// When, RFC 3339.
    pub at: String,
}

/// A sentence in both languages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Sentence {
    /// Korean.
    pub ko: String,
    /// English.
    pub en: String,
}

/// A payment.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[non_exhaustive]
pub struct PaymentOut {
    /// `pay_…`.
    pub id: String,
    /// `test` or `live`.
    pub mode: String,
    /// `created`, `pending`, `awaiting_deposit`, `paid`, `partially_cancelled`, `cancelled`, `failed` or `expired`.
    pub state: String,
    /// `none`, `in_doubt` or `needs_operator`.
    pub resolution: String,
    /// The shop's own order number.
    pub order_id: String,
    /// What is sold.
    pub order_name: String,
    /// Amounts.
    pub amount: AmountOut,
    /// Absent while nothing can be cancelled.
    pub cancellable: Option<Cancellable>,
    /// The channel.
    pub channel_id: String,
    /// How it was paid; before that, what the shop asked for. Null of a paid one where nobody says: it was found by asking the
    /// gateway, which did not tell.
    pub method: Option<MethodIo>,
    /// The gateway's number of the sale.
    pub gateway_ref: Option<String>,
    /// Approval number of the card company or bank.
    pub approval_number: Option<String>,
    /// Who issued the card, or the bank.
    pub issuer: Option<InstitutionOut>,
    /// Who acquired the sale.
    pub acquirer: Option<InstitutionOut>,
    /// Card or account number with most digits hidden: of a card at most the first 8 and the last 4 are open.
    pub masked_number: Option<String>,
    /// Months; 0 is a single payment.
    pub instalments: Option<u32>,
    /// Whether instalments cost the buyer no interest.
    pub interest_free: Option<bool>,
    /// Wallet.
    pub wallet: Option<String>,
    /// Minor units paid with points.
    pub points: Option<i64>,
    /// Minor units of discount.
    pub discount: Option<i64>,
    /// Where the buyer pays in, for a virtual account.
    pub virtual_account: Option<AccountOut>,
    /// Receipt page for the buyer.
    pub receipt_url: Option<String>,
    /// Cash receipt made by the gateway.
    #[schema(value_type = Option<Object>)]
    pub cash_receipt: Option<Value>,
    /// The shop's own values.
    #[schema(value_type = Object)]
    pub metadata: Map<String, Value>,
    /// RFC 3339.
    pub created_at: String,
    /// Until when it can be paid.
    pub expires_at: String,
    /// When the gateway approved.
    pub approved_at: Option<String>,
    /// Why the last window came to nothing, if one did.
    pub last_failure: Option<LastFailure>,
    /// While `resolution` is `in_doubt`: when the gateway is asked next how the last attempt ended. A time that is over: it is being
    /// asked. Only what reads a payment tells it; answers of requests and events leave it out.
    pub next_try_at: Option<String>,
}

/// A payment just made, with what the shop's page needs.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct PaymentCreated {
    /// The payment.
    #[serde(flatten)]
    pub payment: PaymentOut,
    /// Where the buyer pays. Send the browser there, or give it to `payhost.js`.
    pub checkout_url: String,
    /// For the browser: reads this payment until it expires.
    pub client_token: String,
}

/// What the plugin told of the sale.
fn details(key: &ShopKey, row: &Payment) -> Result<Option<Details>, Error> {
    row.details.as_ref().map(|sealed| Place::Details(row.id).open_json(key, sealed)).transpose()
}

impl PaymentOut {
    /// From the stored row and the shop's key. `partial` and `needs_account` come from what the plugin says of the method.
    pub fn of(key: &ShopKey, row: &Payment, support: Support) -> Result<Self, Error> {
        let details = details(key, row)?;
        let details = details.as_ref();
        let failure = row.last_failure.as_ref();
        let held = row.paid.saturating_sub(row.cancelled);
        let method: Option<&Json> = row.paid_method.as_ref().or(row.method.as_ref());
        Ok(Self {
            id: row.id.to_string(),
            mode: row.mode.as_str().to_owned(),
            state: row.state.as_str().to_owned(),
            resolution: row.resolution.as_str().to_owned(),
            order_id: row.order_id.clone(),
            order_name: row.order_name.clone(),
            amount: AmountOut {
                total: row.total,
                currency: row.currency.to_string(),
                tax_free: row.tax_free,
                vat: row.vat,
                paid: row.paid,
                cancelled: row.cancelled,
                cancellable: held.clamp(0, row.total),
            },
            cancellable: cancellable(row, held, details, support),
            channel_id: row.channel_id.to_string(),
            method: method.and_then(|json| json.to().ok()),
            gateway_ref: row.gateway_ref.clone(),
            approval_number: details.and_then(|details| details.approval_number.clone()),
            issuer: details.and_then(|details| details.issuer.clone()).map(Into::into),
            acquirer: details.and_then(|details| details.acquirer.clone()).map(Into::into),
            masked_number: details.and_then(|details| details.masked_number.clone()),
            instalments: details.and_then(|details| details.instalments),
            interest_free: details.and_then(|details| details.interest_free),
            wallet: details.and_then(|details| details.wallet.clone()),
            points: details.and_then(|details| details.points),
            discount: details.and_then(|details| details.discount),
            virtual_account: details.and_then(AccountOut::of),
            receipt_url: details.and_then(|details| details.receipt_url.clone()),
            cash_receipt: details
                .and_then(|details| details.cash_receipt.as_ref())
                .and_then(|receipt| serde_json::to_value(receipt).ok()),
            metadata: Place::Metadata(row.id).open_json(key, &row.metadata)?,
            created_at: rfc3339(row.created_us),
            expires_at: rfc3339(row.expires_us),
            approved_at: row.approved_at_us.map(rfc3339),
            last_failure: failure
                .map(|sealed| Place::LastFailure(row.id).open_json(key, sealed))
                .transpose()?,
            next_try_at: None,
        })
    }
}

/// What the plugin says of the paid method.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Support {
    /// Whether parts can be cancelled.
    pub partial: bool,
    /// Whether a cancel needs an account.
    pub needs_account: bool,
    /// Days after the approval while a cancel is taken.
    pub within_days: Option<u32>,
}

impl Support {
    /// What a plugin says of a paid method, which stands as JSON in the payment's row.
    pub fn of(descriptor: &Descriptor, method: Option<&Json>) -> Self {
        let method: Option<Method> = method.and_then(|json| json.to().ok());
        let Some(method) = method else { return Self::default() };
        let exact = descriptor.supports.iter().find(|support| support.method == method);
        let kind = || descriptor.supports.iter().find(|support| support.method.kind == method.kind);
        exact.or_else(kind).map_or_else(Self::default, |support| Self {
            partial: support.partial_cancel,
            needs_account: support.cancel_needs_account,
            within_days: support.cancel_within_days,
        })
    }
}

/// A day, in microseconds.
const DAY_US: i64 = 24 * 3600 * 1_000_000;

fn cancellable(row: &Payment, held: i64, details: Option<&Details>, support: Support) -> Option<Cancellable> {
    if held <= 0 || !matches!(row.state, PaymentState::Paid | PaymentState::PartiallyCancelled) {
        return None;
    }
    let partial = details.and_then(|details| details.partial_cancel).unwrap_or(support.partial);
    let until = row.approved_at_us.zip(support.within_days);
    let until =
        until.map(|(from_us, days)| rfc3339(from_us.saturating_add(i64::from(days).saturating_mul(DAY_US))));
    let parts = row.tax_free.is_some() || row.vat.is_some();
    let tax = parts.then(|| TaxLeft::of(row));
    Some(Cancellable {
        amount: held.min(row.total),
        partial,
        until,
        needs_account: support.needs_account,
        tax,
    })
}

impl PaymentOut {
    /// Whether a part of it can be given back now.
    pub fn can_be_cancelled_in_parts(&self) -> bool {
        self.cancellable.as_ref().is_some_and(|cancellable| cancellable.partial)
    }
}
