//! What the gateway says of a payment that holds nothing here. Invariant: nobody is told "as the gateway says" unless it was
//! asked; a sale that only the gateway knows of is taken over as an approval; and a deposit is believed by its notice alone, which
//! says how much came when, so that here a person is called.

use std::time::{Duration, Instant};

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
use super::expire::{due_us, is_called_for_a_notice, no_notice};
use super::inquire::{Of, Silence, approval_of, ask, is_about, of_account};
use super::settle::Change;
use super::sync::cancels_to_come;
use crate::channels::ready::Ready;
use crate::host::Host;
use crate::http::problem::Problem;
use crate::jobs::{self, Task};
use crate::vbank::close::issue_of;
use crate::vbank::facts::{Trust, Verified, write};

/// Of so many windows at most it is asked whether the gateway holds a sale, the last ones.
const ASKED_MAX: usize = 10;
/// So long it is asked about one after the other.
const PATIENCE: Duration = Duration::from_secs(30);

/// Whether the gateway was asked about a payment, and what it answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[non_exhaustive]
pub struct GatewayWord {
    /// Whether it was asked.
    pub asked: bool,
    /// `same` (it says what stands here), `taken_over` (a sale, or cancels, that only it knew became known), `attempt` (an attempt was open
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

/// By which order numbers of ours the gateway may know of the payment: that of its account, else those of its approvals that
/// were asked for, the last first. An approval is all that can make a sale there.
pub fn known_as(tx: &mut Tx<'_>, row: &Payment) -> Result<Vec<(String, Option<CheckoutId>)>, Error> {
    let (shop, id) = (row.shop_id, row.id);
    if row.gateway_ref.is_some() {
        return Ok(vec![issue_of(tx, shop, id)?]);
    }
    let mut known = Vec::new();
    for attempt in attempts::of_payment(tx, shop, id)?.iter().rev() {
        let Some(checkout) = attempt.checkout_id.filter(|_| attempt.kind == AttemptKind::Complete) else {
            continue;
        };
        let checkout = checkouts::get(tx, shop, checkout)?;
        known.extend(checkout.map(|checkout| (checkout.order_ref, Some(checkout.id))));
    }
    known.truncate(ASKED_MAX);
    Ok(known)
}

/// Whether the gateway can be asked by what is known of the payment.
pub fn can_be_asked(ready: &Ready, row: &Payment) -> bool {
    let lookup = ready.lookup();
    lookup == Lookup::OrderRef || (lookup != Lookup::None && row.gateway_ref.is_some())
}

/// Asks the gateway about a payment that holds nothing here, and of which no attempt is open.
pub async fn ask_gateway(host: &Host, row: &Payment) -> Result<GatewayWord, Problem> {
    let of_tx = row.clone();
    let known = host.store().read(move |tx| known_as(tx, &of_tx)).await?;
    let (mut nothing, mut unclear) = (None, None);
    let begun = Instant::now();
    for (order_ref, checkout) in known {
        if begun.elapsed() > PATIENCE {
            unclear.get_or_insert(Err(Problem::new(
                "gateway_silent",
                "the gateway answers too slowly to be asked on",
            )));
            break;
        }
        // What is not clear of one order number hides nothing that is held by another.
        match ask_about(host, row, &order_ref, checkout).await {
            Ok(Heard::Something(word)) => return Ok(word),
            Ok(Heard::Nothing(answer)) => {
                if nothing.is_none() || answer.is_err() {
                    nothing = Some(answer);
                }
            }
            Ok(Heard::NotAsked(word)) => {
                unclear.get_or_insert(Ok(word));
            }
            Err(problem) => {
                unclear.get_or_insert(Err(problem));
            }
        }
    }
    if let Some(unclear) = unclear {
        return unclear;
    }
    let Some(answer) = nothing else {
        let why = "no approval and no account of it was ever asked for, so the gateway knows nothing of it";
        return Ok(GatewayWord::not_asked("not_asked", why));
    };
    end_call(host, row).await?;
    answer.map_err(differs)
}

/// What the gateway says of one order number of ours.
enum Heard {
    /// It holds nothing by it. Whether that is what stands here, or how it differs.
    Nothing(Result<GatewayWord, &'static str>),
    /// It holds something.
    Something(GatewayWord),
    /// It cannot be asked.
    NotAsked(GatewayWord),
}

fn differs(words: &str) -> Problem {
    Problem::new("gateway_differs", words)
}

/// Asks about one order number of ours.
async fn ask_about(
    host: &Host,
    row: &Payment,
    order_ref: &str,
    checkout: Option<CheckoutId>,
) -> Result<Heard, Problem> {
    let ready = Ready::load_for(host, row, checkout).await?;
    if !can_be_asked(&ready, row) {
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
            | PaymentState::Expired => Ok(Heard::NotAsked(GatewayWord::not_asked("not_asked", why))),
        };
    }
    let of = Of { payment: row, attempt: None };
    let sale = match ask(host, &ready, of, order_ref, row.gateway_ref.clone()).await? {
        Ok(sale) => sale,
        Err(Silence::CannotAsk(words)) => return Err(Problem::new("cannot_ask", words)),
        Err(Silence::Failed(words)) => return Err(Problem::new("gateway_silent", words)),
    };
    let Some(sale) = sale else {
        if row.gateway_ref.is_none() {
            let word = GatewayWord::detailed("same", "it knows no sale of this payment");
            return Ok(Heard::Nothing(Ok(word)));
        }
        return Err(differs("the gateway knows no such account; nothing was changed"));
    };
    if !is_about(row, order_ref, &sale) {
        return Err(differs("the gateway answers about another order or amount; nothing was changed"));
    }
    Ok(match compared(row, sale.state) {
        Standing::Same => Heard::Nothing(Ok(GatewayWord::said("same"))),
        Standing::Differs(words) => Heard::Nothing(Err(words)),
        Standing::PaidThere => Heard::Something(take_over(host, ready, row, checkout, sale).await?),
    })
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
        (SaleState::AwaitingDeposit, _) => Standing::Differs("the gateway still waits for a deposit"),
        // Whether a deposit may come all the same is not known of every gateway: the account stays as it is until its time is over.
        (SaleState::Cancelled, PaymentState::AwaitingDeposit) => Standing::Differs(
            "the gateway says that the account is closed; it stays as it is until its time is over",
        ),
        (SaleState::Cancelled, _) => Standing::Same,
    }
}

