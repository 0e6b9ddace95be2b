//! `POST /v1/payments`. Invariant: an order has one open payment; asking again for the same order gives the same payment, and
//! what differs is taken over, replaces it or is refused (`again.rs`).

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use payhost_core::id::{ChannelId, PaymentId};
use payhost_core::text::is_hidden;
use payhost_core::{Money, PaymentState, Resolution};
use payhost_engine::contract::plugin::Descriptor;
use payhost_engine::contract::types::Named;
use payhost_store::rows::channels::{self, Channel};
use payhost_store::rows::payments::{self, Confirm, Payment};
use payhost_store::rows::plugins;
use payhost_store::rows::shops::{self, Shop};
use payhost_store::{Error, Json as Stored, ShopKey, Tx};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use url::Url;
use utoipa::ToSchema;

use super::again::{self, Again, Asked};
use super::give_up::{self, Why};
use super::model::{
    AmountIn, BuyerIo, MethodIo, ORDER_ID_MAX, ORDER_NAME_MAX, PaymentCreated, PaymentOut, Support,
};
use super::order::{self, base_url};
use super::settle::Change;
use super::trial;
use crate::channels::ready::{Rows, channel_settings};
use crate::channels::settings;
use crate::checkout::{checkout_path, token};
use crate::host::Host;
use crate::http::auth::ShopCaller;
use crate::http::idempotency::{IdempotencyKey, Key, Known};
use crate::http::json::Body;
use crate::http::problem::Problem;
use crate::http::text;
use crate::jobs;
use crate::sealed::Place;
use crate::shops::manage::removed;
use crate::time::parse_moment;
use crate::webhooks;

/// How long a payment can be paid when the shop says nothing, in microseconds: a day.
const EXPIRES_US: i64 = 24 * 3600 * 1_000_000;
/// Longest time that a shop may give, in microseconds: 90 days.
pub const EXPIRES_MAX_US: i64 = 90 * EXPIRES_US;
/// Most bytes of metadata and of options, as JSON.
const JSON_MAX: usize = 8 * 1024;
/// How money is paid: the registry `method` of the contract.
pub const METHODS: &[&str] =
    &["card", "transfer", "virtual_account", "phone", "easy_pay", "gift_voucher", "points"];
/// How often a request may find that others were faster with the order.
const ROUNDS: usize = 8;
/// Longest part of the buyer, in characters.
const BUYER_MAX: usize = 255;

/// A new payment.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct PaymentIn {
    /// The shop's own order number: any text of up to 64 characters that are seen (none of control or of direction). It
    /// comes back to the letter.
    #[schema(max_length = 64)]
    pub order_id: String,
    /// What is sold, in one line that the buyer reads. A gateway that takes less gets it cut, with a warning.
    #[schema(max_length = 255)]
    #[serde(deserialize_with = "text::line")]
    pub order_name: String,
    /// What is to be paid.
    pub amount: AmountIn,
    /// Absent: the shop's default channel for payments.
    #[serde(default)]
    pub channel_id: Option<String>,
    /// Absent: the buyer chooses in the window.
    #[serde(default)]
    pub method: Option<MethodIo>,
    /// Who pays.
    #[serde(default)]
    pub buyer: BuyerIo,
    /// Where the buyer's browser goes afterwards, with `payment_id` and `result` added to its query.
    #[serde(default)]
    pub return_url: Option<String>,
    /// Where events of this payment go as well, signed by the shop's webhook endpoint without url.
    #[serde(default)]
    pub webhook_url: Option<String>,
    /// Language of pages and window: `ko` (default) or `en`.
    #[serde(default)]
    pub language: Option<String>,
    /// Until when it can be paid: RFC 3339, or a date, which means 23:59 in Seoul. Default: a day.
    #[serde(default)]
    pub expires_at: Option<String>,
    /// `pc` or `mobile`: which window is opened. Absent: as the buyer's browser is.
    #[serde(default)]
    pub device: Option<String>,
    /// `automatic` (default): approved when the buyer comes back. `manual`: approved by `POST /payments/{id}/confirm`, for
    /// shops that check their stock first; without it in time nothing is charged.
    #[serde(default)]
    pub confirm: Option<String>,
    /// Options that the plugin knows, by name.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub options: Map<String, Value>,
    /// The shop's own values; given back as they are.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub metadata: Map<String, Value>,
    /// If the order has a payment with other details: give that up (`cancelled`, its windows are over) and make this one, in one
    /// step. Only while the old one is unpaid, no account waits for a deposit and no attempt of it is open or in doubt;
    /// otherwise 409, and nothing is made or changed.
    #[serde(default)]
    pub replace: bool,
}

