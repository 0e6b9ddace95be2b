//! Asking the gateway about an attempt in doubt. Invariant: what the gateway answers is believed only when it is about this
//! order and this amount.
//!
//! A complete: asked by our order number where the gateway can be asked; what it does not know, or cannot be asked, is undone
//! with the approval's own map while an approval can be undone (a channel may choose to be asked about on instead). A cancel:
//! asked by the gateway's number; a cancel is never undone.

use payhost_core::id::AttemptId;
use payhost_engine::contract::money::{INQUIRE, Inquiry, Query, Sale, SaleState};
use payhost_engine::contract::plugin::Lookup;
use payhost_engine::contract::types::{Approval, Details, Method, Money, PluginError};
use payhost_store::rows::channels::InDoubt;
use payhost_store::rows::payments::Payment;

use super::attempt::{JournalOf, journal};
use super::cancel::CancelAsked;
use super::resolve::{Doubtful, Found, Heard, Step, Why};
use super::settle;
use super::undo::{self, Before};
use crate::channels::ready::{Moment, Ready};
use crate::host::Host;
use crate::http::problem::Problem;
use crate::sealed::Place;
use crate::vbank;

/// An inquiry that fails is repeated so often before the default, undoing, is done: an approval can be undone for a short
/// time only.
const ASK_TRIES: i64 = 2;
/// Where no undo was answered and none will be made, "not found" is believed this long after the attempt, in milliseconds: a day.
/// `design.md` wants an undo's answer beside it, but a net cancel is taken for minutes only (`inicis.md §1.10`), and a gateway
/// that was silent for that long would leave each order that never arrived to a person.
const UNANSWERED_MS: i64 = 24 * 3600 * 1000;

/// Why an inquiry says nothing.
pub enum Silence {
    /// The gateway cannot be asked so.
    CannotAsk(String),
    /// It could not be reached or understood this time.
    Failed(String),
}

/// Finds out about a complete.
pub async fn complete(host: &Host, ready: &Ready, doubtful: &Doubtful) -> Result<Step, Problem> {
    let Some(checkout) = &doubtful.checkout else {
        let found = Found::Unknowable(Why::Incomplete, "the attempt has no checkout".to_owned());
        return Ok(Step::new(found, Heard::NotAsked));
    };
    let undos = undo::earlier(host, &doubtful.attempt).await?;
    if undos.reversed {
        return Ok(Step::new(Found::Nothing("undone"), Heard::NotAsked));
    }
    let (now_ms, settles_ms, began_ms) = (host.now_ms(), ready.settles_within_ms(), doubtful.attempt.now_ms);
    let too_late = now_ms > began_ms.saturating_add(ready.undo_within_ms());
    let mut may_ask = ready.lookup() == Lookup::OrderRef;
    // What is wrong is undone all the same.
    let mut asks_on = may_ask && ready.channel.in_doubt == InDoubt::Ask;
    let wait_ms = if undos.answered { settles_ms } else { settles_ms.max(UNANSWERED_MS) };
    let mut heard = Heard::NotAsked;
    let mut again_ms = None;
    let mut before = Before { unanswered: undos.last_ms.is_some(), held: false };
    let mut reason = "the gateway cannot be asked by our order number".to_owned();
    if may_ask {
        let asked = ask(host, ready, Of::attempt(doubtful), &checkout.order_ref, None).await?;
        heard = if matches!(asked, Err(Silence::Failed(_))) { Heard::Silence } else { Heard::Answer };
        match asked {
            Ok(Some(sale)) => match judge(&doubtful.payment, &checkout.order_ref, sale) {
                // An undo of ours was sent, and the sale that it was for is gone: it was that.
                Ok(Found::Nothing(_)) if undos.last_ms.is_some() => {
                    return Ok(Step::new(Found::Nothing("undone"), heard));
                }
                Ok(Found::Approved(_)) if undos.last_ms.is_some_and(|ms| ms + settles_ms > now_ms) => {
                    before.held = true;
                    again_ms = undos.last_ms.map(|ms| ms.saturating_add(settles_ms));
                    "the sale is there, and an undo may be on its way".clone_into(&mut reason);
                }
                Ok(found) => return Ok(Step::new(found, heard)),
                Err(words) => {
                    (asks_on, before.held) = (false, true);
                    words.clone_into(&mut reason);
                }
            },
            // It cannot arrive any more, and an undo was answered or will not be made: it was never made.
            Ok(None) if now_ms > began_ms + wait_ms && (undos.answered || too_late || asks_on) => {
                return Ok(Step::new(Found::Nothing("not_made"), heard));
            }
            Ok(None) => {
                // An undo that is answered now makes the wait the shorter one.
                let wait_ms = if too_late || asks_on { wait_ms } else { settles_ms };
                again_ms = Some(began_ms + wait_ms + 1000);
                "the gateway knows no such sale yet".clone_into(&mut reason);
            }
            Err(Silence::CannotAsk(words)) => (may_ask, asks_on, reason) = (false, false, words),
            Err(Silence::Failed(words)) if doubtful.tries < ASK_TRIES => {
                return Ok(Step::new(Found::Unknown(words), heard));
            }
            Err(Silence::Failed(words)) => reason = words,
        }
    }
    if too_late || asks_on {
        let words = if asks_on { reason } else { format!("{reason}; it is too late to undo the approval") };
        let found =
            if may_ask { Found::Unknown(words) } else { Found::Unknowable(Why::CannotBeAsked, words) };
        return Ok(Step { again_ms, ..Step::new(found, heard) });
    }
    tracing::info!(attempt = %doubtful.attempt.id, %reason, "undoing");
    let step = undo::undo(host, ready, doubtful, checkout, before).await?;
    // Once the undo was answered, asking again says how it stands.
    let soon_ms = now_ms.saturating_add(1000);
    Ok(Step { again_ms: again_ms.map(|ms| ms.max(soon_ms)), ..step })
}

