//! Tools beside the compiler. Invariant: a tool that is missing is installed, or the error names the command that does it.

use std::process::Command;

use crate::Error;
use crate::run::{cargo, output, step, works};

/// The target that plugins are built for.
pub const WASM: &str = "wasm32-wasip2";

/// Makes sure that rustup's toolchain has the target of plugins.
pub fn wasm_target() -> Result<(), Error> {
    let remedy = || format!("rustup target add {WASM}");
    let installed = output(Command::new("rustup").args(["target", "list", "--installed"])).map_err(|_| {
        Error::Missing {
            what: "rustup (https://rustup.rs), which adds the target of plugins,",
            remedy: remedy(),
        }
    })?;
    if installed.lines().any(|line| line.trim() == WASM) {
        return Ok(());
    }
    step(Command::new("rustup").args(["target", "add", WASM])).map_err(|_| Error::Missing {
        what: "the target wasm32-wasip2 of the Rust compiler",
        remedy: remedy(),
    })
}

/// Makes sure that a cargo subcommand is there.
pub fn cargo_tool(subcommand: &str, package: &'static str) -> Result<(), Error> {
    if works(cargo().args([subcommand, "--version"])) {
        return Ok(());
    }
    step(cargo().args(["install", "--locked", package]))
        .map_err(|_| Error::Missing { what: package, remedy: format!("cargo install --locked {package}") })
}

/// Makes sure that Chromium and its driver are there, for the browser tests.
pub fn chromium() -> Result<(), Error> {
    let there = || {
        works(Command::new("chromedriver").arg("--version"))
            && works(Command::new("chromium").arg("--version"))
    };
    if there() {
        return Ok(());
    }
    let missing = || Error::Missing {
        what: "Chromium with its driver (`chromium` and `chromedriver` on the PATH)",
        remedy: "sudo apt-get install chromium chromium-driver   (or your system's packages of these names)"
            .to_owned(),
    };
    if !works(Command::new("apt-get").arg("--version")) || output(Command::new("id").arg("-u"))? != "0" {
        return Err(missing());
    }
    step(Command::new("apt-get").args(["update", "-qq"]))?;
    let install =
        ["install", "-y", "-qq", "--no-install-recommends", "chromium", "chromium-driver", "fonts-noto-cjk"];
    step(Command::new("apt-get").env("DEBIAN_FRONTEND", "noninteractive").args(install))?;
    if there() { Ok(()) } else { Err(missing()) }
}
