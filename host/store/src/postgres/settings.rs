//! What shops and operators set, kept in memory. Invariant: a row is given from memory only to a closure for which a reading of the
//! number of the last change, sent after it was handed in, shows that nothing was set since the row was read.
//!
//! Each payment needs the same rows again and again: key, shop, channel, revision, secrets (sealed), grants, gateway map.
//! A transaction that writes to one of their tables ([`writes`]) changes `settings_change` with its commit, so two transactions that see
//! the same number see the same rows; one small statement stands for all of them. A closure that waited for a connection does not even ask: a
//! reading that another sent meanwhile is as good as its own.

use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::Value;

/// Reads the number of the last change.
pub(super) const CHANGE: &str = "SELECT change FROM settings_change";

/// Changes it: to a number that no other transaction has. Whoever changes settings by hand must do the same.
pub(super) const RAISE: &str =
    "UPDATE settings_change SET change = txid_current() WHERE change <> txid_current()";

/// The tables of what is kept in memory.
pub(crate) const TABLES: &[&str] = &[
    "shop",
    "api_key",
    "operator_key",
    "plugin_grant",
    "gateway_map",
    "channel",
    "channel_default",
    "channel_secret",
    "channel_revision",
];

/// Whether a statement writes to one of [`TABLES`].
pub(super) fn writes(sql: &str) -> bool {
    const WRITES: [&str; 3] = ["INSERT INTO ", "UPDATE ", "DELETE FROM "];
    let named = |(at, write): (usize, &str)| {
        let rest = sql.get(at.saturating_add(write.len())..).unwrap_or_default();
        rest.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).next().unwrap_or_default()
    };
    !sql.starts_with("SELECT")
        && WRITES.iter().any(|write| sql.match_indices(write).any(|found| TABLES.contains(&named(found))))
}

/// At most so many answers of a number; the next one forgets the others.
const ANSWERS_MAX: usize = 20_000;

/// The answers that belong to the last two numbers, and the youngest reading of the number.
#[derive(Default)]
pub(super) struct Settings {
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    now: Kept,
    /// Of the number that was kept before: who began with it finds the rest of it here.
    before: Kept,
    /// What the youngest reading found, and a moment before it was sent.
    seen: Option<(Instant, i64)>,
    /// What was sent before this may be of another server.
    forgotten: Option<Instant>,
}

/// The answers that belong to a number.
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
        let memory = self.memory();
        let kept = [&memory.now, &memory.before].into_iter().filter(|kept| kept.change == change);
        let answer = kept.filter_map(|kept| kept.answers.get(question)).next().map(Arc::clone)?;
        drop(memory);
        answer.downcast_ref::<Vec<T>>().cloned()
    }

    /// Keeps what a statement answered in a transaction that began then. Nothing is kept of what is not there: strangers may
    /// ask for anything.
    pub(super) fn keep<T: Send + Sync + 'static>(
        &self,
        begun: Instant,
        change: i64,
        question: Question,
        rows: Vec<T>,
    ) {
        if rows.is_empty() && !question.1.is_empty() {
            return;
        }
        let mut guard = self.memory();
        let Memory { now, before, forgotten, .. } = &mut *guard;
        if forgotten.is_some_and(|forgotten| begun <= forgotten) {
            return;
        }
        if ![now.change, before.change].contains(&change) {
            *before = std::mem::replace(now, Kept { change, answers: HashMap::new() });
        }
        let kept = if now.change == change { now } else { before };
        if kept.answers.len() >= ANSWERS_MAX {
            kept.answers.clear();
        }
        kept.answers.insert(question, Arc::new(rows));
    }

    /// The number that a reading found which was sent after this.
    pub(super) fn number_since(&self, since: Instant) -> Option<i64> {
        self.memory().seen.filter(|(sent, _)| *sent > since).map(|(_, number)| number)
    }

    /// A reading that was sent then found this.
    pub(super) fn saw(&self, sent: Instant, number: i64) {
        let mut memory = self.memory();
        let later = |other: Option<Instant>| other.is_none_or(|other| sent > other);
        if later(memory.seen.map(|(sent, _)| sent)) && later(memory.forgotten) {
            memory.seen = Some((sent, number));
        }
    }

    /// Forgets everything: on a server that took another's place a number may stand for something else.
    pub(super) fn forget(&self) {
        *self.memory() = Memory { forgotten: Some(Instant::now()), ..Memory::default() };
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn question(sql: &str) -> Question {
        (sql.to_owned(), Vec::new())
    }

    fn ms(from: Instant, ms: u64) -> Instant {
        from + Duration::from_millis(ms)
    }

    #[test]
    fn what_was_sent_to_the_server_before_stands_for_nothing() {
        let (settings, sent) = (Settings::default(), Instant::now());
        let since = sent.checked_sub(Duration::from_secs(1)).unwrap();
        settings.forget();
        settings.saw(sent, 7);
        settings.keep(sent, 7, question("a"), vec![1]);
        assert_eq!((settings.number_since(since), settings.get::<i32>(7, &question("a"))), (None, None));
        settings.saw(ms(Instant::now(), 1), 8);
        assert_eq!(settings.number_since(since), Some(8));
        settings.forget();
        assert_eq!(settings.number_since(since), None);
    }

    #[test]
    fn a_reading_counts_for_who_came_before_it_and_the_youngest_wins() {
        let (settings, now) = (Settings::default(), Instant::now());
        settings.saw(ms(now, 10), 7);
        settings.saw(ms(now, 9), 6);
        let found = [5, 10, 11].map(|at| settings.number_since(ms(now, at)));
        assert_eq!(found, [Some(7), None, None]);
    }

    #[test]
    fn a_write_to_a_table_of_settings_is_recognized() {
        for (sql, is_write) in [
            ("INSERT INTO shop (id) VALUES ($1)", true),
            ("UPDATE channel SET name = $1", true),
            ("DELETE FROM channel_secret WHERE shop_id = $1", true),
            ("WITH old AS (SELECT 1 FROM shop) DELETE FROM plugin_grant WHERE plugin_id = $1", true),
            ("INSERT INTO payment (id) SELECT id FROM channel", false),
            ("UPDATE job SET due_us = $1", false),
            ("SELECT id FROM channel WHERE id = $1 FOR UPDATE", false),
            ("INSERT INTO shopping (id) VALUES ($1)", false),
        ] {
            assert_eq!(writes(sql), is_write, "{sql}");
        }
    }

    #[test]
    fn the_last_two_numbers_are_kept() {
        let (settings, now) = (Settings::default(), Instant::now());
        for number in [1, 2, 3] {
            settings.keep(now, number, question("a"), vec![number]);
        }
        settings.keep(now, 2, question("b"), vec![20]);
        let found = [1, 2, 3].map(|number| settings.get::<i64>(number, &question("a")));
        assert_eq!(found, [None, Some(vec![2]), Some(vec![3])]);
    }
}
