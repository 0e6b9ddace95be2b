//! What a verified notice changes. Invariant: facts, ledger, state and events are one transaction; a fact that is known changes
//! nothing; an exact deposit tells the shop one thing, `payment.paid`.

use payhost_core::state::Sums;
use payhost_core::{FactKind, Money, Resolution};
use payhost_engine::contract::types::{Account, Approval, Method};
use payhost_engine::contract::vbank_notice::Deposit;
use payhost_store::rows::attempts;
use payhost_store::rows::checkouts::{self, Checkout, CheckoutState};
use payhost_store::rows::facts::{self, FactRow};
use payhost_store::rows::notices::{self, Notice, NoticeState};
use payhost_store::rows::payments::Payment;
use payhost_store::{Error, Json, Tx};
use serde_json::{Value, json};

use super::read::storable;
use super::{METHOD, told};
use crate::channels::ready::Ready;
use crate::host::Host;
use crate::jobs::{self, Task};
use crate::payments::attempt::locked;
use crate::payments::details;
use crate::payments::late;
use crate::payments::model::AccountOut;
use crate::payments::settle::{self, Change, NewFact, Written, checkout_ended};
use crate::sealed::Place;

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
    /// A person said so.
    pub accepted: bool,
}

/// Writes what a notice says. `false`: it contradicts a known fact, and nothing but an alarm was written.
pub fn write(
    tx: &mut Tx<'_>,
    host: &Host,
    ready: Option<&Ready>,
    checkout: &Checkout,
    verified: &Verified,
    trust: Trust,
) -> Result<bool, Error> {
    let payment = locked(tx, checkout.shop_id, checkout.payment_id)?;
    let over = payment.state.is_over();
    let mut change = Change::begin(host, payment, ready);
    let written = match verified {
        Verified::Issued(account) => issued(tx, host, &mut change, checkout, account)?,
        Verified::Approved(approval) => approved(tx, host, &mut change, checkout, approval)?,
        Verified::Deposited(deposit) => {
            let written = money(tx, &mut change, FactKind::Deposited, deposit, trust)?;
            if written == Written::New {
                deposited(tx, &mut change, checkout, deposit)?;
            }
            written
        }
        Verified::DepositCancelled(deposit) => {
            let written = money(tx, &mut change, FactKind::DepositCancelled, deposit, trust)?;
            if written == Written::New {
                let data = json!({"amount": deposit.amount.minor, "gateway_ref": deposit.gateway_ref});
                change.event("payment.deposit_cancelled", data);
            }
            written
        }
    };
    // The order of a payment that was over may have another payment by now: this one is kept beside it.
    if written == Written::New {
        if let Some(money) = money_of(verified) {
            late::came(tx, host, &mut change, money, over)?;
        }
        change.payment.expired |= over;
        // That there is an account says nothing of the money that a person may have been called for.
        if !matches!(verified, Verified::Issued(_)) {
            settled(tx, &mut change.payment)?;
        }
    }
    if written != Written::Known {
        change.write(tx)?;
    }
    Ok(written != Written::Contradicts)
}

/// The money that it brings.
fn money_of(verified: &Verified) -> Option<(FactKind, i64, &str)> {
    match verified {
        Verified::Approved(a) => Some((FactKind::Approved, a.amount.minor, &a.gateway_ref)),
        Verified::Deposited(d) => Some((FactKind::Deposited, d.amount.minor, &d.gateway_ref)),
        Verified::Issued(_) | Verified::DepositCancelled(_) => None,
    }
}

/// Takes back the call for a person when there is nothing to find out any more: no attempt is open, and neither is more given
/// back than taken nor a part of the total awaited.
fn settled(tx: &mut Tx<'_>, payment: &mut Payment) -> Result<(), Error> {
    let facts = facts::of_payment(tx, payment.shop_id, payment.id)?;
    let held = Sums::of(&facts.iter().map(FactRow::fact).collect::<Vec<_>>()).held();
    let whole = held == 0 || held >= payment.total;
    let called = payment.resolution == Resolution::NeedsOperator;
    if called && whole && attempts::open_of(tx, payment.shop_id, payment.id)?.is_none() {
        payment.resolution = Resolution::None;
    }
    Ok(())
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
            "confirmed": trust.confirmed, "source_listed": trust.listed, "accepted": trust.accepted,
        }),
    };
    change.fact(tx, None, new)
}

