//! Invariant: the notices of a ledger are numbered from 1 without a gap, also across a reset, so that an answer that comes
//! late is never taken for another notice's; a notice is pending as long as a round of its schedule may be left.

use std::collections::BTreeSet;

use crate::notice::{Notice, Record, Try};
use crate::vbank::settings::VbankSettings;

/// Notices and the switches that decide how they are sent.
#[derive(Debug, Default)]
pub struct Notices {
    settings: Option<VbankSettings>,
    forgotten: u64,
    records: Vec<Record>,
    pending: BTreeSet<usize>,
}

impl Notices {
    /// The switches, if the control API changed them.
    #[must_use]
    pub fn settings(&self) -> Option<&VbankSettings> {
        self.settings.as_ref()
    }

    /// All of them in the order of their numbers.
    #[must_use]
    pub fn all(&self) -> &[Record] {
        &self.records
    }

    /// By number.
    #[must_use]
    pub fn get(&self, id: u64) -> Option<&Record> {
        self.place(id).and_then(|at| self.records.get(at))
    }

    /// The number of the next one.
    #[must_use]
    pub fn next_id(&self) -> u64 {
        let known = u64::try_from(self.records.len()).unwrap_or(u64::MAX);
        self.forgotten.saturating_add(known).saturating_add(1)
    }

    /// Those whose next round is due.
    pub fn due(&self, now: i64, speed: u32) -> impl Iterator<Item = &Record> {
        let pending = self.pending.iter().filter_map(|at| self.records.get(*at));
        pending.filter(move |record| record.next_at(speed).is_some_and(|at| at <= now))
    }

    pub(super) fn set(&mut self, settings: &VbankSettings) {
        self.settings = Some(settings.clone());
    }

    pub(super) fn queue(&mut self, at: i64, notice: &Notice) {
        self.pending.insert(self.records.len());
        self.records.push(Record::new(at, notice.clone()));
    }

    pub(super) fn tried(&mut self, id: u64, tried: &Try) {
        self.change(id, |record| record.tries.push(tried.clone()));
    }

    pub(super) fn stop(&mut self, id: u64) {
        self.change(id, |record| record.stopped = true);
    }

    fn change(&mut self, id: u64, change: impl FnOnce(&mut Record)) {
        let Some(at) = self.place(id) else { return };
        let Some(record) = self.records.get_mut(at) else { return };
        change(record);
        if record.next_at(1).is_none() {
            self.pending.remove(&at);
        }
    }

    /// None of them, but with the numbers of those that come after.
    pub(super) fn emptied(&self) -> Self {
        Self { forgotten: self.next_id().saturating_sub(1), ..Self::default() }
    }

    fn place(&self, id: u64) -> Option<usize> {
        usize::try_from(id.checked_sub(self.forgotten)?).ok()?.checked_sub(1)
    }
}
