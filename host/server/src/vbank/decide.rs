//! `POST /v1/notices/{id}/accept` and `…/dismiss`: a person decides about a notice that the host did not believe. Invariant: only
//! an operator decides, about a notice that is over and changed nothing; accepted, its facts, ledger lines and events are those
//! of any notice, with the person's name beside them; money that cannot be the payment's is accepted by nobody.

use axum::Json;
use axum::extract::State;
use payhost_core::Resolution;
use payhost_core::id::NoticeId;
use payhost_engine::contract::vbank_notice::Received;
use payhost_store::rows::attempts;
use payhost_store::rows::checkouts::Checkout;
use payhost_store::rows::notices::{self, Notice, NoticeState};
use payhost_store::{Error, Tx};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::claim::{Claimed, Matched, amount_fits, claimed, matched};
use super::facts::{Trust, Verified, end, write};
use super::notices::{NoticeOut, out};
use crate::channels::ready::Ready;
use crate::host::Host;
use crate::http::auth::OperatorForShop;
use crate::http::json::{Body, PathId};
use crate::http::problem::Problem;
use crate::http::text;
use crate::payments::attempt::locked;
use crate::payments::finding::signed;
use crate::payments::settle::Change;
use crate::sealed::Place;

/// Why a person decided.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DecisionIn {
    /// What was seen where.
    #[schema(max_length = 1000)]
    #[serde(deserialize_with = "text::line")]
    pub note: String,
    /// Who looked.
    #[schema(max_length = 100)]
    #[serde(deserialize_with = "text::line")]
    pub by: String,
}

/// What a person decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decision {
    Accepted,
    Dismissed,
}

impl Decision {
    fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Dismissed => "dismissed",
        }
    }

    fn state(self) -> NoticeState {
        match self {
            Self::Accepted => NoticeState::Applied,
            Self::Dismissed => NoticeState::Dismissed,
        }
    }

    /// Whether it can be about a notice in this state.
    fn fits(self, state: NoticeState) -> bool {
        use NoticeState as S;
        match state {
            S::Mismatched | S::Held | S::Unconfirmed => true,
            S::UnknownOrder => self == Self::Dismissed,
            S::Received | S::Read | S::Doubted | S::Applied | S::Ignored | S::Refused => false,
            S::Unreadable | S::Dismissed => false,
        }
    }
}

/// Takes a notice's facts over by a person's word.
#[utoipa::path(
    post, path = "/v1/notices/{id}/accept", tag = "virtual accounts", request_body = DecisionIn,
    params(("id" = String, Path, description = "`ntc_…`")),
    responses((status = 200, body = NoticeOut), (status = "default", description = "A problem", body = Problem))
)]
pub async fn accept(
    State(host): State<Host>,
    caller: OperatorForShop,
    PathId(id): PathId<NoticeId>,
    body: Body<DecisionIn>,
) -> Result<Json<NoticeOut>, Problem> {
    let notice = match open(&host, (caller, id), Decision::Accepted, &body.value).await? {
        Ok(notice) => notice,
        Err(done) => return Ok(done),
    };
    let ready = Ready::load(&host, notice.shop_id, notice.channel_id, None).await?;
    let gone = || Problem::new("conflict", "what the notice said is not kept any more");
    let sealed = notice.reading.as_ref().ok_or_else(gone)?;
    let received: Received = Place::Reading(id).open_json(&ready.key, sealed)?;
    let mut claims = Vec::new();
    for claim in received.facts.into_iter().filter_map(|fact| claimed(fact).ok()) {
        claims.push(acceptable(&host, &notice, claim).await?);
    }
    let host_in = host.clone();
    let decided = host.store().transact(move |tx| {
        let host = &host_in;
        for (ready, checkout, verified) in &claims {
            let payment = locked(tx, checkout.shop_id, checkout.payment_id)?;
            let busy = attempts::open_of(tx, checkout.shop_id, checkout.payment_id)?.is_some();
            if busy || payment.resolution == Resolution::InDoubt {
                let words =
                    "another attempt of this payment is running or in doubt; accept the notice afterwards";
                return Err(Problem::new("payment_busy", words));
            }
            let trust = Trust { confirmed: false, listed: notice.listed, accepted: true };
            if !write(tx, host, Some(ready), checkout, verified, trust)? {
                // Rolls the alarm back, too: the person hears it.
                let words = "it contradicts a fact that is known; settle it at the gateway";
                return Err(Problem::new("conflict", words));
            }
        }
        let checkout = claims.last().map(|(_, checkout, _)| checkout);
        decide(tx, host, &notice, checkout, Decision::Accepted, &body.value)
    });
    let row = decided.await?;
    host.settled().notify_waiters();
    host.jobs().notify_one();
    Ok(Json(out(&host.shop_key(row.shop_id).await?, row)?))
}

