//! `GET /v1/notices…`. Invariant: a shop sees what came to its own channels of the key's mode, and never the message itself: it
//! holds names and account numbers.

use axum::Json;
use axum::extract::State;
use payhost_core::id::NoticeId;
use payhost_store::rows::notices::{self, Filter, Notice, NoticeState};
use payhost_store::{Error, ShopKey};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::host::Host;
use crate::http::auth::ShopCaller;
use crate::http::json::{Params, PathId};
use crate::http::page::{Page, limit, page};
use crate::http::problem::Problem;
use crate::sealed::Place;
use crate::time::rfc3339;

/// A message of a gateway.
#[derive(Debug, Serialize, ToSchema)]
pub struct NoticeOut {
    /// `ntc_…`.
    pub id: String,
    /// The channel that it came to.
    pub channel_id: String,
    /// `received`, `read` (being verified), `doubted` (the gateway, asked, says otherwise; it is asked again), `applied`,
    /// `ignored`, `unknown_order`, `mismatched`, `held` (unlisted address, and the gateway cannot be asked), `unconfirmed`,
    /// `refused`, `unreadable` or `dismissed` (by a person).
    pub state: String,
    /// Why, in words.
    pub reason: Option<String>,
    /// What it says: kind, order number, gateway's number, amount.
    #[schema(value_type = Vec<Object>)]
    pub facts: Value,
    /// The payment that it is about.
    pub payment_id: Option<String>,
    /// Address that it first came from.
    pub source: String,
    /// Whether the plugin lists that address as the gateway's.
    pub source_listed: bool,
    /// How often it came.
    pub times: i64,
    /// What the gateway was answered.
    pub reply: Option<String>,
    /// Where the channel forwards notices of unknown orders: `waiting`, `forwarded` (taken there) or `failed`.
    pub forward: Option<String>,
    /// The HTTP status that the other side answered last.
    pub forward_status: Option<i64>,
    /// When it was taken there, RFC 3339.
    pub forwarded_at: Option<String>,
    /// RFC 3339.
    pub received_at: String,
    /// RFC 3339.
    pub updated_at: String,
}

/// A notice as it is shown.
pub fn out(key: &ShopKey, row: Notice) -> Result<NoticeOut, Error> {
    let reason = row.reason.map(|sealed| Place::Reason(row.id).open_words(key, &sealed));
    Ok(NoticeOut {
        id: row.id.to_string(),
        channel_id: row.channel_id.to_string(),
        state: row.state.as_str().to_owned(),
        reason: reason.transpose()?,
        facts: Place::Summary(row.id).open_json(key, &row.summary)?,
        payment_id: row.payment_id.map(|id| id.to_string()),
        source: row.source,
        source_listed: row.listed,
        times: row.times,
        reply: row.reply,
        forward: row.forward.map(|state| state.as_str().to_owned()),
        forward_status: row.forward_status,
        forwarded_at: row.forwarded_us.map(rfc3339),
        received_at: rfc3339(row.created_us),
        updated_at: rfc3339(row.updated_us),
    })
}

/// Which notices.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct NoticeParams {
    /// Only those in a state.
    pub state: Option<String>,
    /// Only those about a payment, `pay_…`.
    pub payment_id: Option<String>,
    /// At most 100; default 20.
    pub limit: Option<u32>,
    /// The cursor of the page before.
    pub after: Option<String>,
}

/// Lists what gateways sent, newest first.
#[utoipa::path(
    get, path = "/v1/notices", tag = "virtual accounts", params(NoticeParams),
    responses((status = 200, body = Page<NoticeOut>), (status = "default", description = "A problem", body = Problem))
)]
pub async fn list(
    State(host): State<Host>,
    caller: ShopCaller,
    Params(params): Params<NoticeParams>,
) -> Result<Json<Page<NoticeOut>>, Problem> {
    let limit = limit(params.limit)?;
    let after: Option<NoticeId> = match &params.after {
        None => None,
        Some(text) => Some(text.parse().map_err(|_| Problem::field("after", "not a cursor of this list"))?),
    };
    let state = match &params.state {
        None => None,
        Some(text) => {
            Some(NoticeState::parse(text).ok_or_else(|| Problem::field("state", "not a state of a notice"))?)
        }
    };
    let payment = match &params.payment_id {
        None => None,
        Some(text) => {
            Some(text.parse().map_err(|_| Problem::field("payment_id", "not the id of a payment"))?)
        }
    };
    let filter = Filter { mode: caller.mode, state, payment, after, limit: i64::from(limit) + 1 };
    let rows = host.store().read(move |tx| notices::list(tx, caller.shop_id, &filter)).await?;
    let key = host.shop_key(caller.shop_id).await?;
    let shown = rows.into_iter().map(|row| out(&key, row)).collect::<Result<Vec<_>, Error>>()?;
    Ok(Json(page(shown, limit, |notice: &NoticeOut| notice.id.clone())))
}

/// Shows a notice.
#[utoipa::path(
    get, path = "/v1/notices/{id}", tag = "virtual accounts", params(("id" = String, Path, description = "`ntc_…`")),
    responses((status = 200, body = NoticeOut), (status = "default", description = "A problem", body = Problem))
)]
pub async fn read(
    State(host): State<Host>,
    caller: ShopCaller,
    PathId(id): PathId<NoticeId>,
) -> Result<Json<NoticeOut>, Problem> {
    let row = host.store().read(move |tx| notices::get(tx, caller.shop_id, id)).await?;
    let row = row.filter(|row| row.mode == caller.mode).ok_or_else(|| Problem::not_found("notice"))?;
    Ok(Json(out(&host.shop_key(row.shop_id).await?, row)?))
}
