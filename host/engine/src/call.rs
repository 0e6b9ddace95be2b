//! A call runs in a store of its own, on the plugins' own runtime, to its end: neither a caller that goes away nor the
//! death of the plugin takes away the evidence of what left this machine.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use payhost_core::hex;
use payhost_core::kill::{self, Point};
use serde_json::Value;
use wasmtime::{Store, UpdateDeadline};

use crate::contract::types::{Context, Mode, Setting};
use crate::contract::{Answer, Arguments, Function, Lazy};
use crate::egress::{EgressPolicy, Transport};
use crate::engine::Shared;
use crate::evidence::Evidence;
use crate::fault::{self, Fault, Trace};
use crate::journal::{CallRecord, Ended, FaultRecord, ImportRecord, scrub_imports, scrub_record};
use crate::lanes::Gone;
use crate::limits::Limits;
use crate::load::Code;
use crate::logs::{LogLine, Scrubber};
use crate::meter::Meter;
use crate::policy::Policy;
use crate::secrets::Secrets;
use crate::state::{Given, State};

/// What one call is given besides its arguments.
#[derive(Debug)]
pub struct CallSetup {
    /// Id of the call, for the log and the record.
    pub call_id: String,
    /// Id of the shop, for the log.
    pub shop_id: String,
    /// Id of the channel, for the log.
    pub channel_id: String,
    /// The call's moment, milliseconds since 1970. The engine puts it into the context and into the plugin's clocks.
    pub now_ms: i64,
    /// The call's seed. The engine puts it into the context and into the plugin's random numbers.
    pub seed: [u8; 16],
    /// Secrets by name. The engine puts the names of the channel's secrets into the context.
    pub secrets: Secrets,
    /// Where the call may go.
    pub egress: Arc<EgressPolicy>,
    /// What it may use.
    pub limits: Limits,
    /// End of the attempt's lease: after it no byte of a request leaves this machine. A request is refused when it could
    /// still be connecting (5 s) at that moment.
    pub send_deadline: Option<Instant>,
    /// `false` refuses `http` even where the function may use it.
    pub http_allowed: bool,
    /// The network, or answers from a script.
    pub transport: Transport,
}

impl CallSetup {
    /// A call without secrets and grants, with the default limits.
    pub fn new(call_id: impl Into<String>, now_ms: i64, seed: [u8; 16]) -> Self {
        Self {
            call_id: call_id.into(),
            shop_id: String::new(),
            channel_id: String::new(),
            now_ms,
            seed,
            secrets: Secrets::new(),
            egress: Arc::default(),
            limits: Limits::default(),
            send_deadline: None,
            http_allowed: true,
            transport: Transport::Network,
        }
    }

    /// The context for this call: the rest comes from the setup.
    pub fn context(&self, mode: Mode, settings: Vec<Setting>) -> Context {
        let mut context = Context { now_ms: 0, seed: String::new(), mode, settings, secrets: Vec::new() };
        self.fill(&mut context);
        context
    }

    fn fill(&self, context: &mut Context) {
        context.now_ms = self.now_ms;
        context.seed = hex(&self.seed);
        context.secrets = self.secrets.channel_names();
    }
}

/// What a call used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Time on a processor.
    pub cpu: Duration,
    /// Time by the clock, from the instance to the answer.
    pub wall: Duration,
    /// Time spent waiting for a turn.
    pub queued: Duration,
    /// Most bytes of linear memory at once.
    pub peak_memory_bytes: usize,
}

/// How a call ended, with all that is known of it.
#[must_use = "a call may have moved money, even where it failed: read its evidence"]
#[derive(Debug)]
pub struct Called<R> {
    /// The plugin's word, or why there is none.
    pub result: Result<R, Fault>,
    /// What the host's own network saw.
    pub evidence: Evidence,
    /// For the journal.
    pub record: CallRecord,
    /// What the plugin wrote, scrubbed.
    pub log: Vec<LogLine>,
    /// What it used.
    pub cost: Cost,
}

impl<R> Called<R> {
    /// The same with the answer turned into something else.
    pub fn map<S>(self, turn: impl FnOnce(R) -> S) -> Called<S> {
        let Called { result, evidence, record, log, cost } = self;
        Called { result: result.map(turn), evidence, record, log, cost }
    }
}

/// Everything that a call needs and that outlives it.
pub(crate) struct Job<P, R> {
    pub(crate) shared: Arc<Shared>,
    pub(crate) code: Arc<Code>,
    pub(crate) policy: Arc<Policy>,
    pub(crate) function: Function<P, R>,
    pub(crate) params: P,
    pub(crate) setup: CallSetup,
}

