//! `GET /v1/attention`: what waits for a person. Invariant: whatever the host cannot end by itself is in this list until it is
//! ended, with the ids that the log and the other routes use; a shop sees its own, the operator all. However many notices about
//! one payment are sent, they are one entry.

use std::collections::{BTreeMap, BTreeSet};

use axum::Json;
use axum::extract::State;
use payhost_core::Resolution;
use payhost_core::id::ShopId;
use payhost_engine::contract::plugin::Descriptor;
use payhost_store::rows::attempts::{self, AttemptState};
use payhost_store::rows::channels::{self, Channel};
use payhost_store::rows::endpoints::{self, Endpoint};
use payhost_store::rows::notices::{self, Notice};
use payhost_store::rows::payments::{self, Payment};
use payhost_store::rows::{After, Mode, events, jobs, plugins};
use payhost_store::{Error, ShopKey, Tx};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::channels::check::{Words, words};
use crate::channels::ready::channel_settings;
use crate::channels::settings;
use crate::host::Host;
use crate::http::auth::Caller;
use crate::http::json::Params;
use crate::http::page::{Page, limit};
use crate::http::problem::Problem;
use crate::jobs::Task;
use crate::payments::attempt::outcome;
use crate::sealed::Place;
use crate::time::rfc3339;

/// Channels that are looked at for one page: a page may be shorter than asked for, and still not be the last one.
const CHANNELS_MAX: i64 = 500;

/// Routes of this file.
pub fn routes() -> OpenApiRouter<Host> {
    OpenApiRouter::new().routes(routes!(list))
}

/// What can wait, in the order in which it is listed: money first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    NeedsOperator,
    InDoubt,
    Notice,
    EndpointOff,
    ChannelCannotSell,
}

impl Kind {
    const TABLE: &'static [(Self, &'static str)] = &[
        (Self::NeedsOperator, "payment_needs_operator"),
        (Self::InDoubt, "payment_in_doubt"),
        (Self::Notice, "notice"),
        (Self::EndpointOff, "endpoint_off"),
        (Self::ChannelCannotSell, "channel_cannot_sell"),
    ];

    fn as_str(self) -> &'static str {
        Self::TABLE.iter().find(|(kind, _)| *kind == self).map_or("", |(_, word)| word)
    }

    fn parse(text: &str) -> Option<Self> {
        Self::TABLE.iter().find(|(_, word)| *word == text).map(|(kind, _)| *kind)
    }

    /// What is so, and what to do about it.
    fn explain(self) -> (Words, Words) {
        match self {
            Self::NeedsOperator => (
                words(
                    "결제 결과를 호스트가 확인할 수 없어 사람이 확인해야 합니다.",
                    "The host cannot find out how this payment stands; a person must.",
                ),
                words(
                    "결제대행사 관리자 화면에서 확인한 뒤 payhost payment resolve --shop 으로 알려 주세요.",
                    "Look at the gateway's admin, then tell what is there: payhost payment resolve --shop.",
                ),
            ),
            Self::InDoubt => (
                words(
                    "마지막 요청의 결과를 결제대행사에 확인하고 있습니다.",
                    "The outcome of the last attempt is not known; the gateway is being asked.",
                ),
                words(
                    "기다리거나 payhost payment sync 로 지금 다시 확인하세요.",
                    "Wait, or ask again now: payhost payment sync.",
                ),
            ),
            Self::Notice => (
                words(
                    "결제대행사가 보낸 통보를 확인 없이 반영할 수 없습니다.",
                    "A gateway's notice was not believed; it changed nothing.",
                ),
                words(
                    "은행·결제대행사 화면과 비교한 뒤 payhost notice accept 또는 dismiss 를 실행하세요. \
                     같은 결제의 통보는 payhost notice list --payment 로 볼 수 있습니다.",
                    "Compare it with the bank or the gateway's admin, then payhost notice accept or dismiss; \
                     of one payment, all: payhost notice list --payment.",
                ),
            ),
            Self::EndpointOff => (
                words(
                    "웹훅 수신 주소가 꺼져 있어 상점이 결제 소식을 받지 못합니다.",
                    "A webhook endpoint is switched off: the shop hears of nothing.",
                ),
                words(
                    "수신 서버를 고친 뒤 다시 켜고, 놓친 이벤트를 다시 보내세요.",
                    "Mend the receiver, switch the endpoint on again, and resend what it missed.",
                ),
            ),
            Self::ChannelCannotSell => (
                words("이 채널로는 결제할 수 없습니다.", "This channel cannot take payments."),
                words("payhost doctor 로 점검하세요.", "Look it over: payhost doctor."),
            ),
        }
    }
}

