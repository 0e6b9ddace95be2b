//! `general-pay`: the window, the return, the approval (`inicis.md §1`).
//!
//! Invariant: `begin` and `authenticate` send nothing; `complete` sends one request, to an address of our own table, after
//! everything in the callback was compared; it never undoes.

use inicis_wire::codes::Operation;
use inicis_wire::form::Field as WireField;
use inicis_wire::methods;
use inicis_wire::pc::approval::{self, Answer, Approved, Ask};
use inicis_wire::pc::details;
use inicis_wire::pc::options::{self, OptionError, Options};
use inicis_wire::pc::reply::{self, Reply, ReplyError};
use inicis_wire::pc::request::{self, Wanted};

use crate::bindings::exports::payhost::plugin::general_pay::{
    Authentication, Begun, BuyerEnv, CheckoutStep, Field, Script, ScriptStep,
};
use crate::bindings::payhost::plugin::http::Effect;
use crate::bindings::payhost::plugin::log::{self, Level};
use crate::bindings::payhost::plugin::types::{
    Approval, Callback, Context, Money, Order, Outcome, PluginError,
};
use crate::{channel, host, words};

/// Opens INICIS's window on a PC.
pub fn begin(context: &Context, order: &Order, buyer: &BuyerEnv) -> Result<Begun, PluginError> {
    if buyer.device != "pc" {
        return Err(PluginError::Unsupported(
            "this version of the plugin opens INICIS's window on a PC only; INICIS refuses the PC window on phones".into(),
        ));
    }
    let mid = channel::mid(context)?;
    let script_host = channel::script_host(context)?;
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
        methods: window_methods(order)?,
        language: &order.language,
        return_url: &order.return_url,
        close_url: &order.close_url,
        page_origin: &buyer.page_origin,
        tax_free: order.tax.and_then(|tax| tax.free),
        vat: order.tax.and_then(|tax| tax.vat),
        options: options(order)?,
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

fn field(field: WireField) -> Field {
    Field { name: field.name.into_owned(), value: field.value }
}

/// `gopaymethod`. Without a method the window offers what this version can complete.
fn window_methods(order: &Order) -> Result<&'static str, PluginError> {
    let Some(method) = &order.method else {
        return Ok("Card");
    };
    methods::pc_request(&method.kind, method.provider.as_deref()).ok_or_else(|| {
        PluginError::Unsupported(format!(
            "this version of the plugin does not open the method {}",
            method.kind
        ))
    })
}

/// An option that would be dropped in silence is an error: the shop believes that it works.
fn options(order: &Order) -> Result<Options, PluginError> {
    options::read(order.options.iter().map(|option| (option.name.as_str(), option.value.as_str()))).map_err(
        |error| match error {
            OptionError::Unknown(_) | OptionError::Unsupported(_) => {
                PluginError::Unsupported(error.to_string())
            }
            OptionError::Value(..) => PluginError::InvalidRequest(error.to_string()),
        },
    )
}

/// Reads the return post.
pub fn read_reply(context: &Context, order: &Order, callback: &Callback) -> Result<Reply, PluginError> {
    let mid = channel::mid(context)?;
    reply::read(&callback.verb, &callback.content_type, &callback.body, mid, &order.order_ref)
        .map_err(|error: ReplyError| PluginError::Forged(error.to_string()))
}

/// Reads the return post without approving.
pub fn authenticate(
    context: &Context,
    order: &Order,
    callback: &Callback,
) -> Result<Authentication, PluginError> {
    Ok(match read_reply(context, order, callback)? {
        Reply::Authenticated(_) => Authentication::Authenticated(order.method.clone()),
        Reply::Declined(no) => Authentication::Declined(words::refusal(no, Operation::Authenticate)),
    })
}

/// Reads the return post and takes the money.
pub fn complete(context: &Context, order: &Order, callback: &Callback) -> Result<Outcome, PluginError> {
    let ticket = match read_reply(context, order, callback)? {
        Reply::Authenticated(ticket) => ticket,
        Reply::Declined(no) => {
            return Ok(Outcome::Declined(words::refusal(no, Operation::Authenticate)));
        }
    };
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
            outcome(context, order, *approved)
        }
    }
}

/// The body of an approval and of its net cancel: the same text for the same ask.
pub fn approval_body(ask: &Ask<'_>) -> Result<String, PluginError> {
    Ok(ask.body(host::digest(ask.signature())?, host::digest(ask.verification())?))
}

/// Amount and order go to the host as INICIS answered them: it compares them.
fn outcome(context: &Context, order: &Order, approved: Approved) -> Result<Outcome, PluginError> {
    if approved.method.kind == "virtual_account" {
        return Err(PluginError::Unknown(
            "INICIS issued a virtual account, which this version of the plugin did not ask for".into(),
        ));
    }
    let approved_at_ms = approved.approved_at_ms.unwrap_or_else(|| {
        log::write(Level::Warn, "the approval has no readable time, the time of the call was taken", &[]);
        context.now_ms
    });
    let currency = approved.currency.map_or_else(|| order.amount.currency.clone(), str::to_owned);
    let details = words::details(details::of_pc(&approved.fields), &approved.tid);
    Ok(Outcome::Approved(Approval {
        gateway_ref: approved.tid,
        order_ref: approved.moid,
        amount: Money { minor: approved.total, currency },
        approved_at_ms,
        method: words::method(approved.method),
        details,
    }))
}