/// How the plugin's part ended.
struct Ran<R> {
    result: Result<R, Fault>,
    imports: Vec<ImportRecord>,
    secrets_used: Vec<crate::journal::SecretUsed>,
    log: Vec<LogLine>,
    cost: Cost,
    /// Whether a secret value was blotted out of the record.
    blotted: bool,
}

impl<R> Ran<R> {
    fn not_started(fault: Fault, queued: Duration) -> Self {
        let cost = Cost { queued, ..Cost::default() };
        Self { result: Err(fault), imports: vec![], secrets_used: vec![], log: vec![], cost, blotted: false }
    }
}

/// Runs a call and waits for it.
pub(crate) async fn call<P: Arguments, R: Answer>(mut job: Job<P, R>) -> Called<R> {
    if let Some(context) = job.params.context_mut() {
        job.setup.fill(context);
    }
    let evidence = Evidence::default();
    let record = begin_record(&mut job);
    let hash_key = job.setup.secrets.hash_key();
    let Ok(accepted) = job.shared.gate.clone().try_acquire_owned() else {
        let fault = Fault::Internal { what: SHUT_DOWN.to_owned() };
        return end_record(record, Ran::not_started(fault, Duration::ZERO), evidence, &hash_key);
    };
    let (shared, shop) = (job.shared.clone(), job.shared.shops.of(&job.setup.shop_id));
    let meter = Arc::new(Meter::new(job.setup.limits.cpu));
    let waiting = Waiting::new();
    let work = {
        let (shared, seen, waited_for) = (shared.clone(), evidence.clone(), waiting.0.clone());
        let given = Given {
            client: shared.client.clone(),
            evidence: seen.clone(),
            meter: meter.clone(),
            shop: shop.clone(),
            queue_wait: shared.options.queue_wait,
        };
        let call_id = record.call_id.clone();
        async move {
            shared.counters.started();
            let ran = match AssertUnwindSafe(run(job, given)).catch_unwind().await {
                Ok(ran) => ran,
                Err(_) => {
                    let what = "a panic in the host, see its standard error".to_owned();
                    Ran::not_started(Fault::Internal { what }, Duration::ZERO)
                }
            };
            let fault = ran.result.as_ref().err();
            shared.counters.ended(fault);
            shop.ended(fault, &ran.cost);
            drop(accepted);
            if !waited_for.load(Relaxed) {
                let writes = seen.writes();
                tracing::warn!(
                    call = call_id,
                    ?writes,
                    "the caller of a plugin call went away; nobody keeps its result"
                );
            }
            ran
        }
    };
    let ran = shared.lanes.run(&meter, work).await.unwrap_or_else(|Gone| {
        Ran::not_started(Fault::Internal { what: SHUT_DOWN.to_owned() }, Duration::ZERO)
    });
    end_record(record, ran, evidence, &hash_key)
}

/// Whether somebody still waits for a call: until this is dropped.
struct Waiting(Arc<AtomicBool>);

impl Waiting {
    fn new() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.store(false, Relaxed);
    }
}

fn begin_record<P: Arguments, R>(job: &mut Job<P, R>) -> CallRecord {
    let (params, names) = (job.params.clone(), job.function.parameters);
    CallRecord {
        call_id: job.setup.call_id.clone(),
        plugin_digest: job.code.digest.clone(),
        interface: job.function.interface.to_owned(),
        function: job.function.name.to_owned(),
        now_ms: job.setup.now_ms,
        seed: hex(&job.setup.seed),
        context: job.params.context_mut().cloned(),
        args: Lazy::new(move || params.to_json(names)),
        imports: vec![],
        secrets_used: vec![],
        ended: Ended::Answered(Value::Null.into()),
        replayable: false,
        capped: None,
    }
}

fn end_record<R: Answer>(
    mut record: CallRecord,
    ran: Ran<R>,
    evidence: Evidence,
    hash_key: &Secrets,
) -> Called<R> {
    let Ran { result, imports, secrets_used, log, cost, mut blotted } = ran;
    record.imports = imports;
    record.ended = match &result {
        Ok(answer) => {
            let answer = answer.clone();
            Ended::Answered(Lazy::new(move || answer.to_json()))
        }
        Err(fault) => Ended::Fault(FaultRecord::from(fault)),
    };
    // A secret that the gateway has just made (a billing key) is in the answer, in what the gateway sent, and perhaps in
    // the callback: out of all of them.
    if let Ok(answer) = &result {
        let mut scrubber = Scrubber::default();
        for value in answer.secrets() {
            scrubber.add(value, hash_key.keyed_hash(value).as_deref());
        }
        blotted |= scrub_record(&mut record, &scrubber);
    }
    let one_time = secrets_used.iter().any(|used| used.version.is_none());
    let by_limit =
        result.as_ref().is_err_and(|fault| fault.is_limit() || matches!(fault, Fault::Internal { .. }));
    record.replayable = !one_time && !blotted && !by_limit;
    record.secrets_used = secrets_used;
    Called { result, evidence, record, log, cost }
}

