//! Everything that one call has is in here, and nothing of any other call: it is made for the call and dropped with it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use crate::contract::Network;
use crate::egress::{Client, EgressPolicy, Transport};
use crate::evidence::Evidence;
use crate::journal::{ImportRecord, SecretUsed};
use crate::limits::{Exceeded, Limiter, Limits};
use crate::logs::{Logs, Tags};
use crate::meter::Meter;
use crate::policy::Policy;
use crate::secrets::Secrets;
use crate::setup::CallSetup;
use crate::shops::Shop;
use crate::wasi;

/// Lines that the import and both output streams write to.
pub(crate) type SharedLogs = Arc<Mutex<Logs>>;

/// The data of one call's store.
pub(crate) struct State {
    pub(crate) limiter: Limiter,
    pub(crate) meter: Arc<Meter>,
    pub(crate) limits: Limits,
    pub(crate) policy: Arc<Policy>,
    pub(crate) secrets: Secrets,
    pub(crate) egress: Arc<EgressPolicy>,
    pub(crate) transport: Transport,
    pub(crate) client: Arc<Client>,
    pub(crate) shop: Arc<Shop>,
    /// How long a request may wait for its turn among those of its shop.
    pub(crate) queue_wait: Duration,
    pub(crate) network: Network,
    pub(crate) send_deadline: Option<Instant>,
    pub(crate) evidence: Evidence,
    pub(crate) imports: Vec<ImportRecord>,
    /// Requests that were tried.
    pub(crate) requests: usize,
    /// Whether a write passed every rule.
    pub(crate) wrote: bool,
    /// What was encrypted first: a one-time value by name, or (`Some(None)`) texts.
    pub(crate) encrypted: Option<Option<String>>,
    used: BTreeSet<SecretUsed>,
    started: Instant,
    logs: SharedLogs,
    /// Made when the plugin first asks: most calls of a gateway's plugin never do.
    wasi: Option<Box<WasiCtx>>,
    now_ms: i64,
    seed: [u8; 16],
    table: ResourceTable,
}

/// What a call shares with others, or leaves behind.
pub(crate) struct Given {
    pub(crate) client: Arc<Client>,
    pub(crate) evidence: Evidence,
    pub(crate) meter: Arc<Meter>,
    pub(crate) shop: Arc<Shop>,
    pub(crate) queue_wait: Duration,
}

impl State {
    pub(crate) fn new(setup: CallSetup, policy: Arc<Policy>, network: Network, given: Given) -> Self {
        let Given { client, evidence, meter, shop, queue_wait } = given;
        let network = if setup.http_allowed { network } else { Network::Refused };
        let tags = Tags {
            shop: setup.shop_id,
            channel: setup.channel_id,
            plugin: policy.plugin.clone(),
            call: setup.call_id,
        };
        let logs = Arc::new(Mutex::new(Logs::new(tags, &setup.secrets, &setup.limits)));
        let mut table = ResourceTable::new();
        table.set_max_capacity(wasi::HANDLES);
        Self {
            limiter: Limiter::new(&setup.limits),
            meter,
            shop,
            queue_wait,
            wasi: None,
            now_ms: setup.now_ms,
            seed: setup.seed,
            limits: setup.limits,
            policy,
            secrets: setup.secrets,
            egress: setup.egress,
            transport: setup.transport,
            client,
            network,
            send_deadline: setup.send_deadline,
            evidence,
            imports: Vec::new(),
            requests: 0,
            wrote: false,
            encrypted: None,
            used: BTreeSet::new(),
            started: Instant::now(),
            logs,
            table,
        }
    }

    pub(crate) fn logs(&self) -> MutexGuard<'_, Logs> {
        self.logs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bills what was spent up to now; an error ends the plugin.
    pub(crate) fn bill(&self) -> wasmtime::Result<()> {
        if self.meter.charge() { Ok(()) } else { Err(Exceeded::Cpu.into()) }
    }

    /// Bills what a short host call has just cost; an error ends the plugin.
    pub(crate) fn bill_host_work(&self) -> wasmtime::Result<()> {
        if self.meter.glance() { Ok(()) } else { Err(Exceeded::Cpu.into()) }
    }

    pub(crate) fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Longest time from "send" to a request's first byte.
    pub(crate) fn client_connect(&self) -> Duration {
        match self.transport {
            Transport::Network => self.client.timeouts().connect,
            Transport::Scripted(_) => Duration::ZERO,
        }
    }

    /// Handles of the plugin.
    pub(crate) fn table(&mut self) -> &mut ResourceTable {
        &mut self.table
    }

    /// Notes that a secret was used.
    pub(crate) fn used(&mut self, name: &str) {
        if self.used.iter().any(|used| used.name == name) {
            return;
        }
        if let Some(secret) = self.secrets.get(name) {
            let one_time = secret.version.is_none();
            let keyed_hash = one_time.then(|| self.secrets.keyed_hash(&secret.value)).flatten();
            self.used.insert(SecretUsed { name: name.to_owned(), version: secret.version, keyed_hash });
        }
    }

    pub(crate) fn secrets_used(&mut self) -> Vec<SecretUsed> {
        std::mem::take(&mut self.used).into_iter().collect()
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let (now_ms, seed, logs) = (self.now_ms, self.seed, &self.logs);
        let ctx = self.wasi.get_or_insert_with(|| Box::new(wasi::context(now_ms, seed, logs)));
        WasiCtxView { ctx, table: &mut self.table }
    }
}
