//! What the database and the gateway's ledger say afterwards, read from outside. Invariant: no code of payhost is used here, but
//! for the vault, which opens what the network saw; a run counts only if every payment that was made is paid once, with its amount, on both sides, and nothing else is there.

use std::collections::HashMap;

use payhost_store::{Cell, MasterKey, Sealed, Vault};
use serde_json::Value;

use super::buyer::Made;
use super::http::json_of;
use super::place::Place;

/// A row as text; NULL is empty.
type Row = Vec<String>;

/// Rows of a statement, from either database. Every column must be cast to text.
pub fn rows(place: &Place, sql: &str) -> Vec<Row> {
    match &place.database {
        None => {
            let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
            let connection = rusqlite::Connection::open_with_flags(place.sqlite_file(), flags).unwrap();
            let mut statement = connection.prepare(sql).unwrap();
            let columns = statement.column_count();
            let rows = statement.query_map([], |row| {
                (0..columns).map(|at| Ok(row.get::<_, Option<String>>(at)?.unwrap_or_default())).collect()
            });
            rows.unwrap().collect::<Result<_, _>>().unwrap()
        }
        Some(address) => {
            let (address, sql) = (address.clone(), sql.to_owned());
            // The driver has a runtime of its own, so it cannot run on a thread of another.
            let read = move || {
                let config: postgres::Config = address.parse().unwrap();
                let mut client = config.connect(postgres::NoTls).unwrap();
                let rows = client.query(sql.as_str(), &[]).unwrap();
                let texts = |row: &postgres::Row| {
                    (0..row.len()).map(|at| row.get::<_, Option<String>>(at).unwrap_or_default()).collect()
                };
                rows.iter().map(texts).collect()
            };
            std::thread::spawn(read).join().unwrap()
        }
    }
}

/// How many payments are paid.
pub fn paid(place: &Place) -> usize {
    let sql = "SELECT CAST(COUNT(*) AS TEXT) FROM payment WHERE state = 'paid'";
    rows(place, sql)[0][0].parse().unwrap()
}

/// Money of one payment in all books.
#[derive(Debug, PartialEq, Eq, Default)]
struct Entry {
    state: String,
    total: i64,
    paid: i64,
    cancelled: i64,
    facts: Vec<(String, i64)>,
    /// Lines of the ledger, their sum, and what the account `gateway` holds.
    lines: i64,
    sum: i64,
    held: i64,
    /// What the gateway's own ledger holds, sale by sale.
    sales: Vec<i64>,
}

/// Compares everything with everything; gives how many payments were compared. `fact` is what paid them.
pub async fn reconcile(place: &Place, made: &[Made], fact: &str) -> usize {
    let mut found: HashMap<String, Entry> = HashMap::new();
    let number = |text: &str| -> i64 { text.parse().unwrap_or_else(|_| panic!("{text:?} is no number")) };
    let sql = "SELECT id, state, resolution, CAST(total AS TEXT), CAST(paid AS TEXT), CAST(cancelled AS TEXT) FROM payment";
    for row in rows(place, sql) {
        assert_eq!(row[2], "none", "{row:?}");
        let [total, paid, cancelled] = [3, 4, 5].map(|at: usize| number(&row[at]));
        let entry = Entry { state: row[1].clone(), total, paid, cancelled, ..Entry::default() };
        found.insert(row[0].clone(), entry);
    }
    for row in rows(
        place,
        "SELECT payment_id, kind, CAST(amount AS TEXT) FROM fact WHERE amount <> 0 AND kind <> 'issued'",
    ) {
        found.get_mut(&row[0]).unwrap().facts.push((row[1].clone(), number(&row[2])));
    }
    let sql = "SELECT payment_id, CAST(COUNT(*) AS TEXT), CAST(SUM(amount) AS TEXT), \
               CAST(SUM(CASE WHEN account = 'gateway' THEN amount ELSE 0 END) AS TEXT) FROM ledger_entry GROUP BY payment_id";
    for row in rows(place, sql) {
        let entry = found.get_mut(&row[0]).unwrap();
        [entry.lines, entry.sum, entry.held] = [1, 2, 3].map(|at: usize| number(&row[at]));
    }
    let checkouts: HashMap<String, String> = rows(place, "SELECT order_ref, payment_id FROM checkout")
        .into_iter()
        .map(|row| (row[0].clone(), row[1].clone()))
        .collect();
    let ledger = json_of(place.client.get(format!("{}/ledger", place.control)), 200).await;
    for sale in ledger["sales"].as_array().unwrap().iter().filter(|sale| sale["remaining"] != 0) {
        let order_ref = sale["oid"].as_str().unwrap();
        let payment = checkouts.get(order_ref).unwrap_or_else(|| panic!("nobody knows the sale {sale}"));
        found.get_mut(payment).unwrap().sales.push(sale["remaining"].as_i64().unwrap());
    }
    assert_eq!(found.len(), made.len(), "payments in the database, and payments that were made");
    for Made { payment, amount, .. } in made {
        let wanted = Entry {
            state: "paid".to_owned(),
            total: *amount,
            paid: *amount,
            cancelled: 0,
            facts: vec![(fact.to_owned(), *amount)],
            lines: 2,
            sum: 0,
            held: *amount,
            sales: vec![*amount],
        };
        assert_eq!(found.get(payment), Some(&wanted), "{payment}");
    }
    println!(
        "    {0} payments made, {0} checked: paid once with their amount in the database and at the gateway, ledger zero",
        made.len()
    );
    made.len()
}

/// How long the gateway took to answer each payment's approval, in milliseconds, as the host's network saw it.
pub fn gateway_ms(place: &Place) -> HashMap<String, f64> {
    let hex = |column: &str| match place.database {
        None => format!("HEX({column})"),
        Some(_) => format!("ENCODE({column}, 'hex')"),
    };
    let sql = format!(
        "SELECT payment_id, attempt.id, {}, shop.id, {} FROM attempt JOIN shop ON shop.id = attempt.shop_id \
         WHERE kind = 'complete'",
        hex("outcome"),
        hex("data_key")
    );
    let vault = Vault::unbound(MasterKey::read_file(&place.master_key_file()).unwrap()).unwrap();
    let of = |row: &Row| -> f64 {
        let key = vault.unwrap(row[3].parse().unwrap(), &sealed(&row[4])).unwrap();
        let cell = Cell { table: "attempt", column: "outcome", row: &row[1] };
        let outcome: Value = serde_json::from_slice(&key.open(&cell, &sealed(&row[2])).unwrap()).unwrap();
        let exchanges = outcome["network"]["exchanges"].as_array().unwrap();
        let ms = |value: &Value| value.as_f64().unwrap();
        exchanges.iter().map(|one| ms(&one["ended_ms"]) - ms(&one["started_ms"])).sum()
    };
    rows(place, &sql).into_iter().map(|row| (row[0].clone(), of(&row))).collect()
}

/// Sealed bytes from hex.
fn sealed(hex: &str) -> Sealed {
    let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    Sealed::from_bytes((0..hex.len()).step_by(2).map(byte).collect())
}
