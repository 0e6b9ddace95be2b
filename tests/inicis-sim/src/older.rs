//! What the manual does not allow and widely used clients send all the same (official samples up to 2022, gnuboard5 of
//! 2026).
//!
//! Invariant: the profile `strict` refuses each such thing; `older-clients` takes it and writes one warning for it, with the
//! code and the words of that refusal. Everything else is judged alike by both: hashes that came are compared, amounts and
//! numbers are exact.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::refusal::Refusal;
use crate::sim::Sim;

/// How a merchant's requests are judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// As the manual says.
    #[default]
    Strict,
    /// What clients of earlier years send is taken with a warning.
    OlderClients,
}

/// Something that was taken although the manual does not allow it.
#[derive(Clone, Debug, Serialize)]
pub struct Warning {
    /// When, in milliseconds since 1970.
    pub at: i64,
    /// Merchant.
    pub mid: String,
    /// Code with which `strict` refuses it.
    pub code: String,
    /// Why.
    pub reason: String,
}

/// Most warnings that are kept; the oldest goes first.
const KEPT: usize = 4096;

/// Profiles that the control API gave to merchants, and what was warned of. Neither survives a restart or a reset.
#[derive(Debug, Default)]
pub struct Older {
    profiles: Mutex<BTreeMap<String, Profile>>,
    warnings: Mutex<VecDeque<Warning>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Older {
    /// Gives a merchant a profile of its own; `None` takes it away.
    pub fn set(&self, mid: &str, profile: Option<Profile>) {
        let mut profiles = lock(&self.profiles);
        match profile {
            Some(profile) => profiles.insert(mid.to_owned(), profile),
            None => profiles.remove(mid),
        };
    }

    /// What was warned of, oldest first; of one merchant or of all.
    pub fn warnings(&self, mid: Option<&str>) -> Vec<Warning> {
        let wanted = |warning: &&Warning| mid.is_none_or(|mid| warning.mid == mid);
        lock(&self.warnings).iter().filter(wanted).cloned().collect()
    }

    /// Forgets both.
    pub fn clear(&self) {
        lock(&self.profiles).clear();
        lock(&self.warnings).clear();
    }
}

impl Sim {
    /// The profile of a merchant: its own, or that of the settings.
    pub fn profile(&self, mid: &str) -> Profile {
        let own = lock(&self.older.profiles).get(mid).copied();
        let written = || self.merchants.get(mid).and_then(|merchant| merchant.profile);
        own.or_else(written).unwrap_or(self.settings.profile)
    }

    /// Something that only older clients do: refused, or taken with a warning.
    ///
    /// # Errors
    /// The refusal, for a merchant whose profile is strict.
    pub fn unless_older(&self, mid: &str, refusal: Refusal) -> Result<(), Refusal> {
        match self.profile(mid) {
            Profile::Strict => Err(refusal),
            Profile::OlderClients => {
                let Refusal { code, message: reason } = refusal;
                tracing::warn!(
                    mid,
                    code,
                    reason,
                    "taken from an older client; the profile strict refuses it"
                );
                let mut warnings = lock(&self.older.warnings);
                if warnings.len() >= KEPT {
                    warnings.pop_front();
                }
                warnings.push_back(Warning { at: self.clock.now_ms(), mid: mid.to_owned(), code, reason });
                Ok(())
            }
        }
    }
}
