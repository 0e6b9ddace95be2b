//! All that is known of a call that has ended stays together: the plugin's word never comes without the evidence.

use std::time::Duration;

use serde_json::Value;

use crate::evidence::Evidence;
use crate::fault::Fault;
use crate::journal::{CallRecord, Ended};
use crate::logs::LogLine;

/// What a call used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Time on a processor.
    pub cpu: Duration,
    /// Time by the clock, from the instance to the answer.
    pub wall: Duration,
    /// Time spent waiting for a turn.
    pub queued: Duration,
    /// Most bytes of linear memory at once.
    pub peak_memory_bytes: usize,
}

/// How a call ended, with all that is known of it.
#[must_use = "a call may have moved money, even where it failed: read its evidence"]
#[derive(Debug)]
pub struct Called<R> {
    /// The plugin's word, or why there is none.
    pub result: Result<R, Fault>,
    /// What the host's own network saw.
    pub evidence: Evidence,
    /// What the plugin wrote, scrubbed.
    pub log: Vec<LogLine>,
    /// What it used.
    pub cost: Cost,
    /// Its `ended` lacks the answer until somebody reads it.
    pub(crate) record: CallRecord,
    pub(crate) to_json: fn(&R) -> Value,
}

impl<R> Called<R> {
    /// For the journal.
    pub fn record(&self) -> &CallRecord {
        if let (Ok(answer), Ended::Answered(json)) = (&self.result, &self.record.ended) {
            json.make_with(|| (self.to_json)(answer));
        }
        &self.record
    }

    /// The record alone.
    pub fn into_record(self) -> CallRecord {
        self.record();
        self.record
    }

    /// The same with the answer turned into something else; the record keeps the plugin's.
    pub fn map<S>(self, turn: impl FnOnce(R) -> S) -> Called<S> {
        self.record();
        let Called { result, evidence, record, log, cost, .. } = self;
        let to_json = |_: &S| Value::Null;
        Called { result: result.map(turn), evidence, log, cost, record, to_json }
    }
}
