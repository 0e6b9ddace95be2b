//! The demo shop as a program. It prints one line with its address once it listens, and stops on SIGTERM or Ctrl-C.

use std::error::Error;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Parser;
use example_shop::{Shop, payhost::Payhost, router, store::Store};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

const KEY_VARIABLE: &str = "SHOP_PAYHOST_KEY";

/// A small shop that sells through payhost.
#[derive(Parser)]
#[command(version)]
struct Options {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:8000")]
    listen: SocketAddr,
    /// The shop's own address as the buyer's browser sees it. Default: where it listens.
    #[arg(long)]
    url: Option<String>,
    /// Address of payhost.
    #[arg(long)]
    payhost: String,
    /// File with the shop's secret key (`sk_test_…`). Without it, the environment variable SHOP_PAYHOST_KEY.
    #[arg(long)]
    key_file: Option<PathBuf>,
    /// File with the secret of payhost's webhooks (`whsec_…`), which payhost sends to `/webhooks`.
    #[arg(long)]
    webhook_secret_file: Option<PathBuf>,
    /// Folder for carts and orders.
    #[arg(long)]
    data: PathBuf,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let options = Options::parse();
    let payhost = Payhost::new(&options.payhost, read_key(&options)?)?;
    let webhook_secret = options.webhook_secret_file.as_deref().map(read_file).transpose()?;
    let store = Store::open(&options.data)?;
    let listener = TcpListener::bind(options.listen).await?;
    let url = match options.url {
        Some(url) => url.trim_end_matches('/').to_owned(),
        None => format!("http://{}", listener.local_addr()?),
    };
    let mut terminate = signal(SignalKind::terminate())?;
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    };
    println!("shop: {url}/");
    axum::serve(listener, router(Shop { store, payhost, url, webhook_secret }))
        .with_graceful_shutdown(stop)
        .await?;
    Ok(())
}

fn read_file(file: &Path) -> Result<String, Box<dyn Error>> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(text.trim().to_owned())
}

fn read_key(options: &Options) -> Result<String, Box<dyn Error>> {
    let key = match &options.key_file {
        Some(file) => read_file(file)?,
        None => std::env::var(KEY_VARIABLE).map_err(|_| format!("give --key-file or set {KEY_VARIABLE}"))?,
    };
    let key = key.trim();
    if !key.starts_with("sk_") {
        return Err("the key is not a shop's secret key (sk_test_… or sk_live_…)".into());
    }
    Ok(key.to_owned())
}
