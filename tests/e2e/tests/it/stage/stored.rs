//! No database has personal data or a token that can be read. Invariant: every text and every blob of a stage's database is looked
//! through when the stage ends, for what its buyers and depositors are called and can be reached by, for every account number that
//! was issued or given, and for the form of every token; so that a new column, or a new member of an old one, cannot tell them.
//!
//! What to look for is what the gateway's ledger says of its buyers (it is no code of payhost and forgets nothing), and what tests
//! order with, which a payment that never came to the gateway has, too.

use std::collections::BTreeSet;
use std::path::Path;

use rusqlite::types::ValueRef;
use serde_json::Value;

use super::{address, data, tokens};

/// Who buys and pays in in tests: what is not in the ledger of a gateway that nobody came to.
pub const PERSONS: [&str; 7] = [
    "홍길동",
    "김철수",
    "hong@example.com",
    "010-1234-5678",
    "카나리아구매자",
    "canary.buyer@example.com",
    "110-123-456789",
];

/// Members of the gateway's ledger that are about a person, wherever they stand.
const MEMBERS: [&str; 8] =
    ["buyername", "buyertel", "buyeremail", "parentemail", "phone", "user", "depositor", "number"];

/// The one column that is not looked through: a plugin's own code, which was there before any buyer, and is megabytes.
const CODE: &str = "component.bytes";

/// Shorter ones are found in anything.
const SHORTEST: usize = 6;

/// A value that is not a number, with its place.
struct Cell {
    place: String,
    bytes: Vec<u8>,
}

/// The first thing in a stage's database that must not be readable there: which, and where.
pub fn find(folder: &Path) -> Option<String> {
    let persons = persons(folder);
    cells(folder).iter().find_map(|cell| {
        let text = String::from_utf8_lossy(&cell.bytes);
        if let Some((kind, token)) = tokens::find(&text) {
            return Some(format!("{kind} is in {}: {token}\n{text}", cell.place));
        }
        let person = persons.iter().find(|person| text.contains(person.as_str()))?;
        Some(format!("{person} is in {}: {text}", cell.place))
    })
}

/// Panics with what [`find`] finds.
pub fn nothing_readable(folder: &Path) {
    if let Some(found) = find(folder) {
        panic!("{found}");
    }
}

/// What to look for, as it was given and in digits alone.
fn persons(folder: &Path) -> BTreeSet<String> {
    let mut found: BTreeSet<String> = PERSONS.map(str::to_owned).into();
    let ledger = std::fs::read_to_string(folder.join("gateway/ledger.jsonl")).unwrap_or_default();
    for line in ledger.lines() {
        // The last line of a gateway that is still there may be half written.
        collect(&serde_json::from_str(line).unwrap_or_default(), "", &mut found);
    }
    let digits: Vec<String> = found
        .iter()
        .filter(|text| text.chars().all(|c| c.is_ascii_digit() || c == '-'))
        .map(|text| text.replace('-', ""))
        .collect();
    found.extend(digits);
    found.retain(|text| text.len() >= SHORTEST && text.chars().any(|c| c != '*'));
    found
}

