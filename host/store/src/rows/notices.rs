//! `notice`: messages that gateways send. Invariant: the same message to the same channel is one row, and what it said of an
//! order of ours is kept as it came, of each payment only so much from addresses that the plugin does not list. What names none
//! leaves its digest and a few words, and those for days only.

use payhost_core::id::{ChannelId, NoticeId, PaymentId, ShopId};

use super::{After, Mode, scoped};
use crate::table::{Table, table, word};
use crate::{Error, Sealed, ToValue, Tx, Value, params};

word! {
    /// How far a notice came.
    pub enum NoticeState {
        /// Stored; the plugin has not read it yet.
        Received = "received",
        /// Read and answered; being verified.
        Read = "read",
        /// The gateway, asked, does not confirm it; it is asked again.
        Doubted = "doubted",
        /// What it says is among the facts.
        Applied = "applied",
        /// It says nothing for us.
        Ignored = "ignored",
        /// No payment of this channel has its order number.
        UnknownOrder = "unknown_order",
        /// It contradicts what is known of the payment.
        Mismatched = "mismatched",
        /// The gateway cannot be asked, and it came from an address that the plugin does not list.
        Held = "held",
        /// The gateway did not confirm it to the end.
        Unconfirmed = "unconfirmed",
        /// The plugin says that it is no notice for this channel.
        Refused = "refused",
        /// The plugin failed at it.
        Unreadable = "unreadable",
        /// A person said that nothing is to be done.
        Dismissed = "dismissed",
    }
}

word! {
    /// How far the forwarding of a notice came.
    pub enum ForwardState {
        /// To be sent.
        Waiting = "waiting",
        /// It was taken.
        Forwarded = "forwarded",
        /// It was not taken to the end.
        Failed = "failed",
    }
}

impl NoticeState {
    /// Whether something is still to be done.
    pub fn is_open(self) -> bool {
        match self {
            Self::Received | Self::Read | Self::Doubted => true,
            Self::Applied
            | Self::Ignored
            | Self::UnknownOrder
            | Self::Mismatched
            | Self::Held
            | Self::Unconfirmed
            | Self::Refused
            | Self::Unreadable
            | Self::Dismissed => false,
        }
    }
}

table! {
    /// One message.
    pub struct Notice in "notice" {
        /// Its id.
        id: NoticeId,
        /// Whose.
        shop_id: ShopId,
        /// To which channel.
        channel_id: ChannelId,
        /// Of the channel.
        mode: Mode,
        /// What tells messages apart: keyed, hex.
        digest: String,
        /// Address that it first came from.
        source: String,
        /// Whether the plugin lists that address.
        listed: bool,
        /// Bytes of the message.
        size: i64,
        /// The order of the shop that it names, once it was read; none: no order of ours.
        order_ref: Option<String>,
        /// The message, sealed; gone when it was over long ago, or names no order of ours.
        raw: Option<Sealed>,
        /// How often it came.
        times: i64,
        /// How far it came.
        state: NoticeState,
        /// What the plugin read, sealed.
        reading: Option<Sealed>,
        /// What the gateway is answered.
        reply: Option<String>,
        /// The answer's content type.
        reply_type: Option<String>,
        /// What it is about, for people, sealed.
        summary: Sealed,
        /// The payment of that order.
        payment_id: Option<PaymentId>,
        /// Why it is where it is, sealed.
        reason: Option<Sealed>,
        /// How far its forwarding came, where it is forwarded.
        forward: Option<ForwardState>,
        /// What the other side answered last.
        forward_status: Option<i64>,
        /// When it was taken there.
        forwarded_us: Option<i64>,
        /// Since when it waits for what it waits for now.
        since_us: i64,
        /// When it first came.
        created_us: i64,
        /// When it was changed.
        updated_us: i64,
    }
}