/// Whether a sale can be a payment's: order number, amount and currency.
pub fn is_about(payment: &Payment, order_ref: &str, sale: &Sale) -> bool {
    sale.amount.minor == payment.total
        && sale.amount.currency == payment.currency.as_str()
        && sale.order_ref == order_ref
}

/// What a found sale means for a complete; `Err`: it must be undone.
fn judge(payment: &Payment, order_ref: &str, sale: Sale) -> Result<Found, &'static str> {
    let same = is_about(payment, order_ref, &sale);
    let second = payment.paid > payment.cancelled && payment.gateway_ref.as_ref() != Some(&sale.gateway_ref);
    match sale.state {
        SaleState::Paid if second => Err("the payment is paid by another sale"),
        // A deposit is money by its notice only, which says how much was paid in.
        SaleState::Paid if same && of_account(payment, &sale) => {
            Ok(Found::Opened(order_ref.to_owned(), sale.gateway_ref))
        }
        SaleState::Paid if same => Ok(Found::Approved(Box::new(approval_of(payment, sale)))),
        SaleState::Cancelled => Ok(Found::Nothing("cancelled_at_gateway")),
        SaleState::Paid | SaleState::PartiallyCancelled => Err("the sale differs from the order"),
        SaleState::AwaitingDeposit => Err("an account was opened, and nobody knows its number"),
    }
}

/// Whether a sale is an account that somebody paid into: as the gateway says, else as was asked for.
pub fn of_account(payment: &Payment, sale: &Sale) -> bool {
    let asked: Option<Method> = payment.method.as_ref().and_then(|method| method.to().ok());
    sale.method.as_ref().or(asked.as_ref()).is_some_and(vbank::is_account)
}

/// How it was paid decides nothing: where neither the gateway nor the order says, the money is there all the same.
pub fn approval_of(payment: &Payment, sale: Sale) -> Approval {
    let asked: Option<Method> = payment.method.as_ref().and_then(|method| method.to().ok());
    Approval {
        gateway_ref: sale.gateway_ref,
        order_ref: sale.order_ref,
        amount: sale.amount,
        approved_at_ms: sale.approved_at_ms.unwrap_or(payment.updated_us / 1000),
        method: sale.method.or(asked).unwrap_or_else(settle::unknown_method),
        details: Details::default(),
    }
}

/// About which payment the gateway is asked, and for which attempt.
#[derive(Clone, Copy)]
pub struct Of<'a> {
    /// The payment.
    pub payment: &'a Payment,
    /// The attempt.
    pub attempt: Option<AttemptId>,
}

impl<'a> Of<'a> {
    fn attempt(doubtful: &'a Doubtful) -> Self {
        Self { payment: &doubtful.payment, attempt: Some(doubtful.attempt.id) }
    }
}

/// Asks the gateway: a sale, or nothing by that number.
pub async fn ask(
    host: &Host,
    ready: &Ready,
    of: Of<'_>,
    order_ref: &str,
    gateway_ref: Option<String>,
) -> Result<Result<Option<Sale>, Silence>, Problem> {
    let payment = of.payment;
    let query = Query {
        order_ref: order_ref.to_owned(),
        gateway_ref,
        amount: Money { minor: payment.total, currency: payment.currency.to_string() },
        method: payment.paid_method.as_ref().or(payment.method.as_ref()).and_then(|method| method.to().ok()),
    };
    let moment = Moment::now(host);
    let of =
        JournalOf { call: moment.call, at_ms: moment.now_ms, payment: Some(payment.id), attempt: of.attempt };
    let called = ready.call(host, &INQUIRE, moment, |context| (context, query)).await;
    let answer = match &called.result {
        Ok(Ok(Inquiry::Found(sale))) => Ok(Some(sale.clone())),
        Ok(Ok(Inquiry::NotFound)) => Ok(None),
        Ok(Ok(Inquiry::CannotAsk(words))) => Err(Silence::CannotAsk(words.clone())),
        Ok(Err(PluginError::Gateway(refusal))) if refusal.class != "gateway_down" => Err(Silence::CannotAsk(
            format!("the gateway refuses the inquiry: {} {}", refusal.code, refusal.message),
        )),
        Ok(Err(PluginError::Unsupported(words) | PluginError::Misconfigured(words))) => {
            Err(Silence::CannotAsk(words.clone()))
        }
        Ok(Err(error)) => Err(Silence::Failed(format!("{error:?}"))),
        Err(fault) => Err(Silence::Failed(fault.to_string())),
    };
    let (host_in, ready_in) = (host.clone(), ready.clone());
    let journaled = host.store().transact(move |tx| journal(tx, &host_in, &ready_in, of, &called));
    journaled.await?;
    Ok(answer)
}

