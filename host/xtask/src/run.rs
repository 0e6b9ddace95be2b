//! Running other programs. Invariant: a program that fails is an error that names the command as it could be typed.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Error;

/// The folder of the workspace.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().and_then(Path::parent).unwrap_or(here).to_path_buf()
}

/// Where cargo puts what it builds.
pub fn target_dir() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => root().join(folder),
        None => root().join("target"),
    }
}

/// The cargo that runs us. What it told us of our own package is not handed on: build scripts that watch it would run again, and
/// all that needs them, each time somebody typed cargo's command instead of ours.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    for (name, _) in std::env::vars_os() {
        let of_ours = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
        if name.to_str().is_some_and(of_ours) {
            command.env_remove(name);
        }
    }
    command
}

/// Builds every program of the workspace. Always all of it: a choice of packages would choose other features of what they
/// share, and build that twice.
pub fn binaries() -> Result<(), Error> {
    step(cargo().args(["build", "--locked", "--workspace", "--bins"]))
}

/// A command as it could be typed.
pub fn typed(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or(command.get_program());
    let words = std::iter::once(name).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

/// Runs it to its end; its output is the user's.
pub fn step(command: &mut Command) -> Result<(), Error> {
    eprintln!("xtask: {}", typed(command));
    let status = command.stdin(Stdio::null()).status();
    let status = status.map_err(|cause| Error::NotStarted { command: typed(command), cause })?;
    if status.success() {
        Ok(())
    } else {
        Err(Error::Failed { command: typed(command), status: status.to_string() })
    }
}

/// Runs it and takes what it prints.
pub fn output(command: &mut Command) -> Result<String, Error> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.map_err(|cause| Error::NotStarted { command: typed(command), cause })?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    } else {
        Err(Error::Failed { command: typed(command), status: output.status.to_string() })
    }
}

/// Whether it runs and says that all is well; its output is swallowed.
pub fn works(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}