/// Keeps a message. One that is known is counted, and the known row is answered.
pub fn keep(tx: &mut Tx<'_>, notice: &Notice) -> Result<Option<Notice>, Error> {
    if notice.insert_with(tx, " ON CONFLICT (shop_id, channel_id, digest) DO NOTHING")? > 0 {
        return Ok(None);
    }
    let sql = format!(
        "UPDATE notice SET times = times + 1 WHERE shop_id = $1 AND channel_id = $2 AND digest = $3 RETURNING {}",
        Notice::COLUMNS
    );
    tx.query_one(&sql, params![notice.shop_id, notice.channel_id, notice.digest], Notice::read).map(Some)
}

/// Whether a message is known.
pub fn is_known(tx: &mut Tx<'_>, shop: ShopId, channel: ChannelId, digest: &str) -> Result<bool, Error> {
    let sql = "SELECT 1 FROM notice WHERE shop_id = $1 AND channel_id = $2 AND digest = $3";
    Ok(tx.query_opt(sql, params![shop, channel, digest], |row| row.get::<i64>(0))?.is_some())
}

/// Messages and their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Amount {
    /// How many.
    pub messages: i64,
    /// How many bytes together.
    pub bytes: i64,
}

impl Amount {
    /// Whether another message of this size would be too much.
    pub fn is_full(self, most: Self, size: i64) -> bool {
        self.messages >= most.messages || self.bytes.saturating_add(size) > most.bytes
    }
}

/// What came to a channel since a time from addresses that its plugin does not list, and names no order of the shop (or was not
/// read yet); counted up to `most` messages.
pub fn strange(
    tx: &mut Tx<'_>,
    (shop, channel): (ShopId, ChannelId),
    since_us: i64,
    most: i64,
) -> Result<Amount, Error> {
    let what =
        "shop_id = $1 AND channel_id = $2 AND created_us > $3 AND listed = 0 AND order_ref IS NULL LIMIT $4";
    amount(tx, what, params![shop, channel, since_us, most])
}

/// What is kept about a payment from addresses that no plugin lists, whichever of its order numbers it names, and no person put
/// aside; counted up to `most` messages.
pub fn of_payment(tx: &mut Tx<'_>, shop: ShopId, payment: PaymentId, most: i64) -> Result<Amount, Error> {
    let what = "shop_id = $1 AND payment_id = $2 AND listed = 0 AND state <> 'dismissed' LIMIT $3";
    amount(tx, what, params![shop, payment, most])
}

/// The same, of what the gateway was not asked about yet.
pub fn unasked_of_payment(
    tx: &mut Tx<'_>,
    shop: ShopId,
    payment: PaymentId,
    most: i64,
) -> Result<Amount, Error> {
    let what = "shop_id = $1 AND payment_id = $2 AND listed = 0 AND state IN ('received', 'read') LIMIT $3";
    amount(tx, what, params![shop, payment, most])
}

fn amount(tx: &mut Tx<'_>, what: &str, values: &[Value]) -> Result<Amount, Error> {
    let sql = format!(
        "SELECT COUNT(*), CAST(COALESCE(SUM(size), 0) AS BIGINT) FROM (SELECT size FROM notice WHERE {what}) AS counted"
    );
    tx.query_one(&sql, values, |row| Ok(Amount { messages: row.get(0)?, bytes: row.get(1)? }))
}

/// Keeps the message, or throws it away.
pub fn set_raw(tx: &mut Tx<'_>, shop: ShopId, id: NoticeId, raw: Option<&Sealed>) -> Result<(), Error> {
    let sql = "UPDATE notice SET raw = $1 WHERE shop_id = $2 AND id = $3";
    tx.execute_later(sql, params![raw.cloned(), shop, id])
}

/// Takes a notice away that nothing came of, if it is still in this state; tells whether it was.
pub fn remove(tx: &mut Tx<'_>, shop: ShopId, id: NoticeId, from: NoticeState) -> Result<bool, Error> {
    let sql = "DELETE FROM notice WHERE shop_id = $1 AND id = $2 AND state = $3";
    tx.execute(sql, params![shop, id, from]).map(|rows| rows == 1)
}

