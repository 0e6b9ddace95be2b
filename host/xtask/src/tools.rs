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

/// Makes sure that the languages of the quick start are there, which a test follows: Node, PHP and Python.
pub fn languages() -> Result<(), Error> {
    const LANGUAGES: &[(&str, &str, &str)] = &[
        ("node", "nodejs", "Node (`node` on the PATH), which the test of the quick start runs,"),
        ("php", "php-cli", "PHP (`php` on the PATH), which the test of the quick start runs,"),
        ("python3", "python3", "Python (`python3` on the PATH), which the test of the quick start runs,"),
    ];
    for (program, package, what) in LANGUAGES {
        if !works(Command::new(program).arg("--version")) {
            debian_packages(&[package], what)?;
        }
    }
    Ok(())
}

/// Makes sure that the pooler is there through which tests reach PostgreSQL.
pub fn pooler() -> Result<(), Error> {
    // Debian has it where only root looks.
    let there = |program| works(Command::new(program).arg("--version"));
    if there("pgbouncer") || there("/usr/sbin/pgbouncer") {
        return Ok(());
    }
    debian_packages(&["pgbouncer"], "pgbouncer (on the PATH), through which tests reach PostgreSQL,")
}

/// Installs packages of Debian where that is possible, else says which.
fn debian_packages(packages: &[&str], what: &'static str) -> Result<(), Error> {
    let missing = || Error::Missing {
        what,
        remedy: format!(
            "sudo apt-get install {}   (or your system's packages of these names)",
            packages.join(" ")
        ),
    };
    if !works(Command::new("apt-get").arg("--version")) || output(Command::new("id").arg("-u"))? != "0" {
        return Err(missing());
    }
    step(Command::new("apt-get").args(["update", "-qq"]))?;
    let install = ["install", "-y", "-qq", "--no-install-recommends"];
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive").args(install).args(packages);
    step(&mut command).map_err(|_| missing())
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
    let what = "Chromium with its driver (`chromium` and `chromedriver` on the PATH)";
    let packages = ["chromium", "chromium-driver", "fonts-noto-cjk"];
    debian_packages(&packages, what)?;
    let remedy = "put `chromium` and `chromedriver` on the PATH".to_owned();
    if there() { Ok(()) } else { Err(Error::Missing { what, remedy }) }
}
