//! Carts and orders in SQLite. Invariant: an order and the emptying of its cart are one transaction, and every question about
//! an order names the session that made it.
//!
//! Calls are short and made under one lock, straight from the handlers; a shop with real traffic would use a pool.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use jiff::tz::{self, TimeZone};
use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};
use serde::{Deserialize, Serialize};

use crate::methods::{CARD, Method, find_method};
use crate::payhost::{Payment, PaymentState, Resolution};

/// What can fail.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder cannot be made.
    #[error("the data folder: {0}")]
    Folder(#[from] std::io::Error),
    /// The database.
    #[error("the database: {0}")]
    Sql(#[from] rusqlite::Error),
    /// A stored text is not what was written.
    #[error("a stored order: {0}")]
    Json(#[from] serde_json::Error),
}

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS cart (
        session TEXT NOT NULL, product INTEGER NOT NULL, quantity INTEGER NOT NULL,
        PRIMARY KEY (session, product)
    ) STRICT;
    CREATE TABLE IF NOT EXISTS orders (
        id TEXT PRIMARY KEY, session TEXT NOT NULL,
        form TEXT NOT NULL,                      -- the checkout form; sent twice it is still one order
        made_at TEXT NOT NULL, items TEXT NOT NULL, total INTEGER NOT NULL,
        name TEXT NOT NULL, email TEXT NOT NULL, phone TEXT NOT NULL,
        payment TEXT,                            -- what payhost said last, as JSON
        cancel_try INTEGER NOT NULL DEFAULT 1,   -- part of the cancel's Idempotency-Key
        method TEXT NOT NULL DEFAULT 'card',     -- code of the method that the buyer chose
        UNIQUE (session, form)
    ) STRICT;
";

/// One line of an order, as it was sold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Name in the buyer's language.
    pub name: String,
    /// Won for one piece.
    pub price: i64,
    /// Pieces.
    pub quantity: i64,
}

impl Item {
    /// Won for all pieces.
    pub fn sum(&self) -> i64 {
        self.price.saturating_mul(self.quantity)
    }
}

/// Who orders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Buyer {
    /// Full name.
    pub name: String,
    /// E-mail address.
    pub email: String,
    /// Telephone number.
    pub phone: String,
}

/// How an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderState {
    /// 결제 대기
    PaymentDue,
    /// 입금 대기
    AwaitingDeposit,
    /// 결제 확인 중: payhost does not know yet whether money moved.
    Checking,
    /// 결제 완료
    Paid,
    /// 부분 취소됨
    PartiallyCancelled,
    /// 취소됨
    Cancelled,
}

/// An order.
#[derive(Debug, Clone)]
pub struct Order {
    /// Such as `20261121-0007`: the day in Korea and a number.
    pub id: String,
    /// `2026-11-21 14:03`, in Korea.
    pub made_at: String,
    /// What was sold.
    pub items: Vec<Item>,
    /// Won.
    pub total: i64,
    /// Who ordered.
    pub buyer: Buyer,
    /// What payhost said last.
    pub payment: Option<Payment>,
    /// Which try to cancel this is.
    pub cancel_try: i64,
    /// How the buyer wants to pay.
    pub method: &'static Method,
}

impl Order {
    /// Follows from what payhost said last. A payment of another order or amount settles nothing.
    pub fn state(&self) -> OrderState {
        let Some(payment) = &self.payment else { return OrderState::PaymentDue };
        if payment.resolution != Resolution::None || !self.is_for(payment) {
            return OrderState::Checking;
        }
        match payment.state {
            PaymentState::Paid => OrderState::Paid,
            PaymentState::PartiallyCancelled => OrderState::PartiallyCancelled,
            PaymentState::Cancelled => OrderState::Cancelled,
            PaymentState::AwaitingDeposit => OrderState::AwaitingDeposit,
            // After a failed or expired payment, payhost takes a new one for the same order.
            PaymentState::Created | PaymentState::Pending | PaymentState::Failed | PaymentState::Expired => {
                OrderState::PaymentDue
            }
            PaymentState::Other => OrderState::Checking,
        }
    }

    fn is_for(&self, payment: &Payment) -> bool {
        payment.order_id == self.id && payment.amount.total == self.total && payment.amount.currency == "KRW"
    }
}

/// The shop's database.
pub struct Store {
    connection: Mutex<Connection>,
}

