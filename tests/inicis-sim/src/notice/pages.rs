//! Invariant: the admin's page shows the merchant's raw answer to every try, as the gateway's admin does
//! (`reference/inicis.md` §3.2), and does only what the control API does.

use askama::Template;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::json;

use super::control::by_hand;
use super::{Dress, Kind, Notice, Record, Try};
use crate::control::failed;
use crate::form::Fields;
use crate::ledger::{Event, LedgerError};
use crate::refusal::Refusal;
use crate::sim::{Shared, Sim};
use crate::stdpay::pages::html;
use crate::vbank::control::split;
use crate::vbank::pages::moment;
use crate::vbank::settings;
use crate::vbank::settings::overlaid;

/// Most notices on the page.
const ON_PAGE: usize = 50;

/// Routes of the page.
pub fn router() -> Router<Shared> {
    Router::new()
        .route("/_sim/admin", get(page))
        .route("/_sim/admin/url", post(set_url))
        .route("/_sim/admin/probe", post(probe))
        .route("/_sim/admin/resend", post(resend))
}

struct Tried {
    at: String,
    round: String,
    outcome: String,
    accepted: bool,
}

struct Row {
    id: u64,
    kind: &'static str,
    mid: String,
    oid: String,
    url: String,
    accepted: bool,
    next: String,
    tries: Vec<Tried>,
}

#[derive(Template)]
#[template(path = "admin.html")]
struct AdminPage {
    message: String,
    urls: Vec<(String, String)>,
    notices: Vec<Row>,
}

#[derive(Deserialize)]
struct PageQuery {
    #[serde(default)]
    message: String,
}

const fn label(kind: Kind) -> &'static str {
    match kind {
        Kind::PcDeposit => "입금 통보",
        Kind::PcDepositCancel => "입금취소 통보",
        Kind::MobileIssued => "모바일 채번 통보",
        Kind::MobileDeposit => "모바일 입금 통보",
        Kind::MobileApproved => "모바일 승인 통보",
        Kind::Escrow => "에스크로 통보",
        Kind::Raw => "직접 보낸 요청",
    }
}

fn outcome(one: &Try) -> String {
    match (&one.error, one.status) {
        (Some(error), _) => error.clone(),
        (None, Some(status)) => format!("HTTP {status} · {:?}", one.answer),
        (None, None) => one.answer.clone(),
    }
}

fn row(record: &Record, speed: u32) -> Row {
    let tried = |one: &Try| Tried {
        at: moment(one.at),
        round: one.round.map_or_else(|| "수동".to_owned(), |round| format!("{round}회")),
        outcome: outcome(one),
        accepted: one.accepted,
    };
    Row {
        id: record.notice.id,
        kind: label(record.notice.kind),
        mid: record.notice.mid.clone(),
        oid: record.notice.oid.clone(),
        url: record.notice.url.clone(),
        accepted: record.accepted(),
        next: record.next_at(speed).map(moment).unwrap_or_default(),
        tries: record.tries.iter().rev().take(ON_PAGE).map(tried).collect(),
    }
}

async fn page(State(sim): State<Shared>, Query(query): Query<PageQuery>) -> Response {
    let (urls, notices) = sim.ledger.peek(|book| {
        let switches = settings(&sim, book);
        let url = |mid: &str| (mid.to_owned(), switches.urls.get(mid).cloned().unwrap_or_default());
        let rows = book.notices.all().iter().rev().take(ON_PAGE).map(|record| row(record, switches.speed));
        (sim.merchants.ids().map(url).collect(), rows.collect())
    });
    html(&AdminPage { message: query.message, urls, notices })
}

fn back(message: &str) -> Response {
    let query = form_urlencoded::Serializer::new(String::new()).append_pair("message", message).finish();
    Redirect::to(&format!("/_sim/admin?{query}")).into_response()
}

async fn set_url(State(sim): State<Shared>, body: Bytes) -> Response {
    let fields = Fields::parse(&body);
    let url = Some(fields.get("url").trim()).filter(|url| !url.is_empty());
    let patch = json!({"urls": {fields.get("mid"): url}});
    let at = sim.clock.now_ms();
    let booked = sim.ledger.book(|book| {
        let changed = overlaid(&settings(&sim, book), &patch);
        split(changed.map_err(|error| Refusal::new("SIM:FIELD", error.to_string())).map(|changed| {
            (vec![Event::VbankSettings { at, settings: Box::new(changed) }], "통보 주소를 저장했습니다")
        }))
    });
    match booked.await {
        Ok(Ok(text)) => back(text),
        Ok(Err(refusal)) => back(&refusal.message),
        Err(error) => failed(&error),
    }
}

async fn probe(State(sim): State<Shared>, body: Bytes) -> Response {
    let mid = Fields::parse(&body).get("mid").to_owned();
    let queued = sim.ledger.book(|book| {
        let Some(url) = settings(&sim, book).urls.get(&mid).cloned() else { return (Vec::new(), None) };
        let notice = Notice {
            id: book.notices.next_id(),
            kind: Kind::Raw,
            mid,
            oid: String::new(),
            tid: String::new(),
            method: "GET".to_owned(),
            url,
            fields: Vec::new(),
            body_base64: None,
            dress: Dress::default(),
        };
        (vec![super::build::queued(&sim, notice.clone())], Some(notice))
    });
    match queued.await {
        Ok(Some(notice)) => told(&sim, &notice).await,
        Ok(None) => back("통보 주소가 없습니다"),
        Err(error) => failed(&error),
    }
}

async fn resend(State(sim): State<Shared>, body: Bytes) -> Response {
    let id = Fields::parse(&body).get("id").parse().unwrap_or_default();
    let at = sim.clock.now_ms();
    let stopped = sim.ledger.book(|book| match book.notices.get(id) {
        Some(record) => (vec![Event::NoticeStopped { at, id }], Some(record.notice.clone())),
        None => (Vec::new(), None),
    });
    match stopped.await {
        Ok(Some(notice)) => told(&sim, &notice).await,
        Ok(None) => back("없는 알림입니다"),
        Err(error) => failed(&error),
    }
}

/// Sends once and shows the answer.
async fn told(sim: &Sim, notice: &Notice) -> Response {
    let sent: Result<Vec<Try>, LedgerError> = by_hand(sim, notice, 1, 1).await;
    match sent {
        Ok(tries) => back(&tries.first().map(outcome).unwrap_or_default()),
        Err(error) => failed(&error),
    }
}
