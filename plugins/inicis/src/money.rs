//! `money`: what can be done with a sale that exists (`inicis.md §1.10, §2.6, §6.1`); `cancel` is [`crate::cancel`].
//!
//! Invariant: `inquire` reads; `undo` writes once, by the window that the callback is of.

use inicis_wire::codes::Operation;
use inicis_wire::iniapi::inquiry::{self, Inquired, State};
use inicis_wire::iniapi::v2::{self, By};

use crate::bindings::exports::payhost::plugin::money::{
    Attempt, Cancelled, Inquiry, Query, Sale, SaleState, Undone,
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

/// Sends a request of INIAPI v2.
pub fn call(request: &v2::Request, effect: Effect) -> Result<host::Answer, PluginError> {
    let hash = host::digest(request.hash())?;
    host::post(request.service.url(), v2::CONTENT_TYPE, request.body(&hash), effect)
}
