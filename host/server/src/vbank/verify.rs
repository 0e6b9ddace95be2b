//! Whether the gateway itself says what a notice says. Invariant: a notice is not signed, so money that it claims is believed
//! when the gateway, asked, has it too; a gateway that was not reached is asked again; where it cannot be asked, the address
//! that the notice came from decides between believing it and showing it to a person.

use payhost_engine::contract::money::{INQUIRE, Inquiry, Query, Sale, SaleState};
use payhost_engine::contract::types::{Method, Money, PluginError};
use payhost_store::rows::payments::Payment;

use crate::channels::ready::{Moment, Ready};
use crate::host::Host;
use crate::http::problem::Problem;
use crate::payments::attempt::{JournalOf, journaled};

/// What a notice claims, in what decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// An account is open.
    Issued,
    /// A sale was approved.
    Approved,
    /// So much was paid in.
    Deposited(i64),
    /// So much was taken back by the bank.
    DepositCancelled(i64),
}

/// What the gateway says to it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Word {
    /// The same.
    Confirmed,
    /// Something else; what.
    Contradicted(String),
    /// It cannot be asked; why.
    CannotAsk(String),
    /// It was not reached or not understood this time; why.
    Failed(String),
}

/// Asks the gateway about the sale of a claim.
pub async fn ask(
    host: &Host,
    ready: &Ready,
    payment: &Payment,
    claim: Claim,
    order_ref: &str,
    gateway_ref: Option<String>,
) -> Result<Word, Problem> {
    let query = Query {
        order_ref: order_ref.to_owned(),
        gateway_ref,
        amount: Money { minor: payment.total, currency: payment.currency.to_string() },
        method: payment.method.as_ref().and_then(|method| method.to::<Method>().ok()),
    };
    let moment = Moment::now(host);
    let of = JournalOf { call: moment.call, at_ms: moment.now_ms, payment: Some(payment.id), attempt: None };
    let called = ready.call(host, &INQUIRE, moment, |context| (context, query)).await;
    let word = match &called.result {
        Ok(Ok(Inquiry::Found(sale))) => judge(payment, claim, order_ref, sale),
        Ok(Ok(Inquiry::NotFound)) => Word::Contradicted("the gateway knows no such sale".to_owned()),
        Ok(Ok(Inquiry::CannotAsk(words))) => Word::CannotAsk(words.clone()),
        Ok(Err(PluginError::Gateway(refusal))) if refusal.class != "gateway_down" => {
            Word::CannotAsk(format!("the gateway refuses the inquiry: {} {}", refusal.code, refusal.message))
        }
        Ok(Err(PluginError::Unsupported(words) | PluginError::Misconfigured(words))) => {
            Word::CannotAsk(words.clone())
        }
        Ok(Err(error)) => Word::Failed(format!("{error:?}")),
        Err(fault) => Word::Failed(fault.to_string()),
    };
    let journaled = journaled(host, ready, of, &called);
    host.store().transact(move |tx| journaled.write(tx)).await?;
    Ok(word)
}

/// What a found sale means for a claim.
fn judge(payment: &Payment, claim: Claim, order_ref: &str, sale: &Sale) -> Word {
    use SaleState as S;
    let no = |words: &str| Word::Contradicted(words.to_owned());
    if sale.order_ref != order_ref {
        return no("the gateway answers about another order");
    }
    if sale.amount.minor != payment.total || sale.amount.currency != payment.currency.as_str() {
        return no("the gateway answers with another amount");
    }
    let (paid, cancelled) = (payment.paid, payment.cancelled);
    match (claim, sale.state) {
        (Claim::Issued, S::AwaitingDeposit | S::Paid | S::PartiallyCancelled) => Word::Confirmed,
        (Claim::Approved | Claim::Deposited(_), S::Paid | S::PartiallyCancelled) => Word::Confirmed,
        // The cancel's notice overtook the deposit's: what both say together is that nothing is held.
        (Claim::Deposited(amount), S::Cancelled) if paid.saturating_add(amount) <= cancelled => {
            Word::Confirmed
        }
        // A gateway may not count a deposit of less than the total, and then says nothing about it.
        (Claim::Deposited(amount), S::AwaitingDeposit)
            if paid.saturating_sub(cancelled).saturating_add(amount) < payment.total =>
        {
            Word::CannotAsk("the gateway does not tell of a deposit of less than the total".to_owned())
        }
        (Claim::DepositCancelled(_), S::Cancelled | S::AwaitingDeposit) => Word::Confirmed,
        // One of several deposits: the rest is still held.
        (Claim::DepositCancelled(amount), S::Paid | S::PartiallyCancelled)
            if paid.saturating_sub(cancelled) > amount =>
        {
            Word::Confirmed
        }
        (_, S::AwaitingDeposit) => no("the gateway says that nothing was paid in"),
        (_, S::Paid | S::PartiallyCancelled) => no("the gateway says that the money is held"),
        (_, S::Cancelled) => no("the gateway says that the sale is cancelled"),
    }
}
