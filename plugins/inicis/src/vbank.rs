//! `vbank-notice`: what INICIS posts to the notify address, and accounts without a window (`inicis.md §3, §2.7, §4.6`).
//!
//! Invariant: `receive` sends nothing and believes a notice in form only (the host verifies it); the reply is INICIS's own word
//! for "done". `issue` and `close` send one request each.

use inicis_wire::banks;
use inicis_wire::codes::Operation;
use inicis_wire::details::Details;
use inicis_wire::iniapi::answer::{self, RefundAnswer};
use inicis_wire::iniapi::issue::{self, IssueAnswer, Opened, Request, Wanted};
use inicis_wire::iniapi::v1;
use inicis_wire::iniapi::v2::Refund;
use inicis_wire::mobile::approval::Approved;
use inicis_wire::mobile::details as mobile_details;
use inicis_wire::notice::{self, NoticeError, Said};

use crate::bindings::exports::payhost::plugin::vbank_notice::{
    Deposit, EscrowChange, Notice, NoticeFact, Received,
};
use crate::bindings::payhost::plugin::http::Effect;
use crate::bindings::payhost::plugin::log::{self, Level};
use crate::bindings::payhost::plugin::types::{Account, Approval, Context, Money, Order, PluginError};
use crate::{channel, host, words};

/// The one currency of virtual accounts; notices name none.
const WON: &str = "KRW";
/// No reply needs more than ASCII.
const REPLY_TYPE: &str = "text/plain";

/// Reads a notice.
pub fn receive(context: &Context, notice: &Notice) -> Result<Received, PluginError> {
    let mid = channel::mid(context)?;
    let read = notice::read(&notice.verb, &notice.body, mid).map_err(refused)?;
    let fact = match read.said {
        Said::Issued(issue) => NoticeFact::Issued(Account {
            details: words::details(kept(issue.more), "virtual_account", &issue.tid),
            gateway_ref: issue.tid,
            order_ref: issue.oid,
            amount: won(issue.amount),
            bank: words::institution(issue.bank),
            number: issue.number,
            // The notice names no holder, and of the deadline only the day.
            holder: String::new(),
            deadline_ms: None,
        }),
        Said::Approved(sale) => NoticeFact::Approved(approval(context, *sale)),
        Said::Deposited(paid) => NoticeFact::Deposited(deposit(paid)),
        Said::DepositCancelled(back) => NoticeFact::DepositCancelled(deposit(back)),
        Said::Escrow(change) => NoticeFact::EscrowChanged(EscrowChange {
            gateway_ref: change.tid,
            order_ref: change.oid,
            state: change.state.to_owned(),
            at_ms: change.at_ms,
        }),
        Said::Ignored(why) => NoticeFact::Ignored(why.to_owned()),
    };
    Ok(Received { facts: vec![fact], reply: read.reply.to_owned(), reply_type: REPLY_TYPE.to_owned() })
}

/// Another merchant's notice is a stranger's; one that cannot be read may be INICIS's own and is kept as such.
fn refused(error: NoticeError) -> PluginError {
    match error {
        NoticeError::Merchant(_) => PluginError::Forged(error.to_string()),
        NoticeError::NotPosted
        | NoticeError::Form(_)
        | NoticeError::TooManyFields
        | NoticeError::Unknown
        | NoticeError::Field(_) => PluginError::InvalidRequest(error.to_string()),
    }
}

const fn kept(more: Vec<(String, String)>) -> Details {
    Details {
        approval_number: None,
        issuer: None,
        acquirer: None,
        masked_number: None,
        instalments: None,
        interest_free: None,
        wallet: None,
        points: None,
        discount: None,
        cash_receipt: None,
        partial_cancel: None,
        more,
    }
}

fn won(minor: i64) -> Money {
    Money { minor, currency: WON.to_owned() }
}

