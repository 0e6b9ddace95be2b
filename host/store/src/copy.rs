//! A whole database into an empty one. Invariant: the target has all rows of one moment of the source, or none: counts,
//! sums and hashes of what it holds are compared with the source's before the commit.
//!
//! Rows travel in pages through a short queue, so that memory stays small; source and target may be of either kind. Who
//! moves for good stops the hosts first: what is written to the source during the copy is not in it.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use sha2::{Digest, Sha256};

use crate::rows::{
    api_keys, attempts, calls, channels, checkouts, deliveries, endpoints, events, facts, gateway_map,
    host_jobs, idempotency, jobs, ledger, notices, payments, plugins, shops,
};
use crate::table::Table;
use crate::{Error, Row, Store, Tx, Value};

/// Pages between reader and writer.
const PAGES: usize = 4;

/// Rows of a page, and of a statement that writes them.
const ROWS: usize = 64;

/// One table.
struct Spec {
    name: &'static str,
    columns: &'static str,
    /// The primary key: the order in which rows are read.
    key: &'static [&'static str],
    /// Columns of money.
    sums: &'static [&'static str],
    rows: usize,
}

const fn spec<T: Table>(key: &'static [&'static str], sums: &'static [&'static str]) -> Spec {
    Spec { name: T::TABLE, columns: T::COLUMNS, key, sums, rows: ROWS }
}

const OF_SHOP: &[&str] = &["shop_id", "id"];
const NO_MONEY: &[&str] = &[];

/// All tables, those that are pointed to first. (A payment points to its checkout, and an attempt to another: these are
/// looked at when the copy commits.)
const TABLES: &[Spec] = &[
    Spec { name: "meta", columns: "key, value", key: &["key"], sums: NO_MONEY, rows: ROWS },
    spec::<shops::Shop>(&["id"], NO_MONEY),
    spec::<api_keys::ApiKey>(OF_SHOP, NO_MONEY),
    spec::<api_keys::OperatorKey>(&["id"], NO_MONEY),
    // A row may be megabytes.
    Spec { rows: 1, ..spec::<plugins::Component>(&["digest"], NO_MONEY) },
    spec::<plugins::Plugin>(&["id"], NO_MONEY),
    spec::<plugins::PluginGrant>(&["plugin_id", "kind", "origin"], NO_MONEY),
    spec::<gateway_map::GatewayMap>(&["origin"], NO_MONEY),
    spec::<channels::Channel>(OF_SHOP, NO_MONEY),
    spec::<channels::ChannelDefault>(&["shop_id", "mode", "purpose"], NO_MONEY),
    spec::<channels::ChannelSecret>(&["shop_id", "channel_id", "name", "version"], NO_MONEY),
    spec::<channels::ChannelRevision>(&["shop_id", "channel_id", "number"], NO_MONEY),
    spec::<payments::Payment>(
        OF_SHOP,
        &["total", "paid", "cancelled", "cancelled_tax_free", "cancelled_vat"],
    ),
    spec::<checkouts::Checkout>(OF_SHOP, NO_MONEY),
    spec::<attempts::Attempt>(OF_SHOP, NO_MONEY),
    spec::<facts::FactRow>(OF_SHOP, &["amount"]),
    spec::<ledger::LedgerEntry>(&["shop_id", "fact_id", "account"], &["amount"]),
    spec::<notices::Notice>(OF_SHOP, NO_MONEY),
    spec::<events::Event>(OF_SHOP, NO_MONEY),
    spec::<endpoints::Endpoint>(OF_SHOP, NO_MONEY),
    spec::<events::Outbox>(&["shop_id", "event_id"], NO_MONEY),
    spec::<deliveries::Delivery>(&["shop_id", "endpoint_id", "event_id"], NO_MONEY),
    spec::<idempotency::Idempotency>(&["shop_id", "mode", "key"], NO_MONEY),
    spec::<calls::Call>(OF_SHOP, NO_MONEY),
    spec::<jobs::Job>(OF_SHOP, NO_MONEY),
    spec::<host_jobs::HostJob>(&["key"], NO_MONEY),
];

/// What a database holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// By table, in the order of copying.
    pub tables: Vec<TableReport>,
}

/// What a table holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableReport {
    /// Its name.
    pub table: &'static str,
    /// How many rows.
    pub rows: u64,
    /// The sums of its columns of money, minor units over all currencies: to compare, not to read.
    pub sums: Vec<(&'static str, i128)>,
    /// SHA-256 over all rows in order of their key, hex.
    pub sha256: String,
}

/// Copies everything from one store into an empty one ([`Error::NotEmpty`] otherwise), and answers what both hold. Both
/// schemas are this program's (opening saw to that). Blocks other writes to a SQLite target until it is done.
pub async fn copy(from: &Store, to: &Store) -> Result<Report, Error> {
    if from.is(to) {
        return Err(Error::Address("a database cannot be copied onto itself".to_owned()));
    }
    let (sender, pages) = sync_channel(PAGES);
    let reading = from.read(move |tx| send(tx, &sender));
    let writing = to.transact(move |tx| receive(tx, &pages));
    match tokio::join!(reading, writing) {
        // The writer's own error is the reason; a reader that nobody listens to any more is only its echo.
        (Err(read), Err(Error::Closed)) => Err(read),
        (_, written) => written,
    }
}

/// What a store holds now.
pub async fn contents(of: &Store) -> Result<Report, Error> {
    of.read(report).await
}

/// What is copied: all tables and their columns (a test sees that nothing is forgotten).
#[doc(hidden)]
pub fn columns() -> impl Iterator<Item = (&'static str, &'static str)> {
    TABLES.iter().map(|spec| (spec.name, spec.columns))
}

enum Page {
    Rows(Vec<Vec<Value>>),
    End(TableReport),
}

