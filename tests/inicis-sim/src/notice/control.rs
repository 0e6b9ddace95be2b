//! Invariant: what is sent by hand is booked like a round of the schedule, and its call answers when all of it came back.

use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

use super::build::{self, Step};
use super::{Kind, Notice, Record, Try, courier};
use crate::control::failed;
use crate::ledger::{Event, LedgerError};
use crate::play::refused;
use crate::refusal::Refusal;
use crate::sim::{Shared, Sim};
use crate::vbank::control::{dress, split};
use crate::vbank::settings::overlaid;
use crate::vbank::{Target, settings};

/// Largest call: a raw notice with fields of megabytes.
const CALL_MAX: usize = 32 * 1024 * 1024;

/// Most sendings of one call.
const TIMES_MAX: usize = 100_000;

/// Routes of notices.
pub fn router() -> Router<Shared> {
    Router::new()
        .route("/_sim/notices", get(list))
        .route("/_sim/notices/{id}", get(one))
        .route("/_sim/notices/{id}/send", post(send_again))
        .route("/_sim/notices/raw", post(raw))
        .route("/_sim/notices/settle", post(settle))
        .route("/_sim/escrow-notice", post(escrow))
        .layer(DefaultBodyLimit::max(CALL_MAX))
}

/// A record with what follows from it.
fn shown(record: &Record, speed: u32) -> Value {
    let mut value = json!(record);
    if let Some(members) = value.as_object_mut() {
        members.insert("accepted".to_owned(), json!(record.accepted()));
        members.insert("next_at".to_owned(), json!(record.next_at(speed)));
    }
    value
}

#[derive(Deserialize)]
struct ListQuery {
    oid: Option<String>,
    kind: Option<Kind>,
}

async fn list(State(sim): State<Shared>, Query(query): Query<ListQuery>) -> Response {
    let listed = sim.ledger.read(|book| {
        let speed = settings(&sim, book).speed;
        let wanted = |record: &&Record| {
            query.oid.as_ref().is_none_or(|oid| *oid == record.notice.oid)
                && query.kind.is_none_or(|kind| kind == record.notice.kind)
        };
        book.notices.all().iter().filter(wanted).map(|record| shown(record, speed)).collect::<Vec<_>>()
    });
    match listed.await {
        Ok(notices) => Json(json!({ "notices": notices })).into_response(),
        Err(error) => failed(&error),
    }
}

async fn one(State(sim): State<Shared>, Path(id): Path<u64>) -> Response {
    let found =
        sim.ledger.read(|book| book.notices.get(id).map(|record| shown(record, settings(&sim, book).speed)));
    match found.await {
        Ok(Some(notice)) => Json(notice).into_response(),
        Ok(None) => StatusCode::NOT_FOUND.into_response(),
        Err(error) => failed(&error),
    }
}

const fn once() -> usize {
    1
}

/// What a sending by hand changes.
#[derive(Deserialize)]
struct Again {
    #[serde(default = "once")]
    times: usize,
    #[serde(default = "once")]
    parallel: usize,
    url: Option<String>,
    #[serde(default)]
    set: BTreeMap<String, String>,
    #[serde(default)]
    unset: Vec<String>,
    #[serde(default)]
    notice: Value,
}

async fn send_again(State(sim): State<Shared>, Path(id): Path<u64>, Json(again): Json<Again>) -> Response {
    let at = sim.clock.now_ms();
    let stopped = sim.ledger.book(|book| {
        let found = book.notices.get(id).ok_or_else(|| Refusal::new("SIM:NOTICE", "없는 알림입니다"));
        let changed = found.and_then(|record| changed(&record.notice, &again));
        split(changed.map(|notice| (vec![Event::NoticeStopped { at, id }], notice)))
    });
    match stopped.await {
        Ok(Ok(notice)) => sent(&sim, &notice, again.times, again.parallel).await,
        Ok(Err(refusal)) => refused(&refusal),
        Err(error) => failed(&error),
    }
}

fn changed(notice: &Notice, again: &Again) -> Result<Notice, Refusal> {
    let dress = overlaid(&notice.dress, &again.notice)
        .map_err(|error| Refusal::new("SIM:NOTICE", format!("notice: {error}")))?;
    let mut changed = Notice { dress, ..notice.clone() };
    if let Some(url) = &again.url {
        changed.url.clone_from(url);
    }
    changed.fields.retain(|(name, _)| !again.unset.contains(name));
    for (name, value) in &again.set {
        match changed.fields.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => old.clone_from(value),
            None => changed.fields.push((name.clone(), value.clone())),
        }
    }
    Ok(changed)
}

