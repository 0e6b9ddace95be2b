//! wasmtime alone: the same component, arguments, imports and pool; no limits, no meter, no journal, no scrubbing, no
//! runtime in between.

use payhost_engine::contract::general_pay::{self, BuyerEnv};
use payhost_engine::contract::imports::{
    CRYPTO, CryptoError, HTTP, HttpError, LOG, Level, Part, Request, Response,
};
use payhost_engine::contract::types::{Context, Order};
use sha2::{Digest as _, Sha256};
use wasmtime::component::{Component, ComponentExportIndex, InstancePre, Linker, ResourceTable};
use wasmtime::{Config, Enabled, Engine, PoolingAllocationConfig, Store, StoreContextMut};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use crate::fixture::{self, Answer, SIGN_KEY};

type Computed = Result<Vec<u8>, CryptoError>;

pub struct State {
    wasi: WasiCtx,
    table: ResourceTable,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// A linked component.
pub struct Bare {
    engine: Engine,
    pre: InstancePre<State>,
    begin: ComponentExportIndex,
}

impl Bare {
    pub fn new(bytes: &[u8]) -> Self {
        let engine = Engine::new(&config()).expect("an engine");
        let component = Component::from_binary(&engine, bytes).expect("the component compiles");
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).expect("WASI links");
        imports(&mut linker).expect("the imports link");
        let interface = component.get_export_index(None, general_pay::INTERFACE).expect("general-pay");
        let begin = component.get_export_index(Some(&interface), "begin").expect("begin");
        let pre = linker.instantiate_pre(&component).expect("it links");
        Self { engine, pre, begin }
    }

    /// One call in a fresh instance.
    pub async fn begin(&self) -> Answer {
        let params = (fixture::context(), fixture::order(), fixture::buyer());
        let state = State { wasi: WasiCtx::builder().build(), table: ResourceTable::new() };
        let mut store = Store::new(&self.engine, state);
        let instance = self.pre.instantiate_async(&mut store).await.expect("an instance");
        let begin = instance
            .get_typed_func::<(Context, Order, BuyerEnv), (Answer,)>(&mut store, self.begin)
            .expect("its type");
        begin.call_async(&mut store, params).await.expect("no trap").0
    }
}

/// As the engine's, without what is there to stop a guest.
fn config() -> Config {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(100)
        .total_stacks(100)
        .total_core_instances(1_600)
        .total_memories(200)
        .total_tables(400)
        .max_memory_size(64 << 20)
        .linear_memory_keep_resident(4 << 20)
        .table_keep_resident(64 << 10)
        .pagemap_scan(Enabled::Auto);
    let mut config = Config::new();
    config.concurrency_support(false).allocation_strategy(pool);
    config
}

fn imports(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let unsupported = || -> Computed { Err(CryptoError::Unsupported(String::new())) };
    let mut crypto = linker.instance(CRYPTO)?;
    crypto.func_wrap(
        "digest",
        |_: StoreContextMut<'_, State>, (algorithm, parts): (String, Vec<Part>)| {
            assert_eq!(algorithm, "sha-256");
            let mut hasher = Sha256::new();
            for part in &parts {
                match part {
                    Part::Text(text) => hasher.update(text),
                    Part::Bytes(bytes) => hasher.update(bytes),
                    Part::Secret(_) => hasher.update(SIGN_KEY),
                }
            }
            Ok((Computed::Ok(hasher.finalize().to_vec()),))
        },
    )?;
    for name in ["hmac", "encrypt"] {
        let never = move |_: StoreContextMut<'_, State>, _: (String, String, Vec<Part>)| Ok((unsupported(),));
        crypto.func_wrap(name, never)?;
    }
    crypto.func_wrap("decrypt", move |_: StoreContextMut<'_, State>, _: (String, String, Vec<u8>)| {
        Ok((unsupported(),))
    })?;
    linker.instance(HTTP)?.func_wrap_async("send", |_: StoreContextMut<'_, State>, (_,): (Request,)| {
        Box::new(async { Ok((Result::<Response, _>::Err(HttpError::Refused(String::new())),)) })
    })?;
    linker
        .instance(LOG)?
        .func_wrap("write", |_: StoreContextMut<'_, State>, _: (Level, String, Vec<(String, String)>)| Ok(()))
}
