//! `/notify/{channel}`. Invariant: what a gateway sends is on disk before it is answered; the answer is the plugin's word and
//! nothing around it, given only after that word is on disk too, or what it says is; the same message gets the same answer again
//! and does nothing more (`design.md` "Money", rule 7). What strangers send fills no disk and stops no true message: what names no
//! order of ours has limits of its own ([`NoticeLimits`]), and of what names one only so much is kept for each payment that the
//! gateway did not confirm ([`super::hearing`]).

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use payhost_core::id::{ChannelId, NoticeId, ShopId};
use payhost_core::kill::{self, Point};
use payhost_engine::contract::vbank_notice::Notice as Message;
use payhost_store::Error;
use payhost_store::rows::channels;
use payhost_store::rows::notices::{self, Amount, Notice, NoticeState};

use super::read::{Reader, Reading, is_ours, read};
use super::{INTERFACE, source, told};
use crate::channels::ready::{Ready, Rows};
use crate::host::{Host, hex};
use crate::http::json::PathOfShop;
use crate::http::problem::Problem;
use crate::jobs::{self, Task};
use crate::sealed::Place;

/// Most bytes of a notice: many times what any gateway sends.
const BODY_MAX: usize = 64 * 1024;
/// Most bytes of its query.
const QUERY_MAX: usize = 8 * 1024;
/// Most parameters, in query and body together.
const PARAMETERS_MAX: usize = 1000;
/// When the job looks at a notice whose reader died before it answered, in microseconds. Later than the gateway's patience, so
/// that the job does not run beside the request.
const LEFT_BEHIND_US: i64 = 60_000_000;
/// An hour, in microseconds: for so long messages that name no order of the shop are counted ([`NoticeLimits`]).
const STRANGE_US: i64 = 3600 * 1_000_000;

/// What is kept of messages that come to `/notify/` from addresses that the plugin does not list and name no order of the shop:
/// anybody can send such. A message that names one is heard whatever came before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct NoticeLimits {
    /// Messages in an hour, for each channel.
    pub strange_per_hour: u32,
    /// Their bytes.
    pub strange_bytes_per_hour: u32,
    /// How long their digests and a few words are kept.
    pub strange_kept: Duration,
}

impl Default for NoticeLimits {
    fn default() -> Self {
        Self {
            strange_per_hour: 1000,
            strange_bytes_per_hour: 1 << 20,
            strange_kept: Duration::from_secs(7 * 24 * 3600),
        }
    }
}

impl NoticeLimits {
    fn strange(self) -> Amount {
        Amount { messages: self.strange_per_hour.into(), bytes: self.strange_bytes_per_hour.into() }
    }
}

/// Takes a notice; a `GET` without parameters only says that the address is right.
pub async fn receive(
    State(host): State<Host>,
    PathOfShop(shop, id): PathOfShop<ChannelId>,
    request: Request,
) -> Response {
    let (ready, strange) = match ready(&host, shop, id).await {
        Ok(found) => found,
        Err(problem) => return problem.into_response(),
    };
    let (parts, body) = request.into_parts();
    let query = parts.uri.query().unwrap_or_default().to_owned();
    if parts.method != Method::POST && query.is_empty() {
        return plain(StatusCode::OK, "payhost notify address");
    }
    let Ok(body) = to_bytes(body, BODY_MAX).await else {
        return plain(StatusCode::PAYLOAD_TOO_LARGE, "too large");
    };
    let parameters = query.bytes().chain(body.iter().copied()).filter(|byte| *byte == b'&').count();
    if query.len() > QUERY_MAX || parameters >= PARAMETERS_MAX {
        return plain(StatusCode::PAYLOAD_TOO_LARGE, "too large");
    }
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| *peer);
    let address = crate::http::source::address(peer, &parts.headers, host.trusted_proxies());
    let kind = parts.headers.get(CONTENT_TYPE).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let message = Message {
        verb: parts.method.as_str().to_owned(),
        query,
        content_type: kind.unwrap_or_default().into_owned(),
        body: body.to_vec(),
        source: address.map(|address| address.to_string()).unwrap_or_default(),
    };
    source::warn_of_a_proxy(&host, address, &parts.headers);
    let listed = source::listed(&ready.plugin.descriptor().notice_sources, address);
    let flood = !listed && strange.is_full(host.notice_limits().strange(), size(&message));
    let host_in = host.clone();
    // A gateway that hangs up does not stop the reading.
    let answered = host.finish(async move { answer(&host_in, &ready, message, listed, flood).await }).await;
    answered.unwrap_or_else(IntoResponse::into_response)
}

/// The channel, and how much that names no order of its shop came to it of late.
async fn ready(host: &Host, shop: ShopId, id: ChannelId) -> Result<(Ready, Amount), Problem> {
    let since_us = host.now_us().saturating_sub(STRANGE_US);
    let most = host.notice_limits().strange().messages;
    let vault = host.vault().clone();
    let found = host.store().read(move |tx| {
        tx.keep_settings()?;
        if channels::get(tx, shop, id)?.is_none() {
            return Ok(None);
        }
        let rows = Rows::read(tx, &vault, shop, id, None)?;
        Ok::<_, Error>(Some((rows, notices::strange(tx, (shop, id), since_us, most)?)))
    });
    let (rows, strange) = found.await.map_err(Rows::problem)?.ok_or_else(|| Problem::not_found("channel"))?;
    let ready = Ready::of(host, rows, None, None).await?;
    if ready.plugin.supports(INTERFACE) { Ok((ready, strange)) } else { Err(Problem::not_found("channel")) }
}

