//! `POST /v1/payments/{id}/sync`, and what else looks at a sale that stands. Invariant: what the gateway says happened becomes
//! facts only if it goes beyond what is known and agrees with it; anything else is told and changes nothing.
//!
//! Cancels that nobody made here: in the gateway's own admin, or a test sale that is reversed at night.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use payhost_core::cancels::Shown;
use payhost_core::id::{PaymentId, ShopId};
use payhost_core::{PaymentState, Resolution};
use payhost_engine::contract::money::{Sale, SaleState};
use payhost_engine::contract::plugin::Lookup;
use payhost_store::rows::attempts::{self, AttemptState};
use payhost_store::rows::facts;
use payhost_store::rows::jobs as job_rows;
use payhost_store::rows::payments::{self, Payment};
use payhost_store::{Error, Tx};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::attempt::locked;
use super::cancel::order_ref_of;
use super::cancels_seen::{self, take_over};
use super::inquire::{Of, Silence, ask, is_about};
use super::model::PaymentOut;
use super::read::{find, show};
use super::resolve::delay_us;
use super::unpaid::{self, GatewayWord};
use crate::channels::ready::Ready;
use crate::host::Host;
use crate::http::auth::ShopCaller;
use crate::http::idempotency::{IdempotencyKey, once};
use crate::http::json::PathId;
use crate::http::problem::Problem;
use crate::jobs::{self, Done};

/// How long a caller waits for a doubt to be asked about.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often somebody who waits looks, when nobody rings.
const LOOK: Duration = Duration::from_millis(250);

/// What the gateway says about a sale that stands here.
#[derive(Debug)]
pub enum Look {
    /// The same.
    Match,
    /// More was given back there; written, if that was wanted.
    Cancelled(Vec<Shown>),
    /// Something that cannot be: another amount or order, or less given back than here.
    Differs(String),
    /// It knows no such sale.
    NotThere,
    /// It cannot be asked.
    CannotAsk(String),
    /// It did not answer.
    Silent(String),
}

/// A payment after it was asked about.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[non_exhaustive]
pub struct Synced {
    /// The payment.
    #[serde(flatten)]
    pub payment: PaymentOut,
    /// Whether the gateway was asked, and what it said.
    pub gateway: GatewayWord,
}

/// Asks the gateway about a payment now: a doubt is resolved if it can be, a cancel that was made in the gateway's admin is
/// taken over, and of an account that was paid into without a notice a person is told. `gateway` says whether there was anything
/// to ask, and what was answered.
#[utoipa::path(
    post, path = "/v1/payments/{id}/sync", tag = "payments",
    params(
        ("id" = String, Path, description = "`pay_…`"),
        ("Idempotency-Key" = Option<String>, Header, description = "Repeats of the request get the first answer"),
    ),
    responses(
        (status = 200, description = "What is known now; `gateway.asked` says whether the gateway was asked", body = Synced),
        (status = 202, description = "Still not known: `resolution` is not `none`, an attempt is at work or a notice waits", body = Synced),
        (status = "default", description = "A problem", body = Problem),
    )
)]
pub async fn sync(
    State(host): State<Host>,
    caller: ShopCaller,
    PathId(id): PathId<PaymentId>,
    key: IdempotencyKey,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let row = find(&host, caller, id).await?.ok_or_else(|| Problem::not_found("payment"))?;
    let key = key.of(&host, &caller, &format!("POST /v1/payments/{id}/sync"), b"")?;
    let host_in = host.clone();
    host.finish(async move { once(&host_in, key, now(&host_in, caller, row)).await }).await
}