/// Finds out about a cancel. It is never sent again: the cancels that the gateway shows say whether it was made
/// (`cancels_seen.rs`).
pub async fn cancel(host: &Host, ready: &Ready, doubtful: &Doubtful) -> Result<Step, Problem> {
    let attempt = &doubtful.attempt;
    let asked: CancelAsked = Place::Request(attempt.id).open_json(&ready.key, &attempt.request)?;
    let gateway_ref = doubtful.payment.gateway_ref.clone();
    if ready.lookup() == Lookup::None || gateway_ref.is_none() {
        let words = "the gateway cannot be asked about a cancel".to_owned();
        return Ok(Step::new(Found::Unknowable(Why::CannotBeAsked, words), Heard::NotAsked));
    }
    let unknown = |words: &str| Ok(Step::new(Found::Unknown(words.to_owned()), Heard::Answer));
    // What arrives while the gateway answers may be shown or not.
    let asked_ms = host.now_ms();
    let sale = match ask(host, ready, Of::attempt(doubtful), &asked.order_ref, gateway_ref).await? {
        Ok(Some(sale)) => sale,
        Ok(None) => return unknown("the gateway does not know the sale"),
        Err(Silence::CannotAsk(words)) => return unknown(&words),
        Err(Silence::Failed(words)) => return Ok(Step::new(Found::Unknown(words), Heard::Silence)),
    };
    if !is_about(&doubtful.payment, &asked.order_ref, &sale) {
        return unknown("the gateway answers about another sale");
    }
    let settled_ms = doubtful.attempt.now_ms.saturating_add(ready.settles_within_ms());
    let found = Found::Seen(Box::new(sale), asked_ms);
    Ok(Step { again_ms: Some(settled_ms.saturating_add(1000)), ..Step::new(found, Heard::Answer) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vbank::tests::{TOTAL, row};

    fn sale(state: SaleState, method: Option<Method>) -> Sale {
        Sale {
            gateway_ref: "tid".to_owned(),
            order_ref: "ref".to_owned(),
            state,
            amount: Money { minor: TOTAL, currency: "KRW".to_owned() },
            cancellable: None,
            method,
            approved_at_ms: None,
            cancels: Vec::new(),
        }
    }

    fn found(state: SaleState, method: Option<Method>) -> Result<Found, &'static str> {
        let payment = Payment { method: None, ..row("A-1") };
        judge(&payment, "ref", sale(state, method))
    }

    #[test]
    fn a_sale_is_about_a_payment_by_order_number_amount_and_currency() {
        let payment = row("A-1");
        let about = |order: &str, minor: i64, currency: &str| {
            let sale = Sale {
                amount: Money { minor, currency: currency.to_owned() },
                ..sale(SaleState::Paid, None)
            };
            is_about(&payment, order, &sale)
        };
        assert!(about("ref", TOTAL, "KRW"));
        assert!(!about("other", TOTAL, "KRW"));
        assert!(!about("ref", TOTAL + 1, "KRW"));
        assert!(!about("ref", TOTAL, "USD"));
    }

    fn word(state: SaleState, kind: &str) -> &'static str {
        match found(state, Some(Method { kind: kind.to_owned(), provider: None })) {
            Ok(Found::Approved(_)) => "approved",
            Ok(Found::Opened(..)) => "opened",
            Ok(Found::Nothing(_)) => "nothing",
            Ok(_) => "other",
            Err(_) => "undo",
        }
    }

    #[test]
    fn a_sale_whose_method_nobody_knows_is_believed() {
        let Ok(Found::Approved(approval)) = found(SaleState::Paid, None) else { panic!("not believed") };
        assert_eq!(approval.method, settle::unknown_method());
    }

    #[test]
    fn an_account_in_doubt_is_undone_or_waits_for_its_notice_and_is_never_an_approval() {
        assert_eq!(word(SaleState::Paid, "card"), "approved");
        assert_eq!(word(SaleState::Paid, "virtual_account"), "opened");
        assert_eq!(word(SaleState::AwaitingDeposit, "virtual_account"), "undo");
        assert_eq!(word(SaleState::Cancelled, "virtual_account"), "nothing");
    }
}
