//! A window opened on trial, before a payment is written. Invariant: nothing is sent, nothing is kept; an order that the plugin
//! cannot open a window for is refused here, with the member at fault, and not in front of the buyer.
//!
//! The trial is the plugin's own `begin` with the network refused, once for each device that the buyer may come with. A plugin
//! whose window begins with a request to its gateway cannot be tried this way: whatever it then answers is no obstacle.

use payhost_core::id::CheckoutId;
use payhost_engine::contract::general_pay::{BEGIN, BuyerEnv};
use payhost_engine::contract::types::{Order, PluginError};
use payhost_store::rows::payments::Payment;
use url::Url;

use super::model::BuyerIo;
use super::order::{self, base_url};
use crate::channels::ready::{Moment, Ready, Rows};
use crate::checkout::step::{self, StepError};
use crate::host::Host;
use crate::http::problem::Problem;

/// Devices that a buyer comes with.
const DEVICES: [&str; 2] = ["pc", "mobile"];

/// Opens windows for a payment that is not written yet; the error says why it should not be.
pub async fn open(host: &Host, row: &Payment, rows: Rows, buyer: BuyerIo) -> Result<(), Problem> {
    let shop = rows.shop().clone();
    let ready = match Ready::of(host, rows, None, None).await {
        Ok(ready) => ready,
        // The order may have a payment already, which needs no plugin; a new one says at its window what is wrong.
        Err(problem) => {
            tracing::warn!(channel = %row.channel_id, ?problem, "the plugin could not be tried");
            return Ok(());
        }
    };
    let order = order::make(host, &ready.key, &shop, row, buyer, host.new_id(CheckoutId::new))?;
    let chosen = order::device(&order::options(&ready.key, row)?);
    let base = base_url(host, &shop);
    let page_origin = Url::parse(&base).map_or(base, |url| url.origin().ascii_serialization());
    let mut tried = Vec::new();
    for device in DEVICES.into_iter().filter(|device| chosen.as_deref().is_none_or(|one| one == *device)) {
        let env = BuyerEnv {
            user_agent: String::new(),
            device: device.to_owned(),
            page_origin: page_origin.clone(),
            address: None,
        };
        tried.push((device, refusal(host, &ready, order.clone(), env).await));
    }
    verdict(tried)
}

