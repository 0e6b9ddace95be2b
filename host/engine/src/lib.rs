//! A plugin gets nothing but what one call was given: a fresh instance, limits on everything, secrets by name, and the
//! origins that its descriptor wants **and** the operator granted. Whatever it does, the host learns what left this machine.
//!
//! Reading order: [`Engine`] (`engine.rs`), how a component is accepted (`load.rs`, `descriptor/`), how a call runs
//! (`setup.rs`, `call.rs`, `state.rs`, `called.rs`), what stops it (`limits.rs`, `meter.rs`, `fault.rs`), what it may call (`imports/`), where it
//! may go (`egress/`), what it is not told (`scrubber.rs`), and what is kept of it (`evidence.rs`, `journal.rs`, `pack.rs`). The contract's types are in [`contract`].

mod cache;
mod call;
mod called;
mod config;
pub mod contract;
mod descriptor;
pub mod egress;
mod engine;
mod evidence;
mod fault;
mod gate;
mod imports;
mod journal;
mod lanes;
mod limits;
mod load;
mod logs;
mod meter;
mod pack;
mod policy;
mod scrubber;
mod secrets;
mod setup;
mod shops;
mod state;
mod wasi;

pub use called::{Called, Cost};
pub use descriptor::{DescriptorError, Pattern};
pub use egress::{BrowserAccess, EgressPolicy, HttpTimeouts, Mapping, Origin, OriginError, Transport};
pub use engine::{CacheOptions, Engine, EngineError, Figures, Options};
pub use evidence::{Evidence, Exchange, Phase, WriteEvidence};
pub use fault::{Fault, Trace};
pub use journal::{
    CallRecord, Ended, FaultRecord, HttpAnswerRecord, HttpRequestRecord, ImportRecord, SecretUsed,
};
pub use limits::Limits;
pub use load::{LoadError, Plugin};
pub use logs::{LogLine, LogSource};
pub use pack::{PackError, RECORD_BYTES};
pub use secrets::Secrets;
pub use setup::CallSetup;
pub use shops::ShopFigures;