fn send(tx: &mut Tx<'_>, to: &SyncSender<Page>) -> Result<(), Error> {
    for spec in TABLES {
        let mut digest = RunningReport::new(spec);
        read_pages(tx, spec, |rows| {
            rows.iter().for_each(|row| digest.add(row));
            to.send(Page::Rows(rows)).map_err(|_| Error::Closed)
        })?;
        to.send(Page::End(digest.end())).map_err(|_| Error::Closed)?;
    }
    Ok(())
}

fn receive(tx: &mut Tx<'_>, from: &Receiver<Page>) -> Result<Report, Error> {
    for spec in TABLES {
        let sql = format!("SELECT 1 FROM {} LIMIT 1", spec.name);
        if tx.query_opt(&sql, &[], |_| Ok(()))?.is_some() {
            return Err(Error::NotEmpty { what: spec.name });
        }
    }
    tx.defer_foreign_keys()?;
    let mut told = Vec::new();
    while told.len() < TABLES.len() {
        // The other end is gone: the reader failed, and its error is the one that counts.
        match from.recv().map_err(|_| Error::Closed)? {
            Page::Rows(rows) => {
                let spec = TABLES.get(told.len()).ok_or(Error::Closed)?;
                insert(tx, spec, &rows)?;
            }
            Page::End(report) => told.push(report),
        }
    }
    let held = report(tx)?;
    let differs = held.tables.iter().zip(&told).find(|(held, told)| held != told);
    if let Some((held, told)) = differs {
        return Err(Error::Corrupt(format!("the copy differs: {told:?} was read, {held:?} was written")));
    }
    Ok(held)
}

fn insert(tx: &mut Tx<'_>, spec: &Spec, rows: &[Vec<Value>]) -> Result<(), Error> {
    let mut place = 1..;
    let mut places = |row: &Vec<Value>| {
        let places: Vec<String> =
            row.iter().map(|_| format!("${}", place.next().unwrap_or(usize::MAX))).collect();
        format!("({})", places.join(", "))
    };
    let lines: Vec<String> = rows.iter().map(&mut places).collect();
    let sql = format!("INSERT INTO {} ({}) VALUES {}", spec.name, spec.columns, lines.join(", "));
    tx.execute(&sql, &rows.concat()).map(|_| ())
}

fn report(tx: &mut Tx<'_>) -> Result<Report, Error> {
    let mut tables = Vec::with_capacity(TABLES.len());
    for spec in TABLES {
        let mut digest = RunningReport::new(spec);
        read_pages(tx, spec, |rows| {
            rows.iter().for_each(|row| digest.add(row));
            Ok(())
        })?;
        tables.push(digest.end());
    }
    Ok(Report { tables })
}

/// Reads a table in order of its key.
fn read_pages(
    tx: &mut Tx<'_>,
    spec: &Spec,
    mut with: impl FnMut(Vec<Vec<Value>>) -> Result<(), Error>,
) -> Result<(), Error> {
    let columns: Vec<&str> = spec.columns.split(", ").collect();
    let key: Vec<usize> =
        spec.key.iter().filter_map(|part| columns.iter().position(|column| column == part)).collect();
    let names = spec.key.join(", ");
    let places: Vec<String> = (1..=key.len()).map(|at| format!("${at}")).collect();
    let head = format!("SELECT {} FROM {}", spec.columns, spec.name);
    let tail = format!("ORDER BY {names} LIMIT {}", spec.rows);
    let first = format!("{head} {tail}");
    let next = format!("{head} WHERE ({names}) > ({}) {tail}", places.join(", "));
    let read =
        |row: &Row<'_>| (0..columns.len()).map(|at| row.get(at)).collect::<Result<Vec<Value>, Error>>();
    let mut rows = tx.query(&first, &[], read)?;
    while let Some(last) = rows.last() {
        let after: Vec<Value> = key.iter().filter_map(|at| last.get(*at).cloned()).collect();
        with(rows)?;
        rows = tx.query(&next, &after, read)?;
    }
    Ok(())
}

/// Counts, sums and hashes what it is shown.
struct RunningReport {
    table: &'static str,
    rows: u64,
    sums: Vec<(&'static str, usize, i128)>,
    hash: Sha256,
}

impl RunningReport {
    fn new(spec: &Spec) -> Self {
        let at =
            |name: &str| spec.columns.split(", ").position(|column| column == name).unwrap_or(usize::MAX);
        let sums = spec.sums.iter().map(|name| (*name, at(name), 0)).collect();
        Self { table: spec.name, rows: 0, sums, hash: Sha256::new() }
    }

    fn add(&mut self, row: &[Value]) {
        self.rows = self.rows.saturating_add(1);
        for (_, at, sum) in &mut self.sums {
            if let Some(Value::Int(number)) = row.get(*at) {
                *sum = sum.saturating_add(i128::from(*number));
            }
        }
        for value in row {
            self.add_value(value);
        }
    }

    /// A tag, a length and the bytes: no two rows look alike.
    fn add_value(&mut self, value: &Value) {
        let number;
        let (tag, bytes): (u8, &[u8]) = match value {
            Value::Null => (0, &[]),
            Value::Int(value) => {
                number = value.to_be_bytes();
                (1, &number)
            }
            Value::Text(text) => (2, text.as_bytes()),
            Value::Blob(bytes) => (3, bytes),
        };
        self.hash.update([tag]);
        self.hash.update(bytes.len().to_be_bytes());
        self.hash.update(bytes);
    }

    fn end(self) -> TableReport {
        let sha256 = self.hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        let sums = self.sums.into_iter().map(|(name, _, sum)| (name, sum)).collect();
        TableReport { table: self.table, rows: self.rows, sums, sha256 }
    }
}
