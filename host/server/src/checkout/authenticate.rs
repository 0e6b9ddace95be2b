//! A return that the shop must confirm. Invariant: nothing is sent to the gateway here; what the browser brought is kept,
//! sealed, until the shop confirms or the time is over.

use payhost_engine::contract::general_pay::{AUTHENTICATE, Authentication};
use payhost_engine::contract::types::{Callback, Order};
use payhost_store::Error;
use payhost_store::rows::checkouts::{self, Checkout, CheckoutState};
use serde_json::json;

use super::complete::{locked, not_sent, refusal, refuse};
use crate::channels::ready::{Moment, Ready};
use crate::host::Host;
use crate::http::problem::Problem;
use crate::payments::attempt::{JournalOf, journal};
use crate::payments::model::Support;
use crate::payments::settle::{Change, checkout_ended, refusal_json};
use crate::payments::verdict::NotSent;
use crate::sealed::Place;
use crate::{jobs, payments};

/// How long a shop may take to confirm, in microseconds: 4 minutes. Gateways keep an authentication for minutes only.
const CONFIRM_US: i64 = 240 * 1_000_000;

/// Reads a return without approving it, and keeps it for the shop.
pub async fn hold(host: &Host, checkout: Checkout, callback: Callback) -> Result<(), Problem> {
    if !matches!(checkout.state, CheckoutState::Opened | CheckoutState::CancelledByBuyer) {
        return Ok(());
    }
    let ready =
        Ready::load(host, checkout.shop_id, checkout.channel_id, Some(&checkout.plugin_digest)).await?;
    let order: Order = payments::order::open_sealed(&ready.key, &checkout)?;
    let held = Place::Held(checkout.id).seal_json(&ready.key, &callback)?;
    let moment = Moment::now(host);
    let of = JournalOf {
        call: moment.call,
        at_ms: moment.now_ms,
        payment: Some(checkout.payment_id),
        attempt: None,
    };
    let called = ready.call(host, &AUTHENTICATE, moment, |context| (context, order, callback)).await;
    let (host_in, ready_in) = (host.clone(), ready.clone());
    let stored = host.store().transact(move |tx| {
        let host = &host_in;
        journal(tx, host, &ready_in, of, &called)?;
        let found = checkouts::get(tx, checkout.shop_id, checkout.id)?;
        let mut checkout = found.ok_or(Error::NotFound { what: "checkout" })?;
        let payment = locked(tx, checkout.shop_id, checkout.payment_id)?;
        if !matches!(checkout.state, CheckoutState::Opened | CheckoutState::CancelledByBuyer) {
            return Ok(());
        }
        if let Some(reason) = refusal(tx, host, &payment)? {
            return refuse(tx, host, payment, &mut checkout, reason);
        }
        let mut change = Change::begin(host, payment, Support::default());
        let (id, shop) = (checkout.id, checkout.shop_id);
        let (state, result) = match called.result {
            Ok(Ok(Authentication::Authenticated(method))) => {
                checkout.callback = Some(held);
                let due_us = host.now_us().saturating_add(CONFIRM_US);
                jobs::enqueue(tx, host, &jobs::Task::Unconfirmed { shop, checkout: id }, due_us)?;
                change.event("checkout.awaiting_confirm", json!({"checkout_id": id, "method": method}));
                (CheckoutState::AwaitingConfirm, json!({}))
            }
            Ok(Ok(Authentication::CancelledByBuyer)) => {
                change.event("checkout.cancelled_by_buyer", json!({"checkout_id": id}));
                (CheckoutState::CancelledByBuyer, json!({"reason": "cancelled_by_buyer"}))
            }
            Ok(Ok(Authentication::Declined(declined))) => {
                let refusal = refusal_json(&declined);
                change.event("checkout.failed", json!({"checkout_id": id, "refusal": refusal}));
                (CheckoutState::Failed, json!({"reason": "declined", "refusal": refusal}))
            }
            Ok(Err(error)) => failed(&mut change, &checkout, &NotSent::Refused(error)),
            Err(fault) => failed(&mut change, &checkout, &NotSent::Fault(fault.to_string())),
        };
        checkout_ended(tx, host, &mut checkout, state, result)?;
        change.write(tx).map(|_| ())
    });
    let stored: Result<(), Error> = stored.await;
    host.jobs().notify_one();
    Ok(stored?)
}

fn failed(change: &mut Change<'_>, checkout: &Checkout, why: &NotSent) -> (CheckoutState, serde_json::Value) {
    let reason = not_sent(why);
    change.event("checkout.failed", json!({"checkout_id": checkout.id, "reason": reason}));
    (CheckoutState::Failed, json!({"reason": reason, "detail": format!("{why:?}")}))
}