async fn now(host: &Host, caller: ShopCaller, row: Payment) -> Result<(StatusCode, Value), Problem> {
    let id = row.id;
    let gateway = match ask_soon(host, &row).await? {
        Turn::Nothing if row.paid > 0 => stands(host, &row).await?,
        Turn::Nothing => unpaid::ask_gateway(host, &row).await?,
        Turn::Taken => GatewayWord::said("attempt"),
        Turn::AtWork => GatewayWord::not_asked("attempt_running", "an attempt of this payment is at work"),
    };
    let row = find(host, caller, id).await?.ok_or_else(|| Problem::not_found("payment"))?;
    let shop = row.shop_id;
    let open = host.store().read(move |tx| attempts::open_of(tx, shop, id)).await?.is_some();
    let known = row.resolution == Resolution::None && !open && gateway.answer != "notice_waits";
    let status = if known { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, json!(Synced { payment: show(host, &row).await?, gateway })))
}

/// Compares a payment that was paid, and takes over what was cancelled there.
async fn stands(host: &Host, row: &Payment) -> Result<GatewayWord, Problem> {
    match look(host, row, true).await? {
        Look::Match => Ok(GatewayWord::said("same")),
        Look::Cancelled(_) => Ok(GatewayWord::said("taken_over")),
        Look::Differs(words) => Err(Problem::new("gateway_differs", words)),
        Look::NotThere => {
            Err(Problem::new("gateway_differs", "the gateway knows no such sale; nothing was changed"))
        }
        Look::CannotAsk(words) => Err(Problem::new("cannot_ask", words)),
        Look::Silent(words) => Err(Problem::new("gateway_silent", words)),
    }
}

/// What became of an open attempt's turn.
enum Turn {
    /// No attempt is open.
    Nothing,
    /// It was asked about, or it ended.
    Taken,
    /// Its maker is still at work.
    AtWork,
}

/// Lets the job of an open attempt run now and waits until it is settled, or until no turn is near.
async fn ask_soon(host: &Host, row: &Payment) -> Result<Turn, Problem> {
    let (host_in, shop, id) = (host.clone(), row.shop_id, row.id);
    let asked = host.store().transact(move |tx| {
        let Some(open) = attempts::open_of(tx, shop, id)? else { return Ok(None) };
        let (task, now_us) = (jobs::Task::Resolve { shop, attempt: open.id }, host_in.now_us());
        jobs::enqueue(tx, &host_in, &task, now_us)?;
        Ok::<_, Error>(Some((task.key(), now_us)))
    });
    let Some((key, asked_us)) = asked.await? else { return Ok(Turn::Nothing) };
    let near_us = asked_us.saturating_add(i64::try_from(PATIENCE.as_micros()).unwrap_or(i64::MAX));
    let settled = host.settled().notified();
    tokio::pin!(settled);
    settled.as_mut().enable();
    host.jobs().notify_one();
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        // Another host may do the job, and nobody rings here.
        let look = deadline.min(tokio::time::Instant::now() + LOOK);
        let _ = tokio::time::timeout_at(look, settled.as_mut()).await;
        settled.set(host.settled().notified());
        settled.as_mut().enable();
        let key = key.clone();
        let waiting = host.store().read(move |tx| {
            let Some(open) = attempts::open_of(tx, shop, id)? else { return Ok((false, false)) };
            // Its maker may be at work. Otherwise: where nobody knows more than before, the next turn may be far away.
            let at_work = open.state == AttemptState::Intent;
            let near = job_rows::get(tx, shop, &key)?.is_some_and(|job| job.is_pending(near_us));
            Ok::<_, Error>((at_work || near, at_work))
        });
        let (waiting, at_work) = waiting.await?;
        if !waiting || tokio::time::Instant::now() >= deadline {
            return Ok(if at_work { Turn::AtWork } else { Turn::Taken });
        }
    }
}

