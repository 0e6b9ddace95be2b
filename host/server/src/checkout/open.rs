//! Opening a checkout. Invariant: every opening is a checkout of its own with an order number of its own, written before the
//! buyer's browser gets the gateway's form; nothing that moves money is sent.

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use payhost_core::id::{CheckoutId, PaymentId, ShopId};
use payhost_core::{PaymentState, Resolution};
use payhost_engine::contract::general_pay::{BEGIN, Begun, BuyerEnv, CheckoutStep, Script};
use payhost_store::rows::attempts;
use payhost_store::rows::checkouts::{self, Checkout, CheckoutState};
use payhost_store::rows::facts;
use payhost_store::rows::payments::{self as payment_rows, Payment};
use payhost_store::rows::shops::{self, Shop};
use payhost_store::{Error, Sealed, Tx};
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use super::page::{CheckoutPage, FormView, Head, WindowPage, render, render_window, script_json};
use super::words::{Words, amount, words};
use super::{checkout_path, result, return_path, step, token};
use crate::channels::ready::{Moment, Ready, Rows};
use crate::host::{Host, hex, random};
use crate::http::json::PathOfShop;
use crate::http::problem::Problem;
use crate::payments;
use crate::payments::attempt::{JournalOf, journaled};
use crate::payments::settle::Change;
use crate::payments::{again, give_up};
use crate::sealed::Place;

/// Most openings of one payment: a buyer needs a few, and each costs a row and a call. The next one ends it, so that its order is
/// free for another payment.
const CHECKOUTS_MAX: usize = 100;

/// The word of `checkout.failed` where it was the plugin.
const PLUGIN_FAILED: &str = "plugin_failed";

/// What the address carries.
#[derive(Debug, Default, Deserialize)]
pub struct Token {
    /// The client token.
    #[serde(default)]
    token: String,
}

/// A payment that a browser may open, with its shop.
pub struct Opened {
    /// The payment.
    pub payment: Payment,
    /// Its shop.
    pub shop: Shop,
}

impl Opened {
    /// Reads both.
    pub fn read(tx: &mut Tx<'_>, shop: ShopId, id: PaymentId) -> Result<Option<Self>, Error> {
        tx.keep_settings()?;
        payment_rows::get(tx, shop, id)?.map(|payment| Self::of(tx, payment)).transpose()
    }

    /// Reads the shop.
    pub fn of(tx: &mut Tx<'_>, payment: Payment) -> Result<Self, Error> {
        let shop = shops::get(tx, payment.shop_id)?.ok_or(Error::NotFound { what: "shop" })?;
        Ok(Self { payment, shop })
    }
}

/// What pages of this payment share.
pub fn head(opened: &Opened) -> Head {
    let payment = &opened.payment;
    Head {
        t: words(&payment.language),
        shop_name: opened.shop.name.clone(),
        order_name: payment.order_name.clone(),
        total: amount(payment.total, payment.currency.as_str(), &payment.language),
        test_mode: payment.mode == payhost_store::rows::Mode::Test,
        return_url: payment.return_url.clone(),
    }
}

async fn find(host: &Host, (shop, id): (ShopId, PaymentId), token: &str) -> Result<Option<Opened>, Problem> {
    if !token::is_client(host, (shop, id), token) {
        return Ok(None);
    }
    load(host, shop, id).await
}

/// A payment with its shop: the caller has checked a token.
pub async fn load(host: &Host, shop: ShopId, id: PaymentId) -> Result<Option<Opened>, Problem> {
    Ok(host.store().read(move |tx| Opened::read(tx, shop, id)).await?)
}

