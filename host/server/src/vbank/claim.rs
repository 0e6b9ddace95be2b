//! What a notice claims of which payment. Invariant: a notice is matched only with a payment of its own shop and mode that was
//! made with the merchant id that the notice came to (a gateway knows one address per merchant id, whichever channel has it),
//! and a claim that cannot be about that payment never comes to the gateway or to the facts.

use std::collections::BTreeMap;

use payhost_core::{FactKind, Resolution};
use payhost_engine::contract::types::{Method, Money};
use payhost_engine::contract::vbank_notice::{Deposit, NoticeFact};
use payhost_store::rows::attempts;
use payhost_store::rows::channels;
use payhost_store::rows::checkouts::{self, Checkout};
use payhost_store::rows::facts::{self, FactRow};
use payhost_store::rows::notices::Notice;
use payhost_store::rows::payments::{self, Payment};
use payhost_store::{Error, Tx};

use super::facts::{Verified, same_number};
use super::is_account;
use super::verify::same_kind;
use crate::channels::ready::channel_settings;
use crate::channels::settings;
use crate::host::Host;
use crate::http::problem::Problem;
use crate::payments::model::{AMOUNT_MAX, AccountOut};

/// One claim of a notice.
pub struct Claimed {
    /// What would be written.
    pub verified: Verified,
    /// Our order number.
    pub order_ref: String,
    /// How much.
    pub amount: Money,
}

/// What a fact of a notice claims; `Err`: nothing for us, and why.
pub fn claimed(fact: NoticeFact) -> Result<Claimed, String> {
    let (order_ref, amount, verified) = match fact {
        NoticeFact::Ignored(why) => return Err(why),
        NoticeFact::EscrowChanged(change) => {
            return Err(format!("escrow: {} (kept, nothing is done with it yet)", change.state));
        }
        NoticeFact::Issued(a) => (a.order_ref.clone(), a.amount.clone(), Verified::Issued(Box::new(a))),
        NoticeFact::Approved(a) => (a.order_ref.clone(), a.amount.clone(), Verified::Approved(Box::new(a))),
        NoticeFact::Deposited(d) => (d.order_ref.clone(), d.amount.clone(), Verified::Deposited(d)),
        NoticeFact::DepositCancelled(d) => {
            (d.order_ref.clone(), d.amount.clone(), Verified::DepositCancelled(d))
        }
    };
    Ok(Claimed { verified, order_ref, amount })
}

/// The payment that a notice is about.
pub struct Matched {
    /// The checkout of its order number.
    pub checkout: Checkout,
    /// Why the notice came to the wrong channel; only a person believes it then.
    pub misdirected: Option<String>,
    /// What is known of its payment.
    pub known: Known,
}

/// What is known of a payment.
pub struct Known {
    /// The payment.
    pub payment: Payment,
    /// Its facts.
    pub facts: Vec<FactRow>,
    /// Whether an attempt of it is open, or in doubt: what a notice says may be its outcome.
    pub busy: bool,
    /// Its account, where it has one.
    pub account: Option<AccountOut>,
}

impl Known {
    /// Reads what is known beside the payment's row, in its transaction.
    pub fn of(tx: &mut Tx<'_>, host: &Host, payment: Payment) -> Result<Self, Error> {
        let facts = facts::of_payment(tx, payment.shop_id, payment.id)?;
        let open = attempts::open_of(tx, payment.shop_id, payment.id)?.is_some();
        let busy = open || payment.resolution == Resolution::InDoubt;
        let account = AccountOut::of_payment(&host.vault().key_of(tx, payment.shop_id)?, &payment)?;
        Ok(Self { payment, facts, busy, account })
    }
}