impl PaymentIn {
    /// A payment of so many minor units of won; the rest is as the API has it when nothing is said.
    pub fn new(order_id: impl Into<String>, order_name: impl Into<String>, total: i64) -> Self {
        Self {
            order_id: order_id.into(),
            order_name: order_name.into(),
            amount: AmountIn { total, currency: None, tax: None },
            channel_id: None,
            method: None,
            buyer: BuyerIo::default(),
            return_url: None,
            language: None,
            expires_at: None,
            device: None,
            confirm: None,
            webhook_url: None,
            options: Map::new(),
            metadata: Map::new(),
            replace: false,
        }
    }

    fn check(&mut self, now_us: i64) -> Result<Checked, Problem> {
        one_line("order_id", &self.order_id, ORDER_ID_MAX)?;
        one_line("order_name", &self.order_name, ORDER_NAME_MAX)?;
        let amount = self.amount.check()?;
        let buyer = [
            ("buyer.name", &self.buyer.name),
            ("buyer.email", &self.buyer.email),
            ("buyer.phone", &self.buyer.phone),
        ];
        for (field, value) in buyer {
            value.as_ref().map_or(Ok(()), |value| one_line(field, value, BUYER_MAX))?;
        }
        if let Some(url) = &mut self.return_url {
            *url = web_address("return_url", url)?.into();
        }
        let language = self.language.clone().unwrap_or_else(|| "ko".to_owned());
        if !["ko", "en"].contains(&language.as_str()) {
            return Err(Problem::field("language", "ko or en"));
        }
        let confirm = Confirm::parse(self.confirm.as_deref().unwrap_or("automatic"));
        let confirm = confirm.ok_or_else(|| Problem::field("confirm", "automatic or manual"))?;
        if self.device.as_deref().is_some_and(|device| !["pc", "mobile"].contains(&device)) {
            return Err(Problem::field("device", "pc or mobile"));
        }
        if self.options.contains_key(order::DEVICE) {
            return Err(Problem::field("options.device", "this is a member of the payment, not an option"));
        }
        if self.method.as_ref().is_some_and(|method| !METHODS.contains(&method.kind.as_str())) {
            return Err(Problem::field("method.kind", format!("one of: {}", METHODS.join(", "))));
        }
        let sizes = [("metadata", &self.metadata), ("options", &self.options)];
        for (field, object) in sizes {
            if json!(object).to_string().len() > JSON_MAX {
                return Err(Problem::field(field, format!("at most {JSON_MAX} bytes of JSON")));
            }
        }
        let expires_us = match &self.expires_at {
            None => now_us.saturating_add(EXPIRES_US),
            Some(text) => parse_moment(text)
                .filter(|us| *us > now_us && *us <= now_us.saturating_add(EXPIRES_MAX_US))
                .ok_or_else(|| Problem::field("expires_at", "RFC 3339 or a date, in the next 90 days"))?,
        };
        Ok(Checked { amount, language, confirm, expires_us })
    }
}

#[derive(Clone)]
struct Checked {
    amount: Money,
    language: String,
    confirm: Confirm,
    expires_us: i64,
}

fn one_line(field: &str, value: &str, longest: usize) -> Result<(), Problem> {
    if value.trim().is_empty() {
        return Err(Problem::field(field, "this must not be empty"));
    }
    if value.chars().count() > longest {
        return Err(Problem::field(field, format!("at most {longest} characters")));
    }
    if value.contains(is_hidden) {
        return Err(Problem::field(
            field,
            "one line, without characters that are not seen (of control, of direction)",
        ));
    }
    Ok(())
}

/// An `http` or `https` address without user info. What is stored is how the parser writes it: whoever reads it again (a browser,
/// our own client) reads the same address.
pub fn web_address(field: &str, text: &str) -> Result<Url, Problem> {
    let url = Url::parse(text).ok().filter(|url| {
        ["http", "https"].contains(&url.scheme())
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
    });
    url.ok_or_else(|| Problem::field(field, "a whole address that begins with https:// (or http://)"))
}

