//! The fault harness: a real host process, a real simulator process, faults on demand, and a checker that shares no code with
//! either. Invariant: a run counts only when its fault really struck, and every world is checked when it has come to rest.
//!
//! `world.rs` starts and kills; `dump.rs` reads the database and the simulator's ledger with statements of its own;
//! `checker.rs` holds the invariants against them; the other files are the experiments (`reference/payments.md` §6).

pub mod cancel_sequences;
pub mod checker;
pub mod clients;
pub mod dump;
pub mod gateway_faults;
pub mod kill_points;
pub mod messages;
pub mod paused;
pub mod storage;
pub mod world;

use std::time::Instant;

use checker::Violation;

/// Which database a world is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// A file.
    Sqlite,
    /// A server of our own.
    Postgres,
}

/// Both.
pub const BACKENDS: [Backend; 2] = [Backend::Sqlite, Backend::Postgres];

impl Backend {
    /// For rows.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }
}

/// What the person at the terminal asked for.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// Repeats of every cell; absent: those of the plan.
    pub runs: Option<u64>,
    /// Another number gives other amounts and another order.
    pub seed: u64,
    /// Only rows whose name begins so.
    pub only: Option<&'static str>,
}

impl Asked {
    /// Repeats of a cell that has so many in the plan.
    pub fn runs(self, planned: u64) -> u64 {
        self.runs.unwrap_or(planned)
    }

    /// Whether a row, or some of an experiment's rows, were asked for.
    pub fn wants(self, name: &str) -> bool {
        self.only.is_none_or(|only| name.starts_with(only) || only.starts_with(name))
    }
}

/// What an experiment came to.
#[derive(Debug)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// How many runs.
    pub runs: u64,
    /// What was violated.
    pub violations: Vec<Violation>,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// What else is worth saying.
    pub note: String,
}

/// A row that is being made.
pub struct Counting {
    row: Row,
    started: Instant,
}

impl Counting {
    /// Begins one.
    pub fn new(name: impl Into<String>) -> Self {
        let row =
            Row { name: name.into(), runs: 0, violations: Vec::new(), seconds: 0.0, note: String::new() };
        Self { row, started: Instant::now() }
    }

    /// One more run.
    pub fn run(&mut self) {
        self.row.runs += 1;
    }

    /// What was found wrong, and where.
    pub fn found(&mut self, cell: &str, violations: impl IntoIterator<Item = Violation>) {
        for mut violation in violations {
            violation.what = format!("{cell}: {}", violation.what);
            eprintln!("VIOLATION {} {}", violation.invariant, violation.what);
            self.row.violations.push(violation);
        }
    }

    /// Something else that should not be.
    pub fn wrong(&mut self, cell: &str, invariant: &'static str, what: impl Into<String>) {
        self.found(cell, [Violation { invariant, what: what.into() }]);
    }

    /// Prints the row and gives it.
    pub fn end(mut self, note: impl Into<String>) -> Row {
        self.row.seconds = self.started.elapsed().as_secs_f64();
        self.row.note = note.into();
        let Row { name, runs, violations, seconds, note } = &self.row;
        println!("{name:<40} {runs:>6} runs {:>4} violations {seconds:>8.1} s  {note}", violations.len());
        self.row
    }
}
