//! A running host: what every use case stands on. Invariant: everything that a use case touches (storage, plugins, time,
//! randomness, the addresses of this host) comes from here, so that an embedder and a test can bring their own.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ipnet::IpNet;
pub use payhost_core::hex;
use payhost_core::id::ShopId;
use payhost_engine::{CacheOptions, Engine, EngineError};
use payhost_store::{MasterKey, ShopKey, Store, Vault};
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;
use url::Url;

use crate::http::limits::{Limits, RequestLimits};
use crate::http::problem::Problem;
use crate::plugins::registry::Registry;
use crate::time::{Clock, SystemClock};
use crate::vbank::hearing::Hearings;
use crate::vbank::notify::NoticeLimits;
use crate::vbank::told::Told;
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
    /// There is no host where one was to be opened, and none was to be made.
    #[error(
        "there is no host in {path}: `payhost --data {path} serve` makes one; --data names another folder"
    )]
    NoHost {
        /// The data folder.
        path: String,
    },
    /// What others than the user of the host can read.
    #[error("{path} holds secrets and can be read by others; run: chmod -R go= {path}")]
    Readable {
        /// The data folder.
        path: String,
    },
    /// The master key, and what to do.
    #[error("{cause}. {remedy}")]
    MasterKey {
        /// What is wrong with it.
        cause: payhost_store::Error,
        /// What to do.
        remedy: String,
    },
    /// The address for browsers and gateways is not one that the host could be reached at.
    #[error("the public URL {url} cannot be used: {why}")]
    PublicUrl {
        /// The address.
        url: String,
        /// What is wrong with it.
        why: &'static str,
    },
}

/// Most bytes of compiled code that are kept on disk.
const COMPILED_MAX: u64 = 1 << 30;
/// The SQLite database of a data folder.
pub const SQLITE_FILE: &str = "payhost.sqlite";
/// The master key of a data folder.
const MASTER_KEY_FILE: &str = "master.key";
/// How the names of our files in the data folder begin (SQLite has some beside its own).
const OWN_FILES: &[&str] = &[MASTER_KEY_FILE, SQLITE_FILE, "server.json"];
/// The variable that may hold the master key.
const MASTER_KEY_VARIABLE: &str = "PAYHOST_MASTER_KEY";
/// Jobs of a shop that are done at once when nobody says otherwise.
const JOBS_PER_SHOP: usize = 16;
/// How long records of plugin calls are kept when nobody says otherwise: 90 days.
pub const JOURNAL_KEPT: Duration = Duration::from_secs(90 * 24 * 3600);

/// Makes a [`Host`].
pub struct Builder {
    data: PathBuf,
    existing: bool,
    database: Option<String>,
    public_url: Option<Url>,
    master_key_file: Option<PathBuf>,
    trusted_proxies: Vec<IpNet>,
    clock: Arc<dyn Clock>,
    journal_kept: Duration,
    calls_per_shop: usize,
    jobs_per_shop: usize,
    notice_limits: NoticeLimits,
    limits: RequestLimits,
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

    /// Only a host that is there: nothing is made, no folder, no database and no master key. Commands open it so, and a folder's
    /// name that is mistyped is told.
    #[must_use]
    pub fn existing(mut self) -> Self {
        self.existing = true;
        self
    }

    /// The address under which browsers and gateways reach this host: scheme, host and port, with nothing behind. Default `http://127.0.0.1:4101`.
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

    /// Proxies whose word about where a request came from is taken (`X-Forwarded-For` or `Forwarded`). Default: none.
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