/// Money is there that is not known here. A sale is taken over as an approval, as if its answer had come now. A deposit is taken
/// over by its notice alone: that is on its way, or a person is called.
async fn take_over(
    host: &Host,
    ready: Ready,
    row: &Payment,
    checkout: Option<CheckoutId>,
    sale: Sale,
) -> Result<GatewayWord, Problem> {
    let (host_in, row) = (host.clone(), row.clone());
    let taken = host.store().transact(move |tx| {
        let payment = locked(tx, row.shop_id, row.id)?;
        // An attempt that begins does not change the payment's row.
        let busy = attempts::open_of(tx, row.shop_id, row.id)?.is_some();
        if busy || payment.version != row.version {
            return Err(Error::Stale { what: "payment" });
        }
        if notices::is_awaited(tx, row.shop_id, row.id)? {
            let words = "its notice is being verified; look again in a moment";
            return Ok(GatewayWord::detailed("notice_waits", words));
        }
        let checkout = checkout.map(|id| checkouts::get(tx, row.shop_id, id)).transpose()?.flatten();
        let account = facts::of_payment(tx, row.shop_id, row.id)?.iter().any(|fact| fact.kind == FactKind::Issued);
        if let Some(checkout) = checkout.filter(|_| !account && !of_account(&payment, &sale)) {
            tracing::error!(payment = %row.id, gateway_ref = %sale.gateway_ref, "the gateway holds a sale that was not known here");
            cancels_to_come(tx, &host_in, &payment, &sale)?;
            let approval = Verified::Approved(Box::new(approval_of(&payment, sale)));
            let trust = Trust { confirmed: true, listed: false, accepted: false };
            let written = write(tx, &host_in, Some(&ready), &checkout, &approval, trust)?;
            let words = "the gateway holds a sale of this payment that was not known here";
            return Ok(GatewayWord::detailed(if written { "taken_over" } else { "paid_there" }, words));
        }
        if payment.resolution == Resolution::None {
            no_notice(tx, &host_in, payment)?;
        }
        let words = "the gateway says that the account was paid into; how much came when, only its notice says: let the \
                     gateway send its notice again";
        Ok(GatewayWord::detailed("paid_there", words))
    });
    let taken: Result<GatewayWord, Error> = taken.await;
    host.settled().notify_waiters();
    host.jobs().notify_one();
    Ok(taken?)
}

/// The gateway, asked, holds nothing: a person who was called because it did is not needed any more, and the payment waits for its
/// time again. (The job that ends it was done when the person was called.)
async fn end_call(host: &Host, row: &Payment) -> Result<(), Problem> {
    if row.resolution != Resolution::NeedsOperator {
        return Ok(());
    }
    let (host_in, row) = (host.clone(), row.clone());
    let ended = host.store().transact(move |tx| {
        let payment = locked(tx, row.shop_id, row.id)?;
        if payment.version == row.version && is_called_for_a_notice(tx, &payment)? {
            let mut change = Change::begin(&host_in, payment, None);
            change.payment.resolution = Resolution::None;
            let payment = change.write(tx)?;
            if let Some(due_us) = due_us(&payment) {
                let task = Task::Expire { shop: payment.shop_id, payment: payment.id };
                jobs::enqueue(tx, &host_in, &task, due_us)?;
            }
        }
        Ok::<_, Error>(())
    });
    ended.await?;
    host.jobs().notify_one();
    Ok(())
}
