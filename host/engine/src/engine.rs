//! One engine per process: it owns the compiler's configuration, the pool, the plugins' runtime and the way out, and every
//! call goes through it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::Semaphore;
use wasmtime::component::Linker;
use wasmtime::{EngineWeak, Store};

use crate::cache::Cache;
use crate::call::{self, Job};
use crate::called::Called;
use crate::config::{Allocation, config};
use crate::contract::{Answer, Arguments, Function};
use crate::egress::{Client, ClientError, HttpTimeouts};
use crate::fault::Fault;
use crate::gate::Gate;
use crate::lanes::Lanes;
use crate::load::{self, LoadError, Plugin};
use crate::setup::CallSetup;
use crate::shops::{ShopFigures, Shops};
use crate::state::State;
use crate::{imports, wasi};

pub(crate) use crate::load::Probe;

/// How an engine is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// Calls that may run at once, waiting for the network included. 1,000: about 80 KiB of memory each while it waits (`cargo
    /// xtask bench --only plugin-call`), and 8 TiB of addresses, of which a machine has 128.
    pub max_calls: u32,
    /// How long a call may wait for its turn. 1 s.
    pub queue_wait: Duration,
    /// Largest memory that any call may have: the size of a pool slot. 64 MiB.
    pub memory_bytes: usize,
    /// Most table elements that any call may have. 20,000.
    pub table_elements: usize,
    /// Whether instances come from a pool where the machine has addresses for one. `true`; without it a call costs three
    /// times as much and nothing is reserved.
    pub pooled: bool,
    /// Calls of one shop that may run at once. 250, a quarter of `max_calls`: a shop whose gateway is silent, or whose buyers
    /// come all at once, leaves turns to the others.
    pub calls_per_shop: usize,
    /// Requests that one shop may have under way. 64; more wait for `queue_wait`, then nothing of them was sent.
    pub requests_per_shop: usize,
    /// How long a request over the network may take.
    pub http: HttpTimeouts,
    /// Threads of each of the plugins' two lanes; absent: one for each processor.
    pub worker_threads: Option<usize>,
    /// Largest component. 32 MiB.
    pub component_bytes: usize,
    /// Where compiled code is kept, and the key that authenticates it; absent: nothing is kept.
    pub cache: Option<CacheOptions>,
}

/// Where compiled code is kept.
#[derive(Clone)]
pub struct CacheOptions {
    /// A directory of ours; made with mode 0700.
    pub dir: PathBuf,
    /// Authenticates every file. Whoever knows it and can write to the directory runs code in this process.
    pub key: [u8; 32],
    /// Most bytes that are kept; the files that were longest unused go first. 1 GiB is plenty for a thousand plugins.
    pub max_bytes: u64,
}

impl std::fmt::Debug for CacheOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CacheOptions")
            .field("dir", &self.dir)
            .field("max_bytes", &self.max_bytes)
            .finish_non_exhaustive()
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_calls: 1_000,
            queue_wait: Duration::from_secs(1),
            memory_bytes: 64 << 20,
            table_elements: 20_000,
            pooled: true,
            calls_per_shop: 250,
            requests_per_shop: 64,
            http: HttpTimeouts::default(),
            worker_threads: None,
            component_bytes: 32 << 20,
            cache: None,
        }
    }
}

/// An engine cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// WebAssembly cannot run here.
    #[error("the WebAssembly engine cannot be set up: {0}")]
    Wasmtime(String),
    /// Threads cannot be started.
    #[error("the threads of the engine cannot be started: {0}")]
    Threads(std::io::Error),
    /// TLS cannot be set up.
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// What the engine has done and has in hand, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Figures {
    /// Calls since the start.
    pub calls: u64,
    /// Calls that are running or waiting for their turn.
    pub in_flight: u64,
    /// Calls that ended with a fault.
    pub faults: u64,
    /// Of these, calls that were stopped by a limit.
    pub limited: u64,
    /// Of these, calls that were never started because too many were running.
    pub overloaded: u64,
    /// Whether instances come from a pool; `false`: the machine has not enough addresses for one.
    pub pooled: bool,
    /// Memories in use, where there is a pool.
    pub memories: u64,
    /// Bytes of unused slots that are kept resident, where there is a pool.
    pub idle_resident_bytes: u64,
}

