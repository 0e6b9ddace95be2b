//! The buyer's return, read. Invariant: a return is read by the plugin (without any network) before anything is written; what
//! the gateway did not make changes nothing, and only what it did make opens an attempt. A window whose payment was given up is
//! over: its return is not even read.

use payhost_core::id::{CheckoutId, PaymentId, ShopId};
use payhost_engine::Called;
use payhost_engine::contract::general_pay::{AUTHENTICATE, Authentication};
use payhost_engine::contract::types::{Callback, Method, Order, PluginError};
use payhost_store::rows::attempts;
use payhost_store::rows::checkouts::{self, Checkout, CheckoutState};
use payhost_store::rows::payments::{self as payment_rows, Confirm, Payment};
use payhost_store::{Error, Tx, Vault};
use serde_json::{Value, json};

use crate::channels::ready::{Moment, Ready, Rows};
use crate::host::Host;
use crate::http::problem::Problem;
use crate::payments::attempt::{JournalOf, journal, locked};
use crate::payments::complete::{Return, complete, refusal, refuse, wait};
use crate::payments::settle::{Change, checkout_ended, refusal_json};
use crate::payments::verdict::{NotSent, not_sent};
use crate::sealed::Place;
use crate::{jobs, payments};

/// How long a shop may take to confirm, in microseconds: 4 minutes. Gateways keep an authentication for minutes only.
const CONFIRM_US: i64 = 240 * 1_000_000;
/// How long a return that was acted on leads to its result, in microseconds: a day, as the result's own address. Later it opens
/// nothing.
const REPEAT_US: i64 = 24 * 3600 * 1_000_000;
/// States in which a return may still lead to an approval.
pub const OPEN: &[CheckoutState] = &[CheckoutState::Opened, CheckoutState::CancelledByBuyer];

/// What became of a return.
#[derive(Debug, PartialEq, Eq)]
pub enum Arrival {
    /// The checkout's row says how it ended, or that nobody knows yet.
    Stored,
    /// Its result is known for so long that its address leads nowhere any more; nothing was read, changed or shown.
    Over,
    /// The gateway did not make it, or it could not be read; nothing was changed. The stable word says why.
    Refused(&'static str),
}

/// A checkout that somebody came back to, and its channel as it was when it was opened.
pub struct Returned {
    checkout: Checkout,
    confirm: Confirm,
    rows: Rows,
}

impl Returned {
    /// Reads it; nothing if there is none.
    pub fn read(
        tx: &mut Tx<'_>,
        vault: &Vault,
        (shop, id): (ShopId, CheckoutId),
    ) -> Result<Option<Self>, Error> {
        tx.keep_settings()?;
        let payment = payment_rows::ask_of_checkout(tx, shop, id)?;
        let Some(checkout) = checkouts::get(tx, shop, id)? else { return Ok(None) };
        let rows = Rows::read(tx, vault, shop, checkout.channel_id, Some(checkout.revision))?;
        let confirm = payment.one(tx, "payment")?.confirm;
        Ok(Some(Self { checkout, confirm, rows }))
    }

    /// Whether its result is known for so long that a repeat leads nowhere any more.
    pub fn is_over(&self, now_us: i64) -> bool {
        is_over(self.checkout.state, self.checkout.updated_us, now_us)
    }

