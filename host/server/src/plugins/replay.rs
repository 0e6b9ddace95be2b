//! Running journaled calls again. Invariant: a replay sends nothing anywhere: the network's answers come from the record, and a
//! request that is not the recorded one is a difference.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::body::Body as HttpBody;
use axum::extract::State;
use payhost_core::id::{CallId, ChannelId, ShopId};
use payhost_engine::contract::types::Context;
use payhost_engine::contract::{AnyFunction, find};
use payhost_engine::egress::Recorded;
use payhost_engine::{CallRecord, EgressPolicy, Ended, Plugin, Transport};
use payhost_store::Error;
use payhost_store::rows::calls::{self, Call};
use payhost_store::rows::{channels, plugins};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use super::install::{load, read_body};
use crate::channels::ready::{Moment, Ready, unhex};
use crate::host::Host;
use crate::http::auth::{Operator, OperatorForShop};
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

/// Why a call cannot be run again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    Forgotten,
    Capped,
    OneTime,
    Limit,
    SecretChanged,
    UnknownFunction,
}

impl Why {
    fn words(self) -> &'static str {
        match self {
            Self::Forgotten => "its record is not kept any more",
            Self::Capped => "its record was too large to be kept whole",
            Self::OneTime => "it used one-time secrets, or a secret was blotted out of its record",
            Self::Limit => "a limit stopped it",
            Self::SecretChanged => {
                "a secret that it used was changed since, and what it was is no longer kept"
            }
            Self::UnknownFunction => "the contract has no such function",
        }
    }
}

/// Calls that cannot be run again, by reason.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct NotReplayable {
    /// They used one-time secrets, or a secret was blotted out of their records.
    pub one_time: usize,
    /// A limit stopped them.
    pub limit: usize,
    /// Their records were too large to be kept whole.
    pub capped: usize,
    /// A secret that they used was changed since, and what it was is no longer kept.
    pub secret_changed: usize,
    /// Anything else: the record is not kept any more, or the contract has no such function.
    pub other: usize,
}

impl NotReplayable {
    fn count(&mut self, why: Why) {
        let count = match why {
            Why::OneTime => &mut self.one_time,
            Why::Limit => &mut self.limit,
            Why::Capped => &mut self.capped,
            Why::SecretChanged => &mut self.secret_changed,
            Why::Forgotten | Why::UnknownFunction => &mut self.other,
        };
        *count += 1;
    }
}

/// What came of running several calls again.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct TrialOut {
    /// Calls that ended the same.
    pub same: usize,
    /// Calls that did not.
    pub different: usize,
    /// Calls that cannot be run again.
    pub not_replayable: NotReplayable,
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
    caller: OperatorForShop,
    PathId(id): PathId<CallId>,
) -> Result<Json<ReplayOut>, Problem> {
    let call = host.store().read(move |tx| calls::get(tx, caller.shop_id, id)).await?;
    let call = call.ok_or_else(|| Problem::not_found("call"))?;
    Ok(Json(again(&host, call, None).await?.0))
}

/// How many calls.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TrialParams {
    /// The newest so many calls; at most 1000.
    pub last: i64,
}

/// Runs the newest calls again. The body is a component that is tried on the real calls of the plugin whose id it has, and is
/// not installed; without a body every call runs with the plugin that made it.
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
    let bytes = read_body(body).await?;
    let plugin = if bytes.is_empty() { None } else { Some(load(&host, &bytes).await?) };
    let id = plugin.as_ref().map(|plugin| plugin.descriptor().id.clone());
    let found = host.store().read(move |tx| {
        let heads = id.map(|id| plugins::component_heads(tx, &id)).transpose()?;
        let digests = heads.map(|heads| heads.into_iter().map(|head| head.digest).collect::<Vec<_>>());
        calls::last_of_all_shops(tx, digests.as_deref(), params.last)
    });
    let found: Result<Vec<Call>, Error> = found.await;
    let mut out = TrialOut::default();
    for call in found? {
        match again(&host, call, plugin.as_ref()).await? {
            (_, Some(why)) => out.not_replayable.count(why),
            (replayed, None) if replayed.outcome == SAME => out.same += 1,
            (replayed, None) => {
                out.different += 1;
                out.differences.push(replayed);
            }
        }
    }
    Ok(Json(out))
}

const SAME: &str = "same";

