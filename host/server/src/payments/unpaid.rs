//! What the gateway says of a payment that holds nothing here. Invariant: nobody is told "as the gateway says" unless it was
//! asked; and money that only the gateway knows of is taken for a deposit by its notice alone, which says how much came when, so
//! that here a person is called.

use payhost_core::id::CheckoutId;
use payhost_core::{FactKind, PaymentState, Resolution};
use payhost_engine::contract::money::{Sale, SaleState};
use payhost_engine::contract::plugin::Lookup;
use payhost_store::rows::attempts::{self, AttemptKind};
use payhost_store::rows::payments::Payment;
use payhost_store::rows::{checkouts, facts, notices};
use payhost_store::{Error, Tx};
use serde::Serialize;
use utoipa::ToSchema;

use super::attempt::locked;
use super::expire::no_notice;
use super::inquire::{Of, Silence, ask};
use crate::channels::ready::Ready;
use crate::host::Host;
use crate::http::problem::Problem;
use crate::vbank::close::issue_of;

/// Whether the gateway was asked about a payment, and what it answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[non_exhaustive]
pub struct GatewayWord {
    /// Whether it was asked.
    pub asked: bool,
    /// `same` (it says what stands here), `taken_over` (cancels that were made there became known), `attempt` (an attempt was open
    /// and was asked about, or undone), `attempt_running` (it was not asked, for an attempt is at work), `paid_there` (an account was
    /// paid into, and no notice told of it), `notice_waits` (the same, and its notice is being verified) or `not_asked`.
    pub answer: &'static str,
    /// More of it, in words.
    pub detail: Option<String>,
}

impl GatewayWord {
    /// It was asked.
    pub fn said(answer: &'static str) -> Self {
        Self { asked: true, answer, detail: None }
    }

    /// It was not asked; why.
    pub fn not_asked(answer: &'static str, why: &str) -> Self {
        Self { asked: false, answer, detail: Some(why.to_owned()) }
    }

    fn detailed(answer: &'static str, detail: &str) -> Self {
        Self { asked: true, answer, detail: Some(detail.to_owned()) }
    }
}

/// By which order number of ours the gateway may know of the payment: that of its account, else of its last approval that was
/// asked for. An approval is all that can make a sale there.
fn known_as(tx: &mut Tx<'_>, row: &Payment) -> Result<Option<(String, Option<CheckoutId>)>, Error> {
    let (shop, id) = (row.shop_id, row.id);
    if row.gateway_ref.is_some() {
        return issue_of(tx, shop, id).map(Some);
    }
    let tried = attempts::of_payment(tx, shop, id)?;
    let last = tried.iter().rev().find(|attempt| attempt.kind == AttemptKind::Complete);
    let Some(checkout) = last.and_then(|attempt| attempt.checkout_id) else { return Ok(None) };
    Ok(checkouts::get(tx, shop, checkout)?.map(|checkout| (checkout.order_ref, Some(checkout.id))))
}

/// Asks the gateway about a payment that holds nothing here, and of which no attempt is open.
pub async fn look(host: &Host, row: &Payment) -> Result<GatewayWord, Problem> {
    let of_tx = row.clone();
    let known = host.store().read(move |tx| known_as(tx, &of_tx)).await?;
    let Some((order_ref, checkout)) = known else {
        let why = "no approval and no account of it was ever asked for, so the gateway knows nothing of it";
        return Ok(GatewayWord::not_asked("not_asked", why));
    };
    let ready = Ready::load_for(host, row, checkout).await?;
    let by_order_only = row.gateway_ref.is_none();
    if ready.lookup() == Lookup::None || (by_order_only && ready.lookup() != Lookup::OrderRef) {
        let why = "the gateway cannot be asked by what is known of this payment";
        return match row.state {
            // Somebody waits for a deposit: that nothing could be asked is no answer.
            PaymentState::AwaitingDeposit => Err(Problem::new("cannot_ask", why)),
            PaymentState::Created
            | PaymentState::Pending
            | PaymentState::Paid
            | PaymentState::PartiallyCancelled
            | PaymentState::Cancelled
            | PaymentState::Failed
            | PaymentState::Expired => Ok(GatewayWord::not_asked("not_asked", why)),
        };
    }
    let of = Of { payment: row, attempt: None };
    let sale = match ask(host, &ready, of, &order_ref, row.gateway_ref.clone()).await? {
        Ok(sale) => sale,
        Err(Silence::CannotAsk(words)) => return Err(Problem::new("cannot_ask", words)),
        Err(Silence::Failed(words)) => return Err(Problem::new("gateway_silent", words)),
    };
    let differs = |words: &str| Err(Problem::new("gateway_differs", words));
    let Some(sale) = sale else {
        if by_order_only {
            return Ok(GatewayWord::detailed("same", "it knows no sale of this payment"));
        }
        return differs("the gateway knows no such account; nothing was changed");
    };
    if sale.order_ref != order_ref || sale.amount.minor != row.total {
        return differs("the gateway answers about another order or amount; nothing was changed");
    }
    match compared(row, sale.state) {
        Standing::Same => Ok(GatewayWord::said("same")),
        Standing::Differs(words) => differs(words),
        Standing::PaidThere => paid_there(host, row, &sale).await,
    }
}

enum Standing {
    Same,
    Differs(&'static str),
    PaidThere,
}

/// What a sale there means for a payment that holds nothing here.
fn compared(row: &Payment, there: SaleState) -> Standing {
    match (there, row.state) {
        (SaleState::Paid | SaleState::PartiallyCancelled, _) => Standing::PaidThere,
        (SaleState::AwaitingDeposit, PaymentState::AwaitingDeposit | PaymentState::Expired) => Standing::Same,
        (SaleState::AwaitingDeposit, _) => {
            Standing::Differs("the gateway still waits for a deposit; nothing was changed")
        }
        // Whether a deposit may come all the same is not known of every gateway: the account stays as it is until its time is over.
        (SaleState::Cancelled, PaymentState::AwaitingDeposit) => {
            Standing::Differs("the gateway says that the account is closed; nothing was changed")
        }
        (SaleState::Cancelled, _) => Standing::Same,
    }
}

/// Money is there that is not known here: its notice is on its way, or a person is called.
async fn paid_there(host: &Host, row: &Payment, sale: &Sale) -> Result<GatewayWord, Problem> {
    let (host_in, row, number) = (host.clone(), row.clone(), sale.gateway_ref.clone());
    let told = host.store().transact(move |tx| {
        let payment = locked(tx, row.shop_id, row.id)?;
        if payment.version != row.version {
            return Err(Error::Stale { what: "payment" });
        }
        if notices::is_awaited(tx, row.shop_id, row.id)? {
            let words = "its notice is being verified; look again in a moment";
            return Ok(GatewayWord::detailed("notice_waits", words));
        }
        let account = facts::of_payment(tx, row.shop_id, row.id)?.iter().any(|fact| fact.kind == FactKind::Issued);
        if payment.resolution == Resolution::None {
            no_notice(tx, &host_in, payment, if account { "no_notice" } else { "unknown_sale" })?;
        }
        if !account {
            tracing::error!(payment = %row.id, %number, "the gateway holds money for a payment that is not paid here");
            let words = "the gateway holds a sale of this order that is not known here: look at it there";
            return Ok(GatewayWord::detailed("paid_there", words));
        }
        let words = "the gateway says that the account was paid into; how much came when, only its notice says: let the \
                     gateway send its notice again";
        Ok(GatewayWord::detailed("paid_there", words))
    });
    let told: Result<GatewayWord, Error> = told.await;
    Ok(told?)
}
