//! What was loaded can be called: its imports are ours, its exports have the contract's types, its descriptor holds
//! together. Nothing of it has run with a grant.

use std::collections::HashMap;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use wasmtime::Store;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, ComponentExportIndex, Instance, InstancePre};

use crate::call::{self, Job};
use crate::contract::plugin::Descriptor;
use crate::contract::{self, Answer, AnyFunction, Arguments, Network, VERSION, imports, plugin};
use crate::descriptor::{self, DescriptorError};
use crate::egress::BrowserAccess;
use crate::engine::Shared;
use crate::evidence::Evidence;
use crate::fault::{self, Fault, Trace};
use crate::meter::Meter;
use crate::policy::Policy;
use crate::setup::CallSetup;
use crate::state::{Given, State};
use crate::wasi;
use payhost_core::hex;

/// A component that can be called.
pub struct Plugin {
    pub(crate) code: Arc<Code>,
    pub(crate) policy: Arc<Policy>,
    descriptor: Descriptor,
}

impl std::fmt::Debug for Plugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Descriptor { id, version, .. } = &self.descriptor;
        f.debug_struct("Plugin")
            .field("id", id)
            .field("version", version)
            .field("digest", &self.digest())
            .finish()
    }
}

impl Plugin {
    /// SHA-256 of the component, lower-case hex.
    pub fn digest(&self) -> &str {
        &self.code.digest
    }

    /// What it says of itself, checked.
    pub fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    /// What it wants of the buyer's browser, parsed.
    pub fn browser_origins(&self) -> &[BrowserAccess] {
        &self.policy.browser
    }

    /// Full names of the contract's interfaces that it exports, in the contract's order.
    pub fn interfaces(&self) -> &[&'static str] {
        &self.code.interfaces
    }

    /// Whether it exports an interface of this full or short name (`general-pay`).
    pub fn supports(&self, interface: &str) -> bool {
        self.interfaces().iter().any(|full| *full == interface || contract::short_name(full) == interface)
    }
}

/// A compiled and linked component.
pub(crate) struct Code {
    pub(crate) digest: String,
    pub(crate) pre: InstancePre<State>,
    pub(crate) interfaces: Vec<&'static str>,
    /// Where each exported function is.
    pub(crate) exports: HashMap<(&'static str, &'static str), ComponentExportIndex>,
}

/// Why a component was not taken in, for the operator who tried.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The bytes are not the component that was asked for.
    #[error(
        "the bytes have the SHA-256 {found}, not {wanted}: they were changed where they are kept, and were not run"
    )]
    OtherBytes {
        /// SHA-256 of what was asked for, lower-case hex.
        wanted: String,
        /// SHA-256 of what was found.
        found: String,
    },
    /// Larger than a component may be.
    #[error(
        "the file has {bytes} bytes; a plugin may have {limit}. Build it with optimisation and without debug information"
    )]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// Not a component.
    #[error(
        "the file is not a WebAssembly component: {0}. Build it for `wasm32-wasip2` (a core module is not enough)"
    )]
    NotAComponent(String),
    /// It wants more than there is.
    #[error(
        "the plugin imports {}, which this host does not offer; it offers payhost:plugin {VERSION} (http, crypto, log) and \
         inert WASI (io, cli, clocks, random, filesystem). Requests go through `http` of payhost:plugin, not through \
         wasi:http or sockets",
        .0.join(", ")
    )]
    Imports(Vec<String>),
    /// An import has another type than ours.
    #[error(
        "an import of the plugin has another type than this host's: {0}. Build it against the contract {VERSION}"
    )]
    ImportType(String),
    /// It exports none of the interfaces, or lacks `plugin`.
    #[error(
        "the plugin does not export `{interface}`. {}",
        if .found.is_empty() { "It exports nothing of payhost:plugin; is it a payhost plugin?".to_owned() }
        else { format!("It exports {}; build it against the contract {VERSION}", .found.join(", ")) }
    )]
    NoInterface {
        /// What is missing.
        interface: &'static str,
        /// What it exports of the contract, in any version.
        found: Vec<String>,
    },
    /// An exported interface lacks a function or has it with other types.
    #[error(
        "`{function}` of the exported `{interface}` is not the contract's: {problem}. Build the plugin against the contract {VERSION}"
    )]
    Export {
        /// Full name of the interface.
        interface: &'static str,
        /// The function.
        function: &'static str,
        /// What was found and expected.
        problem: String,
    },
    /// It died on the trial instance.
    #[error("the plugin died while it was tried ({during}): {fault}")]
    Died {
        /// `start` or `describe`.
        during: &'static str,
        /// How.
        fault: Box<Fault>,
    },
    /// Its descriptor is wrong.
    #[error("the plugin's descriptor is wrong: {0}")]
    Descriptor(#[from] DescriptorError),
    /// The host failed.
    #[error("the host could not load the plugin: {0}")]
    Internal(String),
}

