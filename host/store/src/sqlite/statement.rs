//! Statements. Invariant: `$k` is the k-th parameter, checked at every run, because SQLite numbers named parameters by
//! first use and would otherwise bind silently wrong.

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection, ErrorCode, ToSql, ffi};

use crate::{Error, Value};

/// Unique rules by the columns that SQLite's message names. A test compares this with the schema.
pub(crate) const UNIQUE: &[(&str, &str)] = &[
    ("api_key.shop_id, api_key.hash", "api_key_hash"),
    ("operator_key.hash", "operator_key_hash"),
    ("channel_secret.shop_id, channel_secret.channel_id, channel_secret.name", "channel_secret_current"),
    ("payment.shop_id, payment.mode, payment.order_id", "payment_open_order"),
    ("checkout.shop_id, checkout.order_ref", "checkout_order_ref"),
    ("attempt.shop_id, attempt.payment_id", "attempt_open"),
    ("attempt.shop_id, attempt.parent_id", "attempt_open_undo"),
    ("attempt.shop_id, attempt.checkout_id", "attempt_complete_once"),
    ("fact.shop_id, fact.channel_id, fact.kind, fact.gateway_ref, fact.sequence", "fact_once"),
    ("fact.shop_id, fact.id, fact.payment_id, fact.kind, fact.amount, fact.currency", "fact_money"),
    ("event.shop_id, event.payment_id, event.sequence", "event_sequence"),
    ("webhook_endpoint.shop_id, webhook_endpoint.mode", "webhook_endpoint_of_payments"),
    ("notice.shop_id, notice.channel_id, notice.digest", "notice_once"),
    ("job.shop_id, job.key", "job_key"),
];

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Int(number) => ValueRef::Integer(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

/// Runs a statement that answers no rows.
pub(crate) fn execute(connection: &Connection, sql: &str, params: &[Value]) -> Result<u64, Error> {
    let mut statement = prepare(connection, sql, params)?;
    let changed = statement.raw_execute().map_err(|error| translate(&error))?;
    u64::try_from(changed).map_err(|error| Error::Statement(error.to_string()))
}

/// Runs a statement and reads each row.
pub(crate) fn query<T>(
    connection: &Connection,
    sql: &str,
    params: &[Value],
    mut read: impl FnMut(&rusqlite::Row<'_>) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    let mut statement = prepare(connection, sql, params)?;
    let mut rows = statement.raw_query();
    let mut all = Vec::new();
    while let Some(row) = rows.next().map_err(|error| translate(&error))? {
        all.push(read(row)?);
    }
    Ok(all)
}

/// A column's name and value.
pub(crate) fn value(row: &rusqlite::Row<'_>, index: usize) -> Result<Value, Error> {
    let corrupt = |what| Error::Corrupt(format!("column {}: {what}", name(row, index)));
    Ok(match row.get_ref(index).map_err(|error| translate(&error))? {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Int(number),
        ValueRef::Real(_) => return Err(corrupt("a fraction")),
        ValueRef::Text(text) => match std::str::from_utf8(text) {
            Ok(text) => Value::Text(text.to_owned()),
            Err(_) => return Err(corrupt("not UTF-8")),
        },
        ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
    })
}

/// A column's name.
pub(crate) fn name(row: &rusqlite::Row<'_>, index: usize) -> String {
    row.as_ref().column_name(index).map_or_else(|_| format!("#{index}"), ToOwned::to_owned)
}

fn prepare<'c>(
    connection: &'c Connection,
    sql: &str,
    params: &[Value],
) -> Result<CachedStatement<'c>, Error> {
    let mut statement = connection.prepare_cached(sql).map_err(|error| translate(&error))?;
    if statement.parameter_count() != params.len() {
        let (has, given) = (statement.parameter_count(), params.len());
        return Err(Error::Statement(format!("{has} placeholders, {given} parameters: {sql}")));
    }
    for (at, value) in (1..).zip(params) {
        let name = statement.parameter_name(at).and_then(|name| name.strip_prefix('$'));
        if name.and_then(|digits| digits.parse().ok()) != Some(at) {
            return Err(Error::Statement(format!("placeholder {at} is not ${at}: {sql}")));
        }
        statement.raw_bind_parameter(at, value).map_err(|error| translate(&error))?;
    }
    Ok(statement)
}