/// Compares a paid payment with the gateway. `apply`: cancels that are known only there become facts.
pub async fn look(host: &Host, row: &Payment, apply: bool) -> Result<Look, Problem> {
    let ready = Ready::load_for_sale(host, row).await?;
    if ready.lookup() == Lookup::None {
        return Ok(Look::CannotAsk("the plugin cannot ask its gateway about a sale".to_owned()));
    }
    let (shop, id, checkout) = (row.shop_id, row.id, row.approved_checkout_id);
    let known = host.store().read(move |tx| {
        let order_ref = order_ref_of(tx, shop, checkout)?;
        Ok::<_, Error>((order_ref, facts::of_payment(tx, shop, id)?))
    });
    let (order_ref, known) = known.await?;
    let asked_ms = host.now_ms();
    let of = Of { payment: row, attempt: None };
    let sale = match ask(host, &ready, of, &order_ref, row.gateway_ref.clone()).await? {
        Ok(Some(sale)) => sale,
        Ok(None) => return Ok(Look::NotThere),
        Err(Silence::CannotAsk(words)) => return Ok(Look::CannotAsk(words)),
        Err(Silence::Failed(words)) => return Ok(Look::Silent(words)),
    };
    let order_ref = if order_ref.is_empty() { &sale.order_ref } else { &order_ref };
    if !is_about(row, order_ref, &sale) {
        let words =
            format!("the gateway has {} {} for {}", sale.amount.minor, sale.amount.currency, sale.order_ref);
        return Ok(Look::Differs(words));
    }
    // Both wait for a deposit or for its rest, or the bank took one back: nothing is held that could have been given back there.
    let waits = matches!(row.state, PaymentState::AwaitingDeposit | PaymentState::Cancelled);
    if waits && sale.state == SaleState::AwaitingDeposit {
        return Ok(Look::Match);
    }
    if sale.state == SaleState::AwaitingDeposit {
        return Ok(Look::Differs("the gateway still waits for the deposit".to_owned()));
    }
    let others = match cancels_seen::explained(row.total, &known, None, &sale, asked_ms) {
        Ok(found) if found.others.is_empty() => return Ok(Look::Match),
        Ok(found) => found.others,
        Err(words) => return Ok(Look::Differs(words)),
    };
    if apply {
        write(host, &ready, row, others.clone()).await?;
    }
    Ok(Look::Cancelled(others))
}

/// Writes what the gateway did, unless the payment was changed since it was asked.
async fn write(host: &Host, ready: &Ready, row: &Payment, others: Vec<Shown>) -> Result<(), Problem> {
    let (host_in, ready_in, row) = (host.clone(), ready.clone(), row.clone());
    let written = host.store().transact(move |tx| {
        let payment = locked(tx, row.shop_id, row.id)?;
        let busy = attempts::open_of(tx, row.shop_id, row.id)?.is_some();
        if busy || payment.version != row.version {
            return Err(Error::Stale { what: "payment" });
        }
        take_over(tx, &host_in, Some(&ready_in), payment, &others).map(|_| ())
    });
    let written: Result<(), Error> = written.await;
    Ok(written?)
}

/// A sale becomes known of which a part was given back at the gateway already: what, a look tells.
pub fn cancels_to_come(tx: &mut Tx<'_>, host: &Host, payment: &Payment, sale: &Sale) -> Result<(), Error> {
    if sale.state != SaleState::PartiallyCancelled {
        return Ok(());
    }
    let task = jobs::Task::Look { shop: payment.shop_id, payment: payment.id };
    jobs::enqueue(tx, host, &task, host.now_us())
}

/// Looks at a sale of which the gateway said something that what is known here does not explain: a cancel was refused, or left
/// another amount than it should have. It may be silent; then again later, as long as the schedule of a doubt's first day.
pub async fn look_again(host: &Host, shop: ShopId, id: PaymentId, tries: i64) -> Result<Done, String> {
    let row = host.store().read(move |tx| payments::get(tx, shop, id)).await;
    let row = row.map_err(|error: Error| error.to_string())?;
    let Some(row) = row.filter(|row| row.gateway_ref.is_some() && row.paid > 0) else {
        return Ok(Done::Finished);
    };
    let words = match look(host, &row, true).await {
        Ok(Look::Match | Look::Cancelled(_)) => return Ok(Done::Finished),
        Ok(Look::Differs(words) | Look::CannotAsk(words)) => {
            tracing::warn!(payment = %id, %words, "a sale was looked at in vain");
            return Ok(Done::Finished);
        }
        Ok(Look::NotThere) => {
            tracing::warn!(payment = %id, "the gateway knows no such sale");
            return Ok(Done::Finished);
        }
        Ok(Look::Silent(words)) => words,
        // An attempt is open, or the payment was changed meanwhile.
        Err(problem) if problem.code == "conflict" => problem.detail,
        Err(problem) => return Err(problem.detail),
    };
    match delay_us(tries) {
        Some(us) => Ok(Done::Again(host.now_us().saturating_add(us), words)),
        None => {
            tracing::error!(payment = %id, %words, "a sale could not be looked at; sync it when the gateway answers again");
            Ok(Done::Finished)
        }
    }
}