/// Why no window opens: the status, and the words for the buyer. 409: not now or not again; 410: never again; 503: not now. (Not
/// 502: proxies put pages of their own in its place.)
type Shut = (StatusCode, &'static str);

/// Why a payment cannot be paid now.
fn closed(host: &Host, shop: &Shop, payment: &Payment, t: &'static Words) -> Option<Shut> {
    match payment.state {
        PaymentState::Paid | PaymentState::PartiallyCancelled => Some((StatusCode::CONFLICT, t.already_paid)),
        PaymentState::Created | PaymentState::Pending if !shop.is_selling() => {
            Some((StatusCode::SERVICE_UNAVAILABLE, t.shop_suspended))
        }
        // While a person is called the gateway may hold money that is not known here.
        PaymentState::Created | PaymentState::Pending if payment.resolution != Resolution::None => {
            Some((StatusCode::CONFLICT, t.in_doubt.1))
        }
        PaymentState::Created | PaymentState::Pending if payment.expires_us > host.now_us() => None,
        PaymentState::Cancelled if payment.given_up && payment.paid == 0 => {
            Some((StatusCode::GONE, t.given_up.1))
        }
        PaymentState::Created
        | PaymentState::Pending
        | PaymentState::AwaitingDeposit
        | PaymentState::Cancelled
        | PaymentState::Failed
        | PaymentState::Expired => Some((StatusCode::GONE, t.not_payable)),
    }
}

/// `GET /checkout/{shop}/{payment}?token=…`: what is to be paid, and a button. A link preview or a prefetch opens nothing.
pub async fn show(
    State(host): State<Host>,
    PathOfShop(shop, id): PathOfShop<PaymentId>,
    Query(query): Query<Token>,
) -> Result<Response, Problem> {
    let Some(opened) = find(&host, (shop, id), &query.token).await? else {
        return Ok(result::bad_link());
    };
    let head = head(&opened);
    Ok(match closed(&host, &opened.shop, &opened.payment, head.t) {
        None => checkout_page(StatusCode::OK, &head, None, true),
        // To look at what is paid is no conflict.
        Some((StatusCode::CONFLICT, words)) => checkout_page(StatusCode::OK, &head, Some(words), false),
        Some((status, words)) => checkout_page(status, &head, Some(words), false),
    })
}

fn checkout_page(status: StatusCode, head: &Head, message: Option<&str>, payable: bool) -> Response {
    let nonce = hex(&random::<16>());
    let page = CheckoutPage { nonce: &nonce, head, message, payable, request_id: None };
    render(status, &page, &nonce)
}

/// `POST /checkout/{shop}/{payment}?token=…`: opens a checkout and shows the window page.
pub async fn open(
    State(host): State<Host>,
    PathOfShop(shop, id): PathOfShop<PaymentId>,
    Query(query): Query<Token>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if !token::is_client(&host, (shop, id), &query.token) {
        return Ok(result::bad_link());
    }
    let host_in = host.clone();
    let found = host.store().read(move |tx| {
        tx.keep_settings()?;
        let Some(payment) = payment_rows::get(tx, shop, id)? else { return Ok(None) };
        // What cannot be paid any more says so, however it stands with its channel.
        let opened = Opened::of(tx, payment)?;
        let payment = &opened.payment;
        let rows = match closed(&host_in, &opened.shop, payment, words(&payment.language)) {
            Some(shut) => Err(shut),
            None => Ok(Rows::read(tx, host_in.vault(), payment.shop_id, payment.channel_id, None)?),
        };
        Ok::<_, Error>(Some((opened, rows)))
    });
    let Some((opened, rows)) = found.await.map_err(Rows::problem)? else { return Ok(result::bad_link()) };
    let head = head(&opened);
    let rows = match rows {
        Ok(rows) => rows,
        Err((status, words)) => return Ok(checkout_page(status, &head, Some(words), false)),
    };
    let ready = match Ready::of(&host, rows, None, None).await {
        Ok(ready) => ready,
        Err(problem) => {
            tracing::error!(payment = %id, code = problem.code, detail = %problem.detail, "a checkout could not be opened");
            let words = Some(head.t.unavailable);
            return Ok(checkout_page(StatusCode::SERVICE_UNAVAILABLE, &head, words, true));
        }
    };
    match begin(&host, &opened, ready, &headers).await? {
        Ok(window) => Ok(window_page(&head, &window, &query.token, (shop, id))),
        Err((status, words)) => {
            let again = status != StatusCode::GONE;
            // As the order is now: it may be what was changed.
            let now = load(&host, shop, id).await?;
            let head = now.as_ref().map_or(head, self::head);
            Ok(checkout_page(status, &head, Some(words), again))
        }
    }
}

struct Window {
    checkout: CheckoutId,
    step: CheckoutStep,
    ready: Ready,
    now_ms: i64,
    result_token: String,
}

/// Calls the plugin and writes the checkout. The inner error is for the buyer; its cause is in the log and the journal.
async fn begin(
    host: &Host,
    opened: &Opened,
    ready: Ready,
    headers: &HeaderMap,
) -> Result<Result<Window, Shut>, Problem> {
    let (payment, t) = (&opened.payment, words(&opened.payment.language));
    let checkout = host.new_id(CheckoutId::new);
    let buyer = payments::order::buyer(&ready.key, payment)?;
    let order = payments::order::make(host, &ready.key, &opened.shop, payment, buyer, checkout)?;
    let device = payments::order::device(&payments::order::options(&ready.key, payment)?);
    let env = buyer_env(host, &opened.shop, device, headers);
    let moment = Moment::now(host);
    let (call, now_ms) = (moment.call, moment.now_ms);
    let device = env.device.clone();
    let arguments = (order.clone(), env);
    let called = ready.call(host, &BEGIN, moment, |context| (context, arguments.0, arguments.1)).await;
    let begun = match &called.result {
        Ok(Ok(begun)) => step::check(&begun.step, &ready.rights())
            .map(|()| begun.clone())
            .map_err(|error| (error.reason(), error.to_string())),
        Ok(Err(error)) => Err((PLUGIN_FAILED, format!("{error:?}"))),
        Err(fault) => Err((PLUGIN_FAILED, fault.to_string())),
    };
    let sealed = Place::Order(checkout).seal_json(&ready.key, &order)?;
    let row = row(host, payment, &ready, checkout, &order.order_ref, device, sealed, begun.as_ref().ok());
    let (host_in, id, seen) = (host.clone(), payment.id, payment.clone());
    let failed = begun.as_ref().err().cloned();
    let warnings = begun.as_ref().map(|begun| begun.warnings.clone()).unwrap_or_default();
    let of = JournalOf { call, at_ms: now_ms, payment: Some(id), attempt: None };
    let journaled = journaled(host, &ready, of, &called);
    let shop = opened.shop.clone();
    let written = host.store().transact(move |tx| {
        let host = &host_in;
        journaled.write(tx)?;
        let payment = payment_rows::ask_lock(tx, row.shop_id, id)?;
        let open = attempts::ask_open_of(tx, row.shop_id, id)?;
        let checkouts = checkouts::ask_of_payment(tx, row.shop_id, id)?;
        let facts = facts::ask_of_payment(tx, row.shop_id, id)?;
        let payment = payment.one(tx, "payment")?;
        if open.first(tx)?.is_some() {
            return Ok(Some((StatusCode::CONFLICT, t.busy)));
        }
        if let Some(shut) = closed(host, &shop, &payment, t) {
            return Ok(Some(shut));
        }
        // The window was made for another order than the payment is of by now.
        if again::is_revised(&seen, &payment) {
            return Ok(Some((StatusCode::CONFLICT, t.changed)));
        }
        let checkouts = checkouts.all(tx)?;
        if checkouts.len() >= CHECKOUTS_MAX {
            // A buyer who is through a window and waits for the shop is not shut out by another one.
            if checkouts.iter().any(|checkout| checkout.state == CheckoutState::AwaitingConfirm) {
                return Ok(Some((StatusCode::CONFLICT, t.busy)));
            }
            give_up::end(tx, host, payment, give_up::Why::TooManyOpenings, None)?;
            return Ok(Some((StatusCode::GONE, t.not_payable)));
        }
        let mut change = Change::begin(host, payment, None).with_facts(facts);
        match failed {
            None => {
                checkouts::insert(tx, &row)?;
                change.payment.opened = true;
                change.event(
                    "checkout.opened",
                    json!({"checkout_id": row.id, "order_ref": row.order_ref, "warnings": warnings}),
                );
            }
            Some((reason, words)) => {
                change.event("checkout.failed", json!({"reason": reason, "detail": words}))
            }
        }
        change.write(tx)?;
        Ok::<_, Error>(None)
    });
    if let Some(shut) = written.await? {
        host.jobs().notify_one();
        return Ok(Err(shut));
    }
    match begun {
        Ok(Begun { step, .. }) => {
            // A window may stay open for as long as its payment can be paid.
            let result_token = token::result(host, (payment.shop_id, checkout), payment.expires_us)?;
            Ok(Ok(Window { checkout, step, ready, now_ms, result_token }))
        }
        Err((reason, words)) => {
            tracing::error!(payment = %payment.id, reason, %words, "a checkout could not be opened");
            Ok(Err((StatusCode::SERVICE_UNAVAILABLE, t.unavailable)))
        }
    }
}

#[allow(clippy::too_many_arguments, reason = "the columns of one row, each from another hand")]
fn row(
    host: &Host,
    payment: &Payment,
    ready: &Ready,
    id: CheckoutId,
    order_ref: &str,
    device: String,
    order_json: Sealed,
    begun: Option<&Begun>,
) -> Checkout {
    let close_script = match begun.map(|begun| &begun.step) {
        Some(CheckoutStep::Script(Script { close_script, .. })) => close_script.clone(),
        _ => None,
    };
    let now_us = host.now_us();
    Checkout {
        id,
        shop_id: payment.shop_id,
        payment_id: payment.id,
        channel_id: payment.channel_id,
        plugin_digest: ready.plugin.digest().to_owned(),
        revision: ready.revision,
        order_ref: order_ref.to_owned(),
        device,
        state: CheckoutState::Opened,
        order_json,
        callback: None,
        close_script,
        result: None,
        opened_us: now_us,
        updated_us: now_us,
    }
}

fn buyer_env(host: &Host, shop: &Shop, device: Option<String>, headers: &HeaderMap) -> BuyerEnv {
    let user_agent = headers.get("user-agent").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let device = device.unwrap_or_else(|| device_of(user_agent));
    let base = payments::order::base_url(host, shop);
    let page_origin = Url::parse(&base).map_or(base, |url| url.origin().ascii_serialization());
    BuyerEnv { user_agent: user_agent.to_owned(), device, page_origin, address: None }
}

/// `pc` or `mobile`.
fn device_of(user_agent: &str) -> String {
    const PHONES: &[&str] = &["Android", "iPhone", "iPad", "iPod", "Mobile"];
    let phone = PHONES.iter().any(|word| user_agent.contains(word));
    if phone { "mobile" } else { "pc" }.to_owned()
}

fn window_page(
    head: &Head,
    window: &Window,
    client_token: &str,
    (shop, payment): (ShopId, PaymentId),
) -> Response {
    let t = head.t;
    let nonce = hex(&random::<16>());
    let (kind, form, script, url) = match &window.step {
        CheckoutStep::Form(form) => {
            let view = FormView {
                action: window.ready.browser_url(&form.action),
                charset: form.charset.clone(),
                fields: form.fields.clone(),
            };
            ("form", Some(view), Value::Null, String::new())
        }
        CheckoutStep::Redirect(url) => ("redirect", None, Value::Null, window.ready.browser_url(url)),
        CheckoutStep::Script(script) => {
            let fields = script.form.clone();
            let view =
                fields.map(|fields| FormView { action: String::new(), charset: "utf-8".to_owned(), fields });
            ("script", view, script_value(&window.ready, script), String::new())
        }
        CheckoutStep::Done(_) => ("done", None, Value::Null, String::new()),
    };
    let step = json!({
        "kind": kind, "script": script, "url": url, "checkout": window.checkout, "now_ms": window.now_ms,
        "words": {"blocked": t.blocked, "cookies": t.check_cookies, "clock": t.check_clock, "in_app": t.check_in_app},
    });
    let page = WindowPage {
        nonce: &nonce,
        head,
        close_action: &format!("{}/leave?token={}", return_path(shop, window.checkout), window.result_token),
        again_action: &format!("{}?token={client_token}", checkout_path(shop, payment)),
        form,
        step_json: &script_json(&step),
    };
    render_window(&page, &nonce, &window.ready.browser_sources())
}

fn script_value(ready: &Ready, script: &Script) -> Value {
    let steps = script.steps.iter().map(|step| {
        let args: Vec<Value> =
            step.args.iter().map(|arg| serde_json::from_str(arg).unwrap_or_default()).collect();
        json!({"member": step.member, "args": args})
    });
    json!({
        "url": ready.browser_url(&script.url), "charset": script.charset, "steps": steps.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phones_and_computers_are_told_apart() {
        assert_eq!(device_of("Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/150"), "pc");
        assert_eq!(device_of("Mozilla/5.0 (Linux; Android 15; Pixel) Chrome/150 Mobile"), "mobile");
        assert_eq!(device_of("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X)"), "mobile");
        assert_eq!(device_of(""), "pc");
    }
}
