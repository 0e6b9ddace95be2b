//! Programs of a measurement. Invariant: each ends with the value that stands for it, whatever happens to the measurement, and
//! nothing else is ended.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// A program that runs.
pub struct Program(Child);

impl Program {
    /// Starts it and gives its first line, which says in JSON where it listens. Its log goes to a file.
    pub fn start(command: &mut Command, log: &Path) -> (Self, Value) {
        let file = File::create(log).expect("a log can be made");
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(file).spawn();
        let mut program = Self(child.unwrap_or_else(|error| panic!("{command:?}: {error}")));
        let mut lines = BufReader::new(program.0.stdout.take().expect("its output is a pipe")).lines();
        let first = lines.next().and_then(Result::ok).unwrap_or_default();
        let ready = serde_json::from_str(&first)
            .unwrap_or_else(|_| panic!("{command:?}: {first}\n{}", std::fs::read_to_string(log).unwrap()));
        // Ends when the program does.
        std::thread::spawn(move || lines.for_each(drop));
        (program, ready)
    }

    /// Asks it to end, and waits until it has.
    pub fn stop(mut self) {
        // Standard Rust cannot send SIGTERM.
        let asked = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status();
        assert!(asked.expect("kill can be run").success());
        let status = self.0.wait().expect("it was started here");
        assert!(status.success(), "a program ended with {status}");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
