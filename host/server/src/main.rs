//! The `payhost` program. Everything it does is in the library (`payhost::cli`).

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// A payment makes some thousands of small allocations, on many threads.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    payhost::cli::main()
}
