//! `server.json`: where the running server of a data folder is, for commands beside it. Invariant: a command asks only where a
//! server lives that wrote the file: it holds a lock on it for as long as it listens, and the system takes the lock from a process
//! that ends in whatever way. A file that a dead one left names a port that anybody may have by now.

use std::fs::{File, TryLockError};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use url::Url;

/// Name of the file.
const NAME: &str = "server.json";

/// What a running server leaves in its data folder, readable by its user only.
#[derive(Debug, Serialize, Deserialize)]
pub struct ServerFile {
    /// Base address.
    pub url: Url,
    /// An operator's key that ends with the process.
    pub key: String,
}

/// The file of a server that listens; dropped it is gone.
pub struct Left {
    path: PathBuf,
    _locked: File,
}

impl ServerFile {
    /// For a server at an address.
    pub fn new(url: Url, key: &str) -> Self {
        Self { url, key: key.to_owned() }
    }

    /// Leaves it in a data folder. It is locked before it has its name, so that nobody takes it for a dead one's.
    pub fn leave(&self, folder: &Path) -> Result<Left, String> {
        let (path, new) = (folder.join(NAME), folder.join(format!("{NAME}.new")));
        let words = |error: std::io::Error| format!("{}: {error}", path.display());
        let text = serde_json::to_string(self).map_err(|error| error.to_string())?;
        let _ = std::fs::remove_file(&new);
        let made = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new);
        let mut file = made.map_err(words)?;
        file.lock().map_err(words)?;
        file.write_all(text.as_bytes()).map_err(words)?;
        std::fs::rename(&new, &path).map_err(words)?;
        Ok(Left { path, _locked: file })
    }

    /// That of the server that runs on a data folder.
    pub fn of_running(folder: &Path) -> Option<Self> {
        let mut file = File::open(folder.join(NAME)).ok()?;
        // Shared: commands do not take each other for a server.
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => {}
            Ok(()) | Err(TryLockError::Error(_)) => return None,
        }
        let mut text = String::new();
        file.read_to_string(&mut text).ok()?;
        serde_json::from_str(&text).ok()
    }
}

impl Drop for Left {
    fn drop(&mut self) {
        // Not the file of another server that came to this folder after us.
        let own = |found: &std::fs::Metadata| {
            use std::os::unix::fs::MetadataExt as _;
            self._locked.metadata().is_ok_and(|own| (own.dev(), own.ino()) == (found.dev(), found.ino()))
        };
        if std::fs::metadata(&self.path).as_ref().is_ok_and(own) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_a_dead_server_left_names_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let server = ServerFile::new("http://127.0.0.1:4101".parse().unwrap(), "op_run_x");
        assert!(ServerFile::of_running(folder.path()).is_none());
        let left = server.leave(folder.path()).unwrap();
        for _ in 0..2 {
            let found = ServerFile::of_running(folder.path()).unwrap();
            assert_eq!((found.url.as_str(), found.key.as_str()), ("http://127.0.0.1:4101/", "op_run_x"));
        }
        // Killed: the file stays, nothing holds it.
        let text = std::fs::read(folder.path().join(NAME)).unwrap();
        drop(left);
        assert!(!folder.path().join(NAME).exists());
        std::fs::write(folder.path().join(NAME), text).unwrap();
        assert!(ServerFile::of_running(folder.path()).is_none());
        // The next one takes its place.
        let next = server.leave(folder.path()).unwrap();
        assert!(ServerFile::of_running(folder.path()).is_some());
        let after = server.leave(folder.path()).unwrap();
        drop(next);
        assert!(ServerFile::of_running(folder.path()).is_some(), "one that ends takes only its own away");
        drop(after);
    }
}
