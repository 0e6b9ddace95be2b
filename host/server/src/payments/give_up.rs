//! Giving a payment up before it is paid. Invariant: only a payment that holds nothing, of which no attempt is open or in doubt
//! and no account waits for its deposit, is given up, which is decided under its lock; from then on none of its windows leads to
//! an approval. Money that comes all the same is a fact ([`super::late`]).
//!
//! That it was given up is a standing of the payment, not a fact: nothing happened at the gateway.

use axum::http::StatusCode;
use payhost_core::id::PaymentId;
use payhost_core::{PaymentState, Resolution};
use payhost_store::rows::attempts::{self, AttemptState};
use payhost_store::rows::checkouts::{self, CheckoutState};
use payhost_store::rows::payments::Payment;
use payhost_store::{Error, Tx};
use serde_json::{Value, json};

use super::attempt::locked;
use super::cancel::{CancelIn, known};
use super::model::Support;
use super::settle::{self, Change, checkout_ended};
use crate::host::Host;
use crate::http::idempotency::{Key, Known};
use crate::http::problem::Problem;

/// Why a checkout and its payment ended: the word in the checkout's result.
pub const GIVEN_UP: &str = "given_up";

/// Who gave it up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The shop cancelled it.
    Shop,
    /// The shop asked for this payment in its place.
    Replaced(PaymentId),
    /// Its window was opened too often.
    TooManyOpenings,
}

impl Why {
    /// The stable word in the event.
    fn as_str(self) -> &'static str {
        match self {
            Self::Shop => "shop",
            Self::Replaced(_) => "replaced",
            Self::TooManyOpenings => "too_many_openings",
        }
    }
}

/// What a cancel of a payment comes to that looked unpaid, or must be.
pub enum Way {
    /// It is answered.
    Answered(StatusCode, Value),
    /// It holds money: it is given back.
    GiveBack,
    /// Its account is closed first, and with that it is cancelled.
    Close,
}

/// Whether a cancel must look here first: the payment looked unpaid, or may only be cancelled if it is.
pub fn is_asked(row: &Payment, input: &CancelIn) -> bool {
    input.only_unpaid || row.paid <= row.cancelled
}

/// Gives a payment up for the shop, under its lock, unless it holds money.
pub async fn give_up(host: &Host, row: &Payment, input: &CancelIn, key: &Key) -> Result<Way, Problem> {
    let (host_in, shop, id) = (host.clone(), row.shop_id, row.id);
    let (input, key) = (input.clone(), key.clone());
    let done = host.store().transact(move |tx| {
        match key.begin(tx, &host_in)? {
            Known::New => {}
            Known::Answered(status, body) => return Ok(Ok(answered(status, body))),
            Known::Refused(problem) => return Ok(Err(*problem)),
        }
        let payment = locked(tx, shop, id)?;
        let open = attempts::open_of(tx, shop, id)?.map(|attempt| attempt.state);
        let way = match way(&payment, open, &input) {
            Ok(Decided::GiveUp) => {
                let row = end(tx, &host_in, payment, Why::Shop, input.reason.as_deref())?;
                let body = settle::answered(tx, &host_in, &row, Support::default())?;
                key.answer(tx, &host_in, 200, &body, Some(id))?;
                return Ok(Ok(answered(200, body)));
            }
            Ok(Decided::GiveBack) => Ok(Way::GiveBack),
            Ok(Decided::Close) => Ok(Way::Close),
            Err(problem) => Err(problem),
        };
        key.forget(tx)?;
        Ok::<_, Error>(way)
    });
    let way = done.await??;
    host.settled().notify_waiters();
    host.jobs().notify_one();
    match way {
        Way::Answered(status, body) if status.is_client_error() || status.is_server_error() => {
            Err(Problem::stored(&body))
        }
        way @ (Way::Answered(..) | Way::GiveBack | Way::Close) => Ok(way),
    }
}

