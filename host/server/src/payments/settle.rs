//! What follows from a known outcome: facts, ledger, state, events. Invariant: they are written in one transaction with the
//! attempt that they belong to, the state follows from the facts, and every change of state has its event.

use payhost_core::id::{CheckoutId, EventId, FactId};
use payhost_core::state::{Standing, Sums, state_of};
use payhost_core::{Fact, FactKind, Money, PaymentState, Resolution};
use payhost_engine::contract::money::Cancellation;
use payhost_engine::contract::types::{Approval, Method, Refusal};
use payhost_store::rows::attempts::Attempt;
use payhost_store::rows::checkouts::{self, Checkout, CheckoutState};
use payhost_store::rows::events;
use payhost_store::rows::facts::{self, FactRow, Recorded};
use payhost_store::rows::payments::{self, Payment};
use payhost_store::{Error, Json, Later, ShopKey, Tx};
use serde_json::{Value, json};

use super::cancel::CancelAsked;
use super::details;
use super::model::{PaymentOut, Support};
use crate::channels::ready::Ready;
use crate::host::Host;
use crate::http::request_id;
use crate::sealed::Place;
use crate::time::rfc3339;

/// Something that happened at the gateway, to be written.
pub struct NewFact {
    /// What.
    pub kind: FactKind,
    /// To how much.
    pub amount: Money,
    /// The sale's number at the gateway.
    pub gateway_ref: String,
    /// Which of several of its kind.
    pub sequence: i64,
    /// When the gateway says it happened, in milliseconds.
    pub at_ms: i64,
    /// Numbers worth keeping: it is not sealed, so no words and nothing about a person.
    pub detail: Value,
}

/// A payment with what is about to change: rows are written by [`Change::write`].
pub struct Change<'a> {
    host: &'a Host,
    /// The payment as it will be.
    pub payment: Payment,
    before: Before,
    ready: Option<&'a Ready>,
    events: Vec<(String, Value)>,
    /// Why a window failed, if one did.
    failure: Option<Value>,
    /// Its facts, if they were asked for with the payment, and those that were written since.
    asked: Option<Later<FactRow>>,
    added: Vec<FactRow>,
}

/// What was true of the payment before.
#[derive(Clone, Copy)]
struct Before {
    state: PaymentState,
    resolution: Resolution,
    cancelled: i64,
}

/// The event of a window that came to nothing.
const CHECKOUT_FAILED: &str = "checkout.failed";

/// What a payment keeps of it ([`super::model::LastFailure`]).
fn failure(data: &Value, now_us: i64) -> Value {
    let refusal = data.get("refusal");
    let of = |name: &str| refusal.and_then(|refusal| refusal.get(name)).cloned();
    json!({
        "reason": data.get("reason").cloned().unwrap_or_else(|| json!("declined")),
        "code": of("code"),
        "class": of("class"),
        "explanation": of("explanation"),
        "at": rfc3339(now_us),
    })
}

/// What became of a fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Written {
    /// It was news.
    New,
    /// It is known to the letter.
    Known,
    /// Another payment, amount or currency is known under its number: it must not be believed.
    Contradicts,
}

impl<'a> Change<'a> {
    /// Begins with the payment as it is now, in this transaction. `ready` tells what the plugin says of the paid method;
    /// without it, nothing is known of that.
    pub fn begin(host: &'a Host, payment: Payment, ready: Option<&'a Ready>) -> Self {
        let before =
            Before { state: payment.state, resolution: payment.resolution, cancelled: payment.cancelled };
        request_id::about(&payment.shop_id.to_string());
        request_id::about(&payment.id.to_string());
        let events = Vec::new();
        Self { host, payment, before, ready, events, failure: None, asked: None, added: Vec::new() }
    }

    /// The same with its facts, which were asked for behind its lock.
    pub fn with_facts(self, facts: Later<FactRow>) -> Self {
        Self { asked: Some(facts), ..self }
    }