/// Throws away up to `limit` notices that came before a time, are over, and name no order of ours. Tells how many.
pub fn forget_strange(tx: &mut Tx<'_>, before_us: i64, limit: i64) -> Result<u64, Error> {
    let sql = "WITH old AS MATERIALIZED (SELECT shop_id, id FROM notice WHERE created_us < $1 AND order_ref IS NULL \
               AND payment_id IS NULL AND state IN ('refused', 'unknown_order', 'unreadable', 'ignored') \
               AND (forward IS NULL OR forward <> 'waiting') ORDER BY created_us LIMIT $2) \
               DELETE FROM notice WHERE (shop_id, id) IN (SELECT shop_id, id FROM old)";
    tx.execute(sql, params![before_us, limit])
}

/// Throws away up to `limit` notices that came before a time from addresses that no plugin lists, were not believed, and that no
/// person decided about. Tells how many.
pub fn forget_unbelieved(tx: &mut Tx<'_>, before_us: i64, limit: i64) -> Result<u64, Error> {
    let sql = "WITH old AS MATERIALIZED (SELECT shop_id, id FROM notice WHERE created_us < $1 AND listed = 0 \
               AND state IN ('mismatched', 'held', 'unconfirmed') ORDER BY created_us LIMIT $2) \
               DELETE FROM notice WHERE (shop_id, id) IN (SELECT shop_id, id FROM old)";
    tx.execute(sql, params![before_us, limit])
}

/// Throws away up to `limit` messages that came before a time and are over; what they did stays. Tells how many.
pub fn forget(tx: &mut Tx<'_>, before_us: i64, limit: i64) -> Result<u64, Error> {
    let sql = "WITH old AS MATERIALIZED (SELECT shop_id, id FROM notice WHERE created_us < $1 AND raw IS NOT NULL \
               AND state IN ('applied', 'ignored', 'dismissed') ORDER BY created_us LIMIT $2) \
               UPDATE notice SET raw = NULL, reading = NULL WHERE (shop_id, id) IN (SELECT shop_id, id FROM old)";
    tx.execute(sql, params![before_us, limit])
}

/// Writes how the forwarding of a notice came out, while it waits; `false`: it does not. What was taken there is theirs: the
/// message goes.
pub fn forwarded(tx: &mut Tx<'_>, notice: &Notice) -> Result<bool, Error> {
    let sql = "UPDATE notice SET forward = $1, forward_status = $2, forwarded_us = $3, \
               raw = CASE WHEN $1 = 'forwarded' THEN NULL ELSE raw END, \
               reading = CASE WHEN $1 = 'forwarded' THEN NULL ELSE reading END \
               WHERE shop_id = $4 AND id = $5 AND forward = 'waiting'";
    let n = notice;
    let values = params![n.forward, n.forward_status, n.forwarded_us, n.shop_id, n.id];
    tx.execute(sql, values).map(|rows| rows == 1)
}

/// A notice of a shop.
pub fn get(tx: &mut Tx<'_>, shop: ShopId, id: NoticeId) -> Result<Option<Notice>, Error> {
    Notice::select_opt(tx, "WHERE shop_id = $1 AND id = $2", params![shop, id])
}

/// Whether a notice about a payment is answered and waits for the gateway's word: money may be on its way to the facts.
pub fn is_awaited(tx: &mut Tx<'_>, shop: ShopId, payment: PaymentId) -> Result<bool, Error> {
    let sql = "SELECT 1 FROM notice WHERE shop_id = $1 AND payment_id = $2 AND state = 'read' LIMIT 1";
    Ok(tx.query_opt(sql, params![shop, payment], |row| row.get::<i64>(0))?.is_some())
}

/// What a list is narrowed to.
#[derive(Debug, Clone, Copy)]
pub struct Filter {
    /// Test or live.
    pub mode: Mode,
    /// Only in this state.
    pub state: Option<NoticeState>,
    /// Only about this payment.
    pub payment: Option<PaymentId>,
    /// Only what comes behind this one.
    pub after: Option<NoticeId>,
    /// At most so many.
    pub limit: i64,
}

