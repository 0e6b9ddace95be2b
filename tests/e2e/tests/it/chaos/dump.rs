//! The database and the simulator's ledger, read from outside. Invariant: no code of payhost and none of the simulator is used
//! here, but for the vault, which opens why a person was called; the statements are the checker's own.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use payhost_store::{MasterKey, Sealed, Vault};
use rusqlite::types::ValueRef;
use serde_json::Value;

/// Where a database is.
pub enum Source {
    /// A SQLite file; it is opened for reading beside the host.
    Sqlite(PathBuf),
    /// An address.
    Postgres(String),
}

/// A row of `payment`.
#[derive(Clone, Debug)]
pub struct Payment {
    pub id: String,
    pub shop: String,
    pub order_id: String,
    pub state: String,
    pub resolution: String,
    pub total: i64,
    pub paid: i64,
    pub cancelled: i64,
    pub next_event: i64,
}

/// A row of `attempt`.
#[derive(Clone, Debug)]
pub struct Attempt {
    pub id: String,
    pub payment: String,
    pub kind: String,
    pub state: String,
}

/// A row of `fact`.
#[derive(Clone, Debug)]
pub struct Fact {
    pub id: String,
    pub payment: String,
    pub kind: String,
    pub amount: i64,
}

/// A row of `ledger_entry`.
#[derive(Clone, Debug)]
pub struct Entry {
    pub shop: String,
    pub fact: String,
    pub payment: String,
    pub account: String,
    pub amount: i64,
}

/// A row of `event` of a payment.
#[derive(Clone, Debug)]
pub struct Event {
    pub payment: String,
    pub sequence: i64,
    pub name: String,
    pub id: String,
}

/// A row of `webhook_delivery`.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub event: String,
    pub state: String,
}

/// A row of `notice`.
#[derive(Clone, Debug)]
pub struct Notice {
    pub id: String,
    pub state: String,
}

/// A row of `idempotency`.
#[derive(Clone, Debug)]
pub struct Key {
    pub key: String,
    pub state: String,
    pub status: Option<i64>,
    pub payment: Option<String>,
}

/// A waiting row of `job`.
#[derive(Clone, Debug)]
pub struct Job {
    pub kind: String,
    pub due_us: i64,
    pub at_work: bool,
}

/// What the gateway's ledger says of one authentication.
#[derive(Clone, Debug, Default)]
pub struct Sale {
    pub oid: String,
    pub price: i64,
    pub approvals: u64,
    pub remaining: i64,
    /// Amounts that were given back, in order.
    pub cancels: Vec<i64>,
    pub net_cancelled: bool,
}

/// All of it at one moment.
#[derive(Clone, Debug, Default)]
pub struct Dump {
    pub payments: Vec<Payment>,
    /// Payment of an order number of ours.
    pub checkouts: HashMap<String, String>,
    pub attempts: Vec<Attempt>,
    pub facts: Vec<Fact>,
    pub entries: Vec<Entry>,
    pub events: Vec<Event>,
    pub keys: Vec<Key>,
    pub jobs: Vec<Job>,
    /// Shops whose gateway can be asked by our order number.
    pub asked_by_order: HashSet<String>,
    /// Why a person was called, by payment.
    pub calls: HashMap<String, String>,
    pub deliveries: Vec<Delivery>,
    pub notices: Vec<Notice>,
    /// How many events nobody has handed on.
    pub outbox: usize,
    pub sales: Vec<Sale>,
}

enum Cell {
    Int(Option<i64>),
    Text(Option<String>),
    Bytes(Vec<u8>),
}

impl Cell {
    fn int(&self) -> i64 {
        let Self::Int(Some(number)) = self else { panic!("not a number") };
        *number
    }

    fn maybe_int(&self) -> Option<i64> {
        match self {
            Self::Int(number) => *number,
            Self::Text(None) => None,
            Self::Text(Some(text)) => panic!("not a number: {text}"),
            Self::Bytes(_) => panic!("not a number"),
        }
    }

    fn text(&self) -> String {
        self.maybe_text().expect("not a text")
    }

    fn maybe_text(&self) -> Option<String> {
        match self {
            Self::Text(text) => text.clone(),
            Self::Int(None) => None,
            Self::Int(Some(number)) => panic!("not a text: {number}"),
            Self::Bytes(_) => panic!("not a text"),
        }
    }

    fn sealed(&self) -> Sealed {
        let Self::Bytes(bytes) = self else { panic!("not sealed") };
        Sealed::from_bytes(bytes.clone())
    }
}

type Rows = Vec<Vec<Cell>>;

fn json(cell: &Cell) -> Value {
    serde_json::from_str(&cell.text()).unwrap()
}

/// What an event says: its id, its payload, its shop, and the shop's key.
fn payload(vault: &Vault, [id, payload, shop, data_key]: [&Cell; 4]) -> Value {
    let key = vault.unwrap(shop.text().parse().unwrap(), &data_key.sealed()).unwrap();
    let cell = payhost_store::Cell { table: "event", column: "payload", row: &id.text() };
    serde_json::from_slice(&key.open(&cell, &payload.sealed()).unwrap()).unwrap()
}

