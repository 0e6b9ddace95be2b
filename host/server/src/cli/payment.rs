//! `payhost payment …`. Invariant: as in `commands`, a command adds nothing to its request; a command that gives money back names
//! the request, so that the same command again gives nothing back twice.

use clap::{Args, Subcommand};
use payhost_core::id::PaymentId;
use serde_json::{Map, Value, json};

use super::client::ApiRequest;
use super::commands::{OfShop, Paging, Query};

/// Columns of `payment list --csv`.
pub const CSV: &[&str] = &[
    "id",
    "order_id",
    "order_name",
    "state",
    "resolution",
    "amount.currency",
    "amount.total",
    "amount.paid",
    "amount.cancelled",
    "method.kind",
    "method.provider",
    "created_at",
    "paid_at",
];

/// `payhost payment …`
#[derive(Subcommand)]
pub enum PaymentCommand {
    /// Makes a payment and prints where the buyer pays it.
    Create(CreateArguments),
    /// Shows a payment.
    Show(OnePayment),
    /// Lists a shop's payments, newest first.
    List(ListArguments),
    /// Gives a payment back, all of it or a part; closes one that nobody paid.
    Cancel(CancelArguments),
    /// Approves a payment that waits for the shop (`confirm: manual`).
    Confirm(OnePayment),
    /// Asks the gateway how a payment stands.
    Sync(OnePayment),
    /// Shows everything that happened to a payment.
    Timeline(OnePayment),
    /// Makes a link by which the buyer has a deposit paid back.
    RefundLink(OnePayment),
    /// Opens a virtual account for a payment, without a window.
    OpenAccount {
        /// Which.
        #[command(flatten)]
        one: OnePayment,
        /// The bank's KFTC code, as 088.
        #[arg(long)]
        bank: String,
        /// Who pays in.
        #[arg(long)]
        holder: Option<String>,
        /// Until when: RFC 3339, or a date.
        #[arg(long)]
        deadline: Option<String>,
    },
    /// Closes a virtual account into which nobody paid.
    CloseAccount(OnePayment),
    /// Ends a doubt by what you found out at the gateway.
    Resolve(ResolveArguments),
}

/// A payment of a shop.
#[derive(Args)]
pub struct OnePayment {
    /// Whose.
    #[command(flatten)]
    of: OfShop,
    /// Its id.
    id: PaymentId,
}

impl OnePayment {
    fn get(&self, tail: &str) -> ApiRequest {
        ApiRequest::get(format!("/v1/payments/{}{tail}", self.id)).for_shop(self.of.shop, &self.of.mode)
    }

    fn post(&self, tail: &str, body: Value) -> ApiRequest {
        let path = format!("/v1/payments/{}{tail}", self.id);
        ApiRequest::json("POST", path, body).for_shop(self.of.shop, &self.of.mode)
    }
}

/// `payhost payment create …`
#[derive(Args)]
pub struct CreateArguments {
    /// Whose.
    #[command(flatten)]
    of: OfShop,
    /// The shop's own order number.
    #[arg(long)]
    order_id: String,
    /// What is sold.
    #[arg(long)]
    order_name: String,
    /// Minor units: 1,004 won is 1004.
    #[arg(long)]
    total: i64,
    /// ISO 4217.
    #[arg(long)]
    currency: Option<String>,
    /// `card`, `transfer`, `virtual_account`, `phone`, `easy_pay` … Absent: the buyer chooses.
    #[arg(long)]
    method: Option<String>,
    /// Which wallet or voucher.
    #[arg(long, requires = "method")]
    provider: Option<String>,
    /// The channel. Absent: the shop's default.
    #[arg(long)]
    channel: Option<String>,
    /// Where the buyer's browser goes afterwards.
    #[arg(long)]
    return_url: Option<String>,
}

/// `payhost payment list …`
#[derive(Args)]
pub struct ListArguments {
    /// Whose.
    #[command(flatten)]
    of: OfShop,
    /// Only those of an order.
    #[arg(long)]
    order_id: Option<String>,
    /// Only those in a state, as `paid`.
    #[arg(long)]
    state: Option<String>,
    /// Only those that are `in_doubt` or `needs_operator`.
    #[arg(long)]
    resolution: Option<String>,
    /// Only those paid (or to be paid) so, as `card`.
    #[arg(long)]
    method: Option<String>,
    /// Only those of this total, in minor units.
    #[arg(long)]
    total: Option<i64>,
    /// Only those whose order number or order name has this in it.
    #[arg(long)]
    text: Option<String>,
    /// Only those made from this day (in Seoul) or moment on.
    #[arg(long)]
    from: Option<String>,
    /// Only those made until this day (in Seoul) or moment.
    #[arg(long)]
    until: Option<String>,
    /// Which part.
    #[command(flatten)]
    page: Paging,
    /// All of them as comma-separated values.
    #[arg(long, conflicts_with_all = ["limit", "after"])]
    pub csv: bool,
}

/// `payhost payment cancel …`
#[derive(Args)]
pub struct CancelArguments {
    /// Which.
    #[command(flatten)]
    one: OnePayment,
    /// Minor units. Absent: all that is left.
    #[arg(long, requires = "idempotency_key")]
    amount: Option<i64>,
    /// Why, in words for the gateway's records.
    #[arg(long)]
    reason: Option<String>,
    /// KFTC code of the buyer's bank, for a deposit.
    #[arg(long, requires = "holder", requires = "number_file")]
    bank: Option<String>,
    /// Holder of the buyer's account.
    #[arg(long, requires = "bank")]
    holder: Option<String>,
    /// File with the account number, so that it is not in the shell's history; `-` is standard input.
    #[arg(long, requires = "bank")]
    number_file: Option<String>,
    /// Only if nobody paid: otherwise nothing is done.
    #[arg(long)]
    only_unpaid: bool,
    /// Also closes its virtual account.
    #[arg(long)]
    close_account: bool,
    /// Name of this request: the same name again gives the first answer and does nothing more.
    #[arg(long)]
    idempotency_key: Option<String>,
}