fn collect(value: &Value, within: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                // The holder of an account that waits is the merchant.
                let personal = MEMBERS.contains(&name.as_str()) || (name == "holder" && within != "account");
                if let Some(text) = value.as_str().filter(|_| personal) {
                    found.insert(text.trim().to_owned());
                }
                collect(value, name, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, within, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn cells(folder: &Path) -> Vec<Cell> {
    match address(folder) {
        None => sqlite(&data(folder).join("payhost.sqlite")),
        // The driver has a runtime of its own, so it cannot run on a thread of another.
        Some(address) => std::thread::spawn(move || postgres(&address)).join().unwrap(),
    }
}

fn sqlite(path: &Path) -> Vec<Cell> {
    let file =
        rusqlite::Connection::open_with_flags(path, rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE).unwrap();
    let mut tables = file.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").unwrap();
    let tables: Vec<String> = tables.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let mut cells = Vec::new();
    for table in tables {
        let mut statement = file.prepare(&format!("SELECT * FROM \"{table}\"")).unwrap();
        let places: Vec<String> =
            statement.column_names().map(|column| format!("{table}.{column}")).collect();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            for (at, place) in places.iter().enumerate().filter(|(_, place)| *place != CODE) {
                if let ValueRef::Text(bytes) | ValueRef::Blob(bytes) = row.get_ref(at).unwrap() {
                    cells.push(Cell { place: place.clone(), bytes: bytes.to_vec() });
                }
            }
        }
    }
    cells
}

fn postgres(address: &str) -> Vec<Cell> {
    let mut client = postgres::Client::connect(address, postgres::NoTls).unwrap();
    let sql = "SELECT table_name::text, column_name::text, data_type::text FROM information_schema.columns \
               WHERE table_schema = 'public' AND data_type <> 'bigint'";
    let mut cells = Vec::new();
    for column in client.query(sql, &[]).unwrap() {
        let (table, name, kind): (String, String, String) = (column.get(0), column.get(1), column.get(2));
        let place = format!("{table}.{name}");
        if place == CODE {
            continue;
        }
        let bytes = if kind == "bytea" { "" } else { "::text" };
        let sql = format!("SELECT \"{name}\"{bytes} FROM \"{table}\" WHERE \"{name}\" IS NOT NULL");
        for row in client.query(&sql, &[]).unwrap() {
            let bytes = if kind == "bytea" { row.get(0) } else { row.get::<_, String>(0).into_bytes() };
            cells.push(Cell { place: place.clone(), bytes });
        }
    }
    cells
}

/// What is planted must be found: in a text and in a blob, of a person, of the gateway's ledger, and of each kind of token.
#[test]
fn what_is_planted_in_a_database_is_found() {
    let hex = "0123456789abcdef0123456789abcdef";
    let planted = PERSONS.map(str::to_owned).into_iter().chain([
        "11012345678901".to_owned(),
        "110123456789".to_owned(),
        "이영희".to_owned(),
        "박영수".to_owned(),
        format!("sk_test_{hex}"),
        format!("op_{hex}"),
        format!("ct_{hex}"),
        format!("rt_{hex}"),
        format!("rs_{hex}"),
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned(),
        "k7mp-3qxt-9ab2-cdef".to_owned(),
    ]);
    let ledger = serde_json::json!({
        "event": "approved", "account": {"number": "11012345678901", "holder": "상점"},
        "auth": {"buyername": "이영희", "means": {"depositor": "박영수"}},
    });
    let on = |postgres: bool| {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("gateway")).unwrap();
        std::fs::write(folder.path().join("gateway/ledger.jsonl"), format!("{ledger}\n")).unwrap();
        if postgres {
            super::use_postgres(folder.path());
        } else {
            std::fs::create_dir_all(data(folder.path())).unwrap();
        }
        folder
    };
    let run = |folder: &Path, sql: String| match address(folder) {
        None => {
            let file = rusqlite::Connection::open(data(folder).join("payhost.sqlite")).unwrap();
            file.execute_batch(&sql).unwrap();
        }
        Some(address) => {
            postgres::Client::connect(&address, postgres::NoTls).unwrap().batch_execute(&sql).unwrap()
        }
    };
    for (postgres, blob) in [(false, "BLOB"), (true, "BYTEA")] {
        let folder = on(postgres);
        run(folder.path(), format!("CREATE TABLE t (a TEXT, b {blob}, c BIGINT)"));
        run(
            folder.path(),
            "INSERT INTO t VALUES ('상점 pay_01kaqv2v3w4x5y6z7a8b9cdefg', NULL, 1)".to_owned(),
        );
        assert_eq!(find(folder.path()), None);
        for value in planted.clone() {
            let json = serde_json::json!({"a": [value]}).to_string();
            let bytes: String = json.bytes().map(|byte| format!("{byte:02x}")).collect();
            let bytes = if postgres { format!("'\\x00{bytes}'") } else { format!("X'00{bytes}'") };
            for (column, written) in [("a", format!("'{json}'")), ("b", bytes)] {
                run(folder.path(), format!("INSERT INTO t ({column}) VALUES ({written})"));
                let found = find(folder.path()).unwrap_or_else(|| panic!("{value} in {column} is not found"));
                assert!(found.contains(&format!("is in t.{column}")), "{found}");
                run(folder.path(), "DELETE FROM t WHERE c IS NULL".to_owned());
            }
        }
    }
}