/// Waits for a turn, then runs the plugin.
async fn run<P: Arguments, R: Answer>(job: Job<P, R>, given: Given) -> Ran<R> {
    let Job { shared, code, policy, function, params, setup } = job;
    let Some(index) = code.exports.get(&(function.interface, function.name)).copied() else {
        let (interface, function) = (function.interface.to_owned(), function.name.to_owned());
        return Ran::not_started(Fault::MissingExport { interface, function }, Duration::ZERO);
    };
    let asked = Instant::now();
    // Its own shop's first: who waits for that stands in nobody's way.
    let shop = given.shop.clone();
    let turns = async {
        Ok::<_, tokio::sync::AcquireError>((shop.turns.acquire().await?, shared.turns.acquire().await?))
    };
    let Ok(Ok(_turns)) = tokio::time::timeout(shared.options.queue_wait, turns).await else {
        let waited = asked.elapsed();
        return Ran::not_started(Fault::Overloaded { waited }, waited);
    };
    let queued = asked.elapsed();
    let mut setup = setup;
    setup.limits.memory_bytes = setup.limits.memory_bytes.min(shared.options.memory_bytes);
    setup.limits.table_elements = setup.limits.table_elements.min(shared.options.table_elements);
    let state = State::new(setup, policy, function.network, given);
    let limits = state.limits.clone();
    let mut store = new_store(&shared.wasmtime, state);
    let finished = tokio::time::timeout(limits.wall, async {
        store.data().meter.resume();
        let instance = code.pre.instantiate_async(&mut store).await?;
        let typed = instance.get_typed_func::<P, (R,)>(&mut store, index)?;
        kill::entered(function.name);
        let (answer,) = typed.call_async(&mut store, params).await?;
        kill::at(Point::PluginReturned, function.name);
        store.data().meter.charge();
        wasmtime::Result::Ok(answer)
    })
    .await;
    finish(store, finished, &limits, queued)
}

fn finish<R>(
    store: Store<State>,
    finished: Result<wasmtime::Result<R>, tokio::time::error::Elapsed>,
    limits: &Limits,
    queued: Duration,
) -> Ran<R> {
    let mut state = store.into_data();
    let cost = Cost {
        cpu: state.meter.spent(),
        wall: state.elapsed(),
        queued,
        peak_memory_bytes: state.limiter.peak_memory_bytes(),
    };
    let log = state.logs().take();
    let last_lines = || log.iter().rev().take(LAST_LINES).rev().map(ToString::to_string).collect();
    let result = match finished {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(fault::classify(&error, limits, last_lines())),
        Err(_) => {
            let trace = Trace { frames: vec![], last_lines: last_lines() };
            Err(Fault::WallTime { limit: limits.wall, trace })
        }
    };
    let mut imports = std::mem::take(&mut state.imports);
    let blotted = !imports.is_empty() && scrub_imports(&mut imports, state.logs().scrubber());
    let secrets_used = state.secrets_used();
    Ran { result, imports, secrets_used, log, cost, blotted }
}

const SHUT_DOWN: &str = "the engine was shut down";

/// Log lines that a fault shows.
const LAST_LINES: usize = 5;

/// A store with every limit armed. Nothing runs in it before that.
pub(crate) fn new_store(engine: &wasmtime::Engine, state: State) -> Store<State> {
    let host_data_bytes = state.limits.host_data_bytes;
    let mut store = Store::new(engine, state);
    store.limiter(|state| &mut state.limiter);
    store.set_hostcall_fuel(host_data_bytes);
    // One tick at a time. `YieldCustom` with tokio's own yield lets the other calls of this thread run; the plain `Yield`
    // wakes itself first and starves them.
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(|context| {
        let meter = context.data().meter.clone();
        if !meter.charge() {
            return Ok(UpdateDeadline::Interrupt);
        }
        if !meter.ticked() {
            return Ok(UpdateDeadline::Continue(1));
        }
        let others = async move {
            tokio::task::yield_now().await;
            meter.resume();
        };
        Ok(UpdateDeadline::YieldCustom(1, Box::pin(others)))
    });
    store
}