fn deposit(read: notice::Deposit) -> Deposit {
    Deposit {
        gateway_ref: read.tid,
        issue_ref: read.issue_tid,
        order_ref: read.oid,
        amount: won(read.amount),
        number: read.number,
        depositor: read.depositor,
        at_ms: read.at_ms,
        more: words::named(read.more),
    }
}

fn approval(context: &Context, sale: Approved) -> Approval {
    let details = mobile_details::of_mobile(&sale.fields);
    Approval {
        details: words::details(details, sale.method.kind, &sale.tid),
        gateway_ref: sale.tid,
        order_ref: sale.oid,
        amount: won(sale.amount),
        approved_at_ms: sale.approved_at_ms.unwrap_or(context.now_ms),
        method: words::method(sale.method),
    }
}

/// Opens an account without a window.
pub fn issue(
    context: &Context,
    order: &Order,
    bank: &str,
    holder: &str,
    deadline_ms: i64,
) -> Result<Account, PluginError> {
    let code = banks::of_kftc(bank).ok_or_else(|| {
        PluginError::InvalidRequest(format!("bank {bank}: no code of INICIS is known for it"))
    })?;
    let request = Request::new(&Wanted {
        mid: channel::selling_mid(context)?,
        client_ip: channel::client_ip(context)?,
        now_ms: context.now_ms,
        url: origin(&order.notify_url),
        order_ref: &order.order_ref,
        amount: order.amount.minor,
        currency: &order.amount.currency,
        goods: &order.name,
        buyer_name: order.buyer.name.as_deref(),
        buyer_phone: order.buyer.phone.as_deref(),
        buyer_email: order.buyer.email.as_deref(),
        bank: code,
        holder,
        deadline_ms,
        tax_free: order.tax.and_then(|tax| tax.free),
        vat: order.tax.and_then(|tax| tax.vat),
    })
    .map_err(words::unfit)?;
    for warning in &request.warnings {
        log::write(Level::Warn, warning, &[]);
    }
    let hash = host::digest(request.hash())?;
    let (status, body) = host::post(issue::URL, v1::CONTENT_TYPE, request.body(&hash), Effect::Write)?;
    match issue::read(status, &body).map_err(words::unclear)? {
        IssueAnswer::No(no) => Err(PluginError::Gateway(words::refusal(no, Operation::Issue))),
        IssueAnswer::Opened(opened) => Ok(account(order, *opened)),
    }
}

/// The answer names no order number: the account is of the request that it answers.
fn account(order: &Order, opened: Opened) -> Account {
    Account {
        details: words::details(kept(opened.more), "virtual_account", &opened.tid),
        gateway_ref: opened.tid,
        order_ref: order.order_ref.clone(),
        amount: won(opened.amount),
        bank: words::institution(opened.account.bank),
        number: opened.account.number,
        holder: opened.account.holder,
        deadline_ms: opened.account.deadline_ms,
    }
}

/// `https://host` of an address.
fn origin(url: &str) -> &str {
    let path = url.find("://").and_then(|at| url.get(at + 3..)?.find('/').map(|slash| at + 3 + slash));
    path.and_then(|end| url.get(..end)).unwrap_or(url)
}

/// Closes an account that nobody paid into: a cancel with a `paymethod` of its own (`inicis.md §5.1`).
pub fn close(context: &Context, account: &Account) -> Result<(), PluginError> {
    let refund = Refund {
        mid: channel::mid(context)?,
        tid: &account.gateway_ref,
        reason: "",
        client_ip: channel::client_ip(context)?,
        now_ms: context.now_ms,
    };
    let wire = v1::Request::new(&refund, v1::UNPAID_ACCOUNT, None, None).map_err(words::unfit)?;
    let hash = host::digest(wire.hash())?;
    let (status, body) = host::post(v1::REFUND_URL, v1::CONTENT_TYPE, wire.body(&hash), Effect::Write)?;
    match answer::read(status, &body).map_err(words::unclear)? {
        RefundAnswer::No(no) => Err(PluginError::Gateway(words::refusal(no, Operation::Cancel))),
        RefundAnswer::Done(_) => Ok(()),
    }
}