/// Something that waits.
#[derive(Debug, Serialize, ToSchema)]
pub struct AttentionOut {
    /// `payment_needs_operator`, `payment_in_doubt`, `notice`, `endpoint_off` or `channel_cannot_sell`.
    pub kind: &'static str,
    /// `pay_…`, `ntc_…`, `whe_…` or `chn_…`: what it is about.
    pub id: String,
    /// Whose.
    pub shop_id: String,
    /// `test` or `live`.
    pub mode: String,
    /// The shop's order number, of a payment.
    pub order_id: Option<String>,
    /// The payment that a notice is about.
    pub payment_id: Option<String>,
    /// The attempt that is in doubt, as the log names it.
    pub attempt_id: Option<String>,
    /// A stable word for why, where there is one: `no_answer`, `cannot_be_asked`, `held`, …
    pub reason: Option<String>,
    /// More about why, for a developer.
    pub detail: Option<String>,
    /// Of a notice, which is the oldest that waits about its payment: how many do, itself among them
    /// (`GET /v1/notices?payment_id=…` lists them). Those that are about no payment are counted by channel.
    pub count: Option<i64>,
    /// Since when it stands so, RFC 3339.
    pub since: String,
    /// When the host looks again by itself, RFC 3339. Absent: only a person ends it.
    pub next_try_at: Option<String>,
    /// What is so.
    pub text: Words,
    /// What to do about it.
    pub remedy: Words,
}

impl AttentionOut {
    fn new(kind: Kind, id: String, (shop, mode): (ShopId, Mode), since_us: i64) -> Self {
        let (text, remedy) = kind.explain();
        Self {
            kind: kind.as_str(),
            id,
            shop_id: shop.to_string(),
            mode: mode.as_str().to_owned(),
            order_id: None,
            payment_id: None,
            attempt_id: None,
            reason: None,
            detail: None,
            count: None,
            since: rfc3339(since_us),
            next_try_at: None,
            text,
            remedy,
        }
    }
}

/// Which part.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AttentionParams {
    /// Only of this kind.
    pub kind: Option<String>,
    /// At most 100; default 20. A page may be shorter and still have a `next`.
    pub limit: Option<u32>,
    /// The cursor of the page before.
    pub after: Option<String>,
}

/// Lists what waits for a person or is being found out: payments in doubt, notices that were not believed, endpoints that were
/// switched off, channels that cannot sell. A shop's key lists its own; an operator's key without `payhost-shop` all shops'.
#[utoipa::path(
    get, path = "/v1/attention", tag = "set-up", params(AttentionParams),
    responses((status = 200, body = Page<AttentionOut>), (status = "default", description = "A problem", body = Problem))
)]
pub async fn list(
    State(host): State<Host>,
    caller: Caller,
    Params(params): Params<AttentionParams>,
) -> Result<Json<Page<AttentionOut>>, Problem> {
    let scope = match caller {
        Caller::Shop(shop) => Some((shop.shop_id, shop.mode)),
        Caller::Operator => None,
    };
    let limit = i64::from(limit(params.limit)?);
    let wanted = match params.kind.as_deref() {
        None => None,
        Some(word) => Some(Kind::parse(word).ok_or_else(|| {
            let known: Vec<&str> = Kind::TABLE.iter().map(|(_, word)| *word).collect();
            Problem::field("kind", format!("one of: {}", known.join(", ")))
        })?),
    };
    let from = match params.after.as_deref() {
        None => None,
        Some(text) => {
            let cursor = text
                .split_once(':')
                .and_then(|(kind, place)| Some((Kind::parse(kind)?, Position::parse(place)?)));
            Some(cursor.ok_or_else(|| Problem::field("after", "not a cursor of this list"))?)
        }
    };
    let host_in = host.clone();
    let page = host.store().read(move |tx| collect(tx, &host_in, scope, wanted, from, limit));
    Ok(Json(page.await?))
}

/// A position in the list of one kind, which goes over shops: `ID.SHOP` in a cursor.
struct Position {
    id: String,
    shop: String,
}

impl Position {
    fn parse(text: &str) -> Option<Self> {
        let (id, shop) = text.split_once('.')?;
        Some(Self { id: id.to_owned(), shop: shop.to_owned() })
    }

    fn after(&self) -> After<'_> {
        After { id: &self.id, shop: &self.shop }
    }
}

