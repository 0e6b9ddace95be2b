//! Running journaled calls again. Invariant: a replay sends nothing anywhere: the network's answers come from the record, and a
//! request that is not the recorded one is a difference.

use std::sync::Arc;

use axum::Json;
use axum::body::Body as HttpBody;
use axum::extract::State;
use payhost_core::id::CallId;
use payhost_engine::contract::find;
use payhost_engine::egress::Recorded;
use payhost_engine::{CallRecord, Plugin, Transport};
use payhost_store::Error;
use payhost_store::rows::calls::{self, Call};
use payhost_store::rows::plugins;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use super::install::read_component;
use crate::channels::ready::{Moment, Ready, unhex};
use crate::host::Host;
use crate::http::auth::Operator;
use crate::http::json::{Params, PathId};
use crate::http::problem::Problem;
use crate::sealed::Place;

/// Most calls of one trial.
const LAST_MAX: i64 = 1000;

/// What came of running a call again.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReplayOut {
    /// The call.
    pub call: String,
    /// `general-pay.begin`.
    pub function: String,
    /// `same`, `different`, or `not_replayable`.
    pub outcome: &'static str,
    /// Why it cannot be run again.
    pub reason: Option<String>,
    /// Requests that differ from the recorded ones, in order.
    #[schema(value_type = Vec<Object>)]
    pub requests: Vec<Value>,
    /// How the recorded call ended, where it differs.
    #[schema(value_type = Option<Object>)]
    pub recorded: Option<Value>,
    /// How it ended now, where it differs.
    #[schema(value_type = Option<Object>)]
    pub now: Option<Value>,
}

/// What came of a trial.
#[derive(Debug, Serialize, ToSchema)]
pub struct TrialOut {
    /// Calls that ended the same.
    pub same: usize,
    /// Calls that did not.
    pub different: usize,
    /// Calls that cannot be run again (one-time secrets, a limit, a secret changed since).
    pub not_replayable: usize,
    /// Those that did not, newest first.
    pub differences: Vec<ReplayOut>,
}

/// Runs one journaled call again with the plugin that made it.
#[utoipa::path(
    post, path = "/v1/calls/{id}/replay", tag = "set-up", params(("id" = String, Path, description = "`call_…`")),
    responses((status = 200, body = ReplayOut), (status = "default", description = "A problem", body = Problem))
)]
pub async fn replay(
    State(host): State<Host>,
    _: Operator,
    PathId(id): PathId<CallId>,
) -> Result<Json<ReplayOut>, Problem> {
    let call = host.store().read(move |tx| calls::get_of_any_shop(tx, id)).await?;
    let call = call.ok_or_else(|| Problem::not_found("call"))?;
    Ok(Json(again(&host, call, None).await?))
}

/// How many calls.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TrialParams {
    /// The newest so many calls of the plugin; at most 1000.
    pub last: i64,
}

/// Tries a component on the newest real calls of the plugin whose id it has. Nothing is installed. The body is the component.
#[utoipa::path(
    post, path = "/v1/replays", tag = "set-up", params(TrialParams),
    request_body(content = Vec<u8>, content_type = "application/wasm"),
    responses((status = 200, body = TrialOut), (status = "default", description = "A problem", body = Problem))
)]
pub async fn trial(
    State(host): State<Host>,
    _: Operator,
    Params(params): Params<TrialParams>,
    body: HttpBody,
) -> Result<Json<TrialOut>, Problem> {
    if !(1..=LAST_MAX).contains(&params.last) {
        return Err(Problem::field("last", format!("from 1 to {LAST_MAX}")));
    }
    let (plugin, _) = read_component(&host, body).await?;
    let id = plugin.descriptor().id.clone();
    let found = host.store().read(move |tx| {
        let heads = plugins::component_heads(tx, &id)?;
        let digests: Vec<String> = heads.into_iter().map(|head| head.digest).collect();
        calls::last_of_all_shops(tx, &digests, params.last)
    });
    let found: Result<Vec<Call>, Error> = found.await;
    let mut out = TrialOut { same: 0, different: 0, not_replayable: 0, differences: Vec::new() };
    for call in found? {
        let replayed = again(&host, call, Some(&plugin)).await?;
        match replayed.outcome {
            "same" => out.same += 1,
            "different" => {
                out.different += 1;
                out.differences.push(replayed);
            }
            _ => out.not_replayable += 1,
        }
    }
    Ok(Json(out))
}

/// Runs a call again, with its own plugin or another version.
async fn again(host: &Host, call: Call, other: Option<&Arc<Plugin>>) -> Result<ReplayOut, Problem> {
    let mut out = ReplayOut {
        call: call.id.to_string(),
        function: format!("{}.{}", short(&call.interface), call.function),
        outcome: "not_replayable",
        reason: None,
        requests: Vec::new(),
        recorded: None,
        now: None,
    };
    let mut cannot = |reason: &str| {
        out.reason = Some(reason.to_owned());
        None::<()>
    };
    let (Some(sealed), Some(channel)) = (&call.record, call.channel_id) else {
        cannot("its record is not kept any more");
        return Ok(out);
    };
    let digest = other.map_or(call.plugin_digest.as_str(), |plugin| plugin.digest());
    let ready = match other {
        None => Ready::load(host, call.shop_id, channel, Some(digest)).await?,
        Some(plugin) => Ready::load_with(host, call.shop_id, channel, Arc::clone(plugin)).await?,
    };
    let record: CallRecord = Place::Record(call.id).open_json(&ready.key, sealed)?;
    let function = find(short(&record.interface), &record.function);
    let (Some(context), Some(function)) = (record.context.clone(), function) else {
        cannot("the contract has no such function");
        return Ok(out);
    };
    if !record.replayable {
        cannot("it used one-time secrets, or a limit stopped it");
        return Ok(out);
    }
    if record.secrets_used.iter().any(|used| ready.secret_version(&used.name) != used.version) {
        cannot("a secret that it used was changed since");
        return Ok(out);
    }
    let recorded = Arc::new(Recorded::new(&record));
    let moment = Moment {
        call: call.id,
        now_ms: record.now_ms,
        seed: unhex(&record.seed),
        send_deadline: None,
        one_time: Vec::new(),
    };
    let mut setup = ready.setup(&moment);
    setup.transport = Transport::Scripted(recorded.clone());
    let called = function
        .call_json(host.engine(), &ready.plugin, context, record.args.clone().into_value(), setup)
        .await;
    let called = called.map_err(|error| Problem::internal(&error))?;
    out.requests = recorded
        .differences()
        .iter()
        .map(|difference| json!({"at": difference.at, "recorded": difference.recorded, "asked": difference.asked}))
        .collect();
    let same = called.record.ended == record.ended && out.requests.is_empty();
    out.outcome = if same { "same" } else { "different" };
    if !same {
        out.recorded = Some(json!(record.ended));
        out.now = Some(json!(called.record.ended));
    }
    Ok(out)
}

/// `general-pay` of `payhost:plugin/general-pay@0.1.0`.
fn short(interface: &str) -> &str {
    let name = interface.rsplit('/').next().unwrap_or(interface);
    name.split('@').next().unwrap_or(name)
}
