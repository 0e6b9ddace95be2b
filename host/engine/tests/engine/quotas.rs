//! No shop, gateway or long call takes from the others what is theirs.

use std::sync::Arc;
use std::time::Duration;

use payhost_engine::contract::imports::{HttpError, Response};
use payhost_engine::egress::{Pause, Script};
use payhost_engine::{
    EgressPolicy, Engine, Fault, HttpRequestRecord, HttpTimeouts, Phase, Plugin, Transport, WriteEvidence,
};
use tokio::sync::Semaphore;

use crate::common::{Try, behave, engine, engine_with, plugin};
use crate::gateway::{Gateway, ORIGIN};

/// A gateway that says when it was asked and answers when it is told to.
struct Slow {
    asked: Semaphore,
    go: Arc<Semaphore>,
}

impl Slow {
    fn new() -> Arc<Self> {
        Arc::new(Self { asked: Semaphore::new(0), go: Arc::new(Semaphore::new(0)) })
    }

    /// Waits until this many more requests are under way.
    async fn asked(&self, times: u32) {
        self.asked.acquire_many(times).await.unwrap().forget();
    }
}

impl Script for Slow {
    fn answer(&self, _: &HttpRequestRecord) -> Result<Response, HttpError> {
        Ok(Response { status: 200, headers: vec![], body: b"late".to_vec() })
    }

    fn pause(&self, _: &HttpRequestRecord) -> Option<Pause> {
        self.asked.add_permits(1);
        let go = self.go.clone();
        Some(Box::pin(async move { drop(go.acquire().await) }))
    }
}

fn pay(shop: &str, slow: &Arc<Slow>) -> Try {
    let egress = EgressPolicy { granted: vec![ORIGIN.parse().unwrap()], map: vec![] };
    let mut call = behave("fetch").with("url", &format!("{ORIGIN}/pay")).egress(egress);
    call.setup.shop_id = shop.to_owned();
    call.setup.transport = Transport::Scripted(slow.clone());
    call
}

fn start(
    engine: &Engine,
    plugin: &Arc<Plugin>,
    call: Try,
) -> tokio::task::JoinHandle<payhost_engine::Called<String>> {
    let (engine, plugin) = (engine.clone(), plugin.clone());
    tokio::spawn(async move { call.complete(&engine, &plugin).await })
}

#[tokio::test]
async fn a_shop_that_waits_for_its_gateway_leaves_the_network_to_the_others() {
    let engine = engine_with(|options| {
        options.requests_per_shop = 2;
        options.queue_wait = Duration::from_millis(50);
    });
    let (plugin, slow) = (plugin(&engine).await, Slow::new());
    let parked: Vec<_> = (0..2).map(|_| start(&engine, &plugin, pay("shop_1", &slow))).collect();
    slow.asked(2).await;
    let third = pay("shop_1", &slow).complete(&engine, &plugin).await;
    assert_eq!(third.evidence.writes(), WriteEvidence::NotSent);
    assert_eq!(third.evidence.exchanges()[0].phase, Phase::NotSent);
    let said = third.result.unwrap();
    assert!(said.starts_with("not sent: ") && said.contains("nothing was sent"), "{said}");
    let other = start(&engine, &plugin, pay("shop_2", &slow));
    slow.asked(1).await;
    slow.go.close();
    assert_eq!(other.await.unwrap().result.unwrap(), "200 late");
    for call in parked {
        assert_eq!(call.await.unwrap().result.unwrap(), "200 late");
    }
    let figures = engine.shops();
    let of = |id: &str| figures.iter().find(|(shop, _)| shop == id).unwrap().1;
    assert_eq!((of("shop_1").calls, of("shop_1").requests, of("shop_1").over_quota), (3, 2, 1));
    assert_eq!((of("shop_2").calls, of("shop_2").requests, of("shop_2").faults), (1, 1, 0));
    assert!(of("shop_1").cpu_us > 0);
}

#[tokio::test]
async fn a_shop_whose_gateway_is_silent_leaves_turns_to_the_others() {
    let engine = engine_with(|options| {
        (options.max_calls, options.calls_per_shop) = (4, 2);
        options.queue_wait = Duration::from_millis(200);
    });
    let (plugin, slow) = (plugin(&engine).await, Slow::new());
    let parked: Vec<_> = (0..2).map(|_| start(&engine, &plugin, pay("shop_1", &slow))).collect();
    slow.asked(2).await;
    // Many more of that shop, which all wait at once.
    let waiting: Vec<_> = (0..20).map(|_| start(&engine, &plugin, pay("shop_1", &slow))).collect();
    let other = start(&engine, &plugin, pay("shop_2", &slow));
    slow.asked(1).await;
    for call in waiting {
        let called = call.await.unwrap();
        assert!(matches!(called.result, Err(Fault::Overloaded { .. })), "{:?}", called.result);
        assert_eq!(called.evidence.writes(), WriteEvidence::None);
    }
    slow.go.close();
    for call in parked.into_iter().chain([other]) {
        assert_eq!(call.await.unwrap().result.unwrap(), "200 late");
    }
}