/// SQLite's errors in our words.
pub(crate) fn translate(error: &rusqlite::Error) -> Error {
    let text = error.to_string();
    let Some(inner) = error.sqlite_error() else {
        return Error::Statement(text);
    };
    match inner.extended_code {
        ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY => {
            return Error::Unique { what: unique_name(after_colon(&text), inner.extended_code) };
        }
        ffi::SQLITE_CONSTRAINT_CHECK | ffi::SQLITE_CONSTRAINT_NOTNULL | ffi::SQLITE_CONSTRAINT_DATATYPE => {
            return Error::Check { what: after_colon(&text).to_owned() };
        }
        // Our triggers say the name of the rule and nothing else.
        ffi::SQLITE_CONSTRAINT_TRIGGER => return Error::Check { what: text },
        ffi::SQLITE_CONSTRAINT_FOREIGNKEY => return Error::ForeignKey,
        _ => {}
    }
    // A C library's open list of codes, not an enum of ours: the last arm stands for whatever it adds.
    #[allow(clippy::wildcard_enum_match_arm, reason = "a foreign, open list of codes")]
    match inner.code {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Error::Busy,
        ErrorCode::DiskFull => Error::Full,
        ErrorCode::ReadOnly => Error::ReadOnly,
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => Error::Corrupt(text),
        ErrorCode::SystemIoFailure | ErrorCode::CannotOpen | ErrorCode::PermissionDenied => Error::Io(text),
        _ => Error::Statement(text),
    }
}

fn after_colon(text: &str) -> &str {
    text.split_once("failed: ").map_or(text, |(_, what)| what)
}

fn unique_name(columns: &str, extended_code: i32) -> String {
    if extended_code == ffi::SQLITE_CONSTRAINT_PRIMARYKEY {
        let table = columns.split('.').next().unwrap_or(columns);
        return format!("{table}_pkey");
    }
    UNIQUE
        .iter()
        .find(|(known, _)| *known == columns)
        .map_or_else(|| columns.to_owned(), |(_, name)| (*name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::open;

    /// Compiling is most of a short statement's time. SQLite looks at the value behind `LIMIT`, unless it is told not to.
    #[test]
    fn a_statement_is_compiled_once_for_all_values() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("payhost.db");
        let writer = open(&path).unwrap();
        let reader = crate::sqlite::open::open_reader(&path).unwrap();
        let sql = "SELECT value FROM meta WHERE key = $1 LIMIT $2";
        for connection in [&writer.connection, &reader] {
            for (text, limit) in [("a", 7), ("b", 8), ("c", 9)] {
                query(connection, sql, &[Value::Text(text.to_owned()), Value::Int(limit)], |_| Ok(()))
                    .unwrap();
            }
            let statement = connection.prepare_cached(sql).unwrap();
            assert_eq!(statement.get_status(rusqlite::StatementStatus::RePrepare), 0);
        }
    }

    /// A caller recognises every unique rule by its name, so none may be missing from the table that names them.
    #[test]
    fn every_unique_index_is_recognised_by_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let opened = open(&folder.path().join("payhost.db")).unwrap();
        let sql = "SELECT i.name, i.tbl_name || '.' || c.name FROM sqlite_master i, pragma_index_info(i.name) c \
                   WHERE i.type = 'index' AND i.sql LIKE 'CREATE UNIQUE%' ORDER BY i.name, c.seqno";
        let rows = query(&opened.connection, sql, &[], |row| Ok((value(row, 0)?, value(row, 1)?))).unwrap();
        let mut found = std::collections::BTreeMap::<String, Vec<String>>::new();
        for row in rows {
            let (Value::Text(index), Value::Text(column)) = row else { panic!("{row:?}") };
            found.entry(index).or_default().push(column);
        }
        assert_eq!(found.len(), UNIQUE.len());
        for (index, columns) in found {
            assert_eq!(unique_name(&columns.join(", "), ffi::SQLITE_CONSTRAINT_UNIQUE), index);
        }
    }
}
