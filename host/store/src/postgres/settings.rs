//! What shops and operators set, kept in memory. Invariant: a row is given from memory only to a transaction whose own look at
//! the database shows that nothing was set since the row was read.
//!
//! Each payment needs the same rows again and again: key, shop, channel, revision, secrets (sealed), grants, gateway map.
//! Their tables have a trigger that changes `settings_change` at the commit, so two transactions that see the same number see
//! the same rows; one small statement stands for all of them.

use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::Value;

/// Reads the number of the last change.
pub(super) const CHANGE: &str = "SELECT change FROM settings_change";

/// At most so many answers; the next one forgets the others.
const ANSWERS_MAX: usize = 20_000;

/// The answers that belong to a number.
#[derive(Default)]
pub(super) struct Settings {
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    change: i64,
    answers: HashMap<Question, Arc<dyn Any + Send + Sync>>,
}

/// A statement with its parameters.
pub(super) type Question = (String, Vec<Value>);

impl Settings {
    /// The rows that a statement answered when the number was the same.
    pub(super) fn get<T: Clone + 'static>(&self, change: i64, question: &Question) -> Option<Vec<T>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = kept.answers.get(question).filter(|_| kept.change == change).map(Arc::clone)?;
        drop(kept);
        answer.downcast_ref::<Vec<T>>().cloned()
    }

    /// Keeps what a statement answered. Nothing is kept of what is not there: strangers may ask for anything.
    pub(super) fn keep<T: Send + Sync + 'static>(&self, change: i64, question: Question, rows: Vec<T>) {
        if rows.is_empty() && !question.1.is_empty() {
            return;
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.change != change || kept.answers.len() >= ANSWERS_MAX {
            *kept = Kept { change, answers: HashMap::new() };
        }
        kept.answers.insert(question, Arc::new(rows));
    }

    /// Forgets everything: on a server that took another's place a number may stand for something else.
    pub(super) fn forget(&self) {
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Kept::default();
    }
}