/// The statements, in the order of [`Dump::of`].
const STATEMENTS: [&str; 13] = [
    "SELECT id, shop_id, order_id, state, resolution, total, paid, cancelled, next_event FROM payment ORDER BY id",
    "SELECT order_ref, payment_id FROM checkout",
    "SELECT id, payment_id, kind, state FROM attempt ORDER BY id",
    "SELECT id, payment_id, kind, amount FROM fact ORDER BY id",
    "SELECT shop_id, fact_id, payment_id, account, amount FROM ledger_entry",
    "SELECT payment_id, sequence, name, id FROM event WHERE payment_id IS NOT NULL ORDER BY payment_id, sequence",
    "SELECT key, state, status, payment_id FROM idempotency",
    "SELECT kind, due_us, CASE WHEN lease_token IS NULL THEN 0 ELSE 1 END FROM job WHERE state = 'waiting'",
    "SELECT shop_id, settings FROM channel",
    "SELECT payment_id, event.id, payload, shop.id, data_key FROM event JOIN shop ON shop.id = event.shop_id \
     WHERE event.name = 'payment.alarm' ORDER BY payment_id, sequence",
    "SELECT event_id, state FROM webhook_delivery",
    "SELECT id, state FROM notice",
    "SELECT event_id FROM webhook_outbox",
];

impl Dump {
    /// Reads both. The database first: what it knows, the ledger must know, too. What is sealed there opens with the master key
    /// in a file.
    pub fn read(source: &Source, master: &Path, ledger: &Path) -> Self {
        let tables = match source {
            Source::Sqlite(path) => sqlite(path),
            Source::Postgres(address) => postgres(address.clone()),
        };
        let vault = Vault::unbound(MasterKey::read_file(master).unwrap()).unwrap();
        Self { sales: sales(ledger), ..Self::of(&tables, &vault) }
    }

    fn of(tables: &[Rows], vault: &Vault) -> Self {
        let [
            payments,
            checkouts,
            attempts,
            facts,
            entries,
            events,
            keys,
            jobs,
            channels,
            alarms,
            deliveries,
            notices,
            outbox,
        ] = tables
        else {
            panic!("{} tables", tables.len())
        };
        let payments = payments.iter().map(|row| Payment {
            id: row[0].text(),
            shop: row[1].text(),
            order_id: row[2].text(),
            state: row[3].text(),
            resolution: row[4].text(),
            total: row[5].int(),
            paid: row[6].int(),
            cancelled: row[7].int(),
            next_event: row[8].int(),
        });
        let attempts = attempts.iter().map(|row| Attempt {
            id: row[0].text(),
            payment: row[1].text(),
            kind: row[2].text(),
            state: row[3].text(),
        });
        let facts = facts.iter().map(|row| Fact {
            id: row[0].text(),
            payment: row[1].text(),
            kind: row[2].text(),
            amount: row[3].int(),
        });
        let entries = entries.iter().map(|row| Entry {
            shop: row[0].text(),
            fact: row[1].text(),
            payment: row[2].text(),
            account: row[3].text(),
            amount: row[4].int(),
        });
        let events = events.iter().map(|row| Event {
            payment: row[0].text(),
            sequence: row[1].int(),
            name: row[2].text(),
            id: row[3].text(),
        });
        let keys = keys.iter().map(|row| Key {
            key: row[0].text(),
            state: row[1].text(),
            status: row[2].maybe_int(),
            payment: row[3].maybe_text(),
        });
        let jobs = jobs.iter().map(|row| Job {
            kind: row[0].text(),
            due_us: row[1].int(),
            at_work: row[2].int() == 1,
        });
        Self {
            payments: payments.collect(),
            checkouts: checkouts.iter().map(|row| (row[0].text(), row[1].text())).collect(),
            attempts: attempts.collect(),
            facts: facts.collect(),
            entries: entries.collect(),
            events: events.collect(),
            keys: keys.collect(),
            jobs: jobs.collect(),
            asked_by_order: channels
                .iter()
                .filter(|row| json(&row[1])["lookup_by"] == "order_ref")
                .map(|row| row[0].text())
                .collect(),
            calls: alarms
                .iter()
                .filter_map(|row| {
                    let said = payload(vault, [&row[1], &row[2], &row[3], &row[4]]);
                    let why = said["data"]["needs_operator"].as_str()?.to_owned();
                    Some((row[0].text(), why))
                })
                .collect(),
            deliveries: deliveries
                .iter()
                .map(|row| Delivery { event: row[0].text(), state: row[1].text() })
                .collect(),
            notices: notices.iter().map(|row| Notice { id: row[0].text(), state: row[1].text() }).collect(),
            outbox: outbox.len(),
            sales: Vec::new(),
        }
    }

