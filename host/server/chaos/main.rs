//! `payhost` with kill points (`payhost_core::kill`) and a clock that can be moved. Never for real money.

use std::process::ExitCode;

fn main() -> ExitCode {
    payhost::cli::main()
}
