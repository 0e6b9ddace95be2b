//! A plugin that behaves as its setting `behaviour` says: well, badly, or as an attacker. For the tests of the engine only.
//!
//! What it did comes back as text: `begin` as the address of a redirect, `inquire` as `cannot-ask`, everything else as the
//! error `unsupported`. On other targets than WebAssembly this crate is empty.
#![cfg(target_family = "wasm")]
#![allow(
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "misbehaving is what this plugin is for"
)]

mod attacks;
mod descriptor;
mod requests;

/// Generated from `wit/`.
mod bindings {
    #![allow(missing_docs, unsafe_code, clippy::all, clippy::pedantic, reason = "generated")]
    wit_bindgen::generate!({ world: "everything", path: "../../wit" });
    use super::Guest;
    export!(Guest);
}

use bindings::exports::payhost::plugin::{
    button_generator as button, general_pay as pay, money, plugin, subscription, vbank_notice as notice,
};
use bindings::payhost::plugin::types::{
    Account, Approval, Callback, Context, Details, Method, Order, Outcome, PluginError,
};

struct Guest;

/// The value of a setting; empty when it is not set.
fn setting<'a>(context: &'a Context, key: &str) -> &'a str {
    context.settings.iter().find(|setting| setting.key == key).map_or("", |setting| setting.value.as_str())
}

/// Does what `behaviour` says and tells what came of it.
fn act(context: &Context) -> String {
    let behaviour = setting(context, "behaviour");
    attacks::run(behaviour, context)
        .or_else(|| requests::run(behaviour, context))
        .unwrap_or_else(|| format!("no behaviour `{behaviour}`"))
}

fn refuse<T>(context: &Context) -> Result<T, PluginError> {
    Err(PluginError::Unsupported(act(context)))
}

impl plugin::Guest for Guest {
    fn describe() -> plugin::Descriptor {
        descriptor::describe()
    }
    fn check(context: Context) -> Vec<plugin::Finding> {
        let text = act(&context);
        let text = bindings::payhost::plugin::types::Text { ko: text.clone(), en: text };
        vec![plugin::Finding { severity: plugin::Severity::Ok, setting: None, text, remedy: None }]
    }
}

impl money::Guest for Guest {
    fn inquire(context: Context, _: money::Query) -> Result<money::Inquiry, PluginError> {
        Ok(money::Inquiry::CannotAsk(act(&context)))
    }
    fn cancel(
        context: Context,
        _: money::Charge,
        _: money::CancelRequest,
    ) -> Result<money::Cancellation, PluginError> {
        refuse(&context)
    }
    fn undo(
        context: Context,
        _: Order,
        _: Callback,
        _: money::Attempt,
    ) -> Result<money::Undone, PluginError> {
        refuse(&context)
    }
}

impl pay::Guest for Guest {
    fn begin(context: Context, _: Order, _: pay::BuyerEnv) -> Result<pay::Begun, PluginError> {
        let warnings = attacks::warnings(&context);
        Ok(pay::Begun { step: pay::CheckoutStep::Redirect(act(&context)), warnings })
    }
    fn authenticate(context: Context, _: Order, _: Callback) -> Result<pay::Authentication, PluginError> {
        refuse(&context)
    }
    fn complete(context: Context, order: Order, _: Callback) -> Result<Outcome, PluginError> {
        if setting(&context, "behaviour") != "approve" {
            return refuse(&context);
        }
        Ok(Outcome::Approved(Approval {
            gateway_ref: requests::fetch(&context),
            order_ref: order.order_ref,
            amount: order.amount,
            approved_at_ms: context.now_ms,
            method: Method { kind: "card".into(), provider: None },
            details: details(),
        }))
    }
}

fn details() -> Details {
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
        receipt_url: None,
        cash_receipt: None,
        partial_cancel: None,
        more: vec![],
    }
}

impl subscription::Guest for Guest {
    fn begin_registration(context: Context, _: Order, _: pay::BuyerEnv) -> Result<pay::Begun, PluginError> {
        refuse(&context)
    }
    fn complete_registration(
        context: Context,
        _: Order,
        callback: Callback,
    ) -> Result<subscription::Registration, PluginError> {
        requests::fetch(&context);
        Ok(subscription::Registration::Registered(subscription::BillingKey {
            key: String::from_utf8(callback.body).unwrap(),
            gateway_ref: None,
            issuer: None,
            masked_number: None,
            method: Method { kind: "card".into(), provider: None },
            approval: None,
        }))
    }
    fn register_card(
        context: Context,
        _: Order,
        _: subscription::Card,
    ) -> Result<subscription::Registration, PluginError> {
        refuse(&context)
    }
    fn charge(context: Context, _: Order, _: subscription::ChargeSource) -> Result<Outcome, PluginError> {
        refuse(&context)
    }
    fn revoke(context: Context, _: String) -> Result<(), PluginError> {
        refuse(&context)
    }
    fn encode_batch(
        _: Context,
        _: Vec<subscription::BatchItem>,
        carry: Vec<u8>,
        _: bool,
    ) -> Result<subscription::BatchChunk, PluginError> {
        Ok(subscription::BatchChunk { pieces: Vec::new(), carry })
    }
    fn decode_batch(
        _: Context,
        bytes: Vec<u8>,
        _: Vec<u8>,
        _: bool,
    ) -> Result<subscription::BatchResults, PluginError> {
        Ok(subscription::BatchResults { results: vec![], carry: bytes })
    }
}

impl notice::Guest for Guest {
    fn receive(context: Context, _: notice::Notice) -> Result<notice::Received, PluginError> {
        refuse(&context)
    }
    fn issue(context: Context, _: Order, _: String, _: String, _: i64) -> Result<Account, PluginError> {
        refuse(&context)
    }
    fn close(context: Context, _: Account) -> Result<(), PluginError> {
        refuse(&context)
    }
}

impl button::Guest for Guest {
    fn prepare(_: Context, button: button::Button) -> Result<button::CheckedButton, PluginError> {
        Ok(button::CheckedButton { button, fields: vec![], badges: vec![], warnings: vec![] })
    }
    fn render(_: Context, button: button::CheckedButton) -> Result<Vec<button::Node>, PluginError> {
        Ok(vec![button::Node::Text(button.button.name)])
    }
}
