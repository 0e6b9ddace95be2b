//! Invariant: a window is closed by one click only; windows do not survive a restart, the buyer opens a new one.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Most open windows; the oldest goes first.
const OPEN_WINDOWS: usize = 4096;

/// Windows that are open, by id.
#[derive(Debug)]
pub struct Windows<T>(Mutex<HashMap<String, (i64, T)>>);

impl<T> Default for Windows<T> {
    fn default() -> Self {
        Self(Mutex::new(HashMap::new()))
    }
}

impl<T: Clone> Windows<T> {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, (i64, T)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a window and returns its id.
    pub fn open(&self, now_ms: i64, request: T) -> String {
        let id = format!("{:032x}", rand::random::<u128>());
        let mut open = self.lock();
        if open.len() >= OPEN_WINDOWS {
            let oldest = open.iter().min_by_key(|(_, (at, _))| *at).map(|(id, _)| id.clone());
            oldest.and_then(|id| open.remove(&id));
        }
        open.insert(id.clone(), (now_ms, request));
        id
    }

    /// The request of an open window.
    pub fn get(&self, id: &str) -> Option<T> {
        self.lock().get(id).map(|(_, request)| request.clone())
    }

    /// Closes a window; `None` if it is not open (any more).
    pub fn close(&self, id: &str) -> Option<T> {
        self.lock().remove(id).map(|(_, request)| request)
    }

    /// Closes all.
    pub fn clear(&self) {
        self.lock().clear();
    }
}
