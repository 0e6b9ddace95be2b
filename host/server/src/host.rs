//! A running host: what every use case stands on. Invariant: everything that a use case touches (storage, plugins, time,
//! randomness, the addresses of this host) comes from here, so that an embedder and a test can bring their own.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ipnet::IpNet;
pub use payhost_core::hex;
use payhost_engine::{CacheOptions, Engine, EngineError};
use payhost_store::{MasterKey, Store, Vault};
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;
use url::Url;

use crate::http::problem::Problem;
use crate::plugins::registry::Registry;
use crate::time::{Clock, SystemClock};
use crate::vbank::notify::NoticeLimits;
use crate::webhooks;

/// Why a host could not be opened, in words for the operator.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The database or the master key.
    #[error(transparent)]
    Store(#[from] payhost_store::Error),
    /// The sandbox.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The network for webhooks.
    #[error(transparent)]
    Webhooks(#[from] webhooks::ClientError),
    /// The data folder.
    #[error("{path}: {cause}")]
    Folder {
        /// Which.
        path: String,
        /// The system's words.
        cause: std::io::Error,
    },
}

/// Most bytes of compiled code that are kept on disk.
const COMPILED_MAX: u64 = 1 << 30;
/// The SQLite database of a data folder.
pub const SQLITE_FILE: &str = "payhost.sqlite";
/// The variable that may hold the master key.
const MASTER_KEY_VARIABLE: &str = "PAYHOST_MASTER_KEY";
/// Jobs of a shop that are done at once when nobody says otherwise.
const JOBS_PER_SHOP: usize = 16;
/// How long records of plugin calls are kept when nobody says otherwise: 90 days.
pub const JOURNAL_KEPT: Duration = Duration::from_secs(90 * 24 * 3600);

/// Makes a [`Host`].
pub struct Builder {
    data: PathBuf,
    database: Option<String>,
    public_url: Option<Url>,
    master_key_file: Option<PathBuf>,
    trusted_proxies: Vec<IpNet>,
    clock: Arc<dyn Clock>,
    journal_kept: Duration,
    calls_per_shop: usize,
    jobs_per_shop: usize,
    notice_limits: NoticeLimits,
    webhooks: webhooks::Options,
}

impl Builder {
    /// Address of the database: `postgres://USER@HOST/DATABASE`, `sqlite:PATH` or a path. Default: a SQLite file in the data
    /// folder. Several hosts may share one PostgreSQL; each has a data folder of its own.
    #[must_use]
    pub fn database(mut self, address: Option<String>) -> Self {
        self.database = address;
        self
    }

    /// The address under which browsers and gateways reach this host. Default `http://127.0.0.1:4101`.
    #[must_use]
    pub fn public_url(mut self, url: Url) -> Self {
        self.public_url = Some(url);
        self
    }

    /// File of the master key. Default: `master.key` in the data folder, made when there is no database yet.
    #[must_use]
    pub fn master_key_file(mut self, file: Option<PathBuf>) -> Self {
        self.master_key_file = file;
        self
    }

    /// Proxies whose word about where a request came from is taken (`X-Forwarded-For`). Default: none.
    #[must_use]
    pub fn trusted_proxies(mut self, networks: Vec<IpNet>) -> Self {
        self.trusted_proxies = networks;
        self
    }

    /// How long records of plugin calls are kept; afterwards only their digests are. Default: 90 days. It holds for calls
    /// that are made from now on.
    #[must_use]
    pub fn journal_kept(mut self, kept: Duration) -> Self {
        self.journal_kept = kept;
        self
    }

    /// Plugin calls of one shop that may run at once, waiting for its gateway included; more wait a second and are then not
    /// begun. Default: 250 of the 1,000 that all shops may have, so that a shop whose gateway is silent stops nobody else.
    #[must_use]
    pub fn calls_per_shop(mut self, most: usize) -> Self {
        self.calls_per_shop = most;
        self
    }

    /// Jobs of one shop (asking about payments in doubt, verifying notices …) that this process does at once; the others wait for
    /// their shop's turn. Default: 16, so that a shop whose gateway is silent delays nobody else.
    #[must_use]
    pub fn jobs_per_shop(mut self, most: usize) -> Self {
        self.jobs_per_shop = most.max(1);
        self
    }

    /// What is kept of messages that name no order of ours.
    #[must_use]
    pub fn notice_limits(mut self, limits: NoticeLimits) -> Self {
        self.notice_limits = limits;
        self
    }

    /// Another clock.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// How shops are told of events.
    #[must_use]
    pub fn webhooks(mut self, options: webhooks::Options) -> Self {
        self.webhooks = options;
        self
    }

    /// Opens the database and the sandbox.
    pub async fn open(self) -> Result<Host, OpenError> {
        let folder = |cause| OpenError::Folder { path: self.data.display().to_string(), cause };
        make_folder(&self.data).map_err(folder)?;
        let now_us = self.clock.now_us();
        let store = open_store(&self.data, self.database.as_deref())?;
        let old = Vault::is_bound(&store).await?;
        let key = master_key(&self.data, self.master_key_file.as_deref(), old)?;
        let vault = Vault::open(&store, key).await?;
        let cache = CacheOptions {
            dir: self.data.join("compiled"),
            key: vault.mac("compiled-code-cache", b"key")?,
            max_bytes: COMPILED_MAX,
        };
        let engine = Engine::new(payhost_engine::Options {
            cache: Some(cache),
            calls_per_shop: self.calls_per_shop,
            ..payhost_engine::Options::default()
        })?;
        let inner = Inner {
            plugins: Registry::default(),
            public_url: self.public_url.unwrap_or_else(default_url),
            trusted_proxies: self.trusted_proxies,
            run_key: format!("op_run_{}", hex(&random::<32>())),
            settled: Notify::new(),
            jobs: Notify::new(),
            forwards: Notify::new(),
            jobs_per_shop: self.jobs_per_shop,
            notice_limits: self.notice_limits,
            proxy_seen: AtomicBool::new(false),
            webhooks: webhooks::Client::new(&self.webhooks)?,
            webhook_options: self.webhooks,
            finishing: TaskTracker::new(),
            journal_kept_us: i64::try_from(self.journal_kept.as_micros()).unwrap_or(i64::MAX),
            clock: self.clock,
            store,
            vault,
            engine,
        };
        tracing::debug!(opened_us = inner.clock.now_us().saturating_sub(now_us), "host opened");
        Ok(Host(Arc::new(inner)))
    }
}

/// The database of an address, or the SQLite file of a data folder.
pub fn open_store(data: &Path, address: Option<&str>) -> Result<Store, payhost_store::Error> {
    let options = match address {
        Some(address) => payhost_store::Options::parse(address)?,
        None => payhost_store::Options::sqlite(data.join(SQLITE_FILE)),
    };
    Store::open(options)
}

/// Makes the data folder for its user only: it holds keys and what buyers ordered.
fn make_folder(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// The master key: from the variable, the file that was named, or the data folder's own file, which is made for a new
/// database only: a key made for an old one could not read it.
fn master_key(data: &Path, named: Option<&Path>, old: bool) -> Result<MasterKey, payhost_store::Error> {
    let value = std::env::var(MASTER_KEY_VARIABLE).ok();
    let own = data.join("master.key");
    match named {
        None if value.is_none() && own.exists() => MasterKey::read_file(&own),
        None if value.is_none() && !old => MasterKey::create_file(&own),
        named => MasterKey::load(named, MASTER_KEY_VARIABLE, value.as_deref()),
    }
}

#[allow(clippy::unwrap_used, reason = "a constant address")]
fn default_url() -> Url {
    Url::parse("http://127.0.0.1:4101").unwrap()
}

/// A running host. Clones are the same host.
#[derive(Clone)]
pub struct Host(Arc<Inner>);

struct Inner {
    store: Store,
    vault: Vault,
    engine: Engine,
    plugins: Registry,
    clock: Arc<dyn Clock>,
    public_url: Url,
    trusted_proxies: Vec<IpNet>,
    journal_kept_us: i64,
    run_key: String,
    settled: Notify,
    jobs: Notify,
    forwards: Notify,
    jobs_per_shop: usize,
    notice_limits: NoticeLimits,
    proxy_seen: AtomicBool,
    webhooks: webhooks::Client,
    webhook_options: webhooks::Options,
    finishing: TaskTracker,
}

impl Host {
    /// Begins to make a host whose files are in a folder.
    pub fn builder(data: impl AsRef<Path>) -> Builder {
        Builder {
            data: data.as_ref().to_path_buf(),
            database: None,
            public_url: None,
            master_key_file: None,
            trusted_proxies: Vec::new(),
            clock: Arc::new(SystemClock),
            journal_kept: JOURNAL_KEPT,
            calls_per_shop: payhost_engine::Options::default().calls_per_shop,
            jobs_per_shop: JOBS_PER_SHOP,
            notice_limits: NoticeLimits::default(),
            webhooks: webhooks::Options::default(),
        }
    }

    /// The database.
    #[doc(hidden)] // For tests; no part of the API.
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// Sealed values.
    pub(crate) fn vault(&self) -> &Vault {
        &self.0.vault
    }

    /// The sandbox.
    pub(crate) fn engine(&self) -> &Engine {
        &self.0.engine
    }

    /// Loaded plugins.
    pub(crate) fn plugins(&self) -> &Registry {
        &self.0.plugins
    }

    /// Address of this host for browsers and gateways.
    pub fn public_url(&self) -> &Url {
        &self.0.public_url
    }

    /// Proxies that are believed.
    pub(crate) fn trusted_proxies(&self) -> &[IpNet] {
        &self.0.trusted_proxies
    }

    /// How long the record of a call is kept, in microseconds.
    pub(crate) fn journal_kept_us(&self) -> i64 {
        self.0.journal_kept_us
    }

    /// An operator's key that is known to this process and its data folder only, and ends with the process.
    #[doc(hidden)] // For tests; no part of the API.
    pub fn run_key(&self) -> &str {
        &self.0.run_key
    }

    /// Now, in microseconds.
    #[doc(hidden)] // For tests; no part of the API.
    pub fn now_us(&self) -> i64 {
        self.0.clock.now_us()
    }

    /// Now, in milliseconds.
    pub(crate) fn now_ms(&self) -> i64 {
        self.now_us() / 1000
    }

    /// A new id: `host.new_id(PaymentId::new)`.
    pub(crate) fn new_id<T>(&self, make: impl FnOnce(i64, [u8; 10]) -> T) -> T {
        make(self.now_ms(), random())
    }

    /// Rings when an attempt may have been settled, or an event has to go out: whoever waits for one reads again.
    pub(crate) fn settled(&self) -> &Notify {
        &self.0.settled
    }

    /// Rings when a job may be due.
    pub(crate) fn jobs(&self) -> &Notify {
        &self.0.jobs
    }

    /// Rings when a notice is to be sent on.
    pub(crate) fn forwards(&self) -> &Notify {
        &self.0.forwards
    }

    /// Jobs of one shop that this process does at once.
    pub(crate) fn jobs_per_shop(&self) -> usize {
        self.0.jobs_per_shop
    }

    /// What is kept of messages that name no order of ours.
    pub(crate) fn notice_limits(&self) -> NoticeLimits {
        self.0.notice_limits
    }

    /// Tells the first time that it is called.
    pub(crate) fn proxy_seen_first(&self) -> bool {
        !self.0.proxy_seen.swap(true, Ordering::Relaxed)
    }

    /// What tells shops of events.
    pub(crate) fn webhooks(&self) -> &webhooks::Client {
        &self.0.webhooks
    }

    /// How they are told.
    pub(crate) fn webhook_options(&self) -> &webhooks::Options {
        &self.0.webhook_options
    }

    /// Runs work to its end even when its caller goes away, and before the host closes. Were the process to die, a job
    /// would find out: nothing may depend on this for being done.
    pub(crate) async fn finish<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Problem>> + Send + 'static,
    ) -> Result<T, Problem> {
        self.0.finishing.spawn(work).await.map_err(|error| Problem::internal(&error))?
    }

    /// Every address of this host: the API, the buyers' pages and `/payhost.js`. Mount it where nothing of your own answers:
    /// `Router::new().route("/mine", …).fallback_service(host.router())`. Serve it with
    /// `into_make_service_with_connect_info::<SocketAddr>()`: without it nobody knows where a gateway's notice came from.
    pub fn router(&self) -> axum::Router {
        crate::http::router(self.clone())
    }

    /// Does the work that must be done whatever happens (finding out about payments in doubt, ending those whose time is over,
    /// telling shops) until `stop` is ready. A host that takes payments must run this; several processes on one database may.
    pub async fn run_jobs(&self, stop: impl Future<Output = ()>) {
        let (tell, told) = tokio::sync::watch::channel(false);
        let until = |mut told: tokio::sync::watch::Receiver<bool>| async move {
            let _ = told.wait_for(|stop| *stop).await;
        };
        let jobs = crate::jobs::run(self.clone(), until(told.clone()));
        let webhooks = webhooks::run(self.clone(), until(told));
        let stopping = async {
            stop.await;
            let _ = tell.send(true);
        };
        tokio::join!(jobs, webhooks, stopping);
    }

    /// Waits for what must end, then closes storage. Requests and jobs must have ended.
    pub async fn close(&self) {
        self.0.finishing.close();
        self.0.finishing.wait().await;
        self.0.engine.drain().await;
        self.0.store.close().await;
    }
}

/// Random bytes of the operating system.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    if let Err(error) = getrandom::fill(&mut bytes) {
        // Without randomness ids and keys could be guessed: nothing may go on.
        tracing::error!(%error, "the operating system gives no random bytes");
        std::process::abort();
    }
    bytes
}
