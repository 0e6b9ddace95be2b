//! What a call costs in memory while it waits for a gateway.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use payhost_engine::contract::general_pay;
use payhost_engine::contract::imports::{HttpError, Response};
use payhost_engine::contract::types::{Callback, Mode, Setting};
use payhost_engine::egress::{Pause, Script};
use payhost_engine::{CallSetup, EgressPolicy, HttpRequestRecord, Limits, Transport};
use tokio::sync::Semaphore;

use crate::figures::Figures;
use crate::fixture;

const PARKED: usize = 2_000;

/// A gateway that answers when it is told to.
struct Slow {
    asked: AtomicUsize,
    go: Arc<Semaphore>,
}

impl Script for Slow {
    fn answer(&self, _: &HttpRequestRecord) -> Result<Response, HttpError> {
        Ok(Response { status: 200, headers: vec![], body: b"ok".to_vec() })
    }

    fn pause(&self, _: &HttpRequestRecord) -> Option<Pause> {
        self.asked.fetch_add(1, SeqCst);
        let go = self.go.clone();
        Some(Box::pin(async move { drop(go.acquire().await) }))
    }
}

pub fn run(guests: &[u8], figures: &mut Figures) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let engine = fixture::engine(2, 2_100, None);
        let plugin = engine.load(guests).await.expect("the plugin loads");
        let slow = Arc::new(Slow { asked: AtomicUsize::new(0), go: Arc::new(Semaphore::new(0)) });
        let granted = vec!["https://gateway.test".parse().expect("an origin")];
        let egress = Arc::new(EgressPolicy { granted, map: vec![] });
        let call = |number: usize| {
            let setup = CallSetup {
                egress: egress.clone(),
                transport: Transport::Scripted(slow.clone()),
                limits: Limits { wall: std::time::Duration::from_secs(120), ..Limits::default() },
                shop_id: format!("shop_{}", number % 500),
                ..CallSetup::new("call", fixture::NOW_MS, fixture::SEED)
            };
            let settings = [("behaviour", "approve"), ("url", "https://gateway.test/pay"), ("body", "a=1")]
                .map(|(key, value)| Setting { key: key.to_owned(), value: value.to_owned() });
            let params = (setup.context(Mode::Test, settings.into()), fixture::order(), callback());
            let (engine, plugin) = (engine.clone(), plugin.clone());
            async move { engine.call(&plugin, &general_pay::COMPLETE, params, setup).await }
        };
        let before = memory_bytes();
        let mut calls = tokio::task::JoinSet::new();
        for number in 0..PARKED {
            calls.spawn(call(number));
        }
        while slow.asked.load(SeqCst) < PARKED {
            tokio::task::yield_now().await;
        }
        let each = (memory_bytes() - before) / PARKED as f64 / 1024.0;
        figures.add("plugin-call.memory.parked", each, "KiB", None, None);
        slow.go.close();
        for called in calls.join_all().await {
            assert!(called.result.is_ok_and(|answer| answer.is_ok()));
        }
    });
}

fn callback() -> Callback {
    Callback {
        verb: "POST".to_owned(),
        query: String::new(),
        content_type: String::new(),
        body: b"a=1".to_vec(),
    }
}

/// Memory of this process. Pages that instances share, as the first contents of a component's memory, count once.
fn memory_bytes() -> f64 {
    let smaps = std::fs::read_to_string("/proc/self/smaps_rollup").expect("Linux");
    let line = smaps.lines().find(|line| line.starts_with("Pss:")).expect("Pss");
    let kib: f64 = line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number");
    kib * 1024.0
}
