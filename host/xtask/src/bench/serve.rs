//! `cold-start.serve`: from the start of the whole program to its first address. Invariant: every run has an empty database
//! with the plugin installed, and its code compiled before.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::Error;
use crate::run::output;

const RUNS: usize = 7;
/// `design.md`, "Numbers to reach".
const MUST_MS: f64 = 300.0;

/// Measures the program and adds one line to what was printed and written.
pub fn run(program: &Path, component: &Path, json: Option<&PathBuf>) -> Result<(), Error> {
    let folder = std::env::temp_dir().join(format!("payhost-cold-start-{}", std::process::id()));
    let payhost = || {
        let mut command = Command::new(program);
        command.arg("--data").arg(&folder).env("RUST_LOG", "error");
        command
    };
    // The first start makes the host; commands only use one.
    serve(&mut payhost())?;
    output(payhost().args(["plugin", "install"]).arg(component))?;
    let mut times = (0..RUNS).map(|_| serve(&mut payhost())).collect::<Result<Vec<f64>, Error>>()?;
    let removed = std::fs::remove_dir_all(&folder);
    removed.map_err(|cause| Error::File { path: folder.display().to_string(), cause })?;
    times.sort_by(f64::total_cmp);
    let median = times.get(RUNS / 2).copied().unwrap_or_default();
    report(median, json)
}

/// Milliseconds until the program says where it listens; then it is ended.
fn serve(command: &mut Command) -> Result<f64, Error> {
    let not_started = |cause| Error::NotStarted { command: "payhost serve".to_owned(), cause };
    command.args(["serve", "--listen", "127.0.0.1:0"]).stdout(Stdio::piped());
    let start = Instant::now();
    let mut child = command.spawn().map_err(not_started)?;
    let mut line = String::new();
    if let Some(stdout) = child.stdout.take() {
        BufReader::new(stdout).read_line(&mut line).map_err(not_started)?;
    }
    let took = start.elapsed();
    let _ = child.kill();
    child.wait().map_err(not_started)?;
    if line.contains("\"url\"") {
        Ok(took.as_secs_f64() * 1000.0)
    } else {
        Err(Error::Other(format!("payhost serve did not say where it listens: {line}")))
    }
}

fn report(median: f64, json: Option<&PathBuf>) -> Result<(), Error> {
    let value = (median * 1000.0).round() / 1000.0;
    let name = "cold-start.serve";
    let word = if value <= MUST_MS { "kept" } else { "MISSED" };
    println!("{name:<44} {value:>12.2} ms       must {MUST_MS}  {word}");
    let Some(path) = json else { return Ok(()) };
    let wrong = |cause| Error::File { path: path.display().to_string(), cause };
    let line =
        serde_json::json!({"name": name, "value": value, "unit": "ms", "ratio": null, "must": MUST_MS});
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).map_err(wrong)?;
    writeln!(file, "{line}").map_err(wrong)
}