impl CancelArguments {
    fn request(&self) -> Result<ApiRequest, String> {
        let mut body = Map::new();
        let mut put = |name: &str, value: Option<Value>| {
            body.extend(value.map(|value| (name.to_owned(), value)));
        };
        put("amount", self.amount.map(Value::from));
        put("reason", self.reason.clone().map(Value::from));
        put("only_unpaid", self.only_unpaid.then_some(Value::from(true)));
        put("close_account", self.close_account.then_some(Value::from(true)));
        if let (Some(bank), Some(holder), Some(file)) = (&self.bank, &self.holder, &self.number_file) {
            let number = if file == "-" {
                std::io::read_to_string(std::io::stdin()).map_err(|error| error.to_string())?
            } else {
                std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?
            };
            put("account", Some(json!({"bank": bank, "holder": holder, "number": number.trim()})));
        }
        let key = self.idempotency_key.clone().unwrap_or_else(|| format!("cancel {}", self.one.id));
        let request = self.one.post("/cancel", Value::Object(body));
        Ok(ApiRequest { idempotency_key: Some(key), ..request })
    }
}

/// `payhost payment resolve …`
#[derive(Args)]
pub struct ResolveArguments {
    /// Whose.
    #[command(flatten)]
    of: OfShop,
    /// The payment.
    id: PaymentId,
    /// `approved`, `not_approved`, `cancelled` or `not_cancelled`; of an account `issued`, `not_issued`, `closed` or `not_closed`;
    /// `kept` of money that came late.
    finding: String,
    /// The gateway's number of the sale or the cancel.
    #[arg(long)]
    gateway_ref: Option<String>,
    /// Minor units, as the gateway shows them.
    #[arg(long)]
    amount: Option<i64>,
    /// How it was paid, as `card`.
    #[arg(long)]
    method: Option<String>,
    /// When, RFC 3339.
    #[arg(long)]
    at: Option<String>,
    /// What was seen where.
    #[arg(long)]
    note: String,
    /// Who looked.
    #[arg(long)]
    by: String,
}

impl PaymentCommand {
    /// The request.
    pub fn request(&self) -> Result<ApiRequest, String> {
        Ok(match self {
            Self::Create(new) => new.request(),
            Self::Show(one) => one.get(""),
            Self::List(list) => list.request(),
            Self::Cancel(cancel) => cancel.request()?,
            Self::Confirm(one) => one.post("/confirm", json!({})),
            Self::Sync(one) => one.post("/sync", json!({})),
            Self::Timeline(one) => one.get("/timeline"),
            Self::RefundLink(one) => one.post("/refund-link", json!({})),
            Self::OpenAccount { one, bank, holder, deadline } => {
                let body = json!({"bank": bank, "holder": holder, "deadline": deadline});
                let key = format!("open account {}", one.id);
                ApiRequest { idempotency_key: Some(key), ..one.post("/virtual-account", body) }
            }
            Self::CloseAccount(one) => {
                let key = format!("close account {}", one.id);
                ApiRequest { idempotency_key: Some(key), ..one.post("/virtual-account/close", json!({})) }
            }
            Self::Resolve(found) => found.request(),
        })
    }
}

impl CreateArguments {
    fn request(&self) -> ApiRequest {
        let method = self.method.as_ref().map(|kind| json!({"kind": kind, "provider": self.provider}));
        let body = json!({
            "order_id": self.order_id, "order_name": self.order_name,
            "amount": {"total": self.total, "currency": self.currency},
            "method": method, "channel_id": self.channel, "return_url": self.return_url,
        });
        ApiRequest::json("POST", "/v1/payments", body).for_shop(self.of.shop, &self.of.mode)
    }
}

impl ListArguments {
    /// The request.
    pub fn request(&self) -> ApiRequest {
        let page = if self.csv { Paging { all: true, ..Paging::default() } } else { self.page.clone() };
        let query = Query::default()
            .with("order_id", self.order_id.as_ref())
            .with("state", self.state.as_ref())
            .with("resolution", self.resolution.as_ref())
            .with("method", self.method.as_ref())
            .with("total", self.total)
            .with("text", self.text.as_ref())
            .with("from", self.from.as_ref())
            .with("until", self.until.as_ref())
            .page(&page);
        ApiRequest::get(query.on("/v1/payments")).for_shop(self.of.shop, &self.of.mode).paged(&page)
    }
}

impl ResolveArguments {
    fn request(&self) -> ApiRequest {
        let method = self.method.as_ref().map(|kind| json!({"kind": kind}));
        let body = json!({
            "finding": self.finding, "gateway_ref": self.gateway_ref, "amount": self.amount,
            "method": method, "at": self.at, "note": self.note, "by": self.by,
        });
        // The same finding again is the same request.
        let key = format!("resolve {} {}", self.id, self.finding);
        let path = format!("/v1/payments/{}/resolve", self.id);
        let request = ApiRequest::json("POST", path, body).for_shop(self.of.shop, &self.of.mode);
        ApiRequest { idempotency_key: Some(key), ..request }
    }
}
