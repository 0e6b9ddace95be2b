//! Every exported function of the contract is in [`functions`], so that one can be found by name and called with JSON.

use std::pin::Pin;
use std::sync::Arc;

use serde_json::Value;

use super::types::Context;
use super::{Answer, Arguments, ArgumentsError, Function, Network};
use super::{button_generator, general_pay, money, plugin, subscription, vbank_notice};
use crate::{CallSetup, Called, Engine, Plugin};

/// A call that takes and gives JSON.
pub type JsonCall<'a> = Pin<Box<dyn Future<Output = Result<Called<Value>, ArgumentsError>> + Send + 'a>>;

/// A [`Function`] without its types, for callers that speak JSON: `plugin call` and the replay.
pub trait AnyFunction: Send + Sync + 'static {
    /// Full name of its interface.
    fn interface(&self) -> &'static str;
    /// Its name as in WIT.
    fn name(&self) -> &'static str;
    /// Names of its parameters without `context`.
    fn parameters(&self) -> &'static [&'static str];
    /// What it may do over the network.
    fn network(&self) -> Network;
    /// Calls it. `args` is an object by parameter name without `context`; of `context` the engine fills in the moment,
    /// the seed and the names of secrets.
    fn call_json<'a>(
        &'static self,
        engine: &'a Engine,
        plugin: &'a Arc<Plugin>,
        context: Context,
        args: Value,
        setup: CallSetup,
    ) -> JsonCall<'a>;
    /// Whether an instance exports it with its types; the error says what is there.
    #[doc(hidden)]
    fn check(&self, probe: &mut crate::engine::Probe<'_>) -> Result<(), String>;
}

impl<P: Arguments, R: Answer> AnyFunction for Function<P, R> {
    fn interface(&self) -> &'static str {
        self.interface
    }
    fn name(&self) -> &'static str {
        self.name
    }
    fn parameters(&self) -> &'static [&'static str] {
        self.parameters
    }
    fn network(&self) -> Network {
        self.network
    }
    fn call_json<'a>(
        &'static self,
        engine: &'a Engine,
        plugin: &'a Arc<Plugin>,
        context: Context,
        args: Value,
        setup: CallSetup,
    ) -> JsonCall<'a> {
        Box::pin(async move {
            let params = P::from_json(context, self.parameters, args)?;
            Ok(engine.call(plugin, self, params, setup).await.map(|answer| answer.to_json()))
        })
    }
    fn check(&self, probe: &mut crate::engine::Probe<'_>) -> Result<(), String> {
        probe.typed::<P, R>(self.interface, self.name)
    }
}

static FUNCTIONS: &[&dyn AnyFunction] = &[
    &plugin::DESCRIBE,
    &plugin::CHECK,
    &money::INQUIRE,
    &money::CANCEL,
    &money::UNDO,
    &general_pay::BEGIN,
    &general_pay::AUTHENTICATE,
    &general_pay::COMPLETE,
    &subscription::BEGIN_REGISTRATION,
    &subscription::COMPLETE_REGISTRATION,
    &subscription::REGISTER_CARD,
    &subscription::CHARGE,
    &subscription::REVOKE,
    &subscription::ENCODE_BATCH,
    &subscription::DECODE_BATCH,
    &vbank_notice::RECEIVE,
    &vbank_notice::ISSUE,
    &vbank_notice::CLOSE,
    &button_generator::PREPARE,
    &button_generator::RENDER,
];

/// Every exported function, interface by interface.
pub fn functions() -> &'static [&'static dyn AnyFunction] {
    FUNCTIONS
}

/// The function of this interface and name. The interface may be short (`general-pay`) or full
/// (`payhost:plugin/general-pay@0.1.0`).
pub fn find(interface: &str, name: &str) -> Option<&'static dyn AnyFunction> {
    FUNCTIONS
        .iter()
        .copied()
        .find(|f| f.name() == name && (f.interface() == interface || short_name(f.interface()) == interface))
}

/// `general-pay` of `payhost:plugin/general-pay@0.1.0`.
pub(crate) fn short_name(interface: &str) -> &str {
    interface.split_once('/').map_or(interface, |(_, rest)| rest).split('@').next().unwrap_or(interface)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_found_by_short_and_by_full_name() {
        assert_eq!(find("general-pay", "begin").map(|f| f.parameters()), Some(&["order", "buyer"][..]));
        assert!(find(general_pay::INTERFACE, "begin").is_some());
        assert!(find("general-pay", "refund").is_none());
    }
}
