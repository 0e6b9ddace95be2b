//! `event` and `webhook_outbox`: what a shop is told. Invariant: a payment's events are numbered without a repeat, in the
//! order in which they happened; an event of a shop that listens is in the outbox from the transaction that made it until
//! the one that handed it to the shop's endpoints.

use payhost_core::id::{EventId, PaymentId, ShopId};

use super::Mode;
use crate::table::{Table, table};
use crate::{Error, Sealed, ToValue, Tx, Value, params};

table! {
    /// One event.
    pub struct Event in "event" {
        /// Its id.
        id: EventId,
        /// Whose.
        shop_id: ShopId,
        /// Test or live.
        mode: Mode,
        /// Of which payment; absent when it is about an endpoint, or a sample.
        payment_id: Option<PaymentId>,
        /// Its number within the payment: take `payment.next_event` and raise that.
        sequence: Option<i64>,
        /// Such as `payment.paid`.
        name: String,
        /// What is sent, sealed.
        payload: Sealed,
        /// When it happened.
        created_us: i64,
    }
}

table! {
    /// An event that has not been handed to the shop's endpoints yet.
    pub struct Outbox in "webhook_outbox" {
        /// Whose.
        shop_id: ShopId,
        /// Which.
        event_id: EventId,
    }
}

/// Adds an event, and puts it into the outbox if the shop has an endpoint that listens.
pub fn insert(tx: &mut Tx<'_>, event: &Event) -> Result<(), Error> {
    insert_all(tx, std::slice::from_ref(event))
}

/// The same for several events of a shop and mode.
pub fn insert_all(tx: &mut Tx<'_>, events: &[Event]) -> Result<(), Error> {
    let Some(first) = events.first() else { return Ok(()) };
    Event::insert_all_later(events, tx)?;
    let places = (0..events.len()).map(|at| format!("${}", at + 2)).collect::<Vec<_>>().join(", ");
    let sql = format!(
        "INSERT INTO webhook_outbox (shop_id, event_id) SELECT shop_id, id FROM event \
         WHERE shop_id = $1 AND id IN ({places}) AND EXISTS \
         (SELECT 1 FROM webhook_endpoint WHERE shop_id = $1 AND mode = ${} AND enabled = 1)",
        events.len() + 2
    );
    let ids = events.iter().map(|event| event.id.to_value());
    let values = std::iter::once(first.shop_id.to_value()).chain(ids).chain([first.mode.to_value()]);
    tx.execute_later(&sql, &values.collect::<Vec<_>>())
}

/// Whether anything is in the outbox.
pub fn any_in_outbox(tx: &mut Tx<'_>) -> Result<bool, Error> {
    tx.query_opt("SELECT 1 FROM webhook_outbox LIMIT 1", &[], |_| Ok(())).map(|found| found.is_some())
}

/// Shops with events in the outbox, up to `limit` of them, in order of their ids from behind one.
pub fn shops_in_outbox(tx: &mut Tx<'_>, after: Option<ShopId>, limit: i64) -> Result<Vec<ShopId>, Error> {
    let next = |after: &str| {
        format!(
            "SELECT o.shop_id FROM webhook_outbox AS o WHERE o.shop_id > {after} ORDER BY o.shop_id LIMIT 1"
        )
    };
    // From shop to shop in the index, without reading the events between.
    let sql = format!(
        "WITH RECURSIVE walk (shop_id, step) AS (SELECT ({}), 1 UNION ALL SELECT ({}), walk.step + 1 FROM walk \
         WHERE walk.shop_id IS NOT NULL AND walk.step < $2) SELECT shop_id FROM walk WHERE shop_id IS NOT NULL",
        next("$1"),
        next("walk.shop_id"),
    );
    let after = after.map_or(Value::Text(String::new()), |shop| shop.to_value());
    tx.query(&sql, &[after, limit.to_value()], |row| row.get(0))
}

/// Takes up to `limit` events of a shop out of the outbox, in order: what is not handed on in this transaction is lost.
pub fn take_from_outbox(tx: &mut Tx<'_>, shop: ShopId, limit: i64) -> Result<Vec<Outbox>, Error> {
    // Materialized, so that PostgreSQL looks once, as in `jobs::claim`.
    let sql = format!(
        "WITH taken AS MATERIALIZED (SELECT shop_id, event_id FROM webhook_outbox WHERE shop_id = $1 ORDER BY event_id \
         LIMIT $2{}) DELETE FROM webhook_outbox WHERE (shop_id, event_id) IN (SELECT shop_id, event_id FROM taken) \
         RETURNING {}",
        tx.for_update_skip_locked(),
        Outbox::COLUMNS,
    );
    let mut taken = tx.query(&sql, params![shop, limit], Outbox::read)?;
    // RETURNING promises no order.
    taken.sort_by_key(|outbox| outbox.event_id);
    Ok(taken)
}

/// How many events of a shop from one on are of no payment, counted up to `most`.
pub fn loose_since(tx: &mut Tx<'_>, shop: ShopId, from: EventId, most: i64) -> Result<i64, Error> {
    let sql = "SELECT COUNT(*) FROM (SELECT 1 AS one FROM event WHERE shop_id = $1 AND payment_id IS NULL AND id >= $2 \
               LIMIT $3) AS counted";
    tx.query_one(sql, params![shop, from, most], |row| row.get(0))
}

/// An event of a shop.
pub fn get(tx: &mut Tx<'_>, shop: ShopId, id: EventId) -> Result<Option<Event>, Error> {
    Event::select_opt(tx, "WHERE shop_id = $1 AND id = $2", params![shop, id])
}

/// A payment's events in order.
pub fn of_payment(tx: &mut Tx<'_>, shop: ShopId, payment: PaymentId) -> Result<Vec<Event>, Error> {
    Event::select(tx, "WHERE shop_id = $1 AND payment_id = $2 ORDER BY sequence", params![shop, payment])
}

/// What a list is narrowed to.
#[derive(Debug, Clone, Copy)]
pub struct Filter<'a> {
    /// Test or live.
    pub mode: Mode,
    /// Only this payment's.
    pub payment: Option<PaymentId>,
    /// Only of this name.
    pub name: Option<&'a str>,
    /// Only older ones than this.
    pub before: Option<EventId>,
    /// At most so many.
    pub limit: i64,
}

/// A page of a shop's events, newest first.
pub fn list(tx: &mut Tx<'_>, shop: ShopId, filter: &Filter<'_>) -> Result<Vec<Event>, Error> {
    let mut tail = "WHERE shop_id = $1 AND mode = $2".to_owned();
    let mut values: Vec<Value> = params![shop, filter.mode].to_vec();
    let conditions = [
        (" AND payment_id = $", filter.payment.map(|id| id.to_value())),
        (" AND name = $", filter.name.map(ToValue::to_value)),
        (" AND id < $", filter.before.map(|id| id.to_value())),
        (" ORDER BY id DESC LIMIT $", Some(filter.limit.to_value())),
    ];
    for (text, value) in conditions {
        if let Some(value) = value {
            values.push(value);
            tail.push_str(text);
            tail.push_str(&values.len().to_string());
        }
    }
    Event::select(tx, &tail, &values)
}

/// A shop's events from one id to before another, oldest first.
pub fn range(
    tx: &mut Tx<'_>,
    (shop, mode): (ShopId, Mode),
    (from, to): (EventId, EventId),
    limit: i64,
) -> Result<Vec<Event>, Error> {
    let tail = "WHERE shop_id = $1 AND mode = $2 AND id > $3 AND id < $4 ORDER BY id LIMIT $5";
    Event::select(tx, tail, params![shop, mode, from, to, limit])
}