    /// How often somebody may ask; more is answered 429.
    #[must_use]
    pub fn request_limits(mut self, limits: RequestLimits) -> Self {
        self.limits = limits;
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
        let public_url = self.public_url.clone().unwrap_or_else(default_url);
        only_origin(&public_url)?;
        if self.existing && !self.is_there() {
            return Err(OpenError::NoHost { path: self.data.display().to_string() });
        }
        private_folder(&self.data)?;
        let now_us = self.clock.now_us();
        let store = open_store(&self.data, self.database.as_deref())?;
        let old = Vault::is_bound(&store).await?;
        if self.existing && !old {
            store.close().await;
            return Err(OpenError::NoHost { path: self.data.display().to_string() });
        }
        let key = match master_key(&self.data, self.master_key_file.as_deref(), old) {
            Ok(key) => key,
            Err(error) => {
                // Whoever mends it may try again at once: the database is free by then.
                store.close().await;
                return Err(error);
            }
        };
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
            public_url,
            trusted_proxies: self.trusted_proxies,
            limits: Limits::new(self.limits),
            run_key: format!("op_run_{}", hex(&random::<32>())),
            settled: Notify::new(),
            jobs: Notify::new(),
            forwards: Notify::new(),
            jobs_per_shop: self.jobs_per_shop,
            notice_limits: self.notice_limits,
            proxy_seen: AtomicBool::new(false),
            hearings: Hearings::default(),
            told: Told::default(),
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

impl Builder {
    /// Whether the data folder is one, as far as can be seen without opening anything.
    fn is_there(&self) -> bool {
        match self.database {
            None => self.data.join(SQLITE_FILE).exists(),
            Some(_) => self.data.is_dir(),
        }
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

/// Nothing may stand behind the origin: the host's own paths do, and a gateway that was told another address would charge the
/// buyer and send him to a page that is not there.
fn only_origin(url: &Url) -> Result<(), OpenError> {
    let why = if !["http", "https"].contains(&url.scheme()) || !url.has_host() {
        "it begins with https:// (or http://) and a host"
    } else if !url.username().is_empty() || url.password().is_some() {
        "it has a user or a password"
    } else if url.path() != "/" {
        "it has a path; the host answers at the root of its address only"
    } else if url.query().is_some() || url.fragment().is_some() {
        "it has a query or a fragment"
    } else {
        return Ok(());
    };
    let mut shown = url.clone();
    let _ = shown.set_password(None);
    Err(OpenError::PublicUrl { url: shown.to_string(), why })
}

/// Makes the data folder for its user only, or refuses one that others can read, or with files of ours that they can: they hold
/// keys and what buyers ordered. An empty one that somebody made for us becomes ours; what an embedder keeps beside our files is
/// the embedder's affair.
fn private_folder(path: &Path) -> Result<(), OpenError> {
    use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
    let folder = |cause| OpenError::Folder { path: path.display().to_string(), cause };
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(folder)?;
    let open = |mode: u32| mode & 0o077 != 0;
    let mut entries = std::fs::read_dir(path).map_err(folder)?.peekable();
    let own_mode = std::fs::metadata(path).map_err(folder)?.mode();
    if entries.peek().is_none() && open(own_mode) {
        return std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).map_err(folder);
    }
    let mut readable = open(own_mode);
    for entry in entries {
        // One that goes away meanwhile (a write-ahead log) is not readable any more; a link has no mode of its own.
        let entry = entry.map_err(folder)?;
        let name = entry.file_name();
        let ours = OWN_FILES.iter().any(|own| name.to_string_lossy().starts_with(own));
        let found = entry.metadata().ok().filter(|found| ours && !found.is_symlink());
        let mode = found.map_or(0, |found| found.mode());
        readable = readable || open(mode);
    }
    if readable { Err(OpenError::Readable { path: path.display().to_string() }) } else { Ok(()) }
}

/// The master key: from the variable, the file that was named, or the data folder's own file, which is made for a new
/// database only: a key made for an old one could not read it.
fn master_key(data: &Path, named: Option<&Path>, old: bool) -> Result<MasterKey, OpenError> {
    let value = std::env::var(MASTER_KEY_VARIABLE).ok();
    let own = data.join(MASTER_KEY_FILE);
    let file = named.or((value.is_none() && own.exists()).then_some(own.as_path()));
    let found = match (file, &value) {
        (None, None) if !old => {
            let made = MasterKey::create_file(&own)?;
            tracing::warn!(
                file = %own.display(),
                "a master key was made. Keep a copy of this file apart from the database and its backups: without it nothing \
                 that is sealed (gateways' keys, buyers' names and accounts, webhook secrets) can ever be read again, and with \
                 it and the database everything can"
            );
            return Ok(made);
        }
        (file, value) => MasterKey::load(file, MASTER_KEY_VARIABLE, value.as_deref()),
    };
    found.map_err(|cause| {
        let missing = file.unwrap_or(&own).display();
        let remedy = if old {
            format!(
                "This host's data was sealed with its own key, and no other opens it: restore {missing} from your backup (or \
                 name the file with --master-key-file, or give the key in {MASTER_KEY_VARIABLE})"
            )
        } else {
            format!(
                "A new host makes one in {} by itself; or make one with `openssl rand -hex 32`, and keep it apart from the \
                 database and its backups",
                own.display()
            )
        };
        OpenError::MasterKey { cause, remedy }
    })
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
    limits: Limits,
    journal_kept_us: i64,
    run_key: String,
    settled: Notify,
    jobs: Notify,
    forwards: Notify,
    jobs_per_shop: usize,
    notice_limits: NoticeLimits,
    proxy_seen: AtomicBool,
    hearings: Hearings,
    told: Told,
    webhooks: webhooks::Client,
    webhook_options: webhooks::Options,
    finishing: TaskTracker,
}

impl Host {
    /// Begins to make a host whose files are in a folder.
    pub fn builder(data: impl AsRef<Path>) -> Builder {
        Builder {
            data: data.as_ref().to_path_buf(),
            existing: false,
            database: None,
            public_url: None,
            master_key_file: None,
            trusted_proxies: Vec::new(),
            clock: Arc::new(SystemClock),
            journal_kept: JOURNAL_KEPT,
            calls_per_shop: payhost_engine::Options::default().calls_per_shop,
            jobs_per_shop: JOBS_PER_SHOP,
            notice_limits: NoticeLimits::default(),
            limits: RequestLimits::default(),
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

    /// The key of a shop, from memory or, the first time, from its row.
    pub(crate) async fn shop_key(&self, shop: ShopId) -> Result<ShopKey, payhost_store::Error> {
        if let Some(key) = self.vault().known(shop) {
            return Ok(key);
        }
        let vault = self.vault().clone();
        self.store().read(move |tx| vault.key_of(tx, shop)).await
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

    /// Who asked how often.
    pub(crate) fn limits(&self) -> &Limits {
        &self.0.limits
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

    /// Payments about which more is sent than is kept.
    pub(crate) fn hearings(&self) -> &Hearings {
        &self.0.hearings
    }

    /// What the log said of strangers.
    pub(crate) fn told(&self) -> &Told {
        &self.0.told
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
        self.0.finishing.spawn(work.in_current_span()).await.map_err(|error| Problem::internal(&error))?
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    async fn words(builder: Builder) -> String {
        match builder.open().await {
            Ok(_) => panic!("the host opened"),
            Err(error) => error.to_string(),
        }
    }

    fn set_mode(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_public_url_is_an_origin() {
        for good in [
            "https://pay.example",
            "https://pay.example/",
            "http://127.0.0.1:4101",
            "https://pay.example:8443",
        ] {
            only_origin(&good.parse().unwrap()).unwrap();
        }
        for bad in [
            "https://pay.example/pay",
            "https://pay.example/?x=1",
            "https://pay.example/#x",
            "https://user:secret@pay.example/",
            "ftp://pay.example/",
            "mailto:pay@example",
        ] {
            let error = only_origin(&bad.parse().unwrap()).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_host_that_is_not_there_is_not_made_by_looking_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("mistyped");
        let error = words(Host::builder(&data).existing()).await;
        assert!(error.contains(&format!("there is no host in {}", data.display())), "{error}");
        assert!(!data.exists());
        std::fs::create_dir(&data).unwrap();
        words(Host::builder(&data).existing()).await;
        assert_eq!(std::fs::read_dir(&data).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_lost_master_key_is_named_with_what_to_restore_and_none_is_made_for_old_data() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        Host::builder(&data).open().await.unwrap().close().await;
        let key = data.join("master.key");
        std::fs::remove_file(&key).unwrap();
        let error = words(Host::builder(&data)).await;
        assert!(
            error.contains(&format!("restore {}", key.display())) && !error.contains("openssl"),
            "{error}"
        );
        let named = folder.path().join("gone.key");
        let error = words(Host::builder(&data).master_key_file(Some(named.clone()))).await;
        assert!(
            error.contains(&format!("restore {}", named.display())) && !error.contains("openssl"),
            "{error}"
        );
        assert!(!key.exists() && !named.exists());
        let error = words(Host::builder(folder.path().join("new")).master_key_file(Some(named))).await;
        assert!(error.contains("openssl rand"), "{error}");
    }

    #[tokio::test]
    async fn files_that_others_can_read_are_refused_with_what_to_run() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        std::fs::create_dir(&data).unwrap();
        set_mode(&data, 0o755);
        Host::builder(&data).open().await.unwrap().close().await;
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&data), 0o700, "an empty folder becomes ours");
        for entry in std::fs::read_dir(&data).unwrap() {
            let entry = entry.unwrap().path();
            assert_eq!(mode(&entry) & 0o077, 0, "{}", entry.display());
        }
        for (path, open, private) in [(data.clone(), 0o750, 0o700), (data.join(SQLITE_FILE), 0o644, 0o600)] {
            set_mode(&path, open);
            let error = words(Host::builder(&data)).await;
            assert!(error.contains(&format!("chmod -R go= {}", data.display())), "{error}");
            set_mode(&path, private);
        }
        Host::builder(&data).open().await.unwrap().close().await;
    }
}
