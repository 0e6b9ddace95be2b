//! What is checked when a stage ends, by itself or killed. Invariant: no log of it has a token ([`super::tokens`]), and its
//! database nothing that only a sealed value may hold ([`super::stored`]); every call in its journal runs again to its result byte
//! for byte, from the data folder alone; only one-time secrets and limits are reasons not to, and they are counted.

use std::io::Write as _;
use std::path::PathBuf;

use serde_json::Value;

use super::payhost;
use super::process::Ended;

/// Most calls that one replay takes; of a test that makes more (a flood of notices) the newest are checked.
const LAST: u64 = 1000;

/// Checks the journal of a folder's host when it is dropped, after the host and before the folder.
pub struct Journal {
    /// Of the stage.
    pub folder: PathBuf,
}

impl Drop for Journal {
    fn drop(&mut self) {
        // A test that failed has its own words.
        if std::thread::panicking() {
            return;
        }
        super::tokens::none_in_logs(&self.folder);
        super::stored::nothing_readable(&self.folder);
        let ended = Ended::of(payhost(&self.folder).args(["--json", "replay", "--last", &LAST.to_string()]));
        let out = ended.json();
        let count = |path: &str| out.pointer(path).and_then(Value::as_u64).unwrap();
        assert_eq!(count("/different"), 0, "a journaled call ends otherwise when it runs again: {out:#}");
        for never in ["capped", "secret_changed", "other"] {
            assert_eq!(count(&format!("/not_replayable/{never}")), 0, "{out:#}");
        }
        if let Some(file) = std::env::var_os("PAYHOST_TEST_REPLAYS") {
            let mut file = std::fs::OpenOptions::new().create(true).append(true).open(file).unwrap();
            // One write: tests append side by side.
            file.write_all(format!("{out}\n").as_bytes()).unwrap();
        }
    }
}