/// A page of a shop's notices, newest first.
pub fn list(tx: &mut Tx<'_>, shop: ShopId, filter: &Filter) -> Result<Vec<Notice>, Error> {
    let mut tail = "WHERE shop_id = $1 AND mode = $2".to_owned();
    let mut values: Vec<Value> = params![shop, filter.mode].to_vec();
    let conditions = [
        (" AND state = $", filter.state.map(|state| state.to_value())),
        (" AND payment_id = $", filter.payment.map(|payment| payment.to_value())),
        (" AND id < $", filter.after.map(|id| id.to_value())),
        (" ORDER BY id DESC LIMIT $", Some(filter.limit.to_value())),
    ];
    for (text, value) in conditions {
        if let Some(value) = value {
            values.push(value);
            tail.push_str(text);
            tail.push_str(&values.len().to_string());
        }
    }
    Notice::select(tx, &tail, &values)
}

/// Notices that wait for a person, of a shop and mode or of all: the oldest about each payment, and of those about none the
/// oldest to each channel; in the order of their ids, behind one of them.
pub fn for_a_person(
    tx: &mut Tx<'_>,
    scope: Option<(ShopId, Mode)>,
    after: After<'_>,
    limit: i64,
) -> Result<Vec<Notice>, Error> {
    let condition = "state IN ('mismatched', 'held', 'unconfirmed', 'unreadable') \
        AND (payment_id IS NULL OR NOT EXISTS (SELECT 1 FROM notice AS other WHERE other.shop_id = notice.shop_id \
             AND other.payment_id = notice.payment_id AND other.id < notice.id \
             AND other.state IN ('mismatched', 'held', 'unconfirmed', 'unreadable'))) \
        AND (payment_id IS NOT NULL OR NOT EXISTS (SELECT 1 FROM notice AS other WHERE other.shop_id = notice.shop_id AND other.channel_id = notice.channel_id \
             AND other.payment_id IS NULL AND other.id < notice.id \
             AND other.state IN ('mismatched', 'held', 'unconfirmed', 'unreadable')))";
    scoped(tx, scope, condition, after, limit)
}

/// How many wait with one of [`for_a_person`], itself among them.
pub fn waiting_with(tx: &mut Tx<'_>, notice: &Notice) -> Result<i64, Error> {
    let waits =
        "SELECT COUNT(*) FROM notice WHERE state IN ('mismatched', 'held', 'unconfirmed', 'unreadable')";
    match notice.payment_id {
        Some(payment) => {
            let sql = format!("{waits} AND shop_id = $1 AND payment_id = $2");
            tx.query_one(&sql, params![notice.shop_id, payment], |row| row.get(0))
        }
        None => {
            let sql = format!("{waits} AND shop_id = $1 AND channel_id = $2 AND payment_id IS NULL");
            tx.query_one(&sql, params![notice.shop_id, notice.channel_id], |row| row.get(0))
        }
    }
}

/// Writes what may change, if the state is still `from`; `false` otherwise.
#[must_use = "false means that somebody else went on with it"]
pub fn advance(tx: &mut Tx<'_>, notice: &Notice, from: NoticeState) -> Result<bool, Error> {
    let sql = "UPDATE notice SET state = $1, reading = $2, reply = $3, reply_type = $4, summary = $5, payment_id = $6, \
               reason = $7, forward = COALESCE(forward, $8), since_us = $9, updated_us = $10, order_ref = $11 \
               WHERE shop_id = $12 AND id = $13 AND state = $14";
    let n = notice;
    let values = params![
        n.state,
        n.reading,
        n.reply,
        n.reply_type,
        n.summary,
        n.payment_id,
        n.reason,
        n.forward,
        n.since_us,
        n.updated_us,
        n.order_ref,
        n.shop_id,
        n.id,
        from
    ];
    tx.execute(sql, values).map(|rows| rows == 1)
}
