//! What a verified notice changes. Invariant: facts, ledger, state and events are one transaction; a fact that is known changes
//! nothing; an exact deposit tells the shop one thing, `payment.paid`.

use payhost_core::{FactKind, Money, PaymentState, Resolution};
use payhost_engine::contract::types::{Account, Approval, Method};
use payhost_engine::contract::vbank_notice::Deposit;
use payhost_store::rows::attempts;
use payhost_store::rows::checkouts::{self, Checkout, CheckoutState};
use payhost_store::rows::notices::{self, Notice, NoticeState};
use payhost_store::{Error, Json, Tx};
use serde_json::{Value, json};

use crate::channels::ready::Ready;
use crate::host::Host;
use crate::jobs::{self, Task};
use crate::payments::attempt::locked;
use crate::payments::model::AccountOut;
use crate::payments::settle::{Change, NewFact, Written, checkout_ended};

/// What is written.
#[derive(Debug, Clone)]
pub enum Verified {
    /// An account was opened.
    Issued(Box<Account>),
    /// A sale was approved.
    Approved(Box<Approval>),
    /// Money was paid in.
    Deposited(Deposit),
    /// A deposit was taken back.
    DepositCancelled(Deposit),
}

/// How sure the host is, for the fact's detail.
#[derive(Debug, Clone, Copy)]
pub struct Trust {
    /// The gateway, asked, said the same.
    pub confirmed: bool,
    /// The address is one that the plugin lists.
    pub listed: bool,
}

/// Writes what a notice says. `false`: it contradicts a known fact, and nothing but an alarm was written.
pub fn write(
    tx: &mut Tx<'_>,
    host: &Host,
    ready: &Ready,
    checkout: &Checkout,
    verified: &Verified,
    trust: Trust,
) -> Result<bool, Error> {
    let payment = locked(tx, checkout.shop_id, checkout.payment_id)?;
    let ahead = payment.cancelled > payment.paid;
    let mut change = Change::begin(host, payment, Some(ready));
    let written = match verified {
        Verified::Issued(account) => issued(tx, host, &mut change, checkout, account)?,
        Verified::Approved(approval) => approved(tx, host, &mut change, checkout, approval)?,
        Verified::Deposited(deposit) => {
            let written = money(tx, &mut change, FactKind::Deposited, deposit, trust)?;
            if written == Written::New {
                deposited(&mut change, checkout, deposit)?;
            }
            written
        }
        Verified::DepositCancelled(deposit) => {
            let written = money(tx, &mut change, FactKind::DepositCancelled, deposit, trust)?;
            if written == Written::New {
                let data = json!({"amount": deposit.amount.minor, "gateway_ref": deposit.gateway_ref});
                change.event("payment.deposit_cancelled", data);
                change.payment.cancelled = change.payment.cancelled.saturating_add(deposit.amount.minor);
            }
            written
        }
    };
    let payment = &mut change.payment;
    let balanced = ahead && payment.cancelled <= payment.paid;
    let open = attempts::open_of(tx, payment.shop_id, payment.id)?.is_some();
    if balanced && !open && payment.resolution == Resolution::NeedsOperator {
        // A refund was known before its deposit and called a person; now there is nothing to find out any more.
        payment.resolution = Resolution::None;
    }
    if written != Written::Known {
        change.write(tx)?;
    }
    Ok(written != Written::Contradicts)
}

fn money(
    tx: &mut Tx<'_>,
    change: &mut Change<'_>,
    kind: FactKind,
    deposit: &Deposit,
    trust: Trust,
) -> Result<Written, Error> {
    let new = NewFact {
        kind,
        amount: Money::new(deposit.amount.minor, change.payment.currency),
        gateway_ref: deposit.gateway_ref.clone(),
        sequence: 0,
        at_ms: deposit.at_ms,
        detail: json!({
            "order_ref": deposit.order_ref, "issue_ref": deposit.issue_ref,
            "confirmed": trust.confirmed, "source_listed": trust.listed,
        }),
    };
    change.fact(tx, None, new)
}

/// What a new deposit changes beside the sums, and what the shop must know of it.
fn deposited(change: &mut Change<'_>, checkout: &Checkout, deposit: &Deposit) -> Result<(), Error> {
    let payment = &mut change.payment;
    let late = payment.expired
        || payment.state == PaymentState::Cancelled
        || payment.deposit_deadline_us.is_some_and(|due| deposit.at_ms.saturating_mul(1000) > due);
    payment.paid = payment.paid.saturating_add(deposit.amount.minor);
    let held = payment.paid.saturating_sub(payment.cancelled);
    payment.approved_at_us = Some(deposit.at_ms.saturating_mul(1000));
    payment.approved_checkout_id = Some(checkout.id);
    if payment.paid_method.is_none() {
        payment.paid_method = Some(Json::of(&Method { kind: "virtual_account".to_owned(), provider: None })?);
    }
    let data = json!({
        "amount": deposit.amount.minor, "held": held, "total": payment.total, "gateway_ref": deposit.gateway_ref,
    });
    if held < payment.total && held > 0 {
        if payment.expired {
            // Nobody waits for the rest any more.
            payment.resolution = Resolution::NeedsOperator;
        }
        change.event("payment.deposit_short", data.clone());
    } else if held > payment.total {
        change.event("payment.deposit_over", data.clone());
    }
    if late && held > 0 {
        change.event("payment.deposit_late", data);
    }
    Ok(())
}

