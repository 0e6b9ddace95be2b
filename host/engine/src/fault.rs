//! Every way in which a call can end without an answer is one case of [`Fault`], with the limit in words.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use wasmtime::{PoolConcurrencyLimitError, Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

use crate::limits::{Exceeded, Limits};

/// What is known of the moment of death.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    /// Names of the guest's functions, innermost first, where the component has names.
    pub frames: Vec<String>,
    /// The last log lines, scrubbed, oldest first.
    pub last_lines: Vec<String>,
}

/// Why a call has no answer. What it did before is in [`crate::Evidence`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The plugin panicked, aborted or did what WebAssembly does not allow.
    Panic {
        /// What the runtime said.
        trap: String,
        /// Where.
        trace: Trace,
    },
    /// It wanted more memory than a call may have.
    MemoryLimit {
        /// Bytes allowed, all memories together.
        limit_bytes: usize,
        /// Where.
        trace: Trace,
    },
    /// It wanted larger tables than a call may have.
    TableLimit {
        /// Elements allowed.
        limit_elements: usize,
        /// Where.
        trace: Trace,
    },
    /// It computed for too long.
    CpuLimit {
        /// Time allowed on a processor.
        limit: Duration,
        /// Where.
        trace: Trace,
    },
    /// It did not answer in time, waiting included.
    WallTime {
        /// Time allowed.
        limit: Duration,
        /// Where; the frames are not known.
        trace: Trace,
    },
    /// It called itself too deeply.
    StackOverflow {
        /// Where.
        trace: Trace,
    },
    /// It handed the host too much at once.
    HostData {
        /// Bytes allowed.
        limit_bytes: usize,
        /// Where.
        trace: Trace,
    },
    /// It ended its process instead of answering.
    Exit {
        /// Its exit code.
        code: i32,
        /// Where.
        trace: Trace,
    },
    /// The plugin does not export the function.
    MissingExport {
        /// Full name of the interface.
        interface: String,
        /// Name of the function.
        function: String,
    },
    /// Too many calls are running; nothing was started.
    Overloaded {
        /// How long this one waited for its turn.
        waited: Duration,
    },
    /// The host failed, not the plugin.
    Internal {
        /// What failed.
        what: String,
    },
}

impl Fault {
    /// A stable name, as in metrics and journal: `cpu_limit`.
    pub fn name(&self) -> &'static str {
        match self {
            Fault::Panic { .. } => "panic",
            Fault::MemoryLimit { .. } => "memory_limit",
            Fault::TableLimit { .. } => "table_limit",
            Fault::CpuLimit { .. } => "cpu_limit",
            Fault::WallTime { .. } => "wall_time",
            Fault::StackOverflow { .. } => "stack_overflow",
            Fault::HostData { .. } => "host_data",
            Fault::Exit { .. } => "exit",
            Fault::MissingExport { .. } => "missing_export",
            Fault::Overloaded { .. } => "overloaded",
            Fault::Internal { .. } => "internal",
        }
    }

    /// What is known of the moment of death; `None` where the plugin did not run or is not to blame.
    pub fn trace(&self) -> Option<&Trace> {
        match self {
            Fault::Panic { trace, .. }
            | Fault::MemoryLimit { trace, .. }
            | Fault::TableLimit { trace, .. }
            | Fault::CpuLimit { trace, .. }
            | Fault::WallTime { trace, .. }
            | Fault::StackOverflow { trace }
            | Fault::HostData { trace, .. }
            | Fault::Exit { trace, .. } => Some(trace),
            Fault::MissingExport { .. } | Fault::Overloaded { .. } | Fault::Internal { .. } => None,
        }
    }

    /// Whether the plugin was stopped by a limit, so that a replay may end elsewhere.
    pub fn is_limit(&self) -> bool {
        match self {
            Fault::MemoryLimit { .. }
            | Fault::TableLimit { .. }
            | Fault::CpuLimit { .. }
            | Fault::WallTime { .. }
            | Fault::StackOverflow { .. }
            | Fault::HostData { .. }
            | Fault::Overloaded { .. } => true,
            Fault::Panic { .. }
            | Fault::Exit { .. }
            | Fault::MissingExport { .. }
            | Fault::Internal { .. } => false,
        }
    }
}

