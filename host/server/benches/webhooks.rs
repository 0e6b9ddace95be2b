//! Webhooks delivered on loopback. Invariant: the figure counts only if every event came to its receiver and every delivery is
//! stored as delivered.
#![allow(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "a measurement that is surprised stops; figures are rounded"
)]

use std::collections::HashSet;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode, header};
use axum::routing::post;
use clap::Parser;
use payhost::host::random;
use payhost::{Host, webhooks};
use payhost_core::id::{EventId, ShopId};
use payhost_store::rows::events::{self, Event};
use payhost_store::rows::shops::{self, Shop};
use payhost_store::rows::{Mode, deliveries, endpoints};
use payhost_store::{Error, Json};
use serde_json::json;
use tower::ServiceExt as _;

/// design.md: webhooks delivered on loopback, per second.
const MUST: f64 = 400.0;

#[derive(Parser)]
struct Arguments {
    /// Shops with one endpoint each.
    #[arg(long, default_value_t = 16)]
    shops: usize,
    /// Events of each shop.
    #[arg(long, default_value_t = 500)]
    events: usize,
    /// Where the figure goes besides, as one line of JSON.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Given by `cargo bench`.
    #[arg(long)]
    bench: bool,
}

#[tokio::main]
async fn main() {
    let arguments = Arguments::parse();
    let folder = tempfile::tempdir().unwrap();
    let options = webhooks::Options {
        allowed_networks: vec!["127.0.0.0/8".parse().unwrap()],
        ..webhooks::Options::default()
    };
    let host = Host::builder(folder.path()).webhooks(options).open().await.unwrap();
    let (came, url) = receiver().await;
    let mut ids = HashSet::new();
    let mut shop_ids = Vec::new();
    for _ in 0..arguments.shops {
        let shop = shop(&host, &url).await;
        shop_ids.push(shop);
        ids.extend(happen(&host, shop, arguments.events).await);
    }
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let begun = Instant::now();
    let running = tokio::spawn(webhooks::run(host.clone(), async {
        let _ = stopped.await;
    }));
    while came.lock().unwrap().len() < ids.len() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let _ = stop.send(());
    running.await.unwrap();
    let seconds = begun.elapsed().as_secs_f64();
    assert_eq!(*came.lock().unwrap(), ids, "other events came");
    let mut stored = 0;
    for shop in shop_ids {
        stored += delivered(&host, shop, arguments.events).await;
    }
    assert_eq!(stored, ids.len(), "deliveries that are not stored as delivered");
    host.close().await;
    let rate = ids.len() as f64 / seconds;
    let word = if rate >= MUST { "kept" } else { "MISSED" };
    println!("webhooks delivered on loopback {rate:>27.0} /s  must {MUST}  {word}");
    if let Some(path) = arguments.json {
        let line =
            json!({"name": "webhooks", "value": rate.round(), "unit": "/s", "ratio": null, "must": MUST});
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        writeln!(file, "{line}").unwrap();
    }
}

/// A receiver, and the ids that came.
async fn receiver() -> (Arc<Mutex<HashSet<String>>>, String) {
    let came: Arc<Mutex<HashSet<String>>> = Arc::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let kept = Arc::clone(&came);
    let app = Router::new().route(
        "/",
        post(move |headers: HeaderMap, _: String| async move {
            let id = headers.get("webhook-id").unwrap().to_str().unwrap().to_owned();
            kept.lock().unwrap().insert(id);
            StatusCode::NO_CONTENT
        }),
    );
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    (came, url)
}

async fn shop(host: &Host, url: &str) -> ShopId {
    let id = host.new_id(ShopId::new);
    let row = Shop {
        id,
        name: "shop".to_owned(),
        public_url: None,
        allowed_origins: Json::of(&json!([])).unwrap(),
        data_key: host.vault().new_data_key(id).unwrap(),
        created_us: 0,
        disabled_us: None,
    };
    host.store().transact(move |tx| shops::insert(tx, &row)).await.unwrap();
    let request = Request::post("/v1/webhook-endpoints")
        .header(header::AUTHORIZATION, format!("Bearer {}", host.run_key()))
        .header(header::CONTENT_TYPE, "application/json")
        .header("payhost-shop", id.to_string())
        .header("payhost-mode", "test")
        .body(Body::from(json!({"url": url}).to_string()))
        .unwrap();
    let answer = payhost::http::router(host.clone()).oneshot(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED);
    id
}

/// Events of the size that a paid payment's have.
async fn happen(host: &Host, shop: ShopId, many: usize) -> Vec<String> {
    let host_in = host.clone();
    let written = host.store().transact(move |tx| {
        let mut ids = Vec::new();
        for _ in 0..many {
            let event = Event {
                id: EventId::new(host_in.now_ms(), random()),
                shop_id: shop,
                mode: Mode::Test,
                payment_id: None,
                sequence: None,
                name: "payment.paid".to_owned(),
                payload: Json::of(&json!({"payment": {"x": "가".repeat(400)}, "data": null}))?,
                created_us: host_in.now_us(),
            };
            events::insert(tx, &event)?;
            ids.push(event.id.to_string());
        }
        Ok::<_, Error>(ids)
    });
    written.await.unwrap()
}

async fn delivered(host: &Host, shop: ShopId, many: usize) -> usize {
    let read = host.store().read(move |tx| {
        let endpoint = endpoints::list(tx, shop, Mode::Test)?.remove(0).id;
        let state = Some(deliveries::DeliveryState::Delivered);
        let limit = i64::try_from(many).unwrap_or(i64::MAX);
        Ok::<_, Error>(deliveries::list(tx, (shop, endpoint), state, None, limit)?.len())
    });
    read.await.unwrap()
}
