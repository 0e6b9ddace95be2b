//! Invariant: a code that INICIS does not document starts with `SIM:`; every other code stands in `reference/inicis.md`.

/// Why the simulator says no. `code` is INICIS's own where the reference gives one, else a label of the simulator's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Refusal {
    /// V023, R201, a six-digit code of §8.4, or `SIM:…` (at most 10 bytes, as `resultCode` may have no more).
    pub code: String,
    /// Korean text with the reason.
    pub message: String,
}

impl Refusal {
    /// A refusal with a code and a text.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into() }
    }

    /// A refusal by a six-digit code of §8.4, with what exactly was wrong.
    pub fn coded(code: &str, detail: impl std::fmt::Display) -> Self {
        Self::new(code, format!("{} ({detail})", crate::codes::text(code)))
    }

    /// Whether the code is the simulator's own label.
    #[must_use]
    pub fn is_label(&self) -> bool {
        self.code.starts_with("SIM:")
    }
}
