//! The KG INICIS plugin: the component over [`inicis_wire`].
//!
//! Invariant: nothing is decided here about the wire. A call reads the channel's settings, takes a request or a reading from
//! `inicis-wire`, uses the host's `crypto` and `http`, and puts the result into the contract's words. One file is one
//! interface: [`describe`] and [`check`] are `plugin`, [`pay`] is `general-pay`, [`money`] and [`cancel`] are `money`, [`vbank`] is
//! `vbank-notice`.

mod cancel;
mod channel;
mod check;
mod describe;
mod host;
mod money;
mod pay;
mod vbank;
mod words;

#[allow(missing_docs, reason = "generated from wit/, where everything is documented")]
#[allow(unsafe_code, reason = "generated: the canonical ABI of a component; nobody writes any by hand here")]
#[allow(clippy::all, clippy::pedantic, reason = "generated")]
mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "package payhost:inicis;
            world inicis {
                include payhost:plugin/general-pay-plugin@0.1.0;
                include payhost:plugin/vbank-notice-plugin@0.1.0;
            }",
        generate_all,
    });

    export!(Component);

    use super::Component;
}

use bindings::exports::payhost::plugin::general_pay::{Authentication, Begun, BuyerEnv, Guest as GeneralPay};
use bindings::exports::payhost::plugin::money::{
    Attempt, CancelRequest, Cancellation, Charge, Guest as Money, Inquiry, Query, Undone,
};
use bindings::exports::payhost::plugin::plugin::{Descriptor, Finding, Guest as Plugin};
use bindings::exports::payhost::plugin::vbank_notice::{Guest as VbankNotice, Notice, Received};
use bindings::payhost::plugin::types::{Account, Callback, Context, Order, Outcome, PluginError};

struct Component;

impl Plugin for Component {
    fn describe() -> Descriptor {
        describe::descriptor()
    }

    fn check(context: Context) -> Vec<Finding> {
        check::findings(&context)
    }
}

impl GeneralPay for Component {
    fn begin(context: Context, order: Order, buyer: BuyerEnv) -> Result<Begun, PluginError> {
        pay::begin(&context, &order, &buyer)
    }

    fn authenticate(
        context: Context,
        order: Order,
        callback: Callback,
    ) -> Result<Authentication, PluginError> {
        pay::authenticate(&context, &order, &callback)
    }

    fn complete(context: Context, order: Order, callback: Callback) -> Result<Outcome, PluginError> {
        pay::complete(&context, &order, &callback)
    }
}

impl Money for Component {
    fn inquire(context: Context, query: Query) -> Result<Inquiry, PluginError> {
        money::inquire(&context, &query)
    }

    fn cancel(context: Context, charge: Charge, request: CancelRequest) -> Result<Cancellation, PluginError> {
        cancel::cancel(&context, &charge, &request)
    }

    fn undo(
        context: Context,
        order: Order,
        callback: Callback,
        attempt: Attempt,
    ) -> Result<Undone, PluginError> {
        money::undo(&context, &order, &callback, &attempt)
    }
}

impl VbankNotice for Component {
    fn receive(context: Context, notice: Notice) -> Result<Received, PluginError> {
        vbank::receive(&context, &notice)
    }

    fn issue(
        context: Context,
        order: Order,
        bank: String,
        holder: String,
        deadline_ms: i64,
    ) -> Result<Account, PluginError> {
        vbank::issue(&context, &order, &bank, &holder, deadline_ms)
    }

    fn close(context: Context, account: Account) -> Result<(), PluginError> {
        vbank::close(&context, &account)
    }
}
