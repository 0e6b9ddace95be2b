//! `webhook_delivery`: an event on its way to an endpoint. Invariant: an event has one delivery per endpoint, and its end is
//! written only over the try that led to it.

use payhost_core::id::{EndpointId, EventId, ShopId};

use crate::table::{Table, table, word};
use crate::{Error, Sealed, ToValue, Tx, Value, params};

word! {
    /// How a delivery stands.
    pub enum DeliveryState {
        /// To be sent, or being sent.
        Waiting = "waiting",
        /// The receiver took it.
        Delivered = "delivered",
        /// The schedule is over; it is sent again only when somebody asks for that.
        Failed = "failed",
    }
}

table! {
    /// One delivery.
    pub struct Delivery in "webhook_delivery" {
        /// Whose.
        shop_id: ShopId,
        /// To which endpoint.
        endpoint_id: EndpointId,
        /// Of which event.
        event_id: EventId,
        /// The event's name.
        name: String,
        /// The address that the payment brought, for an endpoint without one.
        payment_url: Option<String>,
        /// How it stands.
        state: DeliveryState,
        /// How often it was tried.
        tries: i64,
        /// When it is tried next.
        due_us: i64,
        /// When it was tried last.
        tried_us: Option<i64>,
        /// How long that took.
        took_us: Option<i64>,
        /// HTTP status of the last answer.
        status: Option<i64>,
        /// Why the last try failed.
        error: Option<String>,
        /// The beginning of the last answer, sealed: a receiver may say again what it was sent.
        answer: Option<Sealed>,
        /// When it was made.
        created_us: i64,
    }
}

/// Adds a delivery unless the event has one to this endpoint.
pub fn insert_new(tx: &mut Tx<'_>, delivery: &Delivery) -> Result<bool, Error> {
    Table::insert_new(delivery, tx)
}

/// Adds a delivery; one that is there begins anew, if it is in another state than `unless`. Tells whether it is to be sent.
pub fn again(tx: &mut Tx<'_>, delivery: &Delivery, unless: Option<DeliveryState>) -> Result<bool, Error> {
    // The last outcome stays to be seen until the next one.
    if Table::insert_new(delivery, tx)? {
        return Ok(true);
    }
    let sql = "UPDATE webhook_delivery SET state = 'waiting', tries = 0, due_us = $1 \
               WHERE shop_id = $2 AND endpoint_id = $3 AND event_id = $4 AND state <> $5";
    let unless = unless.map_or("", DeliveryState::as_str);
    let d = delivery;
    tx.execute(sql, params![d.due_us, d.shop_id, d.endpoint_id, d.event_id, unless]).map(|rows| rows == 1)
}

/// Deliveries of an endpoint that are due, earliest first.
pub fn due(
    tx: &mut Tx<'_>,
    (shop, endpoint): (ShopId, EndpointId),
    now_us: i64,
    limit: i64,
) -> Result<Vec<Delivery>, Error> {
    let tail = "WHERE shop_id = $1 AND endpoint_id = $2 AND state = 'waiting' AND due_us <= $3 \
                ORDER BY due_us, event_id LIMIT $4";
    Delivery::select(tx, tail, params![shop, endpoint, now_us, limit])
}

/// Writes what came of a try, if the delivery still waits after `tries` tries; tells whether it did.
pub fn record(tx: &mut Tx<'_>, delivery: &Delivery, tries: i64) -> Result<bool, Error> {
    let sql = "UPDATE webhook_delivery SET state = $1, tries = $2, due_us = $3, tried_us = $4, took_us = $5, status = $6, \
               error = $7, answer = $8 WHERE shop_id = $9 AND endpoint_id = $10 AND event_id = $11 \
               AND state = $12 AND tries = $13";
    let d = delivery;
    let values = params![
        d.state,
        d.tries,
        d.due_us,
        d.tried_us,
        d.took_us,
        d.status,
        d.error,
        d.answer,
        d.shop_id,
        d.endpoint_id,
        d.event_id,
        DeliveryState::Waiting,
        tries
    ];
    tx.execute(sql, values).map(|rows| rows == 1)
}

/// A page of an endpoint's deliveries, those of the newest events first.
pub fn list(
    tx: &mut Tx<'_>,
    (shop, endpoint): (ShopId, EndpointId),
    state: Option<DeliveryState>,
    before: Option<EventId>,
    limit: i64,
) -> Result<Vec<Delivery>, Error> {
    let mut tail = "WHERE shop_id = $1 AND endpoint_id = $2".to_owned();
    let mut values: Vec<Value> = params![shop, endpoint].to_vec();
    let conditions = [
        (" AND state = $", state.map(|state| state.to_value())),
        (" AND event_id < $", before.map(|id| id.to_value())),
        (" ORDER BY event_id DESC LIMIT $", Some(limit.to_value())),
    ];
    for (text, value) in conditions {
        if let Some(value) = value {
            values.push(value);
            tail.push_str(text);
            tail.push_str(&values.len().to_string());
        }
    }
    Delivery::select(tx, &tail, &values)
}

/// Forgets up to `limit` deliveries of an endpoint that are over and of events before one; tells how many.
pub fn forget(
    tx: &mut Tx<'_>,
    (shop, endpoint): (ShopId, EndpointId),
    before: EventId,
    limit: i64,
) -> Result<u64, Error> {
    let condition = "AND event_id < $3 AND state <> 'waiting'";
    delete(tx, condition, params![shop, endpoint, before, limit])
}

/// Forgets up to `limit` deliveries of an endpoint that is being removed; tells how many.
pub fn forget_all(tx: &mut Tx<'_>, shop: ShopId, endpoint: EndpointId, limit: i64) -> Result<u64, Error> {
    delete(tx, "", params![shop, endpoint, limit])
}

fn delete(tx: &mut Tx<'_>, condition: &str, values: &[Value]) -> Result<u64, Error> {
    let sql = format!(
        "WITH old AS MATERIALIZED (SELECT event_id FROM webhook_delivery WHERE shop_id = $1 AND endpoint_id = $2 \
         {condition} ORDER BY event_id LIMIT ${}) DELETE FROM webhook_delivery WHERE shop_id = $1 AND endpoint_id = $2 \
         AND event_id IN (SELECT event_id FROM old)",
        values.len()
    );
    tx.execute(&sql, values)
}
