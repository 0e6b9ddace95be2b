//! Values and errors. Invariant: a value is read back as it was written or not at all, and an error says whether anything
//! can have been kept.

use std::error::Error as _;

use bytes::BytesMut;
use postgres::error::{DbError, Severity};
use postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

use crate::{Error, Value};

type Foreign = Box<dyn std::error::Error + Sync + Send>;

impl ToSql for Value {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Foreign> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Int(number) if *ty == Type::INT8 => number.to_sql(ty, out),
            Self::Text(text) if <&str as ToSql>::accepts(ty) => text.to_sql(ty, out),
            Self::Blob(bytes) if *ty == Type::BYTEA => bytes.to_sql(ty, out),
            Self::Int(_) | Self::Text(_) | Self::Blob(_) => Err(format!("not a value for {ty}").into()),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Value {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, Foreign> {
        match *ty {
            Type::INT8 => i64::from_sql(ty, raw).map(Self::Int),
            Type::INT4 => i32::from_sql(ty, raw).map(|number| Self::Int(number.into())),
            Type::INT2 => i16::from_sql(ty, raw).map(|number| Self::Int(number.into())),
            Type::BYTEA => Vec::from_sql(ty, raw).map(Self::Blob),
            _ => String::from_sql(ty, raw).map(Self::Text),
        }
    }

    fn from_sql_null(_: &Type) -> Result<Self, Foreign> {
        Ok(Self::Null)
    }

    fn accepts(ty: &Type) -> bool {
        [Type::INT8, Type::INT4, Type::INT2, Type::BYTEA].contains(ty) || <String as FromSql>::accepts(ty)
    }
}

/// The type that a parameter is declared with. Left to itself PostgreSQL would take a number beside a small constant for a
/// small number.
pub(super) fn type_of(value: &Value) -> Type {
    match value {
        Value::Null => Type::UNKNOWN,
        Value::Int(_) => Type::INT8,
        Value::Text(_) => Type::TEXT,
        Value::Blob(_) => Type::BYTEA,
    }
}

/// A column's name and value.
pub(crate) fn column(row: &postgres::Row, index: usize) -> Result<(String, Value), Error> {
    let name =
        row.columns().get(index).map_or_else(|| format!("#{index}"), |column| column.name().to_owned());
    match row.try_get(index) {
        Ok(value) => Ok((name, value)),
        Err(error) => Err(Error::Corrupt(format!("column {name}: {}", in_words(&error)))),
    }
}

/// Statements that begin or end transactions, which is the store's to do: PostgreSQL answers COMMIT of a transaction that
/// is gone with a mere warning, and somebody would be told that it was kept.
const OURS: &[&str] =
    &["abort", "begin", "commit", "end", "prepare", "release", "rollback", "savepoint", "start"];

/// Refuses a statement of [`OURS`].
pub(super) fn refuse_control(sql: &str) -> Result<(), Error> {
    let first = sql.split_whitespace().next().unwrap_or_default().trim_end_matches(';').to_ascii_lowercase();
    if OURS.contains(&first.as_str()) {
        return Err(Error::Statement(format!("transactions are begun and ended by the store: {sql}")));
    }
    Ok(())
}

/// PostgreSQL's errors in our words, for anything but a COMMIT (see [`committed`]).
pub(crate) fn translate(error: &postgres::Error) -> Error {
    match error.as_db_error() {
        Some(known) => translate_known(known),
        None if is_transport(error) => Error::Lost(in_words(error)),
        None => Error::Statement(in_words(error)),
    }
}

/// The error of a COMMIT. Only an ERROR of the server says that nothing was kept; anything else leaves it open.
pub(super) fn committed(error: &postgres::Error) -> Error {
    match error.as_db_error() {
        Some(known) if known.parsed_severity() == Some(Severity::Error) => translate_known(known),
        Some(_) | None => Error::Unanswered,
    }
}

/// By SQLSTATE (PostgreSQL's documentation, appendix A): an open list of text.
fn translate_known(error: &DbError) -> Error {
    let text = || error.message().to_owned();
    let named = || error.constraint().unwrap_or_default().to_owned();
    if matches!(error.parsed_severity(), Some(Severity::Fatal | Severity::Panic)) {
        return Error::Lost(text());
    }
    match error.code().code() {
        "23505" => Error::Unique { what: named() },
        "23514" => Error::Check { what: named() },
        "23502" => {
            let (table, column) = (error.table().unwrap_or_default(), error.column().unwrap_or_default());
            Error::Check { what: format!("{table}.{column}") }
        }
        "23503" => Error::ForeignKey,
        // Serialization, deadlock, a lock or a statement that took too long, no connection free.
        "40001" | "40P01" | "55P03" | "57014" | "53300" => Error::Busy,
        "53100" => Error::Full,
        "25006" => Error::ReadOnly,
        "25P02" => Error::Aborted,
        "XX001" | "XX002" => Error::Corrupt(text()),
        code if code.starts_with("58") || code.starts_with("53") => Error::Io(text()),
        code if code.starts_with("08") || code.starts_with("57P") => Error::Lost(text()),
        code => Error::Statement(format!("{} ({code})", error.message())),
    }
}

fn is_transport(error: &postgres::Error) -> bool {
    error.is_closed() || error.source().is_some_and(|source| source.is::<std::io::Error>())
}

/// The driver's text with its cause.
pub(super) fn in_words(error: &postgres::Error) -> String {
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}
