//! Feeds the loader mutated components until the time is up. Invariant: whatever the bytes are, `Engine::load` ends soon and
//! with a sentence about the file; a panic, an internal error or a load that takes too long is a finding and is kept.
//!
//! Mutations know the sections of a component and of the modules in it, so that many of them pass the first checks; a mutant
//! that is refused with words not seen before becomes a seed. Built without optimisation of our own code, so that overflows
//! and debug assertions of wasmtime count as findings too.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a fuzzer that is surprised stops"
)]

mod mutate;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use payhost_engine::{Engine, LoadError, Options};

use mutate::{Mutator, Random};

/// A load that takes longer is a finding: others wait for the compiler meanwhile.
const TOO_LONG: Duration = Duration::from_secs(10);
/// Seeds that are kept.
const SEEDS: usize = 512;
/// Mutants are not larger, so that there are many of them.
const LARGEST: usize = 1 << 20;

struct Arguments {
    seconds: u64,
    seed: u64,
    findings: PathBuf,
    files: Vec<PathBuf>,
}

fn arguments() -> Arguments {
    let mut found = Arguments {
        seconds: 60,
        seed: 1,
        findings: std::env::temp_dir().join("payhost-fuzz"),
        files: vec![],
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().unwrap_or_else(|| panic!("{word} needs a value"));
        match word.as_str() {
            "--seconds" => found.seconds = value().parse().expect("a number of seconds"),
            "--seed" => found.seed = value().parse().expect("a number"),
            "--findings" => found.findings = value().into(),
            file => found.files.push(file.into()),
        }
    }
    found
}

fn main() {
    let arguments = arguments();
    let mut corpus = hand_written();
    for file in &arguments.files {
        corpus.push(std::fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display())));
    }
    let whole = corpus.len();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let options = Options { max_calls: 16, worker_threads: Some(1), ..Options::default() };
    let engine = Engine::new(options).unwrap();
    let mut fuzz = Fuzz {
        engine,
        corpus,
        outcomes: BTreeMap::new(),
        seen: BTreeSet::new(),
        findings: 0,
        folder: arguments.findings,
        slowest: Duration::ZERO,
    };
    let (start, mut executions) = (Instant::now(), 0_u64);
    let mut mutator = Mutator::new(Random::new(arguments.seed));
    while start.elapsed() < Duration::from_secs(arguments.seconds) {
        let mut bytes = mutator.mutant(&fuzz.corpus, whole);
        bytes.truncate(LARGEST);
        runtime.block_on(fuzz.one(bytes));
        executions += 1;
    }
    println!("{executions} executions in {:?}, {} seeds at the end", start.elapsed(), fuzz.corpus.len());
    for (outcome, times) in &fuzz.outcomes {
        println!("  {times:>9}  {outcome}");
    }
    println!("slowest load {:?}; {} findings", fuzz.slowest, fuzz.findings);
    if fuzz.findings > 0 {
        std::process::exit(1);
    }
}

struct Fuzz {
    engine: Engine,
    corpus: Vec<Vec<u8>>,
    outcomes: BTreeMap<&'static str, u64>,
    /// Refusals without their numbers and names.
    seen: BTreeSet<String>,
    findings: u64,
    folder: PathBuf,
    slowest: Duration,
}

impl Fuzz {
    async fn one(&mut self, bytes: Vec<u8>) {
        let start = Instant::now();
        let loaded = self.engine.load(&bytes).await;
        let took = start.elapsed();
        self.slowest = self.slowest.max(took);
        let (outcome, text) = match &loaded {
            Ok(_) => ("loaded", String::new()),
            Err(error) => (name(error), error.to_string()),
        };
        *self.outcomes.entry(outcome).or_default() += 1;
        let internal = matches!(loaded, Err(LoadError::Internal(_)));
        if internal || took > TOO_LONG {
            self.findings += 1;
            std::fs::create_dir_all(&self.folder).unwrap();
            let path = self.folder.join(format!("{}.wasm", self.findings));
            std::fs::write(&path, &bytes).unwrap();
            println!("finding: {} after {took:?}: {text}", path.display());
        }
        let class: String = text.chars().filter(|c| !c.is_ascii_hexdigit()).take(160).collect();
        let early = matches!(loaded, Err(LoadError::NotAComponent(_)));
        let room = if early { SEEDS / 2 } else { SEEDS };
        if self.seen.insert(class) && self.corpus.len() < room {
            self.corpus.push(bytes);
        }
    }
}

fn name(error: &LoadError) -> &'static str {
    match error {
        LoadError::TooLarge { .. } => "too large",
        LoadError::NotAComponent(_) => "not a component",
        LoadError::Imports(_) => "imports",
        LoadError::ImportType(_) => "type of an import",
        LoadError::NoInterface { .. } => "no interface",
        LoadError::Export { .. } => "type of an export",
        LoadError::Died { .. } => "died while it was tried",
        LoadError::Descriptor(_) => "descriptor",
        LoadError::OtherBytes { .. } => "other bytes",
        LoadError::Internal(_) => "internal",
    }
}

/// Small components that come far.
fn hand_written() -> Vec<Vec<u8>> {
    let component = |module: &str, lift: &str| {
        let text = format!(
            r#"(component
                (core module $m {module})
                (core instance $i (instantiate $m))
                {lift}
                (instance $p (export "describe" (func $f)) (export "check" (func $f)))
                (export "payhost:plugin/plugin@0.1.0" (instance $p)))"#
        );
        wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
    };
    let plain = r#"(func $f (canon lift (core func $i "f")))"#;
    let string = r#"(alias core export $i "m" (core memory $mem))
        (func $f (result string) (canon lift (core func $i "f") (memory $mem)))"#;
    vec![
        component(r#"(func (export "f"))"#, plain),
        component(r#"(func (export "f")) (func $s (loop (br 0))) (start $s)"#, plain),
        component(
            r#"(table 1 funcref) (func (export "f") (drop (table.grow 0 (ref.null func) (i32.const 9))))"#,
            plain,
        ),
        component(
            r#"(memory (export "m") 1) (data (i32.const 0) "\08\00\00\00\04\00\00\00text")
               (func (export "f") (result i32) (i32.const 0))"#,
            string,
        ),
        wat::parse_str(r#"(component (import "payhost:plugin/log@0.1.0" (instance)))"#).unwrap(),
        wat::parse_str("(module (memory 1) (func (export \"f\")))").unwrap(),
    ]
}