    /// Attempts whose outcome is not known. An undo is part of what it undoes.
    pub fn open_attempts(&self) -> usize {
        let open = |attempt: &&Attempt| ["intent", "in_doubt"].contains(&attempt.state.as_str());
        self.attempts.iter().filter(open).filter(|attempt| attempt.kind != "undo").count()
    }

    /// Whether every open attempt is one that a person was called for.
    pub fn only_operator_is_left(&self) -> bool {
        let called: Vec<&str> = self
            .payments
            .iter()
            .filter(|payment| payment.resolution == "needs_operator")
            .map(|payment| payment.id.as_str())
            .collect();
        let open = |attempt: &&Attempt| {
            ["intent", "in_doubt"].contains(&attempt.state.as_str()) && attempt.kind != "undo"
        };
        self.attempts.iter().filter(open).all(|attempt| called.contains(&attempt.payment.as_str()))
    }
}

fn sqlite(path: &Path) -> Vec<Rows> {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE;
    let file = rusqlite::Connection::open_with_flags(path, flags).unwrap();
    file.busy_timeout(std::time::Duration::from_secs(5)).unwrap();
    // All tables of one moment.
    file.execute_batch("BEGIN").unwrap();
    let read = |sql: &&str| -> Rows {
        let mut statement = file.prepare(sql).unwrap();
        let columns = statement.column_count();
        let mut rows = statement.query([]).unwrap();
        let mut all = Vec::new();
        while let Some(row) = rows.next().unwrap() {
            let cell = |at| match row.get_ref(at).unwrap() {
                ValueRef::Integer(number) => Cell::Int(Some(number)),
                ValueRef::Null => Cell::Text(None),
                ValueRef::Text(text) => Cell::Text(Some(String::from_utf8(text.to_vec()).unwrap())),
                ValueRef::Blob(bytes) => Cell::Bytes(bytes.to_vec()),
                ValueRef::Real(_) => panic!("column {at}: a broken number"),
            };
            all.push((0..columns).map(cell).collect());
        }
        all
    };
    STATEMENTS.iter().map(read).collect()
}

/// The driver has a runtime of its own, so it cannot run on a thread of another.
fn postgres(address: String) -> Vec<Rows> {
    let read = move || {
        let mut client = postgres::Client::connect(&address, postgres::NoTls).unwrap();
        let mut moment = client
            .build_transaction()
            .read_only(true)
            .isolation_level(postgres::IsolationLevel::RepeatableRead)
            .start()
            .unwrap();
        let mut table = |sql: &&str| -> Rows {
            let rows = moment.query(*sql, &[]).unwrap();
            let cell = |row: &postgres::Row, at: usize| match *row.columns()[at].type_() {
                postgres::types::Type::BYTEA => Cell::Bytes(row.get(at)),
                postgres::types::Type::INT8 => Cell::Int(row.get(at)),
                postgres::types::Type::INT4 => Cell::Int(row.get::<_, Option<i32>>(at).map(i64::from)),
                _ => Cell::Text(row.get(at)),
            };
            rows.iter().map(|row| (0..row.len()).map(|at| cell(row, at)).collect()).collect()
        };
        STATEMENTS.iter().map(&mut table).collect()
    };
    std::thread::spawn(read).join().unwrap()
}

/// The ledger's lines, added up anew.
fn sales(path: &Path) -> Vec<Sale> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let (mut sales, mut by_token, mut by_tid) = (Vec::<Sale>::new(), HashMap::new(), HashMap::new());
    // A last line without its end may be half written.
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    for line in whole.lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        let of = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
        match event["event"].as_str().unwrap() {
            "authenticated" => {
                by_token.insert(of("token"), sales.len());
                sales.push(Sale {
                    oid: event["auth"]["oid"].as_str().unwrap().to_owned(),
                    price: event["auth"]["price"].as_i64().unwrap(),
                    ..Sale::default()
                });
            }
            "approved" => {
                let at = by_token[&of("token")];
                by_tid.insert(of("tid"), at);
                let sale = &mut sales[at];
                sale.oid = of("oid");
                sale.approvals += 1;
                if event["account"].is_null() {
                    sale.remaining += sale.price;
                }
            }
            "deposited" => sales[by_tid[&of("tid")]].remaining += event["price"].as_i64().unwrap(),
            "net_cancelled" => {
                let sale = &mut sales[by_token[&of("token")]];
                sale.net_cancelled = true;
                sale.cancels.push(std::mem::take(&mut sale.remaining));
            }
            "cancelled" => {
                let sale = &mut sales[by_tid[&of("tid")]];
                sale.cancels.push(std::mem::take(&mut sale.remaining));
            }
            "partially_cancelled" => {
                let sale = &mut sales[by_tid[&of("tid")]];
                let price = event["price"].as_i64().unwrap();
                sale.remaining -= price;
                sale.cancels.push(price);
            }
            _ => {}
        }
    }
    sales
}
