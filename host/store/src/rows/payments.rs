//! `payment`. Invariant: at most one open payment per (shop, mode, order), money given back exceeds money taken only while
//! `resolution` says that facts are missing, and a change is made only to the version that was read (compare and set).

use payhost_core::id::{ChannelId, CheckoutId, PaymentId, ShopId};
use payhost_core::{Currency, PaymentState, Resolution};

use super::{After, Mode, Order, scoped};
use crate::table::{Table, table, word};
use crate::{Error, Json, Later, Sealed, ToValue, Tx, Value, params};

/// The unique rule that refuses a second open payment of an order ([`Error::is_unique`]).
pub const OPEN_ORDER: &str = "payment_open_order";

word! {
    /// Who says yes before the money is taken.
    pub enum Confirm {
        /// Nobody.
        Automatic = "automatic",
        /// The shop, by `POST /payments/{id}/confirm`.
        Manual = "manual",
    }
}

table! {
    /// One order's payment.
    pub struct Payment in "payment" {
        /// Its id.
        id: PaymentId,
        /// Whose.
        shop_id: ShopId,
        /// How.
        channel_id: ChannelId,
        /// Test or live.
        mode: Mode,
        /// The shop's order.
        order_id: String,
        /// What is bought, for people.
        order_name: String,
        /// To be paid, minor units; positive.
        total: i64,
        /// Of what.
        currency: Currency,
        /// The part without tax; none: the gateway decides.
        tax_free: Option<i64>,
        /// The tax; none: the gateway decides.
        vat: Option<i64>,
        /// What the shop asked for.
        method: Option<Json>,
        /// The buyer's name, phone and address, sealed.
        buyer: Sealed,
        /// Options for the plugin, sealed.
        options: Sealed,
        /// The shop's own data, sealed.
        metadata: Sealed,
        /// Of the buyer.
        language: String,
        /// Who says yes.
        confirm: Confirm,
        /// Where the buyer goes afterwards.
        return_url: Option<String>,
        /// Where events of this payment go.
        webhook_url: Option<String>,
        /// Follows from the facts.
        state: PaymentState,
        /// Whether the last attempt's outcome is known.
        resolution: Resolution,
        /// 1, then one more with every [`save`].
        version: i64,
        /// Taken, minor units.
        paid: i64,
        /// Given back, minor units.
        cancelled: i64,
        /// Of the part free of tax, as far as cancels said.
        cancelled_tax_free: i64,
        /// Of the tax, as far as cancels said.
        cancelled_vat: i64,
        /// The gateway's reference of the sale.
        gateway_ref: Option<String>,
        /// The checkout that paid.
        approved_checkout_id: Option<CheckoutId>,
        /// When the gateway approved.
        approved_at_us: Option<i64>,
        /// What the buyer paid with.
        paid_method: Option<Json>,
        /// Approval number, issuer, account and so on, sealed.
        details: Option<Sealed>,
        /// A checkout was opened.
        opened: bool,
        /// A charge without a window was declined.
        failed: bool,
        /// Its time is over.
        expired: bool,
        /// The shop gave it up before it was paid (or its windows were opened too often).
        given_up: bool,
        /// Since when a person must say what becomes of its money, which came after it was over.
        late_us: Option<i64>,
        /// Why its last window or charge came to nothing, sealed.
        last_failure: Option<Sealed>,
        /// Until when it can be paid.
        expires_us: i64,
        /// Until when a deposit is expected.
        deposit_deadline_us: Option<i64>,
        /// The sequence of its next event; starts at 1.
        next_event: i64,
        /// When it was made.
        created_us: i64,
        /// When it was changed.
        updated_us: i64,
    }
}

/// Adds a payment. A second open one of the order is [`Error::Unique`] [`OPEN_ORDER`], at the latest at the end of the
/// transaction. Of several at once one is added; the others wait for its transaction and get the error.
pub fn insert(tx: &mut Tx<'_>, payment: &Payment) -> Result<(), Error> {
    Table::insert_later(payment, tx)
}

/// A payment of a shop.
pub fn get(tx: &mut Tx<'_>, shop: ShopId, id: PaymentId) -> Result<Option<Payment>, Error> {
    Payment::select_opt(tx, "WHERE shop_id = $1 AND id = $2", params![shop, id])
}

/// A payment of a shop that this transaction is going to change: others wait until it ended.
pub fn lock(tx: &mut Tx<'_>, shop: ShopId, id: PaymentId) -> Result<Option<Payment>, Error> {
    ask_lock(tx, shop, id)?.first(tx)
}

/// The same, taken later; what is asked for behind it is read when it is locked.
pub fn ask_lock(tx: &mut Tx<'_>, shop: ShopId, id: PaymentId) -> Result<Later<Payment>, Error> {
    let tail = format!("WHERE shop_id = $1 AND id = $2{}", tx.for_update());
    Payment::select_later(tx, &tail, params![shop, id])
}