#[cfg(test)]
mod tests {
    use payhost_core::FactKind;
    use payhost_engine::contract::money::Cancelled;
    use payhost_engine::contract::types::Money as Amount;

    use super::*;
    use crate::vbank::tests::fact;

    fn krw(minor: i64) -> Amount {
        Amount { minor, currency: "KRW".to_owned() }
    }

    fn sale(state: SaleState, cancels: &[i64], cancellable: Option<i64>) -> Sale {
        Sale {
            gateway_ref: "tid".to_owned(),
            order_ref: "ref".to_owned(),
            state,
            amount: krw(1000),
            cancellable: cancellable.map(krw),
            method: None,
            approved_at_ms: None,
            cancels: cancels
                .iter()
                .map(|minor| Cancelled { gateway_ref: None, amount: krw(*minor), at_ms: Some(1) })
                .collect(),
        }
    }

    /// The amounts of cancels that are new, with so much taken and these given back here.
    fn others(taken: i64, given: &[i64], sale: &Sale) -> Option<Vec<i64>> {
        let mut known = vec![fact(FactKind::Approved, "tid", taken)];
        known.extend(given.iter().map(|minor| fact(FactKind::Cancelled, "tid", *minor)));
        let found = cancels_seen::explained(1000, &known, None, sale, 1).ok()?;
        Some(found.others.iter().map(|shown| shown.amount).collect())
    }

    #[test]
    fn only_what_goes_beyond_what_is_known_is_taken_over() {
        use SaleState::{Cancelled, Paid, PartiallyCancelled};
        // State there, its list, what it says is left, given back here, and what is new.
        type Case = (SaleState, &'static [i64], Option<i64>, &'static [i64], Option<&'static [i64]>);
        let cases: &[Case] = &[
            (Paid, &[], None, &[], Some(&[])),
            (Cancelled, &[], None, &[], Some(&[1000])),
            (Cancelled, &[1000], None, &[], Some(&[1000])),
            (Cancelled, &[400, 600], None, &[400], Some(&[600])),
            (Cancelled, &[1000], None, &[400], Some(&[600])),
            (Cancelled, &[400, 600], None, &[600, 400], Some(&[])),
            (PartiallyCancelled, &[100, 200], Some(700), &[100], Some(&[200])),
            (PartiallyCancelled, &[200, 100], Some(700), &[100], Some(&[200])),
            (PartiallyCancelled, &[100, 200, 300], Some(400), &[200], Some(&[100, 300])),
            (PartiallyCancelled, &[100], Some(900), &[100], Some(&[])),
            (PartiallyCancelled, &[100], None, &[], Some(&[100])),
            (Paid, &[], None, &[100], None),
            (PartiallyCancelled, &[100], Some(900), &[200], None),
            // It holds more than was taken, as far as is known.
            (PartiallyCancelled, &[], Some(1001), &[], None),
        ];
        for (state, list, left, given, expected) in cases {
            let found = others(1000, given, &sale(*state, list, *left));
            assert_eq!(found.as_deref(), *expected, "{state:?} {list:?} {left:?}, {given:?} here");
        }
    }

    #[test]
    fn a_short_deposit_that_was_given_back_here_is_not_found_again_at_the_gateway() {
        let cancelled = sale(SaleState::Cancelled, &[], None);
        assert_eq!(others(400, &[400], &cancelled), Some(Vec::new()));
        // Given back there, it is what was paid in, and not the total.
        assert_eq!(others(400, &[], &cancelled), Some(vec![400]));
    }
}
