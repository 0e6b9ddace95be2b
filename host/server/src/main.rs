//! The `payhost` program. Everything it does is in the library (`payhost::cli`).

use std::process::ExitCode;

fn main() -> ExitCode {
    payhost::cli::main()
}
