//! One configuration for everything that is compiled or run here; every knob that we turned stands beside its reason.
//! Measurements: `reference/wasm-hosts.md` §2.2 and §2.3.

use std::num::NonZeroUsize;

use wasmtime::{Config, Enabled, PoolingAllocationConfig, WasmBacktraceDetails};

use crate::limits::{CORE_INSTANCES, MEMORIES, TABLES};

/// Frames that a backtrace may have; more than a fault shows, so that a deep recursion is told from a wild pointer.
pub(crate) const BACKTRACE_FRAMES: NonZeroUsize = NonZeroUsize::new(32).unwrap();

/// How instances get their memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Allocation {
    /// From a pool for this many calls at once: 8 µs for a fresh instance.
    Pool(u32),
    /// From the system, each anew: 25 µs, and no address space in advance.
    OnDemand,
}

/// The configuration.
pub(crate) fn config(allocation: Allocation, memory_bytes: usize, table_elements: usize) -> Config {
    let mut config = Config::new();
    config
        // The CPU limit: code checks a counter at loops and calls. Fuel would cost 10-15 % per call.
        .epoch_interruption(true)
        // No component-model async: off, a call costs a quarter.
        .concurrency_support(false)
        // A call is a pure function of its arguments: NaN bits and relaxed SIMD must not depend on the machine.
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        // What no guest needs and what widens the attack surface.
        .wasm_memory64(false)
        .wasm_multi_memory(true)
        // The default reads an environment variable; names of functions are enough.
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        .wasm_backtrace_max_frames(Some(BACKTRACE_FRAMES))
        // Bounds the guest's native stack; the rest of the fiber is for host functions, whose overflow would abort us.
        .max_wasm_stack(512 << 10)
        .async_stack_size(2 << 20);
    if let Allocation::Pool(calls) = allocation {
        config.allocation_strategy(pool(calls, memory_bytes, table_elements));
    }
    config
}

fn pool(calls: u32, memory_bytes: usize, table_elements: usize) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(calls)
        .total_stacks(calls)
        // Counters only. A Rust component has 3 core instances, a stubbed Python one more than 16.
        .total_core_instances(calls.saturating_mul(16))
        .max_core_instances_per_component(CORE_INSTANCES)
        // A Rust component has 1 memory, QuickJS 2-3. Each slot reserves 4 GiB of addresses, not of memory.
        .total_memories(calls.saturating_mul(2))
        .max_memories_per_component(MEMORIES)
        .max_memory_size(memory_bytes)
        .total_tables(calls.saturating_mul(4))
        .max_tables_per_component(TABLES)
        .table_elements(table_elements)
        // Together with the page map scan: only pages that were written are reset, 31 -> 10.5 µs. Alone it is slower.
        .linear_memory_keep_resident(4 << 20)
        .table_keep_resident(64 << 10)
        .pagemap_scan(Enabled::Auto);
    pool
}
