//! Rows. Invariant: a value is read back as it was written or not at all.

use std::ops::Range;
use std::sync::Arc;

use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::DataRowBody;
use postgres_protocol::types;
use tokio_postgres::types::Type;

use crate::{Error, Value};

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
    /// Reads a row of these columns.
    pub(super) fn read(columns: &Arc<[Column]>, body: DataRowBody) -> std::io::Result<Self> {
        let places = body.ranges().collect()?;
        Ok(Self { columns: Arc::clone(columns), body, places })
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
pub(super) const TEXTS: [Type; 5] = [Type::TEXT, Type::VARCHAR, Type::BPCHAR, Type::NAME, Type::UNKNOWN];

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
