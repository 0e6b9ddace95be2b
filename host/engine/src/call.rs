//! A call runs in a store of its own, on the plugins' own runtime, to its end: neither a caller that goes away nor the
//! death of the plugin takes away the evidence of what left this machine.

use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use payhost_core::hex;
use payhost_core::kill::{self, Point};
use tokio::sync::{AcquireError, SemaphorePermit};
use tokio::task::coop::unconstrained;
use wasmtime::{Store, UpdateDeadline};

use crate::called::{Called, Cost};
use crate::contract::{Answer, Arguments, Function, Lazy};
use crate::engine::Shared;
use crate::evidence::Evidence;
use crate::fault::{self, Fault, Trace};
use crate::journal::{CallRecord, Ended, FaultRecord, ImportRecord, scrub_imports, scrub_record};
use crate::lanes::Gone;
use crate::limits::{COMPONENT_HANDLES, Limits};
use crate::load::Code;
use crate::logs::LogLine;
use crate::meter::Meter;
use crate::policy::Policy;
use crate::scrubber::Scrubber;
use crate::secrets::Secrets;
use crate::setup::CallSetup;
use crate::shops::Shop;
use crate::state::{Given, State};

/// Everything that a call needs and that outlives it.
pub(crate) struct Job<P, R> {
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
pub(crate) async fn call<P: Arguments, R: Answer>(shared: &Arc<Shared>, job: Job<P, R>) -> Called<R> {
    let Job { code, policy, function, mut params, setup } = job;
    if let Some(context) = params.context_mut() {
        setup.fill(context);
    }
    let params = params.share();
    let evidence = Evidence::default();
    let record = begin_record::<P, R>(&code, function, &params, &setup);
    let hash_key = setup.secrets.hash_key();
    let Some(inside) = Inside::enter(shared) else {
        let fault = Fault::Internal { what: SHUT_DOWN.to_owned() };
        return end_record(record, Ran::not_started(fault, Duration::ZERO), evidence, &hash_key);
    };
    let shop = shared.shops.of(&setup.shop_id);
    let meter = Arc::new(Meter::new(setup.limits.cpu));
    let waiting = Waiting::new();
    let given = Given {
        client: shared.client.clone(),
        evidence: evidence.clone(),
        meter: meter.clone(),
        shop: shop.clone(),
        queue_wait: shared.options.queue_wait,
    };
    let work = {
        let (seen, waited_for) = (evidence.clone(), waiting.0.clone());
        async move {
            let call_id = setup.call_id.clone();
            let shared = &inside.0;
            let work = Work::<P, R> { shared, shop: &shop, code, policy, function, params, setup, given };
            let ran = match AssertUnwindSafe(run(work)).catch_unwind().await {
                Ok(ran) => ran,
                Err(_) => {
                    let what = "a panic in the host, see its standard error".to_owned();
                    Ran::not_started(Fault::Internal { what }, Duration::ZERO)
                }
            };
            let fault = ran.result.as_ref().err();
            if let Some(fault) = fault {
                shared.counters.died(fault);
            }
            shop.ended(fault, &ran.cost);
            drop(inside);
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

/// A call that was accepted, until this is dropped.
struct Inside(Arc<Shared>);

impl Inside {
    fn enter(shared: &Arc<Shared>) -> Option<Self> {
        shared.gate.enter().then(|| Self(shared.clone()))
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.gate.leave();
    }
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

fn begin_record<P: Arguments, R>(
    code: &Code,
    function: Function<P, R>,
    params: &P::Shared,
    setup: &CallSetup,
) -> CallRecord {
    let (args, names) = (params.clone(), function.parameters);
    CallRecord {
        call_id: setup.call_id.clone(),
        plugin_digest: code.digest.clone(),
        interface: function.interface.to_owned(),
        function: function.name.to_owned(),
        now_ms: setup.now_ms,
        seed: hex(&setup.seed),
        context: P::context(params).cloned(),
        args: Lazy::new(move || P::to_json(&args, names)),
        imports: vec![],
        secrets_used: vec![],
        ended: Ended::Answered(Lazy::default()),
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
        Ok(_) => Ended::Answered(Lazy::default()),
        Err(fault) => Ended::Fault(FaultRecord::from(fault)),
    };
    // A secret that the gateway has just made (a billing key) is in the answer, in what the gateway sent, and perhaps in
    // the callback: out of all of them.
    if let Ok(answer) = &result {
        let secrets = answer.secrets();
        if !secrets.is_empty() {
            let mut scrubber = Scrubber::default();
            for value in secrets {
                scrubber.add(value, hash_key.keyed_hash(value).as_deref());
            }
            record.ended = Ended::Answered(answer.to_json().into());
            blotted |= scrub_record(&mut record, &scrubber);
        }
    }
    let one_time = secrets_used.iter().any(|used| used.version.is_none());
    let by_limit =
        result.as_ref().is_err_and(|fault| fault.is_limit() || matches!(fault, Fault::Internal { .. }));
    record.replayable = !one_time && !blotted && !by_limit;
    record.secrets_used = secrets_used;
    Called { result, evidence, log, cost, record, to_json: R::to_json }
}

/// A job that has begun.
struct Work<'a, P: Arguments, R> {
    shared: &'a Shared,
    shop: &'a Shop,
    code: Arc<Code>,
    policy: Arc<Policy>,
    function: Function<P, R>,
    params: P::Shared,
    setup: CallSetup,
    given: Given,
}

/// Waits for a turn, then runs the plugin.
async fn run<P: Arguments, R: Answer>(work: Work<'_, P, R>) -> Ran<R> {
    let Work { shared, shop, code, policy, function, params, mut setup, given } = work;
    let Some(index) = code.exports.get(&(function.interface, function.name)).copied() else {
        let (interface, function) = (function.interface.to_owned(), function.name.to_owned());
        return Ran::not_started(Fault::MissingExport { interface, function }, Duration::ZERO);
    };
    let (_turns, queued) = match turns(shared, shop).await {
        Ok(turns) => turns,
        Err(waited) => return Ran::not_started(Fault::Overloaded { waited }, waited),
    };
    setup.limits.memory_bytes = setup.limits.memory_bytes.min(shared.options.memory_bytes);
    setup.limits.table_elements = setup.limits.table_elements.min(shared.options.table_elements);
    let state = State::new(setup, policy, function.network, given);
    let limits = state.limits.clone();
    let mut store = new_store(&shared.wasmtime, state);
    let finished = {
        let plugin = pin!(async {
            store.data().meter.resume();
            let instance = code.pre.instantiate_async(&mut store).await?;
            let typed = instance.get_typed_func::<P::Shared, (R,)>(&mut store, index)?;
            kill::entered(function.name);
            let (answer,) = typed.call_async(&mut store, params).await?;
            kill::at(Point::PluginReturned, function.name);
            store.data().meter.charge();
            wasmtime::Result::Ok(answer)
        });
        by_clock(limits.wall, plugin).await
    };
    finish(store, finished, &limits, queued)
}

type Turns<'a> = (SemaphorePermit<'a>, SemaphorePermit<'a>);

/// A turn of its own shop, then one of all; with how long that took. `Err`: nothing came free in time.
async fn turns<'a>(shared: &'a Shared, shop: &'a Shop) -> Result<(Turns<'a>, Duration), Duration> {
    if let Ok(own) = shop.turns.try_acquire()
        && let Ok(turn) = shared.turns.try_acquire()
    {
        return Ok(((own, turn), Duration::ZERO));
    }
    let asked = Instant::now();
    // Its own shop's first: who waits for that stands in nobody's way.
    let both = async { Ok::<_, AcquireError>((shop.turns.acquire().await?, shared.turns.acquire().await?)) };
    match tokio::time::timeout(shared.options.queue_wait, both).await {
        Ok(Ok(turns)) => Ok((turns, asked.elapsed())),
        Ok(Err(_)) | Err(_) => Err(asked.elapsed()),
    }
}

/// The work, unless it takes longer. The timer is made when the work first waits: most calls never do.
fn by_clock<T>(
    limit: Duration,
    mut work: Pin<&mut impl Future<Output = T>>,
) -> impl Future<Output = Result<T, Late>> {
    let (from, mut timer) = (Instant::now(), None);
    poll_fn(move |context| {
        if let Poll::Ready(done) = work.as_mut().poll(context) {
            return Poll::Ready(Ok(done));
        }
        let left = || limit.saturating_sub(from.elapsed());
        let timer = timer.get_or_insert_with(|| Box::pin(unconstrained(tokio::time::sleep(left()))));
        timer.as_mut().poll(context).map(|()| Err(Late))
    })
}

/// It took longer.
struct Late;

fn finish<R>(
    store: Store<State>,
    finished: Result<wasmtime::Result<R>, Late>,
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
        Err(Late) => {
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
    // Handles that the guest makes for itself, over all its instances; those of the host's own table have a cap of their own.
    store.set_max_component_handles(COMPONENT_HANDLES);
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