/// An account that the browser did not tell of. One that is known by its number or its issue is no news.
fn issued(
    tx: &mut Tx<'_>,
    host: &Host,
    change: &mut Change<'_>,
    checkout: &Checkout,
    account: &Account,
) -> Result<Written, Error> {
    let known = AccountOut::of_payment(&change.payment);
    if known.is_some_and(|known| same_number(&known.number, &account.number)) {
        return Ok(Written::Known);
    }
    let written = account_fact(tx, host, change, account, None, host.now_ms())?;
    if written == Written::New
        && let Some(mut checkout) = checkouts::get(tx, checkout.shop_id, checkout.id)?
        && matches!(checkout.state, CheckoutState::Opened | CheckoutState::Returned)
    {
        checkout_ended(tx, host, &mut checkout, CheckoutState::AwaitingDeposit, json!({}))?;
    }
    Ok(written)
}

/// Writes an issue, what a buyer must know of it, and the job that ends the wait.
pub fn account_fact(
    tx: &mut Tx<'_>,
    host: &Host,
    change: &mut Change<'_>,
    account: &Account,
    attempt: Option<&attempts::Attempt>,
    at_ms: i64,
) -> Result<Written, Error> {
    let new = NewFact {
        kind: FactKind::Issued,
        amount: Money::new(account.amount.minor, change.payment.currency),
        gateway_ref: account.gateway_ref.clone(),
        sequence: 0,
        at_ms,
        detail: json!({"bank": account.bank, "holder": account.holder, "order_ref": account.order_ref}),
    };
    let written = change.fact(tx, attempt, new)?;
    if written != Written::New {
        return Ok(written);
    }
    let payment = &mut change.payment;
    payment.gateway_ref = Some(account.gateway_ref.clone());
    payment.deposit_deadline_us = account.deadline_ms.map(|ms| ms.saturating_mul(1000));
    payment.details = Some(Json::of(&AccountOut::kept(account)?)?);
    let due_us = payment.deposit_deadline_us.unwrap_or(payment.expires_us);
    jobs::enqueue(tx, host, &Task::Expire { shop: payment.shop_id, payment: payment.id }, due_us)?;
    Ok(written)
}

/// A sale that was approved without an answer to us.
fn approved(
    tx: &mut Tx<'_>,
    host: &Host,
    change: &mut Change<'_>,
    checkout: &Checkout,
    approval: &Approval,
) -> Result<Written, Error> {
    let held = change.payment.paid > change.payment.cancelled;
    if held && change.payment.gateway_ref.as_ref() != Some(&approval.gateway_ref) {
        tracing::error!(payment = %change.payment.id, second = %approval.gateway_ref, "a second approval");
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
    let written = change.fact(tx, None, new)?;
    if written != Written::New {
        return Ok(written);
    }
    let payment = &mut change.payment;
    payment.paid = payment.paid.saturating_add(approval.amount.minor);
    payment.gateway_ref = Some(approval.gateway_ref.clone());
    payment.approved_at_us = Some(approval.approved_at_ms.saturating_mul(1000));
    payment.approved_checkout_id = Some(checkout.id);
    payment.paid_method = Some(Json::of(&approval.method)?);
    payment.details = Some(Json::of(&approval.details)?);
    if let Some(mut checkout) = checkouts::get(tx, checkout.shop_id, checkout.id)?
        && matches!(checkout.state, CheckoutState::Opened | CheckoutState::Returned)
    {
        checkout_ended(tx, host, &mut checkout, CheckoutState::Approved, json!({}))?;
    }
    Ok(written)
}

/// Whether two account numbers are one, however they are written.
pub fn same_number(one: &str, other: &str) -> bool {
    let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
    digits(one) == digits(other)
}

/// Ends a notice, or leaves it for another look. `false`: somebody else went on with it.
pub fn end(
    tx: &mut Tx<'_>,
    host: &Host,
    notice: &Notice,
    state: NoticeState,
    reason: Option<String>,
    checkout: Option<&Checkout>,
) -> Result<bool, Error> {
    let mut next = notice.clone();
    next.state = state;
    next.reason = reason;
    next.payment_id = checkout.map(|checkout| checkout.payment_id).or(notice.payment_id);
    next.updated_us = host.now_us();
    notices::advance(tx, &next, notice.state)
}

/// Tells the shop and the operator of a notice that was not believed.
pub fn alarm(
    tx: &mut Tx<'_>,
    host: &Host,
    checkout: &Checkout,
    notice: &Notice,
    finding: &str,
    words: &str,
) -> Result<(), Error> {
    tracing::error!(notice = %notice.id, payment = %checkout.payment_id, finding, words, "a notice is not believed");
    let payment = locked(tx, checkout.shop_id, checkout.payment_id)?;
    let mut change = Change::begin(host, payment, None);
    let data: Value = json!({"notice": notice.id, "finding": finding, "reason": words});
    change.event("payment.alarm", data);
    change.write(tx).map(|_| ())
}
