//! Statements and their parameters. Invariant: only values of the declared types are sent.

use std::sync::Arc;

use bytes::BytesMut;
use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::{Field, Message};
use postgres_protocol::message::frontend;
use postgres_protocol::{IsNull, types};
use tokio_postgres::types::Type;

use super::failure::Failure;
use super::row::{Column, TEXTS};
use super::wire::Wire;
use crate::{Error, Value};

/// A statement that a server keeps prepared.
pub(super) struct Statement {
    /// Its text.
    pub(super) sql: String,
    /// The server's name for it.
    pub(super) name: String,
    types: Vec<Type>,
    /// What its rows have.
    pub(super) columns: Arc<[Column]>,
}

impl Statement {
    /// Prepares a statement for parameters like these.
    pub(super) fn prepare(
        wire: &mut Wire,
        name: String,
        sql: &str,
        params: &[Value],
    ) -> Result<Self, Failure> {
        let types = params.iter().map(|value| type_of(value).oid());
        let written = frontend::parse(&name, sql, types, &mut wire.out)
            .and_then(|()| frontend::describe(b'S', &name, &mut wire.out));
        written.map_err(|error| wire.break_off(error))?;
        frontend::sync(&mut wire.out);
        wire.send()?;
        let described = describe(wire);
        if !matches!(&described, Err(failure) if failure.is_loss()) {
            wire.ready()?;
        }
        let (types, columns) = described?;
        Ok(Self { sql: sql.to_owned(), name, types, columns: columns.into() })
    }

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

#[allow(clippy::wildcard_enum_match_arm, reason = "a foreign, open list")]
fn describe(wire: &mut Wire) -> Result<(Vec<Type>, Vec<Column>), Failure> {
    let mut types = Vec::new();
    loop {
        match wire.next()? {
            Message::CloseComplete | Message::ParseComplete => {}
            Message::ParameterDescription(body) => {
                let oids = body.parameters().collect::<Vec<_>>().map_err(|error| wire.break_off(error))?;
                types = oids.into_iter().map(|oid| Type::from_oid(oid).unwrap_or(Type::ANY)).collect();
            }
            Message::RowDescription(body) => {
                let column = |field: Field<'_>| {
                    Ok(Column { name: field.name().to_owned(), ty: Type::from_oid(field.type_oid()) })
                };
                let columns = body.fields().map(column).collect().map_err(|error| wire.break_off(error))?;
                return Ok((types, columns));
            }
            Message::NoData => return Ok((types, Vec::new())),
            _ => return Err(wire.break_off("an answer to something else")),
        }
    }
}

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

/// The type that a parameter is declared with. Left to itself PostgreSQL would take a number beside a small constant for a
/// small number.
fn type_of(value: &Value) -> Type {
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

/// Statements that begin or end transactions, which is the store's to do: PostgreSQL answers COMMIT of a transaction that
/// is gone with a mere warning, and somebody would be told that it was kept.
const OURS: &[&str] =
    &["abort", "begin", "commit", "end", "prepare", "release", "rollback", "savepoint", "start"];

/// Whether a statement is one of [`OURS`].
pub(super) fn is_control(sql: &str) -> bool {
    let first = sql.split_whitespace().next().unwrap_or_default().trim_end_matches(';').to_ascii_lowercase();
    OURS.contains(&first.as_str())
}