impl std::error::Error for Fault {}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Panic { trap, .. } => write!(f, "The plugin panicked ({trap})")?,
            Fault::MemoryLimit { limit_bytes, .. } => {
                write!(
                    f,
                    "The plugin wanted more than the {} of memory that a call may have",
                    Size(*limit_bytes)
                )?;
            }
            Fault::TableLimit { limit_elements, .. } => {
                write!(
                    f,
                    "The plugin wanted more than the {limit_elements} table elements that a call may have"
                )?;
            }
            Fault::CpuLimit { limit, .. } => {
                write!(f, "The plugin computed for longer than the {limit:?} that a call may take")?;
            }
            Fault::WallTime { limit, .. } => {
                write!(f, "The plugin did not answer within {limit:?}, waiting for the network included")?;
            }
            Fault::StackOverflow { .. } => write!(f, "The plugin's calls went too deep for its stack")?,
            Fault::HostData { limit_bytes, .. } => {
                write!(f, "The plugin handed the host more than {} at once", Size(*limit_bytes))?;
            }
            Fault::Exit { code, .. } => {
                write!(f, "The plugin ended its process with code {code} instead of answering")?
            }
            Fault::MissingExport { interface, function } => {
                write!(f, "The plugin has no function `{function}` in `{interface}`")?;
            }
            Fault::Overloaded { waited } => {
                write!(
                    f,
                    "Too many plugin calls are running; this one waited {waited:?} and was not started"
                )?;
            }
            Fault::Internal { what } => write!(f, "The host failed while running the plugin: {what}")?,
        }
        let Some(trace) = self.trace() else { return write!(f, ".") };
        if let Some(frame) = trace.frames.first() {
            write!(f, ", in {frame}")?;
        }
        write!(f, ".")?;
        match trace.last_lines.last() {
            Some(line) => write!(f, " Its last words: {line}"),
            None => Ok(()),
        }
    }
}

/// What wasmtime says, as one of our cases. Most specific first: our own limits, then exits, then traps.
pub(crate) fn classify(error: &wasmtime::Error, limits: &Limits, last_lines: Vec<String>) -> Fault {
    let frames = frames(error);
    let deep = is_deep(&frames);
    let trace = Trace { frames: frames.into_iter().take(SHOWN_FRAMES).collect(), last_lines };
    if let Some(exceeded) = error.downcast_ref::<Exceeded>() {
        return match exceeded {
            Exceeded::Memory { limit, .. } => Fault::MemoryLimit { limit_bytes: *limit, trace },
            Exceeded::Table { limit, .. } => Fault::TableLimit { limit_elements: *limit, trace },
            Exceeded::Cpu => Fault::CpuLimit { limit: limits.cpu, trace },
        };
    }
    if let Some(I32Exit(code)) = error.downcast_ref::<I32Exit>() {
        return Fault::Exit { code: *code, trace };
    }
    if error.is::<PoolConcurrencyLimitError>() {
        return Fault::Overloaded { waited: Duration::ZERO };
    }
    let text = error.root_cause().to_string();
    if text.contains(HOST_DATA) {
        return Fault::HostData { limit_bytes: limits.host_data_bytes, trace };
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => Fault::CpuLimit { limit: limits.cpu, trace },
        Some(Trap::StackOverflow) => Fault::StackOverflow { trace },
        // A Rust or C guest keeps its own stack at the low end of its memory and runs out of that first.
        Some(Trap::MemoryOutOfBounds) if deep => Fault::StackOverflow { trace },
        Some(trap) => Fault::Panic { trap: trap.to_string(), trace },
        // An error of a host function that the guest had called, such as too many handles: the guest's doing.
        None if !trace.frames.is_empty() => Fault::Panic { trap: text, trace },
        None => Fault::Internal { what: format!("{error:#}") },
    }
}

/// How wasmtime says that `set_hostcall_fuel` ran out; it has no type that we could name. A test holds it.
const HOST_DATA: &str = "fuel allocated for hostcalls has been exhausted";
/// Frames that a fault shows.
const SHOWN_FRAMES: usize = 12;

fn frames(error: &wasmtime::Error) -> Vec<String> {
    let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() else { return vec![] };
    let frame = |frame: &wasmtime::FrameInfo| {
        let unnamed = || format!("function {}", frame.func_index());
        frame.func_name().map_or_else(unnamed, rustc_name)
    };
    backtrace.frames().iter().map(frame).collect()
}

/// As deep as the backtrace goes, and going round in few functions.
fn is_deep(frames: &[String]) -> bool {
    let distinct: std::collections::BTreeSet<&String> = frames.iter().collect();
    frames.len() >= crate::config::BACKTRACE_FRAMES.get() && distinct.len().saturating_mul(2) <= frames.len()
}

/// A function's name without the hash that the compiler adds; not longer than a line.
fn rustc_name(name: &str) -> String {
    let name = name.rsplit_once("::h").filter(|(_, hash)| hash.len() == 16).map_or(name, |(name, _)| name);
    name.chars().take(120).collect()
}

/// Bytes in words: whole MiB or KiB where it comes out even.
struct Size(usize);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            n if n >= 1 << 20 && n % (1 << 20) == 0 => write!(f, "{} MiB", n >> 20),
            n if n >= 1 << 10 && n % (1 << 10) == 0 => write!(f, "{} KiB", n >> 10),
            n => write!(f, "{n} bytes"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_a_sentence_with_limit_place_and_last_words() {
        let trace = Trace { frames: vec!["gateway::begin".into()], last_lines: vec!["[info] hello".into()] };
        let fault = Fault::MemoryLimit { limit_bytes: 64 << 20, trace };
        assert_eq!(
            fault.to_string(),
            "The plugin wanted more than the 64 MiB of memory that a call may have, in gateway::begin. Its last words: [info] hello"
        );
        let fault = Fault::CpuLimit { limit: Duration::from_millis(200), trace: Trace::default() };
        assert_eq!(fault.to_string(), "The plugin computed for longer than the 200ms that a call may take.");
    }
}
