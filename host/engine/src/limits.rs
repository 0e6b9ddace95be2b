//! Nothing that a call uses is without a bound, and memory is summed over all memories of the instance.

use std::time::Duration;

use wasmtime::ResourceLimiter;

/// What one call may use. The defaults fit every gateway that we know of by a factor of ten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of linear memory, summed over all memories. 64 MiB; never more than [`crate::Options::memory_bytes`], the
    /// size of a pool slot.
    pub memory_bytes: usize,
    /// Elements of tables, summed over all tables. 20,000 (SpiderMonkey needs 7,690).
    pub table_elements: usize,
    /// Time on a processor, counted every millisecond; waiting for the network is free. 200 ms.
    pub cpu: Duration,
    /// Time by the clock, from the start of the instance to its answer, waiting included. 25 s: shorter than the lease
    /// of an attempt (30 s), longer than one whole HTTP exchange (15 s).
    pub wall: Duration,
    /// Bytes that one host call or the result may carry out of the instance. 2 MiB.
    pub host_data_bytes: usize,
    /// Lines that are kept and logged; the rest is counted. 256.
    pub log_lines: usize,
    /// Bytes of all lines. 64 KiB.
    pub log_bytes: usize,
    /// Bytes of one line with its fields; longer ones are cut. 4 KiB.
    pub log_line_bytes: usize,
    /// Requests over the network, reads and the one write together. 8.
    pub requests: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes: 64 << 20,
            table_elements: 20_000,
            cpu: Duration::from_millis(200),
            wall: Duration::from_secs(25),
            host_data_bytes: 2 << 20,
            log_lines: 256,
            log_bytes: 64 << 10,
            log_line_bytes: 4 << 10,
            requests: 8,
        }
    }
}

/// Core instances of one component: a stubbed Python component needs more than 16.
pub(crate) const CORE_INSTANCES: u32 = 64;
/// Memories of one component: QuickJS needs 3.
pub(crate) const MEMORIES: u32 = 4;
/// Tables of one component.
pub(crate) const TABLES: u32 = 8;

/// Handles of resources that the instances of one component may hold at once. wasmtime's default is 100,000; a Rust guest
/// needs a handful for its streams.
pub(crate) const COMPONENT_HANDLES: usize = 512;

/// A limit that a growth ran into. It is an error, not a refusal that the guest could swallow, so that the fault tells it
/// from a panic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Exceeded {
    /// Linear memory, in bytes.
    #[error("memory limit of {limit} bytes: {wanted} wanted")]
    Memory { limit: usize, wanted: usize },
    /// Table elements.
    #[error("table limit of {limit} elements: {wanted} wanted")]
    Table { limit: usize, wanted: usize },
    /// CPU used up inside a host call.
    #[error("CPU limit")]
    Cpu,
}

/// Sums what an instance has and stops it at the limit.
#[derive(Debug)]
pub(crate) struct Limiter {
    memory: Sum,
    table: Sum,
}

#[derive(Debug)]
struct Sum {
    limit: usize,
    used: usize,
    peak: usize,
}

impl Sum {
    fn new(limit: usize) -> Self {
        Self { limit, used: 0, peak: 0 }
    }

    /// Adds a growth; `Err` is what was wanted in all.
    fn grow(&mut self, current: usize, desired: usize) -> Result<(), usize> {
        let wanted = self.used.saturating_add(desired.saturating_sub(current));
        if wanted > self.limit {
            return Err(wanted);
        }
        self.used = wanted;
        self.peak = self.peak.max(wanted);
        Ok(())
    }
}

impl Limiter {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { memory: Sum::new(limits.memory_bytes), table: Sum::new(limits.table_elements) }
    }

    /// Most bytes of memory that were there at once.
    pub(crate) fn peak_memory_bytes(&self) -> usize {
        self.memory.peak
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let limit = self.memory.limit;
        match self.memory.grow(current, desired) {
            Ok(()) => Ok(true),
            Err(wanted) => Err(Exceeded::Memory { limit, wanted }.into()),
        }
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let limit = self.table.limit;
        match self.table.grow(current, desired) {
            Ok(()) => Ok(true),
            Err(wanted) => Err(Exceeded::Table { limit, wanted }.into()),
        }
    }

    fn instances(&self) -> usize {
        usize::try_from(CORE_INSTANCES).unwrap_or(usize::MAX)
    }

    fn memories(&self) -> usize {
        usize::try_from(MEMORIES).unwrap_or(usize::MAX)
    }

    fn tables(&self) -> usize {
        usize::try_from(TABLES).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_summed_over_all_memories() {
        let mut limiter = Limiter::new(&Limits { memory_bytes: 100, ..Limits::default() });
        assert!(limiter.memory_growing(0, 60, None).unwrap());
        let error = limiter.memory_growing(0, 60, None).unwrap_err();
        assert_eq!(error.downcast_ref::<Exceeded>(), Some(&Exceeded::Memory { limit: 100, wanted: 120 }));
        assert!(limiter.memory_growing(60, 100, None).unwrap());
        assert_eq!(limiter.peak_memory_bytes(), 100);
    }
}