/// Runs a call again, with its own plugin or another version; or says why it cannot be.
async fn again(
    host: &Host,
    call: Call,
    other: Option<&Arc<Plugin>>,
) -> Result<(ReplayOut, Option<Why>), Problem> {
    let mut out = ReplayOut {
        call: call.id.to_string(),
        function: format!("{}.{}", short(&call.interface), call.function),
        outcome: "not_replayable",
        reason: None,
        requests: Vec::new(),
        recorded: None,
        now: None,
    };
    let runnable = match runnable(host, &call, other).await? {
        Ok(runnable) => runnable,
        Err(why) => {
            out.reason = Some(why.words().to_owned());
            return Ok((out, Some(why)));
        }
    };
    let Runnable { ready, record, context, function } = runnable;
    let recorded = Arc::new(Recorded::new(&record));
    let moment = Moment {
        call: call.id,
        now_ms: record.now_ms,
        seed: unhex(&record.seed),
        send_deadline: None,
        offline: false,
        one_time: Vec::new(),
    };
    let mut setup = ready.setup(&moment);
    setup.transport = Transport::Scripted(recorded.clone());
    // What was refused then is in the record; nothing else may depend on what is granted now.
    let wanted = ready.plugin.descriptor().hosts.iter().filter_map(|host| host.origin.parse().ok());
    setup.egress = Arc::new(EgressPolicy { granted: wanted.collect(), map: Vec::new() });
    let args = record.args.clone().into_value();
    let called = function.call_json(host.engine(), &ready.plugin, context, args, setup).await;
    let called = called.map_err(|error| Problem::internal(&error))?;
    out.requests = recorded
        .differences()
        .iter()
        .map(|difference| json!({"at": difference.at, "recorded": difference.recorded, "asked": difference.asked}))
        .collect();
    let (then, now) = (json!(record.ended), json!(called.record().ended));
    // As bytes: the order of members counts too.
    let written = (serde_json::to_vec(&then).ok(), serde_json::to_vec(&now).ok());
    let same = written.0.is_some() && written.0 == written.1 && out.requests.is_empty();
    out.outcome = if same { SAME } else { "different" };
    if !same {
        (out.recorded, out.now) = (Some(then), Some(now));
    }
    Ok((out, None))
}

/// Everything that a replay needs.
struct Runnable {
    ready: Ready,
    record: CallRecord,
    context: Context,
    function: &'static dyn AnyFunction,
}

async fn runnable(
    host: &Host,
    call: &Call,
    other: Option<&Arc<Plugin>>,
) -> Result<Result<Runnable, Why>, Problem> {
    let (Some(sealed), Some(channel)) = (&call.record, call.channel_id) else {
        return Ok(Err(Why::Forgotten));
    };
    let ready = channel_of(host, call, channel, other, None).await?;
    let packed = Place::Record(call.id).open(&ready.key, sealed)?;
    let record = CallRecord::unpack(&packed).map_err(|error| Problem::internal(&error))?;
    if record.capped.is_some() {
        return Ok(Err(Why::Capped));
    }
    let function = find(short(&record.interface), &record.function);
    let (Some(context), Some(function)) = (record.context.as_deref().cloned(), function) else {
        return Ok(Err(Why::UnknownFunction));
    };
    if !record.replayable {
        let one_time = record.secrets_used.iter().any(|used| used.version.is_none());
        let stopped = matches!(record.ended, Ended::Fault(_));
        return Ok(Err(if stopped && !one_time { Why::Limit } else { Why::OneTime }));
    }
    let fits = |ready: &Ready| {
        record.secrets_used.iter().all(|used| ready.secret_version(&used.name) == used.version)
    };
    if fits(&ready) {
        return Ok(Ok(Runnable { ready, record, context, function }));
    }
    // The shop changed a key since: what the call used is kept for as long as a payment may need it.
    let used = record.secrets_used.iter().map(|used| (used.name.clone(), used.version)).collect();
    let Some(revision) = revision_with(host, call.shop_id, channel, ready.revision, used).await? else {
        return Ok(Err(Why::SecretChanged));
    };
    let ready = channel_of(host, call, channel, other, Some(revision)).await?;
    Ok(if fits(&ready) { Ok(Runnable { ready, record, context, function }) } else { Err(Why::SecretChanged) })
}

/// The channel with the plugin that made the call, or another; as it is, or as it was.
async fn channel_of(
    host: &Host,
    call: &Call,
    channel: ChannelId,
    other: Option<&Arc<Plugin>>,
    revision: Option<i64>,
) -> Result<Ready, Problem> {
    match (other, revision) {
        (Some(plugin), _) => {
            Ready::load_with(host, call.shop_id, channel, Arc::clone(plugin), revision).await
        }
        (None, None) => Ready::load(host, call.shop_id, channel, Some(&call.plugin_digest)).await,
        (None, Some(number)) => {
            Ready::load_as(host, call.shop_id, channel, (&call.plugin_digest, number)).await
        }
    }
}

/// The newest revision of a channel that has these versions of its secrets.
async fn revision_with(
    host: &Host,
    shop: ShopId,
    channel: ChannelId,
    newest: i64,
    used: Vec<(String, Option<u32>)>,
) -> Result<Option<i64>, Problem> {
    let found = host.store().read(move |tx| {
        for number in (1..=newest).rev() {
            let Some(row) = channels::revision(tx, shop, channel, Some(number))? else { continue };
            let versions: BTreeMap<String, i64> = row.secrets.to()?;
            let version = |name: &String| versions.get(name).and_then(|version| u32::try_from(*version).ok());
            if used.iter().all(|(name, wanted)| version(name) == *wanted) {
                return Ok(Some(number));
            }
        }
        Ok::<_, Error>(None)
    });
    Ok(found.await?)
}

/// `general-pay` of `payhost:plugin/general-pay@0.1.0`.
fn short(interface: &str) -> &str {
    let name = interface.rsplit('/').next().unwrap_or(interface);
    name.split('@').next().unwrap_or(name)
}
