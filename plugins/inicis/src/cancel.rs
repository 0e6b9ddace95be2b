//! `money.cancel`: gives money back through INIAPI (`inicis.md §5`).
//!
//! Invariant: one write. What INICIS is known to refuse is not sent; what it refuses comes back with its code and a remedy, and a
//! refusal that leaves open whether money moved is `unknown`. There is no rule of ours about how old a sale may be.

use inicis_wire::codes::Operation;
use inicis_wire::iniapi::answer::{self, RefundAnswer, Refunded};
use inicis_wire::iniapi::v1;
use inicis_wire::iniapi::v2::{Account, PartOfSale, Refund};
use inicis_wire::order::CURRENCIES;
use inicis_wire::{banks, methods};

use crate::bindings::exports::payhost::plugin::money::{CancelRequest, Cancellation, Charge, RefundAccount};
use crate::bindings::payhost::plugin::http::Effect;
use crate::bindings::payhost::plugin::types::{Context, Money, PluginError};
use crate::{channel, host, money, words};

/// Gives money back: a deposit to the buyer's account, anything else the way it came.
pub fn cancel(
    context: &Context,
    charge: &Charge,
    request: &CancelRequest,
) -> Result<Cancellation, PluginError> {
    let part = part_of(charge, request)?;
    let refund = Refund {
        mid: channel::mid(context)?,
        tid: &charge.gateway_ref,
        reason: &request.reason,
        client_ip: channel::client_ip(context)?,
        now_ms: context.now_ms,
    };
    let deposit = charge.method.kind == "virtual_account";
    let (status, body) = match (deposit, &request.account) {
        (false, Some(_)) => {
            return Err(PluginError::InvalidRequest("only a deposit is given back to an account".into()));
        }
        (true, Some(account)) => to_account(context, &refund, part, account)?,
        // Without an account only an issue that nobody paid into can be closed; v2 has no words for it (`inicis.md §5.1`).
        (true, None) if part.is_none() => by_v1(&refund, v1::UNPAID_ACCOUNT, None, None)?,
        (true, None) => {
            return Err(PluginError::InvalidRequest(
                "a part of a deposit is given back to the buyer's account: account is missing".into(),
            ));
        }
        (false, None) => send(context, &refund, &charge.method.kind, part, None)?,
    };
    match answer::read(status, &body).map_err(words::unclear)? {
        RefundAnswer::No(no) => Err(PluginError::Gateway(words::refusal(no, Operation::Cancel))),
        RefundAnswer::Done(refunded) => Ok(cancellation(context, request, refunded)),
    }
}

/// The number is a one-time secret: the host encrypts it, and this component never sees it (`inicis.md §5.4`).
fn to_account(
    context: &Context,
    refund: &Refund<'_>,
    part: Option<PartOfSale>,
    account: &RefundAccount,
) -> Result<host::Answer, PluginError> {
    let bank = banks::of_kftc(&account.bank).ok_or_else(|| {
        PluginError::InvalidRequest(format!("bank {}: no code of INICIS is known for it", account.bank))
    })?;
    if account.holder.trim().is_empty() {
        return Err(PluginError::InvalidRequest("the account's holder is missing".into()));
    }
    let number = host::encrypted(&account.number)?;
    let account = Account { number: &number, bank, holder: &account.holder };
    send(context, refund, "virtual_account", part, Some(&account))
}

fn send(
    context: &Context,
    refund: &Refund<'_>,
    kind: &str,
    part: Option<PartOfSale>,
    account: Option<&Account<'_>>,
) -> Result<host::Answer, PluginError> {
    if !channel::iniapi_v1(context) {
        return money::call(&refund.request(part, account).map_err(words::unfit)?, Effect::Write);
    }
    let paymethod = methods::iniapi(kind).ok_or_else(|| {
        let kind = if kind.is_empty() { "a sale whose method nobody knows" } else { kind };
        PluginError::Unsupported(format!(
            "how INIAPI v1 cancels {kind} is not documented; use v2 (iniapi_version)"
        ))
    })?;
    by_v1(refund, paymethod, part, account)
}

fn by_v1(
    refund: &Refund<'_>,
    paymethod: &str,
    part: Option<PartOfSale>,
    account: Option<&Account<'_>>,
) -> Result<host::Answer, PluginError> {
    let wire = v1::Request::new(refund, paymethod, part, account).map_err(words::unfit)?;
    let hash = host::digest(wire.hash())?;
    host::post(v1::REFUND_URL, v1::CONTENT_TYPE, wire.body(&hash), Effect::Write)
}

/// Absent: all of it. A first partial cancel of everything is refused by INICIS, and the last part stays a partial cancel
/// that leaves 0 (`inicis.md §5.1`). Of a deposit of less than the price, everything is what was paid in.
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
    if price == charge.amount.minor || (price == remaining && request.sequence == 0) {
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
