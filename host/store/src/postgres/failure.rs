//! What goes wrong. Invariant: an error says whether anything can have been kept.

use std::error::Error as _;

use tokio_postgres::error::{DbError, Severity};

use super::tls::certificate_in_words;
use crate::Error;

/// Why there is no answer, in the driver's words.
pub(super) struct Failure(pub(super) tokio_postgres::Error);

impl Failure {
    /// Whether the connection is lost with it.
    pub(super) fn is_loss(&self) -> bool {
        matches!(self.translate(), Error::Lost(_))
    }

    /// In our words, for anything but a COMMIT (see [`Failure::committed`]).
    pub(super) fn translate(&self) -> Error {
        self.0.as_db_error().map_or_else(|| Error::Lost(in_words(&self.0)), translate)
    }

    /// For what went out with a COMMIT. Only an ERROR of the server itself says that nothing was kept; anything else, also what a
    /// pooler in between says, leaves it open.
    pub(super) fn committed(&self) -> Error {
        match self.0.as_db_error() {
            Some(error) if is_the_servers(error) && !self.is_loss() => translate(error),
            Some(_) | None => Error::Unanswered,
        }
    }
}

/// An ERROR with the place in PostgreSQL's source that raised it, which no pooler has.
fn is_the_servers(error: &DbError) -> bool {
    error.parsed_severity() == Some(Severity::Error) && error.routine().is_some()
}

/// By SQLSTATE (PostgreSQL's documentation, appendix A): an open list of text.
fn translate(error: &DbError) -> Error {
    let text = || error.message().to_owned();
    let field = |field: Option<&str>| field.unwrap_or_default().to_owned();
    if matches!(error.severity(), "FATAL" | "PANIC")
        || matches!(error.parsed_severity(), Some(Severity::Fatal | Severity::Panic))
    {
        return Error::Lost(refusal_in_words(error));
    }
    match error.code().code() {
        "23505" => Error::Unique { what: field(error.constraint()) },
        "23514" => Error::Check { what: field(error.constraint()) },
        "23502" => Error::Check { what: format!("{}.{}", field(error.table()), field(error.column())) },
        "23503" => Error::ForeignKey,
        // Serialization, deadlock, a lock or a statement that took too long.
        "40001" | "40P01" | "55P03" | "57014" => Error::Busy,
        "53100" => Error::Full,
        "25006" => Error::ReadOnly,
        "25P02" => Error::Aborted,
        "XX001" | "XX002" => Error::Corrupt(text()),
        code if code.starts_with("58") || code.starts_with("53") => Error::Io(text()),
        code if code.starts_with("57P") => Error::Lost(text()),
        // A pooler has the codes of lost connections for what it says itself.
        code if code.starts_with("08") && !is_the_servers(error) => Error::Lost(refusal_in_words(error)),
        code => Error::Statement(format!("{} ({code})", error.message())),
    }
}

/// An error of the driver, with its cause.
pub(super) fn in_words(error: &tokio_postgres::Error) -> String {
    if let Some(error) = error.as_db_error() {
        return refusal_in_words(error);
    }
    if let Some(why) = certificate_in_words(error) {
        return why;
    }
    let text = error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}"));
    if text.contains("server does not support TLS") {
        return "the server has no TLS: switch it on there (ssl = on), or say sslmode=disable if the network in between is trusted"
            .to_owned();
    }
    text
}

fn refusal_in_words(error: &DbError) -> String {
    // What pgbouncer says on the first BEGIN.
    if error.message().contains("statement pooling mode") {
        return "the pooler in between gives each statement another connection (pool_mode = statement), so that there are no transactions: \
                set pool_mode = transaction, or give the server's own address"
            .to_owned();
    }
    error.message().to_owned()
}