/// Stores, lets the plugin read, answers.
async fn answer(
    host: &Host,
    ready: &Ready,
    message: Message,
    listed: bool,
    flood: bool,
) -> Result<Response, Problem> {
    let digest = digest(host, &message)?;
    if flood {
        let ((shop, channel), known) = ((ready.channel.shop_id, ready.channel.id), digest.clone());
        // What names an order of ours is heard all the same: a gateway's notices look like everybody's behind a proxy that is
        // not trusted, or from an address that the plugin does not list yet.
        if !host.store().read(move |tx| notices::is_known(tx, shop, channel, &known)).await?
            && !is_ours(host, ready, &message).await?
        {
            tracing::debug!(channel = %ready.channel.id, source = message.source, "a notice is not taken: a flood");
            return Ok(too_many());
        }
    }
    let row = keep(host, ready, &message, digest, listed).await?;
    kill::at(Point::NoticeStored, "notice");
    if let (Some(reply), Some(kind)) = (&row.reply, &row.reply_type) {
        return Ok(typed(reply.clone(), kind));
    }
    let refused = || plain(StatusCode::BAD_REQUEST, "this is not a notice for this address");
    if row.state == NoticeState::Refused && row.updated_us > ready.channel.updated_us {
        // Nothing changed that could let the plugin read it otherwise.
        return Ok(refused());
    }
    Ok(match read(host, ready, &row, &message, Reader::Request).await? {
        Reading::Replied { reply, kind } => typed(reply, &kind),
        Reading::TooMany => too_many(),
        Reading::Refused(words) => {
            if row.listed || host.told().first(told::Of::Refused(row.shop_id, row.channel_id)) {
                tracing::warn!(notice = %row.id, channel = %row.channel_id, %words, "a notice was refused");
            }
            refused()
        }
        // The gateway repeats what was not answered.
        Reading::Failed(words) => {
            if row.listed || host.told().first(told::Of::Unread(row.shop_id, row.channel_id)) {
                tracing::error!(notice = %row.id, channel = %row.channel_id, %words, "a notice could not be read");
            }
            plain(StatusCode::INTERNAL_SERVER_ERROR, "not read")
        }
    })
}

/// The row of the message: new, with a job that reads it if this process dies, or the one that it has.
async fn keep(
    host: &Host,
    ready: &Ready,
    message: &Message,
    digest: String,
    listed: bool,
) -> Result<Notice, Problem> {
    let id = host.new_id(NoticeId::new);
    let now_us = host.now_us();
    let row = Notice {
        id,
        shop_id: ready.channel.shop_id,
        channel_id: ready.channel.id,
        mode: ready.channel.mode,
        digest,
        source: message.source.clone(),
        listed,
        size: size(message),
        order_ref: None,
        raw: Some(Place::Notice(id).seal_json(&ready.key, message)?),
        times: 1,
        state: NoticeState::Received,
        reading: None,
        reply: None,
        reply_type: None,
        summary: Place::Summary(id).seal_json(&ready.key, &serde_json::json!([]))?,
        payment_id: None,
        reason: None,
        forward: None,
        forward_status: None,
        forwarded_us: None,
        since_us: now_us,
        created_us: now_us,
        updated_us: now_us,
    };
    let host_in = host.clone();
    let kept = host.store().transact(move |tx| {
        if let Some(known) = notices::keep(tx, &row)? {
            return Ok(known);
        }
        let task = Task::Notice { shop: row.shop_id, notice: row.id };
        jobs::enqueue(tx, &host_in, &task, now_us.saturating_add(LEFT_BEHIND_US))?;
        Ok::<_, Error>(row)
    });
    Ok(kept.await?)
}

/// The gateway repeats what is answered so.
fn too_many() -> Response {
    plain(StatusCode::TOO_MANY_REQUESTS, "too many messages from unknown addresses")
}

/// Bytes that keeping a message costs.
fn size(message: &Message) -> i64 {
    let bytes = message.body.len().saturating_add(message.query.len());
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// What makes two messages the same: everything but where they came from. Under a key of the host, because most of a message can be
/// guessed, and with a plain hash the account number in it could be found by trying.
fn digest(host: &Host, message: &Message) -> Result<String, Error> {
    let whole = [message.verb.as_bytes(), &[0], message.query.as_bytes(), &[0], &message.body].concat();
    Ok(hex(&host.vault().mac("notice digest", &whole)?))
}

fn typed(reply: String, kind: &str) -> Response {
    let kind = HeaderValue::from_str(kind).unwrap_or_else(|_| HeaderValue::from_static("text/plain"));
    (StatusCode::OK, [(CONTENT_TYPE, kind)], Body::from(reply)).into_response()
}

fn plain(status: StatusCode, words: &'static str) -> Response {
    (status, [(CONTENT_TYPE, HeaderValue::from_static("text/plain"))], Body::from(words)).into_response()
}