    /// Writes a fact; tells whether it was new.
    pub fn fact(
        &mut self,
        tx: &mut Tx<'_>,
        attempt: Option<&Attempt>,
        new: NewFact,
    ) -> Result<Written, Error> {
        let row = FactRow {
            id: self.host.new_id(FactId::new),
            shop_id: self.payment.shop_id,
            channel_id: self.payment.channel_id,
            payment_id: self.payment.id,
            attempt_id: attempt.map(|attempt| attempt.id),
            kind: new.kind,
            gateway_ref: new.gateway_ref,
            sequence: new.sequence,
            amount: new.amount.minor,
            currency: new.amount.currency,
            at_us: new.at_ms.saturating_mul(1000),
            detail: Json::from(new.detail),
            created_us: self.host.now_us(),
        };
        match facts::record(tx, &row)? {
            Recorded::New => {
                self.added.push(row);
                Ok(Written::New)
            }
            Recorded::Known(known) => {
                if (known.payment_id, known.amount, known.currency)
                    != (row.payment_id, row.amount, row.currency)
                {
                    tracing::error!(known = %known.id, payment = %row.payment_id, "the gateway contradicts a known fact");
                    self.event("payment.alarm", json!({"contradicts": known.id}));
                    return Ok(Written::Contradicts);
                }
                Ok(Written::Known)
            }
        }
    }

    /// Adds an event beside those of the state. Why a window failed stays with the payment, too.
    pub fn event(&mut self, name: impl Into<String>, data: Value) {
        let name = name.into();
        if name == CHECKOUT_FAILED {
            self.failure = Some(failure(&data, self.host.now_us()));
        }
        self.events.push((name, data));
    }

    /// Computes the state from all facts and writes payment and events.
    pub fn write(mut self, tx: &mut Tx<'_>) -> Result<Payment, Error> {
        let now_us = self.host.now_us();
        let rows = match self.asked.take() {
            Some(asked) => {
                let mut rows = asked.all(tx)?;
                rows.append(&mut self.added);
                rows
            }
            None => facts::of_payment(tx, self.payment.shop_id, self.payment.id)?,
        };
        let key = self.key(tx)?;
        let events = self.follow(&key, &rows, now_us)?;
        // First: where somebody was faster, that is the error, and not a number that an event has already.
        payments::save(tx, &mut self.payment, now_us)?;
        events::insert_all(tx, &events)?;
        Ok(self.payment)
    }

    /// Writes a new payment and its events. If its order has an open one, that is an error, at the latest at the end of the
    /// transaction: [`payments::OPEN_ORDER`].
    pub fn insert(mut self, tx: &mut Tx<'_>) -> Result<Payment, Error> {
        let key = self.key(tx)?;
        let events = self.follow(&key, &[], self.payment.created_us)?;
        payments::insert(tx, &self.payment)?;
        events::insert_all(tx, &events)?;
        Ok(self.payment)
    }

    /// The shop's key.
    pub fn key(&self, tx: &mut Tx<'_>) -> Result<ShopKey, Error> {
        self.ready
            .map_or_else(|| self.host.vault().key_of(tx, self.payment.shop_id), |ready| Ok(ready.key.clone()))
    }

    /// What follows from the facts: the state, and the events.
    fn follow(&mut self, key: &ShopKey, rows: &[FactRow], now_us: i64) -> Result<Vec<events::Event>, Error> {
        let facts: Vec<Fact> = rows.iter().map(FactRow::fact).collect();
        let standing = Standing {
            opened: self.payment.opened,
            failed: self.payment.failed,
            expired: self.payment.expired,
            given_up: self.payment.given_up,
            total: self.payment.total,
        };
        let sums = Sums::of(&facts);
        self.payment.state = state_of(&facts, standing);
        self.payment.paid = sums.paid;
        self.payment.cancelled = sums.cancelled;
        (self.payment.cancelled_tax_free, self.payment.cancelled_vat) = parts_given_back(rows);
        self.call_for_late_money(sums);
        if self.payment.resolution == Resolution::None && calls_for_a_person(&self.payment, sums) {
            self.payment.resolution = Resolution::NeedsOperator;
        }
        self.state_events();
        if let Some(failure) = self.failure.take() {
            let place = Place::LastFailure(self.payment.id);
            self.payment.last_failure = Some(place.seal_json(key, &failure)?);
        }
        let shown = PaymentOut::of(key, &self.payment, self.support())?;
        let mut rows = Vec::new();
        for (name, data) in std::mem::take(&mut self.events) {
            let sequence = self.payment.next_event;
            self.payment.next_event = sequence.saturating_add(1);
            let id = self.host.new_id(EventId::new);
            rows.push(events::Event {
                id,
                shop_id: self.payment.shop_id,
                mode: self.payment.mode,
                payment_id: Some(self.payment.id),
                sequence: Some(sequence),
                name,
                payload: Place::Event(id).seal_json(key, &json!({"payment": shown, "data": data}))?,
                created_us: now_us,
            });
        }
        Ok(rows)
    }

