//! The window on a phone (`inicis.md §2`), in two transactions.
//!
//! Invariant: the approval's answer has no signature, and so its merchant is compared here and its order and amount by the
//! host; a net cancel goes to the data centre that approved.

use inicis_wire::codes::Operation;
use inicis_wire::mobile::approval::{self, Answer, Approved, NetCancel};
use inicis_wire::mobile::details;
use inicis_wire::mobile::options::{self, Opening};
use inicis_wire::mobile::reply::Ticket;
use inicis_wire::mobile::request::{self, Phone, Wanted};

use super::{Sale, field, name, option_error, requested, wishes};
use crate::bindings::exports::payhost::plugin::general_pay::{Begun, CheckoutStep, Form};
use crate::bindings::exports::payhost::plugin::money::Undone;
use crate::bindings::payhost::plugin::http::Effect;
use crate::bindings::payhost::plugin::types::{Context, Money, Order, Outcome, PluginError};
use crate::channel::key;
use crate::{channel, host, words};

/// Opens the window: a form that the browser posts.
pub fn begin(context: &Context, order: &Order) -> Result<Begun, PluginError> {
    let (payment, reserved) = window_method(context, order)?;
    let opening = Opening {
        payment,
        phone_goods: channel::phone_goods(context)?,
        app_scheme: channel::setting(context, key::APP_SCHEME),
        app_base: channel::setting(context, key::APP_BASE),
        now_ms: context.now_ms,
    };
    let opened = request::open(&Wanted {
        mid: channel::selling_mid(context)?,
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
        window: Phone {
            payment,
            reserved,
            notify_url: &order.notify_url,
            results: channel::mobile_charset(context)?,
            options: options::write(&wishes(context, order)?, opening).map_err(option_error)?,
        },
    })
    .map_err(words::unfit)?;
    let chkfake = host::digest_base64(opened.chkfake())?;
    let mut warnings = opened.warnings.clone();
    if order.method.is_none() {
        warnings.push(format!(
            "method: INICIS's mobile window opens one method; {payment} was opened (setting mobile_method)"
        ));
    }
    Ok(Begun {
        step: CheckoutStep::Form(Form {
            action: request::ACTION.to_owned(),
            charset: request::ACCEPT_CHARSET.to_owned(),
            fields: opened.into_fields(chkfake).into_iter().map(field).collect(),
        }),
        warnings,
    })
}

/// `P_INI_PAYMENT` and a word of `P_RESERVED`. The window needs one method: without one it is the channel's.
fn window_method(context: &Context, order: &Order) -> Result<(&'static str, &'static str), PluginError> {
    match requested(order)? {
        None => channel::mobile_method(context).map(|payment| (payment, "")),
        Some(row) => row.mobile.ok_or_else(|| {
            PluginError::Unsupported(format!(
                "method: how INICIS's mobile window is opened with {} is not documented",
                name(order)
            ))
        }),
    }
}

/// Takes the money.
pub fn approve(context: &Context, order: &Order, ticket: &Ticket) -> Result<Outcome, PluginError> {
    let mid = channel::mid(context)?;
    let body = approval::body(mid, &ticket.tid);
    let url = ticket.idc.mobile_approval();
    let (status, answer) = host::post(url, approval::CONTENT_TYPE, body, Effect::Write)?;
    match approval::read(status, &answer).map_err(words::unclear)? {
        Answer::Declined(no) => Ok(Outcome::Declined(words::refusal(no, Operation::Approve))),
        Answer::Approved(approved) => {
            approved.verify(mid).map_err(words::unclear)?;
            super::outcome(context, sale(order, *approved))
        }
    }
}

/// The mobile answer names no currency: the window takes won only.
fn sale(order: &Order, approved: Approved) -> Sale {
    let details = details::of_mobile(&approved.fields);
    Sale {
        details: words::details(details, approved.method.kind, &approved.tid),
        account: details::account(&approved.fields),
        tid: approved.tid,
        order_ref: approved.oid,
        amount: Money { minor: approved.amount, currency: order.amount.currency.clone() },
        approved_at_ms: approved.approved_at_ms,
        method: approved.method,
    }
}

/// Net cancel (`inicis.md §2.6`): signed anew, with the moment of this call.
pub fn net_cancel(context: &Context, order: &Order, ticket: &Ticket) -> Result<Undone, PluginError> {
    let ask = NetCancel {
        mid: channel::mid(context)?,
        tid: &ticket.tid,
        oid: &order.order_ref,
        amount: order.amount.minor,
        now_ms: context.now_ms,
    };
    let body = ask.body(host::digest_base64(ask.chkfake())?);
    let url = ticket.idc.mobile_net_cancel();
    let (status, answer) = host::post(url, approval::CONTENT_TYPE, body, Effect::Write)?;
    match approval::read_net_cancel(status, &answer).map_err(words::unclear)? {
        None => Ok(Undone::Reversed),
        Some(no) => Err(PluginError::Gateway(words::refusal(no, Operation::NetCancel))),
    }
}