/// Makes a payment, or gives the one that the order has. Other details than that one was made with are taken over as long as
/// no window of it was opened; afterwards the answer is 409 `order_differs` with the members that differ in `fields`. A channel
/// or `expires_at` that is left out is as it was.
#[utoipa::path(
    post, path = "/v1/payments", tag = "payments", request_body = PaymentIn,
    params(("Idempotency-Key" = Option<String>, Header, description = "Repeats of the request get the first answer")),
    responses(
        (status = 201, description = "Made", body = PaymentCreated),
        (status = 200, description = "The open payment of this order", body = PaymentCreated),
        (status = "default", description = "A problem", body = Problem),
    )
)]
pub async fn create(
    State(host): State<Host>,
    caller: ShopCaller,
    key: IdempotencyKey,
    body: Body<PaymentIn>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let key = key.of(&host, &caller, "POST /v1/payments", &body.raw)?;
    // The key before the checks: what was right when the key was new is answered as it was, also when its time is over.
    let known = match &key {
        Some(key) => key.answered(&host).await?,
        None => None,
    };
    if let Some((status, body)) = known {
        return Ok((StatusCode::from_u16(status).unwrap_or(StatusCode::OK), Json(body)));
    }
    let mut input = body.value;
    let checked = input.check(host.now_us())?;
    if let Some(url) = &mut input.webhook_url {
        *url = webhooks::web_hook_address(&host, caller.shop_id, "webhook_url", url).await?;
    }
    let tried = on_trial(&host, caller, &input, &checked).await?;
    let once = || make(&host, caller, key.as_ref(), &input, &checked, &tried);
    let taken = |error: &Error| error.is_unique(payments::OPEN_ORDER);
    let mut made = once().await;
    for _ in 0..ROUNDS {
        if !made.as_ref().is_err_and(taken) {
            break;
        }
        // On PostgreSQL another request for this order may have been first since we looked: now it is seen.
        made = once().await;
    }
    let (status, body) = made.map_err(|error| if taken(&error) { Error::Busy } else { error })??;
    host.jobs().notify_one();
    Ok((StatusCode::from_u16(status).unwrap_or(StatusCode::OK), Json(body)))
}

/// Makes the payment under its key, or finds the one that is there.
async fn make(
    host: &Host,
    caller: ShopCaller,
    key: Option<&Key>,
    input: &PaymentIn,
    checked: &Checked,
    tried: &Result<(), Problem>,
) -> Result<Made, Error> {
    let (host_in, key, input) = (host.clone(), key.cloned(), input.clone());
    let (checked, tried) = (checked.clone(), tried.clone());
    let made = host.store().transact(move |tx| {
        if let Some(key) = &key {
            match key.begin(tx, &host_in)? {
                Known::New => {}
                Known::Answered(status, body) => return Ok(Ok((status, body))),
                Known::Refused(problem) => return Ok(Err(*problem)),
            }
        }
        let made = in_transaction(tx, &host_in, caller, input, checked, tried)?;
        if let (Some(key), Ok((status, body))) = (&key, &made) {
            key.answer(tx, &host_in, *status, body, None)?;
        } else if let Some(key) = &key {
            key.forget(tx)?;
        }
        Ok::<_, Error>(made)
    });
    made.await
}

type Made = Result<(u16, Value), Problem>;

