//! The return and its result. Invariant: a return proves by the secret in its address that it comes out of our window, else it
//! changes nothing and shows nothing; the page shows what is stored, so a reload, a second tab and the back button show the
//! same; the shop's page hears of it only at its registered origins.

use axum::extract::{Query, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use bytes::Bytes;
use payhost_core::id::{CheckoutId, PaymentId, ShopId};
use payhost_core::kill::{self, Point};
use payhost_core::{PaymentState, Resolution};
use payhost_engine::contract::types::Callback;
use payhost_store::Error;
use payhost_store::rows::checkouts::{self, Checkout, CheckoutState};
use payhost_store::rows::payments as payment_rows;
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use super::authenticate::{Arrival, Returned, arrive};
use super::open::{Opened, head, load};
use super::page::{Head, ResultPage, notice, render, script_json};
use super::token::{self, Way};
use super::words::{Words, words};
use super::{checkout_path, return_path};
use crate::channels::ready::Rows;
use crate::host::{Host, hex, random};
use crate::http::json::PathOfShop;
use crate::http::problem::Problem;
use crate::payments::model::{PaymentOut, Support};
use crate::payments::read::next_try_us;
use crate::payments::settle::shown_of;
use crate::time::{in_seoul, rfc3339};

/// What the address carries.
#[derive(Debug, Default, Deserialize)]
pub struct ResultToken {
    /// The token of the result page.
    #[serde(default)]
    pub token: String,
}

/// `POST /return/{shop}/{checkout}?proof=…`: the gateway sent the buyer's browser back.
pub async fn come_back(
    State(host): State<Host>,
    PathOfShop(shop, id): PathOfShop<CheckoutId>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    kill::at(Point::Accepted, "complete");
    let Some(query) = Way::Return.proven(&host, (shop, id), query.as_deref().unwrap_or_default()) else {
        return Ok(bad_link());
    };
    let content_type =
        headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let callback = Callback {
        verb: "POST".to_owned(),
        query,
        content_type: content_type.to_owned(),
        body: body.to_vec(),
    };
    finish(&host, (shop, id), callback).await
}

/// Acts on a return, even when the browser hangs up, and leads to the result.
async fn finish(
    host: &Host,
    (shop, id): (ShopId, CheckoutId),
    callback: Callback,
) -> Result<Response, Problem> {
    // All of it: a browser that hangs up takes with it whatever is awaited outside.
    let host_in = host.clone();
    let arrived = host.finish(async move {
        let vault = host_in.vault().clone();
        let found = host_in.store().read(move |tx| Returned::read(tx, &vault, (shop, id))).await;
        let Some(returned) = found.map_err(Rows::problem)? else { return Ok(None) };
        let payment = returned.payment();
        if returned.is_over(host_in.now_us()) {
            return Ok(Some((payment, Arrival::Over)));
        }
        Ok(Some((payment, arrive(&host_in, returned, callback).await?)))
    });
    match arrived.await? {
        None => Ok(bad_link()),
        Some((payment, Arrival::Over)) => {
            let language = load(host, shop, payment).await?.map(|opened| opened.payment.language);
            Ok(gone(words(language.as_deref().unwrap_or("ko"))))
        }
        Some((payment, Arrival::Refused(reason))) => not_from_gateway(host, (shop, payment), reason).await,
        Some((_, Arrival::Stored)) => {
            let token = token::result(host, (shop, id), 0)?;
            Ok(Redirect::to(&format!("{}?token={token}", return_path(shop, id))).into_response())
        }
    }
}

/// A return that the gateway did not make, or that could not be read. Nothing was changed, and nothing is told beyond that.
async fn not_from_gateway(
    host: &Host,
    (shop, payment): (ShopId, PaymentId),
    reason: &'static str,
) -> Result<Response, Problem> {
    let Some(opened) = load(host, shop, payment).await? else { return Ok(bad_link()) };
    let t = words(&opened.payment.language);
    let message = explanation(t, &json!({"reason": reason})).unwrap_or_else(|| t.bad_return.to_owned());
    let nonce = hex(&random::<16>());
    let head = Head {
        t,
        shop_name: opened.shop.name,
        order_name: t.bad_return_order.to_owned(),
        total: "–".to_owned(),
        test_mode: false,
        return_url: None,
    };
    let page = ResultPage {
        nonce: &nonce,
        head: &head,
        result: "refused",
        tone: "bad",
        mark: "!",
        heading: t.failed.0,
        total_label: t.order_total,
        message: Some(&message),
        lines: &[],
        return_url: None,
        again_url: None,
        outcome_json: &script_json(&json!({"payment": null, "result": "refused", "origins": []})),
    };
    // What had no turn may come again: a reload sends the same return.
    let status =
        if reason == "overloaded" { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::BAD_REQUEST };
    Ok(render(status, &page, &nonce))
}

/// `GET /return/{shop}/{checkout}?token=…`: the result. With the secret of the way back it is a gateway that comes back by GET.
pub async fn show(
    State(host): State<Host>,
    PathOfShop(shop, id): PathOfShop<CheckoutId>,
    RawQuery(raw): RawQuery,
    Query(query): Query<ResultToken>,
) -> Result<Response, Problem> {
    if query.token.is_empty() {
        let query = Way::Return.proven(&host, (shop, id), raw.as_deref().unwrap_or_default());
        let Some(query) = query else { return Ok(bad_link()) };
        let callback =
            Callback { verb: "GET".to_owned(), query, content_type: String::new(), body: Vec::new() };
        return finish(&host, (shop, id), callback).await;
    }
    let Some(until_us) = token::read_result(&host, (shop, id), &query.token) else { return Ok(bad_link()) };
    let found = host.store().read(move |tx| {
        tx.keep_settings()?;
        let payment = payment_rows::ask_of_checkout(tx, shop, id)?;
        let Some(checkout) = checkouts::get(tx, shop, id)? else { return Ok(None) };
        let payment = payment.one(tx, "payment")?;
        let next_us = match payment.resolution {
            Resolution::InDoubt => next_try_us(tx, payment.shop_id, payment.id)?,
            Resolution::None | Resolution::NeedsOperator => None,
        };
        let opened = Opened::of(tx, payment)?;
        Ok::<_, Error>(Some((opened, checkout, next_us)))
    });
    let Some((opened, checkout, next_us)) = found.await? else { return Ok(bad_link()) };
    // The account's number is looked at again until it is paid into.
    let waits = opened.payment.state == PaymentState::AwaitingDeposit;
    if until_us <= host.now_us() && !waits {
        return Ok(gone(words(&opened.payment.language)));
    }
    result_page(&host, &opened, &checkout, next_us)
}

/// The stable word of a checkout's end.
fn result_of(state: CheckoutState) -> &'static str {
    match state {
        CheckoutState::Approved => "paid",
        CheckoutState::AwaitingDeposit => "awaiting_deposit",
        CheckoutState::AwaitingConfirm => "awaiting_confirm",
        CheckoutState::Opened | CheckoutState::CancelledByBuyer => "cancelled_by_buyer",
        CheckoutState::Failed | CheckoutState::Undone => "failed",
        CheckoutState::GivenUp => "cancelled",
        CheckoutState::Returned | CheckoutState::InDoubt => "in_doubt",
    }
}

