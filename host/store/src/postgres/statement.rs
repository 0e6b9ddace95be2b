//! Values and errors. Invariant: a value is read back as it was written or not at all, and an error says whether anything
//! can have been kept.

use std::error::Error as _;

use bytes::BytesMut;
use tokio_postgres::error::{DbError, Severity};
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

use crate::{Error, Value};

type Foreign = Box<dyn std::error::Error + Sync + Send>;

impl ToSql for Value {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Foreign> {
        if !fits(self, ty) {
            return Err(format!("not a value for {ty}").into());
        }
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Int(number) => number.to_sql(ty, out),
            Self::Text(text) => text.to_sql(ty, out),
            Self::Blob(bytes) => bytes.to_sql(ty, out),
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

fn fits(value: &Value, ty: &Type) -> bool {
    match value {
        Value::Null => true,
        Value::Int(_) => *ty == Type::INT8,
        Value::Text(_) => <&str as ToSql>::accepts(ty),
        Value::Blob(_) => *ty == Type::BYTEA,
    }
}

/// Refuses parameters that are not those of the statement.
pub(super) fn refuse_misfits(sql: &str, types: &[Type], params: &[Value]) -> Result<(), Error> {
    let (has, given) = (types.len(), params.len());
    if has != given {
        return Err(Error::Statement(format!("{has} placeholders, {given} parameters: {sql}")));
    }
    if let Some((ty, _)) = types.iter().zip(params).find(|(ty, value)| !fits(value, ty)) {
        return Err(Error::Statement(format!("a parameter is not a value for {ty}: {sql}")));
    }
    let length = |value: &Value| match value {
        Value::Null | Value::Int(_) => 0,
        Value::Text(text) => text.len(),
        Value::Blob(bytes) => bytes.len(),
    };
    if params.iter().map(length).fold(0, usize::saturating_add) > LONGEST {
        return Err(Error::Statement(format!("more than {LONGEST} bytes: {sql}")));
    }
    Ok(())
}

/// Bytes of a statement's parameters. PostgreSQL takes a value of 1 GiB, and a message of twice that.
const LONGEST: usize = 1 << 30;

/// A column's value.
pub(crate) fn value(row: &tokio_postgres::Row, index: usize) -> Result<Value, Error> {
    row.try_get(index)
        .map_err(|error| Error::Corrupt(format!("column {}: {}", name(row, index), in_words(&error))))
}

/// A column's name.
pub(crate) fn name(row: &tokio_postgres::Row, index: usize) -> String {
    row.columns().get(index).map_or_else(|| format!("#{index}"), |column| column.name().to_owned())
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
pub(crate) fn translate(error: &tokio_postgres::Error) -> Error {
    match error.as_db_error() {
        Some(known) => translate_known(known),
        None if is_transport(error) => Error::Lost(in_words(error)),
        None => Error::Statement(in_words(error)),
    }
}

/// The error of a COMMIT. Only an ERROR of the server says that nothing was kept; anything else leaves it open.
pub(super) fn committed(error: &tokio_postgres::Error) -> Error {
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

fn is_transport(error: &tokio_postgres::Error) -> bool {
    error.is_closed() || error.source().is_some_and(|source| source.is::<std::io::Error>())
}

/// The driver's text with its cause.
pub(super) fn in_words(error: &tokio_postgres::Error) -> String {
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}