/// Sends by hand and says what came back.
async fn sent(sim: &Sim, notice: &Notice, times: usize, parallel: usize) -> Response {
    match by_hand(sim, notice, times, parallel).await {
        Ok(tries) => {
            let accepted = tries.iter().filter(|one| one.accepted).count();
            let sent = tries.len();
            Json(json!({"id": notice.id, "sent": sent, "accepted": accepted, "tries": tries})).into_response()
        }
        Err(error) => failed(&error),
    }
}

/// Sends so many times, so many at once.
///
/// # Errors
/// A try could not be booked.
pub async fn by_hand(
    sim: &Sim,
    notice: &Notice,
    times: usize,
    parallel: usize,
) -> Result<Vec<Try>, LedgerError> {
    let each = stream::iter(0..times.min(TIMES_MAX)).map(|_| courier::attempt(sim, notice, None));
    each.buffer_unordered(parallel.max(1)).try_collect().await
}

/// Any request to a merchant.
#[derive(Deserialize)]
struct Raw {
    url: Option<String>,
    #[serde(default)]
    mid: String,
    #[serde(default = "post_method")]
    method: String,
    #[serde(default)]
    fields: Vec<(String, String)>,
    body: Option<String>,
    body_base64: Option<String>,
    #[serde(default)]
    notice: Value,
    #[serde(default = "once")]
    times: usize,
    #[serde(default = "once")]
    parallel: usize,
}

fn post_method() -> String {
    "POST".to_owned()
}

async fn raw(State(sim): State<Shared>, Json(raw): Json<Raw>) -> Response {
    let (times, parallel) = (raw.times, raw.parallel);
    let queued = sim.ledger.book(|book| {
        let notice = dress(&sim, book, &raw.notice).and_then(|dress| {
            let own = || settings(&sim, book).urls.get(&raw.mid).cloned();
            let url = raw.url.clone().or_else(own);
            Ok(Notice {
                id: book.notices.next_id(),
                kind: Kind::Raw,
                mid: raw.mid.clone(),
                oid: String::new(),
                tid: String::new(),
                method: raw.method.clone(),
                url: url
                    .ok_or_else(|| Refusal::new("SIM:NOTICE", "url 또는 mid 의 통보 주소가 필요합니다"))?,
                fields: raw.fields.clone(),
                body_base64: raw
                    .body_base64
                    .clone()
                    .or_else(|| raw.body.as_ref().map(|text| STANDARD.encode(text))),
                dress,
            })
        });
        split(notice.map(|notice| (vec![build::queued(&sim, notice.clone())], notice)))
    });
    match queued.await {
        Ok(Ok(notice)) => sent(&sim, &notice, times, parallel).await,
        Ok(Err(refusal)) => refused(&refusal),
        Err(error) => failed(&error),
    }
}

#[derive(Deserialize)]
struct Wait {
    #[serde(default = "ten_seconds")]
    timeout_ms: u64,
}

const fn ten_seconds() -> u64 {
    10_000
}

async fn settle(State(sim): State<Shared>, Json(wait): Json<Wait>) -> Response {
    match courier::settle(&sim, Duration::from_millis(wait.timeout_ms)).await {
        Ok(settled) => Json(json!({ "settled": settled })).into_response(),
        Err(error) => failed(&error),
    }
}

#[derive(Deserialize)]
struct Escrow {
    #[serde(flatten)]
    target: Target,
    #[serde(flatten)]
    step: Step,
    #[serde(default)]
    notice: Value,
}

async fn escrow(State(sim): State<Shared>, Json(call): Json<Escrow>) -> Response {
    let queued = sim.ledger.book(|book| {
        let decided = dress(&sim, book, &call.notice).and_then(|dress| {
            let sale = call.target.find(book, |sale| sale.approvals > 0)?;
            let notice = build::escrow(&sim, book, sale, &call.step, &dress)?;
            let id = notice.id;
            Ok((vec![build::queued(&sim, notice)], id))
        });
        split(decided)
    });
    match queued.await {
        Ok(Ok(id)) => Json(json!({ "notices": [id] })).into_response(),
        Ok(Err(refusal)) => refused(&refusal),
        Err(error) => failed(&error),
    }
}