    /// Its payment.
    pub fn payment(&self) -> PaymentId {
        self.checkout.payment_id
    }
}

fn is_over(state: CheckoutState, updated_us: i64, now_us: i64) -> bool {
    let ended = match state {
        CheckoutState::Opened | CheckoutState::CancelledByBuyer => false,
        // Its outcome is still to come, however long that takes: the buyer is told so.
        CheckoutState::Returned | CheckoutState::InDoubt | CheckoutState::AwaitingConfirm => false,
        // Whose payment was given up is told so whenever he comes back.
        CheckoutState::GivenUp => false,
        CheckoutState::Approved
        | CheckoutState::AwaitingDeposit
        | CheckoutState::Failed
        | CheckoutState::Undone => true,
    };
    ended && updated_us.saturating_add(REPEAT_US) <= now_us
}

/// Reads a return and acts on it: approves at once, holds it until the shop confirms, or ends the checkout.
pub async fn arrive(host: &Host, returned: Returned, callback: Callback) -> Result<Arrival, Problem> {
    let Returned { checkout, confirm, rows } = returned;
    if checkout.state == CheckoutState::GivenUp {
        return Ok(Arrival::Stored);
    }
    let ready = Ready::of(host, rows, Some(&checkout.plugin_digest), None).await?;
    let order: Order = payments::order::open_sealed(&ready.key, &checkout)?;
    let moment = Moment::now(host);
    let of = JournalOf {
        call: moment.call,
        at_ms: moment.now_ms,
        payment: Some(checkout.payment_id),
        attempt: None,
    };
    let arguments = (order.clone(), callback.clone());
    let read = ready.call(host, &AUTHENTICATE, moment, |context| (context, arguments.0, arguments.1)).await;
    let said = match &read.result {
        Ok(Ok(said)) => said.clone(),
        Ok(Err(error)) => return Ok(refused(&checkout, &NotSent::Refused(error.clone()))),
        Err(fault) => return Ok(refused(&checkout, &NotSent::from(fault))),
    };
    let of_checkout = (checkout.shop_id, checkout.id);
    let authenticated = match &said {
        Authentication::Authenticated(method) => Some(method.clone()),
        Authentication::Declined(_) | Authentication::CancelledByBuyer => None,
    };
    let returned = |of, read| Return { order, callback, read: Some((of, read)) };
    match (authenticated, confirm) {
        (Some(_), Confirm::Automatic) => complete(host, &ready, &checkout, OPEN, returned(of, read)).await?,
        (Some(method), Confirm::Manual) => {
            hold(host, &ready, checkout, method, returned(of, read)).await?;
            wait(host, of_checkout).await?;
        }
        (None, _) => {
            end(host, &ready, checkout, said, of, read).await?;
            wait(host, of_checkout).await?;
        }
    }
    Ok(Arrival::Stored)
}

/// A stranger's post costs a log line and nothing else.
fn refused(checkout: &Checkout, why: &NotSent) -> Arrival {
    let reason = not_sent(why);
    tracing::warn!(checkout = %checkout.id, reason, ?why, "a return was refused; nothing was sent");
    Arrival::Refused(reason)
}

/// The gateway's own "no": the checkout ends, the payment stays payable.
async fn end(
    host: &Host,
    ready: &Ready,
    checkout: Checkout,
    said: Authentication,
    of: JournalOf,
    read: Called<Result<Authentication, PluginError>>,
) -> Result<(), Problem> {
    let (host_in, ready_in) = (host.clone(), ready.clone());
    let ended = host.store().transact(move |tx| {
        let host = &host_in;
        let Some((payment, mut checkout)) = still_open(tx, &checkout)? else { return Ok(()) };
        journal(tx, host, &ready_in, of, &read)?;
        let mut change = Change::begin(host, payment, Some(&ready_in));
        let (state, result) = match said {
            Authentication::Declined(declined) => {
                let refusal = refusal_json(&declined);
                change.event("checkout.failed", json!({"checkout_id": checkout.id, "refusal": refusal}));
                (CheckoutState::Failed, json!({"reason": "declined", "refusal": refusal}))
            }
            Authentication::CancelledByBuyer | Authentication::Authenticated(_) => {
                change.event("checkout.cancelled_by_buyer", json!({"checkout_id": checkout.id}));
                (CheckoutState::CancelledByBuyer, json!({"reason": "cancelled_by_buyer"}))
            }
        };
        checkout_ended(tx, host, &mut checkout, state, result)?;
        change.write(tx).map(|_| ())
    });
    let ended: Result<(), Error> = ended.await;
    Ok(ended?)
}

/// The payment, locked, and its checkout as it is then: the same return may have come to another host while we waited for the
/// lock. `None`: that one has acted on it.
fn still_open(tx: &mut Tx<'_>, seen: &Checkout) -> Result<Option<(Payment, Checkout)>, Error> {
    let payment = locked(tx, seen.shop_id, seen.payment_id)?;
    let found = checkouts::get(tx, seen.shop_id, seen.id)?;
    Ok(found.filter(|checkout| OPEN.contains(&checkout.state)).map(|checkout| (payment, checkout)))
}

/// Keeps a return, sealed, until the shop confirms or the time is over.
async fn hold(
    host: &Host,
    ready: &Ready,
    checkout: Checkout,
    method: Option<Method>,
    returned: Return,
) -> Result<(), Problem> {
    let held = Place::Held(checkout.id).seal_json(&ready.key, &returned.callback)?;
    let (host_in, ready_in) = (host.clone(), ready.clone());
    let stored = host.store().transact(move |tx| {
        let host = &host_in;
        let Some((payment, mut checkout)) = still_open(tx, &checkout)? else { return Ok(()) };
        if let Some((of, read)) = &returned.read {
            journal(tx, host, &ready_in, *of, read)?;
        }
        let busy = attempts::open_of(tx, payment.shop_id, payment.id)?.is_some();
        if let Some(reason) = refusal(host, &ready_in, &payment, busy) {
            return refuse(tx, host, payment, &mut checkout, reason);
        }
        let mut change = Change::begin(host, payment, Some(&ready_in));
        checkout.callback = Some(held);
        let task = jobs::Task::Unconfirmed { shop: checkout.shop_id, checkout: checkout.id };
        jobs::enqueue(tx, host, &task, host.now_us().saturating_add(CONFIRM_US))?;
        change.event("checkout.awaiting_confirm", json!({"checkout_id": checkout.id, "method": method}));
        checkout_ended(
            tx,
            host,
            &mut checkout,
            CheckoutState::AwaitingConfirm,
            Value::Object(Default::default()),
        )?;
        change.write(tx).map(|_| ())
    });
    let stored: Result<(), Error> = stored.await;
    host.jobs().notify_one();
    Ok(stored?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_return_leads_to_its_result_until_a_day_after_that_is_known() {
        use CheckoutState as C;
        let ended = [C::Approved, C::AwaitingDeposit, C::Failed, C::Undone];
        for (state, _) in CheckoutState::TABLE {
            assert!(!is_over(*state, 0, REPEAT_US - 1), "{state:?}");
            assert_eq!(is_over(*state, 0, REPEAT_US), ended.contains(state), "{state:?}");
        }
    }
}