/// The payment of a checkout; taken later.
pub fn ask_of_checkout(tx: &mut Tx<'_>, shop: ShopId, id: CheckoutId) -> Result<Later<Payment>, Error> {
    let tail = "WHERE shop_id = $1 AND id = (SELECT payment_id FROM checkout WHERE shop_id = $1 AND id = $2)";
    Payment::select_later(tx, tail, params![shop, id])
}

/// The payments of an order that are not cancelled, failed or expired, taken later ([`holder`]).
pub fn ask_open_of_order(
    tx: &mut Tx<'_>,
    shop: ShopId,
    mode: Mode,
    order_id: &str,
) -> Result<Later<Payment>, Error> {
    // In the order of its index, or PostgreSQL takes another one as long as it knows nothing of the table.
    let tail = "WHERE shop_id = $1 AND mode = $2 AND order_id = $3 AND state NOT IN ('cancelled', 'failed', 'expired') \
                ORDER BY id";
    Payment::select_later(tx, tail, params![shop, mode, order_id])
}

/// Which of them holds the order: the one whose time is not over and that was not given up, if there is one.
pub fn holder(open: Vec<Payment>) -> Option<Payment> {
    open.into_iter().min_by_key(|payment| (payment.expired || payment.given_up, payment.id))
}

/// The payment that holds an order.
pub fn open_of_order(
    tx: &mut Tx<'_>,
    shop: ShopId,
    mode: Mode,
    order_id: &str,
) -> Result<Option<Payment>, Error> {
    ask_open_of_order(tx, shop, mode, order_id)?.all(tx).map(holder)
}

/// What a list is narrowed to.
#[derive(Debug, Clone, Copy)]
pub struct Filter<'a> {
    /// Test or live.
    pub mode: Mode,
    /// Only this order's.
    pub order_id: Option<&'a str>,
    /// Only in this state.
    pub state: Option<PaymentState>,
    /// Only those whose last attempt stands so.
    pub resolution: Option<Resolution>,
    /// Only those paid so or, while nobody paid, to be paid so: a `kind` of a method.
    pub method: Option<&'a str>,
    /// Only those of this total, minor units.
    pub total: Option<i64>,
    /// Only those with this text in their order id or order name, in any case.
    pub text: Option<&'a str>,
    /// Only those made at or after this moment.
    pub from_us: Option<i64>,
    /// Only those made before this moment.
    pub until_us: Option<i64>,
    /// Which way.
    pub order: Order,
    /// Only what comes behind this one.
    pub after: Option<PaymentId>,
    /// At most so many.
    pub limit: i64,
}

/// A page of a shop's payments.
pub fn list(tx: &mut Tx<'_>, shop: ShopId, filter: &Filter<'_>) -> Result<Vec<Payment>, Error> {
    let (direction, behind) = match filter.order {
        Order::NewestFirst => ("DESC", "<"),
        Order::OldestFirst => ("ASC", ">"),
    };
    let mut tail = "WHERE shop_id = $1 AND mode = $2".to_owned();
    let mut values: Vec<Value> = params![shop, filter.mode].to_vec();
    // Methods are kept as JSON that begins with their kind.
    let method = filter.method.map(|kind| format!("{{\"kind\":\"{}\"%", like(kind)));
    let text = filter.text.map(|text| format!("%{}%", like(&text.to_lowercase())));
    let conditions = [
        ("AND order_id = {}", filter.order_id.map(ToValue::to_value)),
        ("AND state = {}", filter.state.map(|state| state.to_value())),
        ("AND resolution = {}", filter.resolution.map(|resolution| resolution.to_value())),
        (r"AND COALESCE(paid_method, method) LIKE {} ESCAPE '\'", method.map(|method| method.to_value())),
        ("AND total = {}", filter.total.map(|total| total.to_value())),
        (
            r"AND (LOWER(order_id) LIKE {} ESCAPE '\' OR LOWER(order_name) LIKE {} ESCAPE '\')",
            text.map(|text| text.to_value()),
        ),
        ("AND created_us >= {}", filter.from_us.map(|us| us.to_value())),
        ("AND created_us < {}", filter.until_us.map(|us| us.to_value())),
        (&*format!("AND id {behind} {{}}"), filter.after.map(|id| id.to_value())),
        (&*format!("ORDER BY id {direction} LIMIT {{}}"), Some(filter.limit.to_value())),
    ];
    for (text, value) in conditions {
        if let Some(value) = value {
            values.push(value);
            tail.push(' ');
            tail.push_str(&text.replace("{}", &format!("${}", values.len())));
        }
    }
    Payment::select(tx, &tail, &values)
}

/// A text as LIKE reads it to the letter.
fn like(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}