/// Takes in the component of this digest; other bytes are not even compiled.
pub(crate) async fn load_known(
    shared: &Arc<Shared>,
    wanted: &str,
    bytes: &[u8],
) -> Result<Plugin, LoadError> {
    let found = hex(&Sha256::digest(bytes));
    if found != wanted {
        return Err(LoadError::OtherBytes { wanted: wanted.to_owned(), found });
    }
    load(shared, bytes).await
}

/// Takes a component in.
pub(crate) async fn load(shared: &Arc<Shared>, bytes: &[u8]) -> Result<Plugin, LoadError> {
    let limit = shared.options.component_bytes;
    if bytes.len() > limit {
        return Err(LoadError::TooLarge { bytes: bytes.len(), limit });
    }
    let digest: [u8; 32] = Sha256::digest(bytes).into();
    let component = compile(shared, digest, bytes).await?;
    let code = Arc::new(link(shared, hex(&digest), &component)?);
    try_out(shared, &code).await?;
    let descriptor = describe(shared, &code).await?;
    // Off the runtime: a hundred patterns at their largest take a while to compile.
    let accepted = tokio::task::spawn_blocking(move || {
        descriptor::accept(&descriptor).map(|policy| (Arc::new(policy), descriptor))
    });
    let (policy, descriptor) = accepted.await.map_err(|error| LoadError::Internal(error.to_string()))??;
    Ok(Plugin { code, policy, descriptor })
}

/// Compiles one component at a time, off the runtime, unless it was compiled before.
async fn compile(shared: &Arc<Shared>, digest: [u8; 32], bytes: &[u8]) -> Result<Component, LoadError> {
    let internal = |error: &dyn std::fmt::Display| LoadError::Internal(error.to_string());
    let _turn = shared.compiling.acquire().await.map_err(|error| internal(&error))?;
    let (shared, bytes) = (shared.clone(), bytes.to_vec());
    let compiled = tokio::task::spawn_blocking(move || {
        if let Some(component) = shared.cache.as_ref().and_then(|cache| cache.get(&shared.wasmtime, digest)) {
            return wasmtime::Result::Ok(component);
        }
        let component = Component::from_binary(&shared.wasmtime, &bytes)?;
        if let Some(cache) = &shared.cache {
            cache.put(digest, &component);
        }
        Ok(component)
    });
    compiled
        .await
        .map_err(|error| internal(&error))?
        .map_err(|error: wasmtime::Error| LoadError::NotAComponent(format!("{error:#}")))
}

/// Links it and finds its exports.
fn link(shared: &Shared, digest: String, component: &Component) -> Result<Code, LoadError> {
    let unknown = unknown_imports(shared, component);
    if !unknown.is_empty() {
        return Err(LoadError::Imports(unknown));
    }
    let pre = shared
        .linker
        .instantiate_pre(component)
        .map_err(|error| LoadError::ImportType(format!("{error:#}")))?;
    let mut interfaces: Vec<&'static str> = Vec::new();
    let mut exports = HashMap::new();
    for function in contract::functions() {
        let (interface, name) = (function.interface(), function.name());
        let Some(instance) = component.get_export_index(None, interface) else { continue };
        if !interfaces.contains(&interface) {
            interfaces.push(interface);
        }
        let Some(index) = component.get_export_index(Some(&instance), name) else {
            let problem = "it is missing".to_owned();
            return Err(LoadError::Export { interface, function: name, problem });
        };
        exports.insert((interface, name), index);
    }
    if !interfaces.contains(&plugin::INTERFACE) {
        return Err(LoadError::NoInterface { interface: plugin::INTERFACE, found: ours(shared, component) });
    }
    Ok(Code { digest, pre, interfaces, exports })
}

/// Exports that look like the contract's, in any version.
fn ours(shared: &Shared, component: &Component) -> Vec<String> {
    let ty = component.component_type();
    let names = ty.exports(&shared.wasmtime).map(|(name, _)| name.to_owned());
    names.filter(|name| name.starts_with("payhost:plugin/")).collect()
}