    /// Money that came after the end is a person's for as long as it is held and nobody said that it is kept.
    fn call_for_late_money(&mut self, sums: Sums) {
        let payment = &mut self.payment;
        if payment.late_us.is_none() {
            return;
        }
        if sums.held() > 0 {
            if payment.resolution == Resolution::None {
                payment.resolution = Resolution::NeedsOperator;
            }
            return;
        }
        payment.late_us = None;
        if payment.resolution == Resolution::NeedsOperator {
            payment.resolution = Resolution::None;
        }
    }

    /// What the plugin says of the paid method.
    pub fn support(&self) -> Support {
        let support = self.ready.map(|ready| ready.support(self.payment.paid_method.as_ref()));
        support.unwrap_or_default()
    }

    /// The payment as the API shows it.
    pub fn shown(&self, tx: &mut Tx<'_>) -> Result<PaymentOut, Error> {
        PaymentOut::of(&self.key(tx)?, &self.payment, self.support())
    }

    fn state_events(&mut self) {
        let (state, resolution) = (self.payment.state, self.payment.resolution);
        let cancelled_more =
            state == PaymentState::PartiallyCancelled && self.payment.cancelled != self.before.cancelled;
        if state != self.before.state || cancelled_more {
            let name = format!("payment.{}", state.as_str());
            if !self.events.iter().any(|(known, _)| *known == name) {
                self.events.insert(0, (name, Value::Null));
            }
        }
        if resolution != self.before.resolution {
            match resolution {
                Resolution::None => self.event("payment.doubt_ended", Value::Null),
                Resolution::InDoubt => self.event("payment.in_doubt", Value::Null),
                Resolution::NeedsOperator => self.event("payment.needs_operator", Value::Null),
            }
        }
    }
}

/// Whether the sums alone call for a person, whatever else ended: more was given back than taken, so that a fact is still to
/// come; or less than the total was paid in and is held, and the time for the rest is over.
fn calls_for_a_person(payment: &Payment, sums: Sums) -> bool {
    let short = payment.expired && sums.paid < payment.total && sums.held() > 0;
    sums.cancelled > sums.paid || short
}

/// The gateway took the money, as an attempt or a notice tells. [`Written::Contradicts`]: this approval must not stand (the
/// payment is paid by another sale, or the sale is known as another payment's), and nothing but an alarm was written: it must
/// be undone.
pub fn approved(
    tx: &mut Tx<'_>,
    change: &mut Change<'_>,
    attempt: Option<&Attempt>,
    checkout: Option<CheckoutId>,
    approval: &Approval,
) -> Result<Written, Error> {
    let known_sale = change.payment.gateway_ref.as_ref().filter(|known| **known != approval.gateway_ref);
    if let (Some(known), true) = (known_sale, change.payment.paid > 0) {
        // Rule 6 keeps this from happening; if it did, money was taken twice, and it goes back.
        tracing::error!(payment = %change.payment.id, %known, second = %approval.gateway_ref, "a second approval");
        change.event("payment.alarm", json!({"second_approval": approval.gateway_ref}));
        return Ok(Written::Contradicts);
    }
    let new = NewFact {
        kind: FactKind::Approved,
        amount: Money::new(approval.amount.minor, change.payment.currency),
        gateway_ref: approval.gateway_ref.clone(),
        sequence: 0,
        at_ms: approval.approved_at_ms,
        detail: json!({"order_ref": approval.order_ref}),
    };
    let written = change.fact(tx, attempt, new)?;
    if written != Written::New {
        return Ok(written);
    }
    change.payment.gateway_ref = Some(approval.gateway_ref.clone());
    change.payment.approved_at_us = Some(approval.approved_at_ms.saturating_mul(1000));
    change.payment.approved_checkout_id = checkout;
    change.payment.paid_method = known_method(&approval.method).map(Json::of).transpose()?;
    let key = change.key(tx)?;
    change.payment.details = Some(details::kept(&key, change.payment.id, &approval.details)?);
    Ok(Written::New)
}

/// A payment as the answer of a request, in its transaction.
pub fn answered(tx: &mut Tx<'_>, host: &Host, row: &Payment, support: Support) -> Result<Value, Error> {
    let key = host.vault().key_of(tx, row.shop_id)?;
    Ok(json!(PaymentOut::of(&key, row, support)?))
}