/// An instance has one thread and `send` returns before the next one begins.
#[tokio::test]
async fn a_call_has_one_request_at_a_time() {
    let engine = engine();
    let (plugin, slow) = (plugin(&engine).await, Slow::new());
    let call = pay("shop_1", &slow).with("times", "3");
    let call = start(&engine, &plugin, call);
    slow.asked(1).await;
    assert_eq!(slow.asked.available_permits(), 0);
    slow.go.close();
    let called = call.await.unwrap();
    // The second and third are refused, because a call writes once.
    assert_eq!(called.evidence.exchanges().len(), 3);
    assert_eq!(slow.asked.available_permits(), 0);
}

#[tokio::test]
async fn a_dripping_or_endless_answer_is_cut_by_the_whole_exchanges_time() {
    let total = Duration::from_millis(400);
    let engine = engine_with(|options| options.http = HttpTimeouts { total, ..HttpTimeouts::default() });
    let (plugin, gateway) = (plugin(&engine).await, Gateway::start().await);
    for path in ["/drip", "/continue", "/hang"] {
        let call = behave("fetch").with("url", &format!("{ORIGIN}{path}")).egress(gateway.egress());
        let called = call.complete(&engine, &plugin).await;
        assert_eq!(called.evidence.writes(), WriteEvidence::Unknown, "{path}");
        let said = called.result.unwrap();
        assert!(said.starts_with("unknown: "), "{path}: {said}");
        assert!(called.cost.wall >= total && called.cost.wall < total * 20, "{path}: {:?}", called.cost);
        assert!(called.cost.cpu < Duration::from_millis(200), "{path}: {:?}", called.cost);
    }
}

#[tokio::test]
async fn a_flood_of_headers_ends_the_exchange() {
    let (engine, gateway) = (engine(), Gateway::start().await);
    let plugin = plugin(&engine).await;
    for path in ["/headers", "/many", "/flood"] {
        let call = behave("fetch").with("url", &format!("{ORIGIN}{path}")).egress(gateway.egress());
        let called = call.complete(&engine, &plugin).await;
        assert_eq!(called.evidence.writes(), WriteEvidence::Unknown, "{path}");
        assert!(called.result.unwrap().starts_with("unknown: "), "{path}");
    }
}

#[tokio::test]
async fn without_a_pool_everything_holds_as_well() {
    let engine = engine_with(|options| {
        options.pooled = false;
        options.cache = None;
    });
    let plugin = plugin(&engine).await;
    assert!(!engine.figures().pooled);
    let small = |limits: &mut payhost_engine::Limits| {
        limits.memory_bytes = 8 << 20;
        limits.cpu = Duration::from_millis(20);
    };
    for (behaviour, name) in [
        ("memory", "memory_limit"),
        ("loop", "cpu_limit"),
        ("recursion", "stack_overflow"),
        ("panic", "panic"),
    ] {
        let fault = behave(behaviour).limits(small).begin(&engine, &plugin).await.result.unwrap_err();
        assert_eq!(fault.name(), name, "{fault:?}");
    }
    assert!(behave("ok").begin(&engine, &plugin).await.result.is_ok());
}

#[tokio::test]
async fn a_pool_that_the_machine_has_no_addresses_for_is_made_smaller() {
    // 2^17 calls with two memories of 4 GiB each are eight times the addresses of a 47-bit processor.
    let engine = engine_with(|options| {
        options.max_calls = 1 << 17;
        options.cache = None;
    });
    let plugin = plugin(&engine).await;
    assert!(engine.figures().pooled);
    assert!(behave("ok").begin(&engine, &plugin).await.result.is_ok());
}

/// A runaway leaves its caller's thread after a tick: on a runtime of one thread the light call comes in between.
#[tokio::test]
async fn a_runaway_gives_its_callers_thread_back() {
    let engine = engine();
    let plugin = plugin(&engine).await;
    let long = |limits: &mut payhost_engine::Limits| limits.cpu = Duration::from_secs(1);
    let runaway = {
        let (engine, plugin) = (engine.clone(), plugin.clone());
        tokio::spawn(async move { behave("loop").limits(long).begin(&engine, &plugin).await })
    };
    tokio::task::yield_now().await;
    assert!(behave("ok").begin(&engine, &plugin).await.result.is_ok());
    assert!(!runaway.is_finished());
    let called = runaway.await.unwrap();
    assert!(matches!(called.result, Err(Fault::CpuLimit { .. })));
    assert!(called.cost.cpu >= Duration::from_secs(1));
}