/// What needs no gateway to be said of a claim.
pub enum Standing {
    /// The very fact is written.
    Written,
    /// The payment is being worked on.
    Busy,
    /// It cannot be about this payment: finding and words.
    Mismatched(&'static str, String),
    /// The gateway must be asked.
    Open,
}

/// How a claim stands against what is known.
pub fn standing(known: &Known, claimed: &Claimed) -> Standing {
    match bare(known, claimed) {
        Standing::Mismatched(..) | Standing::Open if known.busy => Standing::Busy,
        found @ (Standing::Written | Standing::Busy | Standing::Mismatched(..) | Standing::Open) => found,
    }
}

/// The same, whoever works on the payment: never [`Standing::Busy`].
pub fn bare(known: &Known, claimed: &Claimed) -> Standing {
    if is_written(known, &claimed.verified) {
        return Standing::Written;
    }
    match fits(known, claimed) {
        Ok(()) => Standing::Open,
        Err((finding, words)) => Standing::Mismatched(finding, words),
    }
}

/// Finds it; `Err`: the shop has none in this mode. Of other shops nothing is told.
pub async fn matched(
    host: &Host,
    notice: &Notice,
    order_ref: &str,
) -> Result<Result<Matched, String>, Problem> {
    if order_ref.contains('\0') {
        return Ok(Err("its order number is none of ours".to_owned()));
    }
    let (order_ref, shop, notice, host) =
        (order_ref.to_owned(), notice.shop_id, notice.clone(), host.clone());
    let store = host.store().clone();
    let found = store.read(move |tx| {
        let checkout = checkouts::by_order_ref(tx, shop, &order_ref)?;
        let Some(checkout) = checkout else { return Ok(Err("no payment has its order number")) };
        let payment = payments::get(tx, shop, checkout.payment_id)?;
        let payment = payment.ok_or(Error::NotFound { what: "payment" })?;
        if payment.mode != notice.mode {
            return Ok(Err("its order number is of a payment in the other mode"));
        }
        let misdirected = misdirected(tx, &host, &notice, &checkout)?;
        Ok::<_, Error>(Ok(Matched { checkout, misdirected, known: Known::of(tx, &host, payment)? }))
    });
    Ok(found.await?.map_err(ToOwned::to_owned))
}

/// Whether the payment was made through another channel, and not with the merchant id of the notice's one.
fn misdirected(
    tx: &mut Tx<'_>,
    host: &Host,
    notice: &Notice,
    checkout: &Checkout,
) -> Result<Option<String>, Error> {
    if checkout.channel_id == notice.channel_id {
        return Ok(None);
    }
    let missing = || Error::NotFound { what: "channel" };
    let here = channels::get(tx, notice.shop_id, notice.channel_id)?.ok_or_else(missing)?;
    let there = channels::get(tx, checkout.shop_id, checkout.channel_id)?.ok_or_else(missing)?;
    let then = channels::revision(tx, checkout.shop_id, checkout.channel_id, Some(checkout.revision))?;
    let then = then.map(|revision| revision.settings.to()).transpose()?.unwrap_or_else(BTreeMap::new);
    let descriptor = host.plugins().descriptor(tx, &here.plugin_digest)?;
    let now = channel_settings(&here);
    let merchant = settings::merchant(&descriptor, &now);
    let same = here.plugin_id == there.plugin_id
        && !merchant.is_empty()
        && merchant == settings::merchant(&descriptor, &then);
    Ok((!same).then(|| {
        format!(
            "it came to the channel {} for another merchant, and its order was paid through the channel {}",
            here.id, there.id
        )
    }))
}

/// Whether the very fact is written.
fn is_written(known: &Known, verified: &Verified) -> bool {
    let facts = &known.facts;
    let (kind, gateway_ref, amount) = match verified {
        Verified::Issued(account) => {
            // The number is what a buyer pays into; a gateway may number the message about it anew.
            let issue =
                |fact: &FactRow| fact.kind == FactKind::Issued && fact.gateway_ref == account.gateway_ref;
            return match &known.account {
                Some(shown) => same_number(&shown.number, &account.number),
                None => facts.iter().any(issue),
            };
        }
        Verified::Approved(a) => (FactKind::Approved, &a.gateway_ref, a.amount.minor),
        Verified::Deposited(d) => (FactKind::Deposited, &d.gateway_ref, d.amount.minor),
        Verified::DepositCancelled(d) => (FactKind::DepositCancelled, &d.gateway_ref, d.amount.minor),
    };
    facts.iter().any(|fact| fact.kind == kind && fact.gateway_ref == *gateway_ref && fact.amount == amount)
}

/// Whether the notice can be about this payment at all: currency, kind of sale, account, issue, and, where the whole amount is
/// claimed, the total. `Err`: the finding and the words.
fn fits(known: &Known, claimed: &Claimed) -> Result<(), (&'static str, String)> {
    let Known { payment, facts, account, busy: _ } = known;
    let verified = &claimed.verified;
    amount_fits(payment, verified, &claimed.amount).map_err(|words| ("wrong_amount", words))?;
    kind_fits(payment, facts, verified).map_err(|words| ("wrong_kind", words.to_owned()))?;
    match verified {
        Verified::Approved(_) => Ok(()),
        Verified::Issued(_) if facts.iter().any(|fact| fact.kind == FactKind::Issued) => {
            Err(("wrong_account", "another account of this payment is known".to_owned()))
        }
        Verified::Issued(_) => Ok(()),
        Verified::Deposited(deposit) | Verified::DepositCancelled(deposit) => {
            account_fits(account.as_ref(), facts, deposit)
        }
    }
}

/// A deposit is paid into an account, and an approval is of anything else: one sale is never both.
fn kind_fits(payment: &Payment, facts: &[FactRow], verified: &Verified) -> Result<(), &'static str> {
    let has = |kind: FactKind| facts.iter().any(|fact| fact.kind == kind);
    let wanted: Option<Method> = payment.method.as_ref().and_then(|method| method.to().ok());
    match verified {
        Verified::Approved(approval) => {
            if has(FactKind::Issued) || has(FactKind::Deposited) || is_account(&approval.method) {
                Err("it is about an approval, and this payment has an account")
            } else if wanted.is_some_and(|wanted| !same_kind(&wanted, &approval.method)) {
                Err("it is about another method than the one that was asked for")
            } else {
                Ok(())
            }
        }
        Verified::Issued(_) | Verified::Deposited(_) | Verified::DepositCancelled(_) => {
            if has(FactKind::Approved) {
                Err("it is about an account, and this payment was paid another way")
            } else if !has(FactKind::Issued) && wanted.is_some_and(|wanted| !is_account(&wanted)) {
                Err("it is about an account, and another method was asked for")
            } else {
                Ok(())
            }
        }
    }
}

