//! What goes wrong. Invariant: an error says whether anything can have been kept.

use std::error::Error as _;
use std::io;

use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::ErrorResponseBody;

use crate::Error;

/// Why there is no answer.
pub(super) enum Failure {
    /// The server refused it.
    Refused(Refusal),
    /// The connection broke; why.
    Lost(String),
}

/// An error of the server, by the fields that tell (PostgreSQL's documentation, "Error and Notice Message Fields").
#[derive(Default)]
pub(super) struct Refusal {
    severity: String,
    code: String,
    message: String,
    table: String,
    column: String,
    constraint: String,
}

impl Failure {
    /// Reads an error of the server.
    pub(super) fn read(body: &ErrorResponseBody) -> io::Result<Self> {
        let mut refusal = Refusal::default();
        let mut fields = body.fields();
        while let Some(field) = fields.next()? {
            let place = match field.type_() {
                b'V' => &mut refusal.severity,
                b'C' => &mut refusal.code,
                b'M' => &mut refusal.message,
                b't' => &mut refusal.table,
                b'c' => &mut refusal.column,
                b'n' => &mut refusal.constraint,
                _ => continue,
            };
            *place = String::from_utf8_lossy(field.value_bytes()).into_owned();
        }
        Ok(Self::Refused(refusal))
    }

    /// Whether the connection is lost with it.
    pub(super) fn is_loss(&self) -> bool {
        matches!(self.translate(), Error::Lost(_))
    }

    /// Whether the server says this SQLSTATE.
    pub(super) fn is(&self, code: &str) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.code == code)
    }

    /// In our words, for anything but a COMMIT (see [`Failure::committed`]).
    pub(super) fn translate(&self) -> Error {
        match self {
            Self::Refused(refusal) => refusal.translate(),
            Self::Lost(why) => Error::Lost(why.clone()),
        }
    }

    /// Why, in a few words.
    pub(super) fn reason(self) -> String {
        match self {
            Self::Refused(refusal) => refusal.message,
            Self::Lost(why) => why,
        }
    }

    /// For a COMMIT. Only an ERROR of the server says that nothing was kept; anything else leaves it open.
    pub(super) fn committed(&self) -> Error {
        match self {
            Self::Refused(refusal) if refusal.severity == "ERROR" => refusal.translate(),
            Self::Refused(_) | Self::Lost(_) => Error::Unanswered,
        }
    }
}

impl Refusal {
    /// By SQLSTATE (PostgreSQL's documentation, appendix A): an open list of text.
    fn translate(&self) -> Error {
        let text = || self.message.clone();
        if matches!(self.severity.as_str(), "FATAL" | "PANIC") {
            return Error::Lost(text());
        }
        match self.code.as_str() {
            "23505" => Error::Unique { what: self.constraint.clone() },
            "23514" => Error::Check { what: self.constraint.clone() },
            "23502" => Error::Check { what: format!("{}.{}", self.table, self.column) },
            "23503" => Error::ForeignKey,
            // Serialization, deadlock, a lock or a statement that took too long.
            "40001" | "40P01" | "55P03" | "57014" => Error::Busy,
            "53100" => Error::Full,
            "25006" => Error::ReadOnly,
            "25P02" => Error::Aborted,
            "XX001" | "XX002" => Error::Corrupt(text()),
            code if code.starts_with("58") || code.starts_with("53") => Error::Io(text()),
            code if code.starts_with("08") || code.starts_with("57P") => Error::Lost(text()),
            code => Error::Statement(format!("{} ({code})", self.message)),
        }
    }
}

/// The asynchronous driver's text with its cause.
pub(super) fn in_words(error: &tokio_postgres::Error) -> String {
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}
