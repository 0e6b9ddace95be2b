//! Building components. Invariant: what is installed, tested and shown is built from this tree, never a committed binary.

use std::path::PathBuf;

use crate::Error;
use crate::run::{cargo, step, target_dir};
use crate::tools;

/// The components that were built.
pub struct Built {
    folder: PathBuf,
}

impl Built {
    /// A component by the name of its package.
    pub fn component(&self, package: &str) -> PathBuf {
        self.folder.join(format!("{}.wasm", package.replace('-', "_")))
    }

    /// All plugins.
    pub fn files(&self) -> Vec<PathBuf> {
        PLUGINS.iter().map(|package| self.component(package)).collect()
    }
}

/// Packages that are plugins.
const PLUGINS: &[&str] = &["inicis"];

/// Builds the plugins.
pub fn build() -> Result<Built, Error> {
    build_packages(PLUGINS)
}

/// Builds packages for the sandbox.
pub fn build_packages(packages: &[&str]) -> Result<Built, Error> {
    tools::wasm_target()?;
    let mut command = cargo();
    command.args(["build", "--locked", "--target", tools::WASM, "--profile", "plugin"]);
    for package in packages {
        command.args(["--package", package]);
    }
    step(&mut command)?;
    Ok(Built { folder: target_dir().join(tools::WASM).join("plugin") })
}