/// What the trials come to. A shop may have the keys of one device only: that is no obstacle while the other opens.
fn verdict(tried: Vec<(&'static str, Option<PluginError>)>) -> Result<(), Problem> {
    let opens = tried.iter().find(|(_, error)| error.is_none()).map(|(device, _)| *device);
    let unset = |error: &PluginError| matches!(error, PluginError::Misconfigured(_));
    let errors: Vec<_> = tried.into_iter().filter_map(|(device, error)| Some((device, error?))).collect();
    // What is wrong with the order is told before what is wrong with the channel.
    let first = errors.iter().find(|(_, error)| !unset(error)).or_else(|| errors.first());
    let Some((device, error)) = first else { return Ok(()) };
    match opens {
        Some(_) if unset(error) => Ok(()),
        Some(other) => Err(told(error, Some((device, other)))),
        None => Err(told(error, None)),
    }
}

/// What the plugin has against the order, as far as it can say without its gateway.
async fn refusal(host: &Host, ready: &Ready, order: Order, env: BuyerEnv) -> Option<PluginError> {
    let moment = Moment { offline: true, ..Moment::now(host) };
    let called = ready.call(host, &BEGIN, moment, |context| (context, order, env)).await;
    match called.result {
        Ok(Err(
            error @ (PluginError::InvalidRequest(_)
            | PluginError::Unsupported(_)
            | PluginError::Misconfigured(_)),
        )) => Some(error),
        Ok(Ok(begun)) => match step::check(&begun.step, &ready.rights()) {
            Err(error @ StepError::NotGranted { .. }) => Some(PluginError::Misconfigured(error.to_string())),
            Err(StepError::Wrong(_)) | Ok(()) => None,
        },
        Ok(Err(PluginError::Forged(_) | PluginError::Gateway(_) | PluginError::Unknown(_))) => None,
        Err(fault) => {
            tracing::warn!(channel = %ready.channel.id, %fault, "the plugin failed on trial");
            None
        }
    }
}

/// The problem, for the shop's developer. `devices` are the one that refuses and the one that opens, where it is a question of
/// the device; what no device takes is told as it is.
fn told(error: &PluginError, devices: Option<(&str, &str)>) -> Problem {
    let (PluginError::InvalidRequest(words)
    | PluginError::Unsupported(words)
    | PluginError::Misconfigured(words)
    | PluginError::Forged(words)
    | PluginError::Unknown(words)) = error
    else {
        return Problem::new("plugin_refused", "the plugin cannot open a window for this order");
    };
    let (field, words) = place(words);
    let words = match devices {
        None => words.to_owned(),
        Some((device, other)) => {
            let named = |device: &str| if device == "pc" { "a PC" } else { "a phone" };
            format!(
                "on {}: {words}; device {other:?} opens the window of {} only",
                named(device),
                named(other)
            )
        }
    };
    match (error, field) {
        (PluginError::Misconfigured(_), _) => Problem::new("plugin_misconfigured", words),
        (_, Some(field)) => Problem::field(field, words),
        (_, None) => Problem::new("plugin_refused", words),
    }
}

/// The API's member of a message that begins with a member of the contract's order (`options.card_quota: …`), and the rest.
fn place(words: &str) -> (Option<String>, &str) {
    const MEMBERS: [(&str, &str); 8] = [
        ("amount.currency", "amount.currency"),
        ("amount", "amount.total"),
        ("tax", "amount.tax"),
        ("name", "order_name"),
        ("buyer", "buyer"),
        ("method", "method"),
        ("options", "options"),
        ("language", "language"),
    ];
    let Some((path, rest)) = words.split_once(": ") else { return (None, words) };
    let found = MEMBERS.iter().find_map(|(theirs, ours)| {
        let below = path.strip_prefix(theirs)?;
        (below.is_empty() || below.starts_with('.')).then(|| format!("{ours}{below}"))
    });
    let plain = path.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
    match found {
        Some(field) if plain => (Some(field), rest),
        Some(_) | None => (None, words),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_device_is_named_only_where_it_takes_the_order() {
        let wrong =
            || Some(PluginError::InvalidRequest("options.colour: there is no such option".to_owned()));
        let unset = || Some(PluginError::Misconfigured("no key".to_owned()));
        let words = |pc, mobile| verdict(vec![("pc", pc), ("mobile", mobile)]).unwrap_err();
        let nowhere = words(wrong(), wrong());
        assert_eq!(
            (nowhere.field.as_deref(), nowhere.detail.as_str()),
            (Some("options.colour"), "there is no such option")
        );
        assert!(words(wrong(), None).detail.contains("on a PC:"));
        assert!(words(wrong(), None).detail.contains("device \"mobile\" opens"));
        assert!(words(None, wrong()).detail.contains("device \"pc\" opens"));
        // The other one cannot open either, for another reason.
        assert_eq!(words(wrong(), unset()).detail, "there is no such option");
        assert_eq!(words(unset(), wrong()).detail, "there is no such option");
        assert_eq!(words(unset(), unset()).code, "plugin_misconfigured");
        verdict(vec![("pc", unset()), ("mobile", None)]).unwrap();
        verdict(vec![("pc", None), ("mobile", None)]).unwrap();
        // The shop named its device.
        assert_eq!(verdict(vec![("pc", wrong())]).unwrap_err().detail, "there is no such option");
    }

    #[test]
    fn a_message_names_the_member_of_the_api() {
        for (words, field, rest) in [
            ("options.card_quota: must be a list", Some("options.card_quota"), "must be a list"),
            ("tax.vat: too much", Some("amount.tax.vat"), "too much"),
            ("amount: too much", Some("amount.total"), "too much"),
            ("amount.currency: won only", Some("amount.currency"), "won only"),
            ("method: unknown", Some("method"), "unknown"),
            ("no such thing: really", None, "no such thing: really"),
            ("methods: x", None, "methods: x"),
            ("plain words", None, "plain words"),
        ] {
            assert_eq!(place(words), (field.map(str::to_owned), rest), "{words}");
        }
    }
}
