//! Rows and parameters. Invariant: a value is read back as it was written or not at all, and only values of the declared types are
//! sent.

use std::error::Error as StdError;
use std::fmt;

use bytes::BytesMut;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

use crate::{Error, Value};

type Surprise = Box<dyn StdError + Sync + Send>;

/// A row of an answer.
pub(crate) struct Row(pub(super) tokio_postgres::Row);

impl Row {
    /// A column's value.
    pub(crate) fn value(&self, index: usize) -> Result<Value, Error> {
        let read = self.0.try_get::<_, Read>(index);
        read.map(|Read(value)| value).map_err(|error| {
            let why = error.source().map_or_else(|| error.to_string(), ToString::to_string);
            Error::Corrupt(format!("column {}: {why}", self.name(index)))
        })
    }

    /// A column's name.
    pub(crate) fn name(&self, index: usize) -> String {
        self.0.columns().get(index).map_or_else(|| format!("#{index}"), |column| column.name().to_owned())
    }
}

/// Types of text.
const TEXTS: [Type; 5] = [Type::TEXT, Type::VARCHAR, Type::BPCHAR, Type::NAME, Type::UNKNOWN];

struct Read(Value);

impl<'a> FromSql<'a> for Read {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, Surprise> {
        let value = match *ty {
            Type::INT8 => Value::Int(i64::from_sql(ty, raw)?),
            Type::INT4 => Value::Int(i32::from_sql(ty, raw)?.into()),
            Type::INT2 => Value::Int(i16::from_sql(ty, raw)?.into()),
            Type::BYTEA => Value::Blob(raw.to_vec()),
            _ => Value::Text(String::from_sql(ty, raw)?),
        };
        Ok(Self(value))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Surprise> {
        Ok(Self(Value::Null))
    }

    fn accepts(ty: &Type) -> bool {
        [Type::INT8, Type::INT4, Type::INT2, Type::BYTEA].contains(ty) || TEXTS.contains(ty)
    }
}

/// A parameter of a statement, which fits it ([`refuse_misfits`]).
pub(super) struct Parameter<'a>(pub(super) &'a Value);

/// The driver logs parameters when somebody asks for much; they may be secrets.
impl fmt::Debug for Parameter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", type_of(self.0))
    }
}

impl ToSql for Parameter<'_> {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Surprise> {
        match self.0 {
            Value::Null => Ok(IsNull::Yes),
            Value::Int(number) => number.to_sql(ty, out),
            Value::Text(text) => text.to_sql(ty, out),
            Value::Blob(bytes) => bytes.to_sql(ty, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
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
        Value::Text(_) => TEXTS.contains(ty),
        Value::Blob(_) => *ty == Type::BYTEA,
    }
}

/// Bytes of a statement's parameters. PostgreSQL takes a value of 1 GiB, and a message of twice that.
const LONGEST: usize = 1 << 30;

/// Refuses parameters that are not those of a statement; where the server has told no types, their number is compared.
pub(super) fn refuse_misfits(sql: &str, types: Option<&[Type]>, params: &[Value]) -> Result<(), Error> {
    let (has, given) = (types.map_or_else(|| placeholders(sql), <[Type]>::len), params.len());
    if has != given {
        return Err(Error::Statement(format!("{has} placeholders, {given} parameters: {sql}")));
    }
    let mut pairs = types.unwrap_or_default().iter().zip(params);
    if let Some((ty, _)) = pairs.find(|(ty, value)| !fits(value, ty)) {
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

/// How many parameters a statement has: the greatest number behind a `$`.
fn placeholders(sql: &str) -> usize {
    let numbers = sql.split('$').skip(1).filter_map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        rest.split_at(end).0.parse().ok()
    });
    numbers.max().unwrap_or(0)
}

/// Statements that begin or end transactions, which is the store's to do: PostgreSQL answers COMMIT of a transaction that
/// is gone with a mere warning, and somebody would be told that it was kept.
const OURS: &[&str] =
    &["abort", "begin", "commit", "end", "prepare", "release", "rollback", "savepoint", "start"];

/// Whether a statement begins or ends transactions.
pub(super) fn is_control(sql: &str) -> bool {
    let first = sql.split_whitespace().next().unwrap_or_default().trim_end_matches(';').to_ascii_lowercase();
    OURS.contains(&first.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_counted_by_their_greatest_number() {
        for (sql, count) in [("SELECT 1", 0), ("SELECT $1, $2, $1", 2), ("a = $12)", 12), ("'$' || $1", 1)] {
            assert_eq!(placeholders(sql), count, "{sql}");
        }
    }

    #[test]
    fn a_parameter_is_not_logged() {
        let value = Value::Text("secret".to_owned());
        assert_eq!(format!("{:?}", Parameter(&value)), "text");
    }
}
