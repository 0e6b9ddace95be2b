//! `general-pay`: the window, the return, the approval, on a PC ([`pc`]) and on a phone ([`mobile`]).
//!
//! Invariant: `begin` and `authenticate` send nothing; `complete` sends one request, to an address of our own table, after
//! everything in the callback was compared; it never undoes. Which window a callback is of, its own fields say.

mod mobile;
mod pc;

use inicis_wire::No;
use inicis_wire::details::Account as Read;
use inicis_wire::form::{Field as WireField, Form};
use inicis_wire::methods::{self, Request};
use inicis_wire::mobile::reply as mobile_reply;
use inicis_wire::options::{OptionError, Wishes};
use inicis_wire::pc::reply as pc_reply;

use crate::bindings::exports::payhost::plugin::general_pay::{Authentication, Begun, BuyerEnv, Field};
use crate::bindings::payhost::plugin::log::{self, Level};
use crate::bindings::payhost::plugin::types::{
    Account, Approval, Callback, Context, Details, Money, Order, Outcome, PluginError,
};
use crate::{channel, words};

pub use mobile::net_cancel as undo_mobile;
pub use pc::net_cancel as undo_pc;

/// Opens INICIS's window.
pub fn begin(context: &Context, order: &Order, buyer: &BuyerEnv) -> Result<Begun, PluginError> {
    match buyer.device.as_str() {
        "pc" => pc::begin(context, order, buyer),
        "mobile" => mobile::begin(context, order),
        other => Err(PluginError::InvalidRequest(format!("device {other}: must be pc or mobile"))),
    }
}

/// What a callback says.
pub enum Reply {
    /// The buyer proved who he is, on a PC.
    Pc(pc_reply::Ticket),
    /// The buyer proved who he is, on a phone.
    Mobile(mobile_reply::Ticket),
    /// Not.
    Declined(No),
}

/// Reads a callback: `P_STATUS` is of the phone's window, `resultCode` of the PC's; both at once are of nobody's.
pub fn read_reply(context: &Context, order: &Order, callback: &Callback) -> Result<Reply, PluginError> {
    let forged = |why: String| PluginError::Forged(why);
    let mid = channel::mid(context)?;
    let media = callback.content_type.split(';').next().unwrap_or_default().trim();
    if callback.verb != "POST" || !media.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(forged(pc_reply::ReplyError::NotAForm.to_string()));
    }
    let form = Form::parse(&callback.body).map_err(|error| forged(error.to_string()))?;
    let of_pc = !matches!(form.bytes("resultCode"), Ok(None));
    match (mobile_reply::is_mobile(&form), of_pc) {
        (true, true) => Err(forged("the return has fields of both windows".to_owned())),
        (true, false) => match mobile_reply::read(&form, &order.order_ref, order.amount.minor) {
            Ok(mobile_reply::Reply::Authenticated(ticket)) => Ok(Reply::Mobile(ticket)),
            Ok(mobile_reply::Reply::Declined(no)) => Ok(Reply::Declined(no)),
            Err(error) => Err(forged(error.to_string())),
        },
        (false, _) => {
            let body = &callback.body;
            match pc_reply::read(&callback.verb, &callback.content_type, body, mid, &order.order_ref) {
                Ok(pc_reply::Reply::Authenticated(ticket)) => Ok(Reply::Pc(ticket)),
                Ok(pc_reply::Reply::Declined(no)) => Ok(Reply::Declined(no)),
                Err(error) => Err(forged(error.to_string())),
            }
        }
    }
}

/// Reads the return post without approving.
pub fn authenticate(
    context: &Context,
    order: &Order,
    callback: &Callback,
) -> Result<Authentication, PluginError> {
    Ok(match read_reply(context, order, callback)? {
        Reply::Pc(_) | Reply::Mobile(_) => Authentication::Authenticated(order.method.clone()),
        Reply::Declined(no) => Authentication::Declined(words::unauthenticated(no)),
    })
}

/// Reads the return post and takes the money.
pub fn complete(context: &Context, order: &Order, callback: &Callback) -> Result<Outcome, PluginError> {
    match read_reply(context, order, callback)? {
        Reply::Declined(no) => Ok(Outcome::Declined(words::unauthenticated(no))),
        Reply::Pc(ticket) => pc::approve(context, order, &ticket),
        Reply::Mobile(ticket) => mobile::approve(context, order, &ticket),
    }
}

fn field(field: WireField) -> Field {
    Field { name: field.name.into_owned(), value: field.value }
}

/// The row of the order's method; absent when the buyer chooses in the window.
fn requested(order: &Order) -> Result<Option<&'static Request>, PluginError> {
    let Some(method) = &order.method else { return Ok(None) };
    methods::requested(&method.kind, method.provider.as_deref())
        .map(Some)
        .ok_or_else(|| PluginError::Unsupported(format!("method: INICIS does not know {}", name(order))))
}

/// The order's method in words.
fn name(order: &Order) -> String {
    let Some(method) = &order.method else { return "of the buyer's choice".to_owned() };
    method.provider.as_ref().map_or_else(|| method.kind.clone(), |p| format!("{} ({p})", method.kind))
}

/// An option that would be dropped in silence is an error: the shop believes that it works. The channel's deadline of
/// deposits stands where the payment has none, and only in a window that can open an account.
fn wishes(context: &Context, order: &Order) -> Result<Wishes, PluginError> {
    let options = order.options.iter().map(|option| (option.name.as_str(), option.value.as_str()));
    let mut wishes = Wishes::read(options).map_err(option_error)?;
    let kind = order.method.as_ref().map(|method| method.kind.as_str());
    wishes.fit(kind, order.amount.minor).map_err(option_error)?;
    if wishes.deadline.is_none() && kind.is_none_or(|kind| kind == "virtual_account") {
        wishes.deadline = channel::deposit_deadline(context)?;
    }
    Ok(wishes)
}

fn option_error(error: OptionError) -> PluginError {
    match error {
        OptionError::Unknown(_) | OptionError::Unsupported(_) => PluginError::Unsupported(error.to_string()),
        OptionError::Value(..) => PluginError::InvalidRequest(error.to_string()),
    }
}

/// A sale as either device answered it. Amount and order go to the host as they came: it compares them.
struct Sale {
    tid: String,
    order_ref: String,
    amount: Money,
    approved_at_ms: Option<i64>,
    method: methods::Method,
    details: Details,
    /// Read only of a virtual account.
    account: Option<Read>,
}

/// The outcome of an approval: a virtual account is issued, anything else is paid.
fn outcome(context: &Context, sale: Sale) -> Result<Outcome, PluginError> {
    if sale.method.kind == "virtual_account" {
        let account = sale.account.ok_or_else(|| {
            PluginError::Unknown(
                "INICIS issued a virtual account, but its answer has no account number".into(),
            )
        })?;
        return Ok(Outcome::AwaitingDeposit(Account {
            gateway_ref: sale.tid,
            order_ref: sale.order_ref,
            amount: sale.amount,
            bank: words::institution(account.bank),
            number: account.number,
            holder: account.holder,
            deadline_ms: account.deadline_ms,
            details: sale.details,
        }));
    }
    let approved_at_ms = sale.approved_at_ms.unwrap_or_else(|| {
        log::write(Level::Warn, "the approval has no readable time, the time of the call was taken", &[]);
        context.now_ms
    });
    Ok(Outcome::Approved(Approval {
        gateway_ref: sale.tid,
        order_ref: sale.order_ref,
        amount: sale.amount,
        approved_at_ms,
        method: words::method(sale.method),
        details: sale.details,
    }))
}
