//! `POST /v1/reconciliations`, and the job that watches a channel. Invariant: every payment that is held here is compared with
//! the gateway one by one; nothing is changed unless that was asked for.
//!
//! What only the gateway knows cannot be seen so: the contract has no list of sales. An approval whose answer was lost is not
//! among them: it is an attempt here, and is asked about until it is known.

use axum::Json;
use axum::extract::State;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use payhost_core::Resolution;
use payhost_core::id::{ChannelId, PaymentId, ShopId};
use payhost_store::Error;
use payhost_store::rows::channels;
use payhost_store::rows::payments::{self, Payment};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::sync::{Look, look};
use crate::host::Host;
use crate::http::auth::ShopCaller;
use crate::http::json::Body;
use crate::http::problem::Problem;
use crate::jobs::{self, Done, Task};

/// Payments of one answer: asked one after the other, they take a few seconds.
const PAGE: i64 = 50;
/// A channel is watched so often, in microseconds: every hour.
const WATCH_EVERY_US: i64 = 3600 * 1_000_000;
/// Payments are watched for so long after their approval, in microseconds: 3 days. Test sales are reversed in the first night.
const WATCH_FOR_US: i64 = 3 * 24 * 3600 * 1_000_000;

/// What to compare.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReconcileIn {
    /// Which channel.
    pub channel_id: String,
    /// The day of the approvals in Seoul: `2026-11-21`.
    pub date: String,
    /// Take over what the gateway changed: cancels that are known only there. Absent: only tell.
    #[serde(default)]
    pub apply: bool,
    /// The cursor of the page before.
    #[serde(default)]
    pub after: Option<String>,
}

/// One payment, compared.
#[derive(Debug, Serialize, ToSchema)]
pub struct Compared {
    /// `pay_…`.
    pub payment_id: String,
    /// The shop's own order number.
    pub order_id: String,
    /// The gateway's number of the sale.
    pub gateway_ref: Option<String>,
    /// `match`, `cancelled_there` (more was given back there), `amount_differs`, `missing_there`, `in_doubt` (it is asked about
    /// already), `cannot_ask` or `silent`.
    pub verdict: &'static str,
    /// Minor units that were given back there and are not known here.
    pub cancelled_there: i64,
    /// Whether that was taken over.
    pub applied: bool,
    /// More of it, in words.
    pub detail: Option<String>,
}

/// A page of payments, compared.
#[derive(Debug, Serialize, ToSchema)]
pub struct Reconciled {
    /// One for each payment that the gateway approved on that day.
    pub data: Vec<Compared>,
    /// Give it as `after` for the next page; absent on the last one.
    pub next: Option<String>,
    /// What this comparison cannot see.
    pub note: &'static str,
}

/// Compares a day's payments of a channel with the gateway, one by one.
#[utoipa::path(
    post, path = "/v1/reconciliations", tag = "payments", request_body = ReconcileIn,
    responses((status = 200, body = Reconciled), (status = "default", description = "A problem", body = Problem))
)]
pub async fn reconcile(
    State(host): State<Host>,
    caller: ShopCaller,
    body: Body<ReconcileIn>,
) -> Result<Json<Reconciled>, Problem> {
    let input = body.value;
    let day = day(&input.date).ok_or_else(|| Problem::field("date", "a day, as 2026-11-21"))?;
    let after: Option<PaymentId> = match &input.after {
        None => None,
        Some(text) => Some(text.parse().map_err(|_| Problem::field("after", "not a cursor of this list"))?),
    };
    let channel: Option<ChannelId> = input.channel_id.parse().ok();
    let found = host.store().read(move |tx| {
        let Some(id) = channel else { return Ok(None) };
        let Some(row) = channels::get(tx, caller.shop_id, id)? else { return Ok(None) };
        if row.mode != caller.mode {
            return Ok(None);
        }
        payments::approved_between(tx, (caller.shop_id, id), day, after, PAGE).map(Some)
    });
    let found: Result<Option<Vec<Payment>>, Error> = found.await;
    let rows =
        found?.ok_or_else(|| Problem::field("channel_id", "the shop has no such channel in this mode"))?;
    let full = i64::try_from(rows.len()).unwrap_or(PAGE) == PAGE;
    let next = rows.last().filter(|_| full).map(|row| row.id.to_string());
    let mut data = Vec::with_capacity(rows.len());
    for row in rows {
        data.push(compare(&host, &row, input.apply).await?);
    }
    let note = "the gateway is asked about the payments of this host; sales that only the gateway knows are not seen";
    Ok(Json(Reconciled { data, next, note }))
}

