//! A strict simulator of KG INICIS with its own ledger and faults on demand.
//!
//! Invariant: it is written from `reference/inicis.md` alone and shares no code with the plugins, so that one
//! misunderstanding cannot pass on both sides. What the reference marks unknown is a switch in [`Settings`] or absent.

mod aes;
mod answer;
mod booking;
mod choice;
mod clock;
mod codes;
mod control;
mod fault;
mod form;
/// The formulas of the wire.
pub mod hash;
mod iniapi;
mod ledger;
mod merchant;
mod method;
mod mobile;
mod notice;
mod offer;
mod older;
mod play;
mod refusal;
mod server;
mod settings;
mod sim;
mod stdpay;
mod tls;
mod vbank;
mod view;
mod windows;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

pub use clock::Clock;
pub use ledger::LedgerError;
pub use merchant::{Merchant, MerchantError, Merchants};
pub use notice::Dress;
pub use older::Profile;
pub use settings::Settings;
pub use tls::{HOSTS, TlsError};
pub use vbank::settings::VbankSettings;

/// How to start a simulator.
#[derive(Clone, Debug)]
pub struct Options {
    /// Directory of the ledger and of the certificate authority; made if it is absent.
    pub data: PathBuf,
    /// Where the buyer's browser is served, plain HTTP. Port 0 takes a free one.
    pub browser: SocketAddr,
    /// Where merchants are served, TLS under the gateway's real names.
    pub gateway: SocketAddr,
    /// Who may pay.
    pub merchants: Merchants,
    /// Switches for what INICIS does not document.
    pub settings: Settings,
    /// Time.
    pub clock: Clock,
}

impl Options {
    /// Free ports on loopback, the default merchants and settings, the system clock.
    #[must_use]
    pub fn new(data: impl Into<PathBuf>) -> Self {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            data: data.into(),
            browser: loopback,
            gateway: loopback,
            merchants: Merchants::default(),
            settings: Settings::default(),
            clock: Clock::system(),
        }
    }
}

/// The simulator cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The data directory cannot be made.
    #[error("{path}: {source}")]
    Data {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// An address cannot be listened on.
    #[error("listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The certificates.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// A simulator that runs until it is stopped or dropped.
#[derive(Debug)]
pub struct Running {
    /// `http://127.0.0.1:PORT`, which stands for `https://stdpay.inicis.com` in the browser.
    pub browser_origin: String,
    /// Where the gateway's names lead.
    pub gateway_address: SocketAddr,
    /// Certificate of the authority that signed the gateway's names.
    pub ca_pem: String,
    /// The same as a file.
    pub ca_file: PathBuf,
    /// Its clock, to be moved by tests.
    pub clock: Clock,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Running {
    /// For each name of the gateway that is served: where a host of payments connects to instead, and where browsers go. The form
    /// is that of `payhost gateway-map import`.
    pub fn gateway_map(&self) -> serde_json::Value {
        let entry = |(name, pages): &(&str, bool)| {
            serde_json::json!({
                "origin": format!("https://{name}"),
                "connect": self.gateway_address,
                "ca_file": self.ca_file,
                "browser_origin": pages.then_some(&self.browser_origin),
            })
        };
        server::NAMES.iter().map(entry).collect()
    }

    /// Stops accepting, lets open requests finish for a moment, and closes the ledger.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        for task in std::mem::take(&mut self.tasks) {
            if let Err(error) = task.await {
                tracing::warn!(%error, "a listener ended badly");
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Starts a simulator on the current tokio runtime.
///
/// # Errors
/// The data directory, the ledger, the certificates or the addresses.
pub async fn start(options: Options) -> Result<Running, Error> {
    let Options { data, browser, gateway, merchants, settings, clock } = options;
    std::fs::create_dir_all(&data).map_err(|source| Error::Data { path: data.clone(), source })?;
    let tls = tls::prepare(&data)?;
    let ledger = ledger::Ledger::open(&data.join("ledger.jsonl"))?;
    let sim = Arc::new(sim::Sim::new(merchants, settings, clock.clone(), ledger));
    let (browser_listener, browser_address) = listen(browser).await?;
    let (gateway_listener, gateway_address) = listen(gateway).await?;
    let (stop, stopped) = watch::channel(false);
    let acceptor = TlsAcceptor::from(tls.config);
    let browser_site = server::Site::browser(&sim);
    let gateway_site = server::Site::gateway(&sim);
    let tasks = vec![
        tokio::spawn(server::run(browser_listener, None, browser_site, stopped.clone())),
        tokio::spawn(server::run(gateway_listener, Some(acceptor), gateway_site, stopped.clone())),
        tokio::spawn(notice::courier::run(sim, stopped)),
    ];
    Ok(Running {
        browser_origin: format!("http://{browser_address}"),
        gateway_address,
        ca_pem: tls.ca_pem,
        ca_file: data.join("ca.pem"),
        clock,
        stop,
        tasks,
    })
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), Error> {
    let failed = |source| Error::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}