/// `next_us`: when the gateway is asked next about a payment in doubt.
fn result_page(
    host: &Host,
    opened: &Opened,
    checkout: &Checkout,
    next_us: Option<i64>,
) -> Result<Response, Problem> {
    let (payment, head) = (&opened.payment, head(opened));
    let t = head.t;
    let result = match (result_of(checkout.state), payment.state) {
        // An account's page is looked at again after its deposit: the buyer must not pay in twice, nor into what is over.
        ("awaiting_deposit", PaymentState::Paid | PaymentState::PartiallyCancelled) => "paid",
        ("awaiting_deposit", state) if state.is_over() => "failed",
        // The gateway told of an approval after all: the state follows the money.
        ("cancelled", PaymentState::Paid | PaymentState::PartiallyCancelled) => "paid",
        (result, _) => result,
    };
    let (tone, mark, (heading, sentence)) = match result {
        "paid" => ("good", "✓", t.paid),
        "awaiting_deposit" => ("wait", "…", t.awaiting_deposit),
        "awaiting_confirm" => ("wait", "…", t.awaiting_confirm),
        "in_doubt" => ("wait", "…", t.in_doubt),
        "cancelled_by_buyer" => ("wait", "×", t.cancelled_by_buyer),
        "cancelled" if payment.paid > 0 => ("wait", "×", (t.given_up.0, t.given_back)),
        "cancelled" => ("wait", "×", t.given_up),
        _ => ("bad", "!", t.failed),
    };
    let key = host.vault().unwrap(opened.shop.id, &opened.shop.data_key)?;
    let stored = shown_of(&key, checkout)?;
    let over = stored.get("reason").and_then(Value::as_str) == Some("already_paid");
    // Nothing is wrong for a buyer whose order is paid already.
    let (tone, mark, heading) = if over { ("good", "✓", t.paid.0) } else { (tone, mark, heading) };
    let sentence = if result == "paid" && payment.return_url.is_none() { t.close_this } else { sentence };
    let closed = result == "failed" && checkout.state == CheckoutState::AwaitingDeposit;
    let sentence = if closed { t.not_payable } else { sentence };
    let total_label = match result {
        "paid" => t.total,
        "awaiting_deposit" => t.to_pay_in,
        _ if over => t.total,
        _ => t.order_total,
    };
    let message = match explanation(t, &stored) {
        // The reason alone leaves open whether money was taken.
        Some(reason) if is_refusal(&stored) && result == "failed" => format!("{reason} {}", t.failed.1),
        Some(reason) => reason,
        None => sentence.to_owned(),
    };
    let return_url =
        payment.return_url.as_deref().and_then(|url| with_result(url, payment.id.to_string(), result));
    let again = (result == "failed" || result == "cancelled_by_buyer") && payment.state.is_payable();
    let again = if again { Some(token::client(host, (payment.shop_id, payment.id))?) } else { None };
    let again = again.map(|token| format!("{}?token={token}", checkout_path(payment.shop_id, payment.id)));
    let mut shown = PaymentOut::of(&key, payment, Support::default())?;
    shown.next_try_at = next_us.map(rfc3339);
    let lines = lines(t, result, shown);
    let origins: Vec<String> = opened.shop.allowed_origins.to().unwrap_or_default();
    let outcome =
        json!({"payment": payment.id, "result": result, "origins": origins, "return_url": return_url});
    let nonce = hex(&random::<16>());
    let page = ResultPage {
        nonce: &nonce,
        head: &head,
        result,
        tone,
        mark,
        heading,
        total_label,
        message: Some(&message),
        lines: &lines,
        return_url: return_url.as_deref(),
        again_url: again.as_deref(),
        outcome_json: &script_json(&outcome),
    };
    Ok(render(StatusCode::OK, &page, &nonce))
}