/// Ends a notice with which nothing is to be done.
#[utoipa::path(
    post, path = "/v1/notices/{id}/dismiss", tag = "virtual accounts", request_body = DecisionIn,
    params(("id" = String, Path, description = "`ntc_…`")),
    responses((status = 200, body = NoticeOut), (status = "default", description = "A problem", body = Problem))
)]
pub async fn dismiss(
    State(host): State<Host>,
    caller: OperatorForShop,
    PathId(id): PathId<NoticeId>,
    body: Body<DecisionIn>,
) -> Result<Json<NoticeOut>, Problem> {
    let notice = match open(&host, (caller, id), Decision::Dismissed, &body.value).await? {
        Ok(notice) => notice,
        Err(done) => return Ok(done),
    };
    let host_in = host.clone();
    let decided = host
        .store()
        .transact(move |tx| decide(tx, &host_in, &notice, None, Decision::Dismissed, &body.value));
    let row = decided.await?;
    Ok(Json(out(&host.shop_key(row.shop_id).await?, row)?))
}

/// The notice, if it can be decided about; `Err`: it was decided so before.
async fn open(
    host: &Host,
    (caller, id): (OperatorForShop, NoticeId),
    decision: Decision,
    input: &DecisionIn,
) -> Result<Result<Notice, Json<NoticeOut>>, Problem> {
    signed(&input.note, &input.by)?;
    let found = host.store().read(move |tx| notices::get(tx, caller.shop_id, id)).await?;
    let found = found.filter(|notice| notice.mode == caller.mode);
    let notice = found.ok_or_else(|| Problem::not_found("notice"))?;
    if notice.state == decision.state() {
        return Ok(Err(Json(out(&host.shop_key(notice.shop_id).await?, notice)?)));
    }
    if !decision.fits(notice.state) {
        let words = format!("a notice that is {} cannot be {}", notice.state.as_str(), decision.as_str());
        return Err(Problem::new("conflict", words));
    }
    Ok(Ok(notice))
}

/// What accepting a claim writes, and through which channel and checkout.
async fn acceptable(
    host: &Host,
    notice: &Notice,
    claim: Claimed,
) -> Result<(Ready, Checkout, Verified), Problem> {
    let Claimed { verified, order_ref, amount } = claim;
    let found = matched(host, notice, &order_ref).await?;
    let Matched { checkout, known, misdirected: _ } =
        found.map_err(|words| Problem::new("conflict", words))?;
    amount_fits(&known.payment, &verified, &amount).map_err(|words| Problem::new("conflict", words))?;
    let ready = Ready::load_for(host, &known.payment, Some(checkout.id)).await?;
    Ok((ready, checkout, verified))
}

/// Writes the decision, and tells of it where there is a payment.
fn decide(
    tx: &mut Tx<'_>,
    host: &Host,
    notice: &Notice,
    checkout: Option<&Checkout>,
    decision: Decision,
    input: &DecisionIn,
) -> Result<Notice, Problem> {
    let reason = format!("{} by {}: {}", decision.as_str(), input.by, input.note);
    if !end(tx, host, notice, decision.state(), Some(reason), checkout)? {
        return Err(Error::Stale { what: "notice" }.into());
    }
    tracing::warn!(notice = %notice.id, decision = decision.as_str(), by = %input.by, "a person decided about a notice");
    if let Some(id) = checkout.map(|checkout| checkout.payment_id).or(notice.payment_id) {
        let mut change = Change::begin(host, locked(tx, notice.shop_id, id)?, None);
        let data =
            json!({"notice": notice.id, "finding": decision.as_str(), "note": input.note, "by": input.by});
        change.event("payment.resolved", data);
        change.write(tx)?;
    }
    let row = notices::get(tx, notice.shop_id, notice.id)?;
    Ok(row.ok_or(Error::NotFound { what: "notice" })?)
}
