//! `money`: what can be done with a sale that exists (`inicis.md §1.10, §5.3, §6.1`).
//!
//! Invariant: `inquire` reads; `cancel` writes once through INIAPI v2; `undo` writes once, with the very map of the approval.

use inicis_wire::codes::Operation;
use inicis_wire::iniapi::answer::{self, RefundAnswer, Refunded};
use inicis_wire::iniapi::inquiry::{self, Inquired, State};
use inicis_wire::iniapi::v2::{self, By, PartOfSale, Refund};
use inicis_wire::order::CURRENCIES;

use crate::bindings::exports::payhost::plugin::money::{
    Attempt, CancelRequest, Cancellation, Cancelled, Charge, Inquiry, Query, Sale, SaleState, Undone,
};
use crate::bindings::payhost::plugin::http::Effect;
use crate::bindings::payhost::plugin::types::{Callback, Context, Money, Order, PluginError};
use crate::pay::{self, Reply};
use crate::{channel, host, words};

/// Asks for the state of a sale: by order number when the merchant has the contract, else by TID.
pub fn inquire(context: &Context, query: &Query) -> Result<Inquiry, PluginError> {
    let by = match (channel::asks_by_order(context), &query.gateway_ref) {
        (true, _) => By::Oid(&query.order_ref),
        (false, Some(tid)) => By::Tid(tid),
        (false, None) => {
            return Ok(Inquiry::CannotAsk(
                "without the contract for duplicate-order prevention INICIS answers only by its own number (TID), which is \
                 not known"
                    .to_owned(),
            ));
        }
    };
    let mid = channel::mid(context)?;
    let request = v2::inquiry(mid, by, channel::client_ip(context)?, context.now_ms).map_err(words::unfit)?;
    let (status, body) = call(&request, Effect::Read)?;
    Ok(match inquiry::read(status, &body, mid).map_err(words::unclear)? {
        Inquired::Found(sale) => Inquiry::Found(found(*sale, &query.amount.currency)),
        Inquired::NotFound(_) => Inquiry::NotFound,
        Inquired::No(no) => return Err(PluginError::Gateway(words::refusal(no, Operation::Inquire))),
    })
}

/// The inquiry names no currency (`inicis.md §6.1`): amounts are in that of the question.
fn found(sale: inquiry::Sale, currency: &str) -> Sale {
    let money = |minor: i64| Money { minor, currency: currency.to_owned() };
    Sale {
        gateway_ref: sale.tid,
        order_ref: sale.oid,
        state: match sale.state {
            State::AwaitingDeposit => SaleState::AwaitingDeposit,
            State::Paid => SaleState::Paid,
            State::PartiallyCancelled => SaleState::PartiallyCancelled,
            State::Cancelled => SaleState::Cancelled,
        },
        amount: money(sale.price),
        cancellable: sale.cancellable.map(money),
        method: sale.method.map(words::method),
        approved_at_ms: sale.approved_at_ms,
        cancels: sale
            .cancels
            .into_iter()
            .map(|cancel| Cancelled {
                gateway_ref: cancel.tid,
                amount: money(cancel.price),
                at_ms: cancel.at_ms,
            })
            .collect(),
    }
}

/// Gives money back through INIAPI v2.
pub fn cancel(
    context: &Context,
    charge: &Charge,
    request: &CancelRequest,
) -> Result<Cancellation, PluginError> {
    if charge.method.kind == "virtual_account" || request.account.is_some() {
        return Err(PluginError::Unsupported(
            "this version of the plugin does not refund virtual accounts".into(),
        ));
    }
    let part = part_of(charge, request)?;
    let refund = Refund {
        mid: channel::mid(context)?,
        tid: &charge.gateway_ref,
        reason: &request.reason,
        client_ip: channel::client_ip(context)?,
        now_ms: context.now_ms,
    };
    let wire = refund.request(part, None).map_err(words::unfit)?;
    let (status, body) = call(&wire, Effect::Write)?;
    match answer::read(status, &body).map_err(words::unclear)? {
        RefundAnswer::No(no) => Err(PluginError::Gateway(words::refusal(no, Operation::Cancel))),
        RefundAnswer::Done(refunded) => Ok(cancellation(context, request, refunded)),
    }
}

/// Absent: all of it. A first partial cancel of everything is refused by INICIS, and the last part stays a partial cancel
/// that leaves 0 (`inicis.md §5.1`).
fn part_of(charge: &Charge, request: &CancelRequest) -> Result<Option<PartOfSale>, PluginError> {
    let no = |why: &str| Err(PluginError::InvalidRequest(why.to_owned()));
    let iso = &charge.amount.currency;
    let Some((currency, _)) = CURRENCIES.iter().find(|(code, _)| code == iso) else {
        return no("INICIS knows only KRW and USD");
    };
    if request.amount.currency != *iso || charge.remaining.currency != *iso {
        return no("the currency of the cancel is not that of the sale");
    }
    let (price, remaining) = (request.amount.minor, charge.remaining.minor);
    if price <= 0 || price > remaining || remaining > charge.amount.minor {
        return no("the amount of a cancel must be greater than 0 and at most what remains");
    }
    if price == charge.amount.minor {
        return Ok(None);
    }
    let (vat, tax_free) = (request.tax.and_then(|t| t.vat), request.tax.and_then(|t| t.free));
    let fits = |part: Option<i64>| part.is_none_or(|part| (0..=price).contains(&part));
    if !fits(vat) || !fits(tax_free) {
        return no("VAT and tax-free part must be at most the amount of the cancel");
    }
    Ok(Some(PartOfSale { price, left: remaining - price, currency, vat, tax_free }))
}

fn cancellation(context: &Context, request: &CancelRequest, refunded: Refunded) -> Cancellation {
    let money = |minor: i64| Money { minor, currency: request.amount.currency.clone() };
    Cancellation {
        gateway_ref: None,
        amount: money(refunded.price.unwrap_or(request.amount.minor)),
        remaining: refunded.left.map(money),
        at_ms: refunded.at_ms.unwrap_or(context.now_ms),
        more: words::named(refunded.more),
    }
}

fn call(request: &v2::Request, effect: Effect) -> Result<host::Answer, PluginError> {
    let hash = host::digest(request.hash())?;
    host::post(request.service.url(), v2::CONTENT_TYPE, request.body(&hash), effect)
}

/// Net cancel of a `complete` whose answer was lost or wrong.
pub fn undo(
    context: &Context,
    order: &Order,
    callback: &Callback,
    attempt: &Attempt,
) -> Result<Undone, PluginError> {
    if attempt.order_ref != order.order_ref {
        return Err(PluginError::InvalidRequest("the attempt is of another order".into()));
    }
    match pay::read_reply(context, order, callback)? {
        Reply::Pc(ticket) => pay::undo_pc(context, order, &ticket, attempt),
        Reply::Mobile(ticket) => pay::undo_mobile(context, order, &ticket),
        // INICIS itself said that there is no authentication: `complete` sent nothing for this callback.
        Reply::Declined(_) => Ok(Undone::NothingToUndo),
    }
}