/// Whether the money can be this payment's at all. `Err`: why not; no person can accept it then.
pub fn amount_fits(payment: &Payment, verified: &Verified, amount: &Money) -> Result<(), String> {
    if amount.currency != payment.currency.as_str() || amount.minor <= 0 || amount.minor > AMOUNT_MAX {
        return Err("its amount or currency cannot be this payment's".to_owned());
    }
    match verified {
        Verified::Issued(_) | Verified::Approved(_) if amount.minor != payment.total => {
            Err(format!("it is about {}, not {}", amount.minor, payment.total))
        }
        Verified::Issued(_)
        | Verified::Approved(_)
        | Verified::Deposited(_)
        | Verified::DepositCancelled(_) => Ok(()),
    }
}

fn account_fits(
    account: Option<&AccountOut>,
    facts: &[FactRow],
    deposit: &Deposit,
) -> Result<(), (&'static str, String)> {
    let other =
        |known: &AccountOut| !deposit.number.is_empty() && !same_number(&known.number, &deposit.number);
    if account.is_some_and(other) {
        return Err(("wrong_account", "it is about another account than the payment's".to_owned()));
    }
    let mut issues = facts.iter().filter(|fact| fact.kind == FactKind::Issued).peekable();
    if let Some(issue) = &deposit.issue_ref
        && issues.peek().is_some()
        && !issues.any(|fact| fact.gateway_ref == *issue)
    {
        return Err(("wrong_account", "it names another issue than the payment's".to_owned()));
    }
    Ok(())
}
