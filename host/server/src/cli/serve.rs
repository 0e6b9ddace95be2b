//! `payhost serve`. Invariant: it ends gracefully: what was accepted is answered, what runs is settled, and storage is closed
//! last.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use ipnet::IpNet;
use jiff::SignedDuration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use url::Url;

use super::limits::LimitArguments;
use super::server_file::ServerFile;
use super::{Arguments, log, output};
use crate::host::Host;
use crate::http::{self, server, source};
use crate::vbank::notify::NoticeLimits;
use crate::webhooks;

/// How long open requests may take to end.
const DRAIN: Duration = Duration::from_secs(35);

/// How to serve.
#[derive(Args)]
pub struct ServeArguments {
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1:4101", env = "PAYHOST_LISTEN")]
    pub listen: SocketAddr,
    /// Address under which browsers and gateways reach this host. Gateways tie a merchant to its domain, so this must be the
    /// one that the shop registered.
    #[arg(long, env = "PAYHOST_PUBLIC_URL")]
    pub public_url: Option<Url>,
    /// Address or network of a proxy in front of the host: its `X-Forwarded-For` (or `Forwarded`, RFC 7239) is believed about
    /// where a request came from; if it has both, they must agree. Brackets around an IPv6 address and a port behind one are
    /// taken and mean nothing. May be given several times, and with commas.
    #[arg(long, env = "PAYHOST_TRUSTED_PROXY", value_parser = networks)]
    pub trusted_proxy: Vec<Networks>,
    /// How many days the records of plugin calls are kept, for `payhost replay` and for questions; afterwards only their
    /// digests are.
    #[arg(long, default_value_t = 90, env = "PAYHOST_JOURNAL_DAYS")]
    pub journal_days: u32,
    /// Plugin calls of one shop that may run at once, of the 1,000 that all may: a shop whose gateway is silent stops nobody
    /// else.
    #[arg(long, default_value_t = 250, env = "PAYHOST_CALLS_PER_SHOP", value_parser = clap::value_parser!(u32).range(1..))]
    pub calls_per_shop: u32,
    /// Jobs of one shop (asking about payments in doubt, verifying notices) that this host does at once: a shop whose gateway is
    /// silent, or to which much is sent, delays nobody else.
    #[arg(long, default_value_t = 16, env = "PAYHOST_JOBS_PER_SHOP", value_parser = clap::value_parser!(u32).range(1..))]
    pub jobs_per_shop: u32,
    /// Messages to `/notify/` that name no order of ours, from addresses that the plugin does not list, which are kept in an hour for
    /// each channel. More are answered 429. What names an order of ours is not refused for them: of such messages 20, or 128 KiB,
    /// are kept for each payment, and beyond these every one that the gateway, asked, confirms.
    #[arg(long, default_value_t = 1000, env = "PAYHOST_NOTICE_STRANGE_PER_HOUR")]
    pub notice_strange_per_hour: u32,
    /// Bytes of such messages in an hour, for each channel.
    #[arg(long, default_value_t = 1 << 20, env = "PAYHOST_NOTICE_STRANGE_BYTES_PER_HOUR")]
    pub notice_strange_bytes_per_hour: u32,
    /// How many days their digests and a few words of each are kept.
    #[arg(long, default_value_t = 7, env = "PAYHOST_NOTICE_STRANGE_DAYS")]
    pub notice_strange_days: u32,
    /// A private network (`127.0.0.0/8`, `10.1.0.0/16`) that webhooks may go to, also over plain http, of the shops to which you
    /// open it (`payhost shop create --private-webhooks`). May be given several times; in the variable, with commas.
    #[arg(long, value_delimiter = ',', env = "PAYHOST_WEBHOOK_ALLOW_NETWORK")]
    pub webhook_allow_network: Vec<IpNet>,
    /// Waits before each try of a webhook. Default: 0s,5s,5m,30m,2h,5h,10h,14h,20h,24h.
    #[arg(long, value_delimiter = ',', env = "PAYHOST_WEBHOOK_SCHEDULE")]
    pub webhook_schedule: Vec<SignedDuration>,
    /// How long one try of a webhook may take.
    #[arg(long, default_value = "15s", env = "PAYHOST_WEBHOOK_TIMEOUT")]
    pub webhook_timeout: SignedDuration,
    /// Webhook endpoints of one shop that are sent to at once, of those that work and of those that do not each: a shop with many
    /// events, or with receivers that let them wait, delays nobody else.
    #[arg(long, default_value_t = 8, env = "PAYHOST_WEBHOOKS_PER_SHOP", value_parser = clap::value_parser!(u32).range(1..))]
    pub webhooks_per_shop: u32,
    /// What a client may hold, and how often somebody may ask.
    #[command(flatten)]
    pub limits: LimitArguments,
}

