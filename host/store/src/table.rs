//! Two macros that say a thing once. Invariant: a row's struct, its column list and the order in which columns are written
//! and read come from the same lines.

use crate::{Error, Later, Row, Tx, Value};

/// A struct that is a row: `table! { pub struct Shop in "shop" { id: ShopId, … } }`. A field is a column of the same name.
macro_rules! table {
    (
        $(#[$doc:meta])*
        pub struct $name:ident in $table:literal {
            $(#[$first_doc:meta])* $first:ident: $first_type:ty,
            $($(#[$field_doc:meta])* $field:ident: $type:ty,)*
        }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name {
            $(#[$first_doc])* pub $first: $first_type,
            $($(#[$field_doc])* pub $field: $type,)*
        }

        impl $crate::table::Table for $name {
            const TABLE: &'static str = $table;
            const COLUMNS: &'static str = concat!(stringify!($first) $(, ", ", stringify!($field))*);

            fn insert_sql() -> &'static str {
                static SQL: std::sync::LazyLock<String> =
                    std::sync::LazyLock::new(|| $crate::table::insert_sql($table, <$name as $crate::table::Table>::COLUMNS));
                &SQL
            }

            fn read(row: &$crate::Row<'_>) -> Result<Self, $crate::Error> {
                let mut index = 0..;
                let mut next = || index.next().unwrap_or(usize::MAX);
                Ok(Self { $first: row.get(next())?, $($field: row.get(next())?,)* })
            }

            fn values(&self) -> Vec<$crate::Value> {
                vec![$crate::ToValue::to_value(&self.$first), $($crate::ToValue::to_value(&self.$field)),*]
            }
        }
    };
}

/// An enum whose cases are stored as words.
macro_rules! word {
    ($(#[$doc:meta])* pub enum $name:ident { $($(#[$case_doc:meta])* $case:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        pub enum $name { $($(#[$case_doc])* #[serde(rename = $text)] $case,)* }

        impl $name {
            /// All of them, with the text that is stored.
            pub const TABLE: &'static [(Self, &'static str)] = &[$((Self::$case, $text)),*];

            /// Its text.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$case => $text),* }
            }

            /// The value of a text.
            pub fn parse(text: &str) -> Option<Self> {
                Self::TABLE.iter().find(|(_, known)| *known == text).map(|(value, _)| *value)
            }
        }

        $crate::value::words!($name);
    };
}

pub(crate) use {table, word};

/// The statement that adds a row.
pub(crate) fn insert_sql(table: &str, columns: &str) -> String {
    let places = (1..=columns.split(", ").count()).map(|at| format!("${at}")).collect::<Vec<_>>().join(", ");
    format!("INSERT INTO {table} ({columns}) VALUES ({places})")
}

/// A row type. Private: callers use the functions of [`crate::rows`].
pub(crate) trait Table: Sized {
    const TABLE: &'static str;
    const COLUMNS: &'static str;

    /// The statement that adds a row of `COLUMNS`.
    fn insert_sql() -> &'static str;

    /// Reads a row whose columns are `COLUMNS`, in that order.
    fn read(row: &Row<'_>) -> Result<Self, Error>;

    /// The values of `COLUMNS`, in that order.
    fn values(&self) -> Vec<Value>;

    /// Adds the row.
    fn insert(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        tx.execute(Self::insert_sql(), &self.values()).map(|_| ())
    }

    /// The same; an error may be told later ([`Tx::execute_later`]).
    fn insert_later(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        tx.later(Self::insert_sql(), self.values())
    }

    /// Adds several rows with one statement; an error may be told later.
    fn insert_all_later(rows: &[Self], tx: &mut Tx<'_>) -> Result<(), Error> {
        if rows.is_empty() {
            return Ok(());
        }
        let columns = Self::COLUMNS.split(", ").count();
        let row = |at: usize| {
            let places = (1..=columns).map(|place| format!("${}", at * columns + place));
            format!("({})", places.collect::<Vec<_>>().join(", "))
        };
        let places = (0..rows.len()).map(row).collect::<Vec<_>>().join(", ");
        let sql = format!("INSERT INTO {} ({}) VALUES {places}", Self::TABLE, Self::COLUMNS);
        tx.later(&sql, rows.iter().flat_map(Self::values).collect())
    }

    /// Adds the row unless a unique rule refuses it; tells whether it was added.
    fn insert_new(&self, tx: &mut Tx<'_>) -> Result<bool, Error> {
        self.insert_with(tx, " ON CONFLICT DO NOTHING").map(|rows| rows > 0)
    }

    /// Adds the row with what follows (`ON CONFLICT …`).
    fn insert_with(&self, tx: &mut Tx<'_>, tail: &str) -> Result<u64, Error> {
        tx.execute(&format!("{}{tail}", Self::insert_sql()), &self.values())
    }

    /// Rows by what follows `SELECT … FROM table`.
    fn select(tx: &mut Tx<'_>, tail: &str, params: &[Value]) -> Result<Vec<Self>, Error> {
        let sql = format!("SELECT {} FROM {} {tail}", Self::COLUMNS, Self::TABLE);
        tx.query(&sql, params, Self::read)
    }

    /// The same, taken later ([`Tx::query_later`]).
    fn select_later(tx: &mut Tx<'_>, tail: &str, params: &[Value]) -> Result<Later<Self>, Error> {
        let sql = format!("SELECT {} FROM {} {tail}", Self::COLUMNS, Self::TABLE);
        tx.query_later(&sql, params, Self::read)
    }

    /// The same for a table of settings ([`Tx::keep_settings`]).
    fn settings_later(tx: &mut Tx<'_>, tail: &str, params: &[Value]) -> Result<Later<Self>, Error>
    where
        Self: Clone + Send + Sync + 'static,
    {
        let sql = format!("SELECT {} FROM {} {tail}", Self::COLUMNS, Self::TABLE);
        tx.settings_later(&sql, params, Self::read)
    }

    /// The one row by what follows `SELECT … FROM table`, if it exists.
    fn select_opt(tx: &mut Tx<'_>, tail: &str, params: &[Value]) -> Result<Option<Self>, Error> {
        let sql = format!("SELECT {} FROM {} {tail}", Self::COLUMNS, Self::TABLE);
        tx.query_opt(&sql, params, Self::read)
    }
}