/// What a new deposit changes beside the sums, and what the shop must know of it.
fn deposited(
    tx: &mut Tx<'_>,
    change: &mut Change<'_>,
    checkout: &Checkout,
    deposit: &Deposit,
) -> Result<(), Error> {
    let facts = facts::of_payment(tx, checkout.shop_id, checkout.payment_id)?;
    let held = Sums::of(&facts.iter().map(FactRow::fact).collect::<Vec<_>>()).held();
    let payment = &mut change.payment;
    let at_us = deposit.at_ms.saturating_mul(1000);
    let closed = facts.iter().any(|fact| fact.kind == FactKind::Closed && fact.at_us < at_us);
    // By when it was paid in, not by when it is known.
    let late = closed || at_us > payment.deposit_deadline_us.unwrap_or(payment.expires_us);
    payment.approved_at_us = Some(at_us);
    payment.approved_checkout_id = Some(checkout.id);
    if payment.gateway_ref.is_none() {
        payment.gateway_ref.clone_from(&deposit.issue_ref);
    }
    if payment.paid_method.is_none() {
        payment.paid_method = Some(Json::of(&Method { kind: METHOD.to_owned(), provider: None })?);
    }
    let data = json!({
        "amount": deposit.amount.minor, "held": held, "total": payment.total, "gateway_ref": deposit.gateway_ref,
    });
    if held < payment.total && held > 0 {
        if payment.expired || payment.state.is_over() {
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

/// An account that the browser did not tell of. Another one than is known never takes its place: the buyer may have paid into
/// the first.
fn issued(
    tx: &mut Tx<'_>,
    host: &Host,
    change: &mut Change<'_>,
    checkout: &Checkout,
    account: &Account,
) -> Result<Written, Error> {
    if let Some(known) = AccountOut::of_payment(&change.key(tx)?, &change.payment)? {
        if same_number(&known.number, &account.number) {
            return Ok(Written::Known);
        }
        tracing::error!(payment = %change.payment.id, "another account is told of");
        change.event("payment.alarm", json!({"other_account": account.gateway_ref}));
        return Ok(Written::Contradicts);
    }
    let written = account_fact(tx, host, change, account, None, host.now_ms())?;
    if written == Written::New {
        ended(tx, host, checkout, CheckoutState::AwaitingDeposit)?;
    }
    Ok(written)
}

/// Ends the checkout of an order, if the browser did not.
fn ended(tx: &mut Tx<'_>, host: &Host, checkout: &Checkout, state: CheckoutState) -> Result<(), Error> {
    let Some(mut checkout) = checkouts::get(tx, checkout.shop_id, checkout.id)? else { return Ok(()) };
    if !matches!(checkout.state, CheckoutState::Opened | CheckoutState::Returned) {
        return Ok(());
    }
    checkout_ended(tx, host, &mut checkout, state, json!({}))
}

/// Whether an attempt opened an account for a payment that holds money: by another sale, because a deposit waits until the attempt
/// has ended. Such an account must not stand, as a second approval must not, and there is an alarm.
fn is_second(change: &mut Change<'_>, attempt: Option<&attempts::Attempt>, gateway_ref: &str) -> bool {
    let payment = &change.payment;
    let second = attempt.is_some() && payment.paid > payment.cancelled;
    if second {
        tracing::error!(payment = %payment.id, second = gateway_ref, "an account for a payment that is paid");
        change.event("payment.alarm", json!({"second_account": gateway_ref}));
    }
    second
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
    if is_second(change, attempt, &account.gateway_ref) {
        return Ok(Written::Contradicts);
    }
    let new = NewFact {
        kind: FactKind::Issued,
        amount: Money::new(account.amount.minor, change.payment.currency),
        gateway_ref: account.gateway_ref.clone(),
        sequence: 0,
        at_ms,
        detail: json!({"order_ref": account.order_ref}),
    };
    let written = change.fact(tx, attempt, new)?;
    if written != Written::New {
        return Ok(written);
    }
    let key = change.key(tx)?;
    let payment = &mut change.payment;
    payment.gateway_ref = Some(account.gateway_ref.clone());
    payment.deposit_deadline_us = account.deadline_ms.map(|ms| ms.saturating_mul(1000));
    payment.details = Some(details::kept(&key, payment.id, &AccountOut::kept(account)?)?);
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
    let written = settle::approved(tx, change, None, Some(checkout.id), approval)?;
    if written == Written::New {
        ended(tx, host, checkout, CheckoutState::Approved)?;
    }
    Ok(written)
}

/// An account that the gateway was paid into without our knowing its number: enough for its deposit to be ours.
pub fn unnamed(
    tx: &mut Tx<'_>,
    change: &mut Change<'_>,
    attempt: &attempts::Attempt,
    order_ref: &str,
    gateway_ref: String,
) -> Result<Written, Error> {
    if is_second(change, Some(attempt), &gateway_ref) {
        return Ok(Written::Contradicts);
    }
    let new = NewFact {
        kind: FactKind::Issued,
        amount: Money::new(change.payment.total, change.payment.currency),
        gateway_ref: gateway_ref.clone(),
        sequence: 0,
        at_ms: attempt.now_ms,
        detail: json!({"order_ref": order_ref}),
    };
    let written = change.fact(tx, Some(attempt), new)?;
    if written == Written::New {
        change.payment.gateway_ref = Some(gateway_ref);
    }
    Ok(written)
}

/// Whether two account numbers are one, however they are written.
pub fn same_number(one: &str, other: &str) -> bool {
    let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
    digits(one) == digits(other)
}

/// What stays of a notice, beside its digest and a few words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    /// The message, and what the plugin read.
    Message,
    /// What the plugin read: a person may still accept it.
    Reading,
    /// Nothing.
    Nothing,
}

impl Kept {
    fn of(notice: &Notice) -> Self {
        use NoticeState as S;
        let nobodys = notice.order_ref.is_none() && notice.payment_id.is_none() && notice.forward.is_none();
        match notice.state {
            // Nothing more is done with it.
            S::UnknownOrder | S::Unreadable | S::Ignored | S::Refused if nobodys => Self::Nothing,
            S::Mismatched if !notice.listed => Self::Reading,
            S::UnknownOrder | S::Unreadable | S::Ignored | S::Refused | S::Mismatched => Self::Message,
            S::Received | S::Read | S::Doubted | S::Applied | S::Held | S::Unconfirmed => Self::Message,
            S::Dismissed => Self::Message,
        }
    }
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
    if state != notice.state {
        next.since_us = host.now_us();
    }
    let key = host.vault().key_of(tx, next.shop_id)?;
    let said = |words: String| Place::Reason(next.id).seal(&key, storable(&words).as_bytes());
    next.reason = reason.map(said).transpose()?;
    next.payment_id = checkout.map(|checkout| checkout.payment_id).or(notice.payment_id);
    next.updated_us = host.now_us();
    let kept = Kept::of(&next);
    if kept == Kept::Nothing {
        next.reading = None;
    }
    let advanced = notices::advance(tx, &next, notice.state)?;
    if advanced && kept != Kept::Message {
        notices::set_raw(tx, next.shop_id, next.id, None)?;
    }
    Ok(advanced)
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
    if notice.listed {
        tracing::error!(notice = %notice.id, payment = %checkout.payment_id, finding, words, "a notice is not believed");
    } else if host.told().first(told::Of::Payment(checkout.shop_id, checkout.payment_id)) {
        tracing::warn!(
            notice = %notice.id, payment = %checkout.payment_id, finding, words,
            "a notice from an unknown address is not believed; of others about this payment nothing is said here for a day"
        );
    }
    let payment = locked(tx, checkout.shop_id, checkout.payment_id)?;
    let mut change = Change::begin(host, payment, None);
    let data: Value = json!({"notice": notice.id, "finding": finding, "reason": words});
    change.event("payment.alarm", data);
    change.write(tx).map(|_| ())
}