async fn compare(host: &Host, row: &Payment, apply: bool) -> Result<Compared, Problem> {
    let mut compared = Compared {
        payment_id: row.id.to_string(),
        order_id: row.order_id.clone(),
        gateway_ref: row.gateway_ref.clone(),
        verdict: "in_doubt",
        cancelled_there: 0,
        applied: false,
        detail: None,
    };
    if row.resolution != Resolution::None {
        return Ok(compared);
    }
    (compared.verdict, compared.detail) = match look(host, row, apply).await {
        Ok(Look::Match) => ("match", None),
        Ok(Look::Cancelled(cancels)) => {
            compared.cancelled_there = cancels.iter().map(|cancel| cancel.amount).sum();
            compared.applied = apply;
            ("cancelled_there", None)
        }
        Ok(Look::Differs(words)) => ("amount_differs", Some(words)),
        Ok(Look::NotThere) => ("missing_there", None),
        Ok(Look::CannotAsk(words)) => ("cannot_ask", Some(words)),
        Ok(Look::Silent(words)) => ("silent", Some(words)),
        // Changed while it was looked at: an attempt of the shop's own is at work.
        Err(problem) if problem.code == "conflict" => ("in_doubt", Some(problem.detail)),
        Err(problem) => return Err(problem),
    };
    Ok(compared)
}

/// A day in Seoul, in microseconds: its beginning and the next one's.
fn day(text: &str) -> Option<(i64, i64)> {
    let date: Date = text.parse().ok()?;
    let seoul = TimeZone::get("Asia/Seoul").ok()?;
    let begins = |date: Date| Some(date.to_zoned(seoul.clone()).ok()?.timestamp().as_microsecond());
    Some((begins(date)?, begins(date.tomorrow().ok()?)?))
}

/// Takes over what the gateway changed in the last days' payments of a channel that wants it: a page of them after `after`, so
/// that a job is short however many there are; the next page at once, and from the first one again in an hour.
pub async fn watch(
    host: &Host,
    shop: ShopId,
    id: ChannelId,
    after: Option<PaymentId>,
) -> Result<Done, String> {
    let now_us = host.now_us();
    let since = (now_us.saturating_sub(WATCH_FOR_US), now_us);
    let page = host.store().read(move |tx| {
        let watched = channels::get(tx, shop, id)?.is_some_and(|row| row.watch);
        if !watched {
            return Ok(None);
        }
        payments::approved_between(tx, (shop, id), since, after, PAGE).map(Some)
    });
    let page: Result<Option<Vec<Payment>>, Error> = page.await;
    let Some(rows) = page.map_err(|error| error.to_string())? else { return Ok(Done::Finished) };
    for row in rows.iter().filter(|row| row.paid > row.cancelled) {
        let compared = compare(host, row, true).await.map_err(|problem| problem.detail)?;
        if compared.verdict == "silent" {
            let words = "the gateway is silent".to_owned();
            return Ok(Done::Again(now_us.saturating_add(WATCH_EVERY_US), words));
        }
        if ["amount_differs", "missing_there"].contains(&compared.verdict) {
            tracing::error!(payment = %row.id, verdict = compared.verdict, detail = ?compared.detail, "the gateway differs");
        }
    }
    let (after, due_us) = match rows.last() {
        Some(last) => (Some(last.id), now_us),
        None => (None, now_us.saturating_add(WATCH_EVERY_US)),
    };
    let host_in = host.clone();
    let planned = host
        .store()
        .transact(move |tx| jobs::enqueue(tx, &host_in, &Task::Watch { shop, channel: id, after }, due_us));
    planned.await.map_err(|error: Error| error.to_string())?;
    Ok(Done::Finished)
}
