//! What the host's own network saw is recorded **before** a request is sent, as "unknown", and made better only by what
//! came back: a call that is killed in between leaves the truth.

use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::contract::imports::Effect;

/// How far a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The host did not allow it; nothing was sent.
    Refused,
    /// No connection came about; nothing was sent.
    NotSent,
    /// It, or a part of it, may have left this machine, and no whole answer came.
    Unknown,
    /// The gateway answered with this status.
    Answered {
        /// HTTP status.
        status: u16,
    },
}

/// One request that a plugin asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchange {
    /// `GET` or `POST`, as the plugin gave it.
    pub verb: String,
    /// Origin and path; the query is left out.
    pub url: String,
    /// What it may have done at the gateway.
    pub effect: Effect,
    /// How far it came.
    pub phase: Phase,
    /// Milliseconds since the call's start.
    pub started_ms: u64,
    /// Milliseconds since the call's start; absent while nothing is known.
    pub ended_ms: Option<u64>,
}

/// The worst that may have happened to a call's writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WriteEvidence {
    /// No write was tried, or the host refused it.
    None,
    /// A write was tried and nothing left this machine.
    NotSent,
    /// The gateway answered.
    Answered,
    /// A write may have been made, and nobody knows.
    Unknown,
}

/// The requests of one call, in order. A cheap handle: it outlives the call however that ends.
#[derive(Clone, Debug, Default)]
pub struct Evidence(Arc<Mutex<Vec<Exchange>>>);

impl Evidence {
    /// What was seen so far.
    pub fn exchanges(&self) -> Vec<Exchange> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The worst of all writes.
    pub fn writes(&self) -> WriteEvidence {
        let exchanges = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let writes = exchanges.iter().filter(|exchange| exchange.effect == Effect::Write);
        writes.map(|exchange| of(exchange.phase)).max().unwrap_or(WriteEvidence::None)
    }

    /// Records a request before it is made; the number is for [`Evidence::ended`].
    pub(crate) fn started(&self, exchange: Exchange) -> usize {
        let mut exchanges = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        exchanges.push(exchange);
        exchanges.len().saturating_sub(1)
    }

    /// Says how it ended.
    pub(crate) fn ended(&self, number: usize, phase: Phase, ended_ms: u64) {
        let mut exchanges = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(exchange) = exchanges.get_mut(number) {
            exchange.phase = phase;
            exchange.ended_ms = Some(ended_ms);
        }
    }
}

fn of(phase: Phase) -> WriteEvidence {
    match phase {
        Phase::Refused => WriteEvidence::None,
        Phase::NotSent => WriteEvidence::NotSent,
        Phase::Answered { .. } => WriteEvidence::Answered,
        Phase::Unknown => WriteEvidence::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evidence(phases: &[(Effect, Phase)]) -> Evidence {
        let evidence = Evidence::default();
        for (effect, phase) in phases {
            let (verb, url) = ("POST".to_owned(), "https://x/".to_owned());
            let exchange =
                Exchange { verb, url, effect: *effect, phase: Phase::Unknown, started_ms: 0, ended_ms: None };
            let number = evidence.started(exchange);
            evidence.ended(number, *phase, 1);
        }
        evidence
    }

    #[test]
    fn the_worst_write_wins_and_reads_do_not_count() {
        let answered = Phase::Answered { status: 200 };
        for (phases, expected) in [
            (&[][..], WriteEvidence::None),
            (&[(Effect::Read, Phase::Unknown)], WriteEvidence::None),
            (&[(Effect::Write, Phase::Refused)], WriteEvidence::None),
            (&[(Effect::Write, Phase::NotSent), (Effect::Write, Phase::Refused)], WriteEvidence::NotSent),
            (&[(Effect::Write, answered), (Effect::Write, Phase::NotSent)], WriteEvidence::Answered),
            (&[(Effect::Write, Phase::Unknown), (Effect::Write, answered)], WriteEvidence::Unknown),
        ] {
            assert_eq!(evidence(phases).writes(), expected, "{phases:?}");
        }
    }

    #[test]
    fn a_request_that_never_ended_is_unknown() {
        let evidence = Evidence::default();
        let (verb, url) = ("POST".to_owned(), "https://x/".to_owned());
        evidence.started(Exchange {
            verb,
            url,
            effect: Effect::Write,
            phase: Phase::Unknown,
            started_ms: 3,
            ended_ms: None,
        });
        assert_eq!(evidence.writes(), WriteEvidence::Unknown);
    }
}
