//! payhost inside an axum application: routes of its own beside payhost's, and payments made without HTTP. Invariant: the
//! application never decides what was paid; it asks the host.
//!
//!     cargo xtask build-plugins
//!     cargo run -p example-embed -- --plugin target/wasm32-wasip2/plugin/inicis.wasm

mod orders;
mod set_up;

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;

use axum::Router;
use clap::Parser;
use payhost::Host;
use tokio::net::TcpListener;
use tokio::sync::watch;
use url::Url;

/// An application that takes payments by itself.
#[derive(Parser)]
struct Options {
    /// Folder of payhost's database and keys.
    #[arg(long, default_value = "embed-data")]
    data: PathBuf,
    /// Where to listen; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// The component of a payment plugin; it is installed at every start, which changes nothing when it is there.
    #[arg(long)]
    plugin: PathBuf,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let options = Options::parse();
    let listener = TcpListener::bind(options.listen).await?;
    let own_url: Url = format!("http://{}", listener.local_addr()?).parse()?;
    let host = Host::builder(&options.data).public_url(own_url.clone()).open().await?;
    let shop = set_up::shop(&host, &options.data, std::fs::read(&options.plugin)?).await?;

    // Our own routes first; whatever is not ours is payhost's: the API, the checkout pages, /payhost.js.
    let app =
        Router::new().nest("/orders", orders::routes(shop, own_url.clone())).fallback_service(host.router());
    let (stop, stopped) = watch::channel(false);
    let jobs = tokio::spawn({
        let (host, stopped) = (host.clone(), stopped.clone());
        async move { host.run_jobs(until(stopped)).await }
    });
    println!("{}", serde_json::json!({"url": own_url.as_str().trim_end_matches('/')}));
    let serving = tokio::spawn(async move {
        // With the address of whoever connects: a notice says where it came from.
        let app = app.into_make_service_with_connect_info::<SocketAddr>();
        axum::serve(listener, app).with_graceful_shutdown(until(stopped)).await
    });
    tokio::signal::ctrl_c().await?;
    // What was accepted is answered, what runs is settled, and storage is closed last.
    stop.send(true)?;
    serving.await??;
    jobs.await?;
    host.close().await;
    Ok(())
}

async fn until(mut stopped: watch::Receiver<bool>) {
    // An error means that the sender is gone, which is a stop too.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}
