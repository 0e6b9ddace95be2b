//! Statements, values and rows. Invariant: a value is read back as it was written or not at all.

use std::ops::Range;
use std::sync::Arc;

use bytes::BytesMut;
use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::DataRowBody;
use postgres_protocol::{IsNull, types};
use tokio_postgres::types::Type;

use crate::{Error, Value};

/// A statement that a server keeps prepared.
pub(super) struct Statement {
    /// Its text.
    pub(super) sql: String,
    /// The server's name for it.
    pub(super) name: String,
    /// What its parameters must be.
    pub(super) types: Vec<Type>,
    /// What its rows have.
    pub(super) columns: Arc<[Column]>,
}

/// A column of an answer.
pub(super) struct Column {
    /// Its name.
    pub(super) name: String,
    /// Its type, if it is one of PostgreSQL's own.
    pub(super) ty: Option<Type>,
}

/// A row of an answer.
pub(crate) struct Row {
    columns: Arc<[Column]>,
    body: DataRowBody,
    places: Vec<Option<Range<usize>>>,
}

impl Row {
    /// Reads a row of a statement.
    pub(super) fn read(statement: &Statement, body: DataRowBody) -> std::io::Result<Self> {
        let places = body.ranges().collect()?;
        Ok(Self { columns: Arc::clone(&statement.columns), body, places })
    }

    /// A column's value.
    pub(crate) fn value(&self, index: usize) -> Result<Value, Error> {
        let corrupt = |what: &str| Error::Corrupt(format!("column {}: {what}", self.name(index)));
        let (Some(column), Some(place)) = (self.columns.get(index), self.places.get(index)) else {
            return Err(corrupt("there is none"));
        };
        let Some(place) = place else { return Ok(Value::Null) };
        let raw = self.body.buffer().get(place.clone()).unwrap_or_default();
        match &column.ty {
            Some(ty) => decode(ty, raw).map_err(|what| corrupt(&what)),
            None => Err(corrupt("a type that is not read")),
        }
    }

    /// A column's name.
    pub(crate) fn name(&self, index: usize) -> String {
        self.columns.get(index).map_or_else(|| format!("#{index}"), |column| column.name.clone())
    }
}

/// Types of text.
const TEXTS: [Type; 5] = [Type::TEXT, Type::VARCHAR, Type::BPCHAR, Type::NAME, Type::UNKNOWN];

/// Writes a value that fits its parameter.
pub(super) fn encode(value: &Value, out: &mut BytesMut) -> IsNull {
    match value {
        Value::Null => return IsNull::Yes,
        Value::Int(number) => types::int8_to_sql(*number, out),
        Value::Text(text) => types::text_to_sql(text, out),
        Value::Blob(bytes) => types::bytea_to_sql(bytes, out),
    }
    IsNull::No
}

fn decode(ty: &Type, raw: &[u8]) -> Result<Value, String> {
    let number = match *ty {
        Type::INT8 => types::int8_from_sql(raw),
        Type::INT4 => types::int4_from_sql(raw).map(i64::from),
        Type::INT2 => types::int2_from_sql(raw).map(i64::from),
        Type::BYTEA => return Ok(Value::Blob(raw.to_vec())),
        _ if TEXTS.contains(ty) => {
            let text = types::text_from_sql(raw).map_err(|error| error.to_string())?;
            return Ok(Value::Text(text.to_owned()));
        }
        _ => return Err(format!("{ty} is not read")),
    };
    number.map(Value::Int).map_err(|error| error.to_string())
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

impl Statement {
    /// Refuses parameters that are not those of the statement.
    pub(super) fn refuse_misfits(&self, params: &[Value]) -> Result<(), Error> {
        let (sql, has, given) = (&self.sql, self.types.len(), params.len());
        if has != given {
            return Err(Error::Statement(format!("{has} placeholders, {given} parameters: {sql}")));
        }
        if let Some((ty, _)) = self.types.iter().zip(params).find(|(ty, value)| !fits(value, ty)) {
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
}

/// Bytes of a statement's parameters. PostgreSQL takes a value of 1 GiB, and a message of twice that.
const LONGEST: usize = 1 << 30;

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