/// Imports that bring more than types and are neither ours nor the WASI that is linked.
fn unknown_imports(shared: &Shared, component: &Component) -> Vec<String> {
    let offered = |name: &str| {
        [imports::CRYPTO, imports::HTTP, imports::LOG].contains(&name)
            || wasi::OFFERED.iter().any(|prefix| name.starts_with(prefix))
    };
    let ty = component.component_type();
    ty.imports(&shared.wasmtime)
        .filter(|(name, item)| !offered(name) && needs_something(shared, &item.ty))
        .map(|(name, _)| name.to_owned())
        .collect()
}

/// An instance of types alone needs nothing from a host.
fn needs_something(shared: &Shared, item: &ComponentItem) -> bool {
    match item {
        ComponentItem::ComponentInstance(instance) => {
            instance.exports(&shared.wasmtime).any(|(_, item)| needs_something(shared, &item.ty))
        }
        ComponentItem::Type(_) => false,
        ComponentItem::ComponentFunc(_)
        | ComponentItem::CoreFunc(_)
        | ComponentItem::Module(_)
        | ComponentItem::Component(_)
        | ComponentItem::Resource(_) => true,
    }
}

/// An instance on which the types of exports are checked.
pub struct Probe<'a> {
    code: &'a Code,
    store: &'a mut Store<State>,
    instance: Instance,
}

impl Probe<'_> {
    /// Whether the function is there with these types.
    pub(crate) fn typed<P: Arguments, R: Answer>(
        &mut self,
        interface: &'static str,
        name: &'static str,
    ) -> Result<(), String> {
        let index = self.code.exports.get(&(interface, name)).ok_or_else(|| "it is missing".to_owned())?;
        let typed = self.instance.get_typed_func::<P::Shared, (R,)>(&mut *self.store, index);
        typed.map(drop).map_err(|error| format!("{error:#}"))
    }
}

/// A setup that grants nothing.
fn no_grant() -> CallSetup {
    CallSetup { http_allowed: false, ..CallSetup::new("load", 0, [0; 16]) }
}

/// Makes an instance under all limits and checks the type of every function of every exported interface.
async fn try_out(shared: &Arc<Shared>, code: &Arc<Code>) -> Result<(), LoadError> {
    let (shared, code) = (shared.clone(), code.clone());
    let handle = shared.lanes.fast().clone();
    let tried = handle.spawn(async move {
        let _turn = shared.turns.acquire().await.map_err(|error| LoadError::Internal(error.to_string()))?;
        let (setup, shop) = (no_grant(), shared.shops.of(""));
        let meter = Arc::new(Meter::new(setup.limits.cpu));
        let (client, queue_wait) = (shared.client.clone(), shared.options.queue_wait);
        let given = Given { client, evidence: Evidence::default(), meter, shop, queue_wait };
        let state = State::new(setup, Arc::default(), Network::Refused, given);
        let limits = state.limits.clone();
        let mut store = call::new_store(&shared.wasmtime, state);
        store.data().meter.resume();
        let made = tokio::time::timeout(limits.wall, code.pre.instantiate_async(&mut store)).await;
        let died = |fault| LoadError::Died { during: "start", fault: Box::new(fault) };
        let instance = made
            .map_err(|_| died(Fault::WallTime { limit: limits.wall, trace: Trace::default() }))?
            .map_err(|error| died(fault::classify(&error, &limits, vec![])))?;
        let mut probe = Probe { code: &code, store: &mut store, instance };
        let exported = |function: &&&dyn AnyFunction| code.interfaces.contains(&function.interface());
        for function in contract::functions().iter().filter(exported) {
            function.check(&mut probe).map_err(|problem| LoadError::Export {
                interface: function.interface(),
                function: function.name(),
                problem,
            })?;
        }
        Ok(())
    });
    tried.await.map_err(|error| LoadError::Internal(error.to_string()))?
}

/// Lets it describe itself with no grant at all.
async fn describe(shared: &Arc<Shared>, code: &Arc<Code>) -> Result<Descriptor, LoadError> {
    let job = Job {
        code: code.clone(),
        policy: Arc::default(),
        function: plugin::DESCRIBE,
        params: (),
        setup: no_grant(),
    };
    let called = call::call(shared, job).await;
    called.result.map_err(|fault| LoadError::Died { during: "describe", fault: Box::new(fault) })
}