/// What else the buyer wants to know: the approval, or where to pay in.
fn lines(t: &'static Words, result: &str, shown: PaymentOut) -> Vec<(&'static str, String)> {
    let lines = match (result, shown.virtual_account) {
        ("paid", _) => vec![
            (t.approval_number, shown.approval_number),
            (t.issuer, shown.issuer.map(|issuer| issuer.name)),
        ],
        ("awaiting_deposit", Some(account)) => vec![
            (t.bank, Some(account.bank)),
            (t.account, Some(account.number)),
            (t.holder, Some(account.holder)),
            (t.deadline, account.deadline.map(|moment| in_seoul(&moment))),
        ],
        ("in_doubt", _) => vec![(t.next_try, shown.next_try_at.map(|moment| in_seoul(&moment)))],
        _ => Vec::new(),
    };
    lines
        .into_iter()
        .filter_map(|(label, value)| Some((label, value.filter(|value| !value.is_empty())?)))
        .collect()
}

/// Whether the gateway or the card company said no.
fn is_refusal(stored: &Value) -> bool {
    stored.get("refusal").is_some_and(|refusal| !refusal.is_null())
}

/// Why it failed, in words for the buyer.
fn explanation(t: &Words, stored: &Value) -> Option<String> {
    if let Some(text) =
        stored.pointer(&format!("/refusal/explanation/{}", t.language)).and_then(Value::as_str)
    {
        return Some(text.to_owned());
    }
    let words = match stored.get("reason").and_then(Value::as_str)? {
        "already_paid" => t.already_paid,
        "not_payable" => t.not_payable,
        "shop_suspended" => t.shop_suspended,
        "busy" => t.busy,
        "not_confirmed" => t.not_confirmed,
        "gateway_unreachable" | "plugin_failed" | "overloaded" | "misconfigured" => t.unavailable,
        _ => return None,
    };
    Some(words.to_owned())
}

/// The shop's address with payment and result in its query.
fn with_result(url: &str, payment: String, result: &str) -> Option<String> {
    let mut url = Url::parse(url).ok()?;
    url.query_pairs_mut().append_pair("payment_id", &payment).append_pair("result", result);
    Some(url.into())
}

/// A link that opens nothing, whatever the reason: an id alone tells nobody whether it exists.
pub fn bad_link() -> Response {
    let t = words("ko");
    notice(StatusCode::NOT_FOUND, t, t.bad_link, None)
}

/// An address that was good once and leads nowhere any more: what became of it, the shop says.
pub fn gone(t: &'static Words) -> Response {
    notice(StatusCode::GONE, t, t.gone, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_result_is_added_to_the_shop_s_own_query() {
        let url = with_result("https://shop.example/orders?id=7", "pay_x".into(), "paid").unwrap();
        assert_eq!(url, "https://shop.example/orders?id=7&payment_id=pay_x&result=paid");
    }

    #[test]
    fn a_refusal_is_explained_in_the_buyer_s_language() {
        let stored = json!({"reason": "declined", "refusal": {"explanation": {"ko": "한도 초과", "en": "over the limit"}}});
        assert_eq!(explanation(words("ko"), &stored).as_deref(), Some("한도 초과"));
        assert_eq!(explanation(words("en"), &stored).as_deref(), Some("over the limit"));
        assert_eq!(explanation(words("ko"), &json!({})), None);
    }
}