fn answered(status: u16, body: Value) -> Way {
    Way::Answered(StatusCode::from_u16(status).unwrap_or(StatusCode::OK), body)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decided {
    GiveUp,
    GiveBack,
    Close,
}

/// What may be done with a payment that stands so.
fn way(payment: &Payment, open: Option<AttemptState>, input: &CancelIn) -> Result<Decided, Problem> {
    known(payment.resolution, open)?;
    let state = payment.state;
    match state {
        PaymentState::Paid | PaymentState::PartiallyCancelled => held(input),
        PaymentState::AwaitingDeposit if payment.paid > payment.cancelled => held(input),
        PaymentState::AwaitingDeposit if input.close_account => nothing_to_give_back(input, Decided::Close),
        PaymentState::AwaitingDeposit => {
            let words = format!(
                "an account waits for its deposit; close it first (POST /v1/payments/{}/virtual-account/close), which cancels \
                 the payment, or send close_account: true",
                payment.id
            );
            Err(Problem::new("account_open", words))
        }
        PaymentState::Created | PaymentState::Pending if payment.resolution != Resolution::None => {
            let words = "a person is called for this payment: the gateway may hold money that is not known here; nothing was changed";
            Err(Problem::new("payment_in_doubt", words))
        }
        PaymentState::Created | PaymentState::Pending => nothing_to_give_back(input, Decided::GiveUp),
        PaymentState::Cancelled | PaymentState::Failed | PaymentState::Expired => {
            let words = format!("a payment that is {} cannot be cancelled; nothing was sent", state.as_str());
            Err(Problem::new("not_cancellable", words))
        }
    }
}

fn held(input: &CancelIn) -> Result<Decided, Problem> {
    if input.only_unpaid {
        let words = "this payment holds money and was to be cancelled only if it does not; nothing was sent";
        return Err(Problem::new("already_paid", words));
    }
    Ok(Decided::GiveBack)
}

/// Who names an amount or an account means a refund, and there is nothing to refund.
fn nothing_to_give_back(input: &CancelIn, decided: Decided) -> Result<Decided, Problem> {
    if input.amount.is_some() || input.tax.is_some() || input.account.is_some() {
        let words = "nothing was paid, so nothing can be given back; without amount, tax and account the payment is given up";
        return Err(Problem::new("not_cancellable", words));
    }
    Ok(decided)
}

/// Whether a payment can be replaced: it waits in its window, or for the shop, and nothing more.
pub fn replaceable(payment: &Payment, open: Option<AttemptState>) -> Result<(), Problem> {
    match way(payment, open, &CancelIn { only_unpaid: true, ..CancelIn::default() })? {
        Decided::GiveUp => Ok(()),
        Decided::GiveBack | Decided::Close => Err(Problem::new("already_paid", "this payment holds money")),
    }
}

/// Gives a payment up, and ends the windows that are open. The caller holds its lock and has seen that it may.
pub fn end(
    tx: &mut Tx<'_>,
    host: &Host,
    payment: Payment,
    why: Why,
    reason: Option<&str>,
) -> Result<Payment, Error> {
    for mut checkout in checkouts::of_payment(tx, payment.shop_id, payment.id)? {
        if may_come_back(checkout.state) {
            checkout.callback = None;
            let result = json!({"reason": GIVEN_UP});
            checkout_ended(tx, host, &mut checkout, CheckoutState::GivenUp, result)?;
        }
    }
    let mut change = Change::begin(host, payment, None);
    change.payment.given_up = true;
    let by = match why {
        Why::Replaced(id) => Some(id),
        Why::Shop | Why::TooManyOpenings => None,
    };
    let data = json!({"given_up": why.as_str(), "reason": reason, "replaced_by": by});
    change.event("payment.cancelled", data);
    change.write(tx)
}

/// Whether a return, or a confirmation, could still lead from here to an approval.
fn may_come_back(state: CheckoutState) -> bool {
    match state {
        CheckoutState::Opened | CheckoutState::CancelledByBuyer | CheckoutState::AwaitingConfirm => true,
        // An attempt is open then, and nothing is given up meanwhile; or it is over.
        CheckoutState::Returned
        | CheckoutState::InDoubt
        | CheckoutState::Approved
        | CheckoutState::AwaitingDeposit
        | CheckoutState::Failed
        | CheckoutState::Undone
        | CheckoutState::GivenUp => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vbank::tests::{TOTAL, row};

    fn code(payment: &Payment, open: Option<AttemptState>, input: &CancelIn) -> &'static str {
        match way(payment, open, input) {
            Ok(Decided::GiveUp) => "give up",
            Ok(Decided::GiveBack) => "give back",
            Ok(Decided::Close) => "close",
            Err(problem) => problem.code,
        }
    }

    #[test]
    fn what_a_cancel_does_follows_from_what_is_held_and_awaited() {
        use PaymentState as S;
        let asked =
            |only_unpaid, close_account| CancelIn { only_unpaid, close_account, ..CancelIn::default() };
        // State, paid; plain, only unpaid, with the account.
        let table = [
            (S::Created, 0, ["give up", "give up", "give up"]),
            (S::Pending, 0, ["give up", "give up", "give up"]),
            (S::AwaitingDeposit, 0, ["account_open", "account_open", "close"]),
            (S::AwaitingDeposit, 400, ["give back", "already_paid", "give back"]),
            (S::Paid, TOTAL, ["give back", "already_paid", "give back"]),
            (S::PartiallyCancelled, TOTAL, ["give back", "already_paid", "give back"]),
            (S::Cancelled, 0, ["not_cancellable"; 3]),
            (S::Failed, 0, ["not_cancellable"; 3]),
            (S::Expired, 0, ["not_cancellable"; 3]),
        ];
        for (state, paid, expected) in table {
            let payment = Payment { state, paid, ..row("A-1") };
            let inputs = [asked(false, false), asked(true, false), asked(false, true)];
            for (input, expected) in inputs.iter().zip(expected) {
                assert_eq!(code(&payment, None, input), expected, "{state:?} {paid} {input:?}");
                assert_eq!(code(&payment, Some(AttemptState::Intent), input), "payment_busy", "{state:?}");
                assert_eq!(
                    code(&payment, Some(AttemptState::InDoubt), input),
                    "payment_in_doubt",
                    "{state:?}"
                );
            }
            let replaced = replaceable(&payment, None).map_err(|problem| problem.code);
            let expected = match state {
                S::Created | S::Pending => Ok(()),
                S::AwaitingDeposit if paid == 0 => Err("account_open"),
                S::AwaitingDeposit | S::Paid | S::PartiallyCancelled => Err("already_paid"),
                S::Cancelled | S::Failed | S::Expired => Err("not_cancellable"),
            };
            assert_eq!(replaced, expected, "{state:?} {paid}");
        }
    }

    #[test]
    fn a_payment_for_which_a_person_is_called_is_not_given_up_while_it_may_be_paid() {
        for state in [PaymentState::Created, PaymentState::Pending] {
            let payment = Payment { state, resolution: Resolution::NeedsOperator, ..row("A-1") };
            assert_eq!(code(&payment, None, &CancelIn::default()), "payment_in_doubt", "{state:?}");
            assert_eq!(replaceable(&payment, None).unwrap_err().code, "payment_in_doubt", "{state:?}");
        }
    }

    #[test]
    fn who_names_an_amount_means_a_refund() {
        let input = CancelIn { amount: Some(900), ..CancelIn::default() };
        let payment = Payment { state: PaymentState::Pending, ..row("A-1") };
        assert_eq!(code(&payment, None, &input), "not_cancellable");
    }
}
