//! Programs that a test starts. Invariant: every one of them ends with the value that stands for it, whatever the test does.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long a program may take to start or to end.
pub const PATIENCE: Duration = Duration::from_secs(45);

/// A program of the workspace, as `cargo xtask test` built it.
pub fn binary(name: &str) -> PathBuf {
    let folder = match std::env::var_os("PAYHOST_TEST_BINARIES") {
        Some(folder) => PathBuf::from(folder),
        // target/debug/deps/it-… stands beside target/debug/payhost.
        None => std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().to_owned(),
    };
    let path = folder.join(name);
    assert!(path.exists(), "{} is not there; run: cargo xtask test", path.display());
    path
}

/// The compiled plugin.
pub fn component() -> PathBuf {
    let path = match std::env::var_os("PAYHOST_TEST_PLUGIN") {
        Some(path) => PathBuf::from(path),
        None => {
            binary("payhost").parent().unwrap().parent().unwrap().join("wasm32-wasip2/plugin/inicis.wasm")
        }
    };
    assert!(path.exists(), "{} is not there; run: cargo xtask test", path.display());
    path
}

/// A running program.
pub struct Process {
    name: String,
    child: Child,
    /// What it wrote to standard error.
    pub log: PathBuf,
}

impl Process {
    /// Starts it and gives its first line, for which `ready` says whether it is the one; stderr goes to a file.
    pub fn start(
        command: &mut Command,
        log: &Path,
        ready: impl Fn(&str) -> bool,
    ) -> Result<(Self, String), String> {
        let name = format!("{command:?}");
        let errors = std::fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors).spawn();
        let child = child.unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut process = Self { name, child, log: log.to_owned() };
        let stdout = process.child.stdout.take().unwrap();
        let (send, receive) = channel();
        // Ends when the program closes its output, which it does at the latest when it is killed.
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = send.send(line);
            }
        });
        let deadline = Instant::now() + PATIENCE;
        loop {
            match receive.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) if ready(&line) => return Ok((process, line)),
                Ok(_) => {}
                Err(_) => {
                    let ended = process.child.try_wait().unwrap();
                    return Err(format!("{} was not ready ({ended:?}):\n{}", process.name, process.logged()));
                }
            }
        }
    }

    /// Everything that it wrote to standard error.
    pub fn logged(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Ends it at once, as a loss of power would.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to end (SIGTERM).
    pub fn ask_to_end(&self) {
        self.signal("-TERM");
    }

    /// Sends it a signal: `-STOP`.
    pub fn signal(&self, name: &str) {
        // Standard Rust cannot.
        let status = Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Whether it has ended, and how.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let mut text = String::new();
            let _ = std::fs::File::open(&self.log).and_then(|mut file| file.read_to_string(&mut text));
            eprintln!("---- {}\n{text}", self.name);
        }
    }
}

/// What a command that ends by itself came to.
pub struct Ended {
    /// Its exit code.
    pub code: i32,
    /// Its output.
    pub out: String,
    /// Its errors.
    pub err: String,
}

impl Ended {
    /// Runs a command to its end.
    pub fn of(command: &mut Command) -> Self {
        let output = command.stdin(Stdio::null()).output().unwrap();
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Its output as JSON; it must have succeeded.
    pub fn json(&self) -> Value {
        assert_eq!(self.code, 0, "{}", self.err);
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }
}