/// What a buyer is shown of a checkout's end; null while it has not ended.
pub fn shown_of(key: &ShopKey, checkout: &Checkout) -> Result<Value, Error> {
    let result = checkout.result.as_ref();
    result.map_or(Ok(Value::Null), |sealed| Place::Result(checkout.id).open_json(key, sealed))
}

/// The method of a sale where nobody says how it was paid: of no kind.
pub fn unknown_method() -> Method {
    Method { kind: String::new(), provider: None }
}

/// A method, unless it is not known.
fn known_method(method: &Method) -> Option<&Method> {
    Some(method).filter(|method| !method.kind.is_empty())
}

/// The gateway gave money back. Of several cancels of a sale this is the next one that is known here: others may have been
/// taken over since it was asked for.
pub fn cancelled(
    tx: &mut Tx<'_>,
    change: &mut Change<'_>,
    attempt: &Attempt,
    asked: &CancelAsked,
    cancellation: &Cancellation,
) -> Result<Written, Error> {
    let new = NewFact {
        kind: FactKind::Cancelled,
        amount: Money::new(cancellation.amount.minor, change.payment.currency),
        gateway_ref: change.payment.gateway_ref.clone().unwrap_or_default(),
        sequence: next_sequence(tx, &change.payment, FactKind::Cancelled)?,
        at_ms: cancellation.at_ms,
        detail: json!({"cancel_ref": cancellation.gateway_ref, "tax": asked.tax}),
    };
    change.fact(tx, Some(attempt), new)
}

/// The parts that cancels gave back, free of tax and of tax, as far as they said so: those made at the gateway say nothing.
fn parts_given_back(facts: &[FactRow]) -> (i64, i64) {
    let told = facts.iter().filter(|fact| fact.kind == FactKind::Cancelled).filter_map(|fact| {
        let detail: Value = fact.detail.to().ok()?;
        serde_json::from_value::<(Option<i64>, Option<i64>)>(detail.get("tax")?.clone()).ok()
    });
    told.fold((0, 0), |(free, vat): (i64, i64), part| {
        (free.saturating_add(part.0.unwrap_or(0)), vat.saturating_add(part.1.unwrap_or(0)))
    })
}

/// The sequence of a payment's next fact of a kind, under the payment's lock.
pub fn next_sequence(tx: &mut Tx<'_>, payment: &Payment, kind: FactKind) -> Result<i64, Error> {
    let rows = facts::of_payment(tx, payment.shop_id, payment.id)?;
    let last = rows.iter().filter(|fact| fact.kind == kind).map(|fact| fact.sequence).max();
    Ok(last.map_or(0, |last| last.saturating_add(1)))
}

/// What a checkout's result page shows of a refusal.
pub fn refusal_json(refusal: &Refusal) -> Value {
    json!({
        "code": refusal.code, "message": refusal.message, "class": refusal.class,
        "explanation": {"ko": refusal.explanation.ko, "en": refusal.explanation.en},
    })
}

/// Ends a checkout in a state, with what its result page shows.
pub fn checkout_ended(
    tx: &mut Tx<'_>,
    host: &Host,
    checkout: &mut Checkout,
    state: CheckoutState,
    result: Value,
) -> Result<(), Error> {
    let from = checkout.state;
    checkout.state = state;
    let key = host.vault().key_of(tx, checkout.shop_id)?;
    checkout.result = Some(Place::Result(checkout.id).seal_json(&key, &result)?);
    checkout.updated_us = host.now_us();
    checkouts::advance(tx, checkout, from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vbank::tests::{TOTAL, row};

    #[test]
    fn a_person_is_called_by_the_sums_whatever_else_ended() {
        // Expired, paid, given back; called.
        for (expired, paid, cancelled, called) in [
            (false, 0, 0, false),
            (false, 500, 0, false),
            (true, 500, 0, true),
            (true, 500, 400, true),
            (true, 500, 500, false),
            (true, TOTAL, 0, false),
            (true, TOTAL, 500, false),
            (true, 0, 0, false),
            (false, 0, 1, true),
            (true, TOTAL, TOTAL + 1, true),
        ] {
            let sums = Sums { paid, cancelled };
            let found = calls_for_a_person(&Payment { expired, ..row("A-1") }, sums);
            assert_eq!(found, called, "{expired} {sums:?}");
        }
    }
}