/// Whether the plugin could open a window for the order. What else may be wrong is told by the transaction, which looks again.
async fn on_trial(
    host: &Host,
    caller: ShopCaller,
    input: &PaymentIn,
    checked: &Checked,
) -> Result<Result<(), Problem>, Problem> {
    let (host_in, input_in, checked_in) = (host.clone(), input.clone(), checked.clone());
    let found = host.store().read(move |tx| {
        tx.keep_settings()?;
        let Ok(channel) = channel_of(tx, caller, input_in.channel_id.as_deref())? else { return Ok(None) };
        let rows = match Rows::read(tx, host_in.vault(), caller.shop_id, channel.id, None) {
            Ok(rows) => rows,
            Err(Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let set = secret_names(tx, &channel)?;
        if usable(tx, &host_in, &channel, &set, &input_in, checked_in.amount)?.is_err() {
            return Ok(None);
        }
        let row = new_row(&host_in, &channel, rows.key(), &input_in, checked_in)?;
        Ok(Some((row, rows)))
    });
    let Some((row, rows)) = found.await? else { return Ok(Ok(())) };
    Ok(trial::open(host, &row, rows, input.buyer.clone()).await)
}

fn in_transaction(
    tx: &mut Tx<'_>,
    host: &Host,
    caller: ShopCaller,
    input: PaymentIn,
    checked: Checked,
    tried: Result<(), Problem>,
) -> Result<Made, Error> {
    tx.keep_settings()?;
    let shop = shops::ask(tx, caller.shop_id)?;
    let open = payments::ask_open_of_order(tx, caller.shop_id, caller.mode, &input.order_id)?;
    let channel = channel_of(tx, caller, input.channel_id.as_deref())?;
    let shop = shop.one(tx, "shop")?;
    if shop.removed_us.is_some() {
        return Ok(Err(removed()));
    }
    if !shop.is_selling() {
        let words = "this shop takes no payments now: the operator suspended it; what it sold can be read and cancelled";
        return Ok(Err(Problem::new("shop_suspended", words)));
    }
    let channel = match channel {
        Ok(channel) => channel,
        Err(problem) => return Ok(Err(problem)),
    };
    let held = channels::ask_hold(tx, channel.shop_id, channel.id)?;
    let key = host.vault().unwrap(shop.id, &shop.data_key)?;
    let amount = checked.amount;
    let options = named_options(&input);
    let row = new_row(host, &channel, &key, &input, checked)?;
    let asked = Asked {
        row: &row,
        input: &input,
        options: &options,
        channel_named: input.channel_id.is_some(),
        expiry_named: input.expires_at.is_some(),
        replace: input.replace,
    };
    let open = open.all(tx)?;
    // Read from memory above; this is how it is until the payment is there.
    let held = held.first(tx)?.is_some();
    let next = match again::look(tx, host, &key, open, &asked)? {
        Again::Same(old) => return Ok(Ok((200, shown(host, &shop, &old)?))),
        Again::Refused(problem) => return Ok(Err(*problem)),
        next @ (Again::New | Again::TakeOver(..) | Again::Replace(_)) => next,
    };
    if !held {
        return Ok(Err(no_channel(input.channel_id.is_some())));
    }
    let set = secret_names(tx, &channel)?;
    if let Err(problem) = usable(tx, host, &channel, &set, &input, amount)?.and(tried) {
        return Ok(Err(problem));
    }
    if input.webhook_url.is_some()
        && let Some(problem) = webhooks::payment_url_problem(tx, caller.shop_id, caller.mode)?
    {
        return Ok(Err(problem));
    }
    let replaced = match next {
        Again::TakeOver(old, fields) => {
            let row = again::take_over(tx, host, &key, old, &asked, &fields)?;
            return Ok(Ok((200, shown(host, &shop, &row)?)));
        }
        Again::Replace(old) => Some(give_up::end(tx, host, old, Why::Replaced(row.id), None)?.id),
        Again::New | Again::Same(_) | Again::Refused(_) => None,
    };
    let mut change = Change::begin(host, row, None);
    change.event("payment.created", replaced.map_or(Value::Null, |id| json!({"replaces": id})));
    let row = change.insert(tx)?;
    jobs::enqueue(tx, host, &jobs::Task::Expire { shop: row.shop_id, payment: row.id }, row.expires_us)?;
    Ok(Ok((201, shown(host, &shop, &row)?)))
}

/// The channel that was named, or the default one.
fn channel_of(
    tx: &mut Tx<'_>,
    caller: ShopCaller,
    named: Option<&str>,
) -> Result<Result<Channel, Problem>, Error> {
    let found = match named.map(str::parse::<ChannelId>) {
        Some(Ok(id)) => channels::get(tx, caller.shop_id, id)?,
        Some(Err(_)) => None,
        None => channels::default(tx, caller.shop_id, caller.mode, "pay")?,
    };
    let found = found.filter(|channel| channel.mode == caller.mode && channel.enabled);
    Ok(found.ok_or_else(|| no_channel(named.is_some())))
}

fn no_channel(named: bool) -> Problem {
    if named {
        let words = "the shop has no such channel in this mode, or it is switched off or removed";
        return Problem::field("channel_id", words);
    }
    let words = "the shop has no default channel for payments in this mode, or it is switched off: make one, or name a channel";
    Problem::new("no_channel", words)
}

/// The names of the secrets that a channel has.
fn secret_names(tx: &mut Tx<'_>, channel: &Channel) -> Result<BTreeSet<String>, Error> {
    let secrets = channels::secrets(tx, channel.shop_id, channel.id)?;
    Ok(secrets.into_iter().map(|secret| secret.name).collect())
}

/// Whether the channel can take this payment: its purposes, its settings, and what the plugin says of method and currency.
fn usable(
    tx: &mut Tx<'_>,
    host: &Host,
    channel: &Channel,
    set: &BTreeSet<String>,
    input: &PaymentIn,
    amount: Money,
) -> Result<Result<(), Problem>, Error> {
    let purposes: Vec<String> = channel.purposes.to()?;
    if !purposes.iter().any(|purpose| purpose == "pay") {
        return Ok(Err(Problem::field(
            "channel_id",
            "this channel is not for payments (its purposes lack pay)",
        )));
    }
    // The plugin in memory, if it is there: its row is large, and every payment comes by here.
    let loaded = host.plugins().loaded(&channel.plugin_digest);
    let stored = match &loaded {
        Some(_) => None,
        None => plugins::component_head(tx, &channel.plugin_digest)?
            .map(|head| head.descriptor.to::<Descriptor>())
            .transpose()?,
    };
    let descriptor = loaded.as_ref().map(|plugin| plugin.descriptor()).or(stored.as_ref());
    let descriptor = descriptor.ok_or(Error::NotFound { what: "component" })?;
    let missing = settings::missing(descriptor, &["pay".to_owned()], &channel_settings(channel), set);
    if !missing.is_empty() {
        let words = format!("the channel {} lacks: {}", channel.id, missing.join(", "));
        return Ok(Err(Problem::new("channel_incomplete", words)));
    }
    let currency = amount.currency.as_str();
    let kind = input.method.as_ref().map(|method| method.kind.as_str());
    let mut methods =
        descriptor.supports.iter().filter(|support| kind.is_none_or(|kind| support.method.kind == kind));
    let methods_known = descriptor.supports.is_empty() || methods.clone().next().is_some();
    if !methods_known {
        return Ok(Err(Problem::field("method.kind", "the channel's plugin does not offer this method")));
    }
    let currency_known = descriptor.supports.is_empty()
        || methods.any(|support| support.currencies.iter().any(|known| known == currency));
    Ok(if currency_known {
        Ok(())
    } else {
        Err(Problem::field(
            "amount.currency",
            format!("the channel's plugin does not take {currency} this way"),
        ))
    })
}

/// The options as they are kept: the plugin's, and the window that the shop chose.
fn named_options(input: &PaymentIn) -> Vec<Named> {
    let options = input.options.iter().map(|(name, value)| {
        let text = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
        Named { name: name.clone(), value: text }
    });
    options.chain(input.device.clone().map(|value| Named { name: order::DEVICE.to_owned(), value })).collect()
}

fn new_row(
    host: &Host,
    channel: &Channel,
    key: &ShopKey,
    input: &PaymentIn,
    checked: Checked,
) -> Result<Payment, Error> {
    let id = host.new_id(PaymentId::new);
    let now_us = host.now_us();
    let tax = input.amount.tax.as_ref();
    Ok(Payment {
        id,
        shop_id: channel.shop_id,
        channel_id: channel.id,
        mode: channel.mode,
        order_id: input.order_id.clone(),
        order_name: input.order_name.clone(),
        total: checked.amount.minor,
        currency: checked.amount.currency,
        tax_free: tax.and_then(|tax| tax.free),
        vat: tax.and_then(|tax| tax.vat),
        method: input.method.as_ref().map(Stored::of).transpose()?,
        buyer: Place::Buyer(id).seal_json(key, &input.buyer)?,
        options: Place::Options(id).seal_json(key, &named_options(input))?,
        metadata: Place::Metadata(id).seal_json(key, &input.metadata)?,
        language: checked.language,
        confirm: checked.confirm,
        // As a browser reads it: what was typed may have blanks and line ends, which are no address.
        return_url: input.return_url.as_deref().and_then(|text| Url::parse(text).ok()).map(String::from),
        webhook_url: input.webhook_url.clone(),
        state: PaymentState::Created,
        resolution: Resolution::None,
        version: 1,
        paid: 0,
        cancelled: 0,
        cancelled_tax_free: 0,
        cancelled_vat: 0,
        gateway_ref: None,
        approved_checkout_id: None,
        approved_at_us: None,
        paid_method: None,
        details: None,
        opened: false,
        failed: false,
        expired: false,
        given_up: false,
        late_us: None,
        last_failure: None,
        expires_us: checked.expires_us,
        deposit_deadline_us: None,
        next_event: 1,
        created_us: now_us,
        updated_us: now_us,
    })
}

/// The answer: the payment, where it is paid, and the browser's token.
fn shown(host: &Host, shop: &Shop, row: &Payment) -> Result<Value, Error> {
    let client_token = token::client(host, (row.shop_id, row.id))?;
    let created = PaymentCreated {
        payment: PaymentOut::of(&host.vault().unwrap(shop.id, &shop.data_key)?, row, Support::default())?,
        checkout_url: format!(
            "{}{}?token={client_token}",
            base_url(host, shop),
            checkout_path(row.shop_id, row.id)
        ),
        client_token,
    };
    serde_json::to_value(created).map_err(|error| Error::Json(error.to_string()))
}