impl Store {
    /// Opens `shop.sqlite` in the folder, and makes both if they are missing.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        std::fs::create_dir_all(folder)?;
        let connection = Connection::open(folder.join("shop.sqlite"))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.execute_batch(SCHEMA)?;
        let known = "SELECT 1 FROM pragma_table_info('orders') WHERE name = 'method'";
        if connection.query_row(known, [], |_| Ok(())).optional()?.is_none() {
            // A folder of an older shop.
            connection.execute_batch("ALTER TABLE orders ADD COLUMN method TEXT NOT NULL DEFAULT 'card'")?;
        }
        Ok(Self { connection: Mutex::new(connection) })
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Product numbers and pieces in a session's cart.
    pub fn cart(&self, session: &str) -> Result<Vec<(i64, i64)>, Error> {
        let connection = self.lock();
        let mut query = connection
            .prepare_cached("SELECT product, quantity FROM cart WHERE session = ? ORDER BY product")?;
        let rows = query.query_map([session], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// One piece more, up to the most that a cart takes.
    pub fn add_to_cart(&self, session: &str, product: i64) -> Result<(), Error> {
        self.lock().execute(
            "INSERT INTO cart (session, product, quantity) VALUES (?, ?, 1)
             ON CONFLICT DO UPDATE SET quantity = min(quantity + 1, ?)",
            params![session, product, crate::catalogue::QUANTITY_MAX],
        )?;
        Ok(())
    }

    /// Exactly so many pieces; 0 takes the product out.
    pub fn set_in_cart(&self, session: &str, product: i64, quantity: i64) -> Result<(), Error> {
        let connection = self.lock();
        if quantity == 0 {
            connection
                .execute("DELETE FROM cart WHERE session = ? AND product = ?", params![session, product])?;
        } else {
            connection.execute(
                "UPDATE cart SET quantity = ? WHERE session = ? AND product = ?",
                params![quantity, session, product],
            )?;
        }
        Ok(())
    }

    /// Makes an order and empties the cart. The same form again gives the order that it made before.
    pub fn place(
        &self,
        session: &str,
        form: &str,
        items: &[Item],
        buyer: &Buyer,
        method: &Method,
        now: Timestamp,
    ) -> Result<String, Error> {
        let total: i64 = items.iter().map(Item::sum).sum();
        let now = now.to_zoned(TimeZone::fixed(tz::offset(9)));
        let day = now.strftime("%Y%m%d").to_string();
        let mut connection = self.lock();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if let Some(id) = order_of_form(&transaction, session, form)? {
            return Ok(id);
        }
        let number: i64 = transaction.query_row(
            "SELECT coalesce(max(cast(substr(id, 10) AS INTEGER)), 0) + 1 FROM orders WHERE substr(id, 1, 8) = ?",
            [&day],
            |row| row.get(0),
        )?;
        let id = format!("{day}-{number:04}");
        transaction.execute(
            "INSERT INTO orders (id, session, form, made_at, items, total, name, email, phone, method)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            params![
                id,
                session,
                form,
                now.strftime("%Y-%m-%d %H:%M").to_string(),
                serde_json::to_string(items)?,
                total,
                buyer.name,
                buyer.email,
                buyer.phone,
                method.code,
            ],
        )?;
        transaction.execute("DELETE FROM cart WHERE session = ?", [session])?;
        transaction.commit()?;
        Ok(id)
    }

    /// The order that a checkout form made, if it was sent before.
    pub fn order_of_form(&self, session: &str, form: &str) -> Result<Option<String>, Error> {
        Ok(order_of_form(&self.lock(), session, form)?)
    }

    /// An order of this session.
    pub fn order(&self, session: &str, id: &str) -> Result<Option<Order>, Error> {
        let connection = self.lock();
        let mut query = connection.prepare_cached("SELECT * FROM orders WHERE session = ? AND id = ?")?;
        let mut rows = query.query([session, id])?;
        rows.next()?.map(read_order).transpose()
    }

    /// All orders of this session, the newest first.
    pub fn orders(&self, session: &str) -> Result<Vec<Order>, Error> {
        let connection = self.lock();
        let mut query =
            connection.prepare_cached("SELECT * FROM orders WHERE session = ? ORDER BY id DESC LIMIT 200")?;
        let mut rows = query.query([session])?;
        let mut orders = Vec::new();
        while let Some(row) = rows.next()? {
            orders.push(read_order(row)?);
        }
        Ok(orders)
    }

    /// The buyer chose another method for an order.
    pub fn choose_method(&self, id: &str, method: &Method) -> Result<(), Error> {
        self.lock().execute("UPDATE orders SET method = ? WHERE id = ?", params![method.code, id])?;
        Ok(())
    }

    /// Keeps what payhost said about an order's payment.
    pub fn keep_payment(&self, id: &str, payment: &Payment) -> Result<(), Error> {
        let payment = serde_json::to_string(payment)?;
        self.lock().execute("UPDATE orders SET payment = ? WHERE id = ?", params![payment, id])?;
        Ok(())
    }

    /// Keeps what payhost told of a payment. Of an order with another payment only the one that took money counts: news of an
    /// older one, that expired or failed, must not hide it.
    pub fn keep_told(&self, payment: &Payment) -> Result<(), Error> {
        let text = serde_json::to_string(payment)?;
        self.lock().execute(
            "UPDATE orders SET payment = ?1 WHERE id = ?2
             AND (payment IS NULL OR payment ->> 'id' = ?3 OR ?4)",
            params![text, payment.order_id, payment.id, payment.amount.paid > 0],
        )?;
        Ok(())
    }

    /// After payhost refused a cancel, the next click is a new try.
    pub fn end_cancel_try(&self, order: &Order) -> Result<(), Error> {
        self.lock().execute(
            "UPDATE orders SET cancel_try = ?2 + 1 WHERE id = ?1 AND cancel_try = ?2",
            params![order.id, order.cancel_try],
        )?;
        Ok(())
    }
}

fn order_of_form(
    connection: &Connection,
    session: &str,
    form: &str,
) -> Result<Option<String>, rusqlite::Error> {
    connection
        .query_row("SELECT id FROM orders WHERE session = ? AND form = ?", [session, form], |row| row.get(0))
        .optional()
}

fn read_order(row: &Row<'_>) -> Result<Order, Error> {
    let items: String = row.get("items")?;
    let payment: Option<String> = row.get("payment")?;
    Ok(Order {
        id: row.get("id")?,
        made_at: row.get("made_at")?,
        items: serde_json::from_str(&items)?,
        total: row.get("total")?,
        buyer: Buyer { name: row.get("name")?, email: row.get("email")?, phone: row.get("phone")? },
        payment: payment.map(|text| serde_json::from_str(&text)).transpose()?,
        cancel_try: row.get("cancel_try")?,
        method: find_method(&row.get::<_, String>("method")?).unwrap_or(CARD),
    })
}
