//! One figure is one line: for people on the terminal, as JSON at the end of the file, which `cargo xtask bench` begins.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use serde_json::json;

/// Where figures go.
pub struct Figures {
    file: Option<File>,
}

impl Figures {
    pub fn new(path: Option<&Path>) -> Self {
        Self { file: path.map(open) }
    }

    /// `ratio` is ours ÷ bare wasmtime; `must` is a minimum for units per second, else a maximum.
    pub fn add(&mut self, name: &str, value: f64, unit: &str, ratio: Option<f64>, must: Option<f64>) {
        let round = |value: f64| (value * 1000.0).round() / 1000.0;
        let (value, ratio) = (round(value), ratio.map(round));
        let kept = must.map(|must| if unit.ends_with("/s") { value >= must } else { value <= must });
        let line = json!({"name": name, "value": value, "unit": unit, "ratio": ratio, "must": must});
        if let Some(file) = &mut self.file {
            writeln!(file, "{line}").expect("the figures can be written");
        }
        let ratio = ratio.map_or(String::new(), |ratio| format!("  {ratio:.2} x bare"));
        let must = must.map_or(String::new(), |must| format!("  must {must}"));
        let word = match kept {
            Some(false) => "  MISSED",
            Some(true) => "  kept",
            None => "",
        };
        println!("{name:<44} {value:>12.2} {unit:<7}{ratio}{must}{word}");
    }
}

fn open(path: &Path) -> File {
    OpenOptions::new().append(true).create(true).open(path).expect("the file for the figures can be written")
}

/// Times of one kind of run.
#[derive(Default)]
pub struct Times(Vec<Duration>);

impl Times {
    pub fn push(&mut self, time: Duration) {
        self.0.push(time);
    }

    /// The time that this share of the runs does not pass, in microseconds.
    pub fn percentile(&mut self, share: f64) -> f64 {
        self.0.sort_unstable();
        let at = ((self.0.len() - 1) as f64 * share).round() as usize;
        self.0[at].as_nanos() as f64 / 1000.0
    }
}