/// Payments of a channel that the gateway approved in a time, in the order of their ids, behind one of them.
pub fn approved_between(
    tx: &mut Tx<'_>,
    (shop, channel): (ShopId, ChannelId),
    (from_us, to_us): (i64, i64),
    after: Option<PaymentId>,
    limit: i64,
) -> Result<Vec<Payment>, Error> {
    // The moment of an approval is that of one of its facts, and they have an index over time: one over `approved_at_us` would
    // cost every payment its cheap update.
    let tail = "WHERE shop_id = $1 AND channel_id = $2 AND approved_at_us >= $3 AND approved_at_us < $4 AND id IN \
                (SELECT payment_id FROM fact WHERE shop_id = $1 AND channel_id = $2 AND at_us >= $3 AND at_us < $4) \
                AND id > $5 ORDER BY id LIMIT $6";
    let after = after.map(|id| id.to_string()).unwrap_or_default();
    Payment::select(tx, tail, params![shop, channel, from_us, to_us, after, limit])
}

/// Payments whose outcome is not known: how many (resolution, count), and since when the longest was not changed.
pub fn unresolved(tx: &mut Tx<'_>) -> Result<Vec<(Resolution, i64, i64)>, Error> {
    let sql = "SELECT resolution, COUNT(*), MIN(updated_us) FROM payment WHERE resolution <> 'none' \
               GROUP BY resolution ORDER BY resolution";
    tx.query(sql, params![], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
}

/// Payments that stand so, of a shop and mode or of all, in the order of their ids, behind one of them. Not for
/// [`Resolution::None`], which nearly all have.
pub fn with_resolution(
    tx: &mut Tx<'_>,
    scope: Option<(ShopId, Mode)>,
    resolution: Resolution,
    after: After<'_>,
    limit: i64,
) -> Result<Vec<Payment>, Error> {
    // The word stands in the text, so that the index over these few rows is found.
    let condition = format!("resolution = '{}'", resolution.as_str());
    scoped(tx, scope, &condition, after, limit)
}

/// Writes what may change, if nobody else did since it was read; raises `version` here and there and sets `updated_us`.
/// [`Error::Stale`] otherwise, at the latest at the end of the transaction, and nothing is changed.
pub fn save(tx: &mut Tx<'_>, payment: &mut Payment, now_us: i64) -> Result<(), Error> {
    let sql = "UPDATE payment SET state = $1, resolution = $2, paid = $3, cancelled = $4, gateway_ref = $5, \
               approved_checkout_id = $6, approved_at_us = $7, paid_method = $8, details = $9, opened = $10, failed = $11, \
               expired = $12, given_up = $13, late_us = $14, expires_us = $15, deposit_deadline_us = $16, next_event = $17, \
               updated_us = $18, cancelled_tax_free = $19, cancelled_vat = $20, last_failure = $21, version = $22 + 1 \
               WHERE shop_id = $23 AND id = $24 AND version = $22";
    let p = &*payment;
    tx.change_one_later(
        sql,
        params![
            p.state,
            p.resolution,
            p.paid,
            p.cancelled,
            p.gateway_ref,
            p.approved_checkout_id,
            p.approved_at_us,
            p.paid_method,
            p.details,
            p.opened,
            p.failed,
            p.expired,
            p.given_up,
            p.late_us,
            p.expires_us,
            p.deposit_deadline_us,
            p.next_event,
            now_us,
            p.cancelled_tax_free,
            p.cancelled_vat,
            p.last_failure,
            p.version,
            p.shop_id,
            p.id
        ],
        Error::Stale { what: "payment" },
    )?;
    payment.version = payment.version.saturating_add(1);
    payment.updated_us = now_us;
    Ok(())
}

/// Writes what the shop ordered, while nothing of it was opened; the caller holds the payment's lock and goes on with [`save`],
/// which raises the version.
pub fn revise(tx: &mut Tx<'_>, payment: &Payment) -> Result<(), Error> {
    let sql = "UPDATE payment SET channel_id = $1, order_name = $2, total = $3, currency = $4, tax_free = $5, vat = $6, \
               method = $7, buyer = $8, options = $9, metadata = $10, language = $11, confirm = $12, return_url = $13, \
               webhook_url = $14, expires_us = $15 WHERE shop_id = $16 AND id = $17 AND version = $18 AND opened = 0";
    let p = payment;
    let values = params![
        p.channel_id,
        p.order_name,
        p.total,
        p.currency,
        p.tax_free,
        p.vat,
        p.method,
        p.buyer,
        p.options,
        p.metadata,
        p.language,
        p.confirm,
        p.return_url,
        p.webhook_url,
        p.expires_us,
        p.shop_id,
        p.id,
        p.version
    ];
    tx.change_one_later(sql, values, Error::Stale { what: "payment" })
}