/// What all calls share.
pub(crate) struct Shared {
    pub(crate) wasmtime: wasmtime::Engine,
    pub(crate) linker: Linker<State>,
    pub(crate) lanes: Lanes,
    pub(crate) turns: Semaphore,
    /// Every call is inside from its acceptance to its end.
    pub(crate) gate: Gate,
    /// One compilation at a time: it takes all processors.
    pub(crate) compiling: Semaphore,
    pub(crate) client: Arc<Client>,
    pub(crate) shops: Shops,
    pub(crate) cache: Option<Cache>,
    pub(crate) counters: Counters,
    pub(crate) options: Options,
    pooled: bool,
}

/// Loads plugins and calls them. A cheap handle; the last one that is dropped ends what still runs.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("options", &self.shared.options).finish_non_exhaustive()
    }
}

impl Engine {
    /// Sets an engine up and starts its threads.
    ///
    /// # Errors
    /// When WebAssembly cannot run on this machine, or threads or TLS cannot be set up.
    pub fn new(options: Options) -> Result<Self, EngineError> {
        let wrong = |error: wasmtime::Error| EngineError::Wasmtime(format!("{error:#}"));
        let (wasmtime, pooled) = probe(&options).map_err(wrong)?;
        let mut linker = Linker::new(&wasmtime);
        wasi::link(&mut linker).map_err(wrong)?;
        imports::link(&mut linker).map_err(wrong)?;
        start_ticker(wasmtime.weak()).map_err(EngineError::Threads)?;
        let cache = options.cache.clone().map(|cache| Cache::new(cache, &wasmtime));
        let shared = Shared {
            linker,
            lanes: Lanes::start(options.worker_threads).map_err(EngineError::Threads)?,
            turns: Semaphore::new(
                usize::try_from(options.max_calls).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS),
            ),
            gate: Gate::default(),
            compiling: Semaphore::new(1),
            client: Arc::new(Client::new(options.http)?),
            shops: Shops::new(options.calls_per_shop, options.requests_per_shop),
            cache,
            counters: Counters::default(),
            pooled,
            options,
            wasmtime,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Takes a component in: compiles it (or finds it compiled), checks its imports and the types of its exports on a
    /// trial instance, lets it describe itself without any grant, and checks the description.
    ///
    /// # Errors
    /// See [`LoadError`]; every text says what is wrong and what to do.
    pub async fn load(&self, bytes: &[u8]) -> Result<Arc<Plugin>, LoadError> {
        load::load(&self.shared, bytes).await.map(Arc::new)
    }

    /// The same for a component that is kept somewhere under its digest (SHA-256, lower-case hex): bytes that do not have it
    /// are refused before they are compiled.
    ///
    /// # Errors
    /// [`LoadError::OtherBytes`], and as [`Engine::load`].
    pub async fn load_known(&self, digest: &str, bytes: &[u8]) -> Result<Arc<Plugin>, LoadError> {
        load::load_known(&self.shared, digest, bytes).await.map(Arc::new)
    }

    /// Calls a function of a plugin in a fresh instance.
    ///
    /// The call runs to its end even when this future is dropped; then its result is lost, so whoever may not lose it keeps
    /// what is needed to find out (the attempt) before calling.
    pub async fn call<P: Arguments, R: Answer>(
        &self,
        plugin: &Arc<Plugin>,
        function: &Function<P, R>,
        params: P,
        setup: CallSetup,
    ) -> Called<R> {
        let (code, policy) = (plugin.code.clone(), plugin.policy.clone());
        call::call(&self.shared, Job { code, policy, function: *function, params, setup }).await
    }

    /// The way out that plugins use, for requests of the host's own (webhooks): the same block on private addresses, the
    /// same caps. Grants are the caller's to check.
    pub fn client(&self) -> Arc<Client> {
        self.shared.client.clone()
    }

    /// What it has done and has in hand.
    pub fn figures(&self) -> Figures {
        let (counters, gate) = (&self.shared.counters, &self.shared.gate);
        let mut figures = Figures {
            calls: gate.entered(),
            in_flight: gate.inside(),
            faults: counters.faults.load(Relaxed),
            limited: counters.limited.load(Relaxed),
            overloaded: counters.overloaded.load(Relaxed),
            pooled: self.shared.pooled,
            ..Figures::default()
        };
        if let Some(metrics) = self.shared.wasmtime.pooling_allocator_metrics() {
            figures.memories = metrics.memories().try_into().unwrap_or(u64::MAX);
            figures.idle_resident_bytes =
                metrics.unused_memory_bytes_resident().try_into().unwrap_or(u64::MAX);
        }
        figures
    }

    /// What the calls of each shop used, by shop id; shops that were long idle may be summed up under no name.
    pub fn shops(&self) -> Vec<(String, ShopFigures)> {
        self.shared.shops.figures()
    }

    /// Lets no call begin any more and waits until all that were accepted have ended.
    pub async fn drain(&self) {
        self.shared.gate.close().await;
    }
}

/// The largest pool that this machine has addresses for, or none: `ulimit -v`, 39-bit kernels.
fn probe(options: &Options) -> wasmtime::Result<(wasmtime::Engine, bool)> {
    let mut calls = options.max_calls;
    let make = |allocation| -> wasmtime::Result<wasmtime::Engine> {
        let config = config(allocation, options.memory_bytes, options.table_elements);
        let engine = wasmtime::Engine::new(&config)?;
        // The pool maps its addresses with the first store at the latest.
        drop(Store::new(&engine, ()));
        Ok(engine)
    };
    if !options.pooled {
        return Ok((make(Allocation::OnDemand)?, false));
    }
    while calls >= SMALLEST_POOL.min(options.max_calls) && calls > 0 {
        match make(Allocation::Pool(calls)) {
            Ok(engine) => return Ok((engine, true)),
            Err(error) => {
                tracing::warn!(calls, %error, "no address space for a pool of this size; trying a smaller one");
                calls /= 4;
            }
        }
    }
    tracing::warn!("no address space for a pool: instances are made on demand, and calls are slower");
    Ok((make(Allocation::OnDemand)?, false))
}

/// A smaller pool than this is not worth its refusals.
const SMALLEST_POOL: u32 = 16;

/// The length of a tick: how soon a runaway gives way to others, and how exactly CPU is counted.
pub(crate) const TICK: Duration = Duration::from_millis(1);

/// A thread of the system, because a plugin that never yields could hold up every timer of a runtime. Ends with the engine.
fn start_ticker(engine: EngineWeak) -> std::io::Result<()> {
    let tick = move || {
        while let Some(engine) = engine.upgrade() {
            engine.increment_epoch();
            drop(engine);
            std::thread::sleep(TICK);
        }
    };
    std::thread::Builder::new().name("payhost-ticker".to_owned()).spawn(tick).map(drop)
}

/// Ends that a person may have to look at.
#[derive(Default)]
pub(crate) struct Counters {
    faults: AtomicU64,
    limited: AtomicU64,
    overloaded: AtomicU64,
}

impl Counters {
    pub(crate) fn died(&self, fault: &Fault) {
        self.faults.fetch_add(1, Relaxed);
        if matches!(fault, Fault::Overloaded { .. }) {
            self.overloaded.fetch_add(1, Relaxed);
        } else if fault.is_limit() {
            self.limited.fetch_add(1, Relaxed);
        }
    }
}