/// Goes from kind to kind until the page is full.
fn collect(
    tx: &mut Tx<'_>,
    host: &Host,
    scope: Option<(ShopId, Mode)>,
    wanted: Option<Kind>,
    from: Option<(Kind, Position)>,
    limit: i64,
) -> Result<Page<AttentionOut>, Error> {
    let mut data: Vec<AttentionOut> = Vec::new();
    let first = from.as_ref().and_then(|(kind, _)| Kind::TABLE.iter().position(|(known, _)| known == kind));
    for (kind, _) in Kind::TABLE.iter().skip(first.unwrap_or(0)) {
        if wanted.is_some_and(|wanted| wanted != *kind) {
            continue;
        }
        let after = from.as_ref().filter(|(known, _)| known == kind);
        let after = after.map_or_else(After::default, |(_, place)| place.after());
        let room = limit.saturating_sub(i64::try_from(data.len()).unwrap_or(i64::MAX));
        let found = of_kind(tx, host, *kind, scope, after, room.saturating_add(1))?;
        let read_to = found.read_to;
        for item in found.items {
            if i64::try_from(data.len()).unwrap_or(i64::MAX) == limit {
                let next = data.last().map(|last| format!("{}:{}.{}", last.kind, last.id, last.shop_id));
                return Ok(Page { data, next });
            }
            data.push(item);
        }
        if let Some(Position { id, shop }) = read_to {
            return Ok(Page { data, next: Some(format!("{}:{id}.{shop}", kind.as_str())) });
        }
    }
    Ok(Page { data, next: None })
}

/// Some of a kind.
struct Found {
    items: Vec<AttentionOut>,
    /// Where the look ended, when there may be more behind it.
    read_to: Option<Position>,
}

fn of_kind(
    tx: &mut Tx<'_>,
    host: &Host,
    kind: Kind,
    scope: Option<(ShopId, Mode)>,
    after: After<'_>,
    limit: i64,
) -> Result<Found, Error> {
    let items = match kind {
        Kind::NeedsOperator | Kind::InDoubt => {
            let resolution =
                if kind == Kind::InDoubt { Resolution::InDoubt } else { Resolution::NeedsOperator };
            let rows = payments::with_resolution(tx, scope, resolution, after, limit)?;
            rows.into_iter().map(|row| of_payment(tx, host, kind, row)).collect::<Result<Vec<_>, _>>()?
        }
        Kind::Notice => {
            let rows = notices::for_a_person(tx, scope, after, limit)?;
            rows.into_iter().map(|row| of_notice(tx, host, row)).collect::<Result<Vec<_>, _>>()?
        }
        Kind::EndpointOff => {
            endpoints::switched_off(tx, scope, after, limit)?.into_iter().map(of_endpoint).collect()
        }
        Kind::ChannelCannotSell => return channels_that_cannot_sell(tx, host, scope, after, limit),
    };
    Ok(Found { items, read_to: None })
}

fn of_payment(tx: &mut Tx<'_>, host: &Host, kind: Kind, row: Payment) -> Result<AttentionOut, Error> {
    let key = host.vault().key_of(tx, row.shop_id)?;
    let mut item = AttentionOut::new(kind, row.id.to_string(), (row.shop_id, row.mode), row.updated_us);
    let attempt = attempts::open_of(tx, row.shop_id, row.id)?;
    if let Some(attempt) = attempt.filter(|attempt| attempt.state == AttemptState::InDoubt) {
        item.attempt_id = Some(attempt.id.to_string());
        item.since = rfc3339(attempt.updated_us);
        let outcome = outcome(&key, &attempt)?;
        item.reason = outcome.pointer("/result/doubt").and_then(Value::as_str).map(ToOwned::to_owned);
        if kind == Kind::InDoubt {
            let task = Task::Resolve { shop: row.shop_id, attempt: attempt.id };
            let job =
                jobs::get(tx, row.shop_id, &task.key())?.filter(|job| job.state == jobs::JobState::Waiting);
            let words = job.as_ref().and_then(|job| Some((job.id, job.last_error.as_ref()?)));
            item.detail =
                words.map(|(id, sealed)| Place::JobError(id).open_words(&key, sealed)).transpose()?;
            item.next_try_at = job.map(|job| rfc3339(job.due_us));
        }
    }
    if kind == Kind::NeedsOperator
        && let Some((reason, detail)) = why(&key, &events::of_payment(tx, row.shop_id, row.id)?)?
    {
        item.reason = Some(reason);
        item.detail = detail;
    }
    if let Some(late_us) = row.late_us.filter(|_| kind == Kind::NeedsOperator) {
        item.reason = Some("late_money".to_owned());
        item.since = rfc3339(late_us);
    }
    item.order_id = Some(row.order_id);
    Ok(item)
}

