//! The window on a PC (`inicis.md §1`).
//!
//! Invariant: approval and net cancel send the same map to the letter.

use inicis_wire::codes::Operation;
use inicis_wire::pc::approval::{self, Answer, Approved, Ask, NetCancelled};
use inicis_wire::pc::details;
use inicis_wire::pc::options::{self, Opening};
use inicis_wire::pc::reply::Ticket;
use inicis_wire::pc::request::{self, Page, Wanted};

use super::{Sale, field, name, option_error, requested, wishes};
use crate::bindings::exports::payhost::plugin::general_pay::{
    Begun, BuyerEnv, CheckoutStep, Script, ScriptStep,
};
use crate::bindings::exports::payhost::plugin::money::{Attempt, Undone};
use crate::bindings::payhost::plugin::http::Effect;
use crate::bindings::payhost::plugin::types::{Context, Money, Order, Outcome, PluginError};
use crate::{channel, host, words};

/// Opens the window.
pub fn begin(context: &Context, order: &Order, buyer: &BuyerEnv) -> Result<Begun, PluginError> {
    let mid = channel::selling_mid(context)?;
    let script_host = channel::script_host(context)?;
    let (methods, word) = window_methods(order)?;
    let opening = Opening { methods, phone_goods: channel::phone_goods(context)?, now_ms: context.now_ms };
    let mut options = options::write(&wishes(context, order)?, opening).map_err(option_error)?;
    if !word.is_empty() {
        options.accept.insert(0, word.to_owned());
    }
    let opened = request::open(&Wanted {
        mid,
        order_ref: &order.order_ref,
        amount: order.amount.minor,
        currency: &order.amount.currency,
        now_ms: context.now_ms,
        goods: &order.name,
        buyer_name: order.buyer.name.as_deref(),
        buyer_phone: order.buyer.phone.as_deref(),
        buyer_email: order.buyer.email.as_deref(),
        language: &order.language,
        return_url: &order.return_url,
        tax_free: order.tax.and_then(|tax| tax.free),
        vat: order.tax.and_then(|tax| tax.vat),
        window: Page { methods, close_url: &order.close_url, page_origin: &buyer.page_origin, options },
    })
    .map_err(words::unfit)?;
    let signature = host::digest(opened.signature())?;
    let verification = host::digest(opened.verification())?;
    let m_key = host::digest(request::m_key())?;
    let warnings = opened.warnings.clone();
    let fields = opened.into_fields(signature, verification, m_key);
    Ok(Begun {
        step: CheckoutStep::Script(Script {
            url: script_host.script().to_owned(),
            charset: "UTF-8".to_owned(),
            steps: vec![ScriptStep {
                member: "INIStdPay.pay".to_owned(),
                args: vec!["\"$form\"".to_owned()],
            }],
            form: Some(fields.into_iter().map(field).collect()),
            close_script: Some(script_host.close_script().to_owned()),
        }),
        warnings,
    })
}

/// `gopaymethod` and a word of `acceptmethod`. Without a method the window offers everything that is contracted (empty,
/// `inicis.md §1.2`); dollars are taken by card only.
fn window_methods(order: &Order) -> Result<(&'static str, &'static str), PluginError> {
    match requested(order)? {
        None if order.amount.currency == "KRW" => Ok(("", "")),
        None => Ok(("Card", "")),
        Some(row) => row.pc.ok_or_else(|| {
            PluginError::Unsupported(format!(
                "method: how INICIS's PC window is opened with {} is not documented",
                name(order)
            ))
        }),
    }
}

/// Takes the money.
pub fn approve(context: &Context, order: &Order, ticket: &Ticket) -> Result<Outcome, PluginError> {
    let mid = channel::mid(context)?;
    let ask = Ask { mid, token: &ticket.token, amount: order.amount.minor, now_ms: context.now_ms };
    let body = approval_body(&ask)?;
    let (status, answer) = host::post(ticket.idc.pc_approval(), approval::CONTENT_TYPE, body, Effect::Write)?;
    match approval::read(status, &answer).map_err(words::unclear)? {
        Answer::Declined(no) => Ok(Outcome::Declined(words::refusal(no, Operation::Approve))),
        Answer::AlreadyApproved => Err(PluginError::Unknown(
            "INICIS answered R201: this authentication was approved before, by a call whose answer is not at hand".into(),
        )),
        Answer::Approved(approved) => {
            // The money was taken: from here on nothing may be called "not sent".
            let expected = host::digest(approved.expected_signature(context.now_ms))
                .map_err(|_| PluginError::Unknown("INICIS approved, but authSignature cannot be computed".into()))?;
            approved.verify(&expected, mid).map_err(words::unclear)?;
            super::outcome(context, sale(order, *approved))
        }
    }
}

/// The body of an approval and of its net cancel: the same text for the same ask.
fn approval_body(ask: &Ask<'_>) -> Result<String, PluginError> {
    Ok(ask.body(host::digest(ask.signature())?, host::digest(ask.verification())?))
}

fn sale(order: &Order, approved: Approved) -> Sale {
    let currency = approved.currency.map_or_else(|| order.amount.currency.clone(), str::to_owned);
    let details = details::of_pc(&approved.fields);
    Sale {
        details: words::details(details, approved.method.kind, &approved.tid),
        account: details::account(&approved.fields),
        tid: approved.tid,
        order_ref: approved.moid,
        amount: Money { minor: approved.total, currency },
        approved_at_ms: approved.approved_at_ms,
        method: approved.method,
    }
}

/// Net cancel: the approval's map again, to the letter, at the net-cancel address of the same data centre.
pub fn net_cancel(
    context: &Context,
    order: &Order,
    ticket: &Ticket,
    attempt: &Attempt,
) -> Result<Undone, PluginError> {
    let mid = channel::mid(context)?;
    let ask = Ask { mid, token: &ticket.token, amount: order.amount.minor, now_ms: attempt.now_ms };
    let body = approval_body(&ask)?;
    let (status, answer) =
        host::post(ticket.idc.pc_net_cancel(), approval::CONTENT_TYPE, body, Effect::Write)?;
    match approval::read_net_cancel(status, &answer, &order.order_ref).map_err(words::unclear)? {
        NetCancelled::Reversed => Ok(Undone::Reversed),
        NetCancelled::Refused(no) => Err(PluginError::Gateway(words::refusal(no, Operation::NetCancel))),
    }
}
