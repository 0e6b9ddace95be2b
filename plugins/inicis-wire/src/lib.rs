//! What INICIS speaks on the wire: fields, hashes, codes and parsers.
//!
//! Invariant: nothing in here talks to anything, reads a clock or knows a secret. A hash is a [`recipe::Recipe`] (what to
//! join, with secrets by name) that somebody else evaluates; a message is bytes or text that somebody else sends; a parser
//! takes any bytes and gives a value or an error, never a panic. Every fact names its paragraph of `reference/inicis.md`;
//! what that file marks unknown is left out.

pub mod banks;
pub mod cards;
pub mod clock;
pub mod codes;
pub mod details;
pub mod form;
pub mod idc;
pub mod iniapi;
pub mod json;
pub mod merchants;
pub mod methods;
pub mod mobile;
pub mod notice;
pub mod options;
pub mod order;
pub mod pc;
pub mod receipt;
pub mod recipe;
pub mod refusal;
pub mod text;

pub use refusal::KnownRefusal;

/// A sentence in the two languages of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sentence {
    /// Korean.
    pub ko: &'static str,
    /// English.
    pub en: &'static str,
}

/// The answer of the gateway cannot be understood, so money may have moved. Says what was wrong with it, without quoting it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
#[must_use = "an unclear answer may hide a moved payment"]
pub struct Unclear(pub String);

/// A "no" in so many words. At the window it is a stranger's word and enough, because nothing was asked for yet; in an answer it
/// counts only as a [`KnownRefusal`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct No {
    /// The gateway's code; of INIAPI the six digits where it gave them (`inicis.md §5.2`).
    pub code: String,
    /// The gateway's words, as they came.
    pub message: String,
}

impl No {
    /// A no whose code and words are cut to what a person and a database need: ours, far above what INICIS sends.
    pub fn new(code: &str, message: &str) -> Self {
        let line =
            |text: &str, max: usize| text.trim().chars().filter(|c| !c.is_control()).take(max).collect();
        Self { code: line(code, 40), message: line(message, 500) }
    }
}