/// Why a person was called: the newest event that says so, with its words.
fn why(key: &ShopKey, events: &[events::Event]) -> Result<Option<(String, Option<String>)>, Error> {
    const REASONS: &[&str] = &["needs_operator", "finding", "doubt", "reason"];
    for event in events.iter().rev().filter(|event| event.name != "payment.needs_operator") {
        let payload: Value = Place::Event(event.id).open_json(key, &event.payload)?;
        let text = |name: &str| {
            payload.get("data").and_then(|data| data.get(name)).and_then(Value::as_str).map(ToOwned::to_owned)
        };
        let named = REASONS.iter().find_map(|name| text(name));
        let of_event = event.name.strip_prefix("payment.deposit_").map(|rest| format!("deposit_{rest}"));
        if let Some(reason) = named.or(of_event) {
            return Ok(Some((reason, text("detail").or_else(|| text("note")))));
        }
    }
    Ok(None)
}

fn of_notice(tx: &mut Tx<'_>, host: &Host, row: Notice) -> Result<AttentionOut, Error> {
    let key = host.vault().key_of(tx, row.shop_id)?;
    let count = notices::waiting_with(tx, &row)?;
    let mut item =
        AttentionOut::new(Kind::Notice, row.id.to_string(), (row.shop_id, row.mode), row.updated_us);
    item.payment_id = row.payment_id.map(|id| id.to_string());
    item.reason = Some(row.state.as_str().to_owned());
    item.detail = row.reason.map(|sealed| Place::Reason(row.id).open_words(&key, &sealed)).transpose()?;
    item.count = Some(count);
    Ok(item)
}

fn of_endpoint(row: Endpoint) -> AttentionOut {
    let since_us = row.disabled_us.unwrap_or(row.updated_us);
    let mut item =
        AttentionOut::new(Kind::EndpointOff, row.id.to_string(), (row.shop_id, row.mode), since_us);
    item.detail = row.disabled_reason;
    item
}

/// Looks through channels, each against its plugin's schema and the operator's grants.
fn channels_that_cannot_sell(
    tx: &mut Tx<'_>,
    host: &Host,
    scope: Option<(ShopId, Mode)>,
    after: After<'_>,
    limit: i64,
) -> Result<Found, Error> {
    let rows = channels::in_use(tx, scope, after, CHANNELS_MAX)?;
    let whole = rows.len() < usize::try_from(CHANNELS_MAX).unwrap_or(usize::MAX);
    let mut known: BTreeMap<String, (Descriptor, BTreeSet<String>)> = BTreeMap::new();
    let (mut items, mut read_to) = (Vec::new(), None);
    for row in rows {
        if i64::try_from(items.len()).unwrap_or(i64::MAX) == limit {
            return Ok(Found { items, read_to });
        }
        if !known.contains_key(&row.plugin_digest) {
            let descriptor = host.plugins().descriptor(tx, &row.plugin_digest)?;
            let granted = plugins::grants(tx, &row.plugin_id)?.into_iter().map(|grant| grant.origin);
            known.insert(row.plugin_digest.clone(), (descriptor, granted.collect()));
        }
        read_to = Some(Position { id: row.id.to_string(), shop: row.shop_id.to_string() });
        if let Some((descriptor, granted)) = known.get(&row.plugin_digest) {
            items.extend(of_channel(tx, row, descriptor, granted)?);
        }
    }
    Ok(Found { items, read_to: read_to.filter(|_| !whole) })
}

fn of_channel(
    tx: &mut Tx<'_>,
    row: Channel,
    descriptor: &Descriptor,
    granted: &BTreeSet<String>,
) -> Result<Option<AttentionOut>, Error> {
    let purposes: Vec<String> = row.purposes.to()?;
    let secrets = channels::secrets(tx, row.shop_id, row.id)?.into_iter().map(|secret| secret.name).collect();
    let missing = settings::missing(descriptor, &purposes, &channel_settings(&row), &secrets);
    let ungranted: Vec<&str> = descriptor
        .hosts
        .iter()
        .map(|wanted| wanted.origin.as_str())
        .filter(|origin| !granted.contains(*origin))
        .collect();
    let (reason, detail) = if !missing.is_empty() {
        ("settings_missing", missing.join(", "))
    } else if !ungranted.is_empty() {
        ("hosts_not_granted", ungranted.join(", "))
    } else {
        return Ok(None);
    };
    let mut item = AttentionOut::new(
        Kind::ChannelCannotSell,
        row.id.to_string(),
        (row.shop_id, row.mode),
        row.updated_us,
    );
    item.reason = Some(reason.to_owned());
    item.detail = Some(detail);
    Ok(Some(item))
}