/// Networks, as they were written in one place.
#[derive(Debug, Clone)]
pub struct Networks(Vec<IpNet>);

fn networks(text: &str) -> Result<Networks, String> {
    source::networks(text).map(Networks)
}

impl ServeArguments {
    fn proxies(&self) -> Vec<IpNet> {
        self.trusted_proxy.iter().flat_map(|networks| networks.0.clone()).collect()
    }

    fn notice_limits(&self) -> NoticeLimits {
        NoticeLimits {
            strange_per_hour: self.notice_strange_per_hour,
            strange_bytes_per_hour: self.notice_strange_bytes_per_hour,
            strange_kept: Duration::from_secs(u64::from(self.notice_strange_days) * 24 * 3600),
        }
    }

    fn webhooks(&self) -> webhooks::Options {
        let mut options = webhooks::Options {
            allowed_networks: self.webhook_allow_network.clone(),
            timeout: self.webhook_timeout.unsigned_abs(),
            per_shop: usize::try_from(self.webhooks_per_shop).unwrap_or(usize::MAX),
            ..webhooks::Options::default()
        };
        if !self.webhook_schedule.is_empty() {
            options.schedule = self.webhook_schedule.iter().map(|wait| wait.unsigned_abs()).collect();
        }
        options
    }
}

/// Runs the server until it is told to stop.
pub async fn run(arguments: &Arguments, serve: &ServeArguments) -> Result<(), String> {
    log::to_stderr();
    let listener = TcpListener::bind(serve.listen).await;
    let listener = listener.map_err(|error| format!("{} cannot be listened on: {error}", serve.listen))?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let own_url = Url::parse(&format!("http://{address}")).map_err(|error| error.to_string())?;
    let host = Host::builder(&arguments.data)
        .master_key_file(arguments.master_key_file.clone())
        .trusted_proxies(serve.proxies())
        .database(arguments.database.clone())
        .clock(crate::time::of_this_program())
        .public_url(serve.public_url.clone().unwrap_or_else(|| own_url.clone()))
        .journal_kept(Duration::from_secs(u64::from(serve.journal_days) * 24 * 3600))
        .calls_per_shop(usize::try_from(serve.calls_per_shop).unwrap_or(usize::MAX))
        .jobs_per_shop(usize::try_from(serve.jobs_per_shop).unwrap_or(usize::MAX))
        .notice_limits(serve.notice_limits())
        .request_limits(serve.limits.requests())
        .webhooks(serve.webhooks())
        .open()
        .await
        .map_err(|error| error.to_string())?;
    if host.public_url().scheme() == "https" && serve.trusted_proxy.is_empty() {
        tracing::warn!(
            "the public address is https, which this host does not speak itself, and no proxy is trusted: name the one that does with \
             --trusted-proxy, or every request seems to come from it"
        );
    }
    let server_file = ServerFile::new(own_url.clone(), host.run_key()).leave(&arguments.data)?;
    let (stop, stopped) = watch::channel(false);
    let (host_in, until_stopped) = (host.clone(), until(stopped.clone()));
    let runner = tokio::spawn(async move { host_in.run_jobs(until_stopped).await });
    // Nobody has to read it.
    let _ = output::say(&serde_json::json!({"url": own_url.as_str().trim_end_matches('/')}).to_string());
    tracing::info!(%address, public_url = %host.public_url(), "serving");
    let open_files = server::raise_open_files();
    let limits = serve.limits.connections(&serve.proxies()).fitting(open_files);
    tracing::info!(open_files, connections = limits.most, per_address = limits.per_address, "limits");
    let serving = tokio::spawn(server::serve(listener, http::router(host.clone()), limits, until(stopped)));
    signal().await;
    tracing::info!("stopping: open requests are answered first");
    // Before the port is given up: whoever takes it is sent nothing.
    drop(server_file);
    let _ = stop.send(true);
    if tokio::time::timeout(DRAIN, serving).await.is_err() {
        tracing::warn!("some requests did not end in time");
    }
    let _ = tokio::time::timeout(DRAIN, runner).await;
    host.close().await;
    tracing::info!("stopped");
    Ok(())
}

async fn until(mut stopped: watch::Receiver<bool>) {
    // An error means that the sender is gone, which is a stop too.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

/// SIGTERM or Ctrl-C.
async fn signal() {
    let interrupt = tokio::signal::ctrl_c();
    match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = interrupt => {}
                _ = terminate.recv() => {}
            }
        }
        Err(_) => {
            let _ = interrupt.await;
        }
    }
}
